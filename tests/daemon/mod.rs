//! The daemon as its operators meet it: it runs what is due and what is asked for, one run of a sync at a time; it
//! reloads, drains, tells systemd how it is, and answers on its endpoints.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rosterd::sandbox::Op;
use serde_json::{Value, json};

use crate::support::{Home, Sim};

mod observed;
mod pages;
mod strangers;

/// A running `rosterd run`; it is killed when this is dropped.
struct Daemon<'a> {
    home: &'a Home,
    child: Child,
    address: SocketAddr,
}

/// What it may take the daemon to do something, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where its endpoints are told to be: any free port, which its log names. A port that the test chose beforehand could
/// be another's by the time the daemon asks for it.
const ANYWHERE: &str = "127.0.0.1:0";

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(25));
    }
}

impl<'a> Daemon<'a> {
    /// Starts it with endpoints on a free port, and waits until it is ready.
    fn start(home: &'a Home) -> Daemon<'a> {
        Daemon::start_with(home, |_| ())
    }

    fn start_with(home: &'a Home, prepare: impl FnOnce(&mut std::process::Command)) -> Daemon<'a> {
        Daemon::start_at(home, ANYWHERE, prepare)
    }

    fn start_at(home: &'a Home, listen: &str, prepare: impl FnOnce(&mut std::process::Command)) -> Daemon<'a> {
        home.configure(&format!("[server]\nlisten = \"{listen}\""));
        let log = std::fs::File::create(home.path().join("log")).expect("a log");
        let mut command = home.command(&["run", "--log-format", "json"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        prepare(&mut command);
        let child = command.spawn().expect("it starts");
        let mut daemon = Daemon { home, child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        daemon.address = daemon.told("rosterd runs")["listen"].as_str().and_then(|at| at.parse().ok()).expect("a port");
        until("it is ready", || daemon.get("/readyz").0 == 200);
        daemon
    }

    /// The first line of the log with this message; waits for it.
    fn told(&self, message: &str) -> Value {
        let began = Instant::now();
        loop {
            let lines = self.log();
            let mut lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            if let Some(line) = lines.find(|line| line["message"] == message) {
                return line;
            }
            assert!(began.elapsed() < PATIENCE, "waited in vain for {message:?} in the log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(25));
        }
    }

    /// A sample of `/metrics`: `metric` is its name with its labels.
    fn measured(&self, metric: &str) -> Option<f64> {
        let text = self.get("/metrics").1;
        text.lines().find_map(|line| line.strip_prefix(metric)?.trim().parse().ok())
    }

    /// Waits until this many scheduled times of the sync have passed and the scheduler has dealt with each.
    fn passes(&self, sync: &str, times: usize) {
        let next = || self.measured(&format!("rosterd_next_run_timestamp_seconds{{sync=\"{sync}\"}}"));
        for _ in 0..times {
            let before = next().expect("it has a schedule");
            until("a scheduled time has passed", || next().is_some_and(|at| at > before));
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("log")).expect("a log")
    }

    /// Status and body of an answer; status 0 when there is none.
    fn get(&self, path: &str) -> (u16, String) {
        get(self.address, path)
    }

    fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let done = std::process::Command::new("kill").args([&format!("-{name}"), &id]).status().expect("kill runs");
        assert!(done.success());
    }

    fn runs(&self) -> Vec<Value> {
        self.json("/api/v1/runs?limit=1000")["runs"].as_array().expect("runs").clone()
    }

    /// SIGTERM, and the exit code.
    fn end(self) -> i32 {
        self.signal("TERM");
        self.exit_code()
    }

    fn exit_code(mut self) -> i32 {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.code().unwrap_or(-1);
            }
            assert!(began.elapsed() < PATIENCE, "it does not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get(address: SocketAddr, path: &str) -> (u16, String) {
    ask(address, "GET", path, "", "")
}

fn ask(address: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
    let Ok(mut stream) = TcpStream::connect_timeout(&address, PATIENCE) else {
        return (0, String::new());
    };
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    let mut answer = Vec::new();
    if stream.write_all(request.as_bytes()).is_err() || stream.read_to_end(&mut answer).is_err() {
        return (0, String::new());
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split_whitespace().nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    (status, body.to_string())
}

fn person(n: usize, status: &str) -> String {
    format!("E{n},Ann{n},Ash,ann{n}@acme.com,+4179{n:07},Nurse,Bern,{status}")
}

fn people(count: usize) -> Vec<String> {
    (0..count).map(|n| person(n, "active")).collect()
}

/// A home whose sync has this schedule.
fn home(sim: &Sim, schedule: &str) -> Home {
    let home = Home::juno(&sim.juno());
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    let text = text.replace("[syncs.staff]\n", &format!("[syncs.staff]\n{schedule}\n"));
    std::fs::write(home.config(), text).expect("a configuration");
    home.people(&people(3));
    home
}

#[test]
fn what_is_due_runs_and_term_ends_it_with_0() {
    let sim = Sim::start();
    let home = home(&sim, "schedule = \"* * * * * *\"");
    let daemon = Daemon::start(&home);
    until("people are there", || sim.users().len() == 3);
    home.people(&people(5));
    until("newcomers are there", || sim.users().len() == 5);
    let refused = home.run(&["sync"]).exits(75);
    assert!(refused.stderr.contains("rosterd trigger"), "{}", refused.stderr);
    home.run(&["plan"]).exits(0);
    assert_eq!(daemon.end(), 0);
    assert_eq!(sim.committed_since(0, Op::Create), 5);
    home.run(&["sync"]).exits(0);
}

#[test]
fn a_trigger_runs_it_now_and_wait_tells_what_came_of_it() {
    let sim = Sim::start();
    let home = home(&sim, "");
    let none = home.run(&["trigger", "staff"]).exits(69);
    assert!(
        none.stderr.contains("no daemon is running") && none.stderr.contains("rosterd sync staff"),
        "{}",
        none.stderr
    );
    let daemon = Daemon::start(&home);
    let asked = home.run_json(&["trigger", "staff"]).exits(0).json();
    assert_eq!(asked, json!({"sync": "staff", "accepted": true}));
    until("people are there", || sim.users().len() == 3);

    home.people(&people(4));
    let told = home.run_json(&["trigger", "staff", "--wait"]).exits(0).json();
    assert_eq!(told["runs"][0]["counts"]["create"]["ok"], 1, "{told}");
    assert_eq!(told["runs"][0]["status"], "ok");

    let runs = home.run_json(&["runs"]).exits(0).json()["runs"].clone();
    let uid = format!("(uid {})", rustix::process::getuid().as_raw());
    for run in runs.as_array().expect("runs") {
        assert_eq!((&run["trigger"], &run["reason"]), (&json!("command"), &Value::Null), "{run}");
        assert!(run["by"].as_str().is_some_and(|by| by.contains(&uid)), "who asked the daemon, not the daemon: {run}");
    }

    home.write("config/hr.csv", "employee_id\nE1\n");
    let told = home.run_json(&["trigger", "staff", "--wait"]).exits(65).json();
    assert_eq!(told["runs"][0]["status"], "untrusted", "{told}");
    let unknown = home.run_json(&["trigger", "stuff"]).exits(64).json();
    assert_eq!(unknown["error"]["code"], 64);
    assert_eq!(daemon.end(), 0);
}

#[test]
fn one_run_of_a_sync_at_a_time_and_no_pile_up() {
    let sim = Sim::start();
    let home = home(&sim, "schedule = \"* * * * * *\"");
    home.people(&people(30));
    sim.behave(json!({"latency_ms": 1000}));
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    std::fs::write(home.config(), text.replace("timeout = \"2s\"", "timeout = \"9s\"\nconcurrency = 10"))
        .expect("written");
    let daemon = Daemon::start(&home);
    sim.wait_until("it sends", |log| log.iter().any(|r| r.op == Op::Create));
    // Two triggers while it runs come to one more run.
    home.run(&["trigger", "staff"]).exits(0);
    home.run(&["trigger", "staff"]).exits(0);
    until("a run was left out", || daemon.get("/metrics").1.contains("\nrosterd_skipped_runs_total{sync=\"staff\"}"));
    sim.calm();
    until("three runs have ended", || daemon.runs().iter().filter(|r| r["finished_at"].is_string()).count() >= 3);
    let runs = daemon.runs();
    let mut spans: Vec<(&str, &str)> =
        runs.iter().filter_map(|run| Some((run["started_at"].as_str()?, run["finished_at"].as_str()?))).collect();
    spans.sort_unstable();
    for pair in spans.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "two runs at once: {pair:?}");
    }
    assert_eq!(daemon.end(), 0);
    assert_eq!(sim.users().len(), 30);
    assert_eq!(sim.committed_since(0, Op::Create), 30);
}

#[test]
fn an_approval_is_handed_over_and_told_as_if_sent_from_here() {
    let sim = Sim::start();
    let home = home(&sim, "");
    home.people(&people(40));
    let daemon = Daemon::start(&home);
    home.run(&["trigger", "staff", "--wait"]).exits(0);
    let rows: Vec<_> = (0..40).map(|n| person(n, if n < 20 { "left" } else { "active" })).collect();
    home.people(&rows);
    let held = home.run_json(&["trigger", "staff", "--wait"]).exits(3).json();
    let plan = held["runs"][0]["plan"].as_str().expect("a held plan").to_string();
    let page = daemon.get("/").1;
    assert!(page.contains(&format!("rosterd approve {plan}")) && !page.contains("ann1@acme.com"), "{page}");

    let mark = sim.mark();
    let sent = home.run_json(&["approve", &plan, "--reason", "they did leave"]).exits(0).json();
    assert_eq!(sent["runs"][0]["counts"]["ban"]["ok"], 20, "{sent}");
    assert_eq!(sim.committed_since(mark, Op::Ban), 20);
    let run = sent["runs"][0]["run"].as_str().expect("a run");
    let kept = daemon.runs().into_iter().find(|r| r["run"] == run).expect("its row");
    assert!(kept["reason"].as_str().is_some_and(|why| why.contains("they did leave")), "{kept}");
    let told = home.run_json(&["runs", "--limit", "1"]).exits(0).json()["runs"][0].clone();
    assert_eq!((&told["run"], &told["trigger"]), (&json!(run), &json!("approve")));
    assert_eq!((&told["reason"], &kept["by"]), (&json!("they did leave"), &told["by"]));
    let spent = home.run(&["approve", &plan]).exits(3);
    assert!(spent.stderr.contains("approved already"), "{}", spent.stderr);
    home.run(&["approve", "nonsense"]).exits(64);
    assert_eq!(daemon.end(), 0);
}

#[test]
fn pause_resume_and_discard_work_beside_it() {
    let sim = Sim::start();
    let home = home(&sim, "schedule = \"* * * * * *\"");
    let daemon = Daemon::start(&home);
    until("people are there", || sim.users().len() == 3);
    home.run(&["pause", "staff"]).exits(0);
    until("it is seen as paused", || daemon.json("/api/v1/status")["syncs"][0]["state"] == "paused");
    // The first of these may have begun before it was paused.
    daemon.passes("staff", 2);
    let idle = || daemon.measured("rosterd_sync_running{sync=\"staff\"}") == Some(0.0);
    until("the run under way has ended", idle);
    let before = daemon.runs().len();
    home.people(&people(5));
    daemon.passes("staff", 3);
    assert_eq!((daemon.runs().len(), sim.users().len()), (before, 3), "nothing runs");
    let paused = home.run_json(&["trigger", "staff", "--wait"]).exits(0).json();
    assert_eq!(paused["runs"][0]["status"], "paused", "{paused}");
    home.run(&["resume", "staff"]).exits(0);
    until("it goes on", || sim.users().len() == 5);

    let rows: Vec<_> = (0..5).map(|n| person(n, "left")).collect();
    home.people(&rows);
    until("a plan is held", || !home.run_json(&["plans"]).json()["plans"].as_array().expect("plans").is_empty());
    home.run(&["pause", "staff"]).exits(0);
    daemon.passes("staff", 2);
    until("the run under way has ended", idle);
    let plan = home.run_json(&["plans"]).json()["plans"][0]["id"].as_str().expect("an id").to_string();
    home.run(&["discard", &plan]).exits(0);
    assert!(home.run_json(&["plans"]).json()["plans"].as_array().expect("plans").is_empty());
    // Others open and close the database all the time: none of them may take it, or its log, for abandoned.
    let handles = std::fs::read_dir(format!("/proc/{}/fd", daemon.child.id())).expect("its handles");
    let open: Vec<String> = handles
        .filter_map(|handle| Some(std::fs::read_link(handle.ok()?.path()).ok()?.display().to_string()))
        .filter(|path| path.contains("rosterd.db"))
        .collect();
    assert!(open.iter().any(|path| path.ends_with("-wal")), "{open:?}");
    assert!(!open.iter().any(|path| path.contains("deleted")), "{open:?}");
    let database = std::fs::metadata(home.database()).expect("a database").ino();
    let locks = std::fs::read_to_string("/proc/locks").expect("locks");
    let held =
        |line: &str| line.contains("POSIX") && line.split_whitespace().any(|w| w.ends_with(&format!(":{database}")));
    assert!(locks.lines().any(held), "no lock on the database: {locks}");
    assert_eq!(daemon.end(), 0);
}

#[test]
fn a_source_that_really_shrank_is_accepted_beside_it() {
    let sim = Sim::start();
    let home = home(&sim, "");
    home.people(&people(60));
    let daemon = Daemon::start(&home);
    home.run(&["trigger", "staff", "--wait"]).exits(0);
    home.people(&people(40));
    home.run(&["trigger", "staff", "--wait"]).exits(65);
    until("it is seen as not trusted", || daemon.json("/api/v1/status")["syncs"][0]["state"] == "untrusted");
    assert!(daemon.get("/").1.contains("rosterd accept hr"));
    home.run(&["accept", "hr"]).exits(0);
    let held = home.run_json(&["trigger", "staff", "--wait"]).exits(3).json();
    assert_eq!(held["runs"][0]["planned"], json!({"ban": 20}), "trusted, and then judged by the limits: {held}");
    assert_eq!(daemon.end(), 0);
}

#[test]
fn a_run_missed_while_it_was_down_is_made_up_for_once() {
    for (line, runs) in [("catch_up = true", 2), ("catch_up = false", 1)] {
        let sim = Sim::start();
        let home = home(&sim, &format!("schedule = \"0 0 0 1 * *\"\n{line}"));
        home.run(&["sync"]).exits(0);
        let late = |command: &mut std::process::Command| {
            command.env("ROSTERD_TEST_CLOCK_OFFSET", (32 * 86_400).to_string());
        };
        let daemon = Daemon::start_with(&home, late);
        until("it is made up for", || daemon.runs().iter().filter(|r| r["finished_at"].is_string()).count() == runs);
        // What is due is begun before what is asked for is taken up: had more been due, it would be here as well.
        home.run(&["trigger", "staff", "--wait"]).exits(0);
        assert_eq!(daemon.runs().len(), runs + 1, "{line}: {}", daemon.log());
        let next = daemon.json("/api/v1/status")["syncs"][0]["next_run"].clone();
        assert!(next.as_str().is_some_and(|at| at.ends_with("-01T00:00:00.000Z")), "{next}");
        assert_eq!(daemon.end(), 0);
    }
}

#[test]
fn a_hangup_loads_a_good_configuration_and_refuses_a_bad_one() {
    // Addresses that no other test listens on, so that nobody but this daemon answers there.
    let (here, there) = ("127.0.0.77:0", "127.0.0.78:0");
    let sim = Sim::start();
    let home = home(&sim, "");
    let mut daemon = Daemon::start_at(&home, here, |_| ());
    let good = std::fs::read_to_string(home.config()).expect("a configuration");

    std::fs::write(home.config(), good.replace("match = [\"email\"]", "match = [\"emial\"]")).expect("written");
    daemon.signal("HUP");
    let refused = daemon.told("the configuration on disk is refused; the one before stays in force");
    assert!(refused["error"].as_str().is_some_and(|why| why.contains("emial")), "{refused}");
    until("it is seen as refused", || daemon.measured("rosterd_configuration_refused") == Some(1.0));
    assert!(daemon.get("/").1.contains("The configuration on disk is refused"));
    home.run(&["status"]).exits(78);

    let with = good.replace("[syncs.staff]\n", "[syncs.staff]\nschedule = \"* * * * * *\"\n").replace(here, there);
    std::fs::write(home.config(), &with).expect("written");
    daemon.signal("HUP");
    let loaded = daemon.told("the configuration was loaded anew");
    let old = daemon.address;
    daemon.address = loaded["listen"].as_str().and_then(|at| at.parse().ok()).expect("an address");
    assert!(daemon.address.ip().to_string() == "127.0.0.78", "{loaded}");
    assert_eq!(daemon.get("/readyz").0, 200, "it serves there");
    until("the new schedule is in force", || sim.users().len() == 3);
    assert_eq!(daemon.measured("rosterd_configuration_refused"), Some(0.0));
    until("the old address is given up", || get(old, "/healthz").0 == 0);

    std::fs::write(home.config(), with.replace("rosterd.db", "other.db")).expect("written");
    daemon.signal("HUP");
    until("another database is refused", || daemon.log().contains("another database needs a restart"));
    assert_eq!(daemon.end(), 0);
}

#[test]
fn a_run_under_way_keeps_its_configuration_and_term_stops_it_between_two_requests() {
    let sim = Sim::start();
    let home = home(&sim, "");
    home.people(&people(200));
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    std::fs::write(home.config(), text.replace("rate = \"1000/s\"\nburst = 100", "rate = \"5/s\"\nburst = 1"))
        .expect("written");
    let daemon = Daemon::start(&home);
    home.run(&["trigger", "staff"]).exits(0);
    sim.wait_until("it sends", |log| log.iter().filter(|r| r.committed).count() > 3);
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    std::fs::write(home.config(), text.replace("title = \"title\"\n", "")).expect("written");
    daemon.signal("HUP");
    daemon.told("the configuration was loaded anew");
    let mark = sim.mark();
    until("it goes on", || sim.committed_since(mark, Op::Create) > 3);
    assert!(sim.users().iter().all(|user| user["title"] == "Nurse"), "the run keeps its mapping");

    let log = home.path().join("log");
    assert_eq!(daemon.end(), 0);
    let sent = sim.users().len();
    assert!(sent < 200, "{sent} of 200: it went on to the end");
    let outcomes = home.run(&["outcomes", "--format", "json"]).exits(0).stdout;
    let count = |status: &str| outcomes.matches(&format!("\"status\":\"{status}\"")).count();
    assert_eq!((count("ok"), count("skipped"), count("unknown")), (sent, 200 - sent, 0));
    let log = std::fs::read_to_string(log).expect("a log");
    assert!(log.contains("\"message\":\"stopped\""), "{log}");
    home.run(&["state", "verify"]).exits(0);
}

#[test]
fn syncs_on_one_target_share_its_rate_and_one_source_is_read_once() {
    let sim = Sim::start();
    let home = home(&sim, "");
    home.people(&people(20));
    home.configure("[syncs.second]\nsource = \"hr\"\ntarget = \"juno\"\nmap = { client_id = \"phone\", email = { cel = \"'b' + email\" } }\nmatch = []");
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    let text = text
        .replace("rate = \"1000/s\"\nburst = 100", "rate = \"10/s\"\nburst = 1")
        .replace("[syncs.second]", "[syncs.second]\nschedule = \"*/2 * * * * *\"")
        .replace("[syncs.staff]", "[syncs.staff]\nschedule = \"*/2 * * * * *\"");
    std::fs::write(home.config(), text).expect("written");
    let began = Instant::now();
    let daemon = Daemon::start(&home);
    until("all are there", || sim.users().len() == 40);
    let (requests, took) = (sim.requests().len() as f64, began.elapsed().as_secs_f64());
    assert!(requests / took <= 10.5, "{requests} requests in {took} s");
    let running = |name: &str| daemon.runs().iter().filter(|r| r["sync"] == name).count();
    assert!(running("staff") >= 1 && running("second") >= 1, "both ran");
    assert_eq!(daemon.end(), 0);
}

#[test]
fn a_reconcile_on_schedule_reports_and_repairs_where_it_may() {
    for (repair, city) in [(false, "Elsewhere"), (true, "Bern")] {
        let sim = Sim::start();
        let home = home(&sim, &format!("reconcile_schedule = \"* * * * * *\"\nreconcile_repair = {repair}"));
        home.run(&["sync"]).exits(0);
        let id = sim.user("E1").expect("an account")["id"].clone();
        let path = format!("/juno/api/users/{id}");
        let sandbox = sim.url().trim_start_matches("http://").parse().expect("an address");
        let headers = "Authorization: Bearer sandbox\r\nContent-Type: application/json\r\n";
        assert_eq!(ask(sandbox, "PUT", &path, headers, r#"{"city": "Elsewhere"}"#).0, 200);
        let daemon = Daemon::start(&home);
        until("it has reconciled", || daemon.log().contains("\"message\":\"reconciled\""));
        assert!(daemon.log().contains("\"drifted\":1"), "{}", daemon.log());
        if repair {
            until("it is repaired", || sim.user("E1").expect("an account")["city"] == city);
        }
        assert_eq!(daemon.end(), 0);
        assert_eq!(sim.user("E1").expect("an account")["city"], city);
    }
}

#[test]
fn old_outcomes_are_forgotten_and_people_are_not() {
    let sim = Sim::start();
    let home = home(&sim, "");
    home.run(&["sync"]).exits(0);
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    std::fs::write(home.config(), text.replace("rosterd.db\"", "rosterd.db\"\nkeep_outcomes = \"7d\""))
        .expect("written");
    let later = |command: &mut std::process::Command| {
        command.env("ROSTERD_TEST_CLOCK_OFFSET", (8 * 86_400).to_string());
    };
    let daemon = Daemon::start_with(&home, later);
    until("they are forgotten", || daemon.json("/api/v1/outcomes")["outcomes"].as_array().is_some_and(Vec::is_empty));
    assert_eq!(daemon.end(), 0);
    let info = home.run(&["state", "info", "--format", "json"]).exits(0).json();
    assert_eq!((info["users"].as_i64(), info["outcomes"].as_i64()), (Some(3), Some(0)), "{info}");
    let mark = sim.mark();
    home.run(&["sync"]).exits(0);
    assert!(sim.writes_since(mark).is_empty(), "nothing is created anew");

    home.people(&people(4));
    home.run(&["sync"]).exits(0);
    let pruned = home.run(&["state", "--format", "json", "prune", "--older-than", "0s"]).exits(0).json();
    assert_eq!(pruned["outcomes"], 1, "{pruned}");
    home.run(&["state", "verify"]).exits(0);
}

#[test]
fn an_address_that_is_taken_ends_it_with_a_word_on_what_to_do() {
    let sim = Sim::start();
    let home = home(&sim, "");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    home.configure(&format!("[server]\nlisten = \"{}\"", taken.local_addr().expect("an address")));
    let ran = home.run(&["run"]).exits(69);
    assert!(ran.stderr.contains("server.listen") && ran.stderr.contains("choose another port"), "{}", ran.stderr);
}
