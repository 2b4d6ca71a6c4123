//! Valid documents that were changed a little, for the tests of what reads a stranger's bytes: they get far deeper into a
//! reader than random ones.

use proptest::prelude::*;
use proptest::sample::Index;

/// One change.
#[derive(Clone, Debug)]
enum Edit {
    Replace(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    /// A piece comes once more, many times over.
    Repeat(Index, usize, usize),
    Cut(Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<Index>;
    let piece = prop_oneof![
        proptest::collection::vec(any::<u8>(), 1..4),
        prop::sample::select(vec![
            "\"",
            "\\",
            "\\u0000",
            "\0",
            "{",
            "}",
            "[",
            "]",
            "<",
            ">",
            "</",
            "<!DOCTYPE x>",
            "<![CDATA[",
            "&",
            "&#0;",
            "]]>",
            ":",
            ",",
            ";",
            "=",
            "\n",
            "\r",
            "null",
            "-1",
            "1e999",
            "18446744073709551616",
            "99999999999999999999999",
            "\u{feff}",
            "\u{202e}",
            "é",
            "''",
            "\"\"\"",
            "[[",
            "{}",
            ".",
            "..",
            "/",
            "~",
            "#",
            "%",
            "+",
            "*",
            "true",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop_oneof![
        3 => (at(), any::<u8>()).prop_map(|(at, byte)| Edit::Replace(at, byte)),
        4 => (at(), piece).prop_map(|(at, piece)| Edit::Insert(at, piece)),
        2 => (at(), 1usize..20).prop_map(|(at, length)| Edit::Remove(at, length)),
        1 => (at(), 1usize..40, 2usize..200).prop_map(|(at, length, times)| Edit::Repeat(at, length, times)),
        1 => at().prop_map(Edit::Cut),
    ]
}

fn apply(bytes: &mut Vec<u8>, edit: &Edit) {
    if bytes.is_empty() {
        return;
    }
    let range = |at: &Index, length: usize| {
        let at = at.index(bytes.len());
        at..(at + length).min(bytes.len())
    };
    match edit {
        Edit::Replace(at, byte) => {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        Edit::Insert(at, piece) => {
            let at = at.index(bytes.len());
            bytes.splice(at..at, piece.iter().copied());
        }
        Edit::Remove(at, length) => drop(bytes.drain(range(at, *length))),
        Edit::Repeat(at, length, times) => {
            let range = range(at, *length);
            let piece = bytes[range.clone()].repeat(*times);
            bytes.splice(range, piece);
        }
        Edit::Cut(at) => bytes.truncate(at.index(bytes.len())),
    }
}

/// One of these documents, changed in a few places; or bytes of any kind.
pub fn of(documents: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let changed =
        (prop::sample::select(documents), proptest::collection::vec(edit(), 0..6)).prop_map(|(mut bytes, edits)| {
            edits.iter().for_each(|edit| apply(&mut bytes, edit));
            bytes
        });
    prop_oneof![9 => changed, 1 => proptest::collection::vec(any::<u8>(), 0..300)]
}

/// [`of`], as text.
pub fn text_of(documents: &[&str]) -> impl Strategy<Value = String> + use<> {
    of(documents.iter().map(|text| text.as_bytes().to_vec()).collect())
        .prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}
