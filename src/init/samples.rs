//! The two mapping tests of a configuration, over invented values: nobody's, in the shape of the file.

use std::collections::BTreeMap;

use super::include::Include;
use super::proposal::{Expect, Origin, Rule, Test};
use super::vocabulary::Meaning;
use crate::domain::catalogue::{Catalogue, Field};
use crate::domain::value::FieldType;

/// A value of a record in a mapping test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// A text.
    Text(String),
    /// True or false, of JSON.
    Truth(bool),
}

impl Cell {
    /// A text.
    pub fn text(text: impl Into<String>) -> Cell {
        Cell::Text(text.into())
    }
}

/// The address of the invented person, as HR may have typed it.
const ADDRESS: &str = "Ann.Example@Example.com";

/// The key of the invented person.
const KEY: &str = "E1001";

/// An invented value of a column with this meaning for a field; a field of this type, where it is known.
fn invented(meaning: Option<Meaning>, field: Option<&Field>) -> String {
    if let Some(field) = field {
        if let Some(allowed) = field.allowed.first() {
            return allowed.as_str().map_or_else(|| allowed.to_string(), str::to_owned);
        }
        match field.kind {
            FieldType::Integer | FieldType::Number => {
                return field.range.map_or(1, |(least, most)| 1.clamp(least, most)).to_string();
            }
            FieldType::Boolean => return "true".into(),
            FieldType::Date => return "2026-01-31".into(),
            FieldType::DateTime => return "2026-01-31T08:00:00Z".into(),
            FieldType::List | FieldType::Set | FieldType::Object => return String::new(),
            FieldType::Text => {}
        }
    }
    let text = match meaning {
        Some(Meaning::Key) => KEY,
        Some(Meaning::Email | Meaning::PrivateEmail) => ADDRESS,
        Some(Meaning::FirstName) => "Ann",
        Some(Meaning::LastName) => "Example",
        Some(Meaning::FullName) => "Ann Example",
        Some(Meaning::Username) => "ann.example",
        Some(Meaning::Title) => "Engineer",
        Some(Meaning::Department) => "Engineering",
        Some(Meaning::Company) => "Example Ltd",
        Some(Meaning::Phone) => "+1 555 0100",
        Some(Meaning::Mobile) => "+1 555 0101",
        Some(Meaning::Fax) => "+1 555 0102",
        Some(Meaning::City) => "Springfield",
        Some(Meaning::Country) => "CH",
        Some(Meaning::PostalCode) => "8000",
        _ => "Example",
    };
    text.into()
}

/// A record, by column.
type Record = BTreeMap<usize, Cell>;

/// The tests: somebody who is mapped, and somebody who is not included; where nobody is left out for certain, somebody who
/// lacks what the target requires.
pub fn tests(key: usize, rules: &[Rule], catalogue: &Catalogue, include: &Include) -> Vec<Test> {
    let record = record(key, rules, catalogue, include);
    let here = Test {
        name: "somebody who works here is mapped",
        expect: Expect::Fields(expected(&record, rules, catalogue)),
        record: in_order(&record),
    };
    vec![here, other(key, record, rules, catalogue, include)]
}

fn in_order(record: &Record) -> Vec<(usize, Cell)> {
    record.iter().map(|(at, cell)| (*at, cell.clone())).collect()
}

/// The record of somebody who is included.
fn record(key: usize, rules: &[Rule], catalogue: &Catalogue, include: &Include) -> Record {
    let mut record: Record = include.inside.iter().cloned().collect();
    let of_column = |at: usize| rules.iter().filter(move |rule| rule.from.column() == at);
    for rule in rules {
        let at = rule.from.column();
        let is_address = of_column(at).any(|rule| rule.from == Origin::Address(at));
        let is_trimmed = at != key && of_column(at).all(|rule| rule.from == Origin::Address(at));
        let cell = match rule.from {
            Origin::BeforeComma(_) | Origin::BehindComma(_) => "Example, Ann".into(),
            _ if is_trimmed => format!(" {ADDRESS} "),
            _ if is_address => ADDRESS.into(),
            _ => invented(rule.meaning, catalogue.field(&rule.field)),
        };
        record.entry(at).or_insert(Cell::Text(cell));
    }
    record.entry(key).or_insert(Cell::text(KEY));
    record
}

/// What the mapping makes of a record, as far as it makes texts of texts.
fn expected(record: &Record, rules: &[Rule], catalogue: &Catalogue) -> Vec<(String, String)> {
    let is_text = |rule: &&Rule| catalogue.field(&rule.field).is_none_or(|field| field.kind == FieldType::Text);
    let made = |rule: &Rule| match record.get(&rule.from.column()) {
        Some(Cell::Text(text)) => Some((rule.field.clone(), made(rule.from, text))),
        _ => None,
    };
    rules.iter().filter(is_text).filter_map(made).collect()
}

/// What a rule makes of a text.
fn made(from: Origin, cell: &str) -> String {
    match from {
        Origin::Column(_) => cell.to_string(),
        Origin::Address(_) => cell.trim().to_ascii_lowercase(),
        Origin::Trimmed(_) => cell.trim().to_string(),
        Origin::BeforeComma(_) => cell.split(',').next().unwrap_or_default().trim().to_string(),
        Origin::BehindComma(_) => cell.split(',').nth(1).unwrap_or_default().trim().to_string(),
    }
}

/// The second test.
fn other(key: usize, mut record: Record, rules: &[Rule], catalogue: &Catalogue, include: &Include) -> Test {
    if !include.outside.is_empty() {
        record.extend(include.outside.iter().cloned());
        let name = "somebody who has left is not included";
        return Test { name, record: in_order(&record), expect: Expect::Excluded };
    }
    let is_required = |rule: &&Rule| catalogue.field(&rule.field).is_some_and(|field| field.required);
    let is_kept = |at: usize| at == key || include.inside.iter().any(|(kept, _)| *kept == at);
    if let Some(rule) = rules.iter().find(|rule| is_required(rule) && !is_kept(rule.from.column())) {
        record.remove(&rule.from.column());
        let name = "somebody without what the target requires is left alone";
        return Test { name, record: in_order(&record), expect: Expect::Rejected("is empty") };
    }
    // The key is all that is required.
    record.insert(key, Cell::text("bo@example.com"));
    let of_key: Vec<Rule> = rules.iter().filter(|rule| rule.from.column() == key).cloned().collect();
    let expect = Expect::Fields(expected(&record, &of_key, catalogue));
    Test { name: "somebody else has another key", record: in_order(&record), expect }
}
