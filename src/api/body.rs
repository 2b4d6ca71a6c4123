//! An answer's body, as far as it can be understood, and within bounds: a body of a few megabytes can hold millions of
//! values.

use serde_json::Value;

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
    pub(super) fn body_about(&self, operation: &Operation, answer: &ApiResponse) -> Body {
        let Some(always) = &self.judged_by else { return self.body_of(answer) };
        let mut written = Vec::with_capacity(operation.fields.len());
        for name in operation.fields.keys() {
            let head = name.split('.').next().unwrap_or(name);
            // Where a name is written otherwise than it reads, or stands elsewhere, all is read.
            if head.contains(['~', '/']) || self.stands_elsewhere(name) || self.stands_elsewhere(head) {
                return self.body_of(answer);
            }
            written.push(head);
        }
        let wanted = |name: &str| written.contains(&name) || always.iter().any(|member| member == name);
        let read = |bytes: &[u8]| bounded::parse_members(bytes, MOST_BODY, Some(&wanted)).map_err(Body::from);
        Body::with(answer, Format::Json, read)
    }

    fn stands_elsewhere(&self, name: &str) -> bool {
        self.shapes.get(name).is_some_and(|shape| shape.at.is_some())
    }

    /// The outermost members by which the answer to any operation is judged; nothing where a complaint may be anywhere, or
    /// names are compared otherwise than as they are written.
    pub(super) fn members_judged_by(&self) -> Option<Vec<String>> {
        if self.request.format != Format::Json || self.paths == PathStyle::Scim || self.names.is_some() {
            return None;
        }
        let conditions = self.failures.iter().filter_map(|rule| rule.body.as_ref()).chain(&self.success);
        let mut errors = self.errors.code.iter().chain(&self.errors.fields);
        if errors.clone().any(String::is_empty) {
            return None;
        }
        let own = [Some(&self.state.field), self.catalogue.key_field.as_ref(), self.catalogue.id_field.as_ref()];
        let own = own.into_iter().flatten().map(|name| self.pointer(name).into_owned());
        let ids = self.calls.values().filter_map(|call| call.id_at.as_ref()).chain([&self.id_at]);
        let pointers = self.account_at.iter().chain(ids).chain(&mut errors);
        let pointers = pointers.chain(conditions.map(|condition| &condition.pointer)).cloned().chain(own);
        let mut members: Vec<String> =
            pointers.filter_map(|pointer| pointer.split('/').nth(1).map(str::to_string)).collect();
        members.sort();
        members.dedup();
        members.iter().all(|member| !member.contains('~')).then_some(members)
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
