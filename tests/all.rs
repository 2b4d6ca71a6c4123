//! The integration tests: one binary, a module a theme.

mod answers;
mod faults;
mod journey;
mod kill;
mod people;
mod sandbox;
mod sources;
mod support;
mod wire;
