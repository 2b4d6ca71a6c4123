//! The integration tests: one binary, a module a theme.

mod sandbox;
mod support;
mod targets;
mod wire;
