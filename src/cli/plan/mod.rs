//! `plan`: what would change, for people and as JSON. Nothing is written anywhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::args::{Format, Printing, Scope};
use super::read_only::{ReadOnlyAccess, look};
use crate::config::Settings;
use crate::config::settings::SyncSettings;
use crate::delivery::RunObserver;
use crate::domain::error::{Failure, Result};
use crate::domain::exit::Exit;
use crate::domain::label::Label;
use crate::domain::limits::{self, Breach, Measured};
use crate::domain::outcome::Outcome;
use crate::domain::record::Key;
use crate::failpoints;
use crate::os::clock::Clock;
use crate::os::panics;
use crate::plan::Plan;
use crate::report::labels;
use crate::run::{
    Announcements, Purpose, Read, RunError, Runner, binding, chosen, known_somewhere, make_plan, read_sources_quietly,
};
use crate::state::State;
use crate::state::people::FindSync;
use crate::terminal::out::{Comma, Out};

mod text;

/// Nobody watches a plan.
struct Nobody;

impl RunObserver for Nobody {
    fn begin(&self, _: &str, _: u64) {}
    fn outcome(&self, _: &Outcome) {}
}

/// `rosterd plan`.
pub async fn command(
    settings: Arc<Settings>,
    scope: &Scope,
    on: Option<NaiveDate>,
    detailed: bool,
    all: bool,
    printing: Printing,
) -> Result<Exit> {
    let syncs = chosen(&settings, &scope.syncs)?;
    let only = super::keys(&scope.only)?;
    let ReadOnlyAccess { state, clients } = look(&settings, syncs.iter().map(|sync| &*sync.target))?;
    let runner = Runner {
        clients,
        state,
        settings: Arc::clone(&settings),
        clock: Clock::system(),
        stop: CancellationToken::new(),
        observer: Arc::new(Nobody),
        resident: false,
        announcements: Announcements::default(),
    };
    let readings = read_sources_quietly(
        &settings,
        &syncs,
        &runner.state,
        &runner.clock,
        Purpose::Plan { only: &only, if_changed: false, on },
    )
    .await?;
    known_somewhere(&only, &readings, &runner.state).await?;
    let mut out = Out::stdout();
    let mut exit = Exit::Ok;
    let json = printing.format == Format::Json;
    let mut first = true;
    if json {
        out.piece("{\"syncs\":[")?;
    }
    for (read, syncs) in readings {
        for sync in syncs {
            let made = match &read {
                Ok(read) => panics::caught_in(one(&runner, &sync, read, &only)).await,
                Err(failure) => Err(failure.again()),
            };
            if json && !first {
                out.piece(",")?;
            }
            first = false;
            let shown = Shown { sync: &sync, state: &runner.state, on, all };
            exit = exit.worse(shown.show(&mut out, made, detailed, json).await?);
        }
    }
    if json {
        out.piece("]}")?;
        out.verbatim("\n")?;
    }
    Ok(exit)
}

async fn one(
    runner: &Runner,
    sync: &Arc<SyncSettings>,
    read: &Read,
    only: &std::collections::BTreeSet<crate::domain::record::Key>,
) -> Result<Plan> {
    failpoints::panic_in("sync", &sync.name);
    let known = runner.state.ask(FindSync(binding(sync))).await?;
    let client = runner.clients.of(&sync.target)?;
    let plan = make_plan(runner, sync, &client, read, known, only).await;
    client.rest().await;
    let plan = plan?;
    crate::run::too_many_rejected(sync, &plan)?;
    Ok(plan)
}

/// What is shown of a plan, and how.
struct Shown<'a> {
    sync: &'a SyncSettings,
    state: &'a State,
    /// The date that it was taken to be.
    on: Option<NaiveDate>,
    all: bool,
}

impl Shown<'_> {
    async fn show(&self, out: &mut Out, made: Result<Plan>, detailed: bool, json: bool) -> Result<Exit> {
        match made {
            Err(failure) => {
                match json {
                    true => out.piece(&failed_json(&self.sync.name, &failure).to_string())?,
                    false => failed_text(out, &self.sync.name, &failure)?,
                }
                Ok(failure.error.into())
            }
            Ok(plan) => {
                let held = limits::exceeded(plan.tally(), &self.sync.limits);
                match json {
                    true => self.json(out, &plan, held.as_ref()).await?,
                    false => self.text(out, &plan, held.as_ref()).await?,
                }
                Ok(match (held, plan.total()) {
                    (Some(_), _) => Exit::Held,
                    (None, n) if n > 0 && detailed => Exit::Differences,
                    _ => Exit::Ok,
                })
            }
        }
    }

    /// What these people are called, as far as the state knows them.
    async fn labels<'k>(&self, plan: &Plan, keys: impl IntoIterator<Item = &'k Key>) -> Result<BTreeMap<Key, Label>> {
        labels::of_people(self.state, plan.sync, &self.sync.label, keys).await
    }

    /// One element of `syncs`, written piece by piece: it may be longer than memory.
    async fn json(&self, out: &mut Out, plan: &Plan, held: Option<&Breach>) -> Result<()> {
        let mut head = json!({
            "sync": self.sync.name, "plan": plan.id, "source_records": plan.source_records, "excluded": plan.excluded,
            "unchanged": plan.unchanged, "unresolved": plan.unresolved, "error": null, "counts": plan.counts,
            "held": held,
        });
        if let Some(date) = self.on {
            head["on"] = json!(date);
        }
        if held.is_some_and(|held| limits::holds_bans_alone(plan.tally(), &self.sync.limits, held)) {
            head["held"]["apart"] = json!(true);
        }
        let head = head.to_string();
        out.piece(head.strip_suffix('}').unwrap_or(&head))?;
        out.piece(",\"skipped\":[")?;
        let mut comma = Comma::default();
        for page in plan.skip_pages() {
            let page = page?;
            let called = self.labels(plan, page.iter().map(|(key, _)| key)).await?;
            for (key, reason) in &page {
                comma.write(out, &labelled(json!({ "key": key, "reason": reason }), called.get(key)))?;
            }
        }
        out.piece("],\"rejected\":[")?;
        let mut comma = Comma::default();
        for page in plan.reject_pages() {
            for (_, reject) in &page? {
                let position = reject.position.to_string();
                comma.write(out, &json!({ "key": reject.key, "position": position, "reason": reject.reason }))?;
            }
        }
        out.piece("],\"operations\":[")?;
        let mut comma = Comma::default();
        for page in plan.view_pages() {
            for operation in page?.iter().filter(|o| !o.is_step()) {
                comma.write(out, operation)?;
            }
        }
        out.piece("]}")
    }
}

/// The same with what the person is called, if that is known.
fn labelled(mut told: Value, label: Option<&Label>) -> Value {
    if let Some(label) = label {
        told["label"] = json!(label);
    }
    told
}

fn failed_json(sync: &str, failure: &Failure) -> Value {
    json!({
        "sync": sync, "plan": null, "source_records": 0, "excluded": 0, "unchanged": 0, "skipped": [],
        "rejected": [], "unresolved": [], "error": RunError::from(failure), "counts": {}, "held": null,
        "operations": [],
    })
}

fn failed_text(out: &mut Out, sync: &str, failure: &Failure) -> Result<()> {
    let style = out.style;
    out.line(&format!("{}: {}", style.strong(sync), style.bad("no plan")))?;
    out.line(&format!("  {}: {}", style.bad("error"), failure.chain()))?;
    match &failure.help {
        Some(help) => out.line(&format!("   {}: {help}", style.strong("help"))),
        None => Ok(()),
    }
}
