//! Juicebox's requests, under the names of their golden files, and its answers as the page shows them.

use std::collections::BTreeMap;

use rosterd::api::{ApiRequest, ApiResponse, Call, Engine, Held, Verdict};
use rosterd::domain::account::{AccountState, Echo};
use rosterd::domain::operation::{OpKind, Operation};
use serde_json::{Value, json};

use super::{operation, set};

fn engine(options: &str) -> Engine {
    Engine::builtin("juicebox", &options.parse().expect("options")).expect("the built-in definition is right")
}

fn write(kind: OpKind, changes: &[(&str, Value, Value)], known: &[(&str, Value)]) -> ApiRequest {
    let mut operation: Operation = operation(kind, changes, known);
    operation.remote_id = Some("user@juice.com".into());
    engine("client = 1").encode(&operation).expect("a request")
}

fn paged(body: &str, next: &str) -> ApiResponse {
    let headers = vec![("content-type".into(), "text/javascript".into()), ("x-next".into(), next.into())];
    ApiResponse { status: 200, headers, body: body.as_bytes().to_vec(), held: Held::default() }
}

pub fn requests() -> BTreeMap<&'static str, ApiRequest> {
    let newcomer = [
        set("email", json!("new_user@juiceanalytics.com")),
        set("first_name", json!("李")),
        set("last_name", json!("=1+1 🎉")),
        set("apps", json!(["zylTKNVx"])),
        set("extra.city", json!("Zürich")),
    ];
    let mut invited = newcomer.to_vec();
    invited.extend([set("extra.department", json!("<&>\"'")), set("extra.motto", json!("=李 🎉"))]);
    let (invite, direct) = (engine("client = 1"), engine("client = 1\ncreate = \"direct\""));
    let create = |engine: &Engine, fields: &[_]| engine.encode(&operation(OpKind::Create, fields, &[])).expect("one");
    let first = invite.list();
    let second = invite.page(&first, &paged("[]", "https://elsewhere.example/x/?page=2")).expect("a page").next;
    let second = second.expect("a second page");
    BTreeMap::from([
        ("invite", create(&invite, &invited)),
        ("create-direct", create(&direct, &newcomer)),
        (
            "update",
            write(
                OpKind::Update,
                &[
                    ("first_name", json!("Zoe"), json!("Zoë")),
                    ("apps", json!(["zylTKNVx"]), json!(["zylTKNVx", "b7Qw2LmN"])),
                ],
                &[("extra.department", json!("Labs"))],
            ),
        ),
        (
            "update-clear",
            write(
                OpKind::Update,
                &[("last_name", json!("x"), json!(null)), ("apps", json!(["zylTKNVx"]), json!(null))],
                &[],
            ),
        ),
        (
            "update-extra",
            write(
                OpKind::Update,
                &[("extra.department", json!("Sales"), json!("Labs")), ("extra.city", json!("Bern"), json!(null))],
                &[("extra.kept", json!({"a": [1]}))],
            ),
        ),
        ("rename", write(OpKind::Update, &[("email", json!("user@juice.com"), json!("o'neil+new@juice.com"))], &[])),
        ("ban", write(OpKind::Ban, &[], &[])),
        ("reinstate", write(OpKind::Reinstate, &[("first_name", json!("Zoe"), json!("Zoë"))], &[])),
        ("adopt", {
            let mut adopt: Operation = operation(OpKind::Adopt, &[("first_name", json!("Zoe"), json!("Zoë"))], &[]);
            adopt.remote_id = Some("user@juice.com".into());
            adopt.reactivates = true;
            invite.encode(&adopt).expect("a request")
        }),
        ("proof-client", invite.prove(&invite.proofs()[0])),
        ("proof-apps", invite.prove(&invite.proofs()[1])),
        ("list-1", first),
        ("list-2", second.clone()),
        ("list-invited", invite.page(&second, &paged("[]", "None")).expect("a page").next.expect("the invitations")),
    ])
}

/// The answers of juicebox.txt, as far as they are valid JSON.
const INVITATION: &str = r#"{"id": 4, "user": {"extra": {}, "email": "jason@juice.com", "is_active": true, "apps": []},
    "initial_apps": ["zylTKNVx"], "extra": {"city": "Bern"}, "email": "new_user@juiceanalytics.com", "key": "0626",
    "date_invited": "2016-06-01T18:24:04.358609Z", "invitation_email_count": 1}"#;

#[test]
fn an_invitation_is_somebody_of_their_own_and_never_the_one_who_invited() {
    let engine = engine("client = 1");
    let request = engine.page(&engine.list(), &paged("[]", "None")).expect("a page").next.expect("the invitations");
    let page = engine.page(&request, &paged(&format!("[{INVITATION}]"), "")).expect("a page");
    assert_eq!(page.next, None);
    let account = &page.accounts[0];
    assert_eq!((account.remote_id.as_str(), account.state), ("new_user@juiceanalytics.com", AccountState::Invited));
    assert_eq!(account.attributes.get("extra.city"), Some(&json!("Bern")));
    assert_eq!(account.attributes.get("apps"), Some(&json!(["zylTKNVx"])));
    assert_eq!(account.attributes.get("first_name"), None, "nothing is known of it");
}

#[test]
fn an_invitation_is_acknowledged_with_what_it_takes() {
    let engine = engine("client = 1");
    let invite = operation(
        OpKind::Create,
        &[
            set("email", json!("New_User@juiceanalytics.com")),
            set("first_name", json!("A")),
            set("extra.city", json!("B")),
        ],
        &[],
    );
    let now = chrono::DateTime::UNIX_EPOCH;
    for status in [200, 201] {
        let answer = ApiResponse { status, ..paged(INVITATION, "") };
        let state = Some(AccountState::Invited);
        let remote_id = Some("new_user@juiceanalytics.com".into());
        assert_eq!(engine.judge(&invite, Call::Invite, &answer, now), Verdict::Done { remote_id, state, echo: None });
    }
    let fields: Vec<String> = engine.acknowledged(&invite).iter().map(|(field, _)| field.clone()).collect();
    assert_eq!(fields, ["email", "extra.city"]);
    let other = paged(&INVITATION.replace("new_user", "somebody"), "");
    assert!(matches!(engine.judge(&invite, Call::Invite, &other, now), Verdict::Unclear(_)));
}

#[test]
fn a_rename_is_followed_and_another_account_is_not() {
    let engine = engine("client = 1");
    let mut rename = operation(OpKind::Update, &[("email", json!("user@juice.com"), json!("new@juice.com"))], &[]);
    rename.remote_id = Some("user@juice.com".into());
    let now = chrono::DateTime::UNIX_EPOCH;
    let shown = |email: &str| paged(&format!("{{\"email\": \"{email}\", \"is_active\": true}}"), "");
    let followed = |echo| Verdict::Done { remote_id: Some("new@juice.com".into()), state: None, echo };
    assert_eq!(engine.judge(&rename, Call::Update, &shown("new@juice.com"), now), followed(Some(Echo::default())));
    let silent = ApiResponse { status: 204, headers: vec![], body: vec![], held: Held::default() };
    assert_eq!(engine.judge(&rename, Call::Update, &silent, now), followed(None));
    assert!(matches!(engine.judge(&rename, Call::Update, &shown("user@juice.com"), now), Verdict::Unclear(_)));
    assert_eq!(engine.loggable_id(&"user@juice.com".into()).as_str().len(), 13);
}

#[test]
fn a_link_that_leads_nowhere_ends_no_listing() {
    let engine = engine("client = 1");
    for wrong in ["https://x.example/", "page=2", "?", "?a b", "?x=\"<"] {
        assert!(engine.page(&engine.list(), &paged("[]", wrong)).is_err(), "{wrong}");
    }
    let second = engine.page(&engine.list(), &paged("[]", "?page=2")).expect("a page").next.expect("a page");
    assert!(engine.page(&second, &paged("[]", "?page=2")).is_err(), "a page that links to itself");
}
