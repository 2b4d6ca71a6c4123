//! The integration tests: one binary, a module a theme.

mod sandbox;
mod simulation;
mod support;
mod wire;
