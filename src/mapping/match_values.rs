//! What a value must be to tell people apart: judged for the fields by which accounts are recognised.
//!
//! A value that looks like an address and is none, or that holds what nobody sees, is recognised by no target: it would
//! make a second account. Such a record is rejected. Messages name the field, the column and the way out, never the
//! value. Pure.

use serde_json::Value;
use unicode_normalization::is_nfkc;

use super::Source;
use crate::domain::value::is_unseen;

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A control or format character, a mark of writing direction.
    Unseen,
    /// An address with white space before or after it.
    Untrimmed,
    /// An address with white space within it.
    Space,
    /// An address in brackets, with a scheme, or several of them.
    NotBare,
    /// An address in letters that stand for others: KELVIN SIGN for K, a letter and its accent as two.
    Compatible,
}

/// What stands in no address, but around and between addresses.
const PUNCTUATION: [char; 5] = ['<', '>', ',', ';', ':'];

impl Fault {
    /// What the value must be, to follow the field's name.
    pub fn must(self) -> &'static str {
        match self {
            Fault::Unseen => "must have no control or format characters, which nobody sees",
            Fault::Untrimmed => "must have no white space around the address",
            Fault::Space => "must have no white space within the address",
            Fault::NotBare => "must be one bare address, without any of < > , ; :",
            Fault::Compatible => "must have each letter of the address in its plain, composed form (Unicode NFKC)",
        }
    }
}

/// Judges a value by which somebody is to be recognised; of a list, each item.
///
/// # Errors
/// What is wrong with it.
pub(super) fn judge(value: &Value) -> Result<(), Fault> {
    match value {
        Value::String(text) => judge_text(text),
        Value::Array(items) => items.iter().try_for_each(judge),
        Value::Object(members) => members.values().try_for_each(judge),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

fn judge_text(text: &str) -> Result<(), Fault> {
    let address = text.contains('@');
    // An address's line end or tab is white space at its edge, and trimmed like any.
    let core = if address { text.trim() } else { text };
    if !core.bytes().all(|byte| matches!(byte, b' '..=b'~')) && core.chars().any(is_unseen) {
        return Err(Fault::Unseen);
    }
    if !address {
        return Ok(());
    }
    if core.len() < text.len() {
        return Err(Fault::Untrimmed);
    }
    if text.contains(char::is_whitespace) {
        return Err(Fault::Space);
    }
    if text.contains(PUNCTUATION) {
        return Err(Fault::NotBare);
    }
    if !text.is_ascii() && !is_nfkc(text) {
        return Err(Fault::Compatible);
    }
    Ok(())
}

/// The reason of a rejected record, to follow the field's name: what the value must be, where it comes from, and what
/// mends it.
pub(super) fn told(fault: Fault, field: &str, from: &Source) -> String {
    let columns = match from {
        Source::Column(name) => vec![name.clone()],
        Source::Cel(expression) => expression.columns().to_vec(),
        Source::Constant(_) => Vec::new(),
    };
    let place = match columns.as_slice() {
        [] => String::new(),
        [one] => format!(" (column {one})"),
        several => format!(" (columns {})", several.join(", ")),
    };
    let mend = match (fault, from, columns.as_slice()) {
        (Fault::Untrimmed, Source::Column(_), [column]) => {
            format!("map it as {} = {{ cel = '{}.trim()' }}", quoted(field), as_cel(column))
        }
        (Fault::Untrimmed, ..) => "apply .trim() to it in the mapping".to_string(),
        _ => "mend it in the source".to_string(),
    };
    format!(" {}{place}; {mend}, or an account that is there already is not recognised", fault.must())
}

/// A field's name as it is written in TOML.
fn quoted(field: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if field.chars().all(bare) { field.to_string() } else { format!("{field:?}") }
}

/// A column as CEL refers to it.
fn as_cel(column: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if column.chars().all(plain) { column.to_string() } else { format!("row[{column:?}]") }
}

#[cfg(test)]
mod tests {
    use crate::domain::local_time::LocalTime;
    use serde_json::json;

    use super::super::bound::Mapped;
    use super::super::tests::{cel, column, compile, value};
    use super::super::{FieldRule, Mapping, MappingSpec};
    use super::*;
    use crate::domain::record::Columns;

    #[test]
    fn what_no_address_can_be_is_told() {
        for (text, fault) in [
            ("\u{200b}ben@acme.example", Fault::Unseen),
            ("ben@acme.example\u{200e}", Fault::Unseen),
            ("be\u{ad}n@acme.example", Fault::Unseen),
            ("\u{feff}ben@acme.example", Fault::Unseen),
            ("b\tn@acme.example", Fault::Unseen),
            (" ben@acme.example", Fault::Untrimmed),
            ("ben@acme.example\u{a0}", Fault::Untrimmed),
            ("ben@acme.example\r\n", Fault::Untrimmed),
            ("ben @acme.example", Fault::Space),
            ("ben@\u{3000}acme.example", Fault::Space),
            ("<ben@acme.example>", Fault::NotBare),
            ("mailto:ben@acme.example", Fault::NotBare),
            ("a@x.example;b@y.example", Fault::NotBare),
            ("a@x.example,b@y.example", Fault::NotBare),
            ("\u{212a}im@acme.example", Fault::Compatible),
            ("mu\u{308}ller@acme.example", Fault::Compatible),
            ("ben\u{ff20}acme.example@acme.example", Fault::Compatible),
            ("E\u{200b}7", Fault::Unseen),
            ("E7\n", Fault::Unseen),
        ] {
            assert_eq!(judge(&json!(text)), Err(fault), "{text:?}");
            assert_eq!(judge(&json!(["a@b.example", text])), Err(fault), "{text:?} in a list");
        }
    }

    #[test]
    fn what_addresses_and_other_values_are_stays() {
        for text in [
            "ben+hr@acme.example",
            "o'neil@acme.example",
            "BEN@ACME.example",
            "müller@acme.example",
            "ben@münchen.example",
            "ben@xn--mnchen-3ya.example",
            "用户@例子.example",
            "+41 44 123 45 67",
            "1 234",
            " 77 ",
            "a, b; c",
            "E\u{a0}7",
            "",
        ] {
            assert_eq!(judge(&json!(text)), Ok(()), "{text:?}");
        }
        assert_eq!(judge(&json!([7, null, true, "a@b.example"])), Ok(()));
    }

    fn reason(rule: FieldRule, cell: &str) -> String {
        let mapping = compile(vec![rule], None);
        let bound = mapping.bind(&Columns::new(["mail".into(), "Work Email".into()])).expect("its columns");
        let cells = [json!(cell), json!(cell)];
        match bound.apply(&cells, LocalTime::noon("2026-11-22")) {
            Mapped::Rejected(reason) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_record_is_rejected_with_its_field_its_column_and_the_way_out() {
        for (rule, cell, parts) in [
            (
                column("email", "mail"),
                " ben@acme.example",
                ["email must have no white space around", "(column mail)", "email = { cel = 'mail.trim()' }"],
            ),
            (
                column("email", "Work Email"),
                "ben@acme.example ",
                ["(column Work Email)", "row[\"Work Email\"].trim()", ""],
            ),
            (cel("email", "mail.lowerAscii()"), "ben@acme.example\u{a0}", ["(column mail)", ".trim()", ""]),
            (column("email", "mail"), "<ben@acme.example>", ["one bare address", "mend it in the source", ""]),
        ] {
            let reason = reason(rule, cell);
            assert!(parts.iter().all(|part| reason.contains(part)), "{reason}");
            assert!(!reason.contains("ben"), "{reason}");
        }
    }

    #[test]
    fn only_what_recognises_people_is_bound_by_it() {
        let mapping = compile(vec![column("email", "mail"), column("title", "mail")], None);
        let bound = mapping.bind(&Columns::new(["mail".into()])).expect("its columns");
        let apply = |cell: &str| bound.apply(&[json!(cell)], LocalTime::noon("2026-11-22"));
        assert!(matches!(apply("ben@acme.example"), Mapped::InScope(_)));
        let spec = MappingSpec { fields: vec![column("email", "mail")], ..MappingSpec::default() };
        let elsewhere = Mapping::compile(&spec, &super::super::tests::catalogue()).expect("it compiles").0;
        assert_ne!(elsewhere.version(), compile(vec![column("email", "mail")], None).version());
        let bound = elsewhere.bind(&Columns::new(["mail".into()])).expect("its columns");
        let cells = [json!("<ben@acme.example>")];
        assert!(matches!(bound.apply(&cells, LocalTime::noon("2026-11-22")), Mapped::InScope(_)));
    }

    #[test]
    fn a_constant_is_judged_when_the_mapping_is() {
        let spec = MappingSpec {
            fields: vec![value("email", json!("mailto:a@b.example"))],
            recognised_by: vec!["email".into()],
            ..MappingSpec::default()
        };
        let found = Mapping::compile(&spec, &super::super::tests::catalogue()).expect_err("refused");
        assert!(found[0].message.contains("one bare address"), "{found:?}");
    }
}
