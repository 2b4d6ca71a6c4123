//! A page's session: its commands, run by bash in a directory of their own, where `rosterd` is the real binary and
//! `http://127.0.0.1:8480` the sandbox, as the configuration that `init` writes expects.
//!
//! Where it can be had, each session has a network of its own, so that pages run side by side and beside whatever else
//! runs on the machine. Else pages run one after the other, and the port must be free.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tempfile::TempDir;

use super::page::{Before, How, Kind, Step};

/// How long a block may take, and whatever waits for one.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often is looked whether something has happened.
const INTERVAL: Duration = Duration::from_millis(20);

/// The exit code of what SIGTERM ended.
const ASKED_TO_END: i32 = 128 + 15;

/// Where the sandbox listens when nothing else is said.
pub const SANDBOX: &str = "127.0.0.1:8480";

/// A network in which nobody else is: for as long as its first process lives.
pub struct Network {
    first: Child,
    is_roots: bool,
}

impl Network {
    /// A network of its own, where the kernel and the tools give one.
    pub fn new() -> Option<Network> {
        let is_roots = rustix::process::geteuid().is_root();
        let mut command = Command::new("unshare");
        command.arg(if is_roots { "-n" } else { "-rn" });
        // It lives until its standard input ends, and so never longer than this process.
        command.args(["--", "sh", "-c", "ip link set lo up && echo up && exec cat"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut first = command.spawn().ok()?;
        let mut told = [0; 3];
        let is_up = first.stdout.as_mut().is_some_and(|out| out.read_exact(&mut told).is_ok());
        let network = Network { first, is_roots };
        is_up.then_some(network)
    }

    /// The command that runs another in this network.
    fn entering(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.first.id().to_string(), "-n"]);
        if !self.is_roots {
            command.args(["-U", "--preserve-credentials"]);
        }
        command.args(["--", "bash"]);
        command
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.first.kill();
        let _ = self.first.wait();
    }
}

/// Commands that run, and whatever they began: ended when this is dropped.
struct Group {
    leader: Child,
    output: PathBuf,
}

/// What became of commands.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; 128 and the number where a signal ended it; none where they took too long.
    pub code: Option<i32>,
    /// Standard output and standard error, as they came.
    pub output: String,
    /// The line of the page and the command that failed.
    pub failed: Option<(usize, String)>,
}

impl Group {
    fn id(&self) -> Pid {
        Pid::from_child(&self.leader)
    }

    /// Whether its first process has ended. It stays to be waited for, so that nobody else gets its id.
    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(self.id()), options).expect("a child").is_some()
    }

    fn ends_within(&self, patience: Duration) -> bool {
        holds_within(patience, || self.has_ended())
    }

    fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap_or_default()).into_owned()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Whoever is left: the leader is not waited for yet, so the id is still this group's.
        let _ = kill_process_group(self.id(), Signal::KILL);
        let _ = self.leader.wait();
    }
}

fn holds_within(patience: Duration, condition: impl Fn() -> bool) -> bool {
    let began = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if began.elapsed() > patience {
            return false;
        }
        std::thread::sleep(INTERVAL);
    }
}

/// The session of a page.
pub struct Session {
    dir: TempDir,
    network: Option<Network>,
    beside: Vec<Group>,
    count: usize,
    /// What the last commands printed.
    printed: String,
}

impl Session {
    /// A new session, with the sandbox unless the page starts one.
    pub fn new(network: Option<Network>, starts_sandbox: bool) -> Session {
        let dir = TempDir::with_prefix("rosterd-page-").expect("a temporary directory");
        for folder in ["bin", "home", "tmp", "page", "session"] {
            fs::create_dir(dir.path().join(folder)).expect("a folder");
        }
        let program = dir.path().join("bin/rosterd");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_rosterd"), program).expect("a link");
        fs::write(dir.path().join("session/cwd"), dir.path().join("page").display().to_string()).expect("a file");
        fs::write(dir.path().join("session/env"), "").expect("a file");
        fs::write(dir.path().join("session/begin"), BEGIN).expect("a file");
        let mut session = Session { dir, network, beside: Vec::new(), count: 0, printed: String::new() };
        if !starts_sandbox {
            let begun =
                session.start_beside("rosterd sandbox", 1, &format!("exec 3<>/dev/tcp/{}", SANDBOX.replace(':', "/")));
            begun.expect("a sandbox");
        }
        session
    }

    /// Carries out a step. What went wrong is told with the line.
    pub fn take(&mut self, step: &Step) -> Result<(), String> {
        if step.kind == Kind::Machine {
            return Ok(()); // elsewhere, with what is said before it
        }
        let mut text = step.text.clone();
        for before in &step.before {
            match before {
                Before::Given { script, line } => {
                    self.run(script, *line, 0, &format!("{line}: what is given fails"))?;
                }
                Before::Replace { example, command, line } => {
                    let output = self.run(command, *line, 0, &format!("{line}: no {example}"))?;
                    text = text.replace(example.as_str(), output.trim());
                }
            }
        }
        if let Some(file) = &step.file {
            let cwd = fs::read_to_string(self.dir.path().join("session/cwd")).expect("where it is");
            fs::write(Path::new(cwd.trim()).join(file), &text).map_err(|e| format!("{}: {file}: {e}", step.line))?;
        }
        match &step.kind {
            Kind::Shell(How::ToTheEnd { exits }) => {
                let begin = format!("{}: the block does not end with {exits}", step.line);
                self.printed = self.run(&text, step.line, *exits, &begin)?;
                Ok(())
            }
            Kind::Shell(How::Until(command)) => self.run_until(&text, step.line, command),
            Kind::Shell(How::Beside(command)) => self.start_beside(&text, step.line, command),
            Kind::Text { is_printed: true } => super::printed::differs(&text, &self.printed)
                .map_or(Ok(()), |told| Err(format!("{}: {told}\nprinted was:\n{}", step.line, self.printed))),
            _ => Ok(()),
        }
    }

    /// Runs commands to their end, which must have this code and come of the last of them.
    fn run(&mut self, script: &str, line: usize, exits: i32, told: &str) -> Result<String, String> {
        let ended = self.ended(script, line);
        let is_last = ended.failed.as_ref().is_none_or(|(at, _)| *at >= line + last_command(script));
        if ended.code == Some(exits) && (exits == 0 || is_last) {
            return Ok(ended.output);
        }
        Err(format!("{told}: {}", ended.told()))
    }

    fn ended(&mut self, script: &str, line: usize) -> Ended {
        let group = self.start(script, line);
        let is_over = group.ends_within(PATIENCE);
        let output = group.output();
        let failed = fs::read_to_string(self.dir.path().join("session/failed")).ok();
        let failed = failed.and_then(|text| {
            let (line, command) = text.trim().split_once(' ')?;
            Some((line.parse().ok()?, command.to_string()))
        });
        Ended { code: is_over.then(|| code(group)), output, failed }
    }

    /// Runs commands beside another until that succeeds, and asks them to end.
    fn run_until(&mut self, script: &str, line: usize, condition: &str) -> Result<(), String> {
        let group = self.start(script, line);
        if !self.holds(&group, condition, line) {
            return Err(format!("{line}: waited in vain for {condition}:\n{}", group.output()));
        }
        let _ = kill_process_group(group.id(), Signal::TERM);
        let is_over = group.ends_within(PATIENCE);
        self.printed = group.output();
        match is_over.then(|| code(group)) {
            Some(0 | ASKED_TO_END) => Ok(()),
            Some(code) => Err(format!("{line}: asked to end, it ends with {code}:\n{}", self.printed)),
            None => Err(format!("{line}: it does not end when it is asked to:\n{}", self.printed)),
        }
    }

    /// Starts commands that go on until the page ends.
    fn start_beside(&mut self, script: &str, line: usize, condition: &str) -> Result<(), String> {
        let group = self.start(script, line);
        if !self.holds(&group, condition, line) {
            return Err(format!("{line}: waited in vain for {condition}:\n{}", group.output()));
        }
        self.beside.push(group);
        Ok(())
    }

    /// Whether the command succeeds before long, and before these commands end.
    fn holds(&mut self, group: &Group, condition: &str, line: usize) -> bool {
        let began = Instant::now();
        while began.elapsed() < PATIENCE && !group.has_ended() {
            if self.ended(condition, line).code == Some(0) {
                return true;
            }
            std::thread::sleep(INTERVAL);
        }
        false
    }

    /// Starts commands. They stand in a file at the line at which they stand in the page, so that bash names it.
    fn start(&mut self, script: &str, line: usize) -> Group {
        self.count += 1;
        let path = |name: &str| self.dir.path().join(name);
        let (file, output) =
            (path(&format!("session/{}.sh", self.count)), path(&format!("session/{}.out", self.count)));
        fs::write(&file, format!("{}{script}\n", "\n".repeat(line - 1))).expect("a script");
        let _ = fs::remove_file(path("session/failed"));
        let written = File::options().create(true).append(true).open(&output).expect("a file for the output");
        let mut command = match &self.network {
            Some(network) => network.entering(),
            None => Command::new("bash"),
        };
        let search = std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".into());
        command.arg(&file).env_clear().current_dir(path("page"));
        command.env("PATH", format!("{}:{search}", path("bin").display()));
        command.env("HOME", path("home")).env("TMPDIR", path("tmp")).env("XDG_RUNTIME_DIR", path("tmp"));
        command.env("LANG", "C.UTF-8").env("TZ", "UTC").env("TERM", "dumb");
        command.env("BASH_ENV", path("session/begin")).env("SESSION", path("session"));
        command.env("FIXTURES", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/manual/fixtures"));
        command.stdin(Stdio::null()).stdout(written.try_clone().expect("a file")).stderr(written).process_group(0);
        Group { leader: command.spawn().expect("bash"), output }
    }
}

impl Ended {
    fn told(&self) -> String {
        let code = self.code.map_or_else(|| "no end within a minute".into(), |code| format!("exit code {code}"));
        let at = self.failed.as_ref().map_or_else(String::new, |(line, command)| format!(" of line {line}: {command}"));
        format!("{code}{at}\n{}", self.output)
    }
}

/// The exit code of a group that has ended.
fn code(mut group: Group) -> i32 {
    let _ = kill_process_group(group.id(), Signal::KILL);
    let status = group.leader.wait().expect("its end");
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// On which line of a script its last command begins, counted from 0.
fn last_command(script: &str) -> usize {
    let lines: Vec<&str> = script.lines().collect();
    let is_command = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let mut last = lines.iter().rposition(|line| is_command(line)).unwrap_or(0);
    while last > 0 && lines[last - 1].ends_with('\\') {
        last -= 1;
    }
    last
}

/// What bash does before and after the commands of a block: environment and directory are those that the block before
/// left, and a command that fails is written down.
const BEGIN: &str = r#"
unset BASH_ENV
source "$SESSION/env"
cd "$(cat "$SESSION/cwd")"
# Puts the files of a fixture here, secrets for their owner alone; its configuration is the one to use from now on.
fixture() {
    cp -r "$FIXTURES/$1/." .
    chmod 600 ./*.token
    export ROSTERD_CONFIG=$PWD/rosterd.toml
}
# The id of the plan that waits, and that of the last run.
plan_id() { rosterd plans --format json | grep -o '"id":"[^"]*"' | head -n 1 | cut -d '"' -f 4; }
run_id() { rosterd runs --format json | grep -o '"run":"[^"]*"' | head -n 1 | cut -d '"' -f 4; }
trap 'code=$?; export -p | grep -v "SESSION=\|BASH_ENV=" > "$SESSION/env"; pwd > "$SESSION/cwd"; exit $code' EXIT
# Asked to end, it waits for the command that it runs, which is asked too.
trap : TERM
trap 'echo "$LINENO $BASH_COMMAND" > "$SESSION/failed"' ERR
set -eE
"#;
