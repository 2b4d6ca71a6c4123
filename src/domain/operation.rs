//! The plan: what would make the target match, as data. Operations with old and new per field, their order, and the
//! id under which people approve them.
//!
//! Pure. `Display` of an operation is the line that people read; the digest of an operation is what an approval
//! holds on to, so both are made from the same fields.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::domain::account::AccountState;
use crate::domain::ids::PlanId;
use crate::domain::outcome::OpError;
use crate::domain::record::Key;
use crate::domain::remote_id::RemoteId;
use crate::domain::value::{Attributes, is_empty};

/// What an operation does to one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OpKind {
    /// Make a new account.
    Create,
    /// Write fields of an account.
    Update,
    /// Deactivate an account.
    Ban,
    /// Activate a banned account again, and bring it up to date.
    Reinstate,
    /// Link an account that already exists, and bring it up to date.
    Adopt,
    /// Remove an account for good; only where chosen.
    Delete,
    /// Forget the link to an account and leave the account alone; only in an undo.
    Unlink,
}

impl OpKind {
    /// Every kind, in the order in which summaries list them.
    pub const ALL: [OpKind; 7] =
        [OpKind::Create, OpKind::Update, OpKind::Ban, OpKind::Reinstate, OpKind::Adopt, OpKind::Delete, OpKind::Unlink];

    /// The word in JSON, in the database and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            OpKind::Create => "create",
            OpKind::Update => "update",
            OpKind::Ban => "ban",
            OpKind::Reinstate => "reinstate",
            OpKind::Adopt => "adopt",
            OpKind::Delete => "delete",
            OpKind::Unlink => "unlink",
        }
    }

    /// The kind of this name.
    pub fn parse(name: &str) -> Option<OpKind> {
        OpKind::ALL.into_iter().find(|k| k.name() == name)
    }

    /// Whether it takes somebody's access away.
    pub const fn takes_access(self) -> bool {
        matches!(self, OpKind::Ban | OpKind::Delete)
    }
}

impl fmt::Display for OpKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One field's change. `Null` is "empty".
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// What the target is believed to hold.
    pub old: Value,
    /// What it should hold.
    pub new: Value,
}

impl Change {
    /// Whether this empties a field that held something.
    pub fn clears(&self) -> bool {
        is_empty(&self.new) && !is_empty(&self.old)
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.clears() { "Change(clears)" } else { "Change" })
    }
}

/// One operation on one account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// What it does.
    pub kind: OpKind,
    /// The person.
    pub key: Key,
    /// The target's own id of the account; none for a create.
    pub remote_id: Option<RemoteId>,
    /// The fields it writes, in the order of names.
    pub fields: BTreeMap<String, Change>,
    /// What the target is known to hold before: acknowledged for known people, observed for an adoption.
    pub baseline: Attributes,
    /// An adopted account is disabled at the moment, and becomes active with this operation.
    pub reactivates: bool,
    /// In which state an adopted account was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<AccountState>,
    /// Operations of one wave may run side by side; a wave begins when the one before has ended. Its place in a plan, and
    /// no part of what it does.
    #[serde(skip)]
    pub wave: u32,
    /// The fingerprint of the record from which it was planned, to be stored when it is confirmed.
    pub fingerprint: Option<Fingerprint>,
    /// Fields that only a create writes: never compared with, or written to, an account that exists already.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub create_only: BTreeSet<String>,
    /// What a person should know before they agree to it; not part of what they agree to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Fields that the record leaves empty. A new account has nothing to clear; one that turns out to exist may.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub blank: BTreeSet<String>,
}

/// A hash of the source columns that a mapping uses, together with a hash of the mapping. Equal fingerprints: the
/// record needs no look.
pub type Fingerprint = [u8; 16];

impl Operation {
    /// An operation that writes nothing yet.
    pub fn new(kind: OpKind, key: Key, remote_id: Option<RemoteId>) -> Self {
        Operation {
            kind,
            key,
            remote_id,
            fields: BTreeMap::new(),
            baseline: Attributes::default(),
            reactivates: false,
            found: None,
            wave: 0,
            fingerprint: None,
            create_only: BTreeSet::new(),
            hint: None,
            blank: BTreeSet::new(),
        }
    }

    /// What the target will hold when it has acknowledged this.
    pub fn after(&self) -> Attributes {
        let mut after = self.baseline.clone();
        for (field, change) in &self.fields {
            after.set(field.clone(), change.new.clone());
        }
        after
    }

    /// Whether the mapping has a say about this field, as far as this operation shows.
    pub fn speaks_of(&self, field: &str) -> bool {
        self.fields.contains_key(field) || self.create_only.contains(field) || self.blank.contains(field)
    }

    /// Whether a request is needed at all: linking an account that is already right needs none.
    pub fn needs_request(&self) -> bool {
        match self.kind {
            OpKind::Unlink => false,
            OpKind::Adopt => self.reactivates || !self.fields.is_empty(),
            OpKind::Update => !self.fields.is_empty(),
            OpKind::Create | OpKind::Ban | OpKind::Reinstate | OpKind::Delete => true,
        }
    }

    /// Hash of everything that a person who approves it agrees to: kind, person, account, and each field's old and
    /// new value. Equal digests mean the same request.
    pub fn digest(&self) -> [u8; 32] {
        self.digest_with(None)
    }

    /// The digest of an operation that can't be done for this reason, if there is one.
    pub(super) fn digest_with(&self, conflict: Option<&OpError>) -> [u8; 32] {
        let fields = InOrder(&self.fields);
        let agreed = (self.kind, &self.key, &self.remote_id, self.reactivates, fields, conflict);
        let text = serde_json::to_vec(&agreed).expect("names and JSON values become JSON");
        blake3::hash(&text).into()
    }
}

/// Changes as digests and the contract have them: the members of each in the order of their names.
pub(super) struct InOrder<'c>(pub &'c BTreeMap<String, Change>);

impl Serialize for InOrder<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct One<'c> {
            new: &'c Value,
            old: &'c Value,
        }
        serializer.collect_map(self.0.iter().map(|(field, Change { old, new })| (field, One { new, old })))
    }
}

/// The id of a plan: a hash of the sync and its operations in order, so that planning the same again is the same
/// plan. Twelve hexadecimal digits: short enough to type, and 48 bits are ample for one sync's held plans.
pub struct PlanHasher(blake3::Hasher);

impl PlanHasher {
    /// Begins the hash of a plan of this sync.
    pub fn new(sync: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(sync.as_bytes());
        hasher.update(&[0]);
        PlanHasher(hasher)
    }

    /// Adds the digest of the next operation.
    pub fn add(&mut self, digest: &[u8; 32]) {
        self.0.update(digest);
    }

    /// The plan's id.
    pub fn id(&self) -> PlanId {
        self.0.finalize().to_hex()[..12].into()
    }
}

/// How many characters of a value are shown to a person.
const SHOWN: usize = 500;

/// A value as a plan shows it to a person. Of a very long one its beginning and its length are told; JSON has it whole.
pub fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if text.chars().nth(SHOWN).is_some() => {
            let begin: String = text.chars().take(SHOWN).collect();
            format!("“{begin}… ({} characters)”", text.chars().count())
        }
        Value::Null => "(empty)".into(),
        Value::String(text) if text.is_empty() => "(empty)".into(),
        Value::String(text) => format!("“{text}”"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::domain::planned::Planned;
    use crate::plan::Spool;

    fn key(text: &str) -> Key {
        Key::parse(text).expect("a key")
    }

    fn update(k: &str, title: &str) -> Operation {
        let mut operation = Operation::new(OpKind::Update, key(k), Some("1001".into()));
        operation.fields.insert("title".into(), Change { old: json!("Clerk"), new: json!(title) });
        operation
    }

    fn id(operations: &[Operation]) -> PlanId {
        let mut hasher = PlanHasher::new("staff");
        operations.iter().for_each(|operation| hasher.add(&operation.digest()));
        hasher.id()
    }

    /// Held plans are stored under their ids, with the digests of their operations: were these to change, whoever
    /// approves after an upgrade would be told that the plan is stale.
    #[test]
    fn digests_and_ids_are_what_they_have_always_been() {
        let hex = |digest: [u8; 32]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let ban = Operation::new(OpKind::Ban, key("E2"), Some("1002".into()));
        assert_eq!(hex(update("E1", "Chef").digest())[..16], *"e12a301089f55685");
        assert_eq!(hex(ban.digest())[..16], *"eab7a3fe662bfa2a");
        assert_eq!(id(&[update("E1", "Chef"), ban]).as_str(), "d965f3731f7a");
        assert_eq!(id(&[]).as_str(), "a465db4820ff");
    }

    #[test]
    fn a_digest_is_of_what_a_person_agrees_to_and_of_nothing_else() {
        let base = update("E1", "Chef");
        let same = [
            Operation { wave: 3, ..base.clone() },
            Operation { fingerprint: Some([1; 16]), ..base.clone() },
            Operation { baseline: [("city".to_string(), json!("Bern"))].into_iter().collect(), ..base.clone() },
        ];
        for other in same {
            assert_eq!(other.digest(), base.digest(), "{other:?}");
        }
        let different = [
            update("E2", "Chef"),
            update("E1", "Cook"),
            Operation { kind: OpKind::Reinstate, ..base.clone() },
            Operation { remote_id: Some("1002".into()), ..base.clone() },
            Operation { reactivates: true, ..base.clone() },
            Operation { fields: BTreeMap::new(), ..base.clone() },
        ];
        for other in different {
            assert_ne!(other.digest(), base.digest(), "{other:?}");
        }
        let mut old_differs = base.clone();
        old_differs.fields.get_mut("title").expect("a field").old = json!("Boss");
        assert_ne!(old_differs.digest(), base.digest(), "what it replaces was seen too");
    }

    #[test]
    fn a_plan_of_another_sync_is_another_plan() {
        let mut other = PlanHasher::new("guests");
        other.add(&update("E1", "Chef").digest());
        assert_ne!(other.id(), id(&[update("E1", "Chef")]));
    }

    #[test]
    fn what_needs_no_request_gets_none() {
        let linked = Operation::new(OpKind::Adopt, key("E1"), Some("1".into()));
        assert!(!linked.needs_request());
        assert!(Operation { reactivates: true, ..linked.clone() }.needs_request());
        assert!(!Operation::new(OpKind::Update, key("E1"), Some("1".into())).needs_request());
        assert!(Operation::new(OpKind::Ban, key("E1"), Some("1".into())).needs_request());
        let error = OpError::new(crate::domain::outcome::ErrorKind::Conflict, "two accounts");
        assert!(!Planned::Conflict(update("E1", "Chef"), error).needs_request());
    }

    #[test]
    fn debug_shows_no_value() {
        let mut operation = update("E1", "Chef");
        operation.baseline.set("phone", json!("555"));
        let text = format!("{operation:?}");
        assert!(!text.contains("Chef") && !text.contains("Clerk") && !text.contains("555"), "{text}");
    }

    proptest! {
        #![proptest_config(crate::domain::properties::cases(256))]

        /// The same inputs make the same plan, byte for byte, in whatever order they were met.
        #[test]
        fn the_order_in_which_operations_are_found_does_not_matter(
            mut operations in proptest::collection::btree_map("[a-zA-Z0-9]{1,4}", (0u32..3, "[a-z]{1,3}"), 0..40)
                .prop_map(|map| map.into_iter().map(|(k, (wave, title))| {
                    Operation { wave, ..update(&k, &title) }
                }).collect::<Vec<_>>())
                .prop_shuffle(),
        ) {
            let spooled = |operations: &[Operation]| {
                let spool = Spool::new(&Default::default(), &Default::default()).expect("a spool");
                operations.iter().for_each(|o| spool.add_to(o.wave, &o.clone().into()).expect("added"));
                let (mut all, mut last) = (Vec::new(), None::<Planned>);
                loop {
                    let page = spool.operations(last.as_deref(), 7).expect("a page");
                    let Some(end) = page.last().cloned() else { return all };
                    all.extend(page.into_iter().map(Planned::into_operation));
                    last = Some(end);
                }
            };
            let met = spooled(&operations);
            operations.sort_by(|a, b| (a.wave, &a.key).cmp(&(b.wave, &b.key)));
            prop_assert_eq!(&met, &operations);
            operations.reverse();
            prop_assert_eq!(id(&spooled(&operations)), id(&met));
        }
    }
}
