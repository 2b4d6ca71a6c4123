//! The directory for what is to be known until the machine is started anew, and no longer: outside of the state's own
//! directory, so that it is not put back together with that.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::files::{judge_directory, user};

/// The service's own, as the unit makes it (`RuntimeDirectory=rosterd`).
const SERVICE: &str = "/run/rosterd";

/// The directory, if this process has one: that of the service, that of the unit, or the user's own. It must be of the
/// user that runs this, or of the owner of the state where root looks, and nobody else may write it.
pub fn directory(database: &Path) -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).map(PathBuf::from);
    // systemd names several with a colon between them.
    let first = |path: PathBuf| path.to_str().and_then(|all| all.split(':').next()).map(PathBuf::from);
    let candidates = [
        named("RUNTIME_DIRECTORY").and_then(first),
        Some(SERVICE.into()),
        named("XDG_RUNTIME_DIR"),
        Some(format!("/run/user/{}", user()).into()),
    ];
    let owner = owner(database);
    candidates.into_iter().flatten().find(|directory| {
        let is_theirs = |owner: u32| std::fs::metadata(directory).is_ok_and(|d| d.is_dir() && d.uid() == owner);
        directory.is_absolute() && is_theirs(owner) && judge_directory(&directory.join("file")).is_ok()
    })
}

/// The machine's directory for temporary files, where the state is of the user that runs this: what root made there for
/// somebody else would be in their way.
pub fn shared(database: &Path) -> Option<PathBuf> {
    (owner(database) == user()).then(std::env::temp_dir)
}

/// Whose state it is; that of the user that runs this, where there is none yet.
fn owner(database: &Path) -> u32 {
    std::fs::metadata(super::files::parent(database)).map_or_else(|_| user(), |metadata| metadata.uid())
}

/// A name for what belongs to this database: a hash of where it is.
pub fn name_of(database: &Path) -> String {
    let directory = super::files::parent(database);
    let directory = std::fs::canonicalize(&directory).or_else(|_| std::path::absolute(&directory)).unwrap_or(directory);
    let whole = database.file_name().map_or_else(|| directory.clone(), |name| directory.join(name));
    blake3::hash(whole.as_os_str().as_encoded_bytes()).to_hex()[..16].to_string()
}
