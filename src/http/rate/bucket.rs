//! The token bucket: what is kept of it, and what a rate and a burst allow. The arithmetic is governor's (the generic cell
//! rate algorithm); here is only the moment that governor is asked about.
//!
//! A timer wakes a millisecond or more after it should. Counted from that late moment, with a burst of 1 each late
//! wake-up would be lost for good: 500/s would become 455/s. So a request counts as gone when it was **due**, if it goes
//! at most [`Limits::spare`] later than that, and at that much before it really goes otherwise. The requests of a second
//! were then due within a second and `spare`, of which governor admits `floor((1 s + spare) / interval) + burst`; `spare`
//! is chosen so that this is no more than *rate + burst*.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

use crate::domain::units::Rate;

/// How late a wake-up may be without loss: tokio's timer counts milliseconds, and a busy machine of two cores adds a
/// few more before the task runs.
pub(super) const LATENESS: Duration = Duration::from_millis(5);

/// How long somebody who had to wait goes before the next one. A timer wakes a millisecond or two after it should.
const HEAD_START: u64 = 5_000_000;

/// So many processes that wait are served in their order; beyond that, chance decides.
pub const WAITERS: usize = 6;

/// The bucket of one source or target. Times are nanoseconds of the clock of whoever keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// When everything let through so far would have gone at the even pace: governor's state.
    pub served_by: u64,
    /// Nothing goes before this.
    pub paused_until: u64,
    /// Who had to wait and has not been served since, the first first; 0: nobody.
    pub waiting: [u64; WAITERS],
}

impl Bucket {
    /// Lets a request through that was asked for then, if it may leave now; else for how long it may not.
    pub(super) fn take(&mut self, limits: &Limits, who: u64, asked: u64, now: u64) -> Result<(), Duration> {
        // From when on there is room for one more.
        let open_from = limits.admit(self.served_by, self.paused_until).map_or_else(|from| from, |_| self.paused_until);
        let before = self.waiting.iter().position(|waits| *waits == who || *waits == 0).unwrap_or(WAITERS);
        let head_start = HEAD_START.min(limits.interval() / (2 * WAITERS as u64)).saturating_mul(before as u64);
        let wait = open_from.saturating_add(head_start).saturating_sub(now);
        if wait > 0 {
            if let Some(waits) = self.waiting.get_mut(before) {
                *waits = who;
            }
            return Err(Duration::from_nanos(wait));
        }
        // Those before have let their chance pass.
        let served = if self.waiting.get(before) == Some(&who) { before + 1 } else { before };
        self.waiting.rotate_left(served);
        self.waiting[WAITERS - served..].fill(0);
        let counted_at = open_from.max(asked).max(now.saturating_sub(nanos(limits.spare)));
        self.served_by = limits.admit(self.served_by, counted_at).unwrap_or(self.served_by);
        Ok(())
    }
}

/// What a rate and a burst allow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub quota: Quota,
    pub spare: Duration,
}

impl Limits {
    /// Up to `burst` requests may go at once after a pause (0 counts as 1).
    pub fn new(rate: Rate, burst: u32) -> Limits {
        const SECOND: u128 = 1_000_000_000;
        let (count, per, burst) = (u128::from(rate.count.max(1)), rate.per.as_nanos().max(1), burst.max(1));
        // The whole requests of a second; between them there may be no room for one more.
        let whole = count * SECOND / per;
        let spare = |interval: u128| {
            let most = ((whole + 1) * interval).saturating_sub(SECOND + 1);
            Duration::from_nanos(u64::try_from(most).unwrap_or(u64::MAX)).min(LATENESS)
        };
        // Rounded up: never faster.
        let mut interval = per.div_ceil(count);
        if spare(interval) < LATENESS && u128::from(burst - 1) * interval < LATENESS.as_nanos() {
            // Neither the burst nor what is free makes up for lateness: half of the one percent that may be lost does.
            interval = (per * 1000).div_ceil(count * 995);
        }
        let spare = spare(interval);
        let interval = u64::try_from(interval).unwrap_or(u64::MAX).min(u64::MAX >> 8);
        // More than this is centuries of it, and governor counts nanoseconds in 64 bits.
        let burst = burst.min(u32::try_from((u64::MAX >> 2) / interval).unwrap_or(u32::MAX));
        let quota = Quota::with_period(Duration::from_nanos(interval)).expect("an interval is a nanosecond at least");
        Limits { quota: quota.allow_burst(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN)), spare }
    }

    /// A bucket as if a whole burst had just left: the first request goes an interval after `now`. Nobody knows what was
    /// sent a moment before, and so what both send together keeps the promise.
    pub fn empty(&self, now: u64) -> Bucket {
        let burst = self.interval().saturating_mul(u64::from(self.quota.burst_size().get()));
        Bucket { served_by: now.saturating_add(burst), ..Bucket::default() }
    }

    fn interval(&self) -> u64 {
        nanos(self.quota.replenish_interval())
    }

    /// Asks governor for one request at this moment: its state after that, or from when on there is room.
    fn admit(&self, served_by: u64, at: u64) -> Result<u64, u64> {
        // governor counts from the moment at which a limiter is made, so that is the clock's zero.
        let limiter: RateLimiter<_, _, _, NoOpMiddleware<Nanos>> =
            RateLimiter::new(self.quota, ServedBy(Cell::new(served_by)), AskedAbout(Cell::new(0)));
        limiter.clock().0.set(at);
        match limiter.check() {
            Ok(()) => Ok(limiter.into_state_store().0.get()),
            Err(not_yet) => Err(not_yet.earliest_possible().as_u64()),
        }
    }
}

/// governor's clock: the moment that it is asked about.
struct AskedAbout(Cell<u64>);

impl Clock for AskedAbout {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.get().into()
    }
}

/// governor's state, from a bucket that is locked.
struct ServedBy(Cell<u64>);

impl StateStore for ServedBy {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (admitted, served_by) = decide(Some(self.0.get().into()))?;
        self.0.set(served_by.into());
        Ok(admitted)
    }
}

/// A duration in nanoseconds; what is longer than five centuries is as good as that.
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
