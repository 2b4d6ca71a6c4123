//! Splitting delimited text into rows, strictly, as a stream.
//!
//! The splitting is `csv-core`'s, with a buffer of ours, so that a field without end can't fill the memory. What it
//! takes in silence must be noticed where bans are at stake: the end of the file inside a quote (it gives a row like
//! any other), text after a closing quote (it is glued to the field), a last row without a line break. So a
//! [`Watcher`] looks at the bytes that the splitter consumes, and remembers where it is in the row and nothing else.

use std::io::{self, ErrorKind, Read};
use std::ops::Range;

use csv_core::ReadRecordResult;
use memchr::memchr;

use super::plain::PlainRows;
use super::watcher::{RowState, Watcher};
use crate::domain::record::cells::put_text_within;

/// The longest field that is used, in bytes. A field of a person is shorter by far; what nobody uses may be longer, e.g. a
/// picture.
pub(in crate::source) const MAX_FIELD: usize = 1_000_000;

/// The longest row, in bytes: room for some such fields, and a bound on memory.
pub(in crate::source) const MAX_ROW: usize = 16_000_000;

/// The most fields of a row: a sheet of the common programs has 16 384 columns at most.
const MAX_FIELDS: usize = 100_000;

/// How many bytes are read at once: large enough that a system call costs little beside the splitting.
const CHUNK: usize = 64 * 1024;

/// Room for a row and for its fields to begin with; both grow as needed, up to the caps.
const FIRST_ROOM: (usize, usize) = (4096, 64);

/// One row, not yet decoded. Reused from row to row.
pub(in crate::source) struct RawRow {
    /// The fields in order, with or without what stands between them; what lies beyond `used` is room.
    bytes: Vec<u8>,
    used: usize,
    /// Where each field begins and ends.
    places: Vec<(u32, u32)>,
    /// It is known to be text without NUL bytes.
    clean: bool,
    /// Where each field ends, as the splitter tells; what lies beyond `count` is room.
    ends: Vec<usize>,
    count: usize,
    /// The line on which it starts, from 1.
    pub line: u64,
    /// Text follows a closing quote: where the fields are is a guess.
    pub misquoted: bool,
    /// A quoted field contains a line break; no other can.
    pub spans_lines: bool,
    /// The file ends with it, without a line break.
    pub unterminated: bool,
}

impl Default for RawRow {
    fn default() -> Self {
        let (bytes, ends) = (vec![0; FIRST_ROOM.0], vec![0; FIRST_ROOM.1]);
        RawRow {
            bytes,
            used: 0,
            places: Vec::new(),
            clean: false,
            ends,
            count: 0,
            line: 0,
            misquoted: false,
            spans_lines: false,
            unterminated: false,
        }
    }
}

impl RawRow {
    /// How many fields it has.
    #[inline]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// The field at this place.
    #[inline]
    pub fn field(&self, at: usize) -> Option<&[u8]> {
        self.places.get(at).map(|place| self.text(*place))
    }

    /// Appends the field at this place as a cell.
    #[inline]
    pub fn put_field(&self, at: usize, out: &mut Vec<u8>) {
        let (start, end) = self.places.get(at).copied().unwrap_or_default();
        put_text_within(out, &self.bytes, start as usize..end as usize);
    }

    /// The fields in order.
    pub fn fields(&self) -> impl Iterator<Item = &[u8]> {
        self.places.iter().map(|place| self.text(*place))
    }

    #[inline]
    fn text(&self, (start, end): (u32, u32)) -> &[u8] {
        &self.bytes[start as usize..end as usize]
    }

    /// Whether there is nothing in it but white space: what spreadsheets leave below and between the people.
    pub fn is_blank(&self) -> bool {
        let says_something = |field: &[u8]| match field.iter().find(|byte| !byte.is_ascii_whitespace()) {
            None => false,
            Some(byte) if byte.is_ascii() => true,
            Some(_) => std::str::from_utf8(field).is_ok_and(|text| !text.trim().is_empty()),
        };
        if self.fields().any(says_something) {
            return false;
        }
        let whole = self.fields().collect::<Vec<_>>().concat();
        std::str::from_utf8(&whole).is_ok_and(|text| text.trim().is_empty())
    }

    /// The place of a field that has a line break and at least so many delimiters in it: as many as a whole row.
    pub fn holds_a_row(&self, delimiter: u8, delimiters: usize) -> Option<usize> {
        let holds = |field: &[u8]| {
            field.iter().any(|byte| matches!(byte, b'\n' | b'\r'))
                && field.iter().filter(|byte| **byte == delimiter).count() >= delimiters
        };
        if self.spans_lines { self.fields().position(holds) } else { None }
    }

    /// Whether one of these fields is longer than a field may be.
    pub fn has_long(&self, fields: &[usize]) -> bool {
        let long = |at: &usize| self.field(*at).is_some_and(|field| field.len() > MAX_FIELD);
        self.used > MAX_FIELD && fields.iter().any(long)
    }

    /// The delimiter that it sets for the rest of the file, if it is such a line: `sep=;`, as spreadsheets write and
    /// obey it.
    fn delimiter(&self, between: u8) -> Option<u8> {
        if self.len() > 2 || self.misquoted {
            return None;
        }
        let text = self.fields().collect::<Vec<_>>().join(&between);
        match text.trim_ascii_start().get(..4)?.eq_ignore_ascii_case(b"sep=").then(|| &text.trim_ascii_start()[4..])? {
            b"\\t" => Some(b'\t'),
            [one] if one.is_ascii() && !one.is_ascii_alphanumeric() && !matches!(one, b'\n' | b'\r') => Some(*one),
            _ => None,
        }
    }

    /// Whether each field is text, and none has a NUL byte. The whole is checked first: that is one pass for nearly every
    /// row, where it isn't known anyway.
    pub fn is_clean(&self) -> bool {
        let whole = &self.bytes[..self.used];
        // What stands between the fields is ASCII.
        let is_text = |text: &str| self.places.iter().all(|(_, end)| text.is_char_boundary(*end as usize));
        self.clean || (memchr(0, whole).is_none() && std::str::from_utf8(whole).is_ok_and(is_text))
    }

    fn clear(&mut self) {
        self.places.clear();
        (self.used, self.count, self.line, self.clean) = (0, 0, 0, false);
        (self.misquoted, self.spans_lines, self.unterminated) = (false, false, false);
    }

    /// What is too long about it, as far as it has been read.
    fn too_long(&self, line: u64) -> Option<Broken> {
        (self.used > MAX_ROW || self.count > MAX_FIELDS).then_some(Broken::RowTooLong(line))
    }
}

/// What came next.
pub(in crate::source) enum Step {
    /// A row.
    Row,
    /// The end, where an end may be.
    End,
    /// No further row can be read.
    Broken(Broken),
}

/// Why no further row can be read.
pub(in crate::source) enum Broken {
    /// The file ends inside a quoted field of the row that starts on this line.
    InsideQuote(u64),
    /// The row that starts on this line is too long.
    RowTooLong(u64),
    /// Reading failed.
    Io(io::Error),
}

/// Splits what a reader gives into rows.
pub(in crate::source) struct RowReader<R> {
    inner: R,
    buffer: Box<[u8]>,
    at: usize,
    filled: usize,
    splitter: Box<csv_core::Reader>,
    watcher: Watcher,
    /// Nothing was given out yet.
    fresh: bool,
    /// Splits the plain rows after the first row.
    pub(super) plain: Option<PlainRows>,
    /// Of the buffer, what is known to be text without NUL bytes.
    clean: Range<usize>,
}

impl<R: Read> RowReader<R> {
    pub fn new(inner: R, delimiter: u8, quote: u8) -> Self {
        let splitter = Box::new(splitter(delimiter, quote));
        let buffer = vec![0; CHUNK].into_boxed_slice();
        let watcher = Watcher::new(delimiter, quote);
        RowReader { inner, buffer, at: 0, filled: 0, splitter, watcher, fresh: true, plain: None, clean: 0..0 }
    }

    /// What separates the fields: as configured, or as the file's first line says.
    pub fn delimiter(&self) -> u8 {
        self.watcher.delimiter
    }

    /// What it reads from.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// Reads on when everything was consumed; nothing is left after that at the end alone.
    fn fill(&mut self) -> io::Result<()> {
        if self.at < self.filled {
            return Ok(());
        }
        self.at = 0;
        self.filled = loop {
            match self.inner.read(&mut self.buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.clean = clean_part(&self.buffer[..self.filled]);
        Ok(())
    }

    /// Reads the next row into `row`. Empty lines are passed over, and a first line that sets the delimiter is obeyed.
    pub fn next(&mut self, row: &mut RawRow) -> Step {
        let mut step = self.read(row);
        if !std::mem::take(&mut self.fresh) || !matches!(step, Step::Row) {
            return step;
        }
        if let Some(delimiter) = row.delimiter(self.watcher.delimiter).filter(|d| *d != self.watcher.quote) {
            *self.splitter = splitter(delimiter, self.watcher.quote);
            self.watcher.delimiter = delimiter;
            step = self.read(row);
        }
        self.plain = Some(PlainRows { delimiter: self.watcher.delimiter, quote: self.watcher.quote });
        step
    }

    /// Reads the next row if it is a plain one that is in the buffer.
    #[inline]
    fn read_plain(&mut self, row: &mut RawRow) -> bool {
        let Some(plain) = &self.plain else { return false };
        let begin = self.at + usize::from(self.watcher.after_return && self.buffer[self.at] == b'\n');
        let Some(length) = plain.split(&self.buffer[begin..self.filled], &mut row.places) else {
            row.places.clear();
            return false;
        };
        let end = begin + length;
        if row.bytes.len() < length {
            row.bytes.resize(CHUNK, 0);
        }
        row.bytes[..length].copy_from_slice(&self.buffer[begin..end]);
        row.used = length;
        row.clean = self.clean.start <= begin && end <= self.clean.end;
        row.line = self.watcher.see_plain();
        self.at = end;
        true
    }

    fn read(&mut self, row: &mut RawRow) -> Step {
        row.clear();
        (self.watcher.misquoted, self.watcher.spans_lines) = (false, false);
        let mut begun = false;
        loop {
            if let Err(error) = self.fill() {
                return Step::Broken(Broken::Io(error));
            }
            if !std::mem::replace(&mut begun, true) && self.at < self.filled && self.read_plain(row) {
                return Step::Row;
            }
            let input = &self.buffer[self.at..self.filled];
            let (result, read, wrote, ended) =
                self.splitter.read_record(input, &mut row.bytes[row.used..], &mut row.ends[row.count..]);
            self.watcher.see(&input[..read]);
            self.at += read;
            row.used += wrote;
            row.count += ended;
            if let Some(broken) = row.too_long(self.watcher.row_line) {
                return Step::Broken(broken);
            }
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => row.bytes.resize(row.bytes.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => row.ends.resize(row.ends.len() * 2, 0),
                ReadRecordResult::End => return Step::End,
                ReadRecordResult::Record => return self.finish(row),
            }
        }
    }

    fn finish(&self, row: &mut RawRow) -> Step {
        // A row is far shorter than four gigabytes.
        let ends = row.ends[..row.count].iter().map(|end| *end as u32);
        row.places.extend(std::iter::once(0).chain(ends.clone()).zip(ends));
        row.line = self.watcher.row_line;
        row.misquoted = self.watcher.misquoted;
        row.spans_lines = self.watcher.spans_lines;
        row.unterminated = self.watcher.state != RowState::RowStart;
        if self.watcher.state == RowState::Quoted {
            return Step::Broken(Broken::InsideQuote(row.line));
        }
        Step::Row
    }
}

pub(super) fn splitter(delimiter: u8, quote: u8) -> csv_core::Reader {
    csv_core::ReaderBuilder::new().delimiter(delimiter).quote(quote).build()
}

/// The part of these bytes that is text without NUL bytes, from the first character that begins here.
fn clean_part(bytes: &[u8]) -> Range<usize> {
    let start = bytes.iter().take(3).take_while(|byte| matches!(byte, 0x80..=0xBF)).count();
    let text = match std::str::from_utf8(&bytes[start..]) {
        Ok(text) => text.len(),
        Err(error) => error.valid_up_to(),
    };
    start..start + memchr(0, &bytes[start..start + text]).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Rows with the lines on which they start.
    type Rows = Vec<(u64, Vec<String>)>;
    type Expected<'a> = &'a [(u64, &'a [&'a str])];

    fn split(text: &[u8]) -> (Rows, Option<Broken>) {
        let mut reader = RowReader::new(text, b',', b'"');
        let mut row = RawRow::default();
        let mut rows = Vec::new();
        loop {
            match reader.next(&mut row) {
                Step::Row => {
                    let fields = row.fields().map(|f| String::from_utf8_lossy(f).into_owned()).collect();
                    rows.push((row.line, fields));
                }
                Step::End => return (rows, None),
                Step::Broken(broken) => return (rows, Some(broken)),
            }
        }
    }

    #[test]
    fn rows_are_split_with_the_lines_on_which_they_start() {
        let rows: [(&str, Expected); 9] = [
            ("", &[]),
            ("a,b\n1,2\n", &[(1, &["a", "b"]), (2, &["1", "2"])]),
            ("a,b\r\n1,2", &[(1, &["a", "b"]), (2, &["1", "2"])]),
            ("a\rb\r", &[(1, &["a"]), (2, &["b"])]),
            ("\n\na\n\n\nb\n", &[(3, &["a"]), (6, &["b"])]),
            ("\"a\nb\",c\nd,\n", &[(1, &["a\nb", "c"]), (3, &["d", ""])]),
            ("\"say \"\"hi\"\"\",5\" disk\n", &[(1, &["say \"hi\"", "5\" disk"])]),
            ("\"\"\n", &[(1, &[""])]),
            (",\n", &[(1, &["", ""])]),
        ];
        for (text, expected) in rows {
            let (found, broken) = split(text.as_bytes());
            let found: Vec<(u64, Vec<&str>)> =
                found.iter().map(|(line, f)| (*line, f.iter().map(String::as_str).collect())).collect();
            let expected: Vec<(u64, Vec<&str>)> = expected.iter().map(|(line, f)| (*line, f.to_vec())).collect();
            assert_eq!(found, expected, "{text:?}");
            assert!(broken.is_none());
        }
    }

    #[test]
    fn an_open_quote_and_a_field_without_end_are_noticed() {
        let (rows, broken) = split(b"a,b\n1,\"2\n3,4\n");
        assert_eq!(rows.len(), 1);
        assert!(matches!(broken, Some(Broken::InsideQuote(2))));
        let mut long = b"a\n\"".to_vec();
        long.resize(MAX_ROW + 3, b'x');
        assert!(matches!(split(&long).1, Some(Broken::InsideQuote(2))), "as long as allowed");
        long.push(b'x');
        assert!(matches!(split(&long).1, Some(Broken::RowTooLong(2))));
        assert!(matches!(split(&vec![b','; MAX_FIELDS + 1]).1, Some(Broken::RowTooLong(1))));
        let wide = vec![[b'x'; 999_999].as_slice(); 17].join(&b',');
        assert!(matches!(split(&wide).1, Some(Broken::RowTooLong(1))));
    }

    #[test]
    fn what_is_odd_about_a_row_is_said() {
        for (text, misquoted, spans, unterminated) in [
            ("\"a\"b,c\n", true, false, false),
            ("\"a\nb\",c", false, true, true),
            ("a,b", false, false, true),
            ("a,b\n", false, false, false),
        ] {
            let mut reader = RowReader::new(text.as_bytes(), b',', b'"');
            let mut row = RawRow::default();
            assert!(matches!(reader.next(&mut row), Step::Row));
            assert_eq!(
                (row.misquoted, row.spans_lines, row.unterminated),
                (misquoted, spans, unterminated),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_first_line_that_sets_the_delimiter_is_obeyed_and_is_no_row() {
        for text in ["sep=;\na;b\n1;2\n", "\"sep=;\"\r\na;b\r\n1;2\r\n", "SEP=;\ra;b\r1;2\r", "\nsep=;\na;b\n1;2"] {
            let (rows, broken) = split(text.as_bytes());
            assert!(broken.is_none());
            let fields: Vec<_> = rows.iter().map(|(_, fields)| fields.join("|")).collect();
            assert_eq!(fields, ["a|b", "1|2"], "{text:?}");
        }
        assert_eq!(split(b"sep=,\na,b\n").0, [(2, vec!["a".to_string(), "b".into()])], "the one it has anyway");
        for tab in ["sep=\t\na\tb\n", "sep=\\t\na\tb\n"] {
            assert_eq!(split(tab.as_bytes()).0, [(2, vec!["a".to_string(), "b".into()])], "{tab:?}");
        }
        for header in ["sep=\n", "sep=x\n", "sep=;;\n", "a,sep=;\n", "sep=\"\n"] {
            assert_eq!(split(header.as_bytes()).0.len(), 1, "{header:?}");
        }
        assert_eq!(split(b"a,b\nsep=;\n1,2\n").0.len(), 3, "the first line alone");
    }

    #[test]
    fn a_field_that_holds_a_row_is_found() {
        for (text, found) in [
            ("\"x,y\nz,w\",c\n", Some(0)),
            ("a,\"x\ry,z\"\n", None),
            ("a,\"x\ry,z,\"\n", Some(1)),
            ("\"x,y,z,w\",c\n", None),
            ("\"x\n\",\"a,b,c\"\n", None),
        ] {
            let mut reader = RowReader::new(text.as_bytes(), b',', b'"');
            let mut row = RawRow::default();
            assert!(matches!(reader.next(&mut row), Step::Row));
            assert_eq!(row.holds_a_row(b',', 2), found, "{text:?}");
        }
    }

    #[test]
    fn text_is_judged_field_by_field() {
        let mut reader = RowReader::new(&b"\xC3,\xA9\n\xC3\xA9,x\n"[..], b',', b'"');
        let mut row = RawRow::default();
        reader.next(&mut row);
        assert!(!row.is_clean(), "half a character in each of two fields");
        reader.next(&mut row);
        assert!(row.is_clean());
    }

    proptest! {
        #![proptest_config(crate::domain::properties::cases(256))]

        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            split(&bytes);
        }

        #[test]
        fn what_the_csv_crate_writes_comes_back(
            table in proptest::collection::vec(proptest::collection::vec("[a-c,\"\n\r ü]{0,6}", 3), 0..20),
            windows in any::<bool>(),
        ) {
            let end = if windows { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
            let mut writer = csv::WriterBuilder::new().terminator(end).from_writer(Vec::new());
            for row in &table {
                writer.write_record(row).expect("into memory");
            }
            let (rows, broken) = split(&writer.into_inner().expect("flushed"));
            prop_assert!(broken.is_none());
            prop_assert_eq!(rows.into_iter().map(|(_, fields)| fields).collect::<Vec<_>>(), table);
        }
    }
}
