//! The gate that every request to one target or source passes: never faster than the operator allows, and no slower than
//! need be.
//!
//! A gate is a [`Bucket`], wherever that is kept, and a queue before it: first come, first served. governor decides, under
//! the lock of whoever keeps the bucket, and so for all who share it. Nothing is promised to somebody who waits: each asks
//! again when it may be their turn, and who stops waiting takes nothing.
//!
//! Where a target's bucket is kept for all processes is the matter of [`crate::account::budget`].

mod bucket;

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::Rng;
use tokio::time::Instant;

use crate::domain::units::Rate;
use bucket::Limits;
pub use bucket::{Bucket, WAITERS, nanos};

/// When a lock that another process holds for some microseconds is tried again.
const LOCKED: Duration = Duration::from_millis(1);

/// Another process changes a bucket within microseconds. One that has had it locked for so long was stopped.
const PATIENCE: Duration = Duration::from_secs(10);

/// A pause is entered even if the lock has to be tried so often, some microseconds apart.
const TRIES_TO_PAUSE: u32 = 1000;

/// A wait from which on it is told.
const WORTH_TELLING: Duration = Duration::from_secs(5);

/// Who keeps a bucket, for this process or for all.
pub trait BucketStore: Send + Sync {
    /// Why it can't be kept.
    type Error: std::fmt::Display;

    /// The time by the bucket's clock.
    fn now(&self) -> u64;

    /// Changes the bucket, at the moment that it is told; there is none where nothing is known of what was sent.
    /// Nothing is done where another process is in the way for a moment.
    fn change<T>(&self, how: impl FnOnce(&mut Option<Bucket>, u64) -> T) -> Result<Option<T>, Self::Error>;

    /// Another process has been in the way for [`PATIENCE`].
    fn stays_locked(&self) -> Result<(), Self::Error>;
}

/// Keeps a bucket in this process alone, on tokio's clock, which tests can pause.
#[derive(Debug)]
pub struct Memory {
    began: Instant,
    bucket: Mutex<Option<Bucket>>,
}

impl Default for Memory {
    fn default() -> Memory {
        Memory { began: Instant::now(), bucket: Mutex::default() }
    }
}

impl BucketStore for Memory {
    type Error = Infallible;

    fn now(&self) -> u64 {
        nanos(self.began.elapsed())
    }

    fn change<T>(&self, how: impl FnOnce(&mut Option<Bucket>, u64) -> T) -> Result<Option<T>, Infallible> {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Some(how(&mut bucket, self.now())))
    }

    fn stays_locked(&self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// The gate of one target or source, shared by all tasks of a process.
pub struct RateGate<S> {
    limits: Limits,
    store: S,
    /// Who asks, among the processes. It need not be a secret, only nobody else's; it is never 0.
    who: u64,
    /// tokio's lock is first come, first served.
    queue: tokio::sync::Mutex<()>,
    /// What was ordered here: it holds even where it could not be entered for the others yet.
    paused_until: AtomicU64,
    admitted: AtomicU64,
    waits: AtomicU64,
    waited_nanos: AtomicU64,
}

/// What a gate has seen since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GateCounters {
    /// Requests let through.
    pub admitted: u64,
    /// How many of them had to wait.
    pub waits: u64,
    /// How long they waited, together.
    pub waited: Duration,
}

/// Whether a request may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Now; it is counted.
    Now,
    /// Not before this time has passed; then ask again.
    Wait(Duration),
    /// Another process is in the way for a moment; then ask again.
    Busy,
}

impl<S: BucketStore> RateGate<S> {
    /// A gate for `rate`, where up to `burst` requests may go at once after a pause (0 counts as 1).
    pub fn new(rate: Rate, burst: u32, store: S) -> Self {
        RateGate {
            limits: Limits::new(rate, burst),
            store,
            who: rand::rng().random::<u64>() | 1,
            queue: tokio::sync::Mutex::default(),
            paused_until: AtomicU64::new(0),
            admitted: AtomicU64::new(0),
            waits: AtomicU64::new(0),
            waited_nanos: AtomicU64::new(0),
        }
    }

    /// Waits until one request may go. Who asked first goes first; who stops waiting takes nothing.
    ///
    /// # Errors
    /// The bucket can't be kept: then nothing may go.
    pub async fn acquire(&self) -> Result<(), S::Error> {
        let (asked, began) = (self.store.now(), Instant::now());
        let _turn = self.queue.lock().await;
        let mut locked_since = None;
        loop {
            let wait = match self.take(asked)? {
                Turn::Now => break,
                Turn::Wait(time) => {
                    locked_since = None;
                    tell_of(time);
                    time
                }
                Turn::Busy => {
                    if locked_since.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                        self.store.stays_locked()?;
                    }
                    LOCKED
                }
            };
            tokio::time::sleep(wait).await;
        }
        self.count(began.elapsed());
        Ok(())
    }

    /// Asks for the turn of a request that was wanted at this moment.
    pub(crate) fn take(&self, asked: u64) -> Result<Turn, S::Error> {
        let turn = self.change(|bucket, now| bucket.take(&self.limits, self.who, asked, now))?;
        Ok(match turn {
            Some(Ok(())) => Turn::Now,
            Some(Err(time)) => Turn::Wait(time),
            None => Turn::Busy,
        })
    }

    /// Lets nothing through for so long, here and in every other process: the whole target rests, as `Retry-After` asks.
    /// A time that ends before one already ordered changes nothing.
    pub fn pause(&self, wanted: Duration) {
        self.paused_until.fetch_max(self.store.now().saturating_add(nanos(wanted)), Ordering::Relaxed);
        if let Err(error) = self.enter_pause() {
            tracing::warn!(%error, "other processes are not told that the target wants to be left alone");
        }
    }

    fn enter_pause(&self) -> Result<(), S::Error> {
        for _ in 0..TRIES_TO_PAUSE {
            if self.change(|_, _| ())?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_micros(20));
        }
        self.store.stays_locked()
    }

    fn change<T>(&self, how: impl FnOnce(&mut Bucket, u64) -> T) -> Result<Option<T>, S::Error> {
        self.store.change(|bucket, now| {
            let bucket = bucket.get_or_insert_with(|| self.limits.empty(now));
            bucket.paused_until = bucket.paused_until.max(self.paused_until.load(Ordering::Relaxed));
            how(bucket, now)
        })
    }

    /// What it has seen.
    pub fn counters(&self) -> GateCounters {
        GateCounters {
            admitted: self.admitted.load(Ordering::Relaxed),
            waits: self.waits.load(Ordering::Relaxed),
            waited: Duration::from_nanos(self.waited_nanos.load(Ordering::Relaxed)),
        }
    }

    fn count(&self, waited: Duration) {
        self.admitted.fetch_add(1, Ordering::Relaxed);
        // Less than a tenth of a millisecond is the work of asking, not a wait.
        if waited >= Duration::from_micros(100) {
            self.waits.fetch_add(1, Ordering::Relaxed);
            self.waited_nanos.fetch_add(nanos(waited), Ordering::Relaxed);
        }
    }
}

/// Whoever waits for a command should know for what.
fn tell_of(rest: Duration) {
    if rest >= WORTH_TELLING {
        tracing::info!(
            seconds = rest.as_secs(),
            "waits before the next request: the server asked for it, or the rate does"
        );
    }
}

#[cfg(test)]
mod tests;
