//! The life of a run, of whatever kind: its row is begun, its plan is made and then held or delivered, its row is
//! finished and a line is logged, whatever became of it. How a plan is made is the affair of each kind of run.

use std::future::Future;
use std::sync::Arc;

use tokio::time::Instant;

use super::{Read, Run, RunRequest, RunSummary, Runner};
use crate::account::Client;
use crate::config::settings::SyncSettings;
use crate::delivery::RunContext;
use crate::domain::cause::{RunCause, Trigger};
use crate::domain::error::{Error, Failure, Result, SourceReason};
use crate::domain::ids::SyncId;
use crate::state::ledger::BeginRun;
use crate::state::plans::Origin;

/// A run from its begin to its end.
pub(super) struct RunLife<'a> {
    runner: &'a Runner,
    sync: &'a Arc<SyncSettings>,
    request: &'a RunRequest,
    began: Instant,
    /// What it has come to so far.
    pub summary: RunSummary,
}

impl<'a> RunLife<'a> {
    /// A run that begins now.
    pub fn new(runner: &'a Runner, sync: &'a Arc<SyncSettings>, request: &'a RunRequest) -> RunLife<'a> {
        let summary = RunSummary::new(ulid::Ulid::new().to_string().into(), sync.name.clone());
        RunLife { runner, sync, request, began: Instant::now(), summary }
    }

    /// Writes its row. One of a few people, an undo and a repair change nothing about when the last good run was.
    ///
    /// # Errors
    /// The state fails.
    pub async fn begin(&self) -> Result<()> {
        let partial = !self.request.only.is_empty() || self.request.origin != Origin::Sync;
        let (id, sync) = (self.summary.run.clone(), self.sync.name.clone());
        let (at, cause) = (self.runner.clock.stamp(), cause(self.request));
        Ok(self.runner.state.ask(BeginRun { id, sync, at, partial, cause }).await?)
    }

    /// The run, bound to its sync's number and its target.
    pub fn on(&self, id: SyncId, client: &Arc<Client>) -> Run<'a> {
        let who = RunContext { run: self.summary.run.clone(), sync: Arc::clone(self.sync), id };
        Run { runner: self.runner, who, client: Arc::clone(client), request: self.request }
    }

    /// Finishes it: what became of it is judged against what was `read`, written into its row and logged.
    pub async fn end(mut self, done: Result<()>, read: Option<&Read>) -> RunSummary {
        let state = &self.runner.state;
        // It may have said so already.
        let untrusted = |failure: &Failure| failure.error == Error::Source(SourceReason::Untrusted);
        let trusted = done.as_ref().is_err_and(untrusted).then_some(false);
        if let Err(failure) = done {
            self.summary.fail(&failure);
        }
        if let Some(read) = read
            && let Err(failure) = read.judged(self.sync, trusted, state).await
        {
            self.summary.fail(&failure);
        }
        if let Err(error) = state.ask(self.summary.finish(self.runner.clock.stamp())).await {
            self.summary.fail(&error.into());
        }
        self.summary.duration_ms = self.began.elapsed().as_millis() as u64;
        self.summary.log();
        self.summary
    }
}

/// Why there is a run: who approves a plan is who asks for it.
fn cause(request: &RunRequest) -> RunCause {
    let approval = request.approval.as_ref();
    let by = approval.map(|approval| approval.by.clone()).or_else(|| request.by.clone());
    let (trigger, undoes) = match &request.origin {
        Origin::Undo(run) => (Trigger::Undo, Some(run.clone())),
        _ if approval.is_some() => (Trigger::Approve, None),
        Origin::Reconcile(_) => (Trigger::Reconcile, None),
        Origin::Sync if by.is_some() => (Trigger::Command, None),
        Origin::Sync => (Trigger::Schedule, None),
    };
    RunCause { trigger, by, reason: approval.and_then(|approval| approval.reason.clone()), undoes }
}

/// Does what needs a target's client, which rests afterwards, whatever became of it.
pub(super) async fn resting<T>(client: &Client, work: impl Future<Output = T>) -> T {
    let done = work.await;
    client.rest().await;
    done
}
