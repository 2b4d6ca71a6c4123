//! The cells of a row as one run of bytes: the form in which rows are handed on, compared by their fingerprints, and kept.
//!
//! Each cell says its length before its text, so that no two rows of different cells are the same bytes. Pure.
//!
//! | first byte | what follows |
//! |---|---|
//! | 0 to 250 | a text of so many bytes |
//! | 251 | the length of a text (4 bytes, least significant first), then the text |
//! | 252 | the length of a JSON value other than a text (4 bytes, as above), then its JSON |
//! | 253 | nothing: there is no value |

use std::ops::Range;

use serde_json::Value;

const SHORT: u8 = 250;
const LONG: u8 = 251;
const JSON: u8 = 252;
const NONE: u8 = 253;

/// Nearly every text of a person is shorter.
const WINDOW: usize = 32;

/// Appends a text.
#[inline]
pub fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    if text.len() <= usize::from(SHORT) {
        out.push(text.len() as u8);
    } else {
        put_length(out, LONG, text.len());
    }
    out.extend_from_slice(text);
}

/// Appends the text that stands at this place of `bytes`.
#[inline]
pub fn put_text_within(out: &mut Vec<u8>, bytes: &[u8], place: Range<usize>) {
    let length = place.len();
    match bytes[place.start..].first_chunk::<WINDOW>() {
        // A copy of one size and of a bit too much takes less time than one of the right size.
        Some(window) if length <= WINDOW => {
            let mut cell = [0; 1 + WINDOW];
            cell[0] = length as u8;
            cell[1..].copy_from_slice(window);
            out.extend_from_slice(&cell);
            out.truncate(out.len() - (WINDOW - length));
        }
        _ => put_text(out, &bytes[place]),
    }
}

/// Appends a value. A number and its digits as text are two different cells.
pub fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.push(NONE),
        Value::String(text) => put_text(out, text.as_bytes()),
        other => {
            let text = other.to_string();
            put_length(out, JSON, text.len());
            out.extend_from_slice(text.as_bytes());
        }
    }
}

/// The values, one after the other.
pub fn encoded<'v>(values: impl IntoIterator<Item = &'v Value>) -> Vec<u8> {
    let mut out = Vec::new();
    values.into_iter().for_each(|value| put_value(&mut out, value));
    out
}

fn put_length(out: &mut Vec<u8>, tag: u8, length: usize) {
    // A cell is far shorter than this can say: the caps on rows see to it.
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    out.push(tag);
    out.extend_from_slice(&length.to_le_bytes());
}

/// Splits off the first cell: its bytes, and those of the cells after it. Nothing where there is none, or half a one.
#[inline]
pub fn split_first(cells: &[u8]) -> Option<(&[u8], &[u8])> {
    let head = match *cells.first()? {
        LONG | JSON => {
            let length = cells.get(1..5)?;
            5 + u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize
        }
        NONE => 1,
        short => 1 + usize::from(short),
    };
    cells.split_at_checked(head)
}

/// The text of the first cell, where it is one.
#[inline]
pub fn first_text(cells: &[u8]) -> Option<&[u8]> {
    let (cell, _) = split_first(cells)?;
    match cell[0] {
        JSON | NONE => None,
        LONG => Some(&cell[5..]),
        _ => Some(&cell[1..]),
    }
}

/// The values of cells; nothing where they are no cells.
pub fn values(mut cells: &[u8]) -> Option<Vec<Value>> {
    let mut values = Vec::new();
    while !cells.is_empty() {
        let (cell, rest) = split_first(cells)?;
        values.push(value(cell)?);
        cells = rest;
    }
    Some(values)
}

/// The value of one cell; nothing where it is none.
pub fn value(cell: &[u8]) -> Option<Value> {
    Some(match *cell.first()? {
        NONE => Value::Null,
        JSON => serde_json::from_slice(cell.get(5..)?).ok()?,
        LONG => Value::from(std::str::from_utf8(cell.get(5..)?).ok()?),
        _ => Value::from(std::str::from_utf8(&cell[1..]).ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,300}".prop_map(Value::from),
            Just(json!(["a", 1, {"b": null}])),
        ]
    }

    proptest! {
        #[test]
        fn what_was_put_is_read_and_different_rows_are_different_bytes(
            a in proptest::collection::vec(value(), 0..6),
            b in proptest::collection::vec(value(), 0..6),
        ) {
            let (one, other) = (encoded(&a), encoded(&b));
            prop_assert_eq!(values(&one), Some(a.clone()));
            prop_assert_eq!(one == other, a == b);
        }

        #[test]
        fn bytes_that_are_no_cells_break_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = (values(&bytes), first_text(&bytes), split_first(&bytes));
        }
    }

    #[test]
    fn lengths_at_the_edge() {
        for length in [0, 1, 250, 251, 70_000] {
            let text = "x".repeat(length);
            let mut cells = Vec::new();
            put_text(&mut cells, text.as_bytes());
            put_text(&mut cells, b"next");
            assert_eq!(first_text(&cells), Some(text.as_bytes()), "{length}");
            assert_eq!(values(&cells), Some(vec![json!(text), json!("next")]));
            assert_eq!(values(&cells[..cells.len() - 1]), None, "half a cell");
        }
    }
}
