//! Shortening the output of a command: of a long list its beginning is kept, and how many lines are left out is said.
//!
//! Pure. It looks at how lines are indented, and not at what they say.

/// What a list is that may be shortened: lines below each other that are indented alike, by at least so much.
const INDENT: usize = 2;

/// The lines, with at most `most` of each list. The last line of a list stays when it says itself that there is more
/// (`… and 280 more`). `left_out` makes the line that stands for those that are left out, of how they are indented and
/// how many they are.
pub(super) fn excerpt(lines: &[&str], most: usize, left_out: impl Fn(usize, usize) -> String) -> Vec<String> {
    let mut kept = Vec::new();
    for list in lines.chunk_by(|one, next| indent(one) == indent(next)) {
        let depth = list.first().map_or(0, |line| indent(line));
        let says_more = list.last().is_some_and(|line| line.trim_start().starts_with('…'));
        let ending = usize::from(says_more);
        let hidden = list.len().saturating_sub(most + ending);
        // A line in place of one line is no gain.
        if depth < INDENT || hidden < 2 {
            kept.extend(list.iter().map(ToString::to_string));
            continue;
        }
        kept.extend(list[..most].iter().map(ToString::to_string));
        kept.push(left_out(depth, hidden));
        kept.extend(list[most + hidden..].iter().map(ToString::to_string));
    }
    kept
}

/// By how many blanks a line is indented.
fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str], most: usize) -> Vec<String> {
        excerpt(lines, most, |depth, hidden| format!("{}[{hidden}]", " ".repeat(depth)))
    }

    #[test]
    fn of_a_long_list_the_beginning_is_kept() {
        let plan = ["plan", "  Create 6", "    a", "    b", "    c", "    d", "    e", "    f", "", "  Ban 1", "    g"];
        let expected = ["plan", "  Create 6", "    a", "    b", "    [4]", "", "  Ban 1", "    g"];
        assert_eq!(of(&plan, 2), expected);
        assert_eq!(of(&plan, 6), plan, "nothing is long");
        assert_eq!(of(&plan, 5), plan, "one line is not replaced by another");
    }

    #[test]
    fn a_list_that_says_that_there_is_more_still_says_so() {
        let list = ["    a", "    b", "    c", "    … and 280 more (-v shows all)"];
        assert_eq!(of(&list, 1), ["    a", "    [2]", "    … and 280 more (-v shows all)"]);
        assert_eq!(of(&list, 3), list);
    }

    #[test]
    fn what_is_not_indented_is_no_list() {
        let lines = ["a", "b", "c", "d"];
        assert_eq!(of(&lines, 1), lines);
        assert_eq!(of(&[], 1), Vec::<String>::new());
    }
}
