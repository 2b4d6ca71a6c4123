//! From a definition's text to its parts, with every mistake at once: each with the key, the line and what to do.
//!
//! Each section, field and operation is read on its own, so that a mistake in one hides none in another.

use std::collections::BTreeMap;

use figment::error::Kind;
use figment::value::Value;
use serde::de::DeserializeOwned;
use toml_edit::{Document, TableLike};

use super::definition::{
    AccountDef, AuthDef, DiscoveryDef, ErrorsDef, FORMAT, FailureDef, FieldDef, ListDef, OperationDef, OptionDef,
    ProofDef, RequestDef, SessionDef, StateDef, SuccessDef,
};
use crate::domain::resource::Resource;
use crate::domain::wording;

/// A mistake in a definition, or in the options that a target gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionError {
    /// The key, dotted: `fields.email.type`; `options.page_size` for an option of the target.
    pub key: String,
    /// Its line in the definition, from 1; none for options, which stand elsewhere.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl std::fmt::Display for DefinitionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}, {}: {}", self.key, self.message),
            None => write!(f, "{}: {}", self.key, self.message),
        }
    }
}

impl std::error::Error for DefinitionError {}

/// A definition's parts, as written.
pub(super) struct Parts {
    pub kind: String,
    pub title: String,
    pub auth: AuthDef,
    pub session: Option<SessionDef>,
    pub discovery: Option<DiscoveryDef>,
    pub options: BTreeMap<String, OptionDef>,
    pub account: AccountDef,
    pub state: StateDef,
    pub request: RequestDef,
    pub operations: BTreeMap<String, OperationDef>,
    pub success: SuccessDef,
    pub errors: ErrorsDef,
    pub failures: Vec<FailureDef>,
    pub proofs: Vec<ProofDef>,
    pub fields: BTreeMap<String, FieldDef>,
    /// Fields whose own entry is wrong: they are there, and who names them is not at fault.
    pub broken_fields: Vec<String>,
    /// Operations whose own entry is wrong: they are not also missing.
    pub broken_operations: Vec<String>,
    pub lists: BTreeMap<String, ListDef>,
}

/// Mistakes found so far, and the text in which to find their lines.
pub(super) struct Mistakes<'t> {
    text: &'t str,
    document: Option<Document<&'t str>>,
    /// The sections of the users stand in `[resources.users]`, not at the top.
    in_resources: bool,
    found: Vec<DefinitionError>,
}

impl<'t> Mistakes<'t> {
    /// Notes a mistake at the key that these segments lead to, counted from the top of the file or, for what belongs to a
    /// resource, from its table.
    pub fn at(&mut self, path: &[&str], message: impl Into<String>, help: Option<String>) {
        let of_resource = self.in_resources && path.first().is_some_and(|first| RESOURCE_SECTIONS.contains(first));
        let table: &[&str] = if of_resource { &["resources", Resource::Users.as_str()] } else { &[] };
        let path: Vec<&str> = table.iter().chain(path).copied().collect();
        let line = self.line(&path);
        let key = path.iter().map(|s| quoted(s)).collect::<Vec<_>>().join(".");
        self.found.push(DefinitionError { key, line, message: message.into(), help });
    }

    /// Notes a mistake in what the target's own configuration gives.
    pub fn option(&mut self, name: &str, message: impl Into<String>, help: Option<String>) {
        let key = format!("options.{name}");
        self.found.push(DefinitionError { key, line: None, message: message.into(), help });
    }

    pub fn none(&self) -> bool {
        self.found.is_empty()
    }

    /// The mistakes, in the order of lines.
    pub fn into_errors(mut self) -> Vec<DefinitionError> {
        self.found.sort_by_key(|error| error.line.unwrap_or(usize::MAX));
        self.found
    }

    /// The line of the longest beginning of this path that is in the text.
    fn line(&self, path: &[&str]) -> Option<usize> {
        let document = self.document.as_ref()?;
        let mut table: &dyn TableLike = document.as_table();
        let mut offset = None;
        let mut segments = path.iter();
        while let Some(segment) = segments.next() {
            let Some((key, item)) = table.get_key_value(segment) else { break };
            offset = key.span().or_else(|| item.span()).map(|span| span.start).or(offset);
            if let Some(tables) = item.as_array_of_tables() {
                let Some(entry) = segments.next().and_then(|n| n.parse().ok()).and_then(|n: usize| tables.get(n))
                else {
                    break;
                };
                offset = entry.span().map(|span| span.start).or(offset);
                table = entry;
            } else if let Some(inner) = item.as_table_like() {
                table = inner;
            } else {
                break;
            }
        }
        offset.map(|offset| line_at(self.text, offset))
    }
}

/// Reads the text. `Err` holds the mistakes that leave nothing to check further.
pub(super) fn load(text: &str) -> Result<(Parts, Mistakes<'_>), Vec<DefinitionError>> {
    let mut root: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map(|span| line_at(text, span.start));
        let message = format!("not valid TOML: {}", error.message());
        vec![DefinitionError { key: String::new(), line, message, help: None }]
    })?;
    let document = Document::parse(text).ok();
    let mut mistakes = Mistakes { text, document, in_resources: false, found: Vec::new() };
    check_format(&mut root, &mut mistakes);
    bring_up_users(&mut root, &mut mistakes);
    let kind = section::<String>(&mut root, "kind", &mut mistakes);
    let title = section::<String>(&mut root, "title", &mut mistakes);
    let auth = section(&mut root, "auth", &mut mistakes);
    let account = section(&mut root, "account", &mut mistakes);
    let state = section(&mut root, "state", &mut mistakes);
    let session = root.remove("session").and_then(|value| read(value, &["session"], &mut mistakes));
    let discovery = root.remove("discovery").and_then(|value| read(value, &["discovery"], &mut mistakes));
    let request = optional(&mut root, "request", &mut mistakes);
    let success = optional(&mut root, "success", &mut mistakes);
    let errors = optional(&mut root, "errors", &mut mistakes);
    let options = entries(&mut root, "options", &mut mistakes);
    let names = |root: &toml::Table, section: &str| -> Vec<String> {
        root.get(section).and_then(toml::Value::as_table).map(|t| t.keys().cloned().collect()).unwrap_or_default()
    };
    let (operation_names, field_names) = (names(&root, "operations"), names(&root, "fields"));
    let operations: BTreeMap<String, OperationDef> = entries(&mut root, "operations", &mut mistakes);
    let broken_operations = operation_names.into_iter().filter(|name| !operations.contains_key(name)).collect();
    let fields: BTreeMap<String, FieldDef> = entries(&mut root, "fields", &mut mistakes);
    let broken_fields = field_names.into_iter().filter(|name| !fields.contains_key(name)).collect();
    let lists = entries(&mut root, "lists", &mut mistakes);
    let failures = several(&mut root, "failures", &mut mistakes);
    let proofs = several(&mut root, "proofs", &mut mistakes);
    for unknown in root.keys() {
        let known = SECTIONS.iter().chain(&RESOURCE_SECTIONS).chain(&["resources"]).copied();
        mistakes.at(&[unknown], "unknown section", nearest(unknown, known));
    }
    match (kind, title, auth, account, state) {
        (Some(kind), Some(title), Some(auth), Some(account), Some(state)) => Ok((
            Parts {
                kind,
                title,
                auth,
                session,
                discovery,
                options,
                account,
                state,
                request,
                operations,
                success,
                errors,
                failures,
                proofs,
                fields,
                broken_fields,
                broken_operations,
                lists,
            },
            mistakes,
        )),
        _ => Err(mistakes.into_errors()),
    }
}

/// What stands at the top of a definition, beside `resources`.
pub(super) const SECTIONS: [&str; 11] =
    ["format", "kind", "title", "auth", "session", "discovery", "options", "request", "success", "errors", "failures"];

/// What stands in the table of a resource, `[resources.users]`. In files of before there were resources, these stand at
/// the top.
pub(super) const RESOURCE_SECTIONS: [&str; 6] = ["account", "state", "operations", "proofs", "fields", "lists"];

/// Puts the sections of `[resources.users]` where files of before have them.
fn bring_up_users(root: &mut toml::Table, mistakes: &mut Mistakes) {
    const USERS: &str = Resource::Users.as_str();
    let Some(resources) = root.remove("resources") else { return };
    let toml::Value::Table(mut resources) = resources else {
        mistakes.at(&["resources"], format!("must be a table, [resources.{USERS}]"), None);
        return;
    };
    // What is told of a section is told of the one in here.
    for section in RESOURCE_SECTIONS.iter().filter(|section| root.remove(**section).is_some()) {
        let help = format!("write it there: [resources.{USERS}.{section}…]");
        mistakes.at(&[section], format!("stands at the top, and others stand in [resources.{USERS}]"), Some(help));
    }
    mistakes.in_resources = true;
    match resources.remove(USERS) {
        Some(toml::Value::Table(users)) => {
            for (section, value) in users {
                if RESOURCE_SECTIONS.contains(&section.as_str()) {
                    root.insert(section, value);
                } else {
                    let known = SECTIONS.contains(&section.as_str());
                    let help = match known {
                        true => Some(format!("it holds for all resources: write [{section}], at the top")),
                        false => nearest(&section, RESOURCE_SECTIONS.iter().copied()),
                    };
                    mistakes.at(&["resources", USERS, &section], "unknown section", help);
                }
            }
        }
        Some(_) => mistakes.at(&["resources", USERS], "must be a table", None),
        None => mistakes.at(&["resources", USERS], "is missing", None),
    }
    for unknown in resources.keys() {
        let help = nearest(unknown, Resource::ALL.iter().map(|resource| resource.as_str()));
        mistakes.at(&["resources", unknown], "unknown resource", help);
    }
}

fn check_format(root: &mut toml::Table, mistakes: &mut Mistakes) {
    match section::<u32>(root, "format", mistakes) {
        None | Some(FORMAT) => {}
        Some(other) => {
            let help = format!("this program reads format {FORMAT}");
            mistakes.at(&["format"], format!("unknown format {other}"), Some(help));
        }
    }
}

/// A section that must be there.
fn section<T: DeserializeOwned>(root: &mut toml::Table, name: &str, mistakes: &mut Mistakes) -> Option<T> {
    match root.remove(name) {
        Some(value) => read(value, &[name], mistakes),
        None => {
            mistakes.at(&[name], "is missing", None);
            None
        }
    }
}

/// A section that may be left out.
fn optional<T: DeserializeOwned + Default>(root: &mut toml::Table, name: &str, mistakes: &mut Mistakes) -> T {
    root.remove(name).and_then(|value| read(value, &[name], mistakes)).unwrap_or_default()
}

/// A section of named tables, each read on its own.
fn entries<T: DeserializeOwned>(root: &mut toml::Table, name: &str, mistakes: &mut Mistakes) -> BTreeMap<String, T> {
    match root.remove(name) {
        None => BTreeMap::new(),
        Some(toml::Value::Table(table)) => table
            .into_iter()
            .filter_map(|(key, value)| read(value, &[name, &key], mistakes).map(|entry| (key, entry)))
            .collect(),
        Some(_) => {
            mistakes.at(&[name], format!("must be tables, [{name}.NAME]"), None);
            BTreeMap::new()
        }
    }
}

/// A list of tables, each read on its own.
fn several<T: DeserializeOwned>(root: &mut toml::Table, name: &str, mistakes: &mut Mistakes) -> Vec<T> {
    match root.remove(name) {
        None => Vec::new(),
        Some(toml::Value::Array(items)) => items
            .into_iter()
            .enumerate()
            .filter_map(|(index, item)| read(item, &[name, &index.to_string()], mistakes))
            .collect(),
        Some(_) => {
            mistakes.at(&[name], format!("must be a list of tables, [[{name}]]"), None);
            Vec::new()
        }
    }
}

/// Reads one value. serde stops at the first mistake; so that people see all of them, what doesn't fit is told, taken
/// out, and the rest is read again. What had mistakes is not used.
fn read<T: DeserializeOwned>(value: toml::Value, path: &[&str], mistakes: &mut Mistakes) -> Option<T> {
    let mut value = match Value::serialize(&value) {
        Ok(value) => value,
        Err(error) => {
            mistakes.at(path, error.to_string(), None);
            return None;
        }
    };
    let mut taken: Vec<Vec<String>> = Vec::new();
    loop {
        let error = match value.deserialize::<T>() {
            Ok(read) => return taken.is_empty().then_some(read),
            Err(error) => error,
        };
        let missing = match &error.kind {
            Kind::MissingField(name) => Some([error.path.as_slice(), &[name.to_string()]].concat()),
            _ => None,
        };
        // What was taken out for a mistake is not also missing.
        if missing.is_none_or(|missing| !taken.contains(&missing)) {
            let (message, help) = wording::of_kind(&error.kind);
            let inner = error.path.iter().map(String::as_str);
            mistakes.at(&path.iter().copied().chain(inner).collect::<Vec<_>>(), message, help);
        }
        if !remove(&mut value, &error.path) {
            return None;
        }
        taken.push(error.path);
    }
}

/// Takes out the value at this path: the whole list where it is in one, since the others would move.
fn remove(value: &mut Value, path: &[String]) -> bool {
    let Value::Dict(_, table) = value else { return false };
    let Some((first, rest)) = path.split_first() else { return false };
    let deeper = !rest.is_empty() && table.get_mut(first).is_some_and(|inner| remove(inner, rest));
    deeper || table.remove(first).is_some()
}

/// The most names that are listed to choose from; of more, nobody reads on.
const MOST_LISTED: usize = 20;

/// A remedy that names the most similar of the valid names, or all of them when none is similar.
pub(super) fn nearest<'a>(wrong: &str, valid: impl Iterator<Item = &'a str>) -> Option<String> {
    let valid: Vec<&str> = valid.collect();
    match crate::domain::nearest::nearest(wrong, valid.iter().copied()) {
        Some(name) => Some(format!("did you mean `{name}`?")),
        None if valid.is_empty() || valid.len() > MOST_LISTED => None,
        None => Some(format!("one of {}", valid.join(", "))),
    }
}

/// A segment of a key as TOML writes it.
fn quoted(segment: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if segment.chars().all(bare) { segment.to_string() } else { format!("{segment:?}") }
}

fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::compile::compile;

    const JUNO: &str = include_str!("builtin/juno.toml");

    fn errors(text: &str) -> Vec<DefinitionError> {
        compile(text, &toml::Table::new()).err().unwrap_or_default()
    }

    #[test]
    fn users_stand_in_their_table_or_at_the_top_and_not_in_both() {
        let old = JUNO.replace("[resources.users.", "[");
        assert_eq!((errors(JUNO), errors(&old)), (vec![], vec![]));
        let list = "[resources.users.operations.list]";
        // What is replaced, by what, the key of the error at that line, and a part of its message or help.
        let cases = [
            ("key_field =", "keyfield =", "resources.users.account.keyfield", "did you mean `key_field`?"),
            ("type = \"text\"", "type = \"txet\"", "resources.users.fields.client_id.type", "did you mean `text`?"),
            (list, "[operations.list]", "operations", "write it there: [resources.users.operations…]"),
            (list, "[resources.users.auth]", "resources.users.auth", "write [auth], at the top"),
            (list, "[resources.users.operation.list]", "resources.users.operation", "did you mean `operations`?"),
            (list, "[resources.groups.operations.list]", "resources.groups", "one of users"),
            (list, "[resource.users.operations.list]", "resource", "did you mean `resources`?"),
        ];
        for (from, to, key, said) in cases {
            // An option has a type too.
            let at = JUNO.find(&format!("\n{from}")).expect(from) + 1;
            let wrong = format!("{}{to}{}", &JUNO[..at], &JUNO[at + from.len()..]);
            let line = Some(line_at(JUNO, at));
            let told = |e: &DefinitionError| format!("{} {}", e.message, e.help.as_deref().unwrap_or_default());
            let errors = errors(&wrong);
            let found = errors.iter().any(|e| e.key == key && e.line == line && told(e).contains(said));
            assert!(found, "{to}: {errors:#?}");
        }
        let wrong = old.replacen("key_field =", "keyfield =", 1);
        assert!(errors(&wrong).iter().any(|e| e.key == "account.keyfield"), "keys are told as they are written");
        let top = JUNO.split("[resources").next().expect("a top");
        for (text, key) in [
            (format!("resources = 1\n{top}"), "resources"),
            (format!("{top}[resources]\nusers = 1\n"), "resources.users"),
        ] {
            assert!(errors(&text).iter().any(|e| e.key == key && e.message.contains("must be a table")), "{key}");
        }
    }
}
