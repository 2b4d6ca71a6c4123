//! What operators do by hand: pause and resume, rekey; and what a sync is bound to.

use std::process::Stdio;

use serde_json::json;

use super::{cell, outcomes, replace, row, rows, run_of, staffed, with};
use crate::support::{Home, Op, Sim};

#[test]
fn a_paused_sync_does_nothing_and_says_so() {
    let (sim, home) = staffed(3, "", "");
    home.run(&["pause", "staff"]).exits(0);
    home.people(&rows(1..=4));
    let mark = sim.mark();
    let run = run_of(&home.run_json(&["sync"]).exits(0));
    assert_eq!((&run["status"], &run["error"], &run["counts"]), (&json!("paused"), &json!(null), &json!({})));
    assert!(home.run(&["sync"]).exits(0).stdout.contains("rosterd resume staff"));
    assert_eq!(home.run_json(&["status"]).json()["syncs"][0]["state"], "paused");
    // Even where the source is missing meanwhile.
    std::fs::remove_file(home.path().join("config/hr.csv")).expect("a source");
    assert_eq!(run_of(&home.run_json(&["sync"]).exits(0))["status"], "paused");
    assert!(sim.since(mark).is_empty());
    home.people(&rows(1..=4));
    assert!(home.run(&["resume", "staff"]).exits(0).stdout.contains("staff"));
    assert_eq!(run_of(&home.run_json(&["sync"]).exits(0))["counts"]["create"]["ok"], json!(1));
    home.run(&["pause", "stuff"]).exits(64);
}

#[test]
fn a_pause_is_obeyed_between_two_requests_and_resume_goes_on() {
    let (sim, home) = staffed(2, "", "");
    replace(&home, "[targets.juno]", "[targets.juno]\nconcurrency = 1");
    sim.behave(json!({"latency_ms": 100}));
    home.people(&[rows(1..=2), (10..60).map(row).collect()].concat());
    let mark = sim.mark();
    let sending = home
        .command(&["sync", "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let committed =
        |requests: &[rosterd::sandbox::Request]| requests.iter().filter(|r| r.seq > mark && r.committed).count();
    sim.wait_until("three creates", |requests| committed(requests) >= 3);
    home.run(&["pause", "staff"]).exits(0);
    let output = sending.wait_with_output().expect("the run ends");
    let run: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let run = &run["runs"][0];
    assert_eq!((output.status.code(), &run["status"]), (Some(0), &json!("paused")), "{run:#}");
    let made = sim.committed_since(mark, Op::Create);
    assert!((3..40).contains(&made), "{made} of 50 after the pause");
    assert_eq!(
        (&run["counts"]["create"]["ok"], &run["counts"]["create"]["skipped"]),
        (&json!(made), &json!(50 - made))
    );
    assert_eq!((&run["counts"]["create"]["unknown"], &run["counts"]["create"]["failed"]), (&json!(0), &json!(0)));
    let of_run = outcomes(&home, &["--run", run["run"].as_str().expect("an id")]);
    assert_eq!(of_run.len(), 50);
    assert!(of_run.iter().all(|o| o["status"] == "ok" || o["reason"] == "stopped"));

    sim.calm();
    home.run(&["resume", "staff"]).exits(0);
    let run = run_of(&home.run_json(&["sync"]).exits(0));
    assert_eq!(run["counts"]["create"]["ok"], json!(50 - made));
    assert_eq!(sim.users().len(), 52);
}

#[test]
fn a_new_key_keeps_the_account() {
    let (sim, home) = staffed(3, "", "");
    let id = sim.user("E0001").expect("an account")["id"].clone();
    let reissued = with(1, "p1@acme.example", "Nurse").replace("E0001", "N0001");
    home.people(&[vec![reissued], rows(2..=3)].concat());

    // A leaver and a newcomer who look like one person: said in the plan, in words that can be typed.
    let plan = home.run_json(&["plan"]).exits(0).json()["syncs"][0]["operations"].clone();
    let create = plan.as_array().expect("a list").iter().find(|o| o["key"] == "N0001").expect("the newcomer").clone();
    assert!(create["conflict"].as_str().unwrap_or_default().contains("rosterd rekey staff E0001 N0001"), "{create}");
    assert!(home.run(&["plan"]).exits(0).stdout.contains("rosterd rekey staff E0001 N0001"));

    home.run(&["rekey", "staff", "E9999", "N0001"]).exits(64);
    home.run(&["rekey", "staff", "E0002", "E0003"]).exits(64);
    home.run(&["rekey", "stuff", "E0001", "N0001"]).exits(64);
    let mark = sim.mark();
    home.run(&["rekey", "staff", "E0001", "N0001"]).exits(0);
    let run = run_of(&home.run_json(&["sync"]).exits(0));
    assert_eq!(run["planned"], json!({"update": 1}));
    let writes = sim.writes_since(mark);
    assert_eq!((writes.len(), writes[0].fields.to_vec()), (1, vec!["client_id".to_string()]));
    assert_eq!(sim.user("N0001").expect("an account")["id"], id);
    assert_eq!(sim.user("E0001"), None);
    assert_eq!(home.run_json(&["sync"]).exits(0).json()["runs"][0]["unchanged"], json!(3));
}

#[test]
fn a_key_waits_for_what_is_unresolved() {
    let (sim, home) = staffed(3, "", "");
    sim.script(json!({"method": "PUT", "do": "commit-then-close"}));
    home.people(&[vec![with(1, "p1@acme.example", "Matron")], rows(2..=3)].concat());
    home.run(&["sync"]).exits(75);
    home.people(&[vec![with(1, "p1@acme.example", "Matron").replace("E0001", "N0001")], rows(2..=3)].concat());
    let ran = home.run(&["rekey", "staff", "E0001", "N0001"]).exits(75);
    assert!(ran.stderr.contains("--only E0001"), "{}", ran.stderr);
    sim.calm();
    home.run(&["sync"]).exits(75);
    home.run(&["rekey", "staff", "E0001", "N0001"]).exits(0);
    home.run(&["sync"]).exits(0);
}

#[test]
fn a_sync_is_bound_to_its_target_and_key() {
    let (sim, home) = staffed(3, "", "");
    let other = Sim::start();
    let plain = std::fs::read_to_string(home.config()).expect("a configuration");
    let mark = sim.mark();
    let refuses = |what: &str| {
        for command in ["plan", "sync"] {
            let ran = home.run_json(&[command]).exits(78);
            assert!(ran.stdout.contains(what) && ran.stdout.contains("3 people"), "{what}: {}", ran.stdout);
        }
        std::fs::write(home.config(), &plain).expect("the configuration");
    };
    replace(&home, &sim.juno(), &other.juno());
    refuses("base_url");
    replace(&home, "key = \"employee_id\"", "key = \"email\"");
    refuses("source key");
    let definition =
        home.run(&["targets", "show", "juno"]).exits(0).stdout.replace("kind = \"juno\"", "kind = \"rest\"");
    home.write("config/ours.toml", &definition);
    replace(&home, "kind = \"juno\"", "kind = \"rest\"\ndefinition = \"ours.toml\"");
    refuses("target kind");
    assert!(sim.since(mark).is_empty() && other.requests().is_empty());
    home.run(&["sync"]).exits(0);

    // Under a new name everybody is looked up and adopted, as the message says; the old one owns nothing any more.
    replace(&home, "[syncs.staff]", "[syncs.people]");
    for section in ["map", "limits"] {
        replace(&home, &format!("[syncs.staff.{section}]"), &format!("[syncs.people.{section}]"));
    }
    assert_eq!(run_of(&home.run_json(&["sync"]).exits(0))["counts"]["adopt"]["ok"], json!(3));
    assert_eq!(sim.users().len(), 3);
}

#[test]
fn an_empty_snapshot_may_move() {
    let (_sim, home) = staffed(0, "", "");
    let other = Sim::start();
    home.people(&rows(1..=2));
    std::fs::write(home.path().join("config/hr.csv"), "employee_id,email\n").expect("a source");
    home.run(&["sync"]).exits(65);
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    let base = text.lines().find(|l| l.starts_with("base_url")).expect("a base_url").to_string();
    replace(&home, &base, &format!("base_url = \"{}\"", other.juno()));
    home.people(&rows(1..=2));
    home.run(&["sync"]).exits(0);
    assert_eq!(other.users().len(), 2);
}

/// The configuration with a second sync over another file on the same target.
fn with_a_second_sync(home: &Home) {
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    let (head, sync) = text.split_once("[syncs.staff]").expect("a sync");
    let second = format!("[syncs.staff]{sync}").replace("syncs.staff", "syncs.guests").replace("\"hr\"", "\"agency\"");
    let source = "[sources.agency]\nkind = \"csv\"\npath = \"agency.csv\"\nkey = \"employee_id\"\n";
    std::fs::write(home.config(), format!("{head}{source}[syncs.staff]{sync}\n{second}")).expect("the configuration");
}

#[test]
fn two_syncs_never_own_one_account() {
    let (sim, home) = staffed(3, "", "");
    with_a_second_sync(&home);
    home.write("config/agency.csv", &std::fs::read_to_string(home.path().join("config/hr.csv")).expect("a source"));
    let id = sim.user("E0001").expect("an account")["id"].to_string();
    let mark = sim.mark();
    for args in [&["plan", "guests"], &["sync", "guests"]] {
        let ran = home.run_json(args).exits(78);
        assert!(
            ran.stdout.contains(&format!("account {id}")) && ran.stdout.contains("belongs to sync staff"),
            "{ran:?}"
        );
    }
    assert!(sim.writes_since(mark).is_empty());
    // The other one isn't stopped by it, and people of its own are no matter.
    home.run(&["sync", "staff"]).exits(0);
    home.write(
        "config/agency.csv",
        "employee_id,first_name,last_name,email,phone,title,city,status\nX1,Bo,Li,bo@acme.example,,,,active\n",
    );
    home.run(&["sync"]).exits(0);
    assert_eq!(sim.users().len(), 4);
    assert_eq!(cell::<i64>(&home, "SELECT count(DISTINCT sync) FROM v_users"), 2);
}
