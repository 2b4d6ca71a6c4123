//! One life of the program in the simulation: a runtime on a simulated clock, production's runner on it, and a faults that
//! may kill it at any step or fill its disk.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use rosterd::account::Clients;
use rosterd::config::Settings;
use rosterd::config::settings::SyncSettings;
use rosterd::delivery::RunObserver;
use rosterd::domain::error::Failure;
use rosterd::domain::exit::Exit;
use rosterd::domain::outcome::Outcome;
use rosterd::domain::remedy::Remedy;
use rosterd::os::clock::Clock;
use rosterd::run::{Announcements, Asked, Purpose, RunRequest, RunSummary, Runner, read_sources};
use rosterd::state::{Disk, State, StateError};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::checks::Database;
use super::network::Network;
use super::target::SimulatedTarget;

/// The simulated present begins here.
const BEGINNING: i64 = 1_795_305_600; // 2026-11-22T00:00:00Z

/// No life lasts longer: some dozens of operations, a few tries of two seconds each, at no less than five a second.
const LONGEST_LIFE: Duration = Duration::from_secs(3600);

/// The clock of one run, and when it is killed.
pub struct RunFaults {
    began_at: u64,
    began: Instant,
    steps: AtomicI64,
    killed: Notify,
    /// From this step on, until that one, the disk is full.
    full: (i64, i64),
    passed: AtomicI64,
    real: Mutex<WallClock>,
}

/// Wall-clock time, which is none of the simulation's.
#[derive(Default)]
struct WallClock {
    /// Since when it passes, by the simulation's clock.
    since: Option<u64>,
    /// How much has passed, in milliseconds.
    passed: u64,
}

impl RunFaults {
    /// Milliseconds since the simulation's beginning.
    pub fn now(&self) -> u64 {
        let real = self.real.lock().expect("sound");
        let elapsed = || self.began_at + self.began.elapsed().as_millis() as u64 - real.passed;
        real.since.unwrap_or_else(elapsed)
    }

    pub async fn sleep_until(&self, at: u64) {
        let real = self.real.lock().expect("sound").passed;
        tokio::time::sleep_until(self.began + Duration::from_millis(at.saturating_sub(self.began_at) + real)).await;
    }

    /// Does what needs a real clock, for real sockets are waited for; the simulated one stands still meanwhile.
    async fn for_real<T>(&self, work: impl Future<Output = T>) -> T {
        let now = self.now();
        self.real.lock().expect("sound").since = Some(now);
        tokio::time::resume();
        let done = work.await;
        tokio::time::pause();
        // Up to a whole millisecond, so that timers round as they would have.
        let beyond = self.began.elapsed().subsec_nanos() % 1_000_000;
        tokio::time::advance(Duration::from_nanos(u64::from((1_000_000 - beyond) % 1_000_000))).await;
        let mut real = self.real.lock().expect("sound");
        real.since = None;
        real.passed = self.began_at + self.began.elapsed().as_millis() as u64 - now;
        done
    }

    /// One more step. The one on which the process is killed never returns.
    pub async fn step(&self) {
        self.passed.fetch_add(1, Ordering::Relaxed);
        if self.steps.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.killed.notify_one();
            pending::<()>().await;
        }
    }
}

impl Disk for RunFaults {
    fn before(&self) -> BoxFuture<'_, Result<(), StateError>> {
        Box::pin(async move {
            self.step().await;
            let passed = self.passed.load(Ordering::Relaxed);
            match passed >= self.full.0 && passed < self.full.1 {
                true => Err(StateError::io("the simulated disk is full")),
                false => Ok(()),
            }
        })
    }

    fn after(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.step())
    }
}

/// What is arranged for a life before it begins.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunSetup {
    /// The step on which it is killed.
    pub killed_at: Option<i64>,
    /// Steps between which the disk is full.
    pub full: Option<(i64, i64)>,
    /// So many pages more are all that the database may have.
    pub pages_left: Option<i64>,
    /// After so many milliseconds it is asked to stop.
    pub stopped_after: Option<u64>,
    /// It compares everybody with the target and sets right what differs, in the place of an ordinary run.
    pub repairs: bool,
}

/// How a life ended.
#[derive(Debug)]
pub enum Ended {
    Killed,
    Finished(Vec<RunSummary>),
    Refused(Failure),
    /// It went on and on.
    Endless,
}

/// Counts how often an outcome was reported.
#[derive(Default)]
pub struct ReportedOutcomes(pub Mutex<Vec<Outcome>>);

impl RunObserver for ReportedOutcomes {
    fn begin(&self, _: &str, _: u64) {}

    fn outcome(&self, outcome: &Outcome) {
        self.0.lock().expect("sound").push(outcome.clone());
    }
}

/// One machine: what survives the processes on it.
pub struct Machine {
    pub settings: Arc<Settings>,
    pub database: Database,
    pub world: Arc<Mutex<SimulatedTarget>>,
    pub now: Arc<AtomicU64>,
    pub seed: u64,
}

impl Machine {
    /// Lets time pass between two lives.
    pub fn wait(&self, millis: u64) {
        let now = self.now.fetch_add(millis, Ordering::Relaxed) + millis;
        self.world.lock().expect("sound").advance(now);
    }

    /// One life, from the start of the process to its end.
    pub fn live(&self, arranged: RunSetup) -> (Ended, Vec<Outcome>) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        #[cfg(any(debug_assertions, feature = "failpoints"))]
        {
            // Sources are read on threads of their own, which break the same promises.
            let failpoint = rosterd::failpoints::chosen();
            builder.on_thread_start(move || rosterd::failpoints::choose(failpoint));
        }
        let runtime = builder.enable_all().start_paused(true).build().expect("a runtime");
        self.world.lock().expect("sound").new_life();
        let told = Arc::new(ReportedOutcomes::default());
        self.limit_pages(arranged.pages_left);
        let ended = runtime.block_on(self.run(arranged, Arc::clone(&told)));
        drop(runtime); // and with it every task of the process
        self.limit_pages(None);
        let told = std::mem::take(&mut *told.0.lock().expect("sound"));
        (ended, told)
    }

    fn limit_pages(&self, more: Option<i64>) {
        let db = self.database.lock().expect("sound");
        let pages: i64 = db.query_row("PRAGMA page_count", [], |row| row.get(0)).expect("counted");
        let most = more.map_or(1_000_000, |more| pages + more);
        db.query_row(&format!("PRAGMA max_page_count = {most}"), [], |_| Ok(())).expect("set");
    }

    async fn run(&self, arranged: RunSetup, told: Arc<ReportedOutcomes>) -> Ended {
        let faults = Arc::new(RunFaults {
            began_at: self.now.load(Ordering::Relaxed),
            began: Instant::now(),
            steps: AtomicI64::new(arranged.killed_at.unwrap_or(i64::MAX)),
            killed: Notify::new(),
            full: arranged.full.unwrap_or((i64::MAX, i64::MAX)),
            passed: AtomicI64::new(0),
            real: Mutex::default(),
        });
        let runner = self.runner(&faults, told);
        if let Some(after) = arranged.stopped_after {
            tokio::spawn(stop_at(Arc::clone(&faults), faults.now() + after, runner.stop.clone()));
        }
        let ended = tokio::select! {
            biased;
            () = faults.killed.notified() => Ended::Killed,
            ran = work(&faults, &runner, arranged.repairs) => match ran {
                Ok(runs) => Ended::Finished(runs),
                Err(failure) => Ended::Refused(failure),
            },
            () = tokio::time::sleep(LONGEST_LIFE) => Ended::Endless,
        };
        self.now.store(faults.now(), Ordering::Relaxed);
        ended
    }

    fn runner(&self, faults: &Arc<RunFaults>, told: Arc<ReportedOutcomes>) -> Runner {
        let state = State::simulated(Arc::clone(&self.database), Arc::<RunFaults>::clone(faults));
        let clock = {
            let faults = Arc::clone(faults);
            Clock::from_fn(move || {
                let beginning = DateTime::<Utc>::from_timestamp(BEGINNING, 0).expect("a time");
                beginning + TimeDelta::milliseconds(faults.now() as i64)
            })
        };
        let (world, database, of) = (Arc::clone(&self.world), Arc::clone(&self.database), Arc::clone(faults));
        let clients = Clients::over(state.clone(), clock.clone(), self.seed, move |settings| {
            let (world, database, faults) = (Arc::clone(&world), Arc::clone(&database), Arc::clone(&of));
            Ok(Box::new(Network { world, database, faults, timeout: settings.timeout }))
        });
        Runner {
            resident: false,
            announcements: Announcements::default(),
            settings: Arc::clone(&self.settings),
            state,
            clients: Arc::new(clients),
            clock,
            stop: CancellationToken::new(),
            observer: told,
        }
    }
}

/// Asks to stop when that time has come, by the simulated clock.
async fn stop_at(faults: Arc<RunFaults>, at: u64, stop: CancellationToken) {
    while faults.now() < at {
        tokio::time::sleep(Duration::from_millis(1)).await;
        faults.sleep_until(at).await;
    }
    stop.cancel();
}

/// What the process does: a run, or a reconcile that sets right what differs. As [`Runner::sync`] does it, but for the
/// clock while sources are read.
async fn work(faults: &RunFaults, runner: &Runner, repairs: bool) -> Result<Vec<RunSummary>, Failure> {
    let syncs: Vec<_> = runner.settings.syncs.values().cloned().collect();
    if repairs {
        return repair(faults, runner, &syncs).await;
    }
    runner.begin(&syncs).await?;
    let everybody = BTreeSet::new();
    let purpose = Purpose::Plan { only: &everybody, if_changed: true, on: None };
    let reading = read_sources(&runner.settings, &syncs, &runner.state, &runner.clock, purpose);
    let mut summaries = Vec::new();
    for (asked, syncs) in faults.for_real(reading).await? {
        for sync in syncs {
            summaries.push(runner.sync_one(&sync, &asked, &RunRequest::default()).await);
        }
    }
    runner.end().await;
    Ok(summaries)
}

async fn repair(faults: &RunFaults, runner: &Runner, syncs: &[Arc<SyncSettings>]) -> Result<Vec<RunSummary>, Failure> {
    let remedy = Remedy { adopt: true, repair: true };
    let mut summaries = Vec::new();
    for (read, syncs) in faults.for_real(runner.read_to_reconcile(syncs, remedy)).await? {
        for sync in syncs {
            match runner.reconcile(&sync, &read, remedy, Asked::BySchedule, |_| Ok(())).await {
                Ok(summary) => summaries.extend(summary),
                // Nothing was compared, so there is nothing to tell.
                Err(failure)
                    if Exit::from(failure.error) != Exit::Io && Exit::from(failure.error) != Exit::Internal => {}
                Err(failure) => return Err(failure),
            }
        }
    }
    Ok(summaries)
}
