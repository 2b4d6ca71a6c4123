//! The sandbox itself: that it behaves as the vendor's page says, and that each fault is what it claims to be.

use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder, Response};
use rosterd::sandbox::{Op, Options, Running, Sandbox};
use serde_json::{Value, json};

use crate::support::{Home, Sim};

/// A sandbox and somebody who calls it.
struct Bench {
    running: Running,
    client: Client,
}

impl Bench {
    async fn start() -> Bench {
        Bench::with(Options::default()).await
    }

    async fn with(options: Options) -> Bench {
        // A second test in the same process finds it installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let running = Sandbox::start(options).await.expect("the sandbox starts");
        Bench { running, client: Client::new() }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.running.url()))
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, &format!("/juno/api{path}")).bearer_auth("sandbox")
    }

    fn write(&self, method: Method, path: &str, body: &Value) -> RequestBuilder {
        self.request(method, &format!("/juno/api{path}"))
            .bearer_auth("sandbox")
            .header("content-type", "application/json")
            .body(body.to_string())
    }

    async fn post(&self, body: Value) -> (u16, Value) {
        answer(self.write(Method::POST, "/users", &body)).await
    }

    async fn put(&self, id: &Value, body: Value) -> (u16, Value) {
        answer(self.write(Method::PUT, &format!("/users/{id}"), &body)).await
    }

    async fn read(&self, path: &str) -> (u16, Value) {
        answer(self.get(path)).await
    }

    async fn faults(&self, body: Value) {
        let sent = self.request(Method::POST, "/_sandbox/faults").body(body.to_string());
        let (status, text) = answer(sent).await;
        assert_eq!(status, 200, "{text}");
    }
}

async fn send(request: RequestBuilder) -> Response {
    request.send().await.expect("an answer")
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = send(request).await;
    let status = response.status().as_u16();
    let text = response.text().await.expect("a whole body");
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

fn person(n: u32) -> Value {
    json!({"client_id": format!("E{n}"), "email": format!("p{n}@acme.example"), "first_name": "Zoë"})
}

#[tokio::test]
async fn a_user_is_created_read_changed_and_emptied() {
    let bench = Bench::start().await;
    let (status, user) = bench.post(person(1)).await;
    assert_eq!(status, 201);
    assert_eq!(user["banned"], json!(false));
    assert_eq!(user["account_level"], json!(0));
    assert_eq!(user["date_last_login"], json!("1900-01-01T00:00:00"));

    let (status, changed) = bench.put(&user["id"], json!({"last_name": "李", "timezone": -25200})).await;
    assert_eq!(status, 200);
    assert_eq!((&changed["first_name"], &changed["last_name"]), (&json!("Zoë"), &json!("李")));

    let (_, emptied) = bench.put(&user["id"], json!({"first_name": null, "timezone": null})).await;
    assert_eq!((&emptied["first_name"], &emptied["timezone"]), (&Value::Null, &Value::Null));
    let (status, read) = bench.read(&format!("/users/{}", user["id"])).await;
    assert_eq!(status, 200);
    assert_eq!(read["last_name"], json!("李"));
    assert_eq!(bench.read("/users/999999").await.0, 404);
    assert_eq!(bench.put(&json!(999_999), json!({"title": "x"})).await.0, 404);
}

#[tokio::test]
async fn email_and_client_id_are_unique() {
    let bench = Bench::start().await;
    let (_, first) = bench.post(person(1)).await;
    let (_, second) = bench.post(person(2)).await;

    let (status, refusal) = bench.post(json!({"client_id": "E3", "email": "P1@ACME.example"})).await;
    assert_eq!((status, &refusal["error"]["fields"]), (409, &json!(["email"])));
    let (status, refusal) = bench.post(json!({"client_id": "E1", "email": "new@acme.example"})).await;
    assert_eq!((status, &refusal["error"]["fields"]), (409, &json!(["client_id"])));
    let (status, refusal) = bench.put(&second["id"], json!({"email": "p1@acme.example"})).await;
    assert_eq!((status, &refusal["error"]["fields"]), (409, &json!(["email"])));

    // One's own address in another spelling is free, and a released address can be taken.
    assert_eq!(bench.put(&first["id"], json!({"email": "P1@acme.example"})).await.0, 200);
    assert_eq!(bench.put(&first["id"], json!({"email": "other@acme.example"})).await.0, 200);
    assert_eq!(bench.put(&second["id"], json!({"email": "p1@acme.example"})).await.0, 200);
    assert_eq!(bench.running.users("juno").len(), 2);
}

#[tokio::test]
async fn a_body_is_judged_strictly() {
    let bench = Bench::start().await;
    let (_, user) = bench.post(person(1)).await;
    let wrong = [
        (json!({"points": "5"}), "points"),
        (json!({"account_level": 50}), "account_level"),
        (json!({"banned": "maybe"}), "banned"),
        (json!({"title": 5}), "title"),
        (json!({"id": 7}), "id"),
        (json!({"date_updated": "2026-01-01T00:00:00"}), "date_updated"),
        (json!({"department": "Sales"}), "department"),
        (json!({"email": null}), "email"),
        (json!({"email": " "}), "email"),
    ];
    for (body, field) in wrong {
        let (status, refusal) = bench.put(&user["id"], body).await;
        assert_eq!((status, &refusal["error"]["fields"]), (422, &json!([field])));
    }
    let (status, refusal) = bench.post(json!({"client_id": "E9"})).await;
    assert_eq!((status, &refusal["error"]["fields"]), (422, &json!(["email"])));
    let writes: Vec<bool> = bench.running.requests().iter().map(|r| r.committed).collect();
    assert_eq!(writes.iter().filter(|c| **c).count(), 1, "only the creation was committed");
}

#[tokio::test]
async fn the_protocol_is_kept_to() {
    let bench = Bench::start().await;
    let cases = [
        (bench.request(Method::GET, "/juno/api/users"), 401),
        (bench.request(Method::GET, "/juno/api/users").bearer_auth("wrong"), 401),
        (bench.get("/nothing"), 404),
        (bench.get("/users/"), 404),
        (bench.get("/users/abc"), 404),
        (bench.request(Method::GET, "/elsewhere"), 404),
        (bench.write(Method::DELETE, "/users/1001", &json!({})), 405),
        (bench.write(Method::PATCH, "/users", &json!({})), 405),
        (bench.request(Method::POST, "/juno/api/users").bearer_auth("sandbox").body("{}"), 415),
        (bench.write(Method::POST, "/users", &json!({})).body("{\"email\":"), 400),
        (bench.write(Method::POST, "/users", &json!([])), 400),
        (bench.get("/users?page=0"), 400),
        (bench.get("/users?per_page=1001"), 400),
        (bench.get("/users?clientid=E1"), 400),
    ];
    for (position, (request, expected)) in cases.into_iter().enumerate() {
        assert_eq!(send(request).await.status().as_u16(), expected, "case {position}");
    }
    assert!(bench.running.users("juno").is_empty());
}

#[tokio::test]
async fn users_are_listed_by_page_and_found_by_field() {
    let bench = Bench::with(Options { users: 25, ..Options::default() }).await;
    for (page, expected) in [(1, 10), (2, 10), (3, 5), (4, 0)] {
        let (_, users) = bench.read(&format!("/users?page={page}&per_page=10")).await;
        assert_eq!(users.as_array().map(Vec::len), Some(expected), "page {page}");
    }
    let (_, by_key) = bench.read("/users?client_id=SB000007").await;
    let (_, by_email) = bench.read("/users?email=USER7@sandbox.example").await;
    assert_eq!(by_key[0]["client_id"], json!("SB000007"));
    assert_eq!(by_key, by_email);
    for nothing in
        ["client_id=sb000007", "email=nobody@sandbox.example", "client_id=SB000001&email=user2@sandbox.example"]
    {
        assert_eq!(bench.read(&format!("/users?{nothing}")).await, (200, json!([])), "{nothing}");
    }
}

#[tokio::test]
async fn the_listing_comes_in_each_shape() {
    let bench = Bench::with(Options { users: 1, ..Options::default() }).await;
    for (shape, pointer) in [("bare", "/0/id"), ("users", "/users/0/id"), ("data", "/data/0/id")] {
        bench.faults(json!({"listing": shape})).await;
        let (_, page) = bench.read("/users").await;
        assert_eq!(page.pointer(pointer), Some(&json!(1001)), "{shape}");
    }
}

#[tokio::test]
async fn banned_is_spelled_in_every_way_that_the_page_shows() {
    let bench = Bench::with(Options { users: 2, ..Options::default() }).await;
    for spelling in [json!(true), json!("true"), json!("True")] {
        let (status, user) = bench.put(&json!(1001), json!({"banned": spelling})).await;
        assert_eq!((status, &user["banned"]), (200, &json!(true)));
    }
    bench.put(&json!(1002), json!({"banned": true})).await;
    let (_, users) = bench.read("/users").await;
    assert_eq!((&users[0]["banned"], &users[1]["banned"]), (&json!("True"), &json!("true")));
    let ops: Vec<Op> = bench.running.requests().iter().filter(|r| r.write).map(|r| r.op).collect();
    assert_eq!(ops, [Op::Ban, Op::Update, Op::Update, Op::Ban], "banning twice is no second ban");
    bench.put(&json!(1002), json!({"banned": false, "title": "back"})).await;
    assert_eq!(bench.running.requests().last().map(|r| r.op), Some(Op::Reinstate));
}

#[tokio::test]
async fn dimensions_are_merged_and_kept_in_step_with_plain_fields() {
    let bench = Bench::start().await;
    let (_, user) = bench.post(person(1)).await;
    let id = &user["id"];
    bench.put(id, json!({"phone": "1", "dimensions": [{"id": 101, "value": "Bern"}, {"id": 102, "value": "x"}]})).await;
    let (_, user) = bench.put(id, json!({"dimensions": [{"id": 5, "value": "2"}, {"id": 102, "value": null}]})).await;
    assert_eq!(user["phone"], json!("2"));
    let expected = json!([
        {"id": 5, "name": "phone", "value": "2"},
        {"id": 101, "name": "Dimension 101", "value": "Bern"},
    ]);
    assert_eq!(user["dimensions"], expected);
    let (status, refusal) = bench.put(id, json!({"phone": "3", "dimensions": [{"id": 5, "value": "4"}]})).await;
    assert_eq!((status, &refusal["error"]["fields"]), (422, &json!(["dimensions"])));
}

#[tokio::test]
async fn tags_are_replaced_as_a_whole() {
    let bench = Bench::start().await;
    let (_, user) = bench.post(json!({"email": "a@b.example", "tags": [1, "2"]})).await;
    let ids =
        |user: &Value| user["tags"].as_array().expect("a list").iter().map(|t| t["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&user), [json!("1"), json!("2")]);
    let (_, user) = bench.put(&user["id"], json!({"tags": [{"id": 3}]})).await;
    assert_eq!(ids(&user), [json!("3")]);
    assert_eq!(user["tags"][0]["type_name"], json!("Access Level"));
    let (_, user) = bench.put(&user["id"], json!({"tags": []})).await;
    assert!(ids(&user).is_empty());
}

#[tokio::test]
async fn the_log_tells_what_was_asked_and_what_was_committed() {
    let bench = Bench::start().await;
    let (_, user) = bench.post(person(1)).await;
    bench.post(person(1)).await;
    bench.put(&user["id"], json!({"title": "Chef", "city": "Zürich"})).await;
    bench.read("/users?email=p1@acme.example").await;

    let log = bench.running.requests();
    let told: Vec<_> = log.iter().map(|r| (r.op, r.status, r.write, r.committed, r.key.as_deref())).collect();
    let expected = [
        (Op::Create, Some(201), true, true, Some("E1")),
        (Op::Create, Some(409), true, false, Some("E1")),
        (Op::Update, Some(200), true, true, Some("E1")),
        (Op::Lookup, Some(200), false, false, None),
    ];
    assert_eq!(told, expected);
    assert_eq!(&*log[2].fields, ["city".to_string(), "title".to_string()]);
    assert_eq!(log[0].remote_id.as_deref(), Some(user["id"].to_string().as_str()));
    assert_eq!((&*log[3].path, &*log[3].query), ("/juno/api/users", &["email".to_string()][..]));
    assert!(log[0].committed_mono_ns.expect("committed") >= log[0].mono_ns);
    assert!(!serde_json::to_string(&log).expect("JSON").contains("acme.example"), "no value of a person");

    let (_, since) = answer(bench.request(Method::GET, "/_sandbox/requests?since=2")).await;
    let since: Vec<u64> = since.as_array().expect("an array").iter().filter_map(|r| r["seq"].as_u64()).collect();
    assert_eq!(since, [3, 4]);
}

#[tokio::test]
async fn accounts_are_seen_seeded_and_removed_from_outside() {
    let bench = Bench::start().await;
    let seeds = json!([{"email": "old@acme.example", "client_id": "E1", "banned": true}, {"email": "x@acme.example"}]);
    let post = |body: &Value| bench.request(Method::POST, "/_sandbox/users?target=juno").body(body.to_string());
    assert_eq!(answer(post(&seeds)).await.0, 201);
    assert_eq!(answer(post(&seeds)).await.0, 422, "the same again is refused");
    let (_, users) = answer(bench.request(Method::GET, "/_sandbox/users?target=juno")).await;
    assert_eq!((&users[0]["client_id"], &users[0]["banned"]), (&json!("E1"), &json!(true)));
    assert_eq!(users.as_array().map(Vec::len), Some(2));
    assert_eq!(answer(bench.request(Method::GET, "/_sandbox/users?target=nowhere")).await.0, 404);

    let (_, left) = answer(bench.request(Method::DELETE, "/_sandbox/users?target=juno")).await;
    assert_eq!(left, json!([]));
    let (_, user) = bench.post(person(1)).await;
    assert_eq!(user["id"], json!(1003), "ids are not given out again");
    assert_eq!(bench.running.requests().len(), 1, "what the administrator does is not in the log");
}

#[tokio::test]
async fn a_dropped_connection_is_a_network_error_and_not_a_status() {
    for (fault, committed) in [
        ("commit-then-close", true),
        ("commit-then-hang:50", true),
        ("close-before-commit", false),
        ("hang-before-commit:50", false),
    ] {
        let bench = Bench::start().await;
        bench.read("/users").await; // the connection is an established one, as it usually is
        bench.faults(json!({"script": [{"method": "POST", "nth": 1, "do": fault}]})).await;
        let started = Instant::now();
        let error = bench.write(Method::POST, "/users", &person(1)).send().await.expect_err(fault);
        assert!(error.status().is_none() && !error.is_timeout(), "{fault}: {error:?}");
        if fault.ends_with(":50") {
            assert!(started.elapsed() >= Duration::from_millis(50), "{fault}");
        }
        assert_eq!(bench.running.users("juno").len(), usize::from(committed), "{fault}");
        let log = bench.running.requests();
        let entry = log.iter().find(|r| r.write).expect("it is in the log");
        assert_eq!((entry.status, entry.committed, entry.fault.as_deref()), (None, committed, Some(fault)));
        assert_eq!(log.iter().filter(|r| r.write).count(), 1, "{fault}: the client did not silently send it again");

        let (status, _) = bench.post(person(1)).await;
        assert_eq!(status, if committed { 409 } else { 201 }, "{fault}: the next one is served");
    }
}

#[tokio::test]
async fn a_hanging_answer_runs_into_the_callers_timeout() {
    let bench = Bench::start().await;
    bench.faults(json!({"script": [{"key": "E1", "do": "commit-then-hang:60000"}]})).await;
    let request = bench.write(Method::POST, "/users", &person(1)).timeout(Duration::from_millis(200));
    assert!(request.send().await.expect_err("no answer").is_timeout());
    assert_eq!(bench.running.users("juno").len(), 1);
    let started = Instant::now();
    bench.running.shutdown().await;
    assert!(started.elapsed() < Duration::from_secs(10), "shutting down waits for nobody");
}

#[tokio::test]
async fn unusable_answers_are_unusable() {
    let bench = Bench::start().await;
    bench.faults(json!({"script": [{"key": "E1", "do": "garbage"}, {"key": "E2", "do": "html"}]})).await;
    let garbage = send(bench.write(Method::POST, "/users", &person(1))).await;
    assert_eq!(garbage.status().as_u16(), 200);
    let text = garbage.text().await.expect("a whole, senseless body");
    assert!(!text.is_empty() && serde_json::from_str::<Value>(&text).is_err());

    let html = send(bench.write(Method::POST, "/users", &person(2))).await;
    assert_eq!(html.headers()["content-type"], "text/html; charset=utf-8");
    assert!(html.text().await.expect("a page").starts_with("<!DOCTYPE html>"));
    let keys: Vec<Value> = bench.running.users("juno").iter().map(|u| u["client_id"].clone()).collect();
    assert_eq!(keys, [json!("E1")], "garbage comes after the deed, the page instead of it");
}

#[tokio::test]
async fn a_scripted_status_may_carry_headers_and_a_body() {
    let bench = Bench::start().await;
    let fault = json!({"method": "GET", "path_prefix": "/juno/api/users", "nth": 2, "do": "status:503",
                       "headers": {"Retry-After": "7"}, "body": "{\"busy\":true}"});
    bench.faults(json!({"script": [fault]})).await;
    assert_eq!(bench.read("/users").await.0, 200);
    let struck = send(bench.get("/users")).await;
    assert_eq!((struck.status().as_u16(), &struck.headers()["retry-after"]), (503, &"7".parse().expect("a header")));
    assert_eq!(struck.text().await.expect("a body"), "{\"busy\":true}");
    assert_eq!(bench.read("/users").await.0, 200);
    let (_, told) = answer(bench.request(Method::GET, "/_sandbox/faults")).await;
    assert_eq!(told["script"][0]["seen"], json!(3));
    answer(bench.request(Method::DELETE, "/_sandbox/faults")).await;
    let (_, told) = answer(bench.request(Method::GET, "/_sandbox/faults")).await;
    assert_eq!(told["script"], json!([]));
}

#[tokio::test]
async fn an_unknown_fault_is_refused() {
    let bench = Bench::start().await;
    for wrong in [json!({"script": [{"do": "explode"}]}), json!({"latency": 5}), json!({"fail_percent": 101})] {
        let (status, _) = answer(bench.request(Method::POST, "/_sandbox/faults").body(wrong.to_string())).await;
        assert_eq!(status, 422, "{wrong}");
    }
}

#[tokio::test]
async fn above_the_rate_it_answers_429_and_says_when_to_come_back() {
    let bench = Bench::start().await;
    bench.faults(json!({"rate_per_second": 3})).await;
    let mut statuses = Vec::new();
    for _ in 0..5 {
        let response = send(bench.get("/users")).await;
        statuses.push(response.status().as_u16());
        if response.status().as_u16() == 429 {
            assert_eq!(response.headers()["retry-after"], "1");
        }
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    tokio::time::sleep(Duration::from_millis(1050)).await;
    assert_eq!(bench.read("/users").await.0, 200);
}

#[tokio::test]
async fn an_answer_takes_as_long_as_it_is_told_to() {
    let bench = Bench::with(Options { latency: Duration::from_millis(80), ..Options::default() }).await;
    let started = Instant::now();
    bench.post(person(1)).await;
    assert!(started.elapsed() >= Duration::from_millis(80));
    let entry = &bench.running.requests()[0];
    let half = entry.committed_mono_ns.expect("committed") - entry.mono_ns;
    assert!(half >= 40_000_000, "half of it before the deed: {half} ns");
}

#[tokio::test]
async fn failures_by_chance_include_deeds_without_an_answer() {
    let bench = Bench::with(Options { fail_percent: 40, seed: 3, ..Options::default() }).await;
    let (mut refused, mut broken) = (0, 0);
    for n in 0..200 {
        match bench.write(Method::POST, "/users", &person(n)).send().await {
            Ok(response) if response.status().is_server_error() => refused += 1,
            Ok(response) => assert_eq!(response.status().as_u16(), 201),
            Err(_) => broken += 1,
        }
    }
    let log = bench.running.requests();
    let silent = log.iter().filter(|r| r.committed && r.status.is_none()).count();
    assert_eq!(log.len(), 200);
    assert!(refused > 10 && broken > 10 && silent > 5, "{refused} refused, {broken} broken, {silent} silent");
    let made = log.iter().filter(|r| r.committed).count();
    assert_eq!(bench.running.users("juno").len(), made, "the log and the accounts agree");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_quick_enough_for_a_first_load() {
    let bench = Bench::with(Options { users: 20_000, ..Options::default() }).await;
    let started = Instant::now();
    for n in 0..1000 {
        assert_eq!(bench.post(person(n)).await.0, 201);
    }
    // One caller, one after the other, unoptimised, on a busy machine: far below what it does, far above useless.
    assert!(started.elapsed() < Duration::from_secs(10), "1000 creates took {:?}", started.elapsed());
}

#[test]
fn a_test_that_blocks_can_have_a_sandbox_beside_it() {
    let sim = Sim::start();
    sim.seed(json!([person(1), person(2)]));
    let mark = sim.mark();
    sim.script(json!({"method": "POST", "nth": 1, "do": "status:500"}));
    // Plain blocking I/O on the test's own thread: what answers is another one.
    let body = person(3).to_string();
    let call = || {
        use std::io::{Read, Write};
        let address = sim.url().trim_start_matches("http://").to_string();
        let mut stream = std::net::TcpStream::connect(address).expect("a connection");
        let head = "POST /juno/api/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sandbox\r\nConnection: close\r\n";
        write!(stream, "{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            .expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        text
    };
    assert!(call().starts_with("HTTP/1.1 500 "));
    assert!(call().starts_with("HTTP/1.1 201 "));
    sim.wait_until("both are in the log", |log| log.len() == 2);
    assert_eq!((sim.writes_since(mark).len(), sim.committed_since(mark, Op::Create)), (2, 1));
    assert_eq!(sim.user("E3").map(|u| u["email"].clone()), Some(json!("p3@acme.example")));
    sim.clear();
    assert!(sim.user("E3").is_none());
}

#[test]
fn help_names_every_target_and_how_to_change_what_they_do() {
    let help = Home::empty().run(&["sandbox", "--help"]).exits(0).stdout;
    for part in ["/juno/api", "/juicebox", "/longjump", "/scim/v2", "accept_invitations", "/_sandbox/users?target=juno"]
    {
        assert!(help.contains(part), "{part} is not in:\n{help}");
    }
    // What is above is broken to the width of the terminal.
    let (_, below) = help.split_once("Base URLs").expect("what follows the options");
    assert!(below.lines().all(|line| line.chars().count() <= 80), "{below}");
    // What is shown is understood.
    let sim = Sim::start();
    let shown = |line: &str| Some(line[line.find('{')?..=line.find('}')?].to_string());
    let bodies: Vec<String> = help.lines().filter_map(shown).collect();
    assert!(bodies.len() >= 4, "{bodies:?}");
    for body in bodies {
        sim.behave(serde_json::from_str(&body).expect("JSON"));
    }
}
