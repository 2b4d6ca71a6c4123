//! Runs as `rosterd runs` tells them, newest first: when, what became of them, what began them, who approved and why.
//!
//! What a run came to is kept as it was told when it ended; of a run that has not ended, and of one that an older program
//! made, the outcomes are counted.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::db::args;
use super::ledger::run_status;
use super::{Command, Db, Page, Row, StateError};
use crate::domain::cause::{Consented, RunCause, Trigger};
use crate::domain::exit::Exit;
use crate::domain::ids::RunId;
use crate::domain::operation::OpKind;
use crate::domain::outcome::{Counted, RunStatus, Status};

/// What a run came to, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Outcomes of operations, by kind and status.
    pub counts: BTreeMap<OpKind, Counted>,
    /// Rejected records.
    pub rejected: u64,
    /// People deliberately left alone, and operations that were not begun.
    pub skipped: u64,
}

/// Why a run did not end well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunTrouble {
    /// The exit code; none where nobody knows it: the process died, or an older program made the run.
    pub code: Option<Exit>,
    /// What happened.
    pub message: String,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRecord {
    /// Its id.
    pub run: RunId,
    /// The sync.
    pub sync: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended, or was closed after its process had died.
    pub finished_at: Option<DateTime<Utc>>,
    /// How it ended; none while nobody has closed it.
    pub status: Option<RunStatus>,
    /// What began it; none of a run that an older program made.
    pub trigger: Option<Trigger>,
    /// Who asked for it or approved it.
    pub by: Option<String>,
    /// What they said.
    pub reason: Option<String>,
    /// The run that it takes back.
    pub undoes: Option<RunId>,
    /// What it came to.
    pub figures: Figures,
    /// People who were in step.
    pub unchanged: u64,
    /// Why it did not end well.
    pub error: Option<RunTrouble>,
}

/// The next runs, newest first.
#[derive(Clone, Debug)]
pub struct Runs {
    /// Of this sync alone.
    pub sync: Option<String>,
    /// Not begun before this time.
    pub since: Option<DateTime<Utc>>,
    /// The last run of the page before.
    pub before: Option<(DateTime<Utc>, RunId)>,
    /// How many at most.
    pub limit: usize,
}

const COLUMNS: &str = "id, sync, started_at, finished_at, status, cause, by_whom, said, undoes, figures, unchanged,
    error_code, error_message, reason";

/// The statement with these conditions: sync, time, last run before.
fn statement(given: [bool; 3]) -> String {
    let mut sql = format!("SELECT {COLUMNS} FROM run WHERE true");
    let conditions = ["sync = ?1", "started_at >= ?2", "(started_at, id) < (?3, ?4)"];
    for (condition, _) in conditions.into_iter().zip(given).filter(|(_, given)| *given) {
        sql.push_str(&format!(" AND {condition}"));
    }
    sql + " ORDER BY started_at DESC, id DESC LIMIT ?5"
}

impl Command for Runs {
    type Reply = Vec<RunRecord>;

    fn run(&self, db: &Db<'_>) -> Result<Vec<RunRecord>, StateError> {
        let sql = statement([self.sync.is_some(), self.since.is_some(), self.before.is_some()]);
        let (at, id) = self.before.clone().unzip();
        let mut found = db.rows(&sql, args![self.sync, self.since, at, id, self.limit as i64], record)?;
        let mut counted = db.prepare(COUNTED)?;
        for (run, known) in &mut found {
            if !*known {
                run.figures = count(&mut counted, &run.run)?;
            }
        }
        Ok(found.into_iter().map(|(run, _)| run).collect())
    }
}

impl Page for Runs {
    type Entry = RunRecord;

    fn go_on(&mut self, read: &[RunRecord]) {
        self.before = read.last().map(|run| (run.started_at, run.run.clone()));
    }
}

/// A run, and whether it is kept what it came to.
fn record(row: &Row<'_>) -> Result<(RunRecord, bool), StateError> {
    let figures = row.get::<Option<String>>(9)?.map(|text| serde_json::from_str(&text)).transpose()?;
    let told = figures.is_some();
    let by: Option<String> = row.get(6)?;
    let said: Option<String> = row.get(7)?;
    let reason: Option<String> = row.get(13)?;
    let error = match row.get::<Option<String>>(12)? {
        Some(message) => {
            let code = row.get::<Option<i64>>(11)?.and_then(|code| u8::try_from(code).ok());
            Some(RunTrouble { code: code.and_then(Exit::of_code), message })
        }
        None if told => None,
        // An older program made it, or it was closed for a process that died.
        None => reason
            .and_then(|text| trouble(&text, by.as_deref(), said.as_deref()).map(str::to_string))
            .map(|message| RunTrouble { code: None, message }),
    };
    let run = RunRecord {
        run: row.get(0)?,
        sync: row.get(1)?,
        started_at: row.get(2)?,
        finished_at: row.get(3)?,
        status: row.get::<Option<String>>(4)?.map(run_status).transpose()?,
        trigger: row.get::<Option<String>>(5)?.and_then(|word| Trigger::parse(&word)),
        by,
        reason: said,
        undoes: row.get(8)?,
        figures: figures.unwrap_or_default(),
        unchanged: row.get::<Option<i64>>(10)?.unwrap_or(0).unsigned_abs(),
        error,
    };
    Ok((run, told))
}

/// Why a run of an older program ended as it did: what stands in its row after who approved it.
fn trouble<'t>(text: &'t str, by: Option<&str>, said: Option<&str>) -> Option<&'t str> {
    let rest = by.and_then(|by| {
        let (_, rest) = text.strip_prefix("plan ")?.split_once(" approved by ")?;
        let rest = rest.strip_prefix(by)?;
        let rest = said.and_then(|said| rest.strip_prefix(": ")?.strip_prefix(said)).unwrap_or(rest);
        Some(rest.strip_prefix("; ").unwrap_or(rest))
    });
    Some(rest.unwrap_or(text)).filter(|text| !text.is_empty())
}

const COUNTED: &str = "SELECT op, status, count(*) FROM outcome WHERE run = ?1 GROUP BY op, status";

/// What became of a run by its outcomes.
fn count(counted: &mut super::Statement<'_>, run: &RunId) -> Result<Figures, StateError> {
    let mut figures = Figures::default();
    counted.each(args![run], |row| {
        let op = row.get::<Option<String>>(0)?.and_then(|op| OpKind::parse(&op));
        let n = row.get::<i64>(2)?.unsigned_abs();
        match (Status::parse(&row.get::<String>(1)?), op) {
            (Some(Status::Rejected), _) => figures.rejected += n,
            (Some(status), Some(op)) => {
                figures.counts.entry(op).or_default().add(status, n);
                figures.skipped += if status == Status::Skipped { n } else { 0 };
            }
            (Some(Status::Skipped), None) => figures.skipped += n,
            _ => {}
        }
        Ok(())
    })?;
    Ok(figures)
}

/// Forgets what was told of a run that has ended: something was found out since, and its outcomes are counted from now on.
pub(super) fn count_anew(db: &Db<'_>, run: &RunId) -> Result<(), StateError> {
    db.execute("UPDATE run SET figures = NULL WHERE id = ?1", args![run])?;
    Ok(())
}

/// Writes why a run began.
pub(super) fn begun(db: &Db<'_>, run: &RunId, cause: &RunCause) -> Result<(), StateError> {
    db.execute(
        "UPDATE run SET cause = ?2, by_whom = ?3, said = ?4, undoes = ?5 WHERE id = ?1",
        args![run, cause.trigger.name(), cause.by, cause.reason, cause.undoes],
    )?;
    Ok(())
}

/// Writes what a run came to.
pub(super) fn ended(db: &Db<'_>, run: &RunId, figures: &Figures, error: Option<&RunTrouble>) -> Result<(), StateError> {
    let code = error.and_then(|error| error.code).map(|code| i64::from(code.code()));
    db.execute(
        "UPDATE run SET figures = ?2, error_code = ?3, error_message = ?4 WHERE id = ?1",
        args![run, serde_json::to_string(figures)?, code, error.map(|error| error.message.as_str())],
    )?;
    Ok(())
}

/// Who said yes to what these runs sent, and to what took them back, as far as somebody did.
#[derive(Debug)]
pub struct ConsentsTo(pub Vec<RunId>);

/// What people said to a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consents {
    /// To what it sent.
    pub approved: Option<Consented>,
    /// To what took it back.
    pub undone: Option<Consented>,
    /// The run that it took back itself.
    pub undoes: Option<RunId>,
}

impl Command for ConsentsTo {
    type Reply = BTreeMap<RunId, Consents>;

    fn run(&self, db: &Db<'_>) -> Result<Self::Reply, StateError> {
        // A run whose approval was stale sent nothing, and ended as held.
        const GIVEN: &str = "by_whom IS NOT NULL AND cause IN ('approve', 'undo') AND coalesce(status, '') <> 'held'";
        let mut approved = db.prepare(&format!("SELECT by_whom, said, undoes FROM run WHERE id = ?1 AND {GIVEN}"))?;
        let mut undone = db.prepare(&format!(
            "SELECT by_whom, said, undoes FROM run WHERE undoes = ?1 AND {GIVEN} ORDER BY started_at DESC LIMIT 1"
        ))?;
        let read = |row: &Row<'_>| Ok((Consented { by: row.get(0)?, reason: row.get(1)? }, row.get(2)?));
        let mut found = BTreeMap::new();
        for run in &self.0 {
            let (approved, undoes) = approved.one(args![run], read)?.unzip();
            let undone = undone.one(args![run], read)?.map(|(consented, _): (_, Option<RunId>)| consented);
            found.insert(run.clone(), Consents { approved, undone, undoes: undoes.flatten() });
        }
        Ok(found)
    }
}
