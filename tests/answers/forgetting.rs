//! `forget`: nothing of a person is left in the database's files, and everybody else is as they were.

use std::fs;

use serde_json::json;

use super::{row, synced};
use crate::support::{Home, Sim};

/// Whether these bytes are anywhere in the state's directory.
fn kept(home: &Home, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(home.path().join("state")).expect("state/") {
        let path = entry.expect("an entry").path();
        let bytes = fs::read(&path).expect("a file");
        if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn nothing_is_left_of_them_and_the_account_is_named() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1", "E22222", "E3"]);
    home.people(&[row("E1", "Nurse"), row("E22222", "Zimtstern"), row("E3", "Nurse")]);
    home.run(&["sync"]).exits(0);
    home.run(&["reconcile"]).exits(0);
    // A held plan about them, among others.
    home.configure("[syncs.staff.limits]\nban = 0");
    home.people(&[row("E1", "Nurse")]);
    home.run(&["sync"]).exits(3);
    assert!(!kept(&home, "E22222").is_empty() && !kept(&home, "Zimtstern").is_empty());
    let runs = home.query("SELECT run, created, updated FROM v_runs ORDER BY run");

    let id = sim.user("E22222").expect("an account")["id"].to_string();
    let mark = sim.mark();
    let told = home.run_json(&["forget", "staff", "E22222"]).exits(0).json();
    assert_eq!(told["still_there"], json!([{"target": "juno", "remote_id": id, "state": "active"}]));
    assert_eq!((&told["scrubbed"], &told["outcomes"]), (&json!(true), &json!(3)));
    assert!(sim.since(mark).is_empty(), "nothing is asked of the target");
    for trace in ["E22222", "e22222@acme.com", "Zimtstern"] {
        assert_eq!(kept(&home, trace), Vec::<String>::new(), "{trace}");
    }
    assert_eq!(home.query("SELECT run, created, updated FROM v_runs ORDER BY run"), runs, "what runs came to stays");
    assert_eq!(home.query("SELECT key FROM v_users ORDER BY key"), [[json!("E1")], [json!("E3")]]);
    assert_eq!(home.run_json(&["plans"]).exits(0).json(), json!({"plans": []}));
    home.run(&["state", "verify"]).exits(0);
    home.run(&["forget", "staff", "E22222"]).exits(64);
    home.run(&["forget", "staff", "e1"]).exits(64);

    // Still in the source, they are taken up again, and not created twice.
    home.people(&[row("E1", "Nurse"), row("E22222", "Nurse"), row("E3", "Nurse")]);
    let ran = home.run_json(&["sync"]).exits(0).json();
    assert_eq!(ran["runs"][0]["planned"], json!({"adopt": 1}));
    assert_eq!(sim.users().len(), 3);
}

#[test]
fn somebody_whose_operation_has_no_answer_is_not_forgotten_yet() {
    let sim = Sim::start();
    let home = synced(&sim, &["E1"]);
    home.people(&[row("E1", "Nurse"), row("E2", "Nurse")]);
    sim.script(json!({"method": "POST", "key": "E2", "do": "commit-then-close"}));
    sim.script(json!({"method": "GET", "nth": 2, "times": 100, "do": "close-before-commit"}));
    home.run(&["sync"]).exits(75);
    home.run(&["forget", "staff", "E2"]).exits(75);
    sim.calm();
    home.run(&["sync"]).exits(0);
    home.run(&["forget", "staff", "E2"]).exits(0);
}

/// The ledger as CSV: a key that a spreadsheet would run is text there, and arrives at the target as it is.
#[test]
fn the_ledger_is_safe_in_a_spreadsheet_and_what_is_sent_is_untouched() {
    let sim = Sim::start();
    let formulas = ["=1+1", "+1", "-1", "@SUM(A1)", "＝1", "E1,\"x\""];
    let home = Home::juno(&sim.juno());
    let quoted = |key: &str| format!("\"{}\"", key.replace('"', "\"\""));
    let rows: Vec<String> = formulas
        .iter()
        .enumerate()
        .map(|(n, key)| format!("{},{},Lee,p{n}@acme.com,1,=HYPERLINK(A1),Bern,active", quoted(key), quoted(key)))
        .collect();
    home.people(&rows);
    home.run(&["sync"]).exits(0);
    let text = home.run(&["outcomes", "--format", "csv"]).exits(0).stdout;
    let mut table = csv::Reader::from_reader(text.as_bytes());
    let column = table.headers().expect("a header").iter().position(|name| name == "key").expect("keys");
    let mut keys = Vec::new();
    for row in table.records() {
        let row = row.expect("a row");
        assert!(row.iter().all(|cell| !cell.starts_with(['=', '+', '-', '@', '＝'])), "{row:?}");
        keys.push(row[column].to_string());
    }
    keys.sort();
    let mut expected = ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "'＝1", "E1,\"x\""];
    expected.sort_unstable();
    assert_eq!(keys, expected);
    for key in formulas {
        let user = sim.user(key).unwrap_or_else(|| panic!("{key}"));
        assert_eq!((&user["first_name"], &user["title"]), (&json!(key), &json!("=HYPERLINK(A1)")));
    }
}
