//! `pause`, `resume`, `rekey`: what an operator tells a sync by hand.

use serde_json::json;

use super::args::{Format, Printing};
use super::out::Out;
use crate::config::Settings;
use crate::exit::{Exit, Failure, Result};
use crate::record::Key;
use crate::run::{binding, chosen};
use crate::state::lock::SenderLock;
use crate::state::people::{BindSync, FindSync, SetPaused};
use crate::state::rekey::{Rekey, Rekeyed};
use crate::state::{Access, State};
use crate::time::Clock;

/// `rosterd pause` and `rosterd resume`. Works beside a process that is sending.
pub async fn pause(settings: &Settings, sync: &str, pause: bool, printing: Printing) -> Result<Exit> {
    let syncs = chosen(settings, &[sync.to_string()])?;
    let state = State::open(&settings.state.path, Access::Write)?;
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

/// `rosterd rekey`. Takes the sender's lock: nobody's key may change while something is sent for them.
pub async fn rekey(settings: &Settings, sync: &str, keys: (&str, &str), printing: Printing) -> Result<Exit> {
    let parse = |text: &str| Key::parse(text).ok_or_else(|| Failure::new(Exit::Usage, "a key can't be blank"));
    let (old, new) = (parse(keys.0)?, parse(keys.1)?);
    let syncs = chosen(settings, &[sync.to_string()])?;
    let _lock = SenderLock::take(&settings.state.path)?;
    let state = State::open(&settings.state.path, Access::Write)?;
    let unknown = || {
        Failure::new(Exit::Usage, format!("sync {sync} knows nobody with the key {old}"))
            .help("keys are case-sensitive; see who is known: rosterd outcomes --sync SYNC")
    };
    for settings in &syncs {
        let known = state.ask(FindSync(binding(settings))).await?;
        let id = known.id.ok_or_else(unknown)?;
        match state.ask(Rekey { sync: id, old: old.clone(), new: new.clone() }).await? {
            Rekeyed::Done => {}
            Rekeyed::Unknown => return Err(unknown()),
            Rekeyed::Unresolved => {
                return Err(Failure::new(Exit::Partial, format!("an operation on {old} or {new} has no answer yet"))
                    .help(format!("resolve it first: rosterd sync {sync} --only {old} --only {new}")));
            }
            Rekeyed::Taken => {
                return Err(Failure::new(
                    Exit::Usage,
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
