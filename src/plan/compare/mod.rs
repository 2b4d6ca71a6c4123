//! Comparing while reading: each row of a source is held against the snapshots of all syncs on it as it passes, so that
//! what has not changed since the last run is counted and nothing more.
//!
//! A row settles a person's matter when its fingerprint is the one that every sync remembers, and what each remembers
//! with it needs nothing done ([`crate::state::settled::Settled`]). Where the mapping or the date is another, the fingerprint is too: then
//! a row is evaluated, and settles the matter where it comes to the same ([`review`]). Such rows are left out of the read; whoever is known and was not found settled
//! is listed. Both are used only with a read that has ended and is trusted.
//!
//! As long as keys ascend, rows and snapshots are merged ([`ordered`]), which takes no memory. A source in another order
//! is held against a table of everybody's fingerprints ([`table`]), and one of more than [`TABLE_PEOPLE`] people is kept
//! row by row from there on, on disk.

mod ordered;
mod places;
mod review;
mod snapshot;
mod table;

use std::collections::BTreeSet;
use std::sync::Arc;

use self::ordered::{Ordered, discount_one};
pub use self::review::Evaluation;
use self::review::Reviewer;
use self::snapshot::{Joined, Known, lookup};
use self::table::Table;
use crate::domain::error::Result;
use crate::domain::ids::SyncId;
use crate::domain::operation::Fingerprint;
use crate::domain::record::Key;
use crate::mapping::{Fingerprinter, Room};
use crate::source::{Comparer, Comparison, Marks, RowBatch, SettledPeople, SettledRow, Verdict};
use crate::state::State;
use crate::state::fingerprints::CountKnown;

/// Up to how many people a source in no order is compared in memory: 26 bytes each, a hundred megabytes in all.
pub const TABLE_PEOPLE: u64 = 4_000_000;

/// How many rows may be out of order whatever the size of the source, and which part of the rows besides, before the order of
/// keys is given up.
const DISPLACED: (u64, u64) = (256, 64);

/// How many syncs can be compared at once; a source of more is kept row by row.
pub const MOST_SYNCS: usize = 64;

/// A sync on the source that is read.
pub struct ComparedSync {
    /// Its number.
    pub id: SyncId,
    /// Computes the fingerprints of its mapping.
    pub fingerprints: Fingerprinter,
    /// Whether somebody who was invited, and whose record is the same, needs nothing done.
    pub invited_is_settled: bool,
    /// People who have to be looked at whatever their rows say.
    pub looked_at: BTreeSet<Key>,
    /// With what rows are evaluated whose fingerprints are others than those that are known.
    pub evaluation: Evaluation,
}

/// The snapshots of the syncs on a source.
pub struct Snapshots {
    state: State,
    syncs: Arc<[ComparedSync]>,
    table_people: u64,
    displaced: (u64, u64),
}

impl Snapshots {
    /// Of these syncs, all that are on the source.
    pub fn of(state: State, syncs: Vec<ComparedSync>) -> Snapshots {
        Snapshots { state, syncs: syncs.into(), table_people: TABLE_PEOPLE, displaced: DISPLACED }
    }
}

impl Comparison for Snapshots {
    fn begin(&self) -> Result<Box<dyn Comparer>> {
        let cursor = Joined::at(&self.state, &self.syncs, &[])?;
        let mode =
            if cursor.is_live() { Mode::Ordered(Box::new(Ordered::new(cursor, self.displaced))) } else { Mode::Nobody };
        Ok(Box::new(SnapshotComparer {
            state: self.state.clone(),
            syncs: Arc::clone(&self.syncs),
            table_people: self.table_people,
            mode,
            settled: vec![SettledPeople::default(); self.syncs.len()],
            people: 0,
            prints: Vec::new(),
            room: Room::default(),
            reviewer: Reviewer::new(self.state.clone(), Arc::clone(&self.syncs)),
        }))
    }
}

/// How rows are compared.
enum Mode {
    /// Nobody is known.
    Nobody,
    /// In the order of keys.
    Ordered(Box<Ordered>),
    /// Against everybody at once.
    Table(Box<Table>),
    /// Not any more: every row is kept from here on.
    Kept(Box<Ordered>),
}

/// Compares the rows of one reading.
struct SnapshotComparer {
    state: State,
    syncs: Arc<[ComparedSync]>,
    table_people: u64,
    mode: Mode,
    settled: Vec<SettledPeople>,
    people: u64,
    /// The fingerprints of a batch, for each row those of all syncs.
    prints: Vec<Fingerprint>,
    room: Room,
    reviewer: Reviewer,
}

impl SnapshotComparer {
    /// Leaves the order of keys for the table, or for keeping everything where it would be too large.
    fn give_up_order(&mut self, marks: &Marks<'_>) -> Result<()> {
        let Mode::Ordered(ordered) = std::mem::replace(&mut self.mode, Mode::Nobody) else { return Ok(()) };
        let mut people = 0;
        for sync in self.syncs.iter() {
            people = people.max(self.state.ask_blocking(CountKnown(sync.id))?);
        }
        self.mode = if people > self.table_people {
            let mut ordered = ordered;
            ordered.pass_everybody(marks)?;
            Mode::Kept(ordered)
        } else {
            Mode::Table(Box::new(Table::load(&self.state, &self.syncs, *ordered, people, marks)?))
        };
        Ok(())
    }

    /// Somebody who was counted as settled is not.
    fn discount(&mut self, known: &Known) {
        known.settled.iter().zip(&mut self.settled).for_each(|(how, count)| discount_one(*how, count));
        self.people -= 1;
    }
}

impl Comparer for SnapshotComparer {
    fn judge(
        &mut self,
        batch: &RowBatch,
        next: Option<&[u8]>,
        verdicts: &mut Vec<Verdict>,
        marks: &Marks<'_>,
    ) -> Result<()> {
        if let Mode::Ordered(ordered) = &self.mode
            && ordered.is_hopeless(batch)
        {
            self.give_up_order(marks)?;
        }
        if matches!(self.mode, Mode::Ordered(_) | Mode::Table(_)) {
            self.prints.clear();
            for row in 0..batch.len() {
                let row = batch.row(row);
                let of_sync = |sync: &ComparedSync| sync.fingerprints.of_encoded(row, &mut self.room);
                self.prints.extend(self.syncs.iter().map(of_sync));
            }
        }
        match &mut self.mode {
            Mode::Nobody | Mode::Kept(_) => {
                let checked = matches!(self.mode, Mode::Nobody);
                verdicts.resize(batch.len(), Verdict::Kept { checked });
            }
            Mode::Ordered(ordered) => {
                let settled = &mut self.settled;
                let reviewer = self.reviewer.is_worth_it().then_some(&mut self.reviewer);
                self.people += ordered.judge(batch, &self.prints, next, verdicts, marks, settled, reviewer)?;
            }
            Mode::Table(table) => {
                table.judge(batch, &self.prints, verdicts);
                if self.reviewer.is_worth_it() {
                    let state = (&self.state, &self.syncs);
                    table.review(state, batch, &self.prints, verdicts, marks, &mut self.reviewer)?;
                }
            }
        }
        Ok(())
    }

    fn end(&mut self, marks: &Marks<'_>) -> Result<bool> {
        // Who is unknown now may be known when it is planned: what is unresolved is found out in between.
        for key in self.syncs.iter().flat_map(|sync| &sync.looked_at) {
            marks.unsettled(key.as_str().as_bytes())?;
        }
        match &mut self.mode {
            Mode::Nobody => Ok(false),
            Mode::Ordered(ordered) => {
                ordered.pass_everybody(marks)?;
                Ok(false)
            }
            Mode::Kept(_) => Ok(true),
            Mode::Table(table) => {
                let (people, settled) = table.end(&self.state, &self.syncs, marks)?;
                (self.people, self.settled) = (people, settled);
                Ok(true)
            }
        }
    }

    fn settled(&mut self, keys: &[Key], marks: &Marks<'_>) -> Result<Vec<Option<SettledRow>>> {
        let mut rows = Vec::with_capacity(keys.len());
        for (key, known) in keys.iter().zip(lookup(&self.state, &self.syncs, keys)?) {
            let Some(known) = known.filter(Known::is_settled) else {
                rows.push(None);
                continue;
            };
            let reviewed = marks.reviewed_of(key)?;
            let position = match &mut self.mode {
                Mode::Nobody => None,
                Mode::Ordered(ordered) | Mode::Kept(ordered) => match marks.is_unsettled(key)? {
                    true => None,
                    false => ordered.position(&self.state, &self.syncs, key)?,
                },
                Mode::Table(table) => table.position(&known),
            };
            let mut fingerprints = known.prints;
            for (known, reviewed) in fingerprints.iter_mut().zip(reviewed.into_iter().flatten()) {
                *known = reviewed.map_or(*known, |reviewed| reviewed.is);
            }
            rows.push(position.map(|position| SettledRow { position, fingerprints }));
        }
        Ok(rows)
    }

    fn says(&mut self, row: &[u8], settled: &SettledRow) -> bool {
        let prints = self.syncs.iter().map(|sync| sync.fingerprints.of_encoded(row, &mut self.room));
        prints.eq(settled.fingerprints.iter().copied())
    }

    fn unsettle(&mut self, keys: &[Key], marks: &Marks<'_>) -> Result<()> {
        for (key, known) in keys.iter().zip(lookup(&self.state, &self.syncs, keys)?) {
            if let Some(known) = known {
                self.discount(&known);
            }
            marks.unsettled(key.as_str().as_bytes())?;
            marks.contested(key)?;
        }
        Ok(())
    }

    fn settled_by_sync(&self) -> Vec<(SyncId, SettledPeople)> {
        self.syncs.iter().map(|sync| sync.id).zip(self.settled.iter().copied()).collect()
    }

    fn people(&self) -> u64 {
        self.people
    }
}

#[cfg(test)]
mod tests;
