//! A directory with configuration, source files and state, and the real binary run in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::Person;

/// A place to run `rosterd` in: `config/rosterd.toml`, `config/hr.csv`, `config/juno.token`, `state/`.
pub struct Home {
    dir: TempDir,
}

/// What a run of the binary left.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    /// What this output was.
    pub fn of(output: &std::process::Output) -> Ran {
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The only element of `runs`.
    #[track_caller]
    pub fn the_run(&self) -> Value {
        let runs = self.json()["runs"].clone();
        assert_eq!(runs.as_array().map(Vec::len), Some(1), "{runs}");
        runs[0].clone()
    }
    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|e| panic!("stdout is not JSON ({e}):\n{}\nstderr:\n{}", self.stdout, self.stderr))
    }

    /// Asserts the exit code, showing everything when it is another.
    #[track_caller]
    pub fn exits(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// The binary, running. Killed, should the test end before it does.
pub struct Started(Option<Child>);

impl Started {
    /// Starts a command with its output kept.
    pub fn of(mut command: Command) -> Started {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Started(Some(child.expect("the binary starts")))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.as_ref().map_or(0, Child::id)
    }

    /// Sends it a signal by name, e.g. `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.id().to_string()]).status();
        assert!(status.expect("kill runs").success(), "signal {name}");
    }

    /// Kills it as a power cut would.
    pub fn kill(mut self) {
        if let Some(mut child) = self.0.take() {
            child.kill().expect("it is still there");
            child.wait().expect("its end");
        }
    }

    /// Waits for its end.
    pub fn ends(mut self) -> Ran {
        let child = self.0.take().expect("it was started");
        Ran::of(&child.wait_with_output().expect("its end"))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Home {
    /// A home whose target is JUNO at `base_url`, with an ordinary mapping, no rate worth waiting for, quick retries, and
    /// no time for creates without an answer to take effect late.
    pub fn juno(base_url: &str) -> Home {
        let home = Home::empty();
        home.write("config/rosterd.toml", &format!("{STATE_AND_SOURCE}{}{SYNC}", target(base_url)));
        home.secret("config/juno.token", "sandbox\n");
        home
    }

    /// A home without any file.
    pub fn empty() -> Home {
        let dir = TempDir::with_prefix("rosterd-test-").expect("a temporary directory");
        fs::create_dir(dir.path().join("config")).expect("config/");
        Home { dir }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.path().join("config/rosterd.toml")
    }

    /// Writes a file below the home.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().expect("below the home")).expect("its directory");
        fs::write(path, text).expect("a file in the home");
    }

    /// Writes a file that only its owner can read.
    pub fn secret(&self, path: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        self.write(path, text);
        fs::set_permissions(self.path().join(path), fs::Permissions::from_mode(0o600)).expect("its permissions");
    }

    /// Adds lines to the configuration file.
    pub fn configure(&self, lines: &str) {
        let text = fs::read_to_string(self.config()).expect("a configuration");
        fs::write(self.config(), format!("{text}\n{lines}\n")).expect("the configuration");
    }

    /// Writes the source file: a header and rows of
    /// `employee_id,first_name,last_name,email,phone,title,city,status`.
    pub fn people<S: AsRef<str>>(&self, rows: &[S]) {
        let mut text = String::from(HEADER);
        for row in rows {
            text.push_str(row.as_ref());
            text.push('\n');
        }
        self.write("config/hr.csv", &text);
    }

    /// Writes these people as the source file.
    pub fn roster(&self, people: &[Person]) {
        self.people(&people.iter().map(Person::row).collect::<Vec<_>>());
    }

    /// The state database.
    pub fn database(&self) -> PathBuf {
        self.path().join("state/rosterd.db")
    }

    /// Rows of a query on the state database, each as an array, as a colleague with `sqlite3` would see them.
    pub fn query(&self, sql: &str) -> Vec<Vec<Value>> {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let db = rusqlite::Connection::open_with_flags(self.database(), flags).expect("the state database");
        let mut statement = db.prepare(sql).expect("a query");
        let columns = statement.column_count();
        let cell = |value: rusqlite::types::Value| match value {
            rusqlite::types::Value::Null => Value::Null,
            rusqlite::types::Value::Integer(n) => n.into(),
            rusqlite::types::Value::Real(n) => n.into(),
            rusqlite::types::Value::Text(text) => text.into(),
            rusqlite::types::Value::Blob(bytes) => format!("{bytes:?}").into(),
        };
        let rows = statement.query_map([], |row| (0..columns).map(|n| Ok(cell(row.get(n)?))).collect());
        rows.expect("rows").collect::<Result<_, _>>().expect("readable rows")
    }

    /// The ledger, oldest first, after the command line's own telling.
    pub fn outcomes(&self, filter: &[&str]) -> Vec<Value> {
        let ran = self.run(&[&["outcomes", "--format", "json"], filter].concat()).exits(0);
        ran.stdout.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect()
    }

    /// How many outcomes there are of each status and operation in the last run: `{"ok create": 3}`.
    pub fn last_run(&self) -> BTreeMap<String, u64> {
        let rows = self.query(
            "SELECT status || coalesce(' ' || op, ''), count(*) FROM v_outcomes
             WHERE run = (SELECT run FROM v_runs ORDER BY started_at DESC, run DESC LIMIT 1) GROUP BY 1",
        );
        let text = |value: &Value| value.as_str().expect("text").to_string();
        rows.iter().map(|row| (text(&row[0]), row[1].as_u64().expect("a count"))).collect()
    }

    /// Starts the binary and leaves it running.
    pub fn start(&self, args: &[&str]) -> Started {
        Started::of(self.command(args))
    }

    /// The binary with these arguments, in this home, with no setting from the outside. `TEST_BINARY` names another
    /// build of it, for tests that run it thousands of times.
    pub fn command(&self, args: &[&str]) -> Command {
        let other = std::env::var_os("TEST_BINARY").map(PathBuf::from);
        let mut command = Command::new(other.unwrap_or_else(|| env!("CARGO_BIN_EXE_rosterd").into()));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ROSTERD_") {
                command.env_remove(name);
            }
        }
        command.env_remove("RUST_LOG").env("NO_COLOR", "1").env("TZ", "UTC").current_dir(self.path());
        command.env_remove("RUNTIME_DIRECTORY").env("XDG_RUNTIME_DIR", self.path());
        command.arg("--config").arg(self.config()).args(args);
        command
    }

    /// The binary with these arguments, run by another program, e.g. `strace`.
    pub fn command_under(&self, program: &str, options: &[&str], args: &[&str]) -> Command {
        let inner = self.command(args);
        let mut outer = Command::new(program);
        outer.args(options).arg(inner.get_program()).args(inner.get_args()).current_dir(self.path());
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => outer.env(name, value),
                None => outer.env_remove(name),
            };
        }
        outer
    }

    /// Runs the binary to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::of(&self.command(args).output().expect("the binary runs"))
    }

    /// Runs the binary with `--format json`.
    pub fn run_json(&self, args: &[&str]) -> Ran {
        self.run(&[args, &["--format", "json"]].concat())
    }
}

/// The columns of the source file.
const HEADER: &str = "employee_id,first_name,last_name,email,phone,title,city,status\n";

const STATE_AND_SOURCE: &str = r#"
[state]
path = "../state/rosterd.db"

[sources.hr]
kind = "csv"
path = "hr.csv"
key = "employee_id"
required = ["email", "status"]
"#;

const SYNC: &str = r#"
[syncs.staff]
source = "hr"
target = "juno"
include = 'status == "active"'
match = ["email"]

[syncs.staff.map]
client_id = "employee_id"
email = { cel = "email.trim().lowerAscii()" }
first_name = "first_name"
last_name = "last_name"
phone = "phone"
title = "title"
city = "city"
account_level = { value = 0, when = "create" }
"#;

fn target(base_url: &str) -> String {
    format!(
        r#"
[targets.juno]
kind = "juno"
base_url = "{base_url}"
auth = {{ kind = "bearer", token = {{ file = "juno.token" }} }}
rate = "1000/s"
burst = 100
timeout = "2s"
retry = {{ attempts = 3, base = "10ms", max = "1s" }}
settle = "0s"
"#
    )
}
