//! Kinds csv and file: a file, or standard input.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;

use super::super::super::raw::{RawCsvFile, RawFile, RawFormat, RawTotal, fields};
use super::super::super::settings::{FileSettings, SourceKind};
use super::{Found, KindOfSource, Reading};

/// A file of delimited text.
pub(super) const CSV: KindOfSource = KindOfSource {
    name: "csv",
    keys: fields::<RawCsvFile>,
    must: &["path", "key"],
    formats: &[RawFormat::Csv],
    is_of_others: false,
    schema: RawCsvFile::json_schema,
    read: |reading| {
        let RawCsvFile { key, path } = reading.part();
        file(reading, key, path, Some(RawFormat::Csv), None)
    },
};

/// A file in any format.
pub(super) const FILE: KindOfSource = KindOfSource {
    name: "file",
    keys: fields::<RawFile>,
    must: &["path", "format", "key"],
    formats: &[RawFormat::Json, RawFormat::Ndjson, RawFormat::Csv],
    is_of_others: false,
    schema: RawFile::json_schema,
    read: |reading| {
        let RawFile { key, path, format, total } = reading.part();
        let help = r#"write format = "csv" (or json, or ndjson)"#;
        let format = reading.report.required(&reading.path.join("format"), format, help);
        let total = match total {
            Some(RawTotal::Pointer(pointer)) => Some(pointer),
            Some(RawTotal::Header(_)) => {
                let help = r#"write total = "/meta/total", a JSON pointer, or take it out"#;
                reading.report.error(&reading.path.join("total"), "a file has no headers", Some(help.into()));
                None
            }
            None => None,
        };
        file(reading, key, path, format, total)
    },
};

fn file(
    reading: &mut Reading<'_, '_>,
    key: Option<String>,
    path: Option<PathBuf>,
    format: Option<RawFormat>,
    total: Option<String>,
) -> Option<Found> {
    let at = reading.path.join("path");
    let path = reading.report.required(&at, path, r#"write path = "hr.csv"; "-" is standard input"#);
    if path.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
        reading.report.error(&at, "a path is empty", None);
    }
    let path = path.map(|path| if path == Path::new("-") { path } else { reading.report.path(&at, &path) });
    let key = reading.key(key);
    let format = format.and_then(|format| reading.format(format, total));
    Some(Found { key: key?, kind: SourceKind::File(FileSettings { path: path?, format: format? }) })
}
