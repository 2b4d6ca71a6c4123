//! The recent past, newest first, for those who watch: runs with their counts, outcomes, when a sync last began.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use super::db::args;
use super::ledger::{Filter, run_status};
use super::outcomes;
use super::{Arg, Command, Db, Row, StateError};
use crate::domain::cause::Trigger;
use crate::domain::ids::RunId;
use crate::domain::json_schema::Rfc3339;
use crate::domain::outcome::{Outcome, RunStatus};
use crate::domain::time;

/// A run with what became of it: a row of `v_runs`, why it ended as it did, and what began it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RunRow {
    /// Its id.
    pub run: RunId,
    /// The sync.
    pub sync: String,
    /// When it began.
    #[serde(with = "time::written")]
    #[schemars(with = "Rfc3339")]
    pub started_at: DateTime<Utc>,
    /// When it ended; none while it is under way.
    #[serde(serialize_with = "time::written::serialize_if_any")]
    #[schemars(with = "Option<Rfc3339>")]
    pub finished_at: Option<DateTime<Utc>>,
    /// How it ended.
    pub status: Option<RunStatus>,
    /// Its outcomes.
    #[serde(flatten)]
    pub counts: Counts,
    /// People who were in step.
    pub unchanged: Option<u64>,
    /// Why it ended as it did.
    pub reason: Option<String>,
    /// What began it; none of a run that an older program made.
    pub trigger: Option<Trigger>,
    /// Who asked for it or approved it.
    pub by: Option<String>,
}

/// What became of a run: outcomes that are `ok` by operation, the others by status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counts {
    /// Accounts made.
    pub created: u64,
    /// Accounts changed.
    pub updated: u64,
    /// Accounts deactivated.
    pub banned: u64,
    /// Accounts reactivated.
    pub reinstated: u64,
    /// Accounts linked.
    pub adopted: u64,
    /// Accounts removed.
    pub deleted: u64,
    /// Refused by the target.
    pub failed: u64,
    /// Sent, no usable answer.
    pub unknown: u64,
    /// Bad records.
    pub rejected: u64,
    /// Deliberately not done.
    pub skipped: u64,
}

/// The latest runs, newest first.
#[derive(Debug)]
pub struct RecentRuns {
    /// Of this sync alone.
    pub sync: Option<String>,
    /// How many at most.
    pub limit: usize,
}

impl Command for RecentRuns {
    type Reply = Vec<RunRow>;

    fn run(&self, db: &Db<'_>) -> Result<Vec<RunRow>, StateError> {
        let of = if self.sync.is_some() { "WHERE sync = ?1" } else { "" };
        let sql = format!(
            "SELECT id, sync, started_at, finished_at, status, unchanged, reason, cause, by_whom, {COUNTS} FROM run
             {of} ORDER BY started_at DESC, id DESC LIMIT ?2"
        );
        let rows = db.rows(&sql, args![self.sync, self.limit as i64], |row| {
            let counts = row.get::<Option<i64>>(9)?.map(|_| Counts::read(row, 9)).transpose()?;
            let run = RunRow {
                run: row.get(0)?,
                sync: row.get(1)?,
                started_at: row.get(2)?,
                finished_at: row.get(3)?,
                status: row.get::<Option<String>>(4)?.map(run_status).transpose()?,
                counts: Counts::default(),
                unchanged: row.get::<Option<i64>>(5)?.map(i64::unsigned_abs),
                reason: row.get(6)?,
                trigger: row.get::<Option<String>>(7)?.and_then(|word| Trigger::parse(&word)),
                by: row.get(8)?,
            };
            Ok((run, counts))
        })?;
        let mut counted = db.prepare(&format!("SELECT {COUNTED} FROM outcome o WHERE o.run = ?1"))?;
        rows.into_iter()
            .map(|(run, counts)| {
                let counts = counts.map_or_else(|| counted.row(args![run.run], |row| Counts::read(row, 0)), Ok)?;
                Ok(RunRow { counts, ..run })
            })
            .collect()
    }
}

/// The columns of a run in which its outcomes are counted, by operation where they are `ok` and else by status.
const COUNTS: &str = "created, updated, banned, reinstated, adopted, deleted, failed, unknown, rejected, skipped";

/// Their values.
const COUNTED: &str = "count(CASE WHEN o.op = 'create'    AND o.status = 'ok' THEN 1 END),
                       count(CASE WHEN o.op = 'update'    AND o.status = 'ok' THEN 1 END),
                       count(CASE WHEN o.op = 'ban'       AND o.status = 'ok' THEN 1 END),
                       count(CASE WHEN o.op = 'reinstate' AND o.status = 'ok' THEN 1 END),
                       count(CASE WHEN o.op = 'adopt'     AND o.status = 'ok' THEN 1 END),
                       count(CASE WHEN o.op = 'delete'    AND o.status = 'ok' THEN 1 END),
                       count(CASE WHEN o.status = 'failed'   THEN 1 END),
                       count(CASE WHEN o.status = 'unknown'  THEN 1 END),
                       count(CASE WHEN o.status = 'rejected' THEN 1 END),
                       count(CASE WHEN o.status = 'skipped'  THEN 1 END)";

impl Counts {
    fn read(row: &Row<'_>, from: usize) -> Result<Counts, StateError> {
        let number = |n: usize| Ok::<_, StateError>(row.get::<i64>(from + n)?.unsigned_abs());
        Ok(Counts {
            created: number(0)?,
            updated: number(1)?,
            banned: number(2)?,
            reinstated: number(3)?,
            adopted: number(4)?,
            deleted: number(5)?,
            failed: number(6)?,
            unknown: number(7)?,
            rejected: number(8)?,
            skipped: number(9)?,
        })
    }
}

/// Counts what became of runs that have ended: nobody who looks at a hundred of them counts a million outcomes.
pub(super) fn count(db: &Db<'_>, which: &str, args: &[&dyn Arg]) -> Result<(), StateError> {
    let sql =
        format!("UPDATE run SET ({COUNTS}) = (SELECT {COUNTED} FROM outcome o WHERE o.run = run.id) WHERE {which}");
    db.execute(&sql, args)?;
    Ok(())
}

/// A run as a mark on a line of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its id.
    pub run: RunId,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended; none while it is under way.
    pub finished_at: Option<DateTime<Utc>>,
    /// How it ended.
    pub status: Option<RunStatus>,
    /// How many operations it planned.
    pub planned: u64,
}

/// The runs of a sync since a time, newest first.
#[derive(Debug)]
pub struct RunsSince {
    /// The sync.
    pub sync: String,
    /// Since then.
    pub since: DateTime<Utc>,
    /// How many at most.
    pub limit: usize,
}

impl Command for RunsSince {
    type Reply = Vec<Mark>;

    fn run(&self, db: &Db<'_>) -> Result<Vec<Mark>, StateError> {
        db.rows(
            "SELECT id, started_at, finished_at, status, planned FROM run
             WHERE sync = ?1 AND started_at >= ?2 ORDER BY started_at DESC LIMIT ?3",
            args![self.sync, self.since, self.limit as i64],
            |row| {
                let planned: BTreeMap<String, u64> = match row.get::<Option<String>>(4)? {
                    Some(counts) => serde_json::from_str(&counts)?,
                    None => BTreeMap::new(),
                };
                Ok(Mark {
                    run: row.get(0)?,
                    started_at: row.get(1)?,
                    finished_at: row.get(2)?,
                    status: row.get::<Option<String>>(3)?.map(run_status).transpose()?,
                    planned: planned.values().sum(),
                })
            },
        )
    }
}

/// The latest outcomes, newest first.
#[derive(Debug)]
pub struct RecentOutcomes {
    /// Which.
    pub filter: Filter,
    /// How many at most.
    pub limit: usize,
}

/// How far back it looks for the latest outcomes that a filter admits, in rows: a status that never occurs must not
/// mean reading the whole ledger at every look at a page.
pub(super) const LOOK_BACK: i64 = 200_000;

impl Command for RecentOutcomes {
    type Reply = Vec<Outcome>;

    fn run(&self, db: &Db<'_>) -> Result<Vec<Outcome>, StateError> {
        let newest: Option<i64> = db.row("SELECT max(id) FROM outcome", args![], |row| row.get(0))?;
        // Of one run or person the index finds all there are.
        let indexed = self.filter.run.is_some() || self.filter.key.is_some();
        let after = if indexed { 0 } else { (newest.unwrap_or(0) - LOOK_BACK).max(0) };
        let Some(between) = outcomes::reach(db, &self.filter, after, true)? else { return Ok(Vec::new()) };
        let found = outcomes::read(db, &self.filter, between, self.limit, true)?;
        Ok(found.into_iter().map(|(_, outcome)| outcome).collect())
    }
}

/// When the last run of everybody in a sync began.
#[derive(Debug)]
pub struct LastBegun(pub String);

impl Command for LastBegun {
    type Reply = Option<DateTime<Utc>>;

    fn run(&self, db: &Db<'_>) -> Result<Option<DateTime<Utc>>, StateError> {
        Ok(db
            .one("SELECT max(started_at) FROM run WHERE sync = ?1 AND partial = 0", args![self.0], |row| row.get(0))?
            .flatten())
    }
}

/// Does nothing: an answer shows that the state's thread lives.
#[derive(Debug)]
pub struct Ping;

impl Command for Ping {
    type Reply = ();

    fn run(&self, db: &Db<'_>) -> Result<(), StateError> {
        db.row("SELECT 1", args![], |_| Ok(()))
    }
}

/// Whether somebody has paused the sync of this name.
#[derive(Debug)]
pub struct IsPausedByName(pub String);

impl Command for IsPausedByName {
    type Reply = bool;

    fn run(&self, db: &Db<'_>) -> Result<bool, StateError> {
        db.exists("SELECT 1 FROM sync WHERE name = ?1 AND paused_at IS NOT NULL", args![self.0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::operation::OpKind;
    use crate::domain::outcome::Status;
    use crate::domain::record::Key;
    use crate::domain::time::instant;
    use crate::state::State;
    use crate::state::ledger::{BeginRun, Record};

    fn outcome(run: &str, key: &str, status: Status) -> Outcome {
        Outcome {
            ts: instant("2026-11-22T03:00:00.000Z"),
            run: run.into(),
            sync: "staff".into(),
            source: "hr".into(),
            target: "juno".into(),
            key: Key::parse(key),
            op: Some(OpKind::Create),
            status,
            remote_id: None,
            fields: Vec::new(),
            attempts: 1,
            http_status: None,
            duration_ms: 1,
            reason: None,
            error: None,
        }
    }

    #[tokio::test]
    async fn the_newest_come_first_with_their_counts() {
        let state = State::in_memory().expect("a state");
        for (id, at) in [("r1", "2026-11-22T01:00:00.000Z"), ("r2", "2026-11-22T02:00:00.000Z")] {
            let begin = BeginRun {
                id: id.into(),
                sync: "staff".into(),
                at: instant(at),
                partial: false,
                cause: Default::default(),
            };
            state.ask(begin).await.expect("begun");
        }
        let rows = vec![
            outcome("r1", "E1", Status::Ok),
            outcome("r2", "E2", Status::Ok),
            outcome("r2", "E3", Status::Ok),
            outcome("r2", "E4", Status::Failed),
        ];
        state.ask(Record(rows)).await.expect("recorded");
        let runs = state.ask(RecentRuns { sync: None, limit: 10 }).await.expect("read");
        let seen: Vec<_> = runs.iter().map(|r| (r.run.as_str(), r.counts.created, r.counts.failed)).collect();
        assert_eq!(seen, [("r2", 2, 1), ("r1", 1, 0)]);
        assert!(state.ask(RecentRuns { sync: Some("other".into()), limit: 10 }).await.expect("read").is_empty());
        let latest = RecentOutcomes { filter: Filter::default(), limit: 2 };
        let keys: Vec<_> = state.ask(latest).await.expect("read").into_iter().filter_map(|o| o.key).collect();
        assert_eq!(keys.iter().map(Key::as_str).collect::<Vec<_>>(), ["E4", "E3"]);
        let begun = state.ask(LastBegun("staff".into())).await.expect("read");
        assert_eq!(begun.as_ref(), Some(&instant("2026-11-22T02:00:00.000Z")));
        assert_eq!(state.ask(LastBegun("other".into())).await.expect("read"), None);
    }
}
