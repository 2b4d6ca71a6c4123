//! What people were told of each sync last, so that they are told once a change.

use chrono::{DateTime, Utc};

use super::db::args;
use super::{Command, Db, StateError};

/// The state of a sync that was announced last; none when nothing ever was.
#[derive(Debug)]
pub struct LastAnnounced(pub String);

impl Command for LastAnnounced {
    type Reply = Option<String>;

    fn run(&self, db: &Db<'_>) -> Result<Option<String>, StateError> {
        db.one("SELECT state FROM announced WHERE sync = ?1", args![self.0], |row| row.get(0))
    }
}

/// Remembers what was announced.
#[derive(Debug)]
pub struct Announced {
    /// The sync.
    pub sync: String,
    /// Its state.
    pub state: &'static str,
    /// When.
    pub at: DateTime<Utc>,
}

impl Command for Announced {
    type Reply = ();

    fn run(&self, db: &Db<'_>) -> Result<(), StateError> {
        db.execute(
            "INSERT INTO announced (sync, state, at) VALUES (?1, ?2, ?3)
             ON CONFLICT (sync) DO UPDATE SET state = ?2, at = ?3",
            args![self.sync, self.state, self.at],
        )?;
        Ok(())
    }
}
