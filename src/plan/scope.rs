//! Whether somebody is in scope, asked of one person at a time.

use super::Planner;
use crate::domain::error::{Failure, Result};
use crate::domain::ids::SyncId;
use crate::domain::local_time::LocalTime;
use crate::domain::record::{Key, Record};
use crate::mapping::{AsBefore, KnownRow, Mapped, Mapping};
use crate::source::{Intake, Reviewed};
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
pub fn presence(intake: &Intake, mapping: &Mapping, key: &Key, time: LocalTime) -> Result<Presence> {
    presence_knowing(intake, mapping, key, time, None)
}

/// [`presence`] where rows that say what is known of this person may not have been kept.
fn presence_knowing(
    intake: &Intake,
    mapping: &Mapping,
    key: &Key,
    time: LocalTime,
    person: Option<(SyncId, &Person)>,
) -> Result<Presence> {
    if intake.is_rejected(key)? {
        return Ok(Presence::Rejected);
    }
    let Some(record) = intake.record(key)? else {
        let was_left_out = intake.leaves_out_settled() && !intake.is_unsettled(key)?;
        return Ok(match person.and_then(|(_, person)| person.settled()).filter(|_| was_left_out) {
            Some(Settled::InStep | Settled::Invited) => Presence::InScope,
            Some(Settled::Excluded) => Presence::Excluded,
            None => Presence::Absent,
        });
    };
    let bound = mapping.bind(intake.columns()).map_err(|missing| {
        Failure::internal(format!("the source was read without the columns {}", missing.join(", ")))
    })?;
    let known = match person {
        Some((sync, person)) => known_row(intake, Some(sync), person, &record)?,
        None => None,
    };
    let decided = bound.decide_knowing(&record, time, known);
    Ok(match decided.map(|decided| decided.mapped) {
        Ok(Mapped::InScope(_)) | Err(AsBefore { .. }) => Presence::InScope,
        Ok(Mapped::Excluded) => Presence::Excluded,
        Ok(Mapped::Rejected(_)) => Presence::Rejected,
    })
}

/// What is known of the row from which somebody was last decided about: as the snapshot tells, or as was found while the
/// source was read, where that row was evaluated again.
pub(super) fn known_row(
    intake: &Intake,
    sync: Option<SyncId>,
    person: &Person,
    record: &Record,
) -> Result<Option<KnownRow>> {
    let leaves_a_row_out = record.several.as_ref().is_some_and(|several| several.rows.iter().any(|row| row.is_known));
    if let Some(sync) = sync.filter(|_| leaves_a_row_out)
        && let Some(Reviewed { is, in_scope, .. }) = intake.reviewed_of(sync, &person.key)?
    {
        return Ok(Some(KnownRow { fingerprint: is, in_scope }));
    }
    let Some(fingerprint) = person.fingerprint else { return Ok(None) };
    Ok(match person.standing {
        Standing::InStep => Some(KnownRow { fingerprint, in_scope: true }),
        Standing::Excluded => Some(KnownRow { fingerprint, in_scope: false }),
        Standing::None => None,
    })
}

impl Planner {
    /// What the source says of this key.
    ///
    /// # Errors
    /// The read can't be looked at, or the state fails.
    pub(super) async fn presence_of(&self, key: &Key) -> Result<Presence> {
        let Some(sync) = self.known.id.filter(|_| self.intake.leaves_out_settled()) else {
            return presence_knowing(&self.intake, &self.sync.mapping, key, self.time, None);
        };
        let person = self.state.ask(People { sync, keys: vec![key.clone()] }).await?.remove(key);
        let person = person.as_ref().map(|person| (sync, person));
        presence_knowing(&self.intake, &self.sync.mapping, key, self.time, person)
    }
}
