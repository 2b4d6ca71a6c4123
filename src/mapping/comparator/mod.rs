//! Whether rows come to what is known of accounts, asked of many rows of which nearly all do.
//!
//! Nothing is made of what a row comes to: a column's text is compared as it stands, and an expression whose inputs came
//! before has the result that it had then. What is not plainly the same is left to [`Bound::apply`], which says what
//! differs, or why the row can't be used. Pure.

mod cache;
mod held;

use serde_json::Value;

use self::cache::Cached;
use self::held::{Held, held};
use super::{Bound, Expression, Rule, Source, When};
use crate::domain::local_time::LocalTime;
use crate::domain::record::cells;
use crate::domain::value::{is_empty, same};

/// What a row is beside what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comes {
    /// It is in scope, and comes to the values that the account has.
    Same,
    /// It is out of scope.
    Excluded,
}

/// Compares the rows of one source with accounts at one time.
pub struct Comparator {
    bound: Bound,
    include: Option<Cached>,
    /// The rules in the order of their fields.
    parts: Vec<Part>,
    /// Where each cell of a row ends.
    ends: Vec<usize>,
}

/// A rule, and where its value comes from.
struct Part {
    /// Its number in the mapping.
    rule: usize,
    from: Input,
}

enum Input {
    /// It is a constant.
    Constant,
    /// The cell of this place.
    Cell(usize),
    Expression(Cached),
}

/// A row in its encoded form (`domain::record::cells`): a cell for each column of the source.
#[derive(Clone, Copy)]
struct Cells<'r> {
    bytes: &'r [u8],
    ends: &'r [usize],
}

impl<'r> Cells<'r> {
    /// A cell in its encoded form; nothing where the row is too short.
    fn get(self, place: usize) -> Option<&'r [u8]> {
        let start = if place == 0 { 0 } else { *self.ends.get(place - 1)? };
        self.bytes.get(start..*self.ends.get(place)?)
    }

    /// A cell's value; a column that is not there has none.
    fn value(self, place: usize) -> Option<Value> {
        self.get(place).map_or(Some(Value::Null), cells::value)
    }
}

impl Bound {
    /// Compares rows that have the columns to which the mapping is bound.
    pub fn comparator(&self, time: LocalTime) -> Comparator {
        let cached = |expression: &Expression| Cached::new(expression, &self.cells, time);
        let mut parts: Vec<Part> = (self.mapping.rules.iter().enumerate())
            .map(|(number, rule)| Part {
                rule: number,
                from: match &rule.from {
                    Source::Constant(_) => Input::Constant,
                    Source::Column(name) => Input::Cell(self.place(name)),
                    Source::Cel(expression) => Input::Expression(cached(expression)),
                },
            })
            .collect();
        parts.sort_by(|a, b| self.mapping.rules[a.rule].field.cmp(&self.mapping.rules[b.rule].field));
        let include = self.mapping.include.as_ref().map(cached);
        Comparator { bound: self.clone(), include, parts, ends: Vec::new() }
    }
}

impl Comparator {
    /// What a row comes to, of somebody of whom this was acknowledged: the JSON of
    /// [`Attributes`](crate::domain::value::Attributes). Nothing where it comes to something else, where it can't be used,
    /// and where that JSON can't.
    pub fn compare(&mut self, row: &[u8], acknowledged: &str) -> Option<Comes> {
        let Comparator { bound, include, parts, ends } = self;
        ends.clear();
        let mut rest = row;
        while let Some((_, after)) = cells::split_first(rest) {
            ends.push(row.len() - after.len());
            rest = after;
        }
        if !rest.is_empty() {
            return None;
        }
        let cells = Cells { bytes: row, ends };
        let mapping = &bound.mapping;
        if let (Some(cached), Some(include)) = (include, &mapping.include) {
            match cached.result(cells, include, |value| Ok(Some(value)))? {
                Some(Value::Bool(true)) => {}
                Some(Value::Bool(false)) => return Some(Comes::Excluded),
                _ => return None,
            }
        }
        let held = held(acknowledged)?;
        let mut held = held.iter().peekable();
        for Part { rule, from } in parts {
            let rule = &mapping.rules[*rule];
            while held.next_if(|(field, _)| **field < *rule.field).is_some() {}
            let known = held.next_if(|(field, _)| **field == *rule.field).map(|(_, value)| value);
            let as_it_stands = match (&*from, known) {
                (Input::Cell(place), Some(Held::Text(known))) => rule.is_as_it_stands(cells.get(*place), known),
                _ => false,
            };
            if !as_it_stands && !rule.comes_to(from, cells, known)? {
                return None;
            }
        }
        Some(Comes::Same)
    }
}

impl Rule {
    /// Whether a cell is this text, and the field is given a text as it stands.
    fn is_as_it_stands(&self, cell: Option<&[u8]>, known: &str) -> bool {
        let is_it = cell.and_then(cells::first_text).is_some_and(|text| text == known.as_bytes());
        is_it && !self.identifies && self.when == When::Always && self.admits.takes_as_it_stands(known)
    }

    /// Whether the value is what is known of the field; nothing where there is none that the field admits.
    fn comes_to(&self, from: &mut Input, cells: Cells<'_>, known: Option<&Held<'_>>) -> Option<bool> {
        let settle = |value| self.settle(value).map(|field| field.map(|field| field.value));
        let coerce = |raw| self.admits.coerce(raw).and_then(settle);
        let made;
        let value = match (from, &self.from) {
            (Input::Expression(cached), Source::Cel(expression)) => cached.result(cells, expression, coerce)?,
            (Input::Cell(place), _) => {
                made = coerce(cells.value(*place)?).ok()?;
                made.as_ref()
            }
            (_, Source::Constant(value)) => {
                made = settle(value.clone()).ok()?;
                made.as_ref()
            }
            _ => return None,
        };
        // What is to be left alone is compared with nothing.
        let Some(value) = value.filter(|_| self.when == When::Always) else { return Some(true) };
        Some(match (known, value) {
            (None, value) => is_empty(value),
            (Some(Held::Text(known)), Value::String(value)) => known == value,
            (Some(Held::Text(known)), value) => same(self.admits.kind(), &Value::from(&**known), value),
            (Some(Held::Other(known)), value) => same(self.admits.kind(), known, value),
        })
    }
}

#[cfg(test)]
mod tests;
