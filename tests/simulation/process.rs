//! One life of the program in the simulation: a runtime on a simulated clock, production's runner on it, and a fate that
//! may kill it at any step or fill its disk.

use std::future::pending;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use rosterd::config::Settings;
use rosterd::delivery::{Clients, Watch};
use rosterd::exit::Failure;
use rosterd::outcome::Outcome;
use rosterd::run::{RunSummary, Runner, Wish};
use rosterd::state::{Disk, State, StateError};
use rosterd::time::Clock;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::world::{Database, Network, World};

/// The simulated present begins here.
const BEGINNING: i64 = 1_795_305_600; // 2026-11-22T00:00:00Z

/// No life lasts longer: some dozens of operations, a few tries of two seconds each, at no less than five a second.
const LONGEST_LIFE: Duration = Duration::from_secs(3600);

/// What is in store for one life.
pub struct Fate {
    began_at: u64,
    began: Instant,
    steps: AtomicI64,
    killed: Notify,
    /// From this step on, until that one, the disk is full.
    full: (i64, i64),
    passed: AtomicI64,
}

impl Fate {
    /// Milliseconds since the simulation's beginning.
    pub fn now(&self) -> u64 {
        self.began_at + self.began.elapsed().as_millis() as u64
    }

    pub async fn sleep_until(&self, at: u64) {
        tokio::time::sleep_until(self.began + Duration::from_millis(at.saturating_sub(self.began_at))).await;
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

impl Disk for Fate {
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
pub struct Arranged {
    /// The step on which it is killed.
    pub killed_at: Option<i64>,
    /// Steps between which the disk is full.
    pub full: Option<(i64, i64)>,
    /// So many pages more are all that the database may have.
    pub pages_left: Option<i64>,
    /// After so many milliseconds it is asked to stop.
    pub stopped_after: Option<u64>,
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
pub struct Told(pub Mutex<Vec<Outcome>>);

impl Watch for Told {
    fn begin(&self, _: &str, _: u64) {}

    fn outcome(&self, outcome: &Outcome) {
        self.0.lock().expect("sound").push(outcome.clone());
    }
}

/// One machine: what survives the processes on it.
pub struct Machine {
    pub settings: Arc<Settings>,
    pub database: Database,
    pub world: Arc<Mutex<World>>,
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
    pub fn live(&self, arranged: Arranged) -> (Ended, Vec<Outcome>) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        self.world.lock().expect("sound").new_life();
        let told = Arc::new(Told::default());
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

    async fn run(&self, arranged: Arranged, told: Arc<Told>) -> Ended {
        let fate = Arc::new(Fate {
            began_at: self.now.load(Ordering::Relaxed),
            began: Instant::now(),
            steps: AtomicI64::new(arranged.killed_at.unwrap_or(i64::MAX)),
            killed: Notify::new(),
            full: arranged.full.unwrap_or((i64::MAX, i64::MAX)),
            passed: AtomicI64::new(0),
        });
        let runner = self.runner(&fate, told);
        if let Some(after) = arranged.stopped_after {
            let stop = runner.stop.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(after)).await;
                stop.cancel();
            });
        }
        let wish = Wish::default();
        let ended = tokio::select! {
            biased;
            () = fate.killed.notified() => Ended::Killed,
            ran = runner.sync(&[], &wish) => match ran {
                Ok(runs) => Ended::Finished(runs),
                Err(failure) => Ended::Refused(failure),
            },
            () = tokio::time::sleep(LONGEST_LIFE) => Ended::Endless,
        };
        self.now.store(fate.now(), Ordering::Relaxed);
        ended
    }

    fn runner(&self, fate: &Arc<Fate>, told: Arc<Told>) -> Runner {
        let state = State::simulated(Arc::clone(&self.database), Arc::<Fate>::clone(fate));
        let clock = {
            let fate = Arc::clone(fate);
            Clock::from_fn(move || {
                let beginning = DateTime::<Utc>::from_timestamp(BEGINNING, 0).expect("a time");
                beginning + TimeDelta::milliseconds(fate.now() as i64)
            })
        };
        let (world, database, of) = (Arc::clone(&self.world), Arc::clone(&self.database), Arc::clone(fate));
        let clients = Clients::over(state.clone(), clock.clone(), self.seed, move |settings| {
            let (world, database, fate) = (Arc::clone(&world), Arc::clone(&database), Arc::clone(&of));
            Ok(Box::new(Network { world, database, fate, timeout: settings.timeout }))
        });
        Runner {
            resident: false,
            settings: Arc::clone(&self.settings),
            state,
            epoch: None,
            clients: Arc::new(clients),
            clock,
            stop: CancellationToken::new(),
            watch: told,
        }
    }
}
