//! The state on SQLite: its file, its schema, its thread, and how statements are carried out on it. Nothing outside of
//! this folder names rusqlite, but for the files that a run keeps to itself.

mod backup;
mod error;
mod open;
mod restore;
mod schema;
mod session;
mod worker;

use std::path::Path;

pub use rusqlite::Connection;

pub use backup::{backup, scrub};
pub use open::{
    Info, attach, connect, connect_if_there, in_memory, info, is_older, of_this_version, plan_statements_once, verify,
};
pub use restore::{RestoredState, restore};
pub use schema::VERSION as SCHEMA_VERSION;
#[cfg(test)]
pub use schema::of_version;
pub use session::{Row, Session, Statement};
pub use worker::{Worker, inline};

use super::db::Db;
use super::{Command, StateError};

/// Carries one command out that only reads, where a thread of its own is too much; nothing is created, and nothing is found
/// where no database is.
pub fn look<C: Command>(database: &Path, command: &C) -> Result<Option<C::Reply>, StateError> {
    let Some(db) = connect_if_there(database)? else { return Ok(None) };
    command.run(&Db::Sqlite(Session(&of_this_version(db)?))).map(Some)
}
