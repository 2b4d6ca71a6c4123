//! What is due when: the schedules of all syncs, without a clock or a timer of its own.
//!
//! Whoever drives it says what time it is and gets the runs that are due. However long it was not asked (the machine
//! slept, the clock was put forward), each sync is due once and not once for every time it missed.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::Settings;
use crate::config::settings::SyncSettings;
use crate::domain::schedule::Schedule;

/// A run that begins later than this was missed, and is made up for only where `catch_up` says so. A busy machine
/// wakes a process within seconds; a minute is the least time between two runs of a crontab line.
const MISSED_AFTER: TimeDelta = TimeDelta::minutes(1);

/// A clock that was put back by more than this has been set; everything is reckoned anew from what it shows now.
const PUT_BACK: TimeDelta = TimeDelta::minutes(1);

/// The schedules of all syncs that have one.
#[derive(Debug)]
pub struct Scheduler {
    entries: BTreeMap<(String, Work), Entry>,
    seed: u64,
    asked_at: Option<DateTime<Utc>>,
}

/// What a schedule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// A run: `schedule`.
    Sync,
    /// A reconcile: `reconcile_schedule`.
    Reconcile,
}

/// A sync's schedule, and its next run.
#[derive(Debug)]
struct Entry {
    key: ScheduleKey,
    catch_up: bool,
    next: Option<Next>,
}

/// What a schedule is known by when the configuration is loaded anew.
#[derive(Debug, PartialEq)]
struct ScheduleKey {
    schedule: Schedule,
    jitter: Duration,
    source: String,
}

/// A run to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Next {
    /// When the schedule says.
    due: DateTime<Utc>,
    /// When it begins: jitter later.
    begins: DateTime<Utc>,
}

/// A run whose time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The sync.
    pub sync: String,
    /// What is due.
    pub work: Work,
    /// When the schedule had it due.
    pub due: DateTime<Utc>,
    /// Whether to run it.
    pub kind: TurnKind,
}

/// What to do with a run whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnKind {
    /// It is on time.
    OnTime,
    /// It was missed, and is made up for once.
    MadeUp,
    /// It was missed, and `catch_up = false` leaves it out.
    LeftOut,
}

impl Scheduler {
    /// The schedules of this configuration. `seed` feeds the jitter.
    pub fn new(settings: &Settings, seed: u64) -> Scheduler {
        Scheduler { entries: entries(settings), seed, asked_at: None }
    }

    /// Reckons every next run from `now`. A sync whose last run began so long ago that it missed one is due at once,
    /// where `catch_up` says so. One that never ran has missed nothing, and neither has a reconcile: the next will do.
    pub fn begin(&mut self, now: DateTime<Utc>, last_begun: &BTreeMap<String, DateTime<Utc>>) {
        self.asked_at = Some(now);
        for ((sync, work), entry) in &mut self.entries {
            let last = last_begun.get(sync).filter(|_| *work == Work::Sync);
            let missed = last.and_then(|at| entry.key.schedule.next_after(*at)).filter(|due| *due <= now);
            entry.next = match missed.filter(|_| entry.catch_up) {
                Some(due) => Some(Next { due, begins: now + jitter(self.seed, &entry.key, due) }),
                None => next(self.seed, entry, now),
            };
        }
    }

    /// Takes over another configuration: what did not change keeps its next run.
    pub fn adopt(&mut self, settings: &Settings, now: DateTime<Utc>) {
        let mut old = std::mem::take(&mut self.entries);
        self.entries = entries(settings);
        for (what, entry) in &mut self.entries {
            entry.next = match old.remove(what) {
                Some(before) if before.key == entry.key => before.next,
                _ => next(self.seed, entry, now),
            };
        }
    }

    /// The runs whose time has come, each sync at most once; their next runs are reckoned from `now`.
    pub fn turns(&mut self, now: DateTime<Utc>) -> Vec<Turn> {
        let set_back = self.asked_at.is_some_and(|before| now + PUT_BACK < before);
        self.asked_at = Some(now);
        let mut turns = Vec::new();
        for ((sync, work), entry) in &mut self.entries {
            if set_back {
                entry.next = next(self.seed, entry, now);
                continue;
            }
            let Some(came) = entry.next.filter(|next| next.begins <= now) else { continue };
            let late = now - came.begins > MISSED_AFTER || came.begins - came.due > longest(&entry.key);
            let kind = match (late, entry.catch_up) {
                (false, _) => TurnKind::OnTime,
                (true, true) => TurnKind::MadeUp,
                (true, false) => TurnKind::LeftOut,
            };
            turns.push(Turn { sync: sync.clone(), work: *work, due: came.due, kind });
            entry.next = next(self.seed, entry, now);
        }
        turns
    }

    /// When each sync begins to run next.
    pub fn next_runs(&self) -> BTreeMap<String, DateTime<Utc>> {
        let runs = self.entries.iter().filter(|((_, work), _)| *work == Work::Sync);
        runs.filter_map(|((sync, _), entry)| Some((sync.clone(), entry.next?.begins))).collect()
    }

    /// How long nothing is due; zero when something is.
    pub fn idle(&self, now: DateTime<Utc>) -> Duration {
        let soonest = self.entries.values().filter_map(|entry| entry.next).map(|next| next.begins).min();
        soonest.map_or(Duration::MAX, |at| (at - now).to_std().unwrap_or(Duration::ZERO))
    }
}

fn entries(settings: &Settings) -> BTreeMap<(String, Work), Entry> {
    let mut entries = BTreeMap::new();
    for sync in settings.syncs.values() {
        for (work, line) in [(Work::Sync, &sync.schedule), (Work::Reconcile, &sync.daemon.reconcile_schedule)] {
            entries.extend(line.iter().map(|line| ((sync.name.clone(), work), entry(sync, line))));
        }
    }
    entries
}

fn entry(sync: &SyncSettings, schedule: &Schedule) -> Entry {
    let (schedule, jitter, source) = (schedule.clone(), sync.daemon.jitter, sync.source.name.clone());
    Entry { key: ScheduleKey { schedule, jitter, source }, catch_up: sync.daemon.catch_up, next: None }
}

fn next(seed: u64, entry: &Entry, now: DateTime<Utc>) -> Option<Next> {
    let due = entry.key.schedule.next_after(now)?;
    Some(Next { due, begins: due + jitter(seed, &entry.key, due) })
}

fn longest(key: &ScheduleKey) -> TimeDelta {
    TimeDelta::from_std(key.jitter).unwrap_or(TimeDelta::MAX) + MISSED_AFTER
}

/// By how much this run is put off. Drawn from the source and the time, so that syncs that share both, and the same
/// `jitter`, still begin together and read their source once.
fn jitter(seed: u64, key: &ScheduleKey, due: DateTime<Utc>) -> TimeDelta {
    let mut hasher = DefaultHasher::new();
    (seed, &key.source, due.timestamp()).hash(&mut hasher);
    let fraction = hasher.finish() as f64 / u64::MAX as f64;
    TimeDelta::from_std(key.jitter.mul_f64(fraction)).unwrap_or(TimeDelta::zero())
}

#[cfg(test)]
mod tests;
