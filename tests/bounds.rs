//! Bounds of memory: whatever a source or a target says, the process stays small, says what was wrong with it, and goes
//! on with everybody else. What is ordinary passes as before.

use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};

use crate::sources::export::{Asked, Export, Reply};
use crate::sources::stage::{HEADER, file, http_source, person, put, row, set_source};
use crate::support::{Home, Ran, Sim};

/// What a process may take, in MiB.
const MOST: u64 = 256;

/// Runs the binary to its end; the most memory that it had, in MiB.
fn run(home: &Home, args: &[&str]) -> (Ran, u64) {
    let mut command = home.command(&[args, &["--format", "json"]].concat());
    let network = [("TIMEOUT", "60s"), ("RETRY__ATTEMPTS", "1")];
    command.envs(network.map(|(name, value)| (format!("ROSTERD_TARGETS__JUNO__{name}"), value)));
    // Into files: a pipe that nobody empties would hold the process up.
    let output = |name: &str| home.path().join(name);
    let create = |name: &str| std::fs::File::create(output(name)).expect("a file");
    let mut child = command.stdout(create("stdout")).stderr(create("stderr")).spawn().expect("the binary starts");
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    // What is shown only ever grows, and is gone with the process.
    while let Some(now) = std::fs::read_to_string(&status).ok().as_deref().and_then(peak) {
        most = now;
        std::thread::sleep(Duration::from_millis(3));
    }
    let code = child.wait().expect("its end").code().unwrap_or(-1);
    let read = |name: &str| std::fs::read_to_string(output(name)).expect("text");
    (Ran { code, stdout: read("stdout"), stderr: read("stderr") }, most / 1024)
}

fn peak(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Runs it and asserts that it stayed small.
#[track_caller]
fn small(name: &str, home: &Home, args: &[&str]) -> Ran {
    let begun = std::time::Instant::now();
    let (ran, most) = run(home, args);
    eprintln!("{name}: {most} MiB, {} ms, exit {}", begun.elapsed().as_millis(), ran.code);
    assert!(most > 5 && most < MOST, "{name}: {most} MiB\n{}", ran.stderr);
    assert!(!ran.stderr.contains("panicked"), "{name}: {}", ran.stderr);
    ran
}

/// As many of these as fit into so many bytes, between commas.
fn many(of: &str, bytes: usize) -> String {
    vec![of; bytes / (of.len() + 1)].join(",")
}

/// A quarter of what an answer may have, which is a quarter of a gigabyte for who keeps it: the tests' build is slow.
const ANSWER: usize = 2_500_000;

/// Answers in JSON that are far larger in memory than on the wire.
fn floods() -> Vec<(&'static str, String)> {
    let depth = ANSWER / 12;
    let names: Vec<String> = (0..ANSWER / 12).map(|n| format!("\"{n}\":0")).collect();
    vec![
        ("tiny objects", format!("[{}]", many("{\"\":0}", 9_800_000))),
        ("tiny accounts", format!("[{}]", many("{\"id\":1}", ANSWER))),
        ("tiny objects beside the list", format!("{{\"x\":[{}],\"users\":[]}}", many("{\"\":0}", ANSWER))),
        ("tiny objects in an account", format!("[{{\"id\":1,\"x\":[{}]}}]", many("{\"\":0}", ANSWER))),
        ("an account of its own", format!("{{\"id\":1,\"x\":[{}]}}", many("[[]]", ANSWER))),
        ("depth", format!("{}0{}", "{\"a\":[".repeat(depth), "]}".repeat(depth))),
        ("names", format!("{{{}}}", names.join(","))),
        ("one name over and over", format!("{{{}}}", many("\"id\":[[]]", ANSWER))),
        ("a name", format!("{{\"{}\":[]}}", "x".repeat(ANSWER))),
        ("an id", format!("[{{\"id\":\"{}\"}}]", "x".repeat(ANSWER))),
    ]
}

fn people(home: &Home, count: usize) {
    put(home, "hr.csv", file(1..=count));
}

#[test]
fn whatever_a_look_up_or_a_create_is_answered_with_the_process_stays_small() {
    let server = Export::start(|_| Reply::json(&json!([])));
    for (name, body) in floods() {
        // Eight look-ups at once.
        let home = Home::juno(&server.url());
        people(&home, 8);
        let reply = Reply::of("application/json", body);
        let created = reply.clone();
        server.now(move |_| reply.clone());
        let ran = small(&format!("look-ups: {name}"), &home, &["sync"]);
        assert!([2, 69].contains(&ran.code), "{name}: {} {}", ran.code, ran.stdout);
        server.now(move |asked| match asked.line.starts_with("POST") {
            true => created.clone(),
            false => Reply::json(&json!([])),
        });
        let ran = small(&format!("creates: {name}"), &home, &["sync"]);
        assert_ne!(ran.code, 70, "{name}: {}", ran.stdout);
    }
}

#[test]
fn what_unpacks_to_more_than_an_answer_may_have_is_refused() {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(&[b' '; 1_000_000]).expect("into memory");
    (0..200).for_each(|_| packer.write_all(&[b'['; 1_000_000]).expect("into memory"));
    let reply = Reply::of("application/json", packer.finish().expect("into memory")).with("content-encoding", "gzip");
    let server = Export::start(move |_| reply.clone());
    let home = Home::juno(&server.url());
    people(&home, 8);
    let ran = small("a bomb", &home, &["sync"]);
    assert!(ran.stdout.contains("more than 10 MB"), "{}", ran.stdout);
}

fn longjump(url: &str) -> Home {
    let home = Home::empty();
    home.secret("config/secret", "sandbox\n");
    home.write(
        "config/rosterd.toml",
        &format!(
            "[state]\npath = \"../state/rosterd.db\"\n[sources.hr]\nkind = \"csv\"\npath = \"hr.csv\"\nkey = \"employee_id\"\n\
             [targets.juno]\nkind = \"longjump\"\nbase_url = \"{url}\"\nrate = \"1000/s\"\nburst = 100\n\
             auth = {{ kind = \"session\", username = \"admin\", password = {{ file = \"secret\" }} }}\n\
             options = {{ team_id = 1, access_profile_id = 3 }}\n[syncs.staff]\nsource = \"hr\"\ntarget = \"juno\"\n\
             match = [\"email\"]\n[syncs.staff.map]\nusername = \"email\"\nemail = \"email\"\nemployee_number = \"employee_id\"\n\
             first_name = \"first_name\"\nlast_name = \"last_name\"\n"
        ),
    );
    people(&home, 8);
    home
}

#[test]
fn whatever_an_answer_in_xml_holds_the_process_stays_small() {
    let good = "<message><code>0</code></message><login><sessionId>abc</sessionId></login>";
    let logged_in = Reply::of("application/xml", format!("<platform>{good}</platform>"));
    let of = |of: &str| of.repeat(ANSWER / of.len());
    let server = Export::start(|_| Reply::status(500));
    for (name, inner) in [
        ("empty elements", of("<a/>")),
        ("elements", of("<a><b/></a>")),
        ("records", of("<record><id>1</id></record>")),
        ("empty records", of("<record/>")),
        ("a record", format!("<record>{}</record>", of("<a><b/></a>"))),
        ("names", (0..ANSWER / 12).map(|n| format!("<a{n}/>")).collect()),
        ("depth", format!("{}{}", "<a>".repeat(ANSWER / 8), "</a>".repeat(ANSWER / 8))),
        ("attributes", format!("<a {}/>", of("b=\"\" "))),
        ("comments", of("<!---->")),
        ("entities", format!("<a>{}</a>", of("&#65;"))),
        ("text", format!("<a>{}</a>", of("x"))),
    ] {
        let (body, log_in) =
            (Reply::of("application/xml", format!("<platform>{good}{inner}</platform>")), logged_in.clone());
        server.now(move |asked| if asked.path().contains("login") { log_in.clone() } else { body.clone() });
        let ran = small(&format!("XML: {name}"), &longjump(&server.url()), &["plan"]);
        assert_ne!(ran.code, 70, "{name}: {}", ran.stdout);
    }
}

fn scim(url: &str) -> Home {
    let home = longjump(url);
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    let from = text.find("[targets.juno]").expect("a target");
    home.write(
        "config/rosterd.toml",
        &format!(
            "{}[targets.juno]\nkind = \"scim\"\nbase_url = \"{url}\"\nrate = \"1000/s\"\nburst = 100\n\
             auth = {{ kind = \"bearer\", token = {{ file = \"secret\" }} }}\n[syncs.staff]\nsource = \"hr\"\ntarget = \"juno\"\n\
             match = [\"userName\"]\n[syncs.staff.map]\nuserName = \"email\"\nexternalId = \"employee_id\"\n",
            &text[..from]
        ),
    );
    home
}

/// A page of a hundred accounts that nobody has seen, of a number that is never reached.
fn endless(asked: &Asked, name: impl Fn(u64) -> String) -> Reply {
    let start: u64 = asked.param("startIndex").and_then(|start| start.parse().ok()).unwrap_or(1);
    let users: Vec<Value> = (start..start + 100)
        .map(|n| json!({"id": format!("u{n}"), "userName": name(n), "externalId": name(n)}))
        .collect();
    Reply::json(&json!({"totalResults": u64::MAX, "startIndex": start, "itemsPerPage": 100, "Resources": users}))
}

#[test]
fn a_search_for_one_value_has_an_end_and_says_so() {
    let server = Export::start(|_| Reply::status(500));
    // All of them fit: each newcomer is in conflict with more accounts than anybody wants to see.
    server.now(|asked| {
        let sought = asked.param("filter").unwrap_or_default();
        let value = sought.split('"').nth(1).unwrap_or_default().to_string();
        endless(asked, |_| value.clone())
    });
    let home = scim(&server.url());
    let ran = small("a search in which all fit", &home, &["plan"]);
    assert!(ran.stdout.contains("more than one account could be"), "{}", ran.stdout);
    assert!(server.taken().len() < 40, "a page for each look-up");
    // None of them fits: the target does not look at what is sought.
    server.now(|asked| endless(asked, |n| format!("n{n}@acme.com")));
    let ran = small("a search in which none fits", &home, &["plan"]);
    assert_eq!(ran.code, 69, "{}", ran.stdout);
    assert!(ran.stdout.contains("what was sought is one value"), "{}", ran.stdout);
}

#[test]
fn a_token_that_lasts_longer_than_time_is_a_token() {
    let sim = Sim::start();
    let server = Export::start(move |asked| match asked.path() {
        "/token" => Reply::json(&json!({"access_token": "t", "token_type": "Bearer", "expires_in": u64::MAX})),
        _ => Reply::json(&json!({"data": [person(1)]})),
    });
    let home = Home::juno(&sim.juno());
    let auth = format!(
        "auth = {{ kind = \"oauth2\", token_url = \"{}/token\", client_id = \"c\", client_secret = {{ file = \"juno.token\" }} }}\n\
         records = \"/data\"\n",
        server.url()
    );
    set_source(&home, &http_source(&server.url(), &auth));
    let ran = small("a token of a source", &home, &["sync"]);
    assert_eq!(ran.code, 0, "{} {}", ran.stdout, ran.stderr);
    // The same of a target.
    let answers = Export::start(move |asked| match asked.path() {
        "/token" => Reply::json(&json!({"access_token": "t", "token_type": "Bearer", "expires_in": u64::MAX})),
        _ if asked.line.starts_with("GET") => Reply::json(&json!({"totalResults": 0, "Resources": []})),
        _ => {
            Reply { status: 201, ..Reply::json(&json!({"id": "u1", "userName": "p1@acme.com", "externalId": "E001"})) }
        }
    });
    let home = scim(&answers.url());
    people(&home, 1);
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    let oauth = format!(
        "auth = {{ kind = \"oauth2\", token_url = \"{}/token\", client_id = \"c\", client_secret = {{ file = \"secret\" }} }}",
        answers.url()
    );
    let text = text.replace("auth = { kind = \"bearer\", token = { file = \"secret\" } }", &oauth);
    home.write("config/rosterd.toml", &text);
    let ran = small("a token of a target", &home, &["sync"]);
    assert_eq!(ran.code, 0, "{} {}", ran.stdout, ran.stderr);
}

/// As long as a page is in these tests, which is four hundred megabytes for who keeps it.
const PAGE: usize = 4_000_000;

/// Records that are far larger in memory than on the wire, and what comes of each: whether the person is there.
fn records() -> Vec<(&'static str, String, bool)> {
    let with = |name: &str, value: &str| {
        format!("{{\"{name}\":{value},\"employee_id\":\"E041\",\"status\":\"active\",\"email\":\"p41@acme.com\"}}")
    };
    let used = |value: &str| {
        format!("{{\"phone\":{value},\"employee_id\":\"E041\",\"status\":\"active\",\"email\":\"p41@acme.com\"}}")
    };
    let (tiny, depth) = (format!("[{}]", many("{\"\":0}", PAGE)), PAGE / 2 - 100);
    let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let text = format!("\"{}\"", "x".repeat(15_000_000));
    let names: Vec<String> = (0..PAGE / 12).map(|n| format!("\"{n}\":0")).collect();
    vec![
        ("tiny objects in an unused field", with("x", &tiny), true),
        ("depth in an unused field", with("x", &deep), true),
        ("a text in an unused field", with("x", &text), true),
        ("a name", with(&"x".repeat(PAGE), "1"), true),
        ("tiny objects in a used field", used(&tiny), false),
        ("depth in a used field", used(&deep), false),
        ("a text in a used field", used(&text), false),
        ("names", with("x", &format!("{{{}}}", names.join(","))), false),
    ]
}

#[test]
fn a_record_as_large_as_a_page_is_its_own_trouble() {
    let sim = Sim::start();
    let server = Export::start(|_| Reply::status(500));
    for format in ["json", "ndjson"] {
        for (name, record, there) in records() {
            let ordinary: Vec<String> = (1..=40).map(|n| person(n).to_string()).collect();
            let body = match format {
                "json" => format!("{{\"data\":[{record},{}]}}", ordinary.join(",")),
                _ => format!("{record}\n{}\n", ordinary.join("\n")),
            };
            server.now(move |_| Reply::of("application/json", body.clone()));
            let lines = if format == "json" { "records = \"/data\"" } else { "format = \"ndjson\"" };
            let home = Home::juno(&sim.juno());
            set_source(
                &home,
                &http_source(&server.url(), &format!("{lines}\ntimeout = \"60s\"")).replacen(
                    "timeout = \"1s\"\n",
                    "",
                    1,
                ),
            );
            let ran = small(&format!("{format}: {name}"), &home, &["plan"]);
            assert_eq!(ran.code, 0, "{format}: {name}: {} {}", ran.stdout, ran.stderr);
            let creates = ran.json()["syncs"][0]["counts"]["create"].clone();
            assert_eq!(creates, if there { 41 } else { 40 }, "{format}: {name}: {}", ran.stdout);
        }
    }
}

#[test]
fn whatever_a_page_of_a_source_holds_the_process_stays_small() {
    let sim = Sim::start();
    let server = Export::start(|_| Reply::status(500));
    let home = Home::juno(&sim.juno());
    for (name, body, lines) in [
        ("tiny records", format!("{{\"data\":[{}]}}", many("{\"\":0}", 1_000_000)), ""),
        ("tiny objects beside", format!("{{\"x\":[{}],\"data\":[]}}", many("{\"\":0}", PAGE)), ""),
        (
            "a next page",
            format!("{{\"next\":\"{}\",\"data\":[]}}", "x".repeat(PAGE)),
            "pagination = { kind = \"next\", pointer = \"/next\" }",
        ),
        ("names", format!("{{\"{}\":1,\"data\":[]}}", "x".repeat(PAGE)), ""),
        ("depth", format!("{{\"x\":{}{},\"data\":[]}}", "[".repeat(PAGE / 2), "]".repeat(PAGE / 2)), ""),
        ("a link", format!("{{\"links\":[{}],\"data\":[]}}", many("{\"\":0}", PAGE)), ""),
    ] {
        server.now(move |_| Reply::of("application/json", body.clone()));
        let section = http_source(&server.url(), &format!("records = \"/data\"\n{lines}\ntimeout = \"60s\""));
        set_source(&home, &section.replacen("timeout = \"1s\"\n", "", 1));
        let ran = small(&format!("page: {name}"), &home, &["plan"]);
        assert_eq!(ran.code, 65, "{name}: {} {}", ran.stdout, ran.stderr);
        assert!(ran.stdout.len() + ran.stderr.len() < 20_000, "{name}: what is said has an end");
    }
}

#[test]
fn a_large_file_of_json_is_read_in_little_memory() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    let unused = "x".repeat(20_000);
    let large = |n: usize| {
        let mut record = person(n);
        record["picture"] = unused.as_str().into();
        record.to_string()
    };
    // Some people, and more than the process may keep.
    let many: Vec<String> = (0..14_000).map(|n| large(n % 400)).collect();
    for (format, text) in [("json", format!("[{}]", many.join(","))), ("ndjson", many.join("\n"))] {
        let lines = format!("path = \"hr.{format}\"\nformat = \"{format}\"");
        set_source(&home, &format!("[sources.hr]\nkind = \"file\"\nkey = \"employee_id\"\n{lines}\n"));
        put(&home, &format!("hr.{format}"), text);
        let ran = small(&format!("a large file of {format}"), &home, &["plan"]);
        assert_eq!(ran.json()["syncs"][0]["counts"]["create"], 400, "{format}: {}", ran.stderr);
    }
}

#[test]
fn whatever_a_file_holds_the_process_stays_small() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    let good = file(1..=40);
    for (name, text) in [
        (
            "a header of a million columns",
            format!("{}\n{}", (0..1_000_000).map(|n| format!("c{n}")).collect::<Vec<_>>().join(","), row(1)),
        ),
        ("a row of ten million columns", format!("{good}E041{}\n", ",".repeat(10_000_000))),
        ("a cell of 60 MB", format!("{HEADER}{}E041,{}\n", row(1), "x".repeat(60_000_000))),
        ("a name of 15 MB", format!("{},{}", "x".repeat(15_000_000), good)),
        ("a line without end", "x".repeat(60_000_000)),
    ] {
        put(&home, "hr.csv", text);
        let ran = small(&format!("file: {name}"), &home, &["plan"]);
        assert_eq!(ran.code, 65, "{name}: {}", ran.stderr);
        assert!(ran.stdout.len() + ran.stderr.len() < 40_000, "{name}: what is said has an end");
    }
}

#[test]
fn what_is_large_and_ordinary_passes() {
    // A listing of a thousand users of five kilobytes each, in one page.
    let users: Vec<Value> = (1..=1_000)
        .map(|n| {
            let custom: serde_json::Map<String, Value> =
                (0..120).map(|f| (format!("custom_field_{f}"), json!(format!("value {f} of {n}, as it is")))).collect();
            json!({"id": n, "client_id": format!("E{n:04}"), "email": format!("p{n}@acme.com"), "banned": false, "tags": [], "custom": custom})
        })
        .collect();
    let page = Value::from(users).to_string();
    assert!(page.len() > 5_000_000 && page.len() < 9_000_000, "{}", page.len());
    let server = Export::start(|_| Reply::status(500));
    server.now(move |asked| match asked.param("page").as_deref() {
        None | Some("1") => Reply::of("application/json", page.clone()),
        _ => Reply::json(&json!([])),
    });
    let home = Home::juno(&server.url());
    home.configure("[targets.juno.options]\npage_size = 1000\n");
    let rows: String =
        (1..=1_000).map(|n| format!("E{n:04},First,Last,p{n}@acme.com,+41,Nurse,Bern,active\n")).collect();
    put(&home, "hr.csv", format!("{HEADER}{rows}"));
    let ran = small("a listing of 5 MB", &home, &["plan"]);
    assert_eq!(ran.code, 0, "{} {}", ran.stdout, ran.stderr);
    assert_eq!(ran.json()["syncs"][0]["counts"]["adopt"], 1_000, "{}", ran.stderr);
    // Records of five hundred fields and nested lists, on a page of some ten megabytes.
    let sim = Sim::start();
    let record = |n: usize| {
        let Value::Object(mut record) = person(n) else { panic!("an object") };
        record.extend((0..500).map(|f| (format!("field_{f}"), json!({"value": f, "of": [n, [f], {"deep": [[n]]}]}))));
        Value::Object(record)
    };
    let data: Vec<Value> = (1..=400).map(record).collect();
    let body = json!({"data": data, "meta": {"total": 400}}).to_string();
    assert!(body.len() > 8_000_000, "{}", body.len());
    let source = Export::start(move |_| Reply::of("application/json", body.clone()));
    let home = Home::juno(&sim.juno());
    let section = http_source(&source.url(), "records = \"/data\"\ntotal = \"/meta/total\"\ntimeout = \"60s\"");
    set_source(&home, &section.replacen("timeout = \"1s\"\n", "", 1));
    let ran = small("a page of 10 MB", &home, &["plan"]);
    assert_eq!(ran.code, 0, "{} {}", ran.stdout, ran.stderr);
    assert_eq!(ran.json()["syncs"][0]["counts"]["create"], 400);
}
