//! The integration tests: one binary, a module a theme.

mod answers;
mod backup;
mod disk;
mod faults;
mod journey;
mod kill;
mod kill_sweep;
mod people;
mod rate;
mod sandbox;
mod secrecy;
mod simulation;
mod sources;
mod support;
mod wire;
