//! The names of functions: which there are, and what is meant by one that there is not.

use cel::common::ast::{Expr, LiteralValue};
use cel::{ExecutionError, Value};

use super::call_on;
use crate::domain::nearest::nearest;
use crate::mapping::expression::{Problem, bare_context};

/// Functions and macros that people look for, with the names they may try; for the nearest name.
const FUNCTIONS: [&str; 48] = [
    "all",
    "bool",
    "charAt",
    "contains",
    "date",
    "datetime",
    "distinct",
    "double",
    "duration",
    "endsWith",
    "exists",
    "exists_one",
    "filter",
    "first",
    "flatten",
    "format",
    "getDayOfMonth",
    "getDayOfWeek",
    "getFullYear",
    "getHours",
    "getMonth",
    "indexOf",
    "int",
    "join",
    "last",
    "lastIndexOf",
    "lists.range",
    "lowerAscii",
    "map",
    "matches",
    "math.abs",
    "math.ceil",
    "math.floor",
    "math.greatest",
    "math.least",
    "math.round",
    "replace",
    "reverse",
    "size",
    "slice",
    "sort",
    "sortBy",
    "split",
    "startsWith",
    "string",
    "substring",
    "timestamp",
    "upperAscii",
];

/// What other languages call it, and what CEL does.
const ALIASES: [(&str, &str); 24] = [
    ("parseDate", "date"),
    ("parse_date", "date"),
    ("toDate", "date"),
    ("to_date", "date"),
    ("strptime", "date"),
    ("str_to_date", "date"),
    ("to_timestamp", "datetime"),
    ("dateTime", "datetime"),
    ("lower", "lowerAscii"),
    ("toLower", "lowerAscii"),
    ("toLowerCase", "lowerAscii"),
    ("lowercase", "lowerAscii"),
    ("upper", "upperAscii"),
    ("toUpper", "upperAscii"),
    ("toUpperCase", "upperAscii"),
    ("uppercase", "upperAscii"),
    ("len", "size"),
    ("length", "size"),
    ("lenght", "size"),
    ("strip", "trim"),
    ("max", "math.greatest"),
    ("min", "math.least"),
    ("math.maximum", "math.greatest"),
    ("math.minimum", "math.least"),
];

/// How one of two is chosen.
pub(in crate::mapping) const CONDITION: &str =
    r#"a choice is written CONDITION ? THIS : OTHER, as in title == "" ? "none" : title"#;

/// What is said of a call of a function that there is not.
pub(super) fn unknown_function(name: &str) -> Problem {
    let problem = Problem::new(format!("there is no function {name}()"));
    let habit = match name {
        "today" | "now" => Some(format!("{name} is a value: write it without the brackets")),
        "concat" | "concatenate" => Some("texts are joined by a plus: first_name + \" \" + last_name".into()),
        "iif" | "ifelse" | "case" => Some(CONDITION.into()),
        _ => None,
    };
    if let Some(habit) = habit {
        return problem.help(habit);
    }
    let alias = ALIASES.iter().find(|(other, _)| *other == name).map(|(_, ours)| *ours);
    let near = alias.or_else(|| nearest(name, FUNCTIONS.iter().copied()));
    match near {
        Some(near @ ("date" | "datetime")) => {
            problem.help(format!("did you mean `{near}()`? e.g. {near}(hire_date, \"%d.%m.%Y\")"))
        }
        Some(near) => problem.help(format!("did you mean `{near}()`?")),
        None => problem.help("the functions are listed by: rosterd manual cel"),
    }
}

/// Whether there is a function of this name. The crate doesn't list its functions, but it tells a call with wrong
/// arguments from a call of nothing.
pub(super) fn exists(name: &str, arguments: usize, as_method: bool) -> bool {
    // Operators, and what macros expand to, have names that no source text can contain.
    if name.contains(|c: char| !c.is_alphanumeric() && c != '_' && c != '.') {
        return true;
    }
    let null = || Expr::Literal(LiteralValue::Null);
    let probe = call_on(name, as_method.then(null), (0..arguments).map(|_| null()).collect());
    !matches!(Value::resolve(&probe, &bare_context()), Err(ExecutionError::UndeclaredReference(_)))
}
