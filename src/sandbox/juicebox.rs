//! A simulated Juicebox: users, invitations and apps of one client, as the vendor's pages show them.
//!
//! Answers are labelled `text/javascript`, listings are paged by headers, users are addressed by e-mail and carry no
//! id. Inviting an address twice sends a second mail, which the invitation counts. How one user is read alone is not
//! documented, so it can't be done here.

use std::collections::HashMap;

use axum::http::Method;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::log::Op;
use super::target::{About, Answer, Call, Target};

/// The key that the sandbox takes, and the client that it is for.
const TOKEN: &str = "Token sandbox";
const CLIENT: u64 = 1;

/// The client's apps.
const APPS: [&str; 3] = ["zylTKNVx", "b7Qw2LmN", "k3RtPz8H"];

/// Users on a page.
const PAGE_SIZE: usize = 50;

/// What a `PATCH` of a user, and a direct creation, may write.
const WRITABLE: [&str; 7] = ["email", "first_name", "last_name", "is_active", "extra", "apps", "profile_color"];

/// The simulated platform.
#[derive(Default)]
pub(super) struct Juicebox {
    users: Addressed,
    invitations: Addressed,
    last: u64,
}

/// Users or invitations in the order in which they were made, found by address whatever its letter case.
#[derive(Default)]
struct Addressed {
    list: Vec<Map<String, Value>>,
    by_email: HashMap<String, usize>,
}

impl Addressed {
    fn at(&self, email: &str) -> Option<usize> {
        self.by_email.get(&email.to_lowercase()).copied()
    }

    fn push(&mut self, one: Map<String, Value>) -> usize {
        self.by_email.insert(folded(&one), self.list.len());
        self.list.push(one);
        self.list.len() - 1
    }

    /// Takes back the one that was added last.
    fn pop(&mut self) {
        if let Some(one) = self.list.pop() {
            self.by_email.remove(&folded(&one));
        }
    }

    fn replace(&mut self, at: usize, one: Map<String, Value>) {
        self.by_email.remove(&folded(&self.list[at]));
        self.by_email.insert(folded(&one), at);
        self.list[at] = one;
    }
}

fn folded(one: &Map<String, Value>) -> String {
    one.get("email").and_then(Value::as_str).unwrap_or_default().to_lowercase()
}

/// A refusal: the field that is wrong, and why.
type Refusal = (String, String);

impl Juicebox {
    fn user(&self, email: &str) -> Option<usize> {
        self.users.at(email)
    }

    fn list(&self, all: &[Map<String, Value>], call: &Call) -> Answer {
        if let Some((name, _)) = call.query.iter().find(|(name, _)| name != "page") {
            return refused(400, json!({"detail": format!("there is no parameter {name}")}));
        }
        let Some(page) = call.query("page").map_or(Some(1), |text| text.parse().ok().filter(|n: &usize| *n > 0)) else {
            return refused(400, json!({"detail": "page counts from 1"}));
        };
        let shown: Vec<Value> =
            all.iter().skip((page - 1) * PAGE_SIZE).take(PAGE_SIZE).cloned().map(Value::Object).collect();
        let link = |page: usize| format!("http://juicebox.example/elsewhere{}?page={page}", call.path);
        let next = if page * PAGE_SIZE < all.len() { link(page + 1) } else { "None".into() };
        let previous = if page > 1 { link(page - 1) } else { "None".into() };
        let mut answer = script(200, &Value::Array(shown));
        answer.headers.extend([
            ("x-count", all.len().to_string()),
            ("x-page", page.to_string()),
            ("x-pagesize", PAGE_SIZE.to_string()),
            ("x-next", next),
            ("x-previous", previous),
        ]);
        answer
    }

    fn invite(&mut self, body: &Map<String, Value>) -> Result<Value, Refusal> {
        if let Some(name) = body.keys().find(|name| !["email", "extra", "initial_apps"].contains(&name.as_str())) {
            return Err((name.clone(), "is no field of an invitation".into()));
        }
        let email = email_of(body)?;
        let apps = apps("initial_apps", body.get("initial_apps").unwrap_or(&json!([])))?;
        let extra = object(body.get("extra").unwrap_or(&json!({})))?;
        if self.user(&email).is_some() {
            return Err(("email".into(), format!("{email} is a user already")));
        }
        let at = match self.invitations.at(&email) {
            Some(at) => at,
            None => {
                self.last += 1;
                let mut invitation = json!({
                    "id": self.last,
                    "user": user("jason@juice.example", "", "", &[], &json!({})),
                    "email": email,
                    "key": format!("{:040x}", self.last * 1_000_003),
                    "date_invited": now(),
                    "invitation_email_count": 0,
                });
                self.invitations.push(invitation.as_object_mut().map(std::mem::take).unwrap_or_default())
            }
        };
        let invitation = &mut self.invitations.list[at];
        let mails = invitation["invitation_email_count"].as_u64().unwrap_or(0) + 1;
        invitation.insert("invitation_email_count".into(), json!(mails));
        invitation.insert("initial_apps".into(), json!(apps));
        invitation.insert("extra".into(), extra);
        Ok(Value::Object(invitation.clone()))
    }

    fn create(&mut self, body: &Map<String, Value>) -> Result<Value, Refusal> {
        let email = email_of(body)?;
        if self.user(&email).is_some() {
            return Err(("email".into(), format!("{email} is a user already")));
        }
        let at = self.users.push(user(&email, "", "", &[], &json!({})));
        match self.apply(at, body) {
            Ok(()) => Ok(Value::Object(self.users.list[at].clone())),
            Err(refusal) => {
                self.users.pop();
                Err(refusal)
            }
        }
    }

    fn apply(&mut self, at: usize, body: &Map<String, Value>) -> Result<(), Refusal> {
        let mut changed = self.users.list[at].clone();
        for (name, value) in body {
            let wrong = |why: &str| (name.clone(), why.to_string());
            if !WRITABLE.contains(&name.as_str()) {
                return Err(wrong("can't be written"));
            }
            let value = match name.as_str() {
                "email" => {
                    let email = email_of(body)?;
                    if self.user(&email).is_some_and(|other| other != at) {
                        return Err((name.clone(), format!("{email} is a user already")));
                    }
                    json!(email)
                }
                "is_active" if value.is_boolean() => value.clone(),
                "is_active" => return Err(wrong("must be true or false")),
                // The page doesn't say what becomes of members that are left out; here they stay.
                "extra" => merged(changed.get("extra"), object(value)?),
                "apps" => json!(apps(name, value)?),
                _ if value.is_null() => json!(""),
                _ if value.is_string() => value.clone(),
                _ => return Err(wrong("must be text")),
            };
            changed.insert(name.clone(), value);
        }
        self.users.replace(at, changed);
        Ok(())
    }

    fn update(&mut self, email: &str, body: &Map<String, Value>) -> Option<Result<Value, Refusal>> {
        let at = self.user(email)?;
        Some(self.apply(at, body).map(|()| Value::Object(self.users.list[at].clone())))
    }

    fn clients(call: &Call, rest: &[&str]) -> Option<Answer> {
        let site = json!({"id": 2, "domain": "localhost:8000", "name": "localhost:8000"});
        let client = json!({"id": CLIENT, "site": {"domain": "localhost:8000", "formatted_name": "localhost"},
            "name": "Juicebox", "login_title": "Welcome to Juicebox", "password_min_length": 8});
        let apps =
            |id: &&str| json!({"id": id, "slug": id.to_lowercase(), "label": format!("App {id}"), "description": ""});
        (call.method == Method::GET).then_some(())?;
        Some(match rest {
            ["clients", ""] => script(200, &json!([client])),
            ["clients", "1", ""] => script(200, &client),
            ["clients", "1", "site", ""] => script(200, &site),
            ["clients", "1", "apps", ""] => script(200, &APPS.iter().map(apps).collect()),
            _ => return None,
        })
    }
}

impl Target for Juicebox {
    fn name(&self) -> &'static str {
        "juicebox"
    }

    fn base_path(&self) -> &'static str {
        "/juicebox"
    }

    fn about(&self, call: &Call) -> About {
        let body = call.json.as_ref().and_then(Value::as_object);
        let key = |holder: &Map<String, Value>| holder.get("extra")?.get("employee_id")?.as_str().map(str::to_string);
        let fields = body.map(|b| b.keys().cloned().collect()).unwrap_or_default();
        let about = |op| About { op, remote_id: None, key: None, fields: Vec::new() };
        let segments = call.segments();
        let Some(rest) = segments.strip_prefix(&["api", "v1", "jb"]) else { return about(Op::Other) };
        match (&call.method, rest) {
            (
                &Method::GET,
                ["users", ""] | ["clients", _, "users", ""] | ["clients", _, "users", "invitations", ""],
            ) => about(Op::List),
            (&Method::POST, ["users", ""] | ["clients", _, "users", "invitations", ""]) => {
                About { key: body.and_then(key), fields, ..about(Op::Create) }
            }
            (&Method::PATCH, ["users", email, ""]) => {
                let email = decoded(email);
                let known = self.user(&email).map(|at| &self.users.list[at]);
                let active = known.and_then(|user| user["is_active"].as_bool());
                let op = match (body.and_then(|b| b.get("is_active")).and_then(Value::as_bool), active) {
                    (Some(false), Some(true) | None) => Op::Ban,
                    (Some(true), Some(false) | None) => Op::Reinstate,
                    _ => Op::Update,
                };
                let key = known.and_then(key).or_else(|| body.and_then(key));
                About { remote_id: Some(email), key, fields, ..about(op) }
            }
            _ => about(Op::Other),
        }
    }

    fn handle(&mut self, call: &Call) -> Answer {
        if call.header("authorization") != Some(TOKEN) {
            return refused(401, json!({"detail": "Invalid token."}));
        }
        let segments = call.segments();
        let Some(rest) = segments.strip_prefix(&["api", "v1", "jb"]) else { return not_found() };
        if let Some(answer) = Juicebox::clients(call, rest) {
            return answer;
        }
        if let ["clients", client, ..] = rest
            && client.parse() != Ok(CLIENT)
        {
            return refused(403, json!({"detail": "You do not have permission to perform this action."}));
        }
        if call.method == Method::GET {
            return match rest {
                ["users", ""] | ["clients", _, "users", ""] => self.list(&self.users.list, call),
                ["clients", _, "users", "invitations", ""] => self.list(&self.invitations.list, call),
                ["users", _, ""] => refused(405, json!({"detail": "Method \"GET\" not allowed."})),
                _ => not_found(),
            };
        }
        let is_json = call.header("content-type").unwrap_or_default().starts_with("application/json");
        let Some(body) = call.json.as_ref().and_then(Value::as_object).filter(|_| is_json) else {
            return refused(if is_json { 400 } else { 415 }, json!({"detail": "send a JSON object"}));
        };
        let (status, done) = match (&call.method, rest) {
            (&Method::POST, ["clients", _, "users", "invitations", ""]) => (200, self.invite(body)),
            (&Method::POST, ["users", ""]) => (201, self.create(body)),
            (&Method::PATCH, ["users", email, ""]) => match self.update(&decoded(email), body) {
                Some(done) => (200, done),
                None => return not_found(),
            },
            _ => return not_found(),
        };
        match done {
            Ok(shown) => {
                let created = (call.method == Method::POST).then(|| shown["email"].as_str().unwrap_or_default().into());
                Answer { committed: true, created, ..script(status, &shown) }
            }
            Err((field, why)) => refused(400, json!({field: [why]})),
        }
    }

    fn users(&self) -> Vec<Value> {
        let invited = |invitation: &Map<String, Value>| {
            json!({"email": invitation["email"], "extra": invitation["extra"], "apps": invitation["initial_apps"],
                "invited": true, "invitation_email_count": invitation["invitation_email_count"]})
        };
        self.users.list.iter().cloned().map(Value::Object).chain(self.invitations.list.iter().map(invited)).collect()
    }

    fn seed(&mut self, users: &[Value]) -> Result<Vec<Value>, String> {
        let mut made = Vec::new();
        for (position, user) in users.iter().enumerate() {
            let mut body = user.as_object().cloned().ok_or(format!("account {position} is not an object"))?;
            let added = match body.remove("invited") {
                Some(_) => self.invite(&body),
                None => self.create(&body),
            };
            made.push(added.map_err(|(field, why)| format!("account {position}: {field}: {why}"))?);
        }
        Ok(made)
    }

    fn invent(&self, person: &Value) -> Value {
        json!({"email": person["email"], "first_name": person["first_name"], "last_name": person["last_name"],
            "extra": {"employee_id": person["client_id"]}})
    }

    fn clear(&mut self) {
        self.users = Addressed::default();
        self.invitations = Addressed::default();
    }

    fn accept_invitations(&mut self) {
        for invitation in std::mem::take(&mut self.invitations).list {
            let apps: Vec<&str> =
                invitation["initial_apps"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let email = invitation["email"].as_str().unwrap_or_default();
            self.users.push(user(email, "", "", &apps, &invitation["extra"]));
        }
    }
}

fn user(email: &str, first: &str, last: &str, apps: &[&str], extra: &Value) -> Map<String, Value> {
    let mut user = json!({
        "extra": extra, "last_login": null, "email": email,
        "handle": format!("@{}", email.split('@').next().unwrap_or_default()),
        "first_name": first, "last_name": last, "is_active": true, "date_joined": now(), "is_demo_user": false,
        "profile_color": "ff0000", "profile_avatar": "https://juicebox.example/o.png", "last_activated": now(),
        "last_deactivated": null, "last_password_set": null, "apps": apps,
    });
    user.as_object_mut().map(std::mem::take).unwrap_or_default()
}

fn email_of(body: &Map<String, Value>) -> Result<String, Refusal> {
    let email = body.get("email").and_then(Value::as_str).unwrap_or_default();
    match email.split_once('@') {
        Some((name, host)) if !name.is_empty() && host.contains('.') => Ok(email.to_string()),
        _ => Err(("email".into(), format!("{email:?} is no address"))),
    }
}

fn apps(field: &str, value: &Value) -> Result<Vec<String>, Refusal> {
    let wrong = || (field.to_string(), "must be a list of ids of this client's apps".to_string());
    let items = value.as_array().ok_or_else(wrong)?;
    items.iter().map(|id| id.as_str().filter(|id| APPS.contains(id)).map(str::to_string).ok_or_else(wrong)).collect()
}

fn object(value: &Value) -> Result<Value, Refusal> {
    if value.is_object() { Ok(value.clone()) } else { Err(("extra".into(), "must be an object".into())) }
}

fn merged(there: Option<&Value>, sent: Value) -> Value {
    let mut members = there.and_then(Value::as_object).cloned().unwrap_or_default();
    members.extend(sent.as_object().cloned().unwrap_or_default());
    Value::Object(members)
}

fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

fn now() -> String {
    crate::os::clock::now().format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

fn script(status: u16, body: &Value) -> Answer {
    Answer { content_type: "text/javascript", ..Answer::json(status, body) }
}

fn refused(status: u16, body: Value) -> Answer {
    script(status, &body)
}

fn not_found() -> Answer {
    refused(404, json!({"detail": "Not found."}))
}
