//! `runs`, `outcomes` and what `why` tells of the past: what was done, who had it done, and under which key.

use serde_json::{Value, json};

use super::{row, synced};
use crate::support::{Home, Sim};

fn runs(home: &Home, args: &[&str]) -> Vec<Value> {
    let ran = home.run_json(&[&["runs"], args].concat()).exits(0).json();
    ran["runs"].as_array().expect("runs").clone()
}

fn gone(key: &str) -> String {
    row(key, "Nurse").replace(",active", ",left")
}

/// Two people are banned by a plan that somebody approved, and that is undone: the run, and that of the undo.
fn approved_and_undone(home: &Home) -> (String, String) {
    let text = |value: &Value| value.as_str().expect("text").to_string();
    home.configure("[syncs.staff.limits]\nban = 1");
    home.people(&[gone("E1"), gone("E2"), row("E3", "Nurse")]);
    let held = home.run_json(&["sync"]).exits(3).the_run();
    let plan = text(&held["plan"]);
    let sent = home.run_json(&["approve", &plan, "--reason", "the ward has closed"]).exits(0).the_run();
    let run = text(&sent["run"]);
    let inverse = text(&home.run_json(&["undo", &run]).exits(0).json()["plan"]);
    let undone = home.run_json(&["approve", &inverse, "--reason", "wrong export"]).exits(0).the_run();
    (run, text(&undone["run"]))
}

#[test]
fn every_kind_of_run_is_told_newest_first_with_who_began_it_and_what_became_of_it() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1", "E2", "E3"]);
    let (approved, undo) = approved_and_undone(&home);
    home.run(&["sync"]).exits(0);
    home.run(&["resume", "staff"]).exits(0);
    home.people(&[row("E1", "Nurse"), row("E2", "Nurse"), row("E3", "Nurse")]);
    home.run(&["sync"]).exits(0);
    home.write("config/hr.csv", "");
    home.run(&["sync"]).exits(65);
    home.people(&[row("E1", "Nurse"), row("E2", "Nurse"), row("E3", "Nurse")]);
    home.run(&["reconcile", "--repair"]).exits(0);

    let told = runs(&home, &[]);
    let of = |name: &str| told.iter().map(|run| run[name].clone()).collect::<Vec<_>>();
    assert_eq!(of("status"), ["ok", "untrusted", "ok", "paused", "ok", "ok", "held", "ok"].map(|s| json!(s)));
    let triggers = ["reconcile", "command", "command", "command", "undo", "approve", "command", "command"];
    assert_eq!(of("trigger"), triggers.map(|trigger| json!(trigger)));
    let said = [None, None, None, None, Some("wrong export"), Some("the ward has closed"), None, None];
    assert_eq!(of("reason"), said.map(|said| json!(said)));
    assert_eq!((&told[5]["run"], &told[4]["run"]), (&json!(approved), &json!(undo)));
    let uid = format!("(uid {})", rustix::process::getuid().as_raw());
    for run in &told {
        assert!(run["by"].as_str().is_some_and(|by| by.contains(&uid)), "{run}");
        assert!(run["finished_at"].as_str() >= run["started_at"].as_str(), "{run}");
        let keys: Vec<&String> = run.as_object().expect("an object").keys().collect();
        assert_eq!(keys.len(), 13, "{keys:?}");
    }
    let count = |ok: u64, held: u64| json!({"ok": ok, "failed": 0, "unknown": 0, "held": held, "skipped": 0});
    assert_eq!(told[7]["counts"], json!({"create": count(3, 0)}));
    assert_eq!((&told[6]["counts"], &told[6]["error"]["code"]), (&json!({"ban": count(0, 2)}), &json!(3)));
    assert_eq!(told[5]["counts"], json!({"ban": count(2, 0)}));
    assert_eq!(told[4]["counts"], json!({"reinstate": count(2, 0)}));
    assert_eq!((&told[2]["counts"], &told[2]["unchanged"], &told[2]["error"]), (&json!({}), &json!(3), &Value::Null));
    assert_eq!(told[1]["error"]["code"], 65);

    let text = home.run(&["runs"]).exits(0).stdout;
    assert!(text.contains(&format!("{approved}  staff: ok")), "{text}");
    assert!(text.contains(&format!("an undo of run {approved}, approved by")), "{text}");
    assert!(text.contains("“the ward has closed”") && text.contains("2 reinstated"), "{text}");
    assert!(text.contains("held: 2 ban") && text.contains("held by the limit ban: 2 people"), "{text}");
}

#[test]
fn runs_are_chosen_by_sync_time_and_number() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1"]);
    home.run(&["sync"]).exits(0);
    let all = runs(&home, &[]);
    assert_eq!(all.len(), 2);
    assert_eq!(runs(&home, &["--limit", "1"]), &all[..1]);
    assert_eq!(runs(&home, &["--sync", "staff"]), all);
    assert_eq!(runs(&home, &["--since", "1h"]), all);
    let began = all[0]["started_at"].as_str().expect("a time");
    assert_eq!(runs(&home, &["--since", began]), &all[..1]);
    assert!(runs(&home, &["--since", "2099-01-01"]).is_empty());
    assert!(home.run(&["runs", "--since", "2099-01-01"]).exits(0).stdout.contains("No run matches."));
    home.run(&["runs", "--sync", "stuff"]).exits(64);
    home.run(&["runs", "--since", "yesterday"]).exits(64);
    home.run(&["runs", "--limit", "0"]).exits(64);
}

#[test]
fn a_run_whose_process_died_is_told_as_what_it_is_before_and_after_it_is_closed() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1"]);
    home.people(&[row("E1", "Nurse"), row("E2", "Nurse")]);
    sim.script(json!({"method": "POST", "key": "E2", "do": "commit-then-hang:60000"}));
    let mark = sim.mark();
    let under_way = home.start(&["sync"]);
    let began = std::time::Instant::now();
    while sim.writes_since(mark).is_empty() {
        assert!(began.elapsed().as_secs() < 30, "the request never came");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let running = runs(&home, &["--limit", "1"])[0].clone();
    assert_eq!((&running["status"], &running["finished_at"]), (&json!("running"), &Value::Null));
    assert!(home.run(&["runs"]).exits(0).stdout.contains("so far, by command of"));
    under_way.kill();
    let dead = runs(&home, &["--limit", "1"])[0].clone();
    assert_eq!((&dead["status"], &dead["finished_at"]), (&json!("failed"), &Value::Null));
    assert_eq!((&dead["error"]["code"], &dead["run"]), (&Value::Null, &running["run"]));
    assert!(home.run(&["runs"]).exits(0).stdout.contains("never finished"));
    home.run(&["sync"]).exits(0);
    let closed = runs(&home, &[])[1].clone();
    assert_eq!((&closed["status"], &closed["run"]), (&json!("failed"), &running["run"]));
    assert_eq!((&closed["trigger"], &closed["error"]), (&json!("command"), &dead["error"]));
    assert_eq!(closed["counts"]["create"]["unknown"], 1, "what became of it is counted: {closed}");
}

#[test]
fn a_stale_approval_is_nobodys_yes() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1", "E2", "E3"]);
    home.configure("[syncs.staff.limits]\nban = 1");
    home.people(&[gone("E1"), gone("E2"), row("E3", "Nurse")]);
    let plan = home.run_json(&["sync"]).exits(3).the_run()["plan"].as_str().expect("a plan").to_string();
    home.people(&[gone("E1"), row("E2", "Nurse"), row("E3", "Nurse")]);
    home.run(&["approve", &plan, "--reason", "too late"]).exits(3);
    let told = runs(&home, &["--limit", "1"])[0].clone();
    assert_eq!(
        (&told["trigger"], &told["status"], &told["reason"]),
        (&json!("approve"), &json!("held"), &json!("too late"))
    );
    let why = home.run_json(&["why", "staff", "E1"]).exits(0).json();
    assert!(why["outcomes"].as_array().expect("a list").iter().all(|o| o.get("approved_by").is_none()), "{why:#}");
}

#[test]
fn why_tells_who_approved_what_became_of_somebody_and_who_had_it_taken_back() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1", "E2", "E3"]);
    let (approved, _) = approved_and_undone(&home);
    let why = home.run_json(&["why", "staff", "E1"]).exits(0).json();
    let outcomes = why["outcomes"].as_array().expect("a list");
    let (reinstated, banned, created) = (&outcomes[0], &outcomes[1], &outcomes[3]);
    assert_eq!((&reinstated["op"], &reinstated["approval_reason"]), (&json!("reinstate"), &json!("wrong export")));
    assert_eq!((&banned["op"], &banned["approval_reason"]), (&json!("ban"), &json!("the ward has closed")));
    assert_eq!((&banned["undo_reason"], &banned["undone_by"]), (&json!("wrong export"), &reinstated["approved_by"]));
    assert!(created.get("approved_by").is_none() && created.get("undone_by").is_none(), "{created}");
    // The ledger says so, too, and nothing where nobody approved anything.
    let rows = home.outcomes(&["--key", "E1"]);
    assert_eq!(rows.iter().rev().collect::<Vec<_>>(), outcomes.iter().collect::<Vec<_>>());
    let text = home.run(&["outcomes", "--key", "E1"]).exits(0).stdout;
    assert_eq!(text.matches("approved by").count(), 2, "{text}");
    assert!(text.contains(": “the ward has closed”  ") && text.contains(": “wrong export”  "), "{text}");
    let csv = home.run(&["outcomes", "--key", "E1", "--format", "csv"]).exits(0).stdout;
    assert!(csv.lines().any(|line| line.contains(",ban,ok,") && line.ends_with(",the ward has closed")), "{csv}");
    let text = home.run(&["why", "staff", "E1"]).exits(0).stdout;
    assert!(text.contains(&format!("in an undo of run {approved}, approved by")), "{text}");
    assert!(text.contains(": “the ward has closed”; its run was taken back, approved by"), "{text}");
}

#[test]
fn outcomes_are_newest_first_for_people_and_oldest_first_for_programs_and_a_limit_is_of_the_newest() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1", "E2", "E3"]);
    home.people(&[row("E1", "Matron"), row("E2", "Matron"), row("E3", "Matron")]);
    let run = home.run_json(&["sync"]).exits(0).the_run()["run"].as_str().expect("a run").to_string();
    let all = home.outcomes(&[]);
    assert_eq!(all.len(), 6);
    let op = |rows: &[Value]| rows.iter().map(|row| row["op"].clone()).collect::<Vec<_>>();
    assert_eq!(op(&all)[..3], ["create", "create", "create"].map(|op| json!(op)));
    for limit in 1..8 {
        let newest = home.outcomes(&["--limit", &limit.to_string()]);
        assert_eq!(newest, &all[all.len().saturating_sub(limit)..], "{limit}");
    }
    assert_eq!(home.outcomes(&["--status", "ok", "--since", "1h", "--limit", "2"]), &all[4..]);
    assert_eq!(home.outcomes(&["--key", "E2", "--limit", "1"])[0]["op"], "update");
    let csv = home.run(&["outcomes", "--format", "csv", "--limit", "2"]).exits(0).stdout;
    assert_eq!(csv.lines().count(), 3, "{csv}");
    let text = home.run(&["outcomes"]).exits(0).stdout;
    assert_eq!(text.lines().count(), 6, "all of them, since nobody looks: {text}");
    assert!(text.lines().next().is_some_and(|line| line.contains("  update ") && line.ends_with(&run)), "{text}");
    // Oldest last, and the id that is shown is one that can be used.
    assert!(text.lines().last().is_some_and(|line| line.contains("  create ")), "{text}");
    let two = home.run(&["outcomes", "--limit", "2"]).exits(0).stdout;
    assert_eq!(two.lines().collect::<Vec<_>>(), text.lines().take(2).collect::<Vec<_>>());
    assert_eq!(home.outcomes(&["--run", &run]).len(), 3);
    home.run(&["undo", &run]).exits(0);
}

#[test]
fn the_history_goes_with_a_new_key_and_is_erased_with_the_person() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1", "E2"]);
    home.people(&[row("E1", "Matron"), row("E2", "Nurse")]);
    let updated = home.run_json(&["sync"]).exits(0).the_run()["run"].clone();
    let as_new = |key: &str| row("E1", "Matron").replacen("E1,", &format!("{key},"), 1);
    home.people(&[as_new("N1"), row("E2", "Nurse")]);
    home.run(&["rekey", "staff", "E1", "N1"]).exits(0);
    home.run(&["sync"]).exits(0);
    home.people(&[as_new("M1"), row("E2", "Nurse")]);
    home.run(&["rekey", "staff", "N1", "M1"]).exits(0);
    home.run(&["sync"]).exits(0);

    // What was written stays as it was written, and is found by the key of today.
    let of = |key: &str| home.outcomes(&["--key", key]).iter().map(|o| o["key"].clone()).collect::<Vec<_>>();
    assert_eq!(of("M1"), ["E1", "E1", "N1", "M1"].map(|key| json!(key)));
    assert_eq!(of("E1"), ["E1", "E1"].map(|key| json!(key)));
    assert_eq!(home.outcomes(&["--key", "M1", "--limit", "2"])[0]["key"], "N1");
    let run = updated.as_str().expect("a run");
    assert_eq!(home.outcomes(&["--key", "M1", "--run", run]).len(), 1);
    let text = home.run(&["outcomes", "--key", "M1"]).exits(0).stdout;
    assert!(text.contains("M1 (then E1)") && text.contains("M1 (then N1)"), "{text}");
    let text = home.run(&["outcomes", "--key", "E1"]).exits(0).stdout;
    assert!(text.contains("E1 (now M1)") && text.contains("rosterd outcomes --key M1"), "{text}");

    // Whoever has the old key now is meant by it no more, and who had it is.
    let why = home.run_json(&["why", "staff", "E1"]).exits(0).json();
    let keys: Vec<_> = why["outcomes"].as_array().expect("a list").iter().map(|o| o["key"].clone()).collect();
    assert_eq!((&why["key"], keys), (&json!("M1"), ["M1", "N1", "E1", "E1"].map(|key| json!(key)).to_vec()));
    let text = home.run(&["why", "staff", "M1"]).exits(0).stdout;
    assert!(text.contains("They had the key E1 until ") && text.contains("create ok (then E1)"), "{text}");

    // Somebody else gets the old key: a history of their own.
    let other = row("E1", "Nurse").replace("e1@acme.com", "other@acme.com").replace("555-E1", "555-O");
    home.people(&[as_new("M1"), row("E2", "Nurse"), other]);
    home.run(&["sync"]).exits(0);
    let why = home.run_json(&["why", "staff", "E1"]).exits(0).json();
    assert_eq!((&why["key"], why["outcomes"].as_array().map(Vec::len)), (&json!("E1"), Some(1)));
    assert_eq!(of("E1").len(), 3, "the ledger has both");
    assert_eq!(of("M1").len(), 4);

    // What was kept of M1 under any key goes, and nothing of who has E1 now.
    let told = home.run_json(&["forget", "staff", "M1"]).exits(0).json();
    assert_eq!(told["outcomes"], 4, "{told}");
    assert_eq!((of("M1"), of("N1")), (vec![], vec![]));
    assert_eq!(of("E1"), [json!("E1")]);
    assert_eq!(home.query("SELECT count(*) FROM former_key"), [[json!(0)]]);
    assert_eq!(home.query("SELECT key FROM v_users ORDER BY key"), [[json!("E1")], [json!("E2")]]);
}

#[test]
fn who_is_forgotten_by_a_key_that_they_had_is_named_by_the_one_that_they_have() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1", "E2"]);
    home.people(&[row("E1", "Nurse").replacen("E1,", "N1,", 1), row("E2", "Nurse")]);
    home.run(&["rekey", "staff", "E1", "N1"]).exits(0);
    let refused = home.run(&["forget", "staff", "E1"]).exits(64);
    assert!(refused.stderr.contains("rosterd forget staff N1"), "{}", refused.stderr);
    assert_eq!(home.outcomes(&["--key", "E1"]).len(), 1, "nothing was erased");
}
