//! What every simulated target is to the sandbox: a machine that takes a call and gives an answer.
//!
//! A target does no I/O and knows nothing of faults, latency or the log. So committing and then dropping the
//! connection is the server's doing, the same for all targets, and a target's own file holds only what its vendor's
//! page says.

use axum::http::{HeaderMap, Method};
use serde_json::Value;

use super::log::Op;

/// One request, read completely.
pub struct Call {
    /// The method.
    pub method: Method,
    /// The path below the target's base path; begins with a slash, or is empty.
    pub path: String,
    /// The query, decoded, in order.
    pub query: Vec<(String, String)>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as sent.
    pub body: Vec<u8>,
    /// The body as JSON, if it is JSON.
    pub json: Option<Value>,
}

impl Call {
    /// The value of a query parameter.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The parts of the path between slashes.
    pub fn segments(&self) -> Vec<&str> {
        self.path.split('/').skip(1).collect()
    }

    /// A header's text; `None` when it is absent or not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// Whether the method is one that asks for a change.
    pub fn writes(&self) -> bool {
        !matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS)
    }
}

/// What a call is about, as far as it can be told before it is handled.
#[derive(Clone, Debug)]
pub struct About {
    /// The kind of operation.
    pub op: Op,
    /// The account it addresses.
    pub remote_id: Option<String>,
    /// The key of the person, from the body or from the account.
    pub key: Option<String>,
    /// The names of the fields it sends.
    pub fields: Vec<String>,
}

/// What the target answers.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers beside the content type.
    pub headers: Vec<(&'static str, String)>,
    /// Content type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
    /// Whether something was written, and stays written whatever becomes of the answer.
    pub committed: bool,
    /// The account that was made, for a creation.
    pub created: Option<String>,
}

impl Answer {
    /// A JSON answer to a call that changed nothing.
    pub fn json(status: u16, body: &Value) -> Self {
        Answer {
            status,
            headers: Vec::new(),
            content_type: "application/json",
            body: body.to_string().into_bytes(),
            committed: false,
            created: None,
        }
    }
}

/// A platform with users. Implementations hold their accounts themselves, and are called one at a time.
pub trait Target: Send {
    /// The name by which `/_sandbox` knows it.
    fn name(&self) -> &'static str;

    /// The path under which its API lies, e.g. `/juno/api`.
    fn base_path(&self) -> &'static str;

    /// What a call is about. Changes nothing.
    fn about(&self, call: &Call) -> About;

    /// Does what the call asks.
    fn handle(&mut self, call: &Call) -> Answer;

    /// Every account with all its fields, in the order of ids.
    fn users(&self) -> Vec<Value>;

    /// Adds accounts as an administrator of the platform would, under the same rules as through the API.
    ///
    /// # Errors
    /// Says which account (counted from 0) is refused and why; those before it are in.
    fn seed(&mut self, users: &[Value]) -> Result<Vec<Value>, String>;

    /// Removes every account. Ids are not given out again.
    fn clear(&mut self);

    /// An invented person, given in JUNO's words, as an account of this platform: what [`Target::seed`] takes.
    fn invent(&self, person: &Value) -> Value {
        person.clone()
    }

    /// Chooses between the shapes of a listing, where the vendor's page leaves it open.
    fn set_listing(&mut self, _listing: super::Listing) {}

    /// Ends every session after so many more requests, once, where there are sessions.
    fn expire_sessions(&mut self, _after: u64) {}

    /// Says whether single changes are taken, where that is a choice.
    fn take_patches(&mut self, _yes: bool) {}

    /// Has everybody who is invited accept, where there are invitations.
    fn accept_invitations(&mut self) {}
}
