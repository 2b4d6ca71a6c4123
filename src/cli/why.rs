//! `why`: the story of one person, in sentences or as JSON.

use std::sync::Arc;

use super::args::{Format, Printing};
use super::progress::Progress;
use super::read_only::{ReadOnlyAccess, look};
use crate::config::Settings;
use crate::domain::error::{Failure, Result};
use crate::domain::exit::Exit;
use crate::report::why::explain;
use crate::run::chosen;
use crate::terminal::out::Out;

/// `rosterd why`.
pub async fn command(settings: Arc<Settings>, sync: &str, who: &str, printing: Printing) -> Result<Exit> {
    let sync = chosen(&settings, &[sync.to_string()])?.pop();
    let sync = sync.ok_or_else(|| Failure::internal("the sync was there a moment ago"))?;
    let ReadOnlyAccess { state, clients } = look(&settings, [&*sync.target])?;
    let progress = Arc::new(Progress::new(None, true)?);
    let runner = super::sync::runner_through(clients, settings, state, &progress)?;
    let story = explain(&runner, &sync, who).await?;
    let mut out = Out::stdout();
    if printing.format == Format::Json {
        out.json(&story.to_json())?;
        return Ok(Exit::Ok);
    }
    for (n, paragraph) in story.sentences().iter().enumerate() {
        if n > 0 {
            out.line("")?;
        }
        paragraph.iter().try_for_each(|line| out.line(line))?;
    }
    Ok(Exit::Ok)
}
