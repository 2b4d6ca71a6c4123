//! A page as plain text, for terminals and pipes.
//!
//! Pure. Headings are underlined, code is indented by four and not broken, tables that are too wide become lists, and
//! comments are left out.

use super::reader::{Block, Look, Span, blocks};
use super::table;
use crate::domain::visible::columns;
use crate::domain::wrap::broken;

/// How far code is indented.
const INDENT: &str = "    ";

/// The longest piece of code that is not broken at its spaces.
const TIED: usize = 32;

/// A space at which no line is broken.
const TIE: char = '\u{a0}';

/// A line of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The text.
    pub text: String,
    /// Whether it is a heading.
    pub is_heading: bool,
}

/// The page in lines of at most `room` columns, code and long words aside.
pub fn lines(page: &str, room: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for block in blocks(page) {
        let of_block = block_lines(&block, room);
        if !of_block.is_empty() && !lines.is_empty() {
            lines.push(other(String::new()));
        }
        lines.extend(of_block);
    }
    lines
}

/// The spans in one line: code between backticks, its spaces such that it stays in one line where it is short.
pub(super) fn line(text: &[Span]) -> String {
    let shown = text.iter().map(|span| match span.look {
        Look::Code if span.text.len() <= TIED => format!("`{}`", span.text.replace(' ', &TIE.to_string())),
        Look::Code => format!("`{}`", span.text),
        _ => span.text.clone(),
    });
    shown.collect()
}

fn block_lines(block: &Block, room: usize) -> Vec<Line> {
    match block {
        Block::Heading { level, text } => heading(*level, &line(text), room),
        Block::Paragraph(text) => wrapped(&line(text), room, 0),
        Block::List { first, items } => list(*first, items, room),
        Block::Code(code) => code.text.lines().map(|line| other(format!("{INDENT}{line}").trim_end().into())).collect(),
        Block::Table { head, rows } => {
            let lines = table::side_by_side(head, rows, room).unwrap_or_else(|| table::list(head, rows, room));
            lines.into_iter().map(|line| other(line.replace(TIE, " "))).collect()
        }
        Block::Comment { .. } | Block::Foreign { .. } => Vec::new(),
    }
}

fn heading(level: u8, text: &str, room: usize) -> Vec<Line> {
    let mut lines = wrapped(text, room, 0);
    let width = lines.iter().map(|line| columns(&line.text)).max().unwrap_or(0);
    match level {
        1 => lines.push(other("=".repeat(width))),
        2 => lines.push(other("-".repeat(width))),
        _ => {}
    }
    lines.iter_mut().for_each(|line| line.is_heading = true);
    lines
}

fn list(first: Option<u64>, items: &[Vec<Block>], room: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for (at, item) in (0..).zip(items) {
        let mark = first.map_or_else(|| "- ".to_string(), |first| format!("{}. ", first + at));
        let indent = mark.len();
        let mut of_item: Vec<Line> = Vec::new();
        for block in item {
            // Within an item, a list stands close to what it belongs to.
            if !of_item.is_empty() && !matches!(block, Block::List { .. } | Block::Comment { .. }) {
                of_item.push(other(String::new()));
            }
            of_item.extend(block_lines(block, room.saturating_sub(indent)));
        }
        for (at, line) in of_item.into_iter().enumerate() {
            let begin = if at == 0 { mark.clone() } else { " ".repeat(indent) };
            lines.push(other(format!("{begin}{}", line.text).trim_end().to_string()));
        }
    }
    lines
}

/// Text of a paragraph, in lines.
fn wrapped(text: &str, room: usize, indent: usize) -> Vec<Line> {
    broken(text, room, indent).lines().map(|line| other(line.replace(TIE, " "))).collect()
}

fn other(text: String) -> Line {
    Line { text, is_heading: false }
}

#[cfg(test)]
mod tests {
    use super::super::PAGES;
    use super::*;

    fn shown(page: &str, room: usize) -> String {
        lines(page, room).iter().map(|line| format!("{}\n", line.text)).collect()
    }

    #[test]
    fn a_page_is_plain_text() {
        let page = "# Title\n\nSome `code of two` words and **more** of [sizes](sizing.md).\n\n## Part\n\n\
                    <!-- given: x -->\n```sh\nrosterd plan   # long, and not broken\n```\n\n- one that is longer than a line\n\
                    - two\n\n| a | b |\n|---|---|\n| `x` | y |\n\n| a | b | c |\n|---|---|---|\n\
                    | `x` or y | a cell that is long enough | |\n";
        let expected = "\
Title
=====

Some `code of two` words and
more of sizes (manual: sizing).

Part
----

    rosterd plan   # long, and not broken

- one that is longer than a
  line
- two

a  b
-  -
x  y

`x` or y
    b: a cell that is long
      enough
";
        assert_eq!(shown(page, 31), expected);
    }

    #[test]
    fn pages_fit_a_terminal_and_hold_no_markup() {
        for page in PAGES {
            let is_code = |line: &Line| line.text.starts_with(INDENT);
            for line in lines(page.text, 80) {
                let is_word = line.text.split_whitespace().count() <= 1;
                assert!(columns(&line.text) <= 80 || is_code(&line) || is_word, "{}: {}", page.topic, line.text);
                let markup = ["```", "<!--", "|--", "](", "**"];
                assert!(!markup.iter().any(|mark| line.text.contains(mark)), "{}: {}", page.topic, line.text);
            }
        }
    }
}
