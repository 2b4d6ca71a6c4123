//! Checks the parts of a definition against each other and makes the engine.
//!
//! Everything that could surprise at run time is refused here: placeholders without a value, pointers that are none,
//! rules that can never fit, fields that don't exist.

use std::collections::BTreeMap;

use serde_json::Value;

use super::definition::{FieldDef, IdType, OperationDef, OptionDef, OptionIs, PathStyle, SetStyle, Unstated};
use super::engine::{BodyCondition, Engine, FailureRule, FieldShape, StateRule};
use super::load::{DefinitionError, Mistakes, Parts, load, nearest};
use super::options;
use super::proof;
use super::read::typed;
use super::scim::Names;
use crate::domain::account::AccountState;
use crate::domain::catalogue::{Catalogue, Field};
use crate::domain::value::FieldType;

/// The kinds of authentication that a configuration knows.
pub(super) const AUTH_KINDS: [&str; 7] = ["bearer", "token", "header", "basic", "session", "oauth2", "none"];
/// The engine of this definition with these options.
pub(super) fn compile(text: &str, given: &toml::Table) -> Result<Engine, Vec<DefinitionError>> {
    let (mut parts, mut mistakes) = load(text)?;
    let values = options::resolve(&parts.options, given, &mut mistakes);
    conditions(&mut parts, &values, &mut mistakes);
    let catalogue = catalogue(&parts, &values, &mut mistakes);
    check_names(&parts, &catalogue, &mut mistakes);
    pointers::check(&parts, &mut mistakes);
    let calls = calls::compile(&parts, &values, &catalogue, &mut mistakes);
    let state = StateRule {
        field: parts.state.field.clone(),
        active: json(&parts.state.active),
        banned: json(&parts.state.banned),
        unstated: match parts.state.unstated {
            Unstated::Active => AccountState::Active,
            Unstated::Banned => AccountState::Banned,
        },
    };
    let failures = failures(&parts, &catalogue, &mut mistakes);
    let proofs = proof::compile(&parts.proofs, &values, &catalogue, &mut mistakes);
    if !mistakes.none() {
        return Err(mistakes.into_errors());
    }
    let condition = |rule: super::definition::BodyRule| BodyCondition {
        pointer: rule.pointer,
        is: rule.is.iter().map(json).collect(),
    };
    let names = (parts.account.paths == PathStyle::Scim).then(|| {
        Names::new(parts.fields.keys().map(String::as_str), pointers::read(&parts).map(|(_, pointer)| pointer))
    });
    let mut engine = Engine {
        names,
        kind: parts.kind,
        title: parts.title,
        auth_kinds: parts.auth.kinds,
        shapes: parts.fields.iter().map(|(name, def)| (name.clone(), shape(def, &values))).collect(),
        catalogue,
        lists: parts.lists,
        id_at: parts.account.id,
        id_is_address: parts.account.id_is_address,
        account_at: parts.account.at,
        paths: parts.account.paths,
        session: parts.session,
        discovery: parts.discovery,
        state,
        request: parts.request,
        calls,
        success: parts.success.body.into_iter().map(condition).collect(),
        errors: parts.errors,
        failures,
        proofs,
        path_options: path_options(&parts.operations, &values),
        judged_by: None,
    };
    engine.judged_by = engine.members_judged_by();
    Ok(engine)
}

/// The options that stand in the paths of requests.
fn path_options(
    operations: &BTreeMap<String, OperationDef>,
    values: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let in_a_path = |name: &String| operations.values().any(|def| def.path.contains(&format!("{{options.{name}}}")));
    values.iter().filter(|(name, _)| in_a_path(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Drops what an option rules out: operations whose `only_if` doesn't hold.
fn conditions(parts: &mut Parts, values: &BTreeMap<String, String>, mistakes: &mut Mistakes) {
    let declared = &parts.options;
    for (name, def) in &parts.operations {
        if let Some(condition) = &def.only_if {
            check_option(declared, &["operations", name, "only_if"], &condition.option, mistakes);
        }
    }
    for (name, def) in &parts.fields {
        if let Some(option) = &def.option {
            check_option(declared, &["fields", name, "option"], option, mistakes);
        }
        if let Some(condition) = &def.throwaway {
            check_option(declared, &["fields", name, "throwaway"], &condition.option, mistakes);
        }
    }
    // A condition on an option that isn't there is told above; that its operation is missing would not be true.
    let Parts { operations, options, .. } = parts;
    let kept = |condition: &OptionIs| holds(condition, values) || !options.contains_key(&condition.option);
    operations.retain(|_, def| def.only_if.as_ref().is_none_or(kept));
}

fn check_option(declared: &BTreeMap<String, OptionDef>, path: &[&str], name: &str, mistakes: &mut Mistakes) {
    if !declared.contains_key(name) {
        let help = nearest(name, declared.keys().map(String::as_str));
        mistakes.at(path, format!("there is no option {name}"), help);
    }
}

fn holds(condition: &OptionIs, values: &BTreeMap<String, String>) -> bool {
    let wanted = condition.is.as_str().map_or_else(|| condition.is.to_string(), str::to_string);
    values.get(&condition.option) == Some(&wanted)
}

fn catalogue(parts: &Parts, values: &BTreeMap<String, String>, mistakes: &mut Mistakes) -> Catalogue {
    let mut fields = BTreeMap::new();
    for (name, def) in &parts.fields {
        check_field(name, def, mistakes);
        let field = Field {
            kind: def.kind,
            writable: def.read_only.clone().map_or(Ok(()), Err),
            required: def.required && !def.option.as_ref().is_some_and(|option| values.contains_key(option)),
            unique: def.unique,
            allowed: def.allowed.iter().map(json).collect(),
            range: def.range,
            same_as: def.same_as.clone(),
            option: def.option.clone(),
            clearable: def.clearable,
            park: def.park.clone(),
            whole: def.whole,
        };
        fields.insert(name.clone(), field);
    }
    let id_field = parts.account.id_field.clone().filter(|_| parts.account.id_is_address);
    let scim = parts.account.paths == PathStyle::Scim;
    let numbered = parts.lists.iter().filter(|(_, list)| list.id_type == IdType::Integer);
    let numbered = numbered.map(|(name, _)| name.clone()).collect();
    Catalogue {
        fields,
        key_field: parts.account.key_field.clone(),
        id_field,
        label: parts.account.label.clone(),
        open: parts.account.open,
        numbered,
        listed_by: None,
        scim,
    }
}

fn check_field(name: &str, def: &FieldDef, mistakes: &mut Mistakes) {
    let mut wrong = |key: &str, message: String| mistakes.at(&["fields", name, key], message, None);
    let number = matches!(def.kind, FieldType::Integer | FieldType::Number);
    match def.range {
        Some(_) if !number => wrong("range", "only numbers have a range".into()),
        Some((least, most)) if least > most => wrong("range", format!("{least} is more than {most}")),
        _ => {}
    }
    for value in &def.allowed {
        if typed(def.kind, &json(value)).as_ref() != Some(&json(value)) {
            wrong("allowed", format!("{value} is not {}", def.kind.name()));
        }
    }
    if def.entry_id.is_some() && def.kind != FieldType::Set {
        wrong("entry_id", "only a set is made of the ids of objects".into());
    }
    if def.write.is_some() && def.entry_id.is_none() {
        wrong("write", "says how a set with entry_id is sent; there is no entry_id".into());
    }
    if def.whole && !name.ends_with(".*") {
        wrong("whole", "only an object's members, NAME.*, can be sent whole".into());
    }
    if def.required && def.read_only.is_some() {
        wrong("required", "a field that can't be written can't be required".into());
    }
    if def.read_only.as_ref().is_some_and(|why| why.trim().is_empty()) {
        wrong("read_only", "must say why the field can't be written".into());
    }
    let stars = name.matches('*').count();
    if name.is_empty() || stars > 1 || (stars == 1 && (!name.ends_with(".*") || name.matches('.').count() > 1)) {
        mistakes.at(&["fields", name], "a pattern is NAME.*", None);
    }
}

/// Every place that names a field names one that exists.
fn check_names(parts: &Parts, catalogue: &Catalogue, mistakes: &mut Mistakes) {
    let mut known = |path: &[&str], name: &str| {
        if catalogue.field(name).is_none() && !parts.broken_fields.iter().any(|broken| broken == name) {
            let help = nearest(name, catalogue.fields.keys().map(String::as_str));
            mistakes.at(path, format!("there is no field {name}"), help);
        }
    };
    known(&["state", "field"], &parts.state.field);
    if let Some(key) = &parts.account.key_field {
        known(&["account", "key_field"], key);
    }
    if let Some(field) = &parts.account.id_field {
        known(&["account", "id_field"], field);
    }
    parts.account.label.iter().for_each(|field| known(&["account", "label"], field));
    for (operation, def) in &parts.operations {
        def.writes.keys().for_each(|name| known(&["operations", operation, "writes"], name));
        def.names.keys().for_each(|name| known(&["operations", operation, "names"], name));
    }
    for (name, def) in &parts.fields {
        if let Some(same) = &def.same_as {
            known(&["fields", name, "same_as"], same);
        }
    }
    for name in parts.lists.keys() {
        known(&["lists", name], &format!("{name}.*"));
    }
    for name in &parts.operations.get("find").map(|find| find.fields.clone()).unwrap_or_default() {
        known(&["operations", "find", "fields"], name);
    }
    if let Some(find) = parts.operations.get("find") {
        let idle = |name: &&String| !find.fields.contains(*name) && catalogue.field(name).is_some();
        for name in find.names.keys().filter(idle) {
            let help = format!("add {name:?} to fields, or take it out of names");
            mistakes.at(&["operations", "find", "names"], format!("{name} is sought by nobody"), Some(help));
        }
    }
    for kind in parts.auth.kinds.iter().filter(|kind| !AUTH_KINDS.contains(&kind.as_str())) {
        let help = nearest(kind, AUTH_KINDS.into_iter());
        mistakes.at(&["auth", "kinds"], format!("unknown kind of authentication {kind:?}"), help);
    }
    if parts.auth.kinds.is_empty() {
        mistakes.at(&["auth", "kinds"], "names no kind of authentication", Some("\"none\" is one".into()));
    }
    let sessions = parts.auth.kinds.iter().any(|kind| kind == "session");
    if sessions != parts.session.is_some() {
        let help = "auth of kind session and [session], which says how it works, belong together".to_string();
        mistakes.at(&["session"], "one is there without the other", Some(help));
    }
    if let Some(session) = &parts.session
        && session.cookie.is_some() == session.header.is_some()
    {
        mistakes.at(&["session"], "exactly one of cookie and header carries the session", None);
    }
    if parts.session.as_ref().and_then(|session| session.lasts).is_some_and(|lasts| lasts.0.is_zero()) {
        let help = "a duration such as \"25m\"; leave it out where the vendor does not say".to_string();
        mistakes.at(&["session", "lasts"], "a session that lasts no time serves nobody", Some(help));
    }
    if parts.account.id_is_address && parts.account.id_field.is_none() {
        mistakes.at(&["account"], "id_field must name the field that the id is", None);
    }
    if catalogue.field(&parts.state.field).is_none() {
        return; // its type is not known; that it is missing has been said
    }
    let kind = catalogue.kind(&parts.state.field);
    let (active, banned) = (typed(kind, &json(&parts.state.active)), typed(kind, &json(&parts.state.banned)));
    if active.is_none() || banned.is_none() || active == banned {
        mistakes.at(&["state"], format!("active and banned must be two different values, each {}", kind.name()), None);
    }
}

fn failures(parts: &Parts, catalogue: &Catalogue, mistakes: &mut Mistakes) -> Vec<FailureRule> {
    let mut rules = Vec::new();
    for (index, def) in parts.failures.iter().enumerate() {
        let index = index.to_string();
        if def.status.is_empty() && def.pointer.is_none() && def.code.is_empty() && def.names.is_empty() {
            let help = "give status, pointer with is, code or names".to_string();
            mistakes.at(&["failures", &index], "fits every answer", Some(help));
        }
        if def.pointer.is_some() == def.is.is_empty() {
            mistakes.at(&["failures", &index, "is"], "pointer and is belong together", None);
        }
        for name in def.names.iter().filter(|name| catalogue.field(name).is_none()) {
            let help = nearest(name, catalogue.fields.keys().map(String::as_str));
            mistakes.at(&["failures", &index, "names"], format!("there is no field {name}"), help);
        }
        let body = def.pointer.clone().map(|pointer| BodyCondition { pointer, is: def.is.iter().map(json).collect() });
        let (status, code, names) = (def.status.clone(), def.code.clone(), def.names.clone());
        rules.push(FailureRule { status, body, code, names, means: def.means });
    }
    rules
}

fn shape(def: &FieldDef, options: &BTreeMap<String, String>) -> FieldShape {
    FieldShape {
        at: def.at.clone(),
        entry: def.entry_id.clone().map(|member| (member, def.write.unwrap_or(SetStyle::Objects))),
        whole: def.whole,
        given: def.option.as_ref().and_then(|option| typed(def.kind, &Value::from(options.get(option)?.clone()))),
        throwaway: def.throwaway.as_ref().is_some_and(|condition| holds(condition, options)),
    }
}

fn json(value: &toml::Value) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

mod calls;
mod pointers;
#[cfg(test)]
pub(super) use calls::METHODS;
pub(super) use calls::OPERATIONS;
#[cfg(test)]
mod tests;
