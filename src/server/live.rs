//! What the daemon lets others see of itself: the configuration in force, what runs, what is due, how fast it sends.
//!
//! The scheduler writes it, the server reads it; each holds it for an instant.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::account::{Clients, TargetBudgetReading};
use crate::config::Settings;

/// The time over which the rate in use is reckoned.
const WINDOW: Duration = Duration::from_secs(60);

/// The least time between two readings of what was sent.
const BETWEEN_READINGS: Duration = Duration::from_secs(2);

/// The live status; cheap to clone.
#[derive(Clone)]
pub struct LiveStatus(Arc<Mutex<Inner>>);

struct Inner {
    settings: Arc<Settings>,
    started_at: DateTime<Utc>,
    running: BTreeMap<String, DateTime<Utc>>,
    next: BTreeMap<String, DateTime<Utc>>,
    refused: Option<String>,
    stopping: bool,
    clients: Option<Arc<Clients>>,
    readings: VecDeque<(Instant, Vec<TargetBudgetReading>)>,
}

impl Inner {
    fn budgets(&self) -> Vec<TargetBudgetReading> {
        self.clients.as_ref().map(|clients| clients.readings()).unwrap_or_default()
    }
}

/// How fast requests go to a target.
#[derive(Clone, Debug, PartialEq)]
pub struct Pace {
    /// The target's budget now.
    pub reading: TargetBudgetReading,
    /// Requests a second over the last minute.
    pub per_second: f64,
}

/// What there was to see at one moment.
#[derive(Clone)]
pub struct View {
    /// The configuration in force.
    pub settings: Arc<Settings>,
    /// When the daemon started.
    pub started_at: DateTime<Utc>,
    /// Syncs under way, and since when.
    pub running: BTreeMap<String, DateTime<Utc>>,
    /// When each scheduled sync begins next.
    pub next: BTreeMap<String, DateTime<Utc>>,
    /// Why the configuration on disk was refused, if it was.
    pub refused: Option<String>,
    /// It takes up nothing new.
    pub stopping: bool,
    /// The targets that have been spoken to.
    pub paces: Vec<Pace>,
}

impl LiveStatus {
    /// One of a daemon that has just started.
    pub fn new(settings: Arc<Settings>, started_at: DateTime<Utc>) -> LiveStatus {
        LiveStatus(Arc::new(Mutex::new(Inner {
            settings,
            started_at,
            running: BTreeMap::new(),
            next: BTreeMap::new(),
            refused: None,
            stopping: false,
            clients: None,
            readings: VecDeque::new(),
        })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where requests go from now on.
    pub fn sends_through(&self, clients: Arc<Clients>) {
        self.inner().clients = Some(clients);
    }

    /// A sync begins.
    pub fn began(&self, sync: &str, at: DateTime<Utc>) {
        self.inner().running.insert(sync.to_string(), at);
    }

    /// A sync has ended.
    pub fn ended(&self, sync: &str) {
        self.inner().running.remove(sync);
    }

    /// What is due when.
    pub fn next_runs(&self, next: BTreeMap<String, DateTime<Utc>>) {
        self.inner().next = next;
    }

    /// Another configuration is in force.
    pub fn configured(&self, settings: Arc<Settings>) {
        let mut inner = self.inner();
        inner.settings = settings;
        inner.refused = None;
    }

    /// The configuration on disk was refused.
    pub fn refused(&self, why: String) {
        self.inner().refused = Some(why);
    }

    /// Nothing new is taken up.
    pub fn stopping(&self) {
        self.inner().stopping = true;
    }

    /// Reads how much was sent, now and then.
    pub fn read_lines(&self) {
        let now = Instant::now();
        let mut inner = self.inner();
        if inner.readings.back().is_some_and(|(at, _)| now - *at < BETWEEN_READINGS) {
            return;
        }
        let reading = inner.budgets();
        inner.readings.push_back((now, reading));
        // One reading from before the window stays, to reckon from.
        while inner.readings.get(1).is_some_and(|(at, _)| now - *at >= WINDOW) {
            inner.readings.pop_front();
        }
    }

    /// What there is to see.
    pub fn view(&self) -> View {
        let inner = self.inner();
        let first = inner.readings.front();
        let now = Instant::now();
        let pace = |reading: TargetBudgetReading| {
            let before = first.and_then(|(at, all)| Some((at, all.iter().find(|r| r.target == reading.target)?)));
            let per_second = match (first, before) {
                (_, Some((at, before))) => rate(reading.counters.admitted, before.counters.admitted, now - *at),
                (Some((at, _)), None) => rate(reading.counters.admitted, 0, now - *at),
                (None, None) => 0.0,
            };
            Pace { reading, per_second }
        };
        View {
            settings: Arc::clone(&inner.settings),
            started_at: inner.started_at,
            running: inner.running.clone(),
            next: inner.next.clone(),
            refused: inner.refused.clone(),
            stopping: inner.stopping,
            paces: inner.budgets().into_iter().map(pace).collect(),
        }
    }
}

/// Requests a second between two counts. A gate that was made anew counts from nothing.
fn rate(now: u64, before: u64, between: Duration) -> f64 {
    let admitted = if now >= before { now - before } else { now };
    if between.is_zero() { 0.0 } else { admitted as f64 / between.as_secs_f64() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_what_was_let_through_since() {
        assert!((rate(130, 10, Duration::from_secs(60)) - 2.0).abs() < 1e-9);
        assert!((rate(30, 500, Duration::from_secs(60)) - 0.5).abs() < 1e-9, "a new gate counts anew");
        assert!(rate(30, 0, Duration::ZERO).abs() < 1e-9);
    }
}
