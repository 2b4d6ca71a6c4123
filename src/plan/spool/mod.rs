//! A plan in the making, on disk: a million operations fit in no memory, and a dry run leaves no trace.
//!
//! The spool is SQLite's own temporary database: private to this process, kept in memory while it is small, and gone
//! when it is closed or the process dies. It has nothing to do with the state database.

mod lookalikes;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};

use crate::domain::keyset::pages;
use crate::domain::operation::Operation;
use crate::domain::planned::Planned;
use crate::domain::record::Key;
use crate::state::StateError;
use crate::state::people::Note;

use crate::account::lookup::{LookupValues, Newcomer};
use crate::domain::remote_id::RemoteId;
pub use lookalikes::{Leaver, Pair, Side};

/// A newcomer to be looked up: who, by what, and why they are in doubt.
pub type NewcomerRow = (Key, LookupValues, Option<String>);

/// A unique value that one person gives up and another takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    /// The field.
    pub field: String,
    /// Who gives it up.
    pub giver: Key,
    /// Who takes it.
    pub taker: Key,
}

/// Somebody of whose account the target keeps fields otherwise than they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptByTarget {
    /// Who.
    pub key: Key,
    /// The account.
    pub remote_id: RemoteId,
    /// The fields, in the order of names.
    pub fields: Vec<String>,
}

/// The wave of what takes access, and that of everything else, until they are put in order.
pub const BANS: u32 = 0;

/// See [`BANS`].
pub const REST: u32 = 1;

/// A plan in the making.
#[derive(Debug)]
pub struct Spool {
    db: Connection,
}

const TABLES: &str = "
    PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -8000; PRAGMA temp_store = FILE;
    CREATE TABLE operation (wave INTEGER, key TEXT, kind TEXT, plain INTEGER, digest BLOB, body TEXT,
                            PRIMARY KEY (wave, key)) WITHOUT ROWID;
    CREATE TABLE skip (key TEXT PRIMARY KEY, reason TEXT) WITHOUT ROWID;
    CREATE TABLE reject (n INTEGER PRIMARY KEY, key TEXT, line INTEGER, record INTEGER, reason TEXT);
    CREATE TABLE note (n INTEGER PRIMARY KEY, key TEXT, note TEXT);
    CREATE TABLE newcomer (key TEXT PRIMARY KEY, sought TEXT, digest BLOB, body TEXT) WITHOUT ROWID;
    CREATE TABLE remark (key TEXT PRIMARY KEY, why TEXT) WITHOUT ROWID;
    CREATE TABLE withheld (key TEXT PRIMARY KEY, body TEXT) WITHOUT ROWID;
    CREATE TABLE kept (key TEXT PRIMARY KEY, remote_id TEXT, fields TEXT) WITHOUT ROWID;
    CREATE TABLE claim (remote_id TEXT PRIMARY KEY, key TEXT) WITHOUT ROWID;
    CREATE TABLE handover (field TEXT, value TEXT, key TEXT, gives INTEGER, PRIMARY KEY (field, value, gives, key)) WITHOUT ROWID;
";

impl Spool {
    /// An empty spool.
    ///
    /// # Errors
    /// The temporary directory can't be used.
    pub fn new() -> Result<Spool, StateError> {
        let db = Connection::open("")?;
        db.set_prepared_statement_cache_capacity(64);
        crate::state::plan_statements_once(&db)?;
        db.execute_batch(TABLES)?;
        db.execute_batch(lookalikes::TABLES)?;
        db.execute_batch("BEGIN")?;
        Ok(Spool { db })
    }

    /// Adds an operation in the wave of its kind, or replaces the one that the person has there.
    pub fn add(&self, operation: &Planned) -> Result<(), StateError> {
        self.add_to(if operation.kind.takes_access() { BANS } else { REST }, operation)
    }

    /// Adds an operation in this wave, or replaces the one that the person has there.
    pub fn add_to(&self, wave: u32, operation: &Planned) -> Result<(), StateError> {
        self.db
            .prepare_cached(
                "INSERT OR REPLACE INTO operation (wave, key, kind, plain, digest, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                wave,
                operation.key.as_str(),
                operation.kind.name(),
                operation.is_plain_create(),
                operation.digest(),
                serde_json::to_string(operation)?
            ])?;
        Ok(())
    }

    /// The operations that follow this place, in the order in which they are sent.
    pub fn operations(&self, after: Option<&Operation>, limit: usize) -> Result<Vec<Planned>, StateError> {
        self.page(after, limit, spooled)
    }

    /// All operations, page by page in that order.
    pub fn pages(&self) -> impl Iterator<Item = Result<Vec<Planned>, StateError>> {
        pages(|after| self.operations(after, PAGE), |planned: &Planned| Operation::clone(planned))
    }

    /// The same, each with the JSON in which it was spooled.
    pub fn written(&self, after: Option<&Operation>, limit: usize) -> Result<Vec<(Planned, String)>, StateError> {
        self.page(after, limit, |row| Ok((spooled(row)?, row.get(1)?)))
    }

    fn page<T>(
        &self,
        after: Option<&Operation>,
        limit: usize,
        one: impl Fn(&Row<'_>) -> Result<T, StateError>,
    ) -> Result<Vec<T>, StateError> {
        let (wave, key) = after.map_or((-1, ""), |o| (i64::from(o.wave), o.key.as_str()));
        let mut statement = self.db.prepare_cached(
            "SELECT wave, body FROM operation WHERE (wave, key) > (?1, ?2) ORDER BY wave, key LIMIT ?3",
        )?;
        let mut rows = statement.query(params![wave, key, limit as i64])?;
        let mut page = Vec::new();
        while let Some(row) = rows.next()? {
            page.push(one(row)?);
        }
        Ok(page)
    }

    /// Calls `visit` with each operation's digest, in order; and with the operation itself, unless it is a plain create.
    pub fn weigh(&self, mut visit: impl FnMut([u8; 32], Option<Planned>)) -> Result<(), StateError> {
        let mut statement =
            self.db.prepare_cached("SELECT wave, iif(plain, NULL, body), digest FROM operation ORDER BY wave, key")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let plain = row.get_ref(1)? == ValueRef::Null;
            visit(row.get(2)?, if plain { None } else { Some(spooled(row)?) });
        }
        Ok(())
    }

    /// Moves the operations that take access to this wave.
    pub fn move_bans(&self, wave: u32) -> Result<(), StateError> {
        self.db.prepare_cached("UPDATE operation SET wave = ?2 WHERE wave = ?1")?.execute([BANS, wave])?;
        Ok(())
    }

    /// Moves one person's operation to this wave, whichever it was in.
    pub fn move_to_wave(&self, key: &Key, wave: u32) -> Result<(), StateError> {
        self.db
            .prepare_cached("UPDATE operation SET wave = ?2 WHERE key = ?1")?
            .execute(params![key.as_str(), wave])?;
        Ok(())
    }

    /// Whether any operation is on an account that is there: a plan of nothing but creates gives nothing up.
    pub fn touches_accounts(&self) -> Result<bool, StateError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM operation WHERE kind <> 'create')";
        Ok(self.db.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    /// Drops every operation whose key and digest are not approved; returns how many were dropped.
    pub fn retain(&self, keep: impl Fn(&Planned) -> bool) -> Result<u64, StateError> {
        let mut dropped = 0;
        for page in self.pages() {
            for operation in page?.iter().filter(|o| !keep(o)) {
                self.db
                    .prepare_cached("DELETE FROM operation WHERE wave = ?1 AND key = ?2")?
                    .execute(params![operation.wave, operation.key.as_str()])?;
                dropped += 1;
            }
        }
        Ok(dropped)
    }

    /// Somebody is deliberately left alone.
    pub fn skip(&self, key: &Key, reason: &str) -> Result<(), StateError> {
        self.db.prepare_cached("INSERT OR REPLACE INTO skip VALUES (?1, ?2)")?.execute([key.as_str(), reason])?;
        Ok(())
    }

    /// Who is left alone, in key order.
    pub fn skips(&self, after: &str, limit: usize) -> Result<Vec<(Key, String)>, StateError> {
        self.reasons("SELECT key, reason FROM skip WHERE key > ?1 ORDER BY key LIMIT ?2", after, limit)
    }

    /// Whether this person is left alone: skipped, or rejected.
    pub fn is_left_alone(&self, key: &Key) -> Result<bool, StateError> {
        let sql = "SELECT 1 FROM skip WHERE key = ?1 UNION ALL SELECT 1 FROM reject WHERE key = ?1";
        Ok(self.db.prepare_cached(sql)?.exists([key.as_str()])?)
    }

    fn reasons(&self, sql: &str, after: &str, limit: usize) -> Result<Vec<(Key, String)>, StateError> {
        let mut statement = self.db.prepare_cached(sql)?;
        let rows = statement
            .query_map(params![after, limit as i64], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
        let mut skips = Vec::new();
        for row in rows {
            let (key, reason) = row?;
            skips.push((person(&key)?, reason));
        }
        Ok(skips)
    }

    /// Something is left as it is, for which no outcome is due.
    pub fn remark(&self, key: &Key, why: &str) -> Result<(), StateError> {
        self.db.prepare_cached("INSERT OR REPLACE INTO remark VALUES (?1, ?2)")?.execute([key.as_str(), why])?;
        Ok(())
    }

    /// What is left as it is, in key order.
    pub fn remarks(&self, after: &str, limit: usize) -> Result<Vec<(Key, String)>, StateError> {
        self.reasons("SELECT key, why FROM remark WHERE key > ?1 ORDER BY key LIMIT ?2", after, limit)
    }

    /// A record that can't be used.
    pub fn reject(&self, reject: &crate::domain::record::Reject) -> Result<(), StateError> {
        self.db.prepare_cached("INSERT INTO reject (key, line, record, reason) VALUES (?1, ?2, ?3, ?4)")?.execute(
            params![
                reject.key.as_ref().map(Key::as_str),
                reject.position.line as i64,
                reject.position.record as i64,
                reject.reason
            ],
        )?;
        Ok(())
    }

    /// The rejected records, in the source's order.
    pub fn rejects(
        &self,
        after: (u64, u64, i64),
        limit: usize,
    ) -> Result<Vec<(i64, crate::domain::record::Reject)>, StateError> {
        let mut statement = self.db.prepare_cached(
            "SELECT n, key, line, record, reason FROM reject WHERE (line, record, n) > (?1, ?2, ?3)
             ORDER BY line, record, n LIMIT ?4",
        )?;
        let rows = statement.query_map(params![after.0 as i64, after.1 as i64, after.2, limit as i64], |row| {
            let position = crate::domain::record::Position {
                line: row.get::<_, i64>(2)?.unsigned_abs(),
                record: row.get::<_, i64>(3)?.unsigned_abs(),
            };
            let key = row.get::<_, Option<String>>(1)?.and_then(|k| Key::parse(&k));
            Ok((row.get(0)?, crate::domain::record::Reject { key, position, reason: row.get(4)? }))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Something to remember of a person, should this plan be carried out.
    pub fn note(&self, key: &Key, note: &Note) -> Result<(), StateError> {
        self.db
            .prepare_cached("INSERT INTO note (key, note) VALUES (?1, ?2)")?
            .execute([key.as_str(), &serde_json::to_string(note)?])?;
        Ok(())
    }

    /// The notes, in the order in which they were taken.
    pub fn notes(&self, after: i64, limit: usize) -> Result<Vec<(i64, Key, Note)>, StateError> {
        let mut statement = self.db.prepare_cached("SELECT n, key, note FROM note WHERE n > ?1 ORDER BY n LIMIT ?2")?;
        let rows = statement.query_map(params![after, limit as i64], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
        })?;
        let mut notes = Vec::new();
        for row in rows {
            let (n, key, note) = row?;
            notes.push((n, person(&key)?, serde_json::from_str(&note)?));
        }
        Ok(notes)
    }

    /// Somebody to be looked up.
    pub fn newcomer(&self, newcomer: &Newcomer) -> Result<(), StateError> {
        let Newcomer { create, sought } = newcomer;
        self.db.prepare_cached("INSERT OR REPLACE INTO newcomer VALUES (?1, ?2, ?3, ?4)")?.execute(params![
            create.key.as_str(),
            serde_json::to_string(sought)?,
            create.digest(),
            serde_json::to_string(create)?
        ])?;
        Ok(())
    }

    /// How many are to be looked up.
    pub fn newcomer_count(&self) -> Result<u64, StateError> {
        let count: i64 = self.db.query_row("SELECT count(*) FROM newcomer", [], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// Who is to be looked up, in key order, by what, and why they are in doubt, if they are.
    pub fn newcomers(&self, after: &str, limit: usize) -> Result<Vec<NewcomerRow>, StateError> {
        let mut statement = self.db.prepare_cached(
            "SELECT key, sought, why FROM newcomer LEFT JOIN doubt USING (key) WHERE key > ?1 ORDER BY key LIMIT ?2",
        )?;
        let mut rows = statement.query(params![after, limit as i64])?;
        let mut newcomers = Vec::new();
        while let Some(row) = rows.next()? {
            let sought = serde_json::from_str(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?;
            newcomers.push((person(&row.get::<_, String>(0)?)?, sought, row.get(2)?));
        }
        Ok(newcomers)
    }

    /// The create that follows when a newcomer is not found.
    pub fn create_of(&self, key: &Key) -> Result<Operation, StateError> {
        let mut statement = self.db.prepare_cached("SELECT body FROM newcomer WHERE key = ?1")?;
        let body: String = statement.query_row([key.as_str()], |row| row.get(0))?;
        Ok(serde_json::from_str(&body)?)
    }

    /// A newcomer was not found: adds their create as it is.
    pub fn provision(&self, key: &Key) -> Result<(), StateError> {
        self.db
            .prepare_cached(
                "INSERT OR REPLACE INTO operation (wave, key, kind, plain, digest, body)
                 SELECT ?2, key, 'create', 1, digest, body FROM newcomer WHERE key = ?1",
            )?
            .execute(params![key.as_str(), REST])?;
        Ok(())
    }

    /// An operation that would be planned if the person were not left alone; for the report of a reconcile.
    pub fn withhold(&self, operation: &Planned) -> Result<(), StateError> {
        self.db
            .prepare_cached("INSERT OR REPLACE INTO withheld VALUES (?1, ?2)")?
            .execute([operation.key.as_str(), &serde_json::to_string(operation)?])?;
        Ok(())
    }

    /// What was withheld, in key order.
    pub fn withheld(&self, after: &str, limit: usize) -> Result<Vec<Planned>, StateError> {
        let mut statement = self.db.prepare_cached("SELECT body FROM withheld WHERE key > ?1 ORDER BY key LIMIT ?2")?;
        let rows = statement.query_map(params![after, limit as i64], |row| row.get::<_, String>(0))?;
        let mut operations = Vec::new();
        for row in rows {
            operations.push(serde_json::from_str(&row?)?);
        }
        Ok(operations)
    }

    /// The target keeps these fields otherwise than they were written; for the report of a reconcile.
    pub fn keep(&self, key: &Key, remote_id: &RemoteId, fields: &[String]) -> Result<(), StateError> {
        self.db.prepare_cached("INSERT OR REPLACE INTO kept VALUES (?1, ?2, ?3)")?.execute([
            key.as_str(),
            remote_id.as_str(),
            &serde_json::to_string(fields)?,
        ])?;
        Ok(())
    }

    /// What the target keeps, in key order.
    pub fn kept(&self, after: &str, limit: usize) -> Result<Vec<KeptByTarget>, StateError> {
        let mut statement =
            self.db.prepare_cached("SELECT key, remote_id, fields FROM kept WHERE key > ?1 ORDER BY key LIMIT ?2")?;
        let mut rows = statement.query(params![after, limit as i64])?;
        let mut page = Vec::new();
        while let Some(row) = rows.next()? {
            page.push(KeptByTarget {
                key: person(&row.get::<_, String>(0)?)?,
                remote_id: row.get::<_, String>(1)?.into(),
                fields: serde_json::from_str(&row.get::<_, String>(2)?)?,
            });
        }
        Ok(page)
    }

    /// Notes that a newcomer would adopt this account; tells who else would already.
    pub fn claim(&self, remote_id: &RemoteId, key: &Key) -> Result<Option<Key>, StateError> {
        self.db
            .prepare_cached("INSERT OR IGNORE INTO claim VALUES (?1, ?2)")?
            .execute([remote_id.as_str(), key.as_str()])?;
        let holder: String = self
            .db
            .prepare_cached("SELECT key FROM claim WHERE remote_id = ?1")?
            .query_row([remote_id.as_str()], |row| row.get(0))?;
        Ok(Some(person(&holder)?).filter(|holder| holder != key))
    }

    /// A unique value that an operation gives up, or takes.
    pub fn handover(&self, field: &str, value: &str, key: &Key, gives: bool) -> Result<(), StateError> {
        self.db.prepare_cached("INSERT OR IGNORE INTO handover VALUES (?1, ?2, ?3, ?4)")?.execute(params![
            field,
            value,
            key.as_str(),
            gives
        ])?;
        Ok(())
    }

    /// The unique values that change hands within the plan, in key order of giver and taker.
    pub fn handovers(&self) -> Result<Vec<Handover>, StateError> {
        let mut statement = self.db.prepare_cached(
            "SELECT DISTINCT field, g.key, t.key FROM handover g JOIN handover t USING (field, value)
             WHERE g.gives = 1 AND t.gives = 0 AND g.key <> t.key ORDER BY 2, 3, 1",
        )?;
        let rows =
            statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?)))?;
        let mut handovers = Vec::new();
        for row in rows {
            let (field, giver, taker): (String, _, _) = row?;
            handovers.push(Handover { field, giver: person(&giver)?, taker: person(&taker)? });
        }
        Ok(handovers)
    }

    /// The operation on this person, if the plan has one.
    pub fn operation_of(&self, key: &Key) -> Result<Option<Planned>, StateError> {
        self.one("SELECT wave, body FROM operation WHERE key = ?1 ORDER BY wave LIMIT 1", key)
    }

    /// The operation on this person without the steps towards it.
    pub fn last_operation_of(&self, key: &Key) -> Result<Option<Planned>, StateError> {
        self.one("SELECT wave, body FROM operation WHERE key = ?1 ORDER BY wave DESC LIMIT 1", key)
    }

    fn one(&self, sql: &str, key: &Key) -> Result<Option<Planned>, StateError> {
        let mut statement = self.db.prepare_cached(sql)?;
        let mut rows = statement.query([key.as_str()])?;
        rows.next()?.map(spooled).transpose()
    }

    /// Makes looking up by key cheap; called once, when all operations are there.
    pub fn index(&self) -> Result<(), StateError> {
        Ok(self.db.execute_batch("CREATE INDEX IF NOT EXISTS operation_key ON operation (key)")?)
    }
}

/// A key as it was spooled. Nobody may be left out in silence, whatever happened to the file.
fn person(text: &str) -> Result<Key, StateError> {
    Key::parse(text).ok_or_else(|| StateError::damaged("the spool holds an empty key"))
}

/// An operation as it was spooled, in the wave to which it was moved since.
fn spooled(row: &Row<'_>) -> Result<Planned, StateError> {
    let mut planned: Planned = serde_json::from_str(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?;
    planned.wave = row.get(0)?;
    Ok(planned)
}

/// How many rows are in memory at once while a spool is read.
pub const PAGE: usize = 500;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::operation::{Change, OpKind};
    use crate::domain::outcome::{ErrorKind, OpError};

    fn operation(kind: OpKind, key: &str) -> Operation {
        let mut operation = Operation::new(kind, Key::parse(key).expect("a key"), None);
        operation.fields.insert("title".into(), Change { old: Value::Null, new: json!("Clerk") });
        operation
    }

    #[test]
    fn what_is_weighed_is_what_was_spooled_and_only_plain_creates_go_unread() {
        let spool = Spool::new().expect("a spool");
        let conflict = OpError::new(ErrorKind::Conflict, "two candidates");
        let refused = Planned::Conflict(operation(OpKind::Create, "E2"), conflict);
        for operation in [refused, operation(OpKind::Update, "E3").into(), operation(OpKind::Ban, "E4").into()] {
            spool.add(&operation).expect("added");
        }
        for create in [operation(OpKind::Create, "E1"), operation(OpKind::Create, "E5")] {
            let sought = LookupValues { key_value: None, matches: Vec::new(), protected: false };
            let key = create.key.clone();
            spool.newcomer(&Newcomer { create, sought }).expect("spooled");
            spool.provision(&key).expect("added");
        }
        let all = spool.operations(None, 9).expect("a page");
        assert_eq!(all.iter().map(|o| o.key.as_str()).collect::<Vec<_>>(), ["E4", "E1", "E2", "E3", "E5"]);
        let (mut digests, mut read) = (Vec::new(), Vec::new());
        let weigh = spool.weigh(|digest, operation| {
            digests.push(digest);
            read.extend(operation.map(|operation| operation.key.to_string()));
        });
        weigh.expect("weighed");
        assert_eq!(digests, all.iter().map(Planned::digest).collect::<Vec<_>>());
        assert_eq!(read, ["E4", "E2", "E3"]);
    }
}
