//! The guard against pagings that have no end: servers that ignore the parameter of their own paging show the first page
//! for ever, and a link can lead back. It says what it sees; what follows from that is for whoever reads.
//!
//! Of addresses and pages prints of sixteen bytes are kept, of nothing else anything.

use std::collections::{HashMap, HashSet};

/// Pages in a row without anybody new after which nobody is expected any more.
pub const MOST_IDLE_PAGES: u32 = 3;

/// A print of an address or of what a page shows.
type Print = [u8; 16];

/// The way through the pages of one list.
#[derive(Debug, Default)]
pub struct LoopGuard {
    asked: HashSet<Print>,
    shown: HashMap<Print, u64>,
    pages: u64,
    idle: u32,
}

impl LoopGuard {
    /// Notes that this page is asked for; `false` where it was asked for before.
    pub fn asks(&mut self, address: &str) -> bool {
        self.asked.insert(print([address.as_bytes()]))
    }

    /// Notes that a page is there, and whether it showed anybody new. Says how many in a row have not.
    pub fn shows_news(&mut self, news: bool) -> u32 {
        self.idle = if news { 0 } else { self.idle + 1 };
        self.idle
    }

    /// Notes what a page shows, as a print of it. Says which earlier page showed the same, where one did.
    pub fn shows(&mut self, print: Print, page: u64) -> Option<u64> {
        self.shown.insert(print, page)
    }

    /// One page more; the number of it, from 1.
    pub fn turns(&mut self) -> u64 {
        self.pages += 1;
        self.pages
    }

    /// A further list begins, on which is who has come since. No page of the one before is part of it.
    pub fn goes_on(&mut self) {
        self.idle = 0;
    }
}

/// A print of these parts, in their order.
pub fn print<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Print {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    printed(&hasher)
}

/// The print of what went into this.
pub fn printed(hasher: &blake3::Hasher) -> Print {
    let mut print = [0; 16];
    hasher.finalize_xof().fill(&mut print);
    print
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_and_idle_pages_are_seen() {
        let mut guard = LoopGuard::default();
        assert!(guard.asks("/?page=1") && guard.asks("/?page=2") && !guard.asks("/?page=1"));
        assert_eq!((guard.turns(), guard.turns()), (1, 2));
        let (one, other) = (print([b"a".as_slice(), b"b"]), print([b"ab".as_slice()]));
        assert_ne!(one, other);
        assert_eq!((guard.shows(one, 1), guard.shows(other, 2), guard.shows(one, 3)), (None, None, Some(1)));
        let idle: Vec<u32> = [true, false, false, true, false].map(|news| guard.shows_news(news)).to_vec();
        assert_eq!(idle, [0, 1, 2, 0, 1]);
        guard.goes_on();
        assert_eq!(guard.shows_news(false), 1);
        assert!(!guard.asks("/?page=2"), "what was asked for is remembered");
    }
}
