//! Room on the disk for what is spooled while a source or a target's listing is read: both come from strangers, and one
//! without end must not fill the disk, on which the state stands as a rule.
//!
//! Two bounds: so many bytes in all, and a part of the file system that stays free.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that one read or listing may spool: a million accounts of 8 KB.
pub const MOST: u64 = 8_000_000_000;

/// What stays free on the file system at least, where a twentieth of it is more than that.
pub const KEPT_FREE: u64 = 256_000_000;

/// How much is spooled between two looks at the file system. What is smaller is never refused.
const BETWEEN: u64 = 8_000_000;

/// Free bytes of the file system of a directory, and how many it has.
type Look = fn(&Path) -> std::io::Result<(u64, u64)>;

/// The room of one spool.
#[derive(Debug)]
pub struct DiskBudget {
    directory: PathBuf,
    most: u64,
    look: Look,
    spooled: AtomicU64,
    looked_at: AtomicU64,
}

/// Why nothing more may be spooled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Short {
    /// The disk would be full soon.
    Disk(String),
    /// There is no end to it.
    Endless(String),
}

impl DiskBudget {
    /// The room of a spool in this directory.
    pub fn new(directory: &Path) -> DiskBudget {
        DiskBudget::bounded(directory, MOST, look)
    }

    /// The room of a database that SQLite keeps in its own temporary file.
    pub fn of_temporary_database() -> DiskBudget {
        let named = ["SQLITE_TMPDIR", "TMPDIR"].into_iter().filter_map(std::env::var_os).map(PathBuf::from);
        let usual = ["/var/tmp", "/usr/tmp", "/tmp", "."].into_iter().map(PathBuf::from);
        let directory = named.chain(usual).find(|directory| directory.is_dir());
        DiskBudget::new(&directory.unwrap_or_else(|| ".".into()))
    }

    fn bounded(directory: &Path, most: u64, look: Look) -> DiskBudget {
        let none = || AtomicU64::new(0);
        DiskBudget { directory: directory.to_path_buf(), most, look, spooled: none(), looked_at: none() }
    }

    /// Counts what is about to be spooled.
    ///
    /// # Errors
    /// It is too much, or the disk has too little room left.
    pub fn take(&self, bytes: usize) -> Result<(), Short> {
        let bytes = bytes as u64;
        let spooled = self.spooled.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if spooled > self.most {
            let most = self.most / 1_000_000;
            return Err(Short::Endless(format!("it has more than {most} MB, and seems to have no end")));
        }
        if spooled < self.looked_at.load(Ordering::Relaxed) + BETWEEN {
            return Ok(());
        }
        self.looked_at.store(spooled, Ordering::Relaxed);
        // A file system that does not tell is not held against anybody: a full one refuses the next write.
        let Ok((free, all)) = (self.look)(&self.directory) else { return Ok(()) };
        let kept = KEPT_FREE.min(all / 20);
        if free >= kept {
            return Ok(());
        }
        let directory = self.directory.display();
        Err(Short::Disk(format!(
            "{directory} has {} MB free, and {} MB stay free: stopped after {} MB",
            free / 1_000_000,
            kept / 1_000_000,
            spooled / 1_000_000
        )))
    }

    /// What was spooled so far is void: it is begun anew.
    pub fn anew(&self) {
        self.spooled.store(0, Ordering::Relaxed);
        self.looked_at.store(0, Ordering::Relaxed);
    }
}

fn look(directory: &Path) -> std::io::Result<(u64, u64)> {
    let told = rustix::fs::statvfs(directory)?;
    Ok((told.f_bavail * told.f_frsize, told.f_blocks * told.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: usize = 1_000_000;

    fn taken(room: &DiskBudget, megabytes: usize) -> Result<(), Short> {
        (0..megabytes).try_for_each(|_| room.take(MB))
    }

    #[test]
    fn what_has_no_end_is_stopped_and_what_is_begun_anew_is_not() {
        let room = DiskBudget::bounded(Path::new("/"), 20 * MB as u64, |_| Ok((1 << 40, 1 << 40)));
        assert_eq!(taken(&room, 20), Ok(()));
        room.anew();
        assert_eq!(taken(&room, 20), Ok(()));
        assert_eq!(room.take(1), Err(Short::Endless("it has more than 20 MB, and seems to have no end".into())));
    }

    #[test]
    fn it_stops_before_the_disk_is_full_and_leaves_room() {
        let full = DiskBudget::bounded(Path::new("/spool"), MOST, |_| Ok((200_000_000, 1 << 40)));
        let told = taken(&full, 9).expect_err("too little is left");
        assert_eq!(told, Short::Disk("/spool has 200 MB free, and 256 MB stay free: stopped after 8 MB".into()));
        // A small read goes through, a small file system keeps a small part free, and one that does not tell is believed.
        assert_eq!(taken(&DiskBudget::bounded(Path::new("/"), MOST, |_| Ok((0, 1 << 40))), 7), Ok(()));
        assert_eq!(taken(&DiskBudget::bounded(Path::new("/"), MOST, |_| Ok((6_000_000, 100_000_000))), 50), Ok(()));
        assert_eq!(
            taken(&DiskBudget::bounded(Path::new("/"), MOST, |_| Err(std::io::ErrorKind::Other.into())), 50),
            Ok(())
        );
        let (free, all) = look(&std::env::temp_dir()).expect("this file system tells");
        assert!(free <= all && all > 0);
    }
}
