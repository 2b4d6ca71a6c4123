//! `status`: how each sync stands, on one screen.

use std::sync::Arc;

use serde::Serialize;

use super::args::{Format, Printing};
use super::out::Out;
use crate::config::Settings;
use crate::config::settings::SyncSettings;
use crate::exit::{Exit, Result};
use crate::run::chosen;
use crate::schedule::Schedule;
use crate::state::ledger::{StatusOf, SyncStatus};
use crate::state::{Access, State};
use crate::time::{self, Clock};

/// One element of `syncs`.
#[derive(Debug, Serialize)]
struct Line {
    sync: String,
    state: &'static str,
    last_run: Option<String>,
    last_good_run: Option<String>,
    age_seconds: Option<u64>,
    next_run: Option<String>,
    held_plan: Option<String>,
    unresolved: u64,
    reason: Option<String>,
}

/// `rosterd status`.
pub async fn command(settings: &Arc<Settings>, syncs: &[String], printing: Printing) -> Result<Exit> {
    let syncs = chosen(settings, syncs)?;
    let state = State::open(&settings.state.path, Access::Read)?;
    let clock = Clock::system();
    let mut lines = Vec::new();
    for sync in &syncs {
        lines.push(line(sync, state.ask(StatusOf(sync.name.clone())).await?, &clock));
    }
    let mut out = Out::stdout();
    match printing.format {
        Format::Json => out.json(&serde_json::json!({ "syncs": lines }))?,
        Format::Text => lines.iter().try_for_each(|line| text(&mut out, line))?,
    }
    Ok(Exit::Ok)
}

fn line(sync: &SyncSettings, status: SyncStatus, clock: &Clock) -> Line {
    let now = clock.now();
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

fn text(out: &mut Out, line: &Line) -> Result<()> {
    let style = out.style;
    let state = match line.state {
        "ok" => style.good("ok"),
        "held" | "paused" | "never" => style.warn(line.state),
        other => style.bad(other),
    };
    out.line(&format!("{}: {state}", style.strong(&line.sync)))?;
    let Some(last) = &line.last_run else {
        return out.line(&format!("  has never run; try it with rosterd plan {}", line.sync));
    };
    out.line(&format!("  last run       {last}"))?;
    match (&line.last_good_run, line.age_seconds) {
        (Some(at), Some(age)) => out.line(&format!("  last good run  {at}, {} ago", time::spoken(age)))?,
        _ => out.line("  last good run  never")?,
    }
    if let Some(next) = &line.next_run {
        out.line(&format!("  next run       {next}"))?;
    }
    if let Some(reason) = &line.reason {
        out.line(&format!("  why            {reason}"))?;
    }
    if let Some(plan) = &line.held_plan {
        out.line(&format!("  held plan      {plan}: look at it with rosterd plans show {plan}"))?;
    }
    if line.unresolved > 0 {
        out.line(&format!("  unresolved     {}: looked up first by the next run", line.unresolved))?;
    }
    Ok(())
}
