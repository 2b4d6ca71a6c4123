//! A SCIM user as the simulated server keeps it: the attributes that there are, and PATCH upon them (RFC 7644, 3.5.2).

use serde_json::{Map, Value, json};

/// The schemas of users.
pub(super) const CORE: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub(super) const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// An extension of this server's own.
pub(super) const OWN: &str = "urn:example:sandbox:2.0:User";

const SINGLE: [&str; 13] = [
    "externalId",
    "userName",
    "displayName",
    "nickName",
    "profileUrl",
    "title",
    "userType",
    "preferredLanguage",
    "locale",
    "timezone",
    "active",
    "password",
    "name",
];
const MULTIPLE: [&str; 7] = ["emails", "phoneNumbers", "ims", "photos", "addresses", "entitlements", "roles"];
const SERVERS_OWN: [&str; 3] = ["id", "meta", "groups"];
const NAMES: [&str; 6] = ["formatted", "familyName", "givenName", "middleName", "honorificPrefix", "honorificSuffix"];
const ENTERPRISE_NAMES: [&str; 6] =
    ["employeeNumber", "costCenter", "organization", "division", "department", "manager"];

/// A refusal: the `scimType`, and what is wrong.
pub(super) type Refusal = (&'static str, String);

/// Judges the attributes of a resource that was sent whole; what is the server's own is passed over.
pub(super) fn judged(body: &Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
    let wrong = |what: String| ("invalidValue", what);
    let schemas: Vec<&str> =
        body.get("schemas").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if !schemas.contains(&CORE) {
        return Err(("invalidSyntax", "schemas lacks the core schema".into()));
    }
    let mut kept = Map::new();
    for (name, value) in body {
        let name_ok = match name.as_str() {
            "schemas" => true,
            own if SERVERS_OWN.contains(&own) => continue,
            "name" => {
                value.as_object().is_some_and(|v| v.iter().all(|(k, v)| NAMES.contains(&k.as_str()) && v.is_string()))
            }
            "active" => value.is_boolean(),
            single if SINGLE.contains(&single) => value.is_string(),
            multiple if MULTIPLE.contains(&multiple) => {
                value.as_array().is_some_and(|items| items.iter().all(Value::is_object))
            }
            ENTERPRISE => {
                schemas.contains(&ENTERPRISE)
                    && value.as_object().is_some_and(|v| v.keys().all(|k| ENTERPRISE_NAMES.contains(&k.as_str())))
            }
            OWN => schemas.contains(&OWN) && value.is_object(),
            _ => return Err(("invalidSyntax", format!("there is no attribute {name}"))),
        };
        if !name_ok {
            return Err(wrong(format!("the value of {name} is not of its type")));
        }
        kept.insert(name.clone(), value.clone());
    }
    match body.get("userName").and_then(Value::as_str) {
        Some(name) if !name.trim().is_empty() => Ok(kept),
        _ => Err(wrong("userName is required".into())),
    }
}

/// Applies a PatchOp to a resource.
pub(super) fn patched(user: &Map<String, Value>, body: &Value) -> Result<Map<String, Value>, Refusal> {
    const SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
    let operations = body.get("Operations").and_then(Value::as_array).filter(|o| !o.is_empty());
    let is_patch = body.get("schemas").and_then(Value::as_array).is_some_and(|s| s.contains(&json!(SCHEMA)));
    let Some(operations) = operations.filter(|_| is_patch) else {
        return Err(("invalidSyntax", "the body is no PatchOp".into()));
    };
    let mut user = Value::Object(user.clone());
    for operation in operations {
        let op = operation["op"].as_str().unwrap_or_default().to_ascii_lowercase();
        let path = operation["path"].as_str().ok_or(("invalidPath", "the sandbox wants a path".to_string()))?;
        let path = Path::parse(path).ok_or(("invalidPath", format!("{path} is no path")))?;
        match (op.as_str(), operation.get("value")) {
            ("remove", None) => path.remove(&mut user),
            ("replace" | "add", Some(value)) if !value.is_null() => path.write(&mut user, value, op == "add")?,
            _ => return Err(("invalidSyntax", "op and value don't go together".into())),
        }
    }
    let schemas = [CORE, ENTERPRISE, OWN].into_iter().filter(|s| *s == CORE || user.get(s).is_some());
    user["schemas"] = schemas.collect();
    match user.as_object() {
        Some(object) => judged(object),
        None => Err(("invalidSyntax", "not an object".into())),
    }
}

/// A path: extension, attribute, `[name eq "value"]`, sub-attribute.
struct Path<'p> {
    urn: Option<&'p str>,
    attribute: &'p str,
    filter: Option<(&'p str, &'p str)>,
    sub: Option<&'p str>,
}

impl<'p> Path<'p> {
    fn parse(text: &'p str) -> Option<Path<'p>> {
        let (urn, rest) = match [ENTERPRISE, OWN].into_iter().find_map(|urn| Some((urn, text.strip_prefix(urn)?))) {
            Some((urn, rest)) => (Some(urn), rest.strip_prefix(':')?),
            None => (None, text),
        };
        let (attribute, filter, rest) = match rest.split_once('[') {
            Some((attribute, rest)) => {
                let (inner, rest) = rest.split_once("\"]")?;
                let (name, value) = inner.split_once(" eq \"")?;
                (attribute, Some((name, value)), rest)
            }
            None => rest
                .split_once('.')
                .map_or((rest, None, ""), |(attribute, _)| (attribute, None, &rest[attribute.len()..])),
        };
        let sub = rest.strip_prefix('.');
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric());
        (plain(attribute) && sub.is_none_or(plain) && (rest.is_empty() || sub.is_some())).then_some(Path {
            urn,
            attribute,
            filter,
            sub,
        })
    }

    fn holder<'v>(&self, user: &'v mut Value) -> &'v mut Value {
        match self.urn {
            Some(urn) => &mut user[urn],
            None => user,
        }
    }

    fn write(&self, user: &mut Value, value: &Value, add: bool) -> Result<(), Refusal> {
        let holder = self.holder(user);
        match (self.filter, self.sub) {
            (Some(filter), sub) => {
                let no_target = || ("noTarget", format!("nothing in {} fits the filter", self.attribute));
                let elements = holder[self.attribute].as_array_mut().ok_or_else(no_target)?;
                let element = elements.iter_mut().find(|e| fits(e, filter)).ok_or_else(no_target)?;
                match sub {
                    Some(sub) => element[sub] = value.clone(),
                    None => *element = value.clone(),
                }
            }
            (None, Some(sub)) => holder[self.attribute][sub] = value.clone(),
            (None, None) => match (holder.get_mut(self.attribute).filter(|_| add), value) {
                (Some(Value::Array(items)), Value::Array(more)) => items.extend(more.iter().cloned()),
                _ => holder[self.attribute] = value.clone(),
            },
        }
        Ok(())
    }

    fn remove(&self, user: &mut Value) {
        let holder = self.holder(user);
        match (self.filter, self.sub) {
            (Some(filter), Some(sub)) => {
                let elements = holder[self.attribute].as_array_mut().into_iter().flatten();
                elements.filter(|e| fits(e, filter)).filter_map(Value::as_object_mut).for_each(|element| {
                    element.remove(sub);
                });
            }
            (Some(filter), None) => {
                if let Some(elements) = holder[self.attribute].as_array_mut() {
                    elements.retain(|e| !fits(e, filter));
                }
            }
            (None, sub) => {
                let (holder, name) = match sub {
                    Some(sub) => (&mut holder[self.attribute], sub),
                    None => (holder, self.attribute),
                };
                holder.as_object_mut().map(|members| members.remove(name));
            }
        }
        // What is left without a value is not kept: an object or list of nothing.
        if let Some(members) = user.as_object_mut() {
            members.retain(|_, value| !value.is_null() && value.as_object().is_none_or(|m| !m.is_empty()));
        }
    }
}

fn fits(element: &Value, (name, value): (&str, &str)) -> bool {
    element[name].as_str().is_some_and(|held| held.eq_ignore_ascii_case(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> Map<String, Value> {
        let user = json!({"schemas": [CORE], "userName": "ann", "emails": [{"type": "work", "value": "a@x"}]});
        judged(user.as_object().expect("an object")).expect("a user")
    }

    fn patch(operations: Value) -> Result<Map<String, Value>, Refusal> {
        let schemas = ["urn:ietf:params:scim:api:messages:2.0:PatchOp"];
        patched(&user(), &json!({"schemas": schemas, "Operations": operations}))
    }

    #[test]
    fn what_a_filter_does_not_find_can_t_be_replaced() {
        let replace = |kind: &str| json!([{"op": "replace", "path": format!("emails[type eq \"{kind}\"].value"), "value": "b@x"}]);
        assert_eq!(patch(replace("work")).expect("it fits")["emails"][0]["value"], "b@x");
        assert_eq!(patch(replace("home")).expect_err("there is none").0, "noTarget");
    }

    #[test]
    fn extensions_bring_their_schema_and_unknown_attributes_are_refused() {
        let path = format!("{ENTERPRISE}:department");
        let patched = patch(json!([{"op": "replace", "path": path, "value": "Dev"}])).expect("it fits");
        assert_eq!(patched["schemas"], json!([CORE, ENTERPRISE]));
        assert!(patch(json!([{"op": "replace", "path": "shoeSize", "value": "44"}])).is_err());
        assert!(patch(json!([{"op": "remove", "path": "userName"}])).is_err());
    }
}
