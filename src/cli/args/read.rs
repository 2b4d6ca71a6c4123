//! A command line, read: what is to be done, or what clap says instead.

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches};

use super::Cli;
use crate::domain::error::{Error, Failure};
use crate::domain::visible::visible;
use crate::terminal::out::room;

/// A command line that is not to be carried out.
#[derive(Debug)]
pub enum NotRun {
    /// Help or the version was asked for: print this and end with 0.
    Print(String),
    /// It was wrong: exit code 64.
    Usage {
        /// What is wrong, as every failure is told.
        failure: Failure,
        /// What clap says of it, for standard error: the whole help where nothing was typed.
        text: String,
    },
}

/// Whether a command line asks for JSON, as far as one that can't be understood tells: its failure is JSON too.
pub fn asks_for_json(arguments: &[OsString]) -> bool {
    let follows = arguments.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json");
    follows || arguments.iter().any(|argument| argument == "--format=json")
}

impl Cli {
    /// Reads a command line, program name included.
    pub fn read(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Cli, NotRun> {
        use clap::error::ErrorKind;
        // clap takes what a terminal says of itself at its word, no columns too.
        let parse = |arguments: &[OsString]| {
            let matches = Cli::command().term_width(room()).try_get_matches_from(arguments);
            matches.and_then(|matches| Cli::from_arg_matches(&matches))
        };
        let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
        parse(&arguments).map_err(|error| {
            // What was typed is quoted in lines of clap's own: nothing in it may look like one of them.
            let spelled: Vec<OsString> =
                arguments.iter().map(|a| visible(&a.to_string_lossy()).as_ref().into()).collect();
            let error = parse(&spelled).err().unwrap_or(error);
            let text = error.render().to_string();
            match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => NotRun::Print(text),
                ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => NotRun::Usage {
                    failure: Failure::new(Error::Usage, "no command is given").help("see --help"),
                    text,
                },
                _ => {
                    // Every failure is told behind `error: `, which is also how clap begins.
                    let told = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
                    NotRun::Usage { failure: Failure::new(Error::Usage, told), text }
                }
            }
        })
    }

    /// The definition of the command line, for completions and manual pages.
    pub fn definition() -> clap::Command {
        Cli::command()
    }
}
