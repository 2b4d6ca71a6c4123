//! What reconciles found, in numbers, for those who look at a sync later.

use chrono::{DateTime, Utc};

use super::db::args;
use super::{Command, Db, StateError};

/// What one reconcile found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconciled {
    /// When it had compared.
    pub at: DateTime<Utc>,
    /// Accounts that the target has.
    pub target_users: u64,
    /// People in step with the source.
    pub in_step: u64,
    /// In scope, and without an account.
    pub missing: u64,
    /// Fields differ.
    pub drifted: u64,
    /// Banned there, and in scope here.
    pub banned_there: u64,
    /// Active there, and gone here.
    pub active_there: u64,
    /// Accounts that are somebody's and not linked.
    pub adoptable: u64,
    /// Accounts that are nobody's.
    pub orphaned: u64,
    /// People with more than one account.
    pub doubled: u64,
    /// People of whom the target keeps fields otherwise than they were written.
    pub kept: u64,
    /// People with an operation that has no known fate.
    pub unresolved: u64,
}

impl Reconciled {
    /// How much differs; what the target keeps otherwise is known, and is no difference.
    pub fn differences(&self) -> u64 {
        let Reconciled {
            missing, drifted, banned_there, active_there, adoptable, orphaned, doubled, unresolved, ..
        } = self;
        missing + drifted + banned_there + active_there + adoptable + orphaned + doubled + unresolved
    }
}

/// Writes down what a reconcile found.
#[derive(Debug)]
pub struct NoteReconciled {
    /// The sync.
    pub sync: String,
    /// What it found.
    pub found: Reconciled,
}

impl Command for NoteReconciled {
    type Reply = ();

    fn run(&self, db: &Db<'_>) -> Result<(), StateError> {
        let f = &self.found;
        let n = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        db.execute(
            "INSERT INTO reconciled (sync, at, target_users, in_step, missing, drifted, banned_there, active_there,
                                     adoptable, orphaned, doubled, kept, unresolved)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            args![
                self.sync,
                f.at,
                n(f.target_users),
                n(f.in_step),
                n(f.missing),
                n(f.drifted),
                n(f.banned_there),
                n(f.active_there),
                n(f.adoptable),
                n(f.orphaned),
                n(f.doubled),
                n(f.kept),
                n(f.unresolved),
            ],
        )?;
        Ok(())
    }
}

/// What the last reconciles of a sync found, newest first.
#[derive(Debug)]
pub struct LastReconciled {
    /// The sync.
    pub sync: String,
    /// How many at most.
    pub limit: usize,
}

impl Command for LastReconciled {
    type Reply = Vec<Reconciled>;

    fn run(&self, db: &Db<'_>) -> Result<Vec<Reconciled>, StateError> {
        db.rows(
            "SELECT at, target_users, in_step, missing, drifted, banned_there, active_there, adoptable, orphaned, doubled,
                    kept, unresolved
             FROM reconciled WHERE sync = ?1 ORDER BY id DESC LIMIT ?2",
            args![self.sync, self.limit as i64],
            |row| {
                let n = |column| Ok::<_, StateError>(row.get::<i64>(column)?.unsigned_abs());
                Ok(Reconciled {
                    at: row.get(0)?,
                    target_users: n(1)?,
                    in_step: n(2)?,
                    missing: n(3)?,
                    drifted: n(4)?,
                    banned_there: n(5)?,
                    active_there: n(6)?,
                    adoptable: n(7)?,
                    orphaned: n(8)?,
                    doubled: n(9)?,
                    kept: n(10)?,
                    unresolved: n(11)?,
                })
            },
        )
    }
}

/// Forgets what was found before this time, but for the last of each sync.
pub(super) fn prune(db: &Db<'_>, before: DateTime<Utc>) -> Result<(), StateError> {
    db.execute(
        "DELETE FROM reconciled WHERE at < ?1
         AND EXISTS (SELECT 1 FROM reconciled later WHERE later.sync = reconciled.sync AND later.id > reconciled.id)",
        args![before],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::instant;
    use crate::state::State;
    use crate::state::prune::Prune;

    #[test]
    fn the_last_come_first_and_the_very_last_outlives_a_prune() {
        let state = State::in_memory().expect("a state");
        let found = |at: &str, missing| Reconciled {
            at: instant(at),
            target_users: 10,
            in_step: 7,
            missing,
            drifted: 1,
            banned_there: 0,
            active_there: 0,
            adoptable: 0,
            orphaned: 2,
            doubled: 0,
            kept: 5,
            unresolved: 0,
        };
        let (first, second) = (found("2026-11-01T00:00:00.000Z", 4), found("2026-11-02T00:00:00.000Z", 0));
        for found in [first, second] {
            state.ask_blocking(NoteReconciled { sync: "staff".into(), found }).expect("noted");
        }
        let last = |sync: &str| state.ask_blocking(LastReconciled { sync: sync.into(), limit: 9 }).expect("read");
        assert_eq!(last("staff"), [second, first]);
        assert_eq!(last("other"), []);
        assert_eq!((first.differences(), second.differences()), (7, 3), "what is kept otherwise is none");
        let far = instant("2027-11-22T03:00:00.000Z");
        state.ask_blocking(Prune { before: far, counted_since: far }).expect("pruned");
        assert_eq!(last("staff"), [second]);
    }
}
