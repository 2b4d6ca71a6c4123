//! `state backup`: a whole copy of the database while others write to it; and writing it anew in its place.
//!
//! SQLite copies from one consistent moment, beside whoever writes. The copy is made under another name and gets its
//! own only when it is complete and on disk. It carries a mark, by which it is recognised as a backup when somebody
//! sends with it one day: see [`crate::state::epoch`].

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OpenFlags};

use super::open::{attach, open_existing};
use super::schema;
use crate::domain::error::{Error, StateReason};
use crate::domain::time::rfc3339;
use crate::state::files::{make, parent, side_file};
use crate::state::{Access, StateError};

/// Copies the database to a file that must not exist, readable by its owner alone. `at` is the time.
///
/// # Errors
/// There is no database, the file exists already (64), the disk is full (74).
pub fn backup(database: &Path, to: &Path, at: DateTime<Utc>) -> Result<u64, StateError> {
    if fs::symlink_metadata(to).is_ok() {
        return Err(taken(to));
    }
    let source = open_existing(database)?;
    let part = side_file(to, &format!(".part-{}", std::process::id()));
    let made = copy(&source, &part, at).and_then(|()| name(&part, to));
    let _ = fs::remove_file(&part);
    made?;
    fs::metadata(to).map(|m| m.len()).map_err(|e| failed(to, &e))
}

fn copy(source: &Connection, part: &Path, at: DateTime<Utc>) -> Result<(), StateError> {
    let _ = fs::remove_file(part);
    make(part).map_err(|e| failed(part, &e))?;
    let text = part.to_str().ok_or_else(|| {
        StateError::new(Error::Usage, format!("{} is not UTF-8, and SQLite needs that of a name", part.display()))
    })?;
    source.execute("VACUUM INTO ?1", [text])?;
    let copied = Connection::open_with_flags(part, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    copied.execute_batch("PRAGMA synchronous = FULL; PRAGMA journal_mode = DELETE;")?;
    schema::migrate(&copied)?;
    copied.execute("UPDATE epoch SET backup_at = ?1", [rfc3339(at)])?;
    copied.close().map_err(|(_, e)| StateError::from(e))?;
    File::open(part).and_then(|file| file.sync_all()).map_err(|e| failed(part, &e))
}

/// Gives the copy its name, unless somebody took it meanwhile.
fn name(part: &Path, to: &Path) -> Result<(), StateError> {
    match fs::hard_link(part, to) {
        Ok(()) => {}
        Err(e) if e.kind() == ErrorKind::AlreadyExists => return Err(taken(to)),
        Err(e) => return Err(failed(to, &e)),
    }
    File::open(parent(to)).and_then(|directory| directory.sync_all()).map_err(|e| failed(to, &e))
}

fn taken(to: &Path) -> StateError {
    StateError::new(Error::Usage, format!("{} exists already, and a backup overwrites nothing", to.display()))
        .help("give the backup a name of its own, with the date in it, say")
}

fn failed(to: &Path, error: &std::io::Error) -> StateError {
    StateError::io(format!("cannot write the backup {}: {error}", to.display()))
        .help("see that its directory exists and has room")
}

/// Writes the database anew without what was erased: SQLite leaves the old bytes in free pages and in its log.
///
/// # Errors
/// There is no room for a second copy, or somebody else is writing for too long.
pub fn scrub(database: &Path) -> Result<(), StateError> {
    let db = attach(database, Access::Write)?;
    db.execute_batch("VACUUM")?;
    let mut busy = db.prepare("PRAGMA wal_checkpoint(TRUNCATE)")?;
    let busy: i64 = busy.query_row([], |row| row.get(0))?;
    match busy {
        0 => Ok(()),
        _ => Err(StateError::new(Error::State(StateReason::Busy), "another process keeps the database's log in use")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::exit::Exit;
    use crate::domain::time::instant;
    use crate::state::epoch::{Begun, begin, end};
    use crate::state::journal::{Effect, Settle, Settlement};
    use crate::state::people::{BindSync, Binding};
    use crate::state::{State, open};
    use std::os::unix::fs::PermissionsExt;

    /// A database with one account.
    async fn known(path: &Path) -> State {
        let state = open(path, Access::Write).expect("a state").state;
        let binding = Binding {
            sync: "staff".into(),
            source: "hr".into(),
            target: "t".into(),
            kind: "juno".into(),
            base_url: "http://127.0.0.1/".into(),
            source_key: "id".into(),
            resource: Default::default(),
        };
        let sync = state.ask(BindSync(binding)).await.expect("bound");
        let settlement = Settlement {
            entry: None,
            key: crate::domain::record::Key::parse("E1").expect("a key"),
            at: instant("2026-11-22T00:00:00.000Z"),
            effect: Effect::Confirmed {
                state: crate::domain::rules::PersonState::Active,
                remote_id: "1".into(),
                attributes: crate::domain::value::Attributes::default(),
                fingerprint: None,
            },
            outcome: None,
            replaced: None,
            kept: Default::default(),
        };
        state.ask(Settle { sync, settlements: vec![settlement] }).await.expect("settled");
        state
    }

    #[tokio::test]
    async fn a_backup_is_whole_private_and_never_overwrites() {
        let dir = tempfile::tempdir().expect("a directory");
        let (database, copy) = (dir.path().join("s.db"), dir.path().join("copy.db"));
        let _state = known(&database).await;
        let bytes = backup(&database, &copy, instant("2026-11-22T00:00:00.000Z")).expect("a backup");
        let metadata = fs::metadata(&copy).expect("there");
        assert_eq!((metadata.len(), metadata.permissions().mode() & 0o777), (bytes, 0o600));
        assert_eq!(crate::state::verify(&copy).expect("readable"), Vec::<String>::new());
        assert_eq!(crate::state::info(&copy).expect("readable").users, 1);
        let again = backup(&database, &copy, instant("2026-11-22T00:00:00.000Z")).expect_err("it is there");
        assert_eq!(again.exit(), Exit::Usage);
        assert_eq!(
            fs::read_dir(dir.path())
                .expect("a directory")
                .filter(|e| { e.as_ref().is_ok_and(|e| e.file_name().to_string_lossy().contains(".part-")) })
                .count(),
            0
        );
    }

    #[tokio::test]
    async fn what_was_restored_is_recognised_and_what_was_not_is_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let (database, copy, raw) = (dir.path().join("s.db"), dir.path().join("copy.db"), dir.path().join("raw.db"));
        let state = known(&database).await;
        assert_eq!(begin(&state).await.expect("begun"), Begun::Current);
        end(&state).await.expect("ended");
        backup(&database, &raw, instant("2026-11-22T00:00:00.000Z")).expect("a backup");
        Connection::open(&raw).expect("it").execute("UPDATE epoch SET backup_at = NULL", []).expect("as cp makes it");
        assert_eq!(begin(&state).await.expect("begun"), Begun::Current);
        backup(&database, &copy, instant("2026-11-22T01:00:00.000Z")).expect("a backup in the middle of a run");
        drop(state); // killed: the next sender begins without an end
        let state = open(&database, Access::Write).expect("a state").state;
        assert_eq!(begin(&state).await.expect("begun"), Begun::Current);
        end(&state).await.expect("ended");
        drop(state);
        for (older, backup_at) in [(copy, Some(instant("2026-11-22T01:00:00.000Z"))), (raw, None)] {
            fs::copy(&older, &database).expect("restored");
            let state = open(&database, Access::Write).expect("a state").state;
            assert_eq!(begin(&state).await.expect("begun"), Begun::Restored { backup_at });
            end(&state).await.expect("ended");
            assert_eq!(begin(&state).await.expect("begun"), Begun::Current);
            end(&state).await.expect("ended");
        }
    }
}
