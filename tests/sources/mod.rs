//! Sources through the real binary: what can be trusted is used, what can't be is refused, with its reason, and then
//! nothing at all is sent.

mod baseline;
pub mod export;
mod formats;
mod hostile;
mod proof;
mod records;
mod requests;
pub mod stage;

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use self::export::{Asked, Export, Reply};
use self::stage::{HEADER, file, http_source, linked, over_http, people, put, row, rows, run, set_source, users};
use rosterd::sandbox::Op;

use crate::support::{Home, Sim};

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(bytes).expect("into memory");
    packer.finish().expect("into memory")
}

fn zst(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

fn creates(home: &Home) -> u64 {
    let plan = home.run_json(&["plan"]).exits(0).json();
    plan["syncs"][0]["counts"]["create"].as_u64().unwrap_or(0)
}

#[test]
fn files_in_every_encoding_and_packing_say_the_same() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    let text = format!("{}E900,Zoë,Müller,z@acme.com,,Ärztin,Zürich,active\n", file(1..4));
    let utf16 = |be: bool| -> Vec<u8> {
        let units = "\u{feff}".encode_utf16().chain(text.encode_utf16());
        units.flat_map(|u| if be { u.to_be_bytes() } else { u.to_le_bytes() }).collect()
    };
    let latin: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).expect("latin-1")).collect();
    let zst = zst(text.as_bytes());
    let members = [gz(&text.as_bytes()[..40]), gz(&text.as_bytes()[40..])].concat();
    let windows = text.replace('\n', "\r\n");
    let quoted = text.replace("Müller", "'Müller'").replace(',', ";");
    let mut plans = Vec::new();
    for (name, bytes, lines) in [
        ("hr.csv", text.as_bytes().to_vec(), ""),
        ("hr.csv", format!("\u{feff}{text}").into_bytes(), "encoding = \"windows-1252\""),
        ("hr.csv", utf16(false), ""),
        ("hr.csv", utf16(true), ""),
        ("hr.csv", utf16(true)[2..].to_vec(), "encoding = \"utf-16be\""),
        ("hr.csv", latin, "encoding = \"latin1\""),
        ("hr.csv", windows.into_bytes(), ""),
        ("hr.csv", quoted.into_bytes(), "delimiter = \";\"\nquote = \"'\""),
        ("hr.csv.gz", gz(text.as_bytes()), ""),
        ("hr.csv.gz", members, ""),
        ("hr.csv.zst", zst, ""),
    ] {
        set_source(
            &home,
            &format!("[sources.hr]\nkind = \"csv\"\npath = \"{name}\"\nkey = \"employee_id\"\n{lines}\n"),
        );
        put(&home, name, bytes);
        let plan = home.run_json(&["plan"]).exits(0).json();
        plans.push(plan["syncs"][0]["operations"].clone());
    }
    assert_eq!(plans[0].as_array().map(Vec::len), Some(4));
    assert!(plans[0].to_string().contains("Zürich"));
    plans.iter().enumerate().for_each(|(i, plan)| assert_eq!(plan, &plans[0], "{i}"));
}

#[test]
fn standard_input_is_a_source_without_a_schedule() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    set_source(&home, "[sources.hr]\nkind = \"csv\"\npath = \"-\"\nkey = \"employee_id\"\n");
    for bytes in [file(1..4).into_bytes(), gz(file(1..4).as_bytes())] {
        let mut command = home.command(&["plan", "--format", "json"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        child.stdin.take().expect("a pipe").write_all(&bytes).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        let plan: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(plan["syncs"][0]["counts"]["create"], 3, "{plan}");
    }
    home.write(
        "config/rosterd.toml",
        &std::fs::read_to_string(home.config())
            .expect("text")
            .replace("match = [\"email\"]", "match = [\"email\"]\nschedule = \"0 0 * * * *\""),
    );
    let ran = home.run(&["check"]).exits(78);
    assert!(ran.stdout.contains("standard input can't be read on a schedule"), "{}", ran.stdout);
}

#[test]
fn every_paging_style_and_format_reads_everybody_once() {
    let sim = Sim::start();
    let number = |asked: &Asked, name: &str| asked.param(name).and_then(|p| p.parse::<usize>().ok());
    let slice = |from: usize, n: usize| people((1..=25).skip(from).take(n));
    let ndjson = |list: &[Value]| list.iter().map(|v| format!("{v}\n")).collect::<String>();
    type Style = (&'static str, Box<dyn Fn(&Asked) -> Reply + Send + Sync>, usize);
    let styles: Vec<Style> = vec![
        (
            "records = \"/data\"\ntotal = \"/meta/total\"\npagination = { kind = \"link\" }",
            Box::new(linked(people(1..=25), 10)),
            3,
        ),
        (
            "pagination = { kind = \"header\", name = \"X-Next\" }",
            Box::new(move |asked| {
                let from = number(asked, "from").unwrap_or(0);
                let reply = Reply::json(&json!(slice(from, 10)));
                if from < 20 { reply.with("x-next", &format!("/p?from={}", from + 10)) } else { reply }
            }),
            3,
        ),
        (
            "pagination = { kind = \"header\", name = \"X-Next-Page\", param = \"page\" }",
            Box::new(move |asked| {
                let page = number(asked, "page").unwrap_or(1);
                let next = if page < 3 { (page + 1).to_string() } else { String::new() };
                Reply::json(&json!(slice((page - 1) * 10, 10))).with("x-next-page", &next)
            }),
            3,
        ),
        (
            "records = \"/d/list\"\npagination = { kind = \"next\", pointer = \"/d/next\" }",
            Box::new(move |asked| {
                let from = number(asked, "from").unwrap_or(0);
                let next = (from < 20).then(|| format!("?from={}", from + 10));
                Reply::json(&json!({ "d": { "next": next, "list": slice(from, 10) } }))
            }),
            3,
        ),
        (
            "records = \"/data\"\npagination = { kind = \"cursor\", pointer = \"/c\", param = \"after\", size_param = \"limit\", size = 7 }",
            Box::new(move |asked| {
                let from = number(asked, "after").unwrap_or(0);
                let size = number(asked, "limit").expect("a size is asked for");
                let next = (from + size < 25).then_some(from + size);
                Reply::json(&json!({ "data": slice(from, size), "c": next }))
            }),
            4,
        ),
        (
            // A server that gives fewer than it is asked for, which is no sign of the end.
            "pagination = { kind = \"page\", param = \"p\", start = 0, size_param = \"n\", size = 100 }",
            Box::new(move |asked| Reply::json(&json!(slice(number(asked, "p").expect("a page") * 10, 10)))),
            4,
        ),
        (
            "records = \"/data\"\ntotal = \"/n\"\npagination = { kind = \"offset\", param = \"from\" }",
            Box::new(move |asked| {
                let from = number(asked, "from").expect("an offset");
                Reply::json(&json!({ "data": slice(from, 10), "n": 25 }))
            }),
            3,
        ),
        (
            "format = \"ndjson\"\npagination = { kind = \"offset\", param = \"from\" }",
            Box::new(move |asked| {
                Reply::of("application/x-ndjson", ndjson(&slice(number(asked, "from").expect("one"), 10)))
            }),
            4,
        ),
        (
            "format = \"csv\"\nencoding = \"latin1\"\npagination = { kind = \"page\", param = \"p\" }",
            Box::new(move |asked| {
                let page = number(asked, "p").expect("a page");
                Reply::of("text/csv", format!("{HEADER}{}", rows((1..=25).skip((page - 1) * 10).take(10))))
            }),
            4,
        ),
        (
            "format = \"ndjson\"",
            Box::new(move |_| {
                Reply::of("text/plain", gz(ndjson(&slice(0, 25)).as_bytes())).with("content-encoding", "gzip")
            }),
            1,
        ),
        ("format = \"csv\"", Box::new(move |_| Reply::of("application/gzip", gz(file(1..=25).as_bytes()))), 1),
    ];
    for (lines, handler, requests) in styles {
        let export = Export::start(handler);
        let home = over_http(&sim, &format!("{}/people", export.url()), lines);
        assert_eq!(creates(&home), 25, "{lines}");
        assert_eq!(export.taken().len(), requests, "{lines}");
    }
}

#[test]
fn nested_fields_lists_and_numbers_reach_the_target() {
    let sim = Sim::start();
    let record = json!({
        "id": 123, "name": { "first": "Ann", "last": "Lee" }, "email": "ann@acme.com", "groups": ["a", "b"], "active": true,
        "dial": null,
    });
    let export = Export::start(move |_| Reply::json(&json!([record])));
    let home = Home::juno(&sim.juno());
    let text = std::fs::read_to_string(home.config()).expect("text");
    let (head, target) = (text.find("[sources.hr]").expect("one"), text.find("[targets.juno]").expect("one"));
    let sync = text.find("[syncs.staff]").expect("one");
    let section = http_source(&export.url(), "")
        .replace("key = \"employee_id\"\nrequired = [\"email\", \"status\"]", "key = \"id\"");
    let syncs = "[syncs.staff]\nsource = \"hr\"\ntarget = \"juno\"\ninclude = 'active && \"a\" in groups'\n[syncs.staff.map]\n\
        client_id = \"id\"\nemail = \"email\"\nfirst_name = { cel = \"name.first + ' ' + groups[1]\" }\nlast_name = \"name.last\"\n\
        phone = \"dial\"\naccount_level = { value = 0, when = \"create\" }\n";
    home.write("config/rosterd.toml", &format!("{}{section}\n{}{syncs}", &text[..head], &text[target..sync]));
    home.run(&["sync"]).exits(0);
    let user = sim.user("123").expect("an account");
    assert_eq!((&user["first_name"], &user["last_name"]), (&json!("Ann b"), &json!("Lee")), "{user}");
}

#[test]
fn credentials_of_every_kind_and_tokens_that_end() {
    let sim = Sim::start();
    for (auth, name, value) in [
        ("{ kind = \"bearer\", token = { file = \"juno.token\" } }", "authorization", "Bearer sandbox"),
        ("{ kind = \"token\", token = { file = \"juno.token\" } }", "authorization", "Token sandbox"),
        ("{ kind = \"header\", name = \"X-Api-Key\", value = { file = \"juno.token\" } }", "x-api-key", "sandbox"),
        (
            "{ kind = \"basic\", username = \"u\", password = { file = \"juno.token\" } }",
            "authorization",
            "Basic dTpzYW5kYm94",
        ),
    ] {
        let export = Export::start(linked(people(1..=5), 2));
        let lines = format!("records = \"/data\"\npagination = {{ kind = \"link\" }}\nauth = {auth}");
        let home = over_http(&sim, &export.url(), &lines);
        assert_eq!(creates(&home), 5);
        let asked = export.taken();
        assert!(asked.len() == 3 && asked.iter().all(|a| a.header(name) == Some(value)), "{asked:?}");
    }
    // A token that is good for two requests: the third page is refused, and asked for again with another.
    let tokens = std::sync::atomic::AtomicUsize::new(0);
    let pages = linked(people(1..=6), 2);
    let export = Export::start(move |asked| {
        use std::sync::atomic::Ordering::SeqCst;
        if asked.path() == "/token" {
            assert!(asked.body.contains("grant_type=client_credentials&scope=read+hr"), "{}", asked.body);
            assert_eq!(asked.header("authorization"), Some("Basic bWU6c2FuZGJveA=="));
            tokens.fetch_add(1, SeqCst);
            return Reply::json(&json!({ "access_token": format!("t{}", tokens.load(SeqCst)), "expires_in": 3600 }));
        }
        let good = if asked.line.contains("page=2") { "Bearer t2" } else { "Bearer t1" };
        if asked.header("authorization") == Some(good) { pages(asked) } else { Reply::status(401) }
    });
    let lines = format!(
        "records = \"/data\"\npagination = {{ kind = \"link\" }}\nauth = {{ kind = \"oauth2\", token_url = \"{}/token\", \
         client_id = \"me\", client_secret = {{ file = \"juno.token\" }}, scope = \"read hr\" }}",
        export.url()
    );
    let home = over_http(&sim, &format!("{}/people", export.url()), &lines);
    assert_eq!(creates(&home), 6);
    let asked = export.taken();
    assert_eq!(asked.iter().filter(|a| a.path() == "/token").count(), 2, "{asked:?}");
}

#[test]
fn tokens_that_end_twice_under_one_page_stop_nothing_and_those_never_accepted_are_refused() {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    for good_from in [3, usize::MAX] {
        let sim = Sim::start();
        let pages = linked(people(1..=6), 2);
        let tokens = AtomicUsize::new(0);
        let export = Export::start(move |asked| {
            if asked.path() == "/token" {
                let number = tokens.fetch_add(1, SeqCst) + 1;
                return Reply::json(&json!({ "access_token": format!("t{number}"), "expires_in": 3600 }));
            }
            let number = asked.header("authorization").and_then(|text| text.strip_prefix("Bearer t")?.parse().ok());
            // The first page is shown to the first token; the second to none before the third.
            let wanted = match (good_from, asked.line.contains("page=2")) {
                (usize::MAX, _) => usize::MAX,
                (_, false) => 1,
                (good_from, true) => good_from,
            };
            if number >= Some(wanted) { pages(asked) } else { Reply::status(401) }
        });
        let lines = format!(
            "records = \"/data\"\npagination = {{ kind = \"link\" }}\n\
             auth = {{ kind = \"oauth2\", token_url = \"{}/token\", client_id = \"me\", \
             client_secret = {{ file = \"juno.token\" }} }}",
            export.url()
        );
        let home = over_http(&sim, &format!("{}/people", export.url()), &lines);
        if good_from == 3 {
            assert_eq!(creates(&home), 6);
        } else {
            home.run(&["sync"]).exits(77);
        }
        let asked = export.taken().iter().filter(|asked| asked.path() == "/token").count();
        assert_eq!(asked, if good_from == 3 { 3 } else { 2 });
    }
}

#[test]
fn redirects_within_the_host_and_passing_troubles_are_got_over() {
    let sim = Sim::start();
    let tries = std::sync::atomic::AtomicUsize::new(0);
    let export = Export::start(move |asked| match asked.path() {
        "/old" => Reply::status(301).with("location", "/new"),
        _ if tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 => {
            Reply::status(503).with("retry-after", "0")
        }
        _ => Reply::json(&json!(people(1..=3))),
    });
    let home = over_http(&sim, &format!("{}/old", export.url()), "");
    assert_eq!(creates(&home), 3);
}

#[test]
fn an_acceptance_is_good_once_and_status_says_why_it_was_needed() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    let ban = [("ROSTERD_SYNCS__STAFF__LIMITS__BAN", "20")];
    put(&home, "hr.csv", file(1..=40));
    home.run(&["sync"]).exits(0);
    put(&home, "hr.csv", file(1..=29));
    let answer = run(&home, &["sync"], &ban).exits(65).json();
    let error = &answer["runs"][0]["error"];
    let message = error["message"].as_str().expect("a message");
    assert!(message.contains("it has 29 records, 11 fewer than the 40") && message.contains("allows 10"), "{message}");
    assert!(error["help"].as_str().expect("help").ends_with("rosterd accept hr"), "{error}");
    let status = home.run_json(&["status"]).exits(0).json();
    assert_eq!(status["syncs"][0]["state"], "untrusted");
    let reason = status["syncs"][0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("11 fewer than the 40") && reason.ends_with("rosterd accept hr"), "{reason}");

    let unknown = home.run_json(&["accept", "hx"]).exits(64).json();
    assert!(unknown["error"]["help"].as_str().expect("help").contains("hr"), "{unknown}");
    home.run(&["accept", "hr"]).exits(0);
    // A read that fails another check doesn't spend it.
    put(&home, "hr.csv", format!("{}E\"", file(1..=29)));
    run(&home, &["sync"], &ban).exits(65);
    put(&home, "hr.csv", file(1..=29));
    let answer = run(&home, &["sync"], &ban).exits(0).json();
    assert_eq!(answer["runs"][0]["counts"]["ban"]["ok"], 11, "{answer}");
    let status = home.run_json(&["status"]).exits(0).json();
    assert_eq!((&status["syncs"][0]["state"], &status["syncs"][0]["reason"]), (&json!("ok"), &Value::Null));
    put(&home, "hr.csv", file(1..=18));
    let answer = run(&home, &["sync"], &ban).exits(65).json();
    assert!(answer.to_string().contains("11 fewer than the 29"), "the new baseline, and spent: {answer}");
}

#[test]
fn no_bans_uses_what_did_arrive() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    put(&home, "hr.csv", file(1..=10));
    home.run(&["sync"]).exits(0);
    let mark = sim.mark();
    put(&home, "hr.csv", format!("{}{}E099,cut", file(1..=4), row(50)));
    let lenient = [("ROSTERD_SOURCES__HR__ON_INCOMPLETE", "no-bans")];
    let answer = run(&home, &["sync"], &lenient).exits(75).json();
    assert_eq!(answer["runs"][0]["counts"]["create"]["ok"], 1, "{answer}");
    assert_eq!(sim.committed_since(mark, Op::Ban), 0);
    let told = |home: &Home| {
        let status = home.run_json(&["status"]).exits(0).json()["syncs"][0].clone();
        (status["reason"].as_str().unwrap_or_default().to_string(), status["last_good_run"].clone())
    };
    let (reason, good) = told(&home);
    assert!(reason.contains("not read to its end") && reason.contains("cut off inside the row on line 7"), "{reason}");
    // Even where it lacks nobody who is known: who is in the rest nobody knows.
    put(&home, "hr.csv", format!("{}{}E099,cut", file(1..=10), row(50)));
    let answer = run(&home, &["sync"], &lenient).exits(75).json();
    assert_eq!((&answer["runs"][0]["status"], &answer["runs"][0]["skipped"]), (&json!("partial"), &json!(0)));
    assert_eq!(told(&home).1, good, "no good run");
    put(&home, "hr.csv", format!("{}{}", file(1..=10), row(50)));
    run(&home, &["sync"], &lenient).exits(0);
    assert_eq!(told(&home).0, "");
    assert!(sim.users().iter().all(|u| u["active"] != json!(false)));
}

#[test]
fn a_union_counts_equal_people_once_and_reports_conflicts() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    let export = Export::start(|_| Reply::json(&json!(people(5..=8))));
    let member = |name: &str, path: &str| {
        format!("[sources.{name}]\nkind = \"csv\"\npath = \"{path}\"\nkey = \"employee_id\"\nrequired = [\"status\"]\n")
    };
    let web = http_source(&export.url(), "").replace("sources.hr", "sources.web");
    let all = "[sources.hr]\nkind = \"union\"\nmembers = [\"a\", \"b\", \"web\"]\n";
    set_source(&home, &format!("{all}{}{}{web}", member("a", "a.csv"), member("b", "b.csv")));
    // E003 is in both and the same but for a column that nobody wants; E004 differs.
    put(&home, "a.csv", file(1..=4));
    let other = format!(
        "{},shoe\n{},38\n{},39\n",
        HEADER.trim_end(),
        row(3).trim_end(),
        row(4).trim_end().replace("Nurse", "Doctor")
    );
    put(&home, "b.csv", other);
    let plan = home.run_json(&["plan"]).exits(0).json();
    let sync = &plan["syncs"][0];
    assert_eq!(sync["source_records"], 7, "{plan}");
    assert_eq!(sync["rejected"].as_array().map(Vec::len), Some(1));
    let reject = &sync["rejected"][0];
    assert_eq!(reject["key"], "E004");
    assert!(
        reject["reason"].as_str().expect("a reason").contains("rows 4 of a and 2 of b have this key and differ"),
        "{reject}"
    );
    home.run(&["sync"]).exits(75);
    assert_eq!(sim.users().len(), 7);

    // A member that calls its key otherwise: what names the key of one names that of each.
    put(&home, "b.csv", format!("{HEADER}{}", row(3)).replace("employee_id", "number"));
    let text = std::fs::read_to_string(home.config()).expect("text");
    let renamed = text.replace("path = \"b.csv\"\nkey = \"employee_id\"", "path = \"b.csv\"\nkey = \"number\"");
    home.write("config/other.toml", &renamed.replace("rosterd.db", "other.db"));
    let other = home.path().join("config/other.toml").display().to_string();
    let plan = run(&home, &["plan", "--config", &other], &[]).exits(0).json();
    let keys: Vec<&Value> =
        plan["syncs"][0]["operations"].as_array().expect("a list").iter().map(|o| &o["key"]).collect();
    assert_eq!(keys, ["E001", "E002", "E003", "E004", "E005", "E006", "E007", "E008"], "{plan}");
    home.run(&["check", "--connect", "--config", &other]).exits(0);

    let (before, mark) = (users(&home), sim.mark());
    put(&home, "b.csv", "employee_id,first");
    let answer = home.run_json(&["sync"]).exits(65).json();
    assert!(answer.to_string().contains("source b can't be read as configured"), "{answer}");
    put(&home, "b.csv", format!("{},shoe\n", HEADER.trim_end()));
    let answer = home.run_json(&["sync"]).exits(65).json();
    let message = answer["runs"][0]["error"]["message"].as_str().expect("a message").to_string();
    assert!(message.contains("a member is not: source b is not trusted: it has 0 records"), "{message}");
    assert!(sim.since(mark).is_empty() && users(&home) == before);
}

#[test]
fn check_connect_shows_what_is_there_and_writes_nothing() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    put(&home, "hr.csv", file(1..=9));
    let mark = sim.mark();
    let ran = home.run(&["check", "--connect"]).exits(0);
    for part in [
        "employee_id, first_name",
        "E001, E002, E003",
        "sync staff: E001 becomes",
        "*** (11 characters)",
        "*** (at most 8 characters)",
        "target juno: ok",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    // Of what is short not even the length.
    let values = ["p1@acme.com", "First1", "Nurse", "Bern", "(4 char", "(5 char", "(6 char"];
    assert!(values.iter().all(|value| !ran.stdout.contains(value)), "{}", ran.stdout);
    assert!(home.run(&["check", "--connect", "--show-values"]).exits(0).stdout.contains("p1@acme.com"));
    assert!(sim.writes_since(mark).is_empty() && !home.path().join("state").exists());

    let export = Export::start(linked(people(1..=25), 10));
    set_source(&home, &http_source(&export.url(), "records = \"/data\"\npagination = { kind = \"link\" }"));
    let answer = home.run_json(&["check", "--connect"]).exits(0).json();
    assert_eq!(answer["sources"][0]["keys"], json!(["E001", "E002", "E003"]));
    assert_eq!(answer["sources"][0]["mapped"][0]["fields"]["email"], "*** (11 characters)");
    let pages = export.taken().iter().filter(|a| !a.line.contains("page=2")).count();
    assert!(pages >= 1 && answer["sources"][0]["rows"] == 10, "one page is looked at");

    export.now(|_| Reply::status(401));
    let answer = home.run_json(&["check", "--connect"]).exits(77).json();
    assert_eq!((&answer["ok"], &answer["errors"][0]["key"]), (&json!(false), &json!("sources.hr")));
    export.now(|_| Reply::json(&json!({ "oops": 1 })));
    home.run(&["check", "--connect"]).exits(65);
    home.secret("config/juno.token", "wrong\n");
    export.now(|_| Reply::json(&json!({ "data": people(1..=3) })));
    home.run(&["check", "--connect"]).exits(77);
    drop(sim);
    home.run(&["check", "--connect"]).exits(69);
}

/// An authority, and a certificate of its for `localhost` and 127.0.0.1, with its key; as PEM.
fn certificates() -> (String, (String, String)) {
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).expect("parameters");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().expect("a key");
    let authority = params.self_signed(&key).expect("an authority");
    let issuer = rcgen::Issuer::new(params, key);
    let names = vec!["localhost".to_string(), "127.0.0.1".to_string()];
    let own = rcgen::KeyPair::generate().expect("a key");
    let leaf = rcgen::CertificateParams::new(names).expect("parameters").signed_by(&own, &issuer).expect("signed");
    (authority.pem(), (leaf.pem(), own.serialize_pem()))
}

#[test]
fn tls_is_believed_from_known_authorities_and_with_our_certificate() {
    let sim = Sim::start();
    let (authority, (certificate, key)) = certificates();
    let everybody = |_: &Asked| Reply::json(&json!(people(1..=3)));
    let open = Export::tls((&certificate, &key), None, everybody);
    let home = over_http(&sim, &open.url(), "");
    let ran = home.run_json(&["plan"]).exits(69);
    assert!(ran.stdout.to_lowercase().contains("certificate"), "{}", ran.stdout);
    home.write("config/ca.pem", &authority);
    set_source(&home, &http_source(&open.url(), "ca_file = \"ca.pem\""));
    assert_eq!(creates(&home), 3);

    let closed = Export::tls((&certificate, &key), Some(&authority), everybody);
    set_source(&home, &http_source(&closed.url(), "ca_file = \"ca.pem\""));
    home.run(&["plan"]).exits(69);
    set_source(&home, &http_source(&closed.url(), "ca_file = \"ca.pem\"\nclient_cert = \"me.pem\""));
    home.write("config/me.pem", &format!("{certificate}{key}"));
    assert_eq!(home.run(&["plan"]).code, 77, "a key that everybody can read");
    home.secret("config/me.pem", &format!("{certificate}{key}"));
    assert_eq!(creates(&home), 3);
}

#[test]
fn a_proxy_is_used_for_every_request() {
    let sim = Sim::start();
    let proxy = Export::start(|_| Reply::json(&json!(people(1..=3))));
    let home = over_http(&sim, "http://hr.invalid/people", &format!("proxy = \"{}\"", proxy.url()));
    assert_eq!(creates(&home), 3);
    assert!(proxy.taken()[0].line.starts_with("GET http://hr.invalid/people "));
}
