//! What a held plan is beside others: the last one that somebody approved, and the one whose place it took.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::db::args;
use super::{Command, Db, StateError};
use crate::domain::ids::PlanId;
use crate::domain::limits::Digest;
use crate::domain::planned::Planned;

/// A plan that was approved and sent.
#[derive(Clone, Debug, PartialEq)]
pub struct ApprovedPlan {
    /// Its id.
    pub id: PlanId,
    /// When it was approved.
    pub at: DateTime<Utc>,
    /// By whom.
    pub by: String,
    /// The first eight bytes of the digest of each of its operations.
    operations: BTreeSet<u64>,
}

impl ApprovedPlan {
    /// Whether it had this very operation.
    pub fn had(&self, operation: &Planned) -> bool {
        self.operations.contains(&shortened(&operation.digest()))
    }
}

/// Enough of a digest to tell operations apart for people; nothing is decided by it.
fn shortened(digest: &Digest) -> u64 {
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The last plan of this sync's own runs that somebody approved.
#[derive(Debug)]
pub struct LastApproved(pub String);

impl Command for LastApproved {
    type Reply = Option<ApprovedPlan>;

    fn run(&self, db: &Db<'_>) -> Result<Self::Reply, StateError> {
        let found = db.one(
            "SELECT id, decided_at, decided_by FROM plan WHERE sync = ?1 AND status = 'sent' AND origin = 'sync'
             AND decided_at IS NOT NULL ORDER BY decided_at DESC LIMIT 1",
            args![self.0],
            |row| Ok((row.get::<PlanId>(0)?, row.get(1)?, row.get::<Option<String>>(2)?.unwrap_or_default())),
        )?;
        let Some((id, at, by)) = found else { return Ok(None) };
        let digests =
            db.rows("SELECT digest FROM plan_operation WHERE plan = ?1", args![&id], |row| row.get::<Digest>(0))?;
        Ok(Some(ApprovedPlan { id, at, by, operations: digests.iter().map(shortened).collect() }))
    }
}

/// What a held plan has that the one whose place it took had not: how many operations, and the first of them.
#[derive(Debug)]
pub struct Added {
    /// The plan.
    pub plan: PlanId,
    /// How many at most.
    pub limit: usize,
}

impl Command for Added {
    type Reply = (u64, Vec<Planned>);

    fn run(&self, db: &Db<'_>) -> Result<Self::Reply, StateError> {
        let count: i64 =
            db.row("SELECT count(*) FROM plan_operation WHERE plan = ?1 AND added", args![&self.plan], |row| {
                row.get(0)
            })?;
        let rows = db.rows(
            "SELECT operation FROM plan_operation WHERE plan = ?1 AND added ORDER BY seq LIMIT ?2",
            args![&self.plan, self.limit as i64],
            |row| row.get::<String>(0),
        )?;
        let first = rows.iter().map(|text| Ok(serde_json::from_str(text)?)).collect::<Result<_, StateError>>()?;
        Ok((count.unsigned_abs(), first))
    }
}
