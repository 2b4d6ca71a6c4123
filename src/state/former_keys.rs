//! Keys that people had before HR gave them others: whose the rows of the ledger are.
//!
//! A row keeps the key under which it was written. It is the person's who had that key then: a former key counts up to
//! the number of the last row that was written before it was given up, so that whoever gets the same key later has a
//! history of their own.

use chrono::{DateTime, Utc};

use super::db::args;
use super::{Command, Db, Row, StateError};
use crate::domain::record::Key;

/// Rows of the ledger under a former key of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormerKey {
    /// The sync.
    pub sync: String,
    /// The key that they had.
    pub old: String,
    /// The key that they have now.
    pub new: String,
    /// The rows after this one …
    pub after: i64,
    /// … and up to this one.
    pub upto: i64,
    /// When they got another key.
    pub at: DateTime<Utc>,
}

const COLUMNS: &str = "sync, old, new,
    coalesce((SELECT max(g.upto) FROM former_key g WHERE g.old = f.old AND g.sync = f.sync AND g.upto < f.upto), 0),
    upto, at";

fn former_key(row: &Row<'_>) -> Result<FormerKey, StateError> {
    Ok(FormerKey {
        sync: row.get(0)?,
        old: row.get(1)?,
        new: row.get(2)?,
        after: row.get(3)?,
        upto: row.get(4)?,
        at: row.get(5)?,
    })
}

/// The former keys of whoever has this key now, in this sync or in any.
pub(super) fn of(db: &Db<'_>, sync: Option<&str>, key: &str) -> Result<Vec<FormerKey>, StateError> {
    found(db, "new", sync, key)
}

/// Those who had this key and have another by now, in this sync or in any; the first to give it up first.
pub(super) fn given_up(db: &Db<'_>, sync: Option<&str>, key: &str) -> Result<Vec<FormerKey>, StateError> {
    found(db, "old", sync, key)
}

fn found(db: &Db<'_>, column: &str, sync: Option<&str>, key: &str) -> Result<Vec<FormerKey>, StateError> {
    let of = format!("SELECT {COLUMNS} FROM former_key f WHERE f.{column} = ?1");
    match sync {
        Some(sync) => db.rows(&format!("{of} AND f.sync = ?2 ORDER BY upto, id"), args![key, sync], former_key),
        None => db.rows(&format!("{of} ORDER BY upto, id"), args![key], former_key),
    }
}

/// After which row of the ledger rows of a key are of whoever has it now.
pub(super) fn taken_over(db: &Db<'_>, sync: &str, key: &str) -> Result<i64, StateError> {
    Ok(given_up(db, Some(sync), key)?.last().map_or(0, |last| last.upto))
}

/// Where in the ledger somebody's rows are: the keys, and for each the rows after one and up to another.
pub(super) fn spans(db: &Db<'_>, sync: &str, key: &str) -> Result<Vec<(String, i64, i64)>, StateError> {
    let former = of(db, Some(sync), key)?.into_iter().map(|former| (former.old, former.after, former.upto));
    Ok([(key.to_string(), taken_over(db, sync, key)?, i64::MAX)].into_iter().chain(former).collect())
}

/// Writes down that whoever had the old key has the new one.
pub(super) fn moved(db: &Db<'_>, sync: &str, old: &str, new: &str, at: DateTime<Utc>) -> Result<(), StateError> {
    db.execute("UPDATE former_key SET new = ?3 WHERE sync = ?1 AND new = ?2", args![sync, old, new])?;
    let upto: i64 = db.row("SELECT coalesce(max(id), 0) FROM outcome", args![], |row| row.get(0))?;
    // Nothing was written since somebody else gave the same key up: no row is of this one.
    if taken_over(db, sync, old)? < upto {
        db.execute(
            "INSERT INTO former_key (sync, old, new, upto, at) VALUES (?1, ?2, ?3, ?4, ?5)",
            args![sync, old, new, upto, at],
        )?;
    }
    Ok(())
}

/// Forgets which keys somebody had.
pub(super) fn forget(db: &Db<'_>, sync: &str, key: &str) -> Result<u64, StateError> {
    db.execute("DELETE FROM former_key WHERE sync = ?1 AND new = ?2", args![sync, key])
}

/// Forgets former keys of which the ledger has no row any more. The numbers of the last rows are given to others once those
/// are pruned, so what is kept ends with the last row that there is.
pub(super) fn prune(db: &Db<'_>) -> Result<(), StateError> {
    let bounds = "SELECT coalesce(min(id), 1), coalesce(max(id), 0) FROM outcome";
    let (first, last) = db.row(bounds, args![], |row| Ok((row.get::<i64>(0)?, row.get::<i64>(1)?)))?;
    db.execute("UPDATE former_key SET upto = ?1 WHERE upto > ?1", args![last])?;
    db.execute("DELETE FROM former_key WHERE upto < ?1", args![first])?;
    Ok(())
}

/// Asks which keys whoever has this one had, and who had this one.
#[derive(Debug)]
pub struct KeyHistory {
    /// Of this sync alone.
    pub sync: Option<String>,
    /// The key.
    pub key: String,
}

/// What is known of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownKeys {
    /// The keys that whoever has it now had before.
    pub before: Vec<FormerKey>,
    /// Those who had it and have another now.
    pub since: Vec<FormerKey>,
}

impl KnownKeys {
    /// The key of whoever had this one last, where nobody got it since.
    pub fn now(&self) -> Option<Key> {
        self.since.last().and_then(|last| Key::parse(&last.new))
    }
}

impl Command for KeyHistory {
    type Reply = KnownKeys;

    fn run(&self, db: &Db<'_>) -> Result<KnownKeys, StateError> {
        let (sync, key) = (self.sync.as_deref(), self.key.as_str());
        let is_another = |former: &FormerKey| former.old != former.new;
        let mut known = KnownKeys { before: of(db, sync, key)?, since: given_up(db, sync, key)? };
        known.before.retain(is_another);
        known.since.retain(is_another);
        Ok(known)
    }
}
