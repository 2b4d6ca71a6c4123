//! Looking somebody up on the target: by the key field first, then by the `match` fields. An account of another key is
//! never taken, and two candidates are reported with both.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::client::Client;
use super::foreign::carries;
use super::listing::Listing;
use crate::config::settings::SyncSettings;
use crate::domain::account::{Account, AccountState};
use crate::domain::catalogue::Catalogue;
use crate::domain::error::{Error, Failure, Result};
use crate::domain::operation::Operation;
use crate::domain::outcome::{ErrorKind, OpError};
use crate::domain::record::Key;
use crate::domain::remote_id::LoggableId;
use crate::domain::value::{as_text, folded, folded_each};
use crate::state::State;
use crate::state::people::OwnerOf;

/// How many of several accounts a message names.
const LISTED: usize = 10;

/// Someone without an account that we know of, to be looked up before anything is created.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// The create that follows when nobody is found.
    pub create: Operation,
    /// What they are looked up by.
    pub sought: LookupValues,
}

/// What a newcomer is looked up by.
#[derive(Clone, Serialize, Deserialize)]
pub struct LookupValues {
    /// What the target's key field would hold.
    pub key_value: Option<String>,
    /// The folded values by which an existing account is recognised, by field.
    pub matches: Vec<(String, String)>,
    /// They may be linked, and nothing may be written.
    pub protected: bool,
}

impl fmt::Debug for LookupValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sought(…)")
    }
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

/// Accounts that could be somebody's.
pub struct Candidates {
    /// The accounts.
    pub accounts: Vec<Account>,
    /// They carry the person's key; otherwise they are recognised by a `match` field.
    pub by_key: bool,
}

/// Candidates among the accounts of a listing.
pub fn listed_candidates(listing: &Listing, sought: &LookupValues) -> Result<Candidates> {
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
pub async fn candidates(client: &Client, newcomer: &Newcomer) -> Result<Candidates> {
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
        value => as_text(value).filter(|_| folded(value).as_deref() == Some(wanted)),
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
pub async fn owner_of(state: &State, sync: &SyncSettings, account: &Account) -> Result<Option<(String, Key)>> {
    let (target, remote_id) = (sync.target.identity(), account.remote_id.clone());
    Ok(state.ask(OwnerOf { syncs: sync.writers(), target, remote_id }).await?)
}

/// What the candidates come to.
pub enum Judged {
    /// They decide.
    Found(Found),
    /// The account belongs to another person of this sync.
    Owned(Box<Account>, Key),
    /// The account of this id, as it may be shown, carries this key, which is not the newcomer's.
    Carries(LoggableId, String),
}

/// Chooses among the candidates.
async fn choose(state: &State, sync: &SyncSettings, newcomer: &Newcomer, found: Vec<Account>) -> Result<Found> {
    Ok(match judge(state, sync, newcomer, found).await? {
        Judged::Found(found) => found,
        // A look-up while something is sent knows the state alone.
        Judged::Carries(account, other) => {
            carries(state, sync, newcomer, (account.as_str(), &other), |_| Ok(false)).await?
        }
        Judged::Owned(account, owner) => {
            let shown = sync.target.engine.loggable_id(&account.remote_id);
            let (key, name) = (&newcomer.create.key, &sync.name);
            let message = format!(
                "account {shown} looks like {key} and belongs to {owner}; see: rosterd why {name} {key}; where the \
                 platform was emptied or put back: rosterd reconcile {name}"
            );
            Found::Conflict(OpError::new(ErrorKind::Conflict, message))
        }
    })
}

/// Judges the candidates.
pub async fn judge(state: &State, sync: &SyncSettings, newcomer: &Newcomer, mut found: Vec<Account>) -> Result<Judged> {
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
        return conflict(format!(
            "more than one account could be {key}: {}{more}",
            ids.iter().map(LoggableId::as_str).collect::<Vec<_>>().join(", ")
        ));
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
fn two_syncs(sync: &str, owner: &str, target: &str, id: &LoggableId) -> Failure {
    Failure::new(
        Error::Config,
        format!("account {id} of target {target} belongs to sync {owner}, and sync {sync} would take it too"),
    )
    .help("two syncs on one platform must not share people, whatever targets are called: tell them apart with include")
}

/// The key that an account carries, if it is not this one.
fn foreign_key<'a>(account: &'a Account, wanted: Option<&str>) -> Option<&'a str> {
    let carried = account.key.as_deref().map(str::trim).filter(|k| !k.is_empty())?;
    (wanted.map(str::trim) != Some(carried)).then_some(carried)
}

/// The newcomer that an operation of an earlier run was about, for looking them up again.
pub fn again(create: &Operation, match_fields: &[String], catalogue: &Catalogue) -> Newcomer {
    let value = |field: &String| create.fields.get(field).map(|c| &c.new);
    let sought = LookupValues {
        key_value: catalogue.key_field.as_ref().and_then(value).and_then(as_text),
        matches: (catalogue.recognised_by(match_fields).iter())
            .flat_map(|f| value(f).map(folded_each).unwrap_or_default().into_iter().map(|value| (f.clone(), value)))
            .collect(),
        protected: false,
    };
    Newcomer { create: create.clone(), sought }
}
