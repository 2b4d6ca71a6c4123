//! The manual as people see it: on a terminal, in a pipe, and by `man`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rosterd::manual::{PAGES, Section};

use crate::support::{Home, Ran, skipped};
use crate::terminal::{on_a_terminal, there_are_terminals};

#[test]
fn topics_stand_below_headings_and_a_slip_is_understood() {
    let home = Home::empty();
    let list = home.run(&["manual"]).exits(0).stdout;
    for section in Section::ALL {
        let has_pages = PAGES.iter().any(|page| page.section == section);
        assert_eq!(list.contains(&format!("\n\n{}\n  ", section.heading())), has_pages, "{list}");
    }
    for page in PAGES {
        assert!(list.lines().any(|line| line.trim().starts_with(page.topic) && line.ends_with(page.summary)), "{list}");
    }
    assert!(list.lines().all(|line| line.chars().count() <= 80), "{list}");
    for (typed, told) in [
        ("leaver", "did you mean leavers?"),
        ("frist-sync", "did you mean first-sync?"),
        ("undo", "the word stands in: migrate, limits, "),
        ("frobnicate", "the pages are: first-sync"),
    ] {
        let ran = home.run(&["manual", typed]).exits(64);
        assert!(ran.stderr.contains(told), "{typed}: {}", ran.stderr);
    }
}

#[test]
fn a_page_fits_where_it_is_shown() {
    let home = Home::empty();
    let piped = home.run(&["manual", "Limits"]).exits(0).stdout;
    assert!(piped.starts_with("Limits and approvals\n====================\n\nBefore anything is sent,"), "{piped}");
    assert!(piped.contains("\n    ban = { count = 5, percent = 2 }\n"), "{piped}");
    assert!(piped.lines().all(|line| line.chars().count() <= 80), "{piped}");
    assert!(!piped.contains('\u{1b}'), "{piped}");
    if there_are_terminals() {
        let shown = on_a_terminal(&home, 60, &["manual", "limits"]);
        let is_fitting = |line: &str| line.chars().count() <= 60 || line.starts_with("    ");
        assert!(shown.lines().all(is_fitting) && shown.lines().count() > piped.lines().count(), "{shown}");
    }
}

/// The files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

#[test]
fn man_pages_are_where_man_looks_for_them_and_right() {
    let home = Home::empty();
    let (flat, tree) = (home.path().join("pages"), home.path().join("man"));
    for directory in [&flat, &tree] {
        home.run(&["man", &directory.display().to_string()]).exits(0);
    }
    let names = |files: &[PathBuf]| {
        let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned()).expect("a name");
        let mut names: Vec<String> = files.iter().map(name).collect();
        names.sort();
        names
    };
    let pages = files(&tree);
    assert_eq!(names(&pages), names(&files(&flat)));
    for (file, is_one) in [("man1/rosterd.1", true), ("man5/rosterd.toml.5", true), ("man1/rosterd.toml.5", false)] {
        assert_eq!(tree.join(file).exists(), is_one, "{file}");
    }
    for page in PAGES {
        assert!(tree.join(format!("man7/rosterd-{}.7", page.topic)).exists(), "{}", page.topic);
    }
    if Command::new("mandoc").arg("/dev/null").output().is_err() {
        return skipped("mandoc is not there: whether man pages are right");
    }
    for page in pages.iter().filter(|page| page.extension().is_some_and(|section| section != "1")) {
        let lint = Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).arg(page).output().expect("mandoc");
        let told = Ran::of(&lint).stdout;
        let wrong: Vec<&str> = told.lines().filter(|line| !line.contains("missing date")).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        let shown = Command::new("mandoc").args(["-T", "utf8", "-O", "width=80"]).arg(page).output().expect("mandoc");
        let shown = Ran::of(&shown).stdout;
        let code = " ".repeat(11);
        let wide: Vec<&str> = shown.lines().filter(|line| visible(line) > 80 && !line.starts_with(&code)).collect();
        assert!(wide.is_empty(), "{}: {wide:#?}", page.display());
    }
}

/// How many columns a line of mandoc's takes, in which `X`, backspace, `X` is a bold X.
fn visible(line: &str) -> usize {
    line.chars().count() - 2 * line.matches('\u{8}').count()
}
