//! HTTP as sources and targets use it alike: connections, authentication, bodies, rate.

pub mod auth;
pub mod body;
pub mod client;
pub mod error;
pub mod oauth;
pub mod paging;
pub mod rate;
pub mod secret;
pub mod settings;
