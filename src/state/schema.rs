//! The tables, as a list of migrations that only ever grows, and the views that stay stable across versions.
//!
//! `PRAGMA user_version` counts the migrations that have been applied. People are in two tables: a narrow one in key
//! order, so that an unchanged run reads little and merges with an ordered export, and one with the bodies.

use rusqlite::Connection;

use super::StateError;

/// Marks the file as ours (`PRAGMA application_id`): "rost" in ASCII.
pub const APPLICATION_ID: i32 = 0x726f_7374;

/// The schema version that this program writes.
pub const VERSION: i64 = MIGRATIONS.len() as i64;

/// Each brings the schema from its index to the next version. Never edit one that was released: append.
const MIGRATIONS: &[&str] = &[include_str!("schema/0001.sql"), include_str!("schema/0003.sql")];

/// Applies the migrations that are missing, all in one transaction.
pub fn migrate(db: &Connection) -> Result<(), StateError> {
    let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let Ok(done) = usize::try_from(version) else {
        return Err(StateError::damaged(format!("the state database has the impossible schema version {version}")));
    };
    if done > MIGRATIONS.len() {
        return Err(newer(version));
    }
    if done == MIGRATIONS.len() {
        return Ok(());
    }
    db.execute_batch("BEGIN IMMEDIATE")?;
    let applied = MIGRATIONS[done..].iter().try_for_each(|sql| db.execute_batch(sql)).and_then(|()| {
        db.execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; COMMIT"))
    });
    if applied.is_err() {
        let _ = db.execute_batch("ROLLBACK");
    }
    Ok(applied?)
}

/// The refusal of a database from a newer program.
pub fn newer(version: i64) -> StateError {
    StateError::damaged(format!("the state database has schema version {version}, newer than this program's {VERSION}"))
        .help("use the rosterd that wrote it, or a newer one; it was not touched")
}
