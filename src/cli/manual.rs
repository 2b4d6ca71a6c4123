//! `manual`: a page of the manual, or which pages there are.

use crate::domain::error::{Error, Failure, Result};
use crate::domain::exit::Exit;
use crate::domain::nearest::nearest;
use crate::manual::{PAGES, page};
use crate::terminal::out::Out;

/// `rosterd manual`.
pub fn command(topic: Option<&str>) -> Result<Exit> {
    let mut out = Out::stdout();
    let Some(topic) = topic else {
        for page in PAGES {
            out.line(&format!("{:<12} {}", page.topic, page.summary))?;
        }
        return Ok(Exit::Ok);
    };
    match page(topic) {
        Some(page) => out.verbatim(page.text).map(|()| Exit::Ok),
        None => {
            let topics = PAGES.map(|page| page.topic);
            let meant = nearest(topic, topics).map_or_else(String::new, |meant| format!("did you mean {meant}? "));
            Err(Failure::new(Error::Usage, format!("the manual has no page {topic:?}"))
                .help(format!("{meant}the pages are: {}", topics.join(", "))))
        }
    }
}
