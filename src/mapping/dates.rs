//! Dates and times in expressions: what is compared with one must be one, or it is an error; and reading them in whatever
//! notation a source has.
//!
//! Days are compared as text, since in `YYYY-MM-DD` the order of texts is that of days. Any other spelling would give an
//! answer as well, a wrong one, and somebody who is still here would be taken to have left.

use std::cmp::Ordering;
use std::sync::LazyLock;

use cel::common::types::{CelBool, CelInt, CelString, CelTimestamp, DYN_TYPE, STRING_TYPE};
use cel::common::value::CowVal;
use cel::{DeclarationError, Env, ExecutionError, Value};
use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime};
use chrono_tz::Tz;
use regex::Regex;

use super::expression::Problem;
use crate::domain::local_time::resolved;

/// Gives the day of a date, or fails; no source text can name it. Its second argument says what is looked at.
pub(super) const DAY: &str = "@day";
/// Whether a day is one of the days of a list; likewise.
pub(super) const DAY_IN: &str = "@day_in";
/// How two times stand to each other, below, at or above 0, or it fails; after them what either is and the zone of times
/// that name none. Where one of them is a day without a time, days are compared.
pub(super) const ORDER: &str = "@order";
/// Whether a moment is one of a list; likewise.
pub(super) const INSTANT_IN: &str = "@instant_in";
/// `date(text, format)`, with what is read as a third argument.
pub(super) const DATE: &str = "@date";
/// `datetime(text, format)`, with what is read and the zone.
pub(super) const DATETIME: &str = "@datetime";
/// The variable that holds the name of the sync's zone.
pub(super) const ZONE: &str = "@zone";
/// What errors of these functions are called by: their messages are ours.
pub(super) const DATES: &str = "@dates";

/// A date, by itself or before a time with or without its zone.
static SHAPE: LazyLock<Regex> = LazyLock::new(|| {
    let shape = r"^([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[Tt ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)([.,][0-9]+)? ?([Zz]|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?)?)?$";
    Regex::new(shape).expect("a pattern of ours")
});

/// A date and, if it is there, a time and its zone.
struct Iso<'t> {
    day: &'t str,
    date: NaiveDate,
    time: Option<NaiveTime>,
    zone: Option<&'t str>,
}

fn iso(text: &str) -> Option<Iso<'_>> {
    let found = SHAPE.captures(text.trim())?;
    let day = found.get(1)?.as_str();
    let date = NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()?;
    let time = match found.get(2) {
        None => None,
        Some(time) => {
            let format = if time.len() == "00:00".len() { "%H:%M" } else { "%H:%M:%S" };
            Some(NaiveTime::parse_from_str(time.as_str(), format).ok()?)
        }
    };
    Some(Iso { day, date, time, zone: found.get(4).map(|zone| zone.as_str()) })
}

/// The day that a text names, as `2027-01-31`; none when it is no date. A time with a zone is of the day that it names.
pub(super) fn day(text: &str) -> Option<&str> {
    iso(text).map(|iso| iso.day)
}

/// Whether a text is a date or a time in ISO 8601.
pub(super) fn is_time(text: &str) -> bool {
    moment(text, Tz::UTC).is_some()
}

/// The moment that a text names, to the second: without a time, midnight; without a zone, in this one.
fn moment(text: &str, zone: Tz) -> Option<DateTime<FixedOffset>> {
    let iso = iso(text)?;
    let local = iso.date.and_time(iso.time.unwrap_or(NaiveTime::MIN));
    Some(match iso.zone {
        None => resolved(local, &zone),
        Some("Z" | "z" | "UTC" | "GMT") => local.and_utc().fixed_offset(),
        Some(offset) => {
            let digits: String = offset.chars().filter(char::is_ascii_digit).collect();
            let number = |range: std::ops::Range<usize>| digits.get(range).map_or(Some(0), |part| part.parse().ok());
            let seconds: i32 = number(0..2)? * 3600 + number(2..4)? * 60;
            let offset = FixedOffset::east_opt(if offset.starts_with('-') { -seconds } else { seconds })?;
            local.and_local_timezone(offset).single()?
        }
    })
}

/// Whether a date is what its text means. A year of two digits where four are expected is a typing error, and where numbers
/// follow each other directly, one with a digit too few shifts all others.
fn is_meant(date: NaiveDate, text: &str, format: &str) -> bool {
    let written = || date.and_time(NaiveTime::MIN).and_utc().format(format).to_string();
    (1000..=9999).contains(&date.year()) && (!ADJACENT.is_match(format) || written().len() == text.len())
}

/// Two numbers of a format with nothing between them.
static ADJACENT: LazyLock<Regex> = LazyLock::new(|| Regex::new("%[YymdHMSj]%[YymdHMSj]").expect("a pattern of ours"));

fn date_in(text: &str, format: &str) -> Option<NaiveDate> {
    let date = || NaiveDate::parse_from_str(text, format).ok();
    let date_of_time = || NaiveDateTime::parse_from_str(text, format).ok().map(|time| time.date());
    date().or_else(date_of_time).filter(|date| is_meant(*date, text, format))
}

fn moment_in(text: &str, format: &str, zone: Tz) -> Option<DateTime<FixedOffset>> {
    let with_zone = || DateTime::parse_from_str(text, format).ok();
    let without = || NaiveDateTime::parse_from_str(text, format).ok().map(|local| resolved(local, &zone));
    let date = || date_in(text, format).map(|date| resolved(date.and_time(NaiveTime::MIN), &zone));
    with_zone().or_else(without).or_else(date).filter(|time| is_meant(time.date_naive(), text, format))
}

/// Judges a format that stands in an expression: it must name a day, and each of its parts.
///
/// # Errors
/// It can't be what a date is read by, with what it should be.
pub(super) fn judge_format(format: &str, is_date: bool) -> Result<(), Problem> {
    const EXAMPLES: &str = "e.g. \"%d.%m.%Y\" for 31.12.2026, \"%m/%d/%Y\" for 12/31/2026, \"%Y%m%d\" for 20261231, \"%d %b %Y\" for 31 Dec 2026";
    let refused = |fault: &str| Problem::new(format!("the format {format:?} {fault}")).help(EXAMPLES);
    if !format.contains('%') {
        return Err(refused("has no part that begins with %, so it reads no date"));
    }
    if StrftimeItems::new(format).any(|item| matches!(item, Item::Error)) {
        return Err(refused("has a part that is not known"));
    }
    // What is written by a format must be read by it: else a part of the date is missing from it.
    let sample = NaiveDate::from_ymd_opt(2026, 12, 31).and_then(|date| date.and_hms_opt(18, 5, 7));
    let sample = sample.map(|time| time.and_utc().fixed_offset()).unwrap_or_default();
    let written = sample.format(format).to_string();
    let is_read =
        if is_date { date_in(&written, format).is_some() } else { moment_in(&written, format, Tz::UTC).is_some() };
    if is_read { Ok(()) } else { Err(refused("does not tell day, month and year together")) }
}

/// Adds the functions.
pub(super) fn extension(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_overload(DAY, "day_of_any", vec![DYN_TYPE, STRING_TYPE], day_of)?;
    env.add_overload(DAY_IN, "day_in_any", vec![DYN_TYPE, DYN_TYPE, STRING_TYPE], day_in)?;
    let order = vec![DYN_TYPE, DYN_TYPE, STRING_TYPE, STRING_TYPE, STRING_TYPE];
    env.add_overload(ORDER, "order_of_any", order, order_of)?;
    env.add_overload(INSTANT_IN, "instant_in_any", vec![DYN_TYPE, DYN_TYPE, STRING_TYPE, STRING_TYPE], instant_in)?;
    env.add_overload(DATE, "date_of_any", vec![DYN_TYPE, DYN_TYPE, STRING_TYPE], date_of)?;
    env.add_overload(DATETIME, "datetime_of_any", vec![DYN_TYPE, DYN_TYPE, STRING_TYPE, STRING_TYPE], datetime_of)
}

type Arguments<'b, 'v> = Vec<CowVal<'b, 'v>>;
type Given<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

fn day_of<'b, 'v>(args: Arguments<'b, 'v>) -> Given<'b, 'v> {
    let [value, what] = args.as_slice() else { return Err(ExecutionError::invalid_argument_count(2, args.len())) };
    let day = checked_day(&value.as_ref().try_into()?, what)?;
    Ok(CowVal::owned(CelString::from(day)))
}

fn day_in<'b, 'v>(args: Arguments<'b, 'v>) -> Given<'b, 'v> {
    let [value, list, what] = args.as_slice() else {
        return Err(ExecutionError::invalid_argument_count(3, args.len()));
    };
    among(value, list, |value| checked_day(value, what), |a, b| a == b)
}

fn order_of<'b, 'v>(args: Arguments<'b, 'v>) -> Given<'b, 'v> {
    let [one, other, what_one, what_other, zone] = args.as_slice() else {
        return Err(ExecutionError::invalid_argument_count(5, args.len()));
    };
    let zone = zone_of(zone)?;
    let one = checked_time(&one.as_ref().try_into()?, what_one, zone)?;
    let other = checked_time(&other.as_ref().try_into()?, what_other, zone)?;
    Ok(CowVal::owned(CelInt::from(one.order(&other, zone) as i64)))
}

fn instant_in<'b, 'v>(args: Arguments<'b, 'v>) -> Given<'b, 'v> {
    let [value, list, what, zone] = args.as_slice() else {
        return Err(ExecutionError::invalid_argument_count(4, args.len()));
    };
    let zone = zone_of(zone)?;
    among(value, list, |value| checked_time(value, what, zone), |a, b| a.order(b, zone).is_eq())
}

/// Whether a value is one of a list, both as `read` reads them. Each item is looked at, so that a broken one is told.
fn among<'b, 'v, T>(
    value: &CowVal<'b, 'v>,
    list: &CowVal<'b, 'v>,
    read: impl Fn(&Value) -> Result<T, ExecutionError>,
    is_same: impl Fn(&T, &T) -> bool,
) -> Given<'b, 'v> {
    let wanted = read(&value.as_ref().try_into()?)?;
    let Value::List(items) = list.as_ref().try_into()? else {
        return Err(ExecutionError::function_error(DATES, "a date is looked for in what is no list"));
    };
    let mut found = false;
    for item in items.iter() {
        found |= is_same(&read(item)?, &wanted);
    }
    Ok(CowVal::owned(CelBool::from(found)))
}

fn date_of<'b, 'v>(args: Arguments<'b, 'v>) -> Given<'b, 'v> {
    let [value, format, what] = args.as_slice() else {
        return Err(ExecutionError::invalid_argument_count(3, args.len()));
    };
    let read = Reading { function: "date", what: named(what), format: text_of(format)? };
    let date = match value.as_ref().try_into()? {
        Value::String(text) if read.format.is_empty() => day(&text).map(str::to_owned),
        Value::String(text) => date_in(text.trim(), &read.format).map(|date| date.to_string()),
        Value::Timestamp(time) => Some(time.date_naive().to_string()),
        _ => return Err(read.refused("is no text")),
    };
    match date {
        Some(date) => Ok(CowVal::owned(CelString::from(date))),
        None => Err(read.misses(value)),
    }
}

fn datetime_of<'b, 'v>(args: Arguments<'b, 'v>) -> Given<'b, 'v> {
    let [value, format, what, zone] = args.as_slice() else {
        return Err(ExecutionError::invalid_argument_count(4, args.len()));
    };
    let zone = zone_of(zone)?;
    let read = Reading { function: "datetime", what: named(what), format: text_of(format)? };
    let time = match value.as_ref().try_into()? {
        Value::String(text) if read.format.is_empty() => moment(&text, zone),
        Value::String(text) => moment_in(text.trim(), &read.format, zone),
        Value::Timestamp(time) => Some(time),
        _ => return Err(read.refused("is no text")),
    };
    match time {
        Some(time) => Ok(CowVal::owned(CelTimestamp::from(time))),
        None => Err(read.misses(value)),
    }
}

fn zone_of(zone: &CowVal<'_, '_>) -> Result<Tz, ExecutionError> {
    text_of(zone)?.parse().map_err(|_| ExecutionError::function_error(DATES, "the time zone is not known"))
}

fn text_of(value: &CowVal<'_, '_>) -> Result<String, ExecutionError> {
    match value.as_ref().try_into()? {
        Value::String(text) => Ok(text.to_string()),
        _ => Err(ExecutionError::function_error(DATES, "the format of a date is no text")),
    }
}

/// A column by its name and as it is spelled, where one is looked at.
fn named(what: &CowVal<'_, '_>) -> Option<(String, String)> {
    match what.as_ref().try_into() {
        Ok(Value::String(name)) if !name.is_empty() => Some((format!("column {name}"), spelled(&name))),
        _ => None,
    }
}

/// A call of `date()` or `datetime()`.
struct Reading {
    function: &'static str,
    what: Option<(String, String)>,
    format: String,
}

impl Reading {
    fn refused(&self, fault: &str) -> ExecutionError {
        let (what, spelled) = self.what.clone().unwrap_or_else(|| ("its text".into(), "…".into()));
        let function = self.function;
        let message = format!("{function}(): {what} {fault}; where it may be empty: {spelled} == \"\" || …");
        ExecutionError::function_error(DATES, message)
    }

    /// What is said of a text that is not read.
    fn misses(&self, value: &CowVal<'_, '_>) -> ExecutionError {
        if text_of(value).is_ok_and(|text| text.trim().is_empty()) {
            return self.refused("is empty");
        }
        match self.format.as_str() {
            "" => {
                let (what, spelled) = self.what.clone().unwrap_or_else(|| ("its text".into(), "…".into()));
                let function = self.function;
                let message = format!(
                    "{function}(): {what} is not written as 2027-01-31; say how it is written: {function}({spelled}, \"%d.%m.%Y\")"
                );
                ExecutionError::function_error(DATES, message)
            }
            format => self.refused(&format!("holds no date of the format {format:?}")),
        }
    }
}

/// What a value that is compared is: a text, or a fault in words.
enum Compared {
    Text(String),
    Time(DateTime<FixedOffset>),
    Fault(&'static str),
}

fn compared(value: &Value) -> Compared {
    match value {
        Value::String(text) if text.trim().is_empty() => Compared::Fault("is empty"),
        Value::String(text) => Compared::Text(text.to_string()),
        Value::Timestamp(time) => Compared::Time(*time),
        _ => Compared::Fault("is no text"),
    }
}

fn checked_day(value: &Value, what: &CowVal<'_, '_>) -> Result<String, ExecutionError> {
    let refused = |fault: &str| {
        let (what, spelled) = named(what).unwrap_or_else(|| ("what today is compared with".into(), "…".into()));
        let message = match fault {
            "is empty" => format!(
                "{what} is empty, and today can be compared with a date alone (2027-01-31); where it may be empty: {spelled} == \"\" || …"
            ),
            _ => format!(
                "{what} {fault}, and today can be compared with a date alone (2027-01-31); in another notation: date({spelled}, \"%d.%m.%Y\"); where it may be empty: {spelled} == \"\" || …"
            ),
        };
        ExecutionError::function_error(DATES, message)
    };
    match compared(value) {
        Compared::Text(text) => day(&text).map(str::to_owned).ok_or_else(|| refused("holds a text that is no date")),
        Compared::Time(time) => Ok(time.date_naive().to_string()),
        Compared::Fault(fault) => Err(refused(fault)),
    }
}

/// One side of a comparison of times.
enum Side {
    /// A day, the whole of it.
    Day(NaiveDate),
    Moment(DateTime<FixedOffset>),
}

impl Side {
    fn order(&self, other: &Side, zone: Tz) -> Ordering {
        let day = |side: &Side| match side {
            Side::Day(day) => *day,
            Side::Moment(time) => time.with_timezone(&zone).date_naive(),
        };
        match (self, other) {
            (Side::Moment(one), Side::Moment(other)) => one.cmp(other),
            (one, other) => day(one).cmp(&day(other)),
        }
    }
}

fn checked_time(value: &Value, what: &CowVal<'_, '_>, zone: Tz) -> Result<Side, ExecutionError> {
    let refused = |fault: &str| {
        let (what, spelled) = named(what).unwrap_or_else(|| ("what a time is compared with".into(), "…".into()));
        let message = format!(
            "{what} {fault}, and now can be compared with a time alone (2027-01-31T18:00); in another notation: datetime({spelled}, \"%d.%m.%Y %H:%M\"); where it may be empty: {spelled} == \"\" || …"
        );
        ExecutionError::function_error(DATES, message)
    };
    match compared(value) {
        Compared::Text(text) => match iso(&text) {
            Some(Iso { time: None, date, .. }) => Ok(Side::Day(date)),
            _ => moment(&text, zone).map(Side::Moment).ok_or_else(|| refused("holds a text that is no time")),
        },
        Compared::Time(time) => Ok(Side::Moment(time)),
        Compared::Fault(fault) => Err(refused(fault)),
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
