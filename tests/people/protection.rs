//! Who is never touched, and what is never written: protected people, fields that are not mapped, fields that only a
//! new account gets.

use serde_json::{Value, json};

use super::{database, outcomes, replace, row, rows, run_of, set, staffed, with};
use crate::support::{Home, Sim};

/// Four people of whom one changes, one leaves, one is banned and comes back, all protected by this.
fn untouched(protect: &str, prepare: impl Fn(&Sim, &Home)) {
    let (sim, home) = staffed(5, "", "");
    home.people(&[rows([1, 2]), rows([4, 5])].concat());
    home.run(&["sync"]).exits(0);
    prepare(&sim, &home);
    set(&home, &format!("protect = {protect}"));
    home.people(&[with(1, "p1@acme.example", "Matron"), row(3), row(4), row(5)]);
    let mark = sim.mark();
    let run = run_of(&home.run_json(&["sync"]).exits(0));
    assert_eq!((&run["status"], &run["counts"], &run["skipped"]), (&json!("ok"), &json!({}), &json!(3)), "{protect}");
    let skipped = outcomes(&home, &["--run", run["run"].as_str().expect("an id")]);
    let told: Vec<_> = skipped.iter().map(|o| (o["key"].as_str().unwrap_or_default(), o["reason"].clone())).collect();
    assert_eq!(told, ["E0001", "E0002", "E0003"].map(|key| (key, json!("protected"))), "{protect}");
    assert!(sim.writes_since(mark).is_empty(), "{protect}");
}

#[test]
fn by_key_by_address_and_by_what_the_target_shows() {
    untouched(r#"["E0001", "E0002", "E0003"]"#, |_, _| {});
    untouched(r#"["P1@acme.example", "p2@ACME.example", " p3@acme.example "]"#, |_, _| {});
    // Acknowledged: rosterd wrote it.
    untouched(r#"'phone in ["555-1", "555-2", "555-3"]'"#, |_, _| {});
    // A rule that can't be evaluated protects.
    untouched(r#"'title + 1 == 2 && phone != "555-4" && phone != "555-5"'"#, |_, _| {});
}

#[test]
fn what_was_last_observed_counts_before_what_was_acknowledged() {
    let observe = |home: &Home, level: i64| {
        let text = json!({"account_level": level}).to_string();
        database(home)
            .execute("UPDATE body SET observed = ?1 WHERE key IN ('E0001', 'E0002', 'E0003')", [text])
            .expect("observed");
    };
    untouched("'account_level == 99'", |_, home| observe(home, 99));
    // Acknowledged as administrators, and observed to be none any more.
    let (sim, home) = staffed(2, "", "");
    database(&home)
        .execute("UPDATE body SET attributes = json_set(attributes, '$.account_level', 99)", [])
        .expect("values");
    observe(&home, 0);
    set(&home, "protect = 'account_level == 99'");
    home.people(&[with(1, "p1@acme.example", "Matron"), with(2, "p2@acme.example", "Matron")]);
    let run = run_of(&home.run_json(&["sync"]).exits(0));
    assert_eq!(run["counts"]["update"]["ok"], json!(2));
    assert_eq!(sim.user("E0001").expect("an account")["title"], "Matron");
}

#[test]
fn protected_people_are_created_and_linked_and_nothing_else() {
    for protect in [r#"["E0001", "E0002"]"#, r#"["p1@acme.example", "p2@acme.example"]"#, "'account_level == 99'"] {
        // Looked up one by one, and found in a listing.
        for others in [0, 6] {
            let (sim, home) = staffed(0, &format!("protect = {protect}"), "");
            sim.seed(json!([{"email": "p1@acme.example", "title": "Chief", "account_level": 99, "banned": true}]));
            home.people(&[rows([1, 2]), rows(10..10 + others)].concat());
            let mark = sim.mark();
            let run = run_of(&home.run_json(&["sync"]).exits(0));
            assert_eq!(
                (&run["counts"]["adopt"]["ok"], &run["counts"]["create"]["ok"]),
                (&json!(1), &json!(1 + others))
            );
            assert!(sim.writes_since(mark).iter().all(|r| r.method.as_ref() == "POST"), "{protect}");
            let chief = sim.users().into_iter().find(|u| u["email"] == "p1@acme.example").expect("an account");
            assert_eq!(
                (&chief["title"], &chief["banned"], &chief["client_id"]),
                (&json!("Chief"), &json!(true), &Value::Null)
            );
            // It differs from the record, and is not forgotten: said every run, done never.
            let mark = sim.mark();
            let run = run_of(&home.run_json(&["sync"]).exits(0));
            assert_eq!(run["skipped"], json!(1), "{protect}");
            assert!(sim.writes_since(mark).is_empty());
        }
    }
}

#[test]
fn a_protected_account_that_appears_at_delivery_is_linked_as_it_is() {
    let (sim, home) = staffed(0, "protect = \"E0001\"", "");
    home.people(&rows([1]));
    // Whoever looks sees nothing yet; the create then meets an account that is there.
    sim.seed(json!([{"email": "p1@acme.example", "title": "Chief"}]));
    sim.script(json!({"method": "GET", "nth": 1, "do": "status:200", "body": "[]"}));
    let mark = sim.mark();
    let run = run_of(&home.run_json(&["sync"]).exits(0));
    assert_eq!((&run["planned"], &run["counts"]["adopt"]["ok"]), (&json!({"create": 1}), &json!(1)), "{run:#}");
    let writes = sim.writes_since(mark);
    assert_eq!(writes.iter().map(|r| (r.method.as_ref(), r.committed)).collect::<Vec<_>>(), [("POST", false)]);
    assert_eq!(sim.users()[0]["title"], "Chief");
}

/// Protection that ends leaves nothing behind: what was linked as it is is brought in step, and a leaver's grace counts
/// from the first run that could have banned them.
#[test]
fn who_is_no_longer_protected_is_treated_like_everybody_from_then_on() {
    let (sim, home) = staffed(0, "protect = [\"E0001\", \"E0002\"]\nleave_grace = \"3d\"", "");
    sim.seed(json!([{"email": "p1@acme.example", "title": "Chief"}]));
    home.people(&rows(1..=5));
    home.run(&["sync"]).exits(0);
    home.people(&[rows([1]), rows(3..=5)].concat());
    home.run(&["sync"]).exits(0);
    assert_eq!(sim.users().iter().filter(|user| user["title"] == "Chief").count(), 1);
    replace(&home, "protect = [\"E0001\", \"E0002\"]\n", "");
    let mark = sim.mark();
    let run = run_of(&super::later(&home, 4 * super::DAY, &["sync", "--format", "json"]).exits(0));
    assert_eq!((&run["counts"]["update"]["ok"], &run["skipped"]), (&json!(1), &json!(1)), "{run:#}");
    assert_eq!(sim.writes_since(mark).len(), 1);
    assert_eq!(sim.user("E0001").expect("an account")["title"], "Nurse");
    let run = run_of(&super::later(&home, 8 * super::DAY, &["sync", "--format", "json"]).exits(0));
    assert_eq!(run["counts"]["ban"]["ok"], json!(1), "{run:#}");
}

#[test]
fn what_is_not_mapped_is_never_sent() {
    let (sim, home) = staffed(2, "", "");
    let mapped = ["client_id", "email", "first_name", "last_name", "phone", "title", "city", "account_level", "banned"];
    home.people(&[with(1, "ann@acme.example", ""), row(2)]);
    home.run(&["sync"]).exits(0);
    home.people(&rows([2]));
    home.run(&["sync"]).exits(0);
    home.people(&rows([1, 2]));
    home.run(&["sync"]).exits(0);
    let writes = sim.writes_since(0);
    assert!(writes.len() >= 5);
    for request in &writes {
        assert!(request.fields.iter().all(|f| mapped.contains(&f.as_str())), "{request:?}");
        let level = request.fields.iter().any(|f| f == "account_level");
        assert_eq!(level, request.method.as_ref() == "POST", "given to new accounts only: {request:?}");
    }
    // Updates name what changes and no more.
    let update = writes.iter().find(|r| r.op == crate::support::Op::Update).expect("an update");
    assert_eq!(update.fields.to_vec(), ["email", "title"]);
}

#[test]
fn what_only_new_accounts_get_is_no_difference_later() {
    let (sim, home) = staffed(2, "", "");
    replace(&home, "account_level = { value = 0", "account_level = { value = 99");
    let mark = sim.mark();
    home.run(&["sync"]).exits(0);
    assert!(sim.writes_since(mark).is_empty());
    assert_eq!(sim.user("E0001").expect("an account")["account_level"], json!(0));
}
