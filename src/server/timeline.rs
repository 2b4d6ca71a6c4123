//! The timeline: the runs of a day as marks on a line, drawn as inline SVG. What matters is seen at once: what went
//! wrong stands tall, what went well is a short tick, and where there are no ticks there was no run.

use std::fmt::Write;

use chrono::{DateTime, TimeDelta, Utc};
use maud::PreEscaped;

use super::overview::SPAN;
use crate::domain::outcome::RunStatus;
use crate::os::zone::Zone;
use crate::state::history::Mark;

/// The picture's own units; a browser scales them to whatever room there is.
const WIDTH: f64 = 480.0;
/// See [`WIDTH`].
const HEIGHT: f64 = 36.0;
/// The least width of a mark that is still seen on a phone.
const LEAST: f64 = 2.0;
/// Hours between two lines of the grid.
const GRID: usize = 6;

/// How a run is drawn: its class, and how high it stands as a share of the height.
fn look(mark: &Mark) -> (&'static str, f64) {
    match mark.status {
        // More operations stand a little higher: a busy night is seen without reading.
        Some(RunStatus::Ok) => ("ok", 0.25 + 0.1 * ((1 + mark.planned) as f64).log10().min(3.0)),
        Some(RunStatus::Partial) => ("partial", 0.7),
        Some(RunStatus::Held) => ("held", 0.8),
        Some(RunStatus::Paused) => ("paused", 0.15),
        Some(RunStatus::Untrusted) => ("untrusted", 1.0),
        None => ("running", 0.5),
        Some(RunStatus::Failed) => ("failed", 1.0),
    }
}

/// The runs of a day up to `now`, oldest first.
pub(super) fn timeline(marks: &[Mark], now: DateTime<Utc>, zone: Zone) -> PreEscaped<String> {
    let since = now - SPAN;
    let place = |at: DateTime<Utc>| {
        let share = (at - since).num_milliseconds() as f64 / SPAN.num_milliseconds() as f64;
        share.clamp(0.0, 1.0) * WIDTH
    };
    let mut svg = format!(
        "<svg class=\"timeline\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"{} runs within 24 hours\">",
        marks.len()
    );
    for hours in (0..=24).step_by(GRID) {
        let x = place(since + TimeDelta::hours(hours as i64));
        let _ = write!(svg, "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{HEIGHT}\"/>");
    }
    let _ = write!(svg, "<line class=\"base\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{0}\" y2=\"{0}\"/>", HEIGHT - 0.5);
    for mark in marks {
        let (began, ended) = (mark.started_at, mark.finished_at.unwrap_or(now));
        let (class, share) = look(mark);
        let width = (place(ended) - place(began)).max(LEAST);
        let x = place(began).min(WIDTH - LEAST);
        let height = HEIGHT * share;
        // Ids, times, words and numbers of ours: nothing here needs escaping.
        let _ = write!(
            svg,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{height:.1}\">\
             <title>{}: {}, {} planned</title></rect>",
            HEIGHT - height,
            zone.of_day(began),
            mark.status.map_or("running", RunStatus::name),
            mark.planned,
        );
    }
    svg.push_str("</svg>");
    PreEscaped(svg)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::instant;

    fn mark(at: &str, status: Option<&str>, planned: u64) -> Mark {
        Mark {
            run: "01J".into(),
            started_at: instant(at),
            finished_at: status.map(|_| instant(at)),
            status: status.and_then(RunStatus::parse),
            planned,
        }
    }

    #[test]
    fn runs_stand_where_and_as_high_as_they_should() {
        let now = instant("2026-11-22T12:00:00.000Z");
        let marks = [
            mark("2026-11-22T00:00:00.000Z", Some("ok"), 0),
            mark("2026-11-22T06:00:00.000Z", Some("failed"), 3),
            mark("2026-11-22T11:59:59.000Z", None, 0),
        ];
        let svg = timeline(&marks, now, Zone::Named(chrono_tz::Tz::UTC)).into_string();
        assert!(svg.contains("<rect class=\"ok\" x=\"240.0\" y=\"27.0\" width=\"2.0\" height=\"9.0\">"), "{svg}");
        assert!(svg.contains("<rect class=\"failed\" x=\"360.0\" y=\"0.0\" width=\"2.0\" height=\"36.0\">"), "{svg}");
        assert!(svg.contains("<rect class=\"running\" x=\"478.0\""), "the last one stays within the picture: {svg}");
        assert!(svg.contains("<title>06:00:00 UTC: failed, 3 planned</title>"), "{svg}");
        assert_eq!(svg.matches("<line").count(), 6);
    }
}
