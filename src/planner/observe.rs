//! A person as the target shows them, in place of what was acknowledged: how a reconcile sees the snapshot.
//!
//! The rest of planning doesn't know the difference, so what a reconcile reports is what the table of rules says of
//! the account as it is, and a repair is a plan like any other.

use super::Listing;
use crate::rules::PersonState;
use crate::state::StateError;
use crate::state::people::{Body, Person};
use crate::target::{Account, AccountState, Catalogue};
use crate::value::Attributes;

/// Replaces what is known of a person by what is listed of their account.
///
/// An invitation that isn't listed is taken as known: not every target shows those among its users.
pub(super) fn as_listed(
    listing: &Listing,
    catalogue: &Catalogue,
    person: &mut Person,
    body: &mut Body,
) -> Result<(), StateError> {
    let Some(remote_id) = &person.remote_id else { return Ok(()) };
    match listing.by_id(remote_id)? {
        Some(account) => {
            person.state = state(person.state, account.state);
            body.attributes = overlaid(std::mem::take(&mut body.attributes), &account, catalogue);
            body.observed = Some(account.attributes);
        }
        None if person.state == PersonState::Invited => {}
        None => {
            person.state = PersonState::None;
            person.remote_id = None;
            *body = Body::default();
        }
    }
    Ok(())
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
