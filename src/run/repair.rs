//! The run of a reconcile: compares, reports, and where it was asked to, sends what ends the differences.

use std::sync::Arc;

use super::{Approval, Read, Run, RunSummary, Runner, Wish, binding};
use crate::config::settings::SyncSettings;
use crate::delivery::{Client, RunId};
use crate::exit::{Exit, Failure, Result};
use crate::planner::{self, Resolved};
use crate::reconcile::{Comparison, Remedy, compare};
use crate::state::ledger;
use crate::state::people::{BindSync, FindSync};
use crate::state::plans::Origin;

impl Runner {
    /// Compares one sync with its target, hands the comparison to `report`, and sends what `remedy` asks for; the
    /// summary is that of the run, where there is one. Only the holder of the sender's lock may ask for a remedy.
    ///
    /// # Errors
    /// It could not be compared, or not be reported. What went wrong in a run is in its summary.
    pub async fn reconcile<F>(
        &self,
        sync: &Arc<SyncSettings>,
        read: &Result<Read, Arc<Failure>>,
        remedy: Remedy,
        approval: Option<Approval>,
        mut report: F,
    ) -> Result<Option<RunSummary>>
    where
        F: FnMut(&Comparison) -> Result<()>,
    {
        let read = match read {
            Ok(read) => read,
            Err(failure) => return Err(failure.again()),
        };
        if !remedy.any() {
            let client = Arc::new(Client::connect(&sync.target, &self.clock)?);
            report(&compare(self, sync, &client, read, false).await?)?;
            return Ok(None);
        }
        let began = tokio::time::Instant::now();
        let mut summary = RunSummary::new(ulid::Ulid::new().to_string(), sync.name.clone());
        let wish = Wish { approval, origin: Origin::Reconcile(remedy), ..Wish::default() };
        let mut reported = false;
        let repaired = self
            .repair(&mut summary, sync, read, &wish, remedy, |comparison| {
                reported = true;
                report(comparison)
            })
            .await;
        if let Err(failure) = repaired {
            summary.fail(&failure);
            let finish = self.state.ask(summary.finish(self.clock.stamp())).await;
            if !reported || finish.is_err() {
                return Err(failure);
            }
        } else if let Err(error) = self.state.ask(summary.finish(self.clock.stamp())).await {
            summary.fail(&error.into());
        }
        summary.duration_ms = began.elapsed().as_millis() as u64;
        summary.log();
        Ok(Some(summary))
    }

    async fn repair(
        &self,
        summary: &mut RunSummary,
        sync: &Arc<SyncSettings>,
        read: &Read,
        wish: &Wish,
        remedy: Remedy,
        report: impl FnOnce(&Comparison) -> Result<()>,
    ) -> Result<()> {
        // `partial`: it is no run of everybody, and changes nothing about when the last good one was.
        let begin = ledger::BeginRun {
            id: summary.run.clone(),
            sync: sync.name.clone(),
            at: self.clock.stamp(),
            partial: true,
        };
        self.state.ask(begin).await?;
        let client = Arc::new(Client::connect(&sync.target, &self.clock)?);
        let resolved = match self.state.ask(FindSync(binding(sync))).await {
            Ok(_) => {
                let id = self.state.ask(BindSync(binding(sync))).await?;
                planner::resolve(sync, id, &self.state, &client, &self.clock).await?
            }
            // Bound to something else: what was sent there is nothing to look up here.
            Err(error) if remedy.adopt && error.exit == Exit::Config => Resolved::default(),
            Err(error) => return Err(error.into()),
        };
        let mut comparison = compare(self, sync, &client, read, remedy.adopt).await?;
        report(&comparison)?;
        if self.state.ask(FindSync(binding(sync))).await?.paused {
            summary.paused();
            return Ok(());
        }
        let id = self.state.ask(BindSync(binding(sync))).await?;
        comparison.plan.narrow(&sync.name, |kind| remedy.wants(kind))?;
        summary.planned(&comparison.plan);
        let who = RunId { run: summary.run.clone(), sync: Arc::clone(sync), id };
        Run { runner: self, who, client, wish }.send(summary, comparison.plan, resolved).await
    }
}
