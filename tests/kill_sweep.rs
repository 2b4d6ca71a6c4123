//! The real binary, killed at its every journal write and at every send and receive of a 200-person load: the next run
//! always ends with 200 accounts, each once.
//!
//! A sample of the places is tried unless `SWEEP=all` (`.ci/kill-sweep`), which takes minutes.

use std::fs;
use std::process::Command;

use rosterd::sandbox::Op;

use crate::support::{Home, Sim};

/// How many people there are.
const PEOPLE: u32 = 200;

/// How many places of each kind are tried when it isn't all of them.
const SAMPLE: usize = 3;

/// The system calls at which it is killed, and the file that they must be about, if any.
const PLACES: [(&str, Option<&str>); 5] = [
    ("pwrite64", Some("state/rosterd.db-wal")),
    ("fsync,fdatasync", Some("state/rosterd.db-wal")),
    ("sendto,writev,sendmsg", None),
    ("recvfrom,readv,recvmsg", None),
    ("pwrite64", Some("state/rosterd.db")),
];

fn home(sim: &Sim) -> Home {
    let home = Home::juno(&sim.juno());
    let rows: Vec<String> =
        (0..PEOPLE).map(|n| format!("E{n},Ann {n},Bo,p{n}@acme.example,,Clerk,Bern,active")).collect();
    home.people(&rows);
    home
}

/// Runs `sync` under strace with these arguments; what strace wrote.
fn traced(home: &Home, strace: &[&str]) -> (Option<i32>, String) {
    let log = home.path().join("trace");
    let sync = home.command(&["sync"]);
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(&log).args(strace).arg(sync.get_program());
    command.args(sync.get_args()).current_dir(home.path()).env("NO_COLOR", "1");
    for (name, value) in [("RATE", "100000/s"), ("BURST", "10000")] {
        command.env(format!("ROSTERD_TARGETS__JUNO__{name}"), value);
    }
    // All of the network on one thread, as strace counts by thread.
    command.env("TOKIO_WORKER_THREADS", "1");
    let output = command.output().expect("strace runs (apt-get install strace)");
    (output.status.code(), fs::read_to_string(log).unwrap_or_default())
}

fn filter(calls: &str, file: Option<&str>, home: &Home) -> Vec<String> {
    let mut arguments = vec!["-e".to_string(), format!("trace={calls}")];
    if let Some(file) = file {
        arguments.extend(["-P".into(), home.path().join(file).display().to_string()]);
    }
    arguments
}

/// The most calls of this kind that one thread makes in a whole run.
fn count(sim: &Sim, calls: &str, file: Option<&str>) -> usize {
    sim.clear();
    let home = home(sim);
    let arguments = filter(calls, file, &home);
    let (code, log) = traced(&home, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(code, Some(0), "{log}");
    let mut by_thread = std::collections::BTreeMap::new();
    for thread in log.lines().filter(|l| l.contains('(')).filter_map(|l| l.split_whitespace().next()) {
        *by_thread.entry(thread.to_string()).or_insert(0) += 1;
    }
    by_thread.into_values().max().unwrap_or(0)
}

/// Kills a run at its `nth` call of this kind; then lets the next ones go on, and looks at what came of it.
fn killed_at(sim: &Sim, calls: &str, file: Option<&str>, nth: usize) -> bool {
    sim.clear();
    let home = home(sim);
    let mut arguments = filter(calls, file, &home);
    arguments.extend(["-e".into(), format!("inject={calls}:signal=SIGKILL:when={nth}")]);
    let mark = sim.mark();
    let (code, _) = traced(&home, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let what = || format!("killed at call {nth} of {calls} on {file:?}");
    let mut sync = home.command(&["sync"]);
    sync.env("ROSTERD_TARGETS__JUNO__RATE", "100000/s").env("ROSTERD_TARGETS__JUNO__BURST", "10000");
    let ran = sync.output().expect("it runs");
    assert_eq!(ran.status.code(), Some(0), "{}: {}", what(), String::from_utf8_lossy(&ran.stderr));
    let keys: std::collections::BTreeSet<String> =
        sim.users().iter().map(|u| u["client_id"].as_str().unwrap_or_default().to_string()).collect();
    assert_eq!((sim.users().len(), keys.len()), (PEOPLE as usize, PEOPLE as usize), "{}", what());
    assert_eq!(sim.committed_since(mark, Op::Create), PEOPLE as usize, "{}", what());
    home.run(&["state", "verify"]).exits(0);
    let third = sim.mark();
    home.run(&["sync"]).exits(0);
    assert_eq!(sim.since(third).len(), 0, "{}: an unchanged rerun asked the target", what());
    code != Some(0)
}

#[test]
fn killed_anywhere_the_next_run_ends_with_everybody_once() {
    let all = std::env::var("SWEEP").is_ok_and(|text| text == "all");
    let sim = Sim::start();
    for (calls, file) in PLACES {
        let places = count(&sim, calls, file);
        if places == 0 {
            continue; // the database proper is written at checkpoints alone
        }
        let step = if all { 1 } else { (places / SAMPLE).max(1) };
        // Not at the same places every time the sample is taken from a longer run.
        let tried: Vec<usize> = (1..=places).step_by(step).collect();
        let killed = tried.iter().filter(|nth| killed_at(&sim, calls, file, **nth)).count();
        eprintln!("{calls} on {file:?}: {places} places, {} tried, {killed} killed", tried.len());
        assert!(killed > 0, "{calls}: not one run was killed");
    }
}
