//! What can be typed after `rosterd sandbox`.

use std::net::SocketAddr;

use clap::Args;

use crate::domain::units::Rate;

/// `sandbox`.
#[derive(Args, Clone, Debug)]
pub struct SandboxArgs {
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8480")]
    pub listen: SocketAddr,
    /// How many users each target has at the start
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub users: usize,
    /// How long each answer takes, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub latency: u64,
    /// How many requests in a hundred fail
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub fail: u8,
    /// How many requests a target admits before it answers 429, e.g. 20/s
    #[arg(long, value_name = "N/s")]
    pub rate: Option<Rate>,
}
