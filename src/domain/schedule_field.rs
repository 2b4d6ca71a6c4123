//! The six fields of a cron line: which of them a line gets wrong, in words, and their form for the JSON Schema.
//!
//! Pure.

use std::str::FromStr;

/// A field of a cron line.
struct CronField {
    /// One of it, with its article: `an hour`.
    one: &'static str,
    /// What it admits.
    admits: &'static str,
    /// One number of it, as a regular expression.
    number: &'static str,
    /// The first letters of its names.
    names: &'static [&'static str],
}

const FIELDS: [CronField; 6] = [
    CronField { one: "a second", admits: "seconds are 0 to 59", number: "0*[0-5]?[0-9]", names: &[] },
    CronField { one: "a minute", admits: "minutes are 0 to 59", number: "0*[0-5]?[0-9]", names: &[] },
    CronField { one: "an hour", admits: "hours are 0 to 23", number: "0*(1?[0-9]|2[0-3])", names: &[] },
    CronField {
        one: "a day of the month",
        admits: "days of the month are 1 to 31",
        number: "0*([1-9]|[12][0-9]|3[01])",
        names: &[],
    },
    CronField {
        one: "a month",
        admits: "months are 1 to 12, or jan to dec",
        number: "0*([1-9]|1[0-2])",
        names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    CronField {
        one: "a weekday",
        admits: "weekdays are 0 to 7 (0 and 7 are Sunday), or mon to sun",
        number: "0*[0-7]",
        names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    },
];

/// Where the weekday stands.
pub(super) const WEEKDAY: usize = 5;

/// Which of six fields is wrong, with what it admits. The weekday is judged by [`super::schedule`].
pub(super) fn fault(fields: &[String]) -> Option<String> {
    let alone = |place: usize, text: &str| {
        let mut line = ["*"; 6];
        line[place] = text;
        cron::Schedule::from_str(&line.join(" ")).is_ok()
    };
    let (place, field) = fields.iter().enumerate().take(WEEKDAY).find(|(place, field)| !alone(*place, field))?;
    let item = field.split(',').find(|item| !alone(place, item)).unwrap_or(field);
    Some(told(place, item))
}

/// That this is none of the things that stand in this place.
pub(super) fn told(place: usize, item: &str) -> String {
    let CronField { one, admits, .. } = &FIELDS[place];
    match item.split_once(['-', '/']) {
        Some(_) => format!("{item:?} is not {one} or a range of them: {admits}"),
        None => format!("{item:?} is not {one}: {admits}"),
    }
}

/// The lines that are schedules, as a regular expression: it admits each of them, and little else.
pub fn pattern() -> String {
    let field = |field: &CronField| {
        // A regular expression of a schema can't be told to ignore letter case.
        let any_case = |name: &&str| {
            name.chars().map(|letter| format!("[{}{letter}]", letter.to_ascii_uppercase())).collect::<String>()
        };
        let names: Vec<String> = field.names.iter().map(any_case).collect();
        let one = match names.is_empty() {
            true => field.number.to_owned(),
            false => format!("({}|({})[A-Za-z]*)", field.number, names.join("|")),
        };
        let item = format!(r"([*?]|{one}(-{one})?)(/[0-9]+)?");
        format!("{item}(,{item})*")
    };
    let [second, rest @ ..] = &FIELDS;
    let rest: Vec<String> = rest.iter().map(field).collect();
    format!(r"^\s*({}\s+)?{}\s*$", field(second), rest.join(r"\s+"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::schedule::Schedule;
    use proptest::prelude::*;

    fn is_in_pattern(line: &str) -> bool {
        regex::Regex::new(&pattern()).expect("a pattern").is_match(line)
    }

    #[test]
    fn the_pattern_tells_schedules_from_mistakes() {
        for line in [
            "0 */15 * * * *",
            "*/15 * * * *",
            " 0  30 3 * * 1-5 ",
            "0 0 9 1-7 * Mon",
            "0 0 0 29 feb ?",
            "0,30 8-18/2 * 1,15 January *",
            "0 9 * * monday,FRI-sun",
            "5/20 * * * * *",
        ] {
            assert!(Schedule::parse(line, chrono_tz::UTC).is_ok(), "{line}");
            assert!(is_in_pattern(line), "{line}");
        }
        for line in [
            "",
            "0 0 25 * * *",
            "60 3 * * *",
            "0 0 0 32 * *",
            "0 0 0 0 * *",
            "0 0 0 * 13 *",
            "0 0 9 * * 8",
            "0 0 9 * * funday",
            "0 0 3 *",
            "@daily",
            "every day at three",
            "0 0 0 * * * *",
            "x * * * *",
        ] {
            assert!(Schedule::parse(line, chrono_tz::UTC).is_err(), "{line}");
            assert!(!is_in_pattern(line), "{line}");
        }
    }

    proptest! {
        #![proptest_config(crate::domain::properties::cases(512))]

        /// Whatever is a schedule is in the pattern: an editor never underlines what runs.
        #[test]
        fn the_pattern_admits_every_schedule(line in "(([*?]|[0-9]{1,2}|[a-zA-Z]{3}|mon|Feb|[0-9]-[0-9]{1,2}|[*]/[0-9]{1,2}|[0-9],[0-9]{1,2}|[0-9]/[0-9])[ \t]+){4,5}([*?]|[0-7]|mon-fri|SUN|[0-6]/2|Saturday)") {
            if Schedule::parse(&line, chrono_tz::UTC).is_ok() {
                prop_assert!(is_in_pattern(&line), "{}", line);
            }
        }
    }
}
