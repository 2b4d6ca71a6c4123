//! The spool's tables of who looks like whom: leavers, the values that tell people apart, and the pairs that they make.
//!
//! Everything is set-wise and linear: of many who share a value each is paired with one of the other side, which is
//! enough to know that it is shared.

use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::{PAGE, Spool, person};
use crate::account::lookup::LookupValues;
use crate::domain::planned::Planned;
use crate::domain::record::Key;
use crate::domain::remote_id::RemoteId;
use crate::domain::rules::{Circumstances, PersonState, SourceSays};
use crate::state::StateError;

pub(super) const TABLES: &str = "
    CREATE TABLE leaver (key TEXT PRIMARY KEY, planned INTEGER, body TEXT) WITHOUT ROWID;
    CREATE TABLE bystander (key TEXT PRIMARY KEY, sought TEXT) WITHOUT ROWID;
    CREATE TABLE telling (field TEXT, value TEXT, side INTEGER, key TEXT, PRIMARY KEY (field, value, side, key)) WITHOUT ROWID;
    CREATE TABLE lookalike (old TEXT, new TEXT, field TEXT, PRIMARY KEY (old, new, field)) WITHOUT ROWID;
    CREATE TABLE handed (old TEXT, new TEXT, PRIMARY KEY (old, new)) WITHOUT ROWID;
    CREATE TABLE doubt (key TEXT PRIMARY KEY, why TEXT, shared INTEGER) WITHOUT ROWID;
";

/// Somebody who may lose access, and what speaks for and against it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Leaver {
    /// Who.
    pub key: Key,
    /// The account.
    pub remote_id: Option<RemoteId>,
    /// What is known of it.
    pub state: PersonState,
    /// Out of scope, or absent.
    pub says: SourceSays,
    /// Everything else.
    pub circumstances: Circumstances,
    /// The plan is about them: they are not only looked at because a newcomer could be them.
    pub planned: bool,
}

/// On which side of a pair somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Has an account that is about to be taken away.
    Leaver,
    /// Has no account yet.
    Newcomer,
}

impl Side {
    const fn code(self) -> i64 {
        match self {
            Side::Leaver => 0,
            Side::Newcomer => 1,
        }
    }
}

/// A leaver and a newcomer who look like one person, and the fields that say so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The leaver.
    pub old: Key,
    /// The newcomer.
    pub new: Key,
    /// The fields in which they agree, in the order of names.
    pub fields: Vec<String>,
}

/// Newcomers who share a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// The field.
    pub field: String,
    /// The value.
    pub value: String,
    /// How many.
    pub count: u64,
}

impl Spool {
    /// Somebody may lose access.
    pub fn leaver(&self, leaver: &Leaver) -> Result<(), StateError> {
        self.db.prepare_cached("INSERT OR REPLACE INTO leaver VALUES (?1, ?2, ?3)")?.execute(params![
            leaver.key.as_str(),
            leaver.planned,
            serde_json::to_string(leaver)?
        ])?;
        Ok(())
    }

    /// The leaver of this key.
    pub fn leaver_of(&self, key: &Key) -> Result<Option<Leaver>, StateError> {
        let mut statement = self.db.prepare_cached("SELECT body FROM leaver WHERE key = ?1")?;
        let body: Option<String> = statement.query_row([key.as_str()], |row| row.get(0)).optional()?;
        Ok(body.map(|body| serde_json::from_str(&body)).transpose()?)
    }

    /// Whether anybody may lose access.
    pub fn has_leavers(&self) -> Result<bool, StateError> {
        Ok(self.db.query_row("SELECT EXISTS (SELECT 1 FROM leaver)", [], |row| row.get(0))?)
    }

    /// A newcomer about whom the plan is not, but whom somebody of the plan may look like.
    pub fn bystander(&self, key: &Key, sought: &LookupValues) -> Result<(), StateError> {
        self.db
            .prepare_cached("INSERT OR REPLACE INTO bystander VALUES (?1, ?2)")?
            .execute([key.as_str(), &serde_json::to_string(sought)?])?;
        Ok(())
    }

    /// The bystanders among newcomers, in key order.
    pub fn bystanders(&self, after: &str) -> Result<Vec<(Key, LookupValues)>, StateError> {
        let mut statement =
            self.db.prepare_cached("SELECT key, sought FROM bystander WHERE key > ?1 ORDER BY key LIMIT ?2")?;
        let mut rows = statement.query(params![after, PAGE as i64])?;
        let mut newcomers = Vec::new();
        while let Some(row) = rows.next()? {
            let sought: String = row.get(1)?;
            newcomers.push((person(&row.get::<_, String>(0)?)?, serde_json::from_str(&sought)?));
        }
        Ok(newcomers)
    }

    /// A value that tells who somebody is.
    pub fn telling(&self, field: &str, value: &str, side: Side, key: &Key) -> Result<(), StateError> {
        self.db.prepare_cached("INSERT OR IGNORE INTO telling VALUES (?1, ?2, ?3, ?4)")?.execute(params![
            field,
            value,
            side.code(),
            key.as_str()
        ])?;
        Ok(())
    }

    /// Visits what tells who leavers are.
    pub fn each_of_leavers(&self, mut visit: impl FnMut(&str, &str)) -> Result<(), StateError> {
        let mut statement = self.db.prepare_cached("SELECT field, value FROM telling WHERE side = 0")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let text = |n| row.get_ref(n)?.as_str().map_err(rusqlite::Error::from);
            visit(text(0)?, text(1)?);
        }
        Ok(())
    }

    /// What somebody's values of these fields are, as far as they were noted; those of the key's form set aside.
    pub fn told_of(&self, key: &Key, side: Side, form: &str) -> Result<Vec<(String, String)>, StateError> {
        let mut statement =
            self.db.prepare_cached("SELECT field, value FROM telling WHERE side = ?1 AND key = ?2 AND field <> ?3")?;
        let rows =
            statement.query_map(params![side.code(), key.as_str(), form], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Pairs everybody who has a value in common with somebody of the other side, by that field.
    pub fn pair(&self) -> Result<(), StateError> {
        for (mine, theirs) in [(Side::Leaver, Side::Newcomer), (Side::Newcomer, Side::Leaver)] {
            let pair = if mine == Side::Leaver { "m.key, t.key" } else { "t.key, m.key" };
            let sql = format!(
                "INSERT OR IGNORE INTO lookalike
                 SELECT {pair}, m.field FROM telling m JOIN (
                     SELECT field, value, min(key) AS key FROM telling WHERE side = ?2 GROUP BY field, value
                 ) t USING (field, value) WHERE m.side = ?1"
            );
            self.db.prepare_cached(&sql)?.execute([mine.code(), theirs.code()])?;
        }
        Ok(())
    }

    /// Two look like one person.
    pub fn alike(&self, old: &Key, new: &Key, field: &str) -> Result<(), StateError> {
        self.db.prepare_cached("INSERT OR IGNORE INTO lookalike VALUES (?1, ?2, ?3)")?.execute([
            old.as_str(),
            new.as_str(),
            field,
        ])?;
        Ok(())
    }

    /// They don't, or it does not matter.
    pub fn part(&self, old: &Key, new: &Key) -> Result<(), StateError> {
        self.db
            .prepare_cached("DELETE FROM lookalike WHERE old = ?1 AND new = ?2")?
            .execute([old.as_str(), new.as_str()])?;
        Ok(())
    }

    /// This newcomer has an account of their own: they look like nobody, unless others have the same values.
    pub fn has_own_account(&self, new: &Key) -> Result<(), StateError> {
        self.db
            .prepare_cached(
                "DELETE FROM lookalike WHERE new = ?1
                 AND NOT EXISTS (SELECT 1 FROM doubt WHERE key = ?1 AND shared = 1)",
            )?
            .execute([new.as_str()])?;
        Ok(())
    }

    /// The pairs after one, in the order of keys.
    pub fn pairs(&self, after: Option<&Pair>) -> Result<Vec<Pair>, StateError> {
        let mut statement = self.db.prepare_cached(
            "SELECT old, new, json_group_array(field) FROM (SELECT * FROM lookalike WHERE (old, new) > (?1, ?2) ORDER BY old, new, field)
             GROUP BY old, new ORDER BY old, new LIMIT ?3",
        )?;
        let (old, new) = after.map_or(("", ""), |pair| (pair.old.as_str(), pair.new.as_str()));
        let mut rows = statement.query(params![old, new, PAGE as i64])?;
        let mut pairs = Vec::new();
        while let Some(row) = rows.next()? {
            let [old, new, fields]: [String; 3] = [row.get(0)?, row.get(1)?, row.get(2)?];
            pairs.push(Pair { old: person(&old)?, new: person(&new)?, fields: serde_json::from_str(&fields)? });
        }
        Ok(pairs)
    }

    /// How many pairs that the plan is about agree in this field, and the first few of them.
    pub fn pairs_by(&self, field: &str, named: usize) -> Result<(u64, Vec<(Key, Key)>), StateError> {
        const OF_PLAN: &str = "FROM lookalike l WHERE field = ?1 AND (
            EXISTS (SELECT 1 FROM newcomer n WHERE n.key = l.new)
            OR EXISTS (SELECT 1 FROM leaver o WHERE o.key = l.old AND o.planned))";
        let count: i64 = self
            .db
            .prepare_cached(&format!("SELECT count(DISTINCT old) {OF_PLAN}"))?
            .query_row([field], |row| row.get(0))?;
        let mut statement = self.db.prepare_cached(&format!("SELECT old, new {OF_PLAN} ORDER BY old, new LIMIT ?2"))?;
        let mut rows = statement.query(params![field, named as i64])?;
        let mut first = Vec::new();
        while let Some(row) = rows.next()? {
            first.push((person(&row.get::<_, String>(0)?)?, person(&row.get::<_, String>(1)?)?));
        }
        Ok((count.unsigned_abs(), first))
    }

    /// What this leaver gives up goes to this newcomer, as the operator allowed.
    pub fn hand(&self, old: &Key, new: &Key) -> Result<(), StateError> {
        self.db
            .prepare_cached("INSERT OR IGNORE INTO handed VALUES (?1, ?2)")?
            .execute([old.as_str(), new.as_str()])?;
        Ok(())
    }

    /// Newcomers to whom something was to be handed by a leaver who now keeps it, with that leaver.
    pub fn handed_in_vain(&self) -> Result<Vec<(Key, Key)>, StateError> {
        let mut statement = self.db.prepare_cached(
            "SELECT min(old), new FROM handed h WHERE EXISTS (SELECT 1 FROM lookalike l WHERE l.old = h.old)
             GROUP BY new ORDER BY new",
        )?;
        let mut rows = statement.query([])?;
        let mut pairs = Vec::new();
        while let Some(row) = rows.next()? {
            pairs.push((person(&row.get::<_, String>(0)?)?, person(&row.get::<_, String>(1)?)?));
        }
        Ok(pairs)
    }

    /// The values that several newcomers share, those of most of them first.
    pub fn shared(&self, form: &str) -> Result<Vec<Shared>, StateError> {
        let mut statement = self.db.prepare_cached(
            "SELECT field, value, count(*) AS n FROM telling WHERE side = 1 AND field <> ?1
             GROUP BY field, value HAVING n > 1 ORDER BY n DESC, field, value",
        )?;
        let rows = statement.query_map([form], |row| {
            Ok(Shared { field: row.get(0)?, value: row.get(1)?, count: row.get::<_, i64>(2)?.unsigned_abs() })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The first few who share a value.
    pub fn sharing(&self, shared: &Shared, named: usize) -> Result<Vec<String>, StateError> {
        let mut statement = self.db.prepare_cached(
            "SELECT key FROM telling WHERE field = ?1 AND value = ?2 AND side = 1 ORDER BY key LIMIT ?3",
        )?;
        let rows = statement.query_map(params![shared.field, shared.value, named as i64], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// All who share this value are in doubt, for this reason; the first reason stays.
    pub fn doubt_all(&self, shared: &Shared, why: &str) -> Result<(), StateError> {
        self.db
            .prepare_cached(
                "INSERT OR IGNORE INTO doubt SELECT key, ?3, 1 FROM telling WHERE field = ?1 AND value = ?2 AND side = 1",
            )?
            .execute([&shared.field, &shared.value, why])?;
        Ok(())
    }

    /// This newcomer is in doubt, for this reason; the first reason stays.
    pub fn doubt(&self, new: &Key, why: &str) -> Result<(), StateError> {
        self.db.prepare_cached("INSERT OR IGNORE INTO doubt VALUES (?1, ?2, 0)")?.execute([new.as_str(), why])?;
        Ok(())
    }

    /// By what this newcomer is looked up, be the plan about them or not.
    pub fn sought_of(&self, new: &Key) -> Result<Option<LookupValues>, StateError> {
        let mut statement = self.db.prepare_cached(
            "SELECT sought FROM newcomer WHERE key = ?1 UNION ALL SELECT sought FROM bystander WHERE key = ?1",
        )?;
        let sought: Option<String> = statement.query_row([new.as_str()], |row| row.get(0)).optional()?;
        Ok(sought.map(|sought| serde_json::from_str(&sought)).transpose()?)
    }

    /// The leavers by whom a newcomer is recognised and about whom the plan is, after a key.
    pub fn recognised(&self, after: &str) -> Result<Vec<Leaver>, StateError> {
        let mut statement = self.db.prepare_cached(
            "SELECT body FROM leaver o WHERE planned AND key > ?1
             AND EXISTS (SELECT 1 FROM lookalike l WHERE l.old = o.key) ORDER BY key LIMIT ?2",
        )?;
        let rows = statement.query_map(params![after, PAGE as i64], |row| row.get::<_, String>(0))?;
        rows.map(|body| Ok(serde_json::from_str(&body?)?)).collect()
    }

    /// Takes back whatever was planned for this person; returns it.
    pub fn withdraw(&self, key: &Key) -> Result<Option<Planned>, StateError> {
        let operation = self.operation_of(key)?;
        self.db.prepare_cached("DELETE FROM operation WHERE key = ?1")?.execute([key.as_str()])?;
        Ok(operation)
    }

    /// Nothing is remembered of the leaving of those by whom newcomers are recognised.
    pub fn forget_leaving(&self) -> Result<(), StateError> {
        self.db.execute(
            "DELETE FROM note WHERE json_type(note, '$.State') IS NOT NULL AND key IN (SELECT old FROM lookalike)",
            [],
        )?;
        Ok(())
    }

    /// Whether this person is left alone already.
    pub fn is_skipped(&self, key: &Key) -> Result<bool, StateError> {
        Ok(self.db.prepare_cached("SELECT 1 FROM skip WHERE key = ?1")?.exists([key.as_str()])?)
    }
}
