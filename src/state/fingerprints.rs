//! The snapshot as a comparison needs it: keys, fingerprints and whether each settles the matter, many people in a few
//! buffers.

use super::db::{Value, args};
use super::people::Standing;
use super::settled::Settled;
use super::{Command, Db, Row, StateError};
use crate::domain::ids::SyncId;
use crate::domain::operation::Fingerprint;
use crate::domain::record::Key;
use crate::domain::rules::PersonState;

/// People in the order of keys.
#[derive(Clone, Debug, Default)]
pub struct Fingerprints {
    keys: Vec<u8>,
    ends: Vec<u32>,
    people: Vec<(Fingerprint, Option<Settled>)>,
}

impl Fingerprints {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.people.len()
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.people.is_empty()
    }

    /// Somebody's key: UTF-8 in its normal form.
    #[inline]
    pub fn key(&self, at: usize) -> &[u8] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        &self.keys[start..self.ends[at] as usize]
    }

    /// Somebody's fingerprint, and how their matter is settled while their record has it; zeros and nothing where none is
    /// known.
    #[inline]
    pub fn person(&self, at: usize) -> (Fingerprint, Option<Settled>) {
        self.people[at]
    }

    /// From here on nothing settles this person's matter.
    pub fn unsettle(&mut self, at: usize) {
        self.people[at].1 = None;
    }

    /// Where this key stands, if it is here.
    pub fn find(&self, key: &[u8]) -> Option<usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.key(middle) < key { low = middle + 1 } else { high = middle }
        }
        (low < self.len() && self.key(low) == key).then_some(low)
    }

    /// Takes a row of key, fingerprint, and one number of standing, state and absence: a million rows are read, and a number
    /// costs little to add up and more to hand over.
    fn take(&mut self, row: &Row<'_>) -> Result<(), StateError> {
        let Value::Text(key) = row.value(0)? else { return Err(StateError::damaged("a person's key is not text")) };
        self.keys.extend_from_slice(key.as_bytes());
        let end = u32::try_from(self.keys.len()).map_err(|_| StateError::damaged("keys take four gigabytes"))?;
        self.ends.push(end);
        let Value::Integer(how) = row.value(2)? else {
            return Err(StateError::damaged("a person's state is no number"));
        };
        let settled = Settled::of(Standing::of(how & 3), PersonState::of(how >> 2 & 7), how >> 5 != 0);
        self.people.push(match row.value(1)? {
            Value::Blob(bytes) => match Fingerprint::try_from(bytes) {
                Ok(print) => (print, settled),
                // Of another form: it equals none of ours.
                Err(_) => (Fingerprint::default(), None),
            },
            _ => (Fingerprint::default(), None),
        });
        Ok(())
    }
}

/// Where a page of people begins.
#[derive(Clone, Debug)]
pub enum Begin {
    /// With this key, or the first one after it.
    At(Vec<u8>),
    /// With the first one after it.
    After(Vec<u8>),
}

/// The next people of a sync, in the order of keys.
#[derive(Clone, Debug)]
pub struct FingerprintsPage {
    /// Whose.
    pub sync: SyncId,
    /// From where on.
    pub begin: Begin,
    /// How many at most.
    pub limit: usize,
}

impl Command for FingerprintsPage {
    type Reply = Fingerprints;

    fn run(&self, db: &Db<'_>) -> Result<Fingerprints, StateError> {
        let (sql, key) = match &self.begin {
            Begin::At(key) => (
                "SELECT key, fingerprint, standing + 4 * state + 32 * (absent_since IS NOT NULL) FROM person
                 WHERE sync = ?1 AND key >= ?2 ORDER BY key LIMIT ?3",
                key,
            ),
            Begin::After(key) => (
                "SELECT key, fingerprint, standing + 4 * state + 32 * (absent_since IS NOT NULL) FROM person
                 WHERE sync = ?1 AND key > ?2 ORDER BY key LIMIT ?3",
                key,
            ),
        };
        let key = std::str::from_utf8(key).map_err(|_| StateError::damaged("a key is not text"))?;
        let mut page = Fingerprints::default();
        let mut statement = db.prepare(sql)?;
        statement.each(args![self.sync, key, self.limit as i64], |row| page.take(row))?;
        Ok(page)
    }
}

/// What is known of these people, in the order in which they are named; who is unknown is missing.
#[derive(Debug)]
pub struct FingerprintsOf {
    /// Whose.
    pub sync: SyncId,
    /// Who, in the order of keys.
    pub keys: Vec<Key>,
}

impl Command for FingerprintsOf {
    type Reply = Fingerprints;

    fn run(&self, db: &Db<'_>) -> Result<Fingerprints, StateError> {
        let mut page = Fingerprints::default();
        let mut statement = db.prepare(
            "SELECT key, fingerprint, standing + 4 * state + 32 * (absent_since IS NOT NULL) FROM person
             WHERE sync = ?1 AND key = ?2",
        )?;
        for key in &self.keys {
            statement.each(args![self.sync, key.as_str()], |row| page.take(row))?;
        }
        Ok(page)
    }
}

/// The number of the sync of this name; nothing, when it never ran.
#[derive(Debug)]
pub struct NumberOf(pub String);

impl Command for NumberOf {
    type Reply = Option<SyncId>;

    fn run(&self, db: &Db<'_>) -> Result<Option<SyncId>, StateError> {
        db.one("SELECT id FROM sync WHERE name = ?1", args![self.0], |row| row.get(0))
    }
}

/// Of how many people a sync remembers anything.
#[derive(Debug)]
pub struct CountKnown(pub SyncId);

impl Command for CountKnown {
    type Reply = u64;

    fn run(&self, db: &Db<'_>) -> Result<u64, StateError> {
        let count: i64 = db.row("SELECT count(*) FROM person WHERE sync = ?1", args![self.0], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }
}
