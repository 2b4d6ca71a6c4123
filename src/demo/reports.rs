//! What the demo reads of rosterd's JSON, beside the text that it shows.
//!
//! The demo is a reader like any script of an operator: it knows the documented fields and no types of ours.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// What became of the operations of one kind.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Count {
    ok: u64,
    held: u64,
}

/// One element of `runs` of `rosterd runs --format json`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Run {
    pub(super) run: String,
    pub(super) sync: String,
    #[serde(default)]
    counts: BTreeMap<String, Count>,
}

impl Run {
    /// How many operations of this kind the target confirmed.
    pub(super) fn ok(&self, op: &str) -> u64 {
        self.counts.get(op).map_or(0, |count| count.ok)
    }

    /// How many operations of this kind a limit held.
    pub(super) fn held(&self, op: &str) -> u64 {
        self.counts.get(op).map_or(0, |count| count.held)
    }
}

/// A row that was rejected.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Rejected {
    #[serde(default)]
    pub(super) key: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Planned {
    op: String,
}

/// One element of `syncs` of `rosterd plan --format json`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Plan {
    pub(super) sync: String,
    #[serde(default)]
    pub(super) rejected: Vec<Rejected>,
    #[serde(default)]
    operations: Vec<Planned>,
}

impl Plan {
    /// How many operations of this kind are planned.
    pub(super) fn planned(&self, op: &str) -> u64 {
        self.operations.iter().filter(|one| one.op == op).count() as u64
    }
}

/// One element of `plans` of `rosterd plans --format json`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct HeldPlan {
    pub(super) id: String,
    pub(super) sync: String,
}

/// The runs in the JSON that `runs` prints, newest first.
pub(super) fn runs(stdout: &str) -> Result<Vec<Run>, String> {
    #[derive(Deserialize)]
    struct Runs {
        runs: Vec<Run>,
    }
    read(stdout).map(|Runs { runs }| runs)
}

/// The plans in the JSON that `plan` prints.
pub(super) fn plans(stdout: &str) -> Result<Vec<Plan>, String> {
    #[derive(Deserialize)]
    struct Syncs {
        syncs: Vec<Plan>,
    }
    read(stdout).map(|Syncs { syncs }| syncs)
}

/// The plans in the JSON that `plans` prints.
pub(super) fn held_plans(stdout: &str) -> Result<Vec<HeldPlan>, String> {
    #[derive(Deserialize)]
    struct Plans {
        plans: Vec<HeldPlan>,
    }
    read(stdout).map(|Plans { plans }| plans)
}

fn read<T: DeserializeOwned>(stdout: &str) -> Result<T, String> {
    serde_json::from_str(stdout).map_err(|e| format!("its JSON can't be read: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_read() {
        let text = r#"{"runs":[{"run":"01M","sync":"juno","started_at":"2026-12-01T01:01:48.770Z","status":"held",
            "trigger":"command","counts":{"create":{"ok":8,"failed":0},"ban":{"ok":0,"held":60}},"error":null}]}"#;
        let run = runs(text).expect("the contract's JSON").remove(0);
        assert_eq!((run.run.as_str(), run.sync.as_str()), ("01M", "juno"));
        assert_eq!((run.ok("create"), run.ok("ban"), run.held("ban"), run.ok("adopt")), (8, 0, 60, 0));
    }

    #[test]
    fn a_plan_is_counted() {
        let text = r#"{"syncs":[{"sync":"juno","plan":"x","rejected":[{"key":"E1150","reason":"ragged"}],
            "operations":[{"op":"update","key":"E1"},{"op":"ban","key":"E2"},{"op":"update","key":"E3"}]}]}"#;
        let plan = plans(text).expect("the contract's JSON").remove(0);
        assert_eq!(["create", "update", "ban"].map(|op| plan.planned(op)), [0, 2, 1]);
        assert_eq!(plan.rejected[0].key.as_deref(), Some("E1150"));
    }

    #[test]
    fn held_plans_are_read() {
        let text = r#"{"plans":[{"allowed":15,"count":60,"id":"a2395bb397ad","limit":"ban","sync":"juno"}]}"#;
        let plan = held_plans(text).expect("the contract's JSON").remove(0);
        assert_eq!((plan.id.as_str(), plan.sync.as_str()), ("a2395bb397ad", "juno"));
    }

    #[test]
    fn other_json_is_an_error_in_words() {
        assert!(runs("{}").is_err_and(|e| e.contains("runs")));
        assert!(plans("").is_err());
        assert!(held_plans(r#"{"plans":[{}]}"#).is_err());
    }
}
