//! Connections to the outside, made the same way for sources, targets and receivers of messages: certificates, proxy,
//! time limits, whole answers within a cap.
//!
//! A client follows no redirect by itself (that would carry credentials to another host) and reads no proxy from the
//! environment. Errors name neither a secret nor, beyond the host, an address.

use std::sync::Once;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Certificate, ClientBuilder, Identity, Method, Proxy, RequestBuilder};
use secrecy::ExposeSecret;
use url::Url;

use super::body::{BodyReadError, Deadline, Share, Store};
use super::error::{SendError, explained};
use super::secret::Secret;
use super::settings::NetworkSettings;
use crate::domain::error::{Error, Failure, LocalReason};
use crate::domain::outcome::ErrorKind;
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
pub fn builder(owner: &str, network: &NetworkSettings, timeout: Duration) -> Result<ClientBuilder, Failure> {
    install_tls();
    let wrong = |what: String| Failure::new(Error::Config, format!("{owner}: {what}"));
    let mut builder = ClientBuilder::new()
        .user_agent(concat!("rosterd/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        // What is sent again, and when, is decided by whoever sends; and nothing is copied for the case.
        .retry(reqwest::retry::never().max_retries_per_request(0))
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
pub fn clock_can_judge_certificates(owner: &str, url: &Url) -> Result<(), Failure> {
    let now = crate::os::clock::now();
    if url.scheme() != "https" || now >= chrono::DateTime::UNIX_EPOCH {
        return Ok(());
    }
    let message =
        format!("{owner}: this machine's clock says {}, so no certificate can be judged", now.format("%Y-%m-%d"));
    Err(Failure::new(Error::Local(LocalReason::Io), message).help("set the clock, e.g. timedatectl set-ntp true"))
}

/// Sends requests, and reads their answers whole.
#[derive(Clone)]
pub struct Client {
    client: reqwest::Client,
    timeout: Duration,
}

/// An answer, its body unpacked and within the cap that was asked for.
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
    /// Its share of the memory for large answers, where it is one.
    pub share: Option<Share>,
}

impl Client {
    /// Makes the client. `timeout` is that of one call, its answer included.
    ///
    /// # Errors
    /// It can't be made (78).
    pub fn new(owner: &str, builder: ClientBuilder, timeout: Duration) -> Result<Client, Failure> {
        let client = builder.build().map_err(|error| {
            Failure::new(Error::Config, format!("{owner}: no HTTP client can be made"))
                .help(
                    "it trusts the authorities that this machine trusts: see that their certificates are installed, on \
                     Debian with apt install ca-certificates",
                )
                .because(error.without_url())
        })?;
        Ok(Client { client, timeout })
    }

    /// A request with this method.
    pub fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// A `POST`.
    pub fn post(&self, url: Url) -> RequestBuilder {
        self.client.post(url)
    }

    /// A `GET`.
    pub fn get(&self, url: Url) -> RequestBuilder {
        self.client.get(url)
    }

    /// The time that a call has, from now on.
    pub fn patience(&self) -> Deadline {
        Deadline::of(self.timeout)
    }

    /// Sends one request and waits for the head of its answer; its body is for a [`Store`] to receive.
    ///
    /// # Errors
    /// None came.
    pub async fn begin(&self, request: RequestBuilder, patience: &Deadline) -> Result<reqwest::Response, SendError> {
        patience.wait(request.send()).await?.map_err(|error| explained(&error))
    }

    /// Sends one request and reads its whole answer, whatever the status, of at most so many bytes. The time limit covers
    /// both.
    ///
    /// # Errors
    /// No whole answer came.
    pub async fn send(&self, request: RequestBuilder, most: u64) -> Result<Response, SendError> {
        let mut patience = self.patience();
        let mut response = self.begin(request, &patience).await?;
        let mut store = Store::in_memory(most);
        store.receive(&mut response, &mut patience).await.map_err(|unread| match unread {
            BodyReadError::Broken(error) => error,
            // In memory nothing else can go wrong.
            BodyReadError::BodyError(_) => SendError {
                kind: ErrorKind::Protocol,
                maybe_sent: true,
                message: format!("an answer of more than {}", in_bytes(most)),
            },
        })?;
        let (body, share) = store.into_memory();
        Ok(Response {
            status: response.status().as_u16(),
            headers: std::mem::take(response.headers_mut()),
            body,
            share,
        })
    }
}

/// A size as people write it.
pub fn in_bytes(bytes: u64) -> String {
    if bytes.is_multiple_of(1_000_000) { format!("{} MB", bytes / 1_000_000) } else { format!("{bytes} bytes") }
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
