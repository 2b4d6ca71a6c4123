//! When a sync is due: cron lines, evaluated on the clock on the wall of a time zone.
//!
//! The cron crate parses the lines and walks the calendar, but it is wrong where the clock is put forward or back, and
//! it numbers weekdays from 1 = Sunday. So it is given naive local times only, and the way from there to instants is
//! ours. What happens then:
//!
//! - A line with fixed hours runs once a day however the clock moves: a time that the clock skips runs at the first
//!   instant after the gap, a time that comes twice runs the first time.
//! - A line whose hours are `*` or a step follows the clock as people see it: times that are skipped are skipped, times
//!   that come twice run twice, in order.
//!
//! Pure: the clock is an argument.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Duration, NaiveDateTime, Offset, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

use super::schedule_field::{self, WEEKDAY};

/// A cron line in a time zone.
#[derive(Clone, Debug)]
pub struct Schedule {
    text: String,
    cron: cron::Schedule,
    zone: Tz,
    follows_clock: bool,
}

/// Why a line is not a schedule, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleError {
    /// What is wrong.
    pub message: String,
    /// How to write it.
    pub help: String,
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ScheduleError {}

/// The same line in the same zone.
impl PartialEq for Schedule {
    fn eq(&self, other: &Schedule) -> bool {
        (&self.text, self.zone) == (&other.text, other.zone)
    }
}

impl Eq for Schedule {}

const HELP: &str = "write six fields: second minute hour day-of-month month weekday. \"0 30 3 * * 1-5\" is 03:30 from \
                    Monday to Friday, \"0 */15 * * * *\" is every 15 minutes. Five fields are read as crontab does.";

/// The longest that the clock has ever been moved at once (Samoa left out a day), and an hour to spare.
const LONGEST_SHIFT: TimeDelta = TimeDelta::hours(25);

impl Schedule {
    /// Reads a line of six fields, seconds first, or of crontab's five. Weekdays are numbered as in crontab: 0 and 7
    /// are Sunday. Where day of month and weekday are both given, both must hold; crontab means "either", so a line of
    /// five fields that gives both is refused rather than misunderstood.
    pub fn parse(text: &str, zone: Tz) -> Result<Schedule, ScheduleError> {
        let error = |message: String| ScheduleError { message, help: HELP.into() };
        let mut fields: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        match fields.len() {
            5 if restricts(&fields[2]) && restricts(&fields[4]) => {
                return Err(ScheduleError {
                    message: format!("{text:?} gives both a day of the month and a weekday"),
                    help: "crontab runs this on either, rosterd when both hold: put the seconds in front to say so"
                        .into(),
                });
            }
            5 => fields.insert(0, "0".into()),
            6 => {}
            _ if text.trim_start().starts_with('@') => {
                return Err(error(format!("{text:?} is a short form of crontab, which is not understood here")));
            }
            1 => return Err(error(format!("{text:?} has 1 field, and a schedule has six"))),
            n => return Err(error(format!("{text:?} has {n} fields, and a schedule has six"))),
        }
        if let Some(fault) = schedule_field::fault(&fields) {
            return Err(error(format!("in {text:?}, {fault}")));
        }
        fields[WEEKDAY] = weekdays(&fields[WEEKDAY])
            .map_err(|bad| error(format!("in {text:?}, {}", schedule_field::told(WEEKDAY, &bad))))?;
        let cron =
            cron::Schedule::from_str(&fields.join(" ")).map_err(|_| error(format!("{text:?} is not a schedule")))?;
        let follows_clock = fields[2].contains(['*', '/', '?']);
        Ok(Schedule { text: text.to_owned(), cron, zone, follows_clock })
    }

    /// The first instant after `after` at which it is due; none when that never comes (30 February).
    pub fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if self.follows_clock { self.next_on_clock(after) } else { self.next_fixed(after) }
    }

    /// The next local time of the line, as if there were no time zones.
    fn next_local(&self, after: NaiveDateTime) -> Option<NaiveDateTime> {
        self.cron.after(&after.and_utc()).next().map(|t| t.naive_utc())
    }

    fn local(&self, at: DateTime<Utc>) -> NaiveDateTime {
        at.with_timezone(&self.zone).naive_local()
    }

    fn offset(&self, at: DateTime<Utc>) -> TimeDelta {
        let seconds = self.zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc();
        TimeDelta::seconds(seconds.into())
    }

    /// Fixed hours: local times become instants in their order, each once.
    fn next_fixed(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut local = self.local(after);
        loop {
            local = self.next_local(local)?;
            // In the second pass through a repeated hour, its times are over already: look on.
            if let Some(at) = self.first_instant(local).filter(|at| *at > after) {
                return Some(at);
            }
        }
    }

    /// The first instant at which the clock shows this time, or, where it never does, the first one after the gap.
    fn first_instant(&self, local: NaiveDateTime) -> Option<DateTime<Utc>> {
        if let Some(at) = self.zone.from_local_datetime(&local).earliest() {
            return Some(at.to_utc());
        }
        // Clocks are put forward at whole minutes.
        let minute = local.with_second(0)?.with_nanosecond(0)?;
        (1..=LONGEST_SHIFT.num_minutes())
            .find_map(|n| self.zone.from_local_datetime(&(minute + Duration::minutes(n))).earliest())
            .map(|at| at.to_utc())
    }

    /// Hours that follow the clock: within a stretch of one UTC offset local times and instants are in the same order,
    /// so it goes from stretch to stretch.
    fn next_on_clock(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut after = after;
        loop {
            let offset = self.offset(after);
            let due = self.next_local(after.naive_utc() + offset)?.and_utc() - offset;
            let horizon = due.min(after + LONGEST_SHIFT);
            match self.next_shift(after, horizon) {
                // The first instant of the next stretch may be due itself, hence the second before it.
                Some(shift) => {
                    let new = self.offset(shift);
                    let first = self.next_local(shift.naive_utc() + new - TimeDelta::seconds(1))?.and_utc() - new;
                    if first == shift {
                        return Some(shift);
                    }
                    after = shift;
                }
                None if due <= horizon => return Some(due),
                None => after = horizon,
            }
        }
    }

    /// The first instant in `(from, to]` with another offset than `from`, to the second.
    fn next_shift(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let offset = self.offset(from);
        let mut before = from;
        let mut probe = from;
        // No zone has ever shifted twice within an hour.
        while probe < to && self.offset(probe) == offset {
            before = probe;
            probe = (probe + TimeDelta::hours(1)).min(to);
        }
        if self.offset(probe) == offset {
            return None;
        }
        let (mut low, mut high) = (before.timestamp(), probe.timestamp());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            let at = DateTime::from_timestamp(middle, 0)?;
            if self.offset(at) == offset { low = middle } else { high = middle }
        }
        DateTime::from_timestamp(high, 0)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether a field leaves anything out.
fn restricts(field: &str) -> bool {
    !matches!(field, "*" | "?")
}

/// A weekday field in crontab's numbers or names, rewritten in the cron crate's numbers (1 is Sunday).
fn weekdays(field: &str) -> Result<String, String> {
    if !restricts(field) {
        return Ok("*".into());
    }
    let mut chosen = [false; 7];
    for item in field.split(',') {
        let bad = || item.to_owned();
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, step.parse().ok().filter(|s| (1..=7).contains(s)).ok_or_else(bad)?),
            None => (item, 1),
        };
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (weekday(first).ok_or_else(bad)?, weekday(last).ok_or_else(bad)?),
            None if range == "*" => (0, 6),
            None => {
                let day = weekday(range).ok_or_else(bad)?;
                (day, if item.contains('/') { 6 } else { day })
            }
        };
        // "fri-sun" and "5-0" end on the Sunday after.
        let last = if last == 0 && first > 0 { 7 } else { last };
        if first > last {
            return Err(bad());
        }
        (first..=last).step_by(step).for_each(|day| chosen[day % 7] = true);
    }
    let numbers: Vec<String> = (0..7).filter(|d| chosen[*d]).map(|d| (d + 1).to_string()).collect();
    Ok(numbers.join(","))
}

/// A weekday's number in crontab: 0 to 7, or the first three letters of its English name.
fn weekday(text: &str) -> Option<usize> {
    if let Ok(number) = text.parse::<usize>() {
        return (number <= 7).then_some(number);
    }
    const NAMES: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
    let text = text.to_ascii_lowercase();
    NAMES.iter().position(|name| *name == text || name[..3] == text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ZURICH: Tz = chrono_tz::Europe::Zurich;

    /// The next `n` times after an instant, as the clock shows them, with the offset.
    fn upcoming(line: &str, zone: Tz, from: &str, n: usize) -> Vec<String> {
        let schedule = Schedule::parse(line, zone).expect(line);
        let mut at: DateTime<Utc> = from.parse().expect("an instant");
        let mut times = Vec::new();
        for _ in 0..n {
            at = schedule.next_after(at).expect("due again");
            times.push(at.with_timezone(&zone).format("%m-%dT%H:%M%z").to_string());
        }
        times
    }

    #[test]
    fn five_and_six_fields_mean_the_same() {
        let five = upcoming("*/15 * * * *", ZURICH, "2026-11-22T10:01:00Z", 3);
        assert_eq!(five, upcoming("0 */15 * * * *", ZURICH, "2026-11-22T10:01:00Z", 3));
        assert_eq!(five, ["11-22T11:15+0100", "11-22T11:30+0100", "11-22T11:45+0100"]);
    }

    #[test]
    fn weekdays_are_those_of_crontab() {
        for (field, numbers) in [
            ("0", "1"),
            ("7", "1"),
            ("1", "2"),
            ("6", "7"),
            ("1-5", "2,3,4,5,6"),
            ("5-7", "1,6,7"),
            ("fri-sun", "1,6,7"),
            ("MON,Wednesday", "2,4"),
            ("*/2", "1,3,5,7"),
            ("*", "*"),
            ("0-7", "1,2,3,4,5,6,7"),
        ] {
            assert_eq!(weekdays(field), Ok(numbers.to_owned()), "{field}");
        }
        // 23 November 2026 is a Monday.
        assert_eq!(upcoming("0 0 9 * * 1", ZURICH, "2026-11-22T00:00:00Z", 1), ["11-23T09:00+0100"]);
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_help() {
        for line in [
            "",
            "0 0",
            "0 0 25 * * *",
            "x * * * *",
            "0 0 9 * * 8",
            "0 0 9 * * funday",
            "0 0 9 * * 5-2",
            "0 9 1 * 1",
            "0 0 9 * * */0",
        ] {
            let error = Schedule::parse(line, ZURICH).expect_err(line);
            assert!(!error.message.is_empty() && !error.help.is_empty());
        }
        assert!(Schedule::parse("0 0 9 1-7 * 1", ZURICH).is_ok(), "first Monday of the month");
    }

    #[test]
    fn the_field_that_is_wrong_is_named() {
        for (line, part) in [
            ("0 0 25 * * *", "\"25\" is not an hour: hours are 0 to 23"),
            ("60 3 * * *", "\"60\" is not a minute: minutes are 0 to 59"),
            ("0 0 0,31 * * *", "\"31\" is not an hour"),
            ("0 0 3 32 * *", "\"32\" is not a day of the month"),
            ("0 0 3 * 13 *", "\"13\" is not a month"),
            ("0 0 3 * * Lundi", "\"Lundi\" is not a weekday"),
            ("0 3 * * 5-1", "\"5-1\" is not a weekday or a range"),
            ("*/0 * * * *", "\"*/0\" is not a minute or a range"),
            ("0 0 3 *", "has 4 fields"),
            ("@daily", "short form"),
        ] {
            let error = Schedule::parse(line, ZURICH).expect_err(line);
            assert!(error.message.contains(part), "{line}: {error}");
            assert!(error.help.contains("second minute hour day-of-month month weekday"), "{}", error.help);
        }
    }

    #[test]
    fn a_fixed_time_in_the_gap_runs_once_at_its_end() {
        let times = upcoming("0 30 2 * * *", ZURICH, "2026-03-28T00:00:00Z", 3);
        assert_eq!(times, ["03-28T02:30+0100", "03-29T03:00+0200", "03-30T02:30+0200"]);
        let times = upcoming("0 15,45 2 * * *", ZURICH, "2026-03-28T12:00:00Z", 2);
        assert_eq!(times, ["03-29T03:00+0200", "03-30T02:15+0200"]);
    }

    #[test]
    fn a_fixed_time_in_the_fold_runs_once_the_first_time() {
        let times = upcoming("0 30 2 * * *", ZURICH, "2026-10-24T12:00:00Z", 2);
        assert_eq!(times, ["10-25T02:30+0200", "10-26T02:30+0100"]);
        // Asked in the second pass, it is over for the day.
        assert_eq!(upcoming("0 30 2 * * *", ZURICH, "2026-10-25T01:10:00Z", 1), ["10-26T02:30+0100"]);
    }

    #[test]
    fn an_interval_runs_in_both_halves_of_the_fold_in_order() {
        let times = upcoming("0 */30 * * * *", ZURICH, "2026-10-24T23:45:00Z", 6);
        let expected = [
            "10-25T02:00+0200",
            "10-25T02:30+0200",
            "10-25T02:00+0100",
            "10-25T02:30+0100",
            "10-25T03:00+0100",
            "10-25T03:30+0100",
        ];
        assert_eq!(times, expected);
    }

    #[test]
    fn an_interval_jumps_over_the_gap() {
        let times = upcoming("0 */30 * * * *", ZURICH, "2026-03-29T00:15:00Z", 3);
        assert_eq!(times, ["03-29T01:30+0100", "03-29T03:00+0200", "03-29T03:30+0200"]);
        assert_eq!(upcoming("0 10 */2 * * *", ZURICH, "2026-03-28T23:30:00Z", 1), ["03-29T04:10+0200"]);
    }

    #[test]
    fn half_hour_shifts_and_lost_days_are_survived() {
        // Lord Howe puts the clock back by half an hour.
        let times = upcoming("0 */15 * * * *", chrono_tz::Australia::Lord_Howe, "2026-04-04T14:40:00Z", 4);
        assert_eq!(times, ["04-05T01:45+1100", "04-05T01:30+1030", "04-05T01:45+1030", "04-05T02:00+1030"]);
        // Samoa left out 30 December 2011.
        let times = upcoming("0 0 12 30 12 *", chrono_tz::Pacific::Apia, "2011-12-29T12:00:00Z", 1);
        assert_eq!(times, ["12-31T00:00+1400"]);
    }

    #[test]
    fn what_never_comes_is_none() {
        let schedule = Schedule::parse("0 0 0 30 2 *", ZURICH).expect("valid, though never due");
        assert_eq!(schedule.next_after("2026-01-01T00:00:00Z".parse().expect("an instant")), None);
    }

    proptest! {
        #![proptest_config(crate::domain::properties::cases(256))]

        /// Whatever the zone and the moment: the next time is later, the clock then shows a time of the line (but at
        /// the end of a gap), and nothing between is passed over.
        #[test]
        fn times_rise_and_none_is_skipped(seconds in 1_700_000_000i64..1_900_000_000, zone in 0usize..4, hourly in any::<bool>()) {
            let zone = [ZURICH, chrono_tz::America::New_York, chrono_tz::Australia::Lord_Howe, chrono_tz::UTC][zone];
            let line = if hourly { "0 20 * * * *" } else { "0 20 2 * * *" };
            let schedule = Schedule::parse(line, zone).expect("valid");
            let from = DateTime::from_timestamp(seconds, 0).expect("in range");
            let next = schedule.next_after(from).expect("due");
            prop_assert!(next > from);
            let longest = TimeDelta::hours(if hourly { 2 } else { 26 });
            prop_assert!(next - from <= longest);
            if hourly {
                prop_assert_eq!(next.with_timezone(&zone).minute(), 20);
            }
            let middle = from + (next - from) / 2;
            prop_assert_eq!(schedule.next_after(middle), Some(next));
        }
    }
}
