//! `run`, and what is asked of it from beside: `trigger`, and `approve` while it holds the sender's lock.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::approver::who;
use super::args::{Format, Global, Printing};
use super::sync::print;
use crate::config::Settings;
use crate::daemon::{self, RequestAnswer};
use crate::domain::error::{Error, Failure, LocalReason, Result};
use crate::domain::exit::Exit;
use crate::domain::ids::{PlanId, RequestId, RunId};
use crate::domain::outcome::{Outcome, Status};
use crate::os::clock::Clock;
use crate::run::chosen;
use crate::state::history::RecentOutcomes;
use crate::state::ledger::Filter;
use crate::state::lock::{Holder, SenderLock, holder};
use crate::state::requests::{Ask, Leave, Progress, ProgressOf, Withdraw};
use crate::state::{self, Access, State};
use crate::terminal::out::Out;

/// How often it is looked whether the daemon has answered.
const LOOK: Duration = Duration::from_millis(100);

/// How long a daemon may take to see a request: it looks twice a second, unless the machine is very busy.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long it is waited for a refusal once a request is taken: the daemon judges it at once.
const REFUSAL: Duration = Duration::from_millis(600);

/// How many outcomes that need attention are named.
const NAMED: usize = 10;

/// `rosterd run`.
pub async fn run(settings: Arc<Settings>, global: &Global) -> Result<Exit> {
    let lock = SenderLock::take_as(&settings.state.path, Holder::Daemon)?;
    let stop = super::stop_on_signal()?;
    daemon::run(daemon::Start { files: global.config.clone(), settings, lock, clock: Clock::system(), stop }).await?;
    Ok(Exit::Ok)
}

/// `rosterd trigger`.
pub async fn trigger(settings: &Settings, sync: &str, wait: bool, printing: Printing) -> Result<Exit> {
    chosen(settings, &[sync.to_string()])?;
    need_a_daemon(&settings.state.path, sync)?;
    let state = state::open(&settings.state.path, Access::Write)?.state;
    let id = leave(&state, Ask::Trigger(sync.into()), None).await?;
    if wait {
        return report(&state, answer(&state, id, Duration::MAX).await?, printing).await;
    }
    if let Progress::Ended { answer, exit } = answer(&state, id, REFUSAL).await? {
        refusal(&answer, exit)?;
    }
    let mut out = Out::stdout();
    match printing.format {
        Format::Json => out.json(&json!({ "sync": sync, "accepted": true }))?,
        Format::Text => {
            out.line(&format!("The daemon runs {sync} now; see what came of it: rosterd status {sync}"))?;
        }
    }
    Ok(Exit::Ok)
}

/// Has the daemon send a held plan, and tells what came of it, as if it had been sent from here.
pub async fn approve(state: &State, plan: &PlanId, reason: Option<String>, printing: Printing) -> Result<Exit> {
    let id = leave(state, Ask::Approve(plan.clone()), reason).await?;
    tracing::info!(plan = plan.as_str(), "handed over to the daemon, which sends it; waiting for what comes of it");
    report(state, answer(state, id, Duration::MAX).await?, printing).await
}

fn need_a_daemon(database: &Path, sync: &str) -> Result<()> {
    let wrong = match holder(database) {
        Some(Holder::Daemon) => return Ok(()),
        Some(Holder::Command) => Failure::new(
            Error::Local(LocalReason::Unavailable),
            format!("no daemon is running with {}: another rosterd command is sending", database.display()),
        ),
        None => Failure::new(
            Error::Local(LocalReason::Unavailable),
            format!("no daemon is running with {}", database.display()),
        ),
    };
    Err(wrong.help(format!("run it here with rosterd sync {sync}, or start the daemon: rosterd run")))
}

async fn leave(state: &State, ask: Ask, reason: Option<String>) -> Result<RequestId> {
    Ok(state.ask(Leave { ask, by: who(), reason, at: Clock::system().stamp() }).await?)
}

/// How far the request has come: its end, or, when `wait` is over before that, that it was taken.
async fn answer(state: &State, id: RequestId, wait: Duration) -> Result<Progress> {
    let left = Instant::now();
    let mut taken = None;
    loop {
        let alive = state.sender() == Some(Holder::Daemon);
        match state.ask(ProgressOf(id)).await? {
            Some(ended @ Progress::Ended { .. }) => return Ok(ended),
            Some(Progress::Taken) if taken.get_or_insert_with(Instant::now).elapsed() >= wait => {
                return Ok(Progress::Taken);
            }
            Some(Progress::Taken) if alive => {}
            Some(Progress::Taken) => return Err(ended_before()),
            Some(Progress::Waiting) if alive && left.elapsed() < PATIENCE => {}
            Some(Progress::Waiting) if state.ask(Withdraw(id)).await? => return Err(unheard()),
            Some(Progress::Waiting) => {}
            None => return Err(unheard()),
        }
        sleep(LOOK).await;
    }
}

fn unheard() -> Failure {
    Failure::new(Error::Local(LocalReason::Unavailable), "the daemon did not take the request, which is withdrawn")
        .help("it may be starting or stopping: see systemctl status rosterd, and ask again")
}

fn ended_before() -> Failure {
    Failure::new(Error::Local(LocalReason::Stopped), "the daemon ended before the run did")
        .help("what was sent is known, or looked up first by the next run")
}

/// Prints what came of a run that the daemon made for us, as if it had been made here.
async fn report(state: &State, progress: Progress, printing: Printing) -> Result<Exit> {
    let Progress::Ended { exit, answer } = progress else { return Err(ended_before()) };
    refusal(&answer, exit)?;
    let told: RequestAnswer = serde_json::from_str(&answer)
        .map_err(|e| Failure::internal("the daemon's answer can't be read: is it of the same version?").because(e))?;
    let summary = told.summary(Exit::of_code(exit).unwrap_or(Exit::Internal));
    let notable = notable(state, &summary.run).await?;
    let exit = summary.exit;
    print(&[summary], |_| notable.clone(), printing)?;
    Ok(exit)
}

/// The daemon's refusal, if its answer is one.
fn refusal(answer: &str, exit: u8) -> Result<()> {
    let answer: Value = serde_json::from_str(answer).unwrap_or_default();
    let Some(error) = answer.get("error").filter(|_| answer.get("run").is_none()) else { return Ok(()) };
    let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_string);
    let failure = Failure::new(
        Exit::of_code(exit).unwrap_or(Exit::Internal).error(),
        text("message").unwrap_or_else(|| "the daemon refused".into()),
    );
    Err(match text("help") {
        Some(help) => failure.help(help),
        None => failure,
    })
}

/// The first outcomes of a run that need attention.
async fn notable(state: &State, run: &RunId) -> Result<Vec<Outcome>> {
    let mut found = Vec::new();
    for status in [Status::Failed, Status::Unknown, Status::Rejected] {
        let filter = Filter { run: Some(run.clone()), status: Some(status), ..Filter::default() };
        found.extend(state.ask(RecentOutcomes { filter, limit: NAMED }).await?);
    }
    found.sort_by_key(|outcome| outcome.ts);
    found.truncate(NAMED);
    Ok(found)
}
