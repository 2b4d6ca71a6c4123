//! Several rows of one person, and how they are named for people.
//!
//! Pure. Which of the rows count is decided for each sync by its mapping, [`crate::mapping::Bound::decide`].

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::Position;

/// How many positions a message lists before it counts the rest.
pub const LISTED: usize = 10;

/// The members of a union, each with the number of rows before its own. Empty for any other source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members(Arc<[(u64, String)]>);

impl Members {
    /// These members and one more, whose rows come after `before` others.
    #[must_use]
    pub fn and(&self, before: u64, name: &str) -> Members {
        Members(self.0.iter().cloned().chain([(before, name.to_owned())]).collect())
    }

    /// The member that a row is of, and its number there.
    fn of(&self, record: u64) -> Option<(&str, u64)> {
        let (before, name) = self.0.iter().rev().find(|(before, _)| record > *before)?;
        Some((name, record - before))
    }
}

/// Where some rows stand: the first few of them, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    first: Vec<Position>,
    count: u64,
}

impl Places {
    /// Adds a row. Rows come in the order of the source, or [`Places::merged`] puts them in it.
    pub fn add(&mut self, position: Position) {
        self.count += 1;
        if self.first.len() <= LISTED {
            self.first.push(position);
        }
    }

    /// All of these as one, in the order of the source.
    pub fn merged<'p>(all: impl IntoIterator<Item = &'p Places>) -> Places {
        let mut merged = Places::default();
        for places in all {
            merged.first.extend(&places.first);
            merged.count += places.count;
        }
        merged.first.sort_by_key(|position| position.record);
        merged.first.truncate(LISTED + 1);
        merged
    }

    /// How many rows there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The first of them.
    pub fn first(&self) -> Option<Position> {
        self.first.first().copied()
    }

    /// `rows 3, 17 and 29`; in a union, `rows 3 of hr-a and 17 of hr-b`.
    pub fn listed(&self, members: &Members) -> String {
        let row = |position: &Position| match members.of(position.record) {
            Some((name, record)) => format!("{record} of {name}"),
            None => position.record.to_string(),
        };
        format!("rows {}", self.joined(row))
    }

    /// ` (lines 3, 17 and 29)`; nothing where there are no lines.
    pub fn lines(&self) -> String {
        if self.first.iter().any(|position| position.line == 0) {
            return String::new();
        }
        format!(" (lines {})", self.joined(|position| position.line.to_string()))
    }

    /// `3, 17 and 29`; of many, the first and how many more.
    fn joined(&self, number: impl Fn(&Position) -> String) -> String {
        let numbers: Vec<String> = self.first.iter().take(LISTED).map(number).collect();
        let more = self.count - numbers.len() as u64;
        match numbers.split_last() {
            Some(_) if more > 0 => format!("{} and {more} more", numbers.join(", ")),
            Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
            _ => numbers.concat(),
        }
    }
}

/// One of several rows of a person. No two of them have the same cells.
#[derive(Clone, PartialEq)]
pub struct Row {
    /// Where it stands, and where those stand that repeat it.
    pub places: Places,
    /// Its cells, in the order of the source's columns; none of a row that `is_known`.
    pub cells: Vec<Value>,
    /// It says what the snapshot of each sync on the source remembers, and its cells were not kept.
    pub is_known: bool,
}

impl Row {
    /// A row that stands here.
    pub fn new(position: Position, cells: Vec<Value>) -> Row {
        let mut places = Places::default();
        places.add(position);
        Row { places, cells, is_known: false }
    }

    /// A row of which the snapshot tells what it says.
    pub fn known(position: Position) -> Row {
        Row { is_known: true, ..Row::new(position, Vec::new()) }
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Row({} cells)", self.cells.len())
    }
}

/// All rows of a person who has several that differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Several {
    /// The rows in the order of the source, at least two.
    pub rows: Vec<Row>,
    /// Whose rows they are, in a union.
    pub members: Members,
}

impl Several {
    /// This row alone.
    pub(super) fn of(row: Row) -> Several {
        Several { rows: vec![row], members: Members::default() }
    }

    /// Adds a row, to one that it repeats where there is such a one.
    pub(super) fn add(&mut self, position: Position, cells: Vec<Value>) {
        let alike = |row: &&mut Row| row.cells.iter().zip(&cells).all(|(a, b)| same_cell(a, b));
        match self.rows.iter_mut().find(alike) {
            Some(row) => row.places.add(position),
            None => self.rows.push(Row::new(position, cells)),
        }
    }

    /// How many rows there are, those that repeat another included.
    pub fn count(&self) -> u64 {
        self.rows.iter().map(|row| row.places.count()).sum()
    }
}

/// A cell as text, for comparing rows: a number is the same as its digits, and what is absent the same as what is empty.
pub fn same_cell(a: &Value, b: &Value) -> bool {
    let text = |cell: &Value| match cell {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    a == b || text(a) == text(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(record: u64) -> Position {
        Position { line: record + 1, record }
    }

    fn places(records: &[u64]) -> Places {
        let mut places = Places::default();
        records.iter().for_each(|record| places.add(at(*record)));
        places
    }

    #[test]
    fn rows_are_listed_in_their_order_with_lines_and_members() {
        let merged = Places::merged([&places(&[4]), &places(&[2, 9])]);
        assert_eq!(merged.listed(&Members::default()) + &merged.lines(), "rows 2, 4 and 9 (lines 3, 5 and 10)");
        let members = Members::default().and(0, "hr-a").and(3, "hr-b");
        assert_eq!(merged.listed(&members), "rows 2 of hr-a, 1 of hr-b and 6 of hr-b");
        let many = Places::merged([&places(&(1..=40).collect::<Vec<_>>()), &places(&[50])]);
        assert_eq!(many.listed(&Members::default()), "rows 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 31 more");
        assert_eq!((many.count(), many.first()), (41, Some(at(1))));
    }

    #[test]
    fn a_number_is_the_same_as_its_digits_and_absent_the_same_as_empty() {
        for (a, b, same) in [
            (json!(7), json!("7"), true),
            (json!(null), json!(""), true),
            (json!("a"), json!("a"), true),
            (json!("a"), json!("A"), false),
            (json!(["a"]), json!(["a"]), true),
            (json!(["a"]), json!(["b"]), false),
        ] {
            assert_eq!(same_cell(&a, &b), same, "{a} {b}");
        }
    }
}
