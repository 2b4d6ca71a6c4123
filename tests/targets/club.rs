//! An API that is none of the four, kept in step by a definition that was written from `src/manual/definitions.md` alone
//! (`servers/club.toml`): the same story as elsewhere, every way of paging, every kind of credentials that is a header.
//!
//! The club's members are at `/api/members`, each as `{"member": {…}}` with a `ref`. `POST` answers `{"created": {"ref"}}`,
//! `PATCH` and `DELETE` nothing. Who is suspended has a `suspension`. `card` and the mail are unique. Lists are
//! `{"members": […]}` and go on in one of several ways; faults are `{"fault": {"code", "about": [fields]}}`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::{ANN, BOB, HEADER};
use crate::support::Home;

/// How the club's lists go on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Paging {
    #[default]
    Cursor,
    Link,
    Next,
    /// Whatever is asked for, the first page is shown.
    Ignored,
    /// Nobody is on a page, and there is always another.
    Barren,
}

#[derive(Default)]
struct Club {
    members: BTreeMap<u64, Value>,
    last: u64,
    paging: Paging,
    /// Where every request is sent instead.
    elsewhere: Option<String>,
    /// Each request, and the credentials that came with it.
    asked: Vec<(String, String)>,
}

type Shared = Arc<Mutex<Club>>;

/// What the club says no with.
type Fault = (StatusCode, String);

fn fault(status: StatusCode, code: &str, about: &[&str]) -> Fault {
    (status, json!({"fault": {"code": code, "about": about, "said": "ann@acme.example"}}).to_string())
}

/// Puts what was sent over what is there; `null` takes away.
fn merge(there: &mut Value, sent: &Value) {
    match sent {
        Value::Object(members) => {
            if !there.is_object() {
                *there = Value::Object(Map::new());
            }
            for (name, value) in members {
                merge(&mut there[name.as_str()], value);
            }
            there.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
        }
        value => *there = value.clone(),
    }
}

impl Club {
    fn taken(&self, own: Option<u64>, member: &Value) -> Option<&'static str> {
        [("card", "/card"), ("mail", "/contact/mail")].into_iter().find_map(|(name, pointer)| {
            let value = member.pointer(pointer)?;
            let same = |(id, held): (&u64, &Value)| Some(*id) != own && held.pointer(pointer) == Some(value);
            self.members.iter().any(same).then_some(name)
        })
    }

    fn write(&mut self, id: Option<u64>, sent: &Value) -> Result<u64, Fault> {
        let mut member = id.map_or(json!({"standing": "good"}), |id| self.members[&id].clone());
        merge(&mut member, &sent["member"]);
        if let Some(name) = self.taken(id, &member) {
            return Err(fault(StatusCode::UNPROCESSABLE_ENTITY, "taken", &[name]));
        }
        if member.pointer("/contact/mail").is_none() {
            return Err(fault(StatusCode::UNPROCESSABLE_ENTITY, "missing", &["mail"]));
        }
        self.last += u64::from(id.is_none());
        let id = id.unwrap_or(self.last);
        member["ref"] = json!(format!("m-{id}"));
        self.members.insert(id, member);
        Ok(id)
    }

    fn list(&self, query: &BTreeMap<String, String>) -> Response {
        let sought = |member: &&Value| {
            let is = |name: &str, pointer: &str| {
                query.get(name).is_none_or(|wanted| member.pointer(pointer).is_some_and(|held| held == wanted.as_str()))
            };
            is("card", "/card") && is("mail", "/contact/mail")
        };
        let found: Vec<&Value> = self.members.values().filter(sought).collect();
        let number = |name: &str, default: usize| {
            query.get(name).map_or(default, |n| n.trim_start_matches("c=").parse().expect(name))
        };
        let (from, most) = match self.paging {
            Paging::Ignored => (0, 2),
            Paging::Barren => (number("after", 0), 0),
            _ => (number("after", 0), number("most", 3)),
        };
        let page: Vec<&&Value> = found.iter().skip(from).take(most).collect();
        let next = Some(from + most).filter(|next| *next < found.len());
        let mut body = json!({"members": page});
        let mut headers = HeaderMap::new();
        // The cursor is a text that means something in an address.
        match (self.paging, next) {
            (Paging::Barren, _) => body["meta"] = json!({"next": format!("c={}", from + 1)}),
            (Paging::Cursor, next) => body["meta"] = json!({"next": next.map(|n| format!("c={n}"))}),
            (Paging::Next, Some(next)) => {
                body["meta"] = json!({"next": format!("https://other.example/x?most=2&after={next}")})
            }
            (Paging::Link, Some(next)) => {
                let link =
                    format!("</api/members?after=0>; rel=\"first\", </api/members?after={next}&most=2>; rel=\"next\"");
                headers.insert("link", link.parse().expect("a header"));
            }
            _ => {}
        }
        (StatusCode::OK, headers, body.to_string()).into_response()
    }
}

async fn serve(State(club): State<Shared>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let mut club = club.lock().expect("the club");
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_string();
    club.asked.push((format!("{method} {}", uri.path()), format!("{}{}", text("authorization"), text("x-club-key"))));
    if let Some(elsewhere) = &club.elsewhere {
        return (StatusCode::TEMPORARY_REDIRECT, [("location", elsewhere.clone())]).into_response();
    }
    let query: BTreeMap<String, String> =
        url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let path: Vec<&str> = uri.path().split('/').skip(1).collect();
    let sent: Value = serde_json::from_slice(&body).unwrap_or_default();
    let known = |club: &Club, id: &str| {
        let id = id.strip_prefix("m-").and_then(|id| id.parse().ok());
        id.filter(|id| club.members.contains_key(id)).ok_or_else(|| fault(StatusCode::NOT_FOUND, "nobody", &[]))
    };
    let nothing = || StatusCode::NO_CONTENT.into_response();
    let done = match (method.as_str(), path.as_slice()) {
        ("GET", ["api", "members"]) => Ok(club.list(&query)),
        ("POST", ["api", "members"]) => club.write(None, &sent).map(|id| {
            (StatusCode::CREATED, json!({"created": {"ref": format!("m-{id}")}}).to_string()).into_response()
        }),
        ("GET", ["api", "members", id]) => {
            known(&club, id).map(|id| json!({"member": club.members[&id]}).to_string().into_response())
        }
        ("PATCH", ["api", "members", id]) => {
            known(&club, id).and_then(|id| club.write(Some(id), &sent)).map(|_| nothing())
        }
        ("DELETE", ["api", "members", id]) => known(&club, id).map(|id| {
            club.members.remove(&id);
            nothing()
        }),
        (access @ ("POST" | "DELETE"), ["api", "members", id, "suspension"]) => known(&club, id).map(|id| {
            let standing = if access == "POST" { "suspended" } else { "good" };
            club.members.get_mut(&id).expect("a member")["standing"] = json!(standing);
            nothing()
        }),
        _ => Err(fault(StatusCode::BAD_REQUEST, "no_such_thing", &[])),
    };
    done.unwrap_or_else(IntoResponse::into_response)
}

/// The club's server, on a runtime of its own.
struct Server {
    url: String,
    club: Shared,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    fn start() -> Server {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("one");
        let club = Shared::default();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let url = format!("http://{}/api", listener.local_addr().expect("an address"));
        let app = axum::Router::new().fallback(serve).with_state(Arc::clone(&club));
        runtime.spawn(async move { axum::serve(listener, app).await });
        Server { url, club, _runtime: runtime }
    }

    fn club<T>(&self, with: impl FnOnce(&mut Club) -> T) -> T {
        with(&mut self.club.lock().expect("the club"))
    }

    fn member(&self, card: &str) -> Value {
        let found: Vec<Value> =
            self.club(|club| club.members.values().filter(|m| m["card"] == card).cloned().collect());
        assert_eq!(found.len(), 1, "members with the card {card}");
        found[0].clone()
    }

    /// What was asked since the last time, without queries.
    fn asked(&self) -> Vec<String> {
        self.club(|club| std::mem::take(&mut club.asked)).into_iter().map(|(request, _)| request).collect()
    }
}

const BEARER: &str = "kind = \"bearer\", token = { file = \"secret\" }";

/// The definition as the newcomer wrote it.
fn definition() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/targets/servers/club.toml"))
        .expect("it is there")
}

/// A home whose target is the club.
fn home(server: &Server, definition: &str, auth: &str) -> Home {
    let home = Home::empty();
    home.secret("config/secret", "sandbox\n");
    home.write("config/club.toml", definition);
    home.write(
        "config/rosterd.toml",
        &format!(
            "[state]\npath = \"../state/rosterd.db\"\n[sources.hr]\nkind = \"csv\"\npath = \"hr.csv\"\n\
             key = \"employee_id\"\nmax_shrink = \"unlimited\"\n[targets.club]\nkind = \"rest\"\n\
             definition = \"club.toml\"\nbase_url = \"{}\"\nrate = \"1000/s\"\nburst = 100\nauth = {{ {auth} }}\n\
             retry = {{ attempts = 2, base = \"10ms\", max = \"1s\" }}\n\
             [syncs.staff]\nsource = \"hr\"\ntarget = \"club\"\ninclude = 'status == \"active\"'\nmatch = [\"mail\"]\n\
             [syncs.staff.limits]\nban = \"unlimited\"\nban_per_day = \"unlimited\"\nclear = \"unlimited\"\n\
             [syncs.staff.map]\nmail = {{ cel = \"email.trim().lowerAscii()\" }}\ncard = \"employee_id\"\n\
             given = \"first_name\"\nfamily = \"last_name\"\nrole = \"title\"\ntown = \"city\"\n\
             locker = {{ value = 7, when = \"create\" }}\n",
            server.url
        ),
    );
    home
}

#[track_caller]
fn sync(home: &Home, rows: &[&str], code: i32) -> Value {
    home.write("config/hr.csv", &format!("{HEADER}{}\n", rows.join("\n")));
    home.run_json(&["sync"]).exits(code).json()
}

#[test]
fn a_definition_written_from_the_documentation_keeps_its_api_in_step() {
    let server = Server::start();
    let home = home(&server, &definition(), BEARER);
    home.run(&["check"]).exits(0);
    let ran = sync(&home, &[ANN, BOB], 0);
    assert_eq!(ran["runs"][0]["counts"]["create"]["ok"], 2, "{ran}");
    let ann = server.member("E1");
    assert_eq!((&ann["given"], &ann["family"], &ann["role"]), (&json!("李"), &json!("Müller 🎉"), &json!("<&>\"'")));
    assert_eq!(
        (&ann["contact"]["town"], &ann["locker"], &ann["standing"]),
        (&json!("Zürich"), &json!(7), &json!("good"))
    );
    assert_eq!(server.member("E2")["family"], "=1+1");

    server.asked();
    sync(&home, &[ANN, BOB], 0);
    assert_eq!(server.asked(), [""; 0], "nothing changed, so nothing is asked");

    let cleared = "E2,Bob,=1+1,bob@acme.example,,Genève,active";
    sync(&home, &[ANN, cleared], 0);
    let bob = server.member("E2");
    assert_eq!((bob.get("role"), &bob["contact"]["town"], &bob["given"]), (None, &json!("Genève"), &json!("Bob")));
    let path = format!("/api/members/{}", bob["ref"].as_str().expect("a ref"));
    assert_eq!(server.asked(), [format!("PATCH {path}")]);

    sync(&home, &[ANN], 0);
    assert_eq!(server.member("E2")["standing"], "suspended");
    assert_eq!(server.asked(), [format!("GET {path}"), format!("POST {path}/suspension")], "after a look whose it is");
    let renamed = "E2,Robert,=1+1,robert@acme.example,CTO,Genève,active";
    sync(&home, &[ANN, renamed], 0);
    let bob = server.member("E2");
    assert_eq!((&bob["standing"], &bob["contact"]["mail"]), (&json!("good"), &json!("robert@acme.example")));
    assert_eq!(server.asked(), [format!("GET {path}"), format!("DELETE {path}/suspension"), format!("PATCH {path}")]);

    // Two people exchange their addresses, which are unique: one is parked for a moment.
    let swapped = [ANN.replace("ann@", "robert@"), renamed.replace("robert@", "ann@")];
    sync(&home, &[&swapped[0], &swapped[1]], 0);
    assert_eq!(server.member("E1")["contact"]["mail"], "robert@acme.example");
    assert_eq!(server.member("E2")["contact"]["mail"], "ann@acme.example");

    fs::remove_dir_all(home.path().join("state")).expect("the state");
    server.asked();
    let ran = sync(&home, &[&swapped[0], &swapped[1]], 0);
    assert_eq!(ran["runs"][0]["counts"]["adopt"]["ok"], 2, "{ran}");
    assert!(server.asked().iter().all(|request| request.starts_with("GET")));

    // A mail that another member has: a conflict, told without the vendor's words.
    let ran = sync(&home, &[&swapped[0], &swapped[1], "E9,Ann,Two,ann@acme.example,CEO,Bern,active"], 75);
    assert_eq!(ran["runs"][0]["counts"]["create"]["failed"], 1, "{ran}");
    assert_eq!(server.club(|club| club.members.len()), 2);
}

/// Seven members who are there, found by going through the list, however it goes on.
#[test]
fn listings_are_gone_through_however_they_go_on() {
    let row =
        "paging = { style = \"cursor\", param = \"after\", pointer = \"/meta/next\", size_param = \"most\", size = 2 }";
    let find = "[operations.find]\nmethod = \"GET\"\npath = \"/members\"\nquery = { \"{field}\" = \"{value}\" }\nfields = [\"card\", \"mail\"]\nrecords = [\"/members\"]\n";
    let whole = definition();
    assert!(whole.contains(row) && whole.contains(find));
    for (paging, style) in [
        (Paging::Cursor, row),
        (Paging::Link, "paging = { style = \"link\", size_param = \"most\", size = 2 }"),
        (Paging::Next, "paging = { style = \"next\", pointer = \"/meta/next\", size_param = \"most\", size = 2 }"),
    ] {
        let server = Server::start();
        let people: Vec<String> = (1..=7).map(|n| format!("E{n},Ann,Lee,p{n}@acme.example,CEO,Bern,active")).collect();
        let people: Vec<&str> = people.iter().map(String::as_str).collect();
        server.club(|club| club.paging = paging);
        let first = home(&server, &whole.replace(row, style), BEARER);
        sync(&first, &people, 0);
        // Another home knows nobody; with nothing to search by, everybody is listed.
        let second = home(&server, &whole.replace(row, style).replace(find, ""), BEARER);
        server.asked();
        let ran = sync(&second, &people, 0);
        assert_eq!(ran["runs"][0]["counts"]["adopt"]["ok"], 7, "{paging:?}: {ran}");
        assert_eq!(server.asked(), ["GET /api/members"; 4], "{paging:?}: seven members at two a page");
    }
}

/// A server that ignores the parameter of its own paging shows the same page for ever: that is no listing, and nobody
/// is created on the strength of it.
#[test]
fn a_listing_that_shows_the_same_page_again_ends_and_creates_nobody() {
    let row =
        "paging = { style = \"cursor\", param = \"after\", pointer = \"/meta/next\", size_param = \"most\", size = 2 }";
    let page = "paging = { style = \"page\", param = \"page\", start = 1, size = 2 }";
    let find = "fields = [\"card\", \"mail\"]\nrecords = [\"/members\"]\n";
    let list = format!("[operations.list]\nmethod = \"GET\"\npath = \"/members\"\nrecords = [\"/members\"]\n{row}\n");
    let paged = format!("{find}paging = {{ style = \"page\", param = \"p\", size = 1 }}\n");
    assert!(definition().contains(&list) && definition().contains(find));
    let server = Server::start();
    server.club(|club| club.paging = Paging::Ignored);
    let first = home(&server, &definition().replace(row, page), BEARER);
    let people: Vec<String> = (1..=5).map(|n| format!("E{n},Ann,Lee,p{n}@acme.example,CEO,Bern,active")).collect();
    let people: Vec<&str> = people.iter().map(String::as_str).collect();
    sync(&first, &people, 0);
    for (what, definition) in [
        ("listing", definition().replace(row, page).replace(find, "fields = [\"card\"]\nrecords = [\"/members\"]\n")),
        ("look-up", definition().replace(&list, "").replace(find, &paged)),
    ] {
        let home = home(&server, &definition, BEARER);
        server.asked();
        let ran = sync(&home, &people, 69);
        let error = ran["runs"][0]["error"]["message"].as_str().unwrap_or_default().to_string();
        assert!(error.contains("goes round in a circle"), "{what}: {ran}");
        assert_eq!(server.club(|club| club.members.len()), 5, "{what}");
        assert!(server.asked().len() <= 40, "{what} goes on and on");
    }
    // And through `reconcile`, which lists too.
    let ran = first.run_json(&["reconcile"]).exits(69);
    assert!(format!("{}{}", ran.stdout, ran.stderr).contains("goes round in a circle"), "{ran:?}");
}

/// Cursor after cursor without anybody: that ends after three pages, in a listing and in a look-up.
#[test]
fn pages_without_anybody_end_after_three() {
    let row =
        "paging = { style = \"cursor\", param = \"after\", pointer = \"/meta/next\", size_param = \"most\", size = 2 }";
    let find = "fields = [\"card\", \"mail\"]\nrecords = [\"/members\"]\n";
    let list = format!("[operations.list]\nmethod = \"GET\"\npath = \"/members\"\nrecords = [\"/members\"]\n{row}\n");
    let server = Server::start();
    server.club(|club| club.paging = Paging::Barren);
    for (what, definition) in [
        ("listing", definition().replace(find, "fields = [\"card\"]\nrecords = [\"/members\"]\n")),
        ("look-up", definition().replace(&list, "").replace(find, &format!("{find}{row}\n"))),
    ] {
        let home = home(&server, &definition, BEARER);
        server.asked();
        let ran = sync(&home, &[ANN], 69);
        let error = ran["runs"][0]["error"]["message"].as_str().unwrap_or_default().to_string();
        assert!(error.contains("without anybody new on its pages"), "{what}: {ran}");
        assert_eq!(server.asked(), ["GET /api/members"; 3], "{what}");
    }
}

#[test]
fn each_kind_of_credentials_that_is_a_header_is_that_header() {
    let server = Server::start();
    for (auth, expected) in [
        (BEARER, "Bearer sandbox"),
        ("kind = \"token\", token = { file = \"secret\" }", "Token sandbox"),
        ("kind = \"header\", name = \"X-Club-Key\", value = { file = \"secret\" }", "sandbox"),
        ("kind = \"basic\", username = \"ann\", password = { file = \"secret\" }", "Basic YW5uOnNhbmRib3g="),
        ("kind = \"none\"", ""),
    ] {
        let home = home(&server, &definition(), auth);
        home.write("config/hr.csv", &format!("{HEADER}{ANN}\n"));
        home.run(&["check", "--connect"]).exits(0);
        home.run(&["sync"]).exits(0);
        let asked = server.club(|club| std::mem::take(&mut club.asked));
        assert!(asked.len() > 2 && asked.iter().all(|(_, credentials)| credentials == expected), "{auth}: {asked:?}");
        server.club(|club| club.members.clear());
    }
    // What the definition doesn't name is refused.
    let home = home(
        &server,
        &definition(),
        "kind = \"oauth2\", token_url = \"http://127.0.0.1:9/\", client_id = \"a\", client_secret = { file = \"secret\" }",
    );
    let ran = home.run_json(&["check"]).exits(78).json();
    assert!(ran["errors"][0]["message"].as_str().is_some_and(|m| m.contains("oauth2")), "{ran}");
}

/// Neither reading nor writing follows a redirect: it would carry credentials and people to another host.
#[test]
fn no_redirect_is_followed() {
    let (server, other) = (Server::start(), Server::start());
    let home = home(&server, &definition(), BEARER);
    sync(&home, &[ANN], 0);
    for elsewhere in [format!("{}/members", other.url), format!("{}/members", server.url)] {
        server.club(|club| club.elsewhere = Some(elsewhere));
        server.asked();
        let ran = sync(&home, &[ANN, BOB], 69);
        assert!(ran["runs"][0]["error"]["message"].as_str().is_some_and(|m| m.contains("redirect")), "{ran}");
        let ran = sync(&home, &[&ANN.replace("Zürich", "Chur")], 75);
        assert_eq!(ran["runs"][0]["counts"]["update"]["failed"], 1, "{ran}");
        assert_eq!(server.asked().len(), 2);
    }
    assert_eq!(other.asked(), [""; 0]);
}

/// A secret that is replaced serves the daemon's next run, without a restart or a reload.
#[test]
fn secrets_are_read_again_at_each_run() {
    let server = Server::start();
    let home = home(&server, &definition(), BEARER);
    home.write("config/hr.csv", &format!("{HEADER}{ANN}\n"));
    let daemon = home.start(&["run"]);
    let came = |wanted: &str| {
        let began = Instant::now();
        while !server.club(|club| club.asked.iter().any(|(_, credentials)| credentials == wanted)) {
            assert!(began.elapsed() < Duration::from_secs(60), "no request came with {wanted}");
            // The daemon may not be there yet, or have a run under way.
            let _ = home.run(&["trigger", "staff"]);
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    came("Bearer sandbox");
    home.secret("config/secret", "rotated\n");
    home.write("config/hr.csv", &format!("{HEADER}{ANN}\n{BOB}\n"));
    came("Bearer rotated");
    daemon.signal("TERM");
    daemon.ends().exits(0);
}
