use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::account::TargetBudgetReading;
use crate::domain::limits::LimitName;
use crate::domain::operation::{Change, OpKind, Operation};
use crate::domain::outcome::{ErrorKind, OpError, Outcome, Status};
use crate::domain::record::Key;
use crate::domain::time::instant;
use crate::domain::units::Rate;
use crate::report::status::Line;
use crate::server::overview::{HeldView, together};
use crate::state::ownership::Unconfigured;
use crate::state::plans::HeldPlan;

/// The words of a page, without its tags.
fn words(page: &str) -> String {
    regex::Regex::new("<[^>]*>").expect("an expression").replace_all(page, "").into_owned()
}

fn line(sync: &str, state: &'static str) -> Line {
    Line {
        sync: sync.into(),
        state,
        last_run: Some(instant("2026-11-22T03:00:00.000Z")),
        last_good_run: None,
        age_seconds: None,
        next_run: None,
        held_plan: (state == "held").then(|| "3f9a0c12be77".into()),
        stale_plan: None,
        unresolved: 0,
        reason: Some("source hr is not trusted: <too small>".into()),
    }
}

fn overview(states: &[&'static str], show_values: bool) -> Overview {
    let now = instant("2026-11-22T03:10:00.000Z");
    let change = Change { old: json!("Nurse"), new: json!("Head nurse") };
    let mut operation = Operation::new(OpKind::Update, Key::parse("E7").expect("a key"), Some("123".into()));
    operation.fields = BTreeMap::from([("title".to_string(), change)]);
    let plan = HeldPlan {
        id: "3f9a0c12be77".into(),
        sync: "s0".into(),
        resource: Default::default(),
        made_at: instant("2026-11-22T03:00:00.000Z"),
        limit: LimitName::Update,
        count: 3,
        allowed: 1,
        counts: BTreeMap::from([(OpKind::Update, 3)]),
        origin: Default::default(),
        basis: None,
        partial: false,
        apart: false,
        waiting_since: instant("2026-11-22T03:00:00.000Z"),
        replaced: None,
        stale: None,
    };
    Overview {
        now,
        zone: Zone::Named(chrono_tz::Tz::UTC),
        started_at: now,
        refused: None,
        stopping: false,
        syncs: states
            .iter()
            .enumerate()
            .map(|(n, state)| SyncView {
                line: line(&format!("s{n}"), state),
                source: "hr".into(),
                running: None,
                next: None,
                marks: Vec::new(),
            })
            .collect(),
        unconfigured: Vec::new(),
        held: vec![HeldView { plan, operations: vec![operation.into()], concerned: 3, stale: None }],
        failures: Vec::new(),
        paces: vec![Pace {
            reading: TargetBudgetReading {
                target: "juno".into(),
                rate: Rate { count: 10, per: Duration::from_secs(1) },
                counters: Default::default(),
            },
            per_second: 4.26,
        }],
        show_values,
    }
}

fn failure(key: &str) -> Outcome {
    Outcome {
        ts: instant("2026-11-22T03:05:00.000Z"),
        run: "01J".into(),
        sync: "s0".into(),
        source: "hr".into(),
        target: "juno".into(),
        key: Key::parse(key),
        op: Some(OpKind::Create),
        status: Status::Failed,
        remote_id: None,
        fields: vec!["email".into()],
        attempts: 1,
        http_status: Some(422),
        duration_ms: 3,
        reason: None,
        error: Some(OpError::new(ErrorKind::Refused, "HTTP 422 on email")),
    }
}

#[test]
fn the_heading_says_whether_somebody_has_to_do_something() {
    for (states, hurry, heading) in [
        (&["ok", "ok"][..], Hurry::Good, "2 syncs: all is well"),
        (&["never"][..], Hurry::Good, "1 sync: nothing has run yet"),
        (&["ok", "never"][..], Hurry::Good, "2 syncs: all is well"),
        (&["failed", "ok", "untrusted"][..], Hurry::Bad, "3 syncs: 1 failed, 1 not trusted"),
        (&["held", "paused"][..], Hurry::Odd, "2 syncs: 1 held, 1 paused"),
    ] {
        assert_eq!(verdict(&overview(states, false)), (hurry, heading.to_string()), "{states:?}");
    }
    let refused = Overview { refused: Some("line 3".into()), ..overview(&["ok"], false) };
    assert_eq!(verdict(&refused), (Hurry::Bad, "Configuration refused; 1 sync: all is well".to_string()));
    let lost = Unconfigured { sync: "interns".into(), users: 7 };
    let lost = Overview { unconfigured: vec![lost], ..overview(&["ok"], false) };
    assert_eq!(verdict(&lost), (Hurry::Odd, "1 sync: 1 not configured".to_string()));
    let page = render(&lost, None).into_string();
    assert!(page.contains("7 users") && page.contains("rosterd state forget-sync interns"), "{page}");
    let mut left = overview(&["ok", "ok"], false);
    left.syncs[0].line.unresolved = 2;
    assert_eq!(verdict(&left), (Hurry::Odd, "2 syncs: 1 with something left over".to_string()));
}

#[test]
fn what_needs_somebody_stands_first_and_what_fails_alike_is_told_once() {
    let mut states = vec!["ok"; 30];
    states.extend(["failed"; 20]);
    let page = render(&overview(&states, false), None).into_string();
    assert_eq!(page.matches("too small").count(), 1, "one reason, one card: {page}");
    assert!(words(&page).contains("s30, s31, s32, s33, s34, s35 and 14 more: failed"), "{page}");
    let place = |sync: &str| page.find(&format!("<td class=\"name\"><a href=\"syncs/{sync}\">")).expect(sync);
    assert!(place("s30") < place("s49") && place("s49") < place("s0") && place("s0") < place("s29"), "{page}");

    let paused = render(&overview(&["paused", "untrusted"], false), None).into_string();
    let at = |words: &str| paused.find(words).expect(words);
    assert!(at("rosterd accept hr") < at("rosterd approve") && at("rosterd approve") < at("rosterd resume s0"));
}

#[test]
fn values_of_people_are_shown_only_where_that_is_configured() {
    let without = render(&overview(&["held"], false), None).into_string();
    assert!(
        without.contains("3 update; limit <b>update</b>: 3, allowed 1")
            && words(&without).contains("E7 and 2 more")
            && without.contains("rosterd approve 3f9a0c12be77 --reason"),
        "{without}"
    );
    assert!(!without.contains("urse"), "a value");
    let with = render(&overview(&["held"], true), None).into_string();
    assert!(with.contains("“Nurse” → “Head nurse”"), "{with}");
}

#[test]
fn a_held_plan_names_those_whom_its_limit_is_about_and_counts_the_rest_of_them() {
    let mut overview = overview(&["held"], false);
    let ban = |n: usize| Operation::new(OpKind::Ban, Key::parse(&format!("E{n}")).expect("a key"), None);
    let held = &mut overview.held[0];
    held.plan = HeldPlan {
        limit: LimitName::Ban,
        count: 62,
        allowed: 10,
        counts: BTreeMap::from([(OpKind::Ban, 62), (OpKind::Update, 5)]),
        ..held.plan.clone()
    };
    (held.operations, held.concerned) = ((1..=8).map(ban).map(Into::into).collect(), 62);
    let page = render(&overview, None).into_string();
    assert!(page.contains("62, allowed 10") && words(&page).contains("E1, E2, E3, E4, E5 and 57 more"), "{page}");
}

#[test]
fn it_is_whole_in_itself_and_escapes_what_it_shows() {
    let overview = Overview {
        failures: together(vec![failure("<E1>"), failure("E2"), failure("<E1>")]),
        ..overview(&["untrusted", "ok"], true)
    };
    let page = render(&overview, None).into_string();
    assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"), "{page}");
    assert!(page.contains("not trusted: &lt;too small&gt;") && page.contains("&lt;E1&gt;"), "{page}");
    assert_eq!(page.matches("&lt;E1&gt;</a>").count(), 1, "the same failure is shown once: {page}");
    assert!(page.contains("(2 times)"), "{page}");
    assert!(page.contains("HTTP 422 on email") && page.contains("4.3 of 10/s"), "{page}");
    assert!(page.contains("prefers-color-scheme:dark") && page.contains("width=device-width"));
}

fn shell(root: Root) -> Shell<'static> {
    let now = instant("2026-11-22T03:10:00.000Z");
    Shell { title: "<Title>", root, now, zone: Zone::Named(chrono_tz::Tz::Europe__Zurich), refresh: false }
}

#[test]
fn a_key_is_one_part_of_a_link_and_text_beside_it() {
    let key = "a/b <i> %2F";
    let told = Outcome { key: Key::parse(key), ..failure("E1") };
    let page = shell(Root::ONE).outcomes(&[told], shell::Told::People).into_string();
    assert!(page.contains("href=\"../people/s0/a%2Fb%20%3Ci%3E%20%252F\""), "{page}");
    assert!(page.contains(">a/b &lt;i&gt; %2F</a>") && !page.contains("<i>"), "{page}");
    assert!(page.contains("2026-11-22 04:05:00 CET"), "times are of one zone: {page}");
}

#[test]
fn every_page_has_the_form_that_finds_people_and_no_script() {
    for (root, action) in [(Root::TOP, "people"), (Root::ONE, "../people"), (Root::TWO, "../../people")] {
        let page = shell(root).page(&html! { "x" }, &html! {}).into_string();
        assert!(page.contains(&format!("<form action=\"{action}\" method=\"get\"")), "{page}");
        assert!(page.contains("<title>&lt;Title&gt; · rosterd</title>"), "{page}");
        assert!(!page.contains("<script") && !page.contains(" on") && !page.contains("http-equiv"), "{page}");
    }
}

#[test]
fn numbers_have_their_thousands_apart() {
    for (n, told) in [(0, "0"), (999, "999"), (1_000, "1,000"), (40_123, "40,123"), (1_234_567, "1,234,567")] {
        assert_eq!(number(n), told);
    }
}
