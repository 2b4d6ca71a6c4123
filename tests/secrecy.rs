//! Nothing of a person and no secret in a log, an error or an outcome: canaries in every value, logging at its most
//! talkative, and every way in which a run can fail.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Home, Ran, Sim};

/// What must never be seen: the token, and pieces of every value of a person.
const CANARIES: [&str; 6] = ["canary-token", "canary-mail", "canaryname", "canarytitle", "canarycity", "5550199"];

const TOKEN: &str = "canary-token-7f3a";

fn rows(range: std::ops::Range<u32>) -> Vec<String> {
    range
        .map(|n| {
            format!(
                "E{n},canaryname{n},canaryname,canary-mail{n}@acme.example,+1 5550199{n},canarytitle,canarycity,active"
            )
        })
        .collect()
}

/// A home full of canaries, whose token the sandbox takes when `right`.
fn home(base_url: &str, right: bool) -> Home {
    let home = Home::juno(base_url);
    home.people(&rows(0..12));
    if !right {
        home.secret("config/juno.token", TOKEN);
    }
    home
}

fn talkative(home: &Home, args: &[&str]) -> Ran {
    let outcomes = home.path().join("outcomes.jsonl");
    let mut command = home.command(args);
    command.args(["-vvv", "--log-format", "json"]).env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full");
    if args.first() == Some(&"sync") {
        command.arg("--outcomes").arg(&outcomes);
    }
    Ran::of(&command.output().expect("the binary runs"))
}

/// Looks everywhere that words go: what was printed, the outcome file, the ledger, held plans aside (those are for
/// people to see values in).
#[track_caller]
fn silent(home: &Home, what: &str, ran: &Ran) {
    let outcomes = fs::read_to_string(home.path().join("outcomes.jsonl")).unwrap_or_default();
    let ledger = home.run(&["outcomes", "--format", "json"]);
    let status = home.run(&["status"]);
    for (place, text) in [
        ("stdout", &ran.stdout),
        ("stderr", &ran.stderr),
        ("the outcome file", &outcomes),
        ("the ledger", &ledger.stdout),
        ("the ledger's log", &ledger.stderr),
        ("status", &status.stdout),
    ] {
        let text = text.to_lowercase();
        for canary in CANARIES {
            if let Some(at) = text.find(canary) {
                let from = text[..at].char_indices().rev().nth(120).map_or(0, |(i, _)| i);
                panic!("{what}: {canary} is in {place}: …{}", &text[from..(at + canary.len() + 40).min(text.len())]);
            }
        }
    }
}

/// An answer that repeats what it was sent, in every place where vendors put words.
fn echo(status: u16) -> Value {
    let body = json!({
        "code": "canary-mail0@acme.example",
        "error": {"code": "canaryname0 is wrong", "message": "email canary-mail0@acme.example is not acceptable"},
        "errors": {"email": ["canary-mail0@acme.example taken"], "canarytitle": "5550199"},
        "message": "phone +1 55501990 of canaryname0 (token canary-token-7f3a)",
    });
    json!({"method": "POST", "do": format!("status:{status}"), "body": body.to_string(),
           "headers": {"X-Echo": "canary-mail0@acme.example", "Retry-After": "0"}})
}

#[test]
fn no_failing_answer_gets_a_value_into_words() {
    for status in [400, 401, 403, 404, 409, 418, 422, 429, 500, 502, 503, 302] {
        let sim = Sim::start();
        let home = home(&sim.juno(), true);
        sim.script(echo(status));
        let ran = talkative(&home, &["sync"]);
        assert_ne!(ran.code, 0, "{status}");
        assert!(ran.stderr.contains("rosterd"), "it does log: {}", ran.stderr);
        silent(&home, &format!("HTTP {status}"), &ran);
    }
}

#[test]
fn no_broken_connection_gets_a_value_into_words() {
    for action in ["commit-then-close", "close-before-commit", "garbage", "html", "commit-then-hang:3000"] {
        for method in ["POST", "GET"] {
            let sim = Sim::start();
            let home = home(&sim.juno(), true);
            sim.script(json!({"method": method, "do": action}));
            let ran = talkative(&home, &["sync"]);
            silent(&home, &format!("{action} on {method}"), &ran);
        }
    }
}

#[test]
fn no_refused_token_or_unreachable_target_gets_a_secret_into_words() {
    let sim = Sim::start();
    let wrong = home(&sim.juno(), false);
    silent(&wrong, "a wrong token", &talkative(&wrong, &["sync"]).exits(77));
    silent(&wrong, "a wrong token", &talkative(&wrong, &["plan"]).exits(77));
    let nobody = home("http://127.0.0.1:1", false);
    silent(&nobody, "nobody there", &talkative(&nobody, &["sync"]).exits(69));
    let world = home(&sim.juno(), false);
    fs::set_permissions(world.path().join("config/juno.token"), std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .expect("opened");
    silent(&world, "an open secret", &talkative(&world, &["sync"]).exits(77));
    let odd = home(&sim.juno(), false);
    odd.secret("config/juno.token", "canary-token\u{7f}\u{1}\n");
    silent(&odd, "a token that can't be sent", &talkative(&odd, &["sync"]).exits(78));
}

#[test]
fn no_bad_record_conflict_or_damaged_state_gets_a_value_into_words() {
    let sim = Sim::start();
    let bad = home(&sim.juno(), true);
    bad.configure("[sources.hr.max_rejected]\ncount = 100");
    let mut people = rows(0..6);
    people.push("E3,canaryname,canaryname,canary-mail99@acme.example,,,,active".into()); // contradicts another row
    people.push("E90,canaryname,canary-mail90@acme.example".into()); // ragged
    people.push(",canaryname,canaryname,canary-mail91@acme.example,,,,active".into()); // without a key
    bad.people(&people);
    silent(&bad, "bad records", &talkative(&bad, &["sync"]).exits(75));

    // Two accounts for one person, and one that is somebody else's.
    let conflict = home(&sim.juno(), true);
    sim.clear();
    sim.seed(json!([
        {"email": "canary-mail0@acme.example", "client_id": "X1"},
        {"email": "canary-mail1@acme.example", "client_id": "X2"},
    ]));
    silent(&conflict, "conflicts", &talkative(&conflict, &["sync"]).exits(75));

    let damaged = home(&sim.juno(), true);
    sim.clear();
    talkative(&damaged, &["sync"]).exits(0);
    let path = damaged.path().join("state/rosterd.db");
    assert!(!damaged.path().join("state/rosterd.db-wal").exists(), "the database is complete by itself");
    let mut bytes = fs::read(&path).expect("the database");
    let half = bytes.len() / 2;
    bytes[100..half].fill(b'x');
    fs::write(&path, bytes).expect("damaged");
    silent(&damaged, "a damaged state", &talkative(&damaged, &["sync"]).exits(70));
}

#[test]
fn no_failing_disk_gets_a_value_into_words() {
    let sim = Sim::start();
    for inject in ["pwrite64:error=ENOSPC:when=30+", "fsync,fdatasync:error=EIO:when=4+"] {
        sim.clear();
        let home = home(&sim.juno(), true);
        let (file, inject) = (home.path().join("state/rosterd.db-wal"), format!("inject={inject}"));
        let options = ["-f", "-qq", "-o", "/dev/null", "-e", &inject, "-P", file.to_str().expect("UTF-8")];
        let mut command = home.command_under("strace", &options, &["sync"]);
        command.arg("-vvv").env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full");
        let ran = Ran::of(&command.output().expect("strace runs")).exits(74);
        silent(&home, &inject, &ran);
    }
}

#[test]
fn no_panic_gets_a_value_into_words_and_nothing_is_lost_by_it() {
    let sim = Sim::start();
    let home = home(&sim.juno(), true);
    let mut command = home.command(&["sync", "--format", "json", "-vvv"]);
    command.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full").env("ROSTERD_TEST_PANIC", "E5");
    let ran = Ran::of(&command.output().expect("the binary runs")).exits(70);
    assert!(ran.stderr.contains("rosterd broke off at src/failpoints/mod.rs"), "{}", ran.stderr);
    let run = ran.the_run();
    assert_eq!((&run["status"], &run["error"]["code"]), (&json!("failed"), &json!(70)), "{run}");
    silent(&home, "a panic", &ran);
    home.run(&["sync"]).exits(0);
    assert_eq!(sim.users().len(), 12);
}

#[test]
fn no_wrong_configuration_gets_a_secret_into_words() {
    for auth in [
        r#"{ kind = "bearer", token = "canary-token-1", extra = 1 }"#,
        r#"{ kind = "bearer", token = "canary-token-1 }"#,
        r#"{ kind = "bearer", token = ["canary-token-1"] }"#,
        r#"{ kind = "bearer", token = { literal = "canary-token-1" } }"#,
        r#"{ kind = "baerer", token = "canary-token-1" }"#,
        r#"{ kind = "basic", username = "ops", pasword = "canary-token-1" }"#,
        r#""canary-token-1""#,
        r#"{ kind = "bearer", token = { env = "canary-token-1" } }"#,
    ] {
        let home = home("http://127.0.0.1:1", true);
        let text = fs::read_to_string(home.config()).expect("a configuration");
        let from = text.find("auth = ").expect("an auth");
        let line = text[from..].find('\n').map_or(text.len(), |n| from + n);
        home.secret("config/rosterd.toml", &format!("{}auth = {auth}{}", &text[..from], &text[line..]));
        for args in [&["check"][..], &["sync"], &["check", "--format", "json"]] {
            silent(&home, auth, &talkative(&home, args).exits(78));
        }
    }
}

/// Every place of the configuration where an address is typed, with a secret in its query and before its host.
#[test]
fn of_an_address_neither_query_nor_user_are_shown() {
    let sim = Sim::start();
    let silent = |what: &str, ran: &Ran| {
        for text in [&ran.stdout, &ran.stderr] {
            assert!(!text.contains("S3CRET"), "{what}: {text}");
        }
    };
    for address in [
        "htps://hr.example.com/api?token=S3CRET",
        "https//hr.example.com/api?token=S3CRET",
        "hr.example.com/api?token=S3CRET",
        "https://ann:S3CRET@hr.example.com/api",
        "https://S3CRET@hr.example.com/api?x=1",
        "https://hr.example.com/api#S3CRET",
        "https://hr example.com/api?token=S3CRET",
        "http://hr.example.com/api?token=S3CRET",
        "http://127.0.0.1:1/api?token=S3CRET",
    ] {
        for (from, to) in [
            (
                "kind = \"csv\"\npath = \"hr.csv\"",
                format!(
                    "kind = \"http\"\nformat = \"json\"\nauth = {{ kind = \"basic\", username = \"u\", password = {{ file = \"juno.token\" }} }}\nretry = {{ attempts = 1 }}\nurl = {address:?}"
                ),
            ),
            ("path = \"hr.csv\"", format!("path = {address:?}")),
            ("rate = \"1000/s\"", format!("rate = \"1000/s\"\nproxy = {address:?}")),
            ("rate = \"1000/s\"", format!("rate = \"1000/s\"\nca_file = {address:?}")),
            ("rate = \"1000/s\"", format!("rate = {address:?}")),
            ("kind = \"juno\"\nbase_url", format!("kind = \"rest\"\ndefinition = {address:?}\nbase_url")),
            (
                "auth = { kind = \"bearer\", token = { file = \"juno.token\" } }",
                format!(
                    "auth = {{ kind = \"oauth2\", token_url = {address:?}, client_id = \"i\", client_secret = {{ file = \"juno.token\" }} }}"
                ),
            ),
            ("auth = { kind = \"bearer\"", "auth = { kind = \"header\", name = \"X-Key: S3CRET\"".to_string()),
            ("[sources.hr]", format!("[notify]\nwebhook = {{ url = {address:?} }}\n[sources.hr]")),
            ("[sources.hr]", format!("[notify]\ncommand = [{address:?}, \"S3CRET\"]\n[sources.hr]")),
        ] {
            let home = Home::juno(&sim.juno());
            home.people(&rows(0..2));
            let text = fs::read_to_string(home.config()).expect("a configuration");
            assert!(text.contains(from), "{from}");
            home.secret("config/rosterd.toml", &text.replacen(from, &to, 1));
            for args in [&["check"][..], &["check", "--format", "json"], &["sync", "-vv"]] {
                silent(&format!("{args:?} {to}"), &home.run(args));
            }
        }
        let home = Home::juno(address);
        home.people(&rows(0..2));
        for args in [&["check"][..], &["plan"], &["sync"]] {
            silent(&format!("{args:?} base_url {address}"), &home.run(args));
        }
        // The environment is a layer of the configuration.
        let home = Home::juno(&sim.juno());
        home.people(&rows(0..2));
        let mut command = home.command(&["check"]);
        command.env("ROSTERD_TARGETS__JUNO__BASE_URL", address);
        silent("the environment", &Ran::of(&command.output().expect("the binary runs")));
    }
    // A file that is no TOML where its secret stands.
    let home = Home::juno(&sim.juno());
    let text = fs::read_to_string(home.config()).expect("a configuration");
    for line in [
        "url = \"https://hr/api?token=S3CRET",
        "url = https://hr/api?token=S3CRET",
        "\"S3CRET\" = = 1",
        "token = 'S3CRET' x",
    ] {
        home.secret("config/rosterd.toml", &format!("{text}\n{line}\n"));
        silent(line, &home.run(&["check"]));
    }
}

#[test]
fn a_redirect_to_elsewhere_does_not_tell_where() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut asked = [0; 4096];
            let _ = stream.read(&mut asked);
            let _ = stream.write_all(b"HTTP/1.1 302 Found\r\nlocation: https://u:S3CRET@login.example/?t=S3CRET\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let home = Home::juno(&format!("http://{address}/api"));
    home.people(&rows(0..2));
    let source = format!("kind = \"http\"\nformat = \"json\"\nurl = \"http://{address}/people?k=S3CRET\"");
    let text = fs::read_to_string(home.config()).expect("a configuration");
    for text in [text.clone(), text.replace("kind = \"csv\"\npath = \"hr.csv\"", &source)] {
        home.write("config/rosterd.toml", &text);
        let ran = talkative(&home, &["sync"]);
        assert!(!ran.stdout.contains("S3CRET") && !ran.stderr.contains("S3CRET"), "{} {}", ran.stdout, ran.stderr);
    }
}
