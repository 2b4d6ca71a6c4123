//! The only way to change rows of `person`: with a command's first change of a sync's people, the version of the export
//! on which that sync was clean ([`super::sources::CleanVersion`]) is worthless, and is forgotten, once a command.

use std::cell::Cell;

use super::{Arg, Db, StateError, Statement};
use crate::domain::ids::SyncId;

/// Changes the people of one sync within a command.
pub(super) struct PeopleWriter<'d> {
    db: &'d Db<'d>,
    sync: SyncId,
    forgot: Cell<bool>,
}

impl<'d> PeopleWriter<'d> {
    /// For this sync; nothing is done before the first statement.
    pub fn of(db: &'d Db<'d>, sync: SyncId) -> PeopleWriter<'d> {
        PeopleWriter { db, sync, forgot: Cell::new(false) }
    }

    /// The database, for statements that change nobody.
    pub fn db(&self) -> &'d Db<'d> {
        self.db
    }

    /// Whose people.
    pub fn sync(&self) -> SyncId {
        self.sync
    }

    /// As [`Db::prepare`].
    ///
    /// # Errors
    /// The database refuses it.
    pub fn prepare(&self, sql: &str) -> Result<Statement<'d>, StateError> {
        self.forget_source_version()?;
        self.db.prepare(sql)
    }

    /// As [`Db::execute`].
    ///
    /// # Errors
    /// The database refuses it.
    pub fn execute(&self, sql: &str, args: &[&dyn Arg]) -> Result<u64, StateError> {
        self.prepare(sql)?.execute(args)
    }

    fn forget_source_version(&self) -> Result<(), StateError> {
        if !self.forgot.replace(true) {
            let version = "DELETE FROM source_version WHERE sync = (SELECT name FROM sync WHERE id = ?1)";
            self.db.execute(version, super::db::args![self.sync])?;
        }
        Ok(())
    }
}
