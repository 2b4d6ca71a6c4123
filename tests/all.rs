//! The integration tests: one binary, a module a theme.

mod journey;
mod sandbox;
mod support;
mod wire;
