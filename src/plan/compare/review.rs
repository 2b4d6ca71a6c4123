//! Evaluating rows while they are read: where a mapping is another than before, or the date is and expressions use it, no
//! fingerprint is the known one, and yet next to nobody's account is to change.
//!
//! A row is evaluated only of somebody whose matter some row settles, and the matter stays settled where it comes to what
//! the target acknowledged (or, of somebody who is out of scope, to that again). Whoever has to be decided about is kept, as if
//! nothing had been evaluated.

use std::sync::Arc;

use super::ComparedSync;
use super::snapshot::Known;
use crate::domain::error::{Failure, Result};
use crate::domain::local_time::LocalTime;
use crate::domain::operation::Fingerprint;
use crate::domain::record::Key;
use crate::mapping::{Bound, Comes, Comparator};
use crate::os::parallel;
use crate::source::{Reviewed, RowBatch};
use crate::state::bodies::Acknowledged;
use crate::state::settled::Settled;
use crate::state::{Pending, State};

/// How many rows are evaluated before it is asked whether that is worth it.
const TRIED: u64 = 512;

/// How many are evaluated at once, while what is known of the next ones is looked up.
const TOGETHER: usize = 512;

/// With what a sync evaluates rows.
pub struct Evaluation {
    /// Its mapping.
    pub mapping: Bound,
    /// The date there.
    pub time: LocalTime,
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
    /// For each thread, one for each sync.
    comparators: Vec<Vec<Comparator>>,
    tried: u64,
    passed: u64,
}

impl Reviewer {
    pub fn new(state: State, syncs: Arc<[ComparedSync]>) -> Reviewer {
        Reviewer { state, syncs, comparators: Vec::new(), tried: 0, passed: 0 }
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
        let mut parts = candidates.chunks(TOGETHER);
        let mut found = Vec::with_capacity(candidates.len());
        let mut asked = parts.next().map(|part| Ok::<_, Failure>((part, self.ask(batch, part)?))).transpose()?;
        while let Some((part, bodies)) = asked {
            let bodies: Vec<_> = bodies.into_iter().map(Pending::wait).collect::<Result<_, _>>()?;
            // What comes next is looked up while this is evaluated.
            asked = parts.next().map(|part| Ok::<_, Failure>((part, self.ask(batch, part)?))).transpose()?;
            let numbers: Vec<usize> = (0..part.len()).collect();
            let syncs = &self.syncs;
            let comparators =
                || syncs.iter().map(|sync| sync.evaluation.mapping.comparator(sync.evaluation.time)).collect();
            found.extend(parallel::map_with(&mut self.comparators, comparators, &numbers, |comparators, number| {
                let Candidate { row, known } = &part[*number];
                let prints = &prints[row * syncs.len()..(row + 1) * syncs.len()];
                let bodies = bodies.iter().map(|of_sync| of_sync[*number].as_deref());
                evaluate(comparators, batch.cells(*row), prints, known, bodies)
            }));
        }
        self.tried += found.len() as u64;
        self.passed += found.iter().flatten().count() as u64;
        Ok(found)
    }

    /// Asks, for each sync, what was acknowledged of these people.
    fn ask(&self, batch: &RowBatch, candidates: &[Candidate]) -> Result<Vec<Pending<Vec<Option<String>>>>> {
        let key = |candidate: &Candidate| std::str::from_utf8(batch.key(candidate.row)).map(Key::of_normal);
        let keys: Vec<Key> = (candidates.iter().map(key))
            .collect::<Result<_, _>>()
            .map_err(|_| Failure::internal("a key is not text"))?;
        let of_sync = |sync: &ComparedSync| self.state.begin(Acknowledged { sync: sync.id, keys: keys.clone() });
        Ok(self.syncs.iter().map(of_sync).collect::<Result<_, _>>()?)
    }
}

/// What the fingerprints of a row are to be, by sync, where nothing is to be done in any.
fn evaluate<'b>(
    comparators: &mut [Comparator],
    row: &[u8],
    prints: &[Fingerprint],
    known: &Known,
    bodies: impl Iterator<Item = Option<&'b str>>,
) -> Option<Vec<Option<Reviewed>>> {
    let mut by_sync = Vec::with_capacity(comparators.len());
    for (number, (comparator, body)) in comparators.iter_mut().zip(bodies).enumerate() {
        let (was, is) = (known.prints[number], prints[number]);
        if was == is {
            by_sync.push(None);
            continue;
        }
        let in_scope = match (known.settled[number]?, comparator.compare(row, body.unwrap_or("{}"))?) {
            (Settled::InStep | Settled::Invited, Comes::Same) => true,
            (Settled::Excluded, Comes::Excluded) => false,
            _ => return None,
        };
        by_sync.push(Some(Reviewed { was, is, in_scope }));
    }
    Some(by_sync)
}
