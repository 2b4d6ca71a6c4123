//! People whose rows were evaluated while they were read, since their fingerprints are others than those that are known, and
//! for whom nothing is to be done.

use rusqlite::{OptionalExtension, params};

use super::{Spool, Text, failed, int, stored_key};
use crate::domain::error::{Failure, Result};
use crate::domain::operation::Fingerprint;
use crate::domain::record::Key;
use crate::source::compare::Reviewed;

pub(super) const SCHEMA: &str = "
    -- by_sync: for each sync a byte of what it came to, and for those that were evaluated the fingerprint that is known and
    -- the one that is right now. contested: another row of theirs says otherwise.
    CREATE TABLE reviewed (key TEXT PRIMARY KEY, by_sync BLOB NOT NULL, contested INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
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

impl Spool {
    /// Keeps what the syncs made of somebody's row.
    pub fn reviewed(&self, key: &[u8], by_sync: &[Option<Reviewed>]) -> Result<()> {
        let mut bytes = Vec::with_capacity(by_sync.len() * 33);
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
        self.db
            .prepare_cached("INSERT OR REPLACE INTO reviewed (key, by_sync) VALUES (?1, ?2)")
            .and_then(|mut insert| insert.execute(params![Text(key), bytes]))
            .map_err(failed)?;
        Ok(())
    }

    /// What the syncs made of this person's row, if it was evaluated.
    pub fn reviewed_of(&self, key: &Key) -> Result<Option<Vec<Option<Reviewed>>>> {
        let found: Option<Vec<u8>> = self
            .db
            .prepare_cached("SELECT by_sync FROM reviewed WHERE key = ?1")
            .and_then(|mut query| query.query_row([key.as_str()], |row| row.get(0)).optional())
            .map_err(failed)?;
        found.map(|bytes| by_sync(&bytes)).transpose()
    }

    /// Marks that other rows of somebody say otherwise.
    pub fn contested(&self, key: &Key) -> Result<()> {
        self.db
            .prepare_cached("UPDATE reviewed SET contested = 1 WHERE key = ?1")
            .and_then(|mut update| update.execute([key.as_str()]))
            .map_err(failed)?;
        Ok(())
    }

    /// Those whose only row was evaluated, with what the sync of this number made of it, in the order of keys from the first
    /// after this key.
    pub fn reviewed_after(
        &self,
        after: Option<&Key>,
        sync: usize,
        limit: usize,
    ) -> Result<Vec<(Key, Option<Reviewed>)>> {
        let mut query = self
            .db
            .prepare_cached("SELECT key, by_sync FROM reviewed WHERE key > ?1 AND contested = 0 ORDER BY key LIMIT ?2")
            .map_err(failed)?;
        let mut rows = query.query(params![after.map_or("", Key::as_str), int(limit as u64)]).map_err(failed)?;
        let mut page = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let key: String = row.get(0).map_err(failed)?;
            let bytes: Vec<u8> = row.get(1).map_err(failed)?;
            page.push((stored_key(&key)?, by_sync(&bytes)?.get(sync).copied().flatten()));
        }
        Ok(page)
    }
}

fn by_sync(mut bytes: &[u8]) -> Result<Vec<Option<Reviewed>>> {
    const PRINT: usize = size_of::<Fingerprint>();
    let damaged = || Failure::internal("the spool holds something else than fingerprints");
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
