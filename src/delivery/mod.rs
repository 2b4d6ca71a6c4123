//! Delivery: takes an approved plan, journals each operation before its request leaves, carries it out at the
//! operator's rate, and confirms it in one transaction.
//!
//! Three parties share the work. The feeder reads the plan in order and makes intents durable, a batch ahead of the
//! senders; the senders carry out, as many at once as the target allows; the settler writes what came of it, many
//! confirmations a commit, and reports nothing before it is on disk. A wave ends before the next begins. When all have
//! ended, creates that brought no usable answer are looked up once more.

mod attempt;

mod unanswered;

mod ending;

mod feed;

mod account_check;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::settings::SyncSettings;
use crate::domain::error::Failure;
use crate::domain::ids::{EntryId, RunId, SyncId};
use crate::domain::limits::Approved;
use crate::domain::operation::OpKind;
use crate::domain::outcome::{ErrorKind, OfRun, OpError, Outcome, Status};
use crate::domain::record::Key;
use crate::domain::rules::SkipReason;
use crate::os::clock::Clock;
use crate::os::panics::joined;
use crate::plan::Plan;
use crate::state::State;
use crate::state::journal::{Effect, Settle, Settlement};
use crate::state::people::IsPaused;

pub use crate::account::client::{Carrier, Client, TargetBudget, Unanswered};
pub use crate::account::clients::{Clients, TargetBudgetReading};
pub use crate::account::prepare::{PrepareError, Seen};
pub use crate::account::refusal::Refusal;
pub use attempt::Attempt;
pub use ending::Finished;

/// What watches a run: the progress bar, the outcome file, the log.
pub trait RunObserver: Send + Sync {
    /// A sync begins to send this many operations.
    fn begin(&self, sync: &str, operations: u64);

    /// An outcome is on disk.
    fn outcome(&self, outcome: &Outcome);
}

/// Which run, and of which sync.
#[derive(Clone, Debug)]
pub struct RunContext {
    /// The run's id.
    pub run: RunId,
    /// The sync.
    pub sync: Arc<SyncSettings>,
    /// The sync's number.
    pub id: SyncId,
}

/// One delivery.
pub struct Delivery {
    /// Who.
    pub who: RunContext,
    /// The state.
    pub state: State,
    /// The target.
    pub client: Arc<Client>,
    /// What time it is.
    pub clock: Clock,
    /// Asks to take up nothing new.
    pub stop: CancellationToken,
    /// Who watches.
    pub observer: Arc<dyn RunObserver>,
    /// Whether it stops when the sync is paused; an undo, for which it is paused, goes on.
    pub heeds_pause: bool,
    /// Whether it learns what the target keeps of its own by reading what it has written: a repair does, so that the next
    /// one has nothing left to write.
    pub learns: bool,
}

/// Outcomes by status, for one kind of operation.
pub type Counts = BTreeMap<Status, u64>;

/// Outcomes by kind of operation and status.
type Tally = BTreeMap<OpKind, Counts>;

/// What a delivery came to.
#[derive(Debug, Default)]
pub struct Delivered {
    /// By kind of operation as it was carried out, and status.
    pub counts: BTreeMap<OpKind, Counts>,
    /// Why it stopped before its end.
    pub stopped: Option<Stop>,
}

/// Why a delivery stopped before its end.
#[derive(Debug)]
pub enum Stop {
    /// A signal.
    Asked,
    /// Somebody paused the sync.
    Paused,
    /// More operations failed than `limits.failures` allows.
    Failures {
        /// How many failed.
        failed: u64,
        /// How many are allowed.
        allowed: u64,
    },
    /// The target did not answer usefully, many times in a row.
    Breaker,
    /// The credentials were refused.
    Denied(String),
    /// Whatever was tried, the target took nothing: it was down before anything was sent.
    Unreachable(OpError, Option<u16>),
    /// The day's requests are used up.
    Quota,
    /// The state failed: nothing may be sent that can't be journalled.
    State(Failure),
}

/// This many operations in a row that end without a useful answer stop the target: it is down, and the rest would
/// only wait for nothing.
const BREAKER: u64 = 10;

/// How often a running delivery looks whether it was paused: soon enough for a person who waits for it.
const PAUSE_IS_SEEN_WITHIN: Duration = Duration::from_millis(200);

/// How long requests under way are waited for once somebody asked to stop: longer than an answer usually takes, and well
/// within the time after which service managers kill (systemd's default is 90 seconds).
const STOPS_WITHIN: Duration = Duration::from_secs(10);

/// How many confirmations share a command, and so a commit.
const CONFIRMATIONS: usize = 256;

/// How long a confirmation waits for others to share its commit: short for whoever watches, and long enough that a fast
/// load makes some dozen commits a second and not thousands. Should the process die meanwhile, what waited is looked up.
const COMPANY: Duration = Duration::from_millis(20);

/// What senders and settler share.
struct Shared {
    delivery: Delivery,
    halt: CancellationToken,
    abandon: CancellationToken,
    why: std::sync::Mutex<Option<Stop>>,
    failed: AtomicU64,
    in_a_row: AtomicU64,
    allowed: Option<u64>,
    /// A request has, or may have, come to something.
    reached: AtomicBool,
    /// The first word of a target that took nothing.
    down: std::sync::Mutex<Option<(OpError, Option<u16>)>>,
    /// A create brought no usable answer, and is to be looked up when everything else has ended.
    has_doubts: AtomicBool,
}

/// An operation with its entry in the journal.
type Begun = (Option<EntryId>, Finished);

impl Delivery {
    /// Sends a plan.
    pub async fn deliver(self, approved: &Approved<Plan>) -> Delivered {
        let plan = approved.plan();
        let halt = self.stop.child_token();
        let allowed = self.who.sync.limits.failures.allowed(plan.total());
        let shared = Arc::new(Shared {
            delivery: self,
            halt,
            abandon: CancellationToken::new(),
            why: std::sync::Mutex::new(None),
            failed: AtomicU64::new(0),
            in_a_row: AtomicU64::new(0),
            allowed,
            reached: AtomicBool::new(false),
            down: std::sync::Mutex::new(None),
            has_doubts: AtomicBool::new(false),
        });
        let pauses = tokio::spawn(watch_for_pause(Arc::clone(&shared)));
        let patience = tokio::spawn(lose_patience(Arc::clone(&shared)));
        let mut counts = Tally::new();
        let (ended, settler) = settler_of(&shared);
        if let Err(failure) = feed::feed(&shared, plan, &ended).await {
            shared.halt_for(Stop::State(failure));
        }
        drop(ended);
        shared.settled(settler, &mut counts).await;
        if shared.has_doubts.load(Ordering::Relaxed) {
            let (ended, settler) = settler_of(&shared);
            if let Err(failure) = unanswered::look_again(&shared, &ended).await {
                shared.halt_for(Stop::State(failure));
            }
            drop(ended);
            shared.settled(settler, &mut counts).await;
        }
        pauses.abort();
        patience.abort();
        Delivered { stopped: shared.why_stopped(&counts), counts }
    }
}

impl Shared {
    /// Waits for a settler to end, and adds up what it counted.
    async fn settled(&self, settler: JoinHandle<Tally>, counts: &mut Tally) {
        let counted = settler.await.unwrap_or_else(|e| {
            self.halt_for(Stop::State(joined("the settler broke off", e)));
            Tally::new()
        });
        for (op, by_status) in counted {
            for (status, n) in by_status {
                *counts.entry(op).or_default().entry(status).or_default() += n;
            }
        }
    }

    /// Takes up nothing new, for the first of possibly several reasons.
    fn halt_for(&self, why: Stop) {
        let mut slot = self.why.lock().unwrap_or_else(PoisonError::into_inner);
        let graver = matches!(why, Stop::State(_)) && !matches!(*slot, Some(Stop::State(_)));
        if slot.is_none() || graver {
            *slot = Some(why);
        }
        self.halt.cancel();
    }

    /// Why it stopped, all told.
    fn why_stopped(&self, counts: &BTreeMap<OpKind, Counts>) -> Option<Stop> {
        let why = self.why.lock().unwrap_or_else(PoisonError::into_inner).take();
        let down = self.down.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (why, down) {
            (None | Some(Stop::Breaker | Stop::Failures { .. }), Some(down))
                if !self.reached.load(Ordering::Relaxed) =>
            {
                Some(Stop::Unreachable(down.0, down.1))
            }
            (Some(why), _) => Some(why),
            // Asked to stop, with nothing left to be stopped: it has ended by itself.
            (None, _) => {
                let left = counts.values().any(|by_status| by_status.contains_key(&Status::Skipped));
                (left && self.delivery.stop.is_cancelled()).then_some(Stop::Asked)
            }
        }
    }

    /// Notes whether the target took anything at all.
    fn watch_for_a_sign(&self, finished: &Finished) {
        match (finished.status, &finished.error) {
            (Status::Failed, Some(error)) if is_silence(finished) => {
                let mut down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
                down.get_or_insert_with(|| (error.clone(), finished.http_status));
            }
            // Nothing was asked of it.
            _ if finished.attempts == 0 => {}
            _ => self.reached.store(true, Ordering::Relaxed),
        }
    }

    /// Why what is left is left.
    fn skip_reason(&self) -> SkipReason {
        match &*self.why.lock().unwrap_or_else(std::sync::PoisonError::into_inner) {
            Some(Stop::Quota) => SkipReason::Quota,
            _ => SkipReason::Stopped,
        }
    }

    /// Counts an ending against what stops a delivery.
    fn watch_for_trouble(&self, finished: &Finished) {
        self.watch_for_a_sign(finished);
        if matches!(finished.effect, Effect::Doubtful { .. }) {
            self.has_doubts.store(true, Ordering::Relaxed);
        }
        if finished.denied {
            self.halt_for(Stop::Denied(finished.error.as_ref().map_or_else(String::new, |e| e.message.clone())));
        }
        if finished.used_up {
            self.halt_for(Stop::Quota);
        }
        // What was in doubt when it was planned was never sent, and tells nothing of what is.
        if matches!(finished.status, Status::Failed | Status::Unknown) && finished.operation.conflict().is_none() {
            let failed = self.failed.fetch_add(1, Ordering::Relaxed) + 1;
            if let Some(allowed) = self.allowed.filter(|allowed| failed > *allowed) {
                self.halt_for(Stop::Failures { failed, allowed });
            }
        }
        match is_silence(finished) {
            true if self.in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= BREAKER => self.halt_for(Stop::Breaker),
            true => {}
            _ if finished.status != Status::Skipped => self.in_a_row.store(0, Ordering::Relaxed),
            _ => {}
        }
    }
}

/// Whether it ended for want of an answer of the target's: none came, or none over HTTP, or one that puts off.
fn is_silence(finished: &Finished) -> bool {
    finished.error.as_ref().is_some_and(|error| match error.kind {
        ErrorKind::Network | ErrorKind::Timeout | ErrorKind::RateLimited => true,
        ErrorKind::Protocol => finished.attempts > 0 && finished.http_status.is_none(),
        _ => false,
    })
}

/// Halts when somebody pauses the sync meanwhile, which another process writes into the state.
async fn watch_for_pause(shared: Arc<Shared>) {
    let d = &shared.delivery;
    while !shared.halt.is_cancelled() {
        tokio::time::sleep(PAUSE_IS_SEEN_WITHIN).await;
        if d.heeds_pause
            && let Ok(true) = d.state.ask(IsPaused(d.who.id)).await
        {
            shared.halt_for(Stop::Paused);
        }
    }
}

/// Some time after somebody asked to stop, answers are waited for no more: what has none is unknown.
async fn lose_patience(shared: Arc<Shared>) {
    shared.delivery.stop.cancelled().await;
    tokio::time::sleep(STOPS_WITHIN).await;
    shared.abandon.cancel();
}

/// A settler, and where it is handed endings until the sender is dropped.
fn settler_of(shared: &Arc<Shared>) -> (mpsc::Sender<Begun>, JoinHandle<Tally>) {
    let (ended, endings) = mpsc::channel(CONFIRMATIONS * 2);
    (ended, tokio::spawn(confirm_endings(Arc::clone(shared), endings)))
}

/// Writes endings, many a commit, and reports each when it is on disk.
async fn confirm_endings(shared: Arc<Shared>, mut endings: mpsc::Receiver<Begun>) -> Tally {
    let d = &shared.delivery;
    let mut counts = Tally::new();
    let mut batch = Vec::with_capacity(CONFIRMATIONS);
    while gather(&mut endings, &mut batch).await {
        let settlements: Vec<Settlement> = batch
            .drain(..)
            .map(|(entry, finished)| {
                let outcome = (!finished.operation.is_step()).then(|| Arc::new(d.who.outcome_of(&finished, d)));
                let key = finished.operation.key.clone();
                let replaced = finished.replaced();
                let (effect, kept) = (finished.effect, finished.kept);
                Settlement { entry, key, at: d.clock.stamp(), effect, outcome, replaced, kept }
            })
            .collect();
        let outcomes = match d.state.ask(Settle { sync: d.who.id, settlements }).await {
            Ok(outcomes) => outcomes,
            Err(error) => {
                // What is not on disk is not reported: the entries are still in the journal, and the next run
                // resolves them.
                shared.halt_for(Stop::State(error.into()));
                continue;
            }
        };
        for outcome in &outcomes {
            if let Some(op) = outcome.op {
                *counts.entry(op).or_default().entry(outcome.status).or_default() += 1;
            }
            d.observer.outcome(outcome);
        }
    }
    counts
}

/// Waits for an ending and, a moment longer, for others to share its commit; `false` when none will come any more.
/// Nothing waits for them but their report: the requests go on meanwhile.
async fn gather(endings: &mut mpsc::Receiver<Begun>, batch: &mut Vec<Begun>) -> bool {
    if endings.recv_many(batch, CONFIRMATIONS).await == 0 {
        return false;
    }
    if batch.len() < CONFIRMATIONS {
        tokio::time::sleep(COMPANY).await;
    }
    while batch.len() < CONFIRMATIONS
        && let Ok(ending) = endings.try_recv()
    {
        batch.push(ending);
    }
    true
}

impl RunContext {
    /// An outcome of this run for which nothing was sent.
    pub fn outcome(&self, ts: DateTime<Utc>, key: Option<Key>, op: Option<OpKind>, status: Status) -> Outcome {
        let of = OfRun {
            run: self.run.clone(),
            sync: self.sync.name.clone(),
            source: self.sync.source.name.clone(),
            target: self.sync.target.name.clone(),
        };
        Outcome::new(ts, of, key, op, status)
    }

    fn outcome_of(&self, finished: &Finished, delivery: &Delivery) -> Outcome {
        let operation = &finished.operation;
        let confirmed = match &finished.effect {
            Effect::Confirmed { remote_id, .. } => Some(remote_id.clone()),
            _ => operation.remote_id.clone(),
        };
        let (key, op) = (Some(operation.key.clone()), Some(operation.kind));
        Outcome {
            remote_id: confirmed.map(|id| delivery.client.engine().loggable_id(&id)),
            fields: operation.fields.keys().cloned().collect(),
            attempts: finished.attempts,
            http_status: finished.http_status,
            duration_ms: finished.took.as_millis() as u64,
            reason: finished.reason.clone(),
            error: finished.error.clone(),
            ..self.outcome(delivery.clock.stamp(), key, op, finished.status)
        }
    }
}

#[cfg(test)]
mod tests;
