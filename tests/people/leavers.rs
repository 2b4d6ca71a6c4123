//! Leavers: grace that counts over runs from the first trusted read without them, leavers who are left alone, and who
//! comes back in time.

use serde_json::json;

use super::{DAY, cell, held, later, outcomes, replace, row, rows, run_of, set, staffed, with};
use crate::support::{Home, Op};

const GRACE: &str = "leave_grace = \"3d\"";

/// The reason for which everybody who was skipped in a run was.
fn skipped(home: &Home, run: &serde_json::Value) -> Vec<(String, String)> {
    outcomes(home, &["--run", run["run"].as_str().expect("an id"), "--status", "skipped"])
        .into_iter()
        .map(|o| (o["key"].as_str().unwrap_or_default().into(), o["reason"].as_str().unwrap_or_default().into()))
        .collect()
}

fn grace(key: &str) -> Vec<(String, String)> {
    vec![(key.into(), "grace".into())]
}

#[test]
fn grace_counts_from_the_first_trusted_read_without_them() {
    let (sim, home) = staffed(4, GRACE, "");
    home.people(&rows(2..=4));
    let mark = sim.mark();
    for seconds in [DAY, 2 * DAY, 4 * DAY - 60] {
        let run = run_of(&later(&home, seconds, &["sync", "--format", "json"]).exits(0));
        assert_eq!((&run["status"], &run["skipped"]), (&json!("ok"), &json!(1)));
        assert_eq!(skipped(&home, &run), grace("E0001"));
    }
    assert!(sim.writes_since(mark).is_empty());
    // Looking on the way has started nothing and ends nothing.
    later(&home, 5 * DAY, &["plan"]).exits(0);
    let run = run_of(&later(&home, 4 * DAY + 60, &["sync", "--format", "json"]).exits(0));
    assert_eq!(run["counts"]["ban"]["ok"], json!(1));
    assert_eq!(sim.committed_since(mark, Op::Ban), 1);
}

#[test]
fn a_plan_starts_no_grace() {
    let (_sim, home) = staffed(4, GRACE, "");
    home.people(&rows(2..=4));
    home.run(&["plan"]).exits(0);
    home.run(&["sync", "--dry-run"]).exits(0);
    let run = run_of(&later(&home, 4 * DAY, &["sync", "--format", "json"]).exits(0));
    assert_eq!(skipped(&home, &run), grace("E0001"));
}

#[test]
fn untrusted_reads_neither_count_nor_reset() {
    let (_sim, home) = staffed(4, GRACE, "");
    replace(&home, "[sources.hr]", "[sources.hr]\nmin_records = 3");
    // The first read without them is not trusted: it doesn't count.
    home.people(&rows(3..=4));
    later(&home, DAY, &["sync"]).exits(65);
    home.people(&rows(2..=4));
    let run = run_of(&later(&home, 4 * DAY + 60, &["sync", "--format", "json"]).exits(0));
    assert_eq!(skipped(&home, &run), grace("E0001"));
    // One in between, with them, is not trusted either: it doesn't reset.
    home.people(&rows(1..=2));
    later(&home, 5 * DAY, &["sync"]).exits(65);
    home.people(&rows(2..=4));
    let run = run_of(&later(&home, 7 * DAY + 120, &["sync", "--format", "json"]).exits(0));
    assert_eq!(run["counts"]["ban"]["ok"], json!(1));
}

#[test]
fn who_is_back_in_time_starts_anew_changed_or_not() {
    for title in ["Nurse", "Head nurse"] {
        let (_sim, home) = staffed(4, GRACE, "");
        home.people(&rows(2..=4));
        later(&home, DAY, &["sync"]).exits(0);
        home.people(&[vec![with(1, "p1@acme.example", title)], rows(2..=4)].concat());
        later(&home, 2 * DAY, &["sync"]).exits(0);
        home.people(&rows(2..=4));
        let run = run_of(&later(&home, 4 * DAY + 60, &["sync", "--format", "json"]).exits(0));
        assert_eq!(skipped(&home, &run), grace("E0001"), "{title}");
    }
}

#[test]
fn who_was_back_and_could_not_be_updated_starts_anew_all_the_same() {
    let (sim, home) = staffed(4, GRACE, "");
    home.people(&rows(2..=4));
    later(&home, DAY, &["sync"]).exits(0);
    sim.script(json!({"method": "PUT", "do": "status:422"}));
    home.people(&[vec![with(1, "p1@acme.example", "Matron")], rows(2..=4)].concat());
    later(&home, 2 * DAY, &["sync"]).exits(75);
    home.people(&rows(2..=4));
    let run = run_of(&later(&home, 4 * DAY + 60, &["sync", "--format", "json"]).exits(0));
    assert_eq!(skipped(&home, &run), grace("E0001"));
}

#[test]
fn grace_starts_and_counts_while_a_plan_is_held() {
    let (_sim, home) = staffed(12, GRACE, "update = 0");
    let changed = |from: usize| home.people(&[rows(from..=11), vec![with(12, "p12@acme.example", "Matron")]].concat());
    changed(1);
    let plan = held(&home, &["sync"], "update", 1, 0);
    // Held again, the same plan; meanwhile somebody has left.
    changed(2);
    assert_eq!(run_of(&later(&home, DAY, &["sync", "--format", "json"]).exits(3))["plan"], json!(plan));
    home.people(&rows(2..=12));
    let run = run_of(&later(&home, 4 * DAY + 60, &["sync", "--format", "json"]).exits(0));
    assert_eq!(run["counts"]["ban"]["ok"], json!(1), "three days after the first read without them");
}

#[test]
fn an_excluded_leaver_has_grace_like_an_absent_one() {
    let (_sim, home) = staffed(4, GRACE, "");
    home.people(&[rows(2..=4), vec![row(1).replace(",active", ",left")]].concat());
    let run = run_of(&later(&home, DAY, &["sync", "--format", "json"]).exits(0));
    assert_eq!(skipped(&home, &run), grace("E0001"));
    let run = run_of(&later(&home, 4 * DAY + 60, &["sync", "--format", "json"]).exits(0));
    assert_eq!(run["counts"]["ban"]["ok"], json!(1));
    let again = run_of(&later(&home, 5 * DAY, &["sync", "--format", "json"]).exits(0));
    assert_eq!((&again["counts"], &again["skipped"], &again["excluded"]), (&json!({}), &json!(0), &json!(1)));
}

#[test]
fn leavers_are_left_alone_once_said() {
    let (sim, home) = staffed(4, "on_leave = \"ignore\"", "");
    home.people(&rows(2..=4));
    let mark = sim.mark();
    let run = run_of(&home.run_json(&["sync"]).exits(0));
    assert_eq!(skipped(&home, &run), [("E0001".to_string(), "on_leave".to_string())]);
    let run = run_of(&home.run_json(&["sync"]).exits(0));
    assert_eq!((&run["skipped"], &run["counts"]), (&json!(0), &json!({})));
    assert_eq!(cell::<String>(&home, "SELECT state FROM v_users WHERE key = 'E0001'"), "left");
    // Back as they were: without a request. Back otherwise: brought up to date, on the same account.
    home.people(&rows(1..=4));
    home.run(&["sync"]).exits(0);
    assert!(sim.since(mark).is_empty());
    assert_eq!(cell::<String>(&home, "SELECT state FROM v_users WHERE key = 'E0001'"), "active");
    home.people(&rows(2..=4));
    home.run(&["sync"]).exits(0);
    home.people(&[vec![with(1, "p1@acme.example", "Matron")], rows(2..=4)].concat());
    let run = run_of(&home.run_json(&["sync"]).exits(0));
    assert_eq!(run["counts"]["update"]["ok"], json!(1));
    assert_eq!(sim.user("E0001").expect("an account")["title"], "Matron");
    // And who is ignored no longer is dealt with like anybody.
    replace(&home, "on_leave = \"ignore\"", "on_leave = \"ban\"");
    home.people(&rows(2..=4));
    assert_eq!(run_of(&home.run_json(&["sync"]).exits(0))["counts"]["ban"]["ok"], json!(1));
}

#[test]
fn the_skip_of_an_ignored_leaver_is_not_lost_while_a_plan_is_held() {
    let (_sim, home) = staffed(4, "on_leave = \"ignore\"", "update = 0");
    let changed = |from: usize| home.people(&[rows(from..=3), vec![with(4, "p4@acme.example", "Matron")]].concat());
    changed(1);
    held(&home, &["sync"], "update", 1, 0);
    changed(2);
    held(&home, &["sync"], "update", 1, 0);
    home.people(&rows(2..=4));
    let run = run_of(&home.run_json(&["sync"]).exits(0));
    assert_eq!(skipped(&home, &run), [("E0001".to_string(), "on_leave".to_string())]);
}

#[test]
fn a_person_whose_row_is_bad_has_not_left() {
    let (sim, home) = staffed(4, "", "");
    let mark = sim.mark();
    home.people(&[rows(2..=4), vec![with(1, "", "Nurse")]].concat());
    let run = run_of(&home.run_json(&["sync"]).exits(75));
    assert_eq!((&run["rejected"], &run["counts"]), (&json!(1), &json!({})));
    // A row without a key could be anybody's: nobody leaves in that run.
    home.people(&[rows(3..=4), vec![row(1).replace("E0001", "")]].concat());
    let run = run_of(&home.run_json(&["sync"]).exits(75));
    let reasons: Vec<_> = skipped(&home, &run).into_iter().map(|(_, reason)| reason).collect();
    assert_eq!(reasons, ["keyless row", "keyless row"]);
    assert!(sim.writes_since(mark).is_empty());
    set(&home, "");
}

const WEEK: &str = "leave_grace = \"7d\"";
const YEAR: i64 = 366 * DAY;

/// A run at this time that skips E0001 alone, for this reason.
#[track_caller]
fn skips(home: &Home, seconds: i64, reason: &str) {
    let code = if reason == "clock" { 75 } else { 0 };
    let run = run_of(&later(home, seconds, &["sync", "--format", "json"]).exits(code));
    assert_eq!(skipped(home, &run), [("E0001".to_string(), reason.to_string())], "{seconds} seconds from now");
}

#[test]
fn a_clock_that_was_years_behind_bans_nobody_sooner() {
    let (sim, home) = staffed(4, WEEK, "");
    home.people(&rows(2..=4));
    let mark = sim.mark();
    // Its first absence falls into the time when the clock is wrong; after that it is right again.
    skips(&home, -20 * YEAR, "clock");
    skips(&home, -20 * YEAR + 900, "grace");
    skips(&home, 600, "grace");
    skips(&home, 7 * DAY, "grace");
    assert!(sim.writes_since(mark).is_empty());
    let run = run_of(&later(&home, 7 * DAY + 1200, &["sync", "--format", "json"]).exits(0));
    assert_eq!(run["counts"]["ban"]["ok"], json!(1));
}

#[test]
fn a_clock_that_was_wrong_from_the_first_run_on_bans_nobody_sooner() {
    let sim = crate::support::Sim::start();
    let home = Home::juno(&sim.juno());
    set(&home, WEEK);
    home.people(&rows(1..=4));
    later(&home, -20 * YEAR, &["sync"]).exits(0);
    home.people(&rows(2..=4));
    skips(&home, -20 * YEAR + 600, "grace");
    skips(&home, 0, "grace");
    skips(&home, 900, "grace");
}

#[test]
fn a_clock_that_was_years_ahead_lets_nobody_stay_for_ever() {
    for first in ["absent", "stamped"] {
        let (sim, home) = staffed(4, WEEK, "");
        home.people(&rows(2..=4));
        if first == "stamped" {
            skips(&home, 0, "grace");
        }
        skips(&home, 5 * YEAR, "grace");
        skips(&home, 900, "clock");
        skips(&home, 1800, "grace");
        let mark = sim.mark();
        skips(&home, 7 * DAY, "grace");
        let run = run_of(&later(&home, 7 * DAY + 2400, &["sync", "--format", "json"]).exits(0));
        assert_eq!(run["counts"]["ban"]["ok"], json!(1));
        assert_eq!(sim.committed_since(mark, Op::Ban), 1);
    }
}

#[test]
fn a_run_behind_the_one_before_acts_on_no_leaver_and_the_next_does() {
    for settings in ["", "on_leave = \"ignore\""] {
        let (sim, home) = staffed(4, settings, "");
        home.people(&rows(1..=5));
        later(&home, DAY, &["sync"]).exits(0);
        home.people(&[rows(2..=5), vec![row(7)]].concat());
        assert!(home.run(&["plan"]).exits(0).stdout.contains("clock"));
        let mark = sim.mark();
        let run = run_of(&home.run_json(&["sync"]).exits(75));
        assert_eq!(skipped(&home, &run), [("E0001".to_string(), "clock".to_string())]);
        assert_eq!(run["counts"]["create"]["ok"], json!(1), "everybody else goes on");
        assert_eq!(sim.committed_since(mark, Op::Ban), 0);
        home.run(&["sync"]).exits(0);
        assert_eq!(sim.committed_since(mark, Op::Ban), usize::from(settings.is_empty()));
    }
    // What a time service sets right is nothing.
    let (sim, home) = staffed(4, "", "");
    later(&home, 20, &["sync"]).exits(0);
    home.people(&rows(2..=4));
    let mark = sim.mark();
    home.run(&["sync"]).exits(0);
    assert_eq!(sim.committed_since(mark, Op::Ban), 1);
}

#[test]
fn a_record_that_can_not_be_used_counts_as_there() {
    // By the reader, and by the mapping.
    for bad in ["E0001,Ann", "E0001,Ann,Miller1,,555-1,Nurse,Bern,active"] {
        let (_sim, home) = staffed(4, GRACE, "");
        home.people(&rows(2..=4));
        skips(&home, DAY, "grace");
        home.people(&[vec![bad.to_string()], rows(2..=4)].concat());
        later(&home, 2 * DAY, &["sync"]).exits(75);
        home.people(&rows(2..=4));
        skips(&home, 4 * DAY + 60, "grace");
        let run = run_of(&later(&home, 8 * DAY, &["sync", "--format", "json"]).exits(0));
        assert_eq!(run["counts"]["ban"]["ok"], json!(1), "{bad}");
    }
}

#[test]
fn an_incomplete_read_neither_counts_nor_resets() {
    let (_sim, home) = staffed(4, GRACE, "");
    replace(&home, "[sources.hr]", "[sources.hr]\non_incomplete = \"no-bans\"");
    home.people(&rows(2..=4));
    skips(&home, DAY, "grace");
    // Cut off after E0001, who is in it.
    home.people(&rows(1..=4));
    let path = home.path().join("config/hr.csv");
    let text = std::fs::read_to_string(&path).expect("the source");
    std::fs::write(&path, format!("{text}cut-off,\"Ann")).expect("the source, cut off");
    later(&home, 2 * DAY, &["sync"]).exits(75);
    home.people(&rows(2..=4));
    let run = run_of(&later(&home, 4 * DAY + 60, &["sync", "--format", "json"]).exits(0));
    assert_eq!(run["counts"]["ban"]["ok"], json!(1));
}
