//! Inputs that must not be believed, each with what comes of it: the exit code, a part of what is said, not one
//! request to the target, and a snapshot that is as it was.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::export::{Asked, Export, Reply};
use super::stage::{HEADER, file, http_source, linked, over_http, people, put, refused, row, rows, set_source};
use super::{gz, zst};
use crate::support::{Home, Sim};

type Env = &'static [(&'static str, &'static str)];
const NONE: Env = &[];

/// The rows of 40 people, of which the first `n` are spoiled.
fn spoiled(n: usize, spoil: impl Fn(usize) -> String) -> String {
    let rows: String = (1..=40).map(|i| if i <= n { spoil(i) } else { row(i) }).collect();
    format!("{HEADER}{rows}")
}

/// A header and twelve million blank lines, in some kilobytes.
fn bomb() -> Vec<u8> {
    use std::io::Write;
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(HEADER.as_bytes()).expect("into memory");
    let block = [b'\n'; 1_000_000];
    (0..12).for_each(|_| packer.write_all(&block).expect("into memory"));
    packer.finish().expect("into memory")
}

#[test]
fn hostile_files_are_refused() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    put(&home, "hr.csv", file(1..=40));
    home.run(&["sync"]).exits(0);
    let good = file(1..=40);
    let cut = |end: &str| format!("{good}{end}").into_bytes();
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let header = |from: &str, to: &str| good.replacen(from, to, 1).into_bytes();
    let cases: Vec<(&str, Vec<u8>, Env, &str)> = vec![
        ("empty", vec![], NONE, "is empty"),
        ("a header alone", HEADER.into(), NONE, "it has 0 records, and min_records is 1"),
        ("blank lines", b"\n\n\r\n".to_vec(), NONE, "is empty"),
        ("a mapped column misspelt", header("email", "emial"), NONE, "no column \\\"email\\\" (did you mean “emial”?)"),
        ("a required column missing", header(",status", ",state"), NONE, "\\\"status\\\""),
        ("the key's column missing", header("employee_id", "id"), NONE, "\\\"employee_id\\\""),
        ("a doubled column", header("phone", "email"), NONE, "there are two columns \\\"email\\\""),
        ("a mapped column without a name", header("phone", ""), NONE, "no column \\\"phone\\\""),
        ("another delimiter", good.replace(',', ";").into(), NONE, "is “,” the right delimiter?"),
        ("HTML", b"<!DOCTYPE html><html><body>Log in</body></html>".to_vec(), NONE, "HTML"),
        ("JSON", json!(people(1..=40)).to_string().into(), NONE, "text follows a closing quote in the header"),
        (
            "bytes of anything",
            (0..2000u32).map(|i| (i * 7919 % 251) as u8).collect(),
            NONE,
            "can't be read as configured",
        ),
        ("cut off inside a row", cut("E041,Ann"), NONE, "cut off inside the row on line 42"),
        ("cut off inside a quote", cut("E041,\"Ann"), NONE, "cut off inside a quoted field of the row on line 42"),
        ("cut off inside the header", HEADER[..30].into(), NONE, "no columns"),
        (
            "a quote that never closes",
            spoiled(1, |_| "E001,\"Ann,x,y\n".into()).into(),
            NONE,
            "inside a quoted field of the row on line 2",
        ),
        (
            "a field of more than 1 MB",
            cut(&format!("E041,{},x,x,x,x,x,active\n", "y".repeat(1_000_001))),
            NONE,
            "longer than 1 MB",
        ),
        ("a row without end", cut(&",".repeat(200_000)), NONE, "longer than 16 MB"),
        ("half of the people", file(1..=20).into(), NONE, "20 fewer than the 40 of the largest trusted read"),
        ("one less than max_shrink allows", file(1..=29).into(), NONE, "rosterd accept hr"),
        (
            "one less than nobody",
            file(1..=39).into(),
            &[("ROSTERD_SOURCES__HR__MAX_SHRINK", "0")],
            "max_shrink allows 0",
        ),
        (
            "fewer than min_records",
            good.clone().into(),
            &[("ROSTERD_SOURCES__HR__MIN_RECORDS", "41")],
            "min_records is 41",
        ),
        (
            "ragged rows",
            spoiled(11, |i| format!("E{i:03},x\n")).into(),
            NONE,
            "max_rejected allows 10; the first is line 2 (record 1), key E001: it has 2 fields, and the header has 8",
        ),
        (
            "rows with a field too many",
            spoiled(11, |i| row(i).replace("Nurse", "Nurse, head")).into(),
            NONE,
            "11 of its 40 rows",
        ),
        (
            "text behind a quote",
            spoiled(11, |i| row(i).replace("Nurse", "\"Nurse\" x")).into(),
            NONE,
            "11 of its 40 rows",
        ),
        ("NUL bytes", spoiled(11, |i| row(i).replace("Nurse", "N\0rse")).into(), NONE, "11 of its 40 rows"),
        (
            "rows without a key",
            spoiled(11, |i| row(i).replacen(&format!("E{i:03}"), " ", 1)).into(),
            NONE,
            "11 of its 40 rows",
        ),
        (
            "keys with a line break",
            spoiled(11, |i| row(i).replacen(&format!("E{i:03}"), "\"E\n1\"", 1)).into(),
            NONE,
            "11 of its 40 rows",
        ),
        (
            "doubled keys that differ",
            spoiled(11, |i| row(i) + &row(i).replace("Nurse", "Head")).into(),
            NONE,
            "22 of its 51 rows",
        ),
        (
            "doubled by space",
            spoiled(11, |i| row(i) + &row(i).replace("Nurse", "Head").replacen('E', " E", 1)).into(),
            NONE,
            "22 of its 51 rows",
        ),
        (
            "doubled by Unicode form",
            spoiled(11, |i| row(i).replacen('E', "É", 1) + &row(i).replacen('E', "E\u{301}", 1).replace("Bern", "B"))
                .into(),
            NONE,
            "22 of its 51 rows",
        ),
        ("UTF-16 without a mark", utf16, NONE, "set encoding = \\\"utf-16le\\\""),
        (
            "UTF-16 cut in half a character",
            [&[0xFF, 0xFE], &good.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()[..901]].concat(),
            NONE,
            "cut off inside the row",
        ),
        ("another quote", good.replace("Bern", "'Be\nrn'").into(), NONE, "can't be used"),
        (
            "a byte of windows-1252 in the header",
            header("city", "c\u{ff}ty").iter().copied().filter(|b| *b != 0xC3).collect(),
            NONE,
            "header can't be decoded",
        ),
        ("an old file", good.clone().into(), &[("ROSTERD_SOURCES__HR__MAX_AGE", "1s")], "max_age is"),
    ];
    assert!(cases.len() >= 35, "{}", cases.len());
    for (name, bytes, env, part) in cases {
        put(&home, "hr.csv", bytes);
        let old = SystemTime::now() - Duration::from_secs(3 * 3600);
        let written = std::fs::File::options().append(true).open(home.path().join("config/hr.csv")).expect("a file");
        written.set_modified(old).expect("its time");
        refused(&home, &sim, name, env, 65, part);
    }
    // What doesn't decode is told with its column.
    let bytes: Vec<u8> =
        spoiled(11, |i| row(i).replace("Nurse", "N~rse")).bytes().map(|b| if b == b'~' { 0xFC } else { b }).collect();
    put(&home, "hr.csv", bytes);
    let first = "the first is line 2 (record 1), key E001: column title can't be decoded as UTF-8";
    refused(&home, &sim, "undecodable", NONE, 65, first);

    std::fs::remove_file(home.path().join("config/hr.csv")).expect("removed");
    refused(&home, &sim, "no file", NONE, 69, "hr.csv does not exist");
    std::fs::create_dir(home.path().join("config/hr.csv")).expect("a directory");
    refused(&home, &sim, "a directory", NONE, 65, "is a directory");
    std::fs::remove_dir(home.path().join("config/hr.csv")).expect("removed");
    for (name, text) in [("which file", file(1..=20)), ("which file, unreadable", "employee_id\n".into())] {
        put(&home, "hr.csv", text);
        let path = home.path().join("config/hr.csv");
        refused(&home, &sim, name, NONE, 65, &format!("look at {}", path.display()));
    }

    let packed = gz(good.as_bytes());
    let zst = zst(good.as_bytes());
    for (name, path, bytes, part) in [
        ("gzip cut off", "hr.csv.gz", packed[..packed.len() - 9].to_vec(), "the compressed data is cut off"),
        ("gzip cut off at once", "hr.csv.gz", packed[..20].to_vec(), "cut off"),
        (
            "gzip with something behind it",
            "hr.csv.gz",
            [packed.clone(), b"more".to_vec()].concat(),
            "reading stopped before the end",
        ),
        ("gzip damaged", "hr.csv.gz", damaged(&packed), "hr"),
        ("no gzip", "hr.csv.gz", good.clone().into(), "ends in .gz, and it is not gzip"),
        ("nothing", "hr.csv.gz", vec![], "it is not gzip"),
        ("zstd cut off", "hr.csv.zst", zst[..zst.len() - 4].to_vec(), "cut off"),
        ("no zstd", "hr.csv.zst", good.clone().into(), "it is not zstd"),
        ("a bomb", "hr.csv.gz", bomb(), "unpacks to more than 200 times its size"),
    ] {
        set_source(
            &home,
            &format!(
                "[sources.hr]\nkind = \"csv\"\npath = \"{path}\"\nkey = \"employee_id\"\nmax_rejected = \"unlimited\"\n"
            ),
        );
        put(&home, path, bytes);
        refused(&home, &sim, name, NONE, 65, part);
    }
}

/// With a byte in the middle turned over.
fn damaged(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() - 6;
    bytes[middle] ^= 0xFF;
    bytes
}

/// Pages of ten, of which one is not as it should be.
fn but(page: &'static str, reply: impl Fn() -> Reply + Send + Sync + 'static) -> Box<Handler> {
    let pages = linked(people(1..=40), 10);
    Box::new(move |asked| if asked.param("page").as_deref().unwrap_or("0") == page { reply() } else { pages(asked) })
}

type Handler = dyn Fn(&Asked) -> Reply + Send + Sync;

fn always(reply: Reply) -> Box<Handler> {
    Box::new(move |_| reply.clone())
}

fn document(body: Value) -> Box<Handler> {
    always(Reply::json(&body))
}

#[test]
fn hostile_answers_are_refused() {
    let sim = Sim::start();
    let stranger = Export::start(|_| Reply::json(&json!({ "data": [] })));
    let export = Export::start(linked(people(1..=40), 10));
    let linked_lines = "records = \"/data\"\ntotal = \"/meta/total\"\npagination = { kind = \"link\" }\n\
                        auth = { kind = \"header\", name = \"X-Api-Key\", value = { file = \"juno.token\" } }\nmax_page = \"100kB\"";
    let home = over_http(&sim, &export.url(), linked_lines);
    home.run(&["sync"]).exits(0);

    let elsewhere = stranger.url();
    let (away, next_away) = (elsewhere.clone(), elsewhere.clone());
    let whole = json!({ "data": people(1..=40), "meta": { "total": 40 } });
    let text = whole.to_string();
    let next = |page: &str, link: String| {
        but(Box::leak(page.to_string().into_boxed_str()), move || {
            Reply::json(&json!({ "data": people(11..=20), "meta": { "total": 40 } }))
                .with("link", &format!("<{link}>; rel=next"))
        })
    };
    let list = |records: Vec<Value>| document(json!({ "meta": { "total": records.len() }, "data": records }));
    let replaced = |from: usize, f: &dyn Fn(usize) -> Value| -> Vec<Value> {
        (1..=40).map(|i| if i <= from { f(i) } else { super::stage::person(i) }).collect()
    };
    let without_key = replaced(11, &|i| json!({ "first_name": format!("x{i}") }));
    let no_objects = replaced(11, &|i| json!(i));
    let mut again = people(1..=11);
    again.iter_mut().for_each(|person| person["title"] = json!("Head"));
    let doubled = [people(1..=40), again].concat();
    let cut_chunk = || Reply { missing: 40, ..Reply::json(&json!({ "data": people(1..=40) })) };
    let drip = Reply { drip: Some(Duration::from_millis(50)), ..Reply::json(&whole) };
    let packed = gz(text.as_bytes());
    let wide = gz(format!("{{\"data\":[{}", " ".repeat(3_000_000)).as_bytes());
    let encoded = |bytes: Vec<u8>| Reply::of("application/json", bytes).with("content-encoding", "gzip");
    let cases: Vec<(&str, Box<Handler>, i32, &str)> = vec![
        ("down", always(Reply::status(500)), 69, "it is in trouble: HTTP 500"),
        ("slow down for ever", always(Reply::status(429).with("retry-after", "0")), 69, "HTTP 429"),
        ("nothing there", always(Reply::status(404)), 69, "there is nothing at its address: HTTP 404"),
        ("not let in", always(Reply::status(401)), 77, "it refuses the credentials: HTTP 401"),
        ("not allowed", always(Reply::status(403)), 77, "it refuses the credentials: HTTP 403"),
        ("not understood", always(Reply::status(400)), 65, "HTTP 400"),
        ("no content", always(Reply::status(204)), 65, "HTTP 204"),
        ("a part", always(Reply { status: 206, ..Reply::json(&whole) }), 65, "HTTP 206"),
        ("not modified, unasked", always(Reply::status(304)), 65, "HTTP 304 to a question that was not asked"),
        (
            "a log-in page",
            always(Reply::of("text/html; charset=utf-8", "<html>Log in</html>")),
            65,
            "probably a log-in page",
        ),
        (
            "a log-in page in disguise",
            always(Reply::of("application/json", "\n <!doctype html><p>Log in")),
            65,
            "probably a log-in page",
        ),
        (
            "a redirect to elsewhere",
            Box::new(move |_| Reply::status(302).with("location", &away)),
            65,
            "redirects to another host",
        ),
        (
            "a redirect in a circle",
            always(Reply::status(302).with("location", "/again")),
            65,
            "redirects more than 10 times",
        ),
        ("a redirect to nowhere", always(Reply::status(301)), 65, "leads nowhere"),
        ("no JSON", always(Reply::of("application/json", "hello")), 65, "it is not JSON (line 1, column 1)"),
        ("nothing at all", always(Reply::of("application/json", "")), 65, "the body is empty"),
        (
            "JSON cut off",
            always(Reply::of("application/json", &text.as_bytes()[..900])),
            65,
            "cut off in the middle of its JSON",
        ),
        ("two documents", always(Reply::of("application/json", format!("{text}{text}"))), 65, "it is not JSON"),
        ("a short body", always(cut_chunk()), 65, "the page broke off"),
        ("a slow drip", always(drip), 69, "no whole answer within 1s"),
        (
            "too large",
            always(Reply::of("application/json", format!("{text}{}", " ".repeat(100_000)))),
            65,
            "larger than max_page (100000 bytes)",
        ),
        ("a bomb", always(encoded(wide)), 65, "larger than max_page"),
        ("gzip cut off", always(encoded(packed[..packed.len() / 2].to_vec())), 65, "broke off, or can't be unpacked"),
        ("no gzip", always(encoded(text.clone().into_bytes())), 65, "can't be unpacked"),
        (
            "an error with 200",
            document(json!({ "error": "no", "code": 7 })),
            65,
            "no list of records at \\\"/data\\\"; the document has code, error",
        ),
        ("no list", document(json!({ "data": { "x": 1 }, "meta": { "total": 1 } })), 65, "no list of records"),
        (
            "two lists",
            always(Reply::of("application/json", "{\"data\":[],\"data\":[],\"meta\":{\"total\":0}}")),
            65,
            "more than once",
        ),
        ("an empty list", list(vec![]), 65, "min_records is 1"),
        ("half of the people", list(people(1..=20)), 65, "20 fewer than the 40"),
        ("records that are none", list(no_objects), 65, "11 of its 40 rows"),
        ("records without a key", list(without_key), 65, "11 of its 40 rows"),
        (
            "keys that are numbers with a fraction",
            list(replaced(11, &|i| json!({ "employee_id": i as f64 + 0.5 }))),
            65,
            "11 of its 40 rows",
        ),
        (
            "a required field that nobody has",
            list((1..=40).map(|i| json!({ "employee_id": i, "email": "x" })).collect()),
            65,
            "no record has the required column status",
        ),
        (
            "doubled records that differ",
            document(json!({ "meta": { "total": 40 }, "data": doubled })),
            65,
            "22 of its 51 rows",
        ),
        (
            "fewer than declared",
            document(json!({ "data": people(1..=39), "meta": { "total": 40 } })),
            65,
            "it declares 40 records, and 39 arrived",
        ),
        (
            "more than declared",
            document(json!({ "data": people(1..=40), "meta": { "total": 39 } })),
            65,
            "it declares 39 records, and 40 arrived",
        ),
        (
            "nothing declared",
            document(json!({ "data": people(1..=40) })),
            65,
            "there is no number at \\\"/meta/total\\\"",
        ),
        ("page 3 down", but("2", || Reply::status(500)), 65, "page 3 can't be read: it is in trouble: HTTP 500"),
        ("page 3 gone", but("2", || Reply::status(404)), 65, "page 3 can't be read"),
        ("page 3 not let in", but("2", || Reply::status(401)), 65, "page 3 can't be read: it refuses the credentials"),
        ("page 3 a web page", but("2", || Reply::of("text/html", "<html>")), 65, "page 3 can't be read"),
        ("page 3 cut off", but("2", cut_chunk), 65, "page 3 can't be read: the page broke off"),
        (
            "page 3 without records",
            but("2", || Reply::json(&json!({ "meta": { "total": 40 } }))),
            65,
            "page 3 can't be read",
        ),
        (
            "page 3 empty and last",
            but("2", || Reply::json(&json!({ "data": [], "meta": { "total": 40 } }))),
            65,
            "it declares 40 records, and 20 arrived",
        ),
        ("next is the same page", next("1", "?page=1".into()), 65, "round in circles"),
        ("next is the first page", next("1", "/".into()), 65, "round in circles"),
        ("next on another host", next("1", next_away), 65, "the next page is on another host"),
        (
            "a link that is none",
            but("1", || {
                Reply::json(&json!({ "data": people(11..=20), "meta": { "total": 40 } })).with("link", "nonsense")
            }),
            65,
            "Link header can't be understood",
        ),
        (
            "the same page under ever new addresses",
            Box::new(|asked| {
                let page: u32 = asked.param("n").and_then(|n| n.parse().ok()).unwrap_or(0);
                let body = json!({ "request": page, "data": people(1..=10), "meta": { "total": 40 } });
                Reply::json(&body).with("link", &format!("<?n={}>; rel=next", page + 1))
            }),
            65,
            "round in circles: page 2 holds the same as page 1",
        ),
    ];
    assert!(cases.len() >= 45, "{}", cases.len());
    for (name, handler, code, part) in cases {
        export.now(handler);
        refused(&home, &sim, name, NONE, code, part);
    }
    assert!(stranger.taken().is_empty(), "nobody else was ever asked");

    // Too old, by its own account; and other formats.
    export.now(|_| Reply::json(&json!(people(1..=40))).with("last-modified", "Sun, 01 Nov 2020 00:00:00 GMT"));
    set_source(&home, &http_source(&export.url(), "max_age = \"1d\""));
    refused(&home, &sim, "an old export", NONE, 65, "and max_age is 1 day");
    export.now(|_| Reply::json(&json!(people(1..=40))));
    refused(&home, &sim, "of unknown age", NONE, 65, "does not say when it was last changed");
    let lines = |n: usize| people(1..=n).iter().map(|p| format!("{p}\n")).collect::<String>();
    for (name, format, body, part) in [
        ("NDJSON cut off", "ndjson", lines(40)[..lines(40).len() - 9].to_string(), "cut off inside line 40"),
        (
            "NDJSON with lines that are none",
            "ndjson",
            format!("{}{}", "oops\n".repeat(11), lines(40)),
            "11 of its 51 rows",
        ),
        ("NDJSON that is a list", "ndjson", json!(people(1..=40)).to_string(), "it has 0 records"),
        ("CSV with another header", "csv", format!("id,x\n{}", rows(1..=40)), "no columns"),
        ("CSV cut off", "csv", format!("{}E041,An", file(1..=40)), "cut off inside the row on line 42"),
        ("CSV that is JSON", "csv", json!(people(1..=40)).to_string(), "text follows a closing quote"),
    ] {
        export.now(always(Reply::of("text/plain", body)));
        set_source(&home, &http_source(&export.url(), &format!("format = \"{format}\"")));
        refused(&home, &sim, name, NONE, 65, part);
    }
    let url = export.url();
    drop(export);
    set_source(&home, &http_source(&url, ""));
    refused(&home, &sim, "nobody listens", NONE, 69, "it can't be reached: no connection");
    refused(&home, &sim, "nobody listens", NONE, 69, "nothing listens at");
}

#[test]
fn utf_16_without_a_mark_is_told_by_its_name_and_not_by_escapes() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    put(&home, "hr.csv", file(1..=3));
    home.run(&["sync"]).exits(0);
    let little: Vec<u8> = file(1..=3).encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = file(1..=3).encode_utf16().flat_map(u16::to_be_bytes).collect();
    for (bytes, encoding) in [(&little, "utf-16le"), (&big, "utf-16be")] {
        put(&home, "hr.csv", bytes);
        let part = "it is UTF-16 without a byte-order mark, and is read as utf-8";
        refused(&home, &sim, encoding, NONE, 65, part);
        refused(&home, &sim, encoding, NONE, 65, &format!("set encoding = \\\"{encoding}\\\" for the source"));
        let said = home.run(&["sync"]).exits(65).stderr;
        assert!(!said.contains("u{0}") && !said.contains("did you mean"), "{said}");
        let mut told = home.command(&["plan"]);
        let ran = told.env("ROSTERD_SOURCES__HR__ENCODING", encoding).output().expect("the binary runs");
        assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    }
    // One odd character makes no other encoding: the column that is meant is found.
    put(&home, "hr.csv", file(1..=3).replacen("email", "e-mail", 1).replacen("title", "ti\0tle", 1));
    refused(&home, &sim, "a NUL", NONE, 65, "(did you mean “e-mail”?)");
}

#[test]
fn a_file_of_which_every_row_is_rejected_says_why() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    put(&home, "hr.csv", file(1..=3));
    home.run(&["sync"]).exits(0);
    put(&home, "hr.csv", format!("{HEADER}E001,x\nE002,x\n"));
    let part = "it has 0 records, and min_records is 1; 2 rows can't be used, the first is line 2 (record 1), key E001: \
                it has 2 fields, and the header has 8";
    refused(&home, &sim, "every row", NONE, 65, part);
    refused(&home, &sim, "every row", NONE, 65, "mend the rejected rows in the export");
}
