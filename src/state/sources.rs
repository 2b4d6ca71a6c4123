//! What earlier reads of a source were like: the baseline against which the next one is judged.

use rusqlite::{Connection, params};

use super::{Command, StateError};

/// What is known of earlier reads of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Records of the largest trusted read since the time asked for.
    pub largest: Option<u64>,
    /// Somebody said: take the next read as it is.
    pub accepted: bool,
}

/// Asks for the baseline.
#[derive(Debug)]
pub struct BaselineOf {
    /// The source.
    pub source: String,
    /// Reads before this time (RFC 3339) don't count.
    pub since: String,
}

impl Command for BaselineOf {
    type Reply = Known;

    fn run(self, db: &Connection) -> Result<Known, StateError> {
        let largest: Option<i64> = db
            .prepare_cached("SELECT max(records) FROM trusted_read WHERE source = ?1 AND at >= ?2")?
            .query_row([&self.source, &self.since], |row| row.get(0))?;
        let accepted = db.prepare_cached("SELECT 1 FROM accepted WHERE source = ?1")?.exists([&self.source])?;
        Ok(Known { largest: largest.map(i64::unsigned_abs), accepted })
    }
}

/// Remembers a trusted read. One that spends an acceptance is the new baseline: all before it is forgotten.
#[derive(Debug)]
pub struct Trusted {
    /// The source.
    pub source: String,
    /// When, RFC 3339.
    pub at: String,
    /// How many records.
    pub records: u64,
    /// It passed because somebody accepted it.
    pub spends_accept: bool,
    /// Reads before this time are forgotten in any case.
    pub forget_before: String,
}

impl Command for Trusted {
    type Reply = ();

    fn run(self, db: &Connection) -> Result<(), StateError> {
        let horizon = if self.spends_accept { &self.at } else { &self.forget_before };
        db.prepare_cached("DELETE FROM trusted_read WHERE source = ?1 AND at < ?2")?
            .execute([&self.source, horizon])?;
        if self.spends_accept {
            db.prepare_cached("DELETE FROM accepted WHERE source = ?1")?.execute([&self.source])?;
        }
        db.prepare_cached("INSERT OR REPLACE INTO trusted_read (source, at, records) VALUES (?1, ?2, ?3)")?
            .execute(params![self.source, self.at, self.records as i64])?;
        Ok(())
    }
}

/// Takes the next read that passes every other check, however small it is.
#[derive(Debug)]
pub struct Accept {
    /// The source.
    pub source: String,
    /// When, RFC 3339.
    pub at: String,
}

impl Command for Accept {
    type Reply = ();

    fn run(self, db: &Connection) -> Result<(), StateError> {
        db.prepare_cached("INSERT OR REPLACE INTO accepted (source, at) VALUES (?1, ?2)")?
            .execute([&self.source, &self.at])?;
        Ok(())
    }
}
