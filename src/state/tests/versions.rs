//! Whatever changes a person forgets the version of the export on which their sync was clean: every command is tried.

use super::*;
use crate::domain::change_token::ChangeToken;
use crate::domain::ids::EntryId;
use crate::state::binding::{BeginGathering, Rebind};
use crate::state::bodies::Observe;
use crate::state::forget::Forget;
use crate::state::ledger::FinishRun;
use crate::state::people::{Note, Standing, TakeNotes};
use crate::state::rekey::Rekey;
use crate::state::sources::{KeepVersion, Version};
use crate::state::syncs::{ForgetSync, RenameSync};

/// A sync with E1, E2 and an operation on E3 that is to be resolved, clean on a version of its export.
fn clean() -> (Place, EntryId) {
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

type Case = (&'static str, fn(&Place, EntryId));

/// Each way of each command that changes people.
const CHANGES: [Case; 17] = [
    ("a new account", |p, _| settled(p, "E4", confirmed(PersonState::Active, "4"))),
    ("a known account", |p, _| settled(p, "E1", confirmed(PersonState::Banned, "1"))),
    ("an account that is gone", |p, _| settled(p, "E1", Effect::Gone)),
    ("a link that is forgotten", |p, _| settled(p, "E1", Effect::Unlinked)),
    ("what is seen at the target", |p, _| {
        let observed = vec![(key("E1"), Effect::Gone)];
        p.ask(super::super::journal::Observe { sync: p.sync, at: instant(NOON), observed });
    }),
    ("what is resolved", |p, entry| {
        let effect = confirmed(PersonState::Active, "3");
        p.ask(Resolve { sync: p.sync, entry, key: key("E3"), effect, at: instant(NOON), replaced: None });
    }),
    ("a record that was looked at", |p, _| noted(p, Note::Looked([1; 16], Standing::Excluded))),
    ("a record that was looked at while it was read", |p, _| {
        noted(p, Note::Reviewed { was: [0; 16], is: [1; 16], standing: Standing::InStep });
    }),
    ("an absence", |p, _| noted(p, Note::Absent(instant(NOON)))),
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
        p.ask(Rekey { sync: p.sync, old: key("E1"), new: key("X1"), at: instant(NOON) });
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
            at: instant(NOON),
            status: crate::domain::outcome::RunStatus::Ok,
            plan: None,
            planned: BTreeMap::new(),
            source_records: 0,
            excluded: 0,
            unchanged: 0,
            reason: None,
            figures: Default::default(),
            error: None,
        };
        p.ask(finish);
        // Years later: the clock was far behind.
        let at = instant("2036-11-22T12:00:00.000Z");
        p.ask(BeginRun { id: "R2".into(), sync: "staff".into(), at, partial: false, cause: Default::default() });
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
        p.ask(Observe { sync: p.sync, at: instant(NOON), people });
    }),
    ("a run that begins", |p, _| {
        p.ask(BeginRun {
            id: "R2".into(),
            sync: "staff".into(),
            at: instant(NOON),
            partial: false,
            cause: Default::default(),
        });
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
