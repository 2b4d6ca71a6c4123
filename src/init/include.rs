//! Who belongs on the target: the expression for `include`, from the status and the last day, and what to say of it.
//!
//! Never is it guessed that somebody has left: values that are not understood count as being here, and where none is
//! understood everybody is included, with a warning.

use super::guess::{Roles, day_first};
use super::notation::{self, Notation};
use super::samples::Cell;
use super::status::{self, Statuses};
use super::table::{Column, Table};
use super::vocabulary::Meaning;

/// What the program that is written for can do.
#[derive(Clone, Copy, Debug)]
pub struct Abilities {
    /// Expressions have `date(text, format)`.
    pub dates: bool,
    /// A sync has `label`.
    pub label: bool,
}

/// What this version can do.
pub const ABILITIES: Abilities = Abilities { dates: false, label: false };

/// Who is included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Include {
    /// The expression; none: everybody.
    pub cel: Option<String>,
    /// What the comments above it say, a paragraph each.
    pub comments: Vec<String>,
    /// What the user should look at.
    pub warnings: Vec<String>,
    /// By column: values of somebody who is included.
    pub inside: Vec<(usize, Cell)>,
    /// By column: values of somebody who is not; none where nobody is left out for certain.
    pub outside: Vec<(usize, Cell)>,
}

/// Who is included, as far as the columns tell.
pub fn propose(table: &Table, roles: &Roles, abilities: Abilities) -> Include {
    let mut include = Include::default();
    let mut parts = Vec::new();
    match roles.get(Meaning::Status) {
        Some(at) => parts.extend(by_status(&table.columns[at], at, &mut include)),
        None => include.warnings.push(
            "no column tells who works here: everybody in the export is included, and only who is missing from it is \
             banned; say who with --include"
                .into(),
        ),
    }
    if let Some(at) = roles.get(Meaning::LeaveDate) {
        parts.extend(by_last_day(table, at, abilities, &mut include));
        if !parts.is_empty() && roles.get(Meaning::Status).is_none() {
            include.warnings.clear();
        }
    }
    if let Some(at) = roles.get(Meaning::HireDate) {
        first_day(table, at, abilities, &mut include);
    }
    include.cel = match parts.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        several => Some(several.iter().map(|part| enclosed(part)).collect::<Vec<_>>().join(" && ")),
    };
    include
}

fn enclosed(part: &str) -> String {
    if part.contains("||") { format!("({part})") } else { part.to_string() }
}

fn by_status(column: &Column, at: usize, include: &mut Include) -> Option<String> {
    let name = spelled(&column.name);
    if column.is_truth {
        let gaps = column.cells.iter().any(String::is_empty);
        include.inside.push((at, Cell::Truth(true)));
        include.outside.push((at, Cell::Truth(false)));
        return Some(if gaps { format!("{name} != false") } else { format!("{name} == true") });
    }
    let statuses = status::of(column).filter(|statuses| column.is_text && statuses.is_understood());
    let Some(Statuses { active, left, unknown }) = statuses else {
        include.comments.push(
            "The column for the status has no value that is understood. So everybody is included, and nobody is taken to \
             have left: write here who works for you."
                .into(),
        );
        include.comments.push(format!("e.g. include = '{}'", example(&name)));
        include.warnings.push(format!(
            "nothing in column {:?} says \"active\" in a way that is understood: everybody is included; say who with \
             --include",
            column.name
        ));
        return None;
    };
    let compared = format!("{name}.trim().lowerAscii()");
    let text = |value: &String| literal(value);
    let list = |values: &[String]| values.iter().map(text).collect::<Vec<_>>().join(", ");
    if !unknown.is_empty() {
        let told: Vec<String> =
            unknown.iter().map(|value| if value.is_empty() { "(empty)".into() } else { value.clone() }).collect();
        include.comments.push(format!(
            "Whether these have left is not known, so they count as being here: {}. Take out who has left.",
            told.join(", ")
        ));
        include.warnings.push(format!(
            "{} of the values of column {:?} are not understood and count as being here: see `include`",
            unknown.len(),
            column.name
        ));
    }
    if active.is_empty() {
        include.inside.push((at, Cell::Text("active".into())));
        include.outside.push((at, Cell::Text(left[0].clone())));
        return Some(format!("!({compared} in [{}])", list(&left)));
    }
    include.comments.push("A value that comes up later and is not listed here counts as having left.".into());
    include.inside.push((at, Cell::Text(active[0].clone())));
    include.outside.push((at, Cell::Text(left.first().cloned().unwrap_or_else(|| "left".into()))));
    let kept: Vec<String> = active.into_iter().chain(unknown).collect();
    Some(match kept.as_slice() {
        [one] => format!("{compared} == {}", literal(one)),
        several => format!("{compared} in [{}]", list(several)),
    })
}

/// An example for a column that is not understood; short enough for a line.
fn example(name: &str) -> String {
    let name = if name.chars().count() > 40 || name.contains('\'') { "status".into() } else { name.to_string() };
    format!("{name}.trim().lowerAscii() == \"active\"")
}

fn by_last_day(table: &Table, at: usize, abilities: Abilities, include: &mut Include) -> Option<String> {
    let column = &table.columns[at];
    let name = spelled(&column.name);
    let found = notation::of(column.cells.iter().map(String::as_str), day_first(table));
    let empty = match column.is_text {
        true => format!("{name}.trim() == \"\""),
        false => format!("{name} == null || {name} == \"\""),
    };
    let compared = match found {
        Notation::Certain(notation::ISO) => name.clone(),
        Notation::Certain(format) if abilities.dates && column.is_text => format!("date({name}, {})", literal(format)),
        Notation::Empty => return None,
        Notation::Certain(format) => {
            include.comments.push(format!(
                "The last day, column {:?}, is written as {format} and is not used: only dates like 2027-01-31 can be \
                 compared. Have the export write them so, then add: && ({empty} || {name} >= today)",
                column.name
            ));
            return None;
        }
        Notation::Ambiguous(..) | Notation::Unknown => {
            include.comments.push(format!(
                "The last day, column {:?}, is not used: how its dates are written can't be told for certain. Have the \
                 export write them as 2027-01-31, then add: && ({empty} || {name} >= today)",
                column.name
            ));
            return None;
        }
    };
    include.comments.push("The last day still counts as working here.".into());
    include.inside.push((at, Cell::Text(String::new())));
    if include.outside.is_empty() {
        let long_ago = match found {
            Notation::Certain(format) => chrono::NaiveDate::from_ymd_opt(2001, 2, 28)
                .map(|day| day.format(format).to_string())
                .unwrap_or_default(),
            _ => String::new(),
        };
        include.outside.push((at, Cell::Text(long_ago)));
    }
    Some(format!("{empty} || {compared} >= today"))
}

/// How to wait for somebody's first day, where dates can be compared.
fn first_day(table: &Table, at: usize, abilities: Abilities, include: &mut Include) {
    let column = &table.columns[at];
    let name = spelled(&column.name);
    let compared = match notation::of(column.cells.iter().map(String::as_str), day_first(table)) {
        Notation::Certain(notation::ISO) => name,
        Notation::Certain(format) if abilities.dates => format!("date({name}, {})", literal(format)),
        _ => return,
    };
    include.comments.push(format!(
        "People whose first day is still to come are included, so that their accounts are ready. To wait for it, add: && \
         {compared} <= today"
    ));
}

/// Words that CEL, or this program, understands as something else than a column.
const RESERVED: [&str; 44] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "package",
    "namespace",
    "null",
    "return",
    "true",
    "var",
    "void",
    "while",
    "today",
    "now",
    "row",
    "date",
    "datetime",
    "bool",
    "bytes",
    "double",
    "google",
    "int",
    "list",
    "map",
    "string",
    "uint",
    "type",
    "has",
    "size",
    "all",
    "exists",
    "filter",
    "math",
    "lists",
    "strings",
];

/// A column as an expression spells it.
pub fn spelled(name: &str) -> String {
    let mut letters = name.chars();
    let plain = letters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        && !RESERVED.contains(&name);
    if plain { name.to_string() } else { format!("row[{}]", literal(name)) }
}

/// A text as an expression spells it.
pub fn literal(text: &str) -> String {
    let mut spelled = String::with_capacity(text.len() + 2);
    spelled.push('"');
    for letter in text.chars() {
        match letter {
            '"' => spelled.push_str("\\\""),
            '\\' => spelled.push_str("\\\\"),
            '\n' => spelled.push_str("\\n"),
            '\r' => spelled.push_str("\\r"),
            '\t' => spelled.push_str("\\t"),
            _ if letter.is_control() => spelled.push_str(&format!("\\u{:04x}", u32::from(letter))),
            _ => spelled.push(letter),
        }
    }
    spelled.push('"');
    spelled
}
