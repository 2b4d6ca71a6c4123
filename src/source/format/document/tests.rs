//! What is kept of JSON records.

use super::super::json::column;
use super::*;
use proptest::prelude::*;
use serde_json::json;

fn wants(columns: &[&str]) -> Wants {
    let columns: Vec<String> = columns.iter().map(ToString::to_string).collect();
    Wants::new("id", &columns)
}

fn read(text: &str) -> Document {
    wants(&["mail", "name.first"]).of_text(text.as_bytes()).expect("JSON")
}

#[test]
fn what_is_wanted_is_kept_and_nothing_else() {
    let text = r#"{"id":7,"mail":{"a":[1,{"b":null}]},"name":{"first":"A","last":"B"},"other":[{"id":1}],"name.x":2}"#;
    let document = read(text);
    assert_eq!(document.value, json!({"id": 7, "mail": {"a": [1, {"b": null}]}, "name": {"first": "A"}}));
    assert_eq!((document.blank, document.doubled, document.excess), (false, None, None));
    assert_eq!(read("[1]").value, Value::Null);
}

#[test]
fn a_doubled_field_is_noticed_at_any_depth_and_among_many() {
    for (text, name) in [
        (r#"{"a":{"b":1,"b":2}}"#, Some("b")),
        (r#"{"a":{"b":1},"c":[{"b":2}],"b":3}"#, None),
        (r#"{"x":[[{"b":1,"b":1}]]}"#, Some("b")),
    ] {
        assert_eq!(read(text).doubled.as_deref(), name, "{text}");
    }
    for many in [10, FEW - 1, FEW, FEW + 1, 500] {
        let names: Vec<String> = (0..many).map(|n| format!("\"f{n}\":0")).collect();
        assert_eq!(read(&format!("{{{}}}", names.join(","))).doubled, None, "{many}");
        let twice = read(&format!("{{{},\"f{}\":0}}", names.join(","), many - 1));
        assert_eq!(twice.doubled, Some(format!("f{}", many - 1)));
    }
}

#[test]
fn unused_fields_may_be_huge_and_used_ones_are_bounded_and_the_key_is_there_all_the_same() {
    let tiny = format!("[{}]", vec!["{\"\":0}"; 300_000].join(","));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let long = format!("\"{}\"", "x".repeat(20_000_000));
    for huge in [&tiny, &deep, &long] {
        let unused = read(&format!("{{\"x\":{huge},\"id\":\"E1\",\"mail\":\"a\"}}"));
        assert_eq!((unused.value, unused.excess), (json!({"id": "E1", "mail": "a"}), None));
        let used = read(&format!("{{\"mail\":{huge},\"id\":\"E1\",\"name\":{{\"first\":1}}}}"));
        assert_eq!(used.value["id"], "E1");
        assert!(used.excess.is_some());
    }
    let wide =
        |n: usize| format!("{{\"id\":1,{}}}", (0..n).map(|n| format!("\"{n}\":0")).collect::<Vec<_>>().join(","));
    assert_eq!(read(&wide(MOST_FIELDS - 1)).excess, None);
    assert!(read(&wide(MOST_FIELDS)).excess.is_some_and(|why| why.contains("100000 fields")));
    assert!(read(&format!("{{\"id\":{long}}}")).excess.is_some());
}

#[test]
fn columns_are_listed_by_dotted_path() {
    let text = r#"{"id":7,"name":{"first":"A","x.y":{"z":1}},"a.b":2,"list":[{"no":1}],"none":{}}"#;
    let document = wants(&[]).listing_columns(true).of_text(text.as_bytes()).expect("JSON");
    assert_eq!(document.columns, ["id", "name.first", "name.x.y.z", "a.b", "list", "none"]);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), any::<i64>().prop_map(Value::from), "[a-z ]{0,2}".prop_map(Value::from)];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[ab](\\.[ab])?", inner, 0..4).prop_map(|m| m.into_iter().collect()),
        ]
    })
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.iter().all(is_blank),
        Value::Object(fields) => fields.values().all(is_blank),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

proptest! {
    #![proptest_config(crate::domain::properties::cases(256))]

    #[test]
    fn a_column_is_what_it_is_in_the_whole_record(
        record in proptest::collection::btree_map("[ab](\\.[ab])?", any_json(), 0..4),
        columns in proptest::collection::vec("[ab](\\.[ab]){0,2}", 1..4),
    ) {
        let record: Map<String, Value> = record.into_iter().collect();
        let names: Vec<&str> = columns.iter().map(String::as_str).collect();
        let whole = Value::Object(record.clone());
        let document = wants(&names).of_text(whole.to_string().as_bytes()).expect("JSON");
        let Value::Object(kept) = &document.value else { panic!("an object") };
        for name in &columns {
            prop_assert_eq!(column(kept, name), column(&record, name), "{}", name);
        }
        prop_assert_eq!(document.blank, is_blank(&whole));
        prop_assert_eq!((document.doubled, document.excess), (None, None));
    }

    #[test]
    fn records_are_equal_when_their_prints_are(a in any_json(), b in any_json()) {
        let wants = wants(&[]);
        let print = |value: &Value| wants.of_text(value.to_string().as_bytes()).expect("JSON").print;
        prop_assert_eq!(print(&a) == print(&b), a == b);
    }

    #[test]
    fn a_text_that_was_changed_anywhere_is_a_record_when_serde_reads_it(
        value in any_json(),
        at in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = value.to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        prop_assert_eq!(wants(&["a", "b.a"]).of_text(&bytes).is_ok(), serde_json::from_slice::<Value>(&bytes).is_ok());
    }

    #[test]
    fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(wants(&["a"]).of_text(&bytes));
    }
}
