//! Whatever changes a person forgets the version of the export on which their sync was clean, by [`PeopleWriter`]: every
//! SQL text that does is held to it, and every command is tried.
//!
//! [`PeopleWriter`]: super::people_writer::PeopleWriter

use std::fs;

use regex::Regex;

use super::*;
use crate::domain::change_token::ChangeToken;
use crate::state::binding::{BeginGathering, Rebind};
use crate::state::forget::Forget;
use crate::state::ledger::FinishRun;
use crate::state::people::{Note, Observe, Standing, TakeNotes};
use crate::state::rekey::Rekey;
use crate::state::sources::{KeepVersion, Version};
use crate::state::syncs::{ForgetSync, RenameSync};

/// The text of a module of commands, without its tests.
pub fn commands() -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/state");
    let files = fs::read_dir(directory).expect("the folder").map(|entry| entry.expect("an entry").path());
    let modules = files.filter(|path| path.extension().is_some_and(|kind| kind == "rs"));
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a module");
        let program = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned();
        (path.file_name().expect("a name").to_string_lossy().into_owned(), program)
    };
    modules.map(read).collect()
}

/// The texts that write to `person` past the writer. Of an item that goes over several tables, `person` among them, each
/// text with a name to be filled in counts.
fn past_the_writer(program: &str) -> Vec<String> {
    let write =
        Regex::new(r#"(INTO|UPDATE( OR [A-Z]+)?|DELETE FROM) +(person\b|(\\")?\{[a-z]+\})"#).expect("an expression");
    let writer =
        Regex::new(r"(people|PeopleWriter::of\([^()]*\))\.(execute|prepare)\((&format!\()?$").expect("another");
    let mut found = Vec::new();
    for item in program.split("\n}\n") {
        let of_people = item.contains("\"person\"") || item.contains("By::Number");
        for text in write.find_iter(item).filter(|text| of_people || text.as_str().ends_with("person")) {
            let before = item[..text.start()].rsplit_once('"').map_or("", |(before, _)| before);
            let call: String = before.split_whitespace().collect();
            if !writer.is_match(&call) {
                found.push(text.as_str().to_owned());
            }
        }
    }
    found
}

#[test]
fn every_text_that_changes_people_is_carried_out_by_their_writer() {
    for (file, program) in commands() {
        assert_eq!(past_the_writer(&program), Vec::<String>::new(), "{file}");
    }
    let missed = |program: &str| past_the_writer(program).len();
    assert_eq!(missed(r#"db.execute("UPDATE person SET state = 1", args![])"#), 1);
    assert_eq!(missed(r#"db.prepare("INSERT INTO person VALUES (1)")?; people.execute("UPDATE journal", args![])"#), 1);
    assert_eq!(missed(r#"for sql in ["DELETE FROM person WHERE sync = ?1"] { people.execute(sql, args![])?; }"#), 1);
    assert_eq!(missed(r#"for t in ["body", "person"] { db.execute(&format!("DELETE FROM {t}"), args![])?; }"#), 1);
    assert_eq!(missed(r#"people.execute("UPDATE person SET state = 1", args![])"#), 0);
}

/// A sync with E1, E2 and an operation on E3 that is to be resolved, clean on a version of its export.
fn clean() -> (Place, i64) {
    let place = Place::new();
    let known = |k: &str, id: &str| settlement(None, k, confirmed(PersonState::Active, id));
    place.settle(vec![known("E1", "1"), known("E2", "2")]).expect("settled");
    let entry = place.intend(&[create("E3")])[0];
    for sync in ["staff", "other"] {
        let token = ChangeToken("v1".into());
        let version = Version { source: "hr".into(), configuration: [0; 32], token, records: 2, excluded: 0 };
        place.ask(KeepVersion { sync: sync.into(), version: Some(version) });
    }
    (place, entry)
}

type Case = (&'static str, fn(&Place, i64));

/// Each way of each command that changes people.
const CHANGES: [Case; 16] = [
    ("a new account", |p, _| settled(p, "E4", confirmed(PersonState::Active, "4"))),
    ("a known account", |p, _| settled(p, "E1", confirmed(PersonState::Banned, "1"))),
    ("an account that is gone", |p, _| settled(p, "E1", Effect::Gone)),
    ("a link that is forgotten", |p, _| settled(p, "E1", Effect::Unlinked)),
    ("what is seen at the target", |p, _| {
        let observed = vec![(key("E1"), Effect::Gone)];
        p.ask(super::super::journal::Observe { sync: p.sync, at: NOON.into(), observed });
    }),
    ("what is resolved", |p, entry| {
        let effect = confirmed(PersonState::Active, "3");
        p.ask(Resolve { sync: p.sync, entry, key: key("E3"), effect, at: NOON.into(), replaced: None });
    }),
    ("a record that was looked at", |p, _| noted(p, Note::Looked([1; 16], Standing::Excluded))),
    ("an absence", |p, _| noted(p, Note::Absent(NOON.into()))),
    ("a presence", |p, _| noted(p, Note::Present)),
    ("a leaver who is ignored", |p, _| noted(p, Note::State(PersonState::Left))),
    ("an accepted invitation", |p, _| {
        let attributes = Attributes::default();
        noted(p, Note::Accepted { state: PersonState::Active, remote_id: "9".into(), attributes });
    }),
    ("another binding", |p, _| {
        let new = p.ask(BeginGathering(binding()));
        p.ask(Rebind { old: p.sync, new, binding: binding() });
    }),
    ("another key", |p, _| {
        p.ask(Rekey { sync: p.sync, old: key("E1"), new: key("X1") });
    }),
    ("a person forgotten", |p, _| {
        p.ask(Forget { sync: p.sync, name: "staff".into(), key: key("E1") });
    }),
    ("a sync forgotten", |p, _| {
        p.ask(ForgetSync("staff".into()));
    }),
    ("absences of a clock that was wrong", |p, _| {
        let finish = FinishRun {
            id: "R1".into(),
            at: NOON.into(),
            status: crate::domain::outcome::RunStatus::Ok,
            plan: None,
            planned: BTreeMap::new(),
            source_records: 0,
            excluded: 0,
            unchanged: 0,
            reason: None,
        };
        p.ask(finish);
        // Years later: the clock was far behind.
        let at = "2036-11-22T12:00:00.000Z".into();
        p.ask(BeginRun { id: "R2".into(), sync: "staff".into(), at, partial: false });
    }),
];

/// What changes nobody.
const NO_CHANGES: [Case; 5] = [
    ("nothing settled", |p, _| settled(p, "E1", Effect::None)),
    ("an operation without an answer", |p, entry| {
        p.settle(vec![settlement(Some(entry), "E3", Effect::Unknown)]).expect("settled");
    }),
    ("no notes", |p, _| p.ask(TakeNotes { sync: p.sync, notes: Vec::new() })),
    ("values seen", |p, _| {
        let people = vec![(key("E1"), Attributes::default())];
        p.ask(Observe { sync: p.sync, at: NOON.into(), people });
    }),
    ("a run that begins", |p, _| {
        p.ask(BeginRun { id: "R2".into(), sync: "staff".into(), at: NOON.into(), partial: false });
    }),
];

fn settled(place: &Place, k: &str, effect: Effect) {
    place.settle(vec![settlement(None, k, effect)]).expect("settled");
}

fn noted(place: &Place, note: Note) {
    place.ask(TakeNotes { sync: place.sync, notes: vec![(key("E1"), note)] });
}

#[test]
fn whatever_touches_a_person_makes_the_known_version_of_the_export_worthless() {
    let versions = |place: &Place| json!(place.seen("SELECT sync FROM source_version ORDER BY sync"));
    for (what, change) in CHANGES {
        let (place, entry) = clean();
        change(&place, entry);
        assert_eq!(versions(&place), json!([["other"]]), "{what}");
    }
    for (what, change) in NO_CHANGES {
        let (place, entry) = clean();
        change(&place, entry);
        assert_eq!(versions(&place), json!([["other"], ["staff"]]), "{what}");
    }
    let (place, _) = clean();
    place.ask(RenameSync { old: "staff".into(), new: "people".into() });
    assert_eq!(versions(&place), json!([["other"]]), "under another name");
}
