//! A JSON record, judged: is it somebody's, and can its values be taken for what the source holds?

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};

use serde_json::{Map, Value};

use super::super::parsed::{Parsed, RowCells};
use super::document::{Document, Wants};
use super::json::column;
use super::rows::MAX_FIELD;
use crate::domain::record::cells::put_value;
use crate::domain::record::{Key, Position};

/// Beyond this a number that is no whole number of 64 bits has lost digits when it was read: 2 to the power of 63.
const EXACT: f64 = 9_223_372_036_854_775_808.0;

/// Judges the records of one source.
pub(in crate::source) struct Judge {
    key: String,
    /// What else the key may be asked for by, where there is no such column.
    also_key: Vec<String>,
    wanted: Vec<String>,
    /// Columns that are wanted or required, and whether some record has had them.
    needed: Vec<(String, bool)>,
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
            hasher: RandomState::new(),
            count: 0,
            objects: 0,
        }
    }

    /// The same, for whom these names mean the key too where there is no such column.
    pub fn calling_key(mut self, also: &[String]) -> Judge {
        self.needed.retain(|(name, _)| !also.contains(name));
        Judge { also_key: also.to_vec(), ..self }
    }

    /// What of a record has to be read.
    pub fn wants(&self) -> Wants {
        Wants::new(&self.key, self.wanted.iter().chain(self.needed.iter().map(|(name, _)| name)))
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
        let Document { value, blank, doubled, excess, print, .. } = match document {
            Ok(document) => document,
            Err(reason) => return bad(None, reason),
        };
        let Value::Object(row) = value else { return bad(None, "it is not an object".into()) };
        if blank {
            return Parsed::Blank(position);
        }
        self.objects += 1;
        for (name, seen) in &mut self.needed {
            *seen = *seen || column(&row, name).is_some();
        }
        let key = match self.key_of(&row) {
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
        let normal = Value::from(key.as_str());
        let mut cells = Vec::with_capacity(256);
        for name in &self.wanted {
            let cell = match column(&row, name) {
                // The key is what it is taken for, in its normal form; a number stays one.
                Some(Value::String(_)) if *name == self.key => &normal,
                None if self.also_key.contains(name) => &normal,
                cell => cell.unwrap_or(&Value::Null),
            };
            if let Some(what) = unusable(cell) {
                return bad(Some(key), format!("column {name} {what}"));
            }
            // What is empty is the same as what is absent.
            put_value(&mut cells, if cell.as_str() == Some("") { &Value::Null } else { cell });
        }
        let cells = RowCells::Encoded { cells: cells.into(), digest: self.digest(&key, print) };
        Parsed::Good { key: String::from(&key).into(), position, cells }
    }

    fn key_of(&self, row: &Map<String, Value>) -> Result<Key, String> {
        let name = &self.key;
        let text = match column(row, name) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) if number.is_i64() || number.is_u64() => number.to_string(),
            Some(_) => return Err(format!("the key, column {name}, is neither text nor a whole number")),
        };
        Key::read(&text).map_err(|fault| format!("the key, column {name}, {fault}"))
    }

    /// A print of the whole record, the key in its normal form.
    fn digest(&self, key: &Key, print: u64) -> [u8; 16] {
        let mut digest = [0; 16];
        digest[..8].copy_from_slice(&self.hasher.hash_one(key.as_str()).to_le_bytes());
        digest[8..].copy_from_slice(&print.to_le_bytes());
        digest
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
    use crate::domain::record::cells::values;

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
