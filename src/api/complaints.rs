//! What is told of a refusal: the HTTP status, the vendor's code where it is a plain word, the names of fields that the
//! answer complains of, as far as the catalogue knows them; and where a status has one, the remedy. Nothing else of a body
//! gets into a message, because bodies echo people's values.

use serde_json::Value;

use super::body::Body;
use super::call::Call;
use super::definition::BodyStyle;
use super::engine::Engine;
use super::exchange::ApiResponse;
use crate::domain::operation::{OpKind, Operation};
use crate::domain::outcome::{ErrorKind, OpError};

/// The longest code of a vendor that is repeated in a message; a longer one is a text, not a code.
const LONGEST_CODE: usize = 40;

impl Engine {
    /// The error of a failed operation: status, code, names of fields.
    pub(super) fn complaint(&self, kind: ErrorKind, answer: &ApiResponse, body: &Body) -> OpError {
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
    pub(super) fn code(&self, body: &Body) -> Option<String> {
        let value = body.value()?;
        let code = self.errors.code.iter().find_map(|pointer| match value.pointer(pointer)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        (!code.is_empty() && code.len() <= LONGEST_CODE && code.chars().all(plain)).then_some(code)
    }

    /// The names of fields that an answer complains of, in the order of names, each once.
    pub(super) fn complained(&self, body: &Body) -> Vec<String> {
        let Some(value) = body.value() else { return Vec::new() };
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

    /// A refusal, and what to set where its status tells.
    pub(super) fn with_remedy(&self, operation: &Operation, call: Call, status: u16, error: OpError) -> OpError {
        let see = |keys: &str| format!("see {keys} in the target's definition ({})", self.shown_by());
        let remedy = match status {
            405 | 501 => return self.not_offered(call, error),
            // RFC 6585, section 3; RFC 9110, section 15.5.13.
            412 | 428 => self.condition(operation, call, status),
            // RFC 9110, sections 15.5.16, 15.5.7, 15.5.14 and 15.5.12.
            415 => format!("it does not take this format; {}", see("request.content_type and request.format")),
            406 => format!("it does not answer in this format; {}", see("request.accept and request.format")),
            413 => "the account is larger than it takes; map fewer fields, or shorten them in the mapping".into(),
            411 => "it says that the length is missing, which every request has; see what stands between".into(),
            _ => return error,
        };
        OpError { message: format!("{}: {remedy}", error.message), ..error }
    }

    fn shown_by(&self) -> String {
        format!("rosterd targets show {} prints it", self.kind)
    }

    /// What to set where an API takes no change without `If-Match` (RFC 9110, section 13.1.1). It is sent where the account
    /// is read first, which is how a merged body is made.
    fn condition(&self, operation: &Operation, call: Call, status: u16) -> String {
        let name = described(call);
        let merges = self.calls.get(&name).is_some_and(|call| call.body == BodyStyle::Merged);
        let shown_by = self.shown_by();
        match (status, operation.kind) {
            (_, OpKind::Create | OpKind::Delete) => format!(
                "it wants a condition (If-Match) that is not sent with a {}; ask its administrator to do without for this \
                 client",
                operation.kind
            ),
            (412, _) if merges => "the account was changed in between; the next run reads it anew".into(),
            _ => format!(
                "it wants to be told which version is changed (If-Match with an ETag); give operations.{name} in the target's \
                 definition the body \"merged\", and the method by which it takes whole accounts, e.g. PUT: the account is \
                 then read first, and its ETag is sent along ({shown_by})"
            ),
        }
    }

    /// The error of a call that the API does not offer in this way: which line of the definition says how.
    fn not_offered(&self, call: Call, error: OpError) -> OpError {
        let name = described(call);
        let method = self.calls.get(&name);
        let method = method.map_or("this request", |call| call.method.as_str());
        let whole = match self.calls.get(&Call::Replace) {
            Some(replace) if name == Call::Update => format!(
                "; if it takes whole accounts only, give operations.update the method {} and the body \"merged\" of \
                 operations.replace",
                replace.method
            ),
            _ => String::new(),
        };
        let message = format!(
            "{}: the API does not offer {method} here; see operations.{name}.method and operations.{name}.path in the \
             target's definition (rosterd targets show {} prints it){whole}",
            error.message, self.kind
        );
        OpError { message, ..error }
    }
}

/// The call that advice speaks of: a whole account is written in the place of an update.
fn described(call: Call) -> Call {
    if call == Call::Replace { Call::Update } else { call }
}
