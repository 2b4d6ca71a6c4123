//! SCIM against a server that nobody here wrote: `scim2-server` from PyPI, on loopback. Where it can't be installed, the
//! tests say SKIPPED and pass.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::scim::{MAP, story};
use super::{ANN, BOB, HEADER};
use crate::support::Home;

/// The server, which ends when this is dropped.
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

/// The program, installed once for all runs; nothing where pip can't.
fn program() -> Option<PathBuf> {
    static ONCE: std::sync::OnceLock<Option<PathBuf>> = std::sync::OnceLock::new();
    let install = || {
        let at = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scim2");
        let program = at.join("bin/scim2-server");
        if !program.exists() {
            let ran = |program: &Path, args: &[&str]| {
                let status = Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
                status.is_ok_and(|status| status.success())
            };
            let path = at.to_str()?;
            let made = ran(Path::new("python3"), &["-m", "venv", path])
                && ran(&at.join("bin/pip"), &["install", "--quiet", "scim2-server"]);
            if !made {
                return None;
            }
        }
        program.exists().then_some(program)
    };
    ONCE.get_or_init(install).clone()
}

fn start(arguments: &[&str]) -> Option<Server> {
    let Some(program) = program() else {
        eprintln!("SKIPPED: scim2-server can't be installed here");
        return None;
    };
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address").port();
    let child = Command::new(program)
        .args(["--port", &port.to_string(), "--bearer-token", "sandbox"])
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the server starts");
    let server = Server { child, base: format!("http://127.0.0.1:{port}/v2") };
    for _ in 0..200 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Some(server);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("scim2-server does not listen");
}

impl Server {
    fn users(&self) -> Vec<Value> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let text = runtime.block_on(async {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let request = reqwest::Client::new().get(format!("{}/Users", self.base)).bearer_auth("sandbox");
            request.send().await.expect("an answer").text().await.expect("a body")
        });
        let body: Value = serde_json::from_str(&text).expect("JSON");
        body["Resources"].as_array().cloned().unwrap_or_default()
    }

    fn user(&self, key: &str) -> Value {
        let mut found = self.users();
        found.retain(|user| user["externalId"] == key);
        assert_eq!(found.len(), 1, "accounts of {key}");
        found.remove(0)
    }
}

fn home(server: &Server) -> Home {
    let settings =
        story("kind = \"scim\"\nbase_url = \"{url}\"\nauth = { kind = \"bearer\", token = { file = \"secret\" } }");
    let home = Home::empty();
    home.secret("config/secret", "sandbox\n");
    home.write(
        "config/rosterd.toml",
        &format!(
            "[state]\npath = \"../state/rosterd.db\"\n[sources.hr]\nkind = \"csv\"\npath = \"hr.csv\"\n\
             key = \"employee_id\"\nmax_shrink = \"unlimited\"\n[targets.there]\n{}\nrate = \"1000/s\"\nburst = 100\n\
             [syncs.staff]\nsource = \"hr\"\ntarget = \"there\"\ninclude = 'status == \"active\"'\nmatch = [\"userName\"]\n\
             [syncs.staff.limits]\nban = \"unlimited\"\nban_per_day = \"unlimited\"\nclear = \"unlimited\"\n\
             [syncs.staff.map]\n{MAP}\n",
            settings.settings.replace("{url}", &server.base)
        ),
    );
    home
}

#[track_caller]
fn sync(home: &Home, rows: &[&str]) -> Value {
    home.write("config/hr.csv", &format!("{HEADER}{}\n", rows.join("\n")));
    home.run_json(&["sync"]).exits(0).json()
}

fn whole_story(server: &Server) {
    let home = home(server);
    let ran = sync(&home, &[ANN, BOB]);
    assert_eq!(ran["runs"][0]["counts"]["create"]["ok"], 2, "{ran}");
    let ann = server.user("E1");
    assert_eq!((&ann["name"]["givenName"], &ann["title"]), (&json!("李"), &json!("<&>\"'")));
    assert_eq!(ann["addresses"][0]["locality"], "Zürich");
    let before = server.users();
    let ran = sync(&home, &[ANN, BOB]);
    assert_eq!(ran["runs"][0]["unchanged"], 2, "{ran}");
    assert_eq!(server.users(), before, "nothing was written");

    sync(&home, &[ANN, "E2,Bob,=1+1,bob@acme.example,,Genève,active"]);
    let bob = server.user("E2");
    assert_eq!((&bob["addresses"][0]["locality"], bob.get("title")), (&json!("Genève"), None));
    sync(&home, &[ANN]);
    assert_eq!(server.user("E2")["active"], false);
    sync(&home, &[ANN, "E2,Robert,=1+1,robert@acme.example,CTO,Genève,active"]);
    let bob = server.user("E2");
    assert_eq!(
        (&bob["active"], &bob["userName"], &bob["title"]),
        (&json!(true), &json!("robert@acme.example"), &json!("CTO"))
    );
    assert_eq!(bob["emails"][0]["value"], "robert@acme.example");

    std::fs::remove_dir_all(home.path().join("state")).expect("the state");
    let before = server.users();
    let ran = sync(&home, &[ANN, "E2,Robert,=1+1,robert@acme.example,CTO,Genève,active"]);
    assert_eq!(ran["runs"][0]["counts"]["adopt"]["ok"], 2, "{ran}");
    assert_eq!(server.users(), before, "nothing was written");
}

#[test]
fn a_foreign_server_is_kept_in_step_by_patch() {
    if let Some(server) = start(&[]) {
        whole_story(&server);
    }
}

#[test]
fn a_foreign_server_is_kept_in_step_by_put() {
    let home = Home::empty();
    let schemas = ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"];
    let (yes, no) = (json!({"supported": true}), json!({"supported": false}));
    let config = json!({"schemas": schemas, "patch": no, "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": true, "maxResults": 100}, "changePassword": no, "sort": no, "etag": yes,
        "authenticationSchemes": []});
    home.write("spc.json", &config.to_string());
    if let Some(server) = start(&["--service-provider-config", home.path().join("spc.json").to_str().expect("a path")])
    {
        whole_story(&server);
    }
}
