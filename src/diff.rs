//! What must change: a person's desired values against what is known of their account.
//!
//! Pure. Only mapped fields are ever compared; fields that only a create writes are compared with nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::mapping::{Desired, When};
use crate::plan::{Change, Operation};
use crate::target::Catalogue;
use crate::value::{Attributes, is_empty, same};

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

/// The fields that only a create writes.
pub fn create_only(desired: &Desired) -> BTreeSet<String> {
    let wanted = desired.fields.iter().filter(|(_, wanted)| wanted.when == When::Create);
    wanted.map(|(field, _)| field.clone()).collect()
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
