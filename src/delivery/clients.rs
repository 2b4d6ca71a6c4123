//! The clients of a process: one a target, so that all syncs on it share one rate, one pause, one retry budget and one
//! quota, however often and from wherever it is asked for.
//!
//! Secrets are read again whenever a client is asked for. One that is as it was keeps its connections (and its session);
//! a new one gets connections of its own, and goes on at the same rate.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rand::Rng;
use secrecy::ExposeSecret;

use super::client::{Carrier, Client, Line};
use super::login::Login;
use super::transport::Transport;
use crate::config::settings::TargetSettings;
use crate::exit::Result;
use crate::state::State;
use crate::time::Clock;

/// Makes the carrier of a target's requests: a socket, or a script in a simulation.
type Connect = dyn Fn(&TargetSettings) -> Result<Box<dyn Carrier>> + Send + Sync;

/// The clients of this process, by target.
pub struct Clients {
    state: State,
    clock: Clock,
    connect: Box<Connect>,
    known: Mutex<BTreeMap<String, Known>>,
}

struct Known {
    client: Arc<Client>,
    settings: Arc<TargetSettings>,
    credentials: [u8; 32],
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clients")
    }
}

impl Clients {
    /// Clients over the network. Daily quotas are counted in `state`.
    pub fn new(state: State, clock: Clock) -> Clients {
        Clients::over(state, clock, |settings| Ok(Box::new(Transport::new(settings)?)))
    }

    /// Clients over carriers that this function makes.
    pub fn over(
        state: State,
        clock: Clock,
        connect: impl Fn(&TargetSettings) -> Result<Box<dyn Carrier>> + Send + Sync + 'static,
    ) -> Clients {
        Clients { state, clock, connect: Box::new(connect), known: Mutex::default() }
    }

    /// The client of a target, with its secrets as they are now. Whoever asks begins a run: the floor of the retry
    /// budget is theirs.
    ///
    /// # Errors
    /// A secret can't be read, or the settings admit no connection.
    pub fn of(&self, settings: &Arc<TargetSettings>) -> Result<Arc<Client>> {
        let credentials = credentials(settings)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.get(&settings.name);
        if let Some(same) = before.filter(|k| Arc::ptr_eq(&k.settings, settings) && k.credentials == credentials) {
            same.client.line().refill();
            return Ok(Arc::clone(&same.client));
        }
        let line = match before.map(|k| k.client.line()).filter(|line| line.fits(settings)) {
            Some(line) => Arc::clone(line),
            None => Arc::new(Line::new(settings, &self.state, &self.clock)),
        };
        line.refill();
        let carrier = (self.connect)(settings)?;
        let client = Client::new(Arc::clone(settings), carrier, line, self.clock.clone(), rand::rng().random());
        let client = Arc::new(client.with_login(Login::of(settings)?));
        let entry = Known { client: Arc::clone(&client), settings: Arc::clone(settings), credentials };
        known.insert(settings.name.clone(), entry);
        Ok(client)
    }
}

/// A hash of what a target's connections are made with besides its settings: it tells a rotated secret from the same
/// one, and tells nothing else.
fn credentials(settings: &TargetSettings) -> Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    if let Some(secret) = settings.auth.secret() {
        hasher.update(secret.read()?.expose_secret().as_bytes());
    }
    for file in [&settings.network.ca_file, &settings.network.client_cert].into_iter().flatten() {
        // One that can't be read is for whoever connects to complain of.
        hasher.update(&std::fs::read(file).unwrap_or_default());
    }
    Ok(hasher.finalize().into())
}
