//! REST by definition: the worked example, `config/people-api.toml`, against a server of its API; and the samples of
//! the other targets, as they stand.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::{Value, json};

use super::{ANN, BOB, HEADER};
use crate::support::{Home, Sim};

/// The People API, as the comments in its definition tell it: people by uid, and the requests that were made.
#[derive(Default)]
struct People {
    all: BTreeMap<u64, Value>,
    last: u64,
    asked: Vec<String>,
}

type Shared = Arc<Mutex<People>>;

fn problem(status: StatusCode, code: &str, field: &str) -> (StatusCode, String) {
    (status, json!({"problems": [{"code": code, "field": field, "value": "Ann Private"}]}).to_string())
}

async fn serve(
    State(people): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let mut people = people.lock().expect("the people");
    people.asked.push(format!("{method} {}", uri.path()));
    if headers.get("x-api-key").and_then(|v| v.to_str().ok()) != Some("sandbox") {
        return problem(StatusCode::UNAUTHORIZED, "no_key", "");
    }
    let query: BTreeMap<String, String> =
        url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let path: Vec<&str> = uri.path().split('/').skip(1).collect();
    let sent: Value = serde_json::from_slice(&body).unwrap_or_default();
    match (method.as_str(), path.as_slice()) {
        ("GET", ["v3", "people"]) => people.search(&query),
        ("POST", ["v3", "sites", "hq", "people"]) if sent["source"] == "hr" => people.put(None, &sent["person"]),
        ("GET", ["v3", "people", uid]) => people.shown(uid),
        ("DELETE", ["v3", "people", uid]) => match uid.parse().ok().and_then(|uid: u64| people.all.remove(&uid)) {
            Some(_) => (StatusCode::NO_CONTENT, String::new()),
            None => problem(StatusCode::NOT_FOUND, "no_person", ""),
        },
        ("PUT", ["v3", "people", uid]) => people.put(uid.parse().ok(), &sent["person"]),
        ("POST", ["v3", "people", uid, to @ ("enable" | "disable")]) if body.is_empty() => {
            match uid.parse().ok().and_then(|uid: u64| people.all.get_mut(&uid)) {
                Some(person) => {
                    person["status"] = json!(format!("{to}d"));
                    (StatusCode::NO_CONTENT, String::new())
                }
                None => problem(StatusCode::NOT_FOUND, "no_person", ""),
            }
        }
        _ => problem(StatusCode::BAD_REQUEST, "no_such_thing", ""),
    }
}

impl People {
    fn shown(&self, uid: &str) -> (StatusCode, String) {
        match uid.parse().ok().and_then(|uid: u64| self.all.get(&uid)) {
            Some(person) => (StatusCode::OK, json!({"person": person}).to_string()),
            None => problem(StatusCode::NOT_FOUND, "no_person", ""),
        }
    }

    fn search(&self, query: &BTreeMap<String, String>) -> (StatusCode, String) {
        let text = |person: &Value, name: &str| {
            let name = if name == "staff_no" { "staffNo" } else { name };
            person[name].as_str().unwrap_or_default().to_string()
        };
        let wanted = query.get("where").and_then(|filter| filter.split_once('='));
        let fits = |person: &&Value| {
            wanted.is_none_or(|(name, value)| format!("'{}'", text(person, name).replace('\'', "''")) == value)
        };
        let found: Vec<&Value> = self.all.values().filter(fits).collect();
        let number = |name: &str, default: usize| query.get(name).and_then(|n| n.parse().ok()).unwrap_or(default);
        let page: Vec<&&Value> = found.iter().skip(number("from", 0)).take(number("limit", 50).min(3)).collect();
        (StatusCode::OK, json!({"found": found.len(), "people": page}).to_string())
    }

    /// Replaces everything of a person; access is switched elsewhere and stays.
    fn put(&mut self, uid: Option<u64>, person: &Value) -> (StatusCode, String) {
        let login = person["login"].as_str().unwrap_or_default().to_string();
        if login.is_empty() {
            return problem(StatusCode::BAD_REQUEST, "missing", "login");
        }
        if self.all.iter().any(|(other, held)| Some(*other) != uid && held["login"] == login.as_str()) {
            return problem(StatusCode::CONFLICT, "not_unique", "login");
        }
        let status = match uid.map(|uid| self.all.get(&uid)) {
            None => json!("enabled"),
            Some(Some(held)) => held["status"].clone(),
            Some(None) => return problem(StatusCode::NOT_FOUND, "no_person", ""),
        };
        let code = if uid.is_some() { StatusCode::OK } else { StatusCode::CREATED };
        self.last += 1;
        let uid = uid.unwrap_or(self.last);
        let mut person = person.clone();
        person["uid"] = json!(uid);
        person["status"] = status;
        self.all.insert(uid, person.clone());
        (code, json!({"person": person}).to_string())
    }
}

/// The server, on a runtime of its own.
struct Server {
    url: String,
    people: Shared,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    fn start() -> Server {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("one");
        let people = Shared::default();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let url = format!("http://{}/v3", listener.local_addr().expect("an address"));
        let app = axum::Router::new().fallback(serve).with_state(Arc::clone(&people));
        runtime.spawn(async move { axum::serve(listener, app).await });
        Server { url, people, _runtime: runtime }
    }

    fn person(&self, key: &str) -> Value {
        let people = self.people.lock().expect("the people");
        let found: Vec<&Value> = people.all.values().filter(|p| p["staffNo"] == key).collect();
        assert_eq!(found.len(), 1, "people of {key}");
        found[0].clone()
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.people.lock().expect("the people").asked)
    }
}

fn config(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)).expect("a sample")
}

fn home(server: &Server, definition: &str) -> Home {
    let home = Home::empty();
    home.secret("config/secret", "sandbox\n");
    home.write("config/people-api.toml", definition);
    home.write(
        "config/rosterd.toml",
        &format!(
            "[state]\npath = \"../state/rosterd.db\"\n[sources.hr]\nkind = \"csv\"\npath = \"hr.csv\"\n\
             key = \"employee_id\"\nmax_shrink = \"unlimited\"\n[targets.people]\nkind = \"rest\"\n\
             definition = \"people-api.toml\"\nbase_url = \"{}\"\nrate = \"1000/s\"\nburst = 100\n\
             auth = {{ kind = \"header\", name = \"X-Api-Key\", value = {{ file = \"secret\" }} }}\n\
             options = {{ site = \"hq\", desk = \"A1\" }}\n\
             [syncs.staff]\nsource = \"hr\"\ntarget = \"people\"\ninclude = 'status == \"active\"'\nmatch = [\"login\"]\n\
             [syncs.staff.limits]\nban = \"unlimited\"\nban_per_day = \"unlimited\"\nclear = \"unlimited\"\n\
             [syncs.staff.map]\nlogin = {{ cel = \"email.trim().lowerAscii()\" }}\nstaffNo = \"employee_id\"\n\
             \"name.given\" = \"first_name\"\n\"name.family\" = \"last_name\"\njobTitle = \"title\"\ncity = \"city\"\n\
             \"attributes.office\" = \"city\"\n",
            server.url
        ),
    );
    home
}

#[track_caller]
fn sync(home: &Home, rows: &[&str]) -> Value {
    home.write("config/hr.csv", &format!("{HEADER}{}\n", rows.join("\n")));
    home.run_json(&["sync"]).exits(0).json()
}

#[test]
fn the_worked_example_keeps_its_api_in_step() {
    let server = Server::start();
    let home = home(&server, &config("people-api.toml"));
    let ran = sync(&home, &[ANN, BOB]);
    assert_eq!(ran["runs"][0]["counts"]["create"]["ok"], 2, "{ran}");
    let ann = server.person("E1");
    assert_eq!(
        (&ann["name"]["given"], &ann["job"]["title"], &ann["desk"]),
        (&json!("李"), &json!("<&>\"'"), &json!("A1"))
    );
    assert_eq!(ann["attributes"], json!([{"key": "office", "value": "Zürich"}]));

    server.asked();
    sync(&home, &[ANN, BOB]);
    assert_eq!(server.asked(), [""; 0], "nothing changed, so nothing is asked");

    // What nobody maps stays, and a cleared field is cleared.
    let uid = server.person("E2")["uid"].as_u64().expect("a uid");
    server.people.lock().expect("the people").all.get_mut(&uid).expect("Bob")["hobby"] = json!("chess");
    sync(&home, &[ANN, "E2,Bob,=1+1,bob@acme.example,,Genève,active"]);
    let bob = server.person("E2");
    assert_eq!((&bob["hobby"], &bob["address"]["city"]), (&json!("chess"), &json!("Genève")));
    assert_eq!(bob["job"]["title"], Value::Null);
    assert_eq!(bob["attributes"], json!([{"key": "office", "value": "Genève"}]));

    server.asked();
    sync(&home, &[ANN]);
    assert_eq!(server.person("E2")["status"], "disabled");
    // Whose account it is, is seen first.
    let get = format!("GET /v3/people/{uid}");
    assert_eq!(server.asked(), [get.clone(), format!("POST /v3/people/{uid}/disable")]);

    // A rehire under a new name: access by its own request, then the fields.
    let ran = sync(&home, &[ANN, "E2,Robert,=1+1,robert@acme.example,CTO,Genève,active"]);
    assert_eq!(ran["runs"][0]["counts"]["reinstate"]["ok"], 1, "{ran}");
    let bob = server.person("E2");
    assert_eq!(
        (&bob["status"], &bob["login"], &bob["job"]["title"]),
        (&json!("enabled"), &json!("robert@acme.example"), &json!("CTO"))
    );
    let put = format!("PUT /v3/people/{uid}");
    assert_eq!(server.asked(), [get.clone(), format!("POST /v3/people/{uid}/enable"), get, put]);

    fs::remove_dir_all(home.path().join("state")).expect("the state");
    let ran = sync(&home, &[ANN, "E2,Robert,=1+1,robert@acme.example,CTO,Genève,active"]);
    assert_eq!(ran["runs"][0]["counts"]["adopt"]["ok"], 2, "{ran}");
    assert!(server.asked().iter().all(|request| request.starts_with("GET")));
}

#[test]
fn the_worked_example_removes_leavers_where_that_is_asked_for() {
    let server = Server::start();
    let home = home(&server, &config("people-api.toml"));
    let text = fs::read_to_string(home.config()).expect("the configuration");
    fs::write(home.config(), text.replace("target = \"people\"", "target = \"people\"\non_leave = \"delete\""))
        .expect("written");
    sync(&home, &[ANN, BOB]);
    let uid = server.person("E2")["uid"].as_u64().expect("a uid");
    server.asked();
    let ran = sync(&home, &[ANN]);
    assert_eq!(ran["runs"][0]["counts"]["delete"]["ok"], 1, "{ran}");
    assert_eq!(server.asked(), [format!("GET /v3/people/{uid}"), format!("DELETE /v3/people/{uid}")]);
    let ran = sync(&home, &[ANN, BOB]);
    assert_eq!(ran["runs"][0]["counts"]["create"]["ok"], 1, "{ran}");
    assert_ne!(server.person("E2")["uid"], uid);
    // Somebody else removed her before: that is as good.
    server.people.lock().expect("the people").all.clear();
    let ran = sync(&home, &[BOB]);
    assert_eq!(ran["runs"][0]["counts"]["delete"]["ok"], 1, "{ran}");
}

#[test]
fn mistakes_in_a_definition_are_told_with_their_lines() {
    let server = Server::start();
    let text = config("people-api.toml")
        .replace("body = \"merged\"", "body = \"merge\"")
        .replace("key_field = \"staffNo\"", "key_field = \"staffNr\"")
        .replace("option = \"desk\"", "option = \"desc\"")
        .replace("{options.site}", "{options.sight}")
        .replace("range = [1, 200]", "rnge = [1, 200]");
    let home = home(&server, &text);
    let ran = home.run_json(&["check"]).exits(78).json();
    let errors = ran["errors"].as_array().expect("errors");
    let line_of = |word: &str| text.lines().position(|line| line.contains(word)).map(|n| n as u64 + 1);
    for (key, word) in [
        ("resources.users.operations.update.body", "body = \"merge\""),
        ("resources.users.account.key_field", "staffNr"),
        ("resources.users.fields.desk.option", "option = \"desc\""),
        ("resources.users.operations.create.path", "{options.sight}/people"),
        ("options.page_size.rnge", "rnge"),
    ] {
        let found: Vec<&Value> =
            errors.iter().filter(|e| e["key"].as_str().is_some_and(|k| k.starts_with(key))).collect();
        assert!(found.len() <= 1, "one mistake is told once: {found:?}");
        let found = found.first().unwrap_or_else(|| panic!("no error for {key}: {ran}"));
        assert_eq!(found["file"], "people-api.toml", "{found}");
        assert_eq!(found["line"].as_u64(), line_of(word), "{found}");
    }
}

/// The samples work as they stand, against the sandbox.
#[test]
fn the_samples_run_as_they_stand() {
    let sim = Sim::start();
    for name in ["juicebox", "longjump", "scim"] {
        let home = Home::empty();
        home.write(
            "config/rosterd.toml",
            &config(&format!("{name}.toml"))
                .replace("http://127.0.0.1:8480", &sim.url())
                .replace("rate = \"20/s\"", "rate = \"1000/s\""),
        );
        home.write("config/demo/day1.csv", &config("demo/day1.csv"));
        home.secret("config/juno.token", "sandbox\n");
        home.run(&["check"]).exits(0);
        home.run(&["test"]).exits(0);
        home.run(&["sync"]).exits(0);
        let there = sim.users_of(name).len();
        assert!(there > 20, "{name}: {there} users");
        let mark = sim.mark();
        home.run(&["sync"]).exits(0);
        assert_eq!(sim.writes_since(mark), [], "{name}: an unchanged rerun writes nothing");
    }
}

#[test]
fn the_sample_of_three_platforms_keeps_them_in_step_with_one_export() {
    let (sim, home) = (Sim::start(), Home::empty());
    let sample = config("demo.toml").replace("http://127.0.0.1:8480", &sim.url());
    home.write("config/rosterd.toml", &sample.replace("rate = \"20/s\"", "rate = \"1000/s\""));
    home.write("config/demo/day1.csv", &config("demo/day1.csv"));
    home.secret("config/juno.token", "sandbox\n");
    home.run(&["test"]).exits(0);
    let ran = home.run_json(&["sync"]).exits(0).json();
    let runs = ran["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), 3);
    for run in runs {
        assert_eq!((&run["source_records"], &run["counts"]["create"]["ok"]), (&json!(306), &json!(300)), "{run}");
    }
    let mark = sim.mark();
    home.run(&["sync"]).exits(0);
    assert_eq!(sim.writes_since(mark), []);
}

#[test]
fn schemas_are_printed_and_need_no_configuration() {
    let home = Home::empty();
    for args in [&["schema"][..], &["schema", "--definition"]] {
        let schema: Value = serde_json::from_str(&home.run(args).exits(0).stdout).expect("JSON, alone");
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{args:?}");
        assert_eq!(schema["additionalProperties"], false);
    }
}

#[test]
fn the_kinds_are_listed_and_shown() {
    let home = Home::empty();
    home.write("config/rosterd.toml", "");
    let kinds = home.run(&["targets"]).exits(0).stdout;
    assert_eq!(kinds.lines().collect::<Vec<_>>(), ["juno", "juicebox", "longjump", "scim"]);
    for kind in kinds.lines() {
        assert!(home.run(&["targets", "show", kind]).exits(0).stdout.contains(&format!("kind = \"{kind}\"")));
    }
    assert_eq!(home.run(&["targets", "show", "rest"]).exits(0).stdout, config("people-api.toml"));
    home.run(&["targets", "show", "nothing"]).exits(64);
}
