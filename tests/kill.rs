//! Killed at any moment and run again, rosterd converges: every account once, with the right values and in the right
//! state, nothing unresolved, and nothing left to write.
//!
//! The moments are system calls (by `strace`, which kills the process as it enters the nth of a kind), requests
//! (counted in the sandbox's log), and faults of the sandbox, above all *committed there, and the answer never read*.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use rosterd::sandbox::Op;
use serde_json::{Value, json};

use crate::support::{Person, Stage, people};

/// What the process is doing when it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scene {
    /// Forty people onto an empty platform.
    Load,
    /// Creates, updates, bans, reinstatements and adoptions.
    Mixed,
    /// A plan that is too much, and is being held.
    Held,
    /// People who exchange their addresses in a circle, and a newcomer who takes one.
    Swap,
}

/// When it is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// As one of its threads enters the nth of these calls.
    Call(&'static str, usize),
    /// The same, and again in the run that follows.
    Twice((&'static str, usize), (&'static str, usize)),
    /// When the target has seen so many requests of the run.
    Request(usize),
    /// When this fault has struck the request for this person.
    Fault(&'static str, &'static str),
}

/// A platform and a source just before the run that is killed, and everybody who must have an account after it.
fn set(scene: Scene) -> (Stage, Vec<Person>) {
    let stage = Stage::new();
    let mut everybody = people(1, 40);
    if scene == Scene::Load {
        stage.home.roster(&everybody);
        return (stage, everybody);
    }
    stage.sync(&everybody, 0);
    if scene == Scene::Swap {
        let first = everybody[0].email.clone();
        everybody[0].email = everybody[1].email.clone();
        everybody[1].email = everybody[2].email.clone();
        everybody[2].email = first;
        everybody.push(Person { email: everybody[3].email.clone(), ..Person::new(50) });
        everybody[3].email = "fresh@acme.example".into();
        stage.home.roster(&everybody);
        return (stage, everybody);
    }
    everybody[38..].iter_mut().for_each(|p| p.status = "gone".into());
    stage.sync(&everybody, 0);
    let leavers = if scene == Scene::Held { 10..30 } else { 10..18 };
    everybody[..10].iter_mut().for_each(|p| p.title = "Chef".into());
    everybody[3].phone.clear();
    everybody[leavers].iter_mut().for_each(|p| p.status = "gone".into());
    everybody[38].status = "active".into();
    everybody[39] = Person { status: "active".into(), city: "Bern".into(), ..Person::new(40) };
    everybody.extend(people(50, 62));
    let known =
        |n: usize, banned: bool| json!({"email": format!("P{n}@acme.example"), "banned": banned, "title": "Clerk"});
    stage.sim.seed(json!([known(60, false), known(61, true), known(62, false)]));
    stage.home.roster(&everybody);
    (stage, everybody)
}

/// Starts the run and kills it; `false` when it ended before its moment came.
fn kill(stage: &Stage, moment: Moment) -> bool {
    match moment {
        Moment::Call(call, n) => kill_at_call(stage, call, n),
        Moment::Twice((first, n), (second, m)) => kill_at_call(stage, first, n) && kill_at_call(stage, second, m),
        Moment::Request(n) => {
            let before = stage.sim.requests().len();
            stage.sim.behave(json!({"latency_ms": 4}));
            let child = stage.home.start(&["sync"]);
            stage.sim.wait_until("the nth request", |log| log.len() >= before + n);
            child.kill();
            true
        }
        Moment::Fault(fault, key) => {
            let lasting = format!("{fault}:60000");
            stage.sim.script(json!({"key": key, "method": "POST", "do": lasting}));
            stage.sim.script(json!({"key": key, "method": "PUT", "do": lasting}));
            let child = stage.home.start(&["sync"]);
            let committed = fault.starts_with("commit");
            stage.sim.wait_until("the fault", |log| {
                log.iter().any(|r| r.fault.as_deref() == Some(lasting.as_str()) && r.committed == committed)
            });
            child.kill();
            true
        }
    }
}

fn kill_at_call(stage: &Stage, call: &str, n: usize) -> bool {
    let inject = format!("inject={call}:signal=SIGKILL:when={n}");
    let options = ["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject];
    let output = stage.home.command_under("strace", &options, &["sync"]).output().expect("strace runs");
    output.status.signal() == Some(9)
}

/// Everything that must hold after one rerun.
fn converges(scene: Scene, moment: Moment) -> bool {
    let (stage, everybody) = set(scene);
    let killed = kill(&stage, moment);
    stage.sim.calm();
    let what = format!("{scene:?}, killed at {moment:?}");

    // Looking at it before anybody mends it: it is sound, and nobody plans for people whose fate is open.
    assert!(matches!(stage.home.run(&["state", "verify"]).code, 0 | 69), "{what}: verify before the rerun");
    let ran = stage.home.run_json(&["sync"]);
    if scene == Scene::Held {
        assert_eq!(ran.code, 3, "{what}: {}\n{}", ran.stdout, ran.stderr);
        held_whole(&stage, &what);
        return killed;
    }
    assert_eq!(ran.code, 0, "{what}: {}\n{}", ran.stdout, ran.stderr);
    stage.has_exactly(&everybody);
    let log = stage.sim.requests();
    assert!(log.iter().all(|r| r.status != Some(409)), "{what}: something was sent blindly a second time");
    for person in &everybody {
        let creates = log.iter().filter(|r| r.committed && r.op == Op::Create && r.key.as_deref() == Some(&person.id));
        assert!(creates.count() <= 1, "{what}: {} was created twice", person.id);
    }
    in_step(&stage, &everybody, &what);
    stage.nothing_left_to_do();
    killed
}

/// The snapshot tells what the platform has.
fn in_step(stage: &Stage, everybody: &[Person], what: &str) {
    assert_eq!(stage.home.run(&["state", "verify"]).code, 0, "{what}");
    let status = stage.home.run_json(&["status"]).exits(0).json()["syncs"][0].clone();
    assert_eq!((&status["unresolved"], &status["state"]), (&json!(0), &json!("ok")), "{what}");
    let users =
        stage.home.query("SELECT key, remote_id, state, json_extract(attributes, '$.title') FROM v_users ORDER BY key");
    assert_eq!(users.len(), everybody.len(), "{what}");
    for row in users {
        let account = stage.sim.user(row[0].as_str().expect("a key")).expect("an account");
        let state = if account["banned"] == true { "banned" } else { "active" };
        let expected = json!([account["client_id"], account["id"].to_string(), state, account["title"]]);
        assert_eq!(Value::from(row), expected, "{what}");
    }
    let open = stage.home.query("SELECT count(*) FROM v_runs WHERE finished_at IS NULL");
    assert_eq!(open[0][0], 0, "{what}: a run that never ended");
}

/// The plan that is held is the whole plan.
fn held_whole(stage: &Stage, what: &str) {
    let plans = stage.home.run_json(&["plans"]).exits(0).json()["plans"].clone();
    assert_eq!(plans.as_array().map(Vec::len), Some(1), "{what}");
    let id = plans[0]["id"].as_str().expect("an id");
    let shown = stage.home.run_json(&["plans", "show", id]).exits(0).json();
    let planned: u64 = shown["counts"].as_object().expect("counts").values().filter_map(Value::as_u64).sum();
    assert_eq!(shown["operations"].as_array().map(|o| o.len() as u64), Some(planned), "{what}: half a plan");
    assert_eq!(stage.sim.users().iter().filter(|u| u["banned"] == true).count(), 3, "{what}: nobody was banned");
    stage.home.run_json(&["approve", id]).exits(0);
    stage.nothing_left_to_do();
}

/// Goes through all moments, two at a time; returns how many processes were killed at theirs.
fn sweep(moments: &[(Scene, Moment)]) -> usize {
    let (next, killed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((scene, moment)) = moments.get(next.fetch_add(1, Ordering::Relaxed)) {
                    killed.fetch_add(usize::from(converges(*scene, *moment)), Ordering::Relaxed);
                }
            });
        }
    });
    killed.into_inner()
}

/// Whether `strace` is there and may trace.
fn can_trace() -> bool {
    let tried = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

#[test]
fn at_any_system_call() {
    if !can_trace() {
        eprintln!("SKIPPED: strace is not there, or may not trace; kills at requests and faults are tested elsewhere");
        return;
    }
    // Calls are counted for each thread. Those of the database's thread (fsync, pwrite64) are many; the network's are
    // shared by the workers, so that each has few.
    let mut moments = Vec::new();
    let mut add = |scene, call, ns: &[usize]| moments.extend(ns.iter().map(|n| (scene, Moment::Call(call, *n))));
    add(Scene::Load, "fsync", &[1, 2, 4, 6, 8, 10, 13, 16]);
    add(Scene::Load, "pwrite64", &[1, 5, 20, 40, 60, 90, 120]);
    add(Scene::Load, "writev", &[1, 2, 4, 7]);
    add(Scene::Load, "recvfrom", &[1, 2, 4, 7]);
    add(Scene::Load, "linkat", &[1]);
    add(Scene::Mixed, "fsync", &[1, 2, 3, 5, 7, 9, 11]);
    add(Scene::Mixed, "pwrite64", &[1, 10, 30, 50, 70]);
    add(Scene::Mixed, "writev", &[1, 2, 4, 7]);
    add(Scene::Mixed, "recvfrom", &[1, 3, 5]);
    add(Scene::Held, "fsync", &[1, 2, 3, 4]);
    add(Scene::Swap, "fsync", &[3, 4, 5, 6, 7, 8]);
    add(Scene::Swap, "writev", &[2, 3, 4]);
    moments.push((Scene::Load, Moment::Twice(("writev", 3), ("fsync", 1))));
    moments.push((Scene::Load, Moment::Twice(("fsync", 8), ("recvfrom", 2))));
    moments.push((Scene::Mixed, Moment::Twice(("recvfrom", 2), ("fsync", 2))));
    let killed = sweep(&moments);
    assert!(killed >= 30, "only {killed} of {} were killed in time", moments.len());
}

#[test]
fn between_requests() {
    let moments: Vec<_> = [1, 2, 9, 20, 33].map(|n| (Scene::Load, Moment::Request(n))).into_iter().collect();
    let mixed = [1, 5, 12, 20, 27].map(|n| (Scene::Mixed, Moment::Request(n)));
    let all: Vec<_> = moments.into_iter().chain(mixed).collect();
    assert_eq!(sweep(&all), all.len());
}

#[test]
fn after_the_server_committed_and_before_its_answer_was_read() {
    let struck = [
        (Scene::Load, "E0001"),  // a create, the first
        (Scene::Load, "E0040"),  // a create, the last
        (Scene::Mixed, "E0004"), // an update that clears a field
        (Scene::Mixed, "E0015"), // a ban
        (Scene::Mixed, "E0040"), // a reinstatement that writes
        (Scene::Mixed, "E0055"), // a create
        (Scene::Swap, "E0001"),  // an address that is exchanged
        (Scene::Swap, "E0002"),
        (Scene::Swap, "E0004"), // one that is given up
        (Scene::Swap, "E0050"), // and one that is taken
    ];
    let mut moments = Vec::new();
    for fault in ["commit-then-hang", "hang-before-commit"] {
        moments.extend(struck.map(|(scene, key)| (scene, Moment::Fault(fault, key))));
    }
    assert_eq!(sweep(&moments), moments.len());
}

#[test]
fn after_an_adoption_was_committed_and_before_its_answer_was_read() {
    // Accounts without a key yet: the sandbox knows them by the key that is being written.
    for key in ["E0060", "E0061"] {
        for fault in ["commit-then-hang", "hang-before-commit"] {
            assert!(converges(Scene::Mixed, Moment::Fault(fault, key)));
        }
    }
}

#[test]
fn what_was_sent_and_not_answered_is_looked_up_and_told() {
    let (stage, everybody) = set(Scene::Load);
    assert!(kill(&stage, Moment::Fault("commit-then-hang", "E0007")));
    stage.sim.calm();
    // A look before the next run: the journal knows whose fate is open.
    let plan = stage.home.run_json(&["plan"]).exits(0).json()["syncs"][0].clone();
    let open: Vec<&str> = plan["unresolved"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert!(open.contains(&"E0007"), "{open:?}");
    let planned = plan["operations"].as_array().expect("a list");
    assert!(planned.iter().all(|o| !open.contains(&o["key"].as_str().unwrap_or_default())), "no operation for them");

    let mark = stage.sim.mark();
    stage.home.run_json(&["sync"]).exits(0);
    let about: Vec<_> = stage.sim.since(mark).into_iter().filter(|r| r.key.as_deref() == Some("E0007")).collect();
    assert!(!about.is_empty() && about.iter().all(|r| !r.write), "looked up, not sent again: {about:?}");
    stage.has_exactly(&everybody);
    let told = stage.home.outcomes(&["--key", "E0007"]);
    let words: Vec<_> = told.iter().map(|o| (o["op"].as_str(), o["status"].as_str())).collect();
    assert_eq!(words, [(Some("create"), Some("unknown")), (Some("adopt"), Some("ok"))]);
    let runs = stage.home.query("SELECT status, unknown FROM v_runs ORDER BY started_at");
    assert_eq!(runs[0][0], "failed");
}

#[test]
fn what_cannot_be_looked_up_yet_stays_open_and_nothing_is_sent_for_it() {
    let (mut stage, everybody) = set(Scene::Load);
    assert!(kill(&stage, Moment::Fault("commit-then-hang", "E0007")));
    stage.sim.calm();
    stage.sim.script(json!({"do": "status:500"}));
    let mark = stage.sim.mark();
    stage.home.run_json(&["sync"]).exits(69);
    assert_eq!(stage.sim.writes_since(mark), []);
    let status = stage.home.run_json(&["status"]).exits(0).json()["syncs"][0].clone();
    assert!(status["unresolved"].as_u64().is_some_and(|n| n > 0), "{status}");
    stage.sim.calm();
    stage.home.run_json(&["sync"]).exits(0);
    stage.has_exactly(&everybody);
    in_step(&stage, &everybody, "after the target came back");
    stage.sim.stop();
    stage.home.run_json(&["sync"]).exits(0);
}

#[test]
fn what_a_killed_run_left_is_unresolved_for_everybody_who_asks() {
    let (stage, _) = set(Scene::Load);
    assert!(kill(&stage, Moment::Fault("commit-then-hang", "E0007")));
    stage.sim.calm();
    let planned = stage.home.run_json(&["plan"]).json()["syncs"][0]["unresolved"].as_array().map_or(0, Vec::len);
    assert!(planned > 0, "the run was killed in the middle of something");
    let status = stage.home.run_json(&["status"]).exits(0).json();
    assert_eq!(status["syncs"][0]["unresolved"], planned, "{status}");
    let why = stage.home.run_json(&["why", "staff", "E0007"]).exits(0).json();
    let reason = why["next"]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("has no answer yet"), "{why}");
    // While somebody sends, what is under way is no trouble.
    stage.sim.calm();
    stage.home.run(&["sync"]).exits(0);
    let status = stage.home.run_json(&["status"]).exits(0).json();
    assert_eq!(status["syncs"][0]["unresolved"], 0, "{status}");
}
