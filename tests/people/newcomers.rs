//! Newcomers: recognised before anybody is created, whichever way takes fewer requests; and never somebody else's
//! account.

use serde_json::{Value, json};

use super::{cell, outcomes, replace, row, rows, run_of, staffed, with};
use crate::support::{Home, Op, Sim};

/// The error of the failed outcome of this person.
#[track_caller]
fn conflict(home: &Home, key: &str) -> String {
    let failed = outcomes(home, &["--status", "failed", "--key", key]).pop().expect("a failed outcome");
    assert_eq!(failed["error"]["kind"], "conflict");
    failed["error"]["message"].as_str().unwrap_or_default().to_string()
}

fn reads(sim: &Sim, mark: u64, op: Op) -> usize {
    sim.since(mark).iter().filter(|r| r.op == op).count()
}

#[test]
fn first_contact_with_five_thousand_users_makes_no_duplicate() {
    let sim = Sim::start();
    let there: Vec<Value> =
        (1..=5000).map(|n| json!({"email": format!("p{n}@acme.example"), "first_name": "Ann"})).collect();
    sim.seed(json!(there));
    let home = Home::juno(&sim.juno());
    home.people(&rows(4901..=5100));
    let mark = sim.mark();
    let run = run_of(&home.run_json(&["sync"]).exits(0));
    assert_eq!((&run["counts"]["adopt"]["ok"], &run["counts"]["create"]["ok"]), (&json!(100), &json!(100)));
    assert_eq!(sim.users().len(), 5100);
    // 5,000 accounts are 50 full pages and the empty one after them; 200 people would be 400 look-ups.
    assert_eq!((reads(&sim, mark, Op::List), reads(&sim, mark, Op::Lookup)), (51, 0));
    let mark = sim.mark();
    home.run(&["sync"]).exits(0);
    assert!(sim.since(mark).is_empty());
}

#[test]
fn one_newcomer_among_many_is_looked_up() {
    let sim = Sim::start();
    let there: Vec<Value> = (100..=800).map(|n| json!({"email": format!("p{n}@acme.example")})).collect();
    sim.seed(json!(there));
    let home = Home::juno(&sim.juno());
    home.people(&rows([750]));
    let mark = sim.mark();
    assert_eq!(run_of(&home.run_json(&["sync"]).exits(0))["counts"]["adopt"]["ok"], json!(1));
    let asked = reads(&sim, mark, Op::List) + reads(&sim, mark, Op::Lookup);
    assert!(asked <= 4, "{asked} requests for one person");
}

#[test]
fn whom_the_look_up_finds_by_key_is_linked_whatever_their_address_there() {
    let (sim, home) = staffed(120, "", "");
    sim.seed(json!([{"client_id": "E0200", "email": "before@acme.example"}]));
    home.people(&[rows(1..=120), vec![row(200)]].concat());
    let mark = sim.mark();
    let run = run_of(&home.run_json(&["sync"]).exits(0));
    assert_eq!((&run["planned"], &run["counts"]["adopt"]["ok"]), (&json!({"adopt": 1}), &json!(1)), "{run:#}");
    assert_eq!(reads(&sim, mark, Op::List), 0, "they are looked up");
    assert!(sim.writes_since(mark).iter().all(|request| request.op == Op::Update), "nothing is tried that is refused");
    assert_eq!(sim.user("E0200").expect("an account")["email"], "p200@acme.example");
}

#[test]
fn a_lost_database_makes_nobody_twice() {
    let (sim, home) = staffed(30, "", "");
    std::fs::remove_dir_all(home.path().join("state")).expect("the state");
    let mark = sim.mark();
    let run = run_of(&home.run_json(&["sync"]).exits(0));
    assert_eq!((&run["planned"], &run["counts"]["adopt"]["ok"]), (&json!({"adopt": 30}), &json!(30)));
    assert!(sim.writes_since(mark).is_empty(), "everybody is as the source says: linking takes no request");
    assert_eq!(sim.users().len(), 30);
}

#[test]
fn adoption_is_by_whatever_letter_case_and_sets_the_case_right() {
    let (sim, home) = staffed(0, "", "");
    sim.seed(json!([{"email": "P1@ACME.example", "first_name": "Ann", "title": "Surgeon", "company": "Acme",
                     "account_level": 99, "banned": true}]));
    home.people(&rows([1]));
    let run = run_of(&home.run_json(&["sync"]).exits(0));
    assert_eq!(run["counts"], json!({"adopt": {"ok": 1, "failed": 0, "unknown": 0, "held": 0, "skipped": 0}}));
    let user = sim.user("E0001").expect("the account that was there");
    assert_eq!(
        (&user["email"], &user["title"], &user["banned"]),
        (&json!("p1@acme.example"), &json!("Nurse"), &json!(false))
    );
    // What is not mapped, or given to new accounts only, is as it was.
    assert_eq!((&user["company"], &user["account_level"]), (&json!("Acme"), &json!(99)));
    let fields = outcomes(&home, &["--key", "E0001"])[0]["fields"].clone();
    assert_eq!(fields, json!(["city", "client_id", "email", "last_name", "phone", "title"]));
    let mark = sim.mark();
    home.run(&["sync"]).exits(0);
    assert!(sim.since(mark).is_empty());
}

#[test]
fn an_account_of_another_key_is_never_taken() {
    for newcomers in [1, 4] {
        let (sim, home) = staffed(0, "", "");
        sim.seed(json!([{"email": "p1@acme.example", "client_id": "X77"}]));
        home.people(&rows(1..=newcomers));
        let run = run_of(&home.run_json(&["sync"]).exits(75));
        assert_eq!(run["counts"]["create"]["failed"], json!(1));
        let message = conflict(&home, "E0001");
        assert!(message.contains("E0001") && message.contains("carries another key"), "{message}");
        assert!(!message.contains("X77"), "a stranger's key is not shown: {message}");
        assert_eq!(sim.user("X77").expect("an account")["first_name"], Value::Null);
    }
}

#[test]
fn two_accounts_for_one_person_are_reported_with_both() {
    let (sim, home) = staffed(0, "", "");
    replace(&home, "match = [\"email\"]", "match = [\"email\", \"phone\"]");
    let made = sim.seed(json!([{"email": "p1@acme.example"}, {"email": "other@acme.example", "phone": "555-1"}]));
    home.people(&rows([1, 2, 3]));
    home.run(&["sync"]).exits(75);
    let message = conflict(&home, "E0001");
    assert!(made.iter().all(|user| message.contains(&user["id"].to_string())), "{message}");
    assert!(!message.contains("and more"), "{message}");
    assert_eq!(sim.user("E0001"), None);
    assert!(sim.user("E0003").is_some(), "one conflict stops nobody else");
}

#[test]
fn an_account_that_two_newcomers_would_adopt_is_left_to_neither() {
    for others in [0, 6] {
        let (sim, home) = staffed(0, "", "");
        sim.seed(json!([{"email": "p1@acme.example", "title": "Surgeon"}]));
        home.people(&[vec![row(1), with(2, "p1@acme.example", "Nurse")], rows(10..10 + others)].concat());
        let mark = sim.mark();
        home.run(&["sync"]).exits(75);
        for key in ["E0001", "E0002"] {
            let message = conflict(&home, key);
            assert!(message.contains("2 people share one email (E0001, E0002)"), "{message}");
            assert!(!message.contains("rekey"), "{message}");
        }
        assert_eq!(sim.committed_since(mark, Op::Create), others);
        assert_eq!(cell::<i64>(&home, "SELECT count(*) FROM v_users"), others as i64);
        assert!(sim.users().iter().any(|user| user["title"] == "Surgeon"));
    }
}

#[test]
fn an_account_that_two_newcomers_fit_by_different_fields_is_left_to_neither() {
    // Looked up one by one, and found in a listing.
    for others in [0, 6] {
        let (sim, home) = staffed(0, "", "");
        replace(&home, "match = [\"email\"]", "match = [\"email\", \"phone\"]");
        let made = sim.seed(json!([{"email": "p1@acme.example", "phone": "555-2"}]));
        home.people(&[rows(1..=2), rows(10..10 + others)].concat());
        let mark = sim.mark();
        home.run(&["sync"]).exits(75);
        for key in ["E0001", "E0002"] {
            let message = conflict(&home, key);
            let account = made[0]["id"].to_string();
            assert!(message.contains(&account) && message.contains("both are newcomers whom it fits"), "{message}");
        }
        assert_eq!((sim.committed_since(mark, Op::Create), sim.committed_since(mark, Op::Update)), (others, 0));
    }
}

#[test]
fn an_account_that_appears_at_delivery_is_adopted() {
    let (sim, home) = staffed(2, "", "");
    home.people(&[vec![row(1)], rows(2..=3)].concat());
    let mark = sim.mark();
    // The first answer to the create is lost: the account that it made is found, and linked.
    sim.script(json!({"method": "POST", "key": "E0003", "nth": 1, "do": "commit-then-close"}));
    let run = run_of(&home.run_json(&["sync"]).exits(0));
    assert_eq!(run["counts"], json!({"adopt": {"ok": 1, "failed": 0, "unknown": 0, "held": 0, "skipped": 0}}));
    assert_eq!((sim.committed_since(mark, Op::Create), sim.users().len()), (1, 3));
}

#[test]
fn an_adopted_account_that_vanished_is_made_anew_with_what_is_mapped() {
    let (sim, home) = staffed(0, "", "");
    sim.seed(
        json!([{"email": "p1@acme.example", "company": "Acme", "points": 7, "tags": [{"id": "3"}], "title": "Chief"}]),
    );
    home.people(&rows([1]));
    home.run(&["sync"]).exits(0);
    sim.clear();
    let mark = sim.mark();
    home.people(&[with(1, "p1@acme.example", "Matron")]);
    let run = run_of(&home.run_json(&["sync"]).exits(0));
    assert_eq!(run["counts"]["create"]["ok"], json!(1), "{run:#}");
    let made = sim.since(mark).into_iter().find(|r| r.committed).expect("a create");
    assert_eq!(made.op, Op::Create);
    let user = sim.user("E0001").expect("an account");
    assert_eq!((&user["title"], &user["city"], &user["company"]), (&json!("Matron"), &json!("Bern"), &Value::Null));
}

#[test]
fn who_was_removed_on_the_target_is_already_gone_and_may_come_anew() {
    let (sim, home) = staffed(3, "", "");
    sim.clear();
    home.people(&rows(2..=3));
    let run = run_of(&home.run_json(&["sync"]).exits(0));
    assert_eq!(run["counts"]["ban"]["ok"], json!(1));
    assert_eq!(outcomes(&home, &["--key", "E0001"]).pop().expect("an outcome")["reason"], "already gone");
    home.people(&rows(1..=3));
    assert_eq!(run_of(&home.run_json(&["sync"]).exits(0))["counts"]["create"]["ok"], json!(1));
    assert_eq!(sim.users().len(), 1);
}
