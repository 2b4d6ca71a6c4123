//! Who watches the daemon's runs: the log, one line an outcome, and the counters.

use tracing::Level;

use crate::delivery::RunObserver;
use crate::domain::outcome::Outcome;
use crate::telemetry::{logging, metrics};

/// The observer of a daemon. There is no terminal to keep clear, so what went well is logged too.
#[derive(Debug)]
pub struct LogObserver;

impl RunObserver for LogObserver {
    fn begin(&self, sync: &str, operations: u64) {
        if operations > 0 {
            tracing::info!(sync, operations, "sending");
        }
    }

    fn outcome(&self, outcome: &Outcome) {
        metrics::outcome(outcome);
        logging::outcome(outcome, Level::INFO);
    }
}
