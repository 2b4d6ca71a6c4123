//! What the demo reads of rosterd's JSON, and the sentences it makes of it.
//!
//! The demo is a reader like any script of an operator: it knows the documented fields and no types of ours.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Deserialize;
use serde_json::Value;

use crate::plan::shown;

/// What became of the operations of one kind.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Count {
    pub(super) ok: u64,
    pub(super) failed: u64,
    pub(super) unknown: u64,
    pub(super) held: u64,
}

/// An error as JSON carries it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Problem {
    pub(super) message: String,
}

/// One element of `runs` of `rosterd sync --format json`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Run {
    pub(super) status: String,
    #[serde(default)]
    pub(super) plan: Option<String>,
    #[serde(default)]
    pub(super) planned: BTreeMap<String, u64>,
    #[serde(default)]
    pub(super) counts: BTreeMap<String, Count>,
    #[serde(default)]
    pub(super) source_records: Option<u64>,
    #[serde(default)]
    pub(super) excluded: Option<u64>,
    #[serde(default)]
    pub(super) unchanged: Option<u64>,
    #[serde(default)]
    pub(super) rejected: Option<u64>,
    #[serde(default)]
    pub(super) error: Option<Problem>,
}

impl Run {
    /// How many operations of this kind the target confirmed.
    pub(super) fn ok(&self, op: &str) -> u64 {
        self.counts.get(op).map_or(0, |c| c.ok)
    }

    /// How many operations, of whatever kind, are counted so.
    pub(super) fn total(&self, of: impl Fn(&Count) -> u64) -> u64 {
        self.counts.values().map(of).sum()
    }
}

/// A row that was rejected.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Rejected {
    #[serde(default)]
    pub(super) key: Option<String>,
    #[serde(default)]
    pub(super) position: Value,
    pub(super) reason: String,
}

/// A planned operation.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Planned {
    pub(super) op: String,
    pub(super) key: String,
    #[serde(default)]
    pub(super) fields: BTreeMap<String, Difference>,
}

/// Old and new of one field.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Difference {
    #[serde(default)]
    pub(super) old: Value,
    #[serde(default)]
    pub(super) new: Value,
}

/// One element of `syncs` of `rosterd plan --format json`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Plan {
    #[serde(default)]
    pub(super) rejected: Vec<Rejected>,
    #[serde(default)]
    pub(super) operations: Vec<Planned>,
}

/// The run in the JSON that `sync` prints; there is one sync in the demo.
pub(super) fn run(stdout: &str) -> Result<Run, String> {
    #[derive(Deserialize)]
    struct Runs {
        runs: Vec<Run>,
    }
    let Runs { runs } = serde_json::from_str(stdout).map_err(|e| format!("its JSON can't be read: {e}"))?;
    runs.into_iter().next().ok_or_else(|| "it reports no run".to_string())
}

/// The plan in the JSON that `plan` prints.
pub(super) fn plan(stdout: &str) -> Result<Plan, String> {
    #[derive(Deserialize)]
    struct Syncs {
        syncs: Vec<Plan>,
    }
    let Syncs { syncs } = serde_json::from_str(stdout).map_err(|e| format!("its JSON can't be read: {e}"))?;
    syncs.into_iter().next().ok_or_else(|| "it reports no sync".to_string())
}

/// The words for an operation that is done, by number.
const DONE: [(&str, &str, &str); 5] = [
    ("create", "account created", "accounts created"),
    ("adopt", "existing account recognised and linked", "existing accounts recognised and linked"),
    ("update", "account updated", "accounts updated"),
    ("ban", "account banned", "accounts banned"),
    ("reinstate", "account reinstated", "accounts reinstated"),
];

/// What a run did, in one sentence: `rosterd says: 8 accounts created, 12 accounts updated; 290 people unchanged`.
pub(super) fn summary(run: &Run) -> String {
    let mut done: Vec<String> = DONE
        .iter()
        .filter(|(op, ..)| run.ok(op) > 0)
        .map(|(op, one, many)| format!("{} {}", run.ok(op), if run.ok(op) == 1 { one } else { many }))
        .collect();
    if done.is_empty() {
        done.push("nothing written".into());
    }
    let mut text = format!("rosterd says ({}): {}", run.status, done.join(", "));
    let asides = [
        (run.source_records.unwrap_or(0), "records read"),
        (run.unchanged.unwrap_or(0), "unchanged"),
        (run.excluded.unwrap_or(0), "out of scope"),
        (run.rejected.unwrap_or(0), "rejected"),
        (run.total(|c| c.held), "held"),
        (run.total(|c| c.failed), "failed"),
        (run.total(|c| c.unknown), "unknown"),
    ];
    for (count, word) in asides.into_iter().filter(|(count, _)| *count > 0) {
        let _ = write!(text, "; {count} {word}");
    }
    text
}

/// The first few operations of a kind, each as a line: `E1005  title “Engineer” → “Senior engineer”`.
pub(super) fn examples(plan: &Plan, op: &str, most: usize) -> Vec<String> {
    let all: Vec<&Planned> = plan.operations.iter().filter(|o| o.op == op).collect();
    let mut lines: Vec<String> = all.iter().take(most).map(|o| format!("{}  {}", o.key, differences(o))).collect();
    if all.len() > most {
        lines.push(format!("… and {} more", all.len() - most));
    }
    lines
}

fn differences(operation: &Planned) -> String {
    let changes = operation.fields.iter().map(|(field, d)| format!("{field} {} → {}", shown(&d.old), shown(&d.new)));
    changes.collect::<Vec<_>>().join(", ")
}

/// A rejected row as a line.
pub(super) fn rejected(row: &Rejected) -> String {
    let place = match &row.position {
        Value::Null => String::new(),
        Value::String(text) => format!(" ({text})"),
        other => format!(" ({other})"),
    };
    format!("{}{place}: {}", row.key.as_deref().unwrap_or("a row without a readable key"), row.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = r#"{"runs":[{"run":"01J","sync":"staff","status":"partial","plan":null,
        "planned":{"create":8,"ban":1},
        "counts":{"create":{"ok":8,"failed":0,"unknown":0,"held":0},"ban":{"ok":1,"failed":0,"unknown":0,"held":0}},
        "source_records":311,"excluded":9,"unchanged":281,"rejected":1,"skipped":0,"duration_ms":412,"error":null}]}"#;

    #[test]
    fn a_run_becomes_a_sentence() {
        let run = run(RUN).expect("the contract's JSON");
        let expected = "rosterd says (partial): 8 accounts created, 1 account banned; \
                        311 records read; 281 unchanged; 9 out of scope; 1 rejected";
        assert_eq!(summary(&run), expected);
    }

    #[test]
    fn a_held_run_and_an_untrusted_one_are_read() {
        let held = r#"{"runs":[{"run":"1","sync":"staff","status":"held","plan":"0123456789ab","planned":{"ban":60},
            "counts":{"ban":{"ok":0,"failed":0,"unknown":0,"held":60}},"source_records":311,"error":null}]}"#;
        let held = run(held).expect("the contract's JSON");
        assert_eq!(summary(&held), "rosterd says (held): nothing written; 311 records read; 60 held");
        assert_eq!((held.plan.as_deref(), held.planned["ban"]), (Some("0123456789ab"), 60));
        let untrusted = r#"{"runs":[{"run":"1","sync":"staff","status":"untrusted","plan":null,"planned":{},"counts":{},
            "source_records":41,"excluded":0,"unchanged":0,"error":{"code":65,"message":"41 records"}}]}"#;
        let untrusted = run(untrusted).expect("the contract's JSON");
        assert_eq!(untrusted.error.map(|e| e.message).as_deref(), Some("41 records"));
    }

    #[test]
    fn movers_and_rejected_rows_become_lines() {
        let text = r#"{"syncs":[{"sync":"staff","plan":"x","rejected":[{"key":"E1150","position":"line 148","reason":"ragged"}],
            "operations":[{"op":"update","key":"E1","remote_id":"7","fields":{"title":{"old":"A","new":"B"},
            "city":{"old":null,"new":"Zürich"}}},{"op":"update","key":"E2","remote_id":"8","fields":{}}]}]}"#;
        let plan = plan(text).expect("the contract's JSON");
        assert_eq!(examples(&plan, "update", 1), ["E1  city (empty) → “Zürich”, title “A” → “B”", "… and 1 more"]);
        assert_eq!(rejected(&plan.rejected[0]), "E1150 (line 148): ragged");
    }

    #[test]
    fn other_json_is_an_error_in_words() {
        assert!(run("{}").is_err_and(|e| e.contains("runs")));
        assert!(run(r#"{"runs":[]}"#).is_err());
        assert!(plan("").is_err());
    }
}
