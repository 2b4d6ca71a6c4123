//! How SQLite goes about a statement: over which index.

use crate::state::{Command, Db, State, StateError};

#[derive(Debug)]
struct QueryPlan(String);

impl Command for QueryPlan {
    type Reply = String;

    fn run(&self, db: &Db<'_>) -> Result<String, StateError> {
        let mut statement = db.connection().prepare(&format!("EXPLAIN QUERY PLAN {}", self.0))?;
        let mut rows = statement.raw_query();
        let mut steps = Vec::new();
        while let Some(row) = rows.next()? {
            steps.push(row.get::<_, String>(3)?);
        }
        Ok(steps.join("; "))
    }
}

/// The steps of a statement, whose parameters need no values for that.
pub(in crate::state) fn query_plan(state: &State, sql: String) -> String {
    state.ask_blocking(QueryPlan(sql)).expect("a plan")
}
