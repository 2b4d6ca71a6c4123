//! One person under two keys: a leaver by whose account a newcomer is recognised is not banned, and keys that were
//! reformatted on their way hold the plan; who is somebody else goes through.

use serde_json::{Value, json};

use super::{cell, later, outcomes, replace, row, rows, run_of, set, staffed, with};
use crate::support::{Home, Op, Sim};

const RELEASE: &str = "release_on_ban = [\"email\"]";

/// The nth person under another key.
fn under(key: &str, n: usize) -> String {
    row(n).replacen(&format!("E{n:04}"), key, 1)
}

fn plan(home: &Home, args: &[&str], code: i32) -> Value {
    home.run_json(&[&["plan"], args].concat()).exits(code).json()["syncs"][0].clone()
}

/// What the plan has for somebody.
fn planned<'p>(plan: &'p Value, key: &str) -> &'p Value {
    plan["operations"].as_array().expect("a list").iter().find(|o| o["key"] == key).unwrap_or(&Value::Null)
}

/// Asserts that the run left `old` alone and failed `new`, naming both and the way out, and sent nothing for either.
#[track_caller]
fn suspected(sim: &Sim, home: &Home, mark: u64, run: &Value, old: &str, new: &str) {
    let id = run["run"].as_str().expect("an id");
    let of = |key: &str| outcomes(home, &["--run", id, "--key", key]);
    let (left, failed) = (of(old), of(new));
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!((&left[0]["status"], &left[0]["reason"]), (&json!("skipped"), &json!("rekey_suspected")));
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!((&failed[0]["status"], &failed[0]["error"]["kind"]), (&json!("failed"), &json!("conflict")));
    let message = failed[0]["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains(&format!("rosterd rekey staff {old} {new}")), "{message}");
    let written = sim.writes_since(mark);
    assert!(written.iter().all(|r| r.key.as_deref() != Some(old) && r.key.as_deref() != Some(new)), "{written:#?}");
}

#[test]
fn a_leaver_by_whom_a_newcomer_is_recognised_is_not_banned() {
    for settings in ["", "leave_grace = \"3d\"", "on_leave = \"ignore\"", "bans_first = false"] {
        let (sim, home) = staffed(6, settings, "");
        let id = sim.user("E0001").expect("an account")["id"].clone();
        let mark = sim.mark();
        // One is C5 under a new key; another leaves, and another is new, and neither has to do with it.
        home.people(&[vec![under("E905", 1)], rows(3..=6), rows([20])].concat());
        let plan = plan(&home, &[], 0);
        let skipped = plan["skipped"].as_array().expect("a list");
        let expected = json!({"key": "E0001", "reason": "rekey_suspected", "label": "Ann Miller1 p1@acme.example"});
        assert!(skipped.contains(&expected), "{plan:#}");
        let conflict = planned(&plan, "E905")["conflict"].as_str().unwrap_or_default().to_string();
        assert!(conflict.contains(&format!("account {id}")) && conflict.contains("by email"), "{conflict}");
        let run = run_of(&home.run_json(&["sync"]).exits(75));
        suspected(&sim, &home, mark, &run, "E0001", "E905");
        assert_eq!(run["counts"]["create"]["ok"], json!(1), "{settings}: {run:#}");
        let banned = if settings.contains("grace") || settings.contains("ignore") { 0 } else { 1 };
        assert_eq!(sim.committed_since(mark, Op::Ban), banned, "{settings}");
        assert_eq!(sim.user("E0001").expect("an account")["banned"], json!(false));

        // What the message says makes them one, and nothing is left.
        home.run(&["rekey", "staff", "E0001", "E905"]).exits(0);
        let mark = sim.mark();
        home.run(&["sync"]).exits(0);
        assert_eq!(sim.user("E905").expect("the account that was there")["id"], id);
        assert_eq!((sim.committed_since(mark, Op::Create), sim.committed_since(mark, Op::Ban)), (0, 0));
    }
}

#[test]
fn an_excluded_leaver_and_a_target_that_finds_nobody_make_no_difference() {
    let (sim, home) = staffed(4, "", "");
    // The target's address is another by now: its look-up finds nobody.
    sim.clear();
    let left = row(1).replace(",active", ",left");
    home.people(&[vec![left, under("E905", 1).replace("p1@", "P1@")], rows(2..=4)].concat());
    let mark = sim.mark();
    let run = run_of(&home.run_json(&["sync"]).exits(75));
    suspected(&sim, &home, mark, &run, "E0001", "E905");
    assert_eq!(sim.committed_since(mark, Op::Create), 0);
    // One person alone, asked for urgently, is judged by the whole source all the same.
    for args in [&["sync", "--only", "E0001"], &["sync", "--only", "E905"]] {
        home.run(args).exits(75);
    }
    assert!(sim.writes_since(mark).is_empty());
    assert!(home.run(&["why", "staff", "E0001"]).exits(0).stdout.contains("one person under a new key"));
}

#[test]
fn what_recognises_nobody_goes_through() {
    let (sim, home) = staffed(6, "", "");
    // The same phone, which is no match field; the same first and last name; a rename under the same key.
    let same_phone = with(30, "p30@acme.example", "Nurse").replace("555-30", "555-1").replace("Miller30", "Miller1");
    home.people(&[vec![same_phone, with(2, "ann.new@acme.example", "Nurse")], rows(3..=6)].concat());
    let run = run_of(&home.run_json(&["sync"]).exits(0));
    assert_eq!((&run["counts"]["ban"]["ok"], &run["counts"]["create"]["ok"]), (&json!(1), &json!(1)));
    assert_eq!(run["counts"]["update"]["ok"], json!(1));
    assert_eq!(sim.user("E0001").expect("an account")["banned"], json!(true));
}

#[test]
fn every_field_that_recognises_must_be_one_that_is_handed_on() {
    let both = "match = [\"email\", \"phone\"]";
    for (settings, handed) in [(RELEASE, true), ("release_on_ban = [\"email\"]\non_leave = \"ignore\"", false)] {
        let (sim, home) = staffed(4, settings, "");
        let mark = sim.mark();
        home.people(&[vec![with(9, "p1@acme.example", "Nurse")], rows(2..=4)].concat());
        let run = run_of(&home.run_json(&["sync"]).exits(if handed { 0 } else { 75 }));
        match handed {
            true => assert_eq!((&run["counts"]["ban"]["ok"], &run["counts"]["create"]["ok"]), (&json!(1), &json!(1))),
            false => suspected(&sim, &home, mark, &run, "E0001", "E0009"),
        }
    }
    // Recognised by the phone as well, which nobody said may be handed on.
    let (sim, home) = staffed(4, RELEASE, "");
    replace(&home, "match = [\"email\"]", both);
    home.run(&["sync"]).exits(0);
    let mark = sim.mark();
    home.people(&[vec![under("E905", 1)], rows(2..=4)].concat());
    let run = run_of(&home.run_json(&["sync"]).exits(75));
    suspected(&sim, &home, mark, &run, "E0001", "E905");
}

#[test]
fn a_leaver_in_grace_keeps_what_is_handed_on_until_it_ends() {
    let (sim, home) = staffed(4, &format!("{RELEASE}\nleave_grace = \"3d\""), "");
    home.people(&[vec![with(9, "p1@acme.example", "Nurse")], rows(2..=4)].concat());
    let mark = sim.mark();
    let run = run_of(&home.run_json(&["sync"]).exits(75));
    let of = |key: &str| outcomes(&home, &["--run", run["run"].as_str().expect("an id"), "--key", key])[0].clone();
    assert_eq!((&of("E0001")["reason"], &of("E0009")["error"]["kind"]), (&json!("grace"), &json!("conflict")));
    assert!(sim.writes_since(mark).is_empty());
    let run = run_of(&later(&home, 4 * super::DAY, &["sync", "--format", "json"]).exits(0));
    assert_eq!((&run["counts"]["ban"]["ok"], &run["counts"]["create"]["ok"]), (&json!(1), &json!(1)));
}

/// Forty people whose keys are numbers of five digits, and the same with what a spreadsheet makes of eight of them.
fn numbered(reformatted: impl Fn(usize) -> Option<String>) -> Vec<String> {
    (1..=40)
        .map(|n| {
            let key = format!("{:05}", n + 400);
            under(&reformatted(n).unwrap_or(key), n)
        })
        .collect()
}

#[test]
fn several_keys_that_differ_in_form_alone_hold_the_plan() {
    let forms: [fn(usize) -> String; 3] = [
        |n| format!("{}", n + 400),
        |n| format!("{}.0", n + 400),
        |n| format!("{:05}", n + 400).replace('4', "\u{ff14}"),
    ];
    for form in forms {
        for matched in ["match = [\"email\"]", "match = []"] {
            let (sim, home) = staffed(0, "", "");
            replace(&home, "match = [\"email\"]", matched);
            home.people(&numbered(|_| None));
            home.run(&["sync"]).exits(0);
            home.people(&numbered(|n| (n <= 8).then(|| form(n))));
            let mark = sim.mark();
            let planned = plan(&home, &[], 3);
            assert_eq!(planned["held"], json!({"limit": "rekey", "count": 8, "allowed": 1}), "{planned:#}");
            let ran = home.run(&["sync"]).exits(3);
            assert!(ran.stdout.contains("reformatted") && ran.stdout.contains("spreadsheet"), "{}", ran.stdout);
            assert!(ran.stdout.contains(&format!("00401 → {}", form(1))), "{}", ran.stdout);
            assert!(sim.writes_since(mark).is_empty());
            // Approved, what is in doubt stays so.
            let id = planned["plan"].as_str().expect("an id");
            assert!(home.run(&["plans"]).exits(0).stdout.contains("reformatted"));
            let run = run_of(&home.run_json(&["approve", id]).exits(75));
            assert_eq!(run["counts"]["create"]["failed"], json!(8), "{run:#}");
            assert!(sim.writes_since(mark).is_empty());
            assert_eq!(cell::<i64>(&home, "SELECT count(*) FROM v_users WHERE state = 'active'"), 40);
        }
    }
}

#[test]
fn letter_case_and_space_within_a_key_are_form_too() {
    let (sim, home) = staffed(6, "", "");
    home.people(&[vec![under("e0001", 1), under("E\u{a0}0002", 2)], rows(3..=6)].concat());
    let mark = sim.mark();
    assert_eq!(plan(&home, &[], 3)["held"], json!({"limit": "rekey", "count": 2, "allowed": 1}));
    home.run(&["sync"]).exits(3);
    assert!(sim.writes_since(mark).is_empty());
    home.people(&rows(1..=6));
    home.run(&["sync"]).exits(0);
}

#[test]
fn one_pair_of_keys_alike_in_form_is_judged_by_what_else_is_known() {
    // Two addresses: two people. The same one: one person.
    for (newcomer, code) in
        [(with(30, "other@acme.example", "Nurse").replace("E0030", "e0001"), 0), (under("e0001", 1), 75)]
    {
        let (sim, home) = staffed(5, "", "");
        home.people(&[vec![newcomer], rows(2..=5)].concat());
        let mark = sim.mark();
        let run = run_of(&home.run_json(&["sync"]).exits(code));
        match code {
            0 => assert_eq!((&run["counts"]["ban"]["ok"], &run["counts"]["create"]["ok"]), (&json!(1), &json!(1))),
            _ => suspected(&sim, &home, mark, &run, "E0001", "e0001"),
        }
    }
    // Nothing but the key to tell them by.
    let (sim, home) = staffed(0, "", "");
    replace(&home, "match = [\"email\"]", "match = []");
    home.people(&rows(1..=5));
    home.run(&["sync"]).exits(0);
    home.people(&[vec![under("e0001", 1)], rows(2..=5)].concat());
    let mark = sim.mark();
    let run = run_of(&home.run_json(&["sync"]).exits(75));
    suspected(&sim, &home, mark, &run, "E0001", "e0001");
}

#[test]
fn a_reconcile_repairs_nobody_who_may_be_one_person() {
    let (sim, home) = staffed(5, "", "");
    home.people(&[vec![under("E905", 1)], rows(2..=5)].concat());
    let mark = sim.mark();
    home.run(&["reconcile", "--repair"]).exits(75);
    assert!(sim.writes_since(mark).is_empty());
    assert_eq!(sim.user("E0001").expect("an account")["banned"], json!(false));
}

#[test]
fn a_key_is_given_anew_only_where_the_old_one_is_gone() {
    let (_sim, home) = staffed(4, "", "");
    let refused = |args: &[&str], code: i32, word: &str| {
        let ran = home.run(&[&["rekey", "staff"], args].concat()).exits(code);
        assert!(ran.stderr.contains(word), "{}", ran.stderr);
    };
    refused(&["E0001", "N0001"], 64, "two people");
    // Their row can't be used: nobody can tell.
    home.people(&[vec![with(1, "", "Nurse"), under("N0001", 1)], rows(2..=4)].concat());
    refused(&["E0001", "N0001"], 64, "rejected");
    std::fs::remove_file(home.path().join("config/hr.csv")).expect("the source");
    refused(&["E0001", "N0001"], 69, "can't be told");
    // Out of scope is gone.
    home.people(&[vec![row(1).replace(",active", ",left"), under("N0001", 1)], rows(2..=4)].concat());
    home.run(&["rekey", "staff", "E0001", "N0001"]).exits(0);
    assert_eq!(run_of(&home.run_json(&["sync"]).exits(0))["planned"], json!({"update": 1}));
}

#[test]
fn newcomers_with_one_address_are_counted_and_nothing_is_sent_for_them() {
    let (sim, home) = staffed(0, "", "");
    let constant = |n: usize| with(n, "office@acme.example", "Nurse");
    home.people(&[(1..=288).map(constant).collect(), rows(300..=311)].concat());
    let shown = home.run(&["plan"]).exits(0).stdout;
    assert!(shown.contains("288 people share one email"), "{shown}");
    let mark = sim.mark();
    let run = run_of(&home.run_json(&["sync"]).exits(75));
    assert_eq!(
        (&run["counts"]["create"]["failed"], &run["counts"]["create"]["ok"]),
        (&json!(288), &json!(12)),
        "{run:#}"
    );
    assert_eq!((sim.committed_since(mark, Op::Create), sim.users().len()), (12, 12));
    let message = outcomes(&home, &["--key", "E0007"])[0]["error"]["message"].clone();
    let message = message.as_str().unwrap_or_default();
    assert!(message.contains("288 people share one email") && !message.contains("rekey"), "{message}");
}

#[test]
fn whom_the_target_shows_under_their_own_key_is_linked_whoever_shares_their_address() {
    let (sim, home) = staffed(0, "", "");
    sim.seed(json!([{"email": "p1@acme.example", "client_id": "E0001", "title": "Surgeon"}]));
    for n in 40..=50 {
        sim.seed(json!([{"email": format!("x{n}@acme.example")}]));
    }
    home.people(&[with(1, "p1@acme.example", "Nurse"), with(2, "P1@acme.example", "Nurse"), row(3)]);
    let run = run_of(&home.run_json(&["sync"]).exits(75));
    assert_eq!(
        (&run["counts"]["adopt"]["ok"], &run["counts"]["create"]),
        (&json!(1), &json!({"ok": 1, "failed": 1, "unknown": 0, "held": 0, "skipped": 0}))
    );
    assert_eq!(sim.user("E0001").expect("an account")["title"], "Nurse");
    assert_eq!(sim.user("E0002"), None);
}

#[test]
fn who_shares_an_address_with_somebody_in_scope_is_told_so_without_a_rekey() {
    let (sim, home) = staffed(4, "", "");
    home.people(&[rows(1..=4), vec![with(9, "p1@acme.example", "Nurse")]].concat());
    let mark = sim.mark();
    home.run(&["sync"]).exits(75);
    assert!(sim.writes_since(mark).is_empty());
    let message = outcomes(&home, &["--key", "E0009"])[0]["error"]["message"].clone();
    let message = message.as_str().unwrap_or_default();
    assert!(message.contains("E0001") && message.contains("in scope") && !message.contains("rekey"), "{message}");
}

#[test]
fn of_several_accounts_that_could_be_a_newcomers_none_is_taken_from_a_leaver() {
    let (sim, home) = staffed(3, "", "");
    replace(&home, "match = [\"email\"]", "match = [\"email\", \"phone\"]");
    // What the target shows of the leaver by now is known from the look-up alone.
    crate::answers::by_hand(&sim, "E0001", json!({"phone": "555-9"}));
    sim.seed(json!([{"email": "p9@acme.example"}]));
    home.people(&[rows(2..=3), vec![row(9)]].concat());
    let mark = sim.mark();
    let run = run_of(&home.run_json(&["sync"]).exits(75));
    let of = |key: &str| outcomes(&home, &["--run", run["run"].as_str().expect("an id"), "--key", key]);
    assert_eq!(of("E0001")[0]["reason"], "rekey_suspected", "{:?}", of("E0001"));
    let message = of("E0009")[0]["error"]["message"].clone();
    assert!(message.as_str().is_some_and(|m| m.contains("more than one account could be E0009")), "{message}");
    assert!(sim.writes_since(mark).is_empty());
}

#[test]
fn who_is_written_to_gives_up_nothing_by_that_alone() {
    let (sim, home) = staffed(4, "", "");
    home.people(
        &[vec![with(1, "p1@acme.example", "Surgeon")], rows(2..=4), vec![with(9, "p1@acme.example", "Nurse")]].concat(),
    );
    let mark = sim.mark();
    let run = run_of(&home.run_json(&["sync"]).exits(75));
    assert_eq!((sim.committed_since(mark, Op::Update), sim.committed_since(mark, Op::Create)), (1, 0), "{run:#}");
    let message = outcomes(&home, &["--key", "E0009"])[0]["error"]["message"].clone();
    assert!(message.as_str().is_some_and(|m| m.contains("belongs to E0001")), "{message}");
    super::no_conflict_since(&sim, mark);
}

#[test]
fn a_refused_look_up_fails_one_newcomer_alone() {
    let (sim, home) = staffed(0, "", "");
    let there: Vec<Value> = (400..=1200).map(|n| json!({"email": format!("p{n}@acme.example")})).collect();
    sim.seed(json!(there));
    home.people(&rows(1..=3));
    replace(&home, "[targets.juno]", "[targets.juno]\nconcurrency = 1");
    // One after the other: whom the third look-up is about is looked up by key and address, as the first was.
    let mark = sim.mark();
    home.run(&["plan"]).exits(0);
    let asked: Vec<Op> = sim.since(mark).iter().map(|r| r.op).collect();
    let look_ups: Vec<usize> = (0..asked.len()).filter(|n| asked[*n] == Op::Lookup).collect();
    assert_eq!(look_ups.len(), 6, "{asked:?}");
    let refuse = |status: u16| {
        sim.script(json!({"method": "GET", "nth": look_ups[2] + 1, "do": format!("status:{status}")}));
    };
    for status in [400, 414] {
        refuse(status);
        let plan = plan(&home, &[], 0);
        let why = planned(&plan, "E0002")["conflict"].as_str().unwrap_or_default().to_string();
        assert!(why.contains(&format!("HTTP {status}")), "{plan:#}");
        sim.calm();
    }
    refuse(422);
    let run = run_of(&home.run_json(&["sync"]).exits(75));
    assert_eq!((&run["counts"]["create"]["ok"], &run["counts"]["create"]["failed"]), (&json!(2), &json!(1)), "{run:#}");
    let error = outcomes(&home, &["--key", "E0002"])[0]["error"].clone();
    assert_eq!(error["kind"], "refused");
    assert!(error["message"].as_str().unwrap_or_default().contains("HTTP 422"), "{error}");
    // An address that is not known at all, and credentials that are refused, are everybody's.
    sim.calm();
    home.people(&rows(1..=5));
    for (status, code) in [(404, 69), (401, 77)] {
        sim.script(json!({"method": "GET", "do": format!("status:{status}")}));
        home.run(&["sync"]).exits(code);
        sim.calm();
    }
    home.run(&["sync"]).exits(0);
}

#[test]
fn match_values_that_none_can_be_reject_their_record_and_nobody_leaves() {
    let (sim, home) = staffed(9, "", "");
    replace(&home, "email = { cel = \"email.trim().lowerAscii()\" }", "email = \"email\"");
    home.run(&["sync"]).exits(0);
    let mark = sim.mark();
    let bad = [
        "\u{200b}p1@acme.example",
        "<p2@acme.example>",
        "mailto:p3@acme.example",
        "p4@acme.example;p4@other.example",
        "p5@acme.example\u{a0}",
        "\u{212a}im@acme.example",
        "mu\u{308}ller@acme.example",
    ];
    let rows: Vec<String> = bad.iter().enumerate().map(|(i, email)| with(i + 1, email, "Nurse")).collect();
    home.people(&[rows, super::rows(8..=9)].concat());
    let run = run_of(&home.run_json(&["sync"]).exits(75));
    assert_eq!((&run["rejected"], &run["planned"]), (&json!(7), &json!({})), "{run:#}");
    assert!(sim.writes_since(mark).is_empty());
    for told in outcomes(&home, &["--run", run["run"].as_str().expect("an id"), "--status", "rejected"]) {
        let reason = told["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("email") && reason.contains("(column email)") && !reason.contains("acme"), "{reason}");
    }
    let good = ["p1+hr@acme.example", "o'neil@acme.example", "P3@ACME.example", "müller@acme.example"];
    let rows: Vec<String> = good.iter().enumerate().map(|(i, email)| with(i + 1, email, "Nurse")).collect();
    home.people(&[rows, super::rows(5..=9)].concat());
    home.run(&["sync"]).exits(0);
    set(&home, "");
}
