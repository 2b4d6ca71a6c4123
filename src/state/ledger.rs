//! Runs and outcomes: what was done, for scripts and for people.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::db::args;
use super::runs::{Figures, RunTrouble};
use super::{Command, Db, StateError, Statement, former_keys, history, runs};
use crate::domain::cause::RunCause;
use crate::domain::ids::{PlanId, RunId};
use crate::domain::operation::OpKind;
use crate::domain::outcome::{Outcome, RunStatus};
use crate::domain::record::Key;

pub use super::outcomes::{Filter, LastOutcomes, NewestOutcomes, Outcomes, Reach, ReachOf};

/// Writes rows of the ledger, as many as one command has.
pub(super) struct LedgerWriter<'d> {
    db: &'d Db<'d>,
    insert: Statement<'d>,
    /// The list of fields that was named last, and its number: of a first load all rows name the same.
    last: Option<(Vec<String>, i64)>,
}

impl<'d> LedgerWriter<'d> {
    /// Nothing is written before the first row.
    ///
    /// # Errors
    /// The database refuses it.
    pub fn of(db: &'d Db<'d>) -> Result<LedgerWriter<'d>, StateError> {
        Ok(LedgerWriter { db, insert: db.prepare(INSERT)?, last: None })
    }

    /// Writes one row.
    ///
    /// # Errors
    /// The database refuses it.
    pub fn insert(&mut self, outcome: &Outcome) -> Result<(), StateError> {
        let list = match &self.last {
            Some((fields, list)) if *fields == outcome.fields => *list,
            _ => self.list_of(&outcome.fields)?,
        };
        self.insert.execute(args![
            outcome.ts,
            outcome.run,
            outcome.sync,
            outcome.source,
            outcome.target,
            outcome.key.as_ref().map(Key::as_str),
            outcome.op.map(OpKind::name),
            outcome.status.name(),
            outcome.remote_id,
            outcome.attempts,
            outcome.http_status,
            outcome.duration_ms as i64,
            outcome.reason,
            outcome.error.as_ref().map(|e| e.kind.name()),
            outcome.error.as_ref().map(|e| e.message.as_str()),
            list,
        ])?;
        Ok(())
    }

    /// The number of a list of fields, which is given where it is new.
    fn list_of(&mut self, fields: &[String]) -> Result<i64, StateError> {
        let text = serde_json::to_string(fields)?;
        let known = "SELECT id FROM field_list WHERE fields = ?1";
        let list = match self.db.one(known, args![text], |row| row.get::<i64>(0))? {
            Some(list) => list,
            None => self.db.insert("INSERT INTO field_list (fields) VALUES (?1)", args![text])?,
        };
        self.last = Some((fields.to_vec(), list));
        Ok(list)
    }
}

const INSERT: &str = "INSERT INTO outcome (ts, run, sync, source, target, key, op, status, remote_id, fields, attempts,
                      http_status, duration_ms, reason, error_kind, error_message, field_list)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, '', ?10, ?11, ?12, ?13, ?14, ?15, ?16)";

/// Opens a run.
#[derive(Debug)]
pub struct BeginRun {
    /// Its id.
    pub id: RunId,
    /// The sync.
    pub sync: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Only named keys are looked at (`--only`).
    pub partial: bool,
    /// Why there is a run.
    pub cause: RunCause,
}

impl Command for BeginRun {
    type Reply = ();

    fn run(&self, db: &Db<'_>) -> Result<(), StateError> {
        db.execute(
            "INSERT INTO run (id, sync, started_at, partial) VALUES (?1, ?2, ?3, ?4)",
            args![self.id, self.sync, self.at, self.partial],
        )?;
        runs::begun(db, &self.id, &self.cause)?;
        super::clock::begin(db, &self.id, &self.sync, self.at)
    }
}

/// Closes a run.
#[derive(Debug)]
pub struct FinishRun {
    /// Its id.
    pub id: RunId,
    /// When.
    pub at: DateTime<Utc>,
    /// How it ended.
    pub status: RunStatus,
    /// The held plan.
    pub plan: Option<PlanId>,
    /// Operations planned, by kind.
    pub planned: BTreeMap<OpKind, u64>,
    /// Records in the source.
    pub source_records: u64,
    /// Of those, out of scope.
    pub excluded: u64,
    /// Of those, unchanged.
    pub unchanged: u64,
    /// Why, if it isn't `ok`.
    pub reason: Option<String>,
    /// What it came to, in numbers.
    pub figures: Figures,
    /// Why it did not end well.
    pub error: Option<RunTrouble>,
}

impl Command for FinishRun {
    type Reply = ();

    fn run(&self, db: &Db<'_>) -> Result<(), StateError> {
        let began: Option<DateTime<Utc>> =
            db.one("SELECT started_at FROM run WHERE id = ?1", args![self.id], |row| row.get(0))?;
        let took = began.map(|began| (self.at - began).num_milliseconds().max(0));
        db.execute(
            "UPDATE run SET finished_at = ?2, status = ?3, plan = ?4, planned = ?5, source_records = ?6, excluded = ?7,
                            unchanged = ?8, reason = ?9, took_ms = ?10 WHERE id = ?1",
            args![
                self.id,
                self.at,
                self.status.name(),
                self.plan,
                serde_json::to_string(&self.planned)?,
                self.source_records as i64,
                self.excluded as i64,
                self.unchanged as i64,
                self.reason,
                took,
            ],
        )?;
        runs::ended(db, &self.id, &self.figures, self.error.as_ref())?;
        history::count(db, "id = ?1", args![self.id])
    }
}

/// The status of a run, as its row has it.
pub(super) fn run_status(word: String) -> Result<RunStatus, StateError> {
    RunStatus::parse(&word).ok_or_else(|| StateError::damaged("a stored run has a status that is not known"))
}

/// Writes outcomes for which nothing was begun: rejected records, people skipped.
#[derive(Debug)]
pub struct Record(pub Vec<Outcome>);

impl Command for Record {
    type Reply = ();

    fn run(&self, db: &Db<'_>) -> Result<(), StateError> {
        let mut ledger = LedgerWriter::of(db)?;
        self.0.iter().try_for_each(|outcome| ledger.insert(outcome))
    }
}

/// Whether a run of this id exists.
#[derive(Debug)]
pub struct RunExists(pub RunId);

impl Command for RunExists {
    type Reply = bool;

    fn run(&self, db: &Db<'_>) -> Result<bool, StateError> {
        db.exists("SELECT 1 FROM run WHERE id = ?1", args![self.0])
    }
}

/// What the run that planned something had read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunTotals {
    /// Good records.
    pub source_records: u64,
    /// Of those, out of scope.
    pub excluded: u64,
    /// Of those, unchanged.
    pub unchanged: u64,
}

/// Asks for the totals of the run that held a plan.
#[derive(Debug)]
pub struct TotalsOf(pub PlanId);

impl Command for TotalsOf {
    type Reply = RunTotals;

    fn run(&self, db: &Db<'_>) -> Result<RunTotals, StateError> {
        let found = db.one(
            "SELECT coalesce(r.source_records, 0), coalesce(r.excluded, 0), coalesce(r.unchanged, 0)
                 FROM plan p JOIN run r ON r.id = p.run WHERE p.id = ?1",
            args![self.0],
            |row| {
                let number = |n| Ok::<_, StateError>(row.get::<i64>(n)?.unsigned_abs());
                Ok(RunTotals { source_records: number(0)?, excluded: number(1)?, unchanged: number(2)? })
            },
        )?;
        Ok(found.unwrap_or_default())
    }
}

/// What `status` shows of one sync.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncStatus {
    /// When its last run began, which may be under way.
    pub last_begun: Option<DateTime<Utc>>,
    /// That run has no end yet: it is under way, or its process died.
    pub under_way: bool,
    /// Its last run that ended. One that found the sync paused did nothing, and is not meant.
    pub last_ended: Option<EndedRun>,
    /// When its last good run of everybody ended.
    pub last_good_run: Option<DateTime<Utc>>,
    /// The plan that waits for approval.
    pub held_plan: Option<PlanId>,
    /// Operations to be resolved.
    pub unresolved: u64,
    /// It was paused.
    pub paused: bool,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedRun {
    /// In a word.
    pub status: RunStatus,
    /// Why.
    pub reason: Option<String>,
}

/// Asks for a sync's status.
#[derive(Debug)]
pub struct StatusOf {
    /// Which sync.
    pub sync: String,
    /// Whether nobody sends: then nothing is under way, and whatever was intended and has no answer is unresolved.
    pub at_rest: bool,
}

impl Command for StatusOf {
    type Reply = SyncStatus;

    fn run(&self, db: &Db<'_>) -> Result<SyncStatus, StateError> {
        let StatusOf { sync, at_rest } = self;
        let last_ended = db.one(
            "SELECT status, reason FROM run WHERE sync = ?1 AND partial = 0 AND status <> 'paused'
                 ORDER BY seq DESC LIMIT 1",
            args![sync],
            |row| Ok(EndedRun { status: run_status(row.get(0)?)?, reason: row.get(1)? }),
        )?;
        let number = |sql: &str| db.count(sql, args![sync]);
        let last_begun = db.one(
            "SELECT started_at, finished_at IS NULL FROM run WHERE sync = ?1 AND partial = 0
                 ORDER BY seq DESC LIMIT 1",
            args![sync],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let unresolved: i64 = db.row(
            "SELECT count(*) FROM journal j JOIN sync s ON s.id = j.sync WHERE s.name = ?1 AND (j.unknown = 1 OR ?2)",
            args![sync, at_rest],
            |row| row.get(0),
        )?;
        Ok(SyncStatus {
            under_way: last_begun.as_ref().is_some_and(|(_, open)| *open),
            last_begun: last_begun.map(|(at, _)| at),
            last_ended,
            last_good_run: db.one(
                "SELECT finished_at FROM run WHERE sync = ?1 AND status = 'ok' AND partial = 0
                 ORDER BY seq DESC LIMIT 1",
                args![sync],
                |row| row.get(0),
            )?,
            held_plan: db.one(
                "SELECT id FROM plan WHERE sync = ?1 AND status = 'held'
                 ORDER BY origin <> 'sync', partial, made_at DESC LIMIT 1",
                args![sync],
                |row| row.get(0),
            )?,
            unresolved: unresolved.unsigned_abs(),
            paused: number("SELECT count(*) FROM sync WHERE name = ?1 AND paused_at IS NOT NULL")? > 0,
        })
    }
}

/// How often each of these people was reinstated since a time, in their order.
#[derive(Debug)]
pub struct CameBack {
    /// Of which sync.
    pub sync: String,
    /// Who.
    pub keys: Vec<Key>,
    /// Since then.
    pub since: DateTime<Utc>,
}

impl Command for CameBack {
    type Reply = Vec<u64>;

    fn run(&self, db: &Db<'_>) -> Result<Vec<u64>, StateError> {
        let mut count = db.prepare(
            "SELECT count(*) FROM outcome WHERE sync = ?1 AND key = ?2 AND ts >= ?3 AND op = 'reinstate' AND status = 'ok'
             AND id > ?4 AND id <= ?5",
        )?;
        let mut times = Vec::with_capacity(self.keys.len());
        for key in &self.keys {
            let mut n = 0;
            for (key, after, upto) in former_keys::spans(db, &self.sync, key.as_str())? {
                let found: i64 = count.row(args![self.sync, key, self.since, after, upto], |row| row.get(0))?;
                n += found.unsigned_abs();
            }
            times.push(n);
        }
        Ok(times)
    }
}

/// How many bans and deletes were, or may have been, carried out since a time; the base of `ban_per_day`. One of
/// which it was found out later that it was done is there twice, and counts once. One that was taken back by an undo of
/// its run does not count, whatever key the person has now.
///
/// Where the clock was wrong, the order of runs tells: what a run stamped in the future counts until a later run began
/// before `since`, and what came after a run of this span counts, whatever time it was stamped with.
#[derive(Debug)]
pub struct BansSince {
    /// Of which sync.
    pub sync: String,
    /// Since then.
    pub since: DateTime<Utc>,
    /// What the clock shows.
    pub now: DateTime<Utc>,
}

impl Command for BansSince {
    type Reply = u64;

    fn run(&self, db: &Db<'_>) -> Result<u64, StateError> {
        let count: i64 = db.row(
            "SELECT count(*) FROM outcome o WHERE id IN (
                     SELECT t.id FROM outcome t
                     WHERE t.sync = ?1 AND t.op IN ('ban', 'delete') AND t.ts BETWEEN ?2 AND ?3
                     UNION ALL
                     SELECT f.id FROM outcome f
                     WHERE f.sync = ?1 AND f.op IN ('ban', 'delete') AND f.ts > ?3 AND NOT EXISTS (
                         SELECT 1 FROM run mine JOIN run r ON r.sync = mine.sync AND r.seq > mine.seq
                         WHERE mine.id = f.run AND r.started_at < ?2)
                     UNION ALL
                     SELECT b.id FROM outcome b
                     WHERE b.sync || '' = ?1 AND b.op IN ('ban', 'delete') AND b.ts || '' < ?2 AND b.run IN (
                         SELECT id FROM run WHERE sync = ?1 AND started_at < ?2 AND finished_at < ?2 AND seq > (
                             SELECT min(seq) FROM run WHERE sync = ?1 AND started_at BETWEEN ?2 AND ?3)))
                 AND (status = 'ok' OR status = 'unknown' AND NOT EXISTS (
                     SELECT 1 FROM outcome later WHERE later.sync = o.sync AND later.key = o.key
                     AND later.id > o.id AND later.op = o.op AND later.status IN ('ok', 'unknown')))
                 AND NOT EXISTS (
                     SELECT 1 FROM run u JOIN outcome back ON back.run = u.id
                     WHERE u.undoes = o.run AND back.op = 'reinstate'
                     AND (back.key = o.key OR back.remote_id = o.remote_id)
                     AND (back.status = 'ok' OR back.status = 'unknown' AND EXISTS (
                         SELECT 1 FROM outcome found WHERE found.sync = back.sync AND found.key = back.key
                         AND found.id > back.id AND found.op = 'reinstate' AND found.status = 'ok')))",
            args![self.sync, self.since, self.now],
            |row| row.get(0),
        )?;
        Ok(count.unsigned_abs())
    }
}
