//! Each row of the table of rules through the binary, in every state, with whatever the source can say, under all
//! circumstances; and the table as people read it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rosterd::domain::rules;
use rosterd::domain::rules::{Circumstances, Decision, LeavePolicy, PersonState, SkipReason, SourceSays, decide};
use serde_json::{Value, json};

use super::{database, set};
use crate::support::{Home, Sim};

/// Somebody in this state, of whom the source will say this.
fn key(state: PersonState, says: SourceSays) -> String {
    format!("{}-{says:?}", state.name())
}

fn everybody() -> impl Iterator<Item = (PersonState, SourceSays)> {
    PersonState::ALL.into_iter().flat_map(|state| SourceSays::ALL.into_iter().map(move |says| (state, says)))
}

fn row(key: &str, email: &str, title: &str, status: &str) -> String {
    format!("{key},Ann,Miller,{email},,{title},Bern,{status}")
}

/// People in every state: all were created, then the state is told what else became of them.
fn home_with_everybody(sim: &Sim) -> Home {
    let home = Home::juno(&sim.juno());
    let known = everybody().filter(|(state, _)| *state != PersonState::None).map(|(state, says)| key(state, says));
    let rows: Vec<String> = known.map(|key| row(&key, &format!("{key}@acme.example"), "Nurse", "active")).collect();
    home.people(&rows);
    home.run(&["sync"]).exits(0);
    let db = database(&home);
    for state in PersonState::ALL.into_iter().filter(|s| *s != PersonState::None) {
        let code: i64 = state.code();
        db.execute("UPDATE person SET state = ?1 WHERE key LIKE ?2", (code, format!("{}-%", state.name())))
            .expect("a state");
    }
    db.execute("UPDATE person SET remote_id = NULL WHERE state = 4", []).expect("deleted accounts have no id");
    home
}

/// The source that says of everybody what their key tells.
fn write_source(home: &Home, circumstances: &Circumstances) {
    let mut rows = Vec::new();
    for (state, says) in everybody() {
        let key = key(state, says);
        let email = format!("{key}@acme.example");
        match says {
            SourceSays::Differs => rows.push(row(&key, &email, "Head nurse", "active")),
            SourceSays::Same => rows.push(row(&key, &email, "Nurse", "active")),
            SourceSays::Excluded => rows.push(row(&key, &email, "Nurse", "left")),
            SourceSays::Rejected => rows.push(row(&key, "", "Nurse", "active")),
            SourceSays::Absent => {}
        }
    }
    if circumstances.keyless {
        rows.push(row("", "nobody@acme.example", "Nurse", "active"));
    }
    home.people(&rows);
    if circumstances.incomplete {
        let path = home.path().join("config/hr.csv");
        let text = fs::read_to_string(&path).expect("the source");
        fs::write(path, format!("{text}cut-off,\"Ann")).expect("the source, cut off");
    }
}

/// What a plan shows of each person: the operation, the reason of a skip, `rejected`, or nothing.
fn shown(plan: &Value) -> BTreeMap<String, String> {
    let list = |name: &str| plan[name].as_array().expect("a list").clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let operations = list("operations").into_iter().map(|o| (text(&o["key"]), text(&o["op"])));
    let skipped = list("skipped").into_iter().map(|s| (text(&s["key"]), text(&s["reason"])));
    let rejected = list("rejected").into_iter().map(|r| (text(&r["key"]), "rejected".to_string()));
    let mut shown = BTreeMap::new();
    for (key, what) in operations.chain(skipped).chain(rejected).filter(|(key, _)| !key.is_empty()) {
        assert_eq!(shown.insert(key.clone(), what), None, "{key} has two outcomes");
    }
    shown
}

/// What the table makes of somebody.
fn expected(state: PersonState, says: SourceSays, circumstances: &Circumstances) -> Option<&'static str> {
    match decide(state, says, circumstances) {
        Decision::Nothing | Decision::Return => None,
        // Whoever was created once has their account still, and is recognised by their key.
        Decision::Provision if state == PersonState::None => Some("create"),
        Decision::Provision => Some("adopt"),
        Decision::Update => Some("update"),
        Decision::Reinstate => Some("reinstate"),
        Decision::Ban => Some("ban"),
        Decision::Delete => Some("delete"),
        Decision::Leave => Some(SkipReason::OnLeave.name()),
        Decision::Skip(reason) => Some(reason.name()),
        Decision::Reject => Some("rejected"),
    }
}

#[test]
fn the_binary_does_what_the_table_says() {
    let sim = Sim::start();
    let home = home_with_everybody(&sim);
    let plain = fs::read_to_string(home.config()).expect("a configuration");
    let mut judged = 0;
    for n in 0..64u8 {
        let bit = |b: u8| n & (1 << b) != 0;
        let circumstances = Circumstances {
            protected: bit(0),
            keyless: bit(1),
            incomplete: bit(2),
            in_grace: bit(3),
            clock_behind: bit(5),
            // Nobody of these is recognised by another's account; tests/people/rekeyed.rs has those who are.
            recognised: false,
            on_leave: if bit(4) { LeavePolicy::Ignore } else { LeavePolicy::Ban },
        };
        fs::write(home.config(), plain.replace("[sources.hr]", "[sources.hr]\non_incomplete = \"no-bans\""))
            .expect("the configuration");
        if circumstances.protected {
            let all: Vec<String> = everybody().map(|(state, says)| key(state, says)).collect();
            set(&home, &format!("protect = {}", json!(all)));
        }
        if circumstances.in_grace {
            set(&home, "leave_grace = \"1d\"");
        }
        if circumstances.on_leave == LeavePolicy::Ignore {
            set(&home, "on_leave = \"ignore\"");
        }
        let clock = if circumstances.clock_behind { "2099-01-01T00:00:00.000Z" } else { "2026-01-01T00:00:00.000Z" };
        database(&home).execute("UPDATE run SET started_at = ?1, finished_at = ?1", [clock]).expect("the last run");
        write_source(&home, &circumstances);
        let ran = home.run_json(&["plan"]);
        assert!([0, 3].contains(&ran.code), "{circumstances:?}: {ran:?}");
        let shown = shown(&ran.json()["syncs"][0]);
        for (state, says) in everybody() {
            let key = key(state, says);
            if state == PersonState::Invited {
                // The account is there: the invitation has been accepted meanwhile, and the run finds that out first.
                // What is decided while it has not been is shown on Juicebox, which has invitations.
                continue;
            }
            let expected = expected(state, says, &circumstances);
            assert_eq!(shown.get(&key).map(String::as_str), expected, "{key} under {circumstances:?}");
            judged += 1;
        }
    }
    assert_eq!(judged, 64 * 25);
}

#[test]
fn delete_is_refused_where_the_target_knows_no_way() {
    let sim = Sim::start();
    let home = Home::juno(&sim.juno());
    home.people(&super::rows([1]));
    set(&home, "on_leave = \"delete\"");
    let ran = home.run(&["check"]).exits(78);
    let text = ran.stdout + &ran.stderr;
    assert!(text.contains("on_leave") && text.contains("delete"), "{text}");
    home.run(&["sync"]).exits(78);
    assert!(sim.requests().is_empty());
}

#[test]
fn people_read_the_table_that_decides() {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/manual/rules.md");
    let table = rules::markdown();
    let readme = fs::read_to_string(&place).expect("src/manual/rules.md");
    let (before, rest) = readme.split_once("<!-- rules -->\n").expect("rules.md has a block of rules");
    let (block, after) = rest.split_once("<!-- /rules -->").expect("rules.md: the block of rules has no end");
    if std::env::var_os("BLESS").is_some() {
        let text = format!("{before}<!-- rules -->\n{table}<!-- /rules -->{after}");
        fs::write(&place, text).expect("src/manual/rules.md");
        return;
    }
    assert_eq!(block.trim(), table.trim(), "src/manual/rules.md: BLESS=1 rewrites the block of rules");
}
