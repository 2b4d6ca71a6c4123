//! Targets are definitions, not code: a TOML file describes a user API, and one engine turns operations into requests
//! and answers into verdicts.
//!
//! Everything here is pure. Sockets, limits, retries and the journal are in [`crate::delivery`], and the same for
//! every target.

mod catalogue;
mod wire;

pub use catalogue::{Catalogue, Field};
pub use wire::{Account, AccountState, Answer, Page, Verdict, Wire};

/// A definition with one target's options applied. (Being built.)
#[derive(Debug)]
pub struct Engine {
    _private: (),
}
