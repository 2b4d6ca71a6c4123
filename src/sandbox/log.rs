//! The sandbox's own log: every request in order, and of every write whether and when it was committed.
//!
//! This is what a test believes rather than rosterd's word. It is a ring, so that a sandbox may run for days.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::target::{About, Call};

/// Requests that are kept: a first load of 100,000 people with look-ups and retries fits several times over, and the
/// ring stays in the low hundreds of megabytes when it is full.
const KEPT: usize = 1_000_000;

/// Different sets of field names that are kept apart from the entries. Real callers send a few dozen; a fuzzer that
/// sends more has the rest logged without names.
const FIELD_SETS: usize = 4096;

/// Longest path that is logged; API paths are far shorter.
const PATH_LENGTH: usize = 200;

/// What a request does, in the words that rosterd's plans use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// Makes an account.
    Create,
    /// Writes fields of an account.
    Update,
    /// Disables an active account, whatever else it writes.
    Ban,
    /// Enables a disabled account, whatever else it writes.
    Reinstate,
    /// Removes an account.
    Delete,
    /// Reads one account by its id.
    Get,
    /// Searches accounts by a field.
    Lookup,
    /// Lists accounts.
    List,
    /// Begins or ends a session; asks for no change, whatever its method.
    Login,
    /// Anything else, nonsense included.
    Other,
}

/// One request as the sandbox saw it. Never a value of a person; `key` is the person's client id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Counts from 1 and never starts again.
    pub seq: u64,
    /// When it arrived, Unix time in milliseconds.
    pub at_ms: u64,
    /// When it arrived, in nanoseconds of the monotonic clock since the sandbox started.
    pub mono_ns: u64,
    /// The target's name; empty when the path belongs to none.
    pub target: Cow<'static, str>,
    /// The HTTP method.
    pub method: Box<str>,
    /// The path without its query.
    pub path: Box<str>,
    /// The names of the query parameters.
    pub query: Arc<[String]>,
    /// What it does.
    pub op: Op,
    /// The account it addresses or made.
    pub remote_id: Option<Box<str>>,
    /// The key of the person, where the request or the account tells it.
    pub key: Option<Box<str>>,
    /// The names of the fields it sends, sorted.
    pub fields: Arc<[String]>,
    /// The status answered; `null` when no answer was given.
    pub status: Option<u16>,
    /// Whether it asks for a change.
    pub write: bool,
    /// Whether the change was made.
    pub committed: bool,
    /// When it was made, Unix time in milliseconds.
    pub committed_at_ms: Option<u64>,
    /// When it was made, in nanoseconds since the sandbox started.
    pub committed_mono_ns: Option<u64>,
    /// The fault that struck it.
    pub fault: Option<Cow<'static, str>>,
}

/// The ring of requests.
pub(super) struct Log {
    started: Instant,
    next: u64,
    entries: VecDeque<Request>,
    names: HashMap<Vec<String>, Arc<[String]>>,
    nothing: Arc<[String]>,
}

impl Log {
    /// An empty log that begins now.
    pub(super) fn new() -> Self {
        Log {
            started: Instant::now(),
            next: 1,
            entries: VecDeque::new(),
            names: HashMap::new(),
            nothing: Arc::from(Vec::new()),
        }
    }

    /// Enters a request that has arrived and gives its number.
    pub(super) fn begin(&mut self, target: &'static str, path: &str, call: &Call, about: About) -> u64 {
        let seq = self.next;
        self.next += 1;
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        let mut path = path.to_string();
        path.truncate(path.floor_char_boundary(PATH_LENGTH));
        let entry = Request {
            seq,
            at_ms: unix_ms(),
            mono_ns: self.elapsed(),
            target: Cow::Borrowed(target),
            method: call.method.as_str().into(),
            path: path.into(),
            query: self.interned(call.query.iter().map(|(name, _)| name.clone()).collect()),
            op: about.op,
            remote_id: about.remote_id.map(String::into_boxed_str),
            key: about.key.map(String::into_boxed_str),
            fields: self.interned(about.fields),
            status: None,
            write: call.writes() && about.op != Op::Login,
            committed: false,
            committed_at_ms: None,
            committed_mono_ns: None,
            fault: None,
        };
        self.entries.push_back(entry);
        seq
    }

    /// Notes that the change was made, and which account came of it.
    pub(super) fn committed(&mut self, seq: u64, created: Option<&str>) {
        let (at, mono) = (unix_ms(), self.elapsed());
        if let Some(entry) = self.entry(seq) {
            entry.committed = true;
            entry.committed_at_ms = Some(at);
            entry.committed_mono_ns = Some(mono);
            if let Some(id) = created {
                entry.remote_id = Some(id.into());
            }
        }
    }

    /// Notes which fault strikes a request.
    pub(super) fn struck(&mut self, seq: u64, fault: Cow<'static, str>) {
        if let Some(entry) = self.entry(seq) {
            entry.fault = Some(fault);
        }
    }

    /// Notes the status with which a request is answered.
    pub(super) fn answered(&mut self, seq: u64, status: u16) {
        if let Some(entry) = self.entry(seq) {
            entry.status = Some(status);
        }
    }

    /// The requests after number `seq` that are still kept, in order.
    pub(super) fn since(&self, seq: u64) -> Vec<Request> {
        let first = self.entries.front().map_or(self.next, |e| e.seq);
        let skip = (seq + 1).saturating_sub(first);
        self.entries.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX)).cloned().collect()
    }

    /// Nanoseconds since the sandbox started.
    pub(super) fn elapsed(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn entry(&mut self, seq: u64) -> Option<&mut Request> {
        let first = self.entries.front()?.seq;
        let index = usize::try_from(seq.checked_sub(first)?).ok()?;
        self.entries.get_mut(index)
    }

    /// One shared copy of a set of names: most requests send the same few sets.
    fn interned(&mut self, mut names: Vec<String>) -> Arc<[String]> {
        names.sort();
        if names.is_empty() {
            return Arc::clone(&self.nothing);
        }
        if let Some(known) = self.names.get(&names) {
            return Arc::clone(known);
        }
        if self.names.len() == FIELD_SETS {
            return Arc::clone(&self.nothing);
        }
        let shared: Arc<[String]> = Arc::from(names.clone());
        self.names.insert(names, Arc::clone(&shared));
        shared
    }
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}
