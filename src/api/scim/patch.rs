//! The PatchOp that changes a resource (RFC 7644, section 3.5.2).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{ScimPath, put};
use crate::domain::value::is_empty;

/// The PatchOp of these changes (path and new value), where `held` are the values known of the resource before them, and
/// `current` is the resource itself where it was read.
///
/// # Errors
/// The name that is no path.
pub(in crate::api) fn patch(
    changes: &[(&str, Value)],
    held: &BTreeMap<String, Value>,
    current: Option<&Value>,
) -> Result<Value, String> {
    let mut operations = Vec::new();
    let mut elements: BTreeMap<String, Vec<(ScimPath, &Value)>> = BTreeMap::new();
    for (name, value) in changes {
        let path = ScimPath::parse(name).map_err(|_| (*name).to_string())?;
        if path.filter.is_some() {
            elements.entry(path.whole()).or_default().push((path, value));
        } else if is_empty(value) {
            operations.push(json!({"op": "remove", "path": path.text()}));
        } else {
            operations.push(json!({"op": "replace", "path": path.text(), "value": value}));
        }
    }
    // Lists in which something stands in for an element that is meant are replaced whole: a filter would find nothing.
    let mut lists: BTreeMap<String, Value> = BTreeMap::new();
    for (whole, changes) in &elements {
        let Some((first, _)) = changes.first() else { continue };
        match current.filter(|current| lists.contains_key(&first.list()) || first.stood_in(current)) {
            None => element_operations(whole, changes, held, &mut operations),
            Some(current) => {
                let list = lists.entry(first.list()).or_insert_with(|| current.clone());
                changes.iter().for_each(|(path, value)| path.set(list, (*value).clone()));
            }
        }
    }
    for (list, resource) in lists {
        let value = ScimPath::parse(&list).ok().and_then(|path| path.held(&resource).cloned());
        operations.push(json!({"op": "replace", "path": list, "value": value.unwrap_or(json!([]))}));
    }
    Ok(json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations}))
}

/// The operations on one element of a multi-valued attribute.
fn element_operations(
    whole: &str,
    changes: &[(ScimPath, &Value)],
    held: &BTreeMap<String, Value>,
    operations: &mut Vec<Value>,
) {
    let part = |name: &String| ScimPath::parse(name).ok().filter(|p| p.filter.is_some() && p.whole() == whole);
    let parts = held.iter().filter(|(_, value)| !is_empty(value));
    let parts: Vec<ScimPath> = parts.filter_map(|(name, _)| part(name)).collect();
    let Some((first, _)) = changes.first() else { return };
    if parts.is_empty() {
        let Some(filter) = &first.filter else { return };
        let mut added = filter.element();
        for (path, value) in changes.iter().filter(|(_, value)| !is_empty(value)) {
            put(&mut added, path.sub.as_deref().unwrap_or("value"), (*value).clone());
        }
        if added.as_object().is_some_and(|members| members.len() > 1) {
            operations.push(json!({"op": "add", "path": first.list(), "value": [added]}));
        }
        return;
    }
    let emptied = |part: &ScimPath| changes.iter().any(|(changed, value)| changed == part && is_empty(value));
    let filled = changes.iter().any(|(_, value)| !is_empty(value));
    if !filled && parts.iter().all(emptied) {
        operations.push(json!({"op": "remove", "path": whole}));
        return;
    }
    for (path, value) in changes {
        operations.push(match is_empty(value) {
            true => json!({"op": "remove", "path": path.text()}),
            false => json!({"op": "replace", "path": path.text(), "value": value}),
        });
    }
}
