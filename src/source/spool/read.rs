//! What the spool gives back once its rows are joined, in the order of keys or of the source.

use rusqlite::{OptionalExtension, params};

use super::{PAGE_BYTES, Spool, cells_of, failed, int, kind, position_at, stored_key, weight_of};
use crate::domain::bounded;
use crate::domain::error::{Failure, Result};
use crate::domain::record::{Key, Position, Record, Reject, Row as PersonRow, Several};

impl Spool {
    /// The person of this key, if their rows can be used.
    pub fn record(&self, key: &Key) -> Result<Option<Record>> {
        let sql = "SELECT key, record, line, cells, more FROM good WHERE key = ?1 LIMIT ?2";
        Ok(self.records(sql, key.as_str(), 1)?.pop())
    }

    /// People in the order of keys, from the first after this key; fewer than `limit` where they have much to tell,
    /// and none only when there are none.
    pub fn rows(&self, after: Option<&Key>, limit: usize) -> Result<Vec<Record>> {
        // The empty text sorts before every key, since no key is empty.
        let after = after.map_or("", Key::as_str);
        self.records(
            "SELECT key, record, line, cells, more FROM good WHERE key > ?1 ORDER BY key LIMIT ?2",
            after,
            limit,
        )
    }

    fn records(&self, sql: &str, key: &str, limit: usize) -> Result<Vec<Record>> {
        let mut query = self.db.prepare_cached(sql).map_err(failed)?;
        let mut rows = query.query(params![key, int(limit as u64)]).map_err(failed)?;
        let (mut records, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next().map_err(failed)? {
            let key: String = row.get(0).map_err(failed)?;
            let position = position_at(row, 1).map_err(failed)?;
            let encoded = row.get_ref(3).map_err(failed)?.as_blob_or_null().map_err(|error| failed(error.into()))?;
            let cells = encoded.map(cells_of).transpose()?;
            let is_known = cells.is_none();
            let cells = cells.unwrap_or_default();
            bytes += cells.iter().map(bounded::weight).sum::<usize>();
            let mut record = Record::new(stored_key(&key)?, position, cells);
            if row.get::<_, i64>(4).map_err(failed)? > 0 {
                record.several = Some(Box::new(self.several(&record, is_known, &mut bytes)?));
            }
            records.push(record);
            if bytes > PAGE_BYTES {
                break;
            }
        }
        Ok(records)
    }

    /// All rows of somebody who has several; `bytes` grows by what they hold.
    fn several(&self, first: &Record, is_known: bool, bytes: &mut usize) -> Result<Several> {
        let mut query = self
            .db
            .prepare_cached("SELECT record, line, same_as, kind, cells FROM beside WHERE key = ?1 ORDER BY record")
            .map_err(failed)?;
        let mut found = query.query([first.key.as_str()]).map_err(failed)?;
        let rows = vec![match is_known {
            true => PersonRow::known(first.position),
            false => PersonRow::new(first.position, first.cells.clone()),
        }];
        let mut several = Several { rows, members: self.members.clone() };
        let mut numbers = vec![int(first.position.record)];
        while let Some(next) = found.next().map_err(failed)? {
            let position = position_at(next, 0).map_err(failed)?;
            match next.get::<_, Option<i64>>(2).map_err(failed)? {
                Some(same_as) => {
                    let at = numbers.iter().position(|number| *number == same_as);
                    let repeated = at.and_then(|at| several.rows.get_mut(at));
                    repeated
                        .ok_or_else(|| Failure::internal("the spool holds a row that repeats none"))?
                        .places
                        .add(position);
                }
                None if next.get::<_, i64>(3).map_err(failed)? == kind::KNOWN => {
                    numbers.push(int(position.record));
                    several.rows.push(PersonRow::known(position));
                }
                None => {
                    let encoded = next.get_ref(4).map_err(failed)?.as_blob().map_err(|error| failed(error.into()))?;
                    *bytes += weight_of(encoded);
                    numbers.push(int(position.record));
                    several.rows.push(PersonRow::new(position, cells_of(encoded)?));
                }
            }
        }
        Ok(several)
    }

    /// Rejects in the order of the source, from the first after this record number.
    pub fn rejects(&self, after: u64, limit: usize) -> Result<Vec<Reject>> {
        let mut query = self
            .db
            .prepare_cached("SELECT record, line, key, reason FROM rejects WHERE record > ?1 ORDER BY record LIMIT ?2")
            .map_err(failed)?;
        let found = query
            .query_map(params![int(after), int(limit as u64)], |row| {
                let key: Option<String> = row.get(2)?;
                Ok((position_at(row, 0)?, key, row.get(3)?))
            })
            .map_err(failed)?;
        found
            .map(|row| {
                let (position, key, reason) = row.map_err(failed)?;
                Ok(Reject { key: key.as_deref().map(stored_key).transpose()?, position, reason })
            })
            .collect()
    }

    /// Rejected keys in order, from the first after this key.
    pub fn rejected_keys(&self, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.keys("SELECT key FROM rejects WHERE key IS NOT NULL AND key > ?1 ORDER BY key LIMIT ?2", after, limit)
    }

    pub(super) fn keys(&self, sql: &str, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        let mut query = self.db.prepare_cached(sql).map_err(failed)?;
        let after = after.map_or("", Key::as_str);
        let found =
            query.query_map(params![after, int(limit as u64)], |row| row.get::<_, String>(0)).map_err(failed)?;
        found.map(|key| stored_key(&key.map_err(failed)?)).collect()
    }

    /// Whether somebody is known and was not found settled.
    pub fn is_unsettled(&self, key: &Key) -> Result<bool> {
        self.db
            .prepare_cached("SELECT 1 FROM unsettled WHERE key = ?1")
            .and_then(|mut query| query.exists([key.as_str()]))
            .map_err(failed)
    }

    /// People who are known and were not found settled, and people of whom a row was kept, in order, from the first after
    /// this key.
    pub fn looked_at_after(&self, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        let sql = "SELECT key FROM unsettled WHERE key > ?1 UNION SELECT key FROM good WHERE key > ?1
                   ORDER BY key LIMIT ?2";
        self.keys(sql, after, limit)
    }

    /// People who are known and were not found settled, in order, from the first after this key.
    pub fn unsettled_after(&self, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.keys("SELECT key FROM unsettled WHERE key > ?1 ORDER BY key LIMIT ?2", after, limit)
    }

    /// Where the key's good row stands.
    pub fn good_position(&self, key: &Key) -> Result<Option<Position>> {
        self.find("SELECT record, line FROM good WHERE key = ?1", key)
    }

    /// Where the first of the key's rejected rows stands.
    pub fn rejected_position(&self, key: &Key) -> Result<Option<Position>> {
        self.find("SELECT record, line FROM rejects WHERE key = ?1", key)
    }

    fn find(&self, sql: &str, key: &Key) -> Result<Option<Position>> {
        self.db
            .prepare_cached(sql)
            .and_then(|mut query| query.query_row([key.as_str()], |row| position_at(row, 0)).optional())
            .map_err(failed)
    }
}
