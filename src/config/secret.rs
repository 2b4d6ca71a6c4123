//! Where a secret comes from, and the secret itself, which no `Debug` shows.

use std::path::PathBuf;

use secrecy::SecretString;

use crate::exit::{Exit, Failure};

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

impl Secret {
    /// Reads it.
    ///
    /// # Errors
    /// It is unset, unreadable or empty: exit 78.
    pub fn read(&self) -> Result<SecretString, Failure> {
        let unusable = |what: String| Failure::new(Exit::Config, what);
        let text = match self {
            Secret::Literal(secret) => return Ok(secret.clone()),
            Secret::Env(name) => std::env::var(name).map_err(|e| unusable(format!("{name}: {e}")))?,
            Secret::File(path) => {
                std::fs::read_to_string(path).map_err(|e| unusable(format!("{}", path.display())).because(e))?
            }
            Secret::Credential(name) => {
                let folder = std::env::var("CREDENTIALS_DIRECTORY").map_err(|e| unusable(format!("{name}: {e}")))?;
                let path = std::path::Path::new(&folder).join(name);
                std::fs::read_to_string(&path).map_err(|e| unusable(format!("{}", path.display())).because(e))?
            }
        };
        Ok(text.trim_end_matches(['\r', '\n']).to_string().into())
    }
}
