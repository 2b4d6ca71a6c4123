//! The clients of a process: one a target, so that all syncs on it share one rate, one pause, one retry budget and one
//! quota, however often and from wherever it is asked for.
//!
//! Secrets are read again whenever a client is asked for. One that is as it was keeps its connections (and its session);
//! a new one gets connections of its own, and goes on at the same rate.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rand::Rng;
use secrecy::ExposeSecret;

use super::budget::Budget;
use super::client::{Carrier, Client, TargetBudget};
use super::login::Login;
use super::transport::Transport;
use crate::config::settings::TargetSettings;
use crate::domain::error::Result;
use crate::domain::units::Rate;
use crate::http::rate::GateCounters;
use crate::os::bounded_file;
use crate::os::clock::Clock;
use crate::state::State;

/// Makes the carrier of a target's requests: a socket, or a script in a simulation.
type Connect = dyn Fn(&TargetSettings) -> Result<Box<dyn Carrier>> + Send + Sync;

/// The clients of this process, by target.
pub struct Clients {
    state: State,
    budget: Budget,
    clock: Clock,
    connect: Box<Connect>,
    seed: u64,
    known: Mutex<BTreeMap<String, Known>>,
}

struct Known {
    client: Arc<Client>,
    settings: Arc<TargetSettings>,
    credentials: [u8; 32],
}

impl Known {
    /// Whether somebody sends through it, or through an older client on its budget.
    fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.client) > 1 || Arc::strong_count(self.client.budget()) > 1
    }
}

/// A target's budget as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetBudgetReading {
    /// The target.
    pub target: String,
    /// What it allows.
    pub rate: Rate,
    /// What it has let through, and how long that waited.
    pub counters: GateCounters,
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clients")
    }
}

impl Clients {
    /// Clients over the network. Daily quotas are counted in `state`, rates are kept in `budget`.
    pub fn new(state: State, clock: Clock, budget: Budget) -> Clients {
        let made =
            Clients::over(state, clock, rand::rng().random(), |settings| Ok(Box::new(Transport::new(settings)?)));
        Clients { budget, ..made }
    }

    /// Clients over carriers that this function makes, with a budget of their own. `seed` feeds the jitter of retries.
    pub fn over(
        state: State,
        clock: Clock,
        seed: u64,
        connect: impl Fn(&TargetSettings) -> Result<Box<dyn Carrier>> + Send + Sync + 'static,
    ) -> Clients {
        let (budget, connect, known) = (Budget::of_this_process(), Box::new(connect), Mutex::default());
        Clients { state, budget, clock, connect, seed, known }
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
        // Two budgets of one target would let through more than either allows: limits that have changed wait until nobody
        // sends through the old one.
        let goes_on = |k: &Known| k.client.budget().fits(settings) || k.is_in_use();
        let same = |k: &&Known| Arc::ptr_eq(&k.settings, settings) && k.credentials == credentials && goes_on(k);
        if let Some(same) = before.filter(same) {
            same.client.budget().refill();
            return Ok(Arc::clone(&same.client));
        }
        let budget = match before.filter(|k| goes_on(k)) {
            Some(before) => Arc::clone(before.client.budget()),
            None => Arc::new(TargetBudget::new(settings, &self.state, &self.clock, &self.budget)),
        };
        budget.refill();
        let carrier = (self.connect)(settings)?;
        let client = Client::new(Arc::clone(settings), carrier, budget, self.clock.clone(), self.seed);
        let client = Arc::new(client.with_login(Login::of(settings)?));
        let entry = Known { client: Arc::clone(&client), settings: Arc::clone(settings), credentials };
        known.insert(settings.name.clone(), entry);
        Ok(client)
    }

    /// The budgets of all targets that were spoken to, by target.
    pub fn readings(&self) -> Vec<TargetBudgetReading> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = |(target, known): (&String, &Known)| TargetBudgetReading {
            target: target.clone(),
            rate: known.client.budget().rate(),
            counters: known.client.budget().counters(),
        };
        known.iter().map(reading).collect()
    }

    /// Forgets the targets that the configuration no longer has, unless somebody sends to them.
    pub fn keep(&self, wanted: impl Fn(&str) -> bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|target, known| wanted(target) || known.is_in_use());
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
        hasher.update(&bounded_file::read(file).unwrap_or_default());
    }
    Ok(hasher.finalize().into())
}
