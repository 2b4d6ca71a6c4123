//! Making one of the rows of each key, once all have been read.

use rusqlite::{OptionalExtension, Row, params};

use super::{Beside, Spool, WARNINGS, failed, int, kind, position_at};
use crate::config::settings::RowsPerPerson;
use crate::domain::error::Result;
use crate::domain::record::cells::put_text;
use crate::domain::record::{Key, Places, Position};
use crate::source::compare::{Comparer, Marks, SettledRow};

/// How many keys are asked about at once.
const PAGE: usize = 500;

/// What arrived for one key beside its first good row.
#[derive(Default)]
struct Group {
    key: String,
    places: Places,
    differing: u64,
    repeated: u64,
    reason: Option<String>,
}

impl Group {
    fn add(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        self.key = row.get(0)?;
        match row.get::<_, i64>(3)? {
            kind::REPEATS | kind::AGAIN => self.repeated += 1,
            kind::DIFFERS | kind::KNOWN => self.differing += 1,
            _ => self.reason = self.reason.take().or(row.get(4)?),
        }
        self.places.add(position_at(row, 1)?);
        Ok(())
    }
}

/// One row of a key whose rows are put in order anew.
struct Arranged {
    at: Position,
    what: What,
}

enum What {
    /// Cells, or none where the row was found settled.
    Cells(Option<Vec<u8>>),
    /// As the row of this number.
    SameAs(i64),
    /// As the row that was found settled.
    Again,
    Unusable(String),
}

impl Spool {
    /// Makes one of the rows of each key, once all have been read: repeated rows count once, and a key with a row that
    /// can't be used is rejected.
    ///
    /// `comparer` knows of the rows that were found settled and are not here: where a person has others beside, all of
    /// theirs meet now.
    pub fn join_rows(&mut self, comparer: Option<&mut (dyn Comparer + 'static)>) -> Result<()> {
        if let Some(comparer) = comparer {
            self.bring_settled_rows(comparer)?;
        }
        let mut after = Some(String::new());
        while let Some(key) = after {
            after = self.next_group(&key)?.map(|group| self.join_group(group)).transpose()?;
        }
        if self.unlisted_warnings > 0 {
            self.warnings.push(format!("{} more keys have repeated rows", self.unlisted_warnings));
        }
        self.db.execute_batch("COMMIT").map_err(failed)
    }

    /// The next key with something beside its first good row.
    fn next_group(&self, after: &str) -> Result<Option<Group>> {
        let mut query = self
            .db
            .prepare_cached(
                "SELECT key, record, line, kind, reason FROM beside
                 WHERE key = (SELECT min(key) FROM beside WHERE key > ?1) ORDER BY record",
            )
            .map_err(failed)?;
        let mut rows = query.query([after]).map_err(failed)?;
        let mut group: Option<Group> = None;
        while let Some(row) = rows.next().map_err(failed)? {
            let group = group.get_or_insert_default();
            group.add(row).map_err(failed)?;
        }
        Ok(group)
    }

    fn join_group(&mut self, mut group: Group) -> Result<String> {
        let good = self
            .db
            .prepare_cached("SELECT record, line, settled FROM good WHERE key = ?1")
            .and_then(|mut query| {
                query.query_row([&group.key], |row| Ok((position_at(row, 0)?, row.get::<_, bool>(2)?))).optional()
            })
            .map_err(failed)?;
        let settled = good.is_some_and(|(_, settled)| settled);
        let good = good.map(|(position, _)| position);
        let mut places = Places::default();
        good.into_iter().for_each(|position| places.add(position));
        let places = Places::merged([&places, &group.places]);
        let Some(why) = group.reason.take() else {
            self.tally.duplicate_equal += group.repeated;
            self.tally.further_rows += group.differing;
            if group.differing == 0 && self.expected == RowsPerPerson::One {
                let records = places.listed(&self.members);
                self.warn(format!("key {}: {records} are the same and count once", group.key));
            }
            if settled {
                // Nothing is new of this person: they are counted with those who were found settled.
                self.leave_out(&group.key)?;
            }
            return Ok(group.key);
        };
        let reason = match places.count() {
            1 => why,
            _ => {
                let records = places.listed(&self.members);
                format!("{why}; {records} have this key{}, and none is used", places.lines())
            }
        };
        self.tally.rejected_rows += places.count();
        if good.is_some() {
            self.leave_out(&group.key)?;
        }
        self.reject(Some(&group.key), places.first().unwrap_or_default(), &reason)?;
        Ok(group.key)
    }

    fn leave_out(&mut self, key: &str) -> Result<()> {
        self.tally.records -= 1;
        self.db
            .prepare_cached("DELETE FROM good WHERE key = ?1")
            .and_then(|mut delete| delete.execute([key]))
            .map_err(failed)?;
        Ok(())
    }

    /// Puts a warning before the others.
    pub fn warn_first(&mut self, warning: Option<String>) {
        self.warnings.splice(0..0, warning);
    }

    fn warn(&mut self, warning: String) {
        if self.warnings.len() < WARNINGS {
            self.warnings.push(warning);
        } else {
            self.unlisted_warnings += 1;
        }
    }

    /// Puts the rows that were found settled beside the others of their keys, and takes back that these people are settled
    /// where the others say something else.
    fn bring_settled_rows(&mut self, comparer: &mut (dyn Comparer + 'static)) -> Result<()> {
        if comparer.end(&Marks(self))? {
            self.db.execute_batch("INSERT OR IGNORE INTO unchecked SELECT key FROM good").map_err(failed)?;
        }
        let mut after: Option<Key> = None;
        loop {
            let keys =
                self.keys("SELECT key FROM unchecked WHERE key > ?1 ORDER BY key LIMIT ?2", after.as_ref(), PAGE)?;
            let Some(last) = keys.last() else { return Ok(()) };
            after = Some(last.clone());
            let found = comparer.settled(&keys, &Marks(self))?;
            let mut contested = Vec::new();
            for (key, row) in keys.into_iter().zip(found) {
                let Some(row) = row else { continue };
                if self.arrange(&key, &row, comparer)? {
                    contested.push(key);
                }
            }
            comparer.unsettle(&contested, &Marks(self))?;
        }
    }

    /// Puts all rows of a key in the order of the source, the settled one among them; whether some say something else.
    fn arrange(&mut self, key: &Key, settled: &SettledRow, comparer: &mut (dyn Comparer + 'static)) -> Result<bool> {
        let mut rows = self.rows_of(key)?;
        rows.push(Arranged { at: settled.position, what: What::Again });
        rows.sort_by_key(|row| row.at.record);
        // The number of a row that was kept and says what is settled.
        let mut same = None;
        let mut of_row = Vec::new();
        for row in &rows {
            if let What::Cells(Some(cells)) = &row.what {
                of_row.clear();
                put_text(&mut of_row, key.as_str().as_bytes());
                of_row.extend_from_slice(cells);
                if comparer.says(&of_row, settled) {
                    same = Some(int(row.at.record));
                }
            }
        }
        let says_settled = |row: &Arranged| match row.what {
            What::Again => true,
            What::SameAs(number) => same == Some(number),
            What::Cells(_) => same == Some(int(row.at.record)),
            What::Unusable(_) => false,
        };
        let first = rows.iter().find(|row| says_settled(row)).map(|row| int(row.at.record));
        let cells = rows.iter_mut().find(|row| same == Some(int(row.at.record))).and_then(|row| match &mut row.what {
            What::Cells(cells) => cells.take(),
            _ => None,
        });
        let mut cells = Some(cells);
        for row in &mut rows {
            if says_settled(row) {
                row.what = match (first == Some(int(row.at.record)), first) {
                    (false, Some(first)) => What::SameAs(first),
                    _ => What::Cells(cells.take().flatten()),
                };
            }
        }
        let contested = rows.iter().any(|row| match &row.what {
            What::Unusable(_) => true,
            What::Cells(_) => first != Some(int(row.at.record)),
            What::SameAs(_) | What::Again => false,
        });
        self.write_rows(key, &rows, !contested)?;
        Ok(contested)
    }

    /// The rows of a key that are here.
    fn rows_of(&self, key: &Key) -> Result<Vec<Arranged>> {
        let mut query = self
            .db
            .prepare_cached(
                "SELECT record, line, 1, NULL, cells, NULL FROM good WHERE key = ?1 UNION ALL
                 SELECT record, line, kind, same_as, cells, reason FROM beside WHERE key = ?1",
            )
            .map_err(failed)?;
        let rows = query.query_map([key.as_str()], |row| {
            let what = match row.get::<_, i64>(2)? {
                kind::REPEATS => What::SameAs(row.get(3)?),
                kind::UNUSABLE => What::Unusable(row.get(5)?),
                kind::AGAIN => What::Again,
                _ => What::Cells(row.get(4)?),
            };
            Ok(Arranged { at: position_at(row, 0)?, what })
        });
        rows.map_err(failed)?.map(|row| row.map_err(failed)).collect()
    }

    /// Writes the rows of a key anew.
    fn write_rows(&mut self, key: &Key, rows: &[Arranged], settled: bool) -> Result<()> {
        let key = key.as_str();
        let mut gone = 0;
        for sql in ["DELETE FROM good WHERE key = ?1", "DELETE FROM beside WHERE key = ?1"] {
            let deleted = self.db.prepare_cached(sql).and_then(|mut delete| delete.execute([key])).map_err(failed)?;
            gone += if sql.contains("good") { deleted as u64 } else { 0 };
        }
        self.tally.records -= gone;
        let is_cells = |row: &&Arranged| matches!(row.what, What::Cells(_));
        let more = rows.iter().filter(is_cells).count().saturating_sub(1);
        let mut good = false;
        for row in rows {
            match &row.what {
                What::Cells(cells) if !good => {
                    good = true;
                    self.tally.records += 1;
                    let arguments =
                        params![key, int(row.at.record), int(row.at.line), cells, int(more as u64), settled];
                    self.db
                        .prepare_cached(
                            "INSERT INTO good (key, record, line, cells, more, settled) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                        )
                        .and_then(|mut insert| insert.execute(arguments))
                        .map_err(failed)?;
                }
                What::Cells(Some(cells)) => self.beside(key, row.at, &Beside::Differs(cells))?,
                What::Cells(None) => self.beside(key, row.at, &Beside::Known)?,
                What::SameAs(number) => self.beside(key, row.at, &Beside::Repeats(*number))?,
                What::Again => self.beside(key, row.at, &Beside::Again)?,
                What::Unusable(reason) => self.beside(key, row.at, &Beside::Unusable(reason))?,
            }
        }
        Ok(())
    }
}
