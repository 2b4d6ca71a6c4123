//! `undo`: what a run did is taken back, as far as nobody has touched it since, once somebody says so.

use serde_json::{Value, json};

use super::{by_hand, each, row, synced};
use crate::support::{Home, Sim};

fn last_run(home: &Home, args: &[&str], code: i32) -> String {
    let ran = home.run_json(args).exits(code).json();
    ran["runs"][0]["run"].as_str().expect("a run").to_string()
}

/// Three people, then a run that creates, adopts, updates, bans and reinstates.
fn mixed(sim: &Sim) -> (Home, String) {
    let home = synced(sim, &["E1", "E2", "E3", "E4"]);
    let gone = |key: &str| row(key, "Nurse").replace(",active", ",left");
    home.people(&[row("E1", "Nurse"), row("E2", "Nurse"), row("E3", "Nurse"), gone("E4")]);
    home.run(&["sync"]).exits(0);
    sim.seed(json!([{"email": "E6@acme.com", "title": "Boss"}]));
    let rows = [
        row("E1", "Matron").replace("Bern", "Thun"),
        gone("E2"),
        row("E3", ""),
        row("E4", "Nurse"),
        row("E5", "Nurse"),
        row("E6", "Nurse"),
    ];
    home.people(&rows);
    let run = last_run(&home, &["sync"], 0);
    (home, run)
}

#[test]
fn a_mixed_run_is_taken_back_once_approved() {
    let sim = Sim::start();
    let (home, run) = mixed(&sim);
    let mark = sim.mark();
    let made = home.run_json(&["undo", &run]).exits(0).json();
    let plan = made["plan"].as_str().expect("a plan").to_string();
    assert_eq!(made, json!({ "plan": plan }), "nothing is left");
    assert!(sim.writes_since(mark).is_empty(), "making it writes nothing");
    let held = home.run_json(&["plans"]).exits(0).json()["plans"][0].clone();
    assert_eq!(
        (&held["id"], &held["limit"], &held["count"], &held["allowed"]),
        (&json!(plan), &json!("undo"), &json!(6), &json!(0))
    );
    assert_eq!(held["counts"], json!({"ban": 2, "reinstate": 1, "unlink": 1, "update": 2}));
    // The same again is the same plan; and the next run, which has nothing to do, leaves it waiting.
    assert_eq!(home.run_json(&["undo", &run]).exits(0).json()["plan"], json!(plan));
    home.run(&["sync"]).exits(0);

    let approved = home.run(&["approve", &plan, "--reason", "wrong export"]).exits(0);
    assert!(approved.stdout.contains("staff is paused"), "{}", approved.stdout);
    let user = |key: &str| sim.user(key).unwrap_or(Value::Null);
    assert_eq!((&user("E1")["title"], &user("E1")["city"]), (&json!("Nurse"), &json!("Bern")));
    assert_eq!(user("E2")["banned"], false);
    assert_eq!(user("E3")["title"], "Nurse");
    assert_eq!(user("E4")["banned"], true);
    assert_eq!(user("E5")["banned"], true);
    assert_eq!(user("E6")["title"], "Nurse", "who was adopted is unlinked, and nothing written");
    let known = home.query("SELECT key, state FROM v_users ORDER BY key");
    assert_eq!(
        json!(known),
        json!([["E1", "active"], ["E2", "active"], ["E3", "active"], ["E4", "banned"], ["E5", "banned"]])
    );
    let mark = sim.mark();
    let ran = home.run_json(&["sync"]).exits(0).json();
    assert_eq!(ran["runs"][0]["status"], "paused");
    assert!(sim.writes_since(mark).is_empty());
    home.run(&["approve", &plan]).exits(3);
}

#[test]
fn what_somebody_changed_since_is_left_and_reported() {
    let sim = Sim::start();
    let (home, run) = mixed(&sim);
    by_hand(&sim, "E1", json!({"title": "Queen"}));
    by_hand(&sim, "E2", json!({"banned": false}));
    by_hand(&sim, "E3", json!({"title": "Cook"}));
    by_hand(&sim, "E5", json!({"banned": true}));
    let made = home.run_json(&["undo", &run]).exits(0).json();
    let left = &made["left"];
    assert_eq!(each(left, "key"), ["E1", "E2", "E3", "E5"].into());
    assert_eq!(left[0]["reason"], "changed since by somebody else, and left: title");
    home.run(&["approve", made["plan"].as_str().expect("a plan")]).exits(0);
    let user = |key: &str| sim.user(key).unwrap_or(Value::Null);
    assert_eq!((&user("E1")["title"], &user("E1")["city"]), (&json!("Queen"), &json!("Bern")));
    assert_eq!(user("E3")["title"], "Cook");
}

#[test]
fn what_changes_between_making_and_approving_makes_it_stale() {
    let sim = Sim::start();
    let (home, run) = mixed(&sim);
    let plan = home.run_json(&["undo", &run]).exits(0).json()["plan"].as_str().expect("a plan").to_string();
    by_hand(&sim, "E1", json!({"title": "Queen"}));
    let mark = sim.mark();
    let stale = home.run(&["approve", &plan]).exits(3);
    assert!(stale.stdout.contains("stale") && stale.stdout.contains("rosterd undo"), "{}", stale.stdout);
    assert!(sim.writes_since(mark).is_empty());
    assert_eq!(home.run_json(&["status"]).exits(0).json()["syncs"][0]["state"], "ok", "it is not paused");
    home.run(&["discard", &plan]).exits(0);
}

#[test]
fn released_addresses_come_back_and_an_undo_can_be_undone() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1", "E2", "E3"]);
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    home.write("config/rosterd.toml", &text.replace("match = [", "release_on_ban = [\"email\"]\nmatch = ["));
    home.people(&[row("E1", "Nurse"), row("E2", "Nurse")]);
    let run = last_run(&home, &["sync"], 0);
    assert!(sim.user("E3").expect("an account")["email"].as_str().is_some_and(|e| e.ends_with("parked.invalid")));
    let plan = home.run_json(&["undo", &run]).exits(0).json()["plan"].as_str().expect("a plan").to_string();
    let undone = last_run(&home, &["approve", &plan], 0);
    let user = sim.user("E3").expect("an account");
    assert_eq!((&user["email"], &user["banned"]), (&json!("e3@acme.com"), &json!(false)));
    let plan = home.run_json(&["undo", &undone]).exits(0).json()["plan"].as_str().expect("a plan").to_string();
    home.run(&["approve", &plan]).exits(0);
    assert_eq!(sim.user("E3").expect("an account")["banned"], true);
}

#[test]
fn protected_people_and_unknown_runs() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1"]);
    home.run(&["undo", "01NOSUCHRUN"]).exits(64);
    let run = home.query("SELECT run FROM v_runs")[0][0].as_str().expect("a run").to_string();
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    home.write("config/rosterd.toml", &text.replace("match = [", "protect = [\"E1\"]\nmatch = ["));
    let made = home.run_json(&["undo", &run]).exits(0).json();
    assert_eq!(made, json!({"plan": null, "left": [{"key": "E1", "reason": "protected"}]}));
    assert_eq!(home.run_json(&["plans"]).exits(0).json(), json!({"plans": []}));
}

/// A create whose answer was lost belongs to the run that sent it, though a later one found out.
#[test]
fn an_operation_resolved_later_is_undone_with_the_run_that_sent_it() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1"]);
    home.people(&[row("E1", "Nurse"), row("E2", "Nurse")]);
    sim.script(json!({"method": "POST", "key": "E2", "do": "commit-then-close"}));
    // The first is the look-up before the plan; those after the deed fail.
    sim.script(json!({"method": "GET", "nth": 2, "times": 100, "do": "close-before-commit"}));
    let run = last_run(&home, &["sync"], 75);
    assert_eq!(home.run_json(&["undo", &run]).exits(0).json()["plan"], Value::Null);
    sim.calm();
    let later = last_run(&home, &["sync"], 0);
    assert_eq!(home.run_json(&["undo", &later]).exits(0).json()["plan"], Value::Null);
    let made = home.run_json(&["undo", &run]).exits(0).json();
    home.run(&["approve", made["plan"].as_str().expect("a plan")]).exits(0);
    assert_eq!(sim.user("E2").expect("an account")["banned"], true);
}
