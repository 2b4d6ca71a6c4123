//! The feeder: reads a plan wave by wave, makes intents durable a batch ahead of the senders, and skips what is left when
//! the delivery halts. The senders, as many as the target allows at once, take what is begun one by one.

use std::ops::Deref;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Attempt, Begun, Delivery, Finished, Shared, Stop};
use crate::domain::account::Kept;
use crate::domain::error::{Failure, Result};
use crate::domain::ids::EntryId;
use crate::domain::operation::{OpKind, Operation};
use crate::domain::outcome::Status;
use crate::domain::planned::Planned;
use crate::domain::rules::{PersonState, SkipReason};
use crate::failpoints;
use crate::failpoints::Failpoint;
use crate::os::panics::joined;
use crate::plan::{PAGE, Plan};
use crate::state::journal::{Effect, Intend, Intent, Settle, Settlement};

/// Intents are made durable this many at a time at most (or as many as are sent at once), and the next of them while
/// up to half as many more wait for a sender: as much as a fast load sends while the state confirms what was sent before.
/// Each of them costs a look-up should the process die.
const MOST_AHEAD: usize = 256;

/// An operation whose intent is on disk, with its entry and when that was made.
type Begin = (Arc<Planned>, EntryId, Instant);

/// Reads the plan wave by wave and hands it to the senders; what is left after a halt is skipped.
///
/// Requests under way are waited for whatever happens: their answers are worth having.
pub(super) async fn feed(shared: &Arc<Shared>, plan: &Plan, ended: &mpsc::Sender<Begun>) -> Result<()> {
    let mut last = None;
    while !shared.halt.is_cancelled() {
        let next = plan.spool().operations(last.as_deref().map(Deref::deref), 1)?;
        let Some(first) = next.first() else { return Ok(()) };
        feed_wave(shared, plan, first.wave, &mut last, ended).await?;
    }
    skip_the_rest(plan, last, shared.skip_reason(), ended).await
}

/// Feeds one wave to senders of its own, and waits until they have carried out all of it.
async fn feed_wave(
    shared: &Arc<Shared>,
    plan: &Plan,
    wave: u32,
    last: &mut Option<Arc<Planned>>,
    ended: &mpsc::Sender<Begun>,
) -> Result<()> {
    let settings = shared.delivery.client.settings();
    let ahead = ((settings.rate.per_second() / 4.0) as usize).min(MOST_AHEAD).max(settings.concurrency);
    let mut begun = begin_next(shared, plan, last.as_deref().map(Deref::deref), wave, ahead).await?;
    // The next batch is handed over as one when most of the one before is gone: woken for each place that becomes free,
    // the feeder would cost the machine as much as a sender.
    let (queue, waiting) = mpsc::channel(ahead + ahead / 2);
    let waiting = Arc::new(Mutex::new(waiting));
    let mut senders = JoinSet::new();
    // A wave of a few needs no more senders than that.
    for _ in 0..settings.concurrency.min(begun.len()) {
        senders.spawn(send_on(Arc::clone(shared), Arc::clone(&waiting), ended.clone()));
    }
    // The senders' alone: were they all to break off, handing over would fail rather than wait for ever.
    drop(waiting);
    let fed = loop {
        let Some((end, ..)) = begun.last() else { break Ok(()) };
        *last = Some(Arc::clone(end));
        // What was begun is handed out even when nothing new is taken up any more: it ends as skipped.
        match queue.reserve_many(begun.len()).await {
            Ok(places) => places.zip(begun).for_each(|(place, begin)| place.send(begin)),
            Err(_) => break Err(Failure::defect("sending broke off")),
        }
        begun = match begin_next(shared, plan, last.as_deref().map(Deref::deref), wave, ahead).await {
            Ok(begun) => begun,
            Err(failure) => break Err(failure),
        };
    };
    drop(queue);
    while let Some(sender) = senders.join_next().await {
        if let Err(error) = sender {
            shared.halt_for(Stop::State(joined("sending broke off", error)));
        }
    }
    fed
}

/// Makes the next intents of a wave durable, as many as go ahead of the senders; nothing at its end, or when nothing
/// new is to be taken up.
async fn begin_next(
    shared: &Shared,
    plan: &Plan,
    last: Option<&Operation>,
    wave: u32,
    ahead: usize,
) -> Result<Vec<Begin>> {
    if shared.halt.is_cancelled() {
        return Ok(Vec::new());
    }
    let page = plan.spool().written(last, ahead)?;
    let mut operations = Vec::with_capacity(page.len());
    let mut intents = Vec::with_capacity(page.len());
    for (operation, text) in page.into_iter().filter(|(operation, _)| operation.wave == wave) {
        intents.push(Intent { key: operation.key.clone(), operation: text });
        operations.push(Arc::new(operation));
    }
    let intended = Instant::now();
    let entries = match failpoints::is(Failpoint::IntentAfterSend) {
        true => vec![EntryId::default(); operations.len()],
        false if operations.is_empty() => Vec::new(),
        false => intend(shared, intents).await?,
    };
    Ok(operations.into_iter().zip(entries).map(|(operation, entry)| (operation, entry, intended)).collect())
}

/// One sender: carries out what is begun, one after the other, until the wave is at its end.
async fn send_on(shared: Arc<Shared>, waiting: Arc<Mutex<mpsc::Receiver<Begin>>>, ended: mpsc::Sender<Begun>) {
    loop {
        let next = waiting.lock().await.recv().await;
        let Some((operation, entry, intended)) = next else { return };
        // Of an operation on which it breaks off nothing is known: its entry stays in the journal, and the next run
        // looks what became of it.
        let Ok(finished) = AssertUnwindSafe(carry_out(&shared, operation, entry, intended)).catch_unwind().await else {
            shared.halt_for(Stop::State(Failure::defect("sending broke off")));
            continue;
        };
        let entry = match failpoints::is(Failpoint::IntentAfterSend) {
            true => intend_late(&shared, &finished.operation).await.unwrap_or_default(),
            false => entry,
        };
        let _ = ended.send((Some(entry), finished)).await;
    }
}

async fn intend(shared: &Shared, operations: Vec<Intent>) -> Result<Vec<EntryId>> {
    let d = &shared.delivery;
    let intend = Intend { run: d.who.run.clone(), sync: d.who.id, at: d.clock.stamp(), operations };
    Ok(d.state.ask(intend).await?)
}

/// What [`Failpoint::IntentAfterSend`] does.
async fn intend_late(shared: &Shared, operation: &Planned) -> Result<EntryId> {
    Ok(intend(shared, vec![Intent::to(operation)?]).await?[0])
}

async fn carry_out(shared: &Shared, operation: Arc<Planned>, entry: EntryId, intended: Instant) -> Finished {
    let d = &shared.delivery;
    let attempt = Attempt {
        client: &d.client,
        state: &d.state,
        sync: &d.who.sync,
        id: d.who.id,
        learns: d.learns,
        entry: (&d.who.run, entry),
        intended,
        stop: &shared.halt,
        abandon: &shared.abandon,
    };
    failpoints::panic_at(&operation);
    if failpoints::is(Failpoint::SnapshotBeforeAnswer) {
        confirm_unasked(d, &operation).await;
    }
    let mut finished = attempt.carry_out(operation).await;
    if let Some(failure) = finished.state_failed.take() {
        shared.halt_for(Stop::State(failure));
    }
    shared.watch_for_trouble(&finished);
    if finished.status == Status::Skipped {
        finished.reason = Some(shared.skip_reason().name().into());
    }
    finished
}

/// What [`Failpoint::SnapshotBeforeAnswer`] does.
async fn confirm_unasked(d: &Delivery, operation: &Operation) {
    let Some(remote_id) = operation.remote_id.clone() else { return };
    let state = if operation.kind == OpKind::Ban { PersonState::Banned } else { PersonState::Active };
    let (attributes, fingerprint) = (operation.after(), operation.fingerprint);
    let effect = Effect::Confirmed { state, remote_id, attributes, fingerprint };
    let settlement = Settlement {
        entry: None,
        key: operation.key.clone(),
        at: d.clock.stamp(),
        effect,
        outcome: None,
        replaced: None,
        kept: Kept::new(),
    };
    let _ = d.state.ask(Settle { sync: d.who.id, settlements: vec![settlement] }).await;
}

/// What was not begun when the delivery halted: nothing was sent, and the next run plans it again.
async fn skip_the_rest(
    plan: &Plan,
    mut last: Option<Arc<Planned>>,
    reason: SkipReason,
    ended: &mpsc::Sender<Begun>,
) -> Result<()> {
    loop {
        let page: Vec<_> =
            plan.spool().operations(last.as_deref().map(Deref::deref), PAGE)?.into_iter().map(Arc::new).collect();
        let Some(end) = page.last().cloned() else { return Ok(()) };
        last = Some(end);
        for operation in page {
            let finished = Finished {
                operation,
                status: Status::Skipped,
                effect: Effect::None,
                attempts: 0,
                http_status: None,
                reason: Some(reason.name().into()),
                error: None,
                took: Duration::ZERO,
                denied: false,
                used_up: false,
                state_failed: None,
                kept: Kept::new(),
            };
            if ended.send((None, finished)).await.is_err() {
                return Ok(());
            }
        }
    }
}
