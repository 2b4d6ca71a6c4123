//! The other side of the story: what each simulated platform saw, from its own log, against what rosterd says.

use std::collections::BTreeSet;

use super::reports::Run;
use super::workspace::Platform;
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
    /// Log-ins and log-outs, where there are sessions.
    pub(super) sessions: (u64, u64),
}

impl Seen {
    /// What this platform saw. Counts accounts, not requests: a person who is reinstated and brought up to date in two
    /// requests is one.
    pub(super) fn of(log: &[Request], platform: Platform) -> Seen {
        let log: Vec<&Request> = log.iter().filter(|r| r.target == platform.name()).collect();
        let accounts = |op: Op| -> BTreeSet<&str> {
            let done = log.iter().filter(|r| r.committed && r.op == op);
            done.filter_map(|r| r.remote_id.as_deref()).collect()
        };
        let reinstated = accounts(Op::Reinstate);
        let count = |set: &BTreeSet<&str>| set.len() as u64;
        let of = |wanted: fn(&Request) -> bool| log.iter().filter(|r| wanted(r)).count() as u64;
        Seen {
            created: count(&accounts(Op::Create)),
            updated: accounts(Op::Update).difference(&reinstated).count() as u64,
            banned: count(&accounts(Op::Ban)),
            reinstated: count(&reinstated),
            writes: of(|r| r.write),
            reads: of(|r| !r.write && r.op != Op::Login),
            sessions: (of(|r| r.path.ends_with("/login")), of(|r| r.path.ends_with("/logout"))),
        }
    }

    /// Where rosterd's report and the target's log part. Linking an account is, to the target, an update of it.
    pub(super) fn disagreements(&self, run: &Run, platform: Platform) -> Vec<String> {
        let pairs = [
            ("created", self.created, run.ok("create")),
            ("updated", self.updated, run.ok("update") + run.ok("adopt")),
            ("banned", self.banned, run.ok("ban")),
            ("reinstated", self.reinstated, run.ok("reinstate")),
        ];
        let parted = pairs.into_iter().filter(|(_, seen, said)| seen != said);
        let name = platform.title();
        let mut found: Vec<String> =
            parted.map(|(what, seen, said)| format!("rosterd says {said} {what}, {name} saw {seen}")).collect();
        // One log-in a run where something is asked at all, and as many log-outs.
        let (log_ins, log_outs) = self.sessions;
        let asked = self.writes + self.reads > 0;
        let due = u64::from(platform == Platform::LongJump && asked);
        if (log_ins, log_outs) != (due, due) {
            found.push(format!("{name} saw {log_ins} log-ins and {log_outs} log-outs, {due} was due"));
        }
        found
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
        serde_json::from_value(json!({"run": "01J", "sync": "juno", "status": "ok", "counts": counts})).expect("a run")
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
        let expected = Seen { created: 1, updated: 1, reinstated: 1, writes: 6, reads: 1, ..Seen::default() };
        assert_eq!(Seen::of(&log, Platform::Juno), expected);
        assert_eq!(Seen::of(&log, Platform::Juicebox), Seen::default(), "each sees its own");
    }

    #[test]
    fn a_report_that_is_not_what_the_target_saw_is_found_out() {
        let seen = Seen::of(&[request("create", "1", true), request("update", "2", true)], Platform::Juno);
        let honest = run(json!({"create": {"ok": 1}, "adopt": {"ok": 1}}));
        assert!(seen.disagreements(&honest, Platform::Juno).is_empty());
        let boasting = run(json!({"create": {"ok": 2}, "adopt": {"ok": 1}, "ban": {"ok": 1}}));
        assert_eq!(seen.disagreements(&boasting, Platform::Juno).len(), 2);
        let in_no_session = seen.disagreements(&honest, Platform::LongJump);
        assert_eq!(in_no_session, ["LongJump saw 0 log-ins and 0 log-outs, 1 was due"]);
    }
}
