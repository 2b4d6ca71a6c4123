//! Breaking lines at their words, for terminals: what a terminal breaks itself it breaks inside of words.
//!
//! Pure. The text is as it is written out: strangers' characters are spelled out, and the only escape sequences are those
//! of colours (`ESC [ … m`), which take no room.

use crate::domain::visible::columns;

/// Below so many columns nothing is broken: there would be a word a line.
const NARROWEST: usize = 24;

/// The line, broken where a word would go beyond `room` columns. What follows the first is indented: as far as the second
/// column of a table, where that is near enough, else a little more than the line. A word that is wider than the room
/// stays whole.
pub fn wrapped(line: &str, room: usize) -> String {
    if room < NARROWEST || wide(line) <= room {
        return line.to_string();
    }
    broken(line, room, hanging(line, room))
}

/// The line, broken where a word would go beyond `room` columns. What follows the first is indented by `indent`. Words
/// that are tied together by no-break spaces stay together where a line can hold them.
pub fn broken(line: &str, room: usize, indent: usize) -> String {
    let (mut text, mut column, mut is_begin) = (String::with_capacity(line.len() + 16), 0, true);
    let mut rest = line;
    while !rest.is_empty() {
        let gap = rest.len() - rest.trim_start_matches(' ').len();
        let end = rest[gap..].find(' ').map_or(rest.len(), |at| gap + at);
        let word = &rest[gap..end];
        rest = &rest[end..];
        if word.is_empty() {
            break;
        }
        let width = wide(word);
        if !is_begin && column + gap + width > room {
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            column = indent + width;
        } else {
            text.push_str(&" ".repeat(gap));
            column += gap + width;
        }
        text.push_str(word);
        is_begin = false;
    }
    text
}

/// How far what follows the first line is indented.
fn hanging(line: &str, room: usize) -> usize {
    let plain = plain(line);
    let begin = plain.len() - plain.trim_start_matches(' ').len();
    let second = plain[begin..].find("  ").map(|at| {
        let gap = &plain[begin + at..];
        begin + columns(&plain[begin..begin + at]) + gap.len() - gap.trim_start_matches(' ').len()
    });
    second.filter(|column| *column <= room / 3).unwrap_or(begin + 2)
}

/// The columns that the text takes.
fn wide(text: &str) -> usize {
    if text.contains('\u{1b}') { columns(&plain(text)) } else { columns(text) }
}

/// The text without colours.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut parts = text.split('\u{1b}');
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        plain.push_str(part.split_once('m').map_or("", |(_, after)| after));
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_broken_between_words_and_what_follows_is_indented() {
        for (line, expected) in [
            ("short", "short"),
            (
                "The next run bans them: they are not in the source any more.",
                "The next run bans them: they\n  are not in the source any\n  more.",
            ),
            ("  why     a reason that is longer than it", "  why     a reason that is\n          longer than it"),
            ("    E1  title “Nurse” → “Head nurse”; city", "    E1  title “Nurse” → “Head\n        nurse”; city"),
            ("a table whose first is wide  and more of it", "a table whose first is wide\n  and more of it"),
            (
                "an-identifier-that-is-wider-than-the-room and more",
                "an-identifier-that-is-wider-than-the-room\n  and more",
            ),
            ("see https://example.com/a/long/path for it", "see\n  https://example.com/a/long/path\n  for it"),
        ] {
            assert_eq!(wrapped(line, 30), expected, "{line}");
        }
    }

    #[test]
    fn colours_take_no_room_and_wide_letters_take_two() {
        let coloured = "\u{1b}[1mstaff\u{1b}[0m: \u{1b}[32mok\u{1b}[0m  run 01JABCDEFG";
        assert_eq!(wrapped(coloured, 30), coloured);
        assert_eq!(wrapped("山田山田山田山田山田 山田山田", 24), "山田山田山田山田山田\n  山田山田");
        assert_eq!(wrapped("one two three four five six", 10), "one two three four five six", "no room at all");
    }

    proptest! {
        #[test]
        fn every_word_is_there_whole_and_no_line_is_wider_than_it_must_be(
            words in prop::collection::vec("[a-zé山]{1,40}", 1..30), gaps in prop::collection::vec(1..4usize, 30),
            begin in 0..8usize, room in 24..100usize,
        ) {
            let mut line = " ".repeat(begin);
            for (word, gap) in words.iter().zip(gaps) {
                line.push_str(word);
                line.push_str(&" ".repeat(gap));
            }
            let line = line.trim_end();
            let text = wrapped(line, room);
            prop_assert_eq!(text.split_whitespace().collect::<Vec<_>>(), line.split_whitespace().collect::<Vec<_>>());
            for part in text.lines() {
                prop_assert!(columns(part) <= room || part.split_whitespace().count() == 1, "{part:?}");
            }
        }
    }
}
