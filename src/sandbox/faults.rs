//! What can go wrong between a caller and a target: latency, a rate limit, failures by chance, and scripted faults.
//!
//! Pure but for its own random generator, which is seeded: time comes in as an argument.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::domain::units::Rate;

/// What happens to a request instead of an ordinary answer. Written as text: `status:503`, `commit-then-hang:2000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Do {
    /// `status:N`: answers this status and does nothing.
    Status(u16),
    /// `commit-then-status:N`: does what is asked, then answers this status.
    CommitThenStatus(u16),
    /// `commit-then-close`: does what is asked, then drops the connection without an answer.
    CommitThenClose,
    /// `commit-then-hang:MS`: does what is asked, then says nothing for this long and drops the connection.
    CommitThenHang(u64),
    /// `close-before-commit`: drops the connection, having done nothing.
    CloseBeforeCommit,
    /// `hang-before-commit:MS`: says nothing for this long and drops the connection, having done nothing.
    HangBeforeCommit(u64),
    /// `garbage`: does what is asked, then answers 200 with a body that is cut off in the middle.
    Garbage,
    /// `html`: answers 200 with a web page, as a proxy's log-in does, having done nothing.
    Html,
}

impl Do {
    /// Whether the target does what was asked before the fault strikes.
    pub const fn commits(self) -> bool {
        matches!(self, Do::CommitThenStatus(_) | Do::CommitThenClose | Do::CommitThenHang(_) | Do::Garbage)
    }
}

impl fmt::Display for Do {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Do::Status(status) => write!(f, "status:{status}"),
            Do::CommitThenStatus(status) => write!(f, "commit-then-status:{status}"),
            Do::CommitThenClose => f.write_str("commit-then-close"),
            Do::CommitThenHang(ms) => write!(f, "commit-then-hang:{ms}"),
            Do::CloseBeforeCommit => f.write_str("close-before-commit"),
            Do::HangBeforeCommit(ms) => write!(f, "hang-before-commit:{ms}"),
            Do::Garbage => f.write_str("garbage"),
            Do::Html => f.write_str("html"),
        }
    }
}

impl From<Do> for String {
    fn from(fault: Do) -> String {
        fault.to_string()
    }
}

impl TryFrom<String> for Do {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (name, number) = text.split_once(':').map_or((text.as_str(), None), |(n, v)| (n, Some(v)));
        let number = number.map(|n| n.parse::<u64>().map_err(|_| format!("`{n}` in `{text}` is not a whole number")));
        match (name, number.transpose()?) {
            ("status", Some(n @ 200..=599)) => Ok(Do::Status(n as u16)),
            ("commit-then-status", Some(n @ 200..=599)) => Ok(Do::CommitThenStatus(n as u16)),
            ("status" | "commit-then-status", _) => {
                Err(format!("`{text}` needs a status from 200 to 599, as in `status:503`"))
            }
            ("commit-then-hang", Some(ms)) => Ok(Do::CommitThenHang(ms)),
            ("hang-before-commit", Some(ms)) => Ok(Do::HangBeforeCommit(ms)),
            ("commit-then-close", None) => Ok(Do::CommitThenClose),
            ("close-before-commit", None) => Ok(Do::CloseBeforeCommit),
            ("garbage", None) => Ok(Do::Garbage),
            ("html", None) => Ok(Do::Html),
            _ => Err(format!(
                "`{text}` is none of status:N, commit-then-status:N, commit-then-close, commit-then-hang:MS, close-before-commit, \
                 hang-before-commit:MS, garbage, html"
            )),
        }
    }
}

/// A fault that waits for certain requests. Absent conditions match everything.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scripted {
    /// The HTTP method, in capitals.
    #[serde(default)]
    pub method: Option<String>,
    /// How the whole path begins, e.g. `/juno/api/users/`.
    #[serde(default)]
    pub path_prefix: Option<String>,
    /// The person's client id: in the body, or of the account addressed.
    #[serde(default)]
    pub key: Option<String>,
    /// Strikes from the nth matching request on, counted from 1 since the fault was set. Default: 1.
    #[serde(default)]
    pub nth: Option<u64>,
    /// How many requests it strikes. Default: one when `nth` is given, else all of them.
    #[serde(default)]
    pub times: Option<u64>,
    /// What happens.
    #[serde(rename = "do")]
    pub action: Do,
    /// Headers of the answer, with `status:N`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Body of the answer, with `status:N`.
    #[serde(default)]
    pub body: Option<String>,
}

impl Scripted {
    /// A fault that strikes every request.
    pub fn always(action: Do) -> Self {
        Scripted {
            method: None,
            path_prefix: None,
            key: None,
            nth: None,
            times: None,
            action,
            headers: BTreeMap::new(),
            body: None,
        }
    }

    fn matches(&self, method: &str, path: &str, key: Option<&str>) -> bool {
        self.method.as_deref().is_none_or(|m| m == method)
            && self.path_prefix.as_deref().is_none_or(|p| path.starts_with(p))
            && self.key.as_deref().is_none_or(|k| Some(k) == key)
    }

    fn strikes(&self, seen: u64) -> bool {
        let first = self.nth.unwrap_or(1);
        let times = self.times.unwrap_or(if self.nth.is_some() { 1 } else { u64::MAX });
        seen >= first && seen - first < times
    }
}

/// What happens to one request.
#[derive(Clone, Debug)]
pub(super) enum FaultDecision {
    /// Nothing unusual.
    Served,
    /// Answered 429; try again after so many seconds.
    TooMany(u64),
    /// A fault strikes.
    Struck(Box<Scripted>),
}

impl FaultDecision {
    /// The word for it in the log.
    pub(super) fn name(&self) -> Option<Cow<'static, str>> {
        match self {
            FaultDecision::Served => None,
            FaultDecision::TooMany(_) => Some(Cow::Borrowed("rate")),
            FaultDecision::Struck(fault) => Some(Cow::Owned(fault.action.to_string())),
        }
    }
}

/// Everything that is set to go wrong.
pub(super) struct Faults {
    /// How long an answer takes: half of it before the request is handled, half after.
    pub(super) latency: Duration,
    fail_percent: u8,
    rate: Option<Rate>,
    chance: StdRng,
    scripted: Vec<(Scripted, u64)>,
    /// When the requests of the window were let through, in nanoseconds, by target.
    admitted: BTreeMap<&'static str, VecDeque<u64>>,
}

impl Faults {
    /// These faults, and none scripted.
    pub(super) fn new(latency: Duration, fail_percent: u8, rate: Option<Rate>, seed: u64) -> Self {
        Faults {
            latency,
            fail_percent,
            rate,
            chance: StdRng::seed_from_u64(seed),
            scripted: Vec::new(),
            admitted: BTreeMap::new(),
        }
    }

    /// Sets how many requests of a hundred fail.
    pub(super) fn set_fail_percent(&mut self, percent: u8) {
        self.fail_percent = percent;
    }

    /// Sets or lifts the rate limit.
    pub(super) fn set_rate(&mut self, rate: Option<Rate>) {
        self.rate = rate;
        self.admitted.clear();
    }

    /// Starts chance anew.
    pub(super) fn set_seed(&mut self, seed: u64) {
        self.chance = StdRng::seed_from_u64(seed);
    }

    /// Adds a scripted fault; the first that strikes decides.
    pub(super) fn script(&mut self, fault: Scripted) {
        self.scripted.push((fault, 0));
    }

    /// Drops all scripted faults.
    pub(super) fn clear_script(&mut self) {
        self.scripted.clear();
    }

    /// Everything as JSON, with how many requests each scripted fault has matched.
    pub(super) fn describe(&self) -> serde_json::Value {
        let script: Vec<_> = self
            .scripted
            .iter()
            .map(|(fault, seen)| {
                let mut entry = serde_json::json!(fault);
                entry["seen"] = serde_json::json!(seen);
                entry
            })
            .collect();
        serde_json::json!({
            "latency_ms": u64::try_from(self.latency.as_millis()).unwrap_or(u64::MAX),
            "fail_percent": self.fail_percent,
            "rate_per_second": self.rate.map(|r| r.per_second()),
            "script": script,
        })
    }

    /// What happens to a request of this target that arrives `now`, in nanoseconds of the log's clock.
    pub(super) fn fate(
        &mut self,
        target: &'static str,
        method: &str,
        path: &str,
        key: Option<&str>,
        now: u64,
    ) -> FaultDecision {
        let mut struck = None;
        for (fault, seen) in &mut self.scripted {
            if fault.matches(method, path, key) {
                *seen += 1;
                if struck.is_none() && fault.strikes(*seen) {
                    struck = Some(fault.clone());
                }
            }
        }
        if let Some(fault) = struck {
            return FaultDecision::Struck(Box::new(fault));
        }
        if let Some(seconds) = self.too_many(target, now) {
            return FaultDecision::TooMany(seconds);
        }
        match self.mishap() {
            Some(action) => FaultDecision::Struck(Box::new(Scripted::always(action))),
            None => FaultDecision::Served,
        }
    }

    /// Whether one more request is more than the rate allows in any window; then how long to wait, in whole seconds.
    fn too_many(&mut self, target: &'static str, now: u64) -> Option<u64> {
        let rate = self.rate?;
        let window = u64::try_from(rate.per.as_nanos()).unwrap_or(u64::MAX);
        let admitted = self.admitted.entry(target).or_default();
        if admitted.len() < rate.count as usize {
            admitted.push_back(now);
            return None;
        }
        let free_at = admitted.front().copied().unwrap_or(0).saturating_add(window);
        if now >= free_at {
            admitted.pop_front();
            admitted.push_back(now);
            return None;
        }
        Some((free_at - now).div_ceil(1_000_000_000).max(1))
    }

    /// A failure by chance: an error status or a broken connection, before or after the deed, all equally likely.
    fn mishap(&mut self) -> Option<Do> {
        if self.fail_percent == 0 || self.chance.random_range(0..100) >= self.fail_percent {
            return None;
        }
        let all = [Do::Status(500), Do::Status(503), Do::CloseBeforeCommit, Do::CommitThenClose];
        Some(all[self.chance.random_range(0..all.len())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn quiet() -> Faults {
        Faults::new(Duration::ZERO, 0, None, 1)
    }

    #[test]
    fn a_fault_is_read_back_as_it_is_written() {
        for text in [
            "status:503",
            "commit-then-status:500",
            "commit-then-close",
            "commit-then-hang:5",
            "close-before-commit",
            "garbage",
            "html",
        ] {
            let parsed = Do::try_from(text.to_string()).expect(text);
            assert_eq!(parsed.to_string(), text);
        }
        for wrong in ["status", "status:99", "status:x", "commit-then-hang", "garbage:1", "explode"] {
            assert!(Do::try_from(wrong.to_string()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_nth_matching_request_is_struck_and_no_other() {
        let mut faults = quiet();
        let fault = Scripted {
            method: Some("POST".into()),
            key: Some("E1".into()),
            nth: Some(2),
            ..Scripted::always(Do::Garbage)
        };
        faults.script(fault);
        let struck: Vec<bool> = [("POST", "E1"), ("GET", "E1"), ("POST", "E2"), ("POST", "E1"), ("POST", "E1")]
            .into_iter()
            .map(|(method, key)| {
                matches!(faults.fate("juno", method, "/juno/api/users", Some(key), 0), FaultDecision::Struck(_))
            })
            .collect();
        assert_eq!(struck, [false, false, false, true, false]);
    }

    #[test]
    fn no_window_lets_more_through_than_the_rate() {
        let mut faults = quiet();
        faults.set_rate(Some(Rate { count: 2, per: Duration::from_secs(1) }));
        let mut fate = |now| faults.fate("juno", "GET", "/", None, now);
        assert!(matches!(fate(0), FaultDecision::Served));
        assert!(matches!(fate(SECOND / 2), FaultDecision::Served));
        assert!(matches!(fate(SECOND - 1), FaultDecision::TooMany(1)));
        assert!(matches!(fate(SECOND), FaultDecision::Served));
        assert!(matches!(fate(SECOND + 1), FaultDecision::TooMany(1)));
        assert!(matches!(fate(SECOND + SECOND / 2), FaultDecision::Served));
    }

    #[test]
    fn chance_is_seeded_and_near_its_percentage() {
        let run = |seed| {
            let mut faults = Faults::new(Duration::ZERO, 20, None, seed);
            (0..1000).map(|_| faults.fate("juno", "GET", "/", None, 0).name().is_some()).collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        let failed = run(7).into_iter().filter(|f| *f).count();
        assert!((150..250).contains(&failed), "{failed} of 1000");
    }
}
