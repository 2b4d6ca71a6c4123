//! Sending a held plan that somebody approved: it is made anew in the way in which it was made, and sent if every
//! operation is the same.

use super::{Approval, Asked, RunRequest, RunSummary, Runner, chosen};
use crate::domain::error::{Error, Failure, Result};
use crate::domain::ids::PlanId;
use crate::domain::limits::Consent;
use crate::plan::PAGE;
use crate::state::plans::{HeldPlan, Origin, PlanOperations, PlanStatus};

impl Runner {
    /// Sends a held plan, approved by this person for this reason. Only the holder of the sender's lock may ask.
    ///
    /// # Errors
    /// The sync is unknown by now, or the state fails. What became of the run is in its summary.
    pub async fn approve(&self, plan: &HeldPlan, by: String, reason: Option<String>) -> Result<RunSummary> {
        let operations = self.digests(&plan.id).await?;
        let consent = Consent { operations, basis: plan.basis.clone() };
        let approval = Approval { plan: plan.id.clone(), consent, by, reason };
        let names = [plan.sync.clone()];
        let none = || Failure::internal(format!("the run of plan {} left no summary", plan.id));
        match &plan.origin {
            Origin::Sync => {
                let request = RunRequest { approval: Some(approval), ..RunRequest::default() };
                self.sync(&names, &request).await?.pop().ok_or_else(none)
            }
            Origin::Reconcile(remedy) => {
                let syncs = chosen(&self.settings, &names)?;
                let mut readings = self.read_to_reconcile(&syncs, *remedy).await?;
                let (read, mut syncs) = readings.pop().ok_or_else(none)?;
                let sync = syncs.pop().ok_or_else(none)?;
                let run =
                    self.reconcile(&sync, &read, *remedy, Asked::Approved(Box::new(approval)), |_| Ok(())).await?;
                run.ok_or_else(none)
            }
            Origin::Undo(run) => self.undo(run, approval).await,
        }
    }

    /// The digests of a held plan's operations.
    async fn digests(&self, id: &PlanId) -> Result<std::collections::BTreeSet<crate::domain::limits::Digest>> {
        let mut digests = std::collections::BTreeSet::new();
        let mut pages = self.state.pages(PlanOperations { plan: id.clone(), from: 0, limit: PAGE });
        while let Some(page) = pages.next().await? {
            digests.extend(page.iter().filter(|operation| !operation.is_step()).map(|operation| operation.digest()));
        }
        Ok(digests)
    }
}

/// The refusal of a plan that is not held any more.
pub fn spent(id: &PlanId, status: PlanStatus) -> Failure {
    let (why, help) = match status {
        PlanStatus::Sent => ("was approved already", "an approval is good once"),
        PlanStatus::Discarded => ("was discarded", "a run that plans the same holds it again"),
        PlanStatus::Superseded => ("was superseded by a later plan", "see what is held now: rosterd plans"),
        PlanStatus::Held => ("is held", "see: rosterd plans"),
    };
    Failure::new(Error::Held, format!("plan {id} {why}")).help(help)
}
