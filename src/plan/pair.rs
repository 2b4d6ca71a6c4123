//! The two sides of one person in the merge.

use crate::domain::record::{Key, Record};
use crate::domain::rules::PersonState;
use crate::domain::value::Attributes;
use crate::state::bodies::Body;
use crate::state::people::Person;

/// Somebody who is in the source, in the snapshot, or in both.
pub(super) struct Pair {
    /// What the source has of them.
    pub record: Option<Record>,
    /// What the snapshot has.
    pub person: Option<Person>,
    /// What the target acknowledged of them, where that was asked already.
    pub body: Option<Body>,
    /// What the target shows of somebody who has accepted their invitation since the last run.
    pub accepted: Option<Attributes>,
}

impl Pair {
    /// Who.
    pub fn key(&self) -> Option<&Key> {
        self.record.as_ref().map(|r| &r.key).or(self.person.as_ref().map(|p| &p.key))
    }

    /// Their state in the snapshot.
    pub fn state(&self) -> PersonState {
        self.person.as_ref().map_or(PersonState::None, |p| p.state)
    }
}
