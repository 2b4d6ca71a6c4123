//! The scripted target of the simulation: JUNO's accounts in memory, behind a network whose every mood is drawn from a
//! seed. It notes when each request came, what was done, and which promise towards it was broken.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rosterd::delivery::Carrier;
use rosterd::delivery::transport::SendError;
use rosterd::outcome::ErrorKind;
use rosterd::target::{Answer, Wire};
use rusqlite::Connection;
use serde_json::{Map, Value, json};

use super::process::Fate;

/// How a stretch of time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Everything works.
    Calm,
    /// So many requests of a hundred meet a mishap.
    Windy(u32),
    /// Every write is told that the service is unavailable.
    Storm,
    /// No connection comes about.
    Down,
}

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mishap {
    None,
    /// Answered, and nothing done.
    Status(u16),
    /// No connection: certainly not sent.
    NoConnection,
    /// Lost on the way there.
    LostBefore,
    /// Done, and the answer lost.
    LostAfter,
    /// Done, and answered 500 all the same.
    DoneAnd500,
    /// Done, and the answer is cut off.
    Garbage,
    /// Done only after the caller has given up.
    TooLate,
    /// Delivered twice by something in between.
    Twice,
}

/// A request that has left and is to be carried out at a time, whatever becomes of who sent it.
struct Travelling {
    wire: Wire,
    again: bool,
}

/// The target.
pub struct World {
    chance: StdRng,
    /// Milliseconds since the beginning.
    now: u64,
    accounts: BTreeMap<u64, Map<String, Value>>,
    next_id: u64,
    travelling: BTreeMap<(u64, u64), Travelling>,
    answers: BTreeMap<u64, Answer>,
    sent: u64,
    pub weather: Weather,
    /// Whether it refuses a second account of one key or address. One that doesn't gets no duplicate deliveries and no
    /// late ones: against those, nobody could do anything.
    pub strict: bool,
    /// When every request came, in milliseconds.
    pub arrivals: Vec<u64>,
    /// The writes of the present life: method, path and body, with how often each came.
    pub writes: BTreeMap<(String, String, Vec<u8>), u64>,
    /// Whose writes came in the present life.
    pub written: BTreeSet<String>,
    /// Whose writes have left in the present life and were not heard of since, by request.
    under_way: BTreeMap<u64, String>,
    /// Whose create may have been carried out without anybody knowing, and was not looked for since.
    doubtful: BTreeSet<String>,
    /// What was broken.
    pub broken: Vec<String>,
    /// Everything that happened, hashed: two runs of one seed must agree.
    pub story: blake3::Hasher,
}

/// The state's database, to see what is in the journal when a request arrives.
pub type Database = Arc<Mutex<Connection>>;

impl World {
    pub fn new(seed: u64, strict: bool) -> World {
        World {
            chance: StdRng::seed_from_u64(seed),
            now: 0,
            accounts: BTreeMap::new(),
            next_id: 1,
            travelling: BTreeMap::new(),
            answers: BTreeMap::new(),
            sent: 0,
            weather: Weather::Calm,
            strict,
            arrivals: Vec::new(),
            writes: BTreeMap::new(),
            written: BTreeSet::new(),
            under_way: BTreeMap::new(),
            doubtful: BTreeSet::new(),
            broken: Vec::new(),
            story: blake3::Hasher::new(),
        }
    }

    /// An account made by somebody else.
    pub fn seed_account(&mut self, fields: Value) -> u64 {
        let Value::Object(fields) = fields else { panic!("an object") };
        self.insert(fields)
    }

    fn insert(&mut self, mut fields: Map<String, Value>) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        fields.insert("id".into(), id.into());
        fields.entry("banned").or_insert(false.into());
        self.accounts.insert(id, fields);
        id
    }

    /// The accounts.
    pub fn accounts(&self) -> impl Iterator<Item = &Map<String, Value>> {
        self.accounts.values()
    }

    /// The account of this id.
    pub fn account(&self, id: &str) -> Option<&Map<String, Value>> {
        self.accounts.get(&id.parse().ok()?)
    }

    /// Time passes: what travels arrives.
    pub fn advance(&mut self, now: u64) {
        self.now = self.now.max(now);
        while let Some(entry) = self.travelling.first_entry().filter(|e| e.key().0 <= now) {
            let ((_, number), travelling) = entry.remove_entry();
            let answer = self.handle(&travelling.wire);
            if travelling.again {
                self.handle(&travelling.wire);
            }
            self.answers.insert(number, answer);
        }
    }

    /// A new process begins: what is counted by life is counted anew.
    pub fn new_life(&mut self) {
        self.writes.clear();
        self.written.clear();
        self.under_way.clear();
    }

    /// A request leaves. Returns its number, when it is carried out, when its answer is there, and what it meets.
    fn depart(&mut self, wire: &Wire, now: u64, database: &Database, timeout: u64) -> (u64, u64, u64, Mishap) {
        self.advance(now);
        self.sent += 1;
        let number = self.sent;
        let mishap = self.mishap(wire);
        self.story.update(format!("{now} {} {} {mishap:?}\n", wire.method, wire.path).as_bytes());
        if mishap == Mishap::NoConnection {
            return (number, now, now + self.chance.random_range(0..20), mishap);
        }
        self.arrivals.push(now);
        self.note(wire, number, mishap, database);
        let there = now + self.chance.random_range(0..40);
        let done = if mishap == Mishap::TooLate { now + timeout + self.chance.random_range(1..3000) } else { there };
        let back = match mishap {
            Mishap::TooLate => now + timeout,
            // Half of what is lost is noticed at once, half when the time is up.
            Mishap::LostBefore | Mishap::LostAfter if self.chance.random_bool(0.5) => now + timeout,
            _ => done + self.chance.random_range(0..40),
        };
        let carried_out = !matches!(mishap, Mishap::Status(_) | Mishap::LostBefore);
        if carried_out {
            let again = mishap == Mishap::Twice;
            self.travelling.insert((done, number), Travelling { wire: wire.clone(), again });
        }
        (number, done, back, mishap)
    }

    fn mishap(&mut self, wire: &Wire) -> Mishap {
        let write = wire.method != "GET";
        match self.weather {
            Weather::Calm => Mishap::None,
            Weather::Down => Mishap::NoConnection,
            Weather::Storm if write => Mishap::Status(503),
            Weather::Storm => Mishap::None,
            Weather::Windy(percent) if self.chance.random_range(0..100) < percent => {
                let all = [
                    Mishap::Status(429),
                    Mishap::Status(500),
                    Mishap::Status(503),
                    Mishap::NoConnection,
                    Mishap::LostBefore,
                    Mishap::LostAfter,
                    Mishap::DoneAnd500,
                    Mishap::Garbage,
                    Mishap::TooLate,
                    Mishap::Twice,
                ];
                let kinds = if self.strict { all.len() } else { all.len() - 2 };
                match all[self.chance.random_range(0..kinds)] {
                    // An update that comes after a later one undoes it, and nothing but a reconcile finds out.
                    Mishap::TooLate if wire.method == "PUT" => Mishap::LostAfter,
                    mishap => mishap,
                }
            }
            Weather::Windy(_) => Mishap::None,
        }
    }

    /// Notes what a request tells, and which promise it breaks by having been sent.
    fn note(&mut self, wire: &Wire, number: u64, mishap: Mishap, database: &Database) {
        if wire.method == "GET" {
            let sought = query(&wire.path);
            if !sought.contains_key("client_id") && !sought.contains_key("email") {
                self.doubtful.clear(); // a listing shows everybody
            }
            if let Some(key) = sought.get("client_id") {
                self.doubtful.remove(key);
            }
            return;
        }
        let Some(key) = self.key_of(wire) else { return };
        let body = wire.body.clone().unwrap_or_default();
        *self.writes.entry((wire.method.clone(), wire.path.clone(), body)).or_default() += 1;
        if !parks(wire) {
            self.written.insert(key.clone());
        }
        if !journalled(database, &key) {
            self.broken.push(format!("a {} for {key} was sent and is not in the journal", wire.method));
        }
        if self.under_way.values().any(|other| *other == key) {
            self.broken.push(format!("a {} for {key} was sent while another had no answer yet", wire.method));
        }
        self.under_way.insert(number, key.clone());
        if wire.method == "POST" {
            if self.doubtful.contains(&key) {
                self.broken.push(format!("{key} was created again without a look whether they are there"));
            }
            if !matches!(mishap, Mishap::None | Mishap::Status(429 | 503) | Mishap::Twice) {
                self.doubtful.insert(key);
            }
        }
    }

    /// The person whom a write is about, as far as the target can tell.
    fn key_of(&self, wire: &Wire) -> Option<String> {
        let of_body = || Some(body(wire)?.get("client_id")?.as_str()?.to_string());
        let of_account = || Some(self.account(id_in(&wire.path)?)?.get("client_id")?.as_str()?.to_string());
        of_body().or_else(of_account)
    }

    fn handle(&mut self, wire: &Wire) -> Answer {
        let id = id_in(&wire.path).map(str::to_string);
        match (wire.method.as_str(), id) {
            ("GET", Some(id)) => match self.account(&id) {
                Some(account) => answer(200, &Value::Object(account.clone())),
                None => answer(404, &json!({"error": {"code": "not_found"}})),
            },
            ("GET", None) => self.list(&query(&wire.path)),
            ("POST", None) => self.create(wire),
            ("PUT", Some(id)) => self.update(wire, &id),
            _ => answer(405, &Value::Null),
        }
    }

    fn list(&self, query: &BTreeMap<String, String>) -> Answer {
        let text = |account: &Map<String, Value>, field: &str| account.get(field).and_then(Value::as_str).map(folded);
        let fits = |account: &&Map<String, Value>| {
            ["client_id", "email"].iter().all(|f| query.get(*f).is_none_or(|v| text(account, f) == Some(folded(v))))
        };
        let number = |name: &str, default: usize| query.get(name).and_then(|n| n.parse().ok()).unwrap_or(default);
        let (page, size) = (number("page", 1), number("per_page", usize::MAX));
        let found: Vec<_> = self.accounts.values().filter(fits).skip((page - 1) * size).take(size).cloned().collect();
        answer(200, &Value::from(found.into_iter().map(Value::Object).collect::<Vec<_>>()))
    }

    fn create(&mut self, wire: &Wire) -> Answer {
        let Some(fields) = body(wire) else { return answer(400, &Value::Null) };
        match self.taken(&fields, None) {
            Some(field) => answer(409, &json!({"error": {"code": "taken", "fields": [field]}})),
            None => {
                let id = self.insert(fields);
                answer(201, &Value::Object(self.accounts[&id].clone()))
            }
        }
    }

    fn update(&mut self, wire: &Wire, id: &str) -> Answer {
        let Some(id) = id.parse().ok().filter(|id| self.accounts.contains_key(id)) else {
            return answer(404, &Value::Null);
        };
        let Some(fields) = body(wire) else { return answer(400, &Value::Null) };
        if let Some(field) = self.taken(&fields, Some(id)) {
            return answer(409, &json!({"error": {"code": "taken", "fields": [field]}}));
        }
        let account = self.accounts.get_mut(&id).expect("it is there");
        account.extend(fields);
        answer(200, &Value::Object(account.clone()))
    }

    fn taken(&self, fields: &Map<String, Value>, own: Option<u64>) -> Option<&'static str> {
        let text = |fields: &Map<String, Value>, name: &str| fields.get(name).and_then(Value::as_str).map(folded);
        let unique = ["client_id", "email"].into_iter().filter(|_| self.strict);
        unique.into_iter().find(|name| {
            let wanted = text(fields, name);
            wanted.is_some() && self.accounts.iter().any(|(id, a)| Some(*id) != own && text(a, name) == wanted)
        })
    }

    fn received(&mut self, number: u64, mishap: Mishap) -> Result<Answer, SendError> {
        self.under_way.remove(&number);
        let lost = |kind, maybe_sent| Err(SendError { kind, maybe_sent, message: "simulated".into() });
        match mishap {
            Mishap::NoConnection => lost(ErrorKind::Network, false),
            Mishap::LostBefore | Mishap::LostAfter => lost(ErrorKind::Network, true),
            Mishap::TooLate => lost(ErrorKind::Timeout, true),
            Mishap::Status(status) => {
                let mut refusal = answer(status, &json!({"error": {"code": "mishap"}}));
                if status == 429 && self.chance.random_bool(0.7) {
                    refusal.headers.push(("retry-after".into(), self.chance.random_range(0..4).to_string()));
                }
                Ok(refusal)
            }
            Mishap::DoneAnd500 => Ok(answer(500, &json!({"error": {"code": "mishap"}}))),
            Mishap::Garbage => {
                let mut cut = self.answers.remove(&number).expect("it was carried out");
                cut.body.truncate(cut.body.len() / 2);
                Ok(cut)
            }
            Mishap::None | Mishap::Twice => Ok(self.answers.remove(&number).expect("it was carried out")),
        }
    }
}

/// Whether this only makes room for somebody else on the way: that has no outcome of its own.
fn parks(wire: &Wire) -> bool {
    let fields = body(wire).unwrap_or_default();
    let parked = |email: &str| email.ends_with("@parked.invalid");
    !fields.contains_key("banned") && fields.get("email").and_then(Value::as_str).is_some_and(parked)
}

fn journalled(database: &Database, key: &str) -> bool {
    let db = database.lock().expect("sound");
    db.prepare_cached("SELECT 1 FROM journal WHERE key = ?1").expect("SQL").exists([key]).expect("readable")
}

fn answer(status: u16, body: &Value) -> Answer {
    Answer { status, headers: Vec::new(), body: body.to_string().into_bytes() }
}

fn body(wire: &Wire) -> Option<Map<String, Value>> {
    serde_json::from_slice(wire.body.as_deref()?).ok()
}

fn folded(text: &str) -> String {
    text.trim().to_lowercase()
}

fn id_in(path: &str) -> Option<&str> {
    path.strip_prefix("/users/")?.split('?').next()
}

fn query(path: &str) -> BTreeMap<String, String> {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// The network between one process and the world.
pub struct Network {
    pub world: Arc<Mutex<World>>,
    pub database: Database,
    pub fate: Arc<Fate>,
    pub timeout: Duration,
}

impl Carrier for Network {
    fn ask_for_token(&self) -> BoxFuture<'_, Result<Answer, SendError>> {
        Box::pin(async { unreachable!("the simulated target wants no token") })
    }

    fn send<'a>(&'a self, wire: &'a Wire) -> BoxFuture<'a, Result<Answer, SendError>> {
        Box::pin(async move {
            self.fate.step().await;
            let timeout = self.timeout.as_millis() as u64;
            let now = self.fate.now();
            let (number, done, back, mishap) =
                self.world.lock().expect("sound").depart(wire, now, &self.database, timeout);
            self.fate.step().await;
            if mishap != Mishap::TooLate {
                self.fate.sleep_until(done).await;
                self.world.lock().expect("sound").advance(done);
                self.fate.step().await;
            }
            self.fate.sleep_until(back).await;
            self.fate.step().await;
            self.world.lock().expect("sound").received(number, mishap)
        })
    }
}
