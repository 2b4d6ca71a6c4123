//! What operators ask of the running daemon from beside it, and what they are answered.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::job::Task;
use super::{Daemon, RunResult, ending};
use crate::domain::error::{Error, Failure, LocalReason, Result};
use crate::domain::exit::Exit;
use crate::domain::ids::{PlanId, RequestId};
use crate::os::clock::Clock;
use crate::run::{RunSummary, chosen, spent};
use crate::state::State;
use crate::state::plans::{FindPlan, PlanStatus};
use crate::state::requests::{Ask, CloseStale, Reply, TakeAll, Taken};

/// Who waits for an answer.
pub(super) type Requester = RequestId;

/// What is to be done for somebody once the sync is free.
pub(super) enum OperatorRequest {
    /// Run it: who asked, in words, and who waits.
    Run(String, Vec<Requester>),
    /// Compare it with its target; nobody waits for that.
    Reconcile,
    /// Send a held plan.
    Approve(Taken),
}

/// A request that nobody took for so long was left by somebody who has stopped waiting; see `cli::run`.
const STALE: TimeDelta = TimeDelta::minutes(1);

/// Answers what a daemon that died had taken, so that nobody waits for it for ever.
pub(super) async fn close_stale(state: &State, clock: &Clock) -> Result<()> {
    let failure = Failure::new(Error::Local(LocalReason::Stopped), "the daemon ended before the run did")
        .help("what was sent is known, or looked up first by the next run");
    let now = clock.now();
    state
        .ask(CloseStale {
            at: now,
            left_before: now - STALE,
            answer: error_json(&failure),
            exit: Exit::from(failure.error).code(),
        })
        .await?;
    Ok(())
}

/// What whoever asked is told of a run: its summary, and what only people read of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct RequestAnswer {
    /// The summary.
    pub run: RunSummary,
    /// Who approved what was sent, and why.
    pub approved: Option<String>,
    /// The first few people whom a limit is about.
    pub first_keys: Vec<String>,
}

impl RequestAnswer {
    fn of(summary: &RunSummary) -> RequestAnswer {
        let (approved, first_keys) = (summary.approved.clone(), summary.first_keys.clone());
        RequestAnswer { run: summary.clone(), approved, first_keys }
    }

    /// The summary with everything in it, ending as the run did.
    pub fn summary(self, exit: Exit) -> RunSummary {
        RunSummary { approved: self.approved, first_keys: self.first_keys, exit, ..self.run }
    }
}

/// `{"error":{…}}`, as every command prints it.
fn error_json(failure: &Failure) -> String {
    json!({"error": {"code": Exit::from(failure.error), "message": failure.chain(), "help": failure.help}}).to_string()
}

impl Daemon {
    /// Takes up what was asked since the last turn.
    pub(super) async fn take_requests(&mut self) {
        let taken = match self.state.ask(TakeAll { at: self.clock.stamp() }).await {
            Ok(taken) => taken,
            Err(error) => {
                if !std::mem::replace(&mut self.deaf, true) {
                    tracing::error!(%error, "the state can't be asked for requests");
                }
                return;
            }
        };
        if std::mem::take(&mut self.deaf) {
            tracing::info!("the state can be asked again");
        }
        for request in taken {
            self.take(request).await;
        }
    }

    async fn take(&mut self, request: Taken) {
        let id = request.id;
        tracing::info!(by = %request.by, ask = %request.ask, "asked by an operator");
        let taken = match request.ask.clone() {
            Ask::Trigger(sync) => self.trigger(sync, request.by, id),
            Ask::Approve(plan) => self.approve(request, &plan).await,
        };
        if let Err(failure) = taken {
            self.answer(id, &Err(failure)).await;
        }
    }

    /// A run now; where one is under way, once more after it, for it may have read the source before what the asker
    /// has in mind.
    fn trigger(&mut self, sync: String, by: String, id: Requester) -> Result<()> {
        chosen(&self.settings, std::slice::from_ref(&sync))?;
        match self.running.get_mut(&sync) {
            None => self.launch(&[sync], Task::Sync(Some(by)), vec![id]),
            Some(under) => {
                let waiting = under.queue.iter_mut().find_map(|errand| match errand {
                    OperatorRequest::Run(askers, waiting) => Some((askers, waiting)),
                    OperatorRequest::Approve(_) | OperatorRequest::Reconcile => None,
                });
                match waiting {
                    Some((askers, waiting)) => {
                        if !askers.split(" and ").any(|asker| asker == by) {
                            *askers = format!("{askers} and {by}");
                        }
                        waiting.push(id);
                    }
                    None => under.queue.push(OperatorRequest::Run(by, vec![id])),
                }
            }
        }
        Ok(())
    }

    /// Sends a held plan; where the sync is running, after that.
    async fn approve(&mut self, request: Taken, plan: &PlanId) -> Result<()> {
        let (held, status) = self
            .state
            .ask(FindPlan(plan.clone()))
            .await?
            .ok_or_else(|| Failure::new(Error::Usage, format!("there is no plan {plan}")))?;
        if status != PlanStatus::Held {
            return Err(spent(plan, status));
        }
        chosen(&self.settings, std::slice::from_ref(&held.sync))?;
        match self.running.get_mut(&held.sync) {
            Some(under) => under.queue.push(OperatorRequest::Approve(request)),
            None => {
                let sync = held.sync.clone();
                let task = Task::Approve { plan: Box::new(held), by: request.by, reason: request.reason };
                self.launch(&[sync], task, vec![request.id]);
            }
        }
        Ok(())
    }

    /// Begins the first of what waits for a sync that is free now; the rest waits for that.
    pub(super) async fn next_errand(&mut self, sync: String, mut queue: Vec<OperatorRequest>) {
        while !queue.is_empty() {
            if self.stop.is_cancelled() {
                return self.refuse(queue).await;
            }
            match queue.remove(0) {
                OperatorRequest::Run(by, waiting) if self.settings.syncs.contains_key(&sync) => {
                    self.launch(std::slice::from_ref(&sync), Task::Sync(Some(by)), waiting);
                }
                OperatorRequest::Reconcile if self.settings.syncs.contains_key(&sync) => {
                    self.launch(std::slice::from_ref(&sync), Task::Reconcile, Vec::new());
                }
                // It is no longer configured.
                errand @ (OperatorRequest::Run(..) | OperatorRequest::Reconcile) => self.refuse(vec![errand]).await,
                OperatorRequest::Approve(request) => self.take(request).await,
            }
            if let Some(under) = self.running.get_mut(&sync) {
                under.queue.extend(queue);
                return;
            }
        }
    }

    /// Answers everybody who still waits while the daemon ends.
    pub(super) async fn turn_away(&mut self) {
        for under in std::mem::take(&mut self.running).into_values() {
            for id in under.waiting {
                self.answer(id, &Err(ending())).await;
            }
            self.refuse(under.queue).await;
        }
        // What was left but not taken: its asker gives up by itself, and says so.
    }

    async fn refuse(&mut self, errands: Vec<OperatorRequest>) {
        for errand in errands {
            let askers = match errand {
                OperatorRequest::Run(_, askers) => askers,
                OperatorRequest::Approve(request) => vec![request.id],
                OperatorRequest::Reconcile => Vec::new(),
            };
            for id in askers {
                self.answer(id, &Err(ending())).await;
            }
        }
    }

    /// Answers one request.
    pub(super) async fn answer(&self, id: Requester, result: &RunResult) {
        let (exit, answer) = match result {
            Ok(None) => (Exit::Ok, "{}".into()),
            Ok(Some(summary)) => match serde_json::to_string(&RequestAnswer::of(summary)) {
                Ok(answer) => (summary.exit, answer),
                Err(error) => {
                    let failure = Failure::internal("the run's summary can't be written").because(error);
                    (Exit::from(failure.error), error_json(&failure))
                }
            },
            Err(failure) => (Exit::from(failure.error), error_json(failure)),
        };
        let reply = Reply { id, at: self.clock.stamp(), exit: exit.code(), answer };
        if let Err(error) = self.state.ask(reply).await {
            tracing::error!(%error, "a request could not be answered");
        }
    }
}
