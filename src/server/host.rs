//! Under which names the server may be asked (RFC 9110, section 7.2).
//!
//! A page in somebody's browser can have its own name point at this machine (DNS rebinding) and then read what a
//! server on the loopback interface answers. The browser still says whom it means to ask: a name that is not ours is
//! refused.

use std::net::{IpAddr, SocketAddr};

use axum::http::uri::Authority;
use axum::http::{Request, StatusCode, Version, header};

use super::Refusal;
use crate::domain::exit::Exit;

/// The names under which the server may be asked, besides loopback ones and the address that was connected to.
#[derive(Clone, Debug, Default)]
pub(super) struct Hosts(Vec<String>);

impl Hosts {
    /// These names, as configured.
    pub fn new(names: &[String]) -> Hosts {
        Hosts(names.iter().map(|name| plain(name)).collect())
    }

    /// Lets a request pass that was sent to `address` and names a host that is ours.
    ///
    /// # Errors
    /// It names another one (421), or none where it must (400).
    pub fn admit<B>(&self, request: &Request<B>, address: SocketAddr) -> Result<(), Refusal> {
        let refuse = |status, message: &str| Err(Refusal::new(status, Exit::Usage, message));
        let mut named = request.headers().get_all(header::HOST).iter();
        let host: Option<Authority> = match (named.next(), named.next()) {
            (Some(host), None) => host.to_str().ok().and_then(|host| host.parse().ok()),
            _ => None,
        };
        let may_be_silent = request.version() < Version::HTTP_11 && !request.headers().contains_key(header::HOST);
        if host.is_none() && !may_be_silent {
            return refuse(StatusCode::BAD_REQUEST, "the request does not say in one Host header whom it asks");
        }
        // A target in absolute form overrides the header.
        let host = request.uri().authority().or(host.as_ref());
        if host.is_none_or(|host| self.is_ours(host.host(), address.ip())) {
            return Ok(());
        }
        let message = "the server does not go by this name; names besides loopback ones are listed in server.hosts";
        refuse(StatusCode::MISDIRECTED_REQUEST, message)
    }

    fn is_ours(&self, host: &str, address: IpAddr) -> bool {
        let host = plain(host);
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match literal.map(|ip| ip.to_canonical()) {
            Ok(ip) => ip.is_loopback() || ip == address.to_canonical() || self.0.contains(&host),
            Err(_) => host == "localhost" || host.ends_with(".localhost") || self.0.contains(&host),
        }
    }
}

/// A name as it is compared: in lower case, without the dot at its end.
fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_names_the_address_asked_and_configured_names_are_ours() {
        let hosts = Hosts::new(&["Rosterd.Example.com".into()]);
        let status = |target: &str, named: &[&str], version: Version| {
            let mut request = Request::builder().uri(target).version(version);
            for host in named {
                request = request.header("host", *host);
            }
            let request = request.body(()).expect("a request");
            hosts.admit(&request, "10.0.0.5:9464".parse().expect("an address")).err().map(|refusal| refusal.status)
        };
        for host in [
            "localhost",
            "LOCALHOST:9464",
            "localhost.",
            "127.0.0.1:9464",
            "127.8.8.8",
            "[::1]:9464",
            "10.0.0.5:9464",
            "rosterd.example.com",
            "ROSTERD.example.com.:443",
            "[::ffff:10.0.0.5]",
            "x.localhost",
        ] {
            assert_eq!(status("/", &[host], Version::HTTP_11), None, "{host}");
        }
        for host in [
            "evil.example",
            "10.0.0.6",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "rosterd.example.com.evil",
            "2130706433",
            "[::2]",
            "notlocalhost",
        ] {
            assert_eq!(status("/", &[host], Version::HTTP_11), Some(StatusCode::MISDIRECTED_REQUEST), "{host}");
        }
        assert_eq!(status("/", &[], Version::HTTP_10), None, "older health checks name no host");
        for named in [&[] as &[&str], &["localhost", "localhost"], &["a b"], &[""]] {
            assert_eq!(status("/", named, Version::HTTP_11), Some(StatusCode::BAD_REQUEST), "{named:?}");
        }
        let absolute = status("http://evil.example/", &["localhost"], Version::HTTP_11);
        assert_eq!(absolute, Some(StatusCode::MISDIRECTED_REQUEST));
    }
}
