//! Runs: the list of them, and one with its outcomes.

use maud::{Markup, html};

use super::shell::{Shell, Told, facts, took};
use crate::domain::cause::Trigger;
use crate::domain::outcome::{Counted, Outcome, RunStatus, Status};
use crate::server::links::part;
use crate::state::runs::RunRecord;

/// Some runs.
pub(in crate::server) struct RunsPage {
    /// All syncs.
    pub syncs: Vec<String>,
    /// The one whose runs they are.
    pub sync: Option<String>,
    /// The runs, newest first.
    pub runs: Vec<RunRecord>,
    /// There are older ones.
    pub more: bool,
}

/// A run and some of its outcomes.
pub(in crate::server) struct RunPage {
    /// The run.
    pub run: RunRecord,
    /// Outcomes of this status alone.
    pub status: Option<Status>,
    /// The outcomes, newest first.
    pub outcomes: Vec<Outcome>,
    /// Before which number older ones are.
    pub older: Option<i64>,
    /// It begins with the newest.
    pub is_first: bool,
}

/// Draws the list.
pub(in crate::server) fn list(shell: &Shell<'_>, page: &RunsPage) -> Markup {
    let heading = html! { "Runs" @if let Some(sync) = &page.sync { " of " (sync) } };
    let body = html! {
        section {
            (shell.choice_of_sync("runs", &page.syncs, page.sync.as_deref()))
            (table(shell, &page.runs, page.sync.is_none()))
            @if page.runs.is_empty() { p class="quiet" { "None." } }
            @if let (true, Some(last)) = (page.more, page.runs.last()) {
                @let of = page.sync.as_ref().map_or_else(String::new, |sync| format!("&sync={}", part(sync)));
                p class="more" { a rel="next" href={ (shell.root.page("runs")) "?before=" (part(last.run.as_str())) (of) } { "Older runs" } }
            }
        }
    };
    shell.page(&heading, &body)
}

/// Runs in rows; `with_sync`: of which sync each is.
pub(in crate::server) fn table(shell: &Shell<'_>, runs: &[RunRecord], with_sync: bool) -> Markup {
    html! {
        @if !runs.is_empty() {
            table class="rows" {
                thead { tr {
                    th { "Begun" } @if with_sync { th { "Sync" } } th { "Status" } th { "Took" } th { "By" }
                    th class="wide" { "What became of it" }
                } }
                tbody { @for run in runs { (row(shell, run, with_sync)) } }
            }
        }
    }
}

fn row(shell: &Shell<'_>, run: &RunRecord, with_sync: bool) -> Markup {
    html! {
        tr {
            td { a href=(shell.root.run(run.run.as_str())) { (shell.time(run.started_at)) } }
            @if with_sync { td class="name" { a href=(shell.root.sync(&run.sync)) { (run.sync) } } }
            td { (pill(run)) }
            td { (duration(shell, run)) }
            td { (run.trigger.map_or("?", Trigger::name)) }
            td class="wide" {
                (became(run))
                @if let Some(error) = &run.error { " " span class="why" { (error.message) } }
            }
        }
    }
}

fn pill(run: &RunRecord) -> Markup {
    let word = run.status.map_or("running", RunStatus::name);
    html! { span class={ "pill " (word) } { (word) } }
}

fn duration(shell: &Shell<'_>, run: &RunRecord) -> String {
    match (run.finished_at, run.status) {
        (Some(end), _) => took(run.started_at, end),
        (None, None) => format!("{} so far", took(run.started_at, shell.now)),
        (None, Some(_)) => "never finished".into(),
    }
}

/// What became of it, in a line.
fn became(run: &RunRecord) -> String {
    let counts = &run.figures.counts;
    let total = |pick: fn(&Counted) -> u64| counts.values().map(pick).sum::<u64>();
    let done = counts.iter().filter(|(_, n)| n.ok > 0).map(|(op, n)| format!("{} {op}", n.ok));
    let others = [
        (total(|n| n.held), "held"),
        (total(|n| n.failed), "failed"),
        (total(|n| n.unknown), "unknown"),
        (run.figures.rejected, "rejected"),
        (run.figures.skipped, "skipped"),
        (run.unchanged, "unchanged"),
    ];
    let others = others.into_iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}"));
    let all: Vec<String> = done.chain(others).collect();
    if all.is_empty() { "nothing was written".into() } else { all.join(", ") }
}

/// What began it, who asked for it or approved it, and what they said.
fn began(shell: &Shell<'_>, run: &RunRecord) -> Markup {
    html! {
        @match run.trigger {
            None => "begun before this was written down",
            Some(Trigger::Schedule) => "its schedule",
            Some(Trigger::Command) => "a command",
            Some(Trigger::Reconcile) => "a reconcile",
            Some(Trigger::Approve) => "the approval of a held plan",
            Some(Trigger::Undo) => {
                "the approval of an undo"
                @if let Some(undone) = &run.undoes { " of run " a href=(shell.root.run(undone.as_str())) { (undone) } }
            }
        }
        @if let Some(by) = &run.by { ", by " b { (by) } }
        @if let Some(reason) = &run.reason { ": “" (reason) "”" }
    }
}

/// Draws one.
pub(in crate::server) fn one(shell: &Shell<'_>, page: &RunPage) -> Markup {
    let run = &page.run;
    let heading = html! { "Run of " a href=(shell.root.sync(&run.sync)) { (run.sync) } " " (pill(run)) };
    let mut known = vec![
        ("Id", html! { code { (run.run) } }),
        ("Begun", shell.time(run.started_at)),
        ("Took", html! { (duration(shell, run)) }),
        ("Begun by", began(shell, run)),
        ("Became", html! { (became(run)) }),
    ];
    if let Some(error) = &run.error {
        known.push((
            "Why",
            html! { (error.message) @if let Some(code) = error.code { span class="quiet" { " (exit code " (code.code()) ")" } } },
        ));
    }
    let body = html! {
        section { (facts(&known)) (by_operation(run)) }
        section {
            h2 { "Outcomes" @if !page.is_first { span class="hint" { "older ones" } } }
            (statuses(shell, page))
            @if page.outcomes.is_empty() { p class="quiet" { "None." } }
            @else { (shell.outcomes(&page.outcomes, Told::People)) }
            @if let Some(older) = page.older {
                @let of = page.status.map_or_else(String::new, |status| format!("&status={status}"));
                p class="more" { a rel="next" href={ "?before=" (older) (of) } { "Older outcomes" } }
            }
        }
    };
    shell.page(&heading, &body)
}

/// A column of figures: its name, and which figure it shows.
type Column = (&'static str, fn(&Counted) -> u64);

/// What became of its operations, kind by kind.
fn by_operation(run: &RunRecord) -> Markup {
    let columns: [Column; 5] = [
        ("ok", |n| n.ok),
        ("failed", |n| n.failed),
        ("unknown", |n| n.unknown),
        ("held", |n| n.held),
        ("skipped", |n| n.skipped),
    ];
    html! {
        @if !run.figures.counts.is_empty() {
            table class="figures" {
                thead { tr { th { "Operation" } @for (name, _) in columns { th { (name) } } } }
                tbody {
                    @for (op, counted) in &run.figures.counts {
                        tr { td { (op) } @for (_, pick) in columns { td { (super::number(pick(counted))) } } }
                    }
                }
            }
        }
    }
}

fn statuses(shell: &Shell<'_>, page: &RunPage) -> Markup {
    let mut choices = vec![("All".to_string(), "?".to_string(), page.status.is_none())];
    choices.extend(
        Status::ALL.map(|status| (status.name().to_string(), format!("?status={status}"), page.status == Some(status))),
    );
    shell.choice(&choices)
}
