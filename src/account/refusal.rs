//! A target's refusal of one request that reads: whether it is about what was sought, or about everybody.

use crate::domain::error::Failure;
use crate::domain::outcome::OpError;

/// The target's refusal of one reading request, as the cause of a failure.
#[derive(Debug, thiserror::Error)]
#[error("{}", error.message)]
pub struct Refusal {
    /// What it said.
    pub(crate) error: OpError,
    /// With which HTTP status.
    pub(crate) status: u16,
}

/// Statuses of a refusal that is about the request as such, whatever is asked for: credentials, an address that is not
/// known, a method that there is not.
const ABOUT_EVERYBODY: [u16; 5] = [401, 404, 405, 407, 410];

/// Under sessions that were over each time, though others are accepted: about this request. No status of the target's.
pub(crate) const SESSION_OVER: u16 = 499;

impl Refusal {
    /// The refusal of a look-up because of what was sought, which tells nothing of any other; nothing for every other
    /// failure.
    pub fn of_one(failure: &Failure) -> Option<&OpError> {
        let refusal = std::error::Error::source(failure)?.downcast_ref::<Refusal>()?;
        let about_one = (400..500).contains(&refusal.status) && !ABOUT_EVERYBODY.contains(&refusal.status);
        about_one.then_some(&refusal.error)
    }
}
