//! Kind http: an export behind an address.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;

use super::super::super::locate::KeyPath;
use super::super::super::raw::{RawFormat, RawHttp, RawTotal, fields};
use super::super::super::settings::{HttpSettings, Pagination, SourceKind, Total};
use super::super::network::{Use, url};
use super::super::{Report, auth, network};
use super::pagination::pagination;
use super::{Found, KindOfSource, Reading};
use crate::domain::units::Rate;
use crate::http::settings::AuthSettings;

/// The kinds of auth that a source takes. How to log in for a session is known for targets alone, by their definition.
pub(in crate::config) const AUTH_KINDS: [&str; 6] = ["bearer", "token", "header", "basic", "oauth2", "none"];

/// `max_page` unless told otherwise, as documented.
const MAX_PAGE: u64 = 64_000_000;

/// `reads` and `max_pages` unless told otherwise, as documented.
const READS: u32 = 2;
const MAX_PAGES: u64 = 100_000;

/// `rate` unless told otherwise, as documented: 72 000 pages an hour.
const RATE: Rate = Rate { count: 20, per: Duration::from_secs(1) };

/// An export behind an address.
pub(super) const HTTP: KindOfSource = KindOfSource {
    name: "http",
    keys: fields::<RawHttp>,
    must: &["url", "key"],
    formats: &[RawFormat::Json, RawFormat::Ndjson, RawFormat::Csv],
    is_of_others: false,
    schema: RawHttp::json_schema,
    read: http,
};

fn http(reading: &mut Reading<'_, '_>) -> Option<Found> {
    let raw: RawHttp = reading.part();
    let key = reading.key(raw.key);
    let used = match raw.auth.as_ref().and_then(|a| a.kind.as_deref()) {
        None | Some("none") => Use::Open,
        Some(_) => Use::Credentials,
    };
    let path = reading.path;
    let written = raw.format.unwrap_or(RawFormat::Json);
    let (pointer, total_header) = match total(reading.report, &path.join("total"), raw.total) {
        Some(Total::Pointer(pointer)) => (Some(pointer), None),
        Some(Total::Header(name)) => (None, Some(name)),
        None => (None, None),
    };
    let format = reading.format(written, pointer);
    let report = &mut *reading.report;
    let address = report.required(&path.join("url"), raw.url, r#"write url = "https://…""#);
    let address = address.and_then(|u| url(report, &path.join("url"), &u, used));
    let auth = match raw.auth {
        Some(auth) => auth::resolve(report, &path.join("auth"), Some(auth), &AUTH_KINDS.map(String::from)),
        None => Some(AuthSettings::None),
    };
    let one_page = raw.pagination.as_ref().is_some_and(|paging| paging.kind.as_deref() == Some("none"));
    let pagination = match raw.pagination {
        Some(paging) => pagination(report, &path.join("pagination"), paging, written == RawFormat::Json),
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
        one_page,
        total_header,
        reads,
        max_pages,
        max_page,
        rate: raw.rate.unwrap_or(RATE),
        timeout,
        retry,
        network,
    };
    Some(Found { key: key?, kind: SourceKind::Http(Arc::new(settings)) })
}

/// Where the number of all records is declared.
fn total(report: &mut Report<'_>, path: &KeyPath, raw: Option<RawTotal>) -> Option<Total> {
    match raw? {
        RawTotal::Pointer(pointer) => Some(Total::Pointer(pointer)),
        RawTotal::Header(named) => {
            let path = path.join("header");
            let name = report.required(&path, named.header, r#"write total = { header = "X-Total-Count" }"#)?;
            if name.parse::<reqwest::header::HeaderName>().is_err() {
                report.error(&path, format!("{name:?} is not the name of a header"), None);
            }
            Some(Total::Header(name))
        }
    }
}
