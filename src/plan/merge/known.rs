//! The snapshot's side of the merge: everybody whom the sync knows, or, where the read left out those who are settled, all
//! others.

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

/// People whom the sync knows, page by page in the order of keys.
///
/// # Errors
/// The read left out people, and not for this sync: their absence would mean nothing.
pub(super) fn pages(planner: &Planner) -> Result<Box<dyn Iterator<Item = Result<Vec<KnownPerson>>> + '_>> {
    let (intake, state) = (&planner.intake, &planner.state);
    if intake.leaves_out_settled() {
        let compared = planner.known.id.filter(|sync| intake.settled_of(*sync).is_some());
        let Some(sync) = compared.filter(|_| planner.observed.is_none()) else {
            return Err(Failure::internal("the source was read for other syncs than this one"));
        };
        let mut keys = intake.looked_at_pages();
        // The next page is looked up while one is being decided about.
        let mut next = ask(state, sync, keys.next())?;
        return Ok(Box::new(std::iter::from_fn(move || {
            loop {
                let asked = next.take()?;
                let people = (|| {
                    next = ask(state, sync, keys.next())?;
                    Ok(asked.wait()?)
                })();
                // Of several syncs on the source, some know only some of these people.
                if !people.as_ref().is_ok_and(Vec::is_empty) {
                    return Some(people);
                }
            }
        })));
    }
    let Some(sync) = planner.known.id else { return Ok(Box::new(std::iter::empty())) };
    let mut pages = state.pages(PeoplePage { sync, after: None, limit: PAGE });
    let alone = |person| KnownPerson { person, body: None };
    Ok(Box::new(std::iter::from_fn(move || {
        let page = pages.next_blocking().map_err(Failure::from).transpose()?;
        Some(page.map(|people| people.into_iter().map(alone).collect()))
    })))
}

/// Asks for these people, if there are any.
fn ask(state: &State, sync: SyncId, keys: Option<Result<Vec<Key>>>) -> Result<Option<Pending<Vec<KnownPerson>>>> {
    Ok(keys.transpose()?.map(|keys| state.begin(PeopleWithBodies { sync, keys })).transpose()?)
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
