//! How requests are authenticated: by a header that is the same for all, or by a session or token that is asked for, kept
//! while it lasts, and asked for anew.
//!
//! Whoever needs a session or token while it is being asked for waits for that answer, so that however many requests are
//! in flight when one ends, there is one renewal. A refusal is final: wrong credentials are not tried again and again.
//! So is a fresh one that is refused while none was ever accepted. Once one was, those that are over under a request,
//! however fresh, say nothing of the credentials: that request may be tried again, a bounded number of times.
//!
//! Who asks for a session or token sees to it that the request for it counts as any other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::error::SendError;
use super::settings::AuthSettings;
use crate::domain::error::{Error, Failure, Result};
use crate::domain::outcome::ErrorKind;

/// One is renewed this long before its end, or after half of its life where that is less: a request that is under way
/// when it ends would be refused, and each of the two is early enough for a life of any length.
const EARLY: Duration = Duration::from_secs(60);

/// Beyond this a life is as good as endless.
const LONGEST_LIFE: Duration = Duration::from_secs(365 * 86_400);

/// Statuses of an answer that does not tell whether a session or token was accepted.
const TELLS_NOTHING: [u16; 6] = [401, 403, 407, 408, 425, 429];

/// The header that authenticates, where it is the same for every request; none for `none`, `session` and `oauth2`.
///
/// # Errors
/// A secret can't be read (as [`super::secret::Secret::read`] says) or can't stand in a header (78).
pub fn fixed(owner: &str, auth: &AuthSettings) -> Result<Option<(HeaderName, HeaderValue)>> {
    let wrong = |what: &str| Failure::new(Error::Config, format!("{owner}: {what}"));
    let (name, value) = match auth {
        AuthSettings::None | AuthSettings::Session { .. } | AuthSettings::OAuth2 { .. } => return Ok(None),
        AuthSettings::Bearer(token) => (AUTHORIZATION, prefixed("Bearer ", &token.read()?)),
        AuthSettings::Token(token) => (AUTHORIZATION, prefixed("Token ", &token.read()?)),
        AuthSettings::Header { name, value } => {
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| wrong(&format!("auth: {name:?} is not the name of a header")))?;
            (name, value.read()?)
        }
        AuthSettings::Basic { username, password } => (AUTHORIZATION, basic(username, &password.read()?)),
    };
    Ok(Some((name, sensitive(owner, &value)?)))
}

/// A header's value that no `Debug` shows.
///
/// # Errors
/// The secret can't stand in a header (78).
pub fn sensitive(owner: &str, value: &SecretString) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| {
        Failure::new(Error::Config, format!("{owner}: the secret holds characters that can't stand in a header"))
            .help("is it a whole file?")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// A secret behind a word.
fn prefixed(prefix: &str, secret: &SecretString) -> SecretString {
    format!("{prefix}{}", secret.expose_secret()).into()
}

/// The value of `Authorization` for HTTP Basic (RFC 7617).
pub(super) fn basic(username: &str, password: &SecretString) -> SecretString {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{}", password.expose_secret()))).into()
}

/// A session or token that has just been given.
pub struct Issued {
    name: String,
    value: SecretString,
    until: Option<Instant>,
}

impl Issued {
    /// One that requests carry in this header, that was asked for at that moment, and lasts so long; or, where that is
    /// not known, until an answer says that it is over.
    pub fn new(
        name: impl Into<String>,
        value: impl Into<SecretString>,
        asked: Instant,
        life: Option<Duration>,
    ) -> Issued {
        let life = life.map(|life| life.min(LONGEST_LIFE));
        let until = life.map(|life| asked + life - EARLY.min(life / 2));
        Issued { name: name.into(), value: value.into(), until }
    }

    /// The token itself, as the value of `Authorization`.
    pub(super) fn bearer(token: &str, asked: Instant, life: Duration) -> Issued {
        Issued::new("authorization", prefixed("Bearer ", &token.to_owned().into()), asked, Some(life))
    }
}

/// What requests carry.
#[derive(Clone)]
pub struct Credential {
    number: u64,
    name: String,
    value: SecretString,
    until: Option<Instant>,
}

impl Credential {
    /// The header: its name in lower case, and its value.
    pub fn header(&self) -> (&str, &SecretString) {
        (&self.name, &self.value)
    }
}

/// What an answer says of the session or token that its request carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionVerdict {
    /// It was accepted.
    Accepted,
    /// It is over, or was never any good.
    Over,
    /// Nothing.
    Untold,
}

impl SessionVerdict {
    /// What an answer with this status says, where it does not say that it is over.
    pub fn of(status: u16) -> SessionVerdict {
        if status < 500 && !TELLS_NOTHING.contains(&status) { SessionVerdict::Accepted } else { SessionVerdict::Untold }
    }
}

/// What came of a request that was carried.
pub enum Carried<A> {
    /// Its answer; one that says that it is over is to be believed.
    Answered(A),
    /// This answer says that a second, fresh one is over too; yet others were accepted, so the credentials are right.
    OverAgain(A),
}

/// The sessions or tokens of one client, one after the other.
#[derive(Default)]
pub struct Renewal {
    state: Mutex<State>,
    accepted: AtomicBool,
}

#[derive(Default)]
struct State {
    current: Option<Credential>,
    last: u64,
    refused: Option<String>,
}

/// One request, and whoever sends it.
pub trait Exchange: Sync {
    /// What comes of it.
    type Answer: Send;
    /// Why nothing comes of it.
    type Error: From<SendError> + Send;

    /// Asks for a session or token, by a request that counts as any other.
    fn ask(&self) -> impl Future<Output = Result<Issued, SendError>> + Send;

    /// Sends the request with this one; `again` where it has been sent with another one that was over.
    fn send(
        &self,
        credential: Credential,
        again: bool,
    ) -> impl Future<Output = Result<Self::Answer, Self::Error>> + Send;

    /// What its answer says of the session or token.
    fn standing(&self, answer: &Self::Answer) -> SessionVerdict;
}

impl Renewal {
    /// Sends a request with a session or token, which is asked for where there is none, and once more with a new one
    /// where the answer says that it is over.
    ///
    /// # Errors
    /// Those of asking and of sending.
    pub async fn carry<X: Exchange>(&self, exchange: &X) -> Result<Carried<X::Answer>, X::Error> {
        let first = self.current(None, exchange).await?;
        let number = first.number;
        let answer = exchange.send(first, false).await?;
        if !self.note(exchange.standing(&answer)) {
            return Ok(Carried::Answered(answer));
        }
        let second = self.current(Some(number), exchange).await?;
        let number = second.number;
        let answer = exchange.send(second, true).await?;
        if !self.note(exchange.standing(&answer)) {
            return Ok(Carried::Answered(answer));
        }
        self.drop_spent(number).await;
        let right = self.accepted.load(Ordering::Relaxed);
        Ok(if right { Carried::OverAgain(answer) } else { Carried::Answered(answer) })
    }

    /// Whether it is over; takes note of one that was accepted.
    fn note(&self, standing: SessionVerdict) -> bool {
        if standing == SessionVerdict::Accepted {
            self.accepted.store(true, Ordering::Relaxed);
        }
        standing == SessionVerdict::Over
    }

    /// The one that is good now; a new one when the one with the number `spent` is the newest.
    async fn current(&self, spent: Option<u64>, exchange: &impl Exchange) -> Result<Credential, SendError> {
        let mut state = self.state.lock().await;
        if let Some(why) = &state.refused {
            return Err(SendError { kind: ErrorKind::Auth, maybe_sent: false, message: why.clone() });
        }
        let good =
            |known: &&Credential| Some(known.number) != spent && known.until.is_none_or(|until| Instant::now() < until);
        if let Some(known) = state.current.as_ref().filter(good) {
            return Ok(known.clone());
        }
        state.current = None;
        // Whatever becomes of it, the request that it is for was not sent.
        let Issued { name, value, until } = match exchange.ask().await {
            Ok(issued) => issued,
            Err(error) => {
                if error.kind == ErrorKind::Auth {
                    state.refused = Some(error.message.clone());
                }
                return Err(SendError { maybe_sent: false, ..error });
            }
        };
        state.last += 1;
        let new = Credential { number: state.last, name, value, until };
        state.current = Some(new.clone());
        Ok(new)
    }

    /// Nobody carries this one any more.
    async fn drop_spent(&self, spent: u64) {
        let mut state = self.state.lock().await;
        if state.current.as_ref().is_some_and(|known| known.number == spent) {
            state.current = None;
        }
    }

    /// A run ends. What was refused may be tried again by the next one.
    pub async fn end_run(&self) {
        self.state.lock().await.refused = None;
        self.accepted.store(false, Ordering::Relaxed);
    }

    /// Hands out what is carried now, for whoever ends it: nobody carries it any more.
    pub async fn take(&self) -> Option<Credential> {
        self.state.lock().await.current.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::secret::Secret;

    #[test]
    fn a_header_of_each_kind_and_no_secret_in_its_debug() {
        let secret = || Secret::Literal("s3cret".to_string().into());
        for (auth, name, value) in [
            (AuthSettings::Bearer(secret()), "authorization", "Bearer s3cret"),
            (AuthSettings::Token(secret()), "authorization", "Token s3cret"),
            (AuthSettings::Header { name: "X-Key".into(), value: secret() }, "x-key", "s3cret"),
            (AuthSettings::Basic { username: "u".into(), password: secret() }, "authorization", "Basic dTpzM2NyZXQ="),
        ] {
            let (found, header) = fixed("source hr", &auth).expect("a header").expect("one");
            assert_eq!((found.as_str(), header.to_str().expect("text")), (name, value));
            assert!(!format!("{header:?}").contains("s3cret"));
        }
        assert!(fixed("source hr", &AuthSettings::None).expect("none").is_none());
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (text, encoded) in [("", "Og=="), ("f", "Zjo="), ("fo", "Zm86"), ("foo", "Zm9vOg=="), ("foob", "Zm9vYjo=")]
        {
            assert_eq!(basic(text, &String::new().into()).expose_secret(), format!("Basic {encoded}"));
        }
        let told = basic("Aladdin", &"open sesame".to_string().into());
        assert_eq!(told.expose_secret(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "RFC 7617, section 2");
    }

    #[tokio::test(start_paused = true)]
    async fn one_is_renewed_a_minute_before_its_end_or_after_half_of_its_life() {
        let asked = Instant::now();
        for (life, renewed) in [(86_400, 86_340), (3600, 3540), (300, 240), (120, 60), (60, 30), (1, 0), (0, 0)] {
            let issued = Issued::new("x", String::new(), asked, Some(Duration::from_secs(life)));
            assert_eq!(issued.until.map(|until| (until - asked).as_secs()), Some(renewed), "{life}");
        }
        assert_eq!(Issued::new("x", String::new(), asked, None).until, None);
    }
}
