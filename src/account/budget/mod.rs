//! One bucket a target for all processes on a state: when the next request may leave, and until when the target asked to be
//! left alone.
//!
//! It is in a small file beside the database, `NAME.rate`, a record a target, which whoever is about to send changes under
//! a short lock: some microseconds a request, and never the disk. The clock is the machine's time since it started
//! (`CLOCK_BOOTTIME`), which all processes share and no change of date moves. What another boot wrote, what is torn, and
//! what is missing begins anew with an empty bucket.
//!
//! Processes that have to wait go in the order in which they asked, and before one that has just been served, so that one
//! that sends all the time starves nobody. What a bucket allows is the matter of [`crate::http::rate`].

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::time::{ClockId, clock_gettime};

use crate::domain::error::{Error, StateReason};
use crate::domain::target_identity::TargetIdentity;
use crate::domain::units::Rate;
use crate::http::rate::{Bucket, BucketStore, Memory, RateGate, WAITERS};
use crate::state::files::{self, Use, side_file};
use crate::state::{State, StateError, runtime};

/// The most targets that the file knows; beyond that the one that nobody asked for the longest time is forgotten.
const MOST_TARGETS: u64 = 256;

/// The target's hash, four times, who waits, and a sum over all that.
const RECORD: usize = 16 + 4 * 8 + WAITERS * 8 + 8;

/// A target among the buckets: a hash of its identity.
type TargetHash = [u8; 16];

/// Where the buckets of all targets are.
#[derive(Clone, Debug)]
pub struct Budget(Kept);

#[derive(Clone, Debug)]
enum Kept {
    /// In a file that all processes on a state share.
    File(Arc<BudgetFile>),
    /// In this process alone.
    Memory(Arc<Mutex<BTreeMap<TargetHash, Arc<Memory>>>>),
}

impl Budget {
    /// The one of all processes on this state, for one that sends.
    ///
    /// # Errors
    /// The file can't be opened, or must not be used.
    pub fn of(state: &State) -> Result<Budget, StateError> {
        state.database().map_or_else(|| Ok(Budget::of_this_process()), Budget::beside)
    }

    /// The same for a process that only looks. Where nothing can be written beside the database, or there is no state yet,
    /// the processes of one user on this machine share one elsewhere; where that can't be either, this process has its
    /// own.
    ///
    /// # Errors
    /// What stands in its place must not be used.
    pub fn to_look(state: &State) -> Result<Budget, StateError> {
        state.database().map_or_else(|| Ok(Budget::of_this_process()), Budget::of_looker)
    }

    /// One of this process alone.
    pub fn of_this_process() -> Budget {
        Budget(Kept::Memory(Arc::default()))
    }

    fn beside(database: &Path) -> Result<Budget, StateError> {
        Budget::in_file(side_file(database, ".rate"), false)
    }

    fn in_file(path: PathBuf, passing: bool) -> Result<Budget, StateError> {
        Ok(Budget(Kept::File(Arc::new(BudgetFile::open(path, passing)?))))
    }

    fn of_looker(database: &Path) -> Result<Budget, StateError> {
        let path = side_file(database, ".rate");
        let beside = files::parent(database).is_dir().then(|| Budget::in_file(path.clone(), false));
        let why = match beside {
            Some(Ok(budget)) => return Ok(budget),
            // A link, say: that is no matter of what this process may do.
            Some(Err(error)) if fs::symlink_metadata(&path).is_ok_and(|m| !m.is_file()) => return Err(error),
            Some(Err(error)) => error.message,
            None => "there is no state yet".to_string(),
        };
        let name = format!("rosterd-{}-{}.rate", files::user(), runtime::name_of(database));
        let elsewhere = runtime::directory(database).or_else(|| runtime::shared(database));
        match elsewhere.map(|directory| Budget::in_file(directory.join(name), true)) {
            Some(Ok(budget)) => Ok(budget),
            unusable => {
                let error = unusable.and_then(Result::err).map(|error| error.message);
                tracing::debug!(why, error, "the rate is kept by this process alone");
                Ok(Budget::of_this_process())
            }
        }
    }

    /// The gate of a target with these limits, before its bucket here.
    pub fn gate(&self, target: &TargetIdentity, rate: Rate, burst: u32) -> RateGate<TargetBucket> {
        let mut hash = [0; 16];
        hash.copy_from_slice(&blake3::hash(target.to_string().as_bytes()).as_bytes()[..16]);
        let bucket = match &self.0 {
            Kept::File(file) => TargetBucket::File(Arc::clone(file), hash),
            Kept::Memory(buckets) => {
                let mut buckets = buckets.lock().unwrap_or_else(PoisonError::into_inner);
                TargetBucket::Memory(Arc::clone(buckets.entry(hash).or_default()))
            }
        };
        RateGate::new(rate, burst, bucket)
    }
}

/// The bucket of one target, kept with those of the others.
#[derive(Debug)]
pub enum TargetBucket {
    /// In the file.
    File(Arc<BudgetFile>, TargetHash),
    /// In this process.
    Memory(Arc<Memory>),
}

impl BucketStore for TargetBucket {
    type Error = StateError;

    fn now(&self) -> u64 {
        match self {
            TargetBucket::File(..) => now(),
            TargetBucket::Memory(bucket) => bucket.now(),
        }
    }

    fn change<T>(&self, how: impl FnOnce(&mut Option<Bucket>, u64) -> T) -> Result<Option<T>, StateError> {
        match self {
            TargetBucket::File(file, target) => file.change(target, how),
            TargetBucket::Memory(bucket) => {
                let Ok(changed) = bucket.change(how);
                Ok(changed)
            }
        }
    }

    fn stays_locked(&self) -> Result<(), StateError> {
        let message = "the file that the rate is kept in (NAME.rate, beside the state) stays locked";
        Err(StateError::new(Error::State(StateReason::Busy), message)
            .help("another rosterd was stopped in the middle of something: see ps, and continue or end it"))
    }
}

/// A bucket as it is in the file.
#[derive(Clone, Copy, Debug)]
struct Record {
    boot: u64,
    written_at: u64,
    bucket: Bucket,
}

impl Record {
    /// Whether it is of this boot of the machine. Where that can't be told by its name, a time to come tells.
    fn is_of(&self, now: u64, boot: u64) -> bool {
        self.written_at <= now && (self.boot == boot || self.boot == 0 || boot == 0)
    }

    fn to_bytes(self, target: &TargetHash) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        bytes[..16].copy_from_slice(target);
        let Bucket { served_by, paused_until, waiting } = self.bucket;
        let numbers = [self.boot, self.written_at, served_by, paused_until].into_iter().chain(waiting);
        for (place, number) in bytes[16..].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let sum = checksum(&bytes[..RECORD - 8]);
        bytes[RECORD - 8..].copy_from_slice(&sum);
        bytes
    }

    /// Nothing where the bytes are torn, or another target's.
    fn from_bytes(bytes: &[u8], target: &TargetHash) -> Option<Record> {
        let (body, sum) = bytes.split_at_checked(RECORD - 8)?;
        if &body[..16] != target || checksum(body) != sum {
            return None;
        }
        let mut numbers = body[16..].chunks_exact(8).map(number);
        let (boot, written_at) = (numbers.next()?, numbers.next()?);
        let mut bucket = Bucket { served_by: numbers.next()?, paused_until: numbers.next()?, ..Bucket::default() };
        bucket.waiting.iter_mut().zip(numbers).for_each(|(place, number)| *place = number);
        Some(Record { boot, written_at, bucket })
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn checksum(bytes: &[u8]) -> [u8; 8] {
    let mut sum = [0; 8];
    sum.copy_from_slice(&blake3::hash(bytes).as_bytes()[..8]);
    sum
}

/// The buckets in a file.
#[derive(Debug)]
pub struct BudgetFile {
    path: PathBuf,
    /// Removed by whoever ends when it holds nobody back any more: it is of use only while somebody asks.
    passing: bool,
    boot: u64,
    file: Mutex<File>,
}

impl Drop for BudgetFile {
    fn drop(&mut self) {
        if !self.passing {
            return;
        }
        let removed =
            self.has_nothing_to_tell().and_then(|idle| if idle { fs::remove_file(&self.path) } else { Ok(()) });
        if let Err(error) = removed {
            tracing::debug!(%error, "the file for the rate stays");
        }
    }
}

impl BudgetFile {
    fn open(path: PathBuf, passing: bool) -> Result<BudgetFile, StateError> {
        let file = Mutex::new(made(&path)?);
        Ok(BudgetFile { path, passing, boot: boot(), file })
    }

    fn change<T>(
        &self,
        target: &TargetHash,
        how: impl FnOnce(&mut Option<Bucket>, u64) -> T,
    ) -> Result<Option<T>, StateError> {
        // The lock of a file is its opener's: it does not part the threads of one process.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(e)) => return Err(self.trouble(&e)),
        }
        if file.metadata().map_err(|e| self.trouble(&e))?.nlink() == 0 {
            // Removed: whoever comes later opens another, and so do we.
            *file = made(&self.path)?;
            return Ok(None);
        }
        let changed = self.locked(&file, target, how);
        file.unlock().map_err(|e| self.trouble(&e))?;
        changed.map(Some).map_err(|e| self.trouble(&e))
    }

    /// Whether whoever comes next has to wait for nothing that is in the file. Somebody who finds it gone begins with an
    /// empty bucket.
    fn has_nothing_to_tell(&self) -> std::io::Result<bool> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if file.try_lock().is_err() {
            return Ok(false);
        }
        let mut bytes = vec![0; RECORD * MOST_TARGETS as usize];
        let read = file.read_at(&mut bytes, 0)?;
        let now = now();
        let is_past = |record: &[u8]| record[32..56].chunks_exact(8).all(|time| number(time) <= now);
        Ok(bytes[..read].chunks_exact(RECORD).all(is_past))
    }

    fn locked<T>(
        &self,
        file: &File,
        target: &TargetHash,
        how: impl FnOnce(&mut Option<Bucket>, u64) -> T,
    ) -> std::io::Result<T> {
        let (place, known) = find(file, target)?;
        let now = now();
        let known = known.filter(|record| record.is_of(now, self.boot));
        let before = known.map(|record| record.bucket);
        let mut bucket = before;
        let answer = how(&mut bucket, now);
        if let Some(bucket) = bucket.filter(|_| bucket != before) {
            let boot = if self.boot == 0 { known.map_or(0, |record| record.boot) } else { self.boot };
            file.write_all_at(&Record { boot, written_at: now, bucket }.to_bytes(target), place)?;
        }
        Ok(answer)
    }

    fn trouble(&self, error: &std::io::Error) -> StateError {
        StateError::io(format!("cannot keep the rate in {}: {error}", self.path.display()))
            .help("see that its disk has room, and that the user that runs rosterd may write it")
    }
}

fn made(path: &Path) -> Result<File, StateError> {
    let file = files::open(path, Use::Make)?;
    let file = file.ok_or_else(|| StateError::io(format!("{} is gone as soon as it was made", path.display())))?;
    // When it was read concerns nobody, and would be written down for each request. Who may not ask for that does without.
    let _ = fcntl_getfl(&file).and_then(|flags| fcntl_setfl(&file, flags | OFlags::NOATIME));
    Ok(file)
}

/// Where a target's record is, or is to be, and what it says. Few targets share a state: a look at all of them costs the
/// same as a look at one.
fn find(file: &File, target: &TargetHash) -> std::io::Result<(u64, Option<Record>)> {
    let mut bytes = [0; RECORD * 8];
    let (mut place, mut oldest) = (0, (u64::MAX, 0));
    loop {
        let read = file.read_at(&mut bytes, place)?;
        let mut records =
            bytes[..read].chunks_exact(RECORD).enumerate().map(|(n, record)| (place + (n * RECORD) as u64, record));
        if let Some((at, record)) = records.clone().find(|(_, record)| &record[..16] == target) {
            return Ok((at, Record::from_bytes(record, target)));
        }
        oldest = records.by_ref().fold(oldest, |oldest, (at, record)| oldest.min((number(&record[24..32]), at)));
        let whole = (read / RECORD * RECORD) as u64;
        place += whole;
        if whole < bytes.len() as u64 {
            let is_full = place >= MOST_TARGETS * RECORD as u64;
            return Ok((if is_full { oldest.1 } else { place }, None));
        }
    }
}

fn now() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// A number for this boot of the machine; 0 where the kernel's is hidden, as it is from a service with
/// `ProcSubset=pid`.
fn boot() -> u64 {
    fs::read("/proc/sys/kernel/random/boot_id").map_or(0, |id| number(&checksum(&id)) | 1)
}

#[cfg(test)]
mod tests;
