//! `manual`: a page of the manual, or which pages there are.

use crate::domain::error::{Error, Failure, Result};
use crate::domain::exit::Exit;
use crate::domain::nearest::nearest;
use crate::manual::{PAGES, Page, Section, page, pages_with, plain};
use crate::terminal::out::{Out, room};

/// `rosterd manual`.
pub fn command(topic: Option<&str>) -> Result<Exit> {
    let mut out = Out::stdout();
    let Some(topic) = topic else {
        return list(&mut out).map(|()| Exit::Ok);
    };
    match page(topic) {
        Some(page) => show(page, &mut out).map(|()| Exit::Ok),
        None => Err(no_page(topic)),
    }
}

/// How wide a page is where it goes to a pipe or a file.
const ORDINARY: usize = 80;

/// A page as plain text, as wide as the terminal.
fn show(page: &Page, out: &mut Out) -> Result<()> {
    let room = if out.is_terminal() { room() } else { ORDINARY };
    for line in plain::lines(page.text, room) {
        let text = if line.is_heading { out.style.strong(&line.text) } else { line.text };
        out.whole_line(&text)?;
    }
    Ok(())
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
    let meant = nearest(topic, topics()).map(|meant| format!("did you mean {meant}? "));
    let with = pages_with(topic);
    let with = (!with.is_empty()).then(|| format!("the word stands in: {}; ", with.join(", ")));
    let help = match (meant, with) {
        (None, None) => format!("the pages are: {}", topics().collect::<Vec<_>>().join(", ")),
        (meant, with) => {
            format!("{}{}rosterd manual lists all pages", meant.unwrap_or_default(), with.unwrap_or_default())
        }
    };
    Failure::new(Error::Usage, format!("the manual has no page {topic:?}")).help(help)
}
