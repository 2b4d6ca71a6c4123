//! What a source that is not as it should be does: nothing, to anybody whom it concerns.

use serde_json::{Value, json};

use crate::support::{Person, Stage, people};

const USERS: &str = "SELECT * FROM v_users ORDER BY key";
const HEADER: &str = "employee_id,first_name,last_name,email,phone,title,city,status";

/// A source that must not be trusted: 65, nothing sent, and what is known stays as it is, byte for byte.
#[track_caller]
fn untrusted(stage: &Stage, what: &str) {
    let (before, mark) = (stage.home.query(USERS), stage.sim.mark());
    let run = stage.home.run_json(&["sync"]).exits(65).the_run();
    assert_eq!((&run["status"], &run["error"]["code"]), (&json!("untrusted"), &json!(65)), "{what}");
    assert_eq!(stage.sim.since(mark), [], "{what}");
    assert_eq!(stage.home.query(USERS), before, "{what}");
    assert_eq!(stage.home.outcomes(&["--status", "ok"]).len(), before.len(), "{what}");
    let status = stage.home.run_json(&["status"]).exits(0).json()["syncs"][0].clone();
    assert_eq!(status["state"], "untrusted", "{what}");
    assert!(status["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{what}");
}

#[test]
fn an_untrusted_source_changes_nothing() {
    let rows = |people: &[Person]| people.iter().map(|p| p.row() + "\n").collect::<String>();
    let whole = format!("{HEADER}\n{}", rows(&people(1, 60)));
    let cases = [
        ("no rows at all", format!("{HEADER}\n")),
        ("no byte at all", String::new()),
        ("most of it lost", format!("{HEADER}\n{}", rows(&people(1, 40)))),
        ("cut off inside a row", whole[..whole.len() - 20].to_string()),
        ("cut off inside a quote", format!("{whole}E0061,\"Ann")),
        ("a mapped column missing", whole.replace(",title,", ",titel,")),
        ("a required column missing", whole.replace(",status", ",state")),
        ("the key column missing", whole.replace("employee_id,", "id,")),
        ("a doubled header", whole.replace("phone,title", "phone,phone")),
        ("an empty header", whole.replace("phone,title", "phone,")),
        ("a log-in page", "<!DOCTYPE html>\n<html><body>Sign in</body></html>\n".to_string()),
        ("another delimiter", whole.replace(',', ";")),
        (
            "a field of more than a megabyte",
            format!("{whole}E0061,{},Ash,a@b.example,1,x,y,active\n", "x".repeat(1_100_000)),
        ),
        (
            "too many rejected rows",
            format!("{whole}{}", (99..112).map(|n| format!("E{n},ragged\n")).collect::<String>()),
        ),
    ];
    let stage = Stage::loaded(&people(1, 60));
    for (what, text) in cases {
        stage.home.write("config/hr.csv", &text);
        untrusted(&stage, what);
    }
    stage.home.write("config/hr.csv", &whole);
    stage.nothing_left_to_do();
}

#[test]
fn fewer_than_asked_for_are_not_trusted() {
    let stage = Stage::loaded(&people(1, 12));
    let config = std::fs::read_to_string(stage.home.config()).expect("the configuration");
    stage.home.write(
        "config/rosterd.toml",
        &config.replace("key = \"employee_id\"", "key = \"employee_id\"\nmin_records = 10"),
    );
    stage.home.roster(&people(1, 9));
    untrusted(&stage, "min_records");
    stage.sync(&people(1, 10), 0);
}

/// Rows of which one is bad: that person is left as they are, and nobody else is.
#[track_caller]
fn one_is_rejected(bad_rows: &[String], key: Value, position: &str, reason: &str) {
    let mut everybody = people(1, 12);
    let stage = Stage::loaded(&everybody);
    let before = stage.sim.user("E0005").expect("an account");
    everybody[1].title = "Chef".into();
    let mut rows: Vec<String> = everybody.iter().filter(|p| p.id != "E0005").map(Person::row).collect();
    rows.extend(bad_rows.iter().cloned());
    stage.home.people(&rows);
    let mark = stage.sim.mark();
    let ran = stage.home.run_json(&["sync"]).exits(75);
    let run = ran.the_run();
    assert_eq!((&run["status"], &run["rejected"]), (&json!("partial"), &json!(1)), "{reason}");
    let rejected = stage.home.outcomes(&["--status", "rejected"]);
    assert_eq!(rejected.len(), 1, "one outcome: {rejected:?}");
    assert_eq!((&rejected[0]["key"], &rejected[0]["op"]), (&key, &Value::Null));
    let told = rejected[0]["reason"].as_str().expect("a reason");
    assert!(told.contains(position) && told.contains(reason), "{told}");
    assert_eq!(stage.sim.user("E0005"), Some(before), "left exactly as they were");
    let touched: Vec<_> = stage.sim.writes_since(mark).into_iter().filter_map(|r| r.key).collect();
    assert_eq!(touched, [Box::from("E0002")], "and the others are served");
    let plan = stage.home.run_json(&["plan"]).exits(0).json()["syncs"][0]["rejected"].clone();
    assert_eq!((&plan[0]["key"], plan.as_array().map(Vec::len)), (&key, Some(1)));
}

#[test]
fn a_bad_row_leaves_its_person_exactly_as_they_are() {
    let row = |f: fn(&mut Person)| {
        let mut person = Person::new(5);
        f(&mut person);
        person.row()
    };
    let good = Person::new(5).row();
    one_is_rejected(&["E0005,Ann5,Ash".into()], json!("E0005"), "line 13", "fields");
    one_is_rejected(&[format!("{good},more")], json!("E0005"), "line 13", "fields");
    one_is_rejected(&[good.clone(), row(|p| p.title = "Chef".into())], json!("E0005"), "line 13", "13");
    one_is_rejected(&[row(|p| p.email.clear())], json!("E0005"), "line 13", "email");
}

#[test]
fn a_value_that_a_field_does_not_admit_rejects_its_record() {
    let stage = Stage::new();
    stage.home.configure("[syncs.staff.map.timezone]\ncolumn = \"phone\"");
    let mut everybody = people(1, 4);
    for person in &mut everybody {
        person.phone = "3600".into();
    }
    everybody[2].phone = "far away".into();
    stage.sync(&everybody, 75);
    assert_eq!(stage.sim.users().len(), 3);
    let rejected = &stage.home.outcomes(&["--status", "rejected"])[0];
    let reason = rejected["reason"].as_str().expect("a reason");
    assert!(reason.contains("timezone") && !reason.contains("far away"), "names the field, not the value: {reason}");
}

#[test]
fn equal_rows_count_once() {
    let stage = Stage::new();
    let mut rows: Vec<String> = people(1, 4).iter().map(Person::row).collect();
    rows.push(rows[1].clone());
    stage.home.people(&rows);
    let ran = stage.home.run_json(&["sync"]).exits(0);
    assert_eq!(ran.the_run()["source_records"], 4);
    assert!(ran.stderr.contains("E0002"), "with a warning: {}", ran.stderr);
    stage.has_exactly(&people(1, 4));
}

#[test]
fn with_a_row_that_nobody_can_own_no_leaver_is_acted_upon() {
    let mut everybody = people(1, 12);
    let stage = Stage::loaded(&everybody);
    everybody[0].title = "Chef".into();
    everybody[1].status = "gone".into();
    everybody.remove(4); // a leaver, or the one without a key?
    let mut rows: Vec<String> = everybody.iter().map(Person::row).collect();
    rows.push(Person { id: String::new(), ..Person::new(5) }.row());
    stage.home.people(&rows);
    let run = stage.home.run_json(&["sync"]).exits(75).the_run();
    assert_eq!(run["planned"], json!({"update": 1}), "movers are served");
    let expected = [("ok update".into(), 1), ("rejected".into(), 1), ("skipped".into(), 2)];
    assert_eq!(stage.home.last_run(), expected.into());
    let skipped = stage.home.outcomes(&["--status", "skipped"]);
    assert!(skipped.iter().all(|o| o["reason"] == "keyless row"), "{skipped:?}");
    assert_eq!(stage.sim.users().iter().filter(|u| u["banned"] == true).count(), 0);
    // Mended, the leavers are leavers.
    rows.pop();
    stage.home.people(&rows);
    let run = stage.home.run_json(&["sync"]).exits(0).the_run();
    assert_eq!(run["planned"], json!({"ban": 2}));
}
