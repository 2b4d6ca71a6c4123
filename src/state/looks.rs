//! Single things that somebody looks at: a run, a page of a held plan, a person's story. Each is found over an index, and
//! no answer is longer than was asked for.

use chrono::{DateTime, Utc};

use super::db::args;
use super::{Command, Db, StateError, former_keys, outcomes, runs};
use crate::domain::ids::{PlanId, RunId};
use crate::domain::operation::OpKind;
use crate::domain::outcome::Outcome;
use crate::domain::planned::Planned;
use crate::domain::record::Key;

/// One run.
#[derive(Debug)]
pub struct OneRun(pub RunId);

impl Command for OneRun {
    type Reply = Option<runs::RunRecord>;

    fn run(&self, db: &Db<'_>) -> Result<Self::Reply, StateError> {
        runs::one(db, &self.0)
    }
}

/// The next outcomes of a person, newest first, also those under a key that they had before, each with its number.
#[derive(Debug)]
pub struct OutcomesOfPerson {
    /// Of which sync.
    pub sync: String,
    /// Who.
    pub key: Key,
    /// Those before the outcome of this number.
    pub before: Option<i64>,
    /// How many at most.
    pub limit: usize,
}

impl Command for OutcomesOfPerson {
    type Reply = Vec<(i64, Outcome)>;

    fn run(&self, db: &Db<'_>) -> Result<Self::Reply, StateError> {
        let sql = format!(
            "SELECT {} FROM outcome WHERE sync = ?1 AND key = ?2 AND id > ?3 AND id <= ?4 ORDER BY id DESC LIMIT ?5",
            outcomes::COLUMNS
        );
        let newest = self.before.map_or(i64::MAX, |before| before.saturating_sub(1));
        let mut found = Vec::new();
        for (key, after, upto) in former_keys::spans(db, &self.sync, self.key.as_str())? {
            let asked = args![self.sync, key, after, upto.min(newest), self.limit as i64];
            found.extend(db.rows(&sql, asked, |row| Ok((row.get::<i64>(0)?, outcomes::outcome(row)?)))?);
        }
        found.sort_by_key(|(id, _)| -id);
        found.truncate(self.limit);
        Ok(found)
    }
}

/// Where a page of a plan's operations ends: the person, and the number of the operation.
pub type PlanPlace = (String, u64);

/// The next operations of one kind in a plan, in the order of keys, each with its number.
#[derive(Debug)]
pub struct OperationsOfKind {
    /// The plan.
    pub plan: PlanId,
    /// What they do.
    pub kind: OpKind,
    /// The last one of the page before.
    pub after: Option<PlanPlace>,
    /// How many at most.
    pub limit: usize,
}

impl Command for OperationsOfKind {
    type Reply = Vec<(u64, Planned)>;

    fn run(&self, db: &Db<'_>) -> Result<Self::Reply, StateError> {
        let (key, seq) = self.after.clone().unwrap_or_default();
        let from = if self.after.is_some() { "AND (key, seq) > (?3, ?4)" } else { "" };
        let sql = format!(
            "SELECT seq, operation FROM plan_operation WHERE plan = ?1 AND kind = ?2 {from} ORDER BY key, seq LIMIT ?5"
        );
        let asked = args![self.plan, self.kind.name(), key, seq as i64, self.limit as i64];
        let found = db.rows(&sql, asked, |row| Ok((row.get::<i64>(0)?, row.get::<String>(1)?)))?;
        found.into_iter().map(|(seq, text)| Ok((seq.unsigned_abs(), serde_json::from_str(&text)?))).collect()
    }
}

/// What held plans would do to a person.
#[derive(Debug)]
pub struct HeldFor {
    /// Of which sync.
    pub sync: String,
    /// Who.
    pub key: Key,
}

impl Command for HeldFor {
    type Reply = Vec<(PlanId, Planned)>;

    fn run(&self, db: &Db<'_>) -> Result<Self::Reply, StateError> {
        let plans = db.rows(
            "SELECT id FROM plan WHERE sync = ?1 AND status = 'held' ORDER BY made_at",
            args![self.sync],
            |row| row.get::<PlanId>(0),
        )?;
        let mut of_kind =
            db.prepare("SELECT operation FROM plan_operation WHERE plan = ?1 AND kind = ?2 AND key = ?3 ORDER BY seq")?;
        let mut found = Vec::new();
        for plan in plans {
            for kind in OpKind::ALL {
                let texts = of_kind.rows(args![plan, kind.name(), self.key.as_str()], |row| row.get::<String>(0))?;
                for text in texts {
                    found.push((plan.clone(), serde_json::from_str(&text)?));
                }
            }
        }
        Ok(found)
    }
}

/// What somebody decided about a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub by: Option<String>,
    /// What they said.
    pub reason: Option<String>,
}

/// Asks who decided about a plan; nothing where nobody did.
#[derive(Debug)]
pub struct DecisionAbout(pub PlanId);

impl Command for DecisionAbout {
    type Reply = Option<Decision>;

    fn run(&self, db: &Db<'_>) -> Result<Self::Reply, StateError> {
        db.one(
            "SELECT decided_at, decided_by, reason FROM plan WHERE id = ?1 AND decided_at IS NOT NULL",
            args![self.0],
            |row| Ok(Decision { at: row.get(0)?, by: row.get(1)?, reason: row.get(2)? }),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limits::LimitName;
    use crate::domain::operation::Operation;
    use crate::domain::outcome::{OfRun, Status};
    use crate::domain::time::instant;
    use crate::state::State;
    use crate::state::ledger::Record;
    use crate::state::plans::{HeldPlan, Hold, HoldComplete, HoldOperations};

    const AT: &str = "2026-11-22T03:00:00.000Z";

    fn key(text: &str) -> Key {
        Key::parse(text).expect("a key")
    }

    fn held(state: &State, operations: &[(OpKind, &str)]) -> PlanId {
        let plan = HeldPlan {
            id: "3f9a0c12be77".into(),
            sync: "staff".into(),
            resource: Default::default(),
            made_at: instant(AT),
            limit: LimitName::Ban,
            count: 3,
            allowed: 1,
            counts: Default::default(),
            origin: Default::default(),
            basis: None,
            partial: false,
            apart: false,
            waiting_since: instant(AT),
            replaced: None,
            stale: None,
        };
        let id = plan.id.clone();
        state.ask_blocking(Hold { plan, run: "r1".into() }).expect("begun");
        let operations = operations.iter().map(|(kind, who)| Operation::new(*kind, key(who), None).into()).collect();
        state.ask_blocking(HoldOperations { plan: id.clone(), from: 0, operations }).expect("added");
        let complete = HoldComplete { plan: id.clone(), sync: "staff".into(), whole: true };
        state.ask_blocking(complete).expect("held");
        id
    }

    #[test]
    fn operations_of_a_kind_come_in_pages_of_any_size_in_the_order_of_keys() {
        let state = State::in_memory().expect("a state");
        let (ban, update) = (OpKind::Ban, OpKind::Update);
        let plan =
            held(&state, &[(update, "E9"), (ban, "E3"), (ban, "E1"), (update, "E1"), (ban, "E1"), (ban, "é/ %")]);
        for limit in 1..6 {
            let (mut after, mut seen) = (None, Vec::new());
            loop {
                let asked = OperationsOfKind { plan: plan.clone(), kind: ban, after: after.clone(), limit };
                let page = state.ask_blocking(asked).expect("a page");
                let Some((seq, last)) = page.last() else { break };
                after = Some((last.key.to_string(), *seq));
                seen.extend(page.into_iter().map(|(_, operation)| operation.key.to_string()));
            }
            assert_eq!(seen, ["E1", "E1", "E3", "é/ %"], "{limit}");
        }
        let of = |who: &str| {
            let found = state.ask_blocking(HeldFor { sync: "staff".into(), key: key(who) }).expect("found");
            found.into_iter().map(|(_, operation)| operation.kind).collect::<Vec<_>>()
        };
        assert_eq!(of("E1"), [update, ban, ban]);
        assert_eq!(of("E2"), []);
    }

    #[test]
    fn the_outcomes_of_a_person_come_in_pages() {
        let state = State::in_memory().expect("a state");
        let of = OfRun { run: "r".into(), sync: "staff".into(), source: "hr".into(), target: "juno".into() };
        let row = |who: &str| Outcome::new(instant(AT), of.clone(), Some(key(who)), Some(OpKind::Update), Status::Ok);
        state.ask_blocking(Record(vec![row("A"), row("B"), row("A"), row("A")])).expect("recorded");
        let (mut before, mut seen) = (None, Vec::new());
        loop {
            let asked = OutcomesOfPerson { sync: "staff".into(), key: key("A"), before, limit: 2 };
            let page = state.ask_blocking(asked).expect("a page");
            let Some((last, _)) = page.last() else { break };
            before = Some(*last);
            seen.extend(page.into_iter().map(|(id, _)| id));
        }
        assert_eq!(seen, [4, 3, 1]);
    }
}
