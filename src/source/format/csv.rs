//! Delimited text files: the header's checks, and each row judged good or rejected.
//!
//! A header that is not as configured means that nothing is read at all. A row that is not as the header promises is
//! rejected alone. What suggests that rows are missing (an open quote, half a row, a file that changed) ends the
//! read, and says so.

use std::collections::BTreeSet;
use std::io::{self, Read};

use super::super::parsed::{Parsed, RowCells};
use super::super::transport::file::{Input, Witness, unusable};
use super::decode::{Utf8Reader, no_encoding};
use super::document::shortened;
use super::rows::{Broken, RawRow, RowReader, Step};
use super::trailer::{Trailer, Untrailed};
use crate::config::settings::{SourceSettings, TextSettings};
use crate::domain::address::scrubbed;
use crate::domain::error::{Error, Failure, Result};
use crate::domain::html::begins_like_html;
use crate::domain::nearest::nearest;
use crate::domain::record::cells::put_text;
use crate::domain::record::{Key, Position};
use crate::source::trust::Completeness;

/// How many column names a message lists before it stops.
const LISTED: usize = 40;

/// A delimited text being read.
pub(in crate::source) struct CsvReader {
    rows: RowReader<Untrailed<Utf8Reader<Input>>>,
    row: RawRow,
    header: Vec<String>,
    key: usize,
    /// Where the wanted columns stand, in their order.
    wanted: Vec<usize>,
    /// Where those stand that anybody uses: the key, what is wanted, what is required.
    used: Vec<usize>,
    count: u64,
    /// How many of the rows had no content.
    blank: u64,
    witness: Witness,
}

impl CsvReader {
    /// Reads the header of what was opened; `count` rows came before it.
    ///
    /// # Errors
    /// 65 when it is not as configured.
    pub fn start(
        source: &SourceSettings,
        settings: &TextSettings,
        wanted: &BTreeSet<String>,
        input: Input,
        count: u64,
    ) -> Result<CsvReader> {
        let witness = input.witness();
        let decoded = Utf8Reader::new(input, &settings.encoding).ok_or_else(|| {
            let message = format!("source {}: there is no encoding {:?}", source.name, settings.encoding);
            Failure::new(Error::Config, message).help("e.g. utf-8, utf-16, windows-1252, iso-8859-15")
        })?;
        let text = Untrailed::new(decoded, settings.trailer.clone());
        let mut rows = RowReader::new(text, settings.delimiter, settings.quote);
        let mut row = RawRow::default();
        let header = read_header(source, &mut rows, &mut row)?;
        check_header(source, settings, &header, wanted)?;
        let place = |name: &String| header.iter().position(|h| h == name);
        let key = place(&source.key).unwrap_or_default();
        let named = |name: &String| place(name).or_else(|| source.also_key.contains(name).then_some(key));
        let wanted: Vec<usize> = wanted.iter().filter_map(named).collect();
        let used = source.required.iter().filter_map(place).chain(wanted.iter().copied()).chain([key]).collect();
        Ok(CsvReader { rows, row, header, key, wanted, used, count, blank: 0, witness })
    }

    /// How many rows there were so far, those before the header included.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How many of the rows of this text had no content.
    pub fn blank(&self) -> u64 {
        self.blank
    }

    /// What the end of the text showed.
    pub fn trailer(&self) -> Trailer {
        self.rows.get_ref().trailer()
    }

    /// The names of the columns that are there.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// The next row.
    pub fn next(&mut self) -> Parsed<'_> {
        match self.rows.next(&mut self.row) {
            Step::Row if self.row.unterminated && self.row.len() < self.header.len() => {
                let line = self.row.line;
                self.end(Completeness::Incomplete(format!("the file is cut off inside the row on line {line}")))
            }
            Step::Row if self.row.has_long(&self.used) => {
                let line = self.row.line;
                self.end(Completeness::Incomplete(format!(
                    "a field of the row on line {line} is longer than 1 MB; is a quote not closed?"
                )))
            }
            Step::Row => {
                self.count += 1;
                // A stray quote may have swallowed rows, blank as what is left may be.
                if !self.row.misquoted && self.row.is_blank() {
                    self.blank += 1;
                    return Parsed::Blank(Position { line: self.row.line, record: self.count });
                }
                self.judge()
            }
            Step::End => self.end(Completeness::Complete),
            Step::Broken(broken) => self.end(Completeness::Incomplete(broken_words(&broken))),
        }
    }

    /// The end: it is the end of what was opened only if the file stayed as it was.
    fn end(&self, completeness: Completeness) -> Parsed<'static> {
        Parsed::End(self.witness.ended(completeness))
    }

    fn judge(&self) -> Parsed<'_> {
        let position = Position { line: self.row.line, record: self.count };
        let bad = |key, certain, reason: String| Parsed::Bad { key, certain, position, reason };
        let row = &self.row;
        if row.misquoted {
            // A stray quote may have swallowed the rows up to the next one.
            return bad(self.likely_key(), false, "text follows a closing quote".into());
        }
        if row.len() != self.header.len() {
            // A delimiter too many shifts what follows it; only the first field stays where it was.
            let certain = self.key == 0 && !row.spans_lines && self.likely_key().is_some();
            let plural = if row.len() == 1 { "" } else { "s" };
            let reason = format!("it has {} field{plural}, and the header has {}", row.len(), self.header.len());
            return bad(self.likely_key(), certain, reason);
        }
        if let Some(at) = row.holds_a_row(self.rows.delimiter(), (self.header.len() - 1).max(1)) {
            // The quote that closes the field is one that should have opened another, some rows further down.
            let column = self.column(at);
            let reason = format!(
                "{column} has a line break and as many delimiters as a row: a quote that was never closed may have swallowed rows"
            );
            return bad(self.likely_key(), false, reason);
        }
        let key_name = &self.header[self.key];
        let Some(raw) = row.field(self.key).and_then(|field| std::str::from_utf8(field).ok()) else {
            return bad(None, false, format!("the key, column {key_name}, can't be decoded as {}", self.encoding()));
        };
        let key = match Key::normal(raw) {
            Ok(key) => key,
            Err(fault) => return bad(None, false, format!("the key, column {key_name}, {fault}")),
        };
        if let Some(reason) = self.unreadable_field() {
            return bad(Key::read(&key).ok(), true, reason);
        }
        let cells = RowCells::Text(TextCells { row, key: self.key, wanted: &self.wanted });
        Parsed::Good { key, position, cells }
    }

    /// What the key's field says in a row that can't be relied upon.
    fn likely_key(&self) -> Option<Key> {
        Key::read(std::str::from_utf8(self.row.field(self.key)?).ok()?).ok()
    }

    /// A column by its name, or by its number where it has none.
    fn column(&self, at: usize) -> String {
        match self.header.get(at).map(String::as_str).unwrap_or_default() {
            "" => format!("column {}", at + 1),
            name => format!("column {}", printable(shortened(name))),
        }
    }

    /// What is wrong with a field's bytes, if something is.
    fn unreadable_field(&self) -> Option<String> {
        if self.row.is_clean() {
            return None;
        }
        for (at, field) in self.row.fields().enumerate() {
            if std::str::from_utf8(field).is_err() {
                return Some(format!("{} can't be decoded as {}", self.column(at), self.encoding()));
            }
            if field.contains(&0) {
                return Some(format!("{} contains a NUL byte", self.column(at)));
            }
        }
        None
    }

    fn encoding(&self) -> &'static str {
        self.rows.get_ref().get_ref().encoding()
    }
}

/// The fields of a row that is known to be text.
pub(in crate::source) struct TextCells<'r> {
    row: &'r RawRow,
    key: usize,
    wanted: &'r [usize],
}

impl TextCells<'_> {
    /// Appends the wanted cells, in the order of their columns; where the key is one of them, this.
    #[inline]
    pub fn put_into(&self, out: &mut Vec<u8>, key: &str) {
        for at in self.wanted {
            match *at == self.key {
                true => put_text(out, key.as_bytes()),
                false => self.row.put_field(*at, out),
            }
        }
    }

    /// Hash of the whole row, the key in its normal form.
    pub fn digest(&self, key: &str) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new();
        for (at, field) in self.row.fields().enumerate() {
            let field = if at == self.key { key.as_bytes() } else { field };
            hasher.update(&(field.len() as u64).to_le_bytes());
            hasher.update(field);
        }
        let mut digest = [0; 16];
        hasher.finalize_xof().fill(&mut digest);
        digest
    }
}

fn broken_words(broken: &Broken) -> String {
    match broken {
        Broken::InsideQuote(line) => format!("the file is cut off inside a quoted field of the row on line {line}"),
        Broken::RowTooLong(line) => {
            format!(
                "the row on line {line} is longer than 16 MB, or has more than 100000 fields; is it a delimited text file?"
            )
        }
        Broken::Io(error) => format!("reading stopped before the end: {error}"),
    }
}

/// The names of the columns, trimmed.
fn read_header(source: &SourceSettings, rows: &mut RowReader<impl Read>, row: &mut RawRow) -> Result<Vec<String>> {
    match rows.next(row) {
        Step::Row => {}
        Step::End => {
            return Err(unusable(source, "the file is empty, even of a header".into())
                .help("see whether the export ran to its end"));
        }
        Step::Broken(Broken::Io(error)) => {
            let failure = unusable(source, "the file can't be read".into()).because(error);
            return Err(failure.help("see whether the export was cut off on its way; then run again"));
        }
        Step::Broken(broken) => {
            return Err(unusable(source, broken_words(&broken)).help("see whether the export was cut off"));
        }
    }
    if row.field(0).is_some_and(begins_like_html) {
        return Err(unusable(source, "the file is HTML, not a delimited text file".into())
            .help("whatever fetches it was probably shown a log-in page or an error"));
    }
    if row.misquoted {
        return Err(unusable(source, "text follows a closing quote in the header".into())
            .help("is it delimited text at all, and are delimiter and quote those of the file?"));
    }
    let name = |field: &[u8]| std::str::from_utf8(field).ok().map(|name| name.trim().to_string());
    let names: Option<Vec<String>> = row.fields().map(name).collect();
    names.ok_or_else(|| {
        unusable(source, "the header can't be decoded in the configured encoding".into())
            .help("set encoding for the source, e.g. encoding = \"windows-1252\"")
    })
}

/// How many rows there are below the header.
pub(super) fn count(input: Input, settings: &TextSettings) -> io::Result<u64> {
    let decoded = Utf8Reader::new(input, &settings.encoding).ok_or_else(no_encoding)?;
    let text = Untrailed::new(decoded, settings.trailer.clone());
    let mut rows = RowReader::new(text, settings.delimiter, settings.quote);
    let mut row = RawRow::default();
    let mut lines: u64 = 0;
    while let Step::Row = rows.next(&mut row) {
        lines += 1;
    }
    Ok(lines.saturating_sub(1))
}

/// Tells which file it is about, beside what to do.
pub(super) fn placed(source: &SourceSettings, failure: Failure) -> Failure {
    let Some(path) = source.kind.file() else { return failure };
    let help = failure
        .help
        .iter()
        .fold(format!("look at {}", scrubbed(&path.display().to_string())), |place, help| format!("{place}; {help}"));
    failure.help(help)
}

/// A column's name as it may be shown: a control character could do things to a terminal.
pub fn printable(name: &str) -> String {
    let shown = |c: char| if c.is_control() { c.escape_default().collect() } else { String::from(c) };
    name.chars().map(shown).collect()
}

/// The encoding of a header that was read as one of single bytes and is UTF-16: each letter of ASCII has a NUL beside it,
/// behind it in little-endian, before it in big-endian.
fn utf16(header: &[String]) -> Option<&'static str> {
    let all = || header.iter().flat_map(|name| name.chars());
    let nul = all().filter(|letter| *letter == '\0').count();
    if nul == 0 || nul * 3 < all().count() {
        return None;
    }
    let is_big = header.first().is_some_and(|name| name.starts_with('\0'));
    Some(if is_big { "utf-16be" } else { "utf-16le" })
}

fn in_words(count: usize) -> String {
    if count == 2 { "two".into() } else { count.to_string() }
}

/// Everything that is wrong with the header, at once.
fn check_header(
    source: &SourceSettings,
    settings: &TextSettings,
    header: &[String],
    wanted: &BTreeSet<String>,
) -> Result<()> {
    let needed: BTreeSet<&String> = wanted.iter().chain(&source.required).chain([&source.key]).collect();
    // What nobody uses may be nameless or doubled.
    let count = |name: &&&String| header.iter().filter(|column| *column == **name).count();
    let doubled = needed.iter().filter(|name| count(name) > 1);
    let mut wrong: Vec<String> =
        doubled.map(|name| format!("there are {} columns {name:?}", in_words(count(&name)))).collect();
    let likely = header.iter().map(|name| shortened(name));
    let likely = likely.filter(|name| header.len() > 1 && !name.contains(char::is_control));
    let missing: Vec<String> = needed
        .into_iter()
        .filter(|name| !header.contains(name) && !source.also_key.contains(name))
        .map(|name| match nearest(name, likely.clone()) {
            Some(near) => format!("{name:?} (did you mean “{near}”?)"),
            None => format!("{name:?}"),
        })
        .collect();
    if let (false, Some(encoding)) = (missing.is_empty(), utf16(header)) {
        let message = format!("it is UTF-16 without a byte-order mark, and is read as {}", settings.encoding);
        return Err(unusable(source, message).help(format!("set encoding = {encoding:?} for the source")));
    }
    if missing.is_empty() && wrong.is_empty() {
        return Ok(());
    }
    if !missing.is_empty() {
        let there: Vec<String> = header.iter().take(LISTED).map(|name| printable(shortened(name))).collect();
        let more = if header.len() > LISTED { ", …" } else { "" };
        let plural = if missing.len() == 1 { "" } else { "s" };
        wrong.push(format!("no column{plural} {}; it has {}{more}", missing.join(", "), there.join(", ")));
    }
    let failure = unusable(source, wrong.join("; "));
    Err(if header.iter().any(|name| name.contains('\0')) {
        failure.help("there are NUL bytes between the letters: set encoding = \"utf-16le\" or \"utf-16be\"")
    } else if header.len() == 1 {
        let delimiter = char::from(settings.delimiter).escape_default();
        let there = [';', '\t', '|', ','].into_iter().find(|other| header[0].contains(*other));
        let write = there.map(|other| format!(" Write delimiter = \"{}\"", other.escape_default()));
        let write = write.unwrap_or_default();
        failure.help(format!("there is one column only: is “{delimiter}” the right delimiter?{write}"))
    } else {
        failure.help(
            "have the export mended, or name the columns as they are; a text in an expression is in quotes: \"active\"",
        )
    })
}
