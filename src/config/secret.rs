//! Where a secret comes from, and the secret itself, which no `Debug` shows.

use std::path::PathBuf;

use secrecy::SecretString;

/// Where a secret comes from. It is read at each run, not when the configuration is loaded.
#[derive(Clone, Debug)]
pub enum Secret {
    /// An environment variable.
    Env(String),
    /// A file, not readable by the world.
    File(PathBuf),
    /// A systemd credential: a file of this name in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// Text in the configuration file itself.
    Literal(SecretString),
}
