//! Markdown as blocks: what the terminal, the man pages and the tests of the manual make of a page.
//!
//! Pure. It reads the part of CommonMark that pages use (the module page of [`super`] has the list). Anything else
//! becomes a [`Block::Foreign`], so that a test can name it.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A piece of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The text, without any markup.
    pub text: String,
    /// How it is meant.
    pub look: Look,
}

/// How a piece of text is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing special.
    Plain,
    /// `*emphasis*`
    Emphasis,
    /// `**strong**`
    Strong,
    /// Code, between backticks.
    Code,
}

/// Text of a paragraph, a heading or a cell.
pub type Text = Vec<Span>;

/// A block in a fence, or an indented one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// What stands after the opening fence; none where the block is indented.
    pub info: Option<String>,
    /// The lines, as they stand in the page.
    pub text: String,
    /// The line of the page on which the text begins, counted from 1.
    pub line: usize,
}

/// A part of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// A heading; the title of a page has level 1.
    Heading {
        /// 1 to 6.
        level: u8,
        /// What it says.
        text: Text,
    },
    /// A paragraph.
    Paragraph(Text),
    /// A list.
    List {
        /// The number of the first item, where they are numbered.
        first: Option<u64>,
        /// The items.
        items: Vec<Vec<Block>>,
    },
    /// Code.
    Code(Code),
    /// A table. Each row has as many cells as the head.
    Table {
        /// The names of the columns.
        head: Vec<Text>,
        /// The rows.
        rows: Vec<Vec<Text>>,
    },
    /// What stands in an HTML comment: for tests, not for readers.
    Comment {
        /// The text between `<!--` and `-->`, trimmed.
        text: String,
        /// Its line in the page, counted from 1.
        line: usize,
    },
    /// Markup that pages do not use: a quotation, a picture, HTML.
    Foreign {
        /// What it is.
        what: String,
        /// Its line in the page, counted from 1.
        line: usize,
    },
}

/// The blocks of a page.
pub fn blocks(page: &str) -> Vec<Block> {
    let events = Parser::new_ext(page, Options::ENABLE_TABLES).into_offset_iter();
    let events: Vec<(Event, usize)> = events.map(|(event, range)| (event, range.start)).collect();
    let mut reader = Reader { page, events: events.into_iter().peekable(), foreign: Vec::new() };
    let mut blocks = reader.until_end();
    blocks.append(&mut reader.foreign);
    blocks
}

/// The pieces of a text that is one paragraph, such as a description of a key.
pub fn text(paragraph: &str) -> Text {
    blocks(paragraph)
        .into_iter()
        .flat_map(|block| if let Block::Paragraph(text) = block { text } else { vec![] })
        .collect()
}

/// Reads what the parser says.
struct Reader<'p, I: Iterator<Item = (Event<'p>, usize)>> {
    page: &'p str,
    events: std::iter::Peekable<I>,
    /// What was met inside of texts.
    foreign: Vec<Block>,
}

impl<'p, I: Iterator<Item = (Event<'p>, usize)>> Reader<'p, I> {
    fn line(&self, at: usize) -> usize {
        self.page[..at].matches('\n').count() + 1
    }

    /// The blocks up to the end of what they are in.
    fn until_end(&mut self) -> Vec<Block> {
        let mut blocks = Vec::new();
        while let Some((event, _)) = self.events.peek() {
            if let Event::End(_) = event {
                self.events.next();
                break;
            }
            if is_inline(event) {
                // An item of a list without empty lines has text, and no paragraph.
                let text = self.text();
                blocks.push(Block::Paragraph(text));
            } else if let Some((event, at)) = self.events.next() {
                self.block(event, at, &mut blocks);
            }
        }
        blocks
    }

    fn block(&mut self, event: Event<'p>, at: usize, blocks: &mut Vec<Block>) {
        match event {
            Event::Start(Tag::Paragraph) => blocks.push(Block::Paragraph(self.closed_text())),
            Event::Start(Tag::Heading { level, .. }) => {
                blocks.push(Block::Heading { level: level as u8, text: self.closed_text() });
            }
            Event::Start(Tag::CodeBlock(kind)) => blocks.push(self.code(&kind, at)),
            Event::Start(Tag::List(first)) => {
                let mut items = Vec::new();
                while let Some((Event::Start(Tag::Item), _)) = self.events.next() {
                    items.push(self.until_end());
                }
                blocks.push(Block::List { first, items });
            }
            Event::Start(Tag::Table(_)) => blocks.push(self.table()),
            Event::Start(Tag::HtmlBlock) => self.html(blocks),
            Event::Start(tag) => {
                blocks.push(Block::Foreign { what: format!("{tag:?}"), line: self.line(at) });
                blocks.extend(self.until_end());
            }
            other => blocks.push(Block::Foreign { what: format!("{other:?}"), line: self.line(at) }),
        }
    }

    fn code(&mut self, kind: &CodeBlockKind<'p>, at: usize) -> Block {
        let (info, below) = match kind {
            CodeBlockKind::Fenced(info) => (Some(info.to_string()), 1),
            CodeBlockKind::Indented => (None, 0),
        };
        let mut text = String::new();
        while let Some((Event::Text(part), _)) = self.events.next() {
            text.push_str(&part);
        }
        Block::Code(Code { info, text, line: self.line(at) + below })
    }

    fn table(&mut self) -> Block {
        let (mut head, mut rows) = (Vec::new(), Vec::new());
        while let Some((Event::Start(part), _)) = self.events.next() {
            let mut cells = Vec::new();
            while let Some((Event::Start(Tag::TableCell), _)) = self.events.next() {
                cells.push(self.closed_text());
            }
            if part == Tag::TableHead { head = cells } else { rows.push(cells) }
        }
        Block::Table { head, rows }
    }

    /// A block of HTML: comments, one or more.
    fn html(&mut self, blocks: &mut Vec<Block>) {
        let (mut html, mut begin) = (String::new(), None);
        while let Some((Event::Html(part) | Event::Text(part), at)) = self.events.next() {
            begin.get_or_insert(at);
            html.push_str(&part);
        }
        let line = self.line(begin.unwrap_or_default());
        let mut at = 0;
        while let Some(found) = html[at..].find("<!--") {
            let begin = at + found;
            let comment = &html[begin + 4..];
            let end = comment.find("-->").unwrap_or(comment.len());
            let line = line + html[..begin].matches('\n').count();
            blocks.push(Block::Comment { text: comment[..end].trim().to_string(), line });
            at = (begin + 4 + end + 3).min(html.len());
        }
        if at == 0 {
            blocks.push(Block::Foreign { what: html.trim().to_string(), line });
        }
    }

    /// Text up to the end of what it is in.
    fn closed_text(&mut self) -> Text {
        let text = self.text();
        self.events.next();
        text
    }

    /// Text up to a block or an end.
    fn text(&mut self) -> Text {
        let (mut text, mut looks, mut links) = (Text::new(), vec![Look::Plain], Vec::new());
        while let Some((event, at)) = self.events.next_if(|(event, _)| is_inline(event) || closes_inline(event)) {
            let look = *looks.last().unwrap_or(&Look::Plain);
            match event {
                Event::Text(part) => add(&mut text, &part, look),
                Event::Code(part) => add(&mut text, &part, Look::Code),
                Event::SoftBreak | Event::HardBreak => add(&mut text, " ", look),
                Event::Start(Tag::Emphasis) => looks.push(Look::Emphasis),
                Event::Start(Tag::Strong) => looks.push(Look::Strong),
                Event::Start(Tag::Link { dest_url, .. }) => links.push((dest_url.to_string(), shown(&text).len())),
                Event::End(TagEnd::Emphasis | TagEnd::Strong) => drop(looks.pop()),
                Event::End(TagEnd::Link) => {
                    if let Some((to, begin)) = links.pop() {
                        let to = where_to(&to, &shown(&text)[begin..]);
                        add(&mut text, &to, Look::Plain);
                    }
                }
                other => {
                    let line = self.line(at);
                    self.foreign.push(Block::Foreign { what: format!("{other:?}"), line });
                }
            }
        }
        text
    }
}

/// The text without looks.
pub fn shown(text: &[Span]) -> String {
    text.iter().map(|span| span.text.as_str()).collect()
}

/// Adds a piece; alike pieces become one.
fn add(text: &mut Text, part: &str, look: Look) {
    match text.last_mut() {
        Some(last) if last.look == look && look != Look::Code => last.text.push_str(part),
        _ if part.is_empty() => {}
        _ => text.push(Span { text: part.to_string(), look }),
    }
}

/// What is said of a link after its text: the topic of the page, or the address where it isn't the text itself.
fn where_to(to: &str, shown: &str) -> String {
    let file = to.split('#').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    match file.strip_suffix(".md").and_then(super::page) {
        Some(page) => format!(" (manual: {})", page.topic),
        None if to.starts_with("http") && to != shown => format!(" ({to})"),
        None => String::new(),
    }
}

fn is_inline(event: &Event) -> bool {
    let tag = matches!(
        event,
        Event::Start(Tag::Emphasis | Tag::Strong | Tag::Link { .. } | Tag::Image { .. } | Tag::Strikethrough)
    );
    let part =
        matches!(event, Event::Text(_) | Event::Code(_) | Event::SoftBreak | Event::HardBreak | Event::InlineHtml(_));
    tag || part
}

fn closes_inline(event: &Event) -> bool {
    matches!(
        event,
        Event::End(TagEnd::Emphasis | TagEnd::Strong | TagEnd::Link | TagEnd::Image | TagEnd::Strikethrough)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Text {
        vec![Span { text: text.into(), look: Look::Plain }]
    }

    #[test]
    fn blocks_are_told_with_their_lines() {
        let page = "# Title\n\nSome `code` and\n**more**.\n<!-- exits: 3 -->\n<!-- given: a\nb -->\n```sh\nls\n```\n\n\
                    1. one\n\n   ```text\n   deep\n   ```\n2. two\n\n| a | b |\n|---|---|\n| `x\\|y` | 2 |\n\n    ls\n";
        let span = |text: &str, look| Span { text: text.into(), look };
        let code =
            |info: &str, text: &str, line| Block::Code(Code { info: Some(info.into()), text: text.into(), line });
        assert_eq!(
            blocks(page),
            [
                Block::Heading { level: 1, text: plain("Title") },
                Block::Paragraph(vec![
                    span("Some ", Look::Plain),
                    span("code", Look::Code),
                    span(" and ", Look::Plain),
                    span("more", Look::Strong),
                    span(".", Look::Plain),
                ]),
                Block::Comment { text: "exits: 3".into(), line: 5 },
                Block::Comment { text: "given: a\nb".into(), line: 6 },
                code("sh", "ls\n", 9),
                Block::List {
                    first: Some(1),
                    items: vec![
                        vec![Block::Paragraph(plain("one")), code("text", "deep\n", 15)],
                        vec![Block::Paragraph(plain("two"))],
                    ],
                },
                Block::Table {
                    head: vec![plain("a"), plain("b")],
                    rows: vec![vec![vec![span("x|y", Look::Code)], plain("2")]],
                },
                Block::Code(Code { info: None, text: "ls\n".into(), line: 23 }),
            ]
        );
    }

    #[test]
    fn links_say_where_they_lead() {
        let shown = |page: &str| shown(&text(page));
        assert_eq!(shown("see [sizes](src/manual/sizing.md#disk)."), "see sizes (manual: sizing).");
        assert_eq!(shown("see [below](#more)."), "see below.");
        assert_eq!(shown("see [them](https://example.com/)."), "see them (https://example.com/).");
        assert_eq!(shown("see <https://example.com/>."), "see https://example.com/.");
    }

    #[test]
    fn what_pages_do_not_use_is_named() {
        for (page, line) in [("a\n\n> quoted\n", 3), ("![a](b.png)\n", 1), ("<b>x</b>\n", 1), ("a\n\n---\n", 3)] {
            let found = blocks(page);
            let is_it = |block: &Block| matches!(block, Block::Foreign { line: at, .. } if *at == line);
            assert!(found.iter().any(is_it), "{page:?}: {found:?}");
        }
    }
}
