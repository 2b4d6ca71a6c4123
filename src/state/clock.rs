//! What a sync's runs tell of the clock: whether it shows less than at the run before, and which absences were stamped
//! while it was wrong.
//!
//! Runs are compared in their order, not by their times. A clock that is set back shows old times for a while, and one
//! that is set right again leaps ahead: in both cases an absence that was stamped before says nothing of how long somebody
//! has been gone.

use chrono::{DateTime, TimeDelta, Utc};

use super::db::args;
use super::people_writer::PeopleWriter;
use super::{Command, Db, StateError};
use crate::domain::ids::{RunId, SyncId};

/// How much less than at the run before the clock may show: what a time service sets right from day to day.
pub const TOLERANCE: TimeDelta = TimeDelta::minutes(1);

/// No sync that is in use rests for so long; a clock that was years behind leaps further when it is set right.
const LEAP: TimeDelta = TimeDelta::days(366);

/// How long after the last time that a run noted of itself it may still have stamped absences.
const STAMPED_WITHIN: TimeDelta = TimeDelta::hours(1);

/// What there is to know of the clock before leavers are judged by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockReading {
    /// It shows less than at the run before.
    pub behind: bool,
    /// Absences stamped between these times count from now: the clock was wrong then.
    pub misdated: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

impl ClockReading {
    /// Since when somebody has been gone, by what was stamped: from now on, where that can't be.
    pub fn absent_since(&self, stamped: Option<DateTime<Utc>>, now: DateTime<Utc>) -> DateTime<Utc> {
        let wrong = |at: &DateTime<Utc>| self.misdated.is_some_and(|(from, until)| (from..=until).contains(at));
        stamped.filter(|at| *at <= now && !wrong(at)).unwrap_or(now)
    }
}

/// Of a clock that was set back: what it had shown, and the least that it has shown since.
type SetBack = (DateTime<Utc>, DateTime<Utc>);

/// The last run, as the clock showed it.
struct LastRun {
    clock: DateTime<Utc>,
    set_back: Option<SetBack>,
    /// It is under way (or its process died), and what was found at its beginning holds.
    open: bool,
    behind: bool,
}

impl LastRun {
    fn of(db: &Db<'_>, sync: &str) -> Result<Option<LastRun>, StateError> {
        let row = db.one(
            "SELECT started_at, finished_at, ahead, back_at, status IS NULL, behind FROM run
                 WHERE sync = ?1 ORDER BY seq DESC LIMIT 1",
            args![sync],
            |row| {
                let times: [Option<DateTime<Utc>>; 4] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?];
                Ok((times, row.get(4)?, row.get(5)?))
            },
        )?;
        let Some((times, open, behind)) = row else { return Ok(None) };
        let [started, finished, ahead, back_at] = times;
        let clock = started.max(finished);
        Ok(clock.map(|clock| LastRun { clock, set_back: ahead.zip(back_at), open, behind }))
    }

    /// What the clock means, and how it stands with a clock that was set back.
    fn judge(&self, now: DateTime<Utc>) -> (ClockReading, Option<SetBack>) {
        let until = self.clock + STAMPED_WITHIN;
        if now + TOLERANCE < self.clock {
            let (ahead, back_at) = self.set_back.unwrap_or((self.clock, now));
            return (ClockReading { behind: true, misdated: None }, Some((ahead.max(self.clock), back_at.min(now))));
        }
        let leapt = now - self.clock > LEAP;
        let (misdated, set_back) = match self.set_back {
            Some((ahead, back_at)) if now + TOLERANCE < ahead => (None, Some((ahead, back_at.min(now)))),
            Some((_, back_at)) => (Some((back_at - TOLERANCE, until)), None),
            None => (None, None),
        };
        let ever = (DateTime::<Utc>::MIN_UTC, until);
        (ClockReading { behind: false, misdated: if leapt { Some(ever) } else { misdated } }, set_back)
    }
}

/// Judges the clock for a run that begins, and notes it with the run. Absences that were misdated count from now.
///
/// # Errors
/// The state fails.
pub(super) fn begin(db: &Db<'_>, run: &RunId, sync: &str, now: DateTime<Utc>) -> Result<(), StateError> {
    let judged = LastRun::of(db, sync)?.map(|last| last.judge(now));
    let (reading, set_back) = judged.unwrap_or_default();
    let (ahead, back_at) = set_back.unzip();
    db.execute(
        "UPDATE run SET seq = (SELECT coalesce(max(seq), 0) + 1 FROM run WHERE sync = ?2), behind = ?3, ahead = ?4,
                        back_at = ?5 WHERE id = ?1",
        args![run, sync, reading.behind, ahead, back_at],
    )?;
    if let Some((from, until)) = reading.misdated {
        let id = db.one("SELECT id FROM sync WHERE name = ?1", args![sync], |row| row.get::<SyncId>(0))?;
        if let Some(id) = id {
            PeopleWriter::of(db, id).execute(
                "UPDATE person SET absent_since = ?4 WHERE sync = ?1 AND absent_since BETWEEN ?2 AND ?3",
                args![id, from, until, now],
            )?;
        }
    }
    Ok(())
}

/// Asks what the clock means for a plan that is made now: of the run that is under way, or else after the last one.
#[derive(Debug)]
pub struct ReadClock {
    /// Of which sync.
    pub sync: String,
    /// What it shows.
    pub now: DateTime<Utc>,
}

impl Command for ReadClock {
    type Reply = ClockReading;

    fn run(&self, db: &Db<'_>) -> Result<ClockReading, StateError> {
        Ok(match LastRun::of(db, &self.sync)? {
            None => ClockReading::default(),
            // Its absences were set right when it began.
            Some(last) if last.open => ClockReading { behind: last.behind, misdated: None },
            Some(last) => last.judge(self.now).0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::instant as at;

    /// The readings of runs at these times, in this order.
    fn readings(times: &[&str]) -> Vec<ClockReading> {
        let mut last: Option<LastRun> = None;
        let mut readings = Vec::new();
        for time in times {
            let now = at(time);
            let (reading, set_back) = last.as_ref().map(|last| last.judge(now)).unwrap_or_default();
            readings.push(reading);
            last = Some(LastRun { clock: now, set_back, open: false, behind: reading.behind });
        }
        readings
    }

    #[test]
    fn a_run_is_behind_its_predecessor_only_and_by_more_than_a_minute() {
        let times = ["2026-11-22T03:00:00Z", "2026-11-22T02:59:30Z", "2006-11-22T03:00:00Z", "2006-11-22T03:15:00Z"];
        let behind: Vec<bool> = readings(&times).iter().map(|r| r.behind).collect();
        assert_eq!(behind, [false, false, true, false]);
    }

    #[test]
    fn an_absence_stamped_by_a_clock_that_was_behind_counts_from_now_once_it_is_right() {
        for (back, soon) in
            [("2006-11-22T03:00:00Z", "2006-11-22T03:15:00Z"), ("2026-11-10T03:00:00Z", "2026-11-10T03:15:00Z")]
        {
            let right = at("2026-11-22T04:00:00Z");
            let reading =
                *readings(&["2026-11-22T03:00:00Z", back, soon, "2026-11-22T04:00:00Z"]).last().expect("four");
            assert!(!reading.behind);
            assert_eq!(reading.absent_since(Some(at(soon)), right), right, "{back}");
            // One from before it was set back stays.
            let before = at("2026-11-21T03:00:00Z");
            assert_eq!(reading.absent_since(Some(before), right), before, "{back}");
        }
        // The same of a clock that was wrong from the first run on.
        let reading = readings(&["2006-11-22T03:00:00Z", "2006-11-22T03:15:00Z", "2026-11-22T03:00:00Z"])[2];
        let right = at("2026-11-22T03:00:00Z");
        assert_eq!(reading.absent_since(Some(at("2006-11-22T03:15:00Z")), right), right);
    }

    #[test]
    fn an_absence_in_the_future_counts_from_now_and_years_of_being_behind_are_ordinary() {
        let times = ["2031-11-22T03:00:00Z", "2026-11-22T03:00:00Z", "2026-11-22T03:15:00Z", "2026-11-29T04:00:00Z"];
        let readings = readings(&times);
        assert_eq!(readings.iter().map(|r| r.behind).collect::<Vec<_>>(), [false, true, false, false]);
        let now = at("2026-11-22T03:15:00Z");
        assert_eq!(readings[2].absent_since(Some(at("2031-11-22T03:00:00Z")), now), now);
        let stamped = at("2026-11-22T03:15:00Z");
        assert_eq!(readings[3].absent_since(Some(stamped), at("2026-11-29T04:00:00Z")), stamped);
    }

    #[test]
    fn a_month_without_a_run_is_no_leap() {
        let reading = readings(&["2026-10-22T03:00:00Z", "2026-11-22T03:00:00Z"])[1];
        assert_eq!(reading, ClockReading::default());
    }
}
