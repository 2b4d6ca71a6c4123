//! From files and environment to one table, and from the table to [`Raw`](super::raw::Raw): merging is figment's, the order of layers
//! and the names of variables are ours.
//!
//! serde stops at the first mistake. So that people see all of them at once, a value that doesn't fit is reported, taken
//! out, and the rest is read again.

use std::path::{Path, PathBuf};

use figment::error::Kind;
use figment::value::{Dict, Map, Tag, Value};
use figment::{Figment, Metadata, Profile, Provider};
use serde::de::DeserializeOwned;
use toml_edit::Document;

use super::diagnostic::Diagnostic;
use super::examples;
use super::locate::{EnvLayer, FileLayer, KeyPath, Layers};
use super::resolve::Report;
use super::syntax::{self, Explained};
use crate::domain::nearest::nearest;
use crate::domain::units::HELP_MARK;
use crate::domain::wording;
use crate::os::bounded_file;

/// What the names of our environment variables begin with.
const PREFIX: &str = "ROSTERD_";

/// Variables with the prefix that are options of the command line, not settings.
const NOT_SETTINGS: [&str; 5] = [
    "ROSTERD_CONFIG",
    "ROSTERD_LOG_FORMAT",
    "ROSTERD_TEST_CLOCK_OFFSET",
    "ROSTERD_TEST_CLOCK_SPEED",
    "ROSTERD_TEST_PANIC",
];

/// One layer, as figment takes it.
struct Layer(Dict);

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named("rosterd configuration")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.0.clone()))
    }
}

/// Reads and merges every layer. Errors are files that can't be read or aren't TOML, and variables that are no names.
pub(super) fn read(
    files: &[PathBuf],
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<(Layers, Dict), Vec<Diagnostic>> {
    let mut layers = Layers::default();
    let mut merged = Dict::new();
    let mut errors = Vec::new();
    for file in files {
        match read_file(file) {
            Ok((layer, table)) => {
                layers.files.push(layer);
                merged = merge(merged, table);
            }
            Err(error) => errors.push(error),
        }
    }
    let mut env: Vec<(String, String)> = env.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    env.sort();
    let holds_secret = variables_of_secrets(&merged);
    for (name, text) in env {
        if NOT_SETTINGS.contains(&name.as_str()) || holds_secret.contains(&name) {
            continue;
        }
        match path_of_variable(&name, &merged) {
            Some(path) => {
                merged = merge(merged, nested(&path.0, value_of_variable(&text)));
                layers.env.push(EnvLayer { name, text, path });
            }
            None => {
                let mut error = Diagnostic::file(format!("environment {name}"), "this does not name a setting");
                error.help = Some("names are joined by two underscores: ROSTERD_TARGETS__JUNO__RATE".into());
                errors.push(error);
            }
        }
    }
    if errors.is_empty() { Ok((layers, merged)) } else { Err(errors) }
}

fn read_file(file: &Path) -> Result<(FileLayer, Dict), Diagnostic> {
    let shown = file.display().to_string();
    let bytes = bounded_file::read(file).map_err(|e| {
        let mut error = Diagnostic::file(&shown, format!("the configuration file can't be read: {e}"));
        error.help = Some(match e.kind() {
            std::io::ErrorKind::FileTooLarge => {
                "check the path: a configuration of a thousand syncs has about 1 MB".into()
            }
            std::io::ErrorKind::NotFound => {
                "write one with `rosterd init --source FILE --target KIND`, see first what it does with `rosterd demo`, \
                 or name the file with --config FILE, or in the variable ROSTERD_CONFIG"
                    .into()
            }
            std::io::ErrorKind::PermissionDenied => {
                "run the command as somebody who may read it, the service's user for example: sudo -u rosterd".into()
            }
            _ => "name the file with --config FILE, or in the variable ROSTERD_CONFIG".into(),
        });
        error
    })?;
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        let mut error = Diagnostic::file(&shown, "the configuration file is UTF-16 text, and UTF-8 is wanted");
        error.help = Some("save it again with the encoding UTF-8; editors offer that under \"save as\"".into());
        return Err(error);
    }
    let text = String::from_utf8(bytes).map_err(|e| {
        let mut error = Diagnostic::file(&shown, "this line has a byte that is not UTF-8 text");
        error.line = Some(1 + e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count());
        error.help = Some("save the file again with the encoding UTF-8".into());
        error
    })?;
    let syntax_error = |message: &str, span: Option<std::ops::Range<usize>>| {
        let Explained { line, message, help } = syntax::explain(&text, message, span.as_ref());
        Diagnostic { line, help: Some(help), ..Diagnostic::file(&shown, format!("not valid TOML: {message}")) }
    };
    let document = Document::parse(text.clone()).map_err(|e| syntax_error(e.message(), e.span()))?;
    let table: toml::Table = toml::from_str(&text).map_err(|e| syntax_error(e.message(), e.span()))?;
    let path = std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf());
    Ok((FileLayer { shown, path, document }, dict(table)))
}

fn dict(table: toml::Table) -> Dict {
    table.into_iter().map(|(key, value)| (key, figment_value(value))).collect()
}

fn figment_value(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::from(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) => Value::from(number),
        toml::Value::Boolean(truth) => Value::from(truth),
        toml::Value::Datetime(time) => Value::from(time.to_string()),
        toml::Value::Array(items) => Value::from(items.into_iter().map(figment_value).collect::<Vec<_>>()),
        toml::Value::Table(table) => Value::Dict(Tag::Default, dict(table)),
    }
}

/// `base` with `layer` over it: tables are united, everything else is replaced.
fn merge(mut base: Dict, layer: Dict) -> Dict {
    displace(&mut base, &layer, "");
    let figment = Figment::new().merge(Layer(base)).merge(Layer(layer));
    figment.extract().expect("a table of our own making is a table")
}

/// Takes out of `base` what `layer` replaces although the names differ: `{ file }` over `{ env }` is another place for
/// the same secret, `{ column }` over `{ cel }` another rule for the same field, another `kind` another `auth`.
fn displace(base: &mut Dict, layer: &Dict, name: &str) {
    for alternatives in [["env", "file", "credential"], ["column", "cel", "value"]] {
        let chosen = |d: &Dict| alternatives.iter().any(|a| d.contains_key(*a));
        // `value` beside `name` is auth of kind header.
        if name != "auth" && chosen(base) && chosen(layer) {
            base.retain(|key, _| !alternatives.contains(&key.as_str()));
        }
    }
    if name == "auth" && layer.contains_key("kind") && layer.get("kind") != base.get("kind") {
        base.clear();
    }
    for (key, value) in layer {
        match (base.get_mut(key), value) {
            // A plain column name and the table form of a rule.
            (Some(Value::Dict(_, below)), Value::Dict(_, layer)) => displace(below, layer, key),
            _ => continue,
        }
    }
}

/// The environment variables that the files name as holding secrets; such a name may well begin with our prefix.
fn variables_of_secrets(table: &Dict) -> Vec<String> {
    let mut names = Vec::new();
    for (key, value) in table {
        match value {
            Value::String(_, name) if key == "env" => names.push(name.clone()),
            Value::Dict(_, below) => names.extend(variables_of_secrets(below)),
            _ => {}
        }
    }
    names
}

/// The key that a variable sets. A name that exists already is meant even where it is spelled with `-` or dots, which
/// no variable's name can have.
fn path_of_variable(name: &str, merged: &Dict) -> Option<KeyPath> {
    let folded = |key: &str| key.to_lowercase().replace(['-', '.'], "_");
    let mut path = KeyPath::default();
    let mut table = Some(merged);
    for segment in name.strip_prefix(PREFIX)?.split("__") {
        if segment.is_empty() {
            return None;
        }
        let segment = segment.to_lowercase();
        let known =
            table.and_then(|t| t.get_key_value(&segment).or_else(|| t.iter().find(|(key, _)| folded(key) == segment)));
        table = known.and_then(|(_, value)| value.as_dict());
        path = path.join(known.map_or(segment.as_str(), |(key, _)| key.as_str()));
    }
    Some(path)
}

/// A variable's value: `5`, `true`, `[…]` and `{…}` as in TOML, everything else text.
fn value_of_variable(text: &str) -> Value {
    let Ok(value) = text.parse::<Value>();
    match value {
        Value::Empty(..) => Value::from(text),
        value => value,
    }
}

fn nested(path: &[String], value: Value) -> Dict {
    let (last, above) = path.split_last().expect("a variable names at least one key");
    let innermost = Dict::from([(last.clone(), value)]);
    above.iter().rev().fold(innermost, |below, key| Dict::from([(key.clone(), Value::Dict(Tag::Default, below))]))
}

/// A table that stands at this key, as types. What doesn't fit is reported, and absent from the result.
pub(super) fn typed<T: DeserializeOwned + Default>(table: Dict, at: &KeyPath, report: &mut Report<'_>) -> T {
    let mut value = Value::Dict(Tag::Default, table);
    let mut as_text: Vec<KeyPath> = Vec::new();
    loop {
        let error = match value.deserialize::<T>() {
            Ok(typed) => return typed,
            Err(error) => error,
        };
        let path = KeyPath([at.0.as_slice(), &error.path].concat());
        // A password of digits in the environment looks like a number.
        if matches!(error.kind, Kind::InvalidType(..)) && !as_text.contains(&path) {
            as_text.push(path.clone());
            if let Some(text) = report.text_of_variable(&path) {
                replace(&mut value, &error.path, Some(Value::from(text)));
                continue;
            }
        }
        let (message, help) = describe(&error.kind, &path);
        report.error(&path, message, help);
        if let Some(meant) = meant(&error.kind, &path) {
            report.reported(&meant);
        }
        let removed = remove(&mut value, &error.path);
        report.reported(&path);
        report.reported(&KeyPath::of(&path.0[..at.0.len() + removed]));
        if removed == 0 {
            return T::default();
        }
    }
}

/// Takes out the value at this path; for an element of an array the whole array, since the others would move. Returns
/// how many segments the removed path has.
fn remove(value: &mut Value, path: &[String]) -> usize {
    for length in (1..=path.len()).rev() {
        if replace(value, &path[..length], None) {
            return length;
        }
    }
    0
}

/// Replaces or removes a key of a table; whether there was one.
fn replace(value: &mut Value, path: &[String], new: Option<Value>) -> bool {
    match (value, path) {
        (Value::Dict(_, table), [key]) => match new {
            Some(new) => table.insert(key.clone(), new).is_some(),
            None => table.remove(key).is_some(),
        },
        (Value::Dict(_, table), [key, below @ ..]) => table.get_mut(key).is_some_and(|v| replace(v, below, new)),
        (Value::Array(_, items), [index, below @ ..]) if !below.is_empty() => {
            let item = index.parse::<usize>().ok().and_then(|i| items.get_mut(i));
            item.is_some_and(|v| replace(v, below, new))
        }
        _ => false,
    }
}

/// The key that was probably meant by an unknown one; it is not also missing.
fn meant(kind: &Kind, path: &KeyPath) -> Option<KeyPath> {
    let Kind::UnknownField(name, known) = kind else { return None };
    let (_, above) = path.0.split_last()?;
    Some(KeyPath::of(above).join(nearest(name, known.iter().copied())?))
}

/// Whether a name begins with that of a section and goes on after one underscore.
fn is_joined_to(name: &str, section: &str) -> bool {
    name.strip_prefix(section).is_some_and(|rest| rest.starts_with('_'))
}

/// What serde has to say, in words for people.
fn describe(kind: &Kind, path: &KeyPath) -> (String, Option<String>) {
    let (message, help) = wording::of_kind(kind);
    let in_map = path.0.len() > 4 && path.0[0] == "syncs" && path.0[2] == "map";
    match kind {
        Kind::UnknownField(name, _) if in_map && name == "person" => {
            let help = "map a column that holds the id which that person has on the target, or leave the field out";
            ("this version does not look up people for a field".into(), Some(help.into()))
        }
        Kind::UnknownField(name, known) if in_map && nearest(name, known.iter().copied()).is_none() => {
            (message, Some(format!("a dotted path is quoted: {:?} = …", path.0[3..].join("."))))
        }
        // `ROSTERD_TARGETS_JUNO_RATE`: one underscore where two belong.
        Kind::UnknownField(name, known)
            if path.0.len() == 1 && known.iter().any(|section| is_joined_to(name, section)) =>
        {
            let help = "names are joined by two underscores in a variable: ROSTERD_TARGETS__JUNO__RATE";
            (message, Some(help.into()))
        }
        Kind::InvalidType(_, wanted) => (message, examples::of(path, wanted)),
        Kind::Message(text) => match text.split_once(HELP_MARK) {
            Some((message, help)) => (message.to_owned(), Some(help.to_owned())),
            None => (message, help),
        },
        _ => (message, help),
    }
}
