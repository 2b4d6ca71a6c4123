//! The pages for people and the API for programs: a held plan, a run, a person, pictures; what they never show, and what
//! the OpenAPI document says of them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Daemon, ask, home, people};
use crate::support::{Home, Sim};

/// What the values of the people in these tests have in common, and no key, field or command has.
const VALUES: [&str; 6] = ["@acme.com", "Ash", "Ann", "Nurse", "Surgeon", "Bern"];

/// Keys that are hard on links: each is one part of a path.
const ODD: [(&str, &str); 3] =
    [("a/b c%20", "a%2Fb%20c%2520"), ("Zoë?#ü", "Zo%C3%AB%3F%23%C3%BC"), ("<b>'\"&", "%3Cb%3E%27%22%26")];

fn odd(title: &str) -> Vec<String> {
    let row = |(n, (key, _)): (usize, &(&str, &str))| {
        format!("\"{}\",Ann{n},Ash,odd{n}@acme.com,+4178{n:07},{title},Bern,active", key.replace('"', "\"\""))
    };
    ODD.iter().enumerate().map(row).collect()
}

/// A home with eight people on the platform, whose three leavers are held together with the updates of the others.
fn with_a_held_plan(sim: &Sim) -> (Home, String) {
    let home = home(sim, "schedule = \"0 0 3 * * *\"");
    home.people(&[people(5), odd("Nurse")].concat());
    home.run(&["sync"]).exits(0);
    home.configure("[syncs.staff.limits]\nban = 1");
    let after: Vec<String> = people(2).iter().map(|row| row.replace("Nurse", "Surgeon")).collect();
    home.people(&[after, odd("Surgeon")].concat());
    home.run(&["sync"]).exits(3);
    home.run(&["reconcile"]).exits(0);
    let plan = home.run_json(&["plans"]).json()["plans"][0]["id"].as_str().expect("a plan").to_string();
    (home, plan)
}

/// A page without its tags.
fn words(page: &str) -> String {
    regex::Regex::new("(?s)<style>.*?</style>|<[^>]*>").expect("an expression").replace_all(page, "").into_owned()
}

fn page(daemon: &Daemon<'_>, path: &str) -> String {
    let (status, body) = daemon.get(path);
    assert_eq!(status, 200, "{path}: {body}");
    assert!(body.starts_with("<!DOCTYPE html>") && !body.contains("<script"), "{path}: {body}");
    body
}

/// The addresses of a page's own links, as a browser resolves them.
fn links(path: &str, body: &str) -> BTreeSet<String> {
    let base = url::Url::parse("http://h/").and_then(|base| base.join(path)).expect("an address");
    let expression = regex::Regex::new("href=\"([^\"]*)\"").expect("an expression");
    let found = expression.captures_iter(body).map(|found| found[1].replace("&amp;", "&"));
    let found = found.filter(|to| !to.starts_with("data:"));
    found
        .map(|to| {
            let to = base.join(&to).expect("a link");
            to.query().map_or_else(|| to.path().to_string(), |query| format!("{}?{query}", to.path()))
        })
        .collect()
}

#[test]
fn everything_that_the_pages_link_to_is_there_and_shows_no_value() {
    let sim = Sim::start();
    let (home, plan) = with_a_held_plan(&sim);
    let daemon = Daemon::start(&home);
    let (mut open, mut seen) = (vec!["/".to_string()], BTreeSet::new());
    while let Some(path) = open.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let (status, body) = daemon.get(&path);
        assert_eq!(status, 200, "{path}: {body}");
        for value in VALUES {
            assert!(!body.contains(value), "{value} on {path}: {body}");
        }
        if body.starts_with("<!DOCTYPE html>") {
            open.extend(links(&path, &body));
        }
    }
    for path in ["/syncs/staff", "/runs", "/history", "/people/staff/E4", &format!("/plans/{plan}"), "/api/v1/plans"] {
        assert!(seen.contains(path), "{path} is linked: {seen:?}");
    }
    for (_, encoded) in ODD {
        assert!(seen.contains(&format!("/people/staff/{encoded}")), "{encoded}: {seen:?}");
    }
    // What no page links to, and programs ask for.
    for path in [format!("/api/v1/plans/{plan}"), "/api/v1/people/staff/E4".into(), "/people?key=E4".into()] {
        let (_, body) = daemon.get(&path);
        assert!(!VALUES.iter().any(|value| body.contains(value)), "{path}: {body}");
    }
    assert_eq!(daemon.end(), 0);
}

#[test]
fn a_held_plan_tells_first_what_its_limit_is_about() {
    let sim = Sim::start();
    let (home, plan) = with_a_held_plan(&sim);
    let daemon = Daemon::start(&home);
    let told = words(&page(&daemon, &format!("/plans/{plan}")));
    assert!(told.contains("ban: 3, allowed 1") && told.contains(&format!("rosterd approve {plan}")), "{told}");
    assert!(told.find("E2").expect("a leaver") < told.find("E0").expect("somebody who stays"), "{told}");
    let bans = words(&page(&daemon, &format!("/plans/{plan}?op=ban")));
    assert!(bans.contains("E4") && !bans.contains("E0"), "{bans}");

    // The same for programs, three at a time.
    let (mut after, mut keys) = (String::new(), Vec::new());
    loop {
        let answer = daemon.json(&format!("/api/v1/plans/{plan}?limit=3{after}"));
        for operation in answer["operations"].as_array().expect("operations") {
            keys.push(operation["key"].as_str().expect("a key").to_string());
            let names = operation["fields"].as_array().expect("names").clone();
            assert!(operation["op"] != "update" || names == [json!("title")], "{operation}");
        }
        let Some(next) = answer["next"].as_str() else { break };
        let encoded: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        after = format!("&after={encoded}");
    }
    let mut sorted = keys.clone();
    sorted[3..].sort();
    assert_eq!((&keys[..3], keys.len(), &sorted), (&["E2", "E3", "E4"].map(String::from)[..], 8, &keys));

    home.run(&["discard", &plan]).exits(0);
    let told = words(&page(&daemon, &format!("/plans/{plan}")));
    assert!(told.contains("discarded") && told.contains("They are not kept."), "{told}");
    assert_eq!(daemon.json(&format!("/api/v1/plans/{plan}"))["status"], "discarded");
    assert_eq!(daemon.json("/api/v1/plans"), json!({"plans": []}));
    assert_eq!(daemon.end(), 0);
}

#[test]
fn a_run_has_its_head_and_its_outcomes_and_a_person_their_story() {
    let sim = Sim::start();
    let (home, plan) = with_a_held_plan(&sim);
    sim.script(json!({"method": "PUT", "key": "E0", "do": "status:422"}));
    sim.script(json!({"method": "PATCH", "key": "E0", "do": "status:422"}));
    let daemon = Daemon::start(&home);
    let before = daemon.json("/api/v1/people/staff/E4");
    assert_eq!((&before["state"], &before["held"][0]["op"]), (&json!("active"), &json!("ban")), "{before}");
    assert_eq!(before["held"][0]["plan"], plan.as_str());
    assert!(before.get("snapshot").is_none() && before.get("label").is_none(), "{before}");
    assert!(before["fields"].as_array().expect("names").contains(&json!("title")), "{before}");
    let requests = sim.requests().len();

    home.run(&["approve", &plan, "--reason", "they <b>left</b>"]).exits(75);
    let run = daemon.runs()[0]["run"].as_str().expect("a run").to_string();
    let told = words(&page(&daemon, &format!("/runs/{run}")));
    for part in ["partial", "the approval of a held plan, by", "“they &lt;b&gt;left&lt;/b&gt;”", "3 ban", "1 failed"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    let failed = words(&page(&daemon, &format!("/runs/{run}?status=failed")));
    assert!(failed.contains("E0") && failed.contains("HTTP 422") && !failed.contains("E4"), "{failed}");

    let asked = sim.requests().len();
    assert!(asked > requests, "the run has asked the target");
    let story = words(&page(&daemon, "/people/staff/E4"));
    for part in ["E4 in staff", "banned", "ban", "create", "rosterd why staff E4"] {
        assert!(story.contains(part), "{part}: {story}");
    }
    let after = daemon.json("/api/v1/people/staff/E4");
    let ops: Vec<_> =
        after["outcomes"].as_array().expect("outcomes").iter().map(|o| (&o["op"], &o["status"])).collect();
    assert_eq!(ops[0], (&json!("ban"), &json!("ok")), "{after}");
    assert_eq!(ops.last(), Some(&(&json!("create"), &json!("ok"))), "{after}");
    assert_eq!(sim.requests().len(), asked, "nobody is asked because somebody looks");

    home.run(&["pause", "staff"]).exits(0);
    assert!(words(&page(&daemon, "/people/staff/E0")).contains("rosterd resume staff"));
    assert_eq!(daemon.end(), 0);
}

#[test]
fn a_person_is_found_by_any_key_and_who_is_not_known_is_not_there() {
    let sim = Sim::start();
    let (home, _) = with_a_held_plan(&sim);
    let daemon = Daemon::start(&home);
    for (key, encoded) in ODD {
        let answer = daemon.json(&format!("/api/v1/people/staff/{encoded}"));
        assert_eq!(answer["key"], key);
        let (status, _) = daemon.get(&format!("/people?sync=staff&key={encoded}"));
        assert_eq!(status, 303, "{key}");
    }
    let (status, body) = daemon.get("/people?sync=&key=%3Cb%3Enobody%E2%80%AE");
    assert!(status == 404 && body.contains("&lt;b&gt;nobody\\u{202e}"), "{status} {body}");
    assert_eq!(daemon.get("/people").0, 200);
    for (path, expected) in [
        ("/people/staff/nobody", 404),
        ("/people/staff/%E2%80%AE", 404),
        ("/people/staff/%FF", 404),
        ("/people/nope/E1", 404),
        ("/api/v1/people/staff/nobody", 404),
        ("/api/v1/people/nope/E1", 404),
        ("/syncs/nope", 404),
        ("/runs/01NOPE", 404),
        ("/runs?before=01NOPE", 404),
        ("/runs?sync=nope", 404),
        ("/runs?frob=1", 400),
        ("/runs/01NOPE?status=bad", 400),
        ("/plans/nope", 404),
        ("/plans/nope?op=bad", 400),
        ("/api/v1/plans/nope", 404),
        ("/api/v1/plans/nope?after=bad", 400),
        ("/api/v1/plans/nope?limit=1001", 400),
        ("/history?sync=nope", 404),
    ] {
        let (status, body) = daemon.get(path);
        assert_eq!(status, expected, "{path}: {body}");
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(answer["error"]["code"], 64, "{path}: {body}");
    }
    assert_eq!(ask(daemon.address, "POST", "/people", "", "key=E1").0, 405, "a form changes nothing");
    assert_eq!(daemon.end(), 0);
}

#[test]
fn pictures_and_the_result_of_a_reconcile_are_drawn() {
    let sim = Sim::start();
    let (home, _) = with_a_held_plan(&sim);
    let daemon = Daemon::start(&home);
    let history = page(&daemon, "/history");
    for title in ["People provisioned", "Joiners and leavers", "How long runs took", "Operations a second"] {
        assert!(history.contains(&format!("<title>{title}</title><desc>")), "{title}: {history}");
    }
    assert!(history.contains(": 8 joined</title>") && history.contains("8 today, 8 more than on "), "{history}");
    assert!(history.contains("Nothing within these days."), "nothing has failed: {history}");
    let sync = words(&page(&daemon, "/syncs/staff"));
    for part in ["Reconciled", "8 differ", "8 accounts on the target", "drifted", "active there"] {
        assert!(sync.contains(part), "{part}: {sync}");
    }
    let zone = " UTC";
    assert!(sync.matches(zone).count() > 5, "{sync}");
    assert_eq!(daemon.end(), 0);
}

#[test]
fn values_are_shown_where_that_is_configured() {
    let sim = Sim::start();
    let (home, plan) = with_a_held_plan(&sim);
    let daemon = Daemon::start(&home);
    assert!(!words(&page(&daemon, "/people/staff/E0")).contains("Nurse"));
    assert_eq!(daemon.end(), 0);
    let text = std::fs::read_to_string(home.config()).expect("a configuration");
    let text = text.replace("[server]\nlisten = \"127.0.0.1:0\"", "");
    std::fs::write(home.config(), text).expect("written");
    let daemon = Daemon::start_with(&home, |_| {
        let text = std::fs::read_to_string(home.config()).expect("a configuration");
        std::fs::write(home.config(), text.replace("[server]\n", "[server]\nshow_values = true\n")).expect("written");
    });
    let story = words(&page(&daemon, "/people/staff/E0"));
    assert!(story.contains("“Nurse”") && story.contains("Ann0 Ash"), "{story}");
    let operations = words(&page(&daemon, &format!("/plans/{plan}?op=update")));
    assert!(operations.contains("title “Nurse” → “Surgeon”") && operations.contains("Ann0 Ash"), "{operations}");
    let told = daemon.json(&format!("/api/v1/plans/{plan}?op=update"));
    assert_eq!(told["operations"][1]["fields"]["title"], json!({"old": "Nurse", "new": "Surgeon"}), "{told}");
    let person = daemon.json("/api/v1/people/staff/E0");
    assert_eq!(person["snapshot"]["title"], "Nurse", "{person}");
    check_answers(&daemon, &plan);
    assert_eq!(daemon.end(), 0);
}

#[test]
fn whoever_got_another_key_has_their_story_and_the_old_key_leads_to_it() {
    let sim = Sim::start();
    let (home, _) = with_a_held_plan(&sim);
    home.run(&["rekey", "staff", "E4", "N/4"]).exits(0);
    let daemon = Daemon::start(&home);
    let story = page(&daemon, "/people/staff/N%2F4");
    assert!(words(&story).contains("Former keyE4, until") && words(&story).contains("create"), "{story}");
    let old = page(&daemon, "/people/staff/E4");
    assert!(links("/people/staff/E4", &old).contains("/people/staff/N%2F4"), "{old}");
    let (now, before) = (daemon.json("/api/v1/people/staff/N%2F4"), daemon.json("/api/v1/people/staff/E4"));
    assert_eq!((&now["former_keys"][0]["key"], &before["now"]), (&json!("E4"), &json!("N/4")), "{now} {before}");
    assert_eq!(daemon.end(), 0);
}

/// A schema that admits nothing but what it describes.
fn closed(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.values_mut().for_each(closed);
            if members.get("properties").is_some_and(Value::is_object) && !members.contains_key("additionalProperties")
            {
                members.insert("additionalProperties".into(), json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(closed),
        _ => {}
    }
}

/// Answers of every endpoint for programs are what the document says.
fn check_answers(daemon: &Daemon<'_>, plan: &str) {
    let document = daemon.json("/api/v1/openapi.json");
    assert_eq!(document["openapi"], "3.1.0");
    let mut strict = document.clone();
    closed(&mut strict["components"]["schemas"]);
    let pointer = |path: &str, status: &str| {
        let path = path.replace('~', "~0").replace('/', "~1").replace('{', "%7B").replace('}', "%7D");
        format!("http://h/api.json#/paths/{path}/get/responses/{status}/content/application~1json/schema")
    };
    let check = |path: &str, status: u16, answer: &Value| {
        let mut schemas = boon::Schemas::new();
        let mut compiler = boon::Compiler::new();
        compiler.set_default_draft(boon::Draft::V2020_12);
        compiler.enable_format_assertions();
        compiler.add_resource("http://h/api.json", strict.clone()).expect("a document");
        let schema = compiler.compile(&pointer(path, &status.to_string()), &mut schemas).expect("a schema");
        if let Err(error) = schemas.validate(answer, schema) {
            panic!("{path} {status}: {error:#}\n{answer:#}");
        }
    };
    for (path, at) in [
        ("/api/v1/status", "/api/v1/status".to_string()),
        ("/api/v1/runs", "/api/v1/runs?sync=staff".into()),
        ("/api/v1/outcomes", "/api/v1/outcomes?limit=1000".into()),
        ("/api/v1/plans", "/api/v1/plans".into()),
        ("/api/v1/plans/{id}", format!("/api/v1/plans/{plan}")),
        ("/api/v1/people/{sync}/{key}", "/api/v1/people/staff/E0".into()),
        ("/api/v1/openapi.json", "/api/v1/openapi.json".into()),
    ] {
        let answer = daemon.json(&at);
        check(path, 200, &answer);
    }
    for (path, at, status) in [
        ("/api/v1/runs", "/api/v1/runs?frob=1", 400),
        ("/api/v1/plans/{id}", "/api/v1/plans/nope", 404),
        ("/runs/{id}", "/runs/nope", 404),
        ("/people/{sync}/{key}", "/people/staff/nobody", 404),
    ] {
        let (was, body) = daemon.get(at);
        assert_eq!(was, status, "{at}");
        check(path, status, &serde_json::from_str(&body).expect("JSON"));
    }
}

#[test]
fn the_document_describes_every_answer() {
    let sim = Sim::start();
    let (home, plan) = with_a_held_plan(&sim);
    let daemon = Daemon::start(&home);
    check_answers(&daemon, &plan);
    let document = daemon.json("/api/v1/openapi.json");
    let run = daemon.runs()[0]["run"].as_str().expect("a run").to_string();
    for (path, told) in document["paths"].as_object().expect("paths") {
        let at = path.replace("{sync}", "staff").replace("{key}", "E0");
        let at = at.replace("/runs/{id}", &format!("/runs/{run}")).replace("/plans/{id}", &format!("/plans/{plan}"));
        assert_eq!(daemon.get(&at).0, 200, "{path} is described, and there");
        let content = told["get"]["responses"]["200"]["content"].as_object().expect("a content");
        let kind = content.keys().next().expect("a kind").clone();
        let head = head(&daemon, &at);
        assert!(head.contains(&format!("content-type: {kind}")), "{path}: {head}");
        assert!(head.contains("form-action 'self'") && head.contains("default-src 'none'"), "{path}: {head}");
        for parameter in told["get"]["parameters"].as_array().expect("a list") {
            if parameter["in"] == "query" {
                let name = parameter["name"].as_str().expect("a name");
                let (status, body) = daemon.get(&format!("{at}?{name}="));
                assert!(!body.contains("unknown field"), "{path} knows {name}: {status} {body}");
            }
        }
    }
    assert_eq!(daemon.end(), 0);
}

/// The head of an answer, in lower case.
fn head(daemon: &Daemon<'_>, path: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(daemon.address).expect("connected");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("asked");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("answered");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.split_once("\r\n\r\n").map(|(head, _)| head.to_lowercase()).expect("a head")
}
