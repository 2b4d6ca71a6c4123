//! Whether commands printed what a page says that they print.

use regex::Regex;

/// What stands for any lines, or for anything within a line.
const ANY: &str = "…";

/// How what was printed differs from what the page shows, ids, times and durations set aside; none where it doesn't.
pub fn differs(shown: &str, printed: &str) -> Option<String> {
    let (shown, printed) = (alike(shown), alike(printed));
    let (shown, printed): (Vec<&str>, Vec<&str>) = (shown.lines().collect(), printed.lines().collect());
    let mut furthest = 0;
    if fits(&shown, &printed, 0, &mut furthest) {
        return None;
    }
    Some(match shown.get(furthest) {
        Some(line) => format!("this line of the page is not what was printed there: {line:?}"),
        None => "more was printed than the page shows".to_string(),
    })
}

/// Whether the lines fit; `furthest` is the line of the page that fitted last, counted from 1.
fn fits(shown: &[&str], printed: &[&str], at: usize, furthest: &mut usize) -> bool {
    *furthest = at.max(*furthest);
    match (shown.get(at), printed.first()) {
        (None, None) => true,
        (Some(&ANY), _) => (0..=printed.len()).any(|skipped| fits(shown, &printed[skipped..], at + 1, furthest)),
        (Some(line), Some(first)) => is_like(line, first) && fits(shown, &printed[1..], at + 1, furthest),
        _ => false,
    }
}

fn is_like(shown: &str, printed: &str) -> bool {
    let parts: Vec<String> = shown.split(ANY).map(regex::escape).collect();
    Regex::new(&format!("^{}$", parts.join(".*"))).expect("a pattern").is_match(printed)
}

/// The text with ids, times and durations the same in all, and single spaces.
fn alike(text: &str) -> String {
    let mut text = text.to_string();
    for (pattern, instead) in [
        (r"\b[0-9A-HJKMNP-TV-Z]{26}\b", "ID"),
        (r"\b[0-9a-f]{12}\b", "ID"),
        (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?( ?(Z|UTC|[+-]\d\d:\d\d)\b)?", "TIME"),
        (r"\b\d\d:\d\d:\d\d(\.\d+)?( UTC\b)?", "TIME"),
        (r"\b\d+(\.\d+)? ?(ms|s|min|h|d|seconds?|minutes?|hours?|days?)\b", "DURATION"),
        (r"[ \t]+", " "),
    ] {
        text = Regex::new(pattern).expect("a pattern").replace_all(&text, instead).into_owned();
    }
    text.lines().map(|line| format!("{}\n", line.trim())).collect::<String>().trim().to_string()
}

#[test]
fn what_is_printed_is_what_the_page_shows() {
    let printed = "staff: ok  run 01J9Z3NDEKTSV4RRFFQ69G5FAV  in 12 ms\n  E1  one\n  E2  two\n3 more\n";
    for right in [
        "staff: ok  run 01JAAAAAAAAAAAAAAAAAAAAAAA in 0.4 s\n  E1  one\n  E2 two\n3 more",
        "staff: ok …\n…\n3 more",
        "…\n  E2  two\n…",
        "…\n3 more\n…",
    ] {
        assert_eq!(differs(right, printed), None, "{right}");
    }
    for (wrong, line) in [
        ("staff: held …\n…", "staff: held"),
        ("…\n  E3  two\n…", "E3 two"),
        ("…\n  E2  two", "more was printed"),
        ("…\n3 more\n4 more", "4 more"),
    ] {
        assert!(differs(wrong, printed).expect(wrong).contains(line), "{wrong}: {:?}", differs(wrong, printed));
    }
}
