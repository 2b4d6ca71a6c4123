//! Where a secret comes from, and the secret itself, which no `Debug` shows.
//!
//! A secret is read when it is needed, at each run, so that a rotated one takes effect without a restart. The rules on
//! who else may read the file are those of ssh's keys, less strict by one step: the group may (systemd and
//! configuration management hand files out that way), the world may not.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use crate::domain::error::{Error, Failure, LocalReason};
use crate::os::bounded_file;

/// The directory that systemd puts a service's credentials into.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// The mode bit by which everybody can read a file.
const READABLE_BY_THE_WORLD: u32 = 0o004;

/// The longest secret that is read from a file, in bytes: keys and tokens are far below, and a wrong path to a large
/// file must not fill the memory.
const LONGEST_SECRET: u64 = 64 * 1024;

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
    /// The secret as it is now.
    ///
    /// Ends with 78 when it is unset, missing or empty, with 77 when it stands in a file that everybody can read or
    /// that we can't.
    pub fn read(&self) -> Result<SecretString, Failure> {
        self.read_with(|name| std::env::var_os(name))
    }

    /// Whether systemd gives it to the service only, and this process is not the service.
    pub fn is_for_the_service_alone(&self) -> bool {
        matches!(self, Secret::Credential(_)) && std::env::var_os(CREDENTIALS_DIRECTORY).is_none()
    }

    /// Whether it stands in a file that everybody on this machine can read: whoever runs us, it is refused.
    pub fn is_open_to_all(&self) -> bool {
        let Secret::File(path) = self else { return false };
        fs::metadata(path).is_ok_and(|file| is_open(&file))
    }

    fn read_with(&self, env: impl Fn(&str) -> Option<std::ffi::OsString>) -> Result<SecretString, Failure> {
        match self {
            Secret::Env(name) => {
                let value = env(name).ok_or_else(|| {
                    Failure::new(
                        Error::Config,
                        format!("the environment variable {name}, which holds a secret, is not set"),
                    )
                    .help(format!("set {name}, or point the secret elsewhere: {{ file = \"PATH\" }}"))
                })?;
                let value = value.into_string().map_err(|_| not_text(&format!("the environment variable {name}")))?;
                not_empty(value, &format!("the environment variable {name}"))
            }
            Secret::File(path) => read_file(path, true),
            Secret::Credential(name) => {
                let directory = env(CREDENTIALS_DIRECTORY).ok_or_else(|| {
                    Failure::new(
                        Error::Config,
                        format!("the systemd credential {name} is not there: ${CREDENTIALS_DIRECTORY} is not set"),
                    )
                    .help(format!(
                        "start rosterd as a service with LoadCredential={name}:PATH, or use {{ file = \"PATH\" }}"
                    ))
                })?;
                // systemd sees to the permissions of its own directory.
                read_file(&Path::new(&directory).join(name), false)
            }
            Secret::Literal(text) => not_empty(text.expose_secret().to_owned(), "the secret in the configuration"),
        }
    }
}

fn is_open(file: &fs::Metadata) -> bool {
    file.permissions().mode() & READABLE_BY_THE_WORLD != 0
}

/// Reads a secret's file. Links are followed: Kubernetes and the directories of certificates hand files out that way. What
/// counts is the mode of the file that was opened; where `private` is set, one that everybody can read is refused.
fn read_file(path: &Path, private: bool) -> Result<SecretString, Failure> {
    let place = format!("the secret file {}", path.display());
    let file = bounded_file::open(path).map_err(|e| unreadable(path, e))?;
    let metadata = file.metadata().map_err(|e| unreadable(path, e))?;
    if private && is_open(&metadata) {
        let opened = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let message = format!("{place} can be read by everybody on this machine");
        return Err(
            Failure::new(Error::Local(LocalReason::Exposed), message).help(format!("chmod o-r {}", opened.display()))
        );
    }
    let too_long = |length: u64| {
        let message = format!("{place} has {length} bytes or more; a secret has at most {LONGEST_SECRET}");
        Failure::new(Error::Config, message).help("check the path")
    };
    if metadata.len() > LONGEST_SECRET {
        return Err(too_long(metadata.len()));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST_SECRET + 1).read_to_end(&mut bytes).map_err(|e| unreadable(path, e))?;
    if bytes.len() as u64 > LONGEST_SECRET {
        return Err(too_long(LONGEST_SECRET + 1));
    }
    let text = String::from_utf8(bytes).map_err(|_| not_text(&place))?;
    not_empty(without_line_end(&text).to_owned(), &place)
}

/// The text without one line feed, or carriage return and line feed, at its end: editors put it there. More than one
/// is part of the secret.
fn without_line_end(text: &str) -> &str {
    text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n')).unwrap_or(text)
}

fn not_empty(text: String, place: &str) -> Result<SecretString, Failure> {
    if text.is_empty() {
        return Err(Failure::new(Error::Config, format!("{place} is empty")).help("put the secret into it"));
    }
    Ok(SecretString::from(text))
}

fn not_text(place: &str) -> Failure {
    Failure::new(Error::Config, format!("{place} is not UTF-8 text, so it can't be a secret"))
}

fn unreadable(path: &Path, error: std::io::Error) -> Failure {
    let (kind, help) = match error.kind() {
        std::io::ErrorKind::PermissionDenied => (
            Error::Local(LocalReason::Exposed),
            "it may be there: have it, and the way to it, readable by the user that rosterd runs as (as a service: chown \
             rosterd), and by nobody else",
        ),
        _ => (Error::Config, "create it, readable by the user that rosterd runs as and by nobody else"),
    };
    Failure::new(kind, format!("cannot read the secret file {}", path.display())).help(help).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::exit::Exit;

    fn file(mode: u32, text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("token");
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("mode set");
        (dir, path)
    }

    #[test]
    fn exactly_one_line_end_is_dropped() {
        for (text, secret) in [("s", "s"), ("s\n", "s"), ("s\r\n", "s"), ("s\n\n", "s\n"), (" s \r", " s \r")] {
            let (_dir, path) = file(0o640, text);
            let read = Secret::File(path).read().expect("readable");
            assert_eq!(read.expose_secret(), secret, "{text:?}");
        }
    }

    #[test]
    fn a_file_that_the_world_can_read_is_refused_with_the_remedy() {
        for mode in [0o644, 0o604] {
            let (_dir, path) = file(mode, "s");
            let failure = Secret::File(path.clone()).read().expect_err("open to the world");
            assert_eq!(failure.exit(), Exit::Denied);
            assert!(failure.message.contains(&path.display().to_string()));
            assert_eq!(failure.help, Some(format!("chmod o-r {}", path.display())));
        }
    }

    #[test]
    fn unset_missing_and_empty_secrets_are_errors_of_configuration() {
        let (dir, path) = file(0o600, "\n");
        let secrets = [
            Secret::File(path),
            Secret::File(dir.path().join("absent")),
            Secret::Env("UNSET".into()),
            Secret::Env("EMPTY".into()),
            Secret::Credential("absent".into()),
            Secret::Literal(String::new().into()),
        ];
        for secret in secrets {
            let env = |name: &str| (name == "EMPTY").then(Default::default);
            let failure = secret.read_with(env).expect_err("no secret there");
            assert_eq!(failure.exit(), Exit::Config, "{secret:?}");
        }
    }

    #[test]
    fn a_credential_is_a_file_in_the_directory_that_systemd_names() {
        let (dir, _path) = file(0o444, "s3cret\n");
        let env = |name: &str| (name == CREDENTIALS_DIRECTORY).then(|| dir.path().as_os_str().to_owned());
        let read = Secret::Credential("token".into()).read_with(env).expect("readable");
        assert_eq!(read.expose_secret(), "s3cret");
    }

    #[test]
    fn debug_never_shows_a_secret() {
        let secret = Secret::Literal("hunter2".to_owned().into());
        assert!(!format!("{secret:?} {:?}", secret.read()).contains("hunter2"));
    }
}
