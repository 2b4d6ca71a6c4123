//! Times as they are stored and shown: RFC 3339 in UTC with milliseconds, which sorts as text.
//!
//! The clock itself is [`Clock`], handed to whoever needs to know what time it is.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, NaiveDate, SecondsFormat, TimeDelta, Utc};

use crate::config::units::Span;

/// Tells the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl Clock {
    /// The clock that this function is.
    pub fn from_fn(now: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Clock {
        Clock(Arc::new(now))
    }

    /// The machine's clock.
    ///
    /// Debug builds, which tests drive, add as many seconds as `ROSTERD_TEST_CLOCK_OFFSET` says, so that days pass
    /// between two runs, and run as many times faster as `ROSTERD_TEST_CLOCK_SPEED` says, so that hours pass within
    /// one; release builds know nothing of either.
    pub fn system() -> Clock {
        let offset = TimeDelta::seconds(i64::from(told_by_a_test("ROSTERD_TEST_CLOCK_OFFSET").unwrap_or(0)));
        match told_by_a_test("ROSTERD_TEST_CLOCK_SPEED") {
            None => Clock::from_fn(move || now() + offset),
            Some(speed) => {
                let began = now();
                Clock::from_fn(move || began + (now() - began) * speed + offset)
            }
        }
    }

    /// What time it is.
    pub fn now(&self) -> DateTime<Utc> {
        (self.0)()
    }

    /// What time it is, as it is stored.
    pub fn stamp(&self) -> String {
        rfc3339(self.now())
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

fn told_by_a_test(name: &str) -> Option<i32> {
    if cfg!(debug_assertions) { std::env::var(name).ok()?.parse().ok() } else { None }
}

/// What the machine's clock says, also where it says a time before 1970, at which [`Utc::now`] panics.
pub fn now() -> DateTime<Utc> {
    std::time::SystemTime::now().into()
}

/// The time as it is stored: `2026-11-22T03:34:00.123Z`.
pub fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The time that this text spells, if it spells one.
pub fn parse(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|t| t.with_timezone(&Utc))
}

/// The time of a file. A file system can hold times that no calendar has: those are none.
pub fn of_file(time: SystemTime) -> Option<DateTime<Utc>> {
    let seconds = |span: Duration| i64::try_from(span.as_secs()).ok();
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => DateTime::from_timestamp(seconds(after)?, after.subsec_nanos()),
        Err(before) => DateTime::from_timestamp(seconds(before.duration())?.checked_neg()?, 0),
    }
}

/// The time that this text means: a time, a date (its beginning in UTC), or how long before `now` (`2h`, `7d`).
pub fn since(text: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let date = || text.parse::<NaiveDate>().ok().and_then(|d| d.and_hms_opt(0, 0, 0)).map(|t| t.and_utc());
    let ago = || {
        let span = text.parse::<Span>().ok().and_then(|Span(d)| TimeDelta::from_std(d).ok());
        span.and_then(|d| now.checked_sub_signed(d))
    };
    parse(text).or_else(date).or_else(ago)
}

/// A span as people say it: `4 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.
pub fn spoken(seconds: u64) -> String {
    let (d, h, m, s) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    match (d, h, m, s) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, 0) => format!("{m} min"),
        (0, 0, m, s) => format!("{m} min {s} s"),
        (0, h, 0, _) => format!("{h} h"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (d, 0, _, _) => format!("{d} d"),
        (d, h, _, _) => format!("{d} d {h} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_times_come_back_and_sort_as_text() {
        let a = parse("2026-11-22T03:34:00.123Z").expect("a time");
        assert_eq!(rfc3339(a), "2026-11-22T03:34:00.123Z");
        let b = parse("2026-11-22T04:34:00+01:00").expect("a time");
        assert!(rfc3339(b) < rfc3339(a));
    }

    #[test]
    fn a_file_of_a_time_that_no_calendar_has_is_of_none() {
        let at = |seconds: u64| of_file(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(1_795_318_440).map(rfc3339).as_deref(), Some("2026-11-22T03:34:00.000Z"));
        assert_eq!(at(i64::MAX as u64), None);
        let early = SystemTime::UNIX_EPOCH - Duration::from_secs(86_400);
        assert_eq!(of_file(early).map(rfc3339).as_deref(), Some("1969-12-31T00:00:00.000Z"));
        let earliest = SystemTime::UNIX_EPOCH.checked_sub(Duration::from_secs(i64::MAX as u64));
        assert_eq!(earliest.and_then(of_file), None);
    }

    #[test]
    fn spans_are_spoken_in_their_two_largest_units() {
        for (seconds, text) in
            [(0, "0 s"), (59, "59 s"), (60, "1 min"), (200, "3 min 20 s"), (7_500, "2 h 5 min"), (273_600, "3 d 4 h")]
        {
            assert_eq!(spoken(seconds), text);
        }
    }
}
