//! `state rename-sync` and `state forget-sync`: what becomes of a sync that the configuration no longer has.

use serde_json::json;

use super::args::{Format, Printing};
use super::words::count;
use crate::config::Settings;
use crate::domain::error::{Error, Failure, Result};
use crate::domain::exit::Exit;
use crate::domain::nearest::nearest;
use crate::state::syncs::{ForgetSync, ForgottenSync, RenameSync, Renamed};
use crate::state::{self, Access, Opened, State};
use crate::terminal::out::Out;

/// `rosterd state rename-sync`.
pub async fn rename(settings: &Settings, old: &str, new: &str, printing: Printing) -> Result<Exit> {
    unconfigured_alone(settings, old, "renamed in the configuration first; its people move then")?;
    if !settings.syncs.contains_key(new) {
        let known: Vec<&str> = settings.syncs.keys().map(String::as_str).collect();
        let help = match nearest(new, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the configuration has: {}", known.join(", ")),
        };
        return Err(Failure::new(Error::Usage, format!("there is no sync {new:?} in the configuration")).help(help));
    }
    // The state must be there, and is held against other senders.
    let Opened { state, lock: _lock } = state::open_existing(&settings.state.path, Access::Send)?;
    let (people, users) = match state.ask(RenameSync { old: old.into(), new: new.into() }).await? {
        Renamed::Done { people, users } => (people, users),
        Renamed::Unknown => return Err(unknown(settings, &state, old).await?),
        Renamed::Taken { people, unresolved } => return Err(taken(old, new, people, unresolved)),
    };
    let mut out = Out::stdout();
    match printing.format {
        Format::Json => out.json(&json!({ "old": old, "new": new, "people": people, "users": users }))?,
        Format::Text => {
            let moved = count(people, "person moves", "people move");
            out.line(&format!("{moved} from {old} to {new}; {users} of them active or invited."))?;
            out.line(&format!("Nothing was sent. What the next run would do: rosterd plan {new}"))?;
        }
    }
    Ok(Exit::Ok)
}

/// `rosterd state forget-sync`.
pub async fn forget(settings: &Settings, name: &str, printing: Printing) -> Result<Exit> {
    unconfigured_alone(settings, name, "taken out of the configuration first")?;
    let opened = state::open_existing(&settings.state.path, Access::Send)?;
    let Some(forgotten) = opened.state.ask(ForgetSync(name.into())).await? else {
        return Err(unknown(settings, &opened.state, name).await?);
    };
    let scrubbed = opened.scrub();
    if let Err(error) = &scrubbed {
        tracing::warn!(%error, "erased, but old bytes may be left in the database's file until it is written anew");
    }
    let ForgottenSync { target, people, users, unresolved, outcomes, plans } = forgotten;
    let mut out = Out::stdout();
    if printing.format == Format::Json {
        out.json(&json!({
            "sync": name, "target": target, "people": people, "users": users, "unresolved": unresolved,
            "outcomes": outcomes, "plans": plans, "scrubbed": scrubbed.is_ok(),
        }))?;
        return Ok(Exit::Ok);
    }
    let (erased, stay) = (count(people, "person", "people"), count(outcomes, "row", "rows"));
    out.line(&format!("What {name} kept of {erased} is erased; {stay} of the ledger stay without them."))?;
    match users {
        0 => out.line(&format!("None of them had an active account on {target}, as far as was known."))?,
        1 => out.line(&format!("1 account stays active on {target}: it was not touched, see to it there."))?,
        _ => out.line(&format!("{users} accounts stay active on {target}: not touched, see to them there."))?,
    }
    if unresolved > 0 {
        out.line(&format!("{} never had an answer.", count(unresolved, "operation", "operations")))?;
    }
    if plans > 0 {
        out.line(&format!("{} dropped.", count(plans, "held plan was", "held plans were")))?;
    }
    out.line("Backups of the database, files of outcomes and logs are not reached from here.")?;
    Ok(Exit::Ok)
}

/// Both are for syncs that the configuration no longer has.
fn unconfigured_alone(settings: &Settings, name: &str, what: &str) -> Result<()> {
    match settings.syncs.contains_key(name) {
        false => Ok(()),
        true => Err(Failure::new(Error::Usage, format!("sync {name} is in the configuration"))
            .help(format!("a sync is {what}"))),
    }
}

async fn unknown(settings: &Settings, state: &State, name: &str) -> Result<Failure> {
    let known = crate::run::unconfigured(settings, state).await?;
    let help = match known.is_empty() {
        true => "every sync in the state is in the configuration too".to_string(),
        false => {
            let names: Vec<&str> = known.iter().map(|known| known.sync.as_str()).collect();
            format!("of those that the configuration lacks, the state has: {}", names.join(", "))
        }
    };
    Ok(Failure::new(Error::Usage, format!("the state knows no sync {name:?}")).help(help))
}

fn taken(old: &str, new: &str, people: u64, unresolved: u64) -> Failure {
    let knows = match (people, unresolved) {
        (0, n) => count(n, "operation without an answer", "operations without an answer"),
        (n, _) => count(n, "person of its own", "people of its own"),
    };
    Failure::new(Error::Usage, format!("sync {new} has {knows}: those of {old} can't be put to them")).help(format!(
        "only where {new} knows nobody, or has taken up the same accounts under the same keys, can it be {old} under \
         another name. To begin anew, give the sync in the configuration its old name for a moment, and then: rosterd \
         state forget-sync {new}"
    ))
}
