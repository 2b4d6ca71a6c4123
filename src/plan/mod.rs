//! From a trusted read to a plan: merges the source with the snapshot in key order, decides for each person by the
//! table of rules, looks newcomers up on the target, and puts everything in order.
//!
//! Nothing here writes to a target or to the state database: the result is a spool, a tally and an id. A dry run ends
//! after this module.

pub mod adoption;
mod apart;
pub mod compare;
pub mod diff;
pub mod undo;

mod listed;
mod lookalikes;
mod merge;
pub mod newcomers;
mod observe;
mod order;
mod pair;
mod repeated;
pub mod scope;
mod spool;

use crate::domain::keyset::{pages, text_of};
use crate::domain::local_time::LocalTime;
use crate::os::panics::off_thread;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::OnceCell;

use crate::account::Client;
use crate::config::settings::SyncSettings;
use crate::domain::error::Result;
use crate::domain::ids::{PlanId, SyncId};
use crate::domain::limits::{Basis, Digest, Measured, Tally};
use crate::domain::operation::{OpKind, Operation, PlanHasher};
use crate::domain::planned::{Planned, PlannedView};
use crate::domain::record::{Key, Reject};
use crate::domain::resource::Resource;
use crate::source::{Intake, Reviewed};
use crate::state::clock::ClockReading;
use crate::state::ledger::CameBack;
use crate::state::people::{CountUsers, KnownSync, Note, Standing};
use crate::state::{Pending, State, StateError};

pub use crate::account::claims::Doubled;
pub use crate::account::listing::Listing;
pub use observe::overlaid;
use spool::Handover;
pub use spool::{KeptByTarget, PAGE, Spool};

/// What a plan is made from.
pub struct Planner {
    /// The sync.
    pub sync: Arc<SyncSettings>,
    /// What the state knows of it.
    pub known: KnownSync,
    /// How many users it has, once that was asked.
    pub users: OnceCell<u64>,
    /// The trusted read, shared with the other syncs on the source.
    pub intake: Arc<Intake>,
    /// The state.
    pub state: State,
    /// The target, for looking up.
    pub client: Arc<Client>,
    /// The time of the run.
    pub now: DateTime<Utc>,
    /// What the clock shows, where the plan is one of another day: whoever is missing now is missing since now.
    pub pretended_at: Option<DateTime<Utc>>,
    /// What is known of the clock that tells it.
    pub clock: ClockReading,
    /// The time at which its expressions are evaluated, in the zone of the sync.
    pub time: LocalTime,
    /// The read is incomplete: creates and updates only.
    pub incomplete: bool,
    /// Only these people; empty: all.
    pub only: BTreeSet<Key>,
    /// Bans and deletes of the last 24 hours.
    pub bans_before: u64,
    /// Compare with these accounts rather than with what was acknowledged: a reconcile.
    pub observed: Option<Arc<Listing>>,
}

/// A plan, spooled and counted.
pub struct Plan {
    spool: Mutex<Spool>,
    /// The sync.
    name: String,
    /// Its id.
    pub id: PlanId,
    /// What it comes to, for the limits.
    tally: Tally,
    /// What it was made by.
    basis: Basis,
    /// Operations by kind.
    pub counts: BTreeMap<OpKind, u64>,
    /// Good records in the source.
    pub source_records: u64,
    /// Of those, out of scope.
    pub excluded: u64,
    /// Of those, unchanged.
    pub unchanged: u64,
    /// Accounts that are as they should be; counted by a reconcile alone.
    pub in_step: u64,
    /// Rejected records: keys, and rows without one.
    pub rejected: u64,
    /// Rows that can't be used, by the reader's judgement or the mapping's.
    pub rejected_rows: u64,
    /// Of so many.
    pub rows: u64,
    /// People deliberately left alone.
    pub skipped: u64,
    /// Of those, how many leave work for somebody.
    pub skipped_with_work: u64,
    /// People with an operation whose fate is not known yet.
    pub unresolved: BTreeSet<Key>,
    /// The first few of those who would come back more often than `max_flaps` allows, in key order.
    pub flapping: Vec<Key>,
    /// Which values newcomers share that should tell them apart, in words.
    pub shared: Vec<String>,
    /// The first few leavers whose keys came back in another form: `00411 → 411`.
    pub reformatted: Vec<String>,
    /// The sync's number; `None` when it never ran.
    pub sync: Option<SyncId>,
    /// What of the target it is of.
    pub resource: Resource,
    /// The read in which it was found of whom nothing is to be done although their fingerprints are others than before.
    reviewed: Option<(Arc<Intake>, SyncId)>,
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
    pub fn for_each(&self, mut visit: impl FnMut(&Planned)) -> Result<(), StateError> {
        for page in self.pages() {
            page?.iter().for_each(&mut visit);
        }
        Ok(())
    }

    /// The operations, page by page in the order in which they are sent.
    pub fn pages(&self) -> impl Iterator<Item = Result<Vec<Planned>, StateError>> {
        pages(|after| self.spool().operations(after, PAGE), |planned: &Planned| Operation::clone(planned))
    }

    /// The operations as people see them, page by page in that order.
    pub fn view_pages(&self) -> impl Iterator<Item = Result<Vec<PlannedView>, StateError>> {
        let all = pages(|after| self.spool().views(after), |(place, _): &((u32, Key), PlannedView)| place.clone());
        all.map(|page| Ok(page?.into_iter().map(|(_, view)| view).collect()))
    }

    /// Who is left alone and why, page by page in the order of keys.
    pub fn skip_pages(&self) -> impl Iterator<Item = Result<Vec<(Key, String)>, StateError>> {
        pages(|after| self.spool().skips(text_of(after), PAGE), |(key, _)| key.clone())
    }

    /// What is worth remembering should the plan be carried out, page by page.
    pub fn note_pages(&self) -> impl Iterator<Item = Result<Vec<(Key, Note)>>> {
        let spooled = pages(|after| self.spool().notes(after.copied().unwrap_or(0), PAGE), |(n, ..)| *n);
        let spooled = spooled.map(|page| Ok(page?.into_iter().map(|(_, key, note)| (key, note)).collect()));
        let reviewed = self.reviewed.iter().flat_map(|(intake, sync)| intake.reviewed_pages(*sync));
        let note = |Reviewed { was, is, in_scope }| Note::Reviewed {
            was,
            is,
            standing: if in_scope { Standing::InStep } else { Standing::Excluded },
        };
        let reviewed = reviewed
            .map(move |page| Ok(page?.into_iter().map(|(key, reviewed)| (key, note(reviewed))).collect::<Vec<_>>()));
        spooled.chain(reviewed)
    }

    /// The rejected records with their numbers, page by page in the source's order.
    pub fn reject_pages(&self) -> impl Iterator<Item = Result<Vec<(i64, Reject)>, StateError>> {
        let place = |(n, reject): &(i64, Reject)| (reject.position.line, reject.position.record, *n);
        pages(|after| self.spool().rejects(after.copied().unwrap_or_default(), PAGE), place)
    }

    /// A plan of operations that come from elsewhere than from comparing: an undo's.
    ///
    /// # Errors
    /// The temporary directory.
    pub fn assemble(sync: &SyncSettings, known: KnownSync, users: u64, spool: Spool) -> Result<Plan> {
        spool.index()?;
        order::arrange(sync, &spool)?;
        let mut plan = Plan {
            spool: Mutex::new(spool),
            name: sync.name.clone(),
            id: PlanId::default(),
            tally: Tally::default(),
            basis: basis(sync),
            counts: BTreeMap::new(),
            source_records: 0,
            excluded: 0,
            unchanged: 0,
            in_step: 0,
            rejected: 0,
            rejected_rows: 0,
            rows: 0,
            skipped: 0,
            skipped_with_work: 0,
            unresolved: BTreeSet::new(),
            flapping: Vec::new(),
            shared: Vec::new(),
            reformatted: Vec::new(),
            sync: known.id,
            resource: sync.target.engine.resource(),
            reviewed: None,
        };
        let (id, tally, counts) = measure(&plan, &sync.name, users, 0)?;
        (plan.id, plan.tally, plan.counts) = (id, tally, counts);
        Ok(plan)
    }

    /// Leaves out operations that turned out not to be wanted: another plan, with an id of its own.
    pub fn leave_out(&mut self, sync: &str, unwanted: impl Fn(&Planned) -> bool) -> Result<(), StateError> {
        self.spool().retain(|operation| !unwanted(operation))?;
        let (id, tally, counts) = measure(self, sync, self.tally.users, self.tally.bans_before)?;
        self.tally = Tally { flaps: self.tally.flaps, max_flaps: self.tally.max_flaps, ..tally };
        self.counts = counts;
        self.id = id;
        Ok(())
    }

    /// Keeps only the operations of these kinds: another plan, with an id of its own.
    pub fn narrow(&mut self, sync: &str, wanted: impl Fn(OpKind) -> bool) -> Result<(), StateError> {
        // A step on the way stays with the operation that it opens the way for.
        let mut steps = BTreeSet::new();
        self.for_each(|operation| {
            if operation.is_step() {
                steps.insert(operation.key.clone());
            }
        })?;
        let mut unwanted = BTreeSet::new();
        self.for_each(|operation| {
            if steps.contains(&operation.key) && !operation.is_step() && !wanted(operation.kind) {
                unwanted.insert(operation.key.clone());
            }
        })?;
        self.spool().retain(|o| if o.is_step() { !unwanted.contains(&o.key) } else { wanted(o.kind) })?;
        let (id, tally, counts) = measure(self, sync, self.tally.users, self.tally.bans_before)?;
        let flaps = if counts.contains_key(&OpKind::Reinstate) { self.tally.flaps } else { 0 };
        // Keys that were reformatted matter as long as anybody is created or loses access.
        let matters = counts.keys().any(|kind| kind.takes_access() || *kind == OpKind::Create);
        let rekeyed = if matters { self.tally.rekeyed } else { 0 };
        self.tally = Tally { flaps, max_flaps: self.tally.max_flaps, rekeyed, ..tally };
        self.counts = counts;
        self.id = id;
        Ok(())
    }
}

impl Measured for Plan {
    type Error = StateError;

    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn basis(&self) -> &Basis {
        &self.basis
    }

    /// Of the operations that people see: steps on the way are not theirs to approve.
    fn digests(&self) -> Result<BTreeSet<Digest>, StateError> {
        let mut digests = BTreeSet::new();
        self.spool().weigh(|digest, weight| {
            if !weight.is_step() {
                digests.insert(digest);
            }
        })?;
        Ok(digests)
    }

    /// The steps towards these operations stay too; the id stays that of the whole plan.
    fn keep(&mut self, wanted: &BTreeSet<Digest>) -> Result<(), StateError> {
        let mut kept = BTreeSet::new();
        self.for_each(|operation| {
            if !operation.is_step() && wanted.contains(&operation.digest()) {
                kept.insert(operation.key.clone());
            }
        })?;
        self.spool().retain(|operation| match operation.is_step() {
            true => kept.contains(&operation.key),
            false => wanted.contains(&operation.digest()),
        })?;
        let (_, tally, counts) = measure(self, "", self.tally.users, self.tally.bans_before)?;
        let Tally { flaps, max_flaps, rekeyed, .. } = self.tally;
        self.tally = Tally { flaps, max_flaps, rekeyed, ..tally };
        self.counts = counts;
        Ok(())
    }

    fn bans_apart(&mut self) -> Result<Plan, StateError> {
        self.without_bans()
    }
}

/// What the plans of a sync are made and judged by now.
pub fn basis(sync: &SyncSettings) -> Basis {
    Basis {
        mapping: blake3::Hash::from(sync.mapping.version()).to_hex().to_string(),
        limits: sync.limits.clone(),
        max_flaps: sync.max_flaps,
    }
}

impl Planner {
    /// Whether the plan is about this person, and not about others alone (`--only`).
    fn is_meant(&self, key: &Key) -> bool {
        self.only.is_empty() || self.only.contains(key)
    }

    /// Active and invited users at the start. Whoever plans nothing needs no such number, and to count takes its time.
    async fn users(&self) -> Result<u64> {
        let Some(id) = self.known.id else { return Ok(0) };
        Ok(*self.users.get_or_try_init(|| self.state.ask(CountUsers(id))).await?)
    }

    /// Makes the plan.
    ///
    /// # Errors
    /// The target can't be reached or refuses the credentials, the state fails, the temporary directory is full.
    pub async fn plan(self) -> Result<Plan> {
        let planner = Arc::new(self);
        let listing = listed::list_for_invited(&planner).await?;
        let (merging, joining) = (Arc::clone(&planner), listing.clone());
        let mut merged = off_thread("planning broke off", move || merge::merge(&merging, joining)).await??;
        // A read that is going to be refused is no reason to ask the target anything.
        if !merged.is_refused(&planner) {
            let skipped = newcomers::plan_each(&planner, &merged, listing).await?;
            merged.skipped += skipped;
            merged.skipped_with_work += skipped;
        }
        let reformatted = lookalikes::leave_alone(&planner, &mut merged)?;
        order::arrange(&planner.sync, &merged.spool())?;
        let users = merged.users.take();
        let mut plan = finish(&planner, merged)?;
        if !plan.counts.is_empty() {
            plan.tally.users = match users {
                Some(counted) => counted.answer().await?,
                None => planner.users().await?,
            };
        }
        plan.tally.max_flaps = planner.sync.max_flaps.into();
        plan.tally.rekeyed = reformatted.pairs;
        plan.reformatted = reformatted.named;
        flaps(&planner, &mut plan).await?;
        Ok(plan)
    }
}

/// What merging found, on the way to a plan.
pub(crate) struct Merged {
    spool: Mutex<Spool>,
    excluded: u64,
    unchanged: u64,
    in_step: u64,
    unresolved: BTreeSet<Key>,
    skipped: u64,
    skipped_with_work: u64,
    rejected: u64,
    /// The rows of those whom the mapping rejects.
    rejected_rows: u64,
    /// Those of them who have several rows: there is no good record among these.
    contradicted: u64,
    shared: Vec<String>,
    /// How many users there are, where that was asked.
    users: Option<Pending<u64>>,
}

impl Merged {
    /// Whether so many rows can't be used that the read is not to be trusted.
    fn is_refused(&self, planner: &Planner) -> bool {
        let stats = planner.intake.stats();
        let (rows, rejected) = (stats.rows(), stats.rejected_rows + self.rejected_rows);
        planner.sync.source.gate.max_rejected.allowed(rows).is_some_and(|allowed| rejected > allowed)
    }

    fn spool(&self) -> MutexGuard<'_, Spool> {
        self.spool.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn finish(planner: &Planner, merged: Merged) -> Result<Plan> {
    let stats = planner.intake.stats().clone();
    let mut plan = Plan {
        spool: merged.spool,
        name: planner.sync.name.clone(),
        id: PlanId::default(),
        tally: Tally::default(),
        basis: basis(&planner.sync),
        counts: BTreeMap::new(),
        source_records: stats.records - merged.contradicted,
        excluded: merged.excluded,
        unchanged: merged.unchanged,
        in_step: merged.in_step,
        rejected: merged.rejected,
        rejected_rows: stats.rejected_rows + merged.rejected_rows,
        rows: stats.rows(),
        skipped: merged.skipped,
        skipped_with_work: merged.skipped_with_work,
        unresolved: merged.unresolved,
        flapping: Vec::new(),
        shared: merged.shared,
        reformatted: Vec::new(),
        sync: planner.known.id,
        resource: planner.sync.target.engine.resource(),
        // A plan about some people remembers nothing of others.
        reviewed: planner.known.id.filter(|_| planner.only.is_empty()).map(|sync| (Arc::clone(&planner.intake), sync)),
    };
    let (id, tally, counts) = measure(&plan, &planner.sync.name, 0, planner.bans_before)?;
    plan.id = id;
    plan.tally = tally;
    plan.counts = counts;
    Ok(plan)
}

/// How many of those who flap are named.
const FLAPPING_NAMED: usize = 5;

/// Finds out how often the person of this plan who comes and goes most would have come back within the window, and
/// who does so more often than allowed.
async fn flaps(planner: &Planner, plan: &mut Plan) -> Result<()> {
    if !plan.counts.contains_key(&OpKind::Reinstate) {
        return Ok(());
    }
    let window = TimeDelta::from_std(planner.sync.flap_window).unwrap_or(TimeDelta::days(30));
    let since = planner.now - window;
    let mut back = Vec::new();
    plan.for_each(|operation| {
        if operation.kind == OpKind::Reinstate {
            back.push(operation.key.clone());
        }
    })?;
    back.sort();
    for keys in back.chunks(PAGE) {
        let request = CameBack { sync: planner.sync.name.clone(), keys: keys.to_vec(), since };
        let times = planner.state.ask(request).await?;
        for (key, before) in keys.iter().zip(times) {
            let times = before + 1;
            plan.tally.flaps = plan.tally.flaps.max(times);
            if times > plan.tally.max_flaps && plan.flapping.len() < FLAPPING_NAMED {
                plan.flapping.push(key.clone());
            }
        }
    }
    Ok(())
}

/// Counts a plan and computes its id, in one pass over its operations.
fn measure(
    plan: &Plan,
    sync: &str,
    users: u64,
    bans_before: u64,
) -> Result<(PlanId, Tally, BTreeMap<OpKind, u64>), StateError> {
    let mut hasher = PlanHasher::new(sync);
    let mut tally = Tally { users, bans_before, ..Tally::default() };
    let mut counts = BTreeMap::new();
    plan.spool().weigh(|digest, weight| {
        hasher.add(&digest);
        tally.add(weight);
        if !weight.is_step() {
            *counts.entry(weight.kind).or_default() += 1;
        }
    })?;
    Ok((hasher.id(), tally, counts))
}
