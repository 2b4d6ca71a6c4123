//! A source behind an address: where it is, what its pages are, how one leads to the next, and what must be shown before
//! they are believed.

use std::time::Duration;

use super::{FormatSettings, Kind, Rate, RetrySettings};
use crate::domain::address::{self, Address};
use crate::http::secret::Secret;
use crate::http::settings::{AuthSettings, NetworkSettings};

/// An export behind an address.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Where its first page is.
    pub url: Address,
    /// What its pages are written in; delimited text has a header on each.
    pub format: FormatSettings,
    /// How we authenticate.
    pub auth: AuthSettings,
    /// How one page leads to the next.
    pub pagination: Pagination,
    /// Somebody has said that there is one page (`kind = "none"`): the mark of a position is no sign of another.
    pub one_page: bool,
    /// The header in which the number of records that there are is declared.
    pub total_header: Option<String>,
    /// How often a read is begun in all when the list moved meanwhile; at least 1.
    pub reads: u32,
    /// More pages than this are a paging without end.
    pub max_pages: u64,
    /// The largest page, in bytes, unpacked.
    pub max_page: u64,
    /// Ceiling on all requests.
    pub rate: Rate,
    /// Of one whole page.
    pub timeout: Duration,
    /// What is done after a failure that may pass.
    pub retry: RetrySettings,
    /// How connections are made.
    pub network: NetworkSettings,
}

impl HttpSettings {
    /// Where the number of records that there are is declared.
    pub fn total(&self) -> Option<Total> {
        let pointed = self.format.json().and_then(|json| json.total.clone()).map(Total::Pointer);
        pointed.or_else(|| self.total_header.clone().map(Total::Header))
    }
}

impl Kind for HttpSettings {
    fn is_all_text(&self) -> bool {
        self.format.is_all_text()
    }

    fn shown(&self) -> String {
        format!("{}, auth {}", address::shown(&self.url), self.auth.kind())
    }

    fn secret(&self) -> Option<&Secret> {
        self.auth.secret()
    }
}

/// Where the number of all records is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Total {
    /// JSON pointer into the body.
    Pointer(String),
    /// A header.
    Header(String),
}

/// How one page leads to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pagination {
    /// There is one page.
    None,
    /// By a `Link` header with `rel="next"` (RFC 8288).
    Link,
    /// By a header that holds the next address, or, with `param`, the next value of that parameter.
    Header {
        /// The header.
        name: String,
        /// The parameter.
        param: Option<String>,
    },
    /// By an address in the body.
    Next {
        /// JSON pointer to it.
        pointer: String,
    },
    /// By a mark in the body that is handed back.
    Cursor {
        /// JSON pointer to it.
        pointer: String,
        /// The parameter in which it is handed back.
        param: String,
        /// How much a page is asked to hold.
        size: Option<PageSize>,
    },
    /// By the number of the page, until a page is empty.
    Page {
        /// The parameter.
        param: String,
        /// The first page's number.
        start: u64,
        /// How much a page is asked to hold.
        size: Option<PageSize>,
    },
    /// By the number of records so far, until a page is empty.
    Offset {
        /// The parameter.
        param: String,
        /// The first record's number.
        start: u64,
        /// How much a page is asked to hold.
        size: Option<PageSize>,
    },
}

/// How much a page is asked to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageSize {
    /// The parameter.
    pub param: String,
    /// Records.
    pub size: u64,
}
