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
}

#[derive(Default)]
struct Users {
    all: Vec<Value>,
    ways: Ways,
    made: usize,
    asked: Vec<String>,
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
            ("PATCH", ..) => (StatusCode::NO_CONTENT, Value::Null),
            _ => (StatusCode::NOT_FOUND, json!({"status": "404"})),
        }
    }
}

async fn serve(State(users): State<Shared>, method: Method, uri: Uri, body: Bytes) -> (StatusCode, String) {
    let (status, answer) = users.lock().expect("the users").answer(&method, &uri, &body);
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
        let row = |n| format!("E{n},Ann,Lee,p{n}@acme.example,CEO,Bern,active\n");
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
