//! One page: asked for when its turn has come, with retries, authenticated, and kept aside within its cap.
//!
//! What may pass (no connection, a server in trouble, a body that broke off) is tried again; what won't (a refusal, a
//! redirect to elsewhere, a log-in page, a bomb) is not.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, StatusCode, Version};
use url::Url;

use super::Validators;
use super::paging::same_host;
use super::unpack::{ACCEPTED, Body, Packing, Store, Unkept, packing, unpacked};
use crate::config::settings::{BodyFormat, HttpSettings, SourceSettings};
use crate::domain::error::{Error, Failure, LocalReason, Result, SourceReason};
use crate::domain::outcome::ErrorKind;
use crate::domain::retry::{Backoff, retry_after};
use crate::http::client;
use crate::http::error::explained;
use crate::http::oauth::Tokens;
use crate::http::rate::RateGate;
use crate::http::settings::AuthSettings;

/// How many redirects are followed: as many as browsers follow for one page, roughly.
const MOST_REDIRECTS: usize = 10;

/// Asks for pages.
pub(super) struct Fetcher {
    owner: String,
    settings: HttpSettings,
    client: Client,
    fixed: Option<(HeaderName, HeaderValue)>,
    tokens: Option<Tokens>,
    gate: RateGate,
    backoff: Backoff,
    directory: PathBuf,
}

/// What came of asking.
pub(super) enum Got {
    /// A page.
    Page(Page),
    /// It is as it was when these validators were given.
    Unchanged(HeaderMap),
}

/// A page, whole.
pub(super) struct Page {
    /// Where it came from in the end.
    pub url: Url,
    /// Its headers.
    pub headers: HeaderMap,
    /// What it holds, unpacked.
    pub body: Arc<Body>,
    /// Whether the protocol shows that it came to its end: by a length, by chunks, or by a stream that was ended.
    /// Else the end is where the connection was closed, for whatever reason.
    pub ended: bool,
}

/// Why there is no page.
#[derive(Debug)]
pub(super) struct Trouble {
    /// Whose trouble it is, if it is the first page.
    pub error: Error,
    /// What happened, without address or value.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    again: Again,
}

/// Whether asking again may help.
#[derive(Debug)]
enum Again {
    No,
    /// After as long as the server asked for, if it did.
    Perhaps(Option<Duration>),
    /// With another token.
    LoggedIn,
}

impl Trouble {
    fn new(error: Error, message: impl Into<String>) -> Trouble {
        Trouble { error, message: message.into(), help: None, again: Again::No }
    }

    /// The source was reached and can't be read as configured.
    pub fn unusable(message: impl Into<String>) -> Trouble {
        Trouble::new(Error::Source(SourceReason::Untrusted), message)
    }

    fn passing(error: Error, message: impl Into<String>) -> Trouble {
        Trouble { again: Again::Perhaps(None), ..Trouble::new(error, message) }
    }

    /// The same, with what to do about it.
    pub fn help(self, help: impl Into<String>) -> Trouble {
        Trouble { help: Some(help.into()), ..self }
    }

    /// The failure that it is for the whole source.
    pub fn into_failure(self, source: &str) -> Failure {
        let failure = Failure::new(self.error, format!("source {source}: {}", self.message));
        match self.help {
            Some(help) => failure.help(help),
            None => failure,
        }
    }
}

impl Fetcher {
    /// A fetcher with the source's secrets read. Nothing is sent. Large pages go into `directory`.
    ///
    /// # Errors
    /// A secret or a certificate can't be used (77, 78).
    pub fn new(source: &SourceSettings, settings: &HttpSettings, directory: &Path) -> Result<Fetcher> {
        let owner = format!("source {}", source.name);
        client::clock_can_judge_certificates(&owner, &settings.url)?;
        let builder = || client::builder(&owner, &settings.network, settings.timeout);
        let client = client::client(&owner, builder()?.no_gzip())?;
        let tokens = match &settings.auth {
            AuthSettings::OAuth2 { token_url, client_id, client_secret, scope } => {
                client_secret.read()?;
                let who = (client_id.clone(), client_secret.clone());
                Some(Tokens::new(
                    owner.clone(),
                    client::client(&owner, builder()?)?,
                    token_url.whole(),
                    who,
                    scope.clone(),
                    settings.timeout,
                ))
            }
            _ => None,
        };
        Ok(Fetcher {
            fixed: client::fixed_credentials(&owner, &settings.auth)?,
            owner,
            client,
            tokens,
            gate: RateGate::new(settings.rate, settings.rate.default_burst()),
            backoff: Backoff { attempts: settings.retry.attempts, base: settings.retry.base, max: settings.retry.max },
            settings: settings.clone(),
            directory: directory.to_path_buf(),
        })
    }

    /// Gets one page; with validators, only if it has changed since.
    ///
    /// # Errors
    /// There is none, after all retries.
    pub async fn get(&self, url: &Url, known: Option<&Validators>) -> Result<Got, Trouble> {
        let mut tries = 1;
        let mut renewed = false;
        loop {
            let trouble = match self.follow(url, known).await {
                Ok(got) => {
                    self.tokens.iter().for_each(Tokens::accepted);
                    return Ok(got);
                }
                Err(trouble) => trouble,
            };
            let asked = match (&trouble.again, &self.tokens) {
                // Each try may renew the token once.
                (Again::LoggedIn, Some(tokens)) if !renewed => {
                    renewed = true;
                    tokens.forget().await;
                    continue;
                }
                // Tokens can end more than once; where one was accepted, the credentials are right.
                (Again::LoggedIn, Some(tokens)) if tokens.were_accepted() && self.backoff.allows_another(tries) => {
                    renewed = false;
                    tokens.forget().await;
                    None
                }
                (Again::Perhaps(asked), _) if self.backoff.allows_another(tries) => *asked,
                _ => return Err(trouble),
            };
            tracing::debug!(owner = %self.owner, tries, "trying again: {}", trouble.message);
            let chance = rand::rng().random::<f64>();
            tokio::time::sleep(self.backoff.pause(tries, chance, asked)).await;
            tries += 1;
        }
    }

    /// Asks once, and follows redirects within the host.
    async fn follow(&self, url: &Url, known: Option<&Validators>) -> Result<Got, Trouble> {
        let mut at = url.clone();
        for _ in 0..=MOST_REDIRECTS {
            self.gate.acquire().await;
            let asking = tokio::time::timeout(self.settings.timeout, self.ask(&at, known));
            let late = || format!("no whole answer within {:?}", self.settings.timeout);
            let late = || {
                Trouble::passing(Error::Source(SourceReason::Unreachable), late())
                    .help("raise timeout, or ask for smaller pages")
            };
            match asking.await.map_err(|_| late())?? {
                Answer::Got(got) => return Ok(got),
                Answer::Elsewhere(next) if same_host(&at, &next) => at = next,
                Answer::Elsewhere(_) => {
                    return Err(Trouble::unusable("it redirects to another host, where our credentials don't belong")
                        .help("is that a log-in page? check url and auth; if it has moved, name the new address"));
                }
            }
        }
        Err(Trouble::unusable(format!("it redirects more than {MOST_REDIRECTS} times")).help("check url and auth"))
    }

    async fn ask(&self, at: &Url, known: Option<&Validators>) -> Result<Answer, Trouble> {
        let mut request = self.client.get(at.clone()).header(header::ACCEPT, accepted(self.settings.format));
        request = request.header(header::ACCEPT_ENCODING, ACCEPTED);
        if let Some((name, value)) = &self.fixed {
            request = request.header(name, value);
        }
        if let Some(tokens) = &self.tokens {
            let token = tokens.header().await.map_err(|failure| Trouble {
                again: if failure.error == Error::Source(SourceReason::Unreachable) {
                    Again::Perhaps(None)
                } else {
                    Again::No
                },
                help: failure.help.clone(),
                ..Trouble::new(failure.error, failure.message)
            })?;
            request = request.header(header::AUTHORIZATION, token);
        }
        if let Some(etag) = known.and_then(|known| known.etag.as_deref()) {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        if let Some(date) = known.and_then(|known| known.last_modified.as_deref()) {
            request = request.header(header::IF_MODIFIED_SINCE, date);
        }
        let response = request.send().await.map_err(|error| {
            let error = explained(&error);
            if error.kind == ErrorKind::Protocol {
                let message = format!("it answers, and not as it should: {}", error.message);
                return Trouble::passing(Error::Source(SourceReason::Unreachable), message)
                    .help("check url: scheme, host and port");
            }
            let help = reaching(at, &error.message);
            Trouble::passing(
                Error::Source(SourceReason::Unreachable),
                format!("it can't be reached: {}", error.message),
            )
            .help(help)
        })?;
        self.judge(at, response, known.is_some()).await
    }

    async fn judge(&self, at: &Url, response: Response, conditional: bool) -> Result<Answer, Trouble> {
        let status = response.status();
        let code = status.as_u16();
        let after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let after = after.and_then(|text| retry_after(text, crate::os::clock::now()));
        match status {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if conditional => {
                return Ok(Answer::Got(Got::Unchanged(response.headers().clone())));
            }
            StatusCode::NOT_MODIFIED => {
                return Err(Trouble::unusable("it answers with HTTP 304 to a question that was not asked")
                    .help("see what stands between this machine and the source, e.g. a cache"));
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let trouble = Trouble::new(
                    Error::Source(SourceReason::Denied),
                    format!("it refuses the credentials: HTTP {code}"),
                );
                let trouble = trouble.help("check auth: the key may have expired or lack a permission");
                return Err(Trouble { again: Again::LoggedIn, ..trouble });
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                return Err(Trouble::new(
                    Error::Source(SourceReason::Unreachable),
                    format!("there is nothing at its address: HTTP {code}"),
                )
                .help("check url"));
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                let trouble = Trouble::new(
                    Error::Source(SourceReason::Unreachable),
                    format!("it asks to slow down: HTTP {code}"),
                );
                return Err(Trouble { again: Again::Perhaps(after), ..trouble }.help("set rate for this source"));
            }
            _ if status.is_redirection() => {
                let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
                let next = location.and_then(|text| at.join(text).ok());
                return next
                    .map(Answer::Elsewhere)
                    .ok_or_else(|| Trouble::unusable(format!("HTTP {code} that leads nowhere")).help("check url"));
            }
            _ if status.is_server_error() => {
                let trouble =
                    Trouble::new(Error::Source(SourceReason::Unreachable), format!("it is in trouble: HTTP {code}"));
                return Err(Trouble { again: Again::Perhaps(after), ..trouble }.help("run again when it is well"));
            }
            _ => {
                return Err(Trouble::unusable(format!("it answers with HTTP {code}")).help("check url and pagination"));
            }
        }
        let url = at.clone();
        let headers = response.headers().clone();
        let ended = shows_its_end(&response);
        let body = Arc::new(self.body(response).await?);
        Ok(Answer::Got(Got::Page(Page { url, headers, body, ended })))
    }

    /// The body, unpacked, within the cap.
    async fn body(&self, mut response: Response) -> Result<Body, Trouble> {
        let most = self.settings.max_page;
        let kept = |unkept| match unkept {
            Unkept::TooLarge => {
                let message = format!("a page is larger than max_page ({}) unpacked", megabytes(most));
                Trouble::unusable(message).help("ask for smaller pages, or raise max_page")
            }
            Unkept::Unpacking(error) => torn(&error.to_string()),
            Unkept::Disk(error) => full(error),
        };
        if is_html(response.headers()) {
            return Err(web_page());
        }
        if response.content_length().is_some_and(|length| length > most) {
            return Err(kept(Unkept::TooLarge));
        }
        let packing = packing(response.headers()).map_err(|()| {
            Trouble::unusable("it packs its answer in a way that was not asked for (Content-Encoding)")
                .help(format!("what it may use is {ACCEPTED}; see what stands between this machine and the source"))
        })?;
        let mut store = Store::new(&self.directory, most);
        while let Some(chunk) = response.chunk().await.map_err(|error| broken_off(&error))? {
            store.push(&chunk).map_err(kept)?;
        }
        let empty = store.length() == 0;
        if empty && self.settings.format == BodyFormat::Json {
            return Err(Trouble::unusable("the body is empty, where JSON should be").help("check url"));
        }
        let body = match packing.filter(|_| !empty) {
            Some(packing) => self.unpacked(store.done(), packing).await.map_err(kept)?,
            None => store.done(),
        };
        if begins_like_html(body.start()) {
            return Err(web_page());
        }
        Ok(body)
    }

    async fn unpacked(&self, body: Body, packing: Packing) -> Result<Body, Unkept> {
        let (directory, most) = (self.directory.clone(), self.settings.max_page);
        tokio::task::spawn_blocking(move || unpacked(&body, packing, &directory, most))
            .await
            .map_err(|error| Unkept::Unpacking(io::Error::other(error)))?
    }
}

/// Whether an answer shows where its body ends (RFC 9112, section 6.3; RFC 9113, section 8.1): else it ends where the
/// connection does, and a part of it looks like the whole.
fn shows_its_end(response: &Response) -> bool {
    let headers = response.headers();
    response.version() >= Version::HTTP_2
        || headers.contains_key(header::CONTENT_LENGTH)
        || headers.contains_key(header::TRANSFER_ENCODING)
}

/// What one request led to.
enum Answer {
    Got(Got),
    Elsewhere(Url),
}

/// What to do where no connection comes about. Of the address only host and port are told: the rest can hold secrets.
fn reaching(at: &Url, why: &str) -> String {
    let host = at.host_str().unwrap_or_default();
    let place = at.port_or_known_default().map_or_else(|| host.to_string(), |port| format!("{host}:{port}"));
    match why.to_ascii_lowercase().contains("certificate") {
        true => format!("if {place} has a certificate of your own authority, name that as ca_file"),
        false => format!("see whether {place} can be reached from this machine; behind a proxy, set proxy"),
    }
}

fn accepted(format: BodyFormat) -> &'static str {
    match format {
        BodyFormat::Json => "application/json",
        BodyFormat::Ndjson => "application/x-ndjson, application/json;q=0.5",
        BodyFormat::Csv => "text/csv, text/plain;q=0.5, */*;q=0.1",
    }
}

fn megabytes(bytes: u64) -> String {
    if bytes.is_multiple_of(1_000_000) { format!("{} MB", bytes / 1_000_000) } else { format!("{bytes} bytes") }
}

/// A body that did not come whole: late, short, or not packed as it says.
fn broken_off(error: &reqwest::Error) -> Trouble {
    let error = explained(error);
    match error.kind {
        ErrorKind::Timeout => {
            Trouble::passing(Error::Source(SourceReason::Unreachable), error.message).help("raise timeout")
        }
        _ => torn(&error.message),
    }
}

fn torn(why: &str) -> Trouble {
    Trouble::passing(Error::Source(SourceReason::Untrusted), format!("the page broke off, or can't be unpacked: {why}"))
        .help("run again; if it stays so, see what cuts its answers off")
}

fn full(error: io::Error) -> Trouble {
    Trouble::new(Error::Local(LocalReason::Io), format!("a page can't be kept in a temporary file: {error}"))
}

fn web_page() -> Trouble {
    Trouble::unusable("it answers with a web page (HTML) instead of data, probably a log-in page")
        .help("check url and auth: the log-in may have expired")
}

fn is_html(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("text/html") || kind.eq_ignore_ascii_case("application/xhtml+xml")
}

/// Whether a body is HTML that calls itself something else.
fn begins_like_html(body: &[u8]) -> bool {
    let start = String::from_utf8_lossy(&body[..body.len().min(256)]);
    let start = start.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    start.starts_with("<!doctype") || start.starts_with("<html")
}
