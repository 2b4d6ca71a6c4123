//! The integration tests: one binary, a module a theme.

mod people;
mod sandbox;
mod support;
mod wire;
