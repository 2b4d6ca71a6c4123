//! What a sync is bound to, and binding it anew: the whole snapshot moves to another address, key or kind at once.
//!
//! The people who were found again are gathered under a new number while the old rows stay as they are; one
//! transaction then puts the new in the place of the old. Whatever happens before it, nothing has changed.

use chrono::{DateTime, Utc};

use super::db::args;
use super::people::Binding;
use super::people_writer::PeopleWriter;
use super::{Command, Db, StateError};
use crate::domain::ids::SyncId;
use crate::domain::record::Key;
use crate::domain::remote_id::RemoteId;
use crate::domain::rules::PersonState;
use crate::domain::target_identity::TargetIdentity;
use crate::domain::value::Attributes;

impl Binding {
    /// Where the target is.
    pub fn identity(&self) -> TargetIdentity {
        TargetIdentity::parse(&self.base_url)
    }

    /// The first thing by which rows of this binding mean nothing under another, as it is here and there. What source
    /// and target are called, and how an address is spelled, makes no difference.
    pub fn difference<'a>(&'a self, other: &'a Binding) -> Option<(&'static str, &'a str, &'a str)> {
        let (was, is) = (self.identity(), other.identity());
        if self.kind != other.kind {
            return Some(("target kind", &self.kind, &other.kind));
        }
        if self.resource != other.resource {
            return Some(("resource", self.resource.as_str(), other.resource.as_str()));
        }
        if !was.is_one_with(&is) {
            let what = if was.has_address_of(&is) { "place (base_url with options)" } else { "base_url" };
            return Some((what, &self.base_url, &other.base_url));
        }
        (self.source_key != other.source_key).then_some(("source key", &self.source_key, &other.source_key))
    }
}

/// A sync's binding as it stands in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The sync's number.
    pub id: SyncId,
    /// To what it is bound.
    pub binding: Binding,
}

/// Asks what a sync is bound to; nothing when it never ran.
#[derive(Debug)]
pub struct BoundTo(pub String);

impl Command for BoundTo {
    type Reply = Option<Bound>;

    fn run(&self, db: &Db<'_>) -> Result<Option<Bound>, StateError> {
        db.one(
            "SELECT id, name, source, target, kind, base_url, source_key, resource FROM sync
                 WHERE name = ?1",
            args![self.0],
            |row| {
                let binding = Binding {
                    sync: row.get(1)?,
                    source: row.get(2)?,
                    target: row.get(3)?,
                    kind: row.get(4)?,
                    base_url: row.get(5)?,
                    source_key: row.get(6)?,
                    resource: row.get(7)?,
                };
                Ok(Bound { id: row.get(0)?, binding })
            },
        )
    }
}

/// The name under which people are gathered: no sync can be called that.
fn gathering(sync: &str) -> String {
    format!("{sync} (being bound anew)")
}

/// Begins to gather; forgets what an earlier attempt had gathered.
#[derive(Debug)]
pub struct BeginGathering(pub Binding);

impl Command for BeginGathering {
    type Reply = SyncId;

    fn run(&self, db: &Db<'_>) -> Result<SyncId, StateError> {
        let b = &self.0;
        let name = gathering(&b.sync);
        let left = db.one("SELECT id FROM sync WHERE name = ?1", args![&name], |row| row.get::<SyncId>(0))?;
        if let Some(id) = left {
            remove(db, id)?;
        }
        // The target's name is set at the end: until then these rows own no account.
        let id = db.insert(
            "INSERT INTO sync (name, source, target, kind, base_url, source_key, resource)
             VALUES (?1, ?2, '', ?3, ?4, ?5, ?6)",
            args![name, b.source, b.kind, b.base_url, b.source_key, b.resource],
        )?;
        Ok(SyncId(id))
    }
}

/// Somebody who was found again.
#[derive(Clone, Debug)]
pub struct FoundAgain {
    /// The key they have now.
    pub key: Key,
    /// The account.
    pub remote_id: RemoteId,
    /// Its state.
    pub state: PersonState,
    /// Its values.
    pub attributes: Attributes,
}

/// Gathers people.
#[derive(Debug)]
pub struct Gather {
    /// From [`BeginGathering`].
    pub sync: SyncId,
    /// When.
    pub at: DateTime<Utc>,
    /// Who. Somebody whose key or account has been gathered already is passed over.
    pub people: Vec<FoundAgain>,
}

impl Command for Gather {
    type Reply = u64;

    fn run(&self, db: &Db<'_>) -> Result<u64, StateError> {
        let mut person = PeopleWriter::of(db, self.sync).prepare(
            "INSERT INTO person (sync, key, state, remote_id) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        )?;
        let mut body = db.prepare(
            "INSERT INTO body (sync, key, attributes, confirmed_at, observed, observed_at)
             VALUES (?1, ?2, ?3, ?4, ?3, ?4)",
        )?;
        let mut gathered = 0;
        for p in &self.people {
            if person.execute(args![self.sync, p.key.as_str(), p.state.code(), p.remote_id])? > 0 {
                body.execute(args![self.sync, p.key.as_str(), serde_json::to_string(&p.attributes)?, self.at])?;
                gathered += 1;
            }
        }
        Ok(gathered)
    }
}

/// Whether an account has been gathered, or is one that the sync had before.
#[derive(Debug)]
pub struct WhoseWas {
    /// The sync as it was.
    pub sync: SyncId,
    /// The account.
    pub remote_id: RemoteId,
}

impl Command for WhoseWas {
    type Reply = Option<Key>;

    fn run(&self, db: &Db<'_>) -> Result<Option<Key>, StateError> {
        let key: Option<String> = db.one(
            "SELECT key FROM person WHERE sync = ?1 AND remote_id = ?2",
            args![self.sync, self.remote_id],
            |row| row.get(0),
        )?;
        Ok(key.and_then(|key| Key::parse(&key)))
    }
}

/// Puts the people who were gathered in the place of those that the sync had, and binds it.
#[derive(Debug)]
pub struct Rebind {
    /// The sync as it was.
    pub old: SyncId,
    /// From [`BeginGathering`].
    pub new: SyncId,
    /// What it is bound to now.
    pub binding: Binding,
}

impl Command for Rebind {
    type Reply = ();

    fn run(&self, db: &Db<'_>) -> Result<(), StateError> {
        let paused: Option<String> =
            db.row("SELECT paused_at FROM sync WHERE id = ?1", args![self.old], |row| row.get(0))?;
        remove(db, self.old)?;
        db.execute(
            "UPDATE sync SET name = ?2, target = ?3, paused_at = ?4 WHERE id = ?1",
            args![self.new, self.binding.sync, self.binding.target, paused],
        )?;
        // Whatever waits for approval was planned for another place.
        db.execute(
            "DELETE FROM plan_operation WHERE plan IN (SELECT id FROM plan WHERE sync = ?1 AND status = 'held')",
            args![&self.binding.sync],
        )?;
        db.execute(
            "UPDATE plan SET status = 'superseded' WHERE sync = ?1 AND status = 'held'",
            args![&self.binding.sync],
        )?;
        Ok(())
    }
}

fn remove(db: &Db<'_>, sync: SyncId) -> Result<(), StateError> {
    PeopleWriter::of(db, sync).execute("DELETE FROM person WHERE sync = ?1", args![sync])?;
    for table in ["body", "journal", "undo"] {
        db.execute(&format!("DELETE FROM {table} WHERE sync = ?1"), args![sync])?;
    }
    db.execute("DELETE FROM sync WHERE id = ?1", args![sync])?;
    Ok(())
}
