//! A file being read: the bytes as they are, counted, unpacked, and watched for changes meanwhile.
//!
//! What is packed is told by its first bytes rather than by its name, so that standard input is unpacked too. A
//! compressed file can unpack to far more than fits anywhere: see [`MAX_RATIO`].

use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::super::trust::Completeness;
use super::Transport;
use crate::config::settings::{FileSettings, SourceSettings};
use crate::domain::address::scrubbed;
use crate::domain::error::{Error, Failure, Result, SourceReason};
use crate::os::bounded_file;

/// To how many times its size a file may unpack. Exports of people shrink to a tenth, highly repetitive ones to a
/// fiftieth; a bomb is made to shrink to a thousandth.
const MAX_RATIO: u64 = 200;

/// Below this many unpacked bytes no ratio is a bomb.
const HARMLESS: u64 = 10_000_000;

/// How many packed bytes are read at once.
const CHUNK: usize = 64 * 1024;

/// How gzip (RFC 1952) and zstd (RFC 8878) begin.
const GZIP: &[u8] = &[0x1F, 0x8B];
const ZSTD: &[u8] = &[0x28, 0xB5, 0x2F, 0xFD];

impl Transport for FileSettings {
    fn open(&self, source: &SourceSettings) -> Result<Input> {
        Input::open(source, &self.path)
    }
}

/// What is read, unpacked where it is packed.
pub(in crate::source) struct Input {
    unpacked: Box<dyn Read + Send>,
    packed: bool,
    passed: Arc<Passed>,
    given: u64,
    limit: u64,
    watched: Option<Arc<Watched>>,
}

/// What passed so far.
#[derive(Default)]
struct Passed {
    /// Bytes taken from what is read, packed as they are.
    taken: AtomicU64,
    /// Why no more was given, where it unpacks to more than it may.
    refused: OnceLock<String>,
}

/// Knows of an [`Input`] that somebody else reads whether what came is what was opened.
pub(in crate::source) struct Witness {
    passed: Arc<Passed>,
    watched: Option<Arc<Watched>>,
}

impl Witness {
    /// Whether what was read is what was opened. `to_the_end`: nothing was left over.
    pub fn unchanged(&self, to_the_end: bool) -> bool {
        let taken = self.passed.taken.load(Ordering::Relaxed);
        self.watched.as_ref().is_none_or(|file| file.unchanged(to_the_end.then_some(taken)))
    }

    /// The last word on a read that came to its end, or to where it broke.
    pub fn ended(&self, completeness: Completeness) -> Completeness {
        // What unpacks without end is no part of anything.
        if let Some(why) = self.passed.refused.get() {
            return Completeness::Unusable(why.clone());
        }
        match self.unchanged(completeness == Completeness::Complete) {
            true => completeness,
            false => Completeness::Unusable("the file changed while it was read; try again".into()),
        }
    }
}

impl Input {
    /// Opens a file; `-` is standard input.
    ///
    /// # Errors
    /// 69 when there is no such file or it can't be opened, 65 when it is a directory, or not packed as its name says.
    pub fn open(source: &SourceSettings, path: &Path) -> Result<Input> {
        let unreadable = |error| unusable(source, "it can't be read".into()).because(error);
        if path == Path::new("-") {
            return Input::new(Box::new(io::stdin()), None).map_err(unreadable);
        }
        let (file, metadata) = open_file(source, path)?;
        let watched = file.try_clone().ok().map(|file| Watched::new(file, &metadata));
        let input = Input::new(Box::new(file), watched).map_err(unreadable)?;
        let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        if matches!(extension.as_str(), "gz" | "zst") && !input.packed {
            let kind = if extension == "gz" { "gzip" } else { "zstd" };
            return Err(unusable(source, format!("the file's name ends in .{extension}, and it is not {kind}"))
                .help("see whether the export was cut off or is made differently now"));
        }
        Ok(input)
    }

    /// What comes from somewhere else than a file.
    ///
    /// # Errors
    /// The first bytes can't be read.
    pub fn new(inner: Box<dyn Read + Send>, watched: Option<Watched>) -> io::Result<Input> {
        let passed = Arc::new(Passed::default());
        let tap = Tap { inner, passed: Arc::clone(&passed) };
        let mut buffered = BufReader::with_capacity(CHUNK, tap);
        // A pipe may give a byte at a time, and the buffer can't be filled twice: so few bytes are read by themselves.
        let mut start = [0; ZSTD.len()];
        let filled = fill(&mut buffered, &mut start)?;
        let start = start[..filled].to_vec();
        let kind = start.clone();
        let whole = io::Cursor::new(start).chain(buffered);
        let (unpacked, packed): (Box<dyn Read + Send>, bool) = if kind.starts_with(GZIP) {
            (Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(CHUNK, whole))), true)
        } else if kind.starts_with(ZSTD) {
            (Box::new(Zstd::new(whole)), true)
        } else {
            (Box::new(whole), false)
        };
        Ok(Input { unpacked, packed, passed, given: 0, limit: u64::MAX, watched: watched.map(Arc::new) })
    }

    /// The same, of which no more than so many bytes may come, unpacked.
    pub fn limited(self, limit: u64) -> Input {
        Input { limit, ..self }
    }

    /// When the file was last changed, where there is a file.
    pub fn modified_at(&self) -> Option<DateTime<Utc>> {
        self.watched.as_ref().and_then(|f| f.modified).and_then(crate::os::clock::of_file)
    }

    /// Who can tell, when it was read, whether that was all.
    pub fn witness(&self) -> Witness {
        Witness { passed: Arc::clone(&self.passed), watched: self.watched.clone() }
    }

    fn refuse(&self, why: String) -> io::Error {
        io::Error::other(self.passed.refused.get_or_init(|| why).clone())
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = match self.unpacked.read(buffer) {
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && self.packed => {
                return Err(io::Error::new(error.kind(), "the compressed data is cut off"));
            }
            Err(error) => return Err(error),
        };
        self.given += n as u64;
        if self.packed && self.given > HARMLESS && self.given / MAX_RATIO > self.passed.taken.load(Ordering::Relaxed) {
            return Err(self.refuse(format!("it unpacks to more than {MAX_RATIO} times its size")));
        }
        if self.given > self.limit {
            return Err(self.refuse(format!("it unpacks to more than {} bytes", self.limit)));
        }
        Ok(n)
    }
}

fn fill(from: &mut impl BufRead, to: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < to.len() {
        match from.read(&mut to[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Unpacks zstd (RFC 8878) as its command line does: frame after frame, skippable ones passed over, each held against its
/// length and its checksum. A frame that wants a window of more than 128 MB is refused.
pub(in crate::source) struct Zstd<R> {
    packed: R,
    frame: FrameDecoder,
    /// How many bytes of the frame were given out; none between frames.
    given: Option<u64>,
}

impl<R: BufRead> Zstd<R> {
    /// Reads nothing yet.
    pub fn new(packed: R) -> Zstd<R> {
        Zstd { packed, frame: FrameDecoder::new(), given: None }
    }

    /// Begins the next frame that is not skippable, if there is one.
    fn begin(&mut self) -> io::Result<()> {
        while !self.packed.fill_buf()?.is_empty() {
            match self.frame.reset(&mut self.packed) {
                Ok(()) => {
                    self.given = Some(0);
                    return Ok(());
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    let length = u64::from(length);
                    if io::copy(&mut (&mut self.packed).take(length), &mut io::sink())? < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(of_frame(error)),
            }
        }
        Ok(())
    }

    /// Whether the frame that ended has the length and the checksum that it names, where it names them.
    fn whole(&self, given: u64) -> bool {
        let announced = self.frame.content_size();
        let named = self.frame.get_checksum_from_data();
        (announced == 0 || announced == given) && (named.is_none() || named == self.frame.get_calculated_checksum())
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.given.is_none() {
                self.begin()?;
            }
            let Some(given) = self.given else { return Ok(0) };
            while self.frame.can_collect() == 0 && !self.frame.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                self.frame.decode_blocks(&mut self.packed, one).map_err(of_frame)?;
            }
            let n = self.frame.read(buffer)?;
            self.given = Some(given + n as u64);
            if n > 0 || buffer.is_empty() {
                return Ok(n);
            }
            if !self.whole(given) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a zstd frame is damaged"));
            }
            self.given = None;
        }
    }
}

/// Of the kind of what went wrong while reading, where that is why a frame can't be unpacked.
fn of_frame(error: FrameDecoderError) -> io::Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    let mut kind = io::ErrorKind::InvalidData;
    while let Some(inner) = cause {
        kind = inner.downcast_ref::<io::Error>().map_or(kind, io::Error::kind);
        cause = inner.source();
    }
    io::Error::new(kind, error)
}

pub(in crate::source) fn unusable(source: &SourceSettings, what: String) -> Failure {
    Failure::new(
        Error::Source(SourceReason::Untrusted),
        format!("source {} can't be read as configured: {what}", source.name),
    )
}

fn open_file(source: &SourceSettings, path: &Path) -> Result<(File, Metadata)> {
    let failed = |error: io::Error| {
        let (what, help) = match error.kind() {
            io::ErrorKind::NotFound => {
                ("does not exist", "see whether the export was made; a relative path begins where the configuration is")
            }
            io::ErrorKind::PermissionDenied => ("may not be read by this user", "give this user the right to read it"),
            _ => ("can't be opened", "see whether it can be read by hand"),
        };
        let message = format!("source {}: the file {} {what}", source.name, scrubbed(&path.display().to_string()));
        Failure::new(Error::Source(SourceReason::Unreachable), message).help(help).because(error)
    };
    let file = bounded_file::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(unusable(source, format!("{} is a directory", scrubbed(&path.display().to_string())))
            .help("name the file in it"));
    }
    Ok((file, metadata))
}

/// Counts what passes.
struct Tap {
    inner: Box<dyn Read + Send>,
    passed: Arc<Passed>,
}

impl Read for Tap {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.passed.taken.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// The file as it was when it was opened.
pub(in crate::source) struct Watched {
    file: File,
    length: u64,
    modified: Option<SystemTime>,
    regular: bool,
}

impl Watched {
    fn new(file: File, metadata: &Metadata) -> Watched {
        let modified = metadata.modified().ok();
        Watched { file, length: metadata.len(), modified, regular: metadata.is_file() }
    }

    /// Whether it is still as it was, and as long as what was read of it.
    fn unchanged(&self, read: Option<u64>) -> bool {
        if !self.regular {
            return true;
        }
        let Ok(now) = self.file.metadata() else { return false };
        now.len() == self.length
            && now.modified().ok() == self.modified
            && read.is_none_or(|bytes| bytes == self.length)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Two frames of the reference implementation with the same text, and two skippable ones between them. The second
    /// frame has a checksum.
    const FRAMES: &[u8] = b"\x28\xb5\x2f\xfd\0\x48\x69\0\0id,mail\nE1,a\n\
        \x50\x2a\x4d\x18\x03\0\0\0\x01\x02\x03\
        \x5f\x2a\x4d\x18\0\0\0\0\
        \x28\xb5\x2f\xfd\x04\x88\x69\0\0id,mail\nE1,a\n\xfd\xd4\x4a\x18";

    fn unpack(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        Input::new(Box::new(io::Cursor::new(bytes)), None)?.read_to_end(&mut text)?;
        Ok(text)
    }

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(bytes).expect("into memory");
        packer.finish().expect("into memory")
    }

    #[test]
    fn what_is_packed_is_unpacked_whatever_its_name() {
        let text = b"id,mail\nE1,a\n".as_slice();
        assert_eq!(unpack(text.to_vec()).expect("plain"), text);
        assert_eq!(unpack(gz(text)).expect("gzip"), text);
        assert_eq!(unpack([gz(&text[..5]), gz(&text[5..])].concat()).expect("members"), text);
        assert_eq!(unpack(FRAMES.to_vec()).expect("zstd"), [text, text].concat());
        assert_eq!(unpack(b"x".to_vec()).expect("short"), b"x");
        assert_eq!(unpack(Vec::new()).expect("nothing"), b"");
    }

    #[test]
    fn what_is_cut_off_or_followed_by_something_else_is_an_error() {
        let packed = gz(b"id,mail\nE1,a\n");
        for cut in 2..packed.len() {
            assert!(unpack(packed[..cut].to_vec()).is_err(), "cut at {cut}");
        }
        assert!(unpack([packed, b"more".to_vec()].concat()).is_err());
        for cut in 4..FRAMES.len() {
            // A file may end after any frame.
            if ![22, 33, 41].contains(&cut) {
                let error = unpack(FRAMES[..cut].to_vec()).expect_err("cut");
                assert_eq!(error.to_string(), "the compressed data is cut off", "cut at {cut}");
            }
        }
        for damaged in [FRAMES.len() - 6, FRAMES.len() - 1] {
            let mut packed = FRAMES.to_vec();
            packed[damaged] ^= 1;
            assert!(unpack(packed).is_err(), "damaged at {damaged}");
        }
        assert!(unpack([FRAMES, b"more"].concat()).is_err());
    }

    #[test]
    fn a_bomb_is_noticed_before_it_is_unpacked() {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        let line = [b'x'; 1_000_000];
        (0..12).for_each(|_| packer.write_all(&line).expect("into memory"));
        let error = unpack(packer.finish().expect("into memory")).expect_err("a bomb");
        assert!(error.to_string().contains("200 times"), "{error}");
    }
}
