//! The gate that every request of a process to one target or source passes: never faster than the operator allows, and no slower than need be.
//!
//! Two things decide together. A **schedule** says when the next request is due (the generic cell rate algorithm, on
//! the moments at which requests *asked* to go, so that a late wake-up shifts nothing). **governor** has the last word
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
//! What other processes send to the same target is the matter of [`super::gate`]. Waiting is first come, first served. All clocks are tokio's, so tests on paused time see exact figures.

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

use crate::config::units::Rate;
use crate::state::budget::Pace;

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
    /// The schedule; the lock is the queue, and tokio's is first come, first served.
    schedule: tokio::sync::Mutex<Schedule>,
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
            schedule: tokio::sync::Mutex::new(Schedule::default()),
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
    pub(super) async fn acquire_as_of(&self, asked: Instant) {
        let mut schedule = self.schedule.lock().await;
        if schedule.all_served_by.is_none() {
            self.empty(&mut schedule, asked);
        }
        let mut due = schedule.due(asked, self.shape.burst_tolerance());
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
        schedule.serve(due, self.shape.interval());
    }

    /// What it allows, for a schedule that is shared with others.
    pub(super) fn pace(&self) -> Pace {
        let ahead = self.shape.held_cells().get() - self.shape.cells_per_request.get();
        Pace { interval: self.shape.interval(), tolerance: self.shape.cell.saturating_mul(ahead) }
    }

    /// What a burst would take is gone from the start on.
    fn empty(&self, schedule: &mut Schedule, first_asked: Instant) {
        schedule.all_served_by = Some(first_asked + self.shape.interval().saturating_mul(self.shape.burst));
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
    pub(super) fn rests_for(&self) -> Option<Duration> {
        self.pause_end()?.checked_duration_since(Instant::now())
    }

    fn pause_end(&self) -> Option<Instant> {
        *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request that has been let through.
    pub(super) fn count(&self, waited: Duration) {
        self.admitted.fetch_add(1, Ordering::Relaxed);
        // Less than a tenth of a millisecond is the work of asking, not a wait.
        if waited >= Duration::from_micros(100) {
            self.waits.fetch_add(1, Ordering::Relaxed);
            let nanos = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
            self.waited_nanos.fetch_add(nanos, Ordering::Relaxed);
        }
    }
}

/// When requests are due, lateness set aside.
#[derive(Default)]
struct Schedule {
    /// When everything let through so far would have gone at the bare rate.
    all_served_by: Option<Instant>,
}

impl Schedule {
    fn due(&self, asked: Instant, burst_tolerance: Duration) -> Instant {
        let paced = self.all_served_by.and_then(|end| end.checked_sub(burst_tolerance));
        paced.map_or(asked, |paced| paced.max(asked))
    }

    fn serve(&mut self, due: Instant, interval: Duration) {
        self.all_served_by = Some(self.all_served_by.map_or(due, |end| end.max(due)) + interval);
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

    fn burst_tolerance(&self) -> Duration {
        self.interval().saturating_mul(self.burst - 1)
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
mod tests {
    use super::*;
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};
    use std::sync::Arc;

    fn per_second(count: u32) -> Rate {
        Rate { count, per: Duration::from_secs(1) }
    }

    /// Drives the gate with `tasks` greedy tasks for `span`; the moments of admission since the start, in order.
    async fn drive(gate: Arc<RateGate>, tasks: usize, span: Duration) -> Vec<Duration> {
        drive_through(gate, tasks, span, Duration::ZERO).await
    }

    /// The same, where every admission is followed by a request that takes so long.
    async fn drive_through(gate: Arc<RateGate>, tasks: usize, span: Duration, latency: Duration) -> Vec<Duration> {
        let start = Instant::now();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let workers: Vec<_> = (0..tasks)
            .map(|_| {
                let (gate, seen) = (gate.clone(), seen.clone());
                tokio::spawn(async move {
                    while start.elapsed() < span {
                        gate.acquire().await;
                        seen.lock().expect("no panic").push(start.elapsed());
                        if !latency.is_zero() {
                            tokio::time::sleep(latency).await;
                        }
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.await.expect("no panic");
        }
        let mut seen = seen.lock().expect("no panic").clone();
        seen.retain(|at| *at <= span);
        seen
    }

    /// The most admissions in any closed window of one second.
    fn fullest_second(moments: &[Duration]) -> usize {
        let second = Duration::from_secs(1);
        (0..moments.len())
            .map(|i| moments[i..].iter().take_while(|m| **m - moments[i] <= second).count())
            .max()
            .unwrap_or(0)
    }

    #[tokio::test(start_paused = true)]
    async fn no_second_holds_more_than_rate_and_burst_and_almost_none_is_lost() {
        let cases = [
            (1, 1),
            (7, 1),
            (10, 1),
            (10, 5),
            (300, 1),
            (333, 1),
            (500, 1),
            (500, 2),
            (500, 50),
            (900, 1),
            (3000, 1),
            (3000, 300),
        ];
        for (rate, burst) in cases {
            let span = Duration::from_secs(10);
            let seen = drive(Arc::new(RateGate::new(per_second(rate), burst)), 4, span).await;
            let fullest = fullest_second(&seen);
            assert!(fullest <= (rate + burst) as usize, "{rate}/s burst {burst}: {fullest} in one second");
            // The first goes after one interval.
            let share = seen.len() as f64 / (f64::from(rate) * span.as_secs_f64() - 1.0);
            assert!(share >= 0.99, "{rate}/s burst {burst}: {share:.4} of the rate");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_in_flight_hide_their_latency() {
        // 500/s at 20 ms keep ten requests in flight; eleven and twelve cover the millisecond that timers round up to.
        for burst in [1, 50] {
            let (span, latency) = (Duration::from_secs(10), Duration::from_millis(20));
            let seen = drive_through(Arc::new(RateGate::new(per_second(500), burst)), 12, span, latency).await;
            assert!(fullest_second(&seen) <= 500 + burst as usize, "{}", fullest_second(&seen));
            assert!(seen.len() >= 4950, "burst {burst}: {}", seen.len());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_that_wakes_everybody_late_costs_almost_nothing() {
        // At 1000/s they are as far apart as the timer counts: what is woken late there is not all made up for.
        for (rate, burst, least) in [(500, 1, 0.99), (200, 1, 0.99), (50, 1, 0.99), (1000, 1, 0.98), (500, 50, 0.99)] {
            for seed in 0..3 {
                let hiccups = tokio::spawn(wake_late(seed));
                let span = Duration::from_secs(10);
                let seen = drive(Arc::new(RateGate::new(per_second(rate), burst)), 4, span).await;
                hiccups.abort();
                let fullest = fullest_second(&seen);
                assert!(fullest <= (rate + burst) as usize, "{rate}/s burst {burst}: {fullest} in one second");
                let share = seen.len() as f64 / (f64::from(rate) * span.as_secs_f64());
                assert!(share >= least, "{rate}/s burst {burst}: {share:.4} of the rate");
            }
        }
    }

    /// Every few milliseconds the clock jumps ahead by up to [`LATENESS`], and every timer within is late by as much.
    async fn wake_late(seed: u64) {
        let mut chance = SmallRng::seed_from_u64(seed);
        // A timer is a millisecond late by itself.
        let most = LATENESS.as_micros() as u64 - 1000;
        loop {
            tokio::time::sleep(Duration::from_millis(chance.random_range(1..20))).await;
            tokio::time::advance(Duration::from_micros(chance.random_range(0..most))).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn rates_that_are_no_whole_number_a_second_are_kept_too() {
        for (count, per) in [(599, 60), (1000, 3600), (90, 60), (29_999, 60)] {
            let rate = Rate { count, per: Duration::from_secs(per) };
            let span = Duration::from_secs(20);
            let seen = drive(Arc::new(RateGate::new(rate, 1)), 3, span).await;
            assert!(fullest_second(&seen) as f64 <= rate.per_second() + 1.0, "{count} in {per} s");
            let expected = rate.per_second() * span.as_secs_f64();
            assert!(seen.len() as f64 >= (expected * 0.99).floor(), "{count} in {per} s: {} of {expected}", seen.len());
        }
    }

    /// Nobody knows what the process before this one sent a moment ago.
    #[tokio::test(start_paused = true)]
    async fn a_new_gate_sends_its_first_request_after_one_interval_and_no_burst() {
        for (rate, burst) in [(1, 1), (10, 1), (10, 5), (500, 50)] {
            tokio::time::advance(Duration::from_secs(30)).await;
            let gate = RateGate::new(per_second(rate), burst);
            tokio::time::advance(Duration::from_secs(30)).await; // idle before its first use: it is as new
            let start = Instant::now();
            let interval = Duration::from_secs(1) / rate;
            for n in 1..=3 {
                gate.acquire().await;
                let (due, late) = (interval * n, Duration::from_millis(2));
                assert!(start.elapsed() >= due, "{rate}/s burst {burst}: request {n} after {:?}", start.elapsed());
                assert!(start.elapsed() <= due + late, "{rate}/s burst {burst}: {n} after {:?}", start.elapsed());
            }
        }
    }

    /// One process after the other, each as greedy as it can be after a rest: together they keep the promise of one.
    #[tokio::test(start_paused = true)]
    async fn no_second_over_a_restart_holds_more_than_rate_and_burst() {
        let mut chance = SmallRng::seed_from_u64(26);
        for (rate, burst) in [(10, 5), (10, 1), (3, 30), (50, 10), (500, 50)] {
            let (start, mut seen) = (Instant::now(), Vec::new());
            for _ in 0..60 {
                let gate = RateGate::new(per_second(rate), burst);
                gate.acquire().await;
                seen.push(start.elapsed());
                // What it saves up now, it may send at once.
                tokio::time::advance(Duration::from_millis(chance.random_range(0..2500))).await;
                for _ in 0..chance.random_range(0..2 * burst + rate) {
                    gate.acquire().await;
                    seen.push(start.elapsed());
                }
            }
            let fullest = fullest_second(&seen);
            assert!(fullest <= (rate + burst) as usize, "{rate}/s burst {burst}: {fullest} in one second");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_pause_exactly_the_burst_goes_at_once() {
        for (rate, burst) in [(500, 1), (10, 3), (500, 50)] {
            let gate = RateGate::new(per_second(rate), burst);
            gate.acquire().await;
            tokio::time::advance(Duration::from_secs(30)).await;
            let start = Instant::now();
            for _ in 0..burst {
                gate.acquire().await;
            }
            assert_eq!(start.elapsed(), Duration::ZERO, "{rate}/s burst {burst}");
            gate.acquire().await;
            assert!(start.elapsed() > Duration::ZERO, "{rate}/s burst {burst}: one more than the burst");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn late_wake_ups_are_made_up_for_within_the_promise() {
        // Every third task is held up for 4 ms after its turn has come, as on a busy machine.
        let gate = RateGate::new(per_second(200), 1);
        let start = Instant::now();
        let mut seen = Vec::new();
        while start.elapsed() < Duration::from_secs(10) {
            gate.acquire().await;
            seen.push(start.elapsed());
            if seen.len() % 3 == 0 {
                tokio::time::advance(Duration::from_millis(4)).await;
            }
        }
        assert!(fullest_second(&seen) <= 201);
        assert!(seen.len() >= 1980, "{}", seen.len());
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_suspended_does_not_make_up_for_all_of_it_at_once() {
        let gate = Arc::new(RateGate::new(per_second(100), 1));
        let start = Instant::now();
        let workers: Vec<_> = (0..300)
            .map(|_| {
                let gate = gate.clone();
                tokio::spawn(async move {
                    gate.acquire().await;
                    start.elapsed()
                })
            })
            .collect();
        tokio::task::yield_now().await;
        tokio::time::advance(Duration::from_secs(3)).await; // the machine slept, and all 300 are due
        let mut seen = Vec::new();
        for worker in workers {
            seen.push(worker.await.expect("no panic"));
        }
        assert!(fullest_second(&seen) <= 101, "{} in one second", fullest_second(&seen));
    }

    #[tokio::test(start_paused = true)]
    async fn first_come_first_served() {
        let gate = Arc::new(RateGate::new(per_second(100), 1));
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut workers = Vec::new();
        for number in 0..20 {
            let (gate, order) = (gate.clone(), order.clone());
            workers.push(tokio::spawn(async move {
                gate.acquire().await;
                order.lock().expect("no panic").push(number);
            }));
            tokio::task::yield_now().await;
        }
        for worker in workers {
            worker.await.expect("no panic");
        }
        assert_eq!(*order.lock().expect("no panic"), (0..20).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_everybody_even_who_waits_already_and_who_leaves_takes_nothing() {
        let gate = Arc::new(RateGate::new(per_second(10), 1));
        gate.acquire().await;
        let start = Instant::now();
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { gate.acquire().await }
        });
        tokio::task::yield_now().await;
        gate.pause_until(start + Duration::from_secs(5));
        gate.pause_until(start + Duration::from_secs(1)); // earlier: changes nothing
        waiting.await.expect("no panic");
        assert_eq!(start.elapsed(), Duration::from_secs(5));

        assert!(tokio::time::timeout(Duration::from_millis(20), gate.acquire()).await.is_err());
        gate.acquire().await;
        assert_eq!(start.elapsed(), Duration::from_millis(5100));
        let counters = gate.counters();
        assert_eq!((counters.admitted, counters.waits), (3, 3));
        assert_eq!(counters.waited, Duration::from_millis(5180), "that of the first request included");
    }

    /// What this machine's timers allow at this moment: the ticks of a loop that makes up for the same lateness as the
    /// gate, and has nothing else to do.
    async fn bare_loop(interval: Duration, span: Duration) -> usize {
        let start = Instant::now();
        let (mut next, mut ticks) = (start, 0);
        while start.elapsed() < span {
            tokio::time::sleep_until(next).await;
            ticks += 1;
            next = (next + interval).max(Instant::now() - LATENESS);
        }
        ticks
    }

    /// The figures above are exact, on paused time. Here the machine has its say, and is measured by the same yardstick
    /// at the same time: what the machine takes from both is nobody's fault, and it takes more from eight tasks than from
    /// one.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn in_real_time_too_it_keeps_up() {
        let (span, tasks) = (Duration::from_secs(2), 8);
        let mut told = Vec::new();
        for _ in 0..5 {
            let bare = tokio::spawn(bare_loop(Duration::from_millis(2), span));
            let seen = drive(Arc::new(RateGate::new(per_second(500), 1)), tasks, span).await;
            let bare = bare.await.expect("no panic");
            // A moment is noted after it has passed the gate, by each task at most one too late.
            assert!(fullest_second(&seen) <= 501 + tasks, "{}", fullest_second(&seen));
            if seen.len() as f64 >= bare.min(1000) as f64 * 0.9 {
                return;
            }
            told.push((seen.len(), bare));
        }
        panic!("passed by the gate and by a bare loop, five times: {told:?}");
    }
}
