//! How an operation ends, and what each ending means for the person.

use std::sync::Arc;
use std::time::Duration;

use super::attempt::Work;
use crate::domain::account::{AccountState, Kept};
use crate::domain::error::{Error, Failure, LocalReason, TargetReason};
use crate::domain::operation::{OpKind, Operation};
use crate::domain::outcome::{ErrorKind, OpError, Status};
use crate::domain::planned::Planned;
use crate::domain::remote_id::RemoteId;
use crate::domain::rules::{PersonState, SkipReason};
use crate::state::journal::Effect;
use crate::state::undo::Undoable;

/// How an operation ended.
#[derive(Debug)]
pub struct Finished {
    /// The operation as it was carried out: a create may have become an adoption.
    pub operation: Arc<Planned>,
    /// Its status.
    pub status: Status,
    /// What it means for the person.
    pub effect: Effect,
    /// Requests made to carry it out, look-ups not counted.
    pub attempts: u32,
    /// The last answer's status.
    pub http_status: Option<u16>,
    /// Why skipped, or what is worth knowing.
    pub reason: Option<String>,
    /// Why failed.
    pub error: Option<OpError>,
    /// From begin to end.
    pub took: Duration,
    /// Nothing more must be sent to this target.
    pub denied: bool,
    /// Nothing more may be sent to this target today.
    pub used_up: bool,
    /// The state failed on the way.
    pub state_failed: Option<Failure>,
    /// What the target shows against what was written.
    pub kept: Kept,
}

impl Finished {
    /// What it replaced on the target, to be kept for an undo; nothing where the target did not acknowledge it.
    pub fn replaced(&self) -> Option<Undoable> {
        let remote_id = match &self.effect {
            Effect::Confirmed { remote_id, .. } => Some(remote_id.clone()),
            _ => self.operation.remote_id.clone(),
        };
        (self.status == Status::Ok && !self.operation.is_step()).then(|| Undoable::of(&self.operation, remote_id))
    }
}

impl Work<'_> {
    fn finished(&self, status: Status, effect: Effect) -> Finished {
        Finished {
            operation: Arc::clone(&self.operation),
            status,
            effect,
            attempts: self.attempts,
            http_status: self.http_status,
            reason: None,
            error: None,
            took: self.began.elapsed(),
            denied: false,
            used_up: false,
            state_failed: None,
            kept: Kept::new(),
        }
    }

    /// The target acknowledged it, or there was nothing to send.
    pub(super) fn done(&self, remote_id: Option<RemoteId>, state: Option<AccountState>) -> Finished {
        let operation = &self.operation;
        let effect = match operation.kind {
            OpKind::Delete => Effect::Gone,
            OpKind::Unlink => Effect::Unlinked,
            OpKind::Create | OpKind::Update | OpKind::Ban | OpKind::Reinstate | OpKind::Adopt => {
                let Some(remote_id) = remote_id.or_else(|| operation.remote_id.clone()) else {
                    let error = OpError::new(ErrorKind::Protocol, "the target told no id of the new account");
                    return self.doubtful(error);
                };
                Effect::Confirmed {
                    state: confirmed_state(operation, state),
                    remote_id,
                    attributes: self.at.client.engine().acknowledged(operation),
                    fingerprint: operation.fingerprint,
                }
            }
        };
        self.finished(Status::Ok, effect)
    }

    pub(super) fn already_gone(&self) -> Finished {
        Finished { reason: Some("already gone".into()), ..self.finished(Status::Ok, Effect::Gone) }
    }

    pub(super) fn failed(&self, error: OpError) -> Finished {
        Finished { error: Some(error), ..self.finished(Status::Failed, Effect::None) }
    }

    pub(super) fn denied(&self, error: OpError) -> Finished {
        Finished { denied: true, ..self.failed(error) }
    }

    pub(super) fn skipped(&self, reason: SkipReason) -> Finished {
        Finished { reason: Some(reason.name().into()), ..self.finished(Status::Skipped, Effect::None) }
    }

    /// What had to be read before it could be sent can't be.
    pub(super) fn unreadable(&self, failure: Failure) -> Finished {
        if failure.error == Error::Target(TargetReason::QuotaUsedUp) {
            return Finished { used_up: true, ..self.not_begun(SkipReason::Quota) };
        }
        let kind =
            if failure.error == Error::Target(TargetReason::Denied) { ErrorKind::Auth } else { ErrorKind::Network };
        let error = OpError::new(kind, failure.message.clone());
        Finished { denied: kind == ErrorKind::Auth, ..self.failed_after(error, failure) }
    }

    /// What comes of a failure whose look-up failed too, where nothing can have been done.
    pub(super) fn failed_after(&self, error: OpError, failure: Failure) -> Finished {
        Finished { state_failed: state_failure(failure), ..self.failed(error) }
    }

    /// May have been made, and is looked up once more at the end of the run.
    pub(super) fn doubtful(&self, error: OpError) -> Finished {
        let instead = (self.planned != OpKind::Create).then(|| Box::new(Planned::clone(&self.operation)));
        Finished { error: Some(error), ..self.finished(Status::Unknown, Effect::Doubtful { instead }) }
    }

    /// May have been done, and can't be found out now.
    pub(super) fn unknown(&self, error: OpError, failure: Option<Failure>) -> Finished {
        Finished {
            error: Some(error),
            state_failed: failure.and_then(state_failure),
            ..self.finished(Status::Unknown, Effect::Unknown)
        }
    }
}

/// A failure of ours is worth stopping for; one of the target is in the outcome already.
fn state_failure(failure: Failure) -> Option<Failure> {
    matches!(failure.error, Error::State(_) | Error::Local(LocalReason::Io) | Error::Config | Error::Defect)
        .then_some(failure)
}

fn confirmed_state(operation: &Operation, answered: Option<AccountState>) -> PersonState {
    let found = if operation.reactivates { None } else { operation.found };
    match (operation.kind, answered.or(found)) {
        (OpKind::Ban, _) | (_, Some(AccountState::Banned)) => PersonState::Banned,
        (_, Some(AccountState::Invited)) => PersonState::Invited,
        _ => PersonState::Active,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::error::StateReason;

    #[test]
    fn a_busy_database_stops_the_run_and_a_target_in_trouble_does_not() {
        let stops = |error| state_failure(Failure::new(error, "trouble")).is_some();
        assert!(stops(Error::State(StateReason::Busy)));
        assert!(!stops(Error::Target(TargetReason::Unreachable)));
        assert!(!stops(Error::Local(LocalReason::Stopped)));
    }
}
