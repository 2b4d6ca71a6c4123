//! rosterd keeps user platforms in step with the people a company really has.
//!
//! The layers stand below in the order in which they build on each other, which is that of a run:
//!
//! ```text
//! source ──► record ──► mapping ──► diff ──► plan ──► limits ──► delivery ──► target's API
//! ```
//!
//! A layer uses what stands above it, and of that only what the table in `tests/tidy.rs` says; no two layers use each
//! other.

// What everything is made of: people, accounts, operations, rules, limits, errors. Pure.
pub mod domain;

// The operating system: files, clock, disk, stack, panics.
pub mod os;

// Faults built in on purpose, for tests.
pub mod failpoints;

// Logs and measurements.
pub mod telemetry;

// From a record to what a target should hold. Pure.
pub mod mapping;

// Target definitions: requests and verdicts. Pure.
pub mod api;

// The HTTP client of sources and targets.
pub mod http;

// Configuration as typed and as used.
pub mod config;

// What each target confirmed: the database.
pub mod state;

// Where people come from.
pub mod source;

// A target's accounts: session, budget, listing, look-up.
pub mod account;

// What must change.
pub mod plan;

// Approved plans, sent.
pub mod delivery;

// One run, from reading to announcing.
pub mod run;

// What is told of syncs and of people.
pub mod report;

// What is written to a terminal.
pub mod terminal;

// Simulated targets.
pub mod sandbox;

// The manual's pages.
pub mod manual;

// The daemon's page, API and metrics.
pub mod server;

// Every scheduled sync, until stopped.
pub mod daemon;

// Four days of a directory, told.
pub mod demo;

// From an export to a configuration.
pub mod init;

// The command line.
pub mod cli;
