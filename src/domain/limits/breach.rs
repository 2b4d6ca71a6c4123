//! The limits by name, and what exceeding one means in words. What exceeds them is judged in [`super`].

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Tally, Weight};
use crate::domain::planned::Planned;

/// A limit that can hold a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LimitName {
    /// Accounts made.
    Create,
    /// Accounts written.
    Update,
    /// Operations that empty this field.
    Clear(String),
    /// Bans and deletes.
    Ban,
    /// Bans and deletes in any 24 hours.
    BanPerDay,
    /// Everybody would lose access.
    BanAll,
    /// Accounts activated again.
    Reinstate,
    /// Accounts adopted.
    Adopt,
    /// How often somebody comes back.
    Flap,
    /// Keys that came back in another form.
    Rekey,
    /// An undo always waits for an approval.
    Undo,
}

impl LimitName {
    /// Those without a field.
    const PLAIN: [(LimitName, &str); 10] = [
        (LimitName::Create, "create"),
        (LimitName::Update, "update"),
        (LimitName::Ban, "ban"),
        (LimitName::BanPerDay, "ban_per_day"),
        (LimitName::BanAll, "ban_all"),
        (LimitName::Reinstate, "reinstate"),
        (LimitName::Adopt, "adopt"),
        (LimitName::Flap, "flap"),
        (LimitName::Rekey, "rekey"),
        (LimitName::Undo, "undo"),
    ];

    /// Whether it counts bans and deletes.
    pub fn is_of_bans(&self) -> bool {
        matches!(self, LimitName::Ban | LimitName::BanPerDay | LimitName::BanAll)
    }

    /// The limit of this name.
    pub fn parse(name: &str) -> Option<LimitName> {
        if let Some(field) = name.strip_prefix("clear.") {
            return Some(LimitName::Clear(field.into()));
        }
        LimitName::PLAIN.into_iter().find(|(_, word)| *word == name).map(|(limit, _)| limit)
    }
}

impl fmt::Display for LimitName {
    /// The word in JSON, in the database and in messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LimitName::Clear(field) => write!(f, "clear.{field}"),
            plain => {
                f.write_str(LimitName::PLAIN.iter().find(|(limit, _)| limit == plain).map_or("", |(_, word)| word))
            }
        }
    }
}

impl From<LimitName> for String {
    fn from(limit: LimitName) -> String {
        limit.to_string()
    }
}

impl TryFrom<String> for LimitName {
    type Error = String;

    fn try_from(name: String) -> Result<LimitName, String> {
        LimitName::parse(&name).ok_or_else(|| format!("{name:?} is no limit"))
    }
}

/// A limit that a plan exceeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breach {
    /// Which.
    pub limit: LimitName,
    /// How many there are.
    pub count: u64,
    /// How many are allowed.
    pub allowed: u64,
}

/// Whether an operation is among those that the limit of this name counts.
pub fn counts_towards(planned: &Planned, limit: &LimitName) -> bool {
    let mut one = Tally::default();
    one.add(&Weight::of(planned));
    match limit {
        LimitName::Create => one.creates > 0,
        LimitName::Update => one.updates > 0,
        LimitName::Ban | LimitName::BanPerDay | LimitName::BanAll => one.bans > 0,
        LimitName::Reinstate => one.reinstates > 0,
        LimitName::Adopt => one.adopts > 0,
        LimitName::Clear(field) => one.clears.contains_key(field),
        LimitName::Flap | LimitName::Rekey | LimitName::Undo => false,
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
        let what = match limit {
            LimitName::Create => format!("{count} {accounts} would be created, at most {allowed} allowed"),
            LimitName::Update => format!("{count} {accounts} would be written, at most {allowed} allowed"),
            LimitName::Reinstate => format!("{count} {people} would be let in again, at most {allowed} allowed"),
            LimitName::Adopt => format!("{count} {accounts} would be adopted, at most {allowed} allowed"),
            LimitName::Ban => format!("{count} {people} would lose access, at most {allowed} allowed"),
            LimitName::BanPerDay => {
                format!("{count} {people} would lose access within 24 hours, at most {allowed} allowed")
            }
            LimitName::BanAll => format!("{count} of {count} people would lose access, never all of them at once"),
            LimitName::Rekey => format!(
                "{count} who left and {count} who are new have keys that differ in form alone (zeros, letter case, white \
                 space, Unicode), so the keys were reformatted on their way here, as a spreadsheet does that drops leading \
                 zeros; nothing is done to these people. Mend the export; where HR did give somebody a new key: rosterd \
                 rekey SYNC OLD NEW"
            ),
            LimitName::Flap => {
                format!("somebody would come back {count} times within flap_window, at most {allowed} allowed")
            }
            LimitName::Undo => format!("{count} {operations} would undo a run, which always waits for an approval"),
            LimitName::Clear(field) => {
                format!("{field} would be emptied for {count} {people}, at most {allowed} allowed")
            }
        };
        let who = if first_keys.is_empty() { String::new() } else { format!(" ({})", first_keys.join(", ")) };
        format!("held by the limit {limit}: {what}{who}")
    }
}
