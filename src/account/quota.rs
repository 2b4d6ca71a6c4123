//! A target's daily quota, as those who send see it: one request at a time, counted before it leaves.
//!
//! The count is in the state, so that it outlives the process. It is taken from there a few requests at a time; what
//! is left of them at the end of a run goes back.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Mutex;

use crate::domain::target_identity::TargetIdentity;
use crate::os::clock::Clock;
use crate::state::quota::{GiveBackRequests, TakeRequests};
use crate::state::{State, StateError};

/// The most requests that are taken at once: one commit for so many costs nothing, and a process that is killed
/// wastes no more than these.
const MOST_AT_ONCE: u64 = 64;

/// No more than this share of the day's quota is taken at once, so that a kill wastes little of a small one.
const SHARE_AT_ONCE: u64 = 100;

/// The quota of one target.
pub struct Quota {
    target: String,
    name: String,
    daily: u64,
    state: State,
    clock: Clock,
    held: Mutex<Held>,
    used_up: AtomicBool,
}

/// What was taken and not sent yet.
#[derive(Default)]
struct Held {
    day: String,
    left: u64,
}

impl Quota {
    /// The quota of `daily` requests per UTC day of a target of this name.
    pub fn new(target: &TargetIdentity, name: &str, daily: u64, state: State, clock: Clock) -> Quota {
        Quota {
            target: target.to_string(),
            name: name.to_string(),
            daily,
            state,
            clock,
            held: Mutex::default(),
            used_up: AtomicBool::new(false),
        }
    }

    /// Requests a day.
    pub fn daily(&self) -> u64 {
        self.daily
    }

    /// Whether a request was refused because the day's are used up.
    pub fn is_used_up(&self) -> bool {
        self.used_up.load(Ordering::Relaxed)
    }

    /// Counts one request; `false` when the day's are used up.
    ///
    /// # Errors
    /// The state fails: a request that can't be counted must not leave.
    pub async fn take(&self) -> Result<bool, StateError> {
        let mut held = self.held.lock().await;
        let day = self.clock.now().format("%Y-%m-%d").to_string();
        if held.day != day {
            *held = Held { day, left: 0 };
        }
        if held.left == 0 {
            let wanted = (self.daily / SHARE_AT_ONCE).clamp(1, MOST_AT_ONCE);
            let (target, name, day) = (self.target.clone(), self.name.clone(), held.day.clone());
            let taking = TakeRequests { target, name, day, wanted, daily: self.daily };
            held.left = self.state.ask(taking).await?;
        }
        let granted = held.left > 0;
        self.used_up.store(!granted, Ordering::Relaxed);
        held.left = held.left.saturating_sub(1);
        Ok(granted)
    }

    /// Gives back what was taken and not sent.
    ///
    /// # Errors
    /// The state fails; then the day has that much less.
    pub async fn give_back(&self) -> Result<(), StateError> {
        let mut held = self.held.lock().await;
        let unused = std::mem::take(&mut held.left);
        if unused == 0 {
            return Ok(());
        }
        self.state.ask(GiveBackRequests { target: self.target.clone(), day: held.day.clone(), unused }).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, TimeDelta, Utc};
    use std::sync::Arc;
    use std::sync::atomic::AtomicI64;

    /// A clock that the test sets forward, in hours since the epoch.
    fn clock(hours: &Arc<AtomicI64>) -> Clock {
        let hours = Arc::clone(hours);
        Clock::from_fn(move || DateTime::<Utc>::UNIX_EPOCH + TimeDelta::hours(hours.load(Ordering::Relaxed)))
    }

    fn of(daily: u64, state: &State, clock: &Clock) -> Quota {
        Quota::new(&TargetIdentity::parse("http://t"), "t", daily, state.clone(), clock.clone())
    }

    #[tokio::test]
    async fn it_is_exact_over_restarts_and_begins_anew_at_midnight() {
        let state = State::in_memory().expect("a state");
        let hours = Arc::new(AtomicI64::new(1));
        let new = || of(1000, &state, &clock(&hours));
        let mut sent = 0;
        for _ in 0..3 {
            let quota = new();
            for _ in 0..333 {
                assert!(quota.take().await.expect("counted"));
                sent += 1;
            }
            quota.give_back().await.expect("given back");
        }
        let quota = new();
        while quota.take().await.expect("counted") {
            sent += 1;
        }
        assert_eq!(sent, 1000);
        assert!(quota.is_used_up());
        hours.store(24, Ordering::Relaxed);
        assert!(quota.take().await.expect("counted") && !quota.is_used_up());
    }

    #[tokio::test]
    async fn a_process_that_dies_wastes_at_most_what_it_held() {
        let state = State::in_memory().expect("a state");
        let clock = clock(&Arc::new(AtomicI64::new(1)));
        for _ in 0..10 {
            of(1000, &state, &clock).take().await.expect("counted"); // and dies
        }
        let quota = of(1000, &state, &clock);
        let mut sent = 10;
        while quota.take().await.expect("counted") {
            sent += 1;
        }
        assert!((910..=1000).contains(&sent), "{sent}");
    }
}
