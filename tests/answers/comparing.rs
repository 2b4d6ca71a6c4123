//! `reconcile`: every kind of difference is told apart, kept within memory, and put right on request alone.

use serde_json::json;

use super::{account, by_hand, each, row, synced};
use crate::support::{Home, Sim};

#[test]
fn a_target_in_step_has_no_differences_and_is_not_written() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1", "E2", "E3"]);
    let mark = sim.mark();
    let report = home.run_json(&["reconcile", "--detailed-exitcode"]).exits(0).json();
    let staff = &report["syncs"][0];
    assert_eq!((&staff["sync"], &staff["target_users"], &staff["in_step"]), (&json!("staff"), &json!(3), &json!(3)));
    for list in ["missing", "drifted", "banned_there", "active_there", "orphaned", "adoptable"] {
        assert_eq!(staff[list], json!([]), "{list}");
    }
    assert!(sim.writes_since(mark).is_empty());
}

/// The five thousand: each kind of difference among many who are in step.
#[test]
fn five_thousand_with_every_kind_of_difference() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    home.configure("[targets.juno.options]\npage_size = 500");
    let key = |n: usize| format!("E{n:05}");
    let mut rows: Vec<String> = (0..5000).map(|n| row(&key(n), "Nurse")).collect();
    sim.seed((0..4990).map(|n| account(&key(n), "Nurse")).collect());
    home.people(&rows[..4990]);
    home.run(&["sync"]).exits(0);

    // Ten are new, two have left and are banned, one of whom somebody reactivates by hand.
    rows.truncate(5000);
    for gone in [20, 21] {
        rows[gone] = rows[gone].replace(",active", ",left");
    }
    home.people(&rows[..4990]);
    home.run(&["sync"]).exits(0);
    home.people(&rows);
    by_hand(&sim, &key(20), json!({"banned": false}));
    for n in 30..37 {
        by_hand(&sim, &key(n), json!({"title": "Boss", "first_name": ""}));
    }
    by_hand(&sim, &key(40), json!({"banned": true}));
    by_hand(&sim, &key(41), json!({"account_level": 99, "company": "Other"}));
    // One of the new ones has an account already, and so has somebody of whom HR knows nothing.
    sim.seed(json!([{"email": "E04999@acme.com"}, {"email": "stranger@acme.com"}, {"email": "boss@acme.com", "client_id": "X1"}]));

    let mark = sim.mark();
    let report = home.run_json(&["reconcile", "--detailed-exitcode"]).exits(2).json();
    let staff = &report["syncs"][0];
    assert_eq!(staff["target_users"], 4993);
    assert_eq!(staff["missing"].as_array().expect("missing").len(), 9);
    let drifted: Vec<String> = (30..37).map(key).collect();
    assert_eq!(each(&staff["drifted"], "key"), drifted.iter().map(String::as_str).collect());
    assert_eq!(
        staff["drifted"][0]["fields"],
        json!({"title": {"expected": "Nurse", "actual": "Boss"}, "first_name": {"expected": "Ann", "actual": null}})
    );
    assert_eq!(each(&staff["banned_there"], "key"), [key(40).as_str()].into());
    assert_eq!(each(&staff["active_there"], "key"), [key(20).as_str()].into());
    assert_eq!(each(&staff["adoptable"], "key"), ["E04999"].into());
    assert_eq!(staff["orphaned"].as_array().expect("orphans").len(), 2);
    // Everybody is counted once: what was given on creation alone, or isn't mapped, is no drift.
    assert_eq!(staff["in_step"], 4993 - 7 - 1 - 1 - 1 - 2);
    assert!(sim.writes_since(mark).is_empty(), "a report writes nothing");

    let repaired = home.run_json(&["reconcile", "--repair", "--adopt"]).exits(0).json();
    let run = &repaired["syncs"][0]["run"];
    assert_eq!(run["status"], "ok");
    assert_eq!(
        run["counts"]
            .as_object()
            .expect("counts")
            .iter()
            .map(|(op, n)| (op.as_str(), n["ok"].as_u64()))
            .collect::<Vec<_>>(),
        [("adopt", Some(1)), ("ban", Some(1)), ("create", Some(9)), ("reinstate", Some(1)), ("update", Some(7))]
    );
    let after = home.run_json(&["reconcile"]).exits(0).json();
    assert_eq!(after["syncs"][0]["orphaned"].as_array().expect("orphans").len(), 2, "orphans are never touched");
    assert_eq!(after["syncs"][0]["in_step"], 5000);
    let mark = sim.mark();
    home.run(&["sync"]).exits(0);
    assert!(sim.writes_since(mark).is_empty(), "what was repaired is in step");
    assert_eq!(sim.user(&key(41)).expect("an account")["company"], "Other");
}

#[test]
fn a_repair_is_held_by_the_limits_and_sent_once_approved() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1", "E2", "E3"]);
    home.configure("[syncs.staff.limits]\nupdate = 1");
    for key in ["E1", "E2"] {
        by_hand(&sim, key, json!({"title": "Boss"}));
    }
    let mark = sim.mark();
    let held = home.run_json(&["reconcile", "--repair"]).exits(3).json();
    let plan = held["syncs"][0]["run"]["plan"].as_str().expect("a held plan").to_string();
    assert_eq!(held["syncs"][0]["run"]["held"]["limit"], "update");
    // A run of the sync has nothing to do, and the repair goes on waiting.
    home.run(&["sync"]).exits(0);
    assert!(sim.writes_since(mark).is_empty());
    assert_eq!(home.run_json(&["plans"]).exits(0).json()["plans"][0]["id"], plan);
    home.run(&["approve", &plan]).exits(0);
    assert_eq!(sim.user("E1").expect("an account")["title"], "Nurse");
    home.run(&["approve", &plan]).exits(3);
    // What has changed since it was held is not what was approved.
    by_hand(&sim, "E1", json!({"title": "Boss"}));
    by_hand(&sim, "E2", json!({"title": "Boss"}));
    let held = home.run_json(&["reconcile", "--repair"]).exits(3).json();
    let plan = held["syncs"][0]["run"]["plan"].as_str().expect("a held plan").to_string();
    by_hand(&sim, "E2", json!({"title": "Queen"}));
    let stale = home.run(&["approve", &plan]).exits(3);
    assert!(stale.stdout.contains("stale"), "{}", stale.stdout);
    assert_eq!(sim.user("E2").expect("an account")["title"], "Queen");
}

#[test]
fn protected_people_are_reported_and_left() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1", "E2"]);
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    let text = text.replace("match = [\"email\"]", "match = [\"email\"]\nprotect = [\"E1\", \"account_level == 99\"]");
    home.write("config/rosterd.toml", &text);
    by_hand(&sim, "E1", json!({"title": "Boss"}));
    by_hand(&sim, "E2", json!({"title": "Boss", "account_level": 99}));
    let report = home.run_json(&["reconcile", "--repair"]).exits(0).json();
    assert_eq!(each(&report["syncs"][0]["drifted"], "key"), ["E1", "E2"].into());
    assert_eq!(report["syncs"][0]["drifted"][0]["protected"], true);
    assert_eq!(sim.user("E2").expect("an account")["title"], "Boss");
    // What was observed counts for the next run too: E2 was made an administrator by hand.
    home.people(&[row("E1", "Nurse"), row("E2", "Matron")]);
    home.run(&["sync"]).exits(0);
    assert_eq!(sim.user("E2").expect("an account")["title"], "Boss");
}

#[test]
fn accounts_that_vanished_are_missing_and_made_anew() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1", "E2", "E3"]);
    sim.clear();
    let report = home.run_json(&["reconcile"]).exits(0).json();
    assert_eq!(each(&report["syncs"][0]["missing"], "key"), ["E1", "E2", "E3"].into());
    home.run(&["reconcile", "--repair"]).exits(0);
    assert_eq!(sim.users().len(), 3);
}

#[test]
fn people_out_of_scope_or_rejected_are_nobodys_orphans() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1"]);
    sim.seed(json!([{"email": "e2@acme.com"}, {"email": "e3@acme.com", "client_id": "E3"}, {"email": "x@acme.com"}]));
    // E2 is out of scope, both rows of E3 differ, and of x nobody knows.
    let rows = [row("E1", "Nurse"), row("E2", "Nurse").replace("active", "left"), row("E3", "A"), row("E3", "B")];
    home.people(&rows);
    let report = home.run_json(&["reconcile"]).exits(0).json();
    let orphaned = report["syncs"][0]["orphaned"].as_array().expect("orphans").clone();
    let stranger = sim.users().into_iter().find(|u| u["email"] == "x@acme.com").expect("the stranger");
    assert_eq!(orphaned, [json!({"remote_id": stranger["id"].to_string()})]);
}

#[test]
fn a_sync_that_moved_is_refused_until_it_is_bound_anew() {
    let (old, new) = (Sim::start(), Sim::start());
    let home = synced(&old, &["E1", "E2", "E3"]);
    // The new place has the same people under other ids, one of them banned, and not E3.
    new.seed(json!([{"email": "first@acme.com"}, account("E2", "Nurse"), account("E1", "Boss")]));
    by_hand(&new, "E2", json!({"banned": true}));
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    home.write("config/rosterd.toml", &text.replace(&old.juno(), &new.juno()));
    for command in [&["sync"][..], &["plan"], &["reconcile"], &["reconcile", "--repair"]] {
        let refused = home.run(command).exits(78);
        assert!((refused.stdout + &refused.stderr).contains("reconcile staff --adopt"), "{command:?}");
    }
    assert!(new.writes_since(new.mark()).is_empty());
    let mark = new.mark();
    let bound = home.run_json(&["reconcile", "--adopt"]).exits(0).json();
    assert!(new.writes_since(mark).is_empty(), "finding people again writes nothing");
    assert_eq!(each(&bound["syncs"][0]["missing"], "key"), ["E3"].into());
    assert_eq!(each(&bound["syncs"][0]["drifted"], "key"), ["E1"].into());
    let plan = home.run_json(&["plan"]).exits(0).json();
    assert_eq!(plan["syncs"][0]["counts"], json!({"create": 1, "reinstate": 1, "update": 1}));
    home.run(&["sync"]).exits(0);
    assert_eq!(new.users().len(), 4);
    assert_eq!(new.user("E1").expect("an account")["title"], "Nurse");
}

#[test]
fn people_keep_their_accounts_when_the_source_has_another_key() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1", "E2"]);
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    let text = text
        .replace("key = \"employee_id\"", "key = \"number\"")
        .replace("client_id = \"employee_id\"", "client_id = \"number\"");
    home.write("config/rosterd.toml", &text);
    home.write(
        "config/hr.csv",
        "number,first_name,last_name,email,phone,title,city,status\n\
         71,Ann,Lee,e1@acme.com,555-E1,Nurse,Bern,active\n72,Ann,Lee,e2@acme.com,555-E2,Nurse,Bern,active\n",
    );
    home.run(&["sync"]).exits(78);
    home.run(&["reconcile", "--adopt"]).exits(0);
    let plan = home.run_json(&["plan"]).exits(0).json();
    assert_eq!(plan["syncs"][0]["counts"], json!({"update": 2}));
    home.run(&["sync"]).exits(0);
    assert_eq!(sim.users().len(), 2);
    assert!(sim.user("71").is_some() && sim.user("72").is_some());
}
