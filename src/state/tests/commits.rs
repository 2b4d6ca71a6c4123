//! Commands that share a commit, or stand in each other's way.

use super::*;
use crate::state::people::CountUsers;

/// A command that takes its time, so that others queue up behind it.
struct Slow(std::sync::mpsc::Receiver<()>);

impl Command for Slow {
    type Reply = ();

    fn run(&self, _: &Db<'_>) -> Result<(), StateError> {
        let _ = self.0.recv();
        Ok(())
    }
}

/// The commits in a write-ahead log: the frames whose header tells the size of the database after a commit (SQLite
/// file format, section 4.1).
fn commits(wal: &[u8]) -> usize {
    let page = u32::from_be_bytes(wal[8..12].try_into().expect("four bytes")) as usize;
    wal[32..].chunks(24 + page).filter(|frame| frame[4..8] != [0; 4]).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_wait_for_the_disk_share_a_commit_and_fail_alone() {
    let place = tokio::task::spawn_blocking(Place::new).await.expect("a state");
    let wal = place.path.with_file_name("rosterd.db-wal");
    // Every tenth of them fails.
    tokio::task::block_in_place(|| place.refuse("E__9"));
    let before = commits(&std::fs::read(&wal).expect("the log"));
    let (go, wait) = std::sync::mpsc::channel();
    let state = place.state.clone();
    let slow = tokio::spawn(async move { state.ask(Slow(wait)).await });
    while std::sync::Arc::strong_count(&place.state.0) < 2 {
        tokio::task::yield_now().await;
    }
    let mut asked = Vec::new();
    for n in 0..100 {
        let id = format!("{}", n + 1);
        let settlements = vec![settlement(None, &format!("E{n:03}"), confirmed(PersonState::Active, &id))];
        let (state, sync) = (place.state.clone(), place.sync);
        asked.push(tokio::spawn(async move { state.ask(Settle { sync, settlements }).await }));
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    go.send(()).expect("it waits");
    slow.await.expect("it ends").expect("it works");
    let mut refused = 0;
    for task in asked {
        refused += usize::from(task.await.expect("it ends").is_err());
    }
    assert_eq!(refused, 10, "each alone");
    let users = tokio::task::block_in_place(|| place.count("v_users"));
    assert_eq!(users, 90);
    let made = commits(&std::fs::read(&wal).expect("the log")) - before;
    assert!((1..=10).contains(&made), "100 commands took {made} commits");
}

#[test]
fn whoever_only_looks_is_answered_at_once_and_whoever_writes_when_it_is_durable() {
    let place = Place::new();
    let (state, sync) = (place.state.clone(), place.sync);
    let ((begin, begins), (go, last_waits)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
    let first = state.begin(Slow(begins)).expect("handed over");
    let looking = state.begin(CountUsers(sync)).expect("handed over");
    let settlements = vec![settlement(None, "E1", confirmed(PersonState::Active, "1"))];
    let writing = state.begin(Settle { sync, settlements }).expect("handed over");
    let after_writing = state.begin(CountUsers(sync)).expect("handed over");
    let last = state.begin(Slow(last_waits)).expect("handed over");
    // They share a transaction, which the last one keeps open.
    begin.send(()).expect("it waits");
    let (looked, has_looked) = std::sync::mpsc::channel();
    let watching = std::thread::spawn(move || {
        let in_time = has_looked.recv_timeout(std::time::Duration::from_secs(60)).is_ok();
        go.send(()).expect("it waits");
        in_time
    });
    first.wait().expect("it works");
    assert_eq!(looking.wait().expect("a number"), 0);
    let Pending::Posted(mut writing) = writing else { panic!("it has a thread") };
    assert!(writing.try_recv().is_err(), "nothing is durable yet");
    let Pending::Posted(mut after_writing) = after_writing else { panic!("it has a thread") };
    assert!(after_writing.try_recv().is_err(), "it saw what is not durable yet");
    looked.send(()).expect("it is watched");
    assert!(watching.join().expect("it ends"), "whoever looks waited for the others");
    writing.blocking_recv().expect("answered").expect("it works");
    assert_eq!(after_writing.blocking_recv().expect("answered").expect("a number"), 1);
    last.wait().expect("it works");
}

#[test]
fn whoever_hears_of_success_can_rely_on_it() {
    // Not merely handed to the kernel: the commit is on disk (synchronous FULL) when the answer comes.
    let place = Place::new();
    struct Synchronous;
    impl Command for Synchronous {
        type Reply = (i64, String);
        fn run(&self, db: &Db<'_>) -> Result<Self::Reply, StateError> {
            let db = db.connection();
            let level = db.query_row("PRAGMA synchronous", [], |row| row.get(0))?;
            Ok((level, db.query_row("PRAGMA journal_mode", [], |row| row.get(0))?))
        }
    }
    assert_eq!(place.ask(Synchronous), (2, "wal".to_string()));
}

/// Looks first and writes afterwards, while somebody else tries to write in between.
#[derive(Debug)]
struct LookAndWrite(PathBuf);

impl Command for LookAndWrite {
    type Reply = bool;

    fn run(&self, db: &Db<'_>) -> Result<bool, StateError> {
        let db = db.connection();
        let _: i64 = db.query_row("SELECT count(*) FROM sync", [], |row| row.get(0))?;
        let other = Connection::open(&self.0)?;
        other.busy_timeout(std::time::Duration::ZERO)?;
        let came_between = other.execute("UPDATE epoch SET n = n + 1", []).is_ok();
        db.execute("UPDATE epoch SET n = n + 1", [])?;
        Ok(came_between)
    }
}

#[test]
fn nobody_writes_between_a_command_s_look_and_its_write() {
    let place = Place::new();
    assert!(!place.ask(LookAndWrite(place.path.clone())), "the other has to wait");
}
