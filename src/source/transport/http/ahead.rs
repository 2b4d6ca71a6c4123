//! The task that fetches pages, one ahead of the one that is parsed, and decides from what each says whether another
//! one follows.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;
use serde_json::Value;
use tokio::sync::mpsc;
use url::Url;

use super::fetch::{Fetcher, Got, Page, Trouble};
use super::paging::{Next, Pager, Told};
use super::parse::look_through;
use super::proof::{Progress, says_more, signs, went_wrong};
use super::{Validators, last_modified};
use crate::config::settings::{HttpSettings, Pagination, SourceSettings, Total};
use crate::domain::change_token::ChangeToken;
use crate::domain::error::{Error, Failure, LocalReason};
use crate::http::body::Body;
use crate::source::format::json::Skimmed;
use crate::source::trust::Completeness;

/// What the fetching task tells.
pub(super) enum Event {
    /// One more page.
    Page(Arrived),
    /// There is none after that number.
    End {
        /// Whether that is all.
        completeness: Completeness,
        /// How many there were.
        pages: u64,
        /// It ended where the source says that the list ends.
        whole: bool,
    },
    /// Nothing can be had.
    Failed(Failure),
}

/// A page that is there, and what is known of it before it is parsed.
pub(super) struct Arrived {
    /// Its number, from 1.
    pub number: u64,
    /// What it holds.
    pub body: Arc<Body>,
    /// When it was last changed, if it says so.
    pub modified_at: Option<DateTime<Utc>>,
    /// With what to ask for it again.
    pub token: Option<ChangeToken>,
    /// How many records it declares in all.
    pub declared: Option<u64>,
    /// Whether the protocol shows its end.
    pub ended: bool,
    /// Whether none follows.
    pub last: bool,
}

/// Fetches every page, at most so many; the first one only if it is not there yet.
pub(super) async fn fetch_all(
    (source, settings): (Arc<SourceSettings>, Arc<HttpSettings>),
    fetcher: Arc<Fetcher>,
    mut first: Option<Page>,
    sender: mpsc::Sender<Event>,
    most: u64,
) {
    let pager = Pager::new(&settings.pagination, &settings.url, settings.max_pages);
    let mut course = Course { pager, total: None, results: None };
    loop {
        // Only when there is room: the page before is being parsed, and none waits.
        let Ok(permit) = sender.reserve().await else { return };
        let number = course.pager.page();
        let (page, skimmed) = match fetch_one(&fetcher, &settings, course.pager.at(), first.take()).await {
            Ok(found) => found,
            Err(trouble) => {
                permit.send(given_up(&source, number, trouble));
                return;
            }
        };
        course.note(&skimmed);
        let is_beyond = match &skimmed.no_list {
            Some(why) if !course.is_beyond() => {
                permit.send(given_up(&source, number, no_page(why.clone())));
                return;
            }
            no_list => no_list.is_some(),
        };
        let declared = declared(&settings, &page.headers, &skimmed);
        let next = course.go_on(&settings, &page, &skimmed, declared);
        if is_beyond {
            // There is nothing in it to be parsed.
            drop(permit);
        } else {
            permit.send(Event::Page(Arrived {
                number,
                body: Arc::clone(&page.body),
                modified_at: last_modified(&page.headers),
                token: Validators::of(&page.headers).map(|known| known.token()),
                declared,
                ended: page.ended,
                last: !matches!(next, Ok(Next::Go(_))),
            }));
        }
        let (completeness, whole) = match next {
            Ok(Next::Go(_)) if number < most => continue,
            // Only the beginning was wanted, which says nothing of the whole.
            Ok(Next::Go(_)) => (Completeness::Complete, false),
            Ok(Next::End) => (Completeness::Complete, number < most),
            Ok(Next::Lost(why)) | Err(why) if settings.pagination == Pagination::None => {
                (Completeness::Incomplete(why), false)
            }
            Ok(Next::Lost(why)) | Err(why) => (Completeness::Incomplete(format!("after page {number}: {why}")), false),
        };
        // Nobody listens any more where the page that was just sent ended the read.
        drop(sender.send(Event::End { completeness, pages: number, whole }).await);
        return;
    }
}

fn given_up(source: &SourceSettings, number: u64, trouble: Trouble) -> Event {
    if number == 1 || trouble.error == Error::Local(LocalReason::Io) {
        return Event::Failed(trouble.into_failure(&source.name));
    }
    let why = format!("page {number} can't be read: {}", trouble.message);
    Event::End { completeness: Completeness::Incomplete(why), pages: number, whole: false }
}

/// Fetches a page, unless it is there already, and looks through it.
async fn fetch_one(
    fetcher: &Fetcher,
    settings: &Arc<HttpSettings>,
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
    let (body, settings) = (Arc::clone(&page.body), Arc::clone(settings));
    let skimmed = tokio::task::spawn_blocking(move || look_through(&body, &settings))
        .await
        .map_err(|_| Trouble::unusable("looking through a page broke off"))?
        .map_err(no_page)?;
    Ok((page, skimmed))
}

/// Why an answer is no page, with what to do.
fn no_page(why: String) -> Trouble {
    Trouble::unusable(why).help("see what it answers by hand; check url, format and records")
}

/// The way through the pages, and the total that the first of them declared.
struct Course<'a> {
    pager: Pager<'a>,
    total: Option<u64>,
    /// The most results that a page said of itself that there are.
    results: Option<u64>,
}

impl Course<'_> {
    /// Notes how many results a page says that there are.
    fn note(&mut self, skimmed: &Skimmed) {
        self.results = self.results.max(skimmed.hints.total_results);
    }

    /// Whether the page that was asked for is one behind everybody who is declared. Its list may be missing: servers of
    /// SCIM leave `Resources` out where it would be empty (RFC 7644, section 3.4.2).
    fn is_beyond(&self) -> bool {
        let all = self.total.or(self.results);
        self.pager.page() > 1 && all.is_some_and(|all| self.pager.records() >= all)
    }

    /// Where a page leads; an error is why it is not to be believed.
    fn go_on(
        &mut self,
        settings: &HttpSettings,
        page: &Page,
        skimmed: &Skimmed,
        declared: Option<u64>,
    ) -> Result<Next, String> {
        if let Some(why) = went_wrong(settings, skimmed) {
            return Err(why);
        }
        self.total = self.total.or(declared);
        if self.total.is_none()
            && let Some(total) = settings.total()
        {
            let place = match total {
                Total::Pointer(pointer) => format!("at {pointer:?}"),
                Total::Header(name) => format!("in the header {name}"),
            };
            return Err(format!("there is no number {place}, where total says that there is one"));
        }
        let name = match &settings.pagination {
            Pagination::Link => "link",
            Pagination::Header { name, .. } => name,
            _ => "",
        };
        let header = headers_of(&page.headers, name);
        let arrived = self.pager.records() + skimmed.count;
        let progress = Progress { url: &page.url, arrived, declared: self.total };
        let more = signs(settings, &page.headers, skimmed, &progress);
        let told = Told {
            count: skimmed.count,
            pointed: skimmed.next.as_ref(),
            header: header.as_deref(),
            more: !more.is_empty(),
            no_more: skimmed.hints.no_more && skimmed.hints.more.is_none(),
        };
        Ok(match (self.pager.go_on(&told, &page.url, self.total), more.first()) {
            (Next::End, Some(sign)) => Next::Lost(says_more(settings, sign)),
            (next, _) => next,
        })
    }
}

/// How many records a page says that there are in all.
fn declared(settings: &HttpSettings, headers: &HeaderMap, skimmed: &Skimmed) -> Option<u64> {
    match settings.total()? {
        Total::Pointer(_) => skimmed.total.as_ref().and_then(Value::as_u64),
        Total::Header(name) => headers.get(name)?.to_str().ok()?.trim().parse().ok(),
    }
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
