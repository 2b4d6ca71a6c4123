//! What `init` writes is held against what `check` says of it, whatever the export looks like.

use std::path::PathBuf;

use proptest::prelude::*;

use super::detect::{self, Told};
use super::guess::{self, KeyBy};
use super::proposal::{self, Choices, Lack, Proposal};
use super::table::Table;
use super::write::{self, Configuration, Place, Target};
use crate::api::Engine;
use crate::config::{self, Judged};
use crate::domain::local_time::LocalTime;
use crate::mapping::testing;

/// A target of each kind, as the sandbox has it.
fn target(kind: &str) -> (Target, Engine) {
    let (auth, options): (&str, &[(&str, &str)]) = match kind {
        "juicebox" => ("{ kind = \"token\", token = { file = \"t\" } }", &[("client", "1")]),
        "longjump" => (
            "{ kind = \"session\", username = \"admin\", password = { file = \"t\" } }",
            &[("team_id", "1"), ("access_profile_id", "3")],
        ),
        _ => ("{ kind = \"bearer\", token = { file = \"t\" } }", &[]),
    };
    let table: String = options.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
    let engine = Engine::builtin(kind, &table.parse().expect("options")).expect("a definition");
    let target = Target {
        kind: kind.into(),
        title: engine.title().into(),
        base_url: "http://127.0.0.1:8480/x".into(),
        is_sandbox: true,
        auth: auth.into(),
        options: options
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string(), "what it is".into()))
            .collect(),
    };
    (target, engine)
}

/// The proposal for this export; where nothing tells what a column is, the first ones are it.
fn proposed(table: &Table, engine: &Engine) -> Option<(guess::Roles, Proposal)> {
    let mut roles = guess::roles(table);
    let first = table.usable().next()?.0;
    if roles.key.is_none() {
        roles.set_key(first, KeyBy::Told);
    }
    let mut choices = Choices::default();
    loop {
        match proposal::propose(table, &roles, engine.catalogue(), &choices) {
            Ok(proposal) => return Some((roles, proposal)),
            Err(Lack::Fields(fields)) => choices.map.extend(fields.into_iter().map(|field| (field, Some(first)))),
            Err(Lack::Key) => panic!("there is one"),
        }
    }
}

fn text(table: &Table, kind: &str) -> Option<String> {
    text_for(table, kind, None)
}

fn text_for(table: &Table, kind: &str, service_state: Option<&str>) -> Option<String> {
    let (target, engine) = target(kind);
    let (roles, proposal) = proposed(table, &engine)?;
    let whole_names = proposal::whole_names(table, &roles, &proposal);
    let place = Place::File("hr.csv".into());
    let configuration = Configuration {
        sync: "staff",
        place: &place,
        table,
        target: &target,
        proposal: &proposal,
        whole_names,
        service_state,
    };
    Some(write::text(&configuration))
}

#[test]
fn what_is_written_for_a_service_has_its_state_and_a_schedule_in_force() {
    let export = b"Employee #;Work Email;Status\n1;ann@example.com;active\n2;bo@example.com;left\n";
    let table = detect::table(export, true, &Told::default()).expect("a table");
    let service = text_for(&table, "juno", Some("/var/lib/rosterd/rosterd.db")).expect("a text");
    assert_eq!(wrong(&service, None), [""; 0]);
    let here = text(&table, "juno").expect("a text");
    let settings = |text: &str| text.parse::<toml::Table>().expect("TOML");
    let (service, here) = (settings(&service), settings(&here));
    assert_eq!(service["state"]["path"].as_str(), Some("/var/lib/rosterd/rosterd.db"));
    assert_eq!(service["syncs"]["staff"]["schedule"].as_str(), Some("0 */15 * * * *"));
    assert_eq!(here["state"]["path"].as_str(), Some("state/rosterd.db"));
    assert!(here["syncs"]["staff"].get("schedule").is_none());
}

/// What is wrong with a configuration: what `check` and `test` say, warnings too.
fn wrong(text: &str, export: Option<&[u8]>) -> Vec<String> {
    let home = tempfile::tempdir().expect("a directory");
    let path: PathBuf = home.path().join("rosterd.toml");
    std::fs::write(&path, text).expect("written");
    let Judged { settings, errors, warnings, .. } = config::judge(&[path], []);
    let mut wrong: Vec<String> = errors.iter().chain(&warnings).map(ToString::to_string).collect();
    // What a guess can't get right, it is refused for.
    let refused = ["text follows a closing quote", "cut off inside", "longer than 1 MB"];
    if let (Some(export), Some(settings)) = (export, &settings) {
        std::fs::write(home.path().join("hr.csv"), export).expect("written");
        let wanted = settings.syncs["staff"].mapping.columns().iter().cloned().collect();
        let read = crate::source::connect(&settings.sources["hr"]).check(&wanted);
        wrong.extend(read.err().map(|failure| failure.chain()).filter(|why| !refused.iter().any(|r| why.contains(r))));
    }
    let time = LocalTime::noon("2026-11-30");
    for sync in settings.iter().flat_map(|settings| settings.syncs.values()) {
        if sync.tests.len() != 2 {
            wrong.push(format!("{} tests", sync.tests.len()));
        }
        for test in &sync.tests {
            wrong.extend(testing::run(&sync.mapping, &sync.source.key, test, time).err());
        }
    }
    wrong
}

fn name() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "Employee #",
        "id",
        "Personalnummer",
        "Matricule",
        "Número de empleado",
        "Work Email",
        "E-Mail",
        "mail",
        "Courriel",
        "Status",
        "Statut",
        "Estado",
        "aktiv",
        "Hire Date",
        "Eintrittsdatum",
        "End Date",
        "Date de sortie",
        "Vorname",
        "Nachname",
        "Name",
        "Prénom",
        "Nom",
        "Nombre",
        "Apellidos",
        "Job Title",
        "department",
        "City",
        "today",
        "row",
        "in",
        "has",
        "date",
        "user name",
        "name.first",
        "Geburtsdatum",
        "Manager Email",
        "size",
        "type",
    ])
    .prop_map(str::to_owned);
    prop_oneof![
        4 => known,
        1 => "[a-zA-Z_][a-zA-Z0-9_ .#]{0,12}",
        1 => "[\"'\\\\\n\r\t=#\\[\\]{};,|$@\u{1}\u{7f}\u{85}\u{200b}\u{202e}a-c ]{0,10}",
        1 => any::<String>(),
    ]
}

fn cell() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "",
        "active",
        "Active",
        "terminated",
        "on leave",
        "aktiv",
        "ausgeschieden",
        "1",
        "0",
        "true",
        "zzz",
        "2026-01-31",
        "31.01.2026",
        "01/31/2026",
        "03/04/2026",
        "a@x.example",
        "B@x.example",
        "Example, Ann",
        "Ann Example",
        "E1",
        "E2",
        "0007",
        "it's \"so\"",
        "back\\slash",
    ])
    .prop_map(str::to_owned);
    prop_oneof![6 => known, 1 => any::<String>()]
}

/// An export as a program would write it.
fn export() -> impl Strategy<Value = Vec<u8>> {
    let delimiter = prop::sample::select(vec![b',', b';', b'\t', b'|']);
    let rows = (1_usize..8).prop_flat_map(|wide| {
        let row = prop::collection::vec(cell(), wide);
        (prop::collection::vec(name(), wide), prop::collection::vec(row, 1..8))
    });
    (delimiter, rows).prop_map(|(delimiter, (header, rows))| {
        let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
        for row in std::iter::once(&header).chain(&rows) {
            writer.write_record(row).expect("into memory");
        }
        writer.into_inner().expect("into memory")
    })
}

proptest! {
    #![proptest_config(crate::domain::properties::cases(256))]

    /// Whatever header and rows: either it is said why there is no configuration, or the configuration passes `check`
    /// and its own tests.
    #[test]
    fn whatever_the_export_what_is_written_passes_check(export in export(), kind in prop::sample::select(vec!["juno", "juicebox", "longjump", "scim"])) {
        if let Ok(table) = detect::table(&export, true, &Told::default())
            && let Some(text) = text(&table, kind)
        {
            let wrong = wrong(&text, Some(&export));
            prop_assert!(wrong.is_empty(), "{wrong:#?}\n{text}");
        }
    }

    /// Whatever bytes a file holds, it is a table or it is said why not, also where they are but a beginning.
    #[test]
    fn any_bytes_are_a_table_or_a_reason(bytes in prop::collection::vec(any::<u8>(), 0..200), text in any::<String>(), whole in any::<bool>()) {
        for bytes in [bytes.as_slice(), text.as_bytes(), &[text.as_bytes(), b"\n", &bytes].concat()] {
            if let Err(failure) = detect::table(bytes, whole, &Told::default()) {
                prop_assert!(failure.help.is_some(), "{failure:?}");
            }
        }
    }

    /// Any text stays what it is in TOML.
    #[test]
    fn quoted_texts_are_read_back(name in any::<String>(), value in any::<String>()) {
        let document = format!("{} = {}\n", write::key(&name), write::quoted(&value));
        let read: toml::Table = document.parse().expect("valid TOML");
        prop_assert_eq!(read.get(&name).and_then(toml::Value::as_str), Some(value.as_str()));
    }
}

#[test]
fn dates_in_other_notations_are_read_and_people_are_named() {
    let export =
        b"id;Vorname;Nachname;E-Mail;Austrittsdatum\n1;Ann;Ash;a@x.example;31.12.2027\n2;Bo;Ben;b@x.example;\n";
    let table = detect::table(export, true, &Told::default()).expect("a table");
    let text = text(&table, "juno").expect("a text");
    assert!(text.contains("label = [\"first_name\", \"last_name\"]"), "{text}");
    let include = r#"include = 'Austrittsdatum.trim() == "" || date(Austrittsdatum, "%d.%m.%Y") >= today'"#;
    assert!(text.contains(include), "{text}");
    assert!(text.contains("Austrittsdatum = \"28.02.2001\""), "somebody who left long ago is excluded: {text}");
    assert_eq!(wrong(&text, Some(export)), Vec::<String>::new(), "{text}");
}

#[test]
fn json_records_are_mapped_with_their_types() {
    let export = br#"{"data":[{"id":1,"contact":{"email":"a@x.example"},"active":true,"left":null},
        {"id":2,"contact":{"email":"b@x.example"},"active":false,"left":"2026-01-31"}]}"#;
    let table = detect::table(export, true, &Told::default()).expect("a table");
    for kind in ["juno", "juicebox", "longjump", "scim"] {
        let text = text(&table, kind).expect("a text");
        assert!(text.contains("records = \"/data\"") && text.contains("include = \"active == true\""), "{text}");
        assert_eq!(wrong(&text, None), Vec::<String>::new(), "{text}");
    }
}
