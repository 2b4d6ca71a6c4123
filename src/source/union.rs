//! Several sources as one: each is read by itself, with its own key, and what the reads gave meets here.
//!
//! People whom two members have count once where the wanted columns are the same, and are rejected where they differ:
//! which of the two is right can't be guessed.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::intake::{Intake, Member};
use super::parsed::{Parsed, Sink};
use crate::config::settings::SourceSettings;
use crate::exit::{Failure, Result};
use crate::record::{Key, Position};
use crate::trust::{Completeness, ReadStats};

/// How many rows are in memory on their way from a member.
const PAGE: usize = 500;

/// Reads all members.
pub(super) fn read(
    source: &Arc<SourceSettings>,
    members: &[Arc<SourceSettings>],
    wanted: &BTreeSet<String>,
    spool_dir: &Path,
) -> Result<Intake> {
    let mut sink = Sink::create(spool_dir)?;
    let mut stats = ReadStats::default();
    let mut reads = Vec::new();
    let mut before = 0;
    for member in prepared(source, members) {
        let intake = Intake::read(&member, wanted, spool_dir)?;
        for warning in intake.warnings() {
            tracing::warn!(source = %member.name, "{warning}");
        }
        sink.spool.begin_member(before, &member.name);
        let listed = pour(&intake, &member, before, &mut sink)?;
        let of_member = intake.stats().clone();
        before += of_member.rows();
        add(&mut stats, &of_member, listed, &member.name, reads.is_empty());
        reads.push(Member { source: member, stats: of_member });
    }
    Ok(Intake::settled(sink, wanted, stats)?.with_members(reads))
}

/// The members, each of which must have what the union requires too. A mapping can name the key by one column alone,
/// where each member has its own: so the key of any stands for that of each.
pub(super) fn prepared(source: &SourceSettings, members: &[Arc<SourceSettings>]) -> Vec<Arc<SourceSettings>> {
    let keys: BTreeSet<&String> = members.iter().map(|member| &member.key).collect();
    let prepare = |member: &Arc<SourceSettings>| {
        let mut member = SourceSettings::clone(member);
        let more: Vec<String> =
            source.required.iter().filter(|name| !member.required.contains(name)).cloned().collect();
        member.required.extend(more);
        member.also_key = keys.iter().filter(|key| ***key != member.key).map(|key| (*key).clone()).collect();
        Arc::new(member)
    };
    members.iter().map(prepare).collect()
}

/// Gives what a member has to the union; how many rejects that were.
fn pour(intake: &Intake, member: &SourceSettings, before: u64, sink: &mut Sink) -> Result<u64> {
    let moved = |position: Position| Position { record: position.record + before, ..position };
    let mut after: Option<Key> = None;
    loop {
        let page = intake.rows(after.as_ref(), PAGE)?;
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        for record in page {
            let cells = serde_json::to_string(&record.cells)
                .map_err(|error| Failure::internal("a record can't be kept").because(error))?;
            let digest = digest(&record.cells);
            sink.take(Parsed::Good { key: record.key, position: moved(record.position), digest, cells })?;
        }
    }
    let (mut after, mut listed) = (0, 0);
    loop {
        let page = intake.rejects(after, PAGE)?;
        let Some(last) = page.last() else { return Ok(listed) };
        after = last.position.record;
        for reject in page {
            listed += 1;
            let reason = format!("in {}: {}", member.name, reject.reason);
            // Whether the key is certain was counted by the member.
            sink.take(Parsed::Bad { key: reject.key, certain: true, position: moved(reject.position), reason })?;
        }
    }
}

fn add(stats: &mut ReadStats, member: &ReadStats, listed: u64, name: &str, first: bool) {
    // A member lists a key with several rejected rows once, and the union counts what is listed.
    stats.rejected_rows += member.rejected_rows - listed;
    stats.keyless_rejects += member.keyless_rejects;
    stats.duplicate_equal += member.duplicate_equal;
    // As old as its oldest part; of unknown age when one of them is.
    stats.modified_at = match first {
        true => member.modified_at,
        false => stats.modified_at.zip(member.modified_at).map(|(a, b)| a.min(b)),
    };
    let worse = match (&stats.completeness, &member.completeness) {
        (Completeness::Complete, Completeness::Incomplete(why)) => Completeness::Incomplete(format!("{name}: {why}")),
        (Completeness::Complete | Completeness::Incomplete(_), Completeness::Unusable(why)) => {
            Completeness::Unusable(format!("{name}: {why}"))
        }
        _ => return,
    };
    stats.completeness = worse;
}

/// Hash of the wanted cells as text: a number in one member is the same as its digits in another, and what is absent
/// the same as what is empty.
fn digest(cells: &[Value]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for cell in cells {
        let text = match cell {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    }
    let mut digest = [0; 16];
    hasher.finalize_xof().fill(&mut digest);
    digest
}
