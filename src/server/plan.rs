//! A plan and its operations, a page at a time, those that its limit is about first.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::config::Settings;
use crate::domain::error::Result;
use crate::domain::ids::PlanId;
use crate::domain::json_schema::Rfc3339;
use crate::domain::label::{Label, LabelFields};
use crate::domain::limits::LimitName;
use crate::domain::operation::OpKind;
use crate::domain::planned::Planned;
use crate::domain::record::Key;
use crate::domain::remote_id::LoggableId;
use crate::domain::time;
use crate::run::stale_because;
use crate::state::State;
use crate::state::ledger::{RunTotals, TotalsOf};
use crate::state::looks::{DecisionAbout, OperationsOfKind, PlanPlace};
use crate::state::plans::{FindPlan, HeldPlan, Origin, PlanStatus};

/// A plan, as `/api/v1/plans/{id}` and its page show it: an element of `rosterd plan`'s `syncs` with what became of it.
#[derive(Clone, Serialize, JsonSchema)]
pub(super) struct PlanView {
    /// Its id: a hash of the sync and the operations.
    pub id: PlanId,
    /// The same, as `rosterd plan` has it.
    pub plan: PlanId,
    /// The sync.
    pub sync: String,
    /// When it was first held.
    #[serde(with = "time::written")]
    #[schemars(with = "Rfc3339")]
    pub made_at: DateTime<Utc>,
    /// Since when a plan of the sync has waited, whose place others took.
    #[serde(with = "time::written")]
    #[schemars(with = "Rfc3339")]
    pub waiting_since: DateTime<Utc>,
    /// `held`, `sent`, `discarded` or `superseded`. The operations of one that was discarded or superseded are not kept.
    pub status: String,
    /// Where it comes from: `sync`, `undo RUN`, `reconcile …`.
    pub origin: String,
    /// What held it.
    pub held: HeldBy,
    /// Operations by kind.
    pub counts: BTreeMap<OpKind, u64>,
    /// Good records in the source when it was made.
    pub source_records: u64,
    /// Of those, out of scope.
    pub excluded: u64,
    /// Of those, unchanged.
    pub unchanged: u64,
    /// The plan whose place it took.
    pub replaced: Option<PlanId>,
    /// Why it can't be approved any more, if it can't.
    pub stale: Option<String>,
    /// Who decided about it.
    pub decision: Option<DecisionView>,
    /// The operations of this page: those that the limit is about first, of each kind in the order of keys.
    pub operations: Vec<OperationView>,
    /// What `after` has to be for the next page; null where this is the last.
    pub next: Option<String>,
}

/// What holds a plan.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct HeldBy {
    /// The limit.
    pub limit: String,
    /// How many there are.
    pub count: u64,
    /// How many are allowed.
    pub allowed: u64,
    /// Bans and deletes alone are held; everything else of the plan was sent.
    pub apart: bool,
}

/// What somebody decided about a plan.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct DecisionView {
    /// When.
    #[serde(with = "time::written")]
    #[schemars(with = "Rfc3339")]
    pub at: DateTime<Utc>,
    /// Who.
    pub by: Option<String>,
    /// What they said.
    pub reason: Option<String>,
}

/// An operation of a plan.
#[derive(Clone, Serialize, JsonSchema)]
pub(super) struct OperationView {
    /// What it does.
    pub op: OpKind,
    /// The person.
    pub key: Key,
    /// What they are called; with `show_values` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// The id of the account; where ids are addresses, a short hash of it.
    pub remote_id: Option<LoggableId>,
    /// What it writes.
    pub fields: Fields,
    /// What one should know before one agrees to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Why it can't be done although it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflict: Option<String>,
}

/// The fields that an operation writes: their names, and with `show_values` their old and new values.
#[derive(Clone, Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Fields {
    /// The names.
    Names(Vec<String>),
    /// What they hold and what they should hold; null is empty.
    Changes(BTreeMap<String, ChangeView>),
}

/// A field's change.
#[derive(Clone, Serialize, JsonSchema)]
pub(super) struct ChangeView {
    /// What the target is believed to hold.
    pub old: Value,
    /// What it should hold.
    pub new: Value,
}

/// Where the next page begins: after this operation of this kind. In links and answers it is one text, `ban.12.E7`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    kind: OpKind,
    after: PlanPlace,
}

impl Place {
    /// The place that this text spells.
    pub fn parse(text: &str) -> Option<Place> {
        let (kind, rest) = text.split_once('.')?;
        let (seq, key) = rest.split_once('.')?;
        let seq: u64 = seq.parse().ok().filter(|seq| i64::try_from(*seq).is_ok())?;
        Some(Place { kind: OpKind::parse(kind)?, after: (key.to_string(), seq) })
    }

    fn spelled(&self) -> String {
        format!("{}.{}.{}", self.kind, self.after.1, self.after.0)
    }
}

/// The page that is asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// Operations of this kind alone.
    pub kind: Option<OpKind>,
    /// After this one.
    pub after: Option<Place>,
    /// How many at most.
    pub limit: usize,
    /// Whether values of people may be shown.
    pub show_values: bool,
}

/// Looks a plan up; nothing where there is none of this id.
///
/// # Errors
/// The state fails.
pub(super) async fn look(
    settings: &Settings,
    state: &State,
    id: &PlanId,
    wanted: &Wanted,
) -> Result<Option<(PlanView, HeldPlan)>> {
    let Some((plan, status)) = state.ask(FindPlan(id.clone())).await? else { return Ok(None) };
    let sync = settings.syncs.get(&plan.sync);
    let stale = match (status, sync) {
        (PlanStatus::Held, Some(sync)) => stale_because(sync, &plan),
        (PlanStatus::Held, None) => plan.stale.clone(),
        _ => None,
    };
    let (operations, next) = operations(state, &plan, wanted).await?;
    let label = sync.map(|sync| &sync.label).filter(|_| wanted.show_values);
    let is_address = sync.map(|sync| sync.target.engine.id_is_address());
    let RunTotals { source_records, excluded, unchanged } = state.ask(TotalsOf(id.clone())).await?;
    let decision = state.ask(DecisionAbout(id.clone())).await?;
    let view = PlanView {
        id: plan.id.clone(),
        plan: plan.id.clone(),
        sync: plan.sync.clone(),
        made_at: plan.made_at,
        waiting_since: plan.waiting_since,
        status: status.name().into(),
        origin: plan.origin.spelled(),
        held: HeldBy { limit: plan.limit.to_string(), count: plan.count, allowed: plan.allowed, apart: plan.apart },
        counts: plan.counts.clone(),
        source_records,
        excluded,
        unchanged,
        replaced: plan.replaced.clone(),
        stale,
        decision: decision.map(|told| DecisionView { at: told.at, by: told.by, reason: told.reason }),
        operations: operations.iter().map(|operation| one(operation, label, is_address, wanted.show_values)).collect(),
        next: next.map(|place| place.spelled()),
    };
    Ok(Some((view, plan)))
}

/// An operation as it may be shown.
pub(super) fn one(
    operation: &Planned,
    label: Option<&LabelFields>,
    is_address: Option<bool>,
    show_values: bool,
) -> OperationView {
    let shown = |(field, change): (&String, &crate::domain::operation::Change)| {
        (field.clone(), ChangeView { old: change.old.clone(), new: change.new.clone() })
    };
    OperationView {
        op: operation.kind,
        key: operation.key.clone(),
        label: label.and_then(|label| label.of_operation(operation)),
        remote_id: operation.remote_id.as_ref().map(|id| match is_address {
            Some(is_address) => id.loggable(is_address),
            None => id.loggable_by_look(),
        }),
        fields: match show_values {
            true => Fields::Changes(operation.fields.iter().map(shown).collect()),
            false => Fields::Names(super::person::names(operation)),
        },
        hint: operation.hint.clone(),
        conflict: operation.conflict().map(|why| why.message.clone()),
    }
}

/// The kinds of operation in a plan, those that its limit is about first.
pub(super) fn kinds(plan: &HeldPlan) -> Vec<OpKind> {
    let mut kinds: Vec<OpKind> = plan.counts.iter().filter(|(_, n)| **n > 0).map(|(kind, _)| *kind).collect();
    kinds.sort_by_key(|kind| !is_about(&plan.limit, *kind));
    kinds
}

/// Whether the limit that holds a plan is about operations of this kind.
fn is_about(limit: &LimitName, kind: OpKind) -> bool {
    match limit {
        LimitName::Create | LimitName::Rekey => kind == OpKind::Create,
        LimitName::Update | LimitName::Clear(_) => kind == OpKind::Update,
        LimitName::Ban | LimitName::BanPerDay | LimitName::BanAll => kind.takes_access(),
        LimitName::Reinstate | LimitName::Flap => kind == OpKind::Reinstate,
        LimitName::Adopt => kind == OpKind::Adopt,
        LimitName::Undo => true,
    }
}

/// The operations of a page, and where the next one begins.
async fn operations(state: &State, plan: &HeldPlan, wanted: &Wanted) -> Result<(Vec<Planned>, Option<Place>)> {
    let (mut found, mut last) = (Vec::new(), None);
    let all = kinds(plan);
    let kinds = all.iter().filter(|kind| wanted.kind.is_none_or(|wanted| wanted == **kind));
    let from = wanted.after.as_ref();
    for kind in kinds.skip_while(|kind| from.is_some_and(|from| all.contains(&from.kind) && from.kind != **kind)) {
        let mut after = from.filter(|from| from.kind == *kind).map(|from| from.after.clone());
        loop {
            let left = wanted.limit + 1 - found.len();
            let asked = OperationsOfKind { plan: plan.id.clone(), kind: *kind, after: after.clone(), limit: left };
            let page = state.ask(asked).await?;
            let ended = page.len() < left;
            for (seq, operation) in page {
                let place = (operation.key.to_string(), seq);
                after = Some(place.clone());
                if operation.is_step() {
                    continue;
                }
                if found.len() == wanted.limit {
                    return Ok((found, last));
                }
                last = Some(Place { kind: *kind, after: place });
                found.push(operation);
            }
            if ended {
                break;
            }
        }
    }
    Ok((found, None))
}

/// Where a plan comes from, in words.
pub(super) fn origin(plan: &HeldPlan) -> Option<String> {
    match &plan.origin {
        Origin::Sync => None,
        other => Some(other.spelled()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_back_whatever_stands_in_the_key() {
        for key in ["E7", "a.b.c", "", "é /%"] {
            let place = Place { kind: OpKind::Ban, after: (key.into(), 12) };
            assert_eq!(Place::parse(&place.spelled()), Some(place));
        }
        for text in ["", "ban", "ban.12", "frob.12.E7", "ban.x.E7", "ban.99999999999999999999.E7"] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }
}
