//! LongJump: XML, sessions, mails, codes in the body.

use rosterd::sandbox::Op;
use serde_json::json;

use super::{ANN, BOB, Bench, PersonReport, adoption_and_lost_state, reconciling, whole_story};

pub fn bench() -> Bench {
    Bench::new(PersonReport {
        target: "longjump",
        settings: r#"kind = "longjump"
base_url = "{url}/longjump"
auth = { kind = "session", username = "admin", password = { file = "secret" } }
options = { team_id = 1, access_profile_id = 3 }"#,
        map: r#"username = { cel = "email.trim().lowerAscii()" }
email = { cel = "email.trim().lowerAscii()" }
employee_number = "employee_id"
first_name = "first_name"
last_name = "last_name"
title = "title"
city = "city""#,
        key: "/employee_number",
        email: "/username",
        first_name: "/first_name",
        city: "/city",
        title: "/title",
        is_active: |user| user["active"] == true,
        seed: r#"[{"username": "{email}", "email": "{email}", "first_name": "Bob"}]"#,
    })
}

#[test]
fn the_whole_story() {
    let bench = bench();
    whole_story(&bench);
    let mails: u64 = bench.sim.users_of("longjump").iter().filter_map(|user| user["mails"].as_u64()).sum();
    assert_eq!(mails, 0, "nobody was mailed");
}

#[test]
fn accounts_that_are_there_are_adopted() {
    adoption_and_lost_state(&bench());
}

#[test]
fn every_kind_of_difference_is_found_and_put_right() {
    reconciling(&bench());
}

#[test]
fn why_finds_people_by_the_name_they_log_in_with() {
    let bench = bench();
    bench.sync(&[ANN, BOB], 0);
    let of = |who: &str| bench.home.run_json(&["why", "staff", who]).exits(0).json();
    let id = bench.account("E2").expect("Bob")["id"].as_str().expect("an id").to_string();
    for who in ["BOB@acme.example", &id, "E2"] {
        assert_eq!(of(who)["key"], "E2", "{who}");
    }
    let requests = bench.sim.requests();
    let sessions = |path: &str| requests.iter().filter(|r| r.path.ends_with(path)).count();
    assert_eq!(sessions("/login"), sessions("/logout"), "a question leaves no session behind");
}

#[test]
fn one_log_in_one_log_out_and_one_renewal_when_the_session_ends_under_many_requests() {
    let bench = bench();
    let people: Vec<String> = (0..60).map(|n| format!("E{n},Ann,Lee,p{n}@acme.example,CEO,Bern,active")).collect();
    let people: Vec<&str> = people.iter().map(String::as_str).collect();
    bench.sim.behave(json!({"latency_ms": 20, "expire_sessions_after": 30}));
    let ran = bench.sync(&people, 0);
    assert_eq!(ran["runs"][0]["counts"]["create"]["ok"], 60, "{ran}");
    let requests = bench.sim.requests();
    let of = |path: &str| requests.iter().filter(|r| r.path.ends_with(path)).count();
    assert_eq!((of("/login"), of("/logout")), (2, 1));
    assert_eq!(bench.sim.users_of("longjump").len(), 60);
    assert!(requests.last().expect("requests").path.ends_with("/logout"));
}

#[test]
fn refused_credentials_end_the_run_after_one_try() {
    let bench = bench();
    bench.home.secret("config/secret", "wrong\n");
    bench.sync(&[ANN, BOB], 77);
    let requests = bench.sim.requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert!(requests[0].path.ends_with("/login"));
}

#[test]
fn a_negative_code_is_a_failure_whatever_the_status() {
    let bench = bench();
    let body = "<platform><message><code>-850</code><description>No permission for ann@acme.example</description>\
                </message></platform>";
    bench.sim.script(json!({"method": "POST", "path_prefix": "/longjump/networking/rest/user/", "nth": 1,
        "do": "status:200", "body": body}));
    let ran = bench.sync(&[ANN], 75);
    assert_eq!(ran["runs"][0]["counts"]["create"]["failed"], 1, "{ran}");
    let outcomes = bench.home.run(&["outcomes", "--format", "json"]).exits(0).stdout;
    assert!(outcomes.contains("-850") && !outcomes.contains("ann@acme"), "{outcomes}");
}

#[test]
fn an_unanswered_create_is_looked_up_and_not_repeated() {
    let bench = bench();
    bench.sim.script(json!({"method": "POST", "key": "E1", "nth": 1, "do": "commit-then-close"}));
    bench.sync(&[ANN, BOB], 0);
    assert_eq!(bench.sim.users_of("longjump").len(), 2);
    assert_eq!(bench.sim.committed_since(0, Op::Create), 2);
}

#[test]
fn a_record_that_is_gone_is_made_anew_and_a_ban_of_it_is_done() {
    let bench = bench();
    bench.sync(&[ANN, BOB], 0);
    for user in bench.sim.users_of("longjump") {
        let url = format!("{}/longjump/networking/rest", bench.sim.url());
        delete(&url, user["id"].as_str().expect("an id"));
    }
    let moved = ANN.replace("Zürich", "Chur");
    let ran = bench.sync(&[&moved], 0);
    assert_eq!(ran["runs"][0]["counts"]["ban"]["ok"], 1, "{ran}");
    assert_eq!(bench.value("E1", "/city"), "Chur");
}

/// Deletes a record as an administrator would.
fn delete(rest: &str, id: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::new();
        let body = "<platform><login><userName>admin</userName><password>sandbox</password></login></platform>";
        let login = client.post(format!("{rest}/login")).header("content-type", "application/xml").body(body);
        let text = login.send().await.expect("an answer").text().await.expect("a body");
        let session = text.split("<sessionId>").nth(1).and_then(|rest| rest.split('<').next()).expect("a session");
        let cookie = format!("JSESSIONID={session}");
        let gone = client.delete(format!("{rest}/user/{id}")).header("cookie", cookie).send().await.expect("an answer");
        assert!(gone.text().await.expect("a body").contains("<code>0</code>"));
    });
}

#[test]
fn neither_password_nor_session_is_kept_or_shown() {
    let bench = bench();
    bench.home.secret("config/secret", "sandbox\n");
    bench.home.write("config/hr.csv", &format!("{}{ANN}\n", super::HEADER));
    let ran = bench.home.run(&["-vvv", "--log-format", "json", "sync"]).exits(0);
    let logs = format!("{}{}", ran.stdout, ran.stderr);
    assert!(!logs.contains("JSESSIONID") && !logs.contains("aA1-") && !logs.contains("Müller"), "{logs}");
    let state = std::fs::read(bench.home.path().join("state/rosterd.db")).expect("the state");
    let text = String::from_utf8_lossy(&state);
    assert!(!text.contains("password") && !text.contains("aA1-"));
}

#[test]
fn what_only_an_add_requires_must_be_mapped_or_an_option() {
    let bench = bench();
    let text = std::fs::read_to_string(bench.home.config()).expect("the configuration");
    std::fs::write(bench.home.config(), text.replace("options = { team_id = 1, access_profile_id = 3 }", ""))
        .expect("written");
    let ran = bench.home.run_json(&["check"]).exits(78).json();
    let told = ran["errors"].to_string();
    assert!(told.contains("team_id") && told.contains("accessProfileId"), "{told}");
    for option in ["team_id", "access_profile_id"] {
        assert!(told.contains(&format!("write options = {{ {option} = … }} for the target")), "{told}");
    }
}

#[test]
fn leavers_can_be_removed_and_come_back_as_new_users() {
    let bench = bench();
    bench.leavers_are_deleted();
}

/// Answers that an XML reader could be made to do something with: a document type, entities, depth, a cut.
#[test]
fn answers_are_read_as_data_and_never_interpreted() {
    let deep = format!("{}{}", "<a>".repeat(200), "</a>".repeat(200));
    let bodies = [
        "<!DOCTYPE p [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><platform><message><code>0</code></message><a>&x;</a></platform>",
        "<!DOCTYPE p [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]><platform><record><id>&b;</id></record></platform>",
        "<platform><message><code>0</code></message><record><id>&unknown;</id></record></platform>",
        "<platform><message><code>0</code></message><record><id>1</id></record>",
        &deep,
    ];
    let bench = bench();
    for body in bodies {
        bench.sim.calm();
        bench.sim.script(json!({"method": "GET", "path_prefix": "/longjump/networking/rest/user", "do": "status:200",
            "body": body, "headers": {"content-type": "application/xml"}}));
        bench.sync(&[ANN, BOB], 69);
        assert_eq!(bench.sim.users_of("longjump").len(), 0, "{body}");
    }
    // An answer to an add that can't be read may mean anything: it is looked up, and nobody is made twice.
    bench.sim.calm();
    bench.sim.script(
        json!({"method": "POST", "path_prefix": "/longjump/networking/rest/user/", "nth": 1, "do": "status:200",
        "body": bodies[0], "headers": {"content-type": "application/xml"}}),
    );
    bench.sync(&[ANN, BOB], 75);
    assert_eq!(bench.sim.users_of("longjump").len(), 1);
    bench.sync(&[ANN, BOB], 0);
    assert_eq!(bench.sim.users_of("longjump").len(), 2);
}

#[test]
fn who_is_to_be_mailed_is_and_nobody_else() {
    // Mails: of the welcome, of the temporary password; of a reset that was asked for.
    for (options, mails) in [("notify = true", 2), ("reset_password = true", 1), ("notify = false", 0)] {
        let bench = bench();
        let text = std::fs::read_to_string(bench.home.config()).expect("the configuration");
        let text = text.replace("access_profile_id = 3 }", &format!("access_profile_id = 3, {options} }}"));
        std::fs::write(bench.home.config(), text).expect("written");
        bench.sync(&[ANN], 0);
        bench.sync(&[&ANN.replace("Zürich", "Chur")], 0);
        assert_eq!(bench.account("E1").expect("Ann")["mails"], mails, "{options}");
    }
}

/// What a record shows for a look-up field is its value; the text beside it is for people.
#[test]
fn look_up_fields_are_compared_by_value_and_unmapped_fields_survive() {
    let bench = bench();
    bench.home.configure("team_id = { value = 1 }\naccessProfileId = { value = 3 }\n");
    bench.sync(&[ANN], 0);
    bench.sim.seed_in(
        "longjump",
        json!([{"username": "bob@acme.example", "email": "bob@acme.example",
        "phone": "555", "company": "Acme"}]),
    );
    bench.lose_state();
    let mark = bench.sim.mark();
    bench.sync(&[ANN], 0);
    assert_eq!(bench.sim.writes_since(mark), []);
    bench.sync(&[ANN, BOB], 0);
    let bob = bench.account("E2").expect("Bob");
    assert_eq!(
        (&bob["phone"], &bob["company"]),
        (&json!("555"), &json!("Acme")),
        "an update erases nothing by accident"
    );
}

#[test]
fn listings_are_read_page_by_page_to_the_total() {
    let bench = bench();
    let text = std::fs::read_to_string(bench.home.config()).expect("the configuration");
    let text = text.replace("access_profile_id = 3 }", "access_profile_id = 3, page_size = 25 }");
    std::fs::write(bench.home.config(), text).expect("written");
    let there =
        (0..60).map(|n| json!({"username": format!("p{n}@acme.example"), "email": format!("p{n}@acme.example")}));
    bench.sim.seed_in("longjump", there.collect());
    let people: Vec<String> = (0..60).map(|n| format!("E{n},Ann,Lee,P{n}@acme.example,CEO,Bern,active")).collect();
    let people: Vec<&str> = people.iter().map(String::as_str).collect();
    let mark = bench.sim.mark();
    let ran = bench.sync(&people, 0);
    assert_eq!(ran["runs"][0]["counts"]["adopt"]["ok"], 60, "{ran}");
    let reads = bench.sim.since(mark).iter().filter(|r| r.op == Op::List).count();
    assert_eq!(reads, 3, "sixty users at twenty-five a page");
    assert_eq!(bench.sim.users_of("longjump").len(), 60);
}

#[test]
fn what_xml_can_not_carry_stops_nobody_else() {
    let bench = bench();
    let odd = "E7,Zoe,Lee,zoe@acme.example,private\u{ffff},Bern,active";
    let ran = bench.sync(&[ANN, odd, BOB], 75);
    assert_eq!(ran["runs"][0]["counts"]["create"]["ok"], 2, "{ran}");
    assert_eq!(bench.sim.users_of("longjump").len(), 2);
    let outcomes = bench.home.run(&["outcomes", "--format", "json", "--key", "E7"]).exits(0).stdout;
    assert!(outcomes.contains("title") && outcomes.contains("XML") && !outcomes.contains("private"), "{outcomes}");
}
