//! `accept`: the way past a genuine shrink.

use serde_json::json;

use super::args::{Format, Printing};
use super::words;
use crate::config::Settings;
use crate::domain::error::{Error, Failure, Result};
use crate::domain::exit::Exit;
use crate::domain::nearest::nearest;
use crate::domain::time::rfc3339;
use crate::os::clock::Clock;
use crate::os::zone;
use crate::run::{Accepted, accept};
use crate::state::sources::ACCEPTED_FOR;
use crate::state::{self, Access};
use crate::terminal::out::Out;

/// `rosterd accept`. Works beside a process that is sending.
pub async fn command(settings: &Settings, name: &str, printing: Printing) -> Result<Exit> {
    let source = settings.sources.get(name).ok_or_else(|| unknown(settings, name))?;
    let state = state::open(&settings.state.path, Access::Write)?.state;
    let clock = Clock::system();
    let now = clock.now();
    let accepted = accept(settings, source, &state, &clock).await?;
    let void = now + ACCEPTED_FOR;
    let mut out = Out::stdout();
    match printing.format {
        Format::Json => {
            let mut all = accepted.iter().map(as_json);
            let mut told = all.next().unwrap_or_default();
            told["accepted_at"] = rfc3339(now).into();
            told["void_at"] = rfc3339(void).into();
            told["members"] = all.collect();
            out.json(&told)?;
        }
        Format::Text => {
            accepted.iter().try_for_each(|source| out.line(&figures(source)))?;
            if let Some(first) = accepted.first() {
                out.line(&format!("Accepted: {}", condition(first)))?;
            }
            out.line(&format!("The next trusted read spends this; unspent it is void at {}.", zone::told(void)))?;
            out.line("Limits still judge what comes of it; see it first with rosterd plan.")?;
        }
    }
    Ok(Exit::Ok)
}

fn as_json(accepted: &Accepted) -> serde_json::Value {
    json!({
        "source": accepted.source, "records": accepted.records, "rejected": accepted.rejected,
        "baseline": accepted.before, "accepted": accepted.people, "at_least": accepted.at_least,
    })
}

/// `hr has 229 records now, and 3 rows that can't be used; the largest trusted read of late had 400.`
fn figures(accepted: &Accepted) -> String {
    let records = words::count(accepted.records, "record", "records");
    let rejected = match accepted.rejected {
        0 => String::new(),
        n => format!(", and {} that can't be used", words::count(n, "row", "rows")),
    };
    let before = match accepted.before {
        Some(before) => format!("the largest trusted read of the 7 days up to the last one had {before}"),
        None => "no read of it was trusted yet".into(),
    };
    format!("{} has {records} now{rejected}; {before}.", accepted.source)
}

fn condition(accepted: &Accepted) -> String {
    let name = &accepted.source;
    match accepted.at_least {
        Some(least) => format!(
            "the next read of {name} is trusted if it has at least {least} (max_shrink of {}), and passes every other check.",
            accepted.people
        ),
        None => format!("the next read of {name} is trusted if it passes every other check."),
    }
}

fn unknown(settings: &Settings, name: &str) -> Failure {
    let known: Vec<&str> = settings.sources.keys().map(String::as_str).collect();
    let help = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the configuration has: {}", known.join(", ")),
    };
    Failure::new(Error::Usage, format!("there is no source {name:?}")).help(help)
}
