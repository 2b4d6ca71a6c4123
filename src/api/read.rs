//! Reading what a target shows: values in whatever spelling it has become values of the catalogue's types, and records
//! become accounts.

use serde_json::{Map, Value};

use super::definition::PathStyle;
use super::engine::{Engine, FieldPath};
use super::scim;
use crate::domain::account::{Account, AccountState, recognising};
use crate::domain::remote_id::RemoteId;
use crate::domain::value::{Attributes, FieldType, is_empty};

/// The value converted to this type; `Null` when it is empty, nothing when it is not of that type in any spelling.
pub(super) fn typed(kind: FieldType, value: &Value) -> Option<Value> {
    if is_empty(value) {
        return Some(Value::Null);
    }
    match kind {
        FieldType::Text | FieldType::Date | FieldType::DateTime => text(value).map(Value::String),
        FieldType::Integer => integer(value).map(Value::from),
        FieldType::Number => number(value),
        FieldType::Boolean => boolean(value).map(Value::Bool),
        FieldType::List | FieldType::Set => value.is_array().then(|| value.clone()),
        FieldType::Object => value.is_object().then(|| value.clone()),
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        // Beyond 2^53 a float no longer names one whole number.
        Value::Number(number) => number.as_i64().or_else(|| {
            number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 9_007_199_254_740_992.0).map(|f| f as i64)
        }),
        Value::String(text) => plain(text).parse().ok(),
        _ => None,
    }
}

fn number(value: &Value) -> Option<Value> {
    match value {
        Value::Number(_) => Some(value.clone()),
        Value::String(text) => {
            let text = plain(text);
            let whole = text.parse::<i64>().ok().map(Value::from);
            whole.or_else(|| text.parse().ok().and_then(serde_json::Number::from_f64).map(Value::Number))
        }
        _ => None,
    }
}

/// A number's text, trimmed, with the hyphens that typesetters put for a minus sign replaced.
fn plain(text: &str) -> String {
    text.trim().replace(['\u{2010}', '\u{2011}', '\u{2212}'], "-")
}

fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(yes) => Some(*yes),
        Value::Number(number) => match number.as_i64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => Some(true),
            "false" | "0" | "no" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// An id as text, whatever JSON type it has. `.` and `..` are no ids: in a path they would lead elsewhere.
pub(super) fn id_text(value: &Value) -> Option<String> {
    let id = match value {
        Value::String(text) => text.trim().to_string(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    usable_id(&id).then_some(id)
}

/// An account's id.
pub(super) fn remote_id(value: &Value) -> Option<RemoteId> {
    id_text(value).map(RemoteId::from)
}

/// The longest id, or session: it stands in a path or a header, and servers refuse longer ones.
const LONGEST_ID: usize = 8_000;

/// Whether an id can stand in a path.
pub(super) fn usable_id(id: &str) -> bool {
    !matches!(id, "" | "." | "..") && id.len() <= LONGEST_ID && !id.contains('\0')
}

impl Engine {
    /// A field's value in the form in which accounts show it: converted to the catalogue's type, sets as sorted texts
    /// of ids without repetition where they are sets of objects' ids. What can't be converted stays as it is, so that
    /// a difference remains visible.
    pub fn canonical(&self, field: &str, value: &Value) -> Value {
        match self.entry_id(field) {
            Some(member) => set_of_ids(member, value),
            None => typed(self.catalogue().kind(field), value),
        }
        .unwrap_or_else(|| value.clone())
    }

    /// The account that a record describes; `None` when it has no usable id.
    pub(super) fn account_of(&self, record: &Value) -> Option<Account> {
        let remote_id = remote_id(at(record, &self.id_at)?)?;
        let attributes = self.attributes_of(record);
        let key = self.catalogue.key_field.as_deref().and_then(|field| attributes.get(field)).and_then(text);
        Some(Account { remote_id, key, state: self.state_of(record), attributes })
    }

    /// What a record says about access.
    fn state_of(&self, record: &Value) -> AccountState {
        self.stated(record).unwrap_or(self.state.unstated)
    }

    /// What a record says about access, if it says anything that the definition explains.
    pub(super) fn stated(&self, record: &Value) -> Option<AccountState> {
        let shown = self.canonical(&self.state.field, self.shown(record, &self.state.field)?);
        if shown == self.canonical(&self.state.field, &self.state.banned) {
            Some(AccountState::Banned)
        } else if shown == self.canonical(&self.state.field, &self.state.active) {
            Some(AccountState::Active)
        } else {
            None
        }
    }

    fn attributes_of(&self, record: &Value) -> Attributes {
        let mut attributes = Attributes::default();
        for (name, field) in &self.catalogue.fields {
            if let Some(head) = name.strip_suffix(".*") {
                self.read_members(head, record, &mut attributes);
                continue;
            }
            match self.shown(record, name) {
                Some(value) => attributes.set(name, self.canonical(name, value)),
                // A writable field that is not shown is empty; of others nothing is known.
                None if field.writable.is_ok() => attributes.set(name, Value::Null),
                None => {}
            }
        }
        self.read_recognising(record, &mut attributes);
        if self.catalogue.open {
            self.read_custom(record, &mut attributes);
        }
        attributes
    }

    /// What an account is recognised by where the field itself is empty, of the fields by which accounts are sought.
    fn read_recognising(&self, record: &Value, attributes: &mut Attributes) {
        if self.paths != PathStyle::Scim {
            return;
        }
        for field in self.find_fields() {
            if attributes.get(field).is_none_or(is_empty)
                && let FieldPath::Scim(path) = self.field_path(field)
                && let Some(value) = path.recognising(record).filter(|value| !is_empty(value))
            {
                attributes.set(recognising(field), self.canonical(field, value));
            }
        }
    }

    /// What a record holds for a field.
    fn shown<'r>(&self, record: &'r Value, name: &str) -> Option<&'r Value> {
        match self.field_path(name) {
            FieldPath::Member(name) => record.get(name),
            FieldPath::Pointer(pointer) => at(record, &pointer),
            FieldPath::Scim(path) => path.get(record),
        }
    }

    /// What a record shows of one field, in the form in which accounts show it; nothing where it doesn't.
    pub(super) fn echoed(&self, record: &Value, name: &str) -> Option<Value> {
        if let Some((head, id)) = name.split_once('.')
            && let Some(list) = self.lists.get(head)
        {
            let entries = record.pointer(&self.pointer(head))?.as_array()?;
            let entry = entries.iter().find(|entry| entry.get(&list.id).and_then(id_text).as_deref() == Some(id))?;
            return Some(self.canonical(name, entry.get(&list.value).unwrap_or(&Value::Null)));
        }
        self.shown(record, name).map(|value| self.canonical(name, value))
    }

    /// The fields beyond the catalogue: single values beside its fields, and those of SCIM's extensions.
    fn read_custom(&self, record: &Value, attributes: &mut Attributes) {
        let Some(members) = record.as_object() else { return };
        for (name, value) in members {
            match value {
                Value::Object(inner) if self.paths == PathStyle::Scim && name.starts_with("urn:") => {
                    for (attribute, value) in inner {
                        self.set_custom(format!("{name}:{attribute}"), value, attributes);
                    }
                }
                Value::Array(elements) if self.paths == PathStyle::Scim && scim::WITH_ELEMENTS.contains(&&**name) => {
                    elements.iter().for_each(|element| self.read_element(name, element, attributes));
                }
                _ => self.set_custom(name.clone(), value, attributes),
            }
        }
    }

    /// The parts of an element of a type that the catalogue does not list, and of the primary one.
    fn read_element(&self, name: &str, element: &Value, attributes: &mut Attributes) {
        let Some(members) = element.as_object() else { return };
        let of_type = members.get("type").filter(|kind| kind.is_string()).map(|kind| format!("type eq {kind}"));
        let primary = members.get("primary") == Some(&Value::Bool(true));
        let filters = of_type.into_iter().chain(primary.then(|| "primary eq true".to_string()));
        for filter in filters {
            for (part, value) in members.iter().filter(|(part, _)| !matches!(part.as_str(), "type" | "primary")) {
                self.set_custom(format!("{name}[{filter}].{part}"), value, attributes);
            }
        }
    }

    fn set_custom(&self, name: String, value: &Value, attributes: &mut Attributes) {
        if self.catalogue.field(&name).is_none()
            && let Some(text) = text(value)
        {
            attributes.set(name, Value::String(text));
        }
    }

    /// The entries of a list by id, or the members of an object, as fields of their own.
    fn read_members(&self, head: &str, record: &Value, attributes: &mut Attributes) {
        let shown = record.pointer(&self.pointer(head));
        let entries: Vec<(String, &Value)> = match (self.lists.get(head), shown) {
            (Some(list), Some(Value::Array(items))) => items
                .iter()
                .filter_map(|item| Some((id_text(item.get(&list.id)?)?, item.get(&list.value).unwrap_or(&Value::Null))))
                .collect(),
            (None, Some(Value::Object(members))) => members.iter().map(|(k, v)| (k.clone(), v)).collect(),
            _ => Vec::new(),
        };
        for (id, value) in entries {
            let name = format!("{head}.{id}");
            // An object that is sent whole is sent as it came.
            let value = if self.whole(&name).is_some() { value.clone() } else { self.canonical(&name, value) };
            attributes.set(name, value);
        }
    }

    /// The object in an answer that describes the account: at the first of the definition's pointers where there is
    /// one with an id.
    pub(super) fn located<'b>(&self, body: &'b Value) -> Option<&'b Value> {
        self.account_at
            .iter()
            .filter_map(|pointer| at(body, pointer))
            .find(|value| value.is_object() && at(value, &self.id_at).and_then(id_text).is_some())
    }
}

/// The ids of a list of objects (or of bare ids), as sorted texts.
fn set_of_ids(member: &str, value: &Value) -> Option<Value> {
    if is_empty(value) {
        return Some(Value::Null);
    }
    let ids = value.as_array()?.iter().map(|item| id_text(item.get(member).unwrap_or(item)));
    let mut ids = ids.collect::<Option<Vec<String>>>()?;
    ids.sort();
    ids.dedup();
    Some(ids.into())
}

/// What stands under a pointer. Nearly all of a definition's name one member, which is found without a copy of its name.
pub(super) fn at<'v>(value: &'v Value, pointer: &str) -> Option<&'v Value> {
    match (pointer.strip_prefix('/'), value) {
        (Some(name), Value::Object(members)) if !name.bytes().any(|byte| matches!(byte, b'/' | b'~')) => {
            members.get(name)
        }
        _ => value.pointer(pointer),
    }
}

/// Puts a value under a pointer, making objects on the way; array indices are not meant and become names.
pub(super) fn put(body: &mut Value, pointer: &str, value: Value) {
    let mut place = body;
    for segment in pointer.split('/').skip(1) {
        place = match segment.contains('~') {
            true => member(place, &segment.replace("~1", "/").replace("~0", "~")),
            false => member(place, segment),
        };
    }
    *place = value;
}

/// The place of a member in what is made an object for it.
pub(super) fn member<'v>(place: &'v mut Value, name: &str) -> &'v mut Value {
    if !place.is_object() {
        *place = Value::Object(Map::new());
    }
    &mut place[name]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn values_are_read_in_every_spelling_that_targets_use() {
        use FieldType::*;
        let cases = [
            (Boolean, json!("True"), Some(json!(true))),
            (Boolean, json!(" false "), Some(json!(false))),
            (Boolean, json!(1), Some(json!(true))),
            (Boolean, json!("0"), Some(json!(false))),
            (Boolean, json!("maybe"), None),
            (Integer, json!("-25200"), Some(json!(-25200))),
            (Integer, json!("\u{2011}25200"), Some(json!(-25200))),
            (Integer, json!(7.0), Some(json!(7))),
            (Integer, json!("7.5"), None),
            (Integer, json!("99999999999999999999"), None),
            (Number, json!("7.5"), Some(json!(7.5))),
            (Number, json!("7"), Some(json!(7))),
            (Number, json!("NaN"), None),
            (Text, json!(125637), Some(json!("125637"))),
            (Text, json!("=1+1"), Some(json!("=1+1"))),
            (Text, json!(""), Some(json!(null))),
            (Text, json!(["a"]), None),
            (DateTime, json!("2022-11-03T21"), Some(json!("2022-11-03T21"))),
            (Set, json!([2, 1]), Some(json!([2, 1]))),
            (Set, json!([]), Some(json!(null))),
            (Object, json!("x"), None),
        ];
        for (kind, raw, expected) in cases {
            assert_eq!(typed(kind, &raw), expected, "{kind:?} {raw}");
        }
    }

    #[test]
    fn ids_are_text_whatever_their_type() {
        for (raw, expected) in [
            (json!(123), Some("123")),
            (json!("123"), Some("123")),
            (json!(u64::MAX), Some("18446744073709551615")),
            (json!(".."), None),
            (json!("  "), None),
            (json!("a\u{0}"), None),
            (json!("x".repeat(LONGEST_ID + 1)), None),
            (json!(null), None),
            (json!(true), None),
        ] {
            assert_eq!(id_text(&raw).as_deref(), expected, "{raw}");
        }
    }

    #[test]
    fn pointers_make_their_objects() {
        let mut body = Value::Null;
        put(&mut body, "/user/name/first", json!("Ann"));
        put(&mut body, "/user/a~1b", json!(1));
        assert_eq!(body, json!({"user": {"name": {"first": "Ann"}, "a/b": 1}}));
    }

    proptest! {
        #![proptest_config(crate::domain::properties::cases(256))]

        #[test]
        fn conversion_is_idempotent(text in ".{0,12}", number in any::<i64>()) {
            use FieldType::*;
            for kind in [Text, Integer, Number, Boolean, Date, DateTime, List, Set, Object] {
                for raw in [json!(text), json!(number), json!(number.to_string())] {
                    if let Some(once) = typed(kind, &raw) {
                        prop_assert_eq!(typed(kind, &once), Some(once));
                    }
                }
            }
        }
    }
}
