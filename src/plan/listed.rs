//! Whether newcomers are looked up one by one or in a listing of the whole target, whichever takes fewer requests.

use std::sync::Arc;

use super::Planner;
use crate::account::Listing;
use crate::domain::error::{Error, Failure, Result, TargetReason};
use crate::state::people::IsSomebodyInvited;

/// Requests that looking everybody up one by one takes.
fn look_ups(planner: &Planner, newcomers: u64) -> u64 {
    let by_key = u64::from(planner.sync.target.engine.catalogue().key_field.is_some());
    newcomers * (by_key + planner.sync.match_fields.len() as u64).max(1)
}

/// Whether a listing promises to take fewer requests, and how many pages it may take. How many accounts the target has
/// isn't known before it is listed; those that we know of are a lower bound, and [`list`] gives up when the listing
/// turns out longer. What the target can't be asked for one by one can only be listed.
pub(super) async fn worth_listing(planner: &Planner, newcomers: u64) -> Result<Option<u64>> {
    let engine = &planner.sync.target.engine;
    if !engine.can_list() {
        return Ok(None);
    }
    let catalogue = engine.catalogue();
    let sought = catalogue.recognised_by(&planner.sync.match_fields);
    if !sought.iter().chain(&catalogue.key_field).all(|field| engine.find_fields().contains(field)) {
        return Ok(Some(u64::MAX));
    }
    let pages = planner.users().await? / u64::from(engine.page_size().max(1)) + 1;
    Ok(Some(look_ups(planner, newcomers)).filter(|budget| pages < *budget))
}

/// Lists the target when somebody is invited, to see who has accepted. One listing a run, however many they are; a
/// reconcile has its own.
///
/// # Errors
/// The target can't be reached, the temporary directory is full.
pub(super) async fn list_for_invited(planner: &Planner) -> Result<Option<Arc<Listing>>> {
    let wanted = match planner.known.id {
        Some(id) if planner.observed.is_none() && planner.client.engine().lists_invited() => {
            planner.state.ask(IsSomebodyInvited(id)).await?
        }
        _ => false,
    };
    match wanted {
        true => list(planner, u64::MAX).await.or_else(|failure| unless_used_up(None, failure)),
        false => Ok(None),
    }
}

/// Lists the target; nothing when that takes more requests than it may.
pub(super) async fn list(planner: &Planner, most_pages: u64) -> Result<Option<Arc<Listing>>> {
    let fields = planner.client.engine().catalogue().recognised_by(&planner.sync.match_fields);
    Ok(Listing::of(&planner.client, &fields, most_pages).await?.map(Arc::new))
}

/// What stands in for an answer when the target's daily quota is used up; any other failure stays one.
pub(super) fn unless_used_up<T>(instead: T, failure: Failure) -> Result<T> {
    match failure.error == Error::Target(TargetReason::QuotaUsedUp) {
        true => Ok(instead),
        false => Err(failure),
    }
}
