//! The integration tests: one binary, a module a theme.

mod answers;
mod daemon;
mod faults;
mod journey;
mod kill;
mod people;
mod sandbox;
mod schedule;
mod sources;
mod support;
mod wire;
