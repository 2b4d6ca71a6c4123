//! Pictures of the last 90 days, and the same in figures.

use chrono::NaiveDate;
use maud::{Markup, html};

use super::shell::Shell;
use crate::domain::time::spoken;
use crate::server::pictures::{Bars, Series, bars, line};
use crate::server::trend::{Day, Trend};

/// A picture that is drawn of days.
pub(in crate::server) type Drawn = fn(&[NaiveDate], &[Day]) -> Markup;

/// How many people have access.
pub(in crate::server) const PEOPLE: Drawn = people;
/// Who came and who went.
pub(in crate::server) const FLOW: Drawn = flow;
/// What failed.
pub(in crate::server) const FAILURES: Drawn = failures;

/// Draws the page.
pub(in crate::server) fn render(shell: &Shell<'_>, syncs: &[String], chosen: Option<&str>, trend: &Trend) -> Markup {
    let heading = html! { "90 days" @if let Some(sync) = chosen { " of " a href=(shell.root.sync(sync)) { (sync) } } };
    let body = html! {
        @if syncs.len() > 1 { section { (shell.choice_of_sync("history", syncs, chosen)) } }
        @if trend.has_runs() {
            div class="large" { (pictures(trend, &[people, flow, failures, durations, rates])) }
            section {
                p class="quiet" {
                    "Failures: operations that the target refused or left unanswered and rejected records, a person each; below \
                     the line, runs that failed or did not trust their source."
                }
                details { summary { "The same in figures" } (figures(&trend.0)) }
                p class="quiet" {
                    "Days begin at midnight of the zone above. A run belongs to the day on which it began, and counts once it \
                     has ended. How many people have access is reckoned back from today by what the runs did."
                }
            }
        } @else {
            section { p class="quiet" { "No run within 90 days." } }
        }
    };
    shell.page(&heading, &body)
}

/// Some pictures beside each other.
pub(in crate::server) fn pictures(trend: &Trend, which: &[Drawn]) -> Markup {
    let dates: Vec<NaiveDate> = trend.0.iter().map(|day| day.date).collect();
    html! {
        @if trend.has_runs() {
            div class="pictures" { @for draw in which { section { (draw(&dates, &trend.0)) } } }
        }
    }
}

fn whole(figure: f64) -> String {
    super::number(figure.round().max(0.0) as u64)
}

fn span(milliseconds: f64) -> String {
    match milliseconds {
        ms if ms < 1_000.0 => format!("{ms:.0} ms"),
        ms if ms < 10_000.0 => format!("{:.1} s", ms / 1_000.0),
        ms => spoken((ms / 1_000.0).round() as u64),
    }
}

fn rate(per_second: f64) -> String {
    match per_second {
        0.0 => "0/s".into(),
        r if r < 1.0 => format!("{r:.2}/s"),
        r if r < 10.0 => format!("{r:.1}/s"),
        r => format!("{r:.0}/s"),
    }
}

fn total(days: &[Day], pick: fn(&Day) -> u64) -> u64 {
    days.iter().map(pick).sum()
}

fn series<'s>(name: &'s str, class: &'s str, days: &[Day], pick: fn(&Day) -> f64) -> Series<'s> {
    Series { name, class, figures: days.iter().map(pick).collect() }
}

fn people(dates: &[NaiveDate], days: &[Day]) -> Markup {
    let figures: Vec<f64> = days.iter().map(|day| day.provisioned as f64).collect();
    let (first, last) = (days.first().map_or(0, |d| d.provisioned), days.last().map_or(0, |d| d.provisioned));
    let then = dates.first().map(|date| date.format("%-d %b").to_string()).unwrap_or_default();
    let change = match last.cast_signed() - first.cast_signed() {
        0 => format!("as many as on {then}"),
        n if n > 0 => format!("{} more than on {then}", super::number(n.unsigned_abs())),
        n => format!("{} fewer than on {then}", super::number(n.unsigned_abs())),
    };
    line("People provisioned", dates, &figures, whole, &format!("{} today, {change}", super::number(last)))
}

fn flow(dates: &[NaiveDate], days: &[Day]) -> Markup {
    let (joined, left) = (total(days, |d| d.figures.joined), total(days, |d| d.figures.left));
    bars(&Bars {
        title: "Joiners and leavers",
        days: dates,
        up: series("joined", "up", days, |d| d.figures.joined as f64),
        down: Some(series("left", "down", days, |d| d.figures.left as f64)),
        line: None,
        tell: whole,
        sum: format!("{} joined, {} left", super::number(joined), super::number(left)),
    })
}

fn failures(dates: &[NaiveDate], days: &[Day]) -> Markup {
    let (failed, bad) = (total(days, |d| d.figures.failed), total(days, |d| d.figures.bad_runs));
    let failures = if failed == 1 { "1 failure".into() } else { format!("{} failures", super::number(failed)) };
    let runs = if bad == 1 {
        "1 run failed or not trusted".into()
    } else {
        format!("{} runs failed or not trusted", super::number(bad))
    };
    bars(&Bars {
        title: "Failures",
        days: dates,
        up: series("people", "bad", days, |d| d.figures.failed as f64),
        down: Some(series("runs", "run", days, |d| d.figures.bad_runs as f64)),
        line: None,
        tell: whole,
        sum: format!("{failures}, {runs}"),
    })
}

fn durations(dates: &[NaiveDate], days: &[Day]) -> Markup {
    let (took, ended) = (total(days, |d| d.figures.took_ms), total(days, |d| d.figures.ended));
    let mean = if ended > 0 { took as f64 / ended as f64 } else { 0.0 };
    bars(&Bars {
        title: "How long runs took",
        days: dates,
        up: series("the longest", "took", days, |d| d.figures.longest_ms as f64),
        down: None,
        line: Some(series("the average", "mean", days, |d| match d.figures.ended {
            0 => 0.0,
            n => d.figures.took_ms as f64 / n as f64,
        })),
        tell: span,
        sum: format!("{} runs, {} on average", super::number(total(days, |d| d.figures.runs)), span(mean)),
    })
}

/// Operations a second, of the runs that sent some.
fn per_second(sent: u64, milliseconds: u64) -> f64 {
    if milliseconds == 0 { 0.0 } else { sent as f64 * 1_000.0 / milliseconds as f64 }
}

fn rates(dates: &[NaiveDate], days: &[Day]) -> Markup {
    let (sent, took) = (total(days, |d| d.figures.sent), total(days, |d| d.figures.sending_ms));
    bars(&Bars {
        title: "Operations a second",
        days: dates,
        up: series("of the runs that sent some", "took", days, |d| per_second(d.figures.sent, d.figures.sending_ms)),
        down: None,
        line: None,
        tell: rate,
        sum: format!("{} operations, {} on average", super::number(sent), rate(per_second(sent, took))),
    })
}

/// Every day on which there was something, the last one first.
fn figures(days: &[Day]) -> Markup {
    html! {
        table class="figures" {
            thead { tr {
                th { "Day" } th { "provisioned" } th { "joined" } th { "left" } th { "updated" } th { "failed" } th { "runs" }
                th { "longest" } th { "rate" }
            } }
            tbody {
                @for day in days.iter().rev().filter(|day| day.figures.runs > 0) {
                    @let f = &day.figures;
                    tr {
                        td { (day.date) }
                        @for n in [day.provisioned, f.joined, f.left, f.updated, f.failed, f.runs] { td { (super::number(n)) } }
                        td { (span(f.longest_ms as f64)) }
                        td { (rate(per_second(f.sent, f.sending_ms))) }
                    }
                }
            }
        }
    }
}
