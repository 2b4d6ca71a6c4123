//! The pages for people. This one is `/`: what one would want to know at three in the morning, most urgent first, on one
//! screen of a phone. It loads itself anew every half minute; the pages below stand still.
//!
//! Each is one document without anything from elsewhere: no script, no font, no picture but the drawn ones.

mod cards;
pub(super) mod history;
pub(super) mod person;
pub(super) mod plan;
pub(super) mod runs;
pub(super) mod shell;
pub(super) mod sync;

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use self::shell::Shell;
use super::links::Root;
use super::overview::{Failures, Overview, SyncView};
use super::timeline::timeline;
use super::trend::Trend;
use crate::domain::time::spoken;
use crate::os::zone::Zone;
use crate::server::Pace;

/// How much of a hurry somebody is in who sees the page; each is a colour of its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Hurry {
    /// Nothing is to be done.
    Good,
    /// Something waits for somebody, or is left over; the rest goes on.
    Odd,
    /// Something does not go on.
    Bad,
}

impl Hurry {
    const fn class(self) -> &'static str {
        match self {
            Hurry::Good => "good",
            Hurry::Odd => "odd",
            Hurry::Bad => "bad",
        }
    }
}

/// Draws the page.
pub(super) fn render(o: &Overview, trend: Option<&Trend>) -> Markup {
    let (hurry, verdict) = verdict(o);
    let shell = Shell { title: &verdict, root: Root::TOP, now: o.now, zone: o.zone, refresh: true };
    let below = html! {
        "rosterd " (env!("CARGO_PKG_VERSION")) " · " (o.zone.told(o.now)) " · up " (spoken(seconds(o.started_at, o.now)))
    };
    let body = html! {
        (cards::all(o))
        (table(o))
        div class="halves" {
            section {
                h2 { "Last failures" span class="hint" { "24 hours" } }
                @if o.failures.is_empty() { p class="quiet" { "None." } }
                @for failure in &o.failures { (one_failure(failure, o.now)) }
            }
            @if !o.paces.is_empty() {
                section {
                    h2 { "Requests" span class="hint" { "a second, of the last minute" } }
                    @for pace in &o.paces { (one_pace(pace)) }
                }
            }
        }
        @if let Some(trend) = trend { (history::pictures(trend, &[history::PEOPLE, history::FLOW, history::FAILURES])) }
    };
    shell.document(hurry.class(), &html! { (verdict) }, &below, &body)
}

/// The page in a sentence, and how much of a hurry there is.
fn verdict(o: &Overview) -> (Hurry, String) {
    if o.stopping {
        return (Hurry::Bad, "Stopping".into());
    }
    let told = |hurry: Hurry, said: &'static str, is: &dyn Fn(&SyncView) -> bool| {
        let number = o.syncs.iter().filter(|sync| is(sync)).count();
        (number > 0).then(|| (hurry, format!("{number} {said}")))
    };
    let state = |word: &'static str| move |sync: &SyncView| sync.line.state == word;
    let told: Vec<(Hurry, String)> = [
        told(Hurry::Bad, "failed", &state("failed")),
        told(Hurry::Bad, "not trusted", &state("untrusted")),
        told(Hurry::Odd, "held", &|sync| sync.line.held_plan.is_some() || sync.line.state == "held"),
        told(Hurry::Odd, "paused", &state("paused")),
        told(Hurry::Odd, "with something left over", &left_over),
        Some(o.unconfigured.len()).filter(|n| *n > 0).map(|n| (Hurry::Odd, format!("{n} not configured"))),
    ]
    .into_iter()
    .flatten()
    .collect();
    let well =
        if o.syncs.iter().all(|sync| sync.line.state == "never") { "nothing has run yet" } else { "all is well" };
    let number = format!("{} {}", o.syncs.len(), if o.syncs.len() == 1 { "sync" } else { "syncs" });
    let syncs = match told.is_empty() {
        true => format!("{number}: {well}"),
        false => format!("{number}: {}", told.iter().map(|(_, said)| said.as_str()).collect::<Vec<_>>().join(", ")),
    };
    match o.refused {
        Some(_) => (Hurry::Bad, format!("Configuration refused; {syncs}")),
        None => (told.iter().map(|(hurry, _)| *hurry).max().unwrap_or(Hurry::Good), syncs),
    }
}

/// Whether its last run that ended left something over, or something sent has no known fate. What failed altogether
/// is told as that.
fn left_over(sync: &SyncView) -> bool {
    sync.line.unresolved > 0 || sync.line.state == "partial"
}

/// How far up a sync belongs: what needs somebody most comes first.
fn rank(sync: &SyncView) -> u8 {
    match sync.line.state {
        "failed" => 0,
        "untrusted" => 1,
        "held" => 2,
        _ if sync.line.held_plan.is_some() => 2,
        "paused" => 4,
        _ if left_over(sync) => 3,
        _ => 5,
    }
}

/// Every sync in a row; on a phone, in three lines.
fn table(o: &Overview) -> Markup {
    let mut syncs: Vec<&SyncView> = o.syncs.iter().collect();
    syncs.sort_by_key(|sync| rank(sync));
    html! {
        section {
            table {
                thead { tr {
                    th { "Sync" } th { "State" } th { "Runs of 24 hours, now at the right" }
                    th { "Last good" } th { "Last run" } th { "Next" }
                } }
                tbody { @for sync in syncs { (row(sync, o.now, o.zone)) } }
            }
            @if o.syncs.is_empty() { p { "None is configured." } }
        }
    }
}

fn row(sync: &SyncView, now: DateTime<Utc>, zone: Zone) -> Markup {
    let line = &sync.line;
    let since = |at: Option<DateTime<Utc>>| at.map_or_else(|| "never".into(), |at| ago(at, now));
    html! {
        tr {
            td class="name" { a href=(Root::TOP.sync(&line.sync)) { (line.sync) } }
            td class="state" {
                @match sync.running {
                    Some(since) => span class="pill running" title={ "so far: " (line.state) } { "running " (brief(seconds(since, now))) },
                    None => span class={ "pill " (line.state) } { (line.state) },
                }
                @if line.unresolved > 0 { " " span class="warn" { (line.unresolved) " unresolved" } }
            }
            td class="runs" { (timeline(&sync.marks, now, zone)) }
            td title=[line.last_good_run.map(|at| zone.told(at))] { span class="key" { "good " } (since(line.last_good_run)) }
            td title=[line.last_run.map(|at| zone.told(at))] { span class="key" { "ran " } (since(line.last_run)) }
            td { span class="key" { "next " } @match sync.next {
                _ if line.state == "paused" => { "when resumed" },
                Some(at) => { "in " (brief(seconds(now, at))) " "
                    span class="quiet" { (zone.of_day(at)) } },
                None => { "when asked" },
            } }
        }
    }
}

fn one_pace(pace: &Pace) -> Markup {
    let allowed = pace.reading.rate.per_second();
    let used = pace.per_second;
    let share = if allowed > 0.0 { (used / allowed).clamp(0.0, 1.0) } else { 0.0 };
    html! {
        div class="pace" {
            b { (pace.reading.target) }
            svg viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label={ (percent(share)) " of the rate" } {
                rect class="room" width="100" height="8" {}
                rect class="used" width=(format!("{:.1}", share * 100.0)) height="8" {}
            }
            span { (figure(used)) " of " (pace.reading.rate) }
        }
    }
}

fn one_failure(failure: &Failures, now: DateTime<Utc>) -> Markup {
    let outcome = &failure.latest;
    let why = outcome.error.as_ref().map(|e| e.message.as_str()).or(outcome.reason.as_deref()).unwrap_or_default();
    let op = outcome.op.map_or("record", |op| op.name());
    html! {
        div class="failure" {
            a class="quiet" href=(Root::TOP.run(outcome.run.as_str())) { (ago(outcome.ts, now)) }
            b {
                (outcome.sync) " "
                @match &outcome.key {
                    Some(key) => a href=(Root::TOP.person(&outcome.sync, key.as_str())) { (key) },
                    None => "(no key)",
                }
            }
            span {
                (op) " " (outcome.status) @if !why.is_empty() { ": " (why) }
                @if failure.times > 1 { span class="quiet" { " (" (failure.times) " times)" } }
            }
        }
    }
}

fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    format!("{} ago", brief(seconds(at, now)))
}

/// A span in its largest unit alone: at a glance, nobody needs more.
fn brief(seconds: u64) -> String {
    match (seconds / 86_400, seconds / 3_600, seconds / 60) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0 | 1, hours, _) => format!("{hours} h"),
        (days, ..) => format!("{days} d"),
    }
}

fn seconds(from: DateTime<Utc>, to: DateTime<Utc>) -> u64 {
    (to - from).num_seconds().max(0).unsigned_abs()
}

/// A number with its thousands apart.
fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut told = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            told.push(',');
        }
        told.push(digit);
    }
    told
}

fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

/// A rate with as many digits as tell something.
fn figure(rate: f64) -> String {
    if rate >= 10.0 { format!("{rate:.0}") } else { format!("{rate:.1}") }
}

#[cfg(test)]
mod tests;
