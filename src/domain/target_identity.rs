//! What a target *is*, whatever it is called: its address, in the one form that all spellings of it share.
//!
//! Two targets of one identity are one platform, and its accounts are shared. Pure: names are not resolved, so that two
//! names of one machine are two places, but for those of the machine itself.

use std::collections::BTreeMap;
use std::fmt;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// How every name and address of the machine itself is written.
const THIS_MACHINE: &str = "localhost";

/// A target's identity: the address, and those options of its kind that stand in request paths. The users of client 1
/// and those of client 2 below one address are different users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetIdentity {
    address: String,
    options: BTreeMap<String, String>,
}

impl TargetIdentity {
    /// The identity of a target at this address, with these options in its request paths.
    pub fn of(base_url: &Url, options: &BTreeMap<String, String>) -> TargetIdentity {
        TargetIdentity { address: address(base_url), options: options.clone() }
    }

    /// Reads what [`written`] wrote, or the address alone that older versions kept.
    pub fn parse(text: &str) -> TargetIdentity {
        let Ok(url) = Url::parse(text) else {
            // Nothing that this program kept; it is equal to itself alone.
            return TargetIdentity { address: text.to_owned(), options: BTreeMap::new() };
        };
        let options = url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        TargetIdentity { address: address(&url), options }
    }

    /// Whether both are one place: the address decides. An option that only one of them has tells nothing: the other is
    /// of an older version, or of another kind.
    pub fn is_one_with(&self, other: &TargetIdentity) -> bool {
        let differs = |(name, value): (&String, &String)| other.options.get(name).is_some_and(|theirs| theirs != value);
        self.address == other.address && !self.options.iter().any(differs)
    }

    /// Whether the address is the same, whatever the options are.
    pub fn has_address_of(&self, other: &TargetIdentity) -> bool {
        self.address == other.address
    }
}

impl fmt::Display for TargetIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)?;
        let options = self.options.iter().enumerate();
        options.into_iter().try_for_each(|(n, (name, value))| {
            let joint = if n == 0 { '?' } else { '&' };
            write!(f, "{joint}{name}={value}")
        })
    }
}

/// An address as it was configured, with the options that belong to it: what the state keeps. A `base_url` has no query
/// of its own.
pub fn written(base_url: &Url, options: &BTreeMap<String, String>) -> String {
    let mut url = base_url.clone();
    if !options.is_empty() {
        url.query_pairs_mut().extend_pairs(options);
    }
    url.to_string()
}

/// Scheme, host, port where it isn't the scheme's own, and path. [`Url`] has brought scheme and host to small letters
/// and left out the default port and segments of dots (URL Standard, sections 3 and 4).
fn address(url: &Url) -> String {
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{}{port}{}", url.scheme(), host(url), path(url.path()))
}

/// The host, without the dot that a whole name may end with.
fn host(url: &Url) -> String {
    let Some(host) = url.host() else { return String::new() };
    let is_this_machine = match &host {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            // RFC 6761, section 6.3: every name below localhost is the machine itself.
            name == THIS_MACHINE || name.ends_with(".localhost")
        }
        // To connect to no address in particular is to connect to oneself.
        Host::Ipv4(ip) => ip.is_loopback() || ip.is_unspecified(),
        Host::Ipv6(ip) => {
            let within = ip.to_ipv4_mapped();
            ip.is_loopback() || ip.is_unspecified() || within.is_some_and(|ip| ip.is_loopback())
        }
    };
    match is_this_machine {
        true => THIS_MACHINE.to_owned(),
        false => host.to_string().trim_end_matches('.').to_owned(),
    }
}

/// The path without slashes at its end, each segment percent-encoded in one way (RFC 3986, section 6.2.2).
fn path(path: &str) -> String {
    let segments = path.trim_end_matches('/').split('/');
    let alike = segments.map(|segment| {
        let bytes: Vec<u8> = percent_decode_str(segment).collect();
        percent_encoding::percent_encode(&bytes, UNRESERVED_ALONE).to_string()
    });
    alike.collect::<Vec<_>>().join("/")
}

/// All but the unreserved characters of RFC 3986.
const UNRESERVED_ALONE: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    fn is_one(a: &str, b: &str) -> bool {
        let (a, b) = (TargetIdentity::parse(a), TargetIdentity::parse(b));
        assert_eq!(a.is_one_with(&b), b.is_one_with(&a), "{a} and {b}");
        a.is_one_with(&b)
    }

    #[test]
    fn spellings_of_one_address_are_one_place() {
        for (a, b) in [
            ("https://acme.example.com/api", "https://acme.example.com/api/"),
            ("https://acme.example.com/api", "https://acme.example.com/api//"),
            ("https://acme.example.com", "https://acme.example.com/"),
            ("https://acme.example.com/api", "HTTPS://ACME.Example.COM/api"),
            ("https://acme.example.com/api", "https://acme.example.com./api"),
            ("https://acme.example.com/api", "https://acme.example.com:443/api"),
            ("http://acme.example.com/api", "http://acme.example.com:80/api"),
            ("https://acme.example.com/api", "https://acme.example.com/v1/../api"),
            ("https://acme.example.com/api", "https://acme.example.com/./api"),
            ("https://acme.example.com/a%2fb", "https://acme.example.com/a%2Fb"),
            ("https://acme.example.com/~api", "https://acme.example.com/%7Eapi"),
            ("https://acme.example.com/%61pi", "https://acme.example.com/api"),
            ("https://b\u{fc}cher.example", "https://xn--bcher-kva.example"),
            ("http://localhost:8080/juno/api", "http://127.0.0.1:8080/juno/api"),
            ("http://localhost:8080", "http://[::1]:8080"),
            ("http://localhost:8080", "http://127.1:8080"),
            ("http://localhost:8080", "http://127.0.0.2:8080/"),
            ("http://localhost.:8080", "http://[::ffff:127.0.0.1]:8080"),
            ("http://localhost:8080", "http://0.0.0.0:8080"),
            ("http://juno.localhost:8080", "http://localhost:8080"),
        ] {
            assert!(is_one(a, b), "{a} and {b}");
        }
    }

    #[test]
    fn other_schemes_hosts_ports_and_paths_are_other_places() {
        for (a, b) in [
            ("https://acme.example.com/api", "http://acme.example.com/api"),
            ("https://acme.example.com/api", "https://acme.example.org/api"),
            ("https://acme.example.com/api", "https://www.acme.example.com/api"),
            ("https://acme.example.com/api", "https://acme.example.com:8443/api"),
            ("https://acme.example.com/api", "https://acme.example.com/API"),
            ("https://acme.example.com/api", "https://acme.example.com/api/v2"),
            ("https://acme.example.com/a/b", "https://acme.example.com/a%2Fb"),
            ("https://acme.example.com", "https://acme.example.com/api"),
            ("http://localhost:8080", "http://localhost:8081"),
            ("http://localhost:8080", "http://10.0.0.1:8080"),
            ("http://localhost:8080", "http://notlocalhost:8080"),
        ] {
            assert!(!is_one(a, b), "{a} and {b}");
        }
    }

    #[test]
    fn options_in_the_paths_tell_places_apart_where_both_have_them() {
        let at = |client: &str| {
            let url = Url::parse("https://acme.example.com/").expect("an address");
            let options = [("client".to_string(), client.to_string())].into();
            let text = written(&url, &options);
            assert_eq!(TargetIdentity::parse(&text), TargetIdentity::of(&url, &options), "{text}");
            text
        };
        assert!(is_one(&at("1"), &at("1")));
        assert!(!is_one(&at("1"), &at("2")));
        assert!(!is_one(&at("a&b=1"), &at("a")));
        // What an older version kept, or a target of another kind, at the same address.
        assert!(is_one(&at("1"), "https://acme.example.com"));
        let (one, two) = (TargetIdentity::parse(&at("1")), TargetIdentity::parse(&at("2")));
        assert!(one.has_address_of(&two));
    }

    #[test]
    fn what_is_no_address_is_itself_alone() {
        assert!(is_one("", ""));
        assert!(!is_one("", "https://acme.example.com"));
    }
}
