//! The order of a plan: waves, each of which begins when the one before has ended.
//!
//! Bans come first where the sync says so. A unique value that one person gives up is released in an earlier wave than
//! the one in which another takes it, however long the chain.

use std::collections::{BTreeMap, BTreeSet};

use super::spool::REST;
use super::{Handover, Spool};
use crate::config::settings::SyncSettings;
use crate::domain::account::AccountState;
use crate::domain::catalogue::Catalogue;
use crate::domain::error::Result;
use crate::domain::operation::{Change, OpKind, Operation};
use crate::domain::planned::Planned;
use crate::domain::record::Key;
use crate::domain::value::folded;

/// Puts the spooled operations in order, and adds the steps that a circle of exchanged values needs.
pub(super) fn arrange(sync: &SyncSettings, spool: &Spool) -> Result<()> {
    let catalogue = sync.target.engine.catalogue();
    let unique: Vec<&String> = catalogue.fields.iter().filter(|(_, f)| f.unique).map(|(name, _)| name).collect();
    note_handovers(spool, &unique)?;
    let handovers = spool.handovers()?;
    let parkable = |field: &str| catalogue.field(field).is_some_and(|f| f.park.is_some());
    let order = order(&handovers, parkable);
    let deepest = order.levels.values().max().copied().unwrap_or(0);
    if !sync.bans_first {
        spool.move_bans(REST + deepest + 1)?;
    }
    // Those between whom values change hands go in rounds; bans among them too, unless all bans are over by then.
    let among: BTreeSet<&Key> = handovers.iter().flat_map(|h| [&h.giver, &h.taker]).collect();
    for key in among {
        let takes_access = spool.operation_of(key)?.is_some_and(|operation| operation.kind.takes_access());
        if !(takes_access && sync.bans_first) {
            spool.move_to_wave(key, REST + order.levels.get(key).copied().unwrap_or(0))?;
        }
    }
    for (key, fields) in &order.parked {
        park(spool, catalogue, key, fields)?;
    }
    Ok(())
}

/// Adds the step in which somebody's values are parked, so that others can take them before they take their own.
fn park(spool: &Spool, catalogue: &Catalogue, key: &Key, fields: &BTreeSet<String>) -> Result<()> {
    let Some(operation) = spool.operation_of(key)? else { return Ok(()) };
    let Some(remote_id) = operation.remote_id.clone() else { return Ok(()) };
    let mut step = Operation::new(OpKind::Update, key.clone(), Some(remote_id.clone()));
    for field in fields {
        if let (Some(change), Some(new)) = (operation.fields.get(field), catalogue.parked(field, &remote_id)) {
            step.fields.insert(field.clone(), Change { old: change.old.clone(), new });
        }
    }
    step.baseline = operation.baseline.clone();
    // Parking moves nobody's access: who is to be reinstated is disabled until their turn comes.
    step.found = (operation.kind == OpKind::Reinstate).then_some(AccountState::Banned);
    Ok(spool.add_to(REST, &Planned::Step(step))?)
}

/// Records which unique values change hands.
fn note_handovers(spool: &Spool, unique: &[&String]) -> Result<()> {
    for page in spool.handing_pages()? {
        for operation in page? {
            for field in unique {
                // An account that is removed gives up whatever it has.
                let removed = operation.baseline.get(field).filter(|_| operation.kind == OpKind::Delete);
                if let Some(old) = removed.and_then(folded) {
                    spool.handover(field, &old, &operation.key, true)?;
                }
                let Some(change) = operation.fields.get(*field) else { continue };
                if let Some(old) = folded(&change.old) {
                    spool.handover(field, &old, &operation.key, true)?;
                }
                if let Some(new) = folded(&change.new) {
                    spool.handover(field, &new, &operation.key, false)?;
                }
            }
        }
    }
    Ok(())
}

/// When everybody's turn comes, and whose values are parked first.
#[derive(Debug, Default, PartialEq)]
struct Order {
    /// How many rounds must have ended before each person's: the longest chain of givers behind them.
    levels: BTreeMap<Key, u32>,
    /// Whose values are parked in the first round, to open a circle.
    parked: BTreeMap<Key, BTreeSet<String>>,
}

/// Finds an order in which every value is given up before it is taken. Where people wait for each other in a circle,
/// the first of them (by key) whose value may be parked opens it.
fn order(handovers: &[Handover], parkable: impl Fn(&str) -> bool) -> Order {
    let mut waiting: BTreeMap<&Key, usize> = BTreeMap::new();
    let mut gifts: BTreeMap<&Key, Vec<&Handover>> = BTreeMap::new();
    for handover in handovers {
        *waiting.entry(&handover.taker).or_default() += 1;
        waiting.entry(&handover.giver).or_default();
        gifts.entry(&handover.giver).or_default().push(handover);
    }
    let mut free_ones: BTreeSet<&Key> = waiting.iter().filter(|(_, n)| **n == 0).map(|(key, _)| *key).collect();
    let mut order = Order::default();
    loop {
        let free = free_ones.pop_first();
        let opens = |key: &&&Key| gifts.get(**key).into_iter().flatten().any(|h| parkable(&h.field));
        let (giver, after) = match free {
            Some(giver) => {
                waiting.remove(giver);
                (giver, order.levels.get(giver).copied().unwrap_or(0) + 1)
            }
            None => match waiting.keys().find(opens) {
                // Parked in the first round; those who take from them may go in the second.
                Some(giver) => (*giver, 1),
                None => return order,
            },
        };
        let given = gifts.remove(giver).unwrap_or_default();
        for gift in given {
            if free.is_none() {
                if !parkable(&gift.field) {
                    gifts.entry(giver).or_default().push(gift);
                    continue;
                }
                order.parked.entry(giver.clone()).or_default().insert(gift.field.clone());
                // Their own turn comes after the parking, whatever becomes of those whom they wait for.
                let own = order.levels.entry(giver.clone()).or_default();
                *own = (*own).max(1);
            }
            let level = order.levels.entry(gift.taker.clone()).or_default();
            *level = (*level).max(after);
            if let Some(n) = waiting.get_mut(&gift.taker) {
                *n -= 1;
                if *n == 0 {
                    free_ones.insert(&gift.taker);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key::parse(text).expect("a key")
    }

    fn gifts(pairs: &[(&str, &str)]) -> Vec<Handover> {
        pairs
            .iter()
            .map(|(giver, taker)| Handover { field: "email".into(), giver: key(giver), taker: key(taker) })
            .collect()
    }

    /// Plays an order: everybody's value is given up, or parked, before it is taken.
    fn holds(handovers: &[Handover], order: &Order) -> bool {
        let level = |k: &Key| order.levels.get(k).copied().unwrap_or(0);
        handovers.iter().all(|h| {
            let given_up = if order.parked.contains_key(&h.giver) { 0 } else { level(&h.giver) };
            given_up < level(&h.taker)
        })
    }

    #[test]
    fn a_chain_goes_from_its_last_giver_on() {
        let order = order(&gifts(&[("A", "B"), ("B", "C"), ("C", "D")]), |_| true);
        let of = |k: &str| order.levels.get(&key(k)).copied().unwrap_or(0);
        assert_eq!((of("A"), of("B"), of("C"), of("D")), (0, 1, 2, 3));
        assert!(order.parked.is_empty());
    }

    #[test]
    fn who_waits_for_two_waits_for_the_later() {
        let order = order(&gifts(&[("A", "C"), ("A", "B"), ("B", "C")]), |_| true);
        assert_eq!(order.levels.get(&key("C")), Some(&2));
    }

    #[test]
    fn circles_of_two_three_and_ten_are_opened_by_parking_one() {
        for n in [2, 3, 10] {
            let names: Vec<String> = (0..n).map(|i| format!("E{i:02}")).collect();
            let pairs: Vec<(&str, &str)> = (0..n).map(|i| (names[i].as_str(), names[(i + 1) % n].as_str())).collect();
            let handovers = gifts(&pairs);
            let order = order(&handovers, |_| true);
            assert_eq!(order.parked.len(), 1, "{n}");
            assert!(holds(&handovers, &order), "{n}: {order:?}");
        }
    }

    #[test]
    fn two_circles_and_a_chain_hanging_on_one() {
        let handovers = gifts(&[("A", "B"), ("B", "A"), ("C", "D"), ("D", "C"), ("D", "E"), ("E", "F")]);
        let order = order(&handovers, |_| true);
        assert!(holds(&handovers, &order), "{order:?}");
    }

    #[test]
    fn who_parks_takes_their_turn_later_even_in_a_circle_that_can_not_be_opened() {
        let gift = |field: &str, giver: &str, taker: &str| Handover {
            field: field.into(),
            giver: key(giver),
            taker: key(taker),
        };
        let handovers = [gift("email", "A", "B"), gift("v", "B", "A"), gift("u", "B", "C"), gift("u", "C", "B")];
        let order = order(&handovers, |field| field == "email");
        assert_eq!(order.parked.keys().collect::<Vec<_>>(), [&key("A")]);
        assert!(order.levels.get(&key("A")).is_some_and(|level| *level > 0), "{order:?}");
    }

    #[test]
    fn a_circle_of_what_may_not_be_parked_is_left_as_it_is() {
        let order = order(&gifts(&[("A", "B"), ("B", "A")]), |_| false);
        assert!(order.parked.is_empty());
    }
}
