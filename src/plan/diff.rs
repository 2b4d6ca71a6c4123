//! What must change: a person's desired values against what is known of their account.
//!
//! Pure. Only mapped fields are ever compared; fields that only a create writes are compared with nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::domain::catalogue::Catalogue;
use crate::domain::operation::{Change, Operation};
use crate::domain::value::{Attributes, is_empty, same};
use crate::mapping::{Desired, When};

/// The fields of an existing account that should differ from what is known of it.
///
/// A field of which nothing is known counts as empty: it was never mapped before, and what the target holds there is
/// replaced by what the source says, but an empty value is not written over it.
pub fn changes(desired: &Desired, known: &Attributes, catalogue: &Catalogue) -> BTreeMap<String, Change> {
    let mut changes = BTreeMap::new();
    for (field, wanted) in &desired.fields {
        if wanted.when == When::Create {
            continue;
        }
        let old = known.get(field).unwrap_or(&Value::Null);
        if !same(catalogue.kind(field), old, &wanted.value) {
            changes.insert(field.clone(), Change { old: old.clone(), new: wanted.value.clone() });
        }
    }
    changes
}

/// What a new account is made of.
#[derive(Debug, Default, PartialEq)]
pub struct Creation {
    /// The fields that it is given.
    pub fields: BTreeMap<String, Change>,
    /// Those that only a create writes.
    pub create_only: BTreeSet<String>,
    /// Those that the record leaves empty: there is nothing to clear on a new account.
    pub blank: BTreeSet<String>,
}

/// What a new account should be.
pub fn creation(desired: &Desired) -> Creation {
    let mut creation = Creation::default();
    for (field, wanted) in &desired.fields {
        if wanted.when == When::Create {
            creation.create_only.insert(field.clone());
        }
        if is_empty(&wanted.value) {
            creation.blank.insert(field.clone());
        } else {
            creation.fields.insert(field.clone(), Change { old: Value::Null, new: wanted.value.clone() });
        }
    }
    creation
}

/// The fields of a planned create that differ on an account which turns out to exist already, those included that
/// the record leaves empty.
pub fn adoption(create: &Operation, observed: &Attributes, catalogue: &Catalogue) -> BTreeMap<String, Change> {
    let filled = create.fields.iter().map(|(field, change)| (field, &change.new));
    let wanted = filled.chain(create.blank.iter().map(|field| (field, &Value::Null)));
    let mut fields = BTreeMap::new();
    for (field, new) in wanted.filter(|(field, _)| !create.create_only.contains(*field)) {
        let old = observed.get(field).unwrap_or(&Value::Null);
        if !same(catalogue.kind(field), old, new) {
            fields.insert(field.clone(), Change { old: old.clone(), new: new.clone() });
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::Engine;
    use crate::domain::operation::OpKind;
    use crate::domain::record::Key;
    use crate::mapping::{DesiredField, OnEmpty};

    fn juno() -> Engine {
        Engine::builtin("juno", &toml::Table::new()).expect("a definition")
    }

    fn desired(fields: &[(&str, Value, When)]) -> Desired {
        let field = |(name, value, when): &(&str, Value, When)| {
            (name.to_string(), DesiredField { value: value.clone(), when: *when, empty: OnEmpty::Clear })
        };
        Desired { fields: fields.iter().map(field).collect() }
    }

    fn attributes(fields: &[(&str, Value)]) -> Attributes {
        fields.iter().map(|(name, value)| (name.to_string(), value.clone())).collect()
    }

    /// Names with old and new, as JSON.
    fn told(changes: &BTreeMap<String, Change>) -> Value {
        json!(changes)
    }

    #[test]
    fn only_what_differs_is_a_change() {
        use When::{Always, Create};
        let known = attributes(&[
            ("title", json!("Clerk")),
            ("city", json!("Bern")),
            ("phone", json!("1")),
            ("points", json!(5)),
            ("account_level", json!(99)),
            ("company", json!("Acme")), // not mapped: none of our business
        ]);
        let wanted = desired(&[
            ("title", json!("clerk"), Always),   // letter case is a difference
            ("city", json!("Bern"), Always),     // as it is
            ("phone", Value::Null, Always),      // emptied
            ("points", json!(5.0), Always),      // the same number
            ("website", json!("x"), Always),     // nothing known
            ("twitter", Value::Null, Always),    // nothing known, nothing wanted
            ("account_level", json!(0), Create), // only for new accounts
        ]);
        let expected = json!({
            "phone": {"old": "1", "new": null},
            "title": {"old": "Clerk", "new": "clerk"},
            "website": {"old": null, "new": "x"},
        });
        let changes = changes(&wanted, &known, juno().catalogue());
        assert_eq!(told(&changes), expected);
        assert!(changes["phone"].clears() && !changes["website"].clears());
    }

    #[test]
    fn a_new_account_is_given_what_there_is() {
        let wanted = desired(&[
            ("email", json!("a@b.example"), When::Always),
            ("phone", Value::Null, When::Always),
            ("account_level", json!(0), When::Create),
        ]);
        let creation = creation(&wanted);
        assert_eq!(creation.fields.keys().collect::<Vec<_>>(), ["account_level", "email"]);
        assert_eq!(creation.create_only, ["account_level".to_string()].into());
        assert_eq!(creation.blank, ["phone".to_string()].into());
    }

    #[test]
    fn an_adopted_account_is_brought_up_to_date_except_in_what_only_a_create_writes() {
        let wanted = desired(&[
            ("email", json!("a@b.example"), When::Always),
            ("title", json!("Clerk"), When::Always),
            ("phone", Value::Null, When::Always),
            ("city", Value::Null, When::Always),
            ("account_level", json!(0), When::Create),
        ]);
        let Creation { fields, create_only, blank } = creation(&wanted);
        let key = Key::parse("E1").expect("a key");
        let create = Operation { fields, create_only, blank, ..Operation::new(OpKind::Create, key, None) };
        let there = attributes(&[
            ("email", json!("A@b.example")),
            ("title", json!("Clerk")),
            ("phone", json!("1")),
            ("city", json!("")),
            ("account_level", json!(99)),
            ("website", json!("x")),
        ]);
        let expected = json!({
            "email": {"old": "A@b.example", "new": "a@b.example"},
            "phone": {"old": "1", "new": null},
        });
        assert_eq!(told(&adoption(&create, &there, juno().catalogue())), expected);
    }
}
