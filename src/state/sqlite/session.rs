//! Carrying out statements on an SQLite connection. What is planned once stays planned: statements are kept by their text.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, Rows, ToSql, ffi, params_from_iter};

use crate::domain::time::rfc3339;
use crate::state::StateError;
use crate::state::db::{Arg, Value};

/// A connection within a transaction.
#[derive(Clone, Copy)]
pub struct Session<'c>(pub(super) &'c Connection);

/// A statement.
pub struct Statement<'c> {
    connection: &'c Connection,
    statement: CachedStatement<'c>,
}

/// A row.
pub struct Row<'r>(&'r rusqlite::Row<'r>);

struct Bound<'a>(&'a dyn Arg);

impl ToSql for Bound<'_> {
    #[inline]
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0.value() {
            Value::Null => ValueRef::Null,
            Value::Integer(n) => ValueRef::Integer(n),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
            Value::Time(time) => return Ok(ToSqlOutput::from(rfc3339(time))),
        }))
    }
}

impl<'c> Session<'c> {
    /// Prepares a statement, or takes the one that was prepared of the same text.
    pub fn prepare(&self, sql: &str) -> Result<Statement<'c>, StateError> {
        Ok(Statement { connection: self.0, statement: self.0.prepare_cached(sql)? })
    }

    /// The connection itself, for tests.
    #[cfg(test)]
    pub fn connection(&self) -> &'c Connection {
        self.0
    }
}

impl Statement<'_> {
    /// Carries it out.
    pub fn execute(&mut self, args: &[&dyn Arg]) -> Result<u64, StateError> {
        Ok(self.changed(args)?)
    }

    /// Carries it out, unless a unique value is another row's.
    pub fn execute_unless_taken(&mut self, args: &[&dyn Arg]) -> Result<Option<u64>, StateError> {
        match self.changed(args) {
            Err(rusqlite::Error::SqliteFailure(error, _)) if error.extended_code == ffi::SQLITE_CONSTRAINT_UNIQUE => {
                Ok(None)
            }
            changed => Ok(Some(changed?)),
        }
    }

    /// Carries it out; the number of the row that it added.
    pub fn insert(&mut self, args: &[&dyn Arg]) -> Result<i64, StateError> {
        self.changed(args)?;
        Ok(self.connection.last_insert_rowid())
    }

    /// Visits the rows.
    pub fn each(
        &mut self,
        args: &[&dyn Arg],
        mut visit: impl FnMut(Row<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let mut rows = self.query(args)?;
        while let Some(row) = rows.next()? {
            visit(Row(row))?;
        }
        Ok(())
    }

    /// Reads the first row. The statement is carried out no further.
    pub fn one<T>(
        &mut self,
        args: &[&dyn Arg],
        read: impl FnOnce(Row<'_>) -> Result<T, StateError>,
    ) -> Result<Option<T>, StateError> {
        let mut rows = self.query(args)?;
        rows.next()?.map(|row| read(Row(row))).transpose()
    }

    fn changed(&mut self, args: &[&dyn Arg]) -> rusqlite::Result<u64> {
        Ok(self.statement.execute(params_from_iter(args.iter().map(|arg| Bound(*arg))))? as u64)
    }

    fn query(&mut self, args: &[&dyn Arg]) -> rusqlite::Result<Rows<'_>> {
        self.statement.query(params_from_iter(args.iter().map(|arg| Bound(*arg))))
    }
}

impl Row<'_> {
    /// The value of a column.
    #[inline]
    pub fn value(&self, column: usize) -> Result<Value<'_>, StateError> {
        Ok(match self.0.get_ref(column)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(n) => Value::Integer(n),
            ValueRef::Text(text) => {
                Value::Text(std::str::from_utf8(text).map_err(|_| StateError::damaged("a stored text is not UTF-8"))?)
            }
            ValueRef::Blob(bytes) => Value::Blob(bytes),
            ValueRef::Real(_) => return Err(StateError::damaged("a stored number has a fraction")),
        })
    }
}
