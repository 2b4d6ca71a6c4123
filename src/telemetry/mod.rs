//! What is told of the program while it runs: logs and measurements.

pub mod logging;
pub mod metrics;
