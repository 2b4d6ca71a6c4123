//! Where the rows stand that were found settled, in little room: a message about two rows of one person names both, also
//! where the first was only counted.

use crate::domain::record::Position;

/// After how many people in a row their place is noted anew: that many are counted through at most to find somebody.
const STRETCH: u32 = if cfg!(test) { 9 } else { 1024 };

/// How many records that stand between others of their rule, and on another line than it says, are told apart.
const BETWEEN: usize = if cfg!(test) { 40 } else { 10_000 };

/// On which line a record begins: where each record takes one line, a rule tells; where one takes more, the rule begins
/// anew. Records come in any order, as those of a union do; those of a file in theirs.
#[derive(Default)]
pub(super) struct Lines {
    /// In the order of their first records.
    rules: Vec<Rule>,
    /// That of the record before.
    at: usize,
    /// How many records were told apart between others of their rule.
    between: usize,
}

/// How records from `first` on, up to the next rule's, stand on lines.
#[derive(Clone, Copy, Debug)]
struct Rule {
    first: u64,
    line: u64,
    /// How many lines each record takes.
    step: u64,
    /// The greatest record that was seen of it.
    last: u64,
}

impl Rule {
    fn of(at: Position) -> Rule {
        Rule { first: at.record, line: at.line, step: u64::from(at.line > 0), last: at.record }
    }

    fn says(&self, record: u64) -> u64 {
        self.line + self.step * (record - self.first)
    }
}

impl Lines {
    /// A record stands here.
    #[inline]
    pub fn see(&mut self, at: Position) {
        let is_before_next = self.rules.get(self.at + 1).is_none_or(|next| at.record < next.first);
        match self.rules.get_mut(self.at) {
            Some(rule) if rule.first <= at.record && is_before_next && rule.says(at.record) == at.line => {
                rule.last = rule.last.max(at.record);
            }
            _ => self.learn(at),
        }
    }

    fn learn(&mut self, at: Position) {
        let after = self.rules.partition_point(|rule| rule.first <= at.record);
        let Some(before) = after.checked_sub(1) else {
            self.rules.insert(0, Rule::of(at));
            self.at = 0;
            return;
        };
        self.at = before;
        let rule = &mut self.rules[before];
        if rule.says(at.record) == at.line {
            rule.last = rule.last.max(at.record);
        } else if at.record > rule.last {
            self.at = after;
            self.rules.insert(after, Rule::of(at));
        } else {
            // What was seen before and after it stays as it is.
            self.between += 1;
            if self.between > BETWEEN {
                return;
            }
            let rest =
                (rule.last > at.record).then(|| Rule { first: at.record + 1, line: rule.says(at.record + 1), ..*rule });
            let begins_here = rule.first == at.record;
            rule.last = at.record.saturating_sub(1);
            let own = std::iter::once(Rule::of(at)).chain(rest);
            self.rules.splice(if begins_here { before..after } else { after..after }, own);
        }
    }

    /// Where a record stands that was seen. Where too many stand out of line, none is told.
    pub fn position(&self, record: u64) -> Position {
        let after = self.rules.partition_point(|rule| rule.first <= record);
        let rule = after.checked_sub(1).map(|at| &self.rules[at]).filter(|_| self.between <= BETWEEN);
        Position { record, line: rule.map_or(0, |rule| rule.says(record)) }
    }
}

/// The records of settled people, in the order of their keys as in that of the source. Where person follows person and
/// record follows record, the first of them is all that is noted.
#[derive(Default)]
pub(super) struct Runs {
    keys: Vec<u8>,
    /// Where the key of a run's first person ends, and their record.
    runs: Vec<(usize, u64)>,
    last: u64,
    length: u32,
    is_broken: bool,
}

impl Runs {
    /// The next person who was found settled, and their record.
    #[inline]
    pub fn add(&mut self, key: &[u8], record: u64) {
        if self.is_broken || self.runs.is_empty() || record != self.last + 1 || self.length == STRETCH {
            self.keys.extend_from_slice(key);
            self.runs.push((self.keys.len(), record));
            self.length = 0;
            self.is_broken = false;
        }
        self.last = record;
        self.length += 1;
    }

    /// Somebody who is known and not settled comes before the next one.
    #[inline]
    pub fn interrupt(&mut self) {
        self.is_broken = true;
    }

    fn key(&self, run: usize) -> &[u8] {
        let start = if run == 0 { 0 } else { self.runs[run - 1].0 };
        &self.keys[start..self.runs[run].0]
    }

    /// The run in which somebody is: its number, first key and record. They follow so many known people after the first.
    pub fn run_of(&self, key: &[u8]) -> Option<(usize, &[u8], u64)> {
        let (mut low, mut high) = (0, self.runs.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.key(middle) <= key { low = middle + 1 } else { high = middle }
        }
        let run = low.checked_sub(1)?;
        Some((run, self.key(run), self.runs[run].1))
    }

    /// The records of all, one after the other.
    pub fn walk(&self) -> Walk<'_> {
        Walk { runs: self, next: 0, record: 0 }
    }
}

/// Goes over everybody in a [`Runs`].
pub(super) struct Walk<'r> {
    runs: &'r Runs,
    next: usize,
    record: u64,
}

impl Walk<'_> {
    /// The record of the next person, who has this key.
    pub fn record(&mut self, key: &[u8]) -> u64 {
        if self.next < self.runs.runs.len() && self.runs.key(self.next) == key {
            self.record = self.runs.runs[self.next].1;
            self.next += 1;
        } else {
            self.record += 1;
        }
        self.record
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_follow_a_rule_until_a_record_takes_more() {
        let mut lines = Lines::default();
        let places = [(1, 2), (2, 3), (4, 5), (5, 9), (6, 10)];
        places.iter().for_each(|(record, line)| lines.see(Position { record: *record, line: *line }));
        assert_eq!(lines.rules.len(), 2);
        for (record, line) in places {
            assert_eq!(lines.position(record), Position { record, line });
        }
        let mut none = Lines::default();
        (1..9).for_each(|record| none.see(Position { record, line: 0 }));
        assert_eq!((none.rules.len(), none.position(7)), (1, Position { record: 7, line: 0 }));
    }

    proptest! {
        #![proptest_config(crate::domain::properties::cases(256))]

        #[test]
        fn records_in_any_order_stand_where_they_stood(
            taken in proptest::collection::vec(prop_oneof![9 => Just(1u64), 1 => 2u64..4], 1..60),
            order in any::<u64>(),
            members in 1u64..4,
        ) {
            // Members one after the other, each from its second line on, some records on several lines.
            let mut places = Vec::new();
            let mut line = 2;
            for (n, lines) in (0u64..).zip(&taken) {
                if n % (60 / members) == 0 {
                    line = 2;
                }
                places.push(Position { record: n, line });
                line += lines;
            }
            // The members in turn, or anything.
            let mix = |place: &Position| match order % 2 {
                0 => (place.record % (60 / members), place.record),
                _ => (place.record.wrapping_mul(order | 1) >> 7, place.record),
            };
            places.sort_by_key(mix);
            let mut lines = Lines::default();
            places.iter().for_each(|place| lines.see(*place));
            if lines.between <= BETWEEN {
                for place in &places {
                    prop_assert_eq!(lines.position(place.record), *place);
                }
            }
            if order % 2 == 0 {
                prop_assert_eq!(lines.between, 0);
            }
        }
    }

    #[test]
    fn of_too_many_records_out_of_line_none_is_told() {
        let mut lines = Lines::default();
        let see = |lines: &mut Lines, record: u64, line: u64| lines.see(Position { record, line });
        (0..200).for_each(|record| see(&mut lines, record, record + 2));
        (0..=39).for_each(|n| see(&mut lines, 2 * n, 1000 + 7 * n));
        assert_eq!(lines.position(78), Position { record: 78, line: 1000 + 7 * 39 });
        assert_eq!(lines.position(79), Position { record: 79, line: 81 });
        see(&mut lines, 80, 5000);
        assert_eq!(lines.position(79), Position { record: 79, line: 0 });
    }

    #[test]
    fn runs_tell_everybodys_record() {
        let mut runs = Runs::default();
        let people = [("a", 1), ("b", 2), ("c", 4), ("d", 5), ("f", 6)];
        for (key, record) in people {
            if key == "f" {
                runs.interrupt();
            }
            runs.add(key.as_bytes(), record);
        }
        assert_eq!(runs.runs.len(), 3);
        assert_eq!(runs.run_of(b"d"), Some((1, b"c".as_slice(), 4)));
        assert_eq!(runs.run_of(b"A"), None);
        let mut walk = runs.walk();
        people.iter().for_each(|(key, record)| assert_eq!(walk.record(key.as_bytes()), *record, "{key}"));
    }
}
