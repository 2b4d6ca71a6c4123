//! Configuration: as typed, then resolved into settings as used, with every error at once.

pub mod secret;
pub mod settings;
pub mod units;
