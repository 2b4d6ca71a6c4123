//! The order of a plan: waves, each of which begins when the one before has ended.
//!
//! Bans come first where the sync says so. A unique value that one person gives up is released in an earlier wave than
//! the one in which another takes it, however long the chain.

use std::collections::{BTreeMap, BTreeSet};

use super::{PAGE, Spool};
use crate::config::settings::SyncSettings;
use crate::exit::Result;
use crate::plan::{OpKind, Operation};
use crate::record::Key;
use crate::value::folded;

/// Puts the spooled operations in order.
pub(super) fn arrange(sync: &SyncSettings, spool: &Spool) -> Result<()> {
    let unique: Vec<&String> = (sync.target.engine.catalogue().fields.iter())
        .filter(|(_, field)| field.unique)
        .map(|(name, _)| name)
        .collect();
    note_handovers(spool, &unique)?;
    let levels = levels(&spool.handovers()?);
    let deepest = levels.values().max().copied().unwrap_or(0);
    let (bans, rest) = if sync.bans_first { (0, 1) } else { (deepest + 1, 0) };
    move_all(spool, |operation| match operation.kind {
        OpKind::Ban | OpKind::Delete => bans,
        _ => rest + levels.get(&operation.key).copied().unwrap_or(0),
    })
}

/// Records which unique values change hands.
fn note_handovers(spool: &Spool, unique: &[&String]) -> Result<()> {
    let mut last: Option<Operation> = None;
    loop {
        let page = spool.operations(last.as_ref(), PAGE)?;
        let Some(end) = page.last().cloned() else { return Ok(()) };
        for operation in &page {
            for field in unique {
                let Some(change) = operation.fields.get(*field) else { continue };
                if let Some(old) = folded(&change.old) {
                    spool.handover(field, &old, &operation.key, true)?;
                }
                if let Some(new) = folded(&change.new) {
                    spool.handover(field, &new, &operation.key, false)?;
                }
            }
        }
        last = Some(end);
    }
}

/// How many others must have gone before each person: the longest chain of givers behind them. People in a circle
/// keep the level at which the circle was met.
fn levels(pairs: &[(Key, Key)]) -> BTreeMap<Key, u32> {
    let mut waiting: BTreeMap<&Key, usize> = BTreeMap::new();
    let mut takers: BTreeMap<&Key, Vec<&Key>> = BTreeMap::new();
    for (giver, taker) in pairs {
        *waiting.entry(taker).or_default() += 1;
        waiting.entry(giver).or_default();
        takers.entry(giver).or_default().push(taker);
    }
    let mut level: BTreeMap<Key, u32> = BTreeMap::new();
    let mut ready: BTreeSet<&Key> = waiting.iter().filter(|(_, n)| **n == 0).map(|(key, _)| *key).collect();
    while let Some(giver) = ready.pop_first() {
        let next = level.get(giver).copied().unwrap_or(0) + 1;
        for taker in takers.get(giver).into_iter().flatten() {
            let own = level.entry((*taker).clone()).or_default();
            *own = (*own).max(next);
            if let Some(n) = waiting.get_mut(*taker) {
                *n -= 1;
                if *n == 0 {
                    ready.insert(taker);
                }
            }
        }
    }
    level
}

/// Moves every operation to its wave. Operations are spooled in wave 0; those that move are met again further on, and
/// moving them once more changes nothing.
fn move_all(spool: &Spool, wave: impl Fn(&Operation) -> u32) -> Result<()> {
    let mut last: Option<Operation> = None;
    loop {
        let page = spool.operations(last.as_ref(), PAGE)?;
        let Some(end) = page.last().cloned() else { return Ok(()) };
        if end.wave > 0 && page.iter().all(|o| o.wave > 0) {
            return Ok(());
        }
        for operation in page.iter().filter(|o| o.wave == 0) {
            let to = wave(operation);
            if to > 0 {
                spool.move_to_wave(operation, to)?;
            }
        }
        last = Some(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key::parse(text).expect("a key")
    }

    fn pairs(text: &[(&str, &str)]) -> Vec<(Key, Key)> {
        text.iter().map(|(a, b)| (key(a), key(b))).collect()
    }

    #[test]
    fn a_chain_goes_from_its_last_giver_on() {
        let levels = levels(&pairs(&[("A", "B"), ("B", "C"), ("C", "D")]));
        let of = |k: &str| levels.get(&key(k)).copied().unwrap_or(0);
        assert_eq!((of("A"), of("B"), of("C"), of("D")), (0, 1, 2, 3));
    }

    #[test]
    fn who_waits_for_two_waits_for_the_later() {
        let levels = levels(&pairs(&[("A", "C"), ("A", "B"), ("B", "C")]));
        assert_eq!(levels.get(&key("C")), Some(&2));
    }
}
