//! How many requests a target was sent on a day, over restarts.
//!
//! Requests are taken some at a time before they leave, so that counting costs few commits; what was taken and not
//! used comes back. A process that dies in between has counted a few too many, never too few.

use rusqlite::{Connection, OptionalExtension, params};

use super::{Command, StateError};

/// Takes requests off a day's quota; the reply is how many may be sent, none when all are used.
#[derive(Debug)]
pub struct TakeRequests {
    /// The target's name.
    pub target: String,
    /// The UTC day, `YYYY-MM-DD`.
    pub day: String,
    /// How many are wanted.
    pub wanted: u64,
    /// How many there are a day.
    pub daily: u64,
}

impl Command for TakeRequests {
    type Reply = u64;

    fn run(self, db: &Connection) -> Result<u64, StateError> {
        let used: Option<i64> = db
            .prepare_cached("SELECT used FROM quota WHERE target = ?1 AND day = ?2")?
            .query_row([&self.target, &self.day], |row| row.get(0))
            .optional()?;
        let left = self.daily.saturating_sub(used.unwrap_or(0).unsigned_abs());
        let taken = self.wanted.min(left);
        if taken > 0 {
            // Days that are over are of no interest to anybody.
            db.prepare_cached("DELETE FROM quota WHERE target = ?1 AND day < ?2")?
                .execute([&self.target, &self.day])?;
            count(db, &self.target, &self.day, taken as i64)?;
        }
        Ok(taken)
    }
}

/// Gives back what was taken and not sent.
#[derive(Debug)]
pub struct GiveBackRequests {
    /// The target's name.
    pub target: String,
    /// The UTC day for which they were taken.
    pub day: String,
    /// How many.
    pub unused: u64,
}

impl Command for GiveBackRequests {
    type Reply = ();

    fn run(self, db: &Connection) -> Result<(), StateError> {
        count(db, &self.target, &self.day, -(self.unused as i64))
    }
}

fn count(db: &Connection, target: &str, day: &str, more: i64) -> Result<(), StateError> {
    db.prepare_cached(
        "INSERT INTO quota (target, day, used) VALUES (?1, ?2, max(0, ?3))
         ON CONFLICT (target, day) DO UPDATE SET used = max(0, used + ?3)",
    )?
    .execute(params![target, day, more])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State;

    #[tokio::test]
    async fn a_day_has_its_quota_and_the_next_one_its_own() {
        let state = State::in_memory().expect("a state");
        let take = async |day: &str, wanted| {
            let taking = TakeRequests { target: "t".into(), day: day.into(), wanted, daily: 10 };
            state.ask(taking).await.expect("counted")
        };
        assert_eq!(take("2026-11-22", 4).await, 4);
        assert_eq!(take("2026-11-22", 7).await, 6);
        assert_eq!(take("2026-11-22", 1).await, 0);
        let back = GiveBackRequests { target: "t".into(), day: "2026-11-22".into(), unused: 2 };
        state.ask(back).await.expect("given back");
        assert_eq!(take("2026-11-22", 7).await, 2);
        assert_eq!(take("2026-11-23", 7).await, 7);
    }
}
