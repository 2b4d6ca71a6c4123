//! Limits, and the plans that they hold until somebody decides.

use rosterd::sandbox::Op;
use serde_json::{Value, json};

use crate::support::{Person, Ran, Stage, people};

/// Forty people, of whom fifteen leave: more than the ten that the default limit allows.
fn held() -> (Stage, Vec<Person>, String) {
    let stage = Stage::loaded(&people(1, 40));
    let roster = leaving(40, 25);
    let run = stage.sync(&roster, 3).the_run();
    assert_eq!((&run["status"], &run["planned"]), (&json!("held"), &json!({"ban": 15})));
    let id = run["plan"].as_str().expect("the plan's id").to_string();
    (stage, roster, id)
}

/// The roster of so many people when only the first `staying` of them stay: three are absent, the others out of scope.
fn leaving(all: usize, staying: usize) -> Vec<Person> {
    let mut roster = people(1, all);
    roster[staying..].iter_mut().for_each(|p| p.status = "gone".into());
    roster.truncate(all - 3.min(all - staying));
    roster
}

fn plans(stage: &Stage) -> Vec<Value> {
    stage.home.run_json(&["plans"]).exits(0).json()["plans"].as_array().expect("a list").clone()
}

fn banned(stage: &Stage) -> usize {
    stage.sim.users().iter().filter(|u| u["banned"] == true).count()
}

/// The accounts of forty people when this is the roster.
fn everybody_after(roster: &[Person]) -> Vec<Person> {
    let absent = people(1, 40).into_iter().filter(|p| !roster.iter().any(|s| s.id == p.id));
    roster.iter().cloned().chain(absent.map(|p| Person { status: "gone".into(), ..p })).collect()
}

/// The text of a refusal as JSON.
fn refusal(ran: &Ran) -> String {
    let json = ran.json();
    let error = if json["error"].is_object() { json["error"].clone() } else { json["runs"][0]["error"].clone() };
    assert_eq!(error["code"], 3, "{json}");
    error["message"].as_str().expect("a message").to_string()
}

#[test]
fn more_than_a_limit_allows_is_held_and_said_once() {
    let (stage, _, id) = held();
    assert_eq!(banned(&stage), 0);
    assert_eq!(stage.home.last_run(), [("held ban".to_string(), 15)].into());
    let held = &stage.home.outcomes(&["--status", "held"])[0];
    assert_eq!((&held["op"], &held["attempts"], &held["error"]), (&json!("ban"), &json!(0), &Value::Null));

    let mark = stage.sim.mark();
    let again = stage.home.run_json(&["sync"]).exits(3).the_run();
    assert_eq!((&again["plan"], &again["status"]), (&json!(id), &json!("held")));
    assert_eq!(again["counts"]["ban"]["held"], 15, "held again, and said so; of outcomes it writes none");
    assert_eq!(again["held_again"], true);
    assert_eq!(stage.home.last_run(), [].into());
    assert_eq!(stage.home.outcomes(&["--status", "held"]).len(), 15);
    assert_eq!(stage.sim.since(mark), []);

    let plan = plans(&stage).remove(0);
    let expected =
        json!({"id": id, "sync": "staff", "limit": "ban", "count": 15, "allowed": 10, "counts": {"ban": 15}});
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&plan[name], value, "{name}");
    }
    let status = stage.home.run_json(&["status"]).exits(0).json()["syncs"][0].clone();
    assert_eq!((&status["state"], &status["held_plan"]), (&json!("held"), &json!(id)));
}

#[test]
fn a_held_plan_holds_back_everything_in_it() {
    let stage = Stage::loaded(&people(1, 40));
    let mut others = leaving(40, 25);
    others[0].title = "Chef".into();
    others.push(Person::new(50));
    let mark = stage.sim.mark();
    let run = stage.sync(&others, 3).the_run();
    assert_eq!(run["planned"], json!({"create": 1, "update": 1, "ban": 15}));
    assert_eq!(stage.sim.writes_since(mark), []);
    let users = stage.home.query("SELECT count(*) FROM v_users WHERE state = 'active'");
    assert_eq!(users[0][0], 40);
}

#[test]
fn an_approved_plan_is_sent_and_an_approval_is_good_once() {
    let (stage, roster, id) = held();
    let run = stage.home.run_json(&["approve", &id, "--reason", "the Basel office was sold"]).exits(0).the_run();
    assert_eq!((&run["status"], &run["counts"]["ban"]["ok"]), (&json!("ok"), &json!(15)));
    stage.has_exactly(&everybody_after(&roster));
    assert_eq!(plans(&stage), [] as [Value; 0]);
    let kept = stage.home.query("SELECT status, decided_by IS NOT NULL, reason FROM plan");
    assert_eq!(json!(kept), json!([["sent", 1, "the Basel office was sold"]]), "who, when and why");

    let mark = stage.sim.mark();
    let twice = stage.home.run_json(&["approve", &id]).exits(3);
    assert!(refusal(&twice).contains(&id), "{}", twice.stdout);
    assert_eq!(stage.sim.since(mark), []);
    stage.home.run_json(&["plans", "show", &id]).exits(3);
    stage.nothing_left_to_do();
}

#[test]
fn an_approval_is_stale_when_the_same_would_not_be_planned_any_more() {
    let (stage, mut roster, id) = held();
    roster[32].status = "active".into();
    stage.home.roster(&roster);
    let stale = stage.home.run_json(&["approve", &id]).exits(3);
    let message = refusal(&stale);
    assert!(message.contains("stale") && message.contains("ban E0033"), "{message}");
    assert_eq!(banned(&stage), 0, "nothing was sent");

    // The plan as it would be now takes its place, and can be approved.
    let now = stage.home.run_json(&["sync"]).exits(3).the_run();
    let next = now["plan"].as_str().expect("a plan").to_string();
    assert_ne!(next, id);
    let superseded = stage.home.run_json(&["approve", &id]).exits(3);
    assert!(refusal(&superseded).contains("superseded"), "{}", superseded.stdout);
    stage.home.run_json(&["approve", &next]).exits(0);
    stage.has_exactly(&everybody_after(&roster));
}

#[test]
fn an_approval_outlives_a_newer_export_that_says_the_same_of_the_same_people() {
    let (stage, mut roster, id) = held();
    roster[3].title = "Chef".into();
    roster.push(Person::new(60));
    roster[9].status = "gone".into(); // one more leaver, whom nobody approved
    stage.home.roster(&roster);
    let run = stage.home.run_json(&["approve", &id]).exits(0).the_run();
    assert_eq!(run["planned"], json!({"ban": 15}), "what was seen, and nothing else");
    assert_eq!(stage.sim.user("E0010").expect("an account")["banned"], json!(false));
    assert!(stage.sim.user("E0060").is_none());
    let run = stage.home.run_json(&["sync"]).exits(0).the_run();
    assert_eq!(run["planned"], json!({"create": 1, "update": 1, "ban": 1}));
    stage.nothing_left_to_do();
}

#[test]
fn an_approval_is_stale_when_the_mapping_would_write_something_else() {
    let stage = Stage::new();
    stage.home.configure("[syncs.staff.limits]\nupdate = 2");
    let mut everybody = people(1, 5);
    stage.sync(&everybody, 0);
    for person in &mut everybody {
        person.title = "Chef".into();
    }
    let id = stage.sync(&everybody, 3).the_run()["plan"].as_str().expect("a plan").to_string();
    let config = std::fs::read_to_string(stage.home.config()).expect("the configuration");
    stage.home.write("config/rosterd.toml", &config.replace("title = \"title\"", "title = { cel = \"title + '!'\" }"));
    let mark = stage.sim.mark();
    let message = refusal(&stage.home.run_json(&["approve", &id]).exits(3));
    assert!(message.contains("update E0001"), "{message}");
    assert_eq!(stage.sim.writes_since(mark), []);
    stage.home.write("config/rosterd.toml", &config);
    stage.home.run_json(&["approve", &id]).exits(0);
    stage.has_exactly(&everybody);
}

#[test]
fn a_discarded_plan_is_gone_and_is_held_anew_by_the_next_run() {
    let (stage, _, id) = held();
    stage.home.run_json(&["discard", &id]).exits(0);
    assert_eq!(plans(&stage), [] as [Value; 0]);
    assert!(refusal(&stage.home.run_json(&["approve", &id]).exits(3)).contains("discarded"));
    stage.home.run_json(&["discard", &id]).exits(3);
    let run = stage.home.run_json(&["sync"]).exits(3).the_run();
    assert_eq!(run["plan"], json!(id), "planning the same again is the same plan");
    assert_eq!(run["counts"]["ban"]["held"], 15, "and it is news again");
    stage.home.run_json(&["approve", &id]).exits(0);
    assert_eq!(banned(&stage), 15);
}

#[test]
fn a_run_within_the_limits_supersedes_what_was_held() {
    let (stage, _, id) = held();
    stage.sync(&people(1, 40), 0);
    assert_eq!(plans(&stage), [] as [Value; 0]);
    assert!(refusal(&stage.home.run_json(&["approve", &id]).exits(3)).contains("superseded"));
    assert_eq!(banned(&stage), 0);
}

#[test]
fn unknown_plans_are_wrong_usage() {
    let (stage, _, _) = held();
    for command in [&["approve", "000000000000"][..], &["discard", "000000000000"], &["plans", "show", "000000000000"]]
    {
        let ran = stage.home.run_json(command).exits(64);
        assert_eq!(ran.json()["error"]["code"], 64);
    }
}

#[test]
fn each_limit_holds_under_its_own_name() {
    type Change = fn(&mut Vec<Person>);
    let cases: [(&str, &str, Change, Value); 9] = [
        ("create = 2", "create", |p| p.extend(people(51, 53)), json!([3, 2])),
        (
            "update = { percent = 5 }",
            "update",
            |p| p[..3].iter_mut().for_each(|p| p.city = "Bern".into()),
            json!([3, 2]),
        ),
        ("clear = 1", "clear.phone", |p| p[..2].iter_mut().for_each(|p| p.phone.clear()), json!([2, 1])),
        ("ban = 1", "ban", |p| p.truncate(38), json!([2, 1])),
        ("ban = { count = 1, percent = 10 }", "ban", |p| p.truncate(35), json!([5, 4])),
        ("ban = \"2%\"", "ban", |p| p.truncate(39), json!([1, 0])),
        ("ban = 10\nban_per_day = 3", "ban_per_day", |p| p.truncate(36), json!([4, 3])),
        (
            "ban = \"unlimited\"\nban_per_day = \"unlimited\"",
            "ban_all",
            |p| p.iter_mut().for_each(|p| p.status = "gone".into()),
            json!([40, 39]),
        ),
        ("clear = \"0%\"", "clear.city", |p| p[5].city.clear(), json!([1, 0])),
    ];
    for (limits, name, change, figures) in cases {
        let stage = Stage::loaded(&people(1, 40));
        stage.home.configure(&format!("[syncs.staff.limits]\n{limits}"));
        let mut everybody = people(1, 40);
        change(&mut everybody);
        let mark = stage.sim.mark();
        stage.sync(&everybody, 3);
        let plan = plans(&stage).remove(0);
        assert_eq!((&plan["limit"], json!([plan["count"], plan["allowed"]])), (&json!(name), figures), "{limits}");
        assert_eq!(stage.sim.writes_since(mark), [], "{limits}");
    }
}

#[test]
fn as_much_as_a_limit_allows_goes_through() {
    let stage = Stage::loaded(&people(1, 40));
    let run = stage.sync(&people(1, 30), 0).the_run();
    assert_eq!(run["counts"]["ban"]["ok"], 10);
    assert_eq!(banned(&stage), 10);
}

#[test]
fn bans_of_a_day_add_up_over_runs() {
    let stage = Stage::loaded(&people(1, 60));
    stage.home.configure("[syncs.staff.limits]\nban_per_day = 15");
    stage.sync(&leaving(60, 50), 0);
    let run = stage.sync(&leaving(60, 44), 3).the_run();
    assert_eq!(run["status"], "held");
    let plan = plans(&stage).remove(0);
    assert_eq!((&plan["limit"], &plan["count"], &plan["allowed"]), (&json!("ban_per_day"), &json!(16), &json!(15)));
    // Nobody else is held up by bans that have happened.
    let mut movers = leaving(60, 50);
    movers[0].title = "Chef".into();
    stage.sync(&movers, 0);
    stage.sync(&leaving(60, 45), 0);
    assert_eq!(stage.sim.committed_since(0, Op::Ban), 15);
}

#[test]
fn one_person_can_be_banned_while_a_plan_is_held() {
    let (stage, _, id) = held();
    let run = stage.home.run_json(&["sync", "--only", "E0030"]).exits(0).the_run();
    assert_eq!(run["planned"], json!({"ban": 1}));
    assert_eq!(banned(&stage), 1);
    assert_eq!(stage.sim.user("E0030").expect("an account")["banned"], json!(true));
    assert_eq!(plans(&stage)[0]["id"], json!(id), "the plan waits on");
    // The plan of all has one ban fewer now: what was seen is not what would be planned.
    assert!(refusal(&stage.home.run_json(&["approve", &id]).exits(3)).contains("ban E0030"));
}
