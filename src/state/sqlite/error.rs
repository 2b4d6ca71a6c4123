//! What SQLite's errors mean for whoever asked.

use crate::domain::error::{Error, StateReason};
use crate::state::StateError;

impl From<rusqlite::Error> for StateError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StateError::io("the disk that holds the state database is full")
                .help("free some room and run again: what was confirmed is kept, the rest is sent then"),
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::ReadOnly) => {
                StateError::io(format!("cannot use the state database: {error}"))
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StateError::damaged(format!(
                "the state database is damaged: {error}"
            ))
            .help("restore a backup of it; never delete it, since an empty state means creating everybody again"),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                StateError::new(Error::State(StateReason::Busy), "the state database is busy")
                    .help("another process holds it; try again")
            }
            _ => StateError::damaged(format!("the state database refused a statement: {error}")),
        }
    }
}
