//! The results of an expression for inputs that came before: of a million people, a few hundred have another department.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::Cells;
use crate::domain::local_time::LocalTime;
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
    /// The mapping's columns and where they stand, in the order of their names; an expression may come to see others than
    /// those that it names, as `row["a"].b` does where there is a column `a.b`.
    columns: Arc<[(String, usize)]>,
    /// Which of them it names.
    named: Vec<bool>,
    time: LocalTime,
    /// By inputs, the number of the result.
    numbers: HashMap<Vec<u8>, usize>,
    results: Vec<Made>,
    tried: u32,
    found: u32,
    /// It saw a column that it does not name: what it names does not tell what comes of it.
    sees_others: bool,
    /// The inputs at hand.
    inputs: Vec<u8>,
    /// The last result that was not kept.
    last: Made,
}

impl Cached {
    /// Of an expression of a mapping that refers to these columns.
    pub fn new(expression: &Expression, columns: &Arc<[(String, usize)]>, time: LocalTime) -> Cached {
        Cached {
            columns: Arc::clone(columns),
            named: columns.iter().map(|(name, _)| expression.columns().contains(name)).collect(),
            time,
            numbers: HashMap::new(),
            results: Vec::new(),
            tried: 0,
            found: 0,
            sees_others: false,
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
        let is_worth_it = !self.sees_others && (self.tried < TRIED || self.found > self.tried / 2);
        if is_worth_it {
            self.tried += 1;
            self.inputs.clear();
            for ((_, place), _) in self.columns.iter().zip(&self.named).filter(|(_, named)| **named) {
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
        let kept = if is_worth_it && !self.sees_others && is_small && self.results.len() < MOST {
            self.numbers.insert(self.inputs.clone(), self.results.len());
            self.results.push(made);
            self.results.last()
        } else {
            self.last = made;
            Some(&self.last)
        };
        kept?.as_ref().map(Option::as_ref)
    }

    fn evaluate(&mut self, cells: Cells<'_>, expression: &Expression) -> Option<Value> {
        let values: Vec<OnceLock<Option<Value>>> = vec![OnceLock::new(); self.columns.len()];
        let sees_others = AtomicBool::new(false);
        let cell = |name: &str| {
            let at = self.columns.binary_search_by(|(column, _)| column.as_str().cmp(name)).ok()?;
            if !self.named[at] {
                sees_others.store(true, Ordering::Relaxed);
            }
            values[at].get_or_init(|| cells.value(self.columns[at].1)).as_ref()
        };
        let value = expression.evaluate(&Scope::new(&cell, self.time)).ok();
        self.sees_others |= sees_others.into_inner();
        // A cell that can't be read is none of a row.
        let is_broken = values.iter().any(|value| matches!(value.get(), Some(None)));
        value.filter(|_| !is_broken)
    }
}

fn is_small(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => text.len() <= SMALL,
        Value::Array(_) | Value::Object(_) => false,
    }
}
