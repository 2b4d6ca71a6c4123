//! What happens between plan and delivery: holding what exceeds a limit, letting through what somebody approved, and
//! recording those for whom nothing is sent.

use std::collections::BTreeMap;

use super::Run;
use super::summary::RunSummary;
use crate::exit::{Exit, Failure, Result};
use crate::limits::{self, Approved, Breach, Digest};
use crate::outcome::{Outcome, Status};
use crate::plan::{OpKind, Operation};
use crate::planner::{PAGE, Plan, Resolution};
use crate::record::{Key, Reject};
use crate::state::ledger::Record;
use crate::state::people::TakeNotes;
use crate::state::plans::{DecidePlan, HeldPlan, Hold, HoldComplete, HoldOperations, Origin, PlanStatus, Supersede};

use super::Approval;

/// How many of the operations that changed are named when an approval is stale.
const NAMED: usize = 5;

/// The first few people whom a breach is about.
fn first_keys(plan: &Plan, breach: &Breach) -> Result<Vec<String>> {
    let concerned = |operation: &Operation| match breach.limit.as_str() {
        "create" => operation.kind == OpKind::Create,
        "update" => !operation.fields.is_empty() && !operation.kind.takes_access() && operation.kind != OpKind::Create,
        "ban" | "ban_per_day" | "ban_all" => operation.kind.takes_access(),
        "reinstate" | "flap" => operation.kind == OpKind::Reinstate || operation.reactivates,
        "adopt" => operation.kind == OpKind::Adopt,
        limit => {
            let field = limit.strip_prefix("clear.").unwrap_or_default();
            operation.fields.get(field).is_some_and(crate::plan::Change::clears)
        }
    };
    let mut keys = Vec::new();
    plan.for_each(|operation| {
        if keys.len() < NAMED && !operation.step && concerned(operation) {
            keys.push(operation.key.to_string());
        }
    })?;
    Ok(keys)
}

impl Run<'_> {
    /// A plan within its limits; whatever plan of this sync was held has had its day.
    pub(super) async fn within_limits(&self, plan: Plan) -> Result<Approved<Plan>> {
        if self.wish.only.is_empty() && self.wish.origin == Origin::Sync {
            self.runner.state.ask(Supersede(self.who.sync.name.clone())).await?;
        }
        let tally = plan.tally.clone();
        limits::judge(plan, &tally, &self.who.sync.limits)
            .map_err(|held| Failure::internal(format!("the limit {} was judged twice", held.breach.limit)))
    }

    /// Keeps a plan for approval. Its outcomes are written when it is held for the first time.
    pub(super) async fn hold(
        &self,
        summary: &mut RunSummary,
        plan: Plan,
        breach: Breach,
        resolved: &BTreeMap<Key, Resolution>,
    ) -> Result<()> {
        let state = &self.runner.state;
        let held = HeldPlan {
            id: plan.id.clone(),
            sync: self.who.sync.name.clone(),
            made_at: self.runner.clock.stamp(),
            limit: breach.limit.clone(),
            count: breach.count,
            allowed: breach.allowed,
            counts: plan.counts.clone(),
            origin: self.wish.origin.clone(),
        };
        // With --only the plan is of a few people: it must not take the place of the whole one.
        let whole = self.wish.only.is_empty();
        let first = state.ask(Hold { plan: held, run: summary.run.clone() }).await?;
        if first {
            self.hold_operations(&plan).await?;
            self.record_bystanders(&plan, resolved).await?;
            let sync = self.who.sync.name.clone();
            state.ask(HoldComplete { plan: plan.id.clone(), sync, whole }).await?;
        }
        let named = first_keys(&plan, &breach)?;
        summary.held(&plan, breach, first, named);
        Ok(())
    }

    async fn hold_operations(&self, plan: &Plan) -> Result<()> {
        let mut last: Option<Operation> = None;
        let mut from = 0;
        loop {
            let page = plan.spool().operations(last.as_ref(), PAGE)?;
            let Some(end) = page.last().cloned() else { return Ok(()) };
            last = Some(end);
            let outcomes = page.iter().filter(|o| !o.step).map(|operation| self.held_outcome(operation)).collect();
            self.record(outcomes).await?;
            let count = page.len() as u64;
            let hold = HoldOperations { plan: plan.id.clone(), from, operations: page };
            self.runner.state.ask(hold).await?;
            from += count;
        }
    }

    /// A plan that somebody approved, if everything they saw would be planned the same now. Spends the approval.
    pub(super) async fn consent(&self, mut plan: Plan, approval: &Approval) -> Result<Approved<Plan>> {
        let present: std::collections::BTreeSet<Digest> =
            plan.digests()?.intersection(&approval.operations).copied().collect();
        if present.len() < approval.operations.len() {
            return Err(self.stale(approval, &present).await?);
        }
        plan.keep(&approval.operations)?;
        let approved = limits::consent(plan, &approval.operations, &present)
            .map_err(|missing| Failure::internal(format!("{missing} approved operations got lost")))?;
        let decided = self
            .runner
            .state
            .ask(DecidePlan {
                id: approval.plan.clone(),
                status: PlanStatus::Sent,
                at: self.runner.clock.stamp(),
                by: approval.by.clone(),
                reason: approval.reason.clone(),
            })
            .await?;
        if !decided {
            return Err(Failure::new(Exit::Held, format!("plan {} is not held any more", approval.plan)));
        }
        Ok(approved)
    }

    /// Says what has changed since the plan was made.
    async fn stale(&self, approval: &Approval, present: &std::collections::BTreeSet<Digest>) -> Result<Failure> {
        let mut gone = Vec::new();
        let mut from = 0;
        loop {
            let request = crate::state::plans::PlanOperations { plan: approval.plan.clone(), from, limit: PAGE };
            let page = self.runner.state.ask(request).await?;
            if page.is_empty() {
                break;
            }
            from += page.len() as u64;
            let missing = page.iter().filter(|o| !present.contains(&o.digest()));
            gone.extend(missing.map(|o| format!("{} {}", o.kind, o.key)));
        }
        let named = gone.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        let more = if gone.len() > NAMED { format!(" and {} more", gone.len() - NAMED) } else { String::new() };
        Ok(Failure::new(
            Exit::Held,
            format!("the approval of plan {} is stale: {named}{more} would not be planned the same now", approval.plan),
        )
        .help(match &self.wish.origin {
            Origin::Sync => {
                format!("nothing was sent; make a new plan with rosterd sync {}, and look at it", self.who.sync.name)
            }
            Origin::Undo(run) => format!("nothing was sent; make it anew with rosterd undo {run}, and look at it"),
            Origin::Reconcile(_) => {
                format!("nothing was sent; compare anew with rosterd reconcile {}, and look at it", self.who.sync.name)
            }
        }))
    }

    /// Outcomes and notes of those for whom nothing is sent: rejected records, people skipped, operations of earlier
    /// runs that turned out to have been done.
    pub(super) async fn record_bystanders(&self, plan: &Plan, resolved: &BTreeMap<Key, Resolution>) -> Result<()> {
        let mut after = (0, 0, 0);
        loop {
            let page = plan.spool().rejects(after, PAGE)?;
            let Some((n, last)) = page.last() else { break };
            after = (last.position.line, last.position.record, *n);
            self.record(page.iter().map(|(_, reject)| self.rejected_outcome(reject)).collect()).await?;
        }
        let mut after = String::new();
        loop {
            let page = plan.spool().skips(&after, PAGE)?;
            let Some((last, _)) = page.last() else { break };
            after = last.to_string();
            self.record(page.iter().map(|(key, reason)| self.skipped_outcome(key, reason)).collect()).await?;
        }
        let mut settled = Vec::new();
        for (key, resolution) in resolved {
            // Who is planned anew gets their outcome there.
            if plan.spool().operation_of(key)?.is_none() {
                settled.push(self.resolved_outcome(key, resolution));
            }
        }
        self.record(settled).await?;
        self.take_notes(plan).await
    }

    async fn take_notes(&self, plan: &Plan) -> Result<()> {
        let mut after = 0;
        loop {
            let page = plan.spool().notes(after, PAGE)?;
            let Some((last, _, _)) = page.last() else { return Ok(()) };
            after = *last;
            let notes = page.into_iter().map(|(_, key, note)| (key, note)).collect();
            self.runner.state.ask(TakeNotes { sync: self.who.id, notes }).await?;
        }
    }

    async fn record(&self, outcomes: Vec<Outcome>) -> Result<()> {
        if outcomes.is_empty() {
            return Ok(());
        }
        self.runner.state.ask(Record(outcomes.clone())).await?;
        outcomes.iter().for_each(|outcome| self.runner.watch.outcome(outcome));
        Ok(())
    }

    fn outcome(&self, key: Option<Key>, op: Option<OpKind>, status: Status, reason: &str) -> Outcome {
        Outcome {
            ts: self.runner.clock.stamp(),
            run: self.who.run.clone(),
            sync: self.who.sync.name.clone(),
            source: self.who.sync.source.name.clone(),
            target: self.who.sync.target.name.clone(),
            key,
            op,
            status,
            remote_id: None,
            fields: Vec::new(),
            attempts: 0,
            http_status: None,
            duration_ms: 0,
            reason: Some(reason.to_string()),
            error: None,
        }
    }

    fn held_outcome(&self, operation: &Operation) -> Outcome {
        let loggable = |id: &String| self.client.engine().loggable_id(id);
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
        let reason = format!("{}: {}", reject.position, reject.reason);
        self.outcome(reject.key.clone(), None, Status::Rejected, &reason)
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
