//! `plans`, `plans show`, `discard`: what waits for somebody's decision.

use serde_json::json;

use super::approver::who;
use super::args::{Format, PlansCommand, Printing};
use super::sections::Sections;
use super::words;
use crate::config::Settings;
use crate::domain::error::{Error, Failure, Result};
use crate::domain::exit::Exit;
use crate::domain::ids::PlanId;
use crate::domain::label::{Label, LabelFields};
use crate::domain::limits::Breach;
use crate::domain::planned::PlannedView;
use crate::domain::time;
use crate::os::clock::Clock;
use crate::os::zone;
use crate::run::{spent, stale_because};
use crate::state::ledger::{RunTotals, TotalsOf};
use crate::state::plan_history::{Added, LastApproved};
use crate::state::plans::{DecidePlan, FindPlan, HeldPlan, HeldPlans, PlanOperations, PlanStatus};
use crate::state::{self, Access, State};
use crate::terminal::out::{Comma, Out};

/// How many operations are in memory at once.
const PAGE: usize = 500;

/// How many people are named by whom a plan has grown.
const NAMED: usize = 5;

/// `rosterd plans [show ID]`.
pub async fn command(settings: &Settings, show: Option<PlansCommand>, printing: Printing, all: bool) -> Result<Exit> {
    let state = state::open(&settings.state.path, Access::Read)?.state;
    match show {
        None => list(settings, &state, printing).await,
        Some(PlansCommand::Show { id, printing }) => one(settings, &state, &id, printing, all).await,
    }
}

async fn list(settings: &Settings, state: &State, printing: Printing) -> Result<Exit> {
    let mut plans = state.ask(HeldPlans).await?;
    for plan in &mut plans {
        plan.stale = stale(settings, plan);
    }
    let mut out = Out::stdout();
    if printing.format == Format::Json {
        out.json(&json!({ "plans": plans }))?;
        return Ok(Exit::Ok);
    }
    if plans.is_empty() {
        out.line("No plan is held.")?;
    }
    for plan in &plans {
        heading(&mut out, plan)?;
        out.line(&format!("  look at it:  rosterd plans show {}", plan.id))?;
        release(&mut out, plan)?;
        out.line(&format!("  drop it:     rosterd discard {}", plan.id))?;
    }
    Ok(Exit::Ok)
}

/// Why it could not be approved as things stand.
fn stale(settings: &Settings, plan: &HeldPlan) -> Option<String> {
    settings.syncs.get(&plan.sync).map_or_else(|| plan.stale.clone(), |sync| stale_because(sync, plan))
}

/// How to have it sent, unless it can't be approved any more.
fn release(out: &mut Out, plan: &HeldPlan) -> Result<()> {
    match &plan.stale {
        None => out.line(&format!("  release it:  rosterd approve {} --reason \"…\"", plan.id)),
        Some(why) => {
            out.line(&format!("  {}", out.style.warn(&format!("stale: it can't be approved any more: {why}"))))?;
            out.line(&format!("  make it anew: rosterd sync {}", plan.sync))
        }
    }
}

fn heading(out: &mut Out, plan: &HeldPlan) -> Result<()> {
    let age = (Clock::system().now() - plan.made_at).num_seconds().max(0);
    let counts: Vec<_> = plan.counts.iter().map(|(op, n)| format!("{n} {op}")).collect();
    let breach = Breach { limit: plan.limit.clone(), count: plan.count, allowed: plan.allowed };
    out.line(&format!(
        "{}  {}: {}{}, waiting for {}",
        out.style.strong(plan.id.as_str()),
        plan.sync,
        counts.join(", "),
        if plan.partial { " of named people" } else { "" },
        time::spoken(age.unsigned_abs())
    ))?;
    out.line(&format!("  {}", out.style.warn(&breach.sentence(&[]))))?;
    if plan.apart {
        out.line("  Bans alone wait, with what can't be done before them; everything else was sent.")?;
    }
    Ok(())
}

/// By whom a plan has grown since the one whose place it took.
async fn grown(out: &mut Out, state: &State, plan: &HeldPlan, label: &LabelFields) -> Result<()> {
    let Some(before) = &plan.replaced else { return Ok(()) };
    let (added, first) = state.ask(Added { plan: plan.id.clone(), limit: NAMED }).await?;
    let waits = format!("a plan of {} has waited since {}", plan.sync, zone::told(plan.waiting_since));
    if added == 0 {
        return out.line(&format!("  It took the place of plan {before}, and has nobody new; {waits}."));
    }
    let who: Vec<Label> = first.iter().map(|operation| label.person(operation)).collect();
    let more = if added > who.len() as u64 { ", …" } else { "" };
    out.line(&format!(
        "  It has grown by {} since plan {before}: {}{more}; {waits}.",
        words::count(added, "operation", "operations"),
        words::listed(&who)
    ))
}

async fn find(state: &State, id: &PlanId) -> Result<(HeldPlan, PlanStatus)> {
    let found = state.ask(FindPlan(id.clone())).await?;
    found.ok_or_else(|| Failure::new(Error::Usage, format!("there is no plan {id}")).help("see: rosterd plans"))
}

async fn one(settings: &Settings, state: &State, id: &PlanId, printing: Printing, all: bool) -> Result<Exit> {
    let (mut plan, status) = find(state, id).await?;
    if status != PlanStatus::Held {
        return Err(spent(id, status));
    }
    plan.stale = stale(settings, &plan);
    let mut out = Out::stdout();
    let json = printing.format == Format::Json;
    let label = settings.syncs.get(&plan.sync).map(|s| s.label.clone()).unwrap_or_default();
    let breach = Breach { limit: plan.limit.clone(), count: plan.count, allowed: plan.allowed };
    let approved = state.ask(LastApproved(plan.sync.clone())).await?;
    let mut sections = Sections::new(all, &label).about(&breach, approved);
    match json {
        true => {
            let (totals, (added, _)) =
                (state.ask(TotalsOf(id.clone())).await?, state.ask(Added { plan: id.clone(), limit: 0 }).await?);
            out.piece(&head_json(&plan, &totals, added))?;
        }
        false => {
            heading(&mut out, &plan)?;
            grown(&mut out, state, &plan, &label).await?;
        }
    }
    let mut comma = Comma::default();
    let mut pages = state.pages(PlanOperations { plan: id.clone(), from: 0, limit: PAGE });
    while let Some(page) = pages.next().await? {
        for operation in page.into_iter().filter(|o| !o.is_step()) {
            match json {
                true => {
                    let called = label.of_operation(&operation);
                    comma.write(&mut out, &PlannedView::from(operation).labelled(called))?;
                }
                false => sections.add(&operation),
            }
        }
    }
    match json {
        true => {
            out.piece("]}")?;
            out.verbatim("\n")?;
        }
        false => {
            sections.print(&mut out)?;
            let all = words::count(plan.counts.values().sum(), "operation", "operations");
            out.section(&format!("  {all} in all."))?;
            release(&mut out, &plan)?;
        }
    }
    Ok(Exit::Ok)
}

/// Everything before the operations: an element of `plan`'s `syncs`, with the plan's id.
fn head_json(plan: &HeldPlan, totals: &RunTotals, added: u64) -> String {
    let mut head = json!({
        "id": plan.id, "sync": plan.sync, "plan": plan.id, "made_at": time::rfc3339(plan.made_at), "counts": plan.counts,
        "held": { "limit": plan.limit, "count": plan.count, "allowed": plan.allowed },
        "source_records": totals.source_records, "excluded": totals.excluded, "unchanged": totals.unchanged,
        "skipped": [], "rejected": [], "unresolved": [], "error": null,
    });
    if plan.apart {
        head["held"]["apart"] = json!(true);
    }
    if let Some(before) = &plan.replaced {
        head["replaced"] = json!(before);
        head["added"] = json!(added);
        head["waiting_since"] = json!(time::rfc3339(plan.waiting_since));
    }
    let head = head.to_string();
    format!("{},\"operations\":[", head.strip_suffix('}').unwrap_or(&head))
}

/// `rosterd discard`.
pub async fn discard(settings: &Settings, id: &PlanId, printing: Printing) -> Result<Exit> {
    let state = state::open(&settings.state.path, Access::Write)?.state;
    let (plan, status) = find(&state, id).await?;
    let decision = DecidePlan {
        id: id.clone(),
        status: PlanStatus::Discarded,
        at: Clock::system().stamp(),
        by: who(),
        reason: None,
    };
    if status != PlanStatus::Held || !state.ask(decision).await? {
        return Err(spent(id, status));
    }
    let mut out = Out::stdout();
    match printing.format {
        Format::Json => out.json(&json!({ "discarded": id, "sync": plan.sync }))?,
        Format::Text => {
            out.line(&format!("Plan {id} of {} is dropped; nothing was sent.", plan.sync))?;
            out.line("As long as the source says the same, the next run plans the same and holds it again.")?;
        }
    }
    Ok(Exit::Ok)
}
