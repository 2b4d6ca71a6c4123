//! A source behind an address: pages are fetched by a task while the one before is parsed and spooled.
//!
//! Between the two is room for one page, so that at most two are there at a time. What goes wrong on the first page
//! is an error, since nothing is known; what goes wrong later ends the read, which is then incomplete. A list that moved
//! while its pages were read is read again from its first page, into another spool.

mod ahead;
mod fetch;
mod paging;
mod parse;
mod proof;
mod unpack;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use reqwest::header::{self, HeaderMap};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use self::ahead::{Arrived, Event, fetch_all};
use self::fetch::{Fetcher, Got, Page};
use self::paging::Pager;
use self::parse::Parser;
use crate::config::settings::{FormatSettings, HttpSettings, Pagination, SourceSettings};
use crate::domain::change_token::ChangeToken;
use crate::domain::error::{Failure, Result};
use crate::source::connector::{Asking, Connector, ReadRequest, Since};
use crate::source::format::{Piece, Take};
use crate::source::intake::Intake;
use crate::source::page_log::Shown;
use crate::source::preview::{Look, Preview};
use crate::source::sink::Sink;
use crate::source::trust::{Completeness, ReadStats};

/// What a read over HTTP came to, beside the rows.
#[derive(Debug)]
struct Fetched {
    /// Whether that was all.
    pub completeness: Completeness,
    /// When the source says that it was last changed.
    pub modified_at: Option<DateTime<Utc>>,
    /// With what to ask whether it has changed; none when a page was one of several.
    pub token: Option<ChangeToken>,
    /// Why its pages can't be the list as it was at one time: reading again may help.
    moved: Option<String>,
}

/// With what an export can be asked whether it has changed (RFC 9110, section 8.8). The state keeps it as the text that
/// its JSON is; the fields and their order are kept by the migration that first made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Validators {
    /// `ETag`, as it came.
    etag: Option<String>,
    /// `Last-Modified`, as it came.
    last_modified: Option<String>,
}

impl Validators {
    /// Those of an answer, if it has any.
    fn of(headers: &HeaderMap) -> Option<Validators> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (etag, last_modified) = (text(header::ETAG), text(header::LAST_MODIFIED));
        (etag.is_some() || last_modified.is_some()).then_some(Validators { etag, last_modified })
    }

    /// Those that a token holds; none where another kind of source made it.
    fn read(token: &ChangeToken) -> Option<Validators> {
        serde_json::from_str(&token.0).ok()
    }

    /// The token that holds them.
    fn token(&self) -> ChangeToken {
        ChangeToken(serde_json::to_string(self).expect("texts always serialise"))
    }
}

/// The first page of an export that was asked whether it has changed, and had: it is read from here on.
struct FirstPage {
    fetcher: Fetcher,
    page: Page,
}

/// An export behind an address.
pub(in crate::source) struct HttpConnector {
    source: Arc<SourceSettings>,
    settings: Arc<HttpSettings>,
    first: Option<FirstPage>,
}

impl HttpConnector {
    /// Asks for nothing yet.
    pub fn new(source: &Arc<SourceSettings>, settings: &Arc<HttpSettings>) -> HttpConnector {
        HttpConnector { source: Arc::clone(source), settings: Arc::clone(settings), first: None }
    }
}

impl Connector for HttpConnector {
    fn check(&mut self, wanted: &BTreeSet<String>) -> Result<Vec<Preview>> {
        let mut look = Look::page(&self.source, wanted);
        let directory: &Path = &std::env::temp_dir();
        let fetched = first_page(&self.source, &self.settings, wanted, directory, &mut |took| look.take(took))?;
        Ok(vec![look.end(&self.source, fetched.completeness)?])
    }

    fn changed_since<'a>(&'a mut self, token: &'a ChangeToken) -> Asking<'a> {
        Box::pin(async {
            let Some(known) = Validators::read(token) else { return Ok(Since::Unknown) };
            let (since, first) = since(&self.source, &self.settings, &known).await?;
            self.first = first;
            Ok(since)
        })
    }

    fn open(&mut self, request: &ReadRequest<'_>) -> Result<Intake> {
        let (sink, fetched) = read(&self.source, &self.settings, request, self.first.take())?;
        let Fetched { completeness, modified_at, token, .. } = fetched;
        let stats = ReadStats { completeness, modified_at, ..ReadStats::default() };
        Ok(Intake::settled(sink, request.wanted, stats)?.with_token(token))
    }
}

/// Stops the fetching task when nobody listens any more.
struct Abort(tokio::task::JoinHandle<()>);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Reads every page into a spool in this directory, from a first one on that is there already, if one is; again from
/// the beginning where the list moved meanwhile.
///
/// Blocks; to be called where blocking is allowed, within the runtime that fetches.
///
/// # Errors
/// The first page can't be had (69, 77) or is not as configured (65), the spool can't be written (74).
fn read(
    source: &Arc<SourceSettings>,
    settings: &Arc<HttpSettings>,
    request: &ReadRequest<'_>,
    first: Option<FirstPage>,
) -> Result<(Sink, Fetched)> {
    let (wanted, directory) = (request.wanted, request.directory);
    let (fetcher, mut first) = match first {
        Some(FirstPage { fetcher, page }) => (fetcher, Some(page)),
        None => (Fetcher::new(source, settings, directory)?, None),
    };
    let fetcher = Arc::new(fetcher);
    let mut reads = 1;
    loop {
        let mut sink = Sink::create(directory, source.rows, request.comparison)?;
        let mut take = |took: Piece<'_>| {
            if let Piece::Row(parsed) = took {
                sink.take(parsed)?;
            }
            Ok(ControlFlow::Continue(()))
        };
        let begun = (Arc::clone(&fetcher), first.take());
        let fetched = pass(source, settings, wanted, begun, u64::MAX, &mut take)?;
        match &fetched.moved {
            Some(why) if reads < settings.reads => {
                tracing::info!(source = %source.name, "the pages don't fit together, so they are read again: {why}");
                reads += 1;
            }
            Some(why) => {
                let times = if reads == 1 { String::new() } else { format!(" (read {reads} times)") };
                let completeness = Completeness::Incomplete(format!("{why}{times}"));
                return Ok((sink, Fetched { completeness, ..fetched }));
            }
            None => return Ok((sink, fetched)),
        }
    }
}

/// Reads the first page alone.
///
/// Blocks, as [`read`] does.
///
/// # Errors
/// As [`read`].
fn first_page(
    source: &Arc<SourceSettings>,
    settings: &Arc<HttpSettings>,
    wanted: &BTreeSet<String>,
    directory: &Path,
    take: &mut Take<'_>,
) -> Result<Fetched> {
    let fetcher = Arc::new(Fetcher::new(source, settings, directory)?);
    pass(source, settings, wanted, (fetcher, None), 1, take)
}

/// One way through the pages, at most so many.
fn pass(
    source: &Arc<SourceSettings>,
    settings: &Arc<HttpSettings>,
    wanted: &BTreeSet<String>,
    (fetcher, first): (Arc<Fetcher>, Option<Page>),
    most: u64,
    take: &mut Take<'_>,
) -> Result<Fetched> {
    let (sender, mut events) = mpsc::channel(1);
    let named = Arc::clone(source);
    let _task = Abort(tokio::runtime::Handle::current().spawn(fetch_all(
        (named, Arc::clone(settings)),
        fetcher,
        first,
        sender,
        most,
    )));
    let mut parser = Parser::new(source, settings, wanted, most == 1);
    let mut fetched = Fetched { completeness: Completeness::Complete, modified_at: None, token: None, moved: None };
    let mut ended = true;
    loop {
        match events.blocking_recv() {
            Some(Event::Page(page)) => {
                fetched.modified_at = fetched.modified_at.or(page.modified_at);
                fetched.token = fetched.token.or(page.token.clone());
                ended &= page.ended;
                fetched.completeness = parser.page(page.number, &page.body, take)?;
                if fetched.completeness != Completeness::Complete {
                    break;
                }
                match parser.log.end_page(page.declared) {
                    Shown::SameAs(before) => {
                        fetched.moved = Some(format!(
                            "the paging goes round in circles: page {} holds the same as page {before}",
                            page.number
                        ));
                        break;
                    }
                    Shown::Nobody(pages) if !page.last => {
                        fetched.completeness = Completeness::Incomplete(nobody_new(&page, pages));
                        break;
                    }
                    Shown::More | Shown::Nobody(_) => {}
                }
            }
            Some(Event::End { completeness, pages, whole }) => {
                fetched.token = fetched.token.filter(|_| pages == 1 && completeness == Completeness::Complete);
                fetched.completeness = completeness;
                if whole {
                    fetched.moved = moved(&parser);
                    let closed = parser.closed_by_trailer();
                    fetched.completeness = closed.map_or_else(Completeness::Incomplete, |()| Completeness::Complete);
                }
                break;
            }
            Some(Event::Failed(failure)) => return Err(failure),
            None => return Err(Failure::internal("fetching broke off")),
        }
    }
    if let Some(why) = &fetched.moved {
        fetched.completeness = Completeness::Incomplete(why.clone());
    }
    let complete = fetched.completeness == Completeness::Complete;
    parser.required_are_there(complete && most > 1)?;
    if complete && !ended && !shows_its_own_end(settings) {
        fetched.completeness = Completeness::Unproven(unproven(settings));
    }
    Ok(fetched)
}

fn nobody_new(page: &Arrived, pages: u32) -> String {
    let first = (page.number + 1).saturating_sub(u64::from(pages));
    format!(
        "pages {first} to {} brought nobody new, and there would be more: the paging seems to have no end; \
         see what it answers by hand, and check pagination",
        page.number
    )
}

/// Why what was read can't be the list as it was at one time, with what to do about it.
fn moved(parser: &Parser<'_>) -> Option<String> {
    let why = parser.log.moved()?;
    Some(match parser.log.pages_disagree() {
        true => format!(
            "the list moved while its pages were read: {why}; have it sorted by a column that never changes, read it at \
             a quieter hour, or raise reads"
        ),
        false => why,
    })
}

/// Whether a body that is cut off can't look like a whole one: JSON is closed, and what is declared is counted.
fn shows_its_own_end(settings: &HttpSettings) -> bool {
    settings.format.shows_its_own_end() || settings.total().is_some()
}

fn unproven(settings: &HttpSettings) -> String {
    let pages = if settings.pagination == Pagination::None { "the answer" } else { "a page" };
    let remedy = match &settings.format {
        FormatSettings::Csv(_) => "total = { header = \"…\" } or trailer",
        FormatSettings::Ndjson | FormatSettings::Json(_) => "total = { header = \"…\" }",
    };
    format!(
        "{pages} came without a length (Content-Length or chunks), so that a part of it would look like the whole; \
         have it sent with one, or write {remedy}"
    )
}

/// Asks whether the export is as it was when it gave these validators. One request, which gives the first page if it is not.
///
/// # Errors
/// It can't be reached, or refuses us.
async fn since(
    source: &SourceSettings,
    settings: &HttpSettings,
    known: &Validators,
) -> Result<(Since, Option<FirstPage>)> {
    let fetcher = Fetcher::new(source, settings, &std::env::temp_dir())?;
    let pager = Pager::new(&settings.pagination, &settings.url, settings.max_pages);
    match fetcher.get(pager.at(), Some(known)).await {
        Ok(Got::Unchanged(headers)) => {
            let stated = known.last_modified.as_deref().and_then(http_date);
            Ok((Since::Unchanged(last_modified(&headers).or(stated)), None))
        }
        Ok(Got::Page(page)) => Ok((Since::Changed, Some(FirstPage { fetcher, page }))),
        Err(trouble) => Err(trouble.into_failure(&source.name)),
    }
}

fn last_modified(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    headers.get(header::LAST_MODIFIED).and_then(|value| value.to_str().ok()).and_then(http_date)
}

fn http_date(text: &str) -> Option<DateTime<Utc>> {
    httpdate::parse_http_date(text).ok().map(DateTime::from)
}

#[cfg(test)]
mod tests;
