//! One read of a source: everything that it has, on disk, with what the read came to.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use super::csv::{CsvReader, Parsed};
use super::spool::Spool;
use crate::config::settings::{SourceKind, SourceSettings};
use crate::exit::Result;
use crate::record::{Columns, Key, Position, Record, Reject};
use crate::trust::{Completeness, ReadStats};

/// A source, read to its end or to where it broke.
///
/// Only the columns that were asked for are kept. Lives in one temporary file, which is gone when this is dropped.
pub struct Intake {
    spool: Spool,
    columns: Columns,
    stats: ReadStats,
    digest: [u8; 32],
}

impl Intake {
    /// Reads the source into a spool in `spool_dir`, keeping the `wanted` columns.
    ///
    /// What breaks off in the middle is no error here: it is in [`ReadStats::completeness`], to be judged.
    ///
    /// # Errors
    /// 69 when the source can't be reached, 65 when it is not as configured (no header, columns missing), 74 when the
    /// spool can't be written.
    pub fn read(source: &SourceSettings, wanted: &BTreeSet<String>, spool_dir: &Path) -> Result<Intake> {
        let SourceKind::Csv(settings) = &source.kind;
        let reader = CsvReader::open(source, settings, wanted)?;
        Intake::fill(reader, wanted, spool_dir)
    }

    fn fill(mut reader: CsvReader, wanted: &BTreeSet<String>, spool_dir: &Path) -> Result<Intake> {
        let mut spool = Spool::create(spool_dir)?;
        let mut keyless_rejects = 0;
        let completeness = loop {
            match reader.next() {
                Parsed::Good { key, position, digest, cells } => spool.good(&key, position, &digest, &cells)?,
                Parsed::Bad { key, certain, position, reason } => {
                    keyless_rejects += u64::from(!certain);
                    spool.bad(key.as_ref(), position, &reason)?;
                }
                Parsed::End(completeness) => break completeness,
            }
        };
        spool.settle()?;
        let tally = spool.tally();
        let stats = ReadStats {
            records: tally.records,
            rejected_rows: tally.rejected_rows,
            keyless_rejects,
            duplicate_equal: tally.duplicate_equal,
            completeness,
            modified_at: reader.modified_at(),
        };
        Ok(Intake { spool, columns: Columns::new(wanted.iter().cloned()), stats, digest: reader.digest() })
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
        self.spool.warnings()
    }

    /// Hash of the bytes that were read.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// A page of good records in the order of keys, from the first after `after`; rejected keys are left out.
    pub fn rows(&self, after: Option<&Key>, limit: usize) -> Result<Vec<Record>> {
        self.spool.rows(after, limit)
    }

    /// A page of rejects in the source's order, from the first after the record number `after` (0 to begin with,
    /// then the last reject's `position.record`). There is one for each rejected key, and one for each row without.
    pub fn rejects(&self, after: u64, limit: usize) -> Result<Vec<Reject>> {
        self.spool.rejects(after, limit)
    }

    /// A page of rejected keys in order, from the first after `after`.
    pub fn rejected_keys(&self, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.spool.rejected_keys(after, limit)
    }

    /// Whether the key has a row that was rejected.
    pub fn is_rejected(&self, key: &Key) -> Result<bool> {
        Ok(self.spool.rejected_position(key)?.is_some())
    }

    /// Whether the key has any row, good or rejected.
    pub fn contains(&self, key: &Key) -> Result<bool> {
        Ok(self.position(key)?.is_some())
    }

    /// Where the key's row stands; of several, the first.
    pub fn position(&self, key: &Key) -> Result<Option<Position>> {
        match self.spool.good_position(key)? {
            Some(position) => Ok(Some(position)),
            None => self.spool.rejected_position(key),
        }
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Intake({:?})", self.stats)
    }
}

#[cfg(test)]
#[path = "intake_tests.rs"]
mod tests;
