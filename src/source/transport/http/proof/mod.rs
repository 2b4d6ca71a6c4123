//! What an answer must not say if it is to be believed to be the end: that there is a further page, where we would
//! stop; that something went wrong, beside the records. Pure.
//!
//! A message names where it stands and what to write, never what it says: that is a stranger's text.

use reqwest::header::{self, HeaderMap};
use url::Url;

use crate::config::settings::{HttpSettings, Pagination};
use crate::source::format::hints::{self, Mark, Print, Said, print};
use crate::source::format::json::Skimmed;

/// Headers beside `Link` by which some say where the next page is.
const NEXT_HEADERS: [&str; 4] = ["x-next-page", "x-next-cursor", "x-next-token", "x-ms-continuation"];

/// Why an answer, though it has records, is not to be taken for a good one.
pub(super) fn went_wrong(settings: &HttpSettings, skimmed: &Skimmed) -> Option<String> {
    let success = settings.format.json().and_then(|json| json.success.as_deref());
    skimmed.went_wrong("the answer", success).map(|why| format!("{why}: see what it answers by hand"))
}

/// What speaks for a further page.
#[derive(Debug, PartialEq)]
pub(super) enum NextPageHint {
    /// A `Link` header with `rel="next"`.
    Link,
    /// One of [`NEXT_HEADERS`]; whether its value is an address.
    Header(&'static str, bool),
    /// Something in the body.
    Body(Mark),
    /// It says by true or false that there is more, there.
    Flag(String),
    /// More results than arrived are declared (RFC 7644, section 3.4.2).
    Results(u64, u64),
}

/// How a read came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// There is one page, as configured.
    Unpaged,
    /// What leads on is not there.
    MarkAbsent,
    /// What leads on is there, and says that there is nothing more.
    MarkSaysSo,
    /// The page had no records.
    EmptyPage,
    /// As many records came as were declared.
    TotalReached,
}

/// How far a read has come with a page.
pub(super) struct Progress<'a> {
    /// The address of the page.
    pub url: &'a Url,
    /// How many people came, with those of the page.
    pub arrived: u64,
    /// How many there are, where `total` tells it.
    pub declared: Option<u64>,
}

/// All that speaks for a further page, what tells the most about it first.
pub(super) fn signs(
    settings: &HttpSettings,
    headers: &HeaderMap,
    skimmed: &Skimmed,
    progress: &Progress<'_>,
) -> Vec<NextPageHint> {
    let arrived = progress.arrived;
    let ended = ended(settings, headers, skimmed);
    let hints = &skimmed.hints;
    let mut found = Vec::new();
    // A page beyond the last may well have an address of a next one: whoever counts pages doesn't look at it.
    let counts = ended != Ended::EmptyPage;
    if counts && links_on(headers) {
        found.push(NextPageHint::Link);
    }
    if counts && ended != Ended::MarkSaysSo {
        let there = NEXT_HEADERS.iter().filter_map(|name| Some((*name, headers.get(*name)?.to_str().ok()?.trim())));
        let there = there.filter(|(_, value)| !matches!(*value, "" | "0"));
        found.extend(
            there.map(|(name, value)| NextPageHint::Header(name, value.contains("://") || value.starts_with('/'))),
        );
    }
    if counts {
        let is_all = progress.declared.or(hints.total_results) == Some(arrived);
        // A mark can be that of the last position, an address can't.
        let marks_count = |mark: &Mark| mark.is_address() || ended != Ended::MarkSaysSo;
        let positions_count = |mark: &Mark| match ended {
            Ended::Unpaged => !settings.one_page && !mark.echoes(asked(progress.url)),
            _ => mark.name() == "cursor" && is_cursor(settings),
        };
        let marks = hints.marks.iter().filter(|mark| hints.leads_on(mark, is_all) && marks_count(mark));
        let marks = marks.filter(|mark| !mark.is_position() || positions_count(mark));
        found.extend(marks.cloned().map(NextPageHint::Body));
    }
    found.extend(hints.more.clone().map(NextPageHint::Flag));
    if let Some(results) = hints.total_results.filter(|results| *results > arrived) {
        found.push(NextPageHint::Results(results, arrived));
    }
    found
}

/// Prints of the parameters with which a page was asked for.
fn asked(url: &Url) -> impl Iterator<Item = Print> {
    url.query_pairs().map(|(_, value)| print(&value))
}

fn is_cursor(settings: &HttpSettings) -> bool {
    matches!(settings.pagination, Pagination::Cursor { .. } | Pagination::Next { .. })
}

fn links_on(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::LINK).iter().filter_map(|value| value.to_str().ok());
    values.any(|value| matches!(crate::domain::link::next(value), Ok(Some(target)) if !target.trim().is_empty()))
}

/// How the read comes to its end, if this is the last page.
fn ended(settings: &HttpSettings, headers: &HeaderMap, skimmed: &Skimmed) -> Ended {
    match &settings.pagination {
        Pagination::None => Ended::Unpaged,
        Pagination::Link => Ended::MarkAbsent,
        Pagination::Header { name, .. } if headers.contains_key(name) => Ended::MarkSaysSo,
        Pagination::Header { .. } => Ended::MarkAbsent,
        Pagination::Next { .. } | Pagination::Cursor { .. } if skimmed.next.is_some() => Ended::MarkSaysSo,
        Pagination::Next { .. } | Pagination::Cursor { .. } => Ended::MarkAbsent,
        Pagination::Page { .. } | Pagination::Offset { .. } if skimmed.count == 0 => Ended::EmptyPage,
        Pagination::Page { .. } | Pagination::Offset { .. } => Ended::TotalReached,
    }
}

/// The sentence of a sign, with the setting to write.
pub(super) fn says_more(settings: &HttpSettings, sign: &NextPageHint) -> String {
    let place = match sign {
        NextPageHint::Link => "a Link header with rel=\"next\"".into(),
        NextPageHint::Header(name, _) => format!("the header {name}"),
        NextPageHint::Body(mark) => format!("{:?}", mark.place),
        NextPageHint::Flag(place) => hints::flagged(place),
        NextPageHint::Results(results, arrived) => format!("totalResults is {results}, and {arrived} arrived"),
    };
    let configured = match &settings.pagination {
        Pagination::None => "no pagination is configured".into(),
        Pagination::Link => "no Link header leads there".into(),
        Pagination::Header { name, .. } => format!("the header {name} does not lead there"),
        Pagination::Next { pointer } | Pagination::Cursor { pointer, .. } => {
            format!("what pagination names, {pointer:?}, does not lead there")
        }
        Pagination::Page { .. } | Pagination::Offset { .. } => "the page has no records".into(),
    };
    let end = match (&settings.pagination, sign) {
        (Pagination::None, NextPageHint::Body(mark)) if mark.is_position() => {
            "; if this is all there is, write pagination = { kind = \"none\" }"
        }
        _ => "",
    };
    format!("the answer says that there is more ({place}), and {configured}: {}{end}", proposal(sign))
}

/// What to write so that the further pages are read.
fn proposal(sign: &NextPageHint) -> String {
    let cursor = |pointer: &str, param: &str| {
        format!("write pagination = {{ kind = \"cursor\", pointer = {pointer:?}, param = \"{param}\" }}")
    };
    let counted = "write pagination = { kind = \"page\", param = \"page\" }, or { kind = \"offset\", param = \"offset\" }, \
                   with the parameter that it takes";
    match sign {
        NextPageHint::Link => "write pagination = { kind = \"link\" }".into(),
        NextPageHint::Header(name, true) => format!("write pagination = {{ kind = \"header\", name = \"{name}\" }}"),
        NextPageHint::Header(name, false) => {
            let param = param_of(name.trim_start_matches("x-"));
            format!("write pagination = {{ kind = \"header\", name = \"{name}\", param = \"{param}\" }}")
        }
        NextPageHint::Body(mark) if mark.is_position() => cursor(&mark.place, param_of(mark.name())),
        NextPageHint::Body(mark) if mark.is_address() && !matches!(mark.said, Said::Link(_)) => {
            format!("write pagination = {{ kind = \"next\", pointer = {:?} }}", mark.place)
        }
        NextPageHint::Body(Mark { place, said: Said::Text(_) | Said::Next | Said::Object(Some(_), _) }) => {
            cursor(place, param_of(place.rsplit('/').next().unwrap_or_default()))
        }
        NextPageHint::Body(mark)
            if matches!(mark.said, Said::Number(_)) && mark.name().to_ascii_lowercase().contains("cursor") =>
        {
            cursor(&mark.place, param_of(mark.name()))
        }
        NextPageHint::Body(Mark { said: Said::Number(_), .. }) => {
            "write pagination = { kind = \"page\", param = \"page\" }".into()
        }
        NextPageHint::Body(_) | NextPageHint::Flag(_) => counted.into(),
        NextPageHint::Results(..) => {
            "write pagination = { kind = \"offset\", param = \"startIndex\", start = 1 }, and total = \"/totalResults\""
                .into()
        }
    }
}

/// The parameter in which a mark of this name is usually handed back.
fn param_of(name: &str) -> &'static str {
    match name {
        "nextPageToken" => "pageToken",
        "next_page_token" | "page_token" => "page_token",
        "pageToken" => "pageToken",
        "after" | "endCursor" | "end_cursor" => "after",
        "next_token" => "next_token",
        "nextToken" => "nextToken",
        "continuation" => "continuation",
        "continuationToken" => "continuationToken",
        "continuation_token" => "continuation_token",
        "scroll_id" | "_scroll_id" => "scroll_id",
        "scrollId" => "scrollId",
        "next-page" => "page",
        "next-token" => "token",
        "ms-continuation" => "continuationToken",
        _ => "cursor",
    }
}

#[cfg(test)]
mod tests;
