//! What must change: a person's desired values against what is known of their account.
//!
//! Pure. Only mapped fields are ever compared; fields that only a create writes are compared with nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::mapping::{Desired, When};
use crate::plan::Change;
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

/// The fields of a new account, and which of them only a create writes. Empty ones are left out: a new account has
/// nothing to clear.
pub fn creation(desired: &Desired) -> (BTreeMap<String, Change>, BTreeSet<String>) {
    let mut fields = BTreeMap::new();
    let mut create_only = BTreeSet::new();
    for (field, wanted) in &desired.fields {
        if wanted.when == When::Create {
            create_only.insert(field.clone());
        }
        if !is_empty(&wanted.value) {
            fields.insert(field.clone(), Change { old: Value::Null, new: wanted.value.clone() });
        }
    }
    (fields, create_only)
}

/// The fields of a planned create that differ on an account which turns out to exist already.
pub fn adoption(
    planned: &BTreeMap<String, Change>,
    create_only: &BTreeSet<String>,
    observed: &Attributes,
    catalogue: &Catalogue,
) -> BTreeMap<String, Change> {
    let mut fields = BTreeMap::new();
    for (field, change) in planned {
        let old = observed.get(field).unwrap_or(&Value::Null);
        if !create_only.contains(field) && !same(catalogue.kind(field), old, &change.new) {
            fields.insert(field.clone(), Change { old: old.clone(), new: change.new.clone() });
        }
    }
    fields
}
