//! The feeder: reads a plan wave by wave, makes intents durable a batch ahead of the senders, hands out as much at once
//! as the target allows, and skips what is left when the delivery halts.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::sabotage::{self, Sabotage};
use super::{Attempt, Begun, Delivery, Finished, Shared, Stop};
use crate::exit::Result;
use crate::outcome::Status;
use crate::plan::{OpKind, Operation};
use crate::planner::{PAGE, Plan};
use crate::rules::{PersonState, SkipReason};
use crate::state::journal::{Effect, EntryId, Intend, Settle, Settlement};

/// Intents are made durable this many at a time at most, one such batch ahead of the one that is being sent. Each of
/// them costs a look-up should the process die.
const MOST_AHEAD: usize = 128;

/// Reads the plan wave by wave and hands it to the senders; what is left after a halt is skipped.
///
/// Requests under way are waited for whatever happens: their answers are worth having.
pub(super) async fn feed(shared: &Arc<Shared>, plan: &Plan, ended: &mpsc::Sender<Begun>) -> Result<()> {
    let mut senders = JoinSet::new();
    let mut last = None;
    let fed = feed_waves(shared, plan, ended, &mut senders, &mut last).await;
    wait_for_all(shared, &mut senders).await;
    fed?;
    skip_the_rest(plan, last, shared.skip_reason(), ended).await
}

async fn feed_waves(
    shared: &Arc<Shared>,
    plan: &Plan,
    ended: &mpsc::Sender<Begun>,
    senders: &mut JoinSet<()>,
    last: &mut Option<Operation>,
) -> Result<()> {
    let permits = Arc::new(Semaphore::new(shared.delivery.client.settings().concurrency));
    loop {
        let next = plan.spool().operations(last.as_ref(), 1)?;
        let Some(wave) = next.first().map(|operation| operation.wave) else { return Ok(()) };
        wait_for_all(shared, senders).await;
        if shared.halt.is_cancelled() {
            return Ok(());
        }
        let mut ready = begin_next(shared, plan, last.as_ref(), wave).await?;
        while let Some(begun) = ready {
            *last = begun.last().map(|(operation, _)| operation.clone());
            // The next intents go to disk while these requests go out.
            let (next, ()) = tokio::join!(
                begin_next(shared, plan, last.as_ref(), wave),
                hand_out(shared, begun, &permits, ended, senders)
            );
            ready = next?;
        }
    }
}

/// Makes the next intents of a wave durable, as many as go ahead of the senders; nothing at its end, or when nothing
/// new is to be taken up.
async fn begin_next(
    shared: &Shared,
    plan: &Plan,
    last: Option<&Operation>,
    wave: u32,
) -> Result<Option<Vec<(Operation, EntryId)>>> {
    if shared.halt.is_cancelled() {
        return Ok(None);
    }
    let settings = shared.delivery.client.settings();
    let ahead = ((settings.rate.per_second() / 4.0) as usize).clamp(settings.concurrency, MOST_AHEAD);
    let mut page = plan.spool().operations(last, ahead)?;
    page.retain(|operation| operation.wave == wave);
    if page.is_empty() {
        return Ok(None);
    }
    let entries = match sabotage::is(Sabotage::IntentAfterSend) {
        true => vec![0; page.len()],
        false => intend(shared, &page).await?,
    };
    Ok(Some(page.into_iter().zip(entries).collect()))
}

/// Hands operations to senders, as many at once as there are permits. What was begun is handed out even when nothing
/// new is taken up any more: it ends as skipped.
async fn hand_out(
    shared: &Arc<Shared>,
    begun: Vec<(Operation, EntryId)>,
    permits: &Arc<Semaphore>,
    ended: &mpsc::Sender<Begun>,
    senders: &mut JoinSet<()>,
) {
    for (operation, entry) in begun {
        let Ok(permit) = Arc::clone(permits).acquire_owned().await else { return };
        let (of, ended) = (Arc::clone(shared), ended.clone());
        senders.spawn(async move {
            let finished = carry_out(&of, operation, entry).await;
            let entry = match sabotage::is(Sabotage::IntentAfterSend) {
                true => intend(&of, std::slice::from_ref(&finished.operation)).await.map_or(0, |ids| ids[0]),
                false => entry,
            };
            let _ = ended.send((Some(entry), finished)).await;
            drop(permit);
        });
        while let Some(sender) = senders.try_join_next() {
            shared.watch_for_a_defect(sender);
        }
    }
}

async fn wait_for_all(shared: &Shared, senders: &mut JoinSet<()>) {
    while let Some(sender) = senders.join_next().await {
        shared.watch_for_a_defect(sender);
    }
}

async fn intend(shared: &Shared, operations: &[Operation]) -> Result<Vec<EntryId>> {
    let d = &shared.delivery;
    let intend =
        Intend { run: d.who.run.clone(), sync: d.who.id, at: d.clock.stamp(), operations: operations.to_vec() };
    Ok(d.state.ask(intend).await?)
}

async fn carry_out(shared: &Shared, operation: Operation, entry: EntryId) -> Finished {
    let d = &shared.delivery;
    let attempt = Attempt {
        client: &d.client,
        state: &d.state,
        sync: &d.who.sync,
        entry: (&d.who.run, entry),
        stop: &shared.halt,
        abandon: &shared.abandon,
    };
    sabotage::panic_at(&operation);
    if sabotage::is(Sabotage::SnapshotBeforeAnswer) {
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

/// What [`Sabotage::SnapshotBeforeAnswer`] does.
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
    };
    let _ = d.state.ask(Settle { sync: d.who.id, settlements: vec![settlement] }).await;
}

/// What was not begun when the delivery halted: nothing was sent, and the next run plans it again.
async fn skip_the_rest(
    plan: &Plan,
    mut last: Option<Operation>,
    reason: SkipReason,
    ended: &mpsc::Sender<Begun>,
) -> Result<()> {
    loop {
        let page = plan.spool().operations(last.as_ref(), PAGE)?;
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
            };
            if ended.send((None, finished)).await.is_err() {
                return Ok(());
            }
        }
    }
}
