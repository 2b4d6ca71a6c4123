//! `manual`: a page of the manual, or which pages there are.

use crate::domain::error::{Error, Failure, Result};
use crate::domain::exit::Exit;
use crate::domain::nearest::nearest;
use crate::manual::{PAGES, Section, page, pages_with};
use crate::terminal::out::Out;

/// `rosterd manual`.
pub fn command(topic: Option<&str>) -> Result<Exit> {
    let mut out = Out::stdout();
    let Some(topic) = topic else {
        return list(&mut out).map(|()| Exit::Ok);
    };
    match page(topic) {
        Some(page) => out.verbatim(page.text).map(|()| Exit::Ok),
        None => Err(no_page(topic)),
    }
}

/// The pages, by section.
fn list(out: &mut Out) -> Result<()> {
    out.line("Read a page with: rosterd manual TOPIC")?;
    let sections = Section::ALL.map(|section| (section, PAGES.iter().filter(move |page| page.section == section)));
    for (section, pages) in sections {
        let mut pages = pages.peekable();
        if pages.peek().is_some() {
            let heading = out.style.strong(section.heading());
            out.section(&heading)?;
        }
        pages.try_for_each(|page| out.line(&format!("  {:<16} {}", page.topic, page.summary)))?;
    }
    Ok(())
}

/// There is no page on this; what there is instead.
fn no_page(topic: &str) -> Failure {
    let topics = || PAGES.iter().map(|page| page.topic);
    let with = pages_with(topic);
    let help = match nearest(topic, topics()) {
        Some(meant) => format!("did you mean {meant}? rosterd manual lists all pages"),
        None if !with.is_empty() => {
            format!("the word stands in: {}; rosterd manual lists all pages", with.join(", "))
        }
        None => format!("the pages are: {}", topics().collect::<Vec<_>>().join(", ")),
    };
    Failure::new(Error::Usage, format!("the manual has no page {topic:?}")).help(help)
}
