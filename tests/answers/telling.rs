//! `[notify]`: people are told once a change, by a webhook that fails at first, and by a program.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{row, synced};
use crate::support::Sim;

/// A receiver that refuses the first few messages.
struct Receiver {
    url: String,
    got: Arc<Mutex<Vec<Value>>>,
    tries: Arc<Mutex<usize>>,
    _runtime: tokio::runtime::Runtime,
}

impl Receiver {
    fn start(refuses: usize) -> Receiver {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (got, tries) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
        let (kept, tried) = (Arc::clone(&got), Arc::clone(&tries));
        let app = Router::new().fallback(move |body: String| {
            let mut tried = tried.lock().expect("no panic");
            *tried += 1;
            let status = if *tried <= refuses { StatusCode::BAD_GATEWAY } else { StatusCode::NO_CONTENT };
            if status.is_success() {
                kept.lock().expect("no panic").push(serde_json::from_str(&body).expect("JSON"));
            }
            async move { status }
        });
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let url = format!("http://{}/hook?key=topsecret", listener.local_addr().expect("an address"));
        runtime.spawn(async move { axum::serve(listener, app).await });
        Receiver { url, got, tries, _runtime: runtime }
    }

    fn events(&self) -> Vec<(String, String)> {
        let text = |v: &Value| v.as_str().expect("text").to_string();
        self.got.lock().expect("no panic").iter().map(|m| (text(&m["was"]), text(&m["event"]))).collect()
    }
}

fn pair(was: &str, event: &str) -> (String, String) {
    (was.into(), event.into())
}

#[test]
fn people_are_told_once_a_change_by_a_webhook_that_fails_at_first() {
    let sim = Sim::start();
    let receiver = Receiver::start(2);
    let home = synced(&sim, &["E1", "E2", "E3"]);
    home.configure(&format!("[notify]\nwebhook = {{ url = \"{}\" }}\n[syncs.staff.limits]\nban = 0", receiver.url));
    home.run(&["sync"]).exits(0);
    assert_eq!(receiver.events(), [], "all is well, as it was");

    home.people(&[row("E1", "Nurse"), row("E2", "Nurse")]);
    let ran = home.run_json(&["sync"]).exits(3);
    assert_eq!(receiver.events(), [pair("ok", "held")]);
    assert_eq!(*receiver.tries.lock().expect("no panic"), 3, "two tries were refused");
    let message = receiver.got.lock().expect("no panic")[0].clone();
    let run = ran.the_run();
    assert_eq!((&message["run"], &message["plan"], &message["sync"]), (&run["run"], &run["plan"], &json!("staff")));
    let reason = "held by the limit ban: 1 person would lose access, at most 0 allowed (E3); nothing was sent";
    assert_eq!(message["reason"], reason);
    home.run(&["sync"]).exits(3);
    home.run(&["sync", "--only", "E1"]).exits(0);
    assert_eq!(receiver.events().len(), 1, "still held: nobody is told again");

    home.write("config/hr.csv", "");
    home.run(&["sync"]).exits(65);
    home.run(&["pause", "staff"]).exits(0);
    home.run(&["sync"]).exits(0);
    home.run(&["resume", "staff"]).exits(0);
    home.people(&[row("E1", "Nurse"), row("E2", "Nurse"), row("E3", "Nurse")]);
    home.run(&["sync"]).exits(0);
    assert_eq!(receiver.events(), [pair("ok", "held"), pair("held", "untrusted"), pair("untrusted", "recovered")]);
    let told = serde_json::to_string(&*receiver.got.lock().expect("no panic")).expect("JSON");
    for value in ["@acme.com", "555-", "Nurse"] {
        assert!(!told.contains(value), "no value of a person is told: {told}");
    }
}

#[test]
fn what_could_not_be_told_is_told_after_the_next_run() {
    let sim = Sim::start();
    let receiver = Receiver::start(4);
    let home = synced(&sim, &["E1", "E2", "E3"]);
    home.configure(&format!("[notify]\nwebhook = {{ url = \"{}\" }}", receiver.url));
    home.write("config/hr.csv", "");
    let ran = home.run(&["sync"]).exits(65);
    assert_eq!(receiver.events(), [], "four tries are all");
    assert!(ran.stderr.contains("nobody could be told") && !ran.stderr.contains("topsecret"), "{}", ran.stderr);
    home.run(&["sync"]).exits(65);
    assert_eq!(receiver.events(), [pair("ok", "untrusted")]);
}

#[test]
fn a_program_is_told_on_its_standard_input() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1", "E2", "E3"]);
    let got = home.path().join("got.json");
    let script = format!("cat >> '{}'", got.display());
    home.configure(&format!("[notify]\ncommand = [\"sh\", \"-c\", \"{script}\"]"));
    drop(sim);
    home.people(&[row("E1", "Matron"), row("E2", "Nurse"), row("E3", "Nurse")]);
    home.run(&["sync"]).exits(69);
    let message: Value = serde_json::from_slice(&std::fs::read(&got).expect("a message")).expect("JSON");
    assert_eq!((&message["event"], &message["was"]), (&json!("failed"), &json!("ok")));
}

#[test]
fn the_daemon_tells_once_a_change_too() {
    let sim = Sim::start();
    let receiver = Receiver::start(1);
    let home = synced(&sim, &["E1", "E2", "E3"]);
    home.people(&[row("E1", "Nurse"), row("E2", "Nurse")]);
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    let text = text.replace("[syncs.staff]\n", "[syncs.staff]\nschedule = \"* * * * * *\"\n");
    home.write("config/rosterd.toml", &text);
    home.configure(&format!("[notify]\nwebhook = {{ url = \"{}\" }}\n[syncs.staff.limits]\nban = 0", receiver.url));
    let daemon = home.start(&["run"]);
    until("it tells that the plan is held", || receiver.events() == [pair("ok", "held")]);
    // Several more runs are held, of which nobody is told.
    let runs = || home.query("SELECT count(*) FROM v_runs WHERE status = 'held'")[0][0].as_u64().unwrap_or(0);
    until("it is held again and again", || runs() > 2);
    assert_eq!(receiver.events().len(), 1);
    home.people(&[row("E1", "Nurse"), row("E2", "Nurse"), row("E3", "Nurse")]);
    until("it tells that all is well", || receiver.events().len() > 1);
    assert_eq!(receiver.events(), [pair("ok", "held"), pair("held", "recovered")]);
    drop(daemon);
}

/// Waits for something that another process does.
#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !is_so() {
        assert!(began.elapsed() < std::time::Duration::from_secs(120), "{what}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
