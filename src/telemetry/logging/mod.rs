//! Where logs go, how they look, and what never gets into them.
//!
//! Logs go to standard error: text for people on a terminal and beside a result that is text, one JSON object a line
//! elsewhere; or, asked for, to
//! systemd's journal with a field for each thing that they tell. `RUST_LOG` and `-v` say
//! how much of our own events is wanted. The crates below us are capped whatever anybody asks for: HTTP libraries
//! log headers and bodies at their finer levels, and those hold people's values and our secrets.

mod journal;

use std::fmt::Debug;
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use anstyle::Style;
use clap::ValueEnum;
use indicatif::MultiProgress;
use tracing::field::Field;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::{EnvFilter, FilterExt, FilterFn, LevelFilter, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use self::journal::Journal;
use crate::domain::outcome::{Outcome, Status};
use crate::domain::remote_id::LoggableId;
use crate::domain::visible::visible;
use crate::domain::wrap::wrapped;
use crate::os::{clock, zone};

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal and beside a result that is text, JSON elsewhere
    #[default]
    Auto,
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
    /// Fields in systemd's journal
    Journald,
}

/// What decides about logs.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--log-format`.
    pub format: LogFormat,
    /// How often `-v` was given.
    pub verbose: u8,
    /// `-q`.
    pub quiet: bool,
    /// `RUST_LOG`.
    pub rust_log: Option<String>,
    /// The command prints a result that is text: so is the log, unless a format was asked for.
    pub beside_text: bool,
    /// Runs and outcomes are told by the command itself, to somebody who is reading: don't log them as well.
    pub told: bool,
}

/// The prefix of our own events' targets.
const OURS: &str = "rosterd";

/// The progress bars of this process. Whoever draws one adds it here, so that log lines are written above it and not
/// through it.
pub fn bars() -> &'static MultiProgress {
    static BARS: OnceLock<MultiProgress> = OnceLock::new();
    BARS.get_or_init(MultiProgress::new)
}

/// Starts logging for the whole process. A second call changes nothing, so tests may make it freely.
pub fn start(options: &Options) {
    let terminal = io::stderr().is_terminal();
    let (layer, complaint) = match options.format {
        LogFormat::Text => (text_layer(AboveBars, terminal && colour()).boxed(), None),
        LogFormat::Auto if terminal || options.beside_text => {
            (text_layer(AboveBars, terminal && colour()).boxed(), None)
        }
        LogFormat::Auto | LogFormat::Json => (json_layer(AboveBars).boxed(), None),
        LogFormat::Journald => match Journal::connect() {
            Ok(journal) => (journal.boxed(), None),
            Err(error) => (json_layer(AboveBars).boxed(), Some(error)),
        },
    };
    let _already_started =
        tracing_subscriber::registry().with(layer.with_filter(wanted(options).and(capped()))).try_init();
    if let Some(error) = complaint {
        tracing::warn!(%error, "systemd's journal can't be reached: logging JSON to standard error");
    }
}

/// An outcome as an event; its fields are those of the ledger. What needs attention is a warning, the rest is logged
/// at `quiet`.
pub fn outcome(outcome: &Outcome, quiet: Level) {
    macro_rules! event {
        ($level:ident) => {
            tracing::$level!(
                target: "rosterd::outcome",
                run = %outcome.run,
                sync = %outcome.sync,
                source = %outcome.source,
                target_name = %outcome.target,
                key = outcome.key.as_ref().map(tracing::field::display),
                op = outcome.op.map(tracing::field::display),
                status = %outcome.status,
                remote_id = outcome.remote_id.as_ref().map(LoggableId::as_str),
                fields = outcome.fields.join(","),
                attempts = outcome.attempts,
                http_status = outcome.http_status,
                duration_ms = outcome.duration_ms,
                reason = outcome.reason.as_deref(),
                error_kind = outcome.error.as_ref().map(|e| e.kind.name()),
                error = outcome.error.as_ref().map(|e| e.message.as_str()),
                "outcome"
            )
        };
    }
    match outcome.status {
        Status::Failed | Status::Unknown | Status::Rejected => event!(warn),
        Status::Ok | Status::Held | Status::Skipped if quiet == Level::INFO => event!(info),
        Status::Ok | Status::Held | Status::Skipped => event!(debug),
    }
}

/// Whether people want colour. See no-color.org: any value but an empty one says no.
pub fn colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Lines for people: time, level, message, fields.
fn text_layer<S, W>(writer: W, ansi: bool) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer()
        .fmt_fields(debug_fn(spelled).delimited(" "))
        .with_writer(writer)
        .with_ansi(ansi)
        .with_target(false)
        .with_timer(Seconds)
}

/// A field of a line for people. Whatever it holds, it is one line, and moves no cursor.
fn spelled(line: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    let text = format!("{value:?}");
    let shown = visible(&text);
    let (name, bold) = (Style::new().italic(), Style::new().dimmed());
    match field.name() {
        "message" => write!(line, "{shown}"),
        field if line.has_ansi_escapes() => write!(line, "{name}{field}{name:#}{bold}={bold:#}{shown}"),
        field => write!(line, "{field}={shown}"),
    }
}

/// The time of a line for people: that of their zone, to the second.
struct Seconds;

impl FormatTime for Seconds {
    fn format_time(&self, line: &mut Writer<'_>) -> std::fmt::Result {
        write!(line, "{}", zone::told(clock::now()))
    }
}

/// One JSON object a line: `timestamp`, `level`, `target`, `message`, and every field at the top level.
fn json_layer<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(writer)
}

/// What is asked for: `RUST_LOG` where it is set and readable, else by `-v` and `-q`.
fn wanted(options: &Options) -> EnvFilter {
    let level = match (options.quiet, options.verbose) {
        (true, _) => LevelFilter::WARN,
        (false, 0) => LevelFilter::INFO,
        (false, 1) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    };
    let asked = options.rust_log.as_deref().filter(|text| !text.trim().is_empty());
    let told = if options.told { ",rosterd::run=off,rosterd::outcome=off" } else { "" };
    asked.and_then(|text| EnvFilter::try_new(text).ok()).unwrap_or_else(|| EnvFilter::new(format!("{level}{told}")))
}

/// The cap on everybody else, which no option lifts: nothing below `info`, nothing below `warn` from what handles
/// requests and answers.
fn capped() -> FilterFn<fn(&Metadata<'_>) -> bool> {
    filter_fn(is_harmless)
}

fn is_harmless(metadata: &Metadata<'_>) -> bool {
    may_log(metadata.target(), *metadata.level())
}

fn may_log(target: &str, level: Level) -> bool {
    /// Crates that see requests, answers, rows or expressions.
    const SEE_VALUES: [&str; 13] = [
        "hyper",
        "h2",
        "reqwest",
        "rustls",
        "tower",
        "axum",
        "hyper_util",
        "want",
        "rusqlite",
        "cel",
        "csv",
        "cookie",
        "mio",
    ];
    let of_crate = target.split("::").next().unwrap_or_default();
    if of_crate == OURS {
        return true;
    }
    // Levels compare by verbosity: `Level::INFO > Level::WARN`.
    level <= if SEE_VALUES.contains(&of_crate) { Level::WARN } else { Level::INFO }
}

/// Standard error, with progress bars out of the way while a line is written.
#[derive(Clone, Copy)]
struct AboveBars;

impl Write for AboveBars {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        bars().suspend(|| match terminal_width() {
            None => io::stderr().write(line),
            // A line comes whole, so that it can be broken at its words.
            Some(room) => {
                let text = String::from_utf8_lossy(line);
                let broken: String = text.split_inclusive('\n').map(|line| wrapped_line(line, room)).collect();
                io::stderr().write_all(broken.as_bytes()).map(|()| line.len())
            }
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The columns of the terminal that standard error is; none where it is no terminal, or does not say.
fn terminal_width() -> Option<usize> {
    let stderr = io::stderr();
    let size = stderr.is_terminal().then(|| rustix::termios::tcgetwinsize(stderr).ok()).flatten()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// A line with its end, broken at its words.
fn wrapped_line(line: &str, room: usize) -> String {
    match line.strip_suffix('\n') {
        Some(text) => format!("{}\n", wrapped(text, room)),
        None => wrapped(line, room),
    }
}

impl MakeWriter<'_> for AboveBars {
    type Writer = AboveBars;

    fn make_writer(&self) -> AboveBars {
        AboveBars
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("unpoisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written with these options while `events` are emitted.
    fn logged(options: &Options, json: bool, events: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let sink = buffer.clone();
        let writer = move || sink.clone();
        let layer = if json { json_layer(writer).boxed() } else { text_layer(writer, false).boxed() };
        let subscriber = tracing_subscriber::registry().with(layer.with_filter(wanted(options).and(capped())));
        tracing::subscriber::with_default(subscriber, events);
        String::from_utf8(buffer.0.lock().expect("unpoisoned").clone()).expect("text")
    }

    #[test]
    fn no_option_opens_the_crates_that_see_values() {
        for rust_log in ["trace", "hyper=trace,reqwest=trace,rosterd=trace,h2=trace,rustls=trace,other=trace"] {
            let options = Options { verbose: 9, rust_log: Some(rust_log.into()), ..Options::default() };
            let text = logged(&options, false, || {
                tracing::trace!(target: "hyper::proto", "secret one");
                tracing::debug!(target: "reqwest::connect", "secret two");
                tracing::info!(target: "h2", "secret three");
                tracing::debug!(target: "other", "secret four");
                tracing::warn!(target: "rustls", "a warning");
                tracing::info!(target: "other", "a remark");
                tracing::trace!(target: "rosterd::delivery", "of our own");
            });
            assert!(!text.contains("secret"), "{text}");
            assert!(text.contains("a warning") && text.contains("a remark") && text.contains("of our own"), "{text}");
        }
    }

    #[test]
    fn our_own_level_follows_v_and_q() {
        let events = || {
            tracing::error!(target: "rosterd", "e");
            tracing::warn!(target: "rosterd", "w");
            tracing::info!(target: "rosterd", "i");
            tracing::debug!(target: "rosterd", "d");
            tracing::trace!(target: "rosterd", "t");
        };
        for (quiet, verbose, lines) in [(true, 0, 2), (false, 0, 3), (false, 1, 4), (false, 2, 5)] {
            let options = Options { quiet, verbose, ..Options::default() };
            assert_eq!(logged(&options, false, events).lines().count(), lines, "quiet {quiet}, verbose {verbose}");
        }
    }

    #[test]
    fn json_has_fields_at_the_top() {
        let text = logged(&Options::default(), true, || tracing::info!(target: "rosterd::outcome", key = "E1", "done"));
        let line: serde_json::Value = serde_json::from_str(&text).expect("one object");
        assert_eq!((line["key"].as_str(), line["message"].as_str()), (Some("E1"), Some("done")));
        assert_eq!(line["target"], "rosterd::outcome");
    }

    #[test]
    fn what_a_stranger_wrote_is_one_line_of_visible_characters() {
        let (evil, kind) = ("E1\u{1b}[2J\nforged \u{202e}x", "Zoë 山田");
        let text = logged(&Options::default(), false, || {
            tracing::info!(target: "rosterd", key = %evil, kind, "read {evil}");
        });
        let spelled = "E1\\u{1b}[2J\\nforged \\u{202e}x";
        assert!(text.ends_with(&format!(" read {spelled} key={spelled} kind=\"{kind}\"\n")), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }

    #[test]
    fn an_unreadable_rust_log_is_as_if_unset() {
        let options = Options { rust_log: Some("=,=".into()), ..Options::default() };
        assert!(logged(&options, false, || tracing::info!(target: "rosterd", "still here")).contains("still here"));
    }
}
