//! From one page to the next. Pure: what a page said goes in, the address of the next one comes out, or that there is
//! none, or that the paging goes round in circles.

use serde_json::Value;
use url::Url;

use crate::config::settings::{PageSize, Pagination};
use crate::domain::paging;
use crate::http::paging::LoopGuard;

/// What a page told.
#[derive(Debug, Default)]
pub(super) struct Told<'a> {
    /// Records on it.
    pub count: u64,
    /// What stands at the pointer.
    pub pointed: Option<&'a Value>,
    /// The header: `Link`, or the configured one.
    pub header: Option<&'a str>,
    /// Whether something else than what is configured says that there is more.
    pub more: bool,
    /// Whether it is said that there is no more, so that a mark is that of the last position.
    pub no_more: bool,
}

/// Where to go on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// To this address.
    Go(Url),
    /// That was the last page.
    End,
    /// Nowhere: why, without values.
    Lost(String),
}

/// The way through the pages of one read.
pub(super) struct Pager<'a> {
    kind: &'a Pagination,
    first: Url,
    at: Url,
    guard: LoopGuard,
    page: u64,
    records: u64,
    most: u64,
}

impl<'a> Pager<'a> {
    /// The way that begins at `url` and has at most so many pages.
    pub fn new(kind: &'a Pagination, url: &Url, most: u64) -> Pager<'a> {
        let mut first = url.clone();
        let (parameter, size) = match kind {
            Pagination::None | Pagination::Link | Pagination::Header { .. } | Pagination::Next { .. } => (None, &None),
            Pagination::Cursor { size, .. } => (None, size),
            Pagination::Page { param, start, size } => (Some((param, *start)), size),
            Pagination::Offset { param, start, size } => (Some((param, *start)), size),
        };
        if let Some(PageSize { param, size }) = size {
            set(&mut first, param, &size.to_string());
        }
        let mut at = first.clone();
        if let Some((param, value)) = parameter {
            set(&mut at, param, &value.to_string());
        }
        let mut guard = LoopGuard::default();
        guard.asks(at.as_str());
        Pager { kind, first, at, guard, page: 1, records: 0, most }
    }

    /// The address of the page that is to be read.
    pub fn at(&self) -> &Url {
        &self.at
    }

    /// The number of that page, from 1.
    pub fn page(&self) -> u64 {
        self.page
    }

    /// How many records the pages before it had.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Goes on from a page that told this; `base` is where it really came from, `total` how many records there are.
    pub fn go_on(&mut self, told: &Told<'_>, base: &Url, total: Option<u64>) -> Next {
        self.records = self.records.saturating_add(told.count);
        let next = match self.next(told, base, total) {
            Next::Go(next) => next,
            other => return other,
        };
        if !same_host(&self.first, &next) {
            return Next::Lost("the next page is on another host, where our credentials don't belong".into());
        }
        if !self.guard.asks(next.as_str()) {
            return Next::Lost("the paging goes round in circles: the next page is one that was read already".into());
        }
        if self.page >= self.most {
            return Next::Lost(format!("there are more than {} pages (max_pages)", self.most));
        }
        self.page += 1;
        self.at = next.clone();
        Next::Go(next)
    }

    fn next(&self, told: &Told<'_>, base: &Url, total: Option<u64>) -> Next {
        match self.kind {
            Pagination::None => Next::End,
            Pagination::Link => match told.header.map(crate::domain::link::next) {
                None | Some(Ok(None)) => Next::End,
                Some(Ok(Some(link))) => joined(base, link),
                Some(Err(_)) => Next::Lost("its Link header can't be understood".into()),
            },
            Pagination::Header { param: None, .. } => match told.header.map(str::trim).unwrap_or_default() {
                "" => Next::End,
                number if number.bytes().all(|b| b.is_ascii_digit()) => Next::Lost(
                    "its header holds a number and no address: name the parameter as pagination.param".into(),
                ),
                address => joined(base, address),
            },
            Pagination::Header { param: Some(param), .. } => match told.header.map(str::trim).unwrap_or_default() {
                "" => Next::End,
                value => self.with(param, value),
            },
            Pagination::Next { .. } => match paging::told(told.pointed) {
                None => Next::End,
                Some(Value::String(address)) => joined(base, address.trim()),
                Some(_) => Next::Lost("what should be the next address is not text".into()),
            },
            Pagination::Cursor { param, .. } => match paging::told(told.pointed) {
                None => Next::End,
                Some(_) if told.no_more => Next::End,
                Some(pointed) => match paging::cursor(pointed) {
                    Some(cursor) => self.with(param, &cursor),
                    None => Next::Lost("what should be the cursor is neither text nor a number".into()),
                },
            },
            // A page that is not full proves nothing: a server may give fewer than it is asked for. An empty one, or
            // the whole of what is declared, is the end; the latter not where it says that there is more.
            Pagination::Page { .. } | Pagination::Offset { .. } if told.count == 0 => Next::End,
            Pagination::Page { .. } | Pagination::Offset { .. }
                if !told.more && total.is_some_and(|n| self.records >= n) =>
            {
                Next::End
            }
            Pagination::Page { param, start, .. } => self.with(param, &start.saturating_add(self.page).to_string()),
            Pagination::Offset { param, start, .. } => {
                self.with(param, &start.saturating_add(self.records).to_string())
            }
        }
    }

    fn with(&self, param: &str, value: &str) -> Next {
        let mut url = self.first.clone();
        set(&mut url, param, value);
        Next::Go(url)
    }
}

fn joined(base: &Url, reference: &str) -> Next {
    match base.join(reference) {
        Ok(mut url) => {
            url.set_fragment(None);
            Next::Go(url)
        }
        Err(_) => Next::Lost("what should be the next address is none".into()),
    }
}

/// Whether credentials for one address may go to the other: the same host and port, and no less protected.
pub(super) fn same_host(from: &Url, to: &Url) -> bool {
    let same = from.host() == to.host();
    if from.scheme() == to.scheme() {
        return same && from.port_or_known_default() == to.port_or_known_default();
    }
    // From http to https with the usual ports is a step up.
    same && (from.scheme(), to.scheme()) == ("http", "https") && from.port().is_none() && to.port().is_none()
}

/// Sets one parameter of the query and leaves the others as they are.
fn set(url: &mut Url, param: &str, value: &str) {
    let mut pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    match pairs.iter_mut().find(|(name, _)| name == param) {
        Some(pair) => pair.1 = value.to_owned(),
        None => pairs.push((param.to_owned(), value.to_owned())),
    }
    url.query_pairs_mut().clear().extend_pairs(pairs);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("an address")
    }

    fn go(text: &str) -> Next {
        Next::Go(url(text))
    }

    const START: &str = "https://hr.example.com/api/people?active=1";

    fn size(param: &str, size: u64) -> Option<PageSize> {
        Some(PageSize { param: param.into(), size })
    }

    #[test]
    fn link_headers_in_every_spelling() {
        for (header, next) in [
            ("", Ok(None)),
            ("</p2>; rel=\"next\"", Ok(Some("/p2"))),
            ("</p1>; rel=prev, </p3>; title=\"a, b; rel=next\"; rel=\"last NEXT\"", Ok(Some("/p3"))),
            ("</p1>;rel=\"prev\",</p9>;rel=last", Ok(None)),
            ("</a,b;c>; REL = next", Ok(Some("/a,b;c"))),
            ("nonsense", Err(())),
        ] {
            assert_eq!(crate::domain::link::next(header), next.map_err(|()| crate::domain::link::NotALink), "{header}");
        }
    }

    #[test]
    fn each_kind_finds_its_next_page() {
        let base = url(START);
        let told = |count, pointed, header| Told { count, pointed, header, ..Told::default() };
        let cursor = Pagination::Cursor { pointer: "/c".into(), param: "after".into(), size: size("limit", 50) };
        let page = Pagination::Page { param: "p".into(), start: 0, size: None };
        let offset = Pagination::Offset { param: "from".into(), start: 0, size: size("limit", 50) };
        let header = |param: Option<&str>| Pagination::Header { name: "x".into(), param: param.map(Into::into) };
        let next = Pagination::Next { pointer: "/n".into() };
        let (text, number, nothing) = (json!("q r"), json!(7), json!(null));
        let (address, blank) = (json!("/p2"), json!(""));
        for (kind, told, expected) in [
            (&Pagination::None, told(3, None, None), Next::End),
            (&Pagination::Link, told(3, None, Some("<?p=2>; rel=next")), go("https://hr.example.com/api/people?p=2")),
            (&Pagination::Link, told(3, None, None), Next::End),
            (&header(None), told(3, None, Some("/p2")), go("https://hr.example.com/p2")),
            (&header(None), told(3, None, Some(" ")), Next::End),
            (&header(Some("p")), told(3, None, Some("2")), go("https://hr.example.com/api/people?active=1&p=2")),
            (&next, told(3, Some(&address), None), go("https://hr.example.com/p2")),
            (&next, told(3, Some(&nothing), None), Next::End),
            (&next, told(3, None, None), Next::End),
            (&cursor, told(3, Some(&text), None), go(&format!("{START}&limit=50&after=q+r"))),
            (&cursor, told(3, Some(&number), None), go(&format!("{START}&limit=50&after=7"))),
            (&cursor, told(3, Some(&blank), None), Next::End),
            (&page, told(3, None, None), go(&format!("{START}&p=1"))),
            (&page, told(0, None, None), Next::End),
            (&offset, told(3, None, None), go(&format!("{START}&limit=50&from=3"))),
            (&offset, told(0, None, None), Next::End),
        ] {
            let mut pager = Pager::new(kind, &base, 9);
            assert_eq!(pager.go_on(&told, &base, None), expected, "{kind:?}");
        }
        let mut pager = Pager::new(&offset, &base, 9);
        assert_eq!(pager.at(), &url(&format!("{START}&limit=50&from=0")));
        assert_eq!(pager.go_on(&told(3, None, None), &base, Some(3)), Next::End, "everything that was declared");
    }

    #[test]
    fn circles_and_other_hosts_are_refused() {
        let base = url(START);
        let next = Pagination::Next { pointer: "/n".into() };
        let mut pager = Pager::new(&next, &base, 9);
        let lost = |next: Next| match next {
            Next::Lost(why) => why,
            other => panic!("{other:?}"),
        };
        let to = |address: &str| Value::from(address);
        let (two, one) = (to("/p2"), to(START));
        let ask = |pager: &mut Pager<'_>, value: &Value| {
            pager.go_on(&Told { count: 1, pointed: Some(value), ..Told::default() }, &base, None)
        };
        assert_eq!(ask(&mut pager, &two), go("https://hr.example.com/p2"));
        assert!(lost(ask(&mut pager, &one)).contains("circles"));
        assert!(lost(ask(&mut pager, &two)).contains("circles"));
        for elsewhere in ["https://evil.example.com/", "https://hr.example.com:444/", "http://hr.example.com/p3"] {
            assert!(lost(ask(&mut pager, &to(elsewhere))).contains("another host"), "{elsewhere}");
        }
        assert!(same_host(&url("http://h/a"), &url("https://h/b")));
        assert!(!same_host(&url("http://h:8080/a"), &url("https://h/b")));
        assert!(!same_host(&url("http://127.0.0.1:1/"), &url("http://localhost:1/")));
    }

    proptest! {
        #![proptest_config(crate::domain::properties::cases(256))]

        #[test]
        fn no_header_and_no_value_makes_it_panic(header in "\\PC{0,40}", links in "[<>;,=\"a-z ?/]{0,40}", value in "\\PC{0,20}") {
            let base = url(START);
            for (kind, header) in [(Pagination::Link, &links), (Pagination::Link, &header), (Pagination::Header { name: "x".into(), param: None }, &header)] {
                let mut pager = Pager::new(&kind, &base, 99);
                let _ = pager.go_on(&Told { count: 1, header: Some(header), ..Told::default() }, &base, None);
            }
            let kind = Pagination::Next { pointer: String::new() };
            let value = Value::from(value);
            let _ = Pager::new(&kind, &base, 99).go_on(&Told { count: 1, pointed: Some(&value), ..Told::default() }, &base, None);
        }

        /// Over any list, cut into pages of any sizes, offset paging asks for every record once.
        #[test]
        fn offsets_cover_everything_once(pages in proptest::collection::vec(1u64..9, 0..20)) {
            let base = url(START);
            let kind = Pagination::Offset { param: "from".into(), start: 0, size: None };
            let mut pager = Pager::new(&kind, &base, 99);
            let mut covered = 0;
            for count in pages.iter().chain([&0]) {
                let from: u64 = pager.at().query_pairs().find(|(n, _)| n == "from").expect("set").1.parse().expect("a number");
                prop_assert_eq!(from, covered);
                covered += count;
                let next = pager.go_on(&Told { count: *count, ..Told::default() }, &base, None);
                prop_assert_eq!(next == Next::End, *count == 0);
            }
            prop_assert_eq!(covered, pages.iter().sum::<u64>());
        }
    }
}
