//! The tables, as a list of migrations that only ever grows, and the views that stay stable across versions.
//!
//! `PRAGMA user_version` counts the migrations that have been applied. People are in two tables: a narrow one in key
//! order, so that an unchanged run reads little and merges with an ordered export, and one with the bodies.

use rusqlite::Connection;

use crate::state::StateError;

/// Marks the file as ours (`PRAGMA application_id`): "rost" in ASCII.
pub const APPLICATION_ID: i32 = 0x726f_7374;

/// The schema version that this program writes.
pub const VERSION: i64 = MIGRATIONS.len() as i64;

/// Each brings the schema from its index to the next version. Never edit one that was released: append.
const MIGRATIONS: &[&str] = &[
    include_str!("0001.sql"),
    include_str!("0002.sql"),
    include_str!("0003.sql"),
    include_str!("0004.sql"),
    include_str!("0005.sql"),
    include_str!("0006.sql"),
    include_str!("0007.sql"),
    include_str!("0008.sql"),
    include_str!("0009.sql"),
    include_str!("0010.sql"),
    include_str!("0011.sql"),
    include_str!("0012.sql"),
    include_str!("0013.sql"),
    include_str!("0014.sql"),
    include_str!("0015.sql"),
    include_str!("0016.sql"),
    include_str!("0017.sql"),
    include_str!("0018.sql"),
    include_str!("0019.sql"),
];

/// Applies the migrations that are missing, all in one transaction.
pub fn migrate(db: &Connection) -> Result<(), StateError> {
    let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let Ok(done) = usize::try_from(version) else {
        return Err(StateError::damaged(format!("the state database has the impossible schema version {version}")));
    };
    if done > MIGRATIONS.len() {
        return Err(newer(version));
    }
    if done == MIGRATIONS.len() {
        return Ok(());
    }
    db.execute_batch("BEGIN IMMEDIATE")?;
    let applied = MIGRATIONS[done..].iter().try_for_each(|sql| db.execute_batch(sql)).and_then(|()| {
        db.execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; COMMIT"))
    });
    if applied.is_err() {
        let _ = db.execute_batch("ROLLBACK");
    }
    Ok(applied?)
}

/// Makes the tables of an older version.
#[cfg(test)]
pub fn of_version(db: &Connection, version: usize) {
    MIGRATIONS[..version].iter().for_each(|sql| db.execute_batch(sql).expect("an older version"));
    let mark = format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version}");
    db.execute_batch(&mark).expect("marked");
}

/// The refusal of a database from a newer program.
pub fn newer(version: i64) -> StateError {
    StateError::damaged(format!("the state database has schema version {version}, newer than this program's {VERSION}"))
        .help("use the rosterd that wrote it, or a newer one; it was not touched")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::domain::error::{Error, StateReason};
    use crate::domain::resource::Resource;
    use crate::state::Access;
    use crate::state::binding::BoundTo;
    use crate::state::lock::{Holder, SenderLock};
    use crate::state::people::CountPeople;
    use crate::state::plans::HeldPlans;
    use crate::state::syncs::{By, OfSync, TABLES};

    #[test]
    fn a_database_of_the_first_version_is_brought_up_with_everything_in_it() {
        let db = Connection::open_in_memory().expect("a database");
        db.execute_batch(MIGRATIONS[0]).expect("the first version");
        db.execute_batch(
            "PRAGMA user_version = 1;
             INSERT INTO sync VALUES (1, 'staff', 'hr', 'juno', 'juno', 'http://h', 'id', NULL);
             INSERT INTO person (sync, key, state, remote_id) VALUES (1, 'E1', 1, '7');
             INSERT INTO trusted_read VALUES ('hr', '2026-11-22T00:00:00.000Z', 1);",
        )
        .expect("older data");
        migrate(&db).expect("brought up");
        let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number");
        assert_eq!(count("PRAGMA user_version"), VERSION);
        assert_eq!(count("SELECT count(*) FROM v_users WHERE key = 'E1' AND remote_id = '7'"), 1);
        assert_eq!(count("SELECT records FROM trusted_read"), 1);
        migrate(&db).expect("once more changes nothing");
    }

    #[test]
    fn who_only_reads_reads_every_older_version_and_leaves_it_as_it_is() {
        let dir = tempfile::TempDir::with_prefix("rosterd-state-").expect("a directory");
        for version in 1..MIGRATIONS.len() {
            let path = dir.path().join(format!("{version}.db"));
            let db = Connection::open(&path).expect("a file");
            of_version(&db, version);
            db.execute_batch(
                "INSERT INTO sync (id, name, source, target, kind, base_url, source_key)
                 VALUES (1, 'staff', 'hr', 'juno', 'juno', 'http://h', 'id');
                 INSERT INTO person (sync, key, state, remote_id) VALUES (1, 'E1', 1, '7');",
            )
            .expect("older data");
            db.close().expect("closed");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("private");
            let before = std::fs::read(&path).expect("bytes");
            let state = crate::state::open(&path, Access::Read).expect("opened").state;
            let bound = state.ask_blocking(BoundTo("staff".into())).expect("an answer").expect("a binding");
            let people = state.ask_blocking(CountPeople(bound.id)).expect("an answer");
            assert_eq!((people, bound.binding.resource), (1, Resource::Users), "{version}");
            assert!(state.ask_blocking(HeldPlans).expect("a list").is_empty(), "{version}");
            let looked = crate::state::sqlite::look(&path, &CountPeople(bound.id)).expect("an answer");
            assert_eq!(looked, Some(1), "{version}");
            drop(state);
            assert_eq!(std::fs::read(&path).expect("bytes"), before, "{version}");
        }
    }

    #[test]
    fn nobody_brings_a_database_up_under_the_older_program_that_uses_it() {
        let dir = tempfile::TempDir::with_prefix("rosterd-state-").expect("a directory");
        let path = dir.path().join("rosterd.db");
        of_version(&Connection::open(&path).expect("a file"), 11);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("private");
        let version = || {
            let db = Connection::open(&path).expect("the file");
            db.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).expect("a version")
        };
        let lock = SenderLock::take_as(&path, Holder::Daemon).expect("the lock");
        let refused = crate::state::open(&path, Access::Write).expect_err("refused");
        assert_eq!((refused.error, version()), (Error::State(StateReason::SenderActive), 11));
        assert!(crate::state::open(&path, Access::Read).is_ok());
        drop(lock);
        drop(crate::state::open(&path, Access::Write).expect("nobody uses it"));
        assert_eq!(version(), VERSION);
        let _lock = SenderLock::take_as(&path, Holder::Daemon).expect("the lock");
        assert!(crate::state::open(&path, Access::Write).is_ok(), "a daemon of this version is not in the way");
    }

    #[test]
    fn the_version_of_an_export_that_an_older_program_knew_is_known_by_its_token() {
        let db = Connection::open_in_memory().expect("a database");
        MIGRATIONS[..10].iter().for_each(|sql| db.execute_batch(sql).expect("an older version"));
        db.execute_batch(
            r#"PRAGMA user_version = 10;
               INSERT INTO source_version VALUES ('a', 'hr', x'07', 'W/"v/1"', 'Sun, 22 Nov 2026 00:00:00 GMT', 5, 2),
                                                 ('b', 'hr', x'07', NULL, 'Sun, 22 Nov 2026 00:00:00 GMT', 5, 2);"#,
        )
        .expect("older data");
        migrate(&db).expect("brought up");
        let of = |sync: &str| {
            let sql = "SELECT token, records, excluded FROM source_version WHERE sync = ?1";
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            db.query_row::<(String, i64, i64), _, _>(sql, [sync], row).expect("a version")
        };
        let date = r#""last_modified":"Sun, 22 Nov 2026 00:00:00 GMT""#;
        assert_eq!(of("a"), (format!(r#"{{"etag":"W/\"v/1\"",{date}}}"#), 5, 2));
        assert_eq!(of("b"), (format!(r#"{{"etag":null,{date}}}"#), 5, 2));
    }

    #[test]
    fn a_database_with_triggers_is_brought_up_without_them() {
        let db = Connection::open_in_memory().expect("a database");
        MIGRATIONS[..11].iter().for_each(|sql| db.execute_batch(sql).expect("an older version"));
        db.execute_batch(
            "PRAGMA user_version = 11;
             INSERT INTO sync (id, name, source, target, kind, base_url, source_key)
             VALUES (1, 'staff', 'hr', 'juno', 'juno', 'http://h', 'id');
             INSERT INTO person (sync, key, state) VALUES (1, 'E1', 1);
             INSERT INTO source_version VALUES ('staff', 'hr', x'00', 1, 0, 'v1');",
        )
        .expect("older data");
        let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number");
        let triggers = "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'";
        assert_eq!(count(triggers), 4);
        migrate(&db).expect("brought up");
        assert_eq!((count(triggers), count("PRAGMA user_version")), (0, VERSION));
        assert_eq!(count("SELECT count(*) FROM source_version WHERE sync = 'staff'"), 1, "it is as good as before");
    }

    #[test]
    fn the_fields_and_the_counts_of_what_an_older_program_did_are_told_as_before() {
        let db = Connection::open_in_memory().expect("a database");
        of_version(&db, 13);
        db.execute_batch(
            r#"INSERT INTO run (id, sync, started_at, finished_at, status) VALUES ('r1', 'staff', '', '', 'partial');
               INSERT INTO outcome (ts, run, sync, source, target, key, op, status, fields, attempts, duration_ms)
               VALUES ('', 'r1', 'staff', 'hr', 'juno', 'E1', 'update', 'ok', '["title"]', 1, 1),
                      ('', 'r1', 'staff', 'hr', 'juno', 'E2', 'update', 'failed', '[]', 1, 1);"#,
        )
        .expect("older data");
        migrate(&db).expect("brought up");
        let text = |sql: &str| db.query_row(sql, [], |row| row.get::<_, String>(0)).expect("a text");
        assert_eq!(text("SELECT group_concat(fields, ' ') FROM v_outcomes"), r#"["title"] []"#);
        assert_eq!(text("SELECT created || ' ' || updated || ' ' || failed FROM run"), "0 1 1");
        assert_eq!(text("SELECT created || ' ' || updated || ' ' || failed FROM v_runs"), "0 1 1");
    }

    /// What commands know of the schema by heart.
    #[test]
    fn the_tables_that_know_a_sync_are_those_of_the_list() {
        let db = Connection::open_in_memory().expect("a database");
        migrate(&db).expect("made");
        let sql = "SELECT t.name, c.type, coalesce((
                       SELECT max(CASE WHEN i.name = 'sync' AND k.columns > 1 THEN '' ELSE i.name END)
                       FROM (SELECT l.name, (SELECT count(*) FROM pragma_index_info(l.name)) AS columns
                             FROM pragma_index_list(t.name) l WHERE l.origin = 'pk') k
                       JOIN pragma_index_info(k.name) i
                       WHERE 'sync' IN (SELECT name FROM pragma_index_info(k.name))), '')
                   FROM sqlite_schema t JOIN pragma_table_info(t.name) c
                   WHERE t.type = 'table' AND c.name = 'sync' ORDER BY t.name";
        let mut found = db.prepare(sql).expect("a query");
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let found = found.query_map([], row).expect("rows").collect::<Result<Vec<(String, String, String)>, _>>();
        let of = |of: &OfSync| {
            let by = if of.by == By::Number { "INTEGER" } else { "TEXT" };
            (of.table.to_owned(), by.to_owned(), of.once_a.unwrap_or_default().to_owned())
        };
        assert_eq!(found.expect("readable"), TABLES.iter().map(of).collect::<Vec<_>>());
    }
}
