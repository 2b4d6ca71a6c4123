//! Who watches a run: the log, the outcome file, and on a terminal a bar with rate and time left.

use std::fs::{self, File, OpenOptions};
use std::io::{IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use rustix::fs::OFlags;

use crate::delivery::RunObserver;
use crate::domain::error::{Error, Failure, LocalReason, Result};
use crate::domain::ids::RunId;
use crate::domain::outcome::{Outcome, Status};
use crate::state::files;
use crate::telemetry::logging;

/// How many outcomes that need attention are named at the end; the ledger has all of them.
const NAMED: usize = 10;

/// A watcher for one command.
pub struct Progress {
    bar: ProgressBar,
    file: Option<Mutex<File>>,
    file_error: Mutex<Option<std::io::Error>>,
    notable: Mutex<Vec<Outcome>>,
}

impl Progress {
    /// A watcher that appends outcomes to `file`, and draws a bar when standard error is a terminal.
    ///
    /// # Errors
    /// The file can't be opened for appending.
    pub fn new(file: Option<&Path>, quiet: bool) -> Result<Progress> {
        let bar = match std::io::stderr().is_terminal() && !quiet {
            true => crate::telemetry::logging::bars().add(ProgressBar::new(0)),
            false => ProgressBar::hidden(),
        };
        let file = file.map(open).transpose()?;
        Ok(Progress { bar, file: file.map(Mutex::new), file_error: Mutex::new(None), notable: Mutex::new(Vec::new()) })
    }

    /// Ends the bar.
    ///
    /// # Errors
    /// The outcome file could not be written.
    pub fn finish(&self) -> Result<()> {
        self.bar.finish_and_clear();
        match self.file_error.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(Failure::new(Error::Local(LocalReason::Io), "cannot write the outcome file")
                .help("the outcomes themselves are kept: rosterd outcomes --format json")
                .because(error)),
            None => Ok(()),
        }
    }

    /// The first outcomes of a run that need attention.
    pub fn notable(&self, run: &RunId) -> Vec<Outcome> {
        let notable = self.notable.lock().unwrap_or_else(PoisonError::into_inner);
        notable.iter().filter(|o| o.run == *run).take(NAMED).cloned().collect()
    }
}

/// Opens the file to append to. A link is not followed, since it may lead to a file that is dear to somebody; those of the
/// system that stand for a stream (`/dev/stdout`, `/dev/fd/3`) are.
fn open(path: &Path) -> Result<File> {
    let directory = fs::canonicalize(files::parent(path)).unwrap_or_default();
    let is_stream = directory == Path::new("/dev") || directory.starts_with("/proc");
    let flags = if is_stream { OFlags::empty() } else { OFlags::NOFOLLOW };
    let opened = OpenOptions::new().create(true).append(true).custom_flags(flags.bits().cast_signed()).open(path);
    let file = opened.map_err(|e| match fs::read_link(path) {
        Ok(end) if !is_stream => {
            let message = format!("the outcome file {} is a symbolic link, which is not followed", path.display());
            Failure::new(Error::Local(LocalReason::Exposed), message)
                .help(format!("name the file itself: {}", end.display()))
        }
        _ => Failure::new(Error::Local(LocalReason::Io), format!("cannot open the outcome file {}", path.display()))
            .because(e),
    })?;
    let is_plain = file.metadata().map_err(|e| unusable(path).because(e))?.is_file();
    if is_plain && !holds_outcomes(path).map_err(|e| unusable(path).because(e))? {
        let message = format!("{} holds something else than outcomes", path.display());
        return Err(Failure::new(Error::Usage, message)
            .help("name another file; outcomes are appended to it, one JSON object a line"));
    }
    Ok(file)
}

/// Whether a file is empty or begins as a line of JSON does: a name that was mistyped must not spoil a secret or a
/// database.
fn holds_outcomes(path: &Path) -> std::io::Result<bool> {
    let mut first = [0];
    Ok(File::open(path)?.read(&mut first)? == 0 || first == *b"{")
}

fn unusable(path: &Path) -> Failure {
    Failure::new(Error::Local(LocalReason::Io), format!("the outcome file {} can't be used", path.display()))
}

impl RunObserver for Progress {
    fn begin(&self, sync: &str, operations: u64) {
        let template = "{prefix} {bar:30} {pos}/{len}  {rate}  {eta} left";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let style = style.with_key("rate", |state: &ProgressState, text: &mut dyn std::fmt::Write| {
            let _ = write!(text, "{:.0}/s", state.per_sec());
        });
        self.bar.set_style(style.progress_chars("━╸ "));
        self.bar.set_prefix(sync.to_string());
        self.bar.reset();
        self.bar.set_length(operations);
        self.bar.enable_steady_tick(Duration::from_millis(250));
    }

    fn outcome(&self, outcome: &Outcome) {
        if outcome.op.is_some() {
            self.bar.inc(1);
        }
        logging::outcome(outcome, tracing::Level::DEBUG);
        if let Some(file) = &self.file
            && let Err(error) = append(&mut file.lock().unwrap_or_else(PoisonError::into_inner), outcome)
        {
            self.file_error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
        if matches!(outcome.status, Status::Failed | Status::Unknown | Status::Rejected) {
            let mut notable = self.notable.lock().unwrap_or_else(PoisonError::into_inner);
            if notable.iter().filter(|o| o.run == outcome.run).count() < NAMED {
                notable.push(outcome.clone());
            }
        }
    }
}

/// One whole line in one write, so that a reader who follows the file never sees half of one.
fn append(file: &mut File, outcome: &Outcome) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(outcome)?;
    line.push(b'\n');
    file.write_all(&line)
}
