//! Answers that name people, and plans of another day.

use serde_json::{Value, json};

use super::{replace, row, rows, run_of, set, staffed, with};
use crate::support::{Home, Sim};

fn plan(home: &Home, args: &[&str]) -> Value {
    let ran = home.run_json(&[&["plan"], args].concat());
    ran.json()["syncs"][0].clone()
}

fn labels(entries: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_string();
    entries.as_array().expect("an array").iter().map(|e| (text(&e["key"]), text(&e["label"]))).collect()
}

#[test]
fn people_are_named_wherever_a_plan_or_an_answer_is_about_them() {
    let (_sim, home) = staffed(6, "protect = [\"E0002\"]", "ban = 1");
    let mut people = rows(4..=7);
    people[0] = with(4, "p4@acme.example", "Chef");
    home.people(&people);
    let named = |n: usize| (format!("E000{n}"), format!("Ann Miller{n} p{n}@acme.example"));
    let json = plan(&home, &[]);
    assert_eq!(labels(&json["operations"]), [named(1), named(3), named(4), named(7)]);
    assert_eq!(labels(&json["skipped"]), [named(2)]);
    let text = home.run(&["plan"]).exits(3).stdout;
    for n in [1, 2, 3, 4, 7] {
        assert!(text.contains(&format!("E000{n}       Ann Miller{n} p{n}@acme.example")), "{text}");
    }

    // On the terminal, and in no log.
    let held = home.run(&["--log-format", "json", "-v", "sync"]).exits(3);
    assert!(
        held.stdout.contains("(E0001 Ann Miller1 p1@acme.example, E0003 Ann Miller3 p3@acme.example)"),
        "{}",
        held.stdout
    );
    assert!(!held.stderr.contains("Miller") && held.stderr.contains("E0001"), "{}", held.stderr);
    let run = run_of(&home.run_json(&["sync"]).exits(3));
    assert!(!run.to_string().contains("Miller"), "{run}");
    let id = run["plan"].as_str().expect("an id");
    assert_eq!(labels(&home.run_json(&["plans", "show", id]).exits(0).json()["operations"])[0], named(1));
    assert!(home.run(&["plans", "show", id]).exits(0).stdout.contains("Ann Miller3 p3@acme.example"));

    let why = home.run_json(&["why", "staff", "E0003"]).exits(0).json();
    assert_eq!(why["label"], "Ann Miller3 p3@acme.example");
    assert!(home.run(&["why", "staff", "E0007"]).exits(0).stdout.contains("E0007 (Ann Miller7 p7@acme.example)"));
}

#[test]
fn reconcile_names_the_known_and_the_strangers() {
    let (sim, home) = staffed(3, "", "");
    sim.seed(json!([{"email": "zoe@acme.example", "first_name": "Zoe", "last_name": "Young"}]));
    home.people(&rows(1..=4));
    let json = home.run_json(&["reconcile"]).exits(0).json()["syncs"][0].clone();
    assert_eq!(json["orphaned"].as_array().map(Vec::len), Some(1), "{json:#}");
    assert_eq!(labels(&json["missing"]), [("E0004".into(), "Ann Miller4 p4@acme.example".into())]);
    let text = home.run(&["reconcile"]).exits(0).stdout;
    assert!(text.contains("Zoe Young zoe@acme.example") && text.contains("Ann Miller4"), "{text}");
}

#[test]
fn the_label_is_what_the_operator_says_and_of_fields_that_are_there() {
    let (_sim, home) = staffed(2, "label = [\"title\", \"city\"]", "");
    home.people(&rows(1..=3));
    assert_eq!(labels(&plan(&home, &[])["operations"]), [("E0003".into(), "Nurse Bern".into())]);
    replace(&home, "label = [\"title\", \"city\"]", "label = [\"titel\", \"company\"]");
    let check = home.run_json(&["check"]).exits(78).json();
    let told = check.to_string();
    assert!(told.contains("syncs.staff.label.0") && told.contains("did you mean `title`?"), "{told}");
    assert!(told.contains("is not mapped, so nobody can be named by it"), "{told}");
}

/// Twelve people in three departments, of whom eight leave.
fn departments() -> (Sim, Home) {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    home.configure("[syncs.staff.limits]\nban = 2\nban_per_day = 2");
    replace(&home, "city = \"city\"", "\"dimensions.101\" = \"department\"");
    let person = |n: usize| {
        let department = ["Sales", "Care", "Care"][n % 3];
        format!("E{n:04},Ann,Miller{n},p{n}@acme.example,,Nurse,{department},active")
    };
    let header = "employee_id,first_name,last_name,email,phone,title,department,status\n";
    let write =
        |home: &Home, people: Vec<String>| home.write("config/hr.csv", &format!("{header}{}\n", people.join("\n")));
    write(&home, (1..=12).map(person).collect());
    home.run(&["sync"]).exits(0);
    write(&home, (9..=13).map(person).collect());
    (sim, home)
}

#[test]
fn what_a_limit_is_about_comes_first_and_by_department() {
    let (_sim, home) = departments();
    let text = home.run(&["plan"]).exits(3).stdout;
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part:?} is not in:\n{text}"));
    let order =
        ["held by the limit ban", "Lose access 8", "Care 6", "E0001", "… and 1 more", "Sales 2", "E0003", "Create 1"];
    assert!(order.map(at).is_sorted(), "{text}");
}

#[test]
fn what_is_the_same_as_in_the_last_approved_plan_is_told() {
    let (sim, home) = departments();
    let id = run_of(&home.run_json(&["sync"]).exits(3))["plan"].as_str().expect("an id").to_string();
    // All but two of them are refused, so that they are planned again.
    for n in 3..=8 {
        sim.script(json!({"method": "PUT", "key": format!("E{n:04}"), "nth": 1, "do": "status:400"}));
    }
    home.run(&["approve", &id]).exits(75);
    let text = home.run(&["plan"]).exits(3).stdout;
    assert!(text.contains(&format!("All of them were in plan {id} too, which")), "{text}");
}

#[test]
fn a_plan_of_another_day_shows_who_comes_and_goes_and_changes_nothing() {
    let (sim, home) = staffed(0, "timezone = \"Europe/Zurich\"", "");
    replace(
        &home,
        "status == \"active\"'",
        "status == \"active\" && (phone == \"\" || date(phone, \"%d.%m.%Y\") >= today)'",
    );
    replace(&home, "phone = \"phone\"\n", "");
    let until = |n: usize, date: &str| row(n).replace(&format!("555-{n}"), date);
    home.people(&[until(1, ""), until(2, "31.12.2030"), until(3, "01.06.2031"), until(4, "01.01.2020")]);
    home.run(&["sync"]).exits(0);
    assert_eq!(sim.users().len(), 3);
    let before = home.query("SELECT * FROM v_users");
    let mark = sim.mark();
    let on = |date: &str| -> Vec<String> {
        let plan = plan(&home, &["--on", date]);
        assert_eq!(plan["on"], date);
        plan["operations"].as_array().expect("operations").iter().map(|o| format!("{} {}", o["op"], o["key"])).collect()
    };
    assert_eq!(on("2030-12-31"), [""; 0]);
    assert_eq!(on("2031-01-01"), ["\"ban\" \"E0002\""]);
    assert_eq!(on("2031-06-02"), ["\"ban\" \"E0002\"", "\"ban\" \"E0003\""]);
    assert_eq!(on("2019-12-31"), ["\"create\" \"E0004\""]);
    let text = home.run(&["plan", "--on", "2031-01-01"]).exits(0).stdout;
    assert!(text.contains("As if today were 2031-01-01.") && text.contains("nor can this plan be"), "{text}");
    assert_eq!((home.query("SELECT * FROM v_users"), sim.writes_since(mark).len()), (before, 0));
    home.run(&["sync"]).exits(0);
    home.run(&["plan", "--on", "tomorrow"]).exits(64);
    home.run(&["plan", "--on", "2031-02-30"]).exits(64);
}

#[test]
fn who_may_stay_until_an_hour_is_gone_after_it() {
    let (sim, home) = staffed(0, "timezone = \"Europe/Zurich\"", "");
    let soon = chrono::Utc::now() + chrono::TimeDelta::hours(2);
    let soon = soon.with_timezone(&chrono_tz::Europe::Zurich).format("%d.%m.%Y %H:%M").to_string();
    replace(&home, "status == \"active\"'", "phone == \"\" || now < datetime(phone, \"%d.%m.%Y %H:%M\")'");
    replace(&home, "phone = \"phone\"\n", "");
    home.people(&[row(1).replace("555-1", &soon), row(2).replace("555-2", ""), row(3).replace("555-3", "")]);
    home.run(&["sync"]).exits(0);
    assert_eq!(sim.users().iter().filter(|u| u["banned"] == false).count(), 3);
    home.run(&["sync"]).exits(0);
    super::later(&home, 3 * 3600, &["sync"]).exits(0);
    assert_eq!(sim.user("E0001").expect("an account")["banned"], true);
    assert_eq!(sim.users().iter().filter(|u| u["banned"] == false).count(), 2);
}

#[test]
fn a_text_in_quotes_that_is_a_columns_name_is_a_warning() {
    let (_sim, home) = staffed(1, "", "");
    home.run(&["check"]).exits(0);
    assert_eq!(home.run_json(&["check"]).json()["warnings"], json!([]));
    replace(&home, "title = \"title\"", "title = { cel = '\"first_name\" + title' }\ncompany = { value = \"status\" }");
    let warnings = home.run_json(&["check"]).exits(0).json()["warnings"].clone();
    let told: Vec<(&str, &str)> = warnings
        .as_array()
        .expect("warnings")
        .iter()
        .map(|w| (w["key"].as_str().expect("a key"), w["help"].as_str().expect("help")))
        .collect();
    assert_eq!(told.len(), 2, "{warnings:#}");
    assert!(told[0].0 == "syncs.staff.map.title" && told[0].1.contains("first_name"), "{warnings:#}");
    assert!(told[1].0 == "syncs.staff.map.company" && told[1].1.contains("status"), "{warnings:#}");
    // Of columns that the configuration does not name, who looks at the source tells.
    set(&home, "");
    home.write(
        "config/hr.csv",
        "employee_id,first_name,last_name,email,phone,title,city,status,Work Email\nE0001,A,M,a@b.ch,1,N,B,active,x\n",
    );
    replace(&home, "'\"first_name\" + title'", "'\"Work Email\".trim()+ title'");
    replace(&home, "company = { value = \"status\" }\n", "");
    assert_eq!(home.run_json(&["check"]).exits(0).json()["warnings"], json!([]));
    let warnings = home.run_json(&["check", "--connect"]).exits(0).json()["warnings"].clone();
    assert!(warnings[0]["help"].as_str().expect("help").contains("row[\"Work Email\"]"), "{warnings:#}");
}
