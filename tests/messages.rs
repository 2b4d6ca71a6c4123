//! What a newcomer reads when the configuration is wrong: each message names the place and says what to write.

use crate::support::{Home, Ran};

/// A configuration that is right, apart from what a test changes.
const RIGHT: &str = r#"[state]
path = "s.db"
[sources.hr]
kind = "csv"
path = "hr.csv"
key = "employee_id"
[targets.juno]
kind = "juno"
base_url = "http://127.0.0.1:9/juno/api"
auth = { kind = "bearer", token = { file = "juno.token" } }
rate = "10/s"
retry = { attempts = 1 }
[syncs.staff]
source = "hr"
target = "juno"
include = 'status == "active"'
match = ["email"]
[syncs.staff.map]
client_id = "employee_id"
email = { cel = "email.trim().lowerAscii()" }
first_name = "first_name"
last_name = "last_name"
"#;

const PEOPLE: &str = "employee_id,email,first_name,last_name,status,grade\n\
                      E1,ann@acme.com,Ann,Ash,active,senior\nE2,bob@acme.com,Bob,Birch,active,7\n";

/// A home with this configuration.
fn home(text: &str) -> Home {
    let home = Home::empty();
    home.secret("config/rosterd.toml", text);
    home.write("config/hr.csv", PEOPLE);
    home.secret("config/juno.token", "sandbox\n");
    home
}

/// [`RIGHT`] with one line, which begins so, replaced; `""` adds one below the mapping.
fn with(begin: &str, line: &str) -> String {
    if begin.is_empty() {
        return format!("{RIGHT}{line}\n");
    }
    let there = RIGHT.lines().find(|known| known.starts_with(begin)).expect("a line of the configuration");
    RIGHT.replacen(there, line, 1)
}

/// What a command says, its lines as one text.
fn said(ran: &Ran) -> String {
    format!("{}{}", ran.stdout, ran.stderr).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A line of the configuration, what takes its place, and what `check` says of that.
type Mistake = (&'static str, &'static str, &'static [&'static str]);

#[track_caller]
fn all_told(mistakes: &[Mistake]) {
    for (begin, line, parts) in mistakes {
        let ran = home(&with(begin, line)).run(&["check"]).exits(78);
        let said = said(&ran);
        for part in *parts {
            assert!(said.contains(part), "{line}\n{part:?} is not in:\n{}", ran.stdout);
        }
        assert!(said.contains("help: "), "{line} has no remedy:\n{}", ran.stdout);
    }
}

#[test]
fn values_of_another_form() {
    all_told(&[
        (
            "match",
            "schedule = \"0 0 25 * * *\"",
            &[":17: syncs.staff.schedule", "\"25\" is not an hour", "0 to 23", "second minute hour"],
        ),
        ("match", "schedule = \"@daily\"", &["short form of crontab", "second minute hour"]),
        ("match", "timezone = \"Zurich\"", &["syncs.staff.timezone", "did you mean `Europe/Zurich`?"]),
        ("match", "match = \"email\"", &["a list is wanted", "match = [\"email\"]"]),
        ("match", "leave_grace = 7", &["such as \"30s\", is wanted here, not a number", "leave_grace = \"7d\""]),
        ("rate", "rate = 10", &["targets.juno.rate", "rate = \"10/s\""]),
        ("rate", "concurrency = 0", &["nothing is ever done", "concurrency = 1"]),
        (
            "base_url",
            "base_url = \"acme.junolive.com/api\"",
            &["https:// is missing", "\"https://acme.junolive.com/api\""],
        ),
        (
            "base_url",
            "base_url = \"ftp://acme.junolive.com/api\"",
            &["\"ftp://acme.junolive.com/api\" is not", "neither https://"],
        ),
        ("base_url", "base_url = \"http://127.0.0.1:84800/api\"", &["its port is not a number from 1 to 65535"]),
        ("auth", "auth = \"bearer\"", &["a table is wanted", "auth = { kind = \"bearer\", token = { file = "]),
        ("auth", "", &["targets.juno.auth: this is missing", "auth = { kind = \"bearer\", token = { file = "]),
        ("", "[server]\nlisten = \"localhost:9464\"", &["server.listen", "listen = \"127.0.0.1:9464\""]),
        ("", "[syncs.staff.limits]\nhold = \"ban\"", &["not one of \"plan\", \"bans\"", "did you mean `bans`?"]),
        ("", "[syncs.staff.tests]\nname = \"x\"", &["[[syncs.staff.tests]]"]),
    ]);
}

#[test]
fn fields_and_expressions() {
    all_told(&[
        (
            "",
            "id = \"employee_id\"",
            &["map.id", "can't be mapped: JUNO gives the id itself", "take the rule", "`client_id`"],
        ),
        ("", "shoe = \"grade\"", &["no field shoe", "rosterd targets show juno"]),
        ("", "titel = \"grade\"", &["no field titel", "did you mean `title`?"]),
        ("", "schedule = \"0 3 * * *\"", &["map.schedule", "put it above [syncs.staff.map]"]),
        ("", "title = { person = \"boss\" }", &["does not look up people", "the id which that person has"]),
        ("", "title = 5", &["map.title", "a constant is written title = { value"]),
        ("include", "include = \"status\"", &["true or false is needed", "gives a text", "'status == \"active\"'"]),
        ("include", "include = 'first_name + \"x\"'", &["true or false is needed", "include = 'status == \"active\"'"]),
        ("include", "include = true", &["text in quotes is wanted", "include = 'status == \"active\"'"]),
        ("include", "include = 'grade > 5'", &["grade > 5 compares text with a number", "int(grade) > 5"]),
        ("include", "include = '5 < grade'", &["5 < grade compares", "5 < int(grade)"]),
        ("include", "include = 'grade == 5'", &["grade == \"5\"", "int(grade) == 5"]),
        ("include", "include = 'grade in [5, 6]'", &["grade in [5, 6]", "int(grade) in [5, 6]"]),
        ("include", "include = 'grade != null'", &["an empty cell is an empty text", "grade != \"\""]),
        (
            "",
            "title = { cel = \"if grade == '' then 'x' else grade\" }",
            &["does not parse", "CONDITION ? THIS : OTHER"],
        ),
        ("include", "include = 'status in (\"a\", \"b\")'", &["square brackets", "status in ["]),
        (
            "include",
            "include = 'grade < today()'",
            &["no function today()", "today is a value", "without the brackets"],
        ),
        ("", "title = { cel = 'concat(first_name, last_name)' }", &["no function concat()", "joined by a plus"]),
        ("", "title = { cel = 'grade + 1' }", &["adds text and a number", "int(grade) + …"]),
    ]);
}

#[test]
fn a_file_that_is_no_toml() {
    all_told(&[
        ("kind = \"csv\"", "kind = csv", &[":4: not valid TOML", "no quotes", "kind = \"csv\""]),
        ("path = \"hr", "path = \"C:\\users\\hr.csv\"", &[":5:", "backslash", "path = 'C:\\users\\hr.csv'"]),
        ("[syncs.staff]", "[syncs.staff", &[":13:", "`]` is missing", "write [syncs.staff]"]),
        (
            "include",
            "include = 'status == 'active''",
            &[":16:", "second single quote", "double quotes inside single ones"],
        ),
        ("key", "key = \"a\"\nkey = \"b\"", &[":7:", "`key` stands here a second time", "line 6", "keep one"]),
        (
            "auth",
            "auth = {\n kind = \"bearer\"\n token = { file = \"x\" } }",
            &["comma is missing", "{ kind = \"bearer\", token"],
        ),
        ("match", "match = [\"email\"", &[":17:", "`match` is not closed"]),
        ("path = \"hr", "path: \"hr.csv\"", &[":5:", "YAML", "path = "]),
    ]);
    // What may be a secret is not shown.
    let ran = home(&with("auth", "auth = { kind = \"bearer\", token = hunter2 }")).run(&["check"]).exits(78);
    assert!(!said(&ran).contains("hunter2") && said(&ran).contains(":10: not valid TOML"), "{}", ran.stdout);
}

/// A variable is blamed by its name, and never the file.
#[test]
fn settings_of_the_environment() {
    for (name, value, parts) in [
        ("ROSTERD_TARGETS__JUNO__RAET", "5/s", &["unknown key `raet`", "did you mean `rate`?"][..]),
        ("ROSTERD_TARGETS__JUNO__RATE", "5 per second", &["is not a rate", "10/s"]),
        ("ROSTERD_TARGETS__JUNO__CONCURRENCY", "many", &["a whole number", "concurrency = 8"]),
        ("ROSTERD_TARGETS__JUNO__RATE__X", "5/s", &["targets.juno.rate", "not a table"]),
        (
            "ROSTERD_TARGETS__JUNE__RATE",
            "5/s",
            &["no file of the configuration has a target \"june\"", "did you mean `juno`?"],
        ),
        ("ROSTERD_SYNCS__STAF__TIMEZONE", "UTC", &["has a sync \"staf\"", "did you mean `staff`?"]),
        ("ROSTERD_SOURCES__HRR__KEY", "id", &["has a source \"hrr\"", "did you mean `hr`?"]),
        ("ROSTERD_TARGETS_JUNO_RATE", "5/s", &["two underscores"]),
        ("ROSTERD_SYNCS__STAFF__MAP__EMIAL", "email", &["no field emial", "did you mean `email`?"]),
        ("ROSTERD_SYNCS__STAFF__INCLUDE", "status", &["true or false is needed"]),
    ] {
        let home = home(RIGHT);
        let ran = Ran::of(&home.command(&["check"]).env(name, value).output().expect("the binary runs")).exits(78);
        let said = said(&ran);
        assert!(said.contains(&format!("error: environment {name}: ")), "{}", ran.stdout);
        assert!(!said.contains("rosterd.toml:"), "the file is blamed: {}", ran.stdout);
        assert!(said.contains("1 error in") && said.contains("and the environment."), "{}", ran.stdout);
        for part in parts {
            assert!(said.contains(part), "{name}: {part:?} is not in:\n{}", ran.stdout);
        }
    }
    // A target that variables alone make is a target.
    let home = home(RIGHT);
    let mut command = home.command(&["check"]);
    for (key, value) in [("KIND", "juno"), ("BASE_URL", "https://acme.example.com/api"), ("AUTH__KIND", "bearer")] {
        command.env(format!("ROSTERD_TARGETS__MORE__{key}"), value);
    }
    command.env("ROSTERD_TARGETS__MORE__AUTH__TOKEN__FILE", home.path().join("config/juno.token"));
    Ran::of(&command.output().expect("the binary runs")).exits(0);
}

/// An address where nobody is: the key, where it stands, the address, what to check.
#[test]
fn a_target_that_does_not_answer() {
    // The port of a listener that is gone: nobody else gets it so soon.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let home = home(&with("base_url", &format!("base_url = \"http://127.0.0.1:{port}/juno/api\"")));
    let ran = home.run(&["check", "--connect"]).exits(69);
    let said = said(&ran);
    for part in [
        "rosterd.toml:9: targets.juno.base_url: target juno can't be reached",
        &format!("nothing listens at 127.0.0.1:{port}"),
        &format!("targets.juno.base_url, http://127.0.0.1:{port}/juno/api"),
    ] {
        assert!(said.contains(part), "{part:?} is not in:\n{}", ran.stdout);
    }
    let found = home.run_json(&["check", "--connect"]).exits(69).json();
    assert_eq!((&found["errors"][0]["line"], &found["errors"][0]["key"]), (&9.into(), &"targets.juno.base_url".into()));
}

/// A text where a number belongs: the person, the line, the column, what to write; never the text.
#[test]
fn a_text_in_a_field_of_numbers() {
    let home = home(&with("", "account_level = \"grade\""));
    let ran = home.run(&["check", "--connect"]);
    let said = said(&ran);
    for part in ["E1 is rejected", "account_level must be a whole number", "column grade", "help: ", "cel = 'grade == "]
    {
        assert!(said.contains(part), "{part:?} is not in:\n{}", ran.stdout);
    }
    assert!(!said.contains("ann@acme.com"), "{}", ran.stdout);
}

/// The most usual trouble with a file: another delimiter.
#[test]
fn a_file_with_another_delimiter() {
    let home = home(RIGHT);
    home.write("config/hr.csv", &PEOPLE.replace(',', ";"));
    let ran = home.run(&["plan"]).exits(65);
    assert!(said(&ran).contains("Write delimiter = \";\"") && !said(&ran).contains("did you mean"), "{}", ran.stdout);
}

#[test]
fn a_secret_that_is_missing_has_its_line() {
    let ran =
        home(&with("auth", "auth = { kind = \"bearer\", token = { file = \"nope\" } }")).run(&["check"]).exits(78);
    assert!(said(&ran).contains("rosterd.toml:10: targets.juno.auth"), "{}", ran.stdout);
    let ran = home(&with("auth", "auth = { kind = \"bearer\", token = \"juno.token\" }")).run(&["check"]).exits(0);
    assert!(said(&ran).contains("warning:") && said(&ran).contains("the name of a file"), "{}", ran.stdout);
}

/// What is right is not complained of.
#[test]
fn right_configurations_stay_without_a_word() {
    for (begin, line) in [
        ("rate", "rate = \"10/s\""),
        ("rate", "timeout = \"30s\""),
        ("include", "include = 'int(grade) > 5 && status in [\"a\", \"b\"]'"),
        ("include", "include = 'grade != \"\" && size(grade) > 1'"),
        ("include", "include = 'string(1) + grade == \"15\"'"),
        ("match", "schedule = \"0 0 23 31 dec ?\""),
        ("match", "timezone = \"America/Argentina/Buenos_Aires\""),
        ("", "\"dimensions.101\" = \"grade\""),
        ("", "title = { cel = 'grade + \" grade\"' }"),
        ("auth", "auth = { kind = \"bearer\", token = \"a literal one\" }"),
    ] {
        let found = home(&with(begin, line)).run_json(&["check"]).exits(0).json();
        assert_eq!((&found["errors"], &found["warnings"]), (&serde_json::json!([]), &serde_json::json!([])), "{line}");
    }
}

/// A warning of the configuration is one line of the log, and what to do is a field of it.
#[test]
fn a_warning_in_the_log_is_one_line_with_its_remedy() {
    let home = home(&with("match", "match = [\"email\"]\nrelease_on_ban = [\"title\"]"));
    for format in ["text", "json"] {
        let said = home.run(&["--log-format", format, "plan"]).stderr;
        let line = said.lines().find(|line| line.contains("nobody waits for it")).unwrap_or_default();
        assert!(line.contains("take it out, or name a field"), "{format}:\n{said}");
        assert!(!said.contains("\\n"), "{format}:\n{said}");
        if format == "json" {
            let event: serde_json::Value = serde_json::from_str(line).expect("one object a line");
            assert!(event["help"].as_str().is_some_and(|help| help.starts_with("take it out")), "{event}");
        }
    }
    // For people `check` has the remedy on a line of its own, as ever.
    let checked = home.run(&["check"]);
    assert!(checked.stdout.contains("\n   help: take it out"), "{}", checked.stdout);
}
