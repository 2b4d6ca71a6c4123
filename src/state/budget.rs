//! One budget a target over all processes on a state: when the next request may leave, and until when the target asked to
//! be left alone.
//!
//! The schedule (the generic cell rate algorithm) is in a small file beside the database, `NAME.rate`, a record a target,
//! which whoever is about to send changes under a short lock: some microseconds a request, and never the disk. The clock
//! is the machine's time since it started (`CLOCK_BOOTTIME`), which all processes share and no change of date moves.
//! What another boot wrote, what is torn, and what is missing begins anew with an empty bucket.
//!
//! Processes that have to wait go in the order in which they asked, and before one that has just been served, so that one
//! that sends all the time starves nobody.

use crate::domain::pace::{Pace, nanos};
use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::Rng;
use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use super::files::{self, Use, side_file};
use super::{StateError, runtime};
use crate::domain::error::{Error, StateReason};
use crate::domain::identity::TargetIdentity;

/// How long somebody who had to wait goes before the next one. A timer wakes a millisecond or two after it should.
const HEAD_START: u64 = 5_000_000;

/// So many processes that wait are served in their order; beyond that, chance decides.
const WAITERS: usize = 6;

/// When a lock that another process holds for some microseconds is tried again.
const LOCKED: Duration = Duration::from_millis(1);

/// A pause is entered even if the lock has to be tried so often, some microseconds apart.
const TRIES_TO_PAUSE: u32 = 1000;

/// The most targets that the file knows; beyond that the one that nobody asked for the longest time is forgotten.
const MOST_TARGETS: u64 = 256;

/// The target's hash, four times, who waits, and a sum over all that.
const RECORD: usize = 16 + 4 * 8 + WAITERS * 8 + 8;

/// Whether a request may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Now; it is counted.
    Now,
    /// Not before this time has passed; then ask again.
    Wait(Duration),
    /// Another process was in the way for a moment; ask again after this time.
    Busy(Duration),
}

/// The schedule of one target. Times are nanoseconds of the shared clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Schedule {
    boot: u64,
    written_at: u64,
    /// When everything let through so far would have gone at the even pace.
    served_by: u64,
    paused_until: u64,
    /// Who had to wait and has not been served since, the first first; 0: nobody.
    waiting: [u64; WAITERS],
}

impl Schedule {
    /// As if a whole burst had just left: the first goes an interval later.
    fn empty(now: u64, boot: u64, pace: Pace) -> Schedule {
        Schedule { boot, written_at: now, served_by: pace.empty(now), ..Schedule::default() }
    }

    /// Whether it is of this boot of the machine. Where that can't be told by its name, a time to come tells.
    fn is_of(&self, now: u64, boot: u64) -> bool {
        self.written_at <= now && (self.boot == boot || self.boot == 0 || boot == 0)
    }

    fn take(&mut self, now: u64, pace: Pace, who: u64) -> Turn {
        let open_from = pace.open_from(self.served_by).max(self.paused_until);
        let before = self.waiting.iter().position(|waits| *waits == who || *waits == 0).unwrap_or(WAITERS);
        let head_start = HEAD_START.min(nanos(pace.interval) / (2 * WAITERS as u64)).saturating_mul(before as u64);
        let due = open_from.saturating_add(head_start);
        if now < due {
            if let Some(place) = self.waiting.get_mut(before) {
                *place = who;
            }
            return Turn::Wait(Duration::from_nanos(due - now));
        }
        // Those before have let their chance pass.
        let served = if self.waiting.get(before) == Some(&who) { before + 1 } else { before };
        self.waiting.rotate_left(served.min(WAITERS));
        self.waiting[WAITERS - served.min(WAITERS)..].fill(0);
        self.served_by = pace.served(self.served_by, now);
        Turn::Now
    }

    fn to_bytes(self, target: &[u8; 16]) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        bytes[..16].copy_from_slice(target);
        let numbers = [self.boot, self.written_at, self.served_by, self.paused_until].into_iter().chain(self.waiting);
        for (place, number) in bytes[16..].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let sum = checksum(&bytes[..RECORD - 8]);
        bytes[RECORD - 8..].copy_from_slice(&sum);
        bytes
    }

    /// Nothing where the bytes are torn, or another target's.
    fn from_bytes(bytes: &[u8], target: &[u8; 16]) -> Option<Schedule> {
        let (body, sum) = bytes.split_at_checked(RECORD - 8)?;
        if &body[..16] != target || checksum(body) != sum {
            return None;
        }
        let mut numbers = body[16..].chunks_exact(8).map(number);
        let mut schedule = Schedule {
            boot: numbers.next()?,
            written_at: numbers.next()?,
            served_by: numbers.next()?,
            paused_until: numbers.next()?,
            waiting: [0; WAITERS],
        };
        schedule.waiting.iter_mut().zip(numbers).for_each(|(place, number)| *place = number);
        Some(schedule)
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

/// Where the schedules of all targets are.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Kept>);

#[derive(Debug)]
enum Kept {
    /// In a file that all processes on a state share.
    File(BudgetFile),
    /// In this process alone, on tokio's clock, which tests can pause.
    Memory { began: Instant, schedules: Mutex<BTreeMap<[u8; 16], Schedule>> },
}

impl Budget {
    /// The one of this database, for a process that sends.
    ///
    /// # Errors
    /// The file can't be opened, or must not be used.
    pub fn beside(database: &Path) -> Result<Budget, StateError> {
        Ok(Budget(Arc::new(Kept::File(BudgetFile::open(side_file(database, ".rate"), false)?))))
    }

    /// The one of this database, for a process that only looks. Where nothing can be written beside it, or there is no
    /// state yet, the processes of one user on this machine share one elsewhere; where that can't be either, this process
    /// has its own.
    ///
    /// # Errors
    /// What stands in its place must not be used.
    pub fn of_looker(database: &Path) -> Result<Budget, StateError> {
        let path = side_file(database, ".rate");
        let beside = files::parent(database).is_dir().then(|| BudgetFile::open(path.clone(), false));
        let why = match beside {
            Some(Ok(file)) => return Ok(Budget(Arc::new(Kept::File(file)))),
            // A link, say: that is no matter of what this process may do.
            Some(Err(error)) if fs::symlink_metadata(&path).is_ok_and(|m| !m.is_file()) => return Err(error),
            Some(Err(error)) => error.message,
            None => "there is no state yet".to_string(),
        };
        let name = format!("rosterd-{}-{}.rate", files::user(), runtime::name_of(database));
        let elsewhere = runtime::directory(database).or_else(|| runtime::shared(database));
        match elsewhere.map(|directory| BudgetFile::open(directory.join(name), true)) {
            Some(Ok(file)) => Ok(Budget(Arc::new(Kept::File(file)))),
            unusable => {
                let error = unusable.and_then(Result::err).map(|error| error.message);
                tracing::debug!(why, error, "the rate is kept by this process alone");
                Ok(Budget::of_this_process())
            }
        }
    }

    /// One of this process alone.
    pub fn of_this_process() -> Budget {
        Budget(Arc::new(Kept::Memory { began: Instant::now(), schedules: Mutex::default() }))
    }

    /// What one caller has of a target's budget.
    pub fn share(&self, target: &TargetIdentity, pace: Pace) -> Share {
        let mut key = [0; 16];
        key.copy_from_slice(&blake3::hash(target.to_string().as_bytes()).as_bytes()[..16]);
        // It need not be a secret, only nobody else's; it is never 0.
        let who = rand::rng().random::<u64>() | 1;
        Share { budget: self.clone(), target: key, pace, who }
    }

    /// Changes a target's schedule; nothing where another process is in the way for a moment.
    fn change<T>(
        &self,
        target: &[u8; 16],
        pace: Pace,
        how: impl FnOnce(&mut Schedule, u64) -> T,
    ) -> Result<Option<T>, StateError> {
        match &*self.0 {
            Kept::File(file) => file.change(target, pace, how),
            Kept::Memory { began, schedules } => {
                let now = nanos(began.elapsed());
                let mut schedules = schedules.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(Some(how(schedules.entry(*target).or_insert_with(|| Schedule::empty(now, 0, pace)), now)))
            }
        }
    }
}

/// One caller's access to the budget of a target.
#[derive(Debug)]
pub struct Share {
    budget: Budget,
    target: [u8; 16],
    pace: Pace,
    who: u64,
}

impl Share {
    /// Sees to it that there is a schedule: one that is new begins to fill now.
    ///
    /// # Errors
    /// The file can't be used.
    pub fn begin(&self) -> Result<(), StateError> {
        self.budget.change(&self.target, self.pace, |_, _| ()).map(|_| ())
    }

    /// Asks for the next request's turn.
    ///
    /// # Errors
    /// The file can't be used.
    pub fn take(&self) -> Result<Turn, StateError> {
        let turn =
            self.budget.change(&self.target, self.pace, |schedule, now| schedule.take(now, self.pace, self.who))?;
        Ok(turn.unwrap_or(Turn::Busy(LOCKED)))
    }

    /// Lets nobody ask the target for so long.
    ///
    /// # Errors
    /// The file can't be used.
    pub fn pause(&self, wanted: Duration) -> Result<(), StateError> {
        for _ in 0..TRIES_TO_PAUSE {
            let entered = self.budget.change(&self.target, self.pace, |schedule, now| {
                schedule.paused_until = schedule.paused_until.max(now.saturating_add(nanos(wanted)));
            })?;
            if entered.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_micros(20));
        }
        Err(stuck())
    }
}

/// Another process has had the lock for so long that it must be stopped.
pub fn stuck() -> StateError {
    StateError::new(
        Error::State(StateReason::Busy),
        "the file that the rate is kept in (NAME.rate, beside the state) stays locked",
    )
    .help("another rosterd was stopped in the middle of something: see ps, and continue or end it")
}

/// The schedules in a file.
#[derive(Debug)]
struct BudgetFile {
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
        target: &[u8; 16],
        pace: Pace,
        how: impl FnOnce(&mut Schedule, u64) -> T,
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
        let changed = self.locked(&file, target, pace, how);
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
        target: &[u8; 16],
        pace: Pace,
        how: impl FnOnce(&mut Schedule, u64) -> T,
    ) -> std::io::Result<T> {
        let (place, known) = find(file, target)?;
        let now = now();
        let known = known.filter(|schedule| schedule.is_of(now, self.boot));
        let mut schedule = known.unwrap_or_else(|| Schedule::empty(now, self.boot, pace));
        let before = (schedule.served_by, schedule.paused_until, schedule.waiting);
        let answer = how(&mut schedule, now);
        if known.is_none() || before != (schedule.served_by, schedule.paused_until, schedule.waiting) {
            schedule.written_at = now;
            schedule.boot = if self.boot == 0 { schedule.boot } else { self.boot };
            file.write_all_at(&schedule.to_bytes(target), place)?;
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
    file.ok_or_else(|| StateError::io(format!("{} is gone as soon as it was made", path.display())))
}

/// Where a target's record is, or is to be, and what it says. Few targets share a state: a look at all of them costs the
/// same as a look at one.
fn find(file: &File, target: &[u8; 16]) -> std::io::Result<(u64, Option<Schedule>)> {
    let mut bytes = [0; RECORD * 8];
    let (mut place, mut oldest) = (0, (u64::MAX, 0));
    loop {
        let read = file.read_at(&mut bytes, place)?;
        let mut records =
            bytes[..read].chunks_exact(RECORD).enumerate().map(|(n, record)| (place + (n * RECORD) as u64, record));
        if let Some((at, record)) = records.clone().find(|(_, record)| &record[..16] == target) {
            return Ok((at, Schedule::from_bytes(record, target)));
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
mod tests {
    use super::*;

    const PACE: Pace = Pace { interval: Duration::from_secs(1), tolerance: Duration::ZERO };

    fn place() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a directory");
        let database = dir.path().join("s.db");
        (dir, database)
    }

    fn share(database: &Path, target: &str, pace: Pace) -> Share {
        Budget::beside(database).expect("a budget").share(&TargetIdentity::parse(target), pace)
    }

    /// How long the next request has to wait.
    fn wait(share: &Share) -> Duration {
        match share.take().expect("kept") {
            Turn::Now => Duration::ZERO,
            Turn::Wait(time) => time,
            Turn::Busy(_) => panic!("nobody else is here"),
        }
    }

    #[test]
    fn processes_share_one_schedule_a_target_and_a_new_one_begins_empty() {
        let (_dir, database) = place();
        let (one, other) = (share(&database, "https://a", PACE), share(&database, "https://A:443/", PACE));
        assert!(wait(&one) > Duration::from_millis(900), "it begins empty");
        assert!(wait(&other) > Duration::from_millis(900));
        let quick = Pace { interval: Duration::from_nanos(1), tolerance: Duration::ZERO };
        let elsewhere = share(&database, "https://b", quick);
        assert!(wait(&elsewhere) < Duration::from_millis(1), "another target has its own");
        one.pause(Duration::from_secs(60)).expect("entered");
        assert!(wait(&other) > Duration::from_secs(59));
        other.pause(Duration::from_secs(1)).expect("entered");
        assert!(wait(&one) > Duration::from_secs(59), "a shorter pause takes nothing from a longer one");
    }

    #[test]
    fn what_is_torn_or_of_another_boot_or_removed_begins_empty() {
        let (_dir, database) = place();
        let file = side_file(&database, ".rate");
        let one = share(&database, "https://a", PACE);
        one.pause(Duration::from_secs(600)).expect("entered");
        assert!(wait(&one) > Duration::from_secs(599));
        let whole = fs::read(&file).expect("there");
        for torn in [vec![], b"x".to_vec(), whole[..40].to_vec(), {
            let mut other = whole.clone();
            other[40] ^= 1;
            other
        }] {
            fs::write(&file, &torn).expect("written");
            let told = wait(&one);
            assert!(told > Duration::from_millis(900) && told <= PACE.interval, "{told:?}");
        }
        // Of another boot: by its name, and by a time that has not come yet.
        let target = <[u8; 16]>::try_from(&whole[..16]).expect("16 bytes");
        let known = Schedule::from_bytes(&whole, &target).expect("whole");
        let named = Schedule { boot: known.boot ^ 2, ..known };
        let later = Schedule { boot: 0, written_at: known.written_at + nanos(Duration::from_secs(3600)), ..known };
        for (strange, differs) in [(named, known.boot != 0), (later, true)] {
            fs::write(&file, strange.to_bytes(&target)).expect("written");
            assert_eq!(wait(&one) <= PACE.interval, differs);
        }
        fs::write(&file, &whole).expect("written");
        assert!(wait(&one) > PACE.interval, "as it was");
        fs::remove_file(&file).expect("removed");
        assert!(matches!(one.take().expect("kept"), Turn::Busy(_)), "it opens another");
        assert!(wait(&one) <= PACE.interval);
        assert!(file.exists());
    }

    #[test]
    fn of_too_many_targets_the_one_that_rested_longest_is_forgotten() {
        let (_dir, database) = place();
        let budget = Budget::beside(&database).expect("a budget");
        for n in 0..MOST_TARGETS + 10 {
            let target = TargetIdentity::parse(&format!("https://{n}.example"));
            assert!(wait(&budget.share(&target, PACE)) > Duration::ZERO);
        }
        let length = fs::metadata(side_file(&database, ".rate")).expect("there").len();
        assert!(length <= (MOST_TARGETS + 8) * RECORD as u64, "{length}");
    }
}
