//! What integration tests share: a sandbox on a thread of its own, a home with configuration and files, and the real
//! binary run in it.
//!
//! The sandbox has its own runtime, so that a test may block on the binary (which talks to it) as a shell would.

#![allow(dead_code, unused_imports, reason = "each theme uses the part it needs")]

mod home;
mod sim;

pub use home::{Home, Ran};
pub use rosterd::sandbox::Op;
pub use sim::Sim;
