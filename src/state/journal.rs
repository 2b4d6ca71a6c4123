//! The journal: what may have left and has no answer yet, and the one transaction that ends it.
//!
//! [`Intend`] is durable before a request leaves. [`Settle`] removes the entry, writes the outcome and moves the
//! person's row, together. Whatever is still here when a new sender starts belongs to a process that died:
//! [`Recover`] turns it into `unknown`, which is resolved by looking at the target.

use rusqlite::{Connection, params};

use super::people::SyncId;
use super::undo::{self, Undoable};
use super::{Command, StateError, ledger};
use crate::outcome::{Outcome, Status, hashed_id};
use crate::plan::{Fingerprint, Operation};
use crate::record::Key;
use crate::rules::PersonState;
use crate::value::Attributes;

/// The number of an entry.
pub type EntryId = i64;

/// Records operations before their requests leave.
#[derive(Debug)]
pub struct Intend {
    /// The run.
    pub run: String,
    /// Whose.
    pub sync: SyncId,
    /// When, RFC 3339.
    pub at: String,
    /// What.
    pub operations: Vec<Intent>,
}

/// An operation as the journal keeps it.
pub struct Intent {
    /// The person.
    pub key: Key,
    /// The operation's JSON.
    pub operation: String,
}

impl Intent {
    /// The intent to carry this out.
    ///
    /// # Errors
    /// It can't be written as JSON, which is a defect.
    pub fn to(operation: &Operation) -> Result<Intent, StateError> {
        Ok(Intent { key: operation.key.clone(), operation: serde_json::to_string(operation)? })
    }
}

impl std::fmt::Debug for Intent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Intent({})", self.key)
    }
}

impl Command for Intend {
    type Reply = Vec<EntryId>;

    fn run(self, db: &Connection) -> Result<Vec<EntryId>, StateError> {
        let mut insert = db.prepare_cached(
            "INSERT INTO journal (run, sync, key, intended_at, operation) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        let mut ids = Vec::with_capacity(self.operations.len());
        for Intent { key, operation } in &self.operations {
            insert.execute(params![self.run, self.sync, key.as_str(), self.at, operation])?;
            ids.push(db.last_insert_rowid());
        }
        Ok(ids)
    }
}

/// What a settled operation means for the person's row.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Nothing changes.
    None,
    /// The target acknowledged: this is the account now.
    Confirmed {
        /// Its state.
        state: PersonState,
        /// Its id.
        remote_id: String,
        /// All values that are acknowledged.
        attributes: Attributes,
        /// The record that it is in step with, and whether that record is in or out of scope.
        fingerprint: Option<Fingerprint>,
    },
    /// The account is no longer there.
    Gone,
    /// The link is forgotten, the account left alone.
    Unlinked,
    /// Sent, and no usable answer: the entry stays until it is resolved.
    Unknown,
}

/// The end of one operation.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// Its entry in the journal; none when it was never begun.
    pub entry: Option<EntryId>,
    /// The person.
    pub key: Key,
    /// When, RFC 3339.
    pub at: String,
    /// What it means for the person.
    pub effect: Effect,
    /// What the ledger says; nothing of a step on the way.
    pub outcome: Option<Outcome>,
    /// What it replaced, where the target acknowledged it.
    pub replaced: Option<Undoable>,
}

/// Ends operations: entry, outcome and person in one transaction. Gives the outcomes back, to be reported.
#[derive(Debug)]
pub struct Settle {
    /// Whose.
    pub sync: SyncId,
    /// What.
    pub settlements: Vec<Settlement>,
}

impl Command for Settle {
    type Reply = Vec<Outcome>;

    fn run(self, db: &Connection) -> Result<Vec<Outcome>, StateError> {
        let mut outcomes = Vec::with_capacity(self.settlements.len());
        for settlement in self.settlements {
            settle(db, self.sync, &settlement)?;
            outcomes.extend(settlement.outcome);
        }
        Ok(outcomes)
    }
}

fn settle(db: &Connection, sync: SyncId, settlement: &Settlement) -> Result<(), StateError> {
    if let Some(outcome) = &settlement.outcome {
        ledger::insert(db, outcome)?;
        if let Some(replaced) = &settlement.replaced {
            undo::insert(db, &outcome.run, sync, &settlement.key, replaced)?;
        }
    }
    if let Some(entry) = settlement.entry {
        let sql = match settlement.effect {
            Effect::Unknown => "UPDATE journal SET unknown = 1 WHERE id = ?1",
            _ => "DELETE FROM journal WHERE id = ?1",
        };
        db.prepare_cached(sql)?.execute([entry])?;
    }
    apply(db, sync, &settlement.key, &settlement.effect, &settlement.at)
}

/// Takes over what the target shows of people, whatever was acknowledged before.
#[derive(Debug)]
pub struct Observe {
    /// Whose.
    pub sync: SyncId,
    /// When, RFC 3339.
    pub at: String,
    /// Who, and what is so.
    pub observed: Vec<(Key, Effect)>,
}

impl Command for Observe {
    type Reply = ();

    fn run(self, db: &Connection) -> Result<(), StateError> {
        self.observed.iter().try_for_each(|(key, effect)| apply(db, self.sync, key, effect, &self.at))
    }
}

/// Moves a person's row, and their body with it.
pub(super) fn apply(db: &Connection, sync: SyncId, key: &Key, effect: &Effect, at: &str) -> Result<(), StateError> {
    match effect {
        Effect::None | Effect::Unknown => {}
        Effect::Confirmed { state, remote_id, attributes, fingerprint } => {
            let standing = i64::from(fingerprint.is_some());
            db.prepare_cached(
                "INSERT INTO person (sync, key, fingerprint, standing, state, remote_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (sync, key) DO UPDATE SET
                     fingerprint = ?3, standing = ?4, state = ?5, remote_id = ?6, absent_since = NULL",
            )?
            .execute(params![sync, key.as_str(), fingerprint, standing, state.code(), remote_id])?;
            db.prepare_cached(
                "INSERT INTO body (sync, key, attributes, confirmed_at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (sync, key) DO UPDATE SET attributes = ?3, confirmed_at = ?4",
            )?
            .execute(params![sync, key.as_str(), serde_json::to_string(attributes)?, at])?;
        }
        Effect::Gone => {
            db.prepare_cached(
                "UPDATE person SET state = 4, remote_id = NULL, fingerprint = NULL, standing = 0, absent_since = NULL
                 WHERE sync = ?1 AND key = ?2",
            )?
            .execute(params![sync, key.as_str()])?;
        }
        Effect::Unlinked => {
            for sql in
                ["DELETE FROM person WHERE sync = ?1 AND key = ?2", "DELETE FROM body WHERE sync = ?1 AND key = ?2"]
            {
                db.prepare_cached(sql)?.execute(params![sync, key.as_str()])?;
            }
        }
    }
    Ok(())
}

/// Ends what a dead process left: its runs are closed, and what it may have sent becomes `unknown`. Only the holder
/// of the sender's lock may ask for it, and only for syncs of which no run is under way.
#[derive(Debug)]
pub struct Recover {
    /// When, RFC 3339.
    pub at: String,
    /// Of this sync alone; of all when none is named.
    pub sync: Option<String>,
}

/// Why a run that was not finished is closed, for people.
pub const INTERRUPTED: &str = "interrupted: the process ended before the run did";

impl Command for Recover {
    type Reply = u64;

    fn run(self, db: &Connection) -> Result<u64, StateError> {
        let mut found = db.prepare_cached(
            "SELECT j.id, j.run, s.name, s.source, s.target, j.operation
             FROM journal j JOIN sync s ON s.id = j.sync WHERE j.unknown = 0 AND (?1 IS NULL OR s.name = ?1)
             ORDER BY j.id",
        )?;
        let mut rows = found.query([&self.sync])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            let operation: Operation = serde_json::from_str(&row.get::<_, String>(5)?)?;
            if operation.step {
                continue;
            }
            let outcome = Outcome {
                ts: self.at.clone(),
                run: row.get(1)?,
                sync: row.get(2)?,
                source: row.get(3)?,
                target: row.get(4)?,
                key: Some(operation.key.clone()),
                op: Some(operation.kind),
                status: Status::Unknown,
                // What the id is, the target's definition knows; here, what looks like an address is treated as one.
                remote_id: operation.remote_id.clone().map(|id| if id.contains('@') { hashed_id(&id) } else { id }),
                fields: operation.fields.keys().cloned().collect(),
                attempts: 0,
                http_status: None,
                duration_ms: 0,
                reason: Some("the process ended before an answer was recorded".into()),
                error: None,
            };
            ledger::insert(db, &outcome)?;
            count += 1;
        }
        db.prepare_cached(
            "UPDATE journal SET unknown = 1
             WHERE unknown = 0 AND (?1 IS NULL OR sync IN (SELECT id FROM sync WHERE name = ?1))",
        )?
        .execute([&self.sync])?;
        db.prepare_cached(
            "UPDATE run SET finished_at = ?1, status = 'failed', reason = ?2
             WHERE finished_at IS NULL AND (?3 IS NULL OR sync = ?3)",
        )?
        .execute(params![self.at, INTERRUPTED, self.sync])?;
        Ok(count)
    }
}

/// An operation whose fate is to be found out.
#[derive(Clone, Debug, PartialEq)]
pub struct Unresolved {
    /// Its entry.
    pub entry: EntryId,
    /// What was sent, or may have been.
    pub operation: Operation,
}

/// The next unresolved operations of a sync, oldest first.
#[derive(Debug)]
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

    fn run(self, db: &Connection) -> Result<Vec<Unresolved>, StateError> {
        let mut statement = db.prepare_cached(
            "SELECT id, operation FROM journal WHERE sync = ?1 AND unknown = 1 AND id > ?2 ORDER BY id LIMIT ?3",
        )?;
        let rows = statement.query_map(params![self.sync, self.after, self.limit as i64], |row| {
            Ok((row.get(0)?, row.get::<_, String>(1)?))
        })?;
        let mut found = Vec::new();
        for row in rows {
            let (entry, text) = row?;
            found.push(Unresolved { entry, operation: serde_json::from_str(&text)? });
        }
        Ok(found)
    }
}

/// The keys with an unresolved operation, without its contents.
#[derive(Debug)]
pub struct UnresolvedKeys(pub SyncId);

impl Command for UnresolvedKeys {
    type Reply = std::collections::BTreeSet<Key>;

    fn run(self, db: &Connection) -> Result<Self::Reply, StateError> {
        let mut statement = db.prepare_cached("SELECT DISTINCT key FROM journal WHERE sync = ?1")?;
        let rows = statement.query_map([self.0], |row| row.get::<_, String>(0))?;
        let mut keys = Self::Reply::new();
        for row in rows {
            keys.extend(Key::parse(&row?));
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
    /// When it was seen, RFC 3339.
    pub at: String,
    /// What it replaced, where it turned out to have been done.
    pub replaced: Option<Undoable>,
}

impl Command for Resolve {
    type Reply = ();

    fn run(self, db: &Connection) -> Result<(), StateError> {
        if let Some(replaced) = &self.replaced {
            // It belongs to the run that sent it, whichever run finds that out.
            let run: String = db
                .prepare_cached("SELECT run FROM journal WHERE id = ?1")?
                .query_row([self.entry], |row| row.get(0))?;
            undo::insert(db, &run, self.sync, &self.key, replaced)?;
        }
        db.prepare_cached("DELETE FROM journal WHERE id = ?1")?.execute([self.entry])?;
        apply(db, self.sync, &self.key, &self.effect, &self.at)
    }
}
