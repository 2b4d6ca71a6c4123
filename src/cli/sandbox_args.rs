//! What can be typed after `rosterd sandbox`.

use std::net::SocketAddr;

use clap::Args;

use crate::domain::units::Rate;

/// What follows the options in `rosterd sandbox --help`.
pub(super) const AFTER_SANDBOX_HELP: &str = "\
Base URLs, below the address:
  /juno/api  bearer token: sandbox
  /juicebox  token: sandbox, client 1
  /longjump  user name: admin, password: sandbox
  /scim/v2   bearer token: sandbox

Look inside:
  GET /_sandbox/users?target=juno  every account, all fields
  GET /_sandbox/requests           what was asked and what was committed

Change how they behave, by POST of JSON to /_sandbox/faults:
  {\"accept_invitations\": true}  everybody who is invited to Juicebox accepts now
  {\"expire_sessions_after\": 1}  LongJump's sessions end after one more request
  {\"take_patches\": false}       SCIM takes whole users only
  {\"latency_ms\": 200, \"fail_percent\": 5, \"rate_per_second\": 20}
DELETE /_sandbox/faults ends latency and failures.

Examples:
  rosterd sandbox
  rosterd sandbox --users 500 --fail 5 --rate 20/s";

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
