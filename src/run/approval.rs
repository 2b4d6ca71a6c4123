//! Somebody's yes to a held plan, and whether it still counts.

use std::collections::BTreeSet;

use crate::exit::{Exit, Failure, Result};
use crate::limits::Digest;
use crate::state::State;
use crate::state::plans::{FindPlan, HeldPlan, PlanOperations, PlanStatus};

/// How many operations of a held plan are in memory at once while its digests are read.
const PAGE: usize = 500;

/// Somebody's yes to a held plan.
#[derive(Clone, Debug)]
pub struct Approval {
    /// The plan.
    pub plan: String,
    /// The operations they saw.
    pub operations: BTreeSet<Digest>,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
}

impl Approval {
    /// The approval of the held plan with this id.
    ///
    /// # Errors
    /// There is no such plan (64), or it is not held any more (3).
    pub async fn of(state: &State, id: &str, by: String, reason: Option<String>) -> Result<(HeldPlan, Approval)> {
        let (plan, status) = state
            .ask(FindPlan(id.into()))
            .await?
            .ok_or_else(|| Failure::new(Exit::Usage, format!("there is no plan {id}")).help("see: rosterd plans"))?;
        if status != PlanStatus::Held {
            return Err(spent(id, status));
        }
        let approval = Approval { plan: plan.id.clone(), operations: digests(state, id).await?, by, reason };
        Ok((plan, approval))
    }
}

impl std::fmt::Display for Approval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "plan {} approved by {}", self.plan, self.by)?;
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

/// The refusal of a plan that is not held any more.
pub fn spent(id: &str, status: PlanStatus) -> Failure {
    let (why, help) = match status {
        PlanStatus::Sent => ("was approved already", "an approval is good once"),
        PlanStatus::Discarded => ("was discarded", "a run that plans the same holds it again"),
        PlanStatus::Superseded => ("was superseded by a later plan", "see what is held now: rosterd plans"),
        PlanStatus::Held => ("is held", "see: rosterd plans"),
    };
    Failure::new(Exit::Held, format!("plan {id} {why}")).help(help)
}

async fn digests(state: &State, id: &str) -> Result<BTreeSet<Digest>> {
    let mut digests = BTreeSet::new();
    let mut from = 0;
    loop {
        let page = state.ask(PlanOperations { plan: id.into(), from, limit: PAGE }).await?;
        if page.is_empty() {
            return Ok(digests);
        }
        from += page.len() as u64;
        digests.extend(page.iter().map(|operation| operation.digest()));
    }
}
