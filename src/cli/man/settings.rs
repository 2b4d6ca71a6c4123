//! The man page of the configuration, `rosterd.toml`(5): every key, from the JSON schema that editors use.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::config::schema;
use crate::manual::reader::blocks;
use crate::manual::roff::Roff;

/// A configuration that is whole.
const EXAMPLE: &str = include_str!("../../../config/rosterd.toml");

/// The parts of a configuration, in the order in which one would write them.
const ORDER: [&str; 6] = ["state", "sources", "targets", "syncs", "server", "notify"];

/// The kinds of value that several keys have: what they are called in the schema, and here.
const VALUES: [(&str, &str); 8] = [
    ("Duration", "duration"),
    ("Rate", "rate"),
    ("Size", "size"),
    ("Limit", "limit"),
    ("Secret", "secret"),
    ("SecretTable", "place of a secret"),
    ("OneOrMany", "text or list"),
    ("RawRule", "rule"),
];

/// The page.
pub fn page() -> String {
    let schema = schema::configuration();
    let mut roff = Roff::new("rosterd.toml", "5", "the configuration of rosterd");
    roff.section("DESCRIPTION");
    roff.blocks(&blocks(INTRODUCTION));
    let mut parts: Vec<_> = entries(&schema, "properties").collect();
    parts.sort_by_key(|(name, _)| ORDER.iter().position(|part| part == name));
    for (name, property) in parts {
        let is_by_name = property.get("additionalProperties").is_some_and(Value::is_object);
        let table = if is_by_name { &property["additionalProperties"] } else { property };
        let path = if is_by_name { format!("{name}.NAME") } else { name.clone() };
        roff.section(&name.to_uppercase());
        roff.sentence(description(property));
        Page { schema: &schema, roff: &mut roff }.table(&format!("[{path}]"), &path, resolved(&schema, table));
    }
    roff.section("VALUES");
    for (name, called) in VALUES {
        let value = &schema["$defs"][name];
        roff.entry(called, &[description(value).to_string()]);
    }
    Page { schema: &schema, roff: &mut roff }.table("A rule as a table", "", &schema["$defs"]["Rule"]);
    Page { schema: &schema, roff: &mut roff }.table("The place of a secret", "", &schema["$defs"]["SecretTable"]);
    Page { schema: &schema, roff: &mut roff }.table("A limit as a table", "", &schema["$defs"]["LimitTable"]);
    roff.section("EXAMPLE");
    roff.code(EXAMPLE);
    roff.section("SEE ALSO");
    roff.sentence("**rosterd**(1), **rosterd-check**(1), **rosterd-cel**(7); `rosterd targets show KIND` has the fields of a target.");
    roff.into_text()
}

/// What stands before the keys.
const INTRODUCTION: &str = "\
The configuration is TOML. It is looked for in the files given by `--config`, of which later ones win key by key, else in \
the one named by `ROSTERD_CONFIG`, else in `/etc/rosterd/rosterd.toml`. Relative paths are relative to the file in which \
they stand. Any key can be overridden by an environment variable: `ROSTERD_TARGETS__JUNO__RATE=5/s` is `rate` below \
`[targets.juno]`.

`rosterd check` judges it, and tells every mistake with file, line and remedy. A key that is not on this page is a \
mistake.

Each key is shown with what may be written. NAME is a name of your own: small letters, digits, `-` and `_`.
";

/// What is written with.
struct Page<'s, 'r> {
    schema: &'s Value,
    roff: &'r mut Roff,
}

impl<'s> Page<'s, '_> {
    /// A table: its keys, and below them the tables in it.
    fn table(&mut self, heading: &str, path: &str, table: &'s Value) {
        self.roff.subsection(heading);
        if !description(table).is_empty() {
            self.roff.sentence(description(table));
        }
        let mut below = Vec::new();
        for (key, property) in keys(table) {
            let inner = self.inner(property);
            let mut about = vec![format!("{}.", described(property, inner.unwrap_or(property)))];
            about.extend(self.particulars(table, key, property));
            self.roff.entry(&format!("{key} = {}", self.written(property)), &about);
            below.extend(inner.map(|inner| (format!("{path}.{key}"), property["type"] == "array", inner)));
        }
        for (path, is_list, inner) in below {
            let heading = if is_list { format!("[[{path}]]") } else { format!("[{path}]") };
            self.table(&heading, &path, inner);
        }
        self.options(path, table);
    }

    /// The options of each kind, where kinds have some.
    fn options(&mut self, path: &str, table: &'s Value) {
        for (kind, then) in kinds(table) {
            let options = &then["properties"]["options"];
            if entries(options, "properties").next().is_some() {
                self.table(&format!("[{path}.options] of kind {kind}"), path, options);
            }
        }
    }

    /// The table that a key is, or may be, where it is one with keys of its own that are told nowhere else.
    fn inner(&self, property: &'s Value) -> Option<&'s Value> {
        let is_value = reference(property).is_some_and(|name| VALUES.iter().any(|(value, _)| *value == name));
        let whole = resolved(self.schema, property.get("items").unwrap_or(property));
        let parts = whole["anyOf"].as_array().into_iter().flatten().map(|part| resolved(self.schema, part));
        let mut tables =
            std::iter::once(whole).chain(parts).filter(|table| entries(table, "properties").next().is_some());
        if is_value { None } else { tables.next() }
    }

    /// What may be written: a type, in words.
    fn written(&self, property: &Value) -> String {
        if let Some((_, called)) = reference(property).and_then(|name| VALUES.iter().find(|(value, _)| *value == name))
        {
            return (*called).to_string();
        }
        let value = resolved(self.schema, property);
        if let Some(allowed) = allowed(value) {
            return allowed.iter().map(|value| toml(value)).collect::<Vec<_>>().join(" | ");
        }
        if let Some(any) = value["anyOf"].as_array() {
            let any: BTreeSet<String> = any.iter().map(|one| self.written(one)).collect();
            return any.into_iter().collect::<Vec<_>>().join(" or ");
        }
        let types = value["type"].as_str().unwrap_or("any");
        match types {
            "string" => "text".into(),
            "integer" => format!("whole number{}", range(value)),
            "number" => format!("number{}", range(value)),
            "boolean" => "true | false".into(),
            "array" => format!("list of {}s", value.get("items").map_or("value".into(), |items| self.written(items))),
            "object" => match value.get("additionalProperties").filter(|p| p.is_object()) {
                Some(of) => format!("table of {}s", self.written(of)),
                None => "table".into(),
            },
            _ => "any value".into(),
        }
    }

    /// What else is to be known of a key: its values, its default, and the kinds that it belongs to.
    fn particulars(&self, table: &Value, key: &str, property: &Value) -> Vec<String> {
        let mut told = Vec::new();
        let value = resolved(self.schema, property);
        let values = value["oneOf"].as_array().into_iter().flatten();
        told.extend(
            values
                .filter(|value| value.get("const").is_some())
                .map(|value| format!("`{}`: {}", toml(&value["const"]), description(value))),
        );
        if let Some(default) = property.get("default").filter(|default| !default.is_null()) {
            told.push(format!("Default: `{}`", toml(default)));
        }
        let kinds: Vec<(&str, &Value)> = kinds(table).collect();
        let takes: Vec<&str> = kinds
            .iter()
            .filter(|(_, then)| then["properties"][key] != Value::Bool(false))
            .map(|(kind, _)| *kind)
            .collect();
        let needs = kinds.iter().filter(|(_, then)| is_required(then, key)).map(|(kind, _)| *kind).collect::<Vec<_>>();
        if is_required(table, key) {
            told.push("Required.".into());
        } else if !needs.is_empty() {
            told.push(format!("Required by kind {}.", needs.join(", ")));
        }
        if key != "kind" && takes.len() < kinds.len() {
            told.push(format!("For kind {}.", takes.join(", ")));
        }
        told
    }
}

/// The kinds of a table that has a `kind`, each with the rule that says what belongs to it: the first that is about
/// nothing else.
fn kinds(table: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let mut seen = BTreeSet::new();
    let rules = table["allOf"].as_array().into_iter().flatten().filter_map(|rule| {
        let conditions = rule["if"]["properties"].as_object()?;
        let kind = conditions.get("kind")?["const"].as_str()?;
        (conditions.len() == 1).then_some((kind, &rule["then"]))
    });
    rules.filter(move |(kind, _)| seen.insert(*kind))
}

/// The keys of a table, in the order in which one would write them: its kind, what is required, the others.
fn keys(table: &Value) -> Vec<(&String, &Value)> {
    let mut keys: Vec<_> = entries(table, "properties").collect();
    keys.sort_by_key(|(key, _)| (*key != "kind", !is_required(table, key)));
    keys
}

fn is_required(table: &Value, key: &str) -> bool {
    table["required"].as_array().is_some_and(|required| required.iter().any(|name| name == key))
}

/// The values that are allowed, where they are few.
fn allowed(value: &Value) -> Option<Vec<&Value>> {
    if let Some(values) = value["enum"].as_array() {
        const FEW: usize = 12;
        return (values.len() <= FEW).then(|| values.iter().collect());
    }
    let values = value["oneOf"].as_array()?;
    values.iter().map(|value| value.get("const")).collect()
}

fn range(value: &Value) -> String {
    match (value["minimum"].as_i64(), value["maximum"].as_i64()) {
        (Some(least), Some(most)) => format!(", {least} to {most}"),
        (Some(least), None) => format!(", at least {least}"),
        (None, Some(most)) => format!(", at most {most}"),
        (None, None) => String::new(),
    }
}

/// What is said of a key, without the dot at its end.
fn described<'v>(property: &'v Value, table: &'v Value) -> &'v str {
    let own = description(property);
    let told = if own.is_empty() { description(table) } else { own };
    told.trim_end_matches('.')
}

fn description(value: &Value) -> &str {
    value["description"].as_str().unwrap_or_default()
}

/// The name of the definition that is meant.
fn reference(value: &Value) -> Option<&str> {
    value["$ref"].as_str()?.strip_prefix("#/$defs/")
}

/// The definition that is meant, or the value itself.
fn resolved<'v>(schema: &'v Value, value: &'v Value) -> &'v Value {
    reference(value).map_or(value, |name| &schema["$defs"][name])
}

fn entries<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = (&'v String, &'v Value)> {
    value[key].as_object().into_iter().flat_map(Map::iter)
}

/// A value as TOML.
fn toml(value: &Value) -> String {
    match value {
        Value::Object(table) => {
            let entries = table.iter().map(|(key, value)| format!("{key} = {}", toml(value)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every key that a schema has, below its conditions too.
    fn all_keys(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) => {
                if let Some(properties) = object.get("properties").and_then(Value::as_object) {
                    found.extend(properties.iter().filter(|(_, value)| value.is_object()).map(|(key, _)| key.clone()));
                }
                object.values().for_each(|value| all_keys(value, found));
            }
            Value::Array(array) => array.iter().for_each(|value| all_keys(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_key_of_the_schema_is_told_with_its_default_and_its_values() {
        let schema = schema::configuration();
        let mut wanted = BTreeSet::new();
        all_keys(&schema, &mut wanted);
        let page = page();
        let is_told = |key: &String| {
            let escaped = key.replace('-', "\\-");
            page.contains(&format!("\\fB{escaped} = ")) || page.contains(&format!(".SH \"{}\"", key.to_uppercase()))
        };
        let missing: Vec<&String> = wanted.iter().filter(|key| !is_told(key)).collect();
        assert!(wanted.len() > 90 && missing.is_empty(), "{} keys, and not {missing:?}", wanted.len());
        for told in [
            ".SS \"[sources.NAME]\"",
            ".SS \"[targets.NAME.retry]\"",
            ".SS \"[syncs.NAME.limits]\"",
            "Default: \\fB{ count = 10, percent = 5 }\\fR",
            "\\fBon_leave = \"ban\" | \"delete\" | \"ignore\"\\fR",
            "\\fB\"ban\"\\fR: The account stays, deactivated.",
            "\\fBmax_connections = whole number, 1 to 10000\\fR",
            "Required by kind oauth2.",
            "For kind http.",
            "\\fBclient = whole number, 1 to 2147483647\\fR",
        ] {
            assert!(page.contains(told), "{told}\n{page}");
        }
        assert!(!page.contains('`') && !page.contains("**"), "{page}");
    }
}
