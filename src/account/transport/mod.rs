//! The socket to a target: the client of [`crate::http`], with the target's authentication and limits, that turns a
//! [`ApiRequest`] into an [`ApiResponse`] or says what went wrong and whether the request may have left.
//!
//! It follows no redirect (a redirect would carry credentials to another host), reads no proxy from the environment,
//! and keeps no more of an answer than [`LARGEST_ANSWER`]. Its errors name neither URL nor value.

use std::fmt;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder};
use url::Url;

use crate::api::{ApiRequest, ApiResponse, Held};
use crate::config::settings::TargetSettings;
use crate::domain::address;
use crate::domain::error::{Error, Failure};
use crate::domain::outcome::ErrorKind;
use crate::http::auth;
use crate::http::client::{self, Client, Response};
use crate::http::error::SendError;
use crate::http::oauth::ClientCredentials;
use crate::http::settings::AuthSettings;

/// The largest answer, decompressed: the contract's 10 MB. Nothing beyond it is kept in memory.
pub const LARGEST_ANSWER: usize = 10_000_000;

/// A client of one target.
pub struct Transport {
    client: Client,
    base: Url,
    grant: Option<ClientCredentials>,
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
        let client = Client::new(&owner, builder, settings.timeout)?;
        let grant = ClientCredentials::of(&owner, &settings.auth)?;
        Ok(Transport { client, base: settings.base_url.whole(), grant })
    }

    /// Sends one request and reads its whole answer, whatever the status. The target's time limit covers both.
    ///
    /// # Errors
    /// No whole answer came. `maybe_sent` tells whether the target may have acted on the request.
    pub async fn send(&self, request: &ApiRequest) -> Result<ApiResponse, SendError> {
        self.client.send(self.request(request)?, LARGEST_ANSWER as u64).await.map(answer)
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
        grant.ask(&self.client).await.map(answer)
    }

    fn request(&self, request: &ApiRequest) -> Result<RequestBuilder, SendError> {
        let unsendable =
            |message: &str| SendError { kind: ErrorKind::Invalid, maybe_sent: false, message: message.to_string() };
        let url = joined(&self.base, &request.path).ok_or_else(|| unsendable("the path leads out of base_url"))?;
        let method = Method::from_bytes(request.method.as_bytes()).map_err(|_| unsendable("no such method"))?;
        let mut builder = self.client.request(method, url);
        for (name, value) in &request.headers {
            let mut value = HeaderValue::from_str(value).map_err(|_| unsendable("a header can't carry its value"))?;
            value.set_sensitive(!matches!(name.as_str(), "accept" | "content-type"));
            builder = builder.header(name, value);
        }
        Ok(match &request.body {
            Some(body) => builder.body(body.clone()),
            None => builder,
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

/// An answer as definitions judge it.
fn answer(response: Response) -> ApiResponse {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = response.headers.iter().map(|(name, value)| (name.as_str().to_string(), text(value))).collect();
    let held = response.share.map(Held::of).unwrap_or_default();
    ApiResponse { status: response.status, headers, body: response.body, held }
}

/// The headers that authenticate, marked so that no `Debug` shows them.
fn credentials(settings: &TargetSettings) -> Result<HeaderMap, Failure> {
    let kind = settings.auth.kind();
    let admitted = settings.engine.auth_kinds().iter().any(|admitted| admitted == kind);
    // What a session or a token is, is asked for when the first request leaves.
    if !matches!(settings.auth, AuthSettings::None) && !admitted {
        return Err(unsupported(settings, kind));
    }
    Ok(auth::fixed(&format!("target {}", settings.name), &settings.auth)?.into_iter().collect())
}

fn unsupported(settings: &TargetSettings, kind: &str) -> Failure {
    let message =
        format!("target {}: authentication of kind {kind:?} is not supported by {}", settings.name, settings.kind);
    Failure::new(Error::Config, message).help(format!("use one of {}", settings.engine.auth_kinds().join(", ")))
}

/// Over `http://` credentials go to this machine alone.
fn refuse_credentials_in_the_clear(settings: &TargetSettings) -> Result<(), Failure> {
    if address::is_private(&settings.base_url) || matches!(settings.auth, AuthSettings::None) {
        return Ok(());
    }
    let message = format!("target {}: credentials would go unencrypted to another machine", settings.name);
    Err(Failure::new(Error::Config, message).help("use https:// in base_url"))
}

#[cfg(test)]
mod tests;
