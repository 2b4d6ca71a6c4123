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
use reqwest::{Response, StatusCode, Version};
use tokio::time::Instant;
use url::Url;

use super::Validators;
use super::paging::same_host;
use super::unpack::{ACCEPTED, Packing, packing, unpacked};
use crate::config::settings::{FormatSettings, HttpSettings, SourceSettings};
use crate::domain::error::{Error, Failure, LocalReason, Result, SourceReason};
use crate::domain::html::{begins_like_html, is_html_type};
use crate::domain::outcome::ErrorKind;
use crate::domain::retry::{self, Backoff, RetryVerdict};
use crate::http::auth::{self, Carried, Credential, Exchange, Issued, Renewal, SessionVerdict};
use crate::http::body::{Body, BodyError, BodyReadError, Deadline, Store};
use crate::http::client::{self, Client, in_bytes};
use crate::http::error::SendError;
use crate::http::error::connecting;
use crate::http::oauth::{ClientCredentials, token_in};
use crate::http::rate::{Memory, RateGate};

/// How many redirects are followed: as many as browsers follow for one page, roughly.
const MOST_REDIRECTS: usize = 10;

/// Asks for pages.
pub(super) struct Fetcher {
    owner: String,
    settings: HttpSettings,
    client: Client,
    fixed: Option<(HeaderName, HeaderValue)>,
    tokens: Option<Tokens>,
    gate: RateGate<Memory>,
    backoff: Backoff,
    directory: PathBuf,
}

/// The tokens of a source, and what asks for them. Their answers are unpacked by the client.
struct Tokens {
    credentials: ClientCredentials,
    client: Client,
    renewal: Renewal,
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

/// Why there is no token, and so no page.
impl From<SendError> for Trouble {
    fn from(error: SendError) -> Trouble {
        match error.kind {
            ErrorKind::Auth => Trouble::new(Error::Source(SourceReason::Denied), error.message)
                .help("check auth: token_url, client_id, client_secret, scope"),
            _ => Trouble::passing(Error::Source(SourceReason::Unreachable), error.message).help("check auth.token_url"),
        }
    }
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
        let tokens = match ClientCredentials::of(&owner, &settings.auth)? {
            None => None,
            Some(credentials) => {
                let client = Client::new(&owner, builder()?, settings.timeout)?;
                Some(Tokens { credentials, client, renewal: Renewal::default() })
            }
        };
        Ok(Fetcher {
            client: Client::new(&owner, builder()?.no_gzip(), settings.timeout)?,
            fixed: auth::fixed(&owner, &settings.auth)?,
            owner,
            tokens,
            gate: RateGate::new(settings.rate, settings.rate.default_burst(), Memory::default()),
            backoff: Backoff { attempts: settings.retry.attempts, base: settings.retry.base, max: settings.retry.max },
            settings: settings.clone(),
            directory: directory.to_path_buf(),
        })
    }

    /// What its gate has seen.
    #[cfg(test)]
    pub fn counters(&self) -> crate::http::rate::GateCounters {
        self.gate.counters()
    }

    /// Gets one page; with validators, only if it has changed since.
    ///
    /// # Errors
    /// There is none, after all retries.
    pub async fn get(&self, url: &Url, known: Option<&Validators>) -> Result<Got, Trouble> {
        let mut tries = 1;
        loop {
            let trouble = match self.carried(url, known).await {
                Ok(got) => return Ok(got),
                Err(trouble) => trouble,
            };
            let chance = rand::rng().random::<f64>();
            let pause = match trouble.again {
                Again::Perhaps(asked) => self.backoff.again(tries, chance, asked),
                Again::No | Again::LoggedIn => None,
            };
            let Some(pause) = pause else { return Err(trouble) };
            tracing::debug!(owner = %self.owner, tries, "trying again: {}", trouble.message);
            tokio::time::sleep(pause).await;
            tries += 1;
        }
    }

    /// Asks once; with another token where the first one is over.
    async fn carried(&self, url: &Url, known: Option<&Validators>) -> Result<Got, Trouble> {
        let Some(tokens) = &self.tokens else { return self.follow(url, known, None).await };
        match tokens.renewal.carry(&Getting { fetcher: self, tokens, url, known }).await? {
            Carried::Answered(got) => got,
            Carried::OverAgain(got) => got.map_err(|trouble| Trouble { again: Again::Perhaps(None), ..trouble }),
        }
    }

    /// Asks for a token, by one more request under the rate of the source.
    async fn ask_for_token(&self, tokens: &Tokens) -> Result<Issued, SendError> {
        let Ok(()) = self.gate.acquire().await;
        let asked = Instant::now();
        let answer = tokens.credentials.ask(&tokens.client).await?;
        let token = token_in(answer.status, &answer.body, asked);
        if token.as_ref().is_err_and(|error| error.kind == ErrorKind::RateLimited)
            && let Some(pause) = asked_pause(&answer.headers)
        {
            self.gate.pause(pause.min(self.backoff.max));
        }
        token
    }

    /// Asks once, and follows redirects within the host.
    async fn follow(&self, url: &Url, known: Option<&Validators>, token: Option<&Credential>) -> Result<Got, Trouble> {
        let mut at = url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let Ok(()) = self.gate.acquire().await;
            match self.ask(&at, known, token).await? {
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

    async fn ask(&self, at: &Url, known: Option<&Validators>, token: Option<&Credential>) -> Result<Answer, Trouble> {
        let mut request = self.client.get(at.clone()).header(header::ACCEPT, accepted(&self.settings.format));
        request = request.header(header::ACCEPT_ENCODING, ACCEPTED);
        if let Some((name, value)) = &self.fixed {
            request = request.header(name, value);
        }
        if let Some((name, value)) = token.map(Credential::header) {
            let value = auth::sensitive(&self.owner, value).map_err(|failure| Trouble::unusable(failure.message))?;
            request = request.header(name, value);
        }
        if let Some(etag) = known.and_then(|known| known.etag.as_deref()) {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        if let Some(date) = known.and_then(|known| known.last_modified.as_deref()) {
            request = request.header(header::IF_MODIFIED_SINCE, date);
        }
        let mut patience = self.client.patience();
        let response = self.client.begin(request, &patience).await.map_err(|error| match error.kind {
            ErrorKind::Timeout if error.maybe_sent => self.late(),
            ErrorKind::Protocol => {
                let message = format!("it answers, and not as it should: {}", error.message);
                Trouble::passing(Error::Source(SourceReason::Unreachable), message)
                    .help("check url: scheme, host and port")
            }
            _ => {
                let message = format!("it can't be reached: {}", error.message);
                let trouble = Trouble::passing(Error::Source(SourceReason::Unreachable), message);
                match connecting(at, &error.message) {
                    Some(help) => trouble.help(help),
                    None => trouble.help("run again; if it stays so, see what breaks the connection"),
                }
            }
        })?;
        self.judge(at, response, &mut patience, known.is_some()).await
    }

    fn late(&self) -> Trouble {
        let message = format!("no whole answer within {:?}", self.settings.timeout);
        Trouble::passing(Error::Source(SourceReason::Unreachable), message)
            .help("raise timeout, or ask for smaller pages")
    }

    async fn judge(
        &self,
        at: &Url,
        response: Response,
        patience: &mut Deadline,
        conditional: bool,
    ) -> Result<Answer, Trouble> {
        let status = response.status();
        let code = status.as_u16();
        let again = match RetryVerdict::of(code) {
            RetryVerdict::SlowDown | RetryVerdict::Trouble => Again::Perhaps(asked_pause(response.headers())),
            RetryVerdict::No => Again::No,
        };
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
                return Err(Trouble { again, ..trouble }.help("set rate for this source"));
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
                return Err(Trouble { again, ..trouble }.help("run again when it is well"));
            }
            _ => {
                return Err(Trouble::unusable(format!("it answers with HTTP {code}")).help("check url and pagination"));
            }
        }
        let url = at.clone();
        let headers = response.headers().clone();
        let ended = shows_its_end(&response);
        let body = Arc::new(self.body(response, patience).await?);
        Ok(Answer::Got(Got::Page(Page { url, headers, body, ended })))
    }

    /// The body, unpacked, within the cap.
    async fn body(&self, mut response: Response, patience: &mut Deadline) -> Result<Body, Trouble> {
        let most = self.settings.max_page;
        let kept = |unkept| match unkept {
            BodyError::TooLarge => {
                let message = format!("a page is larger than max_page ({}) unpacked", in_bytes(most));
                Trouble::unusable(message).help("ask for smaller pages, or raise max_page")
            }
            BodyError::Unpacking(error) => torn(&error.to_string()),
            BodyError::Disk(error) => full(error),
        };
        let content_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if content_type.is_some_and(is_html_type) {
            return Err(web_page());
        }
        let packing = packing(response.headers()).map_err(|()| {
            Trouble::unusable("it packs its answer in a way that was not asked for (Content-Encoding)")
                .help(format!("what it may use is {ACCEPTED}; see what stands between this machine and the source"))
        })?;
        let mut store = Store::spilling(&self.directory, most);
        store.receive(&mut response, patience).await.map_err(|unread| match unread {
            BodyReadError::BodyError(unkept) => kept(unkept),
            BodyReadError::Broken(error) if error.kind == ErrorKind::Timeout => self.late(),
            BodyReadError::Broken(error) => torn(&error.message),
        })?;
        let empty = store.length() == 0;
        if empty && self.settings.format.json().is_some() {
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

    async fn unpacked(&self, body: Body, packing: Packing) -> Result<Body, BodyError> {
        let (directory, most) = (self.directory.clone(), self.settings.max_page);
        tokio::task::spawn_blocking(move || unpacked(&body, packing, &directory, most))
            .await
            .map_err(|error| BodyError::Unpacking(io::Error::other(error)))?
    }
}

/// One page, and with what it is asked for.
struct Getting<'a> {
    fetcher: &'a Fetcher,
    tokens: &'a Tokens,
    url: &'a Url,
    known: Option<&'a Validators>,
}

impl Exchange for Getting<'_> {
    type Answer = Result<Got, Trouble>;
    type Error = Trouble;

    async fn ask(&self) -> Result<Issued, SendError> {
        self.fetcher.ask_for_token(self.tokens).await
    }

    async fn send(&self, token: Credential, _: bool) -> Result<Self::Answer, Trouble> {
        Ok(self.fetcher.follow(self.url, self.known, Some(&token)).await)
    }

    fn standing(&self, got: &Self::Answer) -> SessionVerdict {
        match got {
            Ok(_) => SessionVerdict::Accepted,
            Err(trouble) if matches!(trouble.again, Again::LoggedIn) => SessionVerdict::Over,
            Err(_) => SessionVerdict::Untold,
        }
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

fn accepted(format: &FormatSettings) -> &'static str {
    match format {
        FormatSettings::Json(_) => "application/json",
        FormatSettings::Ndjson => "application/x-ndjson, application/json;q=0.5",
        FormatSettings::Csv(_) => "text/csv, text/plain;q=0.5, */*;q=0.1",
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

/// How long an answer asks to be left alone.
fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    retry::asked_pause(text(header::RETRY_AFTER), text(header::DATE), Some(crate::os::clock::now()))
}
