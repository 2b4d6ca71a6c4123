//! The integration tests: one binary, a module a theme.

mod answers;
mod sandbox;
mod support;
mod wire;
