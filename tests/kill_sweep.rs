//! The real binary, killed at its every journal write and at every send and receive of a 200-person load: the next run
//! always ends with 200 accounts, each once.
//!
//! A sample of the places is tried unless `SWEEP=all` (`.ci/kill-sweep`), which takes minutes. A page goes into SQLite's
//! log by two writes, its head and itself, and a log that ends in either reads the same: `all` takes one of the two by
//! turns, `SWEEP=every` both.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use rosterd::sandbox::Op;

use crate::support::{Home, Sim};

/// How many people there are.
pub const PEOPLE: u32 = 200;

/// How many places of each kind are tried when it isn't all of them.
const SAMPLE: usize = 3;

/// How many are tried at once, each against a sandbox of its own.
const AT_ONCE: usize = 2;

/// System calls of one kind, and the file that they must be about, if any.
type Place = (&'static str, Option<&'static str>);

/// The system calls at which it is killed, and the file that they must be about, if any.
const PLACES: [Place; 5] = [
    ("pwrite64", Some("state/rosterd.db-wal")),
    ("fsync,fdatasync", Some("state/rosterd.db-wal")),
    ("sendto,writev,sendmsg", None),
    ("recvfrom,readv,recvmsg", None),
    ("pwrite64", Some("state/rosterd.db")),
];

pub fn home(sim: &Sim) -> Home {
    let home = Home::juno(&sim.juno());
    let rows: Vec<String> =
        (0..PEOPLE).map(|n| format!("E{n},Ann {n},Bo,p{n}@acme.example,,Clerk,Bern,active")).collect();
    home.people(&rows);
    home
}

/// Runs `sync` under strace with these arguments; what strace wrote.
pub fn traced(home: &Home, strace: &[&str]) -> (Option<i32>, String) {
    let log = home.path().join("trace");
    let sync = home.command(&["sync"]);
    let mut command = Command::new("strace");
    // Not with --seccomp-bpf, quicker as it is: strace 6.1 then loses count, and kills at the first call or never.
    command.args(["-f", "-qq", "-o"]).arg(&log).args(strace).arg(sync.get_program());
    command.args(sync.get_args()).current_dir(home.path()).env("NO_COLOR", "1").envs(UNHURRIED);
    // All of the network on one thread, as strace counts by thread.
    command.env("TOKIO_WORKER_THREADS", "1");
    let output = command.output().expect("strace runs (apt-get install strace)");
    (output.status.code(), fs::read_to_string(log).unwrap_or_default())
}

/// A rate that is never waited for.
const UNHURRIED: [(&str, &str); 2] =
    [("ROSTERD_TARGETS__JUNO__RATE", "100000/s"), ("ROSTERD_TARGETS__JUNO__BURST", "10000")];

fn filter(calls: &str, file: Option<&str>, home: &Home) -> Vec<String> {
    let mut arguments = vec!["-e".to_string(), format!("trace={calls}")];
    if let Some(file) = file {
        arguments.extend(["-P".into(), home.path().join(file).display().to_string()]);
    }
    arguments
}

/// The most calls of this kind that one thread makes in a whole run.
fn count((calls, file): Place) -> usize {
    let sim = Sim::start();
    let home = home(&sim);
    let arguments = filter(calls, file, &home);
    let (code, log) = traced(&home, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(code, Some(0), "{log}");
    let mut by_thread = BTreeMap::new();
    for thread in log.lines().filter(|l| l.contains('(')).filter_map(|l| l.split_whitespace().next()) {
        *by_thread.entry(thread.to_string()).or_insert(0) += 1;
    }
    by_thread.into_values().max().unwrap_or(0)
}

/// Kills a run at its `nth` call of this kind; then lets the next ones go on, and looks at what came of it. Tells
/// whether it was killed: a run may have fewer calls than the one that was counted.
fn killed_at(sim: &Sim, (calls, file): Place, nth: usize) -> bool {
    sim.clear();
    let home = home(sim);
    let mut arguments = filter(calls, file, &home);
    arguments.extend(["-e".into(), format!("inject={calls}:signal=SIGKILL:when={nth}")]);
    let mark = sim.mark();
    let (code, _) = traced(&home, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let what = format!("killed at call {nth} of {calls} on {file:?}");
    let ran = home.command(&["sync"]).envs(UNHURRIED).output().expect("it runs");
    assert_eq!(ran.status.code(), Some(0), "{what}: {}", String::from_utf8_lossy(&ran.stderr));
    let users = sim.users();
    let keys: BTreeSet<&str> = users.iter().filter_map(|u| u["client_id"].as_str()).collect();
    assert_eq!((users.len(), keys.len()), (PEOPLE as usize, PEOPLE as usize), "{what}");
    assert_eq!(sim.committed_since(mark, Op::Create), PEOPLE as usize, "{what}");
    let wrong = rosterd::state::verify(&home.path().join("state/rosterd.db")).expect("a database");
    assert_eq!(wrong, [] as [String; 0], "{what}");
    let third = sim.mark();
    home.run(&["sync"]).exits(0);
    assert_eq!(sim.since(third).len(), 0, "{what}: an unchanged rerun asked the target");
    code != Some(0)
}

#[test]
fn killed_anywhere_the_next_run_ends_with_everybody_once() {
    let sweep = std::env::var("SWEEP").unwrap_or_default();
    let began = std::time::Instant::now();
    for place in PLACES {
        let places = count(place);
        if places == 0 {
            continue; // the database proper is written at checkpoints alone
        }
        let log = place == PLACES[0];
        let tried: Vec<usize> = match sweep.as_str() {
            "all" if log => (1..=places).filter(|n| (n / 2) % 2 == n % 2).collect(),
            "all" | "every" => (1..=places).collect(),
            _ => (1..=places).step_by((places / SAMPLE).max(1)).collect(),
        };
        let (next, killed) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    let sim = Sim::start();
                    while let Some(nth) = tried.get(next.fetch_add(1, Ordering::Relaxed)) {
                        killed.fetch_add(usize::from(killed_at(&sim, place, *nth)), Ordering::Relaxed);
                    }
                });
            }
        });
        let (killed, took) = (killed.into_inner(), began.elapsed());
        eprintln!("{place:?}: {places} places, {} tried, {killed} killed; {took:.0?} so far", tried.len());
        assert!(killed > 0, "{place:?}: not one run was killed");
    }
}
