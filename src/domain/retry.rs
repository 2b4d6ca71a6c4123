//! When to try again: the pause before each attempt, and what a target's `Retry-After` means.
//!
//! Pure: the moment and the chance are arguments, so that a test can name every pause. The schedule is exponential
//! with full jitter (a pause anywhere between nothing and the current ceiling), which spreads callers that failed
//! together better than a fixed pause with a little noise.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// The longest pause that [`retry_after`] reports: whatever a target asks for beyond a year is the same to us, and
/// arithmetic on instants stays far from its limits.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How often and how far apart an operation is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The ceiling of the first pause.
    pub base: Duration,
    /// The ceiling of every pause, those that the target asks for included.
    pub max: Duration,
    /// How often it is tried at all, the first time included.
    pub attempts: u32,
}

impl Backoff {
    /// The verdict after the `attempt`th attempt (counted from 1) has failed in a way that may pass: after which pause to
    /// try again, or nothing where it is to be given up. The pause is as [`Backoff::pause`] says.
    pub fn again(&self, attempt: u32, unit_random: f64, asked: Option<Duration>) -> Option<Duration> {
        self.allows_another(attempt).then(|| self.pause(attempt, unit_random, asked))
    }

    /// Whether another attempt may follow the `attempt`th (counted from 1), which has just failed.
    pub fn allows_another(&self, attempt: u32) -> bool {
        attempt < self.attempts
    }

    /// The pause after the `attempt`th attempt (counted from 1). `unit_random` is drawn evenly from 0 to 1; what lies
    /// outside, or is no number, counts as the nearer end.
    pub fn delay(&self, attempt: u32, unit_random: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        let ceiling = self.base.saturating_mul(1 << doublings).min(self.max);
        let share = if unit_random.is_nan() { 1.0 } else { unit_random.clamp(0.0, 1.0) };
        ceiling.mul_f64(share).min(ceiling)
    }

    /// The pause after the `attempt`th attempt when the target may have asked for one: what it asked for, capped by
    /// `max`, else [`Backoff::delay`].
    pub fn pause(&self, attempt: u32, unit_random: f64, asked: Option<Duration>) -> Duration {
        asked.map_or_else(|| self.delay(attempt, unit_random), |asked| asked.min(self.max))
    }
}

/// What a status says of trying again, where nothing more is known of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryVerdict {
    /// It is to be tried again, when the pause that is asked for is over; nothing came of it.
    SlowDown,
    /// It may be tried again; something may have come of it.
    Trouble,
    /// Trying again changes nothing.
    No,
}

impl RetryVerdict {
    /// What this status says.
    pub fn of(status: u16) -> RetryVerdict {
        match status {
            429 | 503 => RetryVerdict::SlowDown,
            // What a server can't do at all (RFC 9110, section 15.6.2) it has not done, and never will.
            501 => RetryVerdict::No,
            408 | 500.. => RetryVerdict::Trouble,
            _ => RetryVerdict::No,
        }
    }
}

/// How long an answer asks to be left alone: what its `Retry-After` says, a date measured by its own `Date` where it has
/// one, else by `now`.
pub fn asked_pause(asked: Option<&str>, date: Option<&str>, now: Option<DateTime<Utc>>) -> Option<Duration> {
    let asked = asked?;
    let theirs = date.and_then(|date| httpdate::parse_http_date(date).ok()).map(DateTime::<Utc>::from);
    match theirs.or(now) {
        Some(now) => retry_after(asked, now),
        // Without a clock only a number of seconds tells something.
        None if asked.contains(':') => None,
        None => retry_after(asked, DateTime::UNIX_EPOCH),
    }
}

/// What a `Retry-After` header asks for at the moment `now`: a number of seconds, or a date of HTTP.
///
/// A moment that has passed and a negative number are no pause at all; a number beyond all reason is a year; a
/// fraction of a second is rounded up. Text that is neither is `None`, as if the header were absent.
pub fn retry_after(raw: &str, now: DateTime<Utc>) -> Option<Duration> {
    let text = raw.trim();
    if let Some(seconds) = seconds(text) {
        return Some(seconds);
    }
    let at: DateTime<Utc> = httpdate::parse_http_date(text).ok()?.into();
    Some((at - now).to_std().unwrap_or(Duration::ZERO).min(LONGEST))
}

/// A decimal number of seconds, clamped to `0..=LONGEST`.
fn seconds(text: &str) -> Option<Duration> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    if text.starts_with('-') {
        return Some(Duration::ZERO);
    }
    // All that can go wrong with a text of digits is that it is too big.
    let round_up = u64::from(fraction.bytes().any(|b| b != b'0'));
    let seconds = whole.parse::<u64>().unwrap_or(u64::MAX).saturating_add(round_up);
    Some(Duration::from_secs(seconds).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;
    use proptest::prelude::*;

    const BACKOFF: Backoff = Backoff { base: Duration::from_millis(500), max: Duration::from_secs(60), attempts: 5 };

    #[test]
    fn ceilings_double_up_to_the_maximum() {
        for (attempt, ceiling_ms) in [(1, 500), (2, 1000), (3, 2000), (7, 32_000), (8, 60_000), (4_000_000, 60_000)] {
            assert_eq!(BACKOFF.delay(attempt, 1.0), Duration::from_millis(ceiling_ms), "attempt {attempt}");
            assert_eq!(BACKOFF.delay(attempt, 0.5), Duration::from_millis(ceiling_ms / 2), "attempt {attempt}");
            assert_eq!(BACKOFF.delay(attempt, 0.0), Duration::ZERO);
        }
    }

    #[test]
    fn attempts_count_the_first_one() {
        assert!(BACKOFF.allows_another(4));
        assert!(!BACKOFF.allows_another(5));
        assert!(!Backoff { attempts: 1, ..BACKOFF }.allows_another(1));
    }

    #[test]
    fn the_verdict_is_a_pause_or_to_give_up() {
        let asked = Some(Duration::from_secs(7));
        assert_eq!(BACKOFF.again(4, 1.0, None), Some(Duration::from_secs(4)));
        assert_eq!(BACKOFF.again(4, 1.0, asked), asked);
        assert_eq!(BACKOFF.again(5, 1.0, asked), None);
        for (status, passing) in [
            (200, RetryVerdict::No),
            (400, RetryVerdict::No),
            (408, RetryVerdict::Trouble),
            (429, RetryVerdict::SlowDown),
            (500, RetryVerdict::Trouble),
            (501, RetryVerdict::No),
            (503, RetryVerdict::SlowDown),
            (504, RetryVerdict::Trouble),
        ] {
            assert_eq!(RetryVerdict::of(status), passing, "{status}");
        }
    }

    #[test]
    fn what_the_target_asks_for_is_obeyed_and_capped() {
        let asked = |s| Some(Duration::from_secs(s));
        assert_eq!(BACKOFF.pause(1, 0.0, asked(7)), Duration::from_secs(7));
        assert_eq!(BACKOFF.pause(1, 0.0, asked(86_400)), BACKOFF.max);
        assert_eq!(BACKOFF.pause(1, 1.0, None), Duration::from_millis(500));
    }

    #[test]
    fn retry_after_in_every_spelling() {
        let now = Utc.with_ymd_and_hms(2026, 11, 22, 6, 0, 0).single().expect("a moment");
        let cases = [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("1.2", Some(2)),
            ("-5", Some(0)),
            ("99999999999999999999999", Some(LONGEST.as_secs())),
            ("Sun, 22 Nov 2026 06:00:30 GMT", Some(30)),
            ("Sunday, 22-Nov-26 06:01:00 GMT", Some(60)),
            ("Sun, 22 Nov 2026 05:00:00 GMT", Some(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(LONGEST.as_secs())),
            ("soon", None),
            ("", None),
            ("-", None),
            ("1e3", None),
        ];
        for (raw, seconds) in cases {
            assert_eq!(retry_after(raw, now), seconds.map(Duration::from_secs), "{raw:?}");
        }
    }

    proptest! {
        #![proptest_config(crate::domain::properties::cases(256))]

        #[test]
        fn no_pause_exceeds_the_maximum(attempt in 0u32.., chance in proptest::num::f64::ANY, asked in any::<Option<u64>>()) {
            let asked = asked.map(Duration::from_secs);
            prop_assert!(BACKOFF.pause(attempt, chance, asked) <= BACKOFF.max);
        }

        #[test]
        fn no_text_makes_it_panic(raw in ".{0,40}") {
            let _ = retry_after(&raw, DateTime::UNIX_EPOCH);
        }
    }
}
