//! Simulated targets over real HTTP on loopback: for the tests, for `rosterd sandbox` and for `rosterd demo`.
//!
//! A target here is faithful to its vendor's page and shares no code with the definitions that rosterd sends by, so
//! that a misunderstanding can't hide on both sides. The sandbox keeps a log of its own of what it was asked and
//! what it committed, and can be made to fail in every way that a network and a platform fail.
//!
//! ```text
//! connection ──► server ──► log, faults ──► target (juno, juicebox, longjump, scim)
//!                   └────► admin: /_sandbox/requests, /_sandbox/users, /_sandbox/faults
//! ```

mod admin;
mod connection;
mod faults;
mod juicebox;
mod juno;
mod log;
mod longjump;
mod people;
mod scim;
mod server;
mod target;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::admin::Behaviour;
pub use self::faults::{Do, Scripted};
pub use self::log::{Op, Request};

use self::connection::{Connection, CuttableListener};
use self::faults::Faults;
use self::juicebox::Juicebox;
use self::juno::Juno;
use self::longjump::LongJump;
use self::scim::Scim;
use self::server::SandboxState;
use self::target::Target;
use crate::domain::units::Rate;

/// How a sandbox starts.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens; port 0 takes any free one.
    pub listen: SocketAddr,
    /// So many invented people have accounts already.
    pub users: usize,
    /// How long an answer takes: half before the request is handled, half after.
    pub latency: Duration,
    /// How many requests of a hundred fail by chance: 500, 503, or a broken connection before or after the deed.
    pub fail_percent: u8,
    /// Above this, a target answers 429 with `Retry-After`.
    pub rate: Option<Rate>,
    /// What chance begins with: the same requests in the same order fail alike.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            users: 0,
            latency: Duration::ZERO,
            fail_percent: 0,
            rate: None,
            seed: 1,
        }
    }
}

/// The shape of a list of users, which JUNO's page leaves open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Listing {
    /// `[…]`
    #[default]
    Bare,
    /// `{"users": […]}`
    Users,
    /// `{"data": […]}`
    Data,
}

impl Listing {
    fn wrap(self, users: Vec<Value>) -> Value {
        match self {
            Listing::Bare => Value::Array(users),
            Listing::Users => json!({ "users": users }),
            Listing::Data => json!({ "data": users }),
        }
    }
}

/// Simulated targets behind one socket.
pub struct Sandbox;

impl Sandbox {
    /// Starts a sandbox inside the running tokio runtime.
    ///
    /// # Errors
    /// The address can't be listened on.
    pub async fn start(options: Options) -> io::Result<Running> {
        let Options { listen, users, latency, fail_percent, rate, seed } = options;
        let mut targets: Vec<Box<dyn Target>> = vec![
            Box::new(Juno::new()),
            Box::new(Juicebox::default()),
            Box::new(LongJump::default()),
            Box::new(Scim::new()),
        ];
        let invented = people::accounts(users);
        for target in &mut targets {
            let accounts: Vec<Value> = invented.iter().map(|person| target.invent(person)).collect();
            target.seed(&accounts).map_err(io::Error::other)?;
        }
        let world = Arc::new(SandboxState::new(targets, Faults::new(latency, fail_percent, rate, seed)));

        let listener = TcpListener::bind(listen).await?;
        let addr = listener.local_addr()?;
        let stop = CancellationToken::new();
        let service = axum::Router::new()
            .fallback(server::serve)
            .with_state(Arc::clone(&world))
            .into_make_service_with_connect_info::<Connection>();
        let listener = CuttableListener::new(listener, stop.clone());
        let stopped = stop.clone().cancelled_owned();
        let task = tokio::spawn(async move {
            // The only error that serving ends with is one of accepting, and axum retries those itself.
            let _ = axum::serve(listener, service).with_graceful_shutdown(stopped).await;
        });
        Ok(Running { addr, world, task, stop: stop.drop_guard() })
    }
}

/// A sandbox that is up. It stops when this is dropped.
pub struct Running {
    addr: SocketAddr,
    world: Arc<SandboxState>,
    task: JoinHandle<()>,
    stop: DropGuard,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Running {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The root of all its paths, without a slash at the end: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Every request so far, in the order of arrival (the last million of them).
    pub fn requests(&self) -> Vec<Request> {
        self.requests_since(0)
    }

    /// The requests after the one with this number.
    pub fn requests_since(&self, seq: u64) -> Vec<Request> {
        self.world.log().since(seq)
    }

    /// The accounts of a target with all their fields, in the order of ids; none for a target that isn't there.
    pub fn users(&self, target: &str) -> Vec<Value> {
        self.world.target(target).map(|t| t.users()).unwrap_or_default()
    }

    /// Adds accounts to a target, as its administrator would: not through its API, and not in the log.
    ///
    /// # Errors
    /// There is no such target, or it refuses one of the accounts; those before that one are in.
    pub fn seed(&self, target: &str, accounts: &[Value]) -> Result<Vec<Value>, String> {
        let mut target = self.world.target(target).ok_or_else(|| format!("there is no target {target}"))?;
        target.seed(accounts)
    }

    /// Removes every account of a target; ids are not given out again.
    pub fn clear(&self, target: &str) {
        if let Some(mut target) = self.world.target(target) {
            target.clear();
        }
    }

    /// Changes how the targets behave: latency, failures, rate, scripted faults, shape of listings.
    ///
    /// # Errors
    /// A percentage above 100.
    pub fn behave(&self, behaviour: Behaviour) -> Result<(), String> {
        self.world.behave(behaviour)
    }

    /// Adds a scripted fault.
    pub fn script(&self, fault: Scripted) {
        self.world.faults().script(fault);
    }

    /// Stops it, cutting what is still connected, and waits until the port is free again.
    pub async fn shutdown(self) {
        drop(self.stop);
        // Cancelled or panicked: either way it has ended.
        let _ = self.task.await;
    }
}
