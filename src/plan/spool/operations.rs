//! The operations of a plan in the making, by the waves in which they are sent.

use rusqlite::{Row, params};

use super::{BANS, PAGE, REST, Spool, person};
use crate::domain::keyset::pages;
use crate::domain::label::{Label, LabelFields};
use crate::domain::limits::Weight;
use crate::domain::operation::{OpKind, Operation};
use crate::domain::planned::{Planned, PlannedView};
use crate::domain::record::Key;
use crate::domain::value::is_empty;
use crate::os::parallel;
use crate::state::StateError;

/// What a spooled operation does with unique values, as bits of a number.
mod hands {
    /// It may give one up.
    pub const GIVES: i64 = 1;
    /// It may take one.
    pub const TAKES: i64 = 2;
}

/// Where an operation stands in a plan: its wave, and the person.
pub type Place = (u32, Key);

/// The operations that give a unique value up or take one.
const HANDING: &str = "SELECT wave, body FROM operation WHERE hands <> 0 AND (wave, key) > (?1, ?2)
                       ORDER BY wave, key LIMIT ?3";

impl Spool {
    /// Adds an operation in the wave of its kind, or replaces the one that the person has there.
    pub fn add(&self, operation: &Planned) -> Result<(), StateError> {
        self.add_to(if operation.kind.takes_access() { BANS } else { REST }, operation)
    }

    /// Adds an operation in this wave, or replaces the one that the person has there.
    pub fn add_to(&self, wave: u32, operation: &Planned) -> Result<(), StateError> {
        self.add_written(wave, &self.written_form(operation)?)
    }

    /// Adds operations, each as [`Spool::add`] does. They are written out on all processors.
    pub fn add_all(&self, operations: &[Planned]) -> Result<(), StateError> {
        let (unique, label) = (&self.unique, &self.label);
        let written =
            parallel::map(operations, |operation| (operation.kind, WrittenOperation::of(operation, unique, label)));
        for (kind, written) in written {
            self.add_written(if kind.takes_access() { BANS } else { REST }, &written?)?;
        }
        Ok(())
    }

    pub(super) fn written_form(&self, operation: &Planned) -> Result<WrittenOperation, StateError> {
        WrittenOperation::of(operation, &self.unique, &self.label)
    }

    fn add_written(&self, wave: u32, operation: &WrittenOperation) -> Result<(), StateError> {
        let WrittenOperation { key, kind, weight, hands, digest, body, label } = operation;
        self.db
            .prepare_cached(
                "INSERT OR REPLACE INTO operation (wave, key, kind, weight, hands, digest, body, label)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![wave, key.as_str(), kind.name(), weight, hands, digest, body, label.as_deref()])?;
        Ok(())
    }

    /// The operations that follow this place, in the order in which they are sent.
    pub fn operations(&self, after: Option<&Operation>, limit: usize) -> Result<Vec<Planned>, StateError> {
        self.page(after, limit, spooled)
    }

    /// All operations, page by page in that order.
    pub fn pages(&self) -> impl Iterator<Item = Result<Vec<Planned>, StateError>> {
        pages(|after| self.operations(after, PAGE), |planned: &Planned| Operation::clone(planned))
    }

    /// The same, each with the JSON in which it was spooled.
    pub fn written(&self, after: Option<&Operation>, limit: usize) -> Result<Vec<(Planned, String)>, StateError> {
        self.page(after, limit, |row| Ok((spooled(row)?, row.get(1)?)))
    }

    /// The operations that follow this place, in that order, as people see them.
    pub fn views(&self, after: Option<&Place>) -> Result<Vec<(Place, PlannedView)>, StateError> {
        let (wave, key) = after.map_or((-1, ""), |(wave, key)| (i64::from(*wave), key.as_str()));
        let sql =
            "SELECT wave, body, key, label FROM operation WHERE (wave, key) > (?1, ?2) ORDER BY wave, key LIMIT ?3";
        self.page_of(sql, params![wave, key, PAGE as i64], |row| {
            let view: PlannedView = serde_json::from_str(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?;
            let view = match row.get::<_, Option<String>>(3)? {
                None => view.labelled_by(&self.label),
                Some(label) => view.labelled(Some(label.into())),
            };
            Ok(((row.get(0)?, person(&row.get::<_, String>(2)?)?), view))
        })
    }

    fn page<T>(
        &self,
        after: Option<&Operation>,
        limit: usize,
        one: impl Fn(&Row<'_>) -> Result<T, StateError>,
    ) -> Result<Vec<T>, StateError> {
        let (wave, key) = place_of(after);
        let sql = "SELECT wave, body FROM operation WHERE (wave, key) > (?1, ?2) ORDER BY wave, key LIMIT ?3";
        self.page_of(sql, params![wave, key, limit as i64], one)
    }

    fn page_of<T>(
        &self,
        sql: &str,
        arguments: impl rusqlite::Params,
        one: impl Fn(&Row<'_>) -> Result<T, StateError>,
    ) -> Result<Vec<T>, StateError> {
        let mut statement = self.db.prepare_cached(sql)?;
        let mut rows = statement.query(arguments)?;
        let mut page = Vec::new();
        while let Some(row) = rows.next()? {
            page.push(one(row)?);
        }
        Ok(page)
    }

    /// Calls `visit` with each operation's digest and with what counts of it, in order.
    pub fn weigh(&self, mut visit: impl FnMut([u8; 32], &Weight)) -> Result<(), StateError> {
        let mut statement = self.db.prepare_cached("SELECT digest, weight FROM operation ORDER BY wave, key")?;
        let mut rows = statement.query([])?;
        // One weight follows the other, alike for the most part.
        let mut last: Option<(String, Weight)> = None;
        while let Some(row) = rows.next()? {
            let text = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
            let (_, weight) = match last.take().filter(|(written, _)| written == text) {
                Some(same) => last.insert(same),
                None => last.insert((text.to_string(), serde_json::from_str(text)?)),
            };
            visit(row.get(0)?, weight);
        }
        Ok(())
    }

    /// Moves the operations that take access to this wave.
    pub fn move_bans(&self, wave: u32) -> Result<(), StateError> {
        self.db.prepare_cached("UPDATE operation SET wave = ?2 WHERE wave = ?1")?.execute([BANS, wave])?;
        Ok(())
    }

    /// Moves one person's operation to this wave, whichever it was in.
    pub fn move_to_wave(&self, key: &Key, wave: u32) -> Result<(), StateError> {
        self.db
            .prepare_cached("UPDATE operation SET wave = ?2 WHERE key = ?1")?
            .execute(params![key.as_str(), wave])?;
        Ok(())
    }

    /// The operations by which unique values may change hands, page by page in the order in which they are sent; none
    /// where none is given up.
    pub fn handing_pages(&self) -> Result<impl Iterator<Item = Result<Vec<Planned>, StateError>>, StateError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM operation WHERE hands & ?1)";
        let gives: bool = self.db.prepare_cached(sql)?.query_row([hands::GIVES], |row| row.get(0))?;
        let all = pages(
            |after: Option<&Operation>| {
                let (wave, key) = place_of(after);
                self.page_of(HANDING, params![wave, key, PAGE as i64], spooled)
            },
            |planned: &Planned| Operation::clone(planned),
        );
        Ok(gives.then_some(all).into_iter().flatten())
    }

    /// Drops every operation whose key and digest are not approved; returns how many were dropped.
    pub fn retain(&self, keep: impl Fn(&Planned) -> bool) -> Result<u64, StateError> {
        let mut dropped = 0;
        for page in self.pages() {
            for operation in page?.iter().filter(|o| !keep(o)) {
                self.db
                    .prepare_cached("DELETE FROM operation WHERE wave = ?1 AND key = ?2")?
                    .execute(params![operation.wave, operation.key.as_str()])?;
                dropped += 1;
            }
        }
        Ok(dropped)
    }

    /// The operation on this person, if the plan has one.
    pub fn operation_of(&self, key: &Key) -> Result<Option<Planned>, StateError> {
        self.one("SELECT wave, body FROM operation WHERE key = ?1 ORDER BY wave LIMIT 1", key)
    }

    /// The operation on this person without the steps towards it.
    pub fn last_operation_of(&self, key: &Key) -> Result<Option<Planned>, StateError> {
        self.one("SELECT wave, body FROM operation WHERE key = ?1 ORDER BY wave DESC LIMIT 1", key)
    }

    fn one(&self, sql: &str, key: &Key) -> Result<Option<Planned>, StateError> {
        let mut statement = self.db.prepare_cached(sql)?;
        let mut rows = statement.query([key.as_str()])?;
        rows.next()?.map(spooled).transpose()
    }

    /// Makes looking up by key cheap; called once, when all operations are there.
    pub fn index(&self) -> Result<(), StateError> {
        Ok(self.db.execute_batch("CREATE INDEX IF NOT EXISTS operation_key ON operation (key)")?)
    }
}

/// Where a page begins that follows this operation.
fn place_of(after: Option<&Operation>) -> (i64, &str) {
    after.map_or((-1, ""), |o| (i64::from(o.wave), o.key.as_str()))
}

/// An operation in the form in which it is spooled.
pub(super) struct WrittenOperation {
    pub key: Key,
    kind: OpKind,
    pub weight: String,
    pub hands: i64,
    pub digest: [u8; 32],
    pub body: String,
    /// What the person is called; of a create that is told by its fields.
    label: Option<Label>,
}

impl WrittenOperation {
    fn of(operation: &Planned, unique: &[String], label: &LabelFields) -> Result<WrittenOperation, StateError> {
        let mut hands = 0;
        // Whatever a conflict wants to give up or take stays where it is.
        for field in unique.iter().filter(|_| operation.conflict().is_none()) {
            // An account that is removed gives up whatever it has.
            if operation.kind == OpKind::Delete && operation.baseline.get(field).is_some() {
                hands |= hands::GIVES;
            }
            if let Some(change) = operation.fields.get(field) {
                hands |= if is_empty(&change.old) { 0 } else { hands::GIVES };
                hands |= if is_empty(&change.new) { 0 } else { hands::TAKES };
            }
        }
        Ok(WrittenOperation {
            key: operation.key.clone(),
            kind: operation.kind,
            weight: serde_json::to_string(&Weight::of(operation))?,
            hands,
            digest: operation.digest(),
            body: serde_json::to_string(operation)?,
            label: (operation.kind != OpKind::Create).then(|| label.of_operation(operation)).flatten(),
        })
    }
}

/// An operation as it was spooled, in the wave to which it was moved since.
fn spooled(row: &Row<'_>) -> Result<Planned, StateError> {
    let mut planned: Planned = serde_json::from_str(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?;
    planned.wave = row.get(0)?;
    Ok(planned)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::account::lookup::{LookupValues, Newcomer};
    use crate::domain::catalogue::Catalogue;
    use crate::domain::operation::Change;
    use crate::domain::outcome::{ErrorKind, OpError};
    use crate::mapping::tests::catalogue;

    fn operation(kind: OpKind, key: &str) -> Operation {
        let mut operation = Operation::new(kind, Key::parse(key).expect("a key"), None);
        operation.fields.insert("title".into(), Change { old: Value::Null, new: json!("Clerk") });
        operation
    }

    #[test]
    fn what_is_weighed_is_what_was_spooled() {
        let spool = Spool::new(&Catalogue::default(), &LabelFields::default()).expect("a spool");
        let conflict = OpError::new(ErrorKind::Conflict, "two candidates");
        let refused = Planned::Conflict(operation(OpKind::Create, "E2"), conflict);
        let mut clears = operation(OpKind::Update, "E6");
        clears.fields.insert("phone".into(), Change { old: json!("1"), new: Value::Null });
        let all = [refused, operation(OpKind::Update, "E3").into(), operation(OpKind::Ban, "E4").into(), clears.into()];
        spool.add_all(&all).expect("added");
        spool.add(&Planned::Step(operation(OpKind::Update, "E7"))).expect("added");
        for create in [operation(OpKind::Create, "E1"), operation(OpKind::Create, "E5")] {
            let sought = LookupValues { key_value: None, matches: Vec::new(), protected: false };
            let key = create.key.clone();
            spool.newcomer(Newcomer { create, sought }).expect("spooled");
            spool.provision(&key).expect("added");
        }
        let all = spool.operations(None, 9).expect("a page");
        assert_eq!(all.iter().map(|o| o.key.as_str()).collect::<Vec<_>>(), ["E4", "E1", "E2", "E3", "E5", "E6", "E7"]);
        let mut weighed = Vec::new();
        spool.weigh(|digest, weight| weighed.push((digest, weight.clone()))).expect("weighed");
        assert_eq!(weighed, all.iter().map(|o| (o.digest(), Weight::of(o))).collect::<Vec<_>>());
    }

    #[test]
    fn what_gives_or_takes_a_unique_value_is_found_where_one_is_given() {
        let catalogue = catalogue();
        let change = |kind: OpKind, key: &str, field: &str, old: Value, new: Value| {
            let mut operation = operation(kind, key);
            operation.fields.insert(field.into(), Change { old, new });
            Planned::from(operation)
        };
        let handing = |operations: &[Planned]| {
            let spool = Spool::new(&catalogue, &LabelFields::default()).expect("a spool");
            spool.add_all(operations).expect("added");
            let pages = spool.handing_pages().expect("asked").collect::<Result<Vec<_>, _>>().expect("read");
            pages.into_iter().flatten().map(|o| o.key.to_string()).collect::<Vec<_>>()
        };
        let takes = change(OpKind::Create, "E1", "email", Value::Null, json!("a"));
        let other = change(OpKind::Update, "E2", "phone", json!("1"), json!("2"));
        let gives = change(OpKind::Update, "E3", "email", json!("a"), json!("b"));
        let refused = Planned::Conflict(gives.clone().into_operation(), OpError::new(ErrorKind::Conflict, "two"));
        let mut delete = operation(OpKind::Delete, "E4");
        delete.baseline.set("email", json!("a"));
        assert!(handing(&[takes.clone(), other.clone(), refused]).is_empty());
        assert_eq!(handing(&[takes.clone(), other, gives]), ["E1", "E3"]);
        assert_eq!(handing(&[takes, delete.into()]), ["E4", "E1"]);
    }
}
