//! A new key for somebody: HR issued their number anew, and what is known of them goes with it.

use chrono::{DateTime, Utc};

use super::db::args;
use super::people_writer::PeopleWriter;
use super::{Command, Db, StateError, former_keys};
use crate::domain::ids::SyncId;
use crate::domain::record::Key;

/// What giving somebody a new key came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rekeyed {
    /// Done.
    Done,
    /// Nobody has the old key.
    Unknown,
    /// Somebody with an account has the new one.
    Taken,
    /// An operation under one of the keys has no answer yet.
    Unresolved,
}

/// Gives a person the key that HR issued anew: everything that is known of them goes with it, and the next run
/// compares their new record with it. Rows of the ledger stay as they were written, and are found by the new key from
/// here on ([`super::former_keys`]).
#[derive(Debug)]
pub struct Rekey {
    /// Whose.
    pub sync: SyncId,
    /// The key they had.
    pub old: Key,
    /// The key they have.
    pub new: Key,
    /// When.
    pub at: DateTime<Utc>,
}

impl Command for Rekey {
    type Reply = Rekeyed;

    fn run(&self, db: &Db<'_>) -> Result<Rekeyed, StateError> {
        let (old, new) = (self.old.as_str(), self.new.as_str());
        let known = "SELECT 1 FROM person WHERE sync = ?1 AND key = ?2 AND state > 0";
        if !db.exists(known, args![self.sync, old])? {
            return Ok(Rekeyed::Unknown);
        }
        if db.exists(known, args![self.sync, new])? {
            return Ok(Rekeyed::Taken);
        }
        let open = "SELECT 1 FROM journal WHERE sync = ?1 AND key IN (?2, ?3)";
        if db.exists(open, args![self.sync, old, new])? {
            return Ok(Rekeyed::Unresolved);
        }
        // What may be there of the new key is no account: a remark that its record was out of scope, say.
        let people = PeopleWriter::of(db, self.sync);
        people.execute("DELETE FROM person WHERE sync = ?1 AND key = ?2", args![self.sync, new])?;
        db.execute("DELETE FROM body WHERE sync = ?1 AND key = ?2", args![self.sync, new])?;
        people.execute(
            "UPDATE person SET key = ?3, fingerprint = NULL, standing = 0, absent_since = NULL
             WHERE sync = ?1 AND key = ?2",
            args![self.sync, old, new],
        )?;
        // Of a run that wrote to both, what it did to the one who keeps the account counts.
        db.execute(
            "DELETE FROM undo WHERE key = ?3 AND run IN (SELECT run FROM undo WHERE sync = ?1 AND key = ?2)",
            args![self.sync, old, new],
        )?;
        for sql in [
            "UPDATE body SET key = ?3 WHERE sync = ?1 AND key = ?2",
            "UPDATE undo SET key = ?3 WHERE sync = ?1 AND key = ?2",
        ] {
            db.execute(sql, args![self.sync, old, new])?;
        }
        let name: String = db.row("SELECT name FROM sync WHERE id = ?1", args![self.sync], |row| row.get(0))?;
        former_keys::moved(db, &name, old, new, self.at)?;
        Ok(Rekeyed::Done)
    }
}
