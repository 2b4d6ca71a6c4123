//! Whether this is still the database that was sent with last: a restored backup knows nothing of what was done since.
//!
//! Three marks tell. A copy that `state backup` makes says so itself. A number that grows when somebody begins and when
//! they end sending is in the database and in a file beside it (`NAME.epoch`): a database whose number is behind the
//! file's is older than the last run, and one whose file is missing came from elsewhere. And the same number is kept
//! outside of the state's directory ([`super::runtime`]), under a number that the database has of its own: so a directory
//! that was put back whole is noticed too, for as long as that file lives, which is until the machine is started anew.
//! What is behind is not refused: every sync in it is marked, and compares its accounts with the target before it plans
//! anything.
//!
//! A mark is written after the database. Killed in between, the database is ahead of it, which is never a sign of age; a
//! mark that is ahead was written for a later state of this very database. A state that was moved to another machine finds
//! no mark there, and none is missed.

use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::db::args;
use super::files::{self, Use, side_file};
use super::{Command, Db, State, StateError, runtime};
use crate::domain::ids::SyncId;

/// No state is sent with so often: what claims to be as high is no number of ours.
const HIGHEST: i64 = 1 << 52;

/// A number is shorter than this.
const LONGEST: u64 = 64;

/// The number beside the database, and the one elsewhere.
#[derive(Clone, Debug)]
pub struct RestoreMark {
    beside: NumberFile,
    database: PathBuf,
}

impl RestoreMark {
    /// The ones of this database.
    pub fn beside(database: &Path) -> RestoreMark {
        RestoreMark { beside: NumberFile(side_file(database, ".epoch")), database: database.to_path_buf() }
    }

    /// The mark outside of the state's directory, where this process can have one.
    fn elsewhere(&self, id: &str) -> Option<NumberFile> {
        let directory = runtime::directory(&self.database).or_else(|| runtime::shared(&self.database))?;
        Some(NumberFile(directory.join(format!("rosterd-{id}.epoch"))))
    }

    /// The highest number that was seen elsewhere. It only adds to what the database knows: that it can't be read stops
    /// nobody.
    fn seen_elsewhere(&self, id: &str) -> Option<i64> {
        self.elsewhere(id)?.read().unwrap_or_else(|error| {
            tracing::debug!(%error, "the mark outside of the state's directory can't be read");
            None
        })
    }

    fn write(&self, id: &str, epoch: i64) -> Result<(), StateError> {
        self.beside.write(epoch)?;
        if let Some(Err(error)) = self.elsewhere(id).map(|file| file.write(epoch)) {
            tracing::debug!(%error, "no mark is kept outside of the state's directory");
        }
        Ok(())
    }
}

#[derive(Clone, Debug)]
struct NumberFile(PathBuf);

impl NumberFile {
    /// The number in it; none when it is missing or can't be understood.
    fn read(&self) -> Result<Option<i64>, StateError> {
        let Some(file) = files::open(&self.0, Use::Look)? else { return Ok(None) };
        let mut bytes = Vec::new();
        let read = file.take(LONGEST).read_to_end(&mut bytes);
        read.map_err(|e| StateError::io(format!("cannot read {}: {e}", self.0.display())))?;
        Ok(std::str::from_utf8(&bytes)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .filter(|n| (0..HIGHEST).contains(n)))
    }

    fn write(&self, epoch: i64) -> Result<(), StateError> {
        let trouble = |e: std::io::Error| StateError::io(format!("cannot write {}: {e}", self.0.display()));
        let mut file = files::open(&self.0, Use::Make)?.ok_or_else(|| trouble(ErrorKind::NotFound.into()))?;
        // In place and in one write: a file that is torn by a power cut is as good as missing, which is safe.
        let written = file.set_len(0).and_then(|()| file.write_all(format!("{epoch}\n").as_bytes()));
        written.and_then(|()| file.sync_all()).map_err(trouble)
    }
}

/// What beginning to send found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// The database that was sent with last, or a new one.
    Current,
    /// An older one: every sync in it must compare with its target first.
    Restored {
        /// When the backup was made, where it says so.
        backup_at: Option<DateTime<Utc>>,
    },
}

/// Marks the beginning of sending, by the holder of the sender's lock, and tells whether the database was restored. One
/// in memory never was.
///
/// # Errors
/// The database or the file beside it can't be written.
pub async fn begin(state: &State) -> Result<Begun, StateError> {
    let Some(mark) = state.mark() else { return Ok(Begun::Current) };
    let id = state.ask(IdOf).await?;
    let seen = mark.beside.read()?;
    let (epoch, begun) = state.ask(BeginEpoch { beside: seen, elsewhere: mark.seen_elsewhere(&id) }).await?;
    mark.write(&id, epoch)?;
    Ok(begun)
}

/// Marks the end of sending.
///
/// # Errors
/// As [`begin`].
pub async fn end(state: &State) -> Result<(), StateError> {
    let Some(mark) = state.mark() else { return Ok(()) };
    let (id, epoch) = state.ask(EndEpoch).await?;
    mark.write(&id, epoch)
}

/// The number that the database has of its own.
#[derive(Debug)]
struct IdOf;

impl Command for IdOf {
    type Reply = String;

    fn run(&self, db: &Db<'_>) -> Result<String, StateError> {
        db.row("SELECT coalesce(id, '') FROM epoch", args![], |row| row.get(0))
    }
}

/// Compares the database's number with the one beside it, marks every sync where it is behind, and counts on.
#[derive(Debug)]
struct BeginEpoch {
    beside: Option<i64>,
    elsewhere: Option<i64>,
}

impl Command for BeginEpoch {
    type Reply = (i64, Begun);

    fn run(&self, db: &Db<'_>) -> Result<Self::Reply, StateError> {
        let (epoch, backup_at): (i64, Option<DateTime<Utc>>) =
            db.row("SELECT n, backup_at FROM epoch", args![], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let people: bool = db.exists("SELECT 1 FROM person WHERE state > 0 LIMIT 1", args![])?;
        let behind = match self.beside {
            Some(beside) => beside > epoch,
            // A database that was never sent with since it knows of epochs has no file yet.
            None => epoch > 0,
        } || self.elsewhere.is_some_and(|elsewhere| elsewhere > epoch);
        let highest = [self.beside, self.elsewhere].into_iter().flatten().fold(epoch, i64::max);
        let next = highest.saturating_add(1);
        db.execute("UPDATE epoch SET n = ?1, backup_at = NULL", args![next])?;
        if !people || !(behind || backup_at.is_some()) {
            return Ok((next, Begun::Current));
        }
        db.execute("UPDATE sync SET stale = 1", args![])?;
        Ok((next, Begun::Restored { backup_at }))
    }
}

#[derive(Debug)]
struct EndEpoch;

impl Command for EndEpoch {
    type Reply = (String, i64);

    fn run(&self, db: &Db<'_>) -> Result<Self::Reply, StateError> {
        let mut counted = db.prepare("UPDATE epoch SET n = n + 1 RETURNING coalesce(id, ''), n")?;
        counted.row(args![], |row| Ok((row.get(0)?, row.get(1)?)))
    }
}

/// Whether a sync's accounts have to be compared with the target before anything is planned.
#[derive(Debug)]
pub struct IsStale(pub SyncId);

impl Command for IsStale {
    type Reply = bool;

    fn run(&self, db: &Db<'_>) -> Result<bool, StateError> {
        let found: Option<bool> = db.one("SELECT stale FROM sync WHERE id = ?1", args![self.0], |row| row.get(0))?;
        Ok(found.unwrap_or(false))
    }
}

/// A sync's accounts have been compared.
#[derive(Debug)]
pub struct IsFresh(pub SyncId);

impl Command for IsFresh {
    type Reply = ();

    fn run(&self, db: &Db<'_>) -> Result<(), StateError> {
        db.execute("UPDATE sync SET stale = 0 WHERE id = ?1", args![self.0])?;
        Ok(())
    }
}
