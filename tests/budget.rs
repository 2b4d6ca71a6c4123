//! One budget over all processes on one state: the day's quota, the rate, and the pauses that a target asks for.

use std::process::Command;

use rosterd::sandbox::Request;
use serde_json::json;

use crate::support::{Home, Ran, Sim, Started};

fn rows(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| format!("E{n},Ann {n},Bo,p{n}@acme.example,,Clerk,Bern,active")).collect()
}

/// A command on a target with these limits.
fn limited(home: &Home, limits: &[(&str, &str)], args: &[&str]) -> Command {
    let mut command = home.command(args);
    for (name, value) in limits {
        command.env(format!("ROSTERD_TARGETS__JUNO__{name}"), value);
    }
    command
}

fn run(mut command: Command) -> Ran {
    Ran::of(&command.output().expect("the binary runs"))
}

#[test]
fn a_day_s_quota_is_spent_once_however_the_clock_goes() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    home.people(&rows(0..100));
    let on_day = |day: i32| {
        let mut command = limited(&home, &[("DAILY_QUOTA", "30")], &["sync"]);
        command.env("ROSTERD_TEST_CLOCK_OFFSET", (day * 86_400).to_string());
        run(command).exits(75);
        sim.requests().len()
    };
    assert_eq!(on_day(0), 30);
    assert_eq!(on_day(1), 60, "another day has its own");
    assert_eq!(on_day(0), 60, "a day that comes again has none left");
    assert_eq!(on_day(1), 60);
}

#[test]
fn a_quota_is_the_target_s_whatever_it_is_called_and_whoever_asks() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    home.people(&rows(0..100));
    let quota = [("DAILY_QUOTA", "30")];
    run(limited(&home, &quota, &["sync"])).exits(75);
    assert_eq!(sim.requests().len(), 30);
    // Who only looks draws on the same.
    run(limited(&home, &quota, &["check", "--connect"])).exits(75);
    run(limited(&home, &quota, &["why", "staff", "E99"])).exits(0);
    run(limited(&home, &quota, &["reconcile"])).exits(75);
    assert_eq!(sim.requests().len(), 30);
    // Another name, and another spelling of the address.
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    let text = text.replace("[targets.juno]", "[targets.other]").replace("target = \"juno\"", "target = \"other\"");
    let text = text.replace("127.0.0.1", "localhost").replace("rate = ", "daily_quota = 30\nrate = ");
    home.write("config/rosterd.toml", &text);
    home.run(&["sync"]).exits(75);
    assert_eq!(sim.requests().len(), 30);
}

#[test]
fn whoever_looks_counts_too_and_a_first_look_leaves_no_state() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    home.people(&rows(0..3));
    let quota = [("DAILY_QUOTA", "30")];
    run(limited(&home, &quota, &["check", "--connect"])).exits(0);
    run(limited(&home, &quota, &["plan"])).exits(0);
    assert!(!home.path().join("state").exists(), "a look creates nothing");
    let looked = sim.requests().len() as i64;
    run(limited(&home, &quota, &["sync"])).exits(0);
    run(limited(&home, &quota, &["check", "--connect"])).exits(0);
    let used = home.query("SELECT sum(used) FROM quota")[0][0].as_i64().expect("a number");
    assert_eq!(used, sim.requests().len() as i64 - looked);
}

/// The most requests that arrived within any three seconds. What leaves is spaced exactly (see the unit tests of the
/// gate); on a busy machine one arrives late, and the next one is close behind it.
fn fullest_three_seconds(requests: &[Request]) -> usize {
    let at: Vec<u64> = requests.iter().map(|r| r.mono_ns).collect();
    let within = |i: usize| at[i..].iter().take_while(|t| **t - at[i] <= 3_000_000_000).count();
    (0..at.len()).map(within).max().unwrap_or(0)
}

/// At 5/s with a burst of 1, and one that was late.
const IN_THREE_SECONDS: usize = 3 * 5 + 1 + 1;

const FIVE: [(&str, &str); 2] = [("RATE", "5/s"), ("BURST", "1")];

#[test]
fn a_sync_beside_plan_why_and_reconcile_keeps_the_rate() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    home.people(&rows(0..4));
    run(limited(&home, &FIVE, &["sync"])).exits(0);
    home.people(&rows(0..30));
    let mark = sim.mark();
    let sync = Started::of(limited(&home, &FIVE, &["sync"]));
    sim.wait_until("it sends", |requests| requests.iter().any(|r| r.seq > mark));
    let commands: [&[&str]; 4] = [&["plan"], &["why", "staff", "E1"], &["reconcile"], &["check", "--connect"]];
    let others: Vec<Started> = commands.map(|args| Started::of(limited(&home, &FIVE, args))).into();
    for other in others {
        other.ends().exits(0);
    }
    sync.ends().exits(0);
    let requests = sim.since(mark);
    assert!(requests.len() >= 30, "{} requests: they were at it together", requests.len());
    let fullest = fullest_three_seconds(&requests);
    assert!(fullest <= IN_THREE_SECONDS, "{fullest} in three seconds at 5/s");
    let span = requests[requests.len() - 1].mono_ns - requests[0].mono_ns;
    let ideal = (requests.len() - 1) as u64 * 200_000_000;
    assert!(span < ideal + ideal / 2 + 2_000_000_000, "{} requests took {span} ns", requests.len());
}

#[test]
fn ten_looks_at_once_keep_the_rate_before_there_is_a_state_and_after() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    home.people(&rows(0..3));
    for there_is_a_state in [false, true] {
        if there_is_a_state {
            run(limited(&home, &FIVE, &["sync"])).exits(0);
        }
        let mark = sim.mark();
        let looks: Vec<Started> =
            (0..10).map(|_| Started::of(limited(&home, &FIVE, &["check", "--connect"]))).collect();
        for look in looks {
            look.ends().exits(0);
        }
        let requests = sim.since(mark);
        assert!(requests.len() >= 10);
        let fullest = fullest_three_seconds(&requests);
        assert!(fullest <= IN_THREE_SECONDS, "{fullest} in three seconds at 5/s; there is a state: {there_is_a_state}");
        assert_eq!(home.path().join("state").exists(), there_is_a_state);
    }
}

#[test]
fn what_one_was_asked_to_wait_the_others_wait() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    home.people(&rows(0..3));
    home.run(&["sync"]).exits(0);
    let mark = sim.mark();
    sim.script(json!({"nth": 1, "do": "status:429", "headers": {"retry-after": "3"}}));
    let patient = [("RETRY__MAX", "10s"), ("RATE", "100/s")];
    let one = Started::of(limited(&home, &patient, &["check", "--connect"]));
    sim.wait_until("it was refused", |requests| requests.iter().any(|r| r.seq > mark && r.status == Some(429)));
    std::thread::sleep(std::time::Duration::from_millis(300));
    let other = Started::of(limited(&home, &patient, &["reconcile"]));
    other.ends().exits(0);
    one.ends().exits(0);
    let requests = sim.since(mark);
    let refused = requests.iter().find(|r| r.status == Some(429)).expect("refused").mono_ns;
    let earliest = requests.iter().map(|r| r.mono_ns).find(|at| *at > refused).expect("others") - refused;
    assert!(earliest >= 2_900_000_000, "{earliest} ns after it");
}

#[test]
fn a_budget_that_is_torn_or_taken_away_stops_nobody() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    let file = home.path().join("state/rosterd.db.rate");
    for (n, damage) in [None, Some("x".repeat(1000)), Some(String::new())].into_iter().enumerate() {
        home.people(&rows(0..5 + n as u32));
        if let Some(bytes) = damage {
            std::fs::write(&file, bytes).expect("written");
        }
        home.run(&["sync"]).exits(0);
        assert_eq!(sim.users().len(), 5 + n);
    }
    std::fs::remove_file(&file).expect("it was there");
    home.run(&["plan"]).exits(0);
}
