//! What the status page shows, collected: how each sync stands, what waits for somebody, what failed.

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::Settings;
use crate::config::settings::SyncSettings;
use crate::domain::error::Result;
use crate::domain::limits::{LimitName, counts_towards};
use crate::domain::operation::OpKind;
use crate::domain::outcome::{Outcome, Status};
use crate::domain::planned::Planned;
use crate::os::zone::{self, Zone};
use crate::report::status;
use crate::report::status::Line;
use crate::run::stale_because;
use crate::server::{Pace, View};
use crate::state::State;
use crate::state::history::{Mark, RecentOutcomes, RunsSince};
use crate::state::ledger::Filter;
use crate::state::lock::Holder;
use crate::state::ownership::Unconfigured;
use crate::state::plans::{HeldPlan, HeldPlans, PlanOperations};

/// The time that the timeline covers.
pub const SPAN: TimeDelta = TimeDelta::hours(24);

/// The most runs that one timeline draws: two a minute for some hours; more would melt into one band.
const MOST_MARKS: usize = 400;

/// How many failures are shown.
const FAILURES: usize = 10;

/// How many outcomes of a kind are looked at for them: many a failure comes back with every run.
const LOOKED_AT: usize = 200;

/// How far back failures are of interest at night.
const FAILED_WITHIN: TimeDelta = TimeDelta::hours(24);

/// How many operations of a held plan are shown.
const OPERATIONS: usize = 8;

/// How many of its operations are looked through for them, and how many at once: others may come first.
const LOOKED_THROUGH: u64 = 5_000;
const PAGE: usize = 500;

/// Everything on the page.
pub struct Overview {
    /// When it was looked at.
    pub now: DateTime<Utc>,
    /// The zone in which times are told, that of the daemon.
    pub zone: Zone,
    /// When the daemon started.
    pub started_at: DateTime<Utc>,
    /// Why the configuration on disk was refused, if it was.
    pub refused: Option<String>,
    /// The daemon is about to end.
    pub stopping: bool,
    /// The syncs, in the configuration's order.
    pub syncs: Vec<SyncView>,
    /// Syncs that the state knows and the configuration does not.
    pub unconfigured: Vec<Unconfigured>,
    /// What waits for approval.
    pub held: Vec<HeldView>,
    /// The last operations that the target refused or left unanswered, and records that were rejected.
    pub failures: Vec<Failures>,
    /// How fast requests go.
    pub paces: Vec<Pace>,
    /// Whether values of people may be shown.
    pub show_values: bool,
}

/// A sync on the page.
pub struct SyncView {
    /// How it stands.
    pub line: Line,
    /// The name of its source.
    pub source: String,
    /// Since when a run is under way, if one is.
    pub running: Option<DateTime<Utc>>,
    /// When the daemon has it begin next.
    pub next: Option<DateTime<Utc>>,
    /// Its runs within [`SPAN`], oldest first.
    pub marks: Vec<Mark>,
}

impl SyncView {
    /// Looks at these syncs.
    ///
    /// # Errors
    /// The state fails.
    pub async fn look(view: &View, state: &State, names: &[String], now: DateTime<Utc>) -> Result<Vec<SyncView>> {
        let settings = &view.settings;
        let configured =
            settings.syncs.values().map(AsRef::as_ref).filter(|sync: &&SyncSettings| names.contains(&sync.name));
        let configured: Vec<&SyncSettings> = configured.collect();
        let mut syncs = Vec::with_capacity(names.len());
        for line in status::lines(configured, state, Some(Holder::Daemon), now).await? {
            let marks = RunsSince { sync: line.sync.clone(), since: now - SPAN, limit: MOST_MARKS };
            let mut marks = state.ask(marks).await?;
            marks.reverse();
            syncs.push(SyncView {
                running: view.running.get(&line.sync).copied(),
                next: view.next.get(&line.sync).copied(),
                source: settings.syncs.get(&line.sync).map(|sync| sync.source.name.clone()).unwrap_or_default(),
                marks,
                line,
            });
        }
        Ok(syncs)
    }
}

/// A failure on the page.
pub struct Failures {
    /// Its latest occurrence.
    pub latest: Outcome,
    /// How often it occurred, as far as was looked.
    pub times: usize,
}

/// A held plan on the page.
pub struct HeldView {
    /// The plan.
    pub plan: HeldPlan,
    /// The first of those operations whom the limit is about.
    pub operations: Vec<Planned>,
    /// How many they are in all.
    pub concerned: u64,
    /// Why it can't be approved any more, if it can't.
    pub stale: Option<String>,
}

impl Overview {
    /// Looks at everything.
    ///
    /// # Errors
    /// The state fails.
    pub async fn look(view: &View, state: &State, now: DateTime<Utc>) -> Result<Overview> {
        let settings = &view.settings;
        let names: Vec<String> = settings.syncs.keys().cloned().collect();
        let syncs = SyncView::look(view, state, &names, now).await?;
        Ok(Overview {
            now,
            zone: zone::local(),
            started_at: view.started_at,
            refused: view.refused.clone(),
            stopping: view.stopping,
            syncs,
            unconfigured: crate::run::unconfigured(settings, state).await?,
            held: held(settings, state).await?,
            failures: failures(state, now).await?,
            paces: view.paces.clone(),
            show_values: settings.server.as_ref().is_some_and(|server| server.show_values),
        })
    }
}

async fn held(settings: &Settings, state: &State) -> Result<Vec<HeldView>> {
    let mut held = Vec::new();
    for plan in state.ask(HeldPlans).await? {
        let operations = the_first_concerned(state, &plan, OPERATIONS).await?;
        let sync = settings.syncs.get(&plan.sync);
        let stale = sync.map_or_else(|| plan.stale.clone(), |sync| stale_because(sync, &plan));
        held.push(HeldView { concerned: concerned(&plan), operations, stale, plan });
    }
    Ok(held)
}

/// The first of those operations of a plan whom its limit is about, as far as it is looked through.
///
/// # Errors
/// The state fails.
pub(super) async fn the_first_concerned(state: &State, plan: &HeldPlan, most: usize) -> Result<Vec<Planned>> {
    let (mut operations, mut looked_through) = (Vec::new(), 0);
    let mut pages = state.pages(PlanOperations { plan: plan.id.clone(), from: 0, limit: PAGE });
    while operations.len() < most && looked_through < LOOKED_THROUGH {
        let Some(page) = pages.next().await? else { break };
        looked_through += page.len() as u64;
        operations.extend(page.into_iter().filter(|operation| is_about(&plan.limit, operation)));
    }
    operations.truncate(most);
    Ok(operations)
}

/// Whether the limit that holds a plan is about this operation.
fn is_about(limit: &LimitName, operation: &Planned) -> bool {
    match limit {
        _ if operation.is_step() => false,
        LimitName::Undo => true,
        LimitName::Flap => operation.kind == OpKind::Reinstate,
        LimitName::Rekey => operation.conflict().is_some(),
        limit => counts_towards(operation, limit),
    }
}

/// How many operations of a plan its limit is about; that of a day counts earlier plans too.
fn concerned(plan: &HeldPlan) -> u64 {
    let of = |kind: OpKind| plan.counts.get(&kind).copied().unwrap_or(0);
    match plan.limit {
        LimitName::Undo => plan.counts.values().sum(),
        LimitName::Flap => of(OpKind::Reinstate),
        LimitName::BanPerDay => of(OpKind::Ban) + of(OpKind::Delete),
        _ => plan.count,
    }
}

async fn failures(state: &State, now: DateTime<Utc>) -> Result<Vec<Failures>> {
    let mut all = Vec::new();
    for status in [Status::Failed, Status::Unknown, Status::Rejected] {
        let filter = Filter { status: Some(status), since: Some(now - FAILED_WITHIN), ..Filter::default() };
        all.extend(state.ask(RecentOutcomes { filter, limit: LOOKED_AT }).await?);
    }
    all.sort_by_key(|outcome| std::cmp::Reverse(outcome.ts));
    let mut failures = together(all);
    failures.truncate(FAILURES);
    Ok(failures)
}

/// The same failure of the same person, run after run, is one; the latest first.
pub(super) fn together(newest_first: Vec<Outcome>) -> Vec<Failures> {
    let mut failures: Vec<Failures> = Vec::new();
    for outcome in newest_first {
        let same = |f: &&mut Failures| {
            let (a, b) = (&f.latest, &outcome);
            (&a.sync, &a.key, a.op, a.status) == (&b.sync, &b.key, b.op, b.status)
                && (&a.reason, &a.error) == (&b.reason, &b.error)
        };
        match failures.iter_mut().find(same) {
            Some(known) => known.times += 1,
            None => failures.push(Failures { latest: outcome, times: 1 }),
        }
    }
    failures
}
