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

/// One person's body.
const BODY: &str = "SELECT attributes, observed, kept FROM body WHERE sync = ?1 AND key = ?2";

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
        let mut statement = db.prepare(BODY)?;
        let mut bodies = BTreeMap::new();
        for key in &self.keys {
            if let Some(found) = statement.one(args![self.sync, key.as_str()], body)? {
                bodies.insert(key.clone(), found);
            }
        }
        Ok(bodies)
    }
}

fn body(row: &Row<'_>) -> Result<Body, StateError> {
    let observed: Option<String> = row.get(1)?;
    let kept: Option<String> = row.get(2)?;
    Ok(Body {
        attributes: serde_json::from_str(&row.get::<String>(0)?)?,
        observed: observed.as_deref().map(serde_json::from_str).transpose()?,
        kept: kept.as_deref().map(serde_json::from_str).transpose()?.unwrap_or_default(),
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
        let mut statement = db.prepare("SELECT attributes FROM body WHERE sync = ?1 AND key = ?2")?;
        self.keys.iter().map(|key| statement.one(args![self.sync, key.as_str()], |row| row.get(0))).collect()
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
        let mut people = db.prepare(PERSON)?;
        let mut bodies = db.prepare(BODY)?;
        let mut found = Vec::with_capacity(self.keys.len());
        for key in &self.keys {
            if let Some(person) = people.one(args![self.sync, key.as_str()], person)? {
                let body = bodies.one(args![self.sync, key.as_str()], body)?;
                found.push(KnownPerson { person, body: Some(body.unwrap_or_default()) });
            }
        }
        Ok(found)
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
