//! Man pages: roff, in the macros of man(7) that groff and mandoc both know.
//!
//! Pure. [`page`] makes a man page of a page of the manual; [`Roff`] is what every man page is written with.

use super::Page;
use super::reader::{Block, Look, Span, blocks, shown, text};
use super::table;
use crate::domain::wrap::broken;

/// Up to which column a line of roff goes: readers of the source have it easier, and mandoc asks for it.
const WIDEST: usize = 78;

/// The columns of text that `man` shows on 80: it indents by seven, and keeps two.
const ROOM: usize = 71;

/// How far code is indented.
const INDENT: &str = "4";

/// A man page that is being written.
#[derive(Debug)]
pub struct Roff {
    text: String,
}

impl Roff {
    /// A page of this name and section, with a line that says what it is about.
    pub fn new(name: &str, section: &str, about: &str) -> Roff {
        let (title, version) = (name.to_uppercase(), env!("CARGO_PKG_VERSION"));
        let mut roff = Roff { text: format!(".TH {title} {section} \"\" \"rosterd {version}\" \"rosterd manual\"\n") };
        roff.section("NAME");
        roff.lines(&format!("{} \\- {}", escaped(name), escaped(about)));
        roff
    }

    /// The page as a file.
    pub fn into_text(self) -> String {
        self.text
    }

    /// A heading.
    pub fn section(&mut self, heading: &str) {
        self.line(&format!(".SH {}", argument(heading)));
    }

    /// A heading below a section.
    pub fn subsection(&mut self, heading: &str) {
        self.line(&format!(".SS {}", argument(heading)));
    }

    /// A paragraph.
    pub fn paragraph(&mut self, text: &[Span]) {
        self.begin_paragraph();
        self.lines(&inline(text));
    }

    /// A paragraph begins here. One below a heading has begun already.
    fn begin_paragraph(&mut self) {
        let last = self.text.trim_end().rsplit('\n').next().unwrap_or_default();
        if !last.starts_with(".SH ") && !last.starts_with(".SS ") {
            self.line(".PP");
        }
    }

    /// A paragraph of one line of Markdown.
    pub fn sentence(&mut self, markdown: &str) {
        self.paragraph(&text(markdown));
    }

    /// An entry of a list: what it is about, and lines about that, one below the other.
    pub fn entry(&mut self, term: &str, about: &[String]) {
        self.line(".TP");
        // A term is one line, whatever its length.
        self.guarded(&format!("\\fB{}\\fR", escaped(term)));
        for (at, markdown) in about.iter().enumerate() {
            if at > 0 {
                self.line(".br");
            }
            self.lines(&inline(&text(markdown)));
        }
    }

    /// Lines that are shown as they are.
    pub fn code(&mut self, code: &str) {
        self.line(&format!(".IP \"\" {INDENT}"));
        self.as_it_is(code.lines());
    }

    fn as_it_is<'l>(&mut self, lines: impl Iterator<Item = &'l str>) {
        self.line(".EX");
        lines.for_each(|line| self.guarded(&escaped(line)));
        self.line(".EE");
    }

    /// The blocks of a page.
    pub fn blocks(&mut self, blocks: &[Block]) {
        for block in blocks {
            match block {
                Block::Heading { level: 1, .. } | Block::Comment { .. } | Block::Foreign { .. } => {}
                Block::Heading { level: 2, text } => self.section(&shown(text)),
                Block::Heading { text, .. } => self.subsection(&shown(text)),
                Block::Paragraph(text) => self.paragraph(text),
                Block::List { first, items } => self.list(*first, items),
                Block::Code(code) => self.code(&code.text),
                Block::Table { head, rows } => match table::side_by_side(head, rows, ROOM) {
                    Some(lines) => {
                        self.begin_paragraph();
                        let lines: Vec<String> = lines.iter().map(|line| line.replace('\u{a0}', " ")).collect();
                        self.as_it_is(lines.iter().map(String::as_str));
                    }
                    None => rows.iter().for_each(|row| self.row(head, row)),
                },
            }
        }
    }

    /// A row of a table that is too wide, as an entry.
    fn row(&mut self, head: &[Vec<Span>], row: &[Vec<Span>]) {
        let mut cells = head.iter().zip(row);
        let Some((_, term)) = cells.next() else { return };
        self.line(".TP");
        self.guarded(&inline(term));
        let others: Vec<String> = cells
            .filter(|(_, cell)| !cell.is_empty() && shown(cell) != table::NOTHING)
            .map(|(name, cell)| match head.len() {
                2 => inline(cell),
                _ => format!("{}: {}", inline(name), inline(cell)),
            })
            .collect();
        self.lines(&others.join("\n.br\n"));
    }

    fn list(&mut self, first: Option<u64>, items: &[Vec<Block>]) {
        for (at, item) in (0..).zip(items) {
            match first {
                Some(first) => self.line(&format!(".IP {}. 4", first + at)),
                None => self.line(".IP \\(bu 2"),
            }
            let mut blocks = item.as_slice();
            if let [Block::Paragraph(text), rest @ ..] = blocks {
                self.lines(&inline(text));
                blocks = rest;
            }
            if blocks.iter().any(|block| !matches!(block, Block::Comment { .. })) {
                self.line(&format!(".RS {}", if first.is_some() { 4 } else { 2 }));
                self.blocks(blocks);
                self.line(".RE");
            }
        }
    }

    /// Text that is escaped already, in lines of a bearable length.
    fn lines(&mut self, text: &str) {
        for part in text.lines() {
            match part {
                ".br" => self.line(part),
                _ => broken(part, WIDEST, 0).lines().for_each(|line| self.guarded(line)),
            }
        }
    }

    /// A line of text: a dot at its beginning is no macro.
    fn guarded(&mut self, line: &str) {
        let guard = if line.starts_with('.') { "\\&" } else { "" };
        self.line(&format!("{guard}{line}"));
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }
}

/// The file and the text of a page of the manual as a man page.
pub fn page(page: &Page) -> (String, String) {
    let name = format!("rosterd-{}", page.topic);
    let mut roff = Roff::new(&name, "7", page.summary);
    roff.section("DESCRIPTION");
    roff.blocks(&blocks(page.text));
    roff.section("SEE ALSO");
    roff.sentence("**rosterd**(1), **rosterd.toml**(5); all pages are listed by `rosterd manual`.");
    (format!("{name}.7"), roff.into_text())
}

/// Text with its looks.
fn inline(text: &[Span]) -> String {
    let looks = text.iter().map(|span| match span.look {
        Look::Plain => escaped(&span.text),
        Look::Emphasis => format!("\\fI{}\\fR", escaped(&span.text)),
        Look::Strong | Look::Code => format!("\\fB{}\\fR", escaped(&span.text)),
    });
    looks.collect()
}

/// Text in which nothing means anything to roff (groff_char(7), mandoc_char(7)).
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            '\\' => escaped.push_str("\\e"),
            '-' => escaped.push_str("\\-"),
            '\'' => escaped.push_str("\\(aq"),
            '`' => escaped.push_str("\\(ga"),
            '^' => escaped.push_str("\\(ha"),
            '~' => escaped.push_str("\\(ti"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Text as one argument of a macro.
fn argument(text: &str) -> String {
    format!("\"{}\"", escaped(text).replace('"', "\\(dq"))
}

#[cfg(test)]
mod tests {
    use super::super::{PAGES, Section};
    use super::*;

    #[test]
    fn a_page_is_a_man_page() {
        let text = "# Title\n\nSome `a -b` of\n[sizes](sizing.md).\n\n## It's \"so\"\n\n<!-- given: x -->\n```sh\n.profile \\ 'x'\n```\n\n\
                    1. one\n   ```text\n   deep\n   ```\n\n- two\n\n| a | b |\n|---|---|\n| `x` | y |\n";
        let made = page(&Page { section: Section::Reference, topic: "test", summary: "what it is", text });
        let expected = format!(
            ".TH ROSTERD-TEST 7 \"\" \"rosterd {}\" \"rosterd manual\"\n{}",
            env!("CARGO_PKG_VERSION"),
            "\
.SH \"NAME\"
rosterd\\-test \\- what it is
.SH \"DESCRIPTION\"
Some \\fBa \\-b\\fR of sizes (manual: sizing).
.SH \"It\\(aqs \\(dqso\\(dq\"
.IP \"\" 4
.EX
\\&.profile \\e \\(aqx\\(aq
.EE
.IP 1. 4
one
.RS 4
.IP \"\" 4
.EX
deep
.EE
.RE
.IP \\(bu 2
two
.PP
.EX
a  b
\\-  \\-
x  y
.EE
.SH \"SEE ALSO\"
\\fBrosterd\\fR(1), \\fBrosterd.toml\\fR(5); all pages are listed by \\fBrosterd
manual\\fR.
"
        );
        assert_eq!(made, ("rosterd-test.7".into(), expected));
    }

    #[test]
    fn man_pages_hold_no_markdown() {
        for of in PAGES {
            let (file, text) = page(of);
            for line in text.lines() {
                let markup = ["```", "<!--", "|--", "](", "**", "`"];
                assert!(!markup.iter().any(|mark| line.contains(mark)), "{file}: {line}");
                let known = [".TH ", ".SH ", ".SS ", ".PP", ".IP ", ".TP", ".EX", ".EE", ".RS ", ".RE", ".br"];
                let is_known = !line.starts_with(['.', '\'']) || known.iter().any(|name| line.starts_with(name));
                assert!(is_known, "{file}: {line}");
            }
        }
    }
}
