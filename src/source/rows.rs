//! Splitting delimited text into rows, strictly, as a stream.
//!
//! The `csv` crate's reader takes whatever comes: the end of the file inside a quote gives a row like any other, text
//! after a closing quote is glued to the field, and a quote that is never closed swallows the rest of the file into
//! memory. With bans at stake each of these must be noticed, so rows are split here; the crate's writer is what the
//! tests hold this against.

use std::io::{self, ErrorKind, Read};

/// The longest field, in bytes. A field of a person is shorter by far; a longer one is a quote that was never closed.
const MAX_FIELD: usize = 1_000_000;

/// The longest row, in bytes: room for some such fields, and a bound on memory.
const MAX_ROW: usize = 16_000_000;

/// How many bytes are read at once: large enough that a system call costs little beside the splitting.
const CHUNK: usize = 64 * 1024;

/// One row, not yet decoded. Reused from row to row.
#[derive(Default)]
pub(super) struct RawRow {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// The line on which it starts, from 1.
    pub line: u64,
    /// A quoted field contains a line break.
    pub spans_lines: bool,
    /// Text follows a closing quote: where the fields are is a guess.
    pub misquoted: bool,
    /// The file ends with it, without a line break.
    pub unterminated: bool,
}

impl RawRow {
    /// How many fields it has.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The field at this place.
    pub fn field(&self, at: usize) -> Option<&[u8]> {
        let end = *self.ends.get(at)?;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        Some(&self.bytes[start..end])
    }

    /// The fields in order.
    pub fn fields(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|at| self.field(at))
    }

    /// The bytes of all fields, one after the other.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether each field is text. The whole is checked first: that is one pass for nearly every row.
    pub fn is_text(&self) -> bool {
        std::str::from_utf8(&self.bytes).is_ok_and(|text| self.ends.iter().all(|end| text.is_char_boundary(*end)))
    }

    fn clear(&mut self) {
        let RawRow { bytes, ends, line, spans_lines, misquoted, unterminated } = self;
        bytes.clear();
        ends.clear();
        *line = 0;
        (*spans_lines, *misquoted, *unterminated) = (false, false, false);
    }
}

/// What came next.
pub(super) enum Step {
    /// A row.
    Row,
    /// The end, where an end may be.
    End,
    /// No further row can be read.
    Broken(Broken),
}

/// Why no further row can be read.
pub(super) enum Broken {
    /// The file ends inside a quoted field of the row that starts on this line.
    InsideQuote(u64),
    /// A field of the row that starts on this line is too long.
    FieldTooLong(u64),
    /// The row that starts on this line is too long.
    RowTooLong(u64),
    /// Reading failed.
    Io(io::Error),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    FieldStart,
    Unquoted,
    Quoted,
    /// After a quote inside a quoted field: the end of the field, or the first of two that stand for one.
    QuoteInQuoted,
}

/// Splits what a reader gives into rows.
pub(super) struct RowReader<R> {
    inner: R,
    buffer: Box<[u8]>,
    at: usize,
    filled: usize,
    delimiter: u8,
    quote: u8,
    line: u64,
    /// The last row ended with CR: a LF that follows belongs to it.
    after_return: bool,
}

impl<R: Read> RowReader<R> {
    pub fn new(inner: R, delimiter: u8, quote: u8) -> Self {
        let buffer = vec![0; CHUNK].into_boxed_slice();
        RowReader { inner, buffer, at: 0, filled: 0, delimiter, quote, line: 1, after_return: false }
    }

    /// What it reads from.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    fn next_byte(&mut self) -> io::Result<Option<u8>> {
        if self.at == self.filled {
            self.filled = loop {
                match self.inner.read(&mut self.buffer) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    other => break other?,
                }
            };
            self.at = 0;
            if self.filled == 0 {
                return Ok(None);
            }
        }
        self.at += 1;
        Ok(Some(self.buffer[self.at - 1]))
    }

    /// Reads the next row into `row`. Empty lines are passed over.
    pub fn next(&mut self, row: &mut RawRow) -> Step {
        row.clear();
        row.line = self.line;
        let mut state = State::FieldStart;
        loop {
            let byte = match self.next_byte() {
                Ok(Some(byte)) => byte,
                Ok(None) => return end_of_input(row, state),
                Err(error) => return Step::Broken(Broken::Io(error)),
            };
            if std::mem::take(&mut self.after_return) && byte == b'\n' {
                continue;
            }
            if byte == b'\n' || (byte == b'\r' && state != State::Quoted) {
                self.line += 1;
            }
            state = match (state, byte) {
                (State::Quoted, b) if b == self.quote => State::QuoteInQuoted,
                (State::Quoted, b) => {
                    row.spans_lines |= b == b'\n' || b == b'\r';
                    row.bytes.push(b);
                    State::Quoted
                }
                (State::QuoteInQuoted, b) if b == self.quote => {
                    row.bytes.push(b);
                    State::Quoted
                }
                (_, b'\n' | b'\r') => {
                    self.after_return = byte == b'\r';
                    if state == State::FieldStart && row.ends.is_empty() {
                        row.line = self.line;
                        continue;
                    }
                    row.ends.push(row.bytes.len());
                    return Step::Row;
                }
                (_, b) if b == self.delimiter => {
                    row.ends.push(row.bytes.len());
                    State::FieldStart
                }
                (State::FieldStart, b) if b == self.quote => State::Quoted,
                (State::QuoteInQuoted, b) => {
                    row.misquoted = true;
                    row.bytes.push(b);
                    State::Unquoted
                }
                (State::FieldStart | State::Unquoted, b) => {
                    row.bytes.push(b);
                    State::Unquoted
                }
            };
            if let Some(broken) = too_long(row) {
                return Step::Broken(broken);
            }
        }
    }
}

fn too_long(row: &RawRow) -> Option<Broken> {
    let start = row.ends.last().copied().unwrap_or(0);
    if row.bytes.len() - start > MAX_FIELD {
        return Some(Broken::FieldTooLong(row.line));
    }
    (row.bytes.len() + row.ends.len() > MAX_ROW).then_some(Broken::RowTooLong(row.line))
}

fn end_of_input(row: &mut RawRow, state: State) -> Step {
    match state {
        State::FieldStart if row.ends.is_empty() => Step::End,
        State::Quoted => Step::Broken(Broken::InsideQuote(row.line)),
        State::FieldStart | State::Unquoted | State::QuoteInQuoted => {
            row.ends.push(row.bytes.len());
            row.unterminated = true;
            Step::Row
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(text: &[u8]) -> (Vec<(u64, Vec<String>)>, Option<Broken>) {
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
        let rows: [(&str, &[(u64, &[&str])]); 9] = [
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
        long.resize(MAX_FIELD + 3, b'x');
        assert!(matches!(split(&long).1, Some(Broken::InsideQuote(2))), "as long as allowed");
        long.push(b'x');
        assert!(matches!(split(&long).1, Some(Broken::FieldTooLong(2))));
        assert!(matches!(split(&vec![b','; MAX_ROW + 1]).1, Some(Broken::RowTooLong(1))));
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
    fn text_is_judged_field_by_field() {
        let mut reader = RowReader::new(&b"\xC3,\xA9\n\xC3\xA9,x\n"[..], b',', b'"');
        let mut row = RawRow::default();
        reader.next(&mut row);
        assert!(!row.is_text(), "half a character in each of two fields");
        reader.next(&mut row);
        assert!(row.is_text());
    }

    proptest! {
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
