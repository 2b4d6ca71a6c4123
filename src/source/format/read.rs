//! Turns the bytes of one read, in one stream or by pages, into rows.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::super::parsed::Parsed;
use super::super::transport::file::{self, Input};
use super::csv::{CsvReader, placed};
use super::document::{Document, Wants};
use super::json::{self, Places, Skimmed};
use super::judge::Judge;
use super::lines::Lines;
use super::trailer::Trailer;
use super::{Piece, Take, text};
use crate::config::settings::{FormatSettings, JsonSettings, SourceSettings, TextSettings};
use crate::domain::error::Result;
use crate::source::trust::Completeness;

/// Turns bytes into rows.
pub(in crate::source) struct Decoder<'a> {
    source: &'a SourceSettings,
    format: &'a FormatSettings,
    wanted: &'a BTreeSet<String>,
    judge: Judge,
    wants: Wants,
    rows: u64,
    /// Rows without content among them.
    blank: u64,
    /// Whether a trailer followed the last row.
    closed: bool,
}

impl<'a> Decoder<'a> {
    /// A decoder of one read.
    pub fn new(
        source: &'a SourceSettings,
        format: &'a FormatSettings,
        wanted: &'a BTreeSet<String>,
        lists_columns: bool,
    ) -> Decoder<'a> {
        let judge = Judge::new(&source.key, wanted, &source.required).calling_key(&source.also_key);
        let wants = judge.wants().listing_columns(lists_columns);
        Decoder { source, format, wanted, judge, wants, rows: 0, blank: 0, closed: false }
    }

    /// The same, where nobody asks for the digest of a row.
    pub fn without_digests(self) -> Decoder<'a> {
        Decoder { wants: self.wants.without_prints(), ..self }
    }

    /// Reads what holds everybody; gives back the number of records that it declares too, where it must.
    ///
    /// # Errors
    /// It is not as configured (65), or what it gives can't be taken.
    pub fn whole(&mut self, input: Input, take: &mut Take<'_>) -> Result<(Completeness, Option<u64>)> {
        let FormatSettings::Json(settings) = self.format else {
            let completeness = self.page(input, true, take)?;
            let closed = match completeness {
                Completeness::Complete => self.closed_by_trailer(),
                other => return Ok((other, None)),
            };
            return Ok((closed.map_or_else(Completeness::Incomplete, |()| Completeness::Complete), None));
        };
        let mut declared = None;
        let completeness = self.json(input, take, |page, wants, each| {
            let said = json::skim_records(page, &Places::of(settings), wants, each)?;
            declared = said.total.as_ref().and_then(serde_json::Value::as_u64);
            is_whole(settings, &said, declared)
        })?;
        Ok((completeness, declared))
    }

    /// Reads one page; what can't be parsed to its end is no error beyond the first one. What a document says of itself
    /// was judged when it was looked through.
    ///
    /// # Errors
    /// As [`Decoder::whole`].
    pub fn page(&mut self, input: Input, is_first: bool, take: &mut Take<'_>) -> Result<Completeness> {
        match self.format {
            FormatSettings::Json(settings) => {
                let places = Places::of(settings);
                self.json(input, take, |page, wants, each| json::records(page, &places.records, wants, each))
            }
            FormatSettings::Ndjson => self.ndjson(input, take),
            FormatSettings::Csv(settings) => self.csv(settings, input, is_first, take),
        }
    }

    fn json(
        &mut self,
        input: Input,
        take: &mut Take<'_>,
        walk: impl FnOnce(super::Text, &Wants, &mut dyn FnMut(Document) -> bool) -> Result<(), String>,
    ) -> Result<Completeness> {
        let witness = input.witness();
        let page = match text(input) {
            Ok(page) => page,
            Err(error) => return Ok(Completeness::Incomplete(error.to_string())),
        };
        let mut stopped = None;
        let judge = &mut self.judge;
        let walked = walk(page, &self.wants, &mut |document| match give(judge, 0, Ok(document), take) {
            Ok(ControlFlow::Continue(())) => true,
            Ok(ControlFlow::Break(())) => {
                stopped = Some(Ok(Completeness::Complete));
                false
            }
            Err(failure) => {
                stopped = Some(Err(failure));
                false
            }
        });
        stopped.unwrap_or_else(|| {
            Ok(witness.ended(walked.map_or_else(Completeness::Incomplete, |()| Completeness::Complete)))
        })
    }

    fn ndjson(&mut self, input: Input, take: &mut Take<'_>) -> Result<Completeness> {
        let witness = input.witness();
        let page = match text(input) {
            Ok(page) => page,
            Err(error) => return Ok(Completeness::Incomplete(error.to_string())),
        };
        let mut lines = Lines::new(page);
        loop {
            let line = match lines.next() {
                Ok(Some(line)) => line,
                Ok(None) => return Ok(witness.ended(Completeness::Complete)),
                Err(why) => return Ok(witness.ended(Completeness::Incomplete(why))),
            };
            let document = self.wants.of_text(line.bytes).map_err(|error| json::complaint(&error));
            if let (Err(_), true) = (&document, line.unterminated) {
                let cut = format!("it is cut off inside line {}", line.number);
                return Ok(witness.ended(Completeness::Incomplete(cut)));
            }
            let document = document.map_err(|_| "the line is not JSON".to_string());
            if give(&mut self.judge, line.number, document, take)?.is_break() {
                return Ok(Completeness::Complete);
            }
        }
    }

    fn csv(
        &mut self,
        settings: &TextSettings,
        input: Input,
        is_first: bool,
        take: &mut Take<'_>,
    ) -> Result<Completeness> {
        let mut reader = match CsvReader::start(self.source, settings, self.wanted, input, self.rows) {
            Ok(reader) => reader,
            Err(failure) if is_first => return Err(placed(self.source, failure)),
            Err(failure) => return Ok(Completeness::Incomplete(failure.message)),
        };
        let mut goes_on = take(Piece::Header(reader.header()))?;
        while goes_on.is_continue() {
            goes_on = match reader.next() {
                Parsed::End(Completeness::Complete) => return Ok(self.end_of_text(&reader)),
                Parsed::End(completeness) => return Ok(completeness),
                row => take(Piece::Row(row))?,
            };
        }
        Ok(Completeness::Complete)
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
    pub fn closed_by_trailer(&self) -> Result<(), String> {
        match self.format {
            FormatSettings::Csv(TextSettings { trailer: Some(_), .. }) if !self.closed => {
                Trailer::Missing.agrees_with(self.rows, self.blank)
            }
            _ => Ok(()),
        }
    }

    /// A required column that no record has is one that is not there; a mapped one is empty for everybody.
    ///
    /// # Errors
    /// A required one is missing (65).
    pub fn required_are_there(&self) -> Result<()> {
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

/// Why a document that should hold everybody doesn't, by what it says of itself.
fn is_whole(settings: &JsonSettings, said: &Skimmed, declared: Option<u64>) -> Result<(), String> {
    if let Some(why) = said.went_wrong("the file", settings.success.as_deref()).or_else(|| said.is_a_part()) {
        return Err(why);
    }
    match &settings.total {
        Some(pointer) if declared.is_none() => {
            Err(format!("there is no number at {pointer:?}, where total says that there is one"))
        }
        _ => Ok(()),
    }
}

fn give(
    judge: &mut Judge,
    line: u64,
    document: Result<Document, String>,
    take: &mut Take<'_>,
) -> Result<ControlFlow<()>> {
    if let Ok(Document { columns, .. }) = &document
        && !columns.is_empty()
        && take(Piece::Seen(columns))?.is_break()
    {
        return Ok(ControlFlow::Break(()));
    }
    take(Piece::Row(judge.next(line, document)))
}
