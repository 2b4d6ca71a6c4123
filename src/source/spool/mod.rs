//! Rows on disk in the order of keys, for the length of one run.
//!
//! A database file of its own, without journal and without syncs: it is worth nothing after the run, and is unlinked
//! as soon as it is open, so that not even a kill leaves people's data behind. Rows of one key meet here: those that are
//! alike in what was read of them count once, and the others are all kept, since which of them counts is for each sync
//! to decide. A row that can't be used takes the others of its key with it.
//!
//! Rows that say what was known and settled before are not here ([`super::compare`]). Where another row of such a person
//! is, the settled one is put beside it in the end, without its cells: its place, and that it was there.

mod join;
mod read;
mod reviewed;

pub(in crate::source) use reviewed::ReviewedRun;

use std::path::Path;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, ToSql, params};
use serde_json::Value;

use super::batch::RowBatch;
use super::compare::Verdict;
use super::format::rows::MAX_ROW;
use crate::config::settings::RowsPerPerson;
use crate::domain::bounded;
use crate::domain::error::{Error, Failure, LocalReason, Result, SourceReason};
use crate::domain::record::{Key, Members, Position, cells, same_cell};
use crate::os::disk_budget::{DiskBudget, Short};

/// The page cache, in KiB: what bounds the spool's memory.
const CACHE_KIB: i64 = 32 * 1024;

/// How many rows of one person are kept that differ from each other; a person with more is rejected.
const MOST_ROWS: i64 = 1_000;

/// How many bytes of cells a page holds before it ends early, and how many a person may have.
const PAGE_BYTES: usize = MAX_ROW;

/// How many warnings about repeated rows are kept one by one.
const WARNINGS: usize = 20;

const SCHEMA: &str = "
    -- The first row of each key that can be used; more: how many others differ from it and from each other. No cells: the
    -- row was found settled. settled: 1 where all rows of the key say what was settled.
    CREATE TABLE good (
        key TEXT PRIMARY KEY, record INTEGER NOT NULL, line INTEGER NOT NULL, cells BLOB,
        more INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0, settled INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    -- What arrived for a key beside that row; the kinds are those of Kind.
    CREATE TABLE beside (
        key TEXT NOT NULL, record INTEGER NOT NULL, line INTEGER NOT NULL, kind INTEGER NOT NULL,
        same_as INTEGER, cells BLOB, reason TEXT,
        PRIMARY KEY (key, record)
    ) WITHOUT ROWID;
    CREATE TABLE rejects (record INTEGER PRIMARY KEY, line INTEGER NOT NULL, key TEXT, reason TEXT NOT NULL);
    CREATE INDEX rejects_by_key ON rejects (key) WHERE key IS NOT NULL;
    -- Who is known and was not found settled.
    CREATE TABLE unsettled (key TEXT PRIMARY KEY) WITHOUT ROWID;
    -- Who has a row here and may have been found settled by another.
    CREATE TABLE unchecked (key TEXT PRIMARY KEY) WITHOUT ROWID;
";

/// What a row is beside the first good one of its key, as a number in the file.
mod kind {
    /// It repeats the row of the number `same_as`.
    pub const REPEATS: i64 = 0;
    /// It has other cells than all before it.
    pub const DIFFERS: i64 = 1;
    /// It can't be used.
    pub const UNUSABLE: i64 = 2;
    /// It repeats the row that was found settled.
    pub const AGAIN: i64 = 3;
    /// It is the row that was found settled, and differs from all others.
    pub const KNOWN: i64 = 4;
}

/// What a row is beside the first good one of its key.
enum Beside<'a> {
    /// It repeats the row of this number.
    Repeats(i64),
    /// It has other cells than all before it.
    Differs(&'a [u8]),
    /// It can't be used, for this reason.
    Unusable(&'a str),
    /// It repeats the row that was found settled.
    Again,
    /// It is the row that was found settled.
    Known,
}

/// The counts that the rows came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub records: u64,
    pub further_rows: u64,
    pub rejected_rows: u64,
    pub rejects: u64,
    pub duplicate_equal: u64,
}

/// Rows by key.
pub(super) struct Spool {
    db: Connection,
    room: DiskBudget,
    tally: Tally,
    expected: RowsPerPerson,
    warnings: Vec<String>,
    unlisted_warnings: u64,
    members: Members,
}

impl Spool {
    /// An empty spool in this directory.
    ///
    /// # Errors
    /// 74 when the directory can't be written.
    pub fn create(directory: &Path, expected: RowsPerPerson) -> Result<Spool> {
        let file = tempfile::Builder::new().prefix("rosterd-spool-").tempfile_in(directory).map_err(|error| {
            let message = format!("no temporary file can be made in {}", directory.display());
            Failure::new(Error::Local(LocalReason::Io), message)
                .help("see that the directory exists and has room")
                .because(error)
        })?;
        let db = Connection::open(file.path()).map_err(failed)?;
        let pragmas = format!(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;
             PRAGMA temp_store = MEMORY; PRAGMA cache_size = -{CACHE_KIB};"
        );
        db.execute_batch(&pragmas).map_err(failed)?;
        db.execute_batch(SCHEMA).map_err(failed)?;
        db.execute_batch(reviewed::SCHEMA).map_err(failed)?;
        db.execute_batch("BEGIN").map_err(failed)?;
        // The file is open now; dropping its name leaves it to the connection alone.
        drop(file);
        let (tally, members) = (Tally::default(), Members::default());
        let room = DiskBudget::new(directory);
        Ok(Spool { db, room, tally, expected, warnings: Vec::new(), unlisted_warnings: 0, members })
    }

    /// The rows that follow are those of this member of a union, and come after `before` others.
    pub fn begin_member(&mut self, before: u64, name: &str) {
        self.members = self.members.and(before, name);
    }

    /// Takes the rows of a batch, as far as they have to be kept.
    pub fn take(&mut self, batch: &RowBatch, verdicts: &[Verdict]) -> Result<()> {
        for (row, verdict) in verdicts.iter().enumerate() {
            let key = || std::str::from_utf8(batch.key(row)).map_err(|_| Failure::internal("a key is not text"));
            match verdict {
                Verdict::Settled => {}
                Verdict::Again => {
                    let key = key()?;
                    self.room.take(key.len()).map_err(no_room)?;
                    self.beside(key, batch.position(row), &Beside::Again)?;
                    self.unchecked(key)?;
                }
                Verdict::Kept { checked } => {
                    let key = key()?;
                    self.good(key, batch.position(row), batch.cells(row))?;
                    if !checked {
                        self.unchecked(key)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds a row that can be used.
    fn good(&mut self, key: &str, at: Position, cells: &[u8]) -> Result<()> {
        self.room.take(key.len() + cells.len()).map_err(no_room)?;
        let mut insert = self
            .db
            .prepare_cached("INSERT OR IGNORE INTO good (key, record, line, cells) VALUES (?1, ?2, ?3, ?4)")
            .map_err(failed)?;
        if insert.execute(params![key, int(at.record), int(at.line), cells]).map_err(failed)? == 1 {
            self.tally.records += 1;
            return Ok(());
        }
        drop(insert);
        self.further(key, at, cells)
    }

    /// Adds a row of somebody who has one already.
    fn further(&self, key: &str, at: Position, cells: &[u8]) -> Result<()> {
        let (more, bytes): (i64, i64) = self
            .db
            .prepare_cached("SELECT more, bytes + length(cells) FROM good WHERE key = ?1")
            .and_then(|mut query| query.query_row([key], |row| Ok((row.get(0)?, row.get(1)?))))
            .map_err(failed)?;
        let too_many = more >= MOST_ROWS || bytes > PAGE_BYTES as i64;
        if !too_many && let Some(record) = self.alike(key, cells)? {
            return self.beside(key, at, &Beside::Repeats(record));
        }
        self.db
            .prepare_cached("UPDATE good SET more = more + 1, bytes = bytes + ?2 WHERE key = ?1")
            .and_then(|mut update| update.execute(params![key, int(weight_of(cells) as u64)]))
            .map_err(failed)?;
        if too_many || more + 1 == MOST_ROWS {
            let reason = format!("there are more than {MOST_ROWS} rows of this person that differ, or 16 MB of them");
            return self.beside(key, at, &Beside::Unusable(&reason));
        }
        self.beside(key, at, &Beside::Differs(cells))
    }

    /// The row of this key with the same cells, if there is one.
    fn alike(&self, key: &str, cells: &[u8]) -> Result<Option<i64>> {
        let mut query = self
            .db
            .prepare_cached(
                "SELECT record, cells FROM good WHERE key = ?1 UNION ALL
                 SELECT record, cells FROM beside WHERE key = ?1 AND kind = 1",
            )
            .map_err(failed)?;
        let mut rows = query.query([key]).map_err(failed)?;
        let mut parsed: Option<Vec<Value>> = None;
        while let Some(row) = rows.next().map_err(failed)? {
            let other = row.get_ref(1).map_err(failed)?.as_blob().map_err(|error| failed(error.into()))?;
            if other == cells {
                return row.get(0).map_err(failed);
            }
            let mine = match &parsed {
                Some(mine) => mine,
                None => parsed.insert(cells_of(cells)?),
            };
            if mine.iter().zip(&cells_of(other)?).all(|(a, b)| same_cell(a, b)) {
                return row.get(0).map_err(failed);
            }
        }
        Ok(None)
    }

    /// Adds a row that can't be used.
    pub fn bad(&mut self, key: Option<&Key>, at: Position, reason: &str) -> Result<()> {
        self.room.take(key.map_or(0, |key| key.as_str().len()) + reason.len()).map_err(no_room)?;
        match key {
            Some(key) => {
                self.beside(key.as_str(), at, &Beside::Unusable(reason))?;
                self.unchecked(key.as_str())
            }
            None => {
                self.tally.rejected_rows += 1;
                self.reject(None, at, reason)
            }
        }
    }

    fn beside(&self, key: &str, at: Position, what: &Beside<'_>) -> Result<()> {
        let (kind, same_as, cells, reason) = match *what {
            Beside::Repeats(record) => (kind::REPEATS, Some(record), None, None),
            Beside::Differs(cells) => (kind::DIFFERS, None, Some(cells), None),
            Beside::Unusable(reason) => (kind::UNUSABLE, None, None, Some(reason)),
            Beside::Again => (kind::AGAIN, None, None, None),
            Beside::Known => (kind::KNOWN, None, None, None),
        };
        self.db
            .prepare_cached(
                "INSERT INTO beside (key, record, line, kind, same_as, cells, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )
            .and_then(|mut insert| {
                insert.execute(params![key, int(at.record), int(at.line), kind, same_as, cells, reason])
            })
            .map_err(failed)?;
        Ok(())
    }

    /// Notes that somebody with a row here may have been found settled by another.
    fn unchecked(&self, key: &str) -> Result<()> {
        self.note("INSERT OR IGNORE INTO unchecked (key) VALUES (?1)", Text(key.as_bytes()))
    }

    /// Notes somebody who is known and was not found settled.
    pub fn unsettled(&self, key: &[u8]) -> Result<()> {
        self.note("INSERT OR IGNORE INTO unsettled (key) VALUES (?1)", Text(key))
    }

    fn note(&self, sql: &str, key: Text<'_>) -> Result<()> {
        self.db.prepare_cached(sql).and_then(|mut insert| insert.execute([key])).map_err(failed)?;
        Ok(())
    }

    /// Forgets who was not found settled.
    pub fn clear_unsettled(&self) -> Result<()> {
        self.db.execute_batch("DELETE FROM unsettled").map_err(failed)
    }

    fn reject(&mut self, key: Option<&str>, at: Position, reason: &str) -> Result<()> {
        self.tally.rejects += 1;
        self.db
            .prepare_cached("INSERT INTO rejects (record, line, key, reason) VALUES (?1, ?2, ?3, ?4)")
            .and_then(|mut insert| insert.execute(params![int(at.record), int(at.line), key, reason]))
            .map_err(failed)?;
        Ok(())
    }

    /// The counts, once rows are joined.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// What is worth saying about the rows, bounded.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
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

/// What cells take in memory.
fn weight_of(encoded: &[u8]) -> usize {
    // Few are so long that a look at them is worth it.
    match encoded.len() {
        short @ ..1_000 => short,
        long => cells::values(encoded).map_or(long, |values| values.iter().map(bounded::weight).sum()),
    }
}

fn cells_of(encoded: &[u8]) -> Result<Vec<Value>> {
    cells::values(encoded).ok_or_else(|| Failure::internal("the spool holds something else than cells"))
}

/// Bytes that are known to be text.
struct Text<'t>(&'t [u8]);

impl ToSql for Text<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}

fn stored_key(text: &str) -> Result<Key> {
    if text.is_empty() { Err(Failure::internal("the spool holds an empty key")) } else { Ok(Key::of_normal(text)) }
}

/// Why a source is not spooled any further.
fn no_room(short: Short) -> Failure {
    match short {
        Short::Endless(what) => {
            Failure::new(Error::Source(SourceReason::Untrusted), format!("the source is not to be trusted: {what}"))
                .help("nothing was sent; look at the export, or ask for fewer columns")
        }
        Short::Disk(what) => {
            Failure::new(Error::Local(LocalReason::Io), format!("what the source holds can't be kept: {what}"))
                .help("nothing was sent; free some room, or point TMPDIR at a larger disk")
        }
    }
}

fn failed(error: rusqlite::Error) -> Failure {
    Failure::new(Error::Local(LocalReason::Io), "the temporary spool of the source can't be written or read")
        .help("see that there is room in the state directory")
        .because(error)
}
