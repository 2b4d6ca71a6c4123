//! SCIM's requests, under the names of their golden files.

use std::collections::BTreeMap;

use rosterd::api::{ApiRequest, ApiResponse, Call, Engine, Held, Needs, Verdict};
use rosterd::domain::operation::{OpKind, Operation};
use serde_json::{Value, json};

use super::{operation, set};

const ID: &str = "2819c223-7f76-453a-919d-413861904646";
const WORK: &str = r#"emails[type eq "work"].value"#;
const DEPARTMENT: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department";

fn engine() -> Engine {
    Engine::builtin("scim", &toml::Table::new()).expect("the built-in definition is right")
}

fn about(kind: OpKind, changes: &[(&str, Value, Value)]) -> Operation {
    let mut operation = operation(kind, changes, &[]);
    operation.remote_id = (kind != OpKind::Create).then(|| ID.into());
    operation
}

fn answer(status: u16, body: &Value) -> ApiResponse {
    let headers = vec![("etag".into(), "W/\"3694e05e9dff590\"".into())];
    ApiResponse { status, headers, body: body.to_string().into_bytes(), held: Held::default() }
}

pub fn requests() -> BTreeMap<&'static str, ApiRequest> {
    let engine = engine();
    let write = |kind, changes: &[_]| engine.encode(&about(kind, changes)).expect("a request");
    let there = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "id": ID, "userName": "bjensen@example.com",
        "nickName": "Babs", "title": "Guide", "active": false,
        "emails": [{"type": "work", "value": "bjensen@example.com"}, {"type": "home", "value": "babs@jensen.org"}]});
    let (_, current) = engine.current(&answer(200, &there)).expect("an answer").expect("an account");
    let needs = Needs { replace: true, current: Some(&current), ..Needs::default() };
    let replace = about(
        OpKind::Reinstate,
        &[(WORK, json!("bjensen@example.com"), json!("bj@example.com")), ("title", json!("Guide"), json!(null))],
    );
    assert!(engine.needs_current(&replace, true) && !engine.needs_current(&replace, false));
    let page = json!({"totalResults": 3, "startIndex": 1, "itemsPerPage": 2, "Resources": [{"id": "1"}, {"id": "2"}]});
    BTreeMap::from([
        ("discovery", engine.discovery().expect("a request")),
        ("adopt", {
            let mut adopt = about(OpKind::Adopt, &[set("externalId", json!("701984"))]);
            adopt.reactivates = true;
            engine.encode(&adopt).expect("a request")
        }),
        (
            "create",
            write(
                OpKind::Create,
                &[
                    set("externalId", json!("701984")),
                    set("userName", json!("bjensen@example.com")),
                    set("name.givenName", json!("李")),
                    set("name.familyName", json!("=1+1 🎉")),
                    set("title", json!("<&>\"'")),
                    set(WORK, json!("bjensen@example.com")),
                    set(DEPARTMENT, json!("Zürich")),
                    set("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value", json!("26118915")),
                    set("nickName", json!(null)),
                ],
            ),
        ),
        (
            "update",
            write(
                OpKind::Update,
                &[
                    ("name.givenName", json!("Babs"), json!("Barbara")),
                    (WORK, json!("bjensen@example.com"), json!("bj@example.com")),
                    (DEPARTMENT, json!(null), json!("Tour Operations")),
                ],
            ),
        ),
        (
            "update-add",
            write(
                OpKind::Update,
                &[
                    set(r#"addresses[type eq "work"].locality"#, json!("Zürich")),
                    set(r#"addresses[type eq "work"].postalCode"#, json!("8001")),
                ],
            ),
        ),
        (
            "update-clear",
            write(
                OpKind::Update,
                &[
                    ("title", json!("Guide"), json!(null)),
                    (r#"phoneNumbers[type eq "work"].value"#, json!("555"), json!(null)),
                ],
            ),
        ),
        ("ban", write(OpKind::Ban, &[])),
        ("reinstate", write(OpKind::Reinstate, &[set("title", json!("Guide"))])),
        ("replace", engine.encode_with(&replace, &needs).expect("a request")),
        ("delete", write(OpKind::Delete, &[])),
        ("get", engine.get(&ID.into()).expect("a request")),
        ("find-key", engine.find("externalId", "701984").expect("a look-up")),
        ("find-name", engine.find("userName", "o'n\"e\\il+x@example.com").expect("a look-up")),
        ("find-email", engine.find(WORK, "bjensen@example.com").expect("a look-up")),
        ("list-1", engine.list()),
        ("list-2", engine.page(&engine.list(), &answer(200, &page)).expect("a page").next.expect("a second page")),
    ])
}

#[test]
fn both_answers_to_a_patch_are_a_success_and_uniqueness_is_a_duplicate() {
    let engine = engine();
    let update = about(OpKind::Update, &[set("title", json!("x"))]);
    let now = chrono::DateTime::UNIX_EPOCH;
    let empty = ApiResponse { status: 204, headers: vec![], body: vec![], held: Held::default() };
    assert!(matches!(engine.judge(&update, Call::Update, &empty, now), Verdict::Done { .. }));
    assert!(matches!(engine.judge(&update, Call::Update, &answer(200, &json!({"id": ID})), now), Verdict::Done { .. }));
    assert!(matches!(
        engine.judge(&update, Call::Update, &answer(200, &json!({"id": "another"})), now),
        Verdict::Unclear(_)
    ));
    for status in [400, 409] {
        let refusal = json!({"scimType": "uniqueness", "detail": "userName bjensen is taken", "status": "409"});
        let verdict = engine.judge(&update, Call::Update, &answer(status, &refusal), now);
        let Verdict::Duplicate { fields, error } = verdict else { panic!("{verdict:?}") };
        assert_eq!(fields, ["userName"]);
        assert!(!error.message.contains("bjensen"), "{error:?}");
    }
    assert!(matches!(engine.judge(&update, Call::Update, &answer(412, &json!({})), now), Verdict::SlowDown { .. }));
}

#[test]
fn what_the_server_can_is_believed_and_silence_means_patch() {
    let engine = engine();
    assert!(engine.takes_changes(&answer(200, &json!({"patch": {"supported": true}}))));
    assert!(!engine.takes_changes(&answer(200, &json!({"patch": {"supported": false}}))));
    assert!(engine.takes_changes(&answer(404, &json!({"detail": "no such resource"}))));
    assert!(engine.takes_changes(&answer(200, &json!({}))));
}

#[test]
fn an_empty_list_may_be_left_out_where_the_total_says_so() {
    let engine = engine();
    let page = |body: Value| engine.page(&engine.list(), &answer(200, &body));
    assert_eq!(page(json!({"totalResults": 0})).expect("a page").accounts, []);
    assert!(page(json!({"totalResults": 2})).is_err());
    assert!(page(json!({})).is_err());
    assert!(page(json!({"totalResults": 2, "Resources": []})).is_err());
    // Behind all that the total speaks of, it may be missing as well, and the page be refused.
    let whole = page(json!({"totalResults": 1, "Resources": [{"id": "1"}]})).expect("a page");
    let beyond = whole.beyond.expect("one page more");
    assert_eq!(beyond.path, "/Users?startIndex=2&count=100");
    for answer in [answer(200, &json!({"totalResults": 1})), answer(400, &json!({"status": "400"}))] {
        assert_eq!(engine.page_beyond(&beyond, &answer).expect("a page").accounts, []);
    }
    assert!(engine.page_beyond(&beyond, &answer(500, &json!({}))).is_err());
}
