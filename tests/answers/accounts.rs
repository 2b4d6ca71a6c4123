//! `reconcile` about accounts that should not be there: of leavers who are active again, second ones of one person, and
//! those of whom nothing is certain.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::{account, by_hand, each, row, synced};
use crate::support::{Home, Sim};

/// Five people; E5 leaves and is banned, and is active there again all the same. `excluded`: the row stays, and is out of
/// scope.
fn a_leaver_active_again(excluded: bool, settings: &str) -> (Sim, Home, String) {
    let sim = Sim::start();
    let home = synced(&sim, &["E1", "E2", "E3", "E4", "E5"]);
    let mut rows: Vec<String> = ["E1", "E2", "E3", "E4"].map(|key| row(key, "Nurse")).into();
    if excluded {
        rows.push(row("E5", "Nurse").replace("active", "left"));
    }
    home.people(&rows);
    home.run(&["sync"]).exits(0);
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    std::fs::write(home.config(), text.replace("[syncs.staff]\n", &format!("[syncs.staff]\n{settings}\n")))
        .expect("set");
    by_hand(&sim, "E5", json!({"banned": false}));
    let id = sim.user("E5").expect("an account")["id"].to_string();
    (sim, home, id)
}

fn database(home: &Home) -> Connection {
    Connection::open(home.database()).expect("the state database")
}

/// What the state knows of E5.
fn known(home: &Home) -> Value {
    json!(home.query("SELECT state, remote_id FROM v_users WHERE key = 'E5'")[0])
}

#[test]
fn an_active_account_of_a_leaver_is_found_by_id_or_key_and_banned() {
    for (was, state, grace) in [
        ("banned, and restored by an administrator", "", ""),
        ("believed to be gone after a 404", "UPDATE person SET state = 4, remote_id = NULL WHERE key = 'E5'", ""),
        ("deleted and made anew under another id", "UPDATE person SET remote_id = '99999' WHERE key = 'E5'", ""),
        (
            "deleted, in a sync that waits",
            "UPDATE person SET state = 4, remote_id = NULL WHERE key = 'E5'",
            "leave_grace = \"7d\"",
        ),
    ] {
        for excluded in [false, true] {
            let (sim, home, id) = a_leaver_active_again(excluded, grace);
            database(&home).execute_batch(state).expect("as it was");
            let mark = sim.mark();
            let report = home.run_json(&["reconcile", "--detailed-exitcode"]).exits(2).json();
            let staff = &report["syncs"][0];
            let expected = json!([{"key": "E5", "remote_id": id, "label": "Ann Lee e5@acme.com"}]);
            assert_eq!(staff["active_there"], expected, "{was}: {staff}");
            assert_eq!((&staff["target_users"], &staff["in_step"]), (&json!(5), &json!(4)), "{was}");
            assert_eq!((&staff["orphaned"], &staff["doubled"]), (&json!([]), &json!([])), "{was}");
            let text = home.run(&["reconcile"]).exits(0).stdout;
            assert!(text.contains("Active there, gone here: 1") && !text.contains("Nothing differs"), "{text}");
            assert!(sim.writes_since(mark).is_empty(), "a report writes nothing");

            let repaired = home.run_json(&["reconcile", "--repair"]).exits(0).json();
            assert_eq!(repaired["syncs"][0]["run"]["counts"]["ban"]["ok"], 1, "{was}: {repaired}");
            assert_eq!(sim.user("E5").expect("an account")["banned"], true, "{was}");
            assert_eq!(known(&home), json!(["banned", id]), "{was}: linked again");
            let mark = sim.mark();
            let again = home.run_json(&["reconcile", "--repair", "--detailed-exitcode"]).exits(0).json();
            assert_eq!(again["syncs"][0]["in_step"], 5, "{was}: {again}");
            assert!(sim.writes_since(mark).is_empty(), "{was}: a second repair writes nothing");
        }
    }
}

#[test]
fn limits_and_protection_hold_for_leavers_who_are_active_again() {
    let (sim, home, _) = a_leaver_active_again(false, "");
    database(&home).execute_batch("UPDATE person SET state = 4, remote_id = NULL WHERE key = 'E5'").expect("deleted");
    home.configure("[syncs.staff.limits]\nban = 0");
    let held = home.run_json(&["reconcile", "--repair"]).exits(3).json();
    assert_eq!(held["syncs"][0]["run"]["held"]["limit"], "ban");
    assert_eq!(sim.user("E5").expect("an account")["banned"], false);

    let (sim, home, _) = a_leaver_active_again(false, "protect = [\"E5\"]");
    let report = home.run_json(&["reconcile", "--repair"]).exits(0).json();
    assert_eq!(report["syncs"][0]["active_there"][0]["protected"], true, "{report}");
    assert_eq!(sim.user("E5").expect("an account")["banned"], false);
}

#[test]
fn a_leaver_whose_account_stays_banned_or_is_gone_is_in_step() {
    for (change, users) in [("", 5), ("UPDATE person SET state = 4, remote_id = NULL WHERE key = 'E5'", 5)] {
        let (sim, home, _) = a_leaver_active_again(false, "");
        by_hand(&sim, "E5", json!({"banned": true}));
        database(&home).execute_batch(change).expect("as it was");
        let report = home.run_json(&["reconcile", "--detailed-exitcode"]).exits(0).json();
        let staff = &report["syncs"][0];
        assert_eq!((&staff["target_users"], &staff["in_step"]), (&json!(users), &json!(users)), "{staff}");
    }
}

#[test]
fn who_is_back_in_scope_is_adoptable_and_no_leaver() {
    let (_sim, home, id) = a_leaver_active_again(false, "");
    database(&home).execute_batch("UPDATE person SET state = 4, remote_id = NULL WHERE key = 'E5'").expect("deleted");
    home.people(&["E1", "E2", "E3", "E4", "E5"].map(|key| row(key, "Nurse")));
    let report = home.run_json(&["reconcile"]).exits(0).json();
    let expected = json!([{"key": "E5", "remote_id": id, "label": "Ann Lee e5@acme.com"}]);
    assert_eq!(report["syncs"][0]["adoptable"], expected);
    assert_eq!(report["syncs"][0]["active_there"], json!([]));
}

/// A SCIM platform, where neither keys nor addresses are unique, with three people synced.
fn without_uniqueness() -> (Sim, Home) {
    let sim = Sim::start();
    let home = Home::juno(&format!("{}/scim/v2", sim.url()));
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    let (head, _) = text.split_once("[syncs.staff]").expect("a sync");
    let head = head.replace("kind = \"juno\"", "kind = \"scim\"");
    let sync = r#"
[syncs.staff]
source = "hr"
target = "juno"
include = 'status == "active"'
match = ['emails[type eq "work"].value']
[syncs.staff.map]
userName = "employee_id"
externalId = "employee_id"
"name.familyName" = "last_name"
'emails[type eq "work"].value' = "email"
"#;
    std::fs::write(home.config(), format!("{head}{sync}")).expect("the configuration");
    home.people(&["E1", "E2", "E3"].map(|key| row(key, "Nurse")));
    home.run(&["sync"]).exits(0);
    (sim, home)
}

fn id_of(sim: &Sim, name: &str) -> String {
    let users = sim.users_of("scim");
    let found = users.iter().find(|user| user["userName"] == name).unwrap_or_else(|| panic!("{name} in {users:?}"));
    found["id"].as_str().expect("an id").to_string()
}

#[test]
fn second_accounts_of_one_person_are_reported_and_never_touched() {
    let (sim, home) = without_uniqueness();
    let work = |address: &str| json!([{"type": "work", "value": address}]);
    sim.seed_in(
        "scim",
        json!([
            {"userName": "first-again", "externalId": "E1", "emails": work("other@acme.com")},
            {"userName": "second-by-address", "emails": work("E2@acme.com")},
            {"userName": "stranger", "externalId": "X9", "emails": work("e3@acme.com")},
            {"userName": "new-one", "externalId": "E4"},
            {"userName": "new-two", "externalId": "E4"},
        ]),
    );
    home.people(&["E1", "E2", "E3", "E4"].map(|key| row(key, "Nurse")));
    let mark = sim.mark();
    let report = home.run_json(&["reconcile", "--detailed-exitcode"]).exits(2).json();
    let staff = &report["syncs"][0];
    let ids = |names: [&str; 2]| {
        let mut ids = names.map(|name| id_of(&sim, name));
        ids.sort();
        json!(ids)
    };
    assert_eq!(
        staff["doubled"],
        json!([
            {"key": "E1", "remote_ids": ids(["E1", "first-again"])},
            {"key": "E2", "remote_ids": ids(["E2", "second-by-address"])},
            {"key": "E4", "remote_ids": ids(["new-one", "new-two"])},
        ]),
        "{staff}"
    );
    assert_eq!(staff["orphaned"], json!([{"remote_id": id_of(&sim, "stranger")}]), "of somebody with another key");
    // Three in step, one second account of two of them each, two of E4, and the stranger.
    assert_eq!((&staff["target_users"], &staff["in_step"]), (&json!(8), &json!(3)));
    let text = home.run(&["reconcile"]).exits(0).stdout;
    assert!(text.contains("More than one account 3") && text.contains("E2"), "{text}");
    let conflict = |line: &&str| line.contains("more than one account could be E4");
    assert!(text.lines().filter(|line| !conflict(line)).all(|line| line.chars().count() <= 80), "{text}");

    home.run(&["reconcile", "--repair", "--adopt"]).exits(75);
    assert_eq!(sim.writes_since(mark), [], "nobody's second account is touched");
    assert_eq!(sim.users_of("scim").len(), 8);
}

#[test]
fn a_leavers_second_account_is_reported_and_the_linked_one_stays_theirs() {
    let (sim, home) = without_uniqueness();
    home.people(&["E1", "E2"].map(|key| row(key, "Nurse")));
    home.run(&["sync"]).exits(0);
    sim.seed_in("scim", json!([{"userName": "third-again", "externalId": "E3"}]));
    let report = home.run_json(&["reconcile", "--repair", "--detailed-exitcode"]).exits(2).json();
    let staff = &report["syncs"][0];
    assert_eq!(each(&staff["doubled"], "key"), ["E3"].into(), "{staff}");
    assert_eq!((&staff["orphaned"], &staff["active_there"]), (&json!([]), &json!([])));
    let users = sim.users_of("scim");
    assert_eq!(users.iter().find(|u| u["userName"] == "third-again").expect("it")["active"], true);
}

#[test]
fn who_waits_for_an_answer_is_named() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1", "E2"]);
    sim.script(json!({"method": "PUT", "do": "commit-then-close"}));
    home.people(&[row("E1", "Matron"), row("E2", "Nurse")]);
    home.run(&["sync"]).exits(75);
    sim.calm();
    let report = home.run_json(&["reconcile", "--detailed-exitcode"]).exits(2).json();
    let staff = &report["syncs"][0];
    assert_eq!(staff["unresolved"], json!(["E1"]), "{staff}");
    assert_eq!((&staff["orphaned"], &staff["drifted"]), (&json!([]), &json!([])));
    let text = home.run(&["reconcile"]).exits(0).stdout;
    assert!(text.contains("rosterd sync staff") && text.contains("E1") && !text.contains("Nothing differs"), "{text}");
    home.run(&["sync"]).exits(0);
    let report = home.run_json(&["reconcile", "--detailed-exitcode"]).exits(0).json();
    for list in ["doubled", "unresolved", "orphaned"] {
        assert_eq!(report["syncs"][0][list], json!([]), "{list}");
    }
    assert_eq!(report["unconfigured"], json!([]));
}

#[test]
fn an_account_with_the_key_of_somebody_who_never_had_one_is_no_leavers() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1"]);
    sim.seed(json!([account("E2", "Nurse")]));
    home.people(&[row("E1", "Nurse"), row("E2", "Nurse").replace("active", "left")]);
    home.run(&["sync"]).exits(0);
    let report = home.run_json(&["reconcile", "--repair", "--detailed-exitcode"]).exits(0).json();
    assert_eq!((&report["syncs"][0]["active_there"], &report["syncs"][0]["orphaned"]), (&json!([]), &json!([])));
    assert_eq!(sim.user("E2").expect("an account")["banned"], false);
}

#[test]
fn a_leavers_id_that_was_given_to_somebody_else_is_not_theirs() {
    let (sim, home, _) = a_leaver_active_again(false, "");
    by_hand(&sim, "E5", json!({"banned": true}));
    let stranger = sim.seed(json!([{"email": "ceo@acme.com", "client_id": "X9"}]))[0]["id"].to_string();
    database(&home)
        .execute("UPDATE person SET remote_id = ?1 WHERE key = 'E5'", [&stranger])
        .expect("an id that was used again");
    let report = home.run_json(&["reconcile", "--repair"]).exits(0).json();
    let staff = &report["syncs"][0];
    assert_eq!(
        (&staff["active_there"], &staff["orphaned"]),
        (&json!([]), &json!([{"remote_id": stranger}])),
        "{staff}"
    );
    assert_eq!((&staff["target_users"], &staff["in_step"]), (&json!(6), &json!(5)));
    assert_eq!(sim.user("X9").expect("an account")["banned"], false);
}
