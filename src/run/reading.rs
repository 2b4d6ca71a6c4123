//! Reading each source once, and judging it before anybody looks at a person in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::settings::{Settings, SourceKind, SourceSettings, SyncSettings};
use crate::exit::{Exit, Failure, Result};
use crate::planner::Plan;
use crate::record::Key;
use crate::source::{self, Intake, Validators};
use crate::state::State;
use crate::state::sources::{BaselineOf, CleanVersion, KeepVersion, Trusted, Version};
use crate::time::{Clock, rfc3339};
use crate::trust::{self, Baseline, ReadStats, Verdict};

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

/// What is known of a source after asking it.
#[derive(Clone)]
pub enum Asked {
    /// It was read.
    Read(Read),
    /// It is the very version on which every sync that waits for it was clean, by sync.
    Unchanged(BTreeMap<String, Version>),
}

/// A source's read, or why there is none, with the syncs that wait for it.
pub type Reading<T = Read> = (Result<T, Arc<Failure>>, Vec<Arc<SyncSettings>>);

/// How long trusted reads are compared with.
const BASELINE: TimeDelta = TimeDelta::days(7);

/// Reads the sources of these syncs, each once, and remembers the reads that are trusted. Where everybody is meant
/// (`whole`), a source that has not changed is not read again.
///
/// # Errors
/// The state fails. A source that can't be read, or isn't trusted, is in the result.
pub async fn read_sources(
    settings: &Settings,
    syncs: &[Arc<SyncSettings>],
    state: &State,
    clock: &Clock,
    only: &BTreeSet<Key>,
    whole: bool,
) -> Result<Vec<Reading<Asked>>> {
    let mut readings = Vec::new();
    for (source, syncs) in by_source(settings, syncs) {
        let asked = ask_source(&source, &syncs, state, clock, whole).await;
        if let Ok(asked) = &asked
            && only.is_empty()
        {
            remember(&source, asked, state, clock).await?;
        }
        readings.push((asked.map_err(Arc::new), syncs));
    }
    Ok(readings)
}

/// [`read_sources`] for those that only look: nothing is remembered, and everything is read.
///
/// # Errors
/// As [`read_sources`].
pub async fn read_sources_quietly(
    settings: &Settings,
    syncs: &[Arc<SyncSettings>],
    state: &State,
    clock: &Clock,
) -> Result<Vec<Reading>> {
    let mut readings = Vec::new();
    for (source, syncs) in by_source(settings, syncs) {
        readings.push((read_source(&source, &syncs, state, clock).await.map_err(Arc::new), syncs));
    }
    Ok(readings)
}

async fn ask_source(
    source: &Arc<SourceSettings>,
    syncs: &[Arc<SyncSettings>],
    state: &State,
    clock: &Clock,
    whole: bool,
) -> Result<Asked> {
    if whole && let Some(versions) = unchanged(source, syncs, state, clock).await? {
        tracing::info!(source = %source.name, "unchanged since the last clean run: not read again");
        return Ok(Asked::Unchanged(versions));
    }
    read_source(source, syncs, state, clock).await.map(Asked::Read)
}

/// The versions on which these syncs were clean, if they are one version and the source still is that one.
///
/// # Errors
/// It can't be reached, refuses us, or is by now too old to be trusted.
async fn unchanged(
    source: &Arc<SourceSettings>,
    syncs: &[Arc<SyncSettings>],
    state: &State,
    clock: &Clock,
) -> Result<Option<BTreeMap<String, Version>>> {
    if !matches!(source.kind, SourceKind::Http(_)) {
        return Ok(None);
    }
    let baseline = baseline(source, state, clock).await?;
    let now = clock.now();
    let mut versions = BTreeMap::new();
    for sync in syncs {
        let Some(version) = state.ask(CleanVersion(sync.name.clone())).await? else { return Ok(None) };
        if version.source != source.name || version.configuration != configuration(sync, now) {
            return Ok(None);
        }
        versions.insert(sync.name.clone(), version);
    }
    let tags =
        |version: &Version| Validators { etag: version.etag.clone(), last_modified: version.last_modified.clone() };
    let Some(known) = versions.values().next().map(tags) else { return Ok(None) };
    if baseline.accept_next || versions.values().any(|version| tags(version) != known) {
        return Ok(None);
    }
    let Some(modified_at) = source::unchanged(source, &known).await? else { return Ok(None) };
    let records = versions.values().map(|version| version.records).max().unwrap_or_default();
    let stats = ReadStats { records, modified_at, ..ReadStats::default() };
    match trust::judge(&source.gate, &stats, &baseline, now) {
        Verdict::Trusted { .. } => Ok(Some(versions)),
        Verdict::Untrusted(reasons) => Err(untrusted(source, &reasons)),
        Verdict::NoBans(_) => Ok(None),
    }
}

/// Remembers the version of the source on which this sync is clean now, or that there is none.
///
/// # Errors
/// The state fails.
pub async fn keep_version(
    sync: &SyncSettings,
    read: &Read,
    excluded: Option<u64>,
    state: &State,
    clock: &Clock,
) -> Result<()> {
    let version = excluded.filter(|_| read.incomplete.is_none()).and_then(|excluded| {
        let intake = read.intake.lock().unwrap_or_else(PoisonError::into_inner);
        let Validators { etag, last_modified } = intake.validators()?.clone();
        Some(Version {
            source: sync.source.name.clone(),
            configuration: configuration(sync, clock.now()),
            etag,
            last_modified,
            records: intake.stats().records,
            excluded,
        })
    });
    state.ask(KeepVersion { sync: sync.name.clone(), version }).await?;
    Ok(())
}

/// Hash of everything that decides what a sync makes of its source, the date included where it counts. Built of what
/// is shown in `Debug`, which holds no secret.
fn configuration(sync: &SyncSettings, now: DateTime<Utc>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&sync.mapping.version());
    let target = (&sync.target.name, &sync.target.kind, &sync.target.base_url);
    let leaving = (&sync.on_leave, &sync.leave_grace, &sync.release_on_ban, &sync.protect);
    let rest = (&sync.match_fields, &sync.max_flaps, &sync.flap_window, &sync.limits);
    hasher.update(format!("{:?}{target:?}{leaving:?}{rest:?}", sync.source).as_bytes());
    if sync.mapping.uses_today() {
        hasher.update(now.with_timezone(&sync.timezone).date_naive().to_string().as_bytes());
    }
    hasher.finalize().into()
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
    for member in intake.members() {
        judge(&member.source, &member.stats, state, clock).await.map_err(|failure| member_failure(source, failure))?;
    }
    let (incomplete, spends_accept) = judge(source, intake.stats(), state, clock).await?;
    if let Some(why) = &incomplete {
        tracing::warn!(source = %source.name, "the read is incomplete, so nobody is banned: {why}");
    }
    Ok(Read { intake: Arc::new(Mutex::new(intake)), incomplete, spends_accept })
}

/// Why the read may not be used to tell who has left, if so, and whether it uses up an acceptance.
async fn judge(
    source: &SourceSettings,
    stats: &ReadStats,
    state: &State,
    clock: &Clock,
) -> Result<(Option<String>, bool)> {
    let baseline = baseline(source, state, clock).await?;
    match trust::judge(&source.gate, stats, &baseline, clock.now()) {
        Verdict::Trusted { spends_accept } => Ok((None, spends_accept)),
        Verdict::NoBans(why) => Ok((Some(why), false)),
        Verdict::Untrusted(reasons) => Err(untrusted(source, &reasons)),
    }
}

async fn baseline(source: &SourceSettings, state: &State, clock: &Clock) -> Result<Baseline> {
    let since = rfc3339(clock.now() - BASELINE);
    let known = state.ask(BaselineOf { source: source.name.clone(), since }).await?;
    Ok(Baseline { largest_trusted: known.largest, accept_next: known.accepted })
}

/// One member that is not trusted makes the whole union so.
fn member_failure(union: &SourceSettings, failure: Failure) -> Failure {
    let message = format!("source {} is not trusted, because a member is not: {}", union.name, failure.message);
    let help = failure.help.clone().unwrap_or_default();
    Failure::new(failure.exit, message).help(help)
}

fn untrusted(source: &SourceSettings, reasons: &[trust::Reason]) -> Failure {
    let why: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    let help: BTreeSet<String> = reasons.iter().map(|r| r.help(&source.name)).collect();
    Failure::new(Exit::Untrusted, format!("source {} is not trusted: {}", source.name, why.join("; ")))
        .help(help.into_iter().collect::<Vec<_>>().join("; "))
}

/// Remembers a trusted read, and those of a union's members.
async fn remember(source: &SourceSettings, asked: &Asked, state: &State, clock: &Clock) -> Result<()> {
    let now = clock.now();
    let mut trusted = Vec::new();
    match asked {
        Asked::Unchanged(versions) => {
            let records = versions.values().map(|version| version.records).max().unwrap_or_default();
            trusted.push((source.name.clone(), records, false));
        }
        Asked::Read(read) if read.incomplete.is_some() => return Ok(()),
        Asked::Read(read) => {
            let intake = read.intake.lock().unwrap_or_else(PoisonError::into_inner);
            trusted.push((source.name.clone(), intake.stats().records, read.spends_accept));
            let members = intake.members().iter();
            trusted.extend(members.map(|m| (m.source.name.clone(), m.stats.records, false)));
        }
    }
    for (i, (source, records, spends_accept)) in trusted.into_iter().enumerate() {
        // An acceptance of a member counts for its read within the union too.
        let accepted = state.ask(BaselineOf { source: source.clone(), since: rfc3339(now) }).await?.accepted;
        state
            .ask(Trusted {
                source,
                at: rfc3339(now),
                records,
                spends_accept: if i == 0 { spends_accept } else { accepted },
                forget_before: rfc3339(now - BASELINE),
            })
            .await?;
    }
    Ok(())
}

/// Records that the mapping rejects count like rows that the reader rejects: too many, and the read is not trusted.
///
/// # Errors
/// Too many (65).
pub fn too_many_rejected(sync: &SyncSettings, plan: &Plan) -> Result<()> {
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
