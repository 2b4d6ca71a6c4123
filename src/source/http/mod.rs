//! A source behind an address: pages are fetched by a task while the one before is parsed and spooled.
//!
//! Between the two is room for one page, so that at most two are there at a time. What goes wrong on the first page
//! is an error, since nothing is known; what goes wrong later ends the read, which is then incomplete.

mod fetch;
mod paging;

use std::collections::BTreeSet;
use std::io::{self, BufReader};
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use reqwest::header::{self, HeaderMap};
use serde_json::Value;
use tokio::sync::mpsc;
use url::Url;

use self::fetch::{Body, Fetcher, Got, Page, Trouble};
use self::paging::{Next, Pager, Told};
use super::csv::CsvReader;
use super::decode::Utf8Reader;
use super::file::Input;
use super::json::{self, Pointer, Skimmed};
use super::judge::Judge;
use super::lines::Lines;
use super::parsed::{Parsed, Sink};
use super::rows::{RawRow, RowReader, Step};
use super::{Since, Validators};
use crate::config::settings::{BodyFormat, HttpSettings, Pagination, SourceKind, SourceSettings};
use crate::exit::{Exit, Failure, Result};
use crate::trust::Completeness;

/// What a read over HTTP came to, beside the rows.
#[derive(Debug)]
pub(super) struct Fetched {
    /// Whether that was all.
    pub completeness: Completeness,
    /// When the source says that it was last changed.
    pub modified_at: Option<DateTime<Utc>>,
    /// With what to ask whether it has changed; none when a page was one of several.
    pub validators: Option<Validators>,
}

/// The first page of an export that was asked whether it has changed, and had: it is read from here on.
pub struct FirstPage {
    fetcher: Fetcher,
    page: Page,
}

impl std::fmt::Debug for FirstPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FirstPage")
    }
}

/// What the fetching task tells.
enum Event {
    Page { number: u64, body: Arc<Body>, modified_at: Option<DateTime<Utc>>, validators: Option<Validators> },
    End { completeness: Completeness, pages: u64 },
    Failed(Failure),
}

/// Stops the fetching task when nobody listens any more.
struct Abort(tokio::task::JoinHandle<()>);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Reads every page into the sink, from a first one on that is there already, if one is; a page alone where `pages`
/// says 1.
///
/// Blocks; to be called where blocking is allowed, within the runtime that fetches.
///
/// # Errors
/// The first page can't be had (69, 77) or is not as configured (65), the spool can't be written (74).
pub(super) fn read(
    source: &Arc<SourceSettings>,
    settings: &HttpSettings,
    wanted: &BTreeSet<String>,
    directory: &Path,
    (first, pages): (Option<FirstPage>, u64),
    take: &mut dyn FnMut(Took<'_>) -> Result<Option<u64>>,
) -> Result<Fetched> {
    let (fetcher, first) = match first {
        Some(FirstPage { fetcher, page }) => (fetcher, Some(page)),
        None => (Fetcher::new(source, settings, directory)?, None),
    };
    let (sender, mut events) = mpsc::channel(1);
    let named = Arc::clone(source);
    let _task = Abort(tokio::runtime::Handle::current().spawn(fetch_all(named, fetcher, first, sender, pages)));
    let judge = Judge::new(&source.key, wanted, &source.required).calling_key(&source.also_key);
    let mut parser = Parser { source, settings, wanted, judge, rows: 0 };
    let (mut modified_at, mut validators) = (None, None);
    let completeness = loop {
        match events.blocking_recv() {
            Some(Event::Page { number, body, modified_at: at, validators: v }) => {
                modified_at = modified_at.or(at);
                validators = validators.or(v);
                match parser.page(number, &body, take)? {
                    Completeness::Complete => {}
                    other => break other,
                }
                if let Some(before) = take(Took::EndOfPage(number))? {
                    break Completeness::Incomplete(format!(
                        "the paging goes round in circles: page {number} holds the same as page {before}"
                    ));
                }
            }
            Some(Event::End { completeness, pages }) => {
                validators = validators.filter(|_| pages == 1 && completeness == Completeness::Complete);
                break completeness;
            }
            Some(Event::Failed(failure)) => return Err(failure),
            None => return Err(Failure::internal("fetching broke off")),
        }
    };
    parser.required_are_there(completeness == Completeness::Complete && pages > 1)?;
    Ok(Fetched { completeness, modified_at, validators })
}

/// What a read gives, piece by piece.
pub(super) enum Took<'a> {
    /// A row, judged.
    Row(Parsed),
    /// A JSON record as it came, before it is judged.
    Seen(&'a serde_json::Map<String, Value>),
    /// The columns of a CSV page.
    Header(&'a [String]),
    /// A page of this number is through; the answer is the number of an earlier page that was the same.
    EndOfPage(u64),
}

/// Gives everything to a sink.
pub(super) fn into_sink(sink: &mut Sink) -> impl FnMut(Took<'_>) -> Result<Option<u64>> + '_ {
    move |took| match took {
        Took::Row(parsed) => sink.take(parsed).map(|_| None),
        Took::EndOfPage(number) => Ok(sink.end_page(number)),
        Took::Seen(_) | Took::Header(_) => Ok(None),
    }
}

/// Asks whether the export is as it was when these validators were given. One request.
///
/// # Errors
/// It can't be reached, or refuses us.
pub(super) async fn since(source: &SourceSettings, settings: &HttpSettings, known: &Validators) -> Result<Since> {
    let fetcher = Fetcher::new(source, settings, &std::env::temp_dir())?;
    let pager = Pager::new(&settings.pagination, &settings.url);
    match fetcher.get(pager.at(), Some(known)).await {
        Ok(Got::Unchanged(headers)) => {
            let stated = known.last_modified.as_deref().and_then(http_date);
            Ok(Since::Unchanged(last_modified(&headers).or(stated)))
        }
        Ok(Got::Page(page)) => Ok(Since::Changed(Box::new(FirstPage { fetcher, page }))),
        Err(trouble) => Err(trouble.into_failure(&source.name)),
    }
}

async fn fetch_all(
    source: Arc<SourceSettings>,
    fetcher: Fetcher,
    mut first: Option<Page>,
    sender: mpsc::Sender<Event>,
    most: u64,
) {
    let SourceKind::Http(settings) = &source.kind else { return };
    let mut pager = Pager::new(&settings.pagination, &settings.url);
    loop {
        // Only when there is room: the page before is being parsed, and none waits.
        let Ok(permit) = sender.reserve().await else { return };
        let number = pager.page();
        let (page, skimmed) = match fetch_one(&fetcher, settings, pager.at(), first.take()).await {
            Ok(found) => found,
            Err(trouble) => {
                permit.send(given_up(&source, number, trouble));
                return;
            }
        };
        let validators = validators(&page.headers);
        let (body, modified_at) = (Arc::clone(&page.body), last_modified(&page.headers));
        let next = go_on(&mut pager, settings, &page, &skimmed);
        permit.send(Event::Page { number, body, modified_at, validators });
        let completeness = match next {
            Ok(Next::Go(_)) if number < most => continue,
            // Only the beginning was wanted, which says nothing of the whole.
            Ok(Next::Go(_)) => Completeness::Complete,
            Ok(Next::End) => total_reached(settings, &skimmed, pager.records()),
            Ok(Next::Lost(why)) | Err(why) => Completeness::Incomplete(format!("after page {number}: {why}")),
        };
        let _ = sender.send(Event::End { completeness, pages: number }).await;
        return;
    }
}

fn given_up(source: &SourceSettings, number: u64, trouble: Trouble) -> Event {
    if number == 1 {
        return Event::Failed(trouble.into_failure(&source.name));
    }
    if trouble.exit == Exit::Io {
        return Event::Failed(trouble.into_failure(&source.name));
    }
    let why = format!("page {number} can't be read: {}", trouble.message);
    Event::End { completeness: Completeness::Incomplete(why), pages: number }
}

/// Fetches a page, unless it is there already, and looks through it.
async fn fetch_one(
    fetcher: &Fetcher,
    settings: &HttpSettings,
    url: &Url,
    there: Option<Page>,
) -> Result<(Page, Skimmed), Trouble> {
    let got = match there {
        Some(page) => Got::Page(page),
        None => fetcher.get(url, None).await?,
    };
    let page = match got {
        Got::Page(page) => page,
        Got::Unchanged(_) => return Err(Trouble::unusable("HTTP 304 to a question that was not asked")),
    };
    let (body, settings) = (Arc::clone(&page.body), settings.clone());
    let skimmed = tokio::task::spawn_blocking(move || look_through(&body, &settings))
        .await
        .map_err(|_| Trouble::unusable("looking through a page broke off"))?
        .map_err(|why| Trouble::unusable(why).help("see what it answers by hand; check url, format and records"))?;
    Ok((page, skimmed))
}

fn look_through(body: &Body, settings: &HttpSettings) -> Result<Skimmed, String> {
    let broken = |error: io::Error| format!("reading a page stopped before its end: {error}");
    let count = |count| Skimmed { count, ..Skimmed::default() };
    match settings.format {
        BodyFormat::Json => {
            let next = match &settings.pagination {
                Pagination::Next { pointer } | Pagination::Cursor { pointer, .. } => Some(Pointer::parse(pointer)),
                _ => None,
            };
            let total = settings.total.as_deref().map(Pointer::parse);
            let records = Pointer::parse(&settings.records);
            json::skim(text(body, settings).map_err(broken)?, &records, total.as_ref(), next.as_ref())
        }
        // Only these two count.
        _ if !matches!(settings.pagination, Pagination::Page { .. } | Pagination::Offset { .. }) => Ok(count(0)),
        BodyFormat::Ndjson => Lines::new(text(body, settings).map_err(broken)?).count().map(count),
        BodyFormat::Csv => {
            let decoded = decoded(body, settings, &settings.text.encoding).map_err(broken)?;
            let mut rows = RowReader::new(decoded, settings.text.delimiter, settings.text.quote);
            let mut row = RawRow::default();
            let mut lines: u64 = 0;
            while let Step::Row = rows.next(&mut row) {
                lines += 1;
            }
            Ok(count(lines.saturating_sub(1)))
        }
    }
}

/// A body as UTF-8 without a mark.
fn text(body: &Body, settings: &HttpSettings) -> io::Result<BufReader<Utf8Reader<Input>>> {
    decoded(body, settings, "utf-8").map(BufReader::new)
}

fn decoded(body: &Body, settings: &HttpSettings, encoding: &str) -> io::Result<Utf8Reader<Input>> {
    let input = Input::new(body.reader()?, None)?.limited(settings.max_page);
    Utf8Reader::new(input, encoding).ok_or_else(|| io::Error::other("there is no such encoding"))
}

fn go_on(pager: &mut Pager<'_>, settings: &HttpSettings, page: &Page, skimmed: &Skimmed) -> Result<Next, String> {
    let name = match &settings.pagination {
        Pagination::Link => "link",
        Pagination::Header { name, .. } => name,
        _ => "",
    };
    let header = headers_of(&page.headers, name);
    let total = match &settings.total {
        Some(pointer) => {
            let number = skimmed.total.as_ref().and_then(Value::as_u64);
            Some(
                number
                    .ok_or_else(|| format!("there is no number at {pointer:?}, where total says that there is one"))?,
            )
        }
        None => None,
    };
    let told = Told { count: skimmed.count, pointed: skimmed.next.as_ref(), header: header.as_deref() };
    Ok(pager.go_on(&told, &page.url, total))
}

/// A header's values, several of them as one list.
fn headers_of(headers: &HeaderMap, name: &str) -> Option<String> {
    if name.is_empty() {
        return None;
    }
    let values: Vec<String> =
        headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// Whether as many records came as the last page declared.
fn total_reached(settings: &HttpSettings, last: &Skimmed, records: u64) -> Completeness {
    let declared = last.total.as_ref().and_then(Value::as_u64);
    match (&settings.total, declared) {
        (Some(_), Some(declared)) if declared != records => {
            Completeness::Incomplete(format!("it declares {declared} records, and {records} arrived"))
        }
        _ => Completeness::Complete,
    }
}

fn validators(headers: &HeaderMap) -> Option<Validators> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (etag, last_modified) = (text(header::ETAG), text(header::LAST_MODIFIED));
    (etag.is_some() || last_modified.is_some()).then_some(Validators { etag, last_modified })
}

fn last_modified(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    headers.get(header::LAST_MODIFIED).and_then(|value| value.to_str().ok()).and_then(http_date)
}

fn http_date(text: &str) -> Option<DateTime<Utc>> {
    httpdate::parse_http_date(text).ok().map(DateTime::from)
}

/// Turns pages into rows.
struct Parser<'a> {
    source: &'a SourceSettings,
    settings: &'a HttpSettings,
    wanted: &'a BTreeSet<String>,
    judge: Judge,
    rows: u64,
}

type Take<'t> = dyn FnMut(Took<'_>) -> Result<Option<u64>> + 't;

impl Parser<'_> {
    /// Parses one page. What can't be parsed to its end is no error beyond the first page.
    fn page(&mut self, number: u64, body: &Body, take: &mut Take<'_>) -> Result<Completeness> {
        let parsed = match self.settings.format {
            BodyFormat::Json => self.json(body, take)?,
            BodyFormat::Ndjson => self.ndjson(body, take)?,
            BodyFormat::Csv => self.csv(number, body, take)?,
        };
        Ok(match parsed {
            Completeness::Incomplete(why) if self.settings.pagination != Pagination::None => {
                Completeness::Incomplete(format!("page {number}: {why}"))
            }
            other => other,
        })
    }

    fn json(&mut self, body: &Body, take: &mut Take<'_>) -> Result<Completeness> {
        let page = match text(body, self.settings) {
            Ok(page) => page,
            Err(error) => return Ok(Completeness::Incomplete(error.to_string())),
        };
        let mut failed = None;
        let judge = &mut self.judge;
        let walked = json::records(page, &Pointer::parse(&self.settings.records), &mut |document| {
            let given = give(judge, 0, Ok(document), take);
            given.map_err(|failure| failed = Some(failure)).is_ok()
        });
        match (failed, walked) {
            (Some(failure), _) => Err(failure),
            (None, Err(why)) => Ok(Completeness::Incomplete(why)),
            (None, Ok(())) => Ok(Completeness::Complete),
        }
    }

    fn ndjson(&mut self, body: &Body, take: &mut Take<'_>) -> Result<Completeness> {
        let page = match text(body, self.settings) {
            Ok(page) => page,
            Err(error) => return Ok(Completeness::Incomplete(error.to_string())),
        };
        let mut lines = Lines::new(page);
        loop {
            let line = match lines.next() {
                Ok(Some(line)) => line,
                Ok(None) => return Ok(Completeness::Complete),
                Err(why) => return Ok(Completeness::Incomplete(why)),
            };
            let document = serde_json::from_slice(line.bytes).map_err(|error| json::complaint(&error));
            if let (Err(_), true) = (&document, line.unterminated) {
                return Ok(Completeness::Incomplete(format!("it is cut off inside line {}", line.number)));
            }
            let document = document.map_err(|_| "the line is not JSON".to_string());
            give(&mut self.judge, line.number, document, take)?;
        }
    }

    fn csv(&mut self, number: u64, body: &Body, take: &mut Take<'_>) -> Result<Completeness> {
        let opened = body.reader().and_then(|reader| Input::new(reader, None));
        let opened = opened.map(|input| input.limited(self.settings.max_page));
        let input = match opened {
            Ok(input) => input,
            Err(error) => return Ok(Completeness::Incomplete(error.to_string())),
        };
        let mut reader = match CsvReader::start(self.source, &self.settings.text, self.wanted, input, self.rows) {
            Ok(reader) => reader,
            Err(failure) if number == 1 => return Err(failure),
            Err(failure) => return Ok(Completeness::Incomplete(failure.message)),
        };
        take(Took::Header(reader.header()))?;
        loop {
            match reader.next() {
                Parsed::End(completeness) => {
                    self.rows = reader.count();
                    return Ok(completeness);
                }
                row => take(Took::Row(row))?,
            };
        }
    }

    /// A required column that no record has is one that is not there; a mapped one is empty for everybody.
    fn required_are_there(&self, whole: bool) -> Result<()> {
        if !whole {
            return Ok(());
        }
        let (required, mapped): (Vec<&str>, Vec<&str>) =
            self.judge.never_seen().partition(|name| self.source.required.iter().any(|r| r == name));
        if !mapped.is_empty() {
            let columns = mapped.join(", ");
            tracing::warn!(source = %self.source.name, "no record has these columns, so they are empty for everybody: {columns}");
        }
        if required.is_empty() {
            return Ok(());
        }
        let plural = if required.len() == 1 { "" } else { "s" };
        let message = format!("no record has the required column{plural} {}", required.join(", "));
        Err(super::file::unusable(self.source, message).help("name the fields as they are; nested ones by dotted path"))
    }
}

fn give(judge: &mut Judge, line: u64, document: Result<json::Document, String>, take: &mut Take<'_>) -> Result<()> {
    if let Ok(json::Document { value: Value::Object(row), .. }) = &document {
        take(Took::Seen(row))?;
    }
    take(Took::Row(judge.next(line, document)))?;
    Ok(())
}

#[cfg(test)]
mod tests;
