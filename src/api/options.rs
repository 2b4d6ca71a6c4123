//! The options that a target gives its definition: declared there, set in the configuration, put into paths.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::definition::{OptionDef, OptionType};
use super::load::{Mistakes, nearest};

/// The options' values as text, by name: what the target gives, else the default. Mistakes on either side are noted.
pub(super) fn resolve(
    declared: &BTreeMap<String, OptionDef>,
    given: &toml::Table,
    mistakes: &mut Mistakes,
) -> BTreeMap<String, String> {
    for name in given.keys().filter(|name| !declared.contains_key(*name)) {
        let help = nearest(name, declared.keys().map(String::as_str)).or(Some("this kind takes none".into()));
        mistakes.option(name, "unknown option", help);
    }
    let mut values = BTreeMap::new();
    for (name, option) in declared {
        if let Some(default) = &option.default
            && let Err(message) = admit(option, default)
        {
            mistakes.at(&["options", name, "default"], message, None);
        }
        // A stand-in for what is wrong or missing, so that one mistake is reported once.
        let default = option.default.as_ref().and_then(|default| admit(option, default).ok()).unwrap_or("1".into());
        let value = match given.get(name) {
            Some(value) => admit(option, value),
            None if option.default.is_some() => Ok(default.clone()),
            None if option.optional => continue,
            None => Err("is missing".into()),
        };
        let value = value.unwrap_or_else(|message| {
            mistakes.option(name, message, option.help.clone());
            default
        });
        values.insert(name.clone(), value);
    }
    values
}

/// The value's text, or why the option does not admit it.
fn admit(option: &OptionDef, value: &toml::Value) -> Result<String, String> {
    let text = match (option.kind, value) {
        (OptionType::Text, toml::Value::String(text)) if !text.is_empty() => text.clone(),
        (OptionType::Integer, toml::Value::Integer(number)) => {
            if let Some((least, most)) = option.range
                && !(least..=most).contains(number)
            {
                return Err(format!("{number} is not between {least} and {most}"));
            }
            number.to_string()
        }
        (OptionType::Boolean, toml::Value::Boolean(yes)) => yes.to_string(),
        (kind, value) => {
            let wanted = match kind {
                OptionType::Text => "text that is not empty",
                OptionType::Integer => "a whole number",
                OptionType::Boolean => "true or false",
            };
            return Err(format!("{value} is not {wanted}"));
        }
    };
    if !option.allowed.is_empty() && !option.allowed.contains(value) {
        let allowed: Vec<String> = option.allowed.iter().map(ToString::to_string).collect();
        return Err(format!("{value} is none of {}", allowed.join(", ")));
    }
    Ok(text)
}

/// What these options admit, as a JSON Schema.
pub(super) fn schema(declared: &BTreeMap<String, OptionDef>) -> Value {
    let required = |option: &OptionDef| option.default.is_none() && !option.optional;
    let properties: Map<String, Value> = declared.iter().map(|(name, option)| (name.clone(), one(option))).collect();
    let names: Vec<&String> = declared.iter().filter(|(_, option)| required(option)).map(|(name, _)| name).collect();
    json!({ "type": "object", "properties": properties, "required": names, "additionalProperties": false })
}

fn one(option: &OptionDef) -> Value {
    let json = |value: &toml::Value| serde_json::to_value(value).unwrap_or_default();
    let mut schema = match option.kind {
        OptionType::Text => json!({ "type": "string", "minLength": 1 }),
        OptionType::Integer => json!({ "type": "integer" }),
        OptionType::Boolean => json!({ "type": "boolean" }),
    };
    if let Some(help) = &option.help {
        schema["description"] = json!(help);
    }
    if let Some(default) = &option.default {
        schema["default"] = json(default);
    }
    if !option.allowed.is_empty() {
        schema["enum"] = option.allowed.iter().map(json).collect();
    }
    if let Some((least, most)) = option.range {
        schema["minimum"] = json!(least);
        schema["maximum"] = json!(most);
    }
    schema
}
