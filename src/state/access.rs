//! The one way into the state: whoever needs it says what for, and gets the store with everything that stands beside it:
//! the sender's lock, the mark by which a restored database is known.
//!
//! Nobody outside of the state reckons with where its files are.

use std::path::Path;

use super::epoch::RestoreMark;
use super::lock::{Holder, SenderLock, holder};
use super::sqlite::{Worker, attach, connect, info, is_older, of_this_version, scrub};
use super::{Inner, State, StateError};
use crate::domain::error::{Error, StateReason};

/// What the opener means to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Look only: nothing is created, and a missing database is an empty one in memory.
    Read,
    /// Read and write: created and migrated where needed.
    Write,
    /// Read, write and send, as a command: nobody else may send meanwhile.
    Send,
}

/// An open state.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub state: State,
    /// The sender's lock; none of somebody who does not send.
    pub lock: Option<SenderLock>,
}

/// Opens the state whose database is here. The lock is taken first: who may not send opens, and creates, nothing.
///
/// # Errors
/// Another process sends (75), also an older program's where this one would only write; the database is damaged, newer,
/// readable by others; there is no room.
pub fn open(database: &Path, access: Access) -> Result<Opened, StateError> {
    if access == Access::Write && holder(database).is_some() && is_older(database)? {
        let message = "an older rosterd is sending with this state, whose tables this one would change under it";
        return Err(StateError::new(Error::State(StateReason::SenderActive), message)
            .help("restart the daemon, so that it is of the same version, or wait for the command to finish"));
    }
    let lock = (access == Access::Send).then(|| SenderLock::take(database)).transpose()?;
    Ok(Opened { state: store(database, access)?, lock })
}

fn store(database: &Path, access: Access) -> Result<State, StateError> {
    Ok(State::on(Worker::of(of_this_version(connect(database, access)?)?, database)?))
}

/// [`open`] where a database must be already: nothing is made where nothing is.
///
/// # Errors
/// As [`open`]; there is no database.
pub fn open_existing(database: &Path, access: Access) -> Result<Opened, StateError> {
    info(database)?;
    open(database, access)
}

/// Opens the state for the holder of its lock, and keeps the lock.
///
/// # Errors
/// As [`open`].
pub fn open_locked(lock: SenderLock) -> Result<Opened, StateError> {
    Ok(Opened { state: store(lock.database(), Access::Send)?, lock: Some(lock) })
}

/// [`open`] to send; where the daemon is sending, to write alone, and without the lock.
///
/// # Errors
/// As [`open`].
pub fn open_beside_daemon(database: &Path) -> Result<Opened, StateError> {
    match SenderLock::take(database) {
        Ok(lock) => open_locked(lock),
        Err(_) if holder(database) == Some(Holder::Daemon) => open(database, Access::Write),
        Err(error) => Err(error),
    }
}

impl Opened {
    /// Closes the store and writes the database anew without what was erased; the lock is kept until that is done.
    /// Nobody else may hold the state.
    ///
    /// # Errors
    /// There is no room for a second copy, or somebody else is writing for too long.
    pub fn scrub(self) -> Result<(), StateError> {
        let Opened { state, lock: _lock } = self;
        let database = state.database().map(Path::to_path_buf);
        drop(state);
        database.map_or(Ok(()), |database| scrub(&database))
    }
}

impl State {
    /// The same database, opened a second time, to read while this one writes.
    ///
    /// # Errors
    /// As [`open`].
    pub fn beside(&self) -> Result<State, StateError> {
        let Some(database) = self.database() else { return Ok(self.clone()) };
        Ok(State::on(Worker::of(attach(database, Access::Read)?, database)?))
    }

    /// Who is sending with it now, this process or another; nobody where it is in memory.
    pub fn sender(&self) -> Option<Holder> {
        self.database().and_then(holder)
    }

    /// The mark by which a restored database is recognised; none of a state in memory.
    pub(super) fn mark(&self) -> Option<RestoreMark> {
        self.database().map(RestoreMark::beside)
    }

    /// Where its database is; nowhere, of a state in memory.
    pub fn database(&self) -> Option<&Path> {
        match &*self.0 {
            Inner::Thread(worker) => Some(worker.database()),
            Inner::Inline(..) => None,
        }
    }
}
