//! Standard output: written in one place, so that a closed pipe ends a command quietly and colour is decided once.

use std::io::{self, BufWriter, IsTerminal, Write};

use anstyle::{AnsiColor, Style};

use crate::exit::{Exit, Failure, Result};

/// Colours and weights, all of them empty where they are not wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Styles {
    on: bool,
}

/// Styles for a stream: none unless it is a terminal, and none with `NO_COLOR` set.
pub fn styles_for(terminal: bool) -> Styles {
    let forbidden = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    Styles { on: terminal && !forbidden }
}

impl Styles {
    fn paint(self, style: Style, text: &str) -> String {
        if self.on { format!("{style}{text}{style:#}") } else { text.to_string() }
    }

    /// What matters most.
    pub fn strong(self, text: &str) -> String {
        self.paint(Style::new().bold(), text)
    }

    /// What is good.
    pub fn good(self, text: &str) -> String {
        self.paint(AnsiColor::Green.on_default(), text)
    }

    /// What needs attention.
    pub fn warn(self, text: &str) -> String {
        self.paint(AnsiColor::Yellow.on_default(), text)
    }

    /// What is wrong.
    pub fn bad(self, text: &str) -> String {
        self.paint(AnsiColor::Red.on_default().bold(), text)
    }

    /// What may be overlooked.
    pub fn faint(self, text: &str) -> String {
        self.paint(Style::new().dimmed(), text)
    }
}

/// Standard output, buffered; flushed when it is dropped.
pub struct Out {
    writer: BufWriter<io::StdoutLock<'static>>,
    /// How it may be styled.
    pub style: Styles,
}

impl Out {
    /// Standard output.
    pub fn stdout() -> Out {
        let stdout = io::stdout();
        let style = styles_for(stdout.is_terminal());
        Out { writer: BufWriter::new(stdout.lock()), style }
    }

    /// Writes text as it is.
    ///
    /// # Errors
    /// Standard output can't be written; a reader that has gone away ends the process quietly.
    pub fn write(&mut self, text: &str) -> Result<()> {
        self.writer.write_all(text.as_bytes()).or_else(end_quietly)
    }

    /// Writes a line.
    ///
    /// # Errors
    /// As [`Out::write`].
    pub fn line(&mut self, text: &str) -> Result<()> {
        self.write(text)?;
        self.write("\n")
    }

    /// Writes a value as one line of JSON.
    ///
    /// # Errors
    /// As [`Out::write`].
    pub fn json(&mut self, value: &impl serde::Serialize) -> Result<()> {
        let text = serde_json::to_string(value).map_err(|e| Failure::internal("cannot print the result").because(e))?;
        self.line(&text)
    }
}

/// Puts commas between the elements of an array that is written piece by piece.
#[derive(Default)]
pub struct Comma(bool);

impl Comma {
    /// Writes the comma before the next element, if it needs one.
    ///
    /// # Errors
    /// As [`Out::write`].
    pub fn next(&mut self, out: &mut Out) -> Result<()> {
        if std::mem::replace(&mut self.0, true) { out.write(",") } else { Ok(()) }
    }

    /// Writes the next element.
    ///
    /// # Errors
    /// As [`Out::write`].
    pub fn write(&mut self, out: &mut Out, value: &serde_json::Value) -> Result<()> {
        self.next(out)?;
        out.write(&value.to_string())
    }
}

fn end_quietly(error: io::Error) -> Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        // `rosterd outcomes | head` is no mistake. The code is that of a program that SIGPIPE ended.
        std::process::exit(141);
    }
    Err(Failure::new(Exit::Io, "cannot write to standard output").because(error))
}

impl Drop for Out {
    fn drop(&mut self) {
        let _ = self.writer.flush();
    }
}
