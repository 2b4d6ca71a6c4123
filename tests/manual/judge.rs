//! Blocks that are not commands: configuration is judged by `rosterd check`, definitions by their schema, data by
//! parsers.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use regex::Regex;
use tempfile::TempDir;
use toml::{Table, Value};

use super::page::{Kind, Step};
use crate::support::Ran;

/// What configuration is laid over that is not whole.
const BASE: &str = include_str!("fixtures/staff/rosterd.toml");

/// What a part of a definition is laid over.
const DEFINITION: &str = include_str!("../../config/people-api.toml");

/// Judges a block.
pub fn judge(step: &Step) -> Result<(), String> {
    let told = match &step.kind {
        Kind::Toml { below } => configuration(below.as_deref(), &step.text),
        Kind::Definition => definition(&step.text),
        Kind::Data(format) => data(format, &step.text),
        _ => Ok(()),
    };
    told.map_err(|told| format!("{}: {told}", step.line))
}

fn configuration(below: Option<&str>, text: &str) -> Result<(), String> {
    let text = below.map_or_else(|| text.to_string(), |table| format!("{table}\n{text}"));
    let block: Table = text.parse().map_err(|e| format!("it is no TOML: {e}"))?;
    let dir = TempDir::with_prefix("rosterd-block-").expect("a temporary directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_rosterd"));
    command.env_clear().current_dir(dir.path());
    let is_whole = block.contains_key("state") && block.get("syncs").is_some_and(|syncs| has_whole(syncs, "source"));
    if !is_whole {
        fs::write(dir.path().join("base.toml"), base_for(&block)).expect("a file");
        fs::write(dir.path().join("hr.csv"), include_str!("fixtures/staff/hr.csv")).expect("a file");
        secret(dir.path(), "juno.token");
        command.args(["--config", "base.toml"]);
    }
    // Where a machine has its secrets, this one has none.
    let elsewhere = Regex::new(r#"\bfile = "/[^"]*/([^"/]+)""#).expect("a pattern");
    let text = elsewhere.replace_all(&text, "file = \"$1\"");
    for file in named(&text, "file") {
        secret(dir.path(), &file);
    }
    command.envs(named(&text, "env").into_iter().map(|name| (name, "secret")));
    for file in named(&text, "definition") {
        fs::write(dir.path().join(file), any_definition()).expect("a file");
    }
    fs::write(dir.path().join("block.toml"), text.as_bytes()).expect("a file");
    let output = command.args(["--config", "block.toml", "check"]).output().expect("the binary runs");
    let ran = Ran::of(&output);
    if ran.code == 0 { Ok(()) } else { Err(format!("check says {}:\n{}{}", ran.code, ran.stdout, ran.stderr)) }
}

/// The base without the sources, targets and syncs that the block has whole.
fn base_for(block: &Table) -> String {
    let mut base: Table = BASE.parse().expect("the base is TOML");
    for (part, mark) in [("sources", "kind"), ("targets", "kind"), ("syncs", "source")] {
        let Some(tables) = block.get(part).and_then(Value::as_table) else { continue };
        for (name, table) in tables {
            if table.get(mark).is_some() {
                base[part].as_table_mut().expect("a table").remove(name);
            }
        }
    }
    base.to_string()
}

fn has_whole(tables: &Value, mark: &str) -> bool {
    tables.as_table().is_some_and(|tables| tables.values().all(|table| table.get(mark).is_some()))
}

/// A definition that takes any way to log in, and needs no option.
fn any_definition() -> String {
    let mut definition: Table = DEFINITION.parse().expect("the definition is TOML");
    let kinds = ["bearer", "token", "header", "basic", "oauth2", "none"].map(Value::from);
    definition["auth"]["kinds"] = Value::Array(kinds.to_vec());
    definition["options"]["site"].as_table_mut().expect("an option").insert("default".into(), "hq".into());
    definition.to_string()
}

/// The texts that stand after this key.
fn named(text: &str, key: &str) -> Vec<String> {
    let pattern = Regex::new(&format!(r#"\b{key} = "([^"]+)""#)).expect("a pattern");
    pattern.captures_iter(text).map(|found| found[1].to_string()).collect()
}

fn secret(dir: &Path, name: &str) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("its folder");
    fs::write(&path, "secret\n").expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its permissions");
}

/// A part of a definition, laid over one that is whole.
fn definition(text: &str) -> Result<(), String> {
    let part: Table = text.parse().map_err(|e| format!("it is no TOML: {e}"))?;
    let mut whole: Table = DEFINITION.parse().expect("the definition is TOML");
    lay(&mut whole, part);
    let printed = Command::new(env!("CARGO_BIN_EXE_rosterd")).args(["schema", "--definition"]).output();
    let schema: serde_json::Value =
        serde_json::from_str(&Ran::of(&printed.expect("the binary runs")).exits(0).stdout).expect("a schema");
    let (mut compiler, mut schemas) = (boon::Compiler::new(), boon::Schemas::new());
    compiler.add_resource("schema.json", schema).expect("a schema");
    let compiled = compiler.compile("schema.json", &mut schemas).expect("a schema that holds");
    let value = serde_json::to_value(whole).expect("JSON");
    schemas.validate(&value, compiled).map_err(|error| error.to_string())
}

fn lay(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay(below, above),
            (_, value) => drop(below.insert(key, value)),
        }
    }
}

fn data(format: &str, text: &str) -> Result<(), String> {
    match format {
        "json" => {
            // One value, or one a line.
            let whole = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>();
            whole.collect::<Result<Vec<_>, _>>().map(drop).map_err(|e| format!("it is no JSON: {e}"))
        }
        "csv" => {
            let head = text.lines().next().unwrap_or_default();
            let delimiter = [b',', b';', b'\t'].into_iter().max_by_key(|d| head.matches(char::from(*d)).count());
            let mut reader =
                csv::ReaderBuilder::new().delimiter(delimiter.unwrap_or(b',')).from_reader(text.as_bytes());
            reader.records().collect::<Result<Vec<_>, _>>().map(drop).map_err(|e| format!("it is no CSV: {e}"))
        }
        _ => {
            let mut reader = quick_xml::Reader::from_str(text);
            loop {
                match reader.read_event() {
                    Ok(quick_xml::events::Event::Eof) => return Ok(()),
                    Ok(_) => {}
                    Err(error) => return Err(format!("it is no XML: {error}")),
                }
            }
        }
    }
}
