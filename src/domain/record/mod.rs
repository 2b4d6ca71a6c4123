//! One person as the source describes them: a key, a position to point at, and the cells of one row.
//!
//! Pure: nothing here reads a file. The readers under [`crate::source`] make these, everything downstream consumes
//! them. `Debug` of a record shows where it stands and never what it holds.

pub mod cells;

mod rows;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

use crate::domain::value::is_unseen;
pub use rows::{LISTED, Members, Places, Row, Several, same_cell};

/// The stable name of a person in the source, e.g. the employee id.
///
/// Trimmed of surrounding white space, normalised to Unicode NFC, case-sensitive, never empty; `00123` stays
/// `00123`. Two spellings that differ only by space or Unicode form are therefore one key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Key(#[schemars(with = "String")] Arc<str>);

impl Key {
    /// The key that this cell spells, or nothing when it is blank.
    pub fn parse(raw: &str) -> Option<Key> {
        let trimmed = raw.trim();
        if trimmed.is_empty() {
            return None;
        }
        if trimmed.is_ascii() {
            return Some(Key(trimmed.into()));
        }
        Some(Key(trimmed.nfc().collect::<String>().into()))
    }

    /// The key that this cell of a source spells.
    ///
    /// # Errors
    /// It is blank, or holds a character that nobody sees: two people could look the same, or one like two.
    pub fn read(raw: &str) -> Result<Key, KeyFault> {
        Key::normal(raw).map(|text| Key(text.into()))
    }

    /// The text of the key that this cell of a source spells, in its normal form.
    ///
    /// # Errors
    /// As [`Key::read`].
    #[inline]
    pub fn normal(raw: &str) -> Result<Cow<'_, str>, KeyFault> {
        // Nearly every key is its own normal form: visible ASCII from end to end.
        let is_visible = |byte: &u8| byte.is_ascii_graphic();
        match raw.as_bytes() {
            [first, .., last]
                if [first, last].into_iter().all(is_visible) && raw.bytes().all(|b| is_visible(&b) || b == b' ') =>
            {
                Ok(Cow::Borrowed(raw))
            }
            _ => Key::normalised(raw),
        }
    }

    fn normalised(raw: &str) -> Result<Cow<'_, str>, KeyFault> {
        let trimmed = raw.trim();
        match trimmed.chars().find(|letter| is_unseen(*letter)) {
            Some(letter) if letter.is_control() => Err(KeyFault::Control),
            Some(letter) => Err(KeyFault::Unseen(letter)),
            None if trimmed.is_empty() => Err(KeyFault::Blank),
            None if trimmed.is_ascii() => Ok(Cow::Borrowed(trimmed)),
            None => Ok(Cow::Owned(trimmed.nfc().collect())),
        }
    }

    /// The key of a text that is in its normal form already, as the state and temporary files keep it.
    pub(crate) fn of_normal(text: &str) -> Key {
        Key(text.into())
    }

    /// The key's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a cell is nobody's key. `Display` follows the column's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// There is nothing in it.
    Blank,
    /// A control character, e.g. a line break.
    Control,
    /// A format character, a mark of writing direction, a separator of lines.
    Unseen(char),
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyFault::Blank => f.write_str("is empty"),
            KeyFault::Control => f.write_str("contains a control character"),
            KeyFault::Unseen(letter) => {
                write!(f, "contains the character U+{:04X}, which nobody sees", u32::from(*letter))
            }
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0)
    }
}

impl From<&Key> for String {
    fn from(key: &Key) -> String {
        key.0.to_string()
    }
}

/// Where a record stands in its source, for people: the line on which it starts and its number.
///
/// Both count from 1; `record` does not count the header. For sources without lines `line` is 0 and `record` alone
/// is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// The line of the file on which the record starts.
    pub line: u64,
    /// The record's number.
    pub record: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.record) {
            (0, record) => write!(f, "record {record}"),
            (line, record) => write!(f, "line {line} (record {record})"),
        }
    }
}

/// The names of a source's columns, in the source's order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Columns(Arc<[String]>);

impl Columns {
    /// Columns of these names. The readers have already refused doubled and empty names.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Columns(names.into_iter().collect())
    }

    /// Where the column stands in a row.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|n| n == name)
    }

    /// The names, in order.
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

/// One person with what can be used of them: the key, where the row stands, and a cell for each column.
///
/// A cell of a CSV is always text; a JSON source may hold numbers, booleans and lists, and `Null` for what is absent.
/// Most people have one row. Which of several counts is for each sync to decide: [`crate::mapping::Bound::decide`].
#[derive(Clone, PartialEq)]
pub struct Record {
    /// The person.
    pub key: Key,
    /// Where the row stands; of several, the first.
    pub position: Position,
    /// The cells, in the order of the source's [`Columns`]; of several rows, those of the first.
    pub cells: Vec<Value>,
    /// All rows, where there are several and they differ.
    pub several: Option<Box<Several>>,
}

impl Record {
    /// A person with one row.
    pub fn new(key: Key, position: Position, cells: Vec<Value>) -> Record {
        Record { key, position, cells, several: None }
    }

    /// Adds a row. One that repeats another is counted with it.
    pub fn add(&mut self, position: Position, cells: Vec<Value>) {
        let first = || Row::new(self.position, self.cells.clone());
        let mut several = self.several.take().unwrap_or_else(|| Box::new(Several::of(first())));
        several.add(position, cells);
        // One row that is repeated is one row.
        self.several = (several.rows.len() > 1).then_some(several);
    }

    /// The cells of each row.
    pub fn rows(&self) -> impl Iterator<Item = &[Value]> {
        let several = self.several.iter().flat_map(|several| several.rows.iter().map(|row| row.cells.as_slice()));
        let one = self.several.is_none().then_some(self.cells.as_slice());
        one.into_iter().chain(several)
    }

    /// How many rows there are, those that repeat another of several included.
    pub fn row_count(&self) -> u64 {
        self.several.as_ref().map_or(1, |several| several.count())
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({} at {}, {} cells)", self.key, self.position, self.cells.len())
    }
}

/// A row that can't be used: nothing is sent for it, and the person (where the key is readable) is left as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// The person, when the row's key could be read.
    pub key: Option<Key>,
    /// Where the row stands; for doubled keys, the first of them.
    pub position: Position,
    /// Why, in words that name columns and never values.
    pub reason: String,
}

impl Reject {
    /// The whole of it where no key stands beside it: place, key, reason.
    pub fn told(&self) -> String {
        match &self.key {
            Some(key) => format!("{}, key {key}: {}", self.position, self.reason),
            None => self.to_string(),
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.position, self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_differ_by_space_or_unicode_form_are_one() {
        assert_eq!(Key::parse(" E1 "), Key::parse("E1"));
        assert_eq!(Key::parse("Zu\u{308}rich"), Key::parse("Z\u{fc}rich"));
        assert_ne!(Key::parse("e1"), Key::parse("E1"));
        assert_eq!(Key::parse("00123").map(|k| k.to_string()), Some("00123".into()));
        assert_eq!(Key::parse(" \u{a0} "), None);
    }

    #[test]
    fn keys_with_characters_that_nobody_sees_are_nobodys() {
        for (raw, why) in [
            ("", "is empty"),
            (" \u{a0} ", "is empty"),
            ("E\n1", "contains a control character"),
            ("E\u{85}1", "contains a control character"),
            ("\u{200b}E1", "contains the character U+200B, which nobody sees"),
            ("E1\u{feff}", "contains the character U+FEFF, which nobody sees"),
            ("E\u{202e}1", "contains the character U+202E, which nobody sees"),
            ("E\u{2066}1\u{2069}", "contains the character U+2066, which nobody sees"),
            ("E\u{ad}1", "contains the character U+00AD, which nobody sees"),
            ("E\u{e0041}1", "contains the character U+E0041, which nobody sees"),
        ] {
            assert_eq!(Key::read(raw).expect_err("nobody's").to_string(), why, "{raw:?}");
        }
        for (raw, key) in
            [(" E 1\t", "E 1"), ("\u{ff25}\u{ff11}", "\u{ff25}\u{ff11}"), ("Zu\u{308}", "Z\u{fc}"), ("張-7", "張-7")]
        {
            assert_eq!(Key::read(raw).map(|k| k.to_string()), Ok(key.to_string()), "{raw:?}");
        }
    }

    #[test]
    fn debug_of_a_record_holds_no_value() {
        let key = Key::parse("E1").expect("a key");
        let record = Record::new(key, Position { line: 2, record: 1 }, vec!["ann@acme.com".into()]);
        assert!(!format!("{record:?}").contains("ann@"));
    }
}
