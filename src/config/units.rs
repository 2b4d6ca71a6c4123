//! The small languages inside configuration values: durations, rates, sizes, limits.

use std::time::Duration;

/// How many requests in how much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests; at least 1.
    pub count: u32,
    /// In this time; one second, one minute or one hour.
    pub per: Duration,
}

impl Rate {
    /// Requests per second.
    pub fn per_second(&self) -> f64 {
        f64::from(self.count) / self.per.as_secs_f64()
    }
}
