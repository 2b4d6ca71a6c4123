//! Undoing a run: the inverse plan, held for approval, and its delivery once somebody approved it.

use std::sync::Arc;

use futures_util::stream::{StreamExt, TryStreamExt};

use super::hold::Holding;
use super::life::{RunLife, resting};
use super::{Approval, RunRequest, RunSummary, Runner, binding, chosen};
use crate::account::Client;
use crate::config::settings::SyncSettings;
use crate::domain::account::Account;
use crate::domain::error::{Error, Failure, Result, StateReason};
use crate::domain::ids::{RunId, SyncId};
use crate::domain::limits::{Breach, LimitName};
use crate::domain::local_time::LocalTime;
use crate::domain::operation::OpKind;
use crate::domain::record::Key;
use crate::domain::rules::SkipReason;
use crate::os::panics;
use crate::plan::undo::inverse;
use crate::plan::{PAGE, Plan, Spool};
use crate::run::Resolved;
use crate::state::bodies::{Bodies, Body};
use crate::state::journal::UnresolvedKeys;
use crate::state::people::{CountUsers, FindSync, People};
use crate::state::plans::Origin;
use crate::state::undo::{FindRun, PastRun, Replaced, Undoable};

/// What undoing a run would do.
#[derive(Debug)]
pub struct Undoing {
    /// The sync.
    pub sync: String,
    /// The inverse plan; empty when there is nothing to take back.
    pub plan: Plan,
    /// How many operations of the run are known no more, because the ledger was pruned.
    pub forgotten: u64,
}

impl Runner {
    /// Makes the inverse of a run and holds it for approval, unless it is empty. Writes nothing to the target.
    ///
    /// # Errors
    /// The run is unknown (64) or under way (75), its sync is not configured any more, the target can't be reached.
    pub async fn plan_undo(&self, run: &RunId) -> Result<Undoing> {
        let (past, sync) = self.past(run).await?;
        let client = self.clients.of(&sync.target)?;
        let (plan, _) = resting(&client, self.inverse_of(run, &sync, &client)).await?;
        if plan.total() > 0 {
            let breach = Breach { limit: LimitName::Undo, count: plan.total(), allowed: 0 };
            let holding = Holding { run, sync: &sync, origin: Origin::Undo(run.clone()), partial: false, apart: false };
            self.keep_for_approval(&plan, &breach, holding, None).await?;
        }
        Ok(Undoing { sync: sync.name.clone(), plan, forgotten: past.done.saturating_sub(past.kept) })
    }

    async fn past(&self, run: &RunId) -> Result<(PastRun, Arc<SyncSettings>)> {
        let unknown = || Failure::new(Error::Usage, format!("there is no run {run}")).help("see: rosterd runs");
        let past = self.state.ask(FindRun(run.clone())).await?.ok_or_else(unknown)?;
        if !past.finished {
            return Err(Failure::new(Error::State(StateReason::SenderActive), format!("run {run} has not ended"))
                .help("wait for its end, or run rosterd sync once if its process died"));
        }
        let sync = chosen(&self.settings, std::slice::from_ref(&past.sync))?.pop();
        Ok((past, sync.ok_or_else(unknown)?))
    }

    /// The inverse of a run, from how the accounts are now.
    async fn inverse_of(&self, run: &RunId, sync: &Arc<SyncSettings>, client: &Arc<Client>) -> Result<(Plan, SyncId)> {
        let known = self.state.ask(FindSync(binding(sync))).await?;
        let id = known.id.ok_or_else(|| Failure::internal("a run of a sync that is not known"))?;
        let spool = Spool::new(sync.target.engine.catalogue(), &sync.label)?;
        let unresolved = self.state.ask(UnresolvedKeys(id)).await?;
        let mut pages = self.state.pages(Replaced { run: run.clone(), after: None, limit: PAGE });
        while let Some(page) = pages.next().await? {
            let keys: Vec<Key> = page.iter().map(|(key, _)| key.clone()).collect();
            let people = self.state.ask(People { sync: id, keys: keys.clone() }).await?;
            let mut bodies = self.state.ask(Bodies { sync: id, keys }).await?;
            let accounts = look_at(client, sync.target.concurrency, &page).await?;
            for ((key, done), account) in page.iter().zip(accounts) {
                if people.get(key).is_none_or(|person| person.remote_id != done.remote_id) {
                    let why = match done.op {
                        OpKind::Delete => "it was deleted, which can't be undone",
                        OpKind::Unlink => "it was unlinked; a run that finds the account links it again",
                        _ => "they have another account by now, or none",
                    };
                    spool.remark(key, why)?;
                } else if unresolved.contains(key) {
                    spool.remark(key, "an operation on them has no answer yet")?;
                } else {
                    let body = bodies.remove(key).unwrap_or_default();
                    self.take_back(sync, &spool, key, done, &body, account.as_ref())?;
                }
            }
        }
        let users = self.state.ask(CountUsers(id)).await?;
        Ok((Plan::assemble(sync, known, users, spool)?, id))
    }

    fn take_back(
        &self,
        sync: &SyncSettings,
        spool: &Spool,
        key: &Key,
        done: &Undoable,
        body: &Body,
        account: Option<&Account>,
    ) -> Result<()> {
        let found = inverse(key, done, &body.attributes, account, sync.target.engine.catalogue());
        if let Some(operation) = found.operation {
            let account = account.map_or(&body.attributes, |account| &account.attributes);
            let values = sync.match_fields.iter().flat_map(|f| [body.attributes.get(f), account.get(f)]).flatten();
            let time = LocalTime::new(self.clock.now(), sync.timezone);
            if operation.needs_request() && sync.protect.covers(key, values, Some(account), time) {
                return Ok(spool.remark(key, SkipReason::Protected.name())?);
            }
            spool.add(&operation.into())?;
        }
        if let Some(left) = &found.left {
            spool.remark(key, left)?;
        }
        Ok(())
    }

    /// Sends the inverse of a run that somebody approved, and pauses the sync: its next run would do the same again.
    pub(super) async fn undo(&self, run: &RunId, approval: Approval) -> Result<RunSummary> {
        let (_, sync) = self.past(run).await?;
        self.begin(std::slice::from_ref(&sync)).await?;
        let request = RunRequest { approval: Some(approval), origin: Origin::Undo(run.clone()), ..Default::default() };
        let mut life = RunLife::new(self, &sync, &request);
        let done = panics::caught_in(self.undo_into(&mut life, run, &sync)).await;
        let summary = life.end(done, None).await;
        self.end().await;
        Ok(summary)
    }

    async fn undo_into(&self, life: &mut RunLife<'_>, run: &RunId, sync: &Arc<SyncSettings>) -> Result<()> {
        life.begin().await?;
        let client = self.clients.of(&sync.target)?;
        let undone = async {
            let (plan, id) = self.inverse_of(run, sync, &client).await?;
            life.summary.planned(&plan);
            life.on(id, &client).send(&mut life.summary, plan, Resolved::default()).await
        };
        resting(&client, undone).await
    }
}

/// The accounts that these operations were about, as they are now.
async fn look_at(client: &Arc<Client>, concurrency: usize, page: &[(Key, Undoable)]) -> Result<Vec<Option<Account>>> {
    futures_util::stream::iter(page.to_vec())
        .map(|(_, done)| async move {
            match &done.remote_id {
                Some(remote_id) => client.get(remote_id).await,
                None => Ok(None),
            }
        })
        .buffered(concurrency)
        .try_collect()
        .await
}
