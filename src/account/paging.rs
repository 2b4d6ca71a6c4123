//! Listings and searches: read to their end, page by page, and believed only where nothing speaks against them.
//!
//! Servers that ignore the parameter of their own paging show the first page for ever, a link can lead back, a total can
//! promise more than is shown, and a listing can move while it is read. None of that may keep a run busy without end,
//! nor pass for a complete listing: an account that is overlooked is made a second time.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use super::client::Client;
use crate::api::{ApiRequest, Held, Page};
use crate::domain::account::{Account, AccountState};
use crate::domain::error::{Error, Failure, Result, TargetReason};
use crate::domain::remote_id::RemoteId;
use crate::failpoints;
use crate::failpoints::Failpoint;
use crate::http::paging::{LoopGuard, MOST_IDLE_PAGES, print};

/// The most pages of one listing: as many as a source's by default.
const MOST_PAGES: u64 = 100_000;

/// The most accounts of one listing: what is kept of them to see who comes twice is a hundred megabytes.
const MOST_ACCOUNTS: u64 = 5_000_000;

/// The most pages, and accounts, of one search: a target that passes over what is sought shows all that it has.
const MOST_SOUGHT: (u64, u64) = (100, 100_000);

/// As many accounts as are kept of one search: two are a conflict already.
const MOST_FOUND: usize = 20;

/// How often a listing that moved is begun in all.
const READS: u32 = 2;

/// Why a listing, or a search, is not to be believed.
#[derive(Debug, PartialEq)]
pub enum ListingFault {
    /// It does not come to an end.
    Endless(&'static str),
    /// It shows an account again.
    Repeated {
        /// The account.
        remote_id: RemoteId,
        /// Entries so far.
        entries: u64,
        /// Different accounts among them.
        accounts: u64,
    },
    /// It says that there are more accounts than it shows.
    Short {
        /// Different accounts that it shows.
        accounts: u64,
        /// How many it says there are.
        total: u64,
    },
    /// It says now this, now that of how many accounts there are.
    Changed {
        /// On earlier pages.
        before: u64,
        /// On this one.
        now: u64,
    },
}

/// What a listing has shown so far, as hashes: a hundred thousand accounts are a megabyte.
#[derive(Debug, Default)]
pub struct ListingCheck {
    search: bool,
    guard: LoopGuard,
    accounts: HashSet<u64>,
    entries: u64,
    /// Invitations to an address that was invited before.
    invited_again: u64,
    total: Option<u64>,
    /// So far, each page's total was the number of its own entries.
    counts_pages: bool,
    idle: u32,
}

impl ListingCheck {
    /// Of a search, which may show an account twice: what is found is compared once more.
    pub fn of_search() -> ListingCheck {
        ListingCheck { search: true, ..ListingCheck::default() }
    }

    /// Notes a page and the request that it answers.
    ///
    /// # Errors
    /// What speaks against the listing.
    pub fn note(&mut self, request: &ApiRequest, page: &Page) -> Result<(), ListingFault> {
        if !self.guard.asks(&request.path) {
            return Err(ListingFault::Endless("it leads back to a page that it has shown"));
        }
        let pages = self.guard.turns();
        if pages > MOST_PAGES {
            return Err(ListingFault::Endless("it has more pages than any listing that is read"));
        }
        if self.entries > MOST_ACCOUNTS {
            return Err(ListingFault::Endless("it has more accounts than any listing that is read (5,000,000)"));
        }
        if self.search && (pages > MOST_SOUGHT.0 || self.entries > MOST_SOUGHT.1) {
            return Err(ListingFault::Endless("what was sought is one value, and it shows more and more accounts"));
        }
        if !page.accounts.is_empty() && self.guard.shows(page_print(page), pages).is_some() {
            return Err(ListingFault::Endless("a page shows the very accounts that an earlier one showed"));
        }
        self.note_total(page)?;
        self.note_accounts(page)?;
        match self.idle >= MOST_IDLE_PAGES && !page.last {
            true => Err(ListingFault::Endless("it goes on and on without anybody new on its pages")),
            false => Ok(()),
        }
    }

    fn note_total(&mut self, page: &Page) -> Result<(), ListingFault> {
        let Some(now) = page.total else { return Ok(()) };
        let its_own = now == page.accounts.len() as u64;
        self.counts_pages = its_own && (self.counts_pages || self.total.is_none());
        match self.total.replace(now) {
            Some(before) if before != now && !self.counts_pages => Err(ListingFault::Changed { before, now }),
            _ => Ok(()),
        }
    }

    fn note_accounts(&mut self, page: &Page) -> Result<(), ListingFault> {
        let before = self.accounts.len();
        self.entries += page.accounts.len() as u64;
        let mut repeated = None;
        for account in &page.accounts {
            if self.accounts.insert(hash(&account.remote_id)) {
                continue;
            }
            match account.state {
                AccountState::Invited => self.invited_again += 1,
                _ if self.search => {}
                _ => repeated = repeated.or(Some(account.remote_id.clone())),
            }
        }
        let accounts = self.accounts.len() as u64;
        if let Some(remote_id) = repeated.filter(|_| !failpoints::is(Failpoint::BelieveRepeatingListings)) {
            return Err(ListingFault::Repeated { remote_id, entries: self.entries, accounts });
        }
        self.idle = self.guard.shows_news(self.accounts.len() > before);
        Ok(())
    }

    /// Whether a page shows anybody who was not shown before.
    pub fn is_news(&self, page: &Page) -> bool {
        page.accounts.iter().any(|account| !self.accounts.contains(&hash(&account.remote_id)))
    }

    /// The listing is through. That of invitations may follow, on which is who has come since.
    ///
    /// # Errors
    /// It promised more accounts than it showed.
    pub fn end(&mut self) -> Result<(), ListingFault> {
        let (accounts, total) = (self.accounts.len() as u64, self.total.unwrap_or(0));
        if accounts + self.invited_again < total {
            return Err(ListingFault::Short { accounts, total });
        }
        let mut guard = std::mem::take(&mut self.guard);
        guard.goes_on();
        *self = ListingCheck { search: self.search, guard, ..ListingCheck::default() };
        Ok(())
    }
}

/// What a page shows, in any order; who is invited is another than who has come under the same address.
fn page_print(page: &Page) -> [u8; 16] {
    let mut ids: Vec<(&str, bool)> = (page.accounts.iter())
        .map(|account| (account.remote_id.as_str(), account.state == AccountState::Invited))
        .collect();
    ids.sort_unstable();
    print(ids.iter().flat_map(|(id, invited)| [id.as_bytes(), if *invited { b"invited" } else { b"" }]))
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// What ends the reading of a listing before its end.
enum Stopped {
    Flawed(ListingFault),
    Failed(Failure),
}

impl From<ListingFault> for Stopped {
    fn from(flaw: ListingFault) -> Stopped {
        Stopped::Flawed(flaw)
    }
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Stopped {
        Stopped::Failed(failure)
    }
}

impl Client {
    /// Lists all accounts. `visit` gets the accounts of each page, and whether it is the first: what it got before is
    /// void then, because the listing moved while it was read and was begun anew. `false` when it would take more than
    /// `most_pages` requests.
    ///
    /// # Errors
    /// As [`Client::page`]; the listing has no end, or is not to be believed (69).
    pub async fn list(&self, most_pages: u64, visit: impl FnMut(bool, Vec<Account>) -> Result<()>) -> Result<bool> {
        let mut visit = visit;
        let visit = |anew: bool, accounts: Vec<Account>| visit(anew, accounts).map(|()| true);
        self.pages(self.engine().list(), ListingCheck::default, most_pages, visit).await
    }

    /// The accounts in the target's listing of which this holds.
    pub(crate) async fn listed(&self, wanted: impl Fn(&Account) -> bool) -> Result<Vec<Account>> {
        self.gathered(self.engine().list(), ListingCheck::default, wanted).await
    }

    /// The accounts from this request on of which this holds, as far as [`MOST_FOUND`].
    pub(crate) async fn gathered(
        &self,
        first: ApiRequest,
        rounds: impl Fn() -> ListingCheck,
        wanted: impl Fn(&Account) -> bool,
    ) -> Result<Vec<Account>> {
        let mut found = Vec::new();
        let visit = |anew: bool, accounts: Vec<Account>| {
            if anew {
                found.clear();
            }
            found.extend(accounts.into_iter().filter(&wanted).take(MOST_FOUND - found.len()));
            Ok(found.len() < MOST_FOUND)
        };
        self.pages(first, rounds, u64::MAX, visit).await?;
        Ok(found)
    }

    async fn pages(
        &self,
        first: ApiRequest,
        rounds: impl Fn() -> ListingCheck,
        most_pages: u64,
        mut visit: impl FnMut(bool, Vec<Account>) -> Result<bool>,
    ) -> Result<bool> {
        let (mut reads, mut left) = (0, most_pages);
        loop {
            reads += 1;
            match self.read_through(first.clone(), rounds(), &mut left, &mut visit).await {
                Ok(whole) => return Ok(whole),
                Err(Stopped::Failed(failure)) => return Err(failure),
                Err(Stopped::Flawed(ListingFault::Endless(what))) => return Err(self.goes_round(what)),
                Err(Stopped::Flawed(flaw)) if reads >= READS => return Err(self.no_listing(&flaw)),
                Err(Stopped::Flawed(flaw)) => {
                    let flaw = self.told(&flaw);
                    tracing::warn!(target_name = %self.target(), %flaw, "a listing moved while it was read; it is read anew");
                }
            }
        }
    }

    /// Reads once from this request to the end, or until `visit` says that it wants no more.
    async fn read_through(
        &self,
        first: ApiRequest,
        mut rounds: ListingCheck,
        left: &mut u64,
        visit: &mut impl FnMut(bool, Vec<Account>) -> Result<bool>,
    ) -> Result<bool, Stopped> {
        let mut spend = || {
            let enough = *left > 0;
            *left = left.saturating_sub(1);
            enough
        };
        if !spend() {
            return Ok(false);
        }
        let (mut request, mut anew) = (first, true);
        let mut page = self.page(&request).await?;
        loop {
            rounds.note(&request, &page)?;
            if !visit(std::mem::take(&mut anew), std::mem::take(&mut page.accounts))? {
                return Ok(true);
            }
            page.held = Held::default();
            if let Some(beyond) = page.beyond.take() {
                if !spend() {
                    return Ok(false);
                }
                let further = self.page_beyond(&beyond).await?;
                if rounds.is_news(&further) {
                    (request, page) = (beyond, further);
                    continue;
                }
            }
            if page.last {
                rounds.end()?;
            }
            let Some(next) = page.next else { return Ok(true) };
            if !spend() {
                return Ok(false);
            }
            page = self.page(&next).await?;
            request = next;
        }
    }

    /// One page of a listing or search.
    ///
    /// # Errors
    /// The target can't be reached after all retries (69), or refuses the credentials (77).
    pub async fn page(&self, request: &ApiRequest) -> Result<Page> {
        self.read(request, |answer| self.engine().page(request, answer)).await
    }

    /// A page beyond those that the total speaks of, which may be refused.
    async fn page_beyond(&self, request: &ApiRequest) -> Result<Page> {
        self.read(request, |answer| self.engine().page_beyond(request, answer)).await
    }

    fn goes_round(&self, what: &str) -> Failure {
        let name = self.target();
        Failure::new(
            Error::Target(TargetReason::Unreachable),
            format!("target {name}'s listing goes round in a circle: {what}"),
        )
        .help(format!("its paging is not as its definition says; check targets.{name}: kind, base_url, options"))
    }

    fn no_listing(&self, flaw: &ListingFault) -> Failure {
        let name = self.target();
        let message = format!("target {name}'s listing is none: {}, {READS} times in a row", self.told(flaw));
        Failure::new(Error::Target(TargetReason::Unreachable), message).help(format!(
            "nobody is made, changed or banned by such a listing. Are accounts being made there now, run again later; \
             if not, its paging is not as its definition says: check targets.{name}: kind, base_url, options"
        ))
    }

    /// A flaw in words, its id as logs may show it.
    fn told(&self, flaw: &ListingFault) -> String {
        match flaw {
            ListingFault::Endless(what) => (*what).to_string(),
            ListingFault::Repeated { remote_id, entries, accounts } => {
                let id = self.engine().loggable_id(remote_id);
                format!("it shows account {id} more than once ({accounts} different accounts in {entries} entries)")
            }
            ListingFault::Short { accounts, total } => {
                format!("it shows {accounts} accounts and says that there are {total}")
            }
            ListingFault::Changed { before, now } => {
                format!("it says that there are {before} accounts and, a page later, that there are {now}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTIVE: AccountState = AccountState::Active;

    fn request(path: &str) -> ApiRequest {
        ApiRequest {
            call: crate::api::Call::List,
            method: "GET".into(),
            path: path.into(),
            headers: vec![],
            body: None,
        }
    }

    fn page(ids: &[&str], state: AccountState, last: bool) -> Page {
        let account = |id: &&str| Account {
            remote_id: (*id).into(),
            key: None,
            state,
            attributes: crate::domain::value::Attributes::default(),
        };
        Page { accounts: ids.iter().map(account).collect(), last, ..Page::default() }
    }

    fn of(ids: &[&str], total: u64) -> Page {
        Page { total: Some(total), ..page(ids, ACTIVE, false) }
    }

    /// What comes of a listing with these pages.
    fn read(mut rounds: ListingCheck, pages: &[Page]) -> Result<(), ListingFault> {
        for (number, page) in pages.iter().enumerate() {
            rounds.note(&request(&format!("/?page={number}")), page)?;
        }
        rounds.end()
    }

    #[test]
    fn who_has_come_may_be_invited_still_and_circles_end() {
        let mut rounds = ListingCheck::default();
        assert_eq!(rounds.note(&request("/?page=1"), &page(&["a", "b"], ACTIVE, false)), Ok(()));
        assert_eq!(rounds.note(&request("/?page=2"), &page(&["c"], ACTIVE, true)), Ok(()));
        assert_eq!(rounds.end(), Ok(()));
        let invited = page(&["a", "d", "d"], AccountState::Invited, true);
        assert_eq!(rounds.note(&request("/invited"), &invited), Ok(()));
        assert_eq!(rounds.end(), Ok(()));
        // The same in another order, also on what claims to be the last page; and a page that was asked for.
        for (path, ids) in [("/?page=4", ["b", "a"]), ("/?page=1", ["x", "y"])] {
            let noted = rounds.note(&request(path), &page(&ids, ACTIVE, true));
            assert!(matches!(noted, Err(ListingFault::Endless(_))), "{path}: {noted:?}");
        }
    }

    #[test]
    fn three_pages_without_anybody_new_end_a_listing_and_a_search() {
        for rounds in [ListingCheck::default, ListingCheck::of_search] {
            let some = page(&["a"], ACTIVE, false);
            let none = || page(&[], ACTIVE, false);
            let ended = read(rounds(), &[some.clone(), none(), none(), none()]);
            assert!(matches!(ended, Err(ListingFault::Endless(_))), "{ended:?}");
            let last = page(&["b"], ACTIVE, true);
            assert_eq!(read(rounds(), &[some.clone(), none(), none(), last.clone()]), Ok(()), "filtered after paging");
            assert_eq!(read(rounds(), &[some, none(), none(), Page { last: true, ..none() }]), Ok(()));
        }
        let again = [page(&["a", "b"], ACTIVE, false), page(&["a"], ACTIVE, false), page(&["b"], ACTIVE, false)];
        let more = [again.as_slice(), &[page(&["b", "b"], ACTIVE, false)]].concat();
        assert!(matches!(read(ListingCheck::of_search(), &more), Err(ListingFault::Endless(_))));
    }

    #[test]
    fn an_id_that_is_repeated_and_a_total_that_is_not_reached_are_no_listing() {
        let nine = ["1", "2", "3", "4", "5", "6", "7", "1", "2"];
        let repeated =
            |id: &str, entries, accounts| Err(ListingFault::Repeated { remote_id: id.into(), entries, accounts });
        assert_eq!(read(ListingCheck::default(), &[of(&nine, 9)]), repeated("1", 9, 7));
        assert_eq!(
            read(ListingCheck::of_search(), &[of(&nine, 9)]),
            Err(ListingFault::Short { accounts: 7, total: 9 })
        );
        assert_eq!(read(ListingCheck::default(), &[of(&["a", "b"], 4), of(&["b", "c"], 4)]), repeated("b", 4, 3));
        assert_eq!(read(ListingCheck::default(), &[of(&["a"], 2)]), Err(ListingFault::Short { accounts: 1, total: 2 }));
        let one_less = Err(ListingFault::Changed { before: 4, now: 3 });
        assert_eq!(read(ListingCheck::default(), &[of(&["a", "b"], 4), of(&["d"], 3)]), one_less);
        // Without a total, and where a page's total is its own, what is shown is all.
        assert_eq!(read(ListingCheck::default(), &[page(&["a"], ACTIVE, false), page(&["b"], ACTIVE, true)]), Ok(()));
        assert_eq!(read(ListingCheck::default(), &[of(&["a", "b"], 2), of(&["c", "d"], 2), of(&["e"], 1)]), Ok(()));
        assert_eq!(
            read(ListingCheck::default(), &[of(&["a", "b"], 2), of(&["c"], 3)]),
            Err(ListingFault::Changed { before: 2, now: 3 })
        );
        assert_eq!(
            read(ListingCheck::of_search(), &[page(&["a", "a"], ACTIVE, true)]),
            Ok(()),
            "what is found is compared"
        );
    }
}
