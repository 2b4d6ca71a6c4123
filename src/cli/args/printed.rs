//! What kind of output a command has: logs and failures are written to suit it.

use super::{Command, Format, LedgerFormat, PlansCommand};

impl Command {
    /// Whether it tells people what became of a run, in words of its own.
    pub fn tells_people(&self) -> bool {
        let printing = match self {
            Command::Sync { printing, .. } | Command::Approve { printing, .. } => printing,
            _ => return false,
        };
        printing.format == Format::Text
    }

    /// Whether it looks at the configuration and the state alone, one thing after the other.
    pub fn only_looks(&self) -> bool {
        match self {
            Command::Check { connect, .. } => !connect,
            Command::Plans { .. }
            | Command::Outcomes(_)
            | Command::Runs(_)
            | Command::Status { .. }
            | Command::Targets { .. }
            | Command::Manual { .. }
            | Command::Schema { .. }
            | Command::Completions { .. }
            | Command::Man { .. } => true,
            _ => false,
        }
    }

    /// Whether its result is JSON, so that a failure is printed as JSON too.
    pub fn prints_json(&self) -> bool {
        match self {
            Command::Check { printing, .. }
            | Command::Accept { printing, .. }
            | Command::Test { printing, .. }
            | Command::Plan { printing, .. }
            | Command::Sync { printing, .. }
            | Command::Approve { printing, .. }
            | Command::Discard { printing, .. }
            | Command::Pause { printing, .. }
            | Command::Resume { printing, .. }
            | Command::Rekey { printing, .. }
            | Command::Reconcile { printing, .. }
            | Command::Forget { printing, .. }
            | Command::Why { printing, .. }
            | Command::Undo { printing, .. }
            | Command::Trigger { printing, .. }
            | Command::Status { printing, .. } => printing.format == Format::Json,
            Command::State { format, .. } => *format == Format::Json,
            Command::Plans { show: Some(PlansCommand::Show { printing, .. }), .. }
            | Command::Plans { printing, .. } => printing.format == Format::Json,
            Command::Runs(runs) => runs.printing.format == Format::Json,
            Command::Outcomes(outcomes) => outcomes.format == LedgerFormat::Json,
            Command::Init(_)
            | Command::Demo
            | Command::Run
            | Command::Sandbox(_)
            | Command::Targets { .. }
            | Command::Manual { .. }
            | Command::Schema { .. }
            | Command::Completions { .. }
            | Command::Man { .. } => false,
        }
    }
}
