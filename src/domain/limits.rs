//! How much one run may change: the limits, judged over the whole plan before the first request.
//!
//! Pure. [`Approved`] has no other constructor than [`judge`] and [`consent`], and delivery takes nothing else: what was
//! not judged can't be sent. Both judge a plan by its own tally, operations and basis ([`Measured`]).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::operation::{OpKind, Operation};

/// How many are allowed: a count, a share of the sync's users, both (whichever allows more), or any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// Any number.
    Unlimited,
    /// At most `count`, or `percent` of the users rounded down, whichever is more; an absent one allows nothing.
    AtMost {
        /// Absolute number.
        count: Option<u64>,
        /// Share in percent, 0 to 100.
        percent: Option<u8>,
    },
}

impl Limit {
    /// How many this allows for a sync with `users` active and invited users; `None` is "any number".
    ///
    /// With an empty snapshot a percentage allows nothing.
    pub fn allowed(&self, users: u64) -> Option<u64> {
        match *self {
            Limit::Unlimited => None,
            Limit::AtMost { count, percent } => {
                let share = percent.map_or(0, |p| (u128::from(users) * u128::from(p) / 100) as u64);
                Some(count.unwrap_or(0).max(share))
            }
        }
    }
}

/// The limits of a sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Accounts made.
    pub create: Limit,
    /// Accounts written.
    pub update: Limit,
    /// Operations that empty a field, for each field.
    pub clear: Limit,
    /// Bans and deletes.
    pub ban: Limit,
    /// Bans and deletes in any 24 hours, over all runs.
    pub ban_per_day: Limit,
    /// Accounts activated again.
    pub reinstate: Limit,
    /// Accounts adopted.
    pub adopt: Limit,
    /// Failed operations after which sending stops, of the plan's operations.
    pub failures: Limit,
}

/// What a plan was made and judged by, besides the source: kept with a held plan, because whoever approves it agrees
/// to it under these rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    /// Hash of the mapping, in hexadecimal digits.
    pub mapping: String,
    /// The limits.
    pub limits: Limits,
    /// How often anybody may come back.
    pub max_flaps: u32,
}

impl Basis {
    /// What is different now, in words; empty when nothing is.
    pub fn differences(&self, now: &Basis) -> Vec<String> {
        let mapping = (self.mapping != now.mapping).then(|| "the mapping has changed".to_string());
        let flaps = (self.max_flaps != now.max_flaps)
            .then(|| format!("max_flaps was {} and is {}", self.max_flaps, now.max_flaps));
        let limits = self.limits.named().into_iter().zip(now.limits.named());
        let limits = limits
            .filter(|((_, was), (_, is))| was != is)
            .map(|((name, was), (_, is))| format!("limits.{name} was {was} and is {is}"));
        mapping.into_iter().chain(limits).chain(flaps).collect()
    }

    /// In what this differs from what a held plan was made by; none: an earlier version kept nothing of that.
    pub fn changed_since(&self, was: Option<&Basis>) -> Vec<String> {
        match was {
            Some(was) => was.differences(self),
            None => vec!["it was planned by an earlier version of rosterd".into()],
        }
    }
}

impl Limits {
    /// Each limit under its name in the configuration.
    fn named(&self) -> [(&'static str, Limit); 8] {
        let Limits { create, update, clear, ban, ban_per_day, reinstate, adopt, failures } = *self;
        [
            ("create", create),
            ("update", update),
            ("clear", clear),
            ("ban", ban),
            ("ban_per_day", ban_per_day),
            ("reinstate", reinstate),
            ("adopt", adopt),
            ("failures", failures),
        ]
    }
}

/// What a plan comes to, in the terms of the limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Active and invited users at the start: what percentages are of.
    pub users: u64,
    /// Bans and deletes of the last 24 hours, before this plan.
    pub bans_before: u64,
    /// Accounts made.
    pub creates: u64,
    /// Accounts written; an adoption that writes counts.
    pub updates: u64,
    /// Accounts activated again; an adoption of a disabled account counts.
    pub reinstates: u64,
    /// Accounts adopted.
    pub adopts: u64,
    /// Accounts banned or deleted.
    pub bans: u64,
    /// Operations that empty a field, by field.
    pub clears: BTreeMap<String, u64>,
    /// How often the person who comes and goes most would have come back within the window, this plan included.
    pub flaps: u64,
    /// How often anybody may.
    pub max_flaps: u64,
    /// Leavers whose keys are those of newcomers in another form.
    pub rekeyed: u64,
}

impl Tally {
    /// Counts one more operation.
    pub fn add(&mut self, operation: &Operation) {
        if operation.conflict.is_some() || operation.step {
            return;
        }
        let writes = !operation.fields.is_empty();
        match operation.kind {
            OpKind::Create => self.creates += 1,
            OpKind::Update => self.updates += 1,
            OpKind::Reinstate => self.reinstates += 1,
            OpKind::Adopt => {
                self.adopts += 1;
                self.updates += u64::from(writes);
                self.reinstates += u64::from(operation.reactivates);
            }
            OpKind::Ban | OpKind::Delete => self.bans += 1,
            OpKind::Unlink => {}
        }
        // A leaver who gives up an address is no column that came empty.
        let emptied = operation.fields.iter().filter(|(_, change)| change.clears() && !operation.kind.takes_access());
        for (field, _) in emptied {
            *self.clears.entry(field.clone()).or_default() += 1;
        }
    }
}

/// A limit that a plan exceeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breach {
    /// Its name: `create`, `clear.FIELD`, `ban`, `ban_per_day`, `ban_all`, …
    pub limit: String,
    /// How many there are.
    pub count: u64,
    /// How many are allowed.
    pub allowed: u64,
}

/// Whether an operation is among those that the limit of this name counts.
pub fn counts_towards(operation: &Operation, limit: &str) -> bool {
    let mut one = Tally::default();
    one.add(operation);
    match limit {
        "create" => one.creates > 0,
        "update" => one.updates > 0,
        "ban" | "ban_per_day" | "ban_all" => one.bans > 0,
        "reinstate" => one.reinstates > 0,
        "adopt" => one.adopts > 0,
        other => other.strip_prefix("clear.").is_some_and(|field| one.clears.contains_key(field)),
    }
}

impl Breach {
    /// The breach as people read it, with the first few of those whom it is about; an ellipsis stands for the rest.
    pub fn sentence(&self, first_keys: &[String]) -> String {
        let Breach { limit, count, allowed } = self;
        let (people, accounts, operations) = match count {
            1 => ("person", "account", "operation"),
            _ => ("people", "accounts", "operations"),
        };
        let what = match limit.as_str() {
            "create" => format!("{count} {accounts} would be created, at most {allowed} allowed"),
            "update" => format!("{count} {accounts} would be written, at most {allowed} allowed"),
            "reinstate" => format!("{count} {people} would be let in again, at most {allowed} allowed"),
            "adopt" => format!("{count} {accounts} would be adopted, at most {allowed} allowed"),
            "ban" => format!("{count} {people} would lose access, at most {allowed} allowed"),
            "ban_per_day" => format!("{count} {people} would lose access within 24 hours, at most {allowed} allowed"),
            "ban_all" => format!("{count} of {count} people would lose access, never all of them at once"),
            "rekey" => format!(
                "{count} who left and {count} who are new have keys that differ in form alone (zeros, letter case, white \
                 space, Unicode), so the keys were reformatted on their way here, as a spreadsheet does that drops leading \
                 zeros; nothing is done to these people. Mend the export; where HR did give somebody a new key: rosterd \
                 rekey SYNC OLD NEW"
            ),
            "flap" => format!("somebody would come back {count} times within flap_window, at most {allowed} allowed"),
            "undo" => format!("{count} {operations} would undo a run, which always waits for an approval"),
            other => match other.strip_prefix("clear.") {
                Some(field) => format!("{field} would be emptied for {count} {people}, at most {allowed} allowed"),
                None => format!("{count} planned, at most {allowed} allowed"),
            },
        };
        let who = if first_keys.is_empty() { String::new() } else { format!(" ({})", first_keys.join(", ")) };
        format!("held by the limit {limit}: {what}{who}")
    }
}

/// From this many users on, no plan bans all of them, whatever the limits say.
const NEVER_ALL_FROM: u64 = 3;

/// One leaver and one newcomer may have keys that differ in form alone; several pairs are no chance any more.
const ALIKE_BY_CHANCE: u64 = 1;

/// The first limit that a plan exceeds, in the order in which the README lists them.
pub fn breach(tally: &Tally, limits: &Limits) -> Option<Breach> {
    let over = |name: &str, count: u64, limit: &Limit| {
        let allowed = limit.allowed(tally.users)?;
        (count > allowed).then(|| Breach { limit: name.into(), count, allowed })
    };
    let clears =
        || tally.clears.iter().find_map(|(field, count)| over(&format!("clear.{field}"), *count, &limits.clear));
    let per_day = || {
        // A plan without bans is not held for the bans of earlier runs.
        let count = tally.bans_before + tally.bans;
        (tally.bans > 0).then(|| over("ban_per_day", count, &limits.ban_per_day)).flatten()
    };
    let all = || {
        (tally.users >= NEVER_ALL_FROM && tally.bans >= tally.users).then(|| Breach {
            limit: "ban_all".into(),
            count: tally.bans,
            allowed: tally.users - 1,
        })
    };
    let flaps = || {
        (tally.flaps > tally.max_flaps).then(|| Breach {
            limit: "flap".into(),
            count: tally.flaps,
            allowed: tally.max_flaps,
        })
    };
    let rekeyed = || {
        (tally.rekeyed > ALIKE_BY_CHANCE).then(|| Breach {
            limit: "rekey".into(),
            count: tally.rekeyed,
            allowed: ALIKE_BY_CHANCE,
        })
    };
    rekeyed()
        .or_else(|| over("create", tally.creates, &limits.create))
        .or_else(|| over("update", tally.updates, &limits.update))
        .or_else(clears)
        .or_else(|| over("ban", tally.bans, &limits.ban))
        .or_else(per_day)
        .or_else(all)
        .or_else(flaps)
        .or_else(|| over("reinstate", tally.reinstates, &limits.reinstate))
        .or_else(|| over("adopt", tally.adopts, &limits.adopt))
}

/// A plan as the limits judge it: what it comes to, what it was made by and what it consists of are its own.
pub trait Measured {
    /// Why its operations can't be read.
    type Error;

    /// What it comes to.
    fn tally(&self) -> &Tally;

    /// What it was made by.
    fn basis(&self) -> &Basis;

    /// The digests of its operations.
    ///
    /// # Errors
    /// Its operations can't be read.
    fn digests(&self) -> Result<BTreeSet<Digest>, Self::Error>;

    /// Leaves out every operation but these.
    ///
    /// # Errors
    /// Its operations can't be read.
    fn keep(&mut self, wanted: &BTreeSet<Digest>) -> Result<(), Self::Error>;
}

/// A plan that may be sent: within its limits, or approved by a person.
#[derive(Debug)]
pub struct Approved<P>(P);

impl<P> Approved<P> {
    /// The plan.
    pub fn plan(&self) -> &P {
        &self.0
    }
}

/// A plan that may not be sent.
#[derive(Debug)]
pub struct Held<P> {
    /// The plan, to be kept for approval.
    pub plan: P,
    /// Why.
    pub breach: Breach,
}

/// Judges a whole plan by its own tally.
///
/// # Errors
/// [`Held`], with the first limit that it exceeds.
pub fn judge<P: Measured>(plan: P, limits: &Limits) -> Result<Approved<P>, Box<Held<P>>> {
    match breach(plan.tally(), limits) {
        None => Ok(Approved(plan)),
        Some(breach) => Err(Box::new(Held { plan, breach })),
    }
}

/// The digest of an operation that a person agreed to.
pub type Digest = [u8; 32];

/// What a person agreed to who approved a held plan.
#[derive(Clone, Debug)]
pub struct Consent {
    /// The operations that they saw.
    pub operations: BTreeSet<Digest>,
    /// The mapping and the limits under which these were planned.
    pub basis: Option<Basis>,
}

/// A plan that is not the one that was approved.
#[derive(Debug)]
pub struct Stale<P> {
    /// The plan as it is made now.
    pub plan: P,
    /// In what the mapping and the limits differ, in words.
    pub rules: Vec<String>,
    /// The approved operations that are planned the same now.
    pub present: BTreeSet<Digest>,
}

/// Lets a plan through that a person approved: if it is made under the same rules, and every operation that they saw is
/// planned the same now. What they did not see is left out of it.
///
/// # Errors
/// The plan's operations can't be read; within: it is [`Stale`].
pub fn consent<P: Measured>(mut plan: P, consent: &Consent) -> Result<Result<Approved<P>, Box<Stale<P>>>, P::Error> {
    let rules = plan.basis().changed_since(consent.basis.as_ref());
    let mut present = plan.digests()?;
    present.retain(|digest| consent.operations.contains(digest));
    if !rules.is_empty() || present.len() < consent.operations.len() {
        return Ok(Err(Box::new(Stale { plan, rules, present })));
    }
    plan.keep(&consent.operations)?;
    Ok(Ok(Approved(plan)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn defaults() -> Limits {
        let some = |count, percent| Limit::AtMost { count: Some(count), percent: Some(percent) };
        Limits {
            create: Limit::Unlimited,
            update: Limit::Unlimited,
            clear: some(10, 5),
            ban: some(10, 5),
            ban_per_day: some(30, 10),
            reinstate: Limit::Unlimited,
            adopt: Limit::Unlimited,
            failures: some(20, 10),
        }
    }

    fn limit_of(tally: &Tally) -> Option<String> {
        breach(tally, &defaults()).map(|b| b.limit)
    }

    #[test]
    fn a_limit_allows_the_larger_of_count_and_share_rounded_down() {
        let both = Limit::AtMost { count: Some(10), percent: Some(5) };
        for (users, allowed) in [(0, 10), (10, 10), (219, 10), (220, 11), (239, 11), (240, 12), (40_000, 2_000)] {
            assert_eq!(both.allowed(users), Some(allowed), "{users} users");
        }
        let share = Limit::AtMost { count: None, percent: Some(5) };
        for (users, allowed) in [(0, 0), (19, 0), (20, 1), (39, 1), (40, 2)] {
            assert_eq!(share.allowed(users), Some(allowed), "{users} users");
        }
        assert_eq!(Limit::Unlimited.allowed(0), None);
    }

    #[test]
    fn a_plan_is_held_when_a_count_is_more_than_allowed() {
        for (bans, expected) in [(9, None), (10, None), (11, Some("ban"))] {
            let tally = Tally { users: 100, bans, ..Tally::default() };
            assert_eq!(limit_of(&tally).as_deref(), expected, "{bans} bans");
        }
        for (before, bans, expected) in [(25, 5, None), (25, 6, Some("ban_per_day")), (31, 0, None)] {
            let tally = Tally { users: 100, bans_before: before, bans, ..Tally::default() };
            assert_eq!(limit_of(&tally).as_deref(), expected, "{before} before, {bans} now");
        }
        for (clears, expected) in [(10, None), (11, Some("clear.phone"))] {
            let clears = [("phone".to_string(), clears)].into_iter().collect();
            let tally = Tally { users: 100, clears, ..Tally::default() };
            assert_eq!(limit_of(&tally).as_deref(), expected);
        }
        for (flaps, expected) in [(2, None), (3, None), (4, Some("flap"))] {
            let tally = Tally { users: 100, flaps, max_flaps: 3, ..Tally::default() };
            assert_eq!(limit_of(&tally).as_deref(), expected, "{flaps} flaps");
        }
    }

    #[test]
    fn one_is_told_as_one() {
        for (count, told) in [(1, "1 person would lose access"), (2, "2 people would lose access")] {
            let breach = Breach { limit: "ban".into(), count, allowed: 0 };
            assert_eq!(breach.sentence(&[]), format!("held by the limit ban: {told}, at most 0 allowed"));
        }
    }

    #[test]
    fn several_reformatted_keys_hold_a_plan_before_anything_else() {
        for (rekeyed, expected) in [(0, Some("create")), (1, Some("create")), (2, Some("rekey")), (8, Some("rekey"))] {
            let tally = Tally { users: 40, rekeyed, creates: 9, ..Tally::default() };
            let limits = Limits { create: Limit::AtMost { count: Some(3), percent: None }, ..defaults() };
            assert_eq!(breach(&tally, &limits).map(|b| b.limit).as_deref(), expected);
        }
        let breach = Breach { limit: "rekey".into(), count: 8, allowed: 1 };
        let told = breach.sentence(&["00411 → 411".into(), "…".into()]);
        assert!(
            told.contains("reformatted") && told.contains("(00411 → 411, …)") && told.contains("rosterd rekey"),
            "{told}"
        );
    }

    #[test]
    fn never_all_of_three_or_more() {
        for (users, bans, expected) in
            [(1, 1, None), (2, 2, None), (3, 3, Some("ban_all")), (3, 2, None), (10, 10, Some("ban_all"))]
        {
            let tally = Tally { users, bans, ..Tally::default() };
            assert_eq!(limit_of(&tally).as_deref(), expected, "{bans} of {users}");
        }
    }

    fn any_limit() -> impl Strategy<Value = Limit> {
        let part = || (proptest::option::of(0u64..30), proptest::option::of(0u8..=100));
        prop_oneof![
            1 => Just(Limit::Unlimited),
            4 => part().prop_map(|(count, percent)| Limit::AtMost { count, percent }),
        ]
    }

    prop_compose! {
        fn any_limits()(limits in proptest::array::uniform8(any_limit())) -> Limits {
            let [create, update, clear, ban, ban_per_day, reinstate, adopt, failures] = limits;
            Limits { create, update, clear, ban, ban_per_day, reinstate, adopt, failures }
        }
    }

    prop_compose! {
        fn any_tally()(
            counts in proptest::array::uniform8(0u64..40),
            clears in proptest::collection::btree_map("[a-c]", 1u64..40, 0..3),
            flaps in 0u64..5,
        ) -> Tally {
            let [users, bans_before, creates, updates, reinstates, adopts, bans, _] = counts;
            Tally { users, bans_before, creates, updates, reinstates, adopts, bans, clears, flaps, max_flaps: 3, rekeyed: 0 }
        }
    }

    /// Everything that a plan may not exceed, counted without [`breach`].
    fn within(tally: &Tally, limits: &Limits) -> bool {
        let fits = |count: u64, limit: &Limit| limit.allowed(tally.users).is_none_or(|allowed| count <= allowed);
        fits(tally.creates, &limits.create)
            && fits(tally.updates, &limits.update)
            && tally.clears.values().all(|count| fits(*count, &limits.clear))
            && fits(tally.bans, &limits.ban)
            && (tally.bans == 0 || fits(tally.bans_before + tally.bans, &limits.ban_per_day))
            && fits(tally.reinstates, &limits.reinstate)
            && fits(tally.adopts, &limits.adopt)
            && tally.flaps <= tally.max_flaps
            && (tally.users < 3 || tally.bans < tally.users)
    }

    proptest! {
        #![proptest_config(crate::domain::properties::cases(256))]

        #[test]
        fn nothing_is_approved_that_exceeds_a_limit_and_nothing_held_that_does_not(
            tally in any_tally(), limits in any_limits(),
        ) {
            match judge(Listed::of(tally.clone()), &limits) {
                Ok(_) => prop_assert!(within(&tally, &limits)),
                Err(held) => {
                    prop_assert!(!within(&tally, &limits));
                    prop_assert!(held.breach.count > held.breach.allowed, "{:?}", held.breach);
                }
            }
        }

        #[test]
        fn more_of_the_same_never_frees_a_held_plan(tally in any_tally(), limits in any_limits(), more in 1u64..9) {
            if breach(&tally, &limits).is_some() {
                let larger = Tally { bans: tally.bans + more, updates: tally.updates + more, ..tally };
                prop_assert!(breach(&larger, &limits).is_some());
            }
        }
    }

    #[test]
    fn an_adoption_counts_for_what_it_writes() {
        use crate::domain::operation::Change;
        use serde_json::json;
        let key = crate::domain::record::Key::parse("E1").expect("a key");
        let linked = Operation::new(OpKind::Adopt, key, Some("1".into()));
        let mut written = Operation { reactivates: true, ..linked.clone() };
        written.fields.insert("phone".into(), Change { old: json!("1"), new: json!(null) });
        let failing = crate::domain::outcome::OpError::new(crate::domain::outcome::ErrorKind::Conflict, "two");
        let conflict = Operation { conflict: Some(failing), ..written.clone() };
        let mut tally = Tally::default();
        [linked, written, conflict].iter().for_each(|operation| tally.add(operation));
        let clears = [("phone".to_string(), 1)].into();
        assert_eq!(tally, Tally { adopts: 2, updates: 1, reinstates: 1, clears, ..Tally::default() });
    }

    #[test]
    fn of_three_people_at_least_one_keeps_access_whatever_the_limits_say() {
        let limits = Limits { ban: Limit::Unlimited, ban_per_day: Limit::Unlimited, ..defaults() };
        for (users, bans, allowed) in [(2, 2, None), (3, 2, None), (3, 3, Some(2)), (100, 100, Some(99))] {
            let found = breach(&Tally { users, bans, ..Tally::default() }, &limits);
            let expected = allowed.map(|allowed| Breach { limit: "ban_all".into(), count: bans, allowed });
            assert_eq!(found, expected, "{bans} of {users}");
        }
    }

    /// Each kind of operation counts where it should, once each time, and nowhere else.
    #[test]
    fn operations_count_by_what_they_do() {
        use crate::domain::operation::Change;
        use serde_json::json;
        let key = || crate::domain::record::Key::parse("E1").expect("a key");
        let of = |kind| Operation::new(kind, key(), Some("1".into()));
        let emptying = |kind| {
            let mut operation = of(kind);
            operation.fields.insert("phone".into(), Change { old: json!("1"), new: json!(null) });
            operation
        };
        let clears = |n: u64| -> BTreeMap<String, u64> { [("phone".to_string(), n)].into() };
        let none = Tally::default;
        let back = Operation { reactivates: true, ..of(OpKind::Adopt) };
        for (operation, counted, limits) in [
            (of(OpKind::Create), Tally { creates: 3, ..none() }, vec!["create"]),
            (of(OpKind::Update), Tally { updates: 3, ..none() }, vec!["update"]),
            (
                emptying(OpKind::Update),
                Tally { updates: 3, clears: clears(3), ..none() },
                vec!["update", "clear.phone"],
            ),
            (of(OpKind::Reinstate), Tally { reinstates: 3, ..none() }, vec!["reinstate"]),
            (of(OpKind::Adopt), Tally { adopts: 3, ..none() }, vec!["adopt"]),
            (back, Tally { adopts: 3, reinstates: 3, ..none() }, vec!["reinstate", "adopt"]),
            (
                emptying(OpKind::Adopt),
                Tally { adopts: 3, updates: 3, clears: clears(3), ..none() },
                vec!["update", "adopt", "clear.phone"],
            ),
            (of(OpKind::Ban), Tally { bans: 3, ..none() }, vec!["ban", "ban_per_day", "ban_all"]),
            // Who leaves and gives a value up is no column that came empty.
            (emptying(OpKind::Ban), Tally { bans: 3, ..none() }, vec!["ban", "ban_per_day", "ban_all"]),
            (emptying(OpKind::Delete), Tally { bans: 3, ..none() }, vec!["ban", "ban_per_day", "ban_all"]),
            (of(OpKind::Unlink), none(), vec![]),
            (Operation { step: true, ..of(OpKind::Update) }, none(), vec![]),
        ] {
            let mut tally = none();
            (0..3).for_each(|_| tally.add(&operation));
            assert_eq!(tally, counted, "{}", operation.kind);
            let all = [
                "create",
                "update",
                "reinstate",
                "adopt",
                "ban",
                "ban_per_day",
                "ban_all",
                "clear.phone",
                "clear.fax",
                "x",
            ];
            let named: Vec<&str> = all.into_iter().filter(|limit| counts_towards(&operation, limit)).collect();
            let mut expected = limits;
            expected.sort_by_key(|limit| all.iter().position(|name| name == limit));
            assert_eq!(named, expected, "{}", operation.kind);
        }
    }

    #[test]
    fn what_a_plan_was_judged_by_is_compared_limit_by_limit() {
        let was = Basis { mapping: "a1".into(), limits: defaults(), max_flaps: 3 };
        assert!(was.differences(&was.clone()).is_empty());
        let ban = Limit::AtMost { count: Some(2), percent: None };
        let is = Basis { mapping: "b2".into(), limits: Limits { ban, ..defaults() }, max_flaps: 1 };
        let expected = ["the mapping has changed", "limits.ban was 10 or 5% and is 2", "max_flaps was 3 and is 1"];
        assert_eq!(was.differences(&is), expected);
    }

    /// A plan of these operations.
    #[derive(Debug, PartialEq)]
    struct Listed {
        tally: Tally,
        basis: Basis,
        operations: BTreeSet<Digest>,
    }

    impl Listed {
        fn of(tally: Tally) -> Listed {
            let basis = Basis { mapping: "a1".into(), limits: defaults(), max_flaps: 3 };
            Listed { tally, basis, operations: BTreeSet::new() }
        }
    }

    impl Measured for Listed {
        type Error = std::convert::Infallible;

        fn tally(&self) -> &Tally {
            &self.tally
        }

        fn basis(&self) -> &Basis {
            &self.basis
        }

        fn digests(&self) -> Result<BTreeSet<Digest>, Self::Error> {
            Ok(self.operations.clone())
        }

        fn keep(&mut self, wanted: &BTreeSet<Digest>) -> Result<(), Self::Error> {
            self.operations.retain(|digest| wanted.contains(digest));
            Ok(())
        }
    }

    #[test]
    fn consent_holds_for_exactly_what_was_seen() {
        let digests = |ns: &[u8]| ns.iter().map(|n| [*n; 32]).collect::<BTreeSet<Digest>>();
        let asked = |approved: &[u8], present: &[u8], basis: Option<Basis>| {
            let plan = Listed { operations: digests(present), ..Listed::of(Tally::default()) };
            let Ok(answer) = consent(plan, &Consent { operations: digests(approved), basis });
            answer.map(|approved| approved.plan().operations.clone()).map_err(|stale| {
                let missing = approved.len() - stale.present.len();
                (missing, stale.rules.len())
            })
        };
        let same = || Some(Listed::of(Tally::default()).basis);
        assert_eq!(asked(&[1, 2], &[1, 2], same()), Ok(digests(&[1, 2])));
        assert_eq!(asked(&[1, 2], &[1], same()), Err((1, 0)));
        assert_eq!(asked(&[1], &[1, 2], same()), Ok(digests(&[1])), "what nobody saw is not sent");
        assert_eq!(asked(&[1], &[1], None), Err((0, 1)), "planned by an earlier version");
        let other = same().map(|basis| Basis { max_flaps: 4, ..basis });
        assert_eq!(asked(&[1], &[1], other), Err((0, 1)));
    }
}
