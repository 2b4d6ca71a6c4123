//! The exclusive lock of whoever sends: one process at a time, and it ends with the process.
//!
//! An advisory lock on a file beside the database, so that reading never meets it and a killed sender leaves nothing
//! to clean up.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::{StateError, prepare_directory};
use crate::exit::Exit;

/// Held for as long as this process may send.
#[derive(Debug)]
pub struct SenderLock {
    _file: File,
}

impl SenderLock {
    /// Takes the lock, or says at once that another sender has it (exit code 75).
    ///
    /// # Errors
    /// Taken, or the lock file can't be made.
    pub fn take(database: &Path) -> Result<SenderLock, StateError> {
        prepare_directory(database)?;
        let mut path = database.as_os_str().to_os_string();
        path.push(".lock");
        let path = Path::new(&path);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|e| StateError::io(format!("cannot open the lock {}: {e}", path.display())))?;
        match file.try_lock() {
            Ok(()) => Ok(SenderLock { _file: file }),
            Err(TryLockError::WouldBlock) => {
                Err(StateError::new(Exit::Partial, format!("another rosterd is sending with {}", database.display()))
                    .help("wait for it to finish; `rosterd status` and `rosterd plan` work beside it"))
            }
            Err(TryLockError::Error(e)) => Err(StateError::io(format!("cannot take the lock {}: {e}", path.display()))),
        }
    }
}
