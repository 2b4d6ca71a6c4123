//! Rows on disk in the order of keys, for the length of one run.
//!
//! A database file of its own, without journal and without syncs: it is worth nothing after the run, and is unlinked
//! as soon as it is open, so that not even a kill leaves people's data behind. Rows of one key meet here: those that are
//! alike in what was read of them count once, and the others are all kept, since which of them counts is for each sync
//! to decide. A row that can't be used takes the others of its key with it.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;

use super::format::rows::MAX_ROW;
use crate::config::settings::RowsPerPerson;
use crate::domain::bounded;
use crate::domain::error::{Error, Failure, LocalReason, Result, SourceReason};
use crate::domain::record::{Key, Members, Places, Position, Record, Reject, Row as PersonRow, Several, same_cell};
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
    -- The first row of each key that can be used; more: how many others differ from it and from each other.
    CREATE TABLE good (
        key TEXT PRIMARY KEY, record INTEGER NOT NULL, line INTEGER NOT NULL, cells TEXT NOT NULL,
        more INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    -- What arrived for a key beside that row; kind: 0 repeats the row same_as, 1 differs from all, 2 can't be used.
    CREATE TABLE beside (
        key TEXT NOT NULL, record INTEGER NOT NULL, line INTEGER NOT NULL, kind INTEGER NOT NULL,
        same_as INTEGER, cells TEXT, reason TEXT,
        PRIMARY KEY (key, record)
    ) WITHOUT ROWID;
    CREATE TABLE rejects (record INTEGER PRIMARY KEY, line INTEGER NOT NULL, key TEXT, reason TEXT NOT NULL);
    CREATE INDEX rejects_by_key ON rejects (key) WHERE key IS NOT NULL;
    BEGIN;
";

const REPEATS: i64 = 0;
const DIFFERS: i64 = 1;
const UNUSABLE: i64 = 2;

/// What a row is beside the first good one of its key.
enum Beside<'a> {
    /// It repeats the row of this number.
    Repeats(i64),
    /// It has other cells than all before it.
    Differs(&'a str),
    /// It can't be used, for this reason.
    Unusable(&'a str),
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

/// What arrived for one key beside its first good row.
#[derive(Default)]
struct Group {
    key: String,
    places: Places,
    differing: u64,
    repeated: u64,
    reason: Option<String>,
}

impl Group {
    fn add(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        self.key = row.get(0)?;
        match row.get::<_, i64>(3)? {
            REPEATS => self.repeated += 1,
            DIFFERS => self.differing += 1,
            _ => self.reason = self.reason.take().or(row.get(4)?),
        }
        self.places.add(position_at(row, 1)?);
        Ok(())
    }
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

    /// Adds a row that can be used.
    pub fn good(&mut self, key: &Key, at: Position, cells: &str) -> Result<()> {
        self.room.take(key.as_str().len() + cells.len()).map_err(no_room)?;
        let mut insert = self
            .db
            .prepare_cached("INSERT OR IGNORE INTO good (key, record, line, cells) VALUES (?1, ?2, ?3, ?4)")
            .map_err(failed)?;
        if insert.execute(params![key.as_str(), int(at.record), int(at.line), cells]).map_err(failed)? == 1 {
            self.tally.records += 1;
            return Ok(());
        }
        drop(insert);
        self.further(key, at, cells)
    }

    /// Adds a row of somebody who has one already.
    fn further(&self, key: &Key, at: Position, cells: &str) -> Result<()> {
        let (more, bytes): (i64, i64) = self
            .db
            .prepare_cached("SELECT more, bytes + length(CAST(cells AS BLOB)) FROM good WHERE key = ?1")
            .and_then(|mut query| query.query_row([key.as_str()], |row| Ok((row.get(0)?, row.get(1)?))))
            .map_err(failed)?;
        let too_many = more >= MOST_ROWS || bytes > PAGE_BYTES as i64;
        if !too_many && let Some(record) = self.alike(key, cells)? {
            return self.beside(key, at, &Beside::Repeats(record));
        }
        self.db
            .prepare_cached("UPDATE good SET more = more + 1, bytes = bytes + ?2 WHERE key = ?1")
            .and_then(|mut update| update.execute(params![key.as_str(), int(weight_of(cells) as u64)]))
            .map_err(failed)?;
        if too_many || more + 1 == MOST_ROWS {
            let reason = format!("there are more than {MOST_ROWS} rows of this person that differ, or 16 MB of them");
            return self.beside(key, at, &Beside::Unusable(&reason));
        }
        self.beside(key, at, &Beside::Differs(cells))
    }

    /// The row of this key with the same cells, if there is one.
    fn alike(&self, key: &Key, cells: &str) -> Result<Option<i64>> {
        let mut query = self
            .db
            .prepare_cached(
                "SELECT record, cells FROM good WHERE key = ?1 UNION ALL
                 SELECT record, cells FROM beside WHERE key = ?1 AND kind = 1",
            )
            .map_err(failed)?;
        let mut rows = query.query([key.as_str()]).map_err(failed)?;
        let mut parsed: Option<Vec<Value>> = None;
        while let Some(row) = rows.next().map_err(failed)? {
            let other = row.get_ref(1).map_err(failed)?.as_str().map_err(|error| failed(error.into()))?;
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
            Some(key) => self.beside(key, at, &Beside::Unusable(reason)),
            None => {
                self.tally.rejected_rows += 1;
                self.reject(None, at, reason)
            }
        }
    }

    fn beside(&self, key: &Key, at: Position, what: &Beside<'_>) -> Result<()> {
        let (kind, same_as, cells, reason) = match *what {
            Beside::Repeats(record) => (REPEATS, Some(record), None, None),
            Beside::Differs(cells) => (DIFFERS, None, Some(cells), None),
            Beside::Unusable(reason) => (UNUSABLE, None, None, Some(reason)),
        };
        self.db
            .prepare_cached(
                "INSERT INTO beside (key, record, line, kind, same_as, cells, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )
            .and_then(|mut insert| {
                insert.execute(params![key.as_str(), int(at.record), int(at.line), kind, same_as, cells, reason])
            })
            .map_err(failed)?;
        Ok(())
    }

    fn reject(&mut self, key: Option<&str>, at: Position, reason: &str) -> Result<()> {
        self.tally.rejects += 1;
        self.db
            .prepare_cached("INSERT INTO rejects (record, line, key, reason) VALUES (?1, ?2, ?3, ?4)")
            .and_then(|mut insert| insert.execute(params![int(at.record), int(at.line), key, reason]))
            .map_err(failed)?;
        Ok(())
    }

    /// Makes one of the rows of each key, once all have been read: repeated rows count once, and a key with a row that
    /// can't be used is rejected.
    pub fn join_rows(&mut self) -> Result<()> {
        let mut after = Some(String::new());
        while let Some(key) = after {
            after = self.next_group(&key)?.map(|group| self.join_group(group)).transpose()?;
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

    fn join_group(&mut self, mut group: Group) -> Result<String> {
        let good = self
            .db
            .prepare_cached("SELECT record, line FROM good WHERE key = ?1")
            .and_then(|mut query| query.query_row([&group.key], |row| position_at(row, 0)).optional())
            .map_err(failed)?;
        let mut places = Places::default();
        good.into_iter().for_each(|position| places.add(position));
        let places = Places::merged([&places, &group.places]);
        let Some(why) = group.reason.take() else {
            self.tally.duplicate_equal += group.repeated;
            self.tally.further_rows += group.differing;
            if group.differing == 0 && self.expected == RowsPerPerson::One {
                let records = places.listed(&self.members);
                self.warn(format!("key {}: {records} are the same and count once", group.key));
            }
            return Ok(group.key);
        };
        let reason = match places.count() {
            1 => why,
            _ => {
                let records = places.listed(&self.members);
                format!("{why}; {records} have this key{}, and none is used", places.lines())
            }
        };
        self.tally.rejected_rows += places.count();
        self.tally.records -= u64::from(good.is_some());
        self.db
            .prepare_cached("DELETE FROM good WHERE key = ?1")
            .and_then(|mut delete| delete.execute([&group.key]))
            .map_err(failed)?;
        self.reject(Some(&group.key), places.first().unwrap_or_default(), &reason)?;
        Ok(group.key)
    }

    /// Puts a warning before the others.
    pub fn warn_first(&mut self, warning: Option<String>) {
        self.warnings.splice(0..0, warning);
    }

    fn warn(&mut self, warning: String) {
        if self.warnings.len() < WARNINGS {
            self.warnings.push(warning);
        } else {
            self.unlisted_warnings += 1;
        }
    }

    /// The counts, once rows are joined.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// What is worth saying about the rows, bounded.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The person of this key, if their rows can be used.
    pub fn record(&self, key: &Key) -> Result<Option<Record>> {
        let sql = "SELECT key, record, line, cells, more FROM good WHERE key = ?1 LIMIT ?2";
        Ok(self.records(sql, key.as_str(), 1)?.pop())
    }

    /// People in the order of keys, from the first after this key; fewer than `limit` where they have much to tell,
    /// and none only when there are none.
    pub fn rows(&self, after: Option<&Key>, limit: usize) -> Result<Vec<Record>> {
        // The empty text sorts before every key, since no key is empty.
        let after = after.map_or("", Key::as_str);
        self.records(
            "SELECT key, record, line, cells, more FROM good WHERE key > ?1 ORDER BY key LIMIT ?2",
            after,
            limit,
        )
    }

    fn records(&self, sql: &str, key: &str, limit: usize) -> Result<Vec<Record>> {
        let mut query = self.db.prepare_cached(sql).map_err(failed)?;
        let mut rows = query.query(params![key, int(limit as u64)]).map_err(failed)?;
        let (mut records, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next().map_err(failed)? {
            let key: String = row.get(0).map_err(failed)?;
            let position = position_at(row, 1).map_err(failed)?;
            let text = row.get_ref(3).map_err(failed)?.as_str().map_err(|error| failed(error.into()))?;
            let cells = cells_of(text)?;
            bytes += cells.iter().map(bounded::weight).sum::<usize>();
            let mut record = Record::new(stored_key(&key)?, position, cells);
            if row.get::<_, i64>(4).map_err(failed)? > 0 {
                record.several = Some(Box::new(self.several(&record, &mut bytes)?));
            }
            records.push(record);
            if bytes > PAGE_BYTES {
                break;
            }
        }
        Ok(records)
    }

    /// All rows of somebody who has several; `bytes` grows by what they hold.
    fn several(&self, first: &Record, bytes: &mut usize) -> Result<Several> {
        let mut query = self
            .db
            .prepare_cached("SELECT record, line, same_as, cells FROM beside WHERE key = ?1 ORDER BY record")
            .map_err(failed)?;
        let mut found = query.query([first.key.as_str()]).map_err(failed)?;
        let rows = vec![PersonRow::new(first.position, first.cells.clone())];
        let mut several = Several { rows, members: self.members.clone() };
        let mut numbers = vec![int(first.position.record)];
        while let Some(next) = found.next().map_err(failed)? {
            let position = position_at(next, 0).map_err(failed)?;
            match next.get::<_, Option<i64>>(2).map_err(failed)? {
                Some(same_as) => {
                    let at = numbers.iter().position(|number| *number == same_as);
                    let repeated = at.and_then(|at| several.rows.get_mut(at));
                    repeated
                        .ok_or_else(|| Failure::internal("the spool holds a row that repeats none"))?
                        .places
                        .add(position);
                }
                None => {
                    let text: String = next.get(3).map_err(failed)?;
                    *bytes += weight_of(&text);
                    numbers.push(int(position.record));
                    several.rows.push(PersonRow::new(position, cells_of(&text)?));
                }
            }
        }
        Ok(several)
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

/// Record number and line, which stand side by side in every query.
fn position_at(row: &Row<'_>, at: usize) -> rusqlite::Result<Position> {
    let number = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
    Ok(Position { record: number(at)?, line: number(at + 1)? })
}

/// A count as SQLite stores it; none of ours comes near the end of its range.
fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What cells take in memory, by the look of their text.
fn weight_of(cells: &str) -> usize {
    // Few are so long that a look at them is worth it.
    if cells.len() < 1_000 { cells.len() } else { bounded::weight_of_text(cells) }
}

fn cells_of(text: &str) -> Result<Vec<Value>> {
    serde_json::from_str(text)
        .map_err(|error| Failure::internal("the spool holds cells that are no JSON").because(error))
}

fn stored_key(text: &str) -> Result<Key> {
    Key::parse(text).ok_or_else(|| Failure::internal("the spool holds an empty key"))
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
