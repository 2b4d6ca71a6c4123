//! rosterd keeps user platforms in step with the people a company really has.
//!
//! The modules stand in the order in which a run passes through them:
//!
//! ```text
//! source ──► record ──► mapping ──► diff ──► plan ──► limits ──► delivery ──► target's API
//! ```

pub mod bounded;
pub mod config;

pub mod source;
pub mod trust;

pub mod identity;
pub mod record;

pub mod mapping;
pub mod value;

pub mod diff;
pub mod protect;
pub mod rules;

pub mod plan;
pub mod planner;

pub mod limits;

pub mod delivery;
pub mod retry;

pub mod target;

pub mod notify;
pub mod outcome;
pub mod reconcile;
pub mod run;
pub mod schedule;
pub mod state;
pub mod undo;
pub mod why;

pub mod daemon;
pub mod server;
pub mod status;

pub mod address;
pub mod cli;
pub mod demo;
pub mod exit;
mod link;
pub mod logging;
pub mod manual;
pub mod metrics;
#[cfg(test)]
mod mutated;
pub mod nearest;
pub mod net;
pub mod panics;
#[cfg(test)]
mod properties;
pub mod room;
pub mod sabotage;
pub mod sandbox;
pub mod stack;
pub mod time;
pub mod visible;
mod wording;
