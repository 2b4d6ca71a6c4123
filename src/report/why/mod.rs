//! `why`: everything about one person, gathered from the source, the state and a plan of them alone.

pub mod parts;
pub mod person_report;

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::TimeDelta;

use self::person_report::{AT, Field, HeldFor, InSource, Next, PersonReport, fields};
use crate::config::settings::SyncSettings;
use crate::domain::error::{Error, Failure, Result};
use crate::domain::exit::Exit;
use crate::domain::ids::SyncId;
use crate::domain::local_time::LocalTime;
use crate::domain::operation::OpKind;
use crate::domain::planned::Planned;
use crate::domain::record::{Key, Record};
use crate::domain::remote_id::LoggableId;
use crate::domain::rules::{PersonState, SkipReason};
use crate::domain::units::Span;
use crate::domain::value::{Attributes, folded_each};
use crate::mapping::{Desired, Mapped};
use crate::plan::PAGE;
use crate::report::told::told;
use crate::run::{Purpose, Read, Runner, binding, make_plan, read_sources_quietly};
use crate::source::Intake;
use crate::state::State;
use crate::state::binding::BoundTo;
use crate::state::bodies::{Bodies, Body, Confirmed};
use crate::state::former_keys::KeyHistory;
use crate::state::journal::{Unresolved, UnresolvedOf};
use crate::state::ledger::{Filter, LastOutcomes, Outcomes};
use crate::state::people::{FindSync, IsPaused, People, Person};
use crate::state::plans::{HeldPlans, PlanOperations};
use crate::state::who_has::WhoHas;

/// How many outcomes are told.
const LATELY: usize = 10;

/// Tells everything about the person of this key, remote id or value.
///
/// Whom the state knows by it is looked up before the source is read: then of all others no row is kept whose matter is
/// settled.
///
/// # Errors
/// Nobody is found, or several are (64); the state fails. A source or target that can't be asked is part of the story.
pub async fn explain(runner: &Runner, sync: &Arc<SyncSettings>, who: &str) -> Result<PersonReport> {
    let key = Key::parse(who).ok_or_else(|| Failure::new(Error::Usage, "say whom: a key, an id, an address"))?;
    let id = runner.state.ask(BoundTo(sync.name.clone())).await?.map(|bound| bound.id);
    let known = known_by(&runner.state, sync, id, &key, who).await?;
    let meant: BTreeSet<Key> = known.iter().chain([&key]).cloned().collect();
    // A source is read once: whom the state does not know may be found by a value of any row.
    let purpose = match known.is_empty() {
        true => Purpose::Everything,
        false => Purpose::Plan { only: &meant, if_changed: false, on: None },
    };
    let read = read_for(runner, sync, purpose).await?;
    let teller = Teller { runner, sync, read, id };
    let found = match (teller.is_in_source(&key)?, known.is_empty()) {
        (true, _) => [key.clone()].into(),
        (false, false) => known,
        (false, true) => teller.by_value_in_source(who)?,
    };
    let key = teller.one_of(found, key).await?;
    teller.tell(key).await
}

/// Those whom the state knows by a key, or, where it knows nobody by that, by the id of an account or a value, or by a key
/// that they had before.
async fn known_by(
    state: &State,
    sync: &SyncSettings,
    id: Option<SyncId>,
    key: &Key,
    who: &str,
) -> Result<BTreeSet<Key>> {
    let Some(id) = id else { return Ok(BTreeSet::new()) };
    if state.ask(People { sync: id, keys: vec![key.clone()] }).await?.contains_key(key) {
        return Ok([key.clone()].into());
    }
    let found = state.ask(WhoHas { sync: id, who: who.trim().to_string(), fields: telling_fields(sync) }).await?;
    if !found.is_empty() {
        return Ok(found);
    }
    // It may be a key that somebody had before: then it is they who are meant, unless the source has it again.
    let had = state.ask(KeyHistory { sync: Some(sync.name.clone()), key: key.to_string() }).await?;
    Ok(had.now().into_iter().collect())
}

/// The target fields whose values tell who somebody is.
fn telling_fields(sync: &SyncSettings) -> Vec<String> {
    let catalogue = sync.target.engine.catalogue();
    let unique = catalogue.fields.iter().filter(|(_, field)| field.unique).map(|(name, _)| name);
    let all: BTreeSet<&String> = sync.match_fields.iter().chain(&catalogue.key_field).chain(unique).collect();
    all.into_iter().cloned().collect()
}

/// Reads the source of a sync.
async fn read_for(
    runner: &Runner,
    sync: &Arc<SyncSettings>,
    purpose: Purpose<'_>,
) -> Result<Result<Read, Arc<Failure>>> {
    let syncs = std::slice::from_ref(sync);
    let readings = read_sources_quietly(&runner.settings, syncs, &runner.state, &runner.clock, purpose).await?;
    let read = readings.into_iter().next().map(|(read, _)| read);
    read.ok_or_else(|| Failure::internal("no source was read"))
}

struct Teller<'a> {
    runner: &'a Runner,
    sync: &'a Arc<SyncSettings>,
    read: Result<Read, Arc<Failure>>,
    id: Option<SyncId>,
}

impl Teller<'_> {
    fn intake(&self) -> Option<&Intake> {
        self.read.as_ref().ok().map(|read| read.intake.as_ref())
    }

    fn time(&self) -> LocalTime {
        LocalTime::new(self.runner.clock.now(), self.sync.timezone)
    }

    fn is_in_source(&self, key: &Key) -> Result<bool> {
        Ok(self.intake().map(|intake| intake.contains(key)).transpose()?.unwrap_or(false))
    }

    /// The one who was found. Where nobody was, it may be somebody of whom only the ledger knows.
    async fn one_of(&self, found: BTreeSet<Key>, key: Key) -> Result<Key> {
        if found.is_empty() {
            let filter = Filter { sync: Some(self.sync.name.clone()), key: Some(key.to_string()), ..Filter::default() };
            if !self.runner.state.ask(Outcomes { filter, after: 0, limit: 1 }).await?.is_empty() {
                return Ok(key);
            }
        }
        let mut keys = found.into_iter();
        match (keys.next(), keys.next()) {
            (Some(key), None) => Ok(key),
            (Some(one), Some(other)) => Err(Failure::new(
                Error::Usage,
                format!("more than one person of {} could be meant: {one}, {other} …", self.sync.name),
            )
            .help("ask by key")),
            (None, _) => Err(self.nobody()),
        }
    }

    /// Nobody is found. Where the source could not be asked, that is the answer: they may be in it.
    fn nobody(&self) -> Failure {
        let name = &self.sync.name;
        let Err(unread) = &self.read else {
            return Failure::new(
                Error::Usage,
                format!("neither the source nor the state of sync {name} knows such a person"),
            )
            .help("ask by key (case-sensitive), by the target's id, or by a value of a match field");
        };
        let message =
            format!("the state of sync {name} knows no such person, and its source can't be asked: {}", unread.chain());
        let failure = Failure::new(unread.error, message);
        match &unread.help {
            Some(help) => failure.help(help.clone()),
            None => failure,
        }
    }

    fn by_value_in_source(&self, who: &str) -> Result<BTreeSet<Key>> {
        let mut found = BTreeSet::new();
        let Some(intake) = self.intake() else { return Ok(found) };
        let Ok(bound) = self.sync.mapping.bind(intake.columns()) else { return Ok(found) };
        let (wanted, telling, time) = (who.trim().to_lowercase(), telling_fields(self.sync), self.time());
        for page in intake.pages() {
            for record in page? {
                let rows = bound.regardless_of_scope(&record, time);
                let is_meant = |desired: &Desired, field: &String| {
                    desired.fields.get(field).is_some_and(|d| folded_each(&d.value).contains(&wanted))
                };
                if rows.iter().any(|desired| telling.iter().any(|field| is_meant(desired, field))) {
                    found.insert(record.key);
                }
            }
        }
        Ok(found)
    }

    async fn tell(&self, key: Key) -> Result<PersonReport> {
        let state = &self.runner.state;
        let (mut person, mut body, mut confirmed_at, mut paused) = (None, None, None, false);
        if let Some(sync) = self.id {
            person = state.ask(People { sync, keys: vec![key.clone()] }).await?.remove(&key);
            body = state.ask(Bodies { sync, keys: vec![key.clone()] }).await?.remove(&key);
            confirmed_at = state.ask(Confirmed { sync, key: key.clone() }).await?;
            paused = state.ask(IsPaused(sync)).await?;
        }
        let (in_source, mapped) = match &self.read {
            Err(unread) => (InSource::Unreadable(Exit::from(unread.error), unread.chain()), Vec::new()),
            Ok(_) => self.in_source(&key)?,
        };
        let protected = self.is_protected(&key, &mapped, person.as_ref(), body.as_ref());
        let next = self.next(&key, &in_source, person.as_ref(), &mapped).await?;
        let history = KeyHistory { sync: Some(self.sync.name.clone()), key: key.to_string() };
        let former_keys = state.ask(history).await?.before.into_iter().map(|had| (had.old, had.at)).collect();
        let lately = LastOutcomes { sync: self.sync.name.clone(), key: key.to_string(), limit: LATELY };
        let label = self.sync.label.of(|field| {
            let mapped = mapped.iter().find(|m| m.field == *field).and_then(|m| m.value.as_ref());
            mapped.or_else(|| body.as_ref().and_then(|body| body.attributes.get(field)))
        });
        Ok(PersonReport {
            label,
            sync: self.sync.name.clone(),
            source: self.sync.source.name.clone(),
            target: self.sync.target.name.clone(),
            in_source,
            mapped,
            state: person.as_ref().map_or(PersonState::None, |p| p.state),
            remote_id: person.as_ref().and_then(|p| p.remote_id.clone()),
            snapshot: body.map(|b| b.attributes),
            confirmed_at,
            absent_since: person.and_then(|p| p.absent_since),
            protected,
            paused,
            next,
            held: self.held(&key).await?,
            former_keys,
            outcomes: told(state, state.ask(lately).await?).await?,
            key,
        })
    }

    /// What the source has of them, and what the mapping makes of it.
    fn in_source(&self, key: &Key) -> Result<(InSource, Vec<Field>)> {
        let Some(intake) = self.intake() else { return Ok((InSource::Absent, Vec::new())) };
        let Some(record) = intake.record(key)? else {
            return Ok((rejected(intake, key)?.unwrap_or(InSource::Absent), Vec::new()));
        };
        let bound = self.sync.mapping.bind(intake.columns()).map_err(|missing| {
            Failure::internal(format!("the source was read without the columns {}", missing.join(", ")))
        })?;
        let decided = bound.decide(&record, self.time());
        let (in_source, desired) = match decided.mapped {
            Mapped::InScope(desired) => {
                (InSource::InScope(decided.position, self.sync.mapping.include().map(Into::into)), desired)
            }
            Mapped::Excluded => {
                let desired = bound.regardless_of_scope(&record, self.time()).into_iter().next().unwrap_or_default();
                (InSource::Excluded(decided.position, self.refusing(intake, &record)), desired)
            }
            Mapped::Rejected(reason) => return Ok((InSource::Rejected(decided.position, reason), Vec::new())),
        };
        Ok((in_source, fields(&self.sync.mapping, |field| desired.fields.get(field).map(|d| d.value.clone()))))
    }

    fn refusing(&self, intake: &Intake, record: &Record) -> Vec<String> {
        let include = self.sync.mapping.include();
        include.map(|text| parts::refusing(text, intake.columns(), record, self.time())).unwrap_or_default()
    }

    fn is_protected(&self, key: &Key, mapped: &[Field], person: Option<&Person>, body: Option<&Body>) -> bool {
        let observed = body.and_then(|b| b.observed.as_ref());
        let values = self.sync.match_fields.iter().flat_map(|field| {
            let desired = mapped.iter().find(|m| m.field == *field).and_then(|m| m.value.as_ref());
            [body.and_then(|b| b.attributes.get(field)), observed.and_then(|o| o.get(field)), desired]
        });
        let account: Option<Attributes> = person.filter(|p| p.remote_id.is_some()).map(|_| {
            let mut account = body.map(|b| b.attributes.clone()).unwrap_or_default();
            account.0.extend(observed.into_iter().flat_map(|o| o.0.clone()));
            account
        });
        self.sync.protect.covers(key, values.flatten(), account.as_ref(), self.time())
    }

    /// Plans for this person alone, as the next run would.
    async fn next(&self, key: &Key, in_source: &InSource, person: Option<&Person>, mapped: &[Field]) -> Result<Next> {
        let nothing = |reason: String| Next { reason, ..Next::default() };
        let Ok(read) = &self.read else {
            return Ok(nothing("the source can't be read, or is not trusted".into()));
        };
        if let Some(sent) = self.unresolved(key).await? {
            return Ok(self.looked_up(&sent, in_source));
        }
        if let InSource::Rejected(..) = in_source {
            return Ok(nothing("their record is rejected".into()));
        }
        let planned = async {
            let known = self.runner.state.ask(FindSync(binding(self.sync))).await?;
            let client = self.runner.clients.of(&self.sync.target)?;
            let only = [key.clone()].into();
            let plan = make_plan(self.runner, self.sync, &client, read, known, &only).await;
            client.rest().await;
            let plan = plan?;
            let operation = plan.spool().operation_of(key)?;
            let skip = plan.spool().skips("", 1)?.pop().map(|(_, reason)| reason);
            Ok::<_, Failure>((operation, skip))
        };
        Ok(match planned.await {
            Ok((Some(operation), _)) => self.planned(operation, in_source, mapped),
            Ok((None, Some(reason))) => self.skipped(&reason, person),
            Ok((None, None)) => nothing(unchanged(in_source, person).into()),
            Err(failure) => nothing(format!("what it would do can't be told: {}", failure.chain())),
        })
    }

    /// What was sent for them and has no known fate.
    async fn unresolved(&self, key: &Key) -> Result<Option<Unresolved>> {
        let Some(sync) = self.id else { return Ok(None) };
        let at_rest = self.runner.state.sender().is_none();
        Ok(self.runner.state.ask(UnresolvedOf { sync, key: key.clone(), at_rest }).await?)
    }

    /// They are looked up before anything else: what was sent may have been done.
    fn looked_up(&self, sent: &Unresolved, in_source: &InSource) -> Next {
        let kind = sent.operation.kind;
        let settle = self.sync.target.settle;
        let wait = match settle.is_zero() || kind != OpKind::Create {
            true => String::new(),
            false => format!(", not before {} have passed since then (settle)", Span(settle)),
        };
        let (op, then) = match in_source {
            InSource::InScope(..) => (Some(kind), format!("if it was not done, it is sent again{wait}")),
            InSource::Rejected(..) => (None, "nothing more is sent while their record is rejected".into()),
            _ if kind.takes_access() => (Some(kind), "if it was not done, it is sent again".into()),
            _ => (None, "if it was done, what is theirs is known again and they are treated as gone".into()),
        };
        let reason = format!("a {kind} was sent at {AT} and has no answer yet; {then}");
        Next { op, reason, at: Some(sent.since), looks_up: true, ..Next::default() }
    }

    fn planned(&self, operation: Planned, in_source: &InSource, mapped: &[Field]) -> Next {
        let gone = match in_source {
            InSource::Excluded(..) => "they are out of scope",
            _ => "they are not in the source any more",
        };
        let recognised = {
            let catalogue = self.sync.target.engine.catalogue();
            let by: Vec<&str> = (catalogue.key_field.iter().chain(&self.sync.match_fields))
                .filter(|field| mapped.iter().any(|m| m.field == **field))
                .map(String::as_str)
                .collect();
            by.join(" or ")
        };
        let account = operation.remote_id.as_ref().map(|id| self.sync.target.engine.loggable_id(id));
        let account = account.as_ref().map_or("", LoggableId::as_str);
        let mut reason = match operation.kind {
            OpKind::Create => format!("no account is recognised as theirs by {recognised}"),
            OpKind::Adopt => format!("account {account} is recognised as theirs, and not linked yet"),
            OpKind::Update => "what they should have differs from what the target acknowledged".to_string(),
            OpKind::Ban | OpKind::Delete => gone.to_string(),
            OpKind::Reinstate => "they are in scope, and their account is banned".to_string(),
            OpKind::Unlink => "an undo asks for it".to_string(),
        };
        if operation.reactivates {
            reason.push_str(", and is banned, which it then is no more");
        }
        if let Some(conflict) = operation.conflict() {
            reason.clone_from(&conflict.message);
        }
        let in_the_way = operation.conflict().is_some();
        let op = Some(operation.kind);
        Next { op, reason, at: None, in_the_way, looks_up: false, fields: operation.into_operation().fields }
    }

    fn skipped(&self, reason: &str, person: Option<&Person>) -> Next {
        if reason == SkipReason::Grace.name() {
            return self.in_grace(person);
        }
        Next { reason: self.left_alone(reason), ..Next::default() }
    }

    fn in_grace(&self, person: Option<&Person>) -> Next {
        let since = person.and_then(|p| p.absent_since);
        let grace = TimeDelta::from_std(self.sync.leave_grace).unwrap_or(TimeDelta::MAX);
        let at = since.and_then(|since| since.checked_add_signed(grace));
        let reason = match at {
            Some(_) => format!("they left, and their grace ends at {AT}"),
            None => "they left, and their grace begins with the next run".into(),
        };
        Next { reason, at, ..Next::default() }
    }

    fn left_alone(&self, reason: &str) -> String {
        let is = |skip: SkipReason| reason == skip.name();
        if is(SkipReason::Protected) {
            "they are protected".into()
        } else if is(SkipReason::InvitationPending) {
            "their invitation is not accepted yet".into()
        } else if is(SkipReason::KeylessRow) {
            "a row without a readable key was rejected, and it could be theirs".into()
        } else if is(SkipReason::Incomplete) {
            "the read was incomplete, so nobody is banned".into()
        } else if is(SkipReason::Clock) {
            "the clock shows less than at the run before, so nobody is banned".into()
        } else if is(SkipReason::RekeySuspected) {
            "they left, and a newcomer is recognised by their account: they may be one person under a new key, as the \
             newcomer's plan says"
                .into()
        } else if is(SkipReason::OnLeave) {
            "they left, and on_leave = \"ignore\"".into()
        } else if is(SkipReason::Quota) {
            "the target's daily quota is used up".into()
        } else {
            reason.to_string()
        }
    }

    /// The plans that wait and would do something to them.
    async fn held(&self, key: &Key) -> Result<Vec<HeldFor>> {
        let state = &self.runner.state;
        let mut held = Vec::new();
        for plan in state.ask(HeldPlans).await?.into_iter().filter(|p| p.sync == self.sync.name) {
            let mut pages = state.pages(PlanOperations { plan: plan.id.clone(), from: 0, limit: PAGE });
            while let Some(page) = pages.next().await? {
                held.extend(page.iter().filter(|o| o.key == *key && !o.is_step()).map(|operation| HeldFor {
                    plan: plan.id.clone(),
                    op: operation.kind,
                    limit: plan.limit.clone(),
                    count: (plan.count, plan.allowed),
                }));
            }
        }
        Ok(held)
    }
}

/// Why somebody's row was rejected by the reader.
fn rejected(intake: &Intake, key: &Key) -> Result<Option<InSource>> {
    if !intake.is_rejected(key)? {
        return Ok(None);
    }
    for page in intake.reject_pages() {
        if let Some(reject) = page?.into_iter().find(|r| r.key.as_ref() == Some(key)) {
            return Ok(Some(InSource::Rejected(reject.position, reject.reason)));
        }
    }
    Ok(None)
}

fn unchanged(in_source: &InSource, person: Option<&Person>) -> &'static str {
    let state = person.map_or(PersonState::None, |p| p.state);
    match (in_source, state) {
        (InSource::InScope(..), PersonState::Invited) => {
            "nothing is new since they were invited; what an invitation can't carry follows when they accept"
        }
        (InSource::InScope(..), _) => "the target is in step with their record",
        (_, PersonState::Banned) => "they are gone, and their account is banned already",
        (_, PersonState::Left) => "they left, and on_leave = \"ignore\"",
        (_, PersonState::Deleted) => "they are gone, and so is their account",
        (InSource::Excluded(..), _) => "they are out of scope, and no account of theirs is known",
        _ => "they are not in the source, and no account of theirs is known",
    }
}
