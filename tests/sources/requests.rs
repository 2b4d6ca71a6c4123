//! Exports over HTTP as a matter of requests: how many, how fast, how often again, under which conditions at all; and
//! bodies packed in every way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::export::{Asked, Export, Reply};
use super::stage::{file, http_source, linked, over_http, people, refused, run, set_source};
use super::{creates, gz, zst};
use crate::support::{Home, Sim};

/// An export that tells whether it has changed: what is there, and by which validators it is known.
#[derive(Clone, Default)]
struct Edition {
    records: Vec<Value>,
    etag: Option<&'static str>,
    modified: Option<String>,
}

impl Edition {
    fn tagged(etag: &'static str, records: Vec<Value>) -> Edition {
        Edition { records, etag: Some(etag), modified: None }
    }

    fn dated(seconds_ago: u64, records: Vec<Value>) -> Edition {
        let at = std::time::SystemTime::now() - Duration::from_secs(seconds_ago);
        Edition { records, etag: None, modified: Some(httpdate::fmt_http_date(at)) }
    }

    fn answer(&self, asked: &Asked) -> Reply {
        let known = match (self.etag, &self.modified) {
            (Some(etag), _) => asked.header("if-none-match") == Some(etag),
            (None, Some(date)) => asked.header("if-modified-since") == Some(date),
            (None, None) => false,
        };
        let reply = if known { Reply::status(304) } else { Reply::json(&json!(self.records)) };
        let reply = self.etag.into_iter().fold(reply, |reply, etag| reply.with("etag", etag));
        self.modified.iter().fold(reply, |reply, date| reply.with("last-modified", date))
    }
}

fn publish(export: &Export, edition: Edition) {
    export.now(move |asked| edition.answer(asked));
}

/// For each request since the last look: whether it was conditional.
fn conditions(export: &Export) -> Vec<bool> {
    let conditional = |asked: &Asked| ["if-none-match", "if-modified-since"].iter().any(|h| asked.header(h).is_some());
    export.taken().iter().map(conditional).collect()
}

/// A home that has synced this edition, whose next run asks whether it has changed.
fn in_step(sim: &Sim, edition: Edition, lines: &str) -> (Export, Home) {
    let export = Export::start(|_| Reply::status(500));
    publish(&export, edition);
    let home = over_http(sim, &export.url(), lines);
    home.run(&["sync"]).exits(0);
    export.taken();
    home.run(&["sync"]).exits(0);
    assert_eq!(conditions(&export), [true], "one request, and no more");
    (export, home)
}

#[test]
fn an_unchanged_export_costs_one_request() {
    let sim = Sim::start();
    let export = Export::start(|_| Reply::status(500));
    let version = |tag: &'static str, numbers: std::ops::RangeInclusive<usize>| {
        move |asked: &Asked| match asked.header("if-none-match") {
            Some(known) if known == tag => Reply::status(304).with("etag", tag),
            _ => Reply::json(&json!(people(numbers.clone()))).with("etag", tag),
        }
    };
    export.now(version("\"v1\"", 1..=12));
    let home = over_http(&sim, &export.url(), "");
    home.run(&["sync"]).exits(0);
    export.taken();
    let mark = sim.mark();
    let answer = home.run_json(&["sync"]).exits(0).json();
    assert_eq!(export.taken().len(), 1, "one request");
    assert!(sim.since(mark).is_empty(), "and none to the target");
    let first = &answer["runs"][0];
    assert_eq!(
        (&first["status"], &first["unchanged"], &first["source_records"]),
        (&json!("ok"), &json!(12), &json!(12))
    );
    assert_eq!(home.run_json(&["status"]).exits(0).json()["syncs"][0]["state"], "ok");

    // Another mapping: read in full, and applied.
    let text = std::fs::read_to_string(home.config()).expect("text");
    home.write("config/rosterd.toml", &text.replace("city = \"city\"", "city = { cel = \"city.upperAscii()\" }"));
    let answer = home.run_json(&["sync"]).exits(0).json();
    assert_eq!(answer["runs"][0]["counts"]["update"]["ok"], 12, "{answer}");
    assert!(export.taken().iter().all(|a| a.header("if-none-match").is_none()));

    // Another export: one person less, who is banned at once.
    home.run(&["sync"]).exits(0);
    export.now(version("\"v2\"", 1..=11));
    let answer = home.run_json(&["sync"]).exits(0).json();
    assert_eq!(answer["runs"][0]["counts"]["ban"]["ok"], 1, "{answer}");

    // While somebody's grace runs it is read each time.
    let text = std::fs::read_to_string(home.config()).expect("text");
    home.write(
        "config/rosterd.toml",
        &text.replace("match = [\"email\"]", "match = [\"email\"]\nleave_grace = \"1h\""),
    );
    export.now(version("\"v3\"", 1..=10));
    home.run(&["sync"]).exits(0);
    export.taken();
    home.run(&["sync"]).exits(0);
    assert!(export.taken().iter().all(|a| a.header("if-none-match").is_none()), "not while a grace runs");
}

#[test]
fn a_changed_export_is_fetched_once_from_the_page_with_which_it_was_asked_for() {
    let sim = Sim::start();
    let (export, home) = in_step(&sim, Edition::tagged("\"v1\"", people(1..=12)), "");
    publish(&export, Edition::tagged("\"v2\"", people(1..=13)));
    let answer = home.run_json(&["sync"]).exits(0).json();
    assert_eq!(answer["runs"][0]["counts"]["create"]["ok"], 1, "{answer}");
    assert_eq!(conditions(&export), [true], "what the question brought is used");
    home.run(&["sync"]).exits(0);
    assert_eq!(conditions(&export), [true], "and known from then on");
    // It has become several pages: the others are fetched behind the first.
    let lines = "records = \"/data\"\npagination = { kind = \"link\" }";
    set_source(&home, &http_source(&export.url(), lines));
    let all = people(1..=13);
    export.now(move |_| Reply::json(&json!({ "data": all })).with("etag", "\"v3\""));
    home.run(&["sync"]).exits(0);
    home.run(&["sync"]).exits(0);
    export.taken();
    let pages = linked(people(1..=25), 10);
    export.now(move |asked| pages(asked).with("etag", "\"v4\""));
    assert_eq!(home.run_json(&["sync"]).exits(0).the_run()["counts"]["create"]["ok"], 12);
    assert_eq!(conditions(&export), [true, false, false]);
    // Several pages are no edition that one request could ask for.
    home.run(&["sync"]).exits(0);
    assert_eq!(conditions(&export), [false, false, false]);
}

#[test]
fn a_date_alone_is_enough_and_its_age_is_judged_each_time() {
    let sim = Sim::start();
    let (export, home) = in_step(&sim, Edition::dated(600, people(1..=12)), "max_age = \"1h\"");
    let mark = sim.mark();
    let late = run(&home, &["sync"], &[("ROSTERD_TEST_CLOCK_OFFSET", "4000")]).exits(65).json();
    let message = late["runs"][0]["error"]["message"].as_str().expect("a message");
    assert!(message.contains("and max_age is 1 h"), "{message}");
    assert_eq!(conditions(&export), [true]);
    assert!(sim.since(mark).is_empty());
}

#[test]
fn what_is_not_finished_is_read_again_however_unchanged_the_export_is() {
    let sim = Sim::start();
    let edition = |tag| Edition::tagged(tag, people(1..=12));
    let (export, home) = in_step(&sim, edition("\"v1\""), "");
    let asks = |expected: &[bool], what: &str| assert_eq!(conditions(&export), expected, "{what}");

    home.run(&["plan"]).exits(0);
    home.run(&["sync", "--only", "E001"]).exits(0);
    asks(&[false, false], "a look, and a part");
    home.run(&["sync"]).exits(0);
    home.run(&["sync"]).exits(0);
    asks(&[false, true], "of which the part may have left something over");

    home.run(&["accept", "hr"]).exits(0);
    home.run(&["sync"]).exits(0);
    asks(&[false, false], "an acceptance reads, and is spent by a read");
    home.run(&["sync"]).exits(0);
    asks(&[true], "and spent");

    home.run(&["pause", "staff"]).exits(0);
    home.run(&["sync"]).exits(0);
    home.run(&["resume", "staff"]).exits(0);
    export.taken();
    home.run(&["sync"]).exits(0);
    home.run(&["sync"]).exits(0);
    asks(&[false, true], "after a pause");

    // A rejected record: until it is mended, each run says so.
    let spoiled = [people(1..=12), vec![json!({"first_name": "x"})]].concat();
    publish(&export, Edition::tagged("\"v2\"", spoiled));
    home.run(&["sync"]).exits(75);
    home.run(&["sync"]).exits(75);
    asks(&[true, false], "a rejected record");
    publish(&export, edition("\"v3\""));
    home.run(&["sync"]).exits(0);
    export.taken();

    // A refused call: it is tried again.
    sim.script(json!({"method": "POST", "key": "E013", "do": "status:422"}));
    publish(&export, Edition::tagged("\"v4\"", people(1..=13)));
    home.run(&["sync"]).exits(75);
    sim.calm();
    assert_eq!(home.run_json(&["sync"]).exits(0).the_run()["counts"]["create"]["ok"], 1);
    asks(&[true, false], "a refused call");

    // A held plan: each run judges it anew.
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    home.configure("[syncs.staff.limits]\nban = 0");
    publish(&export, Edition::tagged("\"v5\"", people(1..=12)));
    home.run(&["sync"]).exits(3);
    home.run(&["sync"]).exits(3);
    asks(&[false, false], "another limit, then a held plan");
    home.write("config/rosterd.toml", &text);
    home.run(&["sync"]).exits(0);
    home.run(&["sync"]).exits(0);
    asks(&[false, true], "within the limits");
}

#[test]
fn a_database_that_was_restored_or_lost_asks_for_everything() {
    let sim = Sim::start();
    let (export, home) = in_step(&sim, Edition::tagged("\"v1\"", people(1..=12)), "");
    let copy = home.path().join("copy.db");
    home.run(&["state", "backup", copy.to_str().expect("a path")]).exits(0);
    home.run(&["sync"]).exits(0);
    std::fs::copy(&copy, home.database()).expect("restored");
    export.taken();
    home.run(&["sync"]).exits(0);
    assert_eq!(conditions(&export), [false]);
    home.run(&["sync"]).exits(0);
    assert_eq!(conditions(&export), [true]);
    std::fs::remove_dir_all(home.path().join("state")).expect("lost");
    home.run(&["sync"]).exits(0);
    assert_eq!(conditions(&export), [false]);
}

#[test]
fn pages_come_no_faster_than_the_rate() {
    let sim = Sim::start();
    let last = Arc::new(std::sync::Mutex::new(Instant::now()));
    let (seen, pages) = (Arc::clone(&last), linked(people(1..=8), 1));
    let export = Export::start(move |asked| {
        *seen.lock().expect("not poisoned") = Instant::now();
        pages(asked)
    });
    let lines = "records = \"/data\"\npagination = { kind = \"link\" }\nrate = \"4/s\"";
    let home = over_http(&sim, &export.url(), lines);
    let begun = Instant::now();
    assert_eq!(creates(&home), 8);
    // However late the first was: the eighth can't be sent before seven quarters of a second have passed.
    let took = last.lock().expect("not poisoned").duration_since(begun);
    assert!(took >= Duration::from_millis(1_700), "eight pages in {took:?}");
    assert_eq!(export.taken().len(), 8);
}

#[test]
fn what_may_pass_is_asked_for_again_as_often_as_allowed_and_what_will_not_is_not() {
    let sim = Sim::start();
    let export = Export::start(|_| Reply::status(500));
    let home = over_http(&sim, &export.url(), "");
    home.run(&["sync"]).exits(69);
    assert_eq!(export.taken().len(), 2, "attempts = 2");
    let answers: [(Reply, i32, usize); 7] = [
        (Reply::status(503), 69, 2),
        // An hour is asked for; retry.max caps it at twenty milliseconds.
        (Reply::status(429).with("retry-after", "3600"), 69, 2),
        (Reply { missing: 9, ..Reply::json(&json!([])) }, 65, 2),
        (Reply { drip: Some(Duration::from_millis(900)), ..Reply::json(&json!([])) }, 69, 2),
        (Reply::status(401), 77, 1),
        (Reply::status(404), 69, 1),
        (Reply::of("text/html", "<html>"), 65, 1),
    ];
    for (reply, code, requests) in answers {
        let told = reply.status;
        let answer = reply.clone();
        export.now(move |_| answer.clone());
        home.run(&["sync"]).exits(code);
        assert_eq!(export.taken().len(), requests, "{told}");
    }
    // Passing trouble on a later page costs that page alone.
    let (tries, pages) = (AtomicUsize::new(0), linked(people(1..=6), 2));
    export.now(move |asked| match asked.param("page").as_deref() {
        Some("1") if tries.fetch_add(1, Ordering::SeqCst) == 0 => Reply::status(502),
        _ => pages(asked),
    });
    set_source(&home, &http_source(&export.url(), "records = \"/data\"\npagination = { kind = \"link\" }"));
    assert_eq!(creates(&home), 6);
    assert_eq!(export.taken().len(), 4);
}

/// `[{…}]` with one person, as brotli (RFC 7932): made by another program.
const BROTLI: &str = "1b9200201c07b939f44e349fd2687b256be7b4df30fd0f9b14930c8ba48f1f145298b40e8b5cdf10f9c6d637d6c458380ee54cce313f9eb2a26a26dc668f32fd01c55d7a0347c4c8a3460a3cd158436041c09d4e9b8dd4a96fa09d765070fb1d2dbe1d45011eb0ba857204ac2be419";

/// `{"data":[` and three million blanks, as brotli.
const BROTLI_BOMB: &str = "9bc8c62df88dd462cdbc3094223a7b05b255929c56086060e7f9b628";

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("digits"));
    digits.map(|pair| u8::from_str_radix(pair, 16).expect("a byte")).collect()
}

#[test]
fn bodies_are_unpacked_in_every_packing_and_bombs_in_none() {
    let sim = Sim::start();
    let export = Export::start(|_| Reply::status(500));
    let home = over_http(&sim, &export.url(), "max_page = \"100kB\"");
    let one = json!(people(1..=1)).to_string();
    let blanks = format!("{{\"data\":[{}", " ".repeat(3_000_000));
    for (encoding, good, bomb) in [
        ("gzip", gz(one.as_bytes()), gz(blanks.as_bytes())),
        ("br", unhex(BROTLI), unhex(BROTLI_BOMB)),
        ("zstd", zst(one.as_bytes()), zst(blanks.as_bytes())),
    ] {
        let packed = |body: &[u8]| Reply::of("application/json", body).with("content-encoding", encoding);
        assert!(bomb.len() < 4_000, "{encoding}: {} bytes", bomb.len());
        let (whole, cut, bomb) = (packed(&good), packed(&good[..good.len() - 5]), packed(&bomb));
        export.now(move |_| bomb.clone());
        refused_new(&home, &sim, encoding, "larger than max_page (100000 bytes)");
        export.now(move |_| cut.clone());
        refused_new(&home, &sim, encoding, "can't be unpacked");
        export.now(move |_| whole.clone());
        assert_eq!(creates(&home), 1, "{encoding}");
        let asked = export.taken().pop().expect("a request");
        assert!(asked.header("accept-encoding").is_some_and(|all| all.contains(encoding)), "{encoding} is asked for");
    }
    // A file that is packed as such, whatever the headers say of it.
    export.now(|_| Reply::of("application/octet-stream", zst(file(1..=4).as_bytes())));
    set_source(&home, &http_source(&export.url(), "format = \"csv\""));
    assert_eq!(creates(&home), 4);
}

/// [`refused`] where there is no snapshot yet.
#[track_caller]
fn refused_new(home: &Home, sim: &Sim, name: &str, part: &str) {
    if !home.database().exists() {
        home.run(&["sync"]);
    }
    refused(home, sim, name, &[], 65, part);
}

#[test]
fn the_key_reaches_the_target_as_it_is_taken() {
    let sim = Sim::start();
    let mut records = people(1..=3);
    records[0]["employee_id"] = json!("  E001 ");
    records[1]["employee_id"] = json!("Zu\u{308}2");
    let export = Export::start(move |_| Reply::json(&json!(records)));
    let home = over_http(&sim, &export.url(), "");
    home.run(&["sync"]).exits(0);
    assert!(sim.user("E001").is_some() && sim.user("Z\u{fc}2").is_some(), "{:?}", sim.users());
    // The same people from a file, spelt otherwise: nothing to do.
    let text = file(1..=3).replace("E001", "\"E001 \"").replace("E002", "Z\u{fc}2");
    super::put(&home, "hr.csv", text);
    set_source(&home, "[sources.hr]\nkind = \"csv\"\npath = \"hr.csv\"\nkey = \"employee_id\"\n");
    let mark = sim.mark();
    assert_eq!(home.run_json(&["sync"]).exits(0).the_run()["planned"], json!({}));
    assert!(sim.since(mark).is_empty());
}
