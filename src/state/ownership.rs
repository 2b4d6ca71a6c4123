//! Whose accounts are whose: syncs that write to one platform, and those that the configuration no longer has.

use std::collections::BTreeSet;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::db::args;
use super::people::{CountPeople, CountUsers};
use super::{Command, Db, StateError, sqlite};
use crate::domain::ids::SyncId;
use crate::domain::remote_id::RemoteId;
use crate::domain::target_identity::TargetIdentity;

/// The syncs of these names whose rows are of this platform.
#[derive(Debug)]
pub struct SyncsOn {
    /// The syncs that write to it: what a sync that is no longer configured knew is nobody's.
    pub syncs: BTreeSet<String>,
    /// What the target is.
    pub target: TargetIdentity,
}

impl Command for SyncsOn {
    type Reply = Vec<(SyncId, String)>;

    fn run(&self, db: &Db<'_>) -> Result<Self::Reply, StateError> {
        let sql = "SELECT id, name, base_url FROM sync ORDER BY id";
        let mut all = db.rows(sql, args![], |row| Ok((row.get(0)?, row.get(1)?, row.get::<String>(2)?)))?;
        all.retain(|(_, name, base_url)| {
            self.syncs.contains(name) && TargetIdentity::parse(base_url).is_one_with(&self.target)
        });
        Ok(all.into_iter().map(|(id, name, _)| (id, name)).collect())
    }
}

/// An account that two syncs own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// The account.
    pub remote_id: RemoteId,
    /// Whose it is in the sync that asks.
    pub key: String,
    /// The other sync.
    pub rival: String,
    /// Whose it is there.
    pub rivals_key: String,
}

/// The first account that a sync owns and another on the same platform owns too. One look at an index for each account
/// of the smaller of the two, and none where a sync has its target to itself.
#[derive(Debug)]
pub struct SharedAccount {
    /// The sync.
    pub sync: SyncId,
    /// The others, by name.
    pub rivals: BTreeSet<String>,
    /// What their target is.
    pub target: TargetIdentity,
}

impl Command for SharedAccount {
    type Reply = Option<Shared>;

    fn run(&self, db: &Db<'_>) -> Result<Option<Shared>, StateError> {
        let on = SyncsOn { syncs: self.rivals.clone(), target: self.target.clone() };
        for (rival, name) in on.run(db)?.into_iter().filter(|(id, _)| *id != self.sync) {
            let (outer, inner) = match smaller(db, self.sync, rival)? == self.sync {
                true => ("mine", "theirs"),
                false => ("theirs", "mine"),
            };
            // In SQLite, CROSS JOIN keeps the order in which they are written ("Manual Control Of Query Plans").
            let in_common = format!(
                "FROM person {outer} CROSS JOIN person {inner}
                 WHERE mine.sync = ?1 AND theirs.sync = ?2 AND mine.remote_id = theirs.remote_id
                 AND {outer}.remote_id IS NOT NULL"
            );
            // The index knows ids, and not whether they count.
            if !db.exists(&format!("SELECT 1 {in_common} LIMIT 1"), args![self.sync, rival])? {
                continue;
            }
            let found = db.one(
                &format!(
                    "SELECT mine.remote_id, mine.key, theirs.key {in_common}
                     AND mine.state IN (1, 2, 3, 5) AND theirs.state IN (1, 2, 3, 5) LIMIT 1"
                ),
                args![self.sync, rival],
                |row| {
                    Ok(Shared {
                        remote_id: row.get(0)?,
                        key: row.get(1)?,
                        rival: name.clone(),
                        rivals_key: row.get(2)?,
                    })
                },
            )?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

/// Which of two syncs has fewer accounts, without counting the larger one.
fn smaller(db: &Db<'_>, one: SyncId, other: SyncId) -> Result<SyncId, StateError> {
    let mut counted = db.prepare(
        "SELECT count(*) FROM (SELECT 1 FROM person WHERE sync = ?1 AND remote_id IS NOT NULL LIMIT ?2) AS linked",
    )?;
    let mut most: i64 = 1_024;
    loop {
        for sync in [one, other] {
            if counted.row(args![sync, most], |row| row.get::<i64>(0))? < most {
                return Ok(sync);
            }
        }
        most = most.saturating_mul(8);
    }
}

/// A sync that the state knows and the configuration does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Unconfigured {
    /// Its name.
    pub sync: String,
    /// Its users who are active or invited, as far as is known.
    pub users: u64,
}

impl Unconfigured {
    /// What is so, in a sentence.
    pub fn told(&self) -> String {
        let users = if self.users == 1 { "1 user" } else { &format!("{} users", self.users) };
        format!(
            "sync {} is in the state, with {users}, and not in the configuration: nobody keeps them in step",
            self.sync
        )
    }

    /// What is to be done about it.
    pub fn remedy(&self) -> String {
        format!(
            "if it has another name now: rosterd state rename-sync {0} NEW; if it is gone for good: rosterd state \
             forget-sync {0}",
            self.sync
        )
    }
}

/// A look into the database, where there is one, for whom asking the state is too much: nothing is created.
///
/// # Errors
/// It is there, and can't be used.
pub fn unconfigured(database: &Path, configured: BTreeSet<String>) -> Result<Vec<Unconfigured>, StateError> {
    Ok(sqlite::look(database, &UnconfiguredSyncs { configured })?.unwrap_or_default())
}

/// The syncs of which something is known and that are not among these.
#[derive(Debug)]
pub struct UnconfiguredSyncs {
    /// The names that the configuration has.
    pub configured: BTreeSet<String>,
}

impl Command for UnconfiguredSyncs {
    type Reply = Vec<Unconfigured>;

    fn run(&self, db: &Db<'_>) -> Result<Self::Reply, StateError> {
        // Without a target's name it is no sync, but people who are being gathered to bind one anew.
        let mut others = db.rows("SELECT id, name FROM sync WHERE target <> '' ORDER BY name", args![], |row| {
            Ok((row.get::<SyncId>(0)?, row.get::<String>(1)?))
        })?;
        others.retain(|(_, name)| !self.configured.contains(name));
        let mut found = Vec::new();
        for (id, sync) in others {
            let users = CountUsers(id).run(db)?;
            let known = users > 0
                || db.exists("SELECT 1 FROM journal WHERE sync = ?1 LIMIT 1", args![id])?
                || CountPeople(id).run(db)? > 0;
            if known {
                found.push(Unconfigured { sync, users });
            }
        }
        Ok(found)
    }
}
