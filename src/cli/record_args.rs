//! What can be typed after `rosterd runs`, `rosterd outcomes` and `rosterd state`: the ledger and the database behind it.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::args::{LedgerFormat, Printing};
use crate::domain::ids::RunId;

/// `runs`.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Examples:\n  rosterd runs\n  rosterd runs --sync staff --since 7d\n  rosterd runs --limit 1 --format json"
)]
pub struct RunsArgs {
    /// Of this sync
    #[arg(long, value_name = "SYNC")]
    pub sync: Option<String>,
    /// Begun since then: a time or a date of your zone (2026-11-22, "2026-11-22 04:34"), one with its zone
    /// (2026-11-22T03:34:00Z), or how long ago (2h, 7d)
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// The newest so many; on a terminal 20 unless you say, else all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// How to print.
    #[command(flatten)]
    pub printing: Printing,
}

/// `outcomes`.
#[derive(Args, Clone, Debug)]
pub struct OutcomesArgs {
    /// Of this sync
    #[arg(long, value_name = "SYNC")]
    pub sync: Option<String>,
    /// Of this run; ids are in `rosterd runs`
    #[arg(long, value_name = "ID")]
    pub run: Option<RunId>,
    /// Of this person, also under keys that they had before a `rekey`
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// With this status: ok, failed, unknown, rejected, held, skipped
    #[arg(long, value_name = "STATUS", value_parser = status)]
    pub status: Option<crate::domain::outcome::Status>,
    /// Since then: a time or a date of your zone (2026-11-22, "2026-11-22 04:34"), one with its zone
    /// (2026-11-22T03:34:00Z), or how long ago (2h, 7d)
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// The newest so many; on a terminal 100 unless you say, else all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// How the ledger is printed
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub format: LedgerFormat,
}

fn status(name: &str) -> Result<crate::domain::outcome::Status, String> {
    let names = crate::domain::outcome::Status::ALL.map(|s| s.name());
    crate::domain::outcome::Status::parse(name).ok_or_else(|| format!("statuses are {}", names.join(", ")))
}

/// `state …`.
#[derive(Clone, Debug, Subcommand)]
pub enum StateCommand {
    /// Show where it is, how large, and what is in it
    Info,
    /// Read all of it and see whether it is sound; ends with 70 when it isn't
    Verify,
    /// Copy it to a file, while others go on working with it
    ///
    /// Nothing is overwritten. When the copy is put in the database's place one day, the next sync recognises it and
    /// compares every account with the target before it sends anything.
    #[command(after_help = "Example:\n  rosterd state backup /var/backups/rosterd-$(date +%F).db")]
    Backup {
        /// The file to make
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Put a backup in the database's place, and have it compared with the targets before anything is sent
    ///
    /// Nobody may be sending meanwhile. The database that was there stays beside it under another name.
    #[command(after_help = "Example:\n  rosterd state restore /var/backups/rosterd-2026-11-22.db")]
    Restore {
        /// The backup
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Move what is kept of a sync to the name that it has in the configuration now
    ///
    /// Without it, a sync under a new name takes up whom it finds again, and knows nothing of those who have left: their
    /// accounts would stay active. Nothing is sent; the next run goes on where the last one of the old name ended.
    #[command(name = "rename-sync", after_help = "Example:\n  rosterd state rename-sync staff people")]
    RenameSync {
        /// The name in the state, which the configuration no longer has
        #[arg(value_name = "OLD")]
        old: String,
        /// The name in the configuration
        #[arg(value_name = "NEW")]
        new: String,
    },
    /// Erase what is kept of a sync that the configuration no longer has
    ///
    /// Its people, held plans and operations without an answer are erased; rows of the ledger stay, without the people.
    /// Nothing is sent: accounts stay as they are, and how many are active is said.
    #[command(name = "forget-sync", after_help = "Example:\n  rosterd state forget-sync interns-2024")]
    ForgetSync {
        /// The sync
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Forget outcomes, runs and decided plans that are older; what is known of people is not touched
    #[command(after_help = "Example:\n  rosterd state prune --older-than 90d")]
    Prune {
        /// How old they must be, e.g. 90d
        #[arg(long, value_name = "SPAN")]
        older_than: crate::domain::units::Span,
    },
}
