//! Connections to the outside, made the same way for sources and targets: certificates, proxy, time limits, and the
//! headers that authenticate.
//!
//! A client follows no redirect by itself (that would carry credentials to another host) and reads no proxy from the
//! environment. Errors name neither a secret nor, beyond the host, an address.

use std::sync::Once;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use reqwest::{Certificate, ClientBuilder, Identity, Proxy};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::domain::error::{Error, Failure, LocalReason, Result};
use crate::http::secret::Secret;
use crate::http::settings::{AuthSettings, NetworkSettings};
use crate::os::bounded_file;

/// The longest time for a connection to come about, where the whole call has longer: what takes more on the networks
/// of today is not there, and an early end tells that nothing was sent.
const LONGEST_CONNECT: Duration = Duration::from_secs(10);

/// How long an idle connection is kept: below the 60 seconds after which common servers and balancers close theirs,
/// since a request on a connection that is being closed is one whose fate is unknown.
const IDLE: Duration = Duration::from_secs(45);

/// How often a silent connection is probed: a peer that vanished is noticed within a call's usual limit.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// The beginnings of a client. `owner` is what it is for, e.g. `target juno`; `timeout` is that of one call.
///
/// # Errors
/// A certificate or the proxy can't be used (78), or the file with our private key can be read by everybody (77).
pub fn builder(owner: &str, network: &NetworkSettings, timeout: Duration) -> Result<ClientBuilder> {
    install_tls();
    let wrong = |what: String| Failure::new(Error::Config, format!("{owner}: {what}"));
    let mut builder = ClientBuilder::new()
        .user_agent(concat!("rosterd/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .connect_timeout(LONGEST_CONNECT.min(timeout / 2))
        .pool_idle_timeout(IDLE)
        .tcp_keepalive(KEEPALIVE);
    if let Some(path) = &network.ca_file {
        let unusable = |why: String| wrong(format!("ca_file {} can't be used: {why}", path.display()));
        let pem = bounded_file::read(path).map_err(|error| unusable(error.to_string()))?;
        let authorities = Certificate::from_pem_bundle(&pem).map_err(|_| unusable("it is not PEM".into()))?;
        if authorities.is_empty() {
            return Err(unusable("it holds no certificate".into()));
        }
        builder = builder.tls_certs_merge(authorities);
    }
    if let Some(path) = &network.client_cert {
        let pem = Secret::File(path.clone()).read()?;
        let identity = Identity::from_pem(pem.expose_secret().as_bytes()).map_err(|_| {
            wrong(format!("client_cert {} can't be used", path.display()))
                .help("it holds a certificate and its unencrypted private key, both as PEM")
        })?;
        builder = builder.identity(identity);
    }
    if let Some(url) = &network.proxy {
        let proxy = Proxy::all(url.whole()).map_err(|_| wrong("the proxy's address can't be used".into()))?;
        builder = builder.proxy(proxy);
    }
    Ok(builder)
}

/// Refuses to speak TLS while the machine's clock is before 1970: certificates can't be judged then, and the library
/// below panics.
///
/// # Errors
/// Exit 74, with what the clock says.
pub fn clock_can_judge_certificates(owner: &str, url: &Url) -> Result<()> {
    let now = crate::os::clock::now();
    if url.scheme() != "https" || now >= chrono::DateTime::UNIX_EPOCH {
        return Ok(());
    }
    let message =
        format!("{owner}: this machine's clock says {}, so no certificate can be judged", now.format("%Y-%m-%d"));
    Err(Failure::new(Error::Local(LocalReason::Io), message).help("set the clock, e.g. timedatectl set-ntp true"))
}

/// Makes the client.
///
/// # Errors
/// It can't be made (78).
pub fn client(owner: &str, builder: ClientBuilder) -> Result<reqwest::Client> {
    builder.build().map_err(|error| {
        Failure::new(Error::Config, format!("{owner}: no HTTP client can be made")).because(error.without_url())
    })
}

/// The header that authenticates, where it is the same for every request; none for `none`, `session` and `oauth2`.
///
/// # Errors
/// A secret can't be read (as [`Secret::read`] says) or can't stand in a header (78).
pub fn fixed_credentials(owner: &str, auth: &AuthSettings) -> Result<Option<(HeaderName, HeaderValue)>> {
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
pub fn prefixed(prefix: &str, secret: &SecretString) -> SecretString {
    format!("{prefix}{}", secret.expose_secret()).into()
}

/// The value of `Authorization` for HTTP Basic (RFC 7617).
pub fn basic(username: &str, password: &SecretString) -> SecretString {
    format!("Basic {}", base64(format!("{username}:{}", password.expose_secret()).as_bytes())).into()
}

/// Base64 with padding (RFC 4648), for HTTP Basic: a dozen lines against a dependency.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().chain([0, 0].iter()).take(3).fold(0u32, |group, byte| group << 8 | u32::from(*byte));
        for place in 0..4 {
            let digit = (group >> (18 - 6 * place)) & 63;
            text.push(if place > chunk.len() { '=' } else { char::from(ALPHABET[digit as usize]) });
        }
    }
    text
}

/// Installs the process's TLS provider, once. Who installed another one before keeps it.
pub fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::exit::Exit;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (text, encoded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
    }

    #[test]
    fn a_header_of_each_kind_and_no_secret_in_its_debug() {
        let secret = || Secret::Literal("s3cret".to_string().into());
        for (auth, name, value) in [
            (AuthSettings::Bearer(secret()), "authorization", "Bearer s3cret"),
            (AuthSettings::Token(secret()), "authorization", "Token s3cret"),
            (AuthSettings::Header { name: "X-Key".into(), value: secret() }, "x-key", "s3cret"),
            (AuthSettings::Basic { username: "u".into(), password: secret() }, "authorization", "Basic dTpzM2NyZXQ="),
        ] {
            let (found, header) = fixed_credentials("source hr", &auth).expect("a header").expect("one");
            assert_eq!((found.as_str(), header.to_str().expect("text")), (name, value));
            assert!(!format!("{header:?}").contains("s3cret"));
        }
        assert!(fixed_credentials("source hr", &AuthSettings::None).expect("none").is_none());
    }

    #[test]
    fn files_that_can_not_be_used_are_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("ca.pem");
        std::fs::write(&path, "no certificate\n").expect("a file");
        let network = NetworkSettings { ca_file: Some(path), ..NetworkSettings::default() };
        let failure = builder("source hr", &network, Duration::from_secs(1)).expect_err("no certificate");
        assert_eq!(failure.exit(), Exit::Config);
        assert!(failure.message.contains("ca.pem"), "{}", failure.message);
    }
}
