//! Words and sentences that several commands share: counting people, naming operations, showing a change.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::plan::{OpKind, Operation, shown};
use crate::run::Counted;

/// `1 record`, `2 records`.
pub fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// What an operation is called once it is done.
pub const fn done(kind: OpKind) -> &'static str {
    match kind {
        OpKind::Create => "created",
        OpKind::Update => "updated",
        OpKind::Ban => "banned",
        OpKind::Reinstate => "reinstated",
        OpKind::Adopt => "adopted",
        OpKind::Delete => "deleted",
        OpKind::Unlink => "unlinked",
    }
}

/// The heading of a plan's section.
pub const fn heading(kind: OpKind) -> &'static str {
    match kind {
        OpKind::Create => "Create",
        OpKind::Update => "Update",
        OpKind::Ban => "Ban",
        OpKind::Reinstate => "Reinstate",
        OpKind::Adopt => "Adopt (the account is there already: link it)",
        OpKind::Delete => "Delete",
        OpKind::Unlink => "Unlink",
    }
}

/// `296 created, 4 adopted`, by one status of the counts; empty when there are none.
pub fn tally(counts: &BTreeMap<OpKind, Counted>, pick: impl Fn(&Counted) -> u64) -> String {
    let parts: Vec<String> =
        counts.iter().filter(|(_, c)| pick(c) > 0).map(|(op, c)| format!("{} {}", pick(c), done(*op))).collect();
    parts.join(", ")
}

/// One operation as a person reads it: `E1002  title “Nurse” → “Head nurse”; city “Bern” → “Zürich”`.
pub fn operation(operation: &Operation) -> String {
    let mut text = format!("{:<10}", operation.key.as_str());
    let new = operation.kind == OpKind::Create;
    let changes: Vec<String> = operation
        .fields
        .iter()
        .map(|(field, change)| match new {
            true => format!("{field} {}", shown(&change.new)),
            false => format!("{field} {} → {}", shown(&change.old), shown(&change.new)),
        })
        .collect();
    if let Some(id) = operation.remote_id.as_deref().filter(|_| operation.kind != OpKind::Update) {
        let _ = write!(text, "  account {id}");
    }
    if operation.reactivates {
        text.push_str("  is disabled there, becomes active");
    }
    if !changes.is_empty() {
        let _ = write!(text, "  {}", changes.join("; "));
    }
    if let Some(conflict) = &operation.conflict {
        let _ = write!(text, "  can't be done: {}", conflict.message);
    }
    text.trim_end().to_string()
}
