//! A disk that fails under the real binary: it ends with 74, nothing was sent that is not journalled, and the next run
//! makes it good.

use std::process::Command;

use rosterd::sandbox::Op;

use crate::kill_sweep::{PEOPLE, home, traced};
use crate::support::{Home, Sim, skipped};

/// Runs a sync in which these system calls on these files fail, then one on a disk that works.
fn failing(sim: &Sim, home: &Home, files: &[&str], inject: &str) -> Option<i32> {
    let mark = sim.mark();
    let mut arguments = vec!["-e".to_string(), format!("inject={inject}")];
    for file in files {
        arguments.extend(["-P".into(), home.path().join(file).display().to_string()]);
    }
    let (code, log) = traced(home, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    if code != Some(74) {
        eprintln!("{inject}: {log}");
    }
    home.run(&["state", "verify"]).exits(0);
    home.run(&["sync"]).exits(0);
    // Whatever was sent and is not in the journal would be made a second time, or be found by luck alone.
    assert_eq!(sim.users().len(), PEOPLE as usize, "{inject}");
    assert_eq!(sim.committed_since(mark, Op::Create), PEOPLE as usize, "{inject}");
    code
}

#[test]
fn a_full_disk_ends_with_74_and_nothing_is_lost() {
    let sim = Sim::start();
    for from in [1, 20, 80] {
        sim.clear();
        let home = home(&sim);
        let inject = format!("pwrite64:error=ENOSPC:when={from}+");
        assert_eq!(failing(&sim, &home, &["state/rosterd.db-wal"], &inject), Some(74), "from write {from} on");
    }
}

#[test]
fn a_disk_that_can_not_sync_ends_with_74_and_nothing_is_lost() {
    let sim = Sim::start();
    for from in [1, 4] {
        sim.clear();
        let home = home(&sim);
        let inject = format!("fsync,fdatasync:error=EIO:when={from}+");
        assert_eq!(failing(&sim, &home, &["state/rosterd.db-wal"], &inject), Some(74), "from sync {from} on");
    }
}

#[test]
fn a_state_that_can_not_be_written_ends_with_74_before_anything_is_sent() {
    let sim = Sim::start();
    let home = home(&sim);
    home.run(&["sync"]).exits(0);
    home.write("config/hr.csv", "employee_id,first_name,last_name,email,phone,title,city,status\n");
    let mark = sim.mark();
    let files = ["state/rosterd.db", "state/rosterd.db-wal", "state/rosterd.db-journal"];
    let mut arguments = vec!["-e".to_string(), "inject=openat:error=EROFS".to_string()];
    for file in files {
        arguments.extend(["-P".into(), home.path().join(file).display().to_string()]);
    }
    let (code, _) = traced(&home, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(code, Some(74));
    assert_eq!(sim.writes_since(mark).len(), 0);
}

#[test]
fn a_state_that_can_not_be_read_stops_it_before_anything_is_sent() {
    let sim = Sim::start();
    let home = home(&sim);
    home.run(&["sync"]).exits(0);
    let people = std::fs::read_to_string(home.path().join("config/hr.csv")).expect("the source");
    home.write("config/hr.csv", &people.replace("Clerk", "Chef"));
    let mark = sim.mark();
    let file = home.path().join("state/rosterd.db").display().to_string();
    for from in [1, 3, 6] {
        let inject = format!("inject=pread64:error=EIO:when={from}+");
        let (code, log) = traced(&home, &["-e", &inject, "-P", &file]);
        // What a disk can't read, SQLite takes for damage once a statement is under way.
        assert!(matches!(code, Some(70 | 74)), "from read {from} on: {code:?} {log}");
    }
    assert_eq!(sim.writes_since(mark).len(), 0);
    home.run(&["state", "verify"]).exits(0);
    home.run(&["sync"]).exits(0);
    assert_eq!(sim.committed_since(mark, Op::Update), PEOPLE as usize);
}

/// Runs a script in a mount namespace of its own, where `state/` is a file system of so many bytes; its output. Nothing
/// where that is not permitted.
fn on_a_disk_of(size: &str, home: &Home, script: &str) -> Option<String> {
    let sync = home.command(&["sync"]);
    let arguments: Vec<String> = sync.get_args().map(|a| format!("'{}'", a.display())).collect();
    let whole = format!(
        "mkdir -m 700 state && mount -t tmpfs -o size={size},mode=700 tmpfs state && echo mounted\n\
         sync() {{ '{}' {} >/dev/null 2>last; echo \"sync $?\"; }}\n{script}",
        sync.get_program().display(),
        arguments.join(" ")
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-uc", &whole]).current_dir(home.path());
    for (name, value) in sync.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = command.output().ok()?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    match told.strip_prefix("mounted\n") {
        Some(told) => Some(told.to_string()),
        None => {
            skipped(&format!("no file system can be mounted here: {}", String::from_utf8_lossy(&output.stderr)));
            None
        }
    }
}

#[test]
fn a_small_file_system_that_fills_up_loses_nothing_and_a_read_only_one_is_not_sent_from() {
    let sim = Sim::start();
    for size in ["300k", "500k", "800k"] {
        sim.clear();
        let (home, mark) = (home(&sim), sim.mark());
        home.write("config/none.csv", "employee_id,first_name,last_name,email,phone,title,city,status\n");
        let script = "sync\nmount -o remount,size=64m state\nsync\n\
                      cp config/none.csv config/hr.csv\nmount -o remount,ro state\nsync";
        let Some(told) = on_a_disk_of(size, &home, script) else { return };
        assert_eq!(told, "sync 74\nsync 0\nsync 74\n", "{size}");
        assert_eq!(sim.users().len(), PEOPLE as usize, "{size}");
        assert_eq!(sim.committed_since(mark, Op::Create), PEOPLE as usize, "{size}: made twice");
        assert_eq!(sim.committed_since(mark, Op::Ban), 0, "{size}");
    }
}
