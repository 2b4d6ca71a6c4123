//! `rosterd init`: from odd exports in four languages, for every target, to a first sync; and what it refuses.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use encoding_rs::WINDOWS_1252;
use serde_json::{Value, json};

use crate::support::{Home, Ran, Sim};

/// A home with an export, and a platform.
struct Desk {
    sim: Sim,
    home: Home,
}

impl Desk {
    fn new() -> Desk {
        Desk { sim: Sim::start(), home: Home::empty() }
    }

    fn export(&self, name: &str, bytes: &[u8]) {
        fs::write(self.home.path().join(name), bytes).expect("an export");
    }

    fn base_url(&self, kind: &str) -> String {
        let path = match kind {
            "juno" => "juno/api",
            "scim" => "scim/v2",
            other => other,
        };
        format!("{}/{path}", self.sim.url())
    }

    /// `init` of this export, for this kind, into `config/`.
    fn init(&self, source: &str, kind: &str, more: &[&str]) -> Ran {
        let base_url = self.base_url(kind);
        let fixed = ["init", "--source", source, "--target", kind, "--base-url", &base_url, "--out", "config", "--yes"];
        self.home.run(&[&fixed[..], more].concat())
    }

    fn written(&self) -> String {
        fs::read_to_string(self.home.config()).expect("a configuration")
    }

    fn nothing_is_written(&self) {
        let left: Vec<_> = fs::read_dir(self.home.path().join("config")).expect("config/").collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

fn utf16(text: &str) -> Vec<u8> {
    [0xFEFF].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

const ENGLISH: &str = "Employee #;Work Email;Status;Hire Date;Manager Email\r\n\
    00017;Ann@Acme.example;Active;01.02.2020;boss@acme.example\r\n\
    00018; Bo@acme.example ;On Leave;13.02.2020;boss@acme.example\r\n\
    00019;cy@acme.example;Terminated;01.02.2019;boss@acme.example\r\n";

const GERMAN: &str = "Personalnummer;Vorname;Nachname;E-Mail;Status;Eintrittsdatum;Austrittsdatum\n\
    17;Jörg;Müller;joerg@acme.example;aktiv;2020-02-01;\n\
    18;Zoë;Straße;zoe@acme.example;aktiv;2020-02-01;9999-12-31\n\
    19;Cy;Alt;cy@acme.example;ausgeschieden;2019-02-01;2020-01-31\n";

const FRENCH: &str = "Matricule|Prénom|Nom|Courriel|Statut|Date d'entrée\n\
    17|Zoé|Dupont|zoe@acme.example|Actif|01/02/2020\n\
    18|Léa|Brun|lea@acme.example|En congé|13/02/2020\n\
    19|Cy|Noir|cy@acme.example|Inactif|01/02/2019\n";

const SPANISH: &str = "Número de empleado\tNombre\tApellidos\tCorreo electrónico\tEstado\n\
    17\tAna\tPaz Ruiz\tana@acme.example\tActivo\n\
    18\tLuz\tSol\tluz@acme.example\tactivo\n\
    19\tCy\tNo\tcy@acme.example\tBaja\n";

/// Two of three people, whatever language, encoding and target.
#[test]
fn exports_of_four_languages_come_to_a_first_sync_on_every_target() {
    let marked = |text: &str| [b"\xEF\xBB\xBF".as_slice(), text.as_bytes()].concat();
    let western = |text: &str| WINDOWS_1252.encode(text).0.into_owned();
    for (n, (bytes, kind)) in [
        (western(ENGLISH), "juno"),
        (western(GERMAN), "longjump"),
        (utf16(FRENCH), "scim"),
        (marked(SPANISH), "juicebox"),
        (marked(GERMAN), "juno"),
        (FRENCH.as_bytes().to_vec(), "juno"),
        (SPANISH.as_bytes().to_vec(), "scim"),
        (ENGLISH.as_bytes().to_vec(), "juicebox"),
        (utf16(SPANISH), "longjump"),
    ]
    .into_iter()
    .enumerate()
    {
        let desk = Desk::new();
        desk.export("people.csv", &bytes);
        let ran = desk.init("people.csv", kind, &[]).exits(0);
        assert!(ran.stdout.contains("cannot read the secret file"), "{n} {kind}: {}", ran.stdout);
        assert!(ran.stdout.contains("1 error in"), "the secret is all that is missing: {}", ran.stdout);
        desk.home.secret(&format!("config/{kind}.token"), "sandbox\n");
        let checked = desk.home.run_json(&["check"]).exits(0).json();
        assert_eq!(checked, json!({ "ok": true, "errors": [], "warnings": [] }), "{n} {kind}");
        assert_eq!(desk.home.run_json(&["test"]).exits(0).json()["passed"], 2, "{n} {kind}");
        let planned = desk.home.run_json(&["plan"]).exits(0).json();
        let plan = &planned["syncs"][0];
        assert_eq!((&plan["excluded"], &plan["counts"]), (&json!(1), &json!({ "create": 2 })), "{n} {kind}: {planned}");
        assert_eq!(plan["rejected"], json!([]), "{n} {kind}");
        desk.home.run_json(&["sync"]).exits(0);
        assert_eq!(desk.home.run_json(&["plan", "--detailed-exitcode"]).exits(0).code, 0, "{n} {kind}: in step");
    }
}

/// Three hundred people, of whom every tenth has left and every twenty-fifth is on leave; with names or without.
fn three_hundred(names: bool) -> Vec<u8> {
    let header = ["Employee #", "First Name", "Last Name", "Work Email", "Status", "Hire Date", "Manager Email"];
    let kept = |cells: [&str; 7]| {
        let cells = cells.iter().enumerate().filter(|(n, _)| names || !(1..3).contains(n));
        cells.map(|(_, cell)| *cell).collect::<Vec<_>>().join(";") + "\r\n"
    };
    let mut text = kept(header);
    for n in 1..=300 {
        let (first, last) = ([("Zoë"), ("Jörg"), ("François")][n % 3], ["Größl", "Núñez", "Åkesson"][n % 7 % 3]);
        let (key, day) = (format!("{n:05}"), format!("{:02}.{:02}.{}", n % 28 + 1, n % 12 + 1, 2000 + n % 25));
        let status = if n % 10 == 0 {
            "Terminated"
        } else if n % 25 == 1 {
            "On Leave"
        } else {
            "Active"
        };
        text += &kept([&key, first, last, &format!("Person{n}@Acme.example"), status, &day, "boss@acme.example"]);
    }
    WINDOWS_1252.encode(&text).0.into_owned()
}

#[test]
fn three_hundred_people_are_planned_for_every_target_and_missing_names_are_spoken_of() {
    for (kind, first_name) in
        [("juno", "first_name"), ("juicebox", "first_name"), ("longjump", "first_name"), ("scim", "name.givenName")]
    {
        for names in [true, false] {
            let desk = Desk::new();
            desk.export("people.csv", &three_hundred(names));
            let ran = desk.init("people.csv", kind, &[]).exits(0);
            assert_eq!(ran.stdout.contains(&format!("--map {first_name}=COLUMN")), !names, "{kind}: {}", ran.stdout);
            let text = desk.written();
            assert_eq!(text.contains(&format!("label = [\"{first_name}\"")), names, "{kind}: {text}");
            assert_eq!(text.contains("No column of names is known"), !names, "{kind}: {text}");
            assert!(
                text.contains(r#"in ["active", "on leave"]"#) && text.contains(r#""%d.%m.%Y") <= today"#),
                "{text}"
            );
            desk.home.secret(&format!("config/{kind}.token"), "sandbox\n");
            desk.home.run(&["test"]).exits(0);
            let planned = desk.home.run_json(&["plan"]).exits(0).json();
            let plan = &planned["syncs"][0];
            assert_eq!((&plan["excluded"], &plan["counts"]), (&json!(30), &json!({ "create": 270 })), "{kind}");
            let label = plan["operations"][0]["label"].as_str().expect("a label");
            assert_eq!(label.contains("Jörg"), names, "{kind}: {label}");
            assert!(names || label.contains("person1@acme.example"), "{kind}: {label}");
        }
    }
}

#[test]
fn names_that_are_left_out_on_purpose_are_not_spoken_of() {
    let desk = Desk::new();
    desk.export("people.csv", &three_hundred(false));
    let ran = desk.init("people.csv", "juno", &["--map", "first_name=", "--map", "last_name="]).exits(0);
    assert!(!ran.stdout.contains("accounts are made without"), "{}", ran.stdout);
    desk.export("whole.csv", b"id;mail;Name\n1;a@x.example;Ann Maria Ash\n2;b@x.example;Bo Ben\n");
    std::fs::remove_file(desk.home.config()).expect("removed");
    let ran = desk.init("whole.csv", "juno", &[]).exits(0);
    assert!(ran.stdout.contains("Name holds whole names"), "{}", ran.stdout);
}

#[test]
fn what_is_mapped_is_what_the_export_says() {
    let desk = Desk::new();
    desk.export("people.csv", WINDOWS_1252.encode(GERMAN).0.as_ref());
    desk.init("people.csv", "juno", &[]).exits(0);
    desk.home.secret("config/juno.token", "sandbox\n");
    desk.home.run(&["sync"]).exits(0);
    let user = desk.sim.user("17").expect("created");
    for (field, value) in [("first_name", "Jörg"), ("last_name", "Müller"), ("email", "joerg@acme.example")] {
        assert_eq!(user[field], value, "{user}");
    }
    let text = desk.written();
    let include = r#"include = 'Status.trim().lowerAscii() == "aktiv" && (Austrittsdatum.trim() == "" || Austrittsdatum >= today)'"#;
    for part in [include, "key = \"Personalnummer\"", "path = \"../people.csv\"", "match = [\"email\"]", "windows-1252"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let mode = fs::metadata(desk.home.config()).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!text.contains("Jörg") && !text.contains("joerg"), "nobody's values stand in it: {text}");
}

#[test]
fn odd_headers_and_rows_are_configured_all_the_same() {
    let cases: &[(&str, &str, &[&str], usize)] = &[
        // Quotes, backslashes, line breaks, equals signs in names.
        (
            "\"Emp \"\"ID\"\"\",\"E\\Mail\",\"Sta\ntus\"\nE1,a@x.example,active\n",
            "E1",
            &["--key", "Emp \"ID\"", "--map", "email=E\\Mail"],
            1,
        ),
        ("id,mail\n1,a@x.example\n", "1", &[], 1),
        ("mail\na@x.example\nb@x.example\n", "a@x.example", &[], 2),
        ("id,mail,x,x,,\n1,a@x.example,a,b,c,d\n", "1", &[], 1),
        ("sep=;\r\nid;mail\r\n1;a@x.example\r\n", "1", &[], 1),
        ("\"id\";\"mail\"\n\"1\";\"a@x.example\"\n", "1", &[], 1),
        ("id;mail;status\n1;a@x.example;zombie\n2;b@x.example;ghost\n", "1", &[], 2),
        ("id;mail;status\n1;a@x.example;x\n", "1", &["--include", "status == \"y\""], 0),
        ("in,mail,today\n1,a@x.example,active\n", "1", &["--key", "in", "--map", "title=today"], 1),
        ("ref,Kontakt\nR-1,a@x.example\nR-2,b@x.example\n", "R-1", &[], 2),
        ("id,mail\r1,a@x.example\r2,b@x.example\r", "1", &[], 2),
        ("Name,id,mail\n\"Ash, Ann\",1,a@x.example\n\"Bo, Ben\",2,b@x.example\n", "1", &[], 2),
        ("id,mail,points\n1,a@x.example,7\n", "1", &["--map", "points=points"], 1),
    ];
    for (text, key, more, people) in cases {
        let desk = Desk::new();
        desk.export("people.csv", text.as_bytes());
        desk.init("people.csv", "juno", more).exits(0);
        desk.home.secret("config/juno.token", "sandbox\n");
        desk.home.run(&["check"]).exits(0);
        desk.home.run(&["test"]).exits(0);
        let planned = desk.home.run_json(&["plan"]).exits(0).json();
        let operations = planned["syncs"][0]["operations"].as_array().cloned().unwrap_or_default();
        assert_eq!(operations.len(), *people, "{text}: {planned}");
        assert!(*people == 0 || operations.iter().any(|operation| operation["key"] == *key), "{text}: {planned}");
    }
}

#[test]
fn names_in_one_column_are_taken_apart_at_the_comma() {
    let desk = Desk::new();
    desk.export("people.csv", b"Name,id,mail\n\"Ash, Ann\",1,a@x.example\n\"Bo, Ben\",2,b@x.example\n");
    desk.init("people.csv", "juno", &[]).exits(0);
    desk.home.secret("config/juno.token", "sandbox\n");
    desk.home.run(&["sync"]).exits(0);
    let user = desk.sim.user("1").expect("created");
    assert_eq!((&user["first_name"], &user["last_name"]), (&json!("Ann"), &json!("Ash")));
    assert!(desk.written().contains("is included"), "{}", desk.written());
}

#[test]
fn json_in_a_file_and_behind_an_address_is_read() {
    let people = r#"{"employees":[{"id":1,"name":{"first":"Ann","last":"Ash"},"email":"a@x.example","active":true},
        {"id":2,"name":{"first":"Bo","last":"Ben"},"email":"b@x.example","active":false}]}"#;
    let lines = "{\"id\":\"1\",\"email\":\"a@x.example\",\"status\":\"active\"}\n{\"id\":\"2\",\"email\":\"b@x.example\",\"status\":\"left\"}\n";
    for (name, text) in [("people.json", people), ("people.ndjson", lines)] {
        let desk = Desk::new();
        desk.export(name, text.as_bytes());
        desk.init(name, "juno", &[]).exits(0);
        desk.home.secret("config/juno.token", "sandbox\n");
        desk.home.run(&["test"]).exits(0);
        let planned = desk.home.run_json(&["plan"]).exits(0).json();
        assert_eq!(planned["syncs"][0]["counts"], json!({ "create": 1 }), "{name}: {planned}");
    }
    // Somebody without a name: `name` is still an object, and its fields are the columns.
    let desk = Desk::new();
    let nameless = people.replace(r#"{"first":"Bo","last":"Ben"}"#, "null").replace(r#","last":"Ash""#, "");
    desk.export("people.json", nameless.as_bytes());
    desk.init("people.json", "juno", &[]).exits(0);
    let text = desk.written();
    assert!(text.contains("first_name = \"name.first\"") && !text.contains("= \"name\""), "{text}");
    desk.home.secret("config/juno.token", "sandbox\n");
    desk.home.run(&["test"]).exits(0);
    // The sandbox's own list of users will do as an export.
    let desk = Desk::new();
    desk.sim.seed_in("scim", json!([{"externalId": "S1", "userName": "s1@x.example", "active": true}]));
    let url = format!("{}/_sandbox/users?target=scim", desk.sim.url());
    desk.init(&url, "juno", &["--key", "externalId", "--map", "email=userName"]).exits(0);
    desk.home.secret("config/juno.token", "sandbox\n");
    desk.home.run(&["check"]).exits(0);
    let planned = desk.home.run_json(&["plan"]).exits(0).json();
    assert_eq!(planned["syncs"][0]["counts"], json!({ "create": 1 }), "{planned}");
}

#[test]
fn an_address_that_wants_a_token_or_has_pages_is_asked_as_told() {
    let desk = Desk::new();
    let users: Vec<Value> = (1..=5)
        .map(|n| json!({"externalId": format!("S{n}"), "userName": format!("s{n}@x.example"), "active": true}))
        .collect();
    desk.sim.seed_in("scim", json!(users));
    let url = format!("{}/scim/v2/Users?count=2", desk.sim.url());
    let columns = ["--key", "externalId", "--map", "email=userName"];
    let refused = desk.init(&url, "juno", &columns).exits(77);
    assert!(
        refused.stderr.contains("--source-token-file") && !refused.stderr.contains("count=2"),
        "{}",
        refused.stderr
    );
    desk.home.secret("token", "sandbox");
    let paging = "{ kind = \"offset\", param = \"startIndex\", start = 1 }";
    let told =
        [&columns[..], &["--source-token-file", "token", "--pagination", paging, "--token-file", "token"]].concat();
    desk.init(&url, "juno", &told).exits(0);
    let text = desk.written();
    assert!(text.contains("auth = { kind = \"bearer\", token = { file = \"../token\" } }"), "{text}");
    assert!(text.contains("start = 1 }"), "{text}");
    fs::remove_file(desk.home.config()).expect("removed");
    // A page of several, and nothing said of the others: it is told how to say it.
    let alone = [&columns[..], &["--source-token-file", "token", "--token-file", "token"]].concat();
    let page = desk.init(&url, "juno", &alone).exits(65);
    assert!(page.stderr.contains("--pagination"), "{}", page.stderr);
    desk.init(&url.replace("count=2", "count=10"), "juno", &alone).exits(0);
    let planned = desk.home.run_json(&["plan"]).exits(0).json();
    assert_eq!(planned["syncs"][0]["counts"], json!({ "create": 5 }), "{planned}");
    fs::remove_file(desk.home.config()).expect("removed");
    let open = ["--source-token-file", "token"];
    let clear = desk.init("http://hr.example.com/people", "juno", &open);
    assert_eq!(clear.code, 64, "{}", clear.stderr);
    for wrong in ["page", "1", "{ kind = \"page\" }\nrate = 1", "{"] {
        desk.init(&url, "juno", &["--pagination", wrong]).exits(64);
    }
}

#[test]
fn what_can_not_be_configured_is_refused_with_the_reason_and_nothing_is_written() {
    let wide = "id;mail\n1;a@x.example\n";
    let cases: &[(&[u8], &[&str], i32, &str)] = &[
        (b"", &[], 65, "it is empty"),
        (b"id;mail\n", &[], 65, "no row below"),
        (b"E1;a@x.example\nE2;b@x.example\n", &[], 65, "looks like a person"),
        (b"PK\x03\x04rest", &[], 65, "spreadsheet"),
        (b"<html><body>log in</body></html>", &[], 65, "HTML"),
        (b"[]", &[], 65, "no list of records"),
        (b"city;country\nX;Y\nX;Y\n", &[], 64, "--key COLUMN"),
        (b"id;city\n1;X\n", &[], 64, "--map email=COLUMN"),
        (b"id;mail;mail\n1;a@x.example;\n", &[], 64, "\"mail\": another column has the same name"),
        (b"id;id;mail\n1;1;a@x.example\n", &["--key", "id"], 64, "another column has the same name"),
        (wide.as_bytes(), &["--key", "idd"], 64, "did you mean"),
        (wide.as_bytes(), &["--map", "titel=id"], 64, "did you mean"),
        (wide.as_bytes(), &["--map", "title=nobody"], 64, "has no column"),
        (wide.as_bytes(), &["--map", "banned=id"], 64, "can't be written"),
        (wide.as_bytes(), &["--include", "status = 1"], 78, "include"),
        (wide.as_bytes(), &["--include", "nope == \"1\""], 65, "nope"),
        (wide.as_bytes(), &["--sync", "No Name"], 64, "small letter"),
        (wide.as_bytes(), &["--option", "colour=1"], 64, "no option"),
        (wide.as_bytes(), &["--encoding", "utf-9"], 64, "is not an encoding"),
        (b"id;mail\n1;\"a@x.example\n2;b\n", &["--key", "id", "--map", "email=mail"], 65, "quote"),
    ];
    for (bytes, more, code, part) in cases {
        let desk = Desk::new();
        desk.export("people.csv", bytes);
        let ran = desk.init("people.csv", "juno", more).exits(*code);
        assert!(
            ran.stderr.contains(part) && (ran.stderr.contains("help:") || ran.stderr.contains("--help")),
            "{part}: {}",
            ran.stderr
        );
        desk.nothing_is_written();
    }
    let desk = Desk::new();
    let missing = desk.init("nowhere.csv", "juno", &[]).exits(69);
    assert!(missing.stderr.contains("does not exist"), "{}", missing.stderr);
    let away = desk.init(&format!("{}/nowhere", desk.sim.url()), "juno", &[]).exits(69);
    assert!(away.stderr.contains("HTTP 404"), "{}", away.stderr);
    desk.init("http://127.0.0.1:9/people", "juno", &[]).exits(69);
    desk.init("-", "juno", &[]).exits(64);
    desk.init("config", "juno", &[]).exits(65);
    desk.export("people.csv", wide.as_bytes());
    let kind = desk.home.run(&["init", "--source", "people.csv", "--target", "junoo", "--out", "config"]).exits(64);
    assert!(kind.stderr.contains("did you mean juno?"), "{}", kind.stderr);
    for (args, option) in [
        (&["init"][..], "--source"),
        (&["init", "--source", "people.csv"], "--target"),
        (&["init", "--source", "people.csv", "--target", "juno"], "--base-url"),
        (
            &["init", "--source", "people.csv", "--target", "longjump", "--base-url", "https://x.example.com", "--yes"],
            "--option",
        ),
        (
            &[
                "init",
                "--source",
                "people.csv",
                "--target",
                "longjump",
                "--base-url",
                "https://x.example.com",
                "--option",
                "team_id=1",
                "--option",
                "access_profile_id=3",
            ],
            "--username",
        ),
    ] {
        let ran = desk.home.run(&[args, &["--out", "config"]].concat()).exits(64);
        assert!(ran.stderr.contains(option), "{args:?}: {}", ran.stderr);
    }
    desk.nothing_is_written();
}

#[test]
fn nothing_is_overwritten() {
    let desk = Desk::new();
    desk.export("people.csv", ENGLISH.as_bytes());
    desk.home.write("config/rosterd.toml", "mine");
    let ran = desk.init("people.csv", "juno", &[]).exits(64);
    assert!(ran.stderr.contains("is there already"), "{}", ran.stderr);
    assert_eq!(desk.written(), "mine");
    fs::remove_file(desk.home.config()).expect("removed");
    std::os::unix::fs::symlink("/nowhere/at/all", desk.home.config()).expect("a link");
    desk.init("people.csv", "juno", &[]).exits(64);
}

#[test]
fn without_an_address_it_is_the_sandbox_and_that_is_said() {
    let desk = Desk::new();
    desk.export("people.csv", ENGLISH.as_bytes());
    for (kind, url) in [
        ("juno", "http://127.0.0.1:8480/juno/api"),
        ("juicebox", "http://127.0.0.1:8480/juicebox"),
        ("longjump", "http://127.0.0.1:8480/longjump"),
        ("scim", "http://127.0.0.1:8480/scim/v2"),
    ] {
        let out = format!("new/{kind}");
        let args = ["init", "--source", "people.csv", "--target", kind, "--yes", "--out", &out];
        let ran = desk.home.run(&args).exits(0);
        assert!(ran.stdout.contains(&format!("no --base-url is given: it is the sandbox on this machine, {url}")));
        assert!(ran.stdout.contains("printf sandbox > "), "how the secret is stored: {}", ran.stdout);
        let text = fs::read_to_string(desk.home.path().join(&out).join("rosterd.toml")).expect("written");
        assert!(text.contains(&format!("base_url = \"{url}\"")) && text.contains("# This is the sandbox"), "{text}");
        assert!(text.contains("path = \"../../people.csv\""), "{text}");
    }
}

#[test]
fn secrets_are_where_they_are_said_to_be() {
    let desk = Desk::new();
    desk.export("people.csv", ENGLISH.as_bytes());
    desk.home.secret("keys/juno", "sandbox");
    let ran = desk.init("people.csv", "juno", &["--token-file", "keys/juno"]).exits(0);
    assert!(ran.stdout.contains("is right: 1 source"), "check passes: {}", ran.stdout);
    assert!(desk.written().contains("token = { file = \"../keys/juno\" }"), "{}", desk.written());
    fs::remove_file(desk.home.config()).expect("removed");
    let ran = desk.init("people.csv", "juno", &["--token-env", "JUNO_KEY"]).exits(0);
    assert!(ran.stdout.contains("set the environment variable JUNO_KEY"), "{}", ran.stdout);
    desk.home.run(&["check"]).exits(78);
    let mut command = desk.home.command(&["check"]);
    assert!(command.env("JUNO_KEY", "sandbox").output().expect("it runs").status.success());
}

#[test]
fn a_packed_export_is_read() {
    let desk = Desk::new();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packer, ENGLISH.as_bytes()).expect("into memory");
    desk.export("people.csv.gz", &packer.finish().expect("into memory"));
    desk.init("people.csv.gz", "juno", &[]).exits(0);
    desk.home.secret("config/juno.token", "sandbox\n");
    desk.home.run(&["plan"]).exits(0);
}

#[test]
fn the_accounts_of_a_target_are_an_export_to_begin_from() {
    for (kind, accounts, key) in [
        (
            "juno",
            json!([{"client_id": "E1", "email": "a@x.example", "first_name": "=1+1", "last_name": "Ash, \"A\""},
                   {"client_id": "E2", "email": "b@x.example", "banned": true}, {"email": "c@x.example"}]),
            "client_id",
        ),
        ("scim", json!([{"externalId": "S1", "userName": "s1@x.example", "active": true}]), "externalId"),
    ] {
        let desk = Desk::new();
        desk.sim.seed_in(kind, accounts);
        desk.home.secret("token", "sandbox");
        let base_url = desk.base_url(kind);
        let args = [
            "init",
            "--from-target",
            "--target",
            kind,
            "--base-url",
            &base_url,
            "--token-file",
            "token",
            "--out",
            "config",
        ];
        let ran = desk.home.run(&args).exits(0);
        let path = desk.home.path().join(format!("config/{kind}.csv"));
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(&path).expect("text");
        assert!(text.starts_with(key), "{text}");
        let again = desk.home.run(&args).exits(64);
        assert!(again.stderr.contains("is there already"), "{}", again.stderr);
        let writes = desk.sim.requests().into_iter().filter(|request| request.write).count();
        assert_eq!(writes, 0, "nothing is written there");
        if kind != "juno" {
            continue;
        }
        assert!(text.contains(",=1+1,") && text.contains(",\"Ash, \"\"A\"\"\","), "{text}");
        assert!(
            ran.stdout.contains("3 accounts") && ran.stdout.contains("1 account has no client_id"),
            "{}",
            ran.stdout
        );
        assert!(ran.stdout.contains("begin with ="), "{}", ran.stdout);
        // What it wrote is an export like any other: nobody changes.
        desk.init("config/juno.csv", kind, &["--token-file", "token"]).exits(0);
        let planned = desk.home.run_json(&["plan"]).exits(0).json();
        let plan = &planned["syncs"][0];
        assert_eq!((&plan["excluded"], &plan["counts"]["create"]), (&json!(1), &Value::Null), "{planned}");
    }
}

#[test]
fn the_targets_of_a_configuration_can_be_begun_from_too() {
    let desk = Desk::new();
    desk.sim.seed(json!([{"client_id": "E1", "email": "a@x.example"}]));
    desk.export("people.csv", ENGLISH.as_bytes());
    desk.home.secret("token", "sandbox");
    desk.init("people.csv", "juno", &["--token-file", "token"]).exits(0);
    desk.home.run(&["init", "--from-target", "--out", "there"]).exits(0);
    assert!(desk.home.path().join("there/juno.csv").exists());
    let ran = desk.home.run(&["init", "--from-target", "--target", "scim", "--out", "elsewhere"]).exits(64);
    assert!(ran.stderr.contains("--target NAME"), "{}", ran.stderr);
    assert!(!desk.home.path().join("elsewhere").exists());
}
