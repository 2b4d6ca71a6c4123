//! Invented values for the mapping tests of a configuration: nobody's, in the shape of the file.

use crate::domain::catalogue::Field;
use crate::domain::value::FieldType;

use super::vocabulary::Meaning;

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
pub const ADDRESS: &str = "Ann.Example@Example.com";

/// The key of the invented person.
pub const KEY: &str = "E1001";

/// An invented value of a column with this meaning for a field; a field of this type, where it is known.
pub fn of(meaning: Option<Meaning>, field: Option<&Field>) -> String {
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
