//! Files that a configuration of the service names and that the service can't read: where they are to go, and what to type
//! for it.

use std::path::{Path, PathBuf};

use super::service::{self, Service};

/// What a file is, which says who may read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An export: for the service's group.
    Export,
    /// A secret: for the service's user alone.
    Secret,
}

/// A file that the service can't read where it is, or as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    /// Where it is.
    pub from: PathBuf,
    /// Where the configuration looks for it.
    pub to: PathBuf,
    /// What it is.
    pub kind: Kind,
}

impl Handover {
    /// What has to be done with this file, if it is there and the service can't read it. `None` too where its name is not
    /// UTF-8, which a configuration is.
    pub fn needed(service: &Service, file: &Path, kind: Kind) -> Option<Handover> {
        let from = file.canonicalize().ok().filter(|from| !service.can_read(from))?;
        let name = file.file_name()?.to_str()?;
        // Where it stands beside the configuration already, `from` and `to` are one.
        let to = service.directory.canonicalize().unwrap_or_else(|_| service.directory.clone()).join(name);
        let to = if to.canonicalize().is_ok_and(|there| there == from) { from.clone() } else { to };
        Some(Handover { from, to, kind })
    }

    /// Its name beside the configuration.
    pub fn name(&self) -> String {
        self.to.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Whether it stays where it is, and only its mode and owner are wrong.
    pub fn stays(&self) -> bool {
        self.from == self.to
    }

    /// What root types, each on its line.
    pub fn commands(&self) -> Vec<String> {
        let word = |path: &Path| command_word(&path.display().to_string());
        let (from, to) = (word(&self.from), word(&self.to));
        let (option, owner, mode) = match self.kind {
            Kind::Export => ("-g", "chgrp", "640"),
            Kind::Secret => ("-o", "chown", "600"),
        };
        let user = service::USER;
        match self.stays() {
            true => vec![format!("{owner} {user} {to}"), format!("chmod {mode} {to}")],
            false => vec![format!("install {option} {user} -m{mode} {from} {to}")],
        }
    }
}

/// A word as a shell takes it.
pub fn command_word(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+".contains(letter);
    if !text.is_empty() && text.chars().all(plain) { text.into() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::os::users::User;

    #[test]
    fn a_file_that_the_service_can_not_read_goes_beside_the_configuration_or_changes_hands_there() {
        let home = tempfile::tempdir().expect("a directory");
        let path = |name: &str| home.path().canonicalize().expect("a path").join(name);
        fs::create_dir(path("etc")).expect("a directory");
        let user = User { name: service::USER.into(), uid: 64_998, gid: 64_999 };
        let service = Service { directory: path("etc"), user };
        for name in ["people's.csv", "etc/juno.token"] {
            fs::write(path(name), "x").expect("written");
            fs::set_permissions(path(name), fs::Permissions::from_mode(0o600)).expect("a mode");
        }
        let export = Handover::needed(&service, &path("people's.csv"), Kind::Export).expect("needed");
        let (from, to) = (path("people").display().to_string(), path("etc/people").display().to_string());
        assert_eq!(
            (export.name().as_str(), export.commands()),
            ("people's.csv", vec![format!(r"install -g rosterd -m640 '{from}'\''s.csv' '{to}'\''s.csv'")])
        );
        let secret = Handover::needed(&service, &path("etc/juno.token"), Kind::Secret).expect("needed");
        let token = path("etc/juno.token").display().to_string();
        assert!(secret.stays());
        assert_eq!(secret.commands(), [format!("chown rosterd {token}"), format!("chmod 600 {token}")]);
        assert_eq!(Handover::needed(&service, &path("missing.csv"), Kind::Export), None);
    }
}
