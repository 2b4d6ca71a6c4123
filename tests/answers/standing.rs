//! How a sync stands, and how a person does: one word for a run's end wherever it is told, and answers that stay true while
//! a source is away, a run is under way, an operation has no answer.

use serde_json::{Value, json};

use super::{account, row, synced};
use crate::support::{Home, Ran, Sim, Stage, people};

fn standing(home: &Home) -> Value {
    home.run_json(&["status"]).exits(0).json()["syncs"][0].clone()
}

#[test]
fn a_run_that_left_somebody_is_partial_wherever_it_is_told() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    home.people(&[row("E1", "Nurse"), row("E2", "Nurse")]);
    sim.script(json!({"method": "POST", "key": "E1", "do": "status:422"}));
    let ran = home.run_json(&["sync"]).exits(75);
    assert_eq!(ran.the_run()["status"], "partial");
    let status = standing(&home);
    assert_eq!(
        (&status["state"], &status["unresolved"], &status["last_good_run"]),
        (&json!("partial"), &json!(0), &Value::Null)
    );
    assert_eq!(home.query("SELECT status FROM v_runs")[0][0], "partial");
    assert!(home.run(&["status"]).exits(0).stdout.contains("staff: partial"));
    sim.calm();
    home.run(&["sync"]).exits(0);
    assert_eq!(standing(&home)["state"], "ok");

    // A rejected row, and an operation without an answer, are left over as well.
    home.people(&[row("E1", "Nurse"), row("E2", "Nurse"), "E9,ragged".to_string()]);
    home.run(&["sync"]).exits(75);
    assert_eq!(standing(&home)["state"], "partial");
    home.people(&[row("E1", "Nurse"), row("E2", "Nurse"), row("E3", "Nurse")]);
    sim.script(json!({"method": "POST", "key": "E3", "do": "close-before-commit"}));
    home.run(&["sync"]).exits(75);
    let status = standing(&home);
    assert_eq!((&status["state"], &status["unresolved"]), (&json!("partial"), &json!(1)));
}

#[test]
fn why_tells_what_is_known_while_the_source_is_away() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1"]);
    std::fs::remove_file(home.path().join("config/hr.csv")).expect("the source goes");
    let known = home.run(&["why", "staff", "E1"]).exits(0).stdout;
    for part in ["can't be told", "hr.csv", "and active", "What follows is what the state knows", "created"] {
        assert!(known.contains(part) || part == "created", "{part}: {known}");
    }
    let json = home.run_json(&["why", "staff", "E1"]).exits(0).json();
    assert_eq!(
        (&json["in_source"], &json["state"], &json["source_error"]["code"]),
        (&Value::Null, &json!("active"), &json!(69))
    );
    let unknown = home.run(&["why", "staff", "E2"]).exits(69);
    assert!(unknown.stderr.contains("knows no such person, and its source can't be asked"), "{}", unknown.stderr);
    home.write("config/hr.csv", "");
    home.run(&["why", "staff", "E2"]).exits(65);
    home.people(&[row("E1", "Nurse")]);
    home.run(&["why", "staff", "E2"]).exits(64);
}

#[test]
fn somebody_without_an_answer_is_looked_up_first_and_listed_whoever_they_are() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1", "E2", "E3"]);
    home.people(&[row("E1", "Nurse"), row("E2", "Nurse"), row("E3", "Nurse"), row("E4", "Nurse")]);
    sim.script(json!({"method": "POST", "key": "E4", "do": "close-before-commit"}));
    home.run(&["sync"]).exits(75);
    sim.calm();
    let why = home.run(&["why", "staff", "E4"]).exits(0).stdout;
    assert!(why.contains("The next run looks them up on juno first: a create was sent at "), "{why}");
    assert!(!why.contains("does nothing"), "{why}");
    let next = home.run_json(&["why", "staff", "E4"]).exits(0).json()["next"].clone();
    assert_eq!(next["op"], "create", "{next}");
    for unresolved in ["in the source", "gone from it"] {
        let reconciled = home.run_json(&["reconcile"]).exits(0).json()["syncs"][0].clone();
        assert_eq!(reconciled["unresolved"], json!(["E4"]), "{unresolved}: {reconciled}");
        let planned = home.run_json(&["plan"]).exits(0).json()["syncs"][0].clone();
        assert_eq!(planned["unresolved"], json!(["E4"]), "{unresolved}: {planned}");
        home.people(&[row("E1", "Nurse"), row("E2", "Nurse"), row("E3", "Nurse")]);
    }
    assert_eq!(home.run_json(&["plan", "--only", "E1"]).exits(0).json()["syncs"][0]["unresolved"], json!([]));
    let mark = sim.mark();
    home.people(&[row("E1", "Nurse"), row("E2", "Nurse"), row("E3", "Nurse"), row("E4", "Nurse")]);
    home.run(&["sync"]).exits(0);
    assert_eq!(sim.writes_since(mark).len(), 1, "it is sent, as was said");
}

#[test]
fn a_first_run_is_running_and_one_that_broke_off_has_failed() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    home.people(&[row("E1", "Nurse")]);
    assert_eq!(standing(&home)["state"], "never");
    sim.behave(json!({"latency_ms": 20_000}));
    let run = home.start(&["sync"]);
    sim.wait_until("it asks the target", |requests| !requests.is_empty());
    let status = standing(&home);
    assert_eq!(status["state"], "running", "{status}");
    assert!(status["last_run"].is_string(), "{status}");
    run.kill();
    let status = standing(&home);
    assert_eq!(status["state"], "failed");
    assert!(
        status["reason"].as_str().is_some_and(|why| why.contains("the process ended before the run did")),
        "{status}"
    );
}

#[test]
fn a_next_run_is_the_schedules_and_without_a_daemon_nobody_keeps_it() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1"]);
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    home.write("config/rosterd.toml", &text.replace("[syncs.staff]\n", "[syncs.staff]\nschedule = \"0 0 3 * * *\"\n"));
    let told = home.run_json(&["status"]).exits(0).json();
    assert_eq!(told["daemon"], false);
    assert!(told["syncs"][0]["next_run"].as_str().is_some_and(|at| at.ends_with("T03:00:00.000Z")), "{told}");
    let text = home.run(&["status"]).exits(0).stdout;
    assert!(text.contains("by its schedule, but no daemon is running to keep it"), "{text}");
}

#[test]
fn held_again_says_how_many_and_where_the_rejected_are_seen() {
    let stage = Stage::loaded(&people(1, 30));
    stage.home.configure("[syncs.staff.limits]\nban = 2");
    let mut rows: Vec<String> = people(1, 20).iter().map(|person| person.row()).collect();
    rows.push("E9999,ragged".into());
    stage.home.people(&rows);
    let first = stage.home.run(&["sync"]).exits(3).stdout;
    assert!(first.contains("E9999"), "{first}");
    let again = stage.home.run(&["sync"]).exits(3).stdout;
    assert!(again.contains("1 rejected") && again.contains("rosterd plan staff -v"), "{again}");
    assert!(!again.contains("rosterd outcomes --run"), "this run wrote none: {again}");
    assert!(stage.home.run(&["plan", "staff", "-v"]).exits(3).stdout.contains("E9999"), "and that is where they are");
}

#[test]
fn a_held_plan_that_can_not_be_approved_any_more_is_not_offered() {
    let stage = Stage::loaded(&people(1, 30));
    stage.home.configure("[syncs.staff.limits]\nban = 2");
    stage.home.roster(&people(1, 20));
    stage.home.run(&["sync"]).exits(3);
    let id = standing(&stage.home)["held_plan"].as_str().expect("a plan").to_string();
    let config = std::fs::read_to_string(stage.home.config()).expect("a configuration");

    // The limits under which it was judged are others now.
    stage.home.write("config/rosterd.toml", &config.replace("ban = 2", "ban = 3"));
    let status = standing(&stage.home);
    assert_eq!((&status["state"], &status["held_plan"]), (&json!("held"), &Value::Null), "{status}");
    let text = stage.home.run(&["status"]).exits(0).stdout;
    assert!(text.contains(&id) && text.contains("stale") && text.contains("rosterd sync staff"), "{text}");
    assert!(stage.home.run(&["plans"]).exits(0).stdout.contains("stale"));
    stage.home.write("config/rosterd.toml", &config);
    assert_eq!(standing(&stage.home)["held_plan"], json!(id), "as it was judged: it is good again");

    // Somebody tried to approve it, and the source says something else.
    stage.home.roster(&people(1, 21));
    let refused: Ran = stage.home.run_json(&["approve", &id]).exits(3);
    assert!(refused.stdout.contains("stale"), "{}", refused.stdout);
    let status = standing(&stage.home);
    assert_eq!((&status["state"], &status["held_plan"]), (&json!("held"), &Value::Null), "{status}");
    stage.home.roster(&people(1, 20));
    stage.home.run(&["sync"]).exits(3);
    assert_eq!(standing(&stage.home)["held_plan"], json!(id), "planned the same again, it is held again");
    stage.home.run(&["approve", &id]).exits(0);
}

#[test]
fn a_strangers_key_is_not_shown_and_one_of_ours_is() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    sim.seed(json!([
        {"email": "e1@acme.com", "client_id": "stranger@private.example"},
        {"email": "e2@acme.com", "client_id": "E3"},
    ]));
    home.people(&[row("E1", "Nurse"), row("E2", "Nurse"), row("E3", "Nurse")]);
    let plan = home.run(&["plan"]).stdout;
    assert!(plan.contains("carries the key E3"), "ours is named: {plan}");
    assert!(plan.contains("looks like E1 and carries another key"), "{plan}");
    for args in [
        &["plan"][..],
        &["plan", "--format", "json"],
        &["sync"],
        &["outcomes"],
        &["why", "staff", "E1"],
        &["reconcile"],
    ] {
        let ran = home.run(args);
        for text in [&ran.stdout, &ran.stderr] {
            assert!(!text.contains("private.example"), "{args:?}: {text}");
        }
    }
    assert_eq!(account("E1", "Nurse")["client_id"], "E1");
}
