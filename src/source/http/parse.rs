//! What a page holds: looked through once, so that the next one can be fetched meanwhile, then turned into rows.

use std::collections::BTreeSet;
use std::io::{self, BufReader};

use super::super::csv::CsvReader;
use super::super::decode::Utf8Reader;
use super::super::document::{Document, Wants};
use super::super::file::{self, Input};
use super::super::json::{self, Places, Pointer, Skimmed};
use super::super::judge::Judge;
use super::super::lines::Lines;
use super::super::parsed::Parsed;
use super::super::rows::{RawRow, RowReader, Step};
use super::super::trailer::{Trailer, Untrailed};
use super::seen::PageLog;
use crate::config::settings::{BodyFormat, HttpSettings, Pagination, RowsPerPerson, SourceSettings, Total};
use crate::domain::error::Result;
use crate::http::body::Body;
use crate::source::trust::Completeness;

/// Looks through a page without keeping anything, and says what it holds.
///
/// # Errors
/// It is not as configured: a sentence.
pub(super) fn look_through(body: &Body, settings: &HttpSettings) -> Result<Skimmed, String> {
    let broken = |error: io::Error| format!("reading a page stopped before its end: {error}");
    let count = |count| Skimmed { count, ..Skimmed::default() };
    match settings.format {
        BodyFormat::Json => {
            let next = match &settings.pagination {
                Pagination::Next { pointer } | Pagination::Cursor { pointer, .. } => Some(Pointer::parse(pointer)),
                _ => None,
            };
            let total = match &settings.total {
                Some(Total::Pointer(pointer)) => Some(Pointer::parse(pointer)),
                _ => None,
            };
            let success = settings.success.as_deref().map(Pointer::parse);
            let places = Places { records: Pointer::parse(&settings.records), total, next, success };
            json::skim(text(body, settings).map_err(broken)?, &places)
        }
        // Only these two count.
        _ if !matches!(settings.pagination, Pagination::Page { .. } | Pagination::Offset { .. }) => Ok(count(0)),
        BodyFormat::Ndjson => Lines::new(text(body, settings).map_err(broken)?).count().map(count),
        BodyFormat::Csv => {
            let decoded = decoded(body, settings, &settings.text.encoding).map_err(broken)?;
            let text = Untrailed::new(decoded, settings.text.trailer.clone());
            let mut rows = RowReader::new(text, settings.text.delimiter, settings.text.quote);
            let mut row = RawRow::default();
            let mut lines: u64 = 0;
            while let Step::Row = rows.next(&mut row) {
                lines += 1;
            }
            Ok(count(lines.saturating_sub(1)))
        }
    }
}

/// A body as UTF-8 without a mark.
fn text(body: &Body, settings: &HttpSettings) -> io::Result<BufReader<Utf8Reader<Input>>> {
    decoded(body, settings, "utf-8").map(BufReader::new)
}

fn decoded(body: &Body, settings: &HttpSettings, encoding: &str) -> io::Result<Utf8Reader<Input>> {
    let input = Input::new(body.reader()?, None)?.limited(settings.max_page);
    Utf8Reader::new(input, encoding).ok_or_else(|| io::Error::other("there is no such encoding"))
}

/// Turns pages into rows.
pub(super) struct Parser<'a> {
    source: &'a SourceSettings,
    settings: &'a HttpSettings,
    wanted: &'a BTreeSet<String>,
    judge: Judge,
    wants: Wants,
    rows: u64,
    /// Rows without content among them.
    blank: u64,
    /// Whether a trailer followed the last row.
    closed: bool,
    /// What came so far.
    pub log: PageLog,
}

/// What a read gives, piece by piece.
pub(in crate::source) enum Took<'a> {
    /// A row, judged.
    Row(Parsed),
    /// The columns of a JSON record, where they are listed.
    Seen(&'a [String]),
    /// The columns of a CSV page.
    Header(&'a [String]),
    /// A page is through.
    EndOfPage,
}

/// Where it goes.
pub(super) type Take<'t> = dyn FnMut(Took<'_>) -> Result<()> + 't;

impl<'a> Parser<'a> {
    /// A parser of the pages of one read.
    pub fn new(
        source: &'a SourceSettings,
        settings: &'a HttpSettings,
        wanted: &'a BTreeSet<String>,
        lists_columns: bool,
    ) -> Parser<'a> {
        let judge = Judge::new(&source.key, wanted, &source.required).calling_key(&source.also_key);
        Parser {
            source,
            settings,
            wanted,
            wants: judge.wants().listing_columns(lists_columns),
            judge,
            rows: 0,
            blank: 0,
            closed: false,
            log: PageLog::new(source.rows == RowsPerPerson::Many),
        }
    }

    /// Parses one page. What can't be parsed to its end is no error beyond the first page.
    pub fn page(&mut self, number: u64, body: &Body, take: &mut Take<'_>) -> Result<Completeness> {
        let parsed = match self.settings.format {
            BodyFormat::Json => self.json(body, take)?,
            BodyFormat::Ndjson => self.ndjson(body, take)?,
            BodyFormat::Csv => self.csv(number, body, take)?,
        };
        Ok(match parsed {
            Completeness::Incomplete(why) if self.settings.pagination != Pagination::None => {
                Completeness::Incomplete(format!("page {number}: {why}"))
            }
            other => other,
        })
    }

    fn json(&mut self, body: &Body, take: &mut Take<'_>) -> Result<Completeness> {
        let page = match text(body, self.settings) {
            Ok(page) => page,
            Err(error) => return Ok(Completeness::Incomplete(error.to_string())),
        };
        let mut failed = None;
        let (judge, log) = (&mut self.judge, &mut self.log);
        let walked = json::records(page, &Pointer::parse(&self.settings.records), &self.wants, &mut |document| {
            let given = give((judge, log), 0, Ok(document), take);
            given.map_err(|failure| failed = Some(failure)).is_ok()
        });
        match (failed, walked) {
            (Some(failure), _) => Err(failure),
            (None, Err(why)) => Ok(Completeness::Incomplete(why)),
            (None, Ok(())) => Ok(Completeness::Complete),
        }
    }

    fn ndjson(&mut self, body: &Body, take: &mut Take<'_>) -> Result<Completeness> {
        let page = match text(body, self.settings) {
            Ok(page) => page,
            Err(error) => return Ok(Completeness::Incomplete(error.to_string())),
        };
        let mut lines = Lines::new(page);
        loop {
            let line = match lines.next() {
                Ok(Some(line)) => line,
                Ok(None) => return Ok(Completeness::Complete),
                Err(why) => return Ok(Completeness::Incomplete(why)),
            };
            let document = self.wants.of_text(line.bytes).map_err(|error| json::complaint(&error));
            if let (Err(_), true) = (&document, line.unterminated) {
                return Ok(Completeness::Incomplete(format!("it is cut off inside line {}", line.number)));
            }
            let document = document.map_err(|_| "the line is not JSON".to_string());
            give((&mut self.judge, &mut self.log), line.number, document, take)?;
        }
    }

    fn csv(&mut self, number: u64, body: &Body, take: &mut Take<'_>) -> Result<Completeness> {
        let opened = body.reader().and_then(|reader| Input::new(reader, None));
        let opened = opened.map(|input| input.limited(self.settings.max_page));
        let input = match opened {
            Ok(input) => input,
            Err(error) => return Ok(Completeness::Incomplete(error.to_string())),
        };
        let mut reader = match CsvReader::start(self.source, &self.settings.text, self.wanted, input, self.rows) {
            Ok(reader) => reader,
            Err(failure) if number == 1 => return Err(failure),
            Err(failure) => return Ok(Completeness::Incomplete(failure.message)),
        };
        take(Took::Header(reader.header()))?;
        loop {
            match reader.next() {
                Parsed::End(Completeness::Complete) => return Ok(self.end_of_text(&reader)),
                Parsed::End(completeness) => return Ok(completeness),
                row => {
                    self.log.row(&row);
                    take(Took::Row(row))?;
                }
            }
        }
    }

    /// Counts the rows of a page of text; a trailer counts those of its page, or all so far.
    fn end_of_text(&mut self, reader: &CsvReader) -> Completeness {
        let here = (reader.count() - self.rows, reader.blank());
        self.rows = reader.count();
        self.blank += reader.blank();
        let trailer = reader.trailer();
        if trailer == Trailer::Missing {
            self.closed &= here.0 == 0;
            return Completeness::Complete;
        }
        self.closed = true;
        let all = trailer.agrees_with(self.rows, self.blank);
        let agrees = trailer.agrees_with(here.0, here.1).or(all);
        agrees.map_or_else(Completeness::Incomplete, |()| Completeness::Complete)
    }

    /// Whether the last row was followed by a trailer, where one is configured.
    ///
    /// # Errors
    /// A sentence.
    pub fn closed_by_trailer(&self) -> std::result::Result<(), String> {
        match self.settings.text.trailer.is_some() && !self.closed {
            true => Trailer::Missing.agrees_with(self.rows, self.blank),
            false => Ok(()),
        }
    }

    /// A required column that no record has is one that is not there; a mapped one is empty for everybody.
    pub fn required_are_there(&self, whole: bool) -> Result<()> {
        if !whole {
            return Ok(());
        }
        let (required, mapped): (Vec<&str>, Vec<&str>) =
            self.judge.never_seen().partition(|name| self.source.required.iter().any(|r| r == name));
        if !mapped.is_empty() {
            let columns = mapped.join(", ");
            tracing::warn!(source = %self.source.name, "no record has these columns, so they are empty for everybody: {columns}");
        }
        if required.is_empty() {
            return Ok(());
        }
        let plural = if required.len() == 1 { "" } else { "s" };
        let message = format!("no record has the required column{plural} {}", required.join(", "));
        Err(file::unusable(self.source, message).help("name the fields as they are; nested ones by dotted path"))
    }
}

fn give(
    (judge, log): (&mut Judge, &mut PageLog),
    line: u64,
    document: Result<Document, String>,
    take: &mut Take<'_>,
) -> Result<()> {
    if let Ok(Document { columns, .. }) = &document
        && !columns.is_empty()
    {
        take(Took::Seen(columns))?;
    }
    let row = judge.next(line, document);
    log.row(&row);
    take(Took::Row(row))
}
