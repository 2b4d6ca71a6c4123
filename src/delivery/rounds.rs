//! Whether a listing gets anywhere. Servers that ignore the parameter of their own paging show the first page for ever,
//! and a link can lead back: neither must keep a run busy without end, nor pass for a complete listing.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use crate::target::{Page, Wire};

/// Pages in a row without anybody on them after which nobody is expected any more. Filters that are applied after
/// paging make a few; a hundred thousand accounts lie behind a hundred pages.
const MOST_EMPTY_PAGES: u32 = 100;

/// What a listing has shown so far, as hashes: a hundred thousand pages are three megabytes.
#[derive(Debug, Default)]
pub struct Rounds {
    asked: HashSet<u64>,
    shown: HashSet<u64>,
    empty: u32,
}

impl Rounds {
    /// Notes a page and the request that it answers.
    ///
    /// # Errors
    /// The listing goes round in a circle, told as what it did: asked for a page again, showed the same accounts again,
    /// or has nobody on page after page.
    pub fn note(&mut self, request: &Wire, page: &Page) -> Result<(), &'static str> {
        if !self.asked.insert(hash(&request.path)) {
            return Err("it leads back to a page that it has shown");
        }
        if page.accounts.is_empty() {
            self.empty += 1;
            return match self.empty > MOST_EMPTY_PAGES && page.next.is_some() {
                true => Err("it goes on and on without anybody on its pages"),
                false => Ok(()),
            };
        }
        self.empty = 0;
        // In any order; who is invited is another than who has come under the same address.
        let mut ids: Vec<(&str, String)> =
            page.accounts.iter().map(|account| (account.remote_id.as_str(), format!("{:?}", account.state))).collect();
        ids.sort_unstable();
        match self.shown.insert(hash(&ids)) {
            true => Ok(()),
            false => Err("a page shows the very accounts that an earlier one showed"),
        }
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{Account, AccountState};

    fn request(path: &str) -> Wire {
        Wire { method: "GET".into(), path: path.into(), headers: vec![], body: None }
    }

    fn page(ids: &[&str], state: AccountState, next: &str) -> Page {
        let account = |id: &&str| Account {
            remote_id: (*id).into(),
            key: None,
            state,
            attributes: crate::value::Attributes::default(),
        };
        Page { accounts: ids.iter().map(account).collect(), next: Some(request(next)).filter(|_| !next.is_empty()) }
    }

    #[test]
    fn pages_that_bring_others_go_on_and_circles_end() {
        let active = AccountState::Active;
        let mut rounds = Rounds::default();
        assert_eq!(rounds.note(&request("/?page=1"), &page(&["a", "b"], active, "/?page=2")), Ok(()));
        assert_eq!(
            rounds.note(&request("/?page=2"), &page(&["b", "c"], active, "/?page=3")),
            Ok(()),
            "they may overlap"
        );
        assert_eq!(rounds.note(&request("/?page=3"), &page(&[], active, "/invited")), Ok(()));
        assert_eq!(rounds.note(&request("/invited"), &page(&["a", "b"], AccountState::Invited, "")), Ok(()));
        // The same in another order, also on what claims to be the last page.
        assert!(rounds.note(&request("/?page=4"), &page(&["b", "a"], active, "")).is_err());
        assert!(rounds.note(&request("/?page=1"), &page(&["x"], active, "")).is_err());
    }

    #[test]
    fn nobody_on_page_after_page_ends_too() {
        let mut rounds = Rounds::default();
        let noted = |rounds: &mut Rounds, n: u32| {
            rounds.note(&request(&format!("/?c={n}")), &page(&[], AccountState::Active, "/"))
        };
        assert!((0..MOST_EMPTY_PAGES).all(|n| noted(&mut rounds, n).is_ok()));
        assert!(noted(&mut rounds, MOST_EMPTY_PAGES).is_err());
    }
}
