//! `[syncs.NAME]`: its time zone and its schedules.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::super::diagnostic::did_you_mean;
use super::super::locate::KeyPath;
use super::super::settings::SourceSettings;
use super::Report;
use crate::domain::schedule::Schedule;

/// The zone that a sync names; UTC unless it does.
pub(super) fn timezone(report: &mut Report<'_>, path: &KeyPath, raw: Option<&str>) -> Option<Tz> {
    let Some(name) = raw else { return Some(Tz::UTC) };
    let zone = name.parse().ok();
    if zone.is_none() {
        let near = did_you_mean(name, chrono_tz::TZ_VARIANTS.iter().map(|z| z.name()));
        let city = |zone: &&str| zone.rsplit_once('/').is_some_and(|(_, city)| city.eq_ignore_ascii_case(name));
        let city = chrono_tz::TZ_VARIANTS.iter().map(|z| z.name()).find(city).map(|z| format!("did you mean `{z}`?"));
        let help = city.or(near.filter(|n| n.len() < 80)).unwrap_or_else(|| {
            "write \"UTC\", or a place of the time zone database, such as \"Europe/Zurich\"; summer time follows from it".into()
        });
        report.error(&path.join("timezone"), format!("{name:?} is not a time zone"), Some(help));
    }
    zone
}

/// A schedule must be readable, and due at some time.
pub(super) fn due(report: &mut Report<'_>, path: &KeyPath, raw: Option<&str>, zone: Option<Tz>) -> Option<Schedule> {
    let text = raw?;
    match Schedule::parse(text, zone.unwrap_or(Tz::UTC)) {
        Err(error) => report.error(path, error.message, Some(error.help)),
        // Any instant will do: a line that is ever due is due within eight years of any (29 February around 2100).
        Ok(schedule) if schedule.next_after(DateTime::<Utc>::UNIX_EPOCH).is_none() => {
            let help = "no year has that day of that month: days of the month are the fourth of six fields";
            report.error(path, format!("{text:?} is never due"), Some(help.into()));
        }
        Ok(schedule) => return Some(schedule),
    }
    None
}

/// What is read once can't be read on a schedule.
pub(super) fn refuse_standard_input(report: &mut Report<'_>, path: &KeyPath, source: &SourceSettings) {
    if source.kind.is_read_once() {
        let help = "name a file as the source's path, or take the schedule out and run `rosterd sync`";
        report.error(&path.join("schedule"), "standard input can't be read on a schedule", Some(help.into()));
    }
}
