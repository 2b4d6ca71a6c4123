//! Reading each source once, and judging it before anybody looks at a person in it.

use crate::os::panics::off_thread;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};

use super::comparing;
use super::judgement::{Judgement, Remembered};
use crate::config::settings::{Settings, SourceSettings, SyncSettings};
use crate::domain::change_token::ChangeToken;
use crate::domain::error::{Error, Failure, Result, SourceReason};
use crate::domain::local_time::LocalTime;
use crate::domain::record::Key;
use crate::failpoints;
use crate::os::clock::Clock;
use crate::os::panics;
use crate::plan::Plan;
use crate::source::trust;
use crate::source::trust::{Baseline, ReadStats, Verdict};
use crate::source::{self, Comparison, Connector, Intake, Member, ReadRequest, Since};
use crate::state::State;
use crate::state::people::{FindSync, People};
use crate::state::sources::{BaselineOf, CleanVersion, KeepVersion, Trusted, Version};

/// A read that may be used.
#[derive(Clone)]
pub struct Read {
    /// What was read.
    pub intake: Arc<Intake>,
    /// When it was begun: what its records come to, they come to at this time.
    pub at: ReadAt,
    /// Why it may not be used to tell who has left, if so.
    pub incomplete: Option<String>,
    /// What the syncs that wait for it find.
    pub judgement: Judgement,
}

/// The time at which expressions are evaluated for the records of one read, however long it takes.
#[derive(Clone, Copy, Debug)]
pub struct ReadAt {
    /// When it was begun.
    now: DateTime<Utc>,
    /// The date that it is taken to be.
    on: Option<NaiveDate>,
}

impl ReadAt {
    /// A read that begins now.
    pub(super) fn now(clock: &Clock, on: Option<NaiveDate>) -> ReadAt {
        ReadAt { now: clock.now(), on }
    }

    /// The time in the zone of a sync.
    pub fn time(self, sync: &SyncSettings) -> LocalTime {
        let now = LocalTime::new(self.now, sync.timezone);
        self.on.map_or(now, |date| now.on(date))
    }

    /// Whether it is taken to be another date than it is.
    pub fn is_pretended(self) -> bool {
        self.on.is_some()
    }
}

/// A source after it was asked: read, or found unchanged.
#[derive(Clone)]
pub enum SourceRead {
    /// It was read.
    Read(Read),
    /// It is the very version on which every sync that waits for it was clean, by sync.
    Unchanged(BTreeMap<String, Version>),
}

/// What may have been read.
pub trait AsRead {
    /// The read, if there is one.
    fn as_read(&self) -> Option<&Read>;
}

impl Read {
    /// What a sync finds that has looked at it, if it came to that: with the last sync's word a trusted read is remembered
    /// as a baseline.
    ///
    /// # Errors
    /// The state fails.
    pub async fn judged(&self, sync: &SyncSettings, trusted: Option<bool>, state: &State) -> Result<()> {
        self.judgement.says(&sync.name, trusted, state).await
    }
}

impl AsRead for Read {
    fn as_read(&self) -> Option<&Read> {
        Some(self)
    }
}

impl AsRead for SourceRead {
    fn as_read(&self) -> Option<&Read> {
        match self {
            SourceRead::Read(read) => Some(read),
            SourceRead::Unchanged(_) => None,
        }
    }
}

/// A source's read, or why there is none, with the syncs that wait for it.
pub type Reading<T = Read> = (Result<T, Arc<Failure>>, Vec<Arc<SyncSettings>>);

/// What a source is read for.
#[derive(Clone, Copy)]
pub enum Purpose<'a> {
    /// For plans of the syncs that wait for it, or to tell of some people: whoever is settled is counted, and not kept.
    Plan {
        /// The plans are about these people, of whom all rows are kept; empty: all people are meant.
        only: &'a BTreeSet<Key>,
        /// A source that is as it was when these syncs were clean need not be read.
        if_changed: bool,
        /// What would be planned if today were this date.
        on: Option<NaiveDate>,
    },
    /// For whatever needs every row: all are kept.
    Everything,
}

impl<'a> Purpose<'a> {
    /// The people whom a plan is about; none, where it is no plan.
    fn only(self) -> Option<&'a BTreeSet<Key>> {
        match self {
            Purpose::Plan { only, .. } => Some(only),
            Purpose::Everything => None,
        }
    }

    /// The date that it is taken to be.
    fn on(self) -> Option<NaiveDate> {
        match self {
            Purpose::Plan { on, .. } => on,
            Purpose::Everything => None,
        }
    }
}

/// Reads the sources of these syncs, each once; the reads are remembered once the syncs have found them good too
/// ([`Read::judged`]), unless some people alone are meant.
///
/// # Errors
/// The state fails. A source that can't be read, or isn't trusted, is in the result.
pub async fn read_sources(
    settings: &Settings,
    syncs: &[Arc<SyncSettings>],
    state: &State,
    clock: &Clock,
    purpose: Purpose<'_>,
) -> Result<Vec<Reading<SourceRead>>> {
    let nobody = BTreeSet::new();
    let only = purpose.only().unwrap_or(&nobody);
    let mut readings = Vec::new();
    for (source, syncs) in by_source(settings, syncs) {
        let mut read = panics::caught_in(ask_source(&source, &syncs, state, clock, purpose)).await;
        match &mut read {
            Ok(SourceRead::Unchanged(versions)) if only.is_empty() => {
                remember_unchanged(&source, versions, state, clock).await?;
            }
            Ok(SourceRead::Read(rows)) if !only.is_empty() => rows.judgement = Judgement::default(),
            _ => {}
        }
        readings.push((read.map_err(Arc::new), syncs));
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
    purpose: Purpose<'_>,
) -> Result<Vec<Reading>> {
    let mut readings = Vec::new();
    for (source, syncs) in by_source(settings, syncs) {
        let connector = source::connect(&source);
        let read = panics::caught_in(read_by(connector, &source, &syncs, state, clock, purpose)).await;
        let read = read.map(|read| Read { judgement: Judgement::default(), ..read });
        readings.push((read.map_err(Arc::new), syncs));
    }
    Ok(readings)
}

/// Refuses a key after `--only` that neither the source nor the snapshot of any of these syncs knows: it is misspelt,
/// and whoever wants one person banned at once must not be told that it is done. Where a source can't be read, that
/// is said in its place.
///
/// # Errors
/// Such a key (64), or the state fails.
pub async fn known_somewhere<T: AsRead>(only: &BTreeSet<Key>, readings: &[Reading<T>], state: &State) -> Result<()> {
    let mut strangers = only.clone();
    for (read, syncs) in readings {
        if strangers.is_empty() {
            return Ok(());
        }
        let Some(read) = read.as_ref().ok().and_then(T::as_read) else { return Ok(()) };
        for sync in syncs {
            let Ok(known) = state.ask(FindSync(super::binding(sync))).await else { return Ok(()) };
            if let Some(id) = known.id {
                let keys = strangers.iter().cloned().collect();
                let people = state.ask(People { sync: id, keys }).await?;
                strangers.retain(|key| !people.contains_key(key));
            }
        }
        let mut left = BTreeSet::new();
        for key in strangers {
            if !read.intake.contains(&key)? {
                left.insert(key);
            }
        }
        strangers = left;
    }
    let named: Vec<&str> = strangers.iter().map(Key::as_str).collect();
    if named.is_empty() {
        return Ok(());
    }
    let message = format!("--only {}: neither the source nor the state knows such a key", named.join(", --only "));
    Err(Failure::new(Error::Usage, message)
        .help("nothing was sent; keys are case-sensitive, find somebody's: rosterd why SYNC ADDRESS"))
}

async fn ask_source(
    source: &Arc<SourceSettings>,
    syncs: &[Arc<SyncSettings>],
    state: &State,
    clock: &Clock,
    purpose: Purpose<'_>,
) -> Result<SourceRead> {
    let mut connector = source::connect(source);
    if matches!(purpose, Purpose::Plan { if_changed: true, .. })
        && let Some((versions, token)) = clean_version(source, syncs, state, clock).await?
        && let Since::Unchanged(modified_at) = connector.changed_since(&token).await?
        && still_good(source, &versions, modified_at, state, clock).await?
    {
        tracing::info!(source = %source.name, "unchanged since the last clean run: not read again");
        return Ok(SourceRead::Unchanged(versions));
    }
    read_by(connector, source, syncs, state, clock, purpose).await.map(SourceRead::Read)
}

/// The versions on which these syncs were clean, if they are one version, and nothing is under way that the same
/// records would move on; with its token.
///
/// # Errors
/// The state fails.
async fn clean_version(
    source: &Arc<SourceSettings>,
    syncs: &[Arc<SyncSettings>],
    state: &State,
    clock: &Clock,
) -> Result<Option<(BTreeMap<String, Version>, ChangeToken)>> {
    let now = clock.now();
    let mut versions = BTreeMap::new();
    for sync in syncs {
        let Some(version) = state.ask(CleanVersion(sync.name.clone())).await? else { return Ok(None) };
        if version.source != source.name || version.configuration != configuration(sync, now) {
            return Ok(None);
        }
        versions.insert(sync.name.clone(), version);
    }
    let Some(known) = versions.values().next().map(|version| version.token.clone()) else { return Ok(None) };
    if baseline(source, state, clock).await?.accepted.is_some()
        || versions.values().any(|version| version.token != known)
    {
        return Ok(None);
    }
    Ok(Some((versions, known)))
}

/// Whether an export that has not changed still passes the gate: it may have become too old meanwhile.
///
/// # Errors
/// It doesn't (65).
async fn still_good(
    source: &SourceSettings,
    versions: &BTreeMap<String, Version>,
    modified_at: Option<DateTime<Utc>>,
    state: &State,
    clock: &Clock,
) -> Result<bool> {
    let records = versions.values().map(|version| version.records).max().unwrap_or_default();
    let stats = ReadStats { records, modified_at, ..ReadStats::default() };
    let (incomplete, _) = judge(source, &stats, state, clock).await?;
    Ok(incomplete.is_none())
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
        Some(Version {
            source: sync.source.name.clone(),
            configuration: configuration(sync, clock.now()),
            token: read.intake.token()?.clone(),
            records: read.intake.stats().records,
            excluded,
        })
    });
    state.ask(KeepVersion { sync: sync.name.clone(), version }).await?;
    Ok(())
}

/// Hash of everything that decides what a sync makes of its source, the time included where it counts.
fn configuration(sync: &SyncSettings, now: DateTime<Utc>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&sync.mapping.version());
    hasher.update(&sync.typed);
    hasher.update(sync.mapping.uses().spelled(LocalTime::new(now, sync.timezone)).as_bytes());
    hasher.finalize().into()
}

fn by_source(settings: &Settings, syncs: &[Arc<SyncSettings>]) -> Vec<(Arc<SourceSettings>, Vec<Arc<SyncSettings>>)> {
    let mut groups: BTreeMap<&str, Vec<Arc<SyncSettings>>> = BTreeMap::new();
    for sync in syncs {
        groups.entry(&sync.source.name).or_default().push(Arc::clone(sync));
    }
    groups.into_iter().filter_map(|(name, syncs)| Some((Arc::clone(settings.sources.get(name)?), syncs))).collect()
}

/// Reads one source, keeping every row, and judges it.
///
/// # Errors
/// It can't be reached (69), or is not to be trusted (65).
pub async fn read_source(
    source: &Arc<SourceSettings>,
    syncs: &[Arc<SyncSettings>],
    state: &State,
    clock: &Clock,
) -> Result<Read> {
    read_by(source::connect(source), source, syncs, state, clock, Purpose::Everything).await
}

async fn read_by(
    mut connector: Box<dyn Connector>,
    source: &Arc<SourceSettings>,
    syncs: &[Arc<SyncSettings>],
    state: &State,
    clock: &Clock,
    purpose: Purpose<'_>,
) -> Result<Read> {
    failpoints::panic_in("source", &source.name);
    let wanted: BTreeSet<String> = syncs.iter().flat_map(|s| s.mapping.columns().iter().cloned()).collect();
    let at = ReadAt::now(clock, purpose.on());
    let snapshots = match purpose.only() {
        Some(only) => comparing::snapshots(&wanted, syncs, state, at, only).await?,
        None => None,
    };
    let read = move || {
        let comparison = snapshots.as_ref().map(|snapshots| snapshots as &dyn Comparison);
        connector.open(&ReadRequest { wanted: &wanted, directory: &std::env::temp_dir(), comparison })
    };
    let intake = off_thread("reading broke off", read).await??;
    for warning in intake.warnings() {
        tracing::warn!(source = %source.name, "{warning}");
    }
    let mut remembered = Vec::new();
    for Member { source: member, stats } in intake.members() {
        let judged = judge(member, stats, state, clock).await;
        let (_, spends_accept) = judged.map_err(|failure| member_failure(source, failure))?;
        remembered.push(Remembered { source: member.name.clone(), people: stats.present(), spends_accept });
    }
    let (incomplete, spends_accept) = judge(source, intake.stats(), state, clock).await?;
    remembered.push(Remembered { source: source.name.clone(), people: intake.stats().present(), spends_accept });
    let judgement = match &incomplete {
        None => Judgement::waits_for(syncs.iter().map(|sync| sync.name.clone()), clock.now(), remembered),
        Some(why) => {
            tracing::warn!(source = %source.name, "the read is incomplete, so nobody is banned: {why}");
            Judgement::default()
        }
    };
    Ok(Read { intake: Arc::new(intake), at, incomplete, judgement })
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

pub(super) async fn baseline(source: &SourceSettings, state: &State, clock: &Clock) -> Result<Baseline> {
    let known = state.ask(BaselineOf { source: source.name.clone(), now: clock.now() }).await?;
    Ok(Baseline { largest_trusted: known.largest, accepted: known.accepted })
}

/// One member that is not trusted makes the whole union so.
pub(super) fn member_failure(union: &SourceSettings, failure: Failure) -> Failure {
    let message = format!("source {} is not trusted, because a member is not: {}", union.name, failure.message);
    let help = failure.help.clone().unwrap_or_default();
    Failure::new(failure.error, message).help(help)
}

pub(super) fn untrusted(source: &SourceSettings, reasons: &[trust::Reason]) -> Failure {
    let why: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    let place = source.kind.file().map(|path| format!("look at {}", path.display()));
    let mut help: Vec<String> = place.into_iter().chain(reasons.iter().map(|r| r.help(&source.name))).collect();
    help.dedup();
    Failure::new(
        Error::Source(SourceReason::Untrusted),
        format!("source {} is not trusted: {}", source.name, why.join("; ")),
    )
    .help(help.join("; "))
}

/// Remembers that a source is as it was when its syncs were clean.
async fn remember_unchanged(
    source: &SourceSettings,
    versions: &BTreeMap<String, Version>,
    state: &State,
    clock: &Clock,
) -> Result<()> {
    // Nobody was rejected then.
    let people = versions.values().map(|version| version.records).max().unwrap_or_default();
    state.ask(Trusted { source: source.name.clone(), at: clock.now(), people, spends_accept: false }).await?;
    Ok(())
}

/// Records that the mapping rejects count like rows that the reader rejects: too many, and the read is not trusted.
///
/// # Errors
/// Too many (65).
pub fn too_many_rejected(sync: &SyncSettings, plan: &Plan) -> Result<()> {
    let first = || Ok(plan.spool().rejects((0, 0, 0), 1)?.pop().map(|(_, reject)| reject.told()));
    mapping_rejects(sync, plan.rejected_rows, plan.rows, first)
}

/// [`too_many_rejected`] of so many of so many rows.
///
/// # Errors
/// Too many (65).
pub(super) fn mapping_rejects(
    sync: &SyncSettings,
    rejected: u64,
    rows: u64,
    first: impl FnOnce() -> Result<Option<String>>,
) -> Result<()> {
    match sync.source.gate.max_rejected.allowed(rows) {
        Some(allowed) if rejected > allowed => {
            let reason = trust::Reason::TooManyRejected { rejected, rows, allowed, first: first()? };
            Err(untrusted(&sync.source, &[reason])
                .help(format!("see which and why: rosterd plan {}; then mend the export or the mapping", sync.name)))
        }
        _ => Ok(()),
    }
}
