//! A platform that lies: it answers with other people's accounts, carries out what it has no answer for, says that the
//! living are gone, gives ids anew, and keeps values of its own. Nothing of that may make a second account, link a stranger
//! or take the wrong person's access.
//!
//! It speaks as JUNO does, has no uniqueness of its own, and keeps all that it was sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::support::{Home, Person, people};

/// What it does wrong.
#[derive(Clone, Debug, Default, PartialEq)]
enum Lie {
    #[default]
    None,
    /// Two creates that come at once get each other's answers.
    Crossed,
    /// A create is answered with this account.
    Answered(Value),
    /// A create waits so long before it is carried out; before that, nothing or this status is answered.
    Late(Duration, Option<u16>),
    /// This account is shown whichever is asked for by its id.
    ShowsAlways(u64),
    /// Whatever is written to an account is answered with this status, and not done.
    Writes(u16),
    /// A create with a phone that is taken overwrites the account that has it.
    Upserts,
    /// Titles are kept in capitals, phones not at all; `true`: answers show nothing.
    OfItsOwnMind(bool),
}

#[derive(Default)]
struct Platform {
    users: BTreeMap<u64, Map<String, Value>>,
    last: u64,
    lie: Lie,
    /// Answers that wait for those of others.
    crossing: Vec<tokio::sync::oneshot::Sender<Value>>,
    /// Each request: method, path without query, body.
    asked: Vec<(String, Value)>,
}

type Shared = Arc<Mutex<Platform>>;

impl Platform {
    fn store(&mut self, id: Option<u64>, sent: &Value) -> Value {
        let id = id.unwrap_or(self.last + 1);
        self.last = self.last.max(id);
        let lie = self.lie.clone();
        let user = self.users.entry(id).or_insert_with(|| [("banned".to_string(), json!(false))].into_iter().collect());
        user.insert("id".into(), json!(id));
        user.extend(sent.as_object().cloned().unwrap_or_default());
        if let Lie::OfItsOwnMind(_) = lie {
            let title = user.get("title").and_then(Value::as_str).map(str::to_uppercase);
            user.extend(title.map(|title| ("title".to_string(), json!(title))));
            user.remove("phone");
        }
        Value::Object(user.clone())
    }

    fn create(&mut self, sent: &Value) -> Value {
        let holder = self.users.iter().find(|(_, user)| user.get("phone") == sent.get("phone")).map(|(id, _)| *id);
        self.store(holder.filter(|_| self.lie == Lie::Upserts), sent)
    }

    fn found(&self, uri: &Uri) -> Value {
        let query: BTreeMap<String, String> =
            url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        let folded = |value: &Value| value.as_str().unwrap_or_default().to_lowercase();
        let fits = |user: &&Map<String, Value>| {
            let is =
                |f: &str| query.get(f).is_none_or(|v| user.get(f).is_some_and(|held| folded(held) == v.to_lowercase()));
            is("client_id") && is("email")
        };
        let page: usize = query.get("page").map_or(1, |page| page.parse().expect("a page"));
        let size: usize = query.get("per_page").map_or(usize::MAX, |size| size.parse().expect("a size"));
        let users: Vec<_> = self.users.values().filter(fits).skip((page - 1) * size).take(size).cloned().collect();
        json!(users)
    }
}

fn answer(status: u16, body: &Value) -> Response {
    (StatusCode::from_u16(status).expect("a status"), body.to_string()).into_response()
}

async fn serve(State(platform): State<Shared>, method: Method, uri: Uri, body: Bytes) -> Response {
    let sent: Value = serde_json::from_slice(&body).unwrap_or_default();
    let id = uri.path().strip_prefix("/users/").map(|id| id.parse::<u64>().expect("an id"));
    let lie = {
        let mut platform = platform.lock().expect("sound");
        platform.asked.push((format!("{method} {}", uri.path()), sent.clone()));
        platform.lie.clone()
    };
    let locked = || platform.lock().expect("sound");
    match (method.as_str(), id) {
        ("POST", None) => create(&platform, &lie, &sent).await,
        ("GET", None) => answer(200, &locked().found(&uri)),
        ("GET", Some(id)) => {
            let shown = if let Lie::ShowsAlways(other) = lie { other } else { id };
            match locked().users.get(&shown) {
                Some(user) => answer(200, &json!(user)),
                None => answer(404, &json!({})),
            }
        }
        ("PUT", Some(id)) => match lie {
            Lie::Writes(status) => answer(status, &json!({})),
            _ if !locked().users.contains_key(&id) => answer(404, &json!({})),
            Lie::OfItsOwnMind(true) => {
                locked().store(Some(id), &sent);
                StatusCode::NO_CONTENT.into_response()
            }
            _ => answer(200, &locked().store(Some(id), &sent)),
        },
        _ => answer(400, &json!({})),
    }
}

async fn create(platform: &Shared, lie: &Lie, sent: &Value) -> Response {
    match lie {
        Lie::Crossed => {
            let (own, other) = {
                let mut platform = platform.lock().expect("sound");
                let own = platform.create(sent);
                let (send, other) = tokio::sync::oneshot::channel();
                match platform.crossing.pop() {
                    // The second of two: both are here.
                    Some(first) => {
                        let theirs = platform.users[&(own["id"].as_u64().expect("an id") - 1)].clone();
                        first.send(own).expect("it waits");
                        return answer(201, &json!(theirs));
                    }
                    None => platform.crossing.push(send),
                }
                (own, other)
            };
            answer(201, &other.await.unwrap_or(own))
        }
        Lie::Answered(account) => {
            platform.lock().expect("sound").create(sent);
            answer(201, account)
        }
        Lie::Late(after, status) => {
            let (platform, sent, after) = (Arc::clone(platform), sent.clone(), *after);
            let late = tokio::spawn(async move {
                tokio::time::sleep(after).await;
                platform.lock().expect("sound").create(&sent)
            });
            match status {
                Some(status) => answer(*status, &json!({})),
                None => answer(201, &late.await.expect("it ends")),
            }
        }
        _ => answer(201, &platform.lock().expect("sound").create(sent)),
    }
}

/// The platform, on a runtime of its own, and a home whose target it is.
struct Bench {
    platform: Shared,
    home: Home,
    _runtime: tokio::runtime::Runtime,
}

impl Bench {
    fn new() -> Bench {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("one");
        let platform = Shared::default();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let home = Home::juno(&format!("http://{}", listener.local_addr().expect("an address")));
        let app = axum::Router::new().fallback(serve).with_state(Arc::clone(&platform));
        runtime.spawn(async move { axum::serve(listener, app).await });
        Bench { platform, home, _runtime: runtime }
    }

    /// These people are loaded, in the order of their keys, from account 1 on.
    fn loaded(people: &[Person]) -> Bench {
        let bench = Bench::new();
        bench.set("concurrency = 1");
        bench.sync(people, 0);
        bench
    }

    /// Changes, or adds, a setting of the target.
    fn set(&self, line: &str) {
        let text = std::fs::read_to_string(self.home.config()).expect("the configuration");
        let name = line.split(' ').next().expect("a name");
        let kept: Vec<&str> = text.lines().filter(|l| !l.starts_with(&format!("{name} = "))).collect();
        let text = kept.join("\n").replace("kind = \"juno\"\n", &format!("kind = \"juno\"\n{line}\n"));
        self.home.write("config/rosterd.toml", &text);
    }

    fn with<T>(&self, what: impl FnOnce(&mut Platform) -> T) -> T {
        what(&mut self.platform.lock().expect("sound"))
    }

    fn lies(&self, lie: Lie) {
        self.with(|platform| platform.lie = lie);
    }

    #[track_caller]
    fn sync(&self, people: &[Person], code: i32) -> Value {
        self.home.roster(people);
        self.home.run_json(&["sync"]).exits(code).the_run()
    }

    /// The accounts of a key.
    fn accounts(&self, key: &str) -> Vec<Map<String, Value>> {
        self.with(|platform| platform.users.values().filter(|u| u["client_id"] == key).cloned().collect())
    }

    #[track_caller]
    fn account(&self, key: &str) -> Map<String, Value> {
        let found = self.accounts(key);
        assert_eq!(found.len(), 1, "accounts of {key}");
        found[0].clone()
    }

    /// What was asked since the last time: method and path.
    fn asked(&self) -> Vec<String> {
        self.with(|platform| std::mem::take(&mut platform.asked)).into_iter().map(|(request, _)| request).collect()
    }

    fn writes(&self) -> Vec<String> {
        self.asked().into_iter().filter(|request| !request.starts_with("GET")).collect()
    }

    /// Everybody is linked to the account that carries their key, and to no other.
    #[track_caller]
    fn links_are_right(&self) {
        for row in self.home.query("SELECT key, remote_id FROM v_users WHERE remote_id IS NOT NULL") {
            let id: u64 = row[1].as_str().expect("an id").parse().expect("a number");
            let holder = self.with(|platform| platform.users[&id]["client_id"].clone());
            assert_eq!(holder, row[0], "account {id}");
        }
    }

    fn outcome(&self, key: &str) -> Value {
        self.home.outcomes(&["--key", key]).pop().expect("an outcome")
    }

    /// Lets the entries of the journal be as old as this.
    fn aged(&self, since: &str) {
        let db = rusqlite::Connection::open(self.home.database()).expect("the database");
        db.execute("UPDATE journal SET intended_at = ?1", [since]).expect("aged");
    }
}

const LONG_AGO: &str = "2020-01-01T00:00:00.000Z";

fn gone(mut people: Vec<Person>, n: usize) -> Vec<Person> {
    people[n].status = "gone".into();
    people
}

#[test]
fn two_creates_that_get_each_others_answers_end_linked_to_the_right_accounts() {
    let bench = Bench::new();
    bench.lies(Lie::Crossed);
    let run = bench.sync(&people(1, 2), 0);
    assert_eq!(run["counts"]["adopt"]["ok"], 2, "found at the end of the run: {run}");
    assert_eq!(bench.with(|platform| platform.users.len()), 2);
    bench.links_are_right();
    let outcomes = bench.home.outcomes(&[]);
    assert_eq!(outcomes.len(), 2, "one outcome each: {outcomes:?}");
    bench.lies(Lie::None);
    bench.asked();
    bench.sync(&people(1, 2), 0);
    assert_eq!(bench.asked(), [""; 0]);
}

#[test]
fn an_answer_about_somebody_else_links_nobody() {
    for answered in [
        json!({"id": 1, "client_id": "ADMIN"}),
        json!({"id": 1, "client_id": "ADMIN", "email": "p2@acme.example"}),
        json!({"id": 1, "email": "admin@acme.example"}),
    ] {
        let bench = Bench::new();
        bench.with(|platform| {
            let admin = json!({"client_id": "ADMIN", "email": "admin@acme.example", "title": "Boss"});
            platform.store(Some(1), &admin);
        });
        bench.lies(Lie::Answered(answered.clone()));
        bench.sync(&people(1, 3), 0);
        bench.links_are_right();
        // Whoever leaves takes nobody's access with them.
        bench.lies(Lie::None);
        bench.sync(&gone(people(1, 3), 1), 0);
        assert_eq!(bench.account("ADMIN")["banned"], false, "{answered}");
        assert_eq!(
            (&bench.account("ADMIN")["title"], &bench.account("E0002")["banned"]),
            (&json!("Boss"), &json!(true))
        );
    }
    // A control: a key in capitals, or with blanks around it, is the same.
    for key in ["e0001", " E0001 "] {
        let bench = Bench::new();
        bench.lies(Lie::Answered(json!({"id": 1, "client_id": key})));
        let run = bench.sync(&people(1, 1), 0);
        assert_eq!(
            (&run["counts"]["create"]["ok"], &run["counts"]["create"]["unknown"]),
            (&json!(1), &json!(0)),
            "{run}"
        );
    }
}

#[test]
fn a_create_that_is_carried_out_late_is_never_sent_twice() {
    // Long enough for the process to have ended, on a busy machine too, when it is carried out.
    for status in [None, Some(504), Some(500)] {
        let bench = Bench::new();
        bench.set("timeout = \"500ms\"");
        bench.set("settle = \"60s\"");
        let late = Duration::from_millis(if status.is_some() { 4000 } else { 3000 });
        bench.lies(Lie::Late(late, status));
        let run = bench.sync(&people(1, 2), 75);
        assert_eq!(run["counts"]["create"]["unknown"], 2, "{status:?}: {run}");
        assert_eq!(bench.writes().len(), 2, "{status:?}: once each");
        assert_eq!(bench.home.outcomes(&[]).len(), 2, "{status:?}: one outcome each");
        // A run that follows at once finds nobody yet, or somebody by now: it sends nothing.
        bench.lies(Lie::None);
        bench.home.run(&["sync"]);
        assert_eq!(bench.writes(), [""; 0], "{status:?}");
        let began = std::time::Instant::now();
        while bench.with(|platform| platform.users.len()) < 2 {
            assert!(began.elapsed() < Duration::from_secs(60), "never carried out");
            std::thread::sleep(Duration::from_millis(50));
        }
        bench.sync(&people(1, 2), 0);
        assert_eq!(bench.writes(), [""; 0], "{status:?}: found, as they are");
        assert_eq!((bench.accounts("E0001").len(), bench.accounts("E0002").len()), (1, 1), "{status:?}");
        bench.links_are_right();
    }
}

#[test]
fn a_create_that_came_to_nothing_is_sent_again_only_when_the_target_had_time() {
    let bench = Bench::new();
    bench.set("settle = \"60s\"");
    bench.lies(Lie::Late(Duration::from_secs(3600), Some(500)));
    bench.sync(&people(1, 2), 75);
    bench.lies(Lie::None);
    bench.asked();
    for _ in 0..2 {
        let run = bench.sync(&people(1, 2), 75);
        assert_eq!(run["planned"], json!({}));
    }
    let plan = bench.home.run_json(&["plan"]).json();
    assert_eq!(plan["syncs"][0]["unresolved"], json!(["E0001", "E0002"]));
    assert_eq!(bench.writes(), [""; 0]);
    // A clock that was ahead, and is right again, makes nothing older.
    bench.aged("2099-01-01T00:00:00.000Z");
    bench.sync(&people(1, 2), 75);
    let since = bench.home.query("SELECT DISTINCT intended_at < '2099' FROM journal");
    assert_eq!((json!(since), bench.writes()), (json!([[1]]), vec![]), "it counts from now");
    bench.aged(LONG_AGO);
    let run = bench.sync(&people(1, 2), 0);
    assert_eq!(run["counts"]["create"]["ok"], 2, "{run}");
    assert_eq!(bench.writes().len(), 2);

    // Without any time to settle it is still not sent twice in one run.
    let bench = Bench::new();
    bench.lies(Lie::Late(Duration::from_secs(3600), Some(500)));
    bench.sync(&people(1, 2), 75);
    assert_eq!(bench.writes().len(), 2);
    bench.lies(Lie::None);
    bench.sync(&people(1, 2), 0);
    assert_eq!(bench.writes().len(), 2);
}

#[test]
fn an_account_that_was_to_be_made_anew_is_not_made_twice() {
    let bench = Bench::loaded(&people(1, 2));
    bench.set("settle = \"60s\"");
    bench.with(|platform| platform.users.clear());
    bench.lies(Lie::Late(Duration::from_secs(3600), Some(500)));
    let mut changed = people(1, 2);
    changed[0].title = "Chef".into();
    bench.asked();
    bench.sync(&changed, 75);
    assert_eq!(bench.writes().iter().filter(|r| *r == "POST /users").count(), 1);
    bench.lies(Lie::None);
    bench.sync(&changed, 75);
    assert_eq!(bench.writes(), [""; 0], "the update had become a create, and that may still come");
    bench.aged(LONG_AGO);
    bench.sync(&changed, 0);
    assert_eq!(bench.writes().iter().filter(|r| *r == "POST /users").count(), 1);
    assert_eq!(bench.account("E0001")["title"], "Chef");
}

#[test]
fn an_id_that_was_given_to_somebody_else_takes_nobodys_access() {
    for key in [json!("CEO"), Value::Null] {
        let bench = Bench::loaded(&people(1, 3));
        bench.with(|platform| {
            platform.users.remove(&2);
            let ceo = json!({"client_id": key, "email": "ceo@acme.example", "title": "CEO"});
            platform.store(Some(2), &ceo);
        });
        bench.asked();
        bench.sync(&gone(people(1, 3), 1), 75);
        let told = bench.outcome("E0002");
        assert_eq!(
            (&told["op"], &told["status"], &told["error"]["kind"]),
            (&json!("ban"), &json!("failed"), &json!("conflict"))
        );
        assert_eq!(bench.writes(), [""; 0]);
        assert_eq!(bench.with(|platform| platform.users[&2]["banned"].clone()), false);
        // Nor by way of a reconcile, which has seen that account.
        bench.home.run_json(&["reconcile"]);
        bench.home.run_json(&["reconcile", "--repair"]);
        bench.home.run_json(&["sync"]);
        assert_eq!(bench.with(|platform| platform.users[&2]["banned"].clone()), false, "{key}");
    }
    // A control: an ordinary ban is one look and one request, an ordinary update one request.
    let bench = Bench::loaded(&people(1, 3));
    bench.asked();
    let mut changed = gone(people(1, 3), 1);
    changed[0].title = "Chef".into();
    bench.sync(&changed, 0);
    assert_eq!(bench.asked(), ["GET /users/2", "PUT /users/2", "PUT /users/1"]);
    // Drifted beyond the key, they are still themselves.
    bench.with(|platform| {
        platform.users.get_mut(&3).expect("there").insert("email".into(), json!("married@acme.example"));
    });
    bench.sync(&gone(changed, 2), 0);
    assert_eq!(bench.account("E0003")["banned"], true);
}

#[test]
fn another_account_shown_for_the_one_asked_for_is_not_believed() {
    let bench = Bench::loaded(&people(1, 3));
    bench.lies(Lie::ShowsAlways(3));
    bench.asked();
    bench.sync(&gone(people(1, 3), 1), 75);
    assert_eq!(bench.outcome("E0002")["error"]["kind"], "conflict");
    assert_eq!(bench.writes(), [""; 0]);

    // Where whole accounts are written, nothing is built on it.
    let bench = Bench::new();
    let definition = bench.home.run(&["targets", "show", "juno"]).exits(0).stdout;
    let merged = definition.replace("body = \"changes\"              # fields", "body = \"merged\"  # fields");
    assert_ne!(merged, definition);
    bench.home.write("config/merged.toml", &merged);
    let text = std::fs::read_to_string(bench.home.config()).expect("the configuration");
    let text = text.replace("kind = \"juno\"", "kind = \"rest\"\ndefinition = \"merged.toml\"\nconcurrency = 1");
    bench.home.write("config/rosterd.toml", &text);
    bench.sync(&people(1, 3), 0);
    let mut changed = people(1, 3);
    changed[0].title = "Chef".into();
    bench.lies(Lie::ShowsAlways(3));
    bench.asked();
    bench.sync(&changed, 75);
    assert_eq!(bench.outcome("E0001")["status"], "unknown");
    assert_eq!(bench.writes(), [""; 0]);
    bench.lies(Lie::None);
    bench.sync(&changed, 0);
    assert_eq!((&bench.account("E0001")["title"], &bench.account("E0003")["title"]), (&json!("Chef"), &json!("Clerk")));
    // And a ban reads it once, not twice.
    bench.asked();
    changed[1].status = "gone".into();
    bench.sync(&changed, 0);
    assert_eq!(bench.asked(), ["GET /users/2", "PUT /users/2"]);
}

#[test]
fn who_is_said_to_be_gone_and_is_there_still_has_access_and_that_is_said() {
    let bench = Bench::loaded(&people(1, 3));
    bench.lies(Lie::Writes(404));
    bench.sync(&gone(people(1, 3), 1), 75);
    let told = bench.outcome("E0002");
    assert_eq!((&told["op"], &told["status"]), (&json!("ban"), &json!("failed")), "{told}");
    let message = told["error"]["message"].as_str().expect("a message");
    assert!(message.contains("is there when it is read") && message.contains("operations.ban"), "{message}");
    let mut changed = people(1, 3);
    changed[0].title = "Chef".into();
    bench.asked();
    bench.sync(&changed, 75);
    assert_eq!(bench.outcome("E0001")["status"], "failed");
    assert!(!bench.writes().contains(&"POST /users".to_string()), "no second account");
    bench.lies(Lie::None);
    bench.sync(&gone(people(1, 3), 1), 0);
    assert_eq!(bench.account("E0002")["banned"], true);
}

#[test]
fn whose_id_has_changed_is_followed_when_they_leave() {
    let moved = |bench: &Bench| {
        bench.with(|platform| {
            let mut user = platform.users.remove(&2).expect("there");
            user.extend([("id".to_string(), json!(92)), ("banned".to_string(), json!(false))]);
            platform.users.insert(92, user);
        });
    };
    let bench = Bench::loaded(&people(1, 3));
    moved(&bench);
    bench.sync(&gone(people(1, 3), 1), 0);
    let told = bench.outcome("E0002");
    assert_eq!((&told["status"], &told["remote_id"], &told["reason"]), (&json!("ok"), &json!("92"), &Value::Null));
    assert_eq!(bench.account("E0002")["banned"], true);
    bench.links_are_right();
    // Somebody who was banned and has moved since, or was restored by hand: a reconcile sees that they are back.
    for deleted in [false, true] {
        let bench = Bench::loaded(&people(1, 3));
        let user = bench.with(|platform| platform.users[&2].clone());
        if deleted {
            bench.with(|platform| platform.users.remove(&2));
        }
        bench.sync(&gone(people(1, 3), 1), 0);
        if deleted {
            assert_eq!(bench.outcome("E0002")["reason"], "already gone");
            bench.with(|platform| platform.users.insert(2, user));
        }
        moved(&bench);
        let report = bench.home.run_json(&["reconcile"]).exits(0).json();
        let there = json!([{"key": "E0002", "remote_id": "92", "label": "Ann2 Ash p2@acme.example"}]);
        assert_eq!(report["syncs"][0]["active_there"], there, "{report}");
        bench.home.run_json(&["reconcile", "--repair"]).exits(0);
        assert_eq!(bench.account("E0002")["banned"], true);
        bench.links_are_right();
    }
}

#[test]
fn an_account_that_is_anothers_fails_one_operation_and_no_outcome_is_missing() {
    let bench = Bench::new();
    bench.lies(Lie::Upserts);
    // Of what it takes for one account no plan can know.
    let mut everybody = people(1, 12);
    everybody[6].phone = everybody[2].phone.clone();
    let run = bench.sync(&everybody, 75);
    assert_eq!((&run["counts"]["create"]["ok"], &run["counts"]["create"]["failed"]), (&json!(11), &json!(1)), "{run}");
    let outcomes = bench.home.outcomes(&[]);
    assert_eq!(outcomes.len(), 12, "{run}");
    let failed: Vec<&Value> = outcomes.iter().filter(|o| o["status"] == "failed").collect();
    let message = failed[0]["error"]["message"].as_str().expect("a message");
    assert!(failed[0]["error"]["kind"] == "conflict" && message.contains(" belongs to E000"), "{message}");
    assert_eq!(bench.home.query("SELECT count(*) FROM journal"), [[json!(0)]]);
    bench.home.run(&["state", "verify"]).exits(0);
}

#[test]
fn an_account_of_another_sync_is_not_linked_whatever_the_target_answers() {
    let bench = Bench::loaded(&people(1, 2));
    bench.home.configure(
        "[sources.more]\nkind = \"csv\"\npath = \"more.csv\"\nkey = \"employee_id\"\n\
         [syncs.more]\nsource = \"more\"\ntarget = \"juno\"\nmatch = [\"email\"]\n\
         [syncs.more.map]\nclient_id = \"employee_id\"\nemail = \"email\"\nphone = \"phone\"\n",
    );
    bench.home.write("config/more.csv", "employee_id,email,phone\nF1,f1@acme.example,555-0001\nF2,f2@acme.example,7\n");
    bench.lies(Lie::Upserts);
    let run = bench.home.run_json(&["sync", "more"]).exits(75).the_run();
    assert_eq!((&run["counts"]["create"]["ok"], &run["counts"]["create"]["failed"]), (&json!(1), &json!(1)), "{run}");
    let message = bench.outcome("F1")["error"]["message"].as_str().expect("a message").to_string();
    assert!(message.contains("account 1 belongs to E0001 of sync staff"), "{message}");
    let linked = bench.home.query("SELECT sync, key, remote_id FROM v_users ORDER BY key");
    assert_eq!(json!(linked), json!([["staff", "E0001", "1"], ["staff", "E0002", "2"], ["more", "F2", "3"]]));
}

#[test]
fn what_the_target_keeps_is_told_and_not_written_for_ever() {
    for silent in [false, true] {
        let bench = Bench::loaded(&people(1, 3));
        bench.lies(Lie::OfItsOwnMind(silent));
        let mut changed = people(1, 3);
        (changed[0].title, changed[0].phone) = ("Chef".into(), "555-9".into());
        bench.sync(&changed, 0);
        // What an answer does not show is not known until a repair has written it, and read it back.
        let report = bench.home.run_json(&["reconcile", "--repair"]).exits(0).json();
        assert_eq!(report["syncs"][0]["drifted"][0]["key"], "E0001", "{report}");
        let kept = |fields: Value| json!([{"key": "E0001", "remote_id": "1", "fields": fields}]);
        let so_far = if silent { json!([]) } else { kept(json!(["title"])) };
        assert_eq!(report["syncs"][0]["kept_by_target"], so_far, "{report}");
        bench.asked();
        let report = bench.home.run_json(&["reconcile", "--repair", "--detailed-exitcode"]).exits(0).json();
        let staff = &report["syncs"][0];
        assert_eq!((&staff["kept_by_target"], &staff["drifted"]), (&kept(json!(["phone", "title"])), &json!([])));
        assert_eq!(bench.writes(), [""; 0], "a second repair writes nothing");
        bench.sync(&changed, 0);
        assert_eq!(bench.asked(), [""; 0], "nor does a run");
        let text = bench.home.run(&["reconcile"]).exits(0).stdout;
        assert!(text.contains("Kept otherwise by the target 1") && text.contains("title"), "{text}");
        // What somebody changed by hand is drift as ever.
        bench.with(|platform| platform.users.get_mut(&1).expect("there").insert("title".into(), json!("Janitor")));
        let report = bench.home.run_json(&["reconcile"]).exits(0).json();
        assert_eq!(
            report["syncs"][0]["drifted"][0]["fields"],
            json!({"title": {"expected": "Chef", "actual": "Janitor"}})
        );
        bench.home.run_json(&["reconcile", "--repair"]).exits(0);
        assert_eq!(bench.account("E0001")["title"], "CHEF");
        // And a new value of the source is written.
        changed[0].title = "Cook".into();
        bench.sync(&changed, 0);
        assert_eq!(bench.account("E0001")["title"], "COOK");
    }
}

#[test]
fn what_the_api_does_not_offer_is_refused_once_and_the_definition_named() {
    for status in [501, 405] {
        let bench = Bench::loaded(&people(1, 2));
        bench.lies(Lie::Writes(status));
        let mut changed = people(1, 2);
        changed[0].title = "Chef".into();
        bench.asked();
        bench.sync(&changed, 75);
        let told = bench.outcome("E0001");
        assert_eq!(
            (&told["status"], &told["attempts"], &told["error"]["kind"]),
            (&json!("failed"), &json!(1), &json!("refused"))
        );
        let message = told["error"]["message"].as_str().expect("a message");
        assert!(message.contains("operations.update.method") && message.contains(&status.to_string()), "{message}");
        assert_eq!(bench.writes(), ["PUT /users/1"]);
    }
}
