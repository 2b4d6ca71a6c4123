//! What earlier reads of a source were like: the baseline against which the next one is judged.

use rusqlite::{Connection, OptionalExtension, params};

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

/// The version of an export on which a sync was clean: sent everything, rejected nobody, left nothing over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The source.
    pub source: String,
    /// Hash of everything in the configuration that decides what the sync does with it.
    pub configuration: [u8; 32],
    /// `ETag`, as it came.
    pub etag: Option<String>,
    /// `Last-Modified`, as it came.
    pub last_modified: Option<String>,
    /// Good records in it.
    pub records: u64,
    /// Of those, out of scope.
    pub excluded: u64,
}

/// Remembers the version on which a sync was clean; `None` forgets it.
#[derive(Debug)]
pub struct KeepVersion {
    /// The sync.
    pub sync: String,
    /// The version.
    pub version: Option<Version>,
}

impl Command for KeepVersion {
    type Reply = ();

    fn run(self, db: &Connection) -> Result<(), StateError> {
        let Some(v) = self.version else {
            db.prepare_cached("DELETE FROM source_version WHERE sync = ?1")?.execute([&self.sync])?;
            return Ok(());
        };
        db.prepare_cached(
            "INSERT OR REPLACE INTO source_version
             (sync, source, configuration, etag, last_modified, records, excluded) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            self.sync,
            v.source,
            v.configuration.as_slice(),
            v.etag,
            v.last_modified,
            v.records as i64,
            v.excluded as i64,
        ])?;
        Ok(())
    }
}

/// Asks for the version on which a sync is clean. None also when something is under way that the same records would
/// move on: a grace that runs, an operation to be resolved, a plan that is held, a pause.
#[derive(Debug)]
pub struct CleanVersion(pub String);

impl Command for CleanVersion {
    type Reply = Option<Version>;

    fn run(self, db: &Connection) -> Result<Option<Version>, StateError> {
        let found = db
            .prepare_cached(
                "SELECT v.source, v.configuration, v.etag, v.last_modified, v.records, v.excluded
                 FROM source_version v JOIN sync s ON s.name = v.sync
                 WHERE v.sync = ?1 AND s.paused_at IS NULL AND s.stale = 0
                   AND NOT EXISTS (SELECT 1 FROM person p WHERE p.sync = s.id AND p.absent_since IS NOT NULL)
                   AND NOT EXISTS (SELECT 1 FROM journal j WHERE j.sync = s.id)
                   AND NOT EXISTS (SELECT 1 FROM plan h WHERE h.sync = s.name AND h.status = 'held')
                   AND (SELECT r.status FROM run r WHERE r.sync = s.name AND r.partial = 0
                        ORDER BY r.started_at DESC, r.id DESC LIMIT 1) = 'ok'",
            )?
            .query_row([self.0], |row| {
                let number = |n| row.get::<_, i64>(n).map(i64::unsigned_abs);
                Ok(Version {
                    source: row.get(0)?,
                    configuration: row.get(1)?,
                    etag: row.get(2)?,
                    last_modified: row.get(3)?,
                    records: number(4)?,
                    excluded: number(5)?,
                })
            })
            .optional()?;
        Ok(found)
    }
}
