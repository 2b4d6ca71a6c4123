//! Evaluating rows while they are read: where a mapping is another than before, or the date is and expressions use it, no
//! fingerprint is the known one, and yet next to nobody's account is to change.
//!
//! A row is evaluated only of somebody whose matter some row settles, and the matter stays settled where it comes to what
//! the target acknowledged (or, of somebody who is out of scope, to that again). Whoever has to be decided about is kept, as if
//! nothing had been evaluated.

use std::sync::Arc;

use chrono::NaiveDate;

use super::ComparedSync;
use super::snapshot::Known;
use crate::domain::catalogue::Catalogue;
use crate::domain::error::{Failure, Result};
use crate::domain::operation::Fingerprint;
use crate::domain::record::{Key, cells};
use crate::domain::value::Attributes;
use crate::mapping::{Bound, Mapped};
use crate::os::parallel;
use crate::plan::diff;
use crate::source::{Reviewed, RowBatch};
use crate::state::State;
use crate::state::bodies::Acknowledged;
use crate::state::settled::Settled;

/// How many rows are evaluated before it is asked whether that is worth it.
const TRIED: u64 = 512;

/// With what a sync evaluates rows.
pub struct Evaluation {
    /// Its mapping.
    pub mapping: Bound,
    /// The date there.
    pub today: NaiveDate,
    /// The fields of its target.
    pub catalogue: Arc<Catalogue>,
}

/// A row of somebody whose matter some row settles, though not with the known fingerprint.
pub(super) struct Candidate {
    /// Its number in the batch.
    pub row: usize,
    /// What is known.
    pub known: Known,
}

/// Evaluates rows.
pub(super) struct Reviewer {
    state: State,
    syncs: Arc<[ComparedSync]>,
    tried: u64,
    passed: u64,
}

impl Reviewer {
    pub fn new(state: State, syncs: Arc<[ComparedSync]>) -> Reviewer {
        Reviewer { state, syncs, tried: 0, passed: 0 }
    }

    /// Whether to evaluate more: who is to be decided about anyway is evaluated twice.
    pub fn is_worth_it(&self) -> bool {
        self.tried < TRIED || self.passed > self.tried / 2
    }

    /// For each candidate, where nothing is to be done in any sync, what its fingerprints are to be. `prints` are those of all
    /// rows of the batch.
    pub fn review(
        &mut self,
        batch: &RowBatch,
        prints: &[Fingerprint],
        candidates: &[Candidate],
    ) -> Result<Vec<Option<Vec<Option<Reviewed>>>>> {
        let keys = candidates.iter().map(|candidate| {
            let key = std::str::from_utf8(batch.key(candidate.row));
            key.map(Key::of_normal).map_err(|_| Failure::internal("a key is not text"))
        });
        let keys: Vec<Key> = keys.collect::<Result<_>>()?;
        let asked: Vec<_> = (self.syncs.iter())
            .map(|sync| self.state.begin(Acknowledged { sync: sync.id, keys: keys.clone() }))
            .collect::<Result<_, _>>()?;
        let mut bodies = Vec::with_capacity(asked.len());
        for of_sync in asked {
            bodies.push(of_sync.wait()?);
        }
        let numbers: Vec<usize> = (0..candidates.len()).collect();
        let of_row = |row: usize| &prints[row * self.syncs.len()..(row + 1) * self.syncs.len()];
        let found = parallel::map(&numbers, |number| {
            let candidate = &candidates[*number];
            let bodies = bodies.iter().map(|of_sync| of_sync[*number].as_deref());
            self.evaluate(batch.cells(candidate.row), of_row(candidate.row), &candidate.known, bodies)
        });
        self.tried += found.len() as u64;
        self.passed += found.iter().flatten().count() as u64;
        Ok(found)
    }

    fn evaluate<'b>(
        &self,
        row: &[u8],
        prints: &[Fingerprint],
        known: &Known,
        bodies: impl Iterator<Item = Option<&'b str>>,
    ) -> Option<Vec<Option<Reviewed>>> {
        let row = cells::values(row)?;
        let mut by_sync = Vec::with_capacity(self.syncs.len());
        for (number, (sync, body)) in self.syncs.iter().zip(bodies).enumerate() {
            let (was, is) = (known.prints[number], prints[number]);
            if was == is {
                by_sync.push(None);
                continue;
            }
            let Evaluation { mapping, today, catalogue } = &sync.evaluation;
            let in_scope = match (known.settled[number]?, mapping.apply(&row, *today)) {
                (Settled::InStep | Settled::Invited, Mapped::InScope(desired)) => {
                    // What is no JSON is found out where somebody is decided about.
                    let known: Attributes =
                        body.map_or_else(|| Some(Attributes::default()), |b| serde_json::from_str(b).ok())?;
                    diff::changes(&desired, &known, catalogue).is_empty().then_some(true)?
                }
                (Settled::Excluded, Mapped::Excluded) => false,
                _ => return None,
            };
            by_sync.push(Some(Reviewed { was, is, in_scope }));
        }
        Some(by_sync)
    }
}
