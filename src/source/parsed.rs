//! What every reader makes of a row.

use std::borrow::Cow;

use super::format::csv::TextCells;
use crate::domain::record::{Key, Position};
use crate::source::trust::Completeness;

/// One row, judged; what it holds is borrowed from the reader.
pub(super) enum Parsed<'r> {
    /// It can be used.
    Good {
        /// The person, in the key's normal form.
        key: Cow<'r, str>,
        /// Where it stands.
        position: Position,
        /// What it holds.
        cells: RowCells<'r>,
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

/// What a good row holds.
pub(super) enum RowCells<'r> {
    /// The fields of a delimited text.
    Text(TextCells<'r>),
    /// The wanted cells, encoded, and a hash of the whole row.
    Encoded {
        /// The cells, as `domain::record::cells` has them.
        cells: Cow<'r, [u8]>,
        /// Hash of all that the row holds, whether or not it was wanted: equal rows have equal ones.
        digest: [u8; 16],
    },
}

impl RowCells<'_> {
    /// Appends the wanted cells in their encoded form. Where the key is wanted too, it is in its normal form.
    #[inline]
    pub fn put_into(&self, out: &mut Vec<u8>, key: &str) {
        match self {
            RowCells::Text(cells) => cells.put_into(out, key),
            RowCells::Encoded { cells, .. } => out.extend_from_slice(cells),
        }
    }

    /// Hash of the whole row, the key in its normal form.
    pub fn digest(&self, key: &str) -> [u8; 16] {
        match self {
            RowCells::Text(cells) => cells.digest(key),
            RowCells::Encoded { digest, .. } => *digest,
        }
    }
}
