//! Where the rows stand that were found settled, in little room: a message about two rows of one person names both, also
//! where the first was only counted.

use crate::domain::record::Position;

/// After how many people in a row their place is noted anew: that many are counted through at most to find somebody.
const STRETCH: u32 = if cfg!(test) { 9 } else { 1024 };

/// On which line a record begins: where each record takes one line, a rule tells; where one takes more, the rule begins
/// anew.
#[derive(Default)]
pub(super) struct Lines {
    /// A record, its line, and how many lines each record from there on takes.
    rules: Vec<(u64, u64, u64)>,
}

impl Lines {
    /// A record stands here; records come in their order.
    #[inline]
    pub fn see(&mut self, at: Position) {
        let line = self.rules.last().map(|rule| by_rule(*rule, at.record));
        if line != Some(at.line) {
            self.rules.push((at.record, at.line, u64::from(at.line > 0)));
        }
    }

    /// Where a record stands that was seen.
    pub fn position(&self, record: u64) -> Position {
        let after = self.rules.partition_point(|(first, ..)| *first <= record);
        let rule = after.checked_sub(1).and_then(|at| self.rules.get(at));
        Position { record, line: rule.map_or(0, |rule| by_rule(*rule, record)) }
    }
}

fn by_rule((first, line, step): (u64, u64, u64), record: u64) -> u64 {
    line + step * (record - first)
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
