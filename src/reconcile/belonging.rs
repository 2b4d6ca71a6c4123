//! To whom an account belongs: to somebody in a snapshot, or to a record of a source, in scope or not. What is left
//! after this is orphaned, and only ever reported.

use std::sync::{Arc, PoisonError};

use chrono::NaiveDate;

use crate::config::settings::{SourceKind, SyncSettings};
use crate::exit::Result;
use crate::mapping::{Bound, Desired};
use crate::planner::newcomers::recognised_by;
use crate::planner::{Listing, PAGE, Plan};
use crate::run::{Read, Runner, read_source};
use crate::source::Intake;
use crate::state::ownership::SyncsOn;
use crate::state::people::PeoplePage;

/// Marks every listed account of which it is known whose it is.
///
/// # Errors
/// The state or the temporary directory fails. A source of another sync that can't be read is said, and no error.
pub(super) async fn settle(
    runner: &Runner,
    sync: &Arc<SyncSettings>,
    read: &Read,
    listing: &Arc<Listing>,
    plan: &Plan,
) -> Result<()> {
    let mut adopted = Vec::new();
    plan.for_each(|operation| adopted.extend(operation.remote_id.clone()))?;
    for remote_id in adopted {
        listing.is_mine(&remote_id)?;
    }
    for (id, _) in runner.state.ask(SyncsOn { syncs: sync.writers(), target: sync.target.identity() }).await? {
        let mut after = None;
        while listing.nobodys_count()? > 0 {
            let page = runner.state.ask(PeoplePage { sync: id, after, limit: PAGE }).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            for remote_id in page.iter().filter_map(|p| p.remote_id.as_deref()) {
                listing.is_mine(remote_id)?;
            }
        }
    }
    from_source(runner, sync, read, listing).await?;
    let others = runner.settings.syncs.values().filter(|s| sync.rivals.contains(&s.name));
    for other in others {
        if listing.nobodys_count()? > 0 {
            of_another(runner, other, read, sync, listing).await?;
        }
    }
    Ok(())
}

/// The source of another sync on the same target.
async fn of_another(
    runner: &Runner,
    other: &Arc<SyncSettings>,
    read: &Read,
    sync: &SyncSettings,
    listing: &Arc<Listing>,
) -> Result<()> {
    let only_once = matches!(&other.source.kind, SourceKind::Csv(csv) if csv.path.as_os_str() == "-");
    if other.source.name == sync.source.name {
        let has_columns = {
            let intake = read.intake.lock().unwrap_or_else(PoisonError::into_inner);
            other.mapping.bind(intake.columns()).is_ok()
        };
        if has_columns || only_once {
            return from_source(runner, other, read, listing).await;
        }
    }
    let failure = match only_once {
        true => "standard input is read once".to_string(),
        false => {
            match read_source(&other.source, std::slice::from_ref(other), &runner.state, &runner.clock, None).await {
                Ok(read) => return from_source(runner, other, &read, listing).await,
                Err(failure) => failure.chain(),
            }
        }
    };
    tracing::warn!(
        sync = %other.name, source = %other.source.name,
        "accounts of people in this source may be reported as orphaned: {failure}"
    );
    Ok(())
}

/// Marks the accounts that records of a source are recognised by, whether or not they are in scope.
async fn from_source(runner: &Runner, sync: &Arc<SyncSettings>, read: &Read, listing: &Arc<Listing>) -> Result<()> {
    if listing.nobodys_count()? == 0 {
        return Ok(());
    }
    let today = runner.clock.now().with_timezone(&sync.timezone).date_naive();
    let (sync, intake, listing) = (Arc::clone(sync), Arc::clone(&read.intake), Arc::clone(listing));
    tokio::task::spawn_blocking(move || {
        let intake = intake.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(bound) = sync.mapping.bind(intake.columns()) else { return Ok(()) };
        records(&sync, &intake, &bound, today, &listing)?;
        rejects(&intake, &listing)
    })
    .await
    .map_err(|e| crate::exit::Failure::internal("comparing broke off").because(e))?
}

fn records(sync: &SyncSettings, intake: &Intake, bound: &Bound, today: NaiveDate, listing: &Listing) -> Result<()> {
    let mut after = None;
    loop {
        let page = intake.rows(after.as_ref(), PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.key.clone());
        for record in &page {
            let rows = bound.regardless_of_scope(record, today);
            if rows.is_empty() {
                mark(sync, record.key.as_str(), &Desired::default(), listing)?;
            }
            for desired in &rows {
                mark(sync, record.key.as_str(), desired, listing)?;
            }
        }
    }
}

fn mark(sync: &SyncSettings, key: &str, desired: &Desired, listing: &Listing) -> Result<()> {
    let (key_value, matches) = recognised_by(desired, &sync.match_fields, sync.target.engine.catalogue());
    let mut found = listing.by_key(key)?;
    if let Some(value) = key_value.filter(|value| value != key) {
        found.extend(listing.by_key(&value)?);
    }
    for (field, value) in &matches {
        found.extend(listing.by_match(field, value)?);
    }
    for account in found {
        listing.is_mine(&account.remote_id)?;
    }
    Ok(())
}

/// Of a record that can't be used the key is known, if anything.
fn rejects(intake: &Intake, listing: &Listing) -> Result<()> {
    let mut after = None;
    loop {
        let page = intake.rejected_keys(after.as_ref(), PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.clone());
        for key in &page {
            for account in listing.by_key(key.as_str())? {
                listing.is_mine(&account.remote_id)?;
            }
        }
    }
}
