//! Lines of a stream, one in memory at a time, none longer than a row may be.

use std::io::{BufRead, Read};

use super::rows::MAX_ROW;

/// One line.
pub(in crate::source) struct Line<'a> {
    /// What it says, without its end.
    pub bytes: &'a [u8],
    /// Its number, from 1.
    pub number: u64,
    /// The stream ends with it, without a line break.
    pub unterminated: bool,
}

/// Reads lines; blank ones are passed over.
pub(in crate::source) struct Lines<R> {
    inner: R,
    line: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    pub fn new(inner: R) -> Lines<R> {
        Lines { inner, line: Vec::new(), number: 0 }
    }

    /// The next line that is not blank.
    ///
    /// # Errors
    /// It is too long, or reading stopped: a sentence.
    pub fn next(&mut self) -> Result<Option<Line<'_>>, String> {
        loop {
            self.line.clear();
            self.number += 1;
            let mut limited = (&mut self.inner).take(MAX_ROW as u64 + 1);
            let read = limited.read_until(b'\n', &mut self.line);
            if read.map_err(|error| format!("reading stopped before the end: {error}"))? == 0 {
                return Ok(None);
            }
            let ended = self.line.last() == Some(&b'\n');
            if !ended && self.line.len() > MAX_ROW {
                return Err(format!("line {} is longer than 16 MB; is it a record a line?", self.number));
            }
            if self.line.iter().any(|byte| !byte.is_ascii_whitespace()) {
                let end = self.line.len() - usize::from(ended);
                return Ok(Some(Line { bytes: &self.line[..end], number: self.number, unterminated: !ended }));
            }
        }
    }

    /// How many lines there are that are not blank.
    ///
    /// # Errors
    /// As [`Lines::next`].
    pub fn count(mut self) -> Result<u64, String> {
        let mut count = 0;
        while self.next()?.is_some() {
            count += 1;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_their_numbers_and_the_last_one_may_be_open() {
        let mut lines = Lines::new(&b"a\n\n \r\nb\r\nc"[..]);
        let mut found = Vec::new();
        while let Some(line) = lines.next().expect("a line") {
            found.push((String::from_utf8_lossy(line.bytes).into_owned(), line.number, line.unterminated));
        }
        assert_eq!(found, [("a".into(), 1, false), ("b\r".into(), 4, false), ("c".into(), 5, true)]);
        assert_eq!(Lines::new(&b"a\n\nb"[..]).count(), Ok(2));
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let long = vec![b'x'; MAX_ROW + 5];
        assert!(Lines::new(long.as_slice()).next().is_err());
    }
}
