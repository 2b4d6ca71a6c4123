//! What a page holds: looked through once, so that the next one can be fetched meanwhile, then turned into rows.

use std::collections::BTreeSet;
use std::io;

use super::super::file::Input;
use crate::config::settings::{HttpSettings, Pagination, RowsPerPerson, SourceSettings};
use crate::domain::error::Result;
use crate::http::body::Body;
use crate::source::format::json::Skimmed;
use crate::source::format::{self, Decoder, Piece, Take};
use crate::source::page_log::PageLog;
use crate::source::trust::Completeness;

/// Looks through a page without keeping anything, and says what it holds.
///
/// # Errors
/// It is not as configured: a sentence.
pub(super) fn look_through(body: &Body, settings: &HttpSettings) -> Result<Skimmed, String> {
    let next = match &settings.pagination {
        Pagination::Next { pointer } | Pagination::Cursor { pointer, .. } => Some(pointer.as_str()),
        _ => None,
    };
    // Only these two count.
    let counted = matches!(settings.pagination, Pagination::Page { .. } | Pagination::Offset { .. });
    format::look_through(opened(body, settings), &settings.format, next, counted)
}

fn opened(body: &Body, settings: &HttpSettings) -> io::Result<Input> {
    Ok(Input::new(body.reader()?, None)?.limited(settings.max_page))
}

/// Turns pages into rows.
pub(super) struct Parser<'a> {
    settings: &'a HttpSettings,
    decoder: Decoder<'a>,
    /// What came so far.
    pub log: PageLog,
}

impl<'a> Parser<'a> {
    /// A parser of the pages of one read.
    pub fn new(
        source: &'a SourceSettings,
        settings: &'a HttpSettings,
        wanted: &'a BTreeSet<String>,
        lists_columns: bool,
    ) -> Parser<'a> {
        let decoder = Decoder::new(source, &settings.format, wanted, lists_columns);
        Parser { settings, decoder, log: PageLog::new(source.rows == RowsPerPerson::Many) }
    }

    /// Parses one page. What can't be parsed to its end is no error beyond the first page.
    pub fn page(&mut self, number: u64, body: &Body, take: &mut Take<'_>) -> Result<Completeness> {
        let input = match opened(body, self.settings) {
            Ok(input) => input,
            Err(error) => return Ok(self.of_page(number, Completeness::Incomplete(error.to_string()))),
        };
        let log = &mut self.log;
        let parsed = self.decoder.page(input, number == 1, &mut |took| {
            if let Piece::Row(row) = &took {
                log.row(row);
            }
            take(took)
        })?;
        Ok(self.of_page(number, parsed))
    }

    fn of_page(&self, number: u64, parsed: Completeness) -> Completeness {
        match parsed {
            Completeness::Incomplete(why) if self.settings.pagination != Pagination::None => {
                Completeness::Incomplete(format!("page {number}: {why}"))
            }
            other => other,
        }
    }

    /// Whether the last row was followed by a trailer, where one is configured.
    ///
    /// # Errors
    /// A sentence.
    pub fn closed_by_trailer(&self) -> Result<(), String> {
        self.decoder.closed_by_trailer()
    }

    /// As [`Decoder::required_are_there`], of a read that is `whole`.
    pub fn required_are_there(&self, whole: bool) -> Result<()> {
        if whole { self.decoder.required_are_there() } else { Ok(()) }
    }
}
