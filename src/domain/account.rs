//! Accounts as a target shows them, in the terms of its catalogue.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::remote_id::RemoteId;
use super::value::{Attributes, folded_each};

/// What an account's access is, as the target says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountState {
    /// Can be used.
    Active,
    /// Deactivated.
    Banned,
    /// Asked to join, has not yet.
    Invited,
}

/// One account as the target shows it, in terms of the catalogue.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// The target's own id.
    pub remote_id: RemoteId,
    /// What its key field holds, if anything.
    pub key: Option<String>,
    /// Its access.
    pub state: AccountState,
    /// Its fields by catalogue name, typed as the catalogue says; fields that are empty there are `Null`.
    pub attributes: Attributes,
}

impl Account {
    /// The folded values by which it is recognised through a field: the field's, each of a list's; where that is empty,
    /// what stands in for it.
    pub fn recognised_by(&self, field: &str) -> Vec<String> {
        let values = self.attributes.get(field).map(folded_each).unwrap_or_default();
        match values.is_empty() {
            true => self.attributes.get(&recognising(field)).map(folded_each).unwrap_or_default(),
            false => values,
        }
    }

    /// Whether it is recognised by this folded value of a field.
    pub fn is_recognised(&self, field: &str, value: &str) -> bool {
        self.recognised_by(field).iter().any(|held| held == value)
    }
}

/// The name under which an account shows what it is recognised by where a field is empty. No field is called so.
pub fn recognising(field: &str) -> String {
    format!("~{field}")
}

/// A field that a target keeps otherwise than it was written: in upper case, cut off, not at all.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptValue {
    /// What it acknowledged.
    pub sent: serde_json::Value,
    /// What it shows.
    pub shown: serde_json::Value,
}

impl fmt::Debug for KeptValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeptValue(…)")
    }
}

/// What a target keeps otherwise than it was written, by field.
pub type Kept = BTreeMap<String, KeptValue>;

/// What an answer shows of the fields that were written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Echo {
    /// Where that is something else.
    pub kept: Kept,
    /// Some of them are not shown, so that nothing is known of those.
    pub partial: bool,
}
