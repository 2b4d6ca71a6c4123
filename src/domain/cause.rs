//! Why there was a run: what began it, who asked for it or approved it, and what they said.

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::ids::RunId;

/// What began a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// Somebody typed `sync`, or asked the daemon with `trigger`.
    Command,
    /// The daemon's schedule.
    #[default]
    Schedule,
    /// Somebody approved a held plan.
    Approve,
    /// Somebody approved the plan that takes a run back.
    Undo,
    /// A reconcile that puts right what differs, by command or by the daemon's schedule.
    Reconcile,
}

impl Trigger {
    /// All of them.
    pub const ALL: [Trigger; 5] =
        [Trigger::Command, Trigger::Schedule, Trigger::Approve, Trigger::Undo, Trigger::Reconcile];

    /// The word in JSON and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Trigger::Command => "command",
            Trigger::Schedule => "schedule",
            Trigger::Approve => "approve",
            Trigger::Undo => "undo",
            Trigger::Reconcile => "reconcile",
        }
    }

    /// The one of this name.
    pub fn parse(name: &str) -> Option<Trigger> {
        Trigger::ALL.into_iter().find(|trigger| trigger.name() == name)
    }
}

/// Why there was a run. By default nobody asked for it: its time had come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunCause {
    /// What began it.
    pub trigger: Trigger,
    /// Who asked for it or approved it; nobody where the schedule began it.
    pub by: Option<String>,
    /// What they said.
    pub reason: Option<String>,
    /// The run that it takes back.
    pub undoes: Option<RunId>,
}

/// Somebody's yes to what a run sent, or to what took it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consented {
    /// Who.
    pub by: String,
    /// What they said.
    pub reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_in_json_is_the_one_in_the_database() {
        for trigger in Trigger::ALL {
            assert_eq!(serde_json::to_value(trigger).expect("JSON"), trigger.name());
            assert_eq!(Trigger::parse(trigger.name()), Some(trigger));
        }
        assert_eq!(Trigger::parse("chance"), None);
    }
}
