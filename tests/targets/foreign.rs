//! SCIM against servers that nobody here wrote, on loopback: `scim2-server` (Python) and `scimmy` (Node). Where
//! `.ci/scim-servers` has not installed them the tests say SKIPPED and pass; in CI that is a failure.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::scim::MAP;
use super::{ANN, BOB, HEADER};
use crate::support::{Home, skipped};

/// How long a server may take to listen: Python's takes a second or two, a loaded machine many times that.
const PATIENCE: Duration = Duration::from_secs(120);

/// The department, whose path the sandbox's map leaves out, and the column that it comes of.
const DEPARTMENT: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// A server, which ends when this is dropped.
struct Server {
    child: Child,
    base: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `.ci/scim-servers` put there; says SKIPPED where it didn't.
fn installed(path: &str) -> Option<PathBuf> {
    let at = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scim-servers").join(path);
    if !at.exists() {
        skipped("SCIM against servers of others; install them with .ci/scim-servers");
        return None;
    }
    Some(at)
}

/// `scim2-server`, with these further arguments.
fn scim2(arguments: &[&str]) -> Option<Server> {
    let program = installed("python/bin/scim2-server")?;
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address").port();
    let mut command = Command::new(program);
    command.args(["--port", &port.to_string(), "--bearer-token", "sandbox"]).args(arguments);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the server starts");
    let mut server = Server { child, base: format!("http://127.0.0.1:{port}/v2") };
    let since = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        let ended = server.child.try_wait().expect("its state");
        assert!(ended.is_none() && since.elapsed() < PATIENCE, "scim2-server does not listen: {ended:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    Some(server)
}

/// `scim2-server` that takes no PATCH.
fn scim2_without_patch(home: &Home) -> Option<Server> {
    let schemas = ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"];
    let (yes, no) = (json!({"supported": true}), json!({"supported": false}));
    let config = json!({"schemas": schemas, "patch": no, "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": true, "maxResults": 100}, "changePassword": no, "sort": no, "etag": yes,
        "authenticationSchemes": []});
    home.write("spc.json", &config.to_string());
    scim2(&["--service-provider-config", home.path().join("spc.json").to_str().expect("a path")])
}

/// `scimmy`, which ends with its standard input, also when the tests are killed.
fn scimmy(arguments: &[&str]) -> Option<Server> {
    let packages = installed("node/node_modules")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/targets/servers/scimmy.cjs");
    let mut command = Command::new("node");
    command.arg(script).arg(packages.parent()?).args(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the server starts");
    let mut port = String::new();
    let output = child.stdout.take().expect("its output");
    BufReader::new(output).read_line(&mut port).expect("its port");
    Some(Server { child, base: format!("http://127.0.0.1:{}/scim", port.trim()) })
}

impl Server {
    /// Asks the server behind the program's back.
    fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let text = runtime.block_on(async {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let method = method.parse().expect("a method");
            let request = reqwest::Client::new().request(method, format!("{}{path}", self.base)).bearer_auth("sandbox");
            let request = request.header("content-type", "application/scim+json");
            let request = body.map_or(request.try_clone().expect("a copy"), |body| request.body(body.to_string()));
            request.send().await.expect("an answer").text().await.expect("a body")
        });
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    fn users(&self) -> Vec<Value> {
        self.ask("GET", "/Users?count=100", None)["Resources"].as_array().cloned().unwrap_or_default()
    }

    #[track_caller]
    fn user(&self, key: &str) -> Value {
        let mut found = self.users();
        found.retain(|user| user["externalId"] == key);
        assert_eq!(found.len(), 1, "accounts of {key}");
        found.remove(0)
    }
}

/// A home whose target is the server.
fn home(server: &Server) -> Home {
    let home = Home::empty();
    home.secret("config/secret", "sandbox\n");
    home.write(
        "config/rosterd.toml",
        &format!(
            "[state]\npath = \"../state/rosterd.db\"\n[sources.hr]\nkind = \"csv\"\npath = \"hr.csv\"\n\
             key = \"employee_id\"\nmax_shrink = \"unlimited\"\n[targets.there]\nkind = \"scim\"\nbase_url = \"{}\"\n\
             auth = {{ kind = \"bearer\", token = {{ file = \"secret\" }} }}\nrate = \"1000/s\"\nburst = 100\n\
             [syncs.staff]\nsource = \"hr\"\ntarget = \"there\"\ninclude = 'status == \"active\"'\n\
             match = [\"userName\"]\n[syncs.staff.limits]\nban = \"unlimited\"\nban_per_day = \"unlimited\"\n\
             clear = \"unlimited\"\n[syncs.staff.map]\n{MAP}\n\"{DEPARTMENT}:department\" = \"city\"\n",
            server.base
        ),
    );
    home
}

#[track_caller]
fn sync(home: &Home, rows: &[&str]) -> Value {
    home.write("config/hr.csv", &format!("{HEADER}{}\n", rows.join("\n")));
    let ran = home.run_json(&["sync"]).exits(0).json();
    ran["runs"][0].clone()
}

/// Runs with these people once more: nothing is planned, and nobody on the server is written.
#[track_caller]
fn unchanged(server: &Server, home: &Home, rows: &[&str]) {
    let before = server.users();
    let ran = sync(home, rows);
    assert_eq!(ran["planned"], json!({}), "{ran}");
    assert_eq!(server.users(), before, "nobody was written, or their time of modification would tell");
}

/// Load, unchanged rerun, mover, cleared field, leaver, rehire, rename.
fn whole_story(server: &Server) {
    let home = home(server);
    let ran = sync(&home, &[ANN, BOB]);
    assert_eq!(ran["counts"]["create"]["ok"], 2, "{ran}");
    let ann = server.user("E1");
    assert_eq!((&ann["name"]["givenName"], &ann["name"]["familyName"]), (&json!("李"), &json!("Müller 🎉")));
    assert_eq!((&ann["title"], &ann["addresses"][0]["locality"]), (&json!("<&>\"'"), &json!("Zürich")));
    assert_eq!(ann[DEPARTMENT]["department"], "Zürich");
    assert_eq!(server.user("E2")["name"]["familyName"], "=1+1");
    unchanged(server, &home, &[ANN, BOB]);

    let moved = "E2,Bob,=1+1,bob@acme.example,CEO,Genève,active";
    let ran = sync(&home, &[ANN, moved]);
    assert_eq!(ran["counts"]["update"]["ok"], 1, "{ran}");
    let bob = server.user("E2");
    assert_eq!((&bob["addresses"][0]["locality"], &bob["title"]), (&json!("Genève"), &json!("CEO")));
    assert_eq!((&bob[DEPARTMENT]["department"], &bob[DEPARTMENT]["costCenter"]), (&json!("Genève"), &json!("CEO")));
    unchanged(server, &home, &[ANN, moved]);

    let cleared = "E2,Bob,=1+1,bob@acme.example,,Genève,active";
    sync(&home, &[ANN, cleared]);
    let bob = server.user("E2");
    assert_eq!((bob.get("title"), bob[DEPARTMENT].get("costCenter")), (None, None), "{bob}");
    assert_eq!((&bob["addresses"][0]["locality"], &bob["name"]["givenName"]), (&json!("Genève"), &json!("Bob")));
    unchanged(server, &home, &[ANN, cleared]);
    // An element of a list that loses its only value goes with it, and comes back.
    sync(&home, &[ANN, "E2,Bob,=1+1,bob@acme.example,,,active"]);
    assert!(server.user("E2")["addresses"].as_array().is_none_or(Vec::is_empty), "{}", server.user("E2"));
    sync(&home, &[ANN, cleared]);
    assert_eq!(server.user("E2")["addresses"][0]["locality"], "Genève");

    let ran = sync(&home, &[ANN]);
    assert_eq!(ran["counts"]["ban"]["ok"], 1, "{ran}");
    assert_eq!((&server.user("E2")["active"], server.user("E1")["active"] != json!(false)), (&json!(false), true));
    unchanged(server, &home, &[ANN]);

    let back = "E2,Bob,=1+1,bob@acme.example,CTO,Genève,active";
    let id = server.user("E2")["id"].clone();
    let ran = sync(&home, &[ANN, back]);
    assert_eq!(ran["counts"]["reinstate"]["ok"], 1, "{ran}");
    let bob = server.user("E2");
    assert_eq!((&bob["active"], &bob["title"], &bob["id"]), (&json!(true), &json!("CTO"), &id));

    let renamed = "E2,Robert,=1+1,robert@acme.example,CTO,Genève,active";
    sync(&home, &[ANN, renamed]);
    let bob = server.user("E2");
    assert_eq!((&bob["userName"], &bob["name"]["givenName"]), (&json!("robert@acme.example"), &json!("Robert")));
    assert_eq!((&bob["emails"][0]["value"], &bob["id"]), (&json!("robert@acme.example"), &id));
    assert_eq!(bob["emails"].as_array().map(Vec::len), Some(1), "{bob}");
    unchanged(server, &home, &[ANN, renamed]);
}

/// An account that is there is recognised, linked and brought up to date; when the state is lost, all of them are; who
/// leaves can be removed for good.
fn adoption_and_removal(server: &Server) {
    let schemas = ["urn:ietf:params:scim:schemas:core:2.0:User"];
    let there = json!({"schemas": schemas, "userName": "Bob@Acme.example", "nickName": "Bobby", "active": false});
    server.ask("POST", "/Users", Some(there));
    let home = home(server);
    let ran = sync(&home, &[ANN, BOB]);
    assert_eq!((&ran["counts"]["adopt"]["ok"], &ran["counts"]["create"]["ok"]), (&json!(1), &json!(1)), "{ran}");
    let bob = server.user("E2");
    assert_eq!((&bob["nickName"], &bob["active"], &bob["title"]), (&json!("Bobby"), &json!(true), &json!("CEO")));

    std::fs::remove_dir_all(home.path().join("state")).expect("the state");
    let before = server.users();
    let ran = sync(&home, &[ANN, BOB]);
    assert_eq!(ran["counts"]["adopt"]["ok"], 2, "{ran}");
    assert_eq!(server.users(), before, "everybody is as they should be, so nobody is written");

    // Another key with a user name that is taken takes nothing over.
    home.write("config/hr.csv", &format!("{HEADER}{ANN}\n{BOB}\nE9,Bob,Two,bob@acme.example,CEO,Bern,active\n"));
    let ran = home.run_json(&["sync"]).exits(75).json();
    assert_eq!(ran["runs"][0]["counts"]["create"]["failed"], 1, "{ran}");
    assert_eq!(server.users(), before);

    let config = std::fs::read_to_string(home.config()).expect("the configuration");
    let config = config.replace("target = \"there\"", "target = \"there\"\non_leave = \"delete\"");
    std::fs::write(home.config(), config).expect("written");
    let ran = sync(&home, &[ANN]);
    assert_eq!(ran["counts"]["delete"]["ok"], 1, "{ran}");
    assert_eq!(server.users().len(), 1);
}

/// The methods by which the server is written, as its own description makes them.
fn told_to_patch(server: &Server) -> Value {
    server.ask("GET", "/ServiceProviderConfig", None)["patch"]["supported"].clone()
}

#[test]
fn scim2_server_is_kept_in_step_by_patch() {
    let Some(server) = scim2(&[]) else { return };
    assert_eq!(told_to_patch(&server), true);
    whole_story(&server);
}

#[test]
fn scim2_server_is_kept_in_step_by_put() {
    let home = Home::empty();
    let Some(server) = scim2_without_patch(&home) else { return };
    assert_eq!(told_to_patch(&server), false);
    whole_story(&server);
}

#[test]
fn accounts_of_scim2_server_are_adopted_and_removed() {
    let home = Home::empty();
    for server in [scim2(&[]), scim2_without_patch(&home)].into_iter().flatten() {
        adoption_and_removal(&server);
    }
}

#[test]
fn scimmy_is_kept_in_step_by_patch() {
    let Some(server) = scimmy(&[]) else { return };
    assert_eq!(told_to_patch(&server), true);
    whole_story(&server);
}

#[test]
fn scimmy_is_kept_in_step_by_put() {
    let Some(server) = scimmy(&["--no-patch"]) else { return };
    assert_eq!(told_to_patch(&server), false);
    whole_story(&server);
}

#[test]
fn accounts_of_scimmy_are_adopted_and_removed() {
    for server in [scimmy(&[]), scimmy(&["--no-patch"])].into_iter().flatten() {
        adoption_and_removal(&server);
    }
}
