//! The end of a run: creates that brought no usable answer are looked up once more, as many at once as the target allows.
//! What is found is linked; of the others the outcome is `unknown`, and a later run looks again.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc;

use super::{Attempt, Begun, Shared, Stop};
use crate::domain::error::{Failure, Result};
use crate::domain::ids::EntryId;
use crate::domain::outcome::Status;
use crate::state::journal::{UnansweredCreate, UnansweredCreates};

/// How many doubtful operations are in memory at once.
const PAGE: usize = 100;

/// So many look-ups in a row that fail, and the rest would only wait for nothing.
const PATIENCE: u32 = 3;

/// Looks up what this run left in doubt, and hands every ending over.
pub(super) async fn look_again(shared: &Shared, ended: &mpsc::Sender<Begun>) -> Result<()> {
    let d = &shared.delivery;
    let silent = &AtomicU32::new(0);
    let mut pages = d.state.pages(UnansweredCreates {
        sync: d.who.id,
        run: d.who.run.clone(),
        after: EntryId::default(),
        limit: PAGE,
    });
    while let Some(doubts) = pages.next().await? {
        futures_util::stream::iter(doubts)
            .for_each_concurrent(d.client.settings().concurrency, |doubt| one(shared, doubt, silent, ended))
            .await;
    }
    Ok(())
}

async fn one(shared: &Shared, doubt: UnansweredCreate, silent: &AtomicU32, ended: &mpsc::Sender<Begun>) {
    let d = &shared.delivery;
    let attempt = Attempt {
        client: &d.client,
        state: &d.state,
        sync: &d.who.sync,
        id: d.who.id,
        learns: d.learns,
        entry: (&d.who.run, doubt.entry),
        intended: tokio::time::Instant::now(),
        stop: &shared.halt,
        abandon: &shared.abandon,
    };
    let ask = silent.load(Ordering::Relaxed) < PATIENCE && !shared.abandon.is_cancelled();
    let looking = attempt.look_again(Arc::new(doubt.operation), &doubt.outcome, ask);
    // Of one on which it breaks off the entry stays, with what is told of it by the next start.
    let Ok((mut finished, failed)) = AssertUnwindSafe(looking).catch_unwind().await else {
        shared.halt_for(Stop::State(Failure::defect("looking up broke off")));
        return;
    };
    match failed {
        true => silent.fetch_add(1, Ordering::Relaxed),
        false => silent.swap(0, Ordering::Relaxed),
    };
    if let Some(failure) = finished.state_failed.take() {
        shared.halt_for(Stop::State(failure));
    }
    if finished.status == Status::Failed && finished.denied {
        shared.halt_for(Stop::Denied(finished.error.as_ref().map_or_else(String::new, |e| e.message.clone())));
    }
    // The settler is there until everybody who could hand something over is gone.
    if ended.send((Some(doubt.entry), finished)).await.is_err() {
        shared.halt_for(Stop::State(Failure::defect("settling broke off")));
    }
}
