//! Newcomers: looked up on the target before anything is created, so that a lost database, or a target that already
//! has users, makes no duplicates.
//!
//! By the target's key field first, then by the `match` fields. An account of another key is never taken, and two
//! candidates are reported with both. Whichever takes fewer requests is used: one look-up each, or one listing of the
//! whole target.

use std::sync::{Mutex, PoisonError};

use futures_util::stream::{StreamExt, TryStreamExt};

use super::spool::Newcomer;
use super::{Merged, PAGE, Planner, Spool};
use crate::delivery::Client;
use crate::diff;
use crate::exit::Result;
use crate::outcome::{ErrorKind, OpError};
use crate::plan::{OpKind, Operation};
use crate::record::Key;
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

/// Turns every newcomer into a create, an adoption or a conflict.
pub(super) async fn settle(planner: &Planner, merged: &Merged) -> Result<()> {
    let count = merged.spool().newcomer_count()?;
    if count == 0 {
        return Ok(());
    }
    let listed = merged.listed
        || match worth_listing(planner, count) {
            Worth::Looking => false,
            Worth::Listing(budget) => list(planner, &merged.spool, budget).await?,
        };
    let mut after = String::new();
    loop {
        let page = merged.spool().newcomers(&after, PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.create.key.to_string();
        let operations: Vec<Operation> = futures_util::stream::iter(page)
            .map(|newcomer| async move {
                let found =
                    if listed { find_listed(planner, merged, &newcomer).await } else { find(planner, &newcomer).await };
                Ok::<_, crate::exit::Failure>(operation(newcomer, found?, planner.sync.target.engine.catalogue()))
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

/// Where an account's id stands among the values by which it is found in a listing, folded: no field has this name.
pub(super) const ITS_ID: &str = "";

/// What takes fewer requests.
enum Worth {
    /// One look-up each.
    Looking,
    /// One listing of everybody, as long as it takes no more pages than this.
    Listing(Option<u64>),
}

/// Requests that looking everybody up one by one takes.
fn look_ups(planner: &Planner, newcomers: u64) -> u64 {
    let by_key = u64::from(planner.sync.target.engine.catalogue().key_field.is_some());
    newcomers * (by_key + planner.sync.match_fields.len() as u64).max(1)
}

/// Whether a listing promises to take fewer requests. How many accounts the target has isn't known before it is
/// listed; those that we know of are a lower bound, and [`list`] gives up when the listing turns out longer. What the
/// target can't be asked for one by one can only be listed.
fn worth_listing(planner: &Planner, newcomers: u64) -> Worth {
    let engine = &planner.sync.target.engine;
    if !engine.can_list() {
        return Worth::Looking;
    }
    let catalogue = engine.catalogue();
    let sought = catalogue.recognised_by(&planner.sync.match_fields);
    if !sought.iter().chain(&catalogue.key_field).all(|field| engine.find_fields().contains(field)) {
        return Worth::Listing(None);
    }
    let budget = look_ups(planner, newcomers);
    let pages = planner.known.users / u64::from(engine.page_size().max(1)) + 1;
    if pages < budget { Worth::Listing(Some(budget)) } else { Worth::Looking }
}

/// Lists the target when somebody is invited, to see who has accepted; tells whether it did. One listing a run, however
/// many they are.
///
/// # Errors
/// The target can't be reached, or the spool fails.
pub(super) async fn list_for_invited(planner: &Planner, spool: &Mutex<Spool>) -> Result<bool> {
    match planner.known.invited > 0 && planner.client.engine().can_list() {
        true => list(planner, spool, None).await,
        false => Ok(false),
    }
}

/// Lists the target into the spool; `false` when it takes more pages than it may.
async fn list(planner: &Planner, spool: &Mutex<Spool>, budget: Option<u64>) -> Result<bool> {
    let mut left = budget.unwrap_or(u64::MAX);
    let sought = planner.client.engine().catalogue().recognised_by(&planner.sync.match_fields);
    let is_address = planner.client.engine().id_is_address();
    let listing = planner.client.engine().list();
    planner
        .client
        .pages(listing, |page| {
            let spool = spool.lock().unwrap_or_else(PoisonError::into_inner);
            for account in &page.accounts {
                let mut values: Vec<_> = (sought.iter())
                    .filter_map(|f| Some((f.clone(), account.attributes.get(f).and_then(folded)?)))
                    .collect();
                let id = &account.remote_id;
                values.push((ITS_ID.into(), if is_address { id.to_lowercase() } else { id.clone() }));
                spool.list(account, &values)?;
            }
            left -= 1;
            Ok(left > 0)
        })
        .await
}

async fn find_listed(planner: &Planner, merged: &Merged, newcomer: &Newcomer) -> Result<Found> {
    if let Some(key) = &newcomer.key_value {
        let found = merged.spool().listed_by_key(key)?;
        if !found.is_empty() {
            return choose(&planner.client, &planner.state, newcomer, found).await;
        }
    }
    let mut found = Vec::new();
    for (field, value) in &newcomer.matches {
        found.extend(merged.spool().listed_by_match(field, value)?);
    }
    choose(&planner.client, &planner.state, newcomer, found).await
}

async fn find(planner: &Planner, newcomer: &Newcomer) -> Result<Found> {
    look_up(&planner.client, &planner.state, newcomer).await
}

/// Looks one person up on the target: by key, then by each `match` field.
///
/// # Errors
/// The target can't be reached, or the state fails.
pub async fn look_up(client: &Client, state: &State, newcomer: &Newcomer) -> Result<Found> {
    if let (Some(field), Some(key)) = (&client.engine().catalogue().key_field, &newcomer.key_value) {
        let mut found = client.find(field, key).await?;
        found.retain(|account| account.key.as_ref() == Some(key));
        if !found.is_empty() {
            return choose(client, state, newcomer, found).await;
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
    choose(client, state, newcomer, found).await
}

/// Judges the candidates.
async fn choose(client: &Client, state: &State, newcomer: &Newcomer, mut found: Vec<Account>) -> Result<Found> {
    found.sort_by(|a, b| a.remote_id.cmp(&b.remote_id));
    found.dedup_by(|a, b| a.remote_id == b.remote_id);
    // Who has come has an account, even where their invitation is still about.
    if found.iter().any(|account| account.state != AccountState::Invited) {
        found.retain(|account| account.state != AccountState::Invited);
    }
    let key = &newcomer.create.key;
    let shown = |account: &Account| client.engine().loggable_id(&account.remote_id);
    if found.len() > 1 {
        let ids: Vec<_> = found.iter().map(shown).collect();
        let message = format!("more than one account could be {key}: {}", ids.join(", "));
        return Ok(Found::Conflict(OpError::new(ErrorKind::Conflict, message)));
    }
    let Some(account) = found.pop() else { return Ok(Found::Nobody) };
    if let Some(other) = foreign_key(&account, newcomer.key_value.as_deref()) {
        return Ok(Found::Conflict(conflict(key, &shown(&account), &format!("carries the key {other}"))));
    }
    let owner = state.ask(OwnerOf { target: client.target().into(), remote_id: account.remote_id.clone() }).await?;
    match owner {
        Some((_, other)) if other != *key => {
            Ok(Found::Conflict(conflict(key, &shown(&account), &format!("belongs to {other}"))))
        }
        _ => Ok(Found::Account(Box::new(account))),
    }
}

/// The key that an account carries, if it is not this one.
fn foreign_key<'a>(account: &'a Account, wanted: Option<&str>) -> Option<&'a str> {
    let carried = account.key.as_deref().map(str::trim).filter(|k| !k.is_empty())?;
    (wanted.map(str::trim) != Some(carried)).then_some(carried)
}

fn conflict(key: &Key, remote_id: &str, why: &str) -> OpError {
    OpError::new(ErrorKind::Conflict, format!("account {remote_id} looks like {key} and {why}"))
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
        matches: (catalogue.recognised_by(match_fields).iter())
            .filter_map(|f| Some((f.clone(), value(f).and_then(folded)?)))
            .collect(),
        create: create.clone(),
        protected: false,
    }
}
