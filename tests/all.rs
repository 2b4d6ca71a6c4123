//! The integration tests: one binary, a module a theme.

mod faults;
mod journey;
mod kill;
mod people;
mod sandbox;
mod support;
mod wire;
