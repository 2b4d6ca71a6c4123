//! What integration tests share: a sandbox on a thread of its own, a home with configuration and files, invented
//! people, and the real binary run in it.
//!
//! The sandbox has its own runtime, so that a test may block on the binary (which talks to it) as a shell would.

#![allow(dead_code, unused_imports, reason = "each theme uses the part it needs")]

mod home;
mod people;
mod sim;

use std::io::Write;

pub use home::{Home, Ran, Started};
pub use people::{Person, people, reduced, sorted};
pub use rosterd::sandbox::Op;
pub use sim::Sim;

/// Says that a test can't be carried out here, and what is left out. Where `NO_TEST_MAY_BE_SKIPPED` is set, as in CI, that
/// is a failure.
#[track_caller]
pub fn skipped(what: &str) {
    // Not by a macro, whose output is kept back for tests that pass.
    writeln!(std::io::stderr(), "SKIPPED: {what}").expect("standard error");
    assert!(std::env::var_os("NO_TEST_MAY_BE_SKIPPED").is_none(), "SKIPPED: {what}");
}

/// A sandbox, and a home whose target it is.
pub struct Stage {
    pub sim: Sim,
    pub home: Home,
}

impl Stage {
    /// An empty platform and nobody in the source.
    pub fn new() -> Stage {
        let sim = Sim::start();
        let home = Home::juno(&sim.juno());
        Stage { sim, home }
    }

    /// These people are in the source and loaded.
    pub fn loaded(people: &[Person]) -> Stage {
        let stage = Stage::new();
        stage.home.roster(people);
        stage.home.run(&["sync"]).exits(0);
        stage
    }

    /// A source of these people, then a run that must end with this code.
    #[track_caller]
    pub fn sync(&self, people: &[Person], code: i32) -> Ran {
        self.home.roster(people);
        self.home.run_json(&["sync"]).exits(code)
    }

    /// A run that finds nothing to do, and asks nothing of the target.
    #[track_caller]
    pub fn nothing_left_to_do(&self) {
        let mark = self.sim.mark();
        let ran = self.home.run_json(&["sync"]).exits(0);
        assert_eq!(ran.json()["runs"][0]["planned"], serde_json::json!({}), "{}", ran.stdout);
        assert_eq!(self.sim.writes_since(mark), [], "an unchanged rerun writes nothing");
    }

    /// The platform has exactly these people's accounts, with these values and states.
    #[track_caller]
    pub fn has_exactly(&self, people: &[Person]) {
        let there = sorted(self.sim.users().iter().map(reduced));
        assert_eq!(there, sorted(people.iter().map(Person::account)));
    }
}
