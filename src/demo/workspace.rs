//! The demo's workspace: a temporary directory with the sample configuration, the simulated platforms, and the program
//! itself, run as an operator would run it.

use crate::os::panics::off_thread;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::domain::error::{Error, Failure, LocalReason, Result};
use crate::sandbox::{Behaviour, Options, Request, Running, Sandbox};

/// The sample configuration, exactly as it lies in `config/`.
const CONFIGURATION: &str = include_str!("../../config/demo.toml");

/// The export for which `rosterd init` writes a configuration.
pub(super) const OWN_EXPORT: &str = include_str!("../../config/demo/people.csv");

/// How fast the demo may go. A vendor's platform would want less, and the sample says so; the sandbox doesn't mind,
/// and nobody wants to watch three hundred people go by at twenty a second, on one platform after the other.
const RATE: &str = "400/s";

/// A platform of the story: its sync and its target in the sample configuration, and the sandbox's word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Platform {
    Juno,
    Juicebox,
    LongJump,
}

impl Platform {
    /// In the order in which the story tells of them.
    pub(super) const ALL: [Platform; 3] = [Platform::Juno, Platform::Juicebox, Platform::LongJump];

    /// The name of its sync, of its target, and in the sandbox.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Platform::Juno => "juno",
            Platform::Juicebox => "juicebox",
            Platform::LongJump => "longjump",
        }
    }

    /// Its name for people.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Platform::Juno => "JUNO",
            Platform::Juicebox => "Juicebox",
            Platform::LongJump => "LongJump",
        }
    }
}

/// The exports of the four days, as they lie in `config/demo/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Export {
    One,
    Two,
    Evening,
    Three,
    Four,
}

impl Export {
    /// The file's text.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Export::One => include_str!("../../config/demo/day1.csv"),
            Export::Two => include_str!("../../config/demo/day2.csv"),
            Export::Evening => include_str!("../../config/demo/day2-evening.csv"),
            Export::Three => include_str!("../../config/demo/day3.csv"),
            Export::Four => include_str!("../../config/demo/day4.csv"),
        }
    }
}

/// What a command left behind.
pub(super) struct Done {
    /// Its exit code; none when a signal ended it.
    pub(super) code: Option<i32>,
    /// Standard output.
    pub(super) stdout: String,
    /// Standard error.
    pub(super) stderr: String,
}

/// Where a command is run, and with which settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The directory with the sample configuration.
    Story,
    /// A directory that has an export and a secret, and no configuration yet.
    Own,
}

/// How commands are to write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// In colour.
    pub(super) colours: bool,
    /// For so many columns.
    pub(super) columns: usize,
}

/// Everything that the story needs. The directory is gone when this is dropped.
pub(super) struct Workspace {
    dir: TempDir,
    program: PathBuf,
    sandbox: Running,
    seen: u64,
    /// Held while a command runs.
    busy: Arc<Mutex<()>>,
}

impl Workspace {
    /// Sets up directory and sandbox.
    ///
    /// # Errors
    /// No temporary directory, no free port, or the program can't tell where it lies.
    pub(super) async fn create() -> Result<Workspace> {
        let dir = TempDir::with_prefix("rosterd-demo-").map_err(|e| local("make a temporary directory", e))?;
        let program = std::env::current_exe().map_err(|e| local("find the program itself", e))?;
        let sandbox =
            Sandbox::start(Options::default()).await.map_err(|e| local("start the simulated platforms", e))?;
        let workspace = Workspace { dir, program, sandbox, seen: 0, busy: Arc::default() };
        workspace.write("config/demo.toml", CONFIGURATION)?;
        workspace.write("config/juno.token", "sandbox\n")?;
        workspace.write("own/people.csv", OWN_EXPORT)?;
        workspace.write("own/juno.token", "sandbox\n")?;
        Ok(workspace)
    }

    /// The accounts of a platform, as its administrator sees them.
    pub(super) fn users(&self, platform: Platform) -> Vec<Value> {
        self.sandbox.users(platform.name())
    }

    /// Everybody who was invited accepts.
    pub(super) fn accept_invitations(&self) -> Result<()> {
        let accepted = Behaviour { accept_invitations: true, ..Behaviour::default() };
        self.sandbox.behave(accepted).map_err(Failure::internal)
    }

    /// Accounts that somebody made by hand in JUNO before rosterd came; `(email, first name)`, without a client id.
    pub(super) fn accounts_made_by_hand(&self, people: &[(&str, &str)]) -> Result<()> {
        let accounts: Vec<_> = people.iter().map(|(email, name)| json!({"email": email, "first_name": name})).collect();
        self.sandbox.seed("juno", &accounts).map_err(Failure::internal)?;
        Ok(())
    }

    /// HR delivers: the export takes the place of the one before.
    pub(super) fn deliver(&self, export: Export) -> Result<()> {
        self.write("export.csv", export.text())
    }

    /// The file in the directory of one's own, if there is one.
    pub(super) fn own_file(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.dir.path().join("own").join(name)).ok()
    }

    /// The settings that stand in for a configuration of one's own. The simulated platforms listen on a port that is
    /// free now; the samples name another.
    fn environment(&self, place: Place) -> Vec<(&'static str, String)> {
        let at = |path: &str| format!("{}/{path}", self.sandbox.url());
        let juno = ("ROSTERD_TARGETS__JUNO__BASE_URL", at("juno/api"));
        match place {
            Place::Own => vec![juno],
            Place::Story => vec![
                juno,
                ("ROSTERD_CONFIG", "config/demo.toml".to_string()),
                ("ROSTERD_SOURCES__HR__PATH", self.dir.path().join("export.csv").display().to_string()),
                ("ROSTERD_TARGETS__JUICEBOX__BASE_URL", at("juicebox")),
                ("ROSTERD_TARGETS__LONGJUMP__BASE_URL", at("longjump")),
                ("ROSTERD_TARGETS__JUNO__RATE", RATE.to_string()),
                ("ROSTERD_TARGETS__JUICEBOX__RATE", RATE.to_string()),
                ("ROSTERD_TARGETS__LONGJUMP__RATE", RATE.to_string()),
            ],
        }
    }

    /// Runs the program with these arguments in a directory of the demo, without any setting from the outside.
    ///
    /// # Errors
    /// It can't be started.
    pub(super) async fn run(&self, place: Place, args: &[&str], look: Look) -> Result<Done> {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ROSTERD_") {
                command.env_remove(name);
            }
        }
        match look.colours {
            true => command.env_remove("NO_COLOR").env("CLICOLOR_FORCE", "1"),
            false => command.env_remove("CLICOLOR_FORCE").env("NO_COLOR", "1"),
        };
        command.env_remove("RUST_LOG").env("COLUMNS", look.columns.to_string()).envs(self.environment(place));
        // What is kept outside of a state's directory goes with the demo.
        command.env_remove("RUNTIME_DIRECTORY").env("XDG_RUNTIME_DIR", self.dir.path());
        let directory = match place {
            Place::Story => self.dir.path().to_path_buf(),
            Place::Own => self.dir.path().join("own"),
        };
        command.current_dir(directory).args(args);
        // The sandbox serves on this runtime meanwhile, so the wait is on a thread of its own.
        let busy = Arc::clone(&self.busy);
        let output = off_thread("waiting for a command of the demo failed", move || {
            let _busy = busy.lock().unwrap_or_else(PoisonError::into_inner);
            command.output()
        })
        .await?
        .map_err(|e| local("run rosterd itself", e))?;
        Ok(Done {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// What the platforms saw since this was last asked.
    pub(super) fn news(&mut self) -> Vec<Request> {
        let log = self.sandbox.requests_since(self.seen);
        self.seen = log.last().map_or(self.seen, |r| r.seq);
        log
    }

    /// The directory that everything is in.
    pub(super) fn directory(&self) -> &Path {
        self.dir.path()
    }

    /// Takes everything down, once the command that runs has ended: it would write into a directory that goes away.
    pub(super) async fn close(self) {
        let busy = Arc::clone(&self.busy);
        // A thread that can't be had waits for nothing, and what is left then is a directory.
        let _waited = off_thread("waiting for a command of the demo failed", move || {
            drop(busy.lock().unwrap_or_else(PoisonError::into_inner));
        })
        .await;
        self.sandbox.shutdown().await;
    }

    /// Writes a file that its owner alone can read: among them is a secret.
    fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.dir.path().join(path);
        write_private(&path, text).map_err(|e| local(&format!("write {}", path.display()), e))
    }
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

fn local(what: &str, error: io::Error) -> Failure {
    Failure::new(Error::Local(LocalReason::Io), format!("the demo cannot {what}")).because(error)
}
