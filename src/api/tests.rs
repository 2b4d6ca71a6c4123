//! Answers that were changed anywhere, against every built-in definition, and definitions that were changed anywhere:
//! nothing of it makes anything panic, and what is no answer is no success.

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::{ApiResponse, Call, Engine, Held, Verdict};
use crate::domain::mutated;
use crate::domain::operation::{Change, OpKind, Operation};
use crate::domain::record::Key;

const JSON: [&str; 6] = [
    r#"[{"id":1,"client_id":"E1","email":"a@b.example","banned":false,"tags":[{"id":4,"name":"x"}],"custom":{"a":"b"}}]"#,
    r#"{"id":"u1","userName":"a@b.example","externalId":"E1","active":true,"name":{"givenName":"A"},
        "emails":[{"value":"a@b.example","type":"work","primary":true}],"meta":{"version":"W/\"1\""}}"#,
    r#"{"totalResults":2,"itemsPerPage":2,"startIndex":1,"Resources":[{"id":"u1","userName":"a"},{"id":"u2","userName":"b"}]}"#,
    r#"{"users":[{"id":7,"email":"a@b.example","first_name":"A"}],"next":"?page=2","total":"18446744073709551615"}"#,
    r#"{"errors":{"email":["is taken"]},"code":"uniqueness","scimType":"uniqueness","detail":"x"}"#,
    r#"{"patch":{"supported":true},"data":[],"apps":[{"id":"a","name":"b"}]}"#,
];

const XML: [&str; 3] = [
    r#"<?xml version="1.0"?><platform><message><code>0</code><id>7</id></message><totalRecordCount>2</totalRecordCount>
       <record><id>1</id><employee_number>E1</employee_number><email type="x">a@b.example</email><active>1</active></record>
       <record><id>2</id><title/></record></platform>"#,
    "<platform><message><code>-101</code></message><login><sessionId>abc</sessionId></login></platform>",
    "<platform><message><code>0</code></message><user><id>1</id><name>M&#252;ller &lt;&amp;&gt;</name><![CDATA[<b>]]></user></platform>",
];

fn answers() -> impl Strategy<Value = ApiResponse> {
    let documents = JSON.iter().chain(&XML).map(|text| text.as_bytes().to_vec()).collect();
    let header = prop::sample::select(vec!["link", "retry-after", "etag", "date", "x-next-page", "content-type"]);
    let value = mutated::text_of(&[
        "<https://h/p?page=2>; rel=\"next\"",
        "120",
        "18446744073709551615",
        "Wed, 21 Oct 2026 07:28:00 GMT",
    ]);
    let status = prop::sample::select(vec![200u16, 200, 200, 201, 204, 400, 401, 404, 409, 412, 429, 500, 503]);
    (status, proptest::collection::vec((header, value), 0..3), mutated::of(documents)).prop_map(
        |(status, headers, body)| {
            let headers = headers.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
            ApiResponse { status, headers, body, held: Held::default() }
        },
    )
}

fn operations() -> Vec<Operation> {
    let kinds = [OpKind::Create, OpKind::Update, OpKind::Ban, OpKind::Reinstate, OpKind::Adopt, OpKind::Delete];
    let of = |kind: OpKind| {
        let mut operation =
            Operation::new(kind, Key::parse("E1").expect("a key"), (kind != OpKind::Create).then(|| "1".into()));
        let change = |new: &str| Change { old: serde_json::Value::Null, new: new.into() };
        operation.fields.insert("email".into(), change("a@b.example"));
        operation.fields.insert("userName".into(), change("a@b.example"));
        operation
    };
    kinds.into_iter().map(of).collect()
}

fn engines() -> Vec<Engine> {
    let options: toml::Table = toml::from_str("team_id = 1\naccess_profile_id = 3").expect("options");
    let none = toml::Table::new();
    let built = |kind: &&str| Engine::builtin(kind, &none).or_else(|_| Engine::builtin(kind, &options)).ok();
    Engine::builtin_kinds().iter().filter_map(built).collect()
}

proptest! {
    #![proptest_config(crate::domain::properties::cases(400))]

    #[test]
    fn no_answer_makes_an_engine_panic_and_none_is_a_page_of_more_than_it_holds(answer in answers()) {
        let now = DateTime::<Utc>::UNIX_EPOCH;
        let engines = engines();
        prop_assert!(engines.len() >= 3);
        for engine in engines {
            let find = engine.find_fields().first().and_then(|field| engine.find(field, "E1"));
            for request in find.into_iter().chain(engine.can_list().then(|| engine.list())) {
                for page in [engine.page(&request, &answer), engine.page_beyond(&request, &answer)].into_iter().flatten() {
                    prop_assert!(page.accounts.len() <= answer.body.len());
                    prop_assert!(page.accounts.iter().all(|account| !account.remote_id.as_str().is_empty()));
                }
            }
            for operation in operations() {
                let call = engine.encode(&operation).map_or(Call::Update, |request| request.call);
                let verdict = engine.judge(&operation, call, &answer, now);
                prop_assert!(answer.status < 300 || !matches!(verdict, Verdict::Done { .. }), "{}", answer.status);
                engine.misses_element(&operation, call, &answer);
            }
            drop((engine.account(&answer), engine.current(&answer), engine.session(&answer)));
            drop((engine.takes_changes(&answer), engine.complaint_of(&answer), engine.asks_to_log_in(&answer)));
            engine.proofs().iter().for_each(|proof| drop(engine.proven(proof, &answer)));
        }
    }

    #[test]
    fn no_definition_makes_the_compiler_panic(text in mutated::text_of(&definitions())) {
        drop(Engine::from_definition("people.toml", &text, &toml::Table::new()));
    }
}

fn definitions() -> Vec<&'static str> {
    Engine::builtin_kinds().iter().filter_map(|kind| Engine::builtin_text(kind)).collect()
}
