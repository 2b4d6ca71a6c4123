//! The unknown, resolved: what an earlier run may have sent and never saw answered is looked up on the target before
//! anything else is sent for that person.
//!
//! An account that is there is taken as it is; one that isn't leaves the person to be planned anew. What can't be
//! looked up now stays unresolved, and that person is left alone.

use std::collections::BTreeMap;

use super::newcomers::{Found, again, look_up};
use crate::config::settings::SyncSettings;
use crate::delivery::Client;
use crate::exit::{Exit, Failure, Result};
use crate::plan::{OpKind, Operation};
use crate::record::Key;
use crate::rules::PersonState;
use crate::state::State;
use crate::state::journal::{Effect, Resolve, Unresolved, UnresolvedPage};
use crate::state::people::{Bodies, SyncId};
use crate::state::undo::Undoable;
use crate::target::{Account, AccountState};
use crate::time::Clock;
use crate::value::{Attributes, same};

/// An operation of an earlier run that turned out to have been done.
#[derive(Clone, Debug)]
pub struct Resolution {
    /// What it had been.
    pub kind: OpKind,
    /// The account.
    pub remote_id: Option<String>,
}

/// How many unresolved operations are in memory at once.
const PAGE: usize = 100;

/// So many look-ups in a row that fail, and the rest would only wait for nothing.
const PATIENCE: u32 = 3;

/// What resolving came to.
#[derive(Debug, Default)]
pub struct Resolved {
    /// Whose operations turned out to have been done.
    pub done: BTreeMap<Key, Resolution>,
    /// Why the others could not be looked up.
    pub unreachable: Option<Failure>,
}

/// Resolves what can be resolved.
///
/// # Errors
/// The state fails, or the credentials are refused. A target that can't be reached is no error here: planning will
/// meet the same target.
pub async fn resolve(
    sync: &SyncSettings,
    id: SyncId,
    state: &State,
    client: &Client,
    clock: &Clock,
) -> Result<Resolved> {
    let mut resolved = Resolved::default();
    let (mut after, mut failed_in_a_row) = (0, 0);
    loop {
        let page = state.ask(UnresolvedPage { sync: id, after, limit: PAGE }).await?;
        let Some(last) = page.last() else { return Ok(resolved) };
        after = last.entry;
        for unresolved in page {
            match settle(sync, id, state, client, clock, &unresolved).await {
                Ok(resolution) => {
                    failed_in_a_row = 0;
                    resolved.done.extend(resolution.map(|r| (unresolved.operation.key.clone(), r)));
                }
                Err(failure) if matches!(failure.exit, Exit::Unavailable | Exit::Partial) => {
                    tracing::warn!(key = %unresolved.operation.key, error = %failure, "could not resolve an earlier operation");
                    failed_in_a_row += 1;
                    resolved.unreachable = Some(failure);
                    if failed_in_a_row == PATIENCE {
                        return Ok(resolved);
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
    }
}

async fn settle(
    sync: &SyncSettings,
    id: SyncId,
    state: &State,
    client: &Client,
    clock: &Clock,
    unresolved: &Unresolved,
) -> Result<Option<Resolution>> {
    let operation = &unresolved.operation;
    let account = match &operation.remote_id {
        Some(remote_id) => client.get(remote_id).await?,
        None => {
            match look_up(client, state, sync, &again(operation, &sync.match_fields, client.engine().catalogue()))
                .await?
            {
                Found::Account(account) => Some(*account),
                // A conflict is for the plan to report: this person has no account of their own.
                Found::Nobody | Found::Conflict(_) => None,
            }
        }
    };
    let (effect, was_done) = match account {
        None => {
            (if operation.remote_id.is_some() { Effect::Gone } else { Effect::None }, operation.kind == OpKind::Delete)
        }
        Some(account) => {
            let was_done = looks_done(operation, &account, client);
            (observed(id, state, operation, account, was_done).await?, was_done)
        }
    };
    let remote_id = match &effect {
        Effect::Confirmed { remote_id, .. } => Some(remote_id.clone()),
        _ => operation.remote_id.clone(),
    };
    let key = operation.key.clone();
    let replaced = (was_done && !operation.step).then(|| Undoable::of(operation, remote_id.clone()));
    state.ask(Resolve { sync: id, entry: unresolved.entry, key, effect, at: clock.stamp(), replaced }).await?;
    let kind = if operation.kind == OpKind::Create { OpKind::Adopt } else { operation.kind };
    Ok((was_done && !operation.step).then_some(Resolution { kind, remote_id }))
}

/// Whether the account is as the operation would have made it.
fn looks_done(operation: &Operation, account: &Account, client: &Client) -> bool {
    let catalogue = client.engine().catalogue();
    let state = match operation.kind {
        OpKind::Ban => account.state == AccountState::Banned,
        OpKind::Delete => false,
        _ => account.state != AccountState::Banned,
    };
    let null = serde_json::Value::Null;
    // An invitation holds some of the fields only; the others were never sent.
    let acknowledged = client.engine().acknowledged(operation);
    let mut sent = operation.fields.iter().filter(|(field, _)| acknowledged.get(field).is_some());
    state
        && sent.all(|(field, change)| {
            same(catalogue.kind(field), account.attributes.get(field).unwrap_or(&null), &change.new)
        })
}

/// The account as it is now: what the operation speaks of is taken from the target, the rest stays as acknowledged.
async fn observed(
    id: SyncId,
    state: &State,
    operation: &Operation,
    account: Account,
    was_done: bool,
) -> Result<Effect> {
    let mut bodies = state.ask(Bodies { sync: id, keys: vec![operation.key.clone()] }).await?;
    let mut attributes: Attributes = match bodies.remove(&operation.key) {
        Some(body) => body.attributes,
        None => operation.baseline.clone(),
    };
    for (field, value) in account.attributes.iter().filter(|(field, _)| operation.speaks_of(field)) {
        attributes.set(field.clone(), value.clone());
    }
    Ok(Effect::Confirmed {
        state: match account.state {
            AccountState::Active => PersonState::Active,
            AccountState::Banned => PersonState::Banned,
            AccountState::Invited => PersonState::Invited,
        },
        remote_id: account.remote_id,
        attributes,
        fingerprint: if was_done { operation.fingerprint } else { None },
    })
}
