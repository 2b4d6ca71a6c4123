//! The journal: what may have left and has no answer yet, and the one transaction that ends it.
//!
//! [`Intend`] is durable before a request leaves. [`Settle`] removes the entry, writes the outcome and moves the
//! person's row, together. Whatever is still here when a new sender starts belongs to a process that died:
//! [`Recover`] turns it into `unknown`, which is resolved by looking at the target ([`super::unresolved`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::db::args;
use super::ledger::LedgerWriter;
use super::people_writer::PeopleWriter;
use super::undo::{self, Undoable};
use super::{Command, Db, StateError, history, runs};
use crate::domain::account::Kept;
use crate::domain::ids::{EntryId, RunId, SyncId};
use crate::domain::operation::Fingerprint;
use crate::domain::outcome::{ErrorKind, OfRun, OpError, Outcome, Status};
use crate::domain::planned::Planned;
use crate::domain::record::Key;
use crate::domain::remote_id::{LoggableId, RemoteId};
use crate::domain::rules::PersonState;
use crate::domain::value::Attributes;

pub use super::unresolved::{
    CountFrom, Resolve, UnansweredCreate, UnansweredCreates, Unresolved, UnresolvedKeys, UnresolvedOf, UnresolvedPage,
};

/// Records operations before their requests leave.
#[derive(Debug)]
pub struct Intend {
    /// The run.
    pub run: RunId,
    /// Whose.
    pub sync: SyncId,
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub operations: Vec<Intent>,
}

/// An operation as the journal keeps it.
pub struct Intent {
    /// The person.
    pub key: Key,
    /// The operation's JSON.
    pub operation: String,
}

impl Intent {
    /// The intent to carry this out.
    ///
    /// # Errors
    /// It can't be written as JSON, which is a defect.
    pub fn to(operation: &Planned) -> Result<Intent, StateError> {
        Ok(Intent { key: operation.key.clone(), operation: serde_json::to_string(operation)? })
    }
}

impl std::fmt::Debug for Intent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Intent({})", self.key)
    }
}

impl Command for Intend {
    type Reply = Vec<EntryId>;

    fn run(&self, db: &Db<'_>) -> Result<Vec<EntryId>, StateError> {
        let mut insert =
            db.prepare("INSERT INTO journal (run, sync, key, intended_at, operation) VALUES (?1, ?2, ?3, ?4, ?5)")?;
        let mut ids = Vec::with_capacity(self.operations.len());
        for Intent { key, operation } in &self.operations {
            ids.push(EntryId(insert.insert(args![self.run, self.sync, key.as_str(), self.at, operation])?));
        }
        Ok(ids)
    }
}

/// What a settled operation means for the person's row.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Nothing changes.
    None,
    /// The target acknowledged: this is the account now.
    Confirmed {
        /// Its state.
        state: PersonState,
        /// Its id.
        remote_id: RemoteId,
        /// All values that are acknowledged.
        attributes: Attributes,
        /// The record that it is in step with, and whether that record is in or out of scope.
        fingerprint: Option<Fingerprint>,
    },
    /// The account is no longer there.
    Gone,
    /// The link is forgotten, the account left alone.
    Unlinked,
    /// Sent, and no usable answer: the entry stays until it is resolved.
    Unknown,
    /// A create without a usable answer, which is looked up once more at the end of the run ([`UnansweredCreates`]): until then the
    /// entry keeps its outcome, and nothing is told.
    Doubtful {
        /// The create, where it is not what was intended.
        instead: Option<Box<Planned>>,
    },
}

/// The end of one operation.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// Its entry in the journal; none when it was never begun.
    pub entry: Option<EntryId>,
    /// The person.
    pub key: Key,
    /// When.
    pub at: DateTime<Utc>,
    /// What it means for the person.
    pub effect: Effect,
    /// What the ledger says; nothing of a step on the way.
    pub outcome: Option<Arc<Outcome>>,
    /// What it replaced, where the target acknowledged it.
    pub replaced: Option<Undoable>,
    /// What the target shows against what was written.
    pub kept: Kept,
}

impl Settlement {
    /// The account turned out to be another person's: that is what becomes of the operation, and nobody is linked.
    fn refused(&self, owner: &str) -> Settlement {
        let mut refused = Settlement { effect: Effect::None, replaced: None, ..self.clone() };
        if let Some(outcome) = refused.outcome.as_mut().map(Arc::make_mut) {
            let id = outcome.remote_id.as_ref().map_or("(without an id)", LoggableId::as_str);
            let message = format!(
                "the target answered with account {id}, and account {id} belongs to {owner}; nobody was linked: \
                 do the two share a value that must be unique, or was the platform emptied or put back? see rosterd \
                 reconcile {}",
                outcome.sync
            );
            (outcome.status, outcome.reason) = (Status::Failed, None);
            outcome.error = Some(OpError::new(ErrorKind::Conflict, message));
        }
        refused
    }
}

/// Ends operations: entry, outcome and person in one transaction. Gives the outcomes back, to be reported.
#[derive(Debug)]
pub struct Settle {
    /// Whose.
    pub sync: SyncId,
    /// What.
    pub settlements: Vec<Settlement>,
}

impl Command for Settle {
    type Reply = Vec<Arc<Outcome>>;

    fn run(&self, db: &Db<'_>) -> Result<Self::Reply, StateError> {
        let (people, mut ledger) = (PeopleWriter::of(db, self.sync), LedgerWriter::of(db)?);
        let mut outcomes = Vec::with_capacity(self.settlements.len());
        for settlement in &self.settlements {
            outcomes.extend(settle(&people, &mut ledger, settlement)?);
        }
        Ok(outcomes)
    }
}

/// Ends one operation; gives back the outcome that is to be told.
fn settle(
    people: &PeopleWriter<'_>,
    ledger: &mut LedgerWriter<'_>,
    settlement: &Settlement,
) -> Result<Option<Arc<Outcome>>, StateError> {
    let (db, sync) = (people.db(), people.sync());
    if let Effect::Doubtful { instead } = &settlement.effect {
        keep_doubt(db, settlement, instead.as_deref())?;
        return Ok(None);
    }
    let mut refused = None;
    let settlement = match apply(people, &settlement.key, &settlement.effect, settlement.at)? {
        Applied::Anothers(owner) => refused.insert(settlement.refused(&owner)),
        Applied::Done { kept } => {
            keep(db, sync, settlement, kept)?;
            settlement
        }
    };
    if let Some(outcome) = &settlement.outcome {
        ledger.insert(outcome)?;
        if let Some(replaced) = &settlement.replaced {
            undo::insert(db, &outcome.run, sync, &settlement.key, replaced)?;
        }
    }
    match (settlement.entry, &settlement.effect) {
        (None, _) => {}
        // It left before its answer was given up, and when exactly nobody knows.
        (Some(entry), Effect::Unknown) => {
            db.execute(
                "UPDATE journal SET unknown = 1, intended_at = CASE WHEN doubt IS NULL THEN ?2 ELSE intended_at END, doubt = NULL
                 WHERE id = ?1",
                args![entry, settlement.at],
            )?;
        }
        (Some(entry), _) => {
            db.execute("DELETE FROM journal WHERE id = ?1", args![entry])?;
        }
    }
    Ok(settlement.outcome.clone())
}

/// The entry of a create without a usable answer keeps its outcome until the end of the run.
fn keep_doubt(db: &Db<'_>, settlement: &Settlement, instead: Option<&Planned>) -> Result<(), StateError> {
    let outcome = serde_json::to_string(&settlement.outcome.as_deref())?;
    let instead = instead.map(serde_json::to_string).transpose()?;
    db.execute("UPDATE journal SET unknown = 1, intended_at = ?2, doubt = ?3, operation = coalesce(?4, operation) WHERE id = ?1", args![settlement.entry, settlement.at, outcome, instead])?;
    Ok(())
}

/// Remembers what the target shows against what was written now; of the same fields, whatever it showed `before` counts
/// no more.
fn keep(db: &Db<'_>, sync: SyncId, settlement: &Settlement, before: Option<String>) -> Result<(), StateError> {
    if before.is_none() && settlement.kept.is_empty() {
        return Ok(());
    }
    let mut all: Kept = before.map(|text| serde_json::from_str(&text)).transpose()?.unwrap_or_default();
    let written = settlement.outcome.as_ref().map_or(&[][..], |outcome| &outcome.fields);
    all.retain(|field, _| !written.contains(field));
    all.extend(settlement.kept.iter().map(|(field, value)| (field.clone(), value.clone())));
    let text = (!all.is_empty()).then(|| serde_json::to_string(&all)).transpose()?;
    db.execute("UPDATE body SET kept = ?3 WHERE sync = ?1 AND key = ?2", args![sync, settlement.key.as_str(), text])?;
    Ok(())
}

/// Takes over what the target shows of people, whatever was acknowledged before. Gives back whose account turned out to
/// be another's: of them nothing was taken over.
#[derive(Debug)]
pub struct Observe {
    /// Whose.
    pub sync: SyncId,
    /// When.
    pub at: DateTime<Utc>,
    /// Who, and what is so.
    pub observed: Vec<(Key, Effect)>,
}

impl Command for Observe {
    type Reply = Vec<Key>;

    fn run(&self, db: &Db<'_>) -> Result<Vec<Key>, StateError> {
        let people = PeopleWriter::of(db, self.sync);
        let mut refused = Vec::new();
        for (key, effect) in &self.observed {
            if let Applied::Anothers(_) = apply(&people, key, effect, self.at)? {
                refused.push(key.clone());
            }
        }
        Ok(refused)
    }
}

/// What became of an effect.
pub(super) enum Applied {
    /// The person is so now; what their target was known to keep, where they have a body.
    Done { kept: Option<String> },
    /// Nothing was changed: the account belongs to the person with this key.
    Anothers(String),
}

/// Who has this account.
///
/// # Errors
/// Nobody has.
pub(super) fn owner_of(db: &Db<'_>, sync: SyncId, remote_id: &RemoteId) -> Result<String, StateError> {
    db.row("SELECT key FROM person WHERE sync = ?1 AND remote_id = ?2", args![sync, remote_id], |row| row.get(0))
}

/// Moves a person's row, and their body with it.
pub(super) fn apply(
    people: &PeopleWriter<'_>,
    key: &Key,
    effect: &Effect,
    at: DateTime<Utc>,
) -> Result<Applied, StateError> {
    let (db, sync) = (people.db(), people.sync());
    let mut kept = None;
    match effect {
        Effect::None | Effect::Unknown | Effect::Doubtful { .. } => {}
        Effect::Confirmed { state, remote_id, attributes, fingerprint } => {
            let standing = i64::from(fingerprint.is_some());
            let mut confirm = people.prepare(
                "INSERT INTO person (sync, key, fingerprint, standing, state, remote_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT (sync, key) DO UPDATE SET
                         fingerprint = ?3, standing = ?4, state = ?5, remote_id = ?6, absent_since = NULL",
            )?;
            let arguments = args![sync, key.as_str(), fingerprint, standing, state.code(), remote_id];
            if confirm.execute_unless_taken(arguments)?.is_none() {
                return Ok(Applied::Anothers(owner_of(db, sync, remote_id)?));
            }
            kept = db.row(
                "INSERT INTO body (sync, key, attributes, confirmed_at) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (sync, key) DO UPDATE SET attributes = ?3, confirmed_at = ?4 RETURNING kept",
                args![sync, key.as_str(), serde_json::to_string(attributes)?, at],
                |row| row.get(0),
            )?;
        }
        Effect::Gone => {
            people.execute(
                "UPDATE person SET state = 4, remote_id = NULL, fingerprint = NULL, standing = 0, absent_since = NULL
                 WHERE sync = ?1 AND key = ?2",
                args![sync, key.as_str()],
            )?;
        }
        Effect::Unlinked => {
            people.execute("DELETE FROM person WHERE sync = ?1 AND key = ?2", args![sync, key.as_str()])?;
            db.execute("DELETE FROM body WHERE sync = ?1 AND key = ?2", args![sync, key.as_str()])?;
        }
    }
    Ok(Applied::Done { kept })
}

/// Ends what a dead process left: its runs are closed, and what it may have sent becomes `unknown`. Only the holder
/// of the sender's lock may ask for it, and only for syncs of which no run is under way.
#[derive(Debug)]
pub struct Recover {
    /// When.
    pub at: DateTime<Utc>,
    /// Of this sync alone; of all when none is named.
    pub sync: Option<String>,
    /// Whether the accounts' ids are addresses, by kind of target.
    pub id_is_address: BTreeMap<String, bool>,
}

/// Why a run that was not finished is closed, for people.
pub const INTERRUPTED: &str = "interrupted: the process ended before the run did";

impl Command for Recover {
    type Reply = u64;

    fn run(&self, db: &Db<'_>) -> Result<u64, StateError> {
        let mut count = self.tell_doubts(db)?;
        let mut ledger = LedgerWriter::of(db)?;
        let mut found = db.prepare(
            "SELECT j.id, j.run, s.name, s.source, s.target, j.operation, s.kind
             FROM journal j JOIN sync s ON s.id = j.sync WHERE j.unknown = 0 AND (?1 IS NULL OR s.name = ?1)
             ORDER BY j.id",
        )?;
        found.each(args![self.sync], |row| {
            let operation: Planned = serde_json::from_str(&row.get::<String>(5)?)?;
            if operation.is_step() {
                return Ok(());
            }
            let of = OfRun { run: row.get(1)?, sync: row.get(2)?, source: row.get(3)?, target: row.get(4)? };
            let (key, op) = (Some(operation.key.clone()), Some(operation.kind));
            let is_address = self.id_is_address.get(&row.get::<String>(6)?);
            let outcome = Outcome {
                remote_id: operation.remote_id.as_ref().map(|id| match is_address {
                    Some(is_address) => id.loggable(*is_address),
                    // No sync has a target of this kind any more.
                    None => id.loggable_by_look(),
                }),
                fields: operation.fields.keys().cloned().collect(),
                reason: Some("the process ended before an answer was recorded".into()),
                ..Outcome::new(self.at, of, key, op, Status::Unknown)
            };
            count += 1;
            ledger.insert(&outcome)
        })?;
        db.execute(
            "UPDATE journal SET unknown = 1
             WHERE unknown = 0 AND (?1 IS NULL OR sync IN (SELECT id FROM sync WHERE name = ?1))",
            args![&self.sync],
        )?;
        db.execute(
            "UPDATE run SET finished_at = ?1, status = 'failed', reason = ?2
             WHERE finished_at IS NULL AND (?3 IS NULL OR sync = ?3)",
            args![self.at, INTERRUPTED, self.sync],
        )?;
        history::count(
            db,
            "created IS NULL AND finished_at = ?1 AND (?2 IS NULL OR sync = ?2)",
            args![self.at, self.sync],
        )?;
        Ok(count)
    }
}

impl Recover {
    /// Those whose run ended before it looked them up once more.
    fn tell_doubts(&self, db: &Db<'_>) -> Result<u64, StateError> {
        let mut found = db.prepare(
            "SELECT j.doubt FROM journal j JOIN sync s ON s.id = j.sync
             WHERE j.doubt IS NOT NULL AND (?1 IS NULL OR s.name = ?1) ORDER BY j.id",
        )?;
        let (mut count, mut ledger) = (0, LedgerWriter::of(db)?);
        let mut runs = BTreeSet::new();
        found.each(args![self.sync], |row| {
            if let Some(outcome) = serde_json::from_str::<Option<Outcome>>(&row.get::<String>(0)?)? {
                ledger.insert(&Outcome { ts: self.at, ..outcome.clone() })?;
                runs.insert(outcome.run);
                count += 1;
            }
            Ok(())
        })?;
        db.execute(
            "UPDATE journal SET doubt = NULL
             WHERE doubt IS NOT NULL AND (?1 IS NULL OR sync IN (SELECT id FROM sync WHERE name = ?1))",
            args![&self.sync],
        )?;
        for run in runs {
            history::count(db, "id = ?1 AND finished_at IS NOT NULL", args![run])?;
            runs::count_anew(db, &run)?;
        }
        Ok(count)
    }
}
