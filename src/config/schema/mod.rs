//! The JSON Schema of the configuration (draft 2020-12), for editors and for scripts that write configurations.
//!
//! It is made from the types that the configuration is read with ([`super::raw`]), and from the tables by which
//! [`super::resolve`] judges what belongs to which kind, so that it can't say anything else than the program does. What
//! a kind of target takes comes from its definition. A schema can't know everything that `rosterd check` does: columns,
//! expressions and references are judged there alone, and fields where a target is not of a built-in kind.

use crate::domain::json_schema::without_null;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

mod target_fields;

use super::raw::{Raw, RawKind, RawTrust};
use super::resolve::{auth, source, target};
use crate::api::Engine;

/// Addresses of http and https. Parsers of addresses take much for one (`https:host`); what they take is in it.
pub(super) const ADDRESS: &str = r"^\s*[hH][tT][tT][pP][sS]?:.";

/// The names of time zones.
pub(super) fn time_zones() -> Vec<&'static str> {
    chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()).collect()
}

/// The schema of a whole configuration.
pub fn configuration() -> Value {
    let generator = SchemaSettings::draft2020_12().with_transform(without_null).into_generator();
    let mut schema = generator.into_root_schema_for::<Raw>().to_value();
    target_fields::add(&mut schema);
    schema
}

/// The kinds of source.
pub(super) fn source_kinds() -> Vec<&'static str> {
    source::KINDS.iter().map(|kind| kind.name).collect()
}

/// The kinds of target: those whose definition is built in, and the operator's own.
pub(super) fn target_kinds() -> Vec<&'static str> {
    Engine::builtin_kinds().iter().copied().chain([target::OWN]).collect()
}

/// The kinds of auth.
pub(super) fn auth_kinds() -> Vec<&'static str> {
    auth::KINDS.iter().map(|(kind, _)| *kind).collect()
}

/// The kinds of paging.
pub(super) fn pagination_kinds() -> Vec<&'static str> {
    source::PAGINATION.iter().map(|(kind, _, _)| *kind).collect()
}

/// A table that must be there and must not be empty.
pub(super) fn not_empty(schema: &mut Schema) {
    schema.remove("default");
    schema.insert("minProperties".into(), 1.into());
}

/// A source of any kind: every key, and what belongs to which kind.
pub(super) fn of_source(generator: &mut SchemaGenerator) -> Schema {
    let mut parts = vec![RawKind::json_schema(generator), RawTrust::json_schema(generator)];
    parts.extend(source::KINDS.iter().map(|kind| (kind.schema)(generator)));
    parts.extend(source::FORMATS.iter().map(|format| (format.schema)(generator)));
    let properties: Map<String, Value> = parts
        .iter()
        .filter_map(|part| part.get("properties")?.as_object())
        .flat_map(|of_part| of_part.iter().map(|(key, property)| (key.clone(), property.clone())))
        .collect();
    let mut schema = json_schema!({
        "description": "A source: a file, an HTTP API, or a union of other sources.",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "required": ["kind"],
    });
    by_kind_of_source(&mut schema);
    schema
}

/// What belongs to which kind of source.
fn by_kind_of_source(schema: &mut Schema) {
    let keys = keys(schema);
    let foreign = |kind: &'static str, csv: bool| keys.iter().filter(move |key| !source::belongs(kind, key, csv));
    let rule = |kind: &source::KindOfSource| {
        when(&[("kind", json!({ "const": kind.name }))], kind.must, foreign(kind.name, true))
    };
    let mut rules: Vec<Value> = source::KINDS.iter().map(rule).collect();
    // What is said of a text is for text, and a pointer is for JSON, which answers are unless it is said.
    for kind in source::KINDS.iter().filter(|kind| kind.formats.len() > 1).map(|kind| kind.name) {
        let is = ("kind", json!({ "const": kind }));
        let text_alone: Vec<&String> = foreign(kind, false).filter(|key| source::belongs(kind, key, true)).collect();
        rules.push(json!({
            "if": { "properties": { "kind": is.1, "format": { "not": { "const": "csv" } } }, "required": ["kind"] },
            "then": { "properties": forbidden(text_alone) },
        }));
        let (records, success) = ("records".to_owned(), "success".to_owned());
        let mut pointers = when(&[is, ("format", json!({ "not": { "const": "json" } }))], &[], [&records, &success]);
        pointers["then"]["properties"]["total"] = json!({ "type": "object" });
        rules.push(pointers);
    }
    // A file has no headers.
    rules.push(json!({
        "if": { "properties": { "kind": { "const": "file" } }, "required": ["kind"] },
        "then": { "properties": { "total": { "type": "string" } } },
    }));
    schema.insert("allOf".into(), rules.into());
}

/// What belongs to which kind of paging.
pub(super) fn by_kind_of_pagination(schema: &mut Schema) {
    let keys = keys(schema);
    let rules = source::PAGINATION.iter().map(|(kind, must, may)| {
        let foreign = keys.iter().filter(|key| !must.contains(&key.as_str()) && !may.contains(&key.as_str()));
        when(&[("kind", json!({ "const": kind }))], must, foreign.filter(|key| *key != "kind"))
    });
    schema.insert("allOf".into(), rules.collect());
    schema.insert("dependentRequired".into(), json!({ "size": ["size_param"], "size_param": ["size"] }));
}

/// What belongs to which kind of auth.
pub(super) fn by_kind_of_auth(schema: &mut Schema) {
    let keys = keys(schema);
    let rules = auth::KINDS.iter().map(|(kind, takes)| {
        let required: Vec<&str> = takes.iter().copied().filter(|key| *key != "scope").collect();
        let foreign = keys.iter().filter(|key| *key != "kind" && !takes.contains(&key.as_str()));
        when(&[("kind", json!({ "const": kind }))], &required, foreign)
    });
    schema.insert("allOf".into(), rules.collect());
}

/// A source takes fewer kinds of auth than there are.
pub(super) fn auth_of_a_source(schema: &mut Schema) {
    schema.insert("properties".into(), json!({ "kind": { "enum": source::AUTH_KINDS } }));
}

/// What belongs to which kind of target: how to log in, and its options.
pub(super) fn by_kind_of_target(schema: &mut Schema) {
    let definition = "definition".to_owned();
    let mut rules: Vec<Value> =
        vec![when(&[("kind", json!({ "const": target::OWN }))], &["definition"], std::iter::empty())];
    for kind in Engine::builtin_kinds() {
        let Some(takes) = Engine::builtin_takes(kind) else { continue };
        let mut rule = when(&[("kind", json!({ "const": kind }))], &[], [&definition]);
        rule["then"]["properties"]["auth"] = json!({ "properties": { "kind": { "enum": takes.auth_kinds } } });
        if takes.options["required"].as_array().is_some_and(|required| !required.is_empty()) {
            rule["then"]["required"] = json!(["options"]);
        }
        rule["then"]["properties"]["options"] = takes.options;
        rules.push(rule);
    }
    schema.insert("allOf".into(), rules.into());
}

/// Where these properties are so: these keys must be there, those must not.
fn when<'k>(conditions: &[(&str, Value)], required: &[&str], foreign: impl IntoIterator<Item = &'k String>) -> Value {
    let named: Vec<&str> = conditions.iter().map(|(key, _)| *key).collect();
    let properties: Map<String, Value> = conditions.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    let mut then = Map::new();
    if !required.is_empty() {
        then.insert("required".into(), json!(required));
    }
    then.insert("properties".into(), forbidden(foreign));
    json!({ "if": { "properties": properties, "required": named }, "then": then })
}

/// Properties that must not be there.
fn forbidden<'k>(keys: impl IntoIterator<Item = &'k String>) -> Value {
    keys.into_iter().map(|key| (key.clone(), Value::Bool(false))).collect::<Map<_, _>>().into()
}

/// The keys that a table takes.
fn keys(schema: &Schema) -> Vec<String> {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.map(|p| p.keys().cloned().collect()).unwrap_or_default()
}

/// A schema, ready to judge values.
#[cfg(test)]
pub(crate) struct Judge {
    schemas: boon::Schemas,
    compiled: boon::SchemaIndex,
}

#[cfg(test)]
impl Judge {
    pub fn new(schema: &Value) -> Judge {
        let (mut compiler, mut schemas) = (boon::Compiler::new(), boon::Schemas::new());
        compiler.add_resource("schema.json", schema.clone()).expect("a schema");
        let compiled = compiler.compile("schema.json", &mut schemas).expect("a schema that holds");
        Judge { schemas, compiled }
    }

    /// What the schema has against a value; `None` when it is valid.
    pub fn complaint(&self, value: &Value) -> Option<String> {
        self.schemas.validate(value, self.compiled).err().map(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests;
