//! The run of a reconcile: compares, reports, and where it was asked to, sends what ends the differences.

use std::sync::Arc;

use super::life::{RunLife, resting};
use super::reading::Reading;
use super::{
    Approval, Purpose, Read, RunRequest, RunSummary, Runner, SourceRead, binding, read_sources, read_sources_quietly,
    stopped_early,
};
use crate::account::Client;
use crate::config::settings::SyncSettings;
use crate::domain::error::{Error, Failure, Result};
use crate::domain::remedy::Remedy;
use crate::failpoints;
use crate::os::panics;
use crate::run::Resolved;
use crate::run::reconcile::{Comparison, compare};
use crate::state::people::{BindSync, FindSync};
use crate::state::plans::Origin;
use crate::state::reconciled::NoteReconciled;

/// Who asks for a reconcile.
#[derive(Debug)]
pub enum Asked {
    /// Nobody: its time has come.
    BySchedule,
    /// Somebody, by command.
    By(String),
    /// Somebody who approved its plan.
    Approved(Box<Approval>),
}

impl Runner {
    /// Reads the sources of these syncs, each once, for a reconcile. With a remedy what was read is remembered as by any
    /// run, and what an earlier sender left is settled first; only the holder of the sender's lock may ask for one.
    ///
    /// # Errors
    /// The state fails. A source that can't be read, or isn't trusted, is in the result.
    pub async fn read_to_reconcile(&self, syncs: &[Arc<SyncSettings>], remedy: Remedy) -> Result<Vec<Reading>> {
        if !remedy.any() {
            return read_sources_quietly(&self.settings, syncs, &self.state, &self.clock, Purpose::Everything).await;
        }
        self.begin(syncs).await?;
        let readings = read_sources(&self.settings, syncs, &self.state, &self.clock, Purpose::Everything).await?;
        let whole = |read: Result<SourceRead, Arc<Failure>>| match read {
            Ok(SourceRead::Read(read)) => Ok(read),
            // Not asked for: everything is read.
            Ok(SourceRead::Unchanged(_)) => Err(Arc::new(Failure::internal("the source was not read"))),
            Err(failure) => Err(failure),
        };
        Ok(readings.into_iter().map(|(read, syncs)| (whole(read), syncs)).collect())
    }

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
        asked: Asked,
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
            let client = self.clients.of(&sync.target)?;
            let comparison = panics::caught_in(self.comparison(sync, &client, read, false));
            let comparison = resting(&client, comparison).await?;
            self.note_reconciled(sync, &comparison).await?;
            report(&comparison)?;
            return Ok(None);
        }
        let (approval, by) = match asked {
            Asked::Approved(approval) => (Some(*approval), None),
            Asked::By(operator) => (None, Some(operator)),
            Asked::BySchedule => (None, None),
        };
        let request = RunRequest { approval, by, origin: Origin::Reconcile(remedy), ..RunRequest::default() };
        let mut life = RunLife::new(self, sync, &request);
        let mut reported = false;
        let repair = self.repair(&mut life, sync, read, remedy, |comparison| {
            reported = true;
            report(comparison)
        });
        let repaired = panics::caught_in(repair).await;
        let not_compared = repaired.as_ref().err().filter(|_| !reported).map(Failure::again);
        let summary = life.end(repaired, Some(read)).await;
        self.end().await;
        not_compared.map_or(Ok(Some(summary)), Err)
    }

    async fn comparison(
        &self,
        sync: &Arc<SyncSettings>,
        client: &Arc<Client>,
        read: &Read,
        rebind: bool,
    ) -> Result<Comparison> {
        failpoints::panic_in("sync", &sync.name);
        tokio::select! {
            biased;
            comparison = compare(self, sync, client, read, rebind) => comparison,
            () = self.stop.cancelled() => Err(stopped_early()),
        }
    }

    /// Writes down what was found, for those who look at the sync later.
    async fn note_reconciled(&self, sync: &SyncSettings, comparison: &Comparison) -> Result<()> {
        let found = comparison.figures(self.clock.stamp())?;
        Ok(self.state.ask(NoteReconciled { sync: sync.name.clone(), found }).await?)
    }

    async fn repair(
        &self,
        life: &mut RunLife<'_>,
        sync: &Arc<SyncSettings>,
        read: &Read,
        remedy: Remedy,
        report: impl FnOnce(&Comparison) -> Result<()>,
    ) -> Result<()> {
        life.begin().await?;
        let client = self.clients.of(&sync.target)?;
        let repaired = async {
            let resolved = match self.state.ask(FindSync(binding(sync))).await {
                Ok(_) => life.on(self.state.ask(BindSync(binding(sync))).await?, &client).resolve().await?,
                // Bound to something else: what was sent there is nothing to look up here.
                Err(error) if remedy.adopt && error.error == Error::Config => Resolved::default(),
                Err(error) => return Err(error.into()),
            };
            let mut comparison = self.comparison(sync, &client, read, remedy.adopt).await?;
            read.judged(sync, Some(true), &self.state).await?;
            self.note_reconciled(sync, &comparison).await?;
            report(&comparison)?;
            if self.state.ask(FindSync(binding(sync))).await?.paused {
                life.summary.paused();
                return Ok(());
            }
            let id = self.state.ask(BindSync(binding(sync))).await?;
            comparison.plan.narrow(&sync.name, |kind| remedy.wants(kind))?;
            life.summary.planned(&comparison.plan);
            life.on(id, &client).send(&mut life.summary, comparison.plan, resolved).await
        };
        resting(&client, repaired).await
    }
}
