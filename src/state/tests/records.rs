//! What is in the state comes out as it went in, and in the contract's words.

use super::*;
use crate::domain::limits::LimitName;
use crate::domain::outcome::{ErrorKind, OpError, RunStatus};
use crate::domain::target_identity::TargetIdentity;
use crate::state::binding::BoundTo;
use crate::state::bodies::Bodies;
use crate::state::ledger::{BansSince, BeginRun, Filter, FinishRun, Outcomes, Record};
use crate::state::people::{CountUsers, FindSync, Note, OwnerOf, PeoplePage, Standing, TakeNotes};
use crate::state::plans::{
    DecidePlan, FindPlan, HeldPlan, Hold, HoldComplete, HoldOperations, PlanOperations, PlanStatus, Supersede,
};
use crate::state::sources::{Accept, BaselineOf, Trusted};

#[test]
fn the_views_have_the_contracts_columns() {
    let place = Place::new();
    let columns = |view: &str| -> Vec<String> {
        let rows = place.seen(&format!("SELECT name FROM pragma_table_info('{view}') ORDER BY cid"));
        rows.into_iter().map(|row| row[0].as_str().expect("a name").to_string()).collect()
    };
    assert_eq!(columns("v_users").join(","), "sync,key,remote_id,state,attributes,confirmed_at");
    assert_eq!(
        columns("v_outcomes").join(","),
        "ts,run,sync,source,target,key,op,status,remote_id,fields,attempts,http_status,duration_ms,reason,error"
    );
    assert_eq!(
        columns("v_runs").join(","),
        "run,sync,started_at,finished_at,status,created,updated,banned,reinstated,adopted,deleted,failed,unknown,\
         rejected,skipped,unchanged"
    );
    assert_eq!(place.seen("PRAGMA user_version")[0][0], json!(SCHEMA_VERSION));
}

#[test]
fn the_views_speak_the_contracts_words() {
    let place = Place::new();
    let states = [PersonState::Active, PersonState::Banned, PersonState::Invited, PersonState::Left];
    for (n, state) in states.into_iter().enumerate() {
        place.settle(vec![settlement(None, &format!("E{n}"), confirmed(state, &n.to_string()))]).expect("there");
    }
    place.settle(vec![settlement(None, "E3", confirmed(PersonState::Left, "3"))]).expect("there");
    place.settle(vec![settlement(None, "E4", confirmed(PersonState::Active, "4"))]).expect("there");
    place.settle(vec![settlement(None, "E4", Effect::Gone)]).expect("there");
    let looked = Note::Looked([1; 16], Standing::Excluded);
    place.ask(TakeNotes { sync: place.sync, notes: vec![(key("E5"), looked)] });
    let told = place.seen("SELECT key, state FROM v_users ORDER BY key");
    let expected = json!([["E0", "active"], ["E1", "banned"], ["E2", "invited"], ["E3", "left"], ["E4", "deleted"]]);
    assert_eq!(json!(told), expected, "and who has no account is not in it");
}

#[test]
fn a_fingerprint_is_brought_up_to_date_only_where_it_still_is_the_one_that_was_looked_at() {
    let place = Place::new();
    let note = |note| place.ask(TakeNotes { sync: place.sync, notes: vec![(key("E5"), note)] });
    let known = || {
        let page = PeoplePage { sync: place.sync, after: None, limit: 9 };
        place.ask(page).first().map(|person| (person.fingerprint, person.standing))
    };
    let reviewed = |was, is| Note::Reviewed { was: [was; 16], is: [is; 16], standing: Standing::Excluded };
    note(reviewed(1, 2));
    assert_eq!(known(), None, "nobody becomes known by it");
    note(Note::Looked([1; 16], Standing::InStep));
    note(reviewed(9, 2));
    assert_eq!(known(), Some((Some([1; 16]), Standing::InStep)));
    note(reviewed(1, 2));
    assert_eq!(known(), Some((Some([2; 16]), Standing::Excluded)));
}

#[test]
fn the_ledger_comes_back_as_it_was_written() {
    let place = Place::new();
    let refused = Outcome {
        error: Some(OpError::new(ErrorKind::Refused, "HTTP 422, naming phone")),
        http_status: Some(422),
        ..outcome("E1", OpKind::Update, Status::Failed)
    };
    let rejected = Outcome {
        key: None,
        op: None,
        http_status: None,
        fields: Vec::new(),
        reason: Some("line 7 (record 6): it has 2 fields".into()),
        ..outcome("E1", OpKind::Update, Status::Rejected)
    };
    place.ask(Record(vec![refused.clone(), rejected.clone()]));
    let back = place.ask(Outcomes { filter: Filter::default(), after: 0, limit: 9 });
    assert_eq!(back.into_iter().map(|(_, o)| o).collect::<Vec<_>>(), [refused.clone(), rejected]);
    let only = Filter { key: Some("E1".into()), status: Some(Status::Failed), ..Filter::default() };
    assert_eq!(place.ask(Outcomes { filter: only, after: 0, limit: 9 }).len(), 1);
    let shown = place.seen("SELECT error, fields FROM v_outcomes WHERE status = 'failed'");
    assert_eq!(json!(shown), json!([["{\"kind\":\"refused\",\"message\":\"HTTP 422, naming phone\"}", "[\"title\"]"]]));
}

#[test]
fn runs_are_counted_from_their_outcomes() {
    let place = Place::new();
    place.ask(Record(vec![
        outcome("E1", OpKind::Create, Status::Ok),
        outcome("E2", OpKind::Ban, Status::Ok),
        outcome("E3", OpKind::Ban, Status::Failed),
        outcome("E4", OpKind::Adopt, Status::Ok),
        outcome("E5", OpKind::Update, Status::Unknown),
        outcome("E6", OpKind::Ban, Status::Skipped),
    ]));
    place.ask(FinishRun {
        id: "R1".into(),
        at: instant(NOON),
        status: RunStatus::Partial,
        plan: None,
        planned: BTreeMap::new(),
        source_records: 9,
        excluded: 1,
        unchanged: 3,
        reason: None,
        figures: Default::default(),
        error: None,
    });
    let rows = place.seen("SELECT * FROM v_runs");
    assert_eq!(json!(rows), json!([["R1", "staff", NOON, NOON, "partial", 1, 0, 1, 0, 1, 0, 1, 1, 0, 1, 3]]));
}

/// A run of this id that begins and ends at this time, and one ban in it.
fn run_with_a_ban(place: &Place, id: &str, at: &str) {
    place.ask(BeginRun {
        id: id.into(),
        sync: "staff".into(),
        at: instant(at),
        partial: false,
        cause: Default::default(),
    });
    place.ask(Record(vec![Outcome { ts: instant(at), run: id.into(), ..outcome(id, OpKind::Ban, Status::Ok) }]));
    place.ask(FinishRun {
        id: id.into(),
        at: instant(at),
        status: RunStatus::Ok,
        plan: None,
        planned: Default::default(),
        source_records: 0,
        excluded: 0,
        unchanged: 0,
        reason: None,
        figures: Default::default(),
        error: None,
    });
}

#[test]
fn the_bans_of_a_day_are_told_by_the_order_of_runs_where_the_clock_was_wrong() {
    let place = Place::new();
    let bans = |now: &str, since: &str| {
        place.ask(BansSince { sync: "staff".into(), since: instant(since), now: instant(now) })
    };
    run_with_a_ban(&place, "A1", "2026-11-22T10:00:00.000Z");
    run_with_a_ban(&place, "A2", "2006-11-22T10:15:00.000Z"); // twenty years back
    run_with_a_ban(&place, "A3", "2031-11-22T10:30:00.000Z"); // five years ahead
    assert_eq!(bans("2026-11-22T11:00:00.000Z", "2026-11-21T11:00:00.000Z"), 3);
    run_with_a_ban(&place, "A4", "2026-11-22T11:00:00.000Z");
    assert_eq!(bans("2026-11-22T12:00:00.000Z", "2026-11-21T12:00:00.000Z"), 4);
    // Two days later none of them is of the last day, whatever they were stamped with.
    run_with_a_ban(&place, "A5", "2026-11-24T11:00:00.000Z");
    assert_eq!(bans("2026-11-24T12:00:00.000Z", "2026-11-23T12:00:00.000Z"), 1);
}

#[test]
fn the_bans_of_a_day_are_those_that_were_or_may_have_been() {
    let place = Place::new();
    let at = |ts: &str, k: &str, op, status| Outcome { ts: instant(ts), ..outcome(k, op, status) };
    let later = "2026-11-22T13:00:00.000Z";
    place.ask(Record(vec![
        at("2026-11-21T11:59:00.000Z", "E0", OpKind::Ban, Status::Ok), // more than a day ago
        at(NOON, "E1", OpKind::Ban, Status::Ok),
        at(NOON, "E2", OpKind::Delete, Status::Ok),
        at(NOON, "E3", OpKind::Ban, Status::Failed),
        at(NOON, "E4", OpKind::Ban, Status::Held),
        at(NOON, "E5", OpKind::Update, Status::Ok),
        at(NOON, "E6", OpKind::Ban, Status::Unknown),
        at(NOON, "E7", OpKind::Ban, Status::Unknown), // found out, or done again: one ban
        at(later, "E7", OpKind::Ban, Status::Ok),
        at(later, "E1", OpKind::Ban, Status::Ok), // back in between, and banned a second time: two
    ]));
    let since = "2026-11-21T12:00:00.000Z";
    assert_eq!(
        place.ask(BansSince { sync: "staff".into(), since: instant(since), now: instant("2026-11-22T14:00:00.000Z") }),
        5
    );
    assert_eq!(
        place.ask(BansSince { sync: "other".into(), since: instant(since), now: instant("2026-11-22T14:00:00.000Z") }),
        0
    );
}

/// The reads of one source, and what the next one is compared with.
struct Reads(Place);

impl Reads {
    fn at(&self, at: &str, people: u64, spends_accept: bool) {
        self.0.ask(Trusted { source: "hr".into(), at: time(at), people, spends_accept });
    }

    fn accept(&self, at: &str, people: u64) {
        self.0.ask(Accept { source: "hr".into(), at: time(at), people });
    }

    fn known(&self, now: &str) -> (Option<u64>, Option<u64>) {
        let known = self.0.ask(BaselineOf { source: "hr".into(), now: time(now) });
        (known.largest, known.accepted)
    }
}

fn time(day: &str) -> chrono::DateTime<chrono::Utc> {
    let text = if day.len() == "2026-11-22".len() { format!("{day}T12:00:00Z") } else { day.to_string() };
    text.parse().expect("a time")
}

#[test]
fn a_read_is_compared_with_the_largest_of_the_days_before_the_last_trusted_one() {
    let reads = Reads(Place::new());
    assert_eq!(reads.known("2026-11-22"), (None, None));
    for (at, people) in [("2026-11-12", 900), ("2026-11-14", 100), ("2026-11-20", 90), ("2026-11-21", 95)] {
        reads.at(at, people, false);
    }
    assert_eq!(reads.known("2026-11-21").0, Some(100), "the 12th is more than seven days before the 21st");
    assert_eq!(reads.known("2027-11-21").0, Some(100), "distrust does not wear off");
    reads.at("2026-11-23", 94, false);
    assert_eq!(reads.known("2026-11-23").0, Some(95));
}

#[test]
fn an_acceptance_is_of_a_number_and_void_after_a_day() {
    let reads = Reads(Place::new());
    reads.at("2026-11-21", 400, false);
    reads.accept("2026-11-22", 229);
    assert_eq!(reads.known("2026-11-22"), (Some(400), Some(229)));
    assert_eq!(reads.known("2026-11-23T11:59:59Z").1, Some(229));
    assert_eq!(reads.known("2026-11-23").1, None, "void");
    assert_eq!(reads.known("2026-11-20").1, None, "one of the future is none");
    reads.at("2026-11-22", 220, true);
    assert_eq!(reads.known("2026-11-22"), (Some(220), None), "spent, and the new baseline");
    reads.accept("2026-11-22", 5);
    reads.at("2026-11-24", 230, false);
    assert_eq!(reads.0.ask(BaselineOf { source: "hr".into(), now: time("2026-11-22") }).accepted, None, "swept away");
}

#[test]
fn a_read_of_the_future_neither_freezes_nor_poisons_the_baseline() {
    let ahead = Reads(Place::new());
    ahead.at("2026-11-20", 40, false);
    ahead.at("2036-01-01", 1_000, false);
    assert_eq!(ahead.known("2036-01-02").0, Some(1_000));
    assert_eq!(ahead.known("2026-11-21").0, Some(40), "the clock was wrong, and is right again");
    ahead.at("2026-11-21", 45, false);
    assert_eq!(ahead.known("2026-11-22").0, Some(45));
    assert_eq!(ahead.known("2036-01-02").0, Some(45), "and it is gone");
    let alone = Reads(Place::new());
    alone.at("2036-01-01", 40, false);
    assert_eq!(alone.known("2026-11-21").0, Some(40), "better than nothing");
    alone.at("2026-11-21", 35, false);
    assert_eq!(alone.known("2026-11-21").0, Some(40));
    alone.at("2026-11-28", 34, false);
    assert_eq!(alone.known("2026-11-29").0, Some(35), "it has aged as one of the day on which it was found");
    let behind = Reads(Place::new());
    behind.at("2026-11-20", 100, false);
    behind.at("2006-01-01", 85, false);
    assert_eq!(behind.known("2006-01-01").0, Some(100), "nobody has left because the clock went back");
    behind.at("2026-11-21", 86, false);
    assert_eq!(behind.known("2026-11-21").0, Some(86));
}

fn held_plan(id: &str) -> HeldPlan {
    HeldPlan {
        id: id.into(),
        sync: "staff".into(),
        resource: Default::default(),
        made_at: instant(NOON),
        limit: LimitName::Ban,
        count: 3,
        allowed: 1,
        counts: BTreeMap::from([(OpKind::Ban, 3)]),
        origin: crate::state::plans::Origin::Sync,
        basis: None,
        partial: false,
        apart: false,
        waiting_since: instant(NOON),
        replaced: None,
        stale: None,
    }
}

/// Holds a plan of these people from beginning to end.
fn hold(place: &Place, id: &str, keys: &[&str]) -> bool {
    let first = place.ask(Hold { plan: held_plan(id), run: "R1".into() });
    if first {
        let operations = keys.iter().map(|k| create(k)).collect();
        place.ask(HoldOperations { plan: id.into(), from: 0, operations });
        place.ask(HoldComplete { plan: id.into(), sync: "staff".into(), whole: true });
    }
    first
}

fn held(place: &Place) -> Vec<String> {
    place.ask(HeldPlans).into_iter().map(|p| p.id.to_string()).collect()
}

#[test]
fn a_plan_is_held_whole_or_not_at_all() {
    let place = Place::new();
    assert!(hold(&place, "a", &["E1", "E2"]));
    assert!(!hold(&place, "a", &["E1", "E2"]), "held already: its outcomes are written");
    // A process dies while it stores the next one: what was held is held, and of the other there is nothing.
    assert!(place.ask(Hold { plan: held_plan("b"), run: "R1".into() }));
    place.ask(HoldOperations { plan: "b".into(), from: 0, operations: vec![create("E1")] });
    assert_eq!(held(&place), ["a"]);
    assert_eq!(place.ask(FindPlan("b".into())).map(|(_, status)| status), None);
    let decide = |id: &str, status| DecidePlan {
        id: id.into(),
        status,
        at: instant(NOON),
        by: "ann".into(),
        reason: Some("right".into()),
    };
    assert!(!place.ask(decide("b", PlanStatus::Sent)), "nor can it be approved");
    assert!(hold(&place, "b", &["E1", "E2", "E3"]), "the next run begins anew");
    assert_eq!(place.ask(PlanOperations { plan: "b".into(), from: 0, limit: 9 }).len(), 3);
    assert_eq!(
        (held(&place), place.ask(FindPlan("a".into())).map(|p| p.1)),
        (vec!["b".into()], Some(PlanStatus::Superseded))
    );

    assert!(place.ask(decide("b", PlanStatus::Sent)), "once");
    assert!(!place.ask(decide("b", PlanStatus::Sent)), "and not twice");
    assert!(!place.ask(decide("b", PlanStatus::Discarded)));
    assert_eq!(held(&place), [] as [String; 0]);
    assert!(hold(&place, "b", &["E1"]), "the same plan again is news once it was decided");
    place.ask(Supersede("staff".into()));
    assert_eq!(held(&place), [] as [String; 0]);
}

#[test]
fn a_sync_with_people_is_not_bound_to_something_else() {
    let place = Place::new();
    let other = Binding { base_url: "https://b.example/".into(), ..binding() };
    assert!(place.state.ask_blocking(FindSync(other.clone())).is_ok(), "without people it may change");
    place.settle(vec![settlement(None, "E1", confirmed(PersonState::Active, "1"))]).expect("there");
    let error = place.state.ask_blocking(FindSync(other)).expect_err("refused");
    assert_eq!(error.exit(), crate::domain::exit::Exit::Config);
    assert!(error.message.contains("https://a.example/") && error.message.contains("https://b.example/"));
    let known = place.ask(FindSync(binding()));
    assert_eq!((known.id, place.ask(CountUsers(place.sync))), (Some(place.sync), 1));
}

#[test]
fn people_come_in_pages_in_key_order_with_their_bodies() {
    let place = Place::new();
    for (n, k) in ["b", "Z", "a", "E10", "E9"].into_iter().enumerate() {
        place.settle(vec![settlement(None, k, confirmed(PersonState::Active, &n.to_string()))]).expect("there");
    }
    let mut keys = Vec::new();
    let mut after = None;
    loop {
        let page = place.ask(PeoplePage { sync: place.sync, after: after.clone(), limit: 2 });
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        keys.extend(page.into_iter().map(|p| p.key.to_string()));
    }
    let mut sorted: Vec<Key> = keys.iter().map(|k| key(k)).collect();
    sorted.sort();
    assert_eq!(keys, ["E10", "E9", "Z", "a", "b"]);
    assert_eq!(keys, sorted.iter().map(Key::to_string).collect::<Vec<_>>(), "as the source's rows are ordered");
    let bodies = place.ask(Bodies { sync: place.sync, keys: vec![key("a"), key("nobody")] });
    assert_eq!((bodies.len(), bodies[&key("a")].attributes.get("title")), (1, Some(&json!("Clerk"))));
    let owner = |sync: &str, base_url: &str| {
        let syncs = [sync.to_string()].into();
        place.ask(OwnerOf { syncs, target: TargetIdentity::parse(base_url), remote_id: "2".into() })
    };
    assert_eq!(owner("staff", "https://a.example/"), Some(("staff".into(), key("a"))));
    assert_eq!(owner("staff", "http://elsewhere"), None);
    assert_eq!(owner("of-old", "https://a.example/"), None);
}

#[test]
fn the_first_absence_counts_until_somebody_is_seen_again() {
    let place = Place::new();
    place.settle(vec![settlement(None, "E1", confirmed(PersonState::Active, "1"))]).expect("there");
    let note = |note: Note| place.ask(TakeNotes { sync: place.sync, notes: vec![(key("E1"), note)] });
    let absent = || place.ask(PeoplePage { sync: place.sync, after: None, limit: 1 })[0].absent_since;
    let first = instant("2026-11-20T00:00:00Z");
    note(Note::Absent(first));
    note(Note::Absent(instant("2026-11-21T00:00:00Z")));
    assert_eq!(absent(), Some(first));
    note(Note::Present);
    assert_eq!(absent(), None);
}

#[test]
fn a_sync_and_a_held_plan_are_of_users_and_what_a_newer_program_keeps_is_not_taken_for_them() {
    let place = Place::new();
    place.ask(Hold { plan: held_plan("p1"), run: "R1".into() });
    place.ask(HoldComplete { plan: "p1".into(), sync: "staff".into(), whole: true });
    let both = "SELECT s.resource, p.resource FROM sync s JOIN plan p ON p.sync = s.name";
    assert_eq!(json!(place.seen(both)), json!([["users", "users"]]));
    let db = Connection::open(&place.path).expect("a second connection");
    db.execute_batch("UPDATE sync SET resource = 'robots'; UPDATE plan SET resource = 'robots'").expect("a newer one");
    let refused = [
        place.state.ask_blocking(FindSync(binding())).expect_err("another resource"),
        place.state.ask_blocking(BoundTo("staff".into())).expect_err("another resource"),
        place.state.ask_blocking(HeldPlans).expect_err("another resource"),
    ];
    for error in refused {
        assert_eq!(error.exit(), Exit::Internal);
        assert!(error.message.contains("\"robots\""), "{error}");
        assert!(error.help.as_deref().is_some_and(|help| help.contains("a newer rosterd")), "{error:?}");
    }
}
