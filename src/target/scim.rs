//! SCIM's own ways (RFC 7643, RFC 7644): attribute paths, how they read and write a resource, and the PatchOp that
//! changes it.
//!
//! A path is `[URN:]attribute[filter].sub`; of filters, the one that mappings need: `name eq "value"`. An element of a
//! multi-valued attribute that isn't there can't be replaced (the standard has servers answer `noTarget`), so it is
//! added with all its parts; one that loses its last value is removed whole.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::value::is_empty;

/// The schema of every user.
const CORE: &str = "urn:ietf:params:scim:schemas:core:2.0:User";

/// The extension that the standard itself has for users.
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// Attributes with elements, whose types a server may add to (RFC 7643, section 4.1.2).
const WITH_ELEMENTS: [&str; 8] =
    ["emails", "phoneNumbers", "ims", "photos", "addresses", "entitlements", "roles", "x509Certificates"];

/// Whether a path that no catalogue lists may be there all the same: in an extension of the server's own, or in elements
/// of a type of its own. What stands outside extensions, and in the standard's, is settled by the standard.
pub(super) fn may_be_custom(name: &str) -> bool {
    ScimPath::parse(name).is_some_and(|path| match path.urn.as_deref() {
        Some(urn) => urn != CORE && urn != ENTERPRISE,
        None => path.filter.is_some() && WITH_ELEMENTS.contains(&path.attribute.as_str()),
    })
}

/// An attribute path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ScimPath {
    urn: Option<String>,
    attribute: String,
    /// The name and value of `[name eq "value"]`.
    filter: Option<(String, String)>,
    sub: Option<String>,
}

impl ScimPath {
    /// Takes a path apart; nothing when it is none.
    pub fn parse(text: &str) -> Option<ScimPath> {
        let outside = text.find('[').unwrap_or(text.len());
        let (urn, rest) = match text[..outside].rfind(':') {
            Some(colon) => (Some(text[..colon].to_string()), &text[colon + 1..]),
            None => (None, text),
        };
        if urn.as_ref().is_some_and(|urn| !urn.starts_with("urn:")) {
            return None;
        }
        let (attribute, filter, rest) = match rest.split_once('[') {
            Some((attribute, rest)) => {
                let (filter, rest) = rest.split_once(']')?;
                let (name, value) = filter.split_once(" eq ")?;
                let value: String = serde_json::from_str(value.trim()).ok()?;
                (attribute, Some((name.trim().to_string(), value)), rest)
            }
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                (&rest[..end], None, &rest[end..])
            }
        };
        let sub = match rest {
            "" => None,
            rest => Some(rest.strip_prefix('.')?),
        };
        let named = [Some(attribute), sub, filter.as_ref().map(|(name, _)| name.as_str())];
        if !named.into_iter().flatten().all(is_name) {
            return None;
        }
        Some(ScimPath { urn, attribute: attribute.to_string(), filter, sub: sub.map(str::to_string) })
    }

    /// The value there, if any.
    pub fn get<'r>(&self, resource: &'r Value) -> Option<&'r Value> {
        let holder = match &self.urn {
            Some(urn) if urn != CORE => resource.get(urn)?,
            _ => resource,
        };
        let mut value = holder.get(&self.attribute)?;
        if let Some(filter) = &self.filter {
            value = value.as_array()?.iter().find(|element| chosen(element, filter))?;
        }
        match &self.sub {
            Some(sub) => value.get(sub),
            None => Some(value),
        }
    }

    /// Puts a value there, making what is missing on the way; an empty one takes away what is there.
    pub fn set(&self, resource: &mut Value, value: Value) {
        let mut holder = resource;
        if let Some(urn) = self.urn.as_ref().filter(|urn| *urn != CORE) {
            holder = member(holder, urn);
        }
        let Some(filter) = &self.filter else {
            match &self.sub {
                None => put(holder, &self.attribute, value),
                Some(sub) => put(member(holder, &self.attribute), sub, value),
            }
            return;
        };
        let list = member(holder, &self.attribute);
        if !list.is_array() {
            *list = Value::Array(Vec::new());
        }
        let Some(elements) = list.as_array_mut() else { return };
        let found = elements.iter().position(|element| chosen(element, filter));
        let at = found.unwrap_or_else(|| {
            elements.push(element(filter));
            elements.len() - 1
        });
        if let Some(sub) = &self.sub {
            put(&mut elements[at], sub, value);
        }
        // With nothing left but what it was chosen by, the element says nothing.
        if elements[at].as_object().is_some_and(|members| members.keys().all(|name| *name == filter.0)) {
            elements.remove(at);
        }
    }

    /// The path of the attribute or element that this is a part of.
    fn whole(&self) -> String {
        let filter = self.filter.as_ref().map(|(name, value)| format!("[{name} eq {}]", json!(value)));
        format!("{}{}", self.list(), filter.unwrap_or_default())
    }

    /// The path of the attribute, without filter.
    fn list(&self) -> String {
        let urn = self.urn.as_ref().map(|urn| format!("{urn}:")).unwrap_or_default();
        format!("{urn}{}", self.attribute)
    }
}

/// The schemas of a resource: the core, and each extension that it has an object for.
pub(super) fn add_schemas(resource: &mut Value) {
    let extensions = resource.as_object().into_iter().flat_map(Map::keys).filter(|name| name.starts_with("urn:"));
    let schemas: Vec<Value> = std::iter::once(CORE).chain(extensions.map(String::as_str)).map(Value::from).collect();
    let mut known = resource.get("schemas").and_then(Value::as_array).cloned().unwrap_or_default();
    known.extend(schemas.into_iter().filter(|schema| !known.contains(schema)).collect::<Vec<_>>());
    put(resource, "schemas", Value::Array(known));
}

/// The PatchOp of these changes (path and new value), where `held` are the values known of the resource before them.
/// Nothing when a path is none.
pub(super) fn patch(changes: &[(&str, Value)], held: &BTreeMap<String, Value>) -> Option<Value> {
    let mut operations = Vec::new();
    let mut elements: BTreeMap<String, Vec<(ScimPath, &str, &Value)>> = BTreeMap::new();
    for (name, value) in changes {
        let path = ScimPath::parse(name)?;
        if path.filter.is_some() {
            elements.entry(path.whole()).or_default().push((path, name, value));
        } else if is_empty(value) {
            operations.push(json!({"op": "remove", "path": name}));
        } else {
            operations.push(json!({"op": "replace", "path": name, "value": value}));
        }
    }
    for (whole, changes) in &elements {
        element_operations(whole, changes, held, &mut operations);
    }
    Some(json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations}))
}

/// The operations on one element of a multi-valued attribute.
fn element_operations(
    whole: &str,
    changes: &[(ScimPath, &str, &Value)],
    held: &BTreeMap<String, Value>,
    operations: &mut Vec<Value>,
) {
    let parts = held.iter().filter(|(name, value)| {
        !is_empty(value) && ScimPath::parse(name).is_some_and(|p| p.filter.is_some() && p.whole() == whole)
    });
    let parts: Vec<&String> = parts.map(|(name, _)| name).collect();
    let Some((first, ..)) = changes.first() else { return };
    if parts.is_empty() {
        let Some(filter) = &first.filter else { return };
        let mut added = element(filter);
        for (path, _, value) in changes.iter().filter(|(_, _, value)| !is_empty(value)) {
            put(&mut added, path.sub.as_deref().unwrap_or("value"), (*value).clone());
        }
        if added.as_object().is_some_and(|members| members.len() > 1) {
            operations.push(json!({"op": "add", "path": first.list(), "value": [added]}));
        }
        return;
    }
    let emptied = |name: &str| changes.iter().any(|(_, changed, value)| *changed == name && is_empty(value));
    let filled = changes.iter().any(|(_, _, value)| !is_empty(value));
    if !filled && parts.iter().all(|name| emptied(name)) {
        operations.push(json!({"op": "remove", "path": whole}));
        return;
    }
    for (_, name, value) in changes {
        operations.push(match is_empty(value) {
            true => json!({"op": "remove", "path": name}),
            false => json!({"op": "replace", "path": name, "value": value}),
        });
    }
}

/// Whether an element is the one that a filter means. Values such as `work` are compared whatever their case.
fn chosen(element: &Value, (name, value): &(String, String)) -> bool {
    element.get(name).and_then(Value::as_str).is_some_and(|held| held.eq_ignore_ascii_case(value))
}

fn element((name, value): &(String, String)) -> Value {
    Value::Object([(name.clone(), json!(value))].into_iter().collect())
}

fn member<'v>(holder: &'v mut Value, name: &str) -> &'v mut Value {
    if !holder.is_object() {
        *holder = Value::Object(Map::new());
    }
    &mut holder[name]
}

fn put(holder: &mut Value, name: &str, value: Value) {
    if !is_empty(&value) {
        *member(holder, name) = value;
    } else if let Some(members) = holder.as_object_mut() {
        members.remove(name);
    }
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '$');
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$') && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WORK: &str = r#"emails[type eq "work"].value"#;
    const DEPARTMENT: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department";

    fn path(text: &str) -> ScimPath {
        ScimPath::parse(text).expect("a path")
    }

    #[test]
    fn paths_read_and_write_what_they_name() {
        let mut user = Value::Null;
        for (at, value) in [("userName", "ann"), ("name.givenName", "Ann"), (WORK, "a@x"), (DEPARTMENT, "Dev")] {
            path(at).set(&mut user, json!(value));
            assert_eq!(path(at).get(&user), Some(&json!(value)), "{at}");
        }
        assert_eq!(user["emails"], json!([{"type": "work", "value": "a@x"}]));
        let (urn, _) = DEPARTMENT.rsplit_once(':').expect("a URN");
        assert_eq!(user[urn], json!({"department": "Dev"}));
        add_schemas(&mut user);
        assert_eq!(user["schemas"], json!([CORE, urn]));
        path(WORK).set(&mut user, Value::Null);
        assert_eq!(user["emails"], json!([]));
        assert_eq!(path(WORK).get(&json!({"emails": [{"type": "Work", "value": "b"}]})), Some(&json!("b")));
        assert_eq!(path(&format!("{CORE}:title")).get(&json!({"title": "CEO"})), Some(&json!("CEO")));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for wrong in ["", "a b", "emails[type]", "emails[type eq work].value", "emails[x", "a.b.c", "a:b", "1a", "a."] {
            assert_eq!(ScimPath::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn custom_paths_are_told_from_mistakes() {
        for custom in ["urn:acme:2.0:User:badge", r#"emails[type eq "private"].value"#, r#"roles[type eq "a"].value"#] {
            assert!(may_be_custom(custom), "{custom}");
        }
        for wrong in
            ["titel", "name.giveName", "emails", "emails[type=work].value", "urn:acme", r#"mails[type eq "x"].value"#]
        {
            assert!(!may_be_custom(wrong), "{wrong}");
        }
        assert!(!may_be_custom(&format!("{ENTERPRISE}:departement")));
    }

    #[test]
    fn a_patch_replaces_removes_and_adds_what_is_not_there() {
        let street = r#"addresses[type eq "work"].streetAddress"#;
        let held = BTreeMap::from([("title".to_string(), json!("x")), (street.to_string(), json!("Road 1"))]);
        let changes =
            [("title", json!(null)), (WORK, json!("a@x")), (street, json!("Road 2")), (DEPARTMENT, json!("D"))];
        let patch = patch(&changes, &held).expect("paths");
        let expected = json!([
            {"op": "remove", "path": "title"},
            {"op": "replace", "path": DEPARTMENT, "value": "D"},
            {"op": "replace", "path": street, "value": "Road 2"},
            {"op": "add", "path": "emails", "value": [{"type": "work", "value": "a@x"}]},
        ]);
        assert_eq!(patch["Operations"], expected);
    }

    #[test]
    fn an_element_that_loses_its_last_value_is_removed_whole() {
        let held = BTreeMap::from([(WORK.to_string(), json!("a@x"))]);
        let patch = patch(&[(WORK, Value::Null)], &held).expect("a path");
        assert_eq!(patch["Operations"], json!([{"op": "remove", "path": r#"emails[type eq "work"]"#}]));
    }

    proptest! {
        #[test]
        fn no_text_makes_parsing_panic(text in "[a-c:.\\[\\]\" eqé]{0,24}") {
            let _ = ScimPath::parse(&text);
        }
    }
}
