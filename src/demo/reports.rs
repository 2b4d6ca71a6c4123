//! What the demo reads of rosterd's JSON, and the sentences it makes of it.
//!
//! The demo is a reader like any script of an operator: it knows the documented fields and no types of ours.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Deserialize;
use serde_json::Value;

use crate::domain::operation::shown;

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
    pub(super) sync: String,
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
    pub(super) skipped: Option<u64>,
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
    pub(super) sync: String,
    #[serde(default)]
    pub(super) rejected: Vec<Rejected>,
    #[serde(default)]
    pub(super) operations: Vec<Planned>,
}

/// The runs in the JSON that `sync` prints.
pub(super) fn runs(stdout: &str) -> Result<Vec<Run>, String> {
    #[derive(Deserialize)]
    struct Runs {
        runs: Vec<Run>,
    }
    let Runs { runs } = serde_json::from_str(stdout).map_err(|e| format!("its JSON can't be read: {e}"))?;
    if runs.is_empty() { Err("it reports no run".to_string()) } else { Ok(runs) }
}

/// The plans in the JSON that `plan` prints.
pub(super) fn plans(stdout: &str) -> Result<Vec<Plan>, String> {
    #[derive(Deserialize)]
    struct Syncs {
        syncs: Vec<Plan>,
    }
    let Syncs { syncs } = serde_json::from_str(stdout).map_err(|e| format!("its JSON can't be read: {e}"))?;
    if syncs.is_empty() { Err("it reports no sync".to_string()) } else { Ok(syncs) }
}

/// The words for an operation that is done, by number.
const DONE: [(&str, &str, &str); 5] = [
    ("create", "account created", "accounts created"),
    ("adopt", "existing account recognised and linked", "existing accounts recognised and linked"),
    ("update", "account updated", "accounts updated"),
    ("ban", "account banned", "accounts banned"),
    ("reinstate", "account reinstated", "accounts reinstated"),
];

/// What a run did, in one sentence: `ok: 8 accounts created, 12 accounts updated; 290 unchanged`. `invites`: accounts
/// come about by invitation there.
pub(super) fn summary(run: &Run, invites: bool) -> String {
    let mut done: Vec<String> = DONE
        .iter()
        .filter(|(op, ..)| run.ok(op) > 0)
        .map(|(op, one, many)| match (*op, run.ok(op)) {
            ("create", 1) if invites => "1 person invited".into(),
            ("create", count) if invites => format!("{count} people invited"),
            (_, 1) => format!("1 {one}"),
            (_, count) => format!("{count} {many}"),
        })
        .collect();
    if done.is_empty() {
        done.push("nothing written".into());
    }
    let mut text = format!("{}: {}", run.status, done.join(", "));
    let asides = [
        (run.unchanged.unwrap_or(0), "unchanged"),
        (run.rejected.unwrap_or(0), "rejected"),
        (run.skipped.unwrap_or(0), "skipped"),
        (run.total(|c| c.held), "held"),
        (run.total(|c| c.failed), "failed"),
        (run.total(|c| c.unknown), "unknown"),
    ];
    for (count, word) in asides.into_iter().filter(|(count, _)| *count > 0) {
        let _ = write!(text, "; {count} {word}");
    }
    text
}

/// What was read of the source, which is the same for every sync on it; `None` when the runs don't agree.
pub(super) fn source(runs: &[Run]) -> Option<String> {
    let read = |run: &Run| (run.source_records.unwrap_or(0), run.excluded.unwrap_or(0));
    let first = runs.first().map(read)?;
    let (records, excluded) = first;
    let aside = if excluded > 0 { format!(", {excluded} of them out of scope") } else { String::new() };
    runs.iter().all(|run| read(run) == first).then(|| format!("{records} records read{aside}"))
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

/// Fields that an example shows, so that it fits a line.
const FIELDS: usize = 2;

fn differences(operation: &Planned) -> String {
    let all = operation.fields.iter().map(|(field, d)| format!("{field} {} → {}", shown(&d.old), shown(&d.new)));
    let mut changes: Vec<String> = all.take(FIELDS).collect();
    if operation.fields.len() > FIELDS {
        changes.push(format!("and {} more", operation.fields.len() - FIELDS));
    }
    changes.join(", ")
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

/// A line, broken between words where it is wider than this; one that begins with a blank is left as it is.
pub(super) fn wrapped(line: &str, width: usize) -> Vec<String> {
    if line.starts_with(' ') {
        return vec![line.to_owned()];
    }
    let mut lines = vec![String::new()];
    for word in line.split(' ') {
        match lines.last_mut() {
            Some(last) if last.is_empty() => last.push_str(word),
            Some(last) if last.chars().count() + 1 + word.chars().count() <= width => {
                last.push(' ');
                last.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
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
        let runs = runs(RUN).expect("the contract's JSON");
        let expected = "partial: 8 accounts created, 1 account banned; 281 unchanged; 1 rejected";
        assert_eq!(summary(&runs[0], false), expected);
        assert!(summary(&runs[0], true).starts_with("partial: 8 people invited, 1 account banned"));
        assert_eq!(source(&runs).as_deref(), Some("311 records read, 9 of them out of scope"));
        let mut other = runs[0].clone();
        other.source_records = Some(310);
        assert_eq!(source(&[runs[0].clone(), other]), None, "a source is read once");
    }

    #[test]
    fn a_held_run_and_an_untrusted_one_are_read() {
        let held = r#"{"runs":[{"run":"1","sync":"staff","status":"held","plan":"0123456789ab","planned":{"ban":60},
            "counts":{"ban":{"ok":0,"failed":0,"unknown":0,"held":60}},"source_records":311,"error":null}]}"#;
        let held = runs(held).expect("the contract's JSON").remove(0);
        assert_eq!(summary(&held, false), "held: nothing written; 60 held");
        assert_eq!((held.plan.as_deref(), held.planned["ban"]), (Some("0123456789ab"), 60));
        let untrusted = r#"{"runs":[{"run":"1","sync":"staff","status":"untrusted","plan":null,"planned":{},"counts":{},
            "source_records":41,"excluded":0,"unchanged":0,"error":{"code":65,"message":"41 records"}}]}"#;
        let untrusted = runs(untrusted).expect("the contract's JSON").remove(0);
        assert_eq!(untrusted.error.map(|e| e.message).as_deref(), Some("41 records"));
    }

    #[test]
    fn movers_and_rejected_rows_become_lines() {
        let text = r#"{"syncs":[{"sync":"staff","plan":"x","rejected":[{"key":"E1150","position":"line 148","reason":"ragged"}],
            "operations":[{"op":"update","key":"E1","remote_id":"7","fields":{"title":{"old":"A","new":"B"},
            "city":{"old":null,"new":"Zürich"}}},{"op":"update","key":"E2","remote_id":"8","fields":{}}]}]}"#;
        let plan = plans(text).expect("the contract's JSON").remove(0);
        assert_eq!(examples(&plan, "update", 1), ["E1  city (empty) → “Zürich”, title “A” → “B”", "… and 1 more"]);
        assert_eq!(rejected(&plan.rejected[0]), "E1150 (line 148): ragged");
    }

    #[test]
    fn other_json_is_an_error_in_words() {
        assert!(runs("{}").is_err_and(|e| e.contains("runs")));
        assert!(runs(r#"{"runs":[]}"#).is_err());
        assert!(plans("").is_err());
    }
}
