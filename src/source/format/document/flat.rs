//! Objects that are read without becoming a tree first: their scalars become cells at once, by the number of their column.
//!
//! Most records are objects of texts and numbers with the same fields in the same order, so the fields are numbered as they
//! are met, and what follows from a name is found out once. Whatever else a record is (an object with a field twice, with
//! too much of something, with a value that is no cell) is left to the reader of trees in the parent module, which is also
//! what this is held against: every record is judged to be the same either way.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use memchr::memchr;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::super::judge::EXACT;
use super::{Column, Keep, MOST_KEY, Node, Seen, State, Wants};
use crate::domain::record::cells::{put_text, put_value};

/// The most fields that are numbered.
const MOST_FIELDS: usize = 1_000;

/// The longest name that is numbered, in bytes.
const LONGEST_NAME: usize = 200;

/// So often reading may fail before it counts how often it does.
const PATIENCE: usize = 64;

/// What is kept of an object: scalars as cells, the rest as a tree.
#[derive(Debug, Default, PartialEq)]
pub(in crate::source) struct Row {
    cells: Vec<u8>,
    /// Where the cell of each wanted column is, if it has one.
    places: Vec<Option<Range<usize>>>,
    /// The fields that are no cells.
    tree: Map<String, Value>,
}

impl Row {
    /// What is kept as a tree alone.
    pub fn of_tree(tree: Map<String, Value>) -> Row {
        Row { tree, ..Row::default() }
    }

    /// The fields that are no cells.
    pub fn tree(&self) -> &Map<String, Value> {
        &self.tree
    }

    /// The cell of a column by its number among those that are wanted.
    pub fn cell(&self, number: usize) -> Option<&[u8]> {
        self.places.get(number)?.clone().map(|place| &self.cells[place])
    }
}

/// A field, wherever it was met.
struct Field {
    name: Box<str>,
    print: u64,
    is_key: bool,
    /// Whether anything of it is kept.
    kept: bool,
    /// The column that it is.
    column: Option<usize>,
    /// The number of the last object that had it.
    last: u64,
}

/// The fields that were met so far.
#[derive(Default)]
pub(super) struct Fields {
    fields: Vec<Field>,
    numbers: HashMap<Box<str>, usize>,
    objects: u64,
    failed: usize,
}

impl Fields {
    /// Whether it is worth the attempt.
    pub fn is_promising(&self) -> bool {
        self.failed < PATIENCE || (self.failed as u64) < self.objects / 2
    }

    /// Reads an object.
    ///
    /// # Errors
    /// It can't be read in this way, or it is no JSON.
    pub fn read<'de, D: Deserializer<'de>>(
        &mut self,
        state: &mut State<'_>,
        deserializer: D,
    ) -> Result<(Row, u64, bool), D::Error> {
        self.objects += 1;
        let read = deserializer.deserialize_map(Object { fields: self, state });
        self.failed += usize::from(read.is_err());
        read
    }
}

/// The field of this name, the next one if it is.
struct Name<'f, 'w> {
    fields: &'f mut Fields,
    next: usize,
    wants: &'w Wants,
}

impl<'de> DeserializeSeed<'de> for Name<'_, '_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_, '_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    #[inline]
    fn visit_str<E: Error>(self, name: &str) -> Result<usize, E> {
        let Fields { fields, numbers, .. } = self.fields;
        if fields.get(self.next).is_some_and(|field| *field.name == *name) {
            return Ok(self.next);
        }
        if let Some(number) = numbers.get(name) {
            return Ok(*number);
        }
        if name.len() > LONGEST_NAME || fields.len() == MOST_FIELDS {
            return Err(E::custom("a field that is not numbered"));
        }
        let number = fields.len();
        fields.push(Field {
            name: name.into(),
            print: self.wants.hash(('k', name)),
            is_key: name == self.wants.key,
            kept: !self.wants.keep().field(name).is_nothing(),
            column: self.wants.columns.iter().position(|column| column == name),
            last: 0,
        });
        numbers.insert(name.into(), number);
        Ok(number)
    }
}

struct Object<'f, 's, 'w> {
    fields: &'f mut Fields,
    state: &'s mut State<'w>,
}

impl<'de> Visitor<'de> for Object<'_, '_, '_> {
    type Value = (Row, u64, bool);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Object { fields, state } = self;
        let wants = state.wants;
        let mut row = Row { cells: Vec::with_capacity(256), places: vec![None; wants.columns.len()], tree: Map::new() };
        let (mut print, mut blank, mut count, mut kept, mut next) = (0u64, true, 0usize, 0, 0);
        while let Some(number) = map.next_key_seed(Name { fields, next, wants })? {
            let object = fields.objects;
            let field = &mut fields.fields[number];
            if std::mem::replace(&mut field.last, object) == object {
                return Err(A::Error::custom("a field that is there twice"));
            }
            if field.kept {
                state.budget.take_member(field.name.len(), kept);
                kept += 1;
            }
            let seen = map.next_value_seed(Cell { field, row: &mut row, state })?;
            blank &= seen.blank;
            if !field.is_key {
                print = print.wrapping_add(wants.print((field.print, seen.print)));
            }
            (count, next) = (count + 1, number + 1);
        }
        if state.doubled.is_some() || state.excess.is_some() || state.budget.excess().is_some() {
            return Err(A::Error::custom("something that must be told"));
        }
        Ok((row, wants.print(('o', count, print)), blank))
    }
}

/// The value of a field, which becomes a cell of the row where it is wanted.
struct Cell<'f, 's, 'w> {
    field: &'f Field,
    row: &'f mut Row,
    state: &'s mut State<'w>,
}

impl<'s, 'w> Cell<'_, 's, 'w> {
    fn put(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        if let Some(column) = self.field.column {
            let start = self.row.cells.len();
            put(&mut self.row.cells);
            self.row.places[column] = Some(start..self.row.cells.len());
        }
    }

    /// A value that is neither text, list nor object.
    fn scalar<E: Error>(mut self, read: impl FnOnce(Node<'_, 'w>) -> Result<Seen, E>) -> Result<Seen, E> {
        let seen = read(Node { state: self.state, keep: Keep::Whole(false), depth: 1 })?;
        self.put(|cells| put_value(cells, &seen.value));
        Ok(seen)
    }

    /// A list or an object.
    fn tree<E>(self, read: impl FnOnce(Node<'s, 'w>) -> Result<Seen, E>) -> Result<Seen, E> {
        let keep = self.state.wants.keep().field(&self.field.name);
        let mut seen = read(Node { state: self.state, keep, depth: 1 })?;
        if self.field.kept {
            self.row.tree.insert(self.field.name.to_string(), seen.value.take());
        }
        Ok(seen)
    }
}

impl<'de> DeserializeSeed<'de> for Cell<'_, '_, '_> {
    type Value = Seen;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Seen, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Cell<'_, '_, '_> {
    type Value = Seen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    #[inline]
    fn visit_str<E: Error>(mut self, text: &str) -> Result<Seen, E> {
        if self.field.column.is_some() {
            if memchr(0, text.as_bytes()).is_some() || (self.field.is_key && text.len() > MOST_KEY) {
                return Err(E::custom("a text that is no cell"));
            }
            if !self.field.is_key {
                self.state.budget.take_text(text.len());
            }
            self.put(|cells| put_text(cells, text.as_bytes()));
        }
        // Nearly every text begins with something visible.
        let blank = !text.as_bytes().first().is_some_and(u8::is_ascii_graphic) && text.trim().is_empty();
        Ok(Seen { value: Value::Null, print: self.state.wants.print(('s', text)), blank })
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Seen, E> {
        self.scalar(|node| node.visit_bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Seen, E> {
        self.scalar(|node| node.visit_u64(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Seen, E> {
        self.scalar(|node| node.visit_i64(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Seen, E> {
        if value.abs() >= EXACT {
            return Err(E::custom("a number that is no cell"));
        }
        self.scalar(|node| node.visit_f64(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Seen, E> {
        self.scalar(|node| node.visit_unit())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Seen, A::Error> {
        self.tree(|node| node.visit_map(map))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Seen, A::Error> {
        self.tree(|node| node.visit_seq(list))
    }
}

impl Wants {
    /// What is kept of a record.
    pub(super) fn keep(&self) -> Keep<'_> {
        let column = |name| Column { rest: name, key: *name == self.key };
        Keep::Parts(self.columns.iter().map(|name| column(name.as_str())).collect())
    }
}

#[cfg(test)]
impl Wants {
    /// The same, and objects are read as trees.
    pub(in crate::source) fn as_trees(&self) -> Wants {
        let Wants { key, columns, lists_columns, hasher, prints, .. } = self;
        let (key, columns, hasher) = (key.clone(), columns.clone(), hasher.clone());
        Wants { key, columns, lists_columns: *lists_columns, hasher, prints: *prints, fields: None }
    }
}
