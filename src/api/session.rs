//! Sessions as a definition describes them: the log-in, the id that its answer tells, how later requests carry it,
//! and the log-out. Who logs in, and when, is delivery's business.

use std::time::Duration;

use serde_json::Value;

use super::call::Call;
use super::engine::Engine;
use super::exchange::{ApiRequest, ApiResponse, Verdict};
use super::read::{id_text, put};
use crate::domain::outcome::{ErrorKind, OpError};

impl Engine {
    /// The request that logs in; nothing where the API knows no sessions.
    ///
    /// # Errors
    /// User name or password hold what the body's format can't carry.
    pub fn log_in(&self, username: &str, password: &str) -> Option<Result<ApiRequest, OpError>> {
        let login = &self.session.as_ref()?.login;
        let mut body = Value::Null;
        put(&mut body, &login.username, username.into());
        put(&mut body, &login.password, password.into());
        Some(self.rendered(&body).map(|bytes| {
            let (method, path) = (login.method.clone(), login.path.clone());
            ApiRequest { call: Call::LogIn, method, path, headers: self.headers(true), body: Some(bytes) }
        }))
    }

    /// The header, in lower case, that carries the session whose log-in was answered so.
    ///
    /// # Errors
    /// The verdict when it was no success: refused credentials are [`Verdict::Denied`].
    pub fn session(&self, answer: &ApiResponse) -> Result<(String, String), Verdict> {
        let unclear = |what: &str| Verdict::Unclear(OpError::new(ErrorKind::Protocol, format!("the log-in {what}")));
        let Some(session) = &self.session else { return Err(unclear("is not described")) };
        let body = self.body_of(answer);
        // Whatever a refusal says of accounts elsewhere, here it speaks of the credentials.
        match self.failure(answer, &body, None) {
            None => {}
            Some(verdict @ (Verdict::Unclear(_) | Verdict::SlowDown { .. })) => return Err(verdict),
            Some(_) => return Err(Verdict::Denied(self.complaint(ErrorKind::Auth, answer, &body))),
        }
        let id = body.value().and_then(|value| value.pointer(&session.login.id)).and_then(id_text);
        let plain = |id: &String| id.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b';' | b',' | b'"'));
        let id = id.filter(plain).ok_or_else(|| unclear("was answered without a session"))?;
        Ok(match (&session.cookie, &session.header) {
            (Some(cookie), _) => ("cookie".into(), format!("{cookie}={id}")),
            (None, Some(header)) => (header.to_ascii_lowercase(), id),
            (None, None) => return Err(unclear("is described without cookie or header")),
        })
    }

    /// How long a session lasts, where the definition says so.
    pub fn session_lasts(&self) -> Option<Duration> {
        self.session.as_ref()?.lasts.map(|lasts| lasts.0)
    }

    /// The request that ends a session.
    pub fn log_out(&self) -> Option<ApiRequest> {
        let logout = self.session.as_ref()?.logout.as_ref()?;
        let (method, path) = (logout.method.clone(), logout.path.clone());
        Some(ApiRequest { call: Call::LogOut, method, path, headers: self.headers(false), body: None })
    }

    /// The complaint in an answer that is no success; nothing in one that is.
    pub fn complaint_of(&self, answer: &ApiResponse) -> Option<OpError> {
        let body = self.body_of(answer);
        self.failure(answer, &body, None)?;
        Some(self.complaint(ErrorKind::Refused, answer, &body))
    }

    /// Whether an answer, to whatever request, says that one must log in again.
    pub fn asks_to_log_in(&self, answer: &ApiResponse) -> bool {
        let body = self.body_of(answer);
        matches!(self.failure(answer, &body, None), Some(Verdict::LogInAgain))
    }
}
