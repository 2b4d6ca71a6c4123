//! Whose a listed account is: linked to somebody, recognised as somebody's, a second one of somebody, or nobody's.
//!
//! Only accounts that are linked to nobody are ever looked for here, so that a target in step costs nothing.

use rusqlite::{OptionalExtension, params};

use super::Listing;
use crate::domain::account::Account;
use crate::domain::record::Key;
use crate::domain::remote_id::RemoteId;
use crate::state::StateError;

/// Somebody who has more than one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubled {
    /// Who.
    pub key: Key,
    /// Their accounts, in the order of their ids.
    pub remote_ids: Vec<RemoteId>,
}

impl Listing {
    /// Says that an account is linked to somebody, or about to be.
    pub fn link(&self, remote_id: &RemoteId) -> Result<(), StateError> {
        self.db().prepare_cached("UPDATE listed SET mine = 2 WHERE remote_id = ?1")?.execute([remote_id.as_str()])?;
        Ok(())
    }

    /// Says that an account will be a person's once what is planned is done.
    pub fn link_to(&self, remote_id: &RemoteId, key: &Key) -> Result<(), StateError> {
        self.link(remote_id)?;
        let db = self.db();
        db.prepare_cached("INSERT OR REPLACE INTO planned VALUES (?1, ?2)")?
            .execute([key.as_str(), remote_id.as_str()])?;
        Ok(())
    }

    /// The account that [`Listing::link_to`] was told of.
    pub fn linked_to(&self, key: &Key) -> Result<Option<RemoteId>, StateError> {
        let db = self.db();
        let mut found = db.prepare_cached("SELECT remote_id FROM planned WHERE key = ?1")?;
        Ok(found.query_row([key.as_str()], |row| row.get::<_, String>(0)).optional()?.map(RemoteId::from))
    }

    /// Whether an account is linked to nobody.
    pub fn is_free(&self, remote_id: &RemoteId) -> Result<bool, StateError> {
        let db = self.db();
        let mut free = db.prepare_cached("SELECT 1 FROM listed WHERE remote_id = ?1 AND mine < 2")?;
        Ok(free.exists([remote_id.as_str()])?)
    }

    /// Accounts that carry this key and are linked to nobody.
    pub fn free_by_key(&self, key: &str) -> Result<Vec<Account>, StateError> {
        self.several(
            "SELECT remote_id, key, state, attributes FROM listed WHERE key = ?1 AND mine < 2 ORDER BY remote_id",
            &[key],
        )
    }

    /// Says that these are all accounts of one person.
    pub fn are_doubled<'a>(&self, key: &Key, remote_ids: impl Iterator<Item = &'a RemoteId>) -> Result<(), StateError> {
        let db = self.db();
        let mut add = db.prepare_cached("INSERT OR IGNORE INTO doubled VALUES (?1, ?2)")?;
        for remote_id in remote_ids {
            add.execute([key.as_str(), remote_id.as_str()])?;
        }
        Ok(())
    }

    /// How many people have more than one account.
    pub fn doubled_count(&self) -> Result<u64, StateError> {
        let db = self.db();
        let count: i64 = db.query_row("SELECT count(DISTINCT key) FROM doubled", [], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// People who have more than one account, in key order, after this key.
    pub fn doubled(&self, after: &str, limit: usize) -> Result<Vec<Doubled>, StateError> {
        let db = self.db();
        let mut statement = db.prepare_cached(
            "SELECT key, remote_id FROM doubled
             WHERE key IN (SELECT DISTINCT key FROM doubled WHERE key > ?1 ORDER BY key LIMIT ?2)
             ORDER BY key, remote_id",
        )?;
        let mut rows = statement.query(params![after, limit as i64])?;
        let mut found: Vec<Doubled> = Vec::new();
        while let Some(row) = rows.next()? {
            let (key, remote_id): (String, String) = (row.get(0)?, row.get(1)?);
            match found.last_mut().filter(|last| last.key.as_str() == key) {
                Some(last) => last.remote_ids.push(remote_id.into()),
                None => {
                    let key = Key::parse(&key).ok_or(rusqlite::Error::InvalidQuery)?;
                    found.push(Doubled { key, remote_ids: vec![remote_id.into()] });
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::account::AccountState;

    #[test]
    fn accounts_are_free_until_they_are_linked_and_doubles_come_by_key() {
        let listing = Listing::new().expect("a listing");
        for (id, key) in [("1", "E1"), ("2", "E1"), ("3", "E2"), ("4", "E1")] {
            let account = Account {
                remote_id: id.into(),
                key: Some(key.into()),
                state: AccountState::Active,
                attributes: Default::default(),
            };
            listing.add(&account, &[]).expect("room");
        }
        listing.link(&"1".into()).expect("a mark");
        let e2 = Key::parse("E2").expect("a key");
        assert_eq!(listing.linked_to(&e2).expect("a query"), None);
        listing.is_mine(&"1".into()).expect("a mark");
        listing.is_mine(&"2".into()).expect("a mark");
        assert!(!listing.is_free(&"1".into()).expect("a query") && listing.is_free(&"2".into()).expect("a query"));
        assert!(!listing.is_free(&"9".into()).expect("a query"), "it is not there");
        let ids = |found: Vec<Account>| found.into_iter().map(|a| a.remote_id.as_str().to_string()).collect::<Vec<_>>();
        assert_eq!(ids(listing.free_by_key("E1").expect("a query")), ["2", "4"]);
        assert_eq!(listing.nobodys("", 10).expect("a page"), ["3".into(), "4".into()]);
        assert_eq!((listing.doubled_count().expect("a count"), listing.doubled("", 10).expect("a page")), (0, vec![]));
        let key = |key: &str| Key::parse(key).expect("a key");
        listing.link_to(&"3".into(), &e2).expect("a mark");
        assert_eq!(listing.linked_to(&e2).expect("a query"), Some("3".into()));
        assert!(!listing.is_free(&"3".into()).expect("a query"));
        listing.are_doubled(&key("E2"), ["3".into(), "5".into()].iter()).expect("room");
        listing.are_doubled(&key("E1"), ["4".into(), "1".into()].iter()).expect("room");
        listing.are_doubled(&key("E1"), ["2".into(), "1".into()].iter()).expect("room");
        assert_eq!(listing.doubled_count().expect("a count"), 2);
        let first = Doubled { key: key("E1"), remote_ids: ["1", "2", "4"].map(Into::into).into() };
        assert_eq!(listing.doubled("", 1).expect("a page"), [first]);
        assert_eq!(listing.doubled("E1", 9).expect("a page")[0].key, key("E2"));
    }
}
