//! Whose account is whose, whatever the platform is called in the configuration and however its address is spelled.

use serde_json::json;

use super::*;

/// The configuration with a second target at this address, and a second sync over another file on it.
fn with_a_second_target(home: &Home, base_url: &str) {
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    let (head, sync) = text.split_once("[syncs.staff]").expect("a sync");
    let (_, target) = head.split_once("[targets.juno]").expect("a target");
    let first = target.lines().find(|line| line.starts_with("base_url")).expect("a base_url");
    let target = target.replace(first, &format!("base_url = {base_url:?}"));
    let sync_two = sync.replace("syncs.staff", "syncs.guests").replace("\"hr\"", "\"agency\"");
    let sync_two = sync_two.replace("target = \"juno\"", "target = \"second\"");
    let source = "[sources.agency]\nkind = \"csv\"\npath = \"agency.csv\"\nkey = \"employee_id\"\n";
    let text = format!("{head}[targets.second]{target}\n{source}[syncs.staff]{sync}\n[syncs.guests]{sync_two}");
    std::fs::write(home.config(), text).expect("the configuration");
}

fn agency(home: &Home, rows: &[String]) {
    let header = "employee_id,first_name,last_name,email,phone,title,city,status\n";
    home.write("config/agency.csv", &format!("{header}{}\n", rows.join("\n")));
}

/// The spellings of the sandbox's address that are all the same place.
fn spellings(sim: &Sim) -> Vec<String> {
    let port = sim.url().rsplit(':').next().expect("a port").to_string();
    let at = |host: &str, path: &str| format!("http://{host}:{port}{path}");
    vec![
        at("127.0.0.1", "/juno/api"),
        at("127.0.0.1", "/juno/api/"),
        at("localhost", "/juno/api"),
        at("LOCALHOST", "/juno/./api/"),
    ]
}

#[test]
fn one_platform_under_two_names_is_one_platform() {
    let (sim, home) = staffed(5, "", "ban = 10");
    let plain = std::fs::read_to_string(home.config()).expect("a configuration");
    agency(&home, &rows(1..=5));
    let id = sim.user("E0001").expect("an account")["id"].to_string();
    let mark = sim.mark();
    for spelling in spellings(&sim) {
        std::fs::write(home.config(), &plain).expect("the configuration");
        with_a_second_target(&home, &spelling);
        for args in [&["plan", "guests"][..], &["sync", "guests"], &["reconcile", "guests", "--adopt", "--repair"]] {
            let ran = home.run_json(args).exits(78);
            for part in [format!("account {id}"), "sync staff".into(), "sync guests".into()] {
                assert!(ran.stdout.contains(&part), "{spelling} {args:?} {part}: {}", ran.stdout);
            }
        }
        // The one who was first isn't stopped by it.
        home.run(&["sync", "staff"]).exits(0);
    }
    assert!(sim.writes_since(mark).is_empty());
}

#[test]
fn an_account_that_two_syncs_own_already_is_touched_by_neither() {
    let (sim, home) = staffed(5, "", "ban = 10");
    with_a_second_target(&home, &spellings(&sim)[2]);
    // As an older version left it: everybody adopted a second time, and now three of them leave the second source.
    database(&home)
        .execute_batch(&format!(
            "INSERT INTO sync (name, source, target, kind, base_url, source_key)
             VALUES ('guests', 'agency', 'second', 'juno', '{}', 'employee_id');
             INSERT INTO person (sync, key, state, remote_id)
             SELECT (SELECT id FROM sync WHERE name = 'guests'), 'G' || key, state, remote_id FROM person;",
            spellings(&sim)[1]
        ))
        .expect("an older state");
    agency(&home, &rows(1..=2));
    let id = sim.user("E0001").expect("an account")["id"].to_string();
    let mark = sim.mark();
    for args in [&["sync", "guests"][..], &["sync", "staff"], &["sync"], &["plan", "guests"], &["reconcile", "staff"]] {
        let ran = home.run_json(args).exits(78);
        for part in
            [format!("account {id}"), "sync staff".into(), "sync guests".into(), "E0001".into(), "GE0001".into()]
        {
            assert!(ran.stdout.contains(&part), "{args:?} {part}: {}", ran.stdout);
        }
    }
    assert!(sim.writes_since(mark).is_empty());
    // The way out that the message names.
    for n in 1..=5 {
        home.run(&["forget", "guests", &format!("GE000{n}")]).exits(0);
    }
    home.run(&["sync", "staff"]).exits(0);
}

#[test]
fn other_places_and_other_people_are_no_matter() {
    let (sim, home) = staffed(3, "", "");
    let other = Sim::start();
    // The same people on another platform, whose ids are the same numbers.
    let plain = std::fs::read_to_string(home.config()).expect("a configuration");
    with_a_second_target(&home, &other.juno());
    agency(&home, &rows(1..=3));
    home.run(&["sync"]).exits(0);
    home.run(&["sync"]).exits(0);
    assert_eq!((sim.users().len(), other.users().len()), (3, 3));

    // Other people on the same platform, under another name and spelling.
    std::fs::write(home.config(), &plain).expect("the configuration");
    with_a_second_target(&home, &spellings(&sim)[2]);
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    std::fs::write(home.config(), text.replace("syncs.guests", "syncs.others")).expect("the configuration");
    agency(&home, &rows(11..=13));
    home.run(&["sync"]).exits(0);
    agency(&home, &rows(11..=12));
    home.run(&["sync"]).exits(0);
    assert_eq!(sim.users().len(), 6);
    assert_eq!(sim.user("E0013").expect("an account")["banned"], json!(true));
    for report in home.run_json(&["reconcile"]).exits(0).json()["syncs"].as_array().expect("syncs") {
        assert_eq!(report["orphaned"], json!([]), "each other's accounts are nobody's orphans: {report}");
    }
}

#[test]
fn a_target_may_be_renamed_and_its_address_spelled_anew() {
    let (sim, home) = staffed(3, "", "");
    let spelled = std::fs::read_to_string(home.config()).expect("a configuration");
    for spelling in spellings(&sim) {
        let text = spelled.replace(&sim.juno(), &spelling).replace("targets.juno", "targets.people");
        let text = text.replace("target = \"juno\"", "target = \"people\"");
        std::fs::write(home.config(), text).expect("the configuration");
        let mark = sim.mark();
        let ran = home.run_json(&["sync"]).exits(0);
        assert_eq!(run_of(&ran)["unchanged"], 3, "{spelling}: {}", ran.stdout);
        assert!(sim.writes_since(mark).is_empty());
    }
    // Elsewhere is elsewhere.
    let text = spelled.replace(&sim.juno(), &sim.juno().replace("/juno/api", "/juno/api2"));
    std::fs::write(home.config(), text).expect("the configuration");
    let refused = home.run_json(&["sync"]).exits(78);
    assert!(refused.stdout.contains("base_url"), "{}", refused.stdout);
}

/// The sync `staff` is called `people` from now on.
fn renamed(home: &Home) {
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    std::fs::write(home.config(), text.replace("syncs.staff", "syncs.people")).expect("the configuration");
}

/// Forty people of whom six have left, which is more than may be banned at once.
fn six_held_leavers() -> (Sim, Home) {
    let (sim, home) = staffed(40, "", "ban = 5");
    home.people(&rows(7..=40));
    held(&home, &["sync"], "ban", 6, 5);
    (sim, home)
}

/// How many of JUNO's accounts can be used.
fn active(sim: &Sim) -> usize {
    sim.users().iter().filter(|user| user["banned"] == json!(false)).count()
}

#[test]
fn a_sync_that_the_configuration_lost_is_named_wherever_one_looks() {
    let (sim, home) = six_held_leavers();
    assert_eq!(home.run_json(&["check"]).exits(0).json()["warnings"], json!([]));
    assert_eq!(home.run_json(&["status"]).exits(0).json()["unconfigured"], json!([]));
    renamed(&home);
    let expected = json!([{"sync": "staff", "users": 40}]);
    let named = |home: &Home| {
        let check = home.run_json(&["check"]).exits(0).json();
        let warning = &check["warnings"][0];
        assert_eq!((&check["ok"], &warning["key"]), (&json!(true), &json!("syncs.staff")), "{check}");
        for part in ["40 users", "not in the configuration"] {
            assert!(warning["message"].as_str().expect("a message").contains(part), "{warning}");
        }
        for part in ["rosterd state rename-sync staff NEW", "rosterd state forget-sync staff"] {
            assert!(warning["help"].as_str().expect("help").contains(part), "{warning}");
            assert!(home.run(&["check"]).exits(0).stdout.contains(part));
            assert!(home.run(&["status"]).exits(0).stdout.contains(part));
        }
        assert_eq!(home.run_json(&["status"]).exits(0).json()["unconfigured"], expected);
        let report = home.run_json(&["reconcile"]).exits(0).json();
        assert_eq!(report["unconfigured"], expected);
        home.run(&["reconcile", "--detailed-exitcode"]).exits(2);
        let text = home.run(&["reconcile"]).exits(0).stdout;
        assert!(!text.contains("Nothing differs") && text.contains("rosterd state rename-sync staff"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    };
    named(&home);
    let ran = home.run(&["--log-format", "text", "sync"]).exits(0);
    assert!(ran.stderr.contains("rosterd state rename-sync staff NEW"), "{}", ran.stderr);
    // The 34 have been taken up under the new name, and the six are still nobody's.
    named(&home);
    let report = home.run_json(&["reconcile"]).exits(0).json();
    assert_eq!(report["syncs"][0]["orphaned"].as_array().expect("orphans").len(), 6);
    assert_eq!(active(&sim), 40);
}

#[test]
fn a_renamed_sync_goes_on_with_its_leavers() {
    for run_first in [false, true] {
        let (sim, home) = six_held_leavers();
        let plan = home.run_json(&["plans"]).exits(0).json()["plans"][0]["id"].as_str().expect("a plan").to_string();
        renamed(&home);
        if run_first {
            home.run(&["sync"]).exits(0);
        }
        let ran = home.run_json(&["state", "rename-sync", "staff", "people"]).exits(0).json();
        let people = if run_first { 6 } else { 40 };
        assert_eq!(ran, json!({"old": "staff", "new": "people", "people": people, "users": people}));
        assert_eq!(home.run_json(&["status"]).exits(0).json()["unconfigured"], json!([]));
        assert_eq!(home.run_json(&["check"]).exits(0).json()["warnings"], json!([]));
        // As before: six, of whom five may go at once; and what was held can still be approved.
        let plan_now = home.run_json(&["plan"]).exits(3).json()["syncs"][0]["held"].clone();
        assert_eq!(plan_now, json!({"limit": "ban", "count": 6, "allowed": 5}));
        let mark = sim.mark();
        if run_first {
            held(&home, &["sync"], "ban", 6, 5);
            home.run(&["sync"]).exits(3);
            assert!(sim.writes_since(mark).is_empty());
            let plans = home.run_json(&["plans"]).exits(0).json();
            assert_eq!(plans["plans"].as_array().map(Vec::len), Some(1), "{plans}");
            home.run(&["approve", plans["plans"][0]["id"].as_str().expect("a plan")]).exits(0);
        } else {
            home.run(&["approve", &plan]).exits(0);
        }
        assert_eq!((sim.users().len(), active(&sim)), (40, 34));
        assert_eq!(home.run(&["sync"]).exits(0).code, 0);
        let history = cell::<i64>(&home, "SELECT count(DISTINCT sync) FROM v_runs");
        assert_eq!(history, 1, "the ledger goes by the new name too");
    }
}

#[test]
fn names_that_are_no_matter_of_renaming_are_refused() {
    let (_sim, home) = staffed(3, "", "");
    let says = |args: &[&str], code: i32, part: &str| {
        let ran = home.run_json(&[&["state"], args].concat()).exits(code);
        assert!(ran.stdout.contains(part), "{args:?}: {}", ran.stdout);
    };
    says(&["rename-sync", "staff", "staff"], 64, "sync staff is in the configuration");
    says(&["forget-sync", "staff"], 64, "sync staff is in the configuration");
    says(&["rename-sync", "nobody", "staff"], 64, "the state knows no sync");
    says(&["forget-sync", "nobody"], 64, "the state knows no sync");
    renamed(&home);
    says(&["rename-sync", "staff", "poeple"], 64, "did you mean `people`?");
    says(&["rename-sync", "stuff", "people"], 64, "the state has: staff");
    // Somebody else's name.
    home.people(&rows(11..=12));
    home.run(&["sync"]).exits(0);
    says(&["rename-sync", "staff", "people"], 64, "sync people has 2 people of its own");
    assert_eq!(cell::<i64>(&home, "SELECT count(*) FROM v_users WHERE sync = 'staff'"), 3);
}

#[test]
fn a_sync_that_is_gone_for_good_is_forgotten() {
    let (sim, home) = six_held_leavers();
    renamed(&home);
    let mark = sim.mark();
    let text = home.run(&["state", "forget-sync", "staff"]).exits(0).stdout;
    assert!(text.contains("40 people") && text.contains("40 accounts stay active on juno"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(sim.since(mark).is_empty(), "nothing is sent");
    assert_eq!(home.run_json(&["status"]).exits(0).json()["unconfigured"], json!([]));
    assert_eq!(home.run_json(&["plans"]).exits(0).json()["plans"], json!([]));
    assert_eq!(cell::<i64>(&home, "SELECT count(*) FROM v_users"), 0);
    assert_eq!(cell::<i64>(&home, "SELECT count(*) FROM v_outcomes WHERE key IS NOT NULL"), 0);
    assert_eq!(cell::<i64>(&home, "SELECT count(*) FROM v_outcomes WHERE op = 'create' AND status = 'ok'"), 40);
    home.run(&["state", "verify"]).exits(0);
    home.run(&["sync"]).exits(0);
    assert_eq!(sim.users().len(), 40);
}
