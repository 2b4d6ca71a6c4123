//! Syncs as a whole: what is kept under a name that the configuration no longer has is moved to another, or erased.
//!
//! A table knows a sync by its number or by its name, in a column `sync`: [`TABLES`] has them all.

use super::db::args;
use super::people_writer::PeopleWriter;
use super::{Command, Db, StateError};
use crate::domain::ids::SyncId;
use crate::domain::target_identity::TargetIdentity;

/// What takes the place of a name in the ledger, as when a single person is forgotten.
const FORGOTTEN: &str = "(forgotten)";

/// How a table knows a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// By its number.
    Number,
    /// By its name.
    Name,
}

/// A table that knows a sync, in its column `sync`.
#[derive(Debug)]
pub(super) struct OfSync {
    /// Its name.
    pub table: &'static str,
    /// How it knows the sync.
    pub by: By,
    /// The column that tells its rows of one sync apart, which are unique by it; `sync` where there is one row a sync.
    pub once_a: Option<&'static str>,
}

/// All tables that know a sync. A test compares them with the schema.
pub(super) const TABLES: [OfSync; 11] = [
    OfSync { table: "announced", by: By::Name, once_a: Some("sync") },
    OfSync { table: "body", by: By::Number, once_a: Some("key") },
    OfSync { table: "former_key", by: By::Name, once_a: None },
    OfSync { table: "journal", by: By::Number, once_a: None },
    OfSync { table: "outcome", by: By::Name, once_a: None },
    OfSync { table: "person", by: By::Number, once_a: Some("key") },
    OfSync { table: "plan", by: By::Name, once_a: None },
    OfSync { table: "reconciled", by: By::Name, once_a: None },
    OfSync { table: "run", by: By::Name, once_a: None },
    OfSync { table: "source_version", by: By::Name, once_a: Some("sync") },
    OfSync { table: "undo", by: By::Number, once_a: None },
];

/// The tables that know a sync in this way.
fn tables(by: By) -> impl Iterator<Item = &'static OfSync> {
    TABLES.iter().filter(move |of| of.by == by)
}

/// The number of a sync, how many people it knows and how many of them have access.
fn find(db: &Db<'_>, name: &str) -> Result<Option<(SyncId, u64, u64)>, StateError> {
    let row = db.one(
        "SELECT id, (SELECT count(*) FROM person WHERE sync = s.id AND state > 0),
                    (SELECT count(*) FROM person WHERE sync = s.id AND state IN (1, 3))
             FROM sync s WHERE name = ?1 AND target <> ''",
        args![name],
        |row| Ok((row.get(0)?, row.get::<i64>(1)?, row.get::<i64>(2)?)),
    )?;
    Ok(row.map(|(id, people, users)| (id, people.unsigned_abs(), users.unsigned_abs())))
}

/// How many operations of a sync have no answer yet.
fn open_operations(db: &Db<'_>, sync: SyncId) -> Result<u64, StateError> {
    let count: i64 = db.row("SELECT count(*) FROM journal WHERE sync = ?1", args![sync], |r| r.get(0))?;
    Ok(count.unsigned_abs())
}

/// What renaming came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renamed {
    /// Done.
    Done {
        /// How many people moved.
        people: u64,
        /// Of those, who is active or invited.
        users: u64,
    },
    /// Nothing is kept under the old name.
    Unknown,
    /// Others are known under the new name already.
    Taken {
        /// How many.
        people: u64,
        /// How many operations without an answer.
        unresolved: u64,
    },
}

/// Moves everything that is kept of a sync to another name: people, journal, ledger, plans. Only the holder of the
/// sender's lock may ask for it.
///
/// A sync that ran under its new name before this has taken up whom it found; who is known under both names, by the same
/// key and account, is known once then, and what was seen last counts.
#[derive(Debug)]
pub struct RenameSync {
    /// The name that it has.
    pub old: String,
    /// The name that it gets.
    pub new: String,
}

impl Command for RenameSync {
    type Reply = Renamed;

    fn run(&self, db: &Db<'_>) -> Result<Renamed, StateError> {
        let (old, new) = (&self.old, &self.new);
        let Some((id, mut people, mut users)) = find(db, old)? else { return Ok(Renamed::Unknown) };
        let mut kept = id;
        if let Some((taken, there, _)) = find(db, new)? {
            let unresolved = open_operations(db, taken)?;
            let empty = there + unresolved == 0;
            if !empty && !are_the_same(db, id, taken)? {
                return Ok(Renamed::Taken { people: there, unresolved });
            }
            // What was planned without the people who come now gives way to what was planned with them.
            db.execute("UPDATE plan SET status = 'superseded' WHERE sync = ?1 AND status = 'held'", args![new])?;
            if empty {
                // Whoever paused the new name meant this sync.
                db.execute(
                    "UPDATE sync SET paused_at = coalesce(paused_at, (SELECT paused_at FROM sync WHERE id = ?2))
                     WHERE id = ?1",
                    args![id, taken],
                )?;
                erase_rows(db, taken)?;
            } else {
                (people, users) = merge(db, id, taken)?;
                kept = taken;
            }
        }
        db.execute("UPDATE sync SET name = ?2 WHERE id = ?1", args![kept, new])?;
        for OfSync { table, once_a, .. } in tables(By::Name) {
            // Of what there is once a sync, that of the people stays.
            if once_a.is_some() {
                let other = format!(
                    "DELETE FROM {table} WHERE sync = ?2 AND EXISTS (SELECT 1 FROM {table} o WHERE o.sync = ?1)"
                );
                db.execute(&other, args![old, new])?;
            }
            db.execute(&format!("UPDATE {table} SET sync = ?2 WHERE sync = ?1"), args![old, new])?;
        }
        db.execute("UPDATE request SET subject = ?2 WHERE kind = 'trigger' AND subject = ?1", args![old, new])?;
        // The version of the export was that of another configuration.
        db.execute("DELETE FROM source_version WHERE sync = ?1", args![new])?;
        Ok(Renamed::Done { people, users })
    }
}

/// Whether two syncs know the same people: on one platform, with accounts in common, none of them under two keys, and
/// nobody with two accounts.
fn are_the_same(db: &Db<'_>, old: SyncId, new: SyncId) -> Result<bool, StateError> {
    let base_url = |id: SyncId| -> Result<String, StateError> {
        db.row("SELECT base_url FROM sync WHERE id = ?1", args![id], |row| row.get(0))
    };
    if !TargetIdentity::parse(&base_url(old)?).is_one_with(&TargetIdentity::parse(&base_url(new)?)) {
        return Ok(false);
    }
    let count = |on: &str| -> Result<i64, StateError> {
        let sql = format!("SELECT count(*) FROM person o JOIN person n ON o.sync = ?1 AND n.sync = ?2 AND {on}");
        db.row(&sql, args![old, new], |row| row.get(0))
    };
    let common = count("o.remote_id = n.remote_id AND o.key = n.key")?;
    let two_keys = count("o.remote_id = n.remote_id AND o.key <> n.key")?;
    let two_accounts = count("o.key = n.key AND o.remote_id <> n.remote_id")?;
    Ok(common > 0 && two_keys + two_accounts == 0)
}

/// Puts the people of one sync to those of another that is the same; how many came, and how many of those have access.
fn merge(db: &Db<'_>, old: SyncId, new: SyncId) -> Result<(u64, u64), StateError> {
    // Somebody of whom the new name knows a record alone, such as a leaver who is out of scope, has an account.
    let people = PeopleWriter::of(db, new);
    for table in ["body", "person"] {
        people.execute(
            &format!(
                "DELETE FROM {table} WHERE sync = ?2 AND key IN (
                     SELECT n.key FROM person n JOIN person o ON o.key = n.key
                     WHERE n.sync = ?2 AND n.state = 0 AND o.sync = ?1 AND o.state > 0)"
            ),
            args![old, new],
        )?;
    }
    let count = |sql: &str| -> Result<u64, StateError> {
        let sql = format!(
            "SELECT count(*) FROM person o WHERE o.sync = ?1 AND o.state {sql}
             AND NOT EXISTS (SELECT 1 FROM person n WHERE n.sync = ?2 AND n.key = o.key)"
        );
        Ok(db.row(&sql, args![old, new], |row| row.get::<i64>(0))?.unsigned_abs())
    };
    let moved = (count("> 0")?, count("IN (1, 3)")?);
    for OfSync { table, once_a, .. } in tables(By::Number) {
        // Who is known under both names stays as the new one knows them.
        let but = once_a.map_or_else(String::new, |column| {
            format!("AND NOT EXISTS (SELECT 1 FROM {table} n WHERE n.sync = ?2 AND n.{column} = {table}.{column})")
        });
        people.execute(&format!("UPDATE {table} SET sync = ?2 WHERE sync = ?1 {but}"), args![old, new])?;
    }
    erase_rows(db, old)?;
    Ok(moved)
}

/// Removes a sync's row and everything that hangs on its number.
fn erase_rows(db: &Db<'_>, sync: SyncId) -> Result<(), StateError> {
    let people = PeopleWriter::of(db, sync);
    for OfSync { table, .. } in tables(By::Number) {
        people.execute(&format!("DELETE FROM {table} WHERE sync = ?1"), args![sync])?;
    }
    db.execute("DELETE FROM sync WHERE id = ?1", args![sync])?;
    Ok(())
}

/// What forgetting a sync came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForgottenSync {
    /// The target's name, as it was called.
    pub target: String,
    /// How many people were erased.
    pub people: u64,
    /// Of those, whose account is active or invited as far as was known: it stays so.
    pub users: u64,
    /// Operations that never had an answer.
    pub unresolved: u64,
    /// Rows of the ledger that named somebody.
    pub outcomes: u64,
    /// Held plans that were dropped.
    pub plans: u64,
}

/// Erases what is kept of a sync and its people. The ledger's rows stay, without the people; nothing is kept under a
/// name that is `None`. Only the holder of the sender's lock may ask for it.
#[derive(Debug)]
pub struct ForgetSync(pub String);

impl Command for ForgetSync {
    type Reply = Option<ForgottenSync>;

    fn run(&self, db: &Db<'_>) -> Result<Self::Reply, StateError> {
        let name = &self.0;
        let Some((id, people, users)) = find(db, name)? else { return Ok(None) };
        let unresolved = open_operations(db, id)?;
        let target = db.row("SELECT target FROM sync WHERE id = ?1", args![id], |row| row.get(0))?;
        erase_rows(db, id)?;
        let outcomes = db.execute(
            "UPDATE outcome SET key = NULL, remote_id = NULL, reason = CASE WHEN reason IS NULL THEN NULL ELSE ?2 END,
                    error_message = CASE WHEN error_kind IS NULL THEN NULL ELSE ?2 END
             WHERE sync = ?1 AND (key IS NOT NULL OR remote_id IS NOT NULL OR reason IS NOT NULL)",
            args![name.as_str(), FORGOTTEN],
        )?;
        db.execute("DELETE FROM plan_operation WHERE plan IN (SELECT id FROM plan WHERE sync = ?1)", args![name])?;
        let plans =
            db.execute("UPDATE plan SET status = 'discarded' WHERE sync = ?1 AND status = 'held'", args![name])?;
        for table in ["plan", "run"] {
            let sql = format!("UPDATE {table} SET reason = ?2 WHERE sync = ?1 AND reason IS NOT NULL");
            db.execute(&sql, args![name.as_str(), FORGOTTEN])?;
        }
        for column in ["said", "error_message"] {
            let sql = format!("UPDATE run SET {column} = ?2 WHERE sync = ?1 AND {column} IS NOT NULL");
            db.execute(&sql, args![name.as_str(), FORGOTTEN])?;
        }
        db.execute("DELETE FROM request WHERE kind = 'trigger' AND subject = ?1", args![name])?;
        db.execute(
            "DELETE FROM request WHERE kind = 'approve' AND subject IN (SELECT id FROM plan WHERE sync = ?1)",
            args![name],
        )?;
        // What is neither ledger nor plan is of no use without the people.
        let of_no_use = tables(By::Name).filter(|of| !matches!(of.table, "outcome" | "run" | "plan"));
        for OfSync { table, .. } in of_no_use {
            db.execute(&format!("DELETE FROM {table} WHERE sync = ?1"), args![name])?;
        }
        Ok(Some(ForgottenSync { target, people, users, unresolved, outcomes, plans }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State;

    #[derive(Debug)]
    struct Sql<T>(String, fn(&Db<'_>, &str) -> Result<T, StateError>);

    impl<T: Send + 'static> Command for Sql<T> {
        type Reply = T;

        fn run(&self, db: &Db<'_>) -> Result<T, StateError> {
            (self.1)(db, &self.0)
        }
    }

    fn run(state: &State, sql: &str) {
        let sql = Sql(sql.into(), |db, sql| Ok(db.connection().execute_batch(sql)?));
        state.ask_blocking(sql).expect("carried out");
    }

    /// The rows that have this name in a column `sync`, by table.
    fn named(state: &State, name: &str) -> String {
        let all = Sql(name.into(), |db, name| {
            let mut found = Vec::new();
            for OfSync { table, .. } in tables(By::Name) {
                let sql = format!("SELECT count(*) FROM {table} WHERE sync = ?1");
                let count: i64 = db.row(&sql, args![name], |row| row.get(0))?;
                found.extend((count > 0).then(|| format!("{table} {count}")));
            }
            Ok(found.join(", "))
        });
        state.ask_blocking(all).expect("counted")
    }

    fn count(state: &State, sql: &str) -> i64 {
        state.ask_blocking(Sql(sql.into(), |db, sql| db.row(sql, args![], |row| row.get(0)))).expect("a number")
    }

    /// A sync with a person, and something in every table that knows it by name.
    fn sync(state: &State, id: i64, name: &str, people: bool) {
        run(
            state,
            &format!(
                "INSERT INTO sync (id, name, source, target, kind, base_url, source_key)
                 VALUES ({id}, '{name}', 'hr', 'juno', 'juno', 'https://a.example/', 'id');
                 INSERT INTO run (id, sync, started_at, reason) VALUES ('r{id}', '{name}', '', 'E1 and others');
                 INSERT INTO outcome (ts, run, sync, source, target, key, status, fields, attempts, duration_ms, reason)
                 VALUES ('', 'r{id}', '{name}', 'hr', 'juno', 'E1', 'ok', '[]', 1, 1, 'because of E1');
                 INSERT INTO plan (id, sync, run, made_at, held_by, count, allowed, counts, status)
                 VALUES ('p{id}', '{name}', 'r{id}', '', 'ban', 1, 0, '{{}}', 'held');
                 INSERT INTO plan_operation (plan, seq, digest, operation) VALUES ('p{id}', 1, x'00', '{{}}');
                 INSERT INTO announced VALUES ('{name}', 'held', '');
                 INSERT INTO request (kind, subject, by_whom, at) VALUES ('trigger', '{name}', 'ann', '');"
            ),
        );
        if people {
            run(
                state,
                &format!(
                    "INSERT INTO person (sync, key, state, remote_id) VALUES ({id}, 'E1', 1, '7'), ({id}, 'E2', 2, '8');
                     INSERT INTO body (sync, key, attributes, confirmed_at) VALUES ({id}, 'E1', '{{}}', '');
                     INSERT INTO undo VALUES ('r{id}', {id}, 'E1', 'create', '7', '{{}}');"
                ),
            );
        }
        run(state, &format!("INSERT OR REPLACE INTO source_version VALUES ('{name}', 'hr', x'00', 1, 0, 'v1');"));
    }

    #[test]
    fn everything_of_a_sync_moves_to_its_new_name() {
        let state = State::in_memory().expect("a state");
        sync(&state, 1, "staff", true);
        sync(&state, 2, "people", false);
        let rename = |old: &str, new: &str| {
            state.ask_blocking(RenameSync { old: old.into(), new: new.into() }).expect("an answer")
        };
        assert_eq!(rename("nobody", "people"), Renamed::Unknown);
        assert_eq!(rename("staff", "people"), Renamed::Done { people: 2, users: 1 });
        assert_eq!(named(&state, "staff"), "");
        assert_eq!(named(&state, "people"), "announced 1, outcome 2, plan 2, run 2");
        assert_eq!(count(&state, "SELECT count(*) FROM v_users WHERE sync = 'people'"), 2);
        assert_eq!(count(&state, "SELECT count(*) FROM plan WHERE status = 'held' AND id = 'p1'"), 1);
        assert_eq!(count(&state, "SELECT count(*) FROM plan WHERE status = 'held'"), 1);
        assert_eq!(count(&state, "SELECT count(*) FROM request WHERE subject = 'people'"), 2);
        assert_eq!(count(&state, "SELECT count(*) FROM undo"), 1);
        assert_eq!(rename("staff", "people"), Renamed::Unknown);
    }

    #[test]
    fn a_name_of_other_people_is_not_taken() {
        for (difference, same) in [
            ("UPDATE person SET key = 'X' || key WHERE sync = 2", false),
            ("UPDATE person SET remote_id = '1' || remote_id WHERE sync = 2", false),
            ("UPDATE sync SET base_url = 'https://b.example' WHERE id = 2", false),
            ("UPDATE person SET remote_id = '9' WHERE sync = 2 AND key = 'E2'", false),
            ("UPDATE sync SET base_url = 'https://A.example' WHERE id = 2", true),
            ("DELETE FROM person WHERE sync = 2 AND key = 'E2'", true),
        ] {
            let state = State::in_memory().expect("a state");
            sync(&state, 1, "staff", true);
            sync(&state, 2, "people", true);
            run(&state, difference);
            let there = count(&state, "SELECT count(*) FROM person WHERE sync = 2").unsigned_abs();
            let renamed = state.ask_blocking(RenameSync { old: "staff".into(), new: "people".into() });
            let refused = Renamed::Taken { people: there, unresolved: 0 };
            assert_eq!(renamed.expect("an answer") != refused, same, "{difference}");
            assert_eq!(count(&state, "SELECT count(*) FROM sync"), if same { 1 } else { 2 }, "{difference}");
        }
    }

    #[test]
    fn who_was_taken_up_under_the_new_name_already_is_known_once() {
        let state = State::in_memory().expect("a state");
        sync(&state, 1, "staff", true);
        // E3 left: of them, the new name knows a record that is out of scope. E4 came meanwhile.
        sync(&state, 2, "people", true);
        run(
            &state,
            "INSERT INTO person (sync, key, state, remote_id) VALUES (1, 'E3', 1, '9'), (1, 'E5', 1, '10');
             INSERT INTO body (sync, key, attributes, confirmed_at) VALUES (1, 'E3', '{\"a\": 1}', '');
             INSERT INTO person (sync, key, state, standing) VALUES (2, 'E3', 0, 2);
             INSERT INTO person (sync, key, state, remote_id) VALUES (2, 'E4', 1, '11');
             DELETE FROM undo;
             INSERT INTO journal (run, sync, key, intended_at, operation) VALUES ('r1', 1, 'E3', '', '{}');",
        );
        let renamed = state.ask_blocking(RenameSync { old: "staff".into(), new: "people".into() });
        assert_eq!(renamed.expect("an answer"), Renamed::Done { people: 2, users: 2 });
        let rows = Sql(String::new(), |db, _| {
            let sql = "SELECT group_concat(sync || key || ifnull(remote_id, ''), ' ') FROM (SELECT * FROM v_users ORDER BY key)";
            db.row(sql, args![], |row| row.get::<String>(0))
        });
        let users = state.ask_blocking(rows).expect("users");
        assert_eq!(users, "peopleE17 peopleE28 peopleE39 peopleE411 peopleE510");
        assert_eq!(count(&state, "SELECT count(*) FROM body WHERE key = 'E3' AND sync = 2"), 1);
        assert_eq!(count(&state, "SELECT count(*) FROM journal WHERE sync = 2"), 1);
        assert_eq!(count(&state, "SELECT count(*) FROM sync"), 1);
    }

    #[test]
    fn of_a_forgotten_sync_the_ledger_stays_without_the_people() {
        let state = State::in_memory().expect("a state");
        sync(&state, 1, "staff", true);
        run(&state, "INSERT INTO journal (run, sync, key, intended_at, operation) VALUES ('r1', 1, 'E1', '', '{}')");
        sync(&state, 2, "other", true);
        let forgotten = state.ask_blocking(ForgetSync("staff".into())).expect("an answer").expect("it was known");
        let expected =
            ForgottenSync { target: "juno".into(), people: 2, users: 1, unresolved: 1, outcomes: 1, plans: 1 };
        assert_eq!(forgotten, expected);
        assert_eq!(named(&state, "staff"), "outcome 1, plan 1, run 1");
        for table in ["person", "body", "undo", "journal"] {
            assert_eq!(count(&state, &format!("SELECT count(*) FROM {table} WHERE sync = 1")), 0, "{table}");
        }
        assert_eq!(count(&state, "SELECT count(*) FROM outcome WHERE key = 'E1' OR reason LIKE '%E1%'"), 1, "other's");
        assert_eq!(count(&state, "SELECT count(*) FROM v_users WHERE sync = 'other'"), 2);
        assert_eq!(state.ask_blocking(ForgetSync("staff".into())).expect("an answer"), None);
    }
}
