//! What operators ask of a running daemon: short requests left in the database by a process that can't send itself,
//! since the daemon holds the sender's lock.
//!
//! A request is left, taken by the daemon, and answered when what it asked for has ended. Who asked waits for that, or
//! withdraws it when nobody takes it.

use std::fmt;

use chrono::{DateTime, Utc};

use super::db::args;
use super::{Command, Db, Row, StateError};
use crate::domain::ids::{PlanId, RequestId};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Run this sync now.
    Trigger(String),
    /// Send this held plan.
    Approve(PlanId),
}

impl Ask {
    fn parts(&self) -> (&'static str, &str) {
        match self {
            Ask::Trigger(sync) => ("trigger", sync),
            Ask::Approve(plan) => ("approve", plan.as_str()),
        }
    }

    fn of(kind: &str, subject: String) -> Option<Ask> {
        match kind {
            "trigger" => Some(Ask::Trigger(subject)),
            "approve" => Some(Ask::Approve(subject.into())),
            _ => None,
        }
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, subject) = self.parts();
        write!(f, "{kind} {subject}")
    }
}

/// Leaves a request.
#[derive(Debug)]
pub struct Leave {
    /// What is asked.
    pub ask: Ask,
    /// Who asks: the login name.
    pub by: String,
    /// Why, if they said.
    pub reason: Option<String>,
    /// When.
    pub at: DateTime<Utc>,
}

impl Command for Leave {
    type Reply = RequestId;

    fn run(&self, db: &Db<'_>) -> Result<RequestId, StateError> {
        let (kind, subject) = self.ask.parts();
        let id = db.insert(
            "INSERT INTO request (kind, subject, by_whom, reason, at) VALUES (?1, ?2, ?3, ?4, ?5)",
            args![kind, subject, self.by, self.reason, self.at],
        )?;
        Ok(RequestId(id))
    }
}

/// Takes back a request that nobody has taken; `false` when somebody has.
#[derive(Debug)]
pub struct Withdraw(pub RequestId);

impl Command for Withdraw {
    type Reply = bool;

    fn run(&self, db: &Db<'_>) -> Result<bool, StateError> {
        let gone = db.execute("DELETE FROM request WHERE id = ?1 AND taken_at IS NULL", args![self.0])?;
        Ok(gone > 0)
    }
}

/// A request that the daemon has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its number.
    pub id: RequestId,
    /// What is asked.
    pub ask: Ask,
    /// Who asks.
    pub by: String,
    /// Why, if they said.
    pub reason: Option<String>,
}

/// Takes every request that waits. Only the holder of the sender's lock may.
#[derive(Debug)]
pub struct TakeAll {
    /// When.
    pub at: DateTime<Utc>,
}

impl Command for TakeAll {
    type Reply = Vec<Taken>;

    fn run(&self, db: &Db<'_>) -> Result<Vec<Taken>, StateError> {
        let waiting = "SELECT id, kind, subject, by_whom, reason FROM request WHERE taken_at IS NULL ORDER BY id";
        let rows = db.rows(waiting, args![], taken)?;
        let mut all = Vec::new();
        for row in rows {
            let (id, request) = row;
            db.execute("UPDATE request SET taken_at = ?2 WHERE id = ?1", args![id, self.at])?;
            all.extend(request);
        }
        Ok(all)
    }
}

fn taken(row: &Row<'_>) -> Result<(RequestId, Option<Taken>), StateError> {
    let id = row.get(0)?;
    let ask = Ask::of(&row.get::<String>(1)?, row.get(2)?);
    let (by, reason) = (row.get(3)?, row.get(4)?);
    Ok((id, ask.map(|ask| Taken { id, ask, by, reason })))
}

/// Answers a request.
#[derive(Debug)]
pub struct Reply {
    /// Which.
    pub id: RequestId,
    /// When.
    pub at: DateTime<Utc>,
    /// The exit code that follows for whoever asked.
    pub exit: u8,
    /// JSON: a run's summary, or an error.
    pub answer: String,
}

impl Command for Reply {
    type Reply = ();

    fn run(&self, db: &Db<'_>) -> Result<(), StateError> {
        db.execute(
            "UPDATE request SET ended_at = ?2, exit = ?3, answer = ?4 WHERE id = ?1",
            args![self.id, self.at, self.exit, self.answer],
        )?;
        Ok(())
    }
}

/// How far a request has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nobody has seen it.
    Waiting,
    /// The daemon has taken it.
    Taken,
    /// It has ended.
    Ended {
        /// The exit code.
        exit: u8,
        /// JSON: a run's summary, or an error.
        answer: String,
    },
}

/// Asks how far a request has come; none when there is no such request.
#[derive(Debug)]
pub struct ProgressOf(pub RequestId);

impl Command for ProgressOf {
    type Reply = Option<Progress>;

    fn run(&self, db: &Db<'_>) -> Result<Self::Reply, StateError> {
        db.one("SELECT taken_at IS NOT NULL, exit, answer FROM request WHERE id = ?1", args![self.0], |row| {
            Ok(match (row.get(0)?, row.get(1)?, row.get(2)?) {
                (_, Some(exit), Some(answer)) => Progress::Ended { exit, answer },
                (true, ..) => Progress::Taken,
                (false, ..) => Progress::Waiting,
            })
        })
    }
}

/// Ends what a daemon that died had taken, and forgets what is long over. A daemon asks for it when it starts.
#[derive(Debug)]
pub struct CloseStale {
    /// When.
    pub at: DateTime<Utc>,
    /// Requests left before this time and never taken are dropped: who left them has gone.
    pub left_before: DateTime<Utc>,
    /// The answer of those that were taken.
    pub answer: String,
    /// Its exit code.
    pub exit: u8,
}

impl Command for CloseStale {
    type Reply = ();

    fn run(&self, db: &Db<'_>) -> Result<(), StateError> {
        db.execute(
            "UPDATE request SET ended_at = ?1, exit = ?2, answer = ?3 WHERE taken_at IS NOT NULL AND answer IS NULL",
            args![self.at, self.exit, self.answer],
        )?;
        db.execute("DELETE FROM request WHERE taken_at IS NULL AND at < ?1", args![self.left_before])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::instant;
    use crate::state::State;

    fn leave(ask: Ask, at: &str) -> Leave {
        Leave { ask, by: "ann".into(), reason: Some("asked".into()), at: instant(at) }
    }

    #[tokio::test]
    async fn a_request_is_left_taken_once_and_answered() {
        let state = State::in_memory().expect("a state");
        let id = state.ask(leave(Ask::Trigger("staff".into()), "2026-11-22T03:00:00.000Z")).await.expect("left");
        assert_eq!(state.ask(ProgressOf(id)).await.expect("asked"), Some(Progress::Waiting));
        let taken = state.ask(TakeAll { at: instant("2026-11-22T03:00:01.000Z") }).await.expect("taken");
        assert_eq!(taken.len(), 1);
        assert_eq!((taken[0].id, &taken[0].ask), (id, &Ask::Trigger("staff".into())));
        assert!(state.ask(TakeAll { at: instant("2026-11-22T03:00:02.000Z") }).await.expect("asked").is_empty());
        assert!(!state.ask(Withdraw(id)).await.expect("asked"), "taken: it can't be withdrawn");
        assert_eq!(state.ask(ProgressOf(id)).await.expect("asked"), Some(Progress::Taken));
        let reply = Reply { id, at: instant("2026-11-22T03:00:03.000Z"), exit: 75, answer: "{}".into() };
        state.ask(reply).await.expect("answered");
        let ended = Progress::Ended { exit: 75, answer: "{}".into() };
        assert_eq!(state.ask(ProgressOf(id)).await.expect("asked"), Some(ended));
    }

    #[tokio::test]
    async fn what_a_dead_daemon_had_taken_is_answered_and_what_nobody_took_is_dropped() {
        let state = State::in_memory().expect("a state");
        let taken = state.ask(leave(Ask::Approve("p1".into()), "2026-11-22T02:00:00.000Z")).await.expect("left");
        state.ask(TakeAll { at: instant("2026-11-22T02:00:01.000Z") }).await.expect("taken");
        let old = state.ask(leave(Ask::Approve("p2".into()), "2026-11-22T02:30:00.000Z")).await.expect("left");
        let fresh = state.ask(leave(Ask::Approve("p3".into()), "2026-11-22T03:00:00.000Z")).await.expect("left");
        let close = CloseStale {
            at: instant("2026-11-22T03:00:10.000Z"),
            left_before: instant("2026-11-22T02:59:00.000Z"),
            answer: "interrupted".into(),
            exit: 75,
        };
        state.ask(close).await.expect("closed");
        let ended = Progress::Ended { exit: 75, answer: "interrupted".into() };
        assert_eq!(state.ask(ProgressOf(taken)).await.expect("asked"), Some(ended));
        assert_eq!(state.ask(ProgressOf(old)).await.expect("asked"), None);
        assert_eq!(state.ask(ProgressOf(fresh)).await.expect("asked"), Some(Progress::Waiting));
    }
}
