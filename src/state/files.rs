//! The state's directory and the small files beside the database: opened without following a link, and judged by what
//! was opened, not by what stood under the name a moment before.
//!
//! Who may write a directory can put another file under any name in it, so the directory is judged first: nobody but its
//! owner may change its entries, and the owner is the user that rosterd runs as, or root. In a sticky directory such as
//! `/tmp` others may add entries and not replace ours; what they add is known by its owner.
//!
//! Root may use another user's state, as in `sudo rosterd status`. Everything in it must then be that user's, and what is
//! made there is given to them: a file of root's would stop the service when it starts again.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::StateError;
use crate::domain::error::{Error, StateReason};

const WRITABLE_BY_THE_GROUP: u32 = 0o020;
const WRITABLE_BY_THE_WORLD: u32 = 0o002;
const STICKY: u32 = 0o1000;
const OPEN_TO_OTHERS: u32 = 0o077;

/// What the opener means to do with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Read it.
    Look,
    /// Read and write it.
    Change,
    /// Read and write it, and make it, for its owner alone, where it is missing.
    Make,
}

/// The directory of a file.
pub fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// The file of this name with a suffix.
pub fn side_file(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

/// Makes the directory of the database, open to its owner alone, or judges the one that is there.
///
/// # Errors
/// It can't be made (74), or others than its owner may change it (77).
pub fn prepare_directory(path: &Path) -> Result<(), StateError> {
    let directory = parent(path);
    if directory.is_dir() {
        return judge_directory(path);
    }
    DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(|e| {
        StateError::io(format!("cannot create the state's directory {}: {e}", directory.display()))
            .help("create it for the user that runs rosterd, or set state.path elsewhere")
    })
}

/// Refuses a directory whose entries others may change (77). One that is missing is no trouble yet.
///
/// # Errors
/// See above.
pub fn judge_directory(path: &Path) -> Result<(), StateError> {
    let directory = parent(path);
    let metadata = match fs::metadata(&directory) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(unusable(&directory, &e)),
    };
    let (mode, shown) = (metadata.mode(), directory.display());
    // A group that has the number of the user is that user's own, by the convention of most distributions.
    let is_private_group = metadata.gid() == metadata.uid() && metadata.uid() != 0;
    let remedy = |bits: &str| format!("chmod {bits} {shown}, or give the database a directory of its own");
    if mode & STICKY == 0 && mode & WRITABLE_BY_THE_WORLD != 0 {
        let what = format!("everybody on this machine can replace the files in the state's directory {shown}");
        return Err(denied(what, mode).help(remedy("go-w")));
    }
    if mode & STICKY == 0 && mode & WRITABLE_BY_THE_GROUP != 0 && !is_private_group {
        let what = format!("the group (gid {}) can replace the files in the state's directory {shown}", metadata.gid());
        return Err(denied(what, mode).help(remedy("g-w")));
    }
    let (user, owner) = (user(), metadata.uid());
    if user != 0 && owner != user && owner != 0 {
        return Err(foreign("the state's directory", &directory, owner, user));
    }
    Ok(())
}

/// Opens a file that belongs to the state. Nothing, where it is missing and is not to be made.
///
/// # Errors
/// It is a link, no ordinary file, another user's, or open to others (77); it can't be opened (74).
pub fn open(path: &Path, how: Use) -> Result<Option<File>, StateError> {
    // Not to wait: a pipe would, for somebody at its other end.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).write(how != Use::Look).custom_flags(flags);
    let file = match options.open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound && how == Use::Make => match make(path) {
            // Somebody else was quicker.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => return open(path, Use::Change),
            made => made.map_err(|e| unusable(path, &e))?,
        },
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(if is_link(path) { link(path) } else { unusable(path, &e) }),
    };
    let metadata = file.metadata().map_err(|e| unusable(path, &e))?;
    judge(path, &metadata)?;
    Ok(Some(file))
}

/// Makes a file that must not exist, for the owner of the directory alone.
///
/// # Errors
/// It exists, or can't be made.
pub fn make(path: &Path) -> std::io::Result<File> {
    // Whoever makes one and is not to follow a link: O_EXCL says both (POSIX, open).
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
    let directory = fs::metadata(parent(path))?;
    if user() == 0 && directory.uid() != 0 {
        match fchown(&file, Some(directory.uid()), Some(directory.gid())) {
            // Root without the capability to give files away, as in a container: then it is root who runs rosterd there.
            Err(e) if e.kind() == ErrorKind::PermissionDenied => {
                tracing::debug!(file = %path.display(), "made for root, who can't give it to the owner of the directory");
            }
            given => given?,
        }
    }
    Ok(file)
}

/// Refuses what was opened, or stands under a name, if it is not an ordinary file of ours alone.
///
/// # Errors
/// See [`open`].
pub fn judge(path: &Path, metadata: &Metadata) -> Result<(), StateError> {
    let shown = path.display();
    if metadata.file_type().is_symlink() {
        return Err(link(path));
    }
    if !metadata.is_file() {
        return Err(StateError::new(Error::State(StateReason::Exposed), format!("{shown} is no ordinary file"))
            .help(format!("see what it is, and remove it: ls -l {shown}")));
    }
    let (owner, user) = (metadata.uid(), user());
    let is_ours = owner == user || (user == 0 && fs::metadata(parent(path)).is_ok_and(|d| d.uid() == owner));
    if !is_ours {
        return Err(foreign("the state's file", path, owner, user));
    }
    if metadata.mode() & OPEN_TO_OTHERS != 0 {
        return Err(denied(format!("{shown} can be read or written by others"), metadata.mode())
            .help(format!("it holds personal data: chmod 600 {shown}")));
    }
    Ok(())
}

/// The user as whom this process acts.
pub fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_symlink())
}

fn link(path: &Path) -> StateError {
    let shown = path.display();
    StateError::new(
        Error::State(StateReason::Exposed),
        format!("{shown} is a symbolic link, and the state's files are not reached by links"),
    )
    .help(format!("see where it leads (ls -l {shown}); remove it, or set state.path to the file itself"))
}

fn denied(what: String, mode: u32) -> StateError {
    StateError::new(Error::State(StateReason::Exposed), format!("{what} (mode {:04o})", mode & 0o7777))
}

fn foreign(what: &str, path: &Path, owner: u32, user: u32) -> StateError {
    let shown = path.display();
    let message = format!("{what} {shown} belongs to another user: to uid {owner}, while this is run by uid {user}");
    let help = if user == 0 {
        format!("nothing of another user's is used in {}; find out who put it there", parent(path).display())
    } else {
        format!("run this as its owner (sudo -u '#{owner}' rosterd …), or, if it is yours: chown {user} {shown}")
    };
    StateError::new(Error::State(StateReason::Exposed), message).help(help)
}

fn unusable(path: &Path, error: &std::io::Error) -> StateError {
    let shown = path.display();
    match error.kind() {
        ErrorKind::PermissionDenied => {
            StateError::new(Error::State(StateReason::Exposed), format!("cannot open {shown}: {error}"))
                .help("run this as the user that owns the state")
        }
        _ => StateError::io(format!("cannot open {shown}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::exit::Exit;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn with_mode(mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).expect("its mode");
        let file = dir.path().join("s.db");
        (dir, file)
    }

    #[test]
    fn a_directory_whose_entries_others_may_change_is_refused_with_the_remedy() {
        for mode in [0o777, 0o773, 0o702] {
            let (dir, file) = with_mode(mode);
            let refused = prepare_directory(&file).expect_err("open to everybody");
            assert_eq!(refused.exit(), Exit::Denied, "{mode:o}");
            assert!(refused.help.expect("help").contains(&format!("chmod go-w {}", dir.path().display())));
        }
        for mode in [0o700, 0o755, 0o750, 0o1777, 0o1770, 0o2755] {
            let (_dir, file) = with_mode(mode);
            prepare_directory(&file).unwrap_or_else(|e| panic!("{mode:o}: {e}"));
        }
        let (dir, file) = with_mode(0o770);
        let metadata = fs::metadata(dir.path()).expect("there");
        let private = metadata.uid() != 0 && metadata.uid() == metadata.gid();
        assert_eq!(prepare_directory(&file).is_ok(), private, "a group of one's own is nobody else");
    }

    #[test]
    fn nothing_is_followed_and_nothing_but_a_file_is_opened() {
        let (dir, file) = with_mode(0o700);
        let victim = dir.path().join("victim");
        fs::write(&victim, "dear").expect("written");
        symlink(&victim, &file).expect("a link");
        for how in [Use::Look, Use::Change, Use::Make] {
            assert_eq!(open(&file, how).expect_err("a link").exit(), Exit::Denied, "{how:?}");
        }
        assert_eq!(fs::read(&victim).expect("there"), b"dear");
        fs::remove_file(&victim).expect("removed");
        assert_eq!(open(&file, Use::Make).expect_err("a link to nowhere").exit(), Exit::Denied);
        assert!(!victim.exists(), "nothing is made at its end");
        fs::remove_file(&file).expect("removed");
        fs::create_dir(&file).expect("a directory");
        assert_eq!(open(&file, Use::Look).expect_err("a directory").exit(), Exit::Denied);
    }

    #[test]
    fn the_mode_of_what_was_opened_counts() {
        let (_dir, file) = with_mode(0o700);
        assert!(open(&file, Use::Look).expect("nothing there").is_none());
        drop(open(&file, Use::Make).expect("made"));
        assert_eq!(fs::metadata(&file).expect("there").mode() & 0o777, 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("its mode");
        let refused = open(&file, Use::Change).expect_err("the group reads it");
        assert_eq!(refused.help, Some(format!("it holds personal data: chmod 600 {}", file.display())));
    }
}
