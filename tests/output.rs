//! What people see: what strangers wrote is spelled out on every screen, what could not be written is known, and help
//! fits any terminal.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::answers::row;
use crate::support::{Home, Ran, Sim};

/// A value of a person: its direction turned, with a blank of no width. Of control characters the platforms admit none.
const VALUE: &str = "x\u{202e}txt\u{200b}y";

/// A name, a reason, an argument: with an escape sequence and a forged line as well.
const EVIL: &str = "x\u{1b}[2J\u{9b}31m\nerror: forged \u{202e}txt\u{200b}\u{2028}y";

/// [`EVIL`] as a person may see it.
const SPELLED: &str = "x\\u{1b}[2J\\u{9b}31m\\nerror: forged \\u{202e}txt\\u{200b}\\u{2028}y";

fn is_evil(letter: char) -> bool {
    (letter.is_control() && letter != '\n') || "\u{202e}\u{200b}\u{2028}".contains(letter)
}

/// A home whose source is JSON, so that a value may hold anything.
fn with_json(sim: &Sim, people: serde_json::Value) -> Home {
    let home = Home::juno(&sim.juno());
    let config = fs::read_to_string(home.config()).expect("a configuration");
    let (csv, json) =
        ("kind = \"csv\"\npath = \"hr.csv\"", "kind = \"http\"\nurl = \"URL\"\nformat = \"json\"\nrecords = \"\"");
    assert!(config.contains(csv));
    home.write("config/rosterd.toml", &config.replace(csv, json));
    let page = serve(people.to_string());
    let config = fs::read_to_string(home.config()).expect("a configuration");
    home.write("config/rosterd.toml", &config.replace("URL", &page));
    home
}

/// Answers every request with this text, for as long as the test process lives.
fn serve(body: String) -> String {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut asked = [0; 4096];
            let _ = stream.read(&mut asked);
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length:";
            let _ = write!(stream, "{head} {}\r\n\r\n{body}", body.len());
        }
    });
    format!("http://{address}/people")
}

fn person(key: &str, title: &str) -> serde_json::Value {
    json!({
        "employee_id": key, "first_name": "Ann", "last_name": "Lee", "email": format!("{}@acme.com", key.to_lowercase()),
        "phone": "555", "title": title, "city": "Bern", "status": "active", EVIL: "1",
    })
}

#[test]
fn what_strangers_wrote_is_spelled_out_in_every_text() {
    let sim = Sim::start();
    let home = with_json(&sim, json!([person("E1", VALUE), person("E2", "Nurse"), person("E\u{202e}3", "Nurse")]));
    home.configure("[syncs.staff.limits]\ncreate = 1");
    let clean = |ran: &Ran| {
        for text in [&ran.stdout, &ran.stderr] {
            assert!(!text.chars().any(is_evil), "{text:?}");
            assert!(!text.lines().any(|line| line.trim_start().starts_with("error: forged")), "{text:?}");
        }
    };
    let plan = home.run(&["plan", "-v"]);
    clean(&plan);
    assert!(plan.stdout.contains("“x\\u{202e}txt\\u{200b}y”"), "{}", plan.stdout);
    let held = home.run(&["sync", "--log-format", "text"]);
    clean(&held);
    let id = home.run_json(&["plans"]).json()["plans"][0]["id"].as_str().expect("a plan").to_string();
    clean(&home.run(&["plans"]));
    let shown = home.run(&["plans", "show", &id, "-v"]);
    clean(&shown);
    assert!(shown.stdout.contains("“x\\u{202e}txt\\u{200b}y”"), "{}", shown.stdout);
    let approved = home.run(&["approve", &id, "--reason", EVIL, "--log-format", "text", "-v"]);
    clean(&approved);
    assert!(approved.stdout.contains(SPELLED), "{}", approved.stdout);
    assert_eq!(home.query("SELECT reason FROM plan")[0][0], EVIL, "kept as it was typed");
    for args in [
        &["status"][..],
        &["outcomes"],
        &["outcomes", "--format", "csv"],
        &["why", "staff", "E1"],
        &["reconcile"],
        &["check", "--connect", "--show-values"],
        &["why", "staff", EVIL],
        &["sync", EVIL],
        &["plan", "--only", EVIL],
        &[EVIL],
        &["outcomes", "--since", EVIL],
        &["plans", "show", EVIL],
        &["approve", EVIL],
        &["undo", EVIL],
        &["targets", "show", EVIL],
        &["rekey", "staff", EVIL, "E9"],
        &["forget", "staff", EVIL],
        &["state", "forget-sync", EVIL],
        &["accept", EVIL],
        &["--config", EVIL, "check"],
        &["--config", EVIL, "status"],
    ] {
        clean(&home.run(args));
    }
}

#[test]
fn json_stays_json_and_keeps_what_was_written() {
    let sim = Sim::start();
    let home = with_json(&sim, json!([person("E1", VALUE)]));
    let plan = home.run_json(&["plan"]).exits(0);
    assert_eq!(plan.json()["syncs"][0]["operations"][0]["fields"]["title"]["new"], VALUE);
    assert!(!plan.stdout.chars().any(is_evil), "escaped in JSON's own way: {}", plan.stdout);
}

#[test]
fn what_people_are_called_is_shown_as_it_is_and_stays_in_its_column() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    home.people(&["山田,Zoë,O'Brien,z@acme.com,5,Chef d’équipe,Zürich,active", &row("E1", "Head 🎉")]);
    let text = home.run(&["plan", "-v"]).exits(0).stdout;
    for name in ["山田", "Zoë", "O'Brien", "“Chef d’équipe”", "“Head 🎉”", "“Zürich”"] {
        assert!(text.contains(name), "{name}: {text}");
    }
    // Both begin their fields in the same column: the key of two wide characters takes four.
    assert!(
        text.contains("    山田        Zoë O'Brien z@acme.com  account_level")
            && text.contains("    E1          Ann Lee e1@acme.com  account_level"),
        "{text}"
    );
}

#[test]
fn standard_output_that_takes_nothing_fails_every_command() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    home.people(&[row("E1", "Nurse")]);
    home.run(&["sync"]).exits(0);
    let backup = home.path().join("copy.db").display().to_string();
    for args in [
        &["status"][..],
        &["status", "--format", "json"],
        &["check"],
        &["check", "--format", "json"],
        &["check", "--connect"],
        &["test"],
        &["plan"],
        &["plan", "--format", "json"],
        &["sync"],
        &["sync", "--format", "json"],
        &["plans"],
        &["outcomes"],
        &["outcomes", "--format", "json"],
        &["outcomes", "--format", "csv"],
        &["why", "staff", "E1"],
        &["reconcile"],
        &["pause", "staff"],
        &["resume", "staff"],
        &["state", "info"],
        &["state", "verify"],
        &["state", "backup", &backup],
        &["accept", "hr"],
        &["targets"],
        &["targets", "show", "juno"],
        &["schema"],
        &["completions", "bash"],
        &["--help"],
        &["plan", "--help"],
        &["--version"],
    ] {
        let full = File::options().write(true).open("/dev/full").expect("/dev/full");
        let ran = Ran::of(&home.command(args).stdout(full).output().expect("the binary runs"));
        assert_eq!(ran.code, 74, "{args:?}: {}", ran.stderr);
        let told = ran.stderr.matches("error: cannot write to standard output: No space left on device").count();
        assert_eq!(told, 1, "{args:?}: {}", ran.stderr);
    }
}

#[test]
fn a_reader_that_has_gone_ends_a_command_quietly() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    home.people(&[row("E1", "Nurse")]);
    for args in [&["check"][..], &["status"], &["--help"], &["schema"], &["plan", "--format", "json"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let ran = Ran::of(&home.command(args).stdout(writer).output().expect("the binary runs"));
        assert_eq!((ran.code, ran.stderr.as_str()), (141, ""), "{args:?}");
    }
}

#[test]
fn a_command_without_a_command_prints_the_help() {
    let home = Home::empty();
    for args in [&[][..], &["state"]] {
        let command = home.command(&[]);
        let bare = Command::new(command.get_program()).args(args).stdin(Stdio::null()).output();
        let ran = Ran::of(&bare.expect("the binary runs"));
        assert_eq!((ran.code, ran.stdout.as_str()), (64, ""), "{args:?}");
        assert!(ran.stderr.contains("Usage: rosterd") && ran.stderr.contains("Commands:"), "{}", ran.stderr);
        assert!(!ran.stderr.contains("error:"), "{}", ran.stderr);
    }
    let wrong = home.run(&["frobnicate"]).exits(64);
    assert_eq!(wrong.stderr.matches("error:").count(), 1, "{}", wrong.stderr);
}

#[test]
fn a_terminal_without_columns_has_eighty() {
    let home = Home::empty();
    let help = |columns: &str| {
        let ran = home.command(&["sync", "--help"]).env("COLUMNS", columns).output().expect("the binary runs");
        Ran::of(&ran).exits(0).stdout
    };
    assert_eq!(help("0"), help("80"));
    assert!(help("0").lines().any(|line| line.chars().count() > 60), "{}", help("0"));
    assert_ne!(help("40"), help("80"), "a narrow one is believed");
}

/// A JUNO that answers every request with these bytes, for as long as the test process lives.
fn answering(bytes: &'static [u8]) -> String {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut asked = [0; 4096];
            let _ = stream.read(&mut asked);
            let _ = stream.write_all(bytes);
        }
    });
    address.to_string()
}

#[test]
fn a_server_of_another_protocol_is_told_from_one_that_is_not_there() {
    const PAGE: &[u8] =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 27\r\n\r\n<!doctype html><p>Welcome!\n";
    const TEXT: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nready\n";
    const TROUBLE: &[u8] = b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n";
    let (mail, plain) = (answering(b"220 mail.example.com ESMTP\r\n"), answering(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address").to_string()
    };
    for (base_url, told) in [
        (
            format!("http://{mail}/api"),
            "target juno answers, and not as it should: what answers there does not speak HTTP",
        ),
        (
            format!("https://{plain}/api"),
            "target juno answers, and not as it should: what answers there does not speak TLS",
        ),
        (
            format!("http://{}/api", answering(PAGE)),
            "target juno answers, and not as it should: answered HTTP 200 with an HTML page",
        ),
        (
            format!("http://{}/api", answering(TEXT)),
            "target juno answers, and not as it should: answered HTTP 200 with a body that is not in the format",
        ),
        (format!("http://{}/api", answering(TROUBLE)), "target juno is in trouble: HTTP 500"),
        (format!("http://{gone}/api"), "target juno can't be reached: no connection"),
    ] {
        let home = Home::juno(&base_url);
        home.people(&[row("E1", "Nurse")]);
        for args in [&["plan"][..], &["sync"], &["check", "--connect"]] {
            let ran = home.run(args).exits(69);
            assert!(ran.stdout.contains(told), "{base_url} {args:?}: {}", ran.stdout);
            assert_eq!(ran.stdout.contains("can't be reached"), told.contains("can't be reached"), "{}", ran.stdout);
        }
    }
    for (url, told) in [
        (format!("http://{mail}/people"), "it answers, and not as it should: what answers there does not speak HTTP"),
        (format!("https://{plain}/people"), "it answers, and not as it should: what answers there does not speak TLS"),
    ] {
        let home = Home::juno("http://127.0.0.1:1/api");
        let config = fs::read_to_string(home.config()).expect("a configuration");
        let source = format!("kind = \"http\"\nurl = \"{url}\"\nformat = \"json\"\nretry = {{ attempts = 1 }}");
        home.write("config/rosterd.toml", &config.replace("kind = \"csv\"\npath = \"hr.csv\"", &source));
        let ran = home.run(&["plan"]).exits(69);
        assert!(ran.stdout.contains(told) && !ran.stdout.contains("can't be reached"), "{url}: {}", ran.stdout);
    }
}

#[test]
fn a_refusal_says_what_helps() {
    for (status, body, told) in [
        (
            409,
            r#"{"error":{"code":"uniqueness"}}"#,
            &["is taken, and nobody is found by it", "hidden or deleted account", "administrator of juno", "email"][..],
        ),
        (428, "", &["If-Match", "operations.", "merged"]),
        (412, "", &["If-Match", "merged"]),
        (415, "", &["request.content_type", "rosterd targets show juno"]),
        (406, "", &["request.accept"]),
        (413, "", &["larger than it takes"]),
        (411, "", &["length"]),
    ] {
        let sim = Sim::start();
        let home = Home::juno(&sim.juno());
        home.people(&[row("E1", "Nurse")]);
        let method = if matches!(status, 412 | 428) { "PUT" } else { "POST" };
        if method == "PUT" {
            home.run(&["sync"]).exits(0);
            home.people(&[row("E1", "Matron")]);
        }
        sim.script(json!({"method": method, "key": "E1", "do": format!("status:{status}"), "body": body}));
        let ran = home.run(&["sync"]).exits(75);
        for part in told.iter().copied().chain([format!("HTTP {status}").as_str()]) {
            assert!(ran.stdout.contains(part), "{status}: {part:?} is not in {}", ran.stdout);
        }
        assert!(!ran.stdout.contains("@acme.com"), "{}", ran.stdout);
    }
}
