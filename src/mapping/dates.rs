//! Comparing with `today`: what stands on the other side must be a date, or it is an error.
//!
//! Dates are compared as text, since in `YYYY-MM-DD` the order of texts is that of days. Any other spelling would give an
//! answer as well, a wrong one, and somebody who is still here would be taken to have left.

use std::sync::LazyLock;

use cel::common::types::{CelBool, CelString, DYN_TYPE, STRING_TYPE};
use cel::common::value::CowVal;
use cel::{DeclarationError, Env, ExecutionError, Value};
use chrono::{NaiveDate, NaiveTime};
use regex::Regex;

/// Gives the day of a date, or fails; no source text can name it. Its second argument says what is looked at.
pub(super) const DAY: &str = "@day";

/// Whether a day is one of the days of a list; likewise.
pub(super) const DAY_IN: &str = "@day_in";

/// A date, by itself or before a time with or without its zone.
static SHAPE: LazyLock<Regex> = LazyLock::new(|| {
    let shape = r"^([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[Tt ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:[.,][0-9]+)? ?(?:[Zz]|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?)?)?$";
    Regex::new(shape).expect("a pattern of ours")
});

/// The day that a text names, as `2027-01-31`; none when it is no date. A time with a zone is of the day that it names.
pub(super) fn day(text: &str) -> Option<&str> {
    let found = SHAPE.captures(text.trim())?;
    let day = found.get(1)?.as_str();
    NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()?;
    if let Some(time) = found.get(2) {
        let format = if time.len() == "00:00".len() { "%H:%M" } else { "%H:%M:%S" };
        NaiveTime::parse_from_str(time.as_str(), format).ok()?;
    }
    Some(day)
}

/// Adds both functions.
pub(super) fn extension(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_overload(DAY, "day_of_any", vec![DYN_TYPE, STRING_TYPE], day_of)?;
    env.add_overload(DAY_IN, "day_in_any", vec![DYN_TYPE, DYN_TYPE, STRING_TYPE], day_in)
}

fn day_of<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [value, what] = args.as_slice() else { return Err(ExecutionError::invalid_argument_count(2, args.len())) };
    let day = checked(&value.as_ref().try_into()?, what)?;
    Ok(CowVal::owned(CelString::from(day)))
}

fn day_in<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [value, list, what] = args.as_slice() else {
        return Err(ExecutionError::invalid_argument_count(3, args.len()));
    };
    let wanted = checked(&value.as_ref().try_into()?, what)?;
    let Value::List(items) = list.as_ref().try_into()? else {
        return Err(ExecutionError::function_error(DAY, "today is looked for in what is no list"));
    };
    let mut found = false;
    for item in items.iter() {
        found |= checked(item, what)? == wanted;
    }
    Ok(CowVal::owned(CelBool::from(found)))
}

fn checked(value: &Value, what: &CowVal<'_, '_>) -> Result<String, ExecutionError> {
    let refused = |fault: &str| {
        let what: Result<Value, _> = what.as_ref().try_into();
        let (what, spelled) = match &what {
            Ok(Value::String(name)) if !name.is_empty() => (format!("column {name}"), spelled(name)),
            _ => ("what today is compared with".into(), "…".into()),
        };
        let message = format!(
            "{what} {fault}, and today can be compared with a date alone (2027-01-31); where it may be empty: {spelled} == \"\" || …"
        );
        ExecutionError::function_error(DAY, message)
    };
    match value {
        Value::String(text) if text.trim().is_empty() => Err(refused("is empty")),
        Value::String(text) => day(text).map(str::to_owned).ok_or_else(|| refused("holds a text that is no date")),
        Value::Timestamp(time) => Ok(time.date_naive().to_string()),
        _ => Err(refused("is no text")),
    }
}

/// A column as an expression spells it.
pub(super) fn spelled(name: &str) -> String {
    let plain = |part: &str| {
        part.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if name.split('.').all(plain) { name.to_string() } else { format!("row[{name:?}]") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_iso_dates_with_or_without_a_time() {
        for text in [
            "2027-01-31",
            " 2027-01-31 ",
            "2027-01-31T00:00:00",
            "2027-01-31 00:00",
            "2027-01-31T23:59:59.123456Z",
            "2027-01-31T00:00:00+01:00",
            "2027-01-31 00:00:00.0000000 -0500",
            "2027-01-31 08:00:00 UTC",
        ] {
            assert_eq!(day(text), Some("2027-01-31"), "{text:?}");
        }
        for text in [
            "",
            "1/31/2027",
            "31.01.2027",
            "2027-1-31",
            "20270131",
            "2027-02-30",
            "2027-13-01",
            "2027-01-31 or later",
            "2027-01-31T",
            "2027-01-31T25:00",
            "2027-01-31T08",
            "x2027-01-31",
            "+027-01-31",
            "２０２７-01-31",
            "2027/01/31",
            "9999-99-99",
            "2027-01",
            "Jan 31, 2027",
            "46418",
        ] {
            assert_eq!(day(text), None, "{text:?}");
        }
    }
}
