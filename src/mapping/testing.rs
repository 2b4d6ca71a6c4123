//! Mapping tests: a record and what must come of it, written in the configuration and run by `rosterd test`.
//!
//! What a test contains was made up by the person who wrote it, so differences show values.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Desired, Mapped, Mapping};
use crate::domain::local_time::LocalTime;
use crate::domain::nearest::nearest;
use crate::domain::operation::shown;
use crate::domain::record::{Columns, Key};
use crate::domain::value;

/// `[[syncs.NAME.tests]]`.
#[derive(Clone, Debug)]
pub struct TestSettings {
    /// What it shows.
    pub name: String,
    /// A source record by column; absent columns are empty.
    pub record: BTreeMap<String, Value>,
    /// What must come of it.
    pub expect: Expectation,
}

/// What a mapping test expects.
#[derive(Clone, Debug)]
pub enum Expectation {
    /// These fields have these values (others may have any).
    Fields(BTreeMap<String, Value>),
    /// The record is out of scope.
    Excluded,
    /// The record is rejected, with this in the reason.
    Rejected(String),
}

/// Runs one test; `key` is the column that names a person, which a mapping sees in its normal form.
///
/// # Errors
/// How the result differs from what was expected: a line a field, expected above actual.
pub fn run(mapping: &Mapping, key: &str, test: &TestSettings, time: LocalTime) -> Result<(), String> {
    let columns = mapping.columns();
    // Absent columns are empty.
    let empty = || Value::String(String::new());
    let cell = |name: &String| match test.record.get(name) {
        Some(Value::String(text)) if name == key => Key::parse(text).map_or_else(empty, |key| key.as_str().into()),
        cell => cell.cloned().unwrap_or_else(empty),
    };
    let cells: Vec<Value> = columns.iter().map(cell).collect();
    let bound = mapping
        .bind(&Columns::new(columns.iter().cloned()))
        .map_err(|missing| format!("columns are missing: {}", missing.join(", ")))?;
    compare(mapping, &test.expect, bound.apply(&cells, time)).map_err(|difference| difference + &unused(mapping, test))
}

fn compare(mapping: &Mapping, expected: &Expectation, mapped: Mapped) -> Result<(), String> {
    match (expected, mapped) {
        (Expectation::Fields(fields), Mapped::InScope(desired)) => {
            let differences: Vec<String> =
                fields.iter().filter_map(|(field, value)| difference(mapping, field, value, &desired)).collect();
            if differences.is_empty() { Ok(()) } else { Err(differences.join("\n")) }
        }
        (Expectation::Excluded, Mapped::Excluded) => Ok(()),
        (Expectation::Rejected(part), Mapped::Rejected(reason)) if reason.contains(part.as_str()) => Ok(()),
        (Expectation::Rejected(part), Mapped::Rejected(reason)) => {
            Err(format!("it was rejected, but the reason does not contain “{part}”: {reason}"))
        }
        (Expectation::Fields(_), Mapped::Excluded) => Err("include excludes the record".into()),
        (_, Mapped::Rejected(reason)) => Err(format!("the record is rejected: {reason}")),
        (Expectation::Excluded, Mapped::InScope(_)) => Err("the record is in scope, not excluded".into()),
        (Expectation::Rejected(_), Mapped::InScope(_)) => Err("the record is in scope, not rejected".into()),
        (Expectation::Rejected(_), Mapped::Excluded) => Err("the record is excluded, not rejected".into()),
    }
}

/// How a field differs from what was expected of it.
fn difference(mapping: &Mapping, field: &str, expected: &Value, desired: &Desired) -> Option<String> {
    if !mapping.rules().iter().any(|rule| rule.field == field) {
        let near = nearest(field, mapping.rules().iter().map(|rule| rule.field.as_str()));
        let hint = near.map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default();
        return Some(format!("nothing maps {field}{hint}"));
    }
    let actual = desired.fields.get(field).map_or(&Value::Null, |f| &f.value);
    if value::same(mapping.kind(field), expected, actual) {
        return None;
    }
    let (expected, actual) = (shown(expected), shown(actual));
    let apart = " ".repeat(common(&expected, &actual));
    let wide = field.chars().count();
    Some(format!(
        "{field}: expected {expected}\n{:wide$}       but is {actual}\n{:wide$}              {apart}^ from here on",
        "", ""
    ))
}

/// How many characters two values have in common at their beginning.
fn common(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count()
}

/// A remark about columns of the test that the mapping doesn't look at: often the reason for a surprise.
fn unused(mapping: &Mapping, test: &TestSettings) -> String {
    let unused: Vec<&str> =
        test.record.keys().filter(|name| !mapping.columns().contains(name)).map(String::as_str).collect();
    if unused.is_empty() { String::new() } else { format!("\n(the mapping does not use {})", unused.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cel, column, compile};
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn outcome(record: Value, expect: Expectation) -> Result<(), String> {
        let mapping = compile(
            vec![cel("email", "mail.trim().lowerAscii()"), column("level", "level"), column("title", "job")],
            Some("status == 'active'"),
        );
        let record: BTreeMap<String, Value> = serde_json::from_value(record).expect("an object");
        let test = TestSettings { name: "a test".into(), record, expect };
        run(&mapping, "level", &test, LocalTime::noon("2026-11-22"))
    }

    fn fields(value: Value) -> Expectation {
        Expectation::Fields(serde_json::from_value(value).expect("an object"))
    }

    #[test]
    fn tests_pass_or_say_how_they_differ() {
        let good = || json!({"mail": " Ann@B.c ", "level": "1", "status": "active"});
        let rows = [
            (good(), fields(json!({"email": "ann@b.c", "level": 1, "title": ""})), None),
            (
                good(),
                fields(json!({"email": "Ann@b.c"})),
                Some("email: expected “Ann@b.c”\n            but is “ann@b.c”\n                    ^ from here on"),
            ),
            (good(), fields(json!({"emial": "x"})), Some("nothing maps emial (did you mean `email`?)")),
            (json!({"mail": "a", "level": " 1 ", "status": "active"}), fields(json!({"level": 1})), None),
            (good(), Expectation::Excluded, Some("in scope, not excluded")),
            (good(), Expectation::Rejected("x".into()), Some("in scope, not rejected")),
            (json!({"mail": "a"}), Expectation::Excluded, None),
            (json!({"mail": "a"}), fields(json!({})), Some("include excludes")),
            (json!({"mail": "a"}), Expectation::Rejected("x".into()), Some("excluded, not rejected")),
            (json!({"mail": "a", "status": "active", "level": "x"}), Expectation::Rejected("level".into()), None),
            (
                json!({"mail": "a", "status": "active", "level": "x"}),
                Expectation::Rejected("mail".into()),
                Some("level must"),
            ),
            (json!({"status": "active"}), fields(json!({})), Some("email is empty")),
            (json!({"mail": "a", "Status": "active"}), fields(json!({})), Some("does not use Status")),
        ];
        for (record, expect, difference) in rows {
            let result = outcome(record.clone(), expect.clone());
            match difference {
                None => assert_eq!(result, Ok(()), "{record} {expect:?}"),
                Some(part) => {
                    let message = result.expect_err(part);
                    assert!(message.contains(part), "{message}");
                }
            }
        }
    }
}
