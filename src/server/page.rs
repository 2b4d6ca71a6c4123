//! The page `/`: what one would want to know at three in the morning, most urgent first, on one screen of a phone.
//!
//! One document without anything from elsewhere: no script, no font, no picture but the drawn ones. It loads itself
//! anew every half minute.

use chrono::{DateTime, Utc};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::overview::{HeldView, Overview, SyncView};
use super::picture::timeline;
use crate::daemon::Pace;
use crate::outcome::Outcome;
use crate::plan::{Operation, shown};
use crate::time::{parse, spoken};

const STYLE: &str = include_str!("page.css");

/// Draws the page.
pub(super) fn render(o: &Overview) -> Markup {
    let (bad, verdict) = verdict(o);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="refresh" content="30";
                title { (verdict) " · rosterd" }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                header class=(if bad { "bad" } else { "good" }) {
                    h1 { (verdict) }
                    p { "rosterd " (env!("CARGO_PKG_VERSION")) " · " (o.now.format("%Y-%m-%d %H:%M:%S UTC"))
                        " · up " (spoken(seconds(o.started_at, o.now))) }
                }
                main {
                    @if let Some(why) = &o.refused {
                        section class="alert" {
                            h2 { "The configuration on disk is refused" }
                            p class="text" { (why) }
                            p { "The one before stays in force. Judge it: " code { "rosterd check" }
                                "; then " code { "systemctl reload rosterd" } }
                        }
                    }
                    @for held in &o.held { (held_plan(held, o)) }
                    section {
                        h2 { "Syncs" span class="hint" { "runs of 24 hours, now at the right" } }
                        @if o.syncs.is_empty() { p { "None is configured." } }
                        @for sync in &o.syncs { (one_sync(sync, o.now)) }
                    }
                    @if !o.paces.is_empty() {
                        section {
                            h2 { "Requests" span class="hint" { "a second, of the last minute" } }
                            @for pace in &o.paces { (one_pace(pace)) }
                        }
                    }
                    section {
                        h2 { "Last failures" span class="hint" { "24 hours" } }
                        @if o.failures.is_empty() { p class="quiet" { "None." } }
                        @for failure in &o.failures { (one_failure(failure, o.now)) }
                    }
                }
                footer {
                    a href="metrics" { "metrics" } " · " a href="api/v1/status" { "status" } " · "
                    a href="api/v1/runs" { "runs" } " · " a href="api/v1/outcomes" { "outcomes" }
                }
            }
        }
    }
}

/// The page in a sentence, and whether somebody has to do something.
fn verdict(o: &Overview) -> (bool, String) {
    if o.stopping {
        return (true, "Stopping".into());
    }
    let troubled: Vec<_> = o.syncs.iter().filter(|s| !matches!(s.line.state, "ok" | "never")).collect();
    let named = |word: &str| troubled.iter().filter(|s| s.line.state == word).count();
    let parts: Vec<String> =
        [("failed", "failed"), ("untrusted", "not trusted"), ("held", "held"), ("paused", "paused")]
            .into_iter()
            .filter(|(word, _)| named(word) > 0)
            .map(|(word, said)| format!("{} {said}", named(word)))
            .collect();
    match (parts.is_empty(), o.refused.is_some()) {
        (true, false) if o.syncs.iter().all(|s| s.line.state == "never") => (false, "Nothing has run yet".into()),
        (true, false) => (false, "All is well".into()),
        (true, true) => (true, "Configuration refused".into()),
        (false, _) => (true, format!("{} of {} syncs", parts.join(", "), o.syncs.len())),
    }
}

fn held_plan(held: &HeldView, o: &Overview) -> Markup {
    let plan = &held.plan;
    let counts: Vec<String> = plan.counts.iter().map(|(op, n)| format!("{n} {op}")).collect();
    let total: u64 = plan.counts.values().sum();
    let more = total.saturating_sub(held.operations.len() as u64);
    html! {
        section class="alert" {
            h2 { (plan.sync) ": a plan is held" span class="hint" { (ago(&plan.made_at, o.now)) } }
            p { (counts.join(", ")) ". Limit " b { (plan.limit) } ": " (plan.count) ", allowed " (plan.allowed) "." }
            @if o.show_values {
                ul {
                    @for operation in &held.operations { li { (with_values(operation)) } }
                    @if more > 0 { li class="quiet" { "and " (more) " more" } }
                }
            } @else {
                p class="quiet" {
                    (held.operations.iter().map(without_values).collect::<Vec<_>>().join(", "))
                    @if more > 0 { " and " (more) " more" }
                }
            }
            p class="do" { "look: " code { "rosterd plans show " (plan.id) } }
            p class="do" { "release: " code { "rosterd approve " (plan.id) " --reason \"…\"" } }
            p class="do" { "drop: " code { "rosterd discard " (plan.id) } }
        }
    }
}

fn without_values(operation: &Operation) -> String {
    format!("{} {}", operation.kind, operation.key)
}

fn with_values(operation: &Operation) -> Markup {
    html! {
        (operation.kind) " " b { (operation.key.as_str()) }
        @for (field, change) in &operation.fields { " " (field) " " (shown(&change.old)) " → " (shown(&change.new)) }
    }
}

fn one_sync(sync: &SyncView, now: DateTime<Utc>) -> Markup {
    let line = &sync.line;
    let good = match line.age_seconds {
        Some(age) => format!("{} ago", spoken(age)),
        None => "never".into(),
    };
    html! {
        article {
            div class="head" {
                h3 { (line.sync) }
                span class={ "pill " (line.state) } { (line.state) }
                @if let Some(since) = sync.running {
                    span class="pill running" { "running for " (spoken(seconds(since, now))) }
                }
            }
            (timeline(&sync.marks, now))
            dl {
                div { dt { "last good" } dd title=[line.last_good_run.as_deref()] { (good) } }
                div { dt { "last run" } dd title=[line.last_run.as_deref()] {
                    (line.last_run.as_deref().map_or_else(|| "never".into(), |at| ago(at, now))) } }
                div { dt { "next" } dd {
                    @match sync.next {
                        Some(at) => { "in " (spoken(seconds(now, at))) " "
                            span class="quiet" { (at.with_timezone(&sync.zone).format("%H:%M %Z")) } },
                        None => { "when asked" },
                    }
                } }
                @if line.unresolved > 0 { div class="warn" { dt { "unresolved" } dd { (line.unresolved) } } }
            }
            @if !matches!(line.state, "ok" | "never") || line.unresolved > 0 {
                @if let Some(reason) = &line.reason { p class="why" { (reason) } }
                @if line.state == "paused" { p class="do" { "go on: " code { "rosterd resume " (line.sync) } } }
            }
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

fn one_failure(outcome: &Outcome, now: DateTime<Utc>) -> Markup {
    let why = outcome.error.as_ref().map(|e| e.message.as_str()).or(outcome.reason.as_deref()).unwrap_or_default();
    let op = outcome.op.map_or("record", |op| op.name());
    html! {
        div class="failure" {
            span class="quiet" { (ago(&outcome.ts, now)) }
            b { (outcome.sync) " " (outcome.key.as_ref().map_or("(no key)", |key| key.as_str())) }
            span { (op) " " (outcome.status) @if !why.is_empty() { ": " (why) } }
        }
    }
}

fn ago(at: &str, now: DateTime<Utc>) -> String {
    parse(at).map_or_else(|| at.to_string(), |at| format!("{} ago", spoken(seconds(at, now))))
}

fn seconds(from: DateTime<Utc>, to: DateTime<Utc>) -> u64 {
    (to - from).num_seconds().max(0).unsigned_abs()
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
