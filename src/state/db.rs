//! What commands are carried out on: statements with numbered parameters (`?1`), typed arguments and typed columns,
//! whatever database is below. SQLite is the first of them; a second one is a variant here and a folder beside
//! `sqlite`.
//!
//! A command runs within a transaction that is not its own. It may be carried out again from the beginning.

use chrono::{DateTime, Utc};

use super::{StateError, sqlite};
use crate::domain::ids::{EntryId, PlanId, RequestId, RunId, SyncId};
use crate::domain::record::Key;
use crate::domain::remote_id::{LoggableId, RemoteId};
use crate::domain::resource::Resource;
use crate::domain::time;

/// A database within a transaction.
pub enum Db<'c> {
    /// SQLite.
    Sqlite(sqlite::Session<'c>),
}

/// A statement that is carried out several times within one command.
pub enum Statement<'c> {
    /// SQLite's.
    Sqlite(sqlite::Statement<'c>),
}

/// A row that was found.
pub enum Row<'r> {
    /// SQLite's.
    Sqlite(sqlite::Row<'r>),
}

/// A value in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'v> {
    /// None.
    Null,
    /// A number; a truth value is 0 or 1.
    Integer(i64),
    /// Text.
    Text(&'v str),
    /// Bytes.
    Blob(&'v [u8]),
    /// A time. It is stored as text that sorts by time (`domain::time::rfc3339`), and read back as one.
    Time(DateTime<Utc>),
}

/// What can be an argument of a statement.
pub trait Arg {
    /// Its value.
    fn value(&self) -> Value<'_>;
}

/// What can be read from a column.
pub trait Column: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// A value of this kind is not stored there.
    fn read(value: Value<'_>) -> Result<Self, StateError>;
}

/// The arguments of a statement, in the order of their numbers.
macro_rules! args {
    ($($arg:expr),* $(,)?) => {
        &[$(&$arg as &dyn $crate::state::db::Arg),*] as &[&dyn $crate::state::db::Arg]
    };
}
pub(super) use args;

impl Db<'_> {
    /// The connection itself.
    #[cfg(test)]
    pub fn connection(&self) -> &sqlite::Connection {
        let Db::Sqlite(db) = self;
        db.connection()
    }

    /// Prepares a statement that is carried out several times.
    ///
    /// # Errors
    /// The database refuses it.
    pub fn prepare(&self, sql: &str) -> Result<Statement<'_>, StateError> {
        let Db::Sqlite(db) = self;
        Ok(Statement::Sqlite(db.prepare(sql)?))
    }

    /// Carries a statement out; how many rows it changed.
    ///
    /// # Errors
    /// The database refuses it.
    pub fn execute(&self, sql: &str, args: &[&dyn Arg]) -> Result<u64, StateError> {
        self.prepare(sql)?.execute(args)
    }

    /// Adds one row to a table that numbers its rows in the column `id`; the number.
    ///
    /// # Errors
    /// The database refuses it.
    pub fn insert(&self, sql: &str, args: &[&dyn Arg]) -> Result<i64, StateError> {
        self.prepare(sql)?.insert(args)
    }

    /// All rows that are found.
    ///
    /// # Errors
    /// The database refuses it, or `each` does.
    pub fn rows<T>(
        &self,
        sql: &str,
        args: &[&dyn Arg],
        each: impl FnMut(&Row<'_>) -> Result<T, StateError>,
    ) -> Result<Vec<T>, StateError> {
        self.prepare(sql)?.rows(args, each)
    }

    /// The first row, if there is one.
    ///
    /// # Errors
    /// The database refuses it, or `read` does.
    pub fn one<T>(
        &self,
        sql: &str,
        args: &[&dyn Arg],
        read: impl FnOnce(&Row<'_>) -> Result<T, StateError>,
    ) -> Result<Option<T>, StateError> {
        self.prepare(sql)?.one(args, read)
    }

    /// The row that must be there.
    ///
    /// # Errors
    /// It is not; the database refuses it, or `read` does.
    pub fn row<T>(
        &self,
        sql: &str,
        args: &[&dyn Arg],
        read: impl FnOnce(&Row<'_>) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        self.prepare(sql)?.row(args, read)
    }

    /// A number that must be there, such as a count.
    ///
    /// # Errors
    /// As [`Db::row`].
    pub fn count(&self, sql: &str, args: &[&dyn Arg]) -> Result<u64, StateError> {
        self.row(sql, args, |row| Ok(row.get::<i64>(0)?.unsigned_abs()))
    }

    /// Whether there is a row.
    ///
    /// # Errors
    /// The database refuses it.
    pub fn exists(&self, sql: &str, args: &[&dyn Arg]) -> Result<bool, StateError> {
        Ok(self.one(sql, args, |_| Ok(()))?.is_some())
    }
}

impl Statement<'_> {
    /// As [`Db::execute`].
    ///
    /// # Errors
    /// The database refuses it.
    pub fn execute(&mut self, args: &[&dyn Arg]) -> Result<u64, StateError> {
        let Statement::Sqlite(statement) = self;
        statement.execute(args)
    }

    /// As [`Statement::execute`]; nothing where a value that must be unique is another row's, and then nothing is
    /// changed.
    ///
    /// # Errors
    /// The database refuses it for another reason.
    pub fn execute_unless_taken(&mut self, args: &[&dyn Arg]) -> Result<Option<u64>, StateError> {
        let Statement::Sqlite(statement) = self;
        statement.execute_unless_taken(args)
    }

    /// As [`Db::insert`].
    ///
    /// # Errors
    /// The database refuses it.
    pub fn insert(&mut self, args: &[&dyn Arg]) -> Result<i64, StateError> {
        let Statement::Sqlite(statement) = self;
        statement.insert(args)
    }

    /// As [`Db::rows`].
    ///
    /// # Errors
    /// The database refuses it, or `each` does.
    pub fn rows<T>(
        &mut self,
        args: &[&dyn Arg],
        mut each: impl FnMut(&Row<'_>) -> Result<T, StateError>,
    ) -> Result<Vec<T>, StateError> {
        let mut all = Vec::new();
        self.each(args, |row| {
            all.push(each(row)?);
            Ok(())
        })?;
        Ok(all)
    }

    /// Visits all rows that are found, one after the other, and keeps none.
    ///
    /// # Errors
    /// The database refuses it, or `visit` does.
    pub fn each(
        &mut self,
        args: &[&dyn Arg],
        mut visit: impl FnMut(&Row<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let Statement::Sqlite(statement) = self;
        statement.each(args, |row| visit(&Row::Sqlite(row)))
    }

    /// As [`Db::one`].
    ///
    /// # Errors
    /// The database refuses it, or `read` does.
    pub fn one<T>(
        &mut self,
        args: &[&dyn Arg],
        read: impl FnOnce(&Row<'_>) -> Result<T, StateError>,
    ) -> Result<Option<T>, StateError> {
        let Statement::Sqlite(statement) = self;
        statement.one(args, |row| read(&Row::Sqlite(row)))
    }

    /// As [`Db::row`].
    ///
    /// # Errors
    /// There is none; the database refuses it, or `read` does.
    pub fn row<T>(
        &mut self,
        args: &[&dyn Arg],
        read: impl FnOnce(&Row<'_>) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        self.one(args, read)?.ok_or_else(|| StateError::damaged("the state database lacks a row that must be there"))
    }
}

impl Row<'_> {
    /// The value of a column, by its place from 0.
    ///
    /// # Errors
    /// A value of this kind is not stored there.
    pub fn get<T: Column>(&self, column: usize) -> Result<T, StateError> {
        T::read(self.value(column)?)
    }

    /// What is in a column, unread.
    ///
    /// # Errors
    /// A value of no known kind is stored there.
    #[inline]
    pub(super) fn value(&self, column: usize) -> Result<Value<'_>, StateError> {
        let Row::Sqlite(row) = self;
        row.value(column)
    }

    /// The text in a column, where there is one, as it lies in the database: for whoever looks at many and keeps few.
    ///
    /// # Errors
    /// Something else is stored there.
    pub fn text(&self, column: usize) -> Result<Option<&str>, StateError> {
        let Row::Sqlite(row) = self;
        match row.value(column)? {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            _ => Err(unreadable("text")),
        }
    }
}

/// The refusal of a stored value. It does not say the value.
fn unreadable(what: &str) -> StateError {
    StateError::damaged(format!("a stored value can't be read (it is no {what})"))
}

macro_rules! integers {
    ($($integer:ty),*) => {$(
        impl Arg for $integer {
            #[inline]
            fn value(&self) -> Value<'_> {
                Value::Integer(i64::from(*self))
            }
        }

        impl Column for $integer {
            #[inline]
            fn read(value: Value<'_>) -> Result<Self, StateError> {
                match value {
                    Value::Integer(n) => <$integer>::try_from(n).map_err(|_| unreadable(stringify!($integer))),
                    _ => Err(unreadable("number")),
                }
            }
        }
    )*};
}
integers!(i64, u32, u16, u8);

impl Arg for bool {
    #[inline]
    fn value(&self) -> Value<'_> {
        Value::Integer(i64::from(*self))
    }
}

impl Column for bool {
    #[inline]
    fn read(value: Value<'_>) -> Result<Self, StateError> {
        match value {
            Value::Integer(n) => Ok(n != 0),
            _ => Err(unreadable("truth value")),
        }
    }
}

impl Arg for str {
    #[inline]
    fn value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl Arg for String {
    #[inline]
    fn value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl Column for String {
    #[inline]
    fn read(value: Value<'_>) -> Result<Self, StateError> {
        match value {
            Value::Text(text) => Ok(text.to_owned()),
            _ => Err(unreadable("text")),
        }
    }
}

impl Column for Key {
    /// Without a copy of the text in between: pages of people are read row by row.
    #[inline]
    fn read(value: Value<'_>) -> Result<Self, StateError> {
        match value {
            Value::Text(text) => Key::parse(text).ok_or_else(|| unreadable("key")),
            _ => Err(unreadable("text")),
        }
    }
}

/// Ids that are texts, and how they are made of one.
macro_rules! text_ids {
    ($($id:ty: $make:path),*) => {$(
        impl Arg for $id {
            #[inline]
            fn value(&self) -> Value<'_> {
                Value::Text(self.as_str())
            }
        }

        impl Column for $id {
            #[inline]
            fn read(value: Value<'_>) -> Result<Self, StateError> {
                String::read(value).map($make)
            }
        }
    )*};
}
text_ids!(RunId: RunId::from, PlanId: PlanId::from, RemoteId: RemoteId::from, LoggableId: LoggableId::written);

/// Ids that are numbers.
macro_rules! number_ids {
    ($($id:ident),*) => {$(
        impl Arg for $id {
            #[inline]
            fn value(&self) -> Value<'_> {
                self.0.value()
            }
        }

        impl Column for $id {
            #[inline]
            fn read(value: Value<'_>) -> Result<Self, StateError> {
                i64::read(value).map($id)
            }
        }
    )*};
}
number_ids!(SyncId, EntryId, RequestId);

impl Arg for Resource {
    #[inline]
    fn value(&self) -> Value<'_> {
        Value::Text(self.as_str())
    }
}

impl Column for Resource {
    #[inline]
    fn read(value: Value<'_>) -> Result<Self, StateError> {
        let Value::Text(name) = value else { return Err(unreadable("text")) };
        name.parse().map_err(|_| {
            StateError::damaged(format!(
                "the state database has the resource {name:?}, which this program doesn't know"
            ))
            .help("a newer rosterd wrote it: use that one, or a newer one; it was not touched")
        })
    }
}

impl Arg for DateTime<Utc> {
    fn value(&self) -> Value<'_> {
        Value::Time(*self)
    }
}

impl Column for DateTime<Utc> {
    fn read(value: Value<'_>) -> Result<Self, StateError> {
        match value {
            Value::Text(text) => time::parse(text).ok_or_else(|| unreadable("time")),
            Value::Time(time) => Ok(time),
            _ => Err(unreadable("time")),
        }
    }
}

impl Arg for [u8] {
    #[inline]
    fn value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl<const N: usize> Arg for [u8; N] {
    #[inline]
    fn value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl<const N: usize> Column for [u8; N] {
    #[inline]
    fn read(value: Value<'_>) -> Result<Self, StateError> {
        match value {
            Value::Blob(bytes) => bytes.try_into().map_err(|_| unreadable("hash")),
            _ => Err(unreadable("hash")),
        }
    }
}

impl<T: Arg + ?Sized> Arg for &T {
    #[inline]
    fn value(&self) -> Value<'_> {
        (**self).value()
    }
}

impl<T: Arg> Arg for Option<T> {
    #[inline]
    fn value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, Arg::value)
    }
}

impl<T: Column> Column for Option<T> {
    #[inline]
    fn read(value: Value<'_>) -> Result<Self, StateError> {
        match value {
            Value::Null => Ok(None),
            value => T::read(value).map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::error::{Error, StateReason};
    use crate::domain::time::instant;

    #[test]
    fn a_stored_text_that_is_no_time_is_damage() {
        let read = DateTime::<Utc>::read;
        assert_eq!(read(Value::Text("2026-11-22T03:34:00.123Z")).ok(), Some(instant("2026-11-22T03:34:00.123Z")));
        for wrong in [Value::Text("yesterday"), Value::Text(""), Value::Integer(7), Value::Null] {
            assert_eq!(read(wrong).map_err(|error| error.error), Err(Error::State(StateReason::Damaged)), "{wrong:?}");
        }
    }
}
