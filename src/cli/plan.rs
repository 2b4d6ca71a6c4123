//! `plan`: what would change, for people and as JSON. Nothing is written anywhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::args::{Format, Printing, Scope};
use super::read_only::{ReadOnlyAccess, look};
use super::words;
use crate::config::Settings;
use crate::config::settings::SyncSettings;
use crate::delivery::RunObserver;
use crate::domain::error::{Failure, Result};
use crate::domain::exit::Exit;
use crate::domain::limits::{Breach, LimitName, Measured, breach};
use crate::domain::operation::OpKind;
use crate::domain::outcome::Outcome;
use crate::domain::planned::Planned;
use crate::domain::visible::padded;
use crate::failpoints;
use crate::os::clock::Clock;
use crate::os::panics;
use crate::plan::{PAGE, Plan};
use crate::run::{
    Announcements, Purpose, Read, RunError, Runner, binding, chosen, known_somewhere, make_plan, read_sources_quietly,
};
use crate::state::people::FindSync;
use crate::terminal::out::{Comma, Out};

/// How many operations of a kind are printed unless everything is asked for with `-v`.
const SHOWN: usize = 20;

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
            exit = exit.worse(show(&mut out, &sync, made, detailed, all, json)?);
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

fn show(out: &mut Out, sync: &SyncSettings, made: Result<Plan>, detailed: bool, all: bool, json: bool) -> Result<Exit> {
    match made {
        Err(failure) => {
            match json {
                true => out.piece(&failed_json(&sync.name, &failure).to_string())?,
                false => failed_text(out, &sync.name, &failure)?,
            }
            Ok(failure.error.into())
        }
        Ok(plan) => {
            let held = breach(plan.tally(), &sync.limits);
            match json {
                true => plan_json(out, sync, &plan, held.as_ref())?,
                false => plan_text(out, sync, &plan, held.as_ref(), all)?,
            }
            Ok(match (held, plan.total()) {
                (Some(_), _) => Exit::Held,
                (None, n) if n > 0 && detailed => Exit::Differences,
                _ => Exit::Ok,
            })
        }
    }
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

/// One element of `syncs`, written piece by piece: it may be longer than memory.
fn plan_json(out: &mut Out, sync: &SyncSettings, plan: &Plan, held: Option<&Breach>) -> Result<()> {
    let head = json!({
        "sync": sync.name, "plan": plan.id, "source_records": plan.source_records, "excluded": plan.excluded,
        "unchanged": plan.unchanged, "unresolved": plan.unresolved, "error": null, "counts": plan.counts,
        "held": held,
    })
    .to_string();
    out.piece(head.trim_end_matches('}'))?;
    out.piece(",\"skipped\":[")?;
    let mut comma = Comma::default();
    for page in plan.skip_pages() {
        for (key, reason) in &page? {
            comma.write(out, &json!({ "key": key, "reason": reason }))?;
        }
    }
    out.piece("],\"rejected\":[")?;
    let mut comma = Comma::default();
    rejected(plan, |reject| {
        let position = reject.position.to_string();
        comma.write(out, &json!({ "key": reject.key, "position": position, "reason": reject.reason }))
    })?;
    out.piece("],\"operations\":[")?;
    let mut comma = Comma::default();
    for page in plan.view_pages() {
        for operation in page?.iter().filter(|o| !o.is_step()) {
            comma.write(out, operation)?;
        }
    }
    out.piece("]}")
}

/// Visits the rejected records, in the source's order.
fn rejected(plan: &Plan, mut visit: impl FnMut(&crate::domain::record::Reject) -> Result<()>) -> Result<()> {
    plan.reject_pages().try_for_each(|page| page?.iter().try_for_each(|(_, reject)| visit(reject)))
}

fn plan_text(out: &mut Out, sync: &SyncSettings, plan: &Plan, held: Option<&Breach>, all: bool) -> Result<()> {
    let style = out.style;
    out.line(&format!(
        "{}: {} → {}  {}",
        style.strong(&sync.name),
        sync.source.name,
        sync.target.name,
        style.faint(&format!("plan {}", plan.id))
    ))?;
    out.line(&format!(
        "  {} read: {} unchanged, {} out of scope.",
        words::count(plan.source_records, "record", "records"),
        plan.unchanged,
        plan.excluded
    ))?;
    let mut sections = Sections::new(all, &sync.match_fields);
    plan.for_each(|operation| sections.add(operation))?;
    sections.print(out, &plan.counts)?;
    bystanders(out, plan, all)?;
    for shared in &plan.shared {
        out.section(&format!("  {}", style.warn(&format!("{shared}: none of them is created"))))?;
    }
    match held {
        Some(breach) => {
            let named = if breach.limit == LimitName::Rekey { plan.reformatted.as_slice() } else { &[] };
            out.section(&format!("  {}", style.warn(&format!("It would be {}.", breach.sentence(named)))))?;
            out.line(&format!("  rosterd sync {} holds it for approval.", sync.name))
        }
        None if plan.total() == 0 && plan.unresolved.is_empty() && plan.rejected == 0 => {
            out.section("  Nothing to do: the target is in step.")
        }
        None if plan.total() == 0 => out.section("  Nothing else to do."),
        None => out.section(&format!(
            "  {}. Nothing has been sent; rosterd sync {} sends it.",
            words::count(plan.total(), "operation", "operations"),
            sync.name
        )),
    }
}

/// The first operations of each kind, collected in one pass.
pub struct Sections {
    most: usize,
    who: Vec<String>,
    lines: BTreeMap<OpKind, Vec<String>>,
}

impl Sections {
    /// The first [`SHOWN`] of each kind, or all of them; `who` are the fields by which people know a newcomer.
    pub fn new(all: bool, who: &[String]) -> Self {
        Sections { most: if all { usize::MAX } else { SHOWN }, who: who.to_vec(), lines: BTreeMap::new() }
    }

    /// One more operation.
    pub fn add(&mut self, operation: &Planned) {
        if operation.is_step() {
            return;
        }
        let lines = self.lines.entry(operation.kind).or_default();
        if lines.len() < self.most {
            lines.push(words::operation(operation, &self.who, self.most == usize::MAX));
        }
    }

    /// Prints a section for each kind.
    pub fn print(&self, out: &mut Out, counts: &BTreeMap<OpKind, u64>) -> Result<()> {
        for (kind, lines) in &self.lines {
            let total = counts.get(kind).copied().unwrap_or(0);
            let heading = format!("{} {total}", words::heading(*kind));
            let heading = if kind.takes_access() { out.style.warn(&heading) } else { out.style.strong(&heading) };
            out.section(&format!("  {heading}"))?;
            for line in lines {
                out.line(&format!("    {line}"))?;
            }
            more(out, total, lines.len())?;
        }
        Ok(())
    }
}

/// How many of so many are not shown.
fn more(out: &mut Out, of: u64, shown: usize) -> Result<()> {
    match of.saturating_sub(shown as u64) {
        0 => Ok(()),
        more => out.line(&out.style.faint(&format!("    … and {more} more (-v shows all)"))),
    }
}

/// Those for whom nothing is sent, and why.
fn bystanders(out: &mut Out, plan: &Plan, all: bool) -> Result<()> {
    let most = if all { usize::MAX } else { SHOWN };
    if plan.rejected > 0 {
        out.section(&format!(
            "  {}",
            out.style.warn(&format!("Rejected {}: nothing is done to these people", plan.rejected))
        ))?;
        let mut shown = 0;
        rejected(plan, |reject| {
            shown += 1;
            if shown > most {
                return Ok(());
            }
            let key = reject.key.as_ref().map_or("(no key)", |k| k.as_str());
            out.line(&format!("    {}  {}: {}", padded(key, 10), reject.position, reject.reason))
        })?;
        more(out, plan.rejected, most)?;
    }
    if plan.skipped > 0 {
        out.section(&format!("  {}", out.style.strong(&format!("Skipped {}", plan.skipped))))?;
        let mut left = most;
        for page in plan.skip_pages().take(most.div_ceil(PAGE)) {
            for (key, reason) in page?.iter().take(left) {
                out.line(&format!("    {}  {reason}", padded(key.as_str(), 10)))?;
                left -= 1;
            }
        }
        more(out, plan.skipped, most)?;
    }
    if !plan.unresolved.is_empty() {
        let heading = format!(
            "Unresolved {}: sent, and without an answer so far; looked up first by the next run",
            plan.unresolved.len()
        );
        out.section(&format!("  {}", out.style.warn(&heading)))?;
        for key in plan.unresolved.iter().take(most) {
            out.line(&format!("    {key}"))?;
        }
    }
    Ok(())
}
