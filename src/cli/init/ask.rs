//! Questions, on a terminal: a line is read, an empty one is the default, the end of input gives up.

use std::io::{BufRead, IsTerminal};

use crate::domain::error::{Error, Failure, LocalReason, Result};
use crate::domain::visible::columns;
use crate::init::write::short;
use crate::terminal::out::{Out, room};

/// The longest answer, in bytes.
const LONGEST: u64 = 100_000;

/// Whom to ask, if anybody.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    someone_is_there: bool,
}

impl Asker {
    /// Asks on a terminal, unless every default is wanted.
    pub fn new(yes: bool) -> Asker {
        let someone_is_there = !yes && std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        Asker { someone_is_there }
    }

    /// An answer; an empty line is the default, where there is one.
    ///
    /// # Errors
    /// Nobody is there: 64, `missing` says which option to give. The input ended: 64, nothing was written.
    pub fn text(self, question: &str, default: Option<&str>, missing: &str) -> Result<String> {
        self.required(missing)?;
        loop {
            let answer = line(&match default {
                Some(default) => format!("{question} [{}]", short(default)),
                None => question.to_string(),
            })?;
            match (answer.trim(), default) {
                ("", Some(default)) => return Ok(default.to_string()),
                ("", None) => {}
                (answer, _) => return Ok(answer.to_string()),
            }
        }
    }

    /// One of these, by its number or in its own words; an empty line is the first of them, where `has_default`.
    ///
    /// # Errors
    /// As [`Asker::text`].
    pub fn choice(self, question: &str, choices: &[String], has_default: bool, missing: &str) -> Result<usize> {
        self.required(missing)?;
        listed(question, choices)?;
        loop {
            let answer = line(if has_default { "Number [1]" } else { "Number" })?;
            let answer = answer.trim();
            if answer.is_empty() && has_default {
                return Ok(0);
            }
            let by_number = answer.parse::<usize>().ok().filter(|n| (1..=choices.len()).contains(n)).map(|n| n - 1);
            if let Some(at) = by_number.or_else(|| choices.iter().position(|choice| choice == answer)) {
                return Ok(at);
            }
            Out::stdout().line(&format!("A number from 1 to {}, please.", choices.len()))?;
        }
    }

    /// Several of these, by their numbers; an empty line is the first so many.
    ///
    /// # Errors
    /// The input ended.
    pub fn several(self, question: &str, choices: &[String], default: usize) -> Result<Vec<usize>> {
        listed(question, choices)?;
        let shown: Vec<String> = (1..=default).map(|n| n.to_string()).collect();
        loop {
            let answer = line(&format!("Numbers, separated by commas [{}]", shown.join(",")))?;
            if answer.trim().is_empty() {
                return Ok((0..default).collect());
            }
            let number = |word: &str| word.parse::<usize>().ok().filter(|n| (1..=choices.len()).contains(n));
            let words = answer.split([',', ' ', ';']).map(str::trim).filter(|word| !word.is_empty());
            if let Some(numbers) = words.map(number).collect::<Option<Vec<usize>>>() {
                return Ok(numbers.into_iter().map(|n| n - 1).collect());
            }
            Out::stdout().line(&format!("Numbers from 1 to {}, please.", choices.len()))?;
        }
    }

    /// Whether somebody can be asked.
    pub fn can_ask(self) -> bool {
        self.someone_is_there
    }

    /// Yes or no; an empty line is yes.
    ///
    /// # Errors
    /// The input ended.
    pub fn confirmed(self, question: &str) -> Result<bool> {
        if !self.someone_is_there {
            return Ok(true);
        }
        let answer = line(&format!("{question} [yes]"))?;
        Ok(matches!(answer.trim().to_lowercase().as_str(), "" | "y" | "yes" | "j" | "ja" | "o" | "oui" | "s" | "si"))
    }

    fn required(self, missing: &str) -> Result<()> {
        if self.someone_is_there { Ok(()) } else { Err(Failure::new(Error::Usage, missing).help(NOBODY)) }
    }
}

/// How far sentences are moved in, in columns: as much as the word before them takes.
const INDENT: usize = 6;

const NOBODY: &str = "nobody can be asked here (no terminal, or --yes): give it as an option; see rosterd init --help";

fn listed(question: &str, choices: &[String]) -> Result<()> {
    let mut out = Out::stdout();
    out.line(question)?;
    choices.iter().enumerate().try_for_each(|(at, choice)| out.line(&format!("  {:>2}  {}", at + 1, short(choice))))
}

/// Sentences behind a word, broken into lines as the terminal is wide.
pub fn prose(out: &mut Out, word: &str, text: &str) -> Result<()> {
    let wide = room();
    let mut line = word.to_string();
    // What a word costs beside its letters is nothing that is seen.
    let mut taken = INDENT;
    for word in text.split(' ') {
        let length = columns(word);
        if taken + 1 + length > wide {
            out.line(&line)?;
            (line, taken) = (" ".repeat(INDENT), INDENT);
        } else {
            line.push(' ');
            taken += 1;
        }
        line.push_str(word);
        taken += length;
    }
    out.line(&line)
}

fn line(question: &str) -> Result<String> {
    let mut out = Out::stdout();
    out.piece(&crate::domain::visible::visible(&format!("{question}: ")))?;
    out.flush()?;
    drop(out);
    let mut answer = String::new();
    let read = std::io::Read::take(std::io::stdin().lock(), LONGEST).read_line(&mut answer);
    match read {
        Ok(0) => {
            // The question still stands on the line.
            Out::stdout().line("")?;
            Err(given_up())
        }
        Ok(_) => Ok(answer),
        Err(error) => Err(Failure::new(Error::Local(LocalReason::Io), "the answer can't be read").because(error)),
    }
}

/// Nothing was written, since the questions were not answered.
pub fn given_up() -> Failure {
    Failure::new(Error::Usage, "given up before the end; nothing was written")
}
