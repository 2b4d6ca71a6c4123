//! Runs as `rosterd runs` tells them, newest first: when, what became of them, what began them, who approved and why.
//!
//! What a run came to is kept as it was told when it ended; of a run that has not ended, and of one that an older program
//! made, the outcomes are counted.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::db::args;
use super::ledger::run_status;
use super::{Command, Db, Page, Row, StateError};
use crate::domain::cause::{Consented, RunCause, Trigger};
use crate::domain::exit::Exit;
use crate::domain::ids::RunId;
use crate::domain::operation::OpKind;
use crate::domain::outcome::{Counted, RunStatus, Status};

/// What a run came to, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Outcomes of operations, by kind and status.
    pub counts: BTreeMap<OpKind, Counted>,
    /// Rejected records.
    pub rejected: u64,
    /// People deliberately left alone, and operations that were not begun.
    pub skipped: u64,
}

/// Why a run did not end well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunTrouble {
    /// The exit code; none where nobody knows it: the process died, or an older program made the run.
    pub code: Option<Exit>,
    /// What happened.
    pub message: String,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRecord {
    /// Its id.
    pub run: RunId,
    /// The sync.
    pub sync: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended, or was closed after its process had died.
    pub finished_at: Option<DateTime<Utc>>,
    /// How it ended; none while nobody has closed it.
    pub status: Option<RunStatus>,
    /// What began it; none of a run that an older program made.
    pub trigger: Option<Trigger>,
    /// Who asked for it or approved it.
    pub by: Option<String>,
    /// What they said.
    pub reason: Option<String>,
    /// The run that it takes back.
    pub undoes: Option<RunId>,
    /// What it came to.
    pub figures: Figures,
    /// People who were in step.
    pub unchanged: u64,
    /// Why it did not end well.
    pub error: Option<RunTrouble>,
}

/// The next runs, newest first.
#[derive(Clone, Debug)]
pub struct Runs {
    /// Of this sync alone.
    pub sync: Option<String>,
    /// Not begun before this time.
    pub since: Option<DateTime<Utc>>,
    /// The last run of the page before.
    pub before: Option<(DateTime<Utc>, RunId)>,
    /// How many at most.
    pub limit: usize,
}

const COLUMNS: &str = "id, sync, started_at, finished_at, status, cause, by_whom, said, undoes, figures, unchanged,
    error_code, error_message, reason";

/// The statement with these conditions: sync, time, last run before.
fn statement(given: [bool; 3]) -> String {
    let mut sql = format!("SELECT {COLUMNS} FROM run WHERE true");
    let conditions = ["sync = ?1", "started_at >= ?2", "(started_at, id) < (?3, ?4)"];
    for (condition, _) in conditions.into_iter().zip(given).filter(|(_, given)| *given) {
        sql.push_str(&format!(" AND {condition}"));
    }
    sql + " ORDER BY started_at DESC, id DESC LIMIT ?5"
}

impl Command for Runs {
    type Reply = Vec<RunRecord>;

    fn run(&self, db: &Db<'_>) -> Result<Vec<RunRecord>, StateError> {
        let sql = statement([self.sync.is_some(), self.since.is_some(), self.before.is_some()]);
        let (at, id) = self.before.clone().unzip();
        let mut found = db.rows(&sql, args![self.sync, self.since, at, id, self.limit as i64], record)?;
        let mut counted = db.prepare(COUNTED)?;
        for (run, known) in &mut found {
            if !*known {
                run.figures = count(&mut counted, &run.run)?;
            }
        }
        Ok(found.into_iter().map(|(run, _)| run).collect())
    }
}

impl Page for Runs {
    type Entry = RunRecord;

    fn go_on(&mut self, read: &[RunRecord]) {
        self.before = read.last().map(|run| (run.started_at, run.run.clone()));
    }
}

/// The run of this id.
pub(super) fn one(db: &Db<'_>, id: &RunId) -> Result<Option<RunRecord>, StateError> {
    let sql = format!("SELECT {COLUMNS} FROM run WHERE id = ?1");
    let Some((mut run, known)) = db.one(&sql, args![id], record)? else { return Ok(None) };
    if !known {
        run.figures = count(&mut db.prepare(COUNTED)?, id)?;
    }
    Ok(Some(run))
}

/// A run, and whether it is kept what it came to.
fn record(row: &Row<'_>) -> Result<(RunRecord, bool), StateError> {
    let figures = row.get::<Option<String>>(9)?.map(|text| serde_json::from_str(&text)).transpose()?;
    let told = figures.is_some();
    let by: Option<String> = row.get(6)?;
    let said: Option<String> = row.get(7)?;
    let reason: Option<String> = row.get(13)?;
    let error = match row.get::<Option<String>>(12)? {
        Some(message) => {
            let code = row.get::<Option<i64>>(11)?.and_then(|code| u8::try_from(code).ok());
            Some(RunTrouble { code: code.and_then(Exit::of_code), message })
        }
        None if told => None,
        // An older program made it, or it was closed for a process that died.
        None => reason
            .and_then(|text| trouble(&text, by.as_deref(), said.as_deref()).map(str::to_string))
            .map(|message| RunTrouble { code: None, message }),
    };
    let run = RunRecord {
        run: row.get(0)?,
        sync: row.get(1)?,
        started_at: row.get(2)?,
        finished_at: row.get(3)?,
        status: row.get::<Option<String>>(4)?.map(run_status).transpose()?,
        trigger: row.get::<Option<String>>(5)?.and_then(|word| Trigger::parse(&word)),
        by,
        reason: said,
        undoes: row.get(8)?,
        figures: figures.unwrap_or_default(),
        unchanged: row.get::<Option<i64>>(10)?.unwrap_or(0).unsigned_abs(),
        error,
    };
    Ok((run, told))
}

/// Why a run of an older program ended as it did: what stands in its row after who approved it.
fn trouble<'t>(text: &'t str, by: Option<&str>, said: Option<&str>) -> Option<&'t str> {
    let rest = by.and_then(|by| {
        let (_, rest) = text.strip_prefix("plan ")?.split_once(" approved by ")?;
        let rest = rest.strip_prefix(by)?;
        let rest = said.and_then(|said| rest.strip_prefix(": ")?.strip_prefix(said)).unwrap_or(rest);
        Some(rest.strip_prefix("; ").unwrap_or(rest))
    });
    Some(rest.unwrap_or(text)).filter(|text| !text.is_empty())
}

const COUNTED: &str = "SELECT op, status, count(*) FROM outcome WHERE run = ?1 GROUP BY op, status";

/// What became of a run by its outcomes.
fn count(counted: &mut super::Statement<'_>, run: &RunId) -> Result<Figures, StateError> {
    let mut figures = Figures::default();
    counted.each(args![run], |row| {
        let op = row.get::<Option<String>>(0)?.and_then(|op| OpKind::parse(&op));
        let n = row.get::<i64>(2)?.unsigned_abs();
        match (Status::parse(&row.get::<String>(1)?), op) {
            (Some(Status::Rejected), _) => figures.rejected += n,
            (Some(status), Some(op)) => {
                figures.counts.entry(op).or_default().add(status, n);
                figures.skipped += if status == Status::Skipped { n } else { 0 };
            }
            (Some(Status::Skipped), None) => figures.skipped += n,
            _ => {}
        }
        Ok(())
    })?;
    Ok(figures)
}

/// Forgets what was told of a run that has ended: something was found out since, and its outcomes are counted from now on.
pub(super) fn count_anew(db: &Db<'_>, run: &RunId) -> Result<(), StateError> {
    db.execute("UPDATE run SET figures = NULL WHERE id = ?1", args![run])?;
    Ok(())
}

/// Writes why a run began.
pub(super) fn begun(db: &Db<'_>, run: &RunId, cause: &RunCause) -> Result<(), StateError> {
    db.execute(
        "UPDATE run SET cause = ?2, by_whom = ?3, said = ?4, undoes = ?5 WHERE id = ?1",
        args![run, cause.trigger.name(), cause.by, cause.reason, cause.undoes],
    )?;
    Ok(())
}

/// Writes what a run came to.
pub(super) fn ended(db: &Db<'_>, run: &RunId, figures: &Figures, error: Option<&RunTrouble>) -> Result<(), StateError> {
    let code = error.and_then(|error| error.code).map(|code| i64::from(code.code()));
    db.execute(
        "UPDATE run SET figures = ?2, error_code = ?3, error_message = ?4 WHERE id = ?1",
        args![run, serde_json::to_string(figures)?, code, error.map(|error| error.message.as_str())],
    )?;
    Ok(())
}

/// Who said yes to what these runs sent, and to what took them back, as far as somebody did.
#[derive(Debug)]
pub struct ConsentsTo(pub Vec<RunId>);

/// What people said to a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consents {
    /// To what it sent.
    pub approved: Option<Consented>,
    /// To what took it back.
    pub undone: Option<Consented>,
    /// The run that it took back itself.
    pub undoes: Option<RunId>,
}

impl Command for ConsentsTo {
    type Reply = BTreeMap<RunId, Consents>;

    fn run(&self, db: &Db<'_>) -> Result<Self::Reply, StateError> {
        // A run whose approval was stale sent nothing, and ended as held.
        const GIVEN: &str = "by_whom IS NOT NULL AND cause IN ('approve', 'undo') AND coalesce(status, '') <> 'held'";
        let mut approved = db.prepare(&format!("SELECT by_whom, said, undoes FROM run WHERE id = ?1 AND {GIVEN}"))?;
        let mut undone = db.prepare(&format!(
            "SELECT by_whom, said, undoes FROM run WHERE undoes = ?1 AND {GIVEN} ORDER BY started_at DESC LIMIT 1"
        ))?;
        let read = |row: &Row<'_>| Ok((Consented { by: row.get(0)?, reason: row.get(1)? }, row.get(2)?));
        let mut found = BTreeMap::new();
        for run in &self.0 {
            let (approved, undoes) = approved.one(args![run], read)?.unzip();
            let undone = undone.one(args![run], read)?.map(|(consented, _): (_, Option<RunId>)| consented);
            found.insert(run.clone(), Consents { approved, undone, undoes: undoes.flatten() });
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::domain::time::instant;
    use crate::state::ledger::{BeginRun, FinishRun, Record};
    use crate::state::sqlite::of_version;
    use crate::state::tests::query_plan::query_plan;
    use crate::state::{Access, State};

    fn begin(id: &str, sync: &str, at: &str, cause: RunCause) -> BeginRun {
        BeginRun { id: id.into(), sync: sync.into(), at: instant(at), partial: false, cause }
    }

    fn all(state: &State, sync: Option<&str>, since: Option<&str>, page: usize) -> Vec<RunRecord> {
        let since = since.map(instant);
        let mut pages = state.pages(Runs { sync: sync.map(Into::into), since, before: None, limit: page });
        let mut found = Vec::new();
        while let Some(page) = pages.next_blocking().expect("a page") {
            found.extend(page);
        }
        found
    }

    #[test]
    fn runs_are_found_over_an_index_in_their_order() {
        let state = State::in_memory().expect("a state");
        for given in (0..8).map(|bits| std::array::from_fn(|n| bits >> n & 1 == 1)) {
            let found = query_plan(&state, statement(given));
            let index = if given[0] { "INDEX run_sync (sync=?" } else { "INDEX run_started" };
            assert!(found.contains(index) && !found.contains("TEMP"), "{given:?}: {found}");
        }
    }

    #[test]
    fn runs_come_in_pages_newest_first_whatever_began_at_the_same_moment() {
        let state = State::in_memory().expect("a state");
        let (early, late) = ("2026-11-22T01:00:00.000Z", "2026-11-22T02:00:00.000Z");
        for (id, sync, at) in [
            ("r1", "staff", early),
            ("r3", "staff", late),
            ("r2", "staff", late),
            ("r5", "other", late),
            ("r4", "staff", late),
        ] {
            state.ask_blocking(begin(id, sync, at, RunCause::default())).expect("begun");
        }
        let ids = |found: Vec<RunRecord>| found.into_iter().map(|run| run.run.to_string()).collect::<Vec<_>>();
        for page in 1..7 {
            assert_eq!(ids(all(&state, None, None, page)), ["r5", "r4", "r3", "r2", "r1"], "{page}");
            assert_eq!(ids(all(&state, Some("staff"), Some(late), page)), ["r4", "r3", "r2"], "{page}");
        }
    }

    #[test]
    fn a_run_is_told_as_it_ended_and_one_under_way_by_its_outcomes() {
        let state = State::in_memory().expect("a state");
        let at = "2026-11-22T01:00:00.000Z";
        let by = RunCause { trigger: Trigger::Command, by: Some("ann".into()), ..RunCause::default() };
        for id in ["r1", "r2"] {
            state.ask_blocking(begin(id, "staff", at, by.clone())).expect("begun");
        }
        let outcome = |key: &str, op, status| crate::domain::outcome::Outcome {
            key: crate::domain::record::Key::parse(key),
            op,
            ..crate::domain::outcome::Outcome::new(
                instant(at),
                crate::domain::outcome::OfRun {
                    run: "r2".into(),
                    sync: "staff".into(),
                    source: "hr".into(),
                    target: "juno".into(),
                },
                None,
                None,
                status,
            )
        };
        let written = vec![
            outcome("E1", Some(OpKind::Create), Status::Ok),
            outcome("E2", Some(OpKind::Create), Status::Failed),
            outcome("E3", Some(OpKind::Ban), Status::Skipped),
            outcome("E4", None, Status::Skipped),
            outcome("E5", None, Status::Rejected),
        ];
        state.ask_blocking(Record(written)).expect("recorded");
        let counts = BTreeMap::from([(OpKind::Ban, Counted { held: 3, ..Counted::default() })]);
        let figures = Figures { counts, rejected: 1, skipped: 2 };
        let error = Some(RunTrouble { code: Some(Exit::Held), message: "held".into() });
        let finish = FinishRun {
            id: "r1".into(),
            at: instant(at),
            status: RunStatus::Held,
            plan: None,
            planned: BTreeMap::new(),
            source_records: 4,
            excluded: 0,
            unchanged: 1,
            reason: Some("held".into()),
            figures: figures.clone(),
            error: error.clone(),
        };
        state.ask_blocking(finish).expect("finished");
        let found = all(&state, None, None, 9);
        let (open, ended) = (&found[0], &found[1]);
        assert_eq!(
            (&ended.figures, &ended.error, ended.unchanged),
            (&figures, &error, 1),
            "held again writes no outcome"
        );
        assert_eq!((ended.by.as_deref(), ended.trigger), (Some("ann"), Some(Trigger::Command)));
        assert_eq!((open.status, open.finished_at), (None, None));
        let creates = Counted { ok: 1, failed: 1, ..Counted::default() };
        let bans = Counted { skipped: 1, ..Counted::default() };
        assert_eq!(open.figures.counts, BTreeMap::from([(OpKind::Create, creates), (OpKind::Ban, bans)]));
        assert_eq!((open.figures.rejected, open.figures.skipped), (1, 2));
    }

    #[test]
    fn what_an_older_program_wrote_of_an_approval_is_told_apart() {
        let (by, said) = (Some("ann (uid 7)"), Some("closed; for good"));
        for (text, by, said, expected) in [
            ("plan p1 approved by ann (uid 7): closed; for good", by, said, None),
            ("plan p1 approved by ann (uid 7): closed; for good; stopped", by, said, Some("stopped")),
            ("plan p1 approved by ann (uid 7)", by, None, None),
            ("plan p1 approved by ann (uid 7); stopped", by, None, Some("stopped")),
            ("held by the limit ban", None, None, Some("held by the limit ban")),
            ("interrupted", by, said, Some("interrupted")),
        ] {
            assert_eq!(trouble(text, by, said), expected, "{text}");
        }
    }

    #[test]
    fn approvals_of_an_older_program_are_told_and_what_it_did_not_write_down_is_unknown() {
        let dir = tempfile::TempDir::with_prefix("rosterd-state-").expect("a directory");
        let path = dir.path().join("rosterd.db");
        let db = rusqlite::Connection::open(&path).expect("a file");
        of_version(&db, 16);
        db.execute_batch(
            "INSERT INTO plan (id, sync, run, made_at, held_by, count, allowed, counts, status, decided_by, reason, origin)
             VALUES ('p1', 'staff', 'r1', '', 'ban', 2, 1, '{}', 'sent', 'ann', 'closed', 'sync'),
                    ('p2', 'staff', 'r2', '', 'undo', 2, 0, '{}', 'sent', 'bob', NULL, 'undo r2');
             INSERT INTO run (id, sync, started_at, finished_at, status, reason)
             VALUES ('r1', 'staff', '2026-11-22T01:00:00.000Z', '2026-11-22T01:00:00.000Z', 'held', 'limit ban'),
                    ('r2', 'staff', '2026-11-22T02:00:00.000Z', '2026-11-22T02:00:00.000Z', 'partial',
                     'plan p1 approved by ann: closed; stopped'),
                    ('r3', 'staff', '2026-11-22T03:00:00.000Z', '2026-11-22T03:00:00.000Z', 'ok',
                     'plan p2 approved by bob');
             INSERT INTO outcome (ts, run, sync, source, target, key, op, status, fields, attempts, duration_ms)
             VALUES ('', 'r2', 'staff', 'hr', 'juno', 'E1', 'ban', 'ok', '[]', 1, 1);",
        )
        .expect("older data");
        db.close().expect("closed");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("private");
        let state = crate::state::open(&path, Access::Write).expect("brought up").state;
        let found = all(&state, None, None, 9);
        let [undo, sent, held] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((undo.trigger, undo.by.as_deref(), &undo.error), (Some(Trigger::Undo), Some("bob"), &None));
        assert_eq!(undo.undoes, Some("r2".into()));
        assert_eq!((sent.trigger, sent.reason.as_deref()), (Some(Trigger::Approve), Some("closed")));
        assert_eq!(sent.error, Some(RunTrouble { code: None, message: "stopped".into() }));
        assert_eq!(sent.figures.counts.get(&OpKind::Ban).map(|counted| counted.ok), Some(1));
        assert_eq!((held.trigger, &held.by), (None, &None));
        assert_eq!(held.error, Some(RunTrouble { code: None, message: "limit ban".into() }));
        let consents = state.ask_blocking(ConsentsTo(vec!["r1".into(), "r2".into()])).expect("an answer");
        let said = |by: &str, reason: Option<&str>| Some(Consented { by: by.into(), reason: reason.map(Into::into) });
        assert_eq!(consents[&RunId::from("r1")], Consents::default());
        let of = &consents[&RunId::from("r2")];
        assert_eq!((&of.approved, &of.undone), (&said("ann", Some("closed")), &said("bob", None)));
    }
}
