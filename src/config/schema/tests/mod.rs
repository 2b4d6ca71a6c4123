//! The schema against the loader: neither may say anything that the other doesn't.

mod editor;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::config::{Diagnostic, Settings, load};

/// A configuration that has every section and every kind, so that there is a place for every key.
const EVERYTHING: &str = r#"
[state]
path = "state/rosterd.db"
[server]
listen = "127.0.0.1:9464"
[notify]
webhook = { url = "https://hooks.example.com/x" }
[sources.file]
kind = "csv"
path = "hr.csv"
key = "id"
[sources.records]
kind = "file"
path = "hr.json"
format = "json"
records = "/data"
total = "/meta/total"
success = "/ok"
key = "id"
[sources.cursor]
kind = "http"
url = "https://hr.example.com/api"
key = "id"
records = "/data"
total = "/meta/total"
success = "/ok"
reads = 3
max_pages = 50
auth = { kind = "header", name = "X-Key", value = { env = "KEY" } }
pagination = { kind = "cursor", pointer = "/next", param = "after", size_param = "n", size = 5 }
retry = {}
[sources.text]
kind = "http"
url = "https://hr.example.com/all.csv"
format = "csv"
delimiter = ";"
key = "id"
auth = { kind = "basic", username = "u", password = { file = "secret" } }
pagination = { kind = "page", param = "p", start = 0 }
trailer = "^TOTAL;([0-9]+)"
[sources.lines]
kind = "http"
url = "https://hr.example.com/all.ndjson"
format = "ndjson"
key = "id"
pagination = { kind = "header", name = "X-Next" }
total = { header = "X-Total-Count" }
[sources.all]
kind = "union"
members = ["file", "cursor"]
max_age = "26h"
[targets.juno]
kind = "juno"
base_url = "https://acme.example.com/api"
auth = { kind = "bearer", token = { credential = "juno" } }
burst = 3
daily_quota = 5000
retry = { attempts = 3 }
options = { page_size = 50 }
[targets.juicebox]
kind = "juicebox"
base_url = "https://acme.example.com"
auth = { kind = "token", token = { env = "TOKEN" } }
options = { client = 1, create = "direct" }
[targets.longjump]
kind = "longjump"
base_url = "https://acme.example.com"
auth = { kind = "session", username = "admin", password = { env = "PASSWORD" } }
options = { team_id = 1, access_profile_id = 3 }
[targets.scim]
kind = "scim"
base_url = "https://acme.example.com/scim/v2"
auth = { kind = "oauth2", token_url = "https://acme.example.com/t", client_id = "c", client_secret = { env = "S" }, scope = "users" }
[targets.own]
kind = "rest"
definition = "people-api.toml"
base_url = "https://acme.example.com"
auth = { kind = "header", name = "X-Api-Key", value = { env = "KEY" } }
options = { site = "hq" }
[syncs.staff]
source = "file"
target = "juno"
schedule = "0 */15 * * * *"
reconcile_schedule = "0 3 * * *"
include = 'status == "active"'
match = ["email"]
protect = "E1"
[syncs.staff.map]
client_id = "id"
email = { cel = "email.trim()" }
title = { column = "title", when = "create" }
account_level = { value = 0 }
[syncs.staff.limits]
ban = "5%"
[[syncs.staff.tests]]
name = "a name"
record = { id = "7", email = " a@example.com " }
expect = { email = "a@example.com" }
[[syncs.staff.tests]]
name = "another"
record = { status = "gone" }
excluded = true
[syncs.more]
source = "all"
target = "juicebox"
map = { email = "email" }
"#;

/// A directory in which configurations can be loaded.
struct Stage(TempDir);

impl Stage {
    fn new() -> Stage {
        let dir = TempDir::new().expect("a directory");
        std::fs::write(dir.path().join("people-api.toml"), include_str!("../../../../config/people-api.toml"))
            .expect("written");
        std::fs::write(dir.path().join("cert.pem"), "").expect("written");
        Stage(dir)
    }

    fn load(&self, configuration: &Value) -> Result<Settings, Vec<Diagnostic>> {
        let file = self.0.path().join("rosterd.toml");
        std::fs::write(&file, toml::to_string(configuration).expect("TOML")).expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("set");
        load(&[file], []).map(|loaded| loaded.settings)
    }
}

fn judge() -> Judge {
    Judge::new(&super::configuration())
}

fn everything() -> Value {
    toml::from_str(EVERYTHING).expect("TOML")
}

/// Every place in a value where something stands, as JSON pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    let below: Vec<(String, &Value)> = match value {
        Value::Object(table) => table.iter().map(|(key, v)| (key.replace('~', "~0").replace('/', "~1"), v)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(i, v)| (i.to_string(), v)).collect(),
        _ => return,
    };
    for (key, value) in below {
        let at = format!("{at}/{key}");
        places(value, &at, found);
        found.push(at);
    }
}

fn all_places(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    places(value, "", &mut found);
    found
}

/// Whether what stands here is free: data of a mapping test, or of an option or a secret in literal text.
fn is_data(pointer: &str) -> bool {
    pointer.contains("/record/") || pointer.contains("/expect/")
}

/// The table that a place is in, and its key there.
fn split(pointer: &str) -> (&str, String) {
    let (above, key) = pointer.rsplit_once('/').expect("a pointer has a slash");
    (above, key.replace("~1", "/").replace("~0", "~"))
}

#[test]
fn what_has_everything_is_valid_and_loads() {
    let configuration = everything();
    assert_eq!(judge().complaint(&configuration), None);
    if let Err(errors) = Stage::new().load(&configuration) {
        panic!("{errors:#?}");
    }
}

#[test]
fn every_sample_is_valid() {
    let judge = judge();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut seen = 0;
    for entry in std::fs::read_dir(directory).expect("config/") {
        let path: PathBuf = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        if path.extension().is_some_and(|e| e == "toml") && text.contains("\n[syncs.") {
            let sample: Value = toml::from_str(&text).expect("TOML");
            assert_eq!(judge.complaint(&sample), None, "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 4, "{seen} samples");
}

#[test]
fn what_is_taken_out_is_missed_by_both_or_by_neither() {
    let (judge, stage) = (judge(), Stage::new());
    for pointer in all_places(&everything()) {
        let (above, key) = split(&pointer);
        // Which fields have to be mapped is the target's business, and what a definition of one's own takes is its own.
        if above.ends_with("/map") || pointer.starts_with("/targets/own/options") {
            continue;
        }
        let mut configuration = everything();
        match configuration.pointer_mut(above) {
            Some(Value::Object(table)) => drop(table.remove(&key)),
            _ => continue,
        }
        let loaded = stage.load(&configuration);
        // A reference that leads nowhere is not a matter of the schema.
        let elsewhere =
            |d: &Diagnostic| ["there is no", "is not mapped", "nothing tells"].iter().any(|m| d.message.contains(m));
        let refused = loaded.err().is_some_and(|errors| !errors.iter().all(elsewhere));
        let complaint = judge.complaint(&configuration);
        assert_eq!(complaint.is_some(), refused, "{pointer}: {complaint:?}");
    }
}

#[test]
fn a_misspelt_key_is_refused_by_both() {
    let (judge, stage) = (judge(), Stage::new());
    for pointer in all_places(&everything()) {
        let (above, key) = split(&pointer);
        let mut configuration = everything();
        let Some(Value::Object(table)) = configuration.pointer_mut(above) else { continue };
        // Names of sections, columns and fields are free, as far as the schema knows.
        let named = ["/sources", "/targets", "/syncs"].contains(&above) || above.ends_with("/map") || is_data(&pointer);
        // The operator's own options are declared in a file of his own.
        if named || above == "/targets/own/options" {
            continue;
        }
        table.insert(format!("{key}x"), json!("x"));
        assert!(judge.complaint(&configuration).is_some(), "{pointer}");
        assert!(stage.load(&configuration).is_err(), "{pointer}");
    }
}

/// Values of every type, good in some place and bad in others.
fn values() -> Vec<Value> {
    let words = ["text", "", "5", "5%", "101%", "10 s", "10/s", "0/s", "10mib", "unlimited", "csv", "juno", "/a"];
    let mut values: Vec<Value> = words.iter().map(|word| json!(word)).collect();
    values.extend([json!(0), json!(5), json!(-1), json!(1.5), json!(true), json!([]), json!(["a"]), json!([1])]);
    values.extend([json!({}), json!({"count": 5}), json!({"percent": 101}), json!({"env": "A"})]);
    values.extend([json!({"env": "A", "file": "b"}), json!({"kind": "none"})]);
    values
}

/// What is left of [`EVERYTHING`] when all is taken out that has nothing to do with this place: it loads faster.
fn around(pointer: &str) -> Value {
    let mut configuration = everything();
    let mut segments = pointer.split('/').skip(1);
    let (section, name) = (segments.next().unwrap_or_default(), segments.next().unwrap_or_default());
    let table = configuration.as_object_mut().expect("a table");
    let keep = |key: &str| key == "state" || key == section || (section == "syncs" && key != "notify");
    table.retain(|key, _| keep(key));
    if let (Some(Value::Object(targets)), false) = (table.get_mut("targets"), name.is_empty()) {
        targets.retain(|target, _| target == name || (section == "syncs" && target.starts_with('j')));
    }
    configuration
}

/// The schema never refuses what loads; and types, words and forms are its business: what the loader refuses for its
/// form, the schema refuses.
#[test]
fn the_two_agree_on_every_kind_of_value_in_every_place() {
    let (judge, stage) = (judge(), Stage::new());
    let (mut invalid, mut loaded) = (0, 0);
    for pointer in all_places(&everything()).into_iter().filter(|p| !is_data(p)) {
        let around = around(&pointer);
        for value in values() {
            let mut configuration = around.clone();
            *configuration.pointer_mut(&pointer).expect("the place") = value.clone();
            let complaint = judge.complaint(&configuration);
            invalid += usize::from(complaint.is_some());
            match stage.load(&configuration) {
                Ok(_) => {
                    loaded += 1;
                    assert_eq!(complaint, None, "{pointer} = {value} loads");
                }
                Err(errors) if errors.iter().any(of_form) => {
                    assert!(complaint.is_some(), "{pointer} = {value} is valid, and {errors:?}");
                }
                Err(_) => {}
            }
        }
    }
    assert!(invalid > 1_000 && loaded > 100, "{invalid} invalid, {loaded} loaded");
}

/// Whether a mistake is one of form alone.
fn of_form(mistake: &Diagnostic) -> bool {
    let units = ["write a whole number and", "write a number, a slash"];
    mistake.message.contains("is wanted here")
        || mistake.message.contains("is not one of")
        || mistake.help.as_ref().is_some_and(|help| units.iter().any(|unit| help.starts_with(unit)))
}

/// The defaults that the schema names are those that are used: a configuration that spells them out is the same one.
#[test]
fn defaults_are_what_the_program_takes() {
    let (schema, stage) = (super::configuration(), Stage::new());
    let plain = stage.load(&everything()).expect("it loads");
    let mut spelt = everything();
    let mut added = 0;
    for (pointer, section) in [
        ("/state", "RawState"),
        ("/server", "RawServer"),
        ("/sources/file", "RawSource"),
        ("/sources/cursor", "RawSource"),
        ("/sources/cursor/retry", "RawRetry"),
        ("/sources/text", "RawSource"),
        ("/sources/lines", "RawSource"),
        ("/sources/all", "RawSource"),
        ("/targets/juno", "RawTarget"),
        ("/targets/juno/retry", "RawRetry"),
        ("/targets/juicebox", "RawTarget"),
        ("/targets/longjump", "RawTarget"),
        ("/targets/scim", "RawTarget"),
        ("/syncs/staff", "RawSync"),
        ("/syncs/staff/limits", "RawLimits"),
        ("/syncs/more", "RawSync"),
        ("/syncs/staff/map/email", "Rule"),
    ] {
        let properties = schema["$defs"][section]["properties"].as_object().unwrap_or_else(|| panic!("{section}"));
        for (key, default) in properties.iter().filter_map(|(key, p)| Some((key, p.get("default")?))) {
            let kind = spelt.pointer(pointer).and_then(|t| t["kind"].as_str()).unwrap_or_default().to_owned();
            let csv = spelt.pointer(pointer).is_some_and(|t| t["format"] == "csv");
            let json = spelt.pointer(pointer).is_some_and(|t| t.get("format").is_none());
            let foreign = section == "RawSource"
                && (!source::belongs(&kind, key, csv) || (kind == "http" && !json && key == "records"));
            let Some(Value::Object(table)) = spelt.pointer_mut(pointer) else { panic!("{pointer}") };
            // What would change its meaning: an option that must be given.
            if !foreign && !table.contains_key(key) {
                table.insert(key.clone(), default.clone());
                added += 1;
            }
        }
    }
    assert!(added > 80, "{added} defaults");
    let spelt = stage.load(&spelt).unwrap_or_else(|errors| panic!("{errors:#?}"));
    // What was typed is not the same, and so is its hash; what it means is.
    let meant = |mut settings: Settings| {
        settings.syncs.values_mut().for_each(|sync| std::sync::Arc::make_mut(sync).typed = [0; 32]);
        format!("{settings:#?}")
    };
    assert_eq!(meant(plain), meant(spelt));
}

#[test]
fn every_key_says_what_it_means() {
    let schema = super::configuration();
    for (name, definition) in schema["$defs"].as_object().expect("definitions") {
        for (key, property) in definition["properties"].as_object().into_iter().flatten() {
            assert!(property["description"].as_str().is_some_and(|d| d.len() > 5), "{name}.{key}");
        }
    }
}

/// The manual's table of keys against the schema: what can be written is explained there, and what is explained can be
/// written.
#[test]
fn the_manual_has_every_key_and_no_other() {
    let section = crate::manual::page("configuration").expect("the page").text;
    let mut told: Vec<String> = Vec::new();
    for part in section.split("\n## `[").skip(1) {
        let heading = part.split("]`").next().expect("a heading").trim_matches(['[', ']']);
        let keys = part.lines().filter(|line| line.starts_with("| `")).flat_map(|row| {
            row.split('|').nth(1).expect("a cell").split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
        });
        told.extend(keys.map(|key| format!("{heading}.{key}")));
    }
    let schema = super::configuration();
    let keys = |definition: &str| -> Vec<String> {
        let properties = schema["$defs"][definition]["properties"].as_object();
        properties.unwrap_or_else(|| panic!("{definition}")).keys().cloned().collect()
    };
    let sections = [
        ("RawState", "state"),
        ("RawServer", "server"),
        ("RawNotify", "notify"),
        ("RawSource", "sources.NAME"),
        ("RawTarget", "targets.NAME"),
        ("RawSync", "syncs.NAME"),
        ("RawLimits", "syncs.NAME.limits"),
    ];
    let there: Vec<String> = sections
        .iter()
        .flat_map(|(definition, at)| keys(definition).into_iter().map(move |key| format!("{at}.{key}")))
        .collect();
    let below = |name: &str, above: &str| name.strip_prefix(above).is_some_and(|rest| rest.starts_with('.'));
    for key in &there {
        assert!(told.iter().any(|name| name == key || below(name, key)), "the manual says nothing of {key}");
    }
    for name in &told {
        assert!(there.iter().any(|key| name == key || below(name, key)), "the manual tells of {name}");
    }
    let words: Vec<&str> = section.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    for definition in
        ["RawAuth", "RawRetry", "RawPagination", "SecretTable", "Rule", "RawTest", "RawWebhook", "LimitTable"]
    {
        for key in keys(definition) {
            assert!(words.contains(&key.as_str()), "the manual says nothing of {key} ({definition})");
        }
    }
}
