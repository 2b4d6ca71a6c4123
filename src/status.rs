//! How a sync stands, in one line: for `rosterd status`, `/api/v1/status` and the status page.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::config::settings::{Settings, SyncSettings};
use crate::exit::Result;
use crate::state::State;
use crate::state::ledger::{StatusOf, SyncStatus};
use crate::state::ownership::{Unconfigured, UnconfiguredSyncs};
use crate::time;

/// One element of `syncs`.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// The sync.
    pub sync: String,
    /// In one word: `ok`, `held`, `failed`, `untrusted`, `paused` or `never`.
    pub state: &'static str,
    /// When its last run of everybody began, RFC 3339.
    pub last_run: Option<String>,
    /// When its last good run ended.
    pub last_good_run: Option<String>,
    /// How long ago that is.
    pub age_seconds: Option<u64>,
    /// When the schedule has it run next.
    pub next_run: Option<String>,
    /// The plan that waits for approval.
    pub held_plan: Option<String>,
    /// Operations that were sent and have no known fate.
    pub unresolved: u64,
    /// Why the last run that ended did so as it did.
    pub reason: Option<String>,
}

/// The syncs that the state knows and the configuration does not: nobody keeps their people in step.
///
/// # Errors
/// The state fails.
pub async fn unconfigured(settings: &Settings, state: &State) -> Result<Vec<Unconfigured>> {
    Ok(state.ask(UnconfiguredSyncs { configured: settings.syncs.keys().cloned().collect() }).await?)
}

/// How these syncs stand.
///
/// # Errors
/// The state fails.
pub async fn lines<'a>(
    syncs: impl IntoIterator<Item = &'a SyncSettings>,
    state: &State,
    now: DateTime<Utc>,
) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for sync in syncs {
        lines.push(line(sync, state.ask(StatusOf(sync.name.clone())).await?, now));
    }
    Ok(lines)
}

fn line(sync: &SyncSettings, status: SyncStatus, now: DateTime<Utc>) -> Line {
    let age = status.last_good_run.as_deref().and_then(time::parse).map(|at| (now - at).num_seconds().max(0));
    Line {
        sync: sync.name.clone(),
        state: state_word(&status),
        age_seconds: age.map(i64::unsigned_abs),
        next_run: sync.schedule.as_ref().and_then(|schedule| schedule.next_after(now)).map(time::rfc3339),
        reason: status.last_ended.and_then(|run| run.reason),
        last_run: status.last_begun,
        last_good_run: status.last_good_run,
        held_plan: status.held_plan,
        unresolved: status.unresolved,
    }
}

/// The state in one word: how the last run ended, also while the next is under way. A run that left something over
/// (`partial`) did not fail; what is left has its outcomes.
fn state_word(status: &SyncStatus) -> &'static str {
    if status.paused {
        return "paused";
    }
    match status.last_ended.as_ref().map(|run| run.status.as_str()) {
        None => "never",
        Some("ok" | "partial") => "ok",
        Some("held") if status.held_plan.is_some() => "held",
        // Approved or discarded since.
        Some("held") => "ok",
        Some("untrusted") => "untrusted",
        Some(_) => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::ledger::{BeginRun, EndedRun, FinishRun};

    #[tokio::test]
    async fn a_run_under_way_hides_neither_how_the_last_ended_nor_that_it_has_begun() {
        let state = State::in_memory().expect("a state");
        let begin =
            |id: &str, at: &str| BeginRun { id: id.into(), sync: "staff".into(), at: at.into(), partial: false };
        let (first, second) = ("2026-11-22T03:00:00.000Z", "2026-11-22T03:15:00.000Z");
        state.ask(begin("r1", first)).await.expect("begun");
        let status = state.ask(StatusOf("staff".into())).await.expect("a status");
        assert_eq!((state_word(&status), status.last_begun.as_deref()), ("never", Some(first)));
        let finish = FinishRun {
            id: "r1".into(),
            at: first.into(),
            status: "failed",
            plan: None,
            planned: Default::default(),
            source_records: 0,
            excluded: 0,
            unchanged: 0,
            reason: Some("the target is down".into()),
        };
        state.ask(finish).await.expect("finished");
        state.ask(begin("r2", second)).await.expect("begun");
        let status = state.ask(StatusOf("staff".into())).await.expect("a status");
        assert_eq!((state_word(&status), status.last_begun.as_deref()), ("failed", Some(second)));
        assert_eq!(status.last_ended.and_then(|run| run.reason).as_deref(), Some("the target is down"));
    }

    #[test]
    fn the_state_is_that_of_the_last_run_that_ended() {
        for (paused, ended, held, word) in [
            (false, None, false, "never"),
            (false, Some("ok"), false, "ok"),
            (false, Some("partial"), false, "ok"),
            (false, Some("held"), true, "held"),
            (false, Some("held"), false, "ok"),
            (false, Some("ok"), true, "ok"),
            (false, Some("untrusted"), false, "untrusted"),
            (false, Some("failed"), false, "failed"),
            (true, Some("failed"), true, "paused"),
        ] {
            let status = SyncStatus {
                last_begun: Some("2026-11-22T03:34:00.123Z".into()),
                last_ended: ended.map(|status| EndedRun { status: status.into(), reason: None }),
                held_plan: held.then(|| "3f9a0c12be77".into()),
                paused,
                ..SyncStatus::default()
            };
            assert_eq!(state_word(&status), word, "{status:?}");
        }
    }
}
