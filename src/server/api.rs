//! `/api/v1/…`: what `rosterd status` and `rosterd outcomes` tell, for programs.

use axum::Json;
use axum::extract::{Query, State as Extract};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Context, Refusal};
use crate::domain::exit::Exit;
use crate::domain::ids::RunId;
use crate::domain::outcome::Status;
use crate::domain::time;
use crate::report::status;
use crate::state::history::{RecentOutcomes, RecentRuns};
use crate::state::ledger::Filter;
use crate::state::lock::Holder;

/// How many rows an answer has unless asked for more.
const ROWS: usize = 100;

/// The most rows that one answer has: some hundred kilobytes.
const MOST_ROWS: usize = 1_000;

/// `?sync=…&limit=…`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunsWanted {
    sync: Option<String>,
    limit: Option<usize>,
}

/// `?sync=…&run=…&key=…&status=…&since=…&limit=…`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OutcomesWanted {
    sync: Option<String>,
    run: Option<String>,
    key: Option<String>,
    status: Option<String>,
    since: Option<String>,
    limit: Option<usize>,
}

/// As `rosterd status --format json`.
pub(super) async fn status(Extract(context): Extract<Context>) -> Result<Json<Value>, Refusal> {
    let state = context.ready.state()?;
    let settings = context.live.view().settings;
    let syncs = settings.syncs.values().map(AsRef::as_ref);
    let lines = status::lines(syncs, state, Some(Holder::Daemon), context.clock.now()).await?;
    let unconfigured = crate::run::unconfigured(&settings, state).await?;
    Ok(Json(json!({ "daemon": true, "syncs": lines, "unconfigured": unconfigured })))
}

/// Rows of `v_runs`, newest first.
pub(super) async fn runs(
    Extract(context): Extract<Context>,
    query: Result<Query<RunsWanted>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, Refusal> {
    let Query(wanted) = query.map_err(|e| wrong(e.body_text()))?;
    known(&context, wanted.sync.as_deref())?;
    let limit = rows(wanted.limit)?;
    let runs = context.ready.state()?.ask(RecentRuns { sync: wanted.sync, limit }).await?;
    Ok(Json(json!({ "runs": runs })))
}

/// The ledger, newest first.
pub(super) async fn outcomes(
    Extract(context): Extract<Context>,
    query: Result<Query<OutcomesWanted>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, Refusal> {
    let Query(wanted) = query.map_err(|e| wrong(e.body_text()))?;
    known(&context, wanted.sync.as_deref())?;
    let status = wanted.status.as_deref().map(|name| {
        Status::parse(name)
            .ok_or_else(|| wrong(format!("status={name}: statuses are {}", Status::ALL.map(Status::name).join(", "))))
    });
    let since = wanted.since.as_deref().map(|text| {
        time::since(text, context.clock.now())
            .ok_or_else(|| wrong(format!("since={text} is neither a time nor a span such as 2h")))
    });
    let filter = Filter {
        sync: wanted.sync,
        run: wanted.run.map(RunId::from),
        key: wanted.key,
        status: status.transpose()?,
        since: since.transpose()?,
    };
    let outcomes = context.ready.state()?.ask(RecentOutcomes { filter, limit: rows(wanted.limit)? }).await?;
    Ok(Json(json!({ "outcomes": outcomes })))
}

fn rows(wanted: Option<usize>) -> Result<usize, Refusal> {
    match wanted.unwrap_or(ROWS) {
        limit if (1..=MOST_ROWS).contains(&limit) => Ok(limit),
        limit => Err(wrong(format!("limit={limit}: between 1 and {MOST_ROWS}"))),
    }
}

fn wrong(message: String) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, Exit::Usage, message)
}

fn known(context: &Context, sync: Option<&str>) -> Result<(), Refusal> {
    match sync.filter(|name| !context.live.view().settings.syncs.contains_key(*name)) {
        None => Ok(()),
        Some(name) => Err(Refusal::new(StatusCode::NOT_FOUND, Exit::Usage, format!("there is no sync {name:?}"))),
    }
}
