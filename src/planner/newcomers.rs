//! Newcomers: looked up on the target before anything is created, so that a lost database, or a target that already
//! has users, makes no duplicates.
//!
//! By the target's key field first, then by the `match` fields. An account of another key is never taken, and two
//! candidates are reported with both. Whichever takes fewer requests is used: one look-up each, or one listing of the
//! whole target.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use futures_util::stream::{StreamExt, TryStreamExt};
use serde_json::Value;

use super::foreign::carries;
use super::listed::{list, unless_used_up, worth_listing};
use super::lookalikes;
use super::scope::Standing;
use super::spool::{Asked, Newcomer, Sought};
use super::{Listing, Merged, PAGE, Planner};
use crate::config::settings::SyncSettings;
use crate::delivery::{Client, Refusal};
use crate::diff;
use crate::exit::{Exit, Failure, Result};
use crate::mapping::Desired;
use crate::outcome::{ErrorKind, OpError};
use crate::plan::{OpKind, Operation};
use crate::record::Key;
use crate::rules::SkipReason;
use crate::state::State;
use crate::state::people::OwnerOf;
use crate::target::{Account, AccountState, Catalogue, Engine};
use crate::value::{folded, folded_each};

/// How many of several accounts a message names.
const LISTED: usize = 10;

/// By what accounts of a person are recognised: the key field's value, and the folded values of `match` fields.
pub fn recognised_by(
    desired: &Desired,
    match_fields: &[String],
    catalogue: &Catalogue,
) -> (Option<String>, Vec<(String, String)>) {
    let value_of = |field: &String| desired.fields.get(field).map(|d| &d.value);
    let key_value = catalogue.key_field.as_ref().and_then(value_of).and_then(super::merge::as_text);
    let fields = catalogue.recognised_by(match_fields);
    let values = |field: &String| value_of(field).map(folded_each).unwrap_or_default();
    let matches = fields.iter().flat_map(|f| values(f).into_iter().map(|value| (f.clone(), value))).collect();
    (key_value, matches)
}

/// What looking somebody up came to.
#[derive(Debug)]
pub enum Found {
    /// No account.
    Nobody,
    /// Theirs.
    Account(Box<Account>),
    /// An account that can't be taken.
    Conflict(OpError),
}

/// Turns every newcomer into a create, an adoption or a conflict. Those whom the day's requests don't suffice to look
/// up are skipped; returns how many.
pub(super) async fn settle(planner: &Planner, merged: &Merged, listing: Option<Arc<Listing>>) -> Result<u64> {
    let count = merged.spool().newcomer_count()?;
    if count == 0 {
        return Ok(0);
    }
    let listing = match (planner.observed.clone().or(listing), worth_listing(planner, count)) {
        (Some(listing), _) => Some(listing),
        (None, Some(most_pages)) => {
            list(planner, most_pages).await.or_else(|failure| unless_used_up(planner, None, failure))?
        }
        (None, None) => None,
    };
    let listing = listing.as_deref();
    let (mut after, mut skipped) = (String::new(), 0);
    loop {
        let page = merged.spool().newcomers(&after, PAGE)?;
        let Some((last, ..)) = page.last() else { return Ok(skipped) };
        after = last.to_string();
        let page = provision_unlisted(&merged.spool(), page, listing)?;
        let settled: Vec<(Key, Option<Operation>)> = futures_util::stream::iter(page)
            .map(|(newcomer, doubt)| async move {
                let key = newcomer.create.key.clone();
                let operation = one(planner, merged, newcomer, doubt, listing).await.map(Some);
                Ok::<_, Failure>((key, operation.or_else(|failure| unless_used_up(planner, None, failure))?))
            })
            .buffered(planner.sync.target.concurrency)
            .try_collect()
            .await?;
        let spool = merged.spool();
        skipped += settled.iter().filter(|(_, operation)| operation.is_none()).count() as u64;
        for (key, operation) in settled {
            match operation {
                Some(operation) => claim(&spool, &planner.sync.target.engine, operation)?,
                None => spool.skip(&key, SkipReason::Quota.name())?,
            }
        }
    }
}

/// Whom the listing does not show at all gets the create that is spooled; all others are still to be settled, with why
/// they are in doubt, if they are.
fn provision_unlisted(
    spool: &super::Spool,
    page: Vec<Asked>,
    listing: Option<&Listing>,
) -> Result<Vec<(Newcomer, Option<String>)>> {
    let mut others = Vec::new();
    for (key, sought, doubt) in page {
        let unlisted = match listing.filter(|_| doubt.is_none()) {
            Some(listing) => listed_candidates(listing, &sought)?.accounts.is_empty(),
            None => false,
        };
        match unlisted {
            true => spool.provision(&key)?,
            false => others.push((Newcomer { create: spool.create_of(&key)?, sought }, doubt)),
        }
    }
    Ok(others)
}

/// What is to be done for one newcomer. Who is in doubt is recognised by the target's key field alone.
async fn one(
    planner: &Planner,
    merged: &Merged,
    mut newcomer: Newcomer,
    doubt: Option<String>,
    listing: Option<&Listing>,
) -> Result<Operation> {
    if doubt.is_some() {
        newcomer.sought.matches.clear();
    }
    let found = match listing {
        Some(listing) => listed_candidates(listing, &newcomer.sought),
        None => candidates(&planner.client, &newcomer).await,
    };
    let mut candidates = match found {
        Ok(candidates) => candidates,
        Err(failure) => return refused(newcomer, failure),
    };
    if let (Some(why), true) = (doubt, candidates.accounts.is_empty()) {
        let conflict = Some(OpError::new(ErrorKind::Conflict, why));
        return Ok(Operation { conflict, ..newcomer.create });
    }
    let hint = match candidates.by_key {
        true => None,
        false => without_what_is_given_up(planner, merged, &newcomer, &mut candidates.accounts).await?,
    };
    if candidates.accounts.len() > 1 {
        note_owners(planner, merged, &newcomer, &candidates.accounts).await?;
    }
    let found = match judge(&planner.state, &planner.sync, &newcomer, candidates.accounts).await? {
        Judged::Found(found) => found,
        Judged::Carries(account, other) => {
            let is_there = |key: &Key| planner.intake.contains(key);
            carries(&planner.state, &planner.sync, &newcomer, (&account, &other), is_there).await?
        }
        Judged::Owned(account, owner) => {
            let why = owned(planner, merged, &newcomer, &account, &owner)?;
            Found::Conflict(OpError::new(ErrorKind::Conflict, why))
        }
    };
    if candidates.by_key && matches!(found, Found::Account(_)) {
        merged.spool().has_own_account(&newcomer.create.key)?;
    }
    Ok(Operation { hint, ..operation(planner, newcomer, found) })
}

/// Of several accounts that could be a newcomer's, each leaver's is one that is not taken away.
async fn note_owners(planner: &Planner, merged: &Merged, newcomer: &Newcomer, accounts: &[Account]) -> Result<()> {
    for account in accounts {
        if let Some((sync, owner)) = owner_of(&planner.state, &planner.sync, account).await?
            && sync == planner.sync.name
            && owner != newcomer.create.key
        {
            owned(planner, merged, newcomer, account, &owner)?;
        }
    }
    Ok(())
}

/// A newcomer whose look-up the target refuses fails alone: what was sought is wrong for it, and everybody else's is
/// not.
fn refused(newcomer: Newcomer, failure: Failure) -> Result<Operation> {
    let Some(error) = Refusal::of_one(&failure) else { return Err(failure) };
    let message = format!("the target refused to look them up: {}", error.message);
    Ok(Operation { conflict: Some(OpError::new(error.kind, message)), ..newcomer.create })
}

/// Why somebody else's account can't be taken, and what to do about it; notes that a leaver is recognised by it.
fn owned(planner: &Planner, merged: &Merged, newcomer: &Newcomer, account: &Account, owner: &Key) -> Result<String> {
    let (sync, new, spool) = (&planner.sync, &newcomer.create.key, merged.spool());
    let engine = &sync.target.engine;
    let agrees = |(field, value): &&(String, String)| account.is_recognised(field, value);
    let mut fields: Vec<String> =
        newcomer.sought.matches.iter().filter(agrees).map(|(field, _)| field.clone()).collect();
    fields.dedup();
    if fields.is_empty() {
        fields.extend(engine.catalogue().key_field.clone());
    }
    if let Some(leaver) = spool.leaver_of(owner)? {
        if !lookalikes::may_be_handed_on(sync, &fields) {
            fields.iter().try_for_each(|field| spool.alike(owner, new, field))?;
        }
        return Ok(lookalikes::suspicion(sync, &leaver, new, &fields));
    }
    drop(spool);
    let shown = engine.loggable_id(&account.remote_id);
    let (fields, looks) = (fields.join(" and "), format!("account {shown} looks like {new} and belongs to {owner}"));
    Ok(match planner.standing_of(owner)? {
        Standing::InScope => {
            format!("{looks}, who is in the source and in scope too: both have one {fields} there; mend the source")
        }
        Standing::Rejected => format!("{looks}, whose record is rejected; mend that first"),
        Standing::Excluded | Standing::Absent => {
            format!("{looks}; if {owner} is {new} under an old key: {}", lookalikes::rekey(sync, owner, new))
        }
    })
}

/// Leaves out accounts whose owners give up, within this plan, the very value by which they were found: it will be
/// free. Tells when such an owner leaves, since leaver and newcomer may then be one person under two keys.
async fn without_what_is_given_up(
    planner: &Planner,
    merged: &Merged,
    newcomer: &Newcomer,
    found: &mut Vec<Account>,
) -> Result<Option<String>> {
    let mut hint = None;
    let mut kept = Vec::new();
    for account in found.drain(..) {
        let owner = owner_of(&planner.state, &planner.sync, &account).await?;
        let giver = match owner {
            Some((sync, key)) if sync == planner.sync.name => merged.spool().operation_of(&key)?,
            _ => None,
        };
        match giver.filter(|giver| gives_up(&planner.sync, giver, newcomer, &account)) {
            Some(giver) if giver.kind.takes_access() => {
                let (old, new) = (&giver.key, &newcomer.create.key);
                merged.spool().hand(old, new)?;
                hint = Some(format!(
                    "takes what {old} gives up by leaving; if {old} is {new} under an old key: {}",
                    lookalikes::rekey(&planner.sync, old, new)
                ));
            }
            Some(_) => {}
            None => kept.push(account),
        }
    }
    *found = kept;
    Ok(hint)
}

/// Whether this operation on the account's owner gives up every value by which the newcomer was found. An account that
/// is removed gives up all of them; that they may be handed on is for the operator to say.
fn gives_up(sync: &SyncSettings, giver: &Operation, newcomer: &Newcomer, account: &Account) -> bool {
    let holds = |(field, value): &&(String, String)| account.is_recognised(field, value);
    let goes = |(field, value): &(String, String)| match giver.kind {
        OpKind::Delete => sync.release_on_ban.contains(field),
        _ => giver.fields.get(field).is_some_and(|change| !folded_each(&change.new).contains(value)),
    };
    giver.conflict.is_none() && newcomer.sought.matches.iter().filter(holds).all(goes)
}

/// Spools a newcomer's operation. An account that two of them would adopt is left to neither: which of them it
/// belongs to is for a person to say.
fn claim(spool: &super::Spool, engine: &Engine, operation: Operation) -> Result<()> {
    let claimed = match (&operation.kind, &operation.remote_id) {
        (OpKind::Adopt, Some(remote_id)) => spool.claim(remote_id, &operation.key)?,
        _ => None,
    };
    let Some(first) = claimed else { return Ok(spool.add(&operation)?) };
    let id = engine.loggable_id(operation.remote_id.as_deref().unwrap_or_default());
    let message = format!("account {id} could be {first} or {}: both are newcomers whom it fits", operation.key);
    let conflict = Some(OpError::new(ErrorKind::Conflict, message));
    if let Some(other) = spool.operation_of(&first)? {
        spool.add(&Operation { conflict: conflict.clone(), ..other })?;
    }
    Ok(spool.add(&Operation { conflict, ..operation })?)
}

/// Accounts that could be somebody's.
struct Candidates {
    accounts: Vec<Account>,
    /// They carry the person's key; otherwise they are recognised by a `match` field.
    by_key: bool,
}

fn listed_candidates(listing: &Listing, sought: &Sought) -> Result<Candidates> {
    if let Some(key) = &sought.key_value {
        let accounts = listing.by_key(key)?;
        if !accounts.is_empty() {
            return Ok(Candidates { accounts, by_key: true });
        }
    }
    let mut accounts = Vec::new();
    for (field, value) in &sought.matches {
        accounts.extend(listing.by_match(field, value)?);
    }
    Ok(Candidates { accounts, by_key: false })
}

/// Asks the target: by key, then by each `match` field.
async fn candidates(client: &Client, newcomer: &Newcomer) -> Result<Candidates> {
    if let (Some(field), Some(key)) = (&client.engine().catalogue().key_field, &newcomer.sought.key_value) {
        let mut accounts = client.find(field, key).await?;
        accounts.retain(|account| account.key.as_ref() == Some(key));
        if !accounts.is_empty() {
            return Ok(Candidates { accounts, by_key: true });
        }
    }
    let mut accounts = Vec::new();
    for (field, value) in &newcomer.sought.matches {
        // What is sent is the value as planned; what comes back counts only when it is equal, case set aside.
        let Some(spelled) = newcomer.create.fields.get(field).and_then(|change| spelled(&change.new, value)) else {
            continue;
        };
        let answer = client.find(field, &spelled).await?;
        accounts.extend(answer.into_iter().filter(|account| account.is_recognised(field, value)));
    }
    Ok(Candidates { accounts, by_key: false })
}

/// The value, or the one of several, that is this when folded, as it is spelled.
fn spelled(value: &Value, wanted: &str) -> Option<String> {
    match value {
        Value::Array(values) => values.iter().find_map(|value| spelled(value, wanted)),
        value => super::merge::as_text(value).filter(|_| folded(value).as_deref() == Some(wanted)),
    }
}

/// Looks one person up on the target.
///
/// # Errors
/// The target can't be reached, the state fails, or another sync on the target owns the account (78).
pub async fn look_up(client: &Client, state: &State, sync: &SyncSettings, newcomer: &Newcomer) -> Result<Found> {
    let found = candidates(client, newcomer).await?;
    choose(state, sync, newcomer, found.accounts).await
}

/// Who owns an account: a person of this sync, or of another on the same target.
async fn owner_of(state: &State, sync: &SyncSettings, account: &Account) -> Result<Option<(String, Key)>> {
    let (target, remote_id) = (sync.target.identity(), account.remote_id.clone());
    Ok(state.ask(OwnerOf { syncs: sync.writers(), target, remote_id }).await?)
}

/// What the candidates come to.
enum Judged {
    Found(Found),
    /// The account belongs to another person of this sync.
    Owned(Box<Account>, Key),
    /// The account of this id, as it may be shown, carries this key, which is not the newcomer's.
    Carries(String, String),
}

/// Chooses among the candidates.
async fn choose(state: &State, sync: &SyncSettings, newcomer: &Newcomer, found: Vec<Account>) -> Result<Found> {
    Ok(match judge(state, sync, newcomer, found).await? {
        Judged::Found(found) => found,
        // A look-up while something is sent knows the state alone.
        Judged::Carries(account, other) => carries(state, sync, newcomer, (&account, &other), |_| Ok(false)).await?,
        Judged::Owned(account, owner) => {
            let shown = sync.target.engine.loggable_id(&account.remote_id);
            let (key, name) = (&newcomer.create.key, &sync.name);
            let message =
                format!("account {shown} looks like {key} and belongs to {owner}; see: rosterd why {name} {key}");
            Found::Conflict(OpError::new(ErrorKind::Conflict, message))
        }
    })
}

/// Judges the candidates.
async fn judge(state: &State, sync: &SyncSettings, newcomer: &Newcomer, mut found: Vec<Account>) -> Result<Judged> {
    found.sort_by(|a, b| a.remote_id.cmp(&b.remote_id));
    found.dedup_by(|a, b| a.remote_id == b.remote_id);
    // Who has come has an account, even where their invitation is still about.
    if found.iter().any(|account| account.state != AccountState::Invited) {
        found.retain(|account| account.state != AccountState::Invited);
    }
    let (key, engine) = (&newcomer.create.key, &sync.target.engine);
    let conflict = |message: String| Ok(Judged::Found(Found::Conflict(OpError::new(ErrorKind::Conflict, message))));
    if found.len() > 1 {
        let ids: Vec<_> = found.iter().take(LISTED).map(|a| engine.loggable_id(&a.remote_id)).collect();
        let more = if found.len() > LISTED { " and more" } else { "" };
        return conflict(format!("more than one account could be {key}: {}{more}", ids.join(", ")));
    }
    let Some(account) = found.pop() else { return Ok(Judged::Found(Found::Nobody)) };
    let carried = foreign_key(&account, newcomer.sought.key_value.as_deref());
    let owner = owner_of(state, sync, &account).await?;
    let shown = engine.loggable_id(&account.remote_id);
    match (owner, carried) {
        (Some((owner, _)), _) if owner != sync.name => Err(two_syncs(&sync.name, &owner, &sync.target.name, &shown)),
        (Some((_, other)), _) if other != *key => Ok(Judged::Owned(Box::new(account), other)),
        (_, Some(other)) => Ok(Judged::Carries(shown, other.to_string())),
        (_, None) => Ok(Judged::Found(Found::Account(Box::new(account)))),
    }
}

/// Two syncs would write to one account by turns.
fn two_syncs(sync: &str, owner: &str, target: &str, remote_id: &str) -> Failure {
    Failure::new(
        Exit::Config,
        format!("account {remote_id} of target {target} belongs to sync {owner}, and sync {sync} would take it too"),
    )
    .help("two syncs on one platform must not share people, whatever targets are called: tell them apart with include")
}

/// The key that an account carries, if it is not this one.
fn foreign_key<'a>(account: &'a Account, wanted: Option<&str>) -> Option<&'a str> {
    let carried = account.key.as_deref().map(str::trim).filter(|k| !k.is_empty())?;
    (wanted.map(str::trim) != Some(carried)).then_some(carried)
}

/// The operation that follows.
fn operation(planner: &Planner, newcomer: Newcomer, found: Found) -> Operation {
    match found {
        Found::Nobody => newcomer.create,
        Found::Conflict(error) => Operation { conflict: Some(error), ..newcomer.create },
        Found::Account(account) => {
            adopt(newcomer.create, *account, &planner.sync, planner.today, newcomer.sought.protected)
        }
    }
}

/// Turns a create into the adoption of an account that is there: it links, writes what differs, reactivates. Of a
/// protected person (`protected`: by what the source says; here also by what the target shows) the account is linked
/// as it is.
pub fn adopt(create: Operation, account: Account, sync: &SyncSettings, today: NaiveDate, protected: bool) -> Operation {
    let recognised_by = sync.match_fields.iter().filter_map(|field| account.attributes.get(field));
    let covers = || sync.protect.covers(&create.key, recognised_by, Some(&account.attributes), &today.to_string());
    let protected = protected || covers();
    let left_alone = protected || account.state == AccountState::Invited;
    let fields = match left_alone {
        true => BTreeMap::new(),
        false => diff::adoption(&create, &account.attributes, sync.target.engine.catalogue()),
    };
    // Of all that the account shows, what mapping and `protect` speak of is ours to know; the rest is the target's own
    // affair. An object that is sent whole is known whole, or what nobody maps would be lost.
    let whole = |field: &str| sync.target.engine.catalogue().field(field).is_some_and(|f| f.whole);
    let ours = |field: &str| whole(field) || create.speaks_of(field) || sync.protect.fields().any(|f| f == field);
    let known = account.attributes.iter().filter(|(field, _)| ours(field));
    let baseline = known.map(|(field, value)| (field.clone(), value.clone())).collect();
    Operation {
        kind: OpKind::Adopt,
        remote_id: Some(account.remote_id),
        fields,
        baseline,
        reactivates: account.state == AccountState::Banned && !protected,
        found: Some(account.state),
        // Linked as it is, it is not in step with the record: it is looked at again.
        fingerprint: create.fingerprint.filter(|_| !left_alone),
        ..create
    }
}

/// The newcomer that an operation of an earlier run was about, for looking them up again.
pub fn again(create: &Operation, match_fields: &[String], catalogue: &Catalogue) -> Newcomer {
    let value = |field: &String| create.fields.get(field).map(|c| &c.new);
    let sought = Sought {
        key_value: catalogue.key_field.as_ref().and_then(value).and_then(super::merge::as_text),
        matches: (catalogue.recognised_by(match_fields).iter())
            .flat_map(|f| value(f).map(folded_each).unwrap_or_default().into_iter().map(|value| (f.clone(), value)))
            .collect(),
        protected: false,
    };
    Newcomer { create: create.clone(), sought }
}
