//! Text that strangers wrote, as people may see it: what moves a cursor, ends a line, turns the direction of writing or
//! takes no room is spelled out. `\u{202e}` can be read; the character itself makes one text look like another.
//!
//! Pure. Called where output is written and nowhere before (`cli::out`, `logging`, `server::page`): what is kept, sent
//! or printed as JSON stays as it was written.

use std::borrow::Cow;
use std::fmt::Write;

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// Whether a character is spelled out.
fn is_spelled_out(letter: char) -> bool {
    use GeneralCategory::{Control, Format, LineSeparator, ParagraphSeparator, PrivateUse, Surrogate};
    if letter.is_ascii() {
        return letter.is_ascii_control();
    }
    match letter {
        // Letters and marks by name, and nothing to see: fillers of Hangul and Khmer, the grapheme joiner.
        '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' | '\u{ffa0}' => true,
        // Said to be never a character.
        '\u{fdd0}'..='\u{fdef}' => true,
        _ if u32::from(letter) & 0xfffe == 0xfffe => true,
        _ => matches!(
            letter.general_category(),
            Control | Format | LineSeparator | ParagraphSeparator | Surrogate | PrivateUse
        ),
    }
}

/// Whether there is such a character. Nearly all texts are plain ASCII, of which many bytes are looked at side by side.
fn has(text: &str, is_one: impl Fn(char) -> bool) -> bool {
    let is_plain = text.as_bytes().iter().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'));
    !is_plain && text.chars().any(is_one)
}

/// The text with everything spelled out that nobody would see: `\n`, `\t`, `\u{1b}`, `\u{202e}`.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !has(text, is_spelled_out) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        spell(&mut shown, letter);
    }
    Cow::Owned(shown)
}

/// Adds a character as [`visible`] shows it.
pub fn spell(shown: &mut String, letter: char) {
    match letter {
        '\n' => shown.push_str("\\n"),
        '\r' => shown.push_str("\\r"),
        '\t' => shown.push_str("\\t"),
        _ if is_spelled_out(letter) => {
            // Writing to a string does not fail.
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(letter));
        }
        _ => shown.push(letter),
    }
}

/// A text of several lines of ours, as [`visible`] line by line.
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|letter| letter != '\n' && is_spelled_out(letter)) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.split('\n').map(visible).collect::<Vec<_>>().join("\n"))
}

/// JSON that says the same, with the characters escaped that [`visible`] spells out and JSON lets through. They stand
/// inside strings alone.
pub fn json(text: &str) -> Cow<'_, str> {
    let raw = |letter: char| !letter.is_ascii_whitespace() && is_spelled_out(letter);
    if !has(text, raw) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if raw(letter) {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(letter);
        }
    }
    Cow::Owned(escaped)
}

/// How many columns of a terminal the text takes, as [`visible`] shows it.
pub fn columns(text: &str) -> usize {
    visible(text).chars().map(columns_of).sum()
}

/// The text, and spaces up to so many columns. Control characters stay for whoever writes it out to spell.
pub fn padded(text: &str, wide: usize) -> String {
    format!("{text}{:1$}", "", wide.saturating_sub(columns(text)))
}

/// The columns of one character: none of a mark that stands on another, two of what East Asian Width (UAX #11) calls
/// wide.
fn columns_of(letter: char) -> usize {
    use GeneralCategory::{EnclosingMark, NonspacingMark};
    if letter.is_ascii() {
        return 1;
    }
    match u32::from(letter) {
        0x1100..=0x115f
        | 0x231a..=0x231b
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xa960..=0xa97c
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff01..=0xff60
        | 0xffe0..=0xffe6
        | 0x1_f300..=0x1_f64f
        | 0x1_f680..=0x1_f6ff
        | 0x1_f900..=0x1_faff
        | 0x2_0000..=0x3_fffd => 2,
        _ if matches!(letter.general_category(), NonspacingMark | EnclosingMark) => 0,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_nobody_would_see_is_spelled_out() {
        for (text, shown) in [
            ("E1\u{1b}[2J", "E1\\u{1b}[2J"),
            ("a\nb\rc\td", "a\\nb\\rc\\td"),
            ("\u{9b}31m\u{7f}\0", "\\u{9b}31m\\u{7f}\\u{0}"),
            ("\u{2028}\u{2029}", "\\u{2028}\\u{2029}"),
            ("a\u{202e}b\u{2066}c", "a\\u{202e}b\\u{2066}c"),
            ("zero\u{200b}\u{feff}\u{ad}", "zero\\u{200b}\\u{feff}\\u{ad}"),
            ("\u{e000}\u{e0041}\u{3164}\u{fdd0}", "\\u{e000}\\u{e0041}\\u{3164}\\u{fdd0}"),
        ] {
            assert_eq!(visible(text), shown);
        }
    }

    #[test]
    fn what_people_are_called_is_shown_as_it_is() {
        for name in
            ["Zoë O’Brien-Müller", "D'Angelo", "山田 太郎", "Łukasz", "أحمد", "שרה", "❤️ 🎉", "ACME\\ann", "e\u{301}"]
        {
            assert!(matches!(visible(name), Cow::Borrowed(same) if same == name), "{name}");
        }
    }

    #[test]
    fn a_column_is_as_wide_as_what_is_shown() {
        for (text, wide) in [("E1007", 5), ("Müller", 6), ("山田", 4), ("e\u{301}", 1), ("a\u{1b}", 7), ("🎉", 2)]
        {
            assert_eq!(columns(text), wide, "{text}");
            assert_eq!(columns(&padded(text, 10)), 10, "{text}");
        }
        assert_eq!(padded("a long one", 3), "a long one");
    }

    proptest! {
        #![proptest_config(crate::domain::properties::cases(256))]

        #[test]
        fn nothing_gets_through_and_json_says_the_same(text in any::<String>()) {
            prop_assert!(!visible(&text).chars().any(is_spelled_out));
            prop_assert!(!visible_lines(&text).chars().any(|c| c != '\n' && is_spelled_out(c)));
            let written = serde_json::to_string(&text).expect("JSON");
            let escaped = json(&written);
            prop_assert!(!escaped.chars().any(is_spelled_out));
            prop_assert_eq!(serde_json::from_str::<String>(&escaped).expect("JSON"), text);
        }
    }
}
