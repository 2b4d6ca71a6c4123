//! One thread owns the connection and carries out what is asked of it; or, in a test, whoever asks does.
//!
//! Commands that arrive while others wait for the disk share one commit (group commit), each but the first within its
//! own savepoint, and no caller hears of success before the commit has reached the disk (`synchronous=FULL`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, MAIN_DB};
use tokio::sync::oneshot;

use super::Session;
use crate::state::db::Db;
use crate::state::{Command, StateError};

/// How many commands may share one commit. Enough that a commit's cost vanishes in a fast load, few enough that the
/// first of them never waits long for the last.
const GROUP: usize = 256;

/// How long the end of a process may be held up by others who are reading, to leave everything in the one file.
const LAST_PATIENCE: Duration = Duration::from_millis(500);

/// Answers the caller once it is known whether the commit held.
type Answer = Box<dyn FnOnce(Result<(), StateError>) + Send>;
/// Runs a command and keeps its answer back, telling the command's error besides; or answers with an error at once.
type Job = Box<dyn FnOnce(Result<(&Connection, Place), StateError>) -> (Answer, Option<StateError>) + Send>;

/// Where a command stands in its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nothing was done before it: when it fails, the transaction goes.
    First,
    /// Its failure must leave alone what others have done before it.
    Follower,
}

/// The thread, for as long as somebody can ask it.
pub struct Worker {
    database: PathBuf,
    jobs: Mutex<Option<Sender<Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Worker {
    /// Waits for the thread to close the database. A process that ended before would leave the last transactions in
    /// the side file `-wal`, and whoever copies the database alone would miss them.
    fn drop(&mut self) {
        drop(self.jobs.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Worker {
    /// Starts the thread of this connection.
    pub fn of(connection: Connection, database: &Path) -> Result<Worker, StateError> {
        let (sender, receiver) = channel();
        let thread = std::thread::Builder::new()
            .name("state".into())
            .spawn(move || serve(&connection, &receiver))
            .map_err(|e| StateError::io(format!("cannot start the state's thread: {e}")))?;
        Ok(Worker { database: database.into(), jobs: Mutex::new(Some(sender)), thread: Some(thread) })
    }

    /// The file.
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// Hands a command over; its answer comes once it is durable.
    pub fn post<C: Command>(&self, command: C) -> Result<oneshot::Receiver<Result<C::Reply, StateError>>, StateError> {
        let (reply, receiver) = oneshot::channel();
        let job: Job = Box::new(move |db| {
            let result = db.and_then(|(db, place)| match place {
                Place::First => carried_out(db, &command),
                Place::Follower => in_savepoint(db, &command),
            });
            let error = result.as_ref().err().cloned();
            let answer: Answer = Box::new(move |committed| {
                let _ = reply.send(committed.and(result));
            });
            (answer, error)
        });
        let sender = self.jobs.lock().map_err(|_| StateError::gone())?;
        sender.as_ref().ok_or_else(StateError::gone)?.send(job).map_err(|_| StateError::gone())?;
        Ok(receiver)
    }
}

/// Carries a command out where it is asked, in a transaction of its own.
pub fn inline<C: Command>(connection: &Mutex<Connection>, command: &C) -> Result<C::Reply, StateError> {
    // A panic of another caller left no transaction open: the next BEGIN would say so.
    let db = connection.lock().unwrap_or_else(PoisonError::into_inner);
    begin(&db)?;
    let result = carried_out(&db, command);
    let lost = match &result {
        Err(error) => Some(error.clone()),
        Ok(_) => db.is_autocommit().then(StateError::lost),
    };
    end(&db, lost)?;
    result
}

/// Begins a transaction: where writing is possible, as one that writes. A transaction that reads first can't write any
/// more once somebody else has (SQLITE_BUSY_SNAPSHOT), and waiting would not help.
fn begin(db: &Connection) -> Result<(), StateError> {
    let sql = if db.is_readonly(MAIN_DB)? { "BEGIN" } else { "BEGIN IMMEDIATE" };
    Ok(db.execute_batch(sql)?)
}

/// The thread: takes what is waiting, runs it, commits once, answers all; whoever only looks is answered at once.
fn serve(db: &Connection, jobs: &Receiver<Job>) {
    while let Ok(first) = jobs.recv() {
        if let Err(error) = begin(db) {
            // Outside a transaction nothing may be run: the caller hears why, and nothing happens.
            first(Err(error)).0(Ok(()));
            continue;
        }
        let (mut answers, mut done, unwritten) = (Vec::new(), 0, db.total_changes());
        let mut next = Some(first);
        let mut lost = None;
        while let Some(job) = next.take() {
            let place = if answers.is_empty() { Place::First } else { Place::Follower };
            let (answer, error) = job(Ok((db, place)));
            done += 1;
            if db.is_autocommit() || (place == Place::First && error.is_some()) {
                lost = Some(error.unwrap_or_else(StateError::lost));
                answers.push(answer);
                break;
            }
            if db.total_changes() == unwritten {
                // It only looked, and nothing was written before it: no commit decides about what it saw.
                answer(Ok(()));
            } else {
                answers.push(answer);
            }
            if done < GROUP {
                next = jobs.try_recv().ok();
            }
        }
        let committed = end(db, lost);
        for answer in answers {
            answer(committed.clone());
        }
    }
    // Who is the last to close does this anyway; beside somebody who only looks, nobody is the last. Where it can't be
    // done soon, the side file is played back by whoever opens the database next.
    let _ = db.busy_timeout(LAST_PATIENCE);
    let _ = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
}

/// Ends the transaction: commits it, or says why it is lost. A full disk or a failing one can make SQLite roll the
/// whole transaction back in the middle of a command; then everything in it is lost, whatever was answered so far.
/// Whatever happens, no transaction is open afterwards.
fn end(db: &Connection, lost: Option<StateError>) -> Result<(), StateError> {
    let ended = match lost {
        Some(error) => Err(error),
        None => db.execute_batch("COMMIT").map_err(StateError::from),
    };
    if !db.is_autocommit() {
        let _ = db.execute_batch("ROLLBACK");
    }
    ended
}

/// Runs one command. One that panics has failed like any other; the thread, and those who wait for it, go on.
fn carried_out<C: Command>(db: &Connection, command: &C) -> Result<C::Reply, StateError> {
    catch_unwind(AssertUnwindSafe(|| command.run(&Db::Sqlite(Session(db)))))
        .unwrap_or_else(|_| Err(StateError::defect()))
}

/// Runs one command so that its failure undoes its own writes and nobody else's.
fn in_savepoint<C: Command>(db: &Connection, command: &C) -> Result<C::Reply, StateError> {
    db.prepare_cached("SAVEPOINT command")?.execute([])?;
    let result = carried_out(db, command);
    if db.is_autocommit() {
        // SQLite gave the whole transaction up, and the savepoint with it.
        return result.and_then(|_| Err(StateError::lost()));
    }
    let undone = match result {
        Ok(_) => Ok(()),
        Err(_) => db.execute_batch("ROLLBACK TO command"),
    };
    let released = undone.and_then(|()| db.prepare_cached("RELEASE command")?.execute([]));
    if let Err(error) = released {
        // Half a command must not be committed: everything in the transaction goes.
        let _ = db.execute_batch("ROLLBACK");
        return Err(error.into());
    }
    result
}
