//! Looking after the state: verified and copied while a sync runs, and what a restored backup leads to.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use rosterd::sandbox::{Op, Options};

use crate::support::{Home, Ran, Sim};

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
    let aside = fs::metadata(home.path().join("state/rosterd.db-wal")).map_or(0, |m| m.len());
    assert_eq!(aside, 0, "everything is in the one file");
    // The copy is a whole database.
    restore(&home, "copy.db");
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

/// Copies a directory of files.
fn copy_all(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir(to).expect("made");
    fs::set_permissions(to, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("its mode");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}

#[test]
fn a_directory_that_was_put_back_whole_is_noticed_and_one_that_was_moved_is_not_suspected() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    let (state, saved) = (home.path().join("state"), home.path().join("saved"));
    home.people(&rows(0..20, "Clerk"));
    home.run(&["sync"]).exits(0);
    copy_all(&state, &saved);
    home.people(&rows(1..21, "Chief"));
    let ran = home.run(&["sync"]).exits(0);
    assert!(!ran.stderr.contains("restored"), "{}", ran.stderr);
    fs::remove_dir_all(&state).expect("removed");
    copy_all(&saved, &state);
    let mark = sim.mark();
    let ran = home.run_json(&["sync"]).exits(0);
    assert!(ran.stderr.contains("restored"), "{}", ran.stderr);
    assert_eq!(ran.json()["runs"][0]["counts"]["adopt"]["ok"], 1, "{}", ran.stdout);
    assert_eq!(sim.writes_since(mark).len(), 0, "{:?}", sim.writes_since(mark));
    let ran = home.run(&["sync"]).exits(0);
    assert!(!ran.stderr.contains("restored"), "once is enough: {}", ran.stderr);

    // On another machine there is no mark, and none is missed.
    let moved = Home::juno(&sim.juno());
    copy_all(&state, &moved.path().join("state"));
    moved.people(&rows(1..21, "Chief"));
    let ran = moved.run(&["sync"]).exits(0);
    assert!(!ran.stderr.contains("restored"), "{}", ran.stderr);
    // Where nothing can be kept outside of the directory, nothing is missed either.
    let mut blind = home.command(&["sync"]);
    fs::create_dir(home.path().join("empty")).expect("made");
    blind.env("XDG_RUNTIME_DIR", "/nonexistent").env("TMPDIR", home.path().join("empty"));
    let ran = Ran::of(&blind.output().expect("it runs")).exits(0);
    assert!(!ran.stderr.contains("restored"), "{}", ran.stderr);
}

#[test]
fn of_two_copies_in_use_the_one_that_is_behind_compares_first() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    home.people(&rows(0..5, "Clerk"));
    home.run(&["sync"]).exits(0);
    copy_all(&home.path().join("state"), &home.path().join("twin"));
    home.people(&rows(0..5, "Chief"));
    home.run(&["sync"]).exits(0);
    let mark = sim.mark();
    let mut twin = home.command(&["sync"]);
    twin.env("ROSTERD_STATE__PATH", home.path().join("twin/rosterd.db"));
    let ran = Ran::of(&twin.output().expect("it runs")).exits(0);
    assert!(ran.stderr.contains("restored"), "{}", ran.stderr);
    assert_eq!(sim.writes_since(mark).len(), 0, "what the other one wrote is found there");
}

#[test]
fn state_restore_puts_a_backup_in_place_and_has_it_compared() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    home.people(&rows(0..20, "Clerk"));
    home.run(&["sync"]).exits(0);
    home.run(&["state", "backup", "copy.db"]).exits(0);
    fs::copy(home.path().join("state/rosterd.db"), home.path().join("raw.db")).expect("copied by other means");
    for backup in ["copy.db", "raw.db"] {
        home.people(&rows(1..21, "Chief"));
        home.run(&["sync"]).exits(0);
        let told = home.run_json(&["state", "restore", backup]).exits(0).json();
        assert_eq!(told["users"], 20, "{told}");
        assert_eq!(told["backup_at"].is_string(), backup == "copy.db", "{told}");
        let kept = told["kept"].as_str().expect("the old one is kept").to_string();
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&kept).expect("there").permissions());
        assert_eq!(mode & 0o777, 0o600);
        fs::remove_file(kept).expect("removed");
        let mark = sim.mark();
        let ran = home.run_json(&["sync"]).exits(0);
        assert_eq!(ran.json()["runs"][0]["counts"]["adopt"]["ok"], 1, "{}", ran.stdout);
        assert_eq!(sim.writes_since(mark).len(), 0, "{:?}", sim.writes_since(mark));
    }
    // Even with nothing else that tells: what `restore` marks is compared.
    fs::remove_file(home.path().join("state/rosterd.db.epoch")).expect("removed");
    home.run(&["state", "restore", "copy.db"]).exits(0);
    assert_eq!(home.query("SELECT min(stale) FROM sync")[0][0], 1);
}

#[test]
fn what_is_no_backup_is_refused_and_the_state_stays_as_it_is() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    home.people(&rows(0..3, "Clerk"));
    home.run(&["sync"]).exits(0);
    home.run(&["state", "backup", "copy.db"]).exits(0);
    home.write("text.db", "this is no database, whatever it is called");
    home.write("empty.db", "");
    let whole = fs::read(home.path().join("copy.db")).expect("there");
    fs::write(home.path().join("half.db"), &whole[..whole.len() / 2]).expect("written");
    rusqlite::Connection::open(home.path().join("other.db"))
        .and_then(|db| db.execute_batch("CREATE TABLE t (x)"))
        .expect("one");
    for (file, code) in [("text.db", 70), ("empty.db", 70), ("half.db", 70), ("other.db", 70), ("none.db", 64)] {
        home.run(&["state", "restore", file]).exits(code);
    }
    home.run(&["state", "restore", "state/rosterd.db"]).exits(64);
    let lock = rosterd::state::lock::SenderLock::take(&home.database()).expect("free");
    home.run(&["state", "restore", "copy.db"]).exits(75);
    drop(lock);
    let left: Vec<String> = fs::read_dir(home.path().join("state"))
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains("restore") || name.contains("before"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
    let mark = sim.mark();
    home.run(&["sync"]).exits(0);
    assert_eq!(sim.writes_since(mark).len(), 0);
    home.run(&["state", "verify"]).exits(0);
}
