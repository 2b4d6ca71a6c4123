//! Wire truth: the bytes of each operation of each target, against golden files that were transcribed by hand from the
//! vendor pages and cite them. `BLESS=1` rewrites what stands below a golden file's comment, never the comment; a new
//! golden file is begun by hand, with its citation.

mod juicebox;
mod longjump;
mod scim;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rosterd::api::{ApiRequest, ApiResponse, Engine, Held};
use rosterd::domain::operation::{Change, OpKind, Operation};
use rosterd::domain::record::Key;
use serde_json::{Value, json};

fn juno() -> Engine {
    Engine::builtin("juno", &toml::Table::new()).expect("the built-in definition is right")
}

fn operation(kind: OpKind, changes: &[(&str, Value, Value)], known: &[(&str, Value)]) -> Operation {
    let remote_id = (kind != OpKind::Create).then(|| "123".to_string());
    let mut operation = Operation::new(kind, Key::parse("A125637").expect("a key"), remote_id.map(Into::into));
    for (field, value) in known {
        operation.baseline.set(*field, value.clone());
    }
    for (field, old, new) in changes {
        operation.baseline.set(*field, old.clone());
        operation.fields.insert((*field).to_string(), Change { old: old.clone(), new: new.clone() });
    }
    operation
}

fn set(field: &str, value: Value) -> (&str, Value, Value) {
    (field, Value::Null, value)
}

/// Each request of JUNO under the name of its golden file.
fn juno_requests() -> BTreeMap<&'static str, ApiRequest> {
    let engine = juno();
    let known = [("email", json!("jmclane@diehard.com")), ("first_name", json!("John"))];
    let write =
        |kind, changes: &[(&str, Value, Value)]| engine.encode(&operation(kind, changes, &known)).expect("a request");
    let new =
        |changes: &[(&str, Value, Value)]| engine.encode(&operation(OpKind::Create, changes, &[])).expect("a request");
    let mut adoption = operation(OpKind::Adopt, &[set("client_id", json!("A125637"))], &known);
    adoption.reactivates = true;
    let full: Vec<Value> = (0..100).map(|id| json!({ "id": id })).collect();
    let full = ApiResponse {
        status: 200,
        headers: vec![],
        body: Value::from(full).to_string().into_bytes(),
        held: Held::default(),
    };
    BTreeMap::from([
        (
            "create",
            new(&[
                set("client_id", json!("A125637")),
                set("email", json!("jmclane@diehard.com")),
                set("first_name", json!("李")),
                set("last_name", json!("McLane 🎉")),
                set("company", json!("<&>\"'")),
                set("phone", json!("=123-555-3214")),
                set("city", json!("Zürich")),
                set("timezone", json!(-25200)),
                set("account_level", json!(0)),
                set("title", json!(null)),
            ]),
        ),
        (
            "create-dimension-tags",
            new(&[
                set("client_id", json!("A125637")),
                set("email", json!("jmclane@diehard.com")),
                set("dimensions.101", json!("University of Washington")),
                set("dimensions.102", json!(null)),
                set("tags", json!(["7", "1", "7"])),
            ]),
        ),
        (
            "update",
            write(
                OpKind::Update,
                &[("title", json!("Officer"), json!("Detective")), ("designation", json!(null), json!("Lt."))],
            ),
        ),
        ("update-clear", write(OpKind::Update, &[("phone", json!("123-555-3214"), json!(null))])),
        (
            "update-dimension",
            write(
                OpKind::Update,
                &[
                    ("dimensions.101", json!("University of Washington"), json!("ETH Zürich")),
                    ("dimensions.102", json!("x"), json!("")),
                ],
            ),
        ),
        ("update-tags", write(OpKind::Update, &[("tags", json!(["1"]), json!(["35", "1"]))])),
        ("ban", write(OpKind::Ban, &[])),
        ("ban-release", write(OpKind::Ban, &[("username", json!("jmclane"), json!(null))])),
        (
            "reinstate",
            write(
                OpKind::Reinstate,
                &[("title", json!("Detective"), json!("Captain")), ("state_province", json!("NY"), json!("CA"))],
            ),
        ),
        ("adopt", write(OpKind::Adopt, &[set("client_id", json!("A125637")), set("company", json!("Nakatomi"))])),
        ("adopt-reactivate", engine.encode(&adoption).expect("a request")),
        ("get", engine.get(&"123".into()).expect("a request")),
        ("find-key", engine.find("client_id", "A125637").expect("a look-up")),
        ("find-email", engine.find("email", "o'neil+juno@diehard.com").expect("a look-up")),
        ("list-1", engine.list()),
        ("list-2", engine.page(&engine.list(), &full).expect("a page").next.expect("a second page")),
    ])
}

/// A request as golden files write it: request line, content type, and the body after an empty line.
fn rendered(wire: &ApiRequest) -> String {
    let mut text = format!("{} {}\n", wire.method, wire.path);
    for (name, value) in wire.headers.iter().filter(|(name, _)| name != "accept") {
        text.push_str(&format!("{name}: {value}\n"));
    }
    if let Some(body) = &wire.body {
        text.push_str(&format!("\n{}\n", std::str::from_utf8(body).expect("UTF-8")));
    }
    text
}

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(target)
}

/// Each target's requests, and the word by which a golden file's comment cites its source.
fn all_requests() -> Vec<(&'static str, &'static str, BTreeMap<&'static str, ApiRequest>)> {
    vec![
        ("juno", "JUNO", juno_requests()),
        ("juicebox", "juicebox.txt|README.md \"Juicebox\"", juicebox::requests()),
        ("longjump", "longjump.txt|README.md \"LongJump\"", longjump::requests()),
        ("scim", "RFC 7644", scim::requests()),
    ]
}

#[test]
fn requests_are_the_bytes_that_the_vendor_pages_tell() {
    let bless = std::env::var_os("BLESS").is_some_and(|value| value == "1");
    for (target, cited, requests) in all_requests() {
        for (name, wire) in requests {
            let file = folder(target).join(format!("{name}.http"));
            let golden = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{target}/{name}.http: {error}"));
            let (comment, expected) = golden.split_once('\n').expect("a comment line and a request");
            let cites = cited.split('|').any(|word| comment.contains(word));
            assert!(comment.starts_with("# ") && cites, "{target}/{name}.http does not cite its source");
            let actual = rendered(&wire);
            if bless && actual != expected {
                fs::write(&file, format!("{comment}\n{actual}")).expect("the golden file can be written");
                continue;
            }
            assert_eq!(actual, expected, "{target}/{name}.http");
        }
    }
}

#[test]
fn every_golden_file_is_compared() {
    for (target, _, requests) in all_requests() {
        for entry in fs::read_dir(folder(target)).expect("the golden files") {
            let path = entry.expect("a golden file").path();
            let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name");
            assert!(requests.contains_key(name), "{target}/{name}.http belongs to no request");
        }
    }
}

/// Whether a request is one of this operation: its method, and its path with anything for placeholders.
fn is_of(wire: &ApiRequest, operation: &toml::Value) -> bool {
    let text = |key: &str| operation.get(key).and_then(toml::Value::as_str).unwrap_or_default();
    let (asked, path) = (wire.path.split('?').next().unwrap_or_default(), text("path"));
    let fits = |(asked, told): (&str, &str)| told.starts_with('{') || asked == told;
    wire.method == text("method")
        && asked.split('/').count() == path.split('/').count()
        && asked.split('/').zip(path.split('/')).all(fits)
}

#[test]
fn every_operation_of_every_target_has_a_golden_file() {
    for (target, _, requests) in all_requests() {
        let text = Engine::builtin_text(target).expect("a definition");
        let definition: toml::Table = text.parse().expect("TOML");
        for (name, operation) in definition["resources"]["users"]["operations"].as_table().expect("operations") {
            assert!(requests.values().any(|wire| is_of(wire, operation)), "{target}: no request of {name}");
        }
        let named = |kind: &str| requests.keys().any(|name| name.starts_with(kind));
        for kind in ["update", "ban", "reinstate", "adopt"] {
            assert!(named(kind), "{target}: no {kind}");
        }
        assert!(named("create") || named("invite"), "{target}: nobody is made");
    }
}

#[test]
fn no_value_is_in_a_debug_output() {
    for (target, _, requests) in all_requests() {
        for (name, wire) in requests {
            if let Some(body) = wire.body.as_deref().filter(|body| body.first() != Some(&b'<')) {
                serde_json::from_slice::<Value>(body).unwrap_or_else(|error| panic!("{target}/{name}: {error}"));
            }
            let shown = format!("{wire:?}");
            let values = ["diehard", "A125637", "gmail", "juice", "00123", "example.com", "bjensen"];
            assert!(!values.iter().any(|value| shown.contains(value)), "{target}/{name}: {shown}");
        }
    }
}
