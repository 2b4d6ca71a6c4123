//! The snapshot's side of the merge: everybody whom the sync knows, or, where the read left out those who are settled, all
//! others.

use std::collections::VecDeque;

use super::Merge;
use crate::domain::error::{Failure, Result};
use crate::domain::ids::SyncId;
use crate::domain::record::{Key, Record};
use crate::mapping::KnownRow;
use crate::plan::pair::Pair;
use crate::plan::scope::known_row;
use crate::plan::{PAGE, Planner};
use crate::state::bodies::{KnownPerson, PeopleWithBodies};
use crate::state::people::{PeoplePage, Person};
use crate::state::{Pending, State};

/// How many pages of people are asked for ahead of the one that is decided about.
const AHEAD: usize = 3;

/// People whom the sync knows, page by page in the order of keys.
pub(super) enum KnownPages<'a> {
    /// Those who have to be looked at, by their keys.
    LookedAt {
        state: &'a State,
        sync: SyncId,
        keys: Box<dyn Iterator<Item = Result<Vec<Key>>> + 'a>,
        asked: VecDeque<Pending<Vec<KnownPerson>>>,
        is_all_asked: bool,
    },
    /// Everybody.
    All(Box<dyn Iterator<Item = Result<Vec<Person>>> + 'a>),
    /// Nobody: it never ran.
    Nobody,
}

impl<'a> KnownPages<'a> {
    /// From the first one on.
    ///
    /// # Errors
    /// The read left out people, and not for this sync: their absence would mean nothing.
    pub fn of(planner: &'a Planner) -> Result<KnownPages<'a>> {
        let (intake, state) = (&planner.intake, &planner.state);
        if intake.leaves_out_settled() {
            let compared = planner.known.id.filter(|sync| intake.settled_of(*sync).is_some());
            let Some(sync) = compared.filter(|_| planner.observed.is_none()) else {
                return Err(Failure::internal("the source was read for other syncs than this one"));
            };
            let keys = Box::new(intake.looked_at_pages());
            return Ok(KnownPages::LookedAt { state, sync, keys, asked: VecDeque::new(), is_all_asked: false });
        }
        let Some(sync) = planner.known.id else { return Ok(KnownPages::Nobody) };
        let mut pages = state.pages(PeoplePage { sync, after: None, limit: PAGE });
        let page = move || pages.next_blocking().map_err(Failure::from).transpose();
        Ok(KnownPages::All(Box::new(std::iter::from_fn(page))))
    }

    /// The next page; nothing at the end.
    pub fn next(&mut self) -> Result<Option<Vec<KnownPerson>>> {
        match self {
            KnownPages::LookedAt { state, sync, keys, asked, is_all_asked } => loop {
                while !*is_all_asked && asked.len() <= AHEAD {
                    match keys.next().transpose()? {
                        Some(keys) => asked.push_back(state.begin(PeopleWithBodies { sync: *sync, keys })?),
                        None => *is_all_asked = true,
                    }
                }
                let Some(page) = asked.pop_front() else { return Ok(None) };
                let people = page.wait()?;
                // Of several syncs on the source, some know only some of these people.
                if !people.is_empty() {
                    return Ok(Some(people));
                }
            },
            KnownPages::All(pages) => {
                let alone = |person| KnownPerson { person, body: None };
                Ok(pages.next().transpose()?.map(|people| people.into_iter().map(alone).collect()))
            }
            KnownPages::Nobody => Ok(None),
        }
    }

    /// Whether everybody was asked for, so that the state can be asked something else meanwhile.
    pub fn is_all_asked(&self) -> bool {
        matches!(self, KnownPages::LookedAt { is_all_asked: true, .. })
    }
}

impl Merge<'_> {
    /// Counts the people whose rows were not kept, since they say what is known and settled.
    pub(super) fn count_settled(&mut self) {
        let settled = self.planner.known.id.and_then(|sync| self.intake.settled_of(sync));
        // A plan about some people counts nobody else.
        if let Some(settled) = settled.filter(|_| self.planner.only.is_empty()) {
            self.out.unchanged += settled.in_step;
            self.out.excluded += settled.excluded;
        }
    }

    /// What is known of the row from which somebody was last decided about.
    pub(super) fn known_row(&self, pair: &Pair) -> Result<Option<KnownRow>> {
        match (&pair.person, &pair.record) {
            (Some(person), Some(record)) => known_row(self.intake, self.planner.known.id, person, record),
            _ => Ok(None),
        }
    }

    /// Whether a record is the one of which the snapshot remembers what came of it.
    pub(super) fn is_as_known(&self, record: &Record, person: &Person, known: Option<KnownRow>) -> bool {
        let print = self.prints.of(record, known);
        print.is_some() && person.fingerprint == print
    }
}
