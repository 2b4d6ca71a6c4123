//! What has no answer: creates in doubt, looked up once more at the end of their run, and whatever an earlier run left,
//! looked up by the next before anything else is sent for that person.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::db::args;
use super::journal::{Applied, Effect, apply};
use super::people_writer::PeopleWriter;
use super::undo::{self, Undoable};
use super::{Command, Db, Page, StateError};
use crate::domain::ids::{EntryId, RunId, SyncId};
use crate::domain::outcome::Outcome;
use crate::domain::planned::Planned;
use crate::domain::record::Key;

/// A create that brought no usable answer, as it is looked up once more at the end of its run.
#[derive(Debug)]
pub struct UnansweredCreate {
    /// Its entry.
    pub entry: EntryId,
    /// What was sent.
    pub operation: Planned,
    /// What is told of it unless it is found.
    pub outcome: Outcome,
}

/// The next doubtful creates of a run, oldest first.
#[derive(Clone, Debug)]
pub struct UnansweredCreates {
    /// Whose.
    pub sync: SyncId,
    /// Of this run.
    pub run: RunId,
    /// The last entry of the page before; 0 to begin.
    pub after: EntryId,
    /// How many at most.
    pub limit: usize,
}

impl Command for UnansweredCreates {
    type Reply = Vec<UnansweredCreate>;

    fn run(&self, db: &Db<'_>) -> Result<Vec<UnansweredCreate>, StateError> {
        db.rows(
            "SELECT id, operation, doubt FROM journal
             WHERE sync = ?1 AND run = ?2 AND doubt IS NOT NULL AND id > ?3 ORDER BY id LIMIT ?4",
            args![self.sync, self.run, self.after, self.limit as i64],
            |row| {
                Ok(UnansweredCreate {
                    entry: row.get(0)?,
                    operation: serde_json::from_str(&row.get::<String>(1)?)?,
                    outcome: serde_json::from_str(&row.get::<String>(2)?)?,
                })
            },
        )
    }
}

impl Page for UnansweredCreates {
    type Entry = UnansweredCreate;

    fn go_on(&mut self, read: &[UnansweredCreate]) {
        self.after = read.last().map_or(self.after, |doubt| doubt.entry);
    }
}

/// An operation whose fate is to be found out.
#[derive(Clone, Debug, PartialEq)]
pub struct Unresolved {
    /// Its entry.
    pub entry: EntryId,
    /// When it was intended, or, where that is known, when it left or its answer was given up.
    pub since: DateTime<Utc>,
    /// What was sent, or may have been.
    pub operation: Planned,
}

/// The next unresolved operations of a sync, oldest first.
#[derive(Clone, Debug)]
pub struct UnresolvedPage {
    /// Whose.
    pub sync: SyncId,
    /// The last entry of the page before; 0 to begin.
    pub after: EntryId,
    /// How many at most.
    pub limit: usize,
}

impl Command for UnresolvedPage {
    type Reply = Vec<Unresolved>;

    fn run(&self, db: &Db<'_>) -> Result<Vec<Unresolved>, StateError> {
        let rows = db.rows(
            "SELECT id, intended_at, operation FROM journal
             WHERE sync = ?1 AND unknown = 1 AND id > ?2 ORDER BY id LIMIT ?3",
            args![self.sync, self.after, self.limit as i64],
            |row| Ok((row.get(0)?, row.get(1)?, row.get::<String>(2)?)),
        )?;
        let mut found = Vec::new();
        for row in rows {
            let (entry, since, text) = row;
            found.push(Unresolved { entry, since, operation: serde_json::from_str(&text)? });
        }
        Ok(found)
    }
}

impl Page for UnresolvedPage {
    type Entry = Unresolved;

    fn go_on(&mut self, read: &[Unresolved]) {
        self.after = read.last().map_or(self.after, |unresolved| unresolved.entry);
    }
}

/// What was sent for a person and has no known fate: the last of it.
#[derive(Debug)]
pub struct UnresolvedOf {
    /// Whose.
    pub sync: SyncId,
    /// The person.
    pub key: Key,
    /// Whether nobody sends: then nothing is under way, and what was intended and has no answer is unresolved.
    pub at_rest: bool,
}

impl Command for UnresolvedOf {
    type Reply = Option<Unresolved>;

    fn run(&self, db: &Db<'_>) -> Result<Option<Unresolved>, StateError> {
        let found: Option<(EntryId, DateTime<Utc>, String)> = db.one(
            "SELECT id, intended_at, operation FROM journal
                 WHERE sync = ?1 AND key = ?2 AND (unknown = 1 OR ?3) ORDER BY id DESC LIMIT 1",
            args![self.sync, self.key.as_str(), self.at_rest],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        let read = |(entry, since, text): (EntryId, DateTime<Utc>, String)| {
            Ok(Unresolved { entry, since, operation: serde_json::from_str(&text)? })
        };
        found.map(read).transpose()
    }
}

/// What has to be waited for an operation's effect counts from now: it leaves now, long after it was intended, or the clock
/// was behind when it was looked for.
#[derive(Debug)]
pub struct CountFrom {
    /// The entry.
    pub entry: EntryId,
    /// Now.
    pub at: DateTime<Utc>,
}

impl Command for CountFrom {
    type Reply = ();

    fn run(&self, db: &Db<'_>) -> Result<(), StateError> {
        db.execute("UPDATE journal SET intended_at = ?2 WHERE id = ?1", args![self.entry, self.at])?;
        Ok(())
    }
}

/// The keys with an unresolved operation, without its contents.
#[derive(Debug)]
pub struct UnresolvedKeys(pub SyncId);

impl Command for UnresolvedKeys {
    type Reply = BTreeSet<Key>;

    fn run(&self, db: &Db<'_>) -> Result<Self::Reply, StateError> {
        let rows =
            db.rows("SELECT DISTINCT key FROM journal WHERE sync = ?1", args![self.0], |row| row.get::<String>(0))?;
        let mut keys = Self::Reply::new();
        for row in rows {
            keys.extend(Key::parse(&row));
        }
        Ok(keys)
    }
}

/// What looking at the target told of an unresolved operation.
#[derive(Debug)]
pub struct Resolve {
    /// Whose.
    pub sync: SyncId,
    /// The entry.
    pub entry: EntryId,
    /// The person.
    pub key: Key,
    /// What is so now.
    pub effect: Effect,
    /// When it was seen.
    pub at: DateTime<Utc>,
    /// What it replaced, where it turned out to have been done.
    pub replaced: Option<Undoable>,
}

impl Command for Resolve {
    /// Whose account it turned out to be, where that is another person; then nobody is linked.
    type Reply = Option<Key>;

    fn run(&self, db: &Db<'_>) -> Result<Option<Key>, StateError> {
        let run: RunId = db.row("SELECT run FROM journal WHERE id = ?1", args![self.entry], |row| row.get(0))?;
        db.execute("DELETE FROM journal WHERE id = ?1", args![self.entry])?;
        if let Applied::Anothers(owner) = apply(&PeopleWriter::of(db, self.sync), &self.key, &self.effect, self.at)? {
            return Ok(Key::parse(&owner));
        }
        if let Some(replaced) = &self.replaced {
            // It belongs to the run that sent it, whichever run finds that out.
            undo::insert(db, &run, self.sync, &self.key, replaced)?;
        }
        Ok(None)
    }
}
