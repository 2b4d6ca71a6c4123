//! What an operation needs before it can be sent: its request, made of the account as it is now where the API wants
//! that, and one account read by its id. An account is believed only if it is the one that was asked for.

use rand::Rng;

use super::client::Client;
use crate::api::{ApiRequest, Current, Needs, Verdict};
use crate::domain::account::Account;
use crate::domain::error::{Error, Failure, Result, TargetReason};
use crate::domain::operation::{OpKind, Operation};
use crate::domain::outcome::{ErrorKind, OpError};
use crate::domain::remote_id::RemoteId;

/// What a target shows when it is asked for one account.
#[derive(Debug)]
pub enum Seen {
    /// That account.
    Account(Box<Account>),
    /// There is none.
    Nobody,
    /// Another one, which says nothing about the one that was asked for.
    Another,
}

/// Why a request can't be sent.
#[derive(Debug)]
pub enum PrepareError {
    /// It can't be made.
    Invalid(OpError),
    /// The account that it is about is not there.
    Gone,
    /// The account that is shown is another's.
    Another,
    /// The target could not be read.
    Failed(Failure),
}

impl Client {
    /// The request of an operation, with what has to be read for it first; `read`: the account as it was read a moment ago;
    /// `read_first`: it is read whatever the operation is.
    ///
    /// # Errors
    /// It can't be made, its account is not there any more or another is shown in its place, or the target can't be read.
    pub async fn encode(
        &self,
        operation: &Operation,
        read: Option<Current>,
        read_first: bool,
    ) -> Result<ApiRequest, PrepareError> {
        let replace = match operation.kind {
            OpKind::Create | OpKind::Delete | OpKind::Unlink => false,
            _ => self.replaces().await.map_err(PrepareError::Failed)?,
        };
        let gives = operation.kind == OpKind::Create && self.engine().gives_throwaway();
        let throwaway = gives.then(throwaway);
        let mut needs = Needs { throwaway: throwaway.as_deref(), current: None, replace };
        let wanted = read_first || self.engine().needs_current(operation, replace);
        let current = match (wanted, &operation.remote_id, read) {
            (true, _, Some(read)) => Some(read),
            (true, Some(id), None) if self.engine().get(id).is_some() => {
                let (account, current) =
                    self.current(id).await.map_err(PrepareError::Failed)?.ok_or(PrepareError::Gone)?;
                if self.engine().shows_another(operation, &account) {
                    return Err(PrepareError::Another);
                }
                Some(current)
            }
            _ => None,
        };
        needs.current = current.as_ref();
        self.engine().encode_with(operation, &needs).map_err(PrepareError::Invalid)
    }

    /// The account with this id, also as it came; `None` when there is none, or the target can't be asked for one.
    /// Whether it is that account is for the caller to see.
    ///
    /// # Errors
    /// As [`Client::page`].
    pub async fn current(&self, remote_id: &RemoteId) -> Result<Option<(Account, Current)>> {
        match self.engine().get(remote_id) {
            Some(request) => self.read(&request, |answer| self.engine().current(answer)).await,
            None => Ok(None),
        }
    }

    /// Whether the API takes whole accounts only; asked once.
    async fn replaces(&self) -> Result<bool> {
        let Some(request) = self.engine().discovery() else { return Ok(false) };
        let asked = self.replaces.get_or_try_init(|| {
            self.read(&request, |answer| match answer.status {
                401 => Err(Verdict::LogInAgain),
                429 | 500.. => Err(Verdict::Unclear(OpError::new(
                    ErrorKind::Protocol,
                    format!("HTTP {} when asked what it can do", answer.status),
                ))),
                _ => Ok(!self.engine().takes_changes(answer)),
            })
        });
        asked.await.copied()
    }

    /// The account with this id, if there is one.
    ///
    /// # Errors
    /// As [`Client::page`]; the target shows another account than the one that it was asked for (69).
    pub async fn get(&self, remote_id: &RemoteId) -> Result<Option<Account>> {
        match self.seek(remote_id).await? {
            Seen::Account(account) => Ok(Some(*account)),
            Seen::Nobody => Ok(None),
            Seen::Another => Err(self.shows_another(remote_id)),
        }
    }

    /// What the target shows when it is asked for the account with this id.
    ///
    /// # Errors
    /// As [`Client::page`].
    pub async fn seek(&self, remote_id: &RemoteId) -> Result<Seen> {
        if let Some(request) = self.engine().get(remote_id) {
            let shown = self.read(&request, |answer| self.engine().account(answer)).await?;
            return Ok(match shown {
                None => Seen::Nobody,
                Some(account) if self.engine().is_other_id(remote_id, &account.remote_id) => Seen::Another,
                Some(account) => Seen::Account(Box::new(account)),
            });
        }
        let same = |account: &Account| !self.engine().is_other_id(remote_id, &account.remote_id);
        let found = self.listed(same).await?.pop();
        Ok(found.map_or(Seen::Nobody, |account| Seen::Account(Box::new(account))))
    }

    /// The failure when the target was asked for one account and shows another.
    pub fn shows_another(&self, remote_id: &RemoteId) -> Failure {
        let (name, id) = (self.target(), self.engine().loggable_id(remote_id));
        Failure::new(
            Error::Target(TargetReason::Unreachable),
            format!("target {name} was asked for account {id} and shows another one"),
        )
        .help("nothing is believed of that answer, and nothing written on the strength of it; is a cache between?")
    }
}

/// A secret that nobody knows, in what password rules ask for: letters of both cases, a digit, a sign. It is made for
/// one request and kept nowhere.
fn throwaway() -> String {
    let letters = rand::rng().sample_iter(rand::distr::Alphanumeric).take(28).map(char::from);
    "aA1-".chars().chain(letters).collect()
}
