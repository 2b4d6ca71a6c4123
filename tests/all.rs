//! The integration tests: one binary, a module a theme.

mod answers;
mod backup;
mod bounds;
mod budget;
mod daemon;
mod demo;
mod disk;
mod faults;
mod files;
mod init;
mod journey;
mod kill;
mod kill_sweep;
mod messages;
mod output;
mod people;
mod rate;
mod sandbox;
mod schedule;
mod secrecy;
mod simulation;
mod sources;
mod support;
mod targets;
mod terminal;
mod wire;
