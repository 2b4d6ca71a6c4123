//! Newcomers: looked up on the target before anything is created, so that a lost database, or a target that already
//! has users, makes no duplicates.
//!
//! By the target's key field first, then by the `match` fields. An account of another key is never taken, and two
//! candidates are reported with both. Whichever takes fewer requests is used: one look-up each, or one listing of the
//! whole target.

use std::sync::Arc;

use futures_util::stream::{StreamExt, TryStreamExt};

use super::spool::Newcomer;
use super::{Listing, Merged, PAGE, Planner};
use crate::delivery::Client;
use crate::diff;
use crate::exit::{Exit, Failure, Result};
use crate::mapping::Desired;
use crate::outcome::{ErrorKind, OpError};
use crate::plan::{OpKind, Operation};
use crate::state::State;
use crate::state::people::OwnerOf;
use crate::target::{Account, AccountState, Catalogue};
use crate::value::folded;

/// By what accounts of a person are recognised: the key field's value, and the folded values of `match` fields.
pub fn recognised_by(
    desired: &Desired,
    match_fields: &[String],
    catalogue: &Catalogue,
) -> (Option<String>, Vec<(String, String)>) {
    let value_of = |field: &String| desired.fields.get(field).map(|d| &d.value);
    let key_value = catalogue.key_field.as_ref().and_then(value_of).and_then(super::merge::as_text);
    let matches = match_fields.iter().filter_map(|f| Some((f.clone(), value_of(f).and_then(folded)?))).collect();
    (key_value, matches)
}

/// What looking somebody up came to.
#[derive(Debug)]
pub enum Found {
    /// No account.
    Nobody,
    /// Theirs.
    Account(Box<Account>),
    /// An account that can't be taken.
    Conflict(OpError),
}

/// Turns every newcomer into a create, an adoption or a conflict.
pub(super) async fn settle(planner: &Planner, merged: &Merged) -> Result<()> {
    let count = merged.spool().newcomer_count()?;
    if count == 0 {
        return Ok(());
    }
    let listing = match &planner.observed {
        Some(observed) => Some(Arc::clone(observed)),
        None if worth_listing(planner, count) => list(planner, count).await?,
        None => None,
    };
    let listing = listing.as_deref();
    let mut after = String::new();
    loop {
        let page = merged.spool().newcomers(&after, PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.create.key.to_string();
        let operations: Vec<Operation> = futures_util::stream::iter(page)
            .map(|newcomer| async move {
                let found = match listing {
                    Some(listing) => find_listed(planner, listing, &newcomer).await,
                    None => find(planner, &newcomer).await,
                };
                Ok::<_, Failure>(operation(newcomer, found?, planner.sync.target.engine.catalogue()))
            })
            .buffered(planner.sync.target.concurrency)
            .try_collect()
            .await?;
        let spool = merged.spool();
        for operation in &operations {
            spool.add(operation)?;
        }
    }
}

/// Requests that looking everybody up one by one takes.
fn look_ups(planner: &Planner, newcomers: u64) -> u64 {
    let by_key = u64::from(planner.sync.target.engine.catalogue().key_field.is_some());
    newcomers * (by_key + planner.sync.match_fields.len() as u64).max(1)
}

/// Whether a listing promises to take fewer requests. How many accounts the target has isn't known before it is
/// listed; those that we know of are a lower bound, and [`list`] gives up when the listing turns out longer.
fn worth_listing(planner: &Planner, newcomers: u64) -> bool {
    let engine = &planner.sync.target.engine;
    let pages = planner.known.users / u64::from(engine.page_size().max(1)) + 1;
    engine.can_list() && pages < look_ups(planner, newcomers)
}

/// Lists the target; nothing when that takes more requests than looking up would.
async fn list(planner: &Planner, newcomers: u64) -> Result<Option<Arc<Listing>>> {
    let listing = Listing::of(&planner.client, &planner.sync.match_fields, look_ups(planner, newcomers)).await?;
    Ok(listing.map(Arc::new))
}

async fn find_listed(planner: &Planner, listing: &Listing, newcomer: &Newcomer) -> Result<Found> {
    let at = (planner.sync.name.as_str(), planner.sync.target.name.as_str());
    if let Some(key) = &newcomer.key_value {
        let found = listing.by_key(key)?;
        if !found.is_empty() {
            return choose(&planner.state, at, newcomer, found).await;
        }
    }
    let mut found = Vec::new();
    for (field, value) in &newcomer.matches {
        found.extend(listing.by_match(field, value)?);
    }
    choose(&planner.state, at, newcomer, found).await
}

async fn find(planner: &Planner, newcomer: &Newcomer) -> Result<Found> {
    look_up(&planner.client, &planner.state, &planner.sync.name, newcomer).await
}

/// Looks one person up on the target: by key, then by each `match` field.
///
/// # Errors
/// The target can't be reached, or the state fails.
pub async fn look_up(client: &Client, state: &State, sync: &str, newcomer: &Newcomer) -> Result<Found> {
    let target = client.target();
    if let (Some(field), Some(key)) = (&client.engine().catalogue().key_field, &newcomer.key_value) {
        let mut found = client.find(field, key).await?;
        found.retain(|account| account.key.as_ref() == Some(key));
        if !found.is_empty() {
            return choose(state, (sync, target), newcomer, found).await;
        }
    }
    let mut found = Vec::new();
    for (field, value) in &newcomer.matches {
        // What is sent is the value as planned; what comes back counts only when it is equal, case set aside.
        let Some(spelled) = newcomer.create.fields.get(field).map(|c| &c.new).and_then(super::merge::as_text) else {
            continue;
        };
        let answer = client.find(field, &spelled).await?;
        found.extend(answer.into_iter().filter(|a| a.attributes.get(field).and_then(folded).as_ref() == Some(value)));
    }
    choose(state, (sync, target), newcomer, found).await
}

/// Judges the candidates.
async fn choose(
    state: &State,
    (sync, target): (&str, &str),
    newcomer: &Newcomer,
    mut found: Vec<Account>,
) -> Result<Found> {
    found.sort_by(|a, b| a.remote_id.cmp(&b.remote_id));
    found.dedup_by(|a, b| a.remote_id == b.remote_id);
    let key = &newcomer.create.key;
    if found.len() > 1 {
        let ids: Vec<_> = found.iter().map(|a| a.remote_id.as_str()).collect();
        let message = format!("more than one account could be {key}: {}", ids.join(", "));
        return Ok(Found::Conflict(OpError::new(ErrorKind::Conflict, message)));
    }
    let Some(account) = found.pop() else { return Ok(Found::Nobody) };
    let carried = foreign_key(&account, newcomer.key_value.as_deref());
    let owner = state.ask(OwnerOf { target: target.into(), remote_id: account.remote_id.clone() }).await?;
    let conflict = |why: String| {
        let message = format!("account {} looks like {key} and {why}", account.remote_id);
        Ok(Found::Conflict(OpError::new(ErrorKind::Conflict, message)))
    };
    match (owner, carried) {
        (Some((owner, _)), _) if owner != sync => Err(two_syncs(sync, &owner, target, &account.remote_id)),
        (Some((_, other)), _) if other != *key => conflict(format!(
            "belongs to {other}; if {other} is {key} under an old key: rosterd rekey {sync} {other} {key}"
        )),
        (_, Some(other)) => conflict(format!("carries the key {other}")),
        (_, None) => Ok(Found::Account(Box::new(account))),
    }
}

/// Two syncs would write to one account by turns.
fn two_syncs(sync: &str, owner: &str, target: &str, remote_id: &str) -> Failure {
    Failure::new(
        Exit::Config,
        format!("account {remote_id} of target {target} belongs to sync {owner}, and sync {sync} would take it too"),
    )
    .help("two syncs on one target must not share people: tell them apart with include")
}

/// The key that an account carries, if it is not this one.
fn foreign_key<'a>(account: &'a Account, wanted: Option<&str>) -> Option<&'a str> {
    let carried = account.key.as_deref().map(str::trim).filter(|k| !k.is_empty())?;
    (wanted.map(str::trim) != Some(carried)).then_some(carried)
}

/// The operation that follows.
fn operation(newcomer: Newcomer, found: Found, catalogue: &Catalogue) -> Operation {
    match found {
        Found::Nobody => newcomer.create,
        Found::Conflict(error) => Operation { conflict: Some(error), ..newcomer.create },
        Found::Account(account) => adopt(newcomer.create, *account, newcomer.protected, catalogue),
    }
}

/// Turns a create into the adoption of an account that is there: it links, writes what differs, reactivates.
pub fn adopt(create: Operation, account: Account, protected: bool, catalogue: &Catalogue) -> Operation {
    let mut operation = create;
    operation.kind = OpKind::Adopt;
    operation.remote_id = Some(account.remote_id);
    operation.fields = match protected || account.state == AccountState::Invited {
        true => Default::default(),
        false => diff::adoption(&operation.fields, &operation.create_only, &account.attributes, catalogue),
    };
    operation.reactivates = account.state == AccountState::Banned && !protected;
    operation.found = Some(account.state);
    operation.baseline = account.attributes;
    operation
}

/// The newcomer that an operation of an earlier run was about, for looking them up again.
pub fn again(create: &Operation, match_fields: &[String], catalogue: &Catalogue) -> Newcomer {
    let value = |field: &String| create.fields.get(field).map(|c| &c.new);
    Newcomer {
        key_value: catalogue.key_field.as_ref().and_then(value).and_then(super::merge::as_text),
        matches: (match_fields.iter()).filter_map(|f| Some((f.clone(), value(f).and_then(folded)?))).collect(),
        create: create.clone(),
        protected: false,
    }
}
