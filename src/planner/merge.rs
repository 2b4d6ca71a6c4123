//! The merge: source and snapshot side by side in key order, a page at a time, and for each person the table's
//! decision.
//!
//! An unchanged person costs one hash and no look at their body; bodies are fetched for the rest of a page at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::newcomers::ITS_ID;
use super::spool::Newcomer;
use super::{Merged, PAGE, Planner, Spool};
use crate::config::settings::OnLeave;
use crate::diff;
use crate::exit::{Failure, Result};
use crate::mapping::{Bound, Desired, Mapped};
use crate::plan::{Change, Fingerprint, OpKind, Operation};
use crate::record::{Key, Record, Reject};
use crate::rules::{Circumstances, Decision, LeavePolicy, PersonState, SkipReason, SourceSays, decide};
use crate::source::Intake;
use crate::state::journal::UnresolvedKeys;
use crate::state::people::{Bodies, Body, Note, PeoplePage, Person, Standing};
use crate::target::AccountState;
use crate::time;
use crate::value::{Attributes, folded};

/// Merges everything into the spool, which may hold the target's listing already; blocking.
pub(super) fn merge(planner: &Planner, spool: Mutex<Spool>, listed: bool) -> Result<Merged> {
    let intake = planner.intake.lock().unwrap_or_else(PoisonError::into_inner);
    let bound = planner.sync.mapping.bind(intake.columns()).map_err(|missing| {
        Failure::internal(format!("the source was read without the columns {}", missing.join(", ")))
    })?;
    let unresolved = match planner.known.id {
        Some(sync) => planner.state.ask_blocking(UnresolvedKeys(sync))?,
        None => BTreeSet::new(),
    };
    let mut merge = Merge {
        planner,
        intake: &intake,
        bound,
        unresolved,
        keyless: intake.stats().keyless_rejects > 0,
        out: Merged {
            spool,
            listed,
            excluded: 0,
            unchanged: 0,
            unresolved: BTreeSet::new(),
            skipped: 0,
            skipped_with_work: 0,
            rejected: 0,
        },
    };
    merge.rejects()?;
    merge.people()?;
    merge.out.spool().index()?;
    Ok(merge.out)
}

struct Merge<'a> {
    planner: &'a Planner,
    intake: &'a Intake,
    bound: Bound,
    unresolved: BTreeSet<Key>,
    keyless: bool,
    out: Merged,
}

/// Somebody who is in the source, in the snapshot, or in both.
struct Pair {
    record: Option<Record>,
    person: Option<Person>,
    /// What the target shows of somebody who has accepted their invitation since the last run.
    accepted: Option<Attributes>,
}

impl Pair {
    fn key(&self) -> Option<&Key> {
        self.record.as_ref().map(|r| &r.key).or(self.person.as_ref().map(|p| &p.key))
    }

    fn state(&self) -> PersonState {
        self.person.as_ref().map_or(PersonState::None, |p| p.state)
    }
}

impl Merge<'_> {
    /// The rows that the reader rejected.
    fn rejects(&mut self) -> Result<()> {
        let mut after = 0;
        loop {
            let page = self.intake.rejects(after, PAGE)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.position.record;
            for reject in &page {
                self.reject(reject)?;
            }
        }
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
        let (mut records, mut persons) = (VecDeque::new(), VecDeque::new());
        let (mut last_record, mut last_person) = (None::<Key>, None::<Key>);
        let (mut more_records, mut more_persons) = (true, self.planner.known.id.is_some());
        let mut page: Vec<Pair> = Vec::with_capacity(PAGE);
        loop {
            if records.is_empty() && more_records {
                records.extend(self.intake.rows(last_record.as_ref(), PAGE)?);
                more_records = !records.is_empty();
                last_record = records.back().map(|r: &Record| r.key.clone()).or(last_record);
            }
            if persons.is_empty() && more_persons {
                persons.extend(self.persons_after(last_person.clone())?);
                more_persons = !persons.is_empty();
                last_person = persons.back().map(|p: &Person| p.key.clone()).or(last_person);
            }
            let order = match (records.front(), persons.front()) {
                (None, None) => break,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(r), Some(p)) => r.key.cmp(&p.key),
            };
            let mut pair = Pair {
                record: if order.is_le() { records.pop_front() } else { None },
                person: if order.is_ge() { persons.pop_front() } else { None },
                accepted: None,
            };
            self.recognise(&mut pair)?;
            if self.needs_a_look(&pair)? {
                page.push(pair);
            }
            if page.len() == PAGE {
                self.look(std::mem::take(&mut page))?;
            }
        }
        self.look(page)
    }

    fn persons_after(&self, after: Option<Key>) -> Result<Vec<Person>> {
        let Some(sync) = self.planner.known.id else { return Ok(Vec::new()) };
        Ok(self.planner.state.ask_blocking(PeoplePage { sync, after, limit: PAGE })?)
    }

    /// Somebody who was invited, and whom the target's listing shows as a user now, is one from here on.
    fn recognise(&self, pair: &mut Pair) -> Result<()> {
        let only = &self.planner.only;
        let Some(person) = pair.person.as_mut().filter(|p| p.state == PersonState::Invited) else { return Ok(()) };
        let Some(id) = person.remote_id.as_ref().filter(|_| only.is_empty() || only.contains(&person.key)) else {
            return Ok(());
        };
        let found = self.out.spool().listed_by_match(ITS_ID, &id.to_lowercase())?;
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
        if !self.planner.only.is_empty() && !self.planner.only.contains(key) {
            return Ok(false);
        }
        if self.unresolved.contains(key) {
            self.out.unresolved.insert(key.clone());
            return Ok(false);
        }
        let (Some(record), Some(person)) = (&pair.record, &pair.person) else {
            // Gone from the source: of interest only while there is access to take. New there: always.
            let has_access = matches!(pair.state(), PersonState::Active | PersonState::Invited);
            return Ok(pair.record.is_some() || has_access);
        };
        if person.fingerprint != Some(self.bound.fingerprint(&record.cells, self.planner.today)) {
            return Ok(true);
        }
        match (person.standing, person.state) {
            (Standing::InStep, PersonState::Active | PersonState::Invited) => {
                self.out.unchanged += 1;
                if person.absent_since.is_some() {
                    self.out.spool().note(&person.key, &Note::Present)?;
                }
                Ok(false)
            }
            (
                Standing::Excluded,
                PersonState::None | PersonState::Banned | PersonState::Deleted | PersonState::Left,
            ) => {
                self.out.excluded += 1;
                Ok(false)
            }
            _ => Ok(true),
        }
    }

    /// Decides for a page of people.
    fn look(&mut self, page: Vec<Pair>) -> Result<()> {
        let keys: Vec<Key> = page.iter().filter_map(|p| p.person.as_ref()).map(|p| p.key.clone()).collect();
        let mut bodies = match (self.planner.known.id, keys.is_empty()) {
            (Some(sync), false) => self.planner.state.ask_blocking(Bodies { sync, keys })?,
            _ => BTreeMap::new(),
        };
        for mut pair in page {
            let Some(key) = pair.key().cloned() else { continue };
            let mut body = bodies.remove(&key).unwrap_or_default();
            body.attributes = pair.accepted.take().unwrap_or(body.attributes);
            match &pair.record {
                Some(record) => self.present(&key, record, pair.person.as_ref(), body)?,
                None => self.missing(&key, &pair, body)?,
            }
        }
        Ok(())
    }

    /// Somebody in the source.
    fn present(&mut self, key: &Key, record: &Record, person: Option<&Person>, body: Body) -> Result<()> {
        let print = self.bound.fingerprint(&record.cells, self.planner.today);
        match self.bound.apply(&record.cells, self.planner.today) {
            Mapped::Rejected(reason) => {
                self.reject(&Reject { key: Some(key.clone()), position: record.position, reason })
            }
            Mapped::Excluded => {
                let case = Case { key, person, body, says: SourceSays::Excluded, print: Some(print), desired: None };
                self.settle(case)
            }
            Mapped::InScope(desired) => {
                let fields = diff::changes(&desired, &body.attributes, self.planner.sync.target.engine.catalogue());
                let says = if fields.is_empty() { SourceSays::Same } else { SourceSays::Differs };
                let desired = Some((desired, fields));
                self.settle(Case { key, person, body, says, print: Some(print), desired })
            }
        }
    }

    /// Somebody in the snapshot alone: a leaver, unless a row of theirs was there and could not be used.
    fn missing(&mut self, key: &Key, pair: &Pair, body: Body) -> Result<()> {
        let says = if self.intake.contains(key)? { SourceSays::Rejected } else { SourceSays::Absent };
        self.settle(Case { key, person: pair.person.as_ref(), body, says, print: None, desired: None })
    }

    fn settle(&mut self, case: Case<'_>) -> Result<()> {
        let state = case.person.map_or(PersonState::None, |p| p.state);
        let circumstances = self.circumstances(&case);
        let decision = decide(state, case.says, &circumstances);
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
                    self.out.spool().note(case.key, &Note::Absent(time::rfc3339(self.planner.now)))?;
                }
                self.skip(case.key, reason)
            }
        }
    }

    fn circumstances(&self, case: &Case<'_>) -> Circumstances {
        let since = case.person.and_then(|p| p.absent_since.as_deref()).and_then(time::parse);
        Circumstances {
            protected: self.is_protected(case),
            keyless: self.keyless,
            incomplete: self.planner.incomplete,
            in_grace: self.in_grace(since),
            on_leave: match self.planner.sync.on_leave {
                OnLeave::Ban => LeavePolicy::Ban,
                OnLeave::Delete => LeavePolicy::Delete,
                OnLeave::Ignore => LeavePolicy::Ignore,
            },
        }
    }

    fn in_grace(&self, since: Option<DateTime<Utc>>) -> bool {
        let grace = TimeDelta::from_std(self.planner.sync.leave_grace).unwrap_or(TimeDelta::MAX);
        let since = since.unwrap_or(self.planner.now);
        !grace.is_zero() && self.planner.now.signed_duration_since(since) < grace
    }

    /// By key, or by a value of a `match` field, as it is or as it should be.
    fn is_protected(&self, case: &Case<'_>) -> bool {
        let list = &self.planner.sync.protect;
        if list.is_empty() {
            return false;
        }
        let listed = |value: &Value| folded(value).is_some_and(|v| list.iter().any(|p| p.trim().to_lowercase() == v));
        list.iter().any(|p| p.trim() == case.key.as_str())
            || self.planner.sync.match_fields.iter().any(|field| {
                case.body.attributes.get(field).is_some_and(listed)
                    || case.body.observed.as_ref().and_then(|o| o.get(field)).is_some_and(listed)
                    || case.desired.as_ref().and_then(|(d, _)| d.fields.get(field)).is_some_and(|d| listed(&d.value))
            })
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
                if case.person.is_some_and(|p| p.absent_since.is_some()) {
                    self.out.spool().note(case.key, &Note::Present)?;
                }
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
        let remote_id = case.person.and_then(|p| p.remote_id.clone());
        let mut operation = Operation::new(kind, case.key.clone(), remote_id);
        operation.baseline = case.body.attributes;
        if let (OpKind::Update | OpKind::Reinstate, Some((_, fields))) = (kind, case.desired) {
            operation.fields = fields;
            operation.fingerprint = case.print;
        }
        Ok(self.out.spool().add(&operation)?)
    }

    /// Somebody to be looked up, with the create that follows when nobody is found.
    fn provision(&mut self, case: Case<'_>) -> Result<()> {
        let protected = self.is_protected(&case);
        let Some((desired, _)) = case.desired else { return Ok(()) };
        let catalogue = self.planner.sync.target.engine.catalogue();
        let mut create = Operation::new(OpKind::Create, case.key.clone(), None);
        (create.fields, create.create_only) = diff::creation(&desired);
        create.fingerprint = case.print;
        let value_of = |field: &String| desired.fields.get(field).map(|d| &d.value);
        let key_value = catalogue.key_field.as_ref().and_then(value_of).and_then(as_text);
        let matches = (catalogue.recognised_by(&self.planner.sync.match_fields).iter())
            .filter_map(|field| value_of(field).and_then(folded).map(|value| (field.clone(), value)))
            .collect();
        Ok(self.out.spool().newcomer(&Newcomer { create, key_value, matches, protected })?)
    }
}

/// One person about whom is to be decided.
struct Case<'a> {
    key: &'a Key,
    person: Option<&'a Person>,
    body: Body,
    says: SourceSays,
    print: Option<Fingerprint>,
    desired: Option<(Desired, BTreeMap<String, Change>)>,
}

/// A key as the target's key field holds it, compared as text whatever its type.
pub(super) fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
