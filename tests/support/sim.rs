//! A sandbox that runs beside the test.

use std::time::Duration;

use rosterd::sandbox::{Behaviour, Op, Options, Request, Running, Sandbox, Scripted};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// Simulated targets on a runtime of their own; they stop when this is dropped.
pub struct Sim {
    running: Option<Running>,
    runtime: Runtime,
}

impl Sim {
    /// An empty, well-behaved sandbox on a free port.
    pub fn start() -> Sim {
        Sim::with(Options::default())
    }

    /// A sandbox with these options.
    pub fn with(options: Options) -> Sim {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime for the sandbox");
        let running = runtime.block_on(Sandbox::start(options)).expect("the sandbox starts");
        Sim { running: Some(running), runtime }
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("taken only by drop")
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        self.running().url()
    }

    /// The base URL of the simulated JUNO.
    pub fn juno(&self) -> String {
        format!("{}/juno/api", self.url())
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Request> {
        self.running().requests()
    }

    /// The number of the last request so far: what happens later is in [`Sim::since`] of it.
    pub fn mark(&self) -> u64 {
        self.requests().last().map_or(0, |r| r.seq)
    }

    /// The requests after a mark.
    pub fn since(&self, mark: u64) -> Vec<Request> {
        self.running().requests_since(mark)
    }

    /// The requests after a mark that asked for a change, whatever became of them.
    pub fn writes_since(&self, mark: u64) -> Vec<Request> {
        self.since(mark).into_iter().filter(|r| r.write).collect()
    }

    /// How many changes of this kind were committed after a mark.
    pub fn committed_since(&self, mark: u64, op: Op) -> usize {
        self.since(mark).iter().filter(|r| r.committed && r.op == op).count()
    }

    /// JUNO's accounts.
    pub fn users(&self) -> Vec<Value> {
        self.running().users("juno")
    }

    /// The accounts of any target.
    pub fn users_of(&self, target: &str) -> Vec<Value> {
        self.running().users(target)
    }

    /// Adds accounts behind a target's back; `accounts` is a JSON array.
    pub fn seed_in(&self, target: &str, accounts: Value) -> Vec<Value> {
        self.running().seed(target, accounts.as_array().expect("an array")).expect("accounts that the target takes")
    }

    /// JUNO's account of this client id; panics when there are several.
    pub fn user(&self, client_id: &str) -> Option<Value> {
        let mut found: Vec<Value> = self.users().into_iter().filter(|u| u["client_id"] == client_id).collect();
        assert!(found.len() <= 1, "{} accounts of {client_id}", found.len());
        found.pop()
    }

    /// Adds accounts behind JUNO's back; `accounts` is a JSON array.
    pub fn seed(&self, accounts: Value) -> Vec<Value> {
        self.running().seed("juno", accounts.as_array().expect("an array")).expect("accounts that JUNO takes")
    }

    /// Removes all of JUNO's accounts.
    pub fn clear(&self) {
        self.running().clear("juno");
    }

    /// Changes how the targets behave; the JSON is that of `POST /_sandbox/faults`.
    pub fn behave(&self, behaviour: Value) {
        let behaviour: Behaviour = serde_json::from_value(behaviour).expect("known behaviour");
        self.running().behave(behaviour).expect("possible behaviour");
    }

    /// Adds one scripted fault: `{"method": "POST", "key": "E1", "nth": 1, "do": "commit-then-close"}`.
    pub fn script(&self, fault: Value) {
        let fault: Scripted = serde_json::from_value(fault).expect("a known fault");
        self.running().script(fault);
    }

    /// Ends all faults.
    pub fn calm(&self) {
        self.behave(json!({"latency_ms": 0, "fail_percent": 0, "rate_per_second": 0, "clear": true}));
    }

    /// Shuts it down: nobody answers at its address any more.
    pub fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            self.runtime.block_on(running.shutdown());
        }
    }

    /// Waits until the log satisfies a condition, or panics after a minute: the machine may be a busy one.
    pub fn wait_until(&self, what: &str, condition: impl Fn(&[Request]) -> bool) {
        let began = std::time::Instant::now();
        while !condition(&self.requests()) {
            assert!(began.elapsed() < Duration::from_secs(60), "waited a minute for: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.stop();
    }
}
