//! The service of this machine, as the packages install it: where its configuration is, and what it can read.
//!
//! `systemd/rosterd.service` has the same: user, places, and what is hidden from it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::config::Settings;
use crate::config::settings::SourceKind;
use crate::http::secret::Secret;
use crate::os::users::{self, User};

/// The user that the service runs as.
pub const USER: &str = "rosterd";

/// The unit.
pub const UNIT: &str = "rosterd";

/// The directory of its configuration.
const DIRECTORY: &str = "/etc/rosterd";

/// Its state, in the only directory that it can write to.
pub const STATE: &str = "/var/lib/rosterd/rosterd.db";

/// What the unit hides (`ProtectHome=`), or has of its own (`PrivateTmp=`).
const HIDDEN: [&str; 5] = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];

/// The service that is installed here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The directory of its configuration.
    pub directory: PathBuf,
    /// The user that it runs as.
    pub user: User,
}

impl Service {
    /// The service, where one is installed: its user is there, and the directory is of the user's group.
    pub fn of_this_machine() -> Option<Service> {
        let user = users::named(USER)?;
        let directory = PathBuf::from(DIRECTORY);
        let metadata = directory.metadata().ok().filter(Metadata::is_dir)?;
        (metadata.gid() == user.gid).then_some(Service { directory, user })
    }

    /// Whether what is written into this directory is for the service.
    pub fn is_in(&self, directory: &Path) -> bool {
        let real = |path: &Path| path.canonicalize().ok();
        real(directory).is_some_and(|directory| real(&self.directory) == Some(directory))
    }

    /// Whether the service can read this file: nothing hides it, each directory above lets it through, and the mode admits it.
    /// Access lists and further groups are not looked at.
    pub fn can_read(&self, file: &Path) -> bool {
        let is_hidden = |file: &Path| HIDDEN.iter().any(|place| file.starts_with(place));
        file.canonicalize().is_ok_and(|file| !is_hidden(&file)) && self.reaches(file)
    }

    /// What this configuration names and the service can't read, while whoever asks can: exports and secrets, with the key.
    /// Nothing where the configuration is not the service's.
    pub fn out_of_reach(&self, settings: &Settings, files: &[PathBuf]) -> Vec<(Vec<String>, PathBuf)> {
        let is_its_own = |file: &PathBuf| file.parent().is_some_and(|directory| self.is_in(directory));
        if !files.iter().any(is_its_own) {
            return Vec::new();
        }
        let key =
            |section: &str, name: &str, field: &str| vec![section.to_string(), name.to_string(), field.to_string()];
        let of_sources = settings.sources.iter().flat_map(|(name, source)| {
            let export = match &source.kind {
                SourceKind::File(file) => Some((key("sources", name, "path"), file.path.clone())),
                SourceKind::Http(_) | SourceKind::Union(_) => None,
            };
            export.into_iter().chain(in_a_file(source.kind.secret()).map(|file| (key("sources", name, "auth"), file)))
        });
        let of_targets = settings.targets.iter().filter_map(|(name, target)| {
            in_a_file(target.auth.secret()).map(|file| (key("targets", name, "auth"), file))
        });
        of_sources.chain(of_targets).filter(|(_, file)| file.exists() && !self.can_read(file)).collect()
    }

    /// Whether the modes of the file and of the directories above it let the user read it.
    fn reaches(&self, file: &Path) -> bool {
        let Ok(file) = file.canonicalize() else { return false };
        let admits = |path: &Path, bit: u32| path.metadata().is_ok_and(|metadata| self.admits(&metadata, bit));
        admits(&file, 0o4) && file.ancestors().skip(1).all(|directory| admits(directory, 0o1))
    }

    /// Whether the mode gives the user this bit of the last three.
    fn admits(&self, metadata: &Metadata, bit: u32) -> bool {
        let shift = match () {
            () if metadata.uid() == self.user.uid => 6,
            () if metadata.gid() == self.user.gid => 3,
            () => 0,
        };
        metadata.mode() >> shift & bit != 0
    }
}

/// The file that a secret is in, if it is in one.
fn in_a_file(secret: Option<&Secret>) -> Option<PathBuf> {
    match secret {
        Some(Secret::File(file)) => Some(file.clone()),
        _ => None,
    }
}

/// How commands are typed by whoever set the service up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typed {
    /// In a shell of root's; `runuser` is on every machine (util-linux), `sudo` is not.
    ByRoot,
    /// Through `sudo`.
    WithSudo,
}

impl Typed {
    /// As this process was started. `sudo` says so in `SUDO_USER` (sudo(8)).
    pub fn here() -> Typed {
        let by_sudo = std::env::var_os("SUDO_USER").is_some_and(|user| !user.is_empty());
        if rustix::process::geteuid().is_root() && !by_sudo { Typed::ByRoot } else { Typed::WithSudo }
    }

    /// A command that root has to carry out.
    pub fn by_root(self, command: &str) -> String {
        match self {
            Typed::ByRoot => command.into(),
            Typed::WithSudo => format!("sudo {command}"),
        }
    }

    /// A command that is carried out as the service would: what the one can read, the other can.
    pub fn by_service(self, command: &str) -> String {
        match self {
            Typed::ByRoot => format!("runuser -u {USER} -- {command}"),
            Typed::WithSudo => format!("sudo -u {USER} {command}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A service whose user is this process's, and one whose user is nobody's here.
    fn service(directory: &Path, uid: u32) -> Service {
        Service { directory: directory.to_path_buf(), user: User { name: USER.into(), uid, gid: 64_999 } }
    }

    #[test]
    fn what_the_service_can_read_depends_on_the_modes_on_the_way() {
        let home = tempfile::tempdir_in("/tmp").expect("a directory");
        let export = home.path().join("people.csv");
        fs::write(&export, "id\n").expect("written");
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
        let metadata = export.metadata().expect("there");
        let somebody = service(home.path(), 64_998);
        let owner = service(home.path(), metadata.uid());
        let mut of_the_group = somebody.clone();
        of_the_group.user.gid = metadata.gid();
        for (directory, file, read_by) in [
            (0o755, 0o644, [true, true, true]),
            (0o755, 0o640, [false, true, true]),
            (0o755, 0o600, [false, false, true]),
            (0o750, 0o644, [false, true, true]),
            (0o700, 0o644, [false, false, true]),
        ] {
            mode(home.path(), directory);
            mode(&export, file);
            let read = [&somebody, &of_the_group, &owner].map(|service| service.reaches(&export));
            assert_eq!(read, read_by, "{directory:o} {file:o}");
        }
        assert!(!owner.reaches(&home.path().join("missing.csv")));
    }

    #[test]
    fn what_the_unit_hides_can_not_be_read_whatever_its_mode() {
        let temporary = tempfile::NamedTempFile::new_in("/tmp").expect("a file");
        let own = rustix::process::getuid().as_raw();
        assert!(!service(Path::new("/"), own).can_read(temporary.path()));
        let unit = include_str!("../../systemd/rosterd.service");
        assert!(unit.contains("ProtectHome=yes") && unit.contains("PrivateTmp=yes") && unit.contains("User=rosterd"));
        assert!(unit.contains("StateDirectory=rosterd\n") && STATE.starts_with("/var/lib/rosterd/"));
        assert!(unit.contains(&format!("ROSTERD_CONFIG={DIRECTORY}/")));
    }

    #[test]
    fn what_the_service_can_not_read_of_its_configuration_is_named() {
        let home = tempfile::tempdir_in("/tmp").expect("a directory");
        let text = r#"
            [state]
            path = "s.db"
            [sources.hr]
            kind = "csv"
            path = "people.csv"
            key = "id"
            [targets.juno]
            kind = "juno"
            base_url = "http://127.0.0.1:1/juno/api"
            auth = { kind = "bearer", token = { file = "juno.token" } }
            [syncs.staff]
            source = "hr"
            target = "juno"
            map = { client_id = "id", email = "email" }
        "#;
        let configuration = home.path().join("rosterd.toml");
        fs::write(&configuration, text).expect("written");
        for file in ["people.csv", "juno.token"] {
            fs::write(home.path().join(file), "x").expect("written");
        }
        let settings = crate::config::judge(std::slice::from_ref(&configuration), []).settings.expect("settings");
        // Whatever is below /tmp is hidden from it.
        let found = service(home.path(), 64_998).out_of_reach(&settings, std::slice::from_ref(&configuration));
        let keys: Vec<String> = found.iter().map(|(key, _)| key.join(".")).collect();
        assert_eq!(keys, ["sources.hr.path", "targets.juno.auth"]);
        let elsewhere = service(Path::new("/nowhere"), 64_998).out_of_reach(&settings, &[configuration]);
        assert!(elsewhere.is_empty(), "the configuration is somebody else's");
    }

    #[test]
    fn the_directory_is_recognised_however_it_is_written() {
        let home = tempfile::tempdir().expect("a directory");
        let service = service(home.path(), 0);
        assert!(service.is_in(&home.path().join(".")) && !service.is_in(&home.path().join("..")));
        assert!(!service.is_in(&home.path().join("missing")));
    }
}
