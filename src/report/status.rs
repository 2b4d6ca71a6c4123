//! How a sync stands, in one line: for `rosterd status`, `/api/v1/status` and the status page.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use crate::config::settings::SyncSettings;
use crate::domain::error::Result;
use crate::domain::ids::PlanId;
use crate::domain::json_schema::Rfc3339;
use crate::domain::outcome::RunStatus;
use crate::domain::time;
use crate::run::stale_because;
use crate::state::State;
use crate::state::journal::INTERRUPTED;
use crate::state::ledger::{EndedRun, StatusOf, SyncStatus};
use crate::state::lock::Holder;
use crate::state::plans::{HeldPlan, HeldPlans};

/// Every word that a sync's state may be: how its last run of everybody ended, or why there is none.
pub const STATES: [&str; 8] = ["ok", "partial", "held", "failed", "untrusted", "paused", "running", "never"];

/// One element of `syncs`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Line {
    /// The sync.
    pub sync: String,
    /// In one word of [`STATES`].
    pub state: &'static str,
    /// When its last run of everybody began.
    #[serde(serialize_with = "time::written::serialize_if_any")]
    #[schemars(with = "Option<Rfc3339>")]
    pub last_run: Option<DateTime<Utc>>,
    /// When its last good run ended.
    #[serde(serialize_with = "time::written::serialize_if_any")]
    #[schemars(with = "Option<Rfc3339>")]
    pub last_good_run: Option<DateTime<Utc>>,
    /// How long ago that is.
    pub age_seconds: Option<u64>,
    /// When the schedule has it run next.
    #[serde(serialize_with = "time::written::serialize_if_any")]
    #[schemars(with = "Option<Rfc3339>")]
    pub next_run: Option<DateTime<Utc>>,
    /// The plan that waits for approval, and could have it as far as can be seen without planning.
    pub held_plan: Option<PlanId>,
    /// One that waits and can't be approved any more, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_plan: Option<StalePlan>,
    /// Operations that were sent and have no known fate.
    pub unresolved: u64,
    /// Why the last run that ended did so as it did.
    pub reason: Option<String>,
}

/// A held plan that would not be planned the same any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StalePlan {
    /// The plan.
    pub plan: PlanId,
    /// Why.
    pub why: String,
}

/// How these syncs stand, while this process sends, or none does.
///
/// # Errors
/// The state fails.
pub async fn lines<'a>(
    syncs: impl IntoIterator<Item = &'a SyncSettings>,
    state: &State,
    sender: Option<Holder>,
    now: DateTime<Utc>,
) -> Result<Vec<Line>> {
    let held = state.ask(HeldPlans).await?;
    let mut lines = Vec::new();
    for sync in syncs {
        let mut status = state.ask(StatusOf { sync: sync.name.clone(), at_rest: sender.is_none() }).await?;
        if sender.is_none() && status.under_way {
            // Whoever sends next writes the same into its row.
            status.under_way = false;
            status.last_ended = Some(EndedRun { status: RunStatus::Failed, reason: Some(INTERRUPTED.into()) });
        }
        let mut line = line(sync, status, now);
        let waiting: Vec<&HeldPlan> = held.iter().filter(|plan| plan.sync == sync.name).collect();
        offer(&mut line, sync, &waiting);
        lines.push(line);
    }
    Ok(lines)
}

/// Offers no plan that can't be approved: another that can, or none, and says why.
fn offer(line: &mut Line, sync: &SyncSettings, waiting: &[&HeldPlan]) {
    let Some(first) = waiting.iter().find(|plan| Some(&plan.id) == line.held_plan.as_ref()) else { return };
    let Some(why) = stale_because(sync, first) else { return };
    line.stale_plan = Some(StalePlan { plan: first.id.clone(), why });
    line.held_plan = waiting.iter().find(|plan| stale_because(sync, plan).is_none()).map(|plan| plan.id.clone());
}

fn line(sync: &SyncSettings, status: SyncStatus, now: DateTime<Utc>) -> Line {
    let age = status.last_good_run.map(|at| (now - at).num_seconds().max(0));
    Line {
        sync: sync.name.clone(),
        state: state_word(&status),
        age_seconds: age.map(i64::unsigned_abs),
        next_run: sync.schedule.as_ref().and_then(|schedule| schedule.next_after(now)),
        reason: status.last_ended.and_then(|run| run.reason),
        last_run: status.last_begun,
        last_good_run: status.last_good_run,
        held_plan: status.held_plan,
        stale_plan: None,
        unresolved: status.unresolved,
    }
}

/// The state in one word: how the last run ended, also while the next is under way.
fn state_word(status: &SyncStatus) -> &'static str {
    if status.paused {
        return "paused";
    }
    match status.last_ended.as_ref().map(|run| run.status) {
        None if status.under_way => "running",
        None => "never",
        // Approved or discarded since.
        Some(RunStatus::Held) if status.held_plan.is_none() => "ok",
        Some(ended) => ended.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::instant;
    use crate::state::ledger::{BeginRun, FinishRun};

    #[tokio::test]
    async fn a_run_under_way_hides_neither_how_the_last_ended_nor_that_it_has_begun() {
        let state = State::in_memory().expect("a state");
        let begin = |id: &str, at| BeginRun {
            id: id.into(),
            sync: "staff".into(),
            at,
            partial: false,
            cause: Default::default(),
        };
        let (first, second) = (instant("2026-11-22T03:00:00.000Z"), instant("2026-11-22T03:15:00.000Z"));
        state.ask(begin("r1", first)).await.expect("begun");
        let status = state.ask(StatusOf { sync: "staff".into(), at_rest: false }).await.expect("a status");
        assert_eq!((state_word(&status), status.last_begun), ("running", Some(first)));
        let finish = FinishRun {
            id: "r1".into(),
            at: first,
            status: RunStatus::Failed,
            plan: None,
            planned: Default::default(),
            source_records: 0,
            excluded: 0,
            unchanged: 0,
            reason: Some("the target is down".into()),
            figures: Default::default(),
            error: None,
        };
        state.ask(finish).await.expect("finished");
        state.ask(begin("r2", second)).await.expect("begun");
        let status = state.ask(StatusOf { sync: "staff".into(), at_rest: false }).await.expect("a status");
        assert_eq!((state_word(&status), status.last_begun), ("failed", Some(second)));
        assert_eq!(status.last_ended.and_then(|run| run.reason).as_deref(), Some("the target is down"));
    }

    #[test]
    fn the_state_is_that_of_the_last_run_that_ended() {
        for (paused, ended, held, word) in [
            (false, None, false, "never"),
            (false, Some("ok"), false, "ok"),
            (false, Some("partial"), false, "partial"),
            (false, Some("held"), true, "held"),
            (false, Some("held"), false, "ok"),
            (false, Some("ok"), true, "ok"),
            (false, Some("untrusted"), false, "untrusted"),
            (false, Some("failed"), false, "failed"),
            (true, Some("failed"), true, "paused"),
        ] {
            let status = SyncStatus {
                last_begun: Some(instant("2026-11-22T03:34:00.123Z")),
                last_ended: ended
                    .map(|status| EndedRun { status: RunStatus::parse(status).expect("a status"), reason: None }),
                held_plan: held.then(|| "3f9a0c12be77".into()),
                paused,
                ..SyncStatus::default()
            };
            assert_eq!(state_word(&status), word, "{status:?}");
        }
    }
}
