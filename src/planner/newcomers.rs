//! Newcomers: looked up on the target before anything is created, so that a lost database, or a target that already
//! has users, makes no duplicates.
//!
//! By the target's key field first, then by the `match` fields. An account of another key is never taken, and two
//! candidates are reported with both. Whichever takes fewer requests is used: one look-up each, or one listing of the
//! whole target.

use futures_util::stream::{StreamExt, TryStreamExt};

use super::spool::Newcomer;
use super::{Merged, PAGE, Planner};
use crate::delivery::Client;
use crate::diff;
use crate::exit::{Exit, Failure, Result};
use crate::outcome::{ErrorKind, OpError};
use crate::plan::{OpKind, Operation};
use crate::record::Key;
use crate::rules::SkipReason;
use crate::state::State;
use crate::state::people::OwnerOf;
use crate::target::{Account, AccountState, Catalogue};
use crate::value::folded;

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

/// Turns every newcomer into a create, an adoption or a conflict. Those whom the day's requests don't suffice to look
/// up are skipped; returns how many.
pub(super) async fn settle(planner: &Planner, merged: &Merged) -> Result<u64> {
    let count = merged.spool().newcomer_count()?;
    if count == 0 {
        return Ok(0);
    }
    let listed = match worth_listing(planner, count) {
        true => list(planner, merged, count).await.or_else(|failure| unless_used_up(planner, false, failure))?,
        false => false,
    };
    let (mut after, mut skipped) = (String::new(), 0);
    loop {
        let page = merged.spool().newcomers(&after, PAGE)?;
        let Some(last) = page.last() else { return Ok(skipped) };
        after = last.create.key.to_string();
        let settled: Vec<(Key, Option<Operation>)> = futures_util::stream::iter(page)
            .map(|newcomer| async move {
                let key = newcomer.create.key.clone();
                let found =
                    if listed { find_listed(planner, merged, &newcomer).await } else { find(planner, &newcomer).await };
                let found = found.map(Some).or_else(|failure| unless_used_up(planner, None, failure))?;
                let catalogue = planner.sync.target.engine.catalogue();
                Ok::<_, Failure>((key, found.map(|found| operation(newcomer, found, catalogue))))
            })
            .buffered(planner.sync.target.concurrency)
            .try_collect()
            .await?;
        let spool = merged.spool();
        for (key, operation) in &settled {
            match operation {
                Some(operation) => spool.add(operation)?,
                None => spool.skip(key, SkipReason::Quota.name())?,
            }
        }
        skipped += settled.iter().filter(|(_, operation)| operation.is_none()).count() as u64;
    }
}

/// What stands in for an answer when the target's daily quota is used up; any other failure stays one.
fn unless_used_up<T>(planner: &Planner, instead: T, failure: Failure) -> Result<T> {
    match failure.exit == Exit::Partial && planner.client.quota_is_used_up() {
        true => Ok(instead),
        false => Err(failure),
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

/// Lists the target into the spool; `false` when it takes more requests than looking up would.
async fn list(planner: &Planner, merged: &Merged, newcomers: u64) -> Result<bool> {
    let budget = look_ups(planner, newcomers);
    let mut next = Some(planner.client.engine().list());
    let mut pages = 0;
    while let Some(request) = next {
        if pages >= budget {
            return Ok(false);
        }
        let page = planner.client.page(&request).await?;
        pages += 1;
        let spool = merged.spool();
        for account in &page.accounts {
            let values: Vec<_> = (planner.sync.match_fields.iter())
                .filter_map(|f| Some((f.clone(), account.attributes.get(f).and_then(folded)?)))
                .collect();
            spool.list(account, &values)?;
        }
        next = page.next;
    }
    Ok(true)
}

async fn find_listed(planner: &Planner, merged: &Merged, newcomer: &Newcomer) -> Result<Found> {
    if let Some(key) = &newcomer.key_value {
        let found = merged.spool().listed_by_key(key)?;
        if !found.is_empty() {
            return choose(&planner.state, (&planner.sync.name, &planner.sync.target.name), newcomer, found).await;
        }
    }
    let mut found = Vec::new();
    for (field, value) in &newcomer.matches {
        found.extend(merged.spool().listed_by_match(field, value)?);
    }
    choose(&planner.state, (&planner.sync.name, &planner.sync.target.name), newcomer, found).await
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
