//! What an answer means: the verdict on an operation, the account or the page that a reading request asked for.
//!
//! Messages are ours: the HTTP status, the vendor's code where it is a plain word, and the names of fields that the
//! answer complains of, as far as the catalogue knows them. Nothing else of a body gets into them, because bodies echo
//! people's values.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::body::Body;
use super::call::Call;
use super::definition::{AnswerStyle, Meaning};
use super::engine::{BodyCondition, Engine, FailureRule, asked_state};
use super::exchange::{ApiResponse, Current, Verdict};
use super::read::{at, id_text, remote_id};
use crate::domain::account::{Account, AccountState};
use crate::domain::operation::{OpKind, Operation};
use crate::domain::outcome::{ErrorKind, OpError};
use crate::domain::remote_id::RemoteId;
use crate::domain::retry::{self, RetryVerdict};

impl Engine {
    /// What the answer to an operation's request means, which was made for this call. `now` is when it arrived, for a `Retry-After` that is a date.
    pub fn judge(&self, operation: &Operation, call: Call, answer: &ApiResponse, now: DateTime<Utc>) -> Verdict {
        self.judge_body(operation, call, answer, self.body_about(operation, answer), now)
    }

    fn judge_body(
        &self,
        operation: &Operation,
        call: Call,
        answer: &ApiResponse,
        body: Body,
        now: DateTime<Utc>,
    ) -> Verdict {
        if let Some(verdict) = self.failure(answer, &body, Some(now)) {
            return match verdict {
                // There is no account that could be missing: the path is.
                Verdict::NotFound if operation.kind == OpKind::Create => {
                    Verdict::Refused(self.complaint(ErrorKind::Refused, answer, &body))
                }
                Verdict::Refused(error) => Verdict::Refused(self.with_remedy(operation, call, answer.status, error)),
                other => other,
            };
        }
        let (style, id_at) = self.answer_style(call);
        match (&body, operation.kind) {
            (Body::Empty | Body::Value(_), _) if call == Call::Invite => self.judge_invited(operation, answer, &body),
            (Body::Empty, kind) if kind != OpKind::Create => done(self.renamed(operation), None),
            (Body::Empty, OpKind::Delete) => done(None, None),
            (Body::Value(value), OpKind::Delete) => {
                match self.located(value).and_then(|record| self.mistaken(operation, record, None)) {
                    Some(what) => unclear(answer, what),
                    None => done(None, None),
                }
            }
            (Body::Value(value), OpKind::Create) if style == AnswerStyle::Id => {
                match at(value, id_at.unwrap_or_default()).and_then(remote_id) {
                    Some(id) => done(Some(id), None),
                    None => unclear(answer, "without the id of the new account"),
                }
            }
            (Body::Value(value), kind) => match self.located(value) {
                Some(record) => self.judge_shown(operation, answer, record),
                None if style != AnswerStyle::Account && kind != OpKind::Create => done(self.renamed(operation), None),
                None => unclear(answer, "without the account that it should show"),
            },
            (Body::Empty, _) => unclear(answer, "without the account that it should show"),
            (Body::Html, _) => unclear(answer, "with an HTML page, which the API never sends"),
            (Body::Unreadable, _) => unclear(answer, "with a body that can't be read to its end"),
            (Body::Excessive(_), _) => body.unclear(answer, "with too much"),
        }
    }

    /// The account in the answer to [`Engine::get`]; `None` when the target says that there is none.
    ///
    /// # Errors
    /// Every other verdict than that the account was shown.
    pub fn account(&self, answer: &ApiResponse) -> Result<Option<Account>, Verdict> {
        let body = self.body_of(answer);
        match self.failure(answer, &body, None) {
            Some(Verdict::NotFound) => return Ok(None),
            Some(verdict) => return Err(verdict),
            None => {}
        }
        let record = body.value().and_then(|value| self.located(value));
        match record.and_then(|record| self.account_of(record)) {
            Some(account) => Ok(Some(account)),
            None => Err(body.unclear(answer, "without the account that was asked for")),
        }
    }

    /// The account in the answer to [`Engine::get`] as it came, for a request that sends it back with changes; `None`
    /// when the target says that there is none.
    ///
    /// # Errors
    /// As [`Engine::account`].
    pub fn current(&self, answer: &ApiResponse) -> Result<Option<(Account, Current)>, Verdict> {
        let Some(account) = self.account(answer)? else { return Ok(None) };
        let body = self.body_of(answer);
        let record = body.value().and_then(|value| self.located(value));
        let version = answer.header("etag").map(str::to_string);
        Ok(record.map(|record| (account, Current { account: record.clone(), version })))
    }

    /// Whether the API takes single changes, as the answer to [`Engine::discovery`] says; unless it says no, it does.
    pub fn takes_changes(&self, answer: &ApiResponse) -> bool {
        let body = self.body_of(answer);
        let told = self.discovery.as_ref().and_then(|d| body.value()?.pointer(&d.patch));
        !(answer.status == 200 && told == Some(&Value::Bool(false)))
    }

    /// The verdict on a successful invitation: the person is known by the address that they were invited under.
    fn judge_invited(&self, operation: &Operation, answer: &ApiResponse, body: &Body) -> Verdict {
        let Some(sent) = self.renamed(operation) else { return unclear(answer, "and nobody can tell who was invited") };
        let shown = body.value().and_then(|value| value.pointer(&self.id_at)).and_then(remote_id);
        match shown {
            Some(shown) if shown.as_str().to_lowercase() != sent.as_str().to_lowercase() => {
                unclear(answer, "showing another person than the one who was invited")
            }
            shown => done(Some(shown.unwrap_or(sent)), Some(AccountState::Invited)),
        }
    }

    /// The id that an account has after an operation, where it is a field that the operation writes.
    fn renamed(&self, operation: &Operation) -> Option<RemoteId> {
        let field = self.catalogue.id_field.as_ref()?;
        operation.fields.get(field).and_then(|change| remote_id(&change.new))
    }

    /// The verdict on a success that shows the account.
    fn judge_shown(&self, operation: &Operation, answer: &ApiResponse, record: &Value) -> Verdict {
        if let Some(what) = self.mistaken(operation, record, self.renamed(operation).as_ref()) {
            return unclear(answer, what);
        }
        let shown = at(record, &self.id_at).and_then(remote_id);
        let done = |state| Verdict::Done { remote_id: shown, state, echo: Some(self.echo(operation, record)) };
        let (asked, stated) = (asked_state(operation), self.stated(record));
        match (operation.kind, asked, stated) {
            (OpKind::Create, Some(asked), Some(stated)) => done(Some(stated).filter(|s| *s != asked)),
            (_, Some(AccountState::Banned), Some(AccountState::Active)) => {
                unclear(answer, "but the account is still active")
            }
            (_, Some(AccountState::Active), Some(AccountState::Banned)) => {
                unclear(answer, "but the account is still banned")
            }
            _ => done(None),
        }
    }

    /// What the answer to a call shows, and where it tells the id.
    fn answer_style(&self, call: Call) -> (AnswerStyle, Option<&str>) {
        let call = self.calls.get(&call);
        call.map_or((AnswerStyle::Account, None), |call| (call.answer, call.id_at.as_deref()))
    }

    /// The verdict when the answer is a failure; `None` when it is a success.
    pub(super) fn failure(&self, answer: &ApiResponse, body: &Body, now: Option<DateTime<Utc>>) -> Option<Verdict> {
        let by_rule = self.failures.iter().find(|rule| self.fits(rule, answer, body)).map(|rule| rule.means);
        let success = (200..300).contains(&answer.status);
        let meaning = match by_rule {
            Some(meaning) => meaning,
            None if success => {
                let holds = |condition: &BodyCondition| body.value().is_some_and(|value| met(condition, value));
                let told = self.success.is_empty() || self.success.iter().all(holds);
                match body {
                    _ if told => return None,
                    Body::Value(_) => Meaning::Refused,
                    Body::Empty | Body::Html | Body::Unreadable | Body::Excessive(_) => Meaning::Unclear,
                }
            }
            None => usual_meaning(answer.status),
        };
        Some(self.verdict(meaning, answer, body, now))
    }

    fn fits(&self, rule: &FailureRule, answer: &ApiResponse, body: &Body) -> bool {
        let status = rule.status.is_empty() || rule.status.contains(&answer.status);
        let value = || rule.body.as_ref().is_none_or(|c| body.value().is_some_and(|value| met(c, value)));
        let code = || rule.code.is_empty() || self.code(body).is_some_and(|code| rule.code.contains(&code));
        let names = || rule.names.is_empty() || self.complained(body).iter().any(|name| rule.names.contains(name));
        status && value() && code() && names()
    }

    fn verdict(&self, meaning: Meaning, answer: &ApiResponse, body: &Body, now: Option<DateTime<Utc>>) -> Verdict {
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
            Meaning::Unclear if answer.status < 300 && body.value().is_none() => {
                body.unclear(answer, "with nothing, where its definition has it say that it is done")
            }
            Meaning::Unclear => Verdict::Unclear(error(match answer.status {
                408 | 504 => ErrorKind::Timeout,
                502 => ErrorKind::Network,
                _ => ErrorKind::Protocol,
            })),
        }
    }
}

/// What a status means where the definition says nothing.
fn usual_meaning(status: u16) -> Meaning {
    match status {
        401 => Meaning::LogInAgain,
        404 => Meaning::NotFound,
        409 => Meaning::Duplicate,
        _ => match RetryVerdict::of(status) {
            RetryVerdict::SlowDown => Meaning::SlowDown,
            RetryVerdict::Trouble => Meaning::Unclear,
            RetryVerdict::No => Meaning::Refused,
        },
    }
}

/// Whether the value at the condition's pointer is one of its values; numbers and their texts are the same.
fn met(condition: &BodyCondition, body: &Value) -> bool {
    let Some(value) = at(body, &condition.pointer) else { return false };
    condition.is.iter().any(|wanted| wanted == value || id_text(wanted).is_some_and(|w| Some(w) == id_text(value)))
}

/// How long the target wants to be left alone.
fn asked_pause(answer: &ApiResponse, now: Option<DateTime<Utc>>) -> Option<Duration> {
    retry::asked_pause(answer.header("retry-after"), answer.header("date"), now)
}

fn done(remote_id: Option<RemoteId>, state: Option<AccountState>) -> Verdict {
    Verdict::Done { remote_id, state, echo: None }
}

pub(super) fn unclear(answer: &ApiResponse, what: &str) -> Verdict {
    Verdict::Unclear(OpError::new(ErrorKind::Protocol, format!("answered HTTP {} {what}", answer.status)))
}

#[cfg(test)]
mod tests;
