//! How dates are written: told from all values of a column at once, since `03/04/2026` alone may be either day.

use std::sync::LazyLock;

use chrono::NaiveDate;
use regex::Regex;

/// ISO 8601, by itself or before a time: what expressions compare with `today` as it stands.
pub const ISO: &str = "%Y-%m-%d";

/// The notations that are in use, as `strftime` writes them; where the order of day and month is the only difference, both.
const NOTATIONS: [&str; 12] = [
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%Y%m%d",
    "%d-%b-%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
];

/// What is known of how a column's dates are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// So, whatever stands in it.
    Certain(&'static str),
    /// Either way round: no day after the twelfth is in it.
    Ambiguous(&'static str, &'static str),
    /// No notation fits all of them.
    Unknown,
    /// There is no value.
    Empty,
}

/// A date, by itself or before a time with or without its zone: those that expressions take.
static SHAPE: LazyLock<Regex> = LazyLock::new(|| {
    let time = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?(?:[.,][0-9]+)? ?(?:[Zz]|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?)?";
    Regex::new(&format!("^([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})(?:[Tt ]{time})?$")).expect("a pattern of ours")
});

/// Whether a text is a date that expressions compare with `today` as it stands.
fn is_iso(text: &str) -> bool {
    let day = SHAPE.captures(text).and_then(|found| found.get(1)).map(|day| day.as_str());
    day.is_some_and(|day| is_written(day, ISO))
}

/// Whether a text is a date in this notation, to the letter where it is in figures.
fn is_written(text: &str, notation: &str) -> bool {
    // `%d` also takes one figure and blanks before it.
    let length = notation.replace("%Y", "YYYY").replace("%m", "mm").replace("%d", "dd").len();
    let in_figures = !notation.contains("%b") && !notation.contains("%B");
    (!in_figures || text.len() <= length)
        && !text.starts_with(['+', '-', ' '])
        && NaiveDate::parse_from_str(text, notation).is_ok_and(|day| {
            let year = chrono::Datelike::year(&day);
            (1000..=9999).contains(&year)
        })
}

/// Whether a text is a date in any of the notations. Eight figures may be anything, and are not one here.
pub fn could_be_date(text: &str) -> bool {
    is_iso(text) || NOTATIONS.iter().any(|notation| *notation != "%Y%m%d" && is_written(text, notation))
}

/// How these values are written. `day_first`: what another column of the same export showed of the order of day and month.
pub fn of<'v>(values: impl Iterator<Item = &'v str> + Clone, day_first: Option<bool>) -> Notation {
    let mut values = values.filter(|value| !value.is_empty()).peekable();
    if values.peek().is_none() {
        return Notation::Empty;
    }
    let all = |fits: &dyn Fn(&str) -> bool| values.clone().all(fits);
    if all(&is_iso) {
        return Notation::Certain(ISO);
    }
    let fitting: Vec<&'static str> =
        NOTATIONS.into_iter().filter(|notation| all(&|value| is_written(value, notation))).collect();
    match (fitting.as_slice(), day_first) {
        ([], _) => Notation::Unknown,
        ([one, ..], Some(true)) if one.starts_with("%d") => Notation::Certain(one),
        ([_, other, ..], Some(false)) if other.starts_with("%m") => Notation::Certain(other),
        ([day, month, ..], None) if day.starts_with("%d") && month.starts_with("%m") => Notation::Ambiguous(day, month),
        ([one, ..], _) => Notation::Certain(one),
    }
}

/// What a column shows of the order of day and month in its export; nothing where it shows nothing.
pub fn day_first(notation: Notation) -> Option<bool> {
    match notation {
        Notation::Certain("%d/%m/%Y" | "%d-%m-%Y") => Some(true),
        Notation::Certain("%m/%d/%Y" | "%m-%d-%Y") => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(values: &[&str], day_first: Option<bool>) -> Notation {
        of(values.iter().copied(), day_first)
    }

    #[test]
    fn notations_are_told_from_all_values_at_once() {
        for (values, notation) in [
            (&["2026-01-31", "", "2026-12-01T00:00:00Z"][..], Notation::Certain(ISO)),
            (&["31.01.2026", "01.02.2026"], Notation::Certain("%d.%m.%Y")),
            (&["01/02/2026", "31/01/2026"], Notation::Certain("%d/%m/%Y")),
            (&["01/02/2026", "01/31/2026", "1/5/2026"], Notation::Certain("%m/%d/%Y")),
            (&["01/02/2026", "03/04/2026"], Notation::Ambiguous("%d/%m/%Y", "%m/%d/%Y")),
            (&["31/01/2026", "01/31/2026"], Notation::Unknown),
            (&["2026/01/31"], Notation::Certain("%Y/%m/%d")),
            (&["20260131"], Notation::Certain("%Y%m%d")),
            (&["31-Jan-2026"], Notation::Certain("%d-%b-%Y")),
            (&["31.01.26"], Notation::Unknown),
            (&["0000-00-00"], Notation::Unknown),
            (&["2026-01-31", "n/a"], Notation::Unknown),
            (&["2026-01-31 8:00"], Notation::Unknown),
            (&["2026-01-31 08:00:00 +0100", "2026-01-31T08:00"], Notation::Certain(ISO)),
            (&["", ""], Notation::Empty),
        ] {
            assert_eq!(told(values, None), notation, "{values:?}");
        }
        assert_eq!(told(&["01/02/2026"], Some(true)), Notation::Certain("%d/%m/%Y"));
        assert_eq!(told(&["01/02/2026"], Some(false)), Notation::Certain("%m/%d/%Y"));
    }

    #[test]
    fn what_may_be_a_date_is_no_name_of_a_column() {
        for text in ["2026-01-31", "31.01.2026", "1/31/2026", "31 January 2026"] {
            assert!(could_be_date(text), "{text}");
        }
        for text in ["", "Date", "20260131", "E-2026-01", "2026"] {
            assert!(!could_be_date(text), "{text}");
        }
    }
}
