//! An answer's body, as far as it can be understood, and within bounds: a body of a few megabytes can hold millions of
//! values.

use serde_json::Value;

use super::call::Call;
use super::definition::{Format, PathStyle};
use super::engine::Engine;
use super::exchange::{ApiResponse, Verdict};
use super::judge::unclear;
use super::records::{self, MOST_BODY, Records, Taken};
use super::xml::{self, XmlError};
use crate::domain::bounded;
use crate::domain::bounded::{Budget, Fault, OverLimit};
use crate::domain::html::begins_like_html;
use crate::domain::operation::Operation;

/// What a body is.
pub(super) enum Body {
    Empty,
    /// What it holds, be it JSON or XML.
    Value(Value),
    /// A page for people: not from the API, whatever the status says.
    Html,
    /// More than is kept of an answer.
    Excessive(OverLimit),
    Unreadable,
}

impl Body {
    pub fn of(answer: &ApiResponse, format: Format) -> Body {
        let read = |bytes: &[u8]| match format {
            Format::Xml => xml::parse(bytes, &mut Budget::of(MOST_BODY)).map_err(Body::from),
            Format::Json => bounded::parse(bytes, MOST_BODY).map_err(Body::from),
        };
        Body::with(answer, format, read)
    }

    /// The body that `read` makes of what may be one.
    fn with(answer: &ApiResponse, format: Format, read: impl FnOnce(&[u8]) -> Result<Value, Body>) -> Body {
        let bytes = answer.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&answer.body).trim_ascii();
        match (bytes.first(), format) {
            (None, _) => Body::Empty,
            (Some(b'<'), Format::Json) => Body::Html,
            (Some(b'<'), Format::Xml) if begins_like_html(bytes) => Body::Html,
            (Some(_), _) => read(bytes).map_or_else(|body| body, Body::Value),
        }
    }

    pub fn value(&self) -> Option<&Value> {
        match self {
            Body::Value(value) => Some(value),
            Body::Empty | Body::Html | Body::Unreadable | Body::Excessive(_) => None,
        }
    }

    /// The verdict where it does not hold what it should, to follow "answered …".
    pub fn unclear(&self, answer: &ApiResponse, what: &str) -> Verdict {
        match self {
            Body::Excessive(excess) => unclear(answer, &format!("with a body that {excess}; is it the API's?")),
            Body::Html => unclear(answer, "with an HTML page, which the API never sends: is base_url right?"),
            Body::Unreadable => unclear(answer, "with a body that is not in the format of its definition"),
            Body::Empty | Body::Value(_) => unclear(answer, what),
        }
    }
}

impl From<Fault> for Body {
    fn from(fault: Fault) -> Body {
        match fault {
            Fault::Malformed(_) => Body::Unreadable,
            Fault::OverLimit(excess) => Body::Excessive(excess),
        }
    }
}

impl From<XmlError> for Body {
    fn from(error: XmlError) -> Body {
        match error {
            XmlError::Malformed | XmlError::Doctype => Body::Unreadable,
            XmlError::OverLimit(excess) => Body::Excessive(excess),
        }
    }
}

impl Engine {
    /// An answer's body, its names spelled as the definition does.
    pub(super) fn body_of(&self, answer: &ApiResponse) -> Body {
        self.spelled(Body::of(answer, self.request.format))
    }

    /// The body of the answer to an operation. Of an account in JSON only what can tell something is made a value: what
    /// the operation wrote, whose account it is, in which state, and whatever speaks of a failure.
    pub(super) fn body_about(&self, operation: &Operation, call: Call, answer: &ApiResponse) -> Body {
        let plain = self.request.format == Format::Json && self.paths != PathStyle::Scim && self.names.is_none();
        let Some(heads) = self.heads(operation, call).filter(|_| plain) else { return self.body_of(answer) };
        let wanted = |name: &str| heads.contains(&name);
        let read = |bytes: &[u8]| bounded::parse_members(bytes, MOST_BODY, Some(&wanted)).map_err(Body::from);
        Body::with(answer, Format::Json, read)
    }

    /// The outermost members that the answer to an operation is judged by; nothing where a complaint may be anywhere, or a
    /// name is written in a way that would have to be read first.
    fn heads<'a>(&'a self, operation: &'a Operation, call: Call) -> Option<Vec<&'a str>> {
        let told = self.calls.get(&call).and_then(|call| call.id_at.as_ref());
        let conditions = self.failures.iter().filter_map(|rule| rule.body.as_ref()).chain(&self.success);
        let errors = self.errors.code.iter().chain(&self.errors.fields);
        if errors.clone().any(String::is_empty) {
            return None;
        }
        let pointers = self.account_at.iter().chain([&self.id_at]).chain(told).chain(errors);
        let pointers = pointers.chain(conditions.map(|condition| &condition.pointer)).map(String::as_str);
        let own = [Some(&self.state.field), self.catalogue.key_field.as_ref(), self.catalogue.id_field.as_ref()];
        let fields = own.into_iter().flatten().chain(operation.fields.keys()).map(String::as_str);
        let mut heads = Vec::with_capacity(32);
        let mut add = |pointer: &'a str| heads.extend(pointer.split('/').nth(1));
        pointers.for_each(&mut add);
        let mut named = Vec::with_capacity(16);
        for name in fields {
            // A field, or the list or object that it is a part of, may stand elsewhere than under its name.
            let head = name.split('.').next().unwrap_or(name);
            let elsewhere = |name: &str| self.shapes.get(name).and_then(|shape| shape.at.as_deref());
            [elsewhere(name), elsewhere(head)].into_iter().flatten().for_each(&mut add);
            named.push(head);
        }
        heads.append(&mut named);
        heads.iter().all(|head| !head.contains(['~', '/'])).then_some(heads)
    }

    fn spelled(&self, mut body: Body) -> Body {
        if let (Some(names), Body::Value(value)) = (&self.names, &mut body) {
            names.spell(value);
        }
        body
    }

    /// An answer's body without its records, which stand at the first of these pointers where there is a list, and
    /// whether there is one; `each` gets them.
    pub(super) fn body_and_records(
        &self,
        answer: &ApiResponse,
        pointers: &[String],
        each: &mut dyn FnMut(Taken),
    ) -> (Body, bool) {
        let mut listed = false;
        let body = match (self.request.format, pointers) {
            (Format::Json, _) => {
                let mut each = |taken: Taken| {
                    listed = true;
                    each(match (taken, &self.names) {
                        (Taken::Record(mut record), Some(names)) => {
                            names.spell(&mut record);
                            Taken::Record(record)
                        }
                        (taken, _) => taken,
                    });
                };
                let read = |bytes: &[u8]| {
                    records::of_json(bytes, pointers, self.names.as_ref(), Records::new(&mut each)).map_err(Body::from)
                };
                Body::with(answer, Format::Json, read)
            }
            (Format::Xml, [pointer]) if !pointer.is_empty() => {
                let mut records = Records::new(each);
                let path = records::segments(pointer);
                let read = |bytes: &[u8]| {
                    xml::parse_records(bytes, &mut Budget::of(MOST_BODY), &mut records, &path).map_err(Body::from)
                };
                let body = Body::with(answer, Format::Xml, read);
                listed = body.value().is_some_and(|value| holds_list(value, pointer, records.count));
                body
            }
            (Format::Xml, _) => {
                let body = Body::of(answer, Format::Xml);
                let mut lists = pointers.iter().filter_map(|pointer| match body.value()?.pointer(pointer)? {
                    Value::Array(items) => Some(items.as_slice()),
                    one @ Value::Object(_) => Some(std::slice::from_ref(one)),
                    _ => None,
                });
                if let Some(records) = lists.next() {
                    listed = true;
                    records.iter().for_each(|record| each(Taken::Record(record.clone())));
                }
                body
            }
        };
        (self.spelled(body), listed)
    }
}

/// Whether an XML document, of whose `count` records the first was left in it, has a list of them: one object alone
/// stands for one.
fn holds_list(document: &Value, pointer: &str, count: usize) -> bool {
    let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
    let alone = || document.pointer(pointer).is_some_and(Value::is_object);
    document.pointer(parent).is_some_and(Value::is_object) && (count > 1 || alone())
}
