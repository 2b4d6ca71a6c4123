//! What files and answers are written in.

use regex::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::super::super::diagnostic::did_you_mean;
use super::super::super::locate::KeyPath;
use super::super::super::raw::{RawDelimited, RawDocument, RawFormat, fields};
use super::super::super::settings::{FormatSettings, JsonSettings, TextSettings};
use super::super::Report;
use super::Reading;

/// A format, as it is configured.
pub(in crate::config) struct FormatOfSource {
    /// It.
    pub format: RawFormat,
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub keys: fn() -> &'static [&'static str],
    /// What it takes, as a schema.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

/// The formats.
pub(in crate::config) static FORMATS: [FormatOfSource; 3] = [
    FormatOfSource {
        format: RawFormat::Json,
        name: "json",
        keys: fields::<RawDocument>,
        schema: RawDocument::json_schema,
    },
    FormatOfSource { format: RawFormat::Ndjson, name: "ndjson", keys: || &[], schema: |_| Schema::default() },
    FormatOfSource {
        format: RawFormat::Csv,
        name: "csv",
        keys: fields::<RawDelimited>,
        schema: RawDelimited::json_schema,
    },
];

impl Reading<'_, '_> {
    /// What is written in this format; `total` is where a document says how many records there are.
    pub(super) fn format(&mut self, format: RawFormat, total: Option<String>) -> Option<FormatSettings> {
        let RawDocument { records, success } = self.part();
        for (name, pointer) in [("records", &records), ("total", &total), ("success", &success)] {
            json_pointer(self.report, &self.path.join(name), pointer.as_deref());
            if pointer.is_some() && format != RawFormat::Json {
                let help = match name {
                    "total" => "it points into a JSON document: write total = { header = \"…\" }, or format = \"json\"",
                    _ => "it points into a JSON document: take it out, or write format = \"json\"",
                };
                let message = format!("`{name}` does not belong to this format");
                self.report.error(&self.path.join(name), message, Some(help.into()));
            }
        }
        match format {
            RawFormat::Json => {
                let records = records.unwrap_or_default();
                Some(FormatSettings::Json(JsonSettings { records, total, success }))
            }
            RawFormat::Ndjson => Some(FormatSettings::Ndjson),
            RawFormat::Csv => {
                let raw = self.part();
                delimited(self.report, self.path, raw).map(FormatSettings::Csv)
            }
        }
    }
}

/// Refuses what is no JSON pointer.
pub(super) fn json_pointer(report: &mut Report<'_>, path: &KeyPath, pointer: Option<&str>) {
    if let Some(pointer) = pointer.filter(|p| !p.is_empty() && !p.starts_with('/')) {
        let help = format!("a JSON pointer begins with a slash: \"/{}\"", pointer.replace('.', "/"));
        report.error(path, format!("{pointer:?} is not a JSON pointer"), Some(help));
    }
}

/// Delimiter, quote and encoding.
fn delimited(report: &mut Report<'_>, path: &KeyPath, raw: RawDelimited) -> Option<TextSettings> {
    let delimiter = one_byte(report, &path.join("delimiter"), raw.delimiter.as_deref(), b',');
    let quote = one_byte(report, &path.join("quote"), raw.quote.as_deref(), b'"');
    if delimiter.is_some() && delimiter == quote {
        report.error(&path.join("delimiter"), "delimiter and quote are the same", None);
    }
    let encoding = raw.encoding.unwrap_or_else(|| "utf-8".into());
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
