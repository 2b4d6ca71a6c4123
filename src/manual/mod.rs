//! The manual: plain pages that are part of the program, so that they are of the same version and there without a network.
//!
//! # The format of a page
//!
//! A page is `TOPIC.md`, CommonMark with tables, and begins with `# Title`. It consists of headings, paragraphs, lists,
//! tables and fenced blocks: no quotations, pictures, rules or HTML, and no indented blocks. Lines have at most 120
//! characters, but those of tables. Another page is named as `rosterd manual TOPIC`, or linked as `[text](TOPIC.md)`. The
//! README is written likewise.
//!
//! [`plain`] shows a page on terminals and in pipes, `cli::man` as a man page. `cargo test` (`tests/manual/`) does what
//! the blocks say; what stands after the opening fence says how:
//!
//! | block | what is done with it |
//! |---|---|
//! | `sh` | commands, run by `bash -e`. A page is one session in a directory of its own: environment and directory go on from block to block. `rosterd` is this program, and `http://127.0.0.1:8480` the sandbox. A block with a line that begins with `cargo ` or `.ci/` is for the sources, and not run: `.ci/run` has to have the lines of the README's |
//! | `sh machine` | commands for a machine with the package and systemd. `.ci/package` runs them as root in a booted system, and there comments take one line each |
//! | `toml` | configuration, judged by `rosterd check`: alone when it is whole (it has `[state]` and a sync), else laid over `tests/manual/fixtures/staff/rosterd.toml`. What it has whole (a source with `kind`, a target with `kind`, a sync with `source`) takes the place of what has the name there. Secrets that it names are there |
//! | `text` | output, or a picture. No line begins with `rosterd ` or `$ ` |
//! | `json`, `csv`, `xml` | data; it must parse |
//!
//! Comments on lines of their own before a block say more. Readers don't see them.
//!
//! | comment | before | what it means |
//! |---|---|---|
//! | `<!-- given: COMMANDS -->` | any block | they are run first, and may span lines. `fixture staff` puts an export of twelve people (`hr.csv`), a configuration and a token into the directory, and sets `ROSTERD_CONFIG` |
//! | `<!-- replace: TEXT = COMMAND -->` | any block | `TEXT` in the block is replaced by what the command prints; `plan_id` prints the id of the plan that waits, `run_id` that of the last run |
//! | `<!-- file: NAME -->` | any block | the block's text is written to this file, in the directory where the commands are |
//! | `<!-- exits: CODE -->` | `sh`, `sh machine` | its last command ends with this code, not with 0 |
//! | `<!-- until: COMMAND -->` | `sh` | it is started, and asked to end (SIGTERM) when the command succeeds |
//! | `<!-- beside: COMMAND -->` | `sh` | it is started, and goes on until the page ends; the next block begins when the command succeeds. Where a block runs `rosterd sandbox`, there is no other |
//! | `<!-- below: TABLE -->` | `toml` | it stands below this table, e.g. `[syncs.staff.map]` |
//! | `<!-- definition -->` | `toml` | it is a part of a target's definition, laid over `config/people-api.toml` and judged by the schema |
//! | `<!-- prints -->` | `text` | it is what the `sh` block before printed, line by line. Ids, times, durations and the width of gaps are set aside; a line `…` stands for any lines, `…` within a line for any text |
//!
//! A block may take a minute. Whatever it leaves running ends with it, or, with `beside`, with the page.

pub mod plain;
pub mod reader;
pub mod roff;
mod table;

/// Where a page stands in the list of pages: what its readers have before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Installing, moving here, a first sync.
    Started,
    /// What happens to people, and how much at once.
    People,
    /// Where people come from, and where they go to.
    Ends,
    /// Running it, day and night.
    Operation,
    /// Everything, by name.
    Reference,
}

impl Section {
    /// All sections, in their order.
    pub const ALL: [Section; 5] =
        [Section::Started, Section::People, Section::Ends, Section::Operation, Section::Reference];

    /// Its heading.
    pub fn heading(self) -> &'static str {
        match self {
            Section::Started => "Getting started",
            Section::People => "People",
            Section::Ends => "Sources and targets",
            Section::Operation => "Operation",
            Section::Reference => "Reference",
        }
    }
}

/// One page.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Where it stands.
    pub section: Section,
    /// What it is asked for by; its file is `TOPIC.md` beside this one.
    pub topic: &'static str,
    /// What it is about, in a line.
    pub summary: &'static str,
    /// The page, as Markdown.
    pub text: &'static str,
}

/// The page in the file `TOPIC.md`.
macro_rules! page {
    ($section:ident, $topic:literal, $summary:literal) => {
        Page {
            section: Section::$section,
            topic: $topic,
            summary: $summary,
            text: include_str!(concat!($topic, ".md")),
        }
    };
}

/// All pages: by section, and there in the order in which somebody would read them. A line is a page.
pub const PAGES: &[Page] = &[
    page!(Started, "first-sync", "from an export to a scheduled sync, step by step"),
    page!(Started, "install", "packages, the service, container, Kubernetes"),
    page!(Started, "migrate", "moving here from scripts and from other tools"),
    page!(People, "people", "joiners, leavers, rehires, new numbers, two jobs"),
    page!(People, "leavers", "who counts as having left, and what is done then"),
    page!(People, "limits", "how much may change at once, approvals, undo"),
    page!(People, "rules", "what is done with whom: the whole table"),
    page!(Ends, "cel", "conditions and values: columns, text, dates, recipes"),
    page!(Ends, "csv", "a source: delimited text"),
    page!(Ends, "json", "a source: JSON and NDJSON"),
    page!(Ends, "http", "a source: an API that answers in pages"),
    page!(Ends, "union", "several sources as one"),
    page!(Ends, "juno", "a target: JUNO"),
    page!(Ends, "juicebox", "a target: Juicebox, by invitations"),
    page!(Ends, "longjump", "a target: LongJump, by sessions and XML"),
    page!(Ends, "scim", "a target: SCIM 2.0 servers"),
    page!(Ends, "rest", "a target of your own: any other REST API"),
    page!(Ends, "definitions", "every key of a target's definition"),
    page!(Operation, "troubleshooting", "when it says no: exit codes, messages, what to do"),
    page!(Operation, "monitoring", "journal, page, metrics, alerts, notifications"),
    page!(Operation, "upgrade", "a new version, and back again"),
    page!(Operation, "restore", "backups, and what happens after one was put back"),
    page!(Operation, "sizing", "what is bounded by what, and what comes of more"),
    page!(Operation, "security", "what is protected, from whom, and by what"),
    page!(Reference, "commands", "every command, options, exit codes"),
    page!(Reference, "configuration", "every key: what it means, and its default"),
    page!(Reference, "records", "outcomes, JSON of each command, the database"),
];

/// The page on this topic, in whatever case it is typed.
pub fn page(topic: &str) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.topic.eq_ignore_ascii_case(topic))
}

/// The pages in which this word stands, in whatever case.
pub fn pages_with(word: &str) -> Vec<&'static str> {
    let word = word.trim().to_lowercase();
    let has = |page: &&Page| !word.is_empty() && page.text.to_lowercase().contains(&word);
    PAGES.iter().filter(has).map(|page| page.topic).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::reader::Block;
    use super::*;
    use crate::domain::local_time::LocalTime;
    use crate::mapping::{Expression, Scope};
    use serde_json::Value;

    #[test]
    fn pages_are_in_order_fit_a_terminal_and_name_pages_that_exist() {
        assert!(PAGES.is_sorted_by_key(|page| Section::ALL.iter().position(|section| *section == page.section)));
        let topics: BTreeSet<&str> = PAGES.iter().map(|page| page.topic).collect();
        assert_eq!(topics.len(), PAGES.len(), "a topic stands twice");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/manual");
        for entry in std::fs::read_dir(folder).expect("the pages") {
            let path = entry.expect("an entry").path();
            let topic = path.file_stem().and_then(|stem| stem.to_str()).expect("a name");
            assert!(path.extension().is_none_or(|e| e != "md") || topics.contains(topic), "{topic} is not in PAGES");
        }
        for page in PAGES {
            // In the list of pages a line holds both.
            assert!(page.topic.len() <= 15 && page.summary.len() <= 60, "{}", page.topic);
            assert!(page.text.starts_with("# ") && page.text.ends_with('\n'), "{}", page.topic);
            for line in page.text.lines().filter(|line| !line.starts_with('|')) {
                assert!(line.chars().count() <= 120, "{}: {line}", page.topic);
            }
            for (at, words) in page.text.match_indices("rosterd manual ") {
                let named = page.text[at + words.len()..].split(|c: char| !(c.is_ascii_lowercase() || c == '-')).next();
                assert!(named.is_some_and(|topic| super::page(topic).is_some()), "{}: {named:?}", page.topic);
            }
        }
    }

    /// The record of the page on CEL, and its examples: an expression, and the JSON that it gives.
    fn examples(page: &str) -> (Value, Vec<(String, String)>) {
        let is_record = |block: &Block| match block {
            Block::Code(code) if code.info.as_deref() == Some("json") => serde_json::from_str(&code.text).ok(),
            _ => None,
        };
        let record = reader::blocks(page).iter().find_map(is_record).expect("a record");
        let cell = |text: &str| Some(text.trim().strip_prefix('`')?.strip_suffix('`')?.replace("\\|", "|"));
        // A bar in a cell of a table is written `\\|`.
        let row = |line: &str| {
            let cells = line.strip_prefix('|')?.strip_suffix('|')?.replace("\\|", "\u{1}");
            let (expression, gives) = cells.split_once('|')?;
            Some((cell(&expression.replace('\u{1}', "|"))?, cell(&gives.replace('\u{1}', "|"))?))
        };
        (record, page.lines().filter_map(row).collect())
    }

    #[test]
    fn each_example_of_cel_gives_what_the_page_says() {
        let (record, examples) = examples(page("cel").expect("the page").text);
        assert!(examples.len() > 50, "{}", examples.len());
        let instant = "2026-11-22T13:30:00Z".parse().expect("a time");
        let time = LocalTime::new(instant, chrono_tz::Europe::Zurich);
        let mut wrong = Vec::new();
        for (expression, gives) in examples {
            let cell = |name: &str| record.get(name);
            let value = match Expression::compile(&expression) {
                Ok(compiled) => compiled.evaluate(&Scope::new(&cell, time)),
                Err(problems) => Err(format!("{problems:?}")),
            };
            if value != Ok(serde_json::from_str(&gives).unwrap_or_else(|error| panic!("{gives}: {error}"))) {
                wrong.push(format!("{expression} gives {value:?}, not {gives}"));
            }
        }
        assert_eq!(wrong, [""; 0]);
    }

    #[test]
    fn each_recipe_of_cel_can_be_used() {
        let text = page("cel").expect("the page").text;
        let recipes = text.split("## Recipes").nth(1).expect("recipes").matches("```toml").count();
        assert!(recipes >= 4, "{recipes}");
        let expressions = text.match_indices("= '").chain(text.match_indices("cel = '"));
        for (at, opening) in expressions {
            let rest = text[at + opening.len()..].trim_start_matches('\'');
            let expression = rest.split('\'').next().expect("its end");
            Expression::compile(expression).unwrap_or_else(|problems| panic!("{expression}: {problems:?}"));
        }
    }
}
