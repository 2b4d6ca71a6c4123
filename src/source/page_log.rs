//! What the pages of one read held, page by page: which keys came, whether one came again, how many records were
//! declared. A list that moves while it is read by pages skips people and repeats others; this is what shows it.
//!
//! Of a key a print of eight bytes is kept, and the number of its page: two dozen bytes a person, and only where there
//! are pages or a declared total. Two keys of one print would make a good read look like a moved one, never the other
//! way round.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};

use super::parsed::Parsed;
use crate::domain::record::Key;
use crate::failpoints;
use crate::failpoints::Failpoint;
use crate::http::paging::{LoopGuard, MOST_IDLE_PAGES, printed};

/// How many keys a message lists before it counts the rest.
const LISTED: usize = 5;

/// The pages of one read so far.
pub(super) struct PageLog {
    /// Whether a person may have several rows: then rows are what must not come twice, and are counted.
    many: bool,
    hasher: RandomState,
    seen: HashMap<u64, u64>,
    page: u64,
    rows: u64,
    /// Rows without a key that can be read.
    keyless: u64,
    /// Rows without any content, which the total may count or not.
    blank: u64,
    repeated: Vec<(String, u64, u64)>,
    unlisted: u64,
    declared: Option<(u64, u64)>,
    /// The first page that declared something else, and what.
    changed: Option<(u64, Option<u64>)>,
    news: bool,
    guard: LoopGuard,
    /// A hash of the page's rows, and how many there are.
    content: (blake3::Hasher, u64),
}

/// What a page that has been read shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// It is one more page.
    More,
    /// It holds the same as this one.
    SameAs(u64),
    /// It is the last of so many in a row that brought nobody new.
    Nobody(u32),
}

impl PageLog {
    /// An empty one, for people of one row, or of `many`.
    pub fn new(many: bool) -> PageLog {
        PageLog {
            many,
            hasher: RandomState::new(),
            seen: HashMap::new(),
            page: 1,
            rows: 0,
            keyless: 0,
            blank: 0,
            repeated: Vec::new(),
            unlisted: 0,
            declared: None,
            changed: None,
            news: false,
            guard: LoopGuard::default(),
            content: (blake3::Hasher::new(), 0),
        }
    }

    /// A row of the page that is being read.
    pub fn row(&mut self, parsed: &Parsed<'_>) {
        let (key, print) = match parsed {
            Parsed::Good { key, cells, .. } => {
                let (key, digest) = (key.as_ref(), cells.digest(key));
                self.content.0.update(key.as_bytes()).update(&digest);
                (key, if self.many { self.hasher.hash_one((key, digest)) } else { self.hash(key) })
            }
            Parsed::Bad { key, position, reason, .. } => {
                self.content.0.update(key.as_ref().map_or("", Key::as_str).as_bytes()).update(reason.as_bytes());
                let Some(key) = key else {
                    self.counted();
                    self.keyless += 1;
                    return;
                };
                // Of a row that can't be used only the key is known.
                let key = key.as_str();
                (key, if self.many { self.hasher.hash_one((key, position.record)) } else { self.hash(key) })
            }
            Parsed::Blank(_) => {
                self.blank += 1;
                return;
            }
            Parsed::End(_) => return,
        };
        match self.seen.entry(print) {
            Entry::Vacant(place) => {
                place.insert(self.page);
                self.news = true;
            }
            Entry::Occupied(place) if *place.get() == self.page => {}
            Entry::Occupied(mut place) => {
                let before = place.insert(self.page);
                match self.repeated.len() < LISTED {
                    true => self.repeated.push((key.to_owned(), before, self.page)),
                    false => self.unlisted += 1,
                }
            }
        }
        self.counted();
    }

    fn hash(&self, key: &str) -> u64 {
        self.hasher.hash_one(key)
    }

    fn counted(&mut self) {
        self.rows += 1;
        self.content.1 += 1;
    }

    /// The page is through; `declared` is how many records it says that there are in all, where that is asked.
    pub fn end_page(&mut self, declared: Option<u64>) -> Shown {
        match (self.declared, declared) {
            (None, Some(number)) => self.declared = Some((self.page, number)),
            (Some((_, number)), now) if now != Some(number) && self.changed.is_none() => {
                self.changed = Some((self.page, now));
            }
            _ => {}
        }
        let (hasher, rows) = std::mem::replace(&mut self.content, (blake3::Hasher::new(), 0));
        let number = self.page;
        self.page += 1;
        let idle = self.guard.shows_news(std::mem::take(&mut self.news));
        if rows > 0
            && let Some(same) = self.guard.shows(printed(&hasher), number)
        {
            return Shown::SameAs(same);
        }
        if idle >= MOST_IDLE_PAGES { Shown::Nobody(idle) } else { Shown::More }
    }

    /// What arrived, as it is counted for the declared total.
    fn arrived(&self) -> u64 {
        if self.many { self.rows } else { self.seen.len() as u64 + self.keyless }
    }

    /// What speaks against it that the pages, all of which were read, are the whole list as it was at one time.
    pub fn moved(&self) -> Option<String> {
        if failpoints::is(Failpoint::BelieveMovingSources) {
            return None;
        }
        let mut reasons: Vec<String> = Vec::new();
        if !self.repeated.is_empty() {
            let told = |(key, first, again): &(String, u64, u64)| format!("{key} (pages {first} and {again})");
            let listed: Vec<String> = self.repeated.iter().map(told).collect();
            let more = if self.unlisted > 0 { format!(" and {} more", self.unlisted) } else { String::new() };
            let what = if self.many { "rows of these keys" } else { "these keys" };
            reasons.push(format!("{what} came on two pages: {}{more}", listed.join(", ")));
        }
        let arrived = self.arrived();
        match (self.declared, self.changed) {
            (Some((page, before)), Some((again, now))) => {
                let now = now.map_or("none".into(), |now| now.to_string());
                reasons.push(format!("it declared {before} records on page {page} and {now} on page {again}"));
            }
            (Some((_, declared)), None) if !(arrived..=arrived + self.blank).contains(&declared) => {
                let rows = if self.rows == arrived { String::new() } else { format!(" in {} rows", self.rows) };
                reasons.push(format!("it declares {declared} records, and {arrived} arrived{rows}"));
            }
            _ => {}
        }
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    /// Whether the list is known to have moved, and is not merely shorter or longer than declared.
    pub fn pages_disagree(&self) -> bool {
        !self.repeated.is_empty() || self.changed.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::record::Position;
    use crate::source::parsed::RowCells;

    fn good(key: &str, digest: u8) -> Parsed<'_> {
        let cells = RowCells::Encoded { cells: Default::default(), digest: [digest; 16] };
        Parsed::Good { key: key.into(), position: Position::default(), cells }
    }

    /// Rows by key and digest, and the declared total, page by page.
    type Pages<'p> = &'p [(&'p [(&'p str, u8)], Option<u64>)];

    fn read(many: bool, pages: Pages<'_>) -> (Vec<Shown>, Option<String>) {
        let mut log = PageLog::new(many);
        let shown = pages.iter().map(|(rows, declared)| {
            rows.iter().for_each(|(key, digest)| log.row(&good(key, *digest)));
            log.end_page(*declared)
        });
        let shown = shown.collect();
        (shown, log.moved())
    }

    #[test]
    fn a_key_on_two_pages_and_a_total_that_is_not_reached_or_changes_are_told() {
        let (a, b, c, edited): (_, _, _, (&str, u8)) = (("A", 1), ("B", 1), ("C", 1), ("B", 2));
        let cases: [(bool, Pages<'_>, &str); 9] = [
            (false, &[(&[a, b], None), (&[c], None)], ""),
            (false, &[(&[a, a], None), (&[c], None)], ""),
            (false, &[(&[a, b], Some(3)), (&[c], Some(3))], ""),
            (true, &[(&[a, b], Some(4)), (&[edited, c], Some(4))], ""),
            (
                false,
                &[(&[a, b], Some(4)), (&[b, c], Some(4))],
                "these keys came on two pages: B (pages 1 and 2); it declares 4 records, and 3 arrived in 4 rows",
            ),
            (false, &[(&[a, b], None), (&[edited, c], None)], "these keys came on two pages: B (pages 1 and 2)"),
            (true, &[(&[a, b], None), (&[b, c], None)], "rows of these keys came on two pages: B (pages 1 and 2)"),
            (false, &[(&[a, b], Some(3)), (&[c], Some(2))], "it declared 3 records on page 1 and 2 on page 2"),
            (false, &[(&[a, b], Some(3)), (&[c], None)], "it declared 3 records on page 1 and none on page 2"),
        ];
        for (many, pages, why) in cases {
            assert_eq!(read(many, pages).1.unwrap_or_default(), why, "{pages:?}");
        }
    }

    #[test]
    fn pages_without_anybody_new_are_counted_in_a_row() {
        let (a, b): ((&str, u8), (&str, u8)) = (("A", 1), ("B", 1));
        let (shown, _) =
            read(false, &[(&[a], None), (&[], None), (&[], None), (&[b], None), (&[], None), (&[], None), (&[], None)]);
        assert_eq!(shown[..6], [Shown::More, Shown::More, Shown::More, Shown::More, Shown::More, Shown::More]);
        assert_eq!(shown[6], Shown::Nobody(3));
        assert_eq!(read(false, &[(&[a, b], None), (&[a, b], None)]).0[1], Shown::SameAs(1));
    }
}
