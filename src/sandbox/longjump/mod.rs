//! A simulated LongJump: the user API of the vendor's page, in XML under its envelope, with sessions.
//!
//! Success is in the body; a session that is over is answered with code -101, now under HTTP 401, now under 200.
//! Searches compare without regard to case, so that a caller who doesn't compare what comes back is found out. Each
//! mail that the platform would have sent is counted on the record.

mod accounts;
mod xml;

use std::collections::{BTreeMap, BTreeSet};

use axum::http::Method;
use serde_json::Value;

use self::accounts::{Record, Records, Refusal};
use super::log::Op;
use super::target::{About, Answer, Call, Target};

/// The credentials that the sandbox takes.
const USER: (&str, &str) = ("admin", "sandbox");

/// Users on a page when the caller doesn't say, and the most that there can be.
const PAGE_SIZE: usize = 100;
const MAX_PAGE_SIZE: usize = 1000;

/// The simulated platform.
#[derive(Default)]
pub(super) struct LongJump {
    records: Records,
    sessions: BTreeSet<String>,
    log_ins: u64,
    refusals: u64,
    /// After so many more requests every session is over, once.
    expire_after: Option<u64>,
}

impl LongJump {
    fn log_in(&mut self, call: &Call) -> Answer {
        let Some(fields) = xml::fields(&call.body, "login") else { return malformed() };
        let told = |name: &str| fields.get(name).map_or("", String::as_str);
        if (told("userName"), told("password")) != USER || fields.len() != 2 {
            return refused(401, (-102, format!("Login failed for {}", told("userName"))));
        }
        self.log_ins += 1;
        let id = format!("S{:08X}", self.log_ins * 2_654_435_761 % 4_294_967_291);
        self.sessions.insert(id.clone());
        let inner = format!("<login><sessionId>{id}</sessionId></login>");
        xml_answer(200, xml::platform(&inner, 0, "Success", ""))
    }

    /// The session that a call carries, if it is good.
    fn session(&mut self, call: &Call) -> Option<String> {
        if let Some(left) = &mut self.expire_after {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.expire_after = None;
                self.sessions.clear();
            }
        }
        let cookies = call.header("cookie")?.split(';');
        let id = cookies.filter_map(|pair| pair.trim().strip_prefix("JSESSIONID=")).next()?.to_string();
        self.sessions.contains(&id).then_some(id)
    }

    fn not_logged_in(&mut self) -> Answer {
        self.refusals += 1;
        let status = if self.refusals.is_multiple_of(2) { 200 } else { 401 };
        refused(status, (-101, "User is not logged in".into()))
    }

    fn search(&self, call: &Call) -> Answer {
        const KNOWN: [&str; 9] = [
            "fieldList",
            "filter",
            "pageSize",
            "page",
            "sortBy",
            "sortOrder",
            "sortBy2",
            "sortOrder2",
            "getTotalRecordCount",
        ];
        if let Some((name, _)) = call.query.iter().find(|(name, _)| !KNOWN.contains(&name.as_str())) {
            return refused(400, (-703, format!("There is no parameter {name}")));
        }
        if call.query("fieldList") != Some("*") {
            return refused(400, (-703, "The sandbox shows all fields: fieldList is *".into()));
        }
        let number = |name: &str, default: usize| call.query(name).map_or(Some(default), |text| text.parse().ok());
        let (Some(page), Some(size)) = (number("page", 0), number("pageSize", PAGE_SIZE)) else {
            return refused(400, (-703, "page and pageSize are numbers".into()));
        };
        if !(1..=MAX_PAGE_SIZE).contains(&size) {
            return refused(400, (-703, format!("pageSize is 1 to {MAX_PAGE_SIZE}")));
        }
        let wanted = match call.query("filter").map(equality) {
            None => None,
            Some(Some(wanted)) => Some(wanted),
            Some(None) => return refused(400, (-702, "The filter can't be read".into())),
        };
        let fits = |record: &&Record| {
            wanted.as_ref().is_none_or(|(field, value)| record.value(field).to_lowercase() == value.to_lowercase())
        };
        let found: Vec<&Record> = match &wanted {
            Some((field, value)) if matches!(field.as_str(), "username" | "employee_number") => {
                self.records.having(field, value).into_iter().collect()
            }
            _ => self.records.all().filter(fits).collect(),
        };
        let shown = found.iter().skip(page.saturating_mul(size)).take(size);
        let shown: Vec<String> = shown.map(|record| format!("<record>{}</record>", record.elements())).collect();
        let mut body = xml::platform(&shown.concat(), 0, "Success", "");
        let mut counts = format!("<recordCount>{}</recordCount>", shown.len());
        if call.query("getTotalRecordCount") == Some("true") {
            counts.push_str(&format!("<totalRecordCount>{}</totalRecordCount>", found.len()));
        }
        body.insert_str(body.len() - "</platform>".len(), &counts);
        xml_answer(200, body)
    }

    fn add(&mut self, call: &Call) -> Answer {
        let Some(fields) = xml::fields(&call.body, "user") else { return malformed() };
        match self.records.add(&fields) {
            Ok(record) => {
                let id = format!("<id>{}</id>", record.id);
                Answer {
                    committed: true,
                    created: Some(record.id.clone()),
                    ..xml_answer(201, xml::platform("", 0, "Success", &id))
                }
            }
            Err(refusal) => refused(200, refusal),
        }
    }

    fn update(&mut self, id: &str, call: &Call) -> Answer {
        let Some(fields) = xml::fields(&call.body, "user") else { return malformed() };
        match self.records.update(id, &fields) {
            Ok(()) => done(&format!("<id>{}</id>", xml::escaped(id))),
            Err(refusal) => refused(200, refusal),
        }
    }

    fn update_password(&mut self, call: &Call) -> Answer {
        let Some(fields) = xml::fields(&call.body, "user") else { return malformed() };
        let told = |name: &str| fields.get(name).map_or("", String::as_str);
        if told("longjump_reset_user") != "1" && told("password").is_empty() {
            return refused(200, (-700, "password is required".into()));
        }
        let mailed = if told("skip_email") == "1" { Ok(()) } else { self.records.mail(told("id")) };
        match mailed {
            Ok(()) => done(""),
            Err(refusal) => refused(200, refusal),
        }
    }

    fn routed(&mut self, call: &Call, session: &str) -> Answer {
        let segments = call.segments();
        let Some(rest) = segments.strip_prefix(&["networking", "rest"]) else { return no_resource() };
        match (&call.method, rest) {
            (&Method::GET, ["logout"]) => {
                self.sessions.remove(session);
                xml_answer(200, xml::platform("", 0, "Success", ""))
            }
            (&Method::GET, ["user", "isSessionValid"]) => {
                let inner = "<user><is_session_valid>true</is_session_valid></user>";
                xml_answer(200, xml::platform(inner, 0, "Success", ""))
            }
            (&Method::GET, ["user"]) => self.search(call),
            (&Method::POST, ["user", ""]) => self.add(call),
            (&Method::POST, ["user", "operation", "updatePassword"]) => self.update_password(call),
            (&Method::GET, ["user", id]) => match self.records.get(id) {
                Some(record) => {
                    let inner = format!("<user>{}</user>", record.elements());
                    xml_answer(200, xml::platform(&inner, 0, "Success", ""))
                }
                None => refused(200, (-200, "Record not found".into())),
            },
            (&Method::PUT, ["user", id]) => self.update(id, call),
            (&Method::DELETE, ["user", id]) => match self.records.delete(id) {
                Ok(()) => done(""),
                Err(refusal) => refused(200, refusal),
            },
            _ => no_resource(),
        }
    }
}

impl Target for LongJump {
    fn name(&self) -> &'static str {
        "longjump"
    }

    fn base_path(&self) -> &'static str {
        "/longjump"
    }

    fn about(&self, call: &Call) -> About {
        let sent = xml::fields(&call.body, "user").unwrap_or_default();
        let key = sent.get("employee_number").filter(|key| !key.is_empty()).cloned();
        let fields: Vec<String> = sent.keys().cloned().collect();
        let other = |op| About { op, remote_id: None, key: None, fields: Vec::new() };
        let segments = call.segments();
        let Some(rest) = segments.strip_prefix(&["networking", "rest"]) else { return other(Op::Other) };
        let at = |op, id: &str| {
            let known = self.records.get(id).map(|record| record.value("employee_number").to_string());
            let key = known.filter(|key| !key.is_empty()).or_else(|| key.clone());
            About { op, remote_id: Some(id.to_string()), key, fields: fields.clone() }
        };
        match (&call.method, rest) {
            (_, ["login" | "logout"]) => other(Op::Login),
            (&Method::GET, ["user"]) => {
                let sought = call.query("filter").and_then(equality).filter(|(field, _)| field == "employee_number");
                let op = if call.query("filter").is_some() { Op::Lookup } else { Op::List };
                About { key: sought.map(|(_, value)| value), ..other(op) }
            }
            (&Method::POST, ["user", ""]) => About { key, fields, ..other(Op::Create) },
            (&Method::GET, ["user", id]) if *id != "isSessionValid" => at(Op::Get, id),
            (&Method::DELETE, ["user", id]) => at(Op::Delete, id),
            (&Method::PUT, ["user", id]) => {
                let asked = sent.get("active").map(|text| text == "1" || text.eq_ignore_ascii_case("true"));
                let op = match (asked, self.records.get(id).map(|record| record.active)) {
                    (Some(false), Some(true) | None) => Op::Ban,
                    (Some(true), Some(false) | None) => Op::Reinstate,
                    _ => Op::Update,
                };
                at(op, id)
            }
            _ => other(Op::Other),
        }
    }

    fn handle(&mut self, call: &Call) -> Answer {
        let xml = call.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !call.body.is_empty() && xml != "application/xml" {
            return refused(415, (-301, "Send application/xml".into()));
        }
        if call.path == "/networking/rest/login" && call.method == Method::POST {
            return self.log_in(call);
        }
        match self.session(call) {
            Some(session) => self.routed(call, &session),
            None => self.not_logged_in(),
        }
    }

    fn users(&self) -> Vec<Value> {
        self.records.all().map(Record::json).collect()
    }

    fn seed(&mut self, users: &[Value]) -> Result<Vec<Value>, String> {
        let mut made = Vec::new();
        for (position, user) in users.iter().enumerate() {
            let object = user.as_object().ok_or(format!("account {position} is not an object"))?;
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
            let mut fields: BTreeMap<String, String> = object.iter().map(|(k, v)| (k.clone(), text(v))).collect();
            // What an administrator's form fills in.
            for (field, value) in [("team_id", "1"), ("accessProfileId", "3"), ("notify_info", "0"), ("password", "x")]
            {
                fields.entry(field.into()).or_insert_with(|| value.into());
            }
            let record = self.records.add(&fields).map_err(|(_, why)| format!("account {position}: {why}"))?;
            made.push(record.json());
        }
        Ok(made)
    }

    fn invent(&self, person: &Value) -> Value {
        let email = person["email"].as_str().unwrap_or_default();
        serde_json::json!({
            "employee_number": person["client_id"], "username": email, "email": email,
            "first_name": person["first_name"], "last_name": person["last_name"],
            "city": person["city"], "country": person["country"],
        })
    }

    fn clear(&mut self) {
        self.records.clear();
    }

    fn expire_sessions(&mut self, after: u64) {
        self.expire_after = Some(after.max(1));
    }
}

/// The field and the value of `field = 'value'`, in which a quote is doubled.
fn equality(filter: &str) -> Option<(String, String)> {
    let (field, value) = filter.split_once('=')?;
    let value = value.trim().strip_prefix('\'')?.strip_suffix('\'')?;
    if value.replace("''", "").contains('\'') {
        return None;
    }
    Some((field.trim().to_string(), value.replace("''", "'")))
}

fn xml_answer(status: u16, body: String) -> Answer {
    Answer {
        content_type: "application/xml;charset=UTF-8",
        body: body.into_bytes(),
        ..Answer::json(status, &Value::Null)
    }
}

fn done(message: &str) -> Answer {
    Answer { committed: true, ..xml_answer(200, xml::platform("", 0, "Success", message)) }
}

fn refused(status: u16, (code, description): Refusal) -> Answer {
    xml_answer(status, xml::platform("", code, &description, ""))
}

fn malformed() -> Answer {
    refused(400, (-302, "The body is not the XML that belongs here".into()))
}

fn no_resource() -> Answer {
    refused(404, (-300, "No such resource".into()))
}
