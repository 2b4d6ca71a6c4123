//! A target's log-in: which requests ask for its sessions and tokens, and end them. When that is due is the matter of
//! [`crate::http::auth`].

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::client::{Client, Unanswered};
use crate::api::{ApiRequest, ApiResponse, Verdict};
use crate::config::settings::TargetSettings;
use crate::domain::error::Failure;
use crate::domain::outcome::ErrorKind;
use crate::http::auth::{Carried, Credential, Exchange, Issued, Renewal, SessionVerdict};
use crate::http::error::SendError;
use crate::http::oauth::token_in;
use crate::http::settings::AuthSettings;

/// The longest time that a log-out may take: the run is over and nothing depends on it.
const LONGEST_LOG_OUT: Duration = Duration::from_secs(5);

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
    renewal: Renewal,
}

/// The request with the session or token.
fn with(credential: &Credential, request: &ApiRequest) -> ApiRequest {
    let (name, value) = credential.header();
    let mut request = request.clone();
    request.headers.push((name.to_string(), value.expose_secret().to_string()));
    request
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
        Ok(Some(Login { way, renewal: Renewal::default() }))
    }

    /// Sends a request that was admitted with a session or token, and once more where the target says that it is over.
    /// Should it be over again, the answer says so where the credentials have never been accepted; else that is an error
    /// of this try, which nothing came of.
    pub async fn carry(&self, client: &Client, request: &ApiRequest) -> Result<ApiResponse, SendError> {
        match self.renewal.carry(&Sending { login: self, client, request }).await? {
            Carried::Answered(answer) => Ok(answer),
            Carried::OverAgain(answer) => {
                let word = self.way.word();
                let message = format!("HTTP {}: the {word} was over, and a new one too", answer.status);
                Err(SendError { kind: ErrorKind::Refused, maybe_sent: false, message })
            }
        }
    }

    /// Asks for a session or token, by one more request that is admitted as any other.
    async fn log_in(&self, client: &Client) -> Result<Issued, SendError> {
        admit(client).await?;
        let asked = Instant::now();
        let Way::Session { username, password } = &self.way else {
            let answer = client.ask_for_token().await?;
            let token = token_in(answer.status, &answer.body, asked);
            if token.as_ref().is_err_and(|error| error.kind == ErrorKind::RateLimited) {
                client.pause(client.asked_pause(&answer));
            }
            return token;
        };
        let engine = client.engine();
        let request = match engine.log_in(username, password.expose_secret()) {
            Some(Ok(request)) => request,
            Some(Err(error)) => return Err(refusal(error.message)),
            None => return Err(refusal("its definition has no [session]".into())),
        };
        let answer = client.carry_as_is(&request).await?;
        let (name, value) = engine.session(&answer).map_err(|verdict| no_session(client, verdict))?;
        Ok(Issued::new(name, value, asked, engine.session_lasts()))
    }

    /// Ends the session, if there is one; the run is over, and that it fails harms nobody. What was refused may be tried
    /// again by the next run.
    pub async fn log_out(&self, client: &Client) {
        self.renewal.end_run().await;
        // A token needs no end, and lasts.
        let Way::Session { .. } = self.way else { return };
        let (Some(credential), Some(request)) = (self.renewal.take().await, client.engine().log_out()) else { return };
        let sent = async {
            admit(client).await?;
            client.carry_as_is(&with(&credential, &request)).await
        };
        if !matches!(tokio::time::timeout(LONGEST_LOG_OUT, sent).await, Ok(Ok(_))) {
            tracing::debug!(target_name = client.target(), "the log-out was not answered");
        }
    }
}

/// One request of this client.
struct Sending<'a> {
    login: &'a Login,
    client: &'a Client,
    request: &'a ApiRequest,
}

impl Exchange for Sending<'_> {
    type Answer = ApiResponse;
    type Error = SendError;

    async fn ask(&self) -> Result<Issued, SendError> {
        self.login.log_in(self.client).await
    }

    async fn send(&self, credential: Credential, again: bool) -> Result<ApiResponse, SendError> {
        if again {
            admit(self.client).await?;
        }
        self.client.carry_as_is(&with(&credential, self.request)).await
    }

    fn standing(&self, answer: &ApiResponse) -> SessionVerdict {
        match self.client.engine().asks_to_log_in(answer) {
            true => SessionVerdict::Over,
            false => SessionVerdict::of(answer.status),
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

fn refusal(message: String) -> SendError {
    SendError { kind: ErrorKind::Auth, maybe_sent: false, message }
}
