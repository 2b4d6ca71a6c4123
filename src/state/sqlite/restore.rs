//! `state restore`: a backup takes the database's place, marked as one that has to be compared with the targets.
//!
//! The caller holds the sender's lock. The copy is made and proven sound aside, and takes its place in one step: killed at
//! any moment, there is either the old database or the new one, never none. What was there stays under another name.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OpenFlags};

use super::open;
use super::schema::{self, APPLICATION_ID};
use crate::domain::error::{Error, StateReason};
use crate::domain::time;
use crate::state::files::{make, parent, prepare_directory, side_file};
use crate::state::{Access, StateError};

/// What was restored.
#[derive(Debug)]
pub struct RestoredState {
    /// People known in it.
    pub users: i64,
    /// When the backup was made, where it says so.
    pub backup_at: Option<DateTime<Utc>>,
    /// Where the database is that was there before.
    pub kept: Option<PathBuf>,
}

/// Puts a copy of a backup in the place of the database. `stamp` is part of the name that the old one gets.
///
/// # Errors
/// The backup is missing (64) or no sound database of ours (70); the old one is in use (75); the disk fails (74).
pub fn restore(database: &Path, from: &Path, stamp: &str) -> Result<RestoredState, StateError> {
    prepare_directory(database)?;
    let source = fs::metadata(from).map_err(|e| {
        StateError::new(Error::Usage, format!("cannot read the backup {}: {e}", from.display())).help("check its name")
    })?;
    let is_itself = fs::metadata(database).is_ok_and(|d| (d.dev(), d.ino()) == (source.dev(), source.ino()));
    if !source.is_file() || is_itself {
        let what = if is_itself { "is the state database itself" } else { "is no file" };
        return Err(StateError::new(Error::Usage, format!("{} {what}", from.display())).help("name a backup of it"));
    }
    // One name for all: what a killed one left is removed by the next, and there is one at a time.
    let part = side_file(database, ".restore");
    let made = copied(from, &part).and_then(|()| proven(&part, from)).and_then(|(users, backup_at)| {
        let kept = set_aside(database, stamp)?;
        fs::rename(&part, database).map_err(|e| failed(database, &e))?;
        File::open(parent(database)).and_then(|d| d.sync_all()).map_err(|e| failed(database, &e))?;
        Ok(RestoredState { users, backup_at, kept })
    });
    for suffix in ["", "-wal", "-shm", "-journal"] {
        removed(&side_file(&part, suffix)).map_err(|e| failed(&part, &e))?;
    }
    made
}

/// A copy of the file, and of the log beside it, which a copy by other means than `state backup` may have.
fn copied(from: &Path, part: &Path) -> Result<(), StateError> {
    for suffix in ["", "-wal"] {
        let (from, to) = (side_file(from, suffix), side_file(part, suffix));
        removed(&to).map_err(|e| failed(&to, &e))?;
        let mut source = match File::open(&from) {
            Ok(source) => source,
            Err(e) if e.kind() == ErrorKind::NotFound && !suffix.is_empty() => continue,
            Err(e) => return Err(StateError::io(format!("cannot read the backup {}: {e}", from.display()))),
        };
        let mut copy = make(&to).map_err(|e| failed(&to, &e))?;
        std::io::copy(&mut source, &mut copy).map_err(|e| failed(&to, &e))?;
    }
    Ok(())
}

/// Sees that the copy is a sound database of ours, and marks it. Of the backup: people known, and when it was made.
fn proven(part: &Path, from: &Path) -> Result<(i64, Option<DateTime<Utc>>), StateError> {
    let refused = |why: &str| {
        StateError::damaged(format!("the backup {} can't be used: {why}", from.display()))
            .help("take another one; the state database was not touched")
    };
    let length = fs::metadata(part).map_err(|e| failed(part, &e))?.len();
    if length == 0 {
        return Err(refused("it is empty"));
    }
    let db = Connection::open_with_flags(part, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let broken = |error: rusqlite::Error| refused(&format!("it is no SQLite database, or damaged ({error})"));
    let id: i32 = db.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(broken)?;
    if id != APPLICATION_ID {
        return Err(refused("it is another program's database"));
    }
    let sound: String = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(broken)?;
    if sound != "ok" {
        return Err(refused("it is damaged"));
    }
    schema::migrate(&db)?;
    db.execute_batch("PRAGMA synchronous = FULL; PRAGMA journal_mode = DELETE; UPDATE sync SET stale = 1;")?;
    let users = db.query_row("SELECT count(*) FROM v_users", [], |row| row.get(0))?;
    let backup_at: Option<String> = db.query_row("SELECT backup_at FROM epoch", [], |row| row.get(0))?;
    let time = |text: String| time::parse(&text).ok_or_else(|| refused("it does not say when it was made"));
    let backup_at = backup_at.map(time).transpose()?;
    db.close().map_err(|(_, e)| StateError::from(e))?;
    File::open(part).and_then(|file| file.sync_all()).map_err(|e| failed(part, &e))?;
    Ok((users, backup_at))
}

/// Gives the database that is there a second name, and brings all that belongs to it into the one file: the log of the old
/// one must not be played into the new one.
fn set_aside(database: &Path, stamp: &str) -> Result<Option<PathBuf>, StateError> {
    if !database.try_exists().map_err(|e| failed(database, &e))? {
        return Ok(None);
    }
    let kept = side_file(database, &format!(".before-{stamp}"));
    let log = side_file(database, "-wal");
    let is_whole = match open::connect(database, Access::Write) {
        Ok(db) => {
            let in_use: bool = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
            db.close().map_err(|(_, e)| StateError::from(e))?;
            !in_use
        }
        // A damaged one is kept as it is, with its log.
        Err(error) if error.error == Error::State(StateReason::Damaged) => {
            if log.exists() {
                fs::rename(&log, side_file(&kept, "-wal")).map_err(|e| failed(&log, &e))?;
            }
            true
        }
        Err(error) => return Err(error),
    };
    let is_empty = fs::metadata(&log).map_or(true, |log| log.len() == 0);
    if !is_whole || !is_empty {
        return Err(StateError::new(Error::State(StateReason::Busy), "another process has the state database open")
            .help("wait until other rosterd commands have ended, and try again"));
    }
    for suffix in ["-wal", "-shm"] {
        removed(&side_file(database, suffix)).map_err(|e| failed(database, &e))?;
    }
    fs::hard_link(database, &kept).map_err(|e| failed(&kept, &e))?;
    Ok(Some(kept))
}

fn removed(file: &Path) -> std::io::Result<()> {
    match fs::remove_file(file) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

fn failed(path: &Path, error: &std::io::Error) -> StateError {
    StateError::io(format!("cannot write {}: {error}", path.display())).help("see that its disk has room")
}
