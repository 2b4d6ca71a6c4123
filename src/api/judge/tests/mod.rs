//! What answers mean, row by row.

mod pages;

use super::*;
use crate::api::{ApiRequest, Held};
use crate::domain::operation::Change;
use crate::domain::record::Key;
use chrono::TimeZone;
use proptest::prelude::*;
use serde_json::json;

fn juno() -> Engine {
    Engine::builtin("juno", &toml::Table::new()).expect("a definition")
}

/// What an answer means to the request of this operation, which needs no more than its call here.
fn verdict_of(engine: &Engine, operation: &Operation, answer: &ApiResponse) -> Verdict {
    let call = engine.call_for(operation, false).map_or(Call::Update, |(call, _)| call.name);
    engine.judge(operation, call, answer, now())
}

fn answer(status: u16, body: &str) -> ApiResponse {
    ApiResponse { status, headers: vec![], body: body.as_bytes().to_vec(), held: Held::default() }
}

fn operation(kind: OpKind) -> Operation {
    let id = (kind != OpKind::Create).then(|| "123".to_string());
    let mut operation = Operation::new(kind, Key::parse("E1").expect("a key"), id.map(Into::into));
    operation.fields.insert("email".into(), Change { old: Value::Null, new: json!("ann@acme.com") });
    operation
}

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 22, 6, 0, 0).single().expect("a moment")
}

/// A verdict in one word, with its error's kind.
fn word(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Done { remote_id, state: None, .. } => {
            format!("done {}", remote_id.as_ref().map_or("-", |id| id.as_str()))
        }
        Verdict::Done { state: Some(state), .. } => format!("done but {state:?}"),
        Verdict::Duplicate { fields, .. } => format!("duplicate {}", fields.join(" ")),
        Verdict::NotFound => "not found".into(),
        Verdict::LogInAgain => "log in".into(),
        Verdict::Denied(_) => "denied".into(),
        Verdict::SlowDown { retry_after, .. } => format!("slow {:?}", retry_after.map(|d| d.as_secs())),
        Verdict::Refused(error) => format!("refused {}", error.kind.name()),
        Verdict::Unclear(error) => format!("unclear {}", error.kind.name()),
    }
}

#[test]
fn answers_and_what_they_mean() {
    use OpKind::*;
    let cases: &[(OpKind, u16, &str, &str)] = &[
        (Create, 201, r#"{"id": 123, "banned": false}"#, "done 123"),
        (Create, 200, r#"{"user": {"id": "123"}}"#, "done 123"),
        (Create, 201, r#"{"data": {"id": 9}}"#, "done 9"),
        (Create, 201, r#"{"id": 123, "banned": "True"}"#, "done but Banned"),
        (Create, 201, r#"{"email": "ann@acme.com"}"#, "unclear protocol"),
        (Create, 201, "", "unclear protocol"),
        (Create, 201, r#"{"id": 12"#, "unclear protocol"),
        (Create, 201, r#"{"id": ".."}"#, "unclear protocol"),
        (Create, 200, "<!DOCTYPE html><h1>Welcome</h1>", "unclear protocol"),
        (Create, 200, "[]", "unclear protocol"),
        (Create, 404, "{}", "refused refused"),
        (Create, 409, r#"{"errors": {"email": ["taken"]}}"#, "duplicate email"),
        (Create, 409, "", "duplicate "),
        (Create, 422, r#"{"errors": [{"field": "email"}]}"#, "duplicate email"),
        (Create, 400, r#"{"message": "Email has already been taken"}"#, "duplicate email"),
        (Create, 422, r#"{"errors": {"title": ["too long"]}}"#, "refused refused"),
        (Create, 400, "no", "refused refused"),
        (Create, 401, "", "log in"),
        (Create, 403, "", "refused refused"),
        (Create, 408, "", "unclear timeout"),
        (Create, 429, "", "slow None"),
        (Create, 500, "", "unclear protocol"),
        (Create, 502, "<html>", "unclear network"),
        (Create, 503, "<html>", "slow None"),
        (Create, 504, "", "unclear timeout"),
        (Create, 302, "", "refused protocol"),
        (Update, 200, r#"{"id": "123"}"#, "done 123"),
        (Update, 200, "\u{feff}{\"id\": 123}", "done 123"),
        (Update, 204, "", "done -"),
        (Update, 200, r#"{"id": 124}"#, "unclear protocol"),
        (Update, 200, r#"{"error": "oops"}"#, "unclear protocol"),
        (Update, 200, "<html>", "unclear protocol"),
        (Update, 404, r#"{"error": "no such user"}"#, "not found"),
        (Update, 404, "", "not found"),
        (Update, 404, "<html>404</html>", "refused protocol"),
        (Update, 409, r#"{"field": "client_id"}"#, "duplicate client_id"),
        (Ban, 200, r#"{"id": 123, "banned": true}"#, "done 123"),
        (Ban, 200, r#"{"id": 123, "banned": "True"}"#, "done 123"),
        (Ban, 200, r#"{"id": 123}"#, "done 123"),
        (Ban, 200, r#"{"id": 123, "banned": "false"}"#, "unclear protocol"),
        (Ban, 404, "{}", "not found"),
        (Reinstate, 200, r#"{"id": 123, "banned": true}"#, "unclear protocol"),
        (Reinstate, 200, r#"{"id": 123, "banned": "False"}"#, "done 123"),
        (Adopt, 200, r#"{"id": 123, "banned": true}"#, "done 123"),
    ];
    for (kind, status, body, expected) in cases {
        let verdict = verdict_of(&juno(), &operation(*kind), &answer(*status, body));
        assert_eq!(word(&verdict), *expected, "{kind} {status} {body}");
    }
}

#[test]
fn messages_hold_the_status_the_code_and_known_names_and_nothing_else_of_the_body() {
    let body = json!({
        "code": "validation_failed",
        "message": "ann@acme.com is not allowed as title",
        "errors": {"city": ["“Zürich” is wrong"], "shoe_size": ["44"]},
    });
    let verdict = verdict_of(&juno(), &operation(OpKind::Update), &answer(422, &body.to_string()));
    let expected = "HTTP 422, code validation_failed, naming city, title";
    assert_eq!(verdict, Verdict::Refused(OpError::new(ErrorKind::Refused, expected)));
    for code in ["ann@acme.com", "Ann Smith", "", &"x".repeat(41)] {
        let body = json!({"code": code}).to_string();
        let verdict = verdict_of(&juno(), &operation(OpKind::Update), &answer(422, &body));
        assert_eq!(verdict, Verdict::Refused(OpError::new(ErrorKind::Refused, "HTTP 422")), "{code}");
    }
}

#[test]
fn a_retry_after_is_seconds_or_a_date_by_the_targets_own_clock() {
    let header = |name: &str, value: &str| (name.to_string(), value.to_string());
    let date = "Sun, 22 Nov 2026 06:00:30 GMT";
    let cases = [
        (vec![header("retry-after", "7")], Some(7), Some(7)),
        (vec![header("retry-after", date)], Some(30), None),
        (vec![header("retry-after", date), header("date", "Sun, 22 Nov 2026 06:00:10 GMT")], Some(20), Some(20)),
        (vec![header("retry-after", "soon")], None, None),
        (vec![], None, None),
    ];
    for (headers, judged, read) in cases {
        let answer = ApiResponse { status: 429, headers, body: vec![], held: Held::default() };
        let verdict = verdict_of(&juno(), &operation(OpKind::Update), &answer);
        assert_eq!(word(&verdict), format!("slow {judged:?}"), "{answer:?}");
        let verdict = juno().account(&answer).expect_err("slow down");
        assert_eq!(word(&verdict), format!("slow {read:?}"), "{answer:?}");
    }
}

#[test]
fn an_account_is_read_with_the_catalogues_types() {
    // The vendor's example payload, as far as it is valid JSON.
    let body = json!({
        "id": 123, "first_name": "John", "email": "jmclane@diehard.com", "phone": "", "timezone": "\u{2011}25200",
        "points": "120", "account_level": 99, "client_id": 125637, "banned": "false", "shoe_size": 44,
        "date_created": "1900-01-01T00:00:00",
        "tags": [{"id": "35", "name": "Main Stage"}, {"id": 1}],
        "dimensions": [{"id": 14, "name": "Medical School", "value": "University of Washington"}, {"id": "101", "value": ""}],
    });
    let account = juno().account(&answer(200, &body.to_string())).expect("readable").expect("there");
    assert_eq!(account.remote_id.as_str(), "123");
    assert_eq!(account.key.as_deref(), Some("125637"));
    assert_eq!(account.state, AccountState::Active);
    let expected = [
        ("id", json!(123)),
        ("email", json!("jmclane@diehard.com")),
        ("phone", json!(null)),
        ("title", json!(null)),
        ("timezone", json!(-25200)),
        ("points", json!(120)),
        ("client_id", json!("125637")),
        ("banned", json!(false)),
        ("date_created", json!("1900-01-01T00:00:00")),
        ("tags", json!(["1", "35"])),
        ("dimensions.14", json!("University of Washington")),
        ("dimensions.101", json!(null)),
    ];
    for (field, value) in expected {
        assert_eq!(account.attributes.get(field), Some(&value), "{field}");
    }
    for unknown in ["shoe_size", "dimensions.7", "ce_status", "dimensions"] {
        assert_eq!(account.attributes.get(unknown), None, "{unknown}");
    }
    for (banned, state) in [
        (json!("True"), AccountState::Banned),
        (json!(true), AccountState::Banned),
        (json!("False"), AccountState::Active),
        (json!(null), AccountState::Active),
        (json!("perhaps"), AccountState::Active),
    ] {
        let body = json!({"id": "5", "banned": banned}).to_string();
        let account = juno().account(&answer(200, &body)).expect("readable").expect("there");
        assert_eq!((account.remote_id.as_str(), account.state), ("5", state), "{banned}");
    }
}

#[test]
fn no_account_is_only_what_the_api_itself_says() {
    assert_eq!(juno().account(&answer(404, "{}")), Ok(None));
    for (status, body, expected) in [
        (404, "<html>", "refused protocol"),
        (200, "", "unclear protocol"),
        (200, "{}", "unclear protocol"),
        (401, "", "log in"),
        (500, "", "unclear protocol"),
    ] {
        let verdict = juno().account(&answer(status, body)).expect_err("no account");
        assert_eq!(word(&verdict), expected, "{status} {body}");
    }
}

/// A definition of this and what every one needs.
fn other(definition: &str) -> Engine {
    let head = r#"
        format = 1
        kind = "other"
        title = "Other"
        auth = { kinds = ["token"] }
        account = { id = "/uid" }
        state = { field = "active", active = 1, banned = 0 }
    "#;
    Engine::from_definition("other.toml", &format!("{head}{definition}"), &toml::Table::new()).expect("a definition")
}

/// Success and failure in the body, as some APIs have it, and rules on codes.
#[test]
fn success_and_failure_can_be_in_the_body() {
    let engine = other(
        r#"
        success = { body = [{ pointer = "/message/code", is = [0] }] }
        errors = { code = ["/message/code"] }
        failures = [
          { pointer = "/message/code", is = [-101], means = "log-in-again" },
          { status = [200], code = ["-200"], means = "not-found" },
          { status = [403], means = "denied" },
        ]
        [operations]
        create = { method = "POST", path = "/people" }
        update = { method = "PATCH", path = "/people/{id}", answer = "any" }
        get = { method = "GET", path = "/people/{id}" }
        list = { method = "GET", path = "/people", records = ["/items"], paging = { style = "none" } }
        [fields]
        active = { type = "boolean", read_only = "it is access" }
        email = { type = "text" }
    "#,
    );
    for (status, body, expected) in [
        (200, r#"{"message": {"code": 0}}"#, "done -"),
        (200, r#"{"message": {"code": "0"}}"#, "done -"),
        (200, r#"{"message": {"code": -101}}"#, "log in"),
        (200, r#"{"message": {"code": "-200"}}"#, "not found"),
        (200, r#"{"message": {"code": -850}}"#, "refused refused"),
        (200, "", "unclear protocol"),
        (200, "<html>", "unclear protocol"),
        (403, "{}", "denied"),
        (409, "{}", "duplicate "),
        (429, "", "slow None"),
        (501, "", "refused refused"),
        (505, "", "unclear protocol"),
    ] {
        let verdict = verdict_of(&engine, &operation(OpKind::Update), &answer(status, body));
        assert_eq!(word(&verdict), expected, "{status} {body}");
    }
    let Verdict::Unclear(error) = verdict_of(&engine, &operation(OpKind::Update), &answer(200, "")) else {
        panic!("clear")
    };
    assert!(error.message.ends_with("where its definition has it say that it is done"), "{}", error.message);
    let listed = r#"{"message": {"code": 0}, "items": [{"uid": 1, "active": "0"}]}"#;
    let page = engine.page(&engine.list(), &answer(200, listed)).expect("a page");
    assert_eq!((page.accounts[0].state, page.next), (AccountState::Banned, None));
    assert_eq!(engine.page_size(), u32::MAX);
}

#[test]
fn an_invitation_is_known_by_its_address() {
    let engine = Engine::builtin("juicebox", &"client = 1".parse().expect("TOML")).expect("a definition");
    let judged = |operation: &Operation, body: &str| match verdict_of(&engine, operation, &answer(201, body)) {
        Verdict::Done { remote_id, state, .. } => {
            format!("{} {state:?}", remote_id.map_or(String::new(), |id| id.as_str().into()))
        }
        other => word(&other),
    };
    for (body, expected) in [
        ("", "ann@acme.com Some(Invited)"),
        ("{}", "ann@acme.com Some(Invited)"),
        (r#"{"email": "Ann@ACME.com"}"#, "Ann@ACME.com Some(Invited)"),
        (r#"{"email": "bob@acme.com"}"#, "unclear protocol"),
        ("<html>", "unclear protocol"),
    ] {
        assert_eq!(judged(&operation(OpKind::Create), body), expected, "{body}");
    }
    let nobody = Operation { fields: Default::default(), ..operation(OpKind::Create) };
    assert_eq!(judged(&nobody, "{}"), "unclear protocol");
    // Who gets another address is known by that one from then on.
    assert_eq!(judged(&operation(OpKind::Update), ""), "ann@acme.com None");
    assert_eq!(judged(&Operation { fields: Default::default(), ..operation(OpKind::Update) }, ""), " None");
}

#[test]
fn a_server_takes_single_changes_unless_it_says_that_it_does_not() {
    let scim = Engine::builtin("scim", &toml::Table::new()).expect("a definition");
    for (status, body, takes) in [
        (200, r#"{"patch": {"supported": false}}"#, false),
        (200, r#"{"patch": {"supported": true}}"#, true),
        (200, r#"{"patch": {}}"#, true),
        (200, "<html>", true),
        (404, r#"{"patch": {"supported": false}}"#, true),
        (500, "", true),
    ] {
        assert_eq!(scim.takes_changes(&answer(status, body)), takes, "{status} {body}");
    }
    assert!(juno().takes_changes(&answer(200, r#"{"patch": {"supported": false}}"#)), "it is not asked");
}

#[test]
fn an_account_that_is_sent_back_is_there_as_it_came_with_its_version() {
    let headers = vec![("etag".to_string(), "W/\"7\"".to_string())];
    let shown = ApiResponse { headers, ..answer(200, r#"{"user": {"id": 5, "unknown": [1]}}"#) };
    let (account, current) = juno().current(&shown).expect("readable").expect("there");
    assert_eq!(account.remote_id.as_str(), "5");
    assert_eq!(current.account, json!({"id": 5, "unknown": [1]}));
    assert_eq!(current.version.as_deref(), Some("W/\"7\""));
    assert!(juno().current(&answer(404, "{}")).expect("readable").is_none());
}

#[test]
fn what_an_answer_shows_is_that_of_the_call_which_is_made() {
    let engine = other(
        r#"
        [operations]
        create = { method = "POST", path = "/people", answer = "id", id_at = "/result/new" }
        update = { method = "PATCH", path = "/people/{id}" }
        ban = { method = "POST", path = "/people/{id}/off", answer = "any" }
        reinstate = { method = "POST", path = "/people/{id}/on", answer = "any" }
        get = { method = "GET", path = "/people/{id}" }
        list = { method = "GET", path = "/people", paging = { style = "none" } }
        [fields]
        active = { type = "boolean", read_only = "it is access" }
        email = { type = "text" }
    "#,
    );
    let with = |kind, reactivates| Operation { reactivates, ..operation(kind) };
    for (operation, body, expected) in [
        (with(OpKind::Create, false), r#"{"result": {"new": 7}}"#, "done 7"),
        (with(OpKind::Create, false), r#"{"uid": 7}"#, "unclear protocol"),
        (with(OpKind::Update, false), r#"{"ok": 1}"#, "unclear protocol"),
        (with(OpKind::Ban, false), r#"{"ok": 1}"#, "done -"),
        (with(OpKind::Reinstate, false), r#"{"ok": 1}"#, "done -"),
        (with(OpKind::Adopt, true), r#"{"ok": 1}"#, "done -"),
        (with(OpKind::Adopt, false), r#"{"ok": 1}"#, "unclear protocol"),
    ] {
        let verdict = verdict_of(&engine, &operation, &answer(200, body));
        assert_eq!(word(&verdict), expected, "{} {} {body}", operation.kind, operation.reactivates);
    }
}

proptest! {
    #![proptest_config(crate::domain::properties::cases(256))]

    #[test]
    fn no_answer_makes_it_panic_and_none_but_2xx_is_a_success(
        status in 100u16..600,
        body in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..60),
            r#"[\[\]{}":,a-z0-9]{0,40}"#.prop_map(String::into_bytes),
        ],
    ) {
        let engine = juno();
        let answer = ApiResponse { status, headers: vec![], body, held: Held::default() };
        for kind in OpKind::ALL {
            let verdict = verdict_of(&engine, &operation(kind), &answer);
            if matches!(verdict, Verdict::Done { .. }) {
                prop_assert!((200..300).contains(&status));
            }
        }
        let _ = engine.account(&answer);
        let _ = engine.page(&engine.list(), &answer);
    }

    #[test]
    fn texts_of_an_answer_never_reach_a_message(text in "[A-Z]{12}( [A-Z]{3,9}){0,3}") {
        let body = json!({"code": text, "message": text, "errors": {text.clone(): [text.clone()]}, "error": text});
        for status in [400, 403, 409, 422, 500] {
            let verdict = verdict_of(&juno(), &operation(OpKind::Create), &answer(status, &body.to_string()));
            if text.contains(' ') {
                let shown = format!("{verdict:?}");
                prop_assert!(!shown.contains(&text));
            }
        }
    }

    /// Of an answer only what can tell something is read: the verdict is that of reading all of it.
    #[test]
    fn what_is_left_unread_of_an_answer_changes_no_verdict(
        status in prop_oneof![4 => Just(200u16), 2 => Just(201), 1 => Just(400), 1 => Just(409), 1 => Just(500)],
        account in account_like(),
        wrapped in prop_oneof![Just(None), Just(Some("user")), Just(Some("data")), Just(Some("result"))],
        fields in proptest::collection::btree_map("[a-z]{2,5}", "[a-z]{1,3}", 0..3),
    ) {
        let body = wrapped.map_or(account.clone(), |name| json!({ name: account, "id": 5, "extra": [1, {"a": 2}] }));
        let answer = answer(status, &body.to_string());
        for (kind, options) in [("juno", ""), ("juicebox", "client = 1"), ("longjump", ""), ("scim", "")] {
            let engine = Engine::builtin(kind, &options.parse().expect("TOML")).expect("a definition");
            for op in OpKind::ALL {
                let mut operation = operation(op);
                let dotted = [("dimensions.1", "x"), ("client_id", "E1"), ("name.givenName", "Ann"), ("custom.y", "2")];
                let own = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(dotted);
                operation.fields.extend(own.map(|(name, value)| {
                    (name.to_string(), Change { old: Value::Null, new: json!(value) })
                }));
                let call = engine.call_for(&operation, false).map_or(Call::Update, |(call, _)| call.name);
                let whole = engine.judge_body(&operation, call, &answer, engine.body_of(&answer), now());
                prop_assert_eq!(engine.judge(&operation, call, &answer, now()), whole, "{} {}", kind, op);
            }
        }
    }
}

/// Something with members that accounts, and complaints, of the built-in kinds have.
fn account_like() -> impl Strategy<Value = Value> {
    let names = [
        "id",
        "client_id",
        "email",
        "banned",
        "dimensions",
        "code",
        "error_code",
        "error",
        "errors",
        "message",
        "detail",
        "field",
        "status",
        "success",
        "user",
        "data",
        "active",
        "userName",
        "name",
        "custom",
        "username",
        "ok",
        "result",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop_oneof![Just(123), Just(5)].prop_map(Value::from),
        prop_oneof![Just("123"), Just("ann@acme.com"), Just("E1"), Just("email"), Just("x"), Just("7001")]
            .prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(2, 8, 3, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map(proptest::sample::select(names.to_vec()), inner, 0..3)
                .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_string(), value)).collect()),
        ]
    });
    proptest::collection::btree_map(proptest::sample::select(names.to_vec()), value, 0..8)
        .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_string(), value)).collect())
}
