//! From what the source has to what a field admits: text becomes number, boolean, date or list, as the field's type
//! says.
//!
//! Strict where guessing could write something wrong (`4.0` is no whole number, a date needs its century), lenient
//! where the meaning is plain (`007`, ` 42 `, `Yes`). Messages say what the field admits and never what was there.

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, Utc};
use serde_json::{Number, Value};

use crate::domain::bounded;
use crate::domain::bounded::{Budget, Fault};
use crate::domain::catalogue::Field;
use crate::domain::value::{FieldType, is_empty};

/// Below this, every whole number has a float of its own; beyond it `4.0` may not be the 4 that was meant.
const EXACT_FLOAT: f64 = 9_007_199_254_740_992.0;

/// How many allowed values a message lists before it stops.
const LISTED: usize = 12;

/// The most that a list, or an object, which stands in a text takes in memory.
const MOST: usize = 4_000_000;

/// What a field admits.
#[derive(Clone, Debug)]
pub(super) struct Admits {
    kind: FieldType,
    allowed: Vec<Value>,
    range: Option<(i64, i64)>,
}

impl Admits {
    /// What the catalogue says of a field; any text where it says nothing.
    pub fn of(field: Option<&Field>) -> Admits {
        match field {
            Some(field) => Admits { kind: field.kind, allowed: field.allowed.clone(), range: field.range },
            None => Admits { kind: FieldType::Text, allowed: Vec::new(), range: None },
        }
    }

    /// The field's type.
    pub fn kind(&self) -> FieldType {
        self.kind
    }

    /// Everything that decides how a value is converted, for the mapping's version.
    pub fn describe(&self) -> Value {
        serde_json::json!([self.kind, self.allowed, self.range])
    }

    /// Whether a text that is not empty is held as it stands.
    pub fn takes_as_it_stands(&self, text: &str) -> bool {
        let plain = self.kind == FieldType::Text && self.allowed.is_empty() && self.range.is_none();
        plain && !text.trim().is_empty() && !has_control_character(text)
    }

    /// The value as the field holds it; `Null` when it is empty.
    ///
    /// # Errors
    /// What the field admits, to follow the field's name: `must be a whole number`.
    pub fn coerce(&self, value: Value) -> Result<Value, String> {
        if is_blank(&value) {
            return Ok(Value::Null);
        }
        let value = match self.kind {
            FieldType::Text => text(value),
            FieldType::Integer => integer(value),
            FieldType::Number => number(value),
            FieldType::Boolean => boolean(value),
            FieldType::Date => date(value),
            FieldType::DateTime => date_time(value),
            FieldType::List => list(value),
            FieldType::Set => list(value).map(without_repetition),
            FieldType::Object => object(value),
        }?;
        if has_control(&value) {
            return Err("must not contain control characters".into());
        }
        if is_empty(&value) {
            return Ok(Value::Null);
        }
        match value {
            Value::Array(items) => {
                items.into_iter().map(|item| self.within(item)).collect::<Result<_, _>>().map(Value::Array)
            }
            single => self.within(single),
        }
    }

    /// Checks allowed values and range; an allowed value is returned as the target spells it.
    fn within(&self, value: Value) -> Result<Value, String> {
        if let (Some((low, high)), Some(n)) = (self.range, value.as_f64())
            && (n < low as f64 || n > high as f64)
        {
            return Err(format!("must be between {low} and {high}"));
        }
        if self.allowed.is_empty() {
            return Ok(value);
        }
        match self.allowed.iter().find(|allowed| means(allowed, &value)) {
            Some(allowed) => Ok(allowed.clone()),
            None => Err(self.allowed_words()),
        }
    }

    fn allowed_words(&self) -> String {
        let words: Vec<String> = self.allowed.iter().take(LISTED).map(spelled).collect();
        let more = if self.allowed.len() > LISTED { ", …" } else { "" };
        format!("must be one of {}{more}", words.join(", "))
    }
}

/// Whether a value is the allowed one: numbers as numbers, also when spelled as text.
fn means(allowed: &Value, value: &Value) -> bool {
    match (allowed, value) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Number(a), Value::String(b)) => b.trim().parse::<f64>().ok().is_some_and(|b| a.as_f64() == Some(b)),
        (Value::String(a), Value::Number(b)) => *a == b.to_string(),
        _ => allowed == value,
    }
}

fn spelled(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Whether a source's value counts as empty: also text of nothing but white space.
fn is_blank(value: &Value) -> bool {
    match value {
        Value::String(text) => text.trim().is_empty(),
        other => is_empty(other),
    }
}

fn text(value: Value) -> Result<Value, String> {
    match value {
        Value::String(_) => Ok(value),
        Value::Bool(yes) => Ok(Value::String(yes.to_string())),
        Value::Number(number) => Ok(Value::String(number.to_string())),
        _ => Err("must be text, not a list or an object".into()),
    }
}

fn integer(value: Value) -> Result<Value, String> {
    let refused = || "must be a whole number".to_string();
    match value {
        Value::Number(number) if number.is_f64() => {
            let float = number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() <= EXACT_FLOAT).ok_or_else(refused)?;
            Ok((float as i64).into())
        }
        Value::Number(number) => Ok(Value::Number(number)),
        Value::String(text) => text.trim().parse::<i64>().map(Value::from).map_err(|_| refused()),
        _ => Err(refused()),
    }
}

fn number(value: Value) -> Result<Value, String> {
    let refused = || "must be a number, with a point before the fraction".to_string();
    match value {
        Value::Number(_) => Ok(value),
        Value::String(text) => {
            let text = text.trim();
            if let Ok(whole) = text.parse::<i64>() {
                return Ok(whole.into());
            }
            let float = text.parse::<f64>().ok().and_then(Number::from_f64).ok_or_else(refused)?;
            Ok(Value::Number(float))
        }
        _ => Err(refused()),
    }
}

fn boolean(value: Value) -> Result<Value, String> {
    let word = match &value {
        Value::Bool(_) => return Ok(value),
        Value::String(text) => text.trim().to_ascii_lowercase(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    match word.as_str() {
        "true" | "1" | "yes" => Ok(Value::Bool(true)),
        "false" | "0" | "no" => Ok(Value::Bool(false)),
        _ => Err("must be true or false (1 or 0, yes or no)".into()),
    }
}

fn date(value: Value) -> Result<Value, String> {
    let refused = || "must be a date such as 2026-11-22".to_string();
    let Value::String(text) = value else { return Err(refused()) };
    let text = text.trim();
    let parsed = if text.len() == "2026-11-22".len() {
        NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()
    } else {
        let local = || NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok();
        DateTime::parse_from_rfc3339(text).ok().map(|t| t.naive_local()).or_else(local).map(|t| t.date())
    };
    // The digits as they stand: a time with an offset means the day that it names, not that day in UTC.
    parsed.map(|day| Value::String(day.format("%Y-%m-%d").to_string())).ok_or_else(refused)
}

fn date_time(value: Value) -> Result<Value, String> {
    let refused = || "must be a date and time with its offset, such as 2026-11-22T03:34:00Z".to_string();
    let Value::String(text) = value else { return Err(refused()) };
    let time = DateTime::parse_from_rfc3339(text.trim()).map_err(|_| refused())?;
    // One spelling for one instant, so that a changed offset alone is no change.
    Ok(Value::String(time.with_timezone(&Utc).to_rfc3339_opts(SecondsFormat::AutoSi, true)))
}

fn list(value: Value) -> Result<Value, String> {
    match value {
        Value::Array(_) => Ok(value),
        Value::Bool(_) | Value::Number(_) => Ok(Value::Array(vec![value])),
        Value::String(text) if text.trim_start().starts_with('[') => match bounded::parse(text.trim().as_bytes(), MOST)
        {
            Ok(items @ Value::Array(_)) => Ok(items),
            Err(Fault::OverLimit(excess)) => Err(format!("{excess}")),
            _ => Err("must be a list: a JSON array, or items between commas or semicolons".into()),
        },
        Value::String(text) => {
            let items = text.split([',', ';']).map(str::trim).filter(|item| !item.is_empty());
            let mut budget = Budget::of(MOST);
            let mut list = Vec::new();
            for item in items {
                budget.take_item(list.len());
                if !budget.take_text(item.len()) {
                    break;
                }
                list.push(Value::from(item));
            }
            budget.excess().map_or(Ok(Value::Array(list)), |excess| Err(excess.to_string()))
        }
        _ => Err("must be a list, not an object".into()),
    }
}

fn without_repetition(items: Value) -> Value {
    let Value::Array(items) = items else { return items };
    let mut kept: Vec<Value> = Vec::with_capacity(items.len());
    let mut seen = std::collections::HashSet::with_capacity(items.len());
    for item in items {
        if seen.insert(item.to_string()) {
            kept.push(item);
        }
    }
    Value::Array(kept)
}

fn object(value: Value) -> Result<Value, String> {
    match value {
        Value::Object(_) => Ok(value),
        Value::String(text) => match bounded::parse(text.as_bytes(), MOST) {
            Ok(object @ Value::Object(_)) => Ok(object),
            Err(Fault::OverLimit(excess)) => Err(format!("{excess}")),
            _ => Err("must be a JSON object".into()),
        },
        _ => Err("must be a JSON object".into()),
    }
}

fn has_control_character(text: &str) -> bool {
    text.bytes().any(|b| b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r'))
}

/// Whether it holds a control character that no wire can carry: U+0000 to U+001F other than tab, LF and CR.
fn has_control(value: &Value) -> bool {
    match value {
        Value::String(text) => has_control_character(text),
        Value::Array(items) => items.iter().any(has_control),
        Value::Object(members) => {
            members.iter().any(|(name, value)| has_control(value) || name.bytes().any(|b| b < 0x20))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn admits(kind: FieldType) -> Admits {
        Admits { kind, allowed: Vec::new(), range: None }
    }

    #[test]
    fn values_become_what_the_field_admits() {
        use FieldType::*;
        let rows = [
            (Text, json!("  Ann "), Some(json!("  Ann "))),
            (Text, json!(" \t "), Some(json!(null))),
            (Text, json!(7), Some(json!("7"))),
            (Text, json!(true), Some(json!("true"))),
            (Text, json!(["a"]), None),
            (Text, json!({"a": 1}), None),
            (Text, json!("a\u{1}b"), None),
            (Text, json!("a\tb\r\nc"), Some(json!("a\tb\r\nc"))),
            (Integer, json!("007"), Some(json!(7))),
            (Integer, json!(" 42 "), Some(json!(42))),
            (Integer, json!("-3"), Some(json!(-3))),
            (Integer, json!("4.0"), None),
            (Integer, json!("4 000"), None),
            (Integer, json!("9223372036854775808"), None),
            (Integer, json!(4.0), Some(json!(4))),
            (Integer, json!(4.5), None),
            (Integer, json!(true), None),
            (Integer, json!(""), Some(json!(null))),
            (Number, json!("4.50"), Some(json!(4.5))),
            (Number, json!("12"), Some(json!(12))),
            (Number, json!("4,5"), None),
            (Number, json!("inf"), None),
            (Number, json!("NaN"), None),
            (Boolean, json!("Yes"), Some(json!(true))),
            (Boolean, json!("0"), Some(json!(false))),
            (Boolean, json!(1), Some(json!(true))),
            (Boolean, json!("TRUE "), Some(json!(true))),
            (Boolean, json!("y"), None),
            (Boolean, json!(2), None),
            (Date, json!("2026-11-22"), Some(json!("2026-11-22"))),
            (Date, json!("2026-11-22T23:34:00-05:00"), Some(json!("2026-11-22"))),
            (Date, json!("2026-11-22T23:34:00"), Some(json!("2026-11-22"))),
            (Date, json!("2026-02-30"), None),
            (Date, json!("22.11.2026"), None),
            (Date, json!("26-11-22"), None),
            (Date, json!(20261122), None),
            (DateTime, json!("2026-11-22T04:34:00+01:00"), Some(json!("2026-11-22T03:34:00Z"))),
            (DateTime, json!("2026-11-22T03:34:00.120Z"), Some(json!("2026-11-22T03:34:00.120Z"))),
            (DateTime, json!("2026-11-22"), None),
            (List, json!("a; b ,c,,"), Some(json!(["a", "b", "c"]))),
            (List, json!("[1, 2]"), Some(json!([1, 2]))),
            (List, json!("[1, 2"), None),
            (List, json!(["x", 1]), Some(json!(["x", 1]))),
            (List, json!(5), Some(json!([5]))),
            (List, json!(" ; "), Some(json!(null))),
            (List, json!({"a": 1}), None),
            (List, json!(["a\u{0}"]), None),
            (Set, json!("b,a,b"), Some(json!(["b", "a"]))),
            (Object, json!("{\"a\": 1}"), Some(json!({"a": 1}))),
            (Object, json!("a"), None),
        ];
        for (kind, value, expected) in rows {
            assert_eq!(admits(kind).coerce(value.clone()).ok(), expected, "{kind:?} from {value}");
        }
    }

    #[test]
    fn a_text_that_is_far_more_as_a_list_or_an_object_is_none() {
        let tiny = vec!["{\"\":0}"; 100_000].join(",");
        let objects = format!("{{\"a\":[{tiny}]}}");
        for (kind, text) in [
            (FieldType::List, format!("[{tiny}]")),
            (FieldType::Set, "a,".repeat(100_000)),
            (FieldType::Object, objects),
        ] {
            let refused = admits(kind).coerce(json!(text)).expect_err("too much");
            assert!(refused.contains("holds more than is kept in memory (4 MB)"), "{refused}");
        }
        assert!(admits(FieldType::Set).coerce(json!("group,".repeat(10_000))).is_ok());
    }

    #[test]
    fn allowed_values_and_ranges_hold_and_are_named() {
        let level = Admits { kind: FieldType::Integer, allowed: vec![json!(0), json!(1)], range: None };
        assert_eq!(level.coerce(json!("01")), Ok(json!(1)));
        assert_eq!(level.coerce(json!("2")), Err("must be one of 0, 1".into()));
        let groups = Admits { kind: FieldType::Set, allowed: vec![json!(3), json!(4)], range: None };
        assert_eq!(groups.coerce(json!("3;4")), Ok(json!([3, 4])));
        assert_eq!(groups.coerce(json!("3;5")), Err("must be one of 3, 4".into()));
        let gender = Admits { kind: FieldType::Text, allowed: vec![json!("m"), json!("f")], range: None };
        assert_eq!(gender.coerce(json!("M")), Err("must be one of m, f".into()));
        let share = Admits { kind: FieldType::Number, allowed: vec![], range: Some((0, 100)) };
        for (value, good) in [("0", true), ("100", true), ("-1", false), ("100.5", false)] {
            assert_eq!(share.coerce(json!(value)).is_ok(), good, "{value}");
        }
    }

    proptest! {
        #![proptest_config(crate::domain::properties::cases(256))]

        #[test]
        fn no_message_repeats_the_value(text in "[a-zA-Z]{6,20}") {
            for kind in [FieldType::Integer, FieldType::Number, FieldType::Date, FieldType::DateTime, FieldType::Object] {
                if let Err(message) = admits(kind).coerce(json!(text)) {
                    prop_assert!(!message.contains(&text));
                }
            }
        }

        #[test]
        fn what_was_converted_stays_as_it_is(text in "\\PC{0,30}") {
            for kind in [FieldType::Text, FieldType::Integer, FieldType::Number, FieldType::Boolean, FieldType::Date,
                         FieldType::DateTime, FieldType::List, FieldType::Set] {
                if let Ok(once) = admits(kind).coerce(json!(text)) {
                    prop_assert_eq!(admits(kind).coerce(once.clone()), Ok(once));
                }
            }
        }
    }
}
