//! People whose rows were evaluated while they were read, since their fingerprints are others than those that are known, and
//! for whom nothing is to be done.

use std::collections::HashSet;

use rusqlite::{OptionalExtension, params};

use super::{Spool, Text, failed, int, stored_key};
use crate::domain::error::{Failure, Result};
use crate::domain::operation::Fingerprint;
use crate::domain::record::Key;
use crate::domain::record::cells::{first_text, put_text, split_first};
use crate::source::compare::Reviewed;

pub(super) const SCHEMA: &str = "
    -- by_sync: for each sync a byte of what it came to, and for those that were evaluated the fingerprint that is known and
    -- the one that is right now.
    CREATE TABLE reviewed (key TEXT PRIMARY KEY, by_sync BLOB NOT NULL) WITHOUT ROWID;
    -- The same of many people who follow each other in the order of keys, from first to last, where no other run is:
    -- a cell of the key and one of by_sync for each.
    CREATE TABLE reviewed_run (first TEXT PRIMARY KEY, last TEXT NOT NULL, people BLOB NOT NULL);
    -- Those of whom another row says otherwise.
    CREATE TABLE contested (key TEXT PRIMARY KEY) WITHOUT ROWID;
";

/// What a sync made of a row, as a byte in the file.
mod made {
    /// Nothing: the fingerprint was the known one.
    pub const NOTHING: u8 = 0;
    /// It is in scope.
    pub const IN_SCOPE: u8 = 1;
    /// It is out of scope.
    pub const EXCLUDED: u8 = 2;
}

/// What was made of the rows of people who follow each other in the order of keys.
#[derive(Default)]
pub(in crate::source) struct ReviewedRun {
    people: Vec<u8>,
    first: Vec<u8>,
    last: Vec<u8>,
    by_sync: Vec<u8>,
}

impl ReviewedRun {
    /// The next of them.
    pub fn push(&mut self, key: &[u8], by_sync: &[Option<Reviewed>]) {
        if self.people.is_empty() {
            self.first.extend_from_slice(key);
        }
        self.last.clear();
        self.last.extend_from_slice(key);
        self.by_sync.clear();
        written(by_sync, &mut self.by_sync);
        put_text(&mut self.people, key);
        put_text(&mut self.people, &self.by_sync);
    }
}

impl Spool {
    /// Keeps what the syncs made of somebody's row.
    pub fn reviewed(&self, key: &[u8], by_sync: &[Option<Reviewed>]) -> Result<()> {
        let mut bytes = Vec::with_capacity(by_sync.len() * 33);
        written(by_sync, &mut bytes);
        self.db
            .prepare_cached("INSERT OR REPLACE INTO reviewed VALUES (?1, ?2)")
            .and_then(|mut insert| insert.execute(params![Text(key), bytes]))
            .map_err(failed)?;
        Ok(())
    }

    /// Keeps what the syncs made of the rows of many people.
    pub fn reviewed_run(&self, run: &ReviewedRun) -> Result<()> {
        if run.people.is_empty() {
            return Ok(());
        }
        self.db
            .prepare_cached("INSERT INTO reviewed_run VALUES (?1, ?2, ?3)")
            .and_then(|mut insert| insert.execute(params![Text(&run.first), Text(&run.last), run.people]))
            .map_err(failed)?;
        Ok(())
    }

    /// What the syncs made of this person's row, if it was evaluated.
    pub fn reviewed_of(&self, key: &Key) -> Result<Option<Vec<Option<Reviewed>>>> {
        let alone: Option<Vec<u8>> = self
            .db
            .prepare_cached("SELECT by_sync FROM reviewed WHERE key = ?1")
            .and_then(|mut query| query.query_row([key.as_str()], |row| row.get(0)).optional())
            .map_err(failed)?;
        if let Some(bytes) = alone {
            return by_sync(&bytes).map(Some);
        }
        let sql = "SELECT last, people FROM reviewed_run WHERE first <= ?1 ORDER BY first DESC LIMIT 1";
        let mut query = self.db.prepare_cached(sql).map_err(failed)?;
        let mut rows = query.query([key.as_str()]).map_err(failed)?;
        let Some(row) = rows.next().map_err(failed)? else { return Ok(None) };
        if row.get_ref(0).map_err(failed)?.as_str().map_err(|_| damaged())? < key.as_str() {
            return Ok(None);
        }
        let mut found = None;
        each_of_run(row.get_ref(1).map_err(failed)?.as_blob().map_err(|_| damaged())?, |person, bytes| {
            if person == key.as_str().as_bytes() {
                found = Some(by_sync(bytes)?);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Marks that other rows of somebody say otherwise.
    pub fn contested(&self, key: &Key) -> Result<()> {
        self.db
            .prepare_cached("INSERT OR IGNORE INTO contested VALUES (?1)")
            .and_then(|mut insert| insert.execute([key.as_str()]))
            .map_err(failed)?;
        Ok(())
    }

    /// The people of the first run after this key, with what the sync of this number made of their row: nothing where other
    /// rows of theirs say otherwise.
    pub fn reviewed_run_after(&self, after: Option<&Key>, sync: usize) -> Result<Vec<(Key, Option<Reviewed>)>> {
        let sql = "SELECT first, last, people FROM reviewed_run WHERE first > ?1 ORDER BY first LIMIT 1";
        let mut query = self.db.prepare_cached(sql).map_err(failed)?;
        let mut rows = query.query([after.map_or("", Key::as_str)]).map_err(failed)?;
        let Some(row) = rows.next().map_err(failed)? else { return Ok(Vec::new()) };
        let mut contested =
            self.db.prepare_cached("SELECT key FROM contested WHERE key BETWEEN ?1 AND ?2").map_err(failed)?;
        let ends: [String; 2] = [row.get(0).map_err(failed)?, row.get(1).map_err(failed)?];
        let contested: HashSet<Vec<u8>> = contested
            .query_map(ends, |row| Ok(row.get_ref(0)?.as_bytes()?.to_vec()))
            .and_then(Iterator::collect)
            .map_err(failed)?;
        let mut page = Vec::new();
        each_of_run(row.get_ref(2).map_err(failed)?.as_blob().map_err(|_| damaged())?, |key, bytes| {
            let key_text = std::str::from_utf8(key).map_err(|_| damaged())?;
            let of_sync = if contested.contains(key) { None } else { by_sync(bytes)?.get(sync).copied().flatten() };
            page.push((stored_key(key_text)?, of_sync));
            Ok(())
        })?;
        Ok(page)
    }

    /// Those who are in no run, with what the sync of this number made of their row: nothing where other rows of theirs say
    /// otherwise. In the order of keys from the first after this key.
    pub fn reviewed_after(
        &self,
        after: Option<&Key>,
        sync: usize,
        limit: usize,
    ) -> Result<Vec<(Key, Option<Reviewed>)>> {
        let sql = "SELECT r.key, by_sync, c.key IS NOT NULL FROM reviewed r LEFT JOIN contested c USING (key)
                   WHERE r.key > ?1 ORDER BY r.key LIMIT ?2";
        let mut query = self.db.prepare_cached(sql).map_err(failed)?;
        let mut rows = query.query(params![after.map_or("", Key::as_str), int(limit as u64)]).map_err(failed)?;
        let mut page = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let key: String = row.get(0).map_err(failed)?;
            let bytes: Vec<u8> = row.get(1).map_err(failed)?;
            let is_contested: bool = row.get(2).map_err(failed)?;
            let of_sync = if is_contested { None } else { by_sync(&bytes)?.get(sync).copied().flatten() };
            page.push((stored_key(&key)?, of_sync));
        }
        Ok(page)
    }
}

/// Calls `each` with the key and what was made of the row, for each person of a run.
fn each_of_run(mut people: &[u8], mut each: impl FnMut(&[u8], &[u8]) -> Result<()>) -> Result<()> {
    while !people.is_empty() {
        let (_, after_key) = split_first(people).ok_or_else(damaged)?;
        let (_, rest) = split_first(after_key).ok_or_else(damaged)?;
        each(first_text(people).ok_or_else(damaged)?, first_text(after_key).ok_or_else(damaged)?)?;
        people = rest;
    }
    Ok(())
}

/// Appends what each sync made of a row.
fn written(by_sync: &[Option<Reviewed>], bytes: &mut Vec<u8>) {
    for of_sync in by_sync {
        match of_sync {
            None => bytes.push(made::NOTHING),
            Some(Reviewed { was, is, in_scope }) => {
                bytes.push(if *in_scope { made::IN_SCOPE } else { made::EXCLUDED });
                bytes.extend_from_slice(was);
                bytes.extend_from_slice(is);
            }
        }
    }
}

fn damaged() -> Failure {
    Failure::internal("the spool holds something else than fingerprints")
}

fn by_sync(mut bytes: &[u8]) -> Result<Vec<Option<Reviewed>>> {
    const PRINT: usize = size_of::<Fingerprint>();
    let mut by_sync = Vec::new();
    while let Some((made, rest)) = bytes.split_first() {
        bytes = rest;
        if *made == made::NOTHING {
            by_sync.push(None);
            continue;
        }
        let (was, rest) = rest.split_first_chunk::<PRINT>().ok_or_else(damaged)?;
        let (is, rest) = rest.split_first_chunk::<PRINT>().ok_or_else(damaged)?;
        by_sync.push(Some(Reviewed { was: *was, is: *is, in_scope: *made == made::IN_SCOPE }));
        bytes = rest;
    }
    Ok(by_sync)
}
