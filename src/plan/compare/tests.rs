//! What a comparing read finds, against reading everything: for any files and any snapshots, in each mode, the two must
//! tell the same.

use std::collections::BTreeMap;
use std::fmt::Write;

use proptest::prelude::*;

use super::*;
use crate::config::settings::{
    FileSettings, FormatSettings, OnIncomplete, RowsPerPerson, SourceKind, SourceSettings, TextSettings, TrustSettings,
};
use crate::domain::limits::Limit;
use crate::domain::local_time::LocalTime;
use crate::domain::record::{Columns, Record, Row};
use crate::domain::rules::PersonState;
use crate::domain::value::Attributes;
use crate::mapping::tests::{catalogue, column};
use crate::mapping::{Bound, KnownRow, Mapped, Mapping, MappingSpec};
use crate::source::{Intake, ReadRequest, Reviewed, connect};
use crate::state::people::{PeoplePage, Person, Standing};
use crate::state::settled::Settled;
use crate::state::{Command, Db, StateError};

const TODAY: &str = "2026-11-30";

/// Puts a person into the snapshot, with what the target acknowledged.
struct Put(SyncId, Person, Attributes);

impl Command for Put {
    type Reply = ();

    fn run(&self, db: &Db<'_>) -> Result<(), StateError> {
        let Put(sync, person, acknowledged) = self;
        let absent = person.absent_since.map(|_| "2026-11-01T00:00:00.000Z");
        let print = person.fingerprint.map(|print| print.to_vec());
        let standing = match person.standing {
            Standing::None => 0,
            Standing::InStep => 1,
            Standing::Excluded => 2,
        };
        db.connection().execute(
            "INSERT INTO person (sync, key, fingerprint, standing, state, absent_since) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (sync.0, person.key.as_str(), print, standing, person.state.code(), absent),
        )?;
        db.connection().execute(
            "INSERT INTO body (sync, key, attributes, confirmed_at) VALUES (?1, ?2, ?3, '2026-11-01T00:00:00.000Z')",
            (sync.0, person.key.as_str(), serde_json::to_string(acknowledged)?),
        )?;
        Ok(())
    }
}

/// Registers a sync.
struct Register(&'static str);

impl Command for Register {
    type Reply = SyncId;

    fn run(&self, db: &Db<'_>) -> Result<SyncId, StateError> {
        db.connection().execute(
            "INSERT INTO sync (name, source, target, kind, base_url, source_key) VALUES (?1, 's', 't', 'k', 'u', 'id')",
            [self.0],
        )?;
        Ok(SyncId(db.connection().last_insert_rowid()))
    }
}

fn mappings() -> [Mapping; 2] {
    [vec![column("email", "mail"), column("title", "job")], vec![column("email", "mail"), column("phone", "phone")]]
        .map(|fields| {
            let spec = MappingSpec { fields, ..MappingSpec::default() };
            Mapping::compile(&spec, &catalogue()).expect("a mapping").0
        })
}

fn source(path: std::path::PathBuf, rows: RowsPerPerson) -> Arc<SourceSettings> {
    let text = TextSettings { delimiter: b',', quote: b'"', encoding: "utf-8".into(), trailer: None };
    Arc::new(SourceSettings {
        name: "hr".into(),
        key: "id".into(),
        also_key: Vec::new(),
        required: Vec::new(),
        rows,
        gate: TrustSettings {
            min_records: 1,
            max_shrink: Limit::Unlimited,
            max_rejected: Limit::Unlimited,
            max_age: None,
            on_incomplete: OnIncomplete::Stop,
        },
        kind: SourceKind::File(FileSettings { path, format: FormatSettings::Csv(text) }),
    })
}

/// A line of the file: a person, which of a few values their cells have, and how the line is spoilt.
#[derive(Clone, Debug)]
struct Line {
    person: usize,
    values: [u8; 3],
    spoilt: Spoilt,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Spoilt {
    Not,
    Spaced,
    Ragged,
    Keyless,
    Undecodable,
    Blank,
    TwoLines,
}

fn key_of(person: usize) -> String {
    match person % 7 {
        0 => format!("Z\u{fc}{person}"),
        1 => format!("k{person:03}"),
        _ => format!("u{person:03}"),
    }
}

fn written(lines: &[Line]) -> Vec<u8> {
    let mut out = b"id,mail,job,phone,unused\n".to_vec();
    for (number, Line { person, values: [mail, job, phone], spoilt }) in lines.iter().enumerate() {
        let mut key = key_of(*person);
        if *spoilt == Spoilt::Spaced {
            key = format!(" {} ", key.replace('\u{fc}', "u\u{308}"));
        }
        let mut line = String::new();
        let job = if *spoilt == Spoilt::TwoLines { format!("\"j{job}\n.\"") } else { format!("j{job}") };
        write!(line, "{key},m{mail},{job},p{phone},{number}").expect("written");
        match spoilt {
            Spoilt::Ragged => line += ",more",
            Spoilt::Keyless => line = line.replacen(&key, " ", 1),
            Spoilt::Blank => line = ",,,,".into(),
            _ => {}
        }
        let mut bytes = line.into_bytes();
        if *spoilt == Spoilt::Undecodable {
            bytes.push(0xFF);
        }
        out.extend(bytes);
        out.push(b'\n');
    }
    out
}

fn line(people: usize) -> impl Strategy<Value = Line> {
    let spoilt = prop_oneof![
        30 => Just(Spoilt::Not),
        3 => Just(Spoilt::Spaced),
        1 => Just(Spoilt::Ragged),
        1 => Just(Spoilt::Undecodable),
        1 => Just(Spoilt::Blank),
        1 => Just(Spoilt::TwoLines),
        1 => Just(Spoilt::Keyless),
    ];
    let values = prop_oneof![
        8 => Just([0, 0, 0]),
        1 => Just([0, 1, 0]),
        1 => Just([0, 0, 1]),
        1 => Just([1, 0, 0]),
    ];
    (0..people, values, spoilt).prop_map(|(person, values, spoilt)| Line { person, values, spoilt })
}

/// Lines of a file: mostly in the order of keys.
fn lines() -> impl Strategy<Value = Vec<Line>> {
    let drawn = proptest::collection::vec(line(40), 0..60);
    (drawn, 0..4u8, any::<u64>()).prop_map(|(mut lines, order, seed)| {
        if order < 3 {
            lines.sort_by_key(|line| key_of(line.person));
        }
        if order == 1 && lines.len() > 2 {
            let (from, to) = (seed as usize % lines.len(), (seed >> 20) as usize % lines.len());
            let moved = lines.remove(from);
            lines.insert(to, moved);
        }
        if order == 2 && !lines.is_empty() {
            let half = seed as usize % lines.len();
            lines.rotate_left(half);
        }
        lines
    })
}

/// What a sync remembers of somebody: of which values, and how.
type Remembered = (usize, [u8; 3], u8);

fn remembered() -> impl Strategy<Value = Vec<Remembered>> {
    let values = prop_oneof![9 => Just([0, 0, 0]), 1 => Just([1, 1, 1])];
    let how = prop_oneof![10 => Just(0u8), 10 => 1..9u8, 8 => 9..12u8];
    proptest::collection::btree_map(0..40usize, (values, how), 0..40)
        .prop_map(|people| people.into_iter().map(|(person, (values, how))| (person, values, how)).collect())
}

/// A state with these people, of two syncs.
struct World {
    state: State,
    ids: Vec<SyncId>,
    bound: Vec<Bound>,
}

fn bound(syncs: usize) -> Vec<Bound> {
    let columns = Columns::new(wanted(syncs));
    let bound = |mapping: &Mapping| mapping.bind(&columns).expect("the columns are there");
    mappings().iter().take(syncs).map(bound).collect()
}

/// The columns that some sync uses.
fn wanted(syncs: usize) -> BTreeSet<String> {
    mappings().iter().take(syncs).flat_map(|mapping| mapping.columns().iter().cloned()).collect()
}

/// In the order of names: job, mail, phone where it is used.
fn cells(values: [u8; 3], syncs: usize) -> Vec<serde_json::Value> {
    let all = [format!("j{}", values[1]), format!("m{}", values[0]), format!("p{}", values[2])];
    all.into_iter().take(1 + syncs).map(serde_json::Value::from).collect()
}

fn world(snapshots: &[Vec<Remembered>]) -> World {
    let state = State::in_memory().expect("a state");
    let (mut ids, bound) = (Vec::new(), bound(snapshots.len()));
    for (number, people) in snapshots.iter().enumerate() {
        let sync = state.ask_blocking(Register(["a", "b"][number])).expect("a sync");
        ids.push(sync);
        for (person, values, how) in people {
            let key = Key::parse(&key_of(*person)).expect("a key");
            let record = Record::new(key.clone(), Default::default(), cells(*values, snapshots.len()));
            let print = bound[number].fingerprints(LocalTime::noon(TODAY)).of(&record, None);
            let (standing, state_of) = match how {
                1 => (Standing::Excluded, PersonState::None),
                2 => (Standing::Excluded, PersonState::Banned),
                3 => (Standing::InStep, PersonState::Invited),
                4 => (Standing::None, PersonState::Active),
                5 => (Standing::InStep, PersonState::Banned),
                6 => (Standing::Excluded, PersonState::Active),
                11 => (Standing::Excluded, PersonState::Banned),
                _ => (Standing::InStep, PersonState::Active),
            };
            // By another mapping, which came to the same or not.
            let mut acknowledged = acknowledged_of(&bound[number], &record);
            let other = |mut print: Fingerprint| {
                print[15] ^= u8::from(matches!(how, 9..12));
                print
            };
            if *how == 10 {
                acknowledged.set("email", serde_json::json!("other"));
            }
            let person = Person {
                key,
                fingerprint: print.filter(|_| *how != 7).map(other),
                standing,
                state: state_of,
                remote_id: None,
                absent_since: (*how == 8).then(chrono::Utc::now),
            };
            state.ask_blocking(Put(sync, person, acknowledged)).expect("put");
        }
    }
    World { state, ids, bound }
}

/// What a target acknowledged that was sent what this record comes to.
fn acknowledged_of(bound: &Bound, record: &Record) -> Attributes {
    match bound.apply(&record.cells, LocalTime::noon(TODAY)) {
        Mapped::InScope(desired) => desired.fields.into_iter().map(|(field, wanted)| (field, wanted.value)).collect(),
        Mapped::Excluded | Mapped::Rejected(_) => Attributes::default(),
    }
}

/// How a comparing read goes about it.
#[derive(Clone, Copy, Debug)]
struct Way {
    invited_is_settled: bool,
    table_people: u64,
    displaced: (u64, u64),
}

fn ways() -> impl Strategy<Value = Way> {
    let displaced = prop_oneof![Just((0, 1_000)), Just((3, 8)), Just((1_000, 8))];
    (any::<bool>(), prop_oneof![4 => Just(1_000u64), 1 => Just(0)], displaced)
        .prop_map(|(invited_is_settled, table_people, displaced)| Way { invited_is_settled, table_people, displaced })
}

fn snapshots_of(world: &World, way: Way, looked_at: &BTreeSet<Key>) -> Snapshots {
    let sync = |(id, bound): (&SyncId, &Bound)| ComparedSync {
        id: *id,
        fingerprints: bound.fingerprints(LocalTime::noon(TODAY)),
        invited_is_settled: way.invited_is_settled,
        looked_at: looked_at.clone(),
        evaluation: Evaluation { mapping: bound.clone(), time: LocalTime::noon(TODAY) },
    };
    let syncs = world.ids.iter().zip(&world.bound).map(sync).collect();
    Snapshots { table_people: way.table_people, displaced: way.displaced, ..Snapshots::of(world.state.clone(), syncs) }
}

/// Everybody of an intake.
fn people(intake: &Intake) -> BTreeMap<Key, Record> {
    let pages: Result<Vec<Vec<Record>>> = intake.pages().collect();
    pages.expect("pages").into_iter().flatten().map(|record| (record.key.clone(), record)).collect()
}

fn key_of_known(person: usize) -> Key {
    Key::parse(&key_of(person)).expect("a key")
}

/// Those for whom nothing is to be done although their fingerprints are others.
fn reviewed_of(intake: &Intake, sync: SyncId) -> BTreeMap<Key, Reviewed> {
    let pages: Result<Vec<_>> = intake.reviewed_pages(sync).collect();
    pages.expect("pages").into_iter().flatten().collect()
}

fn told(intake: &Intake) -> String {
    let rejects: Result<Vec<_>> = intake.reject_pages().collect();
    format!("{:?} {:?} {:#?}", intake.stats(), intake.warnings(), rejects.expect("rejects"))
}

fn check(lines: &[Line], snapshots: &[Vec<Remembered>], way: Way, many: bool, looked_at: &BTreeSet<Key>) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("hr.csv");
    std::fs::write(&path, written(lines)).expect("a file");
    let source = source(path, if many { RowsPerPerson::Many } else { RowsPerPerson::One });
    let world = world(snapshots);
    let wanted = wanted(snapshots.len());
    let everything = ReadRequest::everything(&wanted, directory.path());
    let full = connect(&source).open(&everything).expect("it is read");
    let comparison = snapshots_of(&world, way, looked_at);
    let compared = connect(&source)
        .open(&ReadRequest { comparison: Some(&comparison), ..everything })
        .expect("it is read and compared");

    assert_eq!(told(&compared), told(&full));
    let known: Vec<BTreeMap<Key, Person>> = (world.ids.iter())
        .map(|sync| {
            let page = PeoplePage { sync: *sync, after: None, limit: 10_000 };
            let people = world.state.ask_blocking(page).expect("people");
            people.into_iter().map(|person| (person.key.clone(), person)).collect()
        })
        .collect();
    let settled = |sync: usize, key: &Key| {
        let how = known[sync].get(key).filter(|_| !looked_at.contains(key))?.settled()?;
        Some(how).filter(|how| way.invited_is_settled || *how != Settled::Invited)
    };
    let pages: Result<Vec<Vec<Key>>> = compared.unsettled_pages().collect();
    let unsettled: BTreeSet<Key> = pages.expect("pages").into_iter().flatten().collect();
    let (kept, all) = (people(&compared), people(&full));
    let mut counts = vec![SettledPeople::default(); world.ids.len()];
    let mut evaluated = vec![0; world.ids.len()];
    let reviewed: Vec<BTreeMap<Key, Reviewed>> = world.ids.iter().map(|sync| reviewed_of(&compared, *sync)).collect();
    for (key, record) in &all {
        let left_out = !unsettled.contains(key) && known.iter().any(|people| people.contains_key(key));
        assert_eq!(kept.contains_key(key), !left_out, "{key}");
        for (sync, bound) in world.bound.iter().enumerate() {
            let prints = bound.fingerprints(LocalTime::noon(TODAY));
            let print = prints.of(record, None);
            let person = known[sync].get(key);
            if left_out {
                assert!(settled(sync, key).is_some(), "{key}");
                let known = person.and_then(|person| person.fingerprint);
                if known != print {
                    // Its row was evaluated, and comes to what the target acknowledged.
                    let (Some(was), Some(is)) = (known, print) else { panic!("{key} has no fingerprint") };
                    assert_eq!(reviewed[sync].get(key), Some(&Reviewed { was, is, in_scope: true }), "{key}");
                    let how = snapshots[sync].iter().find(|(person, ..)| key_of_known(*person) == *key);
                    assert_eq!(how.map(|(_, _, how)| *how), Some(9), "{key}");
                    evaluated[sync] += 1;
                }
                ordered::count_one(settled(sync, key), &mut counts[sync]);
                continue;
            }
            let remembered = person.and_then(|person| {
                let in_scope = person.standing == Standing::InStep;
                Some(KnownRow { fingerprint: person.fingerprint?, in_scope })
            });
            let evaluated = compared.reviewed_of(world.ids[sync], key).expect("asked");
            let remembered = match evaluated {
                Some(Reviewed { is, in_scope, .. }) => Some(KnownRow { fingerprint: is, in_scope }),
                None => remembered,
            };
            let found = &kept[key];
            assert_eq!(prints.of(found, remembered), print, "{key}");
            assert_eq!(found.position, record.position, "{key}");
            let rows = |record: &Record| -> Vec<Row> {
                record.several.iter().flat_map(|several| several.rows.iter().cloned()).collect()
            };
            let (ours, theirs) = (rows(found), rows(record));
            let places = |rows: &[Row]| rows.iter().map(|row| row.places.clone()).collect::<Vec<_>>();
            assert_eq!(places(&ours), places(&theirs), "{key}");
            for (ours, theirs) in ours.iter().zip(&theirs).filter(|(ours, _)| !ours.is_known) {
                assert_eq!(ours.cells, theirs.cells, "{key}");
            }
        }
    }
    for (sync, people) in known.iter().enumerate() {
        for key in people.keys() {
            let left_out = !unsettled.contains(key);
            assert!(!left_out || all.contains_key(key), "{key} of sync {sync} is in no row");
        }
    }
    assert_eq!(reviewed.iter().map(BTreeMap::len).collect::<Vec<_>>(), evaluated);
    let by_sync = world.ids.iter().copied().zip(counts).collect::<BTreeMap<_, _>>();
    for (sync, count) in by_sync {
        assert_eq!(compared.settled_of(sync), Some(count));
    }
}

proptest! {
    #![proptest_config(crate::domain::properties::cases(400))]

    #[test]
    fn a_comparing_read_tells_what_reading_everything_tells(
        lines in lines(),
        snapshots in prop_oneof![
            proptest::collection::vec(remembered(), 1),
            proptest::collection::vec(remembered(), 2),
        ],
        way in ways(),
        many in any::<bool>(),
        looked_at in proptest::collection::btree_set(0..40usize, 0..3),
    ) {
        let looked_at = looked_at.into_iter().filter_map(|person| Key::parse(&key_of(person))).collect();
        check(&lines, &snapshots, way, many, &looked_at);
    }
}

#[test]
fn who_says_what_is_known_is_counted_and_not_kept() {
    let mut file: Vec<Line> = (0..30).map(|person| Line { person, values: [0, 0, 0], spoilt: Spoilt::Not }).collect();
    file.sort_by_key(|line| key_of(line.person));
    let known = |how| (0..30).map(|person| (person, [0, 0, 0], how)).collect::<Vec<Remembered>>();
    // The fingerprint is the known one, or was that of another mapping.
    for (displaced, how) in [((1_000, 8), 0), ((0, 1_000), 0), ((1_000, 8), 9), ((0, 1_000), 9)] {
        let way = Way { invited_is_settled: true, table_people: 1_000, displaced };
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("hr.csv");
        std::fs::write(&path, written(&file)).expect("a file");
        let world = world(&[known(how)]);
        let comparison = snapshots_of(&world, way, &BTreeSet::new());
        let wanted = wanted(1);
        let request =
            ReadRequest { comparison: Some(&comparison), ..ReadRequest::everything(&wanted, directory.path()) };
        let intake = connect(&source(path, RowsPerPerson::One)).open(&request).expect("it is read");
        assert_eq!(people(&intake).len(), 0, "{displaced:?}");
        assert_eq!(intake.settled_of(world.ids[0]), Some(SettledPeople { in_step: 30, excluded: 0 }));
        assert_eq!(intake.stats().records, 30);
        assert_eq!(reviewed_of(&intake, world.ids[0]).len(), if how == 9 { 30 } else { 0 });
    }
}
