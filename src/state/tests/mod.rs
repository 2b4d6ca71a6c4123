//! The state's promises: a command happens whole or not at all, many share a commit, and nobody else can read it.
//! What opening refuses is tested with the whole program too, in `tests/journey/state.rs`.

mod commits;
mod disk;
pub(in crate::state) mod query_plan;
mod records;
mod sql;
mod versions;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::journal::{
    Effect, INTERRUPTED, Intend, Intent, Recover, Resolve, Settle, Settlement, UnresolvedKeys, UnresolvedPage,
};
use super::ledger::BeginRun;
use super::people::{BindSync, Binding};
use super::plans::HeldPlans;
use super::*;
use crate::domain::exit::Exit;
use crate::domain::ids::{EntryId, SyncId};
use crate::domain::operation::{Change, OpKind, Operation};
use crate::domain::outcome::{Outcome, Status};
use crate::domain::planned::Planned;
use crate::domain::record::Key;
use crate::domain::remote_id::LoggableId;
use crate::domain::rules::PersonState;
use crate::domain::time::instant;
use crate::domain::value::Attributes;

const NOON: &str = "2026-11-22T12:00:00.000Z";

/// A state on disk, and its sync.
struct Place {
    _dir: TempDir,
    path: PathBuf,
    state: State,
    sync: SyncId,
}

impl Place {
    fn new() -> Place {
        let dir = TempDir::with_prefix("rosterd-state-").expect("a directory");
        let path = dir.path().join("deep/er/rosterd.db");
        let state = open(&path, Access::Write).expect("a new database").state;
        let sync = state.ask_blocking(BindSync(binding())).expect("a sync");
        let begin = BeginRun {
            id: "R1".into(),
            sync: "staff".into(),
            at: instant(NOON),
            partial: false,
            cause: Default::default(),
        };
        state.ask_blocking(begin).expect("a run");
        Place { _dir: dir, path, state, sync }
    }

    fn ask<C: Command>(&self, command: C) -> C::Reply {
        self.state.ask_blocking(command).expect("it works")
    }

    /// What somebody else sees of the database: only what was committed.
    fn seen(&self, sql: &str) -> Vec<Vec<Value>> {
        let db = Connection::open(&self.path).expect("a second connection");
        let mut statement = db.prepare(sql).expect("a query");
        let columns = statement.column_count();
        let cell = |value| match value {
            rusqlite::types::Value::Null => Value::Null,
            rusqlite::types::Value::Integer(n) => n.into(),
            rusqlite::types::Value::Text(text) => text.into(),
            other => format!("{other:?}").into(),
        };
        let rows = statement.query_map([], |row| (0..columns).map(|n| Ok(cell(row.get(n)?))).collect());
        rows.expect("rows").collect::<Result<_, _>>().expect("readable")
    }

    fn count(&self, table: &str) -> i64 {
        self.seen(&format!("SELECT count(*) FROM {table}"))[0][0].as_i64().expect("a number")
    }

    fn intend(&self, operations: &[Planned]) -> Vec<EntryId> {
        let operations = operations.iter().map(|operation| Intent::to(operation).expect("JSON")).collect();
        self.ask(Intend { run: "R1".into(), sync: self.sync, at: instant(NOON), operations })
    }

    /// From now on nobody whose key is like this can be written.
    fn refuse(&self, like: &str) {
        let db = Connection::open(&self.path).expect("a second connection");
        let refusal = format!(
            "CREATE TRIGGER refuse BEFORE INSERT ON person WHEN NEW.key LIKE '{like}'
             BEGIN SELECT RAISE(ABORT, 'refused by a test'); END"
        );
        db.execute_batch(&refusal).expect("a trigger");
    }

    fn settle(&self, settlements: Vec<Settlement>) -> Result<Vec<Arc<Outcome>>, StateError> {
        self.state.ask_blocking(Settle { sync: self.sync, settlements })
    }
}

#[derive(Debug)]
struct Breaks;

impl Command for Breaks {
    type Reply = ();

    fn run(&self, db: &Db<'_>) -> Result<(), StateError> {
        let db = db.connection();
        db.execute("INSERT INTO epoch (n) VALUES (99)", [])?;
        panic!("ann@acme.example")
    }
}

#[test]
fn a_statement_on_which_the_program_breaks_off_is_undone_and_the_thread_goes_on() {
    let place = Place::new();
    let before = place.seen("SELECT n FROM epoch");
    // Two at once share a transaction, or do not.
    for _ in 0..3 {
        let broken = place.state.ask_blocking(Breaks).expect_err("it panics");
        assert_eq!(broken.exit(), Exit::Internal);
        assert!(!broken.message.contains("acme"), "{broken}");
    }
    assert_eq!(place.seen("SELECT n FROM epoch"), before);
    assert_eq!(place.intend(&[]).len(), 0, "the state still answers");
}

fn binding() -> Binding {
    Binding {
        sync: "staff".into(),
        source: "hr".into(),
        target: "juno".into(),
        kind: "juno".into(),
        base_url: "https://a.example/".into(),
        source_key: "id".into(),
        resource: Default::default(),
    }
}

fn recover() -> Recover {
    Recover { at: instant(NOON), sync: None, id_is_address: Default::default() }
}

fn key(text: &str) -> Key {
    Key::parse(text).expect("a key")
}

fn create(k: &str) -> Planned {
    let mut operation = Operation::new(OpKind::Create, key(k), None);
    operation.fields.insert("title".into(), Change { old: Value::Null, new: json!("Clerk") });
    operation.into()
}

fn outcome(k: &str, op: OpKind, status: Status) -> Outcome {
    Outcome {
        ts: instant(NOON),
        run: "R1".into(),
        sync: "staff".into(),
        source: "hr".into(),
        target: "juno".into(),
        key: Some(key(k)),
        op: Some(op),
        status,
        remote_id: None,
        fields: vec!["title".into()],
        attempts: 1,
        http_status: Some(201),
        duration_ms: 5,
        reason: None,
        error: None,
    }
}

fn confirmed(state: PersonState, remote_id: &str) -> Effect {
    let attributes: Attributes = [("title".to_string(), json!("Clerk"))].into_iter().collect();
    Effect::Confirmed { state, remote_id: remote_id.into(), attributes, fingerprint: Some([7; 16]) }
}

fn settlement(entry: Option<EntryId>, k: &str, effect: Effect) -> Settlement {
    let status = if effect == Effect::Unknown { Status::Unknown } else { Status::Ok };
    let outcome = Some(Arc::new(outcome(k, OpKind::Create, status)));
    Settlement {
        entry,
        key: key(k),
        at: instant(NOON),
        effect,
        outcome,
        replaced: Default::default(),
        kept: Default::default(),
    }
}

#[test]
fn an_intent_is_on_disk_before_its_caller_goes_on() {
    let place = Place::new();
    let entries = place.intend(&[create("E1"), create("E2")]);
    let rows = place.seen("SELECT id, key, unknown, json_extract(operation, '$.kind') FROM journal ORDER BY id");
    assert_eq!(json!(rows), json!([[entries[0], "E1", 0, "create"], [entries[1], "E2", 0, "create"]]));
    let keys = place.ask(UnresolvedKeys(place.sync));
    assert_eq!(keys, [key("E1"), key("E2")].into(), "nobody plans for them meanwhile");
    assert!(
        place.ask(UnresolvedPage { sync: place.sync, after: EntryId::default(), limit: 9 }).is_empty(),
        "they are under way"
    );
}

#[test]
fn settling_moves_entry_outcome_and_person_together() {
    let place = Place::new();
    let entries = place.intend(&[create("E1")]);
    place.settle(vec![settlement(Some(entries[0]), "E1", confirmed(PersonState::Active, "1001"))]).expect("settled");
    assert_eq!((place.count("journal"), place.count("outcome"), place.count("v_users")), (0, 1, 1));
    let rows = place.seen("SELECT key, remote_id, state, attributes, confirmed_at FROM v_users");
    assert_eq!(json!(rows), json!([["E1", "1001", "active", "{\"title\":\"Clerk\"}", NOON]]));
}

#[test]
fn what_cannot_be_settled_whole_is_not_settled_at_all() {
    let place = Place::new();
    let entries = place.intend(&[create("E1"), create("E2")]);
    place.refuse("E2");
    let both = vec![
        settlement(Some(entries[0]), "E1", confirmed(PersonState::Active, "1001")),
        settlement(Some(entries[1]), "E2", confirmed(PersonState::Active, "1002")),
    ];
    let error = place.settle(both).expect_err("refused");
    assert_eq!(error.exit(), crate::domain::exit::Exit::Internal);
    assert_eq!((place.count("journal"), place.count("outcome"), place.count("v_users")), (2, 0, 0));
    place.settle(vec![settlement(Some(entries[0]), "E1", confirmed(PersonState::Active, "1001"))]).expect("alone");
    assert_eq!((place.count("journal"), place.count("outcome"), place.count("v_users")), (1, 1, 1));
}

/// Whatever a target answers, it is one person's trouble: everything else of the batch is kept, and nothing is missing.
#[test]
fn an_account_that_is_anothers_fails_its_operation_alone() {
    let place = Place::new();
    let entries = place.intend(&[create("E1"), create("E2"), create("E3")]);
    let mut taken = settlement(Some(entries[1]), "E2", confirmed(PersonState::Active, "7"));
    Arc::make_mut(taken.outcome.as_mut().expect("an outcome")).remote_id = Some(LoggableId::written("7".into()));
    let all = vec![
        settlement(Some(entries[0]), "E1", confirmed(PersonState::Active, "7")),
        taken,
        settlement(Some(entries[2]), "E3", confirmed(PersonState::Active, "8")),
    ];
    let told = place.settle(all).expect("settled");
    assert_eq!(told.iter().map(|o| o.status).collect::<Vec<_>>(), [Status::Ok, Status::Failed, Status::Ok]);
    let error = told[1].error.as_ref().expect("an error");
    assert_eq!(error.kind, crate::domain::outcome::ErrorKind::Conflict);
    assert!(error.message.contains("account 7 belongs to E1"), "{}", error.message);
    assert_eq!((place.count("journal"), place.count("outcome"), place.count("undo")), (0, 3, 0));
    let users = place.seen("SELECT key, remote_id FROM v_users ORDER BY key");
    assert_eq!(json!(users), json!([["E1", "7"], ["E3", "8"]]));
    // And when it is observed.
    let observed =
        vec![(key("E3"), confirmed(PersonState::Active, "7")), (key("E1"), confirmed(PersonState::Banned, "7"))];
    let refused = place.ask(super::journal::Observe { sync: place.sync, at: instant(NOON), observed });
    assert_eq!(refused, [key("E3")]);
    let users = place.seen("SELECT key, remote_id, state FROM v_users ORDER BY key");
    assert_eq!(json!(users), json!([["E1", "7", "banned"], ["E3", "8", "active"]]));
}

#[test]
fn a_doubtful_create_is_told_once_by_its_run_or_by_the_next_start() {
    let place = Place::new();
    let entries = place.intend(&[create("E1"), create("E2")]);
    let doubts = |after| super::journal::UnansweredCreates { sync: place.sync, run: "R1".into(), after, limit: 9 };
    let doubtful = |entry, k: &str| {
        let mut doubtful = settlement(Some(entry), k, Effect::Doubtful { instead: None });
        Arc::make_mut(doubtful.outcome.as_mut().expect("an outcome")).status = Status::Unknown;
        doubtful.at = instant("2026-11-22T12:00:09.000Z");
        doubtful
    };
    let told = place.settle(vec![doubtful(entries[0], "E1"), doubtful(entries[1], "E2")]).expect("settled");
    assert!(told.is_empty() && place.count("outcome") == 0, "nothing is told yet");
    let found = place.ask(doubts(EntryId::default()));
    assert_eq!(found.iter().map(|d| d.entry).collect::<Vec<_>>(), entries);
    assert_eq!((found[0].outcome.status, &found[0].operation), (Status::Unknown, &create("E1")));
    assert_eq!(place.ask(doubts(entries[0])).len(), 1);

    // The one is looked up in vain; then the process dies.
    let mut in_vain = settlement(Some(entries[0]), "E1", Effect::Unknown);
    in_vain.at = instant("2026-11-22T12:05:00.000Z");
    place.settle(vec![in_vain]).expect("settled");
    assert_eq!(place.ask(recover()), 1);
    assert_eq!(place.ask(recover()), 0);
    let told = place.seen("SELECT key, status FROM v_outcomes ORDER BY key");
    assert_eq!(json!(told), json!([["E1", "unknown"], ["E2", "unknown"]]));
    assert!(place.ask(doubts(EntryId::default())).is_empty());
    let open = place.ask(UnresolvedPage { sync: place.sync, after: EntryId::default(), limit: 9 });
    let since: Vec<_> = open.iter().map(|u| u.since).collect();
    assert_eq!(
        since,
        [instant("2026-11-22T12:00:09.000Z"); 2],
        "when its answer was given up, not when it was looked up"
    );
    place.ask(super::journal::CountFrom { entry: entries[0], at: instant("2020-01-01T00:00:00.000Z") });
    let open = place.ask(UnresolvedPage { sync: place.sync, after: EntryId::default(), limit: 1 });
    assert_eq!(open[0].since, instant("2020-01-01T00:00:00.000Z"));
}

#[test]
fn what_a_target_keeps_is_remembered_until_the_field_is_written_again() {
    use crate::domain::account::KeptValue;
    let place = Place::new();
    let kept = |shown: &str| KeptValue { sent: json!("Clerk"), shown: json!(shown) };
    let settle = |kept: crate::domain::account::Kept, fields: &[&str]| {
        let mut settlement = settlement(None, "E1", confirmed(PersonState::Active, "7"));
        settlement.kept = kept;
        Arc::make_mut(settlement.outcome.as_mut().expect("an outcome")).fields =
            fields.iter().map(|f| f.to_string()).collect();
        place.settle(vec![settlement]).expect("settled");
        let bodies = place.ask(super::bodies::Bodies { sync: place.sync, keys: vec![key("E1")] });
        bodies[&key("E1")].kept.clone()
    };
    let title = || [("title".to_string(), kept("CLERK"))].into();
    let city = || [("city".to_string(), kept(""))].into();
    assert_eq!(settle(title(), &["title", "city"]), title());
    let both = [("title".to_string(), kept("CLERK")), ("city".to_string(), kept(""))].into();
    assert_eq!(settle(city(), &["city"]), both);
    assert_eq!(settle(Default::default(), &["phone"]), both, "another field's business");
    assert_eq!(settle(Default::default(), &["title"]), city(), "as it was written");
    assert_eq!(settle(Default::default(), &["city"]), Default::default());
}

#[test]
fn each_effect_does_what_it_says() {
    let person = "SELECT state, remote_id, standing, fingerprint IS NULL FROM person WHERE key = 'E1'";
    let cases = [
        (Effect::None, json!([[1, "1001", 1, 0]]), 0, 1),
        (Effect::Unknown, json!([[1, "1001", 1, 0]]), 1, 1),
        (confirmed(PersonState::Banned, "1001"), json!([[2, "1001", 1, 0]]), 0, 1),
        (Effect::Gone, json!([[4, null, 0, 1]]), 0, 1),
        (Effect::Unlinked, json!([]), 0, 0),
    ];
    for (effect, row, journal, bodies) in cases {
        let place = Place::new();
        place.settle(vec![settlement(None, "E1", confirmed(PersonState::Active, "1001"))]).expect("there");
        let entries = place.intend(&[Operation::new(OpKind::Update, key("E1"), Some("1001".into())).into()]);
        place.settle(vec![settlement(Some(entries[0]), "E1", effect.clone())]).expect("settled");
        assert_eq!(json!(place.seen(person)), row, "{effect:?}");
        assert_eq!((place.count("journal"), place.count("body")), (journal, bodies), "{effect:?}");
    }
}

#[test]
fn what_a_dead_process_left_becomes_unknown_once() {
    let place = Place::new();
    let step = Planned::Step(create("E2").into_operation());
    place.intend(&[create("E1"), step]);
    assert_eq!(place.ask(recover()), 1);
    assert_eq!(place.ask(recover()), 0);
    let told = place.seen("SELECT run, key, op, status, attempts FROM v_outcomes");
    assert_eq!(json!(told), json!([["R1", "E1", "create", "unknown", 0]]), "a step has no outcome of its own");
    let run = place.seen("SELECT finished_at, status, reason FROM run");
    assert_eq!(json!(run), json!([[NOON, "failed", INTERRUPTED]]));
    let open = place.ask(UnresolvedPage { sync: place.sync, after: EntryId::default(), limit: 9 });
    assert_eq!(open.iter().map(|u| u.operation.key.as_str()).collect::<Vec<_>>(), ["E1", "E2"]);
    assert_eq!(open[0].operation, create("E1"), "as it was meant");
    let next = place.ask(UnresolvedPage { sync: place.sync, after: open[0].entry, limit: 1 });
    assert_eq!(next.len(), 1);
}

/// What holds a `@` is an address unless the target's definition says that it is none.
#[test]
fn an_outcome_of_a_dead_run_shows_an_id_as_other_outcomes_do() {
    for (id, is_address, shown) in [
        ("7", None, Some("7")),
        ("ann@acme.com", None, None),
        ("ann@acme.com", Some(("juno", false)), Some("ann@acme.com")),
        ("7", Some(("juno", true)), None),
        ("ann@acme.com", Some(("club", false)), None),
    ] {
        let place = Place::new();
        place.intend(&[Operation::new(OpKind::Ban, key("E1"), Some(id.into())).into()]);
        let id_is_address = is_address.map(|(kind, is)| (kind.to_string(), is)).into_iter().collect();
        place.ask(Recover { id_is_address, ..recover() });
        let told = place.seen("SELECT remote_id FROM v_outcomes");
        let told = told[0][0].as_str().expect("an id");
        match shown {
            Some(shown) => assert_eq!(told, shown, "{id} {is_address:?}"),
            None => assert!(told.starts_with('#') && told.len() == 13, "{told}: {id} {is_address:?}"),
        }
    }
}

#[test]
fn resolving_ends_the_entry_and_moves_the_person_together() {
    let place = Place::new();
    let entries = place.intend(&[create("E1"), create("E2")]);
    place.ask(recover());
    let resolve = |entry, k: &str, effect| Resolve {
        sync: place.sync,
        entry,
        key: key(k),
        effect,
        at: instant(NOON),
        replaced: Default::default(),
    };
    place.ask(resolve(entries[0], "E1", confirmed(PersonState::Active, "1001")));
    place.ask(resolve(entries[1], "E2", Effect::None));
    assert_eq!((place.count("journal"), place.count("v_users")), (0, 1));
    // An account of somebody else ends it too, and links nobody.
    let entries = place.intend(&[create("E3"), create("E4")]);
    let theirs = resolve(entries[0], "E3", confirmed(PersonState::Active, "1001"));
    assert_eq!(place.ask(theirs), Some(key("E1")));
    assert_eq!((place.count("journal"), place.count("v_users")), (1, 1));
    // And not half of it.
    place.refuse("E4");
    let broken = resolve(entries[1], "E4", confirmed(PersonState::Active, "1004"));
    assert!(place.state.ask_blocking(broken).is_err());
    assert_eq!((place.count("journal"), place.count("v_users")), (1, 1));
}

#[test]
fn directories_and_files_are_made_for_the_owner_alone() {
    let place = Place::new();
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    let directory = place.path.parent().expect("a directory");
    assert_eq!((mode(directory), mode(directory.parent().expect("one above"))), (0o700, 0o700));
    for entry in std::fs::read_dir(directory).expect("the directory") {
        let path = entry.expect("an entry").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn reading_where_there_is_nothing_creates_nothing() {
    let dir = TempDir::with_prefix("rosterd-state-").expect("a directory");
    let path = dir.path().join("none/rosterd.db");
    let state = open(&path, Access::Read).expect("an empty one in memory").state;
    assert!(state.ask_blocking(HeldPlans).expect("a list").is_empty());
    assert!(!dir.path().join("none").exists());
}

#[test]
fn a_database_that_was_emptied_is_not_taken_for_a_new_one() {
    let dir = TempDir::with_prefix("rosterd-state-").expect("a directory");
    let path = dir.path().join("rosterd.db");
    let foreign: &[u8] = b"SQLite format 2\0 and so on";
    for bytes in [&b""[..], b"SQLite", foreign] {
        std::fs::write(&path, bytes).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("private");
        for access in [Access::Read, Access::Write] {
            let error = open(&path, access).expect_err("refused");
            assert_eq!(error.exit(), crate::domain::exit::Exit::Internal);
            assert!(error.help.is_some());
        }
        assert_eq!(std::fs::read(&path).expect("still there"), bytes);
    }
}
