//! Pages of listings and searches: the accounts on them, and how they go on.

use serde_json::Value;

use super::body::Body;
use super::call::Call;
use super::definition::Format;
use super::engine::{CallSpec, Engine};
use super::exchange::{ApiRequest, ApiResponse, Page, Verdict};
use super::judge::unclear;
use super::paging::{Next, next_request};
use super::read::{id_text, remote_id};
use super::records::Taken;
use crate::domain::account::{Account, AccountState};
use crate::domain::bounded::{Budget, weigh_members};
use crate::domain::outcome::ErrorKind;

/// The most that the accounts of one page take in memory: some ten thousand.
const MOST_ACCOUNTS: usize = 64_000_000;

/// The accounts of a page.
struct Found {
    accounts: Vec<Account>,
    /// Records, be they accounts or not.
    count: usize,
    /// One of them is no account.
    odd: bool,
    /// What they take.
    memory: Budget,
}

impl Default for Found {
    fn default() -> Found {
        Found { accounts: Vec::new(), count: 0, odd: false, memory: Budget::of(MOST_ACCOUNTS) }
    }
}

impl Found {
    /// Adds the account that a record is, as long as there is room.
    fn add(&mut self, account: impl FnOnce() -> Option<Account>) {
        self.count += 1;
        if self.odd || self.memory.excess().is_some() {
            return;
        }
        let Some(account) = account() else {
            self.odd = true;
            return;
        };
        self.memory.take(size_of::<Account>() * 2);
        self.memory.take_text(account.remote_id.as_str().len() + account.key.as_ref().map_or(0, String::len));
        weigh_members(account.attributes.iter(), &mut self.memory);
        match self.memory.excess() {
            None => self.accounts.push(account),
            Some(_) => self.accounts = Vec::new(),
        }
    }
}

impl Engine {
    /// The accounts in the answer to [`Engine::find`] or [`Engine::list`], and the request for the page after it.
    ///
    /// # Errors
    /// Every other verdict than that a page was shown; a page on which one record can't be read is no page.
    pub fn page(&self, request: &ApiRequest, answer: &ApiResponse) -> Result<Page, Verdict> {
        self.shown_page(request, answer, false)
    }

    fn shown_page(&self, request: &ApiRequest, answer: &ApiResponse, beyond: bool) -> Result<Page, Verdict> {
        let call = self.calls.get(&request.call).filter(|call| call.name.is_search());
        // Only a success shows accounts.
        let (body, found) = match call.filter(|_| (200..300).contains(&answer.status)) {
            Some(call) => self.read_page(call, answer),
            None => (self.body_of(answer), None),
        };
        match self.failure(answer, &body, None) {
            // "Not found" is about one account; that the whole collection is not there is another matter.
            Some(Verdict::NotFound) => {
                return Err(Verdict::Refused(self.complaint(ErrorKind::Refused, answer, &body)));
            }
            Some(verdict) => return Err(verdict),
            None => {}
        }
        let Some(call) = call else {
            return Err(unclear(answer, "to a request that is no search"));
        };
        let total = self.total_of(call, &body);
        let Found { accounts, count, odd, memory } = match (body.value(), found) {
            (Some(_), Some(found)) => found,
            // XML has no way to show an empty list, and SCIM leaves it out when it says that there are none.
            (Some(_), None) if self.request.format == Format::Xml || total == Some(0) => Found::default(),
            // Nor has it to be there where nobody is (RFC 7644, section 3.4.2).
            (Some(_), None) if beyond && total.is_some() => Found::default(),
            _ => return Err(body.unclear(answer, "without the list of accounts that it should hold")),
        };
        if let Some(excess) = memory.excess() {
            let what =
                format!("with a page of {count} accounts, which {excess}; ask for fewer a page (options: page_size)");
            return Err(unclear(answer, &what));
        }
        if odd {
            return Err(unclear(answer, "with a record that has no id"));
        }
        let next = next_request(call, request, answer, body.value(), count, total);
        let next = next.map_err(|what| unclear(answer, what))?;
        Ok(Page { held: answer.held.clone(), ..self.page_before(next, call, accounts, total) })
    }

    /// As [`Engine::page`], for a page beyond all that the total speaks of: a refusal says that nobody is there.
    ///
    /// # Errors
    /// As [`Engine::page`], refusals excepted.
    pub fn page_beyond(&self, request: &ApiRequest, answer: &ApiResponse) -> Result<Page, Verdict> {
        match self.shown_page(request, answer, true) {
            Err(Verdict::Refused(_)) => Ok(Page::default()),
            page => page,
        }
    }

    /// The page with these accounts that goes on so.
    fn page_before(&self, next: Next, call: &CallSpec, accounts: Vec<Account>, total: Option<u64>) -> Page {
        // When the listing is through, those who were invited and have not come yet follow.
        let invited =
            || self.calls.get(&Call::Invited).filter(|_| call.name == Call::List).map(|call| self.first_page(call));
        let (next, last, beyond) = match next {
            Next::Page(request) => (Some(request), false, None),
            Next::Beyond(request) => (invited(), true, Some(request)),
            Next::End => (invited(), true, None),
        };
        Page { accounts, next, total, last, beyond, ..Page::default() }
    }

    /// The accounts in an answer, where there is a list of them, and what else it says.
    fn read_page(&self, call: &CallSpec, answer: &ApiResponse) -> (Body, Option<Found>) {
        let mut found = Found::default();
        let mut each = |taken: Taken| match taken {
            Taken::List => found = Found::default(),
            Taken::Record(record) => {
                let account = || match call.name {
                    Call::Invited => self.invited(call, &record),
                    _ => self.account_of(&record),
                };
                found.add(account);
            }
        };
        let (body, listed) = self.body_and_records(answer, &call.records, &mut each);
        (body, listed.then_some(found))
    }

    /// How many accounts there are in all, where the answer tells.
    fn total_of(&self, call: &CallSpec, body: &Body) -> Option<u64> {
        let pointer = call.paging.as_ref()?.total.as_ref()?;
        id_text(body.value()?.pointer(pointer)?)?.parse().ok()
    }

    /// Somebody who was invited and has not come yet, as a list of invitations shows them.
    fn invited(&self, call: &CallSpec, record: &Value) -> Option<Account> {
        let remote_id = remote_id(record.pointer(&self.id_at)?)?;
        let mut attributes = crate::domain::value::Attributes::default();
        for (field, pointer) in &call.writes {
            match (field.strip_suffix(".*"), record.pointer(pointer)) {
                (Some(head), Some(Value::Object(members))) => {
                    members.iter().for_each(|(name, value)| attributes.set(format!("{head}.{name}"), value.clone()));
                }
                (None, Some(value)) => attributes.set(field.clone(), self.canonical(field, value)),
                _ => {}
            }
        }
        Some(Account { remote_id, key: None, state: AccountState::Invited, attributes })
    }
}
