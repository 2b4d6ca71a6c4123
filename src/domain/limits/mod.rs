//! How much one run may change: the limits, judged over the whole plan before the first request.
//!
//! Pure. [`Approved`] has no other constructor than [`judge`] and [`consent`], and delivery takes nothing else: what was
//! not judged can't be sent. Both judge a plan by its own tally, operations and basis ([`Measured`]).

mod breach;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::operation::OpKind;
use crate::domain::planned::Planned;

pub use breach::{Breach, LimitName, counts_towards};

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
    /// What is held back when one of them is exceeded.
    #[serde(default)]
    pub hold: HoldBack,
}

/// What is held back when a limit is exceeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HoldBack {
    /// The whole plan.
    #[default]
    Plan,
    /// Bans and deletes alone, and what can't be done before them, where they alone are too many.
    Bans,
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
        // What is held back changes nothing of what a plan is: an approval holds all the same.
        let Limits { create, update, clear, ban, ban_per_day, reinstate, adopt, failures, hold: _ } = *self;
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

/// What of one entry of a plan counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weight {
    /// What is done.
    pub kind: OpKind,
    /// How it is planned.
    counts: Counts,
    /// It writes a field.
    writes: bool,
    /// Its account is activated as well.
    reactivates: bool,
    /// The fields that it empties.
    clears: Vec<String>,
}

/// Whether an entry of a plan counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Counts {
    /// It does.
    Operation,
    /// It can't be done.
    Conflict,
    /// It is a step on the way of another.
    Step,
}

impl Weight {
    /// What counts of this entry.
    pub fn of(planned: &Planned) -> Weight {
        // A leaver who gives up an address is no column that came empty.
        let emptied = planned.fields.iter().filter(|(_, change)| change.clears() && !planned.kind.takes_access());
        Weight {
            kind: planned.kind,
            counts: match planned {
                Planned::Operation(_) => Counts::Operation,
                Planned::Conflict(..) => Counts::Conflict,
                Planned::Step(_) => Counts::Step,
            },
            writes: !planned.fields.is_empty(),
            reactivates: planned.reactivates,
            clears: emptied.map(|(field, _)| field.clone()).collect(),
        }
    }

    /// Whether it is a step on the way of another operation.
    pub fn is_step(&self) -> bool {
        self.counts == Counts::Step
    }
}

impl Tally {
    /// Counts one more entry of a plan: conflicts and steps change nothing of their own.
    pub fn add(&mut self, weight: &Weight) {
        if weight.counts != Counts::Operation {
            return;
        }
        match weight.kind {
            OpKind::Create => self.creates += 1,
            OpKind::Update => self.updates += 1,
            OpKind::Reinstate => self.reinstates += 1,
            OpKind::Adopt => {
                self.adopts += 1;
                self.updates += u64::from(weight.writes);
                self.reinstates += u64::from(weight.reactivates);
            }
            OpKind::Ban | OpKind::Delete => self.bans += 1,
            OpKind::Unlink => {}
        }
        for field in &weight.clears {
            *self.clears.entry(field.clone()).or_default() += 1;
        }
    }
}

/// From this many users on, no plan bans all of them, whatever the limits say.
const NEVER_ALL_FROM: u64 = 3;

/// One leaver and one newcomer may have keys that differ in form alone; several pairs are no chance any more.
const ALIKE_BY_CHANCE: u64 = 1;

/// The first limit that a plan exceeds, in the order in which the manual lists them.
pub fn breach(tally: &Tally, limits: &Limits) -> Option<Breach> {
    let over = |name: LimitName, count: u64, limit: &Limit| {
        let allowed = limit.allowed(tally.users)?;
        (count > allowed).then_some(Breach { limit: name, count, allowed })
    };
    let clears =
        || tally.clears.iter().find_map(|(field, count)| over(LimitName::Clear(field.clone()), *count, &limits.clear));
    let per_day = || {
        // A plan without bans is not held for the bans of earlier runs.
        let count = tally.bans_before + tally.bans;
        (tally.bans > 0).then(|| over(LimitName::BanPerDay, count, &limits.ban_per_day)).flatten()
    };
    let all = || {
        (tally.users >= NEVER_ALL_FROM && tally.bans >= tally.users).then(|| Breach {
            limit: LimitName::BanAll,
            count: tally.bans,
            allowed: tally.users - 1,
        })
    };
    let flaps = || {
        (tally.flaps > tally.max_flaps).then_some(Breach {
            limit: LimitName::Flap,
            count: tally.flaps,
            allowed: tally.max_flaps,
        })
    };
    let rekeyed = || {
        (tally.rekeyed > ALIKE_BY_CHANCE).then_some(Breach {
            limit: LimitName::Rekey,
            count: tally.rekeyed,
            allowed: ALIKE_BY_CHANCE,
        })
    };
    rekeyed()
        .or_else(|| over(LimitName::Create, tally.creates, &limits.create))
        .or_else(|| over(LimitName::Update, tally.updates, &limits.update))
        .or_else(clears)
        .or_else(|| over(LimitName::Ban, tally.bans, &limits.ban))
        .or_else(per_day)
        .or_else(all)
        .or_else(flaps)
        .or_else(|| over(LimitName::Reinstate, tally.reinstates, &limits.reinstate))
        .or_else(|| over(LimitName::Adopt, tally.adopts, &limits.adopt))
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

    /// Takes out bans and deletes, and whatever can't be done before them: a plan of their own, with an id of its own.
    ///
    /// # Errors
    /// Its operations can't be read.
    fn bans_apart(&mut self) -> Result<Self, Self::Error>
    where
        Self: Sized;
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

/// What judging a plan comes to.
#[derive(Debug)]
pub enum Judged<P> {
    /// It is within the limits.
    Approved(Approved<P>),
    /// It exceeds this limit.
    Held(Box<Held<P>>),
    /// Its bans alone exceed this limit, and they alone are held.
    Apart {
        /// Everything else.
        rest: Approved<P>,
        /// The bans, and what can't be done before them.
        bans: Box<Held<P>>,
    },
}

/// Judges a whole plan by its own tally; what exceeds a limit is held under the first of those that it exceeds.
///
/// # Errors
/// The plan's operations can't be read.
pub fn judge<P: Measured>(mut plan: P, limits: &Limits) -> Result<Judged<P>, P::Error> {
    let Some(breach) = exceeded(plan.tally(), limits) else { return Ok(Judged::Approved(Approved(plan))) };
    if !holds_bans_alone(plan.tally(), limits, &breach) {
        return Ok(Judged::Held(Box::new(Held { plan, breach })));
    }
    let bans = Box::new(Held { plan: plan.bans_apart()?, breach });
    Ok(Judged::Apart { rest: Approved(plan), bans })
}

/// The limit under which a plan is held: the first that it exceeds; and where bans alone would be held back, the one for
/// which the rest is held too.
pub fn exceeded(tally: &Tally, limits: &Limits) -> Option<Breach> {
    let first = breach(tally, limits)?;
    let rest = Tally { bans: 0, ..tally.clone() };
    let of_the_rest = (limits.hold == HoldBack::Bans && first.limit.is_of_bans()).then(|| breach(&rest, limits));
    Some(of_the_rest.flatten().unwrap_or(first))
}

/// Whether what exceeds this limit are the bans alone, and the operator wants them alone held back.
pub fn holds_bans_alone(tally: &Tally, limits: &Limits, exceeded: &Breach) -> bool {
    let rest = Tally { bans: 0, ..tally.clone() };
    limits.hold == HoldBack::Bans && exceeded.limit.is_of_bans() && breach(&rest, limits).is_none()
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

/// What asking for a consent came to.
pub type Consented<P> = Result<Approved<P>, Box<Stale<P>>>;

/// Lets a plan through that a person approved: if it is made under the same rules, and every operation that they saw is
/// planned the same now. What they did not see is left out of it.
///
/// # Errors
/// The plan's operations can't be read; within: it is [`Stale`].
pub fn consent<P: Measured>(mut plan: P, consent: &Consent) -> Result<Consented<P>, P::Error> {
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
mod tests;
