//! Single operations against a script, on paused time: what is sent, what is repeated, and how it ends.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::account::budget::Budget;
use crate::api::{ApiRequest, ApiResponse, Engine, Held};
use crate::config::settings::{RetrySettings, Settings, TargetSettings};
use crate::domain::ids::{EntryId, SyncId};
use crate::domain::operation::{Change, Operation};
use crate::domain::planned::Planned;
use crate::domain::record::Key;
use crate::domain::units::Rate;
use crate::http::error::SendError;
use crate::http::settings::{AuthSettings, NetworkSettings};
use crate::state::journal::{Intend, Intent, Recover, UnresolvedPage};
use crate::state::people::BindSync;

/// Answers in order; what it was sent, and when.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<Result<ApiResponse, SendError>>>>,
    sent: Arc<Mutex<Vec<(Instant, ApiRequest)>>>,
}

impl Script {
    fn then(self, status: u16, body: &str) -> Script {
        self.with(ApiResponse { status, headers: Vec::new(), body: body.as_bytes().to_vec(), held: Held::default() })
    }

    fn with(self, answer: ApiResponse) -> Script {
        self.answers.lock().expect("sound").push_back(Ok(answer));
        self
    }

    fn lost(self) -> Script {
        let error = SendError { kind: ErrorKind::Network, maybe_sent: true, message: "lost".into() };
        self.answers.lock().expect("sound").push_back(Err(error));
        self
    }

    fn wires(&self) -> Vec<ApiRequest> {
        self.sent.lock().expect("sound").iter().map(|(_, request)| request.clone()).collect()
    }

    /// The idempotency keys of the writes.
    fn keys(&self) -> Vec<String> {
        let key =
            |request: &ApiRequest| request.headers.iter().find(|(n, _)| n == "Idempotency-Key").map(|(_, v)| v.clone());
        self.wires().iter().filter(|w| w.method != "GET").map(|w| key(w).expect("a key")).collect()
    }
}

impl Carrier for Script {
    fn send<'a>(&'a self, request: &'a ApiRequest) -> BoxFuture<'a, Result<ApiResponse, SendError>> {
        self.sent.lock().expect("sound").push((Instant::now(), request.clone()));
        let next = self.answers.lock().expect("sound").pop_front().expect("an answer for every request");
        Box::pin(std::future::ready(next))
    }

    fn ask_for_token(&self) -> BoxFuture<'_, Result<ApiResponse, SendError>> {
        unreachable!("it has no tokens")
    }
}

const DEFINITION: &str = r#"
    format = 1
    kind = "t"
    title = "T"
    auth = { kinds = ["none"] }
    account = { id = "/id", key_field = "key" }
    state = { field = "on", active = true, banned = false }
    request = { idempotency_header = "Idempotency-Key" }
    [operations]
    create = { method = "POST", path = "/users" }
    update = { method = "PUT", path = "/users/{id}", body = "changes" }
    get = { method = "GET", path = "/users/{id}" }
    [operations.find]
    method = "GET"
    path = "/users"
    query = { "{field}" = "{value}" }
    fields = ["key"]
    records = [""]
    [fields]
    on = { type = "boolean", read_only = "access" }
    key = { type = "text", unique = true }
    title = { type = "text" }
"#;

fn target() -> Arc<TargetSettings> {
    let engine = Engine::from_definition("t.toml", DEFINITION, &toml::Table::new()).expect("a definition");
    Arc::new(TargetSettings {
        name: "t".into(),
        kind: "rest".into(),
        base_url: "http://127.0.0.1".parse().expect("a URL"),
        auth: AuthSettings::None,
        rate: Rate { count: 1000, per: Duration::from_secs(1) },
        burst: 100,
        daily_quota: None,
        concurrency: 4,
        timeout: Duration::from_secs(1),
        retry: RetrySettings { attempts: 3, base: Duration::from_millis(100), max: Duration::from_secs(60) },
        settle: Duration::from_secs(60),
        network: NetworkSettings::default(),
        engine: Arc::new(engine),
    })
}

/// A sync to that target, made the way an operator makes one.
fn sync() -> Arc<SyncSettings> {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("t.toml"), DEFINITION).expect("written");
    let config = dir.path().join("rosterd.toml");
    let text = r#"
        [state]
        path = "s.db"
        [sources.hr]
        kind = "csv"
        path = "hr.csv"
        key = "id"
        [targets.t]
        kind = "rest"
        definition = "t.toml"
        base_url = "http://127.0.0.1"
        auth = { kind = "none" }
        [syncs.s]
        source = "hr"
        target = "t"
        match = []
        map = { key = "id", title = "title" }
    "#;
    std::fs::write(&config, text).expect("written");
    let settings: Settings = crate::config::load(&[config], []).expect("a right configuration").settings;
    Arc::clone(&settings.syncs["s"])
}

fn clock() -> Clock {
    Clock::from_fn(|| DateTime::<Utc>::from_timestamp(1_795_305_600, 0).expect("a time"))
}

fn client(script: &Script) -> Client {
    let (settings, state) = (target(), State::in_memory().expect("a state"));
    let budget = Arc::new(TargetBudget::new(&settings, &state, &clock(), &Budget::of_this_process()));
    Client::new(settings, Box::new(script.clone()), budget, clock(), 1)
}

/// Carries one operation out.
async fn carry_out(script: &Script, entry: EntryId, operation: Operation) -> Finished {
    let (client, state, sync) = (client(script), State::in_memory().expect("a state"), sync());
    let (stop, abandon) = (CancellationToken::new(), CancellationToken::new());
    let attempt = Attempt {
        client: &client,
        state: &state,
        sync: &sync,
        id: SyncId(1),
        learns: false,
        entry: (&"run".into(), entry),
        intended: Instant::now(),
        stop: &stop,
        abandon: &abandon,
    };
    attempt.carry_out(Arc::new(operation.into())).await
}

fn operation(kind: OpKind, remote_id: Option<&str>) -> Operation {
    let mut operation = Operation::new(kind, Key::parse("E1").expect("a key"), remote_id.map(Into::into));
    for (field, value) in [("key", "E1"), ("title", "Clerk")] {
        operation.fields.insert(field.into(), Change { old: json!(null), new: json!(value) });
    }
    operation
}

#[tokio::test(start_paused = true)]
async fn every_try_of_one_operation_carries_the_same_idempotency_key_and_no_other_does() {
    let account = r#"{"id": "7", "key": "E1", "title": "Clerk", "on": true}"#;
    let tried = Script::default().then(503, "").then(429, "").then(201, account);
    let finished = carry_out(&tried, EntryId(42), operation(OpKind::Create, None)).await;
    assert_eq!((finished.status, finished.attempts), (Status::Ok, 3));
    assert_eq!(tried.keys(), ["run-42"; 3]);

    // A create that turns out to be there becomes another request: it must not be taken for the first.
    let other = r#"[{"id": "7", "key": "E1", "title": "Chief", "on": true}]"#;
    let adopted = Script::default().then(409, "").then(200, other).then(200, account);
    let finished = carry_out(&adopted, EntryId(43), operation(OpKind::Create, None)).await;
    assert_eq!((finished.status, finished.operation.kind), (Status::Ok, OpKind::Adopt));
    assert_eq!(adopted.keys(), ["run-43", "run-43-adopt"]);
}

/// Whatever brought no usable answer may have made the account: it is sent once, and looked up when all has ended.
#[tokio::test(start_paused = true)]
async fn a_create_without_a_usable_answer_is_sent_once_and_in_doubt() {
    let foreign = r#"{"id": "1", "key": "ADMIN", "on": true}"#;
    for script in [
        Script::default().lost(),
        Script::default().then(500, ""),
        Script::default().then(504, ""),
        Script::default().then(201, "{"),
        Script::default().then(200, "<html>"),
        Script::default().then(201, foreign),
        Script::default().then(503, "").then(500, ""),
    ] {
        let finished = carry_out(&script, EntryId(1), operation(OpKind::Create, None)).await;
        assert_eq!((finished.status, finished.effect), (Status::Unknown, Effect::Doubtful { instead: None }));
    }
    for script in [Script::default().then(501, ""), Script::default().then(405, "")] {
        let finished = carry_out(&script, EntryId(1), operation(OpKind::Create, None)).await;
        assert_eq!((finished.status, finished.effect), (Status::Failed, Effect::None));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_about_another_account_is_unknown_however_often_it_comes() {
    for other in [r#"{"id": "6", "key": "E1", "on": true}"#, r#"{"id": "7", "key": "ADMIN", "on": true}"#] {
        let script = Script::default().then(200, other).then(200, other).then(200, other);
        let finished = carry_out(&script, EntryId(1), operation(OpKind::Update, Some("7"))).await;
        assert_eq!((finished.status, finished.effect), (Status::Unknown, Effect::Unknown));
    }
    let theirs = r#"{"id": "7", "key": " e1 ", "title": "CLERK", "on": true}"#;
    let finished =
        carry_out(&Script::default().then(200, theirs), EntryId(1), operation(OpKind::Update, Some("7"))).await;
    assert_eq!(finished.status, Status::Ok);
    let kept: Vec<&str> = finished.kept.keys().map(String::as_str).collect();
    assert_eq!(kept, ["key", "title"], "what it keeps otherwise than it was written");
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_done_once_stays_unknown_whatever_later_tries_say() {
    let script = Script::default().lost().then(503, "").then(503, "");
    let finished = carry_out(&script, EntryId(1), operation(OpKind::Update, Some("7"))).await;
    assert_eq!((finished.status, finished.effect), (Status::Unknown, Effect::Unknown));
    let script = Script::default().then(503, "").then(503, "").then(503, "");
    let finished = carry_out(&script, EntryId(1), operation(OpKind::Update, Some("7"))).await;
    assert_eq!((finished.status, finished.effect), (Status::Failed, Effect::None));
}

#[tokio::test(start_paused = true)]
async fn a_date_to_come_back_at_is_measured_by_our_clock_where_the_target_tells_no_time() {
    let date = "Sun, 22 Nov 2026 00:00:07 GMT"; // seven seconds after our clock
    let slow = ApiResponse {
        status: 429,
        headers: vec![("retry-after".into(), date.into())],
        body: Vec::new(),
        held: Held::default(),
    };
    let script = Script::default().with(slow).then(200, r#"{"id": "7", "on": true}"#);
    let began = Instant::now();
    client(&script).get(&"7".into()).await.expect("an account");
    // A gate's first request goes one interval late.
    let late = began.elapsed().checked_sub(Duration::from_secs(7)).expect("not earlier");
    assert!(late < Duration::from_millis(10), "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_is_given_up_when_the_process_has_to_end() {
    struct Silent;
    impl Carrier for Silent {
        fn send<'a>(&'a self, _: &'a ApiRequest) -> BoxFuture<'a, Result<ApiResponse, SendError>> {
            Box::pin(std::future::pending())
        }

        fn ask_for_token(&self) -> BoxFuture<'_, Result<ApiResponse, SendError>> {
            Box::pin(std::future::pending())
        }
    }
    let (settings, state, sync) = (target(), State::in_memory().expect("a state"), sync());
    let budget = Arc::new(TargetBudget::new(&settings, &state, &clock(), &Budget::of_this_process()));
    let client = Client::new(settings, Box::new(Silent), budget, clock(), 1);
    let (stop, abandon) = (CancellationToken::new(), CancellationToken::new());
    let attempt = Attempt {
        client: &client,
        state: &state,
        sync: &sync,
        id: SyncId(1),
        learns: false,
        entry: (&"run".into(), EntryId(1)),
        intended: Instant::now(),
        stop: &stop,
        abandon: &abandon,
    };
    let ending = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        stop.cancel();
        tokio::time::sleep(Duration::from_secs(5)).await;
        abandon.cancel();
    };
    let (finished, ()) = tokio::join!(attempt.carry_out(Arc::new(operation(OpKind::Create, None).into())), ending);
    assert_eq!((finished.status, finished.took), (Status::Unknown, Duration::from_secs(10)));
}

/// A target asks for a pause before it takes a create, and the process dies while that is under way: what the target may
/// still do counts from when it left, not from when it was intended.
#[tokio::test(start_paused = true)]
async fn a_create_that_leaves_late_is_waited_for_from_then_on() {
    let began = Instant::now();
    let passing =
        Clock::from_fn(move || DateTime::<Utc>::from_timestamp(1_795_305_600, 0).expect("a time") + began.elapsed());
    let slow = |after: &str| ApiResponse {
        status: 429,
        headers: vec![("retry-after".into(), after.into())],
        body: Vec::new(),
        held: Held::default(),
    };
    for (script, later) in [(Script::default().with(slow("30")).lost(), 30), (Script::default().lost(), 0)] {
        let (settings, state, sync) = (target(), State::in_memory().expect("a state"), sync());
        let id = state.ask(BindSync(crate::run::binding(&sync))).await.expect("bound");
        let operation = Planned::from(operation(OpKind::Create, None));
        let intent = Intent::to(&operation).expect("an intent");
        let start = passing.stamp();
        let intend = Intend { run: "run".into(), sync: id, at: start, operations: vec![intent] };
        let entry = state.ask(intend).await.expect("intended")[0];
        let budget = Arc::new(TargetBudget::new(&settings, &state, &passing, &Budget::of_this_process()));
        let client = Client::new(settings, Box::new(script), budget, passing.clone(), 1);
        let (stop, abandon) = (CancellationToken::new(), CancellationToken::new());
        let attempt = Attempt {
            client: &client,
            state: &state,
            sync: &sync,
            id,
            learns: false,
            entry: (&"run".into(), entry),
            intended: Instant::now(),
            stop: &stop,
            abandon: &abandon,
        };
        attempt.carry_out(Arc::new(operation)).await;
        // The next start finds it as the process left it.
        state
            .ask(Recover { at: passing.stamp(), sync: None, id_is_address: Default::default() })
            .await
            .expect("recovered");
        let page = UnresolvedPage { sync: id, after: EntryId::default(), limit: 1 };
        let unresolved = state.ask(page).await.expect("readable").pop().expect("it is unresolved");
        let waited = unresolved.since - start;
        assert_eq!(waited.num_seconds(), later, "{}", unresolved.since);
    }
}
