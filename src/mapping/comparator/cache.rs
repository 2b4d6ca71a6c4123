//! The results of an expression for inputs that came before: of a million people, a few hundred have another department.

use std::collections::HashMap;

use serde_json::Value;

use super::Cells;
use crate::domain::record::cells::put_value;
use crate::mapping::expression::{Expression, Scope};

/// How many results are kept.
const MOST: usize = 1024;
/// How many bytes the inputs of a result that is kept have, and its text, at most.
const SMALL: usize = 128;
/// After how many inputs it is asked whether most of them came before.
const TRIED: u32 = 1024;

/// What is made of an expression's result; nothing where it fails.
type Made = Option<Option<Value>>;

/// An expression's inputs and results.
pub(super) struct Cached {
    /// The columns that it can look at, and where they stand.
    columns: Vec<(String, usize)>,
    today: String,
    /// By inputs, the number of the result.
    numbers: HashMap<Vec<u8>, usize>,
    results: Vec<Made>,
    tried: u32,
    found: u32,
    /// The inputs at hand.
    inputs: Vec<u8>,
    /// The last result that was not kept.
    last: Made,
}

impl Cached {
    /// Of an expression of a mapping that refers to these columns.
    pub fn new(expression: &Expression, columns: &[(String, usize)], today: &str) -> Cached {
        // `a.b` may be the column of that name, or something in the column `a`.
        let within = |name: &str, column: &str| {
            column.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let refers = |name: &str| expression.columns().iter().any(|column| within(name, column));
        Cached {
            columns: columns.iter().filter(|(name, _)| refers(name)).cloned().collect(),
            today: today.into(),
            numbers: HashMap::new(),
            results: Vec::new(),
            tried: 0,
            found: 0,
            inputs: Vec::new(),
            last: None,
        }
    }

    /// What `make` makes of the expression's result for this row; nothing where either fails.
    pub fn result(
        &mut self,
        cells: Cells<'_>,
        expression: &Expression,
        make: impl FnOnce(Value) -> Result<Option<Value>, String>,
    ) -> Option<Option<&Value>> {
        let is_worth_it = self.tried < TRIED || self.found > self.tried / 2;
        if is_worth_it {
            self.tried += 1;
            self.inputs.clear();
            for (_, place) in &self.columns {
                match cells.get(*place) {
                    Some(cell) => self.inputs.extend_from_slice(cell),
                    None => put_value(&mut self.inputs, &Value::Null),
                }
            }
            if let Some(number) = self.numbers.get(&self.inputs) {
                self.found += 1;
                return self.results[*number].as_ref().map(Option::as_ref);
            }
        } else if !self.results.is_empty() {
            (self.numbers, self.results) = (HashMap::new(), Vec::new());
        }
        let made = self.evaluate(cells, expression).and_then(|value| make(value).ok());
        let is_small = self.inputs.len() <= SMALL && made.iter().flatten().all(is_small);
        let kept = if is_worth_it && is_small && self.results.len() < MOST {
            self.numbers.insert(self.inputs.clone(), self.results.len());
            self.results.push(made);
            self.results.last()
        } else {
            self.last = made;
            Some(&self.last)
        };
        kept?.as_ref().map(Option::as_ref)
    }

    fn evaluate(&self, cells: Cells<'_>, expression: &Expression) -> Option<Value> {
        let mut values = Vec::with_capacity(self.columns.len());
        for (name, place) in &self.columns {
            values.push((name.as_str(), cells.value(*place)?));
        }
        let cell = |name: &str| values.iter().find(|(column, _)| *column == name).map(|(_, value)| value);
        expression.evaluate(&Scope::new(&cell, &self.today)).ok()
    }
}

fn is_small(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => text.len() <= SMALL,
        Value::Array(_) | Value::Object(_) => false,
    }
}
