//! A simulated JUNO: the user API of the vendor's page, with the endpoints that rosterd's own notes on it settle.
//!
//! Listing, reading, creating and updating users; nothing can be deleted. Fields left out of a `PUT` stay, `null`
//! empties. Reads spell `banned` as text and writes answer a boolean, because the page shows both. Refusals echo the
//! offending value in their message, as such platforms do: what a caller logs of it is the caller's fault.

mod accounts;
mod fields;

use axum::http::Method;
use chrono::NaiveDateTime;
use serde_json::{Map, Value, json};

use self::accounts::{Account, Accounts, Spelling, Taken};
use self::fields::{Changes, Refusal, judge};
use super::Listing;
use super::log::Op;
use super::target::{About, Answer, Call, Target};

/// The API key that the sandbox takes.
const API_KEY: &str = "sandbox";

/// Users on a page when the caller doesn't say.
const PER_PAGE: usize = 100;

/// Most users on a page. More is refused rather than cut, since a short page means the last one.
const MAX_PER_PAGE: usize = 1000;

/// The simulated platform.
pub(super) struct Juno {
    accounts: Accounts,
    listing: Listing,
}

impl Juno {
    /// An empty platform that lists users as a bare array.
    pub(super) fn new() -> Self {
        Juno { accounts: Accounts::new(), listing: Listing::Bare }
    }

    fn list(&self, call: &Call) -> Answer {
        const KNOWN: [&str; 4] = ["page", "per_page", "client_id", "email"];
        if let Some((name, _)) = call.query.iter().find(|(name, _)| !KNOWN.contains(&name.as_str())) {
            return refused(400, "unknown_parameter", &[name], format!("there is no parameter {name}"));
        }
        let (page, per_page) = match (number(call, "page", 1), number(call, "per_page", PER_PAGE)) {
            (Some(page), Some(per_page)) if per_page <= MAX_PER_PAGE => (page, per_page),
            _ => {
                let message = format!("page counts from 1, per_page is 1 to {MAX_PER_PAGE}");
                return refused(400, "bad_page", &["page", "per_page"], message);
            }
        };
        let skip = (page - 1).saturating_mul(per_page);
        let users: Vec<Value> =
            self.selected(call).skip(skip).take(per_page).map(|account| account.payload(Spelling::Text)).collect();
        Answer::json(200, &self.listing.wrap(users))
    }

    /// The accounts that a listing is about: all, or those that the filters leave.
    fn selected<'a>(&'a self, call: &Call) -> Box<dyn Iterator<Item = &'a Account> + 'a> {
        match (call.query("client_id"), call.query("email")) {
            (None, None) => Box::new(self.accounts.all().iter()),
            (Some(client_id), None) => Box::new(self.accounts.by_client_id(client_id).into_iter()),
            (None, Some(email)) => Box::new(self.accounts.by_email(email).into_iter()),
            (Some(client_id), Some(email)) => {
                let same = self.accounts.by_email(email).map(|account| account.id);
                Box::new(self.accounts.by_client_id(client_id).filter(|a| Some(a.id) == same).into_iter())
            }
        }
    }

    fn create(&mut self, call: &Call) -> Answer {
        let changes = match read(call).and_then(|body| judged(body, true)) {
            Ok(changes) => changes,
            Err(answer) => return *answer,
        };
        match self.accounts.create(changes, now()) {
            Ok(account) => Answer {
                committed: true,
                created: Some(account.id.to_string()),
                ..Answer::json(201, &account.payload(Spelling::Boolean))
            },
            Err(taken) => duplicate(&taken, call),
        }
    }

    fn update(&mut self, id: u64, call: &Call) -> Answer {
        if self.accounts.get(id).is_none() {
            return no_such_user();
        }
        let changes = match read(call).and_then(|body| judged(body, false)) {
            Ok(changes) => changes,
            Err(answer) => return *answer,
        };
        match self.accounts.update(id, changes, now()) {
            Ok(Some(account)) => Answer { committed: true, ..Answer::json(200, &account.payload(Spelling::Boolean)) },
            Ok(None) => no_such_user(),
            Err(taken) => duplicate(&taken, call),
        }
    }

    /// What a `PUT` does, told from what it sends and what the account is now.
    fn kind_of_update(account: Option<&Account>, body: Option<&Map<String, Value>>) -> Op {
        let asked = body.and_then(|body| judge(body).ok()).and_then(|changes| changes.banned);
        match (asked, account.map(|a| a.banned)) {
            (Some(true), Some(false) | None) => Op::Ban,
            (Some(false), Some(true) | None) => Op::Reinstate,
            _ => Op::Update,
        }
    }
}

impl Target for Juno {
    fn name(&self) -> &'static str {
        "juno"
    }

    fn base_path(&self) -> &'static str {
        "/juno/api"
    }

    fn about(&self, call: &Call) -> About {
        let body = call.json.as_ref().and_then(Value::as_object);
        let sent_key = body.and_then(|b| b.get("client_id")).and_then(Value::as_str).map(str::to_string);
        let fields = body.map(|b| b.keys().cloned().collect()).unwrap_or_default();
        let segments = call.segments();
        match (&call.method, segments.as_slice()) {
            (&Method::GET, ["users"]) => {
                let key = call.query("client_id").map(str::to_string);
                let op = if key.is_some() || call.query("email").is_some() { Op::Lookup } else { Op::List };
                About { op, remote_id: None, key, fields }
            }
            (&Method::POST, ["users"]) => About { op: Op::Create, remote_id: None, key: sent_key, fields },
            (method @ (&Method::GET | &Method::PUT), ["users", id]) => {
                let account = id.parse().ok().and_then(|id| self.accounts.get(id));
                let known_key = account.map(|a| a.text("client_id").to_string()).filter(|key| !key.is_empty());
                let op = if method == Method::GET { Op::Get } else { Juno::kind_of_update(account, body) };
                About { op, remote_id: Some((*id).to_string()), key: known_key.or(sent_key), fields }
            }
            _ => About { op: Op::Other, remote_id: None, key: None, fields: Vec::new() },
        }
    }

    fn handle(&mut self, call: &Call) -> Answer {
        if call.header("authorization") != Some(&format!("Bearer {API_KEY}")) {
            return refused(401, "unauthorized", &[], "a valid API key is needed".into());
        }
        let segments = call.segments();
        match (&call.method, segments.as_slice()) {
            (&Method::GET, ["users"]) => self.list(call),
            (&Method::POST, ["users"]) => self.create(call),
            (_, ["users"]) => not_allowed("GET, POST"),
            (method, ["users", id]) => match (method, id.parse::<u64>()) {
                (_, Err(_)) => no_such_user(),
                (&Method::GET, Ok(id)) => match self.accounts.get(id) {
                    Some(account) => Answer::json(200, &account.payload(Spelling::Text)),
                    None => no_such_user(),
                },
                (&Method::PUT, Ok(id)) => self.update(id, call),
                _ => not_allowed("GET, PUT"),
            },
            _ => refused(404, "not_found", &[], "there is nothing at this path".into()),
        }
    }

    fn users(&self) -> Vec<Value> {
        self.accounts.all().iter().map(|account| account.payload(Spelling::Boolean)).collect()
    }

    fn seed(&mut self, users: &[Value]) -> Result<Vec<Value>, String> {
        let now = now();
        let mut made = Vec::with_capacity(users.len());
        for (position, user) in users.iter().enumerate() {
            let body = user.as_object().ok_or(format!("account {position} is not an object"))?;
            let changes = complete(body, true).map_err(|r| format!("account {position}: {}", r.message))?;
            let account = self
                .accounts
                .create(changes, now)
                .map_err(|taken| format!("account {position}: {} is in use by user {}", taken.field, taken.by))?;
            made.push(account.payload(Spelling::Boolean));
        }
        Ok(made)
    }

    fn clear(&mut self) {
        self.accounts.clear();
    }

    fn set_listing(&mut self, listing: Listing) {
        self.listing = listing;
    }
}

/// The time as JUNO keeps it: to the second, without a zone.
fn now() -> NaiveDateTime {
    crate::os::clock::now().naive_utc()
}

/// A query parameter that is a number from 1 up; `None` when it is anything else.
fn number(call: &Call, name: &str, default: usize) -> Option<usize> {
    call.query(name).map_or(Some(default), |text| text.parse().ok().filter(|n| *n > 0))
}

/// The object in a body that says it is JSON.
fn read(call: &Call) -> Result<&Map<String, Value>, Box<Answer>> {
    let media_type = call.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
    if !media_type.trim().eq_ignore_ascii_case("application/json") {
        return Err(Box::new(refused(415, "unsupported_media_type", &[], "send application/json".into())));
    }
    match &call.json {
        Some(Value::Object(body)) => Ok(body),
        _ => Err(Box::new(refused(400, "malformed", &[], "the body is not a JSON object".into()))),
    }
}

fn judged(body: &Map<String, Value>, creating: bool) -> Result<Changes, Box<Answer>> {
    complete(body, creating).map_err(|Refusal { fields, message }| {
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        Box::new(refused(422, "invalid", &fields, message))
    })
}

/// Judges a body, and that the account keeps or gets an address.
fn complete(body: &Map<String, Value>, creating: bool) -> Result<Changes, Refusal> {
    let changes = judge(body)?;
    let lacks = match changes.text("email") {
        Some(email) => email.trim().is_empty(),
        None => creating,
    };
    if lacks {
        return Err(Refusal { fields: vec!["email".into()], message: "email is required".into() });
    }
    Ok(changes)
}

fn refused(status: u16, code: &str, fields: &[&str], message: String) -> Answer {
    Answer::json(status, &json!({"error": {"code": code, "fields": fields, "message": message}}))
}

fn duplicate(taken: &Taken, call: &Call) -> Answer {
    let value = call.json.as_ref().and_then(|body| body[taken.field].as_str()).unwrap_or_default();
    refused(409, "duplicate", &[taken.field], format!("{} {value} is already in use", taken.field))
}

fn no_such_user() -> Answer {
    refused(404, "not_found", &[], "there is no such user".into())
}

fn not_allowed(allowed: &str) -> Answer {
    let mut answer = refused(405, "method_not_allowed", &[], format!("allowed here: {allowed}"));
    answer.headers.push(("allow", allowed.to_string()));
    answer
}
