//! The time of a run as people at the place of a sync read it from their clocks.
//!
//! Pure. What an expression calls `today` and `now` is taken from one such time for a whole run, however long it takes.

use chrono::{DateTime, FixedOffset, LocalResult, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// A moment and the time zone in which it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    instant: DateTime<Utc>,
    zone: Tz,
    today: NaiveDate,
}

impl LocalTime {
    /// This moment, told in this zone.
    pub fn new(instant: DateTime<Utc>, zone: Tz) -> LocalTime {
        LocalTime { instant, zone, today: instant.with_timezone(&zone).date_naive() }
    }

    /// The same time of day on another date.
    pub fn on(self, date: NaiveDate) -> LocalTime {
        let time = self.instant.with_timezone(&self.zone).time();
        LocalTime::new(resolved(date.and_time(time), &self.zone).to_utc(), self.zone)
    }

    /// The moment.
    pub fn instant(self) -> DateTime<Utc> {
        self.instant
    }

    /// The date there.
    pub fn today(self) -> NaiveDate {
        self.today
    }

    /// Date and time there, with the zone's distance from UTC at that moment.
    pub fn now(self) -> DateTime<FixedOffset> {
        fixed(&self.instant.with_timezone(&self.zone))
    }

    /// The zone.
    pub fn zone(self) -> Tz {
        self.zone
    }
}

/// The moment that a local date and time names. One that comes twice, where clocks are set back, is the first of the two;
/// one that is skipped, where they are set forward, counts with the distance from UTC of before.
///
/// The one function for this, whatever the zone is known by.
pub fn resolved<Z: TimeZone>(local: NaiveDateTime, zone: &Z) -> DateTime<FixedOffset> {
    match zone.from_local_datetime(&local) {
        LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => fixed(&time),
        LocalResult::None => {
            // At the ends of what a date can be there is no day before, and no distance to be taken off.
            let before = local.checked_sub_signed(TimeDelta::days(1)).unwrap_or(local);
            let distance = zone.offset_from_utc_datetime(&before).fix().local_minus_utc();
            let instant = local.checked_sub_signed(TimeDelta::seconds(distance.into())).unwrap_or(local).and_utc();
            fixed(&instant.with_timezone(zone))
        }
    }
}

fn fixed<Z: TimeZone>(time: &DateTime<Z>) -> DateTime<FixedOffset> {
    time.with_timezone(&time.offset().fix())
}

#[cfg(test)]
impl LocalTime {
    /// Noon of this date, in UTC.
    pub fn noon(date: &str) -> LocalTime {
        let date: NaiveDate = date.parse().expect("a date");
        LocalTime::new(date.and_hms_opt(12, 0, 0).expect("noon").and_utc(), Tz::UTC)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zurich(text: &str) -> LocalTime {
        LocalTime::new(text.parse().expect("a time"), chrono_tz::Europe::Zurich)
    }

    #[test]
    fn the_date_is_that_of_the_place() {
        let late = zurich("2026-11-22T23:30:00Z");
        assert_eq!(late.today().to_string(), "2026-11-23");
        assert_eq!(late.now().to_rfc3339(), "2026-11-23T00:30:00+01:00");
    }

    #[test]
    fn another_date_keeps_the_time_of_day() {
        let other = zurich("2026-11-22T08:30:00Z").on("2027-07-01".parse().expect("a date"));
        assert_eq!(other.now().to_rfc3339(), "2027-07-01T09:30:00+02:00");
        assert_eq!(other.instant().to_rfc3339(), "2027-07-01T07:30:00+00:00");
        let skipped = zurich("2026-11-22T01:30:00Z").on("2027-03-28".parse().expect("a date"));
        assert_eq!(skipped.now().to_rfc3339(), "2027-03-28T03:30:00+02:00", "there is no 2:30 on that day");
    }

    #[test]
    fn times_that_come_twice_or_never_have_one_meaning() {
        let at = |text: &str| resolved(text.parse().expect("a local time"), &chrono_tz::Europe::Zurich).to_rfc3339();
        assert_eq!(at("2026-10-25T02:30:00"), "2026-10-25T02:30:00+02:00");
        assert_eq!(at("2026-03-29T02:30:00"), "2026-03-29T03:30:00+02:00");
        assert_eq!(at("2026-07-01T12:00:00"), "2026-07-01T12:00:00+02:00");
        for end in [NaiveDateTime::MIN, NaiveDateTime::MAX] {
            for zone in [chrono_tz::Etc::GMTMinus14, chrono_tz::Etc::GMTPlus12] {
                let _no_panic = resolved(end, &zone).to_utc();
            }
        }
    }
}
