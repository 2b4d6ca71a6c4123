//! `/_sandbox`: how a test or a curious operator looks behind the simulated targets, and makes them misbehave.
//!
//! No credentials are asked for: the sandbox holds invented people only.

use std::time::Duration;

use axum::http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Listing;
use super::faults::Scripted;
use super::server::SandboxState;
use super::target::{Answer, Call};
use crate::domain::units::Rate;

/// Body of `POST /_sandbox/faults`. What is left out stays as it is.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Behaviour {
    /// Time that an answer takes, in milliseconds: half before the request is handled, half after.
    pub latency_ms: Option<u64>,
    /// How many requests of a hundred fail by chance.
    pub fail_percent: Option<u8>,
    /// Requests per second above which 429 is answered; 0 lifts the limit.
    pub rate_per_second: Option<u32>,
    /// Starts chance anew with this seed.
    pub seed: Option<u64>,
    /// The shape of listings, of every target that has a choice.
    pub listing: Option<Listing>,
    /// Every session is over after so many more requests, once.
    pub expire_sessions_after: Option<u64>,
    /// Whether PATCH is supported, of every target that has a choice.
    pub take_patches: Option<bool>,
    /// Everybody who is invited accepts, now.
    pub accept_invitations: bool,
    /// Drop the scripted faults that are there.
    pub clear: bool,
    /// Scripted faults to add.
    pub script: Vec<Scripted>,
}

impl SandboxState {
    /// Changes how the targets behave.
    ///
    /// # Errors
    /// A percentage above 100; then nothing is changed.
    pub(super) fn behave(&self, behaviour: Behaviour) -> Result<(), String> {
        let Behaviour {
            latency_ms,
            fail_percent,
            rate_per_second,
            seed,
            listing,
            expire_sessions_after,
            take_patches,
            accept_invitations,
            clear,
            script,
        } = behaviour;
        if let Some(percent) = fail_percent.filter(|p| *p > 100) {
            return Err(format!("fail_percent = {percent} is more than 100"));
        }
        for name in self.names() {
            let Some(mut target) = self.target(name) else { continue };
            listing.into_iter().for_each(|listing| target.set_listing(listing));
            expire_sessions_after.into_iter().for_each(|after| target.expire_sessions(after));
            take_patches.into_iter().for_each(|yes| target.take_patches(yes));
            if accept_invitations {
                target.accept_invitations();
            }
        }
        let mut faults = self.faults();
        if let Some(ms) = latency_ms {
            faults.latency = Duration::from_millis(ms);
        }
        if let Some(percent) = fail_percent {
            faults.set_fail_percent(percent);
        }
        if let Some(count) = rate_per_second {
            faults.set_rate((count > 0).then_some(Rate { count, per: Duration::from_secs(1) }));
        }
        if let Some(seed) = seed {
            faults.set_seed(seed);
        }
        if clear {
            faults.clear_script();
        }
        script.into_iter().for_each(|fault| faults.script(fault));
        Ok(())
    }
}

/// Answers a request to `/_sandbox/…`.
pub(super) fn handle(world: &SandboxState, path: &str, call: &Call) -> Answer {
    match (path, &call.method) {
        ("/_sandbox/requests", &Method::GET) => requests(world, call),
        ("/_sandbox/users", _) => users(world, call),
        ("/_sandbox/faults", &Method::GET) => Answer::json(200, &world.faults().describe()),
        ("/_sandbox/faults", &Method::POST) => {
            let behaviour = serde_json::from_slice::<Behaviour>(&call.body).map_err(|e| e.to_string());
            match behaviour.and_then(|behaviour| world.behave(behaviour)) {
                Ok(()) => Answer::json(200, &world.faults().describe()),
                Err(why) => complaint(422, &why),
            }
        }
        ("/_sandbox/faults", &Method::DELETE) => {
            let calm = Behaviour {
                latency_ms: Some(0),
                fail_percent: Some(0),
                rate_per_second: Some(0),
                clear: true,
                ..Behaviour::default()
            };
            match world.behave(calm) {
                Ok(()) => Answer::json(200, &world.faults().describe()),
                Err(why) => complaint(500, &why),
            }
        }
        _ => complaint(
            404,
            "there are GET /_sandbox/requests?since=N, GET|POST|DELETE /_sandbox/users?target=NAME and \
             GET|POST|DELETE /_sandbox/faults",
        ),
    }
}

fn requests(world: &SandboxState, call: &Call) -> Answer {
    match call.query("since").unwrap_or("0").parse() {
        Ok(since) => {
            let entries = world.log().since(since);
            Answer::json(200, &json!(entries))
        }
        Err(_) => complaint(400, "since is the number of a request"),
    }
}

fn users(world: &SandboxState, call: &Call) -> Answer {
    let name = call.query("target").unwrap_or("juno");
    let Some(mut target) = world.target(name) else {
        return complaint(404, &format!("there is no target {name:?}, only {}", world.names().join(", ")));
    };
    match call.method {
        Method::GET => Answer::json(200, &Value::Array(target.users())),
        Method::DELETE => {
            target.clear();
            Answer::json(200, &json!([]))
        }
        Method::POST => match &call.json {
            Some(Value::Array(accounts)) => match target.seed(accounts) {
                Ok(made) => Answer::json(201, &Value::Array(made)),
                Err(why) => complaint(422, &why),
            },
            _ => complaint(400, "send a JSON array of accounts"),
        },
        _ => complaint(405, "use GET, POST or DELETE"),
    }
}

fn complaint(status: u16, message: &str) -> Answer {
    Answer::json(status, &json!({"error": {"message": message}}))
}
