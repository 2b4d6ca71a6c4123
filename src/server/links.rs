//! The addresses of pages, as links have them: each part is percent-encoded (RFC 3986, section 2.3), so that a key with a
//! slash or a `%` in it is one part. Links are relative, so that the pages work below any path of a proxy.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but what RFC 3986 calls unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A part of a path or of a query. A part that is only dots would be taken for a step of the path, and is encoded whole.
pub(super) fn part(text: &str) -> String {
    match text {
        "." => "%2E".into(),
        ".." => "%2E%2E".into(),
        text => utf8_percent_encode(text, RESERVED).to_string(),
    }
}

/// Where a page stands: what leads from it to `/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Root(pub &'static str);

impl Root {
    /// Of a page directly below `/`.
    pub const TOP: Root = Root("");
    /// Of a page one folder below.
    pub const ONE: Root = Root("../");
    /// Of a page two folders below.
    pub const TWO: Root = Root("../../");

    /// The front page.
    pub fn home(self) -> String {
        if self.0.is_empty() { "./".into() } else { self.0.into() }
    }

    /// A page directly below `/`.
    pub fn page(self, name: &str) -> String {
        format!("{}{name}", self.0)
    }

    /// A sync.
    pub fn sync(self, name: &str) -> String {
        format!("{}syncs/{}", self.0, part(name))
    }

    /// A run.
    pub fn run(self, id: &str) -> String {
        format!("{}runs/{}", self.0, part(id))
    }

    /// A plan.
    pub fn plan(self, id: &str) -> String {
        format!("{}plans/{}", self.0, part(id))
    }

    /// A person.
    pub fn person(self, sync: &str, key: &str) -> String {
        format!("{}people/{}/{}", self.0, part(sync), part(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_stands_in_a_key_is_one_part_of_a_path() {
        for (key, expected) in [
            ("E1007", "people/staff/E1007"),
            ("a/b c%20", "people/staff/a%2Fb%20c%2520"),
            ("Zoë?#", "people/staff/Zo%C3%AB%3F%23"),
            ("..", "people/staff/%2E%2E"),
            ("a.b-c_d~e", "people/staff/a.b-c_d~e"),
            ("\"><script>", "people/staff/%22%3E%3Cscript%3E"),
        ] {
            assert_eq!(Root::TOP.person("staff", key), expected);
        }
        assert_eq!((Root::ONE.run("01J"), Root::TWO.home()), ("../runs/01J".into(), "../../".into()));
    }
}
