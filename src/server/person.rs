//! What the state knows of one person. Nobody else is asked: no request goes out because somebody looks, and the source is
//! not read. `rosterd why` does both.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::config::settings::SyncSettings;
use crate::domain::error::Result;
use crate::domain::ids::{PlanId, SyncId};
use crate::domain::json_schema::Rfc3339;
use crate::domain::label::Label;
use crate::domain::local_time::LocalTime;
use crate::domain::operation::OpKind;
use crate::domain::outcome::Outcome;
use crate::domain::planned::Planned;
use crate::domain::record::Key;
use crate::domain::remote_id::LoggableId;
use crate::domain::rules::PersonState;
use crate::domain::time;
use crate::domain::value::Attributes;
use crate::state::State;
use crate::state::binding::BoundTo;
use crate::state::bodies::{Bodies, Body, Confirmed};
use crate::state::former_keys::KeyHistory;
use crate::state::journal::UnresolvedOf;
use crate::state::looks::{HeldFor, OutcomesOfPerson};
use crate::state::people::{IsPaused, People, Person};
use crate::state::plans::HeldPlans;

/// A person, as `/api/v1/people/{sync}/{key}` and their page show them.
#[derive(Clone, Serialize, JsonSchema)]
pub(super) struct PersonView {
    /// The sync.
    pub sync: String,
    /// The person.
    pub key: Key,
    /// What they are called; with `show_values` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// What is known of their account: `active`, `banned`, `invited`, `deleted` or `left`; null where none is known.
    pub state: Option<String>,
    /// Its id on the target; where ids are addresses, a short hash of it.
    pub remote_id: Option<LoggableId>,
    /// When the target last acknowledged something of them.
    #[serde(serialize_with = "time::written::serialize_if_any")]
    #[schemars(with = "Option<Rfc3339>")]
    pub confirmed_at: Option<DateTime<Utc>>,
    /// When a trusted read of the source was first without them.
    #[serde(serialize_with = "time::written::serialize_if_any")]
    #[schemars(with = "Option<Rfc3339>")]
    pub absent_since: Option<DateTime<Utc>>,
    /// They are on the sync's `protect` list, as far as the state tells.
    pub protected: bool,
    /// The sync is paused.
    pub paused: bool,
    /// The names of the target fields that are known of them.
    pub fields: Vec<String>,
    /// What the target last acknowledged, by target field; with `show_values` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<BTreeMap<String, Value>>,
    /// What held plans would do to them.
    pub held: Vec<HeldView>,
    /// What was sent for them and has no known fate, or is on its way.
    pub open: Option<OpenOperation>,
    /// The keys that they had before.
    pub former_keys: Vec<FormerKey>,
    /// The key of whoever had this one, where it was given up and nobody has got it since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<Key>,
    /// What became of them, newest first; the latest hundred.
    pub outcomes: Vec<Outcome>,
}

/// What a held plan would do to a person.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct HeldView {
    /// The plan.
    pub plan: PlanId,
    /// What it would do.
    pub op: OpKind,
    /// The limit that holds it.
    pub limit: String,
    /// The names of the fields that it would write.
    pub fields: Vec<String>,
}

/// An operation without an answer.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct OpenOperation {
    /// What it does.
    pub op: OpKind,
    /// Since when.
    #[serde(with = "time::written")]
    #[schemars(with = "Rfc3339")]
    pub since: DateTime<Utc>,
    /// It brought no usable answer, and is looked up by the next run; otherwise it is on its way.
    pub unknown: bool,
    /// The names of the fields that it writes.
    pub fields: Vec<String>,
}

/// A key that a person had.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct FormerKey {
    /// The key.
    pub key: String,
    /// Until when they had it.
    #[serde(with = "time::written")]
    #[schemars(with = "Rfc3339")]
    pub until: DateTime<Utc>,
}

/// What belongs to the account of one person.
#[derive(Default)]
struct Known {
    person: Option<Person>,
    body: Option<Body>,
    confirmed_at: Option<DateTime<Utc>>,
    paused: bool,
    open: Option<OpenOperation>,
}

/// The outcomes that one answer has at most.
pub(super) const OUTCOMES: usize = 100;

/// Looks somebody up; nothing where neither state nor ledger knows them. The outcomes are those before `before`, together
/// with the number before which the next are, if there are more.
///
/// # Errors
/// The state fails.
pub(super) async fn look(
    state: &State,
    sync: &SyncSettings,
    key: &Key,
    before: Option<i64>,
    now: DateTime<Utc>,
    show_values: bool,
) -> Result<Option<(PersonView, Option<i64>)>> {
    let id = state.ask(BoundTo(sync.name.clone())).await?.map(|bound| bound.id);
    let Known { person, body, confirmed_at, paused, open } = match id {
        Some(id) => known(state, id, key).await?,
        None => Known::default(),
    };
    let asked = OutcomesOfPerson { sync: sync.name.clone(), key: key.clone(), before, limit: OUTCOMES + 1 };
    let mut outcomes = state.ask(asked).await?;
    let more = outcomes.len() > OUTCOMES;
    outcomes.truncate(OUTCOMES);
    let older = outcomes.last().map(|(id, _)| *id).filter(|_| more);
    let history = state.ask(KeyHistory { sync: Some(sync.name.clone()), key: key.to_string() }).await?;
    let held = held(state, sync, key).await?;
    let is_known = person.is_some() || open.is_some() || !outcomes.is_empty() || before.is_some();
    if !is_known && held.is_empty() && history.now().is_none() {
        return Ok(None);
    }
    let account = person.as_ref().map_or(PersonState::None, |person| person.state);
    let label = sync.label.of(|field| body.as_ref().and_then(|body| body.attributes.get(field)));
    let view = PersonView {
        protected: is_protected(sync, key, person.as_ref(), body.as_ref(), now),
        sync: sync.name.clone(),
        label: label.filter(|_| show_values),
        state: (account != PersonState::None).then(|| account.name().to_string()),
        remote_id: person
            .as_ref()
            .and_then(|person| person.remote_id.as_ref())
            .map(|id| sync.target.engine.loggable_id(id)),
        confirmed_at,
        absent_since: person.as_ref().and_then(|person| person.absent_since),
        paused,
        fields: body.iter().flat_map(|body| body.attributes.0.keys().cloned()).collect(),
        snapshot: body.map(|body| body.attributes.0).filter(|_| show_values),
        held,
        open,
        now: history.now().filter(|now| now != key && person.is_none()),
        former_keys: history.before.into_iter().map(|had| FormerKey { key: had.old, until: had.at }).collect(),
        outcomes: outcomes.into_iter().map(|(_, outcome)| outcome).collect(),
        key: key.clone(),
    };
    Ok(Some((view, older)))
}

async fn known(state: &State, sync: SyncId, key: &Key) -> Result<Known> {
    let keys = || vec![key.clone()];
    let unknown = state.ask(UnresolvedOf { sync, key: key.clone(), at_rest: false }).await?;
    let is_unknown = unknown.is_some();
    let open = match unknown {
        Some(found) => Some(found),
        None => state.ask(UnresolvedOf { sync, key: key.clone(), at_rest: true }).await?,
    };
    Ok(Known {
        person: state.ask(People { sync, keys: keys() }).await?.remove(key),
        body: state.ask(Bodies { sync, keys: keys() }).await?.remove(key),
        confirmed_at: state.ask(Confirmed { sync, key: key.clone() }).await?,
        paused: state.ask(IsPaused(sync)).await?,
        open: open.map(|found| OpenOperation {
            op: found.operation.kind,
            since: found.since,
            unknown: is_unknown,
            fields: names(&found.operation),
        }),
    })
}

/// The names of the fields that an operation writes.
pub(super) fn names(operation: &Planned) -> Vec<String> {
    operation.fields.keys().cloned().collect()
}

async fn held(state: &State, sync: &SyncSettings, key: &Key) -> Result<Vec<HeldView>> {
    let found = state.ask(HeldFor { sync: sync.name.clone(), key: key.clone() }).await?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let plans = state.ask(HeldPlans).await?;
    let limit = |id: &PlanId| plans.iter().find(|plan| plan.id == *id).map(|plan| plan.limit.to_string());
    let found = found.into_iter().filter(|(_, operation)| !operation.is_step());
    Ok(found
        .filter_map(|(plan, operation)| {
            Some(HeldView { limit: limit(&plan)?, plan, op: operation.kind, fields: names(&operation) })
        })
        .collect())
}

/// Whether they are protected by what the state knows: what the source says is not asked.
fn is_protected(
    sync: &SyncSettings,
    key: &Key,
    person: Option<&Person>,
    body: Option<&Body>,
    now: DateTime<Utc>,
) -> bool {
    let observed = body.and_then(|body| body.observed.as_ref());
    let values = sync.match_fields.iter().flat_map(|field| {
        [body.and_then(|body| body.attributes.get(field)), observed.and_then(|observed| observed.get(field))]
    });
    let account = person.filter(|person| person.remote_id.is_some()).map(|_| {
        let mut account: Attributes = body.map(|body| body.attributes.clone()).unwrap_or_default();
        account.0.extend(observed.into_iter().flat_map(|observed| observed.0.clone()));
        account
    });
    sync.protect.covers(key, values.flatten(), account.as_ref(), LocalTime::new(now, sync.timezone))
}
