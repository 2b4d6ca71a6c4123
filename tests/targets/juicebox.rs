//! Juicebox: invitations, addresses for ids, apps, `extra`, paging by header.

use rosterd::sandbox::Op;
use serde_json::{Value, json};

use super::{ANN, BOB, Bench, PersonReport, adoption_and_lost_state, reconciling, whole_story};
use crate::answers::explaining::tells;

const MAP: &str = r#"email = { cel = "email.trim().lowerAscii()" }
first_name = "first_name"
last_name = "last_name"
"extra.employee_id" = "employee_id"
"extra.title" = "title"
"extra.city" = "city"
apps = { value = ["zylTKNVx", "b7Qw2LmN"] }"#;

fn story(settings: &'static str) -> PersonReport {
    PersonReport {
        target: "juicebox",
        settings,
        map: MAP,
        key: "/extra/employee_id",
        email: "/email",
        first_name: "/first_name",
        city: "/extra/city",
        title: "/extra/title",
        is_active: |user| user["is_active"] == true,
        seed: r#"[{"email": "{email}", "extra": {"kept": 1, "deep": {"a": [true]}}}]"#,
    }
}

fn direct() -> Bench {
    Bench::new(story(
        r#"kind = "juicebox"
base_url = "{url}/juicebox"
auth = { kind = "token", token = { file = "secret" } }
options = { client = 1, create = "direct" }"#,
    ))
}

fn inviting() -> Bench {
    Bench::new(story(
        r#"kind = "juicebox"
base_url = "{url}/juicebox"
auth = { kind = "token", token = { file = "secret" } }
options = { client = 1 }"#,
    ))
}

fn invitations(bench: &Bench) -> Vec<Value> {
    bench.sim.users_of("juicebox").into_iter().filter(|user| user["invited"] == true).collect()
}

/// The most mails that anybody got.
fn mails(bench: &Bench) -> u64 {
    invitations(bench).iter().filter_map(|one| one["invitation_email_count"].as_u64()).max().unwrap_or(0)
}

#[test]
fn the_whole_story_of_users_who_are_made_directly() {
    whole_story(&direct());
}

#[test]
fn accounts_that_are_there_are_adopted_and_what_they_hold_beside_stays() {
    let bench = direct();
    adoption_and_lost_state(&bench);
    let bob = bench.account("E2").expect("Bob");
    assert_eq!((&bob["extra"]["kept"], &bob["extra"]["deep"]), (&json!(1), &json!({"a": [true]})));
}

#[test]
fn every_kind_of_difference_is_found_and_put_right() {
    reconciling(&direct());
}

/// A member of `extra` that is emptied is sent empty: left out, it would stay. Once, and not again.
#[test]
fn what_is_cleared_in_extra_is_gone_there_and_written_once() {
    let bench = direct();
    bench.sync(&[ANN, BOB], 0);
    assert_eq!(bench.value("E2", "/extra/title"), "CEO");
    let cleared = "E2,Bob,=1+1,bob@acme.example,,Köln,active";
    bench.sync(&[ANN, cleared], 0);
    let bob = bench.account("E2").expect("Bob");
    assert_eq!(bob["extra"], json!({"employee_id": "E2", "title": "", "city": "Köln"}));
    let mark = bench.sim.mark();
    bench.sync(&[ANN, cleared], 0);
    let report = bench.home.run_json(&["reconcile", "--adopt", "--repair"]).exits(0).json();
    assert_eq!(report["syncs"][0]["drifted"], json!([]), "an empty member is an absent one: {report}");
    assert_eq!(bench.sim.writes_since(mark), []);
}

#[test]
fn a_pending_invitation_is_no_difference() {
    let bench = inviting();
    bench.sync(&[ANN, BOB], 0);
    let report = bench.home.run_json(&["reconcile", "--detailed-exitcode"]).exits(0).json();
    assert_eq!(report["syncs"][0]["missing"], json!([]), "{report}");
    let mark = bench.sim.mark();
    bench.home.run(&["reconcile", "--adopt", "--repair"]).exits(0);
    assert_eq!(bench.sim.writes_since(mark), []);
    assert_eq!(mails(&bench), 1);
}

/// The id of an account is an address there, which is a value of a person: reasons speak of it by its hash.
#[test]
fn why_shows_no_address_as_the_id_of_an_account_that_is_adopted() {
    let bench = direct();
    bench.sim.seed_in("juicebox", json!([{"email": "ann@acme.example"}]));
    bench.home.write("config/hr.csv", &format!("{}{ANN}\n", super::HEADER));
    let next = bench.home.run_json(&["why", "staff", "E1"]).exits(0).json()["next"].clone();
    assert_eq!(next["op"], "adopt", "{next}");
    let reason = next["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("account #") && !reason.contains("acme"), "{reason}");
}

#[test]
fn why_tells_of_an_invitation_and_finds_people_by_their_address() {
    let bench = inviting();
    bench.sync(&[ANN, BOB], 0);
    for who in ["E1", "Ann@ACME.example"] {
        tells(&bench.sim, &bench.home, who, "invited");
    }
    bench.home.write("config/hr.csv", &format!("{}{ANN}\n", super::HEADER));
    tells(&bench.sim, &bench.home, "E2", "invited-leaving");
    let moved = ANN.replace("Zürich", "Chur");
    bench.home.write("config/hr.csv", &format!("{}{moved}\n", super::HEADER));
    tells(&bench.sim, &bench.home, "E1", "invited-moved");
    bench.sim.behave(json!({"accept_invitations": true}));
    tells(&bench.sim, &bench.home, "E1", "accepted");
}

#[test]
fn who_is_invited_waits_is_recognised_and_is_then_brought_up_to_date() {
    let bench = inviting();
    let ran = bench.sync(&[ANN, BOB], 0);
    assert_eq!(ran["runs"][0]["counts"]["create"]["ok"], 2, "{ran}");
    assert_eq!(invitations(&bench).len(), 2);
    let ann = bench.account("ann@acme.example").expect("an invitation");
    assert_eq!(ann["extra"], json!({"employee_id": "E1", "title": "<&>\"'", "city": "Zürich"}));
    assert_eq!(ann["apps"], json!(["zylTKNVx", "b7Qw2LmN"]));
    let states = || bench.home.run_json(&["outcomes"]).exits(0).stdout;
    assert!(!states().contains("ann@acme.example"), "an address is in the outcomes");

    let unchanged = bench.sync(&[ANN, BOB], 0);
    assert_eq!(unchanged["runs"][0]["unchanged"], 2, "{unchanged}");
    assert_eq!(mails(&bench), 1);

    // Changes and leavers wait.
    let mark = bench.sim.mark();
    let moved = ANN.replace("Zürich", "Chur");
    let ran = bench.sync(&[&moved], 0);
    assert_eq!(ran["runs"][0]["skipped"], 2, "{ran}");
    assert_eq!(bench.sim.writes_since(mark), []);
    assert!(states().contains("invitation pending"));

    bench.sim.behave(json!({"accept_invitations": true}));
    let mark = bench.sim.mark();
    let ran = bench.sync(&[&moved], 0);
    assert_eq!(ran["runs"][0]["counts"]["update"]["ok"], 1, "{ran}");
    assert_eq!(ran["runs"][0]["counts"]["ban"]["ok"], 1, "{ran}");
    assert_eq!(bench.sim.committed_since(mark, Op::Create), 0);
    assert_eq!(bench.value("E1", "/first_name"), "李");
    assert_eq!(bench.value("E1", "/extra/city"), "Chur");
    assert!(bench.is_active("E1") && !bench.is_active("E2"));

    let mark = bench.sim.mark();
    bench.sync(&[&moved], 0);
    assert_eq!(bench.sim.since(mark).len(), 0, "nobody is invited any more, so nothing is asked");
}

#[test]
fn who_accepted_and_is_as_they_should_be_is_active_without_a_write() {
    let bench = inviting();
    let config = std::fs::read_to_string(bench.home.config()).expect("the configuration");
    let config = config.replace("first_name = \"first_name\"\nlast_name = \"last_name\"\n", "");
    std::fs::write(bench.home.config(), config).expect("written");
    bench.sync(&[ANN], 0);
    bench.sim.behave(json!({"accept_invitations": true}));
    let mark = bench.sim.mark();
    let ran = bench.sync(&[ANN], 0);
    assert_eq!(ran["runs"][0]["unchanged"], 1, "{ran}");
    assert_eq!(bench.sim.writes_since(mark), []);
    let mark = bench.sim.mark();
    bench.sync(&[ANN], 0);
    assert_eq!(bench.sim.since(mark).len(), 0);
}

#[test]
fn nobody_is_invited_twice_even_when_the_state_is_lost() {
    let bench = inviting();
    bench.sync(&[ANN, BOB], 0);
    bench.lose_state();
    let ran = bench.sync(&[ANN, BOB], 0);
    assert_eq!(ran["runs"][0]["counts"]["adopt"]["ok"], 2, "{ran}");
    assert_eq!((invitations(&bench).len(), mails(&bench)), (2, 1));
    // Nor when the operator asked for no matching at all.
    let config = std::fs::read_to_string(bench.home.config()).expect("the configuration");
    std::fs::write(bench.home.config(), config.replace("match = [\"email\"]", "match = []")).expect("written");
    bench.lose_state();
    bench.sync(&[ANN, BOB], 0);
    assert_eq!((invitations(&bench).len(), mails(&bench)), (2, 1));
}

#[test]
fn an_invitation_whose_answer_is_lost_is_found_and_not_sent_again() {
    let bench = inviting();
    bench.sim.script(json!({"method": "POST", "key": "E1", "nth": 1, "do": "commit-then-close"}));
    bench.sim.script(json!({"method": "POST", "key": "E2", "nth": 1, "do": "hang-before-commit:10"}));
    let ran = bench.sync(&[ANN, BOB], 75);
    assert_eq!(ran["runs"][0]["counts"]["create"]["unknown"], 1, "{ran}");
    assert_eq!((invitations(&bench).len(), mails(&bench)), (1, 1));
    let ran = bench.sync(&[ANN, BOB], 0);
    assert_eq!(ran["runs"][0]["counts"]["create"]["ok"], 1, "{ran}");
    assert_eq!((invitations(&bench).len(), mails(&bench)), (2, 1));
}

#[test]
fn the_one_who_invites_is_nobody_s_account() {
    let bench = inviting();
    bench.sim.seed_in("juicebox", json!([{"email": "x@acme.example", "invited": true}]));
    let ran = bench.sync(&["E3,Jason,Lee,jason@juice.example,CEO,Bern,active"], 0);
    assert_eq!(ran["runs"][0]["counts"]["create"]["ok"], 1, "{ran}");
}

#[test]
fn listings_are_read_to_their_last_page_and_no_link_leads_elsewhere() {
    let bench = direct();
    let there: Vec<Value> = (0..120).map(|n| json!({"email": format!("p{n}@acme.example")})).collect();
    bench.sim.seed_in("juicebox", Value::Array(there));
    let ran = bench.sync(&["E7,Ann,Lee,P119@acme.example,CEO,Bern,active"], 0);
    assert_eq!(ran["runs"][0]["counts"]["adopt"]["ok"], 1, "{ran}");
    assert_eq!(bench.sim.users_of("juicebox").len(), 120);
}

#[test]
fn the_client_must_be_given() {
    let bench = direct();
    let config = std::fs::read_to_string(bench.home.config()).expect("the configuration");
    std::fs::write(bench.home.config(), config.replace("client = 1, ", "")).expect("written");
    let ran = bench.home.run_json(&["check"]).exits(78).json();
    assert!(ran["errors"].to_string().contains("options.client"), "{ran}");
}

#[test]
fn leavers_can_t_be_removed_where_the_api_can_t() {
    let bench = direct();
    let config = std::fs::read_to_string(bench.home.config()).expect("the configuration");
    let config = config.replace("target = \"there\"", "target = \"there\"\non_leave = \"delete\"");
    std::fs::write(bench.home.config(), config).expect("written");
    let ran = bench.home.run_json(&["check"]).exits(78).json();
    assert_eq!(ran["errors"][0]["key"], "syncs.staff.on_leave", "{ran}");
}

#[test]
fn a_connection_check_proves_the_client_and_every_app_that_is_mapped() {
    let bench = direct();
    bench.home.write("config/hr.csv", &format!("{}{ANN}\n", super::HEADER));
    bench.home.run(&["check", "--connect"]).exits(0);
    assert!(bench.sim.requests().iter().all(|request| !request.write));

    let text = std::fs::read_to_string(bench.home.config()).expect("the configuration");
    let with = |from: &str, to: &str, code: i32| {
        std::fs::write(bench.home.config(), text.replace(from, to)).expect("written");
        let ran = bench.home.run_json(&["check", "--connect"]).exits(code).json();
        assert_eq!(ran["errors"].as_array().map(Vec::len), Some(1), "{ran}");
        ran["errors"][0].clone()
    };
    // A client that isn't ours, and, where it may be asked for, one that isn't there.
    let error = with("client = 1", "client = 7", 77);
    assert_eq!(error["message"], "target there refused the credentials: HTTP 403, asked for client 7");
    bench.sim.script(json!({"path_prefix": "/juicebox/api/v1/jb/clients/7/", "do": "status:404", "body": "{}"}));
    let error = with("client = 1", "client = 7", 78);
    assert_eq!((&error["key"], &error["message"]), (&json!("targets.there"), &json!("target there has no client 7")));
    let error = with("zylTKNVx", "zylTKNVX", 78);
    assert_eq!(error["key"], "syncs.staff.map.apps");
    assert_eq!(error["message"], "\"zylTKNVX\" is no app of client 1");
    assert_eq!(error["help"], "did you mean `zylTKNVx`?");
    // Values of people aren't told; whose it is, is.
    let error = with("apps = { value = [\"zylTKNVx\", \"b7Qw2LmN\"] }", "apps = \"city\"", 78);
    assert!(error["message"].as_str().is_some_and(|m| m.contains("E1") && !m.contains("Zürich")), "{error}");
}

#[test]
fn apps_are_compared_as_a_set() {
    let bench = direct();
    bench.sim.seed_in(
        "juicebox",
        json!([{"email": "ann@acme.example", "first_name": "李", "last_name": "Müller 🎉",
        "apps": ["b7Qw2LmN", "zylTKNVx"], "extra": {"employee_id": "E1", "title": "<&>\"'", "city": "Zürich"}}]),
    );
    let mark = bench.sim.mark();
    let ran = bench.sync(&[ANN], 0);
    assert_eq!(ran["runs"][0]["counts"]["adopt"]["ok"], 1, "{ran}");
    assert_eq!(bench.sim.writes_since(mark), [], "the same apps in another order are no difference");
    let text = std::fs::read_to_string(bench.home.config()).expect("the configuration");
    let fewer = text.replace("[\"zylTKNVx\", \"b7Qw2LmN\"]", "[\"b7Qw2LmN\"]");
    std::fs::write(bench.home.config(), fewer).expect("written");
    bench.sync(&[ANN], 0);
    assert_eq!(bench.account("E1").expect("Ann")["apps"], json!(["b7Qw2LmN"]));
}
