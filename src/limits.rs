//! How much one run may change: the limits, judged over the whole plan before the first request.
//!
//! Pure. [`Approved`] has no other constructor than the functions of this module, and delivery takes nothing else:
//! what was not judged can't be sent.

use serde::{Deserialize, Serialize};

/// How many are allowed: a count, a share of the sync's users, both (whichever allows more), or any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// Any number.
    Unlimited,
    /// At most `count`, or `percent` of the users rounded down, whichever is more; an absent one allows nothing.
    AtMost {
        /// Absolute number.
        count: Option<u64>,
        /// Share in percent, 0 to 100.
        percent: Option<u8>,
    },
}

impl Limit {
    /// How many this allows for a sync with `users` active and invited users; `None` is "any number".
    ///
    /// With an empty snapshot a percentage allows nothing.
    pub fn allowed(&self, users: u64) -> Option<u64> {
        match *self {
            Limit::Unlimited => None,
            Limit::AtMost { count, percent } => {
                let share = percent.map_or(0, |p| (u128::from(users) * u128::from(p) / 100) as u64);
                Some(count.unwrap_or(0).max(share))
            }
        }
    }
}
