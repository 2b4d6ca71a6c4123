//! Opening and reading the files that a configuration names: no more of them than is admitted, and without waiting for
//! anybody. A path may lead to a device that has no end, or to a named pipe at whose other end nobody is.

use std::fs::{self, File};
use std::io::{Error, ErrorKind, Read, Result};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// The longest configuration, definition or bundle of certificates, in bytes: a configuration of a thousand syncs has
/// about 1 MB.
pub const LONGEST: u64 = 16_000_000;

/// Opens a file for reading. A named pipe is none; one that the shell made, as in `--config <(…)`, is.
///
/// # Errors
/// It can't be opened, or is a named pipe.
pub fn open(path: &Path) -> Result<File> {
    let is_ours = ["/dev", "/proc"].iter().any(|directory| path.starts_with(directory));
    if !is_ours && fs::metadata(path)?.file_type().is_fifo() {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            "it is a named pipe, and there may be nobody at its other end",
        ));
    }
    File::open(path)
}

/// The content of a file of at most [`LONGEST`] bytes.
///
/// # Errors
/// It can't be read, or is longer.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(Error::new(ErrorKind::FileTooLarge, format!("it is longer than {LONGEST} bytes")));
    }
    Ok(bytes)
}

/// [`read`] for text.
///
/// # Errors
/// As [`read`], or it is not UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?).map_err(|_| Error::new(ErrorKind::InvalidData, "it is not UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_an_end_is_refused_and_one_of_the_longest_is_read() {
        assert_eq!(read(Path::new("/dev/zero")).expect_err("no end").kind(), ErrorKind::FileTooLarge);
        let file = tempfile::NamedTempFile::new().expect("a file");
        file.as_file().set_len(LONGEST).expect("room");
        assert_eq!(read(file.path()).expect("it is read").len() as u64, LONGEST);
        file.as_file().set_len(LONGEST + 1).expect("room");
        assert!(read(file.path()).is_err());
    }

    #[test]
    fn nobody_is_waited_for_at_a_named_pipe() {
        let directory = tempfile::tempdir().expect("a directory");
        let pipe = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo is there");
        assert!(made.success() && open(&pipe).expect_err("a pipe").to_string().contains("named pipe"));
    }
}
