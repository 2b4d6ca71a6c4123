//! Rows on disk in the order of keys, for the length of one run.
//!
//! A database file of its own, without journal and without syncs: it is worth nothing after the run, and is unlinked
//! as soon as it is open, so that not even a kill leaves people's data behind. Rows of one key meet here: which are
//! repeated and which contradict each other is settled when all have been read.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;

use crate::exit::{Exit, Failure, Result};
use crate::record::{Key, Position, Record, Reject};

/// The page cache, in KiB: what bounds the spool's memory.
const CACHE_KIB: i64 = 32 * 1024;

/// How many positions a message lists before it counts the rest.
const LISTED: usize = 10;

/// How many warnings about repeated rows are kept one by one.
const WARNINGS: usize = 20;

const SCHEMA: &str = "
    CREATE TABLE good (
        key TEXT PRIMARY KEY, record INTEGER NOT NULL, line INTEGER NOT NULL, digest BLOB NOT NULL, cells TEXT NOT NULL
    ) WITHOUT ROWID;
    -- What arrived for a key beside its first good row; kind: 0 repeats it, 1 differs from it, 2 can't be used.
    CREATE TABLE beside (
        key TEXT NOT NULL, record INTEGER NOT NULL, line INTEGER NOT NULL, kind INTEGER NOT NULL, reason TEXT,
        PRIMARY KEY (key, record)
    ) WITHOUT ROWID;
    CREATE TABLE rejects (record INTEGER PRIMARY KEY, line INTEGER NOT NULL, key TEXT, reason TEXT NOT NULL);
    CREATE INDEX rejects_by_key ON rejects (key) WHERE key IS NOT NULL;
    BEGIN;
";

const REPEATS: i64 = 0;
const DIFFERS: i64 = 1;
const UNUSABLE: i64 = 2;

/// The counts that the rows came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub records: u64,
    pub rejected_rows: u64,
    pub duplicate_equal: u64,
}

/// Rows by key.
pub(super) struct Spool {
    db: Connection,
    tally: Tally,
    warnings: Vec<String>,
    unlisted_warnings: u64,
    /// The members of a union, each with the number of rows before its own.
    members: Vec<(u64, String)>,
}

/// What arrived for one key beside its first good row.
#[derive(Default)]
struct Group {
    key: String,
    positions: Vec<Position>,
    count: u64,
    differs: bool,
    reason: Option<String>,
}

impl Group {
    fn add(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        self.key = row.get(0)?;
        self.count += 1;
        self.differs |= row.get::<_, i64>(3)? == DIFFERS;
        self.reason = self.reason.take().or(row.get(4)?);
        if self.positions.len() <= LISTED {
            self.positions.push(position_at(row, 1)?);
        }
        Ok(())
    }
}

impl Spool {
    /// An empty spool in this directory.
    ///
    /// # Errors
    /// 74 when the directory can't be written.
    pub fn create(directory: &Path) -> Result<Spool> {
        let file = tempfile::Builder::new().prefix("rosterd-spool-").tempfile_in(directory).map_err(|error| {
            let message = format!("no temporary file can be made in {}", directory.display());
            Failure::new(Exit::Io, message).help("see that the directory exists and has room").because(error)
        })?;
        let db = Connection::open(file.path()).map_err(failed)?;
        let pragmas = format!(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;
             PRAGMA temp_store = MEMORY; PRAGMA cache_size = -{CACHE_KIB};"
        );
        db.execute_batch(&pragmas).map_err(failed)?;
        db.execute_batch(SCHEMA).map_err(failed)?;
        // The file is open now; dropping its name leaves it to the connection alone.
        drop(file);
        Ok(Spool { db, tally: Tally::default(), warnings: Vec::new(), unlisted_warnings: 0, members: Vec::new() })
    }

    /// The rows that follow are those of this member of a union, and come after `before` others.
    pub fn begin_member(&mut self, before: u64, name: &str) {
        self.members.push((before, name.to_owned()));
    }

    /// The member that a row is of, and its number there.
    fn member(&self, record: u64) -> Option<(&str, u64)> {
        let (before, name) = self.members.iter().rev().find(|(before, _)| record > *before)?;
        Some((name, record - before))
    }

    /// Adds a row that can be used.
    pub fn good(&mut self, key: &Key, at: Position, digest: &[u8; 16], cells: &str) -> Result<()> {
        let mut insert = self
            .db
            .prepare_cached("INSERT OR IGNORE INTO good (key, record, line, digest, cells) VALUES (?1, ?2, ?3, ?4, ?5)")
            .map_err(failed)?;
        let values = params![key.as_str(), int(at.record), int(at.line), digest.as_slice(), cells];
        if insert.execute(values).map_err(failed)? == 1 {
            self.tally.records += 1;
            return Ok(());
        }
        drop(insert);
        let same: bool = self
            .db
            .prepare_cached("SELECT digest = ?2 FROM good WHERE key = ?1")
            .and_then(|mut query| query.query_row(params![key.as_str(), digest.as_slice()], |row| row.get(0)))
            .map_err(failed)?;
        self.beside(key, at, if same { REPEATS } else { DIFFERS }, None)
    }

    /// Adds a row that can't be used.
    pub fn bad(&mut self, key: Option<&Key>, at: Position, reason: &str) -> Result<()> {
        match key {
            Some(key) => self.beside(key, at, UNUSABLE, Some(reason)),
            None => {
                self.tally.rejected_rows += 1;
                self.reject(None, at, reason)
            }
        }
    }

    fn beside(&self, key: &Key, at: Position, kind: i64, reason: Option<&str>) -> Result<()> {
        self.db
            .prepare_cached("INSERT INTO beside (key, record, line, kind, reason) VALUES (?1, ?2, ?3, ?4, ?5)")
            .and_then(|mut insert| insert.execute(params![key.as_str(), int(at.record), int(at.line), kind, reason]))
            .map_err(failed)?;
        Ok(())
    }

    fn reject(&self, key: Option<&str>, at: Position, reason: &str) -> Result<()> {
        self.db
            .prepare_cached("INSERT INTO rejects (record, line, key, reason) VALUES (?1, ?2, ?3, ?4)")
            .and_then(|mut insert| insert.execute(params![int(at.record), int(at.line), key, reason]))
            .map_err(failed)?;
        Ok(())
    }

    /// Settles keys with several rows, once all have been read: repeated rows count once, any other key is rejected.
    pub fn settle(&mut self) -> Result<()> {
        let mut after = Some(String::new());
        while let Some(key) = after {
            after = self.next_group(&key)?.map(|group| self.settle_group(group)).transpose()?;
        }
        if self.unlisted_warnings > 0 {
            self.warnings.push(format!("{} more keys have repeated rows", self.unlisted_warnings));
        }
        self.db.execute_batch("COMMIT").map_err(failed)
    }

    /// The next key with something beside its first good row.
    fn next_group(&self, after: &str) -> Result<Option<Group>> {
        let mut query = self
            .db
            .prepare_cached(
                "SELECT key, record, line, kind, reason FROM beside
                 WHERE key = (SELECT min(key) FROM beside WHERE key > ?1) ORDER BY record",
            )
            .map_err(failed)?;
        let mut rows = query.query([after]).map_err(failed)?;
        let mut group: Option<Group> = None;
        while let Some(row) = rows.next().map_err(failed)? {
            let group = group.get_or_insert_default();
            group.add(row).map_err(failed)?;
        }
        Ok(group)
    }

    fn settle_group(&mut self, mut group: Group) -> Result<String> {
        let good = self
            .db
            .prepare_cached("SELECT record, line FROM good WHERE key = ?1")
            .and_then(|mut query| query.query_row([&group.key], |row| position_at(row, 0)).optional())
            .map_err(failed)?;
        group.positions.extend(good);
        group.positions.sort_by_key(|position| position.record);
        group.count += u64::from(good.is_some());
        let records = self.listed(&group);
        let Some(why) = group.reason.take().or_else(|| group.differs.then(String::new)) else {
            self.tally.duplicate_equal += group.count - 1;
            self.warn(format!("key {}: {records} are the same and count once", group.key));
            return Ok(group.key);
        };
        let reason = match (why.is_empty(), group.count) {
            (true, _) => format!("{records} have this key and differ{}", lines(&group)),
            (false, 1) => why,
            (false, _) => format!("{why}; {records} have this key{}, and none is used", lines(&group)),
        };
        self.tally.rejected_rows += group.count;
        self.tally.records -= u64::from(good.is_some());
        self.db
            .prepare_cached("DELETE FROM good WHERE key = ?1")
            .and_then(|mut delete| delete.execute([&group.key]))
            .map_err(failed)?;
        let first = group.positions.first().copied().unwrap_or_default();
        self.reject(Some(&group.key), first, &reason)?;
        Ok(group.key)
    }

    /// `rows 3, 17 and 29`; in a union, `rows 3 of hr-a and 17 of hr-b`.
    fn listed(&self, group: &Group) -> String {
        let row = |position: &Position| match self.member(position.record) {
            Some((name, record)) => format!("{record} of {name}"),
            None => position.record.to_string(),
        };
        format!("rows {}", joined(group, row))
    }

    fn warn(&mut self, warning: String) {
        if self.warnings.len() < WARNINGS {
            self.warnings.push(warning);
        } else {
            self.unlisted_warnings += 1;
        }
    }

    /// The counts, once settled.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// What is worth saying about the rows, bounded.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Good rows in the order of keys, from the first after this key.
    pub fn rows(&self, after: Option<&Key>, limit: usize) -> Result<Vec<Record>> {
        // The empty text sorts before every key, since no key is empty.
        let after = after.map_or("", Key::as_str);
        let mut query = self
            .db
            .prepare_cached("SELECT key, record, line, cells FROM good WHERE key > ?1 ORDER BY key LIMIT ?2")
            .map_err(failed)?;
        let mut rows = query.query(params![after, int(limit as u64)]).map_err(failed)?;
        let mut records = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let key: String = row.get(0).map_err(failed)?;
            let position = position_at(row, 1).map_err(failed)?;
            let cells = row.get_ref(3).map_err(failed)?.as_str().map_err(|error| failed(error.into()))?;
            let cells: Vec<Value> = serde_json::from_str(cells)
                .map_err(|error| Failure::internal("the spool holds cells that are no JSON").because(error))?;
            records.push(Record { key: stored_key(&key)?, position, cells });
        }
        Ok(records)
    }

    /// Rejects in the order of the source, from the first after this record number.
    pub fn rejects(&self, after: u64, limit: usize) -> Result<Vec<Reject>> {
        let mut query = self
            .db
            .prepare_cached("SELECT record, line, key, reason FROM rejects WHERE record > ?1 ORDER BY record LIMIT ?2")
            .map_err(failed)?;
        let found = query
            .query_map(params![int(after), int(limit as u64)], |row| {
                let key: Option<String> = row.get(2)?;
                Ok((position_at(row, 0)?, key, row.get(3)?))
            })
            .map_err(failed)?;
        found
            .map(|row| {
                let (position, key, reason) = row.map_err(failed)?;
                Ok(Reject { key: key.as_deref().map(stored_key).transpose()?, position, reason })
            })
            .collect()
    }

    /// Rejected keys in order, from the first after this key.
    pub fn rejected_keys(&self, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        let after = after.map_or("", Key::as_str);
        let mut query = self
            .db
            .prepare_cached("SELECT key FROM rejects WHERE key IS NOT NULL AND key > ?1 ORDER BY key LIMIT ?2")
            .map_err(failed)?;
        let found =
            query.query_map(params![after, int(limit as u64)], |row| row.get::<_, String>(0)).map_err(failed)?;
        found.map(|key| stored_key(&key.map_err(failed)?)).collect()
    }

    /// Where the key's good row stands.
    pub fn good_position(&self, key: &Key) -> Result<Option<Position>> {
        self.find("SELECT record, line FROM good WHERE key = ?1", key)
    }

    /// Where the first of the key's rejected rows stands.
    pub fn rejected_position(&self, key: &Key) -> Result<Option<Position>> {
        self.find("SELECT record, line FROM rejects WHERE key = ?1", key)
    }

    fn find(&self, sql: &str, key: &Key) -> Result<Option<Position>> {
        self.db
            .prepare_cached(sql)
            .and_then(|mut query| query.query_row([key.as_str()], |row| position_at(row, 0)).optional())
            .map_err(failed)
    }
}

/// ` (lines 3, 17 and 29)`; nothing where there are no lines.
fn lines(group: &Group) -> String {
    if group.positions.iter().any(|position| position.line == 0) {
        return String::new();
    }
    format!(" (lines {})", joined(group, |position| position.line.to_string()))
}

/// `3, 17 and 29`; of many, the first and how many more.
fn joined(group: &Group, number: impl Fn(&Position) -> String) -> String {
    let numbers: Vec<String> = group.positions.iter().take(LISTED).map(number).collect();
    let more = group.count - numbers.len() as u64;
    match numbers.split_last() {
        Some(_) if more > 0 => format!("{} and {more} more", numbers.join(", ")),
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => numbers.concat(),
    }
}

/// Record number and line, which stand side by side in every query.
fn position_at(row: &Row<'_>, at: usize) -> rusqlite::Result<Position> {
    let number = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
    Ok(Position { record: number(at)?, line: number(at + 1)? })
}

/// A count as SQLite stores it; none of ours comes near the end of its range.
fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn stored_key(text: &str) -> Result<Key> {
    Key::parse(text).ok_or_else(|| Failure::internal("the spool holds an empty key"))
}

fn failed(error: rusqlite::Error) -> Failure {
    Failure::new(Exit::Io, "the temporary spool of the source can't be written or read")
        .help("see that there is room in the state directory")
        .because(error)
}
