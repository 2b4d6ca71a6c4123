//! What people are called where a plan or an answer names them: the values of a few fields.
//!
//! Pure. A label is made of values of a person: it goes to whoever asked, and into no log.

use std::fmt;
use std::ops::Deref;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::domain::operation::Operation;

/// Characters of a label, and of a part of it, at most.
const LONGEST: usize = 120;

/// Names of fields in which people's departments are, by the last part of the name.
const DEPARTMENTS: [&str; 8] = [
    "department",
    "department_name",
    "departmentname",
    "dept",
    "abteilung",
    "département",
    "departement",
    "departamento",
];

/// What a person is called. It is made of their values, which its `Debug` does not show.
#[derive(Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Label(String);

impl From<String> for Label {
    fn from(text: String) -> Label {
        Label(text)
    }
}

impl Deref for Label {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Label(…)")
    }
}

/// The target fields by which a sync names people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelFields {
    /// The fields, in the order in which they are shown.
    pub fields: Vec<String>,
    /// The field that holds the department, by which people are grouped where there are many.
    pub department: Option<String>,
}

impl LabelFields {
    /// These fields, and the department's among what is mapped: `(target field, source column)`.
    pub fn new<'m>(fields: Vec<String>, mapped: impl IntoIterator<Item = (&'m str, Option<&'m str>)>) -> LabelFields {
        let says_department = |name: &str| {
            let last = name.rsplit(['.', ':']).next().unwrap_or(name).trim().to_lowercase();
            DEPARTMENTS.contains(&last.as_str())
        };
        let department = mapped
            .into_iter()
            .find(|(field, column)| says_department(field) || column.is_some_and(says_department))
            .map(|(field, _)| field.to_string());
        LabelFields { fields, department }
    }

    /// The label of a person whose fields have these values; nothing where all of them are empty. A value that the label
    /// has already is not repeated.
    pub fn of<'v>(&self, value: impl Fn(&str) -> Option<&'v Value>) -> Option<Label> {
        let mut label = String::new();
        for part in self.fields.iter().filter_map(|field| value(field)).filter_map(text) {
            if label.to_lowercase().contains(&part.to_lowercase()) {
                continue;
            }
            if !label.is_empty() {
                label.push(' ');
            }
            label.push_str(&part);
        }
        (!label.is_empty()).then(|| Label(shortened(&label)))
    }

    /// The department of a person whose fields have these values.
    pub fn department_of<'v>(&self, value: impl Fn(&str) -> Option<&'v Value>) -> Option<String> {
        self.department.as_deref().and_then(value).and_then(text)
    }
}

impl LabelFields {
    /// The label of the person whom an operation is about: by what it writes, and of a leaver by what is known.
    pub fn of_operation(&self, operation: &Operation) -> Option<Label> {
        self.of(|field| value_of(operation, field))
    }

    /// The person whom an operation is about, by key and label: `E1002 Ann Meier`.
    pub fn person(&self, operation: &Operation) -> Label {
        Label(match self.of_operation(operation) {
            Some(called) => format!("{} {called}", operation.key),
            None => operation.key.to_string(),
        })
    }

    /// The department of the person whom an operation is about; likewise.
    pub fn department_of_operation(&self, operation: &Operation) -> Option<String> {
        self.department_of(|field| value_of(operation, field))
    }
}

fn value_of<'o>(operation: &'o Operation, field: &str) -> Option<&'o Value> {
    let written = operation.fields.get(field).map(|change| &change.new);
    let known = operation.baseline.get(field);
    if operation.kind.takes_access() { known } else { written.or(known) }
}

/// A value as a part of a label.
fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => shortened(text.trim()),
        Value::Number(number) => number.to_string(),
        Value::Array(items) => shortened(&items.iter().filter_map(text).collect::<Vec<_>>().join(", ")),
        Value::Null | Value::Bool(_) | Value::Object(_) => return None,
    };
    (!text.is_empty()).then_some(text)
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn label(fields: &[&str], values: &Value) -> Option<Label> {
        LabelFields::new(fields.iter().map(ToString::to_string).collect(), []).of(|field| values.get(field))
    }

    #[test]
    fn a_label_is_its_values_side_by_side_without_repetition() {
        let ann = json!({ "first": " Ann ", "last": "Meier", "name": "Ann Meier", "mail": "ann@acme.com", "no": null, "n": 7 });
        for (fields, expected) in [
            (&["first", "last", "mail"][..], Some("Ann Meier ann@acme.com")),
            (&["first", "last", "name"], Some("Ann Meier")),
            (&["name", "first"], Some("Ann Meier")),
            (&["no", "missing"], None),
            (&["no", "n"], Some("7")),
            (&[], None),
        ] {
            assert_eq!(label(fields, &ann).as_deref(), expected, "{fields:?}");
        }
    }

    #[test]
    fn debug_shows_no_value() {
        let called = label(&["x"], &json!({ "x": "Ann Meier" })).expect("a label");
        assert_eq!((format!("{called:?}"), called.to_string()), ("Label(…)".into(), "Ann Meier".into()));
    }

    #[test]
    fn what_is_long_is_cut_between_characters() {
        let long = label(&["x"], &json!({ "x": "é".repeat(1_000_000) })).expect("a label");
        assert_eq!(long.chars().count(), LONGEST + 1);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn the_department_is_known_by_its_field_or_its_column() {
        let of = |mapped: &[(&str, Option<&str>)]| LabelFields::new(Vec::new(), mapped.iter().copied()).department;
        assert_eq!(
            of(&[("title", Some("job")), ("dimensions.101", Some("Abteilung"))]).as_deref(),
            Some("dimensions.101")
        );
        assert_eq!(of(&[("department", None)]).as_deref(), Some("department"));
        let extension = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department";
        assert_eq!(of(&[(extension, Some("ou"))]).as_deref(), Some(extension));
        assert_eq!(of(&[("title", Some("job"))]), None);
    }
}
