//! A target's accounts as it lists them, on disk: looked through for newcomers, and compared with the source and the
//! snapshot by a reconcile.
//!
//! Like the spool of a plan it is SQLite's own temporary database, private to this process and gone with it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::account::Client;
use crate::domain::account::{Account, AccountState};
use crate::domain::error::{Error, Result, TargetReason};
use crate::domain::remote_id::RemoteId;
use crate::os::disk_budget::{DiskBudget, Short};
use crate::state::StateError;

/// What a target listed.
#[derive(Debug)]
pub struct Listing {
    db: Mutex<Connection>,
    room: DiskBudget,
}

/// Where an account's id stands among the values by which it is found: no field has this name.
const ITS_ID: &str = "";

/// `mine`: 0 nobody is known to whom the account belongs, 1 somebody is, 2 it is linked to them. See [`super::claims`].
const TABLES: &str = "
    PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -8000; PRAGMA temp_store = FILE;
    CREATE TABLE listed (remote_id TEXT PRIMARY KEY, key TEXT, state INTEGER, attributes TEXT, mine INTEGER DEFAULT 0)
        WITHOUT ROWID;
    CREATE INDEX listed_key ON listed (key) WHERE key IS NOT NULL;
    CREATE TABLE listed_match (field TEXT, value TEXT, remote_id TEXT, PRIMARY KEY (field, value, remote_id)) WITHOUT ROWID;
    CREATE TABLE planned (key TEXT PRIMARY KEY, remote_id TEXT) WITHOUT ROWID;
    CREATE TABLE doubled (key TEXT, remote_id TEXT, PRIMARY KEY (key, remote_id)) WITHOUT ROWID;
    BEGIN;
";

/// Why a listing is not spooled any further.
fn no_room(short: Short) -> StateError {
    match short {
        Short::Endless(what) => StateError::new(
            Error::Target(TargetReason::Unreachable),
            format!("the listing of the target is no listing: {what}"),
        )
        .help("nothing was sent; ask the platform why its listing does not end"),
        Short::Disk(what) => StateError::io(format!("the listing of the target can't be kept: {what}"))
            .help("nothing was sent; free some room, or point TMPDIR at a larger disk"),
    }
}

impl Listing {
    /// An empty listing.
    ///
    /// # Errors
    /// The temporary directory can't be used.
    pub fn new() -> Result<Listing, StateError> {
        let db = Connection::open("")?;
        db.set_prepared_statement_cache_capacity(32);
        crate::state::plan_statements_once(&db)?;
        db.execute_batch(TABLES)?;
        Ok(Listing { db: Mutex::new(db), room: DiskBudget::of_temporary_database() })
    }

    /// Lists a target, a page in memory at a time; nothing when that takes more than `most_pages` requests.
    /// `match_fields` are those by which accounts can be sought afterwards.
    ///
    /// # Errors
    /// The target can't be reached, its listing is not to be believed (69), the temporary directory is full.
    pub async fn of(client: &Client, match_fields: &[String], most_pages: u64) -> Result<Option<Listing>> {
        let listing = Listing::new()?;
        let add = |anew: bool, accounts: Vec<Account>| {
            if anew {
                listing.room.anew();
                listing
                    .db()
                    .execute_batch("DELETE FROM listed; DELETE FROM listed_match;")
                    .map_err(StateError::from)?;
            }
            Ok(accounts.iter().try_for_each(|account| listing.add(account, match_fields))?)
        };
        let whole = client.list(most_pages, add).await?;
        Ok(Some(listing).filter(|_| whole))
    }

    pub(crate) fn db(&self) -> MutexGuard<'_, Connection> {
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an account; one that is listed twice counts once, and one that has come is not undone by an invitation that
    /// is still about.
    pub fn add(&self, account: &Account, match_fields: &[String]) -> Result<(), StateError> {
        let attributes = serde_json::to_string(&account.attributes)?;
        // The id and what recognises stand in it twice.
        self.room.take(attributes.len() + 2 * account.remote_id.as_str().len()).map_err(no_room)?;
        let db = self.db();
        db.prepare_cached(
            "INSERT INTO listed (remote_id, key, state, attributes) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (remote_id) DO UPDATE SET key = ?2, state = ?3, attributes = ?4 WHERE ?3 <> 3",
        )?
        .execute(params![account.remote_id.as_str(), account.key, code(account.state), attributes])?;
        let mut add = db.prepare_cached("INSERT OR REPLACE INTO listed_match VALUES (?1, ?2, ?3)")?;
        for field in match_fields {
            for value in account.recognised_by(field) {
                add.execute([field, value.as_str(), account.remote_id.as_str()])?;
            }
        }
        let id = account.remote_id.as_str();
        add.execute([ITS_ID, &id.to_lowercase(), id])?;
        Ok(())
    }

    /// The accounts whose id is this address, whatever its letter case.
    pub fn by_address(&self, address: &str) -> Result<Vec<Account>, StateError> {
        self.by_match(ITS_ID, &address.to_lowercase())
    }

    /// How many accounts there are.
    pub fn count(&self) -> Result<u64, StateError> {
        let count: i64 = self.db().prepare_cached("SELECT count(*) FROM listed")?.query_row([], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// The account with this id.
    pub fn by_id(&self, remote_id: &RemoteId) -> Result<Option<Account>, StateError> {
        let db = self.db();
        let found = db
            .prepare_cached("SELECT remote_id, key, state, attributes FROM listed WHERE remote_id = ?1")?
            .query_row([remote_id.as_str()], row)
            .optional()?;
        found.map(account).transpose()
    }

    /// Accounts whose key field holds this.
    pub fn by_key(&self, key: &str) -> Result<Vec<Account>, StateError> {
        self.several("SELECT remote_id, key, state, attributes FROM listed WHERE key = ?1 ORDER BY remote_id", &[key])
    }

    /// Accounts whose field holds this, case-folded.
    pub fn by_match(&self, field: &str, value: &str) -> Result<Vec<Account>, StateError> {
        self.several(
            "SELECT l.remote_id, l.key, l.state, l.attributes FROM listed_match m JOIN listed l USING (remote_id)
             WHERE m.field = ?1 AND m.value = ?2 ORDER BY remote_id",
            &[field, value],
        )
    }

    /// The accounts after this id, in the order of ids.
    pub fn page(&self, after: &str, limit: usize) -> Result<Vec<Account>, StateError> {
        self.several(
            "SELECT remote_id, key, state, attributes FROM listed WHERE remote_id > ?1 ORDER BY remote_id
             LIMIT CAST(?2 AS INTEGER)",
            &[after, &limit.to_string()],
        )
    }

    pub(crate) fn several(&self, sql: &str, arguments: &[&str]) -> Result<Vec<Account>, StateError> {
        let db = self.db();
        let mut statement = db.prepare_cached(sql)?;
        let rows = statement.query_map(rusqlite::params_from_iter(arguments), row)?;
        rows.map(|found| account(found?)).collect()
    }

    /// Says that somebody is known to whom the account belongs; `false` when it is not listed.
    pub fn is_mine(&self, remote_id: &RemoteId) -> Result<bool, StateError> {
        let db = self.db();
        Ok(db
            .prepare_cached("UPDATE listed SET mine = max(mine, 1) WHERE remote_id = ?1")?
            .execute([remote_id.as_str()])?
            > 0)
    }

    /// The ids of accounts of which nobody is known to whom they belong, in order.
    pub fn nobodys(&self, after: &str, limit: usize) -> Result<Vec<RemoteId>, StateError> {
        let db = self.db();
        let mut statement = db.prepare_cached(
            "SELECT remote_id FROM listed WHERE mine = 0 AND remote_id > ?1 ORDER BY remote_id LIMIT ?2",
        )?;
        let rows = statement.query_map(params![after, limit as i64], |row| row.get::<_, String>(0))?;
        Ok(rows.map(|id| id.map(RemoteId::from)).collect::<Result<_, _>>()?)
    }

    /// How many accounts belong to nobody who is known.
    pub fn nobodys_count(&self) -> Result<u64, StateError> {
        let db = self.db();
        let count: i64 =
            db.prepare_cached("SELECT count(*) FROM listed WHERE mine = 0")?.query_row([], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }
}

type Raw = (String, Option<String>, i64, String);

fn row(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

fn account((remote_id, key, state, attributes): Raw) -> Result<Account, StateError> {
    let state = match state {
        2 => AccountState::Banned,
        3 => AccountState::Invited,
        _ => AccountState::Active,
    };
    Ok(Account { remote_id: remote_id.into(), key, state, attributes: serde_json::from_str(&attributes)? })
}

const fn code(state: AccountState) -> i64 {
    match state {
        AccountState::Active => 1,
        AccountState::Banned => 2,
        AccountState::Invited => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn user(id: &str, key: Option<&str>, email: &str) -> Account {
        Account {
            remote_id: id.into(),
            key: key.map(Into::into),
            state: AccountState::Active,
            attributes: [("email".to_string(), json!(email))].into_iter().collect(),
        }
    }

    #[test]
    fn each_value_of_a_set_recognises() {
        let listing = Listing::new().expect("a listing");
        let mut account = user("1", None, "");
        account.attributes.set("email", json!(["Ann@acme.com", "lee@acme.com"]));
        listing.add(&account, &["email".to_string()]).expect("room");
        for (value, found) in [("ann@acme.com", 1), ("lee@acme.com", 1), ("bo@acme.com", 0)] {
            assert_eq!(listing.by_match("email", value).expect("a query").len(), found, "{value}");
        }
    }

    #[test]
    fn accounts_are_found_by_id_key_and_folded_match() {
        let listing = Listing::new().expect("a listing");
        let fields = ["email".to_string()];
        for account in [user("1", Some("E1"), "Ann@acme.com"), user("2", None, "bo@acme.com")] {
            listing.add(&account, &fields).expect("room");
        }
        listing.add(&user("1", Some("E1"), "Ann@acme.com"), &fields).expect("room");
        assert_eq!(listing.count().expect("a count"), 2);
        let ids = |found: Vec<Account>| found.into_iter().map(|a| a.remote_id.as_str().to_string()).collect::<Vec<_>>();
        assert_eq!(ids(listing.by_key("E1").expect("a query")), ["1"]);
        assert_eq!(ids(listing.by_match("email", "ann@acme.com").expect("a query")), ["1"]);
        assert_eq!(listing.by_id(&"3".into()).expect("a query"), None);
        assert!(listing.is_mine(&"1".into()).expect("a mark"));
        assert!(!listing.is_mine(&"9".into()).expect("a mark"));
        assert_eq!(listing.nobodys("", 10).expect("a page"), ["2".into()]);
    }
}
