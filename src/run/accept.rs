//! `accept`: a source that has really shrunk is read, and what it has now is what its next read is compared with.

use crate::os::panics::off_thread;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::reading::{baseline, mapping_rejects, member_failure, untrusted};
use crate::config::settings::{Settings, SourceSettings, SyncSettings};
use crate::domain::error::{Failure, Result};
use crate::domain::local_time::LocalTime;
use crate::mapping::Mapped;
use crate::os::clock::Clock;
use crate::source::trust;
use crate::source::trust::{Baseline, ReadStats, Reason, Verdict};
use crate::source::{self, Intake, Member, ReadRequest};
use crate::state::State;
use crate::state::sources::Accept;

/// What was accepted of a source, or of a member of a union.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// The source.
    pub source: String,
    /// Records that can be used.
    pub records: u64,
    /// Rows that can't, by the reader's judgement.
    pub rejected: u64,
    /// What it would have been compared with.
    pub before: Option<u64>,
    /// How many people are there, whether or not their rows can be used: what its next read is compared with.
    pub people: u64,
    /// How many the next read must have at least; none when it may shrink as much as it will.
    pub at_least: Option<u64>,
}

/// Reads a source, and accepts what it has; for a union, what its members have too, which come after it.
///
/// # Errors
/// The source can't be read, or fails another check than that of shrinking: as a run would fail.
pub async fn accept(
    settings: &Settings,
    source: &Arc<SourceSettings>,
    state: &State,
    clock: &Clock,
) -> Result<Vec<Accepted>> {
    let syncs: Vec<_> = settings.syncs.values().filter(|sync| sync.source.name == source.name).cloned().collect();
    let wanted: BTreeSet<String> = syncs.iter().flat_map(|sync| sync.mapping.columns().iter().cloned()).collect();
    let reading = Arc::clone(source);
    let intake = off_thread("reading broke off", move || {
        let directory = std::env::temp_dir();
        source::connect(&reading).open(&ReadRequest::everything(&wanted, &directory))
    })
    .await??;
    for warning in intake.warnings() {
        tracing::warn!(source = %source.name, "{warning}");
    }
    for Member { source: member, stats } in intake.members() {
        passes(member, stats, clock).map_err(|failure| member_failure(source, failure))?;
    }
    let stats = intake.stats().clone();
    passes(source, &stats, clock)?;
    let members = intake.members().to_vec();
    let all = [Member { source: Arc::clone(source), stats }].into_iter().chain(members);
    let now = clock.now();
    off_thread("judging the read broke off", move || {
        syncs.iter().try_for_each(|sync| can_be_mapped(sync, &intake, LocalTime::new(now, sync.timezone)))
    })
    .await??;
    let mut accepted = Vec::new();
    for Member { source, stats } in all {
        let known = baseline(&source, state, clock).await?;
        let people = stats.present();
        state.ask(Accept { source: source.name.clone(), at: now, people }).await?;
        accepted.push(Accepted {
            records: stats.records,
            rejected: stats.rejected_rows,
            before: known.largest_trusted,
            people,
            at_least: source.gate.max_shrink.allowed(people).map(|fewer| people.saturating_sub(fewer)),
            source: source.name.clone(),
        });
    }
    Ok(accepted)
}

/// Every check but that of shrinking.
fn passes(source: &SourceSettings, stats: &ReadStats, clock: &Clock) -> Result<()> {
    match trust::judge(&source.gate, stats, &Baseline::default(), clock.now()) {
        Verdict::Trusted { .. } => Ok(()),
        Verdict::NoBans(why) => Err(untrusted(source, &[Reason::Reader(why)])),
        Verdict::Untrusted(reasons) => Err(untrusted(source, &reasons)),
    }
}

/// Whether the mapping of a sync rejects few enough.
fn can_be_mapped(sync: &SyncSettings, intake: &Intake, time: LocalTime) -> Result<()> {
    let bound = sync.mapping.bind(intake.columns()).map_err(|missing| {
        Failure::internal(format!("the source was read without the columns {}", missing.join(", ")))
    })?;
    let (mut rejected, mut first) = (intake.stats().rejected_rows, intake.stats().first_reject.clone());
    for page in intake.pages() {
        for record in page? {
            let decided = bound.decide(&record, time);
            if let Mapped::Rejected(reason) = decided.mapped {
                rejected += record.row_count();
                first.get_or_insert_with(|| format!("{}, key {}: {reason}", decided.position, record.key));
            }
        }
    }
    mapping_rejects(sync, rejected, intake.stats().rows(), || Ok(first))
}
