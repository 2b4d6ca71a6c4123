//! One read of a source: everything that it has, on disk, with what the read came to.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::compare::{Reviewed, SettledPeople};
use super::sink::{KeptRows, Sink};
use super::spool::Spool;
use crate::config::settings::SourceSettings;
use crate::domain::change_token::ChangeToken;
use crate::domain::error::Result;
use crate::domain::ids::SyncId;
use crate::domain::keyset::pages;
use crate::domain::record::{Columns, Key, Position, Record, Reject};
use crate::source::trust::{Completeness, ReadStats};

/// How many rows are in memory on their way from a member.
const PAGE: usize = 500;

/// A source, read to its end or to where it broke.
///
/// Only the columns that were asked for are kept. Lives in one temporary file, which is gone when this is dropped.
///
/// Shared by the syncs on the source, which plan side by side: the file is held for the length of one page alone.
pub struct Intake {
    spool: Mutex<Spool>,
    warnings: Vec<String>,
    columns: Columns,
    stats: ReadStats,
    /// How many people were found settled while it was read, by sync; none where every row was kept.
    settled: Option<Vec<(SyncId, SettledPeople)>>,
    token: Option<ChangeToken>,
    members: Vec<Member>,
}

/// What the read of a union's member came to.
#[derive(Clone, Debug)]
pub struct Member {
    /// The member.
    pub source: Arc<SourceSettings>,
    /// Its own read.
    pub stats: ReadStats,
}

impl Intake {
    /// Settles what was taken, and adds its counts to `stats`.
    pub(super) fn settled(mut sink: Sink, wanted: &BTreeSet<String>, stats: ReadStats) -> Result<Intake> {
        let (told_blank, keyless, blank) = (sink.told_blank(), sink.keyless, sink.blank);
        let KeptRows { mut spool, comparer } = sink.end()?;
        spool.warn_first(told_blank);
        let tally = spool.tally();
        let first_reject = spool.rejects(0, 1)?.pop().map(|reject| reject.told());
        let stats = ReadStats {
            records: tally.records + comparer.as_ref().map_or(0, |comparer| comparer.people()),
            further_rows: tally.further_rows,
            rejected_rows: stats.rejected_rows + tally.rejected_rows,
            rejects: tally.rejects,
            first_reject,
            keyless_rejects: stats.keyless_rejects + keyless,
            duplicate_equal: stats.duplicate_equal + tally.duplicate_equal,
            blank_rows: stats.blank_rows + blank,
            ..stats
        };
        let columns = Columns::new(wanted.iter().cloned());
        let warnings = spool.warnings().to_vec();
        let settled = comparer.map(|comparer| comparer.settled_by_sync());
        Ok(Intake { spool: Mutex::new(spool), warnings, columns, stats, settled, token: None, members: Vec::new() })
    }

    pub(super) fn with_token(self, token: Option<ChangeToken>) -> Intake {
        Intake { token, ..self }
    }

    pub(super) fn with_members(self, members: Vec<Member>) -> Intake {
        Intake { members, ..self }
    }

    /// The reads of a union's members; of any other source, none.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// With what to ask next time whether it has changed.
    pub fn token(&self) -> Option<&ChangeToken> {
        self.token.as_ref()
    }

    /// The columns of the records' cells: those that were wanted, in the order of names.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// What the read came to.
    pub fn stats(&self) -> &ReadStats {
        &self.stats
    }

    /// Whether it was read to the end.
    pub fn is_complete(&self) -> bool {
        self.stats.completeness == Completeness::Complete
    }

    /// What is worth saying about it that rejects nothing, a bounded number of sentences.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Whether people who were found settled while it was read are missing from it: those of every sync for which it was
    /// read, and of no other.
    pub fn leaves_out_settled(&self) -> bool {
        self.settled.is_some()
    }

    /// How many people of this sync were found settled; none where it was not read for this sync.
    pub fn settled_of(&self, sync: SyncId) -> Option<SettledPeople> {
        self.settled.as_ref()?.iter().find(|(id, _)| *id == sync).map(|(_, settled)| *settled)
    }

    /// Those who were found settled for this sync only after their row had been evaluated, page by page: what is known of them
    /// is to be brought up to date.
    pub fn reviewed_pages(&self, sync: SyncId) -> impl Iterator<Item = Result<Vec<(Key, Reviewed)>>> {
        type Found = (Key, Option<Reviewed>);
        let place = |(key, _): &Found| key.clone();
        let of_sync = |page: Vec<Found>| page.into_iter().filter_map(|(key, found)| Some((key, found?))).collect();
        let all = self.number_of(sync).map(|number| {
            let in_order = pages(move |after| self.spool().reviewed_run_after(after, number), place);
            let alone = pages(move |after| self.spool().reviewed_after(after, number, PAGE), place);
            in_order.chain(alone).map(move |page| page.map(of_sync))
        });
        all.into_iter().flatten()
    }

    /// What was found of somebody whose row was evaluated for this sync, whether or not another row says otherwise.
    pub fn reviewed_of(&self, sync: SyncId, key: &Key) -> Result<Option<Reviewed>> {
        let Some(number) = self.number_of(sync) else { return Ok(None) };
        Ok(self.spool().reviewed_of(key)?.and_then(|by_sync| by_sync.get(number).copied().flatten()))
    }

    fn number_of(&self, sync: SyncId) -> Option<usize> {
        self.settled.as_ref()?.iter().position(|(id, _)| *id == sync)
    }

    /// Those of whom something is known and who were not found settled, page by page in the order of keys; of any sync.
    pub fn unsettled_pages(&self) -> impl Iterator<Item = Result<Vec<Key>>> {
        pages(|after| self.spool().unsettled_after(after, PAGE), Key::clone)
    }

    /// Everybody who has to be looked at, page by page in the order of keys: those of [`Intake::unsettled_pages`], and those
    /// of whom a row was kept. Somebody who was unknown when the source was read may be known by now.
    pub fn looked_at_pages(&self) -> impl Iterator<Item = Result<Vec<Key>>> {
        pages(|after| self.spool().looked_at_after(after, PAGE), Key::clone)
    }

    /// Whether somebody of whom something is known was not found settled.
    pub fn is_unsettled(&self, key: &Key) -> Result<bool> {
        self.spool().is_unsettled(key)
    }

    fn spool(&self) -> MutexGuard<'_, Spool> {
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The person of this key, if their rows can be used.
    pub fn record(&self, key: &Key) -> Result<Option<Record>> {
        self.spool().record(key)
    }

    /// A page of people whose rows can be used, in the order of keys, from the first after `after`. It may hold fewer
    /// than `limit`, but none only when there are none left.
    pub fn rows(&self, after: Option<&Key>, limit: usize) -> Result<Vec<Record>> {
        self.spool().rows(after, limit)
    }

    /// Everybody whose rows can be used, page by page in the order of keys.
    pub fn pages(&self) -> impl Iterator<Item = Result<Vec<Record>>> {
        pages(|after| self.rows(after, PAGE), |record| record.key.clone())
    }

    /// The rejects, page by page in the source's order.
    pub fn reject_pages(&self) -> impl Iterator<Item = Result<Vec<Reject>>> {
        pages(|after| self.rejects(after.copied().unwrap_or(0), PAGE), |reject| reject.position.record)
    }

    /// A page of rejects in the source's order, from the first after the record number `after` (0 to begin with,
    /// then the last reject's `position.record`). There is one for each rejected key, and one for each row without.
    pub fn rejects(&self, after: u64, limit: usize) -> Result<Vec<Reject>> {
        self.spool().rejects(after, limit)
    }

    /// A page of rejected keys in order, from the first after `after`.
    pub fn rejected_keys(&self, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.spool().rejected_keys(after, limit)
    }

    /// Whether the key has a row that was rejected.
    pub fn is_rejected(&self, key: &Key) -> Result<bool> {
        Ok(self.spool().rejected_position(key)?.is_some())
    }

    /// Whether the key has any row, good or rejected.
    pub fn contains(&self, key: &Key) -> Result<bool> {
        Ok(self.position(key)?.is_some())
    }

    /// Where the key's row stands; of several, the first.
    pub fn position(&self, key: &Key) -> Result<Option<Position>> {
        let spool = self.spool();
        match spool.good_position(key)? {
            Some(position) => Ok(Some(position)),
            None => spool.rejected_position(key),
        }
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Intake({:?})", self.stats)
    }
}

#[cfg(test)]
mod tests;
