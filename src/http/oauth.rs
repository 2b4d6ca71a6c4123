//! OAuth 2.0 client credentials (RFC 6749, section 4.4): the request for a token, and the token in its answer.
//!
//! When a token is asked for, and how long it is kept, is the matter of [`super::auth`].

use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::time::Instant;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::auth::{Issued, basic, sensitive};
use super::client::{Client, Response};
use super::error::SendError;
use super::settings::AuthSettings;
use crate::domain::bounded;
use crate::domain::error::Result;
use crate::domain::outcome::ErrorKind;
use crate::domain::retry::RetryVerdict;

/// How long a token is kept where the server doesn't say how long it lasts (RFC 6749, section 5.1, lets it leave that
/// out): short enough that most have not ended, long enough that asking costs little.
const UNTOLD: Duration = Duration::from_secs(300);

/// After so long every token is fetched anew, whatever it says of itself.
const LONGEST_LIFE: Duration = Duration::from_secs(86_400);

/// The longest answer with a token: a signed one has a few kilobytes.
const LONGEST_ANSWER: u64 = 256 * 1024;

/// What the answer may take in memory as values.
const LARGEST_ANSWER: usize = 1_000_000;

/// The words that the standard has for a refusal (RFC 6749, section 5.2).
const REFUSALS: [&str; 6] = [
    "invalid_client",
    "invalid_scope",
    "unauthorized_client",
    "invalid_grant",
    "invalid_request",
    "unsupported_grant_type",
];

/// What asks a token endpoint for tokens.
pub struct ClientCredentials {
    url: Url,
    authorization: HeaderValue,
    form: String,
}

impl ClientCredentials {
    /// What these settings say, if they are of this kind; reads the secret.
    ///
    /// # Errors
    /// The secret can't be read.
    pub fn of(owner: &str, auth: &AuthSettings) -> Result<Option<ClientCredentials>> {
        let AuthSettings::OAuth2 { token_url, client_id, client_secret, scope } = auth else { return Ok(None) };
        let (user, password) = (encoded(client_id), encoded(client_secret.read()?.expose_secret()));
        let authorization = sensitive(owner, &basic(&user, &SecretString::from(password)))?;
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if let Some(scope) = scope {
            form.append_pair("scope", scope);
        }
        Ok(Some(ClientCredentials { url: token_url.whole(), authorization, form: form.finish() }))
    }

    /// Asks for a token. One request, which the caller has let through.
    ///
    /// # Errors
    /// No whole answer came.
    pub async fn ask(&self, client: &Client) -> Result<Response, SendError> {
        let request = client
            .post(self.url.clone())
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(self.form.clone());
        let answer = client.send(request, LONGEST_ANSWER).await;
        answer.map_err(|error| SendError { message: format!("the token endpoint: {}", error.message), ..error })
    }
}

/// As the standard wants user name and password before they become those of HTTP Basic (RFC 6749, section 2.3.1 and
/// appendix B): `application/x-www-form-urlencoded`, as everything that is sent to a token endpoint.
fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

/// The token in an answer of a token endpoint (RFC 6749, section 5) that was asked at this moment.
///
/// # Errors
/// There is none: we are refused (`auth`), asked to slow down (`rate_limited`), or it is in trouble.
pub fn token_in(status: u16, body: &[u8], asked: Instant) -> Result<Issued, SendError> {
    // A body that is no JSON has no token in it, which is told below with its status.
    let body = bounded::parse(body, LARGEST_ANSWER).unwrap_or(Value::Null);
    let trouble = |kind, what: &str| {
        let message = format!("the token endpoint answered HTTP {status} {what}").trim_end().to_string();
        SendError { kind, maybe_sent: false, message }
    };
    match (status, RetryVerdict::of(status)) {
        (200..=299, _) => {}
        (_, RetryVerdict::SlowDown) => return Err(trouble(ErrorKind::RateLimited, "")),
        (_, RetryVerdict::Trouble) => return Err(trouble(ErrorKind::Protocol, "")),
        (_, RetryVerdict::No) => {
            // The words that the standard has for it, and nothing else of the body.
            let told = REFUSALS.iter().find(|word| body["error"] == **word).copied().unwrap_or_default();
            return Err(trouble(ErrorKind::Auth, told));
        }
    }
    let token = body["access_token"].as_str().filter(|t| !t.is_empty() && t.bytes().all(|b| b.is_ascii_graphic()));
    let token = token.ok_or_else(|| trouble(ErrorKind::Protocol, "without a usable access_token"))?;
    if body["token_type"].as_str().is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        let message = "the token endpoint gives tokens that are not bearer tokens".into();
        return Err(SendError { kind: ErrorKind::Auth, maybe_sent: false, message });
    }
    Ok(Issued::bearer(token, asked, lifetime(&body["expires_in"]).unwrap_or(UNTOLD)))
}

/// How long a token lasts, as `expires_in` says (RFC 6749, section 5.1), be it a number or the text of one; nothing where
/// it doesn't say. What is beyond all reason is [`LONGEST_LIFE`], and what is less than nothing is nothing.
fn lifetime(told: &Value) -> Option<Duration> {
    let seconds = match told {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse::<f64>().ok(),
        _ => None,
    };
    // A text may be `NaN`, which is no time.
    let seconds = seconds.filter(|seconds| !seconds.is_nan())?.clamp(0.0, LONGEST_LIFE.as_secs_f64());
    Some(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The example of RFC 6749, appendix B.
    #[test]
    fn what_is_sent_is_encoded_as_the_standard_says() {
        assert_eq!(encoded(" %&+£€"), "+%25%26%2B%C2%A3%E2%82%AC");
    }

    #[test]
    fn a_refusal_is_told_by_the_words_of_the_standard_and_nothing_else() {
        let told = |status, body: &str| token_in(status, body.as_bytes(), Instant::now()).err().expect("no token");
        let refused = told(401, r#"{"error":"invalid_client","error_description":"secret"}"#);
        assert_eq!(
            (refused.kind, refused.message.as_str()),
            (ErrorKind::Auth, "the token endpoint answered HTTP 401 invalid_client")
        );
        for (status, body, kind) in [
            (400, "{\"error\":\"secret\"}", ErrorKind::Auth),
            (404, "<html>", ErrorKind::Auth),
            (429, "", ErrorKind::RateLimited),
            (503, "", ErrorKind::RateLimited),
            (500, "", ErrorKind::Protocol),
            (200, "<html>", ErrorKind::Protocol),
            (200, "{\"access_token\":\"\"}", ErrorKind::Protocol),
            (200, "{\"access_token\":\"t\",\"token_type\":\"mac\"}", ErrorKind::Auth),
        ] {
            let error = told(status, body);
            assert_eq!((error.kind, error.maybe_sent), (kind, false), "{status} {body}");
            assert!(!error.message.contains("secret"), "{}", error.message);
        }
        assert!(token_in(200, b"{\"access_token\":\"t\"}", Instant::now()).is_ok());
    }

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
