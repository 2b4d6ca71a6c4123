//! Opening the database: who may read it, whether it is whole, whether it is ours; and what `state info` and
//! `state verify` say about it.
//!
//! A file that is there and can't be used is refused and left as it is. An empty file is refused too: a database that
//! was truncated to nothing must not pass for a new one.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use serde::Serialize;

use super::SCHEMA_VERSION;
use super::schema::{self, APPLICATION_ID};
use crate::domain::error::{Error, StateReason};
use crate::state::files::{self, Use, judge_directory, parent, prepare_directory, side_file};
use crate::state::{Access, StateError};

/// How long a statement waits for another process's write to end. Another rosterd's group commit takes milliseconds;
/// a second process that writes for longer than this is stuck.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Every SQLite database begins with these bytes (SQLite file format, section 1.3).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Opens the first connection of this process.
pub fn connect(path: &Path, access: Access) -> Result<Connection, StateError> {
    judge_directory(path)?;
    let seen = match (inspect(path)?, access) {
        (Some(seen), _) => seen,
        (None, Access::Read) => return in_memory(),
        (None, Access::Write | Access::Send) => {
            prepare_directory(path)?;
            create(path)?;
            inspect(path)?.ok_or_else(|| unusable(path, "it is gone as soon as it was made"))?
        }
    };
    opened(path, access, seen)
}

/// [`connect`] to read, where there is a database: to make an empty one takes longer than to look at most others.
pub fn connect_if_there(path: &Path) -> Result<Option<Connection>, StateError> {
    judge_directory(path)?;
    inspect(path)?.map(|seen| opened(path, Access::Read, seen)).transpose()
}

/// Opens the file that was seen.
fn opened(path: &Path, access: Access, seen: (u64, u64)) -> Result<Connection, StateError> {
    let db = attach(path, access)?;
    // By its name: to open it once more, and close it, would give up the locks that the connection holds.
    let now = fs::symlink_metadata(path).map_err(|e| unusable(path, &e.to_string()))?;
    if (now.dev(), now.ino()) != seen {
        let message = format!("{} was replaced while it was being opened", path.display());
        return Err(StateError::new(Error::State(StateReason::Exposed), message)
            .help("find out what else writes there, and try again"));
    }
    Ok(db)
}

/// Opens a connection to a database that this process has inspected, and may have open.
///
/// Locks of files belong to a process, and closing any handle of a file gives up all that the process holds on it
/// (POSIX, fcntl). A look into the file beside an open connection would take away the lock by which other processes
/// know that the database is in use, and the next of them to close it would remove the log under our feet.
pub fn attach(path: &Path, access: Access) -> Result<Connection, StateError> {
    // SQLite is to follow no link, and takes that of the whole path: the directory is resolved before.
    let named = resolved(path)?;
    match (ready(&named, access, OpenFlags::empty()), access) {
        (Err(error), Access::Read) if error.error == Error::State(StateReason::Io) && is_at_rest(path) => {
            match unchanging(&named) {
                Some(named) => ready(Path::new(&named), access, OpenFlags::SQLITE_OPEN_URI),
                None => Err(error),
            }
        }
        (opened, _) => opened,
    }
}

/// Opens it, and sees that it is ours and of a version that is known.
fn ready(path: &Path, access: Access, more: OpenFlags) -> Result<Connection, StateError> {
    let flags = match access {
        Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Access::Write | Access::Send => OpenFlags::SQLITE_OPEN_READ_WRITE,
    };
    let flags = flags | more | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let db = Connection::open_with_flags(path, flags)?;
    configure(&db)?;
    check_ownership(&db, path)?;
    match access {
        Access::Write | Access::Send => {
            db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
            schema::migrate(&db)?;
        }
        Access::Read => check_version(&db)?,
    }
    Ok(db)
}

/// Whether nobody has it open: everything is in the one file then.
fn is_at_rest(path: &Path) -> bool {
    ["-wal", "-shm"].iter().all(|suffix| !side_file(path, suffix).exists())
}

/// The name by which a database in a directory that can't be written is read: SQLite would make its side files there
/// (SQLite, "Uniform Resource Identifiers", `immutable`).
fn unchanging(path: &Path) -> Option<String> {
    const AS_IT_IS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.');
    Some(format!("file:{}?immutable=1", utf8_percent_encode(path.to_str()?, AS_IT_IS)))
}

/// An empty database in memory.
pub fn in_memory() -> Result<Connection, StateError> {
    let db = Connection::open_in_memory()?;
    configure(&db)?;
    schema::migrate(&db)?;
    Ok(db)
}

/// Statement cache and waiting. 16 MB of page cache holds the narrow table of some hundred thousand people.
fn configure(db: &Connection) -> Result<(), StateError> {
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.set_prepared_statement_cache_capacity(128);
    plan_statements_once(db)?;
    db.execute_batch("PRAGMA cache_size = -8000; PRAGMA foreign_keys = ON; PRAGMA temp_store = FILE;")?;
    Ok(())
}

/// Keeps SQLite from planning a statement anew whenever other values are bound to it, in the hope of a better plan for
/// just these: with short statements on indexed columns the planning takes many times as long as the work.
pub fn plan_statements_once(db: &Connection) -> Result<(), StateError> {
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Creates the database aside and puts it in its place whole: killed at any moment, there is either no database or a
/// complete one, so that an empty file can always be refused as damage.
fn create(path: &Path) -> Result<(), StateError> {
    let made = side_file(path, &format!(".new-{}", std::process::id()));
    let _ = fs::remove_file(&made);
    let result =
        create_aside(&made).and_then(|()| drop_orphans(path)).and_then(|()| match fs::hard_link(&made, path) {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(unusable(path, &e.to_string())),
            _ => File::open(parent(path)).and_then(|d| d.sync_all()).map_err(|e| unusable(path, &e.to_string())),
        });
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(side_file(&made, suffix));
    }
    result
}

/// Removes the side files of a database that was removed without them: SQLite would play their pages into the new one.
fn drop_orphans(path: &Path) -> Result<(), StateError> {
    for suffix in ["-wal", "-shm"] {
        // Once there is a database, because somebody else was quicker, they are its own.
        if !path.exists()
            && let Err(e) = fs::remove_file(side_file(path, suffix))
            && e.kind() != std::io::ErrorKind::NotFound
        {
            return Err(unusable(path, &e.to_string()));
        }
    }
    Ok(())
}

fn create_aside(path: &Path) -> Result<(), StateError> {
    files::make(path).map_err(|e| unusable(path, &e.to_string()))?;
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // In WAL mode from the first: switching where others can see it would leave, after a kill, a rollback journal that
    // nobody who only reads could play back.
    db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
    schema::migrate(&db)?;
    // Everything must be in the one file before that has its name. Closing does this too, and does not say when it can't.
    let (busy, left): (bool, i64) =
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if busy || left != 0 {
        return Err(unusable(path, "it can't be written whole"));
    }
    db.close().map_err(|(_, e)| e.into())
}

/// Refuses what must not be used, before SQLite sees it; tells which file it is (device and number). Nothing where there
/// is none.
fn inspect(path: &Path) -> Result<Option<(u64, u64)>, StateError> {
    let Some(mut file) = files::open(path, Use::Look)? else { return Ok(None) };
    let metadata = file.metadata().map_err(|e| unusable(path, &e.to_string()))?;
    for beside in [side_file(path, "-wal"), side_file(path, "-shm")] {
        match fs::symlink_metadata(&beside) {
            Ok(metadata) => files::judge(&beside, &metadata)?,
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(unusable(path, &e.to_string())),
        }
    }
    let mut head = [0u8; 16];
    if metadata.size() == 0 {
        return Err(damaged(path, "it is empty"));
    }
    file.read_exact(&mut head).map_err(|_| damaged(path, "it is cut off"))?;
    if &head != MAGIC {
        return Err(damaged(path, "it is not an SQLite database"));
    }
    Ok(Some((metadata.dev(), metadata.ino())))
}

/// The path with its directory as it is without links.
fn resolved(path: &Path) -> Result<PathBuf, StateError> {
    let directory = fs::canonicalize(parent(path)).map_err(|e| unusable(path, &e.to_string()))?;
    Ok(path.file_name().map_or_else(|| path.to_path_buf(), |name| directory.join(name)))
}

fn check_ownership(db: &Connection, path: &Path) -> Result<(), StateError> {
    let id: i32 = db.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if id != APPLICATION_ID && tables > 0 {
        return Err(damaged(path, "it is another program's database"));
    }
    check_version(db)
}

fn check_version(db: &Connection) -> Result<(), StateError> {
    let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version > SCHEMA_VERSION { Err(schema::newer(version)) } else { Ok(()) }
}

/// Whether the database is there, and an older program's.
pub fn is_older(path: &Path) -> Result<bool, StateError> {
    let version = |db: Connection| db.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
    Ok(path.exists() && version(connect(path, Access::Read)?)? < SCHEMA_VERSION)
}

/// A connection to tables of this program's version. Who only reads changes nothing, and an older program may be using the
/// file: of an older version a private copy is brought up, which is gone with its connection.
pub fn of_this_version(db: Connection) -> Result<Connection, StateError> {
    let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version == SCHEMA_VERSION {
        return Ok(db);
    }
    let cannot =
        |why: &str| StateError::io(format!("cannot copy the state database, which is an older program's: {why}"));
    let file = tempfile::NamedTempFile::new().map_err(|e| cannot(&e.to_string()))?;
    let path = file.path().to_str().ok_or_else(|| cannot("the name of the temporary directory is not UTF-8"))?;
    db.execute("VACUUM INTO ?1", [path])?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let copy = Connection::open_with_flags(path, flags)?;
    configure(&copy)?;
    copy.execute_batch("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;")?;
    schema::migrate(&copy)?;
    Ok(copy)
}

fn unusable(path: &Path, why: &str) -> StateError {
    StateError::io(format!("cannot use the state database {}: {why}", path.display()))
}

fn damaged(path: &Path, why: &str) -> StateError {
    StateError::damaged(format!("the state database {} is damaged: {why}", path.display())).help(
        "restore a backup, or, if there never was anything in it, remove the file; it was left as it is, since an \
         empty state would mean creating everybody again",
    )
}

/// What `state info` tells.
#[derive(Debug, Serialize)]
pub struct Info {
    /// The file.
    pub path: PathBuf,
    /// Its schema version.
    pub schema: i64,
    /// SQLite's version.
    pub sqlite: &'static str,
    /// Its size with its side files.
    pub bytes: u64,
    /// People known.
    pub users: i64,
    /// Rows of the ledger.
    pub outcomes: i64,
}

/// Describes the database.
///
/// # Errors
/// It is missing, or can't be used.
pub fn info(path: &Path) -> Result<Info, StateError> {
    let db = open_existing(path)?;
    let bytes = ["", "-wal", "-shm"]
        .iter()
        .filter_map(|suffix| fs::metadata(side_file(path, suffix)).ok())
        .map(|m| m.size())
        .sum();
    Ok(Info {
        path: path.to_path_buf(),
        schema: db.query_row("PRAGMA user_version", [], |row| row.get(0))?,
        sqlite: rusqlite::version(),
        bytes,
        // Those of v_users, by an index.
        users: db.query_row(
            "SELECT count(*) FROM sync JOIN person ON person.sync = sync.id WHERE state > 0",
            [],
            |row| row.get(0),
        )?,
        outcomes: db.query_row("SELECT count(*) FROM outcome", [], |row| row.get(0))?,
    })
}

/// Reads the whole database and lists what is wrong with it; empty when all is well.
///
/// # Errors
/// It is missing, or can't be opened at all.
pub fn verify(path: &Path) -> Result<Vec<String>, StateError> {
    let db = open_existing(path)?;
    let mut findings: Vec<String> =
        db.prepare("PRAGMA integrity_check")?.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    findings.retain(|line| line != "ok");
    for (sql, what) in PROMISES {
        let count: i64 = db.query_row(sql, [], |row| row.get(0))?;
        if count > 0 {
            findings.push(format!("{count} {what}"));
        }
    }
    Ok(findings)
}

/// What must hold beyond SQLite's own integrity: each query counts the rows that break a promise.
const PROMISES: &[(&str, &str)] = &[
    (
        "SELECT count(*) FROM person p WHERE state IN (1, 2, 3) AND NOT EXISTS \
         (SELECT 1 FROM body b WHERE b.sync = p.sync AND b.key = p.key)",
        "people with an account but without acknowledged values",
    ),
    ("SELECT count(*) FROM person WHERE state IN (1, 2) AND remote_id IS NULL", "accounts without a remote id"),
    (
        "SELECT count(*) FROM journal j WHERE NOT EXISTS (SELECT 1 FROM run r WHERE r.id = j.run)",
        "journal entries without a run",
    ),
    (
        "SELECT count(*) FROM body WHERE NOT json_valid(attributes) OR (observed IS NOT NULL AND NOT json_valid(observed))",
        "people whose values can't be read",
    ),
];

/// Opens a database to read, which must be there.
pub fn open_existing(path: &Path) -> Result<Connection, StateError> {
    if !path.exists() {
        return Err(StateError::new(
            Error::State(StateReason::Missing),
            format!("there is no state database at {}", path.display()),
        )
        .help("the first `rosterd sync` creates it"));
    }
    connect(path, Access::Read)
}
