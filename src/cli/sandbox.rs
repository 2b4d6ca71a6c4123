//! `rosterd sandbox`: the simulated targets for an operator to play with.

use std::net::SocketAddr;
use std::time::Duration;

use crate::domain::error::{Error, Failure, LocalReason, Result};
use crate::domain::units::Rate;
use crate::sandbox::{Options, Running, Sandbox};
use crate::terminal::out::Out;

/// Runs a sandbox until Ctrl-C, and says on standard output how to reach it and how to look inside.
///
/// # Errors
/// The address can't be listened on, or standard output is gone.
pub async fn command(
    listen: SocketAddr,
    users: usize,
    latency: Duration,
    fail_percent: u8,
    rate: Option<Rate>,
) -> Result<()> {
    let options = Options { listen, users, latency, fail_percent, rate, ..Options::default() };
    let running = Sandbox::start(options).await.map_err(|error| {
        Failure::new(Error::Local(LocalReason::Io), format!("the sandbox cannot listen on {listen}"))
            .because(error)
            .help("choose another address with --listen; port 0 takes any free port")
    })?;
    let mut out = Out::stdout();
    out.lines(&welcome(&running, users))?;
    out.flush()?;
    drop(out);
    tokio::signal::ctrl_c()
        .await
        .map_err(|error| Failure::new(Error::Defect, "cannot wait for Ctrl-C").because(error))?;
    running.shutdown().await;
    Ok(())
}

/// What is printed at the start.
fn welcome(running: &Running, users: usize) -> String {
    let url = running.url();
    let people = match users {
        0 => "no users yet".to_string(),
        1 => "1 invented user".to_string(),
        n => format!("{n} invented users"),
    };
    format!(
        "\
The sandbox listens on {url}   (Ctrl-C stops it; nothing is kept)

  target    base_url                                 credentials
  juno      {juno:<39}  bearer token: sandbox
  juicebox  {juicebox:<39}  token: sandbox, client 1
  longjump  {longjump:<39}  user name: admin, password: sandbox
  scim      {scim:<39}  bearer token: sandbox

Each has {people}.

Look inside:
  curl -s '{url}/_sandbox/users?target=juno'       every account, all fields
  curl -s '{url}/_sandbox/requests'                what was asked and what was committed; ?since=N for what is new
  curl -s -X DELETE '{url}/_sandbox/users?target=juno'   start over

Make it misbehave:
  curl -s '{url}/_sandbox/faults' -d '{{\"latency_ms\": 200, \"fail_percent\": 5, \"rate_per_second\": 20}}'
  curl -s '{url}/_sandbox/faults' -d '{{\"script\": [{{\"method\": \"POST\", \"nth\": 3, \"do\": \"commit-then-close\"}}]}}'
  curl -s -X DELETE '{url}/_sandbox/faults'              behave again

Accept for everybody who is invited to Juicebox:
  curl -s '{url}/_sandbox/faults' -d '{{\"accept_invitations\": true}}'
",
        juno = format!("{url}/juno/api"),
        juicebox = format!("{url}/juicebox"),
        longjump = format!("{url}/longjump"),
        scim = format!("{url}/scim/v2"),
    )
}
