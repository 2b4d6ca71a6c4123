//! The last line of a text where it is no row: it is held back, and says how many rows came before it.
//!
//! It is matched as text, before anything is split at delimiters, so that it may look like whatever the other program
//! writes. Only a line that the text really ends with is held back: what is cut off anywhere before has none.

use std::io::{self, ErrorKind, Read};

use regex::Regex;

/// A line that is longer than this is no trailer.
const LONGEST: usize = 64 * 1024;

/// How many bytes are read at once.
const CHUNK: usize = 32 * 1024;

/// What the end of a text showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source) enum Trailer {
    /// There is none, or the end was not reached.
    Missing,
    /// There is one, and its group is no number.
    NoNumber,
    /// So many rows came before it.
    Rows(u64),
}

impl Trailer {
    /// What is wrong with it, where so many rows came before it, some of which are `blank` and may be counted or not.
    ///
    /// # Errors
    /// A sentence.
    pub fn agrees_with(self, rows: u64, blank: u64) -> Result<(), String> {
        match self {
            Trailer::Missing => {
                Err("it has no trailer: its last line is not as trailer says, so it may be cut off".into())
            }
            Trailer::NoNumber => Err("its trailer holds no number of rows".into()),
            Trailer::Rows(number) if (rows - blank.min(rows)..=rows).contains(&number) => Ok(()),
            Trailer::Rows(number) => Err(format!("its trailer counts {number} rows, and {rows} came before it")),
        }
    }
}

/// A text without its trailer.
pub(in crate::source) struct Untrailed<R> {
    inner: R,
    pattern: Option<Regex>,
    /// The last line so far, which may be the last of all, and what is blank behind it. Before `at` it was handed out.
    held: Vec<u8>,
    /// What may be handed out of `held`.
    free: usize,
    at: usize,
    /// Whether `held` begins in the middle of a line.
    inside: bool,
    ended: bool,
    found: Trailer,
}

impl<R> Untrailed<R> {
    /// A text whose last line is a trailer if it matches; without a pattern, the text as it is.
    pub fn new(inner: R, pattern: Option<Regex>) -> Untrailed<R> {
        Untrailed {
            inner,
            pattern,
            held: Vec::new(),
            free: 0,
            at: 0,
            inside: false,
            ended: false,
            found: Trailer::Missing,
        }
    }

    /// What it reads from.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// What its end showed, once it has been read to there.
    pub fn trailer(&self) -> Trailer {
        self.found
    }

    /// Sets free what can't be the last line.
    fn release(&mut self) {
        let blank = |byte: &u8| byte.is_ascii_whitespace();
        let text = self.held.iter().rposition(|byte| !blank(byte)).map_or(0, |last| last + 1);
        let line = self.held[..text].iter().rposition(|byte| matches!(byte, b'\n' | b'\r')).map_or(0, |end| end + 1);
        self.inside &= line == 0;
        self.free = if self.held.len() - line > LONGEST {
            self.inside = true;
            self.held.len()
        } else if self.inside {
            // The rest of a line that was too long, up to its end.
            text
        } else {
            line
        };
    }

    /// The end: what is held back is the trailer, or it is let go.
    fn finish(&mut self, pattern: &Regex) {
        self.ended = true;
        self.free = self.held.len();
        let last = std::str::from_utf8(&self.held[self.at..]).map(str::trim).unwrap_or_default();
        if let Some(group) = pattern.captures(last).filter(|_| !self.inside && !last.is_empty()) {
            let number = group.get(1).and_then(|number| number.as_str().trim().parse().ok());
            self.found = number.map_or(Trailer::NoNumber, Trailer::Rows);
            self.free = self.at;
        }
    }
}

impl<R: Read> Read for Untrailed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(pattern) = self.pattern.clone() else { return self.inner.read(buffer) };
        while self.at == self.free && !self.ended {
            self.held.drain(..self.at);
            (self.at, self.free) = (0, 0);
            let before = self.held.len();
            self.held.resize(before + CHUNK, 0);
            let read = self.inner.read(&mut self.held[before..]);
            self.held.truncate(before + read.as_ref().copied().unwrap_or_default());
            match read {
                Ok(0) => self.finish(&pattern),
                Ok(_) => self.release(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let n = buffer.len().min(self.free - self.at);
        buffer[..n].copy_from_slice(&self.held[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::super::trickle::Trickle;
    use super::*;
    use proptest::prelude::*;

    fn read(text: &[u8], step: usize) -> (Vec<u8>, Trailer) {
        let pattern = Regex::new("^TOTAL;([0-9]*)").expect("a pattern");
        let mut reader = Untrailed::new(Trickle(text, step), Some(pattern));
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).expect("read");
        (rest, reader.trailer())
    }

    #[test]
    fn the_last_line_is_held_back_where_it_is_a_trailer() {
        for (text, rest, trailer) in [
            ("a;b\n1;2\nTOTAL;1\n", "a;b\n1;2\n", Trailer::Rows(1)),
            ("a;b\r\n1;2\r\nTOTAL;1", "a;b\r\n1;2\r\n", Trailer::Rows(1)),
            ("a;b\r1;2\rTOTAL;1;;\r\r", "a;b\r1;2\r", Trailer::Rows(1)),
            ("a\nTOTAL;0\n \n\n", "a\n", Trailer::Rows(0)),
            ("TOTAL;5", "", Trailer::Rows(5)),
            ("a\nTOTAL;\n", "a\n", Trailer::NoNumber),
            ("a\nTOTAL;99999999999999999999\n", "a\n", Trailer::NoNumber),
            ("a\nTOTAL;1\nb\n", "a\nTOTAL;1\nb\n", Trailer::Missing),
            ("a\nb\n", "a\nb\n", Trailer::Missing),
            ("a\nb", "a\nb", Trailer::Missing),
            ("", "", Trailer::Missing),
        ] {
            for step in [1, 2, 3, 64] {
                let (given, found) = read(text.as_bytes(), step);
                assert_eq!((String::from_utf8_lossy(&given).as_ref(), found), (rest, trailer), "{text:?} by {step}");
            }
        }
        let long = format!("a\nTOTAL;{}\n", "1".repeat(LONGEST + 5));
        assert_eq!(read(long.as_bytes(), 1_000), (long.clone().into_bytes(), Trailer::Missing));
        let after = format!("{long}TOTAL;7\n");
        assert_eq!(read(after.as_bytes(), 1_000), (long.into_bytes(), Trailer::Rows(7)));
    }

    proptest! {
        #![proptest_config(crate::domain::properties::cases(256))]

        #[test]
        fn nothing_is_lost_or_invented(text in "[ab\\n\\r ;]{0,60}", step in 1usize..9, ends in any::<bool>()) {
            let whole = if ends { format!("{text}\nTOTAL;3\n") } else { text.clone() };
            let (rest, found) = read(whole.as_bytes(), step);
            match ends {
                true => {
                    prop_assert_eq!(found, Trailer::Rows(3));
                    prop_assert_eq!(rest, format!("{text}\n").into_bytes());
                }
                false => prop_assert_eq!(rest, text.into_bytes()),
            }
        }
    }
}
