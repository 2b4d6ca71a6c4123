//! `forget`: erases what is kept of a person, and says what the targets still have.

use serde_json::json;

use super::args::{Format, Printing};
use super::words;
use crate::config::Settings;
use crate::domain::error::{Error, Failure, Result, TargetReason};
use crate::domain::exit::Exit;
use crate::domain::record::Key;
use crate::run::chosen;
use crate::state::binding::BoundTo;
use crate::state::forget::{Forget, Forgotten};
use crate::state::people::People;
use crate::state::{self, Access, State};
use crate::terminal::out::Out;

/// `rosterd forget`. Works beside a process that is sending; somebody about whom it is sending is refused.
pub async fn command(settings: &Settings, sync: &str, key: &str, printing: Printing) -> Result<Exit> {
    let key = Key::parse(key).ok_or_else(|| Failure::new(Error::Usage, "a key can't be blank"))?;
    chosen(settings, &[sync.to_string()])?;
    let opened = state::open(&settings.state.path, Access::Write)?;
    let state = &opened.state;
    let unknown = || {
        Failure::new(Error::Usage, format!("sync {sync} keeps nothing of anybody with the key {key}"))
            .help("keys are case-sensitive; find somebody's: rosterd why SYNC ADDRESS")
    };
    let bound = state.ask(BoundTo(sync.to_string())).await?.ok_or_else(unknown)?;
    let forget = Forget { sync: bound.id, name: sync.to_string(), key: key.clone() };
    let (account, outcomes, plans) = match state.ask(forget).await? {
        Forgotten::Done { account, outcomes, plans } => (account, outcomes, plans),
        Forgotten::Unknown => return Err(unknown()),
        Forgotten::HasAnother(now) => {
            return Err(Failure::new(Error::Usage, format!("whoever had the key {key} in sync {sync} has {now} now"))
                .help(format!("what is kept under both goes with: rosterd forget {sync} {now}")));
        }
        Forgotten::Unresolved => {
            return Err(Failure::new(
                Error::Target(TargetReason::Unanswered),
                format!("an operation on {key} has no answer yet"),
            )
            .help(format!("resolve it first: rosterd sync {sync} --only {key}")));
        }
    };
    let others = others(settings, state, sync, &key).await?;
    let scrubbed = opened.scrub();
    if let Err(error) = &scrubbed {
        tracing::warn!(%error, "erased, but old bytes may be left in the database's file until it is written anew");
    }
    let target = &bound.binding.target;
    let mut out = Out::stdout();
    if printing.format == Format::Json {
        let accounts: Vec<_> =
            account.iter().map(|(id, was)| json!({ "target": target, "remote_id": id, "state": was.name() })).collect();
        out.json(&json!({
            "sync": sync, "key": key, "outcomes": outcomes, "plans": plans, "still_there": accounts,
            "other_syncs": others, "scrubbed": scrubbed.is_ok(),
        }))?;
        return Ok(Exit::Ok);
    }
    let stay = words::count(outcomes, "row of the ledger stays", "rows of the ledger stay");
    out.line(&format!("What {sync} kept of {key} is erased; {stay} without them."))?;
    match &account {
        Some((id, was)) => out.line(&format!(
            "{target} still has account {}, {} as far as was known. It was not touched: see to it there.",
            id.as_str(),
            was.name()
        ))?,
        None => out.line(&format!("No account of theirs on {target} was known."))?,
    }
    for plan in &plans {
        out.line(&format!("Plan {plan} was about them, among others, and is dropped: the next run makes it anew."))?;
    }
    for other in &others {
        out.line(&format!("Sync {other} knows the same key: rosterd forget {other} {key}"))?;
    }
    out.line("As long as the source has them, the next run takes them up again: have them removed there first.")?;
    out.line("Backups of the database, files of outcomes and logs are not reached from here.")?;
    Ok(Exit::Ok)
}

/// Other syncs that know this key.
async fn others(settings: &Settings, state: &State, sync: &str, key: &Key) -> Result<Vec<String>> {
    let mut others = Vec::new();
    for name in settings.syncs.keys().filter(|name| *name != sync) {
        if let Some(bound) = state.ask(BoundTo(name.clone())).await?
            && !state.ask(People { sync: bound.id, keys: vec![key.clone()] }).await?.is_empty()
        {
            others.push(name.clone());
        }
    }
    Ok(others)
}
