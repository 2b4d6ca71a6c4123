//! Safe with people: what happens to whom, how much may change at once, who agrees to more, and whose account is whose.
//!
//! Everything here drives the real binary against the sandbox, and believes the sandbox's log rather than rosterd's
//! word where both could be asked.

mod addresses;
mod apart;
mod approval;
mod compared;
mod deletes;
mod hand;
mod leavers;
mod limits;
mod named;
mod newcomers;
mod ownership;
mod protection;
mod rekeyed;
mod rules;

use rusqlite::Connection;
use serde_json::Value;

use crate::support::{Home, Ran, Sim};

/// The seconds of a day.
const DAY: i64 = 86_400;

/// One row of the source, with an address of its own.
fn row(n: usize) -> String {
    with(n, &format!("p{n}@acme.example"), "Nurse")
}

/// One row of the source with this address and title.
fn with(n: usize, email: &str, title: &str) -> String {
    format!("E{n:04},Ann,Miller{n},{email},555-{n},{title},Bern,active")
}

/// Rows of these numbers.
fn rows(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(row).collect()
}

/// A sandbox and a home with these lines under `[syncs.staff]`, its limits, and the first `n` people synced.
fn staffed(n: usize, settings: &str, limits: &str) -> (Sim, Home) {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    home.configure(&format!("[syncs.staff.limits]\n{limits}"));
    set(&home, settings);
    if n > 0 {
        home.people(&rows(1..=n));
        home.run(&["sync"]).exits(0);
    }
    (sim, home)
}

/// Adds lines under `[syncs.staff]`.
fn set(home: &Home, lines: &str) {
    replace(home, "[syncs.staff]\n", &format!("[syncs.staff]\n{lines}\n"));
}

/// Changes the configuration file.
#[track_caller]
fn replace(home: &Home, old: &str, new: &str) {
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    assert!(text.contains(old), "{old:?} is not in the configuration:\n{text}");
    std::fs::write(home.config(), text.replacen(old, new, 1)).expect("the configuration");
}

/// Runs the binary with a clock that is this many seconds ahead.
fn later(home: &Home, seconds: i64, args: &[&str]) -> Ran {
    let mut command = home.command(args);
    let output = command.env("ROSTERD_TEST_CLOCK_OFFSET", seconds.to_string()).output().expect("the binary runs");
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The run of a `sync --format json`.
fn run_of(ran: &Ran) -> Value {
    ran.json()["runs"][0].clone()
}

/// A sync that is held by this limit, with the count and the allowance that it tells; the plan's id.
#[track_caller]
fn held(home: &Home, args: &[&str], limit: &str, count: u64, allowed: u64) -> String {
    let run = run_of(&home.run_json(args).exits(3));
    assert_eq!(run["status"], "held", "{run:#}");
    assert_eq!(run["held"], serde_json::json!({"limit": limit, "count": count, "allowed": allowed}), "{run:#}");
    run["plan"].as_str().expect("the plan's id").to_string()
}

/// The outcomes that a filter finds.
fn outcomes(home: &Home, filter: &[&str]) -> Vec<Value> {
    let ran = home.run(&[&["outcomes", "--format", "json"], filter].concat()).exits(0);
    ran.stdout.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
}

/// The state database, opened beside the binary.
fn database(home: &Home) -> Connection {
    Connection::open(home.path().join("state/rosterd.db")).expect("the state database")
}

/// What the state database says in one cell.
fn cell<T: rusqlite::types::FromSql>(home: &Home, sql: &str) -> T {
    database(home).query_row(sql, [], |row| row.get(0)).expect("a row")
}

/// Asserts that nothing was refused as a duplicate after a mark.
#[track_caller]
fn no_conflict_since(sim: &Sim, mark: u64) {
    let refused: Vec<_> = sim.since(mark).into_iter().filter(|r| r.status.is_some_and(|s| s >= 400)).collect();
    assert!(refused.is_empty(), "{refused:#?}");
}
