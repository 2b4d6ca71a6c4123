//! Keys that people had before HR gave them others: whose the rows of the ledger are.
//!
//! A row keeps the key under which it was written. It is the person's who had that key then: a former key counts up to
//! the number of the last row that was written before it was given up, so that whoever gets the same key later has a
//! history of their own.

use chrono::{DateTime, Utc};

use super::db::args;
use super::{Command, Db, Row, StateError};
use crate::domain::record::Key;

/// Rows of the ledger under a former key of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormerKey {
    /// The sync.
    pub sync: String,
    /// The key that they had.
    pub old: String,
    /// The key that they have now.
    pub new: String,
    /// The rows after this one …
    pub after: i64,
    /// … and up to this one.
    pub upto: i64,
    /// When they got another key.
    pub at: DateTime<Utc>,
}

const COLUMNS: &str = "sync, old, new,
    coalesce((SELECT max(g.upto) FROM former_key g WHERE g.old = f.old AND g.sync = f.sync AND g.upto < f.upto), 0),
    upto, at";

fn former_key(row: &Row<'_>) -> Result<FormerKey, StateError> {
    Ok(FormerKey {
        sync: row.get(0)?,
        old: row.get(1)?,
        new: row.get(2)?,
        after: row.get(3)?,
        upto: row.get(4)?,
        at: row.get(5)?,
    })
}

/// The former keys of whoever has this key now, in this sync or in any.
pub(super) fn of(db: &Db<'_>, sync: Option<&str>, key: &str) -> Result<Vec<FormerKey>, StateError> {
    found(db, "new", sync, key)
}

/// Those who had this key and have another by now, in this sync or in any; the first to give it up first.
pub(super) fn given_up(db: &Db<'_>, sync: Option<&str>, key: &str) -> Result<Vec<FormerKey>, StateError> {
    found(db, "old", sync, key)
}

fn found(db: &Db<'_>, column: &str, sync: Option<&str>, key: &str) -> Result<Vec<FormerKey>, StateError> {
    let of = format!("SELECT {COLUMNS} FROM former_key f WHERE f.{column} = ?1");
    match sync {
        Some(sync) => db.rows(&format!("{of} AND f.sync = ?2 ORDER BY upto, id"), args![key, sync], former_key),
        None => db.rows(&format!("{of} ORDER BY upto, id"), args![key], former_key),
    }
}

/// After which row of the ledger rows of a key are of whoever has it now.
pub(super) fn taken_over(db: &Db<'_>, sync: &str, key: &str) -> Result<i64, StateError> {
    Ok(given_up(db, Some(sync), key)?.last().map_or(0, |last| last.upto))
}

/// Where in the ledger somebody's rows are: the keys, and for each the rows after one and up to another.
pub(super) fn spans(db: &Db<'_>, sync: &str, key: &str) -> Result<Vec<(String, i64, i64)>, StateError> {
    let former = of(db, Some(sync), key)?.into_iter().map(|former| (former.old, former.after, former.upto));
    Ok([(key.to_string(), taken_over(db, sync, key)?, i64::MAX)].into_iter().chain(former).collect())
}

/// Writes down that whoever had the old key has the new one.
pub(super) fn moved(db: &Db<'_>, sync: &str, old: &str, new: &str, at: DateTime<Utc>) -> Result<(), StateError> {
    db.execute("UPDATE former_key SET new = ?3 WHERE sync = ?1 AND new = ?2", args![sync, old, new])?;
    let upto: i64 = db.row("SELECT coalesce(max(id), 0) FROM outcome", args![], |row| row.get(0))?;
    // Nothing was written since somebody else gave the same key up: no row is of this one.
    if taken_over(db, sync, old)? < upto {
        db.execute(
            "INSERT INTO former_key (sync, old, new, upto, at) VALUES (?1, ?2, ?3, ?4, ?5)",
            args![sync, old, new, upto, at],
        )?;
    }
    Ok(())
}

/// Forgets which keys somebody had.
pub(super) fn forget(db: &Db<'_>, sync: &str, key: &str) -> Result<u64, StateError> {
    db.execute("DELETE FROM former_key WHERE sync = ?1 AND new = ?2", args![sync, key])
}

/// Forgets former keys of which the ledger has no row any more. The numbers of the last rows are given to others once those
/// are pruned, so what is kept ends with the last row that there is.
pub(super) fn prune(db: &Db<'_>) -> Result<(), StateError> {
    let bounds = "SELECT coalesce(min(id), 1), coalesce(max(id), 0) FROM outcome";
    let (first, last) = db.row(bounds, args![], |row| Ok((row.get::<i64>(0)?, row.get::<i64>(1)?)))?;
    db.execute("UPDATE former_key SET upto = ?1 WHERE upto > ?1", args![last])?;
    db.execute("DELETE FROM former_key WHERE upto < ?1", args![first])?;
    Ok(())
}

/// Asks which keys whoever has this one had, and who had this one.
#[derive(Debug)]
pub struct KeyHistory {
    /// Of this sync alone.
    pub sync: Option<String>,
    /// The key.
    pub key: String,
}

/// What is known of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownKeys {
    /// The keys that whoever has it now had before.
    pub before: Vec<FormerKey>,
    /// Those who had it and have another now.
    pub since: Vec<FormerKey>,
}

impl KnownKeys {
    /// The key of whoever had this one last, where nobody got it since.
    pub fn now(&self) -> Option<Key> {
        self.since.last().and_then(|last| Key::parse(&last.new))
    }
}

impl Command for KeyHistory {
    type Reply = KnownKeys;

    fn run(&self, db: &Db<'_>) -> Result<KnownKeys, StateError> {
        let (sync, key) = (self.sync.as_deref(), self.key.as_str());
        let is_another = |former: &FormerKey| former.old != former.new;
        let mut known = KnownKeys { before: of(db, sync, key)?, since: given_up(db, sync, key)? };
        known.before.retain(is_another);
        known.since.retain(is_another);
        Ok(known)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::operation::OpKind;
    use crate::domain::outcome::{OfRun, Outcome, Status};
    use crate::domain::time::instant;
    use crate::state::State;
    use crate::state::ledger::{CameBack, Filter, LastOutcomes, Outcomes, Record};
    use crate::state::prune::Prune;

    const AT: &str = "2026-11-22T03:00:00.000Z";

    /// Gives a key anew, as `Rekey` does within its transaction.
    #[derive(Debug)]
    struct Moved(&'static str, &'static str);

    impl Command for Moved {
        type Reply = ();

        fn run(&self, db: &Db<'_>) -> Result<(), StateError> {
            moved(db, "staff", self.0, self.1, instant(AT))
        }
    }

    fn outcome(key: &str, n: usize) -> Outcome {
        let of = OfRun { run: "r".into(), sync: "staff".into(), source: "hr".into(), target: "juno".into() };
        let mut outcome = Outcome::new(instant(AT), of, Key::parse(key), Some(OpKind::Reinstate), Status::Ok);
        outcome.attempts = n as u32;
        outcome
    }

    fn numbers(outcomes: Vec<Outcome>) -> Vec<usize> {
        let mut numbers: Vec<usize> = outcomes.into_iter().map(|o| o.attempts as usize).collect();
        numbers.sort_unstable();
        numbers
    }

    #[test]
    fn a_number_that_is_given_to_another_row_after_a_prune_is_not_the_formers() {
        let state = State::in_memory().expect("a state");
        state.ask_blocking(Record(vec![outcome("A", 1), outcome("A", 2)])).expect("recorded");
        state.ask_blocking(Moved("A", "B")).expect("moved");
        let far = instant("2027-11-22T03:00:00.000Z");
        state.ask_blocking(Prune { before: far, counted_since: far }).expect("pruned");
        state.ask_blocking(Record(vec![outcome("A", 3)])).expect("recorded");
        let of = |key: &str| {
            let asked = LastOutcomes { sync: "staff".into(), key: key.into(), limit: 9 };
            numbers(state.ask_blocking(asked).expect("read"))
        };
        assert_eq!((of("A"), of("B")), (vec![3], vec![]));
    }

    const KEYS: [&str; 4] = ["A", "B", "C", "D"];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]
        /// People who get keys that others had, and get them back: each row is the person's who had its key then.
        #[test]
        fn every_row_is_of_whoever_had_its_key_then(steps in prop::collection::vec((0..3usize, 0..4usize, 0..4usize), 0..24)) {
            let state = State::in_memory().expect("a state");
            // Who has which key, and whose each row is.
            let (mut holders, mut rows) = (BTreeMap::new(), Vec::new());
            for (n, (step, one, other)) in steps.into_iter().enumerate() {
                let (key, new) = (KEYS[one], KEYS[other]);
                if step == 0 && holders.contains_key(key) && !holders.contains_key(new) {
                    let person = holders.remove(key).expect("somebody");
                    holders.insert(new, person);
                    state.ask_blocking(Moved(key, new)).expect("moved");
                } else {
                    let person = *holders.entry(key).or_insert(n);
                    rows.push((n, person, key));
                    state.ask_blocking(Record(vec![outcome(key, n)])).expect("recorded");
                }
            }
            for (key, person) in &holders {
                let theirs: Vec<usize> = rows.iter().filter(|row| row.1 == *person).map(|row| row.0).collect();
                let asked = LastOutcomes { sync: "staff".into(), key: (*key).into(), limit: 99 };
                prop_assert_eq!(&numbers(state.ask_blocking(asked).expect("read")), &theirs, "{}", key);
                let count = CameBack { sync: "staff".into(), keys: vec![Key::parse(key).expect("a key")], since: instant(AT) };
                prop_assert_eq!(state.ask_blocking(count).expect("counted"), vec![theirs.len() as u64]);
                // By key the ledger shows what was written under it, too, whosever it was.
                let shown: Vec<usize> = rows.iter().filter(|row| row.1 == *person || row.2 == *key).map(|row| row.0).collect();
                let filter = Filter { key: Some((*key).into()), ..Filter::default() };
                let mut pages = state.pages(Outcomes { filter, after: 0, limit: 2 });
                let mut found = Vec::new();
                while let Some(page) = pages.next_blocking().expect("a page") {
                    found.extend(page.into_iter().map(|(_, outcome)| outcome.attempts as usize));
                }
                prop_assert_eq!(found, shown, "{}", key);
            }
        }
    }
}
