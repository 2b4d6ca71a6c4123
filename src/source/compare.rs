//! The seam between reading and comparing: whoever knows what was settled before says of each row, while the source is
//! being read, whether it has to be kept.
//!
//! Nothing is concluded from a comparison before the read has ended and is trusted: what it found goes with the read.

use super::batch::RowBatch;
use super::spool::{ReviewedRun, Spool};
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
    /// and was not found settled is marked.
    ///
    /// # Errors
    /// The state fails, or there is no room.
    fn judge(
        &mut self,
        batch: &RowBatch,
        next: Option<&[u8]>,
        verdicts: &mut Vec<Verdict>,
        marks: &Marks<'_>,
    ) -> Result<()>;

    /// The read is over: marks everybody who was not found settled and is not marked yet. Gives back whether somebody
    /// of whom a row was kept as `checked` may have been found settled all the same.
    ///
    /// # Errors
    /// As [`Comparer::judge`].
    fn end(&mut self, marks: &Marks<'_>) -> Result<bool>;

    /// Which of these people, in the order of keys, was found settled, and where the row stands; asked after the end, and
    /// of keys that ascend from call to call.
    ///
    /// # Errors
    /// The state fails.
    fn settled(&mut self, keys: &[Key], marks: &Marks<'_>) -> Result<Vec<Option<SettledRow>>>;

    /// Whether a row, in its encoded form with the key's cell first, says what this settled one of the same person says.
    fn says(&mut self, row: &[u8], settled: &SettledRow) -> bool;

    /// These people are not settled after all: another row of theirs says otherwise.
    ///
    /// # Errors
    /// The state fails.
    fn unsettle(&mut self, keys: &[Key], marks: &Marks<'_>) -> Result<()>;

    /// What it came to, in the order in which the syncs are compared.
    fn settled_by_sync(&self) -> Vec<(SyncId, SettledPeople)>;

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

/// What the fingerprint of a settled row is now, for a sync of which another was known: its mapping or the date is another,
/// and what comes of the row is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reviewed {
    /// What is known.
    pub was: Fingerprint,
    /// What it is now.
    pub is: Fingerprint,
    /// Whether the row is in scope.
    pub in_scope: bool,
}

/// What a comparer marks while it reads: who is known and was not found settled, and who was only after their row had been
/// evaluated.
pub struct Marks<'s>(pub(super) &'s Spool);

impl Marks<'_> {
    /// Marks somebody who is known and was not found settled.
    ///
    /// # Errors
    /// The spool can't be written.
    pub fn unsettled(&self, key: &[u8]) -> Result<()> {
        self.0.unsettled(key)
    }

    /// Whether somebody is so marked.
    ///
    /// # Errors
    /// The spool can't be read.
    pub fn is_unsettled(&self, key: &Key) -> Result<bool> {
        self.0.is_unsettled(key)
    }

    /// The next people so marked after this key, in the order of keys.
    ///
    /// # Errors
    /// The spool can't be read.
    pub fn unsettled_after(&self, key: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.0.unsettled_after(key, limit)
    }

    /// Takes all these marks away.
    ///
    /// # Errors
    /// The spool can't be written.
    pub fn clear_unsettled(&self) -> Result<()> {
        self.0.clear_unsettled()
    }

    /// Marks somebody whose row was evaluated: for each sync what it came to, or nothing where the known fingerprint was
    /// right.
    ///
    /// # Errors
    /// The spool can't be written.
    pub fn reviewed(&self, key: &[u8], by_sync: &[Option<Reviewed>]) -> Result<()> {
        self.0.reviewed(key, by_sync)
    }

    /// Marks many people whose rows were evaluated, each as [`Marks::reviewed`] does. Their keys ascend, from call to call
    /// too.
    ///
    /// # Errors
    /// The spool can't be written.
    pub fn reviewed_in_order<'k>(
        &self,
        people: impl IntoIterator<Item = (&'k [u8], &'k [Option<Reviewed>])>,
    ) -> Result<()> {
        let mut run = ReviewedRun::default();
        people.into_iter().for_each(|(key, by_sync)| run.push(key, by_sync));
        self.0.reviewed_run(&run)
    }

    /// What was marked of this person, by sync; nothing where nothing was.
    ///
    /// # Errors
    /// The spool can't be read.
    pub fn reviewed_of(&self, key: &Key) -> Result<Option<Vec<Option<Reviewed>>>> {
        self.0.reviewed_of(key)
    }

    /// Other rows of somebody who was evaluated say otherwise: what was found is not remembered.
    ///
    /// # Errors
    /// The spool can't be written.
    pub fn contested(&self, key: &Key) -> Result<()> {
        self.0.contested(key)
    }
}
