//! A job: the runs of one or more syncs of one source, begun together. The source is read once; the syncs then run
//! beside each other, each whatever becomes of the others.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tokio_util::task::TaskTracker;

use super::{RunResult, ending};
use crate::config::settings::SyncSettings;
use crate::exit::{Failure, Result};
use crate::run::{Read, Runner, Wish, read_sources};

/// A run has ended, however it did.
pub(super) struct Ended {
    /// The sync.
    pub sync: String,
    /// What it came to.
    pub result: RunResult,
}

/// Says that a sync's run has ended, even when its task breaks off: a sync that seems to run for ever would never run
/// again.
struct Pledge {
    sync: Arc<SyncSettings>,
    ends: UnboundedSender<Ended>,
    result: Option<RunResult>,
}

impl Pledge {
    fn keep(mut self, result: RunResult) {
        self.result = Some(result);
    }
}

impl Drop for Pledge {
    fn drop(&mut self) {
        let result = self.result.take().unwrap_or_else(|| Err(Failure::internal("the run broke off")));
        let _ = self.ends.send(Ended { sync: self.sync.name.clone(), result });
    }
}

/// Runs that begin together.
pub(super) struct Job {
    runner: Runner,
    wish: Wish,
    pledges: Vec<Pledge>,
    tasks: TaskTracker,
}

impl Job {
    /// The runs of these syncs. Each of them ends with an [`Ended`], whatever happens.
    pub fn new(
        runner: Runner,
        syncs: Vec<Arc<SyncSettings>>,
        wish: Wish,
        ends: UnboundedSender<Ended>,
        tasks: TaskTracker,
    ) -> Job {
        debug_assert!(super::sources(&syncs).len() <= 1, "one source is read once");
        let pledges = syncs.into_iter().map(|sync| Pledge { sync, ends: ends.clone(), result: None }).collect();
        Job { runner, wish, pledges, tasks }
    }

    /// Reads, then runs.
    pub async fn run(self) {
        let Job { runner, wish, pledges, tasks } = self;
        let syncs: Vec<_> = pledges.iter().map(|pledge| Arc::clone(&pledge.sync)).collect();
        let read = tokio::select! {
            biased;
            () = runner.stop.cancelled() => Err(ending()),
            read = read(&runner, &syncs, &wish) => read,
        };
        for pledge in pledges {
            let (runner, wish) = (runner.clone(), wish.clone());
            let read = match &read {
                Ok(read) => read.clone(),
                Err(failure) => {
                    let failure = failure.again();
                    pledge.keep(Err(failure));
                    continue;
                }
            };
            tasks.spawn(async move {
                let result = one(&runner, &pledge.sync, &read, &wish).await;
                pledge.keep(result);
            });
        }
    }
}

/// The read of the syncs' source, for all of them.
async fn read(runner: &Runner, syncs: &[Arc<SyncSettings>], wish: &Wish) -> Result<Result<Read, Arc<Failure>>> {
    let mut readings = read_sources(&runner.settings, syncs, &runner.state, &runner.clock, &wish.only).await?;
    let (read, _) = readings.pop().ok_or_else(|| Failure::internal("the source of a sync is not configured"))?;
    Ok(read)
}

async fn one(runner: &Runner, sync: &Arc<SyncSettings>, read: &Result<Read, Arc<Failure>>, wish: &Wish) -> RunResult {
    // What a run of this daemon left in the journal because the state failed meanwhile is resolved now.
    runner.recover(Some(&sync.name)).await?;
    Ok(runner.sync_one(sync, read, wish).await)
}
