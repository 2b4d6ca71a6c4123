//! What sources and targets that are reached over the network have in common: addresses, retries, connections.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::super::locate::KeyPath;
use super::super::raw::RawRetry;
use super::super::settings::RetrySettings;
use super::Report;
use crate::domain::address;
use crate::domain::address::Address;
use crate::http::settings::NetworkSettings;

/// What an address is used for, which decides what it may look like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Requests with credentials go there: not over plain http, but on loopback.
    Credentials,
    /// Requests without credentials go there.
    Open,
    /// It is a secret itself, and not shown.
    Secret,
}

/// The default of `retry.attempts`, `retry.base` and `retry.max`, as documented.
const RETRY: RetrySettings =
    RetrySettings { attempts: 5, base: Duration::from_millis(500), max: Duration::from_secs(60) };

/// Reads an http or https address.
pub(super) fn url(report: &mut Report<'_>, path: &KeyPath, text: &str, used: Use) -> Option<Address> {
    let shown = if used == Use::Secret { "this".to_owned() } else { format!("{:?}", address::typed(text)) };
    let help = |text: &str| Some(text.to_owned());
    let url = match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => url,
        other => {
            let (why, remedy) = no_address(path, text, other.err());
            report.error(path, format!("{shown} is not an address: {why}"), Some(remedy));
            return None;
        }
    };
    if !url.username().is_empty() || url.password().is_some() {
        report.error(path, "an address does not carry a user name or a password", help("put them into auth"));
        return None;
    }
    if url.fragment().is_some() {
        report.error(path, format!("{shown} has a fragment (#…), which is never sent"), help("take it out"));
        return None;
    }
    if used != Use::Open && !address::is_private(&url) {
        let message = format!("{shown} would send secrets over the network in the clear");
        report.error(path, message, help("write https://; http:// with credentials is for this machine alone"));
        return None;
    }
    Some(url.into())
}

/// Why a text is no address that can be used, and what to write.
fn no_address(path: &KeyPath, text: &str, error: Option<url::ParseError>) -> (String, String) {
    let example = match path.0.last().map(String::as_str) {
        Some("proxy") => "http://proxy.example.com:3128",
        _ => "https://acme.example.com/api",
    };
    let whole = format!("write it whole, e.g. \"{example}\"");
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    if error == Some(url::ParseError::InvalidPort) {
        return ("its port is not a number from 1 to 65535".into(), whole);
    }
    if !scheme.is_empty() && !matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https") {
        return ("it begins with neither https:// nor http://".into(), whole);
    }
    let is_host = !rest.is_empty() && !rest.contains(['@', '?', '#']) && !rest.contains(char::is_whitespace);
    if scheme.is_empty() && is_host && Url::parse(&format!("https://{rest}")).is_ok_and(|url| url.has_host()) {
        let begin = if example.starts_with("https") { "https://" } else { "http://" };
        return (format!("{begin} is missing before it"), format!("write \"{begin}{}\"", address::typed(rest)));
    }
    ("https:// and the name of a host are needed".into(), whole)
}

/// `retry`, with its defaults.
pub(super) fn retry(report: &mut Report<'_>, path: &KeyPath, raw: Option<RawRetry>) -> RetrySettings {
    let raw = raw.unwrap_or_default();
    let path = path.join("retry");
    let attempts = report.positive(&path.join("attempts"), raw.attempts).unwrap_or(RETRY.attempts);
    let max = raw.max.map_or(RETRY.max, |s| s.0);
    // Whoever lowers the longest pause alone lowers the first one with it.
    let base = raw.base.map_or(RETRY.base.min(max), |s| s.0);
    if base > max {
        let help = "the first pause (base) is at most the longest (max)";
        report.error(&path, "base is longer than max", Some(help.into()));
    }
    RetrySettings { attempts, base, max }
}

/// `timeout`, which can't be nothing; 30 s unless told otherwise.
pub(super) fn timeout(report: &mut Report<'_>, path: &KeyPath, raw: Option<crate::domain::units::Span>) -> Duration {
    let timeout = raw.map_or(Duration::from_secs(30), |s| s.0);
    if timeout.is_zero() {
        report.error(&path.join("timeout"), "no call is answered in no time", Some("write e.g. \"30s\"".into()));
    }
    timeout
}

/// `ca_file`, `client_cert`, `proxy`.
pub(super) fn network(
    report: &mut Report<'_>,
    path: &KeyPath,
    ca_file: Option<PathBuf>,
    client_cert: Option<PathBuf>,
    proxy: Option<String>,
) -> NetworkSettings {
    let file = |report: &mut Report<'_>, key: &str, file: Option<PathBuf>| {
        let key = path.join(key);
        let file = report.path(&key, &file?);
        if !file.is_file() {
            let message = format!("there is no file {}", address::scrubbed(&file.display().to_string()));
            let help = "name a PEM file; a relative path begins in the directory of the configuration";
            report.error(&key, message, Some(help.into()));
        }
        Some(file)
    };
    NetworkSettings {
        ca_file: file(report, "ca_file", ca_file),
        client_cert: file(report, "client_cert", client_cert),
        proxy: proxy.and_then(|p| url(report, &path.join("proxy"), &p, Use::Open)),
    }
}
