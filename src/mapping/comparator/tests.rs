use proptest::{prelude::*, sample};
use serde_json::{Value, json};

use super::*;
use crate::domain::record::{Columns, cells::encoded};
use crate::domain::value::Attributes;
use crate::mapping::tests::{catalogue, cel, column, value};
use crate::mapping::{FieldRule, Mapped, Mapping, MappingSpec, OnEmpty};
use crate::plan::diff;

const COLUMNS: [&str; 7] = ["mail", "unused", "title", "title.short", "level", "start", "groups"];

fn today() -> LocalTime {
    LocalTime::noon("2026-11-22")
}

fn bound(mut fields: Vec<FieldRule>, include: Option<&str>) -> Bound {
    fields.reverse(); // Their order in the file is any.
    let recognised_by = vec!["email".into()];
    let spec = MappingSpec { fields, include: include.map(Into::into), recognised_by, ..MappingSpec::default() };
    let (mapping, _) = Mapping::compile(&spec, &catalogue()).expect("it compiles");
    mapping.bind(&Columns::new(COLUMNS.map(String::from))).expect("every column is there")
}

/// Of every type of field and every way to a value something.
fn everything() -> Bound {
    let created = FieldRule { when: When::Create, ..cel("dimensions.3", "title + groups") };
    let omitted = FieldRule { empty: OnEmpty::Omit, ..column("phone", "groups") };
    let fields = vec![
        cel("email", "mail.lowerAscii()"),
        value("client_id", json!("constant")),
        column("title", "title"),
        omitted,
        created,
        column("level", "level"),
        cel("share", "level == '' ? 0.5 : double(level)"),
        column("starts", "start"),
        column("tags", "groups"),
        cel("dimensions.7", "title.short + title"),
    ];
    bound(fields, Some("mail != 'out' && (start == '' || start <= today)"))
}

/// What comparing is to say, by making everything and comparing that.
fn made(bound: &Bound, row: &[Value], acknowledged: &Attributes) -> Option<Comes> {
    match bound.apply(row, today()) {
        Mapped::Excluded => Some(Comes::Excluded),
        Mapped::InScope(desired) if diff::changes(&desired, acknowledged, &catalogue()).is_empty() => Some(Comes::Same),
        Mapped::InScope(_) | Mapped::Rejected(_) => None,
    }
}

/// What the target holds once a row was written to it; something else where the row can't be.
fn written(bound: &Bound, row: &[Value]) -> Attributes {
    match bound.apply(row, today()) {
        Mapped::InScope(desired) => desired.fields.into_iter().map(|(field, of)| (field, of.value)).collect(),
        Mapped::Excluded | Mapped::Rejected(_) => [("title".to_string(), json!("Clerk"))].into_iter().collect(),
    }
}

/// What a cell may hold.
const ODD: &[&str] = &["", " ", "Clerk", "Köchin", "a\"b\\c\n", "\u{1}", "x, y;x", "0", "1", "2", "out", " 1"];

fn text() -> impl Strategy<Value = Value> {
    prop_oneof![
        8 => sample::select(ODD).prop_map(Value::from),
        1 => Just(Value::Null),
        1 => Just(json!(1)),
        1 => Just(json!(["x", "y"])),
        1 => "[a-z]{0,400}".prop_map(Value::from),
    ]
}

fn row() -> impl Strategy<Value = Vec<Value>> {
    let mail = sample::select(vec!["A@b.example", "ben@b.example", "out", "", " x@b.example", "a\u{200b}b"]);
    let start = sample::select(vec!["", "2026-11-22", "2026-11-23", "2026-01-31T00:00:00", "soon"]);
    let others = (mail, text(), text(), text(), text(), start, text());
    others.prop_map(|(mail, unused, title, short, level, start, groups)| {
        vec![json!(mail), unused, title, short, level, json!(start), groups]
    })
}

/// Something else than what was written.
fn changed() -> impl Strategy<Value = Option<(&'static str, Option<Value>)>> {
    let fields =
        ["client_id", "dimensions.7", "email", "dimensions.3", "level", "other", "phone", "share", "starts", "tags"];
    proptest::option::of((sample::select(fields.to_vec()), proptest::option::of(text())))
}

proptest! {
    #![proptest_config(crate::domain::properties::cases(256))]

    /// Rows one after the other, of which many have inputs that came before.
    #[test]
    fn it_says_what_making_everything_says(
        rows in proptest::collection::vec((row(), changed()), 1..40),
        short in 0usize..6,
    ) {
        let bound = everything();
        let mut comparator = bound.comparator(today());
        for (mut row, changed) in rows {
            // A row may be shorter than the header.
            if short == 0 {
                row.truncate(5);
            }
            let mut acknowledged = written(&bound, &row);
            match changed {
                Some((field, Some(value))) => acknowledged.set(field, value),
                Some((field, None)) => { acknowledged.0.remove(field); }
                None => {}
            }
            let json = serde_json::to_string(&acknowledged).expect("JSON");
            prop_assert_eq!(comparator.compare(&encoded(&row), &json), made(&bound, &row, &acknowledged), "{:?}", row);
        }
    }
}

#[test]
fn an_expression_of_ever_new_inputs_is_as_right_as_one_of_few() {
    let bound = bound(vec![cel("email", "mail.trim()"), cel("title", "title + '!'")], None);
    let mut comparator = bound.comparator(today());
    for n in 0..5000 {
        let row = encoded(&[json!(format!("p{n}@b.example ")), json!(""), json!(["Cook", "Clerk"][n % 2])]);
        let title = ["Cook!", "Clerk!"][n % 2];
        let right = json!({"email": format!("p{n}@b.example"), "title": title}).to_string();
        let wrong = json!({"email": format!("p{}@b.example", n + 1), "title": title}).to_string();
        assert_eq!(comparator.compare(&row, &right), Some(Comes::Same), "{n}");
        assert_eq!(comparator.compare(&row, &wrong), None, "{n}");
    }
}

/// `row["org"].unit` is the column `org.unit` where some rule refers to one, and a member of `org` elsewhere; a variable of
/// a comprehension is whatever has its name.
#[test]
fn an_expression_that_sees_more_than_it_names_sees_it_here_too() {
    let columns = ["mail", "org", "org.unit", "x.y"];
    let fields =
        || vec![column("email", "mail"), cel("title", "row['org'].unit"), cel("phone", "[org].map(x, x.y)[0]")];
    let with = |more: Vec<FieldRule>| {
        let spec = MappingSpec { fields: [fields(), more].concat(), ..MappingSpec::default() };
        let (mapping, _) = Mapping::compile(&spec, &catalogue()).expect("it compiles");
        mapping.bind(&Columns::new(columns.map(String::from))).expect("every column is there")
    };
    let mut seen = std::collections::BTreeSet::new();
    for bound in [with(vec![]), with(vec![column("dimensions.7", "org.unit"), column("dimensions.8", "x.y")])] {
        let mut comparator = bound.comparator(today());
        for (n, (unit, y)) in
            [("HQ", "1"), ("Lab", "1"), ("Lab", "2"), ("", "2")].into_iter().cycle().take(40).enumerate()
        {
            let mail = ["a@b.example", "b@b.example"][n / 4 % 2];
            let row = [json!(mail), json!({"unit": "HQ", "y": "0"}), json!(unit), json!(y)];
            let acknowledged = written(&bound, &row);
            seen.insert(acknowledged.get("title").cloned().unwrap_or_default().to_string());
            let wrong: Attributes =
                [("email".to_string(), json!(mail)), ("title".to_string(), json!("HQ"))].into_iter().collect();
            for acknowledged in [acknowledged, wrong] {
                let json = serde_json::to_string(&acknowledged).expect("JSON");
                assert_eq!(comparator.compare(&encoded(&row), &json), made(&bound, &row, &acknowledged), "{row:?}");
            }
        }
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
}

#[test]
fn what_is_no_row_or_no_attributes_is_left_to_others() {
    let bound = bound(vec![column("email", "mail")], None);
    let mut comparator = bound.comparator(today());
    let row = encoded(&[json!("a@b.example")]);
    assert_eq!(comparator.compare(&row, r#"{"email":"a@b.example"}"#), Some(Comes::Same));
    for broken in ["", "[]", "null", r#"{"email":"a@b.example""#, r#"{"title":"x","email":"a@b.example"}"#] {
        assert_eq!(comparator.compare(&row, broken), None, "{broken}");
    }
    assert_eq!(comparator.compare(&row[..4], r#"{"email":"a@b.example"}"#), None, "half a cell");
}
