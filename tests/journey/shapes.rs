//! The JSON of each command, member by member, as the contract has it.

use serde_json::{Value, json};

use crate::support::{Person, Stage, people};

/// The object has these members, and others only where they are named as additions.
#[track_caller]
fn members(object: &Value, expected: &[&str], additions: &[&str]) {
    let there: Vec<&str> = object.as_object().expect("an object").keys().map(String::as_str).collect();
    for name in expected {
        assert!(there.contains(name), "{name} is missing in {object}");
    }
    let strange: Vec<_> = there.iter().filter(|n| !expected.contains(n) && !additions.contains(n)).collect();
    assert!(strange.is_empty(), "{strange:?} in {object}");
}

const PLAN: [&str; 13] = [
    "sync",
    "plan",
    "source_records",
    "excluded",
    "unchanged",
    "skipped",
    "rejected",
    "unresolved",
    "error",
    "counts",
    "held",
    "operations",
    "id",
];
const RUN: [&str; 13] = [
    "run",
    "sync",
    "status",
    "plan",
    "planned",
    "counts",
    "source_records",
    "excluded",
    "unchanged",
    "rejected",
    "skipped",
    "duration_ms",
    "error",
];

/// Forty people; then one of each thing that can be planned, and more leavers than allowed.
fn eventful() -> Stage {
    let mut before = people(1, 40);
    before[39].status = "terminated".into();
    let mut active = people(1, 40);
    let stage = Stage::loaded(&active);
    stage.sync(&before, 0);
    stage.sim.seed(json!([{"email": "p70@acme.example", "title": "Boss"}]));
    active.truncate(28);
    active[0].title = "Chef".into();
    active[1].phone.clear();
    active.extend([Person::new(40), Person::new(60), Person::new(70)]);
    let mut rows: Vec<String> = active.iter().map(Person::row).collect();
    rows.push("E0039,ragged".into());
    stage.home.people(&rows);
    stage
}

#[test]
fn a_plan_tells_who_what_from_and_to() {
    let stage = eventful();
    let plan = stage.home.run_json(&["plan"]).exits(0).json()["syncs"][0].clone();
    members(&plan, &PLAN[..12], &[]);
    assert_eq!(plan["counts"], json!({"create": 1, "update": 2, "ban": 10, "reinstate": 1, "adopt": 1}));
    assert_eq!((&plan["held"], &plan["error"], &plan["unresolved"]), (&Value::Null, &Value::Null, &json!([])));
    let figures = ["source_records", "excluded", "unchanged"].map(|name| plan[name].as_u64());
    assert_eq!(figures, [Some(31), Some(0), Some(26)]);
}

#[test]
fn an_operation_has_old_and_new_of_each_field() {
    let stage = eventful();
    stage.home.configure("[syncs.staff.limits]\nban = 2");
    let plan = stage.home.run_json(&["plan"]).exits(3).json()["syncs"][0].clone();
    assert_eq!(plan["held"], json!({"limit": "ban", "count": 10, "allowed": 2}));
    assert_eq!(plan["rejected"][0]["key"], "E0039");
    assert!(plan["rejected"][0]["position"].as_str().is_some_and(|p| p.contains("33")), "{}", plan["rejected"]);
    let of = |key: &str| {
        let operations = plan["operations"].as_array().expect("a list");
        let found = operations.iter().find(|o| o["key"] == key).unwrap_or_else(|| panic!("no operation for {key}"));
        members(found, &["op", "key", "remote_id", "fields", "label"], &[]);
        let mut found = found.clone();
        found.as_object_mut().expect("an object").remove("label");
        found
    };
    let id = |key: &str| json!(stage.sim.user(key).expect("an account")["id"].to_string());
    let update = json!({"op": "update", "key": "E0001", "remote_id": id("E0001"),
                        "fields": {"title": {"old": "Clerk", "new": "Chef"}}});
    assert_eq!(of("E0001"), update);
    assert_eq!(of("E0002")["fields"], json!({"phone": {"old": "555-0002", "new": null}}));
    assert_eq!(of("E0030"), json!({"op": "ban", "key": "E0030", "remote_id": id("E0030"), "fields": {}}));
    assert_eq!(of("E0040"), json!({"op": "reinstate", "key": "E0040", "remote_id": id("E0040"), "fields": {}}));
    let create = of("E0060");
    assert_eq!((&create["op"], &create["remote_id"]), (&json!("create"), &Value::Null));
    assert_eq!(create["fields"]["email"], json!({"old": null, "new": "p60@acme.example"}));
    let adopt = of("E0070");
    assert_eq!((&adopt["op"], &adopt["fields"]["title"]), (&json!("adopt"), &json!({"old": "Boss", "new": "Clerk"})));
    assert!(adopt["fields"].get("email").is_none(), "only what differs: {adopt}");
}

#[test]
fn a_held_plan_is_shown_as_it_was_planned() {
    let stage = eventful();
    stage.home.configure("[syncs.staff.limits]\nban = 2");
    let planned = stage.home.run_json(&["plan"]).exits(3).json()["syncs"][0].clone();
    let run = stage.home.run_json(&["sync"]).exits(3).the_run();
    members(&run, &RUN, &["held"]);
    assert_eq!((&run["plan"], &run["planned"]), (&planned["plan"], &planned["counts"]));
    assert_eq!(run["counts"]["ban"]["held"], 10);

    let id = run["plan"].as_str().expect("an id");
    let shown = stage.home.run_json(&["plans", "show", id]).exits(0).json();
    members(&shown, &PLAN, &["made_at"]);
    for same in ["operations", "counts", "held", "sync", "source_records", "excluded", "unchanged"] {
        assert_eq!(shown[same], planned[same], "{same}");
    }
    assert_eq!(shown["id"], json!(id));
    let listed = stage.home.run_json(&["plans"]).exits(0).json()["plans"][0].clone();
    members(&listed, &["id", "sync", "made_at", "limit", "count", "allowed", "counts"], &[]);
    let approved = stage.home.run_json(&["approve", id]).exits(75).the_run();
    members(&approved, &RUN, &["approved"]);
    assert_eq!(approved["planned"], planned["counts"]);
}

#[test]
fn a_run_tells_what_was_planned_and_what_came_of_it() {
    let stage = eventful();
    stage.home.configure("[syncs.staff.limits]\nban = 20");
    stage.sim.script(json!({"method": "POST", "nth": 1, "do": "status:422"}));
    let run = stage.home.run_json(&["sync"]).exits(75).the_run();
    members(&run, &RUN, &[]);
    assert_eq!((&run["status"], &run["plan"], &run["error"]), (&json!("partial"), &Value::Null, &Value::Null));
    assert_eq!(run["planned"], json!({"adopt": 1, "ban": 10, "create": 1, "reinstate": 1, "update": 2}));
    let counted = |op: &str| {
        members(&run["counts"][op], &["ok", "failed", "unknown", "held"], &["skipped"]);
        (run["counts"][op]["ok"].as_u64(), run["counts"][op]["failed"].as_u64())
    };
    assert_eq!((counted("create"), counted("ban")), ((Some(0), Some(1)), (Some(10), Some(0))));
    assert_eq!((&run["rejected"], &run["skipped"], &run["source_records"]), (&json!(1), &json!(0), &json!(31)));
    // One terminal outcome for each record that is not unchanged or excluded, and for each leaver.
    let total: u64 = stage.home.last_run().values().sum();
    assert_eq!(total, 15 + 1);
}

#[test]
fn the_status_tells_how_a_sync_stands() {
    let stage = Stage::new();
    stage.home.configure("[syncs.staff.limits]\nban = 2");
    const STATUS: [&str; 9] =
        ["sync", "state", "last_run", "last_good_run", "age_seconds", "next_run", "held_plan", "unresolved", "reason"];
    let status = |stage: &Stage| {
        let status = stage.home.run_json(&["status"]).exits(0).json()["syncs"][0].clone();
        members(&status, &STATUS, &[]);
        status
    };
    assert_eq!(status(&stage)["state"], "never");
    stage.sync(&people(1, 10), 0);
    let good = status(&stage);
    assert_eq!((&good["state"], &good["unresolved"], &good["held_plan"]), (&json!("ok"), &json!(0), &Value::Null));
    for time in ["last_run", "last_good_run"] {
        assert!(good[time].as_str().is_some_and(|t| chrono::DateTime::parse_from_rfc3339(t).is_ok()), "{good}");
    }
    assert!(good["age_seconds"].as_u64().is_some_and(|n| n < 60), "{good}");
    stage.sync(&people(1, 5), 3);
    let held = status(&stage);
    assert_eq!((&held["state"], &held["last_good_run"]), (&json!("held"), &good["last_good_run"]));
    assert!(held["reason"].as_str().is_some_and(|r| r.contains("ban")), "{held}");
}

#[test]
fn json_is_alone_on_standard_output() {
    let stage = Stage::new();
    stage.home.people(&["E0001,ragged".to_string(), Person::new(2).row()]);
    for command in [&["-v", "sync"][..], &["-vv", "plan"], &["status"], &["plans"]] {
        let ran = stage.home.run_json(command);
        ran.json();
        assert_eq!(ran.stdout.lines().count(), 1, "{command:?}: {}", ran.stdout);
    }
    let text = stage.home.run(&["sync"]).exits(75);
    assert!(text.stdout.contains("staff: partial") && !text.stdout.contains('\u{1b}'), "{}", text.stdout);
}

#[test]
fn no_log_line_tells_a_value_of_a_person() {
    let stage = eventful();
    stage.home.configure("[syncs.staff.limits]\nban = 20");
    stage.sim.script(json!({"method": "POST", "nth": 1, "do": "status:409", "body": "{\"error\":{\"code\":\"duplicate\",\"message\":\"email p60@acme.example is taken\"}}"}));
    let output = stage.home.command(&["-vv", "--log-format", "json", "sync"]).env("RUST_LOG", "trace").output();
    let output = output.expect("the binary runs");
    let logged = String::from_utf8_lossy(&output.stderr);
    assert!(logged.contains("E0060") && logged.lines().count() > 10, "{logged}");
    for value in ["acme.example", "Zürich", "555-0", "Chef", "sandbox\"", "Bearer sandbox"] {
        assert!(!logged.contains(value), "{value} is in the log:\n{logged}");
    }
}
