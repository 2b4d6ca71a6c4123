//! The command line: what is typed, what is done, what is printed.
//!
//! A command returns an [`Exit`] or a [`Failure`]; this module prints the failure where the caller looks for it (JSON
//! on standard output when JSON was asked for, else text on standard error) and turns it into the exit code.

pub(crate) mod sandbox;

mod accept;
mod approver;
pub mod args;
pub mod check;
mod connect;
mod forget;
mod handover;
mod init;
mod man;
mod manual;
#[cfg(test)]
mod named_commands;
mod outcomes;
mod people;
mod plan;
mod plans;
mod progress;
mod read_only;
mod reconcile;
mod record_args;
mod run;
mod runs;
mod sandbox_args;
mod sections;
mod service;
mod state;
mod status;
mod sync;
mod syncs;
mod test;
mod undo;
mod why;
mod words;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use clap::CommandFactory;
use tokio_util::sync::CancellationToken;

use self::args::{Cli, Command, Global, LedgerFormat, NotRun, Printing, TargetsCommand};
use crate::api::Engine;
use crate::config::{self, Settings};
use crate::demo;
use crate::domain::error::{Error, Failure, LocalReason, Result};
use crate::domain::exit::Exit;
use crate::domain::record::Key;
use crate::domain::remedy::Remedy;
use crate::os::panics;
use crate::telemetry::logging::{self, LogFormat};
use crate::terminal::out;
use crate::terminal::out::Out;

/// Runs the program.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let json = args::asks_for_json(&arguments);
    let cli = match Cli::read(arguments) {
        Ok(cli) => cli,
        Err(NotRun::Print(text)) => return finish(print(&text), false),
        Err(NotRun::Usage { failure, .. }) if json => return finish(Err(failure), true),
        Err(NotRun::Usage { failure, text }) => {
            // Standard error may be gone: the code tells.
            let _ = Out::stderr().lines(&text);
            return Exit::from(failure.error).code().into();
        }
    };
    let json = cli.command.prints_json();
    panics::tell_by_place();
    let result = panics::caught(|| start(cli));
    finish(result, json)
}

fn print(text: &str) -> Result<Exit> {
    Out::stdout().lines(text)?;
    Ok(Exit::Ok)
}

/// Tells how it ended. Everything that was printed is out by then, or is known not to be: that fails the command too.
fn finish(result: Result<Exit>, json: bool) -> ExitCode {
    let mut exit = match &result {
        Ok(exit) => *exit,
        Err(failure) => {
            report(failure, json);
            failure.error.into()
        }
    };
    if let Some(lost) = out::lost() {
        if let (Err(failure), true) = (&result, json) {
            // It was to be told where nothing can be written: somebody is to hear of it.
            report(failure, false);
        }
        report(&lost, false);
        exit = exit.worse(lost.error.into());
    }
    exit.code().into()
}

/// Prints a failure.
fn report(failure: &Failure, json: bool) {
    if !json {
        // Standard error may be gone: the code tells.
        let _ = Out::stderr().failure(failure);
        return;
    }
    let help = failure.help.as_ref().filter(|_| failure.others.is_empty());
    let error = serde_json::json!({
        "error": { "code": Exit::from(failure.error), "message": failure.chain(), "help": help }
    });
    if let Err(unwritten) = Out::stdout().json(&error) {
        report(failure, false);
        report(&unwritten, false);
    }
}

fn start(cli: Cli) -> Result<Exit> {
    // Installed once for the process: reqwest is built without a provider of its own.
    let _ = rustls::crypto::ring::default_provider().install_default();
    logging::start(&logging::Options {
        format: cli.global.log_format,
        verbose: cli.global.verbose,
        quiet: cli.global.quiet,
        rust_log: std::env::var("RUST_LOG").ok(),
        beside_text: prints_text(&cli.command),
        told: cli.global.verbose == 0 && cli.command.tells_people() && are_read_together(cli.global.log_format),
    });
    let mut builder = match cli.command.only_looks() {
        true => tokio::runtime::Builder::new_current_thread(),
        false => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder
        .enable_all()
        .build()
        .map_err(|e| Failure::new(Error::Local(LocalReason::Io), "cannot start the runtime").because(e))?;
    let result = runtime.block_on(carry_out(cli));
    // What still waits for a file, on a network disk that does not answer for instance, is not waited for.
    runtime.shutdown_timeout(LAST_PATIENCE);
    result
}

/// Whether the result of a command, beside which its log stands, is text for people. The daemon and the sandbox have none.
fn prints_text(command: &Command) -> bool {
    match command {
        Command::Run | Command::Sandbox(_) => false,
        Command::Outcomes(outcomes) => outcomes.format == LedgerFormat::Text,
        _ => !command.prints_json(),
    }
}

/// Whether whoever reads the log has the result before their eyes too: standard output and standard error are one terminal,
/// or one pipe or file where nobody asked for a format of the log.
fn are_read_together(format: LogFormat) -> bool {
    let (out, err) = (rustix::fs::fstat(std::io::stdout()), rustix::fs::fstat(std::io::stderr()));
    let is_one = matches!((out, err), (Ok(out), Ok(err)) if (out.st_dev, out.st_ino) == (err.st_dev, err.st_ino));
    is_one && (format == LogFormat::Auto || std::io::stderr().is_terminal())
}

/// How long a thread that reads or writes a file may take to end after everything has been done.
const LAST_PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// SIGXFSZ on Linux (signal(7)).
const FILE_TOO_LARGE: i32 = 25;

async fn carry_out(cli: Cli) -> Result<Exit> {
    // Heard and not heeded: where the size of files is limited (`ulimit -f`), the write that goes beyond fails, as one on
    // a full disk does. Unheard, the signal would end the process.
    let _heard = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(FILE_TOO_LARGE));
    let global = &cli.global;
    match cli.command {
        Command::Init(wanted) => init::command(global, wanted).await,
        Command::Demo => demo::command().await.map(|()| Exit::Ok),
        Command::Sandbox(options) => {
            let latency = std::time::Duration::from_millis(options.latency);
            sandbox::command(options.listen, options.users, latency, options.fail, options.rate).await?;
            Ok(Exit::Ok)
        }
        Command::Check { connect: true, show_values, printing } => {
            let loaded = config::load(&global.config, config::environment());
            connect::command(&global.config, loaded, show_values, printing).await
        }
        Command::Check { printing, .. } => {
            check::run(&global.config, config::environment(), printing.format, &mut Out::stdout())
        }
        Command::Accept { source, printing } => accept::command(&*load(global)?, &source, printing).await,
        Command::Test { syncs, printing } => test::command(&*load(global)?, &syncs, printing),
        Command::Plan { scope, on, detailed_exitcode, printing } => {
            plan::command(load(global)?, &scope, on, detailed_exitcode, global.verbose > 0, printing).await
        }
        Command::Sync { scope, dry_run: true, printing, .. } => {
            plan::command(load(global)?, &scope, None, false, global.verbose > 0, printing).await
        }
        Command::Sync { scope, outcomes, printing, .. } => {
            sync::command(load(global)?, &scope, outcomes.as_deref(), printing).await
        }
        Command::Run => run::run(load(global)?, global).await,
        Command::Trigger { sync, wait, printing } => run::trigger(&*load(global)?, &sync, wait, printing).await,
        Command::Plans { show, printing } => plans::command(&*load(global)?, show, printing, global.verbose > 0).await,
        Command::Approve { id, reason, printing } => sync::approve(load(global)?, id, reason, printing).await,
        Command::Discard { id, printing } => plans::discard(&*load(global)?, &id, printing).await,
        Command::Pause { sync, printing } => people::pause(&*load(global)?, &sync, true, printing).await,
        Command::Resume { sync, printing } => people::pause(&*load(global)?, &sync, false, printing).await,
        Command::Rekey { sync, old, new, printing } => {
            people::rekey(&*load(global)?, &sync, (&old, &new), printing).await
        }
        Command::Reconcile { syncs, adopt, repair, detailed_exitcode, printing } => {
            let remedy = Remedy { adopt, repair };
            reconcile::command(load(global)?, &syncs, remedy, detailed_exitcode, global.verbose > 0, printing).await
        }
        Command::Undo { run, printing } => undo::command(load(global)?, &run, global.verbose > 0, printing).await,
        Command::Why { sync, who, printing } => why::command(load(global)?, &sync, &who, printing).await,
        Command::Forget { sync, key, printing } => forget::command(&*load(global)?, &sync, &key, printing).await,
        Command::Runs(wanted) => runs::command(&*load(global)?, wanted).await,
        Command::Outcomes(wanted) => outcomes::command(&*load(global)?, wanted).await,
        Command::Status { syncs, printing } => status::command(&load(global)?, &syncs, printing).await,
        Command::State { command, format } => state::command(&*load(global)?, command, Printing { format }).await,
        Command::Targets { show } => targets(show),
        Command::Manual { topic } => manual::command(topic.as_deref()),
        Command::Schema { definition } => schema(definition),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "rosterd", &mut script);
            Out::stdout().verbatim(&String::from_utf8_lossy(&script))?;
            Ok(Exit::Ok)
        }
        Command::Man { directory } => man::command(&directory),
    }
}

/// Loads the configuration; warnings go to the log.
fn load(global: &Global) -> Result<Arc<Settings>> {
    let loaded = config::load(&global.config, config::environment()).map_err(|errors| config::failure(&errors))?;
    for warning in &loaded.warnings {
        warning.warn();
    }
    Ok(Arc::new(loaded.settings))
}

/// The keys after `--only`.
fn keys(raw: &[String]) -> Result<BTreeSet<Key>> {
    raw.iter()
        .map(|text| Key::parse(text).ok_or_else(|| Failure::new(Error::Usage, "--only needs a key, and got a blank")))
        .collect()
}

/// A token that is cancelled by the first SIGTERM or Ctrl-C; the second ends the process at once.
fn stop_on_signal() -> Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| {
        signal(kind).map_err(|e| Failure::new(Error::Local(LocalReason::Io), "cannot listen for signals").because(e))
    };
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let asked = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            if asked.is_cancelled() {
                std::process::exit(Exit::Partial.code().into());
            }
            tracing::warn!("stopping: requests under way may finish; once more ends at once");
            asked.cancel();
        }
    });
    Ok(stop)
}

/// A definition with a comment on every line that is not obvious.
const WORKED_EXAMPLE: &str = include_str!("../../config/people-api.toml");

fn targets(show: Option<TargetsCommand>) -> Result<Exit> {
    let mut out = Out::stdout();
    match show {
        None => {
            for kind in Engine::builtin_kinds() {
                out.line(kind)?;
            }
            Ok(Exit::Ok)
        }
        // Of one's own kind there is no definition yet: the worked example is where one begins.
        Some(TargetsCommand::Show { kind }) if kind == "rest" => out.verbatim(WORKED_EXAMPLE).map(|()| Exit::Ok),
        Some(TargetsCommand::Show { kind }) => match Engine::builtin_text(&kind) {
            Some(text) => out.verbatim(text).map(|()| Exit::Ok),
            None => Err(Failure::new(Error::Usage, format!("there is no built-in target kind {kind:?}"))
                .help(format!("the kinds are: {}", Engine::builtin_kinds().join(", ")))),
        },
    }
}

fn schema(definition: bool) -> Result<Exit> {
    let schema = if definition { crate::api::definition_schema() } else { config::schema::configuration() };
    let text =
        serde_json::to_string_pretty(&schema).map_err(|e| Failure::internal("cannot print the schema").because(e))?;
    Out::stdout().lines(&text)?;
    Ok(Exit::Ok)
}
