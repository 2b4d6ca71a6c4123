//! How a person's matter is settled without a look at their record.

use super::people::{Person, Standing};
use crate::domain::rules::PersonState;

/// How a person's matter is settled as long as their record stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Their account is in step.
    InStep,
    /// So it is, and they were invited and have not come yet.
    Invited,
    /// Their record is out of scope, and they have no access.
    Excluded,
}

impl Settled {
    /// How somebody's matter is settled who is in this state, with a record of this standing. Who was missed by a read
    /// has to be looked at whatever their record says.
    pub fn of(standing: Standing, state: PersonState, is_absent: bool) -> Option<Settled> {
        match (standing, state) {
            (Standing::InStep, PersonState::Active) if !is_absent => Some(Settled::InStep),
            (Standing::InStep, PersonState::Invited) if !is_absent => Some(Settled::Invited),
            (Standing::Excluded, PersonState::Active | PersonState::Invited) => None,
            (Standing::Excluded, _) => Some(Settled::Excluded),
            _ => None,
        }
    }
}

impl Person {
    /// How their matter is settled as long as their record has the fingerprint that is known of it.
    pub fn settled(&self) -> Option<Settled> {
        Settled::of(self.standing, self.state, self.absent_since.is_some())
    }
}
