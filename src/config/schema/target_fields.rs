//! Names of target fields in a sync: its `map`, `match`, `label`, `release_on_ban`.
//!
//! A sync names its target, and a schema can't follow a name. What it can see is of which kinds the targets of a
//! configuration are: where each is of a built-in kind whose fields are known, no other field is right, whichever target
//! a sync means. One target of an own definition, or of a kind with fields of its administrators, and nothing is said.
//! What is said stands below `if` and `else` at the top, not in an `allOf`: editors that are built on taplo propose
//! nothing of a table that has one.

use serde_json::{Map, Value, json};

use crate::api::{Engine, KindFields};

/// Adds what is known of fields to the schema of a whole configuration.
pub(super) fn add(schema: &mut Value) {
    let known = Engine::builtin_kinds().iter().filter_map(|kind| Some((*kind, Engine::builtin_takes(kind)?.fields?)));
    let known: Vec<(&str, KindFields)> = known.collect();
    for (kind, fields) in &known {
        schema["$defs"][definition(kind, false)] = names(kind, fields, false);
        schema["$defs"][definition(kind, true)] = names(kind, fields, true);
    }
    let every: Vec<&str> = known.iter().map(|(kind, _)| *kind).collect();
    let cases = every.iter().map(|kind| vec![*kind]).chain([every.clone()]);
    let cases: Vec<Vec<&str>> = cases.collect();
    let chain = cases.iter().rev().fold(Map::new(), |otherwise, kinds| {
        let kind = json!({ "properties": { "kind": { "enum": kinds } }, "required": ["kind"] });
        let targets = json!({ "minProperties": 1, "additionalProperties": kind });
        let mut rule = Map::new();
        rule.insert("if".into(), json!({ "properties": { "targets": targets }, "required": ["targets"] }));
        rule.insert("then".into(), syncs(kinds));
        if !otherwise.is_empty() {
            rule.insert("else".into(), otherwise.into());
        }
        rule
    });
    for (key, value) in chain {
        schema[key] = value;
    }
}

/// The name under which the fields of a kind are defined; `mapped`: those that can be written.
fn definition(kind: &str, mapped: bool) -> String {
    format!("{} of {kind}", if mapped { "Mapped fields" } else { "Fields" }).replace(' ', "_")
}

/// What syncs may name when every target is of one of these kinds.
fn syncs(kinds: &[&str]) -> Value {
    let any = |mapped: bool| {
        let refer = |kind: &&str| json!({ "$ref": format!("#/$defs/{}", definition(kind, mapped)) });
        let mut all: Vec<Value> = kinds.iter().map(refer).collect();
        if all.len() == 1 { all.remove(0) } else { json!({ "anyOf": all }) }
    };
    let some = json!({ "items": any(false) });
    json!({ "properties": { "syncs": { "additionalProperties": { "properties": {
        "map": { "propertyNames": any(true) },
        "match": some,
        "label": some,
        "release_on_ban": some,
    } } } } })
}

/// The names of a kind's fields; `mapped`: those alone that can be written.
fn names(kind: &str, of: &KindFields, mapped: bool) -> Value {
    let (mut names, mut patterns): (Vec<&str>, Vec<String>) = (Vec::new(), Vec::new());
    for (name, _) in of.fields.iter().filter(|(_, writable)| *writable || !mapped) {
        match name.strip_suffix(".*") {
            Some(head) => {
                let last = if of.numbered.iter().any(|list| list == head) { "[+-]?[0-9]+" } else { ".+" };
                patterns.push(format!(r"^{}\.{last}$", regex::escape(head)));
            }
            None => names.push(name),
        }
    }
    if of.is_scim {
        // Attributes of extensions, and elements of lists by a filter.
        patterns.extend([r"^[uU][rR][nN]:.+$".to_owned(), r"^[^\[]+\[.+\]\..+$".to_owned()]);
    }
    let patterns = patterns.iter().map(|pattern| json!({ "pattern": pattern }));
    let any: Vec<Value> = std::iter::once(json!({ "enum": names })).chain(patterns).collect();
    let what = if mapped { "A field that can be mapped" } else { "A field" };
    json!({ "description": format!("{what} of targets of kind {kind}."), "anyOf": any })
}
