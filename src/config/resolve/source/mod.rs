//! `[sources.NAME]`: its kind is read first, then what that kind takes, what its format takes, and what every source takes.
//!
//! [`KINDS`] and [`FORMATS`] are all that knows which key belongs where: what is refused, what is proposed instead,
//! and the schema are made from them. A kind is a struct of raw keys, a module here that resolves it, and a line in the list.

mod file;
mod format;
mod http;
mod pagination;
mod union;

use std::collections::BTreeMap;
use std::sync::Arc;

use figment::value::Dict;
use schemars::{Schema, SchemaGenerator};
use serde::de::DeserializeOwned;

use super::super::diagnostic::did_you_mean;
use super::super::layers;
use super::super::locate::KeyPath;
use super::super::raw::{RawFormat, RawKind, RawOnIncomplete, RawRows, RawSource, RawTrust, fields};
use super::super::settings::{OnIncomplete, RowsPerPerson, SourceKind, SourceSettings, TrustSettings};
use super::{Made, Report};
use crate::domain::limits::Limit;
use crate::domain::nearest::nearest;
pub(in crate::config) use format::{FORMATS, FormatOfSource};
pub(in crate::config) use http::AUTH_KINDS;
pub(in crate::config) use pagination::PAGINATION;

/// The kinds of source.
pub(in crate::config) static KINDS: [KindOfSource; 4] = [file::CSV, file::FILE, http::HTTP, union::UNION];

/// A kind of source, as it is configured.
pub(in crate::config) struct KindOfSource {
    /// Its name.
    pub name: &'static str,
    /// What it takes besides what every source and its format take.
    keys: fn() -> &'static [&'static str],
    /// What must be there.
    pub must: &'static [&'static str],
    /// What it can be written in.
    pub formats: &'static [RawFormat],
    /// Whether it is made of other sources, and has no key of its own.
    pub is_of_others: bool,
    /// What it takes, as a schema.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Makes of it what is used.
    read: fn(&mut Reading<'_, '_>) -> Option<Found>,
}

impl KindOfSource {
    /// Whether it takes this key, written so; the keys of a document are refused by the format itself.
    fn takes(&self, key: &str, is_csv: bool) -> bool {
        let is_csv = is_csv || self.formats == [RawFormat::Csv];
        let of_format = |known: &FormatOfSource| {
            self.formats.contains(&known.format)
                && (known.format != RawFormat::Csv || is_csv)
                && (known.keys)().contains(&key)
        };
        fields::<RawKind>().contains(&key)
            || fields::<RawTrust>().contains(&key)
            || (self.keys)().contains(&key)
            || FORMATS.iter().any(of_format)
    }
}

/// Whether this kind of source takes this key; `is_csv`: it is written as delimited text.
pub(in crate::config) fn belongs(kind: &str, key: &str, is_csv: bool) -> bool {
    KINDS.iter().any(|known| known.name == kind && known.takes(key, is_csv))
}

/// Whether sources of this kind are made of others, which come before them.
pub(super) fn is_of_others(kind: Option<&str>) -> bool {
    KINDS.iter().any(|known| known.is_of_others && Some(known.name) == kind)
}

/// Every key that some source takes.
fn all_keys() -> Vec<&'static str> {
    let of_kinds = KINDS.iter().flat_map(|kind| (kind.keys)());
    let of_formats = FORMATS.iter().flat_map(|format| (format.keys)());
    let of_all = fields::<RawKind>().iter().chain(fields::<RawTrust>());
    of_all.chain(of_kinds).chain(of_formats).copied().collect()
}

/// To what a key belongs.
fn owner(key: &str) -> String {
    if let Some(FormatOfSource { format, name, .. }) = FORMATS.iter().find(|known| (known.keys)().contains(&key)) {
        let alone = KINDS.iter().find(|kind| kind.formats == [*format]);
        let any: Vec<&str> = KINDS.iter().filter(|kind| kind.formats.len() > 1).map(|kind| kind.name).collect();
        let any = format!("{} with format = {name:?}", any.join(" and "));
        return alone.map_or(any.clone(), |alone| format!("kind = {:?}, or to {any}", alone.name));
    }
    let kinds = KINDS.iter().filter(|kind| (kind.keys)().contains(&key));
    let kinds: Vec<String> = kinds.map(|kind| format!("{:?}", kind.name)).collect();
    format!("kind = {}", kinds.join(" or "))
}

/// What a union can refer to.
pub(super) struct Sources<'a> {
    /// Every source.
    pub names: &'a [String],
    /// Those that are unions.
    pub unions: &'a [String],
    /// Those that are not, resolved.
    pub made: &'a BTreeMap<String, Made<SourceSettings>>,
}

/// One table being read.
struct Reading<'r, 'a> {
    report: &'r mut Report<'a>,
    path: &'r KeyPath,
    name: &'r str,
    /// What of it was not read yet.
    table: Dict,
    all: &'r Sources<'r>,
}

/// What a kind makes of its own.
struct Found {
    key: String,
    kind: SourceKind,
}

impl Reading<'_, '_> {
    /// Takes out the keys that belong to `T`, and reads them.
    fn part<T: DeserializeOwned + Default>(&mut self) -> T {
        let part = fields::<T>().iter().filter_map(|key| self.table.remove_entry(*key)).collect();
        layers::typed(part, self.path, self.report)
    }

    /// Takes out what this kind doesn't take, and says so; of no kind: what none takes.
    fn refuse_others(&mut self, kind: Option<&KindOfSource>) {
        let is_csv = self.table.get("format").and_then(|format| format.as_str()) == Some("csv");
        let known = all_keys();
        let taken = |key: &&str| kind.is_none_or(|kind| kind.takes(key, is_csv));
        let taken: Vec<&str> = known.iter().copied().filter(taken).collect();
        let others: Vec<String> = self.table.keys().filter(|key| !taken.contains(&key.as_str())).cloned().collect();
        for key in others {
            self.table.remove(&key);
            let at = self.path.join(&key);
            if let Some(kind) = kind.filter(|_| known.contains(&key.as_str())) {
                let owner = match kind.is_of_others && key == "key" {
                    true => "the members of a union, each with its own".into(),
                    false => owner(&key),
                };
                let message = format!("`{key}` does not belong to a source of kind {:?}", kind.name);
                self.report.error(&at, message, Some(format!("it belongs to {owner}")));
                continue;
            }
            let help = match (nearest(&key, taken.iter().copied()), nearest(&key, known.iter().copied())) {
                (Some(near), _) => {
                    self.report.reported(&self.path.join(near));
                    format!("did you mean `{near}`?")
                }
                (None, Some(near)) => format!("did you mean `{near}`? It belongs to {}", owner(near)),
                (None, None) => format!("one of {}", taken.join(", ")),
            };
            self.report.error(&at, format!("unknown key `{key}`"), Some(help));
        }
    }

    /// The column that is the key, which must be there.
    fn key(&mut self, raw: Option<String>) -> Option<String> {
        let path = self.path.join("key");
        let help = "name the column that never changes for a person, e.g. key = \"employee_id\"";
        let key = self.report.required(&path, raw, help)?;
        if key.trim().is_empty() {
            self.report.error(&path, "the name of a column is empty", Some(help.into()));
            return None;
        }
        Some(key)
    }
}

/// Resolves one source; `all` is what a union can have as members.
pub(super) fn resolve(
    report: &mut Report<'_>,
    path: &KeyPath,
    name: &str,
    raw: RawSource,
    all: &Sources<'_>,
) -> Made<SourceSettings> {
    let mut reading = Reading { report, path, name, table: raw.0, all };
    let typed = reading.part::<RawKind>().kind;
    let kind = typed.as_deref().and_then(|typed| KINDS.iter().find(|kind| kind.name == typed));
    reading.refuse_others(kind);
    let at = path.join("kind");
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    let help = format!("write kind = {:?} (or {})", names[0], names[1..].join(", "));
    let Some(typed) = reading.report.required(&at, typed, &help) else { return Made::Broken };
    let Some(kind) = kind else {
        let message = format!("{typed:?} is not a kind of source");
        reading.report.error(&at, message, did_you_mean(&typed, KINDS.iter().map(|kind| kind.name)));
        return Made::Broken;
    };
    let trust: RawTrust = reading.part();
    let found = (kind.read)(&mut reading);
    let gate = gate(reading.report, path, &trust);
    let required = required(reading.report, path, trust.required);
    let Some(Found { key, kind }) = found else { return Made::Broken };
    let many =
        matches!(trust.rows, Some(RawRows::Many)) || kind.members().iter().any(|m| m.rows == RowsPerPerson::Many);
    let rows = if many { RowsPerPerson::Many } else { RowsPerPerson::One };
    let (name, also_key) = (name.to_owned(), Vec::new());
    Made::Ready(Arc::new(SourceSettings { name, key, also_key, required, rows, gate, kind }))
}

fn required(report: &mut Report<'_>, path: &KeyPath, raw: Option<Vec<String>>) -> Vec<String> {
    let required = raw.unwrap_or_default();
    if required.iter().any(|column| column.trim().is_empty()) {
        report.error(&path.join("required"), "the name of a column is empty", None);
    }
    required
}

/// When a read is trusted; the defaults are documented.
fn gate(report: &mut Report<'_>, path: &KeyPath, raw: &RawTrust) -> TrustSettings {
    let at_most = |count, percent| Limit::AtMost { count: Some(count), percent: Some(percent) };
    if raw.max_age.is_some_and(|age| age.0.is_zero()) {
        report.error(
            &path.join("max_age"),
            "everything is older than no time at all",
            Some("write e.g. \"26h\"".into()),
        );
    }
    TrustSettings {
        min_records: raw.min_records.unwrap_or(1),
        max_shrink: raw.max_shrink.map_or(at_most(10, 20), |l| l.0),
        max_rejected: raw.max_rejected.map_or(at_most(10, 5), |l| l.0),
        max_age: raw.max_age.map(|age| age.0),
        on_incomplete: match raw.on_incomplete {
            Some(RawOnIncomplete::NoBans) => OnIncomplete::NoBans,
            Some(RawOnIncomplete::Stop) | None => OnIncomplete::Stop,
        },
    }
}
