//! A sync: how it stands, its pictures, its runs, and what reconciles found.

use maud::{Markup, html};

use super::runs::table;
use super::shell::{Shell, facts};
use super::{brief, history, seconds};
use crate::server::links::part;
use crate::server::overview::SyncView;
use crate::server::timeline::timeline;
use crate::server::trend::Trend;
use crate::state::reconciled::Reconciled;
use crate::state::runs::RunRecord;

/// What the page of a sync shows.
pub(in crate::server) struct SyncPage {
    /// How it stands.
    pub about: SyncView,
    /// The name of its target.
    pub target: String,
    /// Its last runs, newest first.
    pub runs: Vec<RunRecord>,
    /// What its last reconciles found, newest first.
    pub reconciled: Vec<Reconciled>,
    /// Its days.
    pub trend: Trend,
}

/// Draws it.
pub(in crate::server) fn render(shell: &Shell<'_>, page: &SyncPage) -> Markup {
    let name = &page.about.line.sync;
    let of = part(name);
    let heading = html! { (name) " " (pill(shell, &page.about)) };
    let body = html! {
        div class="halves" {
            section { h2 { "How it stands" } (standing(shell, page)) }
            section {
                h2 { "Reconciled" span class="hint" { "source, snapshot and target compared" } }
                (reconciled(shell, name, &page.reconciled))
            }
        }
        (history::pictures(&page.trend, &[history::PEOPLE, history::FLOW, history::FAILURES]))
        p class="more" { a href={ (shell.root.page("history")) "?sync=" (of) } { "More pictures of " (name) } }
        section {
            h2 { "Runs" }
            @if page.runs.is_empty() { p class="quiet" { "None yet." } }
            (table(shell, &page.runs, false))
            @if !page.runs.is_empty() { p class="more" { a href={ (shell.root.page("runs")) "?sync=" (of) } { "All runs of " (name) } } }
        }
    };
    shell.page(&heading, &body)
}

fn pill(shell: &Shell<'_>, sync: &SyncView) -> Markup {
    html! {
        @match sync.running {
            Some(since) => span class="pill running" { "running " (brief(seconds(since, shell.now))) },
            None => span class={ "pill " (sync.line.state) } { (sync.line.state) },
        }
    }
}

fn standing(shell: &Shell<'_>, page: &SyncPage) -> Markup {
    let line = &page.about.line;
    let time = |at: Option<_>| at.map_or_else(|| html! { "never" }, |at| shell.time(at));
    let next = match page.about.next {
        _ if line.state == "paused" => html! { "when resumed: " code { "rosterd resume " (line.sync) } },
        Some(at) => shell.time(at),
        None => html! { "when asked: " code { "rosterd trigger " (line.sync) } },
    };
    let mut known = vec![
        ("Keeps in step", html! { "source " b { (page.about.source) } " → target " b { (page.target) } }),
        ("Last good run", time(line.last_good_run)),
        ("Last run", time(line.last_run)),
        ("Next run", next),
    ];
    if let Some(plan) = &line.held_plan {
        known.push(("Held plan", html! { a href=(shell.root.plan(plan.as_str())) { (plan) } }));
    }
    if let Some(stale) = &line.stale_plan {
        known.push((
            "Stale plan",
            html! { a href=(shell.root.plan(stale.plan.as_str())) { (stale.plan) } ": " (stale.why) },
        ));
    }
    if line.unresolved > 0 {
        known.push(("Unresolved", html! { (line.unresolved) " people, looked up by the next run" }));
    }
    if let Some(reason) = &line.reason {
        known.push(("Said last", html! { (reason) }));
    }
    known.push(("24 hours", timeline(&page.about.marks, shell.now, shell.zone)));
    facts(&known)
}

/// A column of figures: its name, and which figure it shows.
type Column = (&'static str, fn(&Reconciled) -> u64);

/// What the last reconcile found, and the ones before it in a row each.
fn reconciled(shell: &Shell<'_>, sync: &str, all: &[Reconciled]) -> Markup {
    let Some(last) = all.first() else {
        return html! {
            p class="quiet" { "Not since this is written down." }
            p class="do" { "compare: " code { "rosterd reconcile " (sync) } }
        };
    };
    let figures: [Column; 8] = [
        ("missing", |r| r.missing),
        ("drifted", |r| r.drifted),
        ("banned there", |r| r.banned_there),
        ("active there", |r| r.active_there),
        ("adoptable", |r| r.adoptable),
        ("orphaned", |r| r.orphaned),
        ("doubled", |r| r.doubled),
        ("unresolved", |r| r.unresolved),
    ];
    let used: Vec<_> = figures.into_iter().filter(|(_, pick)| all.iter().any(|one| pick(one) > 0)).collect();
    let differ = last.differences();
    html! {
        p {
            (shell.time(last.at)) ": "
            b { @if differ == 0 { "nothing differs" } @else { (super::number(differ)) " differ" } }
            ", " (super::number(last.in_step)) " in step, " (super::number(last.target_users)) " accounts on the target"
            @if last.kept > 0 { ", " (super::number(last.kept)) " kept otherwise by the target" }
            "."
        }
        @if differ > 0 { p class="do" { "who they are: " code { "rosterd reconcile " (sync) } } }
        table class="figures" {
            thead { tr {
                th { "When" } th { "accounts" } th { "in step" } @for (name, _) in &used { th { (name) } }
            } }
            tbody {
                @for one in all {
                    tr {
                        td { (shell.time(one.at)) } td { (super::number(one.target_users)) } td { (super::number(one.in_step)) }
                        @for (_, pick) in &used { td class=(if pick(one) > 0 { "warn" } else { "quiet" }) { (super::number(pick(one))) } }
                    }
                }
            }
        }
    }
}
