//! What the story must come to: the numbers of each run, and whether a run came to them.

use super::reports::Run;
use super::target_logs::Seen;
use super::workspace::Platform;
use crate::domain::exit::Exit;
use crate::sandbox::Request;

/// What a run on one platform must have come to: the story's own numbers, which a test takes from the files.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    pub(super) create: u64,
    pub(super) adopt: u64,
    pub(super) update: u64,
    pub(super) ban: u64,
    pub(super) reinstate: u64,
    /// How many bans a limit must have held.
    pub(super) held: u64,
}

/// What a `rosterd sync` must have come to, in the order of [`Platform::ALL`].
pub(super) struct Due {
    pub(super) exit: Exit,
    pub(super) on: [Expected; 3],
}

/// A run that writes nothing.
pub(super) const NOTHING: Expected = Expected { create: 0, adopt: 0, update: 0, ban: 0, reinstate: 0, held: 0 };

/// Nothing is written anywhere.
pub(super) const SILENCE: Due = Due { exit: Exit::Ok, on: [NOTHING; 3] };

pub(super) const DAY_ONE: Due = Due {
    exit: Exit::Ok,
    on: [
        Expected { create: 296, adopt: 4, ..NOTHING },
        Expected { create: 300, ..NOTHING },
        Expected { create: 300, ..NOTHING },
    ],
};
/// All who were invited have accepted, and get their names.
pub(super) const AFTERNOON: Due = Due { exit: Exit::Ok, on: [NOTHING, Expected { update: 300, ..NOTHING }, NOTHING] };
pub(super) const DAY_TWO: Due =
    Due { exit: Exit::Partial, on: [Expected { create: 8, update: 12, ban: 6, ..NOTHING }; 3] };
/// One is reinstated, one's row is whole again; and the eight who were invited in the morning have accepted.
pub(super) const EVENING: Due = Due {
    exit: Exit::Ok,
    on: [
        Expected { update: 1, reinstate: 1, ..NOTHING },
        Expected { update: 9, reinstate: 1, ..NOTHING },
        Expected { update: 1, reinstate: 1, ..NOTHING },
    ],
};
/// How many leave at once on day three.
pub(super) const MASS_LEAVE: u64 = 60;
pub(super) const DAY_THREE: Due =
    Due { exit: Exit::Held, on: [Expected { held: MASS_LEAVE, ..NOTHING }, NOTHING, NOTHING] };
pub(super) const APPROVED: Due =
    Due { exit: Exit::Ok, on: [Expected { ban: MASS_LEAVE, ..NOTHING }, NOTHING, NOTHING] };
pub(super) const DAY_FOUR: Due = Due { exit: Exit::Untrusted, ..SILENCE };
pub(super) const UNDONE: Due =
    Due { exit: Exit::Ok, on: [Expected { reinstate: MASS_LEAVE, ..NOTHING }, NOTHING, NOTHING] };

impl Expected {
    fn writes_nothing(&self) -> bool {
        self.create + self.adopt + self.update + self.ban + self.reinstate == 0
    }

    /// Where the numbers of operations, by their names, are not what the story says.
    pub(super) fn missed(&self, came: impl Fn(&str) -> u64) -> Vec<String> {
        let due = [
            ("create", self.create),
            ("adopt", self.adopt),
            ("update", self.update),
            ("ban", self.ban),
            ("reinstate", self.reinstate),
        ];
        let wrong = due.into_iter().filter(|(op, due)| came(op) != *due);
        wrong.map(|(op, due)| format!("{due} × {op} were due, {} came", came(op))).collect()
    }
}

impl Due {
    /// Where these runs, or what the platforms saw meanwhile, are not what the story says.
    pub(super) fn untruths(&self, runs: &[Run], log: &[Request]) -> Vec<String> {
        let on_each = Platform::ALL.into_iter().zip(&self.on);
        on_each.flat_map(|(platform, due)| untruths_on(platform, due, runs, log)).collect()
    }
}

fn untruths_on(platform: Platform, due: &Expected, runs: &[Run], log: &[Request]) -> Vec<String> {
    let (seen, title) = (Seen::of(log, platform), platform.title());
    let mut untruths = Vec::new();
    match runs.iter().find(|run| run.sync == platform.name()) {
        Some(run) => {
            untruths.extend(due.missed(|op| run.ok(op)).into_iter().map(|what| format!("{title}: {what}")));
            if run.held("ban") != due.held {
                untruths.push(format!("{title}: {} held bans were due, {} came", due.held, run.held("ban")));
            }
            untruths.extend(seen.disagreements(run, platform));
        }
        None if !due.writes_nothing() || due.held > 0 => untruths.push(format!("there is no run for {title}")),
        None => {}
    }
    if due.writes_nothing() && seen.writes > 0 {
        untruths.push(format!("{} writes reached {title} where none was due", seen.writes));
    }
    untruths
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(sync: &str, counts: serde_json::Value) -> Run {
        let run = json!({"run": "01J", "sync": sync, "status": "ok", "counts": counts});
        serde_json::from_value(run).expect("a run")
    }

    fn write_on(target: &str) -> Request {
        serde_json::from_value(json!({"seq": 1, "at_ms": 0, "mono_ns": 0, "target": target, "method": "PUT",
            "path": "/api/users", "query": [], "op": "update", "remote_id": "1", "key": null, "fields": [],
            "status": 200, "write": true, "committed": true, "committed_at_ms": null,
            "committed_mono_ns": null, "fault": null}))
        .expect("a request")
    }

    #[test]
    fn a_run_that_is_not_the_storys_is_noticed() {
        let run = run("juno", json!({"update": {"ok": 1}, "reinstate": {"ok": 1}}));
        assert!(EVENING.on[0].missed(|op| run.ok(op)).is_empty());
        assert_eq!(EVENING.on[1].missed(|op| run.ok(op)), ["9 × update were due, 1 came"]);
        assert_eq!(NOTHING.missed(|op| run.ok(op)).len(), 2);
        assert!(NOTHING.writes_nothing() && !EVENING.on[0].writes_nothing());
    }

    #[test]
    fn a_run_that_is_missing_or_holds_too_few_is_noticed() {
        let held = |number: u64| [run("juno", json!({"ban": {"held": number}}))];
        assert!(DAY_THREE.untruths(&held(60), &[]).is_empty());
        assert_eq!(DAY_THREE.untruths(&held(59), &[]), ["JUNO: 60 held bans were due, 59 came"]);
        assert_eq!(DAY_THREE.untruths(&[], &[]), ["there is no run for JUNO"]);
        assert!(SILENCE.untruths(&[], &[]).is_empty());
    }

    #[test]
    fn a_write_where_none_was_due_is_noticed() {
        for target in ["juno", "juicebox", "longjump"] {
            assert_eq!(SILENCE.untruths(&[], &[write_on(target)]).len(), 1, "{target}");
        }
        assert_eq!(SILENCE.untruths(&[run("juno", json!({}))], &[write_on("juno")]).len(), 2, "told nothing, seen one");
    }
}
