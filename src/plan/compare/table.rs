//! Rows in any order against a table of everybody's fingerprints.
//!
//! An entry is 16 bytes: 96 bits of the person's fingerprints, which cover the key, so that no key is stored; whether a row
//! was found equal; and which person it is in the order of keys. Of sixteen people it is counted how many are still to be
//! found, so that in the end only stretches with such people are read again.

use std::sync::Arc;

use super::ComparedSync;
use super::ordered::{Ordered, count_one};
use super::places::Lines;
use super::review::{Candidate, Reviewer};
use super::snapshot::{Joined, Known, combined, lookup};
use crate::domain::error::{Failure, Result};
use crate::domain::operation::Fingerprint;
use crate::domain::record::{Key, Position};
use crate::source::{Marks, RowBatch, SettledPeople, Verdict};
use crate::state::State;

/// A row was found equal.
const SEEN: u32 = 1 << 31;
/// Two people have this fingerprint: it tells neither.
const SHARED: u32 = 1 << 30;
/// The person's number in the order of keys, plus one: an entry that is zero is free.
const NUMBER: u32 = SHARED - 1;

/// How many people are counted together.
const BLOCK: usize = if cfg!(test) { 2 } else { 16 };
/// How many entries are brought near at once.
const NEAR: usize = 16;
/// How many people are taken from the list at once.
const PAGE: usize = if cfg!(test) { 3 } else { 1000 };

/// The table.
pub(super) struct Table {
    entries: Vec<u128>,
    used: usize,
    /// Of each block, how many of its people were not found.
    left: Vec<u8>,
    /// The first key of each block, one after the other, and where each ends.
    firsts: Vec<u8>,
    ends: Vec<usize>,
    /// By person, the record that was found equal.
    records: Vec<u32>,
    lines: Lines,
    /// Whom the right row would settle, by sync and in all.
    settled: Vec<SettledPeople>,
    people: u64,
    combined: Vec<u128>,
}

impl Table {
    /// Reads everybody in; `ordered` knows who was found already.
    pub fn load(
        state: &State,
        syncs: &Arc<[ComparedSync]>,
        ordered: Ordered,
        people: u64,
        marks: &Marks<'_>,
    ) -> Result<Table> {
        let room = usize::try_from(people).unwrap_or(usize::MAX);
        let mut table = Table {
            entries: vec![0; room + room / 3 + 64],
            used: 0,
            left: Vec::with_capacity(room / BLOCK + 1),
            firsts: Vec::new(),
            ends: Vec::with_capacity(room / BLOCK + 1),
            records: Vec::with_capacity(room),
            lines: Lines::default(),
            settled: vec![SettledPeople::default(); syncs.len()],
            people: 0,
            combined: Vec::new(),
        };
        let mut cursor = Joined::at(state, syncs, &[])?;
        let mut missed = Missed::begin(marks)?;
        let mut records = ordered.runs().walk();
        while cursor.is_live() {
            let key = cursor.key();
            let is_settled = cursor.is_settled();
            let found = is_settled && ordered.is_past(key) && !missed.is(key, marks)?;
            let record = if found { records.record(key) } else { 0 };
            if table.records.len().is_multiple_of(BLOCK) {
                table.left.push(0);
                table.firsts.extend_from_slice(key);
                table.ends.push(table.firsts.len());
            }
            table.records.push(u32::try_from(record).unwrap_or(u32::MAX));
            let number = u32::try_from(table.records.len()).unwrap_or(NUMBER);
            if number >= NUMBER {
                return Err(Failure::internal("there are more people than a table holds"));
            }
            if is_settled {
                table.people += 1;
                cursor.settled().zip(&mut table.settled).for_each(|(how, count)| count_one(how, count));
                table.insert(cursor.combined(), number | if found { SEEN } else { 0 });
            }
            if !(found && is_settled) {
                table.count(number, 1);
            }
            cursor.next()?;
        }
        table.lines = ordered.lines;
        marks.clear_unsettled()?;
        Ok(table)
    }

    #[inline]
    fn home(&self, print: u128) -> usize {
        // The upper half, spread over the entries.
        (((print >> 64) * self.entries.len() as u128) >> 64) as usize
    }

    /// The entry of this fingerprint, or the free one where it would be.
    #[inline]
    fn find(&self, print: u128) -> usize {
        let mut at = self.home(print);
        loop {
            let entry = self.entries[at];
            if entry as u32 == 0 || (entry ^ print) >> 32 == 0 {
                return at;
            }
            at = if at + 1 == self.entries.len() { 0 } else { at + 1 };
        }
    }

    fn insert(&mut self, print: u128, info: u32) {
        if self.used + self.used / 4 > self.entries.len() {
            let twice = vec![0; self.entries.len() * 2];
            let entries = std::mem::replace(&mut self.entries, twice);
            for entry in entries.into_iter().filter(|entry| *entry as u32 != 0) {
                let at = self.find(entry);
                self.entries[at] = entry;
            }
        }
        let at = self.find(print);
        let entry = self.entries[at];
        if entry as u32 == 0 {
            self.entries[at] = print & !u128::from(u32::MAX) | u128::from(info);
            self.used += 1;
            return;
        }
        // Neither can be told by it: both are looked at.
        for number in [entry as u32, info].into_iter().filter(|info| info & SEEN != 0) {
            self.count(number, 1);
        }
        self.entries[at] = (entry | u128::from(SHARED)) & !u128::from(SEEN);
    }

    #[inline]
    fn count(&mut self, info: u32, more: i8) {
        let block = ((info & NUMBER) - 1) as usize / BLOCK;
        self.left[block] = self.left[block].wrapping_add_signed(more);
    }

    /// Judges a batch.
    pub fn judge(&mut self, batch: &RowBatch, prints: &[Fingerprint], verdicts: &mut Vec<Verdict>) {
        self.combined.clear();
        self.combined.extend(prints.chunks_exact(self.settled.len()).map(|of_row| combined(of_row.iter().copied())));
        for row in 0..batch.len() {
            self.lines.see(batch.position(row));
            if row.is_multiple_of(NEAR) {
                // They are fetched from memory side by side rather than one after the other.
                let near = self.combined[row..].iter().take(NEAR);
                std::hint::black_box(near.fold(0, |sum, print| sum ^ self.entries[self.home(*print)] as u32));
            }
            let at = self.find(self.combined[row]);
            let info = self.entries[at] as u32;
            verdicts.push(if info == 0 || info & SHARED != 0 {
                // Whether another row of theirs is found equal is asked of everybody in the end.
                Verdict::Kept { checked: true }
            } else if info & SEEN != 0 {
                Verdict::Again
            } else {
                self.see(at, batch.position(row));
                Verdict::Settled
            });
        }
    }

    /// Has the rows of a batch evaluated that have no known fingerprint, though their people are known.
    pub fn review(
        &mut self,
        (state, syncs): (&State, &Arc<[ComparedSync]>),
        batch: &RowBatch,
        prints: &[Fingerprint],
        verdicts: &mut [Verdict],
        marks: &Marks<'_>,
        reviewer: &mut Reviewer,
    ) -> Result<()> {
        let unknown = |row: &usize| self.entries[self.find(self.combined[*row])] as u32 == 0;
        let mut rows: Vec<usize> = (0..batch.len()).filter(unknown).collect();
        rows.sort_by_key(|row| batch.key(*row));
        let key = |row: usize| std::str::from_utf8(batch.key(row)).map(Key::of_normal);
        let keys: Vec<Key> = rows.iter().map(|row| key(*row)).collect::<Result<_, _>>().map_err(|_| not_text())?;
        let mut candidates = Vec::new();
        for ((row, key), known) in rows.into_iter().zip(&keys).zip(lookup(state, syncs, &keys)?) {
            let Some(known) = known.filter(Known::is_settled) else { continue };
            let info = self.entries[self.find(combined(known.prints.iter().copied()))] as u32;
            if info == 0 || info & SHARED != 0 {
                continue;
            }
            if info & SEEN != 0 {
                verdicts[row] = again(marks, key, &prints[row * syncs.len()..][..syncs.len()])?;
            } else {
                candidates.push(Candidate { row, known });
            }
        }
        candidates.sort_by_key(|candidate| candidate.row);
        let found = reviewer.review(batch, prints, &candidates)?;
        for (Candidate { row, known }, found) in candidates.into_iter().zip(found) {
            let Some(by_sync) = found else { continue };
            let at = self.find(combined(known.prints.iter().copied()));
            let info = self.entries[at] as u32;
            let key = key(row).map_err(|_| not_text())?;
            if info & SEEN != 0 {
                // By a row of this very batch.
                verdicts[row] = again(marks, &key, &prints[row * syncs.len()..][..syncs.len()])?;
                continue;
            }
            self.see(at, batch.position(row));
            marks.reviewed(key.as_str().as_bytes(), &by_sync)?;
            verdicts[row] = Verdict::Settled;
        }
        Ok(())
    }

    /// Notes that a row was found equal to this entry.
    fn see(&mut self, at: usize, position: Position) {
        let info = self.entries[at] as u32;
        self.entries[at] |= u128::from(SEEN);
        self.count(info, -1);
        self.records[(info & NUMBER) as usize - 1] = u32::try_from(position.record).unwrap_or(u32::MAX);
    }

    /// Lists everybody who was not found; how many were, in all and by sync.
    pub fn end(
        &mut self,
        state: &State,
        syncs: &Arc<[ComparedSync]>,
        marks: &Marks<'_>,
    ) -> Result<(u64, Vec<SettledPeople>)> {
        let (mut people, mut settled) = (self.people, self.settled.clone());
        let mut block = 0;
        while block < self.left.len() {
            if self.left[block] == 0 {
                block += 1;
                continue;
            }
            // A short gap is read along: beginning anew costs more.
            let mut end = block + 1;
            let mut gap = 0;
            while end < self.left.len() && gap < NEAR {
                gap = if self.left[end] == 0 { gap + 1 } else { 0 };
                end += 1;
            }
            let until = (end < self.left.len()).then(|| self.first(end).to_vec());
            let mut cursor = Joined::at(state, syncs, self.first(block))?;
            while cursor.is_live() && until.as_deref().is_none_or(|until| cursor.key() < until) {
                let is_settled = cursor.is_settled();
                if !(is_settled && self.is_seen(cursor.combined())) {
                    marks.unsettled(cursor.key())?;
                    if is_settled {
                        people -= 1;
                        for (how, count) in cursor.settled().zip(&mut settled) {
                            let mut one = SettledPeople::default();
                            count_one(how, &mut one);
                            count.in_step -= one.in_step;
                            count.excluded -= one.excluded;
                        }
                    }
                }
                cursor.next()?;
            }
            block = end;
        }
        Ok((people, settled))
    }

    fn first(&self, block: usize) -> &[u8] {
        let start = if block == 0 { 0 } else { self.ends[block - 1] };
        &self.firsts[start..self.ends[block]]
    }

    fn is_seen(&self, print: u128) -> bool {
        self.entries[self.find(print)] as u32 & SEEN != 0
    }

    /// Where the row stands by which somebody was found settled; nothing, where nobody was.
    pub fn position(&self, known: &Known) -> Option<Position> {
        let info = self.entries[self.find(combined(known.prints.iter().copied()))] as u32;
        let record = (info & SEEN != 0).then(|| self.records[(info & NUMBER) as usize - 1])?;
        Some(self.lines.position(u64::from(record)))
    }
}

/// What another row of somebody is whose matter a row has settled, and whose known fingerprints it does not have.
fn again(marks: &Marks<'_>, key: &Key, prints: &[Fingerprint]) -> Result<Verdict> {
    let reviewed = marks.reviewed_of(key)?;
    // A sync for which nothing was evaluated was as it is known, and this row is not.
    let is_same = reviewed.is_some_and(|by_sync| {
        by_sync.iter().zip(prints).all(|(reviewed, print)| reviewed.is_some_and(|reviewed| reviewed.is == *print))
    });
    Ok(if is_same { Verdict::Again } else { Verdict::Kept { checked: true } })
}

fn not_text() -> Failure {
    Failure::internal("a key is not text")
}

/// Goes over those who were not found settled so far, beside everybody.
struct Missed {
    keys: std::vec::IntoIter<Key>,
    next: Option<Key>,
}

impl Missed {
    fn begin(marks: &Marks<'_>) -> Result<Missed> {
        let mut keys = marks.unsettled_after(None, PAGE)?.into_iter();
        Ok(Missed { next: keys.next(), keys })
    }

    /// Whether this is one of them; asked in the order of keys.
    fn is(&mut self, key: &[u8], marks: &Marks<'_>) -> Result<bool> {
        while let Some(next) = &self.next {
            match next.as_str().as_bytes().cmp(key) {
                std::cmp::Ordering::Greater => return Ok(false),
                std::cmp::Ordering::Equal => return Ok(true),
                std::cmp::Ordering::Less => {
                    let passed = next.clone();
                    self.next = match self.keys.next() {
                        Some(key) => Some(key),
                        None => {
                            self.keys = marks.unsettled_after(Some(&passed), PAGE)?.into_iter();
                            self.keys.next()
                        }
                    };
                }
            }
        }
        Ok(false)
    }
}
