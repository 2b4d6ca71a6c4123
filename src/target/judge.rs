//! What an answer means: the verdict on an operation, the account or the page that a reading request asked for.
//!
//! Messages are ours: the HTTP status, the vendor's code where it is a plain word, and the names of fields that the
//! answer complains of, as far as the catalogue knows them. Nothing else of a body gets into them, because bodies echo
//! people's values.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::definition::{AnswerStyle, Meaning, PagingStyle};
use super::engine::{BodyCondition, Call, Engine, FailureRule, asked_state};
use super::read::id_text;
use super::template::{encoded, number_in_query, set_number_in_query};
use super::wire::{Account, AccountState, Answer, Page, Verdict, Wire};
use crate::outcome::{ErrorKind, OpError};
use crate::plan::{OpKind, Operation};
use crate::retry::retry_after;

/// The longest code of a vendor that is repeated in a message; a longer one is a text, not a code.
const LONGEST_CODE: usize = 40;

/// An answer's body, as far as it can be understood.
enum Body {
    Empty,
    Json(Value),
    /// A page for people: not from the API, whatever the status says.
    Html,
    Unreadable,
}

impl Body {
    fn of(answer: &Answer) -> Body {
        let bytes = answer.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&answer.body).trim_ascii();
        match bytes.first() {
            None => Body::Empty,
            Some(b'<') => Body::Html,
            Some(_) => serde_json::from_slice(bytes).map_or(Body::Unreadable, Body::Json),
        }
    }

    fn json(&self) -> Option<&Value> {
        match self {
            Body::Json(value) => Some(value),
            Body::Empty | Body::Html | Body::Unreadable => None,
        }
    }
}

impl Engine {
    /// What the answer to an operation's request means. `now` is when it arrived, for a `Retry-After` that is a date.
    pub fn judge(&self, operation: &Operation, answer: &Answer, now: DateTime<Utc>) -> Verdict {
        let body = Body::of(answer);
        if let Some(verdict) = self.failure(answer, &body, Some(now)) {
            return match verdict {
                // There is no account that could be missing: the path is.
                Verdict::NotFound if operation.kind == OpKind::Create => {
                    Verdict::Refused(self.complaint(ErrorKind::Refused, answer, &body))
                }
                other => other,
            };
        }
        let any = self.answer_style(operation) == AnswerStyle::Any;
        match (&body, operation.kind) {
            (Body::Empty, kind) if kind != OpKind::Create => done(None, None),
            (Body::Empty | Body::Json(_), OpKind::Delete) => done(None, None),
            (Body::Json(value), kind) => match self.located(value) {
                Some(record) => self.judge_shown(operation, answer, record),
                None if any && kind != OpKind::Create => done(None, None),
                None => unclear(answer, "without the account that it should show"),
            },
            (Body::Empty, _) => unclear(answer, "without the account that it should show"),
            (Body::Html, _) => unclear(answer, "with an HTML page, which the API never sends"),
            (Body::Unreadable, _) => unclear(answer, "with a body that is not whole JSON"),
        }
    }

    /// The account in the answer to [`Engine::get`]; `None` when the target says that there is none.
    ///
    /// # Errors
    /// Every other verdict than that the account was shown.
    pub fn account(&self, answer: &Answer) -> Result<Option<Account>, Verdict> {
        let body = Body::of(answer);
        match self.failure(answer, &body, None) {
            Some(Verdict::NotFound) => return Ok(None),
            Some(verdict) => return Err(verdict),
            None => {}
        }
        let record = body.json().and_then(|value| self.located(value));
        match record.and_then(|record| self.account_of(record)) {
            Some(account) => Ok(Some(account)),
            None => Err(unclear(answer, "without the account that was asked for")),
        }
    }

    /// The accounts in the answer to [`Engine::find`] or [`Engine::list`], and the request for the page after it.
    ///
    /// # Errors
    /// Every other verdict than that a page was shown; a page on which one record can't be read is no page.
    pub fn page(&self, request: &Wire, answer: &Answer) -> Result<Page, Verdict> {
        let body = Body::of(answer);
        match self.failure(answer, &body, None) {
            // "Not found" is about one account; that the whole collection is not there is another matter.
            Some(Verdict::NotFound) => {
                return Err(Verdict::Refused(self.complaint(ErrorKind::Refused, answer, &body)));
            }
            Some(verdict) => return Err(verdict),
            None => {}
        }
        let Some(call) = self.search_of(request) else {
            return Err(unclear(answer, "to a request that is no search"));
        };
        let records = body
            .json()
            .and_then(|value| call.records.iter().find_map(|pointer| value.pointer(pointer).and_then(Value::as_array)));
        let Some(records) = records else {
            return Err(unclear(answer, "without the list of accounts that it should hold"));
        };
        let accounts: Option<Vec<Account>> = records.iter().map(|record| self.account_of(record)).collect();
        let Some(accounts) = accounts else {
            return Err(unclear(answer, "with a record that has no id"));
        };
        let next = next_request(call, request, records.len());
        Ok(Page { accounts, next })
    }

    /// The verdict on a success that shows the account.
    fn judge_shown(&self, operation: &Operation, answer: &Answer, record: &Value) -> Verdict {
        let shown = record.pointer(&self.id_at).and_then(id_text);
        if operation.remote_id.is_some() && shown != operation.remote_id && !self.id_is_address {
            return unclear(answer, "showing another account than the one that was written");
        }
        let (asked, stated) = (asked_state(operation), self.stated(record));
        match (operation.kind, asked, stated) {
            (OpKind::Create, Some(asked), Some(stated)) => done(shown, Some(stated).filter(|s| *s != asked)),
            (_, Some(AccountState::Banned), Some(AccountState::Active)) => {
                unclear(answer, "but the account is still active")
            }
            (_, Some(AccountState::Active), Some(AccountState::Banned)) => {
                unclear(answer, "but the account is still banned")
            }
            _ => done(shown, None),
        }
    }

    fn answer_style(&self, operation: &Operation) -> AnswerStyle {
        let name = match operation.kind {
            OpKind::Create => "create",
            OpKind::Ban => "ban",
            OpKind::Reinstate => "reinstate",
            OpKind::Adopt if operation.reactivates => "reinstate",
            OpKind::Update | OpKind::Adopt | OpKind::Delete | OpKind::Unlink => "update",
        };
        self.calls.get(name).or_else(|| self.calls.get("update")).map_or(AnswerStyle::Account, |call| call.answer)
    }

    /// The call that made a searching request: the listing where, paging set aside, it asks what the listing asks,
    /// else the look-up.
    fn search_of(&self, request: &Wire) -> Option<&Call> {
        let (find, list) = (self.calls.get("find"), self.calls.get("list"));
        list.filter(|call| unpaged(&request.path, call) == unpaged(&self.list().path, call)).or(find)
    }

    /// The verdict when the answer is a failure; `None` when it is a success.
    fn failure(&self, answer: &Answer, body: &Body, now: Option<DateTime<Utc>>) -> Option<Verdict> {
        let by_rule = self.failures.iter().find(|rule| self.fits(rule, answer, body)).map(|rule| rule.means);
        let success = (200..300).contains(&answer.status);
        let meaning = match by_rule {
            Some(meaning) => meaning,
            None if success => {
                let holds = |condition: &BodyCondition| body.json().is_some_and(|value| met(condition, value));
                let told = self.success.is_empty() || self.success.iter().all(holds);
                match body {
                    _ if told => return None,
                    Body::Json(_) => Meaning::Refused,
                    Body::Empty | Body::Html | Body::Unreadable => Meaning::Unclear,
                }
            }
            None => usual_meaning(answer.status),
        };
        Some(self.verdict(meaning, answer, body, now))
    }

    fn fits(&self, rule: &FailureRule, answer: &Answer, body: &Body) -> bool {
        let status = rule.status.is_empty() || rule.status.contains(&answer.status);
        let value = || rule.body.as_ref().is_none_or(|c| body.json().is_some_and(|value| met(c, value)));
        let code = || rule.code.is_empty() || self.code(body).is_some_and(|code| rule.code.contains(&code));
        let names = || rule.names.is_empty() || self.complained(body).iter().any(|name| rule.names.contains(name));
        status && value() && code() && names()
    }

    fn verdict(&self, meaning: Meaning, answer: &Answer, body: &Body, now: Option<DateTime<Utc>>) -> Verdict {
        let error = |kind| self.complaint(kind, answer, body);
        match meaning {
            Meaning::Duplicate => {
                let unique = |name: &String| self.catalogue.field(name).is_some_and(|field| field.unique);
                let fields = self.complained(body).into_iter().filter(unique).collect();
                Verdict::Duplicate { fields, error: error(ErrorKind::Conflict) }
            }
            // A wrong base URL and a proxy answer 404 too, with a page for people: that says nothing of an account.
            Meaning::NotFound if matches!(body, Body::Html) => Verdict::Refused(OpError::new(
                ErrorKind::Protocol,
                format!("HTTP {} with an HTML page: is base_url right?", answer.status),
            )),
            Meaning::NotFound => Verdict::NotFound,
            Meaning::LogInAgain => Verdict::LogInAgain,
            Meaning::Denied => Verdict::Denied(error(ErrorKind::Auth)),
            Meaning::SlowDown => {
                Verdict::SlowDown { retry_after: asked_pause(answer, now), error: error(ErrorKind::RateLimited) }
            }
            Meaning::Refused if (300..400).contains(&answer.status) => Verdict::Refused(OpError::new(
                ErrorKind::Protocol,
                format!("HTTP {}: a redirect, which is not followed; is base_url right?", answer.status),
            )),
            Meaning::Refused => Verdict::Refused(error(ErrorKind::Refused)),
            Meaning::Unclear => Verdict::Unclear(error(match answer.status {
                408 | 504 => ErrorKind::Timeout,
                502 => ErrorKind::Network,
                _ => ErrorKind::Protocol,
            })),
        }
    }

    /// The error of a failed operation: status, code, names of fields.
    fn complaint(&self, kind: ErrorKind, answer: &Answer, body: &Body) -> OpError {
        let mut message = format!("HTTP {}", answer.status);
        if let Some(code) = self.code(body) {
            message.push_str(&format!(", code {code}"));
        }
        let names = self.complained(body);
        if !names.is_empty() {
            message.push_str(&format!(", naming {}", names.join(", ")));
        }
        OpError::new(kind, message)
    }

    /// The vendor's code, where the definition says it is and it looks like one: a short word that can't be an address,
    /// a name with a space, or prose.
    fn code(&self, body: &Body) -> Option<String> {
        let value = body.json()?;
        let code = self.errors.code.iter().find_map(|pointer| match value.pointer(pointer)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        (!code.is_empty() && code.len() <= LONGEST_CODE && code.chars().all(plain)).then_some(code)
    }

    /// The names of fields that an answer complains of, in the order of names, each once.
    fn complained(&self, body: &Body) -> Vec<String> {
        let Some(value) = body.json() else { return Vec::new() };
        let mut told: Vec<&Value> = self.errors.fields.iter().filter_map(|pointer| value.pointer(pointer)).collect();
        if told.is_empty() && !value.is_object() {
            told.push(value);
        }
        let mut names = Vec::new();
        told.into_iter().for_each(|value| self.collect_names(value, &mut names));
        names.sort();
        names.dedup();
        names
    }

    fn collect_names(&self, value: &Value, names: &mut Vec<String>) {
        match value {
            Value::String(text) => {
                let word = |c: char| !c.is_ascii_alphanumeric() && c != '_';
                names.extend(text.split(word).filter_map(|word| self.known(word)));
            }
            Value::Array(items) => items.iter().for_each(|item| self.collect_names(item, names)),
            Value::Object(members) => {
                for (key, value) in members {
                    names.extend(self.known(key));
                    self.collect_names(value, names);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// The field that a word names, whatever its case.
    fn known(&self, word: &str) -> Option<String> {
        let names = self.catalogue.fields.keys().map(|name| name.strip_suffix(".*").unwrap_or(name));
        names.into_iter().find(|name| name.eq_ignore_ascii_case(word)).map(str::to_string)
    }
}

/// What a status means where the definition says nothing.
fn usual_meaning(status: u16) -> Meaning {
    match status {
        401 => Meaning::LogInAgain,
        404 => Meaning::NotFound,
        409 => Meaning::Duplicate,
        429 | 503 => Meaning::SlowDown,
        408 | 500.. => Meaning::Unclear,
        _ => Meaning::Refused,
    }
}

/// Whether the value at the condition's pointer is one of its values; numbers and their texts are the same.
fn met(condition: &BodyCondition, body: &Value) -> bool {
    let Some(value) = body.pointer(&condition.pointer) else { return false };
    condition.is.iter().any(|wanted| wanted == value || id_text(wanted).is_some_and(|w| Some(w) == id_text(value)))
}

/// How long the target wants to be left alone. A date is measured by the target's own clock where it tells the time.
fn asked_pause(answer: &Answer, now: Option<DateTime<Utc>>) -> Option<Duration> {
    let raw = answer.header("retry-after")?;
    let theirs = answer.header("date").and_then(|date| httpdate::parse_http_date(date).ok()).map(DateTime::<Utc>::from);
    match theirs.or(now) {
        Some(now) => retry_after(raw, now),
        // Without a clock only a number of seconds tells something.
        None if raw.contains(':') => None,
        None => retry_after(raw, DateTime::UNIX_EPOCH),
    }
}

/// A path without the query parameters of the call's paging.
fn unpaged(path: &str, call: &Call) -> String {
    let Some((path, query)) = path.split_once('?') else { return path.to_string() };
    let pages = |name: &str| {
        let paging = call.paging.iter();
        let mut params = paging.flat_map(|p| [Some(&p.param), p.size_param.as_ref()]).flatten();
        params.any(|param| name == encoded(param))
    };
    let kept: Vec<&str> = query.split('&').filter(|pair| !pages(pair.split('=').next().unwrap_or_default())).collect();
    format!("{path}?{}", kept.join("&")).trim_end_matches('?').to_string()
}

/// The request for the page after one that held `found` records.
fn next_request(call: &Call, request: &Wire, found: usize) -> Option<Wire> {
    let paging = call.paging.as_ref()?;
    if found == 0 || found < paging.size as usize {
        return None;
    }
    let current = number_in_query(&request.path, &paging.param)?;
    let step = match paging.style {
        PagingStyle::Page => 1,
        PagingStyle::Offset => found as u64,
        PagingStyle::None => return None,
    };
    let path = set_number_in_query(&request.path, &paging.param, current.checked_add(step)?);
    Some(Wire { path, ..request.clone() })
}

fn done(remote_id: Option<String>, state: Option<AccountState>) -> Verdict {
    Verdict::Done { remote_id, state }
}

fn unclear(answer: &Answer, what: &str) -> Verdict {
    Verdict::Unclear(OpError::new(ErrorKind::Protocol, format!("answered HTTP {} {what}", answer.status)))
}

#[cfg(test)]
mod tests;
