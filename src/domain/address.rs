//! Addresses as people may see them: scheme, host, port and path. A query, a fragment, a user name and a password are
//! never shown, for they hold keys as often as not; `?…` and `…@` say that something was left out.
//!
//! Pure. The one place where an address becomes text for a message, a log, a page or a `Debug`.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use url::{Host, Url};

/// An address of the configuration, whose `Debug` and `Display` are [`shown`].
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Url);

impl Address {
    /// The whole of it, for requests.
    pub fn whole(&self) -> Url {
        self.0.clone()
    }
}

impl From<Url> for Address {
    fn from(url: Url) -> Address {
        Address(url)
    }
}

impl FromStr for Address {
    type Err = url::ParseError;

    fn from_str(text: &str) -> Result<Address, url::ParseError> {
        Url::parse(text).map(Address)
    }
}

impl Deref for Address {
    type Target = Url;

    fn deref(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether nobody on the way reads what is sent there: it is encrypted, or never leaves this machine.
pub fn is_private(url: &Url) -> bool {
    let stays_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || stays_here
}

/// What stands where something was left out.
const LEFT_OUT: &str = "…";

/// An address.
pub fn shown(url: &Url) -> String {
    let mut bare = url.clone();
    let secret = !url.username().is_empty() || url.password().is_some();
    bare.set_query(None);
    bare.set_fragment(None);
    // Where an address can't have these, it has none.
    let (_, _) = (bare.set_username(""), bare.set_password(None));
    let more = if url.query().is_some() || url.fragment().is_some() { "?…" } else { "" };
    let text = format!("{bare}{more}");
    match (secret, text.split_once("://")) {
        (true, Some((scheme, rest))) => format!("{scheme}://{LEFT_OUT}@{rest}"),
        _ => text,
    }
}

/// What was typed where an address should stand: as [`shown`] where it is one, else as much of its beginning as can hold
/// no key.
pub fn typed(text: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "-._~:/[]".contains(letter);
    if let Ok(url) = Url::parse(text)
        && url.host_str().is_some_and(|host| host.chars().all(plain))
    {
        return shown(&url);
    }
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    if rest.contains('@') {
        return format!("{scheme}{LEFT_OUT}");
    }
    let end = rest.find(|letter| !plain(letter)).unwrap_or(rest.len());
    let more = match rest[end..].chars().next() {
        None => "",
        Some('?') => "?…",
        Some(_) => LEFT_OUT,
    };
    format!("{scheme}{}{more}", &rest[..end])
}

/// Text that may hold an address where something else was wanted, a path for instance: its addresses as [`typed`], and
/// without what looks like a query.
pub fn scrubbed(text: &str) -> String {
    let Some(at) = text.find("://") else { return text.split(' ').map(without_query).collect::<Vec<_>>().join(" ") };
    let begin = text[..at]
        .rfind(|letter: char| !letter.is_ascii_alphanumeric())
        .map_or(0, |place| place + text[place..].chars().next().map_or(0, char::len_utf8));
    let end = text[at..].find(char::is_whitespace).map_or(text.len(), |length| at + length);
    // The quote and the comma after it are the sentence's, not the address's.
    let end = begin + text[begin..end].trim_end_matches(['"', '\'', '`', ',', ':', ';', ')']).len();
    format!("{}{}{}", &text[..begin], typed(&text[begin..end]), scrubbed(&text[end..]))
}

/// A word up to the question mark of what looks like a query.
fn without_query(word: &str) -> String {
    match word.split_once('?') {
        Some((before, query)) if query.contains('=') => format!("{before}?{LEFT_OUT}"),
        _ => word.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_only_what_is_no_secret_is_shown() {
        for (text, expected) in [
            ("https://hr.example.com/api", "https://hr.example.com/api"),
            ("https://hr.example.com:8443/api?token=S3CRET", "https://hr.example.com:8443/api?…"),
            ("https://ann:S3CRET@hr.example.com/api#S3CRET", "https://…@hr.example.com/api?…"),
            ("https://S3CRET@hr.example.com/", "https://…@hr.example.com/"),
            ("htps://hr/api?token=S3CRET", "htps://hr/api?…"),
            ("hr.example.com/api?token=S3CRET", "hr.example.com/api?…"),
            ("https//hr/api?token=S3CRET", "https//hr/api?…"),
            ("https://ann:S3CRET@[bad/api", "https://…"),
            ("ann:S3CRET@hr", "…"),
            ("https://hr:port/api?token=S3CRET", "https://hr:port/api?…"),
            ("https:///api&key=S3CRET", "https:///api…"),
            ("token=S3CRET", "token…"),
            ("", ""),
        ] {
            assert_eq!(typed(text), expected, "{text}");
            assert!(!typed(text).contains("S3CRET"));
        }
        let address = Address::from(Url::parse("https://ann:S3CRET@hr/api?k=S3CRET").expect("an address"));
        assert_eq!(format!("{address} {address:?}"), "https://…@hr/api?… https://…@hr/api?…");
        assert_eq!(address.whole().query(), Some("k=S3CRET"), "requests have all of it");
    }

    #[test]
    fn an_address_in_the_place_of_something_else_is_found() {
        for (text, expected) in [
            ("/etc/rosterd/hr.csv", "/etc/rosterd/hr.csv"),
            ("/etc/rosterd/https://hr/api?token=S3CRET", "/etc/rosterd/https://hr/api?…"),
            ("curl https://u:S3CRET@hooks.example.com/x -d ok", "curl https://…@hooks.example.com/x -d ok"),
            ("ü://x?S3CRET", "ü://x?…"),
            ("/etc/https//hr/api?token=S3CRET", "/etc/https//hr/api?…"),
            ("/data/what? a name/hr.csv", "/data/what? a name/hr.csv"),
        ] {
            assert_eq!(scrubbed(text), expected, "{text}");
        }
    }
}
