//! From bytes in any encoding to UTF-8, as a stream.
//!
//! What can't be decoded must not become a replacement character and end up in somebody's name: it becomes the byte
//! 0xFF, which no UTF-8 text contains, so that the reader rejects the very record and names the column.

use std::io::{self, ErrorKind, Read};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8};

/// What stands for an undecodable sequence.
const UNDECODABLE: u8 = 0xFF;

/// How many bytes are decoded at once: large enough that a system call costs little beside the decoding.
const CHUNK: usize = 32 * 1024;

/// The longest byte-order mark.
const MARK: usize = 3;

/// A reader of UTF-8 over a reader of some encoding; a byte-order mark wins over the label, and is dropped.
pub(in crate::source) struct Utf8Reader<R> {
    inner: R,
    label: &'static Encoding,
    state: State,
    /// Bytes that were read and not yet handed out (or decoded).
    input: Vec<u8>,
    at: usize,
}

enum State {
    /// Nothing was read yet.
    Fresh,
    /// It is UTF-8 already.
    Plain,
    /// It is decoded; `output` is what was not yet handed out.
    Decoding { decoder: Box<Decoder>, output: Vec<u8>, out: usize, ended: bool },
}

impl<R: Read> Utf8Reader<R> {
    /// Reads `inner` in the encoding of this label; none when there is no such encoding.
    pub fn new(inner: R, label: &str) -> Option<Utf8Reader<R>> {
        let label = Encoding::for_label_no_replacement(label.as_bytes())?;
        Some(Utf8Reader { inner, label, state: State::Fresh, input: Vec::new(), at: 0 })
    }

    /// The name of the encoding, as far as it is known by now.
    pub fn encoding(&self) -> &'static str {
        self.label.name()
    }

    /// Looks for a byte-order mark and settles on an encoding.
    fn begin(&mut self) -> io::Result<()> {
        let mut start = [0; MARK];
        let mut filled = 0;
        while filled < MARK {
            match read(&mut self.inner, &mut start[filled..])? {
                0 => break,
                n => filled += n,
            }
        }
        let mark = Encoding::for_bom(&start[..filled]);
        let (encoding, skip) = mark.unwrap_or((self.label, 0));
        self.label = encoding;
        self.input = start[skip..filled].to_vec();
        self.at = 0;
        self.state = if encoding == UTF_8 {
            State::Plain
        } else {
            let decoder = Box::new(encoding.new_decoder_without_bom_handling());
            State::Decoding { decoder, output: Vec::new(), out: 0, ended: false }
        };
        Ok(())
    }
}

fn read(inner: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match inner.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

impl<R: Read> Read for Utf8Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if matches!(self.state, State::Fresh) {
            self.begin()?;
        }
        let State::Decoding { decoder, output, out, ended } = &mut self.state else {
            if self.at < self.input.len() {
                let n = hand_out(&self.input[self.at..], buffer);
                self.at += n;
                return Ok(n);
            }
            return read(&mut self.inner, buffer);
        };
        while *out == output.len() {
            if *ended {
                return Ok(0);
            }
            if self.at == self.input.len() {
                self.input.resize(CHUNK, 0);
                let n = read(&mut self.inner, &mut self.input)?;
                self.input.truncate(n);
                self.at = 0;
                *ended = n == 0;
            }
            self.at += decode(decoder, &self.input[self.at..], output, *ended);
            *out = 0;
        }
        let n = hand_out(&output[*out..], buffer);
        *out += n;
        Ok(n)
    }
}

fn hand_out(from: &[u8], to: &mut [u8]) -> usize {
    let n = from.len().min(to.len());
    to[..n].copy_from_slice(&from[..n]);
    n
}

/// Decodes all of the input into a fresh output; returns how much was consumed, which is all.
fn decode(decoder: &mut Decoder, input: &[u8], output: &mut Vec<u8>, last: bool) -> usize {
    output.clear();
    let mut consumed = 0;
    loop {
        let written = output.len();
        let room = decoder.max_utf8_buffer_length_without_replacement(input.len() - consumed).unwrap_or(CHUNK);
        output.resize(written + room, 0);
        let (result, read, wrote) =
            decoder.decode_to_utf8_without_replacement(&input[consumed..], &mut output[written..], last);
        output.truncate(written + wrote);
        consumed += read;
        match result {
            DecoderResult::InputEmpty => return consumed,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => output.push(UNDECODABLE),
        }
    }
}

/// What is said where an encoding was asked for that is none.
pub(in crate::source) fn no_encoding() -> io::Error {
    io::Error::other("there is no such encoding")
}

#[cfg(test)]
mod tests {
    use super::super::trickle::Trickle;
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8], label: &str, step: usize) -> Vec<u8> {
        let mut text = Vec::new();
        let mut reader = Utf8Reader::new(Trickle(bytes, step), label).expect("a known encoding");
        reader.read_to_end(&mut text).expect("no error");
        text
    }

    fn utf16(text: &str, mark: bool) -> Vec<u8> {
        let units = mark.then_some(0xFEFF).into_iter().chain(text.encode_utf16());
        units.flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn marks_win_over_labels_and_are_dropped() {
        for step in [1, 2, 3, 64] {
            assert_eq!(all("Zürich".as_bytes(), "utf-8", step), "Zürich".as_bytes());
            assert_eq!(all(b"\xEF\xBB\xBFa,b", "windows-1252", step), b"a,b");
            assert_eq!(all(b"Z\xFCrich", "windows-1252", step), "Zürich".as_bytes());
            assert_eq!(all(&utf16("Zürich 🦀", true), "utf-8", step), "Zürich 🦀".as_bytes());
            assert_eq!(all(&utf16("Zürich", false), "utf-16", step), "Zürich".as_bytes());
            assert_eq!(all(b"\xFE\xFF\0a", "utf-8", step), b"a");
            assert_eq!(all(b"", "utf-16", step), b"");
            assert_eq!(all(b"a", "utf-8", step), b"a");
        }
        assert!(Utf8Reader::new(io::empty(), "utf-9").is_none());
    }

    #[test]
    fn what_cannot_be_decoded_is_never_replaced_by_text() {
        assert_eq!(all(b"\0a\xD8\0\0b", "utf-16be", 1), b"a\xFFb", "half of a pair");
        assert_eq!(all(b"\0a\0", "utf-16be", 1), b"a\xFF", "half of a unit");
        assert!(all(b"x\x81\x20y", "shift_jis", 2).contains(&UNDECODABLE));
        assert_eq!(all(b"a\xFFb", "utf-8", 1), b"a\xFFb", "UTF-8 is left to the reader of rows");
    }

    proptest! {
        #![proptest_config(crate::domain::properties::cases(256))]

        #[test]
        fn any_text_survives_in_any_step(text in "\\PC{0,60}", step in 1usize..9) {
            prop_assert_eq!(all(&utf16(&text, true), "utf-8", step), text.as_bytes());
        }

        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..200), step in 1usize..9) {
            for label in ["utf-16", "gb18030", "iso-2022-jp", "windows-1252", "utf-8"] {
                all(&bytes, label, step);
            }
        }
    }
}
