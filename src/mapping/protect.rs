//! Who is never touched: by key, by a value that recognises people, or by a CEL expression over the target's fields.
//!
//! Pure. What can't be evaluated protects: a mistake in a rule must not cost an administrator's account.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::domain::local_time::LocalTime;
use crate::domain::record::Key;
use crate::domain::value::{Attributes, folded_each};
use crate::mapping::{Expression, Problem, Scope};

/// A sync's `protect`.
#[derive(Debug, Default)]
pub struct Protection {
    keys: BTreeSet<String>,
    values: BTreeSet<String>,
    rules: Vec<Expression>,
}

/// What makes an entry an expression rather than a key or an address: none of these stands in either. (A lone ` = ` is
/// a misspelt comparison, and is refused as such: taken for a key it would protect nobody.)
const OPERATORS: [&str; 9] = ["==", "!=", "<", ">", "&&", "||", "(", " in ", " = "];

impl Protection {
    /// Compiles the entries of `protect`.
    ///
    /// # Errors
    /// For each entry that is meant as an expression and isn't one: its place in the list, and what is wrong.
    pub fn compile(entries: &[String]) -> Result<Protection, Vec<(usize, Problem)>> {
        let mut protection = Protection::default();
        let mut problems = Vec::new();
        for (n, entry) in entries.iter().enumerate() {
            if !OPERATORS.iter().any(|operator| entry.contains(operator)) {
                protection.keys.extend(Key::parse(entry).map(|key| key.to_string()));
                protection.values.insert(entry.trim().to_lowercase());
                continue;
            }
            match Expression::compile(entry) {
                Ok(rule) => protection.rules.push(rule),
                Err(found) => problems.extend(found.into_iter().map(|problem| (n, problem))),
            }
        }
        if problems.is_empty() { Ok(protection) } else { Err(problems) }
    }

    /// The target's fields that expressions refer to.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().flat_map(|rule| rule.columns().iter().map(String::as_str))
    }

    /// Whether nobody is protected.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.rules.is_empty()
    }

    /// Whether this person is protected: by key, by one of the values that recognise them, or because a rule says so
    /// of their account.
    pub fn covers<'v>(
        &self,
        key: &Key,
        recognised_by: impl IntoIterator<Item = &'v Value>,
        account: Option<&Attributes>,
        time: LocalTime,
    ) -> bool {
        self.keys.contains(key.as_str())
            || recognised_by.into_iter().flat_map(folded_each).any(|value| self.values.contains(&value))
            || account.is_some_and(|account| self.rules.iter().any(|rule| applies(rule, account, time)))
    }
}

/// A field of which nothing is known is empty; a rule that fails to evaluate applies.
fn applies(rule: &Expression, account: &Attributes, time: LocalTime) -> bool {
    let cell = |field: &str| account.get(field);
    !matches!(rule.evaluate(&Scope::new(&cell, time)), Ok(Value::Bool(false)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn protection(entries: &[&str]) -> Protection {
        let entries: Vec<String> = entries.iter().map(|e| (*e).to_string()).collect();
        Protection::compile(&entries).expect("entries that compile")
    }

    fn account(level: Value) -> Attributes {
        [("account_level".to_string(), level)].into_iter().collect()
    }

    #[test]
    fn by_key_by_value_and_by_rule() {
        let p = protection(&["E1", "CEO@acme.com", "account_level == 99"]);
        let key = |k: &str| Key::parse(k).expect("a key");
        let none: [&Value; 0] = [];
        assert!(p.covers(&key("E1"), none, None, LocalTime::noon("2026-11-22")));
        assert!(!p.covers(&key("e1"), none, None, LocalTime::noon("2026-11-22")), "keys are case-sensitive");
        assert!(p.covers(&key("E2"), [&json!("ceo@ACME.com")], None, LocalTime::noon("2026-11-22")));
        assert!(p.covers(&key("E2"), none, Some(&account(json!(99))), LocalTime::noon("2026-11-22")));
        assert!(!p.covers(&key("E2"), none, Some(&account(json!(0))), LocalTime::noon("2026-11-22")));
    }

    #[test]
    fn a_rule_that_fails_protects() {
        let p = protection(&["account_level + 'x' == 99"]);
        let none: [&Value; 0] = [];
        assert!(p.covers(
            &Key::parse("E1").expect("a key"),
            none,
            Some(&account(json!(0))),
            LocalTime::noon("2026-11-22")
        ));
    }

    #[test]
    fn a_broken_rule_is_named_by_its_place() {
        let entries = ["E1".to_string(), "account_level == (".to_string()];
        assert_eq!(Protection::compile(&entries).map_err(|p| p[0].0).err(), Some(1));
        let misspelt = ["account_level = 99".to_string()];
        assert_eq!(Protection::compile(&misspelt).map_err(|p| p[0].0).err(), Some(0));
    }
}
