//! `[sources.NAME]`: files, addresses, and unions of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;

use super::super::diagnostic::did_you_mean;
use super::super::locate::KeyPath;
use super::super::raw::{RawFormat, RawOnIncomplete, RawRows, RawSource, RawTotal};
use super::super::settings::{
    FileSettings, FormatSettings, GateSettings, HttpSettings, JsonSettings, OnIncomplete, Pagination, RowsPerPerson,
    SourceKind, SourceSettings, TextSettings, Total, UnionSettings,
};
use super::network::{Use, url};
pub(in crate::config) use super::pagination::PAGINATION;
use super::pagination::pagination;
use super::{Made, Report, auth, network};
use crate::domain::limits::Limit;
use crate::domain::units::Rate;
use crate::http::settings::AuthSettings;

/// The kinds of source.
pub(in crate::config) const KINDS: [&str; 4] = ["csv", "file", "http", "union"];

/// The kinds of auth that a source takes. How to log in for a session is known for targets alone, by their definition.
pub(in crate::config) const AUTH_KINDS: [&str; 6] = ["bearer", "token", "header", "basic", "oauth2", "none"];

/// `max_page` unless told otherwise, as documented.
const MAX_PAGE: u64 = 64_000_000;

/// `reads` and `max_pages` unless told otherwise, as documented.
const READS: u32 = 2;
const MAX_PAGES: u64 = 100_000;

/// `rate` unless told otherwise, as documented: 72 000 pages an hour.
const RATE: Rate = Rate { count: 20, per: Duration::from_secs(1) };

/// Keys of a delimited text.
const TEXT_KEYS: [&str; 4] = ["delimiter", "quote", "encoding", "trailer"];

/// Keys of an HTTP source beside those of every source and of a delimited text.
const HTTP_KEYS: [&str; 16] = [
    "url",
    "format",
    "records",
    "auth",
    "pagination",
    "total",
    "success",
    "reads",
    "max_pages",
    "max_page",
    "rate",
    "timeout",
    "retry",
    "ca_file",
    "client_cert",
    "proxy",
];

/// Resolves one source. `names` are all sources, `unions` those that are unions; `made` are those that a union can
/// have as members.
pub(super) fn resolve(
    report: &mut Report<'_>,
    path: &KeyPath,
    name: &str,
    raw: RawSource,
    all: &Sources<'_>,
) -> Made<SourceSettings> {
    let help = r#"write kind = "csv" (or file, http, union)"#;
    let Some(kind) = report.required(&path.join("kind"), raw.kind.clone(), help) else { return Made::Broken };
    if !KINDS.contains(&kind.as_str()) {
        let message = format!("{kind:?} is not a kind of source");
        report.error(&path.join("kind"), message, did_you_mean(&kind, KINDS));
        return Made::Broken;
    }
    refuse_foreign(report, path, &kind, &raw);
    let made = match kind.as_str() {
        "csv" => file(report, path, name, RawSource { format: Some(RawFormat::Csv), ..raw }),
        "file" => file(report, path, name, raw),
        "http" => http(report, path, name, raw),
        _ => union(report, path, name, raw, all),
    };
    made.map_or(Made::Broken, |source| Made::Ready(source.into()))
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

/// Keys of a file that is no delimited text, beside its path: those that say what is in it.
const WRITTEN_KEYS: [&str; 4] = ["format", "records", "total", "success"];

/// Whether a key belongs to this kind of source, of those that don't belong to all; `is_csv`: it has the format csv.
pub(in crate::config) fn belongs(kind: &str, key: &str, is_csv: bool) -> bool {
    let text = TEXT_KEYS.contains(&key);
    let http = HTTP_KEYS.contains(&key);
    match kind {
        "csv" => key != "members" && !http,
        "file" => key != "members" && (!http || WRITTEN_KEYS.contains(&key)) && (is_csv || !text),
        "http" => key != "members" && key != "path" && (is_csv || !text),
        _ => key != "key" && key != "path" && !http && !text,
    }
}

/// Refuses keys that belong to another kind of source.
fn refuse_foreign(report: &mut Report<'_>, path: &KeyPath, kind: &str, raw: &RawSource) {
    let is_csv = raw.format == Some(RawFormat::Csv);
    let present = [
        ("path", raw.path.is_some()),
        ("delimiter", raw.delimiter.is_some()),
        ("quote", raw.quote.is_some()),
        ("encoding", raw.encoding.is_some()),
        ("trailer", raw.trailer.is_some()),
        ("url", raw.url.is_some()),
        ("format", raw.format.is_some()),
        ("records", raw.records.is_some()),
        ("auth", raw.auth.is_some()),
        ("pagination", raw.pagination.is_some()),
        ("total", raw.total.is_some()),
        ("success", raw.success.is_some()),
        ("reads", raw.reads.is_some()),
        ("max_pages", raw.max_pages.is_some()),
        ("max_page", raw.max_page.is_some()),
        ("rate", raw.rate.is_some()),
        ("timeout", raw.timeout.is_some()),
        ("retry", raw.retry.is_some()),
        ("ca_file", raw.ca_file.is_some()),
        ("client_cert", raw.client_cert.is_some()),
        ("proxy", raw.proxy.is_some()),
        ("members", raw.members.is_some()),
        ("key", raw.key.is_some()),
    ];
    for (key, _) in present.into_iter().filter(|(key, there)| *there && !belongs(kind, key, is_csv)) {
        let owner = match key {
            "path" => "kind = \"csv\" or \"file\"",
            "members" => "kind = \"union\"",
            "key" => "the members of a union, each with its own",
            _ if TEXT_KEYS.contains(&key) => "kind = \"csv\", or to file and http with format = \"csv\"",
            _ if WRITTEN_KEYS.contains(&key) => "kind = \"file\" or \"http\"",
            _ => "kind = \"http\"",
        };
        let message = format!("`{key}` does not belong to a source of kind {kind:?}");
        report.error(&path.join(key), message, Some(format!("it belongs to {owner}")));
    }
}

fn file(report: &mut Report<'_>, path: &KeyPath, name: &str, raw: RawSource) -> Option<SourceSettings> {
    let file_key = path.join("path");
    let file = report.required(&file_key, raw.path.clone(), r#"write path = "hr.csv"; "-" is standard input"#);
    if file.as_ref().is_some_and(|f| f.as_os_str().is_empty()) {
        report.error(&file_key, "a path is empty", None);
    }
    let file = file.map(|f| if f == Path::new("-") { PathBuf::from("-") } else { report.path(&file_key, &f) });
    let key = key(report, path, raw.key.as_ref());
    let written = report.required(&path.join("format"), raw.format, r#"write format = "csv" (or json, or ndjson)"#);
    let (format, header) = written.map(|written| format(report, path, written, &raw)).unwrap_or_default();
    if header.is_some() {
        let help = r#"write total = "/meta/total", a JSON pointer, or take it out"#;
        report.error(&path.join("total"), "a file has no headers", Some(help.into()));
    }
    let (gate, rows) = (gate(report, path, &raw), rows(&raw));
    let required = required(report, path, raw.required);
    Some(SourceSettings {
        name: name.to_owned(),
        key: key?,
        also_key: Vec::new(),
        required,
        rows,
        gate,
        kind: SourceKind::File(FileSettings { path: file?, format: format? }),
    })
}

fn key(report: &mut Report<'_>, path: &KeyPath, raw: Option<&String>) -> Option<String> {
    let path = path.join("key");
    let help = "name the column that never changes for a person, e.g. key = \"employee_id\"";
    let key = report.required(&path, raw.cloned(), help)?;
    if key.trim().is_empty() {
        report.error(&path, "the name of a column is empty", Some(help.into()));
        return None;
    }
    Some(key)
}

fn required(report: &mut Report<'_>, path: &KeyPath, raw: Option<Vec<String>>) -> Vec<String> {
    let required = raw.unwrap_or_default();
    if required.iter().any(|column| column.trim().is_empty()) {
        report.error(&path.join("required"), "the name of a column is empty", None);
    }
    required
}

fn rows(raw: &RawSource) -> RowsPerPerson {
    match raw.rows {
        Some(RawRows::Many) => RowsPerPerson::Many,
        Some(RawRows::One) | None => RowsPerPerson::One,
    }
}

/// When a read is trusted; the defaults are documented.
fn gate(report: &mut Report<'_>, path: &KeyPath, raw: &RawSource) -> GateSettings {
    let at_most = |count, percent| Limit::AtMost { count: Some(count), percent: Some(percent) };
    if raw.max_age.is_some_and(|age| age.0.is_zero()) {
        report.error(
            &path.join("max_age"),
            "everything is older than no time at all",
            Some("write e.g. \"26h\"".into()),
        );
    }
    GateSettings {
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

/// Delimiter, quote and encoding.
fn delimited(report: &mut Report<'_>, path: &KeyPath, raw: &RawSource) -> Option<TextSettings> {
    let delimiter = one_byte(report, &path.join("delimiter"), raw.delimiter.as_deref(), b',');
    let quote = one_byte(report, &path.join("quote"), raw.quote.as_deref(), b'"');
    if delimiter.is_some() && delimiter == quote {
        report.error(&path.join("delimiter"), "delimiter and quote are the same", None);
    }
    let encoding = raw.encoding.clone().unwrap_or_else(|| "utf-8".into());
    match encoding_rs::Encoding::for_label(encoding.as_bytes()) {
        Some(known) if known != encoding_rs::REPLACEMENT => {}
        _ => {
            let common = ["utf-8", "utf-16", "utf-16be", "windows-1252", "iso-8859-1", "iso-8859-15", "macintosh"];
            let message = format!("{encoding:?} is not an encoding");
            report.error(&path.join("encoding"), message, did_you_mean(&encoding, common));
        }
    }
    let trailer = match &raw.trailer {
        Some(pattern) => Some(trailer(report, &path.join("trailer"), pattern)?),
        None => None,
    };
    Some(TextSettings { delimiter: delimiter?, quote: quote?, encoding, trailer })
}

/// The pattern of a last line that is no row.
fn trailer(report: &mut Report<'_>, path: &KeyPath, pattern: &str) -> Option<Regex> {
    let help = r#"write e.g. "^TOTAL;([0-9]+)": one group, which is the number of rows before it"#;
    let regex = match Regex::new(pattern) {
        Ok(regex) => regex,
        Err(error) => {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            report.error(path, format!("{pattern:?} is not a regular expression: {why}"), Some(help.into()));
            return None;
        }
    };
    // The whole match counts as one.
    match regex.captures_len() - 1 {
        1 => Some(regex),
        groups => {
            report.error(path, format!("{pattern:?} has {groups} groups, and one is needed"), Some(help.into()));
            None
        }
    }
}

fn one_byte(report: &mut Report<'_>, path: &KeyPath, text: Option<&str>, default: u8) -> Option<u8> {
    match text.map(str::as_bytes) {
        None => Some(default),
        Some([byte]) if !matches!(byte, b'\r' | b'\n') => Some(*byte),
        Some(_) => {
            let help = r#"write one ASCII character, e.g. ";", or "\t" for a tab"#;
            report.error(path, format!("{:?} is not one character", text.unwrap_or_default()), Some(help.into()));
            None
        }
    }
}

fn http(report: &mut Report<'_>, path: &KeyPath, name: &str, raw: RawSource) -> Option<SourceSettings> {
    let key = key(report, path, raw.key.as_ref());
    let (format, total_header) = format(report, path, raw.format.unwrap_or(RawFormat::Json), &raw);
    let (gate, rows) = (gate(report, path, &raw), rows(&raw));
    let required = required(report, path, raw.required);
    let used = match raw.auth.as_ref().and_then(|a| a.kind.as_deref()) {
        None | Some("none") => Use::Open,
        Some(_) => Use::Credentials,
    };
    let address = report.required(&path.join("url"), raw.url, r#"write url = "https://…""#);
    let address = address.and_then(|u| url(report, &path.join("url"), &u, used));
    let auth = match raw.auth {
        Some(auth) => auth::resolve(report, &path.join("auth"), Some(auth), &AUTH_KINDS.map(String::from)),
        None => Some(AuthSettings::None),
    };
    let is_json = matches!(raw.format, Some(RawFormat::Json) | None);
    let pagination = match raw.pagination {
        Some(paging) => pagination(report, &path.join("pagination"), paging, is_json),
        None => Some(Pagination::None),
    };
    let max_page = report.positive(&path.join("max_page"), raw.max_page.map(|size| size.0)).unwrap_or(MAX_PAGE);
    let max_pages = report.positive(&path.join("max_pages"), raw.max_pages).unwrap_or(MAX_PAGES);
    let reads = report.positive(&path.join("reads"), raw.reads).unwrap_or(READS);
    let retry = network::retry(report, path, raw.retry);
    let timeout = network::timeout(report, path, raw.timeout);
    let network = network::network(report, path, raw.ca_file, raw.client_cert, raw.proxy);
    let settings = HttpSettings {
        url: address?,
        format: format?,
        auth: auth?,
        pagination: pagination?,
        total_header,
        reads,
        max_pages,
        max_page,
        rate: raw.rate.unwrap_or(RATE),
        timeout,
        retry,
        network,
    };
    Some(SourceSettings {
        name: name.to_owned(),
        key: key?,
        also_key: Vec::new(),
        required,
        rows,
        gate,
        kind: SourceKind::Http(settings.into()),
    })
}

/// What it is written in, and the header in which a total is declared, if one is.
fn format(
    report: &mut Report<'_>,
    path: &KeyPath,
    written: RawFormat,
    raw: &RawSource,
) -> (Option<FormatSettings>, Option<String>) {
    let (total, header) = match total(report, &path.join("total"), raw.total.as_ref()) {
        Some(Total::Pointer(pointer)) => (Some(pointer), None),
        Some(Total::Header(name)) => (None, Some(name)),
        None => (None, None),
    };
    for (name, pointer) in [("records", &raw.records), ("total", &total), ("success", &raw.success)] {
        json_pointer(report, &path.join(name), pointer.as_deref());
        if pointer.is_some() && written != RawFormat::Json {
            let help = match name {
                "total" => "it points into a JSON document: write total = { header = \"…\" }, or format = \"json\"",
                _ => "it points into a JSON document: take it out, or write format = \"json\"",
            };
            report.error(&path.join(name), format!("`{name}` does not belong to this format"), Some(help.into()));
        }
    }
    let text = delimited(report, path, raw);
    let format = match written {
        RawFormat::Json => {
            let records = raw.records.clone().unwrap_or_default();
            Some(FormatSettings::Json(JsonSettings { records, total, success: raw.success.clone() }))
        }
        RawFormat::Ndjson => Some(FormatSettings::Ndjson),
        RawFormat::Csv => text.map(FormatSettings::Csv),
    };
    (format, header)
}

/// Where the number of all records is declared.
fn total(report: &mut Report<'_>, path: &KeyPath, raw: Option<&RawTotal>) -> Option<Total> {
    match raw? {
        RawTotal::Pointer(pointer) => Some(Total::Pointer(pointer.clone())),
        RawTotal::Header(named) => {
            let path = path.join("header");
            let name = report.required(&path, named.header.clone(), r#"write total = { header = "X-Total-Count" }"#)?;
            if name.parse::<reqwest::header::HeaderName>().is_err() {
                report.error(&path, format!("{name:?} is not the name of a header"), None);
            }
            Some(Total::Header(name))
        }
    }
}

pub(super) fn json_pointer(report: &mut Report<'_>, path: &KeyPath, pointer: Option<&str>) {
    if let Some(pointer) = pointer.filter(|p| !p.is_empty() && !p.starts_with('/')) {
        let help = format!("a JSON pointer begins with a slash: \"/{}\"", pointer.replace('.', "/"));
        report.error(path, format!("{pointer:?} is not a JSON pointer"), Some(help));
    }
}

fn union(
    report: &mut Report<'_>,
    path: &KeyPath,
    name: &str,
    raw: RawSource,
    all: &Sources<'_>,
) -> Option<SourceSettings> {
    let (gate, rows) = (gate(report, path, &raw), rows(&raw));
    let required = required(report, path, raw.required);
    let path = path.join("members");
    let members = report.required(&path, raw.members, r#"write members = ["a", "b"]"#)?;
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
    let many = found.iter().any(|member| member.rows == RowsPerPerson::Many);
    let rows = if many { RowsPerPerson::Many } else { rows };
    Some(SourceSettings {
        name: name.to_owned(),
        key,
        also_key: Vec::new(),
        required,
        rows,
        gate,
        kind: SourceKind::Union(UnionSettings { members: found }),
    })
}
