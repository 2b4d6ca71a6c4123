//! Sessions and tokens: asked for once, carried by every request, renewed shortly before they end, and when they are
//! found to be over.
//!
//! Whoever needs one while it is being asked for waits for that answer, so that however many requests are in flight
//! when a session ends, there is one renewal. A refused log-in is final: wrong credentials are not tried again and again.
//! So is a fresh session that is refused while none was ever accepted. Once one was, sessions that are over under a
//! request, however fresh, say nothing of the credentials: that request is tried again, a bounded number of times, and
//! fails alone.

use std::sync::atomic::{AtomicBool, Ordering};

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::{Duration, Instant};

use super::client::{Client, Unanswered};
use crate::api::{ApiRequest, ApiResponse, Verdict};
use crate::config::settings::TargetSettings;
use crate::domain::bounded;
use crate::domain::error::Failure;
use crate::domain::outcome::ErrorKind;
use crate::http::error::SendError;
use crate::http::oauth::lifetime;
use crate::http::settings::AuthSettings;

/// A token is renewed this long before its end, or a tenth of its life if that is shorter: a request that is under way
/// when it ends would be refused.
const BEFORE_THE_END: Duration = Duration::from_secs(60);

/// What the answer of a token endpoint may take in memory: a signed token has a few kilobytes.
const LARGEST_TOKEN_ANSWER: usize = 1_000_000;

/// The longest time that a log-out may take: the run is over and nothing depends on it.
const LONGEST_LOG_OUT: Duration = Duration::from_secs(5);

/// Statuses of an answer that does not tell whether the session was accepted.
const TELLS_NOTHING: [u16; 6] = [401, 403, 407, 408, 425, 429];

/// Beyond this a life is as good as endless.
const LONGEST_LIFE: Duration = Duration::from_secs(365 * 86_400);

/// How one logs in.
enum Way {
    /// With user name and password, as the definition says.
    Session { username: String, password: SecretString },
    /// By client credentials, at the token endpoint.
    Token,
}

impl Way {
    const fn word(&self) -> &'static str {
        match self {
            Way::Session { .. } => "session",
            Way::Token => "token",
        }
    }
}

/// The log-in of one client.
pub(crate) struct Login {
    way: Way,
    state: Mutex<State>,
    /// Whether any request was accepted with a session or token of this run.
    accepted: AtomicBool,
}

#[derive(Default)]
struct State {
    session: Option<Session>,
    last: u64,
    refused: Option<String>,
}

/// What requests carry.
#[derive(Clone)]
struct Session {
    number: u64,
    name: String,
    value: SecretString,
    until: Option<Instant>,
}

impl Session {
    fn on(&self, request: &ApiRequest) -> ApiRequest {
        let mut request = request.clone();
        request.headers.push((self.name.clone(), self.value.expose_secret().to_string()));
        request
    }
}

impl Login {
    /// The log-in that these settings ask for, if any; reads the secret.
    ///
    /// # Errors
    /// The secret can't be read.
    pub fn of(settings: &TargetSettings) -> Result<Option<Login>, Failure> {
        let way = match &settings.auth {
            AuthSettings::Session { username, password } => {
                Way::Session { username: username.clone(), password: password.read()? }
            }
            AuthSettings::OAuth2 { .. } => Way::Token,
            _ => return Ok(None),
        };
        Ok(Some(Login { way, state: Mutex::default(), accepted: AtomicBool::new(false) }))
    }
}

impl Login {
    /// Sends a request that was admitted with a session or token, which is asked for where there is none, and once more
    /// where the target says that it is over. Should it be over again, the answer says so where the credentials have
    /// never been accepted; else that is an error of this try, which nothing came of.
    pub async fn carry(&self, client: &Client, request: &ApiRequest) -> Result<ApiResponse, SendError> {
        let session = self.session(client, None).await?;
        let answer = client.carry_as_is(&session.on(request)).await?;
        if !self.is_over(client, &answer) {
            return Ok(answer);
        }
        let session = self.session(client, Some(session.number)).await?;
        admit(client).await?;
        let answer = client.carry_as_is(&session.on(request)).await?;
        if !self.is_over(client, &answer) {
            return Ok(answer);
        }
        self.drop_spent(session.number).await;
        if !self.accepted.load(Ordering::Relaxed) {
            return Ok(answer);
        }
        let what = format!("HTTP {}: the {} was over, and a new one too", answer.status, self.way.word());
        Err(SendError { kind: ErrorKind::Refused, maybe_sent: false, message: what })
    }

    /// Whether the answer says that the session or token is over; takes note of one that was accepted.
    fn is_over(&self, client: &Client, answer: &ApiResponse) -> bool {
        let over = client.engine().asks_to_log_in(answer);
        if !over && answer.status < 500 && !TELLS_NOTHING.contains(&answer.status) {
            self.accepted.store(true, Ordering::Relaxed);
        }
        over
    }

    /// Nobody carries this session any more.
    async fn drop_spent(&self, spent: u64) {
        let mut state = self.state.lock().await;
        if state.session.as_ref().is_some_and(|session| session.number == spent) {
            state.session = None;
        }
    }

    /// The current session; a new one when the one with the number `spent` is the newest.
    async fn session(&self, client: &Client, spent: Option<u64>) -> Result<Session, SendError> {
        let mut state = self.state.lock().await;
        if let Some(why) = &state.refused {
            return Err(refusal(why.clone()));
        }
        let good = |session: &&Session| {
            Some(session.number) != spent && session.until.is_none_or(|until| Instant::now() < until)
        };
        if let Some(session) = state.session.as_ref().filter(good) {
            return Ok(session.clone());
        }
        state.session = None;
        let (name, value, until) = match self.log_in(client).await {
            Ok(session) => session,
            Err(error) => {
                if error.kind == ErrorKind::Auth {
                    state.refused = Some(error.message.clone());
                }
                return Err(error);
            }
        };
        state.last += 1;
        let session = Session { number: state.last, name, value: value.into(), until };
        state.session = Some(session.clone());
        Ok(session)
    }

    /// Logs in. An error never means that anything else was sent.
    async fn log_in(&self, client: &Client) -> Result<(String, String, Option<Instant>), SendError> {
        admit(client).await?;
        let asked = Instant::now();
        let answer = match &self.way {
            Way::Session { username, password } => {
                let request = match client.engine().log_in(username, password.expose_secret()) {
                    Some(Ok(request)) => request,
                    Some(Err(error)) => return Err(refusal(error.message)),
                    None => return Err(refusal("its definition has no [session]".into())),
                };
                client.carry_as_is(&request).await
            }
            Way::Token => client.ask_for_token().await,
        };
        let answer = answer.map_err(|error| SendError { maybe_sent: false, ..error })?;
        match &self.way {
            Way::Session { .. } => match client.engine().session(&answer) {
                Ok((name, value)) => {
                    Ok((name, value, client.engine().session_lasts().map(|life| renewal(asked, life))))
                }
                Err(verdict) => Err(no_session(client, verdict)),
            },
            Way::Token => token_in(&answer, asked),
        }
    }

    /// Ends the session, if there is one; the run is over, and that it fails harms nobody. What was refused may be tried
    /// again by the next run.
    pub async fn log_out(&self, client: &Client) {
        let session = {
            let mut state = self.state.lock().await;
            state.refused = None;
            self.accepted.store(false, Ordering::Relaxed);
            // A token needs no end, and lasts.
            if matches!(self.way, Way::Token) { None } else { state.session.take() }
        };
        let (Some(session), Some(request)) = (session, client.engine().log_out()) else { return };
        let sent = async {
            admit(client).await?;
            client.carry_as_is(&session.on(&request)).await
        };
        if !matches!(tokio::time::timeout(LONGEST_LOG_OUT, sent).await, Ok(Ok(_))) {
            tracing::debug!(target_name = client.target(), "the log-out was not answered");
        }
    }
}

/// Waits until a request of ours may go. One that may not was not sent.
async fn admit(client: &Client) -> Result<(), SendError> {
    let unsent = |kind, message: String| SendError { kind, maybe_sent: false, message };
    client.admit().await.map_err(|why| match why {
        Unanswered::Quota => unsent(ErrorKind::RateLimited, "the day's requests are used up".into()),
        Unanswered::State(failure) => unsent(ErrorKind::Invalid, failure.message),
        Unanswered::Broken(error) => error,
    })
}

fn no_session(client: &Client, verdict: Verdict) -> SendError {
    match verdict {
        Verdict::SlowDown { retry_after, error } => {
            client.pause(retry_after);
            SendError { kind: error.kind, maybe_sent: false, message: format!("log-in: {}", error.message) }
        }
        Verdict::Denied(error) => refusal(format!("log-in: {}", error.message)),
        Verdict::Unclear(error) | Verdict::Refused(error) => {
            SendError { kind: error.kind, maybe_sent: false, message: format!("log-in: {}", error.message) }
        }
        _ => refusal("the log-in was answered with something else".into()),
    }
}

/// The token in the answer of a token endpoint (RFC 6749, section 5).
fn token_in(answer: &ApiResponse, asked: Instant) -> Result<(String, String, Option<Instant>), SendError> {
    // A body that is no JSON has no token in it, which is told below with its status.
    let body = bounded::parse(&answer.body, LARGEST_TOKEN_ANSWER).unwrap_or(Value::Null);
    let trouble = |what: &str| SendError {
        kind: ErrorKind::Protocol,
        maybe_sent: false,
        message: format!("the token endpoint answered HTTP {} {what}", answer.status),
    };
    match answer.status {
        200..=299 => {}
        429 | 503 => return Err(SendError { kind: ErrorKind::RateLimited, ..trouble("") }),
        500.. => return Err(trouble("")),
        _ => {
            // The words that the standard has for it, and nothing else of the body.
            let words = ["invalid_client", "invalid_scope", "unauthorized_client", "invalid_grant", "invalid_request"];
            let told = words.iter().find(|word| body["error"] == **word).copied().unwrap_or_default();
            return Err(refusal(trouble(told).message.trim_end().to_string()));
        }
    }
    let token = body["access_token"].as_str().filter(|t| !t.is_empty() && t.bytes().all(|b| b.is_ascii_graphic()));
    let token = token.ok_or_else(|| trouble("without a usable access_token"))?;
    if body["token_type"].as_str().is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(refusal("the token endpoint gives tokens that are not bearer tokens".into()));
    }
    let until = lifetime(&body["expires_in"]).map(|life| renewal(asked, life));
    Ok(("authorization".into(), format!("Bearer {token}"), until))
}

/// When one that was asked for at this moment, and lasts so long, is to be renewed.
fn renewal(asked: Instant, life: Duration) -> Instant {
    let life = life.min(LONGEST_LIFE);
    asked + life - BEFORE_THE_END.min(life / 10)
}

fn refusal(message: String) -> SendError {
    SendError { kind: ErrorKind::Auth, maybe_sent: false, message }
}
