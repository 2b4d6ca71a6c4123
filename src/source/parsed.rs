//! What every reader makes of a row, and where it goes: the sink that counts and spools.

use std::path::Path;

use super::spool::Spool;
use crate::config::settings::RowsPerPerson;
use crate::domain::error::Result;
use crate::domain::record::{Key, Position};
use crate::source::trust::Completeness;

/// One row, judged.
pub(super) enum Parsed {
    /// It can be used.
    Good {
        /// The person.
        key: Key,
        /// Where it stands.
        position: Position,
        /// Hash of all its fields, whether or not they were wanted: equal rows have equal ones.
        digest: [u8; 16],
        /// The cells that were wanted, as a JSON array.
        cells: String,
    },
    /// It can't.
    Bad {
        /// The person, as far as one can tell.
        key: Option<Key>,
        /// Whether that is certain; if not, whose row it is and whether others were lost with it is unknown.
        certain: bool,
        /// Where it stands.
        position: Position,
        /// Why.
        reason: String,
    },
    /// It has no content, so it is nobody's.
    Blank(Position),
    /// There is no further row.
    End(Completeness),
}

/// Takes rows in.
pub(super) struct Sink {
    /// Where they go.
    pub spool: Spool,
    /// Rows whose key can't be read or relied upon.
    pub keyless: u64,
    /// Rows without any content.
    pub blank: u64,
    /// Where the first of them stands.
    first_blank: Option<Position>,
}

impl Sink {
    /// A sink with an empty spool in this directory.
    ///
    /// # Errors
    /// 74 when the directory can't be written.
    pub fn create(directory: &Path, expected: RowsPerPerson) -> Result<Sink> {
        Ok(Sink { spool: Spool::create(directory, expected)?, keyless: 0, blank: 0, first_blank: None })
    }

    /// Takes a row; gives back how far the source was read when it is the end.
    ///
    /// # Errors
    /// 74 when the spool can't be written.
    pub fn take(&mut self, parsed: Parsed) -> Result<Option<Completeness>> {
        match parsed {
            Parsed::Good { key, position, cells, .. } => {
                self.spool.good(&key, position, &cells)?;
            }
            Parsed::Bad { key, certain, position, reason } => {
                self.keyless += u64::from(!certain);
                self.spool.bad(key.as_ref(), position, &reason)?;
            }
            Parsed::Blank(position) => {
                self.blank += 1;
                self.first_blank.get_or_insert(position);
            }
            Parsed::End(completeness) => return Ok(Some(completeness)),
        }
        Ok(None)
    }

    /// What is to be said of rows without any content, if there were some.
    pub fn told_blank(&self) -> Option<String> {
        let first = self.first_blank?;
        Some(match self.blank {
            1 => format!("{first} has no content: it is nobody's, and ignored"),
            n => format!("{n} rows have no content: they are nobody's, and ignored; the first is {first}"),
        })
    }
}
