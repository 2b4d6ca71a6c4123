//! The house rules that a compiler doesn't check: pure modules are pure, files have a page at their head and are
//! small, and nothing is left for later.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules that do no I/O, know no clock and no chance. A name without `.rs` is a folder.
const PURE: [&str; 18] = [
    "bounded.rs",
    "identity.rs",
    "record.rs",
    "value.rs",
    "mapping",
    "diff.rs",
    "rules.rs",
    "plan.rs",
    "limits.rs",
    "retry.rs",
    "schedule.rs",
    "outcome.rs",
    "trust.rs",
    "undo.rs",
    "nearest.rs",
    "visible.rs",
    "address.rs",
    "target",
];

/// What a pure module must not mention.
const IMPURE: [&str; 14] = [
    "tokio",
    "reqwest",
    "rusqlite",
    "governor",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "Utc::now",
    "Local::now",
    "rand::",
];

/// A file longer than this usually has two subjects.
const LONGEST: usize = 500;

fn sources(under: &Path) -> Vec<PathBuf> {
    if under.is_file() {
        return vec![under.to_path_buf()];
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(under).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The code of a file without its comments and its tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("readable source");
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn pure_modules_are_pure() {
    let mut offences = Vec::new();
    for module in PURE {
        let files = sources(&root().join(module));
        assert!(!files.is_empty(), "{module} has no sources");
        for path in files.iter().filter(|p| !p.ends_with("tests.rs")) {
            let code = code(path);
            let found = IMPURE.iter().filter(|word| code.contains(**word));
            offences.extend(found.map(|word| format!("{} mentions {word}", path.display())));
        }
    }
    assert!(offences.is_empty(), "{offences:#?}");
}

#[test]
fn each_file_has_a_page_at_its_head_and_one_subject() {
    let mut offences = Vec::new();
    for path in sources(&root()) {
        let text = fs::read_to_string(&path).expect("readable source");
        let tests_only = path.ends_with("tests.rs") || path.to_string_lossy().contains("_tests");
        if !text.starts_with("//!") && !tests_only {
            offences.push(format!("{} has no module page", path.display()));
        }
        let lines = text.split("#[cfg(test)]").next().unwrap_or_default().lines().count();
        if lines > LONGEST && !tests_only {
            offences.push(format!("{} has {lines} lines before its tests", path.display()));
        }
    }
    assert!(offences.is_empty(), "{offences:#?}");
}

#[test]
fn nothing_is_left_for_later() {
    let mut offences = Vec::new();
    for path in sources(&root()) {
        let text = fs::read_to_string(&path).expect("readable source");
        let found = ["TODO", "FIXME", "todo!(", "unimplemented!("].iter().filter(|word| text.contains(**word));
        offences.extend(found.map(|word| format!("{} says {word}", path.display())));
    }
    assert!(offences.is_empty(), "{offences:#?}");
}

#[test]
fn promises_are_kept_by_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).expect("a README");
    let promises = readme.split("<!-- promises -->").nth(1).and_then(|rest| rest.split("<!-- /promises -->").next());
    let named: Vec<&str> = promises.expect("the promises").split('`').skip(1).step_by(2).collect();
    let places = [root.join("tests"), root.join("src")];
    let files = places.iter().flat_map(|place| sources(place));
    let code: Vec<String> = files.map(|path| fs::read_to_string(path).expect("tests")).collect();
    let missing = |name: &&str| !code.iter().any(|text| text.contains(&format!("fn {name}()")));
    let missing: Vec<_> = named.iter().copied().filter(missing).collect();
    assert!(named.len() > 20 && missing.is_empty(), "no test is called {missing:?}");
}
