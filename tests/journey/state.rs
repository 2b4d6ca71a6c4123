//! The state database: made private, refused when it is damaged or newer, and never replaced.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::support::{Stage, people};

#[test]
fn it_is_made_for_its_owner_alone() {
    let stage = Stage::loaded(&people(1, 2));
    let mode = |path: &str| fs::metadata(stage.home.path().join(path)).expect(path).permissions().mode() & 0o777;
    assert_eq!(mode("state"), 0o700);
    for entry in fs::read_dir(stage.home.path().join("state")).expect("the directory") {
        let name = entry.expect("an entry").file_name().into_string().expect("text");
        assert_eq!(mode(&format!("state/{name}")), 0o600, "{name}");
    }
}

/// A database that can't be used: 70 from everything that would open it, and not a byte of it changes.
#[track_caller]
fn refused(stage: &Stage, what: &str) {
    let before = fs::read(stage.home.database()).expect("the file");
    let mark = stage.sim.mark();
    for command in
        [&["sync"][..], &["plan"], &["status"], &["plans"], &["outcomes"], &["state", "verify"], &["approve", "x"]]
    {
        let ran = stage.home.run(command).exits(70);
        assert!(ran.stderr.contains("error: "), "{what}: {}", ran.stderr);
    }
    assert_eq!(fs::read(stage.home.database()).expect("the file"), before, "{what}: it was touched");
    assert_eq!(stage.sim.since(mark), [], "{what}");
}

#[test]
fn a_damaged_or_foreign_database_is_refused_and_left_as_it_is() {
    let stage = Stage::loaded(&people(1, 3));
    let whole = fs::read(stage.home.database()).expect("the file");
    let foreign = {
        let path = stage.home.path().join("foreign.db");
        let db = rusqlite::Connection::open(&path).expect("a database");
        db.execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)").expect("a table");
        drop(db);
        fs::read(path).expect("the file")
    };
    let mut smashed = whole.clone();
    smashed[100..].iter_mut().for_each(|byte| *byte ^= 0x5a);
    let cases: [(&str, Vec<u8>); 5] = [
        ("truncated to nothing", Vec::new()),
        ("cut off in its head", whole[..10].to_vec()),
        ("garbage", b"this is not a database at all, but a text file that somebody saved here".to_vec()),
        ("another program's", foreign),
        ("smashed behind its head", smashed),
    ];
    for (what, bytes) in cases {
        fs::write(stage.home.database(), bytes).expect("written");
        refused(&stage, what);
    }
    fs::write(stage.home.database(), whole).expect("written");
    stage.nothing_left_to_do();
}

#[test]
fn a_database_is_whole_in_its_one_file_after_a_run() {
    let stage = Stage::loaded(&people(1, 3));
    assert!(!fs::exists(format!("{}-wal", stage.home.database().display())).expect("a look"), "copying it is enough");
    // Pages of a database that is gone are not played into its successor.
    let before = fs::read(stage.home.database()).expect("the file");
    let reader = rusqlite::Connection::open(stage.home.database()).expect("the database");
    reader.query_row("SELECT count(*) FROM person", [], |row| row.get::<_, i64>(0)).expect("a count");
    stage.sync(&people(1, 5), 0);
    let wal = format!("{}-wal", stage.home.database().display());
    let left = fs::read(&wal).expect("a reader keeps it from being folded in");
    drop(reader);
    fs::remove_file(stage.home.database()).expect("it was there");
    fs::write(&wal, left).expect("left behind");
    stage.sync(&people(1, 4), 0);
    assert_eq!(stage.home.query("SELECT count(*) FROM v_users")[0][0], 4);
    stage.home.run(&["state", "verify"]).exits(0);
    assert_ne!(fs::read(stage.home.database()).expect("the file"), before);
}

#[test]
fn a_database_of_a_newer_version_is_refused_and_left_as_it_is() {
    let stage = Stage::loaded(&people(1, 3));
    {
        let db = rusqlite::Connection::open(stage.home.database()).expect("the database");
        db.execute_batch("PRAGMA user_version = 99").expect("set");
    }
    refused(&stage, "newer");
    let ran = stage.home.run(&["sync"]).exits(70);
    assert!(ran.stderr.contains("99") && ran.stderr.contains("newer"), "{}", ran.stderr);
}

#[test]
fn info_and_verify_tell_how_it_is() {
    let stage = Stage::loaded(&people(1, 3));
    let info = stage.home.run_json(&["state", "info"]).exits(0).json();
    assert_eq!(
        (&info["users"], &info["outcomes"], &info["schema"]),
        (&json!(3), &json!(3), &json!(rosterd::state::SCHEMA_VERSION))
    );
    let path = std::path::Path::new(info["path"].as_str().expect("a path"));
    assert_eq!(path.canonicalize().ok(), stage.home.database().canonicalize().ok());
    assert!(info["bytes"].as_u64().is_some_and(|n| n > 4096) && info["sqlite"].is_string(), "{info}");
    assert_eq!(stage.home.run_json(&["state", "verify"]).exits(0).json()["ok"], json!(true));
    let missing = Stage::new();
    missing.home.run(&["state", "info"]).exits(69);
}
