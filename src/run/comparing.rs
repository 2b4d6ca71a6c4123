//! What a read that is planned from is compared with while it goes on: the snapshots of all syncs that wait for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::reading::ReadAt;
use crate::config::settings::SyncSettings;
use crate::domain::error::Result;
use crate::domain::record::{Columns, Key};
use crate::plan::compare::{ComparedSync, Evaluation, MOST_SYNCS, Snapshots};
use crate::state::State;
use crate::state::epoch::IsStale;
use crate::state::fingerprints::NumberOf;
use crate::state::journal::UnresolvedKeys;

/// The snapshots of these syncs; nothing where one of them knows nobody yet, or what it knows is to be verified first:
/// then every row is kept.
///
/// # Errors
/// The state fails.
pub(super) async fn snapshots(
    wanted: &BTreeSet<String>,
    syncs: &[Arc<SyncSettings>],
    state: &State,
    at: ReadAt,
    only: &BTreeSet<Key>,
) -> Result<Option<Snapshots>> {
    let columns = Columns::new(wanted.iter().cloned());
    let mut compared = Vec::new();
    for sync in syncs.iter().take(MOST_SYNCS + 1) {
        let Some(id) = state.ask(NumberOf(sync.name.clone())).await? else { return Ok(None) };
        let Ok(mapping) = sync.mapping.bind(&columns) else { return Ok(None) };
        if state.ask(IsStale(id)).await? {
            return Ok(None);
        }
        // What becomes of them is found out between reading and planning.
        let unresolved = state.ask(UnresolvedKeys(id)).await?;
        let time = at.time(sync);
        compared.push(ComparedSync {
            id,
            fingerprints: mapping.fingerprints(time),
            // Whether they have come is asked of the target, and their row says nothing of it.
            invited_is_settled: !sync.target.engine.lists_invited(),
            looked_at: unresolved.into_iter().chain(only.iter().cloned()).collect(),
            evaluation: Evaluation { mapping, time },
        });
    }
    let fits = !compared.is_empty() && compared.len() <= MOST_SYNCS;
    Ok(fits.then(|| Snapshots::of(state.clone(), compared)))
}
