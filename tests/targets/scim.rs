//! SCIM: PATCH or PUT as the server says, extensions, elements of multi-valued attributes, uniqueness, versions.

use rosterd::sandbox::Op;
use serde_json::{Value, json};

use super::{ANN, BOB, Bench, PersonReport, adoption_and_lost_state, reconciling, whole_story};

const SETTINGS: &str = r#"kind = "scim"
base_url = "{url}/scim/v2"
auth = { kind = "bearer", token = { file = "secret" } }"#;

pub const MAP: &str = r#"userName = { cel = "email.trim().lowerAscii()" }
externalId = "employee_id"
"name.givenName" = "first_name"
"name.familyName" = "last_name"
title = "title"
'emails[type eq "work"].value' = { cel = "email.trim().lowerAscii()" }
'addresses[type eq "work"].locality' = "city"
"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:costCenter" = "title""#;

pub fn story(settings: &'static str) -> PersonReport {
    PersonReport {
        target: "scim",
        settings,
        map: MAP,
        key: "/externalId",
        email: "/userName",
        first_name: "/name/givenName",
        city: "/addresses/0/locality",
        title: "/title",
        is_active: |user| user["active"] == true,
        seed: r#"[{"userName": "{email}", "nickName": "Bobby"}]"#,
    }
}

fn bench() -> Bench {
    Bench::new(story(SETTINGS))
}

#[test]
fn the_whole_story_with_patch() {
    let bench = bench();
    whole_story(&bench);
    let requests = bench.sim.requests();
    assert!(requests.iter().any(|r| &*r.method == "PATCH") && !requests.iter().any(|r| &*r.method == "PUT"));
}

#[test]
fn the_whole_story_with_put() {
    let bench = bench();
    bench.sim.behave(json!({"take_patches": false}));
    bench.sim.seed_in("scim", json!([{"userName": "x@acme.example", "nickName": "X", "photos": [{"value": "p"}]}]));
    whole_story(&bench);
    let requests = bench.sim.requests();
    assert!(requests.iter().any(|r| &*r.method == "PUT") && !requests.iter().any(|r| &*r.method == "PATCH"));
}

#[test]
fn what_nobody_maps_survives_a_put() {
    let bench = bench();
    bench.sim.behave(json!({"take_patches": false}));
    bench.sim.seed_in("scim", json!([{"userName": "ann@acme.example", "nickName": "Annie"}]));
    bench.sync(&[ANN], 0);
    let ann = bench.account("E1").expect("Ann");
    assert_eq!((&ann["nickName"], &ann["title"]), (&json!("Annie"), &json!("<&>\"'")));
}

#[test]
fn accounts_that_are_there_are_adopted() {
    adoption_and_lost_state(&bench());
}

#[test]
fn every_kind_of_difference_is_found_and_put_right() {
    reconciling(&bench());
    let bench = bench();
    bench.sim.behave(json!({"take_patches": false}));
    reconciling(&bench);
}

#[test]
fn a_user_name_that_is_taken_leads_to_its_account() {
    let bench = bench();
    bench.sync(&[BOB], 0);
    // Nobody matches by externalId, and the name belongs to another key: a conflict, and nothing is taken over.
    let ran = bench.sync(&[BOB, "E9,Bob,Two,bob@acme.example,CEO,Bern,active"], 75);
    assert_eq!(ran["runs"][0]["counts"]["create"]["failed"], 1, "{ran}");
    assert_eq!(bench.sim.users_of("scim").len(), 1);
    assert_eq!(bench.value("E2", "/name/familyName"), "=1+1");
}

#[test]
fn listings_go_on_where_the_server_cuts_its_pages() {
    let bench = bench();
    let there: Vec<Value> = (0..130).map(|n| json!({"userName": format!("p{n}@acme.example")})).collect();
    bench.sim.seed_in("scim", Value::Array(there));
    let people: Vec<String> = (0..130).map(|n| format!("E{n},Ann,Lee,P{n}@acme.example,CEO,Bern,active")).collect();
    let people: Vec<&str> = people.iter().map(String::as_str).collect();
    let mark = bench.sim.mark();
    let ran = bench.sync(&people, 0);
    assert_eq!(ran["runs"][0]["counts"]["adopt"]["ok"], 130, "{ran}");
    let reads = bench.sim.since(mark).iter().filter(|r| r.op == Op::List).count();
    assert_eq!(reads, 3, "a hundred and thirty users at fifty a page");
}

#[test]
fn leavers_can_be_removed_and_come_back_as_new_users() {
    bench().leavers_are_deleted();
}

/// Somebody else wrote between our reading and our writing: the version no longer fits, and the user is read again.
#[test]
fn a_user_that_has_changed_since_it_was_read_is_read_again() {
    let bench = bench();
    bench.sim.behave(json!({"take_patches": false}));
    bench.sync(&[ANN], 0);
    bench.sim.script(json!({"method": "PUT", "nth": 1, "do": "status:412"}));
    let mark = bench.sim.mark();
    let ran = bench.sync(&[&ANN.replace("Zürich", "Chur")], 0);
    assert_eq!(ran["runs"][0]["counts"]["update"]["ok"], 1, "{ran}");
    let requests = bench.sim.since(mark);
    let methods: Vec<&str> = requests.iter().filter(|r| r.path.contains("/Users/")).map(|r| &*r.method).collect();
    assert_eq!(methods, ["GET", "PUT", "GET", "PUT"]);
    assert_eq!(bench.value("E1", "/addresses/0/locality"), "Chur");
}

#[test]
fn what_was_deleted_can_not_be_undone() {
    let bench = bench();
    let config = std::fs::read_to_string(bench.home.config()).expect("the configuration");
    let config = config.replace("target = \"there\"", "target = \"there\"\non_leave = \"delete\"");
    std::fs::write(bench.home.config(), config).expect("written");
    bench.sync(&[ANN, BOB], 0);
    let ran = bench.sync(&[ANN], 0);
    assert_eq!(ran["runs"][0]["counts"]["delete"]["ok"], 1, "{ran}");
    assert_eq!(bench.sim.users_of("scim").len(), 1);
    // What is gone is gone, and an undo says so.
    let made = bench.home.run_json(&["undo", ran["runs"][0]["run"].as_str().expect("a run")]).exits(0).json();
    assert_eq!((&made["plan"], &made["left"][0]["key"]), (&Value::Null, &json!("E2")), "{made}");
    assert!(made["left"][0]["reason"].as_str().is_some_and(|why| why.contains("deleted")), "{made}");
    let ran = bench.sync(&[ANN, BOB], 0);
    assert_eq!(ran["runs"][0]["counts"]["create"]["ok"], 1, "{ran}");
}

#[test]
fn extensions_of_the_server_s_own_are_a_warning_and_are_written() {
    let bench = bench();
    bench.home.configure("\"urn:example:sandbox:2.0:User:badge\" = \"employee_id\"");
    let ran = bench.home.run_json(&["check"]).exits(0).json();
    assert!(ran["warnings"].to_string().contains("badge"), "{ran}");
    bench.sync(&[ANN], 0);
    let ann = bench.account("E1").expect("Ann");
    assert_eq!(ann["urn:example:sandbox:2.0:User"], json!({"badge": "E1"}));
    let mark = bench.sim.mark();
    bench.lose_state();
    bench.sync(&[ANN], 0);
    assert_eq!(bench.sim.writes_since(mark), [], "what was written is read");
}
