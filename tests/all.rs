//! The integration tests: one binary, a module a theme.

mod daemon;
mod sandbox;
mod schedule;
mod support;
mod wire;
