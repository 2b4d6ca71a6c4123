//! A disk that fails under the real binary: it ends with 74, nothing was sent that is not journalled, and the next run
//! makes it good.

use rosterd::sandbox::Op;

use crate::kill_sweep::{PEOPLE, home, traced};
use crate::support::{Home, Sim};

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
