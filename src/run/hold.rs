//! What happens between plan and delivery: holding what exceeds a limit, letting through what somebody approved, and
//! recording those for whom nothing is sent.

use std::collections::{BTreeMap, BTreeSet};

use super::summary::{HeldAs, RunSummary};
use super::{Run, Runner};
use crate::config::settings::SyncSettings;
use crate::domain::error::{Error, Failure, Result};
use crate::domain::ids::RunId;
use crate::domain::label::Label;
use crate::domain::limits;
use crate::domain::limits::{Approved, Breach, Digest, Held, LimitName, Measured, Stale};
use crate::domain::operation::OpKind;
use crate::domain::outcome::{Outcome, Status};
use crate::domain::planned::Planned;
use crate::domain::record::{Key, Reject};
use crate::plan::{PAGE, Plan, basis};
use crate::run::Resolution;
use crate::state::ledger::Record;
use crate::state::people::{Note, TakeNotes};
use crate::state::plan_history::Added;
use crate::state::plans::{
    DecidePlan, HeldPlan, Hold, HoldComplete, HoldOperations, MarkStale, Origin, PlanOperations, PlanStatus, Supersede,
};

use super::Approval;

/// How many of the operations that changed are named when an approval is stale.
const NAMED: usize = 5;

/// The first few people whom a breach is about, each as `tell` names them; an ellipsis stands for the rest.
fn first_people(plan: &Plan, breach: &Breach, tell: impl Fn(&Planned) -> Label) -> Result<Vec<Label>> {
    let labels = |texts: &[String]| texts.iter().map(|text| Label::from(text.clone())).collect();
    let (mut keys, more): (Vec<Label>, bool) = match &breach.limit {
        LimitName::Flap => return Ok(plan.flapping.iter().map(|key| Label::from(key.to_string())).collect()),
        LimitName::Rekey => (labels(&plan.reformatted), breach.count > plan.reformatted.len() as u64),
        limit => {
            let (mut keys, mut more) = (Vec::new(), false);
            plan.for_each(|operation| {
                if limits::counts_towards(operation, limit) {
                    more = keys.len() == NAMED;
                    keys.extend((!more).then(|| tell(operation)));
                }
            })?;
            (keys, more)
        }
    };
    keys.extend(more.then(|| Label::from("…".to_string())));
    Ok(keys)
}

/// Why a held plan could not be approved as things stand: somebody tried, or the mapping or the limits are others than
/// those under which it was made. What the source says by now only planning tells.
pub fn stale_because(sync: &SyncSettings, plan: &HeldPlan) -> Option<String> {
    let differences = basis(sync).changed_since(plan.basis.as_ref());
    if differences.is_empty() { plan.stale.clone() } else { Some(in_short(&differences)) }
}

/// The first few differences, and how many there are.
fn in_short(differences: &[String]) -> String {
    let named = differences.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
    match differences.len().saturating_sub(NAMED) {
        0 => named,
        n => format!("{named}; and {n} more"),
    }
}

/// How an approved operation differs from what is planned for the person now: names, never values.
fn difference(was: &Planned, is: Option<&Planned>) -> String {
    let Some(is) = is else { return format!("{} {} is not planned any more", was.kind, was.key) };
    if was.kind != is.kind {
        return format!("{} {} would be {} {} now", was.kind, was.key, is.kind, is.key);
    }
    if was.remote_id != is.remote_id {
        return format!("{} {} would go to another account now", was.kind, was.key);
    }
    let names: BTreeSet<&String> = was.fields.keys().chain(is.fields.keys()).collect();
    let fields: Vec<&str> =
        names.into_iter().filter(|f| was.fields.get(*f) != is.fields.get(*f)).map(String::as_str).collect();
    match fields.is_empty() {
        true => format!("{} {} would not be planned the same now", was.kind, was.key),
        false => format!("{} {} would write something else now ({})", was.kind, was.key, fields.join(", ")),
    }
}

/// What a plan is held for.
pub(super) struct Holding<'a> {
    /// The run that made it, or that it would undo.
    pub run: &'a RunId,
    /// Its sync.
    pub sync: &'a SyncSettings,
    /// How it was made.
    pub origin: Origin,
    /// It is about a few people alone.
    pub partial: bool,
    /// It is the bans alone, and everything else is sent.
    pub apart: bool,
}

impl Runner {
    /// Keeps a plan for approval; tells whether it was not held already. The outcomes of the run that made it are written
    /// when it is held for the first time; what is to be remembered of those who only wait for their grace to end, every
    /// time.
    pub(super) async fn keep_for_approval(
        &self,
        plan: &Plan,
        breach: &Breach,
        holding: Holding<'_>,
        made_by: Option<&Run<'_>>,
    ) -> Result<bool> {
        let Holding { run, sync, origin, partial, apart } = holding;
        let held = HeldPlan {
            id: plan.id.clone(),
            sync: sync.name.clone(),
            resource: plan.resource,
            made_at: self.clock.stamp(),
            limit: breach.limit.clone(),
            count: breach.count,
            allowed: breach.allowed,
            counts: plan.counts.clone(),
            origin,
            basis: Some(plan.basis().clone()),
            partial,
            apart,
            waiting_since: self.clock.stamp(),
            replaced: None,
            stale: None,
        };
        let first = self.state.ask(Hold { plan: held, run: run.clone() }).await?;
        if first {
            self.hold_operations(plan, made_by).await?;
        }
        match made_by {
            Some(run) if first => run.record_bystanders(plan).await?,
            // Who is left alone for good gets an outcome with the note: that waits for a run that writes outcomes.
            Some(run) => run.take_notes(plan, |note| !matches!(note, Note::State(_))).await?,
            None => {}
        }
        self.state.ask(HoldComplete { plan: plan.id.clone(), sync: sync.name.clone(), whole: !partial }).await?;
        Ok(first)
    }

    async fn hold_operations(&self, plan: &Plan, made_by: Option<&Run<'_>>) -> Result<()> {
        let mut from = 0;
        for page in plan.pages() {
            let page = page?;
            if let Some(run) = made_by {
                run.record(page.iter().filter(|o| !o.is_step()).map(|operation| run.held_outcome(operation)).collect())
                    .await?;
            }
            let count = page.len() as u64;
            self.state.ask(HoldOperations { plan: plan.id.clone(), from, operations: page }).await?;
            from += count;
        }
        Ok(())
    }
}

impl Run<'_> {
    /// Of a plan within its limits: whatever plan of this sync was held has had its day.
    pub(super) async fn supersede(&self) -> Result<()> {
        if self.request.only.is_empty() && self.request.origin == Origin::Sync {
            self.runner.state.ask(Supersede(self.who.sync.name.clone())).await?;
        }
        Ok(())
    }

    /// Keeps a plan for approval, and says so. `apart`: it is the bans alone, and everything else is sent.
    pub(super) async fn hold(&self, summary: &mut RunSummary, held: Held<Plan>, apart: bool) -> Result<()> {
        let Held { plan, breach } = held;
        let holding = Holding {
            run: &summary.run,
            sync: &self.who.sync,
            origin: self.request.origin.clone(),
            partial: !self.request.only.is_empty(),
            apart,
        };
        let first = self.runner.keep_for_approval(&plan, &breach, holding, Some(self)).await?;
        let called = |operation: &Planned| self.who.sync.label.person(operation);
        let (added, newly) = self.runner.state.ask(Added { plan: plan.id.clone(), limit: NAMED }).await?;
        let as_held = HeldAs {
            first,
            apart,
            first_keys: first_people(&plan, &breach, |operation| operation.key.to_string().into())?
                .iter()
                .map(ToString::to_string)
                .collect(),
            first_people: first_people(&plan, &breach, called)?,
            added: (added, newly.iter().map(called).collect()),
        };
        summary.held(&plan, breach, as_held);
        Ok(())
    }

    /// A plan that somebody approved, if everything they saw would be planned the same now. Spends the approval.
    pub(super) async fn consent(&self, plan: Plan, approval: &Approval) -> Result<Approved<Plan>> {
        let approved = match limits::consent(plan, &approval.consent)? {
            Ok(approved) => approved,
            Err(stale) => {
                let Stale { plan, rules: mut differences, present } = *stale;
                differences.extend(self.different(&plan, approval, &present).await?);
                let why = in_short(&differences);
                self.runner.state.ask(MarkStale { plan: approval.plan.clone(), why: why.clone() }).await?;
                return Err(self.stale(approval, &why));
            }
        };
        let decision = DecidePlan {
            id: approval.plan.clone(),
            status: PlanStatus::Sent,
            at: self.runner.clock.stamp(),
            by: approval.by.clone(),
            reason: approval.reason.clone(),
        };
        if !self.runner.state.ask(decision).await? {
            return Err(Failure::new(Error::Held, format!("plan {} is not held any more", approval.plan)));
        }
        Ok(approved)
    }

    /// What of an approved plan would not be planned the same now, operation by operation.
    async fn different(&self, plan: &Plan, approval: &Approval, present: &BTreeSet<Digest>) -> Result<Vec<String>> {
        let mut differences = Vec::new();
        let approved = PlanOperations { plan: approval.plan.clone(), from: 0, limit: PAGE };
        let mut pages = self.runner.state.pages(approved);
        while let Some(page) = pages.next().await? {
            for was in page.iter().filter(|o| !o.is_step() && !present.contains(&o.digest())) {
                differences.push(difference(was, plan.spool().last_operation_of(&was.key)?.as_ref()));
            }
        }
        Ok(differences)
    }

    fn stale(&self, approval: &Approval, why: &str) -> Failure {
        let sync = &self.who.sync.name;
        let anew = match &self.request.origin {
            Origin::Sync => format!("make a new plan with rosterd sync {sync}"),
            Origin::Undo(run) => format!("make it anew with rosterd undo {run}"),
            Origin::Reconcile(_) => format!("compare anew with rosterd reconcile {sync}"),
        };
        Failure::new(Error::Held, format!("the approval of plan {} is stale: {why}", approval.plan))
            .help(format!("nothing was sent; {anew}, and look at it"))
    }

    /// Outcomes of operations of earlier runs that turned out to have been done. Who is planned anew gets theirs there, who
    /// is rejected or skipped among those.
    pub(super) async fn record_resolved(&self, plan: &Plan, resolved: &BTreeMap<Key, Resolution>) -> Result<()> {
        let mut settled = Vec::new();
        for (key, resolution) in resolved {
            if plan.spool().operation_of(key)?.is_none() && !plan.spool().is_left_alone(key)? {
                settled.push(self.resolved_outcome(key, resolution));
            }
        }
        self.record(settled).await
    }

    /// Outcomes and notes of those for whom nothing is sent: rejected records, people skipped.
    pub(super) async fn record_bystanders(&self, plan: &Plan) -> Result<()> {
        for page in plan.reject_pages() {
            self.record(page?.iter().map(|(_, reject)| self.rejected_outcome(reject)).collect()).await?;
        }
        for page in plan.skip_pages() {
            self.record(page?.iter().map(|(key, reason)| self.skipped_outcome(key, reason)).collect()).await?;
        }
        self.take_notes(plan, |_| true).await
    }

    async fn take_notes(&self, plan: &Plan, wanted: impl Fn(&Note) -> bool) -> Result<()> {
        for page in plan.note_pages() {
            let notes = page?.into_iter().filter(|(_, note)| wanted(note)).collect();
            self.runner.state.ask(TakeNotes { sync: self.who.id, notes }).await?;
        }
        Ok(())
    }

    async fn record(&self, outcomes: Vec<Outcome>) -> Result<()> {
        if outcomes.is_empty() {
            return Ok(());
        }
        self.runner.state.ask(Record(outcomes.clone())).await?;
        outcomes.iter().for_each(|outcome| self.runner.observer.outcome(outcome));
        Ok(())
    }

    fn outcome(&self, key: Option<Key>, op: Option<OpKind>, status: Status, reason: &str) -> Outcome {
        let outcome = self.who.outcome(self.runner.clock.stamp(), key, op, status);
        Outcome { reason: Some(reason.to_string()), ..outcome }
    }

    fn held_outcome(&self, operation: &Planned) -> Outcome {
        let loggable = |id| self.client.engine().loggable_id(id);
        Outcome {
            remote_id: operation.remote_id.as_ref().map(loggable),
            fields: operation.fields.keys().cloned().collect(),
            ..self.outcome(
                Some(operation.key.clone()),
                Some(operation.kind),
                Status::Held,
                "the plan is held by a limit",
            )
        }
    }

    fn rejected_outcome(&self, reject: &Reject) -> Outcome {
        self.outcome(reject.key.clone(), None, Status::Rejected, &reject.to_string())
    }

    fn skipped_outcome(&self, key: &Key, reason: &str) -> Outcome {
        self.outcome(Some(key.clone()), None, Status::Skipped, reason)
    }

    fn resolved_outcome(&self, key: &Key, resolution: &Resolution) -> Outcome {
        let id = resolution.remote_id.as_ref().map(|id| self.client.engine().loggable_id(id));
        let reason = "an earlier run had sent it; the target was asked, and it is done";
        Outcome { remote_id: id, ..self.outcome(Some(key.clone()), Some(resolution.kind), Status::Ok, reason) }
    }
}
