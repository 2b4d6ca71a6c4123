//! rosterd keeps user platforms in step with the people a company really has.
//!
//! The modules stand in the order in which a run passes through them:
//!
//! ```text
//! source ──► record ──► mapping ──► diff ──► plan ──► limits ──► delivery ──► target's API
//! ```

pub mod cli;
pub mod config;
pub mod exit;
pub mod limits;
pub mod logging;
pub mod mapping;
pub mod outcome;
pub mod plan;
pub mod record;
pub mod schedule;
pub mod target;
pub mod value;
