//! What earlier reads of a source were like: the baseline against which the next one is judged.

use chrono::{DateTime, TimeDelta, Utc};

use super::db::args;
use super::{Command, Db, StateError};
use crate::domain::change_token::ChangeToken;

/// How long before the last trusted read those count that are compared with.
const WINDOW: TimeDelta = TimeDelta::days(7);

/// How long an acceptance waits for its read.
pub const ACCEPTED_FOR: TimeDelta = TimeDelta::hours(24);

/// By how much the clock may be set back without a read being taken for one of the future.
const SLACK: TimeDelta = TimeDelta::hours(1);

/// What is known of earlier reads of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// People in the largest trusted read of the seven days before the last trusted one.
    pub largest: Option<u64>,
    /// People in the read that somebody accepted in the last 24 hours.
    pub accepted: Option<u64>,
}

/// Asks for the baseline.
#[derive(Debug)]
pub struct BaselineOf {
    /// The source.
    pub source: String,
    /// What time it is.
    pub now: DateTime<Utc>,
}

impl Command for BaselineOf {
    type Reply = Known;

    fn run(&self, db: &Db<'_>) -> Result<Known, StateError> {
        let largest: Option<i64> = match last_trusted(db, &self.source, self.now)? {
            None => None,
            Some(last) => db.row(
                "SELECT max(records) FROM trusted_read WHERE source = ?1 AND at BETWEEN ?2 AND ?3",
                args![&self.source, before(last), last],
                |row| row.get(0),
            )?,
        };
        let accepted: Option<i64> = db.one(
            "SELECT people FROM accepted WHERE source = ?1 AND at > ?2 AND at <= ?3",
            args![&self.source, self.now - ACCEPTED_FOR, self.now + SLACK],
            |row| row.get(0),
        )?;
        Ok(Known { largest: largest.map(i64::unsigned_abs), accepted: accepted.map(i64::unsigned_abs) })
    }
}

/// When the last trusted read was. One of the future, made when the clock was wrong, counts only where there is no
/// other: else it would be the last one until the clock has caught up with it.
fn last_trusted(db: &Db<'_>, source: &str, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, StateError> {
    let last: Option<DateTime<Utc>> =
        db.row("SELECT max(at) FROM trusted_read WHERE source = ?1 AND at <= ?2", args![source, now + SLACK], |row| {
            row.get(0)
        })?;
    if last.is_some() {
        return Ok(last);
    }
    db.row("SELECT max(at) FROM trusted_read WHERE source = ?1", args![source], |row| row.get(0))
}

/// Where the window begins that ends with this read.
fn before(last: DateTime<Utc>) -> DateTime<Utc> {
    last - WINDOW
}

/// Remembers a trusted read. One that spends an acceptance is the new baseline: all before it is forgotten.
#[derive(Debug)]
pub struct Trusted {
    /// The source.
    pub source: String,
    /// When.
    pub at: DateTime<Utc>,
    /// How many people were there.
    pub people: u64,
    /// It passed because somebody accepted it.
    pub spends_accept: bool,
}

impl Command for Trusted {
    type Reply = ();

    fn run(&self, db: &Db<'_>) -> Result<(), StateError> {
        if self.spends_accept {
            db.execute("DELETE FROM trusted_read WHERE source = ?1", args![&self.source])?;
        } else {
            forget_old(db, &self.source, self.at)?;
        }
        // Spent, or void by now.
        db.execute(
            "DELETE FROM accepted WHERE source = ?1 AND (?2 OR at <= ?3)",
            args![self.source, self.spends_accept, self.at - ACCEPTED_FOR],
        )?;
        db.execute(
            "INSERT INTO trusted_read (source, at, records) VALUES (?1, ?2, ?3)
             ON CONFLICT (source, at) DO UPDATE SET records = ?3",
            args![self.source, self.at, self.people as i64],
        )?;
        Ok(())
    }
}

/// Forgets what no later read is compared with. The window of the read before this one is kept: should the clock be
/// wrong now, it is right again later.
fn forget_old(db: &Db<'_>, source: &str, at: DateTime<Utc>) -> Result<(), StateError> {
    let Some(last) = last_trusted(db, source, at)? else { return Ok(()) };
    db.execute("DELETE FROM trusted_read WHERE source = ?1 AND at < ?2", args![source, before(last)])?;
    let ahead = at + SLACK;
    if last <= ahead {
        db.execute("DELETE FROM trusted_read WHERE source = ?1 AND at > ?2", args![source, ahead])?;
        return Ok(());
    }
    // All were made when the clock was ahead, or it is behind now: they are as old as one of this moment.
    let largest: i64 =
        db.row("SELECT max(records) FROM trusted_read WHERE source = ?1", args![source], |row| row.get(0))?;
    db.execute("DELETE FROM trusted_read WHERE source = ?1", args![source])?;
    db.execute(
        "INSERT INTO trusted_read (source, at, records) VALUES (?1, ?2, ?3)",
        args![source, at - TimeDelta::milliseconds(1), largest],
    )?;
    Ok(())
}

/// Takes a number of people as the baseline of the next read.
#[derive(Debug)]
pub struct Accept {
    /// The source.
    pub source: String,
    /// When.
    pub at: DateTime<Utc>,
    /// How many people it has now.
    pub people: u64,
}

impl Command for Accept {
    type Reply = ();

    fn run(&self, db: &Db<'_>) -> Result<(), StateError> {
        db.execute(
            "INSERT INTO accepted (source, at, people) VALUES (?1, ?2, ?3)
             ON CONFLICT (source) DO UPDATE SET at = ?2, people = ?3",
            args![self.source, self.at, self.people as i64],
        )?;
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
    /// By which the source tells whether it has changed since.
    pub token: ChangeToken,
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

    fn run(&self, db: &Db<'_>) -> Result<(), StateError> {
        let Some(v) = &self.version else {
            db.execute("DELETE FROM source_version WHERE sync = ?1", args![&self.sync])?;
            return Ok(());
        };
        db.execute(
            "INSERT INTO source_version (sync, source, configuration, token, records, excluded)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (sync) DO UPDATE SET
                 source = ?2, configuration = ?3, token = ?4, records = ?5, excluded = ?6",
            args![self.sync, v.source, v.configuration, v.token.0, v.records as i64, v.excluded as i64],
        )?;
        Ok(())
    }
}

/// Asks for the version on which a sync is clean. None also when something is under way that the same records would
/// move on: a grace that runs, an operation to be resolved, a plan that is held, a pause, a database that was restored.
#[derive(Debug)]
pub struct CleanVersion(pub String);

impl Command for CleanVersion {
    type Reply = Option<Version>;

    fn run(&self, db: &Db<'_>) -> Result<Option<Version>, StateError> {
        let found = db.one(
            "SELECT v.source, v.configuration, v.token, v.records, v.excluded
                 FROM source_version v JOIN sync s ON s.name = v.sync
                 WHERE v.sync = ?1 AND s.paused_at IS NULL AND s.stale = 0
                   AND NOT EXISTS (SELECT 1 FROM person p WHERE p.sync = s.id AND p.absent_since > '')
                   AND NOT EXISTS (SELECT 1 FROM journal j WHERE j.sync = s.id)
                   AND NOT EXISTS (SELECT 1 FROM plan h WHERE h.sync = s.name AND h.status = 'held')
                   AND (SELECT r.status FROM run r WHERE r.sync = s.name AND r.partial = 0
                        ORDER BY r.started_at DESC, r.id DESC LIMIT 1) = 'ok'",
            args![self.0],
            |row| {
                let number = |n| row.get::<i64>(n).map(i64::unsigned_abs);
                Ok(Version {
                    source: row.get(0)?,
                    configuration: row.get(1)?,
                    token: ChangeToken(row.get(2)?),
                    records: number(3)?,
                    excluded: number(4)?,
                })
            },
        )?;
        Ok(found)
    }
}
