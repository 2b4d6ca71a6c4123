//! `/api/v1/…`: what `rosterd status`, `runs`, `outcomes`, `plans` and `why` tell, for programs.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State as Extract};
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::person::PersonView;
use super::plan::{Place, PlanView, Wanted};
use super::{Context, Refusal, openapi, person, plan};
use crate::domain::exit::Exit;
use crate::domain::ids::{PlanId, RunId};
use crate::domain::operation::OpKind;
use crate::domain::outcome::{Outcome, Status};
use crate::domain::record::Key;
use crate::domain::time;
use crate::report::status;
use crate::report::status::Line;
use crate::state::history::{RecentOutcomes, RecentRuns, RunRow};
use crate::state::ledger::Filter;
use crate::state::lock::Holder;
use crate::state::ownership::Unconfigured;
use crate::state::plans::{HeldPlan, HeldPlans};

/// How many rows an answer has unless asked for more.
const ROWS: usize = 100;

/// The most rows that one answer has: some hundred kilobytes.
const MOST_ROWS: usize = 1_000;

/// `?sync=…&limit=…`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RunsWanted {
    /// Of this sync alone.
    sync: Option<String>,
    /// How many at most: 1 to 1000, and 100 unless it is said.
    limit: Option<usize>,
}

/// `?sync=…&run=…&key=…&status=…&since=…&limit=…`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OutcomesWanted {
    /// Of this sync alone.
    sync: Option<String>,
    /// Of this run alone.
    run: Option<String>,
    /// Of this person alone, also under keys that they had before.
    key: Option<String>,
    /// With this status alone: ok, failed, unknown, rejected, held or skipped.
    status: Option<String>,
    /// Not before this time: RFC 3339, a date, or a span such as `2h`.
    since: Option<String>,
    /// How many at most: 1 to 1000, and 100 unless it is said.
    limit: Option<usize>,
}

/// `?op=…&after=…&limit=…`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanWanted {
    /// Operations of this kind alone: create, update, ban, reinstate, adopt, delete or unlink.
    op: Option<String>,
    /// The next page: `next` of the page before.
    after: Option<String>,
    /// How many operations at most: 1 to 1000, and 100 unless it is said.
    limit: Option<usize>,
}

/// How every sync stands.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct StatusAnswer {
    /// It is the daemon who answers.
    daemon: bool,
    /// The syncs, in the configuration's order.
    syncs: Vec<Line>,
    /// Syncs that the state knows and the configuration does not.
    unconfigured: Vec<Unconfigured>,
}

/// Runs, newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RunsAnswer {
    /// The runs.
    runs: Vec<RunRow>,
}

/// Outcomes, newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct OutcomesAnswer {
    /// The outcomes.
    outcomes: Vec<Outcome>,
}

/// What waits for approval.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PlansAnswer {
    /// The plans, by sync.
    plans: Vec<HeldPlan>,
}

/// As `rosterd status --format json`.
pub(super) async fn status(Extract(context): Extract<Context>) -> Result<Json<StatusAnswer>, Refusal> {
    let state = context.ready.state()?;
    let settings = context.live.view().settings;
    let syncs = settings.syncs.values().map(AsRef::as_ref);
    let syncs = status::lines(syncs, state, Some(Holder::Daemon), context.clock.now()).await?;
    let unconfigured = crate::run::unconfigured(&settings, state).await?;
    Ok(Json(StatusAnswer { daemon: true, syncs, unconfigured }))
}

/// Rows of `v_runs`, newest first.
pub(super) async fn runs(
    Extract(context): Extract<Context>,
    query: Result<Query<RunsWanted>, QueryRejection>,
) -> Result<Json<RunsAnswer>, Refusal> {
    let Query(wanted) = query.map_err(|e| wrong(e.body_text()))?;
    known(&context, wanted.sync.as_deref())?;
    let limit = rows(wanted.limit)?;
    let runs = context.ready.state()?.ask(RecentRuns { sync: wanted.sync, limit }).await?;
    Ok(Json(RunsAnswer { runs }))
}

/// The ledger, newest first.
pub(super) async fn outcomes(
    Extract(context): Extract<Context>,
    query: Result<Query<OutcomesWanted>, QueryRejection>,
) -> Result<Json<OutcomesAnswer>, Refusal> {
    let Query(wanted) = query.map_err(|e| wrong(e.body_text()))?;
    known(&context, wanted.sync.as_deref())?;
    let since = wanted.since.as_deref().map(|text| {
        time::since(text, context.clock.now())
            .ok_or_else(|| wrong(format!("since={text} is neither a time nor a span such as 2h")))
    });
    let filter = Filter {
        sync: wanted.sync,
        run: wanted.run.map(RunId::from),
        key: wanted.key,
        status: wanted.status.as_deref().map(status_named).transpose()?,
        since: since.transpose()?,
    };
    let outcomes = context.ready.state()?.ask(RecentOutcomes { filter, limit: rows(wanted.limit)? }).await?;
    Ok(Json(OutcomesAnswer { outcomes }))
}

/// As `rosterd plans --format json`.
pub(super) async fn plans(Extract(context): Extract<Context>) -> Result<Json<PlansAnswer>, Refusal> {
    Ok(Json(PlansAnswer { plans: context.ready.state()?.ask(HeldPlans).await? }))
}

/// A plan with a page of its operations.
pub(super) async fn plan(
    Extract(context): Extract<Context>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<PlanWanted>, QueryRejection>,
) -> Result<Json<PlanView>, Refusal> {
    let Path(id) = path.map_err(|_| nowhere())?;
    let Query(asked) = query.map_err(|e| wrong(e.body_text()))?;
    let wanted = Wanted {
        kind: asked.op.as_deref().map(kind_named).transpose()?,
        after: asked.after.as_deref().map(place_named).transpose()?,
        limit: rows(asked.limit)?,
        show_values: context.shows_values(),
    };
    let settings = context.live.view().settings;
    let found = plan::look(&settings, context.ready.state()?, &PlanId::from(id.as_str()), &wanted).await?;
    Ok(Json(found.ok_or_else(|| no_plan(&id))?.0))
}

/// What the state knows of a person.
pub(super) async fn person(
    Extract(context): Extract<Context>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<PersonView>, Refusal> {
    let Path((name, key)) = path.map_err(|_| nowhere())?;
    let settings = context.live.view().settings;
    let sync = settings.syncs.get(&name).ok_or_else(|| no_sync(&name))?;
    let who = Key::parse(&key).ok_or_else(|| nobody(&name))?;
    let (state, now) = (context.ready.state()?, context.clock.now());
    let found = person::look(state, sync, &who, None, now, context.shows_values()).await?;
    Ok(Json(found.ok_or_else(|| nobody(&name))?.0))
}

/// What all of this is, as an OpenAPI document.
pub(super) async fn description() -> Json<Value> {
    Json(openapi::document())
}

/// How many rows are meant.
fn rows(wanted: Option<usize>) -> Result<usize, Refusal> {
    match wanted.unwrap_or(ROWS) {
        limit if (1..=MOST_ROWS).contains(&limit) => Ok(limit),
        limit => Err(wrong(format!("limit={limit}: between 1 and {MOST_ROWS}"))),
    }
}

/// The status of this name.
pub(super) fn status_named(name: &str) -> Result<Status, Refusal> {
    let all = || Status::ALL.map(Status::name).join(", ");
    Status::parse(name).ok_or_else(|| wrong(format!("status={name}: statuses are {}", all())))
}

/// The kind of operation of this name.
pub(super) fn kind_named(name: &str) -> Result<OpKind, Refusal> {
    let all = || OpKind::ALL.map(OpKind::name).join(", ");
    OpKind::parse(name).ok_or_else(|| wrong(format!("op={name}: operations are {}", all())))
}

/// The place in a plan that this text spells.
pub(super) fn place_named(text: &str) -> Result<Place, Refusal> {
    Place::parse(text).ok_or_else(|| wrong(format!("after={text} is not what `next` of a page said")))
}

/// Something that was asked for makes no sense.
pub(super) fn wrong(message: String) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, Exit::Usage, message)
}

/// There is no such page.
pub(super) fn nowhere() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, Exit::Usage, "there is no such page")
}

/// There is no such sync.
pub(super) fn no_sync(name: &str) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, Exit::Usage, format!("there is no sync {name:?}"))
}

/// There is no such run.
pub(super) fn no_run(id: &str) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, Exit::Usage, format!("there is no run {id:?}"))
}

/// There is no such plan.
pub(super) fn no_plan(id: &str) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, Exit::Usage, format!("there is no plan {id:?}"))
}

/// There is no such person. What was asked for is not repeated: it may be an address.
pub(super) fn nobody(sync: &str) -> Refusal {
    let message = format!("the state of sync {sync} knows nobody by this key");
    Refusal::new(StatusCode::NOT_FOUND, Exit::Usage, message)
}

pub(super) fn known(context: &Context, sync: Option<&str>) -> Result<(), Refusal> {
    match sync.filter(|name| !context.live.view().settings.syncs.contains_key(*name)) {
        None => Ok(()),
        Some(name) => Err(no_sync(name)),
    }
}
