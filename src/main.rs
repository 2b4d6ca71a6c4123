//! The `rosterd` program: reads the command line, does what it says, ends with an exit code. All else is in the
//! library.

use std::process::ExitCode;

fn main() -> ExitCode {
    rosterd::cli::main(std::env::args_os())
}
