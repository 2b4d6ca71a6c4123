//! Whose an account is that a target shows, and what of what was written is in it: an answer is believed only if it is
//! about the account that was asked for, and no other person's key is in it.
//!
//! Pure. Keys and values are compared trimmed and case-folded: a target that writes keys in capitals is no stranger.

use serde_json::Value;

use super::engine::Engine;
use crate::domain::account::{Account, Echo, KeptValue};
use crate::domain::catalogue::Catalogue;
use crate::domain::operation::{OpKind, Operation};
use crate::domain::record::Key;
use crate::domain::remote_id::RemoteId;
use crate::domain::value::{Attributes, folded, folded_each, is_empty, same};
use crate::failpoints;
use crate::failpoints::Failpoint;

/// By what somebody's account is told from all others.
#[derive(Clone, Default, PartialEq)]
pub struct Identity {
    /// What its key field holds, or may hold, folded.
    keys: Vec<String>,
    /// Folded values of fields that recognise somebody.
    values: Vec<(String, String)>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({} keys, {} values)", self.keys.len(), self.values.len())
    }
}

/// Whose an account is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// It carries the person's key, or, without any key, a value by which they are recognised.
    Theirs,
    /// It carries another key.
    Anothers,
    /// Nothing in it says that it is theirs.
    Untold,
    /// Nothing is known of the person that could be compared.
    Unknowable,
}

impl Identity {
    /// What is known of a person: their key, and sets of values that the target acknowledged or showed. Besides the
    /// `match` fields, every unique field of the catalogue tells people apart.
    pub fn of<'a>(
        key: &Key,
        catalogue: &Catalogue,
        match_fields: &[String],
        known: impl IntoIterator<Item = &'a Attributes>,
    ) -> Identity {
        let unique = catalogue.fields.iter().filter(|(_, field)| field.unique).map(|(name, _)| name.clone());
        let mut fields: Vec<String> = catalogue.recognised_by(match_fields).into_iter().chain(unique).collect();
        fields.retain(|field| Some(field) != catalogue.key_field.as_ref());
        let mut identity = Identity::default();
        for attributes in known {
            identity.keys.extend(catalogue.key_field.as_ref().and_then(|f| attributes.get(f)).and_then(folded));
            let values = |field: &String| attributes.get(field).map(folded_each).unwrap_or_default();
            let named =
                |field: &String| values(field).into_iter().map(|value| (field.clone(), value)).collect::<Vec<_>>();
            identity.values.extend(fields.iter().flat_map(named));
        }
        // What the key field would hold after a rekey. Of a field that nobody maps, the source's key says nothing.
        if !identity.keys.is_empty() {
            identity.keys.extend(folded(&key.as_str().into()));
        }
        identity
    }

    /// Whose this account is.
    pub fn judge(&self, account: &Account) -> Ownership {
        if self.keys.is_empty() && self.values.is_empty() {
            return Ownership::Unknowable;
        }
        if let Some(carried) = carried(account.key.as_deref())
            && !self.keys.is_empty()
        {
            return if self.keys.contains(&carried) { Ownership::Theirs } else { Ownership::Anothers };
        }
        let holds = |(field, value): &(String, String)| account.is_recognised(field, value);
        if self.values.iter().any(holds) { Ownership::Theirs } else { Ownership::Untold }
    }
}

/// The key that an account carries, folded.
fn carried(key: Option<&str>) -> Option<String> {
    folded(&key?.into())
}

impl Engine {
    /// Whether an account that was read by an operation's id is another: it has another id, or another person's key.
    pub fn shows_another(&self, operation: &Operation, account: &Account) -> bool {
        self.is_another(operation, Some(&account.remote_id), account.key.as_deref())
    }

    /// Whether an id is not the one that was asked for.
    pub fn is_other_id(&self, asked: &RemoteId, shown: &RemoteId) -> bool {
        match self.id_is_address {
            true => asked.as_str().to_lowercase() != shown.as_str().to_lowercase(),
            false => asked != shown,
        }
    }

    /// Whether what an answer shows as id and key is another's than the operation's. What is not shown says nothing.
    fn is_another(&self, operation: &Operation, id: Option<&RemoteId>, key: Option<&str>) -> bool {
        let asked = operation.remote_id.as_ref();
        let other_id = asked.zip(id).is_some_and(|(asked, shown)| self.is_other_id(asked, shown));
        other_id || carried(key).is_some_and(|key| self.is_foreign(operation, &key))
    }

    /// Whether a folded key is none that the account of an operation has, or has when it is carried out.
    fn is_foreign(&self, operation: &Operation, shown: &str) -> bool {
        let Some(field) = &self.catalogue.key_field else { return false };
        let change = operation.fields.get(field);
        let known = [change.map(|c| &c.new), change.map(|c| &c.old), operation.baseline.get(field)];
        let mut known = known.into_iter().flatten().filter_map(folded).peekable();
        // Where nobody maps the field, the target's keys are its own affair.
        known.peek().is_some() && known.all(|known| known != shown)
    }

    /// Why the account in an answer can't be the one that an operation wrote, or made; `renamed`: the id that it has
    /// then, where that is written.
    pub(super) fn mistaken(
        &self,
        operation: &Operation,
        record: &Value,
        renamed: Option<&RemoteId>,
    ) -> Option<&'static str> {
        if failpoints::is(Failpoint::BelieveAnyAnswer) {
            return None;
        }
        let shown = |field: &str| self.echoed(record, field).as_ref().and_then(folded);
        let key = self.catalogue.key_field.as_deref().and_then(shown);
        if operation.kind == OpKind::Create {
            let another = match &key {
                Some(key) => self.is_foreign(operation, key),
                None => self.shows_other_values(operation, shown),
            };
            return another.then_some("showing another person's account than the one that was to be made");
        }
        let id = super::read::at(record, &self.id_at).and_then(super::read::remote_id);
        let another = match (renamed, id.as_ref()) {
            (Some(new), Some(shown)) => {
                self.is_other_id(new, shown) || key.is_some_and(|k| self.is_foreign(operation, &k))
            }
            (_, id) => self.is_another(operation, id, key.as_deref()),
        };
        another.then_some("showing another account than the one that was written")
    }

    /// Whether one of the unique values that were sent is shown as another. Of what isn't shown nothing is known.
    fn shows_other_values(&self, operation: &Operation, shown: impl Fn(&str) -> Option<String>) -> bool {
        let unique = |name: &&String| self.catalogue.field(name).is_some_and(|field| field.unique);
        operation.fields.keys().filter(unique).any(|name| {
            let sent = folded(&operation.fields[name.as_str()].new);
            sent.zip(shown(name)).is_some_and(|(sent, shown)| sent != shown)
        })
    }

    /// What an account shows of what an operation wrote.
    pub fn echo_of(&self, operation: &Operation, account: &Account) -> Echo {
        self.echo_by(operation, |field| account.attributes.get(field).cloned())
    }

    /// What a record in an answer shows of it.
    pub(super) fn echo(&self, operation: &Operation, record: &Value) -> Echo {
        self.echo_by(operation, |field| self.echoed(record, field))
    }

    fn echo_by(&self, operation: &Operation, shown: impl Fn(&str) -> Option<Value>) -> Echo {
        let mut echo = Echo::default();
        for (field, change) in &operation.fields {
            match shown(field) {
                Some(shown) if same(self.catalogue.kind(field), &shown, &change.new) => {}
                Some(shown) => {
                    echo.kept.insert(field.clone(), KeptValue { sent: change.new.clone(), shown });
                }
                None => echo.partial |= !is_empty(&change.new),
            }
        }
        echo
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::account::AccountState;
    use crate::domain::operation::Change;
    use serde_json::json;

    fn juno() -> Engine {
        Engine::builtin("juno", &toml::Table::new()).expect("a definition")
    }

    fn values(pairs: &[(&str, &str)]) -> Attributes {
        pairs.iter().map(|(field, value)| (field.to_string(), json!(value))).collect()
    }

    fn account(id: &str, key: Option<&str>, email: &str) -> Account {
        let attributes = values(&[("email", email)]);
        Account { remote_id: id.into(), key: key.map(Into::into), state: AccountState::Active, attributes }
    }

    #[test]
    fn an_account_is_theirs_by_key_or_else_by_a_value_and_never_with_another_key() {
        let (engine, key) = (juno(), Key::parse("E1").expect("a key"));
        let of = |known: &Attributes| Identity::of(&key, engine.catalogue(), &["email".to_string()], [known]);
        let known = of(&values(&[("client_id", "C5"), ("email", "Ann@acme.com")]));
        for (carried, email, whose) in [
            (Some(" c5 "), "x@acme.com", Ownership::Theirs),
            (Some("E1"), "x@acme.com", Ownership::Theirs),
            (Some("E2"), "ann@acme.com", Ownership::Anothers),
            (Some(" "), "ANN@acme.com", Ownership::Theirs),
            (None, "ann@acme.com", Ownership::Theirs),
            (None, "ceo@acme.com", Ownership::Untold),
        ] {
            assert_eq!(known.judge(&account("7", carried, email)), whose, "{carried:?} {email}");
        }
        // Nobody maps the key field: what it holds is the target's own affair.
        let by_value = of(&values(&[("email", "ann@acme.com")]));
        assert_eq!(by_value.judge(&account("7", Some("X9"), "ann@acme.com")), Ownership::Theirs);
        assert_eq!(by_value.judge(&account("7", Some("X9"), "ceo@acme.com")), Ownership::Untold);
        assert_eq!(of(&Attributes::default()).judge(&account("7", None, "ann@acme.com")), Ownership::Unknowable);
    }

    #[test]
    fn what_was_read_for_an_operation_must_be_that_account() {
        let (engine, key) = (juno(), Key::parse("E905").expect("a key"));
        let mut update = Operation::new(OpKind::Update, key, Some("7".into()));
        update.baseline = values(&[("client_id", "C5")]);
        update.fields.insert("client_id".into(), Change { old: json!("C5"), new: json!("E905") });
        for (id, carried, another) in [
            ("7", Some("C5"), false),
            ("7", Some("e905"), false),
            ("7", None, false),
            ("7", Some("ADMIN"), true),
            ("6", Some("C5"), true),
            ("6", None, true),
        ] {
            assert_eq!(engine.shows_another(&update, &account(id, carried, "")), another, "{id} {carried:?}");
        }
        update.fields.clear();
        update.baseline = Attributes::default();
        assert!(!engine.shows_another(&update, &account("7", Some("ADMIN"), "")), "nobody maps it");
    }
}
