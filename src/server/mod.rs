//! The daemon's endpoints: health, metrics, a small API, and the page that an on-call engineer opens at night.
//!
//! Read-only: nothing that is asked here changes anything, and no answer holds a value of a person unless
//! `show_values` says so. It reads the state through a connection of its own, so that nobody who looks makes a sender
//! wait.

pub mod live;

mod api;
mod endpoints;
mod host;
mod links;
mod listen;
mod openapi;
mod overview;
mod page;
mod pages;
mod person;
mod pictures;
mod plan;
mod prometheus;
mod timeline;
mod trend;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::State as Extract;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use metrics_exporter_prometheus::PrometheusHandle;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::settings::ServerSettings;
use crate::domain::error::{Error, Failure, LocalReason, Result};
use crate::domain::exit::Exit;
use crate::os::clock::Clock;
use crate::state::State;
use crate::state::history::Ping;
use host::Hosts;

/// How long answers under way may take when the server ends.
const GRACE: Duration = Duration::from_secs(2);

/// How long `/readyz` waits for the state.
const PATIENCE: Duration = Duration::from_secs(5);

/// What every answer is made from.
#[derive(Clone)]
pub struct Context {
    /// What the scheduler shows.
    pub live: LiveStatus,
    /// The state, once it is open.
    pub ready: Ready,
    /// What time it is.
    pub clock: Clock,
    /// What was counted.
    pub measured: PrometheusHandle,
}

impl Context {
    /// Whether values of people may be shown.
    fn shows_values(&self) -> bool {
        self.live.view().settings.server.as_ref().is_some_and(|server| server.show_values)
    }
}

/// The state, as soon as it is there.
#[derive(Clone, Default)]
pub struct Ready(Arc<OnceLock<State>>);

impl Ready {
    /// It is there.
    pub fn set(&self, state: State) {
        let _ = self.0.set(state);
    }

    fn state(&self) -> Result<&State, Refusal> {
        self.0.get().ok_or_else(|| Refusal::unavailable("the state is not open yet"))
    }
}

/// A running server.
pub struct Handle {
    /// Where it listens: what the configuration says, with the port that was had where that says 0.
    pub address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Handle {
    /// Takes no more requests, and waits a moment for answers under way.
    pub async fn end(self) {
        let Handle { stop, mut task, .. } = self;
        stop.cancel();
        if tokio::time::timeout(GRACE, &mut task).await.is_err() {
            task.abort();
        }
    }
}

/// Starts the server.
///
/// # Errors
/// The address can't be had.
pub async fn start(settings: &ServerSettings, context: &Context) -> Result<Handle> {
    let listener = TcpListener::bind(settings.listen).await.map_err(|e| taken(settings.listen, e))?;
    let address = listener.local_addr().map_err(|e| taken(settings.listen, e))?;
    let stop = CancellationToken::new();
    let (hosts, most) = (Hosts::new(&settings.hosts), connections(settings.max_connections));
    let task = tokio::spawn(listen::serve(listener, routes(context.clone()), hosts, most, stop.clone()));
    Ok(Handle { address, stop, task })
}

/// How many connections there may be: what is configured, and no more than a quarter of the files that the process may
/// have open; the state and the targets need the others.
fn connections(wanted: u32) -> usize {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let most = files.map_or(u64::MAX, |files| (files / 4).max(1));
    if u64::from(wanted) > most {
        tracing::warn!(
            "server.max_connections is {wanted}, but a quarter of the open files allowed is {most}: that is kept to"
        );
    }
    usize::try_from(most.min(wanted.into())).unwrap_or(usize::MAX).min(tokio::sync::Semaphore::MAX_PERMITS)
}

fn taken(address: SocketAddr, error: std::io::Error) -> Failure {
    Failure::new(Error::Local(LocalReason::Unavailable), format!("server.listen: cannot listen on {address}"))
        .help("is another rosterd running there? choose another port, or leave out [server]")
        .because(error)
}

fn routes(context: Context) -> Router {
    endpoints::router()
        .fallback(async || api::nowhere())
        .layer(axum::middleware::map_response(careful))
        .with_state(context)
}

/// What a browser may do with an answer: show it, and send its form, which finds a person, back here.
async fn careful(mut response: Response) -> Response {
    const HEADERS: [(HeaderName, &str); 4] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; base-uri 'none'; \
             form-action 'self'",
        ),
    ];
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn readiness(Extract(context): Extract<Context>) -> Result<&'static str, Refusal> {
    let state = context.ready.state()?;
    if context.live.view().stopping {
        return Err(Refusal::unavailable("stopping"));
    }
    match tokio::time::timeout(PATIENCE, state.ask(Ping)).await {
        Ok(Ok(())) => Ok("ready\n"),
        Ok(Err(error)) => Err(Refusal::unavailable(error.to_string())),
        Err(_) => Err(Refusal::unavailable("the state does not answer")),
    }
}

/// An answer that is none, as JSON in the shape that every command prints.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    code: Exit,
    message: String,
}

/// What stands in the place of an answer.
#[derive(Debug, Serialize, JsonSchema)]
struct Refused {
    /// Why there is none.
    error: RefusedBecause,
}

/// Why there is no answer.
#[derive(Debug, Serialize, JsonSchema)]
struct RefusedBecause {
    /// The exit code that a command would have.
    #[schemars(with = "u8")]
    code: Exit,
    /// What is wrong, in a sentence.
    message: String,
    /// What one can do about it.
    help: Option<String>,
}

impl Refusal {
    fn new(status: StatusCode, code: Exit, message: impl Into<String>) -> Refusal {
        Refusal { status, code, message: message.into() }
    }

    fn unavailable(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Exit::Unavailable, message)
    }
}

impl<E: Into<Failure>> From<E> for Refusal {
    fn from(error: E) -> Refusal {
        let failure: Failure = error.into();
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, failure.error.into(), failure.chain())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let error = RefusedBecause { code: self.code, message: self.message, help: None };
        (self.status, axum::Json(Refused { error })).into_response()
    }
}

#[cfg(test)]
mod tests;

pub use live::LiveStatus;
pub use live::Pace;
pub use live::View;
