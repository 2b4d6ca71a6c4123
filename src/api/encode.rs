//! Operations and questions become requests.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::call::Call;
use super::definition::{BodyStyle, Escape, Format, IdType, PagingStyle, PathStyle, SetStyle};
use super::engine::{CallSpec, Engine, FieldPath, FieldShape, asked_state};
use super::exchange::{ApiRequest, ApiResponse, Current, Needs};
use super::read::{id_text, member, put, typed, usable_id};
use super::scim::ScimPath;
use super::template::with_query;
use super::{scim, xml};
use crate::domain::account::AccountState;
use crate::domain::operation::{Change, OpKind, Operation};
use crate::domain::outcome::{ErrorKind, OpError};
use crate::domain::remote_id::RemoteId;
use crate::domain::value::{Attributes, FieldType, is_empty};

impl Engine {
    /// The request that carries out an operation, where it needs nothing but the operation.
    ///
    /// # Errors
    /// As [`Engine::encode_with`].
    pub fn encode(&self, operation: &Operation) -> Result<ApiRequest, OpError> {
        self.encode_with(operation, &Needs::default())
    }

    /// The request that carries out an operation.
    ///
    /// # Errors
    /// `invalid`: the operation has no request, its account's id is missing or can't stand in a path, a field is
    /// unknown, read-only or of the wrong type, or the account as it is now is needed and not given. The message names
    /// fields, never values.
    pub fn encode_with(&self, operation: &Operation, needs: &Needs<'_>) -> Result<ApiRequest, OpError> {
        let (call, state) = self.call_for(operation, needs.replace)?;
        let id = operation.remote_id.as_ref().map(RemoteId::as_str);
        if call.path.places().any(|place| place == "id") && !id.is_some_and(usable_id) {
            return Err(invalid("the account's id is missing, or can't stand in a path"));
        }
        let body = match call.body {
            BodyStyle::None if operation.fields.is_empty() => None,
            BodyStyle::None => return Err(invalid(format!("{} can't write fields here", operation.kind))),
            BodyStyle::ScimPatch => Some(self.patch(operation, state, needs)?),
            _ => Some(self.body(operation, call, state, needs)?),
        };
        let bytes = body.map(|body| self.rendered(&body)).transpose()?;
        let path = call.path.fill_path(|place| id.filter(|_| place == "id"));
        let mut request = self.request_of(call, path, &[], bytes);
        let version = needs.current.and_then(|current| current.version.clone());
        request.headers.extend(version.map(|version| ("if-match".to_string(), version)));
        Ok(request)
    }

    /// The part of an operation that has to be sent by itself, before its fields: where access is a request of its own
    /// that carries none.
    pub fn first_step(&self, operation: &Operation) -> Option<Operation> {
        let access = matches!(operation.kind, OpKind::Ban | OpKind::Reinstate) || operation.reactivates;
        let (call, _) = self.call_for(operation, false).ok()?;
        (access && call.body == BodyStyle::None && !operation.fields.is_empty())
            .then(|| Operation { fields: BTreeMap::new(), ..operation.clone() })
    }

    /// Whether the request of an operation is made of the account as it is now, which has to be read first. Of an
    /// account that others made, elements may be there in another form than a PatchOp would find.
    pub fn needs_current(&self, operation: &Operation, replace: bool) -> bool {
        self.call_for(operation, replace).is_ok_and(|(call, _)| match call.body {
            BodyStyle::Merged => true,
            BodyStyle::ScimPatch => operation.kind == OpKind::Adopt && writes_known_element(operation),
            BodyStyle::Full | BodyStyle::Changes | BodyStyle::None => false,
        })
    }

    /// Whether an answer says that an element is not there which we know of (RFC 7644, section 3.5.2.3: `noTarget`): it
    /// has another form there, and the account has to be read before it can be written.
    pub fn misses_element(&self, operation: &Operation, call: Call, answer: &ApiResponse) -> bool {
        let patched = self.calls.get(&call).is_some_and(|call| call.body == BodyStyle::ScimPatch);
        patched && writes_known_element(operation) && self.code(&self.body_of(answer)).as_deref() == Some("noTarget")
    }

    /// What the target will have acknowledged when it has carried an operation out: an invitation takes some fields
    /// only, and the others wait.
    pub fn acknowledged(&self, operation: &Operation) -> Attributes {
        let mut after = operation.after();
        if operation.kind == OpKind::Create
            && let Some(call) = self.calls.get(&Call::Invite)
        {
            after.0.retain(|field, _| writes_at(call, field).is_some());
        }
        after
    }

    /// The request for one account; nothing where it can only be found in the listing.
    pub fn get(&self, remote_id: &RemoteId) -> Option<ApiRequest> {
        let call = self.calls.get(&Call::Get)?;
        let path = call.path.fill_path(|place| Some(remote_id.as_str()).filter(|_| place == "id"));
        Some(self.request_of(call, path, &[], None))
    }

    /// The request that seeks accounts with this value in this field; nothing where the API can't, or the value is
    /// blank. What comes back may hold others: the caller compares.
    pub fn find(&self, field: &str, value: &str) -> Option<ApiRequest> {
        let call = self.calls.get(&Call::Find)?;
        if value.trim().is_empty() || !call.fields.iter().any(|f| f == field) {
            return None;
        }
        let name = call.names.get(field).map_or(field, String::as_str);
        let value = match call.escape {
            Escape::None => value.to_string(),
            Escape::Doubled => value.replace('\'', "''"),
            Escape::Json => value.replace('\\', "\\\\").replace('"', "\\\""),
        };
        let path = call.path.fill_path(|_| None);
        Some(self.request_of(call, path, &[("field", name), ("value", &value)], None))
    }

    /// The request for the first page of all accounts. An API that can't list has a path here that answers nothing
    /// useful: ask [`Engine::can_list`] first.
    pub fn list(&self) -> ApiRequest {
        match self.calls.get(&Call::List) {
            Some(call) => self.first_page(call),
            None => self.plain(Call::List, "/".into()),
        }
    }

    /// The request for the first page of a listing.
    pub(super) fn first_page(&self, call: &CallSpec) -> ApiRequest {
        self.request_of(call, call.path.fill_path(|_| None), &[], None)
    }

    /// The request that follows the creation of an account.
    ///
    /// # Errors
    /// The id can't stand in the body.
    pub fn follow_up(&self, remote_id: &RemoteId) -> Option<Result<ApiRequest, OpError>> {
        let call = self.calls.get(&Call::Reset)?;
        let mut body = Value::Null;
        constants(call, Some(remote_id.as_str()), &mut body);
        let path = call.path.fill_path(|place| Some(remote_id.as_str()).filter(|_| place == "id"));
        Some(self.rendered(&body).map(|bytes| self.request_of(call, path, &[], Some(bytes))))
    }

    /// The request that asks an API for its own abilities, where the definition has one.
    pub fn discovery(&self) -> Option<ApiRequest> {
        let path = self.discovery.as_ref()?.path.clone();
        Some(self.plain(Call::Discover, path))
    }

    /// The call for an operation, and the access that it must bring about, if any.
    pub(super) fn call_for(
        &self,
        operation: &Operation,
        replace: bool,
    ) -> Result<(&CallSpec, Option<AccountState>), OpError> {
        let state = asked_state(operation);
        let update = if replace && self.calls.contains_key(&Call::Replace) { Call::Replace } else { Call::Update };
        let calls: &[Call] = match operation.kind {
            OpKind::Create => &[Call::Invite, Call::Create],
            OpKind::Update => &[update],
            OpKind::Ban => &[Call::Ban, update],
            OpKind::Reinstate => &[Call::Reinstate, update],
            OpKind::Adopt if operation.reactivates => &[Call::Reinstate, update],
            OpKind::Adopt => &[update],
            OpKind::Delete => &[Call::Delete],
            OpKind::Unlink => &[],
        };
        let call = calls.iter().find_map(|call| self.calls.get(call));
        let call = call.ok_or_else(|| invalid(format!("{} has no request for {}", self.title, operation.kind)))?;
        // A new account is active by itself.
        Ok((call, state.filter(|_| operation.kind != OpKind::Create)))
    }

    /// The body of a request that sends fields.
    fn body(
        &self,
        operation: &Operation,
        call: &CallSpec,
        state: Option<AccountState>,
        needs: &Needs<'_>,
    ) -> Result<Value, OpError> {
        let creates = operation.kind == OpKind::Create;
        let mut values: Vec<(&str, &Value)> = operation.fields.iter().map(|(f, c)| (f.as_str(), &c.new)).collect();
        // Only what sends whole accounts or whole objects looks at it; of a new account, the fields are all there is.
        let full = call.body == BodyStyle::Full && !creates;
        let sends_whole = full || values.iter().any(|(field, _)| self.whole(field).is_some());
        let after = if sends_whole { operation.after() } else { Attributes::default() };
        if full {
            let writable = |field: &str| self.catalogue.field(field).is_some_and(|f| f.writable.is_ok());
            let mut all: BTreeMap<&str, &Value> = values.into_iter().collect();
            all.extend(after.iter().filter(|(f, _)| writable(f)).map(|(f, v)| (f.as_str(), v)));
            values = all.into_iter().collect();
        }
        let mut body = match (call.body, needs.current) {
            (BodyStyle::Merged, Some(Current { account, .. })) => account.clone(),
            (BodyStyle::Merged, None) => return Err(invalid("the account must be read before it can be written")),
            _ => Value::Object(Map::new()),
        };
        // What a new account does not have needs no saying, and what an invitation does not take has to wait.
        values.retain(|(_, value)| !creates || !is_empty(value));
        values.retain(|(field, _)| call.writes.is_empty() || writes_at(call, field).is_some());
        if creates {
            self.given(&values, needs, &mut body);
        }
        for (field, value) in values {
            match self.whole(field) {
                Some(head) => self.write_whole(&mut body, call, head, &after, &operation.fields),
                None => self.write(&mut body, call, field, value)?,
            }
        }
        // An update that sends everything says that the account stays active; otherwise silence leaves it alone.
        let state = state.or_else(|| full.then_some(AccountState::Active));
        if let Some(state) = state {
            self.put(&mut body, call, &self.state.field, self.access(state).clone());
        }
        if self.paths == PathStyle::Scim {
            scim::add_schemas(&mut body);
        }
        let mut enveloped = Value::Null;
        put(&mut enveloped, &self.request.envelope, body);
        constants(call, operation.remote_id.as_ref().map(RemoteId::as_str), &mut enveloped);
        Ok(enveloped)
    }

    /// What a new account gets without the mapping: the target's options, and a secret that nobody knows.
    fn given(&self, mapped: &[(&str, &Value)], needs: &Needs<'_>, body: &mut Value) {
        let is_mapped = |name: &str| mapped.iter().any(|(field, _)| *field == name);
        let gives = |shape: &FieldShape| shape.given.is_some() || shape.throwaway;
        for (name, shape) in self.shapes.iter().filter(|(name, shape)| gives(shape) && !is_mapped(name)) {
            let secret = needs.throwaway.filter(|_| shape.throwaway).map(Value::from);
            if let Some(value) = shape.given.clone().or(secret) {
                put(body, &self.pointer(name), value);
            }
        }
    }

    /// Whether a new account is given a secret that nobody knows.
    pub fn gives_throwaway(&self) -> bool {
        self.shapes.values().any(|shape| shape.throwaway)
    }

    /// The PatchOp of an operation.
    fn patch(&self, operation: &Operation, state: Option<AccountState>, needs: &Needs<'_>) -> Result<Value, OpError> {
        let mut changes = Vec::new();
        for (field, change) in &operation.fields {
            let (_, value) = self.sendable(field, &change.new)?;
            // Read-only names of ours (`at`) are no paths; what the catalogue calls writable is one.
            changes.push((field.as_str(), value));
        }
        if let Some(state) = state {
            changes.push((self.state.field.as_str(), self.access(state).clone()));
        }
        let (held, current) = (&operation.baseline.0, needs.current.map(|current| &current.account));
        scim::patch(&changes, held, current).map_err(|name| invalid(format!("{name} is no attribute path")))
    }

    fn access(&self, state: AccountState) -> &Value {
        if state == AccountState::Banned { &self.state.banned } else { &self.state.active }
    }

    /// Writes one field into a body.
    fn write(&self, body: &mut Value, call: &CallSpec, name: &str, value: &Value) -> Result<(), OpError> {
        let (kind, value) = self.sendable(name, value)?;
        let wrong = || invalid(format!("{name} must be {}", kind.name()));
        if let Some((head, id)) = name.split_once('.')
            && let Some(list) = self.lists.get(head)
        {
            let id = as_id(list.id_type, id).ok_or_else(|| invalid(format!("{name}: the id must be a number")))?;
            let entry: Map<String, Value> = [(list.id.clone(), id), (list.value.clone(), value)].into_iter().collect();
            return push(body, &self.pointer(head), &list.id, entry.into()).ok_or_else(wrong);
        }
        // A list that is sent whole is emptied by an empty one.
        let emptied = value.is_null() && matches!(kind, FieldType::Set | FieldType::List);
        self.put(body, call, name, if emptied { Value::Array(Vec::new()) } else { value });
        Ok(())
    }

    /// A field's type, and its value as it is sent, once it is clear that the field may be.
    fn sendable(&self, name: &str, value: &Value) -> Result<(FieldType, Value), OpError> {
        let field = self.catalogue.field(name);
        match field {
            None if !self.catalogue.admits(name) => {
                let why = self.catalogue.why_not(name).map(|(why, _)| why);
                return Err(invalid(why.unwrap_or_else(|| format!("{} has no field {name}", self.title))));
            }
            Some(field) if field.writable.is_err() => return Err(invalid(format!("{name} can't be written"))),
            _ => {}
        }
        let kind = field.map_or(FieldType::Text, |field| field.kind);
        let value = match self.shapes.get(name).and_then(|shape| shape.entry.as_ref()) {
            Some((member, style)) => entries(self.canonical(name, value), member, *style),
            None => typed(kind, value),
        };
        let value = value.ok_or_else(|| invalid(format!("{name} must be {}", kind.name())))?;
        Ok((kind, value))
    }

    /// The name of the object that is sent whole and that this field is a part of.
    pub(super) fn whole<'n>(&self, name: &'n str) -> Option<&'n str> {
        let (head, _) = name.split_once('.')?;
        self.shapes.get(&format!("{head}.*")).is_some_and(|shape| shape.whole).then_some(head)
    }

    /// Writes an object as it is to be: what is known of it, with what changes. What is empty is left out, but for what
    /// becomes so now: a member that is left out stays where the API merges, so it is sent empty.
    fn write_whole(
        &self,
        body: &mut Value,
        call: &CallSpec,
        head: &str,
        after: &Attributes,
        changes: &BTreeMap<String, Change>,
    ) {
        let mut object = Map::new();
        for (field, value) in after.iter() {
            let Some(member) = field.strip_prefix(head).and_then(|rest| rest.strip_prefix('.')) else { continue };
            if !is_empty(value) {
                object.insert(member.to_string(), value.clone());
            } else if changes.get(field).is_some_and(|change| !is_empty(&change.old)) {
                object.insert(member.to_string(), emptied(self.catalogue.kind(field)));
            }
        }
        let pointer = writes_at(call, &format!("{head}.*")).unwrap_or_else(|| self.pointer(head).into_owned());
        put(body, &pointer, Value::Object(object));
    }

    fn put(&self, body: &mut Value, call: &CallSpec, name: &str, value: Value) {
        if let Some(pointer) = writes_at(call, name) {
            return put(body, &pointer, value);
        }
        match self.field_path(name) {
            FieldPath::Member(name) => *member(body, name) = value,
            FieldPath::Pointer(pointer) => put(body, &pointer, value),
            FieldPath::Scim(path) => path.set(body, value),
        }
    }

    /// A body in the definition's format.
    ///
    /// # Errors
    /// The format can't carry it.
    pub(super) fn rendered(&self, body: &Value) -> Result<Vec<u8>, OpError> {
        match self.request.format {
            Format::Json => serde_json::to_vec(body).map_err(|_| invalid("it can't be written as JSON")),
            Format::Xml => xml::write(body)
                .map_err(|name| invalid(format!("{name} has characters (or a name) that XML can't carry"))),
        }
    }

    /// The headers of a request.
    pub(super) fn headers(&self, with_body: bool) -> Vec<(String, String)> {
        let usual = || self.request.format.media_type().to_string();
        let accept = self.request.accept.clone().unwrap_or_else(usual);
        let mut headers = vec![("accept".to_string(), accept)];
        if with_body {
            let content_type = self.request.content_type.clone().unwrap_or_else(usual);
            headers.push(("content-type".to_string(), content_type));
        }
        headers
    }

    /// A request that reads under this path.
    pub(super) fn plain(&self, call: Call, path: String) -> ApiRequest {
        ApiRequest { call, method: "GET".into(), path, headers: self.headers(false), body: None }
    }

    fn request_of(&self, call: &CallSpec, path: String, values: &[(&str, &str)], body: Option<Vec<u8>>) -> ApiRequest {
        let value = |place: &str| values.iter().find(|(name, _)| *name == place).map(|(_, value)| *value);
        let query = call.query.iter().map(|(name, template)| (name.fill(value), template.fill(value)));
        let mut path = with_query(path, query);
        if let Some(paging) = &call.paging {
            let counts = matches!(paging.style, PagingStyle::Page | PagingStyle::Offset);
            let first = counts.then(|| (paging.param.clone(), paging.start.to_string()));
            let size = paging.size_param.clone().map(|param| (param, paging.size.to_string()));
            path = with_query(path, first.into_iter().chain(size));
        }
        ApiRequest { call: call.name, method: call.method.clone(), path, headers: self.headers(body.is_some()), body }
    }
}

/// Where a call that takes (or shows) certain fields alone has this one.
pub(super) fn writes_at(call: &CallSpec, name: &str) -> Option<String> {
    if call.writes.is_empty() {
        return None;
    }
    call.writes.get(name).cloned().or_else(|| {
        let (head, tail) = name.split_once('.')?;
        let pointer = call.writes.get(&format!("{head}.*"))?;
        Some(if tail == "*" { pointer.clone() } else { format!("{pointer}/{tail}") })
    })
}

/// Puts a call's constants into a body; `{id}` in them is the account's.
fn constants(call: &CallSpec, id: Option<&str>, body: &mut Value) {
    for (pointer, value) in &call.constants {
        let value = match (value.as_str(), id) {
            (Some("{id}"), Some(id)) => Value::from(id),
            _ => value.clone(),
        };
        put(body, pointer, value);
    }
}

/// What empties a member of an object that is sent whole: an empty text is one there, other types know only `null`.
fn emptied(kind: FieldType) -> Value {
    match kind {
        FieldType::Text | FieldType::Date | FieldType::DateTime => Value::String(String::new()),
        FieldType::List | FieldType::Set => Value::Array(Vec::new()),
        FieldType::Integer | FieldType::Number | FieldType::Boolean | FieldType::Object => Value::Null,
    }
}

/// Whether an operation writes into an element of a multi-valued attribute that is known to be there.
fn writes_known_element(operation: &Operation) -> bool {
    let known = |field: &String| operation.baseline.get(field).is_some_and(|value| !is_empty(value));
    (operation.fields.keys()).any(|field| known(field) && ScimPath::parse(field).is_ok_and(|path| path.has_filter()))
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

/// Puts an entry into the list at this pointer, which it makes if need be, in the place of the one with the same id.
fn push(body: &mut Value, pointer: &str, id: &str, entry: Value) -> Option<()> {
    if body.pointer(pointer).is_none_or(Value::is_null) {
        put(body, pointer, Value::Array(Vec::new()));
    }
    let entries = body.pointer_mut(pointer)?.as_array_mut()?;
    let wanted = entry.get(id).and_then(id_text);
    match entries.iter_mut().find(|held| held.get(id).and_then(id_text) == wanted) {
        Some(held) => *held = entry,
        None => entries.push(entry),
    }
    Some(())
}

fn invalid(message: impl Into<String>) -> OpError {
    OpError::new(ErrorKind::Invalid, message)
}
