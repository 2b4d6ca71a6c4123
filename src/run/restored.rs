//! Verifying a restored state: after the state was restored from a backup, every account that it knows is compared with the target
//! before anything is planned, because nobody knows what was done since.
//!
//! What the target shows replaces what was acknowledged. Accounts made since then are found as those of any newcomer
//! are: by key, then by `match`.

use crate::account::Listing;
use crate::account::lookup::Found;
use crate::account::seek::{find_again, identity};
use crate::account::{Client, Seen};
use crate::api::{Engine, Ownership};
use crate::config::settings::SyncSettings;
use crate::domain::account::{Account, AccountState};
use crate::domain::error::Result;
use crate::domain::ids::SyncId;
use crate::domain::operation::{OpKind, Operation};
use crate::domain::rules::PersonState;
use crate::domain::value::same;
use crate::os::clock::Clock;
use crate::plan::PAGE;
use crate::state::State;
use crate::state::bodies::{Bodies, Body};
use crate::state::epoch::{IsFresh, IsStale};
use crate::state::journal::{Effect, Observe};
use crate::state::people::{PeoplePage, Person};

/// Compares everybody of a sync with the target, if the state was restored since it last ran.
///
/// # Errors
/// The target can't be reached or the state fails. What was compared stays so, and the next run begins anew.
pub async fn verify_restored_state(
    sync: &SyncSettings,
    id: SyncId,
    state: &State,
    client: &Client,
    clock: &Clock,
) -> Result<()> {
    if !state.ask(IsStale(id)).await? {
        return Ok(());
    }
    tracing::warn!(sync = %sync.name, "the state was restored: every account is compared with the target first");
    let listed = match client.engine().can_list() {
        true => Listing::of(client, &[], u64::MAX).await?,
        false => None,
    };
    let mut changed = 0;
    let mut pages = state.pages(PeoplePage { sync: id, after: None, limit: PAGE });
    while let Some(page) = pages.next().await? {
        let known: Vec<Person> = page.into_iter().filter(|p| p.remote_id.is_some()).collect();
        let keys = known.iter().map(|p| p.key.clone()).collect();
        let mut bodies = state.ask(Bodies { sync: id, keys }).await?;
        let mut observed = Vec::new();
        for person in known {
            let body = bodies.remove(&person.key).unwrap_or_default();
            let found = match find(client, listed.as_ref(), &person).await? {
                Stock::Account(account) => Some(account),
                Stock::Nobody => None,
                // Nothing is learnt of them; what is sent to them is judged by its own answer.
                Stock::Unreadable => continue,
            };
            let theirs =
                found.filter(|a| identity(&person.key, sync, [&body.attributes]).judge(a) != Ownership::Anothers);
            let account = match theirs {
                Some(account) => Some(*account),
                None => moved(sync, state, client, &person, &body).await?,
            };
            if let Some(effect) = correction(client.engine(), &person, &body, account) {
                observed.push((person.key, effect));
            }
        }
        changed += observed.len();
        for key in state.ask(Observe { sync: id, at: clock.stamp(), observed }).await? {
            tracing::warn!(sync = %sync.name, %key, "the account that was found belongs to another person");
        }
    }
    state.ask(IsFresh(id)).await?;
    tracing::info!(sync = %sync.name, changed, "compared with the target");
    Ok(())
}

/// What stands under a person's id.
enum Stock {
    Account(Box<Account>),
    Nobody,
    /// The target shows another account than the one that it was asked for.
    Unreadable,
}

/// The person's account as it is now. One that the listing lacks is asked for by itself: accounts can slip from page to
/// page while a listing is under way, and nobody may be given up for that.
async fn find(client: &Client, listed: Option<&Listing>, person: &Person) -> Result<Stock> {
    let Some(remote_id) = &person.remote_id else { return Ok(Stock::Nobody) };
    let shown = match listed {
        Some(listing) => listing.by_id(remote_id)?,
        None => None,
    };
    if let Some(account) = shown {
        return Ok(Stock::Account(Box::new(account)));
    }
    Ok(match client.seek(remote_id).await? {
        Seen::Account(account) => Stock::Account(account),
        Seen::Nobody => Stock::Nobody,
        Seen::Another => {
            tracing::warn!(key = %person.key, "the target was asked for their account and showed another one");
            Stock::Unreadable
        }
    })
}

/// The account of somebody who has none under their id any more: ids can change with a rename.
async fn moved(
    sync: &SyncSettings,
    state: &State,
    client: &Client,
    person: &Person,
    body: &Body,
) -> Result<Option<Account>> {
    let mut known = Operation::new(OpKind::Update, person.key.clone(), person.remote_id.clone());
    known.baseline = body.attributes.clone();
    Ok(match find_again(client, state, sync, &known).await? {
        Found::Account(account) => Some(*account),
        Found::Nobody | Found::Conflict(_) => None,
    })
}

/// What has to be changed in what is known of a person, if anything.
fn correction(engine: &Engine, person: &Person, body: &Body, account: Option<Account>) -> Option<Effect> {
    let Some(account) = account else {
        return (person.state != PersonState::Deleted).then_some(Effect::Gone);
    };
    let catalogue = engine.catalogue();
    let mut attributes = body.attributes.clone();
    for (field, acknowledged) in body.attributes.iter() {
        if let Some(shown) = account.attributes.get(field).filter(|s| !same(catalogue.kind(field), s, acknowledged)) {
            attributes.set(field.clone(), shown.clone());
        }
    }
    let state = match (account.state, person.state) {
        (AccountState::Banned, _) => PersonState::Banned,
        (_, PersonState::Left) => PersonState::Left,
        (AccountState::Invited, _) => PersonState::Invited,
        (AccountState::Active, _) => PersonState::Active,
    };
    let same_id = person.remote_id.as_ref() == Some(&account.remote_id);
    if same_id && state == person.state && attributes == body.attributes {
        return None;
    }
    Some(Effect::Confirmed { state, remote_id: account.remote_id, attributes, fingerprint: None })
}
