//! One run: what `sync`, `approve` and the daemon do for a sync once its source has been read.
//!
//! The page that tells the story; each step is a module of its own.

pub mod notify;
pub mod reconcile;
pub mod resolve;
pub mod restored;

mod accept;
mod announce;
mod approve;
mod comparing;
mod hold;
mod judgement;
mod life;
mod reading;
mod repair;
mod summary;
mod undoing;

use crate::state::ownership::{Unconfigured, UnconfiguredSyncs};
use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::TimeDelta;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::account::Listing;
use crate::account::{Client, Clients};
use crate::config::settings::{Settings, SyncSettings};
use crate::delivery::{Delivered, Delivery, RunContext, RunObserver};
use crate::domain::error::{Error, Failure, LocalReason, Result};
use crate::domain::ids::PlanId;
use crate::domain::limits;
use crate::domain::limits::{Consent, Judged};
use crate::domain::record::Key;
use crate::domain::target_identity;
use crate::failpoints;
use crate::os::clock::Clock;
use crate::os::{panics, zone};
use crate::plan::{Plan, Planner};
use crate::state::clock::ReadClock;
use crate::state::epoch::{self, Begun};
use crate::state::ownership::{Shared, SharedAccount};
use crate::state::people::{BindSync, Binding, FindSync, KnownSync, SetPaused};
use crate::state::plans::Origin;
use crate::state::{State, journal, ledger};
use life::{RunLife, resting};
use reading::AsRead;

pub use accept::{Accepted, accept};
pub use announce::Announcements;
pub use approve::spent;
pub use hold::stale_because;
pub use reading::{
    Purpose, Read, ReadAt, Reading, SourceRead, known_somewhere, read_source, read_sources, read_sources_quietly,
    too_many_rejected,
};
pub use repair::Asked;
pub use summary::{RunError, RunSummary};
pub use undoing::Undoing;

/// What every run needs.
#[derive(Clone)]
pub struct Runner {
    /// The configuration.
    pub settings: Arc<Settings>,
    /// The state.
    pub state: State,
    /// The targets, each with one rate for all syncs of this process.
    pub clients: Arc<Clients>,
    /// What time it is.
    pub clock: Clock,
    /// Asks to take up nothing new.
    pub stop: CancellationToken,
    /// Who watches.
    pub observer: Arc<dyn RunObserver>,
    /// This process sends all the time: it was opened when it began ([`Runner::open`]), and while a run begins, other
    /// syncs may be under way.
    pub resident: bool,
    /// What is being told of this process's runs.
    pub announcements: Announcements,
}

/// What is asked of a run.
#[derive(Clone, Debug, Default)]
pub struct RunRequest {
    /// Only these people; empty: all.
    pub only: BTreeSet<Key>,
    /// Send this held plan, approved.
    pub approval: Option<Approval>,
    /// Who asks for it; nobody where its time has come. Of what is approved, who approved it counts.
    pub by: Option<String>,
    /// How the plan is made.
    pub origin: Origin,
}

/// Somebody's yes to a held plan.
#[derive(Clone, Debug)]
pub struct Approval {
    /// The plan.
    pub plan: PlanId,
    /// What they saw.
    pub consent: Consent,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
}

impl std::fmt::Display for Approval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "plan {} approved by {}", self.plan, self.by)?;
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

/// A run under way.
struct Run<'a> {
    runner: &'a Runner,
    who: RunContext,
    client: Arc<Client>,
    request: &'a RunRequest,
}

impl Runner {
    /// Runs the named syncs (all, when none is named), each whatever becomes of the others.
    ///
    /// # Errors
    /// Only what concerns all of them: an unknown name, or a state that can't be used.
    pub async fn sync(&self, names: &[String], request: &RunRequest) -> Result<Vec<RunSummary>> {
        let syncs = chosen(&self.settings, names)?;
        self.begin(&syncs).await?;
        let mut summaries = Vec::new();
        let if_changed = request.only.is_empty() && request.approval.is_none();
        let purpose = Purpose::Plan { only: &request.only, if_changed, on: None };
        let readings = read_sources(&self.settings, &syncs, &self.state, &self.clock, purpose).await?;
        if let Err(stranger) = known_somewhere(&request.only, &readings, &self.state).await {
            self.end().await;
            return Err(stranger);
        }
        for (read, syncs) in readings {
            for sync in syncs {
                summaries.push(self.sync_one(&sync, &read, request).await);
            }
        }
        summaries.sort_by_key(|s| syncs.iter().position(|sync| sync.name == s.sync));
        self.end().await;
        if request.only.is_empty() {
            self.announce(&summaries).await;
        }
        Ok(summaries)
    }

    /// What comes after everything has been sent.
    pub async fn end(&self) {
        if let Err(error) = epoch::end(&self.state).await {
            // Everything is done and recorded; only a raw copy made during this run would not be told from the original.
            tracing::warn!(%error, "could not mark the end of the run");
        }
    }

    /// What comes before these syncs send anything. Of a resident process the other syncs are left alone.
    ///
    /// # Errors
    /// The state fails.
    pub async fn begin(&self, syncs: &[Arc<SyncSettings>]) -> Result<()> {
        if !self.resident {
            return self.open().await;
        }
        for sync in syncs {
            self.recover(Some(sync.name.clone())).await?;
        }
        Ok(())
    }

    /// What comes before anything is sent: is this the database of the last run, and what did that run leave?
    ///
    /// # Errors
    /// The state fails.
    pub async fn open(&self) -> Result<()> {
        if let Begun::Restored { backup_at } = epoch::begin(&self.state).await? {
            let of = backup_at.map_or_else(String::new, |at| format!(" of {}", zone::told(at)));
            tracing::warn!("the state database is an older one, restored from a backup{of}");
        }
        self.recover(None).await?;
        self.warn_of_unconfigured().await
    }

    /// Ends what a process that died left of this sync, or of all.
    async fn recover(&self, sync: Option<String>) -> Result<()> {
        let targets = self.settings.syncs.values().map(|sync| &sync.target);
        let id_is_address = targets.map(|target| (target.kind.clone(), target.engine.id_is_address())).collect();
        self.state.ask(journal::Recover { at: self.clock.stamp(), sync, id_is_address }).await?;
        Ok(())
    }

    /// Says which syncs the state knows and the configuration does not.
    ///
    /// # Errors
    /// The state fails.
    pub async fn warn_of_unconfigured(&self) -> Result<()> {
        for known in unconfigured(&self.settings, &self.state).await? {
            tracing::warn!(sync = %known.sync, users = known.users, help = known.remedy(), "{}", known.told());
        }
        Ok(())
    }

    /// Runs one sync, and records the run whatever becomes of it.
    pub async fn sync_one(
        &self,
        sync: &Arc<SyncSettings>,
        source_read: &Result<SourceRead, Arc<Failure>>,
        request: &RunRequest,
    ) -> RunSummary {
        let mut life = RunLife::new(self, sync, request);
        let done = panics::caught_in(self.sync_into(&mut life, sync, source_read, request)).await;
        let read = source_read.as_ref().ok().and_then(AsRead::as_read);
        life.end(done, read).await
    }

    async fn sync_into(
        &self,
        life: &mut RunLife<'_>,
        sync: &Arc<SyncSettings>,
        source_read: &Result<SourceRead, Arc<Failure>>,
        request: &RunRequest,
    ) -> Result<()> {
        life.begin().await?;
        let known = self.state.ask(FindSync(binding(sync))).await?;
        if known.paused {
            life.summary.paused();
            return Ok(());
        }
        let source_read = source_read.as_ref().map_err(|failure| failure.again())?;
        if self.stop.is_cancelled() {
            return Err(stopped_early());
        }
        let read = match source_read {
            SourceRead::Read(read) => read,
            SourceRead::Unchanged(versions) => {
                life.summary.unchanged_source(versions.get(&sync.name));
                return Ok(());
            }
        };
        if let Some(why) = &read.incomplete {
            life.summary.incomplete(why);
        }
        let id = self.state.ask(BindSync(binding(sync))).await?;
        let client = self.clients.of(&sync.target)?;
        let run = life.on(id, &client);
        resting(&client, run.go(&mut life.summary, read)).await?;
        let clean = request.only.is_empty() && life.summary.is_clean();
        reading::keep_version(sync, read, clean.then_some(life.summary.excluded), &self.state, &self.clock).await
    }
}

impl Run<'_> {
    /// What an earlier run left open, found out; then the plan.
    async fn plan(&self, read: &Read) -> Result<(Resolved, Plan)> {
        failpoints::panic_in("sync", &self.who.sync.name);
        let runner = self.runner;
        let resolved = self.resolve().await?;
        // Counted anew: resolving may have found accounts.
        let known = runner.state.ask(FindSync(binding(&self.who.sync))).await?;
        let plan = make_plan(runner, &self.who.sync, &self.client, read, known, &self.request.only).await?;
        Ok((resolved, plan))
    }

    /// Finds out what an earlier run left open, and whether a restored state is still true.
    async fn resolve(&self) -> Result<Resolved> {
        let (sync, id, client) = (&self.who.sync, self.who.id, &self.client);
        let Runner { state, clock, .. } = self.runner;
        restored::verify_restored_state(sync, id, state, client, clock).await?;
        resolve::resolve(sync, id, state, client, clock).await
    }

    /// The main path: resolve, plan, judge, then deliver or hold.
    async fn go(&self, summary: &mut RunSummary, read: &Read) -> Result<()> {
        let runner = self.runner;
        let (resolved, plan) = tokio::select! {
            biased;
            planned = self.plan(read) => planned?,
            () = runner.stop.cancelled() => return Err(stopped_early()),
        };
        summary.planned(&plan);
        self.record_resolved(&plan, &resolved.done).await?;
        reading::too_many_rejected(&self.who.sync, &plan)?;
        read.judged(&self.who.sync, Some(true), &runner.state).await?;
        self.send(summary, plan, resolved).await
    }

    /// From a plan on: judge, then deliver or hold.
    async fn send(&self, summary: &mut RunSummary, plan: Plan, resolved: Resolved) -> Result<()> {
        let runner = self.runner;
        let approved = match &self.request.approval {
            Some(approval) => {
                let approved = self.consent(plan, approval).await?;
                summary.approved = Some(approval.to_string());
                approved
            }
            None => match limits::judge(plan, &self.who.sync.limits)? {
                Judged::Approved(approved) => {
                    self.supersede().await?;
                    approved
                }
                Judged::Held(held) => return self.hold(summary, *held, false).await,
                Judged::Apart { rest, bans } => {
                    self.hold(summary, *bans, true).await?;
                    rest
                }
            },
        };
        self.record_bystanders(approved.plan()).await?;
        let undoes = matches!(self.request.origin, Origin::Undo(_));
        if undoes {
            self.pause(summary).await?;
        }
        let delivery = Delivery {
            who: self.who.clone(),
            state: runner.state.clone(),
            client: Arc::clone(&self.client),
            clock: runner.clock.clone(),
            stop: runner.stop.clone(),
            observer: Arc::clone(&runner.observer),
            heeds_pause: !undoes,
            learns: matches!(self.request.origin, Origin::Reconcile(_)),
        };
        runner.observer.begin(&self.who.sync.name, approved.plan().total());
        let delivered: Delivered = delivery.deliver(&approved).await;
        summary.delivered(approved.plan(), delivered, &self.client)?;
        summary.still_held();
        match resolved.unreachable {
            // There was nothing else to do than to look up what is unresolved, and nobody to ask.
            Some(failure) if approved.plan().total() == 0 => Err(failure),
            _ => Ok(()),
        }
    }
}

impl Run<'_> {
    /// Pauses the sync before its last run is undone: the next one would do the same again.
    async fn pause(&self, summary: &mut RunSummary) -> Result<()> {
        let since = Some(self.runner.clock.stamp());
        self.runner.state.ask(SetPaused { sync: self.who.id, since }).await?;
        let sync = &self.who.sync.name;
        summary.note = Some(format!(
            "{sync} is paused, since its next run would do the same again; mend the cause, then: rosterd resume {sync}"
        ));
        Ok(())
    }
}

/// Somebody asked to stop before anything was sent.
fn stopped_early() -> Failure {
    Failure::new(Error::Local(LocalReason::Stopped), "stopped before anything was sent, as asked")
        .help("run again to go on")
}

/// Makes the plan of a sync; reads from the target, writes nowhere.
///
/// # Errors
/// As [`Planner::plan`].
pub async fn make_plan(
    runner: &Runner,
    sync: &Arc<SyncSettings>,
    client: &Arc<Client>,
    read: &Read,
    known: KnownSync,
    only: &BTreeSet<Key>,
) -> Result<Plan> {
    make_plan_against(runner, sync, client, read, known, only, None).await
}

/// [`make_plan`] against what a listing shows, where there is one, rather than against what was acknowledged.
///
/// # Errors
/// As [`Planner::plan`].
pub async fn make_plan_against(
    runner: &Runner,
    sync: &Arc<SyncSettings>,
    client: &Arc<Client>,
    read: &Read,
    known: KnownSync,
    only: &BTreeSet<Key>,
    observed: Option<Arc<Listing>>,
) -> Result<Plan> {
    nothing_is_shared(&runner.state, sync, known).await?;
    let now = runner.clock.now();
    let time = read.at.time(sync);
    // On a later day, what was banned lately has been forgotten.
    let then = if read.at.is_pretended() { now.max(time.instant()) } else { now };
    let since = then - TimeDelta::hours(24);
    let bans_before = runner.state.ask(ledger::BansSince { sync: sync.name.clone(), since, now: then }).await?;
    let reading = runner.state.ask(ReadClock { sync: sync.name.clone(), now }).await?;
    let planner = Planner {
        sync: Arc::clone(sync),
        clock: reading,
        known,
        users: OnceCell::new(),
        intake: Arc::clone(&read.intake),
        state: runner.state.clone(),
        client: Arc::clone(client),
        now: if read.at.is_pretended() { time.instant() } else { now },
        pretended_at: read.at.is_pretended().then_some(now),
        time,
        incomplete: read.incomplete.is_some(),
        only: only.clone(),
        bans_before,
        observed,
    };
    planner.plan().await
}

/// Refuses a sync that owns an account together with another: each would undo what the other does, and ban whom the
/// other keeps.
async fn nothing_is_shared(state: &State, sync: &SyncSettings, known: KnownSync) -> Result<()> {
    let Some(id) = known.id.filter(|_| !sync.rivals.is_empty()) else { return Ok(()) };
    let request = SharedAccount { sync: id, rivals: sync.rivals.clone(), target: sync.target.identity() };
    let Some(shared) = state.ask(request).await? else { return Ok(()) };
    let (name, target) = (&sync.name, &sync.target.name);
    let id = sync.target.engine.loggable_id(&shared.remote_id);
    let Shared { key, rival, rivals_key, .. } = &shared;
    let message = format!(
        "account {id} of target {target} belongs to {key} in sync {name} and to {rivals_key} in sync {rival}: two syncs \
         of one platform would undo each other's work"
    );
    Err(Failure::new(Error::Config, message).help(
        "decide which of the two keeps it. Is the other not needed, take it out of the configuration, and then: rosterd \
         state forget-sync NAME. Else tell their people apart with include, and then: rosterd forget SYNC KEY, for each \
         whom it must give up",
    ))
}

/// The syncs of these names, in the configuration's order; all, when none is named.
///
/// # Errors
/// An unknown name (64), naming the nearest.
pub fn chosen(settings: &Settings, names: &[String]) -> Result<Vec<Arc<SyncSettings>>> {
    for name in names {
        if !settings.syncs.contains_key(name) {
            let known: Vec<_> = settings.syncs.keys().map(String::as_str).collect();
            return Err(Failure::new(Error::Usage, format!("there is no sync {name:?}"))
                .help(format!("the configuration has: {}", known.join(", "))));
        }
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|n| n == name);
    Ok(settings.syncs.values().filter(|sync| wanted(&sync.name)).cloned().collect())
}

/// What a sync's rows are bound to.
pub fn binding(sync: &SyncSettings) -> Binding {
    Binding {
        sync: sync.name.clone(),
        source: sync.source.name.clone(),
        target: sync.target.name.clone(),
        kind: sync.target.kind.clone(),
        base_url: target_identity::written(&sync.target.base_url, sync.target.engine.path_options()),
        source_key: sync.source.key.clone(),
        resource: sync.target.engine.resource(),
    }
}

pub use resolve::Resolution;
pub use resolve::Resolved;
pub use resolve::resolve;

/// The syncs that the state knows and the configuration does not: nobody keeps their people in step.
///
/// # Errors
/// The state fails.
pub async fn unconfigured(settings: &Settings, state: &State) -> Result<Vec<Unconfigured>> {
    Ok(state.ask(UnconfiguredSyncs { configured: settings.syncs.keys().cloned().collect() }).await?)
}
