//! What can be typed: every command and option of `rosterd`, with the help that people read.
//!
//! clap parses; [`read`] turns its usage errors into exit code 64 and its help into plain output.

use std::path::PathBuf;

use chrono::NaiveDate;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

pub use self::read::{NotRun, asks_for_json};
pub use super::init::InitArgs;
pub use super::record_args::{OutcomesArgs, RunsArgs, StateCommand};
use super::sandbox_args::AFTER_SANDBOX_HELP;
pub use super::sandbox_args::SandboxArgs;
use crate::domain::ids::{PlanId, RunId};
use crate::telemetry::logging::LogFormat;

mod printed;
mod read;

/// The configuration that is used when none is named.
pub const DEFAULT_CONFIG: &str = "/etc/rosterd/rosterd.toml";

const EXAMPLES: &str = "\
Examples:
  rosterd demo                                the whole story, nothing configured
  rosterd init --source hr.csv --target juno  write a configuration from an export
  rosterd check                               is the configuration right?
  rosterd plan                                what would change, and for whom
  rosterd sync                                change it
  rosterd outcomes --key E1007                what became of one person

Exit codes: 0 done, 3 held by a limit, 64 usage, 65 source not trusted, 69 unreachable, 70 internal,
74 local disk, 75 something is left over, 77 credentials or open secrets, 78 configuration.";

/// Keep user platforms in step with the people a company really has.
#[derive(Debug, Parser)]
#[command(name = "rosterd", version, after_help = EXAMPLES, subcommand_required = true)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// Configuration file; may be given several times, later files win
    #[arg(long, global = true, value_name = "FILE", env = "ROSTERD_CONFIG", default_value = DEFAULT_CONFIG)]
    pub config: Vec<PathBuf>,
    /// How logs are written: auto is text on a terminal and beside a result that is text, JSON elsewhere
    #[arg(long, global = true, value_name = "FORMAT", value_enum, env = "ROSTERD_LOG_FORMAT", default_value = "auto")]
    pub log_format: LogFormat,
    /// Log more; twice for everything
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Log warnings and errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// How a result is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For scripts: one JSON document, alone on standard output
    Json,
}

/// How the ledger is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LedgerFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
    /// Comma-separated, with a header
    Csv,
}

/// `--format`.
#[derive(Args, Clone, Copy, Debug)]
pub struct Printing {
    /// How the result is printed
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a configuration from an export: commented, with two mapping tests, and judged
    ///
    /// Looks at the export's columns and at the values under them, finds out how it is written, which column names a
    /// person, who works here and what the target can take, and writes rosterd.toml. On a terminal it asks for what it
    /// can't know; elsewhere, and with --yes, options say it.
    Init(Box<InitArgs>),
    /// Show the whole story on sample data and simulated targets, in under half a minute
    ///
    /// Nothing needs to be configured, and nothing leaves this machine.
    Demo,
    /// Judge the configuration: all mistakes at once, each with file, line and remedy
    ///
    /// Nothing is read from a source and nothing is sent, unless --connect asks for it.
    #[command(
        after_help = "Examples:\n  rosterd check\n  rosterd check --connect     which columns are there, and how does a record come out?"
    )]
    Check {
        /// Also read one page of each source, and log in at each target; writes nothing
        #[arg(long)]
        connect: bool,
        /// Show the values of the sample record, which are masked otherwise
        #[arg(long, requires = "connect")]
        show_values: bool,
        /// How to print.
        #[command(flatten)]
        printing: Printing,
    },
    /// Run the mapping tests that stand in the configuration
    ///
    /// Ends with 75 when one fails.
    Test {
        /// The syncs whose tests to run; all of them unless named
        #[arg(value_name = "SYNC")]
        syncs: Vec<String>,
        /// How to print.
        #[command(flatten)]
        printing: Printing,
    },
    /// Show what a sync would change, person by person and field by field
    ///
    /// Reads the source and looks newcomers up at the target; writes nothing there.
    #[command(
        after_help = "Examples:\n  rosterd plan staff\n  rosterd plan staff --only E1007 --format json\n  rosterd plan staff --on 2027-02-01     who will have come and gone by then?\n  rosterd plan --detailed-exitcode || echo differences, or worse"
    )]
    Plan {
        /// Which syncs, and whom.
        #[command(flatten)]
        scope: Scope,
        /// Plan as if today were this date, YYYY-MM-DD; such a plan can't be sent
        #[arg(long, value_name = "DATE")]
        on: Option<NaiveDate>,
        /// End with 2 when there are differences
        #[arg(long)]
        detailed_exitcode: bool,
        /// How to print.
        #[command(flatten)]
        printing: Printing,
    },
    /// Bring the target in step: plan, judge, then send
    #[command(
        after_help = "Examples:\n  rosterd sync\n  rosterd sync staff --outcomes /var/log/rosterd/staff.jsonl\n  rosterd sync staff --only E1007       ban one person now, while a plan is held"
    )]
    Sync {
        /// Which syncs, and whom.
        #[command(flatten)]
        scope: Scope,
        /// Plan only, as `rosterd plan`
        #[arg(long)]
        dry_run: bool,
        /// Append what became of each operation to this file, one JSON object a line
        #[arg(long, value_name = "FILE")]
        outcomes: Option<PathBuf>,
        /// How to print.
        #[command(flatten)]
        printing: Printing,
    },
    /// Run every scheduled sync, until stopped
    ///
    /// SIGHUP loads the configuration anew, SIGTERM ends it: requests under way may finish.
    #[command(
        after_help = "Examples:\n  rosterd run\n  systemctl reload rosterd       after a change of the configuration"
    )]
    Run,
    /// Have the running daemon run a sync now
    #[command(after_help = "Examples:\n  rosterd trigger staff\n  rosterd trigger staff --wait   end as the run ends")]
    Trigger {
        /// The sync
        sync: String,
        /// Wait for the end of the run, and tell what came of it
        #[arg(long)]
        wait: bool,
        /// How to print.
        #[command(flatten)]
        printing: Printing,
    },
    /// Read a source and take what it has now as its baseline, after a genuine shrink
    ///
    /// The next read is trusted if it is within `max_shrink` of that, and passes every other check. It is then spent; after
    /// 24 hours it is void. A source that fails another check is refused.
    #[command(after_help = "Example:\n  rosterd accept hr")]
    Accept {
        /// The source
        source: String,
        /// How to print.
        #[command(flatten)]
        printing: Printing,
    },
    /// List the plans that a limit holds, or show one
    #[command(
        after_help = "Examples:\n  rosterd plans\n  rosterd plans show 3f9a0c12be77",
        args_conflicts_with_subcommands = true
    )]
    Plans {
        /// Show one.
        #[command(subcommand)]
        show: Option<PlansCommand>,
        /// How to print.
        #[command(flatten)]
        printing: Printing,
    },
    /// Release a held plan, once, and send it
    ///
    /// It counts only if everything in it would be planned the same now.
    Approve {
        /// The plan's id, from `rosterd plans`
        id: PlanId,
        /// Why; it goes into the ledger beside your name
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// How to print.
        #[command(flatten)]
        printing: Printing,
    },
    /// Drop a held plan
    Discard {
        /// The plan's id, from `rosterd plans`
        id: PlanId,
        /// How to print.
        #[command(flatten)]
        printing: Printing,
    },
    /// Stop a sync until it is resumed; one that is sending stops between two requests
    Pause {
        /// The sync
        sync: String,
        /// How to print.
        #[command(flatten)]
        printing: Printing,
    },
    /// Let a paused sync go on
    Resume {
        /// The sync
        sync: String,
        /// How to print.
        #[command(flatten)]
        printing: Printing,
    },
    /// Tell a sync that HR gave somebody a new key
    ///
    /// Everything that is known of the person goes with the new key, their history too; the account stays the same one, and the next run links
    /// it. The source is read first: while the old key is in scope there, these are two people, and it is refused.
    #[command(after_help = "Example:\n  rosterd rekey staff E1007 N-20044")]
    Rekey {
        /// The sync
        sync: String,
        /// The key they had
        old: String,
        /// The key they have now
        new: String,
        /// How to print.
        #[command(flatten)]
        printing: Printing,
    },
    /// Compare source, snapshot and what the target really holds
    ///
    /// Lists the target's accounts: who is missing there, whose fields drifted, who is wrongly banned or active, which
    /// accounts are nobody's. Accounts that are nobody's are never touched.
    #[command(
        after_help = "Examples:\n  rosterd reconcile staff\n  rosterd reconcile staff --repair\n  rosterd reconcile --detailed-exitcode || echo differences, or worse"
    )]
    Reconcile {
        /// The syncs; all of them unless named
        #[arg(value_name = "SYNC")]
        syncs: Vec<String>,
        /// Link accounts that are there and belong to somebody in the source; bind a sync anew whose target or key changed
        #[arg(long)]
        adopt: bool,
        /// Create who is missing, set right what drifted, correct who is wrongly banned or active; limits apply
        #[arg(long)]
        repair: bool,
        /// End with 2 when there are differences
        #[arg(long)]
        detailed_exitcode: bool,
        /// How to print.
        #[command(flatten)]
        printing: Printing,
    },
    /// Take back what a run did: make the inverse plan, and hold it for approval
    ///
    /// Who was created is banned, who was adopted is unlinked, values that the run replaced come back where the target
    /// still has what it wrote, who was banned is reinstated. What was deleted can't come back. Approving the plan
    /// pauses the sync, since its next run would do the same again.
    #[command(after_help = "Example:\n  rosterd undo 01J…\n  rosterd approve 3f9a0c12be77 --reason \"wrong export\"")]
    Undo {
        /// The run's id, from `rosterd runs`
        run: RunId,
        /// How to print.
        #[command(flatten)]
        printing: Printing,
    },
    /// Tell everything about one person: where they stand, what the next run does with them, and why
    #[command(after_help = "Examples:\n  rosterd why staff E1007\n  rosterd why staff ann@acme.com")]
    Why {
        /// The sync
        sync: String,
        /// The person: a key, the target's id, or a value by which people are recognised
        who: String,
        /// How to print.
        #[command(flatten)]
        printing: Printing,
    },
    /// Erase what is kept of a person, and say what the target still has
    ///
    /// Acknowledged and observed values, undo data and held plans go; rows of the ledger stay without the person.
    #[command(after_help = "Example:\n  rosterd forget staff E1007")]
    Forget {
        /// The sync
        sync: String,
        /// The person's key
        key: String,
        /// How to print.
        #[command(flatten)]
        printing: Printing,
    },
    /// List the runs, newest first: when, what became of them, what began them, who approved and why
    Runs(RunsArgs),
    /// Search the ledger: what became of whom, when and why
    ///
    /// Text is newest first. JSON, one object a line, and CSV are oldest first; with --limit they are the newest so many.
    #[command(
        after_help = "Examples:\n  rosterd outcomes --limit 20\n  rosterd outcomes --key E1007\n  rosterd outcomes --sync staff --status failed --since 2d\n  rosterd outcomes --run 01J… --format csv > run.csv"
    )]
    Outcomes(OutcomesArgs),
    /// Show how each sync stands: last run, held plan, what is unresolved
    Status {
        /// The syncs to show; all of them unless named
        #[arg(value_name = "SYNC")]
        syncs: Vec<String>,
        /// How to print.
        #[command(flatten)]
        printing: Printing,
    },
    /// Run simulated targets on this machine, to try things on
    ///
    /// It prints their addresses and credentials, and runs until Ctrl-C. Nothing is kept.
    #[command(after_help = AFTER_SANDBOX_HELP)]
    Sandbox(SandboxArgs),
    /// Look after the state database
    State {
        /// What to do.
        #[command(subcommand)]
        command: StateCommand,
        /// How the result is printed
        #[arg(long, value_enum, value_name = "FORMAT", default_value = "text", global = true)]
        format: Format,
    },
    /// List the built-in target definitions, or print one to copy
    Targets {
        /// Print one.
        #[command(subcommand)]
        show: Option<TargetsCommand>,
    },
    /// Read a page of the manual, or see which there are
    #[command(after_help = "Example:\n  rosterd manual security")]
    Manual {
        /// The page
        topic: Option<String>,
    },
    /// Print the JSON Schema of the configuration, for editors
    ///
    /// An editor that knows TOML schemas then completes keys and says what they mean.
    #[command(
        after_help = "Examples:\n  rosterd schema > rosterd.schema.json       then head the configuration with #:schema rosterd.schema.json\n  rosterd schema --definition > definition.schema.json"
    )]
    Schema {
        /// The schema of target definitions instead
        #[arg(long)]
        definition: bool,
    },
    /// Print completions for a shell
    #[command(after_help = "Example:\n  rosterd completions bash > /etc/bash_completion.d/rosterd")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the man pages into a directory; into man1, man5 and man7 of one that is called man
    Man {
        /// The directory
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

/// Which syncs, and whom.
#[derive(Args, Clone, Debug)]
pub struct Scope {
    /// The syncs; all of them unless named
    #[arg(value_name = "SYNC")]
    pub syncs: Vec<String>,
    /// Only the person with this key; may be given several times. The whole source is read and judged all the same
    #[arg(long, value_name = "KEY")]
    pub only: Vec<String>,
}

/// `plans show`.
#[derive(Debug, Subcommand)]
pub enum PlansCommand {
    /// Show a held plan, operation by operation
    Show {
        /// The plan's id
        id: PlanId,
        /// How to print.
        #[command(flatten)]
        printing: Printing,
    },
}

/// `targets show`.
#[derive(Debug, Subcommand)]
pub enum TargetsCommand {
    /// Print a definition as TOML
    Show {
        /// The kind, e.g. juno
        kind: String,
    },
}

#[cfg(test)]
mod tests;
