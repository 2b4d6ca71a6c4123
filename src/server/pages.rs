//! The pages for people: what is asked for, looked up and handed to whoever draws it ([`super::page`]).

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State as Extract};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use chrono::{DateTime, Utc};
use maud::Markup;
use schemars::JsonSchema;
use serde::Deserialize;

use super::api::{kind_named, known, no_plan, no_run, no_sync, nobody, nowhere, place_named, status_named, wrong};
use super::links::{Root, part};
use super::overview::{Overview, SyncView, the_first_concerned};
use super::page::plan::PlanPage;
use super::page::runs::{RunPage, RunsPage};
use super::page::shell::Shell;
use super::page::sync::SyncPage;
use super::page::{self, person::Found};
use super::plan::Wanted;
use super::trend::Trend;
use super::{Context, Refusal, person as look_person, plan as look_plan};
use crate::config::Settings;
use crate::domain::ids::{PlanId, RunId};
use crate::domain::limits::LimitName;
use crate::domain::record::Key;
use crate::domain::visible::visible_lines;
use crate::os::zone::{self, Zone};
use crate::state::State;
use crate::state::ledger::{Filter, NewestOutcomes, ReachOf};
use crate::state::looks::OneRun;
use crate::state::reconciled::LastReconciled;
use crate::state::runs::Runs;

/// How many runs, outcomes or operations a page has.
const ROWS: usize = 100;

/// How many runs, and how many results of a reconcile, the page of a sync has.
const RUNS_OF_SYNC: usize = 20;
const RECONCILED: usize = 10;

/// `?sync=…`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryWanted {
    /// Of this sync alone.
    sync: Option<String>,
}

/// `?sync=…&before=…`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RunsWanted {
    /// Of this sync alone.
    sync: Option<String>,
    /// Those before this run.
    before: Option<String>,
}

/// `?status=…&before=…`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OutcomesWanted {
    /// With this status alone.
    status: Option<String>,
    /// Those before the outcome of this number.
    before: Option<i64>,
}

/// `?op=…&after=…`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OperationsWanted {
    /// Operations of this kind alone.
    op: Option<String>,
    /// Those after this one.
    after: Option<String>,
}

/// `?sync=…&key=…`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PeopleWanted {
    /// In this sync alone.
    sync: Option<String>,
    /// The key of the person.
    key: Option<String>,
}

/// `?before=…`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StoryWanted {
    /// Outcomes before that of this number.
    before: Option<i64>,
}

type Asked<T> = Result<Query<T>, QueryRejection>;

/// What every page is made from.
struct Looking<'c> {
    context: &'c Context,
    state: &'c State,
    settings: std::sync::Arc<Settings>,
    now: DateTime<Utc>,
    zone: Zone,
}

impl<'c> Looking<'c> {
    fn at(context: &'c Context) -> Result<Looking<'c>, Refusal> {
        Ok(Looking {
            state: context.ready.state()?,
            settings: context.live.view().settings,
            now: context.clock.now(),
            zone: zone::local(),
            context,
        })
    }

    fn syncs(&self) -> Vec<String> {
        self.settings.syncs.keys().cloned().collect()
    }

    fn shell<'s>(&'s self, title: &'s str, root: Root) -> Shell<'s> {
        Shell { title, root, now: self.now, zone: self.zone, refresh: false }
    }

    async fn trend(&self, only: Option<&str>) -> Result<Trend, Refusal> {
        let syncs = only.map_or_else(|| self.syncs(), |sync| vec![sync.to_string()]);
        Ok(Trend::look(self.state, syncs, only, self.now, self.zone).await?)
    }
}

/// HTML's own characters are escaped where a page is drawn; what nobody would see is spelled here, wherever it is.
fn sent(page: Markup) -> Html<String> {
    Html(visible_lines(&page.into_string()).into_owned())
}

fn asked<T>(query: Asked<T>) -> Result<T, Refusal> {
    query.map(|Query(wanted)| wanted).map_err(|e| wrong(e.body_text()))
}

/// What a form sends for nothing chosen is nothing.
fn said(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}

/// `/`
pub(super) async fn front(Extract(context): Extract<Context>) -> Result<Html<String>, Refusal> {
    let looking = Looking::at(&context)?;
    let overview = Overview::look(&context.live.view(), looking.state, looking.now).await?;
    let trend = looking.trend(None).await?;
    Ok(sent(page::render(&overview, Some(&trend))))
}

/// `/history`
pub(super) async fn history(
    Extract(context): Extract<Context>,
    query: Asked<HistoryWanted>,
) -> Result<Html<String>, Refusal> {
    let wanted = said(asked(query)?.sync);
    known(&context, wanted.as_deref())?;
    let looking = Looking::at(&context)?;
    let trend = looking.trend(wanted.as_deref()).await?;
    Ok(sent(page::history::render(&looking.shell("History", Root::TOP), &looking.syncs(), wanted.as_deref(), &trend)))
}

/// `/runs`
pub(super) async fn runs(
    Extract(context): Extract<Context>,
    query: Asked<RunsWanted>,
) -> Result<Html<String>, Refusal> {
    let wanted = asked(query)?;
    let sync = said(wanted.sync);
    known(&context, sync.as_deref())?;
    let looking = Looking::at(&context)?;
    let before = match wanted.before {
        None => None,
        Some(id) => {
            let run = looking.state.ask(OneRun(id.as_str().into())).await?.ok_or_else(|| no_run(&id))?;
            Some((run.started_at, run.run))
        }
    };
    let mut runs = looking.state.ask(Runs { sync: sync.clone(), since: None, before, limit: ROWS + 1 }).await?;
    let more = runs.len() > ROWS;
    runs.truncate(ROWS);
    let page = RunsPage { syncs: looking.syncs(), sync, runs, more };
    Ok(sent(page::runs::list(&looking.shell("Runs", Root::TOP), &page)))
}

/// `/runs/{id}`
pub(super) async fn run(
    Extract(context): Extract<Context>,
    path: Result<Path<String>, PathRejection>,
    query: Asked<OutcomesWanted>,
) -> Result<Html<String>, Refusal> {
    let (Path(id), wanted) = (path.map_err(|_| nowhere())?, asked(query)?);
    let status = said(wanted.status).as_deref().map(status_named).transpose()?;
    let looking = Looking::at(&context)?;
    let run = looking.state.ask(OneRun(RunId::from(id.as_str()))).await?.ok_or_else(|| no_run(&id))?;
    let filter = Filter { run: Some(run.run.clone()), status, ..Filter::default() };
    let mut outcomes = Vec::new();
    if let Some(mut between) = looking.state.ask(ReachOf { filter: filter.clone(), newest: None }).await? {
        between.upto = wanted.before.map_or(between.upto, |before| between.upto.min(before.saturating_sub(1)));
        outcomes = looking.state.ask(NewestOutcomes { filter, between, limit: ROWS + 1 }).await?;
    }
    let more = outcomes.len() > ROWS;
    outcomes.truncate(ROWS);
    let older = outcomes.last().map(|(id, _)| *id).filter(|_| more);
    let outcomes = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
    let title = format!("Run {}", run.run);
    let page = RunPage { run, status, outcomes, older, is_first: wanted.before.is_none() };
    Ok(sent(page::runs::one(&looking.shell(&title, Root::ONE), &page)))
}

/// `/syncs/{sync}`
pub(super) async fn sync(
    Extract(context): Extract<Context>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Html<String>, Refusal> {
    let Path(name) = path.map_err(|_| nowhere())?;
    let looking = Looking::at(&context)?;
    let sync = looking.settings.syncs.get(&name).ok_or_else(|| no_sync(&name))?;
    let view = context.live.view();
    let about = SyncView::look(&view, looking.state, std::slice::from_ref(&name), looking.now).await?;
    let about = about.into_iter().next().ok_or_else(|| no_sync(&name))?;
    let runs = Runs { sync: Some(name.clone()), since: None, before: None, limit: RUNS_OF_SYNC };
    let page = SyncPage {
        about,
        target: sync.target.name.clone(),
        runs: looking.state.ask(runs).await?,
        reconciled: looking.state.ask(LastReconciled { sync: name.clone(), limit: RECONCILED }).await?,
        trend: looking.trend(Some(&name)).await?,
    };
    Ok(sent(page::sync::render(&looking.shell(&name, Root::ONE), &page)))
}

/// `/plans/{id}`
pub(super) async fn plan(
    Extract(context): Extract<Context>,
    path: Result<Path<String>, PathRejection>,
    query: Asked<OperationsWanted>,
) -> Result<Html<String>, Refusal> {
    let (Path(id), asked) = (path.map_err(|_| nowhere())?, asked(query)?);
    let (op, after) = (said(asked.op), said(asked.after));
    let show_values = context.shows_values();
    let wanted = Wanted {
        kind: op.as_deref().map(kind_named).transpose()?,
        after: after.as_deref().map(place_named).transpose()?,
        limit: ROWS,
        show_values,
    };
    let looking = Looking::at(&context)?;
    let found = look_plan::look(&looking.settings, looking.state, &PlanId::from(id.as_str()), &wanted).await?;
    let (view, plan) = found.ok_or_else(|| no_plan(&id))?;
    // Where the kind of an operation does not tell whether the limit is about it, those are told apart.
    let concerned = match plan.limit {
        LimitName::Clear(_) | LimitName::Rekey if wanted.after.is_none() && wanted.kind.is_none() => {
            let sync = looking.settings.syncs.get(&plan.sync);
            let (label, is_address) =
                (sync.map(|sync| &sync.label), sync.map(|sync| sync.target.engine.id_is_address()));
            let label = label.filter(|_| show_values);
            let first = the_first_concerned(looking.state, &plan, ROWS).await?;
            first.iter().map(|operation| look_plan::one(operation, label, is_address, show_values)).collect()
        }
        _ => Vec::new(),
    };
    let title = format!("Plan {id}");
    let page = PlanPage {
        kinds: look_plan::kinds(&plan),
        origin: look_plan::origin(&plan),
        kind: wanted.kind,
        is_first: wanted.after.is_none(),
        view,
        concerned,
    };
    Ok(sent(page::plan::render(&looking.shell(&title, Root::ONE), &page)))
}

/// `/people`
pub(super) async fn people(
    Extract(context): Extract<Context>,
    query: Asked<PeopleWanted>,
) -> Result<Response, Refusal> {
    let wanted = asked(query)?;
    let (sync, text) = (said(wanted.sync), said(wanted.key));
    known(&context, sync.as_deref())?;
    let looking = Looking::at(&context)?;
    let key = text.as_deref().and_then(Key::parse);
    let mut found = Vec::new();
    if let Some(key) = &key {
        let named = |name: &&String| sync.as_ref().is_none_or(|sync| sync == *name);
        for name in looking.settings.syncs.keys().filter(named) {
            let Some(settings) = looking.settings.syncs.get(name) else { continue };
            if let Some((view, _)) =
                look_person::look(looking.state, settings, key, None, looking.now, context.shows_values()).await?
            {
                found.push(Found { sync: name.clone(), state: view.state, label: view.label });
            }
        }
    }
    if let ([only], Some(key)) = (found.as_slice(), &key) {
        let there = format!("people/{}/{}", part(&only.sync), part(key.as_str()));
        return Ok((StatusCode::SEE_OTHER, [(header::LOCATION, there)]).into_response());
    }
    let status = if text.is_some() && found.is_empty() { StatusCode::NOT_FOUND } else { StatusCode::OK };
    let shell = looking.shell("People", Root::TOP);
    let page = page::person::search(&shell, &looking.syncs(), sync.as_deref(), text.as_deref(), &found);
    Ok((status, sent(page)).into_response())
}

/// `/people/{sync}/{key}`
pub(super) async fn person(
    Extract(context): Extract<Context>,
    path: Result<Path<(String, String)>, PathRejection>,
    query: Asked<StoryWanted>,
) -> Result<Html<String>, Refusal> {
    let (Path((name, key)), wanted) = (path.map_err(|_| nowhere())?, asked(query)?);
    let looking = Looking::at(&context)?;
    let sync = looking.settings.syncs.get(&name).ok_or_else(|| no_sync(&name))?;
    let who = Key::parse(&key).ok_or_else(|| nobody(&name))?;
    let show_values = looking.context.shows_values();
    let found = look_person::look(looking.state, sync, &who, wanted.before, looking.now, show_values).await?;
    let (view, older) = found.ok_or_else(|| nobody(&name))?;
    let shell = looking.shell(who.as_str(), Root::TWO);
    Ok(sent(page::person::render(&shell, &view, &sync.target.name, older, wanted.before.is_none())))
}
