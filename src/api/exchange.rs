//! What passes between delivery and a target's definition: requests before they have a socket, answers after they
//! have left one, and the verdict in between.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::call::Call;
use crate::domain::account::{Account, AccountState, Echo};
use crate::domain::outcome::OpError;
use crate::domain::remote_id::RemoteId;

/// A request as the definition describes it, before authentication and base URL.
#[derive(Clone, PartialEq)]
pub struct ApiRequest {
    /// What it is made for.
    pub call: Call,
    /// `GET`, `POST`, …
    pub method: String,
    /// Path and query below the target's base URL, percent-encoded, beginning with `/`.
    pub path: String,
    /// Headers beside authentication, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, if it has one.
    pub body: Option<Vec<u8>>,
}

impl fmt::Debug for ApiRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A path can carry an address (`?email=…`): only its part before the query, and no segment beyond the first.
        let resource = self.path.trim_start_matches('/').split(['/', '?']).next().unwrap_or_default();
        write!(f, "ApiRequest({} /{resource}…)", self.method)
    }
}

/// A complete answer, its body decoded and within the cap.
#[derive(Clone, PartialEq)]
pub struct ApiResponse {
    /// The HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Its share of the memory for large answers, where it is one.
    pub held: Held,
}

/// A share of something that is given back when the last copy of this is gone.
#[derive(Clone, Default)]
pub struct Held(Option<Arc<dyn Send + Sync>>);

impl Held {
    /// Holds this.
    pub fn of(share: impl Send + Sync + 'static) -> Held {
        Held(Some(Arc::new(share)))
    }
}

impl PartialEq for Held {
    /// What is held says nothing of who holds it.
    fn eq(&self, _: &Held) -> bool {
        true
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Held({})", self.0.is_some())
    }
}

impl ApiResponse {
    /// The first header of this (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

impl fmt::Debug for ApiResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiResponse({}, {} bytes)", self.status, self.body.len())
    }
}

/// An account as the target shows it now, for requests that send it back with changes.
#[derive(Clone, PartialEq)]
pub struct Current {
    /// The account, as it came.
    pub account: serde_json::Value,
    /// Its version, for a target that refuses to overwrite a newer one.
    pub version: Option<String>,
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current(…)")
    }
}

/// What a request may need besides its operation.
#[derive(Clone, Copy, Default)]
pub struct Needs<'a> {
    /// A secret that nobody will know, for APIs that otherwise mail one to a new user.
    pub throwaway: Option<&'a str>,
    /// The account as it is now.
    pub current: Option<&'a Current>,
    /// The API said that it takes whole accounts only.
    pub replace: bool,
}

impl fmt::Debug for Needs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Needs(replace: {})", self.replace)
    }
}

/// One page of a listing or of a search.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The accounts on it.
    pub accounts: Vec<Account>,
    /// The request for the next one; none on the last.
    pub next: Option<ApiRequest>,
    /// How many accounts there are in all, where the answer tells.
    pub total: Option<u64>,
    /// Whether the listing or search ends here. The listing of those who are invited may follow.
    pub last: bool,
    /// The request that would show more than the total speaks of, where one can't tell whether the total counts all
    /// accounts or those of a page. Where it shows nobody new, `next` goes on.
    pub beyond: Option<ApiRequest>,
    /// What its answer held, until its accounts are taken over.
    pub held: Held,
}

/// What an answer means for the operation whose request it answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The target acknowledged it. A create tells the new account's id.
    Done {
        /// The account's id, where the answer tells it.
        remote_id: Option<RemoteId>,
        /// The state in which the account is now, where it isn't the one asked for (an invitation, say).
        state: Option<AccountState>,
        /// What the answer shows of what was written; nothing where it shows no account.
        echo: Option<Echo>,
    },
    /// Another account has one of these unique values already (fields as far as the answer tells).
    Duplicate {
        /// The fields that the target complains of.
        fields: Vec<String>,
        /// For the ledger, should it remain a failure.
        error: OpError,
    },
    /// There is no such account.
    NotFound,
    /// Log in again, then repeat.
    LogInAgain,
    /// The credentials are good for nothing here: stop this target.
    Denied(OpError),
    /// Not now: certainly not done, repeat later (429, 503).
    SlowDown {
        /// How long the target wants to be left alone.
        retry_after: Option<Duration>,
        /// For the ledger, should patience end.
        error: OpError,
    },
    /// The target understood and said no; repeating is pointless.
    Refused(OpError),
    /// It may have been done or not (5xx, an answer that can't be read).
    Unclear(OpError),
}
