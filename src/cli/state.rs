//! `state info`, `verify`, `backup`, `restore` and `prune`: looking after the database. What concerns a whole sync
//! has its page in `syncs`.

use std::path::Path;

use serde_json::json;

use super::args::{Format, Printing, StateCommand};
use super::syncs;
use super::words::count;
use crate::config::Settings;
use crate::daemon::prune_request;
use crate::domain::error::{Error, Failure, Result};
use crate::domain::exit::Exit;
use crate::domain::time::rfc3339;
use crate::domain::units::Span;
use crate::os::clock::Clock;
use crate::os::zone;
use crate::state::lock::SenderLock;
use crate::state::prune::Pruned;
use crate::state::sqlite::RestoredState;
use crate::state::{self, Access, backup, info, restore, verify};
use crate::terminal::out::Out;

/// `rosterd state …`.
pub async fn command(settings: &Settings, command: StateCommand, printing: Printing) -> Result<Exit> {
    match command {
        StateCommand::Info => show(settings, printing),
        StateCommand::Verify => check(settings, printing),
        StateCommand::Backup { file } => copy(settings, &file, printing),
        StateCommand::Restore { file } => put_back(settings, &file, printing),
        StateCommand::Prune { older_than } => prune(settings, older_than, printing).await,
        StateCommand::RenameSync { old, new } => syncs::rename(settings, &old, &new, printing).await,
        StateCommand::ForgetSync { name } => syncs::forget(settings, &name, printing).await,
    }
}

fn show(settings: &Settings, printing: Printing) -> Result<Exit> {
    let info = info(&settings.state.path)?;
    let mut out = Out::stdout();
    if printing.format == Format::Json {
        out.json(&info)?;
        return Ok(Exit::Ok);
    }
    out.line(&format!("path      {}", info.path.display()))?;
    out.line(&format!("schema    {}", info.schema))?;
    out.line(&format!("sqlite    {}", info.sqlite))?;
    out.line(&format!("size      {} kB", info.bytes.div_ceil(1000)))?;
    out.line(&format!("users     {}", info.users))?;
    out.line(&format!("outcomes  {}", info.outcomes))?;
    Ok(Exit::Ok)
}

fn check(settings: &Settings, printing: Printing) -> Result<Exit> {
    let findings = verify(&settings.state.path)?;
    if !findings.is_empty() {
        return Err(Failure::new(Error::Defect, format!("the state database is damaged: {}", findings.join("; ")))
            .help("stop whatever sends, and restore a backup"));
    }
    let mut out = Out::stdout();
    match printing.format {
        Format::Json => out.json(&json!({ "ok": true }))?,
        Format::Text => out.line(&format!("{} is sound.", settings.state.path.display()))?,
    }
    Ok(Exit::Ok)
}

fn copy(settings: &Settings, file: &Path, printing: Printing) -> Result<Exit> {
    let bytes = backup(&settings.state.path, file, Clock::system().stamp())?;
    let mut out = Out::stdout();
    match printing.format {
        Format::Json => out.json(&json!({ "path": file, "bytes": bytes }))?,
        Format::Text => {
            out.line(&format!("{} holds everything up to now ({} kB).", file.display(), bytes.div_ceil(1000)))?;
        }
    }
    Ok(Exit::Ok)
}

fn put_back(settings: &Settings, file: &Path, printing: Printing) -> Result<Exit> {
    let path = &settings.state.path;
    let _lock = SenderLock::take(path)?;
    let stamp = Clock::system().now().format("%Y%m%dT%H%M%SZ").to_string();
    let RestoredState { users, backup_at, kept } = restore(path, file, &stamp)?;
    let mut out = Out::stdout();
    if printing.format == Format::Json {
        out.json(
            &json!({ "path": path, "from": file, "users": users, "backup_at": backup_at.map(rfc3339), "kept": kept }),
        )?;
        return Ok(Exit::Ok);
    }
    let of = backup_at.map_or_else(String::new, |at| format!(" of {}", zone::told(at)));
    let users = count(users.unsigned_abs(), "person", "people");
    out.line(&format!("{} is the backup {}{of} now, with {users}.", path.display(), file.display()))?;
    if let Some(kept) = kept {
        out.line(&format!("The database that was there is {}; remove it when you don't need it.", kept.display()))?;
    }
    out.line("The next run of each sync compares every account with its target before it sends anything.")?;
    Ok(Exit::Ok)
}

/// Works beside a process that sends: it goes in small steps.
async fn prune(settings: &Settings, older_than: Span, printing: Printing) -> Result<Exit> {
    let state = state::open_existing(&settings.state.path, Access::Write)?.state;
    let request = prune_request(settings, older_than.0, Clock::system().now());
    let mut total = Pruned::default();
    loop {
        let step = state.ask(request.clone()).await?;
        total.outcomes += step.outcomes;
        total.runs += step.runs;
        total.plans += step.plans;
        if !step.more {
            break;
        }
    }
    let mut out = Out::stdout();
    match printing.format {
        Format::Json => out.json(&total)?,
        Format::Text => out.line(&format!(
            "Forgot {}, {}, {} older than {older_than}. What is known of people was not touched.",
            count(total.outcomes, "outcome", "outcomes"),
            count(total.runs, "run", "runs"),
            count(total.plans, "plan", "plans")
        ))?,
    }
    Ok(Exit::Ok)
}
