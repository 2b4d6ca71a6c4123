//! A simulated SCIM 2.0 server (RFC 7643, RFC 7644): users, with the enterprise extension and one of its own.
//!
//! PATCH answers now 200 with the user, now 204; PATCH can be switched off, and then whole users are sent. Versions are
//! given as ETags and `If-Match` is obeyed. A page holds fewer users than asked when too many are asked for.

mod resource;

use std::collections::{BTreeMap, HashMap};

use axum::http::Method;
use serde_json::{Map, Value, json};

use self::resource::{CORE, ENTERPRISE, OWN, Refusal, judged, patched};
use super::log::Op;
use super::target::{About, Answer, Call, Target};

/// How ids begin.
const ID: &str = "2819c223-";

/// The token that the sandbox takes.
const TOKEN: &str = "Bearer sandbox";

/// Users on a page, at most.
const MOST: usize = 50;

/// The simulated platform.
pub(super) struct Scim {
    users: BTreeMap<u64, User>,
    by_name: HashMap<String, u64>,
    last: u64,
    patches: bool,
    patched: u64,
}

struct User {
    id: String,
    version: u64,
    created: String,
    body: Map<String, Value>,
}

impl User {
    fn shown(&self) -> Value {
        let mut shown = self.body.clone();
        shown.remove("password");
        shown.insert("id".into(), json!(self.id));
        let meta = json!({"resourceType": "User", "created": self.created, "lastModified": self.created,
            "version": self.tag(), "location": format!("/scim/v2/Users/{}", self.id)});
        shown.insert("meta".into(), meta);
        Value::Object(shown)
    }

    fn tag(&self) -> String {
        format!("W/\"{}\"", self.version)
    }

    fn text(&self, name: &str) -> &str {
        self.body.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

impl Scim {
    /// An empty server that takes PATCH.
    pub(super) fn new() -> Self {
        Scim { users: BTreeMap::new(), by_name: HashMap::new(), last: 0, patches: true, patched: 0 }
    }

    fn at(&self, id: &str) -> Option<u64> {
        let number = u64::from_str_radix(id.strip_prefix(ID)?, 16).ok()?;
        self.users.get(&number).filter(|user| user.id == id).map(|_| number)
    }

    fn list(&self, call: &Call) -> Answer {
        if let Some((name, _)) =
            call.query.iter().find(|(n, _)| !["filter", "startIndex", "count"].contains(&n.as_str()))
        {
            return refused(400, ("invalidValue", format!("there is no parameter {name}")));
        }
        let wanted = match call.query("filter").map(equality) {
            None => None,
            Some(Some(wanted)) => Some(wanted),
            Some(None) => return refused(400, ("invalidFilter", "the filter can't be read".into())),
        };
        let number = |name: &str, default: usize| call.query(name).map_or(Some(default), |text| text.parse().ok());
        let (Some(start), Some(count)) = (number("startIndex", 1), number("count", MOST)) else {
            return refused(400, ("invalidValue", "startIndex and count are numbers".into()));
        };
        let fits = |user: &&User| wanted.as_ref().is_none_or(|(name, value)| holds(user, name, value));
        let found: Vec<&User> = match &wanted {
            Some((name, value)) if name == "userName" => {
                self.by_name.get(&value.to_lowercase()).map(|number| &self.users[number]).into_iter().collect()
            }
            _ => self.users.values().filter(fits).collect(),
        };
        let page: Vec<Value> =
            found.iter().skip(start.saturating_sub(1)).take(count.min(MOST)).map(|user| user.shown()).collect();
        let mut body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
            "totalResults": found.len(), "startIndex": start, "itemsPerPage": page.len()});
        if !page.is_empty() {
            body["Resources"] = Value::Array(page);
        }
        scim(200, &body)
    }

    fn free(&self, body: &Map<String, Value>, own: Option<u64>) -> Result<String, Refusal> {
        let name = body.get("userName").and_then(Value::as_str).unwrap_or_default().to_lowercase();
        match self.by_name.get(&name).is_some_and(|other| Some(*other) != own) {
            true => Err(("uniqueness", format!("userName {name} is taken"))),
            false => Ok(name),
        }
    }

    fn create(&mut self, body: &Map<String, Value>) -> Result<&User, Refusal> {
        let mut body = judged(body)?;
        let name = self.free(&body, None)?;
        body.entry("active").or_insert(json!(true));
        self.last += 1;
        self.by_name.insert(name, self.last);
        let created = crate::os::clock::now().format("%Y-%m-%dT%H:%M:%SZ").to_string();
        let user = User { id: format!("{ID}{:012x}", self.last), version: 1, created, body };
        Ok(self.users.entry(self.last).or_insert(user))
    }

    fn store(&mut self, at: u64, body: Map<String, Value>) -> Result<(), Refusal> {
        let name = self.free(&body, Some(at))?;
        if let Some(user) = self.users.get_mut(&at) {
            self.by_name.remove(&user.text("userName").to_lowercase());
            self.by_name.insert(name, at);
            user.body = body;
            user.version += 1;
        }
        Ok(())
    }

    fn write(&mut self, call: &Call, id: &str) -> Answer {
        let Some(at) = self.at(id) else { return not_found() };
        let tag = self.users[&at].tag();
        if call.header("if-match").is_some_and(|version| version != tag && version != "*") {
            return refused(412, ("", "the user has changed since".into()));
        }
        if call.method == Method::DELETE {
            if let Some(user) = self.users.remove(&at) {
                self.by_name.remove(&user.text("userName").to_lowercase());
            }
            return Answer { committed: true, body: Vec::new(), ..scim(204, &Value::Null) };
        }
        let Some(body) = sent(call) else { return no_body() };
        let changed = match call.method {
            Method::PATCH if !self.patches => return refused(501, ("", "PATCH is not supported".into())),
            Method::PATCH => patched(&self.users[&at].body, &Value::Object(body.clone())),
            _ => judged(body),
        };
        match changed.and_then(|changed| self.store(at, changed)) {
            Ok(()) => {}
            Err(refusal) => return refused_write(refusal),
        }
        self.patched += u64::from(call.method == Method::PATCH);
        match call.method == Method::PATCH && self.patched % 2 == 1 {
            true => Answer { committed: true, body: Vec::new(), ..scim(204, &Value::Null) },
            false => Answer { committed: true, ..tagged(scim(200, &self.users[&at].shown()), &self.users[&at]) },
        }
    }
}

impl Target for Scim {
    fn name(&self) -> &'static str {
        "scim"
    }

    fn base_path(&self) -> &'static str {
        "/scim/v2"
    }

    fn about(&self, call: &Call) -> About {
        let body = call.json.as_ref().and_then(Value::as_object);
        let key = body.and_then(|b| b.get("externalId")).and_then(Value::as_str).map(str::to_string);
        let patch: Vec<&Value> = body.and_then(|b| b.get("Operations")?.as_array()).into_iter().flatten().collect();
        let fields: Vec<String> = match (patch.is_empty(), body) {
            (true, body) => body.map(|b| b.keys().cloned().collect()).unwrap_or_default(),
            (false, _) => patch.iter().filter_map(|o| o["path"].as_str()).map(str::to_string).collect(),
        };
        let about = |op| About { op, remote_id: None, key: None, fields: Vec::new() };
        match (&call.method, call.segments().as_slice()) {
            (&Method::GET, ["Users"]) => {
                let sought = call.query("filter").and_then(equality).filter(|(name, _)| name == "externalId");
                let op = if call.query("filter").is_some() { Op::Lookup } else { Op::List };
                About { key: sought.map(|(_, value)| value), ..about(op) }
            }
            (&Method::POST, ["Users"]) => About { key, fields, ..about(Op::Create) },
            (method, ["Users", id]) => {
                let known = self.at(id).map(|at| &self.users[&at]);
                let to = patch.iter().find(|o| o["path"] == "active").map(|o| &o["value"]);
                let to = to.or_else(|| body.and_then(|b| b.get("active"))).and_then(Value::as_bool);
                let is = known.and_then(|user| user.body.get("active")).and_then(Value::as_bool);
                let op = match (method.as_str(), to, is) {
                    ("GET", ..) => Op::Get,
                    ("DELETE", ..) => Op::Delete,
                    (_, Some(false), Some(true) | None) => Op::Ban,
                    (_, Some(true), Some(false)) => Op::Reinstate,
                    _ => Op::Update,
                };
                let key = known.map(|u| u.text("externalId").to_string()).filter(|k| !k.is_empty()).or(key);
                About { remote_id: Some((*id).to_string()), key, fields, ..about(op) }
            }
            _ => about(Op::Other),
        }
    }

    fn handle(&mut self, call: &Call) -> Answer {
        if call.header("authorization") != Some(TOKEN) {
            return refused(401, ("", "authorization is needed".into()));
        }
        match (&call.method, call.segments().as_slice()) {
            (&Method::GET, ["ServiceProviderConfig"]) => scim(
                200,
                &json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
                    "patch": {"supported": self.patches}, "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
                    "filter": {"supported": true, "maxResults": MOST}, "changePassword": {"supported": false},
                    "sort": {"supported": false}, "etag": {"supported": true}, "authenticationSchemes": []}),
            ),
            (&Method::GET, ["Users"]) => self.list(call),
            (&Method::POST, ["Users"]) => match sent(call).cloned().map(|body| self.create(&body)) {
                None => no_body(),
                Some(Ok(user)) => {
                    Answer { committed: true, created: Some(user.id.clone()), ..tagged(scim(201, &user.shown()), user) }
                }
                Some(Err(refusal)) => refused_write(refusal),
            },
            (&Method::GET, ["Users", id]) => match self.at(id) {
                Some(at) => tagged(scim(200, &self.users[&at].shown()), &self.users[&at]),
                None => not_found(),
            },
            (&Method::PATCH | &Method::PUT | &Method::DELETE, ["Users", id]) => self.write(call, id),
            _ => not_found(),
        }
    }

    fn users(&self) -> Vec<Value> {
        self.users.values().map(User::shown).collect()
    }

    fn seed(&mut self, users: &[Value]) -> Result<Vec<Value>, String> {
        let mut made = Vec::new();
        for (position, user) in users.iter().enumerate() {
            let mut body = user.as_object().cloned().ok_or(format!("account {position} is not an object"))?;
            let used = [CORE, ENTERPRISE, OWN].into_iter().filter(|s| *s == CORE || body.contains_key(*s));
            let schemas: Value = used.collect();
            body.entry("schemas").or_insert(schemas);
            made.push(self.create(&body).map_err(|(_, why)| format!("account {position}: {why}"))?.shown());
        }
        Ok(made)
    }

    fn invent(&self, person: &Value) -> Value {
        json!({"schemas": [CORE], "externalId": person["client_id"], "userName": person["email"],
            "name": {"givenName": person["first_name"], "familyName": person["last_name"]},
            "emails": [{"type": "work", "value": person["email"]}]})
    }

    fn clear(&mut self) {
        self.users.clear();
        self.by_name.clear();
    }

    fn take_patches(&mut self, yes: bool) {
        self.patches = yes;
    }
}

/// The attribute and the value of `attribute eq "value"`.
fn equality(filter: &str) -> Option<(String, String)> {
    let (name, value) = filter.split_once(" eq ")?;
    let value: String = serde_json::from_str(value.trim()).ok()?;
    Some((name.trim().to_string(), value))
}

/// Whether an attribute holds a value: `userName` and addresses whatever their case, identifiers exactly.
fn holds(user: &User, name: &str, value: &str) -> bool {
    match name {
        "userName" => user.text(name).to_lowercase() == value.to_lowercase(),
        "emails.value" => user
            .body
            .get("emails")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .any(|email| email["value"].as_str().is_some_and(|held| held.to_lowercase() == value.to_lowercase())),
        _ => user.text(name) == value,
    }
}

fn sent(call: &Call) -> Option<&Map<String, Value>> {
    let media_type = call.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let right = matches!(media_type, "application/scim+json" | "application/json");
    call.json.as_ref().and_then(Value::as_object).filter(|_| right)
}

fn scim(status: u16, body: &Value) -> Answer {
    Answer { content_type: "application/scim+json", ..Answer::json(status, body) }
}

fn tagged(mut answer: Answer, user: &User) -> Answer {
    answer.headers.push(("etag", user.tag()));
    answer
}

fn refused_write(refusal: Refusal) -> Answer {
    refused(if refusal.0 == "uniqueness" { 409 } else { 400 }, refusal)
}

fn refused(status: u16, (kind, detail): Refusal) -> Answer {
    let mut body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "status": status.to_string(), "detail": detail});
    if !kind.is_empty() {
        body["scimType"] = json!(kind);
    }
    scim(status, &body)
}

fn not_found() -> Answer {
    refused(404, ("", "there is no such resource".into()))
}

fn no_body() -> Answer {
    refused(400, ("invalidSyntax", "send application/scim+json".into()))
}
