//! `pause`, `resume`, `rekey`: what an operator tells a sync by hand.

use std::sync::Arc;

use serde_json::json;

use super::args::{Format, Printing};
use crate::config::Settings;
use crate::config::settings::SyncSettings;
use crate::domain::error::{Error, Failure, Result, SourceReason, TargetReason};
use crate::domain::exit::Exit;
use crate::domain::local_time::LocalTime;
use crate::domain::record::Key;
use crate::os::clock::Clock;
use crate::plan::scope::{Presence, presence};
use crate::run::{Purpose, binding, chosen, read_sources_quietly};
use crate::state::people::{BindSync, FindSync, SetPaused};
use crate::state::rekey::{Rekey, Rekeyed};
use crate::state::{self, Access, Opened, State};
use crate::terminal::out::Out;

/// `rosterd pause` and `rosterd resume`. Works beside a process that is sending.
pub async fn pause(settings: &Settings, sync: &str, pause: bool, printing: Printing) -> Result<Exit> {
    let syncs = chosen(settings, &[sync.to_string()])?;
    let state = state::open(&settings.state.path, Access::Write)?.state;
    for sync in &syncs {
        state.ask(FindSync(binding(sync))).await?;
        let id = state.ask(BindSync(binding(sync))).await?;
        let changed = state.ask(SetPaused { sync: id, since: pause.then(|| Clock::system().stamp()) }).await?;
        let mut out = Out::stdout();
        match (printing.format, pause, changed) {
            (Format::Json, ..) => out.json(&json!({ "sync": sync.name, "paused": pause }))?,
            (_, true, true) => out.line(&format!("{0} is paused; go on with rosterd resume {0}", sync.name))?,
            (_, true, false) => out.line(&format!("{} was paused already.", sync.name))?,
            (_, false, true) => out.line(&format!("{} may run again.", sync.name))?,
            (_, false, false) => out.line(&format!("{} was not paused.", sync.name))?,
        }
    }
    Ok(Exit::Ok)
}

/// Refuses to give somebody a new key while their old one is in the source and in scope: then there are two people.
///
/// # Errors
/// They are in scope (64); the source can't be read, or isn't trusted (its code).
async fn gone(settings: &Settings, state: &State, sync: &Arc<SyncSettings>, old: &Key, new: &Key) -> Result<()> {
    let clock = Clock::system();
    let untold = |why: &str| format!("whether {old} is still in scope can't be told: {why}");
    let readings =
        read_sources_quietly(settings, std::slice::from_ref(sync), state, &clock, Purpose::Everything).await?;
    for (read, _) in readings {
        let read = read.map_err(|failure| {
            let help = failure.help.clone().unwrap_or_default();
            Failure::new(failure.error, untold(&failure.chain())).help(help)
        })?;
        let time = LocalTime::new(clock.now(), sync.timezone);
        let found = presence(&read.intake, &sync.mapping, old, time)?;
        let name = &sync.name;
        match (found, read.incomplete) {
            (Presence::InScope, _) => {
                return Err(Failure::new(
                    Error::Usage,
                    format!("{old} is in the source of sync {name} and in scope: {old} and {new} are two people there"),
                )
                .help(
                    "rekey is for a key that HR has replaced, when the old one is gone from the source or out of scope",
                ));
            }
            (Presence::Rejected, _) => {
                return Err(Failure::new(Error::Usage, untold("their record is rejected"))
                    .help(format!("mend it first; see: rosterd why {name} {old}")));
            }
            (Presence::Absent, Some(why)) => {
                return Err(Failure::new(Error::Source(SourceReason::Untrusted), untold(&why)));
            }
            (Presence::Absent | Presence::Excluded, _) => {}
        }
    }
    Ok(())
}

/// `rosterd rekey`. Takes the sender's lock: nobody's key may change while something is sent for them. Reads the source,
/// to see that the old key is out of scope.
pub async fn rekey(config: &Settings, sync: &str, keys: (&str, &str), printing: Printing) -> Result<Exit> {
    let parse = |text: &str| Key::parse(text).ok_or_else(|| Failure::new(Error::Usage, "a key can't be blank"));
    let (old, new) = (parse(keys.0)?, parse(keys.1)?);
    let syncs = chosen(config, &[sync.to_string()])?;
    let Opened { state, lock: _lock } = state::open(&config.state.path, Access::Send)?;
    let unknown = || {
        Failure::new(Error::Usage, format!("sync {sync} knows nobody with the key {old}"))
            .help("keys are case-sensitive; see who is known: rosterd outcomes --sync SYNC")
    };
    for settings in &syncs {
        let known = state.ask(FindSync(binding(settings))).await?;
        let id = known.id.ok_or_else(unknown)?;
        gone(config, &state, settings, &old, &new).await?;
        match state.ask(Rekey { sync: id, old: old.clone(), new: new.clone(), at: Clock::system().stamp() }).await? {
            Rekeyed::Done => {}
            Rekeyed::Unknown => return Err(unknown()),
            Rekeyed::Unresolved => {
                return Err(Failure::new(
                    Error::Target(TargetReason::Unanswered),
                    format!("an operation on {old} or {new} has no answer yet"),
                )
                .help(format!("resolve it first: rosterd sync {sync} --only {old} --only {new}")));
            }
            Rekeyed::Taken => {
                return Err(Failure::new(
                    Error::Usage,
                    format!("the key {new} has an account of its own in sync {sync}"),
                )
                .help("two accounts of one person are put together on the target, not here"));
            }
        }
        let mut out = Out::stdout();
        match printing.format {
            Format::Json => out.json(&json!({ "sync": settings.name, "old": old, "new": new }))?,
            Format::Text => out.line(&format!(
                "{old} is {new} now; the account stays the same. See what follows: rosterd plan {} --only {new}",
                settings.name
            ))?,
        }
    }
    Ok(Exit::Ok)
}
