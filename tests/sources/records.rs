//! Rows and people: whose row is whose, which of several counts, which is nobody's, and what a broken quote leaves.

use serde_json::{Value, json};

use super::export::{Export, Reply};
use super::stage::{HEADER, file, http_source, over_http, people, person, put, row, rows, run, set_source};
use crate::support::{Home, Sim};

/// Forty people, loaded.
fn loaded() -> (Sim, Home) {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    put(&home, "hr.csv", file(1..=40));
    home.run(&["sync"]).exits(0);
    (sim, home)
}

/// What a run on this file does: the operations, and how many records are rejected.
#[track_caller]
fn planned(home: &Home, text: impl AsRef<[u8]>, code: i32) -> (Value, u64) {
    put(home, "hr.csv", text);
    let plan = home.run_json(&["plan"]).exits(code).json()["syncs"][0].clone();
    (plan["counts"].clone(), plan["rejected"].as_array().map_or(0, Vec::len) as u64)
}

/// The row with another value in its nth column, from 0.
fn with(row: &str, column: usize, value: &str) -> String {
    let mut cells: Vec<&str> = row.trim_end().split(',').collect();
    cells[column] = value;
    cells.join(",") + "\n"
}

const TITLE: usize = 5;
const STATUS: usize = 7;

#[test]
fn of_several_rows_include_is_asked_first_and_what_is_mapped_decides() {
    let (_sim, home) = loaded();
    let first = row(1);
    let rest = rows(2..=40);
    for (name, more, counts, rejected) in [
        ("equal", first.clone(), json!({}), 0),
        ("the other is out of scope", with(&first, STATUS, "terminated"), json!({}), 0),
        (
            "the other is out of scope, and says otherwise",
            with(&with(&first, STATUS, "left"), TITLE, "X"),
            json!({}),
            0,
        ),
        ("contradicting in what is mapped", with(&first, TITLE, "Head"), json!({}), 1),
        ("ragged", "E001,First1\n".into(), json!({}), 1),
    ] {
        for text in [format!("{HEADER}{first}{more}{rest}"), format!("{HEADER}{more}{rest}{first}")] {
            assert_eq!(planned(&home, text, 0), (counts.clone(), rejected), "{name}");
        }
    }
    let gone = with(&first, STATUS, "terminated") + &with(&with(&first, STATUS, "left"), TITLE, "X");
    assert_eq!(planned(&home, format!("{HEADER}{gone}{rest}"), 0), (json!({"ban": 1}), 0), "both are out of scope");
    let told = home.run(&["why", "staff", "E001"]).exits(0).stdout;
    assert!(told.contains("out of scope"), "{told}");

    // A column that nobody maps may say anything.
    let wide = |text: &str, note: &str| text.lines().map(|line| format!("{line},{note}\n")).collect::<String>();
    let text = wide(HEADER, "note") + &wide(&rest, "x") + &wide(&first, "a") + &wide(&first, "b");
    put(&home, "hr.csv", text);
    let ran = home.run_json(&["sync"]).exits(0);
    assert_eq!(ran.the_run()["rejected"], 0, "{}", ran.stdout);
    assert!(ran.stderr.contains("key E001: rows 40 and 41 are the same and count once"), "{}", ran.stderr);
    assert_eq!(ran.the_run()["planned"], json!({}));
}

#[test]
fn a_contradiction_is_one_outcome_that_lists_the_rows() {
    let (_sim, home) = loaded();
    put(&home, "hr.csv", format!("{}{}", file(1..=40), with(&row(7), TITLE, "Head")));
    home.run(&["sync"]).exits(75);
    let outcomes = home.outcomes(&["--status", "rejected"]);
    assert_eq!(outcomes.len(), 1);
    let reason = outcomes[0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("rows 7 and 41 have this key and differ (lines 8 and 42)"), "{reason}");
    let told = home.run(&["why", "staff", "E007"]).exits(0).stdout;
    assert!(told.contains("rows 7 and 41 have this key and differ"), "{told}");
    let only = home.run_json(&["plan", "--only", "E007"]).exits(0).json();
    assert_eq!(only["syncs"][0]["rejected"].as_array().map(Vec::len), Some(1), "{only}");
}

#[test]
fn two_syncs_on_one_source_each_settle_rows_by_their_own_mapping() {
    let (sim, home) = loaded();
    home.configure(&format!(
        "[targets.other]\nkind = \"scim\"\nbase_url = \"{}/scim/v2\"\nauth = {{ kind = \"bearer\", token = {{ file = \"juno.token\" }} }}\n\
         [syncs.second]\nsource = \"hr\"\ntarget = \"other\"\n[syncs.second.map]\nuserName = \"email\"\nexternalId = \"employee_id\"",
        sim.url()
    ));
    // The title is of interest to one of them alone.
    put(&home, "hr.csv", format!("{}{}", file(1..=40), with(&row(7), TITLE, "Head")));
    let plan = home.run_json(&["plan"]).exits(0).json();
    let of = |name: &str| {
        let sync = plan["syncs"].as_array().expect("syncs").iter().find(|sync| sync["sync"] == name).expect(name);
        (sync["rejected"].as_array().map_or(0, Vec::len), sync["counts"].clone())
    };
    assert_eq!(of("staff"), (1, json!({})));
    assert_eq!(of("second"), (0, json!({"create": 40})));
}

#[test]
fn where_many_rows_are_expected_nothing_is_said_of_them() {
    let (_sim, home) = loaded();
    let text = format!("{}{}", file(1..=40), row(1));
    for (rows, warned) in [("one", true), ("many", false)] {
        put(&home, "hr.csv", &text);
        let ran = run(&home, &["plan"], &[("ROSTERD_SOURCES__HR__ROWS", rows)]).exits(0);
        assert_eq!(ran.stderr.contains("count once"), warned, "{rows}: {}", ran.stderr);
    }
    let bad = run(&home, &["plan"], &[("ROSTERD_SOURCES__HR__ROWS", "some")]).exits(78);
    assert!(bad.stdout.contains("many") || bad.stderr.contains("many"), "{}{}", bad.stdout, bad.stderr);
}

#[test]
fn rows_without_content_are_nobodys_and_shield_no_leaver() {
    let (_sim, home) = loaded();
    for blank in [",,,,,,,\n", "  , ,,,,\t,,\n", "\"\",\"\",,,,,,\"\"\n", ",\n"] {
        let text = file(1..=38) + &blank.repeat(12);
        assert_eq!(planned(&home, text, 0), (json!({"ban": 2}), 0), "{blank:?}");
    }
    put(&home, "hr.csv", file(1..=38) + ",,,,,,,\n,,,,,,,\n");
    let ran = home.run_json(&["sync"]).exits(0);
    assert_eq!(ran.the_run()["counts"]["ban"]["ok"], 2);
    let told = "2 rows have no content: they are nobody's, and ignored; the first is line 40 (record 39)";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    // Half a row without a key is somebody.
    put(&home, "hr.csv", file(1..=37) + ",Ann,,,,,,\n");
    let ran = home.run_json(&["sync"]).exits(75);
    assert_eq!((&ran.the_run()["skipped"], &ran.the_run()["planned"]), (&json!(1), &json!({})), "{}", ran.stdout);
}

#[test]
fn records_without_content_are_nobodys_in_json_too() {
    let sim = Sim::start();
    let mut list = people(1..=20);
    list.extend([json!({}), json!({"employee_id": null, "email": " "}), json!({"phone": [], "x": {"y": ""}})]);
    let all = list.clone();
    let export = Export::start(move |_| Reply::json(&json!(all)));
    let home = over_http(&sim, &export.url(), "");
    let ran = home.run_json(&["sync"]).exits(0);
    assert_eq!((&ran.the_run()["source_records"], &ran.the_run()["rejected"]), (&json!(20), &json!(0)));
    let lines: String = list.iter().map(|record| format!("{record}\n")).collect();
    export.now(move |_| Reply::of("application/x-ndjson", lines.clone()));
    set_source(&home, &http_source(&export.url(), "format = \"ndjson\""));
    let ran = home.run_json(&["sync"]).exits(0);
    assert_eq!((&ran.the_run()["unchanged"], &ran.the_run()["rejected"]), (&json!(20), &json!(0)));
}

#[test]
fn what_no_sync_uses_may_be_nameless_doubled_or_huge() {
    let (_sim, home) = loaded();
    let wide = |end: &str| file(1..=40).lines().map(|line| format!("{line}{end}\n")).collect::<String>();
    assert_eq!(planned(&home, wide(",,,"), 0), (json!({}), 0), "nameless and empty");
    assert_eq!(planned(&home, wide(",x,x"), 0), (json!({}), 0), "doubled");
    let photo = format!("{},photo\n{},{}\n", HEADER.trim_end(), row(1).trim_end(), "x".repeat(2_000_000));
    let rest: String = rows(2..=40).lines().map(|line| format!("{line},\n")).collect();
    assert_eq!(planned(&home, photo + &rest, 0), (json!({}), 0), "a picture");
    let semicolons = format!("\u{feff}sep=;\r\n{}", file(1..=40).replace(',', ";").replace('\n', "\r\n"));
    assert_eq!(planned(&home, semicolons, 0), (json!({}), 0), "sep=;");
}

/// E005, whose broken quote swallows E006 and E007.
const SWALLOWS: &str = "E005,\"First5,Last5,p5@acme.com,1,Nurse,Bern,active\nE006,First6,Last6,p6@acme.com,1,Nurse,Bern,active\n\
                        E007,First7\",Last5,p5@acme.com,1,Nurse,Bern,active\n";

#[test]
fn a_broken_quote_bans_nobody_whom_it_swallows() {
    let (sim, home) = loaded();
    let text = format!("{}{SWALLOWS}{}", file(1..=4), rows(8..=39));
    assert_eq!(planned(&home, &text, 0), (json!({}), 1));
    put(&home, "hr.csv", &text);
    let ran = home.run_json(&["sync"]).exits(75);
    assert_eq!((&ran.the_run()["rejected"], &ran.the_run()["skipped"]), (&json!(1), &json!(3)), "{}", ran.stdout);
    let reasons: Vec<Value> =
        home.outcomes(&["--status", "skipped"]).into_iter().map(|o| o["reason"].clone()).collect();
    assert_eq!(reasons.len(), 3, "{reasons:?}");
    let export = Export::start(move |_| Reply::of("text/csv", text.clone()));
    set_source(&home, &http_source(&export.url(), "format = \"csv\""));
    assert_eq!(home.run_json(&["sync"]).exits(75).the_run()["rejected"], 1, "over HTTP too");
    assert_eq!(sim.users().iter().filter(|user| user["banned"] == true).count(), 0);
}

#[test]
fn an_address_of_several_lines_is_an_ordinary_cell() {
    let (_sim, home) = loaded();
    let lines = row(1).replace("Bern", "\"1, Main Street, 2nd floor\n8000 Zürich\"") + &rows(2..=39);
    assert_eq!(planned(&home, format!("{HEADER}{lines}"), 0), (json!({"ban": 1, "update": 1}), 0));
    let commas = row(1).replace("Bern", "\"a,b,c,d,e,f,g,h,i,j\"") + &rows(2..=39);
    assert_eq!(planned(&home, format!("{HEADER}{commas}"), 0), (json!({"ban": 1, "update": 1}), 0));
}

#[test]
fn a_key_with_characters_that_nobody_sees_is_nobodys() {
    let (sim, home) = loaded();
    for unseen in ["\u{200b}", "\u{202e}", "\u{feff}", "\u{ad}", "\u{1}"] {
        let text = file(1..=39) + &row(40).replacen("E040", &format!("E{unseen}040"), 1);
        assert_eq!(planned(&home, text, 0), (json!({}), 1), "{unseen:?}");
    }
    let mut list = people(1..=39);
    let mut hidden = person(40);
    hidden["employee_id"] = json!("E040\u{200b}");
    list.push(hidden);
    let export = Export::start(move |_| Reply::json(&json!(list)));
    set_source(&home, &http_source(&export.url(), ""));
    let ran = home.run_json(&["sync"]).exits(75);
    assert_eq!((&ran.the_run()["rejected"], &ran.the_run()["skipped"]), (&json!(1), &json!(1)), "{}", ran.stdout);
    assert_eq!(sim.users().len(), 40);
}

#[test]
fn a_text_that_is_no_date_bans_nobody() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    let dated = |include: &str| {
        let text = text.replace("include = 'status == \"active\"'", &format!("include = '{include}'"));
        home.write("config/rosterd.toml", &text);
    };
    // The city is when they leave.
    let cells = |odd: &str| {
        let ends = |n: usize| if n <= 4 { odd.to_string() } else { "2099-12-31".into() };
        HEADER.to_string() + &(1..=40).map(|n| row(n).replace("Bern", &ends(n))).collect::<String>()
    };
    dated("city >= today");
    put(&home, "hr.csv", cells("2099-12-31"));
    home.run(&["sync"]).exits(0);
    for odd in ["1/31/2027", "31.01.2027", "", "2027-1-31", "20270131"] {
        assert_eq!(planned(&home, cells(odd), 0), (json!({}), 4), "{odd:?}");
    }
    let told = home.run(&["why", "staff", "E001"]).exits(0).stdout;
    assert!(told.contains("column city holds a text that is no date") && told.contains("city == \"\" ||"), "{told}");
    let connected = home.run(&["check", "--connect"]).exits(0).stdout;
    assert!(connected.contains("no date"), "{connected}");
    assert_eq!(planned(&home, cells("2099-12-31T00:00:00+02:00"), 0).1, 0, "a date with a time is one");
    assert_eq!(planned(&home, cells("2020-01-31"), 0), (json!({"ban": 4}), 0), "who has left has left");
    dated("city == \"\" || city >= today");
    assert_eq!(planned(&home, cells(""), 0).1, 0, "an empty one is allowed for");
    home.configure("[[syncs.staff.tests]]\nname = \"dates\"\nrecord = { employee_id = \"7\", email = \"a@b.c\", city = \"1/2/2027\" }\nrejected = \"no date\"");
    home.run(&["test"]).exits(0);
}

#[test]
fn what_the_mapping_rejects_is_counted_once() {
    let (_sim, home) = loaded();
    let spoiled =
        |n: usize| (1..=40).map(move |i| if i <= n { row(i).replace(&format!("p{i}@acme.com"), "") } else { row(i) });
    put(&home, "hr.csv", HEADER.to_string() + &spoiled(12).collect::<String>());
    let refused = home.run_json(&["sync"]).exits(65);
    assert!(refused.stdout.contains("12 of its 40 rows can't be used; max_rejected allows 10"), "{}", refused.stdout);
    put(&home, "hr.csv", HEADER.to_string() + &spoiled(10).collect::<String>());
    let ran = home.run_json(&["sync"]).exits(75).the_run();
    assert_eq!((&ran["source_records"], &ran["rejected"], &ran["unchanged"]), (&json!(40), &json!(10), &json!(30)));
    // Some that the reader rejects, and some that the mapping does.
    let mixed: String = spoiled(6)
        .enumerate()
        .map(|(at, row)| if at >= 34 { "E9,x\n".replace('9', &format!("0{}", at + 1)) } else { row })
        .collect();
    put(&home, "hr.csv", HEADER.to_string() + &mixed);
    let refused = home.run_json(&["sync"]).exits(65);
    assert!(refused.stdout.contains("12 of its 40 rows can't be used"), "{}", refused.stdout);
}
