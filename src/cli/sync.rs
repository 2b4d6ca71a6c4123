//! `sync` and `approve`: runs that send.

use std::path::Path;
use std::sync::Arc;

use super::approver::{is_short_enough, who};
use super::args::{Format, Printing, Scope};
use super::progress::Progress;
use super::words;
use crate::account::Clients;
use crate::account::budget::Budget;
use crate::config::Settings;
use crate::domain::error::{Error, Failure, Result};
use crate::domain::exit::Exit;
use crate::domain::ids::{PlanId, RunId};
use crate::domain::limits::Breach;
use crate::domain::outcome::{Counted, Outcome, RunStatus, Status};
use crate::domain::time;
use crate::domain::visible::padded;
use crate::os::clock::Clock;
use crate::run::{Announcements, RunRequest, RunSummary, Runner, spent};
use crate::state::plans::{FindPlan, PlanStatus};
use crate::state::{self, Access, Opened, State};
use crate::terminal::out::Out;

/// `rosterd sync`.
pub async fn command(
    settings: Arc<Settings>,
    scope: &Scope,
    outcomes: Option<&Path>,
    printing: Printing,
) -> Result<Exit> {
    let request = RunRequest { only: super::keys(&scope.only)?, by: Some(who()), ..RunRequest::default() };
    crate::run::chosen(&settings, &scope.syncs)?;
    let Opened { state, lock: _lock } = state::open(&settings.state.path, Access::Send)?;
    send(settings, state, &scope.syncs, &request, outcomes, printing).await
}

/// `rosterd approve`.
pub async fn approve(settings: Arc<Settings>, id: PlanId, reason: Option<String>, printing: Printing) -> Result<Exit> {
    reason.as_deref().map_or(Ok(()), is_short_enough)?;
    let Opened { state, lock } = state::open_beside_daemon(&settings.state.path)?;
    // Judged here too: what is wrong is said at once, whoever sends.
    let (plan, status) = state
        .ask(FindPlan(id.clone()))
        .await?
        .ok_or_else(|| Failure::new(Error::Usage, format!("there is no plan {id}")).help("see: rosterd plans"))?;
    if status != PlanStatus::Held {
        return Err(spent(&id, status));
    }
    if lock.is_none() {
        return super::run::approve(&state, &id, reason, printing).await;
    }
    let progress = Arc::new(Progress::new(None, false)?);
    let runner = runner(settings, state, &progress)?;
    let run = runner.approve(&plan, who(), reason).await?;
    finish(&[run], &progress, printing)
}

async fn send(
    settings: Arc<Settings>,
    state: State,
    syncs: &[String],
    request: &RunRequest,
    outcomes: Option<&Path>,
    printing: Printing,
) -> Result<Exit> {
    let progress = Arc::new(Progress::new(outcomes, false)?);
    let runs = runner(settings, state, &progress)?.sync(syncs, request).await?;
    finish(&runs, &progress, printing)
}

/// What runs need, with this watcher.
///
/// # Errors
/// Signals can't be listened for.
pub fn runner(settings: Arc<Settings>, state: State, progress: &Arc<Progress>) -> Result<Runner> {
    let clients = Clients::new(state.clone(), Clock::system(), Budget::of(&state)?);
    runner_through(Arc::new(clients), settings, state, progress)
}

/// The same, through these clients.
///
/// # Errors
/// As [`runner`].
pub fn runner_through(
    clients: Arc<Clients>,
    settings: Arc<Settings>,
    state: State,
    progress: &Arc<Progress>,
) -> Result<Runner> {
    Ok(Runner {
        clients,
        settings,
        state,
        clock: Clock::system(),
        stop: super::stop_on_signal()?,
        observer: Arc::<Progress>::clone(progress),
        resident: false,
        announcements: Announcements::default(),
    })
}

fn finish(runs: &[RunSummary], progress: &Progress, printing: Printing) -> Result<Exit> {
    let finished = progress.finish();
    print(runs, |run| progress.notable(run), printing)?;
    finished?;
    Ok(runs.iter().fold(Exit::Ok, |worst, run| worst.worse(run.exit)))
}

/// Prints what became of runs; `notable` tells which outcomes of a run need attention.
pub fn print(runs: &[RunSummary], notable: impl Fn(&RunId) -> Vec<Outcome>, printing: Printing) -> Result<()> {
    let mut out = Out::stdout();
    if printing.format == Format::Json {
        return out.json(&serde_json::json!({ "runs": runs }));
    }
    for run in runs {
        text(&mut out, run, &notable(&run.run))?;
    }
    Ok(())
}

/// One run as a colleague would tell it.
pub fn text(out: &mut Out, run: &RunSummary, notable: &[Outcome]) -> Result<()> {
    let style = out.style;
    let status = match run.status {
        RunStatus::Ok => style.good("ok"),
        RunStatus::Held | RunStatus::Partial | RunStatus::Paused => style.warn(run.status.name()),
        RunStatus::Failed | RunStatus::Untrusted => style.bad(run.status.name()),
    };
    let took = time::spoken(run.duration_ms / 1000);
    out.line(&format!("{}: {status}  {}", style.strong(&run.sync), style.faint(&format!("run {}, {took}", run.run))))?;
    if run.status == RunStatus::Paused {
        out.line(&format!(
            "  the sync is paused: nothing {}; it goes on with rosterd resume {}",
            if run.counts.is_empty() { "was done" } else { "more is sent" },
            run.sync
        ))?;
    }
    let done = words::tally(&run.counts, |c| c.ok);
    if run.source_records == 0 && !done.is_empty() {
        // It needed no source: an undo.
        out.line(&format!("  {done}"))?;
    }
    if run.source_records > 0 {
        let done = match (done.is_empty(), run.planned.is_empty()) {
            (false, _) => format!("{done}; "),
            (true, true) => "nothing to write; ".into(),
            (true, false) => String::new(),
        };
        out.line(&format!(
            "  {done}{} read, {} unchanged, {} out of scope",
            words::count(run.source_records, "record", "records"),
            run.unchanged,
            run.excluded
        ))?;
    }
    if let Some(approved) = &run.approved {
        out.line(&format!("  {approved}"))?;
    }
    troubles(out, run, notable)?;
    if let (Some(breach), Some(plan)) = (&run.held, &run.plan) {
        held(out, run, breach, plan)?;
        // What went wrong with the rest, where the bans alone are held.
        return if run.status == RunStatus::Held { Ok(()) } else { failed(out, run) };
    }
    if let Some(note) = &run.note {
        out.line(&format!("  {}", style.warn(note)))?;
    }
    failed(out, run)
}

fn failed(out: &mut Out, run: &RunSummary) -> Result<()> {
    let (style, Some(error)) = (out.style, &run.error) else { return Ok(()) };
    out.line(&format!("  {}: {}", style.bad("error"), error.message))?;
    match &error.help {
        Some(help) => out.line(&format!("   {}: {help}", style.strong("help"))),
        None => Ok(()),
    }
}

/// Why nothing was sent, or the bans were not, and how to go on.
fn held(out: &mut Out, run: &RunSummary, breach: &Breach, plan: &PlanId) -> Result<()> {
    let planned: Vec<String> = run.planned.iter().map(|(op, n)| format!("{n} {op}")).collect();
    let sent = if run.apart { "the bans were not sent" } else { "nothing was sent" };
    out.line(&format!("  planned:          {}; {sent}", planned.join(", ")))?;
    let people: Vec<String> = match run.first_people.as_slice() {
        [] => run.first_keys.clone(),
        people => people.iter().map(ToString::to_string).collect(),
    };
    out.line(&format!("  {}", out.style.warn(&breach.sentence(&people))))?;
    if let (added @ 1.., newly) = &run.added {
        let more = if *added > newly.len() as u64 { ", …" } else { "" };
        let grown = words::count(*added, "operation", "operations");
        out.line(&format!(
            "  It has grown since the plan that was held before, by {grown}: {}{more}.",
            words::listed(newly)
        ))?;
    }
    out.line(&format!("  look at it:       rosterd plans show {plan}"))?;
    out.line(&format!("  if it is right:   rosterd approve {plan} --reason \"…\""))?;
    out.line(&format!("  if it is wrong:   mend the source and run again; rosterd discard {plan} drops it"))?;
    out.line(&format!("  what can't wait:  rosterd sync {} --only KEY, for one person", run.sync))
}

fn troubles(out: &mut Out, run: &RunSummary, notable: &[Outcome]) -> Result<()> {
    let total = |pick: fn(&Counted) -> u64| run.counts.values().map(pick).sum::<u64>();
    let parts: Vec<String> = [
        (total(|c| c.failed), "failed"),
        (total(|c| c.unknown), "unknown (looked up first thing in the next run)"),
        (run.rejected, "rejected"),
        (run.skipped, "skipped"),
    ]
    .iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, word)| format!("{n} {word}"))
    .collect();
    if parts.is_empty() {
        return Ok(());
    }
    out.line(&format!("  {}", out.style.warn(&parts.join(", "))))?;
    for outcome in notable {
        out.line(&format!("    {}", one_trouble(outcome)))?;
    }
    let named = total(|c| c.failed) + total(|c| c.unknown) + run.rejected;
    if run.held_again && named > 0 {
        // Held on the same plan, a run writes no outcomes: what the source has is seen by planning.
        out.line(&format!("    … each of them, and why: rosterd plan {} -v", run.sync))?;
    } else if named > notable.len() as u64 {
        out.line(&format!("    … all of them: rosterd outcomes --run {}", run.run))?;
    }
    Ok(())
}

fn one_trouble(outcome: &Outcome) -> String {
    let key = outcome.key.as_ref().map_or("(no key)", |k| k.as_str());
    let what = outcome.op.map_or("record", |op| op.name());
    let why = match (&outcome.error, &outcome.reason) {
        (Some(error), _) => error.message.clone(),
        (None, Some(reason)) => reason.clone(),
        (None, None) => String::new(),
    };
    let status = match outcome.status {
        Status::Unknown => "unknown",
        Status::Rejected => "rejected",
        _ => "failed",
    };
    format!("{} {what} {status}: {why}", padded(key, 10))
}
