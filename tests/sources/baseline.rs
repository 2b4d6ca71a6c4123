//! With what a read is compared: the largest trusted one of the days before the last trusted one, or what somebody
//! accepted.

use serde_json::{Value, json};

use super::stage::{HEADER, file, put, row, rows, run, set_source};
use crate::support::{Home, Sim};

const DAY: i64 = 86_400;

/// Runs this command so many days later.
fn days_later(home: &Home, days: i64, args: &[&str], code: i32) -> Value {
    run(home, args, &[("ROSTERD_TEST_CLOCK_OFFSET", &(days * DAY).to_string())]).exits(code).json()
}

/// A home with the limit on bans out of the way.
fn home(sim: &Sim) -> Home {
    let home = Home::juno(&sim.juno());
    home.configure("[syncs.staff.limits]\nban = \"unlimited\"\nban_per_day = \"unlimited\"");
    home
}

#[track_caller]
fn says(answer: &Value, part: &str) {
    assert!(answer.to_string().contains(part), "{part:?} is not in {answer}");
}

#[test]
fn distrust_does_not_wear_off() {
    let sim = Sim::start();
    let home = home(&sim);
    put(&home, "hr.csv", file(1..=40));
    home.run(&["sync"]).exits(0);
    put(&home, "hr.csv", file(1..=20));
    for day in [0, 1, 6, 7, 8, 30, 400] {
        says(&days_later(&home, day, &["sync"], 65), "20 fewer than the 40 of the largest trusted read");
    }
    put(&home, "hr.csv", file(1..=35));
    assert_eq!(days_later(&home, 401, &["sync"], 0)["runs"][0]["counts"]["ban"]["ok"], 5, "within max_shrink");
    put(&home, "hr.csv", file(1..=25));
    let shrunk = days_later(&home, 401, &["sync"], 0);
    assert_eq!(shrunk["runs"][0]["counts"]["ban"]["ok"], 10, "the baseline is that of the last trusted read: {shrunk}");
}

#[test]
fn an_untrusted_read_is_never_a_baseline_and_spends_no_acceptance() {
    let sim = Sim::start();
    let home = home(&sim);
    let unmapped = |n: usize| (1..=n).map(|i| row(i).replace(&format!("p{i}@acme.com"), "")).collect::<String>();
    put(&home, "hr.csv", HEADER.to_string() + &unmapped(40));
    says(&home.run_json(&["sync"]).exits(65).json(), "40 of its 40 rows can't be used");
    put(&home, "hr.csv", file(1..=20));
    home.run(&["sync"]).exits(0);
    put(&home, "hr.csv", file(1..=5));
    home.run(&["sync"]).exits(65);
    home.run(&["accept", "hr"]).exits(0);
    put(&home, "hr.csv", HEADER.to_string() + &unmapped(20));
    home.run(&["sync"]).exits(65);
    put(&home, "hr.csv", file(1..=5));
    home.run(&["sync"]).exits(0);
}

#[test]
fn who_can_not_be_used_is_there_all_the_same() {
    let sim = Sim::start();
    let home = home(&sim);
    put(&home, "hr.csv", file(1..=40));
    home.run(&["sync"]).exits(0);
    let ragged = |from: usize, to: usize| (from..=to).map(|i| format!("E{i:03},x\n")).collect::<String>();
    let lenient = [("ROSTERD_SOURCES__HR__MAX_REJECTED", "unlimited")];
    put(&home, "hr.csv", file(1..=25) + &ragged(26, 40));
    let ran = run(&home, &["sync"], &lenient).exits(75).json();
    assert_eq!((&ran["runs"][0]["rejected"], &ran["runs"][0]["planned"]), (&json!(15), &json!({})), "{ran}");
    put(&home, "hr.csv", file(1..=20) + &ragged(21, 29));
    let gone = run(&home, &["sync"], &lenient).exits(65).json();
    says(&gone, "it has 20 records and 9 that can't be used, 11 fewer than the 40");
    // And they were there when the next read is compared with this one.
    put(&home, "hr.csv", file(1..=29));
    home.run(&["sync"]).exits(65);
}

#[test]
fn an_acceptance_is_of_what_the_source_has_now() {
    let sim = Sim::start();
    let home = home(&sim);
    put(&home, "hr.csv", file(1..=60));
    home.run(&["sync"]).exits(0);
    put(&home, "hr.csv", file(1..=40));
    home.run(&["sync"]).exits(65);
    let told = home.run(&["accept", "hr"]).exits(0).stdout;
    for part in ["hr has 40 records now", "had 60", "at least 30", "void at"] {
        assert!(told.contains(part), "{part:?} is not in {told}");
    }
    let json = home.run_json(&["accept", "hr"]).exits(0).json();
    for (key, value) in [
        ("source", json!("hr")),
        ("records", json!(40)),
        ("rejected", json!(0)),
        ("baseline", json!(60)),
        ("accepted", json!(40)),
        ("at_least", json!(30)),
        ("members", json!([])),
    ] {
        assert_eq!(json[key], value, "{key}: {json}");
    }
    put(&home, "hr.csv", file(1..=19));
    says(&home.run_json(&["sync"]).exits(65).json(), "21 fewer than the 40 that were accepted; max_shrink allows 10");
    put(&home, "hr.csv", file(1..=38));
    assert_eq!(home.run_json(&["sync"]).exits(0).the_run()["counts"]["ban"]["ok"], 22);
    put(&home, "hr.csv", file(1..=27));
    says(&home.run_json(&["sync"]).exits(65).json(), "11 fewer than the 38 of the largest trusted read");
}

#[test]
fn an_acceptance_is_void_after_a_day() {
    for (hours, code, part) in [(23, 0, "\"ban\":20"), (24, 65, "20 fewer than the 60 of the largest trusted read")] {
        let sim = Sim::start();
        let home = home(&sim);
        put(&home, "hr.csv", file(1..=60));
        home.run(&["sync"]).exits(0);
        put(&home, "hr.csv", file(1..=40));
        home.run(&["accept", "hr"]).exits(0);
        let later = (hours * 3_600i64).to_string();
        says(&run(&home, &["sync"], &[("ROSTERD_TEST_CLOCK_OFFSET", &later)]).exits(code).json(), part);
    }
}

#[test]
fn what_fails_another_check_is_not_accepted() {
    let sim = Sim::start();
    let home = home(&sim);
    put(&home, "hr.csv", file(1..=60));
    home.run(&["sync"]).exits(0);
    let unmapped = (1..=20).map(|i| row(i).replace(&format!("p{i}@acme.com"), "")).collect::<String>();
    for (name, text, code, part) in [
        ("cut off", file(1..=20) + "E021,A", 65, "cut off"),
        ("too few", HEADER.to_string(), 65, "min_records is 1"),
        ("a column is missing", file(1..=20).replacen("email", "mail", 1), 65, "email"),
        (
            "ragged",
            file(1..=5) + &(6..=20).map(|i| format!("E{i:03},x\n")).collect::<String>(),
            65,
            "15 of its 20 rows",
        ),
        ("nobody can be mapped", HEADER.to_string() + &unmapped, 65, "20 of its 20 rows"),
    ] {
        put(&home, "hr.csv", text);
        let refused = home.run_json(&["accept", "hr"]).exits(code).json();
        assert_eq!(refused["error"]["code"], code, "{name}");
        says(&refused, part);
    }
    std::fs::remove_file(home.path().join("config/hr.csv")).expect("it was there");
    home.run_json(&["accept", "hr"]).exits(69);
    put(&home, "hr.csv", file(1..=20));
    home.run(&["sync"]).exits(65);
}

#[test]
fn accepting_a_union_accepts_its_members() {
    let sim = Sim::start();
    let home = home(&sim);
    let member =
        |name: &str| format!("[sources.{name}]\nkind = \"csv\"\npath = \"{name}.csv\"\nkey = \"employee_id\"\n");
    let union = "[sources.hr]\nkind = \"union\"\nmembers = [\"north\", \"south\"]\n";
    set_source(&home, &format!("{union}{}{}", member("north"), member("south")));
    put(&home, "north.csv", file(1..=40));
    put(&home, "south.csv", file(41..=80));
    home.run(&["sync"]).exits(0);
    put(&home, "south.csv", file(41..=60));
    says(&home.run_json(&["sync"]).exits(65).json(), "because a member is not");
    let json = home.run_json(&["accept", "hr"]).exits(0).json();
    assert_eq!(
        (&json["accepted"], &json["members"][1]["source"], &json["members"][1]["accepted"]),
        (&json!(60), &json!("south"), &json!(20))
    );
    put(&home, "south.csv", HEADER.to_string() + &rows(41..=45));
    home.run(&["sync"]).exits(65);
    put(&home, "south.csv", file(41..=60));
    assert_eq!(home.run_json(&["sync"]).exits(0).the_run()["counts"]["ban"]["ok"], 20);
}

#[test]
fn a_clock_that_was_ahead_neither_freezes_nor_poisons_the_baseline() {
    let sim = Sim::start();
    let home = home(&sim);
    put(&home, "hr.csv", file(1..=40));
    days_later(&home, 3_650, &["sync"], 0);
    put(&home, "hr.csv", file(1..=20));
    says(&home.run_json(&["sync"]).exits(65).json(), "20 fewer than the 40");
    put(&home, "hr.csv", file(1..=70));
    home.run(&["sync"]).exits(0);
    put(&home, "hr.csv", file(1..=50));
    says(&home.run_json(&["sync"]).exits(65).json(), "20 fewer than the 70");
}
