//! Joiners, movers, leavers and rehires.

use rosterd::sandbox::{Op, Request};
use serde_json::{Value, json};

use crate::support::{Person, Stage, people};

/// What was asked for since a mark, as operation, key and fields, in the order of keys: several are sent at once.
fn asked(stage: &Stage, mark: u64) -> Vec<(Op, String, Vec<String>)> {
    let told = |r: Request| (r.op, r.key.map(String::from).unwrap_or_default(), r.fields.to_vec());
    let mut asked: Vec<_> = stage.sim.writes_since(mark).into_iter().map(told).collect();
    asked.sort_by(|a, b| a.1.cmp(&b.1));
    asked
}

fn change(op: Op, key: &str, fields: &[&str]) -> (Op, String, Vec<String>) {
    (op, key.into(), fields.iter().map(|f| (*f).to_string()).collect())
}

#[test]
fn a_first_load_creates_everybody_in_scope_and_nobody_else() {
    let stage = Stage::new();
    let mut everybody = people(1, 12);
    everybody[11].status = "terminated".into();
    let run = stage.sync(&everybody, 0).the_run();
    assert_eq!(run["status"], "ok");
    assert_eq!(run["planned"], json!({"create": 11}));
    assert_eq!(run["counts"]["create"]["ok"], 11);
    assert_eq!((&run["source_records"], &run["excluded"], &run["unchanged"]), (&json!(12), &json!(1), &json!(0)));

    stage.has_exactly(&everybody[..11]);
    assert_eq!(stage.sim.committed_since(0, Op::Create), 11);
    assert_eq!(stage.sim.writes_since(0).len(), 11, "one write each");
    assert!(stage.sim.users().iter().all(|u| u["account_level"] == 0));
    let create = &asked(&stage, 0)[0];
    let all = ["account_level", "city", "client_id", "email", "first_name", "last_name", "phone", "title"];
    assert_eq!(create.2, all, "a create sends what is mapped");
}

#[test]
fn an_unchanged_rerun_asks_nothing_of_the_target() {
    let everybody = people(1, 12);
    let stage = Stage::loaded(&everybody);
    let mark = stage.sim.mark();
    let run = stage.home.run_json(&["sync"]).exits(0).the_run();
    assert_eq!((&run["status"], &run["unchanged"], &run["planned"]), (&json!("ok"), &json!(12), &json!({})));
    assert_eq!(stage.sim.since(mark), [], "not even a look-up");

    // The same people in another order, and a column that nothing uses, are no change.
    let mut other = everybody.clone();
    other.reverse();
    stage.home.roster(&other);
    let text = std::fs::read_to_string(stage.home.path().join("config/hr.csv")).expect("the source");
    let widened: String = text.lines().map(|line| format!("{line},x{}\n", line.len())).collect();
    stage.home.write("config/hr.csv", &widened);
    stage.nothing_left_to_do();
    assert_eq!(stage.sim.since(mark), []);
}

#[test]
fn a_joiner_is_created_alone() {
    let stage = Stage::loaded(&people(1, 5));
    let mark = stage.sim.mark();
    let run = stage.sync(&people(1, 6), 0).the_run();
    assert_eq!(run["planned"], json!({"create": 1}));
    assert_eq!(asked(&stage, mark).len(), 1);
    stage.has_exactly(&people(1, 6));
    stage.nothing_left_to_do();
}

#[test]
fn a_mover_is_sent_only_what_changed() {
    let mut everybody = people(1, 5);
    let stage = Stage::loaded(&everybody);
    let mark = stage.sim.mark();
    everybody[1].title = "Chef".into();
    everybody[1].city = "Bern".into();
    everybody[3].email = "New.Address@acme.example".into();
    stage.sync(&everybody, 0);
    let expected = [change(Op::Update, "E0002", &["city", "title"]), change(Op::Update, "E0004", &["email"])];
    assert_eq!(asked(&stage, mark), expected);
    assert_eq!(stage.sim.user("E0004").expect("an account")["email"], "new.address@acme.example", "as the CEL says");
    everybody[3].email = "new.address@acme.example".into();
    stage.has_exactly(&everybody);
    stage.nothing_left_to_do();
}

#[test]
fn a_difference_of_letter_case_is_a_difference() {
    let mut everybody = people(1, 3);
    let stage = Stage::loaded(&everybody);
    let mark = stage.sim.mark();
    everybody[0].title = "CLERK".into();
    stage.sync(&everybody, 0);
    assert_eq!(asked(&stage, mark), [change(Op::Update, "E0001", &["title"])]);
    stage.has_exactly(&everybody);
}

#[test]
fn an_emptied_field_is_emptied_there_and_an_omitted_one_is_left() {
    let stage = Stage::new();
    stage.home.configure("[syncs.staff.map.website]\ncolumn = \"title\"\nempty = \"omit\"");
    let mut everybody = people(1, 3);
    stage.sync(&everybody, 0);
    let mark = stage.sim.mark();
    everybody[0].phone.clear();
    everybody[1].title.clear();
    stage.sync(&everybody, 0);
    let expected = [change(Op::Update, "E0001", &["phone"]), change(Op::Update, "E0002", &["title"])];
    assert_eq!(asked(&stage, mark), expected);
    stage.has_exactly(&everybody);
    assert_eq!(stage.sim.user("E0001").expect("an account")["phone"], Value::Null);
    assert_eq!(stage.sim.user("E0002").expect("an account")["website"], "Clerk");
    stage.nothing_left_to_do();
}

#[test]
fn what_only_a_create_writes_is_never_written_again() {
    let stage = Stage::new();
    // An administrator was there before rosterd was, and one is made one later.
    stage.sim.seed(json!([{"email": "p1@acme.example", "client_id": "E0001", "account_level": 99}]));
    let mut everybody = people(1, 3);
    stage.sync(&everybody, 0);
    let mark = stage.sim.mark();
    stage.home.configure("[syncs.staff.limits]\nupdate = \"unlimited\"");
    let config = std::fs::read_to_string(stage.home.config()).expect("the configuration");
    stage.home.write("config/rosterd.toml", &config.replace("{ value = 0, when", "{ value = 99, when"));
    for person in &mut everybody {
        person.title = "Chef".into();
    }
    stage.sync(&everybody, 0);
    assert!(asked(&stage, mark).iter().all(|(op, _, fields)| *op == Op::Update && fields == &["title"]));
    let levels: Vec<Value> = stage.sim.users().iter().map(|u| u["account_level"].clone()).collect();
    assert_eq!(levels, [json!(99), json!(0), json!(0)]);
}

#[test]
fn leavers_are_banned_once_whether_absent_or_out_of_scope() {
    let mut everybody = people(1, 40);
    let stage = Stage::loaded(&everybody);
    let mark = stage.sim.mark();
    everybody[4].status = "terminated".into();
    everybody[4].title = "was Clerk".into(); // changed beside: the account of a leaver is not written to
    let absent = everybody.remove(9);
    let run = stage.sync(&everybody, 0).the_run();
    assert_eq!(run["planned"], json!({"ban": 2}));
    assert_eq!(asked(&stage, mark), [change(Op::Ban, "E0005", &["banned"]), change(Op::Ban, "E0010", &["banned"])]);
    let states = stage.home.query("SELECT key, state FROM v_users WHERE state <> 'active' ORDER BY key");
    assert_eq!(json!(states), json!([["E0005", "banned"], ["E0010", "banned"]]));

    everybody[4].title = "Clerk".into();
    everybody.push(Person { status: "gone".into(), ..absent });
    stage.has_exactly(&everybody);
    stage.nothing_left_to_do();
    stage.nothing_left_to_do();
}

#[test]
fn a_rehire_gets_the_old_account_back_and_up_to_date() {
    let mut everybody = people(1, 10);
    let stage = Stage::loaded(&everybody);
    let id = stage.sim.user("E0003").expect("an account")["id"].clone();
    everybody[2].status = "terminated".into();
    everybody[6].status = "terminated".into();
    stage.sync(&everybody, 0);
    everybody[2].status = "active".into();
    everybody[2].title = "Chef".into();
    everybody[6].status = "active".into();
    let mark = stage.sim.mark();
    let run = stage.sync(&everybody, 0).the_run();
    assert_eq!(run["planned"], json!({"reinstate": 2}));
    let expected = [change(Op::Reinstate, "E0003", &["banned", "title"]), change(Op::Reinstate, "E0007", &["banned"])];
    assert_eq!(asked(&stage, mark), expected);
    assert_eq!(stage.sim.user("E0003").expect("an account")["id"], id);
    stage.has_exactly(&everybody);
    assert_eq!(stage.home.last_run(), [("ok reinstate".to_string(), 2)].into());
    stage.nothing_left_to_do();
}

#[test]
fn an_address_is_given_up_before_another_takes_it() {
    let mut everybody = people(1, 10);
    let stage = Stage::loaded(&everybody);
    // A chain against the order of keys: the first takes the second's address, which moves on to the third's.
    everybody[0].email = everybody[1].email.clone();
    everybody[1].email = everybody[2].email.clone();
    everybody[2].email = "fresh@acme.example".into();
    let mark = stage.sim.mark();
    stage.sync(&everybody, 0);
    let order: Vec<_> = stage.sim.writes_since(mark).into_iter().filter_map(|r| r.key).collect();
    assert_eq!(order, ["E0003", "E0002", "E0001"].map(Box::from));
    stage.has_exactly(&everybody);
    // And a newcomer takes one that a mover gives up.
    let mut joined = everybody.clone();
    joined[0].email = "other@acme.example".into();
    joined.insert(0, Person { email: everybody[0].email.clone(), ..Person::new(0) });
    stage.sync(&joined, 0);
    stage.has_exactly(&joined);
    stage.nothing_left_to_do();
}

#[test]
fn what_the_views_say_is_what_the_target_acknowledged() {
    let mut everybody = people(1, 3);
    let stage = Stage::loaded(&everybody);
    everybody[2].title.clear();
    stage.sync(&everybody, 0);
    let rows = stage.home.query("SELECT sync, key, remote_id, state, attributes FROM v_users ORDER BY key");
    assert_eq!(rows.len(), 3);
    for (row, person) in rows.iter().zip(&everybody) {
        let account = stage.sim.user(&person.id).expect("an account");
        assert_eq!(row[..4], [json!("staff"), json!(person.id), json!(account["id"].to_string()), json!("active")]);
        let attributes: Value = serde_json::from_str(row[4].as_str().expect("text")).expect("an object");
        assert_eq!(attributes["email"], account["email"]);
        assert_eq!(attributes.get("title").unwrap_or(&Value::Null), &account["title"]);
        assert_eq!(attributes["account_level"], 0);
    }
    let runs = stage.home.query("SELECT sync, status, created, updated, unchanged FROM v_runs ORDER BY started_at");
    assert_eq!(json!(runs), json!([["staff", "ok", 3, 0, 0], ["staff", "ok", 0, 1, 2]]));
}
