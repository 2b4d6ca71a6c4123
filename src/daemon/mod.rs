//! The daemon: every scheduled sync, until stopped.
//!
//! One loop, one turn at most half a second apart: what is due begins, what was asked for is taken up, what has ended
//! is answered. Runs are tasks of their own; a sync has at most one, and what falls due meanwhile is left out, since
//! the next run brings everything in step anyway. Only the loop decides, so nothing here needs a lock.

mod job;
mod observer;
mod reload;
mod requests;
mod scheduler;
mod watchdog;

use crate::os::panics::off_thread;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::account::Clients;
use crate::account::budget::Budget;
use crate::config::Settings;
use crate::domain::error::{Error, Failure, LocalReason, Result};
use crate::domain::outcome::RunStatus;
use crate::domain::time;
use crate::os::clock::Clock;
use crate::os::zone;
use crate::run::{Announcements, RunSummary, Runner};
use crate::server;
pub use crate::server::live::{LiveStatus, Pace, View};
use crate::state::history::{IsPausedByName, LastBegun};
use crate::state::lock::SenderLock;
use crate::state::prune::Prune;
use crate::state::{self, Opened, State};
use crate::telemetry::metrics;
use job::{Ended, Job, Task};
pub use requests::RequestAnswer;
use scheduler::{Scheduler, TurnKind, Work};
use watchdog::Heartbeat;

/// The longest pause between two looks at the clock and at what was asked: soon enough for a person who waits, and
/// for a clock that was set.
const TURN: Duration = Duration::from_millis(500);

/// How long running syncs may take to end after SIGTERM: below the 90 seconds after which systemd kills. What is cut
/// off then is in the journal, and the next start resolves it.
const DRAIN: Duration = Duration::from_secs(80);

/// How long people may still be told of the last runs after that; with it, within what service managers allow.
const TOLD_WITHIN: Duration = Duration::from_secs(5);

/// How often what is older than `keep_outcomes` is forgotten.
const BETWEEN_PRUNES: Duration = Duration::from_secs(3_600);

/// How often recorded times are put into their buckets; they pile up in between.
const BETWEEN_UPKEEPS: Duration = Duration::from_secs(5);

/// What the daemon is started with.
pub struct Start {
    /// The configuration files, for loading them anew.
    pub files: Vec<PathBuf>,
    /// The configuration.
    pub settings: Arc<Settings>,
    /// Held until it has ended.
    pub lock: SenderLock,
    /// What time it is.
    pub clock: Clock,
    /// Asks to end.
    pub stop: CancellationToken,
}

/// The running daemon.
struct Daemon {
    files: Vec<PathBuf>,
    settings: Arc<Settings>,
    state: State,
    clock: Clock,
    stop: CancellationToken,
    clients: Arc<Clients>,
    scheduler: Scheduler,
    /// Syncs under way, and what is to follow each.
    running: BTreeMap<String, Under>,
    tasks: TaskTracker,
    ends: (UnboundedSender<Ended>, UnboundedReceiver<Ended>),
    live: LiveStatus,
    heartbeat: Heartbeat,
    server: Option<server::Handle>,
    announcements: Announcements,
    measured: metrics_exporter_prometheus::PrometheusHandle,
    pruned_at: Option<Instant>,
    kept_up_at: Instant,
    /// The state could not be asked at the last turn; said once, not every half second.
    deaf: bool,
}

/// A sync under way.
#[derive(Default)]
struct Under {
    /// Who waits for its end.
    waiting: Vec<requests::Requester>,
    /// What comes next.
    queue: Vec<requests::OperatorRequest>,
}

/// Runs until stopped.
///
/// # Errors
/// The state can't be used, or the server's address can't be had.
pub async fn run(start: Start) -> Result<()> {
    let measured = metrics::install()?;
    let mut hangups =
        signal(SignalKind::hangup()).map_err(|e| Failure::internal("cannot listen for SIGHUP").because(e))?;
    // The server answers before the state is open: opening may mean bringing a large database up to date.
    let live = LiveStatus::new(Arc::clone(&start.settings), start.clock.now());
    let context = server::Context {
        live: live.clone(),
        ready: server::Ready::default(),
        clock: start.clock.clone(),
        measured: measured.clone(),
    };
    let server = match &start.settings.server {
        Some(settings) => Some(server::start(settings, &context).await?),
        None => None,
    };
    let open = move || {
        let opened = state::open_locked(start.lock)?;
        let (reader, budget) = (opened.state.beside()?, Budget::of(&opened.state)?);
        Ok::<_, Failure>((opened, reader, budget))
    };
    let (Opened { state, lock: _lock }, reader, budget) = off_thread("opening the state broke off", open).await??;
    let clients = Arc::new(Clients::new(state.clone(), start.clock.clone(), budget));
    live.sends_through(Arc::clone(&clients));
    let mut daemon = Daemon {
        scheduler: Scheduler::new(&start.settings, rand::random()),
        files: start.files,
        settings: start.settings,
        state,
        clock: start.clock,
        stop: start.stop,
        clients,
        running: BTreeMap::new(),
        tasks: TaskTracker::new(),
        ends: unbounded_channel(),
        live,
        heartbeat: Heartbeat::default(),
        server,
        announcements: Announcements::default(),
        measured,
        pruned_at: None,
        kept_up_at: Instant::now(),
        deaf: false,
    };
    daemon.begin().await?;
    context.ready.set(reader);
    daemon.turn_until_stopped(&mut hangups, &context).await;
    daemon.drain().await;
    Ok(())
}

impl Daemon {
    /// Ends what a dead process left, reckons the first runs, and says that it works.
    async fn begin(&mut self) -> Result<()> {
        let runner = self.runner();
        runner.open().await?;
        requests::close_stale(&self.state, &self.clock).await?;
        let mut last_begun = BTreeMap::new();
        for sync in self.settings.syncs.keys() {
            let begun = self.state.ask(LastBegun(sync.clone())).await?;
            last_begun.extend(begun.map(|at| (sync.clone(), at)));
        }
        self.scheduler.begin(self.clock.now(), &last_begun);
        self.live.next_runs(self.scheduler.next_runs());
        let scheduled = self.scheduler.next_runs().len();
        tracing::info!(
            version = %env!("CARGO_PKG_VERSION"),
            syncs = self.settings.syncs.len(),
            scheduled,
            listen = self.listens_at().map(display),
            "rosterd runs"
        );
        if scheduled == 0 {
            tracing::warn!("no sync has a schedule: runs begin only with rosterd trigger SYNC");
        }
        watchdog::ready(&self.in_a_line());
        tokio::spawn(watchdog::feed(self.heartbeat.clone(), self.state.clone(), self.stop.clone()));
        Ok(())
    }

    async fn turn_until_stopped(&mut self, hangups: &mut Signal, context: &server::Context) {
        while !self.stop.is_cancelled() {
            self.heartbeat.beat();
            let now = self.clock.now();
            self.begin_what_is_due(now).await;
            self.take_requests().await;
            self.look_after_the_house();
            let pause = self.scheduler.idle(now).clamp(Duration::from_millis(10), TURN);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                Some(ended) = self.ends.1.recv() => self.has_ended(ended).await,
                _ = hangups.recv() => self.reload(context).await,
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// What every run of this moment is given.
    fn runner(&self) -> Runner {
        Runner {
            settings: Arc::clone(&self.settings),
            state: self.state.clone(),
            clock: self.clock.clone(),
            stop: self.stop.clone(),
            observer: Arc::new(observer::LogObserver),
            clients: Arc::clone(&self.clients),
            resident: true,
            announcements: self.announcements.clone(),
        }
    }

    /// Starts the runs whose time has come; those of one source read it once.
    async fn begin_what_is_due(&mut self, now: DateTime<Utc>) {
        let turns = self.scheduler.turns(now);
        if turns.is_empty() {
            return;
        }
        let mut reconciles = Vec::new();
        let mut by_source: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for turn in turns {
            let Some(sync) = self.settings.syncs.get(&turn.sync) else { continue };
            if turn.work == Work::Reconcile {
                if turn.kind != TurnKind::LeftOut {
                    reconciles.push(turn.sync);
                }
                continue;
            }
            if self.running.contains_key(&turn.sync) {
                metrics::skipped_run(&turn.sync);
                tracing::warn!(sync = %turn.sync, "still running: the run that is due now is left out");
                continue;
            }
            // A paused sync needs no run that says so every quarter of an hour.
            if let Ok(true) = self.state.ask(IsPausedByName(turn.sync.clone())).await {
                tracing::debug!(sync = %turn.sync, "paused: not run");
                continue;
            }
            match turn.kind {
                TurnKind::OnTime => {}
                TurnKind::MadeUp => {
                    tracing::info!(sync = %turn.sync, due = %time::rfc3339(turn.due), "making up for a missed run")
                }
                TurnKind::LeftOut => {
                    tracing::warn!(sync = %turn.sync, due = %time::rfc3339(turn.due), "a run was missed and is left out");
                    continue;
                }
            }
            by_source.entry(sync.source.name.clone()).or_default().push(turn.sync);
        }
        for syncs in by_source.into_values() {
            self.launch(&syncs, Task::Sync(None), Vec::new());
        }
        reconciles.into_iter().for_each(|sync| self.reconcile(sync));
        self.live.next_runs(self.scheduler.next_runs());
    }

    /// Compares a sync with its target now, or after the run that is under way.
    fn reconcile(&mut self, sync: String) {
        match self.running.get_mut(&sync) {
            None => self.launch(&[sync], Task::Reconcile, Vec::new()),
            Some(under) if under.queue.iter().any(|e| matches!(e, requests::OperatorRequest::Reconcile)) => {}
            Some(under) => under.queue.push(requests::OperatorRequest::Reconcile),
        }
    }

    /// Starts a run of these syncs, which have one source and are not running.
    fn launch(&mut self, syncs: &[String], task: Task, waiting: Vec<requests::Requester>) {
        let now = self.clock.now();
        let chosen: Vec<_> = syncs.iter().filter_map(|name| self.settings.syncs.get(name).cloned()).collect();
        let mut waiting = Some(waiting);
        for sync in &chosen {
            let under = Under { waiting: waiting.take().unwrap_or_default(), ..Under::default() };
            self.running.insert(sync.name.clone(), under);
            self.live.began(&sync.name, now);
        }
        let job = Job::new(self.runner(), chosen, task, self.ends.0.clone(), self.tasks.clone());
        self.tasks.spawn(job.run());
    }

    /// A run has ended: whoever waits is answered, and what waits begins.
    async fn has_ended(&mut self, ended: Ended) {
        let under = self.running.remove(&ended.sync).unwrap_or_default();
        self.live.ended(&ended.sync);
        match &ended.result {
            Ok(None) => {}
            Ok(Some(summary)) => {
                metrics::run(&ended.sync, summary.status.name(), Duration::from_millis(summary.duration_ms))
            }
            Err(failure) => {
                metrics::run(&ended.sync, RunStatus::Failed.name(), Duration::ZERO);
                tracing::error!(sync = %ended.sync, error = %failure.chain(), "a run could not be recorded");
            }
        }
        for asker in under.waiting {
            self.answer(asker, &ended.result).await;
        }
        self.next_errand(ended.sync, under.queue).await;
        watchdog::status(&self.in_a_line());
    }

    /// Everything that is done now and then.
    fn look_after_the_house(&mut self) {
        self.live.read_lines();
        if self.kept_up_at.elapsed() >= BETWEEN_UPKEEPS {
            self.kept_up_at = Instant::now();
            self.measured.run_upkeep();
        }
        if self.pruned_at.is_none_or(|at| at.elapsed() >= BETWEEN_PRUNES) {
            self.pruned_at = Some(Instant::now());
            self.tasks.spawn(prune(
                self.state.clone(),
                Arc::clone(&self.settings),
                self.clock.clone(),
                self.stop.clone(),
            ));
        }
    }

    /// Where its endpoints are, for a log line.
    fn listens_at(&self) -> Option<SocketAddr> {
        self.server.as_ref().map(|server| server.address)
    }

    /// What `systemctl status` shows.
    fn in_a_line(&self) -> String {
        let next = self.scheduler.next_runs().into_iter().min_by_key(|(_, at)| *at);
        let next = next.map_or_else(
            || "nothing is scheduled".to_string(),
            |(sync, at)| format!("next: {sync} at {}", zone::told(at)),
        );
        let refused = if self.live.view().refused.is_some() { "; the configuration on disk is refused" } else { "" };
        if self.running.is_empty() {
            let syncs = match self.settings.syncs.len() {
                1 => "1 sync".to_string(),
                count => format!("{count} syncs"),
            };
            return format!("{syncs}, none running, {next}{refused}");
        }
        let names: Vec<_> = self.running.keys().map(String::as_str).collect();
        format!("running: {}; {next}{refused}", names.join(", "))
    }

    /// Takes up nothing new, waits for what is under way, and answers whoever waits.
    async fn drain(mut self) {
        self.live.stopping();
        let running: Vec<_> = self.running.keys().cloned().collect();
        tracing::info!(running = running.join(","), "taking up nothing new");
        watchdog::stopping("stopping: requests under way may finish");
        self.tasks.close();
        let drained = tokio::time::timeout(DRAIN, self.tasks.wait()).await.is_ok();
        while let Ok(ended) = self.ends.1.try_recv() {
            self.has_ended(ended).await;
        }
        self.turn_away().await;
        if tokio::time::timeout(TOLD_WITHIN, self.announcements.end()).await.is_err() {
            tracing::warn!("somebody could not be told of a run in time; the next one tells it, if it is still so");
        }
        if !drained {
            let left: Vec<_> = self.running.keys().cloned().collect();
            tracing::error!(
                running = left.join(","),
                "gave up waiting; the next start resolves what is in the journal"
            );
        }
        if let Some(server) = self.server.take() {
            server.end().await;
        }
        tracing::info!("stopped");
    }
}

/// Forgets what is older than `keep_outcomes`, step by step.
async fn prune(state: State, settings: Arc<Settings>, clock: Clock, stop: CancellationToken) {
    let request = prune_request(&settings, settings.state.keep_outcomes, clock.now());
    let mut deleted = 0;
    loop {
        match state.ask(request.clone()).await {
            Ok(pruned) => {
                deleted += pruned.outcomes;
                if !pruned.more {
                    break;
                }
            }
            Err(error) => return tracing::warn!(%error, "old outcomes could not be forgotten"),
        }
        // Whoever sends goes first.
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
            () = stop.cancelled() => return,
        }
    }
    if deleted > 0 {
        tracing::info!(deleted, "forgot old outcomes");
    }
}

/// What to forget that is older than `keep`, and what limits still count.
pub fn prune_request(settings: &Settings, keep: Duration, now: DateTime<Utc>) -> Prune {
    let day = Duration::from_secs(86_400);
    let counted = settings.syncs.values().map(|sync| sync.flap_window).max().unwrap_or(day).max(day);
    let ago = |span: Duration| TimeDelta::from_std(span).ok().and_then(|span| now.checked_sub_signed(span));
    let stamp = |span: Duration| ago(span).unwrap_or(DateTime::UNIX_EPOCH);
    Prune { before: stamp(keep), counted_since: stamp(counted) }
}

/// What a run came to, or why it could not even be recorded; nothing where there was only something to look at.
type RunResult = Result<Option<RunSummary>, Failure>;

/// The failure of what begins while the daemon ends.
fn ending() -> Failure {
    Failure::new(Error::Local(LocalReason::Stopped), "the daemon is stopping").help("ask again when it is back")
}
