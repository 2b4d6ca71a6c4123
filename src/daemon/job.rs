//! A job: the runs of one or more syncs of one source, begun together. The source is read once; the syncs then run
//! beside each other, each whatever becomes of the others.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tokio_util::task::TaskTracker;

use super::{RunResult, ending};
use crate::config::settings::SyncSettings;
use crate::domain::error::{Failure, Result};
use crate::domain::remedy::Remedy;
use crate::run::reconcile::Comparison;
use crate::run::{Asked, Purpose, RunRequest, Runner, SourceRead, read_sources};
use crate::state::plans::HeldPlan;

/// A run has ended, however it did.
pub(super) struct Ended {
    /// The sync.
    pub sync: String,
    /// What it came to.
    pub result: RunResult,
}

/// What is to be done.
pub(super) enum Task {
    /// Plan and send; who asked for it, unless its time has come.
    Sync(Option<String>),
    /// Compare with the target, report, and repair where the configuration says so.
    Reconcile,
    /// Send a held plan that somebody approved.
    Approve {
        /// The plan.
        plan: Box<HeldPlan>,
        /// Who approved it.
        by: String,
        /// Why.
        reason: Option<String>,
    },
}

/// Says that a sync's run has ended, even when its task breaks off: a sync that seems to run for ever would never run
/// again.
struct RunGuard {
    sync: Arc<SyncSettings>,
    ends: UnboundedSender<Ended>,
    result: Option<RunResult>,
}

impl RunGuard {
    fn keep(mut self, result: RunResult) {
        self.result = Some(result);
    }
}

impl Drop for RunGuard {
    fn drop(&mut self) {
        let result = self.result.take().unwrap_or_else(|| Err(Failure::internal("the run broke off")));
        let _ = self.ends.send(Ended { sync: self.sync.name.clone(), result });
    }
}

/// Runs that begin together.
pub(super) struct Job {
    runner: Runner,
    task: Task,
    pledges: Vec<RunGuard>,
    tasks: TaskTracker,
}

impl Job {
    /// The runs of these syncs. Each of them ends with an [`Ended`], whatever happens.
    pub fn new(
        runner: Runner,
        syncs: Vec<Arc<SyncSettings>>,
        task: Task,
        ends: UnboundedSender<Ended>,
        tasks: TaskTracker,
    ) -> Job {
        let pledges = syncs.into_iter().map(|sync| RunGuard { sync, ends: ends.clone(), result: None }).collect();
        Job { runner, task, pledges, tasks }
    }

    /// Does it.
    pub async fn run(self) {
        let Job { runner, task, mut pledges, tasks } = self;
        match task {
            Task::Sync(by) => run_all(&runner, by.as_deref(), pledges, &tasks).await,
            Task::Reconcile => {
                for pledge in pledges {
                    let result = reconcile(&runner, &pledge.sync).await;
                    pledge.keep(result);
                }
            }
            Task::Approve { plan, by, reason } => {
                let result = runner.approve(&plan, by, reason).await;
                if let Some(pledge) = pledges.pop() {
                    pledge.keep(result.map(Some));
                }
            }
        }
    }
}

/// Reads, then runs each sync in a task of its own.
async fn run_all(runner: &Runner, by: Option<&str>, pledges: Vec<RunGuard>, tasks: &TaskTracker) {
    let syncs: Vec<_> = pledges.iter().map(|pledge| Arc::clone(&pledge.sync)).collect();
    let read = tokio::select! {
        biased;
        () = runner.stop.cancelled() => Err(ending()),
        read = ask(runner, &syncs) => read,
    };
    for pledge in pledges {
        match &read {
            Ok(read) => {
                let (runner, read) = (runner.clone(), read.clone());
                let request = RunRequest { by: by.map(str::to_string), ..RunRequest::default() };
                tasks.spawn(async move {
                    let result = one(&runner, &pledge.sync, &read, &request).await;
                    pledge.keep(result);
                });
            }
            Err(failure) => {
                let failure = failure.again();
                pledge.keep(Err(failure));
            }
        }
    }
}

/// What the syncs' source has to say, once for all of them.
async fn ask(runner: &Runner, syncs: &[Arc<SyncSettings>]) -> Result<Result<SourceRead, Arc<Failure>>> {
    let (settings, everybody) = (&runner.settings, BTreeSet::new());
    let purpose = Purpose::Plan { only: &everybody, if_changed: true, on: None };
    let mut readings = read_sources(settings, syncs, &runner.state, &runner.clock, purpose).await?;
    debug_assert!(readings.len() == 1, "the syncs of a job have one source");
    let (read, _) = readings.pop().ok_or_else(|| Failure::internal("the source of a sync is not configured"))?;
    Ok(read)
}

async fn one(
    runner: &Runner,
    sync: &Arc<SyncSettings>,
    read: &Result<SourceRead, Arc<Failure>>,
    request: &RunRequest,
) -> RunResult {
    // What a run of this daemon left in the journal because the state failed meanwhile is resolved now.
    runner.begin(std::slice::from_ref(sync)).await?;
    let summary = runner.sync_one(sync, read, request).await;
    runner.end().await;
    runner.announce(std::slice::from_ref(&summary)).await;
    Ok(Some(summary))
}

/// A scheduled reconcile: what differs is logged, and repaired where `reconcile_repair` says so.
async fn reconcile(runner: &Runner, sync: &Arc<SyncSettings>) -> RunResult {
    let remedy = Remedy { adopt: false, repair: sync.daemon.reconcile_repair };
    let mut readings = runner.read_to_reconcile(std::slice::from_ref(sync), remedy).await?;
    let (read, _) = readings.pop().ok_or_else(|| Failure::internal("the source of a sync is not configured"))?;
    let report = |comparison: &Comparison| {
        let ([missing, drifted, banned_there, active_there, adoptable], orphaned) = comparison.counts()?;
        tracing::info!(
            target: "rosterd::reconcile",
            sync = %sync.name,
            target_users = comparison.target_users,
            in_step = comparison.plan.in_step,
            missing,
            drifted,
            banned_there,
            active_there,
            adoptable,
            orphaned,
            doubled = comparison.listing.doubled_count()?,
            unresolved = comparison.plan.unresolved.len(),
            "reconciled"
        );
        Ok(())
    };
    runner.reconcile(sync, &read, remedy, Asked::BySchedule, report).await
}
