//! The merge: source and snapshot side by side in key order, a page at a time, and for each person the table's
//! decision.
//!
//! An unchanged person costs one hash and no look at their body; bodies are fetched for the rest of a page at once.

mod known;
mod leaving;
mod look;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use self::known::KnownPages;
use self::leaving::is_new;
use super::lookalikes::{self, MatchHashes};
use super::newcomers::recognised_by;
use super::observe::returned;
use super::pair::Pair;
use super::repeated::Repeated;
use super::{Merged, PAGE, Planner, Spool};
use crate::account::Listing;
use crate::account::lookup::{LookupValues, Newcomer};
use crate::domain::account::AccountState;
use crate::domain::error::{Failure, Result};
use crate::domain::operation::{Change, Fingerprint, OpKind, Operation};
use crate::domain::planned::Planned;
use crate::domain::record::{Key, Record, Reject};
use crate::domain::rules::{Decision, PersonState, SkipReason, SourceSays, decide};
use crate::domain::value::is_empty;
use crate::mapping::{Bound, Desired, Fingerprinter, When};
use crate::plan::diff;
use crate::source::Intake;
use crate::state::bodies::{Body, KnownPerson};
use crate::state::journal::UnresolvedKeys;
use crate::state::people::{CountUsers, Note, Person, Standing};
use crate::state::settled::Settled;

/// Merges everything; blocking. `listing` is what the target listed because somebody is invited.
pub(super) fn merge(planner: &Planner, listing: Option<Arc<Listing>>) -> Result<Merged> {
    let intake = &planner.intake;
    let bound = planner.sync.mapping.bind(intake.columns()).map_err(|missing| {
        Failure::internal(format!("the source was read without the columns {}", missing.join(", ")))
    })?;
    let unresolved = match planner.known.id {
        Some(sync) => planner.state.ask_blocking(UnresolvedKeys(sync))?,
        None => BTreeSet::new(),
    };
    // Whoever they are by now: in the source, known, or neither any more.
    let told = unresolved.iter().filter(|key| planner.is_meant(key)).cloned().collect();
    let mut merge = Merge {
        planner,
        listing,
        intake,
        prints: bound.fingerprints(planner.time),
        bound,
        unresolved,
        keyless: intake.stats().keyless_rejects > 0,
        create_only: (planner.sync.mapping.rules().iter())
            .filter(|rule| rule.when == When::Create)
            .map(|rule| rule.field.clone())
            .collect(),
        repeated: Repeated::default(),
        tellings: MatchHashes::default(),
        planned: Vec::new(),
        has_operations: false,
        out: Merged {
            spool: Mutex::new(Spool::new(planner.sync.target.engine.catalogue(), &planner.sync.label)?),
            excluded: 0,
            unchanged: 0,
            in_step: 0,
            unresolved: told,
            skipped: 0,
            skipped_with_work: 0,
            rejected: 0,
            rejected_rows: 0,
            contradicted: 0,
            shared: Vec::new(),
            users: None,
        },
    };
    merge.rejects()?;
    merge.count_settled();
    merge.people()?;
    merge.repeated.end(&planner.sync);
    merge.out.spool().index()?;
    let shared = lookalikes::find(planner, &merge.out.spool(), merge.tellings)?;
    Ok(Merged { shared, ..merge.out })
}

struct Merge<'a> {
    planner: &'a Planner,
    listing: Option<Arc<Listing>>,
    intake: &'a Intake,
    bound: Bound,
    prints: Fingerprinter,
    unresolved: BTreeSet<Key>,
    keyless: bool,
    create_only: BTreeSet<String>,
    repeated: Repeated,
    tellings: MatchHashes,
    /// The operations of the page that is looked at.
    planned: Vec<Planned>,
    /// There were some.
    has_operations: bool,
    out: Merged,
}

impl Merge<'_> {
    /// The rows that the reader rejected.
    fn rejects(&mut self) -> Result<()> {
        let intake = self.intake;
        intake.reject_pages().try_for_each(|page| page?.iter().try_for_each(|reject| self.reject(reject)))
    }

    fn reject(&mut self, reject: &Reject) -> Result<()> {
        let wanted = self.planner.only.is_empty() || reject.key.as_ref().is_some_and(|k| self.planner.only.contains(k));
        if wanted {
            self.out.rejected += 1;
            self.out.spool().reject(reject)?;
        }
        Ok(())
    }

    /// Walks source and snapshot together.
    fn people(&mut self) -> Result<()> {
        let (mut records, mut persons) = (VecDeque::<Record>::new(), VecDeque::<KnownPerson>::new());
        let intake = self.intake;
        let mut record_pages = intake.pages();
        let mut person_pages = KnownPages::of(self.planner)?;
        let mut page: Vec<Pair> = Vec::with_capacity(PAGE);
        loop {
            if records.is_empty() {
                records.extend(record_pages.next().transpose()?.unwrap_or_default());
            }
            if persons.is_empty() {
                persons.extend(person_pages.next()?.unwrap_or_default());
            }
            let order = match (records.front(), persons.front()) {
                (None, None) => break,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(r), Some(p)) => r.key.cmp(&p.person.key),
            };
            let known = if order.is_ge() { persons.pop_front() } else { None };
            let (person, body) = known.map_or((None, None), |known| (Some(known.person), known.body));
            let record = if order.is_le() { records.pop_front() } else { None };
            let mut pair = Pair { record, person, body, accepted: None };
            self.recognise(&mut pair)?;
            if self.needs_a_look(&pair)? {
                page.push(pair);
            }
            if page.len() == PAGE {
                self.look(std::mem::take(&mut page))?;
                if person_pages.is_all_asked() {
                    self.count_users()?;
                }
            }
        }
        self.look(page)
    }

    /// Has the users counted, if a plan will be that needs the number.
    fn count_users(&mut self) -> Result<()> {
        if let (None, Some(sync), true) = (&self.out.users, self.planner.known.id, self.has_operations) {
            self.out.users = Some(self.planner.state.begin(CountUsers(sync))?);
        }
        Ok(())
    }

    /// Somebody who was invited, and whom the target's listing shows as a user now, is one from here on.
    fn recognise(&self, pair: &mut Pair) -> Result<()> {
        let Some(listing) = &self.listing else { return Ok(()) };
        let only = &self.planner.only;
        let Some(person) = pair.person.as_mut().filter(|p| p.state == PersonState::Invited) else { return Ok(()) };
        let Some(id) = person.remote_id.as_ref().filter(|_| only.is_empty() || only.contains(&person.key)) else {
            return Ok(());
        };
        let found = listing.by_address(id.as_str())?;
        let Some(account) = found.into_iter().find(|account| account.state != AccountState::Invited) else {
            return Ok(());
        };
        person.state = match account.state {
            AccountState::Banned => PersonState::Banned,
            AccountState::Active | AccountState::Invited => PersonState::Active,
        };
        person.remote_id = Some(account.remote_id.clone());
        person.fingerprint = None;
        person.standing = Standing::None;
        let note = Note::Accepted {
            state: person.state,
            remote_id: account.remote_id,
            attributes: account.attributes.clone(),
        };
        self.out.spool().note(&person.key, &note)?;
        pair.accepted = Some(account.attributes);
        Ok(())
    }

    /// Whether anything can have to be done; counts those for whom nothing has.
    fn needs_a_look(&mut self, pair: &Pair) -> Result<bool> {
        let Some(key) = pair.key() else { return Ok(false) };
        if self.bystands(key) {
            return self.may_be_alike(pair);
        }
        if self.unresolved.contains(key) {
            return Ok(false);
        }
        if let Some(record) = pair.record.as_ref().filter(|record| record.several.is_some()) {
            let known = self.known_row(pair)?;
            self.repeated.see(&self.planner.sync, &self.bound, record, self.planner.time, known);
        }
        if self.planner.observed.is_some() {
            // What was looked at before tells nothing of what the target shows now.
            return Ok(true);
        }
        let (Some(record), Some(person)) = (&pair.record, &pair.person) else {
            // Gone from the source: of interest only while there is access to take. New there: always.
            let has_access = matches!(pair.state(), PersonState::Active | PersonState::Invited);
            return Ok(pair.record.is_some() || has_access);
        };
        if !self.is_as_known(record, person, self.known_row(pair)?) {
            return Ok(true);
        }
        // Whoever is there is absent no more.
        match Settled::of(person.standing, person.state, false) {
            Some(Settled::InStep | Settled::Invited) => {
                self.out.unchanged += 1;
                self.is_present(Some(person))?;
                Ok(false)
            }
            Some(Settled::Excluded) => {
                self.out.excluded += 1;
                Ok(false)
            }
            None => Ok(true),
        }
    }

    /// Whether the plan is about others (`--only`).
    fn bystands(&self, key: &Key) -> bool {
        !self.planner.is_meant(key)
    }

    /// Somebody is there, be their record good or bad: their grace would start anew. An incomplete read counts for
    /// nothing.
    fn is_present(&self, person: Option<&Person>) -> Result<()> {
        match person.filter(|p| p.absent_since.is_some() && !self.planner.incomplete) {
            Some(person) => Ok(self.out.spool().note(&person.key, &Note::Present)?),
            None => Ok(()),
        }
    }

    /// Somebody in the snapshot alone: a leaver, unless a row of theirs was there and could not be used.
    fn missing(&mut self, case: Case<'_>) -> Result<()> {
        let says = if self.intake.contains(case.key)? { SourceSays::Rejected } else { SourceSays::Absent };
        self.leaver(Case { says, ..case })
    }

    /// Somebody who may be out of scope. Where a reconcile finds an active account with their key, it is theirs.
    fn leaver(&mut self, case: Case<'_>) -> Result<()> {
        if let (Some(listing), Some(person)) = (&self.planner.observed, case.person)
            && case.says != SourceSays::Rejected
            && let Some((person, body)) = returned(listing, &self.planner.sync, person, &case.body)?
        {
            return self.decide_one(Case { person: Some(&person), body, ..case });
        }
        self.decide_one(case)
    }

    fn decide_one(&mut self, case: Case<'_>) -> Result<()> {
        let state = case.person.map_or(PersonState::None, |p| p.state);
        let circumstances = self.circumstances(&case);
        self.note_leaver(&case, &circumstances)?;
        if case.bystands {
            return self.bystander(&case, state);
        }
        let decision = decide(state, case.says, &circumstances);
        if self.planner.observed.is_some() {
            return self.compared(case, decision);
        }
        self.planned(case, decision, state)
    }

    /// What a plan makes of a decision.
    fn planned(&mut self, case: Case<'_>, decision: Decision, state: PersonState) -> Result<()> {
        if matches!(case.says, SourceSays::Same | SourceSays::Differs | SourceSays::Rejected) {
            self.is_present(case.person)?;
        }
        match decision {
            Decision::Reject => Ok(()),
            Decision::Nothing => self.nothing(&case, state),
            Decision::Provision => self.provision(case),
            Decision::Update => self.write(OpKind::Update, case),
            Decision::Reinstate => self.write(OpKind::Reinstate, case),
            Decision::Ban => self.write(OpKind::Ban, case),
            Decision::Delete => self.write(OpKind::Delete, case),
            Decision::Return => {
                self.out.unchanged += 1;
                self.out.spool().note(case.key, &Note::State(PersonState::Active))?;
                self.looked(&case, Standing::InStep)
            }
            Decision::Leave => {
                self.out.spool().note(case.key, &Note::State(PersonState::Left))?;
                self.skip(case.key, SkipReason::OnLeave)
            }
            Decision::Skip(reason) => {
                if reason == SkipReason::Grace && !self.planner.incomplete {
                    self.out.spool().note(case.key, &Note::Absent(self.planner.now))?;
                }
                self.skip(case.key, reason)
            }
        }
    }

    /// What a reconcile makes of a decision: the same operations, and nothing to remember, since the snapshot is not
    /// what was looked at.
    fn compared(&mut self, case: Case<'_>, decision: Decision) -> Result<()> {
        match decision {
            Decision::Provision => self.provision(case),
            Decision::Update => self.write(OpKind::Update, case),
            Decision::Reinstate => self.write(OpKind::Reinstate, case),
            Decision::Ban => self.write(OpKind::Ban, case),
            Decision::Delete => self.write(OpKind::Delete, case),
            Decision::Skip(SkipReason::Protected) => {
                let kind = match (case.says, case.person.map(|p| p.state)) {
                    (SourceSays::Excluded | SourceSays::Absent, _) => OpKind::Ban,
                    (_, Some(PersonState::Banned)) => OpKind::Reinstate,
                    _ => OpKind::Update,
                };
                self.skip(case.key, SkipReason::Protected)?;
                let operation = self.operation(kind, case);
                Ok(self.out.spool().withhold(&operation.into())?)
            }
            Decision::Nothing | Decision::Return | Decision::Leave | Decision::Skip(_) | Decision::Reject => {
                self.out.in_step += u64::from(case.person.is_some_and(|p| p.remote_id.is_some()));
                self.out.excluded += u64::from(case.says == SourceSays::Excluded);
                self.out.unchanged += u64::from(case.says == SourceSays::Same);
                Ok(())
            }
        }
    }

    fn nothing(&mut self, case: &Case<'_>, state: PersonState) -> Result<()> {
        let Some(_) = case.print else { return Ok(()) };
        match case.says {
            SourceSays::Excluded => {
                self.out.excluded += 1;
                self.looked(case, Standing::Excluded)
            }
            _ => {
                self.out.unchanged += 1;
                match state {
                    PersonState::Active | PersonState::Invited => self.looked(case, Standing::InStep),
                    _ => Ok(()),
                }
            }
        }
    }

    fn looked(&self, case: &Case<'_>, standing: Standing) -> Result<()> {
        match case.print {
            Some(print) => Ok(self.out.spool().note(case.key, &Note::Looked(print, standing))?),
            None => Ok(()),
        }
    }

    fn skip(&mut self, key: &Key, reason: SkipReason) -> Result<()> {
        self.out.skipped += 1;
        self.out.skipped_with_work += u64::from(reason.leaves_work());
        Ok(self.out.spool().skip(key, reason.name())?)
    }

    /// An operation on an account that we know.
    fn write(&mut self, kind: OpKind, case: Case<'_>) -> Result<()> {
        let operation = self.operation(kind, case);
        self.planned.push(operation.into());
        Ok(())
    }

    fn operation(&self, kind: OpKind, case: Case<'_>) -> Operation {
        let remote_id = case.person.and_then(|p| p.remote_id.clone());
        let mut operation = Operation::new(kind, case.key.clone(), remote_id);
        operation.baseline = case.body.attributes;
        if let (OpKind::Update | OpKind::Reinstate, Some((_, fields))) = (kind, &case.desired) {
            operation.fields = fields.clone();
            operation.fingerprint = case.print;
            operation.create_only = self.create_only.clone();
        }
        if kind == OpKind::Ban {
            operation.fields = self.releases(&operation);
        }
        operation
    }

    /// The unique values that a banned account gives up.
    fn releases(&self, ban: &Operation) -> BTreeMap<String, Change> {
        let catalogue = self.planner.sync.target.engine.catalogue();
        let Some(remote_id) = ban.remote_id.as_ref() else { return BTreeMap::new() };
        let released = |field: &String| {
            let old = ban.baseline.get(field).filter(|old| !is_empty(old))?.clone();
            let new = catalogue.released(field, remote_id)?;
            (old != new).then(|| (field.clone(), Change { old, new }))
        };
        self.planner.sync.release_on_ban.iter().filter_map(released).collect()
    }

    /// By what somebody is looked up.
    fn sought(&self, desired: &Desired, protected: bool) -> LookupValues {
        let catalogue = self.planner.sync.target.engine.catalogue();
        let (key_value, matches) = recognised_by(desired, &self.planner.sync.match_fields, catalogue);
        LookupValues { key_value, matches, protected }
    }

    /// Somebody about whom the plan is not, but whom somebody of the plan may look like.
    fn bystander(&mut self, case: &Case<'_>, state: PersonState) -> Result<()> {
        match case.desired.as_ref().filter(|_| is_new(state)) {
            Some((desired, _)) => self.note_bystander(case, &self.sought(desired, false)),
            None => Ok(()),
        }
    }

    /// Somebody to be looked up, with the create that follows when nobody is found.
    fn provision(&mut self, case: Case<'_>) -> Result<()> {
        let protected = self.is_protected(&case);
        let Some((desired, _)) = case.desired else { return Ok(()) };
        let mut create = Operation::new(OpKind::Create, case.key.clone(), None);
        let creation = diff::creation(&desired);
        (create.fields, create.create_only, create.blank) = (creation.fields, creation.create_only, creation.blank);
        create.fingerprint = case.print;
        let sought = self.sought(&desired, protected);
        self.tellings.note(&sought);
        Ok(self.out.spool().newcomer(Newcomer { create, sought })?)
    }
}

/// One person about whom is to be decided.
struct Case<'a> {
    key: &'a Key,
    /// The state in the snapshot, whatever the target shows.
    was: PersonState,
    person: Option<&'a Person>,
    /// The plan is about others (`--only`).
    bystands: bool,
    body: Body,
    says: SourceSays,
    print: Option<Fingerprint>,
    desired: Option<(Desired, BTreeMap<String, Change>)>,
}
