//! What a plan holds: operations, conflicts and steps.
//!
//! Pure. The JSON of all three is that of one record, in which journals and held plans of every version are kept; the
//! digest is what an approval holds on to.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::account::AccountState;
use crate::domain::label::{Label, LabelFields};
use crate::domain::operation::{Change, Fingerprint, InOrder, OpKind, Operation};
use crate::domain::outcome::OpError;
use crate::domain::record::Key;
use crate::domain::remote_id::RemoteId;
use crate::domain::value::Attributes;

/// One entry of a plan. It stands for its operation wherever it does not matter which of the three it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Planned {
    /// It is to be done.
    Operation(Operation),
    /// It should be done and can't be, for this reason: it is settled as failed, and nothing is sent.
    Conflict(Operation, OpError),
    /// A step on the way of this plan, with no outcome of its own: it parks a unique value for a moment.
    Step(Operation),
}

impl Planned {
    /// Why it can't be done although it should be.
    pub fn conflict(&self) -> Option<&OpError> {
        match self {
            Planned::Conflict(_, why) => Some(why),
            Planned::Operation(_) | Planned::Step(_) => None,
        }
    }

    /// Whether it is a step on the way of another operation.
    pub fn is_step(&self) -> bool {
        matches!(self, Planned::Step(_))
    }

    /// Whether a request is needed at all.
    pub fn needs_request(&self) -> bool {
        self.conflict().is_none() && Operation::needs_request(self)
    }

    /// The same of an operation that is made of this one's.
    pub fn map(&self, make: impl FnOnce(Operation) -> Operation) -> Planned {
        match self.clone() {
            Planned::Operation(operation) => Planned::Operation(make(operation)),
            Planned::Conflict(operation, why) => Planned::Conflict(make(operation), why),
            Planned::Step(operation) => Planned::Step(make(operation)),
        }
    }

    /// The operation itself, whether or not it can be done.
    pub fn into_operation(self) -> Operation {
        match self {
            Planned::Operation(operation) | Planned::Conflict(operation, _) | Planned::Step(operation) => operation,
        }
    }

    /// Hash of everything that a person who approves it agrees to; see [`Operation::digest`].
    pub fn digest(&self) -> [u8; 32] {
        self.digest_with(self.conflict())
    }
}

impl From<Operation> for Planned {
    fn from(operation: Operation) -> Planned {
        Planned::Operation(operation)
    }
}

impl Deref for Planned {
    type Target = Operation;

    fn deref(&self) -> &Operation {
        match self {
            Planned::Operation(operation) | Planned::Conflict(operation, _) | Planned::Step(operation) => operation,
        }
    }
}

impl DerefMut for Planned {
    fn deref_mut(&mut self) -> &mut Operation {
        match self {
            Planned::Operation(operation) | Planned::Conflict(operation, _) | Planned::Step(operation) => operation,
        }
    }
}

/// An entry as it is written. Its members and their order are those of every version.
#[derive(Serialize, Deserialize)]
struct Written {
    kind: OpKind,
    key: Key,
    remote_id: Option<RemoteId>,
    fields: BTreeMap<String, Change>,
    baseline: Attributes,
    reactivates: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    found: Option<AccountState>,
    fingerprint: Option<Fingerprint>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    create_only: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    step: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    blank: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    conflict: Option<OpError>,
}

impl Written {
    fn of(planned: Planned) -> Written {
        let (step, conflict) = (planned.is_step(), planned.conflict().cloned());
        let Operation {
            kind,
            key,
            remote_id,
            fields,
            baseline,
            reactivates,
            found,
            wave: _,
            fingerprint,
            create_only,
            hint,
            blank,
        } = planned.into_operation();
        Written {
            kind,
            key,
            remote_id,
            fields,
            baseline,
            reactivates,
            found,
            fingerprint,
            create_only,
            step,
            hint,
            blank,
            conflict,
        }
    }

    fn planned(self) -> Planned {
        let Written { kind, key, remote_id, fields, baseline, reactivates, found, fingerprint, create_only, .. } = self;
        let Written { step, hint, blank, conflict, .. } = self;
        let operation = Operation {
            kind,
            key,
            remote_id,
            fields,
            baseline,
            reactivates,
            found,
            wave: 0,
            fingerprint,
            create_only,
            hint,
            blank,
        };
        match conflict {
            Some(why) => Planned::Conflict(operation, why),
            None if step => Planned::Step(operation),
            None => Planned::Operation(operation),
        }
    }
}

impl Serialize for Planned {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            // Of a million these are nearly all, and an operation is written with the same members.
            Planned::Operation(operation) => operation.serialize(serializer),
            Planned::Conflict(..) | Planned::Step(_) => Written::of(self.clone()).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Planned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Planned, D::Error> {
        Written::deserialize(deserializer).map(Written::planned)
    }
}

/// An entry as people see it, without what it was planned from. Read from the JSON of a [`Planned`], written as the commands
/// that print plans do.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct PlannedView {
    kind: OpKind,
    key: Key,
    remote_id: Option<RemoteId>,
    fields: BTreeMap<String, Change>,
    #[serde(default)]
    step: bool,
    #[serde(default)]
    hint: Option<String>,
    #[serde(default)]
    conflict: Option<OpError>,
    #[serde(skip)]
    label: Option<Label>,
}

impl PlannedView {
    /// The same with what the person is called.
    pub fn labelled(self, label: Option<Label>) -> PlannedView {
        PlannedView { label, ..self }
    }

    /// The same, called by what it writes.
    pub fn labelled_by(self, label: &LabelFields) -> PlannedView {
        let label = label.of(|field| self.fields.get(field).map(|change| &change.new));
        self.labelled(label)
    }

    /// See [`Planned::is_step`].
    pub fn is_step(&self) -> bool {
        self.step
    }
}

impl From<Planned> for PlannedView {
    fn from(planned: Planned) -> PlannedView {
        let (step, conflict) = (planned.is_step(), planned.conflict().cloned());
        let Operation { kind, key, remote_id, fields, hint, .. } = planned.into_operation();
        PlannedView { kind, key, remote_id, fields, step, hint, conflict, label: None }
    }
}

impl Serialize for PlannedView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Its members in the order of their names.
        #[derive(Serialize)]
        struct Printed<'v> {
            #[serde(skip_serializing_if = "Option::is_none")]
            conflict: Option<&'v str>,
            fields: InOrder<'v>,
            #[serde(skip_serializing_if = "Option::is_none")]
            hint: Option<&'v str>,
            key: &'v Key,
            #[serde(skip_serializing_if = "Option::is_none")]
            label: Option<&'v str>,
            op: OpKind,
            remote_id: &'v Option<RemoteId>,
        }
        let printed = Printed {
            conflict: self.conflict.as_ref().map(|why| why.message.as_str()),
            fields: InOrder(&self.fields),
            hint: self.hint.as_deref(),
            key: &self.key,
            label: self.label.as_deref(),
            op: self.kind,
            remote_id: &self.remote_id,
        };
        printed.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::outcome::ErrorKind;

    fn operation() -> Operation {
        let mut operation = Operation::new(OpKind::Update, Key::parse("E1").expect("a key"), Some("1001".into()));
        operation.fields.insert("title".into(), Change { old: json!("Clerk"), new: json!("Chef") });
        operation.create_only.insert("start".into());
        operation.blank.insert("phone".into());
        operation.hint = Some("look".into());
        operation
    }

    /// Journals and held plans of earlier versions are read, and those of this one by them.
    #[test]
    fn all_three_are_written_as_they_have_always_been() {
        let conflict = OpError::new(ErrorKind::Conflict, "two accounts");
        let begin = r#"{"kind":"update","key":"E1","remote_id":"1001","fields":{"title":{"old":"Clerk","new":"Chef"}},"baseline":{},"reactivates":false,"fingerprint":null,"create_only":["start"]"#;
        let end = r#""hint":"look","blank":["phone"]"#;
        for (planned, text) in [
            (Planned::Operation(operation()), format!("{begin},{end}}}")),
            (Planned::Step(operation()), format!(r#"{begin},"step":true,{end}}}"#)),
            (
                Planned::Conflict(operation(), conflict),
                format!(r#"{begin},{end},"conflict":{{"kind":"conflict","message":"two accounts"}}}}"#),
            ),
        ] {
            assert_eq!(serde_json::to_string(&planned).expect("JSON"), text);
            assert_eq!(serde_json::from_str::<Planned>(&text).expect("read back"), planned);
        }
    }

    #[test]
    fn people_see_what_they_agree_to() {
        let conflict = OpError::new(ErrorKind::Conflict, "two accounts");
        let shown = r#""fields":{"title":{"new":"Chef","old":"Clerk"}},"hint":"look","key":"E1","op":"update","remote_id":"1001"}"#;
        for (planned, text) in [
            (Planned::Operation(operation()), format!("{{{shown}")),
            (Planned::Step(operation()), format!("{{{shown}")),
            (Planned::Conflict(operation(), conflict), format!(r#"{{"conflict":"two accounts",{shown}"#)),
        ] {
            let stored = serde_json::to_string(&planned).expect("JSON");
            let view: PlannedView = serde_json::from_str(&stored).expect("what is stored");
            assert_eq!(serde_json::to_string(&view).expect("JSON"), text);
            assert_eq!(view.is_step(), planned.is_step());
            assert_eq!(view, planned.into());
        }
        let bare =
            PlannedView::from(Planned::from(Operation::new(OpKind::Ban, Key::parse("E2").expect("a key"), None)));
        let text = serde_json::to_string(&bare).expect("JSON");
        assert_eq!(text, r#"{"fields":{},"key":"E2","op":"ban","remote_id":null}"#);
    }

    #[test]
    fn a_conflict_is_agreed_to_apart_and_a_step_is_not() {
        let hex = |digest: [u8; 32]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let conflict = OpError::new(ErrorKind::Conflict, "two accounts");
        let plain = Planned::Operation(operation());
        assert_eq!(hex(plain.digest())[..16], *"e12a301089f55685");
        assert_eq!(Planned::Step(operation()).digest(), plain.digest());
        assert_ne!(Planned::Conflict(operation(), conflict).digest(), plain.digest());
    }
}
