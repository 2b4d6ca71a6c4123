//! Pages as steps: each block with what the comments before it say. `src/manual/mod.rs` describes the format.

use rosterd::manual::reader::{Block, Code, blocks};

/// A page of the manual, or the README.
#[derive(Clone, Debug)]
pub struct Page {
    /// What it is called in messages: its file.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// What is to be done for a block before it, in the order in which it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Before {
    /// These commands.
    Given { script: String, line: usize },
    /// This text in the block is replaced by what the command prints.
    Replace { example: String, command: String, line: usize },
}

/// How the commands of a block are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// To their end, which has this code.
    ToTheEnd { exits: i32 },
    /// Beside the command, until it succeeds.
    Until(String),
    /// From when the command succeeds, until the page ends.
    Beside(String),
}

/// What a block is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Commands.
    Shell(How),
    /// Commands for a machine with the package: run elsewhere.
    Machine,
    /// Configuration, and the table that it stands below.
    Toml { below: Option<String> },
    /// A part of a target's definition.
    Definition,
    /// What the commands before it print, or, without that, a picture.
    Text { is_printed: bool },
    /// Data in this format.
    Data(&'static str),
}

/// A block of a page.
#[derive(Clone, Debug)]
pub struct Step {
    pub kind: Kind,
    pub text: String,
    /// The line of the page on which the text begins.
    pub line: usize,
    pub before: Vec<Before>,
    /// The file that the block is written to.
    pub file: Option<String>,
}

/// The steps of a page, and what is wrong with its form.
pub fn steps(page: &Page) -> (Vec<Step>, Vec<String>) {
    let (mut steps, mut problems, mut directives) = (Vec::new(), Vec::new(), Vec::new());
    collect(&blocks(&page.text), &mut directives, &mut steps, &mut problems);
    problems.extend(directives.iter().map(|d: &Directive| format!("{}: {} stands before no block", d.line, d.name)));
    let problems = problems.into_iter().map(|problem| format!("{}:{problem}", page.name)).collect();
    (steps, problems)
}

/// A comment that says something of the next block.
struct Directive {
    name: String,
    value: String,
    line: usize,
}

fn collect(blocks: &[Block], directives: &mut Vec<Directive>, steps: &mut Vec<Step>, problems: &mut Vec<String>) {
    for block in blocks {
        match block {
            Block::Comment { text, .. } if is_mark(text) => {}
            Block::Comment { text, line } => {
                let (name, value) = text.split_once(':').unwrap_or((text, ""));
                let (name, value) = (name.trim().to_string(), value.trim().to_string());
                directives.push(Directive { name, value, line: *line });
            }
            Block::Code(code) => match step(code, std::mem::take(directives)) {
                Ok(step) => steps.push(step),
                Err(problem) => problems.push(format!("{}: {problem}", code.line)),
            },
            Block::List { items, .. } => items.iter().for_each(|item| collect(item, directives, steps, problems)),
            Block::Foreign { what, line } => problems.push(format!("{line}: pages have no {what}")),
            _ => {}
        }
        if !matches!(block, Block::Comment { .. }) {
            for directive in directives.drain(..) {
                problems.push(format!("{}: {} stands before no block", directive.line, directive.name));
            }
        }
    }
}

/// `<!-- rules -->` and `<!-- /rules -->` mark a part of the README for another test.
fn is_mark(comment: &str) -> bool {
    matches!(comment.trim_start_matches('/'), "rules" | "promises")
}

fn step(code: &Code, directives: Vec<Directive>) -> Result<Step, String> {
    let info = code.info.as_deref().ok_or("a block is indented: fence it, and say what it is")?;
    let mut step = Step { kind: kind(info)?, text: code.text.clone(), line: code.line, before: Vec::new(), file: None };
    for Directive { name, value, line } in directives {
        match (name.as_str(), &mut step.kind) {
            ("given", _) => step.before.push(Before::Given { script: value, line }),
            ("replace", _) => {
                let (example, command) = value.split_once(" = ").ok_or("replace: EXAMPLE = COMMAND")?;
                if !step.text.contains(example) {
                    return Err(format!("{example} is to be replaced, and is not there"));
                }
                step.before.push(Before::Replace { example: example.into(), command: command.into(), line });
            }
            ("file", _) => step.file = Some(value),
            ("exits", Kind::Shell(how)) => {
                let exits = value.parse().map_err(|_| format!("exits: {value} is no exit code"))?;
                *how = How::ToTheEnd { exits };
            }
            ("exits", Kind::Machine) => {} // judged where it is run
            ("until", Kind::Shell(how)) => *how = How::Until(value),
            ("beside", Kind::Shell(how)) => *how = How::Beside(value),
            ("below", Kind::Toml { below }) => *below = Some(value),
            ("definition", kind @ Kind::Toml { .. }) => *kind = Kind::Definition,
            ("prints", Kind::Text { is_printed }) => *is_printed = true,
            _ => return Err(format!("{name} says nothing of a block of {info}")),
        }
    }
    match step.kind {
        Kind::Text { .. } => {
            let command = step.text.lines().find(|line| line.starts_with("rosterd ") || line.starts_with("$ "));
            command.map_or(Ok(step.clone()), |line| Err(format!("{line:?} is a command, and not in a block of sh")))
        }
        _ => Ok(step),
    }
}

fn kind(info: &str) -> Result<Kind, String> {
    Ok(match info {
        "sh" => Kind::Shell(How::ToTheEnd { exits: 0 }),
        "sh machine" => Kind::Machine,
        "toml" => Kind::Toml { below: None },
        "text" => Kind::Text { is_printed: false },
        "json" => Kind::Data("json"),
        "csv" => Kind::Data("csv"),
        "xml" => Kind::Data("xml"),
        "" => return Err("a fence does not say what the block is".into()),
        other => return Err(format!("no block is called {other:?}: sh, sh machine, toml, text, json, csv or xml")),
    })
}
