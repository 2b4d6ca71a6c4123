//! One run: what `sync`, `approve` and the daemon do for a sync once its source has been read.
//!
//! The page that tells the story; each step is a module of its own.

mod hold;
mod reading;
mod summary;

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use crate::config::settings::{Settings, SyncSettings};
use crate::delivery::{Client, Delivered, Delivery, RunId, Watch};
use crate::exit::{Exit, Failure, Result};
use crate::limits::{self, Digest};
use crate::planner::{self, Plan, Planner};
use crate::record::Key;
use crate::state::people::{BindSync, Binding, FindSync, KnownSync};
use crate::state::{State, journal, ledger};
use crate::time::{self, Clock};

pub use reading::{Read, read_sources, read_sources_quietly, too_many_rejected};
pub use summary::{Counted, RunError, RunSummary};

/// What every run needs.
#[derive(Clone)]
pub struct Runner {
    /// The configuration.
    pub settings: Arc<Settings>,
    /// The state.
    pub state: State,
    /// What time it is.
    pub clock: Clock,
    /// Asks to take up nothing new.
    pub stop: CancellationToken,
    /// Who watches.
    pub watch: Arc<dyn Watch>,
}

/// What is asked of a run.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Only these people; empty: all.
    pub only: BTreeSet<Key>,
    /// Send this held plan, approved.
    pub approval: Option<Approval>,
}

/// Somebody's yes to a held plan.
#[derive(Clone, Debug)]
pub struct Approval {
    /// The plan.
    pub plan: String,
    /// The operations they saw.
    pub operations: BTreeSet<Digest>,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
}

/// A run under way.
struct Run<'a> {
    runner: &'a Runner,
    who: RunId,
    client: Arc<Client>,
    wish: &'a Wish,
}

impl Runner {
    /// Runs the named syncs (all, when none is named), each whatever becomes of the others.
    ///
    /// # Errors
    /// Only what concerns all of them: an unknown name, or a state that can't be used.
    pub async fn sync(&self, names: &[String], wish: &Wish) -> Result<Vec<RunSummary>> {
        let syncs = chosen(&self.settings, names)?;
        self.state.ask(journal::Recover { at: self.clock.stamp() }).await?;
        let mut summaries = Vec::new();
        for (read, syncs) in read_sources(&self.settings, &syncs, &self.state, &self.clock, &wish.only).await? {
            for sync in syncs {
                summaries.push(self.sync_one(&sync, &read, wish).await);
            }
        }
        summaries.sort_by_key(|s| syncs.iter().position(|sync| sync.name == s.sync));
        Ok(summaries)
    }

    /// Runs one sync, and records the run whatever becomes of it.
    async fn sync_one(&self, sync: &Arc<SyncSettings>, read: &Result<Read, Arc<Failure>>, wish: &Wish) -> RunSummary {
        let began = tokio::time::Instant::now();
        let mut summary = RunSummary::new(ulid::Ulid::new().to_string(), sync.name.clone());
        if let Err(failure) = self.sync_into(&mut summary, sync, read, wish).await {
            summary.fail(&failure);
        }
        if let Err(error) = self.state.ask(summary.finish(self.clock.stamp())).await {
            summary.fail(&error.into());
        }
        summary.duration_ms = began.elapsed().as_millis() as u64;
        summary.log();
        summary
    }

    async fn sync_into(
        &self,
        summary: &mut RunSummary,
        sync: &Arc<SyncSettings>,
        read: &Result<Read, Arc<Failure>>,
        wish: &Wish,
    ) -> Result<()> {
        let partial = !wish.only.is_empty();
        let begin =
            ledger::BeginRun { id: summary.run.clone(), sync: sync.name.clone(), at: self.clock.stamp(), partial };
        self.state.ask(begin).await?;
        let read = match read {
            Ok(read) => read,
            Err(failure) => return Err(failure.again()),
        };
        let known = self.state.ask(FindSync(binding(sync))).await?;
        if known.paused {
            summary.paused();
            return Ok(());
        }
        let id = self.state.ask(BindSync(binding(sync))).await?;
        let client = Arc::new(Client::connect(&sync.target, &self.clock)?);
        let who = RunId { run: summary.run.clone(), sync: Arc::clone(sync), id };
        let done = Run { runner: self, who, client: Arc::clone(&client), wish }.go(summary, read).await;
        client.log_out().await;
        done
    }
}

impl Run<'_> {
    /// The main path: resolve, plan, judge, then deliver or hold.
    async fn go(&self, summary: &mut RunSummary, read: &Read) -> Result<()> {
        let runner = self.runner;
        let resolved =
            planner::resolve(&self.who.sync, self.who.id, &runner.state, &self.client, &runner.clock).await?;
        // Counted anew: resolving may have found accounts.
        let known = self.runner.state.ask(FindSync(binding(&self.who.sync))).await?;
        let plan = make_plan(runner, &self.who.sync, &self.client, read, known, &self.wish.only).await?;
        summary.planned(&plan);
        reading::too_many_rejected(&self.who.sync, &plan)?;

        let approved = match &self.wish.approval {
            Some(approval) => self.consent(plan, approval).await?,
            None => match limits::judge((), &plan.tally, &self.who.sync.limits) {
                Ok(_) => self.within_limits(plan).await?,
                Err(held) => return self.hold(summary, plan, held.breach).await,
            },
        };
        self.record_bystanders(approved.plan(), resolved).await?;
        let delivery = Delivery {
            who: self.who.clone(),
            state: runner.state.clone(),
            client: Arc::clone(&self.client),
            clock: runner.clock.clone(),
            stop: runner.stop.clone(),
            watch: Arc::clone(&runner.watch),
        };
        runner.watch.begin(&self.who.sync.name, approved.plan().total());
        let delivered: Delivered = delivery.deliver(&approved).await;
        summary.delivered(approved.plan(), delivered, &self.client)
    }
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
    let now = runner.clock.now();
    let since = time::rfc3339(now - TimeDelta::hours(24));
    let bans_before = runner.state.ask(ledger::BansSince { sync: sync.name.clone(), since }).await?;
    let planner = Planner {
        sync: Arc::clone(sync),
        known,
        intake: Arc::clone(&read.intake),
        state: runner.state.clone(),
        client: Arc::clone(client),
        now,
        today: now.with_timezone(&sync.timezone).date_naive(),
        incomplete: read.incomplete.is_some(),
        only: only.clone(),
        bans_before,
    };
    planner.plan().await
}

/// The syncs of these names, in the configuration's order; all, when none is named.
///
/// # Errors
/// An unknown name (64), naming the nearest.
pub fn chosen(settings: &Settings, names: &[String]) -> Result<Vec<Arc<SyncSettings>>> {
    for name in names {
        if !settings.syncs.contains_key(name) {
            let known: Vec<_> = settings.syncs.keys().map(String::as_str).collect();
            return Err(Failure::new(Exit::Usage, format!("there is no sync {name:?}"))
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
        base_url: sync.target.base_url.to_string(),
        source_key: sync.source.key.clone(),
    }
}
