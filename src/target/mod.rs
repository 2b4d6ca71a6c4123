//! Targets are definitions, not code: a TOML file describes a user API, and one engine turns operations into requests
//! and answers into verdicts.
//!
//! Everything here is pure. Sockets, limits, retries and the journal are in [`crate::delivery`], and the same for
//! every target.

mod catalogue;
mod compile;
mod definition;
mod engine;
mod judge;
mod load;
mod options;
mod read;
mod template;
mod wire;

pub use catalogue::{Catalogue, Field};
pub use engine::Engine;
pub use load::DefinitionError;
pub use wire::{Account, AccountState, Answer, Page, Verdict, Wire};
