//! The exclusive lock of whoever sends: one process at a time, and it ends with the process.
//!
//! An advisory lock on a file beside the database, so that reading never meets it and a killed sender leaves nothing
//! to clean up. The file says who holds it, which counts only while it is locked.

use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::StateError;
use super::files::{self, Use, prepare_directory, side_file};
use crate::domain::error::{Error, StateReason};

/// Who may hold the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A command that ends by itself.
    Command,
    /// The daemon, which takes requests.
    Daemon,
}

impl Holder {
    const fn word(self) -> &'static str {
        match self {
            Holder::Command => "command",
            Holder::Daemon => "daemon",
        }
    }
}

/// Held for as long as this process may send.
#[derive(Debug)]
pub struct SenderLock {
    database: PathBuf,
    _file: File,
}

impl SenderLock {
    /// Takes the lock for a command, or says at once that another sender has it (exit code 75).
    ///
    /// # Errors
    /// Taken, or the lock file can't be made.
    pub fn take(database: &Path) -> Result<SenderLock, StateError> {
        SenderLock::take_as(database, Holder::Command)
    }

    /// [`SenderLock::take`] for this kind of holder.
    ///
    /// # Errors
    /// As [`SenderLock::take`].
    pub fn take_as(database: &Path, holder: Holder) -> Result<SenderLock, StateError> {
        prepare_directory(database)?;
        let path = beside(database);
        let opened = files::open(&path, Use::Make)?;
        let mut file = opened.ok_or_else(|| StateError::io(format!("cannot make the lock {}", path.display())))?;
        match file.try_lock() {
            Ok(()) => {
                sign(&mut file, holder)
                    .map_err(|e| StateError::io(format!("cannot write the lock {}: {e}", path.display())))?;
                Ok(SenderLock { database: database.into(), _file: file })
            }
            Err(TryLockError::WouldBlock) => Err(taken(database, signature(&mut file))),
            Err(TryLockError::Error(e)) => Err(StateError::io(format!("cannot take the lock {}: {e}", path.display()))),
        }
    }

    /// The database beside which it is.
    pub(super) fn database(&self) -> &Path {
        &self.database
    }
}

/// Who holds the lock now; nobody when it is free.
pub fn holder(database: &Path) -> Option<Holder> {
    let mut file = files::open(&beside(database), Use::Look).ok().flatten()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(signature(&mut file)),
        _ => None,
    }
}

fn beside(database: &Path) -> PathBuf {
    side_file(database, ".lock")
}

fn sign(file: &mut File, holder: Holder) -> std::io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{} {}", holder.word(), std::process::id())
}

/// What the holder wrote. One that has only just taken the lock may not have written yet: it passes for a command.
fn signature(file: &mut File) -> Holder {
    let mut text = String::new();
    let read = file.read_to_string(&mut text);
    if read.is_ok() && text.starts_with(Holder::Daemon.word()) { Holder::Daemon } else { Holder::Command }
}

fn taken(database: &Path, holder: Holder) -> StateError {
    let shown = database.display();
    match holder {
        Holder::Command => {
            StateError::new(Error::State(StateReason::SenderActive), format!("another rosterd is sending with {shown}"))
                .help("wait for it to finish; `rosterd status` and `rosterd plan` work beside it")
        }
        Holder::Daemon => StateError::new(
            Error::State(StateReason::SenderActive),
            format!("the daemon (rosterd run) is sending with {shown}"),
        )
        .help(
            "have it run a sync with `rosterd trigger SYNC`; for anything else stop it for as long as that takes, as a \
             service with systemctl stop rosterd",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::exit::Exit;

    #[test]
    fn one_holder_at_a_time_and_everybody_can_see_which_kind() {
        let dir = tempfile::tempdir().expect("a directory");
        let database = dir.path().join("rosterd.db");
        assert_eq!(holder(&database), None);
        let daemon = SenderLock::take_as(&database, Holder::Daemon).expect("free");
        assert_eq!(holder(&database), Some(Holder::Daemon));
        let refused = SenderLock::take(&database).expect_err("taken");
        assert_eq!(refused.exit(), Exit::Partial);
        assert!(refused.help.is_some_and(|help| help.contains("rosterd trigger")));
        drop(daemon);
        assert_eq!(holder(&database), None, "what was written counts only while it is locked");
        let _command = SenderLock::take(&database).expect("free again");
        assert_eq!(holder(&database), Some(Holder::Command));
    }
}
