//! Whether somebody is in scope, asked of one person at a time.

use chrono::NaiveDate;

use super::Planner;
use crate::domain::error::{Failure, Result};
use crate::domain::record::Key;
use crate::mapping::{Mapped, Mapping};
use crate::source::Intake;

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

/// Asks what a read says of one key.
///
/// # Errors
/// The read can't be looked at.
pub fn presence(intake: &Intake, mapping: &Mapping, key: &Key, today: NaiveDate) -> Result<Presence> {
    if intake.is_rejected(key)? {
        return Ok(Presence::Rejected);
    }
    let Some(record) = intake.record(key)? else { return Ok(Presence::Absent) };
    let bound = mapping.bind(intake.columns()).map_err(|missing| {
        Failure::internal(format!("the source was read without the columns {}", missing.join(", ")))
    })?;
    Ok(match bound.decide(&record, today).mapped {
        Mapped::InScope(_) => Presence::InScope,
        Mapped::Excluded => Presence::Excluded,
        Mapped::Rejected(_) => Presence::Rejected,
    })
}

impl Planner {
    /// What the source says of this key.
    ///
    /// # Errors
    /// The read can't be looked at.
    pub(super) fn presence_of(&self, key: &Key) -> Result<Presence> {
        presence(&self.intake, &self.sync.mapping, key, self.today)
    }
}
