//! Leavers, as the merge meets them: what speaks for leaving them alone, and what a newcomer could be recognised by.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Case, Merge, Pair};
use crate::account::lookup::LookupValues;
use crate::config::settings::OnLeave;
use crate::domain::error::Result;
use crate::domain::rules::{Circumstances, LeavePolicy, PersonState, SourceSays};
use crate::domain::value::Attributes;
use crate::plan::lookalikes;
use crate::plan::spool::Leaver;
use crate::state::people::Standing;

/// Whether an account of this state gives access, which a leaver loses.
pub(super) fn has_access(state: PersonState) -> bool {
    matches!(state, PersonState::Active | PersonState::Invited)
}

/// Whether somebody of this state is a newcomer when they are in scope.
pub(super) fn is_new(state: PersonState) -> bool {
    matches!(state, PersonState::None | PersonState::Deleted)
}

impl Merge<'_> {
    /// Of those about whom the plan is not (`--only`): whether somebody of the plan could look like them.
    pub(super) fn may_be_alike(&self, pair: &Pair) -> Result<bool> {
        let (state, key) = (pair.state(), pair.key());
        if self.planner.observed.is_some() || key.is_none_or(|key| self.unresolved.contains(key)) {
            return Ok(false);
        }
        Ok(match (&pair.record, &pair.person) {
            (Some(_), _) if is_new(state) => true,
            (None, _) => has_access(state),
            (Some(record), Some(person)) => {
                let same = self.is_as_known(record, person, self.known_row(pair)?);
                has_access(state) && !(same && person.standing == Standing::InStep)
            }
            (Some(_), None) => false,
        })
    }

    /// Everything else that matters for somebody.
    pub(super) fn circumstances(&self, case: &Case<'_>) -> Circumstances {
        let since = case.person.and_then(|p| p.absent_since);
        Circumstances {
            protected: self.is_protected(case),
            keyless: self.keyless,
            incomplete: self.planner.incomplete,
            clock_behind: self.planner.clock.behind,
            // Found out when all newcomers are known.
            recognised: false,
            // Who had been banned already has had their grace.
            in_grace: !matches!(case.was, PersonState::Banned | PersonState::Deleted) && self.in_grace(since),
            on_leave: match self.planner.sync.on_leave {
                OnLeave::Ban => LeavePolicy::Ban,
                OnLeave::Delete => LeavePolicy::Delete,
                OnLeave::Ignore => LeavePolicy::Ignore,
            },
        }
    }

    fn in_grace(&self, stamped: Option<DateTime<Utc>>) -> bool {
        let grace = TimeDelta::from_std(self.planner.sync.leave_grace).unwrap_or(TimeDelta::MAX);
        let stamped = stamped.or(self.planner.pretended_at);
        let since = self.planner.clock.absent_since(stamped, self.planner.now);
        !grace.is_zero() && self.planner.now.signed_duration_since(since) < grace
    }

    /// By key, or by a value of a `match` field, as it is or as it should be.
    pub(super) fn is_protected(&self, case: &Case<'_>) -> bool {
        let protection = &self.planner.sync.protect;
        if protection.is_empty() {
            return false;
        }
        let observed = case.body.observed.as_ref();
        let values = self.planner.sync.match_fields.iter().flat_map(|field| {
            let desired = case.desired.as_ref().and_then(|(d, _)| d.fields.get(field)).map(|d| &d.value);
            [case.body.attributes.get(field), observed.and_then(|o| o.get(field)), desired].into_iter().flatten()
        });
        // What was last observed on the target; what was acknowledged where nothing was.
        let known = case.person.is_some_and(|p| p.remote_id.is_some());
        let account: Option<Attributes> = known.then(|| {
            let mut account = case.body.attributes.clone();
            account.0.extend(observed.into_iter().flat_map(|o| o.0.clone()));
            account
        });
        protection.covers(case.key, values, account.as_ref(), self.planner.time)
    }

    /// Notes somebody who may lose access, with what a newcomer could be recognised by.
    pub(super) fn note_leaver(&self, case: &Case<'_>, circumstances: &Circumstances) -> Result<()> {
        let state = case.person.map_or(PersonState::None, |p| p.state);
        if !has_access(state) || !matches!(case.says, SourceSays::Excluded | SourceSays::Absent) {
            return Ok(());
        }
        let catalogue = self.planner.sync.target.engine.catalogue();
        let remote_id = case.person.and_then(|p| p.remote_id.clone());
        let leaver = Leaver {
            key: case.key.clone(),
            remote_id: remote_id.clone(),
            state,
            says: case.says,
            circumstances: *circumstances,
            planned: !case.bystands,
        };
        let fields = catalogue.recognised_by(&self.planner.sync.match_fields);
        let id = remote_id.map(|id| serde_json::Value::from(id.as_str()));
        let observed = case.body.observed.as_ref();
        let values = fields.iter().flat_map(|field| {
            let id = id.as_ref().filter(|_| catalogue.id_field.as_ref() == Some(field));
            let values = [case.body.attributes.get(field), observed.and_then(|o| o.get(field)), id];
            values.into_iter().flatten().map(move |value| (field, value))
        });
        lookalikes::note_leaver(&self.out.spool(), &leaver, values)
    }

    /// Notes a newcomer about whom the plan is not.
    pub(super) fn note_bystander(&mut self, case: &Case<'_>, sought: &LookupValues) -> Result<()> {
        self.tellings.note(sought);
        Ok(self.out.spool().bystander(case.key, sought)?)
    }
}
