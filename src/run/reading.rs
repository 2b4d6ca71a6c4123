//! Reading each source once, and judging it before anybody looks at a person in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use chrono::TimeDelta;

use crate::config::settings::{Settings, SourceSettings, SyncSettings};
use crate::exit::{Exit, Failure, Result};
use crate::planner::Plan;
use crate::record::Key;
use crate::source::Intake;
use crate::state::State;
use crate::state::sources::{BaselineOf, Trusted};
use crate::time::{Clock, rfc3339};
use crate::trust::{self, Baseline, Verdict};

/// A read that may be used.
#[derive(Clone)]
pub struct Read {
    /// What was read.
    pub intake: Arc<Mutex<Intake>>,
    /// Why it may not be used to tell who has left, if so.
    pub incomplete: Option<String>,
    /// Whether an acceptance was used up by it.
    pub spends_accept: bool,
}

/// A source's read, or why there is none, with the syncs that wait for it.
pub type Reading = (Result<Read, Arc<Failure>>, Vec<Arc<SyncSettings>>);

/// How long trusted reads are compared with.
const BASELINE: TimeDelta = TimeDelta::days(7);

/// Reads the sources of these syncs, each once, and remembers the reads that are trusted.
///
/// # Errors
/// The state fails. A source that can't be read, or isn't trusted, is in the result.
pub async fn read_sources(
    settings: &Settings,
    syncs: &[Arc<SyncSettings>],
    state: &State,
    clock: &Clock,
    only: &BTreeSet<Key>,
) -> Result<Vec<Reading>> {
    let mut readings = Vec::new();
    for (source, syncs) in by_source(settings, syncs) {
        let read = read_source(&source, &syncs, state, clock).await;
        if let Ok(read) = &read
            && only.is_empty()
            && read.incomplete.is_none()
        {
            remember(&source, read, state, clock).await?;
        }
        readings.push((read.map_err(Arc::new), syncs));
    }
    Ok(readings)
}

fn by_source(settings: &Settings, syncs: &[Arc<SyncSettings>]) -> Vec<(Arc<SourceSettings>, Vec<Arc<SyncSettings>>)> {
    let mut groups: BTreeMap<&str, Vec<Arc<SyncSettings>>> = BTreeMap::new();
    for sync in syncs {
        groups.entry(&sync.source.name).or_default().push(Arc::clone(sync));
    }
    groups.into_iter().filter_map(|(name, syncs)| Some((Arc::clone(settings.sources.get(name)?), syncs))).collect()
}

/// Reads one source and judges it.
///
/// # Errors
/// It can't be reached (69), or is not to be trusted (65).
pub async fn read_source(
    source: &Arc<SourceSettings>,
    syncs: &[Arc<SyncSettings>],
    state: &State,
    clock: &Clock,
) -> Result<Read> {
    let wanted: BTreeSet<String> = syncs.iter().flat_map(|s| s.mapping.columns().iter().cloned()).collect();
    let reading = Arc::clone(source);
    let intake = tokio::task::spawn_blocking(move || Intake::read(&reading, &wanted, &std::env::temp_dir()))
        .await
        .map_err(|e| Failure::internal("reading broke off").because(e))??;
    for warning in intake.warnings() {
        tracing::warn!(source = %source.name, "{warning}");
    }
    let now = clock.now();
    let known = state.ask(BaselineOf { source: source.name.clone(), since: rfc3339(now - BASELINE) }).await?;
    let baseline = Baseline { largest_trusted: known.largest, accept_next: known.accepted };
    let (incomplete, spends_accept) = match trust::judge(&source.gate, intake.stats(), &baseline, now) {
        Verdict::Trusted { spends_accept } => (None, spends_accept),
        Verdict::NoBans(why) => (Some(why), false),
        Verdict::Untrusted(reasons) => return Err(untrusted(source, &reasons)),
    };
    if let Some(why) = &incomplete {
        tracing::warn!(source = %source.name, "the read is incomplete, so nobody is banned: {why}");
    }
    Ok(Read { intake: Arc::new(Mutex::new(intake)), incomplete, spends_accept })
}

fn untrusted(source: &SourceSettings, reasons: &[trust::Reason]) -> Failure {
    let why: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    let help: BTreeSet<String> = reasons.iter().map(|r| r.help(&source.name)).collect();
    Failure::new(Exit::Untrusted, format!("source {} is not trusted: {}", source.name, why.join("; ")))
        .help(help.into_iter().collect::<Vec<_>>().join("; "))
}

async fn remember(source: &SourceSettings, read: &Read, state: &State, clock: &Clock) -> Result<()> {
    let records = read.intake.lock().unwrap_or_else(std::sync::PoisonError::into_inner).stats().records;
    let now = clock.now();
    state
        .ask(Trusted {
            source: source.name.clone(),
            at: rfc3339(now),
            records,
            spends_accept: read.spends_accept,
            forget_before: rfc3339(now - BASELINE),
        })
        .await?;
    Ok(())
}

/// Records that the mapping rejects count like rows that the reader rejects: too many, and the read is not trusted.
///
/// # Errors
/// Too many (65).
pub(super) fn too_many_rejected(sync: &SyncSettings, plan: &Plan) -> Result<()> {
    let rows = plan.source_records + plan.rejected;
    match sync.source.gate.max_rejected.allowed(rows) {
        Some(allowed) if plan.rejected > allowed => {
            let reason = trust::Reason::TooManyRejected { rejected: plan.rejected, rows, allowed };
            Err(untrusted(&sync.source, &[reason])
                .help(format!("see which and why: rosterd plan {}; then mend the export or the mapping", sync.name)))
        }
        _ => Ok(()),
    }
}
