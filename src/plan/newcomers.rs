//! Newcomers: looked up on the target before anything is created, so that a lost database, or a target that already
//! has users, makes no duplicates.
//!
//! By the target's key field first, then by the `match` fields. An account of another key is never taken, and two
//! candidates are reported with both. Whichever takes fewer requests is used: one look-up each, or one listing of the
//! whole target.

use std::sync::Arc;

use futures_util::stream::{StreamExt, TryStreamExt};

use super::adoption::adopt;
use super::listed::{list, unless_used_up, worth_listing};
use super::lookalikes;
use super::scope::Presence;
use super::spool::NewcomerRow;
use super::{Merged, PAGE, Planner};
use crate::account::Listing;
use crate::account::Refusal;
use crate::account::foreign::carries;
use crate::account::lookup::{Found, Judged, Newcomer, candidates, judge, listed_candidates, owner_of};
use crate::api::Engine;
use crate::config::settings::SyncSettings;
use crate::domain::account::Account;
use crate::domain::catalogue::Catalogue;
use crate::domain::error::{Failure, Result};
use crate::domain::keyset::{pages, text_of};
use crate::domain::operation::OpKind;
use crate::domain::outcome::{ErrorKind, OpError};
use crate::domain::planned::Planned;
use crate::domain::record::Key;
use crate::domain::rules::SkipReason;
use crate::domain::value::{as_text, folded_each};
use crate::mapping::Desired;

/// By what accounts of a person are recognised: the key field's value, and the folded values of `match` fields.
pub fn recognised_by(
    desired: &Desired,
    match_fields: &[String],
    catalogue: &Catalogue,
) -> (Option<String>, Vec<(String, String)>) {
    let value_of = |field: &String| desired.fields.get(field).map(|d| &d.value);
    let key_value = catalogue.key_field.as_ref().and_then(value_of).and_then(as_text);
    let fields = catalogue.recognised_by(match_fields);
    let values = |field: &String| value_of(field).map(folded_each).unwrap_or_default();
    let matches = fields.iter().flat_map(|f| values(f).into_iter().map(|value| (f.clone(), value))).collect();
    (key_value, matches)
}

/// Turns every newcomer into a create, an adoption or a conflict. Those whom the day's requests don't suffice to look
/// up are skipped; returns how many.
pub(super) async fn plan_each(planner: &Planner, merged: &Merged, listing: Option<Arc<Listing>>) -> Result<u64> {
    let count = merged.spool().newcomer_count()?;
    if count == 0 {
        return Ok(0);
    }
    let listing = match (planner.observed.clone().or(listing), worth_listing(planner, count).await?) {
        (Some(listing), _) => Some(listing),
        (None, Some(most_pages)) => list(planner, most_pages).await.or_else(|failure| unless_used_up(None, failure))?,
        (None, None) => None,
    };
    let listing = listing.as_deref();
    let mut skipped = 0;
    for page in pages(|after| merged.spool().newcomers(text_of(after), PAGE), |(key, ..)| key.clone()) {
        let page = provision_unlisted(&merged.spool(), page?, listing)?;
        let planned: Vec<(Key, Option<Planned>)> = futures_util::stream::iter(page)
            .map(|(newcomer, doubt)| async move {
                let key = newcomer.create.key.clone();
                let operation = one(planner, merged, newcomer, doubt, listing).await.map(Some);
                Ok::<_, Failure>((key, operation.or_else(|failure| unless_used_up(None, failure))?))
            })
            .buffered(planner.sync.target.concurrency)
            .try_collect()
            .await?;
        let spool = merged.spool();
        skipped += planned.iter().filter(|(_, operation)| operation.is_none()).count() as u64;
        for (key, operation) in planned {
            match operation {
                Some(operation) => claim(&spool, &planner.sync.target.engine, operation)?,
                None => spool.skip(&key, SkipReason::Quota.name())?,
            }
        }
    }
    Ok(skipped)
}

/// Whom the listing does not show at all gets the create that is spooled; all others are still to be looked up, with why
/// they are in doubt, if they are.
fn provision_unlisted(
    spool: &super::Spool,
    page: Vec<NewcomerRow>,
    listing: Option<&Listing>,
) -> Result<Vec<(Newcomer, Option<String>)>> {
    let mut others = Vec::new();
    for (key, sought, doubt) in page {
        let unlisted = match listing.filter(|_| doubt.is_none()) {
            Some(listing) => listed_candidates(listing, &sought)?.accounts.is_empty(),
            None => false,
        };
        match unlisted {
            true => spool.provision(&key)?,
            false => others.push((Newcomer { create: spool.create_of(&key)?, sought }, doubt)),
        }
    }
    Ok(others)
}

/// What is to be done for one newcomer. Who is in doubt is recognised by the target's key field alone.
async fn one(
    planner: &Planner,
    merged: &Merged,
    mut newcomer: Newcomer,
    doubt: Option<String>,
    listing: Option<&Listing>,
) -> Result<Planned> {
    if doubt.is_some() {
        newcomer.sought.matches.clear();
    }
    let found = match listing {
        Some(listing) => listed_candidates(listing, &newcomer.sought),
        None => candidates(&planner.client, &newcomer).await,
    };
    let mut candidates = match found {
        Ok(candidates) => candidates,
        Err(failure) => return refused(newcomer, failure),
    };
    if let (Some(why), true) = (doubt, candidates.accounts.is_empty()) {
        return Ok(Planned::Conflict(newcomer.create, OpError::new(ErrorKind::Conflict, why)));
    }
    let hint = match candidates.by_key {
        true => None,
        false => without_what_is_given_up(planner, merged, &newcomer, &mut candidates.accounts).await?,
    };
    if candidates.accounts.len() > 1 {
        note_owners(planner, merged, &newcomer, &candidates.accounts).await?;
    }
    let found = match judge(&planner.state, &planner.sync, &newcomer, candidates.accounts).await? {
        Judged::Found(found) => found,
        Judged::Carries(account, other) => {
            let is_there = |key: &Key| planner.intake.contains(key);
            carries(&planner.state, &planner.sync, &newcomer, (account.as_str(), &other), is_there).await?
        }
        Judged::Owned(account, owner) => {
            let presence = planner.presence_of(&owner).await?;
            let why = owned(planner, merged, &newcomer, &account, (&owner, presence))?;
            Found::Conflict(OpError::new(ErrorKind::Conflict, why))
        }
    };
    if candidates.by_key && matches!(found, Found::Account(_)) {
        merged.spool().has_own_account(&newcomer.create.key)?;
    }
    let mut planned = operation(planner, newcomer, found);
    planned.hint = hint;
    Ok(planned)
}

/// Of several accounts that could be a newcomer's, each leaver's is one that is not taken away.
async fn note_owners(planner: &Planner, merged: &Merged, newcomer: &Newcomer, accounts: &[Account]) -> Result<()> {
    for account in accounts {
        if let Some((sync, owner)) = owner_of(&planner.state, &planner.sync, account).await?
            && sync == planner.sync.name
            && owner != newcomer.create.key
        {
            let presence = planner.presence_of(&owner).await?;
            owned(planner, merged, newcomer, account, (&owner, presence))?;
        }
    }
    Ok(())
}

/// A newcomer whose look-up the target refuses fails alone: what was sought is wrong for it, and everybody else's is
/// not.
fn refused(newcomer: Newcomer, failure: Failure) -> Result<Planned> {
    let Some(error) = Refusal::of_one(&failure) else { return Err(failure) };
    let message = format!("the target refused to look them up: {}", error.message);
    Ok(Planned::Conflict(newcomer.create, OpError::new(error.kind, message)))
}

/// Why somebody else's account can't be taken, and what to do about it; notes that a leaver is recognised by it.
fn owned(
    planner: &Planner,
    merged: &Merged,
    newcomer: &Newcomer,
    account: &Account,
    (owner, presence): (&Key, Presence),
) -> Result<String> {
    let (sync, new, spool) = (&planner.sync, &newcomer.create.key, merged.spool());
    let engine = &sync.target.engine;
    let agrees = |(field, value): &&(String, String)| account.is_recognised(field, value);
    let mut fields: Vec<String> =
        newcomer.sought.matches.iter().filter(agrees).map(|(field, _)| field.clone()).collect();
    fields.dedup();
    if fields.is_empty() {
        fields.extend(engine.catalogue().key_field.clone());
    }
    if let Some(leaver) = spool.leaver_of(owner)? {
        if !lookalikes::may_be_handed_on(sync, &fields) {
            fields.iter().try_for_each(|field| spool.alike(owner, new, field))?;
        }
        return Ok(lookalikes::suspicion(sync, &leaver, new, &fields));
    }
    drop(spool);
    let shown = engine.loggable_id(&account.remote_id);
    let (fields, looks) = (fields.join(" and "), format!("account {shown} looks like {new} and belongs to {owner}"));
    Ok(match presence {
        Presence::InScope => {
            format!("{looks}, who is in the source and in scope too: both have one {fields} there; mend the source")
        }
        Presence::Rejected => format!("{looks}, whose record is rejected; mend that first"),
        Presence::Excluded | Presence::Absent => {
            format!("{looks}; if {owner} is {new} under an old key: {}", lookalikes::rekey(sync, owner, new))
        }
    })
}

/// Leaves out accounts whose owners give up, within this plan, the very value by which they were found: it will be
/// free. Tells when such an owner leaves, since leaver and newcomer may then be one person under two keys.
async fn without_what_is_given_up(
    planner: &Planner,
    merged: &Merged,
    newcomer: &Newcomer,
    found: &mut Vec<Account>,
) -> Result<Option<String>> {
    let mut hint = None;
    let mut kept = Vec::new();
    for account in found.drain(..) {
        let owner = owner_of(&planner.state, &planner.sync, &account).await?;
        let giver = match owner {
            Some((sync, key)) if sync == planner.sync.name => merged.spool().operation_of(&key)?,
            _ => None,
        };
        match giver.filter(|giver| gives_up(&planner.sync, giver, newcomer, &account)) {
            Some(giver) if giver.kind.takes_access() => {
                let (old, new) = (&giver.key, &newcomer.create.key);
                merged.spool().hand(old, new)?;
                hint = Some(format!(
                    "takes what {old} gives up by leaving; if {old} is {new} under an old key: {}",
                    lookalikes::rekey(&planner.sync, old, new)
                ));
            }
            Some(_) => {}
            None => kept.push(account),
        }
    }
    *found = kept;
    Ok(hint)
}

/// Whether this operation on the account's owner gives up every value by which the newcomer was found. An account that
/// is removed gives up all of them; that they may be handed on is for the operator to say.
fn gives_up(sync: &SyncSettings, giver: &Planned, newcomer: &Newcomer, account: &Account) -> bool {
    let holds = |(field, value): &&(String, String)| account.is_recognised(field, value);
    let goes = |(field, value): &(String, String)| match giver.kind {
        OpKind::Delete => sync.release_on_ban.contains(field),
        _ => giver.fields.get(field).is_some_and(|change| !folded_each(&change.new).contains(value)),
    };
    giver.conflict().is_none() && newcomer.sought.matches.iter().filter(holds).all(goes)
}

/// Spools a newcomer's operation. An account that two of them would adopt is left to neither: which of them it
/// belongs to is for a person to say.
fn claim(spool: &super::Spool, engine: &Engine, operation: Planned) -> Result<()> {
    let claimed = match (&operation.kind, &operation.remote_id) {
        (OpKind::Adopt, Some(remote_id)) => spool.claim(remote_id, &operation.key)?.map(|first| (first, remote_id)),
        _ => None,
    };
    let Some((first, remote_id)) = claimed else { return Ok(spool.add(&operation)?) };
    let id = engine.loggable_id(remote_id);
    let message = format!("account {id} could be {first} or {}: both are newcomers whom it fits", operation.key);
    let conflict = OpError::new(ErrorKind::Conflict, message);
    if let Some(other) = spool.operation_of(&first)? {
        spool.add(&Planned::Conflict(other.into_operation(), conflict.clone()))?;
    }
    Ok(spool.add(&Planned::Conflict(operation.into_operation(), conflict))?)
}

/// The operation that follows.
fn operation(planner: &Planner, newcomer: Newcomer, found: Found) -> Planned {
    match found {
        Found::Nobody => newcomer.create.into(),
        Found::Conflict(error) => Planned::Conflict(newcomer.create, error),
        Found::Account(account) => {
            adopt(newcomer.create, *account, &planner.sync, planner.time, newcomer.sought.protected).into()
        }
    }
}
