//! HTTP as sources and targets use it alike: connections, authentication, rate.

pub mod client;
pub mod error;
pub mod oauth;
pub mod rate;
pub mod secret;
pub mod settings;
