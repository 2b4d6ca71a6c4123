//! Forgetting what is old: rows of the ledger, runs, decided plans, answered requests. The snapshot and the journal
//! are no history and are never touched.
//!
//! It goes in small steps, so that nobody who sends waits long for the disk. What the limits still count (bans of a
//! day, people who came back within the flap window) stays whatever its age.

use chrono::{DateTime, Utc};

use super::db::args;
use super::{Command, Db, StateError, former_keys, history, reconciled};

/// How many rows of the ledger one step may delete: some ten milliseconds of work.
pub const STEP: usize = 2_000;

/// Deletes some of what is older; ask again until `more` is false.
#[derive(Clone, Debug)]
pub struct Prune {
    /// What ended before this time is old.
    pub before: DateTime<Utc>,
    /// Bans, deletes and reinstatements since this time are counted by limits, and stay.
    pub counted_since: DateTime<Utc>,
}

/// What a step deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Pruned {
    /// Rows of the ledger.
    pub outcomes: u64,
    /// Runs.
    pub runs: u64,
    /// Plans that were decided, with their operations.
    pub plans: u64,
    /// There may be more to delete.
    #[serde(skip)]
    pub more: bool,
}

impl Command for Prune {
    type Reply = Pruned;

    fn run(&self, db: &Db<'_>) -> Result<Pruned, StateError> {
        let step = args![self.before, self.counted_since, STEP as i64];
        let old = "SELECT id FROM outcome WHERE ts < ?1 AND NOT
                       (ts >= ?2 AND op IN ('ban', 'delete', 'reinstate') AND status IN ('ok', 'unknown'))
                   ORDER BY ts, id LIMIT ?3";
        // What an operation replaced goes with the first of its outcomes, also where the person has another key by now.
        db.execute(
            &format!(
                "DELETE FROM undo WHERE (run, key) IN
                     (SELECT run, coalesce((SELECT f.new FROM former_key f WHERE f.old = o.key AND f.sync = o.sync
                                            AND f.upto >= o.id ORDER BY f.upto LIMIT 1), key)
                      FROM outcome o WHERE id IN ({old}) AND status IN ('ok', 'unknown'))"
            ),
            step,
        )?;
        // Their runs are counted anew at the end.
        db.execute(
            &format!(
                "UPDATE run SET created = NULL
                 WHERE created IS NOT NULL AND id IN (SELECT run FROM outcome WHERE id IN ({old}))"
            ),
            step,
        )?;
        let outcomes = db.execute(&format!("DELETE FROM outcome WHERE id IN ({old})"), step)?;
        former_keys::prune(db)?;
        if outcomes == STEP as u64 {
            return Ok(Pruned { outcomes, more: true, ..Pruned::default() });
        }
        let plans = prune_plans(db, self.before)?;
        let runs = prune_runs(db, self.before)?;
        history::count(db, "created IS NULL AND finished_at IS NOT NULL", args![])?;
        reconciled::prune(db, self.before)?;
        db.execute("DELETE FROM request WHERE ended_at < ?1", args![self.before])?;
        Ok(Pruned { outcomes, runs, plans, more: false })
    }
}

fn prune_plans(db: &Db<'_>, before: DateTime<Utc>) -> Result<u64, StateError> {
    let old = "SELECT id FROM plan WHERE status <> 'held' AND coalesce(decided_at, made_at) < ?1";
    db.execute(&format!("DELETE FROM plan_operation WHERE plan IN ({old})"), args![before])?;
    Ok(db.execute(&format!("DELETE FROM plan WHERE id IN ({old})"), args![before])? as u64)
}

/// A run stays while something speaks of it, and the last of each sync and the last good one stay in any case: they
/// are what `status` shows.
fn prune_runs(db: &Db<'_>, before: DateTime<Utc>) -> Result<u64, StateError> {
    let deleted = db.execute(
        "DELETE FROM run WHERE finished_at < ?1
                 AND NOT EXISTS (SELECT 1 FROM outcome o WHERE o.run = run.id)
                 AND NOT EXISTS (SELECT 1 FROM journal j WHERE j.run = run.id)
                 AND NOT EXISTS (SELECT 1 FROM plan p WHERE p.run = run.id)
                 AND EXISTS (SELECT 1 FROM run later WHERE later.sync = run.sync AND later.partial = 0
                             AND later.started_at > run.started_at)
                 AND (coalesce(status, '') <> 'ok' OR partial = 1
                      OR EXISTS (SELECT 1 FROM run good WHERE good.sync = run.sync AND good.partial = 0
                                 AND good.status = 'ok' AND good.started_at > run.started_at))",
        args![before],
    )?;
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::operation::OpKind;
    use crate::domain::outcome::{Outcome, RunStatus, Status};
    use crate::domain::record::Key;
    use crate::domain::time::instant;
    use crate::state::State;
    use crate::state::journal::{Effect, Settle, Settlement};
    use crate::state::ledger::{BansSince, BeginRun, Filter, FinishRun, Outcomes, Record, StatusOf};
    use crate::state::people::{BindSync, Binding};
    use crate::state::undo::{Replaced, Undoable};

    async fn run(state: &State, id: &str, at: &str, status: RunStatus) {
        state
            .ask(BeginRun {
                id: id.into(),
                sync: "staff".into(),
                at: instant(at),
                partial: false,
                cause: Default::default(),
            })
            .await
            .expect("begun");
        let finish = FinishRun {
            id: id.into(),
            at: instant(at),
            status,
            plan: None,
            planned: Default::default(),
            source_records: 0,
            excluded: 0,
            unchanged: 0,
            reason: None,
            figures: Default::default(),
            error: None,
        };
        state.ask(finish).await.expect("finished");
    }

    fn outcome(run: &str, ts: &str, op: OpKind) -> Outcome {
        Outcome {
            ts: instant(ts),
            run: run.into(),
            sync: "staff".into(),
            source: "hr".into(),
            target: "juno".into(),
            key: Key::parse("E1"),
            op: Some(op),
            status: Status::Ok,
            remote_id: None,
            fields: Vec::new(),
            attempts: 1,
            http_status: Some(200),
            duration_ms: 1,
            reason: None,
            error: None,
        }
    }

    async fn ids(state: &State) -> Vec<String> {
        let page = Outcomes { filter: Filter::default(), after: 0, limit: 100 };
        state.ask(page).await.expect("read").into_iter().map(|(_, o)| o.run.to_string()).collect()
    }

    #[tokio::test]
    async fn old_rows_go_and_what_limits_count_and_status_shows_stays() {
        let state = State::in_memory().expect("a state");
        run(&state, "r1", "2026-01-01T00:00:00.000Z", RunStatus::Ok).await;
        run(&state, "r2", "2026-01-02T00:00:00.000Z", RunStatus::Ok).await;
        run(&state, "r3", "2026-01-03T00:00:00.000Z", RunStatus::Failed).await;
        run(&state, "r4", "2026-06-01T00:00:00.000Z", RunStatus::Failed).await;
        let rows = vec![
            outcome("r1", "2026-01-01T00:00:00.000Z", OpKind::Create),
            outcome("r2", "2026-01-02T00:00:00.000Z", OpKind::Ban),
            outcome("r4", "2026-06-01T00:00:00.000Z", OpKind::Update),
        ];
        state.ask(Record(rows)).await.expect("recorded");
        let prune =
            Prune { before: instant("2026-05-01T00:00:00.000Z"), counted_since: instant("2026-01-02T00:00:00.000Z") };
        let pruned = state.ask(prune.clone()).await.expect("pruned");
        assert_eq!(pruned, Pruned { outcomes: 1, runs: 2, plans: 0, more: false });
        assert_eq!(ids(&state).await, ["r2", "r4"]);
        let since = instant("2026-01-01T12:00:00.000Z");
        assert_eq!(
            state
                .ask(BansSince { sync: "staff".into(), since, now: instant("2099-01-01T00:00:00.000Z") })
                .await
                .expect("counted"),
            1
        );
        let status = state.ask(StatusOf { sync: "staff".into(), at_rest: false }).await.expect("status");
        assert_eq!(
            status.last_good_run.as_ref(),
            Some(&instant("2026-01-02T00:00:00.000Z")),
            "the last good run is kept"
        );
        assert_eq!(state.ask(prune).await.expect("pruned"), Pruned::default(), "nothing is left to do");
    }

    #[tokio::test]
    async fn it_goes_in_steps() {
        let state = State::in_memory().expect("a state");
        run(&state, "r1", "2026-01-01T00:00:00.000Z", RunStatus::Ok).await;
        let rows = (0..STEP + 5).map(|_| outcome("r1", "2026-01-01T00:00:00.000Z", OpKind::Update)).collect();
        state.ask(Record(rows)).await.expect("recorded");
        let far = instant("2026-12-01T00:00:00.000Z");
        let prune = Prune { before: far, counted_since: far };
        let first = state.ask(prune.clone()).await.expect("pruned");
        assert!(first.more && first.outcomes == STEP as u64);
        let second = state.ask(prune).await.expect("pruned");
        assert!(!second.more && second.outcomes == 5, "{second:?}");
    }

    #[tokio::test]
    async fn what_an_operation_replaced_goes_with_its_outcome() {
        let state = State::in_memory().expect("a state");
        let (old, new) = ("2026-01-01T00:00:00.000Z", "2026-06-01T00:00:00.000Z");
        let binding = Binding {
            sync: "staff".into(),
            source: "hr".into(),
            target: "juno".into(),
            kind: "juno".into(),
            base_url: "https://a.example/".into(),
            source_key: "id".into(),
            resource: Default::default(),
        };
        let sync = state.ask(BindSync(binding)).await.expect("bound");
        let settled = |run: &str, at: &str, key: &str, op, status| Settlement {
            entry: None,
            key: Key::parse(key).expect("a key"),
            at: instant(at),
            effect: Effect::None,
            outcome: Some(std::sync::Arc::new(Outcome { key: Key::parse(key), status, ..outcome(run, at, op) })),
            replaced: Some(Undoable { op, remote_id: None, changes: Default::default() }),
            kept: Default::default(),
        };
        for (run_id, at) in [("r1", old), ("r2", new)] {
            run(&state, run_id, at, RunStatus::Ok).await;
            let settlements = vec![
                settled(run_id, at, "E1", OpKind::Update, Status::Ok),
                settled(run_id, at, "E2", OpKind::Update, Status::Unknown),
                settled(run_id, at, "E3", OpKind::Ban, Status::Ok),
            ];
            state.ask(Settle { sync, settlements }).await.expect("settled");
        }
        state
            .ask(Prune { before: instant("2026-05-01T00:00:00.000Z"), counted_since: instant(old) })
            .await
            .expect("pruned");
        let left = async |run: &str| {
            let replaced = Replaced { run: run.into(), after: None, limit: 9 };
            let read = state.ask(replaced).await.expect("read");
            read.into_iter().map(|(key, _)| key.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(left("r1").await, ["E3"], "the ban is counted, and stays with what it replaced");
        assert_eq!(left("r2").await, ["E1", "E2", "E3"]);
    }
}
