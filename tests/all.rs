//! The integration tests: one binary, a module a theme.

mod backup;
mod kill_sweep;
mod rate;
mod sandbox;
mod secrecy;
mod simulation;
mod support;
mod wire;
