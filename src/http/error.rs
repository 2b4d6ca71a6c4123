//! Why no answer came to a request.

use std::fmt;

use crate::domain::outcome::{ErrorKind, OpError};

/// Why no answer came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendError {
    /// What kind of trouble: `timeout`, `network`, `protocol` or `invalid`.
    pub kind: ErrorKind,
    /// Whether the request may have reached the target. `false` is certain.
    pub maybe_sent: bool,
    /// What happened, without address or value.
    pub message: String,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SendError {}

/// An error of the client in our words. Its own text would show the URL, and with it what was looked for.
pub fn explained(error: &reqwest::Error) -> SendError {
    if let Some(what) = another_protocol(error) {
        let (kind, maybe_sent) = (ErrorKind::Protocol, !error.is_connect());
        return SendError { kind, maybe_sent, message: what.into() };
    }
    let (kind, maybe_sent, what) = if error.is_builder() {
        (ErrorKind::Invalid, false, "the request can't be made")
    } else if error.is_connect() && error.is_timeout() {
        (ErrorKind::Timeout, false, "no connection in time")
    } else if error.is_connect() {
        (ErrorKind::Network, false, "no connection")
    } else if error.is_timeout() {
        (ErrorKind::Timeout, true, "no answer in time")
    } else if error.is_decode() {
        (ErrorKind::Protocol, true, "the answer can't be decoded, or broke off")
    } else {
        (ErrorKind::Network, true, "the connection broke before the whole answer came")
    };
    let message = match detail(error, error.is_connect()) {
        Some(detail) => format!("{what}: {detail}"),
        None => what.to_string(),
    };
    SendError { kind, maybe_sent, message }
}

/// What speaks there, where something does and it is not what was expected: a server for mail, a port without TLS.
fn another_protocol(error: &reqwest::Error) -> Option<&'static str> {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if inner.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
            return Some("what answers there does not speak HTTP, or speaks it over TLS alone (https://)");
        }
        match wrapped_in(inner).downcast_ref::<rustls::Error>() {
            Some(rustls::Error::InvalidMessage(_)) => {
                return Some("what answers there does not speak TLS: is it http://, or another port?");
            }
            Some(rustls::Error::AlertReceived(_) | rustls::Error::PeerIncompatible(_)) => {
                return Some("it speaks TLS, and does not agree to any way of doing so that is safe today");
            }
            _ => cause = inner.source(),
        }
    }
    None
}

/// What an I/O error wraps, which it hands out by a way of its own; anything else as it is.
fn wrapped_in<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(inner) => wrapped_in(inner),
        None => error,
    }
}

/// The deepest cause. While connecting, its text (which speaks of hosts and certificates); later only the kind of an
/// I/O error, because nothing says what else a text may quote.
fn detail(error: &reqwest::Error, connecting: bool) -> Option<String> {
    let mut kind = None;
    let mut deepest: Option<&dyn std::error::Error> = None;
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        kind = inner.downcast_ref::<std::io::Error>().map(|io| io.kind().to_string()).or(kind);
        deepest = Some(inner);
        cause = inner.source();
    }
    if connecting { deepest.map(ToString::to_string) } else { kind }
}

impl From<SendError> for OpError {
    fn from(error: SendError) -> Self {
        OpError::new(error.kind, error.message)
    }
}
