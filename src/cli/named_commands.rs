//! Every command that a message, a comment or the documentation names can be typed.

use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use regex::Regex;

use super::args::Cli;

/// The files whose text people read: the program's own, and what documents it.
fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut files, mut folders) = (vec![root.join("README.md")], vec![root.join("src"), root.join("config")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.extension().and_then(|e| e.to_str()) {
                _ if path.is_dir() => folders.push(path),
                Some("rs" | "toml" | "md") => files.push(path),
                _ => {}
            }
        }
    }
    files
}

/// Whether this can be typed: values are placeholders, so what they are is not judged.
fn can_be_typed(words: &[String]) -> bool {
    let typed = std::iter::once("rosterd").chain(words.iter().map(String::as_str));
    let faults = [
        ErrorKind::InvalidSubcommand,
        ErrorKind::UnknownArgument,
        ErrorKind::MissingRequiredArgument,
        ErrorKind::MissingSubcommand,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
        ErrorKind::TooManyValues,
        ErrorKind::ArgumentConflict,
    ];
    Cli::try_parse_from(typed).err().is_none_or(|error| !faults.contains(&error.kind()))
}

/// The words of a command, quoted ones as one, each placeholder as some value.
fn words(text: &str) -> Vec<String> {
    let pattern = Regex::new(r#""[^"]*"|\{[^}]*\}|[^\s"{}]+"#).expect("a pattern");
    let found = pattern.find_iter(text).map(|word| word.as_str().trim_matches('"').to_owned());
    found.map(|word| if word.starts_with('{') || word == "…" { "x".into() } else { word }).collect()
}

/// How many words at the beginning name a command, and one of its own.
fn named(words: &[String]) -> usize {
    let mut command = Cli::command();
    let mut count = 0;
    while let Some(next) = words.get(count).and_then(|word| command.find_subcommand(word)).cloned() {
        (command, count) = (next, count + 1);
    }
    count
}

/// What people read of a file: of a program, not what is said among those who write it, and not its tests.
fn read_by_people(file: &Path) -> String {
    let text = std::fs::read_to_string(file).expect("text");
    let is_help = file.parent().is_some_and(|folder| folder.ends_with("args")) || file.ends_with("record_args.rs");
    if file.extension().is_none_or(|e| e != "rs") {
        return text;
    }
    let program = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let is_comment = |line: &&str| {
        let line = line.trim_start();
        line.starts_with("//") && !(is_help && line.starts_with("/// "))
    };
    let lines: Vec<&str> = program.lines().filter(|line| !is_comment(line)).collect();
    // A text goes on after a backslash at the end of its line.
    Regex::new(r"\\\n\s*").expect("a pattern").replace_all(&lines.join("\n"), "").into_owned()
}

/// What is wrong with the commands that a text names.
fn faults(text: &str) -> (usize, Vec<String>) {
    let text = text.replace("\\\"", "\"");
    let (mut seen, mut wrong) = (0, Vec::new());
    // Between backticks stands a command and nothing else.
    let exact = Regex::new(r"`rosterd ([a-z][^`\n]*)`").expect("a pattern");
    for found in exact.captures_iter(&text) {
        seen += 1;
        // What may be left out, and what a shell does with it, is not a part of it.
        let typed = found[1].split(" > ").next().unwrap_or_default().replace(['[', ']'], "");
        if !can_be_typed(&words(&typed)) {
            wrong.push(format!("rosterd {}", &found[1]));
        }
    }
    // Within a sentence a command begins with one that there is, and ends somewhere.
    let loose = Regex::new(r"rosterd ([a-z][^`\n,;:.()|\\]*)").expect("a pattern");
    let commands: Vec<String> = Cli::command().get_subcommands().map(|c| c.get_name().to_owned()).collect();
    for found in loose.captures_iter(&text) {
        let typed = words(&found[1]);
        // `rosterd` is a name in sentences too: "rosterd plans", "rosterd does".
        if !typed.first().is_some_and(|first| commands.contains(first)) {
            continue;
        }
        seen += 1;
        if !(named(&typed)..=typed.len()).any(|length| can_be_typed(&typed[..length])) {
            wrong.push(format!("rosterd {}", &found[1]));
        }
    }
    (seen, wrong)
}

#[test]
fn commands_that_are_named_can_be_typed() {
    let (mut seen, mut wrong) = (0, Vec::new());
    // On the page commands are put together of parts, between tags.
    let is_read = |file: &PathBuf| {
        let is_page = file.parent().is_some_and(|folder| folder.ends_with("server/page"));
        !is_page && !file.ends_with("named_commands.rs") && !file.ends_with("tests.rs")
    };
    for file in files().into_iter().filter(is_read) {
        let (here, faults) = faults(&read_by_people(&file));
        seen += here;
        wrong.extend(faults.into_iter().map(|fault| format!("{}: {fault}", file.display())));
    }
    assert!(seen > 60, "{seen} commands");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_can_not_be_typed_is_found() {
    for text in [
        "listed by `rosterd targets show`",
        "see rosterd targets show",
        "`rosterd nothing`",
        "`rosterd plan --dryrun`",
        "run rosterd approve",
    ] {
        assert!(!faults(text).1.is_empty(), "{text}");
    }
    for text in [
        "`rosterd targets show {kind}`",
        "rosterd targets show {} prints it",
        "`rosterd approve ID --reason \"they left\"`",
        "see: rosterd plans",
        "rosterd does it",
        "run it here with rosterd sync staff, or start the daemon: rosterd run",
    ] {
        assert_eq!(faults(text).1, Vec::<String>::new(), "{text}");
    }
}
