//! Which of the differences that a reconcile finds are to be ended.

use super::operation::OpKind;

/// What is to be done about differences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remedy {
    /// Link accounts that are there and are somebody's of the source; bind the sync anew where it must be.
    pub adopt: bool,
    /// Create who is missing, set right who drifted, correct who is wrongly banned or active.
    pub repair: bool,
}

impl Remedy {
    /// Whether anything is to be done.
    pub fn any(self) -> bool {
        self.adopt || self.repair
    }

    /// Whether an operation of this kind is wanted.
    pub fn wants(self, kind: OpKind) -> bool {
        match kind {
            OpKind::Adopt => self.adopt,
            OpKind::Create | OpKind::Update | OpKind::Reinstate | OpKind::Ban | OpKind::Delete => self.repair,
            OpKind::Unlink => false,
        }
    }
}
