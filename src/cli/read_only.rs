//! What commands that only look share: `plan`, `why` and `check --connect` change nothing, but the requests that they
//! send are counted with everybody's, where that can be written.

use std::sync::Arc;

use crate::account::Clients;
use crate::account::budget::Budget;
use crate::config::Settings;
use crate::config::settings::TargetSettings;
use crate::domain::error::{Error, Result, StateReason};
use crate::os::clock::Clock;
use crate::state::{self, Access, State};

/// Why it can't be written where it can be read: it is not ours to write, or an older program is using it.
const NO_MATTER: [Error; 2] = [Error::State(StateReason::Io), Error::State(StateReason::SenderActive)];

/// The state to look into, and the clients that ask.
pub struct ReadOnlyAccess {
    /// The state, or an empty one where there is none.
    pub state: State,
    /// Clients on the targets.
    pub clients: Arc<Clients>,
}

/// Opens what looking at these targets takes. Nothing is created where there is no state. One that can't be written is
/// looked into all the same, and its targets are then asked within limits of this process alone.
///
/// # Errors
/// The state is there and can't be used.
pub fn look<'a>(settings: &Settings, targets: impl IntoIterator<Item = &'a TargetSettings>) -> Result<ReadOnlyAccess> {
    let path = &settings.state.path;
    // Counting against a daily quota writes.
    let counts = path.exists() && targets.into_iter().any(|target| target.daily_quota.is_some());
    let writable = match counts.then(|| state::open(path, Access::Write)) {
        Some(Err(error)) if !NO_MATTER.contains(&error.error) => return Err(error.into()),
        Some(Err(error)) => {
            tracing::warn!(%error, "the day's requests can't be counted in the state; this command counts its own alone");
            None
        }
        Some(Ok(opened)) => Some(opened.state),
        None => None,
    };
    let (state, counted) = match writable {
        Some(state) => (state.clone(), state),
        None => (state::open(path, Access::Read)?.state, State::in_memory()?),
    };
    let clients = Clients::new(counted, Clock::system(), Budget::to_look(&state)?);
    Ok(ReadOnlyAccess { state, clients: Arc::new(clients) })
}
