//! What pictures show, collected: day by day, in the zone of the daemon, what the runs of a sync or of all of them did.

use chrono::{DateTime, Days, NaiveDate, Utc};

use crate::domain::error::Result;
use crate::os::zone::Zone;
use crate::state::State;
use crate::state::days::{CountProvisioned, DayFigures, FiguresOfDays};

/// How many days pictures cover.
pub(super) const DAYS: u64 = 90;

/// One day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Day {
    /// Which, in the zone of the daemon.
    pub date: NaiveDate,
    /// What the runs that began on it did.
    pub figures: DayFigures,
    /// How many people had access at its end. It is reckoned back from how many have it now.
    pub provisioned: u64,
}

/// The last [`DAYS`] days, today the last of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trend(pub Vec<Day>);

impl Trend {
    /// Looks at the days up to `now` of one sync, or of all of these.
    pub async fn look(
        state: &State,
        syncs: Vec<String>,
        only: Option<&str>,
        now: DateTime<Utc>,
        zone: Zone,
    ) -> Result<Trend> {
        let Some((dates, bounds)) = days(now, zone) else { return Ok(Trend(Vec::new())) };
        let figures = state.ask(FiguresOfDays { sync: only.map(str::to_string), bounds }).await?;
        let provisioned = state.ask(CountProvisioned { syncs }).await?;
        Ok(Trend::of(dates, figures, provisioned))
    }

    /// Days with their figures, of which the last ended with so many people.
    fn of(dates: Vec<NaiveDate>, figures: Vec<DayFigures>, provisioned: u64) -> Trend {
        let mut days: Vec<Day> =
            dates.into_iter().zip(figures).map(|(date, figures)| Day { date, figures, provisioned: 0 }).collect();
        let mut there = provisioned.cast_signed();
        for day in days.iter_mut().rev() {
            day.provisioned = there.max(0).unsigned_abs();
            there -= day.figures.net();
        }
        Trend(days)
    }

    /// Whether there was any run.
    pub fn has_runs(&self) -> bool {
        self.0.iter().any(|day| day.figures.runs > 0)
    }
}

/// The dates of the days, and when each of them begins in this zone; the end of the last day is the last of these times.
fn days(now: DateTime<Utc>, zone: Zone) -> Option<(Vec<NaiveDate>, Vec<DateTime<Utc>>)> {
    let today: NaiveDate = zone.told(now).get(..10)?.parse().ok()?;
    let first = today.checked_sub_days(Days::new(DAYS - 1))?;
    let dates: Vec<NaiveDate> = first.iter_days().take(usize::try_from(DAYS).ok()?).collect();
    let ends = today.checked_add_days(Days::new(1))?;
    let bounds = dates.iter().chain([&ends]).map(|date| zone.since(&date.to_string(), now)).collect::<Option<_>>()?;
    Some((dates, bounds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::instant;

    #[test]
    fn days_begin_at_midnight_of_the_zone_whatever_the_clock_does_meanwhile() {
        let zurich = Zone::Named(chrono_tz::Tz::Europe__Zurich);
        let (dates, bounds) = days(instant("2026-11-22T23:30:00.000Z"), zurich).expect("days");
        assert_eq!((dates.len(), bounds.len()), (90, 91));
        assert_eq!(dates[89].to_string(), "2026-11-23", "it is past midnight there");
        let began = |date: &str| bounds[dates.iter().position(|d| d.to_string() == date).expect("a day")];
        assert_eq!(began("2026-10-25"), instant("2026-10-24T22:00:00.000Z"));
        assert_eq!(began("2026-10-26"), instant("2026-10-25T23:00:00.000Z"), "a day of 25 hours lies between");
        assert_eq!(bounds[90], instant("2026-11-23T23:00:00.000Z"));
    }

    #[test]
    fn how_many_had_access_is_reckoned_back_from_today() {
        let dates: Vec<NaiveDate> = (1..=3).filter_map(|day| NaiveDate::from_ymd_opt(2026, 11, day)).collect();
        let day = |joined, left| DayFigures { runs: 1, joined, left, ..DayFigures::default() };
        let trend = Trend::of(dates.clone(), vec![day(5, 0), day(10, 2), day(0, 3)], 40);
        assert_eq!(trend.0.iter().map(|day| day.provisioned).collect::<Vec<_>>(), [35, 43, 40]);
        let unknown = Trend::of(dates, vec![day(0, 0), day(9, 0), day(0, 0)], 4);
        assert_eq!(unknown.0[0].provisioned, 0, "never fewer than none");
    }
}
