//! A target that already has users, and a database that was lost: accounts are taken over, never doubled.

use rosterd::sandbox::Op;
use serde_json::{Value, json};

use crate::support::{Person, Stage, people, reduced};

#[test]
fn a_lost_database_makes_no_duplicates_and_no_needless_write() {
    let mut everybody = people(1, 25);
    let stage = Stage::loaded(&everybody);
    let before = stage.sim.users();
    std::fs::remove_file(stage.home.database()).expect("it was there");
    everybody[7].title = "Chef".into();
    let mark = stage.sim.mark();
    let run = stage.sync(&everybody, 0).the_run();
    assert_eq!(run["planned"], json!({"adopt": 25}));
    let writes = stage.sim.writes_since(mark);
    assert_eq!(writes.len(), 1, "only what differs is written");
    assert_eq!(
        (writes[0].op, writes[0].key.as_deref(), &*writes[0].fields),
        (Op::Update, Some("E0008"), &["title".to_string()][..])
    );
    assert_eq!(stage.sim.users().len(), before.len());
    stage.has_exactly(&everybody);

    let adopted = stage.home.outcomes(&["--key", "E0008"]);
    assert_eq!(
        (&adopted[0]["op"], &adopted[0]["status"], &adopted[0]["fields"]),
        (&json!("adopt"), &json!("ok"), &json!(["title"]))
    );
    let linked = stage.home.outcomes(&["--key", "E0009"]);
    assert_eq!((&linked[0]["fields"], &linked[0]["attempts"]), (&json!([]), &json!(0)));
    stage.nothing_left_to_do();
}

#[test]
fn a_few_newcomers_are_looked_up_and_many_are_listed() {
    for (newcomers, lists) in [(40, true), (1, false)] {
        let stage = Stage::loaded(&people(1, 150));
        let mark = stage.sim.mark();
        stage.sync(&people(1, 150 + newcomers), 0);
        let reads = stage.sim.since(mark).into_iter().filter(|r| !r.write);
        let listing = reads.filter(|r| r.op == Op::List).count();
        assert_eq!(listing > 0, lists, "{newcomers} newcomers, {listing} pages listed");
        assert_eq!(stage.sim.users().len(), 150 + newcomers);
    }
}

#[test]
fn an_account_is_recognised_by_its_key_or_by_an_address_in_any_case() {
    let stage = Stage::new();
    stage.sim.seed(json!([
        {"email": "elsewhere@acme.example", "client_id": "E0001", "first_name": "Ann1", "last_name": "Ash"},
        {"email": "P2@Acme.Example", "first_name": "Ann2", "last_name": "Ash", "phone": "555-0002"},
        {"email": "stranger@other.example", "client_id": "X9"},
    ]));
    let ids = |stage: &Stage| -> Vec<Value> { stage.sim.users().iter().map(|u| u["id"].clone()).collect() };
    let before = ids(&stage);
    let run = stage.sync(&people(1, 3), 0).the_run();
    assert_eq!(run["planned"], json!({"adopt": 2, "create": 1}));
    assert_eq!(ids(&stage)[..3], before[..]);
    assert_eq!(stage.sim.committed_since(0, Op::Create), 1);
    for person in people(1, 3) {
        assert_eq!(reduced(&stage.sim.user(&person.id).expect("an account")), person.account());
    }
    let written = stage
        .sim
        .writes_since(0)
        .into_iter()
        .find(|r| r.op == Op::Update && r.remote_id.as_deref() == Some(before[1].to_string().as_str()));
    let fields = written.expect("the second is written to").fields;
    assert_eq!(*fields, ["city", "client_id", "email", "title"].map(String::from), "case alone is a difference too");
    stage.nothing_left_to_do();
}

#[test]
fn an_adopted_account_is_brought_up_to_date_in_what_the_source_leaves_empty_too() {
    let stage = Stage::new();
    stage.sim.seed(json!([{"email": "p1@acme.example", "client_id": "E0001", "first_name": "Ann1", "last_name": "Ash",
                           "phone": "555-0001", "title": "Left over", "city": "Zürich"}]));
    let everybody = vec![Person { title: String::new(), ..Person::new(1) }];
    stage.sync(&everybody, 0);
    assert_eq!(*stage.sim.writes_since(0)[0].fields, ["title".to_string()]);
    stage.has_exactly(&everybody);
    stage.nothing_left_to_do();
}

#[test]
fn a_disabled_account_comes_back_by_adoption() {
    let stage = Stage::new();
    stage.sim.seed(json!([{"email": "p1@acme.example", "client_id": "E0001", "banned": true}]));
    let run = stage.sync(&people(1, 2), 0).the_run();
    assert_eq!(run["planned"], json!({"adopt": 1, "create": 1}));
    assert_eq!(stage.sim.committed_since(0, Op::Reinstate), 1);
    stage.has_exactly(&people(1, 2));
    stage.nothing_left_to_do();
}

#[test]
fn who_is_out_of_scope_is_not_even_looked_up() {
    let stage = Stage::new();
    stage.sim.seed(json!([{"email": "p2@acme.example", "client_id": "E0002"}]));
    let mut everybody = people(1, 2);
    everybody[1].status = "terminated".into();
    stage.sync(&everybody, 0);
    assert_eq!(stage.sim.user("E0002").expect("an account")["banned"], json!(false), "it is not ours");
    assert_eq!(stage.home.query("SELECT key FROM v_users").len(), 1);
}

/// An account that can't be taken: the person's operation fails, everybody else's goes through.
#[track_caller]
fn conflicts(stage: &Stage, key: &str, naming: &[&str]) {
    let run = stage.home.run_json(&["sync"]).exits(75).the_run();
    assert_eq!((&run["status"], &run["counts"]["create"]["failed"]), (&json!("partial"), &json!(1)), "{run}");
    let told = stage.home.outcomes(&["--key", key, "--status", "failed"]);
    let last = told.last().expect("an outcome");
    assert_eq!((&last["error"]["kind"], &last["attempts"]), (&json!("conflict"), &json!(0)));
    let message = last["error"]["message"].as_str().expect("a message");
    for name in naming {
        assert!(message.contains(name), "{message} names {name}");
    }
    assert!(!message.contains('@'), "no value: {message}");
}

#[test]
fn an_account_of_another_key_is_never_taken() {
    let stage = Stage::new();
    let seeded = stage.sim.seed(json!([{"email": "p1@acme.example", "client_id": "OLD-7"}]));
    let before = seeded[0].clone();
    stage.home.roster(&people(1, 3));
    for _ in 0..2 {
        // A stranger's key may be an address: what is named is the account.
        conflicts(&stage, "E0001", &["E0001", "carries another key", &before["id"].to_string()]);
        assert_eq!(stage.sim.user("OLD-7"), Some(before.clone()), "untouched");
    }
    assert_eq!(stage.sim.users().len(), 3);
    assert!(stage.sim.user("E0001").is_none());
}

#[test]
fn an_account_that_another_person_owns_is_never_taken() {
    // The key is not mapped, so that only the snapshot knows whose account it is.
    let stage = Stage::new();
    let config = std::fs::read_to_string(stage.home.config()).expect("the configuration");
    stage.home.write("config/rosterd.toml", &config.replace("client_id = \"employee_id\"\n", ""));
    stage.sync(&people(1, 3), 0);
    let newcomer = Person { email: "P2@ACME.example".into(), ..Person::new(9) };
    stage.home.roster(&[people(1, 3), vec![newcomer]].concat());
    conflicts(&stage, "E0009", &["E0009", "E0002"]);
    assert_eq!(stage.sim.users().len(), 3);
}

#[test]
fn two_candidates_are_reported_and_none_is_taken() {
    let stage = Stage::new();
    let config = std::fs::read_to_string(stage.home.config()).expect("the configuration");
    stage.home.write(
        "config/rosterd.toml",
        &config
            .replace("match = [\"email\"]", "match = [\"email\", \"username\"]")
            .replace("phone = \"phone\"", "phone = \"phone\"\nusername = \"first_name\""),
    );
    let seeded = stage.sim.seed(json!([
        {"email": "p1@acme.example", "username": "someone"},
        {"email": "other@acme.example", "username": "ANN1"},
    ]));
    stage.home.roster(&people(1, 2));
    conflicts(&stage, "E0001", &["E0001", &seeded[0]["id"].to_string(), &seeded[1]["id"].to_string()]);
    assert_eq!(stage.sim.users()[..2], seeded[..]);
}
