//! What to do about a value that a field does not admit: how a mapping translates what the column has.
//!
//! Pure. It is told once for many records: [`super::coerce`] says of each what the field admits.

/// What to write, for a reason for which a record was rejected; `None` where a mapping can't help.
pub fn remedy(reason: &str) -> Option<String> {
    let (field, must) = reason.split_once(" must be ")?;
    let column = must.rsplit_once("(column ").and_then(|(_, rest)| rest.strip_suffix(')'));
    let column = column.map_or_else(|| "COLUMN".to_owned(), super::dates::spelled);
    let rule = |cel: String| format!("{field} = {{ cel = '{cel}' }}");
    let (what, how) = if must.starts_with("a whole number") {
        let text = rule(format!(r#"{column} == "senior" ? 2 : 1"#));
        let fraction = rule(format!("int(double({column}))"));
        return Some(format!("say which number a text stands for: {text}; or for numbers such as 4.0: {fraction}"));
    } else if let Some(words) = must.strip_prefix("one of ") {
        let words: Vec<&str> = words.split([',', '(']).map(str::trim).collect();
        let both = match words.as_slice() {
            [first, second, ..] if !second.starts_with("column") => format!("{} : {}", literal(first), literal(second)),
            _ => return None,
        };
        ("say which of them a text stands for", format!(r#"{column} == "senior" ? {both}"#))
    } else if must.starts_with("a number") {
        ("write the fraction after a point", format!(r#"{column}.replace(",", ".")"#))
    } else if must.starts_with("true or false") {
        ("say which text means true", format!(r#"{column} == "Y""#))
    } else if must.starts_with("a date and time") {
        ("say how the column writes it", format!(r#"datetime({column}, "%d.%m.%Y %H:%M")"#))
    } else if must.starts_with("a date") {
        ("say how the column writes dates", format!(r#"date({column}, "%d.%m.%Y")"#))
    } else {
        return None;
    };
    Some(format!("{what}: {}", rule(how)))
}

/// An allowed value as CEL writes it.
fn literal(value: &str) -> String {
    if value.parse::<f64>().is_ok() || matches!(value, "true" | "false") { value.into() } else { format!("{value:?}") }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{catalogue, cel, column};
    use super::super::{Mapping, MappingSpec};
    use super::*;

    #[test]
    fn each_type_has_an_example_that_compiles() {
        for (reason, part) in [
            ("level must be a whole number (column grade)", r#"level = { cel = 'grade == "senior" ? 2 : 1' }"#),
            ("level must be one of 0, 99 (column grade)", r#"grade == "senior" ? 0 : 99"#),
            ("title must be one of m, f (column Work Grade)", r#"row["Work Grade"] == "senior" ? "m" : "f""#),
            ("share must be a number, with a point before the fraction (column n)", r#"n.replace(",", ".")"#),
            ("title must be true or false (1 or 0, yes or no) (column n)", r#"n == "Y""#),
            ("starts must be a date such as 2026-11-22 (column n)", r#"date(n, "%d.%m.%Y")"#),
            ("starts must be a date and time with its offset, such as 2026-11-22T03:34:00Z", "datetime(COLUMN, "),
        ] {
            let help = remedy(reason).unwrap_or_default();
            assert!(help.contains(part), "{reason}: {help}");
            for example in help.split("cel = '").skip(1) {
                let text = example.split("' }").next().unwrap_or_default();
                let fields = vec![column("email", "mail"), cel("title", text)];
                let spec = MappingSpec { fields, all_text: true, ..MappingSpec::default() };
                assert!(Mapping::compile(&spec, &catalogue()).is_ok(), "{text}");
            }
        }
        for reason in ["email is empty", "title must be text, not a list or an object", "level must be one of 1"] {
            assert_eq!(remedy(reason), None, "{reason}");
        }
    }
}
