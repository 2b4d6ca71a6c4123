//! `status`: how each sync stands, on one screen.

use std::sync::Arc;

use super::args::{Format, Printing};
use crate::config::Settings;
use crate::domain::error::Result;
use crate::domain::exit::Exit;
use crate::domain::time;
use crate::os::clock::Clock;
use crate::os::zone;
use crate::report::status::{Line, StalePlan, lines};
use crate::run::chosen;
use crate::run::unconfigured;
use crate::state::lock::Holder;
use crate::state::ownership::Unconfigured;
use crate::state::{self, Access};
use crate::terminal::out::Out;

/// `rosterd status`.
pub async fn command(settings: &Arc<Settings>, syncs: &[String], printing: Printing) -> Result<Exit> {
    let syncs = chosen(settings, syncs)?;
    let state = state::open(&settings.state.path, Access::Read)?.state;
    let sender = state.sender();
    let daemon = sender == Some(Holder::Daemon);
    let lines = lines(syncs.iter().map(Arc::as_ref), &state, sender, Clock::system().now()).await?;
    let unconfigured = unconfigured(settings, &state).await?;
    let mut out = Out::stdout();
    match printing.format {
        Format::Json => out.json(&serde_json::json!({
            "daemon": daemon, "syncs": lines, "unconfigured": unconfigured,
        }))?,
        Format::Text => {
            lines.iter().try_for_each(|line| text(&mut out, line, daemon))?;
            unconfigured.iter().try_for_each(|known| forsaken(&mut out, known))?;
        }
    }
    Ok(Exit::Ok)
}

/// A sync that the configuration no longer has.
pub(super) fn forsaken(out: &mut Out, known: &Unconfigured) -> Result<()> {
    let Unconfigured { sync, users } = known;
    out.line(&format!("{}: {}", out.style.strong(sync), out.style.warn("not in the configuration")))?;
    let users = super::words::count(*users, "user", "users");
    out.line(&format!("  still known     {users}, whom nobody keeps in step"))?;
    out.line(&format!("  renamed?        rosterd state rename-sync {sync} NEW"))?;
    out.line(&format!("  gone for good?  rosterd state forget-sync {sync}"))
}

fn text(out: &mut Out, line: &Line, daemon: bool) -> Result<()> {
    let style = out.style;
    let state = match line.state {
        "ok" => style.good("ok"),
        "partial" | "held" | "paused" | "running" | "never" => style.warn(line.state),
        other => style.bad(other),
    };
    out.line(&format!("{}: {state}", style.strong(&line.sync)))?;
    let Some(last) = &line.last_run else {
        return out.line(&format!(
            "  has never run; is everything there? rosterd check --connect, rosterd plan {}",
            line.sync
        ));
    };
    out.line(&format!("  last run       {}", zone::told(*last)))?;
    match (&line.last_good_run, line.age_seconds) {
        (Some(at), Some(age)) => {
            out.line(&format!("  last good run  {}, {} ago", zone::told(*at), time::spoken(age)))?
        }
        _ => out.line("  last good run  never")?,
    }
    match line.next_run.map(zone::told) {
        Some(next) if daemon => out.line(&format!("  next run       {next}"))?,
        Some(next) => {
            out.line(&format!("  next run       {next} by its schedule, but no daemon is running to keep it"))?
        }
        None => {}
    }
    if let Some(reason) = &line.reason {
        // What is told of a run in which nothing went wrong is no reason for anything.
        let label = if line.state == "ok" { "note" } else { "why" };
        out.line(&format!("  {label:<13}  {reason}"))?;
    }
    match line.state {
        "partial" => out.line(&format!("  what is left   rosterd outcomes --sync {}", line.sync))?,
        "paused" => out.line(&format!("  paused         until rosterd resume {}", line.sync))?,
        _ => {}
    }
    if let Some(plan) = &line.held_plan {
        out.line(&format!("  held plan      {plan}: look at it with rosterd plans show {plan}"))?;
    }
    if let Some(StalePlan { plan, why }) = &line.stale_plan {
        out.line(&format!("  stale plan     {plan} can't be approved any more: {why}"))?;
        out.line(&format!(
            "                 make it anew with rosterd sync {}, or drop it: rosterd discard {plan}",
            line.sync
        ))?;
    }
    if line.unresolved > 0 {
        out.line(&format!("  unresolved     {}: looked up first by the next run", line.unresolved))?;
    }
    Ok(())
}
