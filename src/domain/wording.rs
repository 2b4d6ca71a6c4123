//! What serde has to say of something that was typed, in words for people: of the configuration, and of definitions of
//! targets. Values are not shown: any of them may be a secret in the wrong place.

use figment::error::{Actual, Kind};

use crate::domain::nearest::nearest;

/// What is wrong, and what to do about it where that can be told.
pub fn of_kind(kind: &Kind) -> (String, Option<String>) {
    match kind {
        Kind::UnknownField(name, known) => (format!("unknown key `{name}`"), did_you_mean(name, known)),
        Kind::UnknownVariant(name, known) => {
            let words: Vec<String> = known.iter().map(|word| format!("{word:?}")).collect();
            let near = nearest(name, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            (format!("{name:?} is not one of {}", words.join(", ")), near)
        }
        Kind::MissingField(name) => (format!("{name} is missing"), None),
        Kind::InvalidType(found, wanted) | Kind::InvalidValue(found, wanted) => {
            let wanted = expected(wanted);
            // Some name an example, and a second comma ends it.
            let comma = if wanted.contains(", such as") { "," } else { "" };
            (format!("{wanted}{comma} is wanted here, not {}", actual(found)), None)
        }
        other => (other.to_string(), None),
    }
}

fn did_you_mean(name: &str, known: &[&'static str]) -> Option<String> {
    match nearest(name, known.iter().copied()) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None if known.is_empty() => None,
        None => Some(format!("known here: {}", known.join(", "))),
    }
}

/// serde's name for a type, as people call it.
fn expected(wanted: &str) -> String {
    let words = wanted.trim_matches('`');
    let word = match words {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0 upwards",
        "i64" => "a whole number",
        "a string" | "string" => "text in quotes",
        "path string" => "a path in quotes",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" | "map" => "a table",
        _ if words.starts_with("struct ") => "a table",
        _ if words.contains("enum ") || words.contains("variant") => "one of its words, in quotes",
        _ => words,
    };
    word.to_owned()
}

fn actual(found: &Actual) -> String {
    match found {
        Actual::Bool(truth) => truth.to_string(),
        Actual::Signed(number) if *number < 0 => "a number below 0".into(),
        Actual::Unsigned(_) | Actual::Signed(_) => "a number".into(),
        Actual::Float(_) => "a number with a fraction".into(),
        Actual::Char(_) | Actual::Str(_) => "text".into(),
        Actual::Seq => "a list".into(),
        Actual::Map => "a table".into(),
        _ => "this".into(),
    }
}
