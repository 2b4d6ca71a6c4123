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
use super::write::quoted;

/// A comment in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// Sentences, broken into lines as there is room.
    Text(String),
    /// What may be copied, on a line of its own.
    Code(String),
}

impl Remark {
    fn text(text: impl Into<String>) -> Remark {
        Remark::Text(text.into())
    }
}

/// Who is included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Include {
    /// The expression; none: everybody.
    pub cel: Option<String>,
    /// The comments above it.
    pub comments: Vec<Remark>,
    /// What the user should look at.
    pub warnings: Vec<String>,
    /// By column: values of somebody who is included.
    pub inside: Vec<(usize, Cell)>,
    /// By column: values of somebody who is not; none where nobody is left out for certain.
    pub outside: Vec<(usize, Cell)>,
}

/// Who is included, as far as the columns tell; `told`: the values of the status, trimmed and in small ASCII letters, of
/// people who work here, where that was asked.
pub fn propose(table: &Table, roles: &Roles, told: Option<&[String]>) -> Include {
    let mut include = Include::default();
    let mut parts = Vec::new();
    match roles.get(Meaning::Status) {
        Some(at) => parts.extend(by_status(&table.columns[at], at, told, &mut include)),
        None => include.warnings.push(
            "no column tells who works here: everybody in the export is included, and only who is missing from it is \
             banned; say who with --include"
                .into(),
        ),
    }
    if let Some(at) = roles.get(Meaning::LeaveDate) {
        parts.extend(by_last_day(table, at, parts.is_empty(), &mut include));
        if !parts.is_empty() && roles.get(Meaning::Status).is_none() {
            include.warnings.clear();
        }
    }
    if let Some(at) = roles.get(Meaning::HireDate) {
        first_day(table, at, parts.is_empty(), &mut include);
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

fn by_status(column: &Column, at: usize, told: Option<&[String]>, include: &mut Include) -> Option<String> {
    let name = spelled(&column.name);
    if column.is_truth {
        let gaps = column.cells.iter().any(String::is_empty);
        include.inside.push((at, Cell::Truth(true)));
        include.outside.push((at, Cell::Truth(false)));
        return Some(if gaps { format!("{name} != false") } else { format!("{name} == true") });
    }
    let statuses = status::of(column).map(|statuses| told.map_or(statuses.clone(), |told| statuses.as_told(told)));
    let statuses = statuses.filter(|statuses| column.is_text && statuses.is_understood());
    let Some(Statuses { active, left, unknown }) = statuses else {
        include.comments.push(Remark::text(
            "The column for the status has no value that is understood. So everybody is included, and nobody is taken to \
             have left: write here who works for you, for instance",
        ));
        include
            .comments
            .push(Remark::Code(format!("include = {}", quoted(&format!("{name}.trim().lowerAscii() == \"active\"")))));
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
        include.comments.push(Remark::Text(format!(
            "Whether these have left is not known, so they count as being here: {}. Take out who has left.",
            told.join(", ")
        )));
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
    include.comments.push(Remark::text("A value that comes up later and is not listed here counts as having left."));
    include.inside.push((at, Cell::Text(active[0].clone())));
    include.outside.push((at, Cell::Text(left.first().cloned().unwrap_or_else(|| "left".into()))));
    let kept: Vec<String> = active.into_iter().chain(unknown).collect();
    Some(match kept.as_slice() {
        [one] => format!("{compared} == {}", literal(one)),
        several => format!("{compared} in [{}]", list(several)),
    })
}

fn by_last_day(table: &Table, at: usize, is_first: bool, include: &mut Include) -> Option<String> {
    let column = &table.columns[at];
    let name = spelled(&column.name);
    let found = notation::of(column.cells.iter().map(String::as_str), day_first(table));
    let empty = match column.is_text {
        true => format!("{name}.trim() == \"\""),
        false => format!("{name} == null || {name} == \"\""),
    };
    let compared = match found {
        Notation::Certain(notation::ISO) => name.clone(),
        Notation::Certain(format) if column.is_text => format!("date({name}, {})", literal(format)),
        Notation::Empty => return None,
        Notation::Certain(format) => {
            include.comments.push(Remark::Text(format!(
                "The last day, column {:?}, is written as {format}, as something else than text, and is not used. Have the export write them so, then write",
                column.name
            )));
            include.comments.push(addition(is_first, &format!("{empty} || {name} >= today")));
            return None;
        }
        Notation::Ambiguous(..) | Notation::Unknown => {
            include.comments.push(Remark::Text(format!(
                "The last day, column {:?}, is not used: how its dates are written can't be told for certain. Have the \
                 export write them as 2027-01-31, then write",
                column.name
            )));
            include.comments.push(addition(is_first, &format!("{empty} || {name} >= today")));
            return None;
        }
    };
    include.comments.push(Remark::text("The last day still counts as working here."));
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

/// What may be added to the expression, or be it where there is none.
fn addition(is_first: bool, part: &str) -> Remark {
    Remark::Code(if is_first { format!("include = {}", quoted(part)) } else { format!("&& {}", enclosed(part)) })
}

/// How to wait for somebody's first day, where dates can be compared.
fn first_day(table: &Table, at: usize, is_first: bool, include: &mut Include) {
    let column = &table.columns[at];
    let name = spelled(&column.name);
    let compared = match notation::of(column.cells.iter().map(String::as_str), day_first(table)) {
        Notation::Certain(notation::ISO) => name,
        Notation::Certain(format) if column.is_text => format!("date({name}, {})", literal(format)),
        _ => return,
    };
    include.comments.push(Remark::text(
        "People whose first day is still to come are included, so that their accounts are ready. To wait for it, write",
    ));
    include.comments.push(addition(is_first, &format!("{compared} <= today")));
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

#[cfg(test)]
mod tests {
    use super::super::detect::{Told, table};
    use super::super::guess::roles;
    use super::*;

    fn told(text: &str) -> Include {
        let table = table(text.as_bytes(), true, &Told::default()).expect("a table");
        propose(&table, &roles(&table), None)
    }

    fn said(include: &Include, part: &str) -> bool {
        include.comments.iter().any(|remark| matches!(remark, Remark::Text(text) if text.contains(part)))
    }

    fn cel(text: &str) -> String {
        told(text).cel.unwrap_or_default()
    }

    #[test]
    fn who_works_here_is_told_by_status_and_last_day() {
        for (text, is) in [
            ("id,status\n1,active\n2,left\n", r#"status.trim().lowerAscii() == "active""#),
            (
                "id;Work Status\n1;Active\n2;On Leave\n3;Left\n",
                r#"row["Work Status"].trim().lowerAscii() in ["active", "on leave"]"#,
            ),
            ("id,status\n1,terminated\n", r#"!(status.trim().lowerAscii() in ["terminated"])"#),
            ("id,status\n1,active\n2,zombie\n", r#"status.trim().lowerAscii() in ["active", "zombie"]"#),
            ("id,status\n1,zombie\n", ""),
            ("id,city\n1,X\n", ""),
            ("id,end_date\n1,\n2,2027-01-31\n", r#"end_date.trim() == "" || end_date >= today"#),
            (
                "id,status,end_date\n1,active,\n2,left,2020-01-31\n",
                r#"status.trim().lowerAscii() == "active" && (end_date.trim() == "" || end_date >= today)"#,
            ),
            ("id,end_date\n1,\n2,31/01/2027\n", r#"end_date.trim() == "" || date(end_date, "%d/%m/%Y") >= today"#),
            ("id,end_date\n1,\n2,03/04/2027\n", ""),
            (
                "id,end_date,hire date\n1,,31/01/2020\n2,03/04/2027,\n",
                r#"end_date.trim() == "" || date(end_date, "%d/%m/%Y") >= today"#,
            ),
            ("id,end_date\n1,\n", ""),
        ] {
            assert_eq!(cel(text), is, "{text}");
        }
    }

    #[test]
    fn what_is_not_known_is_said_and_nobody_is_taken_to_have_left() {
        let include = told("id,status\n1,zombie\n");
        assert!(include.cel.is_none() && include.warnings[0].contains("everybody is included"), "{include:?}");
        let include = told("id,status\n1,active\n2,\n");
        assert_eq!(include.cel.as_deref(), Some(r#"status.trim().lowerAscii() in ["active", ""]"#));
        assert!(said(&include, "(empty)") && include.warnings.len() == 1, "{include:?}");
        let include = told("id,end_date\n1,03/04/2027\n");
        assert!(include.cel.is_none() && said(&include, "2027-01-31"), "{include:?}");
        assert!(told("id,city\n1,X\n").warnings[0].contains("no column tells"));
    }

    #[test]
    fn names_and_texts_are_spelled_as_expressions_have_them() {
        for (name, is) in [
            ("status", "status"),
            ("Work Email", "row[\"Work Email\"]"),
            ("today", "row[\"today\"]"),
            ("in", "row[\"in\"]"),
            ("a.b", "row[\"a.b\"]"),
            ("1st", "row[\"1st\"]"),
            ("Prénom", "row[\"Prénom\"]"),
            ("a\"b\\c\nd", "row[\"a\\\"b\\\\c\\nd\"]"),
            ("\u{1}", "row[\"\\u0001\"]"),
        ] {
            assert_eq!(spelled(name), is);
        }
    }
}
