//! A target's accounts, as planning and delivery reach them: the client with its session, quota and budget; listing and
//! look-up; whose an account is.

pub mod budget;
pub mod claims;
pub mod client;
pub mod clients;
pub mod foreign;
pub mod listing;
pub mod login;
pub mod lookup;
pub mod paging;
pub mod prepare;
pub mod proof;
pub mod quota;
pub mod refusal;
pub mod seek;
pub mod transport;

pub use claims::Doubled;
pub use client::Client;
pub use clients::Clients;
pub use clients::TargetBudgetReading;
pub use listing::Listing;
pub use prepare::Seen;
pub use refusal::Refusal;
