//! A look at the beginning of a source: which columns it really has, and a few of its people.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::format::Piece;
use super::parsed::Parsed;
use super::transport::file::unusable;
use crate::config::settings::SourceSettings;
use crate::domain::error::{Failure, Result};
use crate::domain::record::cells::values;
use crate::domain::record::{Columns, Key, Record};
use crate::source::trust::Completeness;

/// How many rows of a stream are looked at: a page's worth.
const ROWS: u64 = 500;

/// How many good records are kept.
const SAMPLES: usize = 3;

/// How many columns are kept: of JSON records, each may have others.
const COLUMNS: usize = 10_000;

/// What the beginning of a source looks like.
#[derive(Debug)]
pub struct Preview {
    /// The source, or the member of a union.
    pub source: String,
    /// The columns that are there.
    pub columns: Vec<String>,
    /// The first records that can be used, with the wanted cells.
    pub samples: Vec<Record>,
    /// The columns of the samples' cells.
    pub wanted: Columns,
    /// Rows looked at.
    pub rows: u64,
    /// Of those, how many can't be used, and why the first of them can't.
    pub rejected: (u64, Option<String>),
    /// Why nobody would be banned after a read of it, where nothing shows that one is whole.
    pub unproven: Option<String>,
}

impl Preview {
    fn new(source: &str, wanted: &BTreeSet<String>) -> Preview {
        let wanted = Columns::new(wanted.iter().cloned());
        let (columns, samples) = (Vec::new(), Vec::new());
        Preview { source: source.into(), columns, samples, wanted, rows: 0, rejected: (0, None), unproven: None }
    }

    /// The first keys.
    pub fn keys(&self) -> Vec<&Key> {
        self.samples.iter().map(|record| &record.key).collect()
    }

    fn take(&mut self, parsed: Parsed<'_>) -> Result<()> {
        match parsed {
            Parsed::Good { key, position, cells, .. } => {
                self.rows += 1;
                let known = self.samples.iter().position(|record| record.key.as_str() == key);
                if known.is_none() && self.samples.len() == SAMPLES {
                    return Ok(());
                }
                let mut encoded = Vec::new();
                cells.put_into(&mut encoded, &key);
                let cells = values(&encoded).ok_or_else(|| Failure::internal("a record can't be kept"))?;
                match known {
                    Some(at) => self.samples[at].add(position, cells),
                    None => self.samples.push(Record::new(Key::of_normal(&key), position, cells)),
                }
            }
            Parsed::Bad { position, reason, .. } => {
                self.rows += 1;
                self.rejected.0 += 1;
                self.rejected.1.get_or_insert_with(|| format!("{position}: {reason}"));
            }
            Parsed::Blank(_) | Parsed::End(_) => {}
        }
        Ok(())
    }
}

/// Looks at what a read gives, until there was enough.
pub(super) struct Look {
    preview: Preview,
    columns: BTreeSet<String>,
    most: u64,
}

impl Look {
    /// Of a stream, of which the beginning is enough.
    pub fn begin(source: &SourceSettings, wanted: &BTreeSet<String>) -> Look {
        Look { most: ROWS, ..Look::page(source, wanted) }
    }

    /// Of a whole page.
    pub fn page(source: &SourceSettings, wanted: &BTreeSet<String>) -> Look {
        Look { preview: Preview::new(&source.name, wanted), columns: BTreeSet::new(), most: u64::MAX }
    }

    /// Takes what a read gives.
    pub fn take(&mut self, took: Piece<'_>) -> Result<ControlFlow<()>> {
        match took {
            Piece::Row(row) => self.preview.take(row)?,
            Piece::Seen(names) => {
                let room = COLUMNS.saturating_sub(self.columns.len());
                self.columns.extend(names.iter().take(room).cloned());
            }
            Piece::Header(names) => self.preview.columns = names.to_vec(),
        }
        Ok(if self.preview.rows < self.most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    }

    /// What it saw of a read that ended so.
    ///
    /// # Errors
    /// It is broken (65).
    pub fn end(self, source: &SourceSettings, completeness: Completeness) -> Result<Preview> {
        let mut preview = self.preview;
        match completeness {
            Completeness::Complete => {}
            Completeness::Unproven(why) => preview.unproven = Some(why),
            Completeness::Incomplete(why) | Completeness::Unusable(why) => return Err(unusable(source, why)),
        }
        if preview.columns.is_empty() {
            preview.columns = self.columns.into_iter().collect();
        }
        Ok(preview)
    }
}
