//! How many requests a target was sent on a day, over restarts.
//!
//! The count belongs to what the target is ([`crate::domain::target_identity::TargetIdentity`]), not to what it is called: another name
//! for it, or a second one, draws on the same. Each UTC day has its own, and keeps it: a clock that goes a day forward
//! and back finds what was counted.
//!
//! Requests are taken some at a time before they leave, so that counting costs few commits; what was taken and not
//! used comes back. A process that dies in between has counted a few too many, never too few.

use super::db::args;
use super::{Command, Db, StateError};

/// The days of a target that are kept besides the one that is counted now. Whoever sets the clock forward meets at most
/// so many of them before today's count is the oldest.
const DAYS_KEPT: u32 = 400;

/// Takes requests off a day's quota; the reply is how many may be sent, none when all are used.
#[derive(Debug)]
pub struct TakeRequests {
    /// What the target is, as its identity is written.
    pub target: String,
    /// What it is called: an older version counted by name, and what it counted today counts.
    pub name: String,
    /// The UTC day, `YYYY-MM-DD`.
    pub day: String,
    /// How many are wanted.
    pub wanted: u64,
    /// How many there are a day.
    pub daily: u64,
}

impl Command for TakeRequests {
    type Reply = u64;

    fn run(&self, db: &Db<'_>) -> Result<u64, StateError> {
        let used: i64 = db.row(
            "SELECT coalesce(sum(used), 0) FROM quota WHERE target IN (?1, ?2) AND day = ?3",
            args![&self.target, &self.name, &self.day],
            |row| row.get(0),
        )?;
        let left = self.daily.saturating_sub(used.unsigned_abs());
        let taken = self.wanted.min(left);
        if taken > 0 {
            db.execute(
                "DELETE FROM quota WHERE target = ?1 AND day <> ?2 AND day < (SELECT day FROM quota WHERE target = ?1
                 ORDER BY day DESC LIMIT 1 OFFSET ?3)",
                args![self.target, self.day, DAYS_KEPT],
            )?;
            count(db, &self.target, &self.day, i64::try_from(taken).unwrap_or(i64::MAX))?;
        }
        Ok(taken)
    }
}

/// Gives back what was taken and not sent.
#[derive(Debug)]
pub struct GiveBackRequests {
    /// What the target is, as its identity is written.
    pub target: String,
    /// The UTC day for which they were taken.
    pub day: String,
    /// How many.
    pub unused: u64,
}

impl Command for GiveBackRequests {
    type Reply = ();

    fn run(&self, db: &Db<'_>) -> Result<(), StateError> {
        count(db, &self.target, &self.day, -(self.unused as i64))
    }
}

fn count(db: &Db<'_>, target: &str, day: &str, more: i64) -> Result<(), StateError> {
    db.execute(
        "INSERT INTO quota (target, day, used) VALUES (?1, ?2, ?3)
         ON CONFLICT (target, day) DO UPDATE SET used = CASE WHEN quota.used + ?4 > 0 THEN quota.used + ?4 ELSE 0 END",
        args![target, day, more.max(0), more],
    )?;
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
            let taking = TakeRequests { target: "t".into(), name: "n".into(), day: day.into(), wanted, daily: 10 };
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

    #[tokio::test]
    async fn a_day_that_comes_again_has_what_it_had_and_old_ones_go() {
        let state = State::in_memory().expect("a state");
        let take = async |day: String, wanted| {
            let taking = TakeRequests { target: "t".into(), name: "n".into(), day, wanted, daily: 30 };
            state.ask(taking).await.expect("counted")
        };
        assert_eq!(take("2026-11-22".into(), 30).await, 30);
        assert_eq!(take("2026-11-23".into(), 30).await, 30);
        assert_eq!(take("2026-11-22".into(), 1).await, 0, "the clock went forward and back");
        for n in 0..DAYS_KEPT + 50 {
            let day = chrono::NaiveDate::from_ymd_opt(2027, 1, 1).expect("a day") + chrono::Days::new(u64::from(n));
            assert_eq!(take(day.to_string(), 1).await, 1);
        }
        // Set back before everything that is kept, a day counts all the same.
        assert_eq!(take("1999-01-01".into(), 30).await, 30);
        assert_eq!(take("1999-01-01".into(), 30).await, 0);
        let days = state.ask(Days).await.expect("a number");
        assert!(days <= i64::from(DAYS_KEPT) + 2, "{days}");
    }

    #[tokio::test]
    async fn what_was_counted_by_name_counts() {
        let state = State::in_memory().expect("a state");
        let take = async |target: &str, name: &str| {
            let (target, name) = (target.into(), name.into());
            let taking = TakeRequests { target, name, day: "2026-11-22".into(), wanted: 10, daily: 10 };
            state.ask(taking).await.expect("counted")
        };
        assert_eq!(take("juno", "juno").await, 10, "as an older version does");
        assert_eq!(take("https://acme.example.com", "juno").await, 0);
        assert_eq!(take("https://acme.example.com", "other").await, 10);
        assert_eq!(take("https://acme.example.com", "third").await, 0, "another name is no other target");
    }

    #[derive(Debug)]
    struct Days;

    impl Command for Days {
        type Reply = i64;

        fn run(&self, db: &Db<'_>) -> Result<i64, StateError> {
            db.row("SELECT count(*) FROM quota", args![], |row| row.get(0))
        }
    }
}
