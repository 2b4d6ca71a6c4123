//! After the runs: people are told of those whose sync is in another state than they were told last.

use super::{RunSummary, Runner};
use crate::notify;
use crate::state::announced::{Announced, LastAnnounced};

impl Runner {
    /// Tells of each run what is new about its sync. That nobody could be told is in the log, and fails no run.
    pub async fn announce(&self, summaries: &[RunSummary]) {
        let Some(settings) = &self.settings.notify else { return };
        for summary in summaries {
            let Some(state) = notify::state_of(summary) else { continue };
            let told = async {
                let was = self.state.ask(LastAnnounced(summary.sync.clone())).await?;
                let Some(message) = notify::message(summary, was, self.clock.stamp()) else { return Ok(()) };
                notify::deliver(settings, &message, &self.stop).await?;
                let announced = Announced { sync: summary.sync.clone(), state, at: self.clock.stamp() };
                Ok(self.state.ask(announced).await?)
            };
            if let Err(failure) = told.await {
                let failure: crate::exit::Failure = failure;
                tracing::warn!(
                    sync = %summary.sync,
                    error = %failure.chain(),
                    "nobody could be told; the next run tries again"
                );
            }
        }
    }
}
