//! OAuth 2.0 client credentials (RFC 6749, section 4.4): a token that is fetched when it is needed, kept while it
//! lasts, and fetched anew when the server won't have it any more.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Client;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use crate::domain::error::{Error, Failure, Result, SourceReason};
use crate::domain::outcome::ErrorKind;
use crate::http::client::{basic, prefixed, sensitive};
use crate::http::error::SendError;
use crate::http::secret::Secret;

/// A token is renewed this long before it ends, so that it doesn't end on the way; or after half of its life, where
/// that is shorter.
const EARLY: Duration = Duration::from_secs(30);

/// How long a token lasts when the server doesn't say; it says so by 401 when that was wrong.
const UNTOLD: Duration = Duration::from_secs(300);

/// After so long every token is fetched anew, whatever it says of itself.
const LONGEST_LIFE: Duration = Duration::from_secs(86_400);

/// The longest answer with a token: a signed one has a few kilobytes.
const LONGEST_ANSWER: usize = 256 * 1024;

/// `application/x-www-form-urlencoded`, the stricter half of it: what is left as it is, is so everywhere.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// Where tokens come from.
pub struct Tokens {
    owner: String,
    client: Client,
    url: Url,
    id: String,
    secret: Secret,
    scope: Option<String>,
    timeout: Duration,
    current: tokio::sync::Mutex<Option<Current>>,
    accepted: AtomicBool,
}

struct Current {
    header: HeaderValue,
    until: Instant,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    #[serde(default)]
    expires_in: Value,
}

/// How long a token lasts, as `expires_in` says (RFC 6749, section 5.1), be it a number or the text of one; nothing where
/// it doesn't say. What is beyond all reason is [`LONGEST_LIFE`], and what is less than nothing is nothing.
pub(crate) fn lifetime(told: &Value) -> Option<Duration> {
    let seconds = match told {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse::<f64>().ok(),
        _ => None,
    };
    // A text may be `NaN`, which is no time.
    let seconds = seconds.filter(|seconds| !seconds.is_nan())?.clamp(0.0, LONGEST_LIFE.as_secs_f64());
    Some(Duration::from_secs_f64(seconds))
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({})", self.owner)
    }
}

impl Tokens {
    /// Tokens of one client. `owner` is what they are for, e.g. `source hr`.
    pub fn new(
        owner: String,
        client: Client,
        url: Url,
        (id, secret): (String, Secret),
        scope: Option<String>,
        timeout: Duration,
    ) -> Tokens {
        let (current, accepted) = (tokio::sync::Mutex::new(None), AtomicBool::new(false));
        Tokens { owner, client, url, id, secret, scope, timeout, current, accepted }
    }

    /// The value of `Authorization`, with a token that lasts a while yet.
    ///
    /// # Errors
    /// The token endpoint can't be reached (69), or refuses us (77).
    pub async fn header(&self) -> Result<HeaderValue> {
        let mut current = self.current.lock().await;
        if let Some(known) = current.as_ref().filter(|known| known.until > Instant::now()) {
            return Ok(known.header.clone());
        }
        let asked = Instant::now();
        let answer = match tokio::time::timeout(self.timeout, self.ask()).await {
            Ok(answer) => answer?,
            Err(_) => return Err(self.unusable(&format!("can't be reached: no answer within {:?}", self.timeout))),
        };
        let lasts = lifetime(&answer.expires_in).unwrap_or(UNTOLD);
        let until = asked + lasts.saturating_sub(EARLY).max(lasts / 2);
        let header = sensitive(&self.owner, &prefixed("Bearer ", &SecretString::from(answer.access_token)))?;
        *current = Some(Current { header: header.clone(), until });
        Ok(header)
    }

    /// A request was answered as one with a good token is.
    pub fn accepted(&self) {
        self.accepted.store(true, Ordering::Relaxed);
    }

    /// Whether any token was good for anything.
    pub fn were_accepted(&self) -> bool {
        self.accepted.load(Ordering::Relaxed)
    }

    /// The server refused the token: the next one is a new one.
    pub async fn forget(&self) {
        *self.current.lock().await = None;
    }

    async fn ask(&self) -> Result<Answer> {
        let encode = |text: &str| utf8_percent_encode(text, FORM).to_string();
        let secret = self.secret.read()?;
        let encoded = {
            use secrecy::ExposeSecret;
            SecretString::from(encode(secret.expose_secret()))
        };
        let mut body = String::from("grant_type=client_credentials");
        if let Some(scope) = &self.scope {
            body.push_str("&scope=");
            body.push_str(&encode(scope));
        }
        let request = self
            .client
            .post(self.url.clone())
            .header(AUTHORIZATION, sensitive(&self.owner, &basic(&encode(&self.id), &encoded))?)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body);
        let mut response = request.send().await.map_err(|error| self.broken(&crate::http::error::explained(&error)))?;
        let status = response.status();
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk[..chunk.len().min(LONGEST_ANSWER - body.len())]);
            if body.len() >= LONGEST_ANSWER {
                break;
            }
        }
        match status.as_u16() {
            200..=299 => serde_json::from_slice(&body).map_err(|_| {
                Failure::new(
                    Error::Source(SourceReason::Denied),
                    format!("{}: the token endpoint gave no token", self.owner),
                )
                .help("check auth.token_url")
            }),
            400..=403 => Err(Failure::new(
                Error::Source(SourceReason::Denied),
                format!("{}: the token endpoint refused the credentials: HTTP {}", self.owner, status.as_u16()),
            )
            .help("check auth: client_id, client_secret, scope")),
            status => Err(self.unusable(&format!("is in trouble: HTTP {status}"))),
        }
    }

    fn broken(&self, error: &SendError) -> Failure {
        let what = if error.kind == ErrorKind::Protocol { "answers, and not as it should" } else { "can't be reached" };
        self.unusable(&format!("{what}: {}", error.message))
    }

    fn unusable(&self, what: &str) -> Failure {
        Failure::new(Error::Source(SourceReason::Unreachable), format!("{}: the token endpoint {what}", self.owner))
            .help("check auth.token_url")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_token_lasts_as_long_as_it_says_within_reason() {
        for (told, seconds) in [
            (json!(3600), Some(3600)),
            (json!("3600"), Some(3600)),
            (json!(3600.0), Some(3600)),
            (json!(0), Some(0)),
            (json!(-1), Some(0)),
            (json!(i64::MIN), Some(0)),
            (json!(u64::MAX), Some(86_400)),
            (json!(1e300), Some(86_400)),
            (json!("1e999"), Some(86_400)),
            (json!("-inf"), Some(0)),
            (json!("NaN"), None),
            (json!("soon"), None),
            (json!(null), None),
            (json!([3600]), None),
        ] {
            assert_eq!(lifetime(&told).map(|life| life.as_secs()), seconds, "{told}");
        }
    }
}
