//! What others see of the daemon: its endpoints, its metrics and log, what it tells systemd, and what it takes of the
//! machine.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Daemon, PATIENCE, ask, home, people};
use crate::support::Sim;

#[test]
fn endpoints_answer_as_documented() {
    let sim = Sim::start();
    let home = home(&sim, "schedule = \"0 0 3 * * *\"");
    home.people(&[&people(3)[..], &["E9,too,few".to_string()]].concat());
    sim.script(json!({"method": "POST", "key": "E1", "nth": 1, "do": "status:422"}));
    sim.script(json!({"method": "POST", "key": "E2", "nth": 1, "do": "status:503"}));
    let daemon = Daemon::start(&home);
    assert_eq!(daemon.get("/healthz"), (200, "ok\n".into()));
    let run = home.run_json(&["trigger", "staff", "--wait"]).exits(75).the_run();
    assert_eq!(sim.users().len(), 2, "one is refused, one is tried once more: {run}");

    let status = daemon.json("/api/v1/status");
    let fields: Vec<_> = status["syncs"][0].as_object().expect("an object").keys().cloned().collect();
    for field in
        ["sync", "state", "last_run", "last_good_run", "age_seconds", "next_run", "held_plan", "unresolved", "reason"]
    {
        assert!(fields.iter().any(|f| f == field), "{field} is missing in {fields:?}");
    }
    assert!(status["syncs"][0]["next_run"].as_str().is_some_and(|at| at.ends_with("T03:00:00.000Z")), "{status}");
    let runs = daemon.json("/api/v1/runs?sync=staff");
    assert_eq!(runs["runs"][0]["created"].as_u64().expect("a number") as usize, sim.users().len(), "{runs}");
    let outcomes = daemon.json("/api/v1/outcomes?key=E0&since=1h");
    assert_eq!(outcomes["outcomes"][0]["op"], "create", "{outcomes}");
    assert_eq!(outcomes["outcomes"].as_array().map(Vec::len), Some(1));
    for (path, expected) in [
        ("/api/v1/outcomes?status=bad", 400),
        ("/api/v1/outcomes?limit=0", 400),
        ("/api/v1/runs?frob=1", 400),
        ("/api/v1/runs?sync=nope", 404),
        ("/nowhere", 404),
    ] {
        let (status, body) = daemon.get(path);
        assert_eq!(status, expected, "{path}: {body}");
        assert!(body.contains("\"error\""), "{path}: {body}");
    }
    assert_eq!(ask(daemon.address, "POST", "/api/v1/runs", "", "").0, 405, "nothing can be changed");
    let metrics = daemon.get("/metrics").1;
    for line in [
        "rosterd_outcomes_total{sync=\"staff\",op=\"create\",status=\"ok\"}",
        "rosterd_outcomes_total{sync=\"staff\",op=\"create\",status=\"failed\"} 1",
        "rosterd_outcomes_total{sync=\"staff\",op=\"none\",status=\"rejected\"} 1",
        "rosterd_requests_total{target=\"juno\",result=\"503\"} 1",
        "rosterd_retries_total{target=\"juno\"} 1",
        "rosterd_runs_total{sync=\"staff\",status=\"partial\"} 1",
        "rosterd_request_duration_seconds_bucket{target=\"juno\",le=",
        "rosterd_rate_limit_wait_seconds_total{target=\"juno\"}",
        "rosterd_last_good_run_age_seconds{sync=\"staff\"}",
        "rosterd_held_plans{sync=\"staff\"} 0",
        "rosterd_unresolved{sync=\"staff\"} 0",
        "rosterd_sync_state{sync=\"staff\",state=\"held\"} 0",
        "# TYPE rosterd_request_duration_seconds histogram",
    ] {
        assert!(metrics.contains(line), "{line} is missing in\n{metrics}");
    }
    for (name, kind, _) in rosterd::telemetry::metrics::ALL {
        // What nothing has happened of yet has no sample.
        let yet = ["rosterd_skipped_runs_total", "rosterd_reloads_total"].contains(&name);
        assert!(yet || metrics.contains(&format!("# TYPE {name} {kind}\n")), "{name} is missing in\n{metrics}");
    }
    let page = daemon.get("/").1;
    assert!(
        page.contains("<svg class=\"timeline\"") && !page.contains("@acme.com") && !page.contains("Nurse"),
        "{page}"
    );
    assert!(!daemon.log().contains("@acme.com") && !daemon.log().contains("Nurse"), "a value in the log");
    let lines: Vec<Value> = daemon.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of_run =
        |target: &str| lines.iter().filter(|line| line["target"] == target && line["run"] == run["run"]).count();
    let told = (of_run("rosterd::outcome"), of_run("rosterd::run"));
    assert_eq!(told, (home.outcomes(&[]).len(), 1), "one line an outcome, one a run, each with the run");
    assert_eq!(daemon.end(), 0);
}

#[test]
fn the_daemon_says_partial_everywhere() {
    let sim = Sim::start();
    let home = home(&sim, "schedule = \"0 0 3 * * *\"");
    home.people(&people(3));
    sim.script(json!({"method": "POST", "key": "E1", "do": "status:422"}));
    let daemon = Daemon::start(&home);
    let run = home.run_json(&["trigger", "staff", "--wait"]).exits(75).the_run();
    assert_eq!(run["status"], "partial");
    let status = daemon.json("/api/v1/status");
    assert_eq!((&status["daemon"], &status["syncs"][0]["state"]), (&json!(true), &json!("partial")), "{status}");
    assert_eq!(status["syncs"][0]["unresolved"], 0);
    assert_eq!(daemon.json("/api/v1/runs?sync=staff")["runs"][0]["status"], "partial");
    let metrics = daemon.get("/metrics").1;
    for line in [
        "{sync=\"staff\",state=\"partial\"} 1",
        "{sync=\"staff\",state=\"ok\"} 0",
        "{sync=\"staff\",status=\"partial\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is missing in\n{metrics}");
    }
    let page = daemon.get("/").1;
    assert!(page.contains("1 sync: 1 with something left over") && page.contains("pill partial"), "{page}");
    let told = home.run_json(&["status"]).exits(0).json();
    assert_eq!((&told["daemon"], &told["syncs"][0]["state"]), (&json!(true), &json!("partial")), "{told}");
    let text = home.run(&["status"]).exits(0).stdout;
    assert!(text.contains("next run") && !text.contains("no daemon"), "{text}");
    assert_eq!(daemon.end(), 0);
}

#[test]
fn what_strangers_wrote_is_spelled_out_on_the_page_and_in_the_log() {
    let sim = Sim::start();
    let home = home(&sim, "schedule = \"0 0 3 * * *\"");
    home.people(&people(3));
    home.configure("[syncs.staff.limits]\ncreate = 0");
    let daemon = Daemon::start(&home);
    home.run(&["trigger", "staff", "--wait"]).exits(3);
    let id = home.run_json(&["plans"]).json()["plans"][0]["id"].as_str().expect("a plan").to_string();
    sim.script(json!({"method": "POST", "do": "status:422"}));
    home.run(&["approve", &id, "--reason", "<b>\u{202e}x\u{1b}[2J\u{200b}"]).exits(75);
    let page = daemon.get("/").1;
    assert!(!page.chars().any(|c| c != '\n' && (c.is_control() || "\u{202e}\u{200b}".contains(c))), "{page}");
    assert!(daemon.json("/api/v1/runs")["runs"][0]["reason"].as_str().is_some_and(|why| why.contains('\u{202e}')));
    let log = daemon.log();
    assert!(!log.contains('\u{1b}'), "{log}");
    assert_eq!(daemon.end(), 0);
}

#[test]
fn systemd_is_told_how_it_is() {
    let sim = Sim::start();
    let home = home(&sim, "schedule = \"0 0 3 * * *\"");
    let path = home.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let daemon = Daemon::start_with(&home, |command| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "3000000");
    });
    let next = || {
        let mut buffer = [0; 1024];
        let length = socket.recv(&mut buffer).expect("a word to systemd");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let ready = next();
    assert!(ready.contains("READY=1") && ready.contains("next: staff at "), "{ready}");
    let said = |wanted: &str| (0..60).map(|_| next()).find(|word| word.contains(wanted)).expect(wanted);
    for _ in 0..3 {
        said("WATCHDOG=1");
    }
    daemon.signal("HUP");
    assert!(said("RELOADING=1").contains("MONOTONIC_USEC="));
    said("READY=1");
    daemon.signal("TERM");
    said("STOPPING=1");
    assert_eq!(daemon.exit_code(), 0);
}

/// What a process holds: resident memory in kB, the handles it has open by what they lead to, threads.
struct Holdings {
    memory: u64,
    handles: Vec<String>,
    threads: u64,
}

impl Holdings {
    fn of(id: u32) -> Holdings {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("a process");
        let number = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).expect(name);
            line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number")
        };
        let open = std::fs::read_dir(format!("/proc/{id}/fd")).expect("its handles");
        // One that is closed while we look leads nowhere any more.
        let mut handles: Vec<String> = open
            .filter_map(|handle| std::fs::read_link(handle.ok()?.path()).ok())
            .map(|to| to.to_string_lossy().split(['[', ' ']).next().unwrap_or_default().to_string())
            .collect();
        handles.sort_unstable();
        Holdings { memory: number("VmRSS:"), handles, threads: number("Threads:") }
    }

    /// The least of each.
    fn least(self, other: Holdings) -> Holdings {
        Holdings {
            memory: self.memory.min(other.memory),
            handles: if other.handles.len() < self.handles.len() { other.handles } else { self.handles },
            threads: self.threads.min(other.threads),
        }
    }
}

impl std::fmt::Display for Holdings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} kB, {} handles, {} threads", self.memory, self.handles.len(), self.threads)
    }
}

/// An hour at sixty times its speed: fifty syncs, each due every third minute, but for a break of six minutes in every
/// quarter: what the daemon holds is looked at there, when no run is under way, or else it would depend on how many
/// happen to be. Run by `.ci/soak`.
#[test]
#[ignore = "takes a minute of a whole machine"]
#[allow(clippy::print_stdout, reason = "its figures are what it is for")]
fn an_hour_of_fifty_syncs_grows_neither_memory_nor_handles() {
    let sim = Sim::start();
    let home = home(&sim, "");
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    // A machine that is busy with other things is no failure.
    let text = text.replace("timeout = \"2s\"", "timeout = \"30s\"");
    let (rest, sync) = text.split_once("[syncs.staff]").expect("a sync");
    let mut many = rest.to_string();
    for n in 0..50 {
        let one = sync.replace("[syncs.staff", &format!("[syncs.s{n}"));
        let own =
            one.replace("client_id = \"employee_id\"", &format!("client_id = {{ cel = \"'s{n}-' + employee_id\" }}"));
        let own = own.replace("email.trim()", &format!("'s{n}-' + email.trim()"));
        let due = |minute: &usize| minute % 3 == n % 3 && minute % 15 < 9;
        let minutes: Vec<String> = (0..60).filter(due).map(|minute| minute.to_string()).collect();
        many.push_str(&format!("\n[syncs.s{n}]\nschedule = \"0 {} * * * *\"{own}", minutes.join(",")));
    }
    std::fs::write(home.config(), many).expect("written");
    let daemon = Daemon::start_with(&home, |command| {
        // Few arenas, as the unit file says: what several threads have freed would look like growth.
        command.env("ROSTERD_TEST_CLOCK_SPEED", "60").env("MALLOC_ARENA_MAX", "2");
        // The scheduler's own lines name the address; those of each run would be many.
        command.env("RUST_LOG", "warn,rosterd::daemon=info");
    });
    let total = |metrics: &str, name: &str, with: &str| -> f64 {
        let lines = metrics.lines().filter(|l| l.starts_with(name) && l.contains(with));
        lines.filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>().abs()
    };
    // What was held at rest, by quarters of the hour.
    let mut at_rest: [Vec<Holdings>; 4] = Default::default();
    let (began, mut newcomers) = (Instant::now(), 0);
    while let passed @ 0..60 = began.elapsed().as_secs() {
        std::thread::sleep(Duration::from_millis(250));
        assert_eq!(daemon.get("/").0, 200);
        // A newcomer now and then, so that something is sent.
        if passed as usize / 10 > newcomers {
            newcomers = passed as usize / 10;
            home.people(&people(3 + newcomers));
        }
        let (status, metrics) = daemon.get("/metrics");
        assert_eq!(status, 200);
        if total(&metrics, "rosterd_sync_running", "") == 0.0 {
            at_rest[passed as usize / 15].push(Holdings::of(daemon.child.id()));
        }
    }
    let metrics = daemon.get("/metrics").1;
    let (runs, bad) = (total(&metrics, "rosterd_runs_total{", ""), total(&metrics, "rosterd_runs_total{", "failed"));
    let skipped = total(&metrics, "rosterd_skipped_runs_total{", "");
    assert!(
        runs >= 300.0 && runs + skipped >= 500.0 && bad == 0.0,
        "{runs} runs, {skipped} left out, {bad} failed:\n{}",
        daemon.log().lines().filter(|l| l.contains("ERROR")).take(5).collect::<Vec<_>>().join("\n")
    );
    // The first quarter warms up caches and threads; from then on nothing may grow.
    let [first, early, _, late] = at_rest.map(|of| of.into_iter().reduce(Holdings::least));
    let (early, late) = (early.expect("a moment of rest"), late.expect("a moment of rest at the end"));
    let first = first.map(|first| format!("first {first}; ")).unwrap_or_default();
    eprintln!("{runs} runs, {bad} failed, {skipped} left out; {first}second quarter {early}; last {late}");
    // 30 kB lost a run would be a fifth; on a busy machine what is kept for the next run alone makes a tenth.
    assert!(late.memory <= early.memory + early.memory / 6, "memory grows: {early}, then {late}");
    assert!(
        late.handles.len() <= early.handles.len() + 3,
        "handles pile up: {:#?}, then {:#?}",
        early.handles,
        late.handles
    );
    assert_eq!(daemon.end(), 0);
}
