//! The gate: whether a read of a source may be believed, so that who is absent from it may be taken to have left.
//!
//! Pure: what was read, what was trusted before and the time go in, a verdict comes out. Absence is not evidence: a
//! read that is incomplete, too small, too old or too broken proves nothing about anybody.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::config::settings::{OnIncomplete, TrustSettings};

/// Whether everything that the source has was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Completeness {
    /// To the end.
    #[default]
    Complete,
    /// To the end, as far as one can see, and nothing would show it if it were not: what arrived is right, and nobody may
    /// be taken to have left, whatever is configured. The reason is a sentence for people.
    Unproven(String),
    /// Not to the end; what did arrive is right. The reason is a sentence for people.
    Incomplete(String),
    /// What did arrive can't be believed either, e.g. because the file changed meanwhile.
    Unusable(String),
}

/// What one read of a source came to. Rows are `records + further_rows + rejected_rows + duplicate_equal`; those
/// without any content are nobody's, and none of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadStats {
    /// Distinct keys with good rows alone.
    pub records: u64,
    /// Good rows of those keys beside the first that differ from it and from each other.
    pub further_rows: u64,
    /// Rows that can't be used, and all rows of a key with such a row.
    pub rejected_rows: u64,
    /// Those rows as people: rejected keys, and rejected rows without one.
    pub rejects: u64,
    /// Where the first of them stands and why it can't be used; no values.
    pub first_reject: Option<String>,
    /// Those among them whose key can't be read, or can't be relied upon.
    pub keyless_rejects: u64,
    /// Rows that repeat another row of their key exactly.
    pub duplicate_equal: u64,
    /// Rows without any content.
    pub blank_rows: u64,
    /// Whether that was all.
    pub completeness: Completeness,
    /// When the source says that it was last changed.
    pub modified_at: Option<DateTime<Utc>>,
}

impl ReadStats {
    /// How many rows were read.
    pub fn rows(&self) -> u64 {
        self.records + self.further_rows + self.rejected_rows + self.duplicate_equal
    }

    /// How many people are there, whether or not their rows can be used.
    pub fn present(&self) -> u64 {
        self.records + self.rejects
    }
}

/// What earlier reads came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    /// The most people in any trusted read of the seven days before the last trusted one.
    pub largest_trusted: Option<u64>,
    /// Somebody said `rosterd accept` when the source had so many: that is what the next read is compared with.
    pub accepted: Option<u64>,
}

/// What a read may be used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything.
    Trusted {
        /// An acceptance was waiting, and is used up by this read.
        spends_accept: bool,
    },
    /// Creates and updates; nobody may be taken to have left, for this reason.
    NoBans(String),
    /// Nothing.
    Untrusted(Vec<Reason>),
}

/// Why a read is not trusted. `Display` is one sentence with the figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It did not go to the end, or can't be believed: a sentence of the reader's.
    Reader(String),
    /// Fewer records than `min_records`.
    TooFew {
        /// How many there are.
        records: u64,
        /// How many there must be.
        min: u64,
        /// How many rows can't be used.
        rejected: u64,
        /// The first of them, with its place and the reason.
        first: Option<String>,
    },
    /// Fewer people than before by more than `max_shrink`.
    Shrunk {
        /// How many can be used.
        records: u64,
        /// How many more are there.
        rejects: u64,
        /// How many there were.
        before: u64,
        /// How many fewer are allowed.
        allowed: u64,
        /// It is what somebody accepted, not an earlier trusted read.
        accepted: bool,
    },
    /// More rejected rows than `max_rejected`.
    TooManyRejected {
        /// How many rows can't be used.
        rejected: u64,
        /// Of how many.
        rows: u64,
        /// How many are allowed.
        allowed: u64,
        /// The first of them, with its place.
        first: Option<String>,
    },
    /// Older than `max_age`.
    TooOld {
        /// Its age.
        age: Duration,
        /// How old it may be.
        max: Duration,
    },
    /// `max_age` is set, and the source doesn't say when it was changed.
    AgeUnknown,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Reader(sentence) => f.write_str(sentence),
            Reason::TooFew { records, min, rejected, first } => {
                write!(f, "it has {}, and min_records is {min}", counted(*records))?;
                match (rejected, first) {
                    (0, _) => Ok(()),
                    (1, Some(first)) => write!(f, "; 1 row can't be used: {first}"),
                    (rejected, Some(first)) => write!(f, "; {rejected} rows can't be used, the first is {first}"),
                    (rejected, None) => write!(f, "; {rejected} rows can't be used"),
                }
            }
            Reason::Shrunk { records, rejects, before, allowed, accepted } => {
                let fewer = before.saturating_sub(*records + *rejects);
                let unusable = if *rejects > 0 { format!(" and {rejects} that can't be used") } else { String::new() };
                write!(f, "it has {}{unusable}, {fewer} fewer than the {before} ", counted(*records))?;
                f.write_str(match accepted {
                    true => "that were accepted",
                    false => "of the largest trusted read of the 7 days up to the last one",
                })?;
                write!(f, "; max_shrink allows {allowed} fewer")
            }
            Reason::TooManyRejected { rejected, rows, allowed, first } => {
                write!(f, "{rejected} of its {rows} rows can't be used; max_rejected allows {allowed}")?;
                first.as_ref().map_or(Ok(()), |first| write!(f, "; the first is {first}"))
            }
            Reason::TooOld { age, max } => {
                write!(f, "it was last changed {} ago, and max_age is {}", rough(*age), rough(*max))
            }
            Reason::AgeUnknown => f.write_str("max_age is set, and it does not say when it was last changed"),
        }
    }
}

impl Reason {
    /// What to do about it; `source` is the source's name.
    pub fn help(&self, source: &str) -> String {
        match self {
            Reason::Reader(_) => "once the source is whole, run again".into(),
            Reason::TooFew { rejected: 1.., .. } => "mend the rejected rows in the export".into(),
            Reason::TooFew { .. } => "check the export; if it is right, lower min_records".into(),
            Reason::Shrunk { .. } => format!("if so many have really left, accept it: rosterd accept {source}"),
            Reason::TooManyRejected { .. } => "mend the rejected rows in the export, or raise max_rejected".into(),
            Reason::TooOld { .. } => "see why the export is no longer made".into(),
            Reason::AgeUnknown => "remove max_age for this source".into(),
        }
    }
}

/// Judges a read.
///
/// Every reason is given at once. What was accepted takes the place of earlier reads in the comparison and changes nothing
/// else, and stays until a read is trusted.
pub fn judge(gate: &TrustSettings, stats: &ReadStats, baseline: &Baseline, now: DateTime<Utc>) -> Verdict {
    let mut reasons: Vec<Reason> = Vec::new();
    let mut partial = None;
    match (&stats.completeness, gate.on_incomplete) {
        (Completeness::Complete, _) => {}
        (Completeness::Unproven(why), _) | (Completeness::Incomplete(why), OnIncomplete::NoBans) => {
            partial = Some(why.clone());
        }
        (Completeness::Incomplete(why), OnIncomplete::Stop) | (Completeness::Unusable(why), _) => {
            reasons.push(Reason::Reader(why.clone()));
        }
    }
    // A part is smaller than the whole, which says nothing more; but what a part may be used for must be enough.
    if stats.records < gate.min_records && reasons.is_empty() {
        reasons.push(too_few(gate, stats));
    }
    // An incomplete read bans nobody anyhow.
    if matches!(stats.completeness, Completeness::Complete) {
        reasons.extend(shrunk(gate, stats, baseline));
    }
    reasons.extend(rejected(gate, stats));
    reasons.extend(aged(gate, stats, now));
    if !reasons.is_empty() {
        return Verdict::Untrusted(reasons);
    }
    match partial {
        Some(why) => Verdict::NoBans(why),
        None => Verdict::Trusted { spends_accept: baseline.accepted.is_some() },
    }
}

/// Rows that can't be used are often why: they are told here, unless a reason of their own tells them.
fn too_few(gate: &TrustSettings, stats: &ReadStats) -> Reason {
    let told = rejected(gate, stats).is_some();
    let (rejected, first) = if told { (0, None) } else { (stats.rejected_rows, stats.first_reject.clone()) };
    Reason::TooFew { records: stats.records, min: gate.min_records, rejected, first }
}

/// Whoever's row can't be used is there all the same.
fn shrunk(gate: &TrustSettings, stats: &ReadStats, baseline: &Baseline) -> Option<Reason> {
    let before = baseline.accepted.or(baseline.largest_trusted)?;
    let allowed = gate.max_shrink.allowed(before)?;
    let (records, rejects, accepted) = (stats.records, stats.rejects, baseline.accepted.is_some());
    let fewer = before.saturating_sub(stats.present());
    (fewer > allowed).then_some(Reason::Shrunk { records, rejects, before, allowed, accepted })
}

fn rejected(gate: &TrustSettings, stats: &ReadStats) -> Option<Reason> {
    let rows = stats.rows();
    let allowed = gate.max_rejected.allowed(rows)?;
    let rejected = stats.rejected_rows;
    let first = || stats.first_reject.clone();
    (rejected > allowed).then(|| Reason::TooManyRejected { rejected, rows, allowed, first: first() })
}

fn aged(gate: &TrustSettings, stats: &ReadStats, now: DateTime<Utc>) -> Option<Reason> {
    let max = gate.max_age?;
    let Some(modified) = stats.modified_at else { return Some(Reason::AgeUnknown) };
    // A time in the future is a clock that is wrong by a little: as good as new.
    let age = (now - modified).to_std().unwrap_or_default();
    (age > max).then_some(Reason::TooOld { age, max })
}

fn counted(records: u64) -> String {
    format!("{records} record{}", if records == 1 { "" } else { "s" })
}

/// A duration in its two largest units, rounded down: `1 day 2 h`.
fn rough(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let plural = if days == 1 { "" } else { "s" };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, 0, _) => format!("{days} day{plural}"),
        (days, hours, _) => format!("{days} day{plural} {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limits::Limit;

    const NOW: &str = "2026-11-22T12:00:00Z";

    fn now() -> DateTime<Utc> {
        NOW.parse().expect("a time")
    }

    fn at_most(count: u64, percent: u8) -> Limit {
        Limit::AtMost { count: Some(count), percent: Some(percent) }
    }

    fn gate() -> TrustSettings {
        TrustSettings {
            min_records: 1,
            max_shrink: at_most(10, 20),
            max_rejected: at_most(10, 5),
            max_age: None,
            on_incomplete: OnIncomplete::Stop,
        }
    }

    fn read(records: u64) -> ReadStats {
        ReadStats { records, ..ReadStats::default() }
    }

    fn before(records: u64) -> Baseline {
        Baseline { largest_trusted: Some(records), accepted: None }
    }

    fn trusted(gate: &TrustSettings, stats: &ReadStats, baseline: &Baseline) -> bool {
        matches!(judge(gate, stats, baseline, now()), Verdict::Trusted { .. })
    }

    #[test]
    fn too_few_records_at_the_edge() {
        let gate = TrustSettings { min_records: 50, ..gate() };
        for (records, good) in [(0, false), (49, false), (50, true), (51, true)] {
            assert_eq!(trusted(&gate, &read(records), &Baseline::default()), good, "{records}");
        }
    }

    #[test]
    fn too_few_because_of_rejected_rows_says_the_first_of_them_once() {
        let first = Some("line 2 (record 1), key E1: it has 2 fields, and the header has 8".to_string());
        for (rejected_rows, allowed, told) in [
            (1, 10, "it has 0 records, and min_records is 1; 1 row can't be used: line 2"),
            (3, 10, "it has 0 records, and min_records is 1; 3 rows can't be used, the first is line 2"),
            (3, 2, "it has 0 records, and min_records is 1 | 3 of its 3 rows can't be used; max_rejected allows 2"),
        ] {
            let gate = TrustSettings { max_rejected: at_most(allowed, 0), ..gate() };
            let stats = ReadStats { rejected_rows, first_reject: first.clone(), ..read(0) };
            let Verdict::Untrusted(reasons) = judge(&gate, &stats, &Baseline::default(), now()) else { panic!("none") };
            let said: Vec<String> = reasons.iter().map(ToString::to_string).collect();
            let said = said.join(" | ");
            assert!(said.starts_with(told), "{said}");
            assert_eq!(said.matches("line 2").count(), 1, "{said}");
            assert!(reasons.iter().any(|reason| reason.help("hr").starts_with("mend the rejected rows")));
        }
        let Verdict::Untrusted(reasons) = judge(&gate(), &read(0), &Baseline::default(), now()) else { panic!("none") };
        assert_eq!(reasons[0].to_string(), "it has 0 records, and min_records is 1");
        assert_eq!(reasons[0].help("hr"), "check the export; if it is right, lower min_records");
    }

    #[test]
    fn shrinking_at_the_edge() {
        // Ten, or twenty per cent of the largest trusted read, whichever allows more.
        let rows = [
            (40, 30, true),
            (40, 29, false),
            (100, 81, true),
            (100, 80, true),
            (100, 79, false),
            (104, 84, true),
            (104, 83, false),
            (8, 1, true),
            (100, 500, true),
        ];
        for (largest, records, good) in rows {
            assert_eq!(trusted(&gate(), &read(records), &before(largest)), good, "{largest} to {records}");
        }
        assert!(trusted(&gate(), &read(1), &Baseline::default()), "a first read has nothing to be compared with");
        let unlimited = TrustSettings { max_shrink: Limit::Unlimited, ..gate() };
        assert!(trusted(&unlimited, &read(1), &before(1_000)));
        let none = TrustSettings { max_shrink: Limit::AtMost { count: Some(0), percent: None }, ..gate() };
        assert!(trusted(&none, &read(100), &before(100)));
        assert!(!trusted(&none, &read(99), &before(100)));
    }

    #[test]
    fn rejected_rows_at_the_edge() {
        // Ten, or five per cent of the rows read.
        for (records, rejected_rows, good) in
            [(90, 9, true), (90, 10, true), (90, 11, false), (380, 20, true), (379, 21, false)]
        {
            let stats = ReadStats { rejected_rows, ..read(records) };
            assert_eq!(trusted(&gate(), &stats, &Baseline::default()), good, "{rejected_rows} beside {records}");
        }
    }

    #[test]
    fn age_at_the_edge() {
        let gate = TrustSettings { max_age: Some(Duration::from_secs(3_600)), ..gate() };
        for (modified, good) in [
            (Some("2026-11-22T11:00:01Z"), true),
            (Some("2026-11-22T11:00:00Z"), true),
            (Some("2026-11-22T10:59:59Z"), false),
            (Some("2026-11-22T12:30:00Z"), true),
            (None, false),
        ] {
            let modified_at = modified.map(|time| time.parse().expect("a time"));
            let stats = ReadStats { modified_at, ..read(5) };
            assert_eq!(trusted(&gate, &stats, &Baseline::default()), good, "{modified:?}");
        }
    }

    #[test]
    fn an_incomplete_read_stops_or_bans_nobody() {
        let cut = ReadStats { completeness: Completeness::Incomplete("cut off".into()), ..read(5) };
        let stop = judge(&gate(), &cut, &Baseline::default(), now());
        assert_eq!(stop, Verdict::Untrusted(vec![Reason::Reader("cut off".into())]));
        let lenient = TrustSettings { on_incomplete: OnIncomplete::NoBans, ..gate() };
        assert_eq!(judge(&lenient, &cut, &before(1_000), now()), Verdict::NoBans("cut off".into()));
        let accepting = Baseline { largest_trusted: Some(9), accepted: Some(5) };
        assert_eq!(judge(&lenient, &cut, &accepting, now()), Verdict::NoBans("cut off".into()), "not spent by a part");
        let torn = ReadStats { completeness: Completeness::Unusable("changed".into()), ..read(5) };
        let verdict = judge(&lenient, &torn, &Baseline::default(), now());
        assert_eq!(verdict, Verdict::Untrusted(vec![Reason::Reader("changed".into())]));
        let broken = ReadStats { rejected_rows: 11, ..cut };
        assert!(matches!(judge(&lenient, &broken, &Baseline::default(), now()), Verdict::Untrusted(_)));
    }

    #[test]
    fn a_read_whose_end_nothing_shows_bans_nobody_whatever_is_configured() {
        let unproven = ReadStats { completeness: Completeness::Unproven("no length".into()), ..read(5) };
        for on_incomplete in [OnIncomplete::Stop, OnIncomplete::NoBans] {
            let gate = TrustSettings { on_incomplete, ..gate() };
            let verdict = judge(&gate, &unproven, &before(1_000), now());
            assert_eq!(verdict, Verdict::NoBans("no length".into()));
        }
        let gate = TrustSettings { min_records: 6, ..gate() };
        assert!(matches!(judge(&gate, &unproven, &before(9), now()), Verdict::Untrusted(_)));
    }

    #[test]
    fn what_was_accepted_takes_the_place_of_earlier_reads_until_a_read_is_trusted() {
        let accepting = Baseline { largest_trusted: Some(1_000), accepted: Some(229) };
        // Ten, or twenty per cent of what was accepted.
        for (records, good) in [(229, true), (184, true), (183, false), (19, false), (2_000, true)] {
            let verdict = judge(&gate(), &read(records), &accepting, now());
            assert_eq!(verdict == Verdict::Trusted { spends_accept: true }, good, "{records}: {verdict:?}");
        }
        let few = judge(&gate(), &read(0), &Baseline { accepted: Some(5), ..accepting }, now());
        assert_eq!(few, Verdict::Untrusted(vec![Reason::TooFew { records: 0, min: 1, rejected: 0, first: None }]));
        assert_eq!(judge(&gate(), &read(5), &Baseline::default(), now()), Verdict::Trusted { spends_accept: false });
    }

    #[test]
    fn rows_that_can_not_be_used_are_no_leavers_and_hide_none() {
        let stats = |records, rejects| ReadStats { rejects, rejected_rows: rejects, ..read(records) };
        let lenient = TrustSettings { max_rejected: Limit::Unlimited, ..gate() };
        for (records, rejects, good) in [(20, 20, true), (20, 10, true), (20, 9, false), (0, 40, false), (29, 0, false)]
        {
            assert_eq!(trusted(&lenient, &stats(records, rejects), &before(40)), good, "{records} and {rejects}");
        }
    }

    #[test]
    fn every_reason_is_given_with_its_figures_and_the_way_out() {
        let gate = TrustSettings { min_records: 50, max_age: Some(Duration::from_secs(26 * 3_600)), ..gate() };
        let modified_at = Some("2026-11-20T09:00:00Z".parse().expect("a time"));
        let first_reject = Some("line 7 (record 6): it has 2 fields".to_string());
        let explained = ReadStats { rejected_rows: 11, rejects: 11, ..read(29) };
        let Verdict::Untrusted(alone) = judge(&self::gate(), &explained, &before(40), now()) else { panic!("trusted") };
        assert!(
            matches!(alone[..], [Reason::TooManyRejected { .. }]),
            "rows that can't be used are no leavers: {alone:?}"
        );
        let stats = ReadStats { rejected_rows: 11, rejects: 11, first_reject, modified_at, ..read(40) };
        let Verdict::Untrusted(reasons) = judge(&gate, &stats, &before(400), now()) else { panic!("trusted") };
        let sentences: Vec<String> = reasons.iter().map(ToString::to_string).collect();
        assert_eq!(
            sentences,
            [
                "it has 40 records, and min_records is 50",
                "it has 40 records and 11 that can't be used, 349 fewer than the 400 of the largest trusted read of \
                 the 7 days up to the last one; max_shrink allows 80 fewer",
                "11 of its 51 rows can't be used; max_rejected allows 10; \
                 the first is line 7 (record 6): it has 2 fields",
                "it was last changed 2 days 3 h ago, and max_age is 1 day 2 h",
            ]
        );
        assert!(reasons[1].help("hr").ends_with("rosterd accept hr"));
        let accepting = Baseline { largest_trusted: Some(400), accepted: Some(30) };
        let Verdict::Untrusted(reasons) = judge(&self::gate(), &read(1), &accepting, now()) else { panic!("trusted") };
        assert_eq!(
            reasons[0].to_string(),
            "it has 1 record, 29 fewer than the 30 that were accepted; max_shrink allows 10 fewer"
        );
    }

    #[test]
    fn every_row_is_one_whatever_became_of_it() {
        let stats = ReadStats { further_rows: 20, rejected_rows: 300, duplicate_equal: 4_000, rejects: 9, ..read(1) };
        assert_eq!((stats.rows(), stats.present()), (4_321, 10));
    }

    #[test]
    fn an_age_is_told_in_its_two_largest_units() {
        for (seconds, told) in [
            (59, "59 s"),
            (60, "1 min"),
            (3_599, "59 min"),
            (3_600, "1 h"),
            (5_580, "1 h 33 min"),
            (86_399, "23 h 59 min"),
            (86_400, "1 day"),
            (90_060, "1 day 1 h"),
            (200_000, "2 days 7 h"),
        ] {
            assert_eq!(rough(Duration::from_secs(seconds)), told, "{seconds}");
        }
    }
}
