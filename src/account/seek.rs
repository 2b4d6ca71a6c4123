//! Somebody's account, sought again: by what is known of them, when it is not where it was, or when an operation on it has
//! no answer.

use std::borrow::Cow;

use super::lookup::{Found, again, look_up};
use crate::account::Client;
use crate::api::{Identity, Ownership};
use crate::config::settings::SyncSettings;
use crate::domain::account::Account;
use crate::domain::error::Result;
use crate::domain::ids::SyncId;
use crate::domain::operation::{Change, OpKind, Operation};
use crate::domain::record::Key;
use crate::domain::value::is_empty;
use crate::state::bodies::Bodies;
use crate::state::{State, StateError};

/// Looks the person of an operation up by key and by `match`.
///
/// # Errors
/// The target can't be reached, the state fails, or another sync on the target owns the account (78).
pub async fn find_again(client: &Client, state: &State, sync: &SyncSettings, operation: &Operation) -> Result<Found> {
    let create = match operation.kind {
        OpKind::Create => Cow::Borrowed(operation),
        _ => Cow::Owned(as_create(operation, sync)),
    };
    look_up(client, state, sync, &again(&create, &sync.match_fields, client.engine().catalogue())).await
}

/// The create that would make the account which an operation expected to be there: of what is known of it, the fields
/// that are mapped. Who was to lose access is known by what they had.
pub fn as_create(operation: &Operation, sync: &SyncSettings) -> Operation {
    let mapped = |field: &str| sync.mapping.rules().iter().any(|rule| rule.field == field);
    let known = if operation.kind.takes_access() { operation.baseline.clone() } else { operation.after() };
    let mut create = Operation::new(OpKind::Create, operation.key.clone(), None);
    for (field, value) in known.iter().filter(|(field, _)| mapped(field)) {
        if is_empty(value) {
            create.blank.insert(field.clone());
        } else {
            create.fields.insert(field.clone(), Change { old: serde_json::Value::Null, new: value.clone() });
        }
    }
    create.create_only = operation.create_only.clone();
    create.fingerprint = operation.fingerprint;
    create.wave = operation.wave;
    create
}

/// Whose an account is that stands under a person's id: judged by what the target acknowledged, or showed, of them.
///
/// # Errors
/// The state fails.
pub async fn whose(
    state: &State,
    id: SyncId,
    sync: &SyncSettings,
    operation: &Operation,
    account: &Account,
) -> Result<Ownership, StateError> {
    let mut bodies = state.ask(Bodies { sync: id, keys: vec![operation.key.clone()] }).await?;
    let known = match bodies.remove(&operation.key) {
        Some(body) => [Some(body.attributes), body.observed],
        None => [Some(operation.baseline.clone()), None],
    };
    Ok(identity(&operation.key, sync, known.iter().flatten()).judge(account))
}

/// By what a person's account is told from others'.
pub fn identity<'a>(
    key: &Key,
    sync: &SyncSettings,
    known: impl IntoIterator<Item = &'a crate::domain::value::Attributes>,
) -> Identity {
    Identity::of(key, sync.target.engine.catalogue(), &sync.match_fields, known)
}
