//! Sessions and tokens that end in the middle, once, twice, and each time.

use std::process::Command;

use rosterd::sandbox::Op;
use serde_json::{Value, json};

use super::network::{Tokens, with_tokens};
use super::{Bench, HEADER, longjump};
use crate::support::Ran;

fn rows(count: u32) -> Vec<String> {
    (0..count).map(|n| format!("E{n},Ann,Lee,p{n}@acme.example,CEO,Bern,active")).collect()
}

/// A run that sends one request at a time, or several.
fn sync(bench: &Bench, people: u32, at_once: u32) -> Ran {
    bench.home.write("config/hr.csv", &format!("{HEADER}{}\n", rows(people).join("\n")));
    let mut command: Command = bench.home.command(&["sync", "--format", "json"]);
    command.env("ROSTERD_TARGETS__THERE__CONCURRENCY", at_once.to_string());
    Ran::of(&command.output().expect("the binary runs"))
}

fn created(ran: &Ran) -> (Value, Value) {
    let count = &ran.the_run()["counts"]["create"];
    (count["ok"].clone(), count["failed"].clone())
}

fn log_ins(bench: &Bench) -> usize {
    bench.sim.requests().iter().filter(|r| r.path.ends_with("/login")).count()
}

#[test]
fn a_session_that_ends_twice_under_one_request_stops_nobody() {
    for at_once in [1, 8] {
        let bench = longjump::bench();
        bench.sim.script(json!({"method": "POST", "path_prefix": "/longjump/networking/rest/record", "key": "E7", "times": 2, "do": "status:401"}));
        bench.sim.script(json!({"method": "POST", "path_prefix": "/longjump/networking/rest/user", "key": "E7", "times": 2, "do": "status:401"}));
        let ran = sync(&bench, 20, at_once).exits(0);
        assert_eq!(created(&ran).0, 20, "{}", ran.stdout);
        assert_eq!(bench.sim.users_of("longjump").len(), 20);
        assert_eq!(log_ins(&bench), 3, "one for the run, one for each end");
    }
}

#[test]
fn a_request_that_meets_an_ended_session_each_time_fails_alone_and_is_bounded() {
    for at_once in [1, 8] {
        let bench = longjump::bench();
        bench.sim.script(json!({"method": "POST", "key": "E7", "do": "status:401"}));
        let ran = sync(&bench, 20, at_once).exits(75);
        assert_eq!(created(&ran), (19.into(), 1.into()), "{}", ran.stdout);
        let outcomes = bench.home.outcomes(&["--status", "failed"]);
        assert_eq!(outcomes[0]["key"], "E7");
        assert_eq!(outcomes[0]["error"]["message"], "HTTP 401: the session was over, and a new one too");
        let tries =
            bench.sim.requests().iter().filter(|r| r.key.as_deref() == Some("E7") && r.op == Op::Create).count();
        assert_eq!(tries, 6, "three attempts, each with one renewal");
    }
}

#[test]
fn a_token_that_is_revoked_twice_under_one_request_stops_nobody() {
    let tokens = Tokens::start(3600);
    let bench = with_tokens(&tokens);
    bench.sim.script(json!({"method": "POST", "key": "E7", "times": 2, "do": "status:401"}));
    let ran = sync(&bench, 20, 1).exits(0);
    assert_eq!(created(&ran).0, 20, "{}", ran.stdout);
    assert_eq!(tokens.asked().len(), 3);
}

#[test]
fn fresh_sessions_of_which_none_is_ever_accepted_are_refused_credentials() {
    let bench = longjump::bench();
    bench.sim.script(json!({"path_prefix": "/longjump/networking/rest/user", "do": "status:401"}));
    bench.sim.script(json!({"path_prefix": "/longjump/networking/rest/record", "do": "status:401"}));
    let ran = sync(&bench, 3, 8).exits(77);
    assert_eq!(log_ins(&bench), 2, "{}", ran.stderr);
}

#[test]
fn where_the_definition_says_how_long_a_session_lasts_it_is_renewed_before() {
    let bench = longjump::bench();
    let definition = include_str!("../../src/api/builtin/longjump.toml");
    let lasting = definition.replace("cookie = \"JSESSIONID\"", "cookie = \"JSESSIONID\"\nlasts = \"1s\"");
    assert_ne!(definition, lasting);
    bench.home.write("config/there.toml", &lasting.replace("kind = \"longjump\"", "kind = \"there\""));
    let text = std::fs::read_to_string(bench.home.config()).expect("the configuration");
    let text = text.replace("kind = \"longjump\"", "kind = \"rest\"\ndefinition = \"there.toml\"");
    bench.home.write("config/rosterd.toml", &text.replace("rate = \"1000/s\"", "rate = \"30/s\""));
    let ran = sync(&bench, 90, 8).exits(0);
    assert_eq!(created(&ran).0, 90, "{}", ran.stdout);
    let refused = bench.sim.requests().iter().filter(|r| r.status == Some(401)).count();
    assert_eq!(refused, 0);
    assert!((3..=8).contains(&log_ins(&bench)), "{} log-ins in three seconds", log_ins(&bench));
}
