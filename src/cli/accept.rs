//! `accept`: the way past a genuine shrink.

use serde_json::json;

use super::args::{Format, Printing};
use super::out::Out;
use crate::config::Settings;
use crate::config::settings::SourceKind;
use crate::exit::{Exit, Failure, Result};
use crate::nearest::nearest;
use crate::state::sources::Accept;
use crate::state::{Access, State};
use crate::time::Clock;

/// `rosterd accept`.
pub async fn command(settings: &Settings, name: &str, printing: Printing) -> Result<Exit> {
    let source = settings.sources.get(name).ok_or_else(|| unknown(settings, name))?;
    let state = State::open(&settings.state.path, Access::Write)?;
    let at = Clock::system().stamp();
    let mut accepted = vec![name];
    // A union shrinks because a member does: whoever accepts the one accepts the other.
    if let SourceKind::Union(members) = &source.kind {
        accepted.extend(members.iter().map(|member| member.name.as_str()));
    }
    for source in &accepted {
        state.ask(Accept { source: (*source).to_owned(), at: at.clone() }).await?;
    }
    let mut out = Out::stdout();
    match printing.format {
        Format::Json => out.json(&json!({ "source": name, "accepted_at": at }))?,
        Format::Text => {
            out.line(&format!("The next read of {name} that passes every other check is its new baseline."))?;
            out.line("Limits still judge what comes of it; see it first with rosterd plan.")?;
        }
    }
    Ok(Exit::Ok)
}

fn unknown(settings: &Settings, name: &str) -> Failure {
    let known: Vec<&str> = settings.sources.keys().map(String::as_str).collect();
    let help = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the configuration has: {}", known.join(", ")),
    };
    Failure::new(Exit::Usage, format!("there is no source {name:?}")).help(help)
}
