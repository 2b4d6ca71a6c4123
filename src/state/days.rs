//! What a sync, or all of them, did day by day, as pictures show it. It is reckoned from what is kept of each run, and not
//! from the ledger: a million outcomes make it no slower.

use chrono::{DateTime, Utc};

use super::db::args;
use super::{Command, Db, StateError};

/// What the runs that began on one day came to. A run under way counts once it has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayFigures {
    /// Runs that began, but those that found their sync paused.
    pub runs: u64,
    /// Runs of these that failed, or did not trust their source.
    pub bad_runs: u64,
    /// People who got access: created, reinstated, linked.
    pub joined: u64,
    /// People who lost it: banned, deleted.
    pub left: u64,
    /// Accounts changed.
    pub updated: u64,
    /// Operations that the target refused or left unanswered, and records that were rejected.
    pub failed: u64,
    /// How long all runs that ended took, in milliseconds.
    pub took_ms: u64,
    /// How long the longest took.
    pub longest_ms: u64,
    /// How many runs that is of.
    pub ended: u64,
    /// Operations that had an outcome from the target.
    pub sent: u64,
    /// How long the runs took that sent some.
    pub sending_ms: u64,
}

impl DayFigures {
    /// How many more have access at the end of the day than at its beginning.
    pub fn net(&self) -> i64 {
        self.joined.cast_signed() - self.left.cast_signed()
    }
}

/// Asks for the figures of the days between these times: one fewer than there are times.
#[derive(Debug)]
pub struct FiguresOfDays {
    /// Of this sync alone.
    pub sync: Option<String>,
    /// When each day begins, and when the last one ends; in their order.
    pub bounds: Vec<DateTime<Utc>>,
}

const FIGURES: &str = "SELECT count(*), count(CASE WHEN status IN ('failed', 'untrusted') THEN 1 END),
    coalesce(sum(created + reinstated + adopted), 0), coalesce(sum(banned + deleted), 0), coalesce(sum(updated), 0),
    coalesce(sum(failed + unknown + rejected), 0), coalesce(sum(took_ms), 0), coalesce(max(took_ms), 0), count(took_ms),
    coalesce(sum(created + reinstated + adopted + banned + deleted + updated + failed), 0),
    coalesce(sum(CASE WHEN created + reinstated + adopted + banned + deleted + updated + failed > 0 THEN took_ms END), 0)
    FROM run WHERE started_at >= ?1 AND started_at < ?2 AND coalesce(status, '') <> 'paused'";

impl Command for FiguresOfDays {
    type Reply = Vec<DayFigures>;

    fn run(&self, db: &Db<'_>) -> Result<Vec<DayFigures>, StateError> {
        let of = if self.sync.is_some() { " AND sync = ?3" } else { "" };
        let mut figures = db.prepare(&format!("{FIGURES}{of}"))?;
        let days = self.bounds.iter().zip(self.bounds.iter().skip(1));
        days.map(|(begin, end)| {
            let read = |row: &super::Row<'_>| {
                let n = |column| Ok::<_, StateError>(row.get::<i64>(column)?.unsigned_abs());
                Ok(DayFigures {
                    runs: n(0)?,
                    bad_runs: n(1)?,
                    joined: n(2)?,
                    left: n(3)?,
                    updated: n(4)?,
                    failed: n(5)?,
                    took_ms: n(6)?,
                    longest_ms: n(7)?,
                    ended: n(8)?,
                    sent: n(9)?,
                    sending_ms: n(10)?,
                })
            };
            match &self.sync {
                Some(sync) => figures.row(args![begin, end, sync], read),
                None => figures.row(args![begin, end], read),
            }
        })
        .collect()
    }
}

/// How many people of a sync, or of all of these, are active or invited.
#[derive(Debug)]
pub struct CountProvisioned {
    /// The syncs, by name.
    pub syncs: Vec<String>,
}

impl Command for CountProvisioned {
    type Reply = u64;

    fn run(&self, db: &Db<'_>) -> Result<u64, StateError> {
        let count =
            "SELECT count(*) FROM person WHERE state IN (1, 3) AND sync = (SELECT id FROM sync WHERE name = ?1)";
        self.syncs.iter().map(|sync| db.count(count, args![sync])).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::operation::OpKind;
    use crate::domain::outcome::{OfRun, Outcome, RunStatus, Status};
    use crate::domain::record::Key;
    use crate::domain::time::instant;
    use crate::state::State;
    use crate::state::ledger::{BeginRun, FinishRun, Record};
    use crate::state::tests::query_plan::query_plan;

    fn run(state: &State, id: &str, sync: &str, from: &str, to: Option<&str>, outcomes: &[(OpKind, Status)]) {
        let begin =
            BeginRun { id: id.into(), sync: sync.into(), at: instant(from), partial: false, cause: Default::default() };
        state.ask_blocking(begin).expect("begun");
        let of = OfRun { run: id.into(), sync: sync.into(), source: "hr".into(), target: "juno".into() };
        let rows = outcomes.iter().enumerate().map(|(n, (op, status))| {
            Outcome::new(instant(from), of.clone(), Key::parse(&format!("E{n}")), Some(*op), *status)
        });
        state.ask_blocking(Record(rows.collect())).expect("recorded");
        let Some(to) = to else { return };
        let finish = FinishRun {
            id: id.into(),
            at: instant(to),
            status: RunStatus::Ok,
            plan: None,
            planned: Default::default(),
            source_records: 0,
            excluded: 0,
            unchanged: 0,
            reason: None,
            figures: Default::default(),
            error: None,
        };
        state.ask_blocking(finish).expect("finished");
    }

    #[test]
    fn a_day_is_found_over_an_index() {
        let state = State::in_memory().expect("a state");
        for (of, index) in
            [("", "INDEX run_started (started_at>?"), (" AND sync = ?3", "INDEX run_sync (sync=? AND started_at>?")]
        {
            let found = query_plan(&state, format!("{FIGURES}{of}"));
            assert!(found.contains(index), "{found}");
        }
    }

    #[test]
    fn each_day_has_the_runs_that_began_on_it() {
        let state = State::in_memory().expect("a state");
        let (day, next) = ("2026-11-22T00:00:00.000Z", "2026-11-23T00:00:00.000Z");
        let some = [(OpKind::Create, Status::Ok), (OpKind::Ban, Status::Ok), (OpKind::Update, Status::Failed)];
        run(&state, "r1", "staff", "2026-11-22T23:59:59.000Z", Some("2026-11-23T00:00:03.000Z"), &some);
        run(&state, "r2", "staff", next, Some("2026-11-23T00:00:01.500Z"), &[]);
        run(&state, "r3", "other", next, Some(next), &[(OpKind::Adopt, Status::Ok)]);
        run(&state, "r4", "staff", "2026-11-23T12:00:00.000Z", None, &[(OpKind::Create, Status::Ok)]);
        let bounds = vec![instant(day), instant(next), instant("2026-11-24T00:00:00.000Z")];
        let of = |sync: Option<&str>| {
            let asked = FiguresOfDays { sync: sync.map(Into::into), bounds: bounds.clone() };
            state.ask_blocking(asked).expect("figures")
        };
        let first = DayFigures {
            runs: 1,
            joined: 1,
            left: 1,
            failed: 1,
            took_ms: 4_000,
            longest_ms: 4_000,
            ended: 1,
            sent: 3,
            sending_ms: 4_000,
            ..DayFigures::default()
        };
        let second = DayFigures { runs: 2, took_ms: 1_500, longest_ms: 1_500, ended: 1, ..DayFigures::default() };
        assert_eq!(of(Some("staff")), [first, second]);
        let all = of(None);
        assert_eq!((all[1].runs, all[1].joined, all[1].net(), all[0].net()), (3, 1, 1, 0));
    }
}
