//! The snapshot's side of the merge: everybody whom the sync knows, or, where the read left out those who are settled, all
//! others.

use super::Merge;
use crate::domain::error::{Failure, Result};
use crate::domain::record::Record;
use crate::plan::scope::known_row;
use crate::plan::{PAGE, Planner};
use crate::state::people::{People, PeoplePage, Person};

/// People whom the sync knows, page by page in the order of keys.
///
/// # Errors
/// The read left out people, and not for this sync: their absence would mean nothing.
pub(super) fn pages(planner: &Planner) -> Result<Box<dyn Iterator<Item = Result<Vec<Person>>> + '_>> {
    let (intake, state) = (&planner.intake, &planner.state);
    if intake.leaves_out_settled() {
        let compared = planner.known.id.filter(|sync| intake.settled_of(*sync).is_some());
        let Some(sync) = compared.filter(|_| planner.observed.is_none()) else {
            return Err(Failure::internal("the source was read for other syncs than this one"));
        };
        return Ok(Box::new(intake.looked_at_pages().filter_map(move |keys| {
            let people = keys.and_then(|keys| Ok(state.ask_blocking(People { sync, keys })?));
            // Of several syncs on the source, some know only some of these people.
            let people = people.map(|people| people.into_values().collect::<Vec<_>>());
            (!people.as_ref().is_ok_and(Vec::is_empty)).then_some(people)
        })));
    }
    let Some(sync) = planner.known.id else { return Ok(Box::new(std::iter::empty())) };
    let mut pages = state.pages(PeoplePage { sync, after: None, limit: PAGE });
    Ok(Box::new(std::iter::from_fn(move || pages.next_blocking().map_err(Failure::from).transpose())))
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

    /// Whether a record is the one of which the snapshot remembers what came of it.
    pub(super) fn is_as_known(&self, record: &Record, person: &Person) -> bool {
        let print = self.prints.of(record, known_row(person));
        print.is_some() && person.fingerprint == print
    }
}
