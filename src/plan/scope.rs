//! Whether somebody is in scope, asked of one person at a time.

use chrono::NaiveDate;

use super::Planner;
use crate::domain::error::{Failure, Result};
use crate::domain::record::Key;
use crate::mapping::{AsBefore, KnownRow, Mapped, Mapping};
use crate::source::Intake;
use crate::state::people::{People, Person, Standing};
use crate::state::settled::Settled;

/// What the source says of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// In scope.
    InScope,
    /// There, and `include` says no.
    Excluded,
    /// Not there.
    Absent,
    /// Their row, or rows, can't be used, so nobody can tell.
    Rejected,
}

/// Asks what a read says of one key; it is one that keeps every row.
///
/// # Errors
/// The read can't be looked at.
pub fn presence(intake: &Intake, mapping: &Mapping, key: &Key, today: NaiveDate) -> Result<Presence> {
    presence_knowing(intake, mapping, key, today, None)
}

/// [`presence`] where rows that say what is known of this person may not have been kept.
fn presence_knowing(
    intake: &Intake,
    mapping: &Mapping,
    key: &Key,
    today: NaiveDate,
    person: Option<&Person>,
) -> Result<Presence> {
    if intake.is_rejected(key)? {
        return Ok(Presence::Rejected);
    }
    let Some(record) = intake.record(key)? else {
        let was_left_out = intake.leaves_out_settled() && !intake.is_unsettled(key)?;
        return Ok(match person.and_then(Person::settled).filter(|_| was_left_out) {
            Some(Settled::InStep | Settled::Invited) => Presence::InScope,
            Some(Settled::Excluded) => Presence::Excluded,
            None => Presence::Absent,
        });
    };
    let bound = mapping.bind(intake.columns()).map_err(|missing| {
        Failure::internal(format!("the source was read without the columns {}", missing.join(", ")))
    })?;
    let decided = bound.decide_knowing(&record, today, person.and_then(known_row));
    Ok(match decided.map(|decided| decided.mapped) {
        Ok(Mapped::InScope(_)) | Err(AsBefore { .. }) => Presence::InScope,
        Ok(Mapped::Excluded) => Presence::Excluded,
        Ok(Mapped::Rejected(_)) => Presence::Rejected,
    })
}

/// What the snapshot tells of the row from which somebody was last decided about.
pub(super) fn known_row(person: &Person) -> Option<KnownRow> {
    let fingerprint = person.fingerprint?;
    let in_scope = match person.standing {
        Standing::InStep => true,
        Standing::Excluded => false,
        Standing::None => return None,
    };
    Some(KnownRow { fingerprint, in_scope })
}

impl Planner {
    /// What the source says of this key.
    ///
    /// # Errors
    /// The read can't be looked at, or the state fails.
    pub(super) async fn presence_of(&self, key: &Key) -> Result<Presence> {
        let person = match self.known.id.filter(|_| self.intake.leaves_out_settled()) {
            Some(sync) => self.state.ask(People { sync, keys: vec![key.clone()] }).await?.remove(key),
            None => None,
        };
        presence_knowing(&self.intake, &self.sync.mapping, key, self.today, person.as_ref())
    }
}
