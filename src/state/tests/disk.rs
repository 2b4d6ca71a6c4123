//! The state's promise under a disk that fails: whole commands or nothing, and no transaction left behind.

use super::*;
use rusqlite::params;

/// Writes so many kilobytes under a name.
struct Fill(&'static str, usize);

impl Command for Fill {
    type Reply = ();

    fn run(&self, db: &Db<'_>) -> Result<(), StateError> {
        let db = db.connection();
        for n in 0..self.1 {
            db.execute("INSERT INTO filled VALUES (?1, ?2, zeroblob(1000))", params![self.0, n as i64])?;
        }
        Ok(())
    }
}

/// How many kilobytes there are of each name.
struct Filled;

impl Command for Filled {
    type Reply = Vec<(String, i64)>;

    fn run(&self, db: &Db<'_>) -> Result<Self::Reply, StateError> {
        let db = db.connection();
        let mut rows = db.prepare("SELECT name, count(*) FROM filled GROUP BY name ORDER BY name")?;
        Ok(rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
    }
}

/// Sets how many pages the database may have.
struct Room(i64);

impl Command for Room {
    type Reply = i64;

    fn run(&self, db: &Db<'_>) -> Result<i64, StateError> {
        let db = db.connection();
        Ok(db.query_row(&format!("PRAGMA max_page_count = {}", self.0), [], |row| row.get(0))?)
    }
}

struct Pages;

impl Command for Pages {
    type Reply = i64;

    fn run(&self, db: &Db<'_>) -> Result<i64, StateError> {
        let db = db.connection();
        Ok(db.query_row("PRAGMA page_count", [], |row| row.get(0))?)
    }
}

async fn full_disk(state: State) {
    let some = state.ask(Pages).await.expect("counted");
    state.ask(Fill("before", 5)).await.expect("room");
    state.ask(Room(some + 20)).await.expect("set");
    let failed = state.ask(Fill("too much", 500)).await.expect_err("no room");
    assert_eq!(failed.exit(), crate::domain::exit::Exit::Io, "{failed}");
    let (a, b, c) =
        tokio::join!(state.ask(Fill("fits", 2)), state.ask(Fill("too much", 500)), state.ask(Fill("fits too", 2)));
    assert!(b.is_err());
    let mut expected = vec![("before".to_string(), 5)];
    for (result, name) in [(a, "fits"), (c, "fits too")] {
        if result.is_ok() {
            expected.push((name.into(), 2));
        }
    }
    assert_eq!(state.ask(Filled).await.expect("readable"), expected);
    state.ask(Room(1_000_000)).await.expect("set");
    state.ask(Fill("zz later", 500)).await.expect("room again");
    expected.push(("zz later".into(), 500));
    assert_eq!(state.ask(Filled).await.expect("readable"), expected);
}

/// A database with the table that is filled.
fn prepared(path: &Path) -> State {
    let state = open(path, Access::Write).expect("a state").state;
    Connection::open(path)
        .expect("a second connection")
        .execute_batch("CREATE TABLE filled (name TEXT, n INTEGER, bytes BLOB)")
        .expect("a table");
    state
}

#[tokio::test]
async fn a_full_disk_loses_what_it_refused_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a directory");
    full_disk(prepared(&dir.path().join("s.db"))).await;
    let state = State::in_memory().expect("a state");
    let Inner::Inline(db, _) = &*state.0 else { panic!("in memory") };
    db.lock().expect("sound").execute_batch("CREATE TABLE filled (name TEXT, n INTEGER, bytes BLOB)").expect("a table");
    full_disk(state).await;
}

/// Ends the transaction from within, as SQLite does on some failures of the disk.
struct GiveUp;

impl Command for GiveUp {
    type Reply = ();

    fn run(&self, db: &Db<'_>) -> Result<(), StateError> {
        let db = db.connection();
        db.execute_batch("ROLLBACK")?;
        Err(StateError::io("the disk failed"))
    }
}

#[tokio::test]
async fn a_transaction_that_is_given_up_below_takes_everybody_in_it_along_and_nobody_after() {
    let dir = tempfile::tempdir().expect("a directory");
    let state = prepared(&dir.path().join("s.db"));
    for _ in 0..50 {
        let (a, b, c) = tokio::join!(state.ask(Fill("a", 1)), state.ask(GiveUp), state.ask(Fill("c", 1)));
        assert_eq!(b.expect_err("given up").message, "the disk failed");
        let there = state.ask(Filled).await.expect("readable");
        let count = |name: &str| there.iter().find(|(n, _)| n == name).map_or(0, |(_, n)| *n);
        // What was answered is so, whichever commit each shared with whom.
        assert_eq!((count("a"), count("c")), (i64::from(a.is_ok()), i64::from(c.is_ok())));
        Connection::open(dir.path().join("s.db")).expect("it").execute_batch("DELETE FROM filled").expect("emptied");
    }
}
