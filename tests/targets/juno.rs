//! JUNO: the same story as elsewhere, tags, clearing, the two spellings of what is a dimension underneath.

use serde_json::{Value, json};

use super::{ANN, BOB, Bench, PersonReport, adoption_and_lost_state, whole_story};

const SETTINGS: &str = r#"kind = "juno"
base_url = "{url}/juno/api"
auth = { kind = "bearer", token = { file = "secret" } }"#;

fn bench(map: &'static str) -> Bench {
    Bench::new(PersonReport {
        target: "juno",
        settings: SETTINGS,
        map,
        key: "/client_id",
        email: "/email",
        first_name: "/first_name",
        city: "/city",
        title: "/title",
        is_active: |user| !matches!(user["banned"].to_string().to_lowercase().trim_matches('"'), "true"),
        seed: r#"[{"email": "{email}", "company": "Acme", "tags": [{"id": "9"}]}]"#,
    })
}

const MAP: &str = r#"email = { cel = "email.trim().lowerAscii()" }
client_id = "employee_id"
first_name = "first_name"
last_name = "last_name"
title = "title"
city = "city""#;

#[test]
fn the_whole_story() {
    whole_story(&bench(MAP));
}

#[test]
fn accounts_that_are_there_are_adopted() {
    let bench = bench(MAP);
    adoption_and_lost_state(&bench);
    let bob = bench.account("E2").expect("Bob");
    assert_eq!((&bob["company"], &bob["tags"][0]["id"]), (&json!("Acme"), &json!("9")), "what nobody maps stays");
}

fn tags(bench: &Bench, key: &str) -> Vec<Value> {
    let account = bench.account(key).expect("an account");
    account["tags"].as_array().into_iter().flatten().map(|tag| tag["id"].clone()).collect()
}

/// Tags arrive as objects with five members, and are compared as a set of their ids.
#[test]
fn tags_are_sent_whole_compared_as_a_set_and_cleared() {
    let bench = bench(concat!(
        "email = { cel = \"email.trim().lowerAscii()\" }\nclient_id = \"employee_id\"\n",
        "tags = \"title\"\n\"dimensions.101\" = \"city\""
    ));
    let person = |tags: &str, city: &str| format!("E1,Ann,Lee,ann@acme.example,{tags},{city},active");
    bench.sync(&[&person("35;1", "Zürich")], 0);
    assert_eq!(tags(&bench, "E1"), [json!("1"), json!("35")]);

    // Neither another order nor a lost state makes a difference; a plain list of ids reads the same.
    for spelling in ["1;35", "35;1;35"] {
        let mark = bench.sim.mark();
        bench.sync(&[&person(spelling, "Zürich")], 0);
        assert_eq!(bench.sim.writes_since(mark), [], "{spelling}");
    }
    bench.lose_state();
    let mark = bench.sim.mark();
    let ran = bench.sync(&[&person("35;1", "Zürich")], 0);
    assert_eq!((&ran["runs"][0]["counts"]["adopt"]["ok"], bench.sim.writes_since(mark).len()), (&json!(1), 0));

    bench.sync(&[&person("7", "Chur")], 0);
    assert_eq!(tags(&bench, "E1"), [json!("7")]);
    let ann = bench.account("E1").expect("Ann");
    assert_eq!((&ann["dimensions"][0]["id"], &ann["dimensions"][0]["value"]), (&json!(101), &json!("Chur")));
    bench.sync(&[&person("", "")], 0);
    assert_eq!(tags(&bench, "E1"), [Value::Null; 0]);
    assert_eq!(bench.account("E1").expect("Ann")["dimensions"], json!([]));
    let mark = bench.sim.mark();
    bench.sync(&[&person("", "")], 0);
    assert_eq!(bench.sim.writes_since(mark), []);
}

#[test]
fn both_spellings_of_one_thing_are_refused_together() {
    let spellings = [("phone", 5), ("title", 18), ("instagram", 1), ("country", 16)];
    for (plain, dimension) in spellings {
        let bench = bench("email = \"email\"\nclient_id = \"employee_id\"");
        bench.home.configure(&format!("{plain} = \"title\"\n\"dimensions.{dimension}\" = \"city\""));
        let ran = bench.home.run_json(&["check"]).exits(78).json();
        let errors = ran["errors"].as_array().expect("errors");
        assert_eq!(errors.len(), 1, "{ran}");
        let message = errors[0]["message"].as_str().expect("a message");
        assert!(message.contains(plain) && message.contains(&format!("dimensions.{dimension}")), "{message}");
        assert!(message.contains("same thing"), "{message}");
    }
}

#[test]
fn odd_characters_arrive_unchanged_in_every_text_field() {
    let bench = bench(MAP);
    let odd = "E5,=HYPERLINK(1),\"<b>&amp;\",odd@acme.example,\"'; DROP\",👩‍🚀 李 Zürich,active";
    bench.sync(&[ANN, BOB, odd], 0);
    let account = bench.account("E5").expect("an account");
    let of = |field: &str| account[field].as_str().unwrap_or_default();
    assert_eq!(
        [of("first_name"), of("last_name"), of("title"), of("city")],
        ["=HYPERLINK(1)", "<b>&amp;", "'; DROP", "👩‍🚀 李 Zürich"]
    );
}
