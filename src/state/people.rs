//! People: what a sync knows of each, page by page in key order, and the changes that need no request.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::db::args;
use super::people_writer::PeopleWriter;
use super::{Command, Db, Page, Row, StateError};
use crate::domain::error::Error;
use crate::domain::ids::SyncId;
use crate::domain::operation::Fingerprint;
use crate::domain::record::Key;
use crate::domain::remote_id::RemoteId;
use crate::domain::resource::Resource;
use crate::domain::rules::PersonState;
use crate::domain::target_identity::TargetIdentity;
use crate::domain::time;
use crate::domain::value::Attributes;

/// What a fingerprint remembers about its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Nothing: look at the record.
    None,
    /// The account is in step with that record.
    InStep,
    /// That record is out of scope.
    Excluded,
}

impl Standing {
    fn code(self) -> i64 {
        match self {
            Standing::None => 0,
            Standing::InStep => 1,
            Standing::Excluded => 2,
        }
    }

    pub(super) fn of(code: i64) -> Standing {
        match code {
            1 => Standing::InStep,
            2 => Standing::Excluded,
            _ => Standing::None,
        }
    }
}

/// The narrow row of a person.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    /// Who.
    pub key: Key,
    /// The fingerprint of the record that `standing` speaks of.
    pub fingerprint: Option<Fingerprint>,
    /// What it remembers.
    pub standing: Standing,
    /// What we know of the account.
    pub state: PersonState,
    /// Its id on the target.
    pub remote_id: Option<RemoteId>,
    /// When a trusted read was first without them.
    pub absent_since: Option<DateTime<Utc>>,
}

/// What a sync is bound to: its rows mean nothing elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The sync's name.
    pub sync: String,
    /// Its source's name.
    pub source: String,
    /// Its target's name.
    pub target: String,
    /// The target's kind.
    pub kind: String,
    /// Where the target is, as [`crate::domain::target_identity::written`] has it; older versions kept the address alone.
    pub base_url: String,
    /// The source's key column.
    pub source_key: String,
    /// What of the target is kept in step.
    pub resource: Resource,
}

/// A sync as the state knows it.
#[derive(Clone, Copy, Debug)]
pub struct KnownSync {
    /// Its number; `None` when it never ran.
    pub id: Option<SyncId>,
    /// It was paused.
    pub paused: bool,
}

/// Looks a sync up and refuses one that was bound to something else while it has people.
#[derive(Debug)]
pub struct FindSync(pub Binding);

impl Command for FindSync {
    type Reply = KnownSync;

    fn run(&self, db: &Db<'_>) -> Result<KnownSync, StateError> {
        let wanted = &self.0;
        let found = db.one(
            "SELECT id, kind, base_url, source_key, resource, paused_at IS NOT NULL FROM sync WHERE name = ?1",
            args![&wanted.sync],
            |row| Ok((row.get(0)?, [row.get::<String>(1)?, row.get(2)?, row.get(3)?], row.get(4)?, row.get(5)?)),
        )?;
        let Some((id, [kind, base_url, source_key], resource, paused)) = found else {
            return Ok(KnownSync { id: None, paused: false });
        };
        let bound = Binding { kind, base_url, source_key, resource, ..wanted.clone() };
        if let Some((what, was, is)) = bound.difference(wanted) {
            let people = CountPeople(id).run(db)?;
            if people > 0 {
                return Err(rebound(&wanted.sync, what, was, is, people));
            }
        }
        Ok(KnownSync { id: Some(id), paused })
    }
}

/// How many people a sync knows, whatever became of their accounts. It goes through all of them.
#[derive(Debug)]
pub struct CountPeople(pub SyncId);

impl Command for CountPeople {
    type Reply = u64;

    fn run(&self, db: &Db<'_>) -> Result<u64, StateError> {
        db.count("SELECT count(*) FROM person WHERE sync = ?1 AND state > 0", args![self.0])
    }
}

/// How many users of a sync are active or invited: the base of percentages. It goes through all of them.
#[derive(Debug)]
pub struct CountUsers(pub SyncId);

impl Command for CountUsers {
    type Reply = u64;

    fn run(&self, db: &Db<'_>) -> Result<u64, StateError> {
        db.count("SELECT count(*) FROM person WHERE sync = ?1 AND state IN (1, 3)", args![self.0])
    }
}

/// Whether somebody was invited and has not come yet.
#[derive(Debug)]
pub struct IsSomebodyInvited(pub SyncId);

impl Command for IsSomebodyInvited {
    type Reply = bool;

    fn run(&self, db: &Db<'_>) -> Result<bool, StateError> {
        db.exists("SELECT 1 FROM person WHERE sync = ?1 AND state = 3 LIMIT 1", args![self.0])
    }
}

fn rebound(sync: &str, what: &str, was: &str, is: &str, people: u64) -> StateError {
    StateError::new(
        Error::Config,
        format!("the {what} of sync {sync} was {was:?} when its {people} people were recorded, and is now {is:?}"),
    )
    .help(format!(
        "set it back, or, if these are the same people there: rosterd reconcile {sync} --adopt finds them again and binds the \
         sync anew"
    ))
}

/// Whether somebody has paused a sync.
#[derive(Debug)]
pub struct IsPaused(pub SyncId);

impl Command for IsPaused {
    type Reply = bool;

    fn run(&self, db: &Db<'_>) -> Result<bool, StateError> {
        db.exists("SELECT 1 FROM sync WHERE id = ?1 AND paused_at IS NOT NULL", args![self.0])
    }
}

/// Pauses a sync, or lets it go on; `true` when that changed anything.
#[derive(Debug)]
pub struct SetPaused {
    /// Which.
    pub sync: SyncId,
    /// Since when, or not any more.
    pub since: Option<DateTime<Utc>>,
}

impl Command for SetPaused {
    type Reply = bool;

    fn run(&self, db: &Db<'_>) -> Result<bool, StateError> {
        let changed = db.execute(
            "UPDATE sync SET paused_at = ?2 WHERE id = ?1 AND (paused_at IS NULL) = (?2 IS NOT NULL)",
            args![self.sync, self.since],
        )?;
        Ok(changed > 0)
    }
}

/// Registers a sync, or brings its binding up to date, before its first write.
#[derive(Debug)]
pub struct BindSync(pub Binding);

impl Command for BindSync {
    type Reply = SyncId;

    fn run(&self, db: &Db<'_>) -> Result<SyncId, StateError> {
        let b = &self.0;
        db.row(
            "INSERT INTO sync (name, source, target, kind, base_url, source_key, resource)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (name) DO UPDATE SET
                     source = ?2, target = ?3, kind = ?4, base_url = ?5, source_key = ?6, resource = ?7
                 RETURNING id",
            args![b.sync, b.source, b.target, b.kind, b.base_url, b.source_key, b.resource],
            |row| row.get(0),
        )
    }
}

/// The next people after a key, in key order.
#[derive(Clone, Debug)]
pub struct PeoplePage {
    /// Whose.
    pub sync: SyncId,
    /// The last key of the page before.
    pub after: Option<Key>,
    /// How many at most.
    pub limit: usize,
}

impl Command for PeoplePage {
    type Reply = Vec<Person>;

    fn run(&self, db: &Db<'_>) -> Result<Vec<Person>, StateError> {
        let mut statement = db.prepare(
            "SELECT key, fingerprint, standing, state, remote_id, absent_since FROM person
             WHERE sync = ?1 AND key > ?2 ORDER BY key LIMIT ?3",
        )?;
        // No key is empty, so the empty text stands before all of them.
        let after = self.after.as_ref().map_or("", Key::as_str);
        statement.rows(args![self.sync, after, self.limit as i64], person)
    }
}

impl Page for PeoplePage {
    type Entry = Person;

    fn go_on(&mut self, read: &[Person]) {
        self.after = read.last().map(|person| person.key.clone());
    }
}

/// One person.
pub(super) const PERSON: &str =
    "SELECT key, fingerprint, standing, state, remote_id, absent_since FROM person WHERE sync = ?1 AND key = ?2";

pub(super) fn person(row: &Row<'_>) -> Result<Person, StateError> {
    Ok(Person {
        key: row.get(0)?,
        fingerprint: row.get(1)?,
        standing: Standing::of(row.get(2)?),
        state: PersonState::of(row.get(3)?),
        remote_id: row.get(4)?,
        absent_since: row.get(5)?,
    })
}

/// These people, as far as they are known.
#[derive(Debug)]
pub struct People {
    /// Whose.
    pub sync: SyncId,
    /// Who.
    pub keys: Vec<Key>,
}

impl Command for People {
    type Reply = BTreeMap<Key, Person>;

    fn run(&self, db: &Db<'_>) -> Result<Self::Reply, StateError> {
        let mut statement = db.prepare(PERSON)?;
        let mut people = BTreeMap::new();
        for key in &self.keys {
            if let Some(found) = statement.one(args![self.sync, key.as_str()], person)? {
                people.insert(key.clone(), found);
            }
        }
        Ok(people)
    }
}

/// Which person of which of these syncs owns an account.
#[derive(Debug)]
pub struct OwnerOf {
    /// The syncs that write to the target: a sync that is no longer configured owns nothing.
    pub syncs: BTreeSet<String>,
    /// What the target is: the ids of another place are other accounts.
    pub target: TargetIdentity,
    /// The account's id there.
    pub remote_id: RemoteId,
}

impl Command for OwnerOf {
    type Reply = Option<(String, Key)>;

    fn run(&self, db: &Db<'_>) -> Result<Self::Reply, StateError> {
        let mut statement = db.prepare(
            "SELECT s.name, p.key, s.base_url FROM sync s JOIN person p ON p.sync = s.id
             WHERE p.remote_id = ?1 AND p.state IN (1, 2, 3, 5) ORDER BY s.name",
        )?;
        let owners = statement.rows(args![self.remote_id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        for (sync, key, base_url) in owners {
            let (sync, key, base_url): (String, String, String) = (sync, key, base_url);
            if self.syncs.contains(&sync) && TargetIdentity::parse(&base_url).is_one_with(&self.target) {
                return Ok(Key::parse(&key).map(|key| (sync, key)));
            }
        }
        Ok(None)
    }
}

/// What is worth remembering of a person for whom nothing was sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Note {
    /// Their record, looked at, needs nothing as long as it stays the same.
    Looked(Fingerprint, Standing),
    /// Their record, looked at while the source was read, needs nothing as long as it stays the same: said of who still is
    /// known by the first of these fingerprints, and is by the other from here on.
    Reviewed {
        /// The fingerprint that was known.
        was: Fingerprint,
        /// That of their record.
        is: Fingerprint,
        /// What it remembers.
        standing: Standing,
    },
    /// A trusted read was without them at this time; the first such time stays, unless it is in the future.
    Absent(#[serde(with = "time::written")] DateTime<Utc>),
    /// They are back before anything happened.
    Present,
    /// They left and the sync ignores leavers, or came back from that.
    State(PersonState),
    /// They accepted their invitation: this is the account, and its record has to be looked at anew.
    Accepted {
        /// Its state.
        state: PersonState,
        /// Its id.
        remote_id: RemoteId,
        /// What the target shows of it.
        attributes: Attributes,
    },
}

/// Stores notes; one command a page, so that a million unchanged people need no million commands.
#[derive(Debug)]
pub struct TakeNotes {
    /// Whose.
    pub sync: SyncId,
    /// What.
    pub notes: Vec<(Key, Note)>,
}

impl Command for TakeNotes {
    type Reply = ();

    fn run(&self, db: &Db<'_>) -> Result<(), StateError> {
        if self.notes.is_empty() {
            return Ok(());
        }
        let people = PeopleWriter::of(db, self.sync);
        let mut looked = people.prepare(
            "INSERT INTO person (sync, key, fingerprint, standing) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (sync, key) DO UPDATE SET fingerprint = ?3, standing = ?4",
        )?;
        let mut reviewed = people.prepare(
            "UPDATE person SET fingerprint = ?4, standing = ?5 WHERE sync = ?1 AND key = ?2 AND fingerprint = ?3",
        )?;
        let mut absent = people.prepare(
            "UPDATE person SET absent_since = CASE WHEN absent_since < ?3 THEN absent_since ELSE ?3 END
             WHERE sync = ?1 AND key = ?2",
        )?;
        let mut present = people.prepare("UPDATE person SET absent_since = NULL WHERE sync = ?1 AND key = ?2")?;
        let mut state =
            people.prepare("UPDATE person SET state = ?3, absent_since = NULL WHERE sync = ?1 AND key = ?2")?;
        let mut accepted = people.prepare(
            "UPDATE person SET state = ?3, remote_id = ?4, fingerprint = NULL, standing = 0
             WHERE sync = ?1 AND key = ?2",
        )?;
        let mut body = db.prepare("UPDATE body SET attributes = ?3 WHERE sync = ?1 AND key = ?2")?;
        for (key, note) in &self.notes {
            let key = key.as_str();
            match note {
                Note::Looked(print, standing) => looked.execute(args![self.sync, key, print, standing.code()])?,
                Note::Reviewed { was, is, standing } => {
                    reviewed.execute(args![self.sync, key, was, is, standing.code()])?
                }
                Note::Absent(at) => absent.execute(args![self.sync, key, at])?,
                Note::Present => present.execute(args![self.sync, key])?,
                Note::State(to) => state.execute(args![self.sync, key, to.code()])?,
                Note::Accepted { state, remote_id, attributes } => {
                    let moved = accepted.execute_unless_taken(args![self.sync, key, state.code(), remote_id])?;
                    if moved.is_none() {
                        let owner = super::journal::owner_of(db, self.sync, remote_id)?;
                        tracing::warn!(%key, %owner, "the account under which an invitation was accepted is another's");
                        continue;
                    }
                    body.execute(args![self.sync, key, serde_json::to_string(attributes)?])?
                }
            };
        }
        Ok(())
    }
}
