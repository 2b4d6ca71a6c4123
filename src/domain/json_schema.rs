//! JSON Schemas of what people write, as the configuration and definitions of targets share them, and of what answers to
//! programs have in common.

use std::borrow::Cow;

use schemars::transform::transform_subschemas;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

/// Takes out what is Rust's and not TOML's: there is no null in a configuration, and no width of an integer.
pub fn without_null(schema: &mut Schema) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|t| t != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.retain(|choice| choice["type"] != "null");
        if let [only] = choices.as_slice()
            && let Some(only) = only.as_object().cloned()
        {
            schema.remove("anyOf");
            let own = schema.ensure_object();
            for (key, value) in only {
                own.entry(key).or_insert(value);
            }
        }
    }
    let width = |format: &Value| format.as_str().is_some_and(|f| f.starts_with("uint"));
    if schema.get("format").is_some_and(width) {
        schema.remove("format");
    }
    transform_subschemas(&mut without_null, schema);
}

/// A time as JSON has it ([`crate::domain::time::rfc3339`]), in a schema.
#[derive(Debug)]
pub struct Rfc3339;

impl JsonSchema for Rfc3339 {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}
