//! Values of a target's fields: the types a catalogue can name, and the bag of values of one account.
//!
//! Values are JSON values whatever the wire is, because that is what a snapshot stores; `Null` means "empty on the
//! target". Pure, and silent: `Debug` of [`Attributes`] lists field names only.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// The type that a target declares for a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FieldType {
    /// Any text.
    Text,
    /// A whole number.
    Integer,
    /// A number, with or without a fraction.
    Number,
    /// True or false, in whichever spelling the target has.
    Boolean,
    /// A calendar date, `2026-11-22`.
    Date,
    /// A date and time, RFC 3339.
    DateTime,
    /// A list in which order counts.
    List,
    /// A list compared as a set.
    Set,
    /// An object, mapped by dotted path.
    Object,
}

impl FieldType {
    /// The word for it in messages.
    pub const fn name(self) -> &'static str {
        match self {
            FieldType::Text => "text",
            FieldType::Integer => "a whole number",
            FieldType::Number => "a number",
            FieldType::Boolean => "true or false",
            FieldType::Date => "a date",
            FieldType::DateTime => "a date and time",
            FieldType::List => "a list",
            FieldType::Set => "a set",
            FieldType::Object => "an object",
        }
    }
}

/// Values by target field, in the order of names. A field that is absent is one that nothing is known about; a field
/// that is `Null` is known to be empty.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attributes(pub BTreeMap<String, Value>);

impl Attributes {
    /// The value of a field; `None` when nothing is known about it.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field)
    }

    /// Sets a field.
    pub fn set(&mut self, field: impl Into<String>, value: Value) {
        self.0.insert(field.into(), value);
    }

    /// The fields and their values, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.iter()
    }
}

impl FromIterator<(String, Value)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(iter: I) -> Self {
        Attributes(iter.into_iter().collect())
    }
}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attributes")?;
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Whether a value is empty as far as a target is concerned: nothing, an empty text, an empty list.
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether two values of a field of this type mean the same, so that no write is needed.
///
/// Empty is empty however it is spelled. A difference of letter case is a difference. Sets ignore order and
/// repetition; numbers compare as numbers (`1` is `1.0`).
pub fn same(kind: FieldType, a: &Value, b: &Value) -> bool {
    if is_empty(a) || is_empty(b) {
        return is_empty(a) && is_empty(b);
    }
    match (kind, a, b) {
        (FieldType::Set, Value::Array(a), Value::Array(b)) => {
            a.iter().all(|x| b.contains(x)) && b.iter().all(|x| a.contains(x))
        }
        (_, Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}

/// How a value is compared when an account is recognised by it: surrounding space, letter case and the Unicode form
/// (NFC) set aside.
pub fn folded(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(folded_text(text)),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// [`folded`], of each value where there are several, without repetition: a list or a set recognises by any of its own.
pub fn folded_each(value: &Value) -> Vec<String> {
    let Value::Array(values) = value else { return folded(value).into_iter().collect() };
    let each: std::collections::BTreeSet<String> = values.iter().filter_map(folded).collect();
    each.into_iter().collect()
}

/// [`folded`], of a text.
pub fn folded_text(text: &str) -> String {
    let text = text.trim();
    if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        text.nfc().collect::<String>().to_lowercase().nfc().collect()
    }
}

/// Whether nobody sees this character: a control or format character, a mark of writing direction, a separator of lines.
pub fn is_unseen(letter: char) -> bool {
    use GeneralCategory::{Control, Format, LineSeparator, ParagraphSeparator};
    match letter.is_ascii() {
        true => letter.is_ascii_control(),
        false => matches!(letter.general_category(), Control | Format | LineSeparator | ParagraphSeparator),
    }
}

/// A key as the target's key field holds it, compared as text whatever its type.
pub fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn empty_is_empty_however_it_is_spelled() {
        for (a, b) in [(json!(null), json!("")), (json!([]), json!(null)), (json!(""), json!({}))] {
            assert!(same(FieldType::Text, &a, &b));
        }
        assert!(!same(FieldType::Integer, &json!(0), &json!(null)));
        assert!(!same(FieldType::Boolean, &json!(false), &json!(null)));
    }

    #[test]
    fn sets_ignore_order_and_case_is_a_difference() {
        assert!(same(FieldType::Set, &json!([1, 2]), &json!([2, 1, 1])));
        assert!(!same(FieldType::List, &json!([1, 2]), &json!([2, 1])));
        assert!(!same(FieldType::Text, &json!("Ann"), &json!("ann")));
        assert_eq!(folded(&json!(" Ann@Acme.com ")), folded(&json!("ann@acme.com")));
        assert_eq!(folded(&json!("Mu\u{308}ller@acme.com")), folded(&json!("M\u{dc}LLER@acme.com")));
    }

    #[test]
    fn what_nobody_sees_is_told_from_what_is_written() {
        for letter in [
            '\u{0}', '\t', '\u{7f}', '\u{85}', '\u{ad}', '\u{61c}', '\u{200b}', '\u{200f}', '\u{202e}', '\u{2028}',
            '\u{2060}', '\u{feff}',
        ] {
            assert!(is_unseen(letter), "{letter:?}");
        }
        for letter in [' ', 'a', 'é', 'ü', '\u{a0}', '\u{308}', '漢', '👩', 'ı'] {
            assert!(!is_unseen(letter), "{letter:?}");
        }
    }

    #[test]
    fn debug_of_attributes_names_fields_only() {
        let attributes: Attributes = [("phone".to_string(), json!("555-1234"))].into_iter().collect();
        assert_eq!(format!("{attributes:?}"), r#"Attributes{"phone"}"#);
    }
}
