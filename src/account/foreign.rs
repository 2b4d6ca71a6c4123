//! An account that looks like a newcomer's and carries another key: what is told of it. A key that is ours is named, a
//! stranger's is not: it may be somebody's address.

use super::lookup::{Found, Newcomer};
use crate::config::settings::SyncSettings;
use crate::domain::error::Result;
use crate::domain::outcome::{ErrorKind, OpError};
use crate::domain::record::Key;
use crate::state::State;
use crate::state::binding::BoundTo;
use crate::state::people::People;

/// An account that carries another key is nobody's to take. A key that is ours is named; a stranger's may be an address.
pub async fn carries(
    state: &State,
    sync: &SyncSettings,
    newcomer: &Newcomer,
    (account, other): (&str, &str),
    in_source: impl FnOnce(&Key) -> Result<bool>,
) -> Result<Found> {
    let key = &newcomer.create.key;
    let ours = match Key::parse(other) {
        None => None,
        Some(other) => {
            let known = match state.ask(BoundTo(sync.name.clone())).await? {
                Some(bound) => !state.ask(People { sync: bound.id, keys: vec![other.clone()] }).await?.is_empty(),
                None => false,
            };
            (known || in_source(&other)?).then_some(other)
        }
    };
    let message = match ours {
        Some(other) => format!("account {account} looks like {key} and carries the key {other}"),
        None => format!(
            "account {account} looks like {key} and carries another key, which is nobody's in sync {} and not shown here",
            sync.name
        ),
    };
    Ok(Found::Conflict(OpError::new(ErrorKind::Conflict, message)))
}
