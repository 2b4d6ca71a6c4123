//! A person as the target shows them, in place of what was acknowledged: how a reconcile sees the snapshot.
//!
//! The rest of planning doesn't know the difference, so what a reconcile reports is what the table of rules says of
//! the account as it is, and a repair is a plan like any other.

use std::collections::BTreeMap;

use super::Spool;
use crate::account::Listing;
use crate::account::seek::identity;
use crate::api::Ownership;
use crate::config::settings::SyncSettings;
use crate::domain::account::{Account, AccountState};
use crate::domain::catalogue::Catalogue;
use crate::domain::operation::Change;
use crate::domain::rules::PersonState;
use crate::domain::value::{Attributes, as_text, same};
use crate::failpoints;
use crate::failpoints::Failpoint;
use crate::state::StateError;
use crate::state::bodies::Body;
use crate::state::people::Person;

/// Replaces what is known of a person by what is listed of their account.
///
/// An account under their id that carries another key is not theirs any more. An invitation that isn't listed is taken as
/// known: not every target shows those among its users.
pub(super) fn as_listed(
    listing: &Listing,
    sync: &SyncSettings,
    person: &mut Person,
    body: &mut Body,
) -> Result<(), StateError> {
    let Some(remote_id) = &person.remote_id else { return Ok(()) };
    let catalogue = sync.target.engine.catalogue();
    let is_theirs =
        |account: &Account| identity(&person.key, sync, [&body.attributes]).judge(account) != Ownership::Anothers;
    match listing.by_id(remote_id)?.filter(is_theirs) {
        Some(account) => {
            person.state = state(person.state, account.state);
            body.attributes = overlaid(std::mem::take(&mut body.attributes), &account, catalogue);
            body.observed = Some(account.attributes);
        }
        None if person.state == PersonState::Invited => {}
        None => {
            person.state = PersonState::None;
            person.remote_id = None;
            body.observed = None;
        }
    }
    Ok(())
}

/// The account that carries the key of somebody who left and has, as far as is known, none, or, where ids are addresses,
/// their address: restored by hand after it was deleted, or under a new id. One that is linked to somebody is not theirs;
/// of several, an active one comes first. What is known of them then.
pub(super) fn returned(
    listing: &Listing,
    sync: &SyncSettings,
    person: &Person,
    body: &Body,
) -> Result<Option<(Person, Body)>, StateError> {
    // Who never had an account is no leaver.
    if person.remote_id.is_some() || body.attributes.0.is_empty() {
        return Ok(None);
    }
    let catalogue = sync.target.engine.catalogue();
    let acknowledged = |field: &String| body.attributes.get(field).and_then(as_text);
    let mut found = listing.free_by_key(person.key.as_str())?;
    if let Some(key) = catalogue.key_field.as_ref().and_then(acknowledged).filter(|key| key != person.key.as_str()) {
        found.extend(listing.free_by_key(&key)?);
    }
    if let (true, Some(address)) = (found.is_empty(), catalogue.id_field.as_ref().and_then(acknowledged)) {
        for account in listing.by_address(&address)? {
            found.extend(listing.is_free(&account.remote_id)?.then_some(account));
        }
    }
    found.retain(|account| account.state != AccountState::Invited);
    found.sort_by_key(|account| account.state != AccountState::Active);
    let Some(account) = found.into_iter().next() else { return Ok(None) };
    let known = Person {
        state: state(PersonState::None, account.state),
        remote_id: Some(account.remote_id.clone()),
        ..person.clone()
    };
    let attributes = overlaid(body.attributes.clone(), &account, catalogue);
    Ok(Some((known, Body { attributes, observed: Some(account.attributes), kept: body.kept.clone() })))
}

/// Takes out of these differences what the target keeps of its own, and spools it for the report: the very value was sent
/// and acknowledged, and the target shows what it showed then.
pub(super) fn leave_kept(
    spool: &Spool,
    person: Option<&Person>,
    body: &Body,
    fields: &mut BTreeMap<String, Change>,
    catalogue: &Catalogue,
) -> Result<(), StateError> {
    let Some((key, id)) = person.and_then(|person| Some((&person.key, person.remote_id.as_ref()?))) else {
        return Ok(());
    };
    let is_kept = |field: &String, change: &Change| {
        let kind = catalogue.kind(field);
        let was = body.kept.get(field);
        let was = was.filter(|_| !failpoints::is(Failpoint::ForgetKept));
        was.is_some_and(|was| same(kind, &was.sent, &change.new) && same(kind, &was.shown, &change.old))
    };
    let kept: Vec<String> = fields.iter().filter(|(f, c)| is_kept(f, c)).map(|(field, _)| field.clone()).collect();
    fields.retain(|field, _| !kept.contains(field));
    if kept.is_empty() { Ok(()) } else { spool.keep(key, id, &kept) }
}

/// The account's state as the snapshot would have it. Who left and is left alone stays so while the account is there.
fn state(known: PersonState, shown: AccountState) -> PersonState {
    match (known, shown) {
        (_, AccountState::Banned) => PersonState::Banned,
        (PersonState::Left, _) => PersonState::Left,
        (_, AccountState::Invited) => PersonState::Invited,
        (_, AccountState::Active) => PersonState::Active,
    }
}

/// What the target shows over what it acknowledged. An entry of a list, or a member of an object, that isn't shown is
/// not there any more.
pub fn overlaid(acknowledged: Attributes, account: &Account, catalogue: &Catalogue) -> Attributes {
    let mut overlaid = acknowledged;
    for (field, value) in &mut overlaid.0 {
        let member = !catalogue.fields.contains_key(field) && catalogue.field(field).is_some();
        if member && account.attributes.get(field).is_none() {
            *value = serde_json::Value::Null;
        }
    }
    overlaid.0.extend(account.attributes.0.clone());
    overlaid
}
