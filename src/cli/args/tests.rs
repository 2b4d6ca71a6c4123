//! What is typed, and what is made of it.

use super::*;
use crate::domain::exit::Exit;

fn read(line: &str) -> Result<Cli, NotRun> {
    Cli::read(std::iter::once("rosterd").chain(line.split_whitespace()))
}

#[test]
fn the_definition_is_sound() {
    Cli::definition().debug_assert();
}

#[test]
fn configuration_files_add_up_wherever_they_stand() {
    let files = |line: &str| read(line).expect("valid").global.config;
    assert_eq!(files("--config a.toml --config b.toml check"), [PathBuf::from("a.toml"), "b.toml".into()]);
    assert_eq!(files("check --config a.toml --config b.toml"), [PathBuf::from("a.toml"), "b.toml".into()]);
    if std::env::var_os("ROSTERD_CONFIG").is_none() {
        assert_eq!(files("check"), [PathBuf::from(DEFAULT_CONFIG)]);
    }
}

#[test]
fn wrong_usage_is_64_and_help_is_no_error() {
    for line in
        ["frobnicate", "plan --frob", "approve", "-q -v check", "sandbox --fail 101", "outcomes --status bad", ""]
    {
        match read(line) {
            Err(NotRun::Usage { failure, .. }) => assert_eq!(failure.exit(), Exit::Usage, "{line}"),
            other => panic!("{line}: {other:?}"),
        }
    }
    for line in ["--help", "plan --help", "--version"] {
        assert!(matches!(read(line), Err(NotRun::Print(_))), "{line}");
    }
}

#[test]
fn json_is_known_from_the_command() {
    for (line, json) in [
        ("check --format json", true),
        ("check", false),
        ("outcomes --format csv", false),
        ("outcomes --format json", true),
        ("plans show 1 --format json", true),
        ("plans --format json", true),
        ("state info", false),
        ("state --format json verify", true),
        ("state verify --format json", true),
    ] {
        assert_eq!(read(line).expect(line).command.prints_json(), json, "{line}");
    }
}
