//! Standard output and standard error: written in one place, so that what strangers wrote is spelled out, a closed pipe
//! ends a command quietly, what could not be written fails it, and colour is decided once.
//!
//! A line is text from anywhere: its control, format and bidirectional characters come out as `\u{202e}` (see
//! [`crate::domain::visible`]), line breaks too. Colours are ours: they travel through a line as marks that nobody outside this
//! process can guess, and become escape sequences when the line is written. On a terminal a line is broken between words
//! where it would go beyond the right edge.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::{Mutex, OnceLock, PoisonError};

use anstyle::{AnsiColor, Style};

use crate::domain::error::{Error, Failure, LocalReason, Result};
use crate::domain::visible;
use crate::domain::visible::spell;
use crate::domain::wrap::wrapped;

/// The room for prose where nothing tells how wide the terminal is, and the most that is used of a wider one.
const WIDEST: usize = 100;

/// The columns of a terminal that says it has none.
const ORDINARY: usize = 80;

/// What could not be written to standard output, for [`lost`].
static LOST: Mutex<Option<io::Error>> = Mutex::new(None);

/// What is to be done before a command ends because nobody reads it any more.
static LAST_DEED: OnceLock<Box<dyn Fn() + Send + Sync>> = OnceLock::new();

/// Has this done before the process ends because the reader of its output has gone away; such an end drops nothing. For
/// what would be left behind otherwise, a temporary directory say. A second call changes nothing.
pub fn before_quiet_end(deed: impl Fn() + Send + Sync + 'static) {
    let _already_set = LAST_DEED.set(Box::new(deed));
}

/// The ends of a mark: never characters, and spelled out wherever else they occur.
const MARK: [char; 2] = ['\u{fdd0}', '\u{fdd1}'];

/// What is in every mark of this process, and in nothing that came from outside.
fn nonce() -> &'static str {
    static NONCE: OnceLock<String> = OnceLock::new();
    NONCE.get_or_init(|| format!("{:016x}", rand::random::<u64>()))
}

/// Colours and weights, all of them empty where they are not wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Styles {
    on: bool,
}

/// How a piece of a line looks.
#[derive(Clone, Copy, Debug)]
enum Look {
    Strong,
    Good,
    Warn,
    Bad,
    Faint,
}

impl Look {
    const ALL: [Look; 5] = [Look::Strong, Look::Good, Look::Warn, Look::Bad, Look::Faint];

    fn style(self) -> Style {
        match self {
            Look::Strong => Style::new().bold(),
            Look::Good => AnsiColor::Green.on_default(),
            Look::Warn => AnsiColor::Yellow.on_default(),
            Look::Bad => AnsiColor::Red.on_default().bold(),
            Look::Faint => Style::new().dimmed(),
        }
    }
}

/// Styles for a stream: none unless it is a terminal or `CLICOLOR_FORCE` asks for them, and none with `NO_COLOR` set.
fn styles_for(terminal: bool) -> Styles {
    let forced = is_forced(std::env::var("CLICOLOR_FORCE").ok().as_deref());
    Styles { on: (terminal || forced) && crate::telemetry::logging::colour() }
}

/// Whether this value of `CLICOLOR_FORCE` asks for colours. See bixense.com/clicolors: any but an empty one and `0`.
fn is_forced(value: Option<&str>) -> bool {
    value.is_some_and(|value| !value.is_empty() && value != "0")
}

impl Styles {
    /// Whether there are any.
    pub fn is_on(self) -> bool {
        self.on
    }

    fn paint(self, look: Look, text: &str) -> String {
        let [begin, end] = MARK;
        let nonce = nonce();
        match self.on {
            true => format!("{begin}{nonce}{}{end}{text}{begin}{nonce}.{end}", look as u8),
            false => text.to_string(),
        }
    }

    /// What matters most.
    pub fn strong(self, text: &str) -> String {
        self.paint(Look::Strong, text)
    }

    /// What is good.
    pub fn good(self, text: &str) -> String {
        self.paint(Look::Good, text)
    }

    /// What needs attention.
    pub fn warn(self, text: &str) -> String {
        self.paint(Look::Warn, text)
    }

    /// What is wrong.
    pub fn bad(self, text: &str) -> String {
        self.paint(Look::Bad, text)
    }

    /// What may be overlooked.
    pub fn faint(self, text: &str) -> String {
        self.paint(Look::Faint, text)
    }
}

/// The escape sequence of the mark with which this text begins, and how long the mark is.
fn mark(text: &str) -> Option<(String, usize)> {
    let [begin, end] = MARK;
    let (inner, _) = text.strip_prefix(begin)?.split_once(end)?;
    let look = inner.strip_prefix(nonce())?;
    let sequence = match look.parse::<usize>() {
        Ok(number) => Look::ALL.get(number)?.style().render().to_string(),
        Err(_) => anstyle::Reset.render().to_string(),
    };
    Some((sequence, begin.len_utf8() + inner.len() + end.len_utf8()))
}

/// A line as it is written: strangers' characters spelled out, our marks in colour.
fn rendered(line: &str) -> String {
    let mut shown = String::with_capacity(line.len() + 16);
    let mut rest = line;
    while let Some(letter) = rest.chars().next() {
        match mark(rest) {
            Some((sequence, length)) => {
                shown.push_str(&sequence);
                rest = &rest[length..];
            }
            None => {
                spell(&mut shown, letter);
                rest = &rest[letter.len_utf8()..];
            }
        }
    }
    shown
}

/// A line of another process of this program as it is written here: its colours stay, or go where none are wanted;
/// everything else that is no plain text is spelled out.
fn relayed(line: &str, colours: bool) -> String {
    let mut shown = String::with_capacity(line.len() + 16);
    let mut rest = line;
    while let Some(letter) = rest.chars().next() {
        let length = match colour_sequence(rest) {
            Some(sequence) if colours => {
                shown.push_str(sequence);
                sequence.len()
            }
            Some(sequence) => sequence.len(),
            None => {
                spell(&mut shown, letter);
                letter.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    shown
}

/// The escape sequence of a colour or weight with which this text begins: `ESC [ … m` (SGR, ECMA-48 8.3.117).
fn colour_sequence(text: &str) -> Option<&str> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.find(|letter: char| !letter.is_ascii_digit() && letter != ';')?;
    parameters[end..].starts_with('m').then(|| &text[..text.len() - parameters.len() + end + 1])
}

/// How many columns prose may take on standard output: as many as the terminal has, within reason.
pub fn room() -> usize {
    let told = rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col));
    let told = told.or_else(|| std::env::var("COLUMNS").ok()?.trim().parse().ok());
    match told {
        Some(0) => ORDINARY,
        Some(columns) => columns.min(WIDEST),
        None => WIDEST,
    }
}

/// The columns of the terminal that a stream is; none where it is no terminal.
fn width_of(stream: &(impl AsFd + IsTerminal)) -> Option<usize> {
    if !stream.is_terminal() {
        return None;
    }
    let told = rustix::termios::tcgetwinsize(stream).map_or(0, |size| usize::from(size.ws_col));
    Some(if told == 0 { ORDINARY } else { told })
}

/// A stream, buffered; flushed when it is dropped. What standard output did not take is kept for [`lost`].
pub struct Out {
    writer: Box<dyn Write>,
    /// How it may be styled.
    pub style: Styles,
    /// How many columns it has; none where it is no terminal.
    width: Option<usize>,
    /// Nobody is harmed by what does not get there, or it is known already.
    may_fail: bool,
}

impl Out {
    /// Standard output.
    pub fn stdout() -> Out {
        let stdout = io::stdout();
        let (style, width) = (styles_for(stdout.is_terminal()), width_of(&stdout));
        Out { writer: Box::new(BufWriter::new(stdout.lock())), style, width, may_fail: false }
    }

    /// Standard error. There is nobody to tell of what it does not take.
    pub fn stderr() -> Out {
        let stderr = io::stderr();
        let (style, width) = (styles_for(stderr.is_terminal()), width_of(&stderr));
        Out { writer: Box::new(BufWriter::new(stderr)), style, width, may_fail: true }
    }

    /// Whether somebody looks at it, rather than a program.
    pub fn is_terminal(&self) -> bool {
        self.width.is_some()
    }

    fn write(&mut self, text: &str) -> Result<()> {
        let written = self.writer.write_all(text.as_bytes());
        self.checked(written)
    }

    fn checked(&mut self, written: io::Result<()>) -> Result<()> {
        let Err(error) = written else { return Ok(()) };
        if self.may_fail {
            return Ok(());
        }
        self.may_fail = true;
        Err(cannot_write(end_quietly(error)))
    }

    /// Writes a line of text from anywhere.
    ///
    /// # Errors
    /// Standard output can't be written; a reader that has gone away ends the process quietly.
    pub fn line(&mut self, text: &str) -> Result<()> {
        match self.width {
            Some(room) => self.write(&wrapped(&rendered(text), room))?,
            None => self.write(&rendered(text))?,
        }
        self.write("\n")
    }

    /// Writes an empty line, and a line below it.
    ///
    /// # Errors
    /// As [`Out::line`].
    pub fn section(&mut self, text: &str) -> Result<()> {
        self.write("\n")?;
        self.line(text)
    }

    /// Writes text whose line breaks are ours; its lines are as wide as they should be.
    ///
    /// # Errors
    /// As [`Out::line`].
    pub fn lines(&mut self, text: &str) -> Result<()> {
        text.lines().try_for_each(|line| self.whole_line(line))
    }

    /// Writes a line that is not to be broken.
    ///
    /// # Errors
    /// As [`Out::line`].
    pub fn whole_line(&mut self, text: &str) -> Result<()> {
        self.write(&rendered(text))?;
        self.write("\n")
    }

    /// Writes a line that another process of this program wrote, in the colours that it gave it.
    ///
    /// # Errors
    /// As [`Out::line`].
    pub fn relay(&mut self, line: &str) -> Result<()> {
        let line = relayed(line, self.style.on);
        self.write(&self.width.map_or_else(|| line.clone(), |room| wrapped(&line, room)))?;
        self.write("\n")
    }

    /// Writes text that stands in this program: a definition, a script.
    ///
    /// # Errors
    /// As [`Out::line`].
    pub fn verbatim(&mut self, text: &str) -> Result<()> {
        self.write(text)
    }

    /// Writes a piece of JSON, or of CSV whose cells are [`visible::visible`].
    ///
    /// # Errors
    /// As [`Out::line`].
    pub fn piece(&mut self, text: &str) -> Result<()> {
        self.write(&visible::json(text))
    }

    /// Writes a value as one line of JSON.
    ///
    /// # Errors
    /// As [`Out::line`].
    pub fn json(&mut self, value: &impl serde::Serialize) -> Result<()> {
        self.piece(&written(value)?)?;
        self.write("\n")
    }

    /// Tells of a failure, and of those that belong to it.
    ///
    /// # Errors
    /// As [`Out::line`].
    pub fn failure(&mut self, failure: &Failure) -> Result<()> {
        self.line(&format!("{}: {}", self.style.bad("error"), failure.told()))?;
        if let Some(help) = &failure.help {
            self.line(&format!(" {}: {help}", self.style.strong("help")))?;
        }
        failure.others.iter().try_for_each(|other| self.failure(other))
    }

    /// Has everything written by now.
    ///
    /// # Errors
    /// As [`Out::line`].
    pub fn flush(&mut self) -> Result<()> {
        let flushed = self.writer.flush();
        self.checked(flushed)
    }
}

/// Puts commas between the elements of an array that is written piece by piece.
#[derive(Default)]
pub struct Comma(bool);

impl Comma {
    /// Writes the comma before the next element, if it needs one.
    ///
    /// # Errors
    /// As [`Out::line`].
    pub fn next(&mut self, out: &mut Out) -> Result<()> {
        if std::mem::replace(&mut self.0, true) { out.piece(",") } else { Ok(()) }
    }

    /// Writes the next element.
    ///
    /// # Errors
    /// As [`Out::line`].
    pub fn write(&mut self, out: &mut Out, value: &impl serde::Serialize) -> Result<()> {
        self.next(out)?;
        out.piece(&written(value)?)
    }
}

fn written(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Failure::internal("cannot print the result").because(e))
}

/// What standard output did not take although nobody was there to be told when it was flushed; once.
pub fn lost() -> Option<Failure> {
    LOST.lock().unwrap_or_else(PoisonError::into_inner).take().map(cannot_write)
}

fn cannot_write(error: io::Error) -> Failure {
    Failure::new(Error::Local(LocalReason::Io), "cannot write to standard output").because(error)
}

/// `rosterd outcomes | head` is no mistake. The code is that of a program that SIGPIPE ended.
fn end_quietly(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        LAST_DEED.get().into_iter().for_each(|deed| deed());
        std::process::exit(141);
    }
    error
}

impl Drop for Out {
    fn drop(&mut self) {
        if let Err(error) = self.writer.flush()
            && !self.may_fail
        {
            LOST.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(end_quietly(error));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    /// What is written, kept.
    #[derive(Clone, Default)]
    pub struct Kept(Rc<RefCell<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Kept {
        /// An output that is kept here, as a pipe would have it or a terminal.
        pub fn out(&self, terminal: bool) -> Out {
            Out { writer: Box::new(self.clone()), style: Styles { on: terminal }, width: None, may_fail: false }
        }

        /// What was written.
        pub fn text(&self) -> String {
            String::from_utf8(self.0.borrow().clone()).expect("text")
        }
    }

    #[test]
    fn a_strangers_escape_sequences_are_spelled_and_ours_are_sent() {
        let kept = Kept::default();
        let mut out = kept.out(true);
        let forged = format!("E1\u{1b}[32m\n{}{}.{}", MARK[0], "0123456789abcdef", MARK[1]);
        out.line(&format!("{} {forged}", out.style.good(&forged))).expect("written");
        let spelled = "E1\\u{1b}[32m\\n\\u{fdd0}0123456789abcdef.\\u{fdd1}";
        assert_eq!(kept.text(), format!("\u{1b}[32m{spelled}\u{1b}[0m {spelled}\n"));
    }

    #[test]
    fn without_a_terminal_there_is_no_escape_sequence_at_all() {
        let kept = Kept::default();
        let mut out = kept.out(false);
        out.line(&out.style.bad("Zoë \u{1b}[1m")).expect("written");
        out.json(&serde_json::json!({ "a": "\u{9b}\u{202e}\n" })).expect("written");
        assert_eq!(kept.text(), "Zoë \\u{1b}[1m\n{\"a\":\"\\u009b\\u202e\\n\"}\n");
    }

    #[test]
    fn of_another_process_the_colours_are_relayed_and_nothing_else() {
        let line = "\u{1b}[1mstaff\u{1b}[0m: \u{1b}[1;32mok\u{1b}[0m \u{1b}[2J\u{1b}]0;x\u{7}\u{1b}[31";
        let spelled = "\\u{1b}[2J\\u{1b}]0;x\\u{7}\\u{1b}[31";
        for (terminal, expected) in [
            (true, format!("\u{1b}[1mstaff\u{1b}[0m: \u{1b}[1;32mok\u{1b}[0m {spelled}\n")),
            (false, format!("staff: ok {spelled}\n")),
        ] {
            let kept = Kept::default();
            kept.out(terminal).relay(line).expect("written");
            assert_eq!(kept.text(), expected);
        }
    }

    #[test]
    fn colours_are_forced_by_a_value_that_is_not_none() {
        let forced = [None, Some(""), Some("0"), Some("1"), Some("yes")].map(is_forced);
        assert_eq!(forced, [false, false, false, true, true]);
    }
}
