//! Undo: what would take back an operation that was carried out, seen from how the account is now.
//!
//! Pure. Only what the run itself wrote is taken back: a value that somebody has changed since is theirs, and stays.

use std::collections::BTreeMap;

use crate::domain::account::{Account, AccountState};
use crate::domain::catalogue::Catalogue;
use crate::domain::operation::{Change, OpKind, Operation};
use crate::domain::record::Key;
use crate::domain::value::{Attributes, is_empty, same};
use crate::state::undo::Undoable;

/// What takes an operation back.
#[derive(Debug, Default)]
pub struct Inverse {
    /// The operation that does, if any.
    pub operation: Option<Operation>,
    /// What is left as it is, and why; names fields, never values.
    pub left: Option<String>,
}

impl Inverse {
    fn left(why: impl Into<String>) -> Inverse {
        Inverse { operation: None, left: Some(why.into()) }
    }

    fn by(operation: Operation) -> Inverse {
        Inverse { operation: Some(operation), left: None }
    }
}

/// The inverse of what was done to somebody: created → banned, adopted → unlinked, updated → the old values where the
/// target still has what the run wrote, banned → reinstated, reinstated → banned. What was deleted stays so.
///
/// `known` is what was acknowledged of the account, `account` how it is now, if it is there.
pub fn inverse(
    key: &Key,
    done: &Undoable,
    known: &Attributes,
    account: Option<&Account>,
    catalogue: &Catalogue,
) -> Inverse {
    let operation = |kind| {
        let mut operation = Operation::new(kind, key.clone(), done.remote_id.clone());
        operation.baseline = match account {
            Some(account) => crate::plan::overlaid(known.clone(), account, catalogue),
            None => known.clone(),
        };
        operation
    };
    match (done.op, account) {
        (OpKind::Delete, _) => Inverse::left("it was deleted, which can't be undone"),
        (OpKind::Unlink, _) => Inverse::left("it was unlinked; a run that finds the account links it again"),
        // Nothing is written there, so that it doesn't matter how the account is.
        (OpKind::Adopt, _) => Inverse::by(operation(OpKind::Unlink)),
        (_, None) => Inverse::left("the account is not there any more"),
        (OpKind::Create | OpKind::Reinstate, Some(account)) if account.state == AccountState::Banned => {
            Inverse::left("the account is banned already")
        }
        (OpKind::Create, Some(_)) => Inverse::by(operation(OpKind::Ban)),
        (OpKind::Reinstate, Some(_)) => Inverse {
            operation: Some(operation(OpKind::Ban)),
            left: (!done.changes.is_empty()).then(|| format!("{} stay as the run wrote them", names(&done.changes))),
        },
        (OpKind::Ban, Some(account)) if account.state != AccountState::Banned => {
            Inverse::left("the account is active already")
        }
        (OpKind::Update, Some(account)) if account.state == AccountState::Banned => {
            Inverse::left("the account is banned now")
        }
        (OpKind::Ban, Some(account)) => {
            with_old_values(Operation { ..operation(OpKind::Reinstate) }, done, account, catalogue)
        }
        (OpKind::Update, Some(account)) => {
            let inverse = with_old_values(operation(OpKind::Update), done, account, catalogue);
            Inverse { operation: inverse.operation.filter(|o| !o.fields.is_empty()), ..inverse }
        }
    }
}

/// Adds the old values of the fields that still hold what was written.
fn with_old_values(mut operation: Operation, done: &Undoable, account: &Account, catalogue: &Catalogue) -> Inverse {
    let (mut changed, mut stuck) = (Vec::new(), Vec::new());
    for (field, change) in &done.changes {
        let kind = catalogue.kind(field);
        let now = account.attributes.get(field).unwrap_or(&serde_json::Value::Null);
        if same(kind, now, &change.old) {
            continue;
        }
        if !same(kind, now, &change.new) {
            changed.push(field.as_str());
        } else if is_empty(&change.old) && !catalogue.field(field).is_none_or(|f| f.clearable) {
            stuck.push(field.as_str());
        } else {
            operation.fields.insert(field.clone(), Change { old: now.clone(), new: change.old.clone() });
        }
    }
    let mut left = Vec::new();
    if !changed.is_empty() {
        left.push(format!("changed since by somebody else, and left: {}", changed.join(", ")));
    }
    if !stuck.is_empty() {
        left.push(format!("was empty before, which the target doesn't admit: {}", stuck.join(", ")));
    }
    Inverse { operation: Some(operation), left: (!left.is_empty()).then(|| left.join("; ")) }
}

fn names(changes: &BTreeMap<String, Change>) -> String {
    changes.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn account(state: AccountState, title: &str) -> Account {
        let attributes = [("title".to_string(), json!(title)), ("email".to_string(), json!("a@b.c"))];
        Account { remote_id: "1".into(), key: None, state, attributes: attributes.into_iter().collect() }
    }

    fn done(op: OpKind, old: &str, new: &str) -> Undoable {
        let changes = [("title".to_string(), Change { old: json!(old), new: json!(new) })];
        Undoable { op, remote_id: Some("1".into()), changes: changes.into_iter().collect() }
    }

    #[test]
    fn each_operation_has_its_inverse() {
        use AccountState::{Active, Banned};
        use OpKind::*;
        let key = Key::parse("E1").expect("a key");
        let rows = [
            (Create, Some((Active, "new")), Some(Ban), None),
            (Create, Some((Banned, "new")), None, Some("banned already")),
            (Create, None, None, Some("not there")),
            (Adopt, Some((Active, "other")), Some(Unlink), None),
            (Adopt, None, Some(Unlink), None),
            (Update, Some((Active, "new")), Some(Update), None),
            (Update, Some((Active, "other")), None, Some("changed since by somebody else, and left: title")),
            (Update, Some((Active, "old")), None, None),
            (Update, Some((Banned, "new")), None, Some("banned now")),
            (Update, None, None, Some("not there")),
            (Ban, Some((Banned, "new")), Some(Reinstate), None),
            (Ban, Some((Active, "new")), None, Some("active already")),
            (Reinstate, Some((Active, "new")), Some(Ban), Some("title stay")),
            (Reinstate, Some((Banned, "new")), None, Some("banned already")),
            (Delete, None, None, Some("can't be undone")),
            (Unlink, None, None, Some("unlinked")),
        ];
        for (op, now, kind, left) in rows {
            let account = now.map(|(state, title)| account(state, title));
            let catalogue = Catalogue::default();
            let found = inverse(&key, &done(op, "old", "new"), &Attributes::default(), account.as_ref(), &catalogue);
            assert_eq!(found.operation.as_ref().map(|o| o.kind), kind, "{op} {now:?}");
            match left {
                Some(part) => assert!(found.left.as_ref().is_some_and(|l| l.contains(part)), "{op} {now:?} {found:?}"),
                None => assert_eq!(found.left, None, "{op} {now:?}"),
            }
            if kind == Some(Update) {
                let fields = found.operation.expect("an update").fields;
                assert_eq!(fields["title"], Change { old: json!("new"), new: json!("old") });
            }
        }
    }
}
