//! Held plans that don't hold up joiners: bans alone wait, everything else is sent.

use serde_json::{Value, json};

use super::{held, later, row, rows, run_of, staffed, with};
use crate::support::{Home, Sim};

const ALONE: &str = "ban = 2\nhold = \"bans\"";

/// Of twelve people the first four left; the fifth has another title, and one is new.
fn four_left(home: &Home) {
    let mut people = rows(5..=13);
    people[0] = with(5, "p5@acme.example", "Chef");
    people.extend((1..=4).map(|n| row(n).replace(",active", ",left")));
    home.people(&people);
}

fn banned(sim: &Sim) -> Vec<String> {
    let of = |user: &Value| user["client_id"].as_str().expect("a key").to_string();
    let mut keys: Vec<String> = sim.users().iter().filter(|user| user["banned"] == true).map(of).collect();
    keys.sort();
    keys
}

fn shown(home: &Home, id: &str) -> Value {
    home.run_json(&["plans", "show", id]).exits(0).json()
}

#[test]
fn bans_wait_alone_and_everything_else_is_sent() {
    let (sim, home) = staffed(12, "", ALONE);
    four_left(&home);
    let plan = home.run_json(&["plan"]).exits(3).json()["syncs"][0].clone();
    assert_eq!(plan["held"], json!({"limit": "ban", "count": 4, "allowed": 2, "apart": true}));
    assert!(home.run(&["plan"]).stdout.contains("it sends the rest"));

    let run = run_of(&home.run_json(&["sync"]).exits(3));
    assert_eq!((&run["status"], &run["apart"]), (&json!("held"), &json!(true)), "{run:#}");
    assert_eq!(run["planned"], json!({"create": 1, "update": 1, "ban": 4}));
    let (counts, id) = (&run["counts"], run["plan"].as_str().expect("an id").to_string());
    assert_eq!((&counts["create"]["ok"], &counts["update"]["ok"]), (&json!(1), &json!(1)));
    assert_eq!((&counts["ban"]["held"], &counts["ban"]["ok"]), (&json!(4), &json!(0)));
    assert!(sim.user("E0013").is_some());
    assert_eq!(banned(&sim), [""; 0]);
    assert_eq!(home.last_run(), [("ok create".into(), 1), ("ok update".into(), 1), ("held ban".into(), 4)].into());

    // Once more: nothing is sent, the plan is the same, and its outcomes were written.
    let mark = sim.mark();
    let again = run_of(&home.run_json(&["sync"]).exits(3));
    assert_eq!((&again["plan"], &again["held_again"]), (&json!(id), &json!(true)));
    assert_eq!((sim.writes_since(mark).len(), home.last_run()), (0, [].into()));

    let plan = shown(&home, &id);
    assert_eq!((plan["counts"].clone(), plan["operations"].as_array().map(Vec::len)), (json!({"ban": 4}), Some(4)));
    assert_eq!(plan["held"]["apart"], true);
    // Whoever joins meanwhile is let in, and what was approved is what was seen.
    let mut people = rows(5..=14);
    people[0] = with(5, "p5@acme.example", "Chef");
    home.people(&people);
    let more = run_of(&home.run_json(&["sync"]).exits(3));
    assert_eq!((&more["counts"]["create"]["ok"], &more["plan"]), (&json!(1), &json!(id)));
    let sent = run_of(&home.run_json(&["approve", &id]).exits(0));
    assert_eq!(sent["counts"]["ban"]["ok"], 4);
    assert_eq!(banned(&sim), ["E0001", "E0002", "E0003", "E0004"]);
    home.run(&["sync"]).exits(0);
}

#[test]
fn who_needs_what_a_held_ban_gives_up_waits_with_it() {
    let (sim, home) = staffed(12, "release_on_ban = [\"email\"]", ALONE);
    // The newcomer has the address of somebody who left, another the address that this one gives up.
    let mut people = rows(5..=12);
    people[0] = with(5, "p1@acme.example", "Nurse");
    people.push(with(13, "p5@acme.example", "Nurse"));
    people.push(row(14));
    home.people(&people);
    let run = run_of(&home.run_json(&["sync"]).exits(3));
    assert_eq!((&run["apart"], &run["counts"]["create"]["ok"]), (&json!(true), &json!(1)), "{run:#}");
    assert_eq!((&run["counts"]["create"]["held"], &run["counts"]["update"]["held"]), (&json!(1), &json!(1)));
    assert!(sim.user("E0014").is_some() && sim.user("E0013").is_none());
    assert_eq!(sim.user("E0005").expect("an account")["email"], "p5@acme.example");
    let id = run["plan"].as_str().expect("an id");
    home.run_json(&["approve", id]).exits(0);
    assert_eq!(sim.user("E0013").expect("an account")["email"], "p5@acme.example");
    assert_eq!(sim.user("E0005").expect("an account")["email"], "p1@acme.example");
    home.run(&["sync"]).exits(0);
}

#[test]
fn where_something_else_is_too_much_as_well_the_whole_plan_is_held() {
    let (sim, home) = staffed(12, "", "ban = 2\nhold = \"bans\"\nclear = 0");
    let mut people = rows(5..=13);
    people[0] = row(5).replace(",555-5,", ",,");
    home.people(&people);
    let mark = sim.mark();
    let run = run_of(&home.run_json(&["sync"]).exits(3));
    assert_eq!((&run["apart"], &run["counts"]["create"]["held"]), (&json!(null), &json!(1)), "{run:#}");
    assert_eq!(sim.writes_since(mark), []);
}

#[test]
fn what_goes_wrong_with_the_rest_is_told_beside_the_bans_that_wait() {
    let (sim, home) = staffed(12, "", ALONE);
    four_left(&home);
    sim.script(json!({"method": "POST", "key": "E0013", "nth": 1, "do": "status:400"}));
    let run = run_of(&home.run_json(&["sync"]).exits(3));
    let counts = &run["counts"];
    assert_eq!(
        (&counts["create"]["failed"], &counts["update"]["ok"], &counts["ban"]["held"]),
        (&json!(1), &json!(1), &json!(4))
    );
    assert_eq!(run["status"], "held");
}

#[test]
fn a_plan_that_has_grown_says_by_whom() {
    let (_sim, home) = staffed(12, "", "ban = 2");
    let left = |home: &Home, last: usize| home.people(&rows(last + 1..=12));
    left(&home, 4);
    let first = held(&home, &["sync"], "ban", 4, 2);
    left(&home, 6);
    let told = home.run(&["sync"]).exits(3).stdout;
    assert!(told.contains("grown") && told.contains("2 operations"), "{told}");
    assert!(told.contains("E0005 Ann Miller5 p5@acme.example"), "{told}");
    let id = home.run_json(&["plans"]).exits(0).json()["plans"][0]["id"].as_str().expect("an id").to_string();
    let plan = shown(&home, &id);
    assert_eq!((&plan["replaced"], &plan["added"]), (&json!(first), &json!(2)), "{plan:#}");
    let told = home.run(&["plans", "show", &id]).exits(0).stdout;
    assert!(told.contains("It has grown by 2 operations since plan") && told.contains("E0006 Ann Miller6"), "{told}");
}

#[test]
fn who_was_banned_by_mistake_and_let_in_again_leaves_room_for_others() {
    let (sim, home) = staffed(12, "", "ban = \"unlimited\"\nban_per_day = 4");
    home.people(&rows(5..=12));
    let run = run_of(&home.run_json(&["sync"]).exits(0))["run"].as_str().expect("an id").to_string();
    home.people(&rows(1..=10));
    let undo = home.run_json(&["undo", &run]).exits(0).json()["plan"].as_str().expect("a plan").to_string();
    home.run(&["approve", &undo]).exits(0);
    home.run(&["resume", "staff"]).exits(0);
    assert_eq!(banned(&sim), [""; 0]);
    home.run(&["sync"]).exits(0);
    assert_eq!(banned(&sim), ["E0011", "E0012"]);
    // Two of today's four are gone; whom HR itself brings back was banned all the same.
    home.people(&rows(1..=12));
    home.run(&["sync"]).exits(0);
    home.people(&rows(4..=12));
    held(&home, &["sync"], "ban_per_day", 5, 4);
    later(&home, 2 * super::DAY, &["sync"]).exits(0);
}
