//! Delivery: from an approved plan to the target, with journal, rate limit and retries, one outcome per operation.

pub mod rate;
pub mod transport;
