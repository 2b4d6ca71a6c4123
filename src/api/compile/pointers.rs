//! The JSON pointers of a definition, and the paths of its fields: those that are read, and those under which something is
//! written. What is written has no position in a list in it, since the body would get an object whose member is called
//! "0"; and no two things are written to one place.

use crate::api::definition::{BodyStyle, PathStyle};
use crate::api::load::{Mistakes, Parts};
use crate::api::scim::ScimPath;

/// Where a pointer stands in the definition.
type KeyPath<'p> = Vec<&'p str>;

/// What is read by pointers: each with its place.
pub(super) fn read<'p>(parts: &'p Parts) -> impl Iterator<Item = (KeyPath<'p>, &'p str)> {
    let account = std::iter::once((vec!["account", "id"], parts.account.id.as_str()));
    let at = parts.account.at.iter().map(|pointer| (vec!["account", "at"], pointer.as_str()));
    let code = parts.errors.code.iter().map(|pointer| (vec!["errors", "code"], pointer.as_str()));
    let fields = parts.errors.fields.iter().map(|pointer| (vec!["errors", "fields"], pointer.as_str()));
    let success = parts.success.body.iter().map(|rule| (vec!["success", "body"], rule.pointer.as_str()));
    let login = parts.session.iter().map(|session| (vec!["session", "login", "id"], session.login.id.as_str()));
    let patch = parts.discovery.iter().map(|discovery| (vec!["discovery", "patch"], discovery.patch.as_str()));
    let shown = parts.fields.iter().filter(|(_, def)| def.read_only.is_some());
    let shown = shown.filter_map(|(name, def)| Some((vec!["fields", name, "at"], def.at.as_deref()?)));
    let operations = parts.operations.iter().flat_map(|(name, def)| {
        let id_at = def.id_at.iter().map(move |pointer| (vec!["operations", name, "id_at"], pointer.as_str()));
        let paging = def.paging.iter().flat_map(|paging| paging.total.iter().chain(&paging.pointer));
        let paging = paging.map(move |pointer| (vec!["operations", name, "paging"], pointer.as_str()));
        let records = def.records.iter().flatten();
        let records = records.map(move |pointer| (vec!["operations", name, "records"], pointer.as_str()));
        let writes = def.writes.values().filter(move |_| name == "invited");
        let writes = writes.map(move |pointer| (vec!["operations", name, "writes"], pointer.as_str()));
        id_at.chain(paging).chain(records).chain(writes)
    });
    account.chain(at).chain(code).chain(fields).chain(success).chain(login).chain(patch).chain(shown).chain(operations)
}

/// What is written under pointers: each with its place.
fn written<'p>(parts: &'p Parts) -> impl Iterator<Item = (KeyPath<'p>, &'p str)> {
    let envelope = std::iter::once((vec!["request", "envelope"], parts.request.envelope.as_str()));
    let login = parts.session.iter().flat_map(|session| {
        let (user, password) = (session.login.username.as_str(), session.login.password.as_str());
        [(vec!["session", "login", "username"], user), (vec!["session", "login", "password"], password)]
    });
    let fields = parts.fields.iter().filter(|(name, def)| def.read_only.is_none() || **name == parts.state.field);
    let fields = fields.filter_map(|(name, def)| Some((vec!["fields", name, "at"], def.at.as_deref()?)));
    let operations = parts.operations.iter().flat_map(|(name, def)| {
        let constants =
            def.constants.keys().map(move |pointer| (vec!["operations", name, "constants"], pointer.as_str()));
        let writes = def.writes.values().filter(move |_| name != "invited");
        constants.chain(writes.map(move |pointer| (vec!["operations", name, "writes"], pointer.as_str())))
    });
    envelope.chain(login).chain(fields).chain(operations)
}

/// Judges all of them.
pub(super) fn check(parts: &Parts, mistakes: &mut Mistakes) {
    for (place, pointer) in read(parts).chain(written(parts)) {
        check_form(&place, pointer, mistakes);
    }
    for (index, rule) in parts.failures.iter().enumerate() {
        let index = index.to_string();
        rule.pointer.iter().for_each(|pointer| check_form(&["failures", &index, "pointer"], pointer, mistakes));
    }
    for (place, pointer) in written(parts) {
        check_written(&place, pointer, mistakes);
    }
    check_fields(parts, mistakes);
    check_bodies(parts, mistakes);
    if let Some(name) = &parts.request.idempotency_header
        && (name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
    {
        mistakes.at(&["request", "idempotency_header"], format!("{name:?} is not the name of a header"), None);
    }
    let session = parts.session.iter().flat_map(|session| {
        let logout = session.logout.iter().map(|logout| (["session", "logout", "path"], &logout.path));
        std::iter::once((["session", "login", "path"], &session.login.path)).chain(logout)
    });
    let session = session.map(|(place, path)| (place.to_vec(), path));
    let discovery = parts.discovery.iter().map(|discovery| (vec!["discovery", "path"], &discovery.path));
    for (place, path) in session.chain(discovery) {
        if !path.starts_with('/') || path.contains(['{', '}', '#']) {
            let message = format!("{path:?} must begin with / and have neither fragment nor placeholders");
            mistakes.at(&place, message, None);
        }
    }
}

/// RFC 6901, and nothing that is only there by mistake.
fn check_form(place: &[&str], pointer: &str, mistakes: &mut Mistakes) {
    if pointer.is_empty() {
        return;
    }
    let parts: Vec<&str> = pointer.split('/').filter(|part| !part.is_empty()).collect();
    let help = Some(format!("write \"/{}\"", parts.join("/")));
    let tilde = |part: &str| part.split('~').skip(1).any(|after| !after.starts_with(['0', '1']));
    if !pointer.starts_with('/') {
        mistakes.at(place, format!("{pointer:?} is not a JSON pointer"), help);
    } else if parts.len() != pointer.matches('/').count() {
        mistakes.at(place, format!("{pointer:?} has a part without a name"), help);
    } else if pointer.split('/').any(tilde) {
        let help = "in a pointer, ~ is written ~0 and / within a name ~1".to_string();
        mistakes.at(place, format!("{pointer:?} is not a JSON pointer"), Some(help));
    }
}

fn is_index(part: &str) -> bool {
    part == "-" || (!part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

fn check_written(place: &[&str], pointer: &str, mistakes: &mut Mistakes) {
    let Some(index) = pointer.split('/').find(|part| is_index(part)) else { return };
    let list = pointer.split('/').take_while(|part| !is_index(part)).collect::<Vec<_>>().join("/");
    let message = format!(
        "{pointer:?} leads into a list by position, which can't be written: an object with a member {index:?} would be sent"
    );
    let help = match place.first() {
        Some(&"fields") => format!(
            "write the list whole (at = {list:?}, type = \"list\"), its entries by id ([lists.NAME]), or give read_only: \
             what is only read may have a position"
        ),
        _ => "only what is read may have a position".to_string(),
    };
    mistakes.at(place, message, Some(help));
}

/// The names of fields as paths, and that no two are written to one place.
fn check_fields(parts: &Parts, mistakes: &mut Mistakes) {
    let scim = parts.account.paths == PathStyle::Scim;
    let mut taken: Vec<(String, &str)> = Vec::new();
    for (name, def) in &parts.fields {
        if scim && def.at.is_none() {
            match ScimPath::parse(name) {
                Err(wrong) => {
                    mistakes.at(&["fields", name], format!("no attribute path: {}", wrong.message), wrong.help)
                }
                Ok(path) if path.is_element() => {
                    let help = Some(format!("did you mean `{name}.value`?"));
                    mistakes.at(&["fields", name], "names an element, and none of its values", help);
                }
                Ok(_) => {}
            }
            continue;
        }
        if def.read_only.is_some() && *name != parts.state.field {
            continue;
        }
        let own = name.strip_suffix(".*").unwrap_or(name);
        let pointer = def.at.clone().unwrap_or_else(|| format!("/{}", own.replace('.', "/")));
        if def.at.as_deref() == Some("") {
            let help = Some(format!("write \"/{own}\""));
            mistakes.at(
                &["fields", name, "at"],
                "is the whole account, in whose place the field would be written",
                help,
            );
            continue;
        }
        let inner = pointer.rsplit_once('/').map_or("", |(before, _)| before);
        if def.at.is_none() && inner.split('/').any(is_index) {
            check_written(&["fields", name], &pointer, mistakes);
        }
        taken.push((pointer, name));
    }
    taken.sort();
    for (n, (pointer, name)) in taken.iter().enumerate() {
        let before = taken[..n].iter().find(|(other, of)| within(pointer, other) && !same_thing(parts, name, of));
        if let Some((other, of)) = before {
            let what = if other == pointer { "the same place as" } else { "within what is written for" };
            let help =
                "give one of them another `at`, make it read_only, or say same_as where they are one thing".to_string();
            mistakes.at(&["fields", name], format!("is written to {pointer:?}, {what} {of}"), Some(help));
        }
    }
}

/// Whether a pointer is at another or below it.
fn within(pointer: &str, other: &str) -> bool {
    pointer.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn same_thing(parts: &Parts, a: &str, b: &str) -> bool {
    let of = |a: &str, b: &str| parts.fields.get(a).and_then(|def| def.same_as.as_deref()) == Some(b);
    of(a, b) || of(b, a)
}

/// What else goes into a body hides nothing of the account, and the parts of an invitation nothing of each other.
fn check_bodies(parts: &Parts, mistakes: &mut Mistakes) {
    let envelope = parts.request.envelope.as_str();
    for (name, def) in &parts.operations {
        let sends = matches!(name.as_str(), "create" | "update" | "replace" | "ban" | "reinstate")
            && def.body != Some(BodyStyle::None);
        for pointer in def.constants.keys().filter(|pointer| sends && within(envelope, pointer)) {
            let message = format!("{pointer:?} would take the place of the whole account");
            let help = Some(format!("constants stand beside what is sent under {envelope:?}, or within it"));
            mistakes.at(&["operations", name, "constants"], message, help);
        }
        let mut writes: Vec<&String> = def.writes.values().collect();
        writes.sort();
        for pair in writes.windows(2).filter(|pair| name == "invite" && within(pair[1], pair[0])) {
            let message = format!("{:?} is written within {:?}", pair[1], pair[0]);
            mistakes.at(&["operations", name, "writes"], message, Some("give each a place of its own".into()));
        }
    }
}
