//! A JSON record as a stream: what is wanted of it is kept, within a budget; of the rest only that it is there.
//!
//! Of fields that nobody uses nothing is kept, however large they are: they leave a print, by which equal records are
//! equal, and whether they say anything. Nothing of a record can end the reading of those after it, as long as the text
//! can be followed.

mod flat;

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use self::flat::Fields;
pub(in crate::source) use self::flat::Row;
use crate::domain::bounded;
use crate::domain::bounded::{Budget, DEEPEST};

/// The most that is kept of a record, as it lies in memory.
pub(in crate::source) const MOST_KEPT: usize = 16_000_000;

/// The longest text of a record, in bytes, that is read as cells.
const LONGEST_ROW: usize = 256 * 1024;

/// The most that is kept of a key, which is no key when it is longer.
const MOST_KEY: usize = 100_000;

/// The most fields of one object; of a row of delimited text there may be as many.
const MOST_FIELDS: usize = 100_000;

/// Up to so many names are compared one by one to see whether one is there twice.
const FEW: usize = 48;

/// The most bytes of a name that a message, or a list of columns, holds.
const LONGEST_NAME: usize = 200;

/// The most names of columns that one record shows.
const MOST_COLUMNS: usize = 5_000;

/// What is known of a record.
#[derive(Debug, Default, PartialEq)]
pub(in crate::source) struct Document {
    /// What is wanted of it: where it is an object, the fields that lead to wanted columns.
    pub value: Value,
    /// Whether it says nothing.
    pub blank: bool,
    /// The name of a field that stands twice in one object: which of the two is meant can't be known.
    pub doubled: Option<String>,
    /// What about it is too much, to follow "it".
    pub excess: Option<String>,
    /// Equal records have equal prints, whatever the order of their fields; the key does not count.
    pub print: u64,
    /// The names of its columns, fields of objects by dotted path; where they are asked for.
    pub columns: Vec<String>,
    /// What is wanted of it in place of `value`, where it was read as cells.
    pub row: Option<Row>,
}

/// Reads the records of one source.
pub(in crate::source) struct Wants {
    key: String,
    /// The columns that are used, the key among them.
    columns: Vec<String>,
    lists_columns: bool,
    hasher: RandomState,
    /// Whether anybody looks at the prints of records.
    prints: bool,
    /// Reads objects as cells, where that is wanted.
    fields: Option<RefCell<Fields>>,
}

impl Wants {
    /// Of records that have their key in this column, these columns are wanted.
    pub fn new<'c>(key: &str, columns: impl IntoIterator<Item = &'c String>) -> Wants {
        let mut columns: Vec<String> = columns.into_iter().cloned().chain([key.to_string()]).collect();
        columns.sort();
        columns.dedup();
        Wants { key: key.into(), columns, lists_columns: false, hasher: RandomState::new(), prints: true, fields: None }
    }

    /// The same, and the names of all columns that are there.
    pub fn listing_columns(self, lists_columns: bool) -> Wants {
        let fields = self.fields.filter(|_| !lists_columns);
        Wants { lists_columns, fields, ..self }
    }

    /// The same, and objects are read as cells where they can be.
    pub fn reading_cells(self) -> Wants {
        Wants { fields: Some(RefCell::default()), ..self }
    }

    /// The columns in the order of their numbers.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The record that this text is.
    ///
    /// # Errors
    /// It is not JSON.
    pub fn of_text(&self, text: &[u8]) -> Result<Document, serde_json::Error> {
        if self.reads_cells() && text.len() <= LONGEST_ROW {
            let mut parser = serde_json::Deserializer::from_slice(text);
            if let Ok(document) =
                AsRow(self).deserialize(&mut parser).and_then(|document| parser.end().map(|()| document))
            {
                return Ok(document);
            }
        }
        let mut parser = serde_json::Deserializer::from_slice(text);
        let document = self.deserialize(&mut parser)?;
        parser.end().map(|()| document)
    }

    /// Whether reading a record as cells is worth the attempt.
    pub fn reads_cells(&self) -> bool {
        self.fields.as_ref().is_some_and(|fields| fields.borrow().is_promising())
    }

    /// The same, whose prints nobody looks at.
    pub fn without_prints(self) -> Wants {
        Wants { prints: false, ..self }
    }

    /// The print of something; nothing where nobody looks at prints.
    fn print(&self, what: impl Hash) -> u64 {
        if self.prints { self.hash(what) } else { 0 }
    }

    fn hash(&self, what: impl Hash) -> u64 {
        self.hasher.hash_one(what)
    }
}

/// Reads a record as cells, or fails where it can't be read so.
#[derive(Clone, Copy)]
pub(in crate::source) struct AsRow<'w>(pub &'w Wants);

impl<'de> DeserializeSeed<'de> for AsRow<'_> {
    type Value = Document;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Document, D::Error> {
        let Some(fields) = &self.0.fields else { return Err(D::Error::custom("cells are not wanted")) };
        let (row, print, blank) = fields.borrow_mut().read(&mut State::new(self.0), deserializer)?;
        Ok(Document { blank, print, row: Some(row), ..Document::default() })
    }
}

impl<'de> DeserializeSeed<'de> for &Wants {
    type Value = Document;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Document, D::Error> {
        let mut state = State::new(self);
        let seen = Node { state: &mut state, keep: self.keep(), depth: 0 }.deserialize(deserializer)?;
        let State { budget, doubled, excess, columns, .. } = state;
        let too_much = || format!("holds more of what is used than is kept in memory ({} MB)", MOST_KEPT / 1_000_000);
        let excess = excess.or_else(|| budget.excess().map(|_| too_much()));
        Ok(Document { value: seen.value, blank: seen.blank, doubled, excess, print: seen.print, columns, row: None })
    }
}

/// What one record has come to so far.
struct State<'w> {
    wants: &'w Wants,
    budget: Budget,
    /// Prints of the names in the objects that are open, one after the other.
    names: Vec<u64>,
    doubled: Option<String>,
    excess: Option<String>,
    /// Where we are, as long as columns are listed and this is no list.
    path: Option<String>,
    columns: Vec<String>,
}

impl<'w> State<'w> {
    fn new(wants: &'w Wants) -> State<'w> {
        State {
            wants,
            budget: Budget::of(MOST_KEPT),
            names: Vec::new(),
            doubled: None,
            excess: None,
            path: wants.lists_columns.then(String::new),
            columns: Vec::new(),
        }
    }

    fn hash(&self, what: impl Hash) -> u64 {
        self.wants.hash(what)
    }

    /// This place is a column.
    fn note_column(&mut self) {
        if let Some(path) = self.path.as_ref().filter(|path| !path.is_empty() && self.columns.len() < MOST_COLUMNS) {
            self.columns.push(path.clone());
        }
    }
}

/// A column that is wanted, from where we are.
#[derive(Clone, Copy)]
struct Column<'w> {
    rest: &'w str,
    /// It is the key, which is kept whatever the others take: it tells whose record this is.
    key: bool,
}

/// What is kept of a value.
#[derive(Clone)]
enum Keep<'w> {
    Nothing,
    /// Of an object, what leads to these columns; of anything else nothing.
    Parts(Vec<Column<'w>>),
    /// All; whether it is the key.
    Whole(bool),
}

impl<'w> Keep<'w> {
    /// What is kept of the field of this name in an object of which this is kept.
    fn field(&self, name: &str) -> Keep<'w> {
        let columns = match self {
            Keep::Parts(columns) => columns,
            Keep::Whole(_) => return Keep::Whole(false),
            Keep::Nothing => return Keep::Nothing,
        };
        if let Some(column) = columns.iter().find(|column| column.rest == name) {
            return Keep::Whole(column.key);
        }
        let below = |column: &Column<'w>| {
            let rest = column.rest.strip_prefix(name)?.strip_prefix('.')?;
            Some(Column { rest, ..*column })
        };
        let below: Vec<Column<'w>> = columns.iter().filter_map(below).collect();
        if below.is_empty() { Keep::Nothing } else { Keep::Parts(below) }
    }

    fn is_nothing(&self) -> bool {
        matches!(self, Keep::Nothing)
    }

    fn has_key(&self) -> bool {
        match self {
            Keep::Nothing => false,
            Keep::Parts(columns) => columns.iter().any(|column| column.key),
            Keep::Whole(key) => *key,
        }
    }
}

/// A value that has been read.
struct Seen {
    value: Value,
    print: u64,
    blank: bool,
}

/// A value that is to be read.
struct Node<'s, 'w> {
    state: &'s mut State<'w>,
    keep: Keep<'w>,
    depth: usize,
}

impl Node<'_, '_> {
    /// A value that is neither text, list nor object.
    fn plain(self, value: Value, what: impl Hash, blank: bool) -> Seen {
        self.state.note_column();
        let print = self.state.hash(what);
        Seen { value: if matches!(self.keep, Keep::Whole(_)) { value } else { Value::Null }, print, blank }
    }

    /// What is too deep: nothing of it is kept, and its print is that of all that is so deep.
    fn too_deep(self) -> Seen {
        if matches!(self.keep, Keep::Whole(_)) {
            self.state.excess.get_or_insert_with(|| format!("is nested deeper than {DEEPEST} levels in what is used"));
        }
        Seen { value: Value::Null, print: 0, blank: false }
    }

    /// Whether there is room for something of which this is kept.
    fn has_room(&self, keep: &Keep<'_>) -> bool {
        !keep.is_nothing() && (keep.has_key() || self.state.budget.excess().is_none())
    }

    /// The path before a field of an object is entered, and the path within.
    fn enter(&mut self, name: Option<&str>) -> usize {
        let Some(path) = &mut self.state.path else { return 0 };
        let before = path.len();
        if before > 0 {
            path.push('.');
        }
        path.push_str(name.unwrap_or_default());
        before
    }

    fn leave(&mut self, before: usize) {
        if let Some(path) = &mut self.state.path {
            path.truncate(before);
        }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = Seen;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Seen, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = Seen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Seen, A::Error> {
        if self.depth >= DEEPEST {
            bounded::rest_of_map(map)?;
            return Ok(self.too_deep());
        }
        let begin = self.state.names.len();
        let (mut kept, mut print, mut blank, mut many) = (Map::new(), 0u64, true, None);
        while let Some(field) = map.next_key_seed(Name { node: &self, begin, many: &mut many })? {
            self.state.names.push(field.print);
            if self.state.doubled.is_none() {
                self.state.doubled = field.doubled;
            }
            if self.state.names.len() - begin > MOST_FIELDS {
                self.state.excess.get_or_insert_with(|| format!("has more than {MOST_FIELDS} fields in one object"));
                map.next_value::<IgnoredAny>()?;
                bounded::rest_of_map(map)?;
                break;
            }
            if !field.keep.is_nothing() {
                self.state.budget.take_member(field.name.as_ref().map_or(0, String::len), kept.len());
            }
            let before = self.enter(field.name.as_deref());
            let (keep, depth) = (field.keep.clone(), self.depth + 1);
            let seen = map.next_value_seed(Node { state: self.state, keep, depth })?;
            self.leave(before);
            blank &= seen.blank;
            let its_key = self.depth == 0 && field.name.as_deref() == Some(&self.state.wants.key);
            if !its_key {
                print = print.wrapping_add(self.state.hash((field.print, seen.print)));
            }
            if let Some(name) = field.name.filter(|_| self.has_room(&field.keep)) {
                kept.insert(name, seen.value);
            }
        }
        let count = self.state.names.len() - begin;
        self.state.names.truncate(begin);
        if count == 0 {
            self.state.note_column();
        }
        let print = self.state.hash(('o', count, print));
        Ok(Seen { value: if self.keep.is_nothing() { Value::Null } else { Value::Object(kept) }, print, blank })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Seen, A::Error> {
        if self.depth >= DEEPEST {
            bounded::rest_of_list(list)?;
            return Ok(self.too_deep());
        }
        self.state.note_column();
        let path = self.state.path.take();
        let keep = if matches!(self.keep, Keep::Whole(_)) { Keep::Whole(false) } else { Keep::Nothing };
        let (mut kept, mut print, mut blank, depth) = (Vec::new(), 0u64, true, self.depth + 1);
        while let Some(seen) = list.next_element_seed(Node { state: self.state, keep: keep.clone(), depth })? {
            print = self.state.hash((print, seen.print));
            blank &= seen.blank;
            if !keep.is_nothing() && self.state.budget.take_item(kept.len()) {
                kept.push(seen.value);
            } else {
                kept = Vec::new();
            }
        }
        self.state.path = path;
        let print = self.state.hash(('l', print));
        Ok(Seen { value: if keep.is_nothing() { Value::Null } else { Value::Array(kept) }, print, blank })
    }

    fn visit_str<E>(self, text: &str) -> Result<Seen, E> {
        self.state.note_column();
        let value = match self.keep {
            Keep::Whole(true) if text.len() > MOST_KEY => {
                self.state.excess.get_or_insert_with(|| format!("has a key of more than {} kB", MOST_KEY / 1000));
                Value::Null
            }
            Keep::Whole(true) => text.into(),
            Keep::Whole(false) if self.state.budget.take_text(text.len()) => text.into(),
            _ => Value::Null,
        };
        Ok(Seen { value, print: self.state.hash(('s', text)), blank: text.trim().is_empty() })
    }

    fn visit_bool<E>(self, value: bool) -> Result<Seen, E> {
        Ok(self.plain(value.into(), ('b', value), false))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Seen, E> {
        Ok(self.plain(value.into(), ('u', value), false))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Seen, E> {
        Ok(self.plain(value.into(), ('i', value), false))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Seen, E> {
        let number = Number::from_f64(value).map_or(Value::Null, Value::Number);
        Ok(self.plain(number, ('f', value.to_bits()), false))
    }

    fn visit_unit<E>(self) -> Result<Seen, E> {
        Ok(self.plain(Value::Null, 'n', true))
    }
}

/// The name of a field, when its turn has come.
struct Field<'w> {
    print: u64,
    keep: Keep<'w>,
    /// The name, where anything of the field is kept or columns are listed.
    name: Option<String>,
    /// The name, where it was there before.
    doubled: Option<String>,
}

/// Looks at the name of a field.
struct Name<'n, 's, 'w> {
    node: &'n Node<'s, 'w>,
    /// Where the names of its object begin.
    begin: usize,
    /// Those names, once they are many.
    many: &'n mut Option<HashSet<u64>>,
}

impl Name<'_, '_, '_> {
    /// Whether the object has a name of this print already.
    fn is_doubled(&mut self, print: u64) -> bool {
        let before = &self.node.state.names[self.begin..];
        match self.many {
            Some(many) => !many.insert(print),
            None if before.len() < FEW => before.contains(&print),
            None => !self.many.insert(before.iter().copied().collect()).insert(print),
        }
    }
}

impl<'de, 'w> DeserializeSeed<'de> for Name<'_, '_, 'w> {
    type Value = Field<'w>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Field<'w>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'w> Visitor<'_> for Name<'_, '_, 'w> {
    type Value = Field<'w>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(mut self, name: &str) -> Result<Field<'w>, E> {
        let print = self.node.state.hash(('k', name));
        let keep = self.node.keep.field(name);
        let doubled = self.is_doubled(print).then(|| shortened(name).to_string());
        let whole = self.node.has_room(&keep).then(|| name.to_string());
        let name = whole.or_else(|| self.node.state.path.is_some().then(|| shortened(name).to_string()));
        Ok(Field { print, keep, name, doubled })
    }
}

/// As much of a name as is shown.
pub(in crate::source) fn shortened(name: &str) -> &str {
    &name[..name.floor_char_boundary(LONGEST_NAME)]
}

#[cfg(test)]
mod tests;
