//! SCIM's own ways (RFC 7643, RFC 7644): attribute paths, how they read and write a resource, and the PatchOp that
//! changes it.
//!
//! A path is `[URN:]attribute[filter].sub`; of filters, the one that mappings need: `name eq value`, where the value is
//! a text in quotes, a number, true or false. An element of a multi-valued attribute that isn't there can't be replaced
//! (the standard has servers answer `noTarget`), so it is added with all its parts; one that loses its last value is
//! removed whole.
//!
//! Servers keep elements without a type, as plain texts, or one alone without a list. What has no type stands for
//! `type eq "work"` where nothing else does; reading and writing agree on that, so that nothing is written for ever or
//! twice.

use serde_json::{Map, Value, json};

use crate::value::is_empty;

/// The schema of every user.
const CORE: &str = "urn:ietf:params:scim:schemas:core:2.0:User";

/// The extension that the standard itself has for users.
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// Attributes with elements, whose types a server may add to (RFC 7643, section 4.1.2).
pub(super) const WITH_ELEMENTS: [&str; 8] =
    ["emails", "phoneNumbers", "ims", "photos", "addresses", "entitlements", "roles", "x509Certificates"];

/// What an element may have beside the value that it was made for.
const BESIDE_VALUE: [&str; 3] = ["type", "primary", "display"];

/// Whether a path that no catalogue lists may be there all the same: in an extension of the server's own, or in elements
/// of a type of its own. What stands outside extensions, and in the standard's, is settled by the standard.
pub(super) fn may_be_custom(name: &str) -> bool {
    ScimPath::parse(name).is_ok_and(|path| match path.urn.as_deref() {
        Some(urn) => !urn.eq_ignore_ascii_case(CORE) && !urn.eq_ignore_ascii_case(ENTERPRISE),
        None => path.filter.is_some() && path.sub.is_some() && WITH_ELEMENTS.contains(&path.attribute.as_str()),
    })
}

/// Why a text is no attribute path, and how it would be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoPath {
    /// What is wrong.
    pub message: String,
    /// The nearest path that can be used.
    pub help: Option<String>,
}

impl NoPath {
    fn new(message: impl Into<String>, nearest: Option<String>) -> NoPath {
        NoPath { message: message.into(), help: nearest.map(|path| format!("did you mean `{path}`?")) }
    }
}

/// `name eq value`.
#[derive(Clone, Debug, PartialEq)]
struct Filter {
    name: String,
    /// A text, a number, or whether.
    value: Value,
}

/// An attribute path.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ScimPath {
    urn: Option<String>,
    attribute: String,
    filter: Option<Filter>,
    sub: Option<String>,
}

impl ScimPath {
    /// Takes a path apart.
    ///
    /// # Errors
    /// It is none, or has a filter that can't be used.
    pub fn parse(text: &str) -> Result<ScimPath, NoPath> {
        let outside = text.find('[').unwrap_or(text.len());
        let (head, tail) = text.split_at(outside);
        let (urn, attribute) = match head.rfind(':') {
            Some(colon) => (Some(head[..colon].to_string()), &head[colon + 1..]),
            None => (None, head),
        };
        if urn.as_ref().is_some_and(|urn| !urn.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("urn:"))) {
            return Err(NoPath::new("a schema before an attribute is a URN", None));
        }
        let (attribute, filter, rest) = match tail.strip_prefix('[') {
            Some(tail) => {
                let (inner, rest) = until_bracket(tail)
                    .ok_or_else(|| NoPath::new("the bracket of its filter is not closed", Some(format!("{text}]"))))?;
                (attribute, Some(Filter::parse(inner, |filter| format!("{head}[{filter}]{rest}"))?), rest)
            }
            None => {
                let end = attribute.find('.').unwrap_or(attribute.len());
                (&attribute[..end], None, &attribute[end..])
            }
        };
        let sub = match rest {
            "" => None,
            rest => Some(rest.strip_prefix('.').ok_or_else(|| NoPath::new("what follows a filter is `.name`", None))?),
        };
        let named = [Some(attribute), sub, filter.as_ref().map(|filter| filter.name.as_str())];
        if let Some(wrong) = named.into_iter().flatten().find(|name| !is_name(name)) {
            let deep = sub.and_then(|sub| sub.split_once('.')).map(|(first, _)| first);
            let nearest = deep.map(|first| text[..text.len() - rest.len()].to_string() + "." + first);
            return Err(NoPath::new(format!("{wrong:?} is no name of an attribute"), nearest));
        }
        Ok(ScimPath { urn, attribute: attribute.to_string(), filter, sub: sub.map(str::to_string) })
    }

    /// The names in it, as the standard spells them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let filter = self.filter.as_ref().map(|filter| filter.name.as_str());
        [self.urn.as_deref(), Some(self.attribute.as_str()), filter, self.sub.as_deref()].into_iter().flatten()
    }

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

    /// Whether it leads into an element of a multi-valued attribute.
    pub fn has_filter(&self) -> bool {
        self.filter.is_some()
    }

    /// Whether it names an element and nothing in it.
    pub fn is_element(&self) -> bool {
        self.filter.is_some() && self.sub.is_none()
    }

    /// The path as RFC 7644 writes it.
    fn text(&self) -> String {
        let sub = self.sub.as_ref().map(|sub| format!(".{sub}"));
        format!("{}{}", self.whole(), sub.unwrap_or_default())
    }

    /// The path of the attribute or element that this is a part of.
    fn whole(&self) -> String {
        let filter = self.filter.as_ref().map(|filter| format!("[{}]", filter.text()));
        format!("{}{}", self.list(), filter.unwrap_or_default())
    }

    /// The path of the attribute, without filter.
    fn list(&self) -> String {
        let urn = self.urn.as_ref().map(|urn| format!("{urn}:")).unwrap_or_default();
        format!("{urn}{}", self.attribute)
    }
}

impl Filter {
    /// Takes apart what stands between the brackets; `whole` is the path with another filter in its place.
    fn parse(text: &str, whole: impl Fn(&str) -> String) -> Result<Filter, NoPath> {
        let mut words = text.trim().splitn(3, char::is_whitespace);
        let (name, operator, value) = (words.next().unwrap_or_default(), words.next(), words.next().map(str::trim));
        let (Some(operator), Some(value)) = (operator, value) else {
            let (name, value) = text.split_once('=').unwrap_or((name, "work"));
            let value = value.trim().trim_matches(['"', '=', '\'']);
            let nearest = whole(&format!("{} eq {}", name.trim(), json!(value)));
            return Err(NoPath::new("a filter is written `name eq value`", Some(nearest)));
        };
        let literal = serde_json::from_str::<Value>(value).ok();
        let plain = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
        let lower = value.to_ascii_lowercase();
        let meant = match literal.clone().filter(plain) {
            Some(literal) => literal,
            None if matches!(lower.as_str(), "true" | "false") => Value::Bool(lower == "true"),
            None => json!(value.split_whitespace().next().unwrap_or_default().trim_matches(['"', '\''])),
        };
        let nearest = || Some(whole(&format!("{name} eq {meant}")));
        if !operator.eq_ignore_ascii_case("eq") {
            return Err(NoPath::new(format!("a filter with {operator:?} can't be used, only one with eq"), nearest()));
        }
        match literal.filter(plain) {
            Some(value) => Ok(Filter { name: name.to_string(), value }),
            None => {
                let message = "what a filter compares with is one text in quotes, a number, true or false";
                Err(NoPath::new(message, nearest()))
            }
        }
    }

    fn text(&self) -> String {
        format!("{} eq {}", self.name, self.value)
    }

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

/// What stands before the bracket that closes a filter, and what follows it: one within quotes belongs to the text.
fn until_bracket(text: &str) -> Option<(&str, &str)> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ']' if !quoted => return Some((&text[..at], &text[at + 1..])),
            _ => {}
        }
    }
    None
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

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '$');
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$') && name.chars().all(plain)
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
    fn what_is_no_path_is_refused() {
        for wrong in ["", "a b", "emails[type]", "emails[type eq work].value", "emails[x", "a.b.c", "a:b", "1a", "a."] {
            assert!(ScimPath::parse(wrong).is_err(), "{wrong}");
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
        #![proptest_config(crate::properties::cases(256))]

        #[test]
        fn no_text_makes_parsing_panic(text in "[a-c:.\\[\\]\" eqé]{0,24}") {
            let _ = ScimPath::parse(&text);
        }
    }
}
