//! Where in a row of delimited text the bytes seen so far end, and on which line: what the splitter doesn't tell of the bytes that it
//! consumes.

use memchr::{memchr, memchr2};

/// Where in a row the bytes seen so far end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RowState {
    RowStart,
    FieldStart,
    Unquoted,
    Quoted,
    /// After a quote inside a quoted field: the end of the field, or the first of two that stand for one.
    QuoteInQuoted,
}

/// Sees what the splitter doesn't tell.
pub(super) struct Watcher {
    pub delimiter: u8,
    pub quote: u8,
    pub state: RowState,
    /// The last byte was CR: a LF that follows belongs to it.
    pub after_return: bool,
    line: u64,
    /// The line on which the row under way began.
    pub row_line: u64,
    pub misquoted: bool,
    pub spans_lines: bool,
}

impl Watcher {
    pub fn new(delimiter: u8, quote: u8) -> Self {
        let state = RowState::RowStart;
        Watcher {
            delimiter,
            quote,
            state,
            after_return: false,
            line: 1,
            row_line: 1,
            misquoted: false,
            spans_lines: false,
        }
    }

    /// Sees a plain row; the line on which it stands.
    #[inline]
    pub fn see_plain(&mut self) -> u64 {
        let line = self.line;
        (self.row_line, self.line, self.after_return) = (line, line + 1, false);
        line
    }

    /// Sees what the splitter consumed at once: never more than the bytes of one row, with blank lines before it. So line
    /// breaks are before the row's first byte, within quotes, or the last byte, and only quotes have to be looked for.
    pub fn see(&mut self, bytes: &[u8]) {
        let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
        let mut rest = bytes;
        if self.state == RowState::RowStart {
            let blank = bytes.iter().take_while(|byte| is_break(byte)).count();
            self.see_each(&bytes[..blank]);
            rest = &bytes[blank..];
        }
        while !rest.is_empty() {
            let (skipped, seen) = match (self.state, memchr(self.quote, rest)) {
                (RowState::QuoteInQuoted, _) => (0, 1),
                (RowState::Quoted, quote) => {
                    let text = &rest[..quote.unwrap_or(rest.len())];
                    match memchr2(b'\n', b'\r', text) {
                        Some(_) => self.see_each(text),
                        None => self.after_return &= text.is_empty(),
                    }
                    (text.len(), usize::from(quote.is_some()))
                }
                (_, Some(quote)) => (self.see_fields(&rest[..quote]), 1),
                (_, None) => {
                    let end = usize::from(rest.last().is_some_and(is_break));
                    (self.see_fields(&rest[..rest.len() - end]), end)
                }
            };
            self.see_each(&rest[skipped..skipped + seen]);
            rest = &rest[skipped + seen..];
        }
    }

    /// Sees a part of a row that holds neither quotes nor line breaks; how long it is.
    #[inline]
    fn see_fields(&mut self, fields: &[u8]) -> usize {
        if let Some(last) = fields.last() {
            if self.state == RowState::RowStart {
                self.row_line = self.line;
            }
            self.after_return = false;
            self.state = if *last == self.delimiter { RowState::FieldStart } else { RowState::Unquoted };
        }
        fields.len()
    }

    fn see_each(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let breaks = matches!(byte, b'\n' | b'\r');
            if self.state == RowState::RowStart && !breaks {
                self.row_line = self.line;
            }
            self.line += u64::from(byte == b'\r' || (byte == b'\n' && !self.after_return));
            self.after_return = byte == b'\r';
            self.state = match self.state {
                RowState::Quoted if byte == self.quote => RowState::QuoteInQuoted,
                RowState::Quoted => {
                    self.spans_lines |= breaks;
                    RowState::Quoted
                }
                RowState::QuoteInQuoted if byte == self.quote => RowState::Quoted,
                _ if breaks => RowState::RowStart,
                _ if byte == self.delimiter => RowState::FieldStart,
                RowState::RowStart | RowState::FieldStart if byte == self.quote => RowState::Quoted,
                RowState::QuoteInQuoted => {
                    self.misquoted = true;
                    RowState::Unquoted
                }
                RowState::RowStart | RowState::FieldStart | RowState::Unquoted => RowState::Unquoted,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::splitter;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::domain::properties::cases(500))]

        #[test]
        fn what_is_seen_at_once_is_what_is_seen_byte_by_byte(
            text in "[ab,\"\r\n]{0,60}", cuts in proptest::collection::vec(1..9usize, 60),
        ) {
            let mut splitter = splitter(b',', b'"');
            let [mut fast, mut slow] = [Watcher::new(b',', b'"'), Watcher::new(b',', b'"')];
            let (mut fields, mut ends) = (vec![0; 64], vec![0; 64]);
            let (mut rest, mut cuts) = (text.as_bytes(), cuts.into_iter());
            while !rest.is_empty() {
                let input = &rest[..rest.len().min(cuts.next().unwrap_or(usize::MAX))];
                let (_, read, ..) = splitter.read_record(input, &mut fields, &mut ends);
                fast.see(&input[..read]);
                slow.see_each(&input[..read]);
                let told = |w: &Watcher| (w.state as u8, w.after_return, w.line, w.row_line, w.misquoted, w.spans_lines);
                prop_assert_eq!(told(&fast), told(&slow));
                rest = &rest[read..];
            }
        }
    }
}
