//! Strangers at the daemon's door: connections that say nothing, hosts that are not ours, receivers that hang.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Daemon, PATIENCE, home, people, until};
use crate::support::{Home, Sim};

/// A daemon of which `ulimit -n` says how many files it may have open.
fn with_files<'a>(home: &'a Home, files: u32) -> Daemon<'a> {
    Daemon::start_with(home, |command| {
        let program = command.get_program().to_os_string();
        let arguments: Vec<_> = command.get_args().map(std::ffi::OsStr::to_os_string).collect();
        let mut limited = std::process::Command::new("sh");
        limited.args(["-c", &format!("ulimit -n {files}; exec \"$@\""), "sh"]).arg(program).args(arguments);
        limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        limited.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        let log = std::fs::File::create(home.path().join("log")).expect("a log");
        limited.stderr(log);
        *command = limited;
    })
}

#[test]
fn connections_that_say_nothing_stop_no_sync_and_no_other_question() {
    let sim = Sim::start();
    let home = home(&sim, "");
    home.people(&people(3));
    let daemon = with_files(&home, 256);
    let mut silent = Vec::new();
    for n in 0..300 {
        let mut stream = TcpStream::connect(daemon.address).expect("connected");
        if n % 2 == 0 {
            // Half of them begin a request that they never end. One that was closed meanwhile does not take it.
            let _closed = stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
        }
        silent.push(stream);
    }
    assert_eq!(daemon.get("/healthz"), (200, "ok\n".into()), "whoever asks is answered");
    let run = home.run_json(&["trigger", "staff", "--wait"]).exits(0).the_run();
    assert_eq!(run["counts"]["create"]["ok"], 3, "{run}");
    let open = std::fs::read_dir(format!("/proc/{}/fd", daemon.child.id())).expect("its files").count();
    assert!(open < 150, "{open} files are open");
    assert!(!daemon.log().contains("that is kept to"), "64 is a quarter of 256");
    drop(silent);
}

#[test]
fn answers_that_nobody_takes_keep_nobody_out() {
    let sim = Sim::start();
    let home = home(&sim, "");
    home.people(&people(3));
    let daemon = Daemon::start(&home);
    let question = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(500);
    let mut deaf = Vec::new();
    for _ in 0..70 {
        let mut stream = TcpStream::connect(daemon.address).expect("connected");
        stream.set_write_timeout(Some(Duration::from_millis(500))).expect("a socket");
        // One whose answers are not taken takes no more questions.
        let _full = stream.write_all(question.as_bytes());
        deaf.push(stream);
    }
    assert_eq!(daemon.get("/healthz"), (200, "ok\n".into()));
    let run = home.run_json(&["trigger", "staff", "--wait"]).exits(0).the_run();
    assert_eq!(run["counts"]["create"]["ok"], 3, "{run}");
}

#[test]
fn a_connection_that_goes_on_saying_nothing_is_closed_and_one_that_asks_is_kept() {
    let sim = Sim::start();
    let home = home(&sim, "");
    home.people(&people(1));
    let daemon = Daemon::start(&home);
    let mut silent = TcpStream::connect(daemon.address).expect("connected");
    silent.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut asks = TcpStream::connect(daemon.address).expect("connected");
    asks.set_read_timeout(Some(PATIENCE)).expect("a socket");
    for _ in 0..2 {
        asks.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("asked");
        let mut answer = vec![0; 4096];
        let read = asks.read(&mut answer).expect("answered");
        let answer = String::from_utf8_lossy(&answer[..read]);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    // It ends by itself, within the server's time-out and not the test's.
    let began = Instant::now();
    let mut rest = Vec::new();
    let ended = silent.read_to_end(&mut rest);
    assert!(ended.is_ok() && began.elapsed() < Duration::from_secs(45), "{ended:?} after {:?}", began.elapsed());
}

#[test]
fn it_is_asked_under_its_own_names_only() {
    let sim = Sim::start();
    let home = home(&sim, "");
    home.people(&people(1));
    // An address that no other test asks for: the port stays the same over a reload.
    let daemon = Daemon::start_at(&home, "127.77.0.1:19464", |_| ());
    let status = |host: &str| {
        let mut stream = TcpStream::connect(daemon.address).expect("connected");
        let request = format!("GET /api/v1/status HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        answer.split(' ').nth(1).and_then(|code| code.parse::<u16>().ok()).expect("a status")
    };
    for host in ["localhost", "127.0.0.1:9464", "[::1]"] {
        assert_eq!(status(host), 200, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example"] {
        assert_eq!(status(host), 421, "{host}");
    }
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    let named = text.replace("[server]\n", "[server]\nhosts = [\"rosterd.example.com\"]\n");
    std::fs::write(home.config(), named).expect("written");
    assert_eq!(status("rosterd.example.com"), 421);
    daemon.signal("HUP");
    daemon.told("the configuration was loaded anew");
    until("the new name is known", || TcpStream::connect(daemon.address).is_ok());
    assert_eq!(status("rosterd.example.com:443"), 200);
    assert_eq!(status("evil.example"), 421);
}

#[test]
fn a_receiver_that_hangs_is_in_no_run_s_way() {
    let sim = Sim::start();
    let home = home(&sim, "");
    home.people(&people(3));
    let hanging = ["[notify]", "command = [\"sh\", \"-c\", \"sleep 600\"]"].join("\n");
    home.configure(&hanging);
    sim.behave(json!({"script": [{"do": "status:503"}]}));
    let daemon = Daemon::start(&home);
    let run = home.run_json(&["trigger", "staff", "--wait"]).exits(69).the_run();
    assert_eq!(run["status"], "failed");
    sim.calm();
    // Who is told of the first run is still being told.
    let run = home.run_json(&["trigger", "staff", "--wait"]).exits(0).the_run();
    assert_eq!(run["counts"]["create"]["ok"], 3, "{run}");
    assert!(!daemon.log().contains("nobody could be told"), "the second run did not wait for that:\n{}", daemon.log());
}
