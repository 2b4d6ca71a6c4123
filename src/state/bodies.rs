//! What the target acknowledged of people, and what it showed of them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::db::args;
use super::people::{PERSON, Person, person};
use super::{Command, Db, Row, StateError};
use crate::domain::account::Kept;
use crate::domain::ids::SyncId;
use crate::domain::record::Key;
use crate::domain::value::Attributes;

/// Bodies.
const BODY: Reading = Reading {
    next: "SELECT key, attributes, observed, kept FROM body WHERE sync = ?1 AND key >= ?2 AND key <= ?3 ORDER BY key LIMIT ?4",
    one: "SELECT key, attributes, observed, kept FROM body WHERE sync = ?1 AND key = ?2",
};

/// Of bodies what was acknowledged.
const ACKNOWLEDGED: Reading = Reading {
    next: "SELECT key, attributes FROM body WHERE sync = ?1 AND key >= ?2 AND key <= ?3 ORDER BY key LIMIT ?4",
    one: "SELECT key, attributes FROM body WHERE sync = ?1 AND key = ?2",
};

/// People.
const PEOPLE: Reading = Reading {
    next: "SELECT key, fingerprint, standing, state, remote_id, absent_since FROM person
           WHERE sync = ?1 AND key >= ?2 AND key <= ?3 ORDER BY key LIMIT ?4",
    one: PERSON,
};

/// How many rows are read side by side before it is asked whether that is worth it.
const SIDE_BY_SIDE: usize = if cfg!(test) { 4 } else { 128 };

/// In how many of the rows that are read side by side one at least must be asked for: a row that is passed by costs about a
/// quarter of one that is looked up.
const DENSE: usize = 4;

/// Two statements that read rows of a table, whose first column is the key.
struct Reading {
    /// Those of keys from `?2` to `?3`, in their order, `?4` at most.
    next: &'static str,
    /// That of the key `?2`.
    one: &'static str,
}

impl Reading {
    /// Calls `take` with the number of each person in `keys` of whom there is a row, and the row, in the order of `keys`.
    /// Where they ascend and lie close together, their rows are read side by side; otherwise each is looked up.
    fn each(
        &self,
        db: &Db<'_>,
        sync: SyncId,
        keys: &[Key],
        mut take: impl FnMut(usize, &Row<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let mut at = 0;
        if let Some(last) = keys.last().filter(|_| keys.len() > 1 && keys.is_sorted()) {
            let mut next = db.prepare(self.next)?;
            while at < keys.len() {
                let (before, mut rows) = (at, 0);
                next.each(args![sync, keys[at].as_str(), last.as_str(), SIDE_BY_SIDE as i64], |row| {
                    rows += 1;
                    let key = row.text(0)?.unwrap_or_default();
                    while keys.get(at).is_some_and(|wanted| wanted.as_str() < key) {
                        at += 1;
                    }
                    while keys.get(at).is_some_and(|wanted| wanted.as_str() == key) {
                        take(at, row)?;
                        at += 1;
                    }
                    Ok(())
                })?;
                if rows < SIDE_BY_SIDE {
                    return Ok(());
                }
                if (at - before) * DENSE < rows {
                    break;
                }
            }
        }
        let mut one = db.prepare(self.one)?;
        (at..keys.len()).try_for_each(|at| one.each(args![sync, keys[at].as_str()], |row| take(at, row)))
    }
}

/// What the target acknowledged of one person, and what was last observed there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Body {
    /// Acknowledged.
    pub attributes: Attributes,
    /// Observed.
    pub observed: Option<Attributes>,
    /// What the target showed against what it had acknowledged.
    pub kept: Kept,
}

/// The bodies of these people.
#[derive(Debug)]
pub struct Bodies {
    /// Whose.
    pub sync: SyncId,
    /// Who.
    pub keys: Vec<Key>,
}

impl Command for Bodies {
    type Reply = BTreeMap<Key, Body>;

    fn run(&self, db: &Db<'_>) -> Result<Self::Reply, StateError> {
        let mut bodies = BTreeMap::new();
        BODY.each(db, self.sync, &self.keys, |at, row| {
            bodies.insert(self.keys[at].clone(), body(row)?);
            Ok(())
        })?;
        Ok(bodies)
    }
}

fn body(row: &Row<'_>) -> Result<Body, StateError> {
    Ok(Body {
        attributes: serde_json::from_str(row.text(1)?.unwrap_or_default())?,
        observed: row.text(2)?.map(serde_json::from_str).transpose()?,
        kept: row.text(3)?.map(serde_json::from_str).transpose()?.unwrap_or_default(),
    })
}

/// What the target acknowledged of these people, as JSON, in the order in which they are named.
#[derive(Debug)]
pub struct Acknowledged {
    /// Whose.
    pub sync: SyncId,
    /// Who.
    pub keys: Vec<Key>,
}

impl Command for Acknowledged {
    type Reply = Vec<Option<String>>;

    fn run(&self, db: &Db<'_>) -> Result<Self::Reply, StateError> {
        let mut acknowledged = vec![None; self.keys.len()];
        ACKNOWLEDGED.each(db, self.sync, &self.keys, |at, row| {
            acknowledged[at] = row.get(1)?;
            Ok(())
        })?;
        Ok(acknowledged)
    }
}

/// Somebody, and what the target acknowledged of them where that was asked as well.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownPerson {
    /// Who.
    pub person: Person,
    /// What was acknowledged.
    pub body: Option<Body>,
}

/// These people with their bodies, as far as they are known, in the order in which they are named.
#[derive(Debug)]
pub struct PeopleWithBodies {
    /// Whose.
    pub sync: SyncId,
    /// Who.
    pub keys: Vec<Key>,
}

impl Command for PeopleWithBodies {
    type Reply = Vec<KnownPerson>;

    fn run(&self, db: &Db<'_>) -> Result<Self::Reply, StateError> {
        let mut known = vec![None; self.keys.len()];
        PEOPLE.each(db, self.sync, &self.keys, |at, row| {
            known[at] = Some(KnownPerson { person: person(row)?, body: Some(Body::default()) });
            Ok(())
        })?;
        BODY.each(db, self.sync, &self.keys, |at, row| {
            if let Some(known) = &mut known[at] {
                known.body = Some(body(row)?);
            }
            Ok(())
        })?;
        Ok(known.into_iter().flatten().collect())
    }
}

/// When the target last acknowledged something of a person.
#[derive(Debug)]
pub struct Confirmed {
    /// Whose.
    pub sync: SyncId,
    /// Who.
    pub key: Key,
}

impl Command for Confirmed {
    type Reply = Option<DateTime<Utc>>;

    fn run(&self, db: &Db<'_>) -> Result<Option<DateTime<Utc>>, StateError> {
        db.one(
            "SELECT confirmed_at FROM body WHERE sync = ?1 AND key = ?2",
            args![self.sync, self.key.as_str()],
            |row| row.get(0),
        )
    }
}

/// Keeps what the target showed of people, apart from what it acknowledged.
#[derive(Debug)]
pub struct Observe {
    /// Whose.
    pub sync: SyncId,
    /// When.
    pub at: DateTime<Utc>,
    /// Who, and what.
    pub people: Vec<(Key, Attributes)>,
}

impl Command for Observe {
    type Reply = ();

    fn run(&self, db: &Db<'_>) -> Result<(), StateError> {
        let mut update = db.prepare("UPDATE body SET observed = ?3, observed_at = ?4 WHERE sync = ?1 AND key = ?2")?;
        for (key, observed) in &self.people {
            update.execute(args![self.sync, key.as_str(), serde_json::to_string(observed)?, self.at])?;
        }
        Ok(())
    }
}
