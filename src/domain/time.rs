//! Times as they are stored and shown: RFC 3339 in UTC with milliseconds, which sorts as text.
//!
//! The clock itself is [`Clock`], handed to whoever needs to know what time it is.

use chrono::{DateTime, NaiveDate, SecondsFormat, TimeDelta, Utc};

use crate::domain::units::Span;

/// The time as it is stored: `2026-11-22T03:34:00.123Z`.
pub fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The time that this text spells, if it spells one.
pub fn parse(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|t| t.with_timezone(&Utc))
}

/// How a time is written in JSON: as it is stored.
pub mod written {
    use super::*;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes it.
    ///
    /// # Errors
    /// As the serializer's.
    pub fn serialize<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&rfc3339(*time))
    }

    /// Reads it.
    ///
    /// # Errors
    /// It is no time.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
        parse(&String::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("no time"))
    }

    /// Writes one that may be missing.
    ///
    /// # Errors
    /// As the serializer's.
    pub fn serialize_if_any<S: Serializer>(time: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serialize(time, serializer),
            None => serializer.serialize_none(),
        }
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

/// The time that this text spells, for tests.
#[cfg(test)]
pub fn instant(text: &str) -> DateTime<Utc> {
    parse(text).expect("a time")
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
    fn spans_are_spoken_in_their_two_largest_units() {
        for (seconds, text) in
            [(0, "0 s"), (59, "59 s"), (60, "1 min"), (200, "3 min 20 s"), (7_500, "2 h 5 min"), (273_600, "3 d 4 h")]
        {
            assert_eq!(spoken(seconds), text);
        }
    }
}
