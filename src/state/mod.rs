//! What is known to be true: the SQLite database behind one thread, reached by typed commands.
//!
//! One thread owns the connection. A command is one transaction as far as its caller can tell: it happens whole and
//! durably, or not at all. Commands that arrive while others wait for the disk share one commit (group commit), each
//! within its own savepoint, and no caller hears of success before the commit has reached the disk
//! (`synchronous=FULL`). Nothing else in the crate knows SQL of this database.

mod error;
pub mod history;
pub mod journal;
pub mod ledger;
pub mod lock;
mod open;
pub mod people;
pub mod plans;
pub mod prune;
pub mod requests;
mod schema;
pub mod sources;

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use rusqlite::Connection;
use tokio::sync::oneshot;

pub use error::StateError;
pub use open::{Access, Info, info, prepare_directory, verify};
pub use schema::VERSION as SCHEMA_VERSION;

/// One thing to ask of the state. Its fields are its arguments.
pub trait Command: Send + 'static {
    /// What comes back.
    type Reply: Send + 'static;

    /// Does it, within a transaction that the caller of this function has opened.
    fn run(self, db: &Connection) -> Result<Self::Reply, StateError>;
}

/// How many commands may share one commit. Enough that a commit's cost vanishes in a fast load, few enough that the
/// first of them never waits long for the last.
const GROUP: usize = 256;

/// Answers the caller once it is known whether the commit held.
type Answer = Box<dyn FnOnce(Result<(), StateError>) + Send>;
/// Runs a command and keeps its answer back.
type Job = Box<dyn FnOnce(&Connection) -> Answer + Send>;

/// A handle to the state; cheap to clone.
#[derive(Clone)]
pub struct State(Arc<Inner>);

enum Inner {
    /// The connection lives in a thread of its own.
    Thread(Mutex<Sender<Job>>),
    /// The connection is used where it is asked, for tests under a simulated clock.
    Inline(Mutex<Connection>),
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("State")
    }
}

impl State {
    /// Opens the database file, creating and migrating it where `access` allows, and starts its thread.
    ///
    /// # Errors
    /// [`StateError`] with the reason: damaged, newer, readable by others, no room.
    pub fn open(path: &Path, access: Access) -> Result<State, StateError> {
        let connection = open::connect(path, access)?;
        let (sender, receiver) = channel();
        std::thread::Builder::new()
            .name("state".into())
            .spawn(move || serve(&connection, &receiver))
            .map_err(|e| StateError::io(format!("cannot start the state's thread: {e}")))?;
        Ok(State(Arc::new(Inner::Thread(Mutex::new(sender)))))
    }

    /// A state in memory that runs its commands where they are asked; for tests.
    pub fn in_memory() -> Result<State, StateError> {
        Ok(State(Arc::new(Inner::Inline(Mutex::new(open::in_memory()?)))))
    }

    /// Carries out a command and waits for it to be durable.
    ///
    /// # Errors
    /// What the command says, or that the state has failed (full disk, damage).
    pub async fn ask<C: Command>(&self, command: C) -> Result<C::Reply, StateError> {
        match &*self.0 {
            Inner::Thread(_) => self.post(command)?.await.unwrap_or_else(|_| Err(StateError::gone())),
            Inner::Inline(connection) => inline(connection, command),
        }
    }

    /// [`State::ask`] for code that may block: never call it from async code.
    ///
    /// # Errors
    /// As [`State::ask`].
    pub fn ask_blocking<C: Command>(&self, command: C) -> Result<C::Reply, StateError> {
        match &*self.0 {
            Inner::Thread(_) => self.post(command)?.blocking_recv().unwrap_or_else(|_| Err(StateError::gone())),
            Inner::Inline(connection) => inline(connection, command),
        }
    }

    fn post<C: Command>(&self, command: C) -> Result<oneshot::Receiver<Result<C::Reply, StateError>>, StateError> {
        let (reply, receiver) = oneshot::channel();
        let job: Job = Box::new(move |db| {
            let result = in_savepoint(db, command);
            Box::new(move |committed| {
                let _ = reply.send(committed.and(result));
            })
        });
        let Inner::Thread(sender) = &*self.0 else { return Err(StateError::gone()) };
        let sender = sender.lock().map_err(|_| StateError::gone())?;
        sender.send(job).map_err(|_| StateError::gone())?;
        Ok(receiver)
    }
}

fn inline<C: Command>(connection: &Mutex<Connection>, command: C) -> Result<C::Reply, StateError> {
    let db = connection.lock().map_err(|_| StateError::gone())?;
    db.execute_batch("BEGIN")?;
    let result = in_savepoint(&db, command);
    db.execute_batch("COMMIT")?;
    result
}

/// The thread: takes what is waiting, runs it, commits once, answers all.
fn serve(db: &Connection, jobs: &Receiver<Job>) {
    while let Ok(first) = jobs.recv() {
        if let Err(error) = db.execute_batch("BEGIN") {
            first(db)(Err(error.into()));
            continue;
        }
        let mut answers = vec![first(db)];
        while answers.len() < GROUP {
            match jobs.try_recv() {
                Ok(job) => answers.push(job(db)),
                Err(_) => break,
            }
        }
        let committed: Result<(), StateError> = db.execute_batch("COMMIT").map_err(Into::into);
        if committed.is_err() {
            let _ = db.execute_batch("ROLLBACK");
        }
        for answer in answers {
            answer(committed.clone());
        }
    }
}

/// Runs one command so that its failure undoes its own writes and nobody else's.
fn in_savepoint<C: Command>(db: &Connection, command: C) -> Result<C::Reply, StateError> {
    db.prepare_cached("SAVEPOINT command")?.execute([])?;
    let result = command.run(db);
    if result.is_err() {
        db.prepare_cached("ROLLBACK TO command")?.execute([])?;
    }
    db.prepare_cached("RELEASE command")?.execute([])?;
    result
}
