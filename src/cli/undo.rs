//! `undo`: makes the inverse of a run and holds it for approval.

use std::sync::Arc;

use serde_json::json;

use super::args::{Format, Printing};
use super::progress::Progress;
use super::sections::Sections;
use super::words;
use crate::config::Settings;
use crate::domain::error::Result;
use crate::domain::exit::Exit;
use crate::domain::ids::RunId;
use crate::domain::keyset::{pages, text_of};
use crate::domain::record::Key;
use crate::domain::visible::padded;
use crate::plan::{PAGE, Plan};
use crate::run::Undoing;
use crate::state::{self, Access};
use crate::terminal::out::Out;

/// How many people for whom something is left are named unless everything is asked for with `-v`.
const SHOWN: usize = 20;

/// `rosterd undo`.
pub async fn command(settings: Arc<Settings>, run: &RunId, all: bool, printing: Printing) -> Result<Exit> {
    let progress = Arc::new(Progress::new(None, true)?);
    let state = state::open(&settings.state.path, Access::Write)?.state;
    let runner = super::sync::runner(Arc::clone(&settings), state, &progress)?;
    let undoing = runner.plan_undo(run).await?;
    let held = (undoing.plan.total() > 0).then_some(&undoing.plan.id);
    let mut out = Out::stdout();
    match printing.format {
        Format::Json => {
            let mut result = json!({ "plan": held });
            let mut left = Vec::new();
            each_left(&undoing.plan, |key, why| {
                left.push(json!({ "key": key, "reason": why }));
                Ok(())
            })?;
            if !left.is_empty() {
                result["left"] = json!(left);
            }
            out.json(&result)?;
        }
        Format::Text => text(&mut out, &settings, run, &undoing, all)?,
    }
    Ok(Exit::Ok)
}

fn text(out: &mut Out, settings: &Settings, run: &RunId, undoing: &Undoing, all: bool) -> Result<()> {
    let plan = &undoing.plan;
    let sync = &undoing.sync;
    out.line(&format!("{}: the inverse of run {run}", out.style.strong(sync)))?;
    let label = settings.syncs.get(sync).map(|s| s.label.clone()).unwrap_or_default();
    let mut sections = Sections::new(all, &label);
    plan.for_each(|operation| sections.add(operation))?;
    sections.print(out)?;
    let mut lines = Vec::new();
    let mut total = 0u64;
    each_left(plan, |key, why| {
        total += 1;
        if all || lines.len() < SHOWN {
            lines.push(format!("    {}  {why}", padded(key.as_str(), 10)));
        }
        Ok(())
    })?;
    if total > 0 {
        out.section(&format!("  {}", out.style.warn(&format!("Left as it is {total}"))))?;
        lines.iter().try_for_each(|line| out.line(line))?;
        if total > lines.len() as u64 {
            out.line(&out.style.faint(&format!("    … and {} more (-v shows all)", total - lines.len() as u64)))?;
        }
    }
    if undoing.forgotten > 0 {
        let many = words::count(undoing.forgotten, "operation of that run is", "operations of that run are");
        out.section(&format!("  {many} not known any more: what they replaced was not kept, or has been pruned."))?;
    }
    if plan.total() == 0 {
        return out.section("  There is nothing to take back.");
    }
    out.section(&format!(
        "  {} held for approval, and nothing sent.",
        words::count(plan.total(), "operation is", "operations are")
    ))?;
    out.line(&format!("  release it:  rosterd approve {} --reason \"…\"", plan.id))?;
    out.line(&format!("  Approving it pauses {sync}, since its next run would do the same again."))
}

/// Visits those for whom something is left as it is, in the order of keys.
fn each_left(plan: &Plan, mut visit: impl FnMut(&Key, &str) -> Result<()>) -> Result<()> {
    let remarks = |after: Option<&Key>| plan.spool().remarks(text_of(after), PAGE);
    let mut pages = pages(remarks, |(key, _)| key.clone());
    pages.try_for_each(|page| page?.iter().try_for_each(|(key, why)| visit(key, why)))
}
