//! The integration tests: one binary, a module a theme.

mod answers;
mod journey;
mod sandbox;
mod support;
mod wire;
