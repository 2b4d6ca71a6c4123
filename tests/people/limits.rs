//! Every limit just below, at and above what it allows; shares of small numbers, an empty snapshot, days that pass.

use serde_json::json;

use super::{DAY, cell, held, later, outcomes, row, rows, run_of, staffed, with};
use crate::support::{Home, Sim};

/// One below the allowance, at it, and above: the first two are sent, the third is held with nothing sent. `make`
/// prepares a home, `act` changes the source so that the limit counts so many.
fn judged(limit: &str, allowed: u64, make: impl Fn() -> (Sim, Home), act: impl Fn(&Sim, &Home, usize)) {
    for count in allowed - 1..=allowed + 1 {
        let (sim, home) = make();
        act(&sim, &home, count as usize);
        let mark = sim.mark();
        if count > allowed {
            let plan = home.run_json(&["plan"]).exits(3).json()["syncs"][0].clone();
            assert_eq!(plan["held"], json!({"limit": limit, "count": count, "allowed": allowed}));
            held(&home, &["sync"], limit, count, allowed);
            assert!(sim.writes_since(mark).is_empty(), "{limit}: {count}");
        } else {
            home.run(&["plan"]).exits(0);
            let run = run_of(&home.run_json(&["sync"]).exits(0));
            assert_eq!((&run["status"], &run["held"]), (&json!("ok"), &json!(null)), "{limit}: {count}");
        }
    }
}

/// Twelve people; the rest is out of scope.
fn leave(home: &Home, leavers: usize) {
    let mut people = rows(leavers + 1..=12);
    people.extend((1..=leavers).map(|n| row(n).replace(",active", ",left")));
    home.people(&people);
}

fn unlimited_bans() -> &'static str {
    "ban = \"unlimited\"\nban_per_day = \"unlimited\""
}

#[test]
fn create_update_and_each_cleared_field() {
    let create = |_: &Sim, home: &Home, n: usize| home.people(&rows(1..=12 + n));
    judged("create", 3, || with_limits("create = 15", "create = 3"), create);

    let update = |_: &Sim, home: &Home, n: usize| {
        home.people(
            &(1..=12)
                .map(|i| if i <= n { with(i, &format!("p{i}@acme.example"), "Head nurse") } else { row(i) })
                .collect::<Vec<_>>(),
        );
    };
    judged("update", 3, || staffed(12, "", "update = 3"), update);

    let clear = |_: &Sim, home: &Home, n: usize| {
        let emptied = |i: usize| row(i).replace(&format!(",555-{i},"), ",,");
        home.people(&(1..=12).map(|i| if i <= n { emptied(i) } else { row(i) }).collect::<Vec<_>>());
    };
    judged("clear.phone", 3, || staffed(12, "", "clear = 3"), clear);
}

/// Twelve people synced under one limit, then judged under another.
fn with_limits(before: &str, after: &str) -> (Sim, Home) {
    let (sim, home) = staffed(12, "", before);
    super::replace(&home, before, after);
    (sim, home)
}

#[test]
fn reinstate_and_adopt_are_limited_when_asked_to() {
    let make = || {
        let (sim, home) = staffed(12, "", &format!("{}\nreinstate = 3", unlimited_bans()));
        leave(&home, 6);
        home.run(&["sync"]).exits(0);
        (sim, home)
    };
    judged("reinstate", 3, make, |_, home, n| leave(home, 6 - n));

    judged(
        "adopt",
        3,
        || staffed(12, "", "adopt = 3"),
        |sim, home, n| {
            let there: Vec<_> = (13..13 + n).map(|i| json!({"email": format!("p{i}@acme.example")})).collect();
            sim.seed(json!(there));
            home.people(&rows(1..13 + n));
        },
    );
}

#[test]
fn what_an_adoption_writes_counts_as_update_and_reinstatement() {
    let seed = |sim: &Sim, home: &Home, n: usize| {
        let there: Vec<_> =
            (13..13 + n).map(|i| json!({"email": format!("p{i}@acme.example"), "banned": true})).collect();
        sim.seed(json!(there));
        home.people(&rows(1..13 + n));
    };
    judged("update", 2, || staffed(12, "", "update = 2"), seed);
    judged("reinstate", 2, || staffed(12, "", "reinstate = 2"), seed);
}

#[test]
fn bans_of_a_run() {
    judged("ban", 3, || staffed(12, "", "ban = 3"), |_, home, n| leave(home, n));
}

#[test]
fn bans_of_a_day_over_all_runs() {
    let make = || {
        let (sim, home) = staffed(12, "", "ban = \"unlimited\"\nban_per_day = 4");
        leave(&home, 2);
        home.run(&["sync"]).exits(0);
        (sim, home)
    };
    judged("ban_per_day", 4, make, |_, home, n| leave(home, n));

    // A plan without bans is not held for those of the morning, and tomorrow there is room again.
    let (_sim, home) = make();
    leave(&home, 5);
    held(&home, &["sync"], "ban_per_day", 5, 4);
    later(&home, DAY - 60, &["sync"]).exits(3);
    later(&home, DAY + 60, &["sync"]).exits(0);
    home.people(&[rows([13]), rows(6..=12), (1..=5).map(|n| row(n).replace(",active", ",left")).collect()].concat());
    later(&home, DAY + 120, &["sync"]).exits(0);
}

#[test]
fn never_all_of_three_or_more() {
    for (n, code) in [(1, 0), (2, 0), (3, 3), (4, 3)] {
        let (sim, home) = staffed(n, "", unlimited_bans());
        home.people(&(1..=n).map(|i| row(i).replace(",active", ",left")).collect::<Vec<_>>());
        let mark = sim.mark();
        if code == 3 {
            held(&home, &["sync"], "ban_all", n as u64, n as u64 - 1);
            assert!(sim.writes_since(mark).is_empty());
        } else {
            home.run(&["sync"]).exits(0);
            assert_eq!(sim.writes_since(mark).len(), n);
        }
    }
}

#[test]
fn shares_of_ten_people_are_rounded_down() {
    for (limit, allowed) in [
        ("\"5%\"", 0),
        ("\"9%\"", 0),
        ("\"10%\"", 1),
        ("\"19%\"", 1),
        ("\"20%\"", 2),
        ("{ count = 1, percent = 30 }", 3),
        ("{ count = 3, percent = 5 }", 3),
        ("0", 0),
    ] {
        let (_sim, home) = staffed(10, "", &format!("ban = {limit}"));
        home.people(
            &(1..=10).map(|i| if i <= 4 { row(i).replace(",active", ",left") } else { row(i) }).collect::<Vec<_>>(),
        );
        let plan = home.run_json(&["plan"]).exits(3).json()["syncs"][0].clone();
        assert_eq!(plan["held"], json!({"limit": "ban", "count": 4, "allowed": allowed}), "{limit}");
    }
}

#[test]
fn of_nobody_a_share_is_nobody() {
    for (limit, allowed, newcomers) in [("\"100%\"", 0, 1), ("{ count = 2, percent = 100 }", 2, 3)] {
        let sim = Sim::start();
        let home = Home::juno(&sim.juno());
        home.configure(&format!("[syncs.staff.limits]\ncreate = {limit}"));
        home.people(&rows(1..=newcomers));
        held(&home, &["sync"], "create", newcomers as u64, allowed);
        assert!(sim.users().is_empty());
    }
}

#[test]
fn ten_people_are_ten_people() {
    // The defaults: of ten people, ten may leave as far as `ban` goes, and never all of them.
    let (_sim, home) = staffed(10, "", "");
    let gone = |n: usize| {
        (1..=10).map(|i| if i <= n { row(i).replace(",active", ",left") } else { row(i) }).collect::<Vec<_>>()
    };
    home.people(&gone(10));
    held(&home, &["sync"], "ban_all", 10, 9);
    home.people(&gone(9));
    home.run(&["sync"]).exits(0);
}

#[test]
fn who_comes_and_goes_too_often_is_held_and_named() {
    let (sim, home) = staffed(4, "max_flaps = 2\nflap_window = \"30d\"", unlimited_bans());
    let away = || home.people(&[rows(2..=4), vec![row(1).replace(",active", ",left")]].concat());
    let back = || home.people(&rows(1..=4));
    for day in [1, 2] {
        away();
        later(&home, day * DAY, &["sync"]).exits(0);
        back();
        later(&home, day * DAY + 60, &["sync"]).exits(0);
    }
    away();
    later(&home, 3 * DAY, &["sync"]).exits(0);
    back();
    let mark = sim.mark();
    let run = run_of(&later(&home, 3 * DAY + 60, &["sync", "--format", "json"]).exits(3));
    assert_eq!(run["held"], json!({"limit": "flap", "count": 3, "allowed": 2}));
    let message = run["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("(E0001)"), "{message}");
    assert!(sim.writes_since(mark).is_empty());
    // The window moves on.
    later(&home, 32 * DAY, &["sync"]).exits(0);
    assert_eq!(sim.user("E0001").expect("an account")["banned"], json!(false));
}

#[test]
fn a_plan_held_again_has_its_outcomes_once_and_another_takes_its_place() {
    let (_sim, home) = staffed(12, "", "ban = 2");
    leave(&home, 3);
    let first = held(&home, &["sync"], "ban", 3, 2);
    let run = run_of(&home.run_json(&["sync"]).exits(3));
    assert_eq!((run["plan"].as_str(), &run["counts"]["ban"]["held"]), (Some(first.as_str()), &json!(3)));
    assert_eq!(run["held_again"], true, "told by the run, written once");
    assert_eq!(outcomes(&home, &["--status", "held"]).len(), 3);
    leave(&home, 4);
    let second = held(&home, &["sync"], "ban", 4, 2);
    assert_ne!(first, second);
    let plans = home.run_json(&["plans"]).exits(0).json();
    let ids: Vec<_> = plans["plans"].as_array().expect("a list").iter().map(|p| p["id"].clone()).collect();
    assert_eq!(ids, [json!(second)]);
    home.run(&["approve", &first]).exits(3);
    // What goes through ends it too.
    leave(&home, 2);
    home.run(&["sync"]).exits(0);
    assert_eq!(home.run_json(&["plans"]).exits(0).json(), json!({"plans": []}));
    assert_eq!(cell::<i64>(&home, "SELECT count(*) FROM v_outcomes WHERE status = 'held'"), 7);
}
