//! The integration tests: one binary, a module a theme.

mod sandbox;
mod sources;
mod support;
mod wire;
