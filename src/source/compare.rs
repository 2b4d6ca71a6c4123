//! The seam between reading and comparing: whoever knows what was settled before says of each row, while the source is
//! being read, whether it has to be kept.
//!
//! Nothing is concluded from a comparison before the read has ended and is trusted: what it found goes with the read.

use std::collections::BTreeMap;

use super::batch::RowBatch;
use super::spool::Spool;
use crate::domain::error::Result;
use crate::domain::ids::SyncId;
use crate::domain::operation::Fingerprint;
use crate::domain::record::{Key, Position};

/// What a row is beside what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It says what every sync remembers of this person, and that settles the matter in every sync: it is counted.
    Settled,
    /// So does this one, and another row of theirs did before.
    Again,
    /// Anything else: it is kept. `checked`: no row of this person was found settled, nor will be.
    Kept {
        /// Whether that is known.
        checked: bool,
    },
}

/// The row by which a person was found settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledRow {
    /// Where it stands.
    pub position: Position,
    /// Its fingerprint for each sync.
    pub fingerprints: Vec<Fingerprint>,
}

/// Makes a comparer for each reading of a source: a list that moved while it was read is read again.
pub trait Comparison: Send + Sync {
    /// Begins anew.
    ///
    /// # Errors
    /// The state fails.
    fn begin(&self) -> Result<Box<dyn Comparer>>;
}

/// Compares rows as they come.
pub trait Comparer: Send {
    /// Judges the rows of a batch, in their order. `next` is the key of the row after them, if there is one. Who is known
    /// and was not found settled is listed in `unsettled`, in the order of keys.
    ///
    /// # Errors
    /// The state fails, or there is no room.
    fn judge(
        &mut self,
        batch: &RowBatch,
        next: Option<&[u8]>,
        verdicts: &mut Vec<Verdict>,
        unsettled: &Unsettled<'_>,
    ) -> Result<()>;

    /// The read is over: lists everybody who was not found settled and is not listed yet. Gives back whether somebody
    /// of whom a row was kept as `checked` may have been found settled all the same.
    ///
    /// # Errors
    /// As [`Comparer::judge`].
    fn end(&mut self, unsettled: &Unsettled<'_>) -> Result<bool>;

    /// Which of these people, in the order of keys, was found settled, and where the row stands; asked after the end, and
    /// of keys that ascend from call to call.
    ///
    /// # Errors
    /// The state fails.
    fn settled(&mut self, keys: &[Key], unsettled: &Unsettled<'_>) -> Result<Vec<Option<SettledRow>>>;

    /// Whether a row, in its encoded form with the key's cell first, says what this settled one of the same person says.
    fn says(&mut self, row: &[u8], settled: &SettledRow) -> bool;

    /// These people are not settled after all: another row of theirs says otherwise.
    ///
    /// # Errors
    /// The state fails.
    fn unsettle(&mut self, keys: &[Key], unsettled: &Unsettled<'_>) -> Result<()>;

    /// What it came to.
    fn settled_by_sync(&self) -> BTreeMap<SyncId, SettledPeople>;

    /// How many people were found settled.
    fn people(&self) -> u64;
}

/// The people of one sync who were found settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SettledPeople {
    /// Their account is in step with their row.
    pub in_step: u64,
    /// Their row is out of scope, and they have no access.
    pub excluded: u64,
}

/// The list of people who are known and were not found settled.
pub struct Unsettled<'s>(pub(super) &'s Spool);

impl Unsettled<'_> {
    /// Adds somebody.
    ///
    /// # Errors
    /// The spool can't be written.
    pub fn add(&self, key: &[u8]) -> Result<()> {
        self.0.unsettled(key)
    }

    /// Whether somebody is on it.
    ///
    /// # Errors
    /// The spool can't be read.
    pub fn contains(&self, key: &Key) -> Result<bool> {
        self.0.is_unsettled(key)
    }

    /// The next people after this key, in the order of keys.
    ///
    /// # Errors
    /// The spool can't be read.
    pub fn after(&self, key: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.0.unsettled_after(key, limit)
    }

    /// Empties the list.
    ///
    /// # Errors
    /// The spool can't be written.
    pub fn clear(&self) -> Result<()> {
        self.0.clear_unsettled()
    }
}
