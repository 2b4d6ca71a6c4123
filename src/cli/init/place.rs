//! Where a configuration is written: into a directory, under a name that nothing has yet, whole or not at all.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, fchown};
use std::path::{Component, Path, PathBuf};

use tempfile::NamedTempFile;

use crate::config::{self, Judged, Settings};
use crate::domain::address::scrubbed;
use crate::domain::error::{Error, Failure, LocalReason, Result};

/// The name of a configuration.
pub const NAME: &str = "rosterd.toml";

fn shown(path: &Path) -> String {
    scrubbed(&path.display().to_string())
}

/// Refuses where something is in the place already.
///
/// # Errors
/// 64: it is there.
pub fn refuse_existing(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(_) => {
            Err(Failure::new(Error::Usage, format!("{} is there already, and nothing is overwritten", shown(path)))
                .help("move it away, or write elsewhere: --out DIR"))
        }
        Err(_) => Ok(()),
    }
}

/// A directory in which something is being made; one that was made for it goes again when nothing comes of it.
pub struct Directory {
    path: PathBuf,
    made: bool,
    /// The group that reads what is written here, besides its owner.
    readers: Option<u32>,
}

impl Directory {
    /// The directory, made where it is missing.
    ///
    /// # Errors
    /// 74: it can't be made.
    pub fn open(path: &Path) -> Result<Directory> {
        let path = if path.as_os_str().is_empty() { PathBuf::from(".") } else { path.to_path_buf() };
        let made = !path.exists();
        if made {
            let built = fs::DirBuilder::new().recursive(true).mode(0o750).create(&path);
            built.map_err(|error| failed(&path, "can't be made", error))?;
        }
        Ok(Directory { path, made, readers: None })
    }

    /// Has the group with this number read what is written here.
    pub fn read_by(&mut self, group: u32) {
        self.readers = Some(group);
    }

    /// Judges a configuration as if it stood here. Its secrets are not looked at.
    ///
    /// # Errors
    /// 74: nothing can be written here; what is wrong with the configuration otherwise.
    pub fn judged(&self, text: &str) -> Result<Settings> {
        let file = self.file(text.as_bytes())?;
        let Judged { settings, mut errors, .. } = config::judge(&[file.path().to_path_buf()], []);
        for error in &mut errors {
            error.file = format!("the configuration that {NAME} would be");
        }
        match settings.filter(|_| errors.is_empty()) {
            Some(settings) => Ok(settings),
            None => Err(config::failure(&errors)),
        }
    }

    fn file(&self, bytes: &[u8]) -> Result<NamedTempFile> {
        let write = || {
            let mut file = tempfile::Builder::new().prefix(".rosterd-init-").suffix(".toml").tempfile_in(&self.path)?;
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            Ok(file)
        };
        write().map_err(|error: std::io::Error| failed(&self.path, "can't be written to", error))
    }

    /// Writes a file of this name, for its owner and the directory's readers: whole, or not at all, and never over another.
    ///
    /// # Errors
    /// 64: there is one; 74: it can't be written.
    pub fn publish(mut self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let file = self.file(bytes)?;
        self.persist(name, file)
    }

    /// The beginning of a file that [`Directory::persist`] gives its name.
    ///
    /// # Errors
    /// 74: nothing can be written here.
    pub fn unnamed(&self) -> Result<NamedTempFile> {
        self.file(b"")
    }

    /// As [`Directory::publish`], of a file that was written already.
    ///
    /// # Errors
    /// As [`Directory::publish`].
    pub fn persist(&mut self, name: &str, file: NamedTempFile) -> Result<PathBuf> {
        let path = self.path.join(name);
        let mode = if self.readers.is_some() { 0o640 } else { 0o600 };
        let given = self.readers.map_or(Ok(()), |group| fchown(file.as_file(), None, Some(group)));
        let finished = given
            .and_then(|()| file.as_file().set_permissions(fs::Permissions::from_mode(mode)))
            .and_then(|()| file.as_file().sync_all());
        finished.map_err(|error| failed(&path, "can't be written", error))?;
        file.persist_noclobber(&path).map_err(|error| match error.error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                Failure::new(Error::Usage, format!("{} is there by now, and nothing is overwritten", shown(&path)))
            }
            _ => failed(&path, "can't be written", error.error),
        })?;
        self.made = false;
        // The name is on disk when its directory is; a file system that has no such notion has it anyway.
        let _ = File::open(&self.path).and_then(|directory| directory.sync_all());
        Ok(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.made {
            // Only an empty one goes.
            let _ = fs::remove_dir(&self.path);
        }
    }
}

fn failed(path: &Path, what: &str, error: std::io::Error) -> Failure {
    Failure::new(Error::Local(LocalReason::Io), format!("{} {what}", shown(path)))
        .help("nothing was written; name another directory: --out DIR")
        .because(error)
}

/// A path as it is written into a configuration in this directory: relative where both are below one directory other than
/// the root.
///
/// # Errors
/// 64: it is no text, and can't be written.
pub fn relative(directory: &Path, path: &Path) -> Result<String> {
    let text = |path: &Path| {
        path.to_str().map(str::to_owned).ok_or_else(|| {
            Failure::new(Error::Usage, format!("the path {} is not UTF-8, which a configuration is", shown(path)))
                .help("name the file otherwise")
        })
    };
    let (from, to) = (resolved(directory), resolved(path));
    let common = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    if common <= 1 {
        return text(&to);
    }
    let up = from.components().skip(common).map(|_| Component::ParentDir);
    let relative: PathBuf = up.chain(to.components().skip(common)).collect();
    text(&relative)
}

/// The absolute path, links followed as far as it is there.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut rest = Vec::new();
    let mut there = absolute.as_path();
    loop {
        if let Ok(known) = there.canonicalize() {
            return rest.iter().rev().fold(known, |path: PathBuf, name| path.join(name));
        }
        match (there.parent(), there.file_name()) {
            (Some(parent), Some(name)) => {
                rest.push(name.to_owned());
                there = parent;
            }
            _ => return absolute,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_the_configuration() {
        let home = tempfile::tempdir().expect("a directory");
        let home = home.path();
        fs::create_dir(home.join("etc")).expect("a directory");
        for (directory, path, written) in [
            ("", "hr.csv", "hr.csv"),
            ("etc", "hr.csv", "../hr.csv"),
            ("etc", "etc/hr.csv", "hr.csv"),
            ("not/there/yet", "etc/hr.csv", "../../../etc/hr.csv"),
        ] {
            assert_eq!(relative(&home.join(directory), &home.join(path)).expect("a text"), written);
        }
        assert_eq!(relative(home, Path::new("/etc/hr.csv")).expect("a text"), "/etc/hr.csv");
    }

    #[test]
    fn a_file_is_never_written_over_another_and_a_directory_in_vain_goes_again() {
        let home = tempfile::tempdir().expect("a directory");
        let place = home.path().join("new");
        drop(Directory::open(&place).expect("made"));
        assert!(!place.exists());
        let path = Directory::open(&place).expect("made").publish("a.toml", b"one").expect("written");
        assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o600);
        let again = Directory::open(&place).expect("there").publish("a.toml", b"two").expect_err("not over it");
        assert_eq!(again.error, Error::Usage);
        assert_eq!(fs::read(&path).expect("readable"), b"one");
        assert_eq!(fs::read_dir(&place).expect("a directory").count(), 1, "nothing else stays behind");
        assert!(refuse_existing(&path).is_err() && refuse_existing(&place.join("b")).is_ok());
    }
}
