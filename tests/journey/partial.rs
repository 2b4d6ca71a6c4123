//! `--only`, `--dry-run`, `plan` and `--outcomes`: parts of a run, and its record.

use serde_json::{Value, json};

use crate::support::{Person, Stage, people};

#[test]
fn only_the_named_people_are_dealt_with() {
    let mut everybody = people(1, 20);
    let stage = Stage::loaded(&everybody);
    everybody[0].title = "Chef".into();
    everybody[1].title = "Chef".into();
    everybody[2].status = "gone".into();
    everybody.extend(people(30, 31));
    stage.home.roster(&everybody);
    let good_before = stage.home.run_json(&["status"]).exits(0).json()["syncs"][0]["last_good_run"].clone();

    let run = stage.home.run_json(&["sync", "--only", "E0002", "--only", "E0031"]).exits(0).the_run();
    assert_eq!(run["planned"], json!({"create": 1, "update": 1}));
    assert_eq!(stage.sim.user("E0001").expect("an account")["title"], "Clerk");
    assert_eq!(stage.sim.user("E0003").expect("an account")["banned"], json!(false));
    assert!(stage.sim.user("E0030").is_none());
    let status = stage.home.run_json(&["status"]).exits(0).json()["syncs"][0].clone();
    assert_eq!(status["last_good_run"], good_before, "a part is not a good run of all");

    let run = stage.home.run_json(&["sync"]).exits(0).the_run();
    assert_eq!(run["planned"], json!({"create": 1, "update": 1, "ban": 1}));
    stage.has_exactly(&everybody);
}

#[test]
fn only_does_not_move_the_baseline_but_the_source_is_judged() {
    let stage = Stage::loaded(&people(1, 10));
    stage.home.roster(&people(1, 60));
    stage.home.run_json(&["sync", "--only", "E0050"]).exits(0);
    stage.sync(&people(1, 10), 0);
    // Sixty trusted records would forbid this; they were never a baseline. But a source that is no good stays so.
    stage.home.write("config/hr.csv", "employee_id,first_name\nE0001,Ann\n");
    stage.home.run_json(&["sync", "--only", "E0001"]).exits(65);
}

#[test]
fn a_key_that_is_nowhere_is_wrong_usage() {
    let stage = Stage::loaded(&people(1, 3));
    let mark = stage.sim.mark();
    stage.home.roster(&people(1, 2));
    for command in ["sync", "plan"] {
        let ran = stage.home.run_json(&[command, "--only", "E0001", "--only", "E9999"]).exits(64).json();
        let message = ran["error"]["message"].as_str().expect("a message");
        assert!(message.contains("E9999") && !message.contains("E0001"), "{message}");
    }
    assert!(stage.sim.since(mark).is_empty());
    // Who is in the state alone, or has a row that can't be used, is known.
    stage.home.run_json(&["plan", "--only", "E0003"]).exits(0);
    stage.home.people(&[Person::new(1).row(), "E0002,Ann".into(), "E0007,x".into()]);
    stage.home.run_json(&["plan", "--only", "E0007"]).exits(0);
}

#[test]
fn a_dry_run_and_a_plan_write_nothing_anywhere() {
    let stage = Stage::loaded(&people(1, 30));
    let mut everybody = people(1, 20);
    everybody[0].title = "Chef".into();
    everybody.push(crate::support::Person::new(40));
    stage.home.roster(&everybody);
    let database = std::fs::read(stage.home.database()).expect("the database");
    let mark = stage.sim.mark();
    let dry = stage.home.run_json(&["sync", "--dry-run"]).exits(0).json();
    let plan = stage.home.run_json(&["plan"]).exits(0).json();
    assert_eq!(dry, plan, "a dry run is a plan");
    assert_eq!(plan["syncs"][0]["counts"], json!({"create": 1, "update": 1, "ban": 10}));
    assert!(stage.sim.since(mark).iter().all(|r| !r.write), "reads only");
    assert_eq!(std::fs::read(stage.home.database()).expect("the database"), database, "byte for byte");
    assert_eq!(stage.home.query("SELECT count(*) FROM v_runs")[0][0], 1);

    let sent = stage.home.run_json(&["sync"]).exits(0).the_run();
    assert_eq!(sent["planned"], plan["syncs"][0]["counts"]);
}

#[test]
fn a_plan_before_the_first_run_creates_no_database() {
    let stage = Stage::new();
    stage.home.roster(&people(1, 4));
    let plan = stage.home.run_json(&["plan"]).exits(0).json();
    assert_eq!(plan["syncs"][0]["counts"], json!({"create": 4}));
    assert!(!stage.home.path().join("state").exists());
}

#[test]
fn the_detailed_exit_code_tells_differences() {
    let stage = Stage::loaded(&people(1, 40));
    stage.home.run(&["plan", "--detailed-exitcode"]).exits(0);
    stage.home.roster(&people(1, 41));
    stage.home.run(&["plan"]).exits(0);
    stage.home.run(&["plan", "--detailed-exitcode"]).exits(2);
    let mut leaving = people(1, 40);
    leaving[20..].iter_mut().for_each(|p| p.status = "gone".into());
    stage.home.roster(&leaving);
    stage.home.run(&["plan"]).exits(3);
    stage.home.run(&["plan", "--detailed-exitcode"]).exits(3);
    stage.home.write("config/hr.csv", "nonsense\n");
    stage.home.run(&["plan", "--detailed-exitcode"]).exits(65);
}

#[test]
fn planning_the_same_again_is_the_same_plan_byte_for_byte() {
    let stage = Stage::loaded(&people(1, 10));
    let mut everybody = people(1, 12);
    everybody[4].city = "Bern".into();
    stage.home.roster(&everybody);
    let first = stage.home.run_json(&["plan"]).exits(0).stdout;
    everybody.reverse();
    stage.home.roster(&everybody);
    assert_eq!(stage.home.run_json(&["plan"]).exits(0).stdout, first);
}

/// The fields of an outcome line, in the contract's order.
const FIELDS: [&str; 15] = [
    "ts",
    "run",
    "sync",
    "source",
    "target",
    "key",
    "op",
    "status",
    "remote_id",
    "fields",
    "attempts",
    "http_status",
    "duration_ms",
    "reason",
    "error",
];

#[test]
fn the_outcome_file_has_one_line_for_each_outcome_and_grows() {
    let stage = Stage::new();
    let mut everybody = people(1, 4);
    everybody[3].email = "no address at all, and quoted\", \"x".into(); // ragged
    stage.home.roster(&everybody);
    stage.home.run(&["sync", "--outcomes", "out.jsonl"]).exits(75);
    let lines = |stage: &Stage| -> Vec<String> {
        let text = std::fs::read_to_string(stage.home.path().join("out.jsonl")).expect("the file");
        assert!(text.ends_with('\n'));
        text.lines().map(str::to_string).collect()
    };
    let first = lines(&stage);
    assert_eq!(first.len(), 4);
    for line in &first {
        let value: Value = serde_json::from_str(line).expect("JSON");
        let mut at = 0;
        for field in FIELDS {
            let place = line.find(&format!("\"{field}\":")).unwrap_or_else(|| panic!("{field} in {line}"));
            assert!(place >= at, "{field} in its place: {line}");
            at = place;
        }
        assert_eq!(value.as_object().map(serde_json::Map::len), Some(FIELDS.len()), "{line}");
        let rejected = value["status"] == "rejected";
        assert_eq!(value["op"].is_null(), rejected);
        assert_eq!(value["http_status"], if rejected { Value::Null } else { json!(201) });
    }
    let mut from_ledger: Vec<Value> = stage.home.outcomes(&[]);
    let mut from_file: Vec<Value> = first.iter().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    for list in [&mut from_ledger, &mut from_file] {
        list.sort_by_key(|o| o["key"].to_string());
    }
    assert_eq!(from_file, from_ledger);

    everybody[3] = crate::support::Person::new(4);
    stage.home.roster(&everybody);
    stage.home.run(&["sync", "--outcomes", "out.jsonl"]).exits(0);
    let second = lines(&stage);
    assert_eq!((second.len(), &second[..4]), (5, &first[..]), "appended");
}

#[test]
fn an_outcome_file_that_cannot_be_written_is_said_before_anything_is_sent() {
    let stage = Stage::new();
    stage.home.roster(&people(1, 3));
    stage.home.run(&["sync", "--outcomes", "no/such/directory/out.jsonl"]).exits(74);
    assert_eq!(stage.sim.requests(), []);
}
