//! A JSON record, judged: is it somebody's, and can its values be taken for what the source holds?

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};

use serde_json::Value;

use super::super::parsed::{Parsed, RowCells};
use super::document::{Document, Row, Wants};
use super::json::column;
use super::rows::MAX_FIELD;
use crate::domain::record::cells::{first_text, put_text, put_value, values};
use crate::domain::record::{Key, Position};

/// Beyond this a number that is no whole number of 64 bits has lost digits when it was read: 2 to the power of 63.
pub(super) const EXACT: f64 = 9_223_372_036_854_775_808.0;

/// Judges the records of one source.
pub(in crate::source) struct Judge {
    key: String,
    /// What else the key may be asked for by, where there is no such column.
    also_key: Vec<String>,
    wanted: Vec<String>,
    /// Columns that are wanted or required, and whether some record has had them.
    needed: Vec<(String, bool)>,
    /// The columns that a record is read for, the place of each being its number.
    columns: Vec<String>,
    /// The numbers of the key and of those that are wanted.
    key_number: Option<usize>,
    numbers: Vec<Option<usize>>,
    hasher: RandomState,
    count: u64,
    objects: u64,
}

impl Judge {
    /// A judge of records that have their key in this column.
    pub fn new(key: &str, wanted: &BTreeSet<String>, required: &[String]) -> Judge {
        let needed: BTreeSet<&String> = required.iter().chain(wanted).collect();
        let needed = needed.into_iter().map(|name| (name.clone(), false)).collect();
        Judge {
            key: key.into(),
            also_key: Vec::new(),
            wanted: wanted.iter().cloned().collect(),
            needed,
            columns: Vec::new(),
            key_number: None,
            numbers: Vec::new(),
            hasher: RandomState::new(),
            count: 0,
            objects: 0,
        }
        .numbered()
    }

    fn numbered(mut self) -> Judge {
        let needed = self.needed.iter().map(|(name, _)| name);
        self.columns = Wants::new(&self.key, self.wanted.iter().chain(needed)).columns().to_vec();
        self.key_number = self.columns.binary_search(&self.key).ok();
        self.numbers = self.wanted.iter().map(|name| self.columns.binary_search(name).ok()).collect();
        self
    }

    /// The same, for whom these names mean the key too where there is no such column.
    pub fn calling_key(mut self, also: &[String]) -> Judge {
        self.needed.retain(|(name, _)| !also.contains(name));
        Judge { also_key: also.to_vec(), ..self }.numbered()
    }

    /// What of a record has to be read.
    pub fn wants(&self) -> Wants {
        Wants::new(&self.key, &self.columns).reading_cells()
    }

    /// The columns that no record had, of those that are wanted or required; none as long as there was no record.
    pub fn never_seen(&self) -> impl Iterator<Item = &str> {
        let needed = self.needed.iter().filter(|_| self.objects > 0);
        needed.filter(|(_, seen)| !seen).map(|(name, _)| name.as_str())
    }

    /// Judges the next record; `line` is 0 where there are no lines.
    pub fn next(&mut self, line: u64, document: Result<Document, String>) -> Parsed<'static> {
        self.count += 1;
        let position = Position { line, record: self.count };
        let bad = |key: Option<Key>, reason: String| Parsed::Bad { certain: key.is_some(), key, position, reason };
        let Document { value, blank, doubled, excess, print, row, .. } = match document {
            Ok(document) => document,
            Err(reason) => return bad(None, reason),
        };
        let row = match (row, value) {
            (Some(row), _) => row,
            (None, Value::Object(tree)) => Row::of_tree(tree),
            (None, _) => return bad(None, "it is not an object".into()),
        };
        if blank {
            return Parsed::Blank(position);
        }
        self.objects += 1;
        let number = |name: &String| self.columns.binary_search(name).ok();
        for (name, seen) in self.needed.iter_mut().filter(|(_, seen)| !seen) {
            *seen = !matches!(Found::of(&row, number(name), name), Found::Nothing);
        }
        let key = match self.key_of(Found::of(&row, self.key_number, &self.key)) {
            Ok(key) => key,
            Err(reason) => return bad(None, excess.map_or(reason, |what| format!("it {what}"))),
        };
        if let Some(what) = excess {
            return bad(Some(key), format!("it {what}"));
        }
        if let Some(name) = doubled {
            // Where the key itself may be the doubled one, whose record it is can't be known.
            let key = Some(key).filter(|_| self.key.rsplit('.').next() != Some(&name));
            return bad(key, format!("the field {name} is there twice"));
        }
        let mut cells = Vec::with_capacity(256);
        for (name, number) in self.wanted.iter().zip(&self.numbers) {
            match Found::of(&row, *number, name) {
                // The key is what it is taken for, in its normal form; a number stays one.
                Found::Cell(cell) if *name == self.key && first_text(cell).is_some() => {
                    put_text(&mut cells, key.as_str().as_bytes());
                }
                Found::Value(Value::String(_)) if *name == self.key => put_text(&mut cells, key.as_str().as_bytes()),
                Found::Nothing if self.also_key.contains(name) => put_text(&mut cells, key.as_str().as_bytes()),
                // What is empty is the same as what is absent.
                Found::Nothing => put_value(&mut cells, &Value::Null),
                Found::Cell(cell) if first_text(cell) == Some(b"") => put_value(&mut cells, &Value::Null),
                Found::Value(Value::String(text)) if text.is_empty() => put_value(&mut cells, &Value::Null),
                Found::Cell(cell) => cells.extend_from_slice(cell),
                Found::Value(value) => match unusable(value) {
                    Some(what) => return bad(Some(key), format!("column {name} {what}")),
                    None => put_value(&mut cells, value),
                },
            }
        }
        let cells = RowCells::Encoded { cells: cells.into(), digest: self.digest(&key, print) };
        Parsed::Good { key: String::from(&key).into(), position, cells }
    }

    fn key_of(&self, found: Found<'_>) -> Result<Key, String> {
        let name = &self.key;
        let of_text = |text: &str| Key::read(text).map_err(|fault| format!("the key, column {name}, {fault}"));
        let read;
        let value = match found {
            Found::Cell(cell) => match first_text(cell).and_then(|text| std::str::from_utf8(text).ok()) {
                Some(text) => return of_text(text),
                None => {
                    read = values(cell).and_then(|mut values| values.pop());
                    read.as_ref()
                }
            },
            Found::Value(value) => Some(value),
            Found::Nothing => None,
        };
        match value {
            None | Some(Value::Null) => of_text(""),
            Some(Value::String(text)) => of_text(text),
            Some(Value::Number(number)) if number.is_i64() || number.is_u64() => of_text(&number.to_string()),
            Some(_) => Err(format!("the key, column {name}, is neither text nor a whole number")),
        }
    }

    /// A print of the whole record, the key in its normal form.
    fn digest(&self, key: &Key, print: u64) -> [u8; 16] {
        let mut digest = [0; 16];
        digest[..8].copy_from_slice(&self.hasher.hash_one(key.as_str()).to_le_bytes());
        digest[8..].copy_from_slice(&print.to_le_bytes());
        digest
    }
}

/// What a record has in a column.
enum Found<'r> {
    Nothing,
    /// A cell that can be used.
    Cell(&'r [u8]),
    Value(&'r Value),
}

impl<'r> Found<'r> {
    /// What this one has in the column of this number and name.
    fn of(row: &'r Row, number: Option<usize>, name: &str) -> Found<'r> {
        let cell = number.and_then(|number| row.cell(number));
        cell.map(Found::Cell).or_else(|| column(row.tree(), name).map(Found::Value)).unwrap_or(Found::Nothing)
    }
}

/// What is wrong with a value, if something is.
fn unusable(value: &Value) -> Option<&'static str> {
    match value {
        Value::String(text) if text.len() > MAX_FIELD => Some("is longer than 1 MB"),
        Value::String(text) if text.contains('\0') => Some("contains a NUL character"),
        Value::Number(number) if number.is_f64() && number.as_f64().is_some_and(|n| n.abs() >= EXACT) => {
            Some("is a number of more digits than can be kept; have it sent as text")
        }
        Value::Array(items) => items.iter().find_map(unusable),
        Value::Object(fields) if fields.keys().any(|name| name.contains('\0')) => Some("contains a NUL character"),
        Value::Object(fields) => fields.values().find_map(unusable),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn judge(record: &str) -> Parsed<'static> {
        let wanted = ["mail", "name.first", "groups"].map(String::from).into();
        let mut judge = Judge::new("id", &wanted, &[]);
        let document = judge.wants().of_text(record.as_bytes()).map_err(|_| "no JSON".to_string());
        judge.next(0, document)
    }

    fn shown(cells: &RowCells<'_>) -> String {
        let mut encoded = Vec::new();
        cells.put_into(&mut encoded, "");
        Value::from(values(&encoded).expect("cells")).to_string()
    }

    fn reason(record: &str) -> (Option<String>, String) {
        match judge(record) {
            Parsed::Bad { key, reason, certain, .. } => {
                assert_eq!(certain, key.is_some());
                (key.map(|k| k.to_string()), reason)
            }
            _ => panic!("good: {record}"),
        }
    }

    fn good(record: &str) -> (String, String) {
        match judge(record) {
            Parsed::Good { key, cells, .. } => (key.to_string(), shown(&cells)),
            _ => panic!("bad: {record}"),
        }
    }

    #[test]
    fn values_keep_their_types_and_absent_ones_are_empty() {
        let (key, cells) = good(r#"{"id":7,"groups":["a",1],"name":{"first":"Ann"}}"#);
        assert_eq!((key.as_str(), cells.as_str()), ("7", r#"[["a",1],null,"Ann"]"#));
        assert_eq!(good(r#"{"id":" 007 ","mail":true}"#).0, "007");
        assert_eq!(good(r#"{"id":18446744073709551615}"#).0, "18446744073709551615");
        let of_key = |record: &str| {
            let mut judge = Judge::new("id", &["id".to_string()].into(), &[]);
            let document = judge.wants().of_text(record.as_bytes()).map_err(|_| "no JSON".to_string());
            match judge.next(0, document) {
                Parsed::Good { cells, .. } => shown(&cells),
                _ => panic!("bad: {record}"),
            }
        };
        assert_eq!(of_key(r#"{"id":" Zu\u0308 "}"#), "[\"Z\u{fc}\"]", "where the key is mapped, it is the key");
        assert_eq!(of_key(r#"{"id":7}"#), "[7]");
    }

    #[test]
    fn what_is_nobodys_or_can_not_be_used_is_rejected() {
        for (record, key, why) in [
            ("[1]", None, "it is not an object"),
            ("null", None, "it is not an object"),
            (r#"{"mail":"a"}"#, None, "the key, column id, is empty"),
            (r#"{"id":null,"mail":"a"}"#, None, "the key, column id, is empty"),
            (r#"{"id":1.5}"#, None, "neither text nor a whole number"),
            (r#"{"id":123456789012345678901234567890}"#, None, "neither text nor a whole number"),
            (r#"{"id":true}"#, None, "neither text nor a whole number"),
            (r#"{"id":"a\nb"}"#, None, "control character"),
            (r#"{"id":"a\u200b"}"#, None, "the key, column id, contains the character U+200B"),
            (r#"{"id":1,"id":2}"#, None, "the field id is there twice"),
            (r#"{"id":1,"mail":"a","mail":"b"}"#, Some("1"), "the field mail is there twice"),
            (r#"{"id":1,"mail":123456789012345678901234567890}"#, Some("1"), "more digits than can be kept"),
            (r#"{"id":1,"groups":["\u0000"]}"#, Some("1"), "column groups contains a NUL"),
            (r#"{"id":1,"groups":[{"a\u0000":1}]}"#, Some("1"), "column groups contains a NUL"),
            (r#"{"id":"a\u0000"}"#, None, "control character"),
        ] {
            let (found, text) = reason(record);
            assert_eq!(found.as_deref(), key, "{record}");
            assert!(text.contains(why), "{text}");
        }
    }

    #[test]
    fn what_has_no_content_is_nobody() {
        for record in ["{}", r#"{"id":null}"#, r#"{"id":" ","mail":"","groups":[],"name":{"first":"\u00a0"}}"#] {
            assert!(matches!(judge(record), Parsed::Blank(_)), "{record}");
        }
        for record in [r#"{"id":"","mail":0}"#, r#"{"flag":false}"#] {
            assert!(matches!(judge(record), Parsed::Bad { key: None, .. }), "{record}");
        }
    }

    /// Records with much that is odd about them, as text: a field may be there twice, a number have too many digits.
    fn any_record() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_string()),
            any::<bool>().prop_map(|value| value.to_string()),
            proptest::sample::select(vec![
                "0",
                "-1",
                "1.5",
                "1e300",
                "123456789012345678901",
                "-0.0",
                "9223372036854775808"
            ])
            .prop_map(String::from),
            proptest::sample::select(vec![" ", "", "a", "\u{a0}", "\u{0}", "Zu\u{308}", "\"\\\n", "7", "\u{200b}"])
                .prop_map(|text| Value::from(text).to_string()),
        ];
        let names = || {
            proptest::sample::select(vec!["id", "mail", "name", "name.first", "first", "x", "", "groups", "a\\u0000"])
        };
        let field =
            move |value| (names(), value).prop_map(|(name, value): (&str, String)| format!("\"{name}\":{value}"));
        let list = |items: Vec<String>, (open, close)| format!("{open}{}{close}", items.join(","));
        let value = leaf.prop_recursive(2, 8, 3, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(move |items| list(items, ('[', ']'))),
                proptest::collection::vec(field(inner), 0..3).prop_map(move |fields| list(fields, ('{', '}'))),
            ]
        });
        let of_fields = proptest::collection::vec(field(value.clone().boxed()), 0..6)
            .prop_map(move |fields| list(fields, ('{', '}')));
        prop_oneof![9 => of_fields.boxed(), 1 => value.boxed()]
    }

    fn judged(judge: &mut Judge, wants: &Wants, record: &str) -> String {
        let document = wants.of_text(record.as_bytes()).map_err(|_| "no JSON".to_string());
        match judge.next(0, document) {
            Parsed::Good { key, position, cells } => {
                let mut encoded = Vec::new();
                cells.put_into(&mut encoded, &key);
                format!("{key:?} {position} {encoded:?} {:?}", cells.digest(&key))
            }
            Parsed::Bad { key, certain, position, reason } => format!("{key:?} {certain} {position} {reason}"),
            Parsed::Blank(position) => format!("blank {position}"),
            Parsed::End(_) => panic!("no end"),
        }
    }

    proptest! {
        #![proptest_config(crate::domain::properties::cases(1024))]

        #[test]
        fn a_record_is_judged_the_same_whether_it_is_read_as_cells_or_as_a_tree(
            records in proptest::collection::vec(any_record(), 1..8),
            key in proptest::sample::select(vec!["id", "name.first", "name"]),
            asks_for_key in any::<bool>(),
        ) {
            let mut wanted: BTreeSet<String> = ["groups", "mail", "name.first", "name.last"].map(String::from).into();
            wanted.extend(asks_for_key.then(|| key.to_string()));
            let also = ["mail".to_string()];
            let mut judges = [1, 2].map(|_| Judge::new(key, &wanted, &["x".into()]).calling_key(&also[usize::from(asks_for_key)..]));
            judges[1].hasher = judges[0].hasher.clone();
            let cells = judges[0].wants();
            let trees = cells.as_trees();
            for record in &records {
                prop_assert_eq!(judged(&mut judges[0], &cells, record), judged(&mut judges[1], &trees, record), "{}", record);
                prop_assert_eq!(&judges[0].needed, &judges[1].needed);
            }
        }
    }

    #[test]
    fn equal_records_have_equal_digests_whatever_the_order_of_their_fields() {
        let mut judge = Judge::new("id", &["mail".to_string()].into(), &[]);
        let wants = judge.wants();
        let mut digest = |record: &str| match judge.next(0, Ok(wants.of_text(record.as_bytes()).expect("JSON"))) {
            Parsed::Good { key, cells, .. } => cells.digest(&key),
            _ => panic!("bad: {record}"),
        };
        let a = digest(r#"{"id":"E1","mail":"a","x":{"p":1,"q":[2]}}"#);
        assert_eq!(a, digest(r#"{"x":{"q":[2],"p":1},"mail":"a","id":" E1 "}"#));
        for other in [
            r#"{"id":"E1","mail":"a","x":{"p":1,"q":[3]}}"#,
            r#"{"id":"E1","mail":"a","x":{"p":"1","q":[2]}}"#,
            r#"{"id":"E2","mail":"a","x":{"p":1,"q":[2]}}"#,
            r#"{"id":"E1","mail":"a","x":{"p":1},"q":[2]}"#,
        ] {
            assert_ne!(a, digest(other), "{other}");
        }
    }
}
