//! A mapping against the target's catalogue: fields that don't exist or can't be written, constants that aren't
//! admitted, one thing mapped twice, and what a create needs.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate};
use serde_json::Value;

use super::super::diagnostic::{did_you_mean, nearest};
use super::super::locate::KeyPath;
use super::Report;
use crate::mapping::{FieldRule, ValueFrom};
use crate::target::{Catalogue, Field};
use crate::value::{FieldType, is_empty, same};

/// Judges the rules of one mapping. `judged` are fields about which something has been said already; they count as
/// mapped, and nothing more is said about them.
pub(super) fn judge(
    report: &mut Report<'_>,
    map: &KeyPath,
    rules: &[FieldRule],
    judged: &BTreeSet<String>,
    catalogue: &Catalogue,
) {
    let mut mapped: BTreeSet<&str> =
        rules.iter().map(|r| r.field.as_str()).chain(judged.iter().map(String::as_str)).collect();
    for rule in rules.iter().filter(|r| !judged.contains(&r.field)) {
        let at = map.join(&rule.field);
        match catalogue.field(&rule.field) {
            Some(field) => known(report, &at, rule, field, &mapped),
            None => unknown(report, &at, &rule.field, catalogue),
        }
    }
    // What was meant by a misspelt name is not also missing.
    let writable = || catalogue.fields.iter().filter(|(_, f)| f.writable.is_ok()).map(|(n, _)| n.as_str());
    let unknown = rules.iter().filter(|r| catalogue.field(&r.field).is_none());
    mapped.extend(unknown.filter_map(|r| nearest(&r.field, writable())));
    for (name, field) in &catalogue.fields {
        if field.required && field.writable.is_ok() && !has(&mapped, name, catalogue) {
            let help = format!("write {name} = \"COLUMN\"");
            report.error(map, format!("the target needs `{name}` to create somebody, and nothing maps it"), Some(help));
        }
    }
}

/// Whether a field is mapped under its own or another name.
fn has(mapped: &BTreeSet<&str>, name: &str, catalogue: &Catalogue) -> bool {
    mapped.iter().any(|m| *m == name || catalogue.field(m).and_then(|f| f.same_as.as_deref()) == Some(name))
        || catalogue.fields.get(name).and_then(|f| f.same_as.as_deref()).is_some_and(|other| mapped.contains(other))
}

fn unknown(report: &mut Report<'_>, at: &KeyPath, name: &str, catalogue: &Catalogue) {
    let writable = catalogue.fields.iter().filter(|(_, f)| f.writable.is_ok()).map(|(n, _)| n.as_str());
    if catalogue.open {
        let help =
            nearest(name, writable).map(|n| format!("did you mean `{n}`? If it is a field of your own, all is well"));
        report.warning(at, format!("`{name}` is not among the target's known fields"), help);
    } else {
        report.error(at, format!("the target has no field `{name}`"), did_you_mean(name, writable));
    }
}

fn known(report: &mut Report<'_>, at: &KeyPath, rule: &FieldRule, field: &Field, mapped: &BTreeSet<&str>) {
    let name = &rule.field;
    if let Err(why) = &field.writable {
        report.error(at, format!("`{name}` can't be written: {why}"), Some("take it out of the mapping".into()));
        return;
    }
    if let Some(other) = field.same_as.as_deref().filter(|other| mapped.contains(other)) {
        let message = format!("`{name}` and `{other}` are the same thing on the target, and both are mapped");
        report.error(at, message, Some("take one of them out".into()));
    }
    if let ValueFrom::Value(value) = &rule.from {
        constant(report, at, value, field);
    }
}

/// A constant must be of the field's type, and among the values that the target admits.
fn constant(report: &mut Report<'_>, at: &KeyPath, value: &Value, field: &Field) {
    if is_empty(value) {
        return;
    }
    if !fits(field.kind, value) {
        report.error(at, format!("{value} is not {}, which the target's field is", field.kind.name()), None);
        return;
    }
    if !field.allowed.is_empty() && !field.allowed.iter().any(|a| same(field.kind, a, value)) {
        let all: Vec<String> = field.allowed.iter().map(Value::to_string).collect();
        report.error(at, format!("the target does not admit {value}"), Some(format!("it admits {}", all.join(", "))));
    }
    if let (Some((low, high)), Some(number)) = (field.range, value.as_f64())
        && (number < low as f64 || number > high as f64)
    {
        report.error(at, format!("{value} is outside {low} to {high}"), None);
    }
}

fn fits(kind: FieldType, value: &Value) -> bool {
    let text = value.as_str();
    match kind {
        FieldType::Text => text.is_some(),
        FieldType::Integer => value.is_i64() || value.is_u64(),
        FieldType::Number => value.is_number(),
        FieldType::Boolean => value.is_boolean(),
        FieldType::Date => text.is_some_and(|t| NaiveDate::parse_from_str(t, "%Y-%m-%d").is_ok()),
        FieldType::DateTime => text.is_some_and(|t| DateTime::parse_from_rfc3339(t).is_ok()),
        FieldType::List | FieldType::Set => value.is_array(),
        FieldType::Object => value.is_object(),
    }
}
