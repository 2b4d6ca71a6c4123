//! Files of JSON, a document or a record a line: as strict as delimited text.

use serde_json::{Value, json};

use super::export::Export;
use super::stage::{file, http_source, linked, people, put, refused, set_source, users};
use super::{gz, zst};
use crate::support::{Home, Sim};

/// The file's name, the lines of the source, and how records are written in it.
type Written = (&'static str, &'static str, fn(&[Value]) -> Vec<u8>);

const DOCUMENT: Written = ("hr.json", "format = \"json\"\nrecords = \"/data\"", |records| {
    json!({ "data": records }).to_string().into_bytes()
});

const LINES: Written = ("hr.ndjson", "format = \"ndjson\"", |records| {
    records.iter().map(|record| format!("{record}\n")).collect::<String>().into_bytes()
});

fn home_of(sim: &Sim, (name, lines, _): Written) -> Home {
    let home = Home::juno(&sim.juno());
    set_source(
        &home,
        &format!(
            "[sources.hr]\nkind = \"file\"\npath = \"{name}\"\nkey = \"employee_id\"\n\
             required = [\"email\", \"status\"]\n{lines}\n"
        ),
    );
    home
}

#[test]
fn a_file_of_json_is_loaded_told_unchanged_and_shows_who_has_left() {
    for written in [DOCUMENT, LINES] {
        let (name, _, write) = written;
        let sim = Sim::start();
        let home = home_of(&sim, written);
        put(&home, name, write(&people(1..=40)));
        let looked = home.run_json(&["check", "--connect"]).exits(0).json();
        let looked = &looked["sources"][0];
        assert!(looked["rows"] == 40 && looked["columns"].to_string().contains("\"phone\""), "{looked}");
        let run = home.run_json(&["sync"]).exits(0).the_run();
        assert_eq!(run["counts"]["create"]["ok"], 40, "{name}: {run}");
        let mark = sim.mark();
        let run = home.run_json(&["sync"]).exits(0).the_run();
        assert_eq!((&run["counts"], sim.since(mark).len()), (&json!({}), 0), "{name}: {run}");
        // The order makes no difference, and what is packed is unpacked.
        let mut turned = people(2..=40);
        turned.reverse();
        turned[0]["title"] = "Head".into();
        put(&home, name, gz(&write(&turned)));
        let run = home.run_json(&["sync"]).exits(0).the_run();
        let counts = (&run["counts"]["ban"]["ok"], &run["counts"]["update"]["ok"]);
        assert_eq!(counts, (&json!(1), &json!(1)), "{name}: {run}");
        put(&home, name, zst(&write(&turned)));
        assert_eq!(home.run_json(&["sync"]).exits(0).the_run()["counts"], json!({}), "{name}");
    }
}

#[test]
fn a_file_of_json_that_is_cut_off_sends_nothing() {
    for written in [DOCUMENT, LINES] {
        let (name, _, write) = written;
        let sim = Sim::start();
        let home = home_of(&sim, written);
        let whole = write(&people(1..=40));
        put(&home, name, &whole);
        home.run(&["sync"]).exits(0);
        for cut in [1, 30, 2_000, whole.len() - 2] {
            put(&home, name, &whole[..whole.len() - cut]);
            let part = if cut > 2 && cut < 2_000 || written.0 == DOCUMENT.0 { "cut off" } else { "" };
            match (name, cut) {
                // The last line is whole without its break.
                ("hr.ndjson", 1) => drop(home.run(&["sync"]).exits(0)),
                _ => refused(&home, &sim, &format!("{name} without {cut}"), &[], 65, part),
            }
        }
        let packed = gz(&whole);
        put(&home, name, &packed[..packed.len() / 2]);
        refused(&home, &sim, &format!("{name} packed"), &[], 65, "cut off");
        put(&home, name, "");
        refused(&home, &sim, &format!("{name} of nothing"), &[], 65, "");
        put(&home, name, "<!doctype html><p>Log in</p>");
        refused(&home, &sim, &format!("{name} of HTML"), &[], 65, "");
        put(&home, name, &whole);
        home.run(&["sync"]).exits(0);
    }
}

#[test]
fn a_bad_record_is_rejected_alone_and_its_person_left_as_they_are() {
    for written in [DOCUMENT, LINES] {
        let (name, _, write) = written;
        let sim = Sim::start();
        let home = home_of(&sim, written);
        put(&home, name, write(&people(1..=40)));
        home.run(&["sync"]).exits(0);
        let mut records = people(1..=39);
        records[4]["email"] = json!({ "work": "p5@acme.com", "x": [f64::MAX] });
        records[6] = json!("nobody");
        records[8]["title"] = "Head".into();
        put(&home, name, write(&records));
        let plan = home.run_json(&["plan"]).exits(0).json()["syncs"][0].clone();
        // Whose row the seventh is can't be told, so that nobody is taken for one who left.
        assert_eq!(plan["counts"]["ban"], Value::Null, "{name}: {plan}");
        assert_eq!(plan["counts"]["update"], 1, "{name}: {plan}");
        let rejected = plan["rejected"].to_string();
        assert!(rejected.contains("E005") && rejected.contains("it is not an object"), "{name}: {rejected}");
        assert!(!rejected.contains("acme.com"), "{rejected}");
        let place = if name == "hr.ndjson" { "line 7" } else { "record 7" };
        assert!(rejected.contains(place), "{name}: {rejected}");
    }
}

#[test]
fn what_a_document_says_of_itself_is_held_against_it() {
    let sim = Sim::start();
    let written: Written =
        ("hr.json", "format = \"json\"\nrecords = \"/data\"\ntotal = \"/total\"\nsuccess = \"/ok\"", |_| vec![]);
    let home = home_of(&sim, written);
    let with = |total: Value, ok: Value, more: Value| {
        let mut document = json!({ "data": people(1..=40), "total": total, "ok": ok });
        document.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        put(&home, "hr.json", document.to_string());
    };
    with(json!(40), json!(true), json!({}));
    home.run(&["sync"]).exits(0);
    let before = users(&home);
    for (total, ok, more, part) in [
        (json!(41), json!(true), json!({}), "it declares 41 records, and 40 arrived"),
        (json!(null), json!(true), json!({}), "there is no number at"),
        (json!(40), json!(false), json!({}), "is not true, which success says must be true"),
        (json!(40), json!(true), json!({ "errors": ["E"] }), "the file says that something went wrong"),
        (json!(40), json!(true), json!({ "has_more": true }), "is true): it is one page of a list"),
        (json!(40), json!(true), json!({ "next": "https://hr.example.com/2" }), "one page of a list"),
    ] {
        with(total, ok, more.clone());
        refused(&home, &sim, &more.to_string(), &[], 65, part);
    }
    assert_eq!(users(&home), before);
    put(&home, "hr.json", json!({ "people": people(1..=40), "total": 40, "ok": true }).to_string());
    refused(&home, &sim, "no list", &[], 65, "; the document has");
}

#[test]
fn a_member_of_a_union_may_be_written_in_anything() {
    let sim = Sim::start();
    let list = people(21..=30);
    let export = Export::start(linked(list, 4));
    let home = Home::juno(&sim.juno());
    let member = |name: &str, path: &str, lines: &str| {
        format!("[sources.{name}]\nkind = \"file\"\npath = \"{path}\"\nkey = \"employee_id\"\n{lines}\n")
    };
    let pages = "records = \"/data\"\npagination = { kind = \"link\" }";
    let api = http_source(&export.url(), pages).replace("[sources.hr]", "[sources.api]");
    let all = [
        "[sources.hr]\nkind = \"union\"\nmembers = [\"text\", \"one\", \"lines\", \"api\"]\n".to_string(),
        member("text", "hr.csv", "format = \"csv\""),
        member("one", DOCUMENT.0, DOCUMENT.1),
        member("lines", LINES.0, LINES.1),
        api,
    ];
    set_source(&home, &all.concat());
    put(&home, "hr.csv", file(1..=10));
    put(&home, DOCUMENT.0, DOCUMENT.2(&people(11..=20)));
    put(&home, LINES.0, LINES.2(&people(31..=40)));
    assert_eq!(home.run_json(&["sync"]).exits(0).the_run()["counts"]["create"]["ok"], 40);
    put(&home, LINES.0, LINES.2(&people(32..=40)));
    assert_eq!(home.run_json(&["sync"]).exits(0).the_run()["counts"]["ban"]["ok"], 1);
}
