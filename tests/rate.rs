//! How fast, how often, how long: rate, quota, `Retry-After`, and stopping, by the sandbox's own time stamps.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rosterd::sandbox::{Op, Options, Request};
use serde_json::{Value, json};

use crate::support::{Home, Ran, Sim};

fn rows(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| format!("E{n},Ann {n},Bo,p{n}@acme.example,,Clerk,Bern,active")).collect()
}

fn run(home: &Home, env: &[(&str, &str)], args: &[&str]) -> Ran {
    let mut command = home.command(args);
    for (name, value) in env {
        command.env(format!("ROSTERD_TARGETS__JUNO__{name}"), value);
    }
    Ran::of(&command.output().expect("the binary runs"))
}

/// The most requests that arrived within any second.
fn fullest_second(requests: &[Request]) -> usize {
    let at: Vec<u64> = requests.iter().map(|r| r.mono_ns).collect();
    let within = |i: usize| at[i..].iter().take_while(|t| **t - at[i] < 1_000_000_000).count();
    (0..at.len()).map(within).max().unwrap_or(0)
}

const SECOND_SYNC: &str = r#"
[sources.more]
kind = "csv"
path = "more.csv"
key = "employee_id"

[syncs.more]
source = "more"
target = "juno"
match = ["email"]

[syncs.more.map]
client_id = "employee_id"
email = "email"
"#;

/// How many requests may be under way at once: the default of `concurrency`.
const UNDER_WAY: usize = 8;

/// Runs a test of timing up to three times: what else the machine does may spoil one.
fn in_some_try(what: impl Fn() -> Result<(), String>) {
    let told: Vec<String> = (0..3).map_while(|_| what().err()).collect();
    assert!(told.len() < 3, "three times: {told:#?}");
}

/// Measures how late the machine wakes somebody who only waits: the time lost beyond the lateness that the gate makes
/// up for.
fn lost_by_a_bare_timer(until: &AtomicBool) -> Duration {
    const TICK: Duration = Duration::from_millis(5);
    let mut lost = Duration::ZERO;
    while !until.load(Ordering::Relaxed) {
        let asked = Instant::now();
        std::thread::sleep(TICK);
        lost += asked.elapsed().saturating_sub(2 * TICK);
    }
    lost
}

/// A run beside the bare timer; what the timer lost.
fn run_beside_a_timer(home: &Home, env: &[(&str, &str)]) -> Duration {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let timer = scope.spawn(|| lost_by_a_bare_timer(&done));
        run(home, env, &["sync"]).exits(0);
        done.store(true, Ordering::Relaxed);
        timer.join().expect("it counts")
    })
}

/// Judges the sandbox's stamps. What has left and is still on its way is all that may come in a second beyond the rate;
/// on a machine that isn't busy, hardly anything does. `lost` is what the bare timer lost meanwhile.
fn judge(requests: &[Request], per_second: usize, lost: Duration, planning: Duration) -> Result<(), String> {
    let late = if lost < Duration::from_millis(50) { 1 } else { UNDER_WAY };
    let fullest = fullest_second(requests);
    assert!(fullest <= per_second + 1 + UNDER_WAY, "{fullest} in a second at {per_second}/s");
    let creates: Vec<u64> = requests.iter().filter(|r| r.op == Op::Create).map(|r| r.mono_ns).collect();
    let span = Duration::from_nanos(creates[creates.len() - 1] - creates[0]);
    let ideal = Duration::from_secs_f64((creates.len() - 1) as f64 / per_second as f64);
    match fullest <= per_second + 1 + late && span <= ideal.mul_f64(1.0 / 0.99) + lost * 2 + planning {
        true => Ok(()),
        false => Err(format!("{fullest} in a second, {span:?} instead of {ideal:?}, a bare timer lost {lost:?}")),
    }
}

#[test]
fn the_rate_is_kept_over_look_ups_and_all_syncs_of_a_target() {
    in_some_try(|| {
        let sim = Sim::with(Options { latency: Duration::from_millis(20), ..Options::default() });
        let home = Home::juno(&sim.juno());
        home.configure(SECOND_SYNC);
        home.people(&rows(0..60));
        let more: Vec<String> = (100..160).map(|n| format!("F{n},q{n}@acme.example\n")).collect();
        home.write("config/more.csv", &format!("employee_id,email\n{}", more.concat()));
        let lost = run_beside_a_timer(&home, &[("RATE", "40/s"), ("BURST", "1")]);
        let requests = sim.requests();
        assert_eq!(requests.iter().filter(|r| r.committed && r.op == Op::Create).count(), 120);
        // Between the syncs there is a plan to make.
        judge(&requests, 40, lost, Duration::from_secs(1))
    });
}

#[test]
fn ten_seconds_of_work_lose_less_than_a_hundredth_of_the_rate() {
    in_some_try(|| {
        let sim = Sim::with(Options { latency: Duration::from_millis(20), ..Options::default() });
        let home = Home::juno(&sim.juno());
        home.people(&rows(0..501));
        let lost = run_beside_a_timer(&home, &[("RATE", "50/s"), ("BURST", "1")]);
        judge(&sim.requests(), 50, lost, Duration::ZERO)
    });
}

#[test]
fn a_slow_target_gets_as_many_requests_at_once_as_it_takes() {
    let sim = Sim::with(Options { latency: Duration::from_secs(3), ..Options::default() });
    let home = Home::juno(&sim.juno());
    home.people(&rows(0..250));
    run(&home, &[("CONCURRENCY", "250"), ("RATE", "10000/s"), ("BURST", "1000"), ("TIMEOUT", "30s")], &["sync"])
        .exits(0);
    let creates: Vec<Request> = sim.requests().into_iter().filter(|r| r.op == Op::Create).collect();
    assert_eq!(creates.len(), 250);
    // Those that are under way while none can have been answered yet.
    let at_once = creates.iter().take_while(|r| r.mono_ns - creates[0].mono_ns < 3_000_000_000).count();
    assert!(at_once > 130, "{at_once} at once");
}

#[test]
fn bans_come_before_everything_else_or_after_it() {
    for first in [true, false] {
        let sim = Sim::start();
        let home = Home::juno(&sim.juno());
        let text = std::fs::read_to_string(home.config()).expect("a configuration");
        let text = text.replace("[syncs.staff]\n", &format!("[syncs.staff]\nbans_first = {first}\n"));
        home.write("config/rosterd.toml", &text);
        home.people(&rows(0..30));
        home.run(&["sync"]).exits(0);
        let mark = sim.mark();
        let changed: Vec<String> = rows(3..40).iter().map(|row| row.replace("Clerk", "Chef")).collect();
        home.people(&changed);
        home.run(&["sync"]).exits(0);
        let bans: Vec<bool> = sim.writes_since(mark).iter().map(|r| r.op == Op::Ban).collect();
        assert_eq!(bans.len(), 3 + 27 + 10);
        let (from, to) = if first { (0, 3) } else { (37, 40) };
        assert!(bans[from..to].iter().all(|ban| *ban), "{first}: {bans:?}");
    }
}

#[test]
fn no_more_are_under_way_than_may_be() {
    let sim = Sim::with(Options { latency: Duration::from_millis(100), ..Options::default() });
    let home = Home::juno(&sim.juno());
    home.people(&rows(0..30));
    run(&home, &[("RATE", "1000/s"), ("BURST", "100"), ("CONCURRENCY", "3")], &["sync"]).exits(0);
    let creates: Vec<(u64, u64)> =
        sim.requests().iter().filter_map(|r| Some((r.mono_ns, r.committed_mono_ns?))).collect();
    let under_way = |at: u64| creates.iter().filter(|(from, to)| *from <= at && at < *to).count();
    assert_eq!(creates.iter().map(|(from, _)| under_way(*from)).max(), Some(3));
}

#[test]
fn a_daily_quota_counts_every_request_and_outlives_the_process() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    home.people(&rows(0..30));
    let quota = [("DAILY_QUOTA", "12")];
    let ran = run(&home, &quota, &["sync", "--format", "json"]).exits(75);
    let first = ran.json()["runs"][0].clone();
    assert_eq!(sim.requests().len(), 12);
    let made = sim.users().len() as u64;
    assert_eq!((first["counts"]["create"]["ok"].as_u64(), first["status"].as_str()), (Some(made), Some("partial")));
    assert_eq!(first["skipped"].as_u64(), Some(30 - made));
    let skipped = run(&home, &[], &["outcomes", "--status", "skipped", "--format", "json"]).exits(0);
    let reasons: Vec<Value> = skipped.stdout.lines().map(|l| serde_json::from_str(l).expect("a line")).collect();
    assert_eq!(reasons.len() as u64, 30 - made);
    assert!(reasons.iter().all(|o| o["reason"] == "quota"), "{}", reasons[0]);

    // The same day, another process: nothing is left, a plan's look-ups included.
    let ran = run(&home, &quota, &["sync", "--format", "json"]).exits(75);
    assert_eq!(ran.json()["runs"][0]["skipped"].as_u64(), Some(30 - made), "{}", ran.stdout);
    run(&home, &quota, &["plan"]).exits(0);
    assert_eq!(sim.requests().len(), 12);

    // The next day goes on.
    let mut tomorrow = home.command(&["sync"]);
    tomorrow.env("ROSTERD_TEST_CLOCK_OFFSET", "86400").env("ROSTERD_TARGETS__JUNO__DAILY_QUOTA", "100");
    assert_eq!(tomorrow.output().expect("it runs").status.code(), Some(0));
    assert_eq!(sim.users().len(), 30);
}

#[test]
fn retry_after_as_a_date_rests_the_whole_target_and_is_capped() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    home.people(&rows(0..20));
    let at = |seconds: i64| chrono::Utc::now() + chrono::TimeDelta::seconds(seconds);
    let date = |at: chrono::DateTime<chrono::Utc>| at.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let busy = |nth: u32, at: String| json!({"method": "POST", "nth": nth, "do": "status:429", "headers": {"Retry-After": at, "Date": ""}});
    let until = at(6);
    sim.script(busy(5, date(until)));
    run(&home, &[("RETRY__MAX", "30s")], &["sync"]).exits(0);
    let log = sim.requests();
    let struck = log.iter().position(|r| r.fault.is_some()).expect("a refusal");
    // Whatever was under way as the answer came has long arrived two seconds before the rest is over.
    let (end, after) = (until.timestamp() as u64 * 1000, &log[struck + 1..]);
    let soon = log[struck].at_ms + 1000 < end - 2000;
    let resting = after.iter().filter(|r| (end - 2000..end).contains(&r.at_ms)).count();
    assert!(!soon || resting == 0, "{resting} were sent while it rested");
    assert!(after.iter().any(|r| r.at_ms >= end));

    sim.clear();
    sim.behave(json!({"clear": true}));
    sim.script(busy(5, date(at(86_400))));
    let second = Home::juno(&sim.juno());
    second.people(&rows(0..20));
    let began = Instant::now();
    run(&second, &[("RETRY__MAX", "1s")], &["sync"]).exits(0);
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed()); // not a day
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
}

fn begin(home: &Home, env: &[(&str, &str)]) -> Child {
    let mut command = home.command(&["sync", "--format", "json"]);
    for (name, value) in env {
        command.env(format!("ROSTERD_TARGETS__JUNO__{name}"), value);
    }
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts")
}

#[test]
fn stopping_waits_for_answers_but_takes_nothing_up_and_the_next_run_goes_on() {
    let sim = Sim::with(Options { latency: Duration::from_millis(300), ..Options::default() });
    let home = Home::juno(&sim.juno());
    home.people(&rows(0..40));
    let child = begin(&home, &[("RATE", "20/s"), ("BURST", "1"), ("CONCURRENCY", "4")]);
    sim.wait_until("the first account", |log| log.iter().any(|r| r.committed));
    signal(&child, "TERM");
    let asked = sim.requests().len();
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(75));
    let run: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let counts = &run["runs"][0]["counts"]["create"];
    let made = sim.users().len() as u64;
    // One or two may go while the signal is on its way.
    assert!(sim.requests().len() <= asked + 10, "{} requests after the signal", sim.requests().len() - asked);
    assert_eq!((counts["ok"].as_u64(), counts["unknown"].as_u64()), (Some(made), Some(0)), "{run}");
    assert_eq!(counts["skipped"].as_u64(), Some(40 - made));
    let mark = sim.mark();
    sim.calm();
    home.run(&["sync"]).exits(0);
    assert_eq!((sim.users().len(), sim.committed_since(mark, Op::Create)), (40, 40 - made as usize));
}

/// Three creates that are done and never answered; so many signals; how long it took to end.
fn stopped_in_the_middle(signals: u32) -> Duration {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    home.people(&rows(0..3));
    sim.script(json!({"method": "POST", "do": "commit-then-hang:60000"}));
    let child = begin(&home, &[("TIMEOUT", "60s")]);
    sim.wait_until("creates under way", |log| log.iter().filter(|r| r.committed).count() == 3);
    let began = Instant::now();
    for n in 0..signals {
        std::thread::sleep(Duration::from_millis(300) * n);
        signal(&child, "TERM");
    }
    assert_eq!(child.wait_with_output().expect("it ends").status.code(), Some(75));
    let took = began.elapsed();
    sim.behave(json!({"clear": true}));
    let unknown = home.run(&["status", "--format", "json"]).exits(0).json();
    let open = unknown["syncs"][0]["unresolved"].as_u64();
    assert_eq!(open, Some(3), "whichever way it ended, they have no answer");
    let written = home.query("SELECT count(*) FROM journal WHERE unknown = 1")[0][0].clone();
    assert_eq!(written, if signals == 1 { 3 } else { 0 }, "a process that ended at once wrote nothing more");
    let mark = sim.mark();
    home.run(&["sync"]).exits(0);
    assert_eq!((sim.users().len(), sim.committed_since(mark, Op::Create)), (3, 0));
    took
}

#[test]
fn an_answer_that_never_comes_is_not_waited_for_for_ever() {
    let took = stopped_in_the_middle(1);
    assert!(took >= Duration::from_secs(9) && took < Duration::from_secs(40), "{took:?}");
}

#[test]
fn a_second_signal_ends_at_once() {
    let took = stopped_in_the_middle(2);
    assert!(took < Duration::from_secs(9), "{took:?}"); // sooner than answers are waited for
}
