//! Kind union: several sources as one.

use std::sync::Arc;

use schemars::JsonSchema;

use super::super::super::raw::{RawUnion, fields};
use super::super::super::settings::{SourceKind, UnionSettings};
use super::super::Made;
use super::{Found, KindOfSource, Reading};

/// Several sources as one.
pub(super) const UNION: KindOfSource = KindOfSource {
    name: "union",
    keys: fields::<RawUnion>,
    must: &["members"],
    formats: &[],
    is_of_others: true,
    schema: RawUnion::json_schema,
    read: union,
};

fn union(reading: &mut Reading<'_, '_>) -> Option<Found> {
    let RawUnion { members } = reading.part();
    let (name, all) = (reading.name, reading.all);
    let report = &mut *reading.report;
    let path = reading.path.join("members");
    let members = report.required(&path, members, r#"write members = ["a", "b"]"#)?;
    if members.is_empty() {
        report.error(&path, "a union of nothing is empty", Some(r#"write members = ["a", "b"]"#.into()));
    }
    let mut found = Vec::new();
    for (i, member) in members.iter().enumerate() {
        let at = path.join(i.to_string());
        let others = all.names.iter().filter(|n| *n != name);
        if !report.known(&at, "other source", member, others) {
            continue;
        }
        if all.unions.contains(member) {
            report.error(&at, format!("{member:?} is a union itself"), Some("name its members here".into()));
        }
        if members[..i].contains(member) {
            report.error(&at, format!("{member:?} is named twice"), None);
        }
        if let Some(Made::Ready(source)) = all.made.get(member) {
            found.push(Arc::clone(source));
        }
    }
    if found.len() < members.len() || found.is_empty() {
        return None;
    }
    // What identifies people: the members' key columns, each once.
    let mut keys: Vec<&str> = Vec::new();
    for member in &found {
        if !keys.contains(&member.key.as_str()) {
            keys.push(&member.key);
        }
    }
    let key = keys.join("+");
    Some(Found { key, kind: SourceKind::Union(UnionSettings { members: found }) })
}
