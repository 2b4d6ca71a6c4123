//! Binding a sync anew: its target has another address or kind, or its source another key. The people it knew are
//! found again among the accounts there, so that nobody is created twice and nobody is taken for a leaver.
//!
//! Nothing is written to the target. Who isn't found again is forgotten: the next plan looks at them as at anybody new.

use crate::os::panics::off_thread;
use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::account::Listing;
use crate::config::settings::SyncSettings;
use crate::domain::account::{Account, AccountState};
use crate::domain::error::{Failure, Result};
use crate::domain::ids::SyncId;
use crate::domain::local_time::LocalTime;
use crate::domain::record::Key;
use crate::domain::rules::PersonState;
use crate::domain::value::{folded, folded_each};
use crate::plan::PAGE;
use crate::plan::newcomers::recognised_by;
use crate::run::{Read, Runner, binding};
use crate::state::State;
use crate::state::binding::{BeginGathering, Bound as Standing, FoundAgain, Gather, Rebind, WhoseWas};
use crate::state::bodies::{Bodies, Body};
use crate::state::people::{OwnerOf, PeoplePage, Person};

/// Finds people again; returns how many were found, and how many were not.
pub(super) async fn rebind(
    runner: &Runner,
    sync: &Arc<SyncSettings>,
    read: &Read,
    listing: &Arc<Listing>,
    was: &Standing,
    known_before: u64,
) -> Result<(u64, u64)> {
    let now = binding(sync);
    let new = runner.state.ask(BeginGathering(now.clone())).await?;
    let mut found = 0;
    if was.binding.kind == now.kind && was.binding.source_key == now.source_key {
        found += by_account(runner, sync, listing, was.id, new).await?;
    }
    let search = Search {
        sync: Arc::clone(sync),
        listing: Arc::clone(listing),
        state: runner.state.clone(),
        old: was.id,
        new,
        rekeyed: was.binding.source_key != now.source_key,
        at: runner.clock.stamp(),
    };
    let (intake, time) = (Arc::clone(&read.intake), read.at.time(sync));
    found += off_thread("finding people again broke off", move || search.by_record(&intake, time)).await??;
    runner.state.ask(Rebind { old: was.id, new, binding: now }).await?;
    tracing::info!(sync = %sync.name, found, known_before, "bound anew");
    Ok((found, known_before.saturating_sub(found)))
}

/// The same kind at another address: who has the account of the same id there, and is the same person.
async fn by_account(runner: &Runner, sync: &SyncSettings, listing: &Listing, old: SyncId, new: SyncId) -> Result<u64> {
    let mut found = 0;
    let mut pages = runner.state.pages(PeoplePage { sync: old, after: None, limit: PAGE });
    while let Some(page) = pages.next().await? {
        let keys = page.iter().map(|p| p.key.clone()).collect();
        let bodies = runner.state.ask(Bodies { sync: old, keys }).await?;
        let mut people = Vec::new();
        for person in &page {
            let account = person.remote_id.as_ref().map(|id| listing.by_id(id)).transpose()?.flatten();
            let body = bodies.get(&person.key).cloned().unwrap_or_default();
            if let Some(account) = account.filter(|account| is_theirs(sync, person, &body, account)) {
                people.push(found_again(person.key.clone(), account, Some(person.state)));
            }
        }
        found += runner.state.ask(Gather { sync: new, at: runner.clock.stamp(), people }).await?;
    }
    Ok(found)
}

/// An id alone proves nothing at another address: the account must carry the person's key, or, where it carries none,
/// a value that recognises them.
fn is_theirs(sync: &SyncSettings, person: &Person, body: &Body, account: &Account) -> bool {
    let catalogue = sync.target.engine.catalogue();
    let acknowledged = catalogue.key_field.as_ref().and_then(|f| body.attributes.get(f)).and_then(folded);
    match account.key.as_deref().map(str::trim).filter(|k| !k.is_empty()) {
        Some(carried) => carried == person.key.as_str() || acknowledged == Some(carried.to_lowercase()),
        None => sync.match_fields.iter().any(|field| {
            let known = body.attributes.get(field).map(folded_each).unwrap_or_default();
            known.iter().any(|value| account.is_recognised(field, value))
        }),
    }
}

fn found_again(key: Key, account: Account, was: Option<PersonState>) -> FoundAgain {
    let state = match account.state {
        AccountState::Banned => PersonState::Banned,
        _ if was == Some(PersonState::Left) => PersonState::Left,
        AccountState::Invited => PersonState::Invited,
        AccountState::Active => PersonState::Active,
    };
    FoundAgain { key, remote_id: account.remote_id, state, attributes: account.attributes }
}

/// Looks the records of the source up among the accounts.
struct Search {
    sync: Arc<SyncSettings>,
    listing: Arc<Listing>,
    state: State,
    old: SyncId,
    new: SyncId,
    /// The source has another key: accounts that the sync had before carry old keys, and are taken all the same.
    rekeyed: bool,
    at: DateTime<Utc>,
}

impl Search {
    fn by_record(&self, intake: &crate::source::Intake, time: LocalTime) -> Result<u64> {
        let bound = self.sync.mapping.bind(intake.columns()).map_err(|missing| {
            Failure::internal(format!("the source was read without the columns {}", missing.join(", ")))
        })?;
        let mut found = 0;
        for page in intake.pages() {
            let mut people = Vec::new();
            for record in &page? {
                let mut accounts = BTreeMap::new();
                for desired in bound.regardless_of_scope(record, time) {
                    let account = self.account_of(&record.key, &desired)?;
                    accounts.extend(account.map(|account| (account.remote_id.clone(), account)));
                }
                // Rows that recognise several accounts recognise none.
                if accounts.len() == 1 {
                    let found = accounts.into_values();
                    people.extend(found.map(|account| found_again(record.key.clone(), account, None)));
                }
            }
            let gather = Gather { sync: self.new, at: self.at, people };
            found += self.state.ask_blocking(gather)?;
        }
        Ok(found)
    }

    /// The one account that is theirs: by key, then by `match`. Of two candidates neither is taken.
    fn account_of(&self, key: &Key, desired: &crate::mapping::Desired) -> Result<Option<Account>> {
        let catalogue = self.sync.target.engine.catalogue();
        let (key_value, matches) = recognised_by(desired, &self.sync.match_fields, catalogue);
        let mut found = match &key_value {
            Some(value) => self.listing.by_key(value)?,
            None => Vec::new(),
        };
        if found.is_empty() {
            for (field, value) in &matches {
                found.extend(self.listing.by_match(field, value)?);
            }
        }
        found.dedup_by(|a, b| a.remote_id == b.remote_id);
        let [account] = found.as_slice() else { return Ok(None) };
        // Somebody whom the sync never knew is for the plan to adopt, with an outcome.
        let remote_id = account.remote_id.clone();
        let before = self.state.ask_blocking(WhoseWas { sync: self.old, remote_id: remote_id.clone() })?;
        let known = before.is_some() || self.was_known(key)?;
        let owner = self.state.ask_blocking(OwnerOf {
            syncs: self.sync.writers(),
            target: self.sync.target.identity(),
            remote_id,
        })?;
        let anothers = owner.is_some_and(|(sync, _)| sync != self.sync.name);
        let carried = account.key.as_deref().map(str::trim).filter(|k| !k.is_empty());
        let foreign = carried.is_some() && carried != key_value.as_deref();
        let tolerated = self.rekeyed && before.is_some();
        Ok((known && !anothers && (!foreign || tolerated)).then(|| account.clone()))
    }

    fn was_known(&self, key: &Key) -> Result<bool> {
        Ok(self.state.ask_blocking(Bodies { sync: self.old, keys: vec![key.clone()] })?.contains_key(key))
    }
}
