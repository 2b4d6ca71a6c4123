//! Reading the ledger by what is asked for: whatever the filter, the rows are found by the index that leads past the fewest
//! others, in the order of their numbers.

use chrono::{DateTime, Utc};

use super::db::args;
use super::history::LOOK_BACK;
use super::{Arg, Command, Db, Page, Row, StateError, former_keys};
use crate::domain::ids::RunId;
use crate::domain::operation::OpKind;
use crate::domain::outcome::{ErrorKind, OpError, Outcome, Status};
use crate::domain::record::Key;

/// Which outcomes.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this sync.
    pub sync: Option<String>,
    /// Of this run.
    pub run: Option<RunId>,
    /// Of this person.
    pub key: Option<String>,
    /// With this status.
    pub status: Option<Status>,
    /// Not before this time.
    pub since: Option<DateTime<Utc>>,
}

/// The next outcomes, oldest first.
#[derive(Clone, Debug)]
pub struct Outcomes {
    /// Which.
    pub filter: Filter,
    /// The last row of the page before; 0 to begin.
    pub after: i64,
    /// How many at most.
    pub limit: usize,
}

/// Outcomes between two rows, in either order: those after one, up to another.
pub(super) fn read(
    db: &Db<'_>,
    filter: &Filter,
    between: Reach,
    limit: usize,
    newest_first: bool,
) -> Result<Vec<(i64, Outcome)>, StateError> {
    let mut found = rows(db, filter, between, limit, newest_first)?;
    let Some(key) = &filter.key else { return Ok(found) };
    // Whoever has the key now may have had others before.
    let former = former_keys::of(db, filter.sync.as_deref(), key)?;
    for had in former.into_iter().filter(|had| had.old != had.new) {
        let of_then = Filter { sync: Some(had.sync), key: Some(had.old), ..filter.clone() };
        let between = Reach { after: between.after.max(had.after), upto: between.upto.min(had.upto) };
        found.extend(rows(db, &of_then, between, limit, newest_first)?);
    }
    found.sort_by_key(|(id, _)| if newest_first { -id } else { *id });
    found.truncate(limit);
    Ok(found)
}

fn rows(
    db: &Db<'_>,
    f: &Filter,
    between: Reach,
    limit: usize,
    newest_first: bool,
) -> Result<Vec<(i64, Outcome)>, StateError> {
    let (status, limit) = (f.status.map(Status::name), limit as i64);
    let given: [Option<&dyn Arg>; 5] = [
        f.sync.as_ref().map(|sync| sync as &dyn Arg),
        f.run.as_ref().map(|run| run as &dyn Arg),
        f.key.as_ref().map(|key| key as &dyn Arg),
        status.as_ref().map(|status| status as &dyn Arg),
        f.since.as_ref().map(|since| since as &dyn Arg),
    ];
    let mut arguments: Vec<&dyn Arg> = vec![&between.after, &between.upto, &limit];
    arguments.extend(given.into_iter().flatten());
    let sql = statement(given.map(|argument| argument.is_some()), Way::to(f), newest_first);
    db.rows(&sql, &arguments, |row| Ok((row.get(0)?, outcome(row)?)))
}

/// The statement with these conditions: sync, run, key, status, time.
fn statement(given: [bool; 5], way: Way, newest_first: bool) -> String {
    let mut sql = format!("SELECT {COLUMNS} FROM outcome WHERE id > ?1 AND id <= ?2");
    // One index leads to the rows, and for the others a column that is made an expression of is none of theirs.
    let conditions = [
        if way == Way::Sync { "sync =" } else { "sync || '' =" },
        if way == Way::Run { "run =" } else { "run || '' =" },
        "key =",
        if way == Way::Status { "status <> 'ok' AND status =" } else { "status =" },
        "ts || '' >=",
    ];
    let given = conditions.into_iter().zip(given).filter_map(|(condition, given)| given.then_some(condition));
    for (n, condition) in given.enumerate() {
        sql.push_str(&format!(" AND {condition} ?{}", n + 4));
    }
    sql.push_str(if newest_first { " ORDER BY id DESC LIMIT ?3" } else { " ORDER BY id LIMIT ?3" });
    sql
}

/// By what the outcomes of a filter are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The person.
    Key,
    /// The run.
    Run,
    /// A status that is none of success.
    Status,
    /// The sync.
    Sync,
    /// One after the other.
    All,
}

impl Way {
    /// The one that leads past the fewest rows that are not meant.
    fn to(filter: &Filter) -> Way {
        let not_ok = filter.status.is_some_and(|status| status != Status::Ok);
        match filter {
            Filter { key: Some(_), .. } => Way::Key,
            _ if not_ok => Way::Status,
            Filter { run: Some(_), .. } => Way::Run,
            Filter { sync: Some(_), .. } => Way::Sync,
            _ => Way::All,
        }
    }
}

/// Rows of the ledger by their numbers: those after one, up to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// After this one; 0 is before all of them.
    pub after: i64,
    /// Up to this one.
    pub upto: i64,
}

impl Reach {
    /// All rows.
    pub const ALL: Reach = Reach { after: 0, upto: i64::MAX };
}

/// Between which rows all those after one are that a filter means, as far as it is told at little cost; nothing when
/// there are none.
pub(super) fn reach(db: &Db<'_>, filter: &Filter, after: i64, newest_first: bool) -> Result<Option<Reach>, StateError> {
    let way = Way::to(filter);
    let mut reach = Reach { after, ..Reach::ALL };
    if let (Some(run), Way::Status) = (&filter.run, way) {
        let number = |sql: &str| db.row(sql, args![run], |row| row.get::<Option<i64>>(0));
        let first = number("SELECT min(id) FROM outcome WHERE run = ?1")?;
        let last = number("SELECT max(id) FROM outcome WHERE run = ?1")?;
        let Some((first, last)) = first.zip(last) else { return Ok(None) };
        reach = Reach { after: after.max(first - 1), upto: last };
    } else if let (Some(since), Way::Status | Way::Sync | Way::All) = (filter.since, way)
        && (newest_first || after == 0)
    {
        // Where so many are as late that most of those that are meant are among them, nothing is gained.
        let most = if newest_first || way == Way::Status { LOOK_BACK } else { i64::MAX };
        let (first, found) = db.row(
            "SELECT min(id), count(*) FROM (SELECT id FROM outcome WHERE ts >= ?1 ORDER BY ts LIMIT ?2) AS late",
            args![since, most],
            |row| Ok((row.get::<Option<i64>>(0)?, row.get::<i64>(1)?)),
        )?;
        let Some(first) = first else { return Ok(None) };
        if found < most {
            reach.after = after.max(first - 1);
        }
    }
    Ok(Some(reach))
}

impl Command for Outcomes {
    type Reply = Vec<(i64, Outcome)>;

    fn run(&self, db: &Db<'_>) -> Result<Self::Reply, StateError> {
        let Some(between) = reach(db, &self.filter, self.after, false)? else { return Ok(Vec::new()) };
        read(db, &self.filter, between, self.limit, false)
    }
}

/// Asks where the outcomes of a filter are: nothing when there are none. Of the newest so many alone when a number is given.
#[derive(Debug)]
pub struct ReachOf {
    /// Which.
    pub filter: Filter,
    /// The newest so many.
    pub newest: Option<usize>,
}

impl Command for ReachOf {
    type Reply = Option<Reach>;

    fn run(&self, db: &Db<'_>) -> Result<Option<Reach>, StateError> {
        let Some(found) = reach(db, &self.filter, 0, true)? else { return Ok(None) };
        let Some(newest) = self.newest else { return Ok(Some(found)) };
        // In steps, so that no more than a step is in memory.
        let (mut left, mut reach) = (newest, found);
        while left > 0 {
            let rows = read(db, &self.filter, reach, left.min(STEP), true)?;
            let Some((oldest, _)) = rows.last() else { return Ok(Some(found)) };
            left -= rows.len();
            reach.upto = oldest - 1;
        }
        Ok(Some(Reach { after: reach.upto, ..found }))
    }
}

/// How many rows are counted off at once.
const STEP: usize = 1_000;

/// The next outcomes, newest first.
#[derive(Clone, Debug)]
pub struct NewestOutcomes {
    /// Which.
    pub filter: Filter,
    /// Between which rows, from [`ReachOf`].
    pub between: Reach,
    /// How many at most.
    pub limit: usize,
}

impl Command for NewestOutcomes {
    type Reply = Vec<(i64, Outcome)>;

    fn run(&self, db: &Db<'_>) -> Result<Self::Reply, StateError> {
        read(db, &self.filter, self.between, self.limit, true)
    }
}

impl Page for NewestOutcomes {
    type Entry = (i64, Outcome);

    fn go_on(&mut self, read: &[(i64, Outcome)]) {
        self.between.upto = read.last().map_or(self.between.upto, |(id, _)| id - 1);
    }
}

impl Page for Outcomes {
    type Entry = (i64, Outcome);

    fn go_on(&mut self, read: &[(i64, Outcome)]) {
        self.after = read.last().map_or(self.after, |(id, _)| *id);
    }
}

/// The last outcomes of a person, newest first, also those under a key that they had before.
#[derive(Debug)]
pub struct LastOutcomes {
    /// Of which sync.
    pub sync: String,
    /// Who.
    pub key: String,
    /// How many at most.
    pub limit: usize,
}

impl Command for LastOutcomes {
    type Reply = Vec<Outcome>;

    fn run(&self, db: &Db<'_>) -> Result<Vec<Outcome>, StateError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM outcome WHERE sync = ?1 AND key = ?2 AND id > ?3 AND id <= ?4 ORDER BY id DESC LIMIT ?5"
        );
        let mut found = Vec::new();
        for (key, after, upto) in former_keys::spans(db, &self.sync, &self.key)? {
            let asked = args![self.sync, key, after, upto, self.limit as i64];
            found.extend(db.rows(&sql, asked, |row| Ok((row.get::<i64>(0)?, outcome(row)?)))?);
        }
        found.sort_by_key(|(id, _)| -id);
        found.truncate(self.limit);
        Ok(found.into_iter().map(|(_, outcome)| outcome).collect())
    }
}

/// What [`outcome`] reads.
pub(super) const COLUMNS: &str = "id, ts, run, sync, source, target, key, op, status, remote_id,
    coalesce((SELECT l.fields FROM field_list l WHERE l.id = outcome.field_list), fields), attempts, http_status,
    duration_ms, reason, error_kind, error_message";

/// Reads [`COLUMNS`].
pub(super) fn outcome(row: &Row<'_>) -> Result<Outcome, StateError> {
    let kind = row.get::<Option<String>>(15)?.and_then(|k| ErrorKind::parse(&k));
    let message: Option<String> = row.get(16)?;
    Ok(Outcome {
        ts: row.get(1)?,
        run: row.get(2)?,
        sync: row.get(3)?,
        source: row.get(4)?,
        target: row.get(5)?,
        key: row.get::<Option<String>>(6)?.and_then(|k| Key::parse(&k)),
        op: row.get::<Option<String>>(7)?.and_then(|o| OpKind::parse(&o)),
        status: Status::parse(&row.get::<String>(8)?).ok_or(StateError::damaged("a stored value can't be read"))?,
        remote_id: row.get(9)?,
        fields: serde_json::from_str(&row.get::<String>(10)?).unwrap_or_default(),
        attempts: row.get(11)?,
        http_status: row.get(12)?,
        duration_ms: row.get::<i64>(13)?.unsigned_abs(),
        reason: row.get(14)?,
        error: kind.map(|kind| OpError { kind, message: message.unwrap_or_default() }),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::time::instant;
    use crate::state::State;
    use crate::state::history::RecentOutcomes;
    use crate::state::ledger::Record;
    use crate::state::tests::query_plan::query_plan;

    const RUNS: [&str; 3] = ["r1", "r2", "r3"];
    const SYNCS: [&str; 2] = ["staff", "partners"];
    const KEYS: [&str; 3] = ["E1", "E2", "E3"];

    /// A time of five, which are hours apart.
    fn hour(n: usize) -> DateTime<Utc> {
        instant("2026-11-22T00:00:00.000Z") + chrono::TimeDelta::hours(n as i64)
    }

    fn outcome((run, sync, key, status, at): (usize, usize, usize, usize, usize)) -> Outcome {
        Outcome {
            ts: hour(at),
            run: RUNS[run].into(),
            sync: SYNCS[sync].into(),
            source: "hr".into(),
            target: "juno".into(),
            key: KEYS.get(key).and_then(|key| Key::parse(key)),
            op: Some(OpKind::Update),
            status: Status::ALL[status],
            remote_id: None,
            fields: Vec::new(),
            attempts: 1,
            http_status: None,
            duration_ms: 1,
            reason: None,
            error: None,
        }
    }

    fn is_meant(f: &Filter, o: &Outcome) -> bool {
        f.sync.as_ref().is_none_or(|sync| *sync == o.sync)
            && f.run.as_ref().is_none_or(|run| *run == o.run)
            && f.key.as_ref().is_none_or(|key| o.key.as_ref().is_some_and(|is| is.as_str() == key))
            && f.status.is_none_or(|status| status == o.status)
            && f.since.is_none_or(|since| o.ts >= since)
    }

    #[test]
    fn each_way_leads_over_its_index() {
        let state = State::in_memory().expect("a state");
        for given in (0..32).map(|bits| std::array::from_fn(|n| bits >> n & 1 == 1)) {
            let [sync, run, key, status, _] = given;
            let ways = [
                (key, Way::Key, "INDEX outcome_key (key=?"),
                (status, Way::Status, "INDEX outcome_not_ok (status=? AND rowid>?"),
                (run, Way::Run, "INDEX outcome_run (run=? AND rowid>?"),
                (sync, Way::Sync, "INDEX outcome_sync (sync=? AND rowid>?"),
                (true, Way::All, "INTEGER PRIMARY KEY (rowid>?"),
            ];
            let first = ways.iter().position(|(given, ..)| *given).expect("the last");
            // A status of success is no way.
            for (_, way, index) in ways.iter().skip(first).take(2).filter(|(given, ..)| *given) {
                for newest_first in [false, true] {
                    let found = query_plan(&state, statement(given, *way, newest_first));
                    assert!(found.contains(index), "{given:?} {way:?}: {found}");
                    assert!(*way == Way::Key || !found.contains("TEMP"), "{given:?} {way:?}: {found}");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        /// Whichever index is used, and however wrong the clock was.
        #[test]
        fn a_filter_finds_what_it_means_in_the_order_in_which_it_was_written(
            written in prop::collection::vec((0..3usize, 0..2usize, 0..4usize, 0..Status::ALL.len(), 0..5usize), 0..40),
            run in prop::option::of(0..3usize), sync in prop::option::of(0..2usize),
            key in prop::option::of(0..3usize), status in prop::option::of(0..Status::ALL.len()),
            since in prop::option::of(0..6usize), limit in 1..5usize,
        ) {
            let state = State::in_memory().expect("a state");
            let written: Vec<Outcome> = written.into_iter().map(outcome).collect();
            state.ask_blocking(Record(written.clone())).expect("recorded");
            let filter = Filter {
                run: run.map(|n| RUNS[n].into()),
                sync: sync.map(|n| SYNCS[n].into()),
                key: key.map(|n| KEYS[n].into()),
                status: status.map(|n| Status::ALL[n]),
                since: since.map(hour),
            };
            let mut meant: Vec<Outcome> = written.into_iter().filter(|outcome| is_meant(&filter, outcome)).collect();
            let mut pages = state.pages(Outcomes { filter: filter.clone(), after: 0, limit });
            let mut found = Vec::new();
            while let Some(page) = pages.next_blocking().expect("a page") {
                found.extend(page.into_iter().map(|(_, outcome)| outcome));
            }
            prop_assert_eq!(&found, &meant);
            meant.reverse();
            meant.truncate(limit);
            prop_assert_eq!(state.ask_blocking(RecentOutcomes { filter, limit }).expect("read"), meant);
        }
    }
}
