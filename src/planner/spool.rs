//! A plan in the making, on disk: a million operations fit in no memory, and a dry run leaves no trace.
//!
//! The spool is SQLite's own temporary database: private to this process, kept in memory while it is small, and gone
//! when it is closed or the process dies. It has nothing to do with the state database.

use rusqlite::{Connection, OptionalExtension, params};

use crate::plan::Operation;
use crate::record::Key;
use crate::state::StateError;
use crate::state::people::Note;
use crate::target::{Account, AccountState};

/// Someone without an account that we know of, to be looked up before anything is created.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// The create that follows when nobody is found.
    pub create: Operation,
    /// What the target's key field would hold.
    pub key_value: Option<String>,
    /// The folded values by which an existing account is recognised, by field.
    pub matches: Vec<(String, String)>,
    /// They may be linked, and nothing may be written.
    pub protected: bool,
}

/// A plan in the making.
#[derive(Debug)]
pub struct Spool {
    db: Connection,
}

const TABLES: &str = "
    PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -8000; PRAGMA temp_store = FILE;
    CREATE TABLE operation (wave INTEGER, key TEXT, n INTEGER, kind TEXT, body TEXT, PRIMARY KEY (wave, key, n)) WITHOUT ROWID;
    CREATE TABLE skip (key TEXT PRIMARY KEY, reason TEXT) WITHOUT ROWID;
    CREATE TABLE reject (n INTEGER PRIMARY KEY, key TEXT, line INTEGER, record INTEGER, reason TEXT);
    CREATE TABLE note (n INTEGER PRIMARY KEY, key TEXT, note TEXT);
    CREATE TABLE newcomer (key TEXT PRIMARY KEY, body TEXT) WITHOUT ROWID;
    CREATE TABLE listed (remote_id TEXT PRIMARY KEY, key TEXT, state INTEGER, attributes TEXT) WITHOUT ROWID;
    CREATE INDEX listed_key ON listed (key) WHERE key IS NOT NULL;
    CREATE TABLE listed_match (field TEXT, value TEXT, remote_id TEXT, PRIMARY KEY (field, value, remote_id)) WITHOUT ROWID;
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
        db.execute_batch(TABLES)?;
        db.execute_batch("BEGIN")?;
        Ok(Spool { db })
    }

    /// Adds an operation, or replaces one of the same wave and person.
    pub fn add(&self, operation: &Operation) -> Result<(), StateError> {
        self.db
            .prepare_cached("INSERT OR REPLACE INTO operation (wave, key, n, kind, body) VALUES (?1, ?2, 0, ?3, ?4)")?
            .execute(params![
                operation.wave,
                operation.key.as_str(),
                operation.kind.name(),
                serde_json::to_string(operation)?
            ])?;
        Ok(())
    }

    /// The operations that follow this place, in the order in which they are sent.
    pub fn operations(&self, after: Option<&Operation>, limit: usize) -> Result<Vec<Operation>, StateError> {
        let (wave, key) = after.map_or((-1, ""), |o| (i64::from(o.wave), o.key.as_str()));
        let mut statement = self
            .db
            .prepare_cached("SELECT body FROM operation WHERE (wave, key) > (?1, ?2) ORDER BY wave, key LIMIT ?3")?;
        let rows = statement.query_map(params![wave, key, limit as i64], |row| row.get::<_, String>(0))?;
        let mut operations = Vec::new();
        for row in rows {
            operations.push(serde_json::from_str(&row?)?);
        }
        Ok(operations)
    }

    /// Moves one operation to another wave.
    pub fn move_to_wave(&self, operation: &Operation, wave: u32) -> Result<(), StateError> {
        let moved = Operation { wave, ..operation.clone() };
        self.db
            .prepare_cached("UPDATE operation SET wave = ?3, body = ?4 WHERE wave = ?1 AND key = ?2")?
            .execute(params![operation.wave, operation.key.as_str(), wave, serde_json::to_string(&moved)?])?;
        Ok(())
    }

    /// Drops every operation whose key and digest are not approved; returns how many were dropped.
    pub fn retain(&self, keep: impl Fn(&Operation) -> bool) -> Result<u64, StateError> {
        let mut dropped = 0;
        let mut last: Option<Operation> = None;
        loop {
            let page = self.operations(last.as_ref(), PAGE)?;
            let Some(end) = page.last().cloned() else { return Ok(dropped) };
            for operation in page.iter().filter(|o| !keep(o)) {
                self.db
                    .prepare_cached("DELETE FROM operation WHERE wave = ?1 AND key = ?2")?
                    .execute(params![operation.wave, operation.key.as_str()])?;
                dropped += 1;
            }
            last = Some(end);
        }
    }

    /// Somebody is deliberately left alone.
    pub fn skip(&self, key: &Key, reason: &str) -> Result<(), StateError> {
        self.db.prepare_cached("INSERT OR REPLACE INTO skip VALUES (?1, ?2)")?.execute([key.as_str(), reason])?;
        Ok(())
    }

    /// Who is left alone, in key order.
    pub fn skips(&self, after: &str, limit: usize) -> Result<Vec<(Key, String)>, StateError> {
        let mut statement =
            self.db.prepare_cached("SELECT key, reason FROM skip WHERE key > ?1 ORDER BY key LIMIT ?2")?;
        let rows = statement
            .query_map(params![after, limit as i64], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
        let mut skips = Vec::new();
        for row in rows {
            let (key, reason) = row?;
            skips.extend(Key::parse(&key).map(|key| (key, reason)));
        }
        Ok(skips)
    }

    /// A record that can't be used.
    pub fn reject(&self, reject: &crate::record::Reject) -> Result<(), StateError> {
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
    ) -> Result<Vec<(i64, crate::record::Reject)>, StateError> {
        let mut statement = self.db.prepare_cached(
            "SELECT n, key, line, record, reason FROM reject WHERE (line, record, n) > (?1, ?2, ?3)
             ORDER BY line, record, n LIMIT ?4",
        )?;
        let rows = statement.query_map(params![after.0 as i64, after.1 as i64, after.2, limit as i64], |row| {
            let position = crate::record::Position {
                line: row.get::<_, i64>(2)?.unsigned_abs(),
                record: row.get::<_, i64>(3)?.unsigned_abs(),
            };
            let key = row.get::<_, Option<String>>(1)?.and_then(|k| Key::parse(&k));
            Ok((row.get(0)?, crate::record::Reject { key, position, reason: row.get(4)? }))
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
            if let Some(key) = Key::parse(&key) {
                notes.push((n, key, serde_json::from_str(&note)?));
            }
        }
        Ok(notes)
    }

    /// Somebody to be looked up.
    pub fn newcomer(&self, newcomer: &Newcomer) -> Result<(), StateError> {
        let body =
            serde_json::to_string(&(&newcomer.create, &newcomer.key_value, &newcomer.matches, newcomer.protected))?;
        self.db
            .prepare_cached("INSERT OR REPLACE INTO newcomer VALUES (?1, ?2)")?
            .execute([newcomer.create.key.as_str(), &body])?;
        Ok(())
    }

    /// How many are to be looked up.
    pub fn newcomer_count(&self) -> Result<u64, StateError> {
        let count: i64 = self.db.query_row("SELECT count(*) FROM newcomer", [], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// Who is to be looked up, in key order.
    pub fn newcomers(&self, after: &str, limit: usize) -> Result<Vec<Newcomer>, StateError> {
        let mut statement = self.db.prepare_cached("SELECT body FROM newcomer WHERE key > ?1 ORDER BY key LIMIT ?2")?;
        let rows = statement.query_map(params![after, limit as i64], |row| row.get::<_, String>(0))?;
        let mut newcomers = Vec::new();
        for row in rows {
            let (create, key_value, matches, protected) = serde_json::from_str(&row?)?;
            newcomers.push(Newcomer { create, key_value, matches, protected });
        }
        Ok(newcomers)
    }

    /// An account from the target's listing, with its folded values for the fields by which accounts are recognised.
    pub fn list(&self, account: &Account, matches: &[(String, String)]) -> Result<(), StateError> {
        let state = account_state_code(account.state);
        // Users are listed before invitations: one who has come is a user, whatever became of the invitation.
        let sql = match account.state {
            AccountState::Invited => "INSERT OR IGNORE INTO listed VALUES (?1, ?2, ?3, ?4)",
            AccountState::Active | AccountState::Banned => "INSERT OR REPLACE INTO listed VALUES (?1, ?2, ?3, ?4)",
        };
        self.db.prepare_cached(sql)?.execute(params![
            account.remote_id,
            account.key,
            state,
            serde_json::to_string(&account.attributes)?
        ])?;
        for (field, value) in matches {
            self.db.prepare_cached("INSERT OR REPLACE INTO listed_match VALUES (?1, ?2, ?3)")?.execute([
                field,
                value,
                &account.remote_id,
            ])?;
        }
        Ok(())
    }

    /// Listed accounts whose key field holds this.
    pub fn listed_by_key(&self, key: &str) -> Result<Vec<Account>, StateError> {
        self.listed("SELECT remote_id, key, state, attributes FROM listed WHERE key = ?1 ORDER BY remote_id", &[key])
    }

    /// Listed accounts whose field holds this, case-folded.
    pub fn listed_by_match(&self, field: &str, value: &str) -> Result<Vec<Account>, StateError> {
        self.listed(
            "SELECT l.remote_id, l.key, l.state, l.attributes FROM listed_match m JOIN listed l USING (remote_id)
             WHERE m.field = ?1 AND m.value = ?2 ORDER BY remote_id",
            &[field, value],
        )
    }

    fn listed(&self, sql: &str, arguments: &[&str]) -> Result<Vec<Account>, StateError> {
        let mut statement = self.db.prepare_cached(sql)?;
        let rows = statement.query_map(rusqlite::params_from_iter(arguments), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?, row.get::<_, String>(3)?))
        })?;
        let mut accounts = Vec::new();
        for row in rows {
            let (remote_id, key, state, attributes) = row?;
            let attributes = serde_json::from_str(&attributes)?;
            accounts.push(Account { remote_id, key, state: account_state(state), attributes });
        }
        Ok(accounts)
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

    /// The pairs of people of whom the first gives up a unique value that the second takes, in key order.
    pub fn handovers(&self) -> Result<Vec<(Key, Key)>, StateError> {
        let mut statement = self.db.prepare_cached(
            "SELECT DISTINCT g.key, t.key FROM handover g JOIN handover t USING (field, value)
             WHERE g.gives = 1 AND t.gives = 0 AND g.key <> t.key ORDER BY 1, 2",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
        let mut pairs = Vec::new();
        for row in rows {
            let (giver, taker) = row?;
            pairs.extend(Key::parse(&giver).zip(Key::parse(&taker)));
        }
        Ok(pairs)
    }

    /// The operation on this person, if the plan has one.
    pub fn operation_of(&self, key: &Key) -> Result<Option<Operation>, StateError> {
        let found: Option<String> = self
            .db
            .prepare_cached("SELECT body FROM operation WHERE key = ?1 ORDER BY wave LIMIT 1")?
            .query_row([key.as_str()], |row| row.get(0))
            .optional()?;
        Ok(found.map(|text| serde_json::from_str(&text)).transpose()?)
    }

    /// Makes looking up by key cheap; called once, when all operations are there.
    pub fn index(&self) -> Result<(), StateError> {
        Ok(self.db.execute_batch("CREATE INDEX IF NOT EXISTS operation_key ON operation (key)")?)
    }
}

/// How many rows are in memory at once while a spool is read.
pub const PAGE: usize = 500;

const fn account_state_code(state: AccountState) -> i64 {
    match state {
        AccountState::Active => 1,
        AccountState::Banned => 2,
        AccountState::Invited => 3,
    }
}

const fn account_state(code: i64) -> AccountState {
    match code {
        2 => AccountState::Banned,
        3 => AccountState::Invited,
        _ => AccountState::Active,
    }
}
