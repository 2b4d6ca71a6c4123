//! Erasing what is kept of a person: everything that names them or holds a value of theirs.
//!
//! What is under keys that they had before goes, too. The ledger's rows stay, without the person: how many were banned in a day, and what a run came to, is nobody's
//! personal data, and limits count on it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::db::args;
use super::people_writer::PeopleWriter;
use super::{Arg, Column, Command, Db, StateError, former_keys};
use crate::domain::ids::{PlanId, SyncId};
use crate::domain::record::Key;
use crate::domain::remote_id::RemoteId;
use crate::domain::rules::PersonState;

/// What takes the place of a name in the ledger.
const FORGOTTEN: &str = "(forgotten)";

/// What forgetting somebody came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forgotten {
    /// Done.
    Done {
        /// The account that the target still has, and its state as it was known.
        account: Option<(RemoteId, PersonState)>,
        /// Rows of the ledger that named them.
        outcomes: u64,
        /// Held plans that were dropped because they were about them.
        plans: Vec<PlanId>,
    },
    /// Nothing is kept of them.
    Unknown,
    /// Nothing is kept under this key: whoever had it has another now.
    HasAnother(Key),
    /// An operation on them has no answer yet.
    Unresolved,
}

/// Forgets a person.
#[derive(Debug)]
pub struct Forget {
    /// Whose.
    pub sync: SyncId,
    /// The sync's name.
    pub name: String,
    /// Who.
    pub key: Key,
}

impl Command for Forget {
    type Reply = Forgotten;

    fn run(&self, db: &Db<'_>) -> Result<Forgotten, StateError> {
        let key = self.key.as_str();
        let open = "SELECT 1 FROM journal WHERE sync = ?1 AND key = ?2";
        if db.exists(open, args![self.sync, key])? {
            return Ok(Forgotten::Unresolved);
        }
        let account =
            db.one("SELECT remote_id, state FROM person WHERE sync = ?1 AND key = ?2", args![self.sync, key], |row| {
                Ok((row.get::<Option<RemoteId>>(0)?, PersonState::of(row.get(1)?)))
            })?;
        let people = PeopleWriter::of(db, self.sync);
        let mut rows = people.execute("DELETE FROM person WHERE sync = ?1 AND key = ?2", args![self.sync, key])?;
        for table in ["body", "undo"] {
            let sql = format!("DELETE FROM {table} WHERE sync = ?1 AND key = ?2");
            rows += db.execute(&sql, args![self.sync, key])?;
        }
        let former = former_keys::of(db, Some(&self.name), key)?;
        let outcomes = self.in_outcomes(db)?;
        let mut plans = self.in_plans(db, key, None)?;
        for had in &former {
            plans.extend(self.in_plans(db, &had.old, Some(had.at))?);
        }
        if rows + outcomes == 0 && plans.is_empty() {
            let now = former_keys::given_up(db, Some(&self.name), key)?.pop();
            let now = now.filter(|now| now.new != key).and_then(|now| Key::parse(&now.new));
            return Ok(now.map_or(Forgotten::Unknown, Forgotten::HasAnother));
        }
        self.in_messages(db, key)?;
        former.iter().try_for_each(|had| self.in_messages(db, &had.old))?;
        former_keys::forget(db, &self.name, key)?;
        let plans = plans.into_iter().collect();
        Ok(Forgotten::Done { account: account.and_then(|(id, state)| Some((id?, state))), outcomes, plans })
    }
}

/// Of a planned operation's JSON, whom it is about.
#[derive(Deserialize)]
struct Ownership {
    key: String,
}

impl Forget {
    /// The rows of the ledger that are theirs.
    fn in_outcomes(&self, db: &Db<'_>) -> Result<u64, StateError> {
        let mut outcomes = 0;
        for (key, after, upto) in former_keys::spans(db, &self.name, self.key.as_str())? {
            outcomes += db.execute(
                "UPDATE outcome SET key = NULL, remote_id = NULL, reason = ?3,
                        error_message = CASE WHEN error_kind IS NULL THEN NULL ELSE ?3 END
                 WHERE sync = ?1 AND key = ?2 AND id > ?4 AND id <= ?5",
                args![self.name, key, FORGOTTEN, after, upto],
            )?;
        }
        Ok(outcomes)
    }

    /// Plans that wait and are about this key are dropped: they could not be sent as they were approved. Of those that
    /// were sent, what was done to them goes. Of a key that they had before, those that were made until then.
    fn in_plans(
        &self,
        db: &Db<'_>,
        key: &str,
        made_until: Option<DateTime<Utc>>,
    ) -> Result<BTreeSet<PlanId>, StateError> {
        let mut found = db.prepare(
            "SELECT p.id, p.status = 'held', o.seq, o.operation FROM plan_operation o JOIN plan p ON p.id = o.plan
             WHERE p.sync = ?1 AND o.operation LIKE ?2 ESCAPE '!' AND (?3 IS NULL OR p.made_at <= ?3)
             ORDER BY p.id, o.seq",
        )?;
        // As JSON spells it, between quotation marks.
        let pattern = having(serde_json::to_string(key)?.trim_matches('"'));
        let (mut held, mut others) = (BTreeSet::new(), Vec::new());
        found.each(args![self.name, pattern, made_until], |row| {
            let whose: Ownership = serde_json::from_str(&row.get::<String>(3)?)?;
            match row.get(1)? {
                _ if whose.key != key => {}
                true => _ = held.insert(row.get::<PlanId>(0)?),
                false => others.push((row.get::<PlanId>(0)?, row.get::<i64>(2)?)),
            }
            Ok(())
        })?;
        for plan in &held {
            db.execute("DELETE FROM plan_operation WHERE plan = ?1", args![plan])?;
            db.execute("UPDATE plan SET status = 'discarded', reason = ?2 WHERE id = ?1", args![plan, FORGOTTEN])?;
        }
        for (plan, seq) in others {
            db.execute("DELETE FROM plan_operation WHERE plan = ?1 AND seq = ?2", args![plan, seq])?;
        }
        Ok(held)
    }

    /// What was said of others, of runs and by people who decided can name them too: the first few whom a limit
    /// held, say, or whose account somebody else's looks like.
    fn in_messages(&self, db: &Db<'_>, key: &str) -> Result<(), StateError> {
        let of_sync = "sync = ?2";
        self.in_column::<i64>(db, key, ("outcome", "reason"), of_sync)?;
        self.in_column::<i64>(db, key, ("outcome", "error_message"), of_sync)?;
        for column in ["reason", "said", "error_message"] {
            self.in_column::<String>(db, key, ("run", column), of_sync)?;
        }
        self.in_column::<String>(db, key, ("plan", "reason"), of_sync)?;
        // A request names a sync, a plan or a source: all of them are looked through.
        self.in_column::<i64>(db, key, ("request", "reason"), "?2 IS NOT NULL")?;
        self.in_column::<i64>(db, key, ("request", "answer"), "?2 IS NOT NULL")
    }

    fn in_column<Id: Arg + Column>(
        &self,
        db: &Db<'_>,
        key: &str,
        (table, column): (&str, &str),
        whose: &str,
    ) -> Result<(), StateError> {
        let find = format!("SELECT id, {column} FROM {table} WHERE {whose} AND {column} LIKE ?1 ESCAPE '!'");
        let found =
            db.rows(&find, args![having(key), self.name], |row| Ok((row.get::<Id>(0)?, row.get::<String>(1)?)))?;
        let mut write = db.prepare(&format!("UPDATE {table} SET {column} = ?2 WHERE id = ?1"))?;
        for (id, text) in found {
            write.execute(args![id, without(&text, key)])?;
        }
        Ok(())
    }
}

/// The pattern of every text that has this in it, and of some others: in SQLite letters count as their capitals, and no
/// pattern may be longer than 50,000 bytes.
fn having(text: &str) -> String {
    let text: String = text.chars().take(1_000).collect();
    let plain = text.replace('!', "!!").replace('%', "!%").replace('_', "!_");
    format!("%{plain}%")
}

/// The text without a name, where it stands as a word of its own: E1 is not in E10.
fn without(text: &str, name: &str) -> String {
    let (mut clean, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(name) {
        let (before, after) = (&rest[..at], &rest[at + name.len()..]);
        let joined = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
        let within = joined(before.chars().next_back().or(clean.chars().next_back().filter(|_| before.is_empty())));
        clean.push_str(before);
        clean.push_str(if within || joined(after.chars().next()) { name } else { FORGOTTEN });
        rest = after;
    }
    clean + rest
}

#[cfg(test)]
mod tests {
    use super::without;

    #[test]
    fn a_name_is_taken_out_where_it_is_a_word() {
        for (text, expected) in [
            ("account 5 looks like E1 and belongs to E10", "account 5 looks like (forgotten) and belongs to E10"),
            ("E1: E1E1, xE1", "(forgotten): E1E1, xE1"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(without(text, "E1"), expected);
        }
    }
}
