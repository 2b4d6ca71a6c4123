//! Looking after the state: verified and copied while a sync runs, and what a restored backup leads to.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use rosterd::sandbox::{Op, Options};

use crate::support::{Home, Sim};

fn rows(range: std::ops::Range<u32>, title: &str) -> Vec<String> {
    range.map(|n| format!("E{n},Ann {n},Bo,p{n}@acme.example,,{title},Bern,active")).collect()
}

#[test]
fn the_state_is_verified_and_copied_while_a_sync_runs() {
    let sim = Sim::with(Options { latency: Duration::from_millis(50), ..Options::default() });
    let home = Home::juno(&sim.juno());
    home.people(&rows(0..60, "Clerk"));
    let mut sync = home.command(&["sync"]);
    sync.env("ROSTERD_TARGETS__JUNO__RATE", "30/s").env("ROSTERD_TARGETS__JUNO__BURST", "1");
    let mut child = sync.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    sim.wait_until("a few accounts", |log| log.iter().filter(|r| r.committed).count() > 5);
    home.run(&["state", "verify"]).exits(0);
    home.run(&["state", "backup", "copy.db"]).exits(0);
    home.run(&["state", "backup", "copy.db"]).exits(64);
    assert!(child.try_wait().expect("asked").is_none(), "the sync is still under way");
    assert!(child.wait().expect("it ends").success());
    assert_eq!(sim.users().len(), 60);
    let copied = home.run(&["--config", "config/rosterd.toml", "state", "verify"]).exits(0);
    assert!(copied.stdout.contains("sound"), "{}", copied.stdout);
}

#[test]
fn the_state_is_verified_and_copied_while_a_daemon_works() {
    let sim = Sim::with(Options { latency: Duration::from_millis(30), ..Options::default() });
    let home = Home::juno(&sim.juno());
    let text = fs::read_to_string(home.config()).expect("a configuration");
    let scheduled = text.replace("[syncs.staff]\n", "[syncs.staff]\nschedule = \"* * * * * *\"\n");
    assert_ne!(text, scheduled);
    home.write("config/rosterd.toml", &scheduled);
    home.people(&rows(0..200, "Clerk"));
    let daemon = home.start(&["run"]);
    sim.wait_until("a few accounts", |log| log.iter().filter(|r| r.committed).count() > 5);
    home.run(&["state", "verify"]).exits(0);
    home.run(&["state", "backup", "copy.db"]).exits(0);
    home.run(&["state", "info"]).exits(0);
    sim.wait_until("everybody", |log| log.iter().filter(|r| r.committed).count() == 200);
    daemon.signal("TERM");
    daemon.ends().exits(0);
    // The copy is a whole database.
    fs::copy(home.path().join("copy.db"), home.database()).expect("restored");
    home.run(&["state", "verify"]).exits(0);
}

/// Puts a copy in the database's place, as an operator would.
fn restore(home: &Home, copy: &str) {
    let database = home.path().join("state/rosterd.db");
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(home.path().join(format!("state/rosterd.db{suffix}")));
    }
    fs::copy(home.path().join(copy), database).expect("restored");
}

#[test]
fn a_restored_backup_is_compared_with_the_target_before_anything_is_sent() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    home.people(&rows(0..20, "Clerk"));
    home.run(&["sync"]).exits(0);
    home.run(&["state", "backup", "copy.db"]).exits(0);
    // Since then: somebody leaves, somebody comes, everybody is promoted, one account vanishes.
    home.people(&rows(1..21, "Chief"));
    home.run(&["sync"]).exits(0);
    restore(&home, "copy.db");
    let mark = sim.mark();
    let ran = home.run_json(&["sync"]).exits(0);
    let counts = ran.json()["runs"][0]["counts"].clone();
    // The newcomer is linked; nothing is written, because nothing is wrong on the target.
    assert_eq!(counts["adopt"]["ok"], 1, "{counts}");
    assert_eq!(sim.writes_since(mark).len(), 0, "{:?}", sim.writes_since(mark));
    assert!(ran.stderr.contains("restored from a backup of"), "{}", ran.stderr);
    assert_eq!(sim.user("E0").expect("there")["banned"], true);
    let mark = sim.mark();
    home.run(&["sync"]).exits(0);
    assert_eq!(sim.since(mark).len(), 0, "once is enough");

    // A copy by other means has no mark of its own; the number beside the database tells.
    fs::copy(home.path().join("state/rosterd.db"), home.path().join("raw.db")).expect("copied");
    home.people(&rows(1..21, "Boss"));
    home.run(&["sync"]).exits(0);
    restore(&home, "raw.db");
    let mark = sim.mark();
    home.run(&["sync"]).exits(0);
    assert_eq!((sim.committed_since(mark, Op::Create), sim.writes_since(mark).len()), (0, 0));
}
