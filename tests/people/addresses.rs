//! Renames, and addresses that pass from hand to hand: chains, swaps, newcomers who take what somebody gives up, leavers
//! who give theirs up. The target refuses duplicates at every step, and its log must show that it never had to.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{no_conflict_since, outcomes, replace, row, rows, run_of, set, staffed, with};
use crate::support::{Home, Sim};

const MANY_BANS: &str = "ban = \"unlimited\"\nban_per_day = \"unlimited\"";

/// The address of each person on the target.
fn addresses(sim: &Sim) -> BTreeMap<String, String> {
    let text = |user: &Value, field: &str| user[field].as_str().unwrap_or_default().to_string();
    sim.users().iter().map(|user| (text(user, "client_id"), text(user, "email"))).collect()
}

fn ids(sim: &Sim) -> BTreeMap<String, Value> {
    sim.users().iter().map(|u| (u["client_id"].as_str().unwrap_or_default().to_string(), u["id"].clone())).collect()
}

/// The first `n` people, of whom each has the address of the person that `holds` tells.
fn passed_on(n: usize, holds: impl Fn(usize) -> usize) -> Vec<String> {
    (1..=n).map(|i| with(i, &format!("p{}@acme.example", holds(i)), "Nurse")).collect()
}

/// Syncs, and asserts that so many people were updated without a duplicate, each with one outcome and the account
/// they had, and that nothing is left to do.
#[track_caller]
fn all_arrive(sim: &Sim, home: &Home, expected: usize) {
    let (mark, before) = (sim.mark(), ids(sim));
    let plan = home.run_json(&["plan"]).exits(0).json()["syncs"][0].clone();
    assert_eq!(plan["operations"].as_array().map(Vec::len), Some(expected), "steps on the way are not shown");
    assert_eq!(plan["counts"], json!({"update": expected}));
    let run = run_of(&home.run_json(&["sync"]).exits(0));
    assert_eq!(run["counts"]["update"]["ok"], json!(expected));
    assert_eq!(outcomes(home, &["--run", run["run"].as_str().expect("an id")]).len(), expected);
    no_conflict_since(sim, mark);
    assert_eq!(ids(sim), before);
    let mark = sim.mark();
    home.run(&["sync"]).exits(0);
    assert!(sim.since(mark).is_empty());
}

#[test]
fn a_rename_goes_to_the_account_that_is_known() {
    let (sim, home) = staffed(2, "", "");
    replace(&home, "account_level =", "username = \"email\"\naccount_level =");
    home.run(&["sync"]).exits(0);
    let mark = sim.mark();
    home.people(&[with(1, "ann.new@acme.example", "Nurse"), row(2)]);
    all_arrive(&sim, &home, 1);
    let user = sim.user("E0001").expect("an account");
    assert_eq!((&user["email"], &user["username"]), (&json!("ann.new@acme.example"), &json!("ann.new@acme.example")));
    let lookups = sim.since(mark).into_iter().filter(|r| !r.write).count();
    assert_eq!(lookups, 0, "nobody is looked up by an address that changes");
}

#[test]
fn chains_of_two_three_and_ten() {
    for n in [2, 3, 10] {
        let (sim, home) = staffed(n, "", "");
        home.people(&passed_on(n, |i| i + 1));
        all_arrive(&sim, &home, n);
        assert_eq!(addresses(&sim)["E0001"], "p2@acme.example");
        // And back again, in the other direction.
        home.people(&rows(1..=n));
        all_arrive(&sim, &home, n);
    }
}

#[test]
fn swaps_of_two_three_and_ten() {
    for n in [2, 3, 10] {
        let (sim, home) = staffed(n, "", "");
        home.people(&passed_on(n, |i| i % n + 1));
        let mark = sim.mark();
        all_arrive(&sim, &home, n);
        assert_eq!(addresses(&sim)[&format!("E{n:04}")], "p1@acme.example");
        let writes = sim.writes_since(mark).len();
        assert_eq!(writes, n + 1, "one is parked for a moment");
    }
}

#[test]
fn any_exchange_among_a_dozen() {
    let n = 12;
    let (sim, home) = staffed(n, "", "");
    let mut holds: Vec<usize> = (1..=n).collect();
    let mut chance: u64 = 7;
    for round in 0..8 {
        let before = holds.clone();
        for i in (1..n).rev() {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            holds.swap(i, (chance >> 33) as usize % (i + 1));
        }
        // Some give their address up for a new one, so that there are chains besides circles.
        holds.iter_mut().filter(|h| **h % 5 == round % 5).for_each(|h| *h += 100 * (round + 1));
        let changed = before.iter().zip(&holds).filter(|(a, b)| a != b).count();
        home.people(&passed_on(n, |i| holds[i - 1]));
        all_arrive(&sim, &home, changed);
    }
}

#[test]
fn a_newcomer_takes_what_somebody_gives_up_in_the_same_run() {
    // Three newcomers make a listing worth its while; one is looked up.
    for newcomers in [1, 3] {
        let (sim, home) = staffed(3, "", "");
        let mark = sim.mark();
        let mut people = vec![with(1, "ann.new@acme.example", "Nurse"), row(2), row(3)];
        people.extend(
            (0..newcomers)
                .map(|i| with(10 + i, &format!("p{}@acme.example", i + if i == 0 { 1 } else { 20 }), "Nurse")),
        );
        home.people(&people);
        let plan = home.run(&["plan"]).exits(0).stdout;
        assert!(!plan.contains("rekey"), "who is renamed stays who they are: {plan}");
        let run = run_of(&home.run_json(&["sync"]).exits(0));
        assert_eq!(run["counts"]["create"]["ok"], json!(newcomers));
        no_conflict_since(&sim, mark);
        assert_eq!(addresses(&sim)["E0010"], "p1@acme.example");
        assert_eq!(addresses(&sim)["E0001"], "ann.new@acme.example");
    }
}

#[test]
fn a_leaver_gives_the_address_up_to_a_newcomer_and_gets_another_back() {
    for bans_first in [true, false] {
        let settings = format!("release_on_ban = [\"email\", \"username\"]\nbans_first = {bans_first}");
        let (sim, home) = staffed(0, &settings, MANY_BANS);
        replace(&home, "account_level =", "username = \"email\"\naccount_level =");
        home.people(&rows(1..=4));
        home.run(&["sync"]).exits(0);
        let id = sim.user("E0001").expect("an account")["id"].clone();

        let mark = sim.mark();
        home.people(&[rows(2..=4), vec![with(9, "p1@acme.example", "Nurse")]].concat());
        let plan = home.run_json(&["plan"]).exits(0).json()["syncs"][0]["operations"].clone();
        let create = plan.as_array().expect("a list").iter().find(|o| o["op"] == "create").expect("a create").clone();
        let hint = create["hint"].as_str().unwrap_or_default();
        assert!(hint.contains("rosterd rekey staff E0001 E0009"), "{create}");
        let run = run_of(&home.run_json(&["sync"]).exits(0));
        assert_eq!((&run["counts"]["ban"]["ok"], &run["counts"]["create"]["ok"]), (&json!(1), &json!(1)));
        no_conflict_since(&sim, mark);
        let gone = sim.user("E0001").expect("an account");
        assert_eq!(gone["email"], json!(format!("{}@parked.invalid", id)));
        assert_eq!((&gone["username"], &gone["banned"]), (&Value::Null, &json!(true)));
        let mark = sim.mark();
        home.run(&["sync"]).exits(0);
        assert!(sim.since(mark).is_empty(), "an unchanged rerun is silent");

        // Back from leave with an address of one's own: the same account, as the source says.
        home.people(
            &[rows(2..=4), vec![with(9, "p1@acme.example", "Nurse"), with(1, "ann2@acme.example", "Nurse")]].concat(),
        );
        home.run(&["sync"]).exits(0);
        let back = sim.user("E0001").expect("an account");
        assert_eq!((&back["id"], &back["banned"]), (&id, &json!(false)));
        assert_eq!((&back["email"], &back["username"]), (&json!("ann2@acme.example"), &json!("ann2@acme.example")));
    }
}

#[test]
fn reinstatement_restores_what_was_released() {
    let (sim, home) = staffed(3, "release_on_ban = [\"email\"]", "");
    home.people(&rows(2..=3));
    home.run(&["sync"]).exits(0);
    home.people(&[rows(2..=3), vec![with(1, "p1@acme.example", "Head nurse")]].concat());
    let plan = home.run_json(&["plan"]).exits(0).json()["syncs"][0].clone();
    let names: Vec<&String> = plan["operations"][0]["fields"].as_object().expect("fields").keys().collect();
    assert_eq!(names, ["email", "title"]);
    home.run(&["sync"]).exits(0);
    let back = sim.user("E0001").expect("an account");
    assert_eq!((&back["email"], &back["title"]), (&json!("p1@acme.example"), &json!("Head nurse")));
}

#[test]
fn a_rehire_in_a_circle_is_parked_without_being_let_in_early() {
    let (sim, home) = staffed(3, "", MANY_BANS);
    home.people(&[row(2), row(3)]);
    home.run(&["sync"]).exits(0);
    // E0001 comes back with the address of E0002, who gets E0001's.
    home.people(&[with(1, "p2@acme.example", "Nurse"), with(2, "p1@acme.example", "Nurse"), row(3)]);
    let mark = sim.mark();
    home.run(&["sync"]).exits(0);
    no_conflict_since(&sim, mark);
    let ops: Vec<_> = sim.writes_since(mark).iter().map(|r| (r.key.as_deref().map(str::to_string), r.op)).collect();
    let own = ops.iter().filter(|(key, _)| key.as_deref() == Some("E0001")).map(|(_, op)| *op).collect::<Vec<_>>();
    assert_eq!(own, [crate::support::Op::Update, crate::support::Op::Reinstate]);
    assert_eq!(addresses(&sim)["E0001"], "p2@acme.example");
    assert_eq!(addresses(&sim)["E0002"], "p1@acme.example");
}

#[test]
fn without_release_a_banned_account_keeps_its_address() {
    let (sim, home) = staffed(3, "", "");
    home.people(&rows(2..=3));
    home.run(&["sync"]).exits(0);
    set(&home, "");
    home.people(&[rows(2..=3), vec![with(9, "p1@acme.example", "Nurse")]].concat());
    let mark = sim.mark();
    let run = run_of(&home.run_json(&["sync"]).exits(75));
    assert_eq!(run["counts"]["create"]["failed"], json!(1));
    let failed = outcomes(&home, &["--status", "failed"]).pop().expect("an outcome");
    assert_eq!(failed["error"]["kind"], "conflict");
    let message = failed["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("E0001") && message.contains("E0009") && message.contains("rosterd rekey"), "{message}");
    assert!(sim.writes_since(mark).is_empty());
}
