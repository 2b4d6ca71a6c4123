//! The clock: handed to whoever needs to know what time it is.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

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

    /// What time it is, to the millisecond, as times are stored.
    pub fn stamp(&self) -> DateTime<Utc> {
        self.now().trunc_subsecs(3)
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

/// The time of a file. A file system can hold times that no calendar has: those are none.
pub fn of_file(time: SystemTime) -> Option<DateTime<Utc>> {
    let seconds = |span: Duration| i64::try_from(span.as_secs()).ok();
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => DateTime::from_timestamp(seconds(after)?, after.subsec_nanos()),
        Err(before) => DateTime::from_timestamp(seconds(before.duration())?.checked_neg()?, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::rfc3339;

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
}
