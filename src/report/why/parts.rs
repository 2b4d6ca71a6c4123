//! Which part of an `include` says no: its conjuncts, taken apart and asked one by one.
//!
//! Pure.

use serde_json::Value;

use crate::domain::local_time::LocalTime;
use crate::domain::operation::shown;
use crate::domain::record::{Columns, Record};
use crate::mapping::{Expression, Scope};

/// The parts between the `&&` of the outermost level; the whole, where an `||` stands there too.
pub fn parts(include: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut quote, mut begin) = (Vec::new(), 0i32, None, 0);
    let mut letters = include.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match (quote, letter) {
            (Some(_), '\\') => {
                letters.next();
            }
            (Some(open), _) if letter == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(letter),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth -= 1,
            (None, '|' | '?') if depth == 0 => return vec![include.trim()],
            (None, '&') if depth == 0 && letters.peek().is_some_and(|(_, next)| *next == '&') => {
                letters.next();
                parts.push(include[begin..at].trim());
                begin = at + 2;
            }
            (None, _) => {}
        }
    }
    parts.push(include[begin..].trim());
    parts
}

/// The parts that are not true of this record, each with the values that it looks at.
pub fn refusing(include: &str, columns: &Columns, record: &Record, time: LocalTime) -> Vec<String> {
    let cell = |name: &str| Some(columns.index(name).and_then(|at| record.cells.get(at)).unwrap_or(&Value::Null));
    let scope = Scope::new(&cell, time);
    let mut refusing = Vec::new();
    for part in parts(include) {
        let Ok(expression) = Expression::compile(part) else { continue };
        if matches!(expression.evaluate(&scope), Ok(Value::Bool(true))) {
            continue;
        }
        let mut looked_at: Vec<String> = (expression.columns().iter())
            .map(|name| format!("{name} is {}", shown(cell(name).unwrap_or(&Value::Null))))
            .collect();
        if expression.uses().today {
            looked_at.push(format!("today is {}", time.today()));
        }
        if expression.uses().now {
            looked_at.push(format!("now is {}", time.now().format("%Y-%m-%d %H:%M %:z")));
        }
        refusing.push(match looked_at.is_empty() {
            true => part.to_string(),
            false => format!("{part} ({})", looked_at.join(", ")),
        });
    }
    refusing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::record::{Key, Position};
    use serde_json::json;

    #[test]
    fn an_include_falls_apart_at_its_outermost_ands() {
        for (text, expected) in [
            ("status == 'active'", vec!["status == 'active'"]),
            (
                "a == '&&' && (b || c && d) && e['x && y'] != \"\"",
                vec!["a == '&&'", "(b || c && d)", "e['x && y'] != \"\""],
            ),
            ("a && b || c", vec!["a && b || c"]),
            ("a == 'it\\'s' && b", vec!["a == 'it\\'s'", "b"]),
        ] {
            assert_eq!(parts(text), expected, "{text}");
        }
    }

    #[test]
    fn the_parts_that_say_no_are_named_with_what_they_look_at() {
        let columns = Columns::new(["status", "start"].map(String::from));
        let cells = vec![json!("left"), json!("2026-01-01")];
        let record = Record::new(Key::parse("E1").expect("a key"), Position::default(), cells);
        let include = "status == 'active' && start <= today";
        assert_eq!(
            refusing(include, &columns, &record, LocalTime::noon("2026-11-22")),
            ["status == 'active' (status is “left”)"]
        );
        assert_eq!(
            refusing("start > today", &columns, &record, LocalTime::noon("2026-11-22")),
            ["start > today (start is “2026-01-01”, today is 2026-11-22)"]
        );
    }
}
