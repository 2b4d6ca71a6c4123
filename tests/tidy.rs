//! The house rules that a compiler doesn't check: layers use only what they may, pure modules are pure, files have a page
//! at their head and are small, and nothing is left for later.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers, in the order in which they build on each other, and which of those above each may use. `src/lib.rs` lists
/// them in the same order.
const LAYERS: [(&str, &[&str]); 23] = [
    ("domain", &[]),
    ("os", &["domain"]),
    ("failpoints", &["domain"]),
    ("telemetry", &["domain", "os"]),
    ("mapping", &["domain", "os"]),
    ("api", &["domain", "failpoints"]),
    ("http", &["domain", "os", "telemetry"]),
    ("config", &["domain", "os", "mapping", "api", "http"]),
    ("state", &["domain", "os"]),
    ("source", &["domain", "os", "failpoints", "http", "config"]),
    ("account", &["domain", "os", "failpoints", "telemetry", "api", "http", "config", "state"]),
    ("plan", &["domain", "os", "failpoints", "mapping", "api", "config", "state", "source", "account"]),
    ("delivery", &["domain", "os", "failpoints", "api", "http", "config", "state", "account", "plan"]),
    (
        "run",
        &[
            "domain",
            "os",
            "failpoints",
            "mapping",
            "api",
            "http",
            "config",
            "state",
            "source",
            "account",
            "plan",
            "delivery",
        ],
    ),
    ("report", &["domain", "os", "mapping", "config", "state", "source", "plan", "run"]),
    ("terminal", &["domain", "telemetry"]),
    ("sandbox", &["domain", "os"]),
    ("manual", &["domain"]),
    ("server", &["domain", "os", "telemetry", "config", "state", "account", "run", "report"]),
    ("daemon", &["domain", "os", "telemetry", "config", "state", "account", "delivery", "run", "server"]),
    ("demo", &["domain", "os", "terminal", "sandbox"]),
    ("init", &["domain"]),
    ("cli", EVERYTHING),
];

/// What the command line may use.
const EVERYTHING: &[&str] = &[
    "domain",
    "os",
    "failpoints",
    "telemetry",
    "mapping",
    "api",
    "http",
    "config",
    "state",
    "source",
    "account",
    "plan",
    "delivery",
    "run",
    "report",
    "terminal",
    "sandbox",
    "manual",
    "server",
    "daemon",
    "demo",
    "init",
];

/// Folders that do no input or output, know no clock and no chance.
const PURE: [&str; 4] = ["domain", "mapping", "api", "init"];

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

/// The code of a text without its comments and the tests at its end.
fn code(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let tests =
        |at: usize| lines[at].trim() == "#[cfg(test)]" && lines.get(at + 1).is_some_and(|l| l.ends_with("mod tests {"));
    let end = (0..lines.len()).find(|at| tests(*at)).unwrap_or(lines.len());
    lines[..end].iter().filter(|line| !line.trim_start().starts_with("//")).copied().collect::<Vec<_>>().join("\n")
}

/// Whether a file holds tests and nothing else: those of a module are its `tests.rs`, or a folder `tests`.
fn is_of_tests(path: &Path) -> bool {
    path.iter().any(|part| part == "tests.rs" || part == "tests")
}

/// The module that a file of `src` is: `src/state/people.rs` is `state`, `people`.
fn module(path: &Path) -> Vec<String> {
    let relative = path.strip_prefix(root()).expect("below src").with_extension("");
    let mut parts: Vec<String> = relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    parts.retain(|part| !matches!(part.as_str(), "mod" | "lib" | "main"));
    parts
}

/// The folders of which a module of this code uses something, by `use` or by path.
fn uses(module: &[String], code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::").chain(code.match_indices("super::")) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            continue; // `rosterd_crate::`, `super::super::`: met from its beginning
        }
        let (mut rest, mut base) = (&code[at..], module.to_vec());
        if let Some(path) = rest.strip_prefix("crate::") {
            (rest, base) = (path, Vec::new());
        }
        while let Some(path) = rest.strip_prefix("super::") {
            rest = path;
            base.pop();
        }
        match base.first() {
            Some(folder) => found.extend([folder.clone()]),
            None => heads(rest, &mut found),
        }
    }
    found
}

/// The first names of a path, or of each in a list of them: `a::b` begins with `a`, `{a::b, c::{d, e}}` with `a` and `c`.
fn heads(path: &str, found: &mut BTreeSet<String>) {
    let Some(list) = path.strip_prefix('{') else {
        let name: String = path.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        found.extend((!name.is_empty()).then_some(name));
        return;
    };
    let (mut depth, mut begin) = (0, 0);
    for (at, letter) in list.char_indices() {
        match letter {
            ',' | '}' if depth == 0 => {
                heads(list[begin..at].trim(), found);
                begin = at + 1;
                if letter == '}' {
                    return;
                }
            }
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
}

/// What a file uses and may not, one sentence each.
fn offences(module: &[String], code: &str) -> Vec<String> {
    let Some(own) = module.first() else { return Vec::new() };
    let Some((_, allowed)) = LAYERS.iter().find(|(layer, _)| layer == own) else {
        return vec![format!("the folder {own} is not in the table of layers")];
    };
    let layers = uses(module, code).into_iter().filter(|used| LAYERS.iter().any(|(layer, _)| layer == used));
    let wrong = layers.filter(|used| used != own && !allowed.contains(&used.as_str()));
    wrong.map(|used| format!("{} uses {used}, and {own} may not", module.join("::"))).collect()
}

#[test]
fn layers_use_only_what_they_may() {
    let mut found = Vec::new();
    let files = sources(&root());
    for path in files.iter().filter(|path| !is_of_tests(path)) {
        let text = fs::read_to_string(path).expect("readable source");
        found.extend(offences(&module(path), &code(&text)));
    }
    assert!(files.len() > 200 && found.is_empty(), "{found:#?}");
}

#[test]
fn no_two_layers_use_each_other_and_lib_rs_lists_them_in_their_order() {
    for (at, (layer, allowed)) in LAYERS.iter().enumerate() {
        let above: Vec<&str> = LAYERS[..at].iter().map(|(name, _)| *name).collect();
        let wrong: Vec<_> = allowed.iter().filter(|used| !above.contains(used)).collect();
        assert!(wrong.is_empty(), "{layer} may use {wrong:?}, which stand below it");
    }
    let listed = fs::read_to_string(root().join("lib.rs")).expect("lib.rs");
    let listed: Vec<&str> =
        listed.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert_eq!(listed, LAYERS.map(|(layer, _)| layer), "src/lib.rs and the table of layers");
    let readme = fs::read_to_string(root().join("README.md")).expect("src/README.md");
    let missing = LAYERS.iter().filter(|(layer, _)| !readme.contains(&format!("`{layer}/`"))).collect::<Vec<_>>();
    assert!(missing.is_empty(), "src/README.md does not tell of {missing:?}");
}

#[test]
fn a_layer_that_uses_what_it_may_not_is_noticed() {
    let seen = |module: &str, code: &str| {
        let module: Vec<String> = module.split("::").map(str::to_string).collect();
        !offences(&module, code).is_empty()
    };
    for wrong in [
        "use crate::run::Runner;",
        "use crate::{domain::record::Key, run::{Runner, Read}};",
        "    let run = crate::run::binding(1);",
        "use super::super::run::Runner;",
        "pub use super::super::{\n    state,\n    run::Runner,\n};",
        "fn f(x: &crate::run::Runner) {}",
    ] {
        assert!(seen("plan::merge", wrong), "{wrong}");
    }
    for right in [
        "use crate::domain::record::Key;",
        "use crate::{domain::record::{Key, Record}, state::State};",
        "use super::run::Runner;",
        "let other_crate::run = 1;",
        "use crate::plan::run;",
    ] {
        assert!(!seen("plan::merge", right), "{right}");
    }
    assert!(seen("attic::old", "use std::fmt;"), "a folder that the table does not have");
    let commented = code("use std::fmt;\n// crate::run\n#[cfg(test)]\nmod tests {\n    use crate::run::Runner;\n}\n");
    assert!(!seen("domain::record", &commented), "{commented}");
}

#[test]
fn pure_modules_are_pure() {
    let mut offences = Vec::new();
    for module in PURE {
        let files = sources(&root().join(module));
        assert!(!files.is_empty(), "{module} has no sources");
        for path in files.iter().filter(|path| !is_of_tests(path)) {
            let code = code(&fs::read_to_string(path).expect("readable source"));
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
        let tests_only = is_of_tests(&path);
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
    let readme = fs::read_to_string(root.join("src/README.md")).expect("src/README.md");
    let promises = readme.split("<!-- promises -->").nth(1).and_then(|rest| rest.split("<!-- /promises -->").next());
    let named: Vec<&str> = promises.expect("the promises").split('`').skip(1).step_by(2).collect();
    let places = [root.join("tests"), root.join("src")];
    let files = places.iter().flat_map(|place| sources(place));
    let code: Vec<String> = files.map(|path| fs::read_to_string(path).expect("tests")).collect();
    let missing = |name: &&str| !code.iter().any(|text| text.contains(&format!("fn {name}()")));
    let missing: Vec<_> = named.iter().copied().filter(missing).collect();
    assert!(named.len() > 20 && missing.is_empty(), "no test is called {missing:?}");
}

/// What stands in tables of messages is said by the program: code, not tests.
#[test]
fn messages_that_the_manual_explains_are_said_by_the_program() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("src/manual/troubleshooting.md")).expect("a page");
    let said: String = sources(&root.join("src"))
        .iter()
        .filter(|path| !is_of_tests(path))
        .map(|path| fs::read_to_string(path).expect("source"))
        .collect();
    // A text that is broken over lines is one all the same.
    let said = said.replace("\\\n", "\n").split_whitespace().collect::<Vec<_>>().join(" ");
    let tables = page.split("| the message |").skip(1);
    let rows = tables.flat_map(|table| table.lines().skip(2).take_while(|line| line.starts_with('|')));
    let cells: Vec<&str> =
        rows.flat_map(|row| row.split('|').nth(1).expect("a cell").split('`').skip(1).step_by(2)).collect();
    // What differs from time to time is written as three dots.
    let missing: Vec<_> =
        cells.iter().flat_map(|text| text.split('…')).filter(|part| !said.contains(part.trim())).collect();
    assert!(cells.len() > 30 && missing.is_empty(), "nothing says {missing:?}");
}
