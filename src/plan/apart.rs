//! Bans that wait while everything else is sent: taken out of a plan, with what can't be done before them.

use std::collections::BTreeMap;
use std::sync::Mutex;

use rusqlite::params_from_iter;
use rusqlite::types::Value;

use super::{Plan, Spool, measure};
use crate::domain::ids::PlanId;
use crate::domain::limits::Tally;
use crate::state::StateError;

impl Spool {
    /// Moves the operations of those whose access is taken to a spool of their own, and of those who take a unique value
    /// from one of them, or from one of these: while the value is not given up, they can't have it.
    fn bans_apart(&self) -> Result<Spool, StateError> {
        self.db.execute_batch(
            "CREATE TEMP TABLE apart (key TEXT PRIMARY KEY) WITHOUT ROWID;
             INSERT INTO apart SELECT DISTINCT key FROM operation
             WHERE kind IN ('ban', 'delete') AND json_extract(weight, '$.counts') = 'Operation'",
        )?;
        let follow = "INSERT OR IGNORE INTO apart
                      SELECT DISTINCT t.key FROM apart a
                      JOIN handover g ON g.key = a.key AND g.gives
                      JOIN handover t ON t.field = g.field AND t.value = g.value AND NOT t.gives";
        while self.db.execute(follow, [])? > 0 {}
        let apart = Spool::like(self)?;
        {
            let mut rows = self.db.prepare(
                "SELECT wave, key, kind, weight, hands, digest, body, label FROM operation WHERE key IN (SELECT key FROM apart)",
            )?;
            let mut rows = rows.query([])?;
            let mut insert = apart.db.prepare("INSERT INTO operation VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
            while let Some(row) = rows.next()? {
                let columns = (0..8).map(|n| row.get::<_, Value>(n)).collect::<Result<Vec<_>, _>>()?;
                insert.execute(params_from_iter(columns))?;
            }
        }
        self.db.execute_batch("DELETE FROM operation WHERE key IN (SELECT key FROM apart); DROP TABLE apart")?;
        apart.index()?;
        Ok(apart)
    }
}

impl Plan {
    /// Takes out bans and deletes, and what can't be done before them: a plan of their own. Those for whom nothing is
    /// sent, and what is to be remembered of people, stay with the rest.
    pub(super) fn without_bans(&mut self) -> Result<Plan, StateError> {
        let spool = self.spool().bans_apart()?;
        let Tally { users, bans_before, flaps, max_flaps, rekeyed, .. } = self.tally;
        let mut bans = Plan {
            spool: Mutex::new(spool),
            name: self.name.clone(),
            id: PlanId::default(),
            tally: Tally::default(),
            basis: self.basis.clone(),
            counts: BTreeMap::new(),
            skipped: 0,
            skipped_with_work: 0,
            rejected: 0,
            rejected_rows: 0,
            unresolved: self.unresolved.clone(),
            flapping: Vec::new(),
            shared: Vec::new(),
            reformatted: self.reformatted.clone(),
            reviewed: None,
            ..*self
        };
        let (id, tally, counts) = measure(&bans, &self.name, users, bans_before)?;
        (bans.id, bans.counts) = (id, counts);
        bans.tally = Tally { max_flaps, rekeyed, ..tally };
        let (id, tally, counts) = measure(self, &self.name, users, bans_before)?;
        (self.id, self.counts) = (id, counts);
        self.tally = Tally { flaps, max_flaps, rekeyed, ..tally };
        Ok(bans)
    }
}
