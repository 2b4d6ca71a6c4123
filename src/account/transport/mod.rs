//! The socket to a target: one client, with authentication, time limit and size limit, that turns a [`ApiRequest`] into an
//! [`ApiResponse`] or says what went wrong and whether the request may have left.
//!
//! It follows no redirect (a redirect would carry credentials to another host), reads no proxy from the environment,
//! and keeps no more of an answer than [`LARGEST_ANSWER`]. Its errors name neither URL nor value.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, Response};
use secrecy::ExposeSecret;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use url::{Host, Url};

use crate::api::{ApiRequest, ApiResponse, Held};
use crate::config::settings::TargetSettings;
use crate::domain::error::{Error, Failure};
use crate::domain::outcome::ErrorKind;
use crate::http::client;
use crate::http::error::{SendError, explained};
use crate::http::settings::AuthSettings;

/// The largest answer, decompressed: the contract's 10 MB. Nothing beyond it is kept in memory.
pub const LARGEST_ANSWER: usize = 10_000_000;

/// An answer that is longer than this is a large one. Those to look-ups and writes are shorter by far.
const LARGE: usize = 65_536;

/// How many large answers, of all targets together, are in memory at a time, from the first byte beyond [`LARGE`] to the
/// verdict on them. Small ones never wait for one.
static LARGE_ANSWERS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(2)));

/// A client of one target.
pub struct Transport {
    client: Client,
    base: Url,
    timeout: Duration,
    grant: Option<Grant>,
}

/// What asks for access tokens.
struct Grant {
    url: Url,
    authorization: HeaderValue,
    form: String,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transport({})", self.base.host_str().unwrap_or_default())
    }
}

impl Transport {
    /// A client with the target's secrets read and its limits set. Nothing is sent.
    ///
    /// # Errors
    /// A secret can't be read (as [`Secret::read`] says) or can't stand in a header, the kind of authentication is not
    /// one of this target's, credentials would go unencrypted to another machine: exit 78.
    pub fn new(settings: &TargetSettings) -> Result<Transport, Failure> {
        let owner = format!("target {}", settings.name);
        refuse_credentials_in_the_clear(settings)?;
        client::clock_can_judge_certificates(&owner, &settings.base_url)?;
        let builder = client::builder(&owner, &settings.network, settings.timeout)?
            .default_headers(credentials(settings)?)
            .pool_max_idle_per_host(settings.concurrency);
        let client = client::client(&owner, builder)?;
        let grant = grant(&owner, settings)?;
        Ok(Transport { client, base: settings.base_url.whole(), timeout: settings.timeout, grant })
    }

    /// Sends one request and reads its whole answer, whatever the status. The target's time limit covers both.
    ///
    /// # Errors
    /// No whole answer came. `maybe_sent` tells whether the target may have acted on the request.
    pub async fn send(&self, wire: &ApiRequest) -> Result<ApiResponse, SendError> {
        self.exchanged(self.request(wire)?).await
    }

    /// Asks the token endpoint for an access token by client credentials (RFC 6749, section 4.4).
    ///
    /// # Errors
    /// As [`Transport::send`]; and where the configuration has no token endpoint.
    pub async fn ask_for_token(&self) -> Result<ApiResponse, SendError> {
        let Some(grant) = &self.grant else {
            let message = "there is no token endpoint".to_string();
            return Err(SendError { kind: ErrorKind::Invalid, maybe_sent: false, message });
        };
        let request = self
            .client
            .post(grant.url.clone())
            .header(AUTHORIZATION, grant.authorization.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(grant.form.clone());
        self.exchanged(request).await
    }

    async fn exchanged(&self, request: RequestBuilder) -> Result<ApiResponse, SendError> {
        let mut patience = Patience { limit: self.timeout, until: Instant::now() + self.timeout };
        let response = patience.wait(request.send()).await?;
        let mut response = response.map_err(|error| explained(&error))?;
        let status = response.status().as_u16();
        let headers = headers(&response);
        let (body, held) = body(&mut response, &mut patience).await?;
        Ok(ApiResponse { status, headers, body, held })
    }

    fn request(&self, wire: &ApiRequest) -> Result<RequestBuilder, SendError> {
        let unsendable =
            |message: &str| SendError { kind: ErrorKind::Invalid, maybe_sent: false, message: message.to_string() };
        let url = joined(&self.base, &wire.path).ok_or_else(|| unsendable("the path leads out of base_url"))?;
        let method = Method::from_bytes(wire.method.as_bytes()).map_err(|_| unsendable("no such method"))?;
        let mut request = self.client.request(method, url);
        for (name, value) in &wire.headers {
            let mut value = HeaderValue::from_str(value).map_err(|_| unsendable("a header can't carry its value"))?;
            value.set_sensitive(!matches!(name.as_str(), "accept" | "content-type"));
            request = request.header(name, value);
        }
        Ok(match &wire.body {
            Some(body) => request.body(body.clone()),
            None => request,
        })
    }
}

/// The URL of a path below the base, whose own path stays in front. Nothing when it would lead elsewhere (`..`).
fn joined(base: &Url, path: &str) -> Option<Url> {
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let front = base.path().trim_end_matches('/').to_string();
    let mut url = base.clone();
    url.set_fragment(None);
    url.set_path(&format!("{front}{path}"));
    url.set_query(query);
    let inside = url.path().strip_prefix(&front)?;
    // As many segments as were asked for: none was swallowed by a dot segment.
    (inside.starts_with('/') && inside.matches('/').count() == path.matches('/').count()).then_some(url)
}

/// How long an answer is waited for.
struct Patience {
    limit: Duration,
    until: Instant,
}

impl Patience {
    async fn wait<T>(&self, what: impl Future<Output = T>) -> Result<T, SendError> {
        tokio::time::timeout_at(self.until, what).await.map_err(|_| SendError {
            kind: ErrorKind::Timeout,
            maybe_sent: true,
            message: format!("no answer within {:?}", self.limit),
        })
    }

    /// A share of the memory for large answers. That others have it is not the target's fault.
    async fn share(&mut self) -> Held {
        let asked = Instant::now();
        // Nobody closes the semaphore: there is always a share in the end.
        let share = Arc::clone(&LARGE_ANSWERS).acquire_owned().await.ok();
        self.until += asked.elapsed();
        Held::of(share)
    }
}

fn headers(response: &Response) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    response.headers().iter().map(|(name, value)| (name.as_str().to_string(), text(value))).collect()
}

/// The body, piece by piece as it is decompressed, as long as it is within the limit; what a large one holds.
async fn body(response: &mut Response, patience: &mut Patience) -> Result<(Vec<u8>, Held), SendError> {
    let too_large = || SendError {
        kind: ErrorKind::Protocol,
        maybe_sent: true,
        message: format!("an answer of more than {} MB", LARGEST_ANSWER / 1_000_000),
    };
    let announced = usize::try_from(response.content_length().unwrap_or(0)).unwrap_or(usize::MAX);
    if announced > LARGEST_ANSWER {
        return Err(too_large());
    }
    let mut body = Vec::with_capacity(announced.min(LARGE));
    let mut held = None;
    while let Some(chunk) = patience.wait(response.chunk()).await?.map_err(|error| explained(&error))? {
        let length = body.len() + chunk.len();
        if length > LARGEST_ANSWER {
            return Err(too_large());
        }
        if length > LARGE && held.is_none() {
            held = Some(patience.share().await);
            body.reserve_exact(announced.max(length) - body.len());
        }
        if length > body.capacity() {
            body.reserve_exact((2 * length).min(LARGEST_ANSWER) - body.len());
        }
        body.extend_from_slice(&chunk);
    }
    Ok((body, held.unwrap_or_default()))
}

/// The headers that authenticate, marked so that no `Debug` shows them.
fn credentials(settings: &TargetSettings) -> Result<HeaderMap, Failure> {
    let kind = settings.auth.kind();
    let admitted = settings.engine.auth_kinds().iter().any(|admitted| admitted == kind);
    // What a session or a token is, is asked for when the first request leaves.
    if !matches!(settings.auth, AuthSettings::None) && !admitted {
        return Err(unsupported(settings, kind));
    }
    Ok(client::fixed_credentials(&format!("target {}", settings.name), &settings.auth)?.into_iter().collect())
}

/// What asks for access tokens, where the configuration says so.
fn grant(owner: &str, settings: &TargetSettings) -> Result<Option<Grant>, Failure> {
    let AuthSettings::OAuth2 { token_url, client_id, client_secret, scope } = &settings.auth else { return Ok(None) };
    // RFC 6749, section 2.3.1: both are form-encoded before they become user name and password.
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let secret = encoded(client_secret.read()?.expose_secret()).into();
    let authorization = client::sensitive(owner, &client::basic(&encoded(client_id), &secret))?;
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    if let Some(scope) = scope {
        form.append_pair("scope", scope);
    }
    Ok(Some(Grant { url: token_url.whole(), authorization, form: form.finish() }))
}

fn unsupported(settings: &TargetSettings, kind: &str) -> Failure {
    let message =
        format!("target {}: authentication of kind {kind:?} is not supported by {}", settings.name, settings.kind);
    Failure::new(Error::Config, message).help(format!("use one of {}", settings.engine.auth_kinds().join(", ")))
}

/// Over `http://` credentials go to this machine alone.
fn refuse_credentials_in_the_clear(settings: &TargetSettings) -> Result<(), Failure> {
    let loopback = match settings.base_url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if settings.base_url.scheme() == "https" || loopback || matches!(settings.auth, AuthSettings::None) {
        return Ok(());
    }
    let message = format!("target {}: credentials would go unencrypted to another machine", settings.name);
    Err(Failure::new(Error::Config, message).help("use https:// in base_url"))
}

#[cfg(test)]
mod tests;
