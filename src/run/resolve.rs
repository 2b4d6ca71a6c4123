//! The unknown, resolved: what an earlier run may have sent and never saw answered is looked up on the target before
//! anything else is sent for that person.
//!
//! An account that is there is taken as it is; one that isn't leaves the person to be planned anew, once the target has
//! had time to finish what it may still be busy with. What can't be looked up now stays unresolved, and that person is
//! left alone.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::account::lookup::Found;
use crate::account::seek::{find_again, whose};
use crate::account::{Client, Seen};
use crate::api::Ownership;
use crate::config::settings::SyncSettings;
use crate::domain::account::{Account, AccountState};
use crate::domain::error::{Error, Failure, Result, TargetReason};
use crate::domain::ids::{EntryId, SyncId};
use crate::domain::operation::{OpKind, Operation};
use crate::domain::planned::Planned;
use crate::domain::record::Key;
use crate::domain::remote_id::RemoteId;
use crate::domain::rules::PersonState;
use crate::domain::value::{Attributes, same};
use crate::failpoints;
use crate::failpoints::Failpoint;
use crate::os::clock::Clock;
use crate::state::State;
use crate::state::bodies::Bodies;
use crate::state::journal::{CountFrom, Effect, Resolve, Unresolved, UnresolvedPage};
use crate::state::undo::Undoable;

/// An operation of an earlier run that turned out to have been done.
#[derive(Clone, Debug)]
pub struct Resolution {
    /// What it had been.
    pub kind: OpKind,
    /// The account.
    pub remote_id: Option<RemoteId>,
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
    let resolver = Resolver { sync, id, state, client, clock };
    let mut resolved = Resolved::default();
    let mut failed_in_a_row = 0;
    let mut pages = state.pages(UnresolvedPage { sync: id, after: EntryId::default(), limit: PAGE });
    while let Some(page) = pages.next().await? {
        for unresolved in page {
            match resolver.resolve(&unresolved).await {
                Ok(resolution) => {
                    failed_in_a_row = 0;
                    resolved.done.extend(resolution.map(|r| (unresolved.operation.key.clone(), r)));
                }
                Err(failure) if is_passing(failure.error) => {
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
    Ok(resolved)
}

/// Whether it is a trouble of the target's that may be over by the next run. What is the state's, or ours, ends the run.
const fn is_passing(error: Error) -> bool {
    match error {
        Error::Target(reason) => !matches!(reason, TargetReason::Denied),
        _ => false,
    }
}

/// What resolving needs.
struct Resolver<'a> {
    sync: &'a SyncSettings,
    id: SyncId,
    state: &'a State,
    client: &'a Client,
    clock: &'a Clock,
}

impl Resolver<'_> {
    async fn resolve(&self, unresolved: &Unresolved) -> Result<Option<Resolution>> {
        let operation = &unresolved.operation;
        let account = self.account(operation).await?;
        if account.is_none() && may_make_one(operation) && self.may_still_come(unresolved).await? {
            return Ok(None);
        }
        let (effect, was_done) = match account {
            None if operation.remote_id.is_some() => (Effect::Gone, operation.kind == OpKind::Delete),
            None => (Effect::None, false),
            Some(account) => {
                let was_done = looks_done(operation, &account, self.client);
                (self.observed(operation, account, was_done).await?, was_done)
            }
        };
        let remote_id = match &effect {
            Effect::Confirmed { remote_id, .. } => Some(remote_id.clone()),
            _ => operation.remote_id.clone(),
        };
        let was_done = was_done && !operation.is_step();
        let replaced = was_done.then(|| Undoable::of(operation, remote_id.clone()));
        let (entry, key, at) = (unresolved.entry, operation.key.clone(), self.clock.stamp());
        if let Some(owner) = self.state.ask(Resolve { sync: self.id, entry, key, effect, at, replaced }).await? {
            // The plan reports it: this person has no account of their own.
            tracing::warn!(key = %operation.key, %owner, "the account that was found belongs to another person");
            return Ok(None);
        }
        let kind = if operation.kind == OpKind::Create { OpKind::Adopt } else { operation.kind };
        Ok(was_done.then_some(Resolution { kind, remote_id }))
    }

    /// The person's account: under its id, unless that is another's by now, else by key and `match`.
    async fn account(&self, operation: &Operation) -> Result<Option<Account>> {
        if let Some(remote_id) = &operation.remote_id {
            match self.client.seek(remote_id).await? {
                Seen::Account(account) => {
                    let whose = whose(self.state, self.id, self.sync, operation, &account).await?;
                    if whose != Ownership::Anothers {
                        return Ok(Some(*account));
                    }
                }
                Seen::Nobody => {}
                Seen::Another => return Err(self.client.shows_another(remote_id)),
            }
        }
        match find_again(self.client, self.state, self.sync, operation).await? {
            Found::Account(account) => Ok(Some(*account)),
            // A conflict is for the plan to report: this person has no account of their own.
            Found::Nobody | Found::Conflict(_) => Ok(None),
        }
    }

    /// Whether the target may still be busy with it. A clock that was set back makes nothing older: it counts from now.
    async fn may_still_come(&self, unresolved: &Unresolved) -> Result<bool> {
        let (now, settle) = (self.clock.now(), self.sync.target.settle);
        if settle.is_zero() || failpoints::is(Failpoint::CreateAgainAtOnce) {
            return Ok(false);
        }
        let Some(since) = Some(unresolved.since).filter(|since| *since <= now) else {
            self.state.ask(CountFrom { entry: unresolved.entry, at: self.clock.stamp() }).await?;
            return Ok(true);
        };
        let age = (now - since).to_std().unwrap_or(Duration::ZERO);
        if age < settle {
            tracing::info!(
                key = %unresolved.operation.key,
                "not found yet; it is not sent again before {:?} have passed (targets.{}.settle)",
                settle, self.sync.target.name
            );
        }
        Ok(age < settle)
    }

    /// The account as it is now: what the operation speaks of is taken from the target, the rest stays as acknowledged.
    async fn observed(&self, operation: &Operation, account: Account, was_done: bool) -> Result<Effect> {
        let mut bodies = self.state.ask(Bodies { sync: self.id, keys: vec![operation.key.clone()] }).await?;
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
}

/// Whether carrying it out can have made an account: a create, or what becomes one where the account is gone.
fn may_make_one(operation: &Planned) -> bool {
    !operation.is_step() && !operation.kind.takes_access() && operation.kind != OpKind::Unlink
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::error::StateReason;

    #[test]
    fn a_busy_database_is_not_taken_for_a_target_that_does_not_answer() {
        assert!(!is_passing(Error::State(StateReason::Busy)));
        assert!(!is_passing(Error::Target(TargetReason::Denied)));
        assert!(is_passing(Error::Target(TargetReason::Unreachable)));
        assert!(is_passing(Error::Target(TargetReason::QuotaUsedUp)));
    }
}
