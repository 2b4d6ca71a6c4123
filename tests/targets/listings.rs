//! Listings that lie, against a SCIM server that is told how to: ids that repeat, totals that are not reached or count a
//! page, people who are made while the listing is read. Nobody may be made twice for it, and servers that are only
//! simple must go through as before.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use serde_json::{Value, json};

use super::HEADER;
use crate::support::Home;

const WORK: &str = "emails[type eq \"work\"].value";

/// How the server's listing is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Ways {
    #[default]
    Honest,
    /// Some entries are shown twice, in place of others: nine entries, seven ids.
    Repeats,
    /// It says that there are two more than it shows.
    Short,
    /// Three a page at most, and the total is the page's.
    TotalIsThePage,
    /// Three a page at most, and the total is always three.
    TotalIsTheCap,
    /// Whatever is asked for, everything is shown.
    Unpaged,
    /// What begins behind the total is refused.
    RefusesBeyond,
    /// Somebody is made before the second page: once, or at every reading.
    Moves { always: bool },
    /// The names of its members are in another letter case.
    Shouts,
}

#[derive(Default)]
struct Users {
    all: Vec<Value>,
    ways: Ways,
    made: usize,
    asked: Vec<String>,
    /// The bodies of the requests that change an account.
    patches: Vec<Value>,
}

type Shared = Arc<Mutex<Users>>;

impl Users {
    fn add(&mut self, mut user: Value) -> Value {
        self.made += 1;
        user["id"] = json!(format!("id-{}", self.made));
        self.all.push(user.clone());
        user
    }

    fn list(&mut self, query: &BTreeMap<String, String>) -> (StatusCode, Value) {
        let number = |name: &str| query.get(name).and_then(|n| n.parse::<usize>().ok()).unwrap_or(1);
        let (from, most) = (number("startIndex").saturating_sub(1), number("count"));
        match self.ways {
            Ways::Moves { always } if from > 0 => {
                self.ways = if always { self.ways } else { Ways::Honest };
                let name = format!("new-{}@acme.example", self.made);
                self.add(json!({"userName": name}));
                self.all.rotate_right(1);
            }
            _ => {}
        }
        let capped = if matches!(self.ways, Ways::TotalIsThePage | Ways::TotalIsTheCap) { most.min(3) } else { most };
        let all = self.all.len();
        let mut page: Vec<Value> = self.all.iter().skip(from).take(capped).cloned().collect();
        let mut total = all;
        match self.ways {
            Ways::Repeats if page.len() > 8 => (page[7], page[8]) = (page[0].clone(), page[1].clone()),
            Ways::Short => page.truncate(all.saturating_sub(2).saturating_sub(from)),
            Ways::TotalIsThePage => total = page.len(),
            Ways::TotalIsTheCap => total = 3,
            Ways::Unpaged => page = self.all.clone(),
            Ways::RefusesBeyond if from >= all => {
                return (StatusCode::BAD_REQUEST, json!({"status": "400", "scimType": "invalidValue"}));
            }
            _ => {}
        }
        (StatusCode::OK, json!({"totalResults": total, "Resources": page}))
    }

    fn answer(&mut self, method: &Method, uri: &Uri, body: &Bytes) -> (StatusCode, Value) {
        self.asked.push(format!("{method} {uri}"));
        let query: BTreeMap<String, String> =
            url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        let filter = query.get("filter").and_then(|filter| filter.split_once(" eq "));
        match (method.as_str(), uri.path(), filter) {
            ("GET", "/Users", None) => self.list(&query),
            ("GET", "/Users", Some((name, value))) => {
                let found: Vec<&Value> = self
                    .all
                    .iter()
                    .filter(|user| serde_json::from_str(value).is_ok_and(|sought: Value| user[name] == sought))
                    .collect();
                (StatusCode::OK, json!({"totalResults": found.len(), "Resources": found}))
            }
            ("POST", "/Users", _) => {
                let user = serde_json::from_slice(body).expect("a user");
                (StatusCode::CREATED, self.add(user))
            }
            ("PATCH", path, _) => {
                let patch: Value = serde_json::from_slice(body).expect("a patch");
                let id = path.trim_start_matches("/Users/");
                let user = self.all.iter_mut().find(|user| user["id"] == id).expect("a user");
                let done = patch["Operations"].as_array().expect("operations").iter().all(|one| apply(user, one));
                self.patches.push(patch);
                match done {
                    true => (StatusCode::NO_CONTENT, Value::Null),
                    false => (StatusCode::BAD_REQUEST, json!({"status": "400", "scimType": "noTarget"})),
                }
            }
            ("GET", path, _) => {
                let user = self.all.iter().find(|user| user["id"] == path.trim_start_matches("/Users/"));
                user.map_or((StatusCode::NOT_FOUND, json!({"status": "404"})), |user| (StatusCode::OK, user.clone()))
            }
            _ => (StatusCode::NOT_FOUND, json!({"status": "404"})),
        }
    }
}

/// One operation of a patch, as a strict server carries it out; whether its target is there.
fn apply(user: &mut Value, operation: &Value) -> bool {
    let path = operation["path"].as_str().expect("a path");
    let Some((list, _)) = path.split_once("[type eq \"work\"]") else {
        user[path] = match (operation["op"].as_str(), user.get(path)) {
            (Some("add"), Some(Value::Array(held))) => {
                [held.as_slice(), operation["value"].as_array().expect("some")].concat().into()
            }
            _ => operation["value"].clone(),
        };
        return true;
    };
    let typed = user[list].as_array_mut().and_then(|elements| elements.iter_mut().find(|one| one["type"] == "work"));
    typed.map(|element| element["value"] = operation["value"].clone()).is_some()
}

/// The same with the names of members in another letter case.
fn shouted(value: Value) -> Value {
    let first = |name: String| match name.as_str() {
        "id" => "ID".to_string(),
        "Resources" => "resources".to_string(),
        name => name[..1].to_uppercase() + &name[1..],
    };
    match value {
        Value::Object(members) => members.into_iter().map(|(name, value)| (first(name), shouted(value))).collect(),
        Value::Array(items) => items.into_iter().map(shouted).collect(),
        Value::Bool(yes) => json!(if yes { "True" } else { "False" }),
        value => value,
    }
}

async fn serve(State(users): State<Shared>, method: Method, uri: Uri, body: Bytes) -> (StatusCode, String) {
    let mut users = users.lock().expect("the users");
    let (status, answer) = users.answer(&method, &uri, &body);
    let answer = if users.ways == Ways::Shouts { shouted(answer) } else { answer };
    (status, if answer.is_null() { String::new() } else { answer.to_string() })
}

/// The server, on a runtime of its own, and a home whose target it is.
struct Stage {
    users: Shared,
    home: Home,
    _runtime: tokio::runtime::Runtime,
}

impl Stage {
    /// With so many people there, in these ways.
    fn with(count: u32, ways: Ways) -> Stage {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("one");
        let users = Shared::default();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let app = axum::Router::new().fallback(serve).with_state(Arc::clone(&users));
        runtime.spawn(async move { axum::serve(listener, app).await });
        for n in 1..=count {
            users.lock().expect("the users").add(json!({"userName": format!("p{n}@acme.example")}));
        }
        users.lock().expect("the users").ways = ways;
        let home = Home::empty();
        home.write(
            "config/rosterd.toml",
            &format!(
                "[state]\npath = \"../state/rosterd.db\"\n[sources.hr]\nkind = \"csv\"\npath = \"hr.csv\"\n\
                 key = \"employee_id\"\nmax_shrink = \"unlimited\"\n[targets.there]\nkind = \"scim\"\n\
                 base_url = \"{url}\"\nauth = {{ kind = \"none\" }}\nrate = \"1000/s\"\nburst = 100\n\
                 retry = {{ attempts = 2, base = \"5ms\", max = \"20ms\" }}\n\
                 [syncs.staff]\nsource = \"hr\"\ntarget = \"there\"\nmatch = [\"userName\"]\n\
                 [syncs.staff.map]\nuserName = \"email\"\nexternalId = \"employee_id\"\n"
            ),
        );
        Stage { users, home, _runtime: runtime }
    }

    /// People are recognised by their e-mail, which is mapped, as is what they are called.
    fn by_email(self) -> Stage {
        let config = std::fs::read_to_string(self.home.config()).expect("the configuration");
        let config = config.replace("match = [\"userName\"]", &format!("match = ['{WORK}']"));
        let config = config.replace(
            "userName = \"email\"",
            &format!("userName = \"employee_id\"\n'{WORK}' = \"email\"\ntitle = \"title\""),
        );
        std::fs::write(self.home.config(), config).expect("written");
        self
    }

    /// What was changed since the last time.
    fn patches(&self) -> Vec<Value> {
        std::mem::take(&mut self.users.lock().expect("the users").patches)
    }

    fn emails(&self) -> Vec<Value> {
        self.users.lock().expect("the users").all.iter().map(|user| user["emails"].clone()).collect()
    }

    /// Pages of this size are asked for.
    fn page_size(self, size: u32) -> Stage {
        let config = std::fs::read_to_string(self.home.config()).expect("the configuration");
        let config =
            config.replace("rate = \"1000/s\"", &format!("rate = \"1000/s\"\noptions = {{ page_size = {size} }}"));
        std::fs::write(self.home.config(), config).expect("written");
        self
    }

    #[track_caller]
    fn sync(&self, numbers: std::ops::RangeInclusive<u32>, code: i32) -> Value {
        self.sync_at("acme.example", numbers, code)
    }

    /// With addresses at this domain.
    #[track_caller]
    fn sync_at(&self, domain: &str, numbers: std::ops::RangeInclusive<u32>, code: i32) -> Value {
        let row = |n| format!("E{n},Ann,Lee,p{n}@{domain},CEO,Bern,active\n");
        self.home.write("config/hr.csv", &format!("{HEADER}{}", numbers.map(row).collect::<String>()));
        self.users.lock().expect("the users").asked.clear();
        self.home.run_json(&["sync"]).exits(code).json()["runs"][0].clone()
    }

    fn asked(&self, method: &str) -> Vec<String> {
        let users = self.users.lock().expect("the users");
        users.asked.iter().filter(|request| request.starts_with(method)).cloned().collect()
    }
}

/// A listing that lies makes nobody: 69, with figures and ids.
#[test]
fn a_listing_that_lies_is_none() {
    for (ways, told) in [
        (Ways::Repeats, "account id-1 more than once (7 different accounts in 9 entries)"),
        (Ways::Short, "it shows 7 accounts and says that there are 9"),
    ] {
        let stage = Stage::with(9, ways);
        let ran = stage.sync(1..=9, 69);
        let error = ran["error"]["message"].as_str().unwrap_or_default();
        assert!(error.contains(told), "{ways:?}: {ran}");
        assert_eq!(stage.asked("POST"), [""; 0], "{ways:?}");
        let listed: Vec<String> =
            stage.asked("GET /Users?").into_iter().filter(|r| r.contains("startIndex=1&")).collect();
        assert_eq!(listed.len(), 2, "{ways:?}: it was read anew once");
        // A reconcile lists too.
        let ran = stage.home.run_json(&["reconcile", "--adopt"]).exits(69);
        assert!(format!("{}{}", ran.stdout, ran.stderr).contains(told), "{ways:?}: {ran:?}");
    }
}

/// A total that counts the page hides nobody: the next page is asked for, and the one after it, until there is nobody.
#[test]
fn a_total_that_is_the_pages_doubles_nobody() {
    for ways in [Ways::TotalIsThePage, Ways::TotalIsTheCap] {
        for size in [3, 100] {
            let stage = Stage::with(8, ways).page_size(size);
            let ran = stage.sync(1..=9, 0);
            assert_eq!(ran["counts"]["adopt"]["ok"], 8, "{ways:?}, {size} a page: {ran}");
            assert_eq!(ran["counts"]["create"]["ok"], 1, "{ways:?}, {size} a page: {ran}");
            assert_eq!(stage.asked("POST").len(), 1, "{ways:?}, {size} a page");
        }
    }
}

/// Servers that are simple, and honest, are listed as before; one request more tells that nobody is beyond the total.
#[test]
fn simple_servers_are_believed() {
    for (ways, size, requests) in [
        (Ways::Honest, 100, 2),
        (Ways::Honest, 3, 3),
        (Ways::Unpaged, 100, 2),
        (Ways::RefusesBeyond, 100, 2),
        (Ways::RefusesBeyond, 8, 2),
    ] {
        let stage = Stage::with(8, ways).page_size(size);
        let ran = stage.sync(1..=9, 0);
        assert_eq!(ran["counts"]["adopt"]["ok"], 8, "{ways:?}: {ran}");
        assert_eq!(stage.asked("GET /Users").len(), requests, "{ways:?}: {:?}", stage.asked("GET"));
    }
    let stage = Stage::with(0, Ways::Honest);
    let ran = stage.sync(1..=3, 0);
    assert_eq!(ran["counts"]["create"]["ok"], 3, "a total of 0 is believed: {ran}");
    assert_eq!(stage.asked("GET /Users").len(), 1);
}

/// People who are made at the target while it is listed move others from page to page: it is listed anew, once.
#[test]
fn a_listing_that_moves_is_read_anew_once() {
    let stage = Stage::with(8, Ways::Moves { always: false }).page_size(3);
    let ran = stage.sync(1..=9, 0);
    assert_eq!(ran["counts"]["adopt"]["ok"], 8, "{ran}");
    assert_eq!(stage.asked("POST").len(), 1);

    let stage = Stage::with(8, Ways::Moves { always: true }).page_size(3);
    let ran = stage.sync(1..=9, 69);
    assert!(ran["error"]["message"].as_str().is_some_and(|m| m.contains("2 times in a row")), "{ran}");
    assert_eq!(stage.asked("POST"), [""; 0]);
}

/// E-mails in every form in which servers keep them.
fn of_every_form() -> Vec<Value> {
    let (at, home) = (|n: u32| json!(format!("p{n}@acme.example")), json!({"value": "h@home.example", "type": "home"}));
    vec![
        json!([{"value": at(1), "type": "work"}]),
        json!([{"value": at(2)}]),
        json!([{"value": at(3), "primary": true}]),
        json!([{"value": "old@acme.example"}, {"value": at(4), "primary": true}]),
        json!([{"value": at(5), "type": ""}, home]),
        json!([at(6)]),
        json!({"value": at(7)}),
        json!(at(8)),
    ]
}

/// Whatever form their e-mail has, people are recognised by it and nobody is made twice; what is equal is not written, and
/// what changes is written in its place.
#[test]
fn people_are_recognised_by_emails_of_every_form() {
    let stage = Stage::with(0, Ways::Honest).by_email();
    for emails in of_every_form() {
        stage.users.lock().expect("the users").add(json!({"userName": "somebody", "title": "CEO", "emails": emails}));
    }
    let rows = |domain: &str| stage.sync_at(domain, 1..=8, 0);
    let ran = rows("acme.example");
    assert_eq!(ran["counts"]["adopt"]["ok"], 8, "{ran}");
    assert_eq!(stage.asked("POST"), [""; 0]);
    stage.patches();

    let mails = stage.emails();
    let ran = rows("acme.example");
    assert_eq!(ran["unchanged"], 8, "{ran}");
    let report = stage.home.run_json(&["reconcile", "--adopt", "--repair"]).exits(0).json();
    assert_eq!(report["syncs"][0]["in_step"], 8, "{report}");
    assert_eq!((stage.patches(), stage.emails()), (vec![], mails), "what is in step is not written");

    // They move to another domain: the address that stood in is replaced, and no second one is beside it.
    let ran = rows("new.example");
    assert_eq!(ran["counts"]["update"]["ok"], 8, "{ran}");
    for (n, emails) in (1..).zip(stage.emails()) {
        let text = emails.to_string();
        assert!(text.contains(&format!("p{n}@new.example")) && !text.contains(&format!("p{n}@acme.example")), "{text}");
        assert_eq!(text.matches('@').count(), if matches!(n, 4 | 5) { 2 } else { 1 }, "{text}");
    }
    stage.patches();
    rows("new.example");
    assert_eq!(stage.patches(), Vec::<Value>::new());
}

/// An address of another type, if it is the only or the primary one, recognises too; it stays as it is.
#[test]
fn people_are_recognised_by_their_only_email_whatever_its_type() {
    let stage = Stage::with(0, Ways::Honest).by_email();
    for emails in [
        json!([{"value": "p1@acme.example", "type": "home"}]),
        json!([{"value": "x@acme.example", "type": "other"}, {"value": "p2@acme.example", "type": "home", "primary": true}]),
    ] {
        stage.users.lock().expect("the users").add(json!({"userName": "somebody", "emails": emails}));
    }
    let ran = stage.sync(1..=3, 0);
    assert_eq!((&ran["counts"]["adopt"]["ok"], &ran["counts"]["create"]["ok"]), (&json!(2), &json!(1)), "{ran}");
    let first = &stage.emails()[0];
    let work = json!({"value": "p1@acme.example", "type": "work"});
    assert_eq!(
        first,
        &json!([{"value": "p1@acme.example", "type": "home"}, work]),
        "the definition asks for one of work"
    );
}

/// Names in another letter case are the same names (RFC 7643, section 2.1): in listings, in answers about one account.
#[test]
fn names_in_any_letter_case_are_understood() {
    let stage = Stage::with(0, Ways::Shouts).by_email();
    for n in 1..=8 {
        let emails = json!([{"value": format!("p{n}@acme.example"), "type": "work", "primary": true}]);
        let user = json!({"userName": format!("E{n}"), "externalId": format!("E{n}"), "title": "CEO", "active": n != 8, "emails": emails});
        stage.users.lock().expect("the users").add(user);
    }
    let ran = stage.sync(1..=9, 0);
    assert_eq!((&ran["counts"]["adopt"]["ok"], &ran["counts"]["create"]["ok"]), (&json!(8), &json!(1)), "{ran}");
    let written: Vec<Value> = stage.patches();
    assert_eq!(written.len(), 1, "only who was not active there is written: {written:?}");
    let report = stage.home.run_json(&["reconcile", "--adopt"]).exits(0).json();
    assert_eq!(report["syncs"][0]["in_step"], 9, "{report}");
}

/// Each value of a set recognises, as a single value does.
#[test]
fn people_are_recognised_by_each_value_of_a_set() {
    let stage = Stage::with(0, Ways::Honest);
    for n in 1..=2 {
        let roles = json!([{"value": "visitor"}, {"value": format!("BADGE-e{n}")}]);
        stage.users.lock().expect("the users").add(json!({"userName": format!("old{n}"), "roles": roles}));
    }
    let config = std::fs::read_to_string(stage.home.config()).expect("the configuration");
    let config = config.replace("match = [\"userName\"]", "match = [\"roles\"]");
    let config = format!("{config}roles = {{ cel = '[\"badge-\" + employee_id, \"staff\" + employee_id]' }}\n");
    std::fs::write(stage.home.config(), config).expect("written");
    let ran = stage.sync(1..=3, 0);
    assert_eq!((&ran["counts"]["adopt"]["ok"], &ran["counts"]["create"]["ok"]), (&json!(2), &json!(1)), "{ran}");
    assert_eq!(stage.asked("POST").len(), 1);
}
