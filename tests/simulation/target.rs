//! The scripted target of the simulation: JUNO's accounts in memory, and what it makes of each request that arrives. It
//! has habits of its own: it may spell values its own way, for good.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rosterd::api::{ApiRequest, ApiResponse, Held};
use serde_json::{Map, Value, json};

use super::checks::{Seen, UnansweredCreate, UnderWay};
use super::network::{Conditions, PageLie, RequestInFlight, told};

/// How the target spells what it is sent of some people, whatever is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spelling {
    AsSent,
    /// Titles in capitals.
    Capitals,
    /// First names are cut.
    Short,
    /// Phone numbers are not kept.
    NoPhone,
}

/// The target.
pub struct SimulatedTarget {
    pub(super) chance: StdRng,
    /// Milliseconds since the beginning.
    pub(super) now: u64,
    pub(super) accounts: BTreeMap<u64, Map<String, Value>>,
    next_id: u64,
    pub(super) travelling: BTreeMap<(u64, u64), RequestInFlight>,
    pub(super) answers: BTreeMap<u64, ApiResponse>,
    pub(super) sent: u64,
    pub conditions: Conditions,
    /// Whether it refuses a second account of one key or address.
    pub strict: bool,
    spelling: Spelling,
    /// Accounts that are said to be missing until a time, when they are asked for by id.
    pub(super) hidden: BTreeMap<u64, u64>,
    /// By how much the pages of the present listing begin too early.
    shift: usize,
    /// When every request came, in milliseconds.
    pub arrivals: Vec<u64>,
    /// The number of the present life.
    pub(super) life: u64,
    /// What came in the present life.
    pub seen: Seen,
    /// The writes of the present life that were not heard of since, by request.
    pub(super) under_way: BTreeMap<u64, UnderWay>,
    /// Whose create may have been carried out without anybody knowing.
    pub(super) doubtful: BTreeMap<String, UnansweredCreate>,
    /// The keys of those who work here now: no access is to be taken from them.
    pub employed: BTreeSet<String>,
    /// What was broken.
    pub broken: Vec<String>,
    /// Everything that happened, hashed: two runs of one seed must agree.
    pub story: blake3::Hasher,
    /// Whether it is told as it happens.
    pub aloud: bool,
}

impl SimulatedTarget {
    pub fn new(seed: u64, strict: bool) -> SimulatedTarget {
        let mut chance = StdRng::seed_from_u64(seed);
        let spelling = match chance.random_range(0..12) {
            _ if !told("kept") => Spelling::AsSent,
            0 => Spelling::Capitals,
            1 => Spelling::Short,
            2 => Spelling::NoPhone,
            _ => Spelling::AsSent,
        };
        SimulatedTarget {
            chance,
            now: 0,
            accounts: BTreeMap::new(),
            next_id: 1,
            travelling: BTreeMap::new(),
            answers: BTreeMap::new(),
            sent: 0,
            conditions: Conditions::Working,
            strict,
            spelling,
            hidden: BTreeMap::new(),
            shift: 0,
            arrivals: Vec::new(),
            life: 0,
            seen: Seen::default(),
            under_way: BTreeMap::new(),
            doubtful: BTreeMap::new(),
            employed: BTreeSet::new(),
            broken: Vec::new(),
            story: blake3::Hasher::new(),
            aloud: false,
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
        self.spell(id);
        id
    }

    /// Somebody's account is removed, and its id given to the head of the company, with or without the head's key.
    pub fn give_away(&mut self, key: &str, named: bool) -> Option<String> {
        let theirs = |account: &&mut Map<String, Value>| account.get("client_id").and_then(Value::as_str) == Some(key);
        let account = self.accounts.values_mut().find(theirs)?;
        let id = account["id"].clone();
        let head = json!({"id": id, "email": "head@elsewhere.example", "title": "Head", "banned": false});
        let Value::Object(mut head) = head else { return None };
        if named {
            head.insert("client_id".into(), super::roster::HEAD.into());
        }
        *account = head;
        Some(id.to_string())
    }

    /// The accounts.
    pub fn accounts(&self) -> impl Iterator<Item = &Map<String, Value>> {
        self.accounts.values()
    }

    /// The account of this id.
    pub fn account(&self, id: &str) -> Option<&Map<String, Value>> {
        self.accounts.get(&id.parse().ok()?)
    }

    /// How the target spells what was sent for somebody's field.
    pub fn spelt(&self, key: &str, field: &str, sent: &str) -> String {
        // Half of the people, by their number.
        let concerned = key.ends_with(['0', '2', '4', '6', '8']);
        match (self.spelling, field) {
            _ if !concerned => sent.to_string(),
            (Spelling::Capitals, "title") => sent.to_uppercase(),
            (Spelling::Short, "first_name") => sent.chars().take(4).collect(),
            (Spelling::NoPhone, "phone") => String::new(),
            _ => sent.to_string(),
        }
    }

    fn spell(&mut self, id: u64) {
        let account = &self.accounts[&id];
        let Some(key) = account.get("client_id").and_then(Value::as_str) else { return };
        let texts = account.iter().filter_map(|(field, value)| Some((field.clone(), value.as_str()?)));
        let spelt: Vec<_> = texts.map(|(field, text)| (field.clone(), self.spelt(key, &field, text).into())).collect();
        self.accounts.get_mut(&id).expect("it is there").extend(spelt);
    }

    /// Time passes: what travels arrives.
    pub fn advance(&mut self, now: u64) {
        self.now = self.now.max(now);
        while let Some(entry) = self.travelling.first_entry().filter(|e| e.key().0 <= now) {
            let ((at, number), travelling) = entry.remove_entry();
            let answer = self.handle(&travelling, at);
            if travelling.again {
                self.handle(&travelling, at);
            }
            self.answers.insert(number, answer);
        }
    }

    fn handle(&mut self, travelling: &RequestInFlight, at: u64) -> ApiResponse {
        let request = &travelling.request;
        let id = id_in(&request.path).map(str::to_string);
        let hidden = id.as_ref().and_then(|id| self.hidden.get(&id.parse().ok()?)).is_some_and(|until| at < *until);
        match (request.method.as_str(), id) {
            (_, Some(_)) if hidden => answer(404, &json!({"error": {"code": "not_found"}})),
            ("GET", Some(id)) => match self.account(&id) {
                Some(account) => answer(200, &Value::Object(account.clone())),
                None => answer(404, &json!({"error": {"code": "not_found"}})),
            },
            ("GET", None) => self.list(&query(&request.path), travelling.lie),
            ("POST", None) => self.create(request),
            ("PUT", Some(id)) => self.update(request, &id),
            _ => answer(405, &Value::Null),
        }
    }

    fn list(&mut self, query: &BTreeMap<String, String>, lie: Option<PageLie>) -> ApiResponse {
        let text = |account: &Map<String, Value>, field: &str| account.get(field).and_then(Value::as_str).map(folded);
        let fits = |account: &&Map<String, Value>| {
            ["client_id", "email"].iter().all(|f| query.get(*f).is_none_or(|v| text(account, f) == Some(folded(v))))
        };
        let number = |name: &str, default: usize| query.get(name).and_then(|n| n.parse().ok()).unwrap_or(default);
        let (page, size) = (number("page", 1), number("per_page", usize::MAX));
        let begin = match (page, lie) {
            (1, _) => {
                self.shift = 0;
                self.seen.listed.clear();
                0
            }
            (_, Some(PageLie::First)) => 0,
            (_, Some(PageLie::Overlapping)) => (page - 1) * size - 1,
            (_, Some(PageLie::Shifted)) => {
                self.shift = 1;
                (page - 1) * size - 1
            }
            _ => (page - 1) * size - self.shift,
        };
        let mut found: Vec<_> = self.accounts.values().filter(fits).skip(begin).take(size).cloned().collect();
        if let (Some(PageLie::Doubled), [.., last_but_one, last]) = (lie, found.as_mut_slice()) {
            *last = last_but_one.clone();
        }
        // Of a page that is asked for again, the last answer counts.
        if query.contains_key("page") {
            let ids = found.iter().filter_map(|account| account["id"].as_u64()).collect();
            self.seen.listed.insert(page, ids);
        }
        answer(200, &Value::from(found.into_iter().map(Value::Object).collect::<Vec<_>>()))
    }

    fn create(&mut self, request: &ApiRequest) -> ApiResponse {
        let Some(fields) = body(request) else { return answer(400, &Value::Null) };
        match self.taken(&fields, None) {
            Some(field) => answer(409, &json!({"error": {"code": "taken", "fields": [field]}})),
            None => {
                let id = self.insert(fields);
                answer(201, &Value::Object(self.accounts[&id].clone()))
            }
        }
    }

    fn update(&mut self, request: &ApiRequest, id: &str) -> ApiResponse {
        let Some(id) = id.parse().ok().filter(|id| self.accounts.contains_key(id)) else {
            return answer(404, &Value::Null);
        };
        let Some(fields) = body(request) else { return answer(400, &Value::Null) };
        if let Some(field) = self.taken(&fields, Some(id)) {
            return answer(409, &json!({"error": {"code": "taken", "fields": [field]}}));
        }
        self.accounts.get_mut(&id).expect("it is there").extend(fields);
        self.spell(id);
        answer(200, &Value::Object(self.accounts[&id].clone()))
    }

    fn taken(&self, fields: &Map<String, Value>, own: Option<u64>) -> Option<&'static str> {
        let text = |fields: &Map<String, Value>, name: &str| fields.get(name).and_then(Value::as_str).map(folded);
        let unique = ["client_id", "email"].into_iter().filter(|_| self.strict);
        unique.into_iter().find(|name| {
            let wanted = text(fields, name);
            wanted.is_some() && self.accounts.iter().any(|(id, a)| Some(*id) != own && text(a, name) == wanted)
        })
    }
}

/// An answer of the target.
pub fn answer(status: u16, body: &Value) -> ApiResponse {
    ApiResponse { status, headers: Vec::new(), body: body.to_string().into_bytes(), held: Held::default() }
}

/// The fields that a request sends.
pub fn body(request: &ApiRequest) -> Option<Map<String, Value>> {
    serde_json::from_slice(request.body.as_deref()?).ok()
}

fn folded(text: &str) -> String {
    text.trim().to_lowercase()
}

/// The account that a path is about.
pub fn id_in(path: &str) -> Option<&str> {
    path.strip_prefix("/users/")?.split('?').next()
}

/// Whether this asks for everybody.
pub fn is_listing(request: &ApiRequest) -> bool {
    let sought = query(&request.path);
    request.method == "GET"
        && id_in(&request.path).is_none()
        && !sought.contains_key("client_id")
        && !sought.contains_key("email")
}

/// The query of a path.
pub fn query(path: &str) -> BTreeMap<String, String> {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}
