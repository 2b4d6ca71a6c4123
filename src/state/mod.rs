//! What is known to be true, in a database that is reached by typed commands.
//!
//! A command is data, and one transaction as far as its caller can tell: it happens whole and durably, or not at all. It
//! is carried out on [`Db`], which knows statements and rows; which database is below is known to the folder `sqlite`
//! alone. Nothing else in the crate knows SQL of this database.

mod access;
pub mod announced;
pub mod binding;
pub mod bodies;
pub mod clock;
pub mod days;
mod db;
pub mod epoch;
mod error;
pub mod files;
pub mod fingerprints;
pub mod forget;
pub mod former_keys;
pub mod history;
pub mod journal;
pub mod ledger;
pub mod lock;
pub mod looks;
mod outcomes;
pub mod ownership;
mod paging;
pub mod people;
mod people_writer;
pub mod plan_history;
pub mod plans;
pub mod prune;
pub mod quota;
pub mod reconciled;
pub mod rekey;
pub mod requests;
pub mod runs;
pub mod runtime;
pub mod settled;
pub mod sources;
pub mod sqlite;
pub mod syncs;
pub mod undo;
pub mod unresolved;
pub mod who_has;

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;

pub use access::{Access, Opened, open, open_beside_daemon, open_existing, open_locked};
pub use db::{Arg, Column, Db, Row, Statement, Value};
pub use error::StateError;
pub use files::prepare_directory;
pub use paging::{Page, Pages};
pub use sqlite::{Info, SCHEMA_VERSION, backup, in_memory, info, plan_statements_once, restore, verify};

/// One thing to ask of the state. Its fields are its arguments.
pub trait Command: Send + 'static {
    /// What comes back.
    type Reply: Send + 'static;

    /// Does it, within a transaction that the caller of this function has opened.
    ///
    /// # Errors
    /// The database fails, or what is asked for can't be done: then the transaction changes nothing.
    fn run(&self, db: &Db<'_>) -> Result<Self::Reply, StateError>;
}

/// What a simulation puts between the commands and the disk.
pub trait Disk: Send + Sync {
    /// A command is about to be carried out; the error is what becomes of it instead. A process that is killed here
    /// never returns.
    fn before(&self) -> BoxFuture<'_, Result<(), StateError>>;

    /// A command is durable, and its caller does not know it yet.
    fn after(&self) -> BoxFuture<'_, ()>;
}

/// A handle to the state; cheap to clone.
#[derive(Clone)]
pub struct State(Arc<Inner>);

enum Inner {
    /// The connection lives in a thread of its own.
    Thread(sqlite::Worker),
    /// The connection is used where it is asked, for tests under a simulated clock.
    Inline(Arc<Mutex<sqlite::Connection>>, Option<Arc<dyn Disk>>),
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("State")
    }
}

impl State {
    fn on(worker: sqlite::Worker) -> State {
        State(Arc::new(Inner::Thread(worker)))
    }

    /// A state in memory that runs its commands where they are asked; for tests.
    pub fn in_memory() -> Result<State, StateError> {
        Ok(State(Arc::new(Inner::Inline(Arc::new(Mutex::new(in_memory()?)), None))))
    }

    /// A state that runs its commands where they are asked, on a connection that outlives it, with this disk below:
    /// what a process of a simulation sees of a database.
    pub fn simulated(database: Arc<Mutex<sqlite::Connection>>, disk: Arc<dyn Disk>) -> State {
        State(Arc::new(Inner::Inline(database, Some(disk))))
    }

    /// Carries out a command and waits for it to be durable.
    ///
    /// # Errors
    /// What the command says, or that the state has failed (full disk, damage).
    pub async fn ask<C: Command>(&self, command: C) -> Result<C::Reply, StateError> {
        match &*self.0 {
            Inner::Thread(worker) => worker.post(command)?.await.unwrap_or_else(|_| Err(StateError::gone())),
            Inner::Inline(connection, None) => sqlite::inline(connection, &command),
            Inner::Inline(connection, Some(disk)) => {
                disk.before().await?;
                let reply = sqlite::inline(connection, &command);
                disk.after().await;
                reply
            }
        }
    }

    /// Hands a command over, and gives back how to wait for its answer: for code that may block and has something else to
    /// do meanwhile.
    ///
    /// # Errors
    /// The state has ended.
    pub fn begin<C: Command>(&self, command: C) -> Result<Pending<C::Reply>, StateError> {
        Ok(match &*self.0 {
            Inner::Thread(worker) => Pending::Posted(worker.post(command)?),
            Inner::Inline(connection, _) => Pending::Answered(sqlite::inline(connection, &command)),
        })
    }

    /// [`State::ask`] for code that may block: never call it from async code.
    ///
    /// # Errors
    /// As [`State::ask`].
    pub fn ask_blocking<C: Command>(&self, command: C) -> Result<C::Reply, StateError> {
        match &*self.0 {
            Inner::Thread(worker) => worker.post(command)?.blocking_recv().unwrap_or_else(|_| Err(StateError::gone())),
            Inner::Inline(connection, _) => sqlite::inline(connection, &command),
        }
    }
}

/// An answer that may still have to come.
pub enum Pending<T> {
    /// It comes.
    Posted(tokio::sync::oneshot::Receiver<Result<T, StateError>>),
    /// It is there.
    Answered(Result<T, StateError>),
}

impl<T> Pending<T> {
    /// Waits for it: never call it from async code.
    ///
    /// # Errors
    /// As [`State::ask`].
    pub fn wait(self) -> Result<T, StateError> {
        match self {
            Pending::Posted(answer) => answer.blocking_recv().unwrap_or_else(|_| Err(StateError::gone())),
            Pending::Answered(answer) => answer,
        }
    }

    /// Waits for it.
    ///
    /// # Errors
    /// As [`State::ask`].
    pub async fn answer(self) -> Result<T, StateError> {
        match self {
            Pending::Posted(answer) => answer.await.unwrap_or_else(|_| Err(StateError::gone())),
            Pending::Answered(answer) => answer,
        }
    }
}

#[cfg(test)]
mod tests;
