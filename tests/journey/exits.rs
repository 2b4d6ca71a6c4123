//! Each way to end has its exit code, and says so in JSON where JSON was asked for.

use serde_json::json;

use crate::support::{Home, Stage, people};

#[test]
fn wrong_usage_is_64() {
    let stage = Stage::loaded(&people(1, 2));
    let wrong: [&[&str]; 9] = [
        &["frobnicate"],
        &["sync", "--frob"],
        &["sync", "stuff"],
        &["plan", "stuff"],
        &["status", "stuff"],
        &["approve"],
        &["outcomes", "--run", "01J00000000000000000000000"],
        &["outcomes", "--since", "yesterday"],
        &["sync", "--only", " "],
    ];
    for arguments in wrong {
        let ran = stage.home.run(arguments).exits(64);
        assert_eq!(ran.stdout, "", "{arguments:?}");
        assert!(ran.stderr.contains("error: "), "{arguments:?}: {}", ran.stderr);
    }
    for arguments in [&["sync", "--frob", "--format=json"][..], &["sync", "--frob", "--format", "json"]] {
        let ran = stage.home.run(arguments).exits(64);
        let error = ran.json()["error"].clone();
        assert!(error["code"] == 64 && error["message"].as_str().is_some_and(|m| m.contains("--frob")), "{error}");
    }
    let ran = stage.home.run_json(&["sync", "stuff"]).exits(64);
    assert_eq!(ran.json()["error"]["code"], 64);
    assert!(ran.json()["error"]["help"].as_str().is_some_and(|help| help.contains("staff")), "{}", ran.stdout);
}

#[test]
fn a_missing_source_is_69() {
    let stage = Stage::loaded(&people(1, 2));
    std::fs::remove_file(stage.home.path().join("config/hr.csv")).expect("it was there");
    let mark = stage.sim.mark();
    let run = stage.home.run_json(&["sync"]).exits(69).the_run();
    assert_eq!((&run["status"], &run["error"]["code"]), (&json!("failed"), &json!(69)));
    let plan = stage.home.run_json(&["plan"]).exits(69).json();
    assert_eq!(plan["syncs"][0]["error"]["code"], 69);
    assert_eq!(stage.sim.since(mark), []);
}

/// A target that was never reached: 69, and no account and no person has changed.
#[track_caller]
fn unreachable(stage: &Stage, what: &str) {
    let run = stage.home.run_json(&["sync"]).exits(69).the_run();
    assert_eq!((&run["status"], &run["error"]["code"]), (&json!("failed"), &json!(69)), "{what}: {run}");
    let unresolved = stage.home.run_json(&["status"]).exits(0).json()["syncs"][0]["unresolved"].clone();
    assert_eq!(unresolved, 0, "{what}");
}

#[test]
fn a_target_that_is_down_before_anything_was_sent_is_69() {
    // Newcomers, who would be looked up first; and a mover, for whom nothing is asked before it is sent.
    let mut movers = people(1, 4);
    movers[1].title = "Chef".into();
    let leavers = people(1, 3);
    for (what, roster) in [("newcomers", people(1, 6)), ("a mover", movers), ("a leaver", leavers)] {
        let mut stage = Stage::loaded(&people(1, 4));
        stage.home.roster(&roster);
        stage.sim.behave(json!({"script": [{"do": "status:503"}]}));
        unreachable(&stage, &format!("{what}, 503 beyond all patience"));
        stage.sim.calm();
        stage.sim.stop();
        unreachable(&stage, &format!("{what}, no connection"));
    }
}

#[test]
fn credentials_that_are_refused_are_77() {
    let stage = Stage::loaded(&people(1, 4));
    stage.home.secret("config/juno.token", "wrong\n");
    let mut everybody = people(1, 4);
    everybody[0].title = "Chef".into();
    for (what, roster) in [("a newcomer", people(1, 5)), ("a mover", everybody)] {
        let run = stage.sync(&roster, 77).the_run();
        assert_eq!((&run["status"], &run["error"]["code"]), (&json!("failed"), &json!(77)), "{what}");
    }
    assert_eq!(stage.sim.committed_since(0, rosterd::sandbox::Op::Update), 0);
}

#[test]
fn a_state_or_a_secret_that_others_can_read_is_77() {
    use std::os::unix::fs::PermissionsExt;
    let stage = Stage::loaded(&people(1, 2));
    let open = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("permissions");
    };
    for mode in [0o644, 0o640, 0o602] {
        open(&stage.home.database(), mode);
        for command in ["sync", "plan", "status", "plans"] {
            let ran = stage.home.run_json(&[command]).exits(77);
            assert_eq!(ran.json()["error"]["code"], 77, "{command}");
        }
    }
    open(&stage.home.database(), 0o600);
    stage.home.run(&["status"]).exits(0);
    open(&stage.home.path().join("config/juno.token"), 0o644);
    stage.home.run(&["sync"]).exits(77);
    let told = stage.home.run(&["check"]).exits(77).stdout;
    assert!(told.contains("juno.token can be read by everybody") && told.contains("chmod o-r"), "{told}");
}

#[test]
fn a_wrong_configuration_is_78() {
    let home = Home::juno("http://127.0.0.1:9/juno/api");
    home.configure("[syncs.staff.limit]\nban = 1");
    for command in ["sync", "plan", "check", "status"] {
        home.run(&[command]).exits(78);
    }
    let home = Home::juno("http://127.0.0.1:9/juno/api");
    home.people(&["E1,A,B,a@b.example,1,x,y,active"]);
    home.secret("config/juno.token", "\n");
    for command in ["sync", "check"] {
        home.run(&[command]).exits(78);
    }
    // What systemd gives to the service alone can't be judged outside of it.
    let text = std::fs::read_to_string(home.config()).expect("the configuration");
    home.write("config/rosterd.toml", &text.replace("{ file = \"juno.token\" }", "{ credential = \"juno.token\" }"));
    let told = home.run(&["check"]).exits(0).stdout;
    let warned = told.lines().any(|line| line.starts_with("warning: ") && line.contains("targets.juno.auth"));
    assert!(warned, "{told}");
    home.run(&["sync"]).exits(78);
    home.run(&["--config", "nowhere.toml", "plan"]).exits(78);
}

#[test]
fn a_changed_identity_under_people_is_78() {
    let stage = Stage::loaded(&people(1, 3));
    let config = std::fs::read_to_string(stage.home.config()).expect("the configuration");
    let other = crate::support::Sim::start();
    stage.home.write("config/rosterd.toml", &config.replace(&stage.sim.juno(), &other.juno()));
    let run = stage.home.run_json(&["sync"]).exits(78).the_run();
    assert!(run["error"]["message"].as_str().is_some_and(|m| m.contains("base_url")), "{run}");
    assert_eq!(other.requests(), []);
    stage.home.run(&["plan"]).exits(78);
    stage.home.write("config/rosterd.toml", &config);
    stage.nothing_left_to_do();
}

#[test]
fn a_second_sender_is_75_at_once_and_looking_is_free() {
    let stage = Stage::loaded(&people(1, 3));
    stage.home.roster(&people(1, 4));
    stage.sim.script(json!({"method": "POST", "nth": 1, "do": "hang-before-commit:60000"}));
    let sender = stage.home.start(&["sync"]);
    stage.sim.wait_until("the create is under way", |log| log.iter().any(|r| r.fault.is_some()));
    let began = std::time::Instant::now();
    let ran = stage.home.run_json(&["sync"]).exits(75);
    assert_eq!(ran.json()["error"]["code"], 75);
    stage.home.run_json(&["approve", "000000000000"]).exits(75);
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "at once");
    let plan = stage.home.run_json(&["plan"]).exits(0).json();
    assert_eq!(plan["syncs"][0]["unresolved"], json!(["E0004"]), "under way: no operation is planned");
    for command in ["status", "plans", "outcomes"] {
        stage.home.run(&[command]).exits(0);
    }
    sender.kill();
    stage.sim.calm();
    stage.home.run(&["sync"]).exits(0);
    stage.has_exactly(&people(1, 4));
}
