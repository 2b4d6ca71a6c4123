//! How fast requests may follow each other: the generic cell rate algorithm, on nanoseconds of whichever clock keeps it.
//!
//! Of all that was let through it keeps one number: when it would all have gone at the even pace.

use std::time::Duration;

/// How fast somebody may go: the time from one request to the next, and how far ahead of that a burst may be.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From one request to the next.
    pub interval: Duration,
    /// How much earlier than at an even pace a request may leave.
    pub tolerance: Duration,
}

impl Pace {
    /// By when all is served where a whole burst has just left: the next one goes an interval after `now`.
    pub fn empty(&self, now: u64) -> u64 {
        now.saturating_add(nanos(self.interval)).saturating_add(nanos(self.tolerance))
    }

    /// From when on the next request may leave.
    pub fn open_from(&self, served_by: u64) -> u64 {
        served_by.saturating_sub(nanos(self.tolerance))
    }

    /// By when all is served where one more leaves at this moment.
    pub fn served(&self, served_by: u64, at: u64) -> u64 {
        served_by.max(at).saturating_add(nanos(self.interval))
    }
}

/// A duration in nanoseconds; what is longer than five centuries is as good as that.
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_at_once_and_what_follows_at_the_even_pace() {
        let second = Duration::from_secs(1);
        let pace = Pace { interval: second, tolerance: 2 * second };
        let at = nanos(100 * second);
        let mut served_by = pace.empty(at);
        assert_eq!(pace.open_from(served_by), at + nanos(second), "it begins empty");
        // After a long rest three go at once, and the fourth an interval later.
        let at = nanos(200 * second);
        for _ in 0..3 {
            assert!(pace.open_from(served_by) <= at);
            served_by = pace.served(served_by, at);
        }
        assert_eq!(pace.open_from(served_by), at + nanos(second));
    }
}
