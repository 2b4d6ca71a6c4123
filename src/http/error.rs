//! Why no answer came to a request.

use std::fmt;

use url::Url;

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

/// What no connection came about begins with, in [`SendError::message`].
const NO_CONNECTION: &str = "no connection";

/// What to check where no connection came about, by what the error says; `None` where there was one. Of the address only
/// host and port are told: the rest can hold secrets.
pub fn connecting(at: &Url, why: &str) -> Option<String> {
    if !why.starts_with(NO_CONNECTION) {
        return None;
    }
    let host = at.host_str().unwrap_or_default();
    let place = at.port_or_known_default().map_or_else(|| host.to_string(), |port| format!("{host}:{port}"));
    let why = why.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| why.contains(word));
    Some(if says(&["certificate"]) {
        format!("if {place} has a certificate of your own authority, name that as ca_file")
    } else if says(&["refused"]) {
        format!("nothing listens at {place}: check host and port, and whether the service runs")
    } else if says(&["lookup", "dns", "not known", "no such host"]) {
        format!("the name {host} has no address here: check its spelling; behind a proxy, set proxy")
    } else if says(&["in time", "timed out"]) {
        format!("{place} does not answer: check host and port, and firewalls between; behind a proxy, set proxy")
    } else {
        format!("see whether {place} can be reached from this machine; behind a proxy, set proxy")
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_check_follows_from_the_cause() {
        let at = Url::parse("https://ann:S3CRET@api.example.com/x?key=S3CRET").expect("an address");
        for (why, part) in [
            ("no connection: Connection refused (os error 111)", "nothing listens at api.example.com:443"),
            ("no connection: failed to lookup address information: Name or service not known", "check its spelling"),
            ("no connection in time", "firewalls"),
            ("no connection: invalid peer certificate: UnknownIssuer", "ca_file"),
            ("no connection: No route to host (os error 113)", "see whether api.example.com:443"),
        ] {
            let help = connecting(&at, why).unwrap_or_default();
            assert!(help.contains(part) && !help.contains("S3CRET"), "{why}: {help}");
        }
        assert_eq!(connecting(&at, "no answer in time"), None, "there was a connection");
    }
}
