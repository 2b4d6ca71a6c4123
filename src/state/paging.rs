//! Walking through what the state lists, page by page: one iterator for every command that reads in the order of a key.

use super::{Command, State, StateError};

/// A command that reads the next entries of a list.
pub trait Page: Command<Reply = Vec<Self::Entry>> + Clone {
    /// One entry.
    type Entry: Send + 'static;

    /// Goes on after these, the last that were read; they are not empty.
    fn go_on(&mut self, read: &[Self::Entry]);
}

/// The pages of a list that are still to come.
#[derive(Debug)]
pub struct Pages<C> {
    state: State,
    next: Option<C>,
}

impl State {
    /// The pages of a list, from this one on, none of them empty.
    pub fn pages<C: Page>(&self, first: C) -> Pages<C> {
        Pages { state: self.clone(), next: Some(first) }
    }
}

impl<C: Page> Pages<C> {
    /// The next page; none after the last.
    ///
    /// # Errors
    /// As [`State::ask`].
    pub async fn next(&mut self) -> Result<Option<Vec<C::Entry>>, StateError> {
        let Some(command) = self.next.clone() else { return Ok(None) };
        let page = self.state.ask(command).await?;
        Ok(self.seen(page))
    }

    /// [`Pages::next`] for code that may block: never call it from async code.
    ///
    /// # Errors
    /// As [`State::ask`].
    pub fn next_blocking(&mut self) -> Result<Option<Vec<C::Entry>>, StateError> {
        let Some(command) = self.next.clone() else { return Ok(None) };
        let page = self.state.ask_blocking(command)?;
        Ok(self.seen(page))
    }

    fn seen(&mut self, page: Vec<C::Entry>) -> Option<Vec<C::Entry>> {
        match &mut self.next {
            Some(command) if !page.is_empty() => command.go_on(&page),
            _ => {
                self.next = None;
                return None;
            }
        }
        Some(page)
    }
}
