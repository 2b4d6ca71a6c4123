//! `runs`: what was done, run by run, newest first.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::args::{Format, RunsArgs};
use super::outcomes::since;
use super::words;
use crate::config::Settings;
use crate::domain::cause::Trigger;
use crate::domain::error::Result;
use crate::domain::exit::Exit;
use crate::domain::ids::RunId;
use crate::domain::operation::OpKind;
use crate::domain::outcome::{Counted, RunStatus};
use crate::domain::time;
use crate::os::clock::Clock;
use crate::os::zone;
use crate::run::chosen;
use crate::state::journal::INTERRUPTED;
use crate::state::runs::{RunRecord, RunTrouble, Runs};
use crate::state::{self, Access};
use crate::terminal::out::{Comma, Out};

/// How many runs are in memory at once.
const PAGE: usize = 200;

/// How many are shown on a terminal unless it is said.
const ON_A_SCREEN: u64 = 20;

/// `rosterd runs`.
pub async fn command(settings: &Settings, wanted: RunsArgs) -> Result<Exit> {
    if let Some(sync) = &wanted.sync {
        chosen(settings, std::slice::from_ref(sync))?;
    }
    let now = Clock::system().now();
    let since = wanted.since.as_deref().map(|text| since(text, now)).transpose()?;
    let state = state::open(&settings.state.path, Access::Read)?.state;
    let at_rest = state.sender().is_none();
    let mut list = List { out: Out::stdout(), format: wanted.printing.format, comma: Comma::default(), now };
    let unsaid = (list.format == Format::Text && list.out.is_terminal()).then_some(ON_A_SCREEN);
    let mut left = wanted.limit.or(unsaid).unwrap_or(u64::MAX);
    let mut pages = state.pages(Runs { sync: wanted.sync, since, before: None, limit: PAGE });
    let (mut any, mut more) = (false, false);
    list.begin()?;
    'pages: while let Some(page) = pages.next().await? {
        for run in page {
            if left == 0 {
                more = true;
                break 'pages;
            }
            left -= 1;
            any = true;
            list.one(&closed(run, at_rest))?;
        }
    }
    list.end(any, more && wanted.limit.is_none())?;
    Ok(Exit::Ok)
}

/// A run that nobody has closed although nobody sends: its process died, as whoever sends next writes into its row.
fn closed(run: RunRecord, at_rest: bool) -> RunRecord {
    if run.status.is_some() || !at_rest {
        return run;
    }
    let error = Some(RunTrouble { code: None, message: INTERRUPTED.into() });
    RunRecord { status: Some(RunStatus::Failed), error, ..run }
}

/// The word for how a run ended, or that it has not.
fn word(run: &RunRecord) -> &'static str {
    run.status.map_or("running", RunStatus::name)
}

/// A run as the contract has it.
#[derive(Serialize)]
struct RunJson<'r> {
    run: &'r RunId,
    sync: &'r str,
    #[serde(with = "time::written")]
    started_at: DateTime<Utc>,
    #[serde(serialize_with = "time::written::serialize_if_any")]
    finished_at: Option<DateTime<Utc>>,
    status: &'static str,
    trigger: Option<Trigger>,
    by: Option<&'r str>,
    reason: Option<&'r str>,
    counts: &'r std::collections::BTreeMap<OpKind, Counted>,
    rejected: u64,
    skipped: u64,
    unchanged: u64,
    error: Option<&'r RunTrouble>,
}

impl<'r> From<&'r RunRecord> for RunJson<'r> {
    fn from(run: &'r RunRecord) -> RunJson<'r> {
        RunJson {
            run: &run.run,
            sync: &run.sync,
            started_at: run.started_at,
            finished_at: run.finished_at,
            status: word(run),
            trigger: run.trigger,
            by: run.by.as_deref(),
            reason: run.reason.as_deref(),
            counts: &run.figures.counts,
            rejected: run.figures.rejected,
            skipped: run.figures.skipped,
            unchanged: run.unchanged,
            error: run.error.as_ref(),
        }
    }
}

/// The list on its way out.
struct List {
    out: Out,
    format: Format,
    comma: Comma,
    now: DateTime<Utc>,
}

impl List {
    fn begin(&mut self) -> Result<()> {
        if self.format == Format::Json { self.out.piece("{\"runs\":[") } else { Ok(()) }
    }

    fn one(&mut self, run: &RunRecord) -> Result<()> {
        match self.format {
            Format::Json => self.comma.write(&mut self.out, &RunJson::from(run)),
            Format::Text => self.text(run),
        }
    }

    fn end(&mut self, any: bool, more: bool) -> Result<()> {
        if self.format == Format::Json {
            self.out.piece("]}")?;
            return self.out.verbatim("\n");
        }
        if !any {
            self.out.line("No run matches.")?;
        }
        if more {
            let told = format!("There are older ones: rosterd runs --limit {}", ON_A_SCREEN * 10);
            self.out.section(&self.out.style.faint(&told))?;
        }
        Ok(())
    }

    fn text(&mut self, run: &RunRecord) -> Result<()> {
        let style = self.out.style;
        let status = match run.status {
            Some(RunStatus::Ok) => style.good(word(run)),
            Some(RunStatus::Failed | RunStatus::Untrusted) => style.bad(word(run)),
            _ => style.warn(word(run)),
        };
        let begun = zone::told(run.started_at);
        self.out.line(&format!("{begun}  {}  {}: {status}", run.run, style.strong(&run.sync)))?;
        self.out.line(&format!("    {}", [took(run, self.now), began(run)].join(", ")))?;
        self.out.line(&format!("    {}", became(run)))?;
        match &run.error {
            Some(error) => self.out.line(&format!("    {}", error.message)),
            None => Ok(()),
        }
    }
}

/// What began it.
fn began(run: &RunRecord) -> String {
    let by = run.by.as_deref();
    let said = run.reason.as_ref().map_or_else(String::new, |reason| format!(": “{reason}”"));
    match (run.trigger, by) {
        (None, _) => "begun before this was written down".into(),
        (Some(Trigger::Command), Some(by)) => format!("by command of {by}"),
        (Some(Trigger::Command), None) => "by command".into(),
        (Some(Trigger::Schedule), _) => "by schedule".into(),
        (Some(Trigger::Reconcile), Some(by)) => format!("a reconcile by command of {by}"),
        (Some(Trigger::Reconcile), None) => "a reconcile by schedule".into(),
        (Some(Trigger::Approve), by) => format!("a plan approved by {}{said}", by.unwrap_or("somebody")),
        (Some(Trigger::Undo), by) => {
            let which = run.undoes.as_ref().map_or_else(String::new, |run| format!(" of run {run}"));
            format!("an undo{which}, approved by {}{said}", by.unwrap_or("somebody"))
        }
    }
}

/// How long it took, or has taken so far.
fn took(run: &RunRecord, now: DateTime<Utc>) -> String {
    let span = |to: DateTime<Utc>| time::spoken((to - run.started_at).num_seconds().max(0).unsigned_abs());
    match (run.finished_at, run.status) {
        (Some(end), _) => span(end),
        (None, None) => format!("{} so far", span(now)),
        (None, Some(_)) => "never finished".into(),
    }
}

/// What became of it.
fn became(run: &RunRecord) -> String {
    let counts = &run.figures.counts;
    let total = |pick: fn(&Counted) -> u64| counts.values().map(pick).sum::<u64>();
    let held: Vec<String> =
        counts.iter().filter(|(_, n)| n.held > 0).map(|(op, n)| format!("{} {op}", n.held)).collect();
    let held = Some(format!("held: {}", held.join(", "))).filter(|_| !held.is_empty());
    let numbers = [
        (total(|n| n.failed), "failed"),
        (total(|n| n.unknown), "unknown"),
        (run.figures.rejected, "rejected"),
        (run.figures.skipped, "skipped"),
        (run.unchanged, "unchanged"),
    ];
    let numbers = numbers.into_iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}"));
    let done = Some(words::tally(counts, |n| n.ok)).filter(|done| !done.is_empty());
    let numbers = Some(numbers.collect::<Vec<_>>().join(", ")).filter(|numbers| !numbers.is_empty());
    let all: Vec<String> = done.into_iter().chain(held).chain(numbers).collect();
    if all.is_empty() { "nothing was written".into() } else { all.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::instant;
    use crate::state::runs::Figures;

    fn run(trigger: Option<Trigger>, by: Option<&str>, reason: Option<&str>) -> RunRecord {
        RunRecord {
            run: "r2".into(),
            sync: "staff".into(),
            started_at: instant("2026-11-22T03:00:00.000Z"),
            finished_at: Some(instant("2026-11-22T03:01:05.000Z")),
            status: Some(RunStatus::Ok),
            trigger,
            by: by.map(Into::into),
            reason: reason.map(Into::into),
            undoes: (trigger == Some(Trigger::Undo)).then(|| "r1".into()),
            figures: Figures::default(),
            unchanged: 0,
            error: None,
        }
    }

    #[test]
    fn what_began_a_run_is_told_in_words() {
        let ann = Some("ann (uid 1000)");
        for (trigger, by, reason, expected) in [
            (Some(Trigger::Schedule), None, None, "by schedule"),
            (Some(Trigger::Command), ann, None, "by command of ann (uid 1000)"),
            (Some(Trigger::Reconcile), None, None, "a reconcile by schedule"),
            (Some(Trigger::Approve), ann, None, "a plan approved by ann (uid 1000)"),
            (Some(Trigger::Approve), ann, Some("closed"), "a plan approved by ann (uid 1000): “closed”"),
            (Some(Trigger::Undo), ann, Some("oops"), "an undo of run r1, approved by ann (uid 1000): “oops”"),
            (None, None, None, "begun before this was written down"),
        ] {
            assert_eq!(began(&run(trigger, by, reason)), expected);
        }
    }

    #[test]
    fn a_run_that_nobody_closed_is_running_or_failed() {
        let open = || RunRecord { finished_at: None, status: None, ..run(Some(Trigger::Schedule), None, None) };
        let now = instant("2026-11-22T03:00:04.000Z");
        let running = closed(open(), false);
        assert_eq!((word(&running), took(&running, now).as_str(), &running.error), ("running", "4 s so far", &None));
        let dead = closed(open(), true);
        assert_eq!((word(&dead), took(&dead, now).as_str()), ("failed", "never finished"));
        assert!(dead.error.is_some_and(|error| error.message == INTERRUPTED && error.code.is_none()));
        let ended = closed(run(None, None, None), true);
        assert_eq!((word(&ended), took(&ended, now).as_str()), ("ok", "1 min 5 s"));
    }
}
