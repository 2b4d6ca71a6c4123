//! The witness at the simulated target: what each request that arrives says about whoever sent it. Was it in the journal,
//! was it due, was it sent too early, or to take access from somebody who works here?

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use rosterd::api::ApiRequest;
use rusqlite::Connection;
use serde_json::Value;

use super::network::{LAG, RequestFault, SETTLE};
use super::roster::HEAD;
use super::target::{SimulatedTarget, body, id_in, is_listing, query};

/// The state's database, to see what is in the journal when a request arrives.
pub type Database = Arc<Mutex<Connection>>;

/// What was seen in one life.
#[derive(Default)]
pub struct Seen {
    /// The writes: method, path and body, with how often each came.
    pub writes: BTreeMap<(String, String, Vec<u8>), u64>,
    /// Whose writes came.
    pub written: BTreeSet<String>,
    /// Who was looked for by key.
    pub sought: BTreeSet<String>,
    /// The accounts that the pages of the present listing have shown.
    pub listed: BTreeMap<usize, Vec<u64>>,
}

impl Seen {
    fn lists_somebody_twice(&self) -> bool {
        let shown = self.listed.values().flatten();
        shown.clone().collect::<BTreeSet<_>>().len() < shown.count()
    }
}

/// A write that has left and was not heard of since.
#[derive(Clone, Debug)]
pub struct UnderWay {
    pub key: String,
    pub creates: bool,
    pub left_at: u64,
}

/// A create that may have been carried out without anybody knowing.
pub struct UnansweredCreate {
    left_at: u64,
    life: u64,
    /// Somebody has looked since whether they are there.
    looked: bool,
}

impl SimulatedTarget {
    /// A new process begins: what is counted by life is counted anew, and nobody waits for the answers of the last one.
    pub fn new_life(&mut self) {
        self.seen = Seen::default();
        for about in std::mem::take(&mut self.under_way).into_values().filter(|about| about.creates) {
            self.doubt(about.key, about.left_at);
        }
        self.life += 1;
    }

    /// Notes that nobody can know what became of a create.
    pub fn doubt(&mut self, key: String, left_at: u64) {
        self.doubtful.insert(key, UnansweredCreate { left_at, life: self.life, looked: false });
    }

    /// Notes what a request tells, and which promise it breaks by having been sent.
    pub fn note(&mut self, request: &ApiRequest, number: u64, fault: RequestFault, database: &Database) {
        if request.method == "GET" {
            return self.note_look(request);
        }
        let Some(key) = self.key_of(request) else { return };
        if key == HEAD {
            return self.note_of_head(request);
        }
        let creates = request.method == "POST";
        *self
            .seen
            .writes
            .entry((request.method.clone(), request.path.clone(), request.body.clone().unwrap_or_default()))
            .or_default() += 1;
        if !parks(request) {
            self.seen.written.insert(key.clone());
        }
        if !journalled(database, &key) {
            self.broken.push(format!("a {} for {key} was sent and is not in the journal", request.method));
        }
        if self.under_way.values().any(|other| other.key == key) {
            self.broken.push(format!("a {} for {key} was sent while another had no answer yet", request.method));
        }
        if bans(request) && self.employed.contains(&key) {
            self.broken.push(format!("a ban of {key} was sent, who is in the roster"));
        }
        self.under_way.insert(number, UnderWay { key: key.clone(), creates, left_at: self.now });
        if creates {
            self.note_create(key, fault);
        }
    }

    /// The head of the company has got an id that was somebody else's: who writes to that somebody can't know. Before
    /// access is taken, a look is due.
    fn note_of_head(&mut self, request: &ApiRequest) {
        if bans(request) {
            self.broken.push("a ban of the head of the company was sent".into());
        }
    }

    fn note_look(&mut self, request: &ApiRequest) {
        let sought = query(&request.path);
        if is_listing(request) {
            self.doubtful.values_mut().for_each(|doubt| doubt.looked = true);
        }
        if let Some(doubt) = sought.get("client_id").and_then(|key| self.doubtful.get_mut(key)) {
            doubt.looked = true;
        }
        self.seen.sought.extend(sought.get("client_id").cloned());
    }

    fn note_create(&mut self, key: String, fault: RequestFault) {
        if self.seen.lists_somebody_twice() && !self.seen.sought.contains(&key) {
            self.broken.push(format!("{key} was created by a listing that showed somebody twice"));
        }
        if let Some(doubt) = self.doubtful.remove(&key) {
            let since = self.now - doubt.left_at;
            if !doubt.looked {
                self.broken.push(format!("{key} was created again without a look whether they are there"));
            }
            if doubt.life == self.life {
                self.broken.push(format!("{key} was created again in one run, while the first may be under way"));
            }
            if since < SETTLE - LAG {
                self.broken.push(format!("{key} was created again {since} ms after a create of unknown end"));
            }
        }
        if !matches!(fault, RequestFault::None | RequestFault::Status(429 | 503) | RequestFault::Twice) {
            self.doubt(key, self.now);
        }
    }

    /// The person whom a write is about, as far as the target can tell.
    fn key_of(&self, request: &ApiRequest) -> Option<String> {
        let of_body = || Some(body(request)?.get("client_id")?.as_str()?.to_string());
        let of_account = || Some(self.account(id_in(&request.path)?)?.get("client_id")?.as_str()?.to_string());
        of_body().or_else(of_account)
    }
}

/// Whether this takes access.
fn bans(request: &ApiRequest) -> bool {
    body(request).is_some_and(|fields| fields.get("banned") == Some(&Value::Bool(true)))
}

/// Whether this only makes room for somebody else on the way: that has no outcome of its own.
fn parks(request: &ApiRequest) -> bool {
    let fields = body(request).unwrap_or_default();
    let parked = |email: &str| email.ends_with("@parked.invalid");
    !fields.contains_key("banned") && fields.get("email").and_then(Value::as_str).is_some_and(parked)
}

fn journalled(database: &Database, key: &str) -> bool {
    let db = database.lock().expect("sound");
    db.prepare_cached("SELECT 1 FROM journal WHERE key = ?1").expect("SQL").exists([key]).expect("readable")
}
