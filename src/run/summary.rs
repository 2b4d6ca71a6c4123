//! What a run came to: one element of `sync`'s JSON, the row of the run in the ledger, and its exit code.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::account::Client;
use crate::delivery::{Delivered, Stop};
use crate::domain::error::{Error, Failure, LocalReason, Result, SourceReason, StateReason, TargetReason};
use crate::domain::exit::Exit;
use crate::domain::ids::{PlanId, RunId};
use crate::domain::label::Label;
use crate::domain::limits::Breach;
use crate::domain::operation::OpKind;
use crate::domain::outcome::{Counted, RunStatus};
use crate::plan::Plan;
use crate::state::ledger::FinishRun;
use crate::state::runs::{Figures, RunTrouble};
use crate::state::sources::Version;

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// The exit code.
    pub code: Exit,
    /// What happened.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl From<&Failure> for RunError {
    fn from(failure: &Failure) -> Self {
        RunError { code: failure.error.into(), message: failure.chain(), help: failure.help.clone() }
    }
}

/// How a plan is held.
#[derive(Debug)]
pub struct HeldAs {
    /// It was not held before: the run wrote its outcomes.
    pub first: bool,
    /// It is the bans alone, and everything else is sent.
    pub apart: bool,
    /// The first few people whom the limit is about.
    pub first_keys: Vec<String>,
    /// The same with what they are called: for whoever asked for the run, and for no log.
    pub first_people: Vec<Label>,
    /// How many operations the plan has that the one whose place it took had not, and the first few people of these,
    /// likewise.
    pub added: (u64, Vec<Label>),
}

/// What a run came to. It can be read back from its JSON: the daemon hands it to whoever asked for the run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunSummary {
    /// The run's id.
    pub run: RunId,
    /// The sync.
    pub sync: String,
    /// How it ended.
    pub status: RunStatus,
    /// The held plan.
    pub plan: Option<PlanId>,
    /// Operations planned, by kind.
    pub planned: BTreeMap<OpKind, u64>,
    /// Outcomes, by kind and status.
    pub counts: BTreeMap<OpKind, Counted>,
    /// Good records in the source.
    pub source_records: u64,
    /// Of those, out of scope.
    pub excluded: u64,
    /// Of those, unchanged.
    pub unchanged: u64,
    /// Rejected records.
    pub rejected: u64,
    /// People deliberately left alone, and operations that were not begun.
    pub skipped: u64,
    /// From begin to end.
    pub duration_ms: u64,
    /// Why it failed, was held or stopped.
    pub error: Option<RunError>,
    /// What held it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<Breach>,
    /// What is held are the bans alone; everything else was to be sent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub apart: bool,
    /// An earlier run was held by the same plan: that one wrote the outcomes, and this one none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held_again: bool,
    /// The first few people whom the limit is about.
    #[serde(skip)]
    pub first_keys: Vec<String>,
    /// See [`HeldAs::first_people`].
    #[serde(skip)]
    pub first_people: Vec<Label>,
    /// See [`HeldAs::added`].
    #[serde(skip)]
    pub added: (u64, Vec<Label>),
    /// Who approved the plan that was sent, and why.
    #[serde(skip)]
    pub approved: Option<String>,
    /// What else somebody must know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The source was not read to its end: whoever it lacks may be in the rest.
    #[serde(skip)]
    pub incomplete: bool,
    /// The exit code.
    #[serde(skip)]
    pub exit: Exit,
}

impl RunSummary {
    /// A run that has just begun.
    pub fn new(run: RunId, sync: String) -> Self {
        RunSummary {
            run,
            sync,
            status: RunStatus::Ok,
            plan: None,
            planned: BTreeMap::new(),
            counts: BTreeMap::new(),
            source_records: 0,
            excluded: 0,
            unchanged: 0,
            rejected: 0,
            skipped: 0,
            duration_ms: 0,
            error: None,
            held: None,
            apart: false,
            held_again: false,
            first_keys: Vec::new(),
            first_people: Vec::new(),
            added: (0, Vec::new()),
            approved: None,
            note: None,
            incomplete: false,
            exit: Exit::Ok,
        }
    }

    /// It could not go on.
    pub fn fail(&mut self, failure: &Failure) {
        self.exit = self.exit.worse(failure.error.into());
        self.status = match failure.error {
            Error::Source(SourceReason::Untrusted) => RunStatus::Untrusted,
            Error::Held => RunStatus::Held,
            Error::Target(TargetReason::QuotaUsedUp | TargetReason::GaveUp | TargetReason::Unanswered)
            | Error::State(StateReason::Busy | StateReason::SenderActive)
            | Error::Local(LocalReason::Stopped) => RunStatus::Partial,
            Error::Source(_)
            | Error::Target(_)
            | Error::State(_)
            | Error::Local(_)
            | Error::Config
            | Error::Usage
            | Error::Defect => RunStatus::Failed,
        };
        self.error = Some(failure.into());
    }

    /// The sync is paused: nothing was done, or nothing more.
    pub fn paused(&mut self) {
        self.status = RunStatus::Paused;
    }

    /// The source was not read to its end, for this reason, and what did arrive is used.
    pub fn incomplete(&mut self, why: &str) {
        self.incomplete = true;
        self.note = Some(format!("the source was not read to its end, so nobody is banned: {why}"));
    }

    /// The source has not changed since the sync was clean on it: there is nothing to do.
    pub fn unchanged_source(&mut self, version: Option<&Version>) {
        let Some(version) = version else { return };
        self.source_records = version.records;
        self.excluded = version.excluded;
        self.unchanged = version.records.saturating_sub(version.excluded);
    }

    /// Whether everything that was to be done was done, for everybody.
    pub fn is_clean(&self) -> bool {
        self.status == RunStatus::Ok && self.exit == Exit::Ok && self.rejected == 0 && self.skipped == 0
    }

    /// Takes over what a plan counted.
    pub fn planned(&mut self, plan: &Plan) {
        self.planned = plan.counts.clone();
        self.source_records = plan.source_records;
        self.excluded = plan.excluded;
        self.unchanged = plan.unchanged;
        self.rejected = plan.rejected;
        self.skipped = plan.skipped;
    }

    /// A plan is held, or the bans of one.
    pub fn held(&mut self, plan: &Plan, breach: Breach, held: HeldAs) {
        self.plan = Some(plan.id.clone());
        self.counts = plan.counts.iter().map(|(op, n)| (*op, Counted { held: *n, ..Counted::default() })).collect();
        self.held_again = !held.first;
        self.held = Some(breach);
        self.apart = held.apart;
        self.first_keys = held.first_keys;
        self.first_people = held.first_people;
        self.added = held.added;
        if !self.apart {
            self.still_held();
        }
    }

    /// Of a run that held something: that is how it ends, however well the rest went.
    pub fn still_held(&mut self) {
        let (Some(id), Some(breach)) = (&self.plan, &self.held) else { return };
        let sent = if self.apart { "they wait, and everything else was sent" } else { "nothing was sent" };
        let message = format!("{}; {sent}", breach.sentence(&self.first_keys));
        let help = format!("rosterd plans show {id}, then rosterd approve {id} --reason \"…\" or rosterd discard {id}");
        self.fail(&Failure::new(Error::Held, message).help(help));
    }

    /// The plan was sent, as far as it went.
    ///
    /// # Errors
    /// What stopped it, where that is graver than something being left over.
    pub fn delivered(&mut self, plan: &Plan, delivered: Delivered, client: &Arc<Client>) -> Result<()> {
        // An approved plan may be less than what was planned now; what is held was planned all the same.
        self.planned = plan.counts.clone();
        for (op, counted) in &self.counts {
            *self.planned.entry(*op).or_default() += counted.held;
        }
        let paused = matches!(delivered.stopped, Some(Stop::Paused));
        // Of what an incomplete read lacks nobody knows; something is left over in any case.
        let lacking = u64::from(self.incomplete);
        let mut left_over = plan.rejected + plan.skipped_with_work + plan.unresolved.len() as u64 + lacking;
        for (op, by_status) in &delivered.counts {
            let counted = self.counts.entry(*op).or_default();
            for (status, n) in by_status {
                counted.add(*status, *n);
            }
            self.skipped += counted.skipped;
            // What a pause kept back is as it should be.
            left_over += counted.failed + counted.unknown + if paused { 0 } else { counted.skipped };
        }
        if left_over > 0 {
            self.status = RunStatus::Partial;
            self.exit = self.exit.worse(Exit::Partial);
        }
        match delivered.stopped {
            None => Ok(()),
            Some(Stop::Paused) => {
                self.paused();
                Ok(())
            }
            Some(stop) => Err(stopped(stop, client)),
        }
    }

    /// What it left over, in words; nothing where it left nothing.
    pub fn left_over(&self) -> Option<String> {
        let total = |pick: fn(&Counted) -> u64| self.counts.values().map(pick).sum::<u64>();
        let left = [(total(|c| c.failed), "failed"), (total(|c| c.unknown), "unknown"), (self.rejected, "rejected")];
        let told: Vec<String> = left.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
        (!told.is_empty()).then(|| told.join(", "))
    }

    /// The row of the run in the ledger.
    pub fn finish(&self, at: DateTime<Utc>) -> FinishRun {
        // Who approved what was sent belongs to the run whatever became of it.
        let error = self.error.as_ref().map(|e| e.message.as_str());
        // Why a source is not trusted is told until the next good read, and so is the way out.
        let help = self.error.as_ref().filter(|e| e.code == Exit::Untrusted).and_then(|e| e.help.as_deref());
        let incomplete = self.note.as_deref().filter(|_| self.incomplete);
        let error = error.into_iter().chain(help).chain(incomplete);
        let reason: Vec<&str> = self.approved.as_deref().into_iter().chain(error).collect();
        FinishRun {
            id: self.run.clone(),
            at,
            status: self.status,
            plan: self.plan.clone(),
            planned: self.planned.clone(),
            source_records: self.source_records,
            excluded: self.excluded,
            unchanged: self.unchanged,
            reason: (!reason.is_empty()).then(|| reason.join("; ")),
            figures: Figures { counts: self.counts.clone(), rejected: self.rejected, skipped: self.skipped },
            error: self.error.as_ref().map(|e| RunTrouble { code: Some(e.code), message: e.message.clone() }),
        }
    }

    /// One line of log a run, as loud as it deserves.
    pub fn log(&self) {
        let total = |pick: fn(&Counted) -> u64| self.counts.values().map(pick).sum::<u64>();
        macro_rules! event {
            ($level:ident) => {
                tracing::$level!(
                    target: "rosterd::run",
                    run = %self.run,
                    sync = %self.sync,
                    status = %self.status,
                    ok = total(|c| c.ok),
                    failed = total(|c| c.failed),
                    unknown = total(|c| c.unknown),
                    held = total(|c| c.held),
                    rejected = self.rejected,
                    skipped = self.skipped,
                    unchanged = self.unchanged,
                    duration_ms = self.duration_ms,
                    error = self.error.as_ref().map(|e| e.message.as_str()),
                    "run finished"
                )
            };
        }
        match self.status {
            RunStatus::Failed | RunStatus::Untrusted => event!(error),
            RunStatus::Held | RunStatus::Partial => event!(warn),
            RunStatus::Ok | RunStatus::Paused => event!(info),
        }
    }
}

/// Why a delivery did not reach its end, as a failure.
fn stopped(stop: Stop, client: &Arc<Client>) -> Failure {
    let target = client.target();
    match stop {
        Stop::Asked | Stop::Paused => {
            Failure::new(Error::Local(LocalReason::Stopped), "stopped before the end, as asked")
                .help("nothing is lost: run again to go on")
        }
        Stop::Failures { failed, allowed } => Failure::new(
            Error::Target(TargetReason::GaveUp),
            format!("stopped: {failed} operations failed, and limits.failures allows {allowed}"),
        )
        .help("see why: rosterd outcomes --status failed"),
        Stop::Breaker => Failure::new(
            Error::Target(TargetReason::GaveUp),
            format!("stopped: target {target} does not answer any more"),
        )
        .help("nothing is lost: run again when it is back"),
        Stop::Denied(why) => client.denied(&why),
        Stop::Unreachable(why, status) => client.unusable(&why, status),
        Stop::Quota => client.used_up(),
        Stop::State(failure) => failure,
    }
}
