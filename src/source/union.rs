//! Several sources as one: each is read by itself, with its own key, and what the reads gave meets here.
//!
//! People whom two members have count once where the wanted columns are the same. Where these differ, each sync decides
//! as it does of several rows in one source.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::connector::{Connector, ReadRequest, connect};
use super::intake::{Intake, Member};
use super::parsed::{Parsed, RowCells};
use super::preview::Preview;
use super::sink::Sink;
use crate::config::settings::SourceSettings;
use crate::domain::error::Result;
use crate::domain::record::Position;
use crate::domain::record::cells::encoded;
use crate::source::trust::{Completeness, ReadStats};

/// Several sources.
pub(super) struct UnionConnector {
    source: Arc<SourceSettings>,
}

impl UnionConnector {
    /// Opens nothing yet.
    pub fn new(source: &Arc<SourceSettings>) -> UnionConnector {
        UnionConnector { source: Arc::clone(source) }
    }
}

impl Connector for UnionConnector {
    fn check(&mut self, wanted: &BTreeSet<String>) -> Result<Vec<Preview>> {
        let previews: Result<Vec<Vec<Preview>>> =
            prepared(&self.source).iter().map(|member| connect(member).check(wanted)).collect();
        Ok(previews?.into_iter().flatten().collect())
    }

    fn open(&mut self, request: &ReadRequest<'_>) -> Result<Intake> {
        read(&self.source, request)
    }
}

/// Reads all members, each completely; what they have is compared with what is known when it meets here.
fn read(source: &Arc<SourceSettings>, request: &ReadRequest<'_>) -> Result<Intake> {
    let (wanted, directory) = (request.wanted, request.directory);
    let mut sink = Sink::create(directory, source.rows, request.comparison)?;
    let mut stats = ReadStats::default();
    let mut reads = Vec::new();
    let mut before = 0;
    for member in prepared(source) {
        let intake = connect(&member).open(&ReadRequest::everything(wanted, directory))?;
        for warning in intake.warnings() {
            tracing::warn!(source = %member.name, "{warning}");
        }
        sink.begin_member(before, &member.name)?;
        let listed = pour(&intake, &member, before, &mut sink)?;
        let of_member = intake.stats().clone();
        before += of_member.rows() + of_member.blank_rows;
        add(&mut stats, &of_member, listed, &member.name, reads.is_empty());
        reads.push(Member { source: member, stats: of_member });
    }
    Ok(Intake::settled(sink, wanted, stats)?.with_members(reads))
}

/// The members, each of which must have what the union requires too. A mapping can name the key by one column alone,
/// where each member has its own: so the key of any stands for that of each.
fn prepared(source: &SourceSettings) -> Vec<Arc<SourceSettings>> {
    let members = source.kind.members();
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
    for page in intake.pages() {
        for record in page? {
            let places = record.several.iter().flat_map(|several| &several.rows);
            let positions = [record.position].into_iter().chain(places.skip(1).filter_map(|row| row.places.first()));
            for (position, cells) in positions.zip(record.rows()) {
                // Pages are the members' affair, and so are the digests of whole rows.
                let cells = RowCells::Encoded { cells: encoded(cells).into(), digest: [0; 16] };
                sink.take(Parsed::Good { key: record.key.as_str().into(), position: moved(position), cells })?;
            }
        }
    }
    let mut listed = 0;
    for page in intake.reject_pages() {
        for reject in page? {
            listed += 1;
            let reason = format!("in {}: {}", member.name, reject.reason);
            // Whether the key is certain was counted by the member.
            sink.take(Parsed::Bad { key: reject.key, certain: true, position: moved(reject.position), reason })?;
        }
    }
    Ok(listed)
}

fn add(stats: &mut ReadStats, member: &ReadStats, listed: u64, name: &str, first: bool) {
    // A member lists a key with several rejected rows once, and the union counts what is listed.
    stats.rejected_rows += member.rejected_rows - listed;
    stats.keyless_rejects += member.keyless_rejects;
    stats.duplicate_equal += member.duplicate_equal;
    stats.blank_rows += member.blank_rows;
    // As old as its oldest part; of unknown age when one of them is.
    stats.modified_at = match first {
        true => member.modified_at,
        false => stats.modified_at.zip(member.modified_at).map(|(a, b)| a.min(b)),
    };
    let worse = match (&stats.completeness, &member.completeness) {
        (Completeness::Complete, Completeness::Unproven(why)) => Completeness::Unproven(format!("{name}: {why}")),
        (Completeness::Complete | Completeness::Unproven(_), Completeness::Incomplete(why)) => {
            Completeness::Incomplete(format!("{name}: {why}"))
        }
        (Completeness::Unusable(_), _) => return,
        (_, Completeness::Unusable(why)) => Completeness::Unusable(format!("{name}: {why}")),
        _ => return,
    };
    stats.completeness = worse;
}
