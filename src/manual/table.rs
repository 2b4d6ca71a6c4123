//! Tables as lines of text: side by side where that fits, else as a list.
//!
//! Pure.

use super::reader::{Look, Text, shown};
use crate::domain::visible::columns;
use crate::domain::wrap::broken;

/// Between columns.
const GAP: &str = "  ";

/// What a cell says that says nothing.
pub const NOTHING: &str = "–";

/// How far the cells of a row are indented below its first, in a list.
const INDENT: usize = 4;

/// The table in lines of at most `room` columns; none where a row would be wider.
pub fn side_by_side(head: &[Text], rows: &[Vec<Text>], room: usize) -> Option<Vec<String>> {
    let lines: Vec<Vec<String>> =
        std::iter::once(head).chain(rows.iter().map(Vec::as_slice)).map(|row| row.iter().map(cell).collect()).collect();
    let widest =
        |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|c| columns(c)).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(widest).collect();
    let total = widths.iter().sum::<usize>() + GAP.len() * head.len().saturating_sub(1);
    if total > room {
        return None;
    }
    let padded = |line: &Vec<String>| {
        let cells =
            line.iter().zip(&widths).map(|(cell, width)| format!("{cell}{}", " ".repeat(width - columns(cell))));
        cells.collect::<Vec<_>>().join(GAP).trim_end().to_string()
    };
    let mut shown: Vec<String> = lines.iter().map(padded).collect();
    shown.insert(1, widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>().join(GAP));
    Some(shown)
}

/// A row of a table as an entry of a list: the first cell, and the others below it, each with the name of its column
/// where there are several.
fn entry(head: &[Text], row: &[Text]) -> (String, Vec<String>) {
    let mut cells = head.iter().map(cell).zip(row.iter().map(cell));
    let (_, first) = cells.next().unwrap_or_default();
    let named = head.len() > 2;
    let others = cells.filter(|(_, cell)| !cell.is_empty() && cell != NOTHING);
    (first, others.map(|(name, cell)| if named { format!("{name}: {cell}") } else { cell }).collect())
}

/// The table as a list, in lines of at most `room` columns.
pub fn list(head: &[Text], rows: &[Vec<Text>], room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for row in rows {
        let (first, others) = entry(head, row);
        // An entry of several lines stands apart.
        if !lines.is_empty() && head.len() > 2 {
            lines.push(String::new());
        }
        lines.extend(broken(&first, room, 2).lines().map(str::to_string));
        for other in others {
            let line = format!("{}{other}", " ".repeat(INDENT));
            lines.extend(broken(&line, room, INDENT + 2).lines().map(str::to_string));
        }
    }
    lines
}

/// A cell. Code needs no marks where it is all that the cell has.
fn cell(text: &Text) -> String {
    match text.as_slice() {
        [only] => only.text.clone(),
        spans if spans.iter().all(|span| span.look != Look::Code) => shown(spans),
        spans => super::plain::line(spans),
    }
}
