//! SCIM's own ways (RFC 7643, RFC 7644): attribute paths, how they read and write a resource, and the PatchOp that
//! changes it.
//!
//! An element of a multi-valued attribute that isn't there can't be replaced
//! (the standard has servers answer `noTarget`), so it is added with all its parts; one that loses its last value is
//! removed whole.
//!
//! Servers keep elements without a type, as plain texts, or one alone without a list. What has no type stands for
//! `type eq "work"` where nothing else does; reading and writing agree on that, so that nothing is written for ever or
//! twice.

use serde_json::{Map, Value, json};

pub(super) use crate::domain::scim_path::{CORE, ENTERPRISE, Filter, ScimPath, WITH_ELEMENTS};
use crate::domain::value::is_empty;

/// What an element may have beside the value that it was made for.
const BESIDE_VALUE: [&str; 3] = ["type", "primary", "display"];

impl ScimPath {
    /// What is held of the attribute.
    fn held<'r>(&self, resource: &'r Value) -> Option<&'r Value> {
        let holder = match &self.urn {
            Some(urn) if urn != CORE => resource.get(urn)?,
            _ => resource,
        };
        holder.get(&self.attribute)
    }

    /// The value there, if any.
    pub fn get<'r>(&self, resource: &'r Value) -> Option<&'r Value> {
        let held = self.held(resource)?;
        match &self.filter {
            None => self.part(held),
            Some(filter) => {
                let elements = elements(held);
                self.part(&elements[filter.position(elements)?])
            }
        }
    }

    /// The value by which an account may be recognised where the path itself leads to none: that of the primary element
    /// of another type, else of the only one.
    pub fn recognising<'r>(&self, resource: &'r Value) -> Option<&'r Value> {
        let elements = elements(self.held(resource)?);
        let only = || elements.first().filter(|_| self.filter.is_some() && elements.len() == 1);
        let primary = || elements.iter().find(|element| is_primary(element)).filter(|_| self.filter.is_some());
        self.part(primary().or_else(only)?)
    }

    /// What an element, or the attribute, has of the path's last part. A plain text is its own value.
    fn part<'v>(&self, element: &'v Value) -> Option<&'v Value> {
        match &self.sub {
            Some(sub) if sub == "value" && self.filter.is_some() && is_plain(element) => Some(element),
            Some(sub) => element.get(sub),
            None => Some(element),
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
            *list = Value::Array(elements(list).to_vec());
        }
        let Some(elements) = list.as_array_mut() else { return };
        let at = filter.position(elements).unwrap_or_else(|| {
            elements.push(filter.element());
            elements.len() - 1
        });
        let element = &mut elements[at];
        if is_plain(element) {
            *element = json!({ "value": element.take() });
        }
        if !filter.chooses(element) {
            element[&filter.name] = filter.value.clone();
        }
        let emptied = is_empty(&value) && self.sub.as_deref() == Some("value");
        if let Some(sub) = &self.sub {
            put(element, sub, value);
        }
        // With nothing left but what it was chosen by, or what belonged to its value, the element says nothing.
        let idle = |name: &String| *name == filter.name || (emptied && BESIDE_VALUE.contains(&name.as_str()));
        if element.as_object().is_some_and(|members| members.keys().all(idle)) {
            elements.remove(at);
        }
    }

    /// Whether a resource has the path's element only by what stands in for it: a PatchOp's filter would not find it.
    pub fn stood_in(&self, resource: &Value) -> bool {
        let held = self.held(resource).map(elements).unwrap_or_default();
        let found = self.filter.as_ref().and_then(|filter| Some((filter, filter.position(held)?)));
        found.is_some_and(|(filter, at)| !filter.chooses(&held[at]))
    }
}

impl Filter {
    /// An element that has nothing but what it is chosen by.
    fn element(&self) -> Value {
        Value::Object([(self.name.clone(), self.value.clone())].into_iter().collect())
    }

    /// Whether an element is the one that is meant. Values such as `work` are compared whatever their case.
    fn chooses(&self, element: &Value) -> bool {
        match (&self.value, element.get(&self.name)) {
            (Value::Bool(wanted), held) => truth(held) == *wanted && element.is_object(),
            (Value::String(wanted), Some(Value::String(held))) => held.eq_ignore_ascii_case(wanted),
            (wanted, Some(held)) => wanted == held,
            (_, None) => false,
        }
    }

    /// Where the element is that is meant, or what stands in for it: of those without a type the primary one, else the
    /// only one, for `type eq "work"`; the only one of all for `primary eq true`.
    fn position(&self, elements: &[Value]) -> Option<usize> {
        if let Some(at) = elements.iter().position(|element| self.chooses(element)) {
            return Some(at);
        }
        let of_work = self.name == "type" && self.value.as_str().is_some_and(|t| t.eq_ignore_ascii_case("work"));
        let of_primary = self.name == "primary" && self.value == Value::Bool(true);
        let fits = |element: &Value| match element {
            Value::Object(members) => of_primary || members.get("type").is_none_or(is_empty),
            element => is_plain(element),
        };
        let mut untyped = (elements.iter().enumerate()).filter(|(_, e)| (of_work || of_primary) && fits(e));
        if of_work && let Some((at, _)) = untyped.clone().find(|(_, element)| is_primary(element)) {
            return Some(at);
        }
        let (at, _) = untyped.next()?;
        (untyped.next().is_none() && (of_work || elements.len() == 1)).then_some(at)
    }
}

/// The elements of a multi-valued attribute; one alone may come without its list.
fn elements(held: &Value) -> &[Value] {
    match held {
        Value::Array(elements) => elements,
        Value::Null => &[],
        one => std::slice::from_ref(one),
    }
}

/// Whether an element is its value itself.
fn is_plain(element: &Value) -> bool {
    matches!(element, Value::String(_) | Value::Number(_))
}

fn is_primary(element: &Value) -> bool {
    truth(element.get("primary"))
}

fn truth(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Bool(yes)) => *yes,
        Some(Value::String(text)) => text.trim().eq_ignore_ascii_case("true"),
        _ => false,
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

mod names;
mod patch;
pub(super) use names::Names;
pub(super) use patch::patch;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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
    fn a_patch_replaces_removes_and_adds_what_is_not_there() {
        let street = r#"addresses[type eq "work"].streetAddress"#;
        let held = BTreeMap::from([("title".to_string(), json!("x")), (street.to_string(), json!("Road 1"))]);
        let changes =
            [("title", json!(null)), (WORK, json!("a@x")), (street, json!("Road 2")), (DEPARTMENT, json!("D"))];
        let patch = patch(&changes, &held, None).expect("paths");
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
        let patch = patch(&[(WORK, Value::Null)], &held, None).expect("a path");
        assert_eq!(patch["Operations"], json!([{"op": "remove", "path": r#"emails[type eq "work"]"#}]));
    }

    #[test]
    fn what_has_no_type_stands_for_work_and_only_then() {
        for (emails, shown) in [
            (json!([{"value": "a@x"}]), "a@x"),
            (json!([{"value": "a@x", "primary": true}]), "a@x"),
            (json!([{"value": "b@x"}, {"value": "a@x", "primary": "True"}]), "a@x"),
            (json!([{"value": "b@x", "primary": true}, {"value": "a@x", "type": "WORK"}]), "a@x"),
            (json!([{"value": "h@x", "type": "home"}, {"value": "a@x", "type": ""}]), "a@x"),
            (json!(["a@x"]), "a@x"),
            (json!("a@x"), "a@x"),
            (json!({"value": "a@x"}), "a@x"),
            (json!({"value": "a@x", "type": "work"}), "a@x"),
            (json!([{"value": "a@x"}, {"value": "b@x"}]), ""),
            (json!([{"value": "a@x", "type": "home", "primary": true}]), ""),
            (json!([null, 7.5, []]), ""),
            (json!(null), ""),
        ] {
            let mut user = json!({"emails": emails});
            let value = path(WORK).get(&user).map(|value| value.as_str().map_or(value.to_string(), str::to_string));
            let shown = Some(shown).filter(|shown| !shown.is_empty());
            assert_eq!(value.as_deref().filter(|v| *v != "7.5"), shown, "{emails}");
            // What stood in is written, and no second one beside it.
            let before = elements(&user["emails"]).len();
            path(WORK).set(&mut user, json!("new@x"));
            assert_eq!(path(WORK).get(&user), Some(&json!("new@x")), "{emails}");
            let added = user["emails"].as_array().map_or(0, Vec::len) - before;
            assert_eq!(added, usize::from(value.is_none()), "{emails}: {user}");
        }
        let sole = json!({"phoneNumbers": [{"value": "5"}]});
        assert_eq!(path(r#"phoneNumbers[type eq "mobile"].value"#).get(&sole), None, "it can't be every type");
    }

    #[test]
    fn an_account_is_recognised_by_its_primary_or_only_element_whatever_its_type() {
        for (emails, shown) in [
            (json!([{"value": "a@x", "type": "home"}]), Some("a@x")),
            (
                json!([{"value": "b@x", "type": "other"}, {"value": "a@x", "type": "home", "primary": true}]),
                Some("a@x"),
            ),
            (json!([{"value": "b@x", "type": "other"}, {"value": "a@x", "type": "home"}]), None),
        ] {
            let user = json!({"emails": emails});
            assert_eq!(path(WORK).recognising(&user).and_then(Value::as_str), shown, "{emails}");
        }
    }

    #[test]
    fn filters_with_true_false_and_numbers_are_filters() {
        let primary = path("emails[primary eq true].value");
        assert_eq!(
            primary.get(&json!({"emails": [{"value": "b"}, {"value": "a", "primary": true}]})),
            Some(&json!("a"))
        );
        assert_eq!(primary.get(&json!({"emails": [{"value": "a"}]})), Some(&json!("a")), "the only one");
        let mut user = Value::Null;
        primary.set(&mut user, json!("a@x"));
        assert_eq!(user, json!({"emails": [{"primary": true, "value": "a@x"}]}));
        let held = BTreeMap::from([("emails[primary eq true].value".to_string(), json!("a@x"))]);
        let changed = patch(&[("emails[primary eq true].value", json!("b@x"))], &held, None).expect("a path");
        assert_eq!(changed["Operations"][0]["path"], "emails[primary eq true].value");
        let added = patch(&[("emails[primary eq true].value", json!("b@x"))], &BTreeMap::new(), None).expect("a path");
        assert_eq!(added["Operations"][0]["value"], json!([{"primary": true, "value": "b@x"}]));
        let rank = path("roles[rank EQ 2].value");
        assert_eq!(
            rank.get(&json!({"roles": [{"rank": 1, "value": "x"}, {"rank": 2, "value": "y"}]})),
            Some(&json!("y"))
        );
        assert_eq!(rank.text(), "roles[rank eq 2].value");
        assert_eq!(path(r#"roles[type eq "a]b"].value"#).text(), r#"roles[type eq "a]b"].value"#);
    }

    #[test]
    fn what_is_no_path_names_the_nearest_that_is() {
        for (wrong, nearest) in [
            ("emails[type eq work].value", r#"emails[type eq "work"].value"#),
            ("emails[type=work].value", r#"emails[type eq "work"].value"#),
            (r#"emails[type co "work"].value"#, r#"emails[type eq "work"].value"#),
            (r#"emails[type ne "work"].value"#, r#"emails[type eq "work"].value"#),
            ("emails[primary eq True].value", "emails[primary eq true].value"),
            (r#"emails[type eq "work" and primary eq true].value"#, r#"emails[type eq "work"].value"#),
            ("emails[type eq 'work'].value", r#"emails[type eq "work"].value"#),
            ("name.givenName.x", "name.givenName"),
        ] {
            let told = ScimPath::parse(wrong).expect_err(wrong);
            assert_eq!(told.help, Some(format!("did you mean `{nearest}`?")), "{wrong}: {}", told.message);
            assert!(ScimPath::parse(nearest).is_ok());
        }
    }

    #[test]
    fn a_list_in_which_something_stands_in_is_replaced_whole() {
        let held = BTreeMap::from([(WORK.to_string(), json!("a@x"))]);
        let home = json!({"value": "h@x", "type": "home"});
        for (emails, after) in [
            (
                json!([{"value": "a@x", "primary": true}, home]),
                json!([{"value": "b@x", "primary": true, "type": "work"}, home]),
            ),
            (json!(["a@x"]), json!([{"value": "b@x", "type": "work"}])),
        ] {
            let current = json!({"emails": emails});
            let patch = patch(&[(WORK, json!("b@x"))], &held, Some(&current)).expect("a path");
            assert_eq!(patch["Operations"], json!([{"op": "replace", "path": "emails", "value": after}]));
        }
        let typed = json!({"emails": [{"value": "a@x", "type": "work"}]});
        let patch = patch(&[(WORK, json!("b@x"))], &held, Some(&typed)).expect("a path");
        assert_eq!(patch["Operations"], json!([{"op": "replace", "path": WORK, "value": "b@x"}]));
    }

    #[test]
    fn names_are_spelled_as_the_definition_does() {
        let names =
            Names::new([WORK, "userName", DEPARTMENT].into_iter(), ["/id", "/Resources", "/totalResults"].into_iter());
        let mut body = json!({"resources": [{"ID": 1, "UserName": "a", "Emails": [{"Type": "work", "VALUE": "a@x"}],
            "userName": "b", ENTERPRISE.to_uppercase(): {"Department": "D"}}], "TotalResults": 1});
        names.spell(&mut body);
        let user = json!({"id": 1, "userName": "b", "UserName": "a", "emails": [{"type": "work", "value": "a@x"}],
            ENTERPRISE: {"department": "D"}});
        assert_eq!(body, json!({"Resources": [user], "totalResults": 1}));
    }

    proptest! {
        #![proptest_config(crate::domain::properties::cases(256))]

        #[test]
        fn no_text_makes_parsing_panic(text in "[a-c:.\\[\\]\" eqé]{0,24}") {
            let _ = ScimPath::parse(&text);
        }
    }
}
