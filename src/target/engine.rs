//! The engine: a definition with one target's options applied, and the requests that it makes of operations.
//!
//! It knows no vendor. What an answer means is in [`super::judge`], how values are read in [`super::read`].

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::catalogue::Catalogue;
use super::definition::{
    AnswerStyle, BodyStyle, ErrorsDef, IdType, ListDef, Meaning, PagingStyle, RequestDef, SetStyle,
};
use super::load::{DefinitionError, nearest};
use super::read::{put, typed, usable_id};
use super::template::{Template, with_query};
use super::wire::{AccountState, Wire};
use crate::outcome::{ErrorKind, OpError};
use crate::plan::{OpKind, Operation};
use crate::value::{FieldType, is_empty};

/// The definitions that are built in: kind and text.
const BUILTIN: [(&str, &str); 1] = [("juno", include_str!("builtin/juno.toml"))];
const BUILTIN_KINDS: [&str; BUILTIN.len()] = [BUILTIN[0].0];

/// A definition with one target's options applied: what turns operations into requests and answers into verdicts.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(super) kind: String,
    pub(super) title: String,
    pub(super) auth_kinds: Vec<String>,
    pub(super) catalogue: Catalogue,
    pub(super) shapes: BTreeMap<String, FieldShape>,
    pub(super) lists: BTreeMap<String, ListDef>,
    pub(super) id_at: String,
    pub(super) id_is_address: bool,
    pub(super) account_at: Vec<String>,
    pub(super) state: StateRule,
    pub(super) request: RequestDef,
    pub(super) calls: BTreeMap<&'static str, Call>,
    pub(super) success: Vec<BodyCondition>,
    pub(super) errors: ErrorsDef,
    pub(super) failures: Vec<FailureRule>,
}

/// How a field stands on the wire, where that is not its name.
#[derive(Clone, Debug, Default)]
pub(super) struct FieldShape {
    pub at: Option<String>,
    /// The member of arriving objects whose values make the set, and how the set is sent.
    pub entry: Option<(String, SetStyle)>,
}

/// How access is expressed.
#[derive(Clone, Debug)]
pub(super) struct StateRule {
    pub field: String,
    pub active: Value,
    pub banned: Value,
    pub unstated: AccountState,
}

/// One kind of request.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub method: String,
    pub path: Template,
    pub body: BodyStyle,
    pub answer: AnswerStyle,
    pub query: Vec<(Template, Template)>,
    pub fields: Vec<String>,
    pub records: Vec<String>,
    pub paging: Option<Paging>,
}

/// How a listing goes on.
#[derive(Clone, Debug)]
pub(super) struct Paging {
    pub style: PagingStyle,
    pub param: String,
    pub start: u64,
    pub size_param: Option<String>,
    pub size: u32,
}

/// A value in the body that must be one of these.
#[derive(Clone, Debug)]
pub(super) struct BodyCondition {
    pub pointer: String,
    pub is: Vec<Value>,
}

/// `[[failures]]`.
#[derive(Clone, Debug)]
pub(super) struct FailureRule {
    pub status: Vec<u16>,
    pub body: Option<BodyCondition>,
    pub code: Vec<String>,
    pub names: Vec<String>,
    pub means: Meaning,
}

impl Engine {
    /// The built-in definition of this kind, with a target's `options`.
    ///
    /// # Errors
    /// The kind is unknown, or options are (keys `kind` and `options.NAME`).
    pub fn builtin(kind: &str, options: &toml::Table) -> Result<Engine, Vec<DefinitionError>> {
        match Engine::builtin_text(kind) {
            Some(text) => super::compile::compile(text, options),
            None => Err(vec![DefinitionError {
                key: "kind".into(),
                line: None,
                message: format!("unknown kind {kind:?}"),
                help: nearest(kind, BUILTIN_KINDS.into_iter().chain(["rest"])),
            }]),
        }
    }

    /// The definition in `text`, with a target's `options`. `file_name` is for messages alone: nothing is read.
    ///
    /// # Errors
    /// Every mistake in the definition, in the order of its lines, then those in the options.
    pub fn from_definition(file_name: &str, text: &str, options: &toml::Table) -> Result<Engine, Vec<DefinitionError>> {
        super::compile::compile(text, options).map_err(|mut errors| {
            for error in errors.iter_mut().filter(|error| error.key.is_empty()) {
                error.message = format!("{file_name}: {}", error.message);
            }
            errors
        })
    }

    /// The kinds that are built in.
    pub fn builtin_kinds() -> &'static [&'static str] {
        &BUILTIN_KINDS
    }

    /// The text of a built-in definition, to copy.
    pub fn builtin_text(kind: &str) -> Option<&'static str> {
        BUILTIN.iter().find(|(name, _)| *name == kind).map(|(_, text)| *text)
    }

    /// The name under which targets ask for it.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The kinds of authentication that the API takes.
    pub fn auth_kinds(&self) -> &[String] {
        &self.auth_kinds
    }

    /// The fields of its accounts.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Whether an account's id is an e-mail address, which logs must not show.
    pub fn id_is_address(&self) -> bool {
        self.id_is_address
    }

    /// The remote id as logs and outcomes may show it: a short hash where the id is itself an address.
    pub fn loggable_id(&self, remote_id: &str) -> String {
        if !self.id_is_address() {
            return remote_id.to_string();
        }
        format!("#{}", &blake3::hash(remote_id.as_bytes()).to_hex()[..12])
    }

    /// The header that carries the same key in every try of one operation, where the API knows one.
    pub fn idempotency_header(&self) -> Option<&str> {
        self.request.idempotency_header.as_deref()
    }

    /// How many accounts a page of the listing holds; `u32::MAX` when one answer holds all.
    pub fn page_size(&self) -> u32 {
        let paging = self.calls.get("list").and_then(|call| call.paging.as_ref());
        paging.map_or(u32::MAX, |paging| paging.size)
    }

    /// The target's name in messages.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Whether all accounts can be listed.
    pub fn can_list(&self) -> bool {
        self.calls.contains_key("list")
    }

    /// Whether accounts can be removed for good.
    pub fn can_delete(&self) -> bool {
        self.calls.contains_key("delete")
    }

    /// The fields by which accounts can be sought.
    pub fn find_fields(&self) -> &[String] {
        self.calls.get("find").map_or(&[], |call| &call.fields)
    }

    /// The request that carries out an operation.
    ///
    /// # Errors
    /// `invalid`: the operation has no request, its account's id is missing or can't stand in a path, or a field is
    /// unknown, read-only or of the wrong type. The message names fields, never values.
    pub fn encode(&self, operation: &Operation) -> Result<Wire, OpError> {
        let (call, state) = self.call_for(operation)?;
        let id = operation.remote_id.as_deref();
        if call.path.places().any(|place| place == "id") && !id.is_some_and(usable_id) {
            return Err(invalid("the account's id is missing, or can't stand in a path"));
        }
        let body = match call.body {
            BodyStyle::None if operation.fields.is_empty() => None,
            BodyStyle::None => return Err(invalid(format!("{} can't write fields here", operation.kind))),
            style => Some(self.body(operation, style, state)?),
        };
        let path = call.path.fill_path(|place| id.filter(|_| place == "id"));
        Ok(self.wire(call, path, &[], body))
    }

    /// The request for one account.
    pub fn get(&self, remote_id: &str) -> Wire {
        let call = &self.calls["get"];
        let path = call.path.fill_path(|place| Some(remote_id).filter(|_| place == "id"));
        self.wire(call, path, &[], None)
    }

    /// The request that seeks accounts with this value in this field; nothing where the API can't, or the value is
    /// blank. What comes back may hold others: the caller compares.
    pub fn find(&self, field: &str, value: &str) -> Option<Wire> {
        let call = self.calls.get("find")?;
        if value.trim().is_empty() || !call.fields.iter().any(|f| f == field) {
            return None;
        }
        let path = call.path.fill_path(|_| None);
        Some(self.wire(call, path, &[("field", field), ("value", value)], None))
    }

    /// The request for the first page of all accounts. An API that can't list has its `get` path without an id, which
    /// answers nothing useful: ask [`Engine::can_list`] first.
    pub fn list(&self) -> Wire {
        let call = self.calls.get("list").unwrap_or(&self.calls["get"]);
        self.wire(call, call.path.fill_path(|_| None), &[], None)
    }

    /// The call for an operation, and the access that it must bring about, if any.
    fn call_for(&self, operation: &Operation) -> Result<(&Call, Option<AccountState>), OpError> {
        let state = asked_state(operation);
        let names: &[&str] = match operation.kind {
            OpKind::Create => &["create"],
            OpKind::Update => &["update"],
            OpKind::Ban => &["ban", "update"],
            OpKind::Reinstate => &["reinstate", "update"],
            OpKind::Adopt if operation.reactivates => &["reinstate", "update"],
            OpKind::Adopt => &["update"],
            OpKind::Delete => &["delete"],
            OpKind::Unlink => &[],
        };
        let call = names.iter().find_map(|name| self.calls.get(name));
        let call = call.ok_or_else(|| invalid(format!("{} has no request for {}", self.title, operation.kind)))?;
        // A new account is active by itself.
        Ok((call, state.filter(|_| operation.kind != OpKind::Create)))
    }

    fn body(&self, operation: &Operation, style: BodyStyle, state: Option<AccountState>) -> Result<Vec<u8>, OpError> {
        let creates = operation.kind == OpKind::Create;
        let mut values: BTreeMap<&str, &Value> = operation.fields.iter().map(|(f, c)| (f.as_str(), &c.new)).collect();
        let after = operation.after();
        if style == BodyStyle::Full {
            let writable = |field: &str| self.catalogue.field(field).is_some_and(|f| f.writable.is_ok());
            values.extend(after.iter().filter(|(f, _)| writable(f)).map(|(f, v)| (f.as_str(), v)));
        }
        // What a new account does not have needs no saying.
        values.retain(|_, value| !creates || !is_empty(value));
        let mut body = Value::Object(Map::new());
        for (field, value) in values {
            self.write(&mut body, field, value)?;
        }
        // An update that sends everything says that the account stays active; otherwise silence leaves it alone.
        let state = state.or_else(|| (style == BodyStyle::Full && !creates).then_some(AccountState::Active));
        if let Some(state) = state {
            let value = if state == AccountState::Banned { &self.state.banned } else { &self.state.active };
            put(&mut body, &self.pointer(&self.state.field), value.clone());
        }
        let mut enveloped = Value::Null;
        put(&mut enveloped, &self.request.envelope, body);
        Ok(enveloped.to_string().into_bytes())
    }

    /// Writes one field into a body.
    fn write(&self, body: &mut Value, name: &str, value: &Value) -> Result<(), OpError> {
        let field = self.catalogue.field(name);
        match field {
            None if !self.catalogue.open => return Err(invalid(format!("{} has no field {name}", self.title))),
            Some(field) if field.writable.is_err() => return Err(invalid(format!("{name} can't be written"))),
            _ => {}
        }
        let kind = self.catalogue.kind(name);
        let wrong = || invalid(format!("{name} must be {}", kind.name()));
        if let Some((head, id)) = name.split_once('.')
            && let Some(list) = self.lists.get(head)
        {
            let value = typed(kind, value).ok_or_else(wrong)?;
            let id = as_id(list.id_type, id).ok_or_else(|| invalid(format!("{name}: the id must be a number")))?;
            let entry: Map<String, Value> = [(list.id.clone(), id), (list.value.clone(), value)].into_iter().collect();
            return push(body, &self.pointer(head), entry.into()).ok_or_else(wrong);
        }
        let value = match self.shapes.get(name).and_then(|shape| shape.entry.as_ref()) {
            Some((member, style)) => entries(self.canonical(name, value), member, *style).ok_or_else(wrong)?,
            None => typed(kind, value).ok_or_else(wrong)?,
        };
        // A list that is sent whole is emptied by an empty one.
        let emptied = value.is_null() && matches!(kind, FieldType::Set | FieldType::List);
        put(body, &self.pointer(name), if emptied { Value::Array(Vec::new()) } else { value });
        Ok(())
    }

    fn wire(&self, call: &Call, path: String, values: &[(&str, &str)], body: Option<Vec<u8>>) -> Wire {
        let value = |place: &str| values.iter().find(|(name, _)| *name == place).map(|(_, value)| *value);
        let query = call.query.iter().map(|(name, template)| (name.fill(value), template.fill(value)));
        let mut path = with_query(path, query);
        if let Some(paging) = &call.paging
            && paging.style != PagingStyle::None
        {
            let first = (paging.param.clone(), paging.start.to_string());
            let size = paging.size_param.clone().map(|param| (param, paging.size.to_string()));
            path = with_query(path, [first].into_iter().chain(size));
        }
        let mut headers = vec![("accept".to_string(), self.request.accept.clone())];
        if body.is_some() {
            headers.push(("content-type".to_string(), self.request.content_type.clone()));
        }
        Wire { method: call.method.clone(), path, headers, body }
    }

    /// Where a field stands within an account.
    pub(super) fn pointer(&self, name: &str) -> String {
        match self.shapes.get(name).and_then(|shape| shape.at.clone()) {
            Some(at) => at,
            None => name.split('.').fold(String::new(), |pointer, segment| {
                format!("{pointer}/{}", segment.replace('~', "~0").replace('/', "~1"))
            }),
        }
    }

    /// The member whose values make this set, where it arrives as objects.
    pub(super) fn entry_id(&self, name: &str) -> Option<&str> {
        self.shapes.get(name)?.entry.as_ref().map(|(member, _)| member.as_str())
    }
}

/// The access that an operation asks for.
pub(super) fn asked_state(operation: &Operation) -> Option<AccountState> {
    match operation.kind {
        OpKind::Ban => Some(AccountState::Banned),
        OpKind::Create | OpKind::Reinstate => Some(AccountState::Active),
        OpKind::Adopt if operation.reactivates => Some(AccountState::Active),
        OpKind::Adopt | OpKind::Update | OpKind::Delete | OpKind::Unlink => None,
    }
}

/// A canonical set of ids as it is sent.
fn entries(ids: Value, member: &str, style: SetStyle) -> Option<Value> {
    match (ids, style) {
        (Value::Null, _) => Some(Value::Null),
        (Value::Array(ids), SetStyle::Values) => Some(Value::Array(ids)),
        (Value::Array(ids), SetStyle::Objects) => {
            Some(ids.into_iter().map(|id| Value::Object([(member.to_string(), id)].into_iter().collect())).collect())
        }
        _ => None,
    }
}

fn as_id(kind: IdType, id: &str) -> Option<Value> {
    match kind {
        IdType::Text => Some(id.into()),
        IdType::Integer => id.parse::<i64>().ok().map(Value::from),
    }
}

/// Adds an entry to the list at this pointer, which it makes if need be.
fn push(body: &mut Value, pointer: &str, entry: Value) -> Option<()> {
    if body.pointer(pointer).is_none() {
        put(body, pointer, Value::Array(Vec::new()));
    }
    body.pointer_mut(pointer)?.as_array_mut()?.push(entry);
    Some(())
}

fn invalid(message: impl Into<String>) -> OpError {
    OpError::new(ErrorKind::Invalid, message)
}

#[cfg(test)]
mod tests;
