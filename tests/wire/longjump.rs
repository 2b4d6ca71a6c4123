//! LongJump's requests, under the names of their golden files.

use std::collections::BTreeMap;

use rosterd::api::{ApiRequest, ApiResponse, Call, Engine, Held, Needs, Verdict};
use rosterd::domain::operation::{OpKind, Operation};
use serde_json::json;

use super::{operation, set};

fn engine(options: &str) -> Engine {
    Engine::builtin("longjump", &options.parse().expect("options")).expect("the built-in definition is right")
}

pub fn answer(status: u16, body: &str) -> ApiResponse {
    ApiResponse { status, headers: vec![], body: body.as_bytes().to_vec(), held: Held::default() }
}

fn write(engine: &Engine, kind: OpKind, changes: &[(&str, serde_json::Value, serde_json::Value)]) -> ApiRequest {
    let mut operation: Operation = operation(kind, changes, &[("first_name", json!("John"))]);
    operation.remote_id = Some("1818437421".into());
    engine.encode(&operation).expect("a request")
}

pub fn requests() -> BTreeMap<&'static str, ApiRequest> {
    let plain = engine("team_id = 1\naccess_profile_id = 3");
    let notify = engine("notify = true\nteam_id = 5\naccess_profile_id = 6");
    let needs = Needs { throwaway: Some("aA1-example"), ..Needs::default() };
    let newcomer = [
        set("employee_number", json!("00123")),
        set("username", json!("userA@gmail.com")),
        set("email", json!("userA@gmail.com")),
        set("first_name", json!("李")),
        set("last_name", json!("Smith 🎉")),
        set("company", json!("<&>\"'")),
        set("city", json!("Zürich")),
        set("phone", json!("=1+1")),
        set("time_zone", json!(12)),
        set("single_sign_on", json!(false)),
        set("title", json!(null)),
    ];
    let least = [set("username", json!("userA@gmail.com")), set("email", json!("userA@gmail.com"))];
    let create = |engine: &Engine, fields: &[_]| {
        engine.encode_with(&operation(OpKind::Create, fields, &[]), &needs).expect("a request")
    };
    let small = engine("page_size = 2");
    let record = |id: u32| format!("<record><id>{id}</id></record>");
    let page = format!(
        "<platform>{}{}<message><code>0</code></message><totalRecordCount>3</totalRecordCount></platform>",
        record(1),
        record(2)
    );
    let reset = engine("reset_password = true");
    BTreeMap::from([
        ("login", plain.log_in("admin", "<&>\"'").expect("sessions").expect("a request")),
        ("logout", plain.log_out().expect("a request")),
        ("create", create(&plain, &newcomer)),
        ("create-notify", create(&notify, &least)),
        ("reset", reset.follow_up(&"1818437421".into()).expect("a reset").expect("a request")),
        (
            "update",
            write(
                &plain,
                OpKind::Update,
                &[("title", json!("Clerk"), json!("Captain")), ("enable_mobile", json!(false), json!(true))],
            ),
        ),
        ("update-clear", write(&plain, OpKind::Update, &[("phone", json!("1"), json!(null))])),
        (
            "update-custom",
            write(
                &plain,
                OpKind::Update,
                &[
                    ("badge_no", json!(null), json!("A 7")),
                    ("emailNotificationOptions.like", json!(true), json!(false)),
                ],
            ),
        ),
        ("ban", write(&plain, OpKind::Ban, &[])),
        ("reinstate", write(&plain, OpKind::Reinstate, &[("title", json!("Clerk"), json!("Captain"))])),
        ("delete", write(&plain, OpKind::Delete, &[])),
        ("adopt", write(&plain, OpKind::Adopt, &[set("employee_number", json!("00123"))])),
        ("get", plain.get(&"16016a880c064ad1ba92115424851462".into()).expect("a request")),
        ("find-key", plain.find("employee_number", "00123").expect("a look-up")),
        ("find-email", plain.find("email", "o'neil+x@gmail.com").expect("a look-up")),
        ("find-username", plain.find("username", "usera@gmail.com").expect("a look-up")),
        ("list-1", small.list()),
        ("list-2", small.page(&small.list(), &answer(200, &page)).expect("a page").next.expect("a second page")),
    ])
}

/// The answer of longjump.txt "Get a User Record", as far as it matters.
const USER: &str = r#"<platform> <user> <id>16016a880c064ad1ba92115424851462</id> <first_name>John</first_name>
    <title/> <time_zone>12</time_zone> <employee_number/> <email>userA@gmail.com</email> <active>1</active>
    <team_id type="TEAM" uri="https://qamain.longjump.com/networking/rest/team/1" displayValue="Order Processing">5</team_id>
    <single_sign_on>false</single_sign_on> <enable_mobile>true</enable_mobile>
    <force_security_question_change_on_login>1</force_security_question_change_on_login>
    <status> {#x}. <a href='#' onclick="javascript:top.loadApplication('1');"> {#app.launch_appln}</a> </status>
    <emailNotificationOptions> <like>true</like> </emailNotificationOptions>
    </user> <message> <code>0</code> <description>Success</description> </message> </platform>"#;

#[test]
fn a_record_is_read_as_the_page_shows_it() {
    let account = engine("").account(&answer(200, USER)).expect("an answer").expect("an account");
    assert_eq!(account.remote_id.as_str(), "16016a880c064ad1ba92115424851462");
    assert_eq!(account.key, None);
    for (field, value) in [
        ("team_id", json!(5)),
        ("single_sign_on", json!(false)),
        ("enable_mobile", json!(true)),
        ("force_security_question_change_on_login", json!(true)),
        ("emailNotificationOptions.like", json!(true)),
        ("title", json!(null)),
        ("city", json!(null)),
    ] {
        assert_eq!(account.attributes.get(field), Some(&value), "{field}");
    }
}

#[test]
fn success_is_judged_in_the_body() {
    let engine = engine("");
    let said =
        |code: i32| format!("<platform><message><code>{code}</code><description>x</description></message></platform>");
    let update = operation(OpKind::Update, &[set("title", json!("x"))], &[]);
    let now = chrono::DateTime::UNIX_EPOCH;
    let judged = |operation: &Operation, status, body: &str| {
        let call = if operation.kind == OpKind::Create { Call::Create } else { Call::Update };
        engine.judge(operation, call, &answer(status, body), now)
    };
    assert!(matches!(judged(&update, 200, &said(0)), Verdict::Done { .. }));
    assert!(matches!(judged(&update, 200, &said(-101)), Verdict::LogInAgain));
    assert!(matches!(judged(&update, 401, &said(-101)), Verdict::LogInAgain));
    assert!(matches!(judged(&update, 200, &said(-200)), Verdict::NotFound));
    assert!(matches!(judged(&update, 200, &said(-850)), Verdict::Refused(_)));
    assert!(matches!(judged(&update, 200, &said(-1)), Verdict::Unclear(_)));
    assert!(matches!(judged(&update, 200, &said(-4711)), Verdict::Refused(_)));
    assert!(matches!(judged(&update, 200, "<html><body>Sign in</body></html>"), Verdict::Unclear(_)));
    assert!(matches!(judged(&update, 200, "<platform><message><code>0"), Verdict::Unclear(_)));
    assert!(matches!(judged(&update, 200, "<!DOCTYPE p [<!ENTITY a 'b'>]><platform/>"), Verdict::Unclear(_)));
    let create = operation(OpKind::Create, &[set("username", json!("x"))], &[]);
    let made = "<platform> <message> <code>0</code> <description>Success</description> <id>1818437421</id> </message> </platform>";
    assert_eq!(
        judged(&create, 201, made),
        Verdict::Done { remote_id: Some("1818437421".into()), state: None, echo: None }
    );
    assert!(matches!(judged(&create, 201, &said(0)), Verdict::Unclear(_)));
}

#[test]
fn an_empty_search_is_empty_and_a_short_page_before_the_total_is_none() {
    let engine = engine("page_size = 2");
    let page = |total: u32, records: &str| {
        let body = format!(
            "<platform>{records}<message><code>0</code></message><totalRecordCount>{total}</totalRecordCount></platform>"
        );
        engine.page(&engine.list(), &answer(200, &body))
    };
    assert_eq!(page(0, "").expect("a page").accounts, []);
    assert_eq!(page(1, "<record><id>1</id></record>").expect("a page").next, None);
    assert!(page(3, "<record><id>1</id></record>").is_err());
    assert!(page(3, "").is_err());
}
