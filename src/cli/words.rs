//! Words and sentences that several commands share: counting people, naming operations, showing a change.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::domain::label::{Label, LabelFields};
use crate::domain::operation::{OpKind, shown};
use crate::domain::outcome::Counted;
use crate::domain::planned::Planned;
use crate::domain::visible::padded;

/// `1 record`, `2 records`.
pub fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// `E1 Ann Meier, E2 Bo Ng`.
pub fn listed(people: &[Label]) -> String {
    people.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
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

/// One operation as a person reads it: `E1002  Ann Meier  title “Nurse” → “Head nurse”; city “Bern” → “Zürich”`.
///
/// The fields of a new account are counted unless `all` are asked for: a dozen values a person hide the people.
pub fn operation(operation: &Planned, label: &LabelFields, all: bool) -> String {
    let mut text = padded(operation.key.as_str(), 10);
    let called = label.of_operation(operation);
    if let Some(called) = &called {
        let _ = write!(text, "  {called}");
    }
    if let Some(id) = operation.remote_id.as_ref().filter(|_| operation.kind != OpKind::Update) {
        let _ = write!(text, "  account {}", id.as_str());
    }
    if operation.reactivates {
        text.push_str("  is disabled there, becomes active");
    }
    let changes = match operation.kind {
        OpKind::Create if called.is_some() => new_account(operation, label, all),
        OpKind::Create => new_account(operation, &LabelFields::default(), true),
        _ => differences(operation),
    };
    if !changes.is_empty() {
        let _ = write!(text, "  {changes}");
    }
    if let Some(conflict) = operation.conflict() {
        let _ = write!(text, "  can't be done: {}", conflict.message);
    }
    if let Some(hint) = &operation.hint {
        let _ = write!(text, "  ({hint})");
    }
    text.trim_end().to_string()
}

fn differences(operation: &Planned) -> String {
    let changes = operation.fields.iter().map(|(f, c)| format!("{f} {} → {}", shown(&c.old), shown(&c.new)));
    changes.collect::<Vec<_>>().join("; ")
}

/// What a new account holds besides what the person is called by.
fn new_account(operation: &Planned, label: &LabelFields, all: bool) -> String {
    let others = || operation.fields.iter().filter(|(field, _)| !label.fields.contains(field));
    if all {
        let shown_fields: Vec<String> =
            others().map(|(field, change)| format!("{field} {}", shown(&change.new))).collect();
        return shown_fields.join("; ");
    }
    match others().count() as u64 {
        0 => String::new(),
        more => format!("and {}", count(more, "more field", "more fields")),
    }
}
