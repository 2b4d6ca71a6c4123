//! Targets are definitions, not code: a TOML file describes a user API, and one engine turns operations into requests
//! and answers into verdicts.
//!
//! Everything here is pure. Sockets, limits, retries and the journal are in [`crate::delivery`], and the same for
//! every target.

mod body;
mod call;
mod compile;
mod complaints;
mod definition;
mod encode;
mod engine;
mod exchange;
mod identity;
mod judge;
mod load;
mod options;
mod pages;
mod paging;
mod proof;
mod read;
mod records;
mod schema;
mod scim;
mod session;
mod template;
#[cfg(test)]
mod tests;
mod xml;

pub use crate::domain::catalogue::{Catalogue, Field};
pub use call::Call;
pub use engine::{Engine, KindFields, Takes};
pub use exchange::{ApiRequest, ApiResponse, Current, Held, Needs, Page, Verdict};
pub use identity::{Identity, Ownership};
pub use load::DefinitionError;
pub use proof::Proof;
pub use schema::definition_schema;
