//! The text of a page on its way to the parser, of which a part is in sight: a record that is wholly in sight is parsed
//! where it lies.
//!
//! A parser of a stream takes byte after byte, several times as long as one of a slice does, and nearly all of a page is
//! records. So the walk that finds them stays what it is, and where it comes upon an object, that one is parsed here, as
//! a text of its own; the walk's parser gets its braces alone. What can't be parsed here (it is cut off, no JSON, longer than what
//! is in sight) is left to that parser from its first byte on, so that whatever is wrong is noticed as it always is.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Read};

use memchr::{memchr_iter, memrchr};
use serde::de::{DeserializeSeed, IgnoredAny};
use serde_json::Deserializer;

/// How much is in sight at most: far more than a record is long.
const SIGHT: usize = 256 * 1024;

/// How long a record is taken to be at least.
const NEAR: usize = 512;

/// A line and the bytes before a place on it, as parsers count them.
#[derive(Clone, Copy)]
struct Spot {
    line: usize,
    column: usize,
}

impl Spot {
    const START: Spot = Spot { line: 1, column: 0 };

    fn pass_byte(&mut self, byte: u8) {
        let column = self.column + 1;
        (self.line, self.column) = if byte == b'\n' { (self.line + 1, 0) } else { (self.line, column) };
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.line += memchr_iter(b'\n', bytes).count();
        self.column = match memrchr(b'\n', bytes) {
            Some(last) => bytes.len() - last - 1,
            None => self.column + bytes.len(),
        };
    }
}

/// The text, from what was given out last.
pub(super) struct Window<'r> {
    inner: &'r mut dyn Read,
    buffer: Vec<u8>,
    /// What of the buffer was given out, or parsed here.
    at: usize,
    failed: Option<io::Error>,
    ended: bool,
    /// The next record is taken to be no longer, by how long those before it were.
    near: usize,
    /// Where we are, and where the parser takes us to be.
    place: Spot,
    told: Spot,
    /// The same, after the last record that was parsed here.
    after_record: (Spot, Spot),
}

impl<'r> Window<'r> {
    pub fn new(inner: &'r mut dyn Read) -> Window<'r> {
        let start = Spot::START;
        let after_record = (start, start);
        let (place, told) = (start, start);
        Window { inner, buffer: Vec::new(), at: 0, failed: None, ended: false, near: NEAR, place, told, after_record }
    }

    /// Brings as much in sight as there is room for, the byte given out last included; whether that is more than before.
    fn see_more(&mut self) -> bool {
        let kept = self.at.saturating_sub(1);
        self.buffer.drain(..kept);
        self.at -= kept;
        let before = self.buffer.len();
        let mut filled = before;
        self.buffer.resize(SIGHT, 0);
        while filled < SIGHT && !self.ended && self.failed.is_none() {
            match self.inner.read(&mut self.buffer[filled..]) {
                Ok(n) => (filled, self.ended) = (filled + n, n == 0),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => self.failed = Some(error),
            }
        }
        self.buffer.truncate(filled);
        filled > before
    }

    /// Parses the object whose first byte was given out last. Nothing where there is none, or where it is not for here:
    /// then nothing has happened.
    pub fn parse<T>(&mut self, seed: impl Copy + for<'de> DeserializeSeed<'de, Value = T>) -> Option<T> {
        let mut length = self.near;
        loop {
            let text = self.buffer.get(self.at.checked_sub(1)?..)?;
            if text.first() != Some(&b'{') {
                return None;
            }
            // A parser of text checks none of it, so what is near is checked at once. It may end within a letter.
            let near = &text[..text.len().min(length)];
            let near = match std::str::from_utf8(near) {
                Ok(near) => near,
                Err(error) => std::str::from_utf8(&near[..error.valid_up_to()]).unwrap_or_default(),
            };
            let mut parser = Deserializer::from_str(near);
            match seed.deserialize(&mut parser) {
                Ok(made) => {
                    let parsed = parser.into_iter::<IgnoredAny>().byte_offset();
                    let inside = near.as_bytes().get(1..parsed.checked_sub(1)?)?;
                    self.place.pass(inside);
                    self.at += inside.len();
                    self.near = NEAR.max(2 * parsed).max(self.near - self.near / 8);
                    self.after_record = (self.place, self.told);
                    return Some(made);
                }
                Err(error) if !error.is_eof() => return None,
                Err(_) if length < text.len() => length *= 4,
                Err(_) if self.see_more() => {}
                Err(_) => return None,
            }
        }
    }

    /// Where in the text the parser means, when it complains of this line and column.
    pub fn place_of(&self, line: usize, column: usize) -> (usize, usize) {
        let (place, told) = self.after_record;
        // After the last record, it has had all there was.
        let column = if line == told.line { (column + place.column).saturating_sub(told.column) } else { column };
        ((line + place.line).saturating_sub(told.line), column)
    }
}

/// What the parser reads.
pub(super) struct Feed<'w, 'r>(pub &'w RefCell<Window<'r>>);

impl Read for Feed<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let window = &mut *self.0.borrow_mut();
        if window.at == window.buffer.len() && !window.see_more() {
            return window.failed.take().map_or(Ok(0), Err);
        }
        let rest = &window.buffer[window.at..];
        let given = &rest[..rest.len().min(out.len())];
        out[..given.len()].copy_from_slice(given);
        for byte in given {
            window.place.pass_byte(*byte);
            window.told.pass_byte(*byte);
        }
        window.at += given.len();
        Ok(given.len())
    }
}
