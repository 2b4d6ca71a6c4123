//! Schedules against an oracle that nobody here wrote: the croner crate, around every change of the clock of ten zones
//! in five years.

use chrono::{DateTime, Datelike, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use croner::parser::{CronParser, Seconds};
use rosterd::domain::schedule::Schedule;

/// Zones that differ in when, how far and in which direction they change, and one more that never does.
const ZONES: [Tz; 11] = [
    chrono_tz::Europe::Zurich,
    chrono_tz::Europe::London,
    chrono_tz::Europe::Dublin,
    chrono_tz::America::New_York,
    chrono_tz::America::St_Johns,
    chrono_tz::America::Santiago,
    chrono_tz::Australia::Lord_Howe,
    chrono_tz::Pacific::Auckland,
    chrono_tz::Africa::Cairo,
    chrono_tz::Asia::Beirut,
    chrono_tz::Asia::Tokyo,
];

/// Times within the hours that are skipped or repeated, at their edges, and far from them.
const LINES: [&str; 12] = [
    "0 30 2 * * *",
    "0 0 2 * * *",
    "0 0 3 * * *",
    "0 59 1 * * *",
    "0 30 1 * * *",
    "0 0 0 * * *",
    "0 30 0 * * *",
    "0 45 23 * * *",
    "0 */30 * * * *",
    "0 */15 * * * *",
    "0 0 * * * *",
    "0 20 */2 * * *",
];

/// The instants within these years at which a zone's clock changes, to the minute.
fn changes(zone: Tz, years: std::ops::Range<i32>) -> Vec<DateTime<Utc>> {
    let offset = |at: DateTime<Utc>| zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc();
    let mut at = Utc.with_ymd_and_hms(years.start, 1, 1, 0, 0, 0).single().expect("a time");
    let mut found = Vec::new();
    while at.year() < years.end {
        let next = at + TimeDelta::minutes(30);
        if offset(at) != offset(next) {
            found.push(next);
        }
        at = next;
    }
    found
}

#[test]
fn every_change_of_the_clock_is_passed_as_the_oracle_passes_it() {
    let mut compared = 0;
    let mut differences = Vec::new();
    for zone in ZONES {
        for change in changes(zone, 2024..2029) {
            let (from, to) = (change - TimeDelta::hours(30), change + TimeDelta::hours(30));
            for line in LINES {
                let ours = Schedule::parse(line, zone).expect("a schedule");
                let oracle = CronParser::builder().seconds(Seconds::Required).build().parse(line).expect("a schedule");
                let (mut a, mut b) = (from, from.with_timezone(&zone));
                while a < to {
                    a = ours.next_after(a).expect("due again");
                    b = oracle.find_next_occurrence(&b, false).expect("due again");
                    compared += 1;
                    if a != b {
                        differences.push(format!("{zone} {line}: {} here, {b} there", a.with_timezone(&zone)));
                        break;
                    }
                }
            }
        }
    }
    assert!(
        differences.is_empty(),
        "{} differences, {compared} compared:\n{}",
        differences.len(),
        differences.join("\n")
    );
    assert!(compared > 40_000, "only {compared} compared");
    eprintln!("{compared} times compared");
}
