//! The gate that every request of a process to one target or source passes: never faster than the operator allows, and no slower than need be.
//!
//! Two things decide together. A **schedule** says when the next request is due ([`Pace`], as in the budget that all
//! processes share, on the moments at which requests *asked* to go, so that a late wake-up shifts nothing). **governor** has the last word
//! on the moment at which a request really goes, so that late wake-ups can't bunch up into more than is allowed.
//!
//! Why both: a timer wakes a millisecond or more after it should. A limiter that is only asked then counts from the
//! late moment, and with a burst of 1 each late wake-up is lost for good: 500/s becomes 455/s. The remedy is a little
//! tolerance beyond the burst, which lets the next request make up for the one that came late. It is chosen so that
//! the promise *no second holds more than rate + burst* stays exact; see [`Shape`].
//!
//! A gate begins empty, as if its whole burst had just been sent: a process that has just started can't know what the one
//! before it sent a moment ago, and so both together keep the promise. The first request goes one interval after it was
//! asked for.
//!
//! What other processes send to the same target is the matter of [`crate::account::gate`]. Waiting is first come, first served. All clocks are tokio's, so tests on paused time see exact figures.

use std::num::NonZeroU32;
use std::ops::Add;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

use crate::domain::pace::{Pace, nanos};
use crate::domain::units::Rate;

/// How late a wake-up may be without loss: tokio's timer counts milliseconds, and a busy machine of two cores adds a
/// few more before the task runs.
const LATENESS: Duration = Duration::from_millis(5);

/// The share of the rate given up to pay for [`LATENESS`] where the burst doesn't pay for it and requests are less
/// than that apart: half of the one percent that may be lost.
const SHARE_GIVEN_UP: f64 = 0.005;

/// The gate of one target, shared by all of its tasks.
pub struct RateGate {
    limiter: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Moment>>,
    shape: Shape,
    began: Instant,
    /// The schedule, lateness set aside, in nanoseconds since `began`; nothing before the first request. The lock is the
    /// queue, and tokio's is first come, first served.
    served_by: tokio::sync::Mutex<Option<u64>>,
    paused_until: Mutex<Option<Instant>>,
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

impl RateGate {
    /// A gate for `rate`, where up to `burst` requests may go at once after a pause (0 counts as 1).
    pub fn new(rate: Rate, burst: u32) -> Self {
        let shape = Shape::new(rate, burst);
        RateGate {
            limiter: RateLimiter::direct_with_clock(shape.quota(), TokioClock),
            shape,
            began: Instant::now(),
            served_by: tokio::sync::Mutex::new(None),
            paused_until: Mutex::new(None),
            admitted: AtomicU64::new(0),
            waits: AtomicU64::new(0),
            waited_nanos: AtomicU64::new(0),
        }
    }

    /// Waits until one request may go. Who asked first goes first; who stops waiting takes nothing.
    pub async fn acquire(&self) {
        let asked = Instant::now();
        self.acquire_as_of(asked).await;
        self.count(asked.elapsed());
    }

    /// The same for somebody who asked at this moment and had to wait for something else since; not counted yet.
    pub(crate) async fn acquire_as_of(&self, asked: Instant) {
        let mut kept = self.served_by.lock().await;
        let pace = self.shape.bare_pace();
        let since = |moment: Instant| nanos(moment.saturating_duration_since(self.began));
        let served_by = kept.unwrap_or_else(|| {
            self.drain();
            pace.empty(since(asked))
        });
        // Who stops waiting leaves the schedule behind as it was, begun.
        *kept = Some(served_by);
        let mut due = asked.max(self.began + Duration::from_nanos(pace.open_from(served_by)));
        loop {
            due = due.max(self.pause_end().unwrap_or(due));
            if due > Instant::now() {
                tokio::time::sleep_until(due).await;
                continue; // a pause may have been ordered meanwhile
            }
            match self.limiter.check_n(self.shape.cells_per_request) {
                Ok(Err(not_yet)) => due = not_yet.earliest_possible().0,
                // The other error, more cells than the quota ever holds, can't be: a quota holds at least one request.
                Ok(Ok(())) | Err(_) => break,
            }
        }
        *kept = Some(pace.served(served_by, since(due)));
    }

    /// What it allows, for a schedule that is shared with others.
    pub(crate) fn pace(&self) -> Pace {
        let ahead = self.shape.held_cells().get() - self.shape.cells_per_request.get();
        Pace { interval: self.shape.interval(), tolerance: self.shape.cell.saturating_mul(ahead) }
    }

    /// What a burst would take is gone from the start on.
    fn drain(&self) {
        // It is full, and so gives all that it holds.
        let drained = self.limiter.check_n(self.shape.held_cells());
        debug_assert!(matches!(drained, Ok(Ok(()))), "a new limiter is full");
    }

    /// Lets nothing through before `moment`: the whole target rests, as `Retry-After` asks. An earlier moment than one
    /// already ordered changes nothing.
    pub fn pause_until(&self, moment: Instant) {
        let mut paused = self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        *paused = (*paused).max(Some(moment));
    }

    /// What it has seen.
    pub fn counters(&self) -> GateCounters {
        GateCounters {
            admitted: self.admitted.load(Ordering::Relaxed),
            waits: self.waits.load(Ordering::Relaxed),
            waited: Duration::from_nanos(self.waited_nanos.load(Ordering::Relaxed)),
        }
    }

    /// How long nothing is let through any more, where a pause was ordered.
    pub(crate) fn rests_for(&self) -> Option<Duration> {
        self.pause_end()?.checked_duration_since(Instant::now())
    }

    fn pause_end(&self) -> Option<Instant> {
        *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request that has been let through.
    pub(crate) fn count(&self, waited: Duration) {
        self.admitted.fetch_add(1, Ordering::Relaxed);
        // Less than a tenth of a millisecond is the work of asking, not a wait.
        if waited >= Duration::from_micros(100) {
            self.waits.fetch_add(1, Ordering::Relaxed);
            self.waited_nanos.fetch_add(nanos(waited), Ordering::Relaxed);
        }
    }
}

/// The figures of a gate: governor's cells are a fraction of a request, because the tolerance for lateness is one.
///
/// With `r` requests a second, a burst of `b` and a tolerance worth `s` requests, a second holds at most
/// `floor(r + b - 1 + s) + 1`. That is within `r + b` as long as `s < floor(r) + 1 - r`: almost a whole request, for
/// nothing, where `r` is a whole number. Where requests are so close together that this is less than [`LATENESS`],
/// [`SHARE_GIVEN_UP`] of `r` buys the rest.
#[derive(Clone, Copy, Debug)]
struct Shape {
    cell: Duration,
    cells_per_request: NonZeroU32,
    burst: u32,
    spare_cells: u32,
}

impl Shape {
    fn new(rate: Rate, burst: u32) -> Shape {
        let burst = burst.max(1);
        let wanted = rate.count.max(1);
        let per_second = f64::from(wanted) / rate.per.as_secs_f64();
        let interval = rate.per.as_secs_f64() / f64::from(wanted);
        let burst_pays = f64::from(burst - 1) * interval >= LATENESS.as_secs_f64();
        let free = |kept: f64| per_second.floor() + 1.0 - kept;
        let kept = match burst_pays || free(per_second) * interval >= LATENESS.as_secs_f64() {
            true => per_second,
            false => per_second * (1.0 - SHARE_GIVEN_UP),
        };
        // Fine enough to use most of a small allowance; coarse enough that a cell is many nanoseconds, to which it is
        // rounded (up: never faster).
        let cells: u32 = if per_second > 1000.0 { 16 } else { 256 };
        let cell = Duration::from_nanos((1e9 / (kept * f64::from(cells)) - 1e-6).ceil().max(1.0) as u64);
        let needed = (LATENESS.as_secs_f64() / cell.as_secs_f64()).ceil();
        let allowed = (free(kept) * f64::from(cells)).ceil() - 1.0;
        Shape {
            cell,
            cells_per_request: NonZeroU32::new(cells).unwrap_or(NonZeroU32::MIN),
            burst: burst.min(u32::MAX / cells / 2),
            spare_cells: if burst_pays { 0 } else { needed.min(allowed).max(0.0) as u32 },
        }
    }

    /// All the cells that a full bucket holds.
    fn held_cells(&self) -> NonZeroU32 {
        let held = self.burst.saturating_mul(self.cells_per_request.get()).saturating_add(self.spare_cells);
        NonZeroU32::new(held).unwrap_or(NonZeroU32::MIN)
    }

    fn quota(&self) -> Quota {
        Quota::with_period(self.cell).expect("a cell lasts at least a nanosecond").allow_burst(self.held_cells())
    }

    fn interval(&self) -> Duration {
        self.cell * self.cells_per_request.get()
    }

    /// The pace as the operator set it, without the tolerance for lateness.
    fn bare_pace(&self) -> Pace {
        Pace { interval: self.interval(), tolerance: self.interval().saturating_mul(self.burst - 1) }
    }
}

/// governor's clock on tokio's, which tests can pause.
struct TokioClock;

/// A reading of [`TokioClock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(Instant);

impl Clock for TokioClock {
    type Instant = Moment;

    fn now(&self) -> Moment {
        Moment(Instant::now())
    }
}

impl Add<Nanos> for Moment {
    type Output = Moment;

    fn add(self, nanos: Nanos) -> Moment {
        Moment(self.0 + Duration::from(nanos))
    }
}

impl Reference for Moment {
    fn duration_since(&self, earlier: Moment) -> Nanos {
        self.0.saturating_duration_since(earlier.0).into()
    }

    fn saturating_sub(&self, nanos: Nanos) -> Moment {
        Moment(self.0.checked_sub(nanos.into()).unwrap_or(self.0))
    }
}

#[cfg(test)]
mod tests;
