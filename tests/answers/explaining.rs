//! `why`: the sentences for each state that a person can be in, as golden files (`BLESS=1` rewrites them), and the JSON.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{account, by_hand, row, synced};
use crate::support::{Home, Sim};

/// Compares what `why staff WHO` says with its golden file.
#[track_caller]
pub fn tells(sim: &Sim, home: &Home, who: &str, name: &str) {
    let ran = home.run(&["why", "staff", who]).exits(0);
    let said = settled(&ran.stdout, sim);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/why").join(format!("{name}.txt"));
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &said).expect("a golden file");
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(said, golden, "{name}: if this is better, BLESS=1");
}

/// What differs from run to run, replaced: times, ids of plans and of accounts.
fn settled(text: &str, sim: &Sim) -> String {
    let mut text = text.to_string();
    for user in sim.users() {
        text = text.replace(&user["id"].to_string(), "<id>");
    }
    let stamp = |word: &str| {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let plan = bare.len() == 12 && bare.chars().all(|c| c.is_ascii_hexdigit());
        if plan { word.replace(bare, "<plan>") } else { word.to_string() }
    };
    let time = regex::Regex::new(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC").expect("a pattern");
    let text = time.replace_all(&text, "<time>");
    text.split_inclusive([' ', '\n']).map(stamp).collect()
}

fn set(home: &Home, lines: &str) {
    let text = fs::read_to_string(home.config()).expect("a configuration");
    home.write("config/rosterd.toml", &text.replace("match = [\"email\"]", &format!("match = [\"email\"]\n{lines}")));
}

fn left(key: &str) -> String {
    row(key, "Nurse").replace(",active", ",left")
}

#[test]
fn people_in_the_source() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1", "E2"]);
    sim.seed(json!([{"email": "e4@acme.com", "banned": true}, {"email": "e5@acme.com", "client_id": "X5"}]));
    home.people(&[
        row("E1", "Nurse"),
        row("E2", "Matron"),
        row("E3", "Nurse"),
        row("E4", "Nurse"),
        row("E5", "Nurse"),
        left("E6"),
        "E7,ragged".to_string(),
        row("E8", "A"),
        row("E8", "B"),
    ]);
    for (who, name) in [
        ("E1", "in-step"),
        ("E2@ACME.com", "update"),
        ("E3", "create"),
        ("e4@acme.com", "adopt"),
        ("E5", "conflict"),
        ("E6", "excluded"),
        ("E7", "rejected"),
        ("E8", "rejected-twice"),
    ] {
        tells(&sim, &home, who, name);
    }
    let id = sim.user("E1").expect("an account")["id"].to_string();
    let by_id = home.run_json(&["why", "staff", &id]).exits(0).json();
    assert_eq!(by_id["key"], "E1");
    home.run(&["why", "staff", "nobody@acme.com"]).exits(64);
    home.run(&["why", "nothing", "E1"]).exits(64);
}

/// Whose matter is settled, of them no row is kept that is not asked for.
#[test]
fn people_whose_matter_is_settled_are_found_by_what_only_the_source_has() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1", "E2"]);
    let people = [row("E1", "Nurse"), row("E2", "Nurse"), left("E6"), left("E7").replace("e7@", "both@")];
    home.people(&people);
    home.run(&["sync"]).exits(0);
    let plan = home.run_json(&["plan"]).exits(0).json();
    assert_eq!((&plan["syncs"][0]["unchanged"], &plan["syncs"][0]["excluded"]), (&json!(2), &json!(2)));
    for who in ["E6", "e6@acme.com", " E6@ACME.COM"] {
        let told = home.run_json(&["why", "staff", who]).exits(0).json();
        assert_eq!((&told["key"], &told["excluded"]), (&json!("E6"), &json!(true)), "{who}");
    }
    assert_eq!(home.run_json(&["why", "staff", "E1"]).exits(0).json()["next"]["op"], Value::Null);
    // A newcomer has the same address as somebody who is out of scope: whichever was kept, both may be meant.
    home.people(&[&people[..], &[row("E8", "Nurse").replace("e8@", "both@")]].concat());
    let asked = home.run(&["why", "staff", "both@acme.com"]).exits(64);
    assert!(asked.stderr.contains("E7, E8"), "{}", asked.stderr);
    assert_eq!(home.run_json(&["why", "staff", "E8"]).exits(0).json()["next"]["op"], "create");
}

#[test]
fn people_who_left() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1", "E2", "E3", "E4", "E5"]);
    home.people(&[left("E1"), row("E4", "Nurse"), row("E5", "Nurse")]);
    tells(&sim, &home, "E1", "ban-excluded");
    tells(&sim, &home, "E2", "ban-absent");
    home.run(&["sync"]).exits(0);
    tells(&sim, &home, "E1", "banned-excluded");
    tells(&sim, &home, "E2", "banned-absent");
    home.people(&[row("E1", "Nurse"), row("E4", "Nurse"), row("E5", "Nurse")]);
    tells(&sim, &home, "E1", "reinstate");
    home.people(&[row("E4", "Nurse"), row("E5", "Nurse"), ",No,Key,x@acme.com,1,,,active".to_string()]);
    home.run(&["sync"]).exits(75);
    set(&home, "protect = [\"E5\"]");
    home.people(&[row("E4", "Nurse")]);
    tells(&sim, &home, "E5", "protected");
    home.people(&[row("E5", "Nurse"), ",No,Key,x@acme.com,1,,,active".to_string()]);
    tells(&sim, &home, "E4", "keyless-row");
}

#[test]
fn people_in_their_grace_and_people_ignored() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1", "E2", "E3"]);
    set(&home, "leave_grace = \"7d\"");
    home.people(&[row("E1", "Nurse"), row("E2", "Nurse")]);
    tells(&sim, &home, "E3", "grace-to-begin");
    home.run(&["sync"]).exits(0);
    tells(&sim, &home, "E3", "grace");
    let home = synced(&sim, &["E1", "E2", "E3"]);
    set(&home, "on_leave = \"ignore\"");
    home.people(&[row("E1", "Nurse"), row("E2", "Nurse")]);
    tells(&sim, &home, "E3", "leaving-ignored");
    home.run(&["sync"]).exits(0);
    tells(&sim, &home, "E3", "left");
}

#[test]
fn people_whom_something_holds_up() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1", "E2", "E3"]);
    home.people(&[row("E1", "Nurse"), row("E2", "Nurse"), row("E4", "Nurse")]);
    home.configure("[syncs.staff.limits]\nban = 0");
    home.run(&["sync"]).exits(3);
    tells(&sim, &home, "E3", "held");
    home.run(&["pause", "staff"]).exits(0);
    tells(&sim, &home, "E4", "paused");
    home.write("config/hr.csv", "");
    tells(&sim, &home, "E1", "untrusted");
}

#[test]
fn people_whose_fate_is_unknown_or_whose_account_is_gone() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1", "E3", "E4", "E5"]);
    home.people(&[row("E1", "Nurse"), row("E2", "Nurse"), row("E4", "Nurse"), row("E5", "Nurse")]);
    sim.script(json!({"method": "POST", "key": "E2", "do": "commit-then-close"}));
    sim.script(json!({"method": "GET", "nth": 2, "times": 100, "do": "close-before-commit"}));
    home.run(&["sync"]).exits(75);
    tells(&sim, &home, "E2", "unresolved");
    sim.calm();
    sim.clear();
    home.people(&[row("E1", "Nurse"), row("E2", "Nurse"), row("E5", "Nurse")]);
    home.run(&["sync"]).exits(0);
    tells(&sim, &home, "E4", "deleted");
}

#[test]
fn the_json_is_the_contracts() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1", "E2"]);
    by_hand(&sim, "E1", json!({"city": "Thun"}));
    home.people(&[row("E1", "Matron"), left("E2")]);
    let why = home.run_json(&["why", "staff", "E1"]).exits(0).json();
    let names: Vec<&str> = why.as_object().expect("an object").keys().map(String::as_str).collect();
    let documented = [
        "excluded",
        "from",
        "in_source",
        "key",
        "label",
        "mapped",
        "next",
        "outcomes",
        "remote_id",
        "snapshot",
        "state",
        "sync",
    ];
    assert_eq!(names, documented, "and how each field came about");
    assert_eq!((&why["in_source"], &why["excluded"], &why["state"]), (&json!(true), &json!(false), &json!("active")));
    let mut expected = account("E1", "Matron");
    expected["account_level"] = json!(0);
    assert_eq!(why["mapped"], expected);
    assert_eq!(why["from"]["account_level"], "a constant, given to a new account only");
    assert_eq!(why["next"]["op"], "update");
    assert_eq!(why["snapshot"]["title"], "Nurse");
    assert_eq!(why["outcomes"][0]["op"], "create");
    let gone = home.run_json(&["why", "staff", "E2"]).exits(0).json();
    assert_eq!((&gone["excluded"], &gone["next"]["op"]), (&json!(true), &json!("ban")));
    let stranger = home.run_json(&["why", "staff", "E9"]).exits(64).json();
    assert_eq!(stranger["error"]["code"], 64);
    assert_ne!(stranger["error"]["help"], Value::Null);
}
