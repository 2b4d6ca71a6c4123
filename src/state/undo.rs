//! What each acknowledged operation replaced: written with its outcome, read to make the inverse of a run, pruned with
//! the ledger.

use std::collections::BTreeMap;

use super::db::args;
use super::{Command, Db, Page, StateError};
use crate::domain::ids::{RunId, SyncId};
use crate::domain::operation::{Change, OpKind, Operation};
use crate::domain::record::Key;
use crate::domain::remote_id::RemoteId;

/// An operation that was carried out, as far as undoing it needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Undoable {
    /// What it did.
    pub op: OpKind,
    /// The account.
    pub remote_id: Option<RemoteId>,
    /// The fields that it wrote, with what they held before.
    pub changes: BTreeMap<String, Change>,
}

impl Undoable {
    /// What is kept of an operation on this account.
    pub fn of(operation: &Operation, remote_id: Option<RemoteId>) -> Undoable {
        // What a new account was given is not taken from it: the account itself goes.
        let changes = match operation.kind {
            OpKind::Create | OpKind::Adopt => BTreeMap::new(),
            _ => operation.fields.clone(),
        };
        Undoable { op: operation.kind, remote_id, changes }
    }
}

/// Keeps what an operation of a run replaced.
pub(super) fn insert(db: &Db<'_>, run: &RunId, sync: SyncId, key: &Key, replaced: &Undoable) -> Result<(), StateError> {
    db.execute(
        "INSERT INTO undo (run, sync, key, op, remote_id, changes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (run, key) DO UPDATE SET sync = ?2, op = ?4, remote_id = ?5, changes = ?6",
        args![
            run,
            sync,
            key.as_str(),
            replaced.op.name(),
            replaced.remote_id,
            serde_json::to_string(&replaced.changes)?
        ],
    )?;
    Ok(())
}

/// The next operations of a run, in key order.
#[derive(Clone, Debug)]
pub struct Replaced {
    /// The run.
    pub run: RunId,
    /// The last key of the page before.
    pub after: Option<Key>,
    /// How many at most.
    pub limit: usize,
}

impl Command for Replaced {
    type Reply = Vec<(Key, Undoable)>;

    fn run(&self, db: &Db<'_>) -> Result<Self::Reply, StateError> {
        let after = self.after.as_ref().map_or("", Key::as_str);
        let rows = db.rows(
            "SELECT key, op, remote_id, changes FROM undo WHERE run = ?1 AND key > ?2 ORDER BY key LIMIT ?3",
            args![self.run, after, self.limit as i64],
            |row| Ok((row.get::<String>(0)?, row.get::<String>(1)?, row.get(2)?, row.get::<String>(3)?)),
        )?;
        let mut found = Vec::new();
        for row in rows {
            let (key, op, remote_id, changes) = row;
            if let (Some(key), Some(op)) = (Key::parse(&key), OpKind::parse(&op)) {
                found.push((key, Undoable { op, remote_id, changes: serde_json::from_str(&changes)? }));
            }
        }
        Ok(found)
    }
}

impl Page for Replaced {
    type Entry = (Key, Undoable);

    fn go_on(&mut self, read: &[(Key, Undoable)]) {
        self.after = read.last().map(|(key, _)| key.clone());
    }
}

/// A run that may be undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastRun {
    /// The sync.
    pub sync: String,
    /// Whether it has ended.
    pub finished: bool,
    /// Operations that the target acknowledged.
    pub done: u64,
    /// Of those, how many it is known of what they replaced.
    pub kept: u64,
}

/// Looks a run up.
#[derive(Debug)]
pub struct FindRun(pub RunId);

impl Command for FindRun {
    type Reply = Option<PastRun>;

    fn run(&self, db: &Db<'_>) -> Result<Option<PastRun>, StateError> {
        db.one(
            "SELECT sync, finished_at IS NOT NULL,
                        (SELECT count(*) FROM outcome WHERE run = ?1 AND status = 'ok'),
                        (SELECT count(*) FROM undo WHERE run = ?1)
                 FROM run WHERE id = ?1",
            args![&self.0],
            |row| {
                Ok(PastRun {
                    sync: row.get(0)?,
                    finished: row.get(1)?,
                    done: row.get::<i64>(2)?.unsigned_abs(),
                    kept: row.get::<i64>(3)?.unsigned_abs(),
                })
            },
        )
    }
}
