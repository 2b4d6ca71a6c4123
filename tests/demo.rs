//! `rosterd demo`: the text of real commands, in colour where it is asked for, and nothing left behind.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Home, Ran};

/// The demo, with its temporary directory inside of this home.
fn demo(home: &Home, colours: bool) -> Ran {
    let mut command = home.command(&["demo"]);
    command.env("TMPDIR", home.path()).env("COLUMNS", "80");
    if colours {
        command.env_remove("NO_COLOR").env("CLICOLOR_FORCE", "1");
    }
    let ran = Ran::of(&command.output().expect("the binary runs"));
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    nothing_is_left_in(home);
    ran
}

#[track_caller]
fn nothing_is_left_in(home: &Home) {
    let left = std::fs::read_dir(home.path()).expect("the home").flatten().map(|entry| entry.file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with("rosterd-demo-")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_demo_shows_what_the_commands_print() {
    let shown = demo(&Home::empty(), false).stdout;
    assert!(!shown.contains('\u{1b}'), "{shown}");
    let mut rest = shown.as_str();
    for expected in [
        "\n$ rosterd plan juno\njuno: hr → juno  plan ",
        "\n  Create 296\n    E1001       Märta Ängqvist ",
        "more lines, left out here\n",
        "\n$ rosterd sync\njuicebox: ok  run ",
        "\n  296 created, 4 adopted; 306 records read, ",
        "\n(exit code 75)\n",
        "\n$ rosterd sync juno\njuno: held  run ",
        "\n(exit code 3)\n",
        "\n$ rosterd plans show ",
        "\n$ rosterd approve ",
        "\n$ rosterd why juno ",
        "\njuno: untrusted  run ",
        "\n$ rosterd undo ",
        "\n$ rosterd reconcile juno\n",
        "\n$ rosterd init --source people.csv ",
        "\nclient_id = \"Employee #\"\n",
        "\n  Create 10\n",
    ] {
        let at = rest.find(expected).unwrap_or_else(|| panic!("{expected:?} is missing in:\n{shown}"));
        rest = &rest[at + expected.len() - 1..];
    }
    let ours = shown.lines().filter(|line| line.starts_with("# ") || line.starts_with('─'));
    for line in ours {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn the_demo_keeps_the_colours_of_the_commands() {
    let shown = demo(&Home::empty(), true).stdout;
    for expected in ["\u{1b}[1m$ rosterd sync\u{1b}[0m\n", "\u{1b}[1mjuno\u{1b}[0m: \u{1b}[32mok\u{1b}[0m  "] {
        assert!(shown.contains(expected), "{expected:?} is missing in:\n{shown}");
    }
    assert!(!shown.contains("\\u{1b}"), "{shown}");
}

#[test]
fn a_demo_that_nobody_reads_to_its_end_leaves_nothing_behind() {
    let home = Home::empty();
    let mut demo = home.command(&["demo"]);
    demo.env("TMPDIR", home.path()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut running = demo.spawn().expect("the binary runs");
    let mut reader = BufReader::new(running.stdout.take().expect("its output"));
    let begun = reader.by_ref().lines().map_while(Result::ok).any(|line| line.starts_with("$ rosterd plan"));
    drop(reader);
    let ended = running.wait().expect("it ends");
    assert!(begun);
    assert_eq!(ended.code(), Some(141), "as one that SIGPIPE ended");
    nothing_is_left_in(&home);
}

#[test]
fn a_demo_that_a_signal_ends_leaves_nothing_behind() {
    for (signal, code) in [(Signal::INT, 130), (Signal::HUP, 129), (Signal::TERM, 143)] {
        let home = Home::empty();
        let mut demo = home.command(&["demo"]);
        demo.env("TMPDIR", home.path()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut running = demo.spawn().expect("the binary runs");
        let mut lines = BufReader::new(running.stdout.take().expect("its output")).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.starts_with("$ rosterd plan")));
        kill_process(Pid::from_child(&running), signal).expect("it is there");
        let rest: Vec<String> = lines.collect();
        assert_eq!(running.wait().expect("it ends").code(), Some(code), "{rest:#?}");
        nothing_is_left_in(&home);
    }
}
