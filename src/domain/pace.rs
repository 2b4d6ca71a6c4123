//! How fast requests may follow each other.

use std::time::Duration;

/// How fast somebody may go: nanoseconds from one request to the next, and how far ahead of that a burst may be.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From one request to the next.
    pub interval: Duration,
    /// How much earlier than at an even pace a request may leave.
    pub tolerance: Duration,
}
