//! What is measured, under which names, for Prometheus.
//!
//! Counts and times are recorded where things happen, through the `metrics` facade; without the daemon's recorder nothing
//! is. What the state knows anyway (ages, held plans) is not recorded but read when somebody scrapes;
//! see [`Gauges`]. The names are a promise to dashboards: [`ALL`] lists every one, and a test holds the sample alerts
//! against it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::metrics::{counter, describe_counter, describe_histogram, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::domain::error::{Failure, Result};
use crate::domain::outcome::{ErrorKind, Outcome};

/// A metric: its name, its type, what it says.
type Described = (&'static str, &'static str, &'static str);

/// Every metric there is.
pub const ALL: [Described; 22] = [
    (OUTCOMES, "counter", "Outcomes by sync, operation and status."),
    (RUNS, "counter", "Runs that ended, by sync and status."),
    (RUN_DURATION, "histogram", "How long runs took, in seconds."),
    (SKIPPED_RUNS, "counter", "Scheduled runs that were left out because the one before was still under way."),
    (REQUESTS, "counter", "Requests to targets, by the answer's status or the kind of error."),
    (REQUEST_DURATION, "histogram", "How long requests to targets took, in seconds."),
    (RETRIES, "counter", "Requests to targets that were tried once more."),
    (RATE_WAITS, "counter", "Requests that waited for their turn under the target's rate."),
    (RATE_WAIT_SECONDS, "counter", "How long requests waited for their turn, together, in seconds."),
    (RATE_ALLOWED, "gauge", "Requests a second that the configuration allows."),
    (RATE_USED, "gauge", "Requests a second over the last minute."),
    (LAST_GOOD_AGE, "gauge", "Seconds since the last good run ended; +Inf when there never was one."),
    (LAST_RUN, "gauge", "When the last run began, in Unix seconds."),
    (NEXT_RUN, "gauge", "When the next run is due, in Unix seconds."),
    (
        STATE,
        "gauge",
        "1 for the state that the sync is in: ok, partial, held, failed, untrusted, paused, running, never.",
    ),
    (HELD_PLANS, "gauge", "Plans that wait for approval."),
    (UNRESOLVED, "gauge", "Operations that were sent and have no known fate."),
    (RUNNING, "gauge", "1 while a run of the sync is under way."),
    (RELOADS, "counter", "Attempts to load the configuration anew, by result."),
    (CONFIGURATION_REFUSED, "gauge", "1 while the configuration on disk was refused at the last reload."),
    (START, "gauge", "When the daemon started, in Unix seconds."),
    (BUILD, "gauge", "Always 1; the version is a label."),
];

const OUTCOMES: &str = "rosterd_outcomes_total";
const RUNS: &str = "rosterd_runs_total";
const RUN_DURATION: &str = "rosterd_run_duration_seconds";
const SKIPPED_RUNS: &str = "rosterd_skipped_runs_total";
const REQUESTS: &str = "rosterd_requests_total";
const REQUEST_DURATION: &str = "rosterd_request_duration_seconds";
const RETRIES: &str = "rosterd_retries_total";
const RELOADS: &str = "rosterd_reloads_total";
/// See [`ALL`].
pub const RATE_WAITS: &str = "rosterd_rate_limit_waits_total";
/// See [`ALL`].
pub const RATE_WAIT_SECONDS: &str = "rosterd_rate_limit_wait_seconds_total";
/// See [`ALL`].
pub const RATE_ALLOWED: &str = "rosterd_rate_allowed_per_second";
/// See [`ALL`].
pub const RATE_USED: &str = "rosterd_rate_used_per_second";
/// See [`ALL`].
pub const LAST_GOOD_AGE: &str = "rosterd_last_good_run_age_seconds";
/// See [`ALL`].
pub const LAST_RUN: &str = "rosterd_last_run_timestamp_seconds";
/// See [`ALL`].
pub const NEXT_RUN: &str = "rosterd_next_run_timestamp_seconds";
/// See [`ALL`].
pub const STATE: &str = "rosterd_sync_state";
/// See [`ALL`].
pub const HELD_PLANS: &str = "rosterd_held_plans";
/// See [`ALL`].
pub const UNRESOLVED: &str = "rosterd_unresolved";
/// See [`ALL`].
pub const RUNNING: &str = "rosterd_sync_running";
/// See [`ALL`].
pub const CONFIGURATION_REFUSED: &str = "rosterd_configuration_refused";
/// See [`ALL`].
pub const START: &str = "rosterd_start_timestamp_seconds";
/// See [`ALL`].
pub const BUILD: &str = "rosterd_build_info";

/// Bounds of the buckets of every histogram, in seconds: requests take milliseconds to seconds, runs seconds to hours.
const BUCKETS: [f64; 14] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1_800.0, 14_400.0];

/// Whether anybody records: else not even the labels are made.
static RECORDS: AtomicBool = AtomicBool::new(false);

/// Starts recording for this process, once.
///
/// # Errors
/// Somebody records already.
pub fn install() -> Result<PrometheusHandle> {
    let cannot = |e| Failure::internal("cannot start to measure").because(e);
    let handle = PrometheusBuilder::new().set_buckets(&BUCKETS).map_err(cannot)?.install_recorder().map_err(cannot)?;
    RECORDS.store(true, Ordering::Relaxed);
    for (name, kind, says) in ALL {
        match kind {
            "counter" => describe_counter!(name, says),
            "histogram" => describe_histogram!(name, says),
            _ => {}
        }
    }
    Ok(handle)
}

/// An outcome is on disk.
pub fn outcome(outcome: &Outcome) {
    let op = outcome.op.map_or("none", |op| op.name());
    counter!(OUTCOMES, "sync" => outcome.sync.clone(), "op" => op, "status" => outcome.status.name()).increment(1);
}

/// A run has ended.
pub fn run(sync: &str, status: &'static str, took: Duration) {
    counter!(RUNS, "sync" => sync.to_string(), "status" => status).increment(1);
    histogram!(RUN_DURATION, "sync" => sync.to_string()).record(took.as_secs_f64());
}

/// A scheduled run was left out because the one before is still under way.
pub fn skipped_run(sync: &str) {
    counter!(SKIPPED_RUNS, "sync" => sync.to_string()).increment(1);
}

/// A request to a target has ended: with the answer's HTTP status, or with this kind of error.
pub fn request(target: &str, ended: Result<u16, ErrorKind>, took: Duration) {
    if !RECORDS.load(Ordering::Relaxed) {
        return;
    }
    let result = match ended {
        Ok(status) => status.to_string(),
        Err(kind) => kind.name().to_string(),
    };
    counter!(REQUESTS, "target" => target.to_string(), "result" => result).increment(1);
    histogram!(REQUEST_DURATION, "target" => target.to_string()).record(took.as_secs_f64());
}

/// A request to a target is tried once more.
pub fn retry(target: &str) {
    counter!(RETRIES, "target" => target.to_string()).increment(1);
}

/// The configuration was loaded anew, or refused.
pub fn reload(accepted: bool) {
    counter!(RELOADS, "result" => if accepted { "accepted" } else { "refused" }).increment(1);
}

/// Values read at the moment of a scrape, written in Prometheus's text format.
#[derive(Debug, Default)]
pub struct Gauges(BTreeMap<&'static str, Vec<String>>);

impl Gauges {
    /// Adds a sample. Label names are ours; label values may be anything.
    pub fn add(&mut self, name: &'static str, labels: &[(&str, &str)], value: f64) {
        let mut line = String::from(name);
        for (n, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(line, "{}{label}=\"{text}\"", if n == 0 { "{" } else { "," });
        }
        if !labels.is_empty() {
            line.push('}');
        }
        let value = if value == f64::INFINITY { "+Inf".to_string() } else { value.to_string() };
        self.0.entry(name).or_default().push(format!("{line} {value}"));
    }

    /// The text.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for (name, samples) in &self.0 {
            if let Some((_, kind, says)) = ALL.iter().find(|(known, ..)| known == name) {
                let _ = writeln!(text, "# HELP {name} {says}\n# TYPE {name} {kind}");
            }
            for sample in samples {
                let _ = writeln!(text, "{sample}");
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_follow_prometheus() {
        let mut seen = std::collections::BTreeSet::new();
        for (name, kind, says) in ALL {
            assert!(seen.insert(name), "{name} twice");
            assert!(name.starts_with("rosterd_") && says.ends_with('.'), "{name}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        }
    }

    #[test]
    fn gauges_are_written_as_prometheus_reads_them() {
        let mut gauges = Gauges::default();
        gauges.add(LAST_GOOD_AGE, &[("sync", "staff")], f64::INFINITY);
        gauges.add(LAST_GOOD_AGE, &[("sync", "a\"b\\c")], 12.5);
        gauges.add(START, &[], 1.0);
        let expected = "# HELP rosterd_last_good_run_age_seconds Seconds since the last good run ended; +Inf when there \
                        never was one.\n# TYPE rosterd_last_good_run_age_seconds gauge\n\
                        rosterd_last_good_run_age_seconds{sync=\"staff\"} +Inf\n\
                        rosterd_last_good_run_age_seconds{sync=\"a\\\"b\\\\c\"} 12.5\n\n\
                        # HELP rosterd_start_timestamp_seconds When the daemon started, in Unix seconds.\n\
                        # TYPE rosterd_start_timestamp_seconds gauge\nrosterd_start_timestamp_seconds 1\n\n";
        assert_eq!(gauges.render(), expected);
    }

    /// Every metric that the sample alerts speak of exists.
    #[test]
    fn the_sample_alerts_speak_of_metrics_that_exist() {
        let alerts = include_str!("../../config/alerts.yml");
        let known = |word: &str| {
            ALL.iter().any(|(name, kind, _)| {
                let parts = ["_bucket", "_sum", "_count"].map(|part| format!("{name}{part}"));
                word == *name || (*kind == "histogram" && parts.iter().any(|part| part == word))
            })
        };
        let words =
            alerts.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|w| w.starts_with("rosterd_"));
        let mut count = 0;
        for word in words {
            assert!(known(word), "config/alerts.yml speaks of {word}, which does not exist");
            count += 1;
        }
        assert!(count >= 6, "only {count} mentions: is that file what it should be?");
    }
}
