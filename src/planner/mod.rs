//! From a trusted read to a plan: merges the source with the snapshot in key order, decides for each person by the
//! table of rules, looks newcomers up on the target, and puts everything in order.
//!
//! Nothing here writes to a target or to the state database: the result is a spool, a tally and an id. A dry run ends
//! after this module.

mod merge;
pub mod newcomers;
mod order;
mod resolve;
mod spool;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use chrono::{DateTime, NaiveDate, Utc};

use crate::config::settings::SyncSettings;
use crate::delivery::Client;
use crate::exit::{Failure, Result};
use crate::limits::{Digest, Tally};
use crate::plan::{OpKind, Operation, PlanHasher};
use crate::record::Key;
use crate::source::Intake;
use crate::state::people::{KnownSync, SyncId};
use crate::state::{State, StateError};

pub use resolve::{Resolution, resolve};
pub use spool::{PAGE, Spool};

/// What a plan is made from.
pub struct Planner {
    /// The sync.
    pub sync: Arc<SyncSettings>,
    /// What the state knows of it.
    pub known: KnownSync,
    /// The trusted read, shared with the other syncs on the source.
    pub intake: Arc<Mutex<Intake>>,
    /// The state.
    pub state: State,
    /// The target, for looking up.
    pub client: Arc<Client>,
    /// The time of the run.
    pub now: DateTime<Utc>,
    /// The date in the sync's time zone.
    pub today: NaiveDate,
    /// The read is incomplete: creates and updates only.
    pub incomplete: bool,
    /// Only these people; empty: all.
    pub only: BTreeSet<Key>,
    /// Bans and deletes of the last 24 hours.
    pub bans_before: u64,
}

/// A plan, spooled and counted.
pub struct Plan {
    spool: Mutex<Spool>,
    /// Its id.
    pub id: String,
    /// What it comes to, for the limits.
    pub tally: Tally,
    /// Operations by kind.
    pub counts: BTreeMap<OpKind, u64>,
    /// Good records in the source.
    pub source_records: u64,
    /// Of those, out of scope.
    pub excluded: u64,
    /// Of those, unchanged.
    pub unchanged: u64,
    /// Rejected records.
    pub rejected: u64,
    /// People deliberately left alone.
    pub skipped: u64,
    /// Of those, how many leave work for somebody.
    pub skipped_with_work: u64,
    /// People with an operation whose fate is not known yet.
    pub unresolved: BTreeSet<Key>,
    /// The sync's number; `None` when it never ran.
    pub sync: Option<SyncId>,
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Plan({}, {:?})", self.id, self.counts)
    }
}

impl Plan {
    /// The spool, for reading pages of it. Never hold it over an await.
    pub fn spool(&self) -> MutexGuard<'_, Spool> {
        self.spool.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// All operations of the plan.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Calls `visit` with each operation, in order.
    pub fn for_each(&self, mut visit: impl FnMut(&Operation)) -> Result<(), StateError> {
        let mut last: Option<Operation> = None;
        loop {
            let page = self.spool().operations(last.as_ref(), PAGE)?;
            page.iter().for_each(&mut visit);
            match page.last() {
                Some(operation) => last = Some(operation.clone()),
                None => return Ok(()),
            }
        }
    }

    /// The digests of all operations.
    pub fn digests(&self) -> Result<BTreeSet<Digest>, StateError> {
        let mut digests = BTreeSet::new();
        self.for_each(|operation| {
            digests.insert(operation.digest());
        })?;
        Ok(digests)
    }

    /// Keeps only the operations with these digests; the id stays that of the whole plan.
    pub fn keep(&mut self, digests: &BTreeSet<Digest>) -> Result<(), StateError> {
        self.spool().retain(|operation| digests.contains(&operation.digest()))?;
        let (_, tally, counts) = measure(self, "", self.tally.users, self.tally.bans_before)?;
        self.tally = tally;
        self.counts = counts;
        Ok(())
    }
}

impl Planner {
    /// Makes the plan.
    ///
    /// # Errors
    /// The target can't be reached or refuses the credentials, the state fails, the temporary directory is full.
    pub async fn plan(self) -> Result<Plan> {
        let planner = Arc::new(self);
        let spool = Mutex::new(Spool::new()?);
        let listed = newcomers::list_for_invited(&planner, &spool).await?;
        let merging = Arc::clone(&planner);
        let merged = tokio::task::spawn_blocking(move || merge::merge(&merging, spool, listed))
            .await
            .map_err(|e| Failure::internal("planning broke off").because(e))??;
        newcomers::settle(&planner, &merged).await?;
        order::arrange(&planner.sync, &merged.spool())?;
        finish(&planner, merged)
    }
}

/// What merging found, on the way to a plan.
pub(crate) struct Merged {
    spool: Mutex<Spool>,
    /// The target's listing is in the spool.
    listed: bool,
    excluded: u64,
    unchanged: u64,
    unresolved: BTreeSet<Key>,
    skipped: u64,
    skipped_with_work: u64,
    rejected: u64,
}

impl Merged {
    fn spool(&self) -> MutexGuard<'_, Spool> {
        self.spool.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn finish(planner: &Planner, merged: Merged) -> Result<Plan> {
    let source_records = {
        let intake = planner.intake.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        intake.stats().records
    };
    let mut plan = Plan {
        spool: merged.spool,
        id: String::new(),
        tally: Tally::default(),
        counts: BTreeMap::new(),
        source_records,
        excluded: merged.excluded,
        unchanged: merged.unchanged,
        rejected: merged.rejected,
        skipped: merged.skipped,
        skipped_with_work: merged.skipped_with_work,
        unresolved: merged.unresolved,
        sync: planner.known.id,
    };
    let (id, tally, counts) = measure(&plan, &planner.sync.name, planner.known.users, planner.bans_before)?;
    plan.id = id;
    plan.tally = tally;
    plan.counts = counts;
    Ok(plan)
}

/// Counts a plan and computes its id, in one pass over its operations.
fn measure(
    plan: &Plan,
    sync: &str,
    users: u64,
    bans_before: u64,
) -> Result<(String, Tally, BTreeMap<OpKind, u64>), StateError> {
    let mut hasher = PlanHasher::new(sync);
    let mut tally = Tally { users, bans_before, ..Tally::default() };
    let mut counts = BTreeMap::new();
    plan.for_each(|operation| {
        hasher.add(operation);
        tally.add(operation);
        *counts.entry(operation.kind).or_default() += 1;
    })?;
    Ok((hasher.id(), tally, counts))
}
