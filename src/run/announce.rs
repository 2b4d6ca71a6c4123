//! After the runs: people are told of those whose sync is in another state than they were told last.
//!
//! Telling takes as long as a receiver likes, up to a limit. A command waits for it when everything else is done; a
//! resident process does not: the sync is free for its next run meanwhile.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::task::TaskTracker;

use super::{RunSummary, Runner};
use crate::domain::error::Failure;
use crate::run::notify;
use crate::state::announced::{Announced, LastAnnounced};

/// What is being told of a process's runs.
#[derive(Clone, Debug, Default)]
pub struct Announcements {
    tasks: TaskTracker,
    syncs: Arc<Mutex<BTreeSet<String>>>,
}

impl Announcements {
    /// Waits for what is being told.
    pub async fn end(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Has this sync's news told, unless it is being told already: the next run tells what is new by then.
    fn begin(&self, sync: &str) -> Option<Telling> {
        let began = self.syncs.lock().unwrap_or_else(PoisonError::into_inner).insert(sync.to_string());
        began.then(|| Telling { announcements: self.clone(), sync: sync.to_string() })
    }
}

/// The news of one sync are being told.
struct Telling {
    announcements: Announcements,
    sync: String,
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.announcements.syncs.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.sync);
    }
}

impl Runner {
    /// Tells of each run what is new about its sync; a resident process goes on meanwhile. That nobody could be told is
    /// in the log, and fails no run.
    pub async fn announce(&self, summaries: &[RunSummary]) {
        if self.settings.notify.is_none() {
            return;
        }
        for summary in summaries {
            let Some(telling) = self.announcements.begin(&summary.sync) else { continue };
            let (runner, summary) = (self.clone(), summary.clone());
            let told = async move {
                runner.tell(&summary).await;
                drop(telling);
            };
            match self.resident {
                true => drop(self.announcements.tasks.spawn(told)),
                false => told.await,
            }
        }
    }

    async fn tell(&self, summary: &RunSummary) {
        let (Some(settings), Some(state)) = (&self.settings.notify, notify::state_of(summary)) else { return };
        let told = async {
            let was = self.state.ask(LastAnnounced(summary.sync.clone())).await?;
            let Some(message) = notify::message(summary, was, self.clock.stamp()) else { return Ok(()) };
            notify::deliver(settings, &message, &self.stop).await?;
            let announced = Announced { sync: summary.sync.clone(), state, at: self.clock.stamp() };
            Ok::<(), Failure>(self.state.ask(announced).await?)
        };
        if let Err(failure) = told.await {
            tracing::warn!(
                sync = %summary.sync,
                error = %failure.chain(),
                "nobody could be told; the next run tries again"
            );
        }
    }
}
