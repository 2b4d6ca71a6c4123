//! One budget over all processes on one state: the day's quota, the rate, and the pauses that a target asks for.

use std::process::Command;

use crate::support::{Home, Ran, Sim};

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
