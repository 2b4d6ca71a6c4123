//! Whose account it is, and where it has gone: before access is taken or given back the account is read and must be the
//! person's; what is not there when it is written is read, then looked up, before anything is concluded from that.

use std::sync::Arc;

use super::attempt::{Step, Work};
use super::ending::Finished;
use crate::account::lookup::Found;
use crate::account::prepare::Seen;
use crate::account::seek::{as_create, whose};
use crate::api::Ownership;
use crate::domain::account::{Account, AccountState};
use crate::domain::error::{Error, Failure, LocalReason, Result};
use crate::domain::operation::OpKind;
use crate::domain::outcome::{ErrorKind, OpError};
use crate::domain::planned::Planned;
use crate::domain::remote_id::RemoteId;
use crate::domain::rules::SkipReason;
use crate::failpoints;
use crate::failpoints::Failpoint;
use crate::state::people::OwnerOf;

impl Work<'_> {
    /// Before a ban, a delete or a reinstatement: the account that stands under the id must carry the person's key, or a
    /// value by which they are recognised. Ids are given anew; nobody else's access is touched. What ends the operation,
    /// if anything does.
    pub(super) async fn prove(&mut self) -> Option<Step> {
        let guarded = matches!(self.operation.kind, OpKind::Ban | OpKind::Delete | OpKind::Reinstate);
        if self.proven || !guarded {
            return None;
        }
        self.proven = true;
        let id = self.operation.remote_id.clone()?;
        self.at.client.engine().get(&id)?;
        let read = tokio::select! {
            biased;
            () = self.at.stop.cancelled() => return Some(end(self.not_begun(SkipReason::Stopped))),
            read = self.at.client.current(&id) => read,
        };
        let (account, current) = match read {
            Ok(Some(read)) => read,
            Ok(None) => return Some(self.not_found(true).await),
            Err(failure) => return Some(end(self.unreadable(failure))),
        };
        match self.is_theirs(&id, &account).await {
            Ok(true) => {
                self.read = Some(current);
                None
            }
            Ok(false) => Some(end(self.failed(self.not_theirs(&id)))),
            Err(failure) => Some(end(self.unreadable(failure))),
        }
    }

    /// There is no such account, says the target, when it is written, or (`read`) when it is read. It is looked for under
    /// its id, then by key and `match`, once: what is found is written. Only where nobody is found it is gone: good when it
    /// was to go, and otherwise it is made anew.
    pub(super) async fn not_found(&mut self, read: bool) -> Step {
        let error = self.missing();
        if self.followed_up || matches!(self.operation.kind, OpKind::Create | OpKind::Unlink) {
            return end(self.failed(error));
        }
        if failpoints::is(Failpoint::Believe404) && self.operation.kind.takes_access() {
            return end(self.already_gone());
        }
        (self.followed_up, self.stepped) = (true, false);
        if !read {
            match self.under_its_id().await {
                Ok(Some(account)) => return self.still_there(&account),
                Ok(None) => {}
                Err(failure) => return end(self.failed_after(error, failure)),
            }
        }
        let takes_access = self.operation.kind.takes_access();
        let step = self.operation.is_step();
        match self.look_up().await {
            Ok(Found::Account(account)) if takes_access || step => self.follow(*account),
            Ok(Found::Account(account)) => {
                self.operation = Arc::new(as_create(&self.operation, self.at.sync).into());
                self.adopt(*account)
            }
            Ok(Found::Nobody) if takes_access => end(self.already_gone()),
            // Nothing is in the way any more. What follows on that person sees for itself that they are gone.
            Ok(Found::Nobody) if step => end(self.failed(error)),
            Ok(Found::Nobody) => {
                self.operation = Arc::new(as_create(&self.operation, self.at.sync).into());
                Step::Onward
            }
            Ok(Found::Conflict(conflict)) => end(self.failed(conflict)),
            Err(failure) => end(self.failed_after(error, failure)),
        }
    }

    /// What is said of it in the end.
    fn missing(&self) -> OpError {
        let message = match self.is_there {
            false => "HTTP 404: there is no such account".to_string(),
            true => format!(
                "HTTP 404 when it was written, and the account is there when it is read: nothing was changed; see the \
                 path of operations.{} in the definition of target {}, and its base_url",
                if self.operation.kind.takes_access() { self.operation.kind.name() } else { "update" },
                self.at.client.target()
            ),
        };
        OpError::new(ErrorKind::Refused, message)
    }

    /// The person's account, if it is there under its id when it is read.
    async fn under_its_id(&self) -> Result<Option<Box<Account>>> {
        let Some(id) = self.operation.remote_id.clone() else { return Ok(None) };
        if self.at.client.engine().get(&id).is_none() {
            return Ok(None);
        }
        let seen = tokio::select! {
            biased;
            seen = self.at.client.seek(&id) => seen?,
            () = self.at.abandon.cancelled() => {
                return Err(Failure::new(Error::Local(LocalReason::Stopped), "stopped before a look-up was answered"));
            }
        };
        match seen {
            Seen::Account(account) if self.is_theirs(&id, &account).await? => Ok(Some(account)),
            Seen::Account(_) | Seen::Nobody => Ok(None),
            Seen::Another => Err(self.at.client.shows_another(&id)),
        }
    }

    /// It can be read, and could not be written: it is written once more.
    fn still_there(&mut self, account: &Account) -> Step {
        if self.operation.kind == OpKind::Ban && account.state == AccountState::Banned {
            return end(self.done(None, None));
        }
        self.is_there = true;
        Step::Onward
    }

    /// The account has another id by now: access is taken there, and what it gives up bears its new id.
    fn follow(&mut self, account: Account) -> Step {
        let mut operation = Planned::clone(&self.operation);
        let catalogue = self.at.client.engine().catalogue();
        let old = operation.remote_id.replace(account.remote_id.clone());
        for (field, change) in &mut operation.fields {
            let was = old.as_ref().and_then(|old| catalogue.released(field, old));
            let is = catalogue.released(field, &account.remote_id);
            if was.as_ref() == Some(&change.new) {
                change.new = is.unwrap_or_else(|| change.new.clone());
            }
        }
        self.operation = Arc::new(operation);
        match (self.operation.kind, account.state) {
            (OpKind::Ban, AccountState::Banned) => end(self.done(None, None)),
            _ => Step::Onward,
        }
    }

    /// Why the account that a create was answered with can't be linked: somebody of another sync on the target has it. Who
    /// of this sync has it, is seen when it is written down.
    pub(super) async fn owned_elsewhere(&self, remote_id: Option<&RemoteId>) -> Result<Option<OpError>> {
        let sync = self.at.sync;
        let (OpKind::Create, Some(id), false) = (self.operation.kind, remote_id, sync.rivals.is_empty()) else {
            return Ok(None);
        };
        let whose = OwnerOf { syncs: sync.writers(), target: sync.target.identity(), remote_id: id.clone() };
        let owner = self.at.state.ask(whose).await?.filter(|(other, _)| *other != sync.name);
        Ok(owner.map(|(other, key)| {
            let id = self.at.client.engine().loggable_id(id);
            let message = format!(
                "the target answered with account {id}, and account {id} belongs to {key} of sync {other}; nobody was linked"
            );
            OpError::new(ErrorKind::Conflict, message)
        }))
    }

    async fn is_theirs(&self, id: &RemoteId, account: &Account) -> Result<bool> {
        if self.at.client.engine().is_other_id(id, &account.remote_id) {
            return Ok(false);
        }
        let whose = whose(self.at.state, self.at.id, self.at.sync, &self.operation, account).await?;
        Ok(matches!(whose, Ownership::Theirs | Ownership::Unknowable))
    }

    fn not_theirs(&self, id: &RemoteId) -> OpError {
        let (id, key) = (self.at.client.engine().loggable_id(id), &self.operation.key);
        let message = format!(
            "what the target shows as account {id} carries neither the key of {key} nor a value by which they are \
             recognised: it may be somebody else's by now, and nothing was sent; compare: rosterd reconcile {}",
            self.at.sync.name
        );
        OpError::new(ErrorKind::Conflict, message)
    }
}

fn end(finished: Finished) -> Step {
    Step::End(Box::new(finished))
}
