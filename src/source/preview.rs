//! A look at the beginning of a source: which columns it really has, and a few of its people.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::csv::CsvReader;
use super::http::{self, Took};
use super::parsed::Parsed;
use super::union;
use crate::config::settings::{SourceKind, SourceSettings};
use crate::domain::error::{Failure, Result};
use crate::domain::record::{Columns, Key, Record};
use crate::source::trust::Completeness;

/// How many rows of a file are looked at: a page's worth.
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

    fn take(&mut self, parsed: Parsed) -> Result<()> {
        match parsed {
            Parsed::Good { key, position, cells, .. } => {
                self.rows += 1;
                let known = self.samples.iter().position(|record| record.key == key);
                if known.is_none() && self.samples.len() == SAMPLES {
                    return Ok(());
                }
                let cells: Vec<Value> = serde_json::from_str(&cells)
                    .map_err(|error| Failure::internal("a record can't be kept").because(error))?;
                match known {
                    Some(at) => self.samples[at].add(position, cells),
                    None => self.samples.push(Record::new(key, position, cells)),
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

/// Looks at the first page of a source, or of each member of a union.
///
/// Blocks, as [`super::Intake::read`] does.
///
/// # Errors
/// As [`super::Intake::read`]; 65 also when the very first page is broken.
pub fn preview(source: &Arc<SourceSettings>, wanted: &BTreeSet<String>) -> Result<Vec<Preview>> {
    let mut preview = Preview::new(&source.name, wanted);
    match &source.kind {
        SourceKind::Union(members) => {
            let members = union::prepared(source, members);
            let previews: Result<Vec<Vec<Preview>>> = members.iter().map(|m| self::preview(m, wanted)).collect();
            return Ok(previews?.into_iter().flatten().collect());
        }
        SourceKind::Csv(settings) => {
            let mut reader = CsvReader::open(source, settings, wanted)?;
            preview.columns = reader.header().to_vec();
            while preview.rows < ROWS {
                match reader.next() {
                    Parsed::End(Completeness::Complete) => break,
                    Parsed::End(Completeness::Unproven(why)) => {
                        preview.unproven = Some(why);
                        break;
                    }
                    Parsed::End(Completeness::Incomplete(why) | Completeness::Unusable(why)) => {
                        return Err(super::file::unusable(source, why));
                    }
                    row => preview.take(row)?,
                }
            }
        }
        SourceKind::Http(settings) => {
            let mut columns = BTreeSet::new();
            let mut header = Vec::new();
            let mut take = |took: Took<'_>| {
                match took {
                    Took::Row(row) => preview.take(row)?,
                    Took::Seen(names) => {
                        let room = COLUMNS.saturating_sub(columns.len());
                        columns.extend(names.iter().take(room).cloned());
                    }
                    Took::Header(names) => header = names.to_vec(),
                    Took::EndOfPage => {}
                }
                Ok(())
            };
            let directory: &Path = &std::env::temp_dir();
            let fetched = http::first_page(source, settings, wanted, directory, &mut take)?;
            match fetched.completeness {
                Completeness::Complete => {}
                Completeness::Unproven(why) => preview.unproven = Some(why),
                Completeness::Incomplete(why) | Completeness::Unusable(why) => {
                    return Err(super::file::unusable(source, why));
                }
            }
            preview.columns = if header.is_empty() { columns.into_iter().collect() } else { header };
        }
    }
    Ok(vec![preview])
}
