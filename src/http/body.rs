//! The body of an answer: read to its end within a cap, in memory or on disk. The one place that reads a body from a
//! connection.
//!
//! What is kept in memory alone and is large waits for a share of the memory that all large answers have together.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::error::{SendError, explained};
use crate::domain::outcome::ErrorKind;

/// An answer in memory that is longer than this is a large one. Those to look-ups and writes are shorter by far.
const LARGE: usize = 65_536;

/// Up to how many bytes a body that may go to disk stays in memory.
const BEFORE_THE_DISK: usize = 1_000_000;

/// How many large answers, of all owners together, are in memory at a time, from the first byte beyond [`LARGE`] to the
/// verdict on them. Small ones never wait for one.
static LARGE_ANSWERS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(2)));

/// A share of the memory for large answers; given back when it is dropped.
pub type Share = OwnedSemaphorePermit;

/// Until when an answer is waited for.
pub struct Deadline {
    limit: Duration,
    until: Instant,
}

impl Deadline {
    /// From now on for so long.
    pub fn of(limit: Duration) -> Deadline {
        Deadline { limit, until: Instant::now() + limit }
    }

    /// Waits for this as long as there is time.
    ///
    /// # Errors
    /// The time is up. What was asked for may have been done.
    pub async fn wait<T>(&self, what: impl Future<Output = T>) -> Result<T, SendError> {
        tokio::time::timeout_at(self.until, what).await.map_err(|_| SendError {
            kind: ErrorKind::Timeout,
            maybe_sent: true,
            message: format!("no answer within {:?}", self.limit),
        })
    }

    /// A share of the memory for large answers. That others have it is not the fault of whoever answers.
    async fn share(&mut self) -> Option<Share> {
        let asked = Instant::now();
        // Nobody closes the semaphore: there is always a share in the end.
        let share = Arc::clone(&LARGE_ANSWERS).acquire_owned().await.ok();
        self.until += asked.elapsed();
        share
    }
}

/// What a body holds, in memory or on disk.
pub enum Body {
    /// A small one.
    Memory(Bytes),
    /// A large one, in a file that has no name.
    Disk(File),
}

impl Body {
    /// Reads it from its beginning. One reader at a time.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Body::Memory(bytes) => Box::new(Cursor::new(bytes.clone())),
            Body::Disk(file) => {
                let mut file = file.try_clone()?;
                file.seek(SeekFrom::Start(0))?;
                Box::new(file)
            }
        })
    }

    /// Its first bytes, as far as they are in memory.
    pub fn start(&self) -> &[u8] {
        match self {
            Body::Memory(bytes) => bytes,
            Body::Disk(_) => &[],
        }
    }
}

/// Why a body can't be kept.
#[derive(Debug)]
pub enum BodyError {
    /// It is larger than it may be.
    TooLarge,
    /// It can't be unpacked: it broke off, or is not packed as it says.
    Unpacking(io::Error),
    /// It can't be written.
    Disk(io::Error),
}

/// Why a body is not there.
#[derive(Debug)]
pub enum BodyReadError {
    /// The connection, or the time, gave out.
    Broken(SendError),
    /// It can't be kept.
    BodyError(BodyError),
}

/// Where a body is put while it arrives.
pub struct Store {
    start: Vec<u8>,
    file: Option<File>,
    length: u64,
    most: u64,
    /// Where what is large goes; else all of it stays in memory.
    directory: Option<PathBuf>,
    share: Option<Share>,
}

impl Store {
    /// An empty one of at most so many bytes, all of them in memory.
    pub fn in_memory(most: u64) -> Store {
        Store { start: Vec::new(), file: None, length: 0, most, directory: None, share: None }
    }

    /// An empty one of at most so many bytes; what is large goes into this directory.
    pub fn spilling(directory: &Path, most: u64) -> Store {
        Store { directory: Some(directory.to_path_buf()), ..Store::in_memory(most) }
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// They are too many, or can't be written.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), BodyError> {
        self.length += bytes.len() as u64;
        if self.length > self.most {
            return Err(BodyError::TooLarge);
        }
        if let Some(file) = &mut self.file {
            return file.write_all(bytes).map_err(BodyError::Disk);
        }
        let length = self.start.len() + bytes.len();
        if length > self.start.capacity() {
            // Twice as much, but no more than may come.
            let most = usize::try_from(self.most).unwrap_or(usize::MAX);
            self.start.reserve_exact(length.saturating_mul(2).min(most) - self.start.len());
        }
        self.start.extend_from_slice(bytes);
        if let Some(directory) = self.directory.as_ref().filter(|_| self.start.len() > BEFORE_THE_DISK) {
            let mut file = tempfile::tempfile_in(directory).map_err(BodyError::Disk)?;
            file.write_all(&self.start).map_err(BodyError::Disk)?;
            self.start = Vec::new();
            self.file = Some(file);
        }
        Ok(())
    }

    /// Reads a body to its end, piece by piece as it arrives.
    ///
    /// # Errors
    /// It did not come whole, or can't be kept.
    pub async fn receive(&mut self, response: &mut Response, patience: &mut Deadline) -> Result<(), BodyReadError> {
        let announced = response.content_length().unwrap_or(0);
        if announced > self.most {
            return Err(BodyReadError::BodyError(BodyError::TooLarge));
        }
        let announced = usize::try_from(announced).unwrap_or(usize::MAX);
        self.start.reserve_exact(announced.min(LARGE));
        while let Some(chunk) = next(response, patience).await.map_err(BodyReadError::Broken)? {
            let length = self.start.len() + chunk.len();
            if self.directory.is_none() && self.share.is_none() && length > LARGE && length as u64 <= self.most {
                self.share = patience.share().await;
                self.start.reserve_exact(announced.max(length) - self.start.len());
            }
            self.push(&chunk).map_err(BodyReadError::BodyError)?;
        }
        Ok(())
    }

    /// How many bytes it has.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// What arrived.
    pub fn done(self) -> Body {
        self.file.map_or_else(|| Body::Memory(self.start.into()), Body::Disk)
    }

    /// What arrived and stayed in memory, with its share where it is a large one.
    pub fn into_memory(self) -> (Vec<u8>, Option<Share>) {
        (self.start, self.share)
    }
}

async fn next(response: &mut Response, patience: &Deadline) -> Result<Option<Bytes>, SendError> {
    patience.wait(response.chunk()).await?.map_err(|error| explained(&error))
}
