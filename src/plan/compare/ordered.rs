//! Rows in the order of keys against snapshots in the order of keys: a merge that keeps nothing.
//!
//! A few rows may stand elsewhere: one whose key is below that of the row before is kept, and so is one that runs ahead of
//! the rows that follow it. Are there too many of these, [`super::table`] takes over.

use std::cmp::Ordering;
use std::sync::Arc;

use super::ComparedSync;
use super::places::{Lines, Runs};
use super::review::{Candidate, Reviewer};
use super::snapshot::Joined;
use crate::domain::error::Result;
use crate::domain::operation::Fingerprint;
use crate::domain::record::{Key, Position};
use crate::source::{Marks, RowBatch, SettledPeople, Verdict};
use crate::state::State;
use crate::state::settled::Settled;

/// How many rows are looked ahead where rows are out of order.
const AHEAD: usize = 8;

/// The merge.
pub(super) struct Ordered {
    cursor: Joined,
    /// The key of the last row that was in order.
    last: Vec<u8>,
    last_prints: Vec<Fingerprint>,
    last_is_settled: bool,
    rows: u64,
    displaced: u64,
    /// How many may be, and which part of the rows besides.
    displaced_at_most: (u64, u64),
    runs: Runs,
    pub lines: Lines,
    /// How soon the next row with a lesser key comes, in a batch where there are some.
    soon: Vec<u8>,
    /// Where counting through a run has come to: its number, the cursor, the record there.
    counting: Option<(usize, Joined, u64)>,
    /// The rows of the batch that have to be evaluated, and what became of the others since the first of them.
    candidates: Vec<Candidate>,
    since: Vec<Passed>,
}

/// What became of a person while some before them are not decided about.
enum Passed {
    /// The row of this number settled their matter.
    Settled(usize),
    /// So it does if this candidate is found so.
    Candidate(usize),
    /// Nothing did.
    Unsettled,
}

impl Ordered {
    /// From the first person on.
    pub fn new(cursor: Joined, displaced_at_most: (u64, u64)) -> Ordered {
        Ordered {
            cursor,
            last: Vec::new(),
            last_prints: Vec::new(),
            last_is_settled: false,
            rows: 0,
            displaced: 0,
            displaced_at_most,
            runs: Runs::default(),
            lines: Lines::default(),
            soon: Vec::new(),
            counting: None,
            candidates: Vec::new(),
            since: Vec::new(),
        }
    }

    /// Whether too many rows are out of order, those of this batch included.
    pub fn is_hopeless(&self, batch: &RowBatch) -> bool {
        let (some, part) = self.displaced_at_most;
        let behind = !batch.is_empty() && batch.key(batch.len() - 1) < self.last.as_slice();
        let displaced = if behind { batch.len() } else { batch.descents() };
        self.displaced + displaced as u64 > some + self.rows / part
    }

    /// Judges a batch; gives back how many people were found settled. Rows of people whose matter some row settles, though
    /// not with the known fingerprint, are handed to `reviewer`, if there is one.
    #[expect(clippy::too_many_arguments, reason = "a batch, its prints, and where each thing goes")]
    pub fn judge(
        &mut self,
        batch: &RowBatch,
        prints: &[Fingerprint],
        next: Option<&[u8]>,
        verdicts: &mut Vec<Verdict>,
        marks: &Marks<'_>,
        settled: &mut [SettledPeople],
        reviewer: Option<&mut Reviewer>,
    ) -> Result<u64> {
        let rows = batch.len();
        let syncs = settled.len();
        self.rows += rows as u64;
        let key_at = |row: usize| if row < rows { Some(batch.key(row)) } else { next.filter(|_| row == rows) };
        // In order throughout, from where we are to what comes after.
        let calm = rows == 0
            || batch.descents() == 0
                && batch.key(0) >= self.last.as_slice()
                && next.is_none_or(|next| next >= batch.key(rows - 1));
        if !calm {
            self.look_ahead(rows, &key_at);
        }
        let mut people = 0;
        for (row, prints) in (0..rows).zip(prints.chunks_exact(syncs)) {
            let key = batch.key(row);
            self.lines.see(batch.position(row));
            let before = if calm && row > 0 { batch.key(row - 1) } else { self.last.as_slice() };
            match key.cmp(before) {
                Ordering::Greater => {}
                Ordering::Equal => {
                    let again = self.last_is_settled && self.last_prints == prints;
                    let checked = !self.last_is_settled;
                    verdicts.push(if again { Verdict::Again } else { Verdict::Kept { checked } });
                    continue;
                }
                Ordering::Less => {
                    self.displaced += 1;
                    verdicts.push(Verdict::Kept { checked: false });
                    continue;
                }
            }
            if !calm {
                let soon = usize::from(self.soon[row]) < AHEAD;
                let goes_back = |key_after: &[u8]| key_after < key && key_after > self.last.as_slice();
                if soon && (row + 1..=row + AHEAD).any(|after| key_at(after).is_some_and(goes_back)) {
                    // One of the next rows goes on from where we are: this one runs ahead.
                    self.displaced += 1;
                    verdicts.push(Verdict::Kept { checked: false });
                    continue;
                }
                self.last.clear();
                self.last.extend_from_slice(key);
            }
            while self.cursor.is_live() && self.cursor.key() < key {
                self.pass(marks)?;
            }
            self.last_is_settled = false;
            if self.cursor.is_live() && self.cursor.key() == key {
                let may_be = self.cursor.is_settled();
                let remembered = may_be && self.cursor.remembers(prints);
                self.last_is_settled = remembered || may_be && reviewer.is_some();
                if self.last_is_settled {
                    people += 1;
                    self.cursor.settled().zip(&mut *settled).for_each(|(how, count)| count_one(how, count));
                    if remembered {
                        self.passed(batch, Passed::Settled(row));
                    } else {
                        self.since.push(Passed::Candidate(self.candidates.len()));
                        self.candidates.push(Candidate { row, known: self.cursor.known() });
                    }
                    self.cursor.next()?;
                } else {
                    self.pass(marks)?;
                }
            }
            verdicts.push(if self.last_is_settled { Verdict::Settled } else { Verdict::Kept { checked: true } });
            self.last_prints.clear();
            self.last_prints.extend_from_slice(prints);
        }
        if calm && rows > 0 {
            self.last.clear();
            self.last.extend_from_slice(batch.key(rows - 1));
        }
        if let Some(reviewer) = reviewer.filter(|_| !self.candidates.is_empty()) {
            people -= self.review(batch, prints, verdicts, marks, settled, reviewer)?;
        }
        Ok(people)
    }

    /// Has the candidates evaluated; gives back for how many something is to be done after all.
    fn review(
        &mut self,
        batch: &RowBatch,
        prints: &[Fingerprint],
        verdicts: &mut [Verdict],
        marks: &Marks<'_>,
        settled: &mut [SettledPeople],
        reviewer: &mut Reviewer,
    ) -> Result<u64> {
        let candidates = std::mem::take(&mut self.candidates);
        let found = reviewer.review(batch, prints, &candidates)?;
        let passed = candidates.iter().zip(&found);
        marks.reviewed_in_order(passed.filter_map(|(of, found)| Some((batch.key(of.row), found.as_deref()?))))?;
        let mut failed = 0;
        for (Candidate { row, known }, found) in candidates.iter().zip(&found) {
            let key = batch.key(*row);
            if found.is_some() {
                continue;
            }
            failed += 1;
            known.settled.iter().zip(&mut *settled).for_each(|(how, count)| discount_one(*how, count));
            marks.unsettled(key)?;
            verdicts[*row] = Verdict::Kept { checked: true };
            // Rows that repeat this one repeat a row that is kept.
            for (after, verdict) in verdicts.iter_mut().enumerate().skip(row + 1) {
                if *verdict == Verdict::Again && batch.key(after) == key {
                    *verdict = Verdict::Kept { checked: true };
                }
            }
            self.last_is_settled &= self.last != key;
        }
        for passed in std::mem::take(&mut self.since) {
            match passed {
                Passed::Candidate(number) => match found.get(number) {
                    Some(Some(_)) => {
                        let row = candidates[number].row;
                        self.runs.add(batch.key(row), batch.position(row).record);
                    }
                    _ => self.runs.interrupt(),
                },
                other => self.passed(batch, other),
            }
        }
        Ok(failed)
    }

    /// Notes what became of a person, in the order of keys.
    fn passed(&mut self, batch: &RowBatch, passed: Passed) {
        match passed {
            later if !self.candidates.is_empty() => self.since.push(later),
            Passed::Settled(row) => self.runs.add(batch.key(row), batch.position(row).record),
            Passed::Candidate(_) | Passed::Unsettled => self.runs.interrupt(),
        }
    }

    fn look_ahead<'k>(&mut self, rows: usize, key_at: &impl Fn(usize) -> Option<&'k [u8]>) {
        self.soon.clear();
        self.soon.resize(rows, u8::MAX);
        let mut soon = u8::MAX;
        for row in (0..rows).rev() {
            let descends = key_at(row + 1).is_some_and(|after| key_at(row).is_some_and(|key| after < key));
            soon = if descends { 0 } else { soon.saturating_add(1) };
            self.soon[row] = soon;
        }
    }

    /// Goes on past somebody who was not found settled.
    fn pass(&mut self, marks: &Marks<'_>) -> Result<()> {
        marks.unsettled(self.cursor.key())?;
        match self.candidates.is_empty() {
            true => self.runs.interrupt(),
            false => self.since.push(Passed::Unsettled),
        }
        self.cursor.next()
    }

    /// Goes on past everybody who is left.
    pub fn pass_everybody(&mut self, marks: &Marks<'_>) -> Result<()> {
        while self.cursor.is_live() {
            self.pass(marks)?;
        }
        Ok(())
    }

    /// Whether the merge has come past this person.
    pub fn is_past(&self, key: &[u8]) -> bool {
        !self.cursor.is_live() || key < self.cursor.key()
    }

    /// The records of those who were found settled.
    pub fn runs(&self) -> &Runs {
        &self.runs
    }

    /// Where the row stands by which somebody was found settled; of several people, asked in the order of keys.
    pub fn position(&mut self, state: &State, syncs: &Arc<[ComparedSync]>, key: &Key) -> Result<Option<Position>> {
        let wanted = key.as_str().as_bytes();
        if !self.is_past(wanted) {
            return Ok(None);
        }
        let Some((run, first, record)) = self.runs.run_of(wanted) else { return Ok(None) };
        let under_way = self
            .counting
            .take()
            .filter(|(number, cursor, _)| *number == run && cursor.is_live() && cursor.key() <= wanted);
        let (_, mut cursor, mut record) = match under_way {
            Some(under_way) => under_way,
            None => (run, Joined::at(state, syncs, first)?, record),
        };
        while cursor.is_live() && cursor.key() < wanted {
            record += 1;
            cursor.next()?;
        }
        let found = cursor.is_live() && cursor.key() == wanted;
        self.counting = Some((run, cursor, record));
        Ok(found.then(|| self.lines.position(record)))
    }
}

/// Takes somebody out of the count of one sync.
pub(super) fn discount_one(how: Option<Settled>, count: &mut SettledPeople) {
    match how {
        Some(Settled::InStep | Settled::Invited) => count.in_step -= 1,
        Some(Settled::Excluded) => count.excluded -= 1,
        None => {}
    }
}

/// Counts somebody for one sync.
pub(super) fn count_one(how: Option<Settled>, count: &mut SettledPeople) {
    match how {
        Some(Settled::InStep | Settled::Invited) => count.in_step += 1,
        Some(Settled::Excluded) => count.excluded += 1,
        None => {}
    }
}
