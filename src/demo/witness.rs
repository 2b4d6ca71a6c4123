//! The other side of the story: what the simulated target saw, from its own log, against what rosterd says.

use std::collections::BTreeSet;

use super::reports::Run;
use crate::sandbox::{Op, Request};

/// What a target saw in a stretch of its log.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) created: u64,
    pub(super) updated: u64,
    pub(super) banned: u64,
    pub(super) reinstated: u64,
    /// Requests that asked for a change, whatever became of them.
    pub(super) writes: u64,
    /// Requests that only read.
    pub(super) reads: u64,
}

impl Seen {
    /// Counts accounts, not requests: a person who is reinstated and brought up to date in two requests is one.
    pub(super) fn of(log: &[Request]) -> Seen {
        let accounts = |op: Op| -> BTreeSet<&str> {
            let done = log.iter().filter(|r| r.committed && r.op == op);
            done.filter_map(|r| r.remote_id.as_deref()).collect()
        };
        let reinstated = accounts(Op::Reinstate);
        let count = |set: &BTreeSet<&str>| set.len() as u64;
        Seen {
            created: count(&accounts(Op::Create)),
            updated: accounts(Op::Update).difference(&reinstated).count() as u64,
            banned: count(&accounts(Op::Ban)),
            reinstated: count(&reinstated),
            writes: log.iter().filter(|r| r.write).count() as u64,
            reads: log.iter().filter(|r| !r.write).count() as u64,
        }
    }

    /// What it saw, in one sentence.
    pub(super) fn sentence(&self) -> String {
        let Seen { created, updated, banned, reinstated, writes, reads } = self;
        if *writes == 0 {
            return format!("JUNO saw: {reads} reads and not one write");
        }
        format!(
            "JUNO saw: {created} created, {updated} updated, {banned} banned, {reinstated} reinstated \
             ({writes} writes, {reads} reads)"
        )
    }

    /// Where rosterd's report and the target's log part. Linking an account is, to the target, an update of it.
    pub(super) fn disagreements(&self, run: &Run) -> Vec<String> {
        let pairs = [
            ("created", self.created, run.ok("create")),
            ("updated", self.updated, run.ok("update") + run.ok("adopt")),
            ("banned", self.banned, run.ok("ban")),
            ("reinstated", self.reinstated, run.ok("reinstate")),
        ];
        let parted = pairs.into_iter().filter(|(_, seen, said)| seen != said);
        parted.map(|(what, seen, said)| format!("rosterd says {said} {what}, JUNO saw {seen}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(op: &str, id: &str, committed: bool) -> Request {
        let write = !matches!(op, "get" | "list" | "lookup");
        serde_json::from_value(json!({"seq": 1, "at_ms": 0, "mono_ns": 0, "target": "juno", "method": "PUT",
            "path": "/juno/api/users", "query": [], "op": op, "remote_id": id, "key": null, "fields": [],
            "status": 200, "write": write, "committed": committed, "committed_at_ms": null,
            "committed_mono_ns": null, "fault": null}))
        .expect("a request")
    }

    fn run(counts: serde_json::Value) -> Run {
        serde_json::from_value(json!({"status": "ok", "counts": counts})).expect("a run")
    }

    #[test]
    fn accounts_are_counted_once_and_only_when_committed() {
        let log = [
            request("lookup", "1", false),
            request("create", "1", true),
            request("create", "2", false),
            request("reinstate", "3", true),
            request("update", "3", true),
            request("update", "4", true),
            request("update", "4", true),
        ];
        let expected = Seen { created: 1, updated: 1, banned: 0, reinstated: 1, writes: 6, reads: 1 };
        assert_eq!(Seen::of(&log), expected);
    }

    #[test]
    fn a_report_that_is_not_what_the_target_saw_is_found_out() {
        let seen = Seen::of(&[request("create", "1", true), request("update", "2", true)]);
        let honest = run(json!({"create": {"ok": 1}, "adopt": {"ok": 1}}));
        assert!(seen.disagreements(&honest).is_empty());
        let boasting = run(json!({"create": {"ok": 2}, "adopt": {"ok": 1}, "ban": {"ok": 1}}));
        assert_eq!(seen.disagreements(&boasting).len(), 2);
    }
}
