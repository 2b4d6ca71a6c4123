//! The time zone of whoever reads: times are shown to people in it, with its name and to the second.
//!
//! What programs read (JSON, CSV, the database, journald) stays RFC 3339 in UTC: see [`crate::domain::time`].

use std::ffi::OsString;
use std::path::Path;
use std::sync::OnceLock;

use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;

use crate::domain::local_time::resolved;
use crate::domain::time;

/// Where systems keep their zones (tzfile(5)); the name of a zone is the path below it.
const ZONES: &str = "zoneinfo/";

/// A zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// One that has a name.
    Named(Tz),
    /// One of which rules alone are known (`TZ=XYZ-3`, a file that is no link): it is told by its offset.
    Rules,
}

impl Zone {
    /// The zone that these say: `TZ`, as it stands in the environment, and where `/etc/localtime` leads. As in libc, a `TZ`
    /// that is empty or names no zone is UTC.
    fn of(tz: Option<OsString>, link: Option<&Path>) -> Zone {
        let Some(tz) = tz else {
            let name = link.and_then(Path::to_str).and_then(name_of);
            return name.map_or(if link.is_some() { Zone::Rules } else { Zone::Named(Tz::UTC) }, Zone::Named);
        };
        let Some(text) = tz.to_str().map(|text| text.strip_prefix(':').unwrap_or(text)) else {
            return Zone::Named(Tz::UTC);
        };
        match text.parse().ok().or_else(|| name_of(text)) {
            Some(name) => Zone::Named(name),
            None if is_rules(text) || Path::new(text).is_absolute() => Zone::Rules,
            None => Zone::Named(Tz::UTC),
        }
    }

    /// A time as people read it: `2026-11-22 04:34:00 CET`; with an offset where the zone has no letters for it.
    pub fn told(self, at: DateTime<Utc>) -> String {
        match self {
            Zone::Named(tz) => written(&at.with_timezone(&tz)),
            Zone::Rules => written(&at.with_timezone(&Local)),
        }
    }

    /// The time of day, as people read it: `04:34:00 CET`.
    pub fn of_day(self, at: DateTime<Utc>) -> String {
        let told = self.told(at);
        told.split_once(' ').map_or(String::new(), |(_, time)| time.to_string())
    }

    /// The time that a clock in this zone shows, as [`resolved`] has it.
    fn at(self, shown: NaiveDateTime) -> DateTime<Utc> {
        match self {
            Zone::Named(tz) => resolved(shown, &tz).to_utc(),
            Zone::Rules => resolved(shown, &Local).to_utc(),
        }
    }

    /// The time that this text means: a time with its zone, a time or a date (its beginning) of this zone, or how long
    /// before `now` (`2h`, `7d`).
    pub fn since(self, text: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let date = || text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0);
        let shown = || {
            let formats = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"];
            formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        };
        date().or_else(shown).map_or_else(|| time::since(text, now), |shown| Some(self.at(shown)))
    }
}

/// The zone of a path, whatever stands before `zoneinfo/` and whichever clock it counts leap seconds by.
fn name_of(path: &str) -> Option<Tz> {
    let (_, name) = path.rsplit_once(ZONES)?;
    let name = name.strip_prefix("posix/").or_else(|| name.strip_prefix("right/")).unwrap_or(name);
    name.parse().ok()
}

/// Whether this is the rules of a zone as POSIX writes them (`CET-1CEST,M3.5.0,M10.5.0/3`, `<+03>-3`): a name, then an
/// offset.
fn is_rules(text: &str) -> bool {
    let rest = match text.strip_prefix('<') {
        Some(quoted) => quoted.split_once('>').map(|(_, rest)| rest),
        None => {
            let rest = text.trim_start_matches(|letter: char| letter.is_ascii_alphabetic());
            (text.len() - rest.len() >= 3).then_some(rest)
        }
    };
    rest.is_some_and(|rest| rest.trim_start_matches(['+', '-']).starts_with(|digit: char| digit.is_ascii_digit()))
}

fn written<Z: TimeZone>(at: &DateTime<Z>) -> String
where
    Z::Offset: std::fmt::Display,
{
    let name = at.offset().to_string();
    match name.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
        true => format!("{} {name}", at.naive_local().format("%Y-%m-%d %H:%M:%S")),
        false => format!("{} {}", at.naive_local().format("%Y-%m-%d %H:%M:%S"), at.offset().fix()),
    }
}

/// The zone of this process.
pub fn local() -> Zone {
    static LOCAL: OnceLock<Zone> = OnceLock::new();
    *LOCAL.get_or_init(|| {
        let link = std::fs::canonicalize("/etc/localtime").ok();
        Zone::of(std::env::var_os("TZ"), link.as_deref())
    })
}

/// A time as whoever reads it here reads it: `2026-11-22 04:34:00 CET`.
pub fn told(at: DateTime<Utc>) -> String {
    local().told(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::instant;

    fn zone(tz: &str) -> Zone {
        Zone::of(Some(tz.into()), Some(Path::new("/usr/share/zoneinfo/Asia/Tokyo")))
    }

    #[test]
    fn a_zone_is_what_the_environment_says_and_else_where_the_system_is() {
        let link = |path: &'static str| Zone::of(None, Some(Path::new(path)));
        assert_eq!(link("/usr/share/zoneinfo/Europe/Zurich"), Zone::Named(Tz::Europe__Zurich));
        assert_eq!(link("/usr/share/zoneinfo/posix/Europe/Zurich"), Zone::Named(Tz::Europe__Zurich));
        assert_eq!(link("/etc/localtime"), Zone::Rules);
        assert_eq!(Zone::of(None, None), Zone::Named(Tz::UTC));
        for (tz, expected) in [
            ("Europe/Zurich", Zone::Named(Tz::Europe__Zurich)),
            (":America/New_York", Zone::Named(Tz::America__New_York)),
            ("/usr/share/zoneinfo/Asia/Kolkata", Zone::Named(Tz::Asia__Kolkata)),
            ("UTC", Zone::Named(Tz::UTC)),
            ("", Zone::Named(Tz::UTC)),
            ("Mars/Olympus", Zone::Named(Tz::UTC)),
            ("CET-1CEST,M3.5.0,M10.5.0/3", Zone::Rules),
            ("<+03>-3", Zone::Rules),
            ("/home/ann/zone", Zone::Rules),
        ] {
            assert_eq!(zone(tz), expected, "{tz}");
        }
    }

    #[test]
    fn times_are_told_with_the_name_that_holds_then() {
        for (tz, at, expected) in [
            ("Europe/Zurich", "2026-11-22T03:34:00.999Z", "2026-11-22 04:34:00 CET"),
            ("Europe/Zurich", "2026-10-25T00:59:59.000Z", "2026-10-25 02:59:59 CEST"),
            ("Europe/Zurich", "2026-10-25T01:00:00.000Z", "2026-10-25 02:00:00 CET"),
            ("Europe/Zurich", "2026-03-29T00:59:59.000Z", "2026-03-29 01:59:59 CET"),
            ("Europe/Zurich", "2026-03-29T01:00:00.000Z", "2026-03-29 03:00:00 CEST"),
            ("UTC", "2026-11-22T03:34:00.123Z", "2026-11-22 03:34:00 UTC"),
            ("America/New_York", "2026-11-22T03:34:00.000Z", "2026-11-21 22:34:00 EST"),
            ("America/New_York", "2026-11-01T05:59:59.000Z", "2026-11-01 01:59:59 EDT"),
            ("America/New_York", "2026-11-01T06:00:00.000Z", "2026-11-01 01:00:00 EST"),
            ("America/Sao_Paulo", "2026-11-22T03:34:00.000Z", "2026-11-22 00:34:00 -03:00"),
            ("Asia/Kathmandu", "2026-11-22T03:34:00.000Z", "2026-11-22 09:19:00 +05:45"),
            ("nonsense", "2026-11-22T03:34:00.000Z", "2026-11-22 03:34:00 UTC"),
        ] {
            assert_eq!(zone(tz).told(instant(at)), expected, "{tz} {at}");
        }
    }

    #[test]
    fn what_is_typed_without_a_zone_is_of_this_one() {
        let now = instant("2026-11-22T12:00:00.000Z");
        for (tz, text, expected) in [
            ("UTC", "2026-11-21", "2026-11-21T00:00:00.000Z"),
            ("Europe/Zurich", "2026-11-21", "2026-11-20T23:00:00.000Z"),
            ("Europe/Zurich", "2026-11-21 04:34:00", "2026-11-21T03:34:00.000Z"),
            ("Europe/Zurich", "2026-11-21T04:34", "2026-11-21T03:34:00.000Z"),
            ("Europe/Zurich", "2026-11-21T03:34:00Z", "2026-11-21T03:34:00.000Z"),
            ("Europe/Zurich", "2026-10-25 02:30", "2026-10-25T00:30:00.000Z"),
            ("Europe/Zurich", "2026-03-29 02:30", "2026-03-29T01:30:00.000Z"),
            ("Europe/Zurich", "2026-03-29 02:00", "2026-03-29T01:00:00.000Z"),
            ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00.000Z"),
            ("Europe/Zurich", "2h", "2026-11-22T10:00:00.000Z"),
        ] {
            assert_eq!(zone(tz).since(text, now), Some(instant(expected)), "{tz} {text}");
        }
        for text in ["2026-03-29 02:30", "2026-10-25 02:30", "2026-07-01 12:00"] {
            let shown = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").expect("a time");
            let mapped = resolved(shown, &Tz::Europe__Zurich).to_utc();
            assert_eq!(zone("Europe/Zurich").since(text, now), Some(mapped), "as in a mapping: {text}");
        }
        assert_eq!(zone("UTC").since("yesterday", now), None);
        assert_eq!(zone("UTC").since("2026-02-30", now), None);
    }
}
