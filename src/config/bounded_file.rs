//! Reading the files that a configuration names: whole, and no more of them than is admitted. A path may lead to a device
//! that has no end.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

/// The longest configuration, definition or bundle of certificates, in bytes: a configuration of a thousand syncs has
/// about 1 MB.
pub const LONGEST: u64 = 16_000_000;

/// The content of a file of at most [`LONGEST`] bytes.
///
/// # Errors
/// It can't be read, or is longer.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
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
}
