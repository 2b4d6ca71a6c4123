//! How a sync stands, in one line: for `rosterd status`, `/api/v1/status` and the status page.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::config::settings::SyncSettings;
use crate::exit::Result;
use crate::schedule::Schedule;
use crate::state::State;
use crate::state::ledger::{StatusOf, SyncStatus};
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
    /// Why the last run ended as it did.
    pub reason: Option<String>,
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
    let schedule = sync.schedule.as_deref().and_then(|text| Schedule::parse(text, sync.timezone).ok());
    Line {
        sync: sync.name.clone(),
        state: state_word(&status),
        age_seconds: age.map(i64::unsigned_abs),
        next_run: schedule.and_then(|s| s.next_after(now)).map(time::rfc3339),
        reason: status.last_run.as_ref().and_then(|run| run.reason.clone()),
        last_run: status.last_run.map(|run| run.started_at),
        last_good_run: status.last_good_run,
        held_plan: status.held_plan,
        unresolved: status.unresolved,
    }
}

/// The state in one word. A run that left something over (`partial`) did not fail; what is left has its outcomes.
fn state_word(status: &SyncStatus) -> &'static str {
    if status.paused {
        return "paused";
    }
    match status.last_run.as_ref().map(|run| run.status.as_deref()) {
        None => "never",
        Some(Some("ok" | "partial")) => "ok",
        Some(Some("held")) if status.held_plan.is_some() => "held",
        Some(Some("held" | "paused")) => "ok",
        Some(Some("untrusted")) => "untrusted",
        Some(Some(_)) => "failed",
        // Under way, or its process died; the next sender closes it.
        Some(None) => "ok",
    }
}
