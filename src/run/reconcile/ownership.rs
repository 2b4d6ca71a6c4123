//! To whom an account belongs: to somebody in a snapshot, or to a record of a source, in scope or not. What is left
//! after this is orphaned. Who has more than one account is told too; neither is ever touched.

use crate::domain::keyset::pages;
use crate::domain::local_time::LocalTime;
use crate::os::panics::off_thread;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::account::Listing;
use crate::config::settings::SyncSettings;
use crate::domain::account::{Account, AccountState};
use crate::domain::error::Result;
use crate::domain::ids::SyncId;
use crate::domain::operation::OpKind;
use crate::domain::planned::Planned;
use crate::domain::record::Key;
use crate::domain::remote_id::RemoteId;
use crate::domain::value::as_text;
use crate::mapping::{Bound, Desired};
use crate::plan::newcomers::recognised_by;
use crate::plan::{PAGE, Plan};
use crate::run::{Read, Runner, read_source};
use crate::source::Intake;
use crate::state::State;
use crate::state::bodies::Bodies;
use crate::state::ownership::SyncsOn;
use crate::state::people::{People, PeoplePage};

/// Marks every listed account that another sync on the platform has linked to somebody; before anything is planned.
///
/// # Errors
/// The state or the temporary directory fails.
pub(super) async fn link(runner: &Runner, sync: &SyncSettings, listing: &Listing) -> Result<()> {
    let others = runner.state.ask(on_the_platform(sync)).await?.into_iter().filter(|(_, name)| *name != sync.name);
    for (id, _) in others {
        let mut pages = runner.state.pages(PeoplePage { sync: id, after: None, limit: PAGE });
        while let Some(page) = pages.next().await? {
            for remote_id in page.iter().filter_map(|p| p.remote_id.as_ref()) {
                listing.link(remote_id)?;
            }
        }
    }
    Ok(())
}

/// The syncs whose people own accounts there. One that the configuration no longer has is not among them.
fn on_the_platform(sync: &SyncSettings) -> SyncsOn {
    SyncsOn { syncs: sync.writers(), target: sync.target.identity() }
}

/// Marks every listed account of which it is known whose it is.
///
/// # Errors
/// The state or the temporary directory fails. A source of another sync that can't be read is said, and no error.
pub(super) async fn mark_owned(
    runner: &Runner,
    sync: &Arc<SyncSettings>,
    read: &Read,
    listing: &Arc<Listing>,
    plan: &mut Plan,
) -> Result<()> {
    leave_to_newcomers(sync, plan)?;
    let mut planned = Ok(());
    plan.for_each(|operation| {
        if let (Some(remote_id), Ok(())) = (&operation.remote_id, &planned) {
            planned = listing.link_to(remote_id, &operation.key);
        }
    })?;
    planned?;
    let ours = Ours { state: runner.state.clone(), sync: plan.sync };
    for (id, name) in runner.state.ask(on_the_platform(sync)).await? {
        by_key(runner, sync, id, name == sync.name, listing).await?;
    }
    from_source(runner, sync, read, listing, Some(ours)).await?;
    let others = runner.settings.syncs.values().filter(|s| sync.rivals.contains(&s.name));
    for other in others {
        if listing.nobodys_count()? > 0 {
            of_another(runner, other, read, sync, listing).await?;
        }
    }
    Ok(())
}

/// An account that a newcomer is about to adopt is theirs, whoever had its address before.
fn leave_to_newcomers(sync: &SyncSettings, plan: &mut Plan) -> Result<()> {
    if !plan.counts.contains_key(&OpKind::Adopt) {
        return Ok(());
    }
    let (mut adopted, mut taken) = (BTreeSet::new(), BTreeMap::new());
    plan.for_each(|operation| match (&operation.remote_id, operation.kind) {
        (Some(id), OpKind::Adopt) => {
            adopted.insert(id.clone());
        }
        (Some(id), kind) if kind.takes_access() => {
            taken.insert(operation.key.clone(), id.clone());
        }
        _ => {}
    })?;
    taken.retain(|_, remote_id| adopted.contains(remote_id));
    if !taken.is_empty() {
        let unwanted = |operation: &Planned| operation.kind.takes_access() && taken.contains_key(&operation.key);
        plan.leave_out(&sync.name, unwanted)?;
    }
    Ok(())
}

/// Accounts that carry the key of somebody in a snapshot and are linked to nobody. Those of the sync's `own` people are
/// reported where there is more than one.
async fn by_key(runner: &Runner, sync: &SyncSettings, id: SyncId, own: bool, listing: &Listing) -> Result<()> {
    let key_field = &sync.target.engine.catalogue().key_field;
    let mut after = None;
    while listing.nobodys_count()? > 0 {
        let page = runner.state.ask(PeoplePage { sync: id, after, limit: PAGE }).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        let keys = page.iter().map(|p| p.key.clone()).collect();
        let mut bodies = runner.state.ask(Bodies { sync: id, keys }).await?;
        for person in page {
            let body = bodies.remove(&person.key).unwrap_or_default();
            let acknowledged = key_field.as_ref().and_then(|field| body.attributes.get(field)).and_then(as_text);
            let mut found = listing.free_by_key(person.key.as_str())?;
            if let Some(key) = acknowledged.filter(|key| key != person.key.as_str()) {
                found.extend(listing.free_by_key(&key)?);
            }
            match own && !found.is_empty() {
                true => {
                    let linked = linked(&person.key, person.remote_id, listing)?;
                    claim(listing, &person.key, &found, linked.as_ref())?;
                }
                false => recognise(listing, &found)?,
            }
        }
    }
    Ok(())
}

/// The listed account that a person has, or will have once what is planned is done.
fn linked(key: &Key, known: Option<RemoteId>, listing: &Listing) -> Result<Option<RemoteId>> {
    let Some(id) = listing.linked_to(key)?.or(known) else { return Ok(None) };
    // What is free was given to somebody else, or is not there any more.
    let linked = listing.by_id(&id)?.is_some() && !listing.is_free(&id)?;
    Ok(linked.then_some(id))
}

/// Says that it is known whose these accounts are.
fn recognise(listing: &Listing, found: &[Account]) -> Result<()> {
    for account in found {
        listing.is_mine(&account.remote_id)?;
    }
    Ok(())
}

/// Says that these accounts are a person's, besides the one that is linked. An invitation is no account.
fn claim(listing: &Listing, key: &Key, found: &[Account], linked: Option<&RemoteId>) -> Result<()> {
    recognise(listing, found)?;
    let accounts = found.iter().filter(|account| account.state != AccountState::Invited);
    let ids: BTreeSet<&RemoteId> = accounts.map(|account| &account.remote_id).chain(linked).collect();
    if ids.len() > 1 {
        listing.are_doubled(key, ids.into_iter())?;
    }
    Ok(())
}

/// The people of the sync that is compared.
struct Ours {
    state: State,
    sync: Option<SyncId>,
}

impl Ours {
    /// Says whose accounts those are by which records were recognised.
    fn claim(&self, found: BTreeMap<Key, Vec<Recognised>>, listing: &Listing) -> Result<()> {
        let people = match self.sync {
            Some(sync) => self.state.ask_blocking(People { sync, keys: found.keys().cloned().collect() })?,
            None => BTreeMap::new(),
        };
        for (key, accounts) in found {
            let linked = linked(&key, people.get(&key).and_then(|person| person.remote_id.clone()), listing)?;
            // Who has an account and shares a match value with one of another key has nothing to do with that one.
            let theirs = accounts.into_iter().filter(|found| linked.is_none() || !found.is_foreign);
            let theirs: Vec<Account> = theirs.map(|found| found.account).collect();
            claim(listing, &key, &theirs, linked.as_ref())?;
        }
        Ok(())
    }
}

/// An account by which a record is recognised.
struct Recognised {
    account: Account,
    /// It carries another key.
    is_foreign: bool,
}

/// The source of another sync on the same target.
async fn of_another(
    runner: &Runner,
    other: &Arc<SyncSettings>,
    read: &Read,
    sync: &SyncSettings,
    listing: &Arc<Listing>,
) -> Result<()> {
    let only_once = other.source.kind.is_read_once();
    if other.source.name == sync.source.name {
        let has_columns = other.mapping.bind(read.intake.columns()).is_ok();
        if has_columns || only_once {
            return from_source(runner, other, read, listing, None).await;
        }
    }
    let failure = match only_once {
        true => "standard input is read once".to_string(),
        false => match read_source(&other.source, std::slice::from_ref(other), &runner.state, &runner.clock).await {
            Ok(read) => return from_source(runner, other, &read, listing, None).await,
            Err(failure) => failure.chain(),
        },
    };
    tracing::warn!(
        sync = %other.name, source = %other.source.name,
        "accounts of people in this source may be reported as orphaned: {failure}"
    );
    Ok(())
}

/// Marks the accounts that records of a source are recognised by, whether or not they are in scope. `ours`: of the sync
/// that is compared.
async fn from_source(
    runner: &Runner,
    sync: &Arc<SyncSettings>,
    read: &Read,
    listing: &Arc<Listing>,
    ours: Option<Ours>,
) -> Result<()> {
    if listing.nobodys_count()? == 0 {
        return Ok(());
    }
    let time = LocalTime::new(runner.clock.now(), sync.timezone);
    let (sync, intake, listing) = (Arc::clone(sync), Arc::clone(&read.intake), Arc::clone(listing));
    off_thread("comparing broke off", move || {
        let Ok(bound) = sync.mapping.bind(intake.columns()) else { return Ok(()) };
        records(&sync, &intake, &bound, time, &listing, ours.as_ref())?;
        rejects(&intake, &listing)
    })
    .await?
}

fn records(
    sync: &SyncSettings,
    intake: &Intake,
    bound: &Bound,
    time: LocalTime,
    listing: &Listing,
    ours: Option<&Ours>,
) -> Result<()> {
    for page in intake.pages() {
        let mut found = BTreeMap::new();
        for record in &page? {
            let rows = bound.regardless_of_scope(record, time);
            let key = record.key.as_str();
            let mut accounts = match rows.is_empty() {
                true => recognised(sync, key, &Desired::default(), listing)?,
                false => Vec::new(),
            };
            for desired in &rows {
                accounts.extend(recognised(sync, key, desired, listing)?);
            }
            match ours {
                Some(_) if !accounts.is_empty() => {
                    found.insert(record.key.clone(), accounts);
                }
                _ => accounts.iter().try_for_each(|found| listing.is_mine(&found.account.remote_id).map(drop))?,
            }
        }
        if let (Some(ours), false) = (ours, found.is_empty()) {
            ours.claim(found, listing)?;
        }
    }
    Ok(())
}

/// The accounts that are linked to nobody and by which a record is recognised.
fn recognised(sync: &SyncSettings, key: &str, desired: &Desired, listing: &Listing) -> Result<Vec<Recognised>> {
    let (key_value, matches) = recognised_by(desired, &sync.match_fields, sync.target.engine.catalogue());
    let mut found = listing.free_by_key(key)?;
    if let Some(value) = key_value.as_ref().filter(|value| *value != key) {
        found.extend(listing.free_by_key(value)?);
    }
    for (field, value) in &matches {
        for account in listing.by_match(field, value)? {
            found.extend(listing.is_free(&account.remote_id)?.then_some(account));
        }
    }
    let is_foreign = |account: &Account| {
        let carried = account.key.as_deref().map(str::trim).filter(|carried| !carried.is_empty());
        carried.is_some_and(|carried| carried != key && key_value.as_deref() != Some(carried))
    };
    Ok(found.into_iter().map(|account| Recognised { is_foreign: is_foreign(&account), account }).collect())
}

/// Of a record that can't be used the key is known, if anything.
fn rejects(intake: &Intake, listing: &Listing) -> Result<()> {
    for page in pages(|after| intake.rejected_keys(after, PAGE), Key::clone) {
        for key in &page? {
            for account in listing.by_key(key.as_str())? {
                listing.is_mine(&account.remote_id)?;
            }
        }
    }
    Ok(())
}
