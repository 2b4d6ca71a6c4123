//! The gate of a target: the pace of this process, and the budget that all processes on the state share.
//!
//! [`RateGate`] paces what this process sends; the shared schedule has the last word, at the moment at which a request
//! leaves. So no second holds more than rate and burst, whoever sends, and a pause that one process was asked for is
//! everybody's. Alone, a process is never held up by the second: both count the same.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::domain::identity::TargetIdentity;
use crate::domain::units::Rate;
use crate::http::rate::{GateCounters, RateGate};
use crate::state::StateError;
use crate::state::budget::{Budget, Share, Turn, stuck};

/// A wait from which on it is told.
const WORTH_TELLING: Duration = Duration::from_secs(5);

/// Another process changes the schedule within microseconds. One that has had it locked for so long was stopped.
const PATIENCE: Duration = Duration::from_secs(10);

/// The gate of one target.
pub struct TargetGate {
    pace: RateGate,
    share: Share,
    /// The lock is the queue, and tokio's is first come, first served.
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    /// The shared schedule has been looked at.
    begun: bool,
    /// The pace of this process admitted somebody who then stopped waiting: the next has that already.
    paced: bool,
}

impl TargetGate {
    /// The gate of a target with these limits.
    pub fn new(rate: Rate, burst: u32, target: &TargetIdentity, budget: &Budget) -> TargetGate {
        let pace = RateGate::new(rate, burst);
        let share = budget.share(target, pace.pace());
        TargetGate { pace, share, queue: Mutex::default() }
    }

    /// Waits until one request may go. Who asked first goes first; who stops waiting takes nothing.
    ///
    /// # Errors
    /// The shared schedule can't be kept: then nothing may go.
    pub async fn acquire(&self) -> Result<(), StateError> {
        let asked = Instant::now();
        let mut queue = self.queue.lock().await;
        if !queue.begun {
            self.share.begin()?;
            queue.begun = true;
        }
        if !queue.paced {
            if let Some(rest) = self.pace.rests_for() {
                tell_of(rest);
            }
            self.pace.acquire_as_of(asked).await;
            queue.paced = true;
        }
        let mut locked_since = None;
        loop {
            match self.share.take()? {
                Turn::Now => break,
                Turn::Wait(time) => {
                    locked_since = None;
                    tell_of(time);
                    tokio::time::sleep(time).await;
                }
                Turn::Busy(time) => {
                    if locked_since.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                        return Err(stuck());
                    }
                    tokio::time::sleep(time).await;
                }
            }
        }
        queue.paced = false;
        drop(queue);
        self.pace.count(asked.elapsed());
        Ok(())
    }

    /// Lets nothing through for so long, here and in every other process: the whole target rests, as `Retry-After` asks.
    /// A time that ends before one already ordered changes nothing.
    pub fn pause(&self, wanted: Duration) {
        self.pace.pause_until(Instant::now() + wanted);
        if let Err(error) = self.share.pause(wanted) {
            tracing::warn!(%error, "other processes are not told that the target wants to be left alone");
        }
    }

    /// What it has seen.
    pub fn counters(&self) -> GateCounters {
        self.pace.counters()
    }
}

/// Whoever waits for a command should know for what.
fn tell_of(rest: Duration) {
    if rest >= WORTH_TELLING {
        tracing::info!(
            seconds = rest.as_secs(),
            "waits before the next request: the target asked for it, or its rate does"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const SECOND: Duration = Duration::from_secs(1);

    fn gates<const N: usize>(per_second: u32, burst: u32) -> [Arc<TargetGate>; N] {
        let budget = Budget::of_this_process();
        let target = TargetIdentity::parse("https://acme.example.com");
        let rate = Rate { count: per_second, per: SECOND };
        [(); N].map(|()| Arc::new(TargetGate::new(rate, burst, &target, &budget)))
    }

    /// Drives each gate with so many greedy tasks; the moments of admission by gate.
    async fn drive(gates: &[Arc<TargetGate>], tasks: usize, span: Duration) -> Vec<Vec<Duration>> {
        let start = Instant::now();
        let workers: Vec<Vec<_>> = gates
            .iter()
            .map(|gate| {
                let worker = |_| {
                    let gate = Arc::clone(gate);
                    tokio::spawn(async move {
                        let mut seen = Vec::new();
                        loop {
                            gate.acquire().await.expect("kept");
                            match start.elapsed() {
                                at if at <= span => seen.push(at),
                                _ => return seen,
                            }
                        }
                    })
                };
                (0..tasks).map(worker).collect()
            })
            .collect();
        let mut all = Vec::new();
        for workers in workers {
            let mut of_gate = Vec::new();
            for worker in workers {
                of_gate.extend(worker.await.expect("no panic"));
            }
            of_gate.sort_unstable();
            all.push(of_gate);
        }
        all
    }

    fn fullest_second(moments: &[Duration]) -> usize {
        let within = |i: usize| moments[i..].iter().take_while(|m| **m - moments[i] <= SECOND).count();
        (0..moments.len()).map(within).max().unwrap_or(0)
    }

    #[tokio::test(start_paused = true)]
    async fn several_processes_keep_one_rate_and_each_has_its_part() {
        for (rate, burst) in [(5, 1), (10, 5), (100, 1), (100, 10), (1000, 1), (1000, 100)] {
            let gates: [_; 4] = gates(rate, burst);
            let seen = drive(&gates, 3, 20 * SECOND).await;
            let mut all: Vec<Duration> = seen.iter().flatten().copied().collect();
            all.sort_unstable();
            let fullest = fullest_second(&all);
            assert!(fullest <= (rate + burst) as usize, "{fullest} in a second at {rate}/s and {burst}");
            assert!(all.len() as f64 >= f64::from(rate) * 20.0 * 0.98 - 2.0, "{} at {rate}/s", all.len());
            let fair = all.len() / 4;
            for part in &seen {
                assert!(part.len() > fair / 3, "{} of {} at {rate}/s and {burst}", part.len(), all.len());
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn alone_a_process_has_the_whole_rate_and_its_first_request_waits_one_interval() {
        for (rate, burst) in [(5, 1), (100, 10), (1000, 1), (5000, 500)] {
            let [gate] = gates(rate, burst);
            let seen = drive(&[gate], 8, 20 * SECOND).await.remove(0);
            assert!(seen.len() as f64 >= f64::from(rate) * 20.0 * 0.99 - 1.0, "{} at {rate}/s", seen.len());
            let interval = SECOND / rate;
            assert!(seen[0] <= interval + Duration::from_millis(2), "{:?} at {rate}/s", seen[0]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_that_one_is_asked_for_is_everybody_s() {
        let [one, other] = gates(100, 1);
        one.acquire().await.expect("kept");
        other.acquire().await.expect("kept");
        let start = Instant::now();
        one.pause(30 * SECOND);
        other.acquire().await.expect("kept");
        assert!(start.elapsed() >= 30 * SECOND, "{:?}", start.elapsed());
        one.pause(Duration::from_millis(1));
        other.acquire().await.expect("kept");
        assert!(start.elapsed() < 31 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_waiting_takes_nothing() {
        let [one, other] = gates(1, 1);
        for _ in 0..5 {
            // Neither waits to the end: no turn comes so soon.
            let patience = Duration::from_millis(100);
            assert!(tokio::time::timeout(patience, one.acquire()).await.is_err());
            assert!(tokio::time::timeout(patience, other.acquire()).await.is_err());
        }
        let start = Instant::now();
        one.acquire().await.expect("kept");
        assert!(start.elapsed() <= SECOND, "{:?}", start.elapsed());
    }
}
