//! Held plans: kept with their operations until somebody approves or discards them, or another plan takes their
//! place.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use super::db::args;
use super::{Command, Db, Page, Row, StateError};
use crate::domain::ids::{PlanId, RunId};
use crate::domain::json_schema::Rfc3339;
use crate::domain::limits::{Basis, LimitName};
use crate::domain::operation::OpKind;
use crate::domain::planned::Planned;
use crate::domain::remedy::Remedy;
use crate::domain::resource::Resource;
use crate::domain::time;

/// Where a plan comes from: an approval makes it anew in the same way, to see whether it still holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// An ordinary run.
    #[default]
    Sync,
    /// The inverse of this run.
    Undo(RunId),
    /// A reconcile, with what it was asked to do.
    Reconcile(Remedy),
}

impl Origin {
    /// How the database spells it.
    pub fn spelled(&self) -> String {
        match self {
            Origin::Sync => "sync".into(),
            Origin::Undo(run) => format!("undo {run}"),
            Origin::Reconcile(remedy) => {
                format!(
                    "reconcile{}{}",
                    if remedy.adopt { " adopt" } else { "" },
                    if remedy.repair { " repair" } else { "" }
                )
            }
        }
    }

    fn read(text: &str) -> Origin {
        match text.split_once(' ') {
            Some(("undo", run)) => Origin::Undo(run.into()),
            Some(("reconcile", what)) => {
                let asked = |word| what.split(' ').any(|w| w == word);
                Origin::Reconcile(Remedy { adopt: asked("adopt"), repair: asked("repair") })
            }
            _ => Origin::Sync,
        }
    }

    fn is_sync(&self) -> bool {
        *self == Origin::Sync
    }
}

impl Serialize for Origin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.spelled())
    }
}

/// A held plan, without its operations.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct HeldPlan {
    /// Its id: a hash of the sync and the operations.
    pub id: PlanId,
    /// The sync.
    pub sync: String,
    /// What of the target it is of.
    #[serde(skip)]
    pub resource: Resource,
    /// When it was first held.
    #[serde(with = "time::written")]
    #[schemars(with = "Rfc3339")]
    pub made_at: DateTime<Utc>,
    /// What held it.
    #[schemars(with = "String")]
    pub limit: LimitName,
    /// How many there are.
    pub count: u64,
    /// How many are allowed.
    pub allowed: u64,
    /// Operations by kind.
    pub counts: BTreeMap<OpKind, u64>,
    /// Where it comes from; not said of an ordinary run.
    #[serde(skip_serializing_if = "Origin::is_sync")]
    #[schemars(with = "String")]
    pub origin: Origin,
    /// What it was made and judged by; unknown of one that an earlier version of this program held.
    #[serde(skip)]
    pub basis: Option<Basis>,
    /// It is of named people only (`--only`).
    #[serde(skip)]
    pub partial: bool,
    /// It is the bans of a plan, of which everything else was sent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub apart: bool,
    /// Since when a plan of the sync has waited, whose place others took.
    #[serde(skip)]
    pub waiting_since: DateTime<Utc>,
    /// The plan whose place it took while that was waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced: Option<PlanId>,
    /// Why its approval was refused, if it was: it would not be planned the same any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale: Option<String>,
}

/// What became of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanStatus {
    /// Waits.
    Held,
    /// Approved and sent: good once.
    Sent,
    /// Dropped by somebody.
    Discarded,
    /// Another plan of the sync took its place.
    Superseded,
}

impl PlanStatus {
    const ALL: [PlanStatus; 4] = [PlanStatus::Held, PlanStatus::Sent, PlanStatus::Discarded, PlanStatus::Superseded];

    /// The word in the database.
    pub const fn name(self) -> &'static str {
        match self {
            PlanStatus::Held => "held",
            PlanStatus::Sent => "sent",
            PlanStatus::Discarded => "discarded",
            PlanStatus::Superseded => "superseded",
        }
    }
}

/// Begins to hold a plan: opens it without operations, which [`HoldOperations`] adds, so that a plan of any length
/// fits. Nobody sees it, and what was held stays held, until [`HoldComplete`]: killed in between, there is no half of
/// a plan that somebody could approve. `true` when it was not held before, so that its outcomes are to be written; a
/// plan that is held already is held under today's limits from now on.
#[derive(Debug)]
pub struct Hold {
    /// The plan.
    pub plan: HeldPlan,
    /// The run that planned it.
    pub run: RunId,
}

impl Command for Hold {
    type Reply = bool;

    fn run(&self, db: &Db<'_>) -> Result<bool, StateError> {
        let plan = &self.plan;
        let held = db.execute(
            "UPDATE plan SET held_by = ?2, count = ?3, allowed = ?4, basis = ?5, stale = NULL, apart = ?7,
                             partial = CASE WHEN partial < ?6 THEN partial ELSE ?6 END
             WHERE id = ?1 AND status = 'held'",
            args![
                plan.id,
                plan.limit.to_string(),
                plan.count as i64,
                plan.allowed as i64,
                serde_json::to_string(&plan.basis)?,
                plan.partial,
                plan.apart
            ],
        )?;
        if held > 0 {
            return Ok(false);
        }
        drop_unfinished(db, &plan.sync)?;
        for sql in ["DELETE FROM plan WHERE id = ?1", "DELETE FROM plan_operation WHERE plan = ?1"] {
            db.execute(sql, args![&plan.id])?;
        }
        db.execute(
            "INSERT INTO plan (id, sync, run, made_at, held_by, count, allowed, counts, origin, basis, partial, resource,
                               apart, waiting_since, status)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?4, 'unfinished')",
            args![
                plan.id,
                plan.sync,
                self.run,
                plan.made_at,
                plan.limit.to_string(),
                plan.count as i64,
                plan.allowed as i64,
                serde_json::to_string(&plan.counts)?,
                plan.origin.spelled(),
                plan.basis.as_ref().map(serde_json::to_string).transpose()?,
                plan.partial,
                plan.resource,
                plan.apart,
            ],
        )?;
        Ok(true)
    }
}

/// Ends the plan of this sync's own runs that waits: a run that went through has taken its place. An undo or a repair
/// that somebody asked for goes on waiting: it is no run's business.
#[derive(Debug)]
pub struct Supersede(pub String);

impl Command for Supersede {
    type Reply = ();

    fn run(&self, db: &Db<'_>) -> Result<(), StateError> {
        supersede(db, &self.0, &Origin::Sync, "")
    }
}

/// Ends [`Hold`]: all operations are there, and a plan of everybody takes the place of the one that was held and was made
/// in the same way.
#[derive(Debug)]
pub struct HoldComplete {
    /// The plan.
    pub plan: PlanId,
    /// The sync.
    pub sync: String,
    /// It is of everybody; one of a few people (`--only`) waits beside what is held already.
    pub whole: bool,
}

impl Command for HoldComplete {
    type Reply = ();

    fn run(&self, db: &Db<'_>) -> Result<(), StateError> {
        if self.whole {
            let origin: String =
                db.row("SELECT origin FROM plan WHERE id = ?1", args![&self.plan], |row| row.get(0))?;
            note_what_is_added(db, &self.plan, &self.sync, &origin)?;
            supersede(db, &self.sync, &Origin::read(&origin), self.plan.as_str())?;
        }
        db.execute("UPDATE plan SET status = 'held' WHERE id = ?1 AND status = 'unfinished'", args![&self.plan])?;
        Ok(())
    }
}

/// Notes which plan this one takes the place of, and which of its operations that had not.
fn note_what_is_added(db: &Db<'_>, plan: &PlanId, sync: &str, origin: &str) -> Result<(), StateError> {
    let way = origin.split(' ').next().unwrap_or_default();
    let before = db.one(
        "SELECT id, waiting_since FROM plan
         WHERE sync = ?1 AND status = 'held' AND id <> ?2 AND NOT partial AND (origin = ?3 OR origin LIKE ?3 || ' %')
         ORDER BY made_at DESC LIMIT 1",
        args![sync, plan, way],
        |row| Ok((row.get::<String>(0)?, row.get::<Option<String>>(1)?)),
    )?;
    let Some((before, since)) = before else { return Ok(()) };
    db.execute(
        "UPDATE plan SET replaced = ?2, waiting_since = coalesce(?3, waiting_since)
         WHERE id = ?1 AND status = 'unfinished'",
        args![plan, &before, since],
    )?;
    // Of a plan that an earlier version held it is not known whose its operations are.
    db.execute(
        "UPDATE plan_operation SET added = 1
         WHERE plan = ?1 AND kind || ' ' || key NOT IN (
             SELECT coalesce(kind || ' ' || key, '') FROM plan_operation WHERE plan = ?2)
         AND NOT EXISTS (SELECT 1 FROM plan_operation WHERE plan = ?2 AND key IS NULL)",
        args![plan, &before],
    )?;
    Ok(())
}

/// Drops what a dead process left of a plan that it was about to hold.
fn drop_unfinished(db: &Db<'_>, sync: &str) -> Result<(), StateError> {
    db.execute(
        "DELETE FROM plan_operation WHERE plan IN (SELECT id FROM plan WHERE sync = ?1 AND status = 'unfinished')",
        args![sync],
    )?;
    db.execute("DELETE FROM plan WHERE sync = ?1 AND status = 'unfinished'", args![sync])?;
    Ok(())
}

/// A plan takes the place of the others (but itself) that wait and were made in the same way.
fn supersede(db: &Db<'_>, sync: &str, origin: &Origin, but: &str) -> Result<(), StateError> {
    let spelled = origin.spelled();
    let way = spelled.split(' ').next().unwrap_or_default();
    db.execute(
        "DELETE FROM plan_operation WHERE plan IN
             (SELECT id FROM plan WHERE sync = ?1 AND status = 'held' AND id <> ?3
              AND (origin = ?2 OR origin LIKE ?2 || ' %'))",
        args![sync, way, but],
    )?;
    db.execute(
        "UPDATE plan SET status = 'superseded'
         WHERE sync = ?1 AND status = 'held' AND id <> ?3 AND (origin = ?2 OR origin LIKE ?2 || ' %')",
        args![sync, way, but],
    )?;
    Ok(())
}

/// Adds the next operations to a plan being held.
#[derive(Debug)]
pub struct HoldOperations {
    /// The plan.
    pub plan: PlanId,
    /// The number of the first of these.
    pub from: u64,
    /// The operations.
    pub operations: Vec<Planned>,
}

impl Command for HoldOperations {
    type Reply = ();

    fn run(&self, db: &Db<'_>) -> Result<(), StateError> {
        let mut insert = db.prepare(
            "INSERT INTO plan_operation (plan, seq, digest, operation, kind, key) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (plan, seq) DO UPDATE SET digest = ?3, operation = ?4, kind = ?5, key = ?6",
        )?;
        for (n, operation) in self.operations.iter().enumerate() {
            let text = serde_json::to_string(operation)?;
            let seq = self.from as i64 + n as i64;
            let (kind, key) = (operation.kind.name(), operation.key.as_str());
            insert.execute(args![self.plan, seq, operation.digest(), text, kind, key])?;
        }
        Ok(())
    }
}

/// The plans that wait.
#[derive(Debug)]
pub struct HeldPlans;

impl Command for HeldPlans {
    type Reply = Vec<HeldPlan>;

    fn run(&self, db: &Db<'_>) -> Result<Vec<HeldPlan>, StateError> {
        let rows = db.rows(
            "SELECT id, sync, made_at, held_by, count, allowed, counts, status, origin, basis, partial, stale, resource,
                    apart, replaced, waiting_since
             FROM plan
             WHERE status = 'held' ORDER BY sync, partial, made_at",
            args![],
            held_plan,
        )?;
        Ok(rows.into_iter().map(|(plan, _)| plan).collect())
    }
}

/// One plan, whatever became of it.
#[derive(Debug)]
pub struct FindPlan(pub PlanId);

impl Command for FindPlan {
    type Reply = Option<(HeldPlan, PlanStatus)>;

    fn run(&self, db: &Db<'_>) -> Result<Self::Reply, StateError> {
        db.one(
            "SELECT id, sync, made_at, held_by, count, allowed, counts, status, origin, basis, partial, stale, resource,
                    apart, replaced, waiting_since
             FROM plan
                 WHERE id = ?1 AND status <> 'unfinished'",
            args![self.0],
            held_plan,
        )
    }
}

fn held_plan(row: &Row<'_>) -> Result<(HeldPlan, PlanStatus), StateError> {
    let status: String = row.get(7)?;
    let plan = HeldPlan {
        id: row.get(0)?,
        sync: row.get(1)?,
        made_at: row.get(2)?,
        limit: LimitName::parse(&row.get::<String>(3)?)
            .ok_or_else(|| StateError::damaged("a stored plan was held by a limit that is not known"))?,
        count: row.get::<i64>(4)?.unsigned_abs(),
        allowed: row.get::<i64>(5)?.unsigned_abs(),
        counts: serde_json::from_str(&row.get::<String>(6)?).unwrap_or_default(),
        origin: Origin::read(&row.get::<String>(8)?),
        basis: row.get::<Option<String>>(9)?.and_then(|text| serde_json::from_str(&text).ok()),
        partial: row.get(10)?,
        stale: row.get(11)?,
        resource: row.get(12)?,
        apart: row.get(13)?,
        replaced: row.get::<Option<String>>(14)?.map(|id| id.as_str().into()),
        waiting_since: row.get::<Option<DateTime<Utc>>>(15)?.unwrap_or(row.get(2)?),
    };
    let status = PlanStatus::ALL.into_iter().find(|s| s.name() == status).unwrap_or(PlanStatus::Superseded);
    Ok((plan, status))
}

/// The next operations of a held plan.
#[derive(Clone, Debug)]
pub struct PlanOperations {
    /// The plan.
    pub plan: PlanId,
    /// The number of the first.
    pub from: u64,
    /// How many at most.
    pub limit: usize,
}

impl Command for PlanOperations {
    type Reply = Vec<Planned>;

    fn run(&self, db: &Db<'_>) -> Result<Vec<Planned>, StateError> {
        let rows = db.rows(
            "SELECT operation FROM plan_operation WHERE plan = ?1 AND seq >= ?2 ORDER BY seq LIMIT ?3",
            args![self.plan, self.from as i64, self.limit as i64],
            |row| row.get::<String>(0),
        )?;
        let mut operations = Vec::new();
        for row in rows {
            operations.push(serde_json::from_str(&row)?);
        }
        Ok(operations)
    }
}

impl Page for PlanOperations {
    type Entry = Planned;

    fn go_on(&mut self, read: &[Planned]) {
        self.from += read.len() as u64;
    }
}

/// The approval of a held plan was refused. It goes on waiting: a run that plans the same makes it good again.
#[derive(Debug)]
pub struct MarkStale {
    /// The plan.
    pub plan: PlanId,
    /// Why.
    pub why: String,
}

impl Command for MarkStale {
    type Reply = ();

    fn run(&self, db: &Db<'_>) -> Result<(), StateError> {
        db.execute("UPDATE plan SET stale = ?2 WHERE id = ?1 AND status = 'held'", args![&self.plan, &self.why])?;
        Ok(())
    }
}

/// Ends a held plan, with who and why; `false` when it was not held any more.
#[derive(Debug)]
pub struct DecidePlan {
    /// The plan.
    pub id: PlanId,
    /// What becomes of it.
    pub status: PlanStatus,
    /// When.
    pub at: DateTime<Utc>,
    /// Who: the login name.
    pub by: String,
    /// Why, if they said.
    pub reason: Option<String>,
}

impl Command for DecidePlan {
    type Reply = bool;

    fn run(&self, db: &Db<'_>) -> Result<bool, StateError> {
        let changed = db.execute(
            "UPDATE plan SET status = ?2, decided_at = ?3, decided_by = ?4, reason = ?5
                 WHERE id = ?1 AND status = 'held'",
            args![self.id, self.status.name(), self.at, self.by, self.reason],
        )?;
        if changed > 0 && self.status != PlanStatus::Sent {
            db.execute("DELETE FROM plan_operation WHERE plan = ?1", args![&self.id])?;
        }
        Ok(changed > 0)
    }
}
