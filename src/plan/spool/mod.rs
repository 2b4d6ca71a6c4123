//! A plan in the making, on disk: a million operations fit in no memory, and a dry run leaves no trace.
//!
//! The spool is SQLite's own temporary database: private to this process, kept in memory while it is small, and gone
//! when it is closed or the process dies. It has nothing to do with the state database.

mod lookalikes;
mod operations;

use rusqlite::{Connection, params};

use crate::domain::catalogue::Catalogue;
use crate::domain::label::LabelFields;
use crate::domain::operation::Operation;
use crate::domain::planned::Planned;
use crate::domain::record::Key;
use crate::state::StateError;
use crate::state::people::Note;

use crate::account::lookup::{LookupValues, Newcomer};
use crate::domain::remote_id::RemoteId;
pub use lookalikes::{Leaver, Pair, Side};
use operations::WrittenOperation;

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
    pub(super) db: Connection,
    /// The target's fields of which no two accounts have the same value.
    unique: Vec<String>,
    /// By what people are named.
    label: LabelFields,
}

const TABLES: &str = "
    PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -8000; PRAGMA temp_store = FILE;
    -- weight: see Weight; hands: see hands. label: of a create it is told by what it writes.
    CREATE TABLE operation (wave INTEGER, key TEXT, kind TEXT, weight TEXT, hands INTEGER, digest BLOB, body TEXT,
                            label TEXT, PRIMARY KEY (wave, key)) WITHOUT ROWID;
    CREATE TABLE skip (key TEXT PRIMARY KEY, reason TEXT) WITHOUT ROWID;
    CREATE TABLE reject (n INTEGER PRIMARY KEY, key TEXT, line INTEGER, record INTEGER, reason TEXT);
    CREATE TABLE note (n INTEGER PRIMARY KEY, key TEXT, note TEXT);
    CREATE TABLE newcomer (key TEXT PRIMARY KEY, sought TEXT, weight TEXT, hands INTEGER, digest BLOB, body TEXT) WITHOUT ROWID;
    CREATE TABLE remark (key TEXT PRIMARY KEY, why TEXT) WITHOUT ROWID;
    CREATE TABLE withheld (key TEXT PRIMARY KEY, body TEXT) WITHOUT ROWID;
    CREATE TABLE kept (key TEXT PRIMARY KEY, remote_id TEXT, fields TEXT) WITHOUT ROWID;
    CREATE TABLE claim (remote_id TEXT PRIMARY KEY, key TEXT) WITHOUT ROWID;
    CREATE TABLE handover (field TEXT, value TEXT, key TEXT, gives INTEGER, PRIMARY KEY (field, value, gives, key)) WITHOUT ROWID;
";

impl Spool {
    /// An empty spool for operations on accounts with this catalogue.
    ///
    /// # Errors
    /// The temporary directory can't be used.
    pub fn new(catalogue: &Catalogue, label: &LabelFields) -> Result<Spool, StateError> {
        let db = Connection::open("")?;
        db.set_prepared_statement_cache_capacity(64);
        crate::state::plan_statements_once(&db)?;
        db.execute_batch(TABLES)?;
        db.execute_batch(lookalikes::TABLES)?;
        db.execute_batch("BEGIN")?;
        let unique = catalogue.fields.iter().filter(|(_, field)| field.unique).map(|(name, _)| name.clone()).collect();
        Ok(Spool { db, unique, label: label.clone() })
    }

    /// An empty spool for operations on the same accounts.
    ///
    /// # Errors
    /// As [`Spool::new`].
    pub(super) fn like(other: &Spool) -> Result<Spool, StateError> {
        Ok(Spool { unique: other.unique.clone(), ..Spool::new(&Catalogue::default(), &other.label)? })
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
    pub fn newcomer(&self, newcomer: Newcomer) -> Result<(), StateError> {
        let Newcomer { create, sought } = newcomer;
        // Written as it is added to the plan when nobody is found.
        let WrittenOperation { key, weight, hands, digest, body, .. } = self.written_form(&create.into())?;
        self.db.prepare_cached("INSERT OR REPLACE INTO newcomer VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(params![
            key.as_str(),
            serde_json::to_string(&sought)?,
            weight,
            hands,
            digest,
            body
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
                "INSERT OR REPLACE INTO operation (wave, key, kind, weight, hands, digest, body)
                 SELECT ?2, key, 'create', weight, hands, digest, body FROM newcomer WHERE key = ?1",
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
}

/// A key as it was spooled. Nobody may be left out in silence, whatever happened to the file.
fn person(text: &str) -> Result<Key, StateError> {
    Key::parse(text).ok_or_else(|| StateError::damaged("the spool holds an empty key"))
}

/// How many rows are in memory at once while a spool is read.
pub const PAGE: usize = 500;
