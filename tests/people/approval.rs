//! Somebody's yes to a held plan: good once, good while the same would be planned for the same people under the same
//! rules, and stale otherwise, with what is different named.

use serde_json::{Value, json};

use super::{cell, held, replace, row, rows, run_of, staffed, with};
use crate::support::{Home, Op, Sim};

/// Twelve people of whom three have left, which the limit holds; the plan's id.
fn three_bans() -> (Sim, Home, String) {
    let (sim, home) = staffed(12, "", "ban = 2");
    home.people(&rows(4..=12));
    let plan = held(&home, &["sync"], "ban", 3, 2);
    (sim, home, plan)
}

/// An approval that is refused because something is different now: the message, when nothing was sent.
#[track_caller]
fn stale(sim: &Sim, home: &Home, plan: &str) -> String {
    let mark = sim.mark();
    let run = run_of(&home.run_json(&["approve", plan]).exits(3));
    assert_eq!(run["status"], "held");
    assert!(sim.writes_since(mark).is_empty());
    let message = run["error"]["message"].as_str().unwrap_or_default().to_string();
    assert!(message.contains("stale"), "{message}");
    message
}

#[test]
fn good_once_and_the_ledger_knows_who_and_why() {
    let (sim, home, plan) = three_bans();
    let shown = home.run_json(&["plans", "show", &plan]).exits(0).json();
    assert_eq!((&shown["id"], &shown["counts"]), (&json!(plan), &json!({"ban": 3})));
    let keys: Vec<_> = shown["operations"].as_array().expect("a list").iter().map(|o| o["key"].clone()).collect();
    assert_eq!(keys, ["E0001", "E0002", "E0003"]);

    let mark = sim.mark();
    let output = home
        .command(&["approve", &plan, "--reason", "the ward has closed", "--format", "json"])
        .env("SUDO_USER", "grace")
        .env("USER", "the ceo")
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(0));
    let run: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let run = &run["runs"][0];
    assert_eq!((&run["status"], &run["counts"]["ban"]["ok"]), (&json!("ok"), &json!(3)));
    assert_eq!(sim.committed_since(mark, Op::Ban), 3);
    // The user id is what the kernel says; whom sudo's variable names is told beside it, and apart.
    let uid = rustix::process::getuid().as_raw();
    let by = format!("(uid {uid}), sudo by grace");
    let reason: String = cell(&home, "SELECT reason FROM run ORDER BY started_at DESC, id DESC LIMIT 1");
    assert!(reason.starts_with(&format!("plan {plan} approved by ")), "{reason}");
    assert!(reason.ends_with(&format!("{by}: the ward has closed")) && !reason.contains("ceo"), "{reason}");
    let decided: String = cell(&home, "SELECT decided_by || ' ' || reason || ' ' || status FROM plan");
    assert!(decided.ends_with(&format!("{by} the ward has closed sent")), "{decided}");

    let mark = sim.mark();
    let again = home.run_json(&["approve", &plan]).exits(3).json();
    assert!(again["error"]["message"].as_str().unwrap_or_default().contains("approved already"), "{again}");
    assert!(sim.since(mark).is_empty());
    home.run(&["approve", "0123456789ab"]).exits(64);
}

#[test]
fn the_message_says_what_how_many_who_and_how_to_go_on() {
    let (_sim, home, plan) = three_bans();
    let ran = home.run(&["sync"]).exits(3);
    for part in [
        "limit ban",
        "3 people would lose access, at most 2 allowed",
        "E0001 Ann Miller1 p1@acme.example, E0002 Ann Miller2 p2@acme.example, E0003 Ann Miller3",
        &format!("rosterd plans show {plan}"),
        &format!("rosterd approve {plan} --reason"),
        &format!("rosterd discard {plan}"),
        "rosterd sync staff --only KEY",
    ] {
        assert!(ran.stdout.contains(part), "{part:?} is not in:\n{}", ran.stdout);
    }
    let error = run_of(&home.run_json(&["sync"]).exits(3))["error"].clone();
    assert_eq!(error["code"], 3);
    assert!(error["message"].as_str().unwrap_or_default().contains("E0001, E0002, E0003"), "{error}");
    assert!(error["help"].as_str().unwrap_or_default().contains(&plan), "{error}");
    let status = home.run_json(&["status"]).exits(0).json()["syncs"][0].clone();
    assert_eq!((&status["state"], &status["held_plan"]), (&json!("held"), &json!(plan)));
}

#[test]
fn still_good_when_others_have_changed_meanwhile() {
    let (sim, home, plan) = three_bans();
    home.people(&[rows([4, 5, 20]), vec![with(6, "p6@acme.example", "Head nurse")], rows(7..=11)].concat());
    let mark = sim.mark();
    let run = run_of(&home.run_json(&["approve", &plan]).exits(0));
    assert_eq!(run["planned"], json!({"ban": 3}));
    assert_eq!((sim.committed_since(mark, Op::Ban), sim.writes_since(mark).len()), (3, 3), "what they saw, no more");
    let run = run_of(&home.run_json(&["sync"]).exits(0));
    assert_eq!(run["planned"], json!({"create": 1, "update": 1, "ban": 1}));
}

#[test]
fn stale_by_source() {
    let (sim, home, plan) = three_bans();
    home.people(&[rows(4..=12), rows([2])].concat());
    let message = stale(&sim, &home, &plan);
    assert!(message.contains("ban E0002 is not planned any more"), "{message}");
    home.people(&[rows(4..=12), vec![with(3, "p3@acme.example", "Matron")]].concat());
    let message = stale(&sim, &home, &plan);
    assert!(message.contains("ban E0003 would be update E0003 now"), "{message}");
    // As it was: good again.
    home.people(&rows(4..=12));
    home.run(&["approve", &plan]).exits(0);
}

#[test]
fn stale_by_a_value_and_the_value_is_not_told() {
    let (sim, home) = staffed(4, "", "update = 0");
    let titled = |title: &str| home.people(&[vec![with(1, "p1@acme.example", title)], rows(2..=4)].concat());
    titled("Matron");
    let plan = held(&home, &["sync"], "update", 1, 0);
    titled("Surgeon");
    let message = stale(&sim, &home, &plan);
    assert!(message.contains("update E0001 would write something else now (title)"), "{message}");
    assert!(!message.contains("Surgeon") && !message.contains("Matron"), "{message}");
}

#[test]
fn stale_by_mapping() {
    let (sim, home, plan) = three_bans();
    replace(&home, "city = \"city\"", "city = { cel = \"city + ''\" }");
    let message = stale(&sim, &home, &plan);
    assert!(message.contains("the mapping has changed"), "{message}");
}

#[test]
fn stale_by_limit_and_good_again_once_it_is_held_under_the_new_one() {
    let (sim, home, plan) = three_bans();
    replace(&home, "ban = 2", "ban = { count = 1, percent = 2 }");
    let message = stale(&sim, &home, &plan);
    assert!(message.contains("limits.ban was 2 and is 1 or 2%"), "{message}");
    assert_eq!(held(&home, &["sync"], "ban", 3, 1), plan, "the same operations are the same plan");
    home.run(&["approve", &plan]).exits(0);
}

#[test]
fn an_approval_is_not_spent_by_a_pause_or_an_untrusted_source() {
    let (sim, home, plan) = three_bans();
    home.run(&["pause", "staff"]).exits(0);
    let mark = sim.mark();
    let run = run_of(&home.run_json(&["approve", &plan]).exits(0));
    assert_eq!(run["status"], "paused");
    home.run(&["resume", "staff"]).exits(0);
    home.write("config/hr.csv", "");
    home.run(&["approve", &plan]).exits(65);
    assert!(sim.writes_since(mark).is_empty());
    home.people(&rows(4..=12));
    home.run(&["approve", &plan]).exits(0);
    assert_eq!(sim.committed_since(mark, Op::Ban), 3);
}

#[test]
fn discarded_is_gone_until_it_is_planned_again() {
    let (_sim, home, plan) = three_bans();
    home.run(&["discard", &plan]).exits(0);
    home.run(&["approve", &plan]).exits(3);
    home.run(&["discard", &plan]).exits(3);
    home.run(&["plans", "show", &plan]).exits(3);
    assert_eq!(held(&home, &["sync"], "ban", 3, 2), plan);
    home.run(&["approve", &plan]).exits(0);
}

#[test]
fn one_person_is_banned_urgently_while_a_plan_is_held() {
    let (sim, home, plan) = three_bans();
    let good = home.run_json(&["status"]).json()["syncs"][0]["last_good_run"].clone();
    let mark = sim.mark();
    let run = run_of(&home.run_json(&["sync", "--only", "E0002"]).exits(0));
    assert_eq!(run["counts"]["ban"]["ok"], json!(1));
    let written: Vec<_> = sim.writes_since(mark).iter().filter_map(|r| r.key.clone()).collect();
    assert_eq!(written, ["E0002".into()]);
    let status = home.run_json(&["status"]).json()["syncs"][0].clone();
    assert_eq!((&status["held_plan"], &status["last_good_run"]), (&json!(plan), &good));
    // What was approved was three bans: two are left, which is within the limit.
    let message = stale(&sim, &home, &plan);
    assert!(message.contains("ban E0002 is not planned any more"), "{message}");
    home.run(&["sync"]).exits(0);
}

#[test]
fn named_people_over_a_limit_wait_beside_the_plan_of_all() {
    let (sim, home, plan) = three_bans();
    let few = held(&home, &["sync", "--only", "E0001", "--only", "E0002", "--only", "E0003"], "ban", 3, 2);
    assert_eq!(few, plan, "the same people, the same plan");
    replace(&home, "ban = 2", "ban = 1");
    assert_eq!(held(&home, &["sync"], "ban", 3, 1), plan);
    let few = held(&home, &["sync", "--only", "E0001", "--only", "E0002"], "ban", 2, 1);
    let plans = home.run_json(&["plans"]).exits(0).json();
    let ids: Vec<_> = plans["plans"].as_array().expect("a list").iter().map(|p| p["id"].clone()).collect();
    assert_eq!(ids, [json!(plan), json!(few)]);
    let mark = sim.mark();
    home.run(&["approve", &few]).exits(0);
    assert_eq!(sim.committed_since(mark, Op::Ban), 2);
    // The next run of everybody ends what is left over of both.
    home.run(&["sync"]).exits(0);
    assert_eq!(home.run_json(&["plans"]).exits(0).json(), json!({"plans": []}));
}

#[test]
fn an_exchange_of_addresses_can_be_approved() {
    let (sim, home) = staffed(3, "", "update = 1");
    home.people(&[with(1, "p2@acme.example", "Nurse"), with(2, "p1@acme.example", "Nurse"), row(3)]);
    let plan = held(&home, &["sync"], "update", 2, 1);
    // Somebody else swaps too, or takes what nobody had: no part of what was approved.
    home.people(&[
        with(1, "p2@acme.example", "Nurse"),
        with(2, "p1@acme.example", "Nurse"),
        with(3, "p9@acme.example", "Nurse"),
    ]);
    let mark = sim.mark();
    home.run(&["approve", &plan]).exits(0);
    super::no_conflict_since(&sim, mark);
    assert_eq!(sim.user("E0001").expect("an account")["email"], "p2@acme.example");
    assert_eq!(sim.user("E0003").expect("an account")["email"], "p3@acme.example");
}

#[test]
fn what_became_of_an_approved_run_stands_beside_who_approved_it() {
    let (sim, home, plan) = three_bans();
    sim.script(json!({"method": "PUT", "key": "E0002", "do": "status:422"}));
    let run = run_of(&home.run_json(&["approve", &plan, "--reason", "closed"]).exits(75));
    assert_eq!((&run["counts"]["ban"]["ok"], &run["counts"]["ban"]["failed"]), (&json!(2), &json!(1)));
    let reason: String = cell(&home, "SELECT reason FROM run ORDER BY started_at DESC, id DESC LIMIT 1");
    assert!(reason.starts_with(&format!("plan {plan} approved by ")), "{reason}");
    home.run(&["approve", &plan]).exits(3);
}
