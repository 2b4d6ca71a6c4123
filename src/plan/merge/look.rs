//! Deciding for a page of people.
//!
//! What their rows come to is worked out on all processors, since it needs nothing but the row and what is known of the person;
//! what is decided by it, one person after the other.

use std::collections::BTreeMap;

use super::{Case, Merge, Pair};
use crate::domain::error::Result;
use crate::domain::operation::{Change, Fingerprint};
use crate::domain::record::{Key, Record, Reject};
use crate::domain::rules::{PersonState, SourceSays};
use crate::mapping::{AsBefore, Decided, KnownRow, Mapped};
use crate::os::parallel;
use crate::plan::diff;
use crate::plan::observe::{as_listed, leave_kept};
use crate::state::bodies::{Bodies, Body};

/// Somebody with everything that is known of them.
struct Looked {
    pair: Pair,
    key: Key,
    /// Their state in the snapshot, whatever the target shows.
    was: PersonState,
    body: Body,
    /// What is known of the row from which they were last decided about.
    known: Option<KnownRow>,
}

/// What somebody's rows come to.
struct Evaluated {
    fingerprint: Option<Fingerprint>,
    decided: Result<Decided, AsBefore>,
    /// What differs from what is known, where they are in scope.
    changes: BTreeMap<String, Change>,
}

impl Merge<'_> {
    /// Decides for a page of people.
    pub(super) fn look(&mut self, page: Vec<Pair>) -> Result<()> {
        let looked = self.with_bodies(page)?;
        let evaluated = parallel::map(&looked, |one| one.pair.record.as_ref().map(|record| self.evaluate(one, record)));
        for (Looked { pair, key, was, body, .. }, evaluated) in looked.into_iter().zip(evaluated) {
            let case = Case {
                key: &key,
                was,
                person: pair.person.as_ref(),
                bystands: self.bystands(&key),
                body,
                says: SourceSays::Absent,
                print: None,
                desired: None,
            };
            match (&pair.record, evaluated) {
                (Some(record), Some(evaluated)) => self.present(case, record, evaluated)?,
                _ => self.missing(case)?,
            }
        }
        let planned = std::mem::take(&mut self.planned);
        self.has_operations |= !planned.is_empty();
        Ok(self.out.spool().add_all(&planned)?)
    }

    /// Adds what the target acknowledged, and, for a reconcile, what it shows.
    fn with_bodies(&self, page: Vec<Pair>) -> Result<Vec<Looked>> {
        let without = page.iter().filter(|pair| pair.body.is_none()).filter_map(|pair| pair.person.as_ref());
        let keys: Vec<Key> = without.map(|person| person.key.clone()).collect();
        let mut bodies = match (self.planner.known.id, keys.is_empty()) {
            (Some(sync), false) => self.planner.state.ask_blocking(Bodies { sync, keys })?,
            _ => BTreeMap::new(),
        };
        let mut looked = Vec::with_capacity(page.len());
        for mut pair in page {
            let Some(key) = pair.key().cloned() else { continue };
            let mut body = pair.body.take().or_else(|| bodies.remove(&key)).unwrap_or_default();
            let was = pair.state();
            body.attributes = pair.accepted.take().unwrap_or(body.attributes);
            if let (Some(listing), Some(person)) = (&self.planner.observed, &mut pair.person) {
                as_listed(listing, &self.planner.sync, person, &mut body)?;
            }
            let known = self.known_row(&pair)?;
            looked.push(Looked { pair, key, was, body, known });
        }
        Ok(looked)
    }

    /// What somebody's rows come to; nothing is remembered of it.
    fn evaluate(&self, looked: &Looked, record: &Record) -> Evaluated {
        let known = looked.known;
        let decided = self.bound.decide_knowing(record, self.planner.time, known);
        let changes = match &decided {
            Ok(Decided { mapped: Mapped::InScope(desired), .. }) => {
                let catalogue = self.planner.sync.target.engine.catalogue();
                diff::changes(desired, &looked.body.attributes, catalogue)
            }
            _ => BTreeMap::new(),
        };
        Evaluated { fingerprint: self.prints.of(record, known), decided, changes }
    }

    /// Somebody in the source.
    fn present(&mut self, case: Case<'_>, record: &Record, evaluated: Evaluated) -> Result<()> {
        let Evaluated { fingerprint: print, decided, changes: mut fields } = evaluated;
        let decided = match decided {
            Ok(decided) => decided,
            Err(AsBefore { .. }) => return self.decide_one(Case { says: SourceSays::Same, print, ..case }),
        };
        match decided.mapped {
            Mapped::Rejected(reason) => {
                let there = self.planner.observed.is_some() && case.person.is_some_and(|p| p.remote_id.is_some());
                self.out.in_step += u64::from(there);
                if case.bystands {
                    return Ok(());
                }
                self.is_present(case.person)?;
                self.out.rejected_rows += record.row_count();
                self.out.contradicted += u64::from(record.several.is_some());
                self.reject(&Reject { key: Some(case.key.clone()), position: decided.position, reason })
            }
            Mapped::Excluded => self.leaver(Case { says: SourceSays::Excluded, print, ..case }),
            Mapped::InScope(desired) => {
                if self.planner.observed.is_some() {
                    let catalogue = self.planner.sync.target.engine.catalogue();
                    leave_kept(&self.out.spool(), case.person, &case.body, &mut fields, catalogue)?;
                }
                let says = if fields.is_empty() { SourceSays::Same } else { SourceSays::Differs };
                self.decide_one(Case { says, print, desired: Some((desired, fields)), ..case })
            }
        }
    }
}
